/* SPDX-License-Identifier: MIT */
/* An interrupt controller that only remembers what its inputs saw. */
#pragma once

#include "base/types.h"
#include "machine/irq.h"

#define FAKE_IRQ_LINES 64

struct fake_irq {
    bool level[FAKE_IRQ_LINES];
    unsigned rises[FAKE_IRQ_LINES]; /* low to high */
    unsigned falls[FAKE_IRQ_LINES]; /* high to low */
    unsigned calls[FAKE_IRQ_LINES]; /* all, changes or not */
};

/* The wire to input `n` of `fake`. */
struct irq fake_irq_line(struct fake_irq *fake, unsigned n);
