/* SPDX-License-Identifier: MIT */
/*
 * The error of a set-up step: one sentence for the user.
 *
 * Lives on the caller's stack, needs no freeing. A function that can fail at set-up takes a
 * `struct error *err` last and returns false or NULL after filling it; main.c alone prints it.
 */
#pragma once

#include "base/types.h"

struct error {
    char text[512];
};

/* Fill `err` from a printf format. Always returns false, so `return error_set(err, ...)` reads well. */
bool error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As error_set, followed by ": " and the text of the errno value `code`. */
bool error_set_errno(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put a printf-formatted prefix before the text that is already there. Always returns false. */
bool error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
