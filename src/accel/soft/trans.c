/* SPDX-License-Identifier: MIT */
/*
 * Blocks to host code: flags by liveness, the software TLB inline, exits and their links.
 *
 * An instruction that can fault or store counts as one that reads all flags: an exception frame shows them, and
 * a store may change the instructions that come next.
 */
#include "accel/soft/trans.h"

#include <asm/prctl.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accel/soft/block.h"
#include "accel/soft/blocklog.h"
#include "accel/soft/codebuf.h"
#include "accel/soft/decode.h"
#include "accel/soft/fpu.h"
#include "accel/soft/handlers.h"
#include "accel/soft/mem.h"
#include "accel/soft/perfmap.h"
#include "accel/soft/stats.h"
#include "accel/soft/trans_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "machine/machine.h"
#include "machine/vcpu.h"

/* Code of one half. A block takes about 500 bytes. */
#define TRANS_HALF_SIZE MIB(16)

/* No block's code and data are larger. */
#define TRANS_BLOCK_MAX (64u << 10)

#define JMP_ENTRY_WORDS (sizeof(struct jmp_cache_entry) / 8)
_Static_assert(JMP_ENTRY_WORDS == 3, "the lookup multiplies by three");

typedef struct trans_exit *trans_enter_fn(const void *code);

struct translator {
    struct soft *soft;
    struct codebuf code;
    u32 threshold;
    bool chaining;
    bool counting;           /* -d stats: blocks count their runs */
    struct perfmap *perfmap; /* or NULL */
    struct t_row *rows;
    struct t_thunks thunks;
    trans_enter_fn *enter;
    struct trans_stats stats; /* the block cache's lock */
};

/* --- Called by generated code, on the vCPU's thread --- */

static void trans_mini_end(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    cpu->mini_ended = true;
}

/*
 * What generated code asks of C: instruction, bytes stored, what the rest of the block needs of the FPU, and
 * which of the helpers below.
 */
#define HELP_STORED_SHIFT 16
#define HELP_FPU_SHIFT    24
#define HELP_ENTER        BIT(28)
#define HELP_REST         BIT(29)

static bool trans_fpu_again(struct cpu *cpu, const struct block *b, u32 what)
{
    unsigned need = what >> HELP_FPU_SHIFT & 7;

    return need && trans_fpu_want(cpu, b, (what & 0xFFFF) + 1, need);
}

/* The interpreter runs the block from instruction `i` on. */
static void trans_rest(struct cpu *cpu, struct block *b, unsigned i)
{
    cpu->block = b;
    cpu->gpr[GPR_RIP] = cpu->page_rip + (b->offset & 0xFFF);
    b->insns[i].fn(cpu, &b->insns[i]);
}

/*
 * Run the handler of instruction `i` of `b` by itself. False: go on after it; true: back to the run loop,
 * cpu->rip is set.
 * The copy keeps faults exact: they find the count of what has not run in the block that they see.
 */
static bool trans_slow(struct cpu *cpu, struct block *b, u32 what)
{
    unsigned i = what & 0xFFFF;
    struct block *mini = cpu->mini;
    struct insn *in = mini->insns;
    bool last = i + 1u == b->count;

    stats_handled(cpu, b->insns[i].row);
    mini->count = (u16)(b->count - i);
    mini->mode = b->mode;
    in[0] = b->insns[i];
    in[0].fn = __atomic_load_n(&b->insns[i].fn, __ATOMIC_RELAXED);
    in[1] = (struct insn){ .fn = last ? x_block_end : trans_mini_end,
                           .off = (in[0].off + in[0].len) & 0xFFF,
                           .seg = SEG_DS,
                           .base = GPR_ZERO,
                           .index = GPR_ZERO };
    cpu->block = mini;
    cpu->gpr[GPR_RIP] = cpu->page_rip + (b->offset & 0xFFF);
    cpu->mini_ended = false;
    in[0].fn(cpu, in);
    if (last || !cpu->mini_ended)
        return true;
    if (likely(!__atomic_load_n(&b->stale, __ATOMIC_RELAXED)))
        return trans_fpu_again(cpu, b, what);
    cpu->rip = insn_rip(cpu, &in[1]);
    cpu->icount -= (u64)b->count - i - 1;
    return true;
}

/* The instruction has stored bytes at `host`, on a page with code. As trans_slow. */
static bool trans_stored(struct cpu *cpu, struct block *b, u32 what, const u8 *host)
{
    unsigned i = what & 0xFFFF;

    mem_code_written(cpu, host, what >> HELP_STORED_SHIFT & 0xFF);
    if (i + 1u == b->count || !__atomic_load_n(&b->stale, __ATOMIC_RELAXED))
        return trans_fpu_again(cpu, b, what);
    cpu->rip = cpu->page_rip + (b->offset & 0xFFF) + b->insns[i].off + b->insns[i].len;
    cpu->icount -= (u64)b->count - i - 1;
    return true;
}

static bool trans_help(struct cpu *cpu, struct block *b, u32 what, const u8 *host)
{
    if (what & HELP_REST) {
        trans_rest(cpu, b, what & 0xFFFF);
        return true;
    }
    if (what & HELP_ENTER)
        return trans_fpu_want(cpu, b, 0, what >> HELP_FPU_SHIFT & 7);
    if (what >> HELP_STORED_SHIFT & 0xFF)
        return trans_stored(cpu, b, what, host);
    return trans_slow(cpu, b, what);
}

/* --- To code out of line --- */

static struct t_stub *t_stub_at(struct t *t, u8 *jump)
{
    struct t_stub *s = &t->stubs[t->stub_count++];

    assert(t->stub_count <= T_STUBS_MAX);
    *s = (struct t_stub){ .jump = jump, .index = (u16)t->index, .recipe = t_flags_recipe(t) };
    return s;
}

void t_slow_if(struct t *t, unsigned condition)
{
    t_stub_at(t, emit_jcc(&t->e, condition));
}

void t_rest_if(struct t *t, unsigned condition)
{
    t_stub_at(t, emit_jcc(&t->e, condition))->rest = true;
}

void t_stored_if(struct t *t, unsigned condition, unsigned bytes)
{
    struct t_stub *s = t_stub_at(t, emit_jcc(&t->e, condition));

    s->stored = (u8)bytes;
    s->resume = t->e.at;
}

/* --- Ways out --- */

/* Does a request wait? Leaves NE when it does. */
static void t_requests(struct t *t)
{
    emit_load(&t->e, T_VAL, GS(requests));
    emit_group1(&t->e, 0, 7, 2, emit_mem(T_VAL, 0), 0);
}

/* Look the target up in cpu->jmp_cache. `miss`: where the jumps go when it is not there. T_ADDR := its code. */
static unsigned t_lookup(struct t *t, u8 *miss[4])
{
    const i32 cache = offsetof(struct cpu, jmp_cache);
    struct emit_operand entry = { .kind = EMIT_GS, .base = H_NONE, .index = T_ADDR, .scale = 3 };
    struct emit *e = &t->e;

    t_requests(t);
    miss[0] = emit_jcc(e, EMIT_NE);
    emit_mov(e, T_ADDR, T_TMP);
    emit_op(e, 0, 0xC1, 3, 5, emit_reg(T_ADDR)); /* shr */
    emit_byte(e, JMP_CACHE_BITS);
    emit_op(e, 0, 0x31, 3, T_TMP, emit_reg(T_ADDR)); /* xor */
    emit_group1(e, 0, 4, 2, emit_reg(T_ADDR), JMP_CACHE_SIZE - 1);
    emit_lea(
        e, 3, T_ADDR,
        (struct emit_operand){ .kind = EMIT_MEM, .base = T_ADDR, .index = T_ADDR, .scale = 1 });
    entry.disp = cache + (i32)offsetof(struct jmp_cache_entry, rip);
    emit_op(e, 0, 0x3B, 3, T_TMP, entry);
    miss[1] = emit_jcc(e, EMIT_NE);
    entry.disp = cache + (i32)offsetof(struct jmp_cache_entry, key);
    emit_load(e, T_VAL, entry);
    emit_op(e, 0, 0x3B, 3, T_VAL, GS(jmp_key));
    miss[2] = emit_jcc(e, EMIT_NE);
    entry.disp = cache + (i32)offsetof(struct jmp_cache_entry, block);
    emit_load(e, T_ADDR, entry);
    emit_load(e, T_ADDR, emit_mem(T_ADDR, offsetof(struct block, code)));
    emit_op(e, 0, 0x85, 3, T_ADDR, emit_reg(T_ADDR)); /* test */
    miss[3] = emit_jcc(e, EMIT_E);
    return 4;
}

static void t_pop_stack(struct t *t, i32 pop)
{
    if (pop)
        emit_lea(&t->e, 3, T_RSP, emit_mem(T_RSP, pop));
}

void t_canonical(struct t *t)
{
    t_flags_spare(t, t->live_in);
    emit_mov(&t->e, T_VAL, T_TMP);
    emit_op(&t->e, 0, 0xC1, 3, 7, emit_reg(T_VAL)); /* sar */
    emit_byte(&t->e, 47);
    emit_group1(&t->e, 0, 0, 3, emit_reg(T_VAL), 1);
    emit_group1(&t->e, 0, 7, 3, emit_reg(T_VAL), 1);
    t_slow_if(t, EMIT_A);
}

void t_exit_indirect(struct t *t, i32 pop, bool check)
{
    struct emit *e = &t->e;
    unsigned misses = 0;
    u8 *miss[4];

    t->ended = true;
    t_flags_memory(t);
    if (t->chaining) {
        misses = t_lookup(t, miss);
        t_pop_stack(t, pop);
        emit_group1(e, 0, 4, 3, emit_reg(T_TMP), -4096);
        emit_store(e, GS(page_rip), T_TMP);
        emit_op(e, 0, 0xFF, 2, 4, emit_reg(T_ADDR)); /* jmp */
    }
    for (unsigned i = 0; i < misses; i++)
        emit_patch(e, miss[i], e->at);
    if (check)
        t_canonical(t);
    t_pop_stack(t, pop);
    emit_jmp_to(e, t->thunks.leave_at);
}

static void t_exit_page(struct t *t, i64 delta)
{
    struct t_exit *x = &t->exits[t->exit_count++];
    struct emit *e = &t->e;

    if (t->chaining && delta <= 0 && !t->recipe.kind)
        t_flags_memory(t);
    *x = (struct t_exit){ .delta = delta,
                          .recipe = t_flags_recipe(t),
                          .host = t->host && !t->memory && (delta > 0 || !t->chaining) };
    t->data -= sizeof(struct trans_exit);
    x->record = (struct trans_exit *)(void *)t->data;
    if (!t->chaining) {
        x->jump[x->jumps++] = emit_jmp(e);
        return;
    }
    if (delta <= 0) {
        t_requests(t);
        x->jump[x->jumps++] = emit_jcc(e, EMIT_NE);
    }
    emit_byte(e, 0xFF); /* jmp [rip + ...] */
    emit_byte(e, 0x25);
    emit_u32(e, 0);
    emit_patch(e, e->at - 4, (const u8 *)&x->record->slot);
}

void t_exit_direct(struct t *t, i64 delta)
{
    i64 at = (i64)(t->b->offset & 0xFFF) + delta;

    t->ended = true;
    if (at >= 0 && at < (i64)RAM_PAGE_SIZE) {
        t_exit_page(t, delta);
        return;
    }
    if (at != (i32)at)
        t->e.conflict = true;
    t_flags_memory(t);
    emit_load(&t->e, T_TMP, GS(page_rip));
    emit_lea(&t->e, 3, T_TMP, emit_mem(T_TMP, (i32)at));
    t_exit_indirect(t, 0, false);
}

static void t_call_help(struct t *t, u32 what)
{
    emit_mov_imm(&t->e, T_VAL, what);
    emit_call_to(&t->e, t->help);
}

static u32 t_fpu_after(const struct t *t, unsigned index)
{
    return (u32)t->fpu_needs[index + 1] << HELP_FPU_SHIFT;
}

void t_exit_handler(struct t *t)
{
    t->ended = true;
    t_flags_memory(t);
    t_call_help(t, t->index);
}

/* --- Out of line --- */

static void t_make_stub(struct t *t, const struct t_stub *s)
{
    struct emit *e = &t->e;

    emit_patch(e, s->jump, e->at);
    if (s->recipe.kind) {
        t_recipe_emit(e, &s->recipe);
        t_flags_store(e);
    }
    if (s->fpu)
        t_call_help(t, HELP_ENTER | (u32)t->fpu_needs[0] << HELP_FPU_SHIFT);
    else if (s->rest)
        t_call_help(t, s->index | HELP_REST);
    else
        t_call_help(t, s->index | (u32)s->stored << HELP_STORED_SHIFT | t_fpu_after(t, s->index));
    if (s->rest)
        return;
    if (s->load_flags)
        t_flags_load(e);
    if (s->resume)
        emit_jmp_to(e, s->resume);
}

/* The flags to memory, and on through the record. NULL: they are there. */
static const u8 *t_make_save(struct t *t, const struct t_exit *x)
{
    struct emit *e = &t->e;
    const u8 *save = e->at;

    if (!x->host && !x->recipe.kind)
        return NULL;
    if (!x->host)
        t_recipe_emit(e, &x->recipe);
    t_flags_store(e);
    emit_byte(e, 0xFF); /* jmp [rip + ...] */
    emit_byte(e, 0x25);
    emit_u32(e, 0);
    emit_patch(e, e->at - 4, (const u8 *)&x->record->saved);
    return save;
}

static void t_make_exit(struct t *t, const struct t_exit *x)
{
    const struct codebuf *code = &t->translator->code;
    struct emit *e = &t->e;
    const u8 *save = t_make_save(t, x), *stub = e->at;
    struct trans_exit r = { .stub = (u64)(uintptr_t)codebuf_exec(code, stub) };

    for (unsigned i = 0; i < x->jumps; i++)
        emit_patch(e, x->jump[i], save ? save : stub);
    emit_load(e, T_ADDR, GS(page_rip));
    emit_lea(e, 3, T_ADDR, emit_mem(T_ADDR, (i32)((i64)(t->b->offset & 0xFFF) + x->delta)));
    emit_store(e, GS(rip), T_ADDR);
    emit_mov_imm(e, T_VAL, (u64)(uintptr_t)x->record);
    emit_jmp_to(e, t->thunks.leave);
    if (e->overflow)
        return;
    r.save = save ? (u64)(uintptr_t)codebuf_exec(code, save) : 0;
    r.slot = save ? r.save : r.stub;
    r.saved = r.stub;
    *x->record = r;
}

/* --- Thunks: entry, exit, and the way to the helpers above --- */

static void t_move_registers(struct emit *e, bool store)
{
    for (unsigned n = RAX; t_mapped(n); n++)
        emit_op(e, 0, store ? 0x89 : 0x8B, 3, t_host(n), GS_GPR(n));
}

static const u8 thunk_saved[] = { H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15 };

static void t_push_pop(struct emit *e, unsigned opcode, unsigned reg)
{
    if (reg & 8)
        emit_byte(e, 0x41);
    emit_byte(e, opcode | (reg & 7));
}

static void t_thunk_enter(struct emit *e)
{
    for (unsigned i = 0; i < ARRAY_SIZE(thunk_saved); i++)
        t_push_pop(e, 0x50, thunk_saved[i]);
    emit_group1(e, 0, 5, 3, emit_reg(H_RSP), 8);
    emit_mov(e, T_VAL, H_RDI);
    t_flags_to_code(e);
    t_move_registers(e, false);
    emit_op(e, 0, 0xFF, 2, 4, emit_reg(T_VAL)); /* jmp */
}

/* The FPU registers that the host holds go to struct cpu, where C code looks for them. */
static void t_save_fpu(struct emit *e, const struct t_thunks *thunks)
{
    u8 *skip;

    emit_group1(e, 0, 7, 0, GS(fpu_live), 0);
    skip = emit_jcc(e, EMIT_E);
    emit_call_to(e, thunks->fpu_save);
    emit_patch(e, skip, e->at);
}

/* Returns T_VAL; `stored`: the registers are in struct cpu already. */
static void t_thunk_leave(struct emit *e, const struct t_thunks *thunks, bool stored)
{
    if (!stored) {
        t_move_registers(e, true);
        t_flags_to_interpreter(e);
        t_save_fpu(e, thunks);
    }
    emit_mov(e, H_RAX, T_VAL);
    emit_group1(e, 0, 0, 3, emit_reg(H_RSP), 8);
    for (unsigned i = ARRAY_SIZE(thunk_saved); i-- > 0;)
        t_push_pop(e, 0x58, thunk_saved[i]);
    emit_byte(e, 0xC3);
}

/* Call trans_help(cpu, T_TMP, T_VAL, T_ADDR). True: drop the return address and leave. */
static void t_thunk_help(struct emit *e, const struct t_thunks *thunks)
{
    u8 *leave, *skip;

    t_move_registers(e, true);
    t_flags_to_interpreter(e);
    emit_group1(e, 0, 5, 3, emit_reg(H_RSP), 8);
    t_save_fpu(e, thunks);
    emit_load(e, H_RDI, GS(self));
    emit_mov(e, H_RSI, T_TMP);
    emit_mov(e, H_RDX, T_VAL);
    emit_mov(e, H_RCX, T_ADDR);
    emit_mov_imm(e, H_RAX, (u64)(uintptr_t)trans_help);
    emit_op(e, 0, 0xFF, 2, 2, emit_reg(H_RAX)); /* call */
    emit_group1(e, 0, 0, 3, emit_reg(H_RSP), 8);
    emit_op(e, 0, 0x84, 0, H_RAX, emit_reg(H_RAX)); /* test al, al */
    leave = emit_jcc(e, EMIT_NE);
    emit_op_mixed(e, 0, 0xF6, 0, false, 0, true, GS(fpu_live)); /* test */
    emit_byte(e, FPU_SSE | FPU_AVX);
    skip = emit_jcc(e, EMIT_E);
    emit_call_to(e, thunks->fpu_load);
    emit_patch(e, skip, e->at);
    t_flags_to_code(e);
    t_move_registers(e, false);
    emit_byte(e, 0xC3);
    emit_patch(e, leave, e->at);
    emit_group1(e, 0, 0, 3, emit_reg(H_RSP), 8);
    emit_op(e, 0, 0x31, 2, T_VAL, emit_reg(T_VAL)); /* xor */
    t_thunk_leave(e, thunks, true);
}

static void trans_make_thunks(struct translator *tr)
{
    struct emit e = { .at = tr->code.write, .end = tr->code.write + CODEBUF_THUNKS };

    tr->enter = (trans_enter_fn *)(uintptr_t)codebuf_exec(&tr->code, e.at);
    t_thunk_enter(&e);
    t_fpu_thunks(&e, &tr->thunks);
    tr->thunks.leave_at = e.at;
    emit_store(&e, GS(rip), T_TMP);
    emit_op(&e, 0, 0x31, 2, T_VAL, emit_reg(T_VAL)); /* xor */
    tr->thunks.leave = e.at;
    t_thunk_leave(&e, &tr->thunks, false);
    tr->thunks.help = e.at;
    t_thunk_help(&e, &tr->thunks);
    assert(!e.overflow && !e.conflict);
}

/* --- Liveness --- */

static bool t_uses_memory(const struct insn *in, const struct t_row *row)
{
    return in->rm == INSN_RM_MEM || row->flags & T_FAULTS;
}

/* What the instruction reads and overwrites; sets t->writes, use and def. */
static void t_describe(struct t *t, const struct insn *in)
{
    const struct t_row *row = &t->rows[in->row];

    t->writes = row->flags & T_WRITES;
    t->use = row->use;
    t->def = row->def;
    if (row->flags & T_COUNT && !(in->imm & (insn_osz(in) == 3 ? 63 : 31))) {
        t->writes = false;
        t->use = t->def = 0;
    }
    if (!row->make || row->flags & T_ENDS)
        t->use = (u32)FLAGS_ARITH;
}

static void t_liveness(struct t *t)
{
    u32 live = (u32)FLAGS_ARITH;

    t->lives[t->b->count] = live;
    for (unsigned i = t->b->count; i-- > 0;) {
        const struct insn *in = &t->b->insns[i];

        t_describe(t, in);
        live = t->use | (live & ~t->def);
        if (t_uses_memory(in, &t->rows[in->row]))
            live = (u32)FLAGS_ARITH;
        t->lives[i] = live;
    }
}

/* --- The block --- */

static void t_by_handler(struct t *t)
{
    if (t->index + 1u == t->b->count) {
        t_exit_handler(t);
        return;
    }
    t_flags_memory(t);
    t_call_help(t, t->index | t_fpu_after(t, t->index));
    t->host = false;
    t->recipe.kind = T_RECIPE_NONE;
}

/* The stubs made by the instruction go on after it. */
static void t_resume(struct t *t, unsigned first_stub)
{
    for (unsigned i = first_stub; i < t->stub_count; i++) {
        struct t_stub *s = &t->stubs[i];

        /* The code behind it counts on the group that was opened. */
        if (t->opened && !s->stored)
            s->rest = true;
        s->resume = t->ended && !s->stored ? NULL : s->resume ? s->resume : t->e.at;
        s->load_flags = t->host && t->live && !t->ended;
    }
}

/* What an attempt at an instruction changes. */
struct t_undo {
    struct emit e;
    unsigned stub_count;
    u8 *data;
    bool host, memory;
    struct t_recipe recipe;
    u32 open; /* groups */
};

static struct t_undo t_remember(const struct t *t)
{
    struct t_undo undo = { t->e, t->stub_count, t->data, t->host, t->memory, t->recipe, 0 };

    for (unsigned i = 0; i < MIN(t->group_count, T_GROUPS_MAX); i++)
        undo.open |= (u32)t->groups[i].open << i;
    return undo;
}

static void t_restore(struct t *t, const struct t_undo *undo)
{
    t->e = undo->e;
    t->stub_count = undo->stub_count;
    t->exit_count = 0;
    t->data = undo->data;
    t->host = undo->host;
    t->memory = undo->memory;
    t->recipe = undo->recipe;
    for (unsigned i = 0; i < t->group_count; i++)
        t->groups[i].open = undo->open >> i & 1;
    t->ended = t->opened = false;
}

static void t_insn(struct t *t, const struct t_row *row)
{
    const struct insn *in = t->in;
    const struct t_undo undo = t_remember(t);
    unsigned first_stub = t->stub_count;
    u32 clobbers = t_clobbers(in, row);

    t_describe(t, in);
    t->live_in = t->lives[t->index];
    t->live = t->lives[t->index + 1];
    t->opened = t->recipe_new = false;
    t->group = NULL;
    if (row->make) {
        t_flags_lose_registers(t, clobbers);
        row->make(t, in, row->arg);
    }
    if (!row->make || t->e.conflict) {
        t_restore(t, &undo);
        t_by_handler(t);
        t_registers_lost(t, ~0u >> (32 - GPR_COUNT));
    } else {
        t_registers_change(t, in, row);
        if (!t->recipe_new && t->recipe.regs & clobbers)
            t->recipe.kind = T_RECIPE_NONE;
    }
    t_resume(t, first_stub);
}

static void t_body(struct t *t)
{
    const struct block *b = t->b;

    t->memory = true;
    emit_group1(&t->e, 0, 0, 3, GS(icount), b->count);
    if (t->translator->counting)
        emit_group1(&t->e, 0, 0, 3, GS(stat_translated), 1);
    t_fpu_begin(t);
    for (t->index = 0; t->index < b->count; t->index++) {
        t->in = &b->insns[t->index];
        t_insn(t, &t->rows[t->in->row]);
    }
    if (!t->ended)
        t_exit_direct(t, b->size);
    for (unsigned i = 0; i < t->stub_count; i++)
        t_make_stub(t, &t->stubs[i]);
    for (unsigned i = 0; i < t->exit_count; i++)
        t_make_exit(t, &t->exits[i]);
}

/* Blocks of 64-bit code that lie on one page of RAM. */
static bool trans_fits(const struct block *b)
{
    return (b->mode & MODE_CS_L) && !(b->mode & MODE_STEP) && t_context(b->mode) != MMU_CHECKED &&
           b->offset != BLOCK_NOWHERE && b->offset2 == BLOCK_NOWHERE && !b->stale;
}

static void t_begin(struct t *t, struct translator *tr, const struct block *b, u8 *start, u8 *limit)
{
    memset(t, 0, offsetof(struct t, lives));
    t->e = (struct emit){ .at = start, .end = limit - 1024 };
    t->translator = tr;
    t->b = b;
    t->rows = tr->rows;
    t->thunks = tr->thunks;
    t->chaining = tr->chaining;
    t->alone = tr->soft->machine->vcpu_count == 1;
    t->stub_count = t->exit_count = 0;
    t->x87_paged = false;
    t->ended = false;
    t->data = limit;
    t_liveness(t);
    t_fpu_needs(t);
    t_groups_find(t);
    t->help = t->e.at;
    emit_mov_imm(&t->e, T_TMP, (u64)(uintptr_t)b);
    emit_jmp_to(&t->e, t->thunks.help);
}

/* The block has its code: up to t->e.at, entered at `entry`. */
static void t_finish(struct t *t, struct block *b, const u8 *entry)
{
    for (unsigned i = 0; i < t->exit_count; i++)
        t->exits[i].record->owner = b;
    b->exits = t->exit_count ? (struct trans_exit *)(void *)t->data : NULL;
    b->exit_count = (u8)t->exit_count;
    b->flags_dead = !t->lives[0] && !t->fpu_needs[0];
    atomic_store_explicit(&b->code, codebuf_exec(&t->translator->code, entry),
                          memory_order_release);
}

/* Tell whoever looks on of new code. */
static void trans_report(const struct translator *tr, const struct block *b, const u8 *start,
                         size_t size, u64 rip)
{
    const u8 *exec = codebuf_exec(&tr->code, start);

    if (log_on(LOG_OUT_ASM))
        blocklog_host(start, size, exec, rip, b->count);
    if (tr->perfmap)
        perfmap_add(tr->perfmap, exec, size, rip);
}

enum trans_result trans_block(struct translator *tr, struct block *b, unsigned half, u64 rip)
{
    struct codebuf *code = &tr->code;
    u8 *start = codebuf_start(code, half), *limit = codebuf_limit(code, half);
    const u8 *entry;
    struct t t;

    if (!trans_fits(b))
        return TRANS_UNFIT;
    if (limit - start < (ptrdiff_t)TRANS_BLOCK_MAX) {
        tr->stats.full++;
        return TRANS_FULL;
    }
    t_begin(&t, tr, b, start, limit);
    entry = t.e.at;
    t_body(&t);
    if (t.e.overflow || t.e.conflict)
        return TRANS_UNFIT;
    t_finish(&t, b, entry);
    code->used[half] += align_up((u64)(t.e.at - start), 16);
    code->data[half] += (u64)(limit - t.data);
    tr->stats.blocks++;
    tr->stats.bytes += (u64)(t.e.at - start);
    trans_report(tr, b, start, (size_t)(t.e.at - start), rip);
    return TRANS_DONE;
}

/* --- Links --- */

static void trans_unlink(struct trans_exit *x)
{
    struct trans_exit **at;

    if (!x->target)
        return;
    __atomic_store_n(&x->slot, x->save ? x->save : x->stub, __ATOMIC_RELAXED);
    __atomic_store_n(&x->saved, x->stub, __ATOMIC_RELAXED);
    at = &x->target->incoming;
    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    x->target = NULL;
}

void trans_drop(struct block *b)
{
    atomic_store_explicit(&b->code, NULL, memory_order_relaxed);
    while (b->incoming)
        trans_unlink(b->incoming);
    for (unsigned i = 0; i < b->exit_count; i++)
        trans_unlink(&b->exits[i]);
    b->exit_count = 0;
}

void trans_link(struct translator *t, struct trans_exit *x, struct block *target)
{
    const void *code = atomic_load_explicit(&target->code, memory_order_relaxed);

    if (x->target || !code || target->stale || x->owner->stale)
        return;
    x->target = target;
    x->next = target->incoming;
    target->incoming = x;
    __atomic_store_n(&x->saved, (u64)(uintptr_t)code, __ATOMIC_RELEASE);
    if (!x->save || target->flags_dead)
        __atomic_store_n(&x->slot, (u64)(uintptr_t)code, __ATOMIC_RELEASE);
    t->stats.links++;
}

void trans_forget_half(struct translator *t, unsigned half)
{
    codebuf_reset(&t->code, half);
}

/* --- Running --- */

/* The CPU that this thread's GS base points at. */
static _Thread_local const struct cpu *trans_gs;

static void trans_set_gs(const struct cpu *cpu)
{
    if (likely(trans_gs == cpu))
        return;
    syscall(SYS_arch_prctl, ARCH_SET_GS, cpu);
    trans_gs = cpu;
}

void trans_run(struct cpu *cpu, const void *code)
{
    struct translator *t = cpu->soft->translator;

    trans_set_gs(cpu);
    for (;;) {
        struct jmp_cache_entry *e;
        struct trans_exit *x;

        cpu->page_rip = cpu->rip & PAGE_MASK;
        x = t->enter(code);
        cpu->block = NULL;
        if (!x || !t->chaining) {
            stats_returned(cpu, STATS_LEFT);
            return;
        }
        if (atomic_load_explicit(&cpu->vcpu->requests, memory_order_relaxed)) {
            stats_returned(cpu, STATS_REQUEST);
            return;
        }
        e = block_jmp_slot(cpu, cpu->rip);
        if (e->rip != cpu->rip || e->key != cpu->jmp_key) {
            stats_returned(cpu, STATS_LOOKUP);
            return;
        }
        code = atomic_load_explicit(&e->block->code, memory_order_acquire);
        if (!code) {
            stats_returned(cpu, STATS_UNTRANSLATED);
            return;
        }
        stats_returned(cpu, STATS_LINK);
        block_link(cpu->soft->cache, x, e->block);
    }
}

/* --- Set-up --- */

struct translator *trans_new(struct soft *soft, u32 threshold, struct error *err)
{
    struct translator *t = xcalloc(1, sizeof(*t));

    t->soft = soft;
    t->threshold = threshold;
    t->chaining = true;
    t->counting = log_on(LOG_STATS);
    if (!codebuf_init(&t->code, TRANS_HALF_SIZE, err)) {
        trans_free(t);
        return NULL;
    }
    t->rows = xcalloc(insn_row_count, sizeof(*t->rows));
    t_rows_build(t->rows);
    trans_make_thunks(t);
    return t;
}

void trans_free(struct translator *t)
{
    if (!t)
        return;
    codebuf_destroy(&t->code);
    free(t->rows);
    free(t);
}

void trans_init_cpu(struct cpu *cpu)
{
    const struct soft *soft = cpu->soft;

    cpu->self = cpu;
    cpu->requests = &cpu->vcpu->requests;
    cpu->fpu_host_mxcsr = MXCSR_DEFAULT;
    cpu->code_bias = (u64)(uintptr_t)soft->code_pages - ((u64)(uintptr_t)soft->ram_host >> 12);
    cpu->mini = xcalloc(1, sizeof(struct block) + 2 * sizeof(struct insn));
}

void trans_set_perfmap(struct translator *t, struct perfmap *map)
{
    t->perfmap = map;
    perfmap_add_named(map, t->code.exec, CODEBUF_THUNKS, "mote_thunks");
}

u32 trans_threshold(const struct translator *t)
{
    return t ? t->threshold : 0;
}

struct trans_stats trans_stats(const struct translator *t)
{
    return t->stats;
}

void trans_set_chaining(struct translator *t, bool chaining)
{
    t->chaining = chaining;
}
