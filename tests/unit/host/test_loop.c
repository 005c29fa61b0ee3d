/* SPDX-License-Identifier: MIT */
/* The event loop: order of timers, locks around callbacks, removal from callbacks, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/clock.h"
#include "host/loop.h"

#define MS UINT64_C(1000000)

struct fixture {
    struct clock clock;
    struct loop *loop;
    char order[64]; /* what ran, a letter each */
    unsigned count;
};

static void fixture_start(struct fixture *f, bool manual)
{
    struct error err;

    *f = (struct fixture){ .count = 0 };
    if (manual)
        clock_init_manual(&f->clock, 0);
    else
        clock_init(&f->clock);
    f->loop = loop_new(&f->clock, &err);
    assert_non_null(f->loop);
}

static void fixture_note(struct fixture *f, char letter)
{
    assert_true(f->count + 1 < sizeof(f->order));
    f->order[f->count++] = letter;
}

struct named_timer {
    struct timer timer;
    struct fixture *fixture;
    char name;
};

static void named_timer_fire(void *arg)
{
    struct named_timer *t = arg;

    fixture_note(t->fixture, t->name);
}

static void named_timer_start(struct named_timer *t, struct fixture *f, char name, u64 deadline)
{
    t->fixture = f;
    t->name = name;
    timer_init(&t->timer, f->loop, NULL, named_timer_fire, t);
    timer_arm(&t->timer, deadline);
}

static void timers_fire_in_order_of_deadline(void **state)
{
    struct named_timer t[4];
    struct fixture f;

    (void)state;
    fixture_start(&f, true);
    named_timer_start(&t[0], &f, 'c', 30);
    named_timer_start(&t[1], &f, 'a', 10);
    named_timer_start(&t[2], &f, 'd', 40);
    named_timer_start(&t[3], &f, 'b', 20);
    loop_poll(f.loop, 0);
    assert_string_equal(f.order, "");
    clock_step(&f.clock, 20);
    loop_poll(f.loop, 0);
    assert_string_equal(f.order, "ab");
    clock_step(&f.clock, 100);
    loop_poll(f.loop, 0);
    assert_string_equal(f.order, "abcd");
    loop_free(f.loop);
}

static void arming_an_armed_timer_moves_it(void **state)
{
    struct named_timer t[3];
    struct fixture f;

    (void)state;
    fixture_start(&f, true);
    named_timer_start(&t[0], &f, 'a', 10);
    named_timer_start(&t[1], &f, 'b', 20);
    named_timer_start(&t[2], &f, 'c', 30);
    timer_arm(&t[0].timer, 50);
    timer_arm(&t[2].timer, 5);
    clock_step(&f.clock, 40);
    loop_poll(f.loop, 0);
    assert_string_equal(f.order, "cb");
    clock_step(&f.clock, 10);
    loop_poll(f.loop, 0);
    assert_string_equal(f.order, "cba");
    loop_free(f.loop);
}

static void cancelled_timers_do_not_fire(void **state)
{
    struct timer never = { .slot = 0 };
    struct named_timer t[3];
    struct fixture f;

    (void)state;
    fixture_start(&f, true);
    for (unsigned i = 0; i < 3; i++)
        named_timer_start(&t[i], &f, (char)('a' + i), i);
    timer_cancel(&t[1].timer);
    timer_cancel(&t[1].timer);
    timer_cancel(&never);
    clock_step(&f.clock, 10);
    loop_poll(f.loop, 0);
    assert_string_equal(f.order, "ac");
    timer_cancel(&t[0].timer);
    loop_free(f.loop);
}

static void many_timers_keep_their_order(void **state)
{
    struct named_timer t[200];
    struct fixture f;
    u64 previous = 0;

    (void)state;
    fixture_start(&f, true);
    srand(1);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++)
        named_timer_start(&t[i], &f, 'x', (u64)(rand() % 1000) + 1);
    for (size_t i = 0; i < ARRAY_SIZE(t); i += 3)
        timer_cancel(&t[i].timer);
    for (size_t i = 1; i < ARRAY_SIZE(t); i += 3)
        timer_arm(&t[i].timer, (u64)(rand() % 1000) + 1);
    for (u64 now = 0; now <= 1000; now += 50) {
        f.count = 0;
        loop_poll(f.loop, 0);
        for (size_t i = 0; i < ARRAY_SIZE(t); i++)
            assert_true((i % 3 != 0 && t[i].timer.deadline > now) == (t[i].timer.slot != 0));
        assert_true(now == 0 || now > previous);
        previous = now;
        clock_step(&f.clock, 50);
    }
    loop_free(f.loop);
}

static void quit_from_timer(void *arg)
{
    struct fixture *f = arg;

    f->count++;
    loop_quit(f->loop);
}

static void sleeping_loop_wakes_near_the_deadline(void **state)
{
    struct fixture f;
    struct timer timer;
    u64 best = UINT64_MAX;

    (void)state;
    fixture_start(&f, false);
    timer_init(&timer, f.loop, NULL, quit_from_timer, &f);
    for (int i = 0; i < 20; i++) {
        u64 deadline = clock_ns(&f.clock) + 2 * MS;
        u64 now;

        timer_arm(&timer, deadline);
        loop_run(f.loop);
        now = clock_ns(&f.clock);
        assert_true(now >= deadline);
        best = MIN(best, now - deadline);
    }
    assert_int_equal(f.count, 20);
    assert_true(best < 1 * MS); /* the slack of a plain sleep alone would be 50 us, a jiffy 4 ms */
    loop_free(f.loop);
}

static void *arm_soon(void *arg)
{
    struct timespec pause = { 0, 20 * 1000 * 1000 };
    struct timer *timer = arg;

    nanosleep(&pause, NULL);
    timer_arm(timer, 0);
    return NULL;
}

static void earlier_deadline_from_another_thread_wakes_the_loop(void **state)
{
    struct fixture f;
    struct timer timer;
    pthread_t thread;

    (void)state;
    fixture_start(&f, false);
    timer_init(&timer, f.loop, NULL, quit_from_timer, &f);
    timer_arm(&timer, clock_ns(&f.clock) + 3600 * 1000 * MS);
    pthread_create(&thread, NULL, arm_soon, &timer);
    loop_run(f.loop);
    assert_int_equal(f.count, 1);
    pthread_join(thread, NULL);
    loop_free(f.loop);
}

static void post_b(void *arg)
{
    fixture_note(arg, 'b');
}

static void rearm_in_the_past(void *arg)
{
    struct named_timer *t = arg;

    fixture_note(t->fixture, t->name);
    if (t->fixture->count < 5)
        timer_arm(&t->timer, 0);
}

static void timer_that_rearms_in_the_past_does_not_starve_posted_work(void **state)
{
    struct named_timer t;
    struct fixture f;

    (void)state;
    fixture_start(&f, true);
    clock_step(&f.clock, 10);
    named_timer_start(&t, &f, 'a', 0);
    t.timer.fn = rearm_in_the_past;
    loop_post(f.loop, post_b, &f);
    for (int i = 0; i < 5; i++)
        loop_poll(f.loop, 0);
    assert_string_equal(f.order, "abaaa");
    loop_free(f.loop);
}

static void post_a_then_b(void *arg)
{
    struct fixture *f = arg;

    fixture_note(f, 'a');
    loop_post(f->loop, post_b, f);
}

static void posted_work_runs_in_order_and_may_post(void **state)
{
    struct fixture f;

    (void)state;
    fixture_start(&f, true);
    loop_post(f.loop, post_a_then_b, &f);
    loop_post(f.loop, post_b, &f);
    loop_poll(f.loop, 0);
    assert_string_equal(f.order, "ab");
    loop_poll(f.loop, -1);
    assert_string_equal(f.order, "abb");
    for (int i = 0; i < 40; i++)
        loop_post(f.loop, post_b, &f);
    loop_poll(f.loop, -1);
    assert_int_equal(f.count, 43);
    loop_free(f.loop);
}

static void quit_before_run_is_not_lost(void **state)
{
    struct fixture f;

    (void)state;
    fixture_start(&f, true);
    loop_quit(f.loop);
    loop_run(f.loop);
    loop_poll(f.loop, 1);
    loop_free(f.loop);
}

struct pipe_end {
    struct fixture *fixture;
    int fds[2];
    struct loop_watch *watch;
    struct pipe_end *victim; /* removed when this one is called */
    pthread_mutex_t lock;
    char name;
};

static void pipe_end_readable(void *arg, u32 events)
{
    struct pipe_end *p = arg;
    char c;

    assert_true(events & EPOLLIN);
    assert_int_equal(pthread_mutex_trylock(&p->lock), EBUSY);
    assert_int_equal(read(p->fds[0], &c, 1), 1);
    fixture_note(p->fixture, p->name);
    if (p->victim) {
        loop_fd_remove(p->victim->watch);
        p->victim->watch = NULL;
        p->victim->victim = NULL;
    }
}

static void pipe_end_start(struct pipe_end *p, struct fixture *f, char name)
{
    *p = (struct pipe_end){ .fixture = f, .name = name };
    pthread_mutex_init(&p->lock, NULL);
    assert_int_equal(pipe(p->fds), 0);
    p->watch = loop_fd_add(f->loop, p->fds[0], EPOLLIN, &p->lock, pipe_end_readable, p);
    assert_non_null(p->watch);
}

static void pipe_end_stop(struct pipe_end *p)
{
    loop_fd_remove(p->watch);
    close(p->fds[0]);
    close(p->fds[1]);
}

static void descriptors_call_back_with_their_lock_held(void **state)
{
    struct pipe_end p;
    struct fixture f;

    (void)state;
    fixture_start(&f, true);
    pipe_end_start(&p, &f, 'p');
    loop_poll(f.loop, 0);
    assert_string_equal(f.order, "");
    assert_int_equal(write(p.fds[1], "xy", 2), 2);
    loop_poll(f.loop, -1);
    loop_poll(f.loop, -1);
    assert_string_equal(f.order, "pp");
    loop_fd_modify(p.watch, 0);
    assert_int_equal(write(p.fds[1], "z", 1), 1);
    loop_poll(f.loop, 0);
    assert_string_equal(f.order, "pp");
    loop_fd_modify(p.watch, EPOLLIN);
    loop_poll(f.loop, 0);
    assert_string_equal(f.order, "ppp");
    assert_int_equal(pthread_mutex_trylock(&p.lock), 0);
    pipe_end_stop(&p);
    loop_free(f.loop);
}

/* Both are ready in one round, and each removes the other: the second must not be called. */
static void watch_removed_by_an_earlier_callback_is_not_called(void **state)
{
    struct pipe_end p, q;
    struct fixture f;

    (void)state;
    fixture_start(&f, true);
    pipe_end_start(&p, &f, 'p');
    pipe_end_start(&q, &f, 'q');
    p.victim = &q;
    q.victim = &p;
    assert_int_equal(write(p.fds[1], "x", 1), 1);
    assert_int_equal(write(q.fds[1], "x", 1), 1);
    loop_poll(f.loop, -1);
    loop_poll(f.loop, 0);
    assert_int_equal(f.count, 1);
    pipe_end_stop(&p);
    pipe_end_stop(&q);
    loop_free(f.loop);
}

static void nothing_ready(void *arg, u32 events)
{
    (void)arg;
    (void)events;
    fail();
}

static void regular_files_are_refused_with_eperm(void **state)
{
    struct fixture f;
    int fd = open("/proc/self/exe", O_RDONLY);

    (void)state;
    fixture_start(&f, true);
    assert_null(loop_fd_add(f.loop, fd, EPOLLIN, NULL, nothing_ready, NULL));
    assert_int_equal(errno, EPERM);
    close(fd);
    loop_free(f.loop);
}

/*
 * A device in small: its thread arms and cancels the timer under the lock, and checks that no
 * callback comes between a cancel and the next arm.
 */
struct racer {
    struct fixture *fixture;
    pthread_mutex_t lock;
    struct timer timer;
    bool armed;
    unsigned fired;
    unsigned wrong;
    _Atomic unsigned *running; /* racers at work; the last one ends the loop */
};

static void racer_fire(void *arg)
{
    struct racer *r = arg;

    r->wrong += !r->armed;
    r->armed = false;
    r->fired++;
}

static void racer_work(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

static _Atomic unsigned racer_posts;

static void *racer_run(void *arg)
{
    struct timespec pause = { 0, 50000 };
    struct racer *r = arg;

    for (int i = 0; i < 3000; i++) {
        pthread_mutex_lock(&r->lock);
        timer_cancel(&r->timer);
        r->armed = i % 3 != 0;
        if (r->armed)
            timer_arm(&r->timer, clock_ns(&r->fixture->clock) + (u64)(i % 7) * 1000);
        pthread_mutex_unlock(&r->lock);
        loop_post(r->fixture->loop, racer_work, &racer_posts);
        if (i % 100 == 1)
            nanosleep(&pause, NULL);
    }
    pthread_mutex_lock(&r->lock);
    timer_cancel(&r->timer);
    r->armed = false;
    pthread_mutex_unlock(&r->lock);
    if (atomic_fetch_sub(r->running, 1) == 1)
        loop_quit(r->fixture->loop);
    return NULL;
}

static void cancel_with_the_lock_held_is_final_under_load(void **state)
{
    _Atomic unsigned running = 3;
    struct racer racers[3];
    pthread_t threads[3];
    struct fixture f;
    unsigned fired = 0;

    (void)state;
    fixture_start(&f, false);
    for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
        racers[i] = (struct racer){ .fixture = &f, .running = &running };
        pthread_mutex_init(&racers[i].lock, NULL);
        timer_init(&racers[i].timer, f.loop, &racers[i].lock, racer_fire, &racers[i]);
        pthread_create(&threads[i], NULL, racer_run, &racers[i]);
    }
    loop_run(f.loop);
    for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(racers[i].wrong, 0);
        fired += racers[i].fired;
    }
    loop_poll(f.loop, 0);
    assert_int_equal(racer_posts, 9000);
    assert_true(fired > 0);
    loop_free(f.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_of_deadline),
        cmocka_unit_test(arming_an_armed_timer_moves_it),
        cmocka_unit_test(cancelled_timers_do_not_fire),
        cmocka_unit_test(many_timers_keep_their_order),
        cmocka_unit_test(timer_that_rearms_in_the_past_does_not_starve_posted_work),
        cmocka_unit_test(sleeping_loop_wakes_near_the_deadline),
        cmocka_unit_test(earlier_deadline_from_another_thread_wakes_the_loop),
        cmocka_unit_test(posted_work_runs_in_order_and_may_post),
        cmocka_unit_test(quit_before_run_is_not_lost),
        cmocka_unit_test(descriptors_call_back_with_their_lock_held),
        cmocka_unit_test(watch_removed_by_an_earlier_callback_is_not_called),
        cmocka_unit_test(regular_files_are_refused_with_eperm),
        cmocka_unit_test(cancel_with_the_lock_held_is_final_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
