/* SPDX-License-Identifier: MIT */
/* ROL ROR RCL RCR SHL SHR SAR SHLD SHRD. The host masks the counts as the guest's CPU would. */
#include "accel/soft/alu.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

/* --- By a count in CL: zero keeps all flags, so they are loaded first --- */

#define COUNT_OPS(op, bits) \
    ALU_SHIFT(op, bits) \
\
    static inline u##bits op##_by_cl##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                           u64 *flags) \
    { \
        (void)in; \
        return alu_##op##bits(old, reg_get8(cpu, RCX * 8), flags); \
    } \
\
    X_UPDATE_E(op##_E_C, bits, op##_by_cl##bits)

/* --- Rotates keep SF, ZF, AF and PF --- */

#define ROTATE_OPS(op, bits) \
    COUNT_OPS(op, bits) \
    ALU_SHIFT_1(op, bits) \
\
    static inline u##bits op##_by_imm##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                            u64 *flags) \
    { \
        (void)cpu; \
        return alu_##op##bits(old, (u8)in->imm, flags); \
    } \
\
    static inline u##bits op##_by_1_##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                           u64 *flags) \
    { \
        (void)cpu; \
        (void)in; \
        return alu_##op##_1_##bits(old, flags); \
    } \
\
    X_UPDATE_E(op##_E_I, bits, op##_by_imm##bits) \
    X_UPDATE_E(op##_E_1, bits, op##_by_1_##bits)

/* --- Shifts by a known count write all flags, or none when it is zero --- */

#define COUNT_MASK_8  31
#define COUNT_MASK_16 31
#define COUNT_MASK_32 31
#define COUNT_MASK_64 63

#define SHIFT_OPS(op, bits) \
    COUNT_OPS(op, bits) \
    ALU_SHIFT_SURE(op, bits) \
\
    static inline u##bits op##_by_imm##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                            u64 *flags) \
    { \
        (void)cpu; \
        if (unlikely(!(in->imm & COUNT_MASK_##bits))) \
            return old; \
        return alu_##op##_sure##bits(old, (u8)in->imm, flags); \
    } \
\
    static inline u##bits op##_by_1_##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                           u64 *flags) \
    { \
        (void)cpu; \
        (void)in; \
        return alu_##op##_sure##bits(old, 1, flags); \
    } \
\
    X_UPDATE_E(op##_E_I, bits, op##_by_imm##bits) \
    X_UPDATE_E(op##_E_1, bits, op##_by_1_##bits)

/*
 * A 32-bit register is zero-extended when the count is zero, too: X_UPDATE_E writes it in any case, like the CPU.
 */
#define SHIFT(op, kind) \
    ALU_SIZES(kind, op) \
    X_TABLE_E(x_##op##_E_I, op##_E_I) \
    X_TABLE_E(x_##op##_E_C, op##_E_C) \
    X_TABLE_E(x_##op##_E_1, op##_E_1)

SHIFT(rol, ROTATE_OPS)
SHIFT(ror, ROTATE_OPS)
SHIFT(rcl, ROTATE_OPS)
SHIFT(rcr, ROTATE_OPS)
SHIFT(shl, SHIFT_OPS)
SHIFT(shr, SHIFT_OPS)
SHIFT(sar, SHIFT_OPS)

/* --- SHLD, SHRD --- */

#define SHIFT_DOUBLE_OPS(op, bits) \
    ALU_SHIFT_DOUBLE(op, bits) \
\
    static inline u##bits op##_by_imm##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                            u64 *flags) \
    { \
        return alu_##op##bits(old, reg_get##bits(cpu, in->reg), (u8)in->imm, flags); \
    } \
\
    static inline u##bits op##_by_cl##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                           u64 *flags) \
    { \
        return alu_##op##bits(old, reg_get##bits(cpu, in->reg), reg_get8(cpu, RCX * 8), flags); \
    } \
\
    X_UPDATE_E(op##_E_G_I, bits, op##_by_imm##bits) \
    X_UPDATE_E(op##_E_G_C, bits, op##_by_cl##bits)

#define SHIFT_DOUBLE(op) \
    ALU_WORD_SIZES(SHIFT_DOUBLE_OPS, op) \
    X_TABLE_EV(x_##op##_E_G_I, op##_E_G_I) \
    X_TABLE_EV(x_##op##_E_G_C, op##_E_G_C)

SHIFT_DOUBLE(shld)
SHIFT_DOUBLE(shrd)
