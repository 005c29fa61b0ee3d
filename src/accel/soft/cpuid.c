/* SPDX-License-Identifier: MIT */
/*
 * CPUID as the guest sees it: SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E; the KVM leaves of Linux,
 * Documentation/virt/kvm/x86/cpuid.rst.
 */
#include "accel/soft/cpuid.h"

#include <string.h>

#include "accel/soft/cpuid_model.h"
#include "accel/soft/state.h"
#include "base/bytes.h"

#define CPUID_HYPERVISOR     0x40000000u
#define CPUID_HYPERVISOR_MAX 0x40000010u
#define CPUID_EXTENDED       0x80000000u

#define ECX_1_OSXSAVE        BIT(27)
#define ECX_81_CMP_LEGACY    BIT(1)
#define APIC_BASE_ENABLE     BIT64(11)

#define APIC_CLOCK_HZ        1000000000u /* hw/lapic.c counts nanoseconds */

/* XSAVE area: legacy region and header, then AVX state (SDM vol. 1, 13.4 and 13.5.3). */
#define XSAVE_SIZE_BASE      576u
#define XSAVE_SIZE_AVX       256u

const u64 *cpuid_features(const struct cpuid_model *model)
{
    return model->features;
}

u32 cpuid_signature(const struct cpuid_model *model)
{
    return model->signature;
}

bool cpuid_is_amd(const struct cpuid_model *model)
{
    return model->vendor[0] == 'A';
}

bool cpuid_has_kvm(const struct cpuid_model *model)
{
    return model->kvm;
}

u64 cpuid_xcr0(const struct cpuid_model *model)
{
    if (!feature_has(model->features, FEAT_XSAVE))
        return 0;
    return XCR0_X87 | XCR0_SSE | (feature_has(model->features, FEAT_AVX) ? XCR0_AVX : 0);
}

unsigned cpuid_phys_bits(const struct cpuid_model *model)
{
    return model->phys_bits;
}

static unsigned cpuid_linear_bits(const struct cpuid_model *model)
{
    if (!feature_has(model->features, FEAT_LM))
        return 32;
    return feature_has(model->features, FEAT_LA57) ? 57 : 48;
}

/* --- Basic leaves --- */

static void cpuid_vendor(const struct cpuid_model *model, struct cpuid_result *r)
{
    r->ebx = load_le32(model->vendor);
    r->edx = load_le32(model->vendor + 4);
    r->ecx = load_le32(model->vendor + 8);
}

static void cpuid_leaf_0(const struct cpuid_model *model, const struct cpuid_query *q,
                         struct cpuid_result *r)
{
    (void)q;
    r->eax = model->max_basic;
    cpuid_vendor(model, r);
}

/* EBX: brand 0, CLFLUSH line of 64 bytes, logical CPUs of the package, initial APIC ID. */
static void cpuid_leaf_1(const struct cpuid_model *model, const struct cpuid_query *q,
                         struct cpuid_result *r)
{
    r->eax = model->signature;
    r->ebx = 8 << 8 | MIN(model->cores * model->threads, 255u) << 16 | (q->apic_id & 0xFF) << 24;
    r->ecx = model->words[WORD_1_ECX] | (q->cr4 & CR4_OSXSAVE ? ECX_1_OSXSAVE : 0);
    r->edx = model->words[WORD_1_EDX];
    if (!(q->apic_base & APIC_BASE_ENABLE))
        r->edx &= ~BIT(9);
}

/* One descriptor each: "see leaf 4" for the caches, "no information" for the TLBs. */
static void cpuid_leaf_2(const struct cpuid_model *model, const struct cpuid_query *q,
                         struct cpuid_result *r)
{
    (void)model;
    (void)q;
    r->eax = 0x00FEFF01;
}

/* Caches, as plausible as any: what programs size their buffers by. */
static const struct {
    u8 type, level, ways;
    u8 shared; /* by all cores of the package */
    u32 sets;
} cpuid_caches[] = {
    { 1, 1, 8, 0, 64 },     /* L1 data, 32 KiB */
    { 2, 1, 8, 0, 64 },     /* L1 code, 32 KiB */
    { 3, 2, 16, 0, 2048 },  /* L2, 2 MiB */
    { 3, 3, 16, 1, 16384 }, /* L3, 16 MiB */
};

static void cpuid_leaf_4(const struct cpuid_model *model, const struct cpuid_query *q,
                         struct cpuid_result *r)
{
    u32 package = 1u << (model->core_bits + model->thread_bits);
    u32 sharing;

    if (cpuid_is_amd(model) || q->subleaf >= ARRAY_SIZE(cpuid_caches))
        return;
    sharing = cpuid_caches[q->subleaf].shared ? package : 1u << model->thread_bits;
    r->eax = cpuid_caches[q->subleaf].type | cpuid_caches[q->subleaf].level << 5 | BIT(8) |
             (sharing - 1) << 14 | ((1u << model->core_bits) - 1) << 26;
    r->ebx = 63 | (cpuid_caches[q->subleaf].ways - 1u) << 22;
    r->ecx = cpuid_caches[q->subleaf].sets - 1;
}

static void cpuid_leaf_5(const struct cpuid_model *model, const struct cpuid_query *q,
                         struct cpuid_result *r)
{
    (void)q;
    if (!feature_has(model->features, FEAT_MONITOR))
        return;
    r->eax = 64;
    r->ebx = 64;
    r->ecx = 3; /* extensions listed here; interrupts break MWAIT even when masked */
}

static void cpuid_leaf_6(const struct cpuid_model *model, const struct cpuid_query *q,
                         struct cpuid_result *r)
{
    (void)q;
    r->eax = model->words[WORD_6_EAX];
}

static void cpuid_leaf_7(const struct cpuid_model *model, const struct cpuid_query *q,
                         struct cpuid_result *r)
{
    if (q->subleaf == 0) {
        r->eax = model->words[WORD_72_EDX] ? 2 : 0;
        r->ebx = model->words[WORD_7_EBX];
        r->ecx = model->words[WORD_7_ECX];
        r->edx = model->words[WORD_7_EDX];
    } else if (q->subleaf == 2) {
        r->edx = model->words[WORD_72_EDX];
    }
}

/* Topology: threads of a core, then cores of a package. */
static void cpuid_leaf_b(const struct cpuid_model *model, const struct cpuid_query *q,
                         struct cpuid_result *r)
{
    r->ecx = q->subleaf & 0xFF;
    r->edx = q->apic_id;
    if (q->subleaf == 0) {
        r->eax = model->thread_bits;
        r->ebx = model->threads;
        r->ecx |= 1 << 8;
    } else if (q->subleaf == 1) {
        r->eax = model->thread_bits + model->core_bits;
        r->ebx = model->threads * model->cores;
        r->ecx |= 2 << 8;
    }
}

static u32 cpuid_xsave_size(u64 components)
{
    return XSAVE_SIZE_BASE + (components & XCR0_AVX ? XSAVE_SIZE_AVX : 0);
}

static void cpuid_leaf_d(const struct cpuid_model *model, const struct cpuid_query *q,
                         struct cpuid_result *r)
{
    u64 supported = cpuid_xcr0(model);

    if (!supported)
        return;
    if (q->subleaf == 0) {
        r->eax = (u32)supported;
        r->ebx = cpuid_xsave_size(q->xcr0);
        r->ecx = cpuid_xsave_size(supported);
    } else if (q->subleaf == 1) {
        r->eax = model->words[WORD_D_EAX];
        r->ebx = r->eax & BIT(1) ? cpuid_xsave_size(q->xcr0 | q->xss) : 0;
    } else if (q->subleaf == 2 && (supported & XCR0_AVX)) {
        r->eax = XSAVE_SIZE_AVX;
        r->ebx = XSAVE_SIZE_BASE;
    }
}

static void cpuid_leaf_15(const struct cpuid_model *model, const struct cpuid_query *q,
                          struct cpuid_result *r)
{
    (void)q;
    r->eax = model->crystal_denominator;
    r->ebx = model->crystal_numerator;
    r->ecx = APIC_CLOCK_HZ;
}

static void cpuid_leaf_16(const struct cpuid_model *model, const struct cpuid_query *q,
                          struct cpuid_result *r)
{
    (void)q;
    r->eax = (u32)((model->tsc_hz + 500000) / 1000000) & 0xFFFF;
    r->ebx = r->eax;
    r->ecx = 100;
}

/* --- KVM leaves --- */

static void cpuid_leaf_kvm(const struct cpuid_model *model, const struct cpuid_query *q,
                           struct cpuid_result *r)
{
    switch (q->leaf) {
    case CPUID_HYPERVISOR:
        r->eax = CPUID_HYPERVISOR_MAX;
        r->ebx = load_le32("KVMK");
        r->ecx = load_le32("VMKV");
        r->edx = load_le32("M\0\0");
        break;
    case CPUID_HYPERVISOR + 1: r->eax = model->kvm_features; break;
    case CPUID_HYPERVISOR_MAX:
        r->eax = (u32)(model->tsc_hz / 1000);
        r->ebx = APIC_CLOCK_HZ / 1000;
        break;
    default: break;
    }
}

/* --- Extended leaves --- */

static void cpuid_leaf_80(const struct cpuid_model *model, const struct cpuid_query *q,
                          struct cpuid_result *r)
{
    (void)q;
    r->eax = model->max_extended;
    if (cpuid_is_amd(model))
        cpuid_vendor(model, r);
}

/* AMD repeats the bits of leaf 1 EDX that it had before Intel did (APM vol. 3, E.4.2). */
#define EDX_81_AMD_COPIES 0x0183F3FFu

static void cpuid_leaf_81(const struct cpuid_model *model, const struct cpuid_query *q,
                          struct cpuid_result *r)
{
    struct cpuid_result one = { 0 };

    r->ecx = model->words[WORD_81_ECX];
    r->edx = model->words[WORD_81_EDX];
    if (!cpuid_is_amd(model))
        return;
    cpuid_leaf_1(model, q, &one);
    r->eax = one.eax;
    r->edx |= one.edx & EDX_81_AMD_COPIES;
    if (model->cores * model->threads > 1)
        r->ecx |= ECX_81_CMP_LEGACY;
}

static void cpuid_leaf_brand(const struct cpuid_model *model, const struct cpuid_query *q,
                             struct cpuid_result *r)
{
    char text[48] = "";

    memcpy(text, model->brand, MIN(strlen(model->brand), sizeof(text) - 1));
    memcpy(r, text + 16 * (q->leaf - 0x80000002), sizeof(*r));
}

/* AMD's L1: data and code caches of 32 KiB, 8 ways, 64-byte lines; TLBs of 64 entries. */
static void cpuid_leaf_85(const struct cpuid_model *model, const struct cpuid_query *q,
                          struct cpuid_result *r)
{
    (void)q;
    if (!cpuid_is_amd(model))
        return;
    r->eax = 0xFF40FF40;
    r->ebx = 0xFF40FF40;
    r->ecx = 32 << 24 | 8 << 16 | 1 << 8 | 64;
    r->edx = r->ecx;
}

/* L2 of 2 MiB, 16 ways; for AMD also L3 of 16 MiB, 16 ways. */
static void cpuid_leaf_86(const struct cpuid_model *model, const struct cpuid_query *q,
                          struct cpuid_result *r)
{
    (void)q;
    r->ecx = 2048 << 16 | 8 << 12 | 64;
    if (cpuid_is_amd(model)) {
        r->ecx |= 1 << 8;
        r->edx = 32 << 18 | 8 << 12 | 1 << 8 | 64;
    }
}

static void cpuid_leaf_87(const struct cpuid_model *model, const struct cpuid_query *q,
                          struct cpuid_result *r)
{
    (void)q;
    r->edx = model->words[WORD_87_EDX];
}

/* Address widths; for AMD the CPUs of the package and the width of their field in the APIC ID. */
static void cpuid_leaf_88(const struct cpuid_model *model, const struct cpuid_query *q,
                          struct cpuid_result *r)
{
    (void)q;
    r->eax = cpuid_phys_bits(model) | cpuid_linear_bits(model) << 8;
    if (cpuid_is_amd(model) && model->cores * model->threads > 1)
        r->ecx = (model->cores * model->threads - 1) | (model->core_bits + model->thread_bits)
                                                           << 12;
}

/* --- Dispatch --- */

static const struct {
    u32 leaf;
    void (*fill)(const struct cpuid_model *model, const struct cpuid_query *query,
                 struct cpuid_result *result);
} cpuid_leaves[] = {
    { 0x0, cpuid_leaf_0 },
    { 0x1, cpuid_leaf_1 },
    { 0x2, cpuid_leaf_2 },
    { 0x4, cpuid_leaf_4 },
    { 0x5, cpuid_leaf_5 },
    { 0x6, cpuid_leaf_6 },
    { 0x7, cpuid_leaf_7 },
    { 0xB, cpuid_leaf_b },
    { 0xD, cpuid_leaf_d },
    { 0x15, cpuid_leaf_15 },
    { 0x16, cpuid_leaf_16 },
    { 0x80000000, cpuid_leaf_80 },
    { 0x80000001, cpuid_leaf_81 },
    { 0x80000002, cpuid_leaf_brand },
    { 0x80000003, cpuid_leaf_brand },
    { 0x80000004, cpuid_leaf_brand },
    { 0x80000005, cpuid_leaf_85 },
    { 0x80000006, cpuid_leaf_86 },
    { 0x80000007, cpuid_leaf_87 },
    { 0x80000008, cpuid_leaf_88 },
};

/* A leaf beyond its range shows the highest basic one (SDM vol. 2A, CPUID). */
static u32 cpuid_clamp_leaf(const struct cpuid_model *model, u32 leaf)
{
    if (leaf >= CPUID_EXTENDED)
        return leaf <= model->max_extended ? leaf : model->max_basic;
    return leaf <= model->max_basic ? leaf : model->max_basic;
}

struct cpuid_result cpuid_query(const struct cpuid_model *model, const struct cpuid_query *query)
{
    struct cpuid_result result = { 0 };
    struct cpuid_query q = *query;

    if (model->kvm && q.leaf >= CPUID_HYPERVISOR && q.leaf <= CPUID_HYPERVISOR_MAX) {
        cpuid_leaf_kvm(model, &q, &result);
        return result;
    }
    q.leaf = cpuid_clamp_leaf(model, q.leaf);
    for (size_t i = 0; i < ARRAY_SIZE(cpuid_leaves); i++) {
        if (cpuid_leaves[i].leaf == q.leaf) {
            cpuid_leaves[i].fill(model, &q, &result);
            break;
        }
    }
    return result;
}
