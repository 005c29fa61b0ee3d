/* SPDX-License-Identifier: MIT */
/*
 * The I/O APIC: 24 interrupt inputs, each with a redirection entry that makes its message (Intel
 * 82093AA).
 */
#pragma once

#include "base/types.h"
#include "machine/bus.h"
#include "machine/device.h"

struct apic_bus;
struct clock;
struct ioapic;
struct loop;

#define IOAPIC_PINS 24u

/*
 * Routes of an accelerator that has the local APICs: what each input sends is published, as MSI address and data, when
 * the guest has programmed it, and sent by its number.
 */
struct ioapic_routes {
    void (*publish)(void *arg, unsigned gsi, gpa addr, u32 data);
    void (*fire)(void *arg, unsigned gsi);
    void *arg;
};

struct ioapic_config {
    struct apic_bus *bus;
    struct ioapic_routes routes; /* publish NULL: none, messages go over the bus */
    unsigned gsi_base;           /* of input 0, for routes */
    struct clock *clock;
    struct loop *loop;
    u8 id;             /* after reset, 0-15 */
    bool irq0_to_pin2; /* input 0 drives pin 2: how PCs wire the timer to their first I/O APIC */
};

/* An I/O APIC in power-on state that listens to the bus's EOIs. */
struct ioapic *ioapic_new(const struct ioapic_config *config);

/* For machine_add_device and the region's `dev`. */
struct device *ioapic_device(struct ioapic *ioapic);

/* A page at MAP_IOAPIC or MAP_IOAPIC2. */
extern const struct region_ops ioapic_ops;

/* irq_sink_fn with the I/O APIC as sink: drive input `pin`; any thread. */
void ioapic_set_irq(void *sink, unsigned pin, bool level);
