/* SPDX-License-Identifier: MIT */
/*
 * Translation of the integer instructions: each becomes itself, on the registers that hold the guest's.
 * A register that lives in memory is worked on in a temporary: a ModRM.rm operand in T_TMP, a ModRM.reg one in T_VAL.
 */
#include <stddef.h>
#include <string.h>

#include "accel/soft/decode.h"
#include "accel/soft/handlers.h"
#include "accel/soft/trans_int.h"

enum t_access { T_READ = 1, T_WRITE = 2, T_UPDATE = 3 };

/* --- Operands --- */

static bool t_is_mem(const struct insn *in)
{
    return in->rm == INSN_RM_MEM;
}

/* Number of the register in a field; bytes are named by their offset (insn.h). */
static unsigned t_number(unsigned field, unsigned size)
{
    return size ? field : field / 8;
}

/* The host register of a field whose register has one. */
static unsigned t_field(unsigned field, unsigned size)
{
    if (size == 0 && field & 1)
        return H_AH + field / 8;
    return t_host(t_number(field, size));
}

/* The operand E: memory goes through the TLB. */
static struct emit_operand t_rm_begin(struct t *t, const struct insn *in, unsigned size,
                                      enum t_access access)
{
    unsigned n = t_number(in->rm, size);

    if (t_is_mem(in)) {
        t_operand(t, in, size, access & T_WRITE);
        return emit_mem(T_ADDR, 0);
    }
    if (t_mapped(n))
        return emit_reg(t_field(in->rm, size));
    if (access == T_READ)
        return GS_GPR(n);
    emit_load(&t->e, T_TMP, GS_GPR(n));
    return emit_reg(T_TMP);
}

/* It was written. */
static void t_rm_end(struct t *t, const struct insn *in, unsigned size)
{
    if (t_is_mem(in))
        t_stored(t, size);
    else if (!t_mapped(t_number(in->rm, size)))
        emit_store(&t->e, GS_GPR(t_number(in->rm, size)), T_TMP);
}

static unsigned t_reg_begin(struct t *t, unsigned field, unsigned size)
{
    unsigned n = t_number(field, size);

    if (t_mapped(n))
        return t_field(field, size);
    emit_load(&t->e, T_VAL, GS_GPR(n));
    return T_VAL;
}

static void t_reg_end(struct t *t, unsigned field, unsigned size)
{
    unsigned n = t_number(field, size);

    if (!t_mapped(n))
        emit_store(&t->e, GS_GPR(n), T_VAL);
}

static unsigned t_lock(const struct insn *in)
{
    return in->flags & INSN_LOCK && t_is_mem(in) ? EMIT_LOCK : 0;
}

/* The opcode of a pair whose even one is for bytes. */
static unsigned t_sized(unsigned opcode, unsigned size)
{
    return opcode | (size ? 1 : 0);
}

/* --- op E, G; op E, imm; op G, E; op E. `arg`: opcode or digit --- */

#define T_ARG_READS 0x8000u /* E is only read */

static void t_e_g(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in), reg;
    bool reads = arg & T_ARG_READS;
    struct emit_operand rm = t_rm_begin(t, in, size, reads ? T_READ : T_UPDATE);

    t_flags_in(t);
    reg = t_reg_begin(t, in->reg, size);
    emit_op(&t->e, t_lock(in), t_sized(arg & 0x7FFF, size), size, reg, rm);
    t_flags_out(t);
    if ((arg & 0x7FFF) == 0x84)
        t_recipe_test_two(t, size, in->rm, in->reg);
    else
        t_recipe_alu(t, arg >> 3 & 7, size, in->rm, in->reg);
    if (!reads)
        t_rm_end(t, in, size);
}

static void t_e_imm(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in);
    bool reads = arg & T_ARG_READS;
    struct emit_operand rm = t_rm_begin(t, in, size, reads ? T_READ : T_UPDATE);

    t_flags_in(t);
    emit_group1(&t->e, t_lock(in), arg & 7, size, rm, (i32)in->imm);
    t_flags_out(t);
    t_recipe_imm(t, arg & 7, size, in->rm, (i32)in->imm);
    if (!reads)
        t_rm_end(t, in, size);
}

static void t_g_e(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in), reg;
    struct emit_operand rm = t_rm_begin(t, in, size, T_READ);

    t_flags_in(t);
    reg = t_reg_begin(t, in->reg, size);
    emit_op(&t->e, 0, t_sized(arg & 0x7FFF, size), size, reg, rm);
    t_flags_out(t);
    if (t->writes)
        t_recipe_alu(t, arg >> 3 & 7, size, in->reg, in->rm);
    if (!(arg & T_ARG_READS))
        t_reg_end(t, in->reg, size);
}

static void t_test_imm(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in);
    struct emit_operand rm = t_rm_begin(t, in, size, T_READ);

    (void)arg;
    t_flags_in(t);
    emit_op(&t->e, 0, t_sized(0xF6, size), size, 0, rm);
    emit_imm(&t->e, size, in->imm);
    t_flags_out(t);
    t_recipe_test_imm(t, size, in->rm, (i32)in->imm);
}

/* INC DEC NOT NEG, shifts by 1 and CL. `arg`: opcode << 3 | digit. */
static void t_unary(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in);
    struct emit_operand rm = t_rm_begin(t, in, size, T_UPDATE);

    t_flags_in(t);
    emit_op(&t->e, t_lock(in), t_sized(arg >> 3, size), size, arg & 7, rm);
    t_flags_out(t);
    t_rm_end(t, in, size);
}

static void t_shift_imm(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in);
    struct emit_operand rm = t_rm_begin(t, in, size, T_UPDATE);

    t_flags_in(t);
    emit_op(&t->e, 0, t_sized(0xC0, size), size, arg, rm);
    emit_byte(&t->e, (u8)in->imm);
    t_flags_out(t);
    t_rm_end(t, in, size);
}

/* MUL IMUL with one operand: the others are where the host wants them. */
static void t_mul(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in);
    struct emit_operand rm = t_rm_begin(t, in, size, T_READ);

    t_flags_in(t);
    emit_op(&t->e, 0, t_sized(0xF6, size), size, arg, rm);
    t_flags_out(t);
}

/* G, E without byte form: IMUL, bit scans (`arg` with T_ARG_F3), CMOVcc. */
#define T_ARG_F3 0x8000u

static void t_g_e_word(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in), reg;
    struct emit_operand rm = t_rm_begin(t, in, size, T_READ);

    t_flags_in(t);
    reg = t_reg_begin(t, in->reg, size);
    emit_op(&t->e, arg & T_ARG_F3 ? EMIT_F3 : 0, 0x0F00 | (arg & 0xFF), size, reg, rm);
    t_flags_out(t);
    t_reg_end(t, in->reg, size);
}

static void t_imul_imm(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in), reg;
    struct emit_operand rm = t_rm_begin(t, in, size, T_READ);

    (void)arg;
    t_flags_in(t);
    reg = t_reg_begin(t, in->reg, size);
    emit_op(&t->e, 0, 0x69, size, reg, rm);
    emit_imm(&t->e, size, in->imm);
    t_flags_out(t);
    t_reg_end(t, in->reg, size);
}

/* BT BTS BTR BTC with an immediate. */
static void t_bit_imm(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in);
    bool reads = arg == 4;
    struct emit_operand rm = t_rm_begin(t, in, size, reads ? T_READ : T_UPDATE);

    t_flags_in(t);
    emit_op(&t->e, t_lock(in), 0x0FBA, size, arg, rm);
    emit_byte(&t->e, (u8)in->imm);
    t_flags_out(t);
    if (!reads)
        t_rm_end(t, in, size);
}

/* The same with a register: a bit number may reach far from a memory operand, so that is the handler's. */
static void t_bit_reg(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in), reg;
    struct emit_operand rm;

    if (t_is_mem(in) || !t_mapped(in->rm)) {
        t->e.conflict = true;
        return;
    }
    rm = t_rm_begin(t, in, size, T_UPDATE);
    t_flags_in(t);
    reg = t_reg_begin(t, in->reg, size);
    emit_op(&t->e, 0, 0x0F00 | arg, size, reg, rm);
    t_flags_out(t);
}

/* --- Moves --- */

static void t_mov_e_g(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in);
    struct emit_operand rm = t_rm_begin(t, in, size, T_UPDATE);

    (void)arg;
    emit_op(&t->e, 0, t_sized(0x88, size), size, t_reg_begin(t, in->reg, size), rm);
    t_rm_end(t, in, size);
}

static void t_mov_imm(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in);
    struct emit_operand rm = t_rm_begin(t, in, size, T_UPDATE);

    (void)arg;
    if (size >= 2 && rm.kind == EMIT_REG) {
        emit_mov_imm(&t->e, rm.base, size == 3 ? in->imm : (u32)in->imm);
    } else {
        if (size == 3 && in->imm != (u64)(i64)(i32)in->imm)
            t->e.conflict = true;
        emit_op_mixed(&t->e, 0, t_sized(0xC6, size), size, false, 0, size == 0, rm);
        emit_imm(&t->e, size, in->imm);
    }
    t_rm_end(t, in, size);
}

/* MOVZX MOVSX from a byte or word; MOVSXD. `arg`: opcode << 2 | log2 of the source's bytes. */
static void t_extend(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in), from = arg & 3, reg;
    unsigned opcode = arg >> 2;
    struct emit_operand rm;

    if (from == 2 && size < 3) {
        opcode = 0x8B;
        from = size;
    }
    rm = t_rm_begin(t, in, from, T_READ);
    reg = t_reg_begin(t, in->reg, 3);
    emit_op_mixed(&t->e, 0, opcode, size, false, reg, from == 0, rm);
    t_reg_end(t, in->reg, 3);
}

static void t_lea(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in);
    bool plain = t_mapped(in->reg) && (size == 3 || size == 2);
    unsigned reg = plain ? t_host(in->reg) : T_ADDR;

    (void)arg;
    t_offset(t, in, reg, insn_asz(in) == 2 || size == 2 ? 2 : 3);
    if (plain)
        return;
    if (size == 1) {
        if (t_mapped(in->reg))
            emit_op(&t->e, 0, 0x89, 1, T_ADDR, emit_reg(t_host(in->reg)));
        else
            emit_op(&t->e, 0, 0x89, 1, T_ADDR, GS_GPR(in->reg));
        return;
    }
    emit_store(&t->e, GS_GPR(in->reg), T_ADDR);
}

static void t_setcc(struct t *t, const struct insn *in, unsigned arg)
{
    struct emit_operand rm = t_rm_begin(t, in, 0, T_UPDATE);

    t_flags_in(t);
    emit_op_mixed(&t->e, 0, 0x0F90 | arg, 0, false, 0, true, rm);
    t_rm_end(t, in, 0);
}

/* XCHG with memory is locked by itself. */
static void t_xchg(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in), reg, field = in->reg;
    struct emit_operand rm = t_rm_begin(t, in, size, T_UPDATE);

    (void)arg;
    reg = t_reg_begin(t, field, size);
    emit_op(&t->e, 0, t_sized(0x86, size), size, reg, rm);
    t_reg_end(t, field, size);
    t_rm_end(t, in, size);
}

/* XADD, CMPXCHG in memory. A 32-bit CMPXCHG of registers keeps upper halves: the handler's. */
static void t_exchange(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in), reg;
    struct emit_operand rm;

    if (!t_is_mem(in)) {
        t->e.conflict = true;
        return;
    }
    rm = t_rm_begin(t, in, size, T_UPDATE);
    t_flags_in(t);
    reg = t_reg_begin(t, in->reg, size);
    emit_op(&t->e, t_lock(in), t_sized(0x0F00 | arg, size), size, reg, rm);
    t_flags_out(t);
    if (arg == 0xC0)
        t_reg_end(t, in->reg, size);
    t_rm_end(t, in, size);
}

/* One byte of opcode, on the accumulator: CBW, CWD and their kin; CLC STC CMC. */
static void t_plain(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in);

    t_flags_in(t);
    if (size == 1)
        emit_byte(&t->e, 0x66);
    if (size == 3)
        emit_byte(&t->e, 0x48);
    emit_byte(&t->e, arg);
    t_flags_out(t);
}

static void t_bswap(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in), reg;

    if (size < 2 || !t_mapped(in->rm)) {
        t->e.conflict = true;
        return;
    }
    reg = t_host(in->rm);
    if (size == 3 || reg & 8)
        emit_byte(&t->e, 0x40u | (size == 3 ? 8 : 0) | (reg & 8 ? 1 : 0));
    emit_byte(&t->e, 0x0F);
    emit_byte(&t->e, arg | (reg & 7));
}

static void t_nop(struct t *t, const struct insn *in, unsigned arg)
{
    (void)t;
    (void)in;
    (void)arg;
}

/* --- Stack, 64 bits --- */

static void t_pushed(struct t *t)
{
    emit_lea(&t->e, 3, T_RSP, emit_mem(T_RSP, -8));
    t_stored(t, 3);
}

static void t_push(struct t *t, const struct insn *in, unsigned imm)
{
    if (insn_osz(in) != 3 || (!imm && t_is_mem(in))) {
        t->e.conflict = true;
        return;
    }
    t_stack(t, RSP, -8, true);
    if (imm) {
        emit_op(&t->e, 0, 0xC7, 3, 0, emit_mem(T_ADDR, 0));
        emit_u32(&t->e, (u32)in->imm);
    } else {
        emit_store(&t->e, emit_mem(T_ADDR, 0), t_reg_begin(t, in->rm, 3));
    }
    t_pushed(t);
}

static void t_pop(struct t *t, const struct insn *in, unsigned arg)
{
    (void)arg;
    if (insn_osz(in) != 3 || t_is_mem(in)) {
        t->e.conflict = true;
        return;
    }
    t_stack(t, RSP, 0, false);
    emit_lea(&t->e, 3, T_RSP, emit_mem(T_RSP, 8));
    if (t_mapped(in->rm)) {
        emit_load(&t->e, t_host(in->rm), emit_mem(T_ADDR, 0));
    } else {
        emit_load(&t->e, T_VAL, emit_mem(T_ADDR, 0));
        emit_store(&t->e, GS_GPR(in->rm), T_VAL);
    }
}

static void t_leave(struct t *t, const struct insn *in, unsigned arg)
{
    (void)arg;
    if (insn_osz(in) != 3) {
        t->e.conflict = true;
        return;
    }
    t_stack(t, RBP, 0, false);
    emit_lea(&t->e, 3, T_RSP, emit_mem(H_RBP, 8));
    emit_load(&t->e, H_RBP, emit_mem(T_ADDR, 0));
}

/* --- Flow --- */

static void t_jmp(struct t *t, const struct insn *in, unsigned arg)
{
    (void)arg;
    t_exit_direct(t, (i64)in->imm);
}

/* The condition is looked at before either way out saves the flags. */
static void t_jcc(struct t *t, const struct insn *in, unsigned arg)
{
    bool host, memory;
    u8 *taken;

    t_flags_in(t);
    taken = emit_jcc(&t->e, arg);
    host = t->host;
    memory = t->memory;
    t_exit_direct(t, in->off + in->len);
    t->host = host;
    t->memory = memory;
    emit_patch(&t->e, taken, t->e.at);
    t_exit_direct(t, (i64)in->imm);
}

/* Push the address after the instruction. */
static void t_push_return(struct t *t, const struct insn *in)
{
    t_stack(t, RSP, -8, true);
    emit_load(&t->e, T_VAL, GS(page_rip));
    emit_lea(&t->e, 3, T_VAL, emit_mem(T_VAL, (i32)(t->b->offset & 0xFFF) + in->off + in->len));
    emit_store(&t->e, emit_mem(T_ADDR, 0), T_VAL);
    t_pushed(t);
}

static void t_call(struct t *t, const struct insn *in, unsigned arg)
{
    (void)arg;
    t_push_return(t, in);
    t_exit_direct(t, (i64)in->imm);
}

static void t_indirect_target(struct t *t, const struct insn *in)
{
    struct emit_operand rm = t_rm_begin(t, in, 3, T_READ);

    emit_load(&t->e, T_TMP, rm);
}

static void t_jmp_e(struct t *t, const struct insn *in, unsigned arg)
{
    (void)arg;
    t_indirect_target(t, in);
    t_exit_indirect(t, 0, true);
}

static void t_call_e(struct t *t, const struct insn *in, unsigned arg)
{
    (void)arg;
    t_indirect_target(t, in);
    t_canonical(t);
    emit_store(&t->e, GS(call_target), T_TMP);
    t_push_return(t, in);
    emit_load(&t->e, T_TMP, GS(call_target));
    t_exit_indirect(t, 0, false);
}

static void t_ret(struct t *t, const struct insn *in, unsigned arg)
{
    (void)arg;
    t_stack(t, RSP, 0, false);
    emit_load(&t->e, T_TMP, emit_mem(T_ADDR, 0));
    t_exit_indirect(t, 8 + (i32)in->imm, true);
}

/* --- The table --- */

struct t_entry {
    insn_fn *const *handlers; /* what names the instruction in its rows */
    struct {
        t_make *make; /* these as in struct t_row */
        u16 arg, flags, use, def;
    } row;
};

#define T_ALL       ((u16)FLAGS_ARITH)
#define T_CARRY     ((u16)FLAG_CF)
#define T_NOT_CARRY ((u16)(FLAGS_ARITH & ~FLAG_CF))

#define T_ALU(op, digit, use) \
    { x_##op##_E_G, { t_e_g, (digit) << 3, T_WRITES, use, T_ALL } }, \
        { x_##op##_E_I, { t_e_imm, digit, T_WRITES, use, T_ALL } }, \
    { \
        x_##op##_G_E, \
        { \
            t_g_e, (digit) << 3 | 2, T_WRITES, use, T_ALL \
        } \
    }

#define T_SHIFT(op, digit, use, def) \
    { x_##op##_E_I, { t_shift_imm, digit, T_WRITES | T_COUNT, use, def } }, \
        { x_##op##_E_1, { t_unary, 0xD0 << 3 | (digit), T_WRITES, use, def } }, \
    { \
        x_##op##_E_C, \
        { \
            t_unary, 0xD2 << 3 | (digit), T_WRITES, use, 0 \
        } \
    }

/* OF is undefined but for a count of one: the host decides. */
#define T_ROTATED T_CARRY

#define T_CC(cc, number, flags) \
    { x_set##cc##_E, { t_setcc, number, 0, (u16)(flags), 0 } }, \
        { x_cmov##cc##_G_E, { t_g_e_word, 0x40 | (number), 0, (u16)(flags), 0 } }, \
    { \
        x_j##cc##_J, \
        { \
            t_jcc, number, T_ENDS, T_ALL, 0 \
        } \
    }

static const struct t_entry t_entries[] = {
    T_ALU(add, 0, 0),
    T_ALU(or, 1, 0),
    T_ALU(adc, 2, T_CARRY),
    T_ALU(sbb, 3, T_CARRY),
    T_ALU(and, 4, 0),
    T_ALU(sub, 5, 0),
    T_ALU(xor, 6, 0),
    { x_cmp_E_G, { t_e_g, 0x38 | T_ARG_READS, T_WRITES, 0, T_ALL } },
    { x_cmp_E_I, { t_e_imm, 7 | T_ARG_READS, T_WRITES, 0, T_ALL } },
    { x_cmp_G_E, { t_g_e, 0x3A | T_ARG_READS, T_WRITES, 0, T_ALL } },
    { x_test_E_G, { t_e_g, 0x84 | T_ARG_READS, T_WRITES, 0, T_ALL } },
    { x_test_E_I, { t_test_imm, 0, T_WRITES, 0, T_ALL } },
    { x_inc_E, { t_unary, 0xFE << 3 | 0, T_WRITES, 0, T_NOT_CARRY } },
    { x_dec_E, { t_unary, 0xFE << 3 | 1, T_WRITES, 0, T_NOT_CARRY } },
    { x_not_E, { t_unary, 0xF6 << 3 | 2, 0, 0, 0 } },
    { x_neg_E, { t_unary, 0xF6 << 3 | 3, T_WRITES, 0, T_ALL } },
    T_SHIFT(rol, 0, 0, T_ROTATED),
    T_SHIFT(ror, 1, 0, T_ROTATED),
    T_SHIFT(rcl, 2, T_CARRY, T_ROTATED),
    T_SHIFT(rcr, 3, T_CARRY, T_ROTATED),
    T_SHIFT(shl, 4, 0, T_ALL),
    T_SHIFT(shr, 5, 0, T_ALL),
    T_SHIFT(sar, 7, 0, T_ALL),
    { x_mul_E, { t_mul, 4, T_WRITES, 0, T_ALL } },
    { x_imul_E, { t_mul, 5, T_WRITES, 0, T_ALL } },
    { x_imul_G_E, { t_g_e_word, 0xAF, T_WRITES, 0, T_ALL } },
    { x_imul_G_E_I, { t_imul_imm, 0, T_WRITES, 0, T_ALL } },
    { x_bsf_G_E, { t_g_e_word, 0xBC, T_WRITES, T_ALL, 0 } },
    { x_bsr_G_E, { t_g_e_word, 0xBD, T_WRITES, T_ALL, 0 } },
    { x_tzcnt_G_E, { t_g_e_word, 0xBC | T_ARG_F3, T_WRITES, T_ALL, 0 } },
    { x_lzcnt_G_E, { t_g_e_word, 0xBD | T_ARG_F3, T_WRITES, T_ALL, 0 } },
    { x_popcnt_G_E, { t_g_e_word, 0xB8 | T_ARG_F3, T_WRITES, 0, T_ALL } },
    { x_bt_E_I, { t_bit_imm, 4, T_WRITES, 0, T_CARRY } },
    { x_bts_E_I, { t_bit_imm, 5, T_WRITES, 0, T_CARRY } },
    { x_btr_E_I, { t_bit_imm, 6, T_WRITES, 0, T_CARRY } },
    { x_btc_E_I, { t_bit_imm, 7, T_WRITES, 0, T_CARRY } },
    { x_bt_E_G, { t_bit_reg, 0xA3, T_WRITES, 0, T_CARRY } },
    { x_bts_E_G, { t_bit_reg, 0xAB, T_WRITES, 0, T_CARRY } },
    { x_btr_E_G, { t_bit_reg, 0xB3, T_WRITES, 0, T_CARRY } },
    { x_btc_E_G, { t_bit_reg, 0xBB, T_WRITES, 0, T_CARRY } },
    { x_mov_E_G, { t_mov_e_g, 0, 0, 0, 0 } },
    { x_mov_E_I, { t_mov_imm, 0, 0, 0, 0 } },
    { x_mov_G_E, { t_g_e, 0x8A, 0, 0, 0 } },
    { x_movzx_G_Eb, { t_extend, 0x0FB6 << 2 & 0xFFFF, 0, 0, 0 } },
    { x_movzx_G_Ew, { t_extend, (0x0FB7 << 2 | 1) & 0xFFFF, 0, 0, 0 } },
    { x_movsx_G_Eb, { t_extend, 0x0FBE << 2 & 0xFFFF, 0, 0, 0 } },
    { x_movsx_G_Ew, { t_extend, (0x0FBF << 2 | 1) & 0xFFFF, 0, 0, 0 } },
    { x_movsxd_G_Ed, { t_extend, 0x63 << 2 | 2, 0, 0, 0 } },
    { x_lea_G_M, { t_lea, 0, 0, 0, 0 } },
    { x_xchg_E_G, { t_xchg, 0, 0, 0, 0 } },
    { x_xadd_E_G, { t_exchange, 0xC0, T_WRITES, 0, T_ALL } },
    { x_cmpxchg_E_G, { t_exchange, 0xB0, T_WRITES, 0, T_ALL } },
    { x_cbw, { t_plain, 0x98, 0, 0, 0 } },
    { x_cwd, { t_plain, 0x99, 0, 0, 0 } },
    { x_bswap, { t_bswap, 0xC8, 0, 0, 0 } },
    { x_nop, { t_nop, 0, 0, 0, 0 } },
    { x_push_E, { t_push, 0, T_FAULTS, 0, 0 } },
    { x_push_I, { t_push, 1, T_FAULTS, 0, 0 } },
    { x_pop_E, { t_pop, 0, T_FAULTS, 0, 0 } },
    { x_leave, { t_leave, 0, T_FAULTS, 0, 0 } },
    { x_jmp_J, { t_jmp, 0, T_ENDS, 0, 0 } },
    { x_call_J, { t_call, 0, T_ENDS | T_FAULTS, 0, 0 } },
    { x_jmp_E, { t_jmp_e, 0, T_ENDS, 0, 0 } },
    { x_call_E, { t_call_e, 0, T_ENDS | T_FAULTS, 0, 0 } },
    { x_ret, { t_ret, 0, T_ENDS | T_FAULTS, 0, 0 } },
    { x_ret_I, { t_ret, 0, T_ENDS | T_FAULTS, 0, 0 } },
    T_CC(o, 0, FLAG_OF),
    T_CC(no, 1, FLAG_OF),
    T_CC(b, 2, FLAG_CF),
    T_CC(ae, 3, FLAG_CF),
    T_CC(e, 4, FLAG_ZF),
    T_CC(ne, 5, FLAG_ZF),
    T_CC(be, 6, FLAG_CF | FLAG_ZF),
    T_CC(a, 7, FLAG_CF | FLAG_ZF),
    T_CC(s, 8, FLAG_SF),
    T_CC(ns, 9, FLAG_SF),
    T_CC(p, 10, FLAG_PF),
    T_CC(np, 11, FLAG_PF),
    T_CC(l, 12, FLAG_SF | FLAG_OF),
    T_CC(ge, 13, FLAG_SF | FLAG_OF),
    T_CC(le, 14, FLAG_ZF | FLAG_SF | FLAG_OF),
    T_CC(g, 15, FLAG_ZF | FLAG_SF | FLAG_OF),
};

/* What the way of making an instruction says about it. */
static const struct {
    t_make *make;
    u8 clobbers;
    u8 rm_size;
    u16 flags;
    u8 stack, moves;
} t_natures[] = {
    { t_e_g, T_CLOBBER_RM, 0, T_ACCESS | T_STORES, 0, 0 },
    { t_e_imm, T_CLOBBER_RM, 0, T_ACCESS | T_STORES, 0, 0 },
    { t_g_e, T_CLOBBER_REG, 0, T_ACCESS, 0, 0 },
    { t_test_imm, T_CLOBBER_NONE, 0, T_ACCESS, 0, 0 },
    { t_unary, T_CLOBBER_RM, 0, T_ACCESS | T_STORES, 0, 0 },
    { t_shift_imm, T_CLOBBER_RM, 0, T_ACCESS | T_STORES, 0, 0 },
    { t_mul, T_CLOBBER_AD, 0, T_ACCESS, 0, 0 },
    { t_g_e_word, T_CLOBBER_REG, 0, T_ACCESS, 0, 0 },
    { t_imul_imm, T_CLOBBER_REG, 0, T_ACCESS, 0, 0 },
    { t_bit_imm, T_CLOBBER_RM, 0, T_ACCESS, 0, 0 },
    { t_bit_reg, T_CLOBBER_RM, 0, 0, 0, 0 },
    { t_mov_e_g, T_CLOBBER_RM, 0, T_ACCESS | T_STORES, 0, 0 },
    { t_mov_imm, T_CLOBBER_RM, 0, T_ACCESS | T_STORES, 0, 0 },
    { t_extend, T_CLOBBER_REG, 1, T_ACCESS, 0, 0 },
    { t_lea, T_CLOBBER_REG, 0, 0, 0, T_MOVES_LEA },
    { t_setcc, T_CLOBBER_RM, 1, T_ACCESS | T_STORES, 0, 0 },
    { t_xchg, T_CLOBBER_BOTH, 0, T_ACCESS | T_STORES, 0, 0 },
    { t_exchange, T_CLOBBER_BOTH, 0, T_ACCESS | T_STORES, 0, 0 },
    { t_plain, T_CLOBBER_AD, 0, 0, 0, 0 },
    { t_bswap, T_CLOBBER_RM, 0, 0, 0, 0 },
    { t_nop, T_CLOBBER_NONE, 0, 0, 0, 0 },
    { t_push, T_CLOBBER_NONE, 0, 0, T_STACK_PUSH, 0 },
    { t_pop, T_CLOBBER_RM, 0, 0, T_STACK_POP, 0 },
    { t_jmp_e, T_CLOBBER_NONE, 8, T_ACCESS, 0, 0 },
    { t_call, T_CLOBBER_NONE, 0, 0, T_STACK_PUSH, 0 },
    { t_call_e, T_CLOBBER_NONE, 8, T_ACCESS, T_STACK_PUSH, 0 },
    { t_ret, T_CLOBBER_NONE, 0, 0, T_STACK_POP, 0 },
};

static struct t_row t_row_of(const struct t_entry *entry)
{
    return (struct t_row){ .make = entry->row.make,
                           .arg = entry->row.arg,
                           .flags = entry->row.flags,
                           .use = entry->row.use,
                           .def = entry->row.def };
}

static void t_row_complete(struct t_row *row)
{
    bool reads = (row->make == t_e_g || row->make == t_e_imm || row->make == t_g_e) &&
                 row->arg & T_ARG_READS;

    for (unsigned i = 0; i < ARRAY_SIZE(t_natures); i++) {
        if (t_natures[i].make != row->make)
            continue;
        row->clobbers = reads ? T_CLOBBER_NONE : t_natures[i].clobbers;
        row->flags |= reads ? T_ACCESS : t_natures[i].flags;
        row->rm_size = row->make == t_extend ? (u8)(1u << (row->arg & 3)) : t_natures[i].rm_size;
        row->stack = t_natures[i].stack;
        row->moves = t_natures[i].moves;
    }
    if (row->make == t_e_imm && !reads)
        row->moves = row->arg == 0 ? T_MOVES_ADD : row->arg == 5 ? T_MOVES_SUB : T_MOVES_NOT;
}

static u32 t_field_bit(unsigned field, unsigned size)
{
    return field == INSN_RM_MEM ? 0 : BIT(t_number(field, size) & 15);
}

/* The registers that a SIMD or x87 instruction may change: those that its operands name, and what FNSTSW has. */
static u32 t_fpu_clobbers(const struct insn *in)
{
    const struct insn_row *row = &insn_rows[in->row];
    u32 mask = BIT(RAX);

    for (unsigned i = 0; i < ARRAY_SIZE(row->op); i++)
        if (operand_kinds[row->op[i]].file == FILE_GPR)
            mask |= BIT(in->reg & 15) | BIT(in->vreg & 15) | t_field_bit(in->rm, 3);
    return mask;
}

u32 t_clobbers(const struct insn *in, const struct t_row *row)
{
    unsigned size = insn_osz(in);
    u32 mask = row->stack ? BIT(RSP) : 0;

    if (row->flags >> T_FPU_SHIFT)
        return t_fpu_clobbers(in);
    switch ((enum t_clobber)row->clobbers) {
    case T_CLOBBER_NONE: return mask;
    case T_CLOBBER_RM: return mask | t_field_bit(in->rm, size) | t_field_bit(in->rm, 3);
    case T_CLOBBER_REG: return t_field_bit(in->reg, size) | t_field_bit(in->reg, 3);
    case T_CLOBBER_BOTH: return BIT(RAX) | t_field_bit(in->rm, size) | t_field_bit(in->reg, size);
    case T_CLOBBER_AD: return BIT(RAX) | BIT(RDX);
    case T_CLOBBER_ALL: break;
    }
    return 0xFFFF;
}

void t_rows_build(struct t_row *rows)
{
    for (unsigned r = 0; r < insn_row_count; r++)
        for (unsigned i = 0; i < ARRAY_SIZE(t_entries); i++)
            if (insn_rows[r].fn == t_entries[i].handlers) {
                rows[r] = t_row_of(&t_entries[i]);
                t_row_complete(&rows[r]);
            }
    t_simd_rows(rows);
    t_x87_rows(rows);
}
