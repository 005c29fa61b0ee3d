/* SPDX-License-Identifier: MIT */
/* kvmclock pages. Linux, Documentation/virt/kvm/x86/msr.rst. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/cpu_reset.h"
#include "accel/soft/kvmclock.h"
#include "accel/soft/msr.h"
#include "sys_fixture.h"

#define PAGE 0x8000u

/* What a guest does with the page at guest TSC `tsc`. */
static u64 guest_time(struct sys *s, u64 tsc)
{
    u64 delta = tsc - sys_get(s, PAGE + 8, 8);
    i8 shift = (i8)sys_get(s, PAGE + 28, 1);

    delta = shift < 0 ? delta >> -shift : delta << shift;
    return sys_get(s, PAGE + 16, 8) +
           (u64)((unsigned __int128)delta * sys_get(s, PAGE + 24, 4) >> 32);
}

static void scale_is_exact_to_a_part_in_a_billion(void **state)
{
    static const u64 rates[] = { 1000000,    333333333,  999999999,  1000000000, 1000000001,
                                 1999999999, 2000000000, 2000000001, 2599998000, 2600000000,
                                 3400000000, 5800000000, 8000000000 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
        u64 hour = rates[i] * 3600;
        i64 error;
        u32 mul;
        i8 shift;

        kvmclock_scale(rates[i], &mul, &shift);
        assert_true(mul >= 0x80000000);
        hour = shift < 0 ? hour >> -shift : hour << shift;
        error = (i64)((u64)((unsigned __int128)hour * mul >> 32) - UINT64_C(3600000000000));
        assert_in_range(error + 3600, 0, 7200);
    }
}

static void page_turns_tsc_into_the_machines_nanoseconds(void **state)
{
    struct sys *s = *state;

    clock_step(&s->machine.clock, 123456789);
    assert_true(msr_write(s->cpu, MSR_KVM_SYSTEM_TIME, PAGE | 1));
    assert_int_equal(guest_time(s, msr_tsc(s->cpu)), clock_ns(&s->machine.clock));
    assert_int_equal(sys_get(s, PAGE + 29, 1), 1); /* stable */
    clock_step(&s->machine.clock, 1000000);
    assert_int_equal(guest_time(s, msr_tsc(s->cpu)), clock_ns(&s->machine.clock));
}

static void version_is_even_and_grows(void **state)
{
    struct sys *s = *state;
    u64 version;

    sys_set(s, PAGE, 4, 7); /* whatever was there before */
    assert_true(msr_write(s->cpu, MSR_KVM_SYSTEM_TIME, PAGE | 1));
    version = sys_get(s, PAGE, 4);
    assert_true(version > 7);
    assert_int_equal(version % 2, 0);
    assert_true(msr_write(s->cpu, MSR_KVM_SYSTEM_TIME, PAGE | 1));
    assert_int_equal(sys_get(s, PAGE, 4), version + 4);
}

static void disabled_page_is_not_written(void **state)
{
    struct sys *s = *state;
    u64 value;

    sys_set(s, PAGE, 8, 0x5555);
    assert_true(msr_write(s->cpu, MSR_KVM_SYSTEM_TIME, PAGE));
    assert_int_equal(sys_get(s, PAGE, 8), 0x5555);
    assert_true(msr_read(s->cpu, MSR_KVM_SYSTEM_TIME_OLD, &value));
    assert_int_equal(value, PAGE);
}

static void page_follows_a_tsc_that_the_guest_moved(void **state)
{
    struct sys *s = *state;

    assert_true(msr_write(s->cpu, MSR_KVM_SYSTEM_TIME, PAGE | 1));
    clock_step(&s->machine.clock, 5000);
    assert_true(msr_write(s->cpu, MSR_TSC, UINT64_C(0xFFFFFFFFFFFF0000)));
    assert_int_equal(guest_time(s, msr_tsc(s->cpu)), 5000);
    clock_step(&s->machine.clock, 0x20000); /* over the end of the counter */
    assert_int_equal(guest_time(s, msr_tsc(s->cpu)), 5000 + 0x20000);
}

static void page_outside_ram_is_ignored(void **state)
{
    struct sys *s = *state;

    assert_true(msr_write(s->cpu, MSR_KVM_SYSTEM_TIME, UINT64_C(0xFFFFFFFFF001)));
    assert_true(msr_write(s->cpu, MSR_KVM_SYSTEM_TIME, (RAM_BYTES - 8) | 1));
    assert_true(msr_write(s->cpu, MSR_KVM_WALL_CLOCK, UINT64_C(0xFFFFFFFFF000)));
}

static void wall_clock_tells_the_time_of_start(void **state)
{
    struct sys *s = *state;

    clock_init_manual(&s->machine.clock, INT64_C(1700000000123456789));
    clock_step(&s->machine.clock, 5000000000);
    assert_true(msr_write(s->cpu, MSR_KVM_WALL_CLOCK, PAGE));
    assert_int_equal(sys_get(s, PAGE, 4) % 2, 0);
    assert_int_equal(sys_get(s, PAGE + 4, 4), 1700000000);
    assert_int_equal(sys_get(s, PAGE + 8, 4), 123456789);
    assert_true(msr_write(s->cpu, MSR_KVM_WALL_CLOCK_OLD, PAGE + 0x100));
    assert_int_equal(sys_get(s, PAGE + 0x104, 4), 1700000000);
}

static void reset_and_init_stop_the_updates(void **state)
{
    struct sys *s = *state;

    for (unsigned init = 0; init < 2; init++) {
        assert_true(msr_write(s->cpu, MSR_KVM_SYSTEM_TIME, PAGE | 1));
        cpu_reset(s->cpu, init);
        sys_set(s, PAGE, 4, 0x1234);
        assert_true(msr_write(s->cpu, MSR_TSC, 0));
        assert_int_equal(sys_get(s, PAGE, 4), 0x1234);
    }
}

#define KVMCLOCK_TEST(name) cmocka_unit_test_setup_teardown(name, sys_setup, sys_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVMCLOCK_TEST(scale_is_exact_to_a_part_in_a_billion),
        KVMCLOCK_TEST(page_turns_tsc_into_the_machines_nanoseconds),
        KVMCLOCK_TEST(version_is_even_and_grows),
        KVMCLOCK_TEST(disabled_page_is_not_written),
        KVMCLOCK_TEST(page_follows_a_tsc_that_the_guest_moved),
        KVMCLOCK_TEST(page_outside_ram_is_ignored),
        KVMCLOCK_TEST(wall_clock_tells_the_time_of_start),
        KVMCLOCK_TEST(reset_and_init_stop_the_updates),
    };

    return cmocka_run_group_tests_name("soft/kvmclock", tests, NULL, NULL);
}
