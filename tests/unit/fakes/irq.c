/* SPDX-License-Identifier: MIT */
/* An interrupt controller that only remembers what its inputs saw. */
#include "unit/fakes/irq.h"

#include <assert.h>

static void fake_irq_set(void *sink, unsigned n, bool level)
{
    struct fake_irq *fake = sink;

    assert(n < FAKE_IRQ_LINES);
    fake->calls[n]++;
    fake->rises[n] += level && !fake->level[n];
    fake->falls[n] += !level && fake->level[n];
    fake->level[n] = level;
}

struct irq fake_irq_line(struct fake_irq *fake, unsigned n)
{
    return (struct irq){ .set = fake_irq_set, .sink = fake, .n = n };
}
