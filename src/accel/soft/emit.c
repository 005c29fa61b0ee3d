/* SPDX-License-Identifier: MIT */
/* The host assembler. SDM vol. 2A, chapter 2, order 325462-080. */
#include "accel/soft/emit.h"

#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"

#define REX       0x40u
#define REX_W     8u
#define REX_R     4u
#define REX_X     2u
#define REX_B     1u
#define PREFIX_GS 0x65u

void emit_byte(struct emit *e, unsigned byte)
{
    if (e->at >= e->end) {
        e->overflow = true;
        return;
    }
    *e->at++ = (u8)byte;
}

static void emit_bytes(struct emit *e, u64 value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        emit_byte(e, (unsigned)(value >> 8 * i) & 0xFF);
}

void emit_u32(struct emit *e, u32 value)
{
    emit_bytes(e, value, 4);
}

void emit_u64(struct emit *e, u64 value)
{
    emit_bytes(e, value, 8);
}

void emit_imm(struct emit *e, unsigned size, u64 imm)
{
    emit_bytes(e, imm, size == 0 ? 1 : size == 1 ? 2 : 4);
}

static bool emit_is_high(unsigned reg)
{
    return reg >= H_AH && reg <= H_BH;
}

/* The number that goes into ModRM: AH..BH are 4..7. */
static unsigned emit_number(unsigned reg)
{
    return emit_is_high(reg) ? reg - H_AH + 4 : reg;
}

/* SPL BPL SIL DIL exist only with REX. */
static bool emit_needs_rex(unsigned reg)
{
    return reg >= 4 && reg < 8;
}

static void emit_modrm_mem(struct emit *e, unsigned reg, const struct emit_operand *rm)
{
    bool sib = rm->base == H_NONE || rm->index != H_NONE || (rm->base & 7) == 4;
    unsigned mod = 2;

    if (rm->base == H_NONE)
        mod = 0;
    else if (rm->disp == 0 && (rm->base & 7) != 5)
        mod = 0;
    else if (rm->disp >= -128 && rm->disp <= 127)
        mod = 1;
    emit_byte(e, mod << 6 | (reg & 7) << 3 | (sib ? 4 : rm->base & 7u));
    if (sib)
        emit_byte(e, (unsigned)rm->scale << 6 | (rm->index == H_NONE ? 4 : rm->index & 7u) << 3 |
                         (rm->base == H_NONE ? 5 : rm->base & 7u));
    if (mod == 1)
        emit_byte(e, (u8)rm->disp);
    else if (mod == 2 || rm->base == H_NONE)
        emit_u32(e, (u32)rm->disp);
}

static unsigned emit_rex(unsigned size, bool reg_byte, unsigned reg, bool rm_byte,
                         const struct emit_operand *rm)
{
    unsigned rex = size == 3 ? REX | REX_W : 0;

    if (reg_byte && emit_needs_rex(reg))
        rex |= REX;
    if (!emit_is_high(reg) && reg & 8)
        rex |= REX | REX_R;
    if (rm->kind == EMIT_REG) {
        if (rm_byte && emit_needs_rex(rm->base))
            rex |= REX;
        if (!emit_is_high(rm->base) && rm->base & 8)
            rex |= REX | REX_B;
        return rex;
    }
    if (rm->base != H_NONE && rm->base & 8)
        rex |= REX | REX_B;
    if (rm->index != H_NONE && rm->index & 8)
        rex |= REX | REX_X;
    return rex;
}

void emit_op_mixed(struct emit *e, unsigned flags, unsigned opcode, unsigned size, bool reg_byte,
                   unsigned reg, bool rm_byte, struct emit_operand rm)
{
    unsigned rex = emit_rex(size, reg_byte, reg, rm_byte, &rm);

    if (rex && (emit_is_high(reg) || (rm.kind == EMIT_REG && emit_is_high(rm.base))))
        e->conflict = true;
    if (flags & EMIT_LOCK)
        emit_byte(e, 0xF0);
    if (size == 1)
        emit_byte(e, 0x66);
    if (flags & EMIT_F3)
        emit_byte(e, 0xF3);
    if (rm.kind == EMIT_GS)
        emit_byte(e, PREFIX_GS);
    if (rex)
        emit_byte(e, rex);
    if (opcode > 0xFFFF)
        emit_byte(e, opcode >> 16);
    if (opcode > 0xFF)
        emit_byte(e, opcode >> 8 & 0xFF);
    emit_byte(e, opcode & 0xFF);
    if (rm.kind == EMIT_REG)
        emit_byte(e, 0xC0 | (emit_number(reg) & 7) << 3 | (emit_number(rm.base) & 7));
    else
        emit_modrm_mem(e, emit_number(reg), &rm);
}

void emit_op(struct emit *e, unsigned flags, unsigned opcode, unsigned size, unsigned reg,
             struct emit_operand rm)
{
    emit_op_mixed(e, flags, opcode, size, size == 0, reg, size == 0, rm);
}

void emit_load(struct emit *e, unsigned reg, struct emit_operand from)
{
    emit_op(e, 0, 0x8B, 3, reg, from);
}

void emit_store(struct emit *e, struct emit_operand to, unsigned reg)
{
    emit_op(e, 0, 0x89, 3, reg, to);
}

void emit_mov(struct emit *e, unsigned to, unsigned from)
{
    if (to != from)
        emit_op(e, 0, 0x89, 3, from, emit_reg(to));
}

void emit_mov_imm(struct emit *e, unsigned reg, u64 value)
{
    if (value <= UINT32_MAX) {
        if (reg & 8)
            emit_byte(e, REX | REX_B);
        emit_byte(e, 0xB8 | (reg & 7));
        emit_u32(e, (u32)value);
    } else if ((u64)(i64)(i32)value == value) {
        emit_op(e, 0, 0xC7, 3, 0, emit_reg(reg));
        emit_u32(e, (u32)value);
    } else {
        emit_byte(e, REX | REX_W | (reg & 8 ? REX_B : 0));
        emit_byte(e, 0xB8 | (reg & 7));
        emit_u64(e, value);
    }
}

void emit_lea(struct emit *e, unsigned size, unsigned reg, struct emit_operand from)
{
    emit_op(e, 0, 0x8D, size, reg, from);
}

void emit_group1(struct emit *e, unsigned flags, unsigned digit, unsigned size,
                 struct emit_operand rm, i32 imm)
{
    bool small = size && imm >= -128 && imm <= 127;

    emit_op_mixed(e, flags,
                  size == 0 ? 0x80
                  : small   ? 0x83
                            : 0x81,
                  size, false, digit, size == 0, rm);
    emit_imm(e, small ? 0 : size, (u64)(i64)imm);
}

u8 *emit_jcc(struct emit *e, unsigned condition)
{
    emit_byte(e, 0x0F);
    emit_byte(e, 0x80 | condition);
    emit_u32(e, 0);
    return e->at - 4;
}

u8 *emit_jmp(struct emit *e)
{
    emit_byte(e, 0xE9);
    emit_u32(e, 0);
    return e->at - 4;
}

void emit_patch(struct emit *e, u8 *place, const u8 *target)
{
    if (!e->overflow)
        store_le32(place, (u32)(target - (place + 4)));
}

void emit_jcc_to(struct emit *e, unsigned condition, const u8 *target)
{
    emit_patch(e, emit_jcc(e, condition), target);
}

void emit_jmp_to(struct emit *e, const u8 *target)
{
    emit_patch(e, emit_jmp(e), target);
}

void emit_call_to(struct emit *e, const u8 *target)
{
    emit_byte(e, 0xE8);
    emit_u32(e, 0);
    emit_patch(e, e->at - 4, target);
}

/* --- SIMD --- */

static void emit_simd_vex(struct emit *e, const struct emit_simd *op, unsigned vvvv, unsigned rex)
{
    unsigned pp = op->prefix == 0x66 ? 1 : op->prefix == 0xF3 ? 2 : op->prefix == 0xF2 ? 3 : 0;

    emit_byte(e, 0xC4);
    emit_byte(e, (~rex & (REX_R | REX_X | REX_B)) << 5 | op->map);
    emit_byte(e, (op->w ? 0x80u : 0) | (~vvvv & 15) << 3 | (op->l ? 4u : 0) | pp);
    emit_byte(e, op->opcode);
}

static void emit_simd_legacy(struct emit *e, const struct emit_simd *op, unsigned rex)
{
    static const u8 escapes[] = { [2] = 0x38, [3] = 0x3A };

    if (op->prefix)
        emit_byte(e, op->prefix);
    if (rex)
        emit_byte(e, rex);
    emit_byte(e, 0x0F);
    if (op->map > 1)
        emit_byte(e, escapes[op->map]);
    emit_byte(e, op->opcode);
}

void emit_simd(struct emit *e, const struct emit_simd *op, unsigned reg, unsigned vvvv,
               struct emit_operand rm)
{
    unsigned rex = emit_rex(op->w ? 3 : 2, false, reg, false, &rm);

    if (rm.kind == EMIT_GS)
        emit_byte(e, PREFIX_GS);
    if (op->vex)
        emit_simd_vex(e, op, vvvv, rex);
    else
        emit_simd_legacy(e, op, rex);
    if (rm.kind == EMIT_REG)
        emit_byte(e, 0xC0 | (reg & 7) << 3 | (rm.base & 7u));
    else
        emit_modrm_mem(e, reg, &rm);
}
