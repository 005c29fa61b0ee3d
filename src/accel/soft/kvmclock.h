/* SPDX-License-Identifier: MIT */
/*
 * kvmclock: pages in guest memory that tell how the TSC turns into time (Linux, Documentation/virt/kvm/x86/msr.rst).
 */
#pragma once

#include "base/types.h"

struct cpu;

/* Write of MSR_KVM_SYSTEM_TIME(_NEW): page address, bit 0 on or off. Kept, and the page is filled. */
void kvmclock_set_system_time(struct cpu *cpu, u64 value);

/* Write of MSR_KVM_WALL_CLOCK(_NEW): where to put the wall clock time at system time 0. */
void kvmclock_set_wall_clock(struct cpu *cpu, u64 value);

/* Fill the page anew: after the guest has moved its TSC. */
void kvmclock_update(struct cpu *cpu);

/* The factor and shift of the page for a TSC of `hz`: ns = ((tsc << shift) * mul) >> 32. */
void kvmclock_scale(u64 hz, u32 *mul, i8 *shift);
