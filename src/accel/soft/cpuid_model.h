/* SPDX-License-Identifier: MIT */
/* What cpuid_model.c builds and cpuid.c shows: private to the two. */
#pragma once

#include "accel/soft/cpuid.h"
#include "base/types.h"

/* The CPUID registers that hold feature bits: leaf (7.2 as 72, 0DH.1 as D, 8000000xH as 8x) and register. */
enum cpuid_word {
    WORD_1_EDX,
    WORD_1_ECX,
    WORD_6_EAX,
    WORD_7_EBX,
    WORD_7_ECX,
    WORD_7_EDX,
    WORD_72_EDX,
    WORD_D_EAX,
    WORD_81_EDX,
    WORD_81_ECX,
    WORD_87_EDX,
    WORD_COUNT,
};

/* KVM's feature word, leaf 40000001H EAX (Linux, Documentation/virt/kvm/x86/cpuid.rst). */
#define KVM_FEATURE_CLOCKSOURCE        BIT(0)
#define KVM_FEATURE_NOP_IO_DELAY       BIT(1)
#define KVM_FEATURE_CLOCKSOURCE2       BIT(3)
#define KVM_FEATURE_PV_UNHALT          BIT(7)
#define KVM_FEATURE_CLOCKSOURCE_STABLE BIT(24)
#define KVM_FEATURES_ALL \
    (KVM_FEATURE_CLOCKSOURCE | KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE2 | \
     KVM_FEATURE_PV_UNHALT | KVM_FEATURE_CLOCKSOURCE_STABLE)

enum feature_kind { OURS, HOST };

struct feature_info {
    const char *name;
    u8 word; /* enum cpuid_word */
    u8 bit;
    u8 kind;   /* enum feature_kind */
    u8 models; /* M_* */
};

/* By enum cpu_feature; rows without a name are not features. */
extern const struct feature_info cpuid_feature_table[FEAT_COUNT];

struct cpuid_model {
    const char *name;
    const char *vendor; /* 12 letters; the config's when it came by -cpu vendor= */
    const char *brand;
    u32 signature; /* leaf 1 EAX */
    unsigned phys_bits;
    u32 max_basic, max_extended;
    u64 features[FEATURE_WORDS];
    u32 words[WORD_COUNT]; /* the same, as CPUID shows them */
    u32 kvm_features;
    bool kvm;
    u32 cores, threads; /* per socket, per core */
    u32 core_bits, thread_bits;
    u64 tsc_hz;
    u32 crystal_numerator, crystal_denominator; /* tsc_hz = APIC clock * numerator / denominator */
};

/* Which feature words the host's own CPUID reports, AVX left out where its kernel does not save the registers. */
struct cpuid_host {
    u32 words[WORD_COUNT];
    bool amd;
};

/* As cpuid_model_new for a given host: for tests. */
struct cpuid_model *cpuid_model_build(const struct config *config, u64 tsc_hz,
                                      const struct cpuid_host *host, struct error *err);

void cpuid_feature_set(struct cpuid_model *model, enum cpu_feature feature, bool on);

/* Can the engine do it, with what the host has? */
bool cpuid_feature_on_host(const struct cpuid_host *host, enum cpu_feature feature);

struct cpu_config;

/* Change `model` by the flags and properties of -cpu. False and `err` for an unknown one or a bad value. */
bool cpuid_apply_flags(struct cpuid_model *model, const struct cpu_config *cpu,
                       const struct cpuid_host *host, struct error *err);

/* The better of two guesses at what `word` was meant to be; either may be NULL, and the result. */
const char *cpuid_nearer(const char *word, const char *best, const char *candidate);
