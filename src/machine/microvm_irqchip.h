/* SPDX-License-Identifier: MIT */
/* Wiring between the machine's interrupt controllers and those that the accelerator has inside (accel.h). */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "hw/apic_bus.h"
#include "hw/ioapic.h"
#include "machine/gsi.h"
#include "machine/irq.h"

struct i8259;
struct machine;
struct vcpu;

/* The accelerator has the local APICs: the bus sends to it, and it tells of EOIs. */
void irqchip_connect_bus(struct machine *machine, struct apic_bus *bus);

/* Where our I/O APICs publish what they send. */
struct ioapic_routes irqchip_routes(struct machine *machine);

/* Where the 8259 pair's INTR goes then: straight to the first CPU, which also takes its vectors from there. */
struct irq irqchip_intr(struct vcpu *vcpu);
void irqchip_set_pic(struct vcpu *vcpu, struct i8259 *pic);

/* The accelerator has all controllers of lines 0-23. */
void irqchip_connect_lines(struct machine *machine, struct gsi_table *gsi);
