/* SPDX-License-Identifier: MIT */
/*
 * The 8254 interval timer of a PC: three counters at 1193182 Hz, channel 0 on IRQ 0.
 *
 * Counters are computed from the clock when they are read, so a running timer costs the host
 * nothing but one wake-up per interrupt of channel 0.
 */
#pragma once

#include "base/types.h"
#include "host/clock.h"
#include "machine/bus.h"
#include "machine/device.h"
#include "machine/irq.h"

#define I8254_HZ 1193182u

struct i8254;
struct loop;

/* A timer after power-on. `irq` is channel 0's output; `loop` must follow `clock`. */
struct i8254 *i8254_new(struct irq irq, struct clock *clock, struct loop *loop);

/* For machine_add_device and as `dev` of its region; its ops->free frees the timer. */
struct device *i8254_device(struct i8254 *pit);

/* Register window (4 ports); its opaque is the struct i8254. */
extern const struct region_ops i8254_ops;
