/* SPDX-License-Identifier: MIT */
/*
 * Guest memory in translated code: the software TLB inline, one look for several accesses where they lie
 * close together off one register.
 *
 * A group is such a set of accesses. Its first one looks up the page of the lowest byte, with the highest on
 * the same page, and keeps what turns a linear address into a host one; the others use that. The look-up
 * serves a whole block because what changes translations ends a block. Where it fails, the interpreter runs
 * the rest of the block.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "accel/soft/decode.h"
#include "accel/soft/mem.h"
#include "accel/soft/trans_int.h"

/* Bytes from a group's first to its last. More cross pages more often. */
#define T_GROUP_SPAN 256

_Static_assert(sizeof(struct tlb_entry) == 32, "the lookup shifts the page number by five");

/* A field of the TLB entry at index T_TMP, in the block's context. */
static struct emit_operand t_tlb_entry(const struct t *t, size_t field)
{
    u64 tlb = offsetof(struct cpu, tlbs) + t_context(t->b->mode) * sizeof(struct tlb);

    return (struct emit_operand){
        .kind = EMIT_GS, .base = T_TMP, .index = H_NONE, .disp = (i32)(tlb + field)
    };
}

/* Leaves NE unless the `size` bytes at T_ADDR lie on one page that the TLB has. T_TMP is the entry's index. */
static void t_tlb_look(struct t *t, unsigned size, bool write)
{
    size_t tag = write ? offsetof(struct tlb_entry, tag_w) : offsetof(struct tlb_entry, tag_r);
    struct emit *e = &t->e;

    t_flags_spare(t, t->live_in);
    emit_op(e, 0, 0x89, 2, T_ADDR, emit_reg(T_TMP));
    emit_op(e, 0, 0xC1, 2, 5, emit_reg(T_TMP)); /* shr */
    emit_byte(e, 7);
    emit_group1(e, 0, 4, 2, emit_reg(T_TMP), (TLB_SIZE - 1) << 5);
    if (size > 1)
        emit_lea(e, 3, T_VAL, emit_mem(T_ADDR, (i32)size - 1));
    else
        emit_mov(e, T_VAL, T_ADDR);
    emit_group1(e, 0, 4, 3, emit_reg(T_VAL), -4096);
    emit_op(e, 0, 0x0B, 3, T_VAL, GS(tlb_gen));
    emit_op(e, 0, 0x3B, 3, T_VAL, t_tlb_entry(t, tag));
}

void t_tlb(struct t *t, unsigned size, bool write)
{
    t->group = NULL;
    t_tlb_look(t, 1u << size, write);
    t_slow_if(t, EMIT_NE);
    emit_op(&t->e, 0, 0x03, 3, T_ADDR, t_tlb_entry(t, offsetof(struct tlb_entry, addend)));
}

/* --- What the block's accesses are, roughly: a wrong guess costs time only --- */

/* An access at [register `base` as it was at the block's start, or was set at `version`, + at]. */
struct t_access {
    u8 base;
    bool write;
    u8 size; /* bytes */
    i32 at;
};

static bool t_can_group(const struct insn *in)
{
    return in->index == GPR_ZERO && in->base != GPR_ZERO && in->base != GPR_BIAS &&
           in->seg < SEG_FS && insn_asz(in) == 3;
}

static bool t_simd_writes(const struct insn *in)
{
    return operand_kinds[insn_rows[in->row].op[0]].source == SRC_RM;
}

static bool t_describe_rm(const struct t *t, const struct insn *in, const struct t_row *row,
                          struct t_access *a)
{
    if (in->rm != INSN_RM_MEM || !(row->flags & T_ACCESS || row->flags >> T_FPU_SHIFT) ||
        !t_can_group(in))
        return false;
    *a = (struct t_access){ .base = in->base, .at = in->disp, .size = (u8)(1u << insn_osz(in)) };
    if (row->flags >> T_FPU_SHIFT) {
        a->size = (u8)t_fpu_bytes(in);
        a->write = t_simd_writes(in);
    } else {
        a->write = row->flags & T_STORES;
        if (row->rm_size)
            a->size = (u8)(row->rm_size);
    }
    if (in->base == GPR_RIP)
        a->at += (i32)(t->b->offset & 0xFFF);
    return a->size && a->size <= 32;
}

static unsigned t_describe(const struct t *t, const struct insn *in, const struct t_row *row,
                           struct t_access a[2])
{
    unsigned count = t_describe_rm(t, in, row, &a[0]);

    if (row->stack == T_STACK_PUSH)
        a[count++] = (struct t_access){ .base = RSP, .at = -8, .size = 8, .write = true };
    else if (row->stack == T_STACK_POP)
        a[count++] = (struct t_access){ .base = RSP, .size = 8 };
    return count;
}

/* Not so far from the base that sums and differences of distances could overflow. */
static bool t_is_near(i32 at)
{
    return at > -0x20000000 && at < 0x20000000;
}

static void t_group_join(struct t *t, const struct t_access *a)
{
    i32 at, end;

    if (!t_is_near(a->at))
        return;
    at = a->at + t->moved[a->base];
    end = at + a->size;
    for (unsigned i = 0; i < t->group_count; i++) {
        struct t_group *g = &t->groups[i];
        i32 low = MIN(g->low, at), high = MAX(g->high, end);

        if (g->base != a->base || g->version != t->versions[a->base] || high - low > T_GROUP_SPAN)
            continue;
        g->low = low;
        g->high = high;
        g->write |= a->write;
        g->count++;
        return;
    }
    if (t->group_count < T_GROUPS_MAX)
        t->groups[t->group_count++] = (struct t_group){ .base = a->base,
                                                        .version = t->versions[a->base],
                                                        .low = at,
                                                        .high = end,
                                                        .write = a->write,
                                                        .count = 1 };
}

void t_groups_find(struct t *t)
{
    struct t_access a[2];

    t->group_count = 0;
    t_registers_begin(t);
    for (unsigned i = 0; i < t->b->count; i++) {
        const struct insn *in = &t->b->insns[i];
        const struct t_row *row = &t->rows[in->row];
        unsigned count = t_describe(t, in, row, a);

        for (unsigned k = 0; k < count; k++)
            t_group_join(t, &a[k]);
        t_registers_change(t, in, row);
    }
    t_registers_begin(t);
}

/* --- Registers that move by constants --- */

void t_registers_begin(struct t *t)
{
    memset(t->versions, 0, sizeof(t->versions));
    memset(t->moved, 0, sizeof(t->moved));
}

void t_registers_lost(struct t *t, u32 mask)
{
    for (unsigned n = 0; mask; n++, mask >>= 1) {
        if (!(mask & 1))
            continue;
        t->versions[n]++;
        t->moved[n] = 0;
    }
}

static bool t_move_by(struct t *t, unsigned reg, i64 by)
{
    if (by < -65536 || by > 65536 || t->moved[reg] < -65536 || t->moved[reg] > 65536)
        return false;
    t->moved[reg] += (i32)by;
    return true;
}

void t_registers_change(struct t *t, const struct insn *in, const struct t_row *row)
{
    u32 mask = t_clobbers(in, row);
    bool wide = insn_osz(in) == 3 && in->rm != INSN_RM_MEM;

    if (row->stack == T_STACK_PUSH && t_move_by(t, RSP, -8))
        mask &= ~BIT(RSP);
    else if (row->stack == T_STACK_POP && in->rm != RSP && t_move_by(t, RSP, 8))
        mask &= ~BIT(RSP);
    else if (row->moves == T_MOVES_ADD && wide && t_move_by(t, in->rm, (i64)in->imm))
        mask &= ~BIT(in->rm);
    else if (row->moves == T_MOVES_SUB && wide && t_move_by(t, in->rm, -(i64)in->imm))
        mask &= ~BIT(in->rm);
    else if (row->moves == T_MOVES_LEA && insn_osz(in) == 3 && in->reg == in->base &&
             t_can_group(in) && t_move_by(t, in->reg, in->disp))
        mask &= ~BIT(in->reg);
    t_registers_lost(t, mask);
}

/* --- Accesses --- */

static struct t_group *t_group_of(struct t *t, unsigned base, i32 at, unsigned size, bool write)
{
    i32 low, high;

    if (!t_is_near(at))
        return NULL;
    low = at + t->moved[base];
    high = low + (i32)size;
    for (unsigned i = 0; i < t->group_count; i++) {
        struct t_group *g = &t->groups[i];

        if (g->base == base && g->version == t->versions[base] && g->count > 1 && g->low <= low &&
            high <= g->high && (g->write || !write))
            return g;
    }
    return NULL;
}

/* A register as the base of an address: T_ADDR, loaded, when the host has none for it. */
static unsigned t_group_base(struct t *t, unsigned base)
{
    if (t_mapped(base))
        return t_host(base);
    emit_load(&t->e, T_ADDR, base == GPR_RIP ? GS(page_rip) : GS_GPR(base));
    return T_ADDR;
}

static void t_group_code(struct t *t, struct t_group *g)
{
    struct emit *e = &t->e;
    struct emit_operand byte = { .kind = EMIT_MEM, .base = T_TMP, .index = T_ADDR };

    emit_op(e, 0, 0x01, 3, T_VAL, emit_reg(T_ADDR)); /* add */
    emit_op(e, 0, 0xC1, 3, 5, emit_reg(T_ADDR));     /* shr */
    emit_byte(e, 12);
    emit_load(e, T_TMP, GS(code_bias));
    emit_group1(e, 0, 7, 0, byte, 0);
    t_rest_if(t, EMIT_NE);
    if (t->alone)
        return;
    emit_lea(e, 3, T_ADDR, byte);
    emit_store(e, GS(group_code[g - t->groups]), T_ADDR);
}

static void t_group_open(struct t *t, struct t_group *g)
{
    i32 low = g->low - t->moved[g->base];
    struct emit *e = &t->e;

    g->open = true;
    t->opened = true;
    emit_lea(e, 3, T_ADDR, emit_mem(t_group_base(t, g->base), low));
    t_tlb_look(t, (unsigned)(g->high - g->low), g->write);
    t_rest_if(t, EMIT_NE);
    emit_load(e, T_VAL, t_tlb_entry(t, offsetof(struct tlb_entry, addend)));
    emit_store(e, GS(group_addend[g - t->groups]), T_VAL);
    if (g->write)
        t_group_code(t, g);
}

/* T_ADDR := host address of the bytes, when they are a group's. */
static bool t_grouped(struct t *t, unsigned base, i32 at, unsigned size, bool write)
{
    struct t_group *g = t_group_of(t, base, at, size, write);
    struct emit_operand m = { .kind = EMIT_MEM, .index = T_TMP, .disp = at };

    if (!g)
        return false;
    if (!g->open)
        t_group_open(t, g);
    emit_load(&t->e, T_TMP, GS(group_addend[g - t->groups]));
    m.base = (u8)t_group_base(t, base);
    emit_lea(&t->e, 3, T_ADDR, m);
    t->group = g;
    return true;
}

/* A register of an address in a host register: `spare` when it has none, loaded. */
static unsigned t_address_part(struct t *t, unsigned n, unsigned spare)
{
    if (n == GPR_ZERO)
        return H_NONE;
    if (t_mapped(n))
        return t_host(n);
    emit_load(&t->e, spare, n == GPR_RIP ? GS(page_rip) : GS_GPR(n));
    return spare;
}

/* The displacement from the registers that the code has. */
static i32 t_displacement(struct t *t, const struct insn *in)
{
    i64 disp = in->disp;

    if (in->base == GPR_RIP)
        disp += (i64)(t->b->offset & 0xFFF);
    if (disp != (i32)disp)
        t->e.conflict = true;
    return (i32)disp;
}

void t_offset(struct t *t, const struct insn *in, unsigned reg, unsigned size)
{
    struct emit_operand m = { .kind = EMIT_MEM, .scale = in->scale };

    if (in->index == GPR_BIAS || in->index == GPR_RIP)
        t->e.conflict = true;
    m.disp = t_displacement(t, in);
    m.base = (u8)t_address_part(t, in->base, T_ADDR);
    m.index = (u8)t_address_part(t, in->index, T_VAL);
    emit_lea(&t->e, size, reg, m);
}

void t_operand(struct t *t, const struct insn *in, unsigned size, bool write)
{
    if (t_can_group(in) && t_grouped(t, in->base, t_displacement(t, in), 1u << size, write))
        return;
    t_offset(t, in, T_ADDR, insn_asz(in) == 2 ? 2 : 3);
    if (in->seg >= SEG_FS) {
        t_flags_spare(t, t->live_in);
        emit_op(&t->e, 0, 0x03, 3, T_ADDR,
                emit_gs(offsetof(struct cpu, seg) + in->seg * sizeof(struct segment) +
                        offsetof(struct segment, base)));
    }
    t_tlb(t, size, write);
}

void t_stack(struct t *t, unsigned base, i32 at, bool write)
{
    if (t_grouped(t, base, at, 8, write))
        return;
    emit_lea(&t->e, 3, T_ADDR, emit_mem(t_host(base), at));
    t_tlb(t, 3, write);
}

/*
 * The page's mark comes after the store (block.c). With one CPU nothing sets it meanwhile: there a group has
 * looked already.
 */
void t_stored(struct t *t, unsigned size)
{
    struct emit *e = &t->e;

    if (t->group && t->alone)
        return;
    t_flags_spare(t, (u32)FLAGS_ARITH); /* the store may end the block */
    if (t->group) {
        emit_load(e, T_VAL, GS(group_code[t->group - t->groups]));
        emit_group1(e, 0, 7, 0, emit_mem(T_VAL, 0), 0);
    } else {
        emit_mov(e, T_VAL, T_ADDR);
        emit_op(e, 0, 0xC1, 3, 5, emit_reg(T_VAL)); /* shr */
        emit_byte(e, 12);
        emit_load(e, T_TMP, GS(code_bias));
        emit_group1(e, 0, 7, 0,
                    (struct emit_operand){ .kind = EMIT_MEM, .base = T_TMP, .index = T_VAL }, 0);
    }
    t_stored_if(t, EMIT_NE, 1u << size);
}
