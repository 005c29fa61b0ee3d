/* SPDX-License-Identifier: MIT */
/* The rows of insn.def and insn_simd.def, and the operand kinds, as data. */
#include "accel/soft/cpuid.h"
#include "accel/soft/decode.h"
#include "accel/soft/fault.h"
#include "accel/soft/handlers.h"
#include "accel/soft/host_cpu.h"

const struct operand_kind operand_kinds[OP_COUNT] = {
#define OPERAND(kind, source_, file_, size_, number_) \
    [OP_##kind] = { \
        .name = #kind, .source = source_, .file = file_, .size = size_, .number = number_ \
    },
#include "accel/soft/operand.def"
#include "accel/soft/operand_simd.def"
#undef OPERAND
};

/* What an operand kind adds to the attributes of its row. */
#define OPERAND_ATTR(source, size) \
    (((source) == SRC_RM || (source) == SRC_RM_ANY || (source) == SRC_REG ? ATTR_MODRM : 0) | \
     ((source) == SRC_VSIB ? ATTR_MODRM | ATTR_VSIB : 0) | \
     ((source) == SRC_OPCODE ? ATTR_ROWS8 : 0) | ((size) == SZ_Y ? ATTR_Y : 0))

enum {
#define OPERAND(kind, source, file, size, number) OP_ATTR_##kind = OPERAND_ATTR(source, size),
#include "accel/soft/operand.def"
#include "accel/soft/operand_simd.def"
#undef OPERAND
};

#if HOST_X86
#define ROW_SIMD(handler) handler
#else
/* Rows that nothing runs: their features are absent, so this is for those that have none. */
static void row_absent(struct cpu *cpu, const struct insn *in)
{
    cpu_ud(cpu, in);
}

static insn_fn *const row_absent_table[8] = X_ALL(row_absent);
#define ROW_SIMD(handler) row_absent_table
#endif

#define ROW_INTEGER(handler) handler
#define ROW_TABLE(handler)   ROW_INTEGER(handler)

const struct insn_row insn_rows[] = {
#define ROW(map_, opcode_, prefix_, digit_, mod_, rm_, w_, l_, mode_, name_, op1, op2, op3, op4, \
            feature_, attr_, flags_r_, flags_w_, flags_u_, class_, handler) \
    { \
        .name = name_, \
        .map = map_, \
        .opcode = opcode_, \
        .prefix = prefix_, \
        .digit = digit_, \
        .mod = mod_, \
        .rm = rm_, \
        .w = w_, \
        .l = l_, \
        .mode = mode_, \
        .op = { OP_##op1, OP_##op2, OP_##op3, OP_##op4 }, \
        .feature = feature_, \
        .attr = (attr_) | OP_ATTR_##op1 | OP_ATTR_##op2 | OP_ATTR_##op3 | OP_ATTR_##op4 | \
                ((digit_) != ANY || (mod_) != MA ? ATTR_MODRM : 0), \
        .flags_r = flags_r_, \
        .flags_w = flags_w_, \
        .flags_u = flags_u_, \
        .class = class_, \
        .fn = ROW_TABLE(handler), \
    },
#include "accel/soft/insn.def"
#undef ROW_TABLE
#define ROW_TABLE(handler) ROW_SIMD(handler)
#include "accel/soft/insn_simd.def"
#undef ROW
};

const unsigned insn_row_count = sizeof(insn_rows) / sizeof(insn_rows[0]);

/* --- Sizes of operands --- */

unsigned operand_size_bytes(enum operand_size size, unsigned osz)
{
    switch (size) {
    case SZ_B: return 1;
    case SZ_W: return 2;
    case SZ_D: return 4;
    case SZ_Q: return 8;
    case SZ_Z: return osz == 1 ? 2 : 4;
    case SZ_V:
    case SZ_Y:
    case SZ_VW: return 1u << osz;
    case SZ_DQ: return 16;
    case SZ_QQ: return 32;
    case SZ_T: return 10;
    case SZ_P: return (1u << osz) + 2;
    case SZ_A: return 2u << osz;
    case SZ_0:
    case SZ_N:
    case SZ_S:
    case SZ_X:
    default: return 0; /* operand_bytes() knows more */
    }
}

unsigned operand_bytes(const struct insn *in, unsigned op, u32 mode)
{
    const struct operand_kind *kind = &operand_kinds[op];
    bool vex = insn_rows[in->row].map >= MAP_V0F;

    switch ((enum operand_size)kind->size) {
    case SZ_N: return mode & MODE_CS_L ? 8 : 4;
    case SZ_S: return mode & MODE_CS_L ? 10 : 6;
    case SZ_X: return vex && in->flags & INSN_VEX_L ? 32 : 16;
    case SZ_VW: return in->rm == INSN_RM_MEM ? 2 : 1u << insn_osz(in);
    case SZ_0:
    case SZ_B:
    case SZ_W:
    case SZ_D:
    case SZ_Q:
    case SZ_V:
    case SZ_Z:
    case SZ_Y:
    case SZ_P:
    case SZ_A:
    case SZ_DQ:
    case SZ_QQ:
    case SZ_T:
    default: return operand_size_bytes(kind->size, insn_osz(in));
    }
}
