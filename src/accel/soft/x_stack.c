/* SPDX-License-Identifier: MIT */
/* PUSH POP PUSHA POPA ENTER LEAVE. */
#include "accel/soft/stack.h"

#include "accel/soft/decode.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

u64 stack_load(struct cpu *cpu, const struct insn *in, u64 sp, unsigned size)
{
    gva addr = mem_seg_linear(cpu, in, SEG_SS, sp, size, false);

    switch (size) {
    case 2: return mem_load16(cpu, in, addr);
    case 4: return mem_load32(cpu, in, addr);
    default: return mem_load64(cpu, in, addr);
    }
}

void stack_store(struct cpu *cpu, const struct insn *in, u64 sp, unsigned size, u64 value)
{
    gva addr = mem_seg_linear(cpu, in, SEG_SS, sp, size, true);

    switch (size) {
    case 2: mem_store16(cpu, in, addr, (u16)value); break;
    case 4: mem_store32(cpu, in, addr, (u32)value); break;
    default: mem_store64(cpu, in, addr, value); break;
    }
}

/* --- PUSH --- */

/* After a 64-bit push to a page with code. */
static void push_code(struct cpu *cpu, const struct insn *in)
{
    gva addr = cpu->gpr[RSP];

    mem_code_written(cpu, (const u8 *)(addr + mem_tlb_entry(cpu, addr)->addend), 8);
    INSN_NEXT(cpu, in);
}

#define PUSH(name, value) \
    X_SLOW static void name##_slow(struct cpu *cpu, const struct insn *in) \
    { \
        stack_push(cpu, in, 8, value); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void name##_64(struct cpu *cpu, const struct insn *in) \
    { \
        gva addr = cpu->gpr[RSP] - 8; \
        void *host = stack_fast_w(cpu, addr); \
\
        if (unlikely(!host)) \
            INSN_TAIL name##_slow(cpu, in); \
        host_set64(host, value); \
        cpu->gpr[RSP] = addr; \
        if (unlikely(operand_is_code(cpu, host))) \
            INSN_TAIL push_code(cpu, in); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void name##_32(struct cpu *cpu, const struct insn *in) \
    { \
        stack_push(cpu, in, 4, value); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void name##_16(struct cpu *cpu, const struct insn *in) \
    { \
        stack_push(cpu, in, 2, value); \
        INSN_NEXT(cpu, in); \
    }

PUSH(push_reg, cpu->gpr[in->rm])
PUSH(push_imm, in->imm)

#define PUSH_MEMORY(bits) \
    static void push_mem_##bits(struct cpu *cpu, const struct insn *in) \
    { \
        u64 value = mem_load##bits(cpu, in, insn_addr(cpu, in, bits / 8, false)); \
\
        stack_push(cpu, in, bits / 8, value); \
        INSN_NEXT(cpu, in); \
    }

PUSH_MEMORY(16)
PUSH_MEMORY(32)
PUSH_MEMORY(64)

insn_fn *const x_push_E[8] = { NULL, push_reg_16, push_reg_32, push_reg_64,
                               NULL, push_mem_16, push_mem_32, push_mem_64 };
insn_fn *const x_push_I[8] = { NULL, push_imm_16, push_imm_32, push_imm_64 };

/* --- POP --- */

#define POP_REG(bits) \
    static void pop_reg_##bits(struct cpu *cpu, const struct insn *in) \
    { \
        u64 value = stack_load(cpu, in, stack_sp(cpu, 0), bits / 8); \
\
        stack_set_sp(cpu, stack_sp(cpu, bits / 8)); \
        reg_set##bits(cpu, in->rm, (u##bits)value); \
        INSN_NEXT(cpu, in); \
    }

POP_REG(16)
POP_REG(32)

X_SLOW static void pop_reg_slow(struct cpu *cpu, const struct insn *in)
{
    u64 value = stack_load(cpu, in, cpu->gpr[RSP], 8);

    cpu->gpr[RSP] += 8;
    cpu->gpr[in->rm] = value;
    INSN_NEXT(cpu, in);
}

static void pop_reg_64(struct cpu *cpu, const struct insn *in)
{
    const void *host = stack_fast_r(cpu, cpu->gpr[RSP]);

    if (unlikely(!host))
        INSN_TAIL pop_reg_slow(cpu, in);
    cpu->gpr[RSP] += 8;
    cpu->gpr[in->rm] = host_get64(host);
    INSN_NEXT(cpu, in);
}

/* An address with RSP as its base is computed after RSP was incremented. */
#define POP_MEMORY(bits) \
    static void pop_mem_##bits(struct cpu *cpu, const struct insn *in) \
    { \
        u64 value = stack_load(cpu, in, stack_sp(cpu, 0), bits / 8); \
        u64 offset = insn_offset(cpu, in) + (in->base == RSP ? bits / 8 : 0); \
\
        mem_store##bits(cpu, in, operand_addr(cpu, in, offset, bits / 8, true), (u##bits)value); \
        stack_set_sp(cpu, stack_sp(cpu, bits / 8)); \
        INSN_NEXT(cpu, in); \
    }

POP_MEMORY(16)
POP_MEMORY(32)
POP_MEMORY(64)

insn_fn *const x_pop_E[8] = { NULL, pop_reg_16, pop_reg_32, pop_reg_64,
                              NULL, pop_mem_16, pop_mem_32, pop_mem_64 };

/* --- PUSHA, POPA: from RAX down to RDI --- */

static void pusha(struct cpu *cpu, const struct insn *in)
{
    unsigned size = 1u << insn_osz(in);

    for (unsigned i = 0; i < 8; i++)
        stack_store(cpu, in, stack_sp(cpu, -(i64)(size * (i + 1))), size, cpu->gpr[i]);
    stack_set_sp(cpu, stack_sp(cpu, -(i64)(size * 8)));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_pusha[8] = X_REG(pusha);

static void popa(struct cpu *cpu, const struct insn *in)
{
    unsigned size = 1u << insn_osz(in);
    u64 values[8];

    for (unsigned i = 0; i < 8; i++)
        values[7 - i] = stack_load(cpu, in, stack_sp(cpu, size * i), size);
    stack_set_sp(cpu, stack_sp(cpu, size * 8));
    for (unsigned i = 0; i < 8; i++) {
        if (i == RSP)
            continue;
        if (size == 2)
            reg_set16(cpu, i, (u16)values[i]);
        else
            reg_set32(cpu, i, (u32)values[i]);
    }
    INSN_NEXT(cpu, in);
}

insn_fn *const x_popa[8] = X_REG(popa);

/* --- ENTER, LEAVE --- */

static void stack_set_rbp(struct cpu *cpu, unsigned size, u64 value)
{
    if (size == 2)
        reg_set16(cpu, RBP, (u16)value);
    else if (size == 4)
        reg_set32(cpu, RBP, (u32)value);
    else
        cpu->gpr[RBP] = value;
}

/* The frame pointers of the enclosing procedures, and this one's. */
static void enter_display(struct cpu *cpu, const struct insn *in, unsigned level, u64 frame)
{
    unsigned size = 1u << insn_osz(in);

    for (unsigned i = 1; i < level; i++) {
        u64 outer = (cpu->gpr[RBP] - (u64)size * i) & stack_mask(cpu);
        u64 value = stack_load(cpu, in, outer, size);

        stack_store(cpu, in, stack_sp(cpu, -(i64)(size * (i + 1))), size, value);
    }
    stack_store(cpu, in, stack_sp(cpu, -(i64)(size * (level + 1))), size, frame);
}

/* A write at the final stack pointer must be possible (SDM vol. 2A, ENTER); nothing is changed by it. */
static void enter_probe(struct cpu *cpu, const struct insn *in, u64 sp)
{
    unsigned size = 1u << insn_osz(in);
    gva addr = mem_seg_linear(cpu, in, SEG_SS, sp, size, true);
    void *host = mem_rmw(cpu, in, addr, size);

    mem_rmw_end(cpu, in, addr, host, size);
}

static void enter(struct cpu *cpu, const struct insn *in)
{
    unsigned size = 1u << insn_osz(in);
    unsigned alloc = in->imm & 0xFFFF, level = in->imm >> 16 & 31;
    u64 frame = stack_sp(cpu, -(i64)size);
    u64 sp = stack_sp(cpu, -(i64)(size * (level + 1) + alloc));

    stack_store(cpu, in, frame, size, cpu->gpr[RBP]);
    if (level)
        enter_display(cpu, in, level, frame);
    enter_probe(cpu, in, sp);
    stack_set_rbp(cpu, size, frame);
    stack_set_sp(cpu, sp);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_enter[8] = X_REG(enter);

static void leave(struct cpu *cpu, const struct insn *in)
{
    unsigned size = 1u << insn_osz(in);
    u64 frame = cpu->gpr[RBP] & stack_mask(cpu);
    u64 value = stack_load(cpu, in, frame, size);

    stack_set_sp(cpu, (frame + size) & stack_mask(cpu));
    stack_set_rbp(cpu, size, value);
    INSN_NEXT(cpu, in);
}

X_SLOW static void leave_slow(struct cpu *cpu, const struct insn *in)
{
    INSN_TAIL leave(cpu, in);
}

static void leave_64(struct cpu *cpu, const struct insn *in)
{
    const void *host = stack_fast_r(cpu, cpu->gpr[RBP]);

    if (unlikely(!host))
        INSN_TAIL leave_slow(cpu, in);
    cpu->gpr[RSP] = cpu->gpr[RBP] + 8;
    cpu->gpr[RBP] = host_get64(host);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_leave[8] = { NULL, leave, leave, leave_64 };
