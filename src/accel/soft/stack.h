/* SPDX-License-Identifier: MIT */
/*
 * The stack as PUSH, POP, CALL and RET see it, in every mode. SDM vol. 1, 6.2.
 *
 * The stack pointer is RSP in 64-bit mode, else ESP or SP by the B bit of SS. Nothing here changes it but
 * stack_set_sp, which the callers do last.
 */
#pragma once

#include "accel/soft/mem.h"
#include "accel/soft/state.h"

/* The bits of RSP, and of RBP as a frame pointer, that count. */
static inline u64 stack_mask(const struct cpu *cpu)
{
    if (likely(cpu->mode & MODE_CS_L))
        return ~(u64)0;
    return cpu->mode & MODE_SS_B ? 0xFFFFFFFF : 0xFFFF;
}

/* The stack pointer moved by `delta`, cut to its size. */
static inline u64 stack_sp(const struct cpu *cpu, i64 delta)
{
    return (cpu->gpr[RSP] + (u64)delta) & stack_mask(cpu);
}

/* Set the stack pointer: `sp` is a value cut to its size; the bits above stay in a 16-bit one. */
static inline void stack_set_sp(struct cpu *cpu, u64 sp)
{
    if (stack_mask(cpu) == 0xFFFF)
        cpu->gpr[RSP] = (cpu->gpr[RSP] & ~(u64)0xFFFF) | (u16)sp;
    else
        cpu->gpr[RSP] = sp;
}

/* Read or write `size` bytes (2, 4, 8) at the stack offset `sp`, cut to its size. */
u64 stack_load(struct cpu *cpu, const struct insn *in, u64 sp, unsigned size);
void stack_store(struct cpu *cpu, const struct insn *in, u64 sp, unsigned size, u64 value);

static inline void stack_push(struct cpu *cpu, const struct insn *in, unsigned size, u64 value)
{
    u64 sp = stack_sp(cpu, -(i64)size);

    stack_store(cpu, in, sp, size, value);
    stack_set_sp(cpu, sp);
}

/* --- 64-bit mode, operand size 64: the fast path --- */

/* Host address of the 8 bytes at `addr` when they can be read (written) at once, or NULL. */
static inline const void *stack_fast_r(struct cpu *cpu, gva addr)
{
    const struct tlb_entry *e = mem_tlb_entry(cpu, addr);

    if (unlikely((((addr + 7) & PAGE_MASK) | cpu->tlb_gen) != e->tag_r))
        return NULL;
    return (const void *)(addr + e->addend);
}

static inline void *stack_fast_w(struct cpu *cpu, gva addr)
{
    const struct tlb_entry *e = mem_tlb_entry(cpu, addr);

    if (unlikely((((addr + 7) & PAGE_MASK) | cpu->tlb_gen) != e->tag_w))
        return NULL;
    return (void *)(addr + e->addend);
}
