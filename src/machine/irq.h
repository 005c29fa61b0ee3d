/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines. A line is the wire between a device's output and one input of an interrupt controller
 * (or of a GSI, which fans out to several). It carries levels; an edge is two calls.
 */
#pragma once

#include "base/types.h"

typedef void irq_sink_fn(void *sink, unsigned n, bool level);

struct irq {
    irq_sink_fn *set; /* NULL: not connected */
    void *sink;
    unsigned n; /* the input's number at the sink */
};

/* Drive the line. Takes the sink's lock inside; safe from any thread with the source device locked. */
static inline void irq_set(const struct irq *irq, bool level)
{
    if (irq->set)
        irq->set(irq->sink, irq->n, level);
}

static inline void irq_pulse(const struct irq *irq)
{
    irq_set(irq, true);
    irq_set(irq, false);
}
