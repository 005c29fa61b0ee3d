/* SPDX-License-Identifier: MIT */
/*
 * Translation of SSE, AVX and MMX: each instruction becomes itself, on the guest's registers, which the host's hold
 * (t_fpu.c). A memory operand is redirected to its host address; a misaligned one of an instruction that wants
 * alignment is the handler's, which faults. General registers that live in memory are worked on in T_TMP (ModRM.rm)
 * and T_VAL (ModRM.reg).
 */
#include <stddef.h>

#include "accel/soft/decode.h"
#include "accel/soft/fpu.h"
#include "accel/soft/handlers.h"
#include "accel/soft/hostop.h"
#include "accel/soft/hostop_stub.h"
#include "accel/soft/trans_int.h"

/* --- Forms --- */

static bool simd_is_vex(const struct insn_row *row)
{
    return row->map >= MAP_V0F;
}

static bool simd_has_y(const struct insn_row *row)
{
    return row->attr & ATTR_Y;
}

static struct hostop_form simd_form(const struct insn *in)
{
    const struct insn_row *row = &insn_rows[in->row];

    if (row->class == CLASS_HOST)
        return hostop_form_of(in->hostop);
    return (struct hostop_form){
        .row = row,
        .memory = in->rm == INSN_RM_MEM,
        .wide = row->w == W1 || (row->w == WA && simd_has_y(row) && insn_osz(in) == 3),
        .ymm = row->l == L1 || (row->l == LA && simd_is_vex(row) && (in->flags & INSN_VEX_L)),
    };
}

static struct emit_simd simd_encoding(const struct hostop_form *f)
{
    static const u8 prefixes[] = { [P66] = 0x66, [PF3] = 0xF3, [PF2] = 0xF2 };
    const struct insn_row *row = f->row;
    bool vex = simd_is_vex(row);

    return (struct emit_simd){
        .prefix = prefixes[row->prefix],
        .map = (u8)(row->map - (vex ? MAP_V0F : MAP_0F) + 1),
        .opcode = row->opcode,
        .vex = vex,
        .w = f->wide,
        .l = f->ymm,
    };
}

/* Bytes of the memory operand. */
static unsigned simd_bytes(const struct insn *in, const struct hostop_form *f)
{
    if (f->row->class == CLASS_HOST)
        return in->hostop->size;
    for (unsigned i = 0; i < ARRAY_SIZE(f->row->op); i++)
        if (operand_kinds[f->row->op[i]].source == SRC_RM)
            return operand_bytes(in, f->row->op[i], MODE_CS_L);
    return 0;
}

/* --- Operands --- */

struct simd {
    struct hostop_form form;
    const struct operand_kind *reg_kind, *rm_kind, *result;
    struct emit_operand rm;
    unsigned bytes;
    unsigned reg, vreg;
    bool store; /* the memory operand is written */
};

static bool simd_in_memory(const struct operand_kind *kind, unsigned n)
{
    return kind && kind->file == FILE_GPR && !t_mapped(n);
}

static void simd_memory(struct t *t, const struct insn *in, struct simd *s)
{
    bool aligned = (s->form.row->attr & ATTR_ALIGN) != 0;
    unsigned size = (unsigned)__builtin_ctz(s->bytes);

    t_operand(t, in, size, s->store);
    if (aligned && s->bytes > 1) {
        t_flags_spare(t, t->live_in);
        emit_op_mixed(&t->e, 0, 0xF6, 0, false, 0, true, emit_reg(T_ADDR)); /* test */
        emit_byte(&t->e, s->bytes - 1);
        t_slow_if(t, EMIT_NE);
    }
    s->rm = emit_mem(T_ADDR, 0);
}

static void simd_register(struct t *t, const struct insn *in, struct simd *s)
{
    if (!s->rm_kind) {
        s->rm = emit_reg(0);
        return;
    }
    if (s->rm_kind->file == FILE_GPR && t_mapped(in->rm)) {
        s->rm = emit_reg(t_host(in->rm));
    } else if (s->rm_kind->file == FILE_GPR) {
        emit_load(&t->e, T_TMP, GS_GPR(in->rm));
        s->rm = emit_reg(T_TMP);
    } else {
        s->rm = emit_reg(s->rm_kind->file == FILE_MMX ? in->rm & 7u : in->rm);
    }
}

static void simd_begin(struct t *t, const struct insn *in, struct simd *s)
{
    const struct insn_row *row = &insn_rows[in->row];

    s->form = simd_form(in);
    s->reg_kind = row_operand(row, SRC_REG);
    s->rm_kind = row_operand(row, SRC_RM);
    /* Instructions whose result is in the flags change no register that their row names. */
    s->result = row->flags_w ? NULL : &operand_kinds[row->op[0]];
    s->vreg = row_operand(row, SRC_VVVV) ? in->vreg : 0;
    s->bytes = s->form.memory ? simd_bytes(in, &s->form) : 0;
    s->store = s->form.memory && s->result && s->result == s->rm_kind;
    if (s->form.memory)
        simd_memory(t, in, s);
    else
        simd_register(t, in, s);
    t_flags_in(t);
    s->reg = row->digit;
    if (!s->reg_kind)
        return;
    s->reg = in->reg;
    if (s->reg_kind->file == FILE_MMX)
        s->reg = in->reg & 7u;
    if (s->reg_kind->file != FILE_GPR)
        return;
    s->reg = t_mapped(in->reg) ? t_host(in->reg) : T_VAL;
    if (!t_mapped(in->reg))
        emit_load(&t->e, T_VAL, GS_GPR(in->reg));
}

static void simd_end(struct t *t, const struct insn *in, const struct simd *s)
{
    t_flags_out(t);
    if (s->result && s->result == s->reg_kind && simd_in_memory(s->reg_kind, in->reg))
        emit_store(&t->e, GS_GPR(in->reg), T_VAL);
    if (s->store)
        t_stored(t, (unsigned)__builtin_ctz(s->bytes));
    else if (s->result && s->result == s->rm_kind && !s->form.memory &&
             simd_in_memory(s->rm_kind, in->rm))
        emit_store(&t->e, GS_GPR(in->rm), T_TMP);
}

static void t_simd(struct t *t, const struct insn *in, unsigned arg)
{
    struct emit_simd op;
    struct simd s;

    (void)arg;
    simd_begin(t, in, &s);
    op = simd_encoding(&s.form);
    emit_simd(&t->e, &op, s.reg, s.vreg, s.rm);
    if (row_operand(s.form.row, SRC_IMM) || row_operand(s.form.row, SRC_IS4))
        emit_byte(&t->e, s.form.imm);
    simd_end(t, in, &s);
}

/* Without ModRM: EMMS, VZEROUPPER, VZEROALL. */
static void t_simd_plain(struct t *t, const struct insn *in, unsigned arg)
{
    const struct insn_row *row = &insn_rows[in->row];

    (void)arg;
    if (simd_is_vex(row)) {
        emit_byte(&t->e, 0xC5);
        emit_byte(&t->e, row->l == L1 || in->flags & INSN_VEX_L ? 0xFC : 0xF8);
    } else {
        emit_byte(&t->e, 0x0F);
    }
    emit_byte(&t->e, row->opcode);
}

/* --- MXCSR --- */

/* All bits but the reserved ones. */
#define MXCSR_VALID 0xFFFFu

static void t_stmxcsr(struct t *t, const struct insn *in, unsigned arg)
{
    (void)arg;
    t_operand(t, in, 2, true);
    emit_op(&t->e, 0, 0x0FAE, 2, 3, emit_mem(T_ADDR, 0));
    t_stored(t, 2);
}

/* A value with reserved bits or with an exception unmasked is the handler's. */
static void t_ldmxcsr(struct t *t, const struct insn *in, unsigned arg)
{
    struct emit *e = &t->e;

    (void)arg;
    t_operand(t, in, 2, false);
    emit_op(e, 0, 0x8B, 2, T_TMP, emit_mem(T_ADDR, 0));
    emit_op(e, 0, 0x89, 2, T_TMP, GS(fpu_control));
    t_flags_spare(t, t->live_in);
    emit_group1(e, 0, 4, 2, emit_reg(T_TMP), (i32) ~(MXCSR_VALID & ~MXCSR_MASKS));
    emit_group1(e, 0, 7, 2, emit_reg(T_TMP), MXCSR_MASKS);
    t_slow_if(t, EMIT_NE);
    emit_op(e, 0, 0x0FAE, 2, 2, GS(fpu_control));
}

/* --- The table --- */

/* Handlers of the instructions that are run as themselves. */
static insn_fn *const *const t_simd_handlers[] = {
    x_simd,       x_simd_fp,    x_mmx,        x_cvt_mmx,    x_movu_V_W,   x_movu_W_V,  x_mova_V_W,
    x_mova_W_V,   x_movq_V_W,   x_movq_W_V,   x_movss_V_M,  x_movss_M_V,  x_movd_V_E,  x_movd_E_V,
    x_movlps_V_M, x_movhps_V_M, x_movhps_M_V, x_pxor_V_W,   x_vmovu_V_W,  x_vmova_V_W, x_vmovu_W_V,
    x_vmova_W_V,  x_vmovq_V_W,  x_vmovq_W_V,  x_vmovss_V_M, x_vmovss_M_V, x_vmovd_V_E, x_vmovd_E_V,
};

static const struct {
    insn_fn *const *handlers;
    t_make *make;
} t_simd_special[] = {
    { x_emms, t_simd_plain },    { x_vzeroupper, t_simd_plain }, { x_vzeroall, t_simd_plain },
    { x_stmxcsr_M, t_stmxcsr },  { x_vstmxcsr_M, t_stmxcsr },    { x_ldmxcsr_M, t_ldmxcsr },
    { x_vldmxcsr_M, t_ldmxcsr },
};

static t_make *simd_make_of(const struct insn_row *row)
{
    for (unsigned i = 0; i < ARRAY_SIZE(t_simd_handlers); i++)
        if (row->fn == t_simd_handlers[i])
            return t_simd;
    for (unsigned i = 0; i < ARRAY_SIZE(t_simd_special); i++)
        if (row->fn == t_simd_special[i].handlers)
            return t_simd_special[i].make;
    return NULL;
}

/*
 * CVTPI2PS and CVTPI2PD from memory name no MMX register, but processors differ in whether they switch
 * the x87 to MMX mode.
 */
static bool simd_is_open(const struct insn_row *row)
{
    return row->map == MAP_0F && row->opcode == 0x2A && row->mod == MM &&
           (row->prefix == PN || row->prefix == P66);
}

static unsigned simd_needs(const struct insn_row *row)
{
    unsigned need = row->attr & ATTR_MMX ? FPU_X87 : 0;

    if (simd_is_vex(row))
        return need | FPU_AVX;
    return row->attr & ATTR_XMM || !need ? need | FPU_SSE : need;
}

void t_simd_rows(struct t_row *rows)
{
    for (unsigned r = 0; r < insn_row_count; r++) {
        const struct insn_row *row = &insn_rows[r];
        t_make *make = simd_make_of(row);

        if (!make || simd_is_open(row))
            continue;
        rows[r] = (struct t_row){
            .make = make,
            .flags = (u16)(simd_needs(row) << T_FPU_SHIFT | (row->flags_w ? T_WRITES : 0)),
            .use = row->flags_r & (u16)FLAGS_ARITH,
            .def = row->flags_w & (u16)FLAGS_ARITH,
        };
    }
}
