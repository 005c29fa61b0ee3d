/* SPDX-License-Identifier: MIT */
/* Loads and stores of fixed endianness at any alignment. */
#pragma once

#include <string.h>

#include "base/types.h"

static inline u16 load_le16(const void *p)
{
    u16 v;

    memcpy(&v, p, sizeof(v));
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap16(v);
}

static inline void store_le16(void *p, u16 v)
{
    v = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap16(v);
    memcpy(p, &v, sizeof(v));
}

static inline u16 load_be16(const void *p)
{
    u16 v;

    memcpy(&v, p, sizeof(v));
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? v : __builtin_bswap16(v);
}

static inline void store_be16(void *p, u16 v)
{
    v = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? v : __builtin_bswap16(v);
    memcpy(p, &v, sizeof(v));
}

static inline u32 load_le32(const void *p)
{
    u32 v;

    memcpy(&v, p, sizeof(v));
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap32(v);
}

static inline void store_le32(void *p, u32 v)
{
    v = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
}

static inline u32 load_be32(const void *p)
{
    u32 v;

    memcpy(&v, p, sizeof(v));
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? v : __builtin_bswap32(v);
}

static inline void store_be32(void *p, u32 v)
{
    v = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? v : __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
}

static inline u64 load_le64(const void *p)
{
    u64 v;

    memcpy(&v, p, sizeof(v));
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap64(v);
}

static inline void store_le64(void *p, u64 v)
{
    v = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
}

static inline u64 load_be64(const void *p)
{
    u64 v;

    memcpy(&v, p, sizeof(v));
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? v : __builtin_bswap64(v);
}

static inline void store_be64(void *p, u64 v)
{
    v = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? v : __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
}
