/* SPDX-License-Identifier: MIT */
/* Model-specific registers: who has which, what may be written. SDM vol. 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/msr.h"
#include "sys_fixture.h"

#define NOT_CANONICAL (UINT64_C(1) << 47)

static u64 read_ok(struct sys *s, u32 index)
{
    u64 value = 0;

    assert_true(msr_read(s->cpu, index, &value));
    return value;
}

static void write_ok(struct sys *s, u32 index, u64 value)
{
    assert_true(msr_write(s->cpu, index, value));
}

static bool readable(struct sys *s, u32 index)
{
    u64 value;

    return msr_read(s->cpu, index, &value);
}

/* --- Storage --- */

static void stored_registers_give_back_what_was_written(void **state)
{
    static const u32 stored[] = {
        MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,   MSR_STAR,
        MSR_LSTAR,       MSR_CSTAR,        MSR_FMASK,          MSR_FS_BASE,
        MSR_GS_BASE,     MSR_TSC_AUX,      MSR_KERNEL_GS_BASE,
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(stored); i++) {
        write_ok(s, stored[i], 0x12345670 + i);
        assert_int_equal(read_ok(s, stored[i]), 0x12345670 + i);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(stored); i++)
        assert_int_equal(read_ok(s, stored[i]), 0x12345670 + i);
    assert_int_equal(s->cpu->seg[SEG_GS].base, read_ok(s, MSR_GS_BASE));
}

static void addresses_must_be_canonical(void **state)
{
    static const u32 addresses[] = { MSR_SYSENTER_ESP,  MSR_SYSENTER_EIP, MSR_LSTAR,
                                     MSR_CSTAR,         MSR_FS_BASE,      MSR_GS_BASE,
                                     MSR_KERNEL_GS_BASE };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
        assert_false(msr_write(s->cpu, addresses[i], NOT_CANONICAL));
        assert_int_equal(read_ok(s, addresses[i]), 0);
        write_ok(s, addresses[i], UINT64_C(0xFFFF800000000000));
    }
    s->cpu->cr4 |= CR4_LA57;
    write_ok(s, MSR_LSTAR, NOT_CANONICAL);
    assert_false(msr_write(s->cpu, MSR_LSTAR, UINT64_C(1) << 56));
}

static void tsc_aux_has_32_bits(void **state)
{
    struct sys *s = *state;

    assert_false(msr_write(s->cpu, MSR_TSC_AUX, UINT64_C(1) << 32));
}

static void unknown_and_read_only_registers_fault(void **state)
{
    static const u32 unknown[] = {
        0, 0x13, 0x141, 0x3FF, 0x400, 0xDA0, 0x4B564D02, 0xC0000104, ~0u
    };
    static const u32 read_only[] = { MSR_MTRRCAP, MSR_ARCH_CAPABILITIES, MSR_MCG_CAP,
                                     MSR_PLATFORM_INFO };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
        assert_false(readable(s, unknown[i]));
        assert_false(msr_write(s->cpu, unknown[i], 0));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(read_only); i++) {
        assert_true(readable(s, read_only[i]));
        assert_false(msr_write(s->cpu, read_only[i], 0));
    }
    assert_false(readable(s, MSR_PRED_CMD));
}

static void registers_come_with_their_features(void **state)
{
    static const struct {
        const char *flag;
        u32 index;
    } cases[] = {
        { "spec-ctrl", MSR_SPEC_CTRL },
        { "arch-capabilities", MSR_ARCH_CAPABILITIES },
        { "rdtscp", MSR_TSC_AUX },
        { "mtrr", MSR_MTRR_DEF_TYPE },
        { "x2apic", 0x802 },
        { "tsc-deadline", MSR_TSC_DEADLINE },
        { "tsc-adjust", MSR_TSC_ADJUST },
        { "kvm", MSR_KVM_SYSTEM_TIME },
        { "kvm", MSR_KVM_WALL_CLOCK_OLD },
        { "pat", MSR_PAT },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_model(s, "max", NULL, false);
        assert_true(readable(s, cases[i].index));
        sys_model(s, "max", cases[i].flag, false);
        assert_false(readable(s, cases[i].index));
        assert_false(msr_write(s->cpu, cases[i].index, 0));
    }
}

/* --- EFER --- */

static void efer_bits(void **state)
{
    struct sys *s = *state;

    write_ok(s, MSR_EFER, EFER_SCE | EFER_NXE | EFER_LME | EFER_LMA);
    assert_int_equal(s->cpu->msr.efer, EFER_SCE | EFER_NXE | EFER_LME); /* LMA is the CPU's own */
    assert_false(msr_write(s->cpu, MSR_EFER, BIT64(12)));
    sys_model(s, "qemu32", NULL, false);
    assert_false(msr_write(s->cpu, MSR_EFER, EFER_LME));
    assert_false(msr_write(s->cpu, MSR_EFER, EFER_SCE));
}

static void lme_may_not_change_while_paging(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    assert_false(msr_write(s->cpu, MSR_EFER, EFER_SCE));
    write_ok(s, MSR_EFER, EFER_LME | EFER_NXE);
    assert_int_equal(s->cpu->msr.efer, EFER_LME | EFER_LMA | EFER_NXE);
}

static void nxe_flushes_translations(void **state)
{
    struct sys *s = *state;
    u64 generation;

    sys_long(s, 0);
    generation = s->cpu->tlb_gen;
    write_ok(s, MSR_EFER, EFER_LME | EFER_SCE);
    assert_int_equal(s->cpu->tlb_gen, generation);
    write_ok(s, MSR_EFER, EFER_LME | EFER_SCE | EFER_NXE);
    assert_int_not_equal(s->cpu->tlb_gen, generation);
}

/* --- Memory types --- */

static void pat_types(void **state)
{
    struct sys *s = *state;

    assert_int_equal(read_ok(s, MSR_PAT), UINT64_C(0x0007040600070406));
    write_ok(s, MSR_PAT, UINT64_C(0x0007050600070106));
    assert_false(msr_write(s->cpu, MSR_PAT, 2));
    assert_false(msr_write(s->cpu, MSR_PAT, UINT64_C(3) << 56));
    assert_false(msr_write(s->cpu, MSR_PAT, 8));
    assert_int_equal(read_ok(s, MSR_PAT), UINT64_C(0x0007050600070106));
}

static void fixed_mtrrs(void **state)
{
    static const u32 fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26A,
                                 0x26B, 0x26C, 0x26D, 0x26E, 0x26F };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
        write_ok(s, fixed[i], UINT64_C(0x0605040100060000) + (i & 1));
    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
        assert_int_equal(read_ok(s, fixed[i]), UINT64_C(0x0605040100060000) + (i & 1));
        assert_false(msr_write(s->cpu, fixed[i], 7)); /* UC- is PAT's alone */
        assert_false(msr_write(s->cpu, fixed[i], 2));
    }
    assert_false(readable(s, 0x251));
    assert_false(readable(s, 0x25A));
}

static void variable_mtrrs(void **state)
{
    struct sys *s = *state;

    assert_int_equal(read_ok(s, MSR_MTRRCAP), 0x508);
    for (u32 i = 0; i < 16; i++)
        write_ok(s, 0x200 + i, UINT64_C(0xFF00000000) | (i & 1 ? 0x800 : 6));
    for (u32 i = 0; i < 16; i++)
        assert_int_equal(read_ok(s, 0x200 + i), UINT64_C(0xFF00000000) | (i & 1 ? 0x800 : 6));
    assert_false(msr_write(s->cpu, 0x200, 0x102)); /* reserved bits, no such type */
    assert_false(msr_write(s->cpu, 0x200, 2));
    assert_false(msr_write(s->cpu, 0x200, UINT64_C(1) << 40));
    assert_false(msr_write(s->cpu, 0x201, 0x400));
    assert_false(readable(s, 0x210));
}

static void default_memory_type(void **state)
{
    struct sys *s = *state;

    write_ok(s, MSR_MTRR_DEF_TYPE, 0xC06);
    assert_int_equal(read_ok(s, MSR_MTRR_DEF_TYPE), 0xC06);
    assert_false(msr_write(s->cpu, MSR_MTRR_DEF_TYPE, 0x1006));
    assert_false(msr_write(s->cpu, MSR_MTRR_DEF_TYPE, 0xC02));
}

/* --- Time --- */

static void tsc_write_moves_the_offset_and_tsc_adjust(void **state)
{
    struct sys *s = *state;

    clock_step(&s->machine.clock, 1000);
    assert_int_equal(read_ok(s, MSR_TSC), 1000);
    write_ok(s, MSR_TSC, 5000);
    assert_int_equal(read_ok(s, MSR_TSC), 5000);
    assert_int_equal(read_ok(s, MSR_TSC_ADJUST), 4000);
    write_ok(s, MSR_TSC_ADJUST, 1000);
    assert_int_equal(read_ok(s, MSR_TSC), 2000);
    clock_step(&s->machine.clock, 10);
    assert_int_equal(read_ok(s, MSR_TSC), 2010);
    write_ok(s, MSR_TSC, 0);
    assert_int_equal(read_ok(s, MSR_TSC), 0);
    assert_int_equal(read_ok(s, MSR_TSC_ADJUST), (u64)-1010);
}

static void armed_deadline_is_timed_anew_when_the_tsc_moves(void **state)
{
    struct sys *s = *state;

    write_ok(s, MSR_TSC_DEADLINE, 9000);
    assert_int_equal(s->deadline, 9000);
    s->deadline_writes = 0;
    write_ok(s, MSR_TSC, 5000);
    assert_int_equal(s->deadline, 9000);
    assert_int_equal(s->deadline_writes, 1);
    write_ok(s, MSR_TSC_DEADLINE, 0);
    s->deadline_writes = 0;
    write_ok(s, MSR_TSC, 7000);
    assert_int_equal(s->deadline_writes, 0); /* none was armed */
}

/* --- Local APIC --- */

static void apic_registers_go_to_the_apic(void **state)
{
    struct sys *s = *state;

    s->apic_value = 42;
    assert_int_equal(read_ok(s, 0x802), 42);
    assert_int_equal(s->apic_msr, 0x802);
    write_ok(s, 0x80B, 0);
    assert_int_equal(s->apic_msr, 0x80B);
    write_ok(s, 0x8FF, 0);
    s->apic_refuses = true;
    assert_false(readable(s, 0x802));
    assert_false(msr_write(s->cpu, 0x80B, 0));
}

static void apic_base_bits(void **state)
{
    struct sys *s = *state;

    assert_int_equal(read_ok(s, MSR_APIC_BASE), 0xFEE00900);
    write_ok(s, MSR_APIC_BASE, 0xFEE00D00);
    assert_int_equal(s->apic_base, 0xFEE00D00);
    assert_false(msr_write(s->cpu, MSR_APIC_BASE, 0xFEE00901));
    assert_false(msr_write(s->cpu, MSR_APIC_BASE, UINT64_C(1) << 40 | 0x900));
    sys_model(s, "max", "x2apic", false);
    assert_false(msr_write(s->cpu, MSR_APIC_BASE, 0xFEE00D00));
    write_ok(s, MSR_APIC_BASE, 0xFEE00900);
}

/* --- What tells guests that all is well --- */

static void arch_capabilities_deny_every_known_leak(void **state)
{
    static const unsigned bits[] = { 0, 1, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62 };
    struct sys *s = *state;
    u64 value = read_ok(s, MSR_ARCH_CAPABILITIES);

    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
        assert_true(value >> bits[i] & 1);
    assert_false(value >> 2 & 1); /* RSBA would be a confession */
}

static void speculation_control(void **state)
{
    struct sys *s = *state;

    write_ok(s, MSR_SPEC_CTRL, 5);
    assert_int_equal(read_ok(s, MSR_SPEC_CTRL), 5);
    assert_false(msr_write(s->cpu, MSR_SPEC_CTRL, 8));
    write_ok(s, MSR_SPEC_CTRL, 0x401);
    write_ok(s, MSR_PRED_CMD, 1);
    assert_false(msr_write(s->cpu, MSR_PRED_CMD, 2));
    sys_model(s, "max", "bhi-ctrl", false);
    assert_false(msr_write(s->cpu, MSR_SPEC_CTRL, 0x401));
}

static void microcode_revision_is_in_the_vendors_half(void **state)
{
    struct sys *s = *state;

    write_ok(s, MSR_BIOS_SIGN_ID, 0);
    assert_int_equal(read_ok(s, MSR_BIOS_SIGN_ID), UINT64_C(1) << 32);
    sys_model(s, "qemu64", NULL, false);
    assert_int_equal(read_ok(s, MSR_BIOS_SIGN_ID), 1);
}

static void fast_strings_are_on(void **state)
{
    struct sys *s = *state;

    assert_true(read_ok(s, MSR_MISC_ENABLE) & 1);
    write_ok(s, MSR_MISC_ENABLE, 0);
    assert_int_equal(read_ok(s, MSR_MISC_ENABLE),
                     0x1800); /* no BTS, no PEBS, whatever is written */
}

static void machine_check_has_no_banks(void **state)
{
    struct sys *s = *state;

    assert_int_equal(read_ok(s, MSR_MCG_CAP), 0);
    write_ok(s, MSR_MCG_STATUS, 0);
    assert_false(msr_write(s->cpu, MSR_MCG_STATUS, 8));
    assert_false(readable(s, 0x17B));
}

static void debugctl_takes_lbr_and_btf(void **state)
{
    struct sys *s = *state;

    write_ok(s, MSR_DEBUGCTL, 3);
    assert_int_equal(read_ok(s, MSR_DEBUGCTL), 0);
    assert_false(msr_write(s->cpu, MSR_DEBUGCTL, 4));
}

#define MSR_TEST(name) cmocka_unit_test_setup_teardown(name, sys_setup, sys_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MSR_TEST(stored_registers_give_back_what_was_written),
        MSR_TEST(addresses_must_be_canonical),
        MSR_TEST(tsc_aux_has_32_bits),
        MSR_TEST(unknown_and_read_only_registers_fault),
        MSR_TEST(registers_come_with_their_features),
        MSR_TEST(efer_bits),
        MSR_TEST(lme_may_not_change_while_paging),
        MSR_TEST(nxe_flushes_translations),
        MSR_TEST(pat_types),
        MSR_TEST(fixed_mtrrs),
        MSR_TEST(variable_mtrrs),
        MSR_TEST(default_memory_type),
        MSR_TEST(tsc_write_moves_the_offset_and_tsc_adjust),
        MSR_TEST(armed_deadline_is_timed_anew_when_the_tsc_moves),
        MSR_TEST(apic_registers_go_to_the_apic),
        MSR_TEST(apic_base_bits),
        MSR_TEST(arch_capabilities_deny_every_known_leak),
        MSR_TEST(speculation_control),
        MSR_TEST(microcode_revision_is_in_the_vendors_half),
        MSR_TEST(fast_strings_are_on),
        MSR_TEST(machine_check_has_no_banks),
        MSR_TEST(debugctl_takes_lbr_and_btf),
    };

    return cmocka_run_group_tests_name("soft/msr", tests, NULL, NULL);
}
