/* SPDX-License-Identifier: MIT */
/*
 * CPUID, time stamp, random numbers, MSRs, XCR0, hypercalls: SDM vol. 2.
 *
 * NOT EMULATED: performance counters; RDPMC is #GP(0), as with a counter number out of range.
 */
#include "accel/soft/cpuid.h"
#include "accel/soft/far.h"
#include "accel/soft/fault.h"
#include "accel/soft/handlers.h"
#include "accel/soft/hypercall.h"
#include "accel/soft/msr.h"
#include "host/random.h"

static void info_check_cpl0(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cpl != 0))
        cpu_gp(cpu, in, 0);
}

/* EDX:EAX. */
static void info_set_pair(struct cpu *cpu, u64 value)
{
    cpu->gpr[RAX] = (u32)value;
    cpu->gpr[RDX] = value >> 32;
}

static u64 info_pair(const struct cpu *cpu)
{
    return (u32)cpu->gpr[RAX] | cpu->gpr[RDX] << 32;
}

/* --- CPUID --- */

static void info_cpuid(struct cpu *cpu, const struct insn *in)
{
    struct cpuid_query query = {
        .leaf = (u32)cpu->gpr[RAX],
        .subleaf = (u32)cpu->gpr[RCX],
        .cr4 = cpu->cr4,
        .xcr0 = cpu->xcr0,
        .xss = cpu->msr.xss,
        .apic_base = cpu->vcpu->apic_ops->get_base(cpu->vcpu->apic),
        .apic_id = cpu->vcpu->apic_id,
    };
    struct cpuid_result result = cpuid_query(cpu->cpuid, &query);

    cpu->gpr[RAX] = result.eax;
    cpu->gpr[RBX] = result.ebx;
    cpu->gpr[RCX] = result.ecx;
    cpu->gpr[RDX] = result.edx;
    INSN_NEXT(cpu, in);
}

insn_fn *const x_cpuid[8] = X_ALL(info_cpuid);

/* --- Time stamp counter --- */

static void info_check_tsd(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        cpu_gp(cpu, in, 0);
}

static void info_rdtsc(struct cpu *cpu, const struct insn *in)
{
    info_check_tsd(cpu, in);
    info_set_pair(cpu, msr_tsc(cpu));
    INSN_NEXT(cpu, in);
}

static void info_rdtscp(struct cpu *cpu, const struct insn *in)
{
    info_check_tsd(cpu, in);
    info_set_pair(cpu, msr_tsc(cpu));
    cpu->gpr[RCX] = (u32)cpu->msr.tsc_aux;
    INSN_NEXT(cpu, in);
}

static void info_rdpid(struct cpu *cpu, const struct insn *in)
{
    cpu->gpr[in->rm] = (u32)cpu->msr.tsc_aux;
    INSN_NEXT(cpu, in);
}

static void info_rdpmc(struct cpu *cpu, const struct insn *in)
{
    cpu_gp(cpu, in, 0);
}

insn_fn *const x_rdtsc[8] = X_ALL(info_rdtsc);
insn_fn *const x_rdtscp[8] = X_ALL(info_rdtscp);
insn_fn *const x_rdpid_R[8] = X_ALL(info_rdpid);
insn_fn *const x_rdpmc[8] = X_ALL(info_rdpmc);

/* --- Random numbers --- */

/* CF tells success; a failure gives zero. The other arithmetic flags are cleared. */
static void info_random(struct cpu *cpu, const struct insn *in)
{
    unsigned width = far_width(in);
    u64 value = 0;

    cpu->aflags = host_random(&value, width) ? FLAG_CF : 0;
    if (width == 2)
        value |= cpu->gpr[in->rm] & ~UINT64_C(0xFFFF);
    cpu->gpr[in->rm] = value;
    INSN_NEXT(cpu, in);
}

insn_fn *const x_rdrand_R[8] = X_REG(info_random);
insn_fn *const x_rdseed_R[8] = X_REG(info_random);

/* --- MSRs --- */

static void info_rdmsr(struct cpu *cpu, const struct insn *in)
{
    u64 value = 0;

    info_check_cpl0(cpu, in);
    if (!msr_read(cpu, (u32)cpu->gpr[RCX], &value))
        cpu_gp(cpu, in, 0);
    info_set_pair(cpu, value);
    INSN_NEXT(cpu, in);
}

static void info_wrmsr(struct cpu *cpu, const struct insn *in)
{
    info_check_cpl0(cpu, in);
    if (!msr_write(cpu, (u32)cpu->gpr[RCX], info_pair(cpu)))
        cpu_gp(cpu, in, 0);
    cpu->rip = insn_next_rip(cpu, in);
}

insn_fn *const x_rdmsr[8] = X_ALL(info_rdmsr);
insn_fn *const x_wrmsr[8] = X_ALL(info_wrmsr);

/* --- Extended control registers --- */

/* ECX 1: which components are in use. All that are on count as used, as a CPU without the optimisation says. */
static void info_xgetbv(struct cpu *cpu, const struct insn *in)
{
    bool xgetbv1 = feature_has(cpuid_features(cpu->cpuid), FEAT_XGETBV1);
    u32 index = (u32)cpu->gpr[RCX];

    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_ud(cpu, in);
    if (index > (xgetbv1 ? 1u : 0u))
        cpu_gp(cpu, in, 0);
    info_set_pair(cpu, cpu->xcr0);
    INSN_NEXT(cpu, in);
}

static void info_xsetbv(struct cpu *cpu, const struct insn *in)
{
    u64 value = info_pair(cpu);

    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_ud(cpu, in);
    info_check_cpl0(cpu, in);
    if ((u32)cpu->gpr[RCX] != 0 || (value & ~cpuid_xcr0(cpu->cpuid)) || !(value & XCR0_X87) ||
        ((value & XCR0_AVX) && !(value & XCR0_SSE)))
        cpu_gp(cpu, in, 0);
    cpu->xcr0 = value;
    INSN_NEXT(cpu, in);
}

insn_fn *const x_xgetbv[8] = X_ALL(info_xgetbv);
insn_fn *const x_xsetbv[8] = X_ALL(info_xsetbv);

/* --- Hypercalls --- */

/* Either vendor's instruction, as KVM takes them; #UD when the KVM interface is hidden. */
static void info_vmcall(struct cpu *cpu, const struct insn *in)
{
    if (!cpuid_has_kvm(cpu->cpuid))
        cpu_ud(cpu, in);
    hypercall(cpu);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_vmcall[8] = X_ALL(info_vmcall);
