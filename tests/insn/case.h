/* SPDX-License-Identifier: MIT */
/*
 * A differential case: code bytes, the registers and memory it starts from, and what came out.
 *
 * Both sides see the same linear addresses, so that every address, pushed pointer and FIP agrees:
 *
 *   CASE_CODE   two pages of code, filled up with INT3
 *   CASE_DATA   two pages of data; the pages before and after are not mapped
 *   CASE_STACK  a page of stack, likewise
 */
#pragma once

#include "accel/soft/state.h"
#include "base/types.h"

#define CASE_CODE       0x40000000u
#define CASE_CODE_SIZE  0x2000u
#define CASE_DATA       0x50000000u
#define CASE_DATA_SIZE  0x2000u
#define CASE_STACK      0x60000000u
#define CASE_STACK_SIZE 0x1000u

/* Where in the first code page a case's bytes start. */
#define CASE_ENTRY      (CASE_CODE + 0x800)

#define CASE_INSNS_MAX  32
#define CASE_CODE_MAX   512

/* Registers and memory. */
struct case_state {
    u64 gpr[16];
    u64 rip;
    u64 rflags;
    struct xsave_area xsave;
    u8 data[CASE_DATA_SIZE];
    u8 stack[CASE_STACK_SIZE];
};

/* How it ended: vector 3 is the INT3 after the code (rip is the INT3's address). */
struct case_end {
    u32 vector;
    u32 code; /* error code of #PF and #GP */
    u64 cr2;  /* #PF */
};

struct insn_case {
    bool code32; /* 32-bit code segment */
    u64 seed;
    unsigned size; /* bytes of code */
    u8 code[CASE_CODE_MAX];
    u64 flags_undefined; /* not compared */
    unsigned row_count;  /* instructions, with their rows */
    u16 rows[CASE_INSNS_MAX];
    bool loose_x87; /* FIP, FDP and FOP are not compared */
};

/* Set up the host side: mappings at the fixed addresses, signal handlers. Ends the process when it cannot. */
void native_init(void);

/* Run a case on the host. `state` is the start and becomes the end. */
struct case_end native_run(const struct insn_case *c, struct case_state *state);

/* The same on the engine. */
/* `translate`: every block goes through the translator. */
void engine_init(bool translate);
struct case_end engine_run(const struct insn_case *c, struct case_state *state);
const u64 *engine_features(void);

/* Random numbers: splitmix64. */
static inline u64 random_next(u64 *seed)
{
    u64 z = (*seed += 0x9E3779B97F4A7C15u);

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static inline u64 random_below(u64 *seed, u64 n)
{
    return random_next(seed) % n;
}

/* Fill the case with `count` random instructions, the first made from row `row`. False: this row is not generated. */
bool generate_case(struct insn_case *c, struct case_state *state, unsigned row, unsigned count,
                   bool code32, u64 seed);

/* Is the row one that user code can run on both sides? */
bool generate_wants(unsigned row, bool code32);
