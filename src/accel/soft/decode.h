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
#define ATTR_LOCK BIT(0)    /* LOCK is allowed (with a memory destination), #UD otherwise */
#define ATTR_CPL0 BIT(1)    /* #GP(0) unless CPL is 0 (real mode counts as 0) */
#define ATTR_END BIT(2)     /* the last instruction of a block, whatever its class */
#define ATTR_MODRM BIT(3)   /* has a ModRM byte */
#define ATTR_D64 BIT(4)     /* operand size defaults to 64 bits in 64-bit mode */
#define ATTR_F64 BIT(5)     /* operand size is forced to 64 bits in 64-bit mode */
#define ATTR_BYTE BIT(6)    /* operand size is 8 bits */
#define ATTR_XMM BIT(7)     /* SSE/AVX: checks CR0.EM/TS, CR4.OSFXSR, XCR0 */
#define ATTR_X87 BIT(8)     /* x87: checks CR0.EM/TS and pending exceptions */
#define ATTR_MMX BIT(9)     /* MMX registers */
#define ATTR_FP BIT(10)     /* may raise SIMD or x87 floating-point exceptions */
#define ATTR_ALIGN BIT(11)  /* memory operand must be aligned to its size: #GP(0) */
#define ATTR_NOWAIT BIT(12) /* x87 control instruction that does not look at pending exceptions */

struct insn_row {
    const char *name;
    u8 map;    /* enum insn_map */
    u8 opcode;
    u8 prefix; /* mandatory prefix: see insn.def */
    u8 digit;  /* ModRM.reg, or any */
    u8 mod;    /* register form, memory form, or any */
    u8 rm;     /* ModRM.rm, or any */
    u8 w, l;   /* REX.W/VEX.W and VEX.L, or any */
    u8 mode;   /* 64-bit only, not in 64-bit, or any */
    u8 op[4];  /* operand kinds, in the manual's letters */
    u16 feature; /* enum cpu_feature (cpuid.h) */
    u16 attr;    /* ATTR_* */
    u16 flags_r, flags_w, flags_u; /* arithmetic flags (and DF) read, written, left undefined */
    u8 class;    /* enum insn_class */
    insn_fn *const *fn; /* 8 handlers: [memory operand? 4 : 0] + log2(operand bytes) */
};

extern const struct insn_row insn_rows[];
extern const unsigned insn_row_count;

/*
 * Decode one instruction from `avail` bytes at `bytes`. `mode` is the MODE_* word, `features` the bit set by enum
 * cpu_feature of what the guest may use. Fills all of *out but `off` (0) and, for CLASS_HOST, `hostop`.
 */
enum decode_result decode_insn(const u8 *bytes, size_t avail, u32 mode, const u64 *features, struct insn *out);

/* Text of an instruction in Intel syntax; `rip` of its first byte, for branch targets. Returns `text`. */
char *insn_print(const struct insn *in, u64 rip, u32 mode, char *text, size_t size);
