/* SPDX-License-Identifier: MIT */
/*
 * SSE and AVX: instructions run by the host (hostop.h), and moves, which need no stub.
 *
 * Memory operands: SDM vol. 2A, 2.4 (exception classes). A legacy instruction with a 16-byte
 * operand wants it aligned unless its row says otherwise; stores check the whole operand before the
 * first byte.
 */
#include <string.h>

#include "accel/soft/decode.h"
#include "accel/soft/handlers.h"
#include "accel/soft/simd.h"

/* --- By the host's instruction --- */

static void simd_store(struct cpu *cpu, const struct insn *in, const struct hostop *op)
{
    gva addr = simd_address(cpu, in, op->size, op->align, true);
    void *p = mem_rmw(cpu, in, addr, op->size);

    simd_call(cpu, in, op, p);
    mem_rmw_end(cpu, in, addr, p, op->size);
}

static void simd_reg(struct cpu *cpu, const struct insn *in)
{
    const struct hostop *op = in->hostop;

    simd_check(cpu, in, op);
    simd_call(cpu, in, op, simd_register(cpu, op->rm, in->rm));
    INSN_NEXT(cpu, in);
}

static void simd_mem(struct cpu *cpu, const struct insn *in)
{
    const struct hostop *op = in->hostop;

    simd_check(cpu, in, op);
    if (op->store)
        simd_store(cpu, in, op);
    else
        simd_call(cpu, in, op,
                  simd_read(cpu, in, simd_address(cpu, in, op->size, op->align, false), op->size));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_simd[8] = SIMD_TABLE(simd_reg, simd_mem);

/* --- The same with MXCSR --- */

void simd_raise(struct cpu *cpu, const struct insn *in)
{
    cpu_fault(cpu, in, cpu->cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD, 0);
}

static void simd_call_fp(struct cpu *cpu, const struct insn *in, const struct hostop *op, void *rm)
{
    if (unlikely(simd_run_fp(cpu, in, op, rm) != 0))
        simd_raise(cpu, in);
}

/* The result goes to memory last, and MXCSR changes only when it got there. */
static void simd_fp_store(struct cpu *cpu, const struct insn *in, const struct hostop *op)
{
    u32 before = cpu->xsave.mxcsr;
    u32 after;
    u8 result[32];
    gva addr;

    simd_call_fp(cpu, in, op, result);
    after = cpu->xsave.mxcsr;
    cpu->xsave.mxcsr = before;
    addr = simd_address(cpu, in, op->size, op->align, true);
    simd_write(cpu, in, addr, result, op->size);
    cpu->xsave.mxcsr = after;
}

static void simd_fp_reg(struct cpu *cpu, const struct insn *in)
{
    const struct hostop *op = in->hostop;

    simd_check(cpu, in, op);
    simd_call_fp(cpu, in, op, simd_register(cpu, op->rm, in->rm));
    INSN_NEXT(cpu, in);
}

static void simd_fp_mem(struct cpu *cpu, const struct insn *in)
{
    const struct hostop *op = in->hostop;

    simd_check(cpu, in, op);
    if (op->store)
        simd_fp_store(cpu, in, op);
    else
        simd_call_fp(
            cpu, in, op,
            simd_read(cpu, in, simd_address(cpu, in, op->size, op->align, false), op->size));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_simd_fp[8] = SIMD_TABLE(simd_fp_reg, simd_fp_mem);

/* --- Legacy moves of 16 bytes --- */

static void mov_xmm_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    memcpy(cpu->xsave.xmm[in->reg], cpu->xsave.xmm[in->rm], 16);
    INSN_NEXT(cpu, in);
}

static void mov_xmm_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    memcpy(cpu->xsave.xmm[in->rm], cpu->xsave.xmm[in->reg], 16);
    INSN_NEXT(cpu, in);
}

static void movu_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    memcpy(cpu->xsave.xmm[in->reg], simd_read(cpu, in, insn_addr(cpu, in, 16, false), 16), 16);
    INSN_NEXT(cpu, in);
}

static void movu_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    simd_write(cpu, in, insn_addr(cpu, in, 16, true), cpu->xsave.xmm[in->reg], 16);
    INSN_NEXT(cpu, in);
}

static void mova_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    memcpy(cpu->xsave.xmm[in->reg], simd_read(cpu, in, simd_address(cpu, in, 16, 15, false), 16),
           16);
    INSN_NEXT(cpu, in);
}

static void mova_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    simd_write(cpu, in, simd_address(cpu, in, 16, 15, true), cpu->xsave.xmm[in->reg], 16);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_movu_V_W[8] = SIMD_TABLE(mov_xmm_load, movu_load);
insn_fn *const x_movu_W_V[8] = SIMD_TABLE(mov_xmm_store, movu_store);
insn_fn *const x_mova_V_W[8] = SIMD_TABLE(mov_xmm_load, mova_load);
insn_fn *const x_mova_W_V[8] = SIMD_TABLE(mov_xmm_store, mova_store);

/* --- Legacy moves of 4 and 8 bytes --- */

/* Put `low` into register n and clear the rest of its 16 bytes. */
static void xmm_set(struct cpu *cpu, unsigned n, u64 low)
{
    memcpy(cpu->xsave.xmm[n], &low, 8);
    memset(cpu->xsave.xmm[n] + 8, 0, 8);
}

static u64 xmm_low(const struct cpu *cpu, unsigned n)
{
    u64 low;

    memcpy(&low, cpu->xsave.xmm[n], sizeof(low));
    return low;
}

static void movq_reg_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    xmm_set(cpu, in->reg, xmm_low(cpu, in->rm));
    INSN_NEXT(cpu, in);
}

static void movq_reg_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    xmm_set(cpu, in->rm, xmm_low(cpu, in->reg));
    INSN_NEXT(cpu, in);
}

static void movq_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    xmm_set(cpu, in->reg, mem_load64(cpu, in, insn_addr(cpu, in, 8, false)));
    INSN_NEXT(cpu, in);
}

static void movq_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    mem_store64(cpu, in, insn_addr(cpu, in, 8, true), xmm_low(cpu, in->reg));
    INSN_NEXT(cpu, in);
}

static void movss_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    xmm_set(cpu, in->reg, mem_load32(cpu, in, insn_addr(cpu, in, 4, false)));
    INSN_NEXT(cpu, in);
}

static void movss_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    mem_store32(cpu, in, insn_addr(cpu, in, 4, true), (u32)xmm_low(cpu, in->reg));
    INSN_NEXT(cpu, in);
}

static void movd_reg_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    xmm_set(cpu, in->reg, (u32)cpu->gpr[in->rm]);
    INSN_NEXT(cpu, in);
}

static void movd_reg_load64(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    xmm_set(cpu, in->reg, cpu->gpr[in->rm]);
    INSN_NEXT(cpu, in);
}

static void movd_reg_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    cpu->gpr[in->rm] = (u32)xmm_low(cpu, in->reg);
    INSN_NEXT(cpu, in);
}

static void movd_reg_store64(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    cpu->gpr[in->rm] = xmm_low(cpu, in->reg);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_movq_V_W[8] = SIMD_TABLE(movq_reg_load, movq_load);
insn_fn *const x_movq_W_V[8] = SIMD_TABLE(movq_reg_store, movq_store);
insn_fn *const x_movss_V_M[8] = X_MEM(movss_load);
insn_fn *const x_movss_M_V[8] = X_MEM(movss_store);
insn_fn *const x_movd_V_E[8] = { NULL, NULL, movd_reg_load, movd_reg_load64,
                                 NULL, NULL, movss_load,    movq_load };
insn_fn *const x_movd_E_V[8] = { NULL, NULL, movd_reg_store, movd_reg_store64,
                                 NULL, NULL, movss_store,    movq_store };

/* Half registers: low is bytes 0-7, high is 8-15; the other half stays. */
static void movlps_load(struct cpu *cpu, const struct insn *in)
{
    u64 value;

    fpu_check_sse(cpu, in);
    value = mem_load64(cpu, in, insn_addr(cpu, in, 8, false));
    memcpy(cpu->xsave.xmm[in->reg], &value, 8);
    INSN_NEXT(cpu, in);
}

static void movhps_load(struct cpu *cpu, const struct insn *in)
{
    u64 value;

    fpu_check_sse(cpu, in);
    value = mem_load64(cpu, in, insn_addr(cpu, in, 8, false));
    memcpy(cpu->xsave.xmm[in->reg] + 8, &value, 8);
    INSN_NEXT(cpu, in);
}

static void movhps_store(struct cpu *cpu, const struct insn *in)
{
    u64 value;

    fpu_check_sse(cpu, in);
    memcpy(&value, cpu->xsave.xmm[in->reg] + 8, 8);
    mem_store64(cpu, in, insn_addr(cpu, in, 8, true), value);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_movlps_V_M[8] = X_MEM(movlps_load);
insn_fn *const x_movhps_V_M[8] = X_MEM(movhps_load);
insn_fn *const x_movhps_M_V[8] = X_MEM(movhps_store);

/* MOVNTI stores a general register; caches are not modelled. */
static void movnti32(struct cpu *cpu, const struct insn *in)
{
    mem_store32(cpu, in, insn_addr(cpu, in, 4, true), (u32)cpu->gpr[in->reg]);
    INSN_NEXT(cpu, in);
}

static void movnti64(struct cpu *cpu, const struct insn *in)
{
    mem_store64(cpu, in, insn_addr(cpu, in, 8, true), cpu->gpr[in->reg]);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_movnti_M_G[8] = { NULL, NULL, NULL, NULL, NULL, NULL, movnti32, movnti64 };

/* PXOR: mostly clears a register. */
static void pxor_bytes(u8 *dst, const u8 *src)
{
    u64 a[2], b[2];

    memcpy(a, dst, 16);
    memcpy(b, src, 16);
    a[0] ^= b[0];
    a[1] ^= b[1];
    memcpy(dst, a, 16);
}

static void pxor_reg(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    pxor_bytes(cpu->xsave.xmm[in->reg], cpu->xsave.xmm[in->rm]);
    INSN_NEXT(cpu, in);
}

static void pxor_mem(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    pxor_bytes(cpu->xsave.xmm[in->reg],
               simd_read(cpu, in, simd_address(cpu, in, 16, 15, false), 16));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_pxor_V_W[8] = SIMD_TABLE(pxor_reg, pxor_mem);
