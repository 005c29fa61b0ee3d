/* SPDX-License-Identifier: MIT */
/*
 * The inside of a local APIC, shared by lapic.c (interrupts) and lapic_regs.c (registers) alone.
 *
 * Section numbers are those of the SDM vol. 3A.
 */
#pragma once

#include <stdatomic.h>

#include "base/bits.h"
#include "hw/lapic.h"
#include "hw/lapic_timer.h"

/* Registers: offset into the page / 16 = MSR - 0x800 (table 11-1 and 11-6). */
enum lapic_reg {
    LAPIC_ID = 0x02,
    LAPIC_VERSION = 0x03,
    LAPIC_TPR = 0x08,
    LAPIC_PPR = 0x0A,
    LAPIC_EOI = 0x0B,
    LAPIC_LDR = 0x0D,
    LAPIC_DFR = 0x0E,
    LAPIC_SVR = 0x0F,
    LAPIC_ISR = 0x10,
    LAPIC_TMR = 0x18,
    LAPIC_IRR = 0x20,
    LAPIC_ESR = 0x28,
    LAPIC_ICR_LOW = 0x30,
    LAPIC_ICR_HIGH = 0x31,
    LAPIC_LVT = 0x32,
    LAPIC_INITIAL_COUNT = 0x38,
    LAPIC_CURRENT_COUNT = 0x39,
    LAPIC_DIVIDE = 0x3E,
    LAPIC_SELF_IPI = 0x3F,
    LAPIC_REG_COUNT,
};

/* The LVT entries, in register order. */
enum lapic_lvt {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERFORMANCE,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LVT_COUNT,
};

#define LVT_VECTOR           0xFFu
#define LVT_STATUS           BIT(12)
#define LVT_REMOTE_IRR       BIT(14)
#define LVT_MASKED           BIT(16)
#define LVT_TIMER_MODE       (BIT(17) | BIT(18))
#define LVT_TIMER_DEADLINE   BIT(18)
#define LVT_LINT_WRITABLE    0x1A7FFu
#define LVT_READ_ONLY        (LVT_STATUS | LVT_REMOTE_IRR)

#define SVR_VECTOR           0xFFu
#define SVR_ENABLE           BIT(8)
#define SVR_FOCUS            BIT(9) /* of older processors; accepted and dropped */
#define SVR_EOI_SUPPRESS     BIT(12)

#define DFR_MODEL            0xF0000000u
#define DFR_FLAT             0xFu
#define LDR_ID               0xFF000000u

#define ESR_SEND_ILLEGAL     BIT(5)
#define ESR_RECEIVE_ILLEGAL  BIT(6)
#define ESR_ILLEGAL_REGISTER BIT(7)

/* IA32_APIC_BASE (11.4.4, 11.12.1). */
#define APIC_BASE_BSP        BIT64(8)
#define APIC_BASE_EXTD       BIT64(10)
#define APIC_BASE_EN         BIT64(11)

/* Vectors below are reserved for exceptions. */
#define LAPIC_VECTOR_MIN     16

/* Guest-visible state. */
struct lapic_state {
    /* Shared with the threads that deliver. */
    _Atomic u64 irr_edge[4];
    _Atomic u64 irr_level[4];
    _Atomic u64 base;
    _Atomic u32 svr;
    _Atomic u32 ldr; /* xAPIC; x2APIC mode derives it from the ID */
    _Atomic u32 dfr;
    _Atomic u32 lvt[LVT_COUNT];
    _Atomic u32 errors;  /* since the last write of ESR */
    _Atomic bool extint; /* an ExtINT message came */

    /* The vCPU's own. */
    u64 isr[4];
    u64 tmr[4]; /* trigger mode of the vectors as they went in service */
    u8 tpr;
    u8 ppr; /* derived from tpr and isr */
    u32 esr;
    u32 icr_low;
    u32 icr_high;
};

struct lapic {
    struct device dev;
    struct lapic_state state;
    struct lapic_timer timer;
    struct vcpu *vcpu;
    struct apic_bus *bus;
    const u64 *tsc_offset;
    struct lapic_extint extint;
    _Atomic u32 lint_levels; /* the wires at LINT0 and LINT1 */
    u32 id;
    u64 base_reserved; /* bits of IA32_APIC_BASE */
    bool tsc_deadline;
};

/* The two mode bits of IA32_APIC_BASE as a number (table 11-5). */
enum lapic_mode {
    LAPIC_DISABLED,
    LAPIC_INVALID,
    LAPIC_XAPIC,
    LAPIC_X2APIC,
};

static inline enum lapic_mode lapic_mode_of(u64 base)
{
    return (enum lapic_mode)FIELD_GET(APIC_BASE_EN | APIC_BASE_EXTD, base);
}

static inline enum lapic_mode lapic_mode(struct lapic *l)
{
    return lapic_mode_of(atomic_load_explicit(&l->state.base, memory_order_relaxed));
}

static inline u32 lapic_svr(struct lapic *l)
{
    return atomic_load_explicit(&l->state.svr, memory_order_relaxed);
}

static inline u32 lapic_lvt(struct lapic *l, enum lapic_lvt entry)
{
    return atomic_load_explicit(&l->state.lvt[entry], memory_order_relaxed);
}

/* lapic.c: own thread, but for lapic_error (any thread). */

/* Note ESR bits, and raise the error interrupt with the first. */
void lapic_error(struct lapic *l, u32 bit);

/* IRR bits of vectors 64 * i and up, edge and level together. */
u64 lapic_irr_word(struct lapic *l, unsigned i);

/* The LDR of x2APIC mode. */
u32 lapic_x2apic_ldr(const struct lapic *l);

void lapic_set_tpr(struct lapic *l, u8 tpr);
void lapic_eoi(struct lapic *l);

/* Call after something that may have made an interrupt deliverable: asks the vCPU to look. */
void lapic_recheck(struct lapic *l);

/* lapic_regs.c: see struct vcpu_apic_ops. */
u64 lapic_mmio_read(void *opaque, u64 offset, unsigned size);
void lapic_mmio_write(void *opaque, u64 offset, unsigned size, u64 value);
bool lapic_msr_read(void *opaque, u32 msr, u64 *value);
bool lapic_msr_write(void *opaque, u32 msr, u64 value);
