/* SPDX-License-Identifier: MIT */
/* CPU models, -cpu flags and what CPUID shows of them. SDM vol. 2A (CPUID), AMD APM vol. 3, appendix E. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/cpuid_model.h"
#include "accel/soft/host_cpu.h"
#include "accel/soft/state.h"
#include "cli/config.h"
#include "machine/topology.h"

#define TSC_HZ UINT64_C(2600000000)

struct fixture {
    struct config config;
    struct cpuid_host host;
    struct cpuid_model *model;
    struct error err;
};

static int setup(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    memset(f.host.words, 0xFF, sizeof(f.host.words));
    f.config.smp = (struct smp_config){ 1, 1, 1, 1, 1 };
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    cpuid_model_free(f->model);
    return 0;
}

static void flag(struct fixture *f, char *name, bool on)
{
    f->config.cpu.flags[f->config.cpu.flag_count++] = (struct cpu_flag){ name, on };
}

static void property(struct fixture *f, char *key, char *value)
{
    f->config.cpu.properties[f->config.cpu.property_count++] = (struct property){ key, value };
}

static bool build_at(struct fixture *f, char *name, u64 tsc_hz)
{
    cpuid_model_free(f->model);
    f->config.cpu.model = name;
    f->model = cpuid_model_build(&f->config, tsc_hz, &f->host, &f->err);
    f->config.cpu.flag_count = 0;
    f->config.cpu.property_count = 0;
    return f->model != NULL;
}

static bool build(struct fixture *f, char *name)
{
    return build_at(f, name, TSC_HZ);
}

static struct cpuid_result leaf(struct fixture *f, u32 number, u32 subleaf)
{
    struct cpuid_query query = {
        .leaf = number, .subleaf = subleaf, .apic_base = 0xFEE00900, .apic_id = 5
    };

    return cpuid_query(f->model, &query);
}

static bool has(struct fixture *f, enum cpu_feature feature)
{
    return feature_has(cpuid_features(f->model), feature);
}

static void assert_vendor(struct fixture *f, const char *vendor)
{
    struct cpuid_result r = leaf(f, 0, 0);

    assert_memory_equal(&r.ebx, vendor, 4);
    assert_memory_equal(&r.edx, vendor + 4, 4);
    assert_memory_equal(&r.ecx, vendor + 8, 4);
}

static void assert_brand(struct fixture *f, const char *brand)
{
    char text[48];

    for (u32 i = 0; i < 3; i++) {
        struct cpuid_result r = leaf(f, 0x80000002 + i, 0);

        memcpy(text + 16 * i, &r, 16);
    }
    assert_string_equal(text, brand);
}

/* --- Models --- */

static void max_is_the_default_and_of_the_hosts_vendor(void **state)
{
    struct fixture *f = *state;

    assert_true(build(f, NULL));
    assert_vendor(f, "GenuineIntel");
    assert_brand(f, "mote software CPU");
    assert_int_equal(leaf(f, 1, 0).eax, cpuid_signature(f->model));
    assert_int_equal(leaf(f, 0, 0).eax, 0x16);
    assert_false(cpuid_is_amd(f->model));
    f->host.amd = true;
    assert_true(build(f, "host"));
    assert_vendor(f, "AuthenticAMD");
    assert_true(cpuid_is_amd(f->model));
    assert_int_equal(leaf(f, 1, 0).eax >> 8 & 0xF, 0xF);
}

static void qemu64_is_qemus(void **state)
{
    struct fixture *f = *state;
    struct cpuid_result r;

    assert_true(build(f, "qemu64"));
    assert_vendor(f, "AuthenticAMD");
    assert_brand(f, "QEMU Virtual CPU version 2.5+");
    assert_int_equal(cpuid_signature(f->model), 0x60FB1);
    assert_int_equal(leaf(f, 0, 0).eax, 0xD);
    r = leaf(f, 0x80000001, 0);
    assert_true(r.edx & BIT(29));  /* LM */
    assert_true(r.edx & BIT(11));  /* SYSCALL */
    assert_true(r.edx & BIT(0));   /* AMD repeats leaf 1 */
    assert_false(r.edx & BIT(27)); /* RDTSCP */
    assert_false(has(f, FEAT_AVX) || has(f, FEAT_SSSE3) || has(f, FEAT_XSAVE));
    assert_true(has(f, FEAT_SSE3) && has(f, FEAT_CX16));
}

static void qemu32_has_no_long_mode(void **state)
{
    struct fixture *f = *state;

    assert_true(build(f, "qemu32"));
    assert_false(has(f, FEAT_LM) || has(f, FEAT_SYSCALL) || has(f, FEAT_NX));
    assert_true(has(f, FEAT_PAE) && has(f, FEAT_SEP));
    assert_int_equal(cpuid_phys_bits(f->model), 36);
    assert_int_equal(leaf(f, 0x80000000, 0).eax, 0x80000004);
}

static void x86_64_levels(void **state)
{
    static const struct {
        char *name;
        bool v2, v3;
    } cases[] = {
        { "x86-64", false, false },  { "x86-64-v1", false, false }, { "x86-64-v2", true, false },
        { "x86-64-v3", true, true }, { "max", true, true },
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_true(build(f, cases[i].name));
        assert_true(has(f, FEAT_SSE2) && has(f, FEAT_LM) && has(f, FEAT_X2APIC) &&
                    has(f, FEAT_INVTSC));
        assert_int_equal(has(f, FEAT_SSE42) && has(f, FEAT_POPCNT) && has(f, FEAT_CX16),
                         cases[i].v2);
        assert_int_equal(has(f, FEAT_AVX2) && has(f, FEAT_BMI2) && has(f, FEAT_MOVBE), cases[i].v3);
    }
    assert_false(build(f, "x86-64-v4"));
    assert_non_null(strstr(f->err.text, "x86-64-v3"));
}

static void unknown_models_name_the_nearest(void **state)
{
    struct fixture *f = *state;

    assert_false(build(f, "qemu46"));
    assert_string_equal(f->err.text, "unable to find CPU model 'qemu46'; did you mean 'qemu64'?");
    assert_false(build(f, "pentium-pro"));
    assert_non_null(strstr(f->err.text, "unable to find CPU model 'pentium-pro'"));
}

/* --- Flags --- */

static void flags_have_many_spellings(void **state)
{
    static const struct {
        char *name;
        enum cpu_feature feature;
    } cases[] = {
        { "sse4.1", FEAT_SSE41 },
        { "sse4_1", FEAT_SSE41 },
        { "sse4-1", FEAT_SSE41 },
        { "lahf_lm", FEAT_LAHF_LM },
        { "pni", FEAT_SSE3 },
        { "sse3", FEAT_SSE3 },
        { "abm", FEAT_LZCNT },
        { "lzcnt", FEAT_LZCNT },
        { "tsc-deadline", FEAT_TSC_DEADLINE },
        { "sha_ni", FEAT_SHA },
        { "invtsc", FEAT_INVTSC },
        { "hypervisor", FEAT_HYPERVISOR },
        { "arch_capabilities", FEAT_ARCH_CAPABILITIES },
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        flag(f, cases[i].name, false);
        assert_true(build(f, "max"));
        assert_false(has(f, cases[i].feature));
        flag(f, cases[i].name, true);
        assert_true(build(f, "x86-64-v3"));
        assert_true(has(f, cases[i].feature));
    }
}

static void last_word_on_a_flag_wins(void **state)
{
    struct fixture *f = *state;

    flag(f, "avx", false);
    flag(f, "avx", true);
    assert_true(build(f, "max"));
    assert_true(has(f, FEAT_AVX));
}

static void features_go_with_what_they_need(void **state)
{
    struct fixture *f = *state;

    flag(f, "xsave", false);
    assert_true(build(f, "max"));
    assert_false(has(f, FEAT_AVX) || has(f, FEAT_AVX2) || has(f, FEAT_FMA) || has(f, FEAT_XSAVEC));
    assert_int_equal(cpuid_xcr0(f->model), 0);
    flag(f, "lm", false);
    assert_true(build(f, "max"));
    assert_false(has(f, FEAT_SYSCALL) || has(f, FEAT_PCID) || has(f, FEAT_INVPCID));
    flag(f, "apic", false);
    assert_true(build(f, "max"));
    assert_false(has(f, FEAT_X2APIC));
}

static void unknown_flags_name_the_nearest(void **state)
{
    struct fixture *f = *state;

    flag(f, "rdtscq", true);
    assert_false(build(f, "max"));
    assert_string_equal(f->err.text,
                        "Property 'max-x86_64-cpu.rdtscq' not found; did you mean 'rdtscp'?");
    flag(f, "nonsense", false);
    assert_false(build(f, "qemu64"));
    assert_string_equal(f->err.text, "Property 'qemu64-x86_64-cpu.nonsense' not found");
}

static void host_limits_what_its_instructions_run(void **state)
{
    struct fixture *f = *state;

    f->host.words[WORD_1_ECX] &= ~BIT(28);
    f->host.words[WORD_7_EBX] = 0;
    assert_true(build(f, "max"));
    assert_false(has(f, FEAT_AVX) || has(f, FEAT_AVX2) || has(f, FEAT_FMA) || has(f, FEAT_SHA));
    assert_true(has(f, FEAT_SSE42));
    assert_true(has(f, FEAT_SMEP) && has(f, FEAT_FSGSBASE)); /* the engine's own */
    assert_int_equal(cpuid_xcr0(f->model), XCR0_X87 | XCR0_SSE);
    flag(f, "avx", true);
    assert_true(build(f, "max")); /* with a warning */
    assert_false(has(f, FEAT_AVX));
}

static void enforce_makes_a_missing_feature_an_error(void **state)
{
    struct fixture *f = *state;

    flag(f, "avx512f", true);
    assert_true(build(f, "max"));
    flag(f, "avx512f", true);
    flag(f, "enforce", true);
    assert_false(build(f, "max"));
    assert_string_equal(f->err.text, "Host doesn't support requested features");
    flag(f, "avx512f", false);
    flag(f, "enforce", true);
    assert_true(build(f, "max"));
}

static void qemu_properties_without_meaning_here_are_taken(void **state)
{
    static char *const names[] = { "host-phys-bits", "pmu",        "migratable",
                                   "l3-cache",       "kvm-pv-eoi", "check" };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        flag(f, names[i], true);
        assert_true(build(f, "max"));
    }
}

static void identity_properties(void **state)
{
    struct fixture *f = *state;

    property(f, "vendor", "AuthenticAMD");
    property(f, "family", "25");
    property(f, "model", "0x21");
    property(f, "stepping", "2");
    property(f, "model-id", "A CPU");
    property(f, "phys-bits", "39");
    assert_true(build(f, "max"));
    assert_vendor(f, "AuthenticAMD");
    assert_int_equal(cpuid_signature(f->model), 0xA20F12);
    assert_brand(f, "A CPU");
    assert_int_equal(leaf(f, 0x80000008, 0).eax & 0xFF, 39);
    property(f, "family", "6");
    property(f, "model", "42");
    property(f, "stepping", "7");
    assert_true(build(f, "max"));
    assert_int_equal(cpuid_signature(f->model), 0x206A7);
}

static void bad_property_values(void **state)
{
    static const struct {
        char *key, *value;
    } cases[] = {
        { "vendor", "Intel" },
        { "family", "271" },
        { "family", "six" },
        { "model", "256" },
        { "stepping", "16" },
        { "stepping", "" },
        { "stepping", "0x" },
        { "phys-bits", "35" },
        { "phys-bits", "47" },
        { "model-id", "a name that is longer than the forty-eight bytes of CPUID" },
        { "famly", "6" },
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        property(f, cases[i].key, cases[i].value);
        assert_false(build(f, "max"));
        assert_non_null(strstr(f->err.text, cases[i].key));
    }
}

/* --- Leaves --- */

static void dynamic_bits_of_leaf_1(void **state)
{
    struct cpuid_query query = { .leaf = 1, .apic_id = 0x1234, .apic_base = 0xFEE00900 };
    struct fixture *f = *state;
    struct cpuid_result r;

    assert_true(build(f, "max"));
    r = cpuid_query(f->model, &query);
    assert_int_equal(r.ebx >> 24, 0x34);
    assert_int_equal(r.ebx >> 8 & 0xFF, 8);
    assert_false(r.ecx & BIT(27));
    assert_true(r.edx & BIT(9));
    query.cr4 = CR4_OSXSAVE;
    query.apic_base = 0xFEE00100;
    r = cpuid_query(f->model, &query);
    assert_true(r.ecx & BIT(27));
    assert_false(r.edx & BIT(9));
}

static void what_the_engine_lacks_is_not_offered(void **state)
{
    struct fixture *f = *state;

    assert_true(build(f, "max"));
    assert_int_equal(leaf(f, 7, 0).ebx & (BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31)),
                     0);                                                    /* AVX-512 */
    assert_int_equal(leaf(f, 7, 0).ecx & (BIT(3) | BIT(7)), 0);             /* PKU, CET */
    assert_int_equal(leaf(f, 7, 0).edx & (BIT(22) | BIT(24) | BIT(25)), 0); /* AMX */
    assert_int_equal(leaf(f, 1, 0).ecx & (BIT(5) | BIT(6)), 0);             /* VMX, SMX */
    assert_int_equal(leaf(f, 1, 0).edx & BIT(1), 0);                        /* VME */
    assert_int_equal(leaf(f, 0xD, 1).eax & BIT(3), 0);                      /* XSAVES */
    assert_int_equal(leaf(f, 7, 0).eax, 2);
    assert_int_equal(leaf(f, 7, 1).eax, 0);
    assert_int_equal(leaf(f, 7, 2).edx,
                     BIT(4)); /* BHI_CTRL, so that Linux clears no branch history itself */
    assert_true(build(f, "qemu64"));
    assert_int_equal(leaf(f, 7, 0).eax, 0);
}

static void topology_leaves(void **state)
{
    struct fixture *f = *state;
    struct cpuid_result r;

    f->config.smp = (struct smp_config){ .cpus = 12, .sockets = 2, .cores = 3, .threads = 2 };
    assert_true(build(f, "max"));
    r = leaf(f, 0xB, 0);
    assert_int_equal(r.eax, 1);
    assert_int_equal(r.ebx, 2);
    assert_int_equal(r.ecx, 0x100);
    assert_int_equal(r.edx, 5);
    r = leaf(f, 0xB, 1);
    assert_int_equal(r.eax, 3);
    assert_int_equal(r.ebx, 6);
    assert_int_equal(r.ecx, 0x201);
    r = leaf(f, 0xB, 2);
    assert_int_equal(r.eax | r.ebx, 0);
    assert_int_equal(r.ecx, 2);
    assert_true(leaf(f, 1, 0).edx & BIT(28));
    assert_int_equal(leaf(f, 1, 0).ebx >> 16 & 0xFF, 6);
    assert_int_equal(leaf(f, 4, 0).eax >> 26, 3);         /* core IDs of a package, less one */
    assert_int_equal(leaf(f, 4, 0).eax >> 14 & 0xFFF, 1); /* L1 is shared by the threads */
    assert_int_equal(leaf(f, 4, 3).eax >> 14 & 0xFFF, 7); /* L3 by the package */
    assert_true(build(f, "qemu64"));
    assert_int_equal(leaf(f, 0x80000008, 0).ecx, 3 << 12 | 5);
    assert_true(leaf(f, 0x80000001, 0).ecx & BIT(1)); /* CMP_LEGACY */
}

static void single_cpu_has_no_topology(void **state)
{
    struct fixture *f = *state;

    assert_true(build(f, "max"));
    assert_false(leaf(f, 1, 0).edx & BIT(28));
    assert_int_equal(leaf(f, 0xB, 0).eax, 0);
    assert_int_equal(leaf(f, 0xB, 0).ebx, 1);
    assert_int_equal(leaf(f, 0xB, 1).ebx, 1);
}

static void caches(void **state)
{
    static const u32 sizes[] = { 32, 32, 2048, 16384 };
    struct fixture *f = *state;

    assert_true(build(f, "max"));
    for (u32 i = 0; i < 4; i++) {
        struct cpuid_result r = leaf(f, 4, i);
        u32 bytes = ((r.ebx >> 22) + 1) * ((r.ebx & 0xFFF) + 1) * (r.ecx + 1);

        assert_int_equal(bytes, sizes[i] * 1024);
    }
    assert_int_equal(leaf(f, 4, 4).eax, 0);
}

static void xsave_sizes(void **state)
{
    struct cpuid_query query = { .leaf = 0xD, .xcr0 = 3 };
    struct fixture *f = *state;

    assert_true(build(f, "max"));
    assert_int_equal(leaf(f, 0xD, 0).eax, 7);
    assert_int_equal(leaf(f, 0xD, 0).ecx, 832);
    assert_int_equal(cpuid_query(f->model, &query).ebx, 576);
    query.xcr0 = 7;
    assert_int_equal(cpuid_query(f->model, &query).ebx, 832);
    query.subleaf = 1;
    assert_int_equal(cpuid_query(f->model, &query).ebx, 832);
    assert_int_equal(leaf(f, 0xD, 1).eax, 7);
    assert_int_equal(leaf(f, 0xD, 2).eax, 256);
    assert_int_equal(leaf(f, 0xD, 2).ebx, 576);
    assert_int_equal(leaf(f, 0xD, 3).eax, 0);
    assert_true(build(f, "qemu64"));
    assert_int_equal(leaf(f, 0xD, 0).eax, 0);
}

static void tsc_leaves_agree(void **state)
{
    static const u64 rates[] = { 1000000000, 2600000000, 2599998000,
                                 2592123456, 3399999000, 800000000 };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
        struct cpuid_result r;
        u64 khz;

        assert_true(build_at(f, "max", rates[i]));
        r = leaf(f, 0x15, 0);
        assert_int_equal(r.ecx, 1000000000);
        khz = UINT64_C(1000000) * r.ebx;
        assert_true(khz <= UINT32_MAX); /* Linux multiplies in 32 bits */
        khz /= r.eax;
        assert_in_range(khz * 1000 + 3000, rates[i], rates[i] + 5000);
        assert_int_equal(leaf(f, 0x16, 0).eax, (rates[i] + 500000) / 1000000);
        assert_int_equal(leaf(f, 0x40000010, 0).eax, rates[i] / 1000);
        assert_int_equal(leaf(f, 0x40000010, 0).ebx, 1000000);
    }
    assert_true(leaf(f, 0x80000007, 0).edx & BIT(8));
    assert_true(leaf(f, 6, 0).eax & BIT(2));
}

static void kvm_leaves(void **state)
{
    struct fixture *f = *state;
    struct cpuid_result r;

    assert_true(build(f, "qemu64"));
    assert_true(leaf(f, 1, 0).ecx & BIT(31));
    r = leaf(f, 0x40000000, 0);
    assert_memory_equal(&r.ebx, "KVMKVMKVM\0\0\0", 12);
    assert_true(r.eax >= 0x40000001);
    r = leaf(f, 0x40000001, 0);
    assert_int_equal(r.eax, BIT(0) | BIT(1) | BIT(3) | BIT(7) | BIT(24));
    flag(f, "kvm-pv-unhalt", false);
    assert_true(build(f, "max"));
    assert_false(leaf(f, 0x40000001, 0).eax & BIT(7));
    flag(f, "kvm", false);
    assert_true(build(f, "max"));
    assert_false(cpuid_has_kvm(f->model));
    assert_int_not_equal(leaf(f, 0x40000000, 0).ebx, r.ebx | 0x4B4D564B);
}

static void leaves_out_of_range_show_the_highest_basic_one(void **state)
{
    struct fixture *f = *state;
    struct cpuid_result top, r;

    assert_true(build(f, "max"));
    top = leaf(f, 0x16, 0);
    r = leaf(f, 0x17, 0);
    assert_memory_equal(&r, &top, sizeof(r));
    r = leaf(f, 0x80000009, 0);
    assert_memory_equal(&r, &top, sizeof(r));
    r = leaf(f, 0x40000100, 0);
    assert_memory_equal(&r, &top, sizeof(r));
    r = leaf(f, 3, 0); /* in range, without content */
    assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
}

static void address_sizes(void **state)
{
    struct fixture *f = *state;

    assert_true(build(f, "max"));
    assert_int_equal(leaf(f, 0x80000008, 0).eax, 48 << 8 | 40);
    flag(f, "la57", true);
    assert_true(build(f, "max"));
    assert_int_equal(leaf(f, 0x80000008, 0).eax, 57 << 8 | 40);
}

static void this_host_can_run_every_model(void **state)
{
    static char *const names[] = { "max", "host", "qemu64", "qemu32", "x86-64" };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        f->config.cpu.model = names[i];
        cpuid_model_free(f->model);
        f->model = cpuid_model_new(&f->config, TSC_HZ, &f->err);
        assert_non_null(f->model);
        assert_int_equal(has(f, FEAT_SSE2), HOST_X86);
    }
    cpuid_print_help();
}

#define CPUID_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CPUID_TEST(max_is_the_default_and_of_the_hosts_vendor),
        CPUID_TEST(qemu64_is_qemus),
        CPUID_TEST(qemu32_has_no_long_mode),
        CPUID_TEST(x86_64_levels),
        CPUID_TEST(unknown_models_name_the_nearest),
        CPUID_TEST(flags_have_many_spellings),
        CPUID_TEST(last_word_on_a_flag_wins),
        CPUID_TEST(features_go_with_what_they_need),
        CPUID_TEST(unknown_flags_name_the_nearest),
        CPUID_TEST(host_limits_what_its_instructions_run),
        CPUID_TEST(enforce_makes_a_missing_feature_an_error),
        CPUID_TEST(qemu_properties_without_meaning_here_are_taken),
        CPUID_TEST(identity_properties),
        CPUID_TEST(bad_property_values),
        CPUID_TEST(dynamic_bits_of_leaf_1),
        CPUID_TEST(what_the_engine_lacks_is_not_offered),
        CPUID_TEST(topology_leaves),
        CPUID_TEST(single_cpu_has_no_topology),
        CPUID_TEST(caches),
        CPUID_TEST(xsave_sizes),
        CPUID_TEST(tsc_leaves_agree),
        CPUID_TEST(kvm_leaves),
        CPUID_TEST(leaves_out_of_range_show_the_highest_basic_one),
        CPUID_TEST(address_sizes),
        CPUID_TEST(this_host_can_run_every_model),
    };

    return cmocka_run_group_tests_name("soft/cpuid", tests, NULL, NULL);
}
