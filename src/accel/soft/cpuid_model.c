/* SPDX-License-Identifier: MIT */
/*
 * CPU models and the flags of -cpu: from names to feature bits.
 *
 * A model is an identity (vendor, family, brand) and the rows of features.def that list it. Flags of the
 * command line change single rows. What the engine would run with host instructions that the host lacks is left out.
 */
#include "accel/soft/cpuid_model.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/soft/cpuid.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"
#include "machine/topology.h"

/* Models as a set. */
#define M_MAX    BIT(0)
#define M_QEMU64 BIT(1)
#define M_QEMU32 BIT(2)
#define M_V1     BIT(3)
#define M_V2     BIT(4)
#define M_V3     BIT(5)
#define M_V3UP   (M_MAX | M_V3)
#define M_V2UP   (M_V3UP | M_V2)
#define M_NEW    (M_V2UP | M_V1) /* with all that a present-day system expects of the CPU's system side */
#define M_64     (M_NEW | M_QEMU64)
#define M_ALL    (M_64 | M_QEMU32)

enum feature_kind { OURS, HOST };

struct feature_info {
    const char *name;
    u8 word; /* enum cpuid_word */
    u8 bit;
    u8 kind;   /* enum feature_kind */
    u8 models; /* M_* */
};

static const struct feature_info features[FEAT_COUNT] = {
#define FEATURE(id, word_, bit_, name_, kind_, models_) \
    [FEAT_##id] = { \
        .name = name_, .word = WORD_##word_, .bit = bit_, .kind = kind_, .models = (models_) & 0xFF \
    },
#include "accel/soft/features.def"
#undef FEATURE
};

/* Other spellings that users bring along from QEMU and Linux. */
static const struct {
    const char *name;
    enum cpu_feature feature;
} feature_aliases[] = {
    { "sse3", FEAT_SSE3 },
    { "lzcnt", FEAT_LZCNT },
    { "pclmuldq", FEAT_PCLMULQDQ },
    { "xd", FEAT_NX },
    { "i64", FEAT_LM },
    { "sha", FEAT_SHA },
    { "tsc-deadline-timer", FEAT_TSC_DEADLINE },
    { "nonstop-tsc", FEAT_INVTSC },
    { "prefetchw", FEAT_PREFETCHW },
};

/* Features that other virtual machines' users name and that no model here has: asking for one is a warning. */
static const struct {
    const char *name;
    const char *place;
} features_absent[] = {
    { "3dnow", "CPUID.80000001H:EDX.3dnow [bit 31]" },
    { "3dnowext", "CPUID.80000001H:EDX.3dnowext [bit 30]" },
    { "amx-bf16", "CPUID.07H:EDX.amx-bf16 [bit 22]" },
    { "amx-int8", "CPUID.07H:EDX.amx-int8 [bit 25]" },
    { "amx-tile", "CPUID.07H:EDX.amx-tile [bit 24]" },
    { "avx-vnni", "CPUID.07H.01H:EAX.avx-vnni [bit 4]" },
    { "avx512bw", "CPUID.07H:EBX.avx512bw [bit 30]" },
    { "avx512cd", "CPUID.07H:EBX.avx512cd [bit 28]" },
    { "avx512dq", "CPUID.07H:EBX.avx512dq [bit 17]" },
    { "avx512f", "CPUID.07H:EBX.avx512f [bit 16]" },
    { "avx512ifma", "CPUID.07H:EBX.avx512ifma [bit 21]" },
    { "avx512vbmi", "CPUID.07H:ECX.avx512vbmi [bit 1]" },
    { "avx512vl", "CPUID.07H:EBX.avx512vl [bit 31]" },
    { "fma4", "CPUID.80000001H:ECX.fma4 [bit 16]" },
    { "hle", "CPUID.07H:EBX.hle [bit 4]" },
    { "ibpb", "CPUID.80000008H:EBX.ibpb [bit 12]" },
    { "intel-pt", "CPUID.07H:EBX.intel-pt [bit 25]" },
    { "md-clear", "CPUID.07H:EDX.md-clear [bit 10]" },
    { "mmxext", "CPUID.80000001H:EDX.mmxext [bit 22]" },
    { "movdir64b", "CPUID.07H:ECX.movdir64b [bit 28]" },
    { "movdiri", "CPUID.07H:ECX.movdiri [bit 27]" },
    { "mpx", "CPUID.07H:EBX.mpx [bit 14]" },
    { "pcommit", "CPUID.07H:EBX.pcommit [bit 22]" },
    { "pdcm", "CPUID.01H:ECX.pdcm [bit 15]" },
    { "pku", "CPUID.07H:ECX.pku [bit 3]" },
    { "rtm", "CPUID.07H:EBX.rtm [bit 11]" },
    { "ssbd", "CPUID.07H:EDX.ssbd [bit 31]" },
    { "sse4a", "CPUID.80000001H:ECX.sse4a [bit 6]" },
    { "stibp", "CPUID.07H:EDX.stibp [bit 27]" },
    { "svm", "CPUID.80000001H:ECX.svm [bit 2]" },
    { "tbm", "CPUID.80000001H:ECX.tbm [bit 21]" },
    { "topoext", "CPUID.80000001H:ECX.topoext [bit 22]" },
    { "vme", "CPUID.01H:EDX.vme [bit 1]" },
    { "vmx", "CPUID.01H:ECX.vmx [bit 5]" },
    { "waitpkg", "CPUID.07H:ECX.waitpkg [bit 5]" },
    { "xop", "CPUID.80000001H:ECX.xop [bit 11]" },
    { "xsaves", "CPUID.0DH.01H:EAX.xsaves [bit 3]" },
};

/* Features of KVM's own leaf. */
static const struct {
    const char *name;
    u32 bits;
} kvm_flags[] = {
    { "kvmclock", KVM_FEATURE_CLOCKSOURCE | KVM_FEATURE_CLOCKSOURCE2 },
    { "kvm-nopiodelay", KVM_FEATURE_NOP_IO_DELAY },
    { "kvm-pv-unhalt", KVM_FEATURE_PV_UNHALT },
    { "kvmclock-stable-bit", KVM_FEATURE_CLOCKSOURCE_STABLE },
};
#define KVM_FEATURES_ALL \
    (KVM_FEATURE_CLOCKSOURCE | KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE2 | \
     KVM_FEATURE_PV_UNHALT | KVM_FEATURE_CLOCKSOURCE_STABLE)

/* Properties of QEMU's CPUs that change nothing that a guest of ours can see. */
static const char *const flags_ignored[] = {
    "check",       "cpuid-0xb",      "fill-mtrr-mask", "full-cpuid-auto-level",
    "hv-passthrough", "host-phys-bits", "host-cache-info", "kvm-asyncpf",
    "kvm-asyncpf-int", "kvm-hint-dedicated", "kvm-mmu", "kvm-msi-ext-dest-id",
    "kvm-poll-control", "kvm-pv-eoi", "kvm-pv-ipi", "kvm-pv-sched-yield",
    "kvm-pv-tlb-flush", "kvm-steal-time", "l3-cache", "legacy-cache",
    "lmce", "migratable", "pmu", "tcg-cpuid",
    "vmware-cpuid-freq", "x-force-features", "x-migrate-smi-count",
};

#define VENDOR_INTEL "GenuineIntel"
#define VENDOR_AMD   "AuthenticAMD"
#define BRAND        "mote software CPU"

/*
 * Identities. NULL vendor: the host's, with a signature of that vendor whose family and model guests take for a
 * present-day server CPU without errata of its own (Intel 06_8FH stepping 8; AMD family 1AH).
 */
#define SIGNATURE_INTEL 0x000806F8u
#define SIGNATURE_AMD   0x00B00F21u

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
    { "max", M_MAX, NULL, BRAND, 0, 0x16, 0x80000008, "all features that this host and engine can do (default)" },
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
}

/* Does the host's kernel save the YMM registers (XCR0 bits 1 and 2)? */
static bool cpuid_host_has_ymm(const struct cpuid_host *host)
{
    u32 low, high;

    if (!(host->words[WORD_1_ECX] & bit_OSXSAVE))
        return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
}

static bool feature_on_host(const struct cpuid_host *host, enum cpu_feature feature)
{
    const struct feature_info *info = &features[feature];

    return info->kind == OURS || (host->words[info->word] >> info->bit & 1);
}

/* --- Feature sets --- */

static void feature_set(struct cpuid_model *model, enum cpu_feature feature, bool on)
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
    { FEAT_SSE2, FEAT_SSE },          { FEAT_SSE3, FEAT_SSE2 },        { FEAT_SSSE3, FEAT_SSE3 },
    { FEAT_SSE41, FEAT_SSSE3 },       { FEAT_SSE42, FEAT_SSE41 },      { FEAT_PCLMULQDQ, FEAT_SSE2 },
    { FEAT_AES, FEAT_SSE2 },          { FEAT_SHA, FEAT_SSE2 },         { FEAT_GFNI, FEAT_SSE2 },
    { FEAT_AVX, FEAT_XSAVE },         { FEAT_AVX, FEAT_SSE42 },        { FEAT_AVX2, FEAT_AVX },
    { FEAT_FMA, FEAT_AVX },           { FEAT_F16C, FEAT_AVX },         { FEAT_VAES, FEAT_AVX },
    { FEAT_VPCLMULQDQ, FEAT_AVX },    { FEAT_XSAVEOPT, FEAT_XSAVE },   { FEAT_XSAVEC, FEAT_XSAVE },
    { FEAT_XGETBV1, FEAT_XSAVE },     { FEAT_X2APIC, FEAT_APIC },      { FEAT_TSC_DEADLINE, FEAT_APIC },
    { FEAT_SYSCALL, FEAT_LM },        { FEAT_LAHF_LM, FEAT_LM },       { FEAT_PDPE1GB, FEAT_LM },
    { FEAT_FSGSBASE, FEAT_LM },       { FEAT_PCID, FEAT_LM },          { FEAT_INVPCID, FEAT_PCID },
    { FEAT_LA57, FEAT_LM },           { FEAT_LM, FEAT_PAE },
};

static void feature_settle(struct cpuid_model *model)
{
    for (size_t i = 0; i < ARRAY_SIZE(feature_needs); i++) {
        if (!feature_has(model->features, feature_needs[i].needs))
            feature_set(model, feature_needs[i].feature, false);
    }
}

/* --- Flags --- */

struct cpuid_flags {
    bool enforce;
    bool missing; /* something asked for was not to be had */
};

/* Lower-case letters as they are, '_' and '.' as '-'. */
static void flag_normalize(const char *name, char *text, size_t size)
{
    size_t n = 0;

    for (; name[n] && n + 1 < size; n++)
        text[n] = name[n] == '_' || name[n] == '.' ? '-' : name[n];
    text[n] = '\0';
}

static bool flag_is(const char *flag, const char *name)
{
    char normal[40];

    flag_normalize(name, normal, sizeof(normal));
    return strcmp(flag, normal) == 0;
}

static const char *cpuid_word_name(enum cpuid_word word)
{
    static const char *const names[WORD_COUNT] = {
        [WORD_1_EDX] = "CPUID.01H:EDX",       [WORD_1_ECX] = "CPUID.01H:ECX",
        [WORD_6_EAX] = "CPUID.06H:EAX",       [WORD_7_EBX] = "CPUID.07H:EBX",
        [WORD_7_ECX] = "CPUID.07H:ECX",       [WORD_7_EDX] = "CPUID.07H:EDX",
        [WORD_D_EAX] = "CPUID.0DH.01H:EAX",   [WORD_81_EDX] = "CPUID.80000001H:EDX",
        [WORD_81_ECX] = "CPUID.80000001H:ECX", [WORD_87_EDX] = "CPUID.80000007H:EDX",
    };

    return names[word];
}

static enum cpu_feature flag_feature(const char *flag)
{
    for (unsigned i = FEAT_NONE + 1; i < FEAT_COUNT; i++) {
        if (features[i].name && flag_is(flag, features[i].name))
            return (enum cpu_feature)i;
    }
    for (size_t i = 0; i < ARRAY_SIZE(feature_aliases); i++) {
        if (strcmp(flag, feature_aliases[i].name) == 0)
            return feature_aliases[i].feature;
    }
    return FEAT_NONE;
}

static void flag_missing(struct cpuid_flags *flags, const char *place)
{
    flags->missing = true;
    log_warn("host doesn't support requested feature: %s", place);
}

static void flag_apply_feature(struct cpuid_model *model, const struct cpuid_host *host,
                               struct cpuid_flags *flags, enum cpu_feature feature, bool on)
{
    const struct feature_info *info = &features[feature];
    char place[80];

    if (on && !feature_on_host(host, feature)) {
        snprintf(place, sizeof(place), "%s.%s [bit %u]", cpuid_word_name(info->word), info->name, info->bit);
        flag_missing(flags, place);
        return;
    }
    feature_set(model, feature, on);
}

static bool flag_apply_absent(struct cpuid_flags *flags, const char *flag, bool on)
{
    for (size_t i = 0; i < ARRAY_SIZE(features_absent); i++) {
        if (strcmp(flag, features_absent[i].name) == 0) {
            if (on)
                flag_missing(flags, features_absent[i].place);
            return true;
        }
    }
    return false;
}

static bool flag_apply_kvm(struct cpuid_model *model, const char *flag, bool on)
{
    if (strcmp(flag, "kvm") == 0) {
        model->kvm = on;
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(kvm_flags); i++) {
        if (strcmp(flag, kvm_flags[i].name) != 0)
            continue;
        model->kvm_features &= ~kvm_flags[i].bits;
        model->kvm_features |= on ? kvm_flags[i].bits : 0;
        return true;
    }
    return false;
}

static bool flag_is_ignored(const char *flag)
{
    for (size_t i = 0; i < ARRAY_SIZE(flags_ignored); i++) {
        if (strcmp(flag, flags_ignored[i]) == 0)
            return true;
    }
    return false;
}

/* --- Spelling --- */

/* Edit distance of two short words: insertions, deletions, exchanges. */
static unsigned word_distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t width = strlen(b);

    if (width >= ARRAY_SIZE(row))
        return 64;
    for (size_t j = 0; j <= width; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= width; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = MIN(MIN(row[j] + 1, row[j - 1] + 1), change);
        }
    }
    return row[width];
}

/* The better of two guesses at what `word` was meant to be. */
static const char *word_nearer(const char *word, const char *best, const char *candidate)
{
    if (!candidate || word_distance(word, candidate) > 2)
        return best;
    if (best && word_distance(word, best) <= word_distance(word, candidate))
        return best;
    return candidate;
}

static bool flag_unknown(const char *model, const char *name, struct error *err)
{
    const char *best = NULL;

    for (unsigned i = 0; i < FEAT_COUNT; i++)
        best = word_nearer(name, best, features[i].name);
    for (size_t i = 0; i < ARRAY_SIZE(feature_aliases); i++)
        best = word_nearer(name, best, feature_aliases[i].name);
    for (size_t i = 0; i < ARRAY_SIZE(features_absent); i++)
        best = word_nearer(name, best, features_absent[i].name);
    for (size_t i = 0; i < ARRAY_SIZE(kvm_flags); i++)
        best = word_nearer(name, best, kvm_flags[i].name);
    if (best)
        return error_set(err, "Property '%s-x86_64-cpu.%s' not found; did you mean '%s'?", model, name, best);
    return error_set(err, "Property '%s-x86_64-cpu.%s' not found", model, name);
}

static const struct model_info *model_find(const char *name, struct error *err)
{
    const char *best = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        if (strcmp(name, models[i].name) == 0)
            return &models[i];
        best = word_nearer(name, best, models[i].name);
    }
    if (strcmp(name, "x86-64-v4") == 0)
        error_set(err, "CPU model 'x86-64-v4' needs AVX-512, which is not offered; the nearest is 'x86-64-v3'");
    else if (best)
        error_set(err, "unable to find CPU model '%s'; did you mean '%s'?", name, best);
    else
        error_set(err, "unable to find CPU model '%s'; -cpu help lists them", name);
    return NULL;
}

/* --- Building --- */

static bool model_apply_flag(struct cpuid_model *model, const struct cpuid_host *host,
                             struct cpuid_flags *flags, const struct cpu_flag *flag, struct error *err)
{
    char name[40];
    enum cpu_feature feature;

    flag_normalize(flag->name, name, sizeof(name));
    feature = flag_feature(name);
    if (feature != FEAT_NONE) {
        flag_apply_feature(model, host, flags, feature, flag->on);
        return true;
    }
    if (strcmp(name, "enforce") == 0) {
        flags->enforce = flag->on;
        return true;
    }
    if (flag_apply_absent(flags, name, flag->on) || flag_apply_kvm(model, name, flag->on) ||
        flag_is_ignored(name))
        return true;
    return flag_unknown(model->name, flag->name, err);
}

static void model_set_identity(struct cpuid_model *model, const struct model_info *info, bool amd)
{
    model->name = info->name;
    model->brand = info->brand;
    model->vendor = info->vendor;
    model->signature = info->signature;
    model->max_basic = info->max_basic;
    model->max_extended = info->max_extended;
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
    feature_set(model, FEAT_HT, model->cores * model->threads > 1);
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
        if (features[i].name && feature_has(model->features, i))
            model->words[features[i].word] |= BIT(features[i].bit);
    }
}

static bool model_apply_flags(struct cpuid_model *model, const struct cpu_config *cpu,
                              const struct cpuid_host *host, struct error *err)
{
    struct cpuid_flags flags = { 0 };

    for (unsigned i = 0; i < cpu->flag_count; i++) {
        if (!model_apply_flag(model, host, &flags, &cpu->flags[i], err))
            return false;
    }
    if (flags.enforce && flags.missing)
        return error_set(err, "Host doesn't support requested features");
    return true;
}

struct cpuid_model *cpuid_model_build(const struct config *config, u64 tsc_hz, const struct cpuid_host *host,
                                      struct error *err)
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
        feature_set(model, i, features[i].models & info->set && feature_on_host(host, i));
    if (!model_apply_flags(model, &config->cpu, host, err)) {
        cpuid_model_free(model);
        return NULL;
    }
    feature_set(model, FEAT_NONE, true);
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
    if (!cpuid_host_has_ymm(&host))
        host.words[WORD_1_ECX] &= ~(u32)bit_AVX;
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
        if (!features[i].name)
            continue;
        column += (unsigned)printf("%s%s", column ? " " : "  ", features[i].name);
        if (column > 70) {
            printf("\n");
            column = 0;
        }
    }
    printf("%s  kvm kvmclock kvm-nopiodelay kvm-pv-unhalt kvmclock-stable-bit enforce\n", column ? "\n" : "");
}
