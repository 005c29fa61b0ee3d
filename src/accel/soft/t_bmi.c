/* SPDX-License-Identifier: MIT */
/*
 * Translation of BMI1, BMI2, ADX, CRC32 and MOVBE: each becomes itself. A register that lives in memory is worked on in a
 * temporary: ModRM.reg in T_VAL, a ModRM.rm register in T_TMP, VEX.vvvv in what the ModRM.rm operand leaves free.
 */
#include <stddef.h>

#include "accel/soft/decode.h"
#include "accel/soft/handlers.h"
#include "accel/soft/hostop_stub.h"
#include "accel/soft/trans_int.h"

static bool bmi_is_vex(const struct insn_row *row)
{
    return row->map >= MAP_V0F;
}

static bool bmi_is_mem(const struct insn *in)
{
    return in->rm == INSN_RM_MEM;
}

static bool bmi_stores(const struct insn *in)
{
    return bmi_is_mem(in) && operand_kinds[insn_rows[in->row].op[0]].source == SRC_RM;
}

static struct emit_simd bmi_encoding(const struct insn_row *row, unsigned size)
{
    static const u8 prefixes[] = { [P66] = 0x66, [PF3] = 0xF3, [PF2] = 0xF2 };
    bool vex = bmi_is_vex(row);

    return (struct emit_simd){
        .prefix = prefixes[row->prefix],
        .map = (u8)(row->map - (vex ? MAP_V0F : MAP_0F) + 1),
        .opcode = row->opcode,
        .vex = vex,
        .w = size == 3,
    };
}

/* The host register of guest register `n`: `spare`, loaded, when it has none. */
static unsigned bmi_register(struct t *t, unsigned n, unsigned spare)
{
    if (t_mapped(n))
        return t_host(n);
    emit_load(&t->e, spare, GS_GPR(n));
    return spare;
}

static void bmi_keep(struct t *t, unsigned n, unsigned spare)
{
    if (!t_mapped(n))
        emit_store(&t->e, GS_GPR(n), spare);
}

/* CRC32 and MOVBE have 16-bit forms by a prefix more; byte registers of CRC32 are the handler's. */
static void bmi_prefix(struct t *t, const struct insn *in, const struct emit_simd *op)
{
    if (insn_osz(in) == 0 && !bmi_is_mem(in))
        t->e.conflict = true;
    if (insn_osz(in) == 1 && op->prefix != 0x66)
        emit_byte(&t->e, 0x66);
}

static void t_bmi(struct t *t, const struct insn *in, unsigned arg)
{
    const struct insn_row *row = &insn_rows[in->row];
    struct emit_simd op = bmi_encoding(row, insn_osz(in));
    bool vvvv = row_operand(row, SRC_VVVV), has_reg = row_operand(row, SRC_REG);
    unsigned spare = bmi_is_mem(in) ? T_TMP : T_ADDR, reg = row->digit, vreg = 0;
    struct emit_operand rm = emit_mem(T_ADDR, 0);

    (void)arg;
    if (bmi_is_mem(in))
        t_operand(t, in, insn_osz(in), bmi_stores(in));
    t_flags_in(t);
    if (!bmi_is_mem(in))
        rm = emit_reg(bmi_register(t, in->rm & 15u, T_TMP));
    if (vvvv)
        vreg = bmi_register(t, in->vreg, spare);
    if (has_reg)
        reg = bmi_register(t, in->reg, T_VAL);
    bmi_prefix(t, in, &op);
    emit_simd(&t->e, &op, reg, vreg, rm);
    if (row_operand(row, SRC_IMM))
        emit_byte(&t->e, (u8)in->imm);
    t_flags_out(t);
    if (vvvv)
        bmi_keep(t, in->vreg, spare);
    if (has_reg && !bmi_stores(in))
        bmi_keep(t, in->reg, T_VAL);
    if (bmi_stores(in))
        t_stored(t, insn_osz(in));
}

static const struct {
    insn_fn *const *handlers;
    u8 clobbers;
    u16 flags;
} t_bmi_entries[] = {
    { x_andn_G_B_E, T_CLOBBER_REG, 0 }, { x_bextr_G_E_B, T_CLOBBER_REG, 0 },
    { x_bzhi_G_E_B, T_CLOBBER_REG, 0 }, { x_blsi_B_E, T_CLOBBER_ALL, 0 },
    { x_blsmsk_B_E, T_CLOBBER_ALL, 0 }, { x_blsr_B_E, T_CLOBBER_ALL, 0 },
    { x_mulx_G_B_E, T_CLOBBER_ALL, 0 }, { x_pdep_G_B_E, T_CLOBBER_REG, 0 },
    { x_pext_G_B_E, T_CLOBBER_REG, 0 }, { x_rorx_G_E_I, T_CLOBBER_REG, 0 },
    { x_sarx_G_E_B, T_CLOBBER_REG, 0 }, { x_shlx_G_E_B, T_CLOBBER_REG, 0 },
    { x_shrx_G_E_B, T_CLOBBER_REG, 0 }, { x_adcx_G_E, T_CLOBBER_REG, 0 },
    { x_adox_G_E, T_CLOBBER_REG, 0 },   { x_crc32_G_E, T_CLOBBER_REG, 0 },
    { x_movbe_G_M, T_CLOBBER_REG, 0 },  { x_movbe_M_G, T_CLOBBER_NONE, T_STORES },
};

static void bmi_row(struct t_row *to, const struct insn_row *row, unsigned entry)
{
    *to = (struct t_row){
        .make = t_bmi,
        .flags = (u16)(T_ACCESS | t_bmi_entries[entry].flags | (row->flags_w ? T_WRITES : 0)),
        .use = row->flags_r & (u16)FLAGS_ARITH,
        .def = row->flags_w & (u16)FLAGS_ARITH,
        .clobbers = t_bmi_entries[entry].clobbers,
    };
}

void t_bmi_rows(struct t_row *rows)
{
    for (unsigned r = 0; r < insn_row_count; r++)
        for (unsigned i = 0; i < ARRAY_SIZE(t_bmi_entries); i++)
            if (insn_rows[r].fn == t_bmi_entries[i].handlers)
                bmi_row(&rows[r], &insn_rows[r], i);
}
