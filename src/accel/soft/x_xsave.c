/* SPDX-License-Identifier: MIT */
/*
 * FXSAVE, FXRSTOR, the XSAVE family, LDMXCSR and STMXCSR.
 *
 * The guest's registers are kept in an image of the same layout, so saving is copying; what is here
 * is which bytes are touched, and the checks. SDM vol. 1, 10.5 (FXSAVE) and chapter 13 (XSAVE).
 * SDM: Intel 64 and IA-32 Architectures Software Developer's Manual, order 325462-080.
 */
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/fpu.h"
#include "accel/soft/handlers.h"
#include "accel/soft/mem.h"
#include "base/bytes.h"

#define FXSAVE_SIZE      512u
#define XSAVE_HEADER     512u
#define XSAVE_AVX        576u
#define XSAVE_SIZE       832u
#define XCOMP_BV_COMPACT BIT64(63)

#define X87_WORDS_SIZE   24u /* FCW to FDP */
#define MXCSR_OFFSET     24u
#define ST_OFFSET        32u
#define XMM_OFFSET       160u

_Static_assert(offsetof(struct xsave_area, mxcsr) == MXCSR_OFFSET, "image layout");
_Static_assert(offsetof(struct xsave_area, st) == ST_OFFSET, "image layout");
_Static_assert(offsetof(struct xsave_area, xmm) == XMM_OFFSET, "image layout");
_Static_assert(offsetof(struct xsave_area, xstate_bv) == XSAVE_HEADER, "image layout");
_Static_assert(offsetof(struct xsave_area, ymm_hi) == XSAVE_AVX, "image layout");
_Static_assert(sizeof(struct xsave_area) == XSAVE_SIZE, "image layout");

/* --- Parts of the legacy region --- */

/*
 * The forms with REX.W keep 64-bit pointers; the others a 32-bit offset and a selector, which reads
 * 0 (fpu.c).
 */
static bool xsave_64(const struct insn *in)
{
    return (in->flags & INSN_OSZ) >> INSN_OSZ_SHIFT == 3;
}

/* Outside 64-bit mode registers 8 to 15 are neither saved nor restored. */
static unsigned xsave_vector_bytes(const struct cpu *cpu)
{
    return cpu->mode & MODE_CS_L ? 256 : 128;
}

static void xsave_put_x87(const struct cpu *cpu, const struct insn *in, u8 *area)
{
    memcpy(area, &cpu->xsave, X87_WORDS_SIZE);
    memcpy(area + ST_OFFSET, cpu->xsave.st, sizeof(cpu->xsave.st));
    if (!xsave_64(in)) {
        memset(area + 12, 0, 4);
        memset(area + 20, 0, 4);
    }
}

static void xsave_get_x87(struct cpu *cpu, const struct insn *in, const u8 *area)
{
    struct xsave_area *x = &cpu->xsave;

    memcpy(x, area, X87_WORDS_SIZE);
    if (!xsave_64(in)) {
        x->fip = (u32)x->fip;
        x->fdp = (u32)x->fdp;
    }
    x->reserved0 = 0;
    x->fop &= FOP_MASK;
    for (unsigned i = 0; i < 8; i++)
        memcpy(x->st[i], area + ST_OFFSET + i * 16, 10);
    fpu_set_fcw(cpu, x->fcw);
}

/* #GP(0) for a value with bits that this CPU's MXCSR has not. */
static void xsave_check_mxcsr(struct cpu *cpu, const struct insn *in, u32 value)
{
    if (value & ~cpu->xsave.mxcsr_mask)
        cpu_gp(cpu, in, 0);
}

/* --- FXSAVE and FXRSTOR --- */

static gva fxsave_addr(struct cpu *cpu, const struct insn *in, bool write)
{
    gva addr = insn_addr(cpu, in, FXSAVE_SIZE, write);

    if (addr & 15)
        cpu_gp(cpu, in, 0);
    return addr;
}

/* Bytes 416-511 are not written. */
static void fxsave(struct cpu *cpu, const struct insn *in)
{
    u8 area[XMM_OFFSET + 256];
    unsigned vectors = xsave_vector_bytes(cpu);
    gva addr;

    fpu_check_x87_nowait(cpu, in);
    addr = fxsave_addr(cpu, in, true);
    xsave_put_x87(cpu, in, area);
    store_le32(area + MXCSR_OFFSET, cpu->xsave.mxcsr);
    store_le32(area + MXCSR_OFFSET + 4, cpu->xsave.mxcsr_mask);
    memcpy(area + XMM_OFFSET, cpu->xsave.xmm, vectors);
    mem_write(cpu, in, addr, area, XMM_OFFSET + vectors);
    INSN_NEXT(cpu, in);
}

static void fxrstor(struct cpu *cpu, const struct insn *in)
{
    u8 area[FXSAVE_SIZE];
    gva addr;
    u32 mxcsr;

    fpu_check_x87_nowait(cpu, in);
    addr = fxsave_addr(cpu, in, false);
    mem_read(cpu, in, addr, area, sizeof(area));
    mxcsr = load_le32(area + MXCSR_OFFSET);
    xsave_check_mxcsr(cpu, in, mxcsr);
    xsave_get_x87(cpu, in, area);
    cpu->xsave.mxcsr = mxcsr;
    memcpy(cpu->xsave.xmm, area + XMM_OFFSET, xsave_vector_bytes(cpu));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_fxsave_M[8] = X_MEM(fxsave);
insn_fn *const x_fxrstor_M[8] = X_MEM(fxrstor);

/* --- XSAVE, XSAVEOPT, XSAVEC --- */

/* The requested-feature bitmap: EDX:EAX and XCR0. */
static u64 xsave_rfbm(const struct cpu *cpu)
{
    return ((cpu->gpr[RDX] << 32) | (u32)cpu->gpr[RAX]) & cpu->xcr0;
}

static gva xsave_addr(struct cpu *cpu, const struct insn *in, bool write)
{
    gva addr;

    fpu_check_xsave(cpu, in);
    addr = insn_addr(cpu, in, XSAVE_SIZE, write);
    if (addr & 63)
        cpu_gp(cpu, in, 0);
    return addr;
}

/* Fault now if any of the `size` bytes, at most a page, cannot be written. */
static void xsave_probe(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    u64 one = 1;

    mem_run(cpu, in, addr, &one, ACCESS_WRITE);
    one = 1;
    mem_run(cpu, in, addr + size - 1, &one, ACCESS_WRITE);
}

/*
 * How many bytes from the start of the area the components `save` reach; the header always counts.
 */
static unsigned xsave_extent(u64 save)
{
    return save & XCR0_AVX ? XSAVE_SIZE : XSAVE_AVX;
}

static void xsave_write_x87(struct cpu *cpu, const struct insn *in, gva addr)
{
    u8 area[XMM_OFFSET];

    xsave_put_x87(cpu, in, area);
    mem_write(cpu, in, addr, area, X87_WORDS_SIZE);
    mem_write(cpu, in, addr + ST_OFFSET, area + ST_OFFSET, XMM_OFFSET - ST_OFFSET);
}

static void xsave_write_mxcsr(struct cpu *cpu, const struct insn *in, gva addr)
{
    u8 words[8];

    store_le32(words, cpu->xsave.mxcsr);
    store_le32(words + 4, cpu->xsave.mxcsr_mask);
    mem_write(cpu, in, addr + MXCSR_OFFSET, words, sizeof(words));
}

/* Write the components of `save`, and MXCSR if asked. */
static void xsave_write(struct cpu *cpu, const struct insn *in, gva addr, u64 save, bool mxcsr)
{
    unsigned vectors = xsave_vector_bytes(cpu);

    if (save & XCR0_X87)
        xsave_write_x87(cpu, in, addr);
    if (mxcsr)
        xsave_write_mxcsr(cpu, in, addr);
    if (save & XCR0_SSE)
        mem_write(cpu, in, addr + XMM_OFFSET, cpu->xsave.xmm, vectors);
    if (save & XCR0_AVX)
        mem_write(cpu, in, addr + XSAVE_AVX, cpu->xsave.ymm_hi, vectors);
}

/* The standard format: XSTATE_BV keeps its bits outside the request. */
static void xsave_standard(struct cpu *cpu, const struct insn *in, bool skip_initial)
{
    gva addr = xsave_addr(cpu, in, true);
    u64 rfbm = xsave_rfbm(cpu);
    u64 used = fpu_in_use(cpu) & rfbm;
    u64 save = skip_initial ? used : rfbm;
    u64 xstate_bv;

    xsave_probe(cpu, in, addr, xsave_extent(save));
    xstate_bv = (mem_load64(cpu, in, addr + XSAVE_HEADER) & ~rfbm) | used;
    xsave_write(cpu, in, addr, save, rfbm & (XCR0_SSE | XCR0_AVX));
    mem_store64(cpu, in, addr + XSAVE_HEADER, xstate_bv);
}

static void xsave(struct cpu *cpu, const struct insn *in)
{
    xsave_standard(cpu, in, false);
    INSN_NEXT(cpu, in);
}

/*
 * The modified optimization is not made: components are written also when memory holds them
 * already.
 */
static void xsaveopt(struct cpu *cpu, const struct insn *in)
{
    xsave_standard(cpu, in, true);
    INSN_NEXT(cpu, in);
}

/* The compacted format. MXCSR belongs to the SSE component and keeps it from being initial. */
static void xsavec(struct cpu *cpu, const struct insn *in)
{
    gva addr = xsave_addr(cpu, in, true);
    u64 rfbm = xsave_rfbm(cpu);
    u64 save = fpu_in_use(cpu) & rfbm;
    u64 header[2];

    if (cpu->xsave.mxcsr != MXCSR_DEFAULT)
        save |= rfbm & XCR0_SSE;
    header[0] = save;
    header[1] = rfbm | XCOMP_BV_COMPACT;
    xsave_probe(cpu, in, addr, xsave_extent(save));
    xsave_write(cpu, in, addr, save, save & XCR0_SSE);
    mem_write(cpu, in, addr + XSAVE_HEADER, header, sizeof(header));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_xsave_M[8] = X_MEM(xsave);
insn_fn *const x_xsaveopt_M[8] = X_MEM(xsaveopt);
insn_fn *const x_xsavec_M[8] = X_MEM(xsavec);

/* --- XRSTOR --- */

/*
 * SDM vol. 1, 13.8.1: which headers are refused. With AVX the only extended component, both formats
 * have one layout.
 */
static void xrstor_check_header(struct cpu *cpu, const struct insn *in, const u64 *header)
{
    bool compact = header[1] & XCOMP_BV_COMPACT;
    u64 allowed = compact ? header[1] & ~XCOMP_BV_COMPACT : cpu->xcr0;
    u64 reserved = compact ? (header[1] & ~XCOMP_BV_COMPACT & ~cpu->xcr0) : header[1];

    reserved |= header[0] & ~allowed;
    reserved |= header[2];
    for (unsigned i = 3; compact && i < 8; i++)
        reserved |= header[i];
    if (reserved || (compact && !feature_has(cpuid_features(cpu->cpuid), FEAT_XSAVEC)))
        cpu_gp(cpu, in, 0);
}

static void xrstor_x87(struct cpu *cpu, const struct insn *in, const u8 *area, bool restore)
{
    if (restore) {
        xsave_get_x87(cpu, in, area);
    } else {
        fpu_init(cpu);
        memset(cpu->xsave.st, 0, sizeof(cpu->xsave.st));
    }
}

static void xrstor_vectors(const struct cpu *cpu, void *registers, const u8 *saved, bool restore)
{
    unsigned size = xsave_vector_bytes(cpu);

    if (restore)
        memcpy(registers, saved, size);
    else
        memset(registers, 0, size);
}

static void xrstor_apply(struct cpu *cpu, const struct insn *in, const u8 *area, u64 rfbm,
                         u64 xstate_bv)
{
    if (rfbm & XCR0_X87)
        xrstor_x87(cpu, in, area, xstate_bv & XCR0_X87);
    if (rfbm & XCR0_SSE)
        xrstor_vectors(cpu, cpu->xsave.xmm, area + XMM_OFFSET, xstate_bv & XCR0_SSE);
    if (rfbm & XCR0_AVX)
        xrstor_vectors(cpu, cpu->xsave.ymm_hi, area + XSAVE_AVX, xstate_bv & XCR0_AVX);
}

/*
 * The MXCSR to load. Standard format: with either vector component requested, from memory.
 * Compacted: part of the SSE component, initial value included.
 */
static u32 xrstor_mxcsr(const struct cpu *cpu, const u8 *area, u64 rfbm, const u64 *header)
{
    if (!(header[1] & XCOMP_BV_COMPACT))
        return rfbm & (XCR0_SSE | XCR0_AVX) ? load_le32(area + MXCSR_OFFSET) : cpu->xsave.mxcsr;
    if (!(rfbm & XCR0_SSE))
        return cpu->xsave.mxcsr;
    return header[0] & XCR0_SSE ? load_le32(area + MXCSR_OFFSET) : MXCSR_DEFAULT;
}

static void xrstor(struct cpu *cpu, const struct insn *in)
{
    gva addr = xsave_addr(cpu, in, false);
    u64 rfbm = xsave_rfbm(cpu);
    u64 header[8];
    u8 area[XSAVE_SIZE];
    u32 mxcsr;

    mem_read(cpu, in, addr, area, XSAVE_AVX);
    memcpy(header, area + XSAVE_HEADER, sizeof(header));
    xrstor_check_header(cpu, in, header);
    if (rfbm & header[0] & XCR0_AVX)
        mem_read(cpu, in, addr + XSAVE_AVX, area + XSAVE_AVX, XSAVE_SIZE - XSAVE_AVX);
    mxcsr = xrstor_mxcsr(cpu, area, rfbm, header);
    xsave_check_mxcsr(cpu, in, mxcsr);
    xrstor_apply(cpu, in, area, rfbm, header[0]);
    cpu->xsave.mxcsr = mxcsr;
    INSN_NEXT(cpu, in);
}

insn_fn *const x_xrstor_M[8] = X_MEM(xrstor);

/* --- MXCSR --- */

static void mxcsr_load(struct cpu *cpu, const struct insn *in)
{
    u32 value = mem_load32(cpu, in, insn_addr(cpu, in, 4, false));

    xsave_check_mxcsr(cpu, in, value);
    cpu->xsave.mxcsr = value;
}

static void ldmxcsr(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    mxcsr_load(cpu, in);
    INSN_NEXT(cpu, in);
}

static void vldmxcsr(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    mxcsr_load(cpu, in);
    INSN_NEXT(cpu, in);
}

static void stmxcsr(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    mem_store32(cpu, in, insn_addr(cpu, in, 4, true), cpu->xsave.mxcsr);
    INSN_NEXT(cpu, in);
}

static void vstmxcsr(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    mem_store32(cpu, in, insn_addr(cpu, in, 4, true), cpu->xsave.mxcsr);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_ldmxcsr_M[8] = X_MEM(ldmxcsr);
insn_fn *const x_stmxcsr_M[8] = X_MEM(stmxcsr);
insn_fn *const x_vldmxcsr_M[8] = X_MEM(vldmxcsr);
insn_fn *const x_vstmxcsr_M[8] = X_MEM(vstmxcsr);
