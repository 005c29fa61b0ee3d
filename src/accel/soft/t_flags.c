/* SPDX-License-Identifier: MIT */
/*
 * Where the arithmetic flags are while translated code runs.
 *
 * An instruction leaves them in the host's. They move to memory only when the host's are about to be lost and
 * nothing else can give them back: most can be computed again from registers that still hold what the
 * instruction worked on (a recipe). Then the way that needs them, mostly none, does that.
 */
#include <stddef.h>

#include "accel/soft/trans_int.h"

/* In memory as LAHF and SETO make them: AL is OF, AH the others. */

void t_flags_store(struct emit *e)
{
    emit_mov(e, T_VAL, H_RAX);
    emit_byte(e, 0x9F);                           /* lahf */
    emit_op(e, 0, 0x0F90, 0, 0, emit_reg(H_RAX)); /* seto al */
    emit_op(e, 0, 0x89, 1, H_RAX, GS(raw_flags));
    emit_mov(e, H_RAX, T_VAL);
}

/* OF by an addition that overflows when its bit is set (see alu.h). */
void t_flags_load(struct emit *e)
{
    emit_mov(e, T_VAL, H_RAX);
    emit_op_mixed(e, 0, 0x0FB7, 2, false, H_RAX, false, GS(raw_flags)); /* movzx */
    emit_group1(e, 0, 0, 0, emit_reg(H_RAX), 0x7F);                     /* add al */
    emit_byte(e, 0x9E);                                                 /* sahf */
    emit_mov(e, H_RAX, T_VAL);
}

/* cpu->aflags := cpu->raw_flags. RAX and RCX are used. */
void t_flags_to_interpreter(struct emit *e)
{
    emit_op_mixed(e, 0, 0x0FB7, 2, false, H_RAX, false, GS(raw_flags)); /* movzx */
    emit_op(e, 0, 0x89, 2, H_RAX, emit_reg(H_RCX));
    emit_op(e, 0, 0xC1, 2, 5, emit_reg(H_RAX)); /* shr */
    emit_byte(e, 8);
    emit_group1(e, 0, 4, 2, emit_reg(H_RCX), 1);
    emit_op(e, 0, 0xC1, 2, 4, emit_reg(H_RCX)); /* shl */
    emit_byte(e, 11);
    emit_op(e, 0, 0x09, 2, H_RCX, emit_reg(H_RAX)); /* or */
    emit_store(e, GS(aflags), H_RAX);
}

/* The way back. */
void t_flags_to_code(struct emit *e)
{
    emit_op(e, 0, 0x8B, 2, H_RAX, GS(aflags));
    emit_op(e, 0, 0x89, 2, H_RAX, emit_reg(H_RCX));
    emit_op(e, 0, 0xC1, 2, 4, emit_reg(H_RAX)); /* shl */
    emit_byte(e, 8);
    emit_op(e, 0, 0xC1, 2, 5, emit_reg(H_RCX)); /* shr */
    emit_byte(e, 11);
    emit_group1(e, 0, 4, 2, emit_reg(H_RCX), 1);
    emit_op(e, 0, 0x09, 2, H_RCX, emit_reg(H_RAX)); /* or */
    emit_op(e, 0, 0x89, 1, H_RAX, GS(raw_flags));
}

/* --- Recipes --- */

static void t_recipe_op(struct emit *e, const struct t_recipe *r, unsigned digit, unsigned reg)
{
    if (r->imm)
        emit_group1(e, 0, digit, r->size, emit_reg(reg), r->value);
    else
        emit_op(e, 0, digit << 3 | (r->size ? 1 : 0), r->size, r->src, emit_reg(reg));
}

static void t_recipe_test(struct emit *e, const struct t_recipe *r)
{
    if (!r->imm) {
        emit_op(e, 0, r->size ? 0x85 : 0x84, r->size, r->src, emit_reg(r->dst));
        return;
    }
    emit_op_mixed(e, 0, r->size ? 0xF7 : 0xF6, r->size, false, 0, r->size == 0, emit_reg(r->dst));
    emit_imm(e, r->size, (u64)(i64)r->value);
}

void t_recipe_emit(struct emit *e, const struct t_recipe *r)
{
    switch (r->kind) {
    case T_RECIPE_NONE: break;
    case T_RECIPE_CMP: t_recipe_op(e, r, 7, r->dst); break;
    case T_RECIPE_TEST: t_recipe_test(e, r); break;
    case T_RECIPE_ADD:
        emit_mov(e, T_VAL, r->dst);
        t_recipe_op(e, r, 5, T_VAL);
        t_recipe_op(e, r, 0, T_VAL);
        break;
    case T_RECIPE_SUB:
        emit_mov(e, T_VAL, r->dst);
        t_recipe_op(e, r, 0, T_VAL);
        t_recipe_op(e, r, 5, T_VAL);
        break;
    }
}

/* By group 1's digit. */
static const u8 t_recipe_kinds[8] = {
    [0] = T_RECIPE_ADD, [1] = T_RECIPE_TEST, [4] = T_RECIPE_TEST,
    [5] = T_RECIPE_SUB, [6] = T_RECIPE_TEST, [7] = T_RECIPE_CMP,
};

static void t_recipe_set(struct t *t, struct t_recipe recipe)
{
    t->recipe = recipe;
    t->recipe_new = true;
}

static bool t_recipe_register(unsigned field, unsigned size)
{
    return t_mapped(size ? field : field / 8) && (size || !(field & 1));
}

void t_recipe_alu(struct t *t, unsigned digit, unsigned size, unsigned dst, unsigned src)
{
    unsigned d = size ? dst : dst / 8, s = size ? src : src / 8;
    unsigned kind = t_recipe_kinds[digit];

    if (!kind || dst == INSN_RM_MEM || !t_recipe_register(dst, size))
        return;
    if (kind == T_RECIPE_TEST || (kind == T_RECIPE_SUB && src == dst)) {
        kind = T_RECIPE_TEST;
        s = d;
    } else if (src == INSN_RM_MEM || !t_recipe_register(src, size) ||
               (kind == T_RECIPE_ADD && src == dst)) {
        return;
    }
    t_recipe_set(t, (struct t_recipe){ .kind = (u8)kind,
                                       .size = (u8)size,
                                       .dst = (u8)t_host(d),
                                       .src = (u8)t_host(s),
                                       .regs = (u16)(1u << d | 1u << s) });
}

void t_recipe_imm(struct t *t, unsigned digit, unsigned size, unsigned dst, i32 value)
{
    unsigned d = size ? dst : dst / 8;
    unsigned kind = t_recipe_kinds[digit];

    if (kind == T_RECIPE_TEST) {
        t_recipe_alu(t, digit, size, dst, dst);
        return;
    }
    if (!kind || dst == INSN_RM_MEM || !t_recipe_register(dst, size))
        return;
    t_recipe_set(t, (struct t_recipe){ .kind = (u8)kind,
                                       .size = (u8)size,
                                       .dst = (u8)t_host(d),
                                       .imm = true,
                                       .value = value,
                                       .regs = (u16)(1u << d) });
}

void t_recipe_test_two(struct t *t, unsigned size, unsigned dst, unsigned src)
{
    unsigned d = size ? dst : dst / 8, s = size ? src : src / 8;

    if (dst == INSN_RM_MEM || !t_recipe_register(dst, size) || !t_recipe_register(src, size))
        return;
    t_recipe_set(t, (struct t_recipe){ .kind = T_RECIPE_TEST,
                                       .size = (u8)size,
                                       .dst = (u8)t_host(d),
                                       .src = (u8)t_host(s),
                                       .regs = (u16)(1u << d | 1u << s) });
}

void t_recipe_test_imm(struct t *t, unsigned size, unsigned dst, i32 value)
{
    unsigned d = size ? dst : dst / 8;

    if (dst == INSN_RM_MEM || !t_recipe_register(dst, size))
        return;
    t_recipe_set(t, (struct t_recipe){ .kind = T_RECIPE_TEST,
                                       .size = (u8)size,
                                       .dst = (u8)t_host(d),
                                       .imm = true,
                                       .value = value,
                                       .regs = (u16)(1u << d) });
}

/* --- The block's flags --- */

void t_flags_memory(struct t *t)
{
    if (t->memory)
        return;
    if (!t->host)
        t_recipe_emit(&t->e, &t->recipe);
    if (t->host || t->recipe.kind)
        t_flags_store(&t->e);
    t->host = false;
    t->memory = true;
}

void t_flags_spare(struct t *t, u32 wanted)
{
    if (wanted && t->host && !t->memory && !t->recipe.kind)
        t_flags_memory(t);
    t->host = false;
}

void t_flags_in(struct t *t)
{
    u32 need = t->use;

    if (t->writes)
        need |= t->live & ~t->def;
    if (!need || t->host)
        return;
    if (t->recipe.kind)
        t_recipe_emit(&t->e, &t->recipe);
    else
        t_flags_load(&t->e);
    t->host = true;
}

void t_flags_out(struct t *t)
{
    if (!t->writes)
        return;
    t->host = true;
    t->memory = false;
    t->recipe.kind = T_RECIPE_NONE;
}

void t_flags_lose_registers(struct t *t, u32 regs)
{
    u32 wanted = t->writes ? t->live & ~t->def : t->live;

    if (!wanted || !t->recipe.kind || !(t->recipe.regs & regs))
        return;
    if (!t->host && !t->memory) {
        t_recipe_emit(&t->e, &t->recipe);
        t->host = true;
    }
    t->recipe.kind = T_RECIPE_NONE;
}

struct t_recipe t_flags_recipe(const struct t *t)
{
    static const struct t_recipe none = { .kind = T_RECIPE_NONE };

    return t->memory ? none : t->recipe;
}
