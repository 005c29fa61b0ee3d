/* SPDX-License-Identifier: MIT */
/* Counters of a CPU as lines of the log. */
#include "accel/soft/stats.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accel/soft/decode.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "machine/vcpu.h"

/* So many of the most frequent handlers and vectors are listed. */
#define STATS_LISTED 16u

static const char *const stats_tier_names[STATS_TIERS] = {
    [STATS_LOOP] = "run loop",           [STATS_INTERPRETED] = "interpreted",
    [STATS_TRANSLATED] = "translated",   [STATS_DECODING] = "decoding",
    [STATS_TRANSLATING] = "translating", [STATS_IDLE] = "idle",
};

static const char *const stats_return_names[STATS_RETURNS] = {
    [STATS_REQUEST] = "request waits",     [STATS_LEFT] = "left",
    [STATS_LOOKUP] = "target to be found", [STATS_UNTRANSLATED] = "target not translated",
    [STATS_LINK] = "to be linked",
};

/* The longest line of the log. */
#define STATS_LINE 1000

/* Ticks of a clock that is read quickly. */
static u64 stats_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
#endif
}

struct stats *stats_new(void)
{
    struct stats *s = xcalloc(1, sizeof(*s));

    s->handlers = xcalloc(insn_row_count, sizeof(*s->handlers));
    s->since = stats_now();
    return s;
}

void stats_free(struct stats *s)
{
    if (!s)
        return;
    free(s->handlers);
    free(s);
}

void stats_switch(struct cpu *cpu, enum stats_tier tier)
{
    struct stats *s = cpu->stats;
    u64 now = stats_now();

    s->ticks[s->tier] += now - s->since;
    s->icount[s->tier] += cpu->icount - s->since_insn;
    s->since = now;
    s->since_insn = cpu->icount;
    s->entries[tier]++;
    s->tier = tier;
}

static double stats_percent(u64 part, u64 whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void stats_log_cpu(const struct cpu *cpu)
{
    log_line("cpu %u: %" PRIu64 " instructions, %" PRIu64 " blocks from the run loop, %" PRIu64
             " block lookups, %" PRIu64 " TLB misses, %" PRIu64 " exceptions, %" PRIu64
             " interrupts",
             cpu->vcpu->id, cpu->icount, cpu->stat_blocks, cpu->stat_lookups, cpu->stat_tlb_misses,
             cpu->stat_exceptions, cpu->stat_interrupts);
}

static void stats_log_tiers(const struct cpu *cpu)
{
    const struct stats *s = cpu->stats;
    u64 ticks = 0;

    for (unsigned i = 0; i < STATS_TIERS; i++)
        ticks += s->ticks[i];
    for (unsigned i = 0; i < STATS_TIERS; i++)
        log_line("cpu %u: %s: %.1f %% of its time, entered %" PRIu64 " times, %" PRIu64
                 " instructions (%.1f %%)",
                 cpu->vcpu->id, stats_tier_names[i], stats_percent(s->ticks[i], ticks),
                 s->entries[i], s->icount[i], stats_percent(s->icount[i], cpu->icount));
}

/* Blocks of translated code that did not come from the run loop came from other translated code. */
static void stats_log_returns(const struct cpu *cpu)
{
    const struct stats *s = cpu->stats;
    u64 entered = s->entries[STATS_TRANSLATED] + s->returns[STATS_LINK];
    char bytes[STATS_LINE];
    struct text line = { bytes, sizeof(bytes), 0 };

    log_line("cpu %u: %" PRIu64 " translated blocks run, %.2f %% of them from another one",
             cpu->vcpu->id, cpu->stat_translated,
             stats_percent(cpu->stat_translated - MIN(entered, cpu->stat_translated),
                           cpu->stat_translated));
    for (unsigned i = 0; i < STATS_RETURNS; i++)
        text_add(&line, "%s %s %" PRIu64, i ? "," : "", stats_return_names[i], s->returns[i]);
    log_line("cpu %u: back from translated code:%s", cpu->vcpu->id, bytes);
}

static unsigned stats_largest(const u64 *counts, unsigned count)
{
    unsigned largest = 0;

    for (unsigned i = 1; i < count; i++)
        if (counts[i] > counts[largest])
            largest = i;
    return largest;
}

/* The most frequent of `counts`, each as "NAME COUNT" by `print`. They are 0 afterwards. */
static void stats_list(struct text *line, u64 *counts, unsigned count,
                       void (*print)(struct text *line, unsigned index))
{
    for (unsigned listed = 0; listed < STATS_LISTED; listed++) {
        unsigned at = stats_largest(counts, count);

        if (!counts[at])
            return;
        text_add(line, "%s ", listed ? "," : "");
        print(line, at);
        text_add(line, " %" PRIu64, counts[at]);
        counts[at] = 0;
    }
}

static void stats_print_row(struct text *line, unsigned index)
{
    text_add(line, "%s", insn_rows[index].name);
}

static void stats_print_vector(struct text *line, unsigned index)
{
    text_add(line, "0x%02x", index);
}

static void stats_log_lists(struct cpu *cpu)
{
    static const char *const kinds[2] = { "exceptions", "interrupts" };
    struct stats *s = cpu->stats;
    char bytes[STATS_LINE];
    struct text line = { bytes, sizeof(bytes), 0 };

    stats_list(&line, s->handlers, insn_row_count, stats_print_row);
    log_line("cpu %u: %" PRIu64 " instructions left to their handlers by translated code:%s",
             cpu->vcpu->id, s->handled, line.used ? bytes : " none");
    for (unsigned kind = 0; kind < 2; kind++) {
        line.used = 0;
        stats_list(&line, s->vectors[kind], 256, stats_print_vector);
        log_line("cpu %u: %s:%s", cpu->vcpu->id, kinds[kind], line.used ? bytes : " none");
    }
}

void stats_log(struct cpu *cpu)
{
    if (!cpu->stats)
        return;
    stats_switch(cpu, STATS_LOOP);
    stats_log_cpu(cpu);
    stats_log_tiers(cpu);
    stats_log_returns(cpu);
    stats_log_lists(cpu);
}
