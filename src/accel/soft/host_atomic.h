/* SPDX-License-Identifier: MIT */
/*
 * Atomic operations on guest memory, at any address inside a page.
 *
 * An x86 host does them at any alignment. Other hosts do those that are naturally aligned; the others are done in
 * parts there, which a guest with one CPU cannot tell.
 */
#pragma once

#include <string.h>

#include "accel/soft/host_cpu.h"
#include "base/types.h"

#if HOST_X86

#define HOST_ATOMIC_DEFINE(bits) \
    /* If *host is *expected, make it `value`; else *expected = *host. */ \
    static inline bool host_cas##bits(void *host, u##bits *expected, u##bits value) \
    { \
        bool equal; \
\
        __asm__ volatile("lock cmpxchg %[v], %[m]" \
                         : [m] "+m"(*(u8(*)[bits / 8]) host), "+a"(*expected), "=@ccz"(equal) \
                         : [v] "r"(value) \
                         : "memory"); \
        return equal; \
    } \
\
    static inline u##bits host_swap##bits(void *host, u##bits value) \
    { \
        __asm__ volatile("xchg %[v], %[m]" \
                         : [v] "+r"(value), [m] "+m"(*(u8(*)[bits / 8]) host) \
                         : \
                         : "memory"); \
        return value; \
    }

/* The same for 16 bytes, aligned; the low half first. */
static inline bool host_cas128(void *host, u64 expected[2], const u64 value[2])
{
    bool equal;

    __asm__ volatile("lock cmpxchg16b %[m]"
                     : [m] "+m"(*(u8(*)[16])host), "+a"(expected[0]), "+d"(expected[1]),
                       "=@ccz"(equal)
                     : "b"(value[0]), "c"(value[1])
                     : "memory");
    return equal;
}

#else

#define HOST_ATOMIC_DEFINE(bits) \
    static inline bool host_cas##bits(void *host, u##bits *expected, u##bits value) \
    { \
        u##bits old; \
\
        if (!((uintptr_t)host % sizeof(value))) \
            return __atomic_compare_exchange_n((u##bits *)host, expected, value, false, \
                                               __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        memcpy(&old, host, sizeof(old)); \
        if (old != *expected) { \
            *expected = old; \
            return false; \
        } \
        memcpy(host, &value, sizeof(value)); \
        return true; \
    } \
\
    static inline u##bits host_swap##bits(void *host, u##bits value) \
    { \
        u##bits old; \
\
        memcpy(&old, host, sizeof(old)); \
        while (!host_cas##bits(host, &old, value)) \
            continue; \
        return old; \
    }

/* Not atomic: CPUID does not offer CMPXCHG16B. */
static inline bool host_cas128(void *host, u64 expected[2], const u64 value[2])
{
    if (memcmp(host, expected, 16)) {
        memcpy(expected, host, 16);
        return false;
    }
    memcpy(host, value, 16);
    return true;
}

#endif

HOST_ATOMIC_DEFINE(8)
HOST_ATOMIC_DEFINE(16)
HOST_ATOMIC_DEFINE(32)
HOST_ATOMIC_DEFINE(64)
