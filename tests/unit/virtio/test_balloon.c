/* SPDX-License-Identifier: MIT */
/* The balloon: what goes into it is the host's again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "unit/virtio/driver.h"
#include "virtio/balloon.h"

#define F_STATS     BIT64(1)
#define F_OOM       BIT64(2)
#define F_POISON    BIT64(4)
#define F_REPORTING BIT64(5)

#define PFNS        DRIVER_DATA
#define PAGES       0x200000u /* ordinary memory from here on */
#define PAGE        4096u

static struct driver driver;
static struct balloon_config config;

static int setup(void **state)
{
    driver_init(&driver);
    config = (struct balloon_config){ .ram = &driver.ram,
                                      .loop = driver.loop,
                                      .free_page_reporting = true };
    *state = &driver;
    return 0;
}

static int teardown(void **state)
{
    driver_fini(*state);
    return 0;
}

static void build(struct driver *d, bool legacy)
{
    driver_plug(d, balloon_new(&config), legacy);
}

/* 4 KiB pages that the memory file takes. */
static u64 pages_in_use(struct driver *d)
{
    struct stat status;

    assert_int_equal(fstat(d->ram.memfd, &status), 0);
    return (u64)status.st_blocks * 512 / PAGE;
}

/* Send page numbers: the whole of a run, upwards or downwards. */
static void send_run(struct driver *d, unsigned queue, u32 first, u32 count, bool down)
{
    const struct driver_part part = { PFNS, count * 4, 0 };
    u8 *pfns = driver_ptr(d, PFNS);

    for (u32 i = 0; i < count; i++)
        store_le32(pfns + (size_t)i * 4, first + (down ? count - 1 - i : i));
    driver_offer(d, queue, &part, 1);
    driver_kick(d, queue);
    assert_true(driver_take(d, queue, NULL, NULL));
}

static void fill_pages(struct driver *d)
{
    memset(driver_ptr(d, PAGES), 0x5A, (size_t)256 * PAGE);
}

static void inflating_gives_memory_back(void **state)
{
    struct driver *d = *state;
    u64 before;

    build(d, false);
    driver_start(d, 0, 2);
    fill_pages(d);
    send_run(d, 1, 0, 1, false);
    before = pages_in_use(d);
    send_run(d, 0, PAGES / PAGE, 100, false);
    assert_int_equal(pages_in_use(d), before - 100);
    send_run(d, 0, PAGES / PAGE + 100, 100, true);
    assert_int_equal(pages_in_use(d), before - 200);
    assert_int_equal(*(u8 *)driver_ptr(d, PAGES), 0);
    assert_int_equal(*(u8 *)driver_ptr(d, PAGES + 200 * PAGE), 0x5A);
}

static void scattered_pages_are_given_back_one_by_one(void **state)
{
    struct driver *d = *state;
    const struct driver_part part = { PFNS, 12, 0 };
    u64 before;

    build(d, true);
    driver_start(d, 0, 2);
    fill_pages(d);
    send_run(d, 1, 0, 1, false);
    store_le32(driver_ptr(d, PFNS), PAGES / PAGE + 7);
    store_le32(driver_ptr(d, PFNS + 4), PAGES / PAGE + 1);
    store_le32(driver_ptr(d, PFNS + 8), PAGES / PAGE + 9);
    before = pages_in_use(d);
    driver_offer(d, 0, &part, 1);
    driver_kick(d, 0);
    assert_int_equal(pages_in_use(d), before - 3);
    assert_true(driver_take(d, 0, NULL, NULL));
}

static void pages_that_are_not_memory_are_left_alone(void **state)
{
    struct driver *d = *state;
    const struct driver_part parts[2] = { { PFNS, 9, 0 }, { PFNS + 9, 2, 0 } };
    u64 before;

    build(d, false);
    driver_start(d, 0, 2);
    send_run(d, 1, 0, 1, false); /* its buffers are in use from now on */
    before = pages_in_use(d);
    send_run(d, 0, DRIVER_RAM_SIZE / PAGE, 4, false);
    send_run(d, 0, UINT32_MAX, 1, false);
    store_le32(driver_ptr(d, PFNS + 4), UINT32_MAX - 1);
    driver_offer(d, 0, parts, 2); /* half a number at the end */
    driver_kick(d, 0);
    assert_int_equal(pages_in_use(d), before);
    assert_false(driver_read(d, 0x70) & VIRTIO_STATUS_NEEDS_RESET);
}

static void count_code(void *arg, u64 offset, u64 size)
{
    (void)offset;
    *(u64 *)arg += size;
}

static void code_on_a_page_in_the_balloon_is_dropped(void **state)
{
    struct driver *d = *state;
    u64 dropped = 0;

    build(d, false);
    ram_on_code_write(&d->ram, count_code, &dropped);
    d->ram.code_pages[PAGES / PAGE] = 1;
    driver_start(d, 0, 2);
    send_run(d, 0, PAGES / PAGE, 2, false);
    assert_int_equal(dropped, PAGE);
}

static void the_target_is_told_and_the_guest_answers(void **state)
{
    struct driver *d = *state;

    config.target = MIB(1);
    build(d, false);
    assert_int_equal(driver_read(d, 0x100), (DRIVER_RAM_SIZE - MIB(1)) / PAGE);
    driver_start(d, 0, 2);
    driver_write(d, 0x104, 10);
    assert_int_equal(balloon_actual(d->v), DRIVER_RAM_SIZE - 10 * PAGE);
    driver_write(d, 0x100, 77); /* not the driver's to write */
    assert_int_equal(driver_read(d, 0x100), (DRIVER_RAM_SIZE - MIB(1)) / PAGE);
    virtio_ack(d->v, 3);
    balloon_set_target(d->v, MIB(2));
    assert_int_equal(driver_read(d, 0x60), VIRTIO_ISR_CONFIG);
    assert_int_equal(driver_read(d, 0x100), MIB(2) / PAGE);
    balloon_set_target(d->v, GIB(1));
    assert_int_equal(driver_read(d, 0x100), 0);
    driver_write(d, 0x104, UINT32_MAX);
    assert_int_equal(balloon_actual(d->v), 0);
}

static void a_reset_empties_the_balloon_and_keeps_the_target(void **state)
{
    struct driver *d = *state;

    config.target = MIB(1);
    build(d, false);
    driver_start(d, 0, 2);
    driver_write(d, 0x104, 10);
    driver_reset(d);
    assert_int_equal(driver_read(d, 0x104), 0);
    assert_int_equal(driver_read(d, 0x100), (DRIVER_RAM_SIZE - MIB(1)) / PAGE);
}

static void features_follow_the_properties(void **state)
{
    struct driver *d = *state;

    config.free_page_reporting = false;
    config.deflate_on_oom = true;
    build(d, false);
    assert_int_equal(driver_read(d, 0x10) & 0x3F, F_STATS | F_OOM);
}

/* ---- Reporting ---- */

static void report(struct driver *d, unsigned queue)
{
    const struct driver_part parts[2] = { { PAGES, 64 * PAGE, DRIVER_WRITE },
                                          { PAGES + 100 * PAGE + 1, 2 * PAGE, DRIVER_WRITE } };

    driver_offer(d, queue, parts, 2);
    driver_kick(d, queue);
    assert_true(driver_take(d, queue, NULL, NULL));
}

static void reported_pages_are_given_back(void **state)
{
    struct driver *d = *state;
    u64 before;

    build(d, false);
    driver_start(d, F_STATS | F_REPORTING, 4);
    fill_pages(d);
    before = pages_in_use(d);
    report(d, 3);
    assert_int_equal(pages_in_use(d), before - 65); /* of the odd run, one whole page */
    assert_int_equal(*(u8 *)driver_ptr(d, PAGES + 100 * PAGE), 0x5A);
}

static void without_statistics_the_reports_are_one_queue_down(void **state)
{
    struct driver *d = *state;
    u64 before;

    build(d, false);
    driver_start(d, F_REPORTING, 3);
    fill_pages(d);
    before = pages_in_use(d);
    report(d, 2);
    assert_int_equal(pages_in_use(d), before - 65);
}

static void poisoned_pages_stay(void **state)
{
    struct driver *d = *state;
    u64 before;

    build(d, false);
    driver_start(d, F_STATS | F_REPORTING | F_POISON, 4);
    driver_write(d, 0x10C, 0xAAAAAAAA);
    fill_pages(d);
    before = pages_in_use(d);
    report(d, 3);
    assert_int_equal(pages_in_use(d), before);
    driver_write(d, 0x10C, 0);
    report(d, 3);
    assert_int_equal(pages_in_use(d), before - 65);
}

/* ---- Statistics ---- */

static void write_stat(struct driver *d, unsigned n, u16 tag, u64 value)
{
    u8 *p = driver_ptr(d, PFNS + 10 * n);

    store_le16(p, tag);
    store_le64(p + 2, value);
}

static void offer_stats(struct driver *d, u32 size)
{
    const struct driver_part part = { PFNS, size, 0 };

    driver_offer(d, 2, &part, 1);
    driver_kick(d, 2);
}

static void statistics_are_asked_for_again_and_again(void **state)
{
    struct driver *d = *state;

    config.stats_seconds = 2;
    build(d, false);
    driver_start(d, F_STATS, 3);
    write_stat(d, 0, BALLOON_STAT_FREE, 1234);
    write_stat(d, 1, 999, 5);
    offer_stats(d, 25); /* and half of a third */
    assert_false(driver_take(d, 2, NULL, NULL));
    assert_int_equal(balloon_stats(d->v)[BALLOON_STAT_FREE], 1234);
    assert_true(balloon_stats(d->v)[BALLOON_STAT_TOTAL] == UINT64_MAX);
    clock_step(&d->clock, 2000000000);
    driver_run(d);
    assert_true(driver_take(d, 2, NULL, NULL));
    write_stat(d, 0, BALLOON_STAT_FREE, 4321);
    offer_stats(d, 10);
    assert_int_equal(balloon_stats(d->v)[BALLOON_STAT_FREE], 4321);
    driver_reset(d);
    assert_true(balloon_stats(d->v)[BALLOON_STAT_FREE] == UINT64_MAX);
    clock_step(&d->clock, 2000000000);
    driver_run(d);
}

static void a_second_statistics_buffer_waits(void **state)
{
    struct driver *d = *state;

    config.stats_seconds = 1;
    build(d, false);
    driver_start(d, F_STATS, 3);
    offer_stats(d, 10);
    offer_stats(d, 20);
    assert_false(driver_take(d, 2, NULL, NULL));
    clock_step(&d->clock, 1000000000);
    driver_run(d);
    assert_true(driver_take(d, 2, NULL, NULL));
    assert_false(driver_take(d, 2, NULL, NULL));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(inflating_gives_memory_back),
        T(scattered_pages_are_given_back_one_by_one),
        T(pages_that_are_not_memory_are_left_alone),
        T(code_on_a_page_in_the_balloon_is_dropped),
        T(the_target_is_told_and_the_guest_answers),
        T(a_reset_empties_the_balloon_and_keeps_the_target),
        T(features_follow_the_properties),
        T(reported_pages_are_given_back),
        T(without_statistics_the_reports_are_one_queue_down),
        T(poisoned_pages_stay),
        T(statistics_are_asked_for_again_and_again),
        T(a_second_statistics_buffer_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
