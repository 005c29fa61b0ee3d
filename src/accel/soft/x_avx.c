/* SPDX-License-Identifier: MIT */
/*
 * AVX moves, which need no stub, and VZEROUPPER, VZEROALL. Every write to an XMM register clears
 * the upper half of its YMM register (SDM vol. 1, 14.1.4).
 */
#include <string.h>

#include "accel/soft/handlers.h"
#include "accel/soft/simd.h"

static bool avx_256(const struct insn *in)
{
    return in->flags & INSN_VEX_L;
}

/* Copy register `src` to `dst`, 16 bytes or 32. */
static void ymm_copy(struct cpu *cpu, const struct insn *in, unsigned dst, unsigned src)
{
    struct xsave_area *x = &cpu->xsave;

    memcpy(x->xmm[dst], x->xmm[src], 16);
    if (avx_256(in))
        memcpy(x->ymm_hi[dst], x->ymm_hi[src], 16);
    else
        memset(x->ymm_hi[dst], 0, 16);
}

static void vmov_reg_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_copy(cpu, in, in->reg, in->rm);
    INSN_NEXT(cpu, in);
}

static void vmov_reg_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_copy(cpu, in, in->rm, in->reg);
    INSN_NEXT(cpu, in);
}

static void ymm_load(struct cpu *cpu, const struct insn *in, bool aligned)
{
    unsigned size = avx_256(in) ? 32 : 16;
    const u8 *p =
        simd_read(cpu, in, simd_address(cpu, in, size, aligned ? size - 1 : 0, false), size);

    memcpy(cpu->xsave.xmm[in->reg], p, 16);
    if (size == 32)
        memcpy(cpu->xsave.ymm_hi[in->reg], p + 16, 16);
    else
        memset(cpu->xsave.ymm_hi[in->reg], 0, 16);
}

static void ymm_store(struct cpu *cpu, const struct insn *in, bool aligned)
{
    unsigned size = avx_256(in) ? 32 : 16;
    gva addr = simd_address(cpu, in, size, aligned ? size - 1 : 0, true);
    u8 *p = mem_rmw(cpu, in, addr, size);

    memcpy(p, cpu->xsave.xmm[in->reg], 16);
    if (size == 32)
        memcpy(p + 16, cpu->xsave.ymm_hi[in->reg], 16);
    mem_rmw_end(cpu, in, addr, p, size);
}

static void vmovu_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_load(cpu, in, false);
    INSN_NEXT(cpu, in);
}

static void vmova_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_load(cpu, in, true);
    INSN_NEXT(cpu, in);
}

static void vmovu_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_store(cpu, in, false);
    INSN_NEXT(cpu, in);
}

static void vmova_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_store(cpu, in, true);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_vmovu_V_W[8] = SIMD_TABLE(vmov_reg_load, vmovu_load);
insn_fn *const x_vmova_V_W[8] = SIMD_TABLE(vmov_reg_load, vmova_load);
insn_fn *const x_vmovu_W_V[8] = SIMD_TABLE(vmov_reg_store, vmovu_store);
insn_fn *const x_vmova_W_V[8] = SIMD_TABLE(vmov_reg_store, vmova_store);

/* --- 4 and 8 bytes --- */

static void ymm_set(struct cpu *cpu, unsigned n, u64 low)
{
    memcpy(cpu->xsave.xmm[n], &low, 8);
    memset(cpu->xsave.xmm[n] + 8, 0, 8);
    memset(cpu->xsave.ymm_hi[n], 0, 16);
}

static u64 ymm_low(const struct cpu *cpu, unsigned n)
{
    u64 low;

    memcpy(&low, cpu->xsave.xmm[n], sizeof(low));
    return low;
}

static void vmovq_reg_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_set(cpu, in->reg, ymm_low(cpu, in->rm));
    INSN_NEXT(cpu, in);
}

static void vmovq_reg_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_set(cpu, in->rm, ymm_low(cpu, in->reg));
    INSN_NEXT(cpu, in);
}

static void vmovq_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_set(cpu, in->reg, mem_load64(cpu, in, insn_addr(cpu, in, 8, false)));
    INSN_NEXT(cpu, in);
}

static void vmovq_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    mem_store64(cpu, in, insn_addr(cpu, in, 8, true), ymm_low(cpu, in->reg));
    INSN_NEXT(cpu, in);
}

static void vmovss_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_set(cpu, in->reg, mem_load32(cpu, in, insn_addr(cpu, in, 4, false)));
    INSN_NEXT(cpu, in);
}

static void vmovss_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    mem_store32(cpu, in, insn_addr(cpu, in, 4, true), (u32)ymm_low(cpu, in->reg));
    INSN_NEXT(cpu, in);
}

static void vmovd_reg_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_set(cpu, in->reg, (u32)cpu->gpr[in->rm]);
    INSN_NEXT(cpu, in);
}

static void vmovd_reg_load64(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    ymm_set(cpu, in->reg, cpu->gpr[in->rm]);
    INSN_NEXT(cpu, in);
}

static void vmovd_reg_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    cpu->gpr[in->rm] = (u32)ymm_low(cpu, in->reg);
    INSN_NEXT(cpu, in);
}

static void vmovd_reg_store64(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    cpu->gpr[in->rm] = ymm_low(cpu, in->reg);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_vmovq_V_W[8] = SIMD_TABLE(vmovq_reg_load, vmovq_load);
insn_fn *const x_vmovq_W_V[8] = SIMD_TABLE(vmovq_reg_store, vmovq_store);
insn_fn *const x_vmovss_V_M[8] = X_MEM(vmovss_load);
insn_fn *const x_vmovss_M_V[8] = X_MEM(vmovss_store);
insn_fn *const x_vmovd_V_E[8] = { NULL, NULL, vmovd_reg_load, vmovd_reg_load64,
                                  NULL, NULL, vmovss_load,    vmovq_load };
insn_fn *const x_vmovd_E_V[8] = { NULL, NULL, vmovd_reg_store, vmovd_reg_store64,
                                  NULL, NULL, vmovss_store,    vmovq_store };

/* --- Clearing --- */

/* Registers that the mode can name: 16 in 64-bit mode, else 8. */
static unsigned avx_registers(const struct cpu *cpu)
{
    return cpu->mode & MODE_CS_L ? 16 : 8;
}

static void vzeroupper(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    memset(cpu->xsave.ymm_hi, 0, avx_registers(cpu) * sizeof(cpu->xsave.ymm_hi[0]));
    INSN_NEXT(cpu, in);
}

static void vzeroall(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    memset(cpu->xsave.ymm_hi, 0, avx_registers(cpu) * sizeof(cpu->xsave.ymm_hi[0]));
    memset(cpu->xsave.xmm, 0, avx_registers(cpu) * sizeof(cpu->xsave.xmm[0]));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_vzeroupper[8] = X_ALL(vzeroupper);
insn_fn *const x_vzeroall[8] = X_ALL(vzeroall);
