/* SPDX-License-Identifier: MIT */
/*
 * The flags and properties of -cpu, in the spellings of QEMU and Linux; and the nearest valid word to one that is not.
 */
#include <stdio.h>
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/cpuid_model.h"
#include "base/log.h"
#include "cli/config.h"

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

/* Properties of QEMU's CPUs that change nothing that a guest of ours can see. */
static const char *const flags_ignored[] = {
    "check",
    "cpuid-0xb",
    "fill-mtrr-mask",
    "full-cpuid-auto-level",
    "hv-passthrough",
    "host-phys-bits",
    "host-cache-info",
    "kvm-asyncpf",
    "kvm-asyncpf-int",
    "kvm-hint-dedicated",
    "kvm-mmu",
    "kvm-msi-ext-dest-id",
    "kvm-poll-control",
    "kvm-pv-eoi",
    "kvm-pv-ipi",
    "kvm-pv-sched-yield",
    "kvm-pv-tlb-flush",
    "kvm-steal-time",
    "l3-cache",
    "legacy-cache",
    "lmce",
    "migratable",
    "pmu",
    "tcg-cpuid",
    "vmware-cpuid-freq",
    "x-force-features",
    "x-migrate-smi-count",
};

/* --- Spelling --- */

/* Edit distance of two short words: insertions, deletions, exchanges. */
static unsigned flag_distance(const char *a, const char *b)
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
const char *cpuid_nearer(const char *word, const char *best, const char *candidate)
{
    if (!candidate || flag_distance(word, candidate) > 2)
        return best;
    if (best && flag_distance(word, best) <= flag_distance(word, candidate))
        return best;
    return candidate;
}

/* --- Applying --- */

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

static const char *flag_word_name(enum cpuid_word word)
{
    static const char *const names[WORD_COUNT] = {
        [WORD_1_EDX] = "CPUID.01H:EDX",        [WORD_1_ECX] = "CPUID.01H:ECX",
        [WORD_6_EAX] = "CPUID.06H:EAX",        [WORD_7_EBX] = "CPUID.07H:EBX",
        [WORD_7_ECX] = "CPUID.07H:ECX",        [WORD_7_EDX] = "CPUID.07H:EDX",
        [WORD_72_EDX] = "CPUID.07H.02H:EDX",   [WORD_D_EAX] = "CPUID.0DH.01H:EAX",
        [WORD_81_EDX] = "CPUID.80000001H:EDX", [WORD_81_ECX] = "CPUID.80000001H:ECX",
        [WORD_87_EDX] = "CPUID.80000007H:EDX",
    };

    return names[word];
}

static enum cpu_feature flag_feature(const char *flag)
{
    for (unsigned i = FEAT_NONE + 1; i < FEAT_COUNT; i++) {
        if (cpuid_feature_table[i].name && flag_is(flag, cpuid_feature_table[i].name))
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
    const struct feature_info *info = &cpuid_feature_table[feature];
    char place[80];

    if (on && !cpuid_feature_on_host(host, feature)) {
        snprintf(place, sizeof(place), "%s.%s [bit %u]", flag_word_name(info->word), info->name,
                 info->bit);
        flag_missing(flags, place);
        return;
    }
    cpuid_feature_set(model, feature, on);
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

static bool flag_unknown(const char *model, const char *name, struct error *err)
{
    const char *best = NULL;

    for (unsigned i = 0; i < FEAT_COUNT; i++)
        best = cpuid_nearer(name, best, cpuid_feature_table[i].name);
    for (size_t i = 0; i < ARRAY_SIZE(feature_aliases); i++)
        best = cpuid_nearer(name, best, feature_aliases[i].name);
    for (size_t i = 0; i < ARRAY_SIZE(features_absent); i++)
        best = cpuid_nearer(name, best, features_absent[i].name);
    for (size_t i = 0; i < ARRAY_SIZE(kvm_flags); i++)
        best = cpuid_nearer(name, best, kvm_flags[i].name);
    if (best)
        return error_set(err, "Property '%s-x86_64-cpu.%s' not found; did you mean '%s'?", model,
                         name, best);
    return error_set(err, "Property '%s-x86_64-cpu.%s' not found", model, name);
}

static bool flag_apply(struct cpuid_model *model, const struct cpuid_host *host,
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

/* --- Properties --- */

#define FLAG_VENDOR_LENGTH 12u
#define FLAG_BRAND_LENGTH  48u
#define FLAG_PHYS_BITS_MIN 36u /* the least that reaches all the memory a machine may have */
#define FLAG_PHYS_BITS_MAX 46u

/* A number in decimal or hexadecimal digits. */
static bool flag_number(const char *text, u32 *number)
{
    u32 base = 10, value = 0;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (*text == '\0')
        return false;
    for (; *text; text++) {
        u32 digit = *text >= '0' && *text <= '9'   ? (u32)(*text - '0')
                    : *text >= 'a' && *text <= 'f' ? (u32)(*text - 'a' + 10)
                    : *text >= 'A' && *text <= 'F' ? (u32)(*text - 'A' + 10)
                                                   : 99;

        if (digit >= base || value > 0xFFFFFF)
            return false;
        value = value * base + digit;
    }
    *number = value;
    return true;
}

static bool property_vendor(struct cpuid_model *model, const char *value)
{
    model->vendor = value;
    return strlen(value) == FLAG_VENDOR_LENGTH;
}

static bool property_brand(struct cpuid_model *model, const char *value)
{
    model->brand = value;
    return strlen(value) < FLAG_BRAND_LENGTH;
}

/* Leaf 1 EAX: stepping 3:0, model 7:4 and 19:16, family 11:8 plus 27:20 (SDM vol. 2A, CPUID). */
static bool property_family(struct cpuid_model *model, const char *value)
{
    u32 family;

    if (!flag_number(value, &family) || family > 0xFF + 0xF)
        return false;
    model->signature &= ~0x0FF00F00u;
    model->signature |= family > 0xF ? 0xF00 | (family - 0xF) << 20 : family << 8;
    return true;
}

static bool property_model(struct cpuid_model *model, const char *value)
{
    u32 number;

    if (!flag_number(value, &number) || number > 0xFF)
        return false;
    model->signature =
        (model->signature & ~0x000F00F0u) | (number & 0xF) << 4 | (number >> 4) << 16;
    return true;
}

static bool property_stepping(struct cpuid_model *model, const char *value)
{
    u32 stepping;

    if (!flag_number(value, &stepping) || stepping > 0xF)
        return false;
    model->signature = (model->signature & ~0xFu) | stepping;
    return true;
}

static bool property_phys_bits(struct cpuid_model *model, const char *value)
{
    u32 bits;

    if (!flag_number(value, &bits) || bits < FLAG_PHYS_BITS_MIN || bits > FLAG_PHYS_BITS_MAX)
        return false;
    model->phys_bits = bits;
    return true;
}

static const struct {
    const char *key;
    bool (*set)(struct cpuid_model *model, const char *value);
    const char *expects;
} flag_properties[] = {
    { "vendor", property_vendor, "12 characters" },
    { "model-id", property_brand, "up to 47 characters" },
    { "family", property_family, "a number up to 270" },
    { "model", property_model, "a number up to 255" },
    { "stepping", property_stepping, "a number up to 15" },
    { "phys-bits", property_phys_bits, "a number from 36 to 46" },
};

static bool flag_apply_property(struct cpuid_model *model, const struct property *property,
                                struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(flag_properties); i++) {
        if (strcmp(property->key, flag_properties[i].key) != 0)
            continue;
        if (flag_properties[i].set(model, property->value))
            return true;
        return error_set(err, "-cpu %s: '%s' expects %s", model->name, property->key,
                         flag_properties[i].expects);
    }
    return flag_unknown(model->name, property->key, err);
}

bool cpuid_apply_flags(struct cpuid_model *model, const struct cpu_config *cpu,
                       const struct cpuid_host *host, struct error *err)
{
    struct cpuid_flags flags = { 0 };

    for (unsigned i = 0; i < cpu->flag_count; i++) {
        if (!flag_apply(model, host, &flags, &cpu->flags[i], err))
            return false;
    }
    for (unsigned i = 0; i < cpu->property_count; i++) {
        if (!flag_apply_property(model, &cpu->properties[i], err))
            return false;
    }
    if (flags.enforce && flags.missing)
        return error_set(err, "Host doesn't support requested features");
    return true;
}
