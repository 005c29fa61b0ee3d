/* SPDX-License-Identifier: MIT */
/*
 * How handlers reach their operands, and the macros that make the eight handlers of a table from one operation.
 *
 * A memory form has a fast path without calls, so that it needs no stack frame: the operand is INSN_FLAT, its TLB entry
 * matches, it lies in one page. Everything else is done by a second function that is called in tail position.
 *
 * After a store the mark of its page is looked at, in this order (see block.c), and code decoded from it dropped.
 */
#pragma once

#include <string.h>

#include "accel/soft/host_atomic.h"
#include "accel/soft/host_cpu.h"
#include "accel/soft/insn.h"
#include "accel/soft/mem.h"
#include "accel/soft/state.h"

#define X_SLOW __attribute__((noinline, cold))

/* --- Registers --- */

/* 8-bit registers are byte offsets into gpr[] (insn.h). */
static inline u8 reg_get8(const struct cpu *cpu, unsigned reg)
{
    return ((const u8 *)cpu->gpr)[reg];
}

static inline void reg_set8(struct cpu *cpu, unsigned reg, u8 value)
{
    ((u8 *)cpu->gpr)[reg] = value;
}

static inline u16 reg_get16(const struct cpu *cpu, unsigned reg)
{
    return (u16)cpu->gpr[reg];
}

static inline void reg_set16(struct cpu *cpu, unsigned reg, u16 value)
{
    memcpy(&cpu->gpr[reg], &value, sizeof(value));
}

static inline u32 reg_get32(const struct cpu *cpu, unsigned reg)
{
    return (u32)cpu->gpr[reg];
}

static inline void reg_set32(struct cpu *cpu, unsigned reg, u32 value)
{
    cpu->gpr[reg] = value;
}

static inline u64 reg_get64(const struct cpu *cpu, unsigned reg)
{
    return cpu->gpr[reg];
}

static inline void reg_set64(struct cpu *cpu, unsigned reg, u64 value)
{
    cpu->gpr[reg] = value;
}

/* --- Host memory --- */

#define HOST_DEFINE(bits) \
    static inline u##bits host_get##bits(const void *host) \
    { \
        u##bits value; \
\
        memcpy(&value, host, sizeof(value)); \
        host_loaded(); \
        return value; \
    } \
\
    static inline void host_set##bits(void *host, u##bits value) \
    { \
        host_storing(); \
        memcpy(host, &value, sizeof(value)); \
    }

HOST_DEFINE(8)
HOST_DEFINE(16)
HOST_DEFINE(32)
HOST_DEFINE(64)

/* --- The fast path --- */

/* The host address of the memory operand when it can be read (written) at once, or NULL. */
static inline const void *operand_r(struct cpu *cpu, const struct insn *in, unsigned size)
{
    gva addr = insn_offset(cpu, in);
    const struct tlb_entry *e = mem_tlb_entry(cpu, addr);

    if (unlikely(!(in->flags & INSN_FLAT)) ||
        unlikely((((addr + size - 1) & PAGE_MASK) | cpu->tlb_gen) != e->tag_r))
        return NULL;
    return (const void *)(addr + e->addend);
}

static inline void *operand_w(struct cpu *cpu, const struct insn *in, unsigned size)
{
    gva addr = insn_offset(cpu, in);
    const struct tlb_entry *e = mem_tlb_entry(cpu, addr);

    if (unlikely(!(in->flags & INSN_FLAT)) ||
        unlikely((((addr + size - 1) & PAGE_MASK) | cpu->tlb_gen) != e->tag_w))
        return NULL;
    return (void *)(addr + e->addend);
}

/* After a store through operand_w: does its page hold code? */
static inline bool operand_is_code(const struct cpu *cpu, const void *host)
{
    u64 page = (u64)((const u8 *)host - cpu->soft->ram_host) / RAM_PAGE_SIZE;

    return atomic_load_explicit(&cpu->soft->code_pages[page], memory_order_relaxed);
}

/*
 * The rest of a handler whose store went to a page with code: drops the code and goes on. For a memory operand of the
 * operand size, found again, so the operation must not have changed its registers.
 */
insn_fn x_stored;

/* --- Handlers from operations --- */

/* E is read: void op(cpu, in, u<bits> value). */
#define X_READ_E(name, bits, op) X_READ_R(name, bits, op) X_READ_M(name, bits, op)

#define X_READ_R(name, bits, op) \
    static void name##_r##bits(struct cpu *cpu, const struct insn *in) \
    { \
        op(cpu, in, reg_get##bits(cpu, in->rm)); \
        INSN_NEXT(cpu, in); \
    }

#define X_READ_M(name, bits, op) \
    X_SLOW static void name##_s##bits(struct cpu *cpu, const struct insn *in) \
    { \
        op(cpu, in, mem_load##bits(cpu, in, insn_addr(cpu, in, bits / 8, false))); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void name##_m##bits(struct cpu *cpu, const struct insn *in) \
    { \
        const void *host = operand_r(cpu, in, bits / 8); \
\
        if (unlikely(!host)) \
            INSN_TAIL name##_s##bits(cpu, in); \
        op(cpu, in, host_get##bits(host)); \
        INSN_NEXT(cpu, in); \
    }

/* E is written: u<bits> op(cpu, in). */
#define X_WRITE_E(name, bits, op) X_WRITE_R(name, bits, op) X_WRITE_M(name, bits, op)

#define X_WRITE_R(name, bits, op) \
    static void name##_r##bits(struct cpu *cpu, const struct insn *in) \
    { \
        reg_set##bits(cpu, in->rm, op(cpu, in)); \
        INSN_NEXT(cpu, in); \
    }

#define X_WRITE_M(name, bits, op) \
    X_SLOW static void name##_s##bits(struct cpu *cpu, const struct insn *in) \
    { \
        mem_store##bits(cpu, in, insn_addr(cpu, in, bits / 8, true), op(cpu, in)); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void name##_m##bits(struct cpu *cpu, const struct insn *in) \
    { \
        void *host = operand_w(cpu, in, bits / 8); \
\
        if (unlikely(!host)) \
            INSN_TAIL name##_s##bits(cpu, in); \
        host_set##bits(host, op(cpu, in)); \
        if (unlikely(operand_is_code(cpu, host))) \
            INSN_TAIL x_stored(cpu, in); \
        INSN_NEXT(cpu, in); \
    }

/*
 * E is read and written: u<bits> op(cpu, in, u<bits> old, u64 *flags), which may not change anything but *flags. With
 * LOCK the result is stored if the operand is still `old`, else the operation is done again.
 */
#define X_UPDATE_E(name, bits, op) X_UPDATE_R(name, bits, op) X_UPDATE_M(name, bits, op)

#define X_UPDATE_R(name, bits, op) \
    static void name##_r##bits(struct cpu *cpu, const struct insn *in) \
    { \
        u64 flags = cpu->aflags; \
\
        reg_set##bits(cpu, in->rm, op(cpu, in, reg_get##bits(cpu, in->rm), &flags)); \
        cpu->aflags = flags; \
        INSN_NEXT(cpu, in); \
    }

#define X_UPDATE_M(name, bits, op) \
    X_SLOW static void name##_s##bits(struct cpu *cpu, const struct insn *in) \
    { \
        gva addr = insn_addr(cpu, in, bits / 8, true); \
        void *host = mem_rmw(cpu, in, addr, bits / 8); \
        u##bits old = host_get##bits(host); \
        u64 flags = cpu->aflags; \
\
        if (in->flags & INSN_LOCK) { \
            while (!host_cas##bits(host, &old, op(cpu, in, old, &flags))) \
                flags = cpu->aflags; \
        } else { \
            host_set##bits(host, op(cpu, in, old, &flags)); \
        } \
        cpu->aflags = flags; \
        mem_rmw_end(cpu, in, addr, host, bits / 8); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void name##_m##bits(struct cpu *cpu, const struct insn *in) \
    { \
        void *host = operand_w(cpu, in, bits / 8); \
        u64 flags = cpu->aflags; \
\
        if (unlikely(!host) || in->flags & INSN_LOCK) \
            INSN_TAIL name##_s##bits(cpu, in); \
        host_set##bits(host, op(cpu, in, host_get##bits(host), &flags)); \
        cpu->aflags = flags; \
        if (unlikely(operand_is_code(cpu, host))) \
            INSN_TAIL x_stored(cpu, in); \
        INSN_NEXT(cpu, in); \
    }

/* --- Addresses --- */

/* `offset` cut to the instruction's address size. */
static inline u64 address_cut(const struct insn *in, u64 offset)
{
    static const u64 masks[4] = { 0, 0xFFFF, 0xFFFFFFFF, ~(u64)0 };

    return offset & masks[(in->flags & INSN_ASZ) >> INSN_ASZ_SHIFT];
}

/* Linear address of `offset` in the operand's segment, for operands that are not the ModRM one. */
static inline gva operand_addr(struct cpu *cpu, const struct insn *in, u64 offset, unsigned size,
                               bool write)
{
    if (likely(in->flags & INSN_FLAT))
        return offset;
    return mem_seg_addr(cpu, in, offset, size, write);
}

/* --- Tables --- */

/* All sizes, or all but bytes. */
#define X_TABLE_E(table, name) \
    insn_fn *const table[8] = { name##_r8, name##_r16, name##_r32, name##_r64, \
                                name##_m8, name##_m16, name##_m32, name##_m64 };

#define X_TABLE_EV(table, name) \
    insn_fn *const table[8] = { NULL, name##_r16, name##_r32, name##_r64, \
                                NULL, name##_m16, name##_m32, name##_m64 };
