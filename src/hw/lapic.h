/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of one vCPU: xAPIC and x2APIC (SDM vol. 3A, chapter 11).
 *
 * Its registers are reached through vcpu->apic_ops, on the vCPU's own thread, and most of its state
 * belongs to that thread alone. Other threads hand interrupts over by the functions here, which
 * touch only atomics and end in vcpu_request.
 */
#pragma once

#include "base/types.h"
#include "hw/apic_bus.h"
#include "machine/device.h"

struct clock;
struct lapic;
struct loop;
struct vcpu;

/* Where ExtINT vectors come from: the 8259s. Both are called on vCPU threads. */
struct lapic_extint {
    bool (*pending)(void *arg); /* is INT high? */
    int (*ack)(void *arg);      /* INTA: the vector */
    void *arg;
};

struct lapic_config {
    struct vcpu *vcpu; /* with apic_id and bsp set */
    struct apic_bus *bus;
    struct clock *clock;
    struct loop *loop;
    const u64 *tsc_offset; /* guest TSC - clock_tsc(), read on the vCPU's thread; NULL: always 0 */
    struct lapic_extint extint; /* zero without 8259 */
    unsigned phys_bits;         /* physical address width, limits IA32_APIC_BASE; 0: 40 */
    bool x2apic;                /* offer x2APIC mode */
    bool tsc_deadline;          /* offer IA32_TSC_DEADLINE */
};

/* A LAPIC in power-on state, put on the bus and connected to its vCPU (apic_ops, apic). */
struct lapic *lapic_new(const struct lapic_config *config);

/*
 * For machine_add_device. The device's lock covers the timer's ticks and what must not run beside
 * them.
 */
struct device *lapic_device(struct lapic *lapic);

/*
 * Where the guest TSC's offset is, when that is known only after lapic_new; before the vCPU runs.
 */
void lapic_set_tsc_offset(struct lapic *lapic, const u64 *tsc_offset);

/* Is the message's destination this LAPIC? (SDM 11.6.2) Any thread. */
bool lapic_matches(struct lapic *lapic, u32 dest, bool logical);

/* Does it take fixed interrupts: enabled by IA32_APIC_BASE and by SVR? Any thread. */
bool lapic_is_enabled(struct lapic *lapic);

/* A message for this LAPIC; any thread. What a disabled LAPIC does not take is dropped. */
void lapic_receive(struct lapic *lapic, enum apic_mode mode, u8 vector, bool level);

/* irq_sink_fn with the LAPIC as sink: drive the LINT`n` input; any thread. */
void lapic_set_lint(void *sink, unsigned n, bool level);
