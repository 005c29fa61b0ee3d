/* SPDX-License-Identifier: MIT */
/*
 * The two cascaded 8259A interrupt controllers of a PC with their edge/level registers.
 *
 * Inputs 0-7 are the master's, 8-15 the slave's; the slave's output is wired to master input 2. The
 * output (INTR) goes to LINT0 of the boot processor's local APIC, which fetches the vector with
 * i8259_ack.
 */
#pragma once

#include "base/types.h"
#include "machine/bus.h"
#include "machine/device.h"
#include "machine/irq.h"

#define I8259_INPUTS 16u

struct i8259;

/*
 * A pair after power-on. `intr` is driven with the pair's lock held: its sink must not call back.
 */
struct i8259 *i8259_new(struct irq intr);

/* For machine_add_device and as `dev` of its regions; its ops->free frees the pair. */
struct device *i8259_device(struct i8259 *pic);

/* Register windows (2 ports each); their opaque is the struct i8259. */
extern const struct region_ops i8259_master_ops;
extern const struct region_ops i8259_slave_ops;
extern const struct region_ops i8259_elcr_ops;

/*
 * Drive input `n` (0-15; 2 is not brought out). The irq_sink_fn; `sink` is the struct i8259. Takes
 * the lock.
 */
void i8259_set_irq(void *sink, unsigned n, bool level);

/* Is INTR active? Any thread without the pair's lock. */
bool i8259_pending(void *pic);

/*
 * The CPU's interrupt acknowledge cycle: the vector, whose request moves into service. Without a
 * request it is the spurious vector of input 7. Any thread; takes the lock and may drive INTR with
 * it.
 */
int i8259_ack(void *pic);
