/* SPDX-License-Identifier: MIT */
/*
 * The MP table: CPUs, IOAPIC and ISA interrupts (Intel MultiProcessor Specification 1.4, chapter
 * 4).
 */
#pragma once

#include "base/types.h"

#define MPTABLE_SIZE_MAX 1024u

struct mptable_config {
    const u8 *apic_ids; /* of each CPU, the boot processor's first */
    unsigned cpu_count;
    u32 cpu_signature; /* CPUID.1 EAX */
    u32 cpu_features;  /* CPUID.1 EDX */
};

/*
 * Write floating pointer and configuration table for guest address `base` (a multiple of 16) to
 * `out`. Returns their size. Holds at least 16 CPUs; asserts that all fit.
 */
size_t mptable_build(u8 out[MPTABLE_SIZE_MAX], gpa base, const struct mptable_config *config);
