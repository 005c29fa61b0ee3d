/* SPDX-License-Identifier: MIT */
/*
 * A 16550A serial port between the guest and a character backend.
 *
 * What the guest sends goes to the backend at once; what the backend cannot take waits in the
 * transmit FIFO, and the guest sees a transmitter that is busy. Input is taken as far as the
 * receive FIFO has room.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "host/clock.h"
#include "machine/bus.h"
#include "machine/device.h"
#include "machine/irq.h"

struct chardev;
struct loop;
struct uart16550;

struct uart16550_config {
    const char *name; /* for messages; not copied */
    struct irq irq;
    struct chardev *chr; /* NULL: nothing on the line */
    struct clock *clock;
    struct loop *loop; /* follows `clock` */
};

/* A port after power-on. NULL and `err` when the backend has another user. */
struct uart16550 *uart16550_new(const struct uart16550_config *config, struct error *err);

/*
 * For machine_add_device and as `dev` of its region; its ops->free lets the backend go and frees
 * the port.
 */
struct device *uart16550_device(struct uart16550 *uart);

/* Register window (8 ports); its opaque is the struct uart16550. */
extern const struct region_ops uart16550_ops;
