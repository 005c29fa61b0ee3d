/* SPDX-License-Identifier: MIT */
/*
 * The one source of guest-visible time.
 *
 * The guest's TSC and the nanoseconds that devices count by are the same counter, so that a guest
 * that calibrates one against the other finds them in step. Nothing else in the tree reads a host
 * clock for the guest's sake; a replay or a test replaces this object and nothing more.
 */
#pragma once

#include "base/types.h"

struct clock {
    u64 (*read_tsc)(const struct clock *); /* the guest TSC before any guest offset */
    u64 tsc_hz;
    u64 tsc_base;   /* host TSC when the clock began */
    i64 wall_base;  /* CLOCK_REALTIME ns at clock_ns() == 0 */
    u64 manual_tsc; /* the counter of a clock that tests step by hand */
    u32 ns_mul;     /* ns = (tsc * ns_mul) >> ns_shift, 128-bit product */
    u32 ns_shift;
};

/*
 * Start at 0 ns, running with the host's TSC. When the host does not tell the rate it is measured, for a quarter of a
 * millisecond.
 */
void clock_init(struct clock *clock);

/* Start a clock that moves only by clock_step; 1 GHz, wall clock `wall_ns` since the Unix epoch. */
void clock_init_manual(struct clock *clock, i64 wall_ns);

/* Advance a manual clock. */
void clock_step(struct clock *clock, u64 ns);

/* Guest TSC ticks since the clock began. */
static inline u64 clock_tsc(const struct clock *clock)
{
    return clock->read_tsc(clock);
}

/* TSC ticks to nanoseconds since the clock began, and back (rounded up). */
u64 clock_tsc_to_ns(const struct clock *clock, u64 tsc);
u64 clock_ns_to_tsc(const struct clock *clock, u64 ns);

/* Nanoseconds since the clock began. */
static inline u64 clock_ns(const struct clock *clock)
{
    return clock_tsc_to_ns(clock, clock_tsc(clock));
}

/* Wall clock: nanoseconds since the Unix epoch, UTC. */
static inline i64 clock_wall_ns(const struct clock *clock)
{
    return clock->wall_base + (i64)clock_ns(clock);
}
