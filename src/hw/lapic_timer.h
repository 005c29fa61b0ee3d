/* SPDX-License-Identifier: MIT */
/*
 * The timer of a local APIC: one-shot, periodic and TSC-deadline (SDM vol. 3A, 11.5.4).
 *
 * The registers are its CPU's own; what the CPU shares with the loop thread, where time passes, is
 * two atomics. `due` says when the next tick is. A tick belongs to whoever takes it out of `due` by
 * an atomic exchange: the loop's callback by compare-and-swap, or the CPU when it finds, as it sets
 * the timer anew, that the old time had passed. So no tick is lost and none comes twice, and
 * setting the timer takes no lock but the loop's own. The host's timer may fire early or for
 * nothing; it is set again until it agrees with `due`.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/types.h"
#include "host/loop.h"

struct clock;

/* LVT timer bits 18:17. */
enum lapic_timer_mode {
    LAPIC_TIMER_ONESHOT,
    LAPIC_TIMER_PERIODIC,
    LAPIC_TIMER_DEADLINE,
    LAPIC_TIMER_RESERVED, /* does nothing */
};

#define LAPIC_TIMER_DIVIDE_MASK 0xBu /* the bits of the divide configuration register */

struct lapic_timer {
    struct clock *clock;
    loop_fn *expired;
    void *arg;
    struct timer timer;

    /* clock_ns() of the next tick, UINT64_MAX: none. */
    _Atomic u64 due;
    /* ns; 0: the next tick is the last. Changed by the CPU while none is due, or with the lock. */
    _Atomic u64 period;

    /* The CPU's own. */
    enum lapic_timer_mode mode;
    u32 initial;
    u32 divide;
    u64 deadline; /* guest TSC; meaningful while a tick is due */
};

/*
 * `expired(arg)` is called at each tick: on the loop thread with `lock` held, or on the CPU's own
 * thread, from inside the functions below, for a time that has passed already.
 */
void lapic_timer_init(struct lapic_timer *t, struct clock *clock, struct loop *loop,
                      pthread_mutex_t *lock, loop_fn *expired, void *arg);
void lapic_timer_fini(struct lapic_timer *t);

/* Power-on state: stopped. With the lock held, no tick comes afterwards. */
void lapic_timer_reset(struct lapic_timer *t);

/* LVT mode; lock held. A change to or from LAPIC_TIMER_DEADLINE stops the timer. */
void lapic_timer_set_mode(struct lapic_timer *t, enum lapic_timer_mode mode);

/*
 * Initial count register (the write starts the count, 0 stops it), current count and divide
 * configuration.
 */
void lapic_timer_set_initial(struct lapic_timer *t, u32 count);
u32 lapic_timer_current(const struct lapic_timer *t);
void lapic_timer_set_divide(struct lapic_timer *t, u32 divide);

/*
 * IA32_TSC_DEADLINE: reads 0 when nothing is due. `tsc_offset` is what the guest's TSC is ahead of
 * clock_tsc().
 */
u64 lapic_timer_deadline(const struct lapic_timer *t);
void lapic_timer_set_deadline(struct lapic_timer *t, u64 deadline, u64 tsc_offset);
