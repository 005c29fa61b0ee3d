/* SPDX-License-Identifier: MIT */
/*
 * Which sockets, cores and threads the vCPUs are, and the APIC IDs that say so.
 *
 * An APIC ID is three packed fields, socket : core : thread, each as wide as its count needs (SDM vol. 3A, 9.9.1),
 * so IDs have gaps when a count is not a power of two.
 */
#pragma once

#include "base/types.h"

struct smp_config;

/* Bits of the thread field, and of the core field above it. */
unsigned topology_thread_bits(const struct smp_config *smp);
unsigned topology_core_bits(const struct smp_config *smp);

/* APIC ID of the vCPU with this index. Counts of zero are taken as one. */
u32 topology_apic_id(const struct smp_config *smp, unsigned index);
