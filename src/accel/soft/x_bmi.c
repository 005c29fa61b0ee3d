/* SPDX-License-Identifier: MIT */
/* BMI1, BMI2, ADX and CRC32. Their rows exist only when the host has the instruction, so it is used. */
#include "accel/soft/alu.h"
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

#define BMI_SIZES(M, op) M(op, 32) M(op, 64)

#define BMI_TABLE(table, name) \
    insn_fn *const table[8] = { NULL, NULL, name##_r32, name##_r64, \
                                NULL, NULL, name##_m32, name##_m64 };

/* --- reg = op(vreg, E): operands in the order of the assembler, last source first --- */

#define BMI_REG(op, bits) \
    static inline void op##_to_reg##bits(struct cpu *cpu, const struct insn *in, u##bits e) \
    { \
        u##bits v = reg_get##bits(cpu, in->vreg); \
\
        reg_set##bits(cpu, in->reg, alu_##op##bits(v, e, &cpu->aflags)); \
    } \
\
    X_READ_E(op, bits, op##_to_reg##bits)

#define BMI_FLAGS_V_E(op, bits) ALU_BMI(op, bits, v, e) BMI_REG(op, bits)
#define BMI_FLAGS_E_V(op, bits) ALU_BMI(op, bits, e, v) BMI_REG(op, bits)
#define BMI_PLAIN_V_E(op, bits) ALU_BMI_PLAIN(op, bits, v, e) BMI_REG(op, bits)
#define BMI_PLAIN_E_V(op, bits) ALU_BMI_PLAIN(op, bits, e, v) BMI_REG(op, bits)

BMI_SIZES(BMI_FLAGS_E_V, andn)
BMI_TABLE(x_andn_G_B_E, andn)
BMI_SIZES(BMI_FLAGS_V_E, bextr)
BMI_TABLE(x_bextr_G_E_B, bextr)
BMI_SIZES(BMI_FLAGS_V_E, bzhi)
BMI_TABLE(x_bzhi_G_E_B, bzhi)
BMI_SIZES(BMI_PLAIN_E_V, pdep)
BMI_TABLE(x_pdep_G_B_E, pdep)
BMI_SIZES(BMI_PLAIN_E_V, pext)
BMI_TABLE(x_pext_G_B_E, pext)
BMI_SIZES(BMI_PLAIN_V_E, shlx)
BMI_TABLE(x_shlx_G_E_B, shlx)
BMI_SIZES(BMI_PLAIN_V_E, shrx)
BMI_TABLE(x_shrx_G_E_B, shrx)
BMI_SIZES(BMI_PLAIN_V_E, sarx)
BMI_TABLE(x_sarx_G_E_B, sarx)

/* --- vreg = op(E) --- */

#define BLS(op, bits) \
    ALU_BMI_ONE(op, bits) \
\
    static inline void op##_to_vreg##bits(struct cpu *cpu, const struct insn *in, u##bits e) \
    { \
        reg_set##bits(cpu, in->vreg, alu_##op##bits(e, &cpu->aflags)); \
    } \
\
    X_READ_E(op, bits, op##_to_vreg##bits)

BMI_SIZES(BLS, blsr)
BMI_TABLE(x_blsr_B_E, blsr)
BMI_SIZES(BLS, blsmsk)
BMI_TABLE(x_blsmsk_B_E, blsmsk)
BMI_SIZES(BLS, blsi)
BMI_TABLE(x_blsi_B_E, blsi)

/* --- RORX, MULX --- */

#define RORX(op, bits) \
    static inline void op##_to_reg##bits(struct cpu *cpu, const struct insn *in, u##bits e) \
    { \
        unsigned count = in->imm & (bits - 1); \
\
        reg_set##bits(cpu, in->reg, e >> count | e << (-count & (bits - 1))); \
    } \
\
    X_READ_E(op, bits, op##_to_reg##bits)

BMI_SIZES(RORX, rorx)
BMI_TABLE(x_rorx_G_E_I, rorx)

/* The high half is written last: it stays when both go to one register. */
static inline void mulx_to_regs32(struct cpu *cpu, const struct insn *in, u32 e)
{
    u64 product = (u64)reg_get32(cpu, RDX) * e;

    reg_set32(cpu, in->vreg, (u32)product);
    reg_set32(cpu, in->reg, (u32)(product >> 32));
}

static inline void mulx_to_regs64(struct cpu *cpu, const struct insn *in, u64 e)
{
    unsigned __int128 product = (unsigned __int128)cpu->gpr[RDX] * e;

    reg_set64(cpu, in->vreg, (u64)product);
    reg_set64(cpu, in->reg, (u64)(product >> 64));
}

X_READ_E(mulx, 32, mulx_to_regs32)
X_READ_E(mulx, 64, mulx_to_regs64)
BMI_TABLE(x_mulx_G_B_E, mulx)

/* --- ADCX, ADOX: addition with carry in one flag of its own --- */

#define ADX(op, bits, flag) \
    static inline void op##_to_reg##bits(struct cpu *cpu, const struct insn *in, u##bits e) \
    { \
        u##bits sum; \
        bool carry = __builtin_add_overflow(reg_get##bits(cpu, in->reg), e, &sum); \
\
        carry |= __builtin_add_overflow(sum, (u##bits) !!(cpu->aflags & (flag)), &sum); \
        flags_merge(cpu, flag, carry ? (flag) : 0); \
        reg_set##bits(cpu, in->reg, sum); \
    } \
\
    X_READ_E(op, bits, op##_to_reg##bits)

ADX(adcx, 32, FLAG_CF)
ADX(adcx, 64, FLAG_CF)
BMI_TABLE(x_adcx_G_E, adcx)
ADX(adox, 32, FLAG_OF)
ADX(adox, 64, FLAG_OF)
BMI_TABLE(x_adox_G_E, adox)

/* --- CRC32: by the size of the source; the sum has 32 bits --- */

#define CRC32(bits, sum_type) \
    ALU_CRC32(bits, sum_type) \
\
    static inline void crc32_by##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        cpu->gpr[in->reg] = alu_crc32_##bits(cpu->gpr[in->reg], value); \
    } \
\
    X_READ_E(crc32, bits, crc32_by##bits)

CRC32(8, u32)
CRC32(16, u32)
CRC32(32, u32)
CRC32(64, u64)
X_TABLE_E(x_crc32_G_E, crc32)
