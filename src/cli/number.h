/* SPDX-License-Identifier: MIT */
/* Numbers and sizes as users write them. */
#pragma once

#include "base/types.h"

enum number_result {
    NUMBER_OK,
    NUMBER_BAD,   /* not a number of the kind asked for */
    NUMBER_RANGE, /* a number, and too large */
};

/* Digits, or 0x and hex digits, up to `max`. */
enum number_result number_parse(const char *text, u64 max, u64 *value);

/*
 * A size: digits, or digits with a fraction, and a suffix of b, k, M, G, T, P, E in either case
 * (powers of 1024); without one it counts in units of `unit` bytes. Or 0x and hex digits, without a
 * suffix.
 */
enum number_result number_parse_size(const char *text, u64 unit, u64 *value);
