/* SPDX-License-Identifier: MIT */
/*
 * Stand-ins for the handler tables that these tests do not run: those of system, SIMD and x87 rows. Weak, and all one
 * table, so that rows.c links without the files that define them.
 */
#include "accel/soft/handlers.h"

static void stub(struct cpu *cpu, const struct insn *in)
{
    INSN_NEXT(cpu, in);
}

extern insn_fn *const x_stub_table[8];
insn_fn *const x_stub_table[8] = X_ALL(stub);

#define STUB(handler)           __asm__(".weak " #handler "\n.set " #handler ", x_stub_table");

#define STUB_CLASS_SYS(handler) STUB(handler)
#define STUB_CLASS_COPY(handler)
#define STUB_CLASS_MEM(handler)
#define STUB_CLASS_FLOW(handler)
#define STUB_CLASS_STRING(handler)
#define STUB_CLASS_CALL(handler)

#define ROW(map, opcode, prefix, digit, mod, rm, w, l, mode, name, op1, op2, op3, op4, feature, \
            attr, flags_r, flags_w, flags_u, class, handler) \
    STUB_##class(handler)
#include "accel/soft/insn.def"
#undef ROW

#define ROW(map, opcode, prefix, digit, mod, rm, w, l, mode, name, op1, op2, op3, op4, feature, \
            attr, flags_r, flags_w, flags_u, class, handler) \
    STUB(handler)
#include "accel/soft/insn_simd.def"
#undef ROW
