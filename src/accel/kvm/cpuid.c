/* SPDX-License-Identifier: MIT */
/*
 * What the guest's CPUID tells: what KVM_GET_SUPPORTED_CPUID offers, cut and changed by -cpu and -smp.
 *
 * The models and flags of -cpu are the software CPU's: its tables make a model as the user wants it and another without
 * the user's flags and properties. For `max` and `host` the host's leaves are the base, and only what the two models
 * differ in is changed; for other models features are those of the model that KVM has, too, and the identity is the
 * model's.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "accel/kvm/kvm.h"
#include "accel/soft/cpuid.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"
#include "machine/machine.h"

#define CPUID_ENTRIES_MAX    256u
#define CPUID_KVM            0x40000000u
#define CPUID_KVM_FEATURES   0x40000001u
#define CPUID_KVM_TIMING     0x40000010u /* TSC and APIC clock in kHz, as VMware has it */
#define CPUID_EXTENDED       0x80000000u
#define CPUID_BRAND          0x80000002u
#define CPUID_BRAND_LAST     0x80000004u

#define CPUID_1_ECX_X2APIC   BIT(21)
#define CPUID_1_ECX_DEADLINE BIT(24)
#define CPUID_1_ECX_XSAVE    BIT(26)
#define CPUID_1_ECX_OSXSAVE  BIT(27)
#define CPUID_1_ECX_AVX      BIT(28)
#define CPUID_1_ECX_GUEST    BIT(31)
#define CPUID_1_EDX_APIC     BIT(9)
#define CPUID_1_EDX_HTT      BIT(28)
#define CPUID_4_SHARING      0xFFFFC000u /* EAX: threads of the cache, cores of the package */
#define CPUID_7_EBX_AVX512F  BIT(16)
#define CPUID_88_EAX_PHYS    0xFFu

#define CPUID_XCR0_AVX       UINT64_C(0x04)
#define CPUID_XCR0_AVX512    UINT64_C(0xE0)

enum cpuid_register { R_EAX, R_EBX, R_ECX, R_EDX };

/* Features, and so cut to what KVM has. */
static const struct {
    u32 leaf, subleaf;
    enum cpuid_register reg;
    const char *name;
} cpuid_words[] = {
    { 1, 0, R_EDX, "01H:EDX" },
    { 1, 0, R_ECX, "01H:ECX" },
    { 7, 0, R_EBX, "07H:EBX" },
    { 7, 0, R_ECX, "07H:ECX" },
    { 7, 0, R_EDX, "07H:EDX" },
    { 7, 2, R_EDX, "07H.02H:EDX" },
    { 0xD, 1, R_EAX, "0DH.01H:EAX" },
    { 0x80000001, 0, R_EDX, "80000001H:EDX" },
    { 0x80000001, 0, R_ECX, "80000001H:ECX" },
    { 0x80000007, 0, R_EDX, "80000007H:EDX" },
};

/* QEMU's names for the features of KVM's own leaf that the software CPU has not all. */
static const struct {
    const char *name;
    u32 bits;
} cpuid_kvm_flags[] = {
    { "kvm-mmu", BIT(2) },           { "kvm-asyncpf", BIT(4) },
    { "kvm-steal-time", BIT(5) },    { "kvm-pv-eoi", BIT(6) },
    { "kvm-pv-tlb-flush", BIT(9) },  { "kvm-pv-ipi", BIT(11) },
    { "kvm-poll-control", BIT(12) }, { "kvm-pv-sched-yield", BIT(13) },
    { "kvm-asyncpf-int", BIT(14) },
};

/* Message-signalled interrupts of ours have destinations of eight bits. */
#define CPUID_KVM_NOT_OURS BIT(15) /* KVM_FEATURE_MSI_EXT_DEST_ID */

struct cpuid_build {
    struct kvm *kvm;
    const struct config *config;
    struct cpuid_model *user, *plain; /* with the user's flags and properties, and without */
    struct cpuid_model *refused;      /* with all that the user asked for off */
    bool host;                        /* -cpu max or host */
    struct kvm_cpuid2 *supported;
    struct kvm_cpuid2 *result;
};

static u32 *cpuid_register(struct kvm_cpuid_entry2 *e, enum cpuid_register reg)
{
    u32 *const registers[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

    return registers[reg];
}

static struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *table, u32 leaf, u32 subleaf)
{
    for (u32 i = 0; i < table->nent; i++)
        if (table->entries[i].function == leaf && table->entries[i].index == subleaf)
            return &table->entries[i];
    return NULL;
}

/* The entry, added when it is not there. */
static struct kvm_cpuid_entry2 *cpuid_get(struct kvm_cpuid2 *table, u32 leaf, u32 subleaf)
{
    struct kvm_cpuid_entry2 *e = cpuid_find(table, leaf, subleaf);

    if (e || table->nent == CPUID_ENTRIES_MAX)
        return e ? e : &table->entries[0];
    e = &table->entries[table->nent++];
    *e = (struct kvm_cpuid_entry2){ .function = leaf, .index = subleaf };
    return e;
}

static void cpuid_remove(struct kvm_cpuid2 *table, u32 first, u32 last)
{
    u32 kept = 0;

    for (u32 i = 0; i < table->nent; i++)
        if (table->entries[i].function < first || table->entries[i].function > last)
            table->entries[kept++] = table->entries[i];
    table->nent = kept;
}

static struct kvm_cpuid_entry2 cpuid_of_model(const struct cpuid_model *model, u32 leaf,
                                              u32 subleaf, u32 apic_id)
{
    struct cpuid_query query = { .leaf = leaf,
                                 .subleaf = subleaf,
                                 .apic_id = apic_id,
                                 .apic_base = BIT64(11),
                                 .xcr0 = cpuid_xcr0(model) };
    struct cpuid_result r = cpuid_query(model, &query);

    return (struct kvm_cpuid_entry2){
        .function = leaf, .index = subleaf, .eax = r.eax, .ebx = r.ebx, .ecx = r.ecx, .edx = r.edx
    };
}

static u32 cpuid_word_of(const struct cpuid_model *model, size_t word)
{
    struct kvm_cpuid_entry2 e =
        cpuid_of_model(model, cpuid_words[word].leaf, cpuid_words[word].subleaf, 0);

    return *cpuid_register(&e, cpuid_words[word].reg);
}

/* --- Features --- */

/* What KVM has, with what it has only beside its own local APICs. */
static u32 cpuid_supported_word(struct cpuid_build *b, size_t word)
{
    struct kvm_cpuid_entry2 *e =
        cpuid_find(b->supported, cpuid_words[word].leaf, cpuid_words[word].subleaf);
    u32 value = e ? *cpuid_register(e, cpuid_words[word].reg) : 0;
    bool inside = b->kvm->irqchip != ACCEL_IRQCHIP_NONE;

    if (cpuid_words[word].leaf != 1)
        return value;
    if (cpuid_words[word].reg == R_EDX)
        return value | CPUID_1_EDX_APIC;
    value = (value & ~CPUID_1_ECX_OSXSAVE) | CPUID_1_ECX_GUEST;
    if (!inside)
        return value & ~(CPUID_1_ECX_X2APIC | CPUID_1_ECX_DEADLINE);
    if (ioctl(b->kvm->device, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
        value |= CPUID_1_ECX_DEADLINE;
    return value;
}

static bool cpuid_enforces(const struct config *config)
{
    bool enforce = false;

    for (unsigned i = 0; i < config->cpu.flag_count; i++)
        if (!strcmp(config->cpu.flags[i].name, "enforce"))
            enforce = config->cpu.flags[i].on;
    return enforce;
}

static bool cpuid_set_features(struct cpuid_build *b, struct error *err)
{
    bool enforce = cpuid_enforces(b->config);

    for (size_t i = 0; i < ARRAY_SIZE(cpuid_words); i++) {
        u32 has = cpuid_supported_word(b, i);
        u32 user = cpuid_word_of(b->user, i), plain = cpuid_word_of(b->plain, i);
        u32 missing = user & ~cpuid_word_of(b->refused, i) & ~has;

        if (missing && enforce)
            return error_set(err, "-cpu: KVM does not have the features 0x%x of CPUID.%s", missing,
                             cpuid_words[i].name);
        if (missing)
            log_warn("-cpu: KVM does not have the features 0x%x of CPUID.%s", missing,
                     cpuid_words[i].name);
        *cpuid_register(cpuid_get(b->result, cpuid_words[i].leaf, cpuid_words[i].subleaf),
                        cpuid_words[i].reg) =
            b->host ? has & ~(plain & ~user) : has & (user | CPUID_1_EDX_APIC * !i);
    }
    return true;
}

/* Leaf 0DH of what is left of the extended states; sizes are the kernel's business. */
static void cpuid_set_xsave(struct cpuid_build *b)
{
    u32 features = cpuid_get(b->result, 1, 0)->ecx;
    u64 drop = 0;

    if (!(features & CPUID_1_ECX_AVX))
        drop |= CPUID_XCR0_AVX | CPUID_XCR0_AVX512;
    if (!(cpuid_get(b->result, 7, 0)->ebx & CPUID_7_EBX_AVX512F))
        drop |= CPUID_XCR0_AVX512;
    if (!(features & CPUID_1_ECX_XSAVE)) {
        cpuid_remove(b->result, 0xD, 0xD);
        return;
    }
    cpuid_get(b->result, 0xD, 0)->eax &= ~(u32)drop;
    for (u32 i = 2; i < 32; i++) {
        struct kvm_cpuid_entry2 *e = drop & BIT64(i) ? cpuid_find(b->result, 0xD, i) : NULL;

        if (e)
            e->eax = e->ebx = e->ecx = e->edx = 0;
    }
}

/* --- Identity --- */

static void cpuid_copy(struct cpuid_build *b, u32 leaf, u32 subleaf)
{
    struct kvm_cpuid_entry2 e = cpuid_of_model(b->user, leaf, subleaf, 0);
    struct kvm_cpuid_entry2 *to = cpuid_get(b->result, leaf, subleaf);

    e.flags = to->flags;
    *to = e;
}

static bool cpuid_differs(struct cpuid_build *b, u32 leaf)
{
    struct kvm_cpuid_entry2 user = cpuid_of_model(b->user, leaf, 0, 0);
    struct kvm_cpuid_entry2 plain = cpuid_of_model(b->plain, leaf, 0, 0);

    return memcmp(&user, &plain, sizeof(user)) != 0;
}

/* KVM gives no brand; the host's CPU has one. */
static void cpuid_set_brand(struct cpuid_build *b, u32 leaf)
{
    struct kvm_cpuid_entry2 *e = cpuid_get(b->result, leaf, 0);

    if (!b->host || cpuid_differs(b, leaf))
        cpuid_copy(b, leaf, 0);
    else
        __get_cpuid(leaf, &e->eax, &e->ebx, &e->ecx, &e->edx);
}

static void cpuid_set_identity(struct cpuid_build *b)
{
    struct kvm_cpuid_entry2 user = cpuid_of_model(b->user, 0, 0, 0);
    struct kvm_cpuid_entry2 *zero = cpuid_get(b->result, 0, 0);
    u32 signature = cpuid_of_model(b->user, 1, 0, 0).eax;

    if (!b->host || cpuid_differs(b, 0)) {
        zero->ebx = user.ebx;
        zero->ecx = user.ecx;
        zero->edx = user.edx;
    }
    if (!b->host) {
        zero->eax = user.eax;
        cpuid_get(b->result, CPUID_EXTENDED, 0)->eax =
            cpuid_of_model(b->user, CPUID_EXTENDED, 0, 0).eax;
    }
    if (!b->host || signature != cpuid_of_model(b->plain, 1, 0, 0).eax)
        cpuid_get(b->result, 1, 0)->eax = signature;
    for (u32 leaf = CPUID_BRAND; leaf <= CPUID_BRAND_LAST; leaf++)
        cpuid_set_brand(b, leaf);
}

/* --- Topology, without the APIC ID --- */

static void cpuid_set_topology(struct cpuid_build *b)
{
    struct kvm_cpuid_entry2 *one = cpuid_get(b->result, 1, 0);
    struct kvm_cpuid_entry2 model = cpuid_of_model(b->user, 1, 0, 0);

    one->ebx = model.ebx;
    one->edx = (one->edx & ~CPUID_1_EDX_HTT) | (model.edx & CPUID_1_EDX_HTT);
    cpuid_remove(b->result, 0xB, 0xB);
    cpuid_remove(b->result, 0x1F, 0x1F);
    for (u32 i = 0; i < 2; i++) {
        cpuid_copy(b, 0xB, i);
        cpuid_get(b->result, 0xB, i)->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
    }
    for (u32 i = 0; i < 4; i++) {
        struct kvm_cpuid_entry2 *cache = cpuid_find(b->result, 4, i);

        if (cache && cache->eax)
            cache->eax = (cache->eax & ~CPUID_4_SHARING) |
                         (cpuid_of_model(b->user, 4, i, 0).eax & CPUID_4_SHARING);
    }
    cpuid_get(b->result, 0x80000008, 0)->ecx = cpuid_of_model(b->user, 0x80000008, 0, 0).ecx;
}

/* --- KVM's leaves --- */

static u32 cpuid_kvm_features(struct cpuid_build *b)
{
    struct kvm_cpuid_entry2 *e = cpuid_find(b->supported, CPUID_KVM_FEATURES, 0);
    u32 user = cpuid_of_model(b->user, CPUID_KVM_FEATURES, 0, 0).eax;
    u32 plain = cpuid_of_model(b->plain, CPUID_KVM_FEATURES, 0, 0).eax;
    u32 features = (e ? e->eax : 0) & ~(plain & ~user) & ~CPUID_KVM_NOT_OURS;

    for (unsigned i = 0; i < b->config->cpu.flag_count; i++) {
        const struct cpu_flag *flag = &b->config->cpu.flags[i];

        for (size_t j = 0; j < ARRAY_SIZE(cpuid_kvm_flags); j++)
            if (!flag->on && !strcmp(flag->name, cpuid_kvm_flags[j].name))
                features &= ~cpuid_kvm_flags[j].bits;
    }
    return features;
}

static void cpuid_set_kvm(struct cpuid_build *b)
{
    struct kvm_cpuid_entry2 *timing;

    if (!cpuid_has_kvm(b->user)) {
        cpuid_remove(b->result, CPUID_KVM, CPUID_KVM + 0xFF);
        return;
    }
    cpuid_get(b->result, CPUID_KVM, 0)->eax = CPUID_KVM_TIMING;
    cpuid_get(b->result, CPUID_KVM_FEATURES, 0)->eax = cpuid_kvm_features(b);
    timing = cpuid_get(b->result, CPUID_KVM_TIMING, 0);
    *timing = cpuid_of_model(b->user, CPUID_KVM_TIMING, 0, 0);
}

/* --- All --- */

static bool cpuid_read_supported(struct cpuid_build *b, struct error *err)
{
    size_t size = sizeof(*b->supported) + CPUID_ENTRIES_MAX * sizeof(b->supported->entries[0]);

    b->supported = xcalloc(1, size);
    b->result = xcalloc(1, size);
    b->supported->nent = CPUID_ENTRIES_MAX;
    if (ioctl(b->kvm->device, KVM_GET_SUPPORTED_CPUID, b->supported) < 0)
        return error_set_errno(err, errno, "KVM does not tell its CPU features");
    memcpy(b->result, b->supported, size);
    return true;
}

static bool cpuid_make_models(struct cpuid_build *b, struct error *err)
{
    const char *name = b->config->cpu.model;
    u64 tsc_hz = b->kvm->tsc_khz ? (u64)b->kvm->tsc_khz * 1000 : b->kvm->machine->clock.tsc_hz;
    struct config *other = xcalloc(1, sizeof(*other)); /* borrows its strings */

    b->host = !name || !strcmp(name, "max") || !strcmp(name, "host");
    b->user = cpuid_model_new(b->config, tsc_hz, err);
    other->smp = b->config->smp;
    other->cpu = b->config->cpu;
    for (unsigned i = 0; i < other->cpu.flag_count; i++)
        other->cpu.flags[i].on = false;
    b->refused = b->user ? cpuid_model_new(other, tsc_hz, err) : NULL;
    other->cpu.flag_count = other->cpu.property_count = 0;
    b->plain = b->refused ? cpuid_model_new(other, tsc_hz, err) : NULL;
    free(other);
    return b->plain != NULL;
}

static bool cpuid_fill(struct cpuid_build *b, struct error *err)
{
    if (!cpuid_set_features(b, err))
        return false;
    cpuid_set_xsave(b);
    cpuid_set_identity(b);
    cpuid_set_topology(b);
    cpuid_set_kvm(b);
    /* The TSC's rate as a fraction of the APIC's clock, which is 1 GHz in KVM as in the software CPU. */
    if (cpuid_get(b->result, 0, 0)->eax >= 0x15)
        cpuid_copy(b, 0x15, 0);
    return true;
}

bool kvm_cpuid_init(struct kvm *kvm, const struct config *config, struct error *err)
{
    struct cpuid_build b = { .kvm = kvm, .config = config };
    bool ok = cpuid_read_supported(&b, err) && cpuid_make_models(&b, err) && cpuid_fill(&b, err);

    free(b.supported);
    cpuid_model_free(b.user);
    cpuid_model_free(b.plain);
    cpuid_model_free(b.refused);
    kvm->cpuid = b.result;
    return ok;
}

bool kvm_cpuid_set(struct kvm_cpu *cpu, struct error *err)
{
    struct kvm_cpuid2 *table = cpu->kvm->cpuid;
    u32 id = cpu->vcpu->apic_id;

    for (u32 i = 0; i < table->nent; i++) {
        if (table->entries[i].function == 1)
            table->entries[i].ebx = (table->entries[i].ebx & 0xFFFFFF) | id << 24;
        if (table->entries[i].function == 0xB)
            table->entries[i].edx = id;
    }
    return ioctl(cpu->fd, KVM_SET_CPUID2, table) == 0 ||
           error_set_errno(err, errno, "KVM refuses the features of CPU %u", cpu->vcpu->id);
}

void kvm_cpuid_signature(struct machine *machine, u32 *eax, u32 *edx)
{
    const struct kvm *kvm = machine->accel_state;
    const struct kvm_cpuid_entry2 *one = cpuid_get(kvm->cpuid, 1, 0);

    *eax = one->eax;
    *edx = one->edx;
}
