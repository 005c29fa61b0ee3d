/* SPDX-License-Identifier: MIT */
/* Bit and field helpers. */
#pragma once

#include "base/types.h"

#define BIT(n)                          (1u << (n))
#define BIT64(n)                        (UINT64_C(1) << (n))

/* Extract or build the field that the contiguous mask selects. */
#define FIELD_GET(mask, value)          (((value) & (mask)) / ((mask) & -(mask)))
#define FIELD_SET(mask, value)          (((value) * ((mask) & -(mask))) & (mask))

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))

#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))

#define KIB(n)                          ((u64)(n) << 10)
#define MIB(n)                          ((u64)(n) << 20)
#define GIB(n)                          ((u64)(n) << 30)

#define likely(x)                       __builtin_expect(!!(x), 1)
#define unlikely(x)                     __builtin_expect(!!(x), 0)

/* The structure of type `type` whose member `member` is at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Round to a multiple of `align`, a power of two. */
static inline u64 align_up(u64 value, u64 align)
{
    return (value + align - 1) & ~(align - 1);
}

static inline u64 align_down(u64 value, u64 align)
{
    return value & ~(align - 1);
}
