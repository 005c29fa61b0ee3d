/* SPDX-License-Identifier: MIT */
/* Wiring between the machine's interrupt controllers and those that the accelerator has inside. */
#include "machine/microvm_irqchip.h"

#include "accel/accel.h"
#include "hw/i8259.h"
#include "machine/machine.h"

static void irqchip_send(void *arg, gpa addr, u32 data)
{
    struct machine *machine = arg;

    machine->accel->irqchip->send(machine, addr, data);
}

static void irqchip_publish(void *arg, unsigned gsi, gpa addr, u32 data)
{
    struct machine *machine = arg;

    machine->accel->irqchip->route(machine, gsi, addr, data);
}

static void irqchip_fire(void *arg, unsigned gsi)
{
    struct machine *machine = arg;

    machine->accel->irqchip->fire(machine, gsi);
}

static void irqchip_eoi(void *arg, u8 vector)
{
    apic_bus_eoi(arg, vector);
}

void irqchip_connect_bus(struct machine *machine, struct apic_bus *bus)
{
    apic_bus_set_remote(bus, (struct apic_remote){ irqchip_send, machine });
    machine->eoi = irqchip_eoi;
    machine->eoi_arg = bus;
}

struct ioapic_routes irqchip_routes(struct machine *machine)
{
    return (struct ioapic_routes){ irqchip_publish, irqchip_fire, machine };
}

/* --- The 8259 pair, seen from the CPU as if it were all of a local APIC --- */

static int irqchip_pic_pending(void *pic)
{
    return i8259_pending(pic) ? 0 : -1;
}

static int irqchip_pic_ack(void *pic)
{
    return i8259_ack(pic);
}

static const struct vcpu_apic_ops irqchip_pic_ops = {
    .pending = irqchip_pic_pending,
    .ack = irqchip_pic_ack,
};

static void irqchip_intr_changed(void *sink, unsigned n, bool level)
{
    (void)n;
    if (level)
        vcpu_request(sink, VCPU_REQ_INTR);
}

struct irq irqchip_intr(struct vcpu *vcpu)
{
    return (struct irq){ irqchip_intr_changed, vcpu, 0 };
}

void irqchip_set_pic(struct vcpu *vcpu, struct i8259 *pic)
{
    vcpu->apic_ops = &irqchip_pic_ops;
    vcpu->apic = pic;
}

/* --- All inside --- */

void irqchip_connect_lines(struct machine *machine, struct gsi_table *gsi)
{
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        if (n != MAP_GSI_CASCADE)
            gsi_connect(gsi, n, (struct irq){ machine->accel->irqchip->set_gsi, machine, n });
}
