/* SPDX-License-Identifier: MIT */
/* struct gsi_table: sources ORed, sinks fanned out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/bits.h"
#include "machine/gsi.h"

/* A controller that counts what its inputs did. */
struct recorder {
    bool level[24];
    unsigned rises[24];
    unsigned calls;
};

static void recorder_set(void *sink, unsigned n, bool level)
{
    struct recorder *r = sink;

    r->calls++;
    if (level && !r->level[n])
        r->rises[n]++;
    r->level[n] = level;
}

static struct irq recorder_irq(struct recorder *r, unsigned n)
{
    return (struct irq){ recorder_set, r, n };
}

static void all_sinks_follow_the_source(void **state)
{
    struct recorder pic = { 0 }, ioapic = { 0 };
    struct gsi_table table;
    struct irq line;

    (void)state;
    gsi_init(&table);
    gsi_connect(&table, 4, recorder_irq(&pic, 4));
    gsi_connect(&table, 4, recorder_irq(&ioapic, 4));
    line = gsi_irq(&table, 4);
    irq_set(&line, true);
    assert_true(pic.level[4]);
    assert_true(ioapic.level[4]);
    irq_set(&line, false);
    assert_false(pic.level[4]);
    assert_false(ioapic.level[4]);
    irq_pulse(&line);
    assert_int_equal(pic.rises[4], 2);
    assert_int_equal(ioapic.rises[4], 2);
    gsi_fini(&table);
}

static void sources_of_one_gsi_are_ored(void **state)
{
    struct recorder r = { 0 };
    struct gsi_table table;
    struct irq rtc, disk;

    (void)state;
    gsi_init(&table);
    gsi_connect(&table, 8, recorder_irq(&r, 8));
    rtc = gsi_irq(&table, 8);
    disk = gsi_irq(&table, 8);
    irq_set(&rtc, true);
    irq_set(&disk, true);
    irq_set(&rtc, false);
    assert_true(r.level[8]);
    irq_set(&disk, false);
    assert_false(r.level[8]);
    assert_int_equal(r.rises[8], 1);
    assert_int_equal(r.calls, 2);
    gsi_fini(&table);
}

static void repeated_levels_count_once(void **state)
{
    struct recorder r = { 0 };
    struct gsi_table table;
    struct irq a, b;

    (void)state;
    gsi_init(&table);
    gsi_connect(&table, 47, recorder_irq(&r, 23));
    a = gsi_irq(&table, 47);
    b = gsi_irq(&table, 47);
    irq_set(&a, false);
    assert_int_equal(r.calls, 0);
    irq_set(&a, true);
    irq_set(&a, true);
    irq_set(&b, true);
    irq_set(&b, false);
    irq_set(&a, false);
    assert_false(r.level[23]);
    assert_int_equal(r.calls, 2);
    gsi_fini(&table);
}

static void gsis_do_not_touch_each_other(void **state)
{
    struct recorder r = { 0 };
    struct gsi_table table;
    struct irq lines[24];

    (void)state;
    gsi_init(&table);
    for (unsigned i = 0; i < 24; i++) {
        gsi_connect(&table, i, recorder_irq(&r, i));
        lines[i] = gsi_irq(&table, i);
    }
    for (unsigned i = 0; i < 24; i++) {
        irq_set(&lines[i], true);
        for (unsigned k = 0; k < 24; k++)
            assert_int_equal(r.level[k], k <= i);
    }
    gsi_fini(&table);
}

static void gsi_without_sinks_swallows_the_level(void **state)
{
    struct gsi_table table;
    struct irq line;

    (void)state;
    gsi_init(&table);
    line = gsi_irq(&table, 11);
    irq_pulse(&line);
    assert_int_equal(table.lines[11].asserted, 0);
    gsi_fini(&table);
}

static void *pulser(void *arg)
{
    for (unsigned i = 0; i < 2000; i++)
        irq_pulse(arg);
    return NULL;
}

static void sources_on_two_threads_end_low(void **state)
{
    struct recorder r = { 0 };
    struct gsi_table table;
    struct irq lines[2];
    pthread_t threads[2];

    (void)state;
    gsi_init(&table);
    gsi_connect(&table, 5, recorder_irq(&r, 5));
    for (unsigned i = 0; i < 2; i++) {
        lines[i] = gsi_irq(&table, 5);
        pthread_create(&threads[i], NULL, pulser, &lines[i]);
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_false(r.level[5]);
    assert_int_equal(table.lines[5].asserted, 0);
    assert_in_range(r.rises[5], 1, 4000); /* pulses that overlap are one */
    assert_int_equal(r.calls, 2 * r.rises[5]);
    gsi_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sinks_follow_the_source),
        cmocka_unit_test(sources_of_one_gsi_are_ored),
        cmocka_unit_test(repeated_levels_count_once),
        cmocka_unit_test(gsis_do_not_touch_each_other),
        cmocka_unit_test(gsi_without_sinks_swallows_the_level),
        cmocka_unit_test(sources_on_two_threads_end_low),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
