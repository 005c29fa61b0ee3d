/* SPDX-License-Identifier: MIT */
/* The LAPIC's timer: counts, ticks on time, and nothing lost or doubled between two threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bits.h"
#include "hw/lapic_timer.h"
#include "unit/fakes/fake_apic.h"

#define DIVIDE_BY_1  0xBu
#define DIVIDE_BY_2  0x0u
#define DIVIDE_BY_16 0x3u

struct env {
    struct clock clock;
    struct loop *loop;
    pthread_mutex_t lock;
    struct lapic_timer timer;
    _Atomic unsigned ticks;
};

static void env_tick(void *arg)
{
    struct env *env = arg;

    atomic_fetch_add(&env->ticks, 1);
}

static int setup(void **state)
{
    struct env *env = calloc(1, sizeof(*env));

    fake_clock_init(&env->clock, UINT64_C(1000000000));
    env->loop = fake_loop_new(&env->clock);
    pthread_mutex_init(&env->lock, NULL);
    lapic_timer_init(&env->timer, &env->clock, env->loop, &env->lock, env_tick, env);
    lapic_timer_set_divide(&env->timer, DIVIDE_BY_1);
    *state = env;
    return 0;
}

static int teardown(void **state)
{
    struct env *env = *state;

    lapic_timer_fini(&env->timer);
    assert_true(fake_loop_next(env->loop) == FAKE_NEVER);
    fake_loop_free(env->loop);
    pthread_mutex_destroy(&env->lock);
    free(env);
    return 0;
}

/* ---- One-shot ---- */

static void one_shot_ticks_once_when_its_count_is_over(void **state)
{
    struct env *env = *state;

    lapic_timer_set_initial(&env->timer, 1000);
    fake_loop_advance(env->loop, 999);
    assert_int_equal(env->ticks, 0);
    fake_loop_advance(env->loop, 1);
    assert_int_equal(env->ticks, 1);
    fake_loop_advance(env->loop, 1000000);
    assert_int_equal(env->ticks, 1);
    assert_int_equal(env->timer.initial, 1000);
}

static void current_count_falls_at_the_divided_rate(void **state)
{
    struct env *env = *state;

    assert_int_equal(lapic_timer_current(&env->timer), 0);
    lapic_timer_set_divide(&env->timer, DIVIDE_BY_16);
    lapic_timer_set_initial(&env->timer, 100);
    assert_int_equal(lapic_timer_current(&env->timer), 100);
    fake_clock_step(&env->clock, 15);
    assert_int_equal(lapic_timer_current(&env->timer), 100);
    fake_clock_step(&env->clock, 1);
    assert_int_equal(lapic_timer_current(&env->timer), 99);
    fake_clock_step(&env->clock, 16 * 98);
    assert_int_equal(lapic_timer_current(&env->timer), 1);
    fake_clock_step(&env->clock, 16);
    assert_int_equal(lapic_timer_current(&env->timer), 0); /* also before the loop has come */
    fake_clock_step(&env->clock, 1000);
    assert_int_equal(lapic_timer_current(&env->timer), 0);
    fake_loop_run(env->loop);
    assert_int_equal(lapic_timer_current(&env->timer), 0);
}

static void all_divisors(void **state)
{
    static const struct {
        u32 divide;
        u64 divisor;
    } rows[] = {
        { 0x0, 2 },  { 0x1, 4 },   { 0x2, 8 }, { 0x3, 16 },       { 0x8, 32 },
        { 0x9, 64 }, { 0xA, 128 }, { 0xB, 1 }, { 0xFFFFFFF4, 2 },
    };
    struct env *env = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        lapic_timer_set_divide(&env->timer, rows[i].divide);
        lapic_timer_set_initial(&env->timer, 10);
        assert_true(fake_loop_next(env->loop) == clock_ns(&env->clock) + 10 * rows[i].divisor);
        lapic_timer_set_initial(&env->timer, 0);
    }
}

static void zero_stops(void **state)
{
    struct env *env = *state;

    lapic_timer_set_initial(&env->timer, 1000);
    lapic_timer_set_initial(&env->timer, 0);
    assert_int_equal(lapic_timer_current(&env->timer), 0);
    assert_true(fake_loop_next(env->loop) == FAKE_NEVER);
    fake_loop_advance(env->loop, 10000);
    assert_int_equal(env->ticks, 0);
}

static void starting_again_replaces_the_count(void **state)
{
    struct env *env = *state;

    lapic_timer_set_initial(&env->timer, 1000);
    fake_loop_advance(env->loop, 500);
    lapic_timer_set_initial(&env->timer, 2000);
    fake_loop_advance(env->loop, 1999);
    assert_int_equal(env->ticks, 0);
    fake_loop_advance(env->loop, 1);
    assert_int_equal(env->ticks, 1);
}

static void a_tick_that_was_due_is_not_lost_by_starting_again(void **state)
{
    struct env *env = *state;

    lapic_timer_set_initial(&env->timer, 1000);
    fake_clock_step(&env->clock, 1000); /* and the loop is late */
    lapic_timer_set_initial(&env->timer, 500);
    assert_int_equal(env->ticks, 1);
    fake_loop_run(env->loop);
    assert_int_equal(env->ticks, 1);
    fake_loop_advance(env->loop, 500);
    assert_int_equal(env->ticks, 2);
}

static void the_longest_count_fits(void **state)
{
    struct env *env = *state;

    lapic_timer_set_divide(&env->timer, 0xA);
    lapic_timer_set_initial(&env->timer, UINT32_MAX);
    assert_true(fake_loop_next(env->loop) == UINT64_C(128) * UINT32_MAX);
    assert_int_equal(lapic_timer_current(&env->timer), UINT32_MAX);
}

/* ---- Changes while counting ---- */

static void divisor_change_keeps_the_count(void **state)
{
    struct env *env = *state;

    lapic_timer_set_divide(&env->timer, DIVIDE_BY_2);
    lapic_timer_set_initial(&env->timer, 1000);
    fake_clock_step(&env->clock, 500);
    assert_int_equal(lapic_timer_current(&env->timer), 750);
    lapic_timer_set_divide(&env->timer, DIVIDE_BY_16);
    assert_int_equal(lapic_timer_current(&env->timer), 750);
    fake_loop_advance(env->loop, 750 * 16 - 1);
    assert_int_equal(env->ticks, 0);
    fake_loop_advance(env->loop, 1);
    assert_int_equal(env->ticks, 1);
    lapic_timer_set_divide(&env->timer, DIVIDE_BY_2); /* nothing left to go on with */
    assert_int_equal(lapic_timer_current(&env->timer), 0);
    assert_true(fake_loop_next(env->loop) == FAKE_NEVER);
}

static void divisor_change_of_a_periodic_timer_changes_the_period(void **state)
{
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_PERIODIC);
    lapic_timer_set_initial(&env->timer, 100000);
    fake_loop_advance(env->loop, 150000);
    lapic_timer_set_divide(&env->timer, DIVIDE_BY_2);
    assert_int_equal(lapic_timer_current(&env->timer), 50000);
    fake_loop_advance(env->loop, 100000);
    assert_int_equal(env->ticks, 2);
    fake_loop_advance(env->loop, 400000);
    assert_int_equal(env->ticks, 4);
}

static void mode_change_between_one_shot_and_periodic_goes_on_counting(void **state)
{
    struct env *env = *state;

    lapic_timer_set_initial(&env->timer, 100000);
    fake_loop_advance(env->loop, 40000);
    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_PERIODIC);
    assert_int_equal(lapic_timer_current(&env->timer), 60000);
    fake_loop_advance(env->loop, 260000);
    assert_int_equal(env->ticks, 3);
    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_ONESHOT);
    fake_loop_advance(env->loop, 1000000);
    assert_int_equal(env->ticks, 4);
    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_PERIODIC); /* it has stopped */
    assert_int_equal(lapic_timer_current(&env->timer), 0);
    fake_loop_advance(env->loop, 1000000);
    assert_int_equal(env->ticks, 4);
}

static void deadline_mode_stops_the_count_and_ignores_it(void **state)
{
    struct env *env = *state;

    lapic_timer_set_initial(&env->timer, 1000);
    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    assert_int_equal(lapic_timer_current(&env->timer), 0);
    lapic_timer_set_initial(&env->timer, 500);
    lapic_timer_set_divide(&env->timer, DIVIDE_BY_2);
    assert_int_equal(env->timer.initial, 0);
    fake_loop_advance(env->loop, 10000);
    assert_int_equal(env->ticks, 0);
}

static void reserved_mode_does_nothing(void **state)
{
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_RESERVED);
    lapic_timer_set_initial(&env->timer, 10);
    lapic_timer_set_deadline(&env->timer, 10, 0);
    fake_loop_advance(env->loop, 1000);
    assert_int_equal(env->ticks, 0);
    assert_int_equal(lapic_timer_current(&env->timer), 0);
    assert_true(lapic_timer_deadline(&env->timer) == 0);
}

/* ---- Periodic ---- */

static void periodic_ticks_on_its_grid_without_drift(void **state)
{
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_PERIODIC);
    lapic_timer_set_initial(&env->timer, 1000000);
    for (unsigned i = 1; i <= 100; i++) {
        fake_clock_step(&env->clock,
                        1000000 + (i == 1 ? 777 : 0)); /* the loop is 777 ns late each time */
        fake_loop_run(env->loop);
        assert_int_equal(env->ticks, i);
        assert_true(fake_loop_next(env->loop) == (u64)(i + 1) * 1000000);
    }
}

static void periodic_count_starts_over(void **state)
{
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_PERIODIC);
    lapic_timer_set_initial(&env->timer, 100000);
    fake_loop_advance(env->loop, 100000);
    assert_int_equal(lapic_timer_current(&env->timer), 100000);
    fake_loop_advance(env->loop, 30000);
    assert_int_equal(lapic_timer_current(&env->timer), 70000);
    fake_clock_step(&env->clock, 370000); /* ticks that the loop has not seen */
    assert_int_equal(lapic_timer_current(&env->timer), 100000);
    fake_clock_step(&env->clock, 1);
    assert_int_equal(lapic_timer_current(&env->timer), 99999);
}

static void missed_periods_make_one_tick(void **state)
{
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_PERIODIC);
    lapic_timer_set_initial(&env->timer, 100000);
    fake_clock_step(&env->clock, 1050000);
    assert_int_equal(fake_loop_run(env->loop), 1);
    assert_int_equal(env->ticks, 1);
    assert_true(fake_loop_next(env->loop) == 1100000);
}

static void tiny_periods_do_not_storm(void **state)
{
    static const u32 counts[] = { 1, 3, 49, 50, 49999 };
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_PERIODIC);
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        u64 start = clock_ns(&env->clock);

        env->ticks = 0;
        lapic_timer_set_initial(&env->timer, counts[i]);
        assert_in_range(fake_loop_advance(env->loop, 1000000), 9, 21);
        assert_in_range(env->ticks, 9, 21);
        assert_true((fake_loop_next(env->loop) - start) % counts[i] == 0);
        assert_in_range(lapic_timer_current(&env->timer), 1, counts[i]);
        lapic_timer_set_initial(&env->timer, 0);
    }
}

/* ---- TSC deadline ---- */

static void deadline_ticks_at_the_guests_tsc(void **state)
{
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    lapic_timer_set_deadline(&env->timer, 1000500, 1000000);
    assert_true(lapic_timer_deadline(&env->timer) == 1000500);
    fake_loop_advance(env->loop, 499);
    assert_int_equal(env->ticks, 0);
    fake_loop_advance(env->loop, 1);
    assert_int_equal(env->ticks, 1);
    assert_true(lapic_timer_deadline(&env->timer) == 0);
}

static void deadline_works_with_a_tsc_behind_the_clock(void **state)
{
    struct env *env = *state;

    fake_clock_step(&env->clock, 5000);
    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    lapic_timer_set_deadline(&env->timer, 300, (u64)-5000); /* the guest's TSC is 0 now */
    fake_loop_advance(env->loop, 299);
    assert_int_equal(env->ticks, 0);
    fake_loop_advance(env->loop, 1);
    assert_int_equal(env->ticks, 1);
}

static void deadline_in_the_past_ticks_at_once(void **state)
{
    struct env *env = *state;

    fake_clock_step(&env->clock, 1000);
    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    lapic_timer_set_deadline(&env->timer, 1000, 0);
    assert_int_equal(env->ticks, 1);
    lapic_timer_set_deadline(&env->timer, 1, 0);
    assert_int_equal(env->ticks, 2);
    assert_true(lapic_timer_deadline(&env->timer) == 0);
    assert_true(fake_loop_next(env->loop) == FAKE_NEVER);
}

static void deadline_zero_disarms(void **state)
{
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    lapic_timer_set_deadline(&env->timer, 1000, 0);
    lapic_timer_set_deadline(&env->timer, 0, 0);
    assert_true(lapic_timer_deadline(&env->timer) == 0);
    fake_loop_advance(env->loop, 2000);
    assert_int_equal(env->ticks, 0);
}

static void deadline_moves_both_ways(void **state)
{
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    lapic_timer_set_deadline(&env->timer, 1000, 0);
    lapic_timer_set_deadline(&env->timer, 5000, 0);
    fake_loop_advance(env->loop, 2000);
    assert_int_equal(env->ticks, 0);
    lapic_timer_set_deadline(&env->timer, 3000, 0);
    fake_loop_advance(env->loop, 1000);
    assert_int_equal(env->ticks, 1);
    fake_loop_advance(env->loop, 10000);
    assert_int_equal(env->ticks, 1);
}

static void deadlines_never_tick_early_at_odd_rates(void **state)
{
    static const u64 rates[] = { 2894545000, 3000000000, 999999937, 62500000 };
    struct env *env = *state;
    u64 seed = 7;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    for (unsigned i = 0; i < ARRAY_SIZE(rates) * 50; i++) {
        u64 hz = rates[i % ARRAY_SIZE(rates)];
        u64 deadline, ns;

        fake_clock_init(&env->clock, hz);
        fake_clock_step(&env->clock, fake_random(&seed) % hz);
        deadline = clock_tsc(&env->clock) + 1 + fake_random(&seed) % hz;
        lapic_timer_set_deadline(&env->timer, deadline, 0);
        ns = fake_loop_next(env->loop);
        assert_true(clock_ns_to_tsc(&env->clock, ns) >= deadline);
        assert_true(ns <= clock_tsc_to_ns(&env->clock, deadline) + 1);
        lapic_timer_set_deadline(&env->timer, 0, 0);
    }
    assert_int_equal(env->ticks, 0);
}

static void deadline_at_the_end_of_time_does_not_tick(void **state)
{
    struct env *env = *state;

    fake_clock_init(&env->clock, 62500000);
    fake_clock_step(&env->clock, 1000);
    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    lapic_timer_set_deadline(&env->timer, UINT64_MAX, 0);
    assert_true(lapic_timer_deadline(&env->timer) == UINT64_MAX);
    fake_loop_run(env->loop);
    assert_int_equal(env->ticks, 0);
    assert_true(fake_loop_next(env->loop) > UINT64_C(1) << 63);
}

static void leaving_deadline_mode_disarms(void **state)
{
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    lapic_timer_set_deadline(&env->timer, 1000, 0);
    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_ONESHOT);
    assert_true(lapic_timer_deadline(&env->timer) == 0);
    lapic_timer_set_deadline(&env->timer, 1000, 0); /* ignored in this mode */
    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    assert_true(lapic_timer_deadline(&env->timer) == 0);
    fake_loop_advance(env->loop, 2000);
    assert_int_equal(env->ticks, 0);
}

static void reset_stops_everything(void **state)
{
    struct env *env = *state;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_PERIODIC);
    lapic_timer_set_initial(&env->timer, 100000);
    lapic_timer_reset(&env->timer);
    fake_loop_advance(env->loop, 1000000);
    assert_int_equal(env->ticks, 0);
    assert_int_equal(env->timer.mode, LAPIC_TIMER_ONESHOT);
    assert_int_equal(env->timer.divide, 0);
}

static void early_host_timer_is_set_again(void **state)
{
    struct env *env = *state;

    lapic_timer_set_initial(&env->timer, 1000);
    timer_arm(&env->timer.timer, 100);
    fake_clock_step(&env->clock, 100);
    assert_int_equal(fake_loop_run(env->loop), 1);
    assert_int_equal(env->ticks, 0);
    fake_loop_advance(env->loop, 900);
    assert_int_equal(env->ticks, 1);
}

/* ---- Two threads: the CPU sets deadlines, the loop fires ---- */

#define RACE_ROUNDS 20000u

struct race {
    struct env *env;
    _Atomic bool stop;
};

static void *race_loop_thread(void *arg)
{
    struct race *race = arg;

    while (!atomic_load(&race->stop))
        fake_loop_run(race->env->loop);
    return NULL;
}

static void race_begin(struct race *race, struct env *env, pthread_t *thread)
{
    race->env = env;
    atomic_store(&race->stop, false);
    assert_int_equal(pthread_create(thread, NULL, race_loop_thread, race), 0);
}

static void race_end(struct race *race, pthread_t thread)
{
    atomic_store(&race->stop, true);
    pthread_join(thread, NULL);
}

/*
 * Each deadline passes before the next is set: as many ticks as deadlines, whoever delivers them.
 */
static void every_passed_deadline_ticks_exactly_once(void **state)
{
    struct env *env = *state;
    struct race race;
    pthread_t thread;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    race_begin(&race, env, &thread);
    for (unsigned i = 0; i < RACE_ROUNDS; i++) {
        lapic_timer_set_deadline(&env->timer, clock_tsc(&env->clock) + 10, 0);
        fake_clock_step(&env->clock, 10);
    }
    lapic_timer_set_deadline(&env->timer, 0, 0);
    race_end(&race, thread);
    assert_int_equal(env->ticks, RACE_ROUNDS);
}

/* Each deadline is moved before it passes: no ticks, however the loop's timers fire. */
static void deadlines_moved_in_time_never_tick(void **state)
{
    struct env *env = *state;
    struct race race;
    pthread_t thread;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    race_begin(&race, env, &thread);
    for (unsigned i = 0; i < RACE_ROUNDS; i++) {
        lapic_timer_set_deadline(&env->timer, clock_tsc(&env->clock) + 10 + i % 3, 0);
        fake_clock_step(&env->clock, 9);
    }
    lapic_timer_set_deadline(&env->timer, 0, 0);
    race_end(&race, thread);
    assert_int_equal(env->ticks, 0);
}

/* After any mix of late and moved deadlines, the last one set is the one that comes. */
static void the_last_deadline_always_comes(void **state)
{
    struct env *env = *state;
    struct race race;
    pthread_t thread;
    u64 seed = 3;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_DEADLINE);
    race_begin(&race, env, &thread);
    for (unsigned i = 0; i < RACE_ROUNDS / 20; i++) {
        unsigned before;

        for (unsigned k = 0; k < 10; k++) {
            lapic_timer_set_deadline(&env->timer,
                                     clock_tsc(&env->clock) + 1 + fake_random(&seed) % 20, 0);
            fake_clock_step(&env->clock, fake_random(&seed) % 20);
        }
        lapic_timer_set_deadline(&env->timer, clock_tsc(&env->clock) + 5, 0);
        before = env->ticks;
        fake_clock_step(&env->clock, 5);
        while (lapic_timer_deadline(&env->timer) || env->ticks == before)
            sched_yield();
    }
    race_end(&race, thread);
    assert_true(lapic_timer_deadline(&env->timer) == 0);
}

/* A periodic timer that is set anew all the time keeps ticking in the end. */
static void periodic_survives_being_set_under_fire(void **state)
{
    struct env *env = *state;
    struct race race;
    pthread_t thread;
    unsigned before;

    lapic_timer_set_mode(&env->timer, LAPIC_TIMER_PERIODIC);
    race_begin(&race, env, &thread);
    for (unsigned i = 0; i < RACE_ROUNDS; i++) {
        lapic_timer_set_initial(&env->timer, 60000 + i % 5 * 10000);
        fake_clock_step(&env->clock, 55000 + i % 7 * 10000);
    }
    before = env->ticks;
    for (unsigned i = 0; i < 3; i++) {
        unsigned ticks = env->ticks;

        fake_clock_step(&env->clock, 100000);
        while (env->ticks == ticks)
            sched_yield();
    }
    lapic_timer_set_initial(&env->timer, 0);
    race_end(&race, thread);
    assert_in_range(env->ticks, before + 3, before + 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_shot_ticks_once_when_its_count_is_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(current_count_falls_at_the_divided_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(all_divisors, setup, teardown),
        cmocka_unit_test_setup_teardown(zero_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(starting_again_replaces_the_count, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tick_that_was_due_is_not_lost_by_starting_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_longest_count_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(divisor_change_keeps_the_count, setup, teardown),
        cmocka_unit_test_setup_teardown(divisor_change_of_a_periodic_timer_changes_the_period,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(mode_change_between_one_shot_and_periodic_goes_on_counting,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(deadline_mode_stops_the_count_and_ignores_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(reserved_mode_does_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(periodic_ticks_on_its_grid_without_drift, setup, teardown),
        cmocka_unit_test_setup_teardown(periodic_count_starts_over, setup, teardown),
        cmocka_unit_test_setup_teardown(missed_periods_make_one_tick, setup, teardown),
        cmocka_unit_test_setup_teardown(tiny_periods_do_not_storm, setup, teardown),
        cmocka_unit_test_setup_teardown(deadline_ticks_at_the_guests_tsc, setup, teardown),
        cmocka_unit_test_setup_teardown(deadline_works_with_a_tsc_behind_the_clock, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(deadline_in_the_past_ticks_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(deadline_zero_disarms, setup, teardown),
        cmocka_unit_test_setup_teardown(deadline_moves_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(deadlines_never_tick_early_at_odd_rates, setup, teardown),
        cmocka_unit_test_setup_teardown(deadline_at_the_end_of_time_does_not_tick, setup, teardown),
        cmocka_unit_test_setup_teardown(leaving_deadline_mode_disarms, setup, teardown),
        cmocka_unit_test_setup_teardown(reset_stops_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(early_host_timer_is_set_again, setup, teardown),
        cmocka_unit_test_setup_teardown(every_passed_deadline_ticks_exactly_once, setup, teardown),
        cmocka_unit_test_setup_teardown(deadlines_moved_in_time_never_tick, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_deadline_always_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(periodic_survives_being_set_under_fire, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
