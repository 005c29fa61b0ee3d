/* SPDX-License-Identifier: MIT */
/* Machine code of one host operation: see hostop.h. Pure: bytes out, nothing else. */
#pragma once

#include "accel/soft/decode.h"
#include "accel/soft/hostop.h"
#include "base/types.h"

#define STUB_MAX 128

struct stub {
    unsigned len;
    unsigned fault_exit; /* offset of the code that returns 1 */
    u8 code[STUB_MAX];
};

/* What distinguishes one form of a row from another. */
struct hostop_form {
    const struct insn_row *row;
    bool memory; /* ModRM.rm is a memory operand */
    bool wide;   /* REX.W or VEX.W */
    bool ymm;    /* VEX.L */
    u8 modrm;    /* as in the guest's bytes: for x87 only */
    u8 imm;      /* the immediate byte, when the row has one */
};

/* The form that `op` was made for; modrm is set for x87 only. */
struct hostop_form hostop_form_of(const struct hostop *op);

/* The code for `form`. It never exceeds STUB_MAX. */
void stub_build(struct stub *stub, const struct hostop_form *form);

/* The operand kind of `row` that comes from `source`, or NULL. */
const struct operand_kind *row_operand(const struct insn_row *row, enum operand_source source);
