/* SPDX-License-Identifier: MIT */
/* MUL IMUL DIV IDIV. Division leaves the flags alone (they are undefined). */
#include "accel/soft/alu.h"
#include "accel/soft/fault.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

/* --- One operand: the double-width product in AX, or DX:AX, EDX:EAX, RDX:RAX --- */

#define MUL_OPS(op, bits) \
    ALU_MULTIPLY(op, bits) \
\
    static inline void op##_by##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        u##bits high; \
\
        (void)in; \
        reg_set##bits(cpu, RAX, \
                      alu_##op##_wide##bits(reg_get##bits(cpu, RAX), value, &high, &cpu->aflags)); \
        reg_set##bits(cpu, RDX, high); \
    } \
\
    X_READ_E(op##_E, bits, op##_by##bits)

#define MUL(op) \
    ALU_MULTIPLY_8(op) \
\
    static inline void op##_by8(struct cpu *cpu, const struct insn *in, u8 value) \
    { \
        (void)in; \
        reg_set16(cpu, RAX, alu_##op##_wide8(reg_get8(cpu, RAX), value, &cpu->aflags)); \
    } \
\
    X_READ_E(op##_E, 8, op##_by8) \
    ALU_WORD_SIZES(MUL_OPS, op) \
    X_TABLE_E(x_##op##_E, op##_E)

MUL(mul)
MUL(imul)

/* --- Two and three operands --- */

#define IMUL_OPS(op, bits) \
    ALU_BINARY(op, bits) \
\
    static inline void op##_reg##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        reg_set##bits(cpu, in->reg, \
                      alu_##op##bits(reg_get##bits(cpu, in->reg), value, &cpu->aflags)); \
    } \
\
    static inline void op##_imm##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        reg_set##bits(cpu, in->reg, alu_##op##bits((u##bits)in->imm, value, &cpu->aflags)); \
    } \
\
    X_READ_E(op##_G_E, bits, op##_reg##bits) \
    X_READ_E(op##_G_E_I, bits, op##_imm##bits)

ALU_WORD_SIZES(IMUL_OPS, imul)
X_TABLE_EV(x_imul_G_E, imul_G_E)
X_TABLE_EV(x_imul_G_E_I, imul_G_E_I)

/* --- Unsigned division --- */

ALU_DIVIDE_64(div)
ALU_DIVIDE_64(idiv)

static inline void div_by8(struct cpu *cpu, const struct insn *in, u8 value)
{
    u16 dividend = reg_get16(cpu, RAX);

    if (value <= dividend >> 8)
        cpu_fault(cpu, in, VEC_DE, 0);
    reg_set16(cpu, RAX, (u16)((dividend % value) << 8 | dividend / value));
}

static inline void div_by16(struct cpu *cpu, const struct insn *in, u16 value)
{
    u32 dividend = (u32)reg_get16(cpu, RDX) << 16 | reg_get16(cpu, RAX);

    if (value <= dividend >> 16)
        cpu_fault(cpu, in, VEC_DE, 0);
    reg_set16(cpu, RAX, (u16)(dividend / value));
    reg_set16(cpu, RDX, (u16)(dividend % value));
}

static inline void div_by32(struct cpu *cpu, const struct insn *in, u32 value)
{
    u64 dividend = (u64)reg_get32(cpu, RDX) << 32 | reg_get32(cpu, RAX);

    if (value <= dividend >> 32)
        cpu_fault(cpu, in, VEC_DE, 0);
    reg_set32(cpu, RAX, (u32)(dividend / value));
    reg_set32(cpu, RDX, (u32)(dividend % value));
}

static inline void div_by64(struct cpu *cpu, const struct insn *in, u64 value)
{
    if (value <= cpu->gpr[RDX])
        cpu_fault(cpu, in, VEC_DE, 0);
    alu_div64(&cpu->gpr[RAX], &cpu->gpr[RDX], value);
}

/* --- Signed division --- */

static inline void idiv_by8(struct cpu *cpu, const struct insn *in, u8 value)
{
    i32 dividend = (i16)cpu->gpr[RAX], divisor = (i8)value;

    if (!divisor || dividend / divisor != (i8)(dividend / divisor))
        cpu_fault(cpu, in, VEC_DE, 0);
    reg_set16(cpu, RAX, (u16)((u8)(dividend % divisor) << 8 | (u8)(dividend / divisor)));
}

static inline void idiv_by16(struct cpu *cpu, const struct insn *in, u16 value)
{
    i64 dividend = (i32)((u32)reg_get16(cpu, RDX) << 16 | reg_get16(cpu, RAX)),
        divisor = (i16)value;

    if (!divisor || dividend / divisor != (i16)(dividend / divisor))
        cpu_fault(cpu, in, VEC_DE, 0);
    reg_set16(cpu, RAX, (u16)(dividend / divisor));
    reg_set16(cpu, RDX, (u16)(dividend % divisor));
}

static inline void idiv_by32(struct cpu *cpu, const struct insn *in, u32 value)
{
    i64 dividend = (i64)((u64)reg_get32(cpu, RDX) << 32 | reg_get32(cpu, RAX)),
        divisor = (i32)value;

    if (!divisor || (divisor == -1 && dividend == INT64_MIN) ||
        dividend / divisor != (i32)(dividend / divisor))
        cpu_fault(cpu, in, VEC_DE, 0);
    reg_set32(cpu, RAX, (u32)(dividend / divisor));
    reg_set32(cpu, RDX, (u32)(dividend % divisor));
}

/* Does RDX:RAX / value fit in 64 bits? By magnitudes; the quotient's may be 2^63 when it is negative. */
static bool idiv_fits64(u64 high, u64 low, u64 value)
{
    unsigned __int128 dividend = (unsigned __int128)high << 64 | low;
    bool negative = (i64)(high ^ value) < 0;
    u64 divisor = (i64)value < 0 ? -value : value;

    if ((i64)high < 0)
        dividend = -dividend;
    if (divisor <= (u64)(dividend >> 64))
        return false;
    return (u64)(dividend / divisor) <= (u64)INT64_MAX + negative;
}

static inline void idiv_by64(struct cpu *cpu, const struct insn *in, u64 value)
{
    if (!idiv_fits64(cpu->gpr[RDX], cpu->gpr[RAX], value))
        cpu_fault(cpu, in, VEC_DE, 0);
    alu_idiv64(&cpu->gpr[RAX], &cpu->gpr[RDX], value);
}

#define DIV_HANDLERS(op, bits) X_READ_E(op##_E, bits, op##_by##bits)

ALU_SIZES(DIV_HANDLERS, div)
X_TABLE_E(x_div_E, div_E)
ALU_SIZES(DIV_HANDLERS, idiv)
X_TABLE_E(x_idiv_E, idiv_E)
