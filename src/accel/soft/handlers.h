/* SPDX-License-Identifier: MIT */
/* The handler tables that the rows name, and the pseudo-instructions of the block builder. */
#pragma once

#include "accel/soft/insn.h"

#define ROW(map, opcode, prefix, digit, mod, rm, w, l, mode, name, op1, op2, op3, op4, feature, \
            attr, flags_r, flags_w, flags_u, class, handler) \
    extern insn_fn *const handler[8];
#include "accel/soft/insn.def"
#include "accel/soft/insn_simd.def"
#undef ROW

/* Table initialisers: one function for everything; for registers or memory only; by size 8, 16, 32, 64. */
#define X_ALL(fn) \
    { \
        fn, fn, fn, fn, fn, fn, fn, fn \
    }
#define X_REG(fn) \
    { \
        fn, fn, fn, fn, NULL, NULL, NULL, NULL \
    }
#define X_MEM(fn) \
    { \
        NULL, NULL, NULL, NULL, fn, fn, fn, fn \
    }

/* Appended to a block that does not end in a branch: `in->off` is that of the next instruction, `in->len` is 0. */
insn_fn x_block_end;
