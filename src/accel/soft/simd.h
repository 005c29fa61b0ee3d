/* SPDX-License-Identifier: MIT */
/*
 * What the handlers of x_sse.c, x_masked.c, x_mmx.c and x_x87.c share: operands of host operations.
 */
#pragma once

#include "accel/soft/fpu.h"
#include "accel/soft/hostop.h"
#include "accel/soft/mem.h"

/* A handler table with one function for registers and one for memory operands. */
#define SIMD_TABLE(reg, mem) \
    { \
        reg, reg, reg, reg, mem, mem, mem, mem \
    }

static inline void simd_check(struct cpu *cpu, const struct insn *in, const struct hostop *op)
{
    if (op->vex)
        fpu_check_avx(cpu, in);
    else
        fpu_check_sse(cpu, in);
}

/* The register `n` of an operand. */
static inline void *simd_register(struct cpu *cpu, struct hostop_slot slot, unsigned n)
{
    return (u8 *)cpu + slot.base + ((n & slot.mask) << slot.shift);
}

/* Linear address of the memory operand; #GP(0) when it is not a multiple of align + 1. */
static inline gva simd_address(struct cpu *cpu, const struct insn *in, unsigned size,
                               unsigned align, bool write)
{
    gva addr = insn_addr(cpu, in, size, write);

    if (unlikely(addr & align))
        cpu_gp(cpu, in, 0);
    return addr;
}

/*
 * A host pointer to `size` bytes to read. Stubs take no const pointers, but only read through this
 * one.
 */
static inline void *simd_read(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    const struct tlb_entry *e = mem_tlb_entry(cpu, addr);

    if (likely((((addr + size - 1) & PAGE_MASK) | cpu->tlb_gen) == e->tag_r))
        return (void *)(uintptr_t)(addr + e->addend);
    return (void *)(uintptr_t)mem_ptr_r(cpu, in, addr, size);
}

/* Store `size` bytes, 64 at most. */
static inline void simd_write(struct cpu *cpu, const struct insn *in, gva addr, const void *data,
                              unsigned size)
{
    void *p = mem_rmw(cpu, in, addr, size);

    memcpy(p, data, size);
    mem_rmw_end(cpu, in, addr, p, size);
}

/* Call the stub of an operation without exceptions. */
static inline void simd_call(struct cpu *cpu, const struct insn *in, const struct hostop *op,
                             void *rm)
{
    op->run(cpu, simd_register(cpu, op->reg, in->reg), simd_register(cpu, op->vreg, in->vreg),
            (u8 *)cpu + op->is4, rm);
}

/* Call the stub of an operation that uses MXCSR: 0, or 1 when simd_raise is due. */
static inline int simd_run_fp(struct cpu *cpu, const struct insn *in, const struct hostop *op,
                              void *rm)
{
    return hostop_run_fp(cpu, op, simd_register(cpu, op->reg, in->reg),
                         simd_register(cpu, op->vreg, in->vreg), (u8 *)cpu + op->is4, rm);
}

/* #XM, or #UD without CR4.OSXMMEXCPT. */
_Noreturn void simd_raise(struct cpu *cpu, const struct insn *in);
