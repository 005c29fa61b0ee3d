/* SPDX-License-Identifier: MIT */
/* The scalar types of the whole tree, in the manuals' own sizes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;

/* A guest physical address. Host addresses are always pointers. */
typedef u64 gpa;

/* A guest linear (virtual) address. */
typedef u64 gva;
