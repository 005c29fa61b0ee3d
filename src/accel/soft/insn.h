/* SPDX-License-Identifier: MIT */
/*
 * struct insn: a decoded instruction as the interpreter runs it, and the rows that it is decoded by.
 *
 * A block is an array of these. Handlers are chained: each one ends with INSN_NEXT, which calls the next
 * one's handler as its last act; the last of a block sets cpu->rip and returns to the run loop.
 */
#pragma once

#include "accel/soft/state.h"
#include "base/types.h"

typedef void insn_fn(struct cpu *cpu, const struct insn *in);

#define INSN_MAX_LEN   15

/* insn.flags */
#define INSN_LOCK      BIT(0)
#define INSN_REP       BIT(1)   /* F3 */
#define INSN_REPNE     BIT(2)   /* F2 */
#define INSN_VEX_L     INSN_REP /* VEX.L in the VEX maps, which have no REP */
#define INSN_FLAT      BIT(3) /* memory operand: linear address = effective address (64-bit, no FS/GS) */
#define INSN_ASZ       (BIT(4) | BIT(5)) /* address size: 1 = 16, 2 = 32, 3 = 64 bits */
#define INSN_ASZ_SHIFT 4
#define INSN_OSZ       (BIT(6) | BIT(7)) /* operand size: 0 = 8, 1 = 16, 2 = 32, 3 = 64 bits */
#define INSN_OSZ_SHIFT 6

/* insn.rm of an instruction with a memory operand. */
#define INSN_RM_MEM    0xFF

struct insn {
    insn_fn *fn;
    union {
        u64 imm; /* immediate, extended to 64 bits; branch: target relative to the block's first byte */
        const struct hostop *hostop; /* SIMD/x87 run by the host: its stub */
    };
    i32 disp;     /* displacement; RIP-relative: from the block's first byte, with base = GPR_RIP */
    u16 off : 12; /* of the first byte, from the block's first byte */
    u16 len : 4;
    u16 row; /* index into insn_rows */
    /*
     * Registers. 16/32/64-bit GPRs, XMM, ST, MM, CR, DR, segment: the number. 8-bit GPRs: the byte's offset
     * in cpu->gpr (AH is 1, BL is 24). rm is meaningful when there is no memory operand.
     */
    u8 reg;
    u8 rm;
    u8 vreg; /* VEX.vvvv */
    u8 base; /* enum gpr; GPR_ZERO when absent */
    u8 index;
    u8 scale; /* 0..3 */
    u8 seg;   /* enum seg_reg, override applied */
    u8 flags; /* INSN_* */
};
_Static_assert(sizeof(struct insn) == 32, "struct insn is sized for the cache");

#if defined(__clang__)
#define INSN_TAIL __attribute__((musttail)) return
#else
#define INSN_TAIL return
#endif

/* The last statement of every handler that falls through to the next instruction. */
#define INSN_NEXT(cpu, in) INSN_TAIL(in)[1].fn(cpu, (in) + 1)

/* RIP of `in` and of the instruction after it; valid inside its block. */
static inline u64 insn_rip(const struct cpu *cpu, const struct insn *in)
{
    return cpu->gpr[GPR_RIP] + in->off;
}

static inline u64 insn_next_rip(const struct cpu *cpu, const struct insn *in)
{
    return cpu->gpr[GPR_RIP] + in->off + in->len;
}
