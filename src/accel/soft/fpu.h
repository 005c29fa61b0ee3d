/* SPDX-License-Identifier: MIT */
/*
 * The x87, MMX and SSE/AVX state of struct cpu: reset values, register bits, and the checks that
 * every instruction on it begins with.
 *
 * The guest's registers live in cpu->xsave; the host's own hold them only inside the stubs of
 * hostop.c. Outside those the host's MXCSR has the control bits of MXCSR_DEFAULT, whatever its
 * flags, and its x87 is empty. SDM: Intel 64 and IA-32 Architectures Software Developer's Manual,
 * order 325462-080.
 */
#pragma once

#include "accel/soft/fault.h"
#include "accel/soft/insn.h"
#include "accel/soft/state.h"

/* MXCSR, SDM vol. 1, 10.2.3. */
#define MXCSR_FLAGS   0x003Fu
#define MXCSR_DAZ     BIT(6)
#define MXCSR_MASKS   0x1F80u
#define MXCSR_RC      0x6000u
#define MXCSR_FZ      BIT(15)
#define MXCSR_CONTROL 0xFFC0u
#define MXCSR_DEFAULT 0x1F80u

/* x87 control and status words, SDM vol. 1, 8.1.3 and 8.1.5. */
#define FCW_MASKS     0x003Fu
#define FCW_ONE       0x0040u /* always set */
#define FCW_VALID     0x1F3Fu
#define FCW_INIT      0x037Fu
#define FSW_FLAGS     0x003Fu
#define FSW_IE        BIT(0)
#define FSW_OE        BIT(3)
#define FSW_UE        BIT(4)
#define FSW_SF        BIT(6)
#define FSW_ES        BIT(7)
#define FSW_C1        BIT(9)
#define FSW_TOP       0x3800u
#define FSW_B         BIT(15)
#define FTW_VALID     0xFFu /* abridged tag word with every register in use */
#define FOP_MASK      0x07FFu

/* State at power-on and reset (INIT leaves it alone): see fpu.c for what it is. */
void fpu_reset(struct cpu *cpu);

/* FNINIT. */
void fpu_init(struct cpu *cpu);

/* What MMX instructions do to the x87 state (SDM vol. 1, 9.5.1): TOP becomes 0, all tags valid. */
void fpu_enter_mmx(struct cpu *cpu);

/* Set FCW as FLDCW does: some bits are fixed. Updates FSW.ES and B. */
void fpu_set_fcw(struct cpu *cpu, u16 value);

/* Make FSW.ES and B follow the exception flags and FCW's masks. */
void fpu_update_summary(struct cpu *cpu);

/* Number the contents of the image's st[] anew for the stack top `top`; FSW.TOP becomes it. */
void fpu_set_top(struct cpu *cpu, unsigned top);

/* The two-bit tags of R7..R0 as FNSTENV shows them, by content. */
u16 fpu_full_tags(const struct cpu *cpu);

/* The abridged tags that go with full ones. */
u8 fpu_abridge_tags(u16 tags);

/* XINUSE (SDM vol. 1, 13.6): the components of XCR0 that are not in their initial state. */
u64 fpu_in_use(const struct cpu *cpu);

/* --- Checks. They raise the fault or return. --- */

/*
 * An unmasked x87 exception is pending at a waiting instruction: #MF, or nothing when CR0.NE is
 * clear.
 */
void fpu_pending(struct cpu *cpu, const struct insn *in);

_Noreturn void fpu_refuse_sse(struct cpu *cpu, const struct insn *in);
_Noreturn void fpu_refuse_avx(struct cpu *cpu, const struct insn *in);
_Noreturn void fpu_refuse_mmx(struct cpu *cpu, const struct insn *in);

/* Legacy SSE on XMM registers: SDM vol. 3A, 2.5 and 14.1. */
static inline void fpu_check_sse(struct cpu *cpu, const struct insn *in)
{
    if (unlikely((cpu->cr0 & (CR0_EM | CR0_TS)) || !(cpu->cr4 & CR4_OSFXSR)))
        fpu_refuse_sse(cpu, in);
}

/* VEX-encoded instructions. */
static inline void fpu_check_avx(struct cpu *cpu, const struct insn *in)
{
    u64 need = XCR0_SSE | XCR0_AVX;

    if (unlikely((cpu->cr0 & CR0_TS) || !(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & need) != need))
        fpu_refuse_avx(cpu, in);
}

/* MMX registers. */
static inline void fpu_check_mmx(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cr0 & (CR0_EM | CR0_TS)))
        fpu_refuse_mmx(cpu, in);
    if (unlikely(cpu->xsave.fsw & FSW_ES))
        fpu_pending(cpu, in);
}

/* x87 instructions that do not look at pending exceptions; FXSAVE and FXRSTOR. */
static inline void fpu_check_x87_nowait(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cr0 & (CR0_EM | CR0_TS)))
        cpu_fault(cpu, in, VEC_NM, 0);
}

/* All other x87 instructions. */
static inline void fpu_check_x87(struct cpu *cpu, const struct insn *in)
{
    fpu_check_x87_nowait(cpu, in);
    if (unlikely(cpu->xsave.fsw & FSW_ES))
        fpu_pending(cpu, in);
}

/* The XSAVE family. */
static inline void fpu_check_xsave(struct cpu *cpu, const struct insn *in)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_ud(cpu, in);
    if (cpu->cr0 & CR0_TS)
        cpu_fault(cpu, in, VEC_NM, 0);
}
