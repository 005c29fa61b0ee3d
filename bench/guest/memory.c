/* SPDX-License-Identifier: MIT */
/* Memory: latency, copies, string instructions, streams, atomic operations. */
#include <stdatomic.h>
#include <string.h>

#include "bench.h"

#define CHASE_SMALL (16u << 10)
#define CHASE_LARGE (32u << 20)
#define LINE        64u

/* One cycle through all lines of `size` bytes in a random order (Sattolo's algorithm), from `arena` on. */
static void chase_setup(size_t size)
{
    u32 count = (u32)(size / LINE);
    u64 seed = 1;

    for (u32 i = 0; i < count; i++)
        *(u32 *)(void *)(arena + (size_t)i * LINE) = i;
    for (u32 i = count - 1; i > 0; i--) {
        u32 j = (u32)(random_next(&seed) % i);
        u32 *a = (u32 *)(void *)(arena + (size_t)i * LINE);
        u32 *b = (u32 *)(void *)(arena + (size_t)j * LINE);
        u32 t = *a;

        *a = *b;
        *b = t;
    }
}

static void setup_chase_small(void)
{
    chase_setup(CHASE_SMALL);
}

static void setup_chase_large(void)
{
    chase_setup(CHASE_LARGE);
}

static u64 run_chase(u64 n)
{
    u32 at = 0;

    while (n--)
        at = *(const u32 *)(const void *)(arena + (size_t)at * LINE);
    return at;
}

#define COPY_SMALL 256u
#define COPY_LARGE (4u << 20)

static void setup_copy(void)
{
    u64 seed = 7;

    for (u32 i = 0; i < COPY_LARGE; i += 8)
        *(u64 *)(void *)(arena + i) = random_next(&seed);
    memset(arena + COPY_LARGE, 0, COPY_LARGE);
}

static u64 copy_sum(size_t size)
{
    const u8 *to = arena + COPY_LARGE;

    return mix(to[0], mix(to[size / 2], to[size - 1]));
}

static u64 run_copy_small(u64 n)
{
    size_t size = COPY_SMALL;

    KEEP(size);
    while (n--)
        memcpy(arena + COPY_LARGE + (n & 63) * 64, arena + (n & 31) * 72, size);
    return copy_sum(COPY_SMALL);
}

static u64 run_copy_large(u64 n)
{
    while (n--)
        memcpy(arena + COPY_LARGE, arena, COPY_LARGE);
    return copy_sum(COPY_LARGE);
}

static void rep_movs(void *to, const void *from, size_t count)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void rep_stos(void *to, size_t count, u64 value)
{
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}

static u64 run_rep_movs_small(u64 n)
{
    while (n--)
        rep_movs(arena + COPY_LARGE + (n & 63) * 16, arena + (n & 31) * 24, 48);
    return copy_sum(48);
}

static u64 run_rep_movs_large(u64 n)
{
    while (n--)
        rep_movs(arena + COPY_LARGE, arena, 65536);
    return copy_sum(65536);
}

static u64 run_rep_stos(u64 n)
{
    while (n--)
        rep_stos(arena + COPY_LARGE, 512, n);
    return copy_sum(4096);
}

#define TRIAD_COUNT (1u << 18)

static u64 run_triad(u64 n)
{
    double *a = (double *)(void *)arena, *b = a + TRIAD_COUNT, *c = b + TRIAD_COUNT;

    while (n--)
        for (u32 i = 0; i < TRIAD_COUNT; i++)
            a[i] = b[i] + 3.0 * c[i];
    return (u64)a[TRIAD_COUNT - 1];
}

static void setup_triad(void)
{
    double *a = (double *)(void *)arena;

    for (u32 i = 0; i < 3 * TRIAD_COUNT; i++)
        a[i] = (double)(i & 1023);
}

/* Bytes, one by one, read and written beside each other. */
static u64 run_bytes(u64 n)
{
    u8 *p = arena;

    while (n--)
        for (u32 i = 1; i < 4096; i++)
            p[i] = (u8)(p[i] + p[i - 1]);
    return p[4095];
}

static u64 run_atomic_add(u64 n)
{
    _Atomic u64 *v = (_Atomic u64 *)(void *)arena;

    atomic_store(v, 0);
    while (n--)
        atomic_fetch_add(v, n);
    return atomic_load(v);
}

static u64 run_atomic_swap(u64 n)
{
    _Atomic u64 *v = (_Atomic u64 *)(void *)arena;

    atomic_store(v, 0);
    while (n--) {
        u64 old = atomic_load_explicit(v, memory_order_relaxed);

        atomic_compare_exchange_strong(v, &old, old * 3 + n);
    }
    return atomic_load(v);
}

const struct subtest memory_tests[] = {
    { "chase-16K", run_chase, 1000, setup_chase_small, NULL, 0 },
    { "chase-32M", run_chase, 1000, setup_chase_large, NULL, 0 },
    { "memcpy-256", run_copy_small, 1000, setup_copy, NULL, COPY_SMALL },
    { "memcpy-4M", run_copy_large, 1, setup_copy, NULL, COPY_LARGE },
    { "rep-movs-48", run_rep_movs_small, 1000, setup_copy, NULL, 48 },
    { "rep-movs-64K", run_rep_movs_large, 10, setup_copy, NULL, 65536 },
    { "rep-stos-4K", run_rep_stos, 100, setup_copy, NULL, 4096 },
    { "triad-6M", run_triad, 1, setup_triad, NULL, TRIAD_COUNT * 24.0 },
    { "bytes", run_bytes, 10, setup_copy, NULL, 4096 },
    { "atomic-add", run_atomic_add, 1000, NULL, NULL, 0 },
    { "atomic-cmpxchg", run_atomic_swap, 1000, NULL, NULL, 0 },
    { NULL, NULL, 0, NULL, NULL, 0 },
};
