/* SPDX-License-Identifier: MIT */
/* The timers of host/loop.h, run by hand on a manual clock. */
#include "unit/fakes/loop.h"

#include <assert.h>
#include <string.h>

void fake_loop_init(struct loop *loop, struct clock *clock)
{
    memset(loop, 0, sizeof(*loop));
    loop->clock = clock;
}

void timer_init(struct timer *timer, struct loop *loop, pthread_mutex_t *lock, loop_fn *fn,
                void *arg)
{
    memset(timer, 0, sizeof(*timer));
    timer->loop = loop;
    timer->lock = lock;
    timer->fn = fn;
    timer->arg = arg;
}

void timer_arm(struct timer *timer, u64 deadline)
{
    struct loop *loop = timer->loop;

    timer->deadline = deadline;
    if (timer->slot)
        return;
    assert(loop->count < FAKE_LOOP_TIMERS);
    loop->armed[loop->count++] = timer;
    timer->slot = loop->count;
}

void timer_cancel(struct timer *timer)
{
    struct loop *loop = timer->loop;

    if (!timer->slot)
        return;
    loop->armed[timer->slot - 1] = loop->armed[--loop->count];
    loop->armed[timer->slot - 1]->slot = timer->slot;
    timer->slot = 0;
}

/* The armed timer with the earliest deadline up to `limit`, or NULL. */
static struct timer *fake_loop_next(struct loop *loop, u64 limit)
{
    struct timer *next = NULL;

    for (unsigned i = 0; i < loop->count; i++)
        if (loop->armed[i]->deadline <= limit &&
            (!next || loop->armed[i]->deadline < next->deadline))
            next = loop->armed[i];
    return next;
}

static void fake_loop_fire(struct loop *loop, struct timer *timer)
{
    timer_cancel(timer);
    loop->fired++;
    if (timer->lock)
        pthread_mutex_lock(timer->lock);
    timer->fn(timer->arg);
    if (timer->lock)
        pthread_mutex_unlock(timer->lock);
}

void fake_loop_step(struct loop *loop, u64 ns)
{
    u64 end = clock_ns(loop->clock) + ns;
    struct timer *timer;

    while ((timer = fake_loop_next(loop, end))) {
        u64 now = clock_ns(loop->clock);

        if (timer->deadline > now)
            clock_step(loop->clock, timer->deadline - now);
        fake_loop_fire(loop, timer);
    }
    clock_step(loop->clock, end - clock_ns(loop->clock));
}

void fake_loop_late(struct loop *loop, u64 ns)
{
    struct timer *timer;

    clock_step(loop->clock, ns);
    while ((timer = fake_loop_next(loop, clock_ns(loop->clock))))
        fake_loop_fire(loop, timer);
}
