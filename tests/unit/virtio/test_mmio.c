/* SPDX-License-Identifier: MIT */
/* The MMIO window, with the rules of status and features behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"
#include "unit/virtio/fixture.h"

static int setup_modern(void **state)
{
    static struct fixture f;

    fixture_init(&f, false);
    *state = &f;
    return 0;
}

static int setup_legacy(void **state)
{
    static struct fixture f;

    fixture_init(&f, true);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    return 0;
}

static void an_empty_slot_has_no_device(void **state)
{
    struct virtio_mmio empty = { NULL, true };

    (void)state;
    assert_int_equal(virtio_mmio_ops.read(&empty, 0, 4), 0x74726976);
    assert_int_equal(virtio_mmio_ops.read(&empty, 4, 4), 1);
    assert_int_equal(virtio_mmio_ops.read(&empty, 8, 4), 0);
    assert_int_equal(virtio_mmio_ops.read(&empty, 0xC, 4), 0x554D4551);
    assert_int_equal(virtio_mmio_ops.read(&empty, 0x70, 4), 0);
    assert_int_equal(virtio_mmio_ops.read(&empty, 0x100, 1), 0);
    virtio_mmio_ops.write(&empty, 0x50, 4, 0);
    virtio_mmio_ops.write(&empty, 0x70, 4, 1);
}

static void the_window_identifies_the_device(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_read(f, 0x4), 2);
    assert_int_equal(fixture_read(f, 0x8), VIRTIO_ID_BLOCK);
    assert_int_equal(fixture_read(f, 0x34), 1024);
    fixture_write(f, 0x30, 2);
    assert_int_equal(fixture_read(f, 0x34), 0);
    assert_int_equal(fixture_read(f, 0xB0), UINT32_MAX);
    assert_int_equal(virtio_mmio_ops.read(&f->mmio, 0, 1), 0);
}

static void modern_features_are_offered_and_agreed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_read(f, 0x10), 0x30000008);
    fixture_write(f, 0x14, 1);
    assert_int_equal(fixture_read(f, 0x10), 0x5);
    fixture_start(f, BIT64(3));
    assert_int_equal(fixture_read(f, 0x70), 0xF);
    assert_true(virtio_has(&f->v, BIT64(3) | VIRTIO_F_VERSION_1));
}

static void unoffered_features_are_not_agreed(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, BIT64(7));
    assert_int_equal(fixture_read(f, 0x70), 3);
    assert_int_equal(fixture_read(f, 0x44), 0);
}

static void features_stay_after_they_were_agreed(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, 0);
    fixture_write(f, 0x24, 0);
    fixture_write(f, 0x20, 8);
    assert_false(virtio_has(&f->v, BIT64(3)));
}

static void a_doorbell_reaches_the_device_on_the_loop(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, 0);
    fixture_write(f, 0x50, 0);
    fixture_write(f, 0x50, 0);
    fixture_write(f, 0x50, 1);          /* not ready */
    fixture_write(f, 0x50, 2);          /* not there */
    fixture_write(f, 0x50, UINT32_MAX); /* not there */
    assert_int_equal(f->notified, 0);
    fake_loop_step(&f->loop, 0);
    assert_int_equal(f->notified, 1);
}

static void an_early_doorbell_waits_for_driver_ok(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, 0x50, 0);
    fake_loop_step(&f->loop, 0);
    assert_int_equal(f->notified, 0);
    fixture_start(f, 0);
    fake_loop_step(&f->loop, 0);
    assert_int_equal(f->notified, 1);
}

static void status_0_resets_and_lowers_the_line(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, 0);
    virtio_interrupt(&f->v, VIRTIO_ISR_QUEUE);
    fixture_write(f, 0x50, 0);
    assert_true(f->irq.level[0]);
    fixture_write(f, 0x70, 0);
    assert_false(f->irq.level[0]);
    assert_int_equal(fixture_read(f, 0x60), 0);
    assert_int_equal(fixture_read(f, 0x44), 0);
    assert_int_equal(f->resets, 1);
    fake_loop_step(&f->loop, 0);
    assert_int_equal(f->notified, 0);
}

static void acknowledging_lowers_the_line(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, 0);
    virtio_interrupt(&f->v, VIRTIO_ISR_QUEUE);
    virtio_config_changed(&f->v);
    assert_int_equal(fixture_read(f, 0x60), 3);
    fixture_write(f, 0x64, 1);
    assert_true(f->irq.level[0]);
    fixture_write(f, 0x64, 2);
    assert_false(f->irq.level[0]);
}

static void the_generation_follows_the_configuration(void **state)
{
    struct fixture *f = *state;
    u32 before = fixture_read(f, 0xFC);

    virtio_config_changed(&f->v);
    assert_int_not_equal(fixture_read(f, 0xFC), before);
    assert_false(f->irq.level[0]); /* nobody listens before DRIVER_OK */
}

static void configuration_is_read_in_all_sizes(void **state)
{
    struct fixture *f = *state;

    virtio_mmio_ops.write(&f->mmio, 0x102, 2, 0xBEEF);
    virtio_mmio_ops.write(&f->mmio, 0x107, 2, 0x1234); /* half outside */
    assert_int_equal(virtio_mmio_ops.read(&f->mmio, 0x100, 4), 0xBEEF0000);
    assert_int_equal(virtio_mmio_ops.read(&f->mmio, 0x103, 1), 0xBE);
    assert_int_equal(virtio_mmio_ops.read(&f->mmio, 0x107, 1), 0);
    assert_int_equal(virtio_mmio_ops.read(&f->mmio, 0x108, 1), 0xFF);
    assert_int_equal(virtio_mmio_ops.read(&f->mmio, 0x1FC, 4), 0xFFFFFFFF);
}

static void legacy_offers_its_own_bits(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_read(f, 0x4), 1);
    assert_int_equal(fixture_read(f, 0x10), 0x39000008);
    fixture_write(f, 0x14, 1);
    assert_int_equal(fixture_read(f, 0x10), 0);
    assert_int_equal(fixture_read(f, 0xFC), 0);
}

static void a_legacy_queue_is_laid_out_from_its_page(void **state)
{
    struct fixture *f = *state;
    struct virtq_state *s = &f->v.queues[0].state;

    fixture_write(f, 0x28, 4096);
    fixture_write(f, 0x70, 3);
    fixture_write(f, 0x20, 0xFFFFFFFF);
    assert_int_equal(f->v.state.driver_features, 0x39000008);
    assert_int_equal(fixture_read(f, 0x40), 0);
    fixture_write(f, 0x38, 256);
    fixture_write(f, 0x3C, 4096);
    fixture_write(f, 0x40, 5);
    assert_int_equal(fixture_read(f, 0x40), 5);
    assert_true(s->ready);
    assert_int_equal(s->desc, 0x5000);
    assert_int_equal(s->avail, 0x6000);
    assert_int_equal(s->used, 0x7000);
    fixture_write(f, 0x40, 0);
    assert_false(s->ready);
    assert_int_equal(fixture_read(f, 0x70), 0);
}

static void a_wild_legacy_queue_stays_still(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, 0x28, 4096);
    fixture_write(f, 0x40, 0xFFFFFFFF);
    assert_false(f->v.queues[0].state.ready);
    fixture_write(f, 0x50, 0);
    fake_loop_step(&f->loop, 0);
    assert_int_equal(f->notified, 0);
    assert_int_equal(fixture_read(f, 0x70) & VIRTIO_STATUS_NEEDS_RESET, 0);
}

#define MODERN(name) cmocka_unit_test_setup_teardown(name, setup_modern, teardown)
#define LEGACY(name) cmocka_unit_test_setup_teardown(name, setup_legacy, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODERN(an_empty_slot_has_no_device),
        MODERN(the_window_identifies_the_device),
        MODERN(modern_features_are_offered_and_agreed),
        MODERN(unoffered_features_are_not_agreed),
        MODERN(features_stay_after_they_were_agreed),
        MODERN(a_doorbell_reaches_the_device_on_the_loop),
        MODERN(an_early_doorbell_waits_for_driver_ok),
        MODERN(status_0_resets_and_lowers_the_line),
        MODERN(acknowledging_lowers_the_line),
        MODERN(the_generation_follows_the_configuration),
        MODERN(configuration_is_read_in_all_sizes),
        LEGACY(legacy_offers_its_own_bits),
        LEGACY(a_legacy_queue_is_laid_out_from_its_page),
        LEGACY(a_wild_legacy_queue_stays_still),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
