/* SPDX-License-Identifier: MIT */
/* insn_rows: the rows of insn.def and insn_simd.def as data. */
#include "accel/soft/cpuid.h"
#include "accel/soft/decode.h"
#include "accel/soft/handlers.h"

const struct operand_kind operand_kinds[OP_COUNT] = {
#define OPERAND(kind, source_, file_, size_, number_) \
    [OP_##kind] = { .name = #kind, .source = source_, .file = file_, .size = size_, .number = number_ },
#include "accel/soft/operand.def"
#include "accel/soft/operand_simd.def"
#undef OPERAND
};

/* What an operand kind adds to the attributes of its row. */
#define OPERAND_ATTR(source, size) \
    (((source) == SRC_RM || (source) == SRC_RM_ANY || (source) == SRC_REG ? ATTR_MODRM : 0) | \
     ((source) == SRC_VSIB ? ATTR_MODRM | ATTR_VSIB : 0) | ((source) == SRC_OPCODE ? ATTR_ROWS8 : 0) | \
     ((size) == SZ_Y ? ATTR_Y : 0))

enum {
#define OPERAND(kind, source, file, size, number) OP_ATTR_##kind = OPERAND_ATTR(source, size),
#include "accel/soft/operand.def"
#include "accel/soft/operand_simd.def"
#undef OPERAND
};

const struct insn_row insn_rows[] = {
#define ROW(map_, opcode_, prefix_, digit_, mod_, rm_, w_, l_, mode_, name_, op1, op2, op3, op4, feature_, attr_, \
            flags_r_, flags_w_, flags_u_, class_, handler) \
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
        .fn = handler, \
    },
#include "accel/soft/insn.def"
#include "accel/soft/insn_simd.def"
#undef ROW
};

const unsigned insn_row_count = sizeof(insn_rows) / sizeof(insn_rows[0]);
