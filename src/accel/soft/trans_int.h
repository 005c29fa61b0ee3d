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

#define T_STUBS_MAX (BLOCK_INSNS_MAX * 4 + 2)

/* How flags can be made again from what registers hold still. */
enum t_recipe_kind {
    T_RECIPE_NONE,
    T_RECIPE_CMP,  /* dst and src are as they were */
    T_RECIPE_TEST, /* the same; or dst is the result of a logical operation, src the same register */
    T_RECIPE_ADD,  /* dst is the sum: subtract src, and add it again */
    T_RECIPE_SUB,
};

struct t_recipe {
    u8 kind;
    u8 size;
    u8 dst, src; /* host registers */
    bool imm;    /* `value` in place of src */
    i32 value;
    u16 regs; /* guest registers, by bit */
};

/* Code out of line, made after the block's last instruction. */
struct t_stub {
    u8 *jump;         /* displacement to patch */
    const u8 *resume; /* after the instruction */
    u16 index;
    u8 stored;              /* bytes stored to a page with code, at [T_ADDR]; 0: run the handler */
    bool load_flags;        /* the instruction leaves its flags in the host's */
    bool fpu;               /* load the guest's FPU registers */
    bool rest;              /* the interpreter runs the block from here on */
    struct t_recipe recipe; /* how the flags get into memory first */
};

struct t_exit {
    u8 *jump[2]; /* displacements of jumps to its stub */
    unsigned jumps;
    i64 delta;              /* target, from the block's first byte */
    bool host;              /* the flags are in the host's */
    struct t_recipe recipe; /* or made so */
    struct trans_exit *record;
};

/* Accesses off one register that share a look into the TLB: t_mem.c. */
struct t_group {
    u8 base;
    bool write, open;
    u16 version;   /* of the register, and the bytes from where it was then */
    i32 low, high; /* the bytes, from where the register was at that version */
    unsigned count;
};

struct t_row;

struct t_thunks {
    const u8 *help, *leave, *leave_at;
    const u8 *fpu_save, *fpu_load;
};

struct t {
    struct emit e;
    struct translator *translator;
    const struct block *b;
    const struct t_row *rows; /* by row number */
    struct t_thunks thunks;   /* written addresses: jumps between code are relative */
    const u8 *help;           /* the block's own way to thunks.help */
    bool chaining;
    bool alone; /* the machine has one CPU */

    unsigned index;
    const struct insn *in;
    bool writes;       /* the instruction writes flags */
    u32 use, def;      /* flags that it reads, and surely overwrites */
    u32 live_in, live; /* flags wanted before and after it */
    /* Where the flags are: the host's, memory, or to be made by the recipe. Nowhere: nobody wants them. */
    bool host, memory;
    bool recipe_new; /* the instruction made it */
    struct t_recipe recipe;

    unsigned group_count;
    struct t_group groups[T_GROUPS_MAX];
    struct t_group *group;   /* of the last access, or NULL */
    bool opened;             /* the instruction opened a group */
    u16 versions[GPR_COUNT]; /* of registers: counts changes but those by a constant */
    i32 moved[GPR_COUNT];    /* the sum of these */
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
    u16 flags; /* T_* */
    u16 use, def;
    /* What t_rows_build adds, from `make`. */
    u8 clobbers; /* enum t_clobber */
    u8 stack, moves;
    u8 rm_size; /* bytes of the memory operand when it is not the operand size */
};
#define T_WRITES    BIT(0) /* writes flags */
#define T_COUNT     BIT(1) /* shift by an immediate: a count of zero writes none */
#define T_FAULTS    BIT(2) /* uses memory even without a ModRM memory operand */
#define T_ENDS      BIT(3) /* makes the block's exits */
#define T_ACCESS    BIT(4) /* a ModRM memory operand is accessed by t_operand */
#define T_STORES    BIT(5) /* and written */
/* The three highest: what must be in the host's registers, FPU_* << T_FPU_SHIFT. */
#define T_FPU_SHIFT 13

/* Which registers an instruction changes. */
enum t_clobber {
    T_CLOBBER_ALL,
    T_CLOBBER_NONE,
    T_CLOBBER_RM,
    T_CLOBBER_REG,
    T_CLOBBER_BOTH,
    T_CLOBBER_AD
};
enum t_stack_use { T_STACK_NONE, T_STACK_PUSH, T_STACK_POP };
enum t_move { T_MOVES_NOT, T_MOVES_ADD, T_MOVES_SUB, T_MOVES_LEA };

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

/* Guest registers that the instruction changes, by bit. */
u32 t_clobbers(const struct insn *in, const struct t_row *row);

/* --- t_flags.c --- */

/* The host's flags are about to be lost: keep those that are wanted. */
void t_flags_spare(struct t *t, u32 wanted);

/* The instruction proper comes next: give it the flags that it reads or keeps. */
void t_flags_in(struct t *t);

/* It was emitted. */
void t_flags_out(struct t *t);

/* All flags to memory. */
void t_flags_memory(struct t *t);

/* These registers are about to change. */
void t_flags_lose_registers(struct t *t, u32 regs);

/* How a way out of line gets the flags into memory, the host's being lost. */
struct t_recipe t_flags_recipe(const struct t *t);

/*
 * After t_flags_out: the flags come from group 1's operation `digit` on fields dst and src (insn.h; INSN_RM_MEM: memory), or
 * from TEST.
 */
void t_recipe_alu(struct t *t, unsigned digit, unsigned size, unsigned dst, unsigned src);
void t_recipe_imm(struct t *t, unsigned digit, unsigned size, unsigned dst, i32 value);
void t_recipe_test_two(struct t *t, unsigned size, unsigned dst, unsigned src);
void t_recipe_test_imm(struct t *t, unsigned size, unsigned dst, i32 value);

/* Uses T_VAL. */
void t_recipe_emit(struct emit *e, const struct t_recipe *r);

/* Memory := the host's flags, and back. Use T_VAL. */
void t_flags_store(struct emit *e);
void t_flags_load(struct emit *e);

/* For thunks, the registers being in struct cpu: the flags to where the interpreter has them, and back. */
void t_flags_to_interpreter(struct emit *e);
void t_flags_to_code(struct emit *e);

/* --- t_mem.c. T_ADDR, T_VAL and T_TMP are used --- */

/* T_ADDR := host address of the `1 << size` bytes at linear address T_ADDR; a miss runs the handler. */
void t_tlb(struct t *t, unsigned size, bool write);

/* The same for the ModRM operand. */
void t_operand(struct t *t, const struct insn *in, unsigned size, bool write);

/* The same for the 8 bytes at `at` from the register. */
void t_stack(struct t *t, unsigned base, i32 at, bool write);

/* `reg` := offset of the ModRM operand. Uses T_ADDR and T_VAL. */
void t_offset(struct t *t, const struct insn *in, unsigned reg, unsigned size);

/* `1 << size` bytes were stored at [T_ADDR]. All other effects of the instruction must be there. */
void t_stored(struct t *t, unsigned size);

/* Plan the block's groups; then follow its registers from its start. */
void t_groups_find(struct t *t);
void t_registers_begin(struct t *t);
void t_registers_change(struct t *t, const struct insn *in, const struct t_row *row);
void t_registers_lost(struct t *t, u32 mask);

/* --- trans.c: ways out of line --- */

/* To a stub that runs the handler; the interpreter for the rest of the block; the way after a store into code. */
void t_slow_if(struct t *t, unsigned condition);
void t_rest_if(struct t *t, unsigned condition);
void t_stored_if(struct t *t, unsigned condition, unsigned bytes);

/* --- trans.c: ways out --- */

/* To `delta` from the block's first byte. */
void t_exit_direct(struct t *t, i64 delta);

/* To the address in T_TMP, and RSP moves by `pop`. `check`: not canonical is the handler's business. */
void t_exit_indirect(struct t *t, i32 pop, bool check);

/* The handler does it unless the address in T_TMP is canonical. Uses T_VAL. */
void t_canonical(struct t *t);

/* The handler does it, and changes RIP. */
void t_exit_handler(struct t *t);

/* --- Registers --- */

/* Is guest register `n` in a host register? */
static inline bool t_mapped(unsigned n)
{
    return n < R12;
}

/* The MMU context that a block runs in. */
static inline unsigned t_context(u32 mode)
{
    return mode >> MODE_CONTEXT_SHIFT;
}

static inline unsigned t_host(unsigned n)
{
    return n == RSP ? T_RSP : n;
}
