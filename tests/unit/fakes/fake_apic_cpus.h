/* SPDX-License-Identifier: MIT */
/* CPUs without an engine: LAPICs on a bus, with the calls that their vCPU threads would make. */
#pragma once

#include "hw/apic_bus.h"
#include "hw/lapic.h"
#include "machine/vcpu.h"
#include "unit/fakes/fake_apic.h"

#define FAKE_CPUS_MAX 8

/* xAPIC register offsets. */
enum {
    APIC_ID = 0x20,
    APIC_VERSION = 0x30,
    APIC_TPR = 0x80,
    APIC_PPR = 0xA0,
    APIC_EOI = 0xB0,
    APIC_LDR = 0xD0,
    APIC_DFR = 0xE0,
    APIC_SVR = 0xF0,
    APIC_ISR = 0x100,
    APIC_TMR = 0x180,
    APIC_IRR = 0x200,
    APIC_ESR = 0x280,
    APIC_ICR = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_THERMAL = 0x330,
    APIC_LVT_PERFORMANCE = 0x340,
    APIC_LINT0 = 0x350,
    APIC_LINT1 = 0x360,
    APIC_LVT_ERROR = 0x370,
    APIC_INITIAL = 0x380,
    APIC_CURRENT = 0x390,
    APIC_DIVIDE = 0x3E0,
    APIC_SELF_IPI = 0x3F0,
};

#define APIC_BASE_XAPIC  UINT64_C(0xFEE00800)
#define APIC_BASE_X2APIC UINT64_C(0xFEE00C00)
#define APIC_BASE_OFF    UINT64_C(0xFEE00000)

/* An 8259 of one vector. */
struct fake_pic {
    bool int_level;
    int vector;
    unsigned acks;
};

struct fake_cpus {
    struct clock clock;
    struct loop *loop;
    struct apic_bus bus;
    struct fake_pic pic;
    u64 tsc_offset; /* of CPU 0 */
    unsigned count;
    struct vcpu vcpu[FAKE_CPUS_MAX];
    struct lapic *lapic[FAKE_CPUS_MAX];
};

/*
 * `count` CPUs with APIC IDs 0, 1, ...; all LAPICs as after reset. x2APIC and TSC deadline are
 * offered.
 */
struct fake_cpus *fake_cpus_new(unsigned count);

/* The same with other IDs and without any option. */
struct fake_cpus *fake_cpus_new_plain(unsigned count, const u32 *ids);
void fake_cpus_free(struct fake_cpus *cpus);

/* Registers of CPU n: page, MSR (must not fault), 32 bits each. */
u32 apic_read(struct fake_cpus *cpus, unsigned n, u32 offset);
void apic_write(struct fake_cpus *cpus, unsigned n, u32 offset, u32 value);
u64 apic_rdmsr(struct fake_cpus *cpus, unsigned n, u32 msr);
void apic_wrmsr(struct fake_cpus *cpus, unsigned n, u32 msr, u64 value);

/* SVR enable with spurious vector 0xFF, on all CPUs. */
void apic_enable_all(struct fake_cpus *cpus);

/* SVR enable and x2APIC mode, on all CPUs. */
void apic_x2apic_all(struct fake_cpus *cpus);

int apic_pending(struct fake_cpus *cpus, unsigned n);
int apic_ack(struct fake_cpus *cpus, unsigned n);
void apic_eoi(struct fake_cpus *cpus, unsigned n);

/* Take all requests of CPU n. */
u32 apic_requests(struct fake_cpus *cpus, unsigned n);
