/* SPDX-License-Identifier: MIT */
/*
 * What the software CPU may ask of the CPU that it runs on.
 *
 * HOST_X86: an x86-64, whose own instructions do the arithmetic, the SIMD and x87 rows, and which translated code is
 * for. On any other, and in a build with -Dportable=true, there is the interpreter of the integer and system rows in
 * plain C, and CPUID tells the guest so.
 */
#pragma once

#if defined(__x86_64__) && !defined(MOTE_PORTABLE)
#define HOST_X86 1
#else
#define HOST_X86 0
#endif

#include <stdatomic.h>

/*
 * Memory order of the guest's loads and stores: an x86's are ordered among themselves, but for a load that passes an
 * earlier store (SDM vol. 3A, 9.2). A host that is not one needs fences for that; an x86 host has it for free.
 */
static inline void host_loaded(void)
{
#if !defined(__x86_64__)
    atomic_thread_fence(memory_order_acquire);
#endif
}

static inline void host_storing(void)
{
#if !defined(__x86_64__)
    atomic_thread_fence(memory_order_release);
#endif
}
