/* SPDX-License-Identifier: MIT */
/*
 * Decimal adjustments: AAA AAS AAM AAD DAA DAS, outside 64-bit mode. By the formulas of SDM vol. 2; flags that these
 * leave undefined are set by the result where they can be, and cleared else.
 */
#include "accel/soft/fault.h"
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

static u64 bcd_result_flags(u8 value)
{
    u64 flags = __builtin_parity(value) ? 0 : FLAG_PF;

    return flags | (value ? 0 : FLAG_ZF) | (value & 0x80 ? FLAG_SF : 0);
}

/* AAA and AAS: `step` is what is added to AX. */
static void bcd_ascii_adjust(struct cpu *cpu, int step)
{
    u16 ax = reg_get16(cpu, RAX);
    bool adjust = (ax & 0xF) > 9 || (cpu->aflags & FLAG_AF);

    if (adjust)
        ax = (u16)(ax + step);
    ax &= 0xFF0F;
    reg_set16(cpu, RAX, ax);
    cpu->aflags = bcd_result_flags((u8)ax) | (adjust ? FLAG_AF | FLAG_CF : 0);
}

static void aaa(struct cpu *cpu, const struct insn *in)
{
    bcd_ascii_adjust(cpu, 0x106);
    INSN_NEXT(cpu, in);
}

static void aas(struct cpu *cpu, const struct insn *in)
{
    bcd_ascii_adjust(cpu, -0x106);
    INSN_NEXT(cpu, in);
}

static void aam(struct cpu *cpu, const struct insn *in)
{
    u8 al = reg_get8(cpu, RAX), base = (u8)in->imm;

    if (!base)
        cpu_fault(cpu, in, VEC_DE, 0);
    reg_set16(cpu, RAX, (u16)(al / base << 8 | al % base));
    cpu->aflags = bcd_result_flags(al % base);
    INSN_NEXT(cpu, in);
}

static void aad(struct cpu *cpu, const struct insn *in)
{
    u16 ax = reg_get16(cpu, RAX);
    u8 al = (u8)(ax + (ax >> 8) * (unsigned)(u8)in->imm);

    reg_set16(cpu, RAX, al);
    cpu->aflags = bcd_result_flags(al);
    INSN_NEXT(cpu, in);
}

/* DAA and DAS: `sign` is 1 or -1. */
static void bcd_packed_adjust(struct cpu *cpu, int sign)
{
    u8 al = reg_get8(cpu, RAX), old = al;
    u64 carry = cpu->aflags & FLAG_CF;
    u64 flags = 0;

    if ((al & 0xF) > 9 || (cpu->aflags & FLAG_AF)) {
        al = (u8)(al + sign * 6);
        flags |= FLAG_AF | carry;
        /* DAS: the borrow of the low digit. */
        if (sign < 0 && old < 6)
            flags |= FLAG_CF;
    }
    if (old > 0x99 || carry) {
        al = (u8)(al + sign * 0x60);
        flags |= FLAG_CF;
    }
    reg_set8(cpu, RAX, al);
    cpu->aflags = flags | bcd_result_flags(al);
}

static void daa(struct cpu *cpu, const struct insn *in)
{
    bcd_packed_adjust(cpu, 1);
    INSN_NEXT(cpu, in);
}

static void das(struct cpu *cpu, const struct insn *in)
{
    bcd_packed_adjust(cpu, -1);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_aaa[8] = X_REG(aaa);
insn_fn *const x_aas[8] = X_REG(aas);
insn_fn *const x_aam[8] = X_REG(aam);
insn_fn *const x_aad[8] = X_REG(aad);
insn_fn *const x_daa[8] = X_REG(daa);
insn_fn *const x_das[8] = X_REG(das);
