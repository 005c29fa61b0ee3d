/* SPDX-License-Identifier: MIT */
/* struct clock: conversions, monotony, and the clock that tests step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/bits.h"
#include "host/clock.h"

#define NS_PER_S UINT64_C(1000000000)

static u64 raw_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (u64)ts.tv_sec * NS_PER_S + (u64)ts.tv_nsec;
}

static void manual_clock_moves_only_by_steps(void **state)
{
    struct clock clock;

    (void)state;
    clock_init_manual(&clock, 77);
    assert_int_equal(clock_ns(&clock), 0);
    assert_int_equal(clock_wall_ns(&clock), 77);
    clock_step(&clock, 1500);
    assert_int_equal(clock_ns(&clock), 1500);
    assert_int_equal(clock_tsc(&clock), 1500);
    assert_int_equal(clock_wall_ns(&clock), 1577);
}

static void one_ghz_converts_exactly(void **state)
{
    static const u64 values[] = {
        0, 1, 999, NS_PER_S, UINT64_C(1) << 40, UINT64_MAX / 2, UINT64_MAX
    };
    struct clock clock;

    (void)state;
    clock_init_manual(&clock, 0);
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        assert_int_equal(clock_tsc_to_ns(&clock, values[i]), values[i]);
        assert_int_equal(clock_ns_to_tsc(&clock, values[i]), values[i]);
    }
}

/* Otherwise a timer armed for a TSC deadline would fire a tick early, and again, and again. */
static void ticks_of_a_deadline_are_rounded_up(void **state)
{
    struct clock clock;

    (void)state;
    clock_init(&clock);
    for (u64 ns = 0; ns < 100000; ns += 7) {
        u64 tsc = clock_ns_to_tsc(&clock, ns);

        assert_true(clock_tsc_to_ns(&clock, tsc) >= ns);
        assert_true(tsc == 0 || clock_tsc_to_ns(&clock, tsc - 1) < ns);
    }
}

static void conversions_of_huge_values_saturate(void **state)
{
    struct clock clock;

    (void)state;
    clock_init_manual(&clock, 0);
    clock.ns_shift -= 1; /* as a 500 MHz counter: twice as many ns as ticks */
    assert_int_equal(clock_tsc_to_ns(&clock, UINT64_MAX), UINT64_MAX);
    clock.ns_shift += 2; /* as a 2 GHz counter */
    assert_int_equal(clock_ns_to_tsc(&clock, UINT64_MAX), UINT64_MAX);
}

static void init_takes_at_most_a_few_milliseconds(void **state)
{
    u64 best = UINT64_MAX;
    struct clock clock;

    (void)state;
    for (int i = 0; i < 5; i++) { /* a loaded host may disturb one try, not all */
        u64 start = raw_ns(CLOCK_MONOTONIC);

        clock_init(&clock);
        best = MIN(best, raw_ns(CLOCK_MONOTONIC) - start);
    }
    assert_true(best < 10 * 1000 * 1000);
    assert_true(clock.tsc_hz >= 100 * 1000 * 1000);
}

static void host_clock_keeps_step_with_the_host(void **state)
{
    struct timespec pause = { 0, 50 * 1000 * 1000 };
    struct clock clock;
    u64 host, ours, ours_before;

    (void)state;
    clock_init(&clock);
    host = raw_ns(CLOCK_MONOTONIC_RAW);
    ours_before = clock_ns(&clock);
    nanosleep(&pause, NULL);
    ours = clock_ns(&clock) - ours_before;
    host = raw_ns(CLOCK_MONOTONIC_RAW) - host;
    assert_true(ours <= host + host / 100 && host <= ours + 5 * 1000 * 1000);
}

/* A guest that runs for a day may be told a rate that is wrong by a second, not by a minute. */
static void measured_rates_agree(void **state)
{
    u64 best = UINT64_MAX;

    (void)state;
    for (int i = 0; i < 20; i++) { /* a loaded host may disturb some */
        struct clock a, b;

        clock_init(&a);
        clock_init(&b);
        best = MIN(best, a.tsc_hz > b.tsc_hz ? a.tsc_hz - b.tsc_hz : b.tsc_hz - a.tsc_hz);
    }
    assert_true(
        best <
        100 * 1000); /* of at least 100 MHz, by the test above; usually within 10 kHz of 2 GHz */
}

static void wall_clock_is_the_hosts(void **state)
{
    struct clock clock;
    i64 apart;

    (void)state;
    clock_init(&clock);
    apart = clock_wall_ns(&clock) - (i64)raw_ns(CLOCK_REALTIME);
    assert_true(apart < (i64)NS_PER_S && apart > -(i64)NS_PER_S);
}

struct relay {
    struct clock clock;
    _Atomic u64 last; /* the newest time that any thread has seen */
    _Atomic unsigned backwards;
};

static void *relay_read(void *arg)
{
    struct relay *relay = arg;

    for (int i = 0; i < 100000; i++) {
        u64 last = relay->last;
        u64 now = clock_tsc(&relay->clock);

        if (now < last)
            relay->backwards++;
        while (last < now && !atomic_compare_exchange_weak(&relay->last, &last, now))
            continue;
    }
    return NULL;
}

static void time_never_goes_backwards_between_threads(void **state)
{
    struct relay relay = { .last = 0 };
    pthread_t threads[3];

    (void)state;
    clock_init(&relay.clock);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, relay_read, &relay), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(relay.backwards, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manual_clock_moves_only_by_steps),
        cmocka_unit_test(one_ghz_converts_exactly),
        cmocka_unit_test(ticks_of_a_deadline_are_rounded_up),
        cmocka_unit_test(conversions_of_huge_values_saturate),
        cmocka_unit_test(init_takes_at_most_a_few_milliseconds),
        cmocka_unit_test(host_clock_keeps_step_with_the_host),
        cmocka_unit_test(measured_rates_agree),
        cmocka_unit_test(wall_clock_is_the_hosts),
        cmocka_unit_test(time_never_goes_backwards_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
