/* SPDX-License-Identifier: MIT */
/*
 * What executes guest instructions. The machine and the devices do not know which one runs.
 *
 * An accelerator gives each vCPU a `run` that its thread stays in; the machine talks to it by requests.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "machine/irq.h"

struct config;
struct cpu_boot_state;
struct machine;
struct vcpu;

/* Why `run` returned. */
enum accel_exit {
    ACCEL_EXIT_REQUEST,      /* VCPU_REQ_PAUSE or VCPU_REQ_QUIT is set */
    ACCEL_EXIT_TRIPLE_FAULT, /* shutdown: the machine resets */
    ACCEL_EXIT_ERROR,        /* internal error, already logged: the machine stops with status 1 */
};

/* The interrupt controllers that an accelerator has inside; the machine makes the others. */
enum accel_irqchip {
    ACCEL_IRQCHIP_NONE,   /* none: local APICs talk to it by struct vcpu_apic_ops */
    ACCEL_IRQCHIP_LAPICS, /* the local APICs */
    ACCEL_IRQCHIP_ALL,    /* and the 8259 pair, the first I/O APIC and the 8254 */
};

/* How the machine's devices reach them. Any thread, after init. */
struct accel_irqchip_ops {
    /* Which there are with this configuration. */
    enum accel_irqchip (*kind)(const struct config *config);
    /* LAPICS and ALL: a message-signalled interrupt to the local APICs. */
    void (*send)(struct machine *machine, gpa addr, u32 data);
    /*
     * LAPICS: what input `gsi` of the machine's I/O APICs sends from now on, and sending it. Level-triggered
     * messages that were routed are told to machine->eoi when they end.
     */
    void (*route)(struct machine *machine, unsigned gsi, gpa addr, u32 data);
    void (*fire)(struct machine *machine, unsigned gsi);
    /* ALL: drive a line of the controllers inside; the sink is the machine. */
    irq_sink_fn *set_gsi;
    /* ALL: `gsi` has one source, of this kind, and may be driven in the cheapest way. */
    bool (*own_gsi)(struct machine *machine, unsigned gsi, bool level, struct error *err);
};

struct accel_ops {
    const char *name;
    bool rtc_off; /* rtc=auto leaves it out: guests have a better clock */
    const struct accel_irqchip_ops *irqchip; /* NULL: never any inside */
    /* Whether this host can run it at all, in a few milliseconds; false and the reason in `err`. */
    bool (*probe)(const struct config *config, struct error *err);
    /* Machine-wide set-up (guest memory and buses exist), and per vCPU. */
    bool (*init)(struct machine *machine, const struct config *config, struct error *err);
    bool (*vcpu_init)(struct vcpu *vcpu, const struct config *config, struct error *err);
    /* To power-on state (SDM vol. 3A, table 10-1), with the CPU stopped. */
    void (*vcpu_reset)(struct vcpu *vcpu);
    /* Start state of a direct boot, over the reset state. */
    void (*vcpu_set_boot)(struct vcpu *vcpu, const struct cpu_boot_state *state);
    enum accel_exit (*run)(struct vcpu *vcpu);
    /* Called by vcpu_request after the bits are set; makes a running CPU notice (may be NULL). */
    void (*kick)(struct vcpu *vcpu);
    /* CPUID.1 EAX (signature) and EDX (features) of the guest's CPUs, for tables that list them. */
    void (*cpu_signature)(struct machine *machine, u32 *eax, u32 *edx);
    /*
     * From now on the guest's 4-byte write of `value` at `addr` adds 1 to the eventfd `fd`, and the CPU goes on at
     * once. False: the host refuses; the write arrives at the bus as ever. NULL: not to be had.
     */
    bool (*doorbell)(struct machine *machine, gpa addr, u32 value, int fd);
    /* A CPU state dump in text, for logs. */
    void (*dump)(struct vcpu *vcpu, char *text, size_t size);
    void (*vcpu_free)(struct vcpu *vcpu);
    void (*free)(struct machine *machine);
};

extern const struct accel_ops accel_soft;
extern const struct accel_ops accel_kvm;

/*
 * The first of the configured accelerators that this host can run. One that cannot is passed over with a line that says
 * so and why, or is the error when there is no other. NULL and `err` then.
 */
const struct accel_ops *accel_choose(const struct config *config, struct error *err);

/* For -accel help: the accelerators, and what the host has to say of each. */
void accel_print_help(void);

/* What of the interrupt controllers is inside. */
static inline enum accel_irqchip accel_irqchip_kind(const struct accel_ops *accel,
                                                    const struct config *config)
{
    return accel->irqchip ? accel->irqchip->kind(config) : ACCEL_IRQCHIP_NONE;
}
