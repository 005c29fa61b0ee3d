/* SPDX-License-Identifier: MIT */
/*
 * The smoke run of a fuzz target without libFuzzer: seeds, damaged in pseudo-random ways, a bounded number of
 * times. The same sequence at each run.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/types.h"

struct smoke {
    u64 random; /* not 0 */
};

static inline u64 smoke_random(struct smoke *smoke)
{
    u64 x = smoke->random;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    smoke->random = x;
    return x;
}

/* One change to data[0..size): a bit, a byte, or an interesting number of 1 to 8 bytes. */
static inline void smoke_damage(struct smoke *smoke, u8 *data, size_t size)
{
    static const u64 numbers[] = { 0,          1,          0xFF,       0x7FFFFFFF,
                                   0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 0x1000,
                                   0x100000,   0xC0000000, UINT64_MAX, UINT64_MAX - 15,
                                   1ull << 63, 1ull << 32 };
    u64 r = smoke_random(smoke);
    size_t at = r % size;
    u8 number[8];

    switch (r >> 32 & 3) {
    case 0: data[at] ^= (u8)(1u << (r >> 40 & 7)); break;
    case 1: data[at] = (u8)(r >> 48); break;
    default:
        store_le64(number, numbers[(r >> 40) % (sizeof(numbers) / sizeof(numbers[0]))]);
        r = (size_t)1 << (r >> 56 & 3);
        memcpy(data + at, number, r <= size - at ? r : size - at);
        break;
    }
}

/*
 * Call `target` with `rounds` damaged copies of the seed, half of the damage in its first `head` bytes, some
 * copies cut short. Each copy is an allocation of exactly its size.
 */
static inline void smoke_run(struct smoke *smoke, int (*target)(const uint8_t *, size_t),
                             const u8 *seed, size_t size, size_t head, unsigned rounds)
{
    target(seed, size);
    while (rounds--) {
        u64 r = smoke_random(smoke);
        size_t cut = r % 16 == 0 ? (r >> 8) % size : size;
        u8 *copy = malloc(cut ? cut : 1);

        memcpy(copy, seed, cut);
        for (u64 n = r >> 60; cut && n != UINT64_MAX; n--)
            smoke_damage(smoke, copy, n & 1 && head < cut ? head : cut);
        target(copy, cut);
        free(copy);
    }
}
