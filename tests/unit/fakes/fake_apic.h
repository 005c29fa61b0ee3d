/* SPDX-License-Identifier: MIT */
/*
 * Stand-ins for what the interrupt chips use: a clock and timers stepped by hand, vcpu_request that
 * only sets bits. They keep the contracts of host/clock.h, host/loop.h and machine/vcpu.h, also
 * between threads.
 */
#pragma once

#include "host/clock.h"
#include "host/loop.h"

#define FAKE_NEVER UINT64_MAX

/* A clock of `hz` at tick 0. */
void fake_clock_init(struct clock *clock, u64 hz);
void fake_clock_step(struct clock *clock, u64 ticks);

struct loop *fake_loop_new(struct clock *clock);
void fake_loop_free(struct loop *loop);

/* Fire the timers that are due now, each at most once; returns how many fired. */
unsigned fake_loop_run(struct loop *loop);

/* Deadline of the earliest timer, FAKE_NEVER when none is armed. */
u64 fake_loop_next(struct loop *loop);

/* Let `ns` pass on a 1 GHz clock, firing each timer at its time; returns how many fired. */
unsigned fake_loop_advance(struct loop *loop, u64 ns);

/* A small deterministic random number generator (xorshift64*); `state` starts non-zero. */
u64 fake_random(u64 *state);
