/* SPDX-License-Identifier: MIT */
/*
 * What -d stats counts beyond the counters that always run: where a CPU's time goes, why translated code came back to
 * the run loop, what it left to the interpreter's handlers, which exceptions and interrupts there were.
 *
 * cpu->stats is NULL when the item is off. All functions are for the vCPU's own thread.
 */
#pragma once

#include "accel/soft/state.h"
#include "base/bits.h"
#include "base/types.h"

/* What a CPU is doing. */
enum stats_tier {
    STATS_LOOP,        /* requests, deliveries */
    STATS_INTERPRETED, /* handlers, with what they call */
    STATS_TRANSLATED,  /* generated code, with the handlers that it calls */
    STATS_DECODING,
    STATS_TRANSLATING,
    STATS_IDLE,
    STATS_TIERS
};

/* Why translated code returned to the run loop. */
enum stats_return {
    STATS_REQUEST,      /* a request waits */
    STATS_LEFT,         /* a handler or a computed jump whose target is not at hand */
    STATS_LOOKUP,       /* the target is not in the jump cache */
    STATS_UNTRANSLATED, /* the target has no code */
    STATS_LINK,         /* to be linked: it went on at once */
    STATS_RETURNS
};

struct stats {
    u64 ticks[STATS_TIERS];  /* of a clock of the host's */
    u64 icount[STATS_TIERS]; /* instructions */
    u64 entries[STATS_TIERS];
    u64 returns[STATS_RETURNS];
    u64 vectors[2][256];   /* exceptions, interrupts */
    u64 handled;           /* instructions that translated code left to their handlers */
    u64 *handlers;         /* the same by row */
    u64 since, since_insn; /* when the present tier began */
    enum stats_tier tier;
};

struct stats *stats_new(void);
void stats_free(struct stats *s);

/* From now on the CPU does something else. */
void stats_switch(struct cpu *cpu, enum stats_tier tier);

/* Write them to the log. */
void stats_log(struct cpu *cpu);

static inline void stats_enter(struct cpu *cpu, enum stats_tier tier)
{
    if (unlikely(cpu->stats))
        stats_switch(cpu, tier);
}

static inline void stats_returned(struct cpu *cpu, enum stats_return why)
{
    if (unlikely(cpu->stats))
        cpu->stats->returns[why]++;
}

static inline void stats_handled(struct cpu *cpu, unsigned row)
{
    if (unlikely(cpu->stats)) {
        cpu->stats->handled++;
        cpu->stats->handlers[row]++;
    }
}

static inline void stats_delivered(struct cpu *cpu, bool interrupt, u32 vector)
{
    if (unlikely(cpu->stats))
        cpu->stats->vectors[interrupt][vector & 0xFF]++;
}
