/* SPDX-License-Identifier: MIT */
/* A clock and timers stepped by hand, and vcpu_request that only sets bits. */
#include "unit/fakes/fake_apic.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "machine/vcpu.h"

#define FAKE_NS_PER_S   UINT64_C(1000000000)
#define FAKE_TIMERS_MAX 32

struct loop {
    struct clock *clock;
    pthread_mutex_t mutex;
    struct timer *timers[FAKE_TIMERS_MAX];
};

/* ---- machine/vcpu.h ---- */

void vcpu_request(struct vcpu *vcpu, u32 bits)
{
    atomic_fetch_or(&vcpu->requests, bits);
}

/* ---- host/clock.h ---- */

static u64 fake_clock_read(const struct clock *clock)
{
    return __atomic_load_n(&clock->manual_tsc, __ATOMIC_ACQUIRE);
}

u64 clock_tsc_to_ns(const struct clock *clock, u64 tsc)
{
    unsigned __int128 ns = (unsigned __int128)tsc * FAKE_NS_PER_S / clock->tsc_hz;

    return ns > UINT64_MAX ? UINT64_MAX : (u64)ns;
}

u64 clock_ns_to_tsc(const struct clock *clock, u64 ns)
{
    return (u64)(((unsigned __int128)ns * clock->tsc_hz + FAKE_NS_PER_S - 1) / FAKE_NS_PER_S);
}

void fake_clock_init(struct clock *clock, u64 hz)
{
    memset(clock, 0, sizeof(*clock));
    clock->read_tsc = fake_clock_read;
    clock->tsc_hz = hz;
}

void fake_clock_step(struct clock *clock, u64 ticks)
{
    __atomic_fetch_add(&clock->manual_tsc, ticks, __ATOMIC_RELEASE);
}

/* ---- host/loop.h: slot is 1 while a timer is armed ---- */

void timer_init(struct timer *timer, struct loop *loop, pthread_mutex_t *lock, loop_fn *fn,
                void *arg)
{
    *timer = (struct timer){ .loop = loop, .lock = lock, .fn = fn, .arg = arg };
    for (unsigned i = 0; i < FAKE_TIMERS_MAX; i++) {
        if (!loop->timers[i]) {
            loop->timers[i] = timer;
            return;
        }
    }
    assert(!"enough timers");
}

void timer_arm(struct timer *timer, u64 deadline)
{
    pthread_mutex_lock(&timer->loop->mutex);
    timer->deadline = deadline;
    timer->slot = 1;
    pthread_mutex_unlock(&timer->loop->mutex);
}

void timer_cancel(struct timer *timer)
{
    pthread_mutex_lock(&timer->loop->mutex);
    timer->slot = 0;
    pthread_mutex_unlock(&timer->loop->mutex);
}

static bool fake_timer_take(struct timer *timer, u64 now)
{
    bool due;

    pthread_mutex_lock(&timer->loop->mutex);
    due = timer->slot && timer->deadline <= now;
    if (due)
        timer->slot = 0;
    pthread_mutex_unlock(&timer->loop->mutex);
    return due;
}

static bool fake_timer_fire(struct timer *timer, u64 now)
{
    bool due;

    if (timer->lock)
        pthread_mutex_lock(timer->lock);
    due = fake_timer_take(timer, now);
    if (due)
        timer->fn(timer->arg);
    if (timer->lock)
        pthread_mutex_unlock(timer->lock);
    return due;
}

unsigned fake_loop_run(struct loop *loop)
{
    u64 now = clock_ns(loop->clock);
    unsigned fired = 0;

    for (unsigned i = 0; i < FAKE_TIMERS_MAX && loop->timers[i]; i++)
        fired += fake_timer_fire(loop->timers[i], now);
    return fired;
}

u64 fake_loop_next(struct loop *loop)
{
    u64 next = FAKE_NEVER;

    pthread_mutex_lock(&loop->mutex);
    for (unsigned i = 0; i < FAKE_TIMERS_MAX && loop->timers[i]; i++)
        if (loop->timers[i]->slot)
            next = MIN(next, loop->timers[i]->deadline);
    pthread_mutex_unlock(&loop->mutex);
    return next;
}

unsigned fake_loop_advance(struct loop *loop, u64 ns)
{
    u64 end = clock_ns(loop->clock) + ns;
    unsigned fired = 0;
    u64 next, now;

    while ((next = fake_loop_next(loop)) <= end) {
        now = clock_ns(loop->clock);
        if (next > now)
            fake_clock_step(loop->clock, next - now);
        fired += fake_loop_run(loop);
    }
    now = clock_ns(loop->clock);
    fake_clock_step(loop->clock, end - now);
    return fired;
}

struct loop *fake_loop_new(struct clock *clock)
{
    struct loop *loop = xcalloc(1, sizeof(*loop));

    loop->clock = clock;
    pthread_mutex_init(&loop->mutex, NULL);
    return loop;
}

void fake_loop_free(struct loop *loop)
{
    pthread_mutex_destroy(&loop->mutex);
    free(loop);
}

u64 fake_random(u64 *state)
{
    u64 x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}
