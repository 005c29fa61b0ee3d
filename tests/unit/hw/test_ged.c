/* SPDX-License-Identifier: MIT */
/* The ACPI generic event device: power button, power off, reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "hw/ged.h"
#include "unit/fakes/irq.h"
#include "unit/fakes/region.h"

#define IRQ_LINE 9

struct fixture {
    struct fake_irq irq;
    unsigned shutdowns;
    unsigned resets;
    struct ged *ged;
    struct fake_region event;
    struct fake_region regs;
};

static void record_shutdown(void *arg)
{
    ((struct fixture *)arg)->shutdowns++;
}

static void record_reset(void *arg)
{
    ((struct fixture *)arg)->resets++;
}

static int setup(void **state)
{
    static struct fixture f;
    struct ged_config config = {
        .irq = fake_irq_line(&f.irq, IRQ_LINE),
        .shutdown = record_shutdown,
        .reset = record_reset,
        .arg = &f,
    };

    memset(&f, 0, sizeof(f));
    f.ged = ged_new(&config);
    f.event = (struct fake_region){ &ged_event_ops, f.ged };
    f.regs = (struct fake_region){ &ged_regs_ops, f.ged };
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct device *dev = ged_device(((struct fixture *)*state)->ged);

    dev->ops->free(dev);
    return 0;
}

static void all_registers_read_zero_after_reset(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_region_read(&f->event, 0, 4), 0);
    for (unsigned i = 0; i < GED_REGS_SIZE; i++)
        assert_int_equal(fake_region_read(&f->regs, i, 1), 0);
}

static void windows_take_only_their_own_access_size(void **state)
{
    (void)state;
    assert_int_equal(ged_event_ops.sizes, BUS_SIZE_4);
    assert_false(ged_event_ops.split);
    assert_int_equal(ged_regs_ops.sizes, BUS_SIZE_1);
    assert_false(ged_regs_ops.split);
}

static void power_button_pulses_the_line_and_shows_once(void **state)
{
    struct fixture *f = *state;

    ged_press_power_button(f->ged);
    assert_int_equal(f->irq.rises[IRQ_LINE], 1);
    assert_int_equal(f->irq.falls[IRQ_LINE], 1);
    assert_int_equal(fake_region_read(&f->event, 0, 4), GED_EVENT_POWER);
    assert_int_equal(fake_region_read(&f->event, 0, 4), 0);
}

static void presses_before_the_guest_looks_are_one_event(void **state)
{
    struct fixture *f = *state;

    ged_press_power_button(f->ged);
    ged_press_power_button(f->ged);
    assert_int_equal(f->irq.rises[IRQ_LINE], 2);
    assert_int_equal(fake_region_read(&f->event, 0, 4), 2);
    assert_int_equal(fake_region_read(&f->event, 0, 4), 0);
}

static void event_register_ignores_writes(void **state)
{
    struct fixture *f = *state;

    ged_press_power_button(f->ged);
    fake_region_write(&f->event, 0, 4, 0xFFFFFFFF);
    assert_int_equal(fake_region_read(&f->event, 0, 4), 2);
}

static void sleep_enable_with_type_5_shuts_down(void **state)
{
    struct fixture *f = *state;

    fake_region_write(&f->regs, GED_SLEEP_CONTROL, 1, 0x34);
    assert_int_equal(f->shutdowns, 1);
    fake_region_write(&f->regs, GED_SLEEP_CONTROL, 1, 0xF7); /* the other bits do not matter */
    assert_int_equal(f->shutdowns, 2);
    assert_int_equal(f->resets, 0);
}

static void other_sleep_values_do_nothing(void **state)
{
    struct fixture *f = *state;

    for (unsigned value = 0; value < 256; value++)
        if ((value & 0x3C) != 0x34)
            fake_region_write(&f->regs, GED_SLEEP_CONTROL, 1, value);
    assert_int_equal(f->shutdowns, 0);
    assert_int_equal(f->resets, 0);
}

static void reset_register_takes_only_its_value(void **state)
{
    struct fixture *f = *state;

    for (unsigned value = 0; value < 256; value++)
        fake_region_write(&f->regs, GED_RESET, 1, value);
    assert_int_equal(f->resets, 1);
    fake_region_write(&f->regs, GED_RESET, 1, 0x42);
    assert_int_equal(f->resets, 2);
    assert_int_equal(f->shutdowns, 0);
}

static void sleep_status_ignores_writes(void **state)
{
    struct fixture *f = *state;

    for (unsigned value = 0; value < 256; value++)
        fake_region_write(&f->regs, GED_SLEEP_STATUS, 1, value);
    assert_int_equal(fake_region_read(&f->regs, GED_SLEEP_STATUS, 1), 0);
    assert_int_equal(f->shutdowns + f->resets, 0);
}

static void reset_forgets_events(void **state)
{
    struct fixture *f = *state;

    ged_press_power_button(f->ged);
    fake_device_reset(ged_device(f->ged));
    assert_int_equal(fake_region_read(&f->event, 0, 4), 0);
}

static void random_accesses_ask_only_by_the_magic_values(void **state)
{
    struct fixture *f = *state;
    unsigned shutdowns = 0, resets = 0;
    u64 seed = 0x9ED;

    for (unsigned i = 0; i < 50000; i++) {
        u64 r = fake_random(&seed);
        unsigned offset = (unsigned)(r >> 8) % GED_REGS_SIZE;
        u8 value = (u8)(r >> 16);

        switch (r & 3) {
        case 0: assert_int_equal(fake_region_read(&f->regs, offset, 1), 0); break;
        case 1: assert_true(fake_region_read(&f->event, 0, 4) <= 2); break;
        case 2:
            fake_region_write(&f->regs, offset, 1, value);
            shutdowns += offset == GED_SLEEP_CONTROL && (value & 0x3C) == 0x34;
            resets += offset == GED_RESET && value == 0x42;
            break;
        case 3: ged_press_power_button(f->ged); break;
        }
    }
    assert_int_equal(f->shutdowns, shutdowns);
    assert_int_equal(f->resets, resets);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_registers_read_zero_after_reset),
        TEST(windows_take_only_their_own_access_size),
        TEST(power_button_pulses_the_line_and_shows_once),
        TEST(presses_before_the_guest_looks_are_one_event),
        TEST(event_register_ignores_writes),
        TEST(sleep_enable_with_type_5_shuts_down),
        TEST(other_sleep_values_do_nothing),
        TEST(reset_register_takes_only_its_value),
        TEST(sleep_status_ignores_writes),
        TEST(reset_forgets_events),
        TEST(random_accesses_ask_only_by_the_magic_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
