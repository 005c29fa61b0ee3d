/* SPDX-License-Identifier: MIT */
/* Random cases for a row: an encoding with random registers, and a random state to run it from. */
#pragma once

#include "accel/soft/decode.h"
#include "accel/soft/state.h"
#include "simd_fixture.h"

/* The memory operand: guest address in RBX and RDI, and its 128 bytes. Aligned for everything. */
#define OPERAND_GVA (FX_BASE + 0x1040)
#define GUEST_RIP   0x1000u

struct simd_case {
    const struct insn_row *row;
    u8 bytes[16];
    unsigned size;
    bool memory;
    struct xsave_area xsave;
    u64 gpr[16];
    u64 flags;
    u8 data[128] __attribute__((aligned(64)));
};

u64 case_random(void);
u64 case_random_below(u64 n);

/* Encode c->row, with a memory operand if `memory` says so and the row has both forms. */
void case_encode(struct simd_case *c, bool memory);

/* Registers, memory and control words; no x87 exception is pending, SIMD exceptions are masked. */
void case_randomize(struct simd_case *c);

/* Give the CPU the case's state. */
void case_load(struct fx *fx, const struct simd_case *c);

/* Print the case and what went wrong with it. */
void case_print(const struct simd_case *c, const char *what, unsigned n);

/* Rows that cases are made for: not those that move the environment, and only what the host has. */
bool case_row(const struct insn_row *row);
