/* SPDX-License-Identifier: MIT */
/*
 * CPU models and the flags of -cpu: from names to feature bits.
 *
 * A model is an identity (vendor, family, brand) and the rows of features.def that list it. Flags of the
 * command line change single rows. What the engine would run with host instructions that the host lacks is left out.
 */
#include "accel/soft/cpuid_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/host_cpu.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"
#include "machine/topology.h"

#if HOST_X86
#include <cpuid.h>
#endif

/* Models as a set. */
#define M_MAX    BIT(0)
#define M_QEMU64 BIT(1)
#define M_QEMU32 BIT(2)
#define M_V1     BIT(3)
#define M_V2     BIT(4)
#define M_V3     BIT(5)
#define M_V3UP   (M_MAX | M_V3)
#define M_V2UP   (M_V3UP | M_V2)
#define M_NEW \
    (M_V2UP | M_V1) /* with all that a present-day system expects of the CPU's system side */
#define M_64  (M_NEW | M_QEMU64)
#define M_ALL (M_64 | M_QEMU32)

const struct feature_info cpuid_feature_table[FEAT_COUNT] = {
#define FEATURE(id, word_, bit_, name_, kind_, models_) \
    [FEAT_##id] = { \
        .name = name_, .word = WORD_##word_, .bit = bit_, .kind = kind_, .models = (models_)&0xFF \
    },
#include "accel/soft/features.def"
#undef FEATURE
};

#define VENDOR_INTEL          "GenuineIntel"
#define VENDOR_AMD            "AuthenticAMD"
#define BRAND                 "mote software CPU"
#define CPUID_PHYS_BITS       40
#define CPUID_PHYS_BITS_PSE36 36

/*
 * Identities. NULL vendor: the host's, with a signature of that vendor whose family and model guests take for a
 * present-day server CPU without errata of its own (Intel 06_8FH stepping 8; AMD family 1AH).
 */
#define SIGNATURE_INTEL       0x000806F8u
#define SIGNATURE_AMD         0x00B00F21u

struct model_info {
    const char *name;
    u32 set; /* M_* */
    const char *vendor;
    const char *brand;
    u32 signature;
    u32 max_basic, max_extended;
    const char *help;
};

static const struct model_info models[] = {
    { "max", M_MAX, NULL, BRAND, 0, 0x16, 0x80000008,
      "all features that this host and engine can do (default)" },
    { "host", M_MAX, NULL, BRAND, 0, 0x16, 0x80000008, "the same as max" },
    { "qemu64", M_QEMU64, VENDOR_AMD, "QEMU Virtual CPU version 2.5+", 0x00060FB1, 0xD, 0x80000008,
      "QEMU's baseline 64-bit CPU" },
    { "qemu32", M_QEMU32, VENDOR_INTEL, "QEMU Virtual CPU version 2.5+", 0x00000663, 4, 0x80000004,
      "QEMU's baseline 32-bit CPU" },
    { "x86-64", M_V1, NULL, BRAND, 0, 0x16, 0x80000008, "x86-64 baseline (SSE2)" },
    { "x86-64-v1", M_V1, NULL, BRAND, 0, 0x16, 0x80000008, "the same as x86-64" },
    { "x86-64-v2", M_V2, NULL, BRAND, 0, 0x16, 0x80000008, "x86-64-v2 (SSE4.2, POPCNT, CX16)" },
    { "x86-64-v3", M_V3, NULL, BRAND, 0, 0x16, 0x80000008, "x86-64-v3 (AVX2, FMA, BMI)" },
};

/* --- The host --- */

#if HOST_X86

/* Does the host's kernel save the YMM registers (XCR0 bits 1 and 2)? */
static bool cpuid_host_has_ymm(const struct cpuid_host *host)
{
    u32 low, high;

    if (!(host->words[WORD_1_ECX] & bit_OSXSAVE))
        return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
}

static void cpuid_host_read(struct cpuid_host *host)
{
    u32 a, b, c, d, max;
    u32 *words = host->words;

    memset(host, 0, sizeof(*host));
    __cpuid(0, max, b, c, d);
    host->amd = b == signature_AMD_ebx;
    __cpuid(1, a, b, words[WORD_1_ECX], words[WORD_1_EDX]);
    if (max >= 7)
        __cpuid_count(7, 0, a, words[WORD_7_EBX], words[WORD_7_ECX], words[WORD_7_EDX]);
    if (max >= 0xD)
        __cpuid_count(0xD, 1, words[WORD_D_EAX], b, c, d);
    __cpuid(0x80000001, a, b, words[WORD_81_ECX], words[WORD_81_EDX]);
    if (!cpuid_host_has_ymm(host))
        words[WORD_1_ECX] &= ~(u32)bit_AVX;
}

#else

/* Of what is the host's elsewhere, these the handlers do in C. */
static void cpuid_host_read(struct cpuid_host *host)
{
    static const enum cpu_feature in_c[] = { FEAT_POPCNT, FEAT_LZCNT, FEAT_BMI1, FEAT_BMI2 };

    memset(host, 0, sizeof(*host));
    for (unsigned i = 0; i < ARRAY_SIZE(in_c); i++)
        host->words[cpuid_feature_table[in_c[i]].word] |= BIT(cpuid_feature_table[in_c[i]].bit);
}

#endif

bool cpuid_feature_on_host(const struct cpuid_host *host, enum cpu_feature feature)
{
    const struct feature_info *info = &cpuid_feature_table[feature];

    return info->kind == OURS || (host->words[info->word] >> info->bit & 1);
}

/* --- Feature sets --- */

void cpuid_feature_set(struct cpuid_model *model, enum cpu_feature feature, bool on)
{
    u64 bit = BIT64(feature % 64);

    if (on)
        model->features[feature / 64] |= bit;
    else
        model->features[feature / 64] &= ~bit;
}

/* What makes no sense without something else goes with it. Rows in an order that settles in one pass. */
static const struct {
    enum cpu_feature feature, needs;
} feature_needs[] = {
    { FEAT_LM, FEAT_PAE },         { FEAT_SSE2, FEAT_SSE },
    { FEAT_SSE3, FEAT_SSE2 },      { FEAT_SSSE3, FEAT_SSE3 },
    { FEAT_SSE41, FEAT_SSSE3 },    { FEAT_SSE42, FEAT_SSE41 },
    { FEAT_PCLMULQDQ, FEAT_SSE2 }, { FEAT_AES, FEAT_SSE2 },
    { FEAT_SHA, FEAT_SSE2 },       { FEAT_GFNI, FEAT_SSE2 },
    { FEAT_AVX, FEAT_XSAVE },      { FEAT_AVX, FEAT_SSE42 },
    { FEAT_AVX2, FEAT_AVX },       { FEAT_FMA, FEAT_AVX },
    { FEAT_F16C, FEAT_AVX },       { FEAT_VAES, FEAT_AVX },
    { FEAT_VPCLMULQDQ, FEAT_AVX }, { FEAT_XSAVEOPT, FEAT_XSAVE },
    { FEAT_XSAVEC, FEAT_XSAVE },   { FEAT_XGETBV1, FEAT_XSAVE },
    { FEAT_X2APIC, FEAT_APIC },    { FEAT_TSC_DEADLINE, FEAT_APIC },
    { FEAT_SYSCALL, FEAT_LM },     { FEAT_LAHF_LM, FEAT_LM },
    { FEAT_PDPE1GB, FEAT_LM },     { FEAT_FSGSBASE, FEAT_LM },
    { FEAT_PCID, FEAT_LM },        { FEAT_INVPCID, FEAT_PCID },
    { FEAT_LA57, FEAT_LM },        { FEAT_BHI_CTRL, FEAT_SPEC_CTRL },
};

static void feature_settle(struct cpuid_model *model)
{
    for (size_t i = 0; i < ARRAY_SIZE(feature_needs); i++) {
        if (!feature_has(model->features, feature_needs[i].needs))
            cpuid_feature_set(model, feature_needs[i].feature, false);
    }
}

static const struct model_info *model_find(const char *name, struct error *err)
{
    const char *best = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        if (strcmp(name, models[i].name) == 0)
            return &models[i];
        best = cpuid_nearer(name, best, models[i].name);
    }
    if (strcmp(name, "x86-64-v4") == 0)
        error_set(
            err,
            "CPU model 'x86-64-v4' needs AVX-512, which is not offered; the nearest is 'x86-64-v3'");
    else if (best)
        error_set(err, "unable to find CPU model '%s'; did you mean '%s'?", name, best);
    else
        error_set(err, "unable to find CPU model '%s'; -cpu help lists them", name);
    return NULL;
}

/* --- Building --- */

static void model_set_identity(struct cpuid_model *model, const struct model_info *info, bool amd)
{
    model->name = info->name;
    model->brand = info->brand;
    model->vendor = info->vendor;
    model->signature = info->signature;
    model->max_basic = info->max_basic;
    model->max_extended = info->max_extended;
    model->phys_bits = info->set & M_64 ? CPUID_PHYS_BITS : CPUID_PHYS_BITS_PSE36;
    if (!info->vendor) {
        model->vendor = amd ? VENDOR_AMD : VENDOR_INTEL;
        model->signature = amd ? SIGNATURE_AMD : SIGNATURE_INTEL;
    }
}

static void model_set_topology(struct cpuid_model *model, const struct smp_config *smp)
{
    model->cores = MAX(smp->cores, 1u);
    model->threads = MAX(smp->threads, 1u);
    model->core_bits = topology_core_bits(smp);
    model->thread_bits = topology_thread_bits(smp);
    cpuid_feature_set(model, FEAT_HT, model->cores * model->threads > 1);
}

/*
 * The TSC's rate as a fraction of the APIC clock of 1 GHz, for leaf 15H. Linux multiplies the numerator with the
 * clock in kHz in 32 bits, so it may have 4294 at most; the best such fraction (by continued fractions) is within a
 * millionth, and exact for rates in whole MHz.
 */
#define CRYSTAL_HZ            UINT64_C(1000000000)
#define CRYSTAL_NUMERATOR_MAX 4294u

static void model_set_crystal(struct cpuid_model *model)
{
    u64 n = model->tsc_hz, d = CRYSTAL_HZ;
    u64 p0 = 0, q0 = 1, p1 = 1, q1 = 0;

    while (d != 0) {
        u64 whole = n / d;
        u64 p2 = whole * p1 + p0, q2 = whole * q1 + q0;
        u64 rest = n % d;

        if (p2 > CRYSTAL_NUMERATOR_MAX || q2 > CRYSTAL_NUMERATOR_MAX)
            break;
        p0 = p1, q0 = q1, p1 = p2, q1 = q2;
        n = d, d = rest;
    }
    model->crystal_numerator = (u32)p1;
    model->crystal_denominator = (u32)q1;
}

static void model_set_words(struct cpuid_model *model)
{
    memset(model->words, 0, sizeof(model->words));
    for (unsigned i = FEAT_NONE + 1; i < FEAT_COUNT; i++) {
        if (cpuid_feature_table[i].name && feature_has(model->features, i))
            model->words[cpuid_feature_table[i].word] |= BIT(cpuid_feature_table[i].bit);
    }
}

struct cpuid_model *cpuid_model_build(const struct config *config, u64 tsc_hz,
                                      const struct cpuid_host *host, struct error *err)
{
    const struct model_info *info = model_find(config->cpu.model ? config->cpu.model : "max", err);
    struct cpuid_model *model;

    if (!info)
        return NULL;
    model = xcalloc(1, sizeof(*model));
    model_set_identity(model, info, host->amd);
    model->tsc_hz = tsc_hz;
    model->kvm = true;
    model->kvm_features = KVM_FEATURES_ALL;
    for (unsigned i = FEAT_NONE + 1; i < FEAT_COUNT; i++)
        cpuid_feature_set(
            model, i, cpuid_feature_table[i].models & info->set && cpuid_feature_on_host(host, i));
    if (!cpuid_apply_flags(model, &config->cpu, host, err)) {
        cpuid_model_free(model);
        return NULL;
    }
    cpuid_feature_set(model, FEAT_NONE, true);
    feature_settle(model);
    model_set_topology(model, &config->smp);
    model_set_crystal(model);
    model_set_words(model);
    return model;
}

struct cpuid_model *cpuid_model_new(const struct config *config, u64 tsc_hz, struct error *err)
{
    struct cpuid_host host;

    cpuid_host_read(&host);
    return cpuid_model_build(config, tsc_hz, &host, err);
}

void cpuid_model_free(struct cpuid_model *model)
{
    free(model);
}

void cpuid_print_help(void)
{
    unsigned column = 0;

    printf("Available CPUs:\n");
    for (size_t i = 0; i < ARRAY_SIZE(models); i++)
        printf("  %-12s %s\n", models[i].name, models[i].help);
    printf("\nRecognized CPUID flags:\n");
    for (unsigned i = FEAT_NONE + 1; i < FEAT_COUNT; i++) {
        if (!cpuid_feature_table[i].name)
            continue;
        column += (unsigned)printf("%s%s", column ? " " : "  ", cpuid_feature_table[i].name);
        if (column > 70) {
            printf("\n");
            column = 0;
        }
    }
    printf("%s  kvm kvmclock kvm-nopiodelay kvm-pv-unhalt kvmclock-stable-bit enforce\n",
           column ? "\n" : "");
}
