/* SPDX-License-Identifier: MIT */
/* Global system interrupts: sources ORed, sinks fanned out. */
#include "machine/gsi.h"

#include <assert.h>
#include <string.h>

static void gsi_line_drive(struct gsi_line *line, bool level)
{
    for (unsigned i = 0; i < line->sink_count; i++)
        irq_set(&line->sinks[i], level);
}

/*
 * irq_sink_fn: source `n` goes to `level`. The sinks are called with the line locked, so that two
 * sources that change at once are seen in one order by all of them.
 */
static void gsi_set(void *sink, unsigned n, bool level)
{
    struct gsi_table *table = sink;
    struct gsi_source *source = &table->sources[n];
    struct gsi_line *line = &table->lines[source->gsi];

    pthread_mutex_lock(&line->lock);
    if (source->level != level) {
        source->level = level;
        if (level && line->asserted++ == 0)
            gsi_line_drive(line, true);
        if (!level && --line->asserted == 0)
            gsi_line_drive(line, false);
    }
    pthread_mutex_unlock(&line->lock);
}

void gsi_connect(struct gsi_table *table, unsigned gsi, struct irq sink)
{
    struct gsi_line *line = &table->lines[gsi];

    assert(gsi < MAP_GSI_COUNT);
    assert(line->sink_count < GSI_SINKS_MAX);
    line->sinks[line->sink_count++] = sink;
}

struct irq gsi_irq(struct gsi_table *table, unsigned gsi)
{
    unsigned n = table->source_count++;

    assert(gsi < MAP_GSI_COUNT);
    assert(n < GSI_SOURCES_MAX);
    table->sources[n] = (struct gsi_source){ .gsi = (u8)gsi };
    return (struct irq){ .set = gsi_set, .sink = table, .n = n };
}

void gsi_init(struct gsi_table *table)
{
    memset(table, 0, sizeof(*table));
    for (unsigned i = 0; i < MAP_GSI_COUNT; i++)
        pthread_mutex_init(&table->lines[i].lock, NULL);
}

void gsi_fini(struct gsi_table *table)
{
    for (unsigned i = 0; i < MAP_GSI_COUNT; i++)
        pthread_mutex_destroy(&table->lines[i].lock);
}
