/* SPDX-License-Identifier: MIT */
/* The memory map that a directly booted kernel is given (ACPI 6.4, section 15: E820 types). */
#pragma once

#include "base/types.h"

#define E820_RAM         1u
#define E820_RESERVED    2u
#define E820_ACPI        3u

#define E820_ENTRIES_MAX 8

struct e820_entry {
    gpa base;
    u64 size;
    u32 type;
};

struct e820_map {
    unsigned count;
    struct e820_entry entries[E820_ENTRIES_MAX]; /* by ascending base, without overlap */
};

/*
 * The map of a machine with RAM in [0, below_4g) and, from 4 GiB, `above_4g` more bytes. below_4g
 * is more than 1 MiB. With `acpi` the tables' place is of type ACPI instead of reserved.
 */
void e820_build(struct e820_map *map, u64 below_4g, u64 above_4g, bool acpi);
