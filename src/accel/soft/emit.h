/* SPDX-License-Identifier: MIT */
/*
 * The host assembler of the translator: x86-64 machine code, one typed function for each kind of instruction.
 * Encodings: SDM vol. 2A, chapter 2. Running out of room, or asking for what cannot be encoded, sets a sticky
 * flag that the caller looks at once.
 */
#pragma once

#include "base/types.h"

/* Host registers by number; the high bytes AH CH DH BH follow. */
enum host_reg {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_R8,
    H_R9,
    H_R10,
    H_R11,
    H_R12,
    H_R13,
    H_R14,
    H_R15,
    H_AH,
    H_CH,
    H_DH,
    H_BH,
    H_NONE = 0xFF,
};

enum emit_kind { EMIT_REG, EMIT_MEM, EMIT_GS };

/* A register, [base + index * scale + disp], or the same without base in the GS segment. */
struct emit_operand {
    u8 kind;  /* enum emit_kind */
    u8 base;  /* register of EMIT_REG; base of EMIT_MEM, H_NONE for none */
    u8 index; /* H_NONE for none */
    u8 scale; /* 0..3 */
    i32 disp;
};

struct emit {
    u8 *at;
    u8 *end;
    bool overflow; /* out of room */
    bool conflict; /* cannot be encoded: a high byte with a REX prefix */
};

/* Prefixes of emit_op. */
#define EMIT_LOCK 1u
#define EMIT_F3   2u

/* Condition codes, SDM vol. 1, appendix B. */
enum emit_condition { EMIT_B = 2, EMIT_E = 4, EMIT_NE = 5, EMIT_A = 7 };

static inline struct emit_operand emit_reg(unsigned reg)
{
    return (struct emit_operand){ .kind = EMIT_REG, .base = (u8)reg, .index = H_NONE };
}

static inline struct emit_operand emit_mem(unsigned base, i32 disp)
{
    return (
        struct emit_operand){ .kind = EMIT_MEM, .base = (u8)base, .index = H_NONE, .disp = disp };
}

static inline struct emit_operand emit_gs(u64 offset)
{
    return (struct emit_operand){
        .kind = EMIT_GS, .base = H_NONE, .index = H_NONE, .disp = (i32)offset
    };
}

void emit_byte(struct emit *e, unsigned byte);
void emit_u32(struct emit *e, u32 value);
void emit_u64(struct emit *e, u64 value);

/*
 * The general form: `opcode` (0x89, 0x0FB6, 0x0F38F0) with ModRM. `size` is log2 of the operand's bytes: 1 gives a 66
 * prefix, 3 REX.W; with 0, registers are byte registers. `reg` is a register or an opcode extension.
 */
void emit_op(struct emit *e, unsigned flags, unsigned opcode, unsigned size, unsigned reg,
             struct emit_operand rm);

/* The same with byte-ness of `reg` and `rm` apart (movzx, setcc). */
void emit_op_mixed(struct emit *e, unsigned flags, unsigned opcode, unsigned size, bool reg_byte,
                   unsigned reg, bool rm_byte, struct emit_operand rm);

/* mov, 64 bits unless the name says otherwise. */
void emit_load(struct emit *e, unsigned reg, struct emit_operand from);
void emit_store(struct emit *e, struct emit_operand to, unsigned reg);
void emit_mov(struct emit *e, unsigned to, unsigned from);
void emit_mov_imm(struct emit *e, unsigned reg, u64 value);
void emit_lea(struct emit *e, unsigned size, unsigned reg, struct emit_operand from);

/* Group 1 (`digit` ADD OR ADC SBB AND SUB XOR CMP) with an immediate that fits 32 bits, sign-extended. */
void emit_group1(struct emit *e, unsigned flags, unsigned digit, unsigned size,
                 struct emit_operand rm, i32 imm);

/* A SIMD instruction but for its operands. */
struct emit_simd {
    u8 prefix; /* 0, 0x66, 0xF3, 0xF2 */
    u8 map;    /* 1: 0F, 2: 0F38, 3: 0F3A */
    u8 opcode;
    bool vex, w, l;
};

/* `reg` and `vvvv` (0 when there is none) are register numbers, or `reg` an opcode extension. No immediate. */
void emit_simd(struct emit *e, const struct emit_simd *op, unsigned reg, unsigned vvvv,
               struct emit_operand rm);

/* An immediate of the size's bytes (four for 8-byte operands). */
void emit_imm(struct emit *e, unsigned size, u64 imm);

/* Jumps. The forward ones return where their 32-bit displacement is, for emit_patch. */
u8 *emit_jcc(struct emit *e, unsigned condition);
u8 *emit_jmp(struct emit *e);
void emit_jcc_to(struct emit *e, unsigned condition, const u8 *target);
void emit_jmp_to(struct emit *e, const u8 *target);
void emit_call_to(struct emit *e, const u8 *target);
void emit_patch(struct emit *e, u8 *place, const u8 *target);
