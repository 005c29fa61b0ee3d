/* SPDX-License-Identifier: MIT */
/*
 * Stack frames of far transfers and events: values pushed and popped as one, so that a fault leaves nothing half done.
 */
#pragma once

#include "accel/soft/insn.h"
#include "accel/soft/state.h"
#include "base/types.h"

#define FRAME_MAX \
    40 /* values: 31 parameters of a call gate, SS:ESP, CS:EIP, and what events push */

/* A stack that may not be the current one yet. */
struct frame_stack {
    u64 base;  /* of its segment */
    u64 sp;    /* cut to `mask` */
    u64 mask;  /* 16, 32 or 64 bits of stack pointer */
    u32 limit; /* unused with a 64-bit stack pointer */
    u16 attr;  /* of its segment */
    bool user; /* reached with user rights (CPL 3) */
    u32 code;  /* error code of the #SS that a frame without room raises */
};

/* The stack pointer's width in the present mode, as a mask. */
static inline u64 frame_mask(const struct cpu *cpu)
{
    if (cpu->mode & MODE_CS_L)
        return ~UINT64_C(0);
    return cpu->mode & MODE_SS_B ? 0xFFFFFFFF : 0xFFFF;
}

/* Replace the bits of RSP that `mask` selects. */
static inline void frame_set_sp(struct cpu *cpu, u64 mask, u64 sp)
{
    cpu->gpr[RSP] = mask == 0xFFFF ? (cpu->gpr[RSP] & ~mask) | (sp & mask) : sp & mask;
}

/* The stack in use. */
struct frame_stack frame_stack(const struct cpu *cpu);

/* A stack in segment `ss`, which is loaded later. */
struct frame_stack frame_stack_in(const struct segment *ss, u64 sp);

/*
 * Push `count` values of `width` bytes (2, 4, 8), the first one highest. Raises #SS and page faults before
 * anything is written. Moves st->sp; RSP is the caller's to set.
 */
void frame_push(struct cpu *cpu, const struct insn *in, struct frame_stack *st, const u64 *values,
                unsigned count, unsigned width);

/* The value of `width` bytes at `offset` bytes above the top of the current stack, with the current rights. */
u64 frame_peek(struct cpu *cpu, const struct insn *in, u64 offset, unsigned width);
