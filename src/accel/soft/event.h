/* SPDX-License-Identifier: MIT */
/* Delivery of exceptions and interrupts, and the return from them, in every mode. */
#pragma once

#include "accel/soft/fault.h"
#include "accel/soft/state.h"

enum event_kind {
    EVENT_EXCEPTION, /* fault or trap of the processor; pushes an error code where its vector has one */
    EVENT_EXTERNAL,  /* external interrupt or NMI */
    EVENT_SOFTWARE,  /* INT n, INT3, INTO: checks the gate's DPL; cpu->rip is already past the instruction */
};

/*
 * Go through the IDT (or the real-mode vector table) for `vector`, pushing cpu->rip as the return address.
 * Faults met on the way are raised as usual; the run loop makes double and triple faults of them.
 */
void event_deliver(struct cpu *cpu, unsigned vector, u32 code, enum event_kind kind);
