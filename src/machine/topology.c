/* SPDX-License-Identifier: MIT */
/* APIC IDs from the socket, core and thread counts: SDM vol. 3A, 9.9 (hierarchical mapping of CPUID leaf 0BH). */
#include "machine/topology.h"

#include "base/bits.h"
#include "cli/config.h"

/* Width of a field that holds 0 to count - 1. */
static unsigned topology_bits(unsigned count)
{
    return count > 1 ? 32 - (unsigned)__builtin_clz(count - 1) : 0;
}

unsigned topology_thread_bits(const struct smp_config *smp)
{
    return topology_bits(smp->threads);
}

unsigned topology_core_bits(const struct smp_config *smp)
{
    return topology_bits(smp->cores);
}

u32 topology_apic_id(const struct smp_config *smp, unsigned index)
{
    unsigned threads = MAX(smp->threads, 1u);
    unsigned cores = MAX(smp->cores, 1u);
    unsigned thread_bits = topology_thread_bits(smp);
    unsigned core_bits = topology_core_bits(smp);
    u32 thread = index % threads;
    u32 core = index / threads % cores;
    u32 socket = index / threads / cores;

    return socket << (core_bits + thread_bits) | core << thread_bits | thread;
}
