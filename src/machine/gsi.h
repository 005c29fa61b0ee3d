/* SPDX-License-Identifier: MIT */
/*
 * Global system interrupts: the wires between the devices and the interrupt controllers.
 *
 * A GSI is one wire with any number of sources, which are ORed, and up to GSI_SINKS_MAX controller
 * inputs that all follow it. Sources and sinks are added while the machine is built; afterwards any
 * thread may drive a source. Lock order: source device -> GSI -> interrupt controller.
 */
#pragma once

#include <pthread.h>

#include "base/types.h"
#include "machine/irq.h"
#include "machine/map.h"

#define GSI_SINKS_MAX   4
#define GSI_SOURCES_MAX 128

struct gsi_line {
    pthread_mutex_t
        lock; /* protects `asserted` and its sources' levels, and orders the calls of the sinks */
    unsigned asserted; /* sources that drive the wire high */
    unsigned sink_count;
    struct irq sinks[GSI_SINKS_MAX];
};

struct gsi_source {
    u8 gsi;
    bool level;
};

struct gsi_table {
    struct gsi_line lines[MAP_GSI_COUNT];
    unsigned source_count;
    struct gsi_source sources[GSI_SOURCES_MAX];
};

void gsi_init(struct gsi_table *table);
void gsi_fini(struct gsi_table *table);

/* Let the controller input `sink` follow `gsi` (below MAP_GSI_COUNT). */
void gsi_connect(struct gsi_table *table, unsigned gsi, struct irq sink);

/*
 * A new source of `gsi`: the wire's end for one device output. The wire is high while any of its
 * sources is; each output needs a source of its own.
 */
struct irq gsi_irq(struct gsi_table *table, unsigned gsi);
