/* SPDX-License-Identifier: MIT */
/* What the guest's CPU says it is: models, features, CPUID leaves. */
#pragma once

#include "base/bits.h"
#include "base/error.h"
#include "base/types.h"

struct config;

/*
 * Features that gate instructions or system behaviour. A row of insn.def names one; FEAT_NONE is always on.
 * Kept in step with the table in cpuid.c that maps each to its CPUID bit and to its -cpu spelling.
 */
enum cpu_feature {
    FEAT_NONE,
    FEAT_FPU,
    FEAT_TSC,
    FEAT_MSR,
    FEAT_CX8,
    FEAT_SEP,
    FEAT_CMOV,
    FEAT_CLFLUSH,
    FEAT_MMX,
    FEAT_FXSR,
    FEAT_SSE,
    FEAT_SSE2,
    FEAT_SSE3,
    FEAT_PCLMULQDQ,
    FEAT_MONITOR,
    FEAT_SSSE3,
    FEAT_FMA,
    FEAT_CX16,
    FEAT_PCID,
    FEAT_SSE41,
    FEAT_SSE42,
    FEAT_X2APIC,
    FEAT_MOVBE,
    FEAT_POPCNT,
    FEAT_TSC_DEADLINE,
    FEAT_AES,
    FEAT_XSAVE,
    FEAT_AVX,
    FEAT_F16C,
    FEAT_RDRAND,
    FEAT_FSGSBASE,
    FEAT_TSC_ADJUST,
    FEAT_BMI1,
    FEAT_AVX2,
    FEAT_SMEP,
    FEAT_BMI2,
    FEAT_ERMS,
    FEAT_INVPCID,
    FEAT_RDSEED,
    FEAT_ADX,
    FEAT_SMAP,
    FEAT_CLFLUSHOPT,
    FEAT_CLWB,
    FEAT_SHA,
    FEAT_UMIP,
    FEAT_LA57,
    FEAT_RDPID,
    FEAT_FSRM,
    FEAT_SYSCALL,
    FEAT_NX,
    FEAT_PDPE1GB,
    FEAT_RDTSCP,
    FEAT_LM,
    FEAT_LAHF_LM,
    FEAT_LZCNT,
    FEAT_PREFETCHW,
    FEAT_XSAVEOPT,
    FEAT_XSAVEC,
    FEAT_XGETBV1,
    FEAT_VAES,
    FEAT_VPCLMULQDQ,
    FEAT_PGE,
    FEAT_PSE,
    FEAT_PAE,
    FEAT_ARAT,
    FEAT_VME,
    FEAT_DE,
    FEAT_MCE,
    FEAT_APIC,
    FEAT_MTRR,
    FEAT_MCA,
    FEAT_PAT,
    FEAT_PSE36,
    FEAT_HT,
    FEAT_GFNI,
    FEAT_INVTSC,
    FEAT_SERIALIZE,
    FEAT_ARCH_CAPABILITIES,
    FEAT_SS,
    FEAT_HYPERVISOR,
    FEAT_SPEC_CTRL,
    FEAT_BHI_CTRL,
    FEAT_COUNT,
};

#define FEATURE_WORDS ((FEAT_COUNT + 63) / 64)

struct cpuid_model;

/* The feature bits of a model. */
const u64 *cpuid_features(const struct cpuid_model *model);

static inline bool feature_has(const u64 *features, enum cpu_feature feature)
{
    return features[feature / 64] >> (feature % 64) & 1;
}

/*
 * Build the model that -cpu and -smp ask for, limited to what this host and engine can do. NULL and `err` for an
 * unknown model or flag. `tsc_hz` is what the leaves that tell the TSC's rate say. A feature that was asked for and
 * cannot be had is a warning, or with "enforce" an error.
 */
struct cpuid_model *cpuid_model_new(const struct config *config, u64 tsc_hz, struct error *err);
void cpuid_model_free(struct cpuid_model *model);

/* Print the models and flags for -cpu help. */
void cpuid_print_help(void);

/* Family, model and stepping as leaf 1 EAX gives them, and EDX at reset. */
u32 cpuid_signature(const struct cpuid_model *model);

/* Is the vendor AuthenticAMD? SYSCALL, SYSENTER and a few MSRs differ. */
bool cpuid_is_amd(const struct cpuid_model *model);

/* The XCR0 bits that may be set; 0 without XSAVE. */
u64 cpuid_xcr0(const struct cpuid_model *model);

/* Are the KVM leaves, MSRs and hypercalls there? (kvm=off takes them away.) */
bool cpuid_has_kvm(const struct cpuid_model *model);

/* One CPUID query. The dynamic bits (OSXSAVE, APIC ID and enable, XSAVE sizes) come from the arguments. */
struct cpuid_query {
    u32 leaf, subleaf;
    u64 cr4, xcr0, xss;
    u64 apic_base;
    u32 apic_id;
};
struct cpuid_result {
    u32 eax, ebx, ecx, edx;
};
struct cpuid_result cpuid_query(const struct cpuid_model *model, const struct cpuid_query *query);

/* Physical and linear address bits of a model. */
unsigned cpuid_phys_bits(const struct cpuid_model *model);
