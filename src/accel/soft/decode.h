/* SPDX-License-Identifier: MIT */
/*
 * Bytes to struct insn, by the rows of insn.def. Pure: never touches struct cpu.
 */
#pragma once

#include "accel/soft/insn.h"
#include "base/types.h"

enum decode_result {
    DECODE_OK,
    DECODE_MORE,     /* the bytes ran out before the instruction's end: fetch the next page */
    DECODE_UD,       /* no such instruction, or its CPUID feature is off */
    DECODE_TOO_LONG, /* more than 15 bytes: #GP(0) */
};

/* Opcode maps. */
enum insn_map { MAP_1, MAP_0F, MAP_0F38, MAP_0F3A, MAP_V0F, MAP_V0F38, MAP_V0F3A, MAP_COUNT };

/* How a row is executed, and later translated. */
enum insn_class {
    CLASS_COPY,   /* general registers and flags only: could run as it is */
    CLASS_MEM,    /* the same, with a memory operand */
    CLASS_FLOW,   /* changes RIP: the last of its block */
    CLASS_STRING, /* string operations, REP as one */
    CLASS_CALL,   /* by its handler */
    CLASS_SYS,    /* system state: by its handler, which may end the block */
    CLASS_HOST,   /* SIMD, x87: executed by the host's own instruction on the guest's registers */
};

/* insn_row.attr */
#define ATTR_LOCK   BIT(0)  /* LOCK is allowed (with a memory destination), #UD otherwise */
#define ATTR_CPL0   BIT(1)  /* #GP(0) unless CPL is 0 (real mode counts as 0) */
#define ATTR_END    BIT(2)  /* the last instruction of a block, whatever its class */
#define ATTR_MODRM  BIT(3)  /* has a ModRM byte (set by rows.c from the other columns) */
#define ATTR_D64    BIT(4)  /* operand size defaults to 64 bits in 64-bit mode */
#define ATTR_F64    BIT(5)  /* operand size is forced to 64 bits in 64-bit mode */
#define ATTR_BYTE   BIT(6)  /* operand size is 8 bits */
#define ATTR_XMM    BIT(7)  /* SSE/AVX: checks CR0.EM/TS, CR4.OSFXSR, XCR0 */
#define ATTR_X87    BIT(8)  /* x87: checks CR0.EM/TS and pending exceptions */
#define ATTR_MMX    BIT(9)  /* MMX registers */
#define ATTR_FP     BIT(10) /* may raise SIMD or x87 floating-point exceptions */
#define ATTR_ALIGN  BIT(11) /* memory operand must be aligned to its size: #GP(0) */
#define ATTR_NOWAIT BIT(12) /* x87 control instruction that does not look at pending exceptions */
#define ATTR_Y      BIT(13) /* operand size is 64 bits with W, else 32 (set by rows.c for y operands) */
#define ATTR_ROWS8  BIT(14) /* stands for opcode to opcode + 7 (set by rows.c) */
#define ATTR_VSIB   BIT(15) /* vector index (set by rows.c) */

/* Key columns of a row. Several columns use ANY. */
enum { ANY = 0xFF };
enum row_prefix {
    PA, /* 66, F2 and F3 have their ordinary meaning: operand size, REP */
    PN, /* none of 66, F2, F3 present */
    P66, /* 66 present, F2 and F3 not; 66 still means a 16-bit operand where the row has v operands */
    PF3, /* F3 present (the last of F2 and F3); 66 is the operand size */
    PF2,
};
enum row_mod { MA, MR, MM }; /* ModRM.mod: any, register (3), memory */
enum row_w { WA, W0, W1 };   /* REX.W or VEX.W */
enum row_l { LA, L0, L1 };   /* VEX.L */
enum row_mode { O64, N64 };  /* 64-bit mode only, not in 64-bit mode; or ANY */

/* Flag columns: arithmetic flags and DF. */
enum row_flags {
    FC = FLAG_CF,
    FP = FLAG_PF,
    FA = FLAG_AF,
    FZ = FLAG_ZF,
    FS = FLAG_SF,
    FO = FLAG_OF,
    FD = FLAG_DF,
    OSZAPC = FLAGS_ARITH,
    OSZAP = FLAGS_ARITH & ~FLAG_CF,
    OSZPC = FLAGS_ARITH & ~FLAG_AF,
    SZAPC = FLAGS_ARITH & ~FLAG_OF,
};

/* Where the decoder finds an operand; which field of struct insn it fills. */
enum operand_source {
    SRC_NONE,
    SRC_RM,   /* ModRM.rm: rm, or the memory operand */
    SRC_VSIB, /* as SRC_RM, a memory operand whose index is a vector register: index has its number */
    SRC_RM_ANY, /* ModRM.rm as a register whatever ModRM.mod is: rm */
    SRC_REG,    /* ModRM.reg: reg */
    SRC_VVVV,   /* VEX.vvvv: vreg */
    SRC_OPCODE, /* opcode bits 2:0 and REX.B: rm */
    SRC_IMM,    /* zero-extended: imm */
    SRC_SIMM,   /* sign-extended: imm. A second immediate (ENTER) goes above the first */
    SRC_IS4,    /* register in bits 7:4 of an immediate byte: imm holds the byte */
    SRC_REL,    /* branch displacement: imm */
    SRC_MOFFS,  /* offset without ModRM: imm */
    SRC_FAR,    /* selector and offset: imm */
    SRC_FIXED,  /* the register `number`: reg for a segment, else rm when it is the first operand */
    SRC_ONE,    /* the constant 1 */
    SRC_RSI,    /* string source */
    SRC_RDI,    /* string destination */
};

/* Which registers an operand names. */
enum operand_file {
    FILE_NONE,
    FILE_GPR,
    FILE_SEG,
    FILE_CR,
    FILE_DR,
    FILE_ST,
    FILE_MMX,
    FILE_XMM, /* XMM, or YMM when the operand has 32 bytes */
};

enum operand_size {
    SZ_0,
    SZ_B,
    SZ_W,
    SZ_D,
    SZ_Q,
    SZ_V, /* operand size: 2, 4, 8 */
    SZ_Z, /* 2, 4, 4 */
    SZ_Y, /* 4, or 8 with W in 64-bit mode; the operand size of the row is this, whatever 66 says */
    SZ_N, /* 8 in 64-bit mode, else 4 */
    SZ_VW, /* SZ_V as a register, 2 as memory */
    SZ_P,
    SZ_A,
    SZ_S,
    SZ_DQ, /* 16 */
    SZ_QQ, /* 32 */
    SZ_X,  /* 16, or 32 with VEX.L */
    SZ_T,  /* 10: x87 extended */
};

enum operand_id {
#define OPERAND(kind, source, file, size, number) OP_##kind,
#include "accel/soft/operand.def"
#include "accel/soft/operand_simd.def"
#undef OPERAND
    OP_COUNT,
};

struct operand_kind {
    const char *name;
    u8 source; /* enum operand_source */
    u8 file;   /* enum operand_file */
    u8 size;   /* enum operand_size */
    u8 number;
};

extern const struct operand_kind operand_kinds[OP_COUNT];

struct insn_row {
    const char *name; /* "cbw/cwde/cdqe": by operand size; "jcxz:jecxz:jrcxz": by address size */
    u8 map;           /* enum insn_map */
    u8 opcode;
    u8 prefix; /* enum row_prefix */
    u8 digit;  /* ModRM.reg, or ANY */
    u8 mod;    /* enum row_mod */
    u8 rm;    /* ModRM.rm, or ANY. Without ModRM: the number in opcode bits 2:0 and REX.B, or ANY */
    u8 w, l;  /* enum row_w, enum row_l */
    u8 mode;  /* enum row_mode, or ANY */
    u8 op[4]; /* enum operand_id */
    u16 feature;                   /* enum cpu_feature (cpuid.h) */
    u16 attr;                      /* ATTR_* */
    u16 flags_r, flags_w, flags_u; /* arithmetic flags (and DF) read, written, left undefined */
    u8 class;                      /* enum insn_class */
    insn_fn *const *fn;            /* 8 handlers: [memory operand? 4 : 0] + log2(operand bytes) */
};

extern const struct insn_row insn_rows[];
extern const unsigned insn_row_count;

/* `insn.flags` fields. */
static inline unsigned insn_osz(const struct insn *in)
{
    return in->flags >> INSN_OSZ_SHIFT;
}

static inline unsigned insn_asz(const struct insn *in)
{
    return (in->flags & INSN_ASZ) >> INSN_ASZ_SHIFT;
}

/*
 * Decode one instruction from `avail` bytes at `bytes`. `mode` is the MODE_* word, `features` the bit set by enum
 * cpu_feature of what the guest may use. Fills all of *out; `off` is 0 (see
 * insn_place) and, for CLASS_HOST, `imm` is the immediate.
 */
enum decode_result decode_insn(const u8 *bytes, size_t avail, u32 mode, const u64 *features,
                               struct insn *out);

/* Add to the displacement of a RIP-relative operand; what does not fit goes to the index. */
static inline void insn_disp_add(struct insn *in, i64 delta)
{
    i64 disp = in->disp + delta;

    if (disp > INT32_MAX) {
        in->index = GPR_BIAS;
        disp -= INT64_C(1) << 31;
    }
    in->disp = (i32)disp;
}

/*
 * Put a decoded instruction `off` bytes after its block's first byte: what was relative to the instruction's own
 * first byte (branch targets, RIP-relative displacements) becomes relative to the block's.
 */
static inline void insn_place(struct insn *in, unsigned off)
{
    unsigned op = insn_rows[in->row].op[0];

    in->off = off & 0xFFF;
    if (in->base == GPR_RIP)
        insn_disp_add(in, off);
    if (op == OP_Jb || op == OP_Jz)
        in->imm += off;
}

/* Bytes of a size letter at operand size `osz`, 0 for those that depend on more (see operand_bytes). */
unsigned operand_size_bytes(enum operand_size size, unsigned osz);

/* Bytes of operand `op` (an enum operand_id) of `in`, 0 when it has no size. */
unsigned operand_bytes(const struct insn *in, unsigned op, u32 mode);

/* Text of an instruction in Intel syntax; `rip` of its first byte, for branch targets. Returns `text`. */
char *insn_print(const struct insn *in, u64 rip, u32 mode, char *text, size_t size);
