/* SPDX-License-Identifier: MIT */
/*
 * Caches, TLBs, ordering, MONITOR: SDM vol. 2.
 *
 * Guest memory is as coherent as the host's, so cache control has nothing to do. NOT EMULATED: MONITOR watches
 * nothing; MWAIT returns at once, which software must expect of it anyway.
 */
#include <sched.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/far.h"
#include "accel/soft/fault.h"
#include "accel/soft/handlers.h"
#include "accel/soft/host_cpu.h"
#include "accel/soft/mem.h"
#include "accel/soft/msr.h"
#include "accel/soft/tlb.h"

static void cache_check_cpl0(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cpl != 0)
        cpu_gp(cpu, in, 0);
}

/* --- Caches --- */

static void cache_wbinvd(struct cpu *cpu, const struct insn *in)
{
    cache_check_cpl0(cpu, in);
    INSN_NEXT(cpu, in);
}

/* Faults as a load of one byte does (SDM vol. 2A, CLFLUSH), without reading a device. */
static void cache_clflush(struct cpu *cpu, const struct insn *in)
{
    gva addr = insn_addr(cpu, in, 1, false);
    u64 size = 1;

    (void)mem_run(cpu, in, addr, &size, ACCESS_READ);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_invd[8] = X_ALL(cache_wbinvd);
insn_fn *const x_wbinvd[8] = X_ALL(cache_wbinvd);
insn_fn *const x_clflush_M[8] = X_MEM(cache_clflush);

/* --- Ordering --- */

/* Loads from write-back memory are in order on the host already, and nothing runs ahead here. */
static void cache_lfence(struct cpu *cpu, const struct insn *in)
{
    INSN_NEXT(cpu, in);
}

static void cache_mfence(struct cpu *cpu, const struct insn *in)
{
    atomic_thread_fence(memory_order_seq_cst);
    INSN_NEXT(cpu, in);
}

/* Non-temporal stores of the guest are those of an x86 host, which orders all others by itself. */
static void cache_sfence(struct cpu *cpu, const struct insn *in)
{
#if HOST_X86
    __asm__ volatile("sfence" ::: "memory");
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
    INSN_NEXT(cpu, in);
}

insn_fn *const x_lfence[8] = X_ALL(cache_lfence);
insn_fn *const x_mfence[8] = X_ALL(cache_mfence);
insn_fn *const x_sfence[8] = X_ALL(cache_sfence);
insn_fn *const x_serialize[8] = X_ALL(cache_mfence);

/* --- TLBs --- */

/* The address alone: INVLPG checks no limit and no rights. */
static gva cache_linear(const struct cpu *cpu, const struct insn *in)
{
    static const u64 masks[4] = { 0, 0xFFFF, 0xFFFFFFFF, ~UINT64_C(0) };
    u64 offset = insn_offset(cpu, in) & masks[(in->flags & INSN_ASZ) >> INSN_ASZ_SHIFT];

    if (cpu->mode & MODE_CS_L)
        return in->seg == SEG_FS || in->seg == SEG_GS ? cpu->seg[in->seg].base + offset : offset;
    return (u32)(cpu->seg[in->seg].base + offset);
}

static void cache_invlpg(struct cpu *cpu, const struct insn *in)
{
    gva addr = cache_linear(cpu, in);

    cache_check_cpl0(cpu, in);
    if (cpu_canonical(cpu, addr))
        tlb_flush(cpu, TLB_FLUSH_PAGE, addr);
    cpu->rip = insn_next_rip(cpu, in);
}

#define INVPCID_ADDRESS 0
#define INVPCID_PCID    1
#define INVPCID_MAX     3
#define PCID_MASK       UINT64_C(0xFFF)

/* The descriptor: PCID 11:0, zeros 63:12, linear address 127:64. */
static void cache_invpcid(struct cpu *cpu, const struct insn *in)
{
    u64 type = cpu->mode & MODE_CS_L ? cpu->gpr[in->reg] : (u32)cpu->gpr[in->reg];
    u64 descriptor[2];
    gva addr;

    cache_check_cpl0(cpu, in);
    if (type > INVPCID_MAX)
        cpu_gp(cpu, in, 0);
    addr = insn_addr(cpu, in, sizeof(descriptor), false);
    mem_read(cpu, in, addr, descriptor, sizeof(descriptor));
    if (descriptor[0] & ~PCID_MASK)
        cpu_gp(cpu, in, 0);
    if (type <= INVPCID_PCID && descriptor[0] && !(cpu->cr4 & CR4_PCIDE))
        cpu_gp(cpu, in, 0);
    if (type == INVPCID_ADDRESS && !cpu_canonical(cpu, descriptor[1]))
        cpu_gp(cpu, in, 0);
    if (type > INVPCID_PCID)
        tlb_flush(cpu, TLB_FLUSH_ALL, 0);
    else if (type == INVPCID_ADDRESS &&
             descriptor[0] == (cpu->cr4 & CR4_PCIDE ? cpu->cr3 & PCID_MASK : 0))
        tlb_flush(cpu, TLB_FLUSH_PAGE, descriptor[1]);
    else
        tlb_flush(cpu, TLB_FLUSH_PCID, descriptor[0]);
    cpu->rip = insn_next_rip(cpu, in);
}

insn_fn *const x_invlpg_M[8] = X_MEM(cache_invlpg);
insn_fn *const x_invpcid_G_M[8] = X_MEM(cache_invpcid);

/* --- MONITOR and MWAIT --- */

static void cache_monitor(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cpl != 0)
        cpu_ud(cpu, in);
    if ((u32)cpu->gpr[RCX] != 0)
        cpu_gp(cpu, in, 0);
    INSN_NEXT(cpu, in);
}

static void cache_mwait(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cpl != 0)
        cpu_ud(cpu, in);
    if ((u32)cpu->gpr[RCX] & ~1u)
        cpu_gp(cpu, in, 0);
    sched_yield();
    INSN_NEXT(cpu, in);
}

insn_fn *const x_monitor[8] = X_ALL(cache_monitor);
insn_fn *const x_mwait[8] = X_ALL(cache_mwait);
