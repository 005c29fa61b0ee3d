/* SPDX-License-Identifier: MIT */
/*
 * Translation of divisions, whose errors the handler raises, and of the system instructions that kernels run most.
 */
#include <stddef.h>

#include "accel/soft/decode.h"
#include "accel/soft/handlers.h"
#include "accel/soft/trans_int.h"

enum { T_CC_AE = 3, T_CC_BE = 6 };

/* --- DIV, IDIV --- */

/* The divisor in a register that another CPU cannot change between the check and its use. */
static unsigned t_divisor(struct t *t, const struct insn *in, unsigned size)
{
    if (in->rm == INSN_RM_MEM) {
        t_operand(t, in, size, false);
        emit_op(&t->e, 0, 0x8B, size, T_VAL, emit_mem(T_ADDR, 0));
        return T_VAL;
    }
    if (t_mapped(in->rm))
        return t_host(in->rm);
    emit_load(&t->e, T_VAL, GS_GPR(in->rm));
    return T_VAL;
}

/* Quotients that do not fit: the upper half of the dividend is not below the divisor. */
static void t_check_div(struct t *t, unsigned size, unsigned divisor)
{
    emit_op(&t->e, 0, 0x39, size, divisor, emit_reg(H_RDX)); /* cmp rdx, divisor */
    t_slow_if(t, T_CC_AE);
}

/* Dividends that are sign extensions, and divisors but 0 and -1, cannot overflow; the handler sees the others. */
static void t_check_idiv(struct t *t, unsigned size, unsigned divisor)
{
    struct emit *e = &t->e;

    emit_mov(e, T_TMP, H_RAX);
    emit_op(e, 0, 0xC1, size, 7, emit_reg(T_TMP)); /* sar */
    emit_byte(e, size == 3 ? 63 : 31);
    emit_op(e, 0, 0x39, size, H_RDX, emit_reg(T_TMP)); /* cmp */
    t_slow_if(t, EMIT_NE);
    emit_lea(e, size, T_TMP, emit_mem(divisor, 1));
    emit_group1(e, 0, 7, size, emit_reg(T_TMP), 1);
    t_slow_if(t, T_CC_BE);
}

/* `arg`: the digit, 6 or 7. */
static void t_div(struct t *t, const struct insn *in, unsigned arg)
{
    unsigned size = insn_osz(in), divisor;

    if (size < 2) {
        t->e.conflict = true;
        return;
    }
    t_flags_spare(t, t->live_in); /* before T_VAL is taken */
    divisor = t_divisor(t, in, size);
    if (arg == 6)
        t_check_div(t, size, divisor);
    else
        t_check_idiv(t, size, divisor);
    emit_op(&t->e, 0, 0xF7, size, arg, emit_reg(divisor));
}

/* --- CLI, STI, PUSHF --- */

/* Anything but CPL 0 has IOPL to look at. */
static void t_kernel_only(struct t *t)
{
    if (t->b->mode & MODE_CPL3) {
        t->e.conflict = true;
        return;
    }
    t_flags_spare(t, t->live_in);
    emit_group1(&t->e, 0, 7, 2, GS(cpl), 0);
    t_slow_if(t, EMIT_NE);
}

static void t_cli(struct t *t, const struct insn *in, unsigned arg)
{
    (void)in;
    (void)arg;
    t_kernel_only(t);
    emit_group1(&t->e, 0, 4, 2, GS(sflags), ~(i32)FLAG_IF);
}

/*
 * The next block is entered without a look at requests when it is on this page, and with one through the run
 * loop, which knows cpu->shadow, when not: either way the next instruction comes before an interrupt.
 */
static void t_sti(struct t *t, const struct insn *in, unsigned arg)
{
    struct emit *e = &t->e;
    u8 *skip;

    (void)arg;
    t_kernel_only(t);
    emit_op_mixed(e, 0, 0x80, 0, false, 7, true, GS(intr_waiting)); /* cmp */
    emit_byte(e, 0);
    t_slow_if(t, EMIT_NE);
    emit_op(e, 0, 0xF7, 2, 0, GS(sflags)); /* test */
    emit_u32(e, FLAG_IF);
    skip = emit_jcc(e, EMIT_NE);
    emit_group1(e, 0, 1, 2, GS(sflags), FLAG_IF);
    emit_op_mixed(e, 0, 0xC6, 0, false, 0, true, GS(shadow)); /* mov */
    emit_byte(e, 1);
    emit_patch(e, skip, e->at);
    t_exit_direct(t, in->off + in->len);
}

static void t_pushf(struct t *t, const struct insn *in, unsigned arg)
{
    struct emit *e = &t->e;

    (void)arg;
    if (insn_osz(in) != 3) {
        e->conflict = true;
        return;
    }
    t_flags_memory(t);
    t_stack(t, RSP, -8, true);
    emit_op_mixed(e, 0, 0x0FB7, 2, false, T_VAL, false, GS(raw_flags)); /* movzx */
    emit_op(e, 0, 0x89, 2, T_VAL, emit_reg(T_TMP));
    emit_op(e, 0, 0xC1, 2, 5, emit_reg(T_VAL)); /* shr */
    emit_byte(e, 8);
    emit_group1(e, 0, 4, 2, emit_reg(T_TMP), 1);
    emit_op(e, 0, 0xC1, 2, 4, emit_reg(T_TMP)); /* shl */
    emit_byte(e, 11);
    emit_op(e, 0, 0x09, 2, T_TMP, emit_reg(T_VAL)); /* or */
    emit_op(e, 0, 0x0B, 3, T_VAL, GS(sflags));      /* or */
    emit_group1(e, 0, 4, 3, emit_reg(T_VAL), ~(i32)(FLAG_VM | FLAG_RF));
    emit_store(e, emit_mem(T_ADDR, 0), T_VAL);
    emit_lea(e, 3, T_RSP, emit_mem(T_RSP, -8));
    t->host = false;
    t_stored(t, 3);
}

/* --- The table --- */

static const struct {
    insn_fn *const *handlers;
    t_make *make;
    u16 arg, flags, use;
    u8 clobbers, stack;
} t_sys_entries[] = {
    { x_div_E, t_div, 6, T_ACCESS, 0, T_CLOBBER_AD, 0 },
    { x_idiv_E, t_div, 7, T_ACCESS, 0, T_CLOBBER_AD, 0 },
    { x_cli, t_cli, 0, T_FAULTS, 0, T_CLOBBER_NONE, 0 },
    { x_sti, t_sti, 0, T_FAULTS | T_ENDS, 0, T_CLOBBER_NONE, 0 },
    { x_pushf, t_pushf, 0, T_FAULTS, (u16)FLAGS_ARITH, T_CLOBBER_NONE, T_STACK_PUSH },
};

void t_sys_rows(struct t_row *rows)
{
    for (unsigned r = 0; r < insn_row_count; r++)
        for (unsigned i = 0; i < ARRAY_SIZE(t_sys_entries); i++)
            if (insn_rows[r].fn == t_sys_entries[i].handlers)
                rows[r] = (struct t_row){
                    .make = t_sys_entries[i].make,
                    .arg = t_sys_entries[i].arg,
                    .flags = t_sys_entries[i].flags | T_FAULTS,
                    .use = t_sys_entries[i].use,
                    .clobbers = t_sys_entries[i].clobbers,
                    .stack = t_sys_entries[i].stack,
                };
}
