/* SPDX-License-Identifier: MIT */
/* ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NOT NEG. SDM vol. 2, instruction reference. */
#include "accel/soft/alu.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

ALU_SIZES(ALU_BINARY, add)
ALU_SIZES(ALU_BINARY, or)
ALU_SIZES(ALU_BINARY_CARRY, adc)
ALU_SIZES(ALU_BINARY_CARRY, sbb)
ALU_SIZES(ALU_BINARY, and)
ALU_SIZES(ALU_BINARY, sub)
ALU_SIZES(ALU_BINARY, xor)
ALU_SIZES(ALU_COMPARE, cmp)
ALU_SIZES(ALU_COMPARE, test)
ALU_SIZES(ALU_UNARY, inc)
ALU_SIZES(ALU_UNARY, dec)
ALU_SIZES(ALU_UNARY, neg)

void x_stored(struct cpu *cpu, const struct insn *in)
{
    gva addr = insn_offset(cpu, in);
    const u8 *host = (const u8 *)(addr + mem_tlb_entry(cpu, addr)->addend);

    mem_code_written(cpu, host, 1u << (in->flags >> INSN_OSZ_SHIFT));
    INSN_NEXT(cpu, in);
}

/* --- Two operands, the first one written --- */

#define BINARY_OPS(op, bits) \
    static inline u##bits op##_with_reg##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                              u64 *flags) \
    { \
        return alu_##op##bits(old, reg_get##bits(cpu, in->reg), flags); \
    } \
\
    static inline u##bits op##_with_imm##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                              u64 *flags) \
    { \
        (void)cpu; \
        return alu_##op##bits(old, (u##bits)in->imm, flags); \
    } \
\
    static inline void op##_to_reg##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        u64 flags = cpu->aflags; \
\
        reg_set##bits(cpu, in->reg, alu_##op##bits(reg_get##bits(cpu, in->reg), value, &flags)); \
        cpu->aflags = flags; \
    } \
\
    X_UPDATE_E(op##_E_G, bits, op##_with_reg##bits) \
    X_UPDATE_E(op##_E_I, bits, op##_with_imm##bits) \
    X_READ_E(op##_G_E, bits, op##_to_reg##bits)

#define BINARY(op) \
    ALU_SIZES(BINARY_OPS, op) \
    X_TABLE_E(x_##op##_E_G, op##_E_G) \
    X_TABLE_E(x_##op##_E_I, op##_E_I) \
    X_TABLE_E(x_##op##_G_E, op##_G_E)

BINARY(add)
BINARY(or)
BINARY(adc)
BINARY(sbb)
BINARY(and)
BINARY(sub)
BINARY(xor)

/* --- Two operands, only compared --- */

#define COMPARE_OPS(op, bits) \
    static inline void op##_reg##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        alu_##op##bits(value, reg_get##bits(cpu, in->reg), &cpu->aflags); \
    } \
\
    static inline void op##_imm##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        alu_##op##bits(value, (u##bits)in->imm, &cpu->aflags); \
    } \
\
    X_READ_E(op##_E_G, bits, op##_reg##bits) \
    X_READ_E(op##_E_I, bits, op##_imm##bits)

#define COMPARE(op) \
    ALU_SIZES(COMPARE_OPS, op) \
    X_TABLE_E(x_##op##_E_G, op##_E_G) \
    X_TABLE_E(x_##op##_E_I, op##_E_I)

COMPARE(cmp)
COMPARE(test)

#define COMPARE_TO(op, bits) \
    static inline void op##_to_reg##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        alu_##op##bits(reg_get##bits(cpu, in->reg), value, &cpu->aflags); \
    } \
\
    X_READ_E(op##_G_E, bits, op##_to_reg##bits)

ALU_SIZES(COMPARE_TO, cmp)
X_TABLE_E(x_cmp_G_E, cmp_G_E)

/* --- One operand --- */

#define UNARY_OPS(op, bits) \
    static inline u##bits op##_value##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                           u64 *flags) \
    { \
        (void)cpu; \
        (void)in; \
        return alu_##op##bits(old, flags); \
    } \
\
    X_UPDATE_E(op##_E, bits, op##_value##bits)

#define UNARY(op) \
    ALU_SIZES(UNARY_OPS, op) \
    X_TABLE_E(x_##op##_E, op##_E)

/* NOT leaves the flags alone. */
#define ALU_NOT(op, bits) \
    static inline u##bits alu_##op##bits(u##bits a, u64 *flags) \
    { \
        (void)flags; \
        return (u##bits) ~a; \
    }

ALU_SIZES(ALU_NOT, not )

UNARY(inc)
UNARY(dec)
UNARY(neg)
UNARY(not )
