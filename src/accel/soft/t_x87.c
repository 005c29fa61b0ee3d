/* SPDX-License-Identifier: MIT */
/*
 * Translation of x87: each instruction becomes itself on the host's x87, which holds the guest's (t_fpu.c) while all
 * exceptions are masked; so nothing is ever pending.
 *
 * Where the guest's last instruction was is noted beside it, for FIP, FDP and FOP in the image.
 */
#include <cpuid.h>
#include <stddef.h>

#include "accel/soft/decode.h"
#include "accel/soft/fpu.h"
#include "accel/soft/handlers.h"
#include "accel/soft/hostop.h"
#include "accel/soft/trans_int.h"

/* Operand of 10 bytes: looked up as 16, which sends a few that would fit in their page to the handler. */
static unsigned x87_size(unsigned bytes)
{
    return bytes > 8 ? 4 : (unsigned)__builtin_ctz(bytes);
}

/* FDP is written for exceptions only (CPUID.7.0:EBX bit 6). */
static bool x87_keeps_fdp(void)
{
    unsigned a, b = 0, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & BIT(6));
}

/* After the last instruction that can fault. Changes T_VAL. */
static void x87_note(struct t *t, const struct insn *in)
{
    const struct hostop *op = in->hostop;
    u32 at = (u32)(t->b->offset & 0xFFF) + in->off;
    u32 opcode = (op->opcode & 7u) << 8 | op->modrm;
    struct emit *e = &t->e;

    if (!t->x87_paged) {
        emit_load(e, T_VAL, GS(page_rip));
        emit_store(e, GS(x87_page), T_VAL);
        t->x87_paged = true;
    }
    emit_op(e, 0, 0xC7, 2, 0, GS(x87_last));
    emit_u32(e, at << 16 | opcode);
}

static void x87_note_operand(struct t *t, const struct insn *in)
{
    if (x87_keeps_fdp())
        return;
    emit_store(&t->e, GS(x87_spill), T_ADDR);
    t_offset(t, in, T_TMP, insn_asz(in) == 2 ? 2 : 3);
    emit_store(&t->e, GS(x87_fdp), T_TMP);
    emit_load(&t->e, T_ADDR, GS(x87_spill));
}

static void t_x87(struct t *t, const struct insn *in, unsigned arg)
{
    (void)arg;
    x87_note(t, in);
    t_flags_in(t);
    emit_byte(&t->e, in->hostop->opcode);
    emit_byte(&t->e, in->hostop->modrm);
    t_flags_out(t);
}

static void t_x87_memory(struct t *t, const struct insn *in, unsigned arg)
{
    const struct hostop *op = in->hostop;

    (void)arg;
    t_operand(t, in, x87_size(op->size), op->store);
    x87_note(t, in);
    x87_note_operand(t, in);
    emit_op(&t->e, 0, op->opcode, 2, op->modrm >> 3 & 7, emit_mem(T_ADDR, 0));
    if (op->store)
        t_stored(t, x87_size(op->size));
}

/* FWAIT and what is no operation today: nothing is pending. */
static void t_x87_nothing(struct t *t, const struct insn *in, unsigned arg)
{
    (void)t;
    (void)in;
    (void)arg;
}

/* FNCLEX, FNSTSW AX: `arg` is both bytes. */
static void t_x87_bytes(struct t *t, const struct insn *in, unsigned arg)
{
    (void)in;
    emit_byte(&t->e, arg >> 8);
    emit_byte(&t->e, arg & 0xFF);
}

/* FNSTCW, FNSTSW to memory: `arg` is opcode << 3 | digit. */
static void t_x87_word(struct t *t, const struct insn *in, unsigned arg)
{
    t_operand(t, in, 1, true);
    emit_op(&t->e, 0, arg >> 3, 2, arg & 7, emit_mem(T_ADDR, 0));
    t_stored(t, 1);
}

/* A word that unmasks an exception is the handler's. */
static void t_fldcw(struct t *t, const struct insn *in, unsigned arg)
{
    struct emit *e = &t->e;

    (void)arg;
    t_operand(t, in, 1, false);
    emit_op_mixed(e, 0, 0x0FB7, 2, false, T_TMP, false, emit_mem(T_ADDR, 0)); /* movzx */
    emit_op(e, 0, 0x89, 2, T_TMP, GS(fpu_control));
    t_flags_spare(t, t->live_in);
    emit_group1(e, 0, 4, 2, emit_reg(T_TMP), FCW_MASKS);
    emit_group1(e, 0, 7, 2, emit_reg(T_TMP), FCW_MASKS);
    t_slow_if(t, EMIT_NE);
    emit_op(e, 0, 0xD9, 2, 5, GS(fpu_control));
}

static const struct {
    insn_fn *const *handlers;
    t_make *make;
    u16 arg;
} t_x87_entries[] = {
    { x_x87, t_x87, 0 },
    { x_x87_load, t_x87_memory, 0 },
    { x_x87_store, t_x87_memory, 0 },
    { x_x87_nop, t_x87_nothing, 0 },
    { x_fwait, t_x87_nothing, 0 },
    { x_fnclex, t_x87_bytes, 0xDBE2 },
    { x_fnstsw_AX, t_x87_bytes, 0xDFE0 },
    { x_fnstsw_M, t_x87_word, 0xDD << 3 | 7 },
    { x_fnstcw_M, t_x87_word, 0xD9 << 3 | 7 },
    { x_fldcw_M, t_fldcw, 0 },
};

void t_x87_rows(struct t_row *rows)
{
    for (unsigned r = 0; r < insn_row_count; r++) {
        const struct insn_row *row = &insn_rows[r];

        for (unsigned i = 0; i < ARRAY_SIZE(t_x87_entries); i++)
            if (row->fn == t_x87_entries[i].handlers)
                rows[r] = (struct t_row){
                    .make = t_x87_entries[i].make,
                    .arg = t_x87_entries[i].arg,
                    .flags = (u16)(FPU_X87 << T_FPU_SHIFT | (row->flags_w ? T_WRITES : 0)),
                    .use = row->flags_r & (u16)FLAGS_ARITH,
                    .def = row->flags_w & (u16)FLAGS_ARITH,
                };
    }
}
