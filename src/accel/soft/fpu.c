/* SPDX-License-Identifier: MIT */
/*
 * The x87, MMX and SSE/AVX state outside the instructions that compute.
 *
 * SDM: Intel 64 and IA-32 Architectures Software Developer's Manual, order 325462-080.
 */
#include "accel/soft/fpu.h"

#include <string.h>

#include "accel/soft/host_cpu.h"
#include "base/log.h"

/* Two-bit tags, SDM vol. 1, 8.1.7. */
enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

/* The bits of MXCSR that this host's instructions understand: the guest's are the host's. */
static u32 fpu_host_mxcsr_mask(void)
{
#if HOST_X86
    struct {
        u8 bytes[512];
    } __attribute__((aligned(16))) image = { 0 };
    u32 mask;

    __asm__ volatile("fxsave64 %0" : "=m"(image));
    memcpy(&mask, &image.bytes[28], sizeof(mask));
    return mask ? mask : 0xFFBF; /* SDM vol. 1, 11.6.6 */
#else
    return 0xFFBF;
#endif
}

/*
 * SDM vol. 3A, table 10-1 gives FCW 0040H and all tags valid after power-up. The guests of this
 * machine are used to what KVM and QEMU start with instead, the state after FNINIT, and that is
 * what they get.
 */
void fpu_reset(struct cpu *cpu)
{
    memset(&cpu->xsave, 0, sizeof(cpu->xsave));
    cpu->xsave.mxcsr = MXCSR_DEFAULT;
    cpu->xsave.mxcsr_mask = fpu_host_mxcsr_mask();
    fpu_init(cpu);
}

/*
 * The image numbers registers from the top of the stack; their contents stay in the same physical
 * ones.
 */
void fpu_set_top(struct cpu *cpu, unsigned top)
{
    struct xsave_area *x = &cpu->xsave;
    unsigned turn = FIELD_GET(FSW_TOP, x->fsw) - top;
    u8 st[8][16];

    if (likely(turn == 0))
        return;
    memcpy(st, x->st, sizeof(st));
    for (unsigned i = 0; i < 8; i++)
        memcpy(x->st[(i + turn) % 8], st[i], sizeof(st[i]));
    x->fsw = (u16)((x->fsw & ~FSW_TOP) | FIELD_SET(FSW_TOP, top));
}

void fpu_init(struct cpu *cpu)
{
    struct xsave_area *x = &cpu->xsave;

    fpu_set_top(cpu, 0);
    x->fcw = FCW_INIT;
    x->fsw = 0;
    x->ftw = 0;
    x->fop = 0;
    x->fip = 0;
    x->fdp = 0;
}

/* The MMX registers are the physical ones, so with TOP 0 MMn is st[n]. */
void fpu_enter_mmx(struct cpu *cpu)
{
    fpu_set_top(cpu, 0);
    cpu->xsave.ftw = FTW_VALID;
}

void fpu_set_fcw(struct cpu *cpu, u16 value)
{
    cpu->xsave.fcw = (value & FCW_VALID) | FCW_ONE;
    fpu_update_summary(cpu);
}

void fpu_update_summary(struct cpu *cpu)
{
    struct xsave_area *x = &cpu->xsave;

    if (x->fsw & ~x->fcw & FSW_FLAGS)
        x->fsw |= FSW_ES | FSW_B;
    else
        x->fsw &= (u16) ~(FSW_ES | FSW_B);
}

/* SDM vol. 1, 8.1.7: special are NaN, infinity, denormal and the unsupported formats. */
static unsigned fpu_tag_of(const u8 *st)
{
    u64 significand;
    unsigned exponent;

    memcpy(&significand, st, sizeof(significand));
    exponent = (st[8] | st[9] << 8) & 0x7FFF;
    if (exponent == 0 && significand == 0)
        return TAG_ZERO;
    if (exponent == 0 || exponent == 0x7FFF || !(significand >> 63))
        return TAG_SPECIAL;
    return TAG_VALID;
}

u16 fpu_full_tags(const struct cpu *cpu)
{
    const struct xsave_area *x = &cpu->xsave;
    unsigned top = FIELD_GET(FSW_TOP, x->fsw);
    unsigned tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        bool used = x->ftw & BIT(i);
        unsigned tag = used ? fpu_tag_of(x->st[(i - top) % 8]) : TAG_EMPTY;

        tags |= tag << (2 * i);
    }
    return (u16)tags;
}

u8 fpu_abridge_tags(u16 tags)
{
    u8 abridged = 0;

    for (unsigned i = 0; i < 8; i++)
        if ((tags >> (2 * i) & 3) != TAG_EMPTY)
            abridged |= BIT(i);
    return abridged;
}

static bool fpu_all_zero(const void *data, size_t size)
{
    const u8 *bytes = data;
    u8 sum = 0;

    for (size_t i = 0; i < size; i++)
        sum |= bytes[i];
    return sum == 0;
}

static bool fpu_x87_initial(const struct xsave_area *x)
{
    return x->fcw == FCW_INIT && x->fsw == 0 && x->ftw == 0 && x->fop == 0 && x->fip == 0 &&
           x->fdp == 0 && fpu_all_zero(x->st, sizeof(x->st));
}

u64 fpu_in_use(const struct cpu *cpu)
{
    const struct xsave_area *x = &cpu->xsave;
    u64 used = 0;

    if (!fpu_x87_initial(x))
        used |= XCR0_X87;
    if (!fpu_all_zero(x->xmm, sizeof(x->xmm)))
        used |= XCR0_SSE;
    if (!fpu_all_zero(x->ymm_hi, sizeof(x->ymm_hi)))
        used |= XCR0_AVX;
    return used;
}

/*
 * NOT EMULATED: with CR0.NE clear a pending exception asserts FERR#, which is wired to nothing on
 * this machine. The instruction then runs as if IGNNE# were asserted.
 */
void fpu_pending(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cr0 & CR0_NE)
        cpu_fault(cpu, in, VEC_MF, 0);
    LOG(LOG_UNIMP, "x87 exception with CR0.NE clear: FERR# is not wired, ignored");
}

void fpu_refuse_sse(struct cpu *cpu, const struct insn *in)
{
    if ((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR))
        cpu_ud(cpu, in);
    cpu_fault(cpu, in, VEC_NM, 0);
}

void fpu_refuse_avx(struct cpu *cpu, const struct insn *in)
{
    u64 need = XCR0_SSE | XCR0_AVX;

    if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & need) != need)
        cpu_ud(cpu, in);
    cpu_fault(cpu, in, VEC_NM, 0);
}

void fpu_refuse_mmx(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cr0 & CR0_EM)
        cpu_ud(cpu, in);
    cpu_fault(cpu, in, VEC_NM, 0);
}
