/* SPDX-License-Identifier: MIT */
/* The state that a CPU starts with. */
#pragma once

#include "base/types.h"

struct cpu;
struct cpu_boot_state;

/*
 * Power-on state, or with `init` the state after INIT, which leaves FPU, MTRRs, TSC and most MSRs alone. Mode and TLB
 * are up to date on return. The local APIC is not touched.
 */
void cpu_reset(struct cpu *cpu, bool init);

/*
 * The state in which a loader starts the boot processor, over the power-on state. For modes other than
 * BOOT_MODE_RESET it also turns memory types on, on all CPUs of the machine, as firmware would have done.
 */
void cpu_set_boot(struct cpu *cpu, const struct cpu_boot_state *state);
