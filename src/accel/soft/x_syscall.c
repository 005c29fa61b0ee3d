/* SPDX-License-Identifier: MIT */
/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT: SDM vol. 2. They load fixed flat segments and look at no descriptor.
 *
 * On AMD models SYSCALL and SYSRET also work outside 64-bit mode and SYSENTER does not work in long mode (APM vol. 3),
 * which is what 32-bit programs under a 64-bit kernel rely on.
 */
#include "accel/soft/cpuid.h"
#include "accel/soft/event.h"
#include "accel/soft/far.h"
#include "accel/soft/fault.h"
#include "accel/soft/handlers.h"
#include "accel/soft/msr.h"
#include "accel/soft/tlb.h"

/* Flat segments: present, accessed, 4 GiB, of the DPL that is ORed in. */
#define SEGMENT_CODE64 \
    (SEG_G | SEG_L | SEG_P | SEG_S | SEG_TYPE_CODE | SEG_TYPE_RW | SEG_TYPE_ACCESSED)
#define SEGMENT_CODE32 \
    (SEG_G | SEG_DB | SEG_P | SEG_S | SEG_TYPE_CODE | SEG_TYPE_RW | SEG_TYPE_ACCESSED)
#define SEGMENT_DATA       (SEG_G | SEG_DB | SEG_P | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED)

#define SYSRET_FLAGS       UINT64_C(0x3C7FD7) /* what SYSRET takes from R11 */
#define STAR_SYSCALL(star) ((u16)((star) >> 32))
#define STAR_SYSRET(star)  ((u16)((star) >> 48))

static void syscall_set_segment(struct cpu *cpu, enum seg_reg seg, unsigned selector, unsigned attr,
                                unsigned level)
{
    cpu->seg[seg] = (struct segment){
        .base = 0,
        .limit = 0xFFFFFFFF,
        .selector = (u16)selector,
        .attr = (u16)(attr | level << SEG_DPL_SHIFT),
    };
}

/* --- SYSCALL and SYSRET --- */

static void syscall_check(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(!(cpu->msr.efer & EFER_SCE)))
        cpu_ud(cpu, in);
    if (unlikely(!(cpu->mode & MODE_CS_L)) && (!cpuid_is_amd(cpu->cpuid) || !cpu_protected(cpu)))
        cpu_ud(cpu, in);
}

/* AMD in legacy mode: the target is in STAR, the flags are not masked but for IF, RF and VM. */
static void syscall_enter_legacy(struct cpu *cpu, const struct insn *in)
{
    u64 star = cpu->msr.star;

    cpu->gpr[RCX] = (u32)insn_next_rip(cpu, in);
    cpu->rip = (u32)star;
    syscall_set_segment(cpu, SEG_CS, STAR_SYSCALL(star) & ~SEL_RPL, SEGMENT_CODE32, 0);
    cpu->sflags &= ~(FLAG_IF | FLAG_RF | FLAG_VM);
}

static void syscall_enter_long(struct cpu *cpu, const struct insn *in)
{
    u64 flags = cpu_rflags(cpu);

    cpu->gpr[RCX] = insn_next_rip(cpu, in);
    cpu->gpr[R11] = flags;
    cpu->rip = cpu->mode & MODE_CS_L ? cpu->msr.lstar : cpu->msr.cstar;
    cpu_set_rflags(cpu, flags & ~cpu->msr.fmask & ~FLAG_RF);
    syscall_set_segment(cpu, SEG_CS, STAR_SYSCALL(cpu->msr.star) & ~SEL_RPL, SEGMENT_CODE64, 0);
}

static void syscall_enter(struct cpu *cpu, const struct insn *in)
{
    syscall_check(cpu, in);
    if (likely(cpu->mode & MODE_LMA))
        syscall_enter_long(cpu, in);
    else
        syscall_enter_legacy(cpu, in);
    syscall_set_segment(cpu, SEG_SS, (STAR_SYSCALL(cpu->msr.star) & ~SEL_RPL) + 8u, SEGMENT_DATA,
                        0);
    cpu_mode_update(cpu);
}

/* Intel: a return address that is not canonical faults here, with CPL still 0. */
static void syscall_return(struct cpu *cpu, const struct insn *in)
{
    bool wide = far_width(in) == 8;
    unsigned selector = STAR_SYSRET(cpu->msr.star);

    syscall_check(cpu, in);
    if (unlikely(cpu->cpl != 0) || unlikely(wide && !cpu_canonical(cpu, cpu->gpr[RCX])))
        cpu_gp(cpu, in, 0);
    if (wide) {
        cpu->rip = cpu->gpr[RCX];
        syscall_set_segment(cpu, SEG_CS, (selector + 16) | 3, SEGMENT_CODE64, 3);
    } else {
        cpu->rip = (u32)cpu->gpr[RCX];
        syscall_set_segment(cpu, SEG_CS, selector | 3, SEGMENT_CODE32, 3);
    }
    if (cpu->mode & MODE_LMA)
        cpu_set_rflags(cpu, cpu->gpr[R11] & SYSRET_FLAGS);
    else
        cpu->sflags |= FLAG_IF;
    syscall_set_segment(cpu, SEG_SS, (selector + 8) | 3, SEGMENT_DATA, 3);
    cpu_mode_update(cpu);
    event_if_changed(cpu);
}

insn_fn *const x_syscall[8] = X_ALL(syscall_enter);
insn_fn *const x_sysret[8] = X_ALL(syscall_return);

/* --- SYSENTER and SYSEXIT --- */

static void sysenter_check(struct cpu *cpu, const struct insn *in)
{
    if ((cpu->mode & MODE_LMA) && cpuid_is_amd(cpu->cpuid))
        cpu_ud(cpu, in);
    if (!(cpu->mode & MODE_PE) || SEL_NULL(cpu->msr.sysenter_cs & 0xFFFF))
        cpu_gp(cpu, in, 0);
}

static void sysenter_enter(struct cpu *cpu, const struct insn *in)
{
    unsigned selector = cpu->msr.sysenter_cs & 0xFFFC;
    bool wide = cpu->mode & MODE_LMA;

    sysenter_check(cpu, in);
    cpu->sflags &= ~(FLAG_VM | FLAG_IF | FLAG_RF);
    cpu->gpr[RSP] = wide ? cpu->msr.sysenter_esp : (u32)cpu->msr.sysenter_esp;
    cpu->rip = wide ? cpu->msr.sysenter_eip : (u32)cpu->msr.sysenter_eip;
    syscall_set_segment(cpu, SEG_CS, selector, wide ? SEGMENT_CODE64 : SEGMENT_CODE32, 0);
    syscall_set_segment(cpu, SEG_SS, selector + 8, SEGMENT_DATA, 0);
    cpu_mode_update(cpu);
}

static void sysenter_exit(struct cpu *cpu, const struct insn *in)
{
    unsigned selector = cpu->msr.sysenter_cs & 0xFFFC;
    bool wide = far_width(in) == 8;
    u64 rip = cpu->gpr[RDX], rsp = cpu->gpr[RCX];

    sysenter_check(cpu, in);
    if (cpu->cpl != 0 || (wide && (!cpu_canonical(cpu, rip) || !cpu_canonical(cpu, rsp))))
        cpu_gp(cpu, in, 0);
    cpu->rip = wide ? rip : (u32)rip;
    cpu->gpr[RSP] = wide ? rsp : (u32)rsp;
    if (wide)
        syscall_set_segment(cpu, SEG_CS, (selector + 32) | 3, SEGMENT_CODE64, 3);
    else
        syscall_set_segment(cpu, SEG_CS, (selector + 16) | 3, SEGMENT_CODE32, 3);
    syscall_set_segment(cpu, SEG_SS, (selector + (wide ? 40 : 24)) | 3, SEGMENT_DATA, 3);
    cpu_mode_update(cpu);
}

insn_fn *const x_sysenter[8] = X_ALL(sysenter_enter);
insn_fn *const x_sysexit[8] = X_ALL(sysenter_exit);
