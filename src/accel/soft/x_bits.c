/* SPDX-License-Identifier: MIT */
/* BT BTS BTR BTC BSF BSR TZCNT LZCNT POPCNT. */
#include "accel/soft/alu.h"
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

#define BYTES_LOG2_16 1
#define BYTES_LOG2_32 2
#define BYTES_LOG2_64 3

/* --- One bit: CF gets it, ZF stays, and so do the undefined flags --- */

#define BIT_ADDR(bits) \
    /* A bit number in a register reaches beyond the operand, both ways (SDM vol. 2A, 3.1.1.9). */ \
    static inline gva bit_addr##bits(struct cpu *cpu, const struct insn *in, bool write) \
    { \
        i64 number = (i##bits)reg_get##bits(cpu, in->reg); \
        i64 unit = number >> (3 + BYTES_LOG2_##bits); \
        u64 offset = insn_offset(cpu, in) + (u64)unit * (bits / 8); \
\
        return operand_addr(cpu, in, offset, bits / 8, write); \
    } \
\
    static inline u##bits bit_mask##bits(u64 number) \
    { \
        return (u##bits)((u##bits)1 << (number & (bits - 1))); \
    }

BIT_ADDR(16)
BIT_ADDR(32)
BIT_ADDR(64)

#define BT_OPS(bits) \
    static inline void bt_imm##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        flags_set_carry(cpu, value &bit_mask##bits(in->imm)); \
    } \
\
    static inline void bt_reg##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        flags_set_carry(cpu, value &bit_mask##bits(cpu->gpr[in->reg])); \
    } \
\
    static void bt_E_G_m##bits(struct cpu *cpu, const struct insn *in) \
    { \
        bt_reg##bits(cpu, in, mem_load##bits(cpu, in, bit_addr##bits(cpu, in, false))); \
        INSN_NEXT(cpu, in); \
    } \
\
    X_READ_E(bt_E_I, bits, bt_imm##bits) \
    X_READ_R(bt_E_G, bits, bt_reg##bits)

BT_OPS(16)
BT_OPS(32)
BT_OPS(64)
X_TABLE_EV(x_bt_E_I, bt_E_I)
X_TABLE_EV(x_bt_E_G, bt_E_G)

static inline u64 carry_of(u64 flags, bool bit)
{
    return (flags & ~FLAG_CF) | (bit ? FLAG_CF : 0);
}

#define BIT_CHANGE_OPS(op, bits) \
    static inline u##bits op##_imm##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                         u64 *flags) \
    { \
        (void)cpu; \
        *flags = carry_of(*flags, old & bit_mask##bits(in->imm)); \
        return op##_change##bits(old, bit_mask##bits(in->imm)); \
    } \
\
    static inline u##bits op##_reg##bits(struct cpu *cpu, const struct insn *in, u##bits old, \
                                         u64 *flags) \
    { \
        *flags = carry_of(*flags, old & bit_mask##bits(cpu->gpr[in->reg])); \
        return op##_change##bits(old, bit_mask##bits(cpu->gpr[in->reg])); \
    } \
\
    static void op##_E_G_m##bits(struct cpu *cpu, const struct insn *in) \
    { \
        gva addr = bit_addr##bits(cpu, in, true); \
        void *host = mem_rmw(cpu, in, addr, bits / 8); \
        u##bits old = host_get##bits(host); \
        u64 flags = cpu->aflags; \
\
        if (in->flags & INSN_LOCK) \
            while (!host_cas##bits(host, &old, op##_reg##bits(cpu, in, old, &flags))) \
                ; \
        else \
            host_set##bits(host, op##_reg##bits(cpu, in, old, &flags)); \
        cpu->aflags = flags; \
        mem_rmw_end(cpu, in, addr, host, bits / 8); \
        INSN_NEXT(cpu, in); \
    } \
\
    X_UPDATE_E(op##_E_I, bits, op##_imm##bits) \
    X_UPDATE_R(op##_E_G, bits, op##_reg##bits)

#define BIT_CHANGE(op, expression) \
    static inline u16 op##_change16(u16 old, u16 mask) \
    { \
        return (u16)(expression); \
    } \
\
    static inline u32 op##_change32(u32 old, u32 mask) \
    { \
        return expression; \
    } \
\
    static inline u64 op##_change64(u64 old, u64 mask) \
    { \
        return expression; \
    } \
\
    ALU_WORD_SIZES(BIT_CHANGE_OPS, op) \
    X_TABLE_EV(x_##op##_E_I, op##_E_I) \
    X_TABLE_EV(x_##op##_E_G, op##_E_G)

BIT_CHANGE(bts, old | mask)
BIT_CHANGE(btr, old & ~mask)
BIT_CHANGE(btc, old ^ mask)

/* --- Scans and counts. BSF and BSR of zero leave the destination to the host's habit --- */

#define SCAN_OPS(op, bits) \
    static inline void op##_to_reg##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        u64 flags = cpu->aflags; \
\
        cpu->gpr[in->reg] = alu_##op##bits(cpu->gpr[in->reg], value, &flags); \
        cpu->aflags = flags; \
    } \
\
    X_READ_E(op##_G_E, bits, op##_to_reg##bits)

#define SCAN(op) \
    ALU_SCAN(op, 16, "w") \
    ALU_SCAN(op, 32, "k") \
    ALU_SCAN(op, 64, "q") \
    ALU_WORD_SIZES(SCAN_OPS, op) \
    X_TABLE_EV(x_##op##_G_E, op##_G_E)

SCAN(bsf)
SCAN(bsr)
SCAN(tzcnt)
SCAN(lzcnt)
SCAN(popcnt)
