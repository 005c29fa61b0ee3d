/* SPDX-License-Identifier: MIT */
/*
 * The timer of a local APIC (SDM vol. 3A, 11.5.4). The bus clock is 1 GHz: a count of 1 is 1 ns
 * times the divider.
 */
#include "hw/lapic_timer.h"

#include "base/bits.h"
#include "host/clock.h"

#define LAPIC_TIMER_NEVER         UINT64_MAX

/*
 * A shorter period ticks at multiples of it that are this far apart: the loop thread serves others,
 * too.
 */
#define LAPIC_TIMER_PERIOD_MIN_NS UINT64_C(50000)

/* DCR bits 3, 1 and 0: 0 divides by 2, 1 by 4, ... 6 by 128, 7 by 1 (SDM figure 11-10). */
static u64 lapic_timer_divisor(u32 divide)
{
    unsigned n = (divide & 3) | ((divide >> 1) & 4);

    return UINT64_C(1) << ((n + 1) & 7);
}

/* What the count of the initial count register takes, ns. */
static u64 lapic_timer_span(const struct lapic_timer *t)
{
    return t->initial * lapic_timer_divisor(t->divide);
}

/* ---- The loop's side ---- */

/*
 * The tick after the one at `due`, which passed: on the grid of the period, so that late ticks do
 * not add up.
 */
static u64 lapic_timer_next(const struct lapic_timer *t, u64 due, u64 now)
{
    u64 step = atomic_load(&t->period);

    if (!step)
        return LAPIC_TIMER_NEVER;
    if (step < LAPIC_TIMER_PERIOD_MIN_NS)
        step *= (LAPIC_TIMER_PERIOD_MIN_NS + step - 1) / step;
    return due + ((now - due) / step + 1) * step;
}

/*
 * Make the host's timer agree with `due`. The CPU may set both at any time: if its `due` is seen
 * after arming, the host's timer is set to it here; if not, then the CPU comes after us and sets
 * the timer itself.
 */
static void lapic_timer_arm(struct lapic_timer *t)
{
    u64 due;

    do {
        due = atomic_load(&t->due);
        if (due == LAPIC_TIMER_NEVER)
            return;
        timer_arm(&t->timer, due);
    } while (atomic_load(&t->due) < due);
}

/* Take the tick that is due, if it is, and put the next in its place. */
static bool lapic_timer_take(struct lapic_timer *t, u64 now)
{
    u64 due = atomic_load(&t->due);
    u64 next, again;

    do {
        if (due > now)
            return false;
        next = lapic_timer_next(t, due, now);
    } while (!atomic_compare_exchange_strong(&t->due, &due, next));
    /*
     * The CPU may have set the very same time anew, with another period, after the period was read
     * above. It stores the period first, so that now the right one is seen; when `next` is gone the
     * CPU was here again.
     */
    again = lapic_timer_next(t, due, now);
    if (again != next)
        atomic_compare_exchange_strong(&t->due, &next, again);
    return true;
}

static void lapic_timer_fired(void *arg)
{
    struct lapic_timer *t = arg;

    if (lapic_timer_take(t, clock_ns(t->clock)))
        t->expired(t->arg);
    lapic_timer_arm(t);
}

/* ---- The CPU's side ---- */

/* Take what is due away; a tick whose time has come is delivered. Returns the time that was due. */
static u64 lapic_timer_stop(struct lapic_timer *t, u64 now)
{
    u64 due = atomic_exchange(&t->due, LAPIC_TIMER_NEVER);

    if (due <= now)
        t->expired(t->arg);
    return due;
}

static void lapic_timer_start(struct lapic_timer *t, u64 due)
{
    atomic_store(&t->due, due);
    timer_arm(&t->timer, due);
}

static u64 lapic_timer_wanted_period(const struct lapic_timer *t)
{
    return t->mode == LAPIC_TIMER_PERIODIC ? lapic_timer_span(t) : 0;
}

static u32 lapic_timer_count_at(const struct lapic_timer *t, u64 due, u64 now)
{
    u64 divisor = lapic_timer_divisor(t->divide);
    u64 span = lapic_timer_span(t);
    u64 left;

    if (due == LAPIC_TIMER_NEVER || !span)
        return 0;
    if (due > now)
        left = (due - now - 1) % span + 1;
    else if (t->mode == LAPIC_TIMER_PERIODIC)
        left = span - (now - due) % span;
    else
        left = 0;
    return (u32)((left + divisor - 1) / divisor);
}

u32 lapic_timer_current(const struct lapic_timer *t)
{
    if (t->mode > LAPIC_TIMER_PERIODIC)
        return 0;
    return lapic_timer_count_at(t, atomic_load(&t->due), clock_ns(t->clock));
}

void lapic_timer_set_initial(struct lapic_timer *t, u32 count)
{
    u64 now = clock_ns(t->clock);

    if (t->mode > LAPIC_TIMER_PERIODIC)
        return;
    lapic_timer_stop(t, now);
    t->initial = count;
    atomic_store(&t->period, lapic_timer_wanted_period(t));
    if (count)
        lapic_timer_start(t, now + lapic_timer_span(t));
    else
        timer_cancel(&t->timer);
}

/*
 * The SDM does not say what a change does to a running count; here the count goes on at the new
 * rate.
 */
void lapic_timer_set_divide(struct lapic_timer *t, u32 divide)
{
    u64 now = clock_ns(t->clock);
    u64 due;
    u32 count;

    divide &= LAPIC_TIMER_DIVIDE_MASK;
    if (divide == t->divide)
        return;
    if (t->mode > LAPIC_TIMER_PERIODIC) {
        t->divide = divide;
        return;
    }
    due = lapic_timer_stop(t, now);
    count = lapic_timer_count_at(t, due, now);
    t->divide = divide;
    atomic_store(&t->period, lapic_timer_wanted_period(t));
    if (count)
        lapic_timer_start(t, now + count * lapic_timer_divisor(divide));
}

u64 lapic_timer_deadline(const struct lapic_timer *t)
{
    if (t->mode != LAPIC_TIMER_DEADLINE || atomic_load(&t->due) == LAPIC_TIMER_NEVER)
        return 0;
    return t->deadline;
}

/* The first nanosecond at which the clock has counted `ticks` more than `tsc`. */
static u64 lapic_timer_ns_after(const struct lapic_timer *t, u64 tsc, u64 ticks)
{
    u64 target = ticks > UINT64_MAX - tsc ? UINT64_MAX : tsc + ticks;

    return MIN(clock_tsc_to_ns(t->clock, target - 1), LAPIC_TIMER_NEVER - 2) + 1;
}

void lapic_timer_set_deadline(struct lapic_timer *t, u64 deadline, u64 tsc_offset)
{
    u64 tsc = clock_tsc(t->clock);
    u64 guest_tsc = tsc + tsc_offset;

    if (t->mode != LAPIC_TIMER_DEADLINE)
        return;
    lapic_timer_stop(t, clock_tsc_to_ns(t->clock, tsc));
    t->deadline = deadline;
    if (!deadline)
        timer_cancel(&t->timer);
    else if (deadline <= guest_tsc)
        t->expired(t->arg);
    else
        lapic_timer_start(t, lapic_timer_ns_after(t, tsc, deadline - guest_tsc));
}

void lapic_timer_set_mode(struct lapic_timer *t, enum lapic_timer_mode mode)
{
    bool counted = t->mode <= LAPIC_TIMER_PERIODIC;

    if (mode == t->mode)
        return;
    t->mode = mode;
    if (!counted || mode > LAPIC_TIMER_PERIODIC) {
        atomic_store(&t->due, LAPIC_TIMER_NEVER);
        t->initial = 0;
        t->deadline = 0;
    }
    atomic_store(&t->period, lapic_timer_wanted_period(t));
}

/* ---- Life ---- */

void lapic_timer_reset(struct lapic_timer *t)
{
    atomic_store(&t->due, LAPIC_TIMER_NEVER);
    atomic_store(&t->period, 0);
    t->mode = LAPIC_TIMER_ONESHOT;
    t->initial = 0;
    t->divide = 0;
    t->deadline = 0;
}

void lapic_timer_init(struct lapic_timer *t, struct clock *clock, struct loop *loop,
                      pthread_mutex_t *lock, loop_fn *expired, void *arg)
{
    t->clock = clock;
    t->expired = expired;
    t->arg = arg;
    timer_init(&t->timer, loop, lock, lapic_timer_fired, t);
    lapic_timer_reset(t);
}

void lapic_timer_fini(struct lapic_timer *t)
{
    timer_cancel(&t->timer);
}
