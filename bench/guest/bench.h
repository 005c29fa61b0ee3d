/* SPDX-License-Identifier: MIT */
/*
 * The benchmark that runs natively, in mote and in other machines alike: one static program, /init of its guests.
 *
 * A subtest does `n` operations and returns a checksum over what it computed. The runner calls it once with a fixed
 * `check` count, whose checksum must agree everywhere, and then with as many as fill its share of time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

struct subtest {
    const char *name;
    u64 (*run)(u64 n);
    u64 check;           /* operations of the run whose checksum is compared */
    void (*setup)(void); /* state of the subtest, before each run */
    bool (*able)(void);  /* NULL: every CPU can */
    double bytes;        /* of one operation, where the figure is better read as MB/s */
};

/* A group ends with a nameless row. */
extern const struct subtest integer_tests[];
extern const struct subtest memory_tests[];
extern const struct subtest float_tests[];
extern const struct subtest crypto_tests[];
extern const struct subtest system_tests[];
extern const struct subtest code_tests[];
extern const struct subtest smp_tests[];

#define NOINLINE    __attribute__((noinline))

/* The compiler must have `value` in a register here, and cannot know what it is afterwards. */
#define KEEP(value) __asm__ volatile("" : "+r"(value))

/* Memory that subtests share, page-aligned, all pages present. */
#define ARENA_SIZE  (64u << 20)
extern u8 *arena;

/* A pseudorandom sequence, the same everywhere (Marsaglia's xorshift64). */
static inline u64 random_next(u64 *state)
{
    u64 x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static inline u64 mix(u64 sum, u64 value)
{
    return (sum ^ value) * 0x9E3779B97F4A7C15u;
}

/* Ends the process (and with it the guest) with a line that says why. */
_Noreturn void bench_die(const char *what);

/* How the program runs itself again: exec of `self` with this argument ends at once. */
#define EXEC_NOTHING "exec-nothing"
extern const char *self;
