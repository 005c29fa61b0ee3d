/* SPDX-License-Identifier: MIT */
/* Between the translator's files: the block being translated, and what the families of instructions use. */
#pragma once

#include "accel/soft/block.h"
#include "accel/soft/emit.h"
#include "accel/soft/insn.h"
#include "accel/soft/trans.h"
#include "base/bits.h"
#include "base/types.h"

/* Host registers outside the guest's (trans.h). */
#define T_RSP       H_R12
#define T_TMP       H_R13
#define T_ADDR      H_R14
#define T_VAL       H_R15

#define GS(field)   emit_gs(offsetof(struct cpu, field))
#define GS_GPR(n)   emit_gs(offsetof(struct cpu, gpr) + 8u * (n))

#define T_STUBS_MAX (BLOCK_INSNS_MAX * 3 + 2)

/* Code out of line, made after the block's last instruction. */
struct t_stub {
    u8 *jump;         /* displacement to patch */
    const u8 *resume; /* after the instruction */
    u16 index;
    u8 stored;       /* bytes stored to a page with code, at [T_ADDR]; 0: run the handler */
    bool load_flags; /* the instruction leaves its flags in the host's */
    bool fpu;        /* load the guest's FPU registers */
};

struct t_exit {
    u8 *jump[2]; /* displacements of jumps to its stub */
    unsigned jumps;
    i64 delta; /* target, from the block's first byte */
    struct trans_exit *record;
};

struct t_row;

struct t_thunks {
    const u8 *slow, *stored, *leave, *leave_at;
    const u8 *fpu, *fpu_save, *fpu_load;
};

struct t {
    struct emit e;
    struct translator *translator;
    const struct block *b;
    const struct t_row *rows; /* by row number */
    struct t_thunks thunks;   /* written addresses: jumps between code are relative */
    bool chaining;

    unsigned index;
    const struct insn *in;
    bool writes;       /* the instruction writes flags */
    u32 use, def;      /* flags that it reads, and surely overwrites */
    u32 live_in, live; /* flags wanted before and after it */
    bool host, memory; /* where the flags are */
    u32 lives[BLOCK_INSNS_MAX + 1];
    u8 fpu_needs[BLOCK_INSNS_MAX + 1]; /* FPU_*: of the instructions from this one on */
    bool x87_paged;                    /* cpu->x87_page was set in this block */

    unsigned stub_count;
    struct t_stub stubs[T_STUBS_MAX];
    unsigned exit_count;
    struct t_exit exits[2];
    u8 *data;   /* records are taken downwards from here */
    bool ended; /* the last instruction made the exits itself */
};

/* How an instruction is translated: `make` emits it, or sets e.conflict and leaves it to the handler. */
typedef void t_make(struct t *t, const struct insn *in, unsigned arg);

struct t_row {
    t_make *make; /* NULL: by the handler */
    u16 arg;
    u8 flags; /* T_* */
    u16 use, def;
};
#define T_WRITES    BIT(0) /* writes flags */
#define T_COUNT     BIT(1) /* shift by an immediate: a count of zero writes none */
#define T_FAULTS    BIT(2) /* uses memory even without a ModRM memory operand */
#define T_ENDS      BIT(3) /* makes the block's exits */
/* The three highest: what must be in the host's registers, FPU_* << T_FPU_SHIFT. */
#define T_FPU_SHIFT 5

/* Fill `rows` (insn_row_count of them). */
void t_rows_build(struct t_row *rows);

/* SIMD, MMX and x87: called by t_rows_build. */
void t_simd_rows(struct t_row *rows);
void t_x87_rows(struct t_row *rows);

/* --- t_fpu.c: the guest's FPU registers in the host's --- */

/* cpu->fpu_live, and what an instruction needs. FPU_AVX implies FPU_SSE. */
#define FPU_SSE BIT(0) /* XMM, YMM and MXCSR, and legacy SSE is allowed */
#define FPU_AVX BIT(1) /* VEX-encoded instructions are allowed too */
#define FPU_X87 BIT(2) /* x87 and MMX */

/* Set fpu_needs. */
void t_fpu_needs(struct t *t);

/* At the block's entry: the registers that it needs are loaded, or the interpreter runs it. */
void t_fpu_begin(struct t *t);

/* The thunks fpu_save and fpu_load. Called with the general registers in struct cpu and the stack aligned. */
void t_fpu_thunks(struct emit *e, struct t_thunks *thunks);

/*
 * Instruction `i` of `b` comes next and the registers `need` are wanted. False: fpu_live says which ones
 * the thunk must
 * load; true: to the run loop, the interpreter does it.
 */
bool trans_fpu_want(struct cpu *cpu, const struct block *b, unsigned i, unsigned need);

/* --- trans.c: flags --- */

/* The host's flags are about to be lost: save those that are wanted before (after) the instruction. */
void t_flags_spare(struct t *t, u32 wanted);

/* The instruction proper comes next: give it the flags that it reads or keeps. */
void t_flags_in(struct t *t);

/* It was emitted. */
void t_flags_out(struct t *t);

/* --- trans.c: memory. T_ADDR, T_VAL and T_TMP are used --- */

/* T_ADDR := host address of the `1 << size` bytes at linear address T_ADDR; a miss runs the handler. */
void t_tlb(struct t *t, unsigned size, bool write);

/* The same for the ModRM operand. */
void t_operand(struct t *t, const struct insn *in, unsigned size, bool write);

/* `reg` := offset of the ModRM operand. Uses T_ADDR and T_VAL. */
void t_offset(struct t *t, const struct insn *in, unsigned reg, unsigned size);

/* `1 << size` bytes were stored at [T_ADDR]. All other effects of the instruction must be there. */
void t_stored(struct t *t, unsigned size);

/* Jump to a stub that runs the handler. */
void t_slow_if(struct t *t, unsigned condition);

/* --- trans.c: ways out --- */

/* To `delta` from the block's first byte. */
void t_exit_direct(struct t *t, i64 delta);

/* To the address in T_TMP. */
void t_exit_indirect(struct t *t);

/* The handler does it, and changes RIP. */
void t_exit_handler(struct t *t);

/* --- Registers --- */

/* Is guest register `n` in a host register? */
static inline bool t_mapped(unsigned n)
{
    return n < R12;
}

static inline unsigned t_host(unsigned n)
{
    return n == RSP ? T_RSP : n;
}
