/* SPDX-License-Identifier: MIT */
/* Model-specific registers: SDM vol. 4, and KVM's (Linux, Documentation/virt/kvm/x86/msr.rst). */
#pragma once

#include "accel/soft/state.h"
#include "base/types.h"
#include "machine/machine.h"

enum msr {
    MSR_TSC = 0x10,
    MSR_KVM_WALL_CLOCK_OLD = 0x11,
    MSR_KVM_SYSTEM_TIME_OLD = 0x12,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1B,
    MSR_EBL_CR_POWERON = 0x2A,
    MSR_FEATURE_CONTROL = 0x3A,
    MSR_TSC_ADJUST = 0x3B,
    MSR_SPEC_CTRL = 0x48,
    MSR_PRED_CMD = 0x49,
    MSR_BIOS_UPDT_TRIG = 0x79,
    MSR_BIOS_SIGN_ID = 0x8B,
    MSR_PLATFORM_INFO = 0xCE,
    MSR_MTRRCAP = 0xFE,
    MSR_ARCH_CAPABILITIES = 0x10A,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17A,
    MSR_MISC_ENABLE = 0x1A0,
    MSR_DEBUGCTL = 0x1D9,
    MSR_MTRR_PHYSBASE0 = 0x200,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K_80000 = 0x258,
    MSR_MTRR_FIX16K_A0000 = 0x259,
    MSR_MTRR_FIX4K_C0000 = 0x268,
    MSR_MTRR_FIX4K_F8000 = 0x26F,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2FF,
    MSR_TSC_DEADLINE = 0x6E0,
    MSR_X2APIC_FIRST = 0x800,
    MSR_X2APIC_LAST = 0x8FF,
    MSR_KVM_WALL_CLOCK = 0x4B564D00,
    MSR_KVM_SYSTEM_TIME = 0x4B564D01,
    MSR_EFER = 0xC0000080,
    MSR_STAR = 0xC0000081,
    MSR_LSTAR = 0xC0000082,
    MSR_CSTAR = 0xC0000083,
    MSR_FMASK = 0xC0000084,
    MSR_FS_BASE = 0xC0000100,
    MSR_GS_BASE = 0xC0000101,
    MSR_KERNEL_GS_BASE = 0xC0000102,
    MSR_TSC_AUX = 0xC0000103,
    MSR_AMD_SYSCFG = 0xC0010010,
    MSR_AMD_HWCR = 0xC0010015,
    MSR_AMD_NB_CFG = 0xC001001F,
    MSR_AMD_PATCH_LOADER = 0xC0010020,
    MSR_AMD_INT_PENDING = 0xC0010055,
    MSR_AMD_OSVW_ID_LENGTH = 0xC0010140,
    MSR_AMD_OSVW_STATUS = 0xC0010141,
    MSR_AMD_LS_CFG = 0xC0011020,
    MSR_AMD_IC_CFG = 0xC0011021,
    MSR_AMD_DE_CFG = 0xC0011029,
    MSR_AMD_BU_CFG2 = 0xC001102A,
};

#define MTRR_TYPE_WB      6u
#define MTRR_DEF_TYPE_FE  BIT64(10)
#define MTRR_DEF_TYPE_E   BIT64(11)
#define PAT_RESET         UINT64_C(0x0007040600070406)
#define MISC_ENABLE_RESET (BIT64(0) | BIT64(11) | BIT64(12)) /* fast strings; no BTS, no PEBS */

/*
 * RDMSR and WRMSR of register `index`, past the CPL check. False: #GP(0), nothing changed. A write may change
 * what the mode or the TLB depend on; those are up to date on return, and the instruction ends its block.
 */
bool msr_read(struct cpu *cpu, u32 index, u64 *value);
bool msr_write(struct cpu *cpu, u32 index, u64 value);

/* The guest's TSC. */
static inline u64 msr_tsc(const struct cpu *cpu)
{
    return clock_tsc(&cpu->vcpu->machine->clock) + cpu->msr.tsc_offset;
}

/* Is the address canonical: do the bits above the 47th (56th with CR4.LA57) repeat it? */
static inline bool cpu_canonical(const struct cpu *cpu, u64 addr)
{
    unsigned shift = unlikely(cpu->cr4 & CR4_LA57) ? 7 : 16;

    return (u64)((i64)(addr << shift) >> shift) == addr;
}
