/* SPDX-License-Identifier: MIT */
/*
 * The timers of host/loop.h, run by hand on a manual clock. A test that links loop.c of this folder must
 * need nothing else of host/loop.h: the two define the same functions.
 */
#pragma once

#include "host/clock.h"
#include "host/loop.h"

#define FAKE_LOOP_TIMERS 16

struct loop {
    struct clock *clock;
    struct timer *armed[FAKE_LOOP_TIMERS];
    unsigned count;
    unsigned fired; /* callbacks run so far: what an idle guest would cost the host */
};

void fake_loop_init(struct loop *loop, struct clock *clock);

/* Let `ns` pass, firing each timer at its deadline. */
void fake_loop_step(struct loop *loop, u64 ns);

/* Let `ns` pass while the host sleeps: what became due fires only at the end. */
void fake_loop_late(struct loop *loop, u64 ns);
