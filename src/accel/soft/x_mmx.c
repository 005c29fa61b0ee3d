/* SPDX-License-Identifier: MIT */
/*
 * MMX: run by the host on 64-bit values; what the x87 state makes of it is done here (SDM vol. 3A,
 * 13.1 and 13.2): TOP becomes 0, all tags valid, and bits 64-79 of a register that is written are
 * set.
 */
#include <string.h>

#include "accel/soft/handlers.h"
#include "accel/soft/simd.h"

/* After a result in the MMX register of ModRM.reg. */
static void mmx_written(struct cpu *cpu, unsigned n)
{
    memset(&cpu->xsave.st[n & 7][8], 0xFF, 2);
}

static void mmx_reg(struct cpu *cpu, const struct insn *in)
{
    const struct hostop *op = in->hostop;

    fpu_check_mmx(cpu, in);
    fpu_enter_mmx(cpu);
    simd_call(cpu, in, op, simd_register(cpu, op->rm, in->rm));
    if (op->mm_reg)
        mmx_written(cpu, in->reg);
    if (op->mm_rm)
        mmx_written(cpu, in->rm);
    INSN_NEXT(cpu, in);
}

static void mmx_load(struct cpu *cpu, const struct insn *in, const struct hostop *op)
{
    void *p = simd_read(cpu, in, insn_addr(cpu, in, op->size, false), op->size);

    fpu_enter_mmx(cpu);
    simd_call(cpu, in, op, p);
    mmx_written(cpu, in->reg);
}

static void mmx_store(struct cpu *cpu, const struct insn *in, const struct hostop *op)
{
    gva addr = insn_addr(cpu, in, op->size, true);
    void *p = mem_rmw(cpu, in, addr, op->size);

    fpu_enter_mmx(cpu);
    simd_call(cpu, in, op, p);
    mem_rmw_end(cpu, in, addr, p, op->size);
}

static void mmx_mem(struct cpu *cpu, const struct insn *in)
{
    const struct hostop *op = in->hostop;

    fpu_check_mmx(cpu, in);
    if (op->store)
        mmx_store(cpu, in, op);
    else
        mmx_load(cpu, in, op);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_mmx[8] = SIMD_TABLE(mmx_reg, mmx_mem);

/* --- Between MMX and XMM registers --- */

/*
 * Unlike the instructions above these may fault when they have computed: the x87 state is then as
 * before.
 */
static void cvt_mmx(struct cpu *cpu, const struct insn *in, const struct hostop *op, void *rm)
{
    unsigned top = FIELD_GET(FSW_TOP, cpu->xsave.fsw);
    u8 tags = cpu->xsave.ftw;

    fpu_enter_mmx(cpu);
    if (simd_run_fp(cpu, in, op, rm) != 0) {
        fpu_set_top(cpu, top);
        cpu->xsave.ftw = tags;
        simd_raise(cpu, in);
    }
    if (op->mm_reg)
        mmx_written(cpu, in->reg);
}

static void cvt_mmx_reg(struct cpu *cpu, const struct insn *in)
{
    const struct hostop *op = in->hostop;

    fpu_check_sse(cpu, in);
    fpu_check_mmx(cpu, in);
    cvt_mmx(cpu, in, op, simd_register(cpu, op->rm, in->rm));
    INSN_NEXT(cpu, in);
}

static void cvt_mmx_mem(struct cpu *cpu, const struct insn *in)
{
    const struct hostop *op = in->hostop;

    fpu_check_sse(cpu, in);
    fpu_check_mmx(cpu, in);
    cvt_mmx(cpu, in, op,
            simd_read(cpu, in, simd_address(cpu, in, op->size, op->align, false), op->size));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_cvt_mmx[8] = SIMD_TABLE(cvt_mmx_reg, cvt_mmx_mem);

static void emms(struct cpu *cpu, const struct insn *in)
{
    fpu_check_mmx(cpu, in);
    fpu_set_top(cpu, 0);
    cpu->xsave.ftw = 0;
    INSN_NEXT(cpu, in);
}

insn_fn *const x_emms[8] = X_ALL(emms);
