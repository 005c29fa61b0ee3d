/* SPDX-License-Identifier: MIT */
/* Delivery of exceptions and interrupts, and the return from them, in every mode. */
#pragma once

#include <stdatomic.h>

#include "accel/soft/fault.h"
#include "accel/soft/state.h"
#include "base/bits.h"
#include "machine/vcpu.h"

enum event_kind {
    EVENT_EXCEPTION, /* fault or trap of the processor; pushes an error code where its vector has one */
    EVENT_EXTERNAL, /* external interrupt or NMI */
    EVENT_SOFTWARE, /* INT n, INT3, INTO: checks the gate's DPL; cpu->rip is already past the instruction */
};

/*
 * Go through the IDT (or the real-mode vector table) for `vector`, pushing cpu->rip as the return address.
 * Faults met on the way are raised as usual; the run loop makes double and triple faults of them.
 */
void event_deliver(struct cpu *cpu, unsigned vector, u32 code, enum event_kind kind);

/* The same for instruction `in`, which faults met on the way are charged to (NULL: cpu->rip says it all). */
void event_deliver_at(struct cpu *cpu, const struct insn *in, unsigned vector, u32 code,
                      enum event_kind kind);

/* Call after RFLAGS.IF may have been set: an interrupt that was seen while it was clear gets another look. */
static inline void event_if_changed(struct cpu *cpu)
{
    if (unlikely(cpu->intr_waiting) && (cpu->sflags & FLAG_IF)) {
        cpu->intr_waiting = false;
        atomic_fetch_or(&cpu->vcpu->requests, VCPU_REQ_INTR);
    }
}
