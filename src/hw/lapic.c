/* SPDX-License-Identifier: MIT */
/*
 * The local APIC (SDM vol. 3A, chapter 11; section numbers below are its): interrupts in, vectors
 * out, and its modes. Its registers are in lapic_regs.c.
 *
 * Who touches what. Other threads (IOAPICs, IPIs, timers) set bits in the IRR, ERRORS and EXTINT
 * atomics, then call vcpu_request; they read BASE, SVR, LDR, DFR and the LVTs, which the vCPU's
 * thread writes. All else is the vCPU's. The IRR is kept as two bitmaps, edge and level, so that a
 * vector is accepted together with its trigger mode by one atomic operation; the TMR that the guest
 * sees is made from them.
 *
 * The device's lock is held by the timer's callback, and taken on the vCPU's thread where a tick
 * must not be under way: for LVT timer and SVR writes, INIT and reset. No path of an interrupt
 * takes it.
 *
 * NOT EMULATED: level-triggered fixed interrupts at LINT0 and LINT1 (they act as edges), SMI
 * (dropped), the thermal and performance monitoring interrupts (their LVTs are storage), writable
 * APIC IDs.
 */
#include "hw/lapic.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "hw/lapic_state.h"
#include "machine/map.h"
#include "machine/vcpu.h"

#define APIC_BASE_RESERVED  UINT64_C(0x2FF)
#define APIC_PHYS_BITS      40

/* vcpu_apic_ops.pending of an ExtINT, whose vector only INTA tells. No LAPIC interrupt has it. */
#define LAPIC_VECTOR_EXTINT 0

bool lapic_is_enabled(struct lapic *l)
{
    return lapic_mode(l) != LAPIC_DISABLED && (lapic_svr(l) & SVR_ENABLE);
}

/* ---- Accepting interrupts; any thread ---- */

static void lapic_receive_lvt(struct lapic *l, enum lapic_lvt entry);

/* 11.5.3: the error interrupt comes with the first error and not again until the ESR is written. */
void lapic_error(struct lapic *l, u32 bit)
{
    if (atomic_fetch_or(&l->state.errors, bit) == 0)
        lapic_receive_lvt(l, LVT_ERROR);
}

static void lapic_accept(struct lapic *l, u8 vector, bool level)
{
    _Atomic u64 *irr = level ? l->state.irr_level : l->state.irr_edge;

    if (vector < LAPIC_VECTOR_MIN) {
        lapic_error(l, ESR_RECEIVE_ILLEGAL);
        return;
    }
    atomic_fetch_or(&irr[vector / 64], BIT64(vector % 64));
    vcpu_request(l->vcpu, VCPU_REQ_INTR);
}

static void lapic_receive_startup(struct lapic *l, u8 vector)
{
    atomic_store(&l->vcpu->sipi_vector, vector);
    vcpu_request(l->vcpu, VCPU_REQ_SIPI);
}

static void lapic_receive_extint(struct lapic *l)
{
    atomic_store(&l->state.extint, true);
    vcpu_request(l->vcpu, VCPU_REQ_INTR);
}

void lapic_receive(struct lapic *l, enum apic_mode mode, u8 vector, bool level)
{
    if (lapic_mode(l) == LAPIC_DISABLED)
        return;
    switch (mode) {
    case APIC_MODE_FIXED:
    case APIC_MODE_LOWEST:
        if (lapic_svr(l) & SVR_ENABLE)
            lapic_accept(l, vector, level);
        break;
    case APIC_MODE_NMI: vcpu_request(l->vcpu, VCPU_REQ_NMI); break;
    case APIC_MODE_INIT: vcpu_request(l->vcpu, VCPU_REQ_INIT); break;
    case APIC_MODE_STARTUP: lapic_receive_startup(l, vector); break;
    case APIC_MODE_EXTINT: lapic_receive_extint(l); break;
    case APIC_MODE_SMI:
    case APIC_MODE_RESERVED: guest_error("lapic: message of delivery mode %d dropped", mode); break;
    }
}

/*
 * A local interrupt. The timer's and the error LVT have no delivery mode: those bits are 0, fixed.
 */
static void lapic_receive_lvt(struct lapic *l, enum lapic_lvt entry)
{
    u32 lvt = lapic_lvt(l, entry);

    if (!(lvt & LVT_MASKED))
        lapic_receive(l, FIELD_GET(APIC_MODE_MASK, lvt), lvt & LVT_VECTOR, false);
}

static void lapic_timer_expired(void *arg)
{
    lapic_receive_lvt(arg, LVT_TIMER);
}

/* 11.5.1: without a LAPIC, LINT0 is the processor's INTR pin and LINT1 its NMI pin. */
static void lapic_lint_rose(struct lapic *l, enum lapic_lvt entry)
{
    u32 lvt = lapic_lvt(l, entry);

    if (lapic_mode(l) == LAPIC_DISABLED)
        vcpu_request(l->vcpu, entry == LVT_LINT0 ? VCPU_REQ_INTR : VCPU_REQ_NMI);
    else if (FIELD_GET(APIC_MODE_MASK, lvt) != APIC_MODE_EXTINT)
        lapic_receive_lvt(l, entry);
    else if (!(lvt & LVT_MASKED))
        vcpu_request(l->vcpu, VCPU_REQ_INTR); /* which then asks the 8259 */
}

void lapic_set_lint(void *sink, unsigned n, bool level)
{
    struct lapic *l = sink;

    assert(n < 2);
    if (!level)
        atomic_fetch_and(&l->lint_levels, ~BIT(n));
    else if (!(atomic_fetch_or(&l->lint_levels, BIT(n)) & BIT(n)))
        lapic_lint_rose(l, n == 0 ? LVT_LINT0 : LVT_LINT1);
}

/* ---- Destinations; any thread ---- */

u32 lapic_x2apic_ldr(const struct lapic *l)
{
    return (l->id >> 4) << 16 | BIT(l->id & 15);
}

static bool lapic_matches_x2apic(const struct lapic *l, u32 dest)
{
    u32 ldr = lapic_x2apic_ldr(l);

    return dest >> 16 == ldr >> 16 && (dest & ldr & 0xFFFF);
}

/* 11.6.2.2: flat, a bit per CPU, or cluster, a number and four bits. */
static bool lapic_matches_xapic(struct lapic *l, u32 dest)
{
    u32 ldr = atomic_load_explicit(&l->state.ldr, memory_order_relaxed) >> 24;
    u32 dfr = atomic_load_explicit(&l->state.dfr, memory_order_relaxed);

    if (dest > APIC_DEST_ALL_XAPIC)
        return false;
    if (FIELD_GET(DFR_MODEL, dfr) == DFR_FLAT)
        return dest & ldr;
    return dest == APIC_DEST_ALL_XAPIC || (dest >> 4 == ldr >> 4 && (dest & ldr & 0xF));
}

bool lapic_matches(struct lapic *l, u32 dest, bool logical)
{
    if (dest == APIC_DEST_ALL)
        return true;
    if (!logical)
        return dest == l->id;
    return lapic_mode(l) == LAPIC_X2APIC ? lapic_matches_x2apic(l, dest)
                                         : lapic_matches_xapic(l, dest);
}

/* ---- Priorities; the vCPU's thread from here on ---- */

u64 lapic_irr_word(struct lapic *l, unsigned i)
{
    return atomic_load_explicit(&l->state.irr_edge[i], memory_order_acquire) |
           atomic_load_explicit(&l->state.irr_level[i], memory_order_acquire);
}

static int lapic_highest_irr(struct lapic *l)
{
    for (int i = 3; i >= 0; i--) {
        u64 word = lapic_irr_word(l, (unsigned)i);

        if (word)
            return i * 64 + 63 - __builtin_clzll(word);
    }
    return -1;
}

static int lapic_highest_isr(const struct lapic *l)
{
    for (int i = 3; i >= 0; i--)
        if (l->state.isr[i])
            return i * 64 + 63 - __builtin_clzll(l->state.isr[i]);
    return -1;
}

/*
 * 11.8.3.1: the task's priority, or the class of the highest interrupt in service if that is
 * higher.
 */
static void lapic_update_ppr(struct lapic *l)
{
    int isr = lapic_highest_isr(l);
    u8 in_service = isr < 0 ? 0 : (u8)(isr & 0xF0);

    l->state.ppr = (l->state.tpr & 0xF0) >= in_service ? l->state.tpr : in_service;
}

/*
 * The vector that the priorities let through, or -1. A LAPIC disabled by SVR still hands out what
 * it accepted (11.4.7.2).
 */
static int lapic_deliverable(struct lapic *l)
{
    int vector = lapic_highest_irr(l);

    return vector >= 0 && vector >> 4 > l->state.ppr >> 4 ? vector : -1;
}

static bool lapic_extint_gate_open(struct lapic *l)
{
    u32 lint0 = lapic_lvt(l, LVT_LINT0);

    return lapic_mode(l) == LAPIC_DISABLED ||
           (!(lint0 & LVT_MASKED) && FIELD_GET(APIC_MODE_MASK, lint0) == APIC_MODE_EXTINT);
}

static bool lapic_extint_pending(struct lapic *l)
{
    if (!l->extint.ack)
        return false;
    return atomic_load_explicit(&l->state.extint, memory_order_acquire) ||
           (lapic_extint_gate_open(l) && l->extint.pending(l->extint.arg));
}

static int lapic_pending(void *opaque)
{
    struct lapic *l = opaque;
    int vector = lapic_deliverable(l);

    if (vector >= 0)
        return vector;
    return lapic_extint_pending(l) ? LAPIC_VECTOR_EXTINT : -1;
}

/* After something that may have made an interrupt deliverable. */
void lapic_recheck(struct lapic *l)
{
    if (lapic_pending(l) >= 0)
        vcpu_request(l->vcpu, VCPU_REQ_INTR);
}

static bool lapic_clear_bit(_Atomic u64 *word, u64 bit)
{
    return (atomic_load_explicit(word, memory_order_relaxed) & bit) &&
           (atomic_fetch_and(word, ~bit) & bit);
}

static int lapic_ack_extint(struct lapic *l)
{
    if (!lapic_extint_pending(l))
        return -1;
    atomic_store(&l->state.extint, false);
    return l->extint.ack(l->extint.arg);
}

/* Move `vector` from the IRR to the ISR, with its trigger mode. */
static void lapic_put_in_service(struct lapic *l, unsigned vector)
{
    unsigned i = vector / 64;
    u64 bit = BIT64(vector % 64);

    lapic_clear_bit(&l->state.irr_edge[i], bit);
    if (lapic_clear_bit(&l->state.irr_level[i], bit))
        l->state.tmr[i] |= bit;
    else
        l->state.tmr[i] &= ~bit;
    l->state.isr[i] |= bit;
    l->state.ppr = vector & 0xF0; /* it was above the old one */
}

static int lapic_ack(void *opaque)
{
    struct lapic *l = opaque;
    int vector = lapic_deliverable(l);

    if (vector >= 0)
        lapic_put_in_service(l, (unsigned)vector);
    else
        vector = lapic_ack_extint(l);
    if (lapic_extint_pending(l)) /* its one request may have been used up by what went before it */
        vcpu_request(l->vcpu, VCPU_REQ_INTR);
    return vector;
}

/* 11.8.5 */
void lapic_eoi(struct lapic *l)
{
    int vector = lapic_highest_isr(l);
    unsigned i = (unsigned)vector / 64;
    u64 bit;

    if (vector < 0)
        return;
    bit = BIT64((unsigned)vector % 64);
    l->state.isr[i] &= ~bit;
    lapic_update_ppr(l);
    if ((l->state.tmr[i] & bit) && !(lapic_svr(l) & SVR_EOI_SUPPRESS))
        apic_bus_eoi(l->bus, (u8)vector);
    lapic_recheck(l);
}

void lapic_set_tpr(struct lapic *l, u8 tpr)
{
    bool lowered = tpr < l->state.tpr;

    l->state.tpr = tpr;
    lapic_update_ppr(l);
    if (lowered)
        lapic_recheck(l);
}

/* ---- IA32_APIC_BASE, CR8, INIT ---- */

/* All registers but the ID and IA32_APIC_BASE as after power-on (11.4.7.1). Lock held. */
static void lapic_clear(struct lapic *l)
{
    struct lapic_state *s = &l->state;

    lapic_timer_reset(&l->timer);
    for (unsigned i = 0; i < 4; i++) {
        atomic_store(&s->irr_edge[i], 0);
        atomic_store(&s->irr_level[i], 0);
        s->isr[i] = 0;
        s->tmr[i] = 0;
    }
    atomic_store(&s->svr, SVR_VECTOR);
    atomic_store(&s->ldr, 0);
    atomic_store(&s->dfr, UINT32_MAX);
    for (unsigned i = 0; i < LVT_COUNT; i++)
        atomic_store(&s->lvt[i], LVT_MASKED);
    atomic_store(&s->errors, 0);
    atomic_store(&s->extint, false);
    s->tpr = 0;
    s->ppr = 0;
    s->esr = 0;
    s->icr_low = 0;
    s->icr_high = 0;
}

static void lapic_init(void *opaque)
{
    struct lapic *l = opaque;

    pthread_mutex_lock(&l->dev.lock);
    lapic_clear(l);
    pthread_mutex_unlock(&l->dev.lock);
}

static u64 lapic_get_base(void *opaque)
{
    struct lapic *l = opaque;

    return atomic_load(&l->state.base);
}

/* Where each mode may go (11.12.5, figure 11-27). */
static const u8 lapic_mode_moves[] = {
    [LAPIC_DISABLED] = BIT(LAPIC_DISABLED) | BIT(LAPIC_XAPIC),
    [LAPIC_INVALID] = 0,
    [LAPIC_XAPIC] = BIT(LAPIC_DISABLED) | BIT(LAPIC_XAPIC) | BIT(LAPIC_X2APIC),
    [LAPIC_X2APIC] = BIT(LAPIC_DISABLED) | BIT(LAPIC_X2APIC),
};

static bool lapic_set_base(void *opaque, u64 value)
{
    struct lapic *l = opaque;
    enum lapic_mode from = lapic_mode(l);
    enum lapic_mode to = lapic_mode_of(value);

    if ((value & l->base_reserved) || !(lapic_mode_moves[from] & BIT(to)))
        return false;
    atomic_store(&l->state.base, value);
    if (to == LAPIC_DISABLED && from != LAPIC_DISABLED)
        lapic_init(l);
    lapic_recheck(l); /* the 8259 reaches a CPU without LAPIC directly */
    return true;
}

static u8 lapic_get_cr8(void *opaque)
{
    struct lapic *l = opaque;

    return l->state.tpr >> 4;
}

static void lapic_set_cr8(void *opaque, u8 value)
{
    lapic_set_tpr(opaque, (u8)(value << 4));
}

static const struct vcpu_apic_ops lapic_vcpu_ops = {
    .pending = lapic_pending,
    .ack = lapic_ack,
    .mmio_read = lapic_mmio_read,
    .mmio_write = lapic_mmio_write,
    .msr_read = lapic_msr_read,
    .msr_write = lapic_msr_write,
    .get_base = lapic_get_base,
    .set_base = lapic_set_base,
    .get_cr8 = lapic_get_cr8,
    .set_cr8 = lapic_set_cr8,
    .init = lapic_init,
};

/* ---- Life ---- */

static void lapic_reset(struct device *dev)
{
    struct lapic *l = container_of(dev, struct lapic, dev);

    atomic_store(&l->state.base, MAP_LAPIC | APIC_BASE_EN | (l->vcpu->bsp ? APIC_BASE_BSP : 0));
    lapic_clear(l);
}

static void lapic_free(struct device *dev)
{
    struct lapic *l;

    if (!dev)
        return;
    l = container_of(dev, struct lapic, dev);
    lapic_timer_fini(&l->timer);
    pthread_mutex_destroy(&dev->lock);
    free(l);
}

static const struct device_ops lapic_device_ops = {
    .reset = lapic_reset,
    .free = lapic_free,
};

struct device *lapic_device(struct lapic *l)
{
    return &l->dev;
}

void lapic_set_tsc_offset(struct lapic *l, const u64 *tsc_offset)
{
    l->tsc_offset = tsc_offset;
}

struct lapic *lapic_new(const struct lapic_config *config)
{
    struct lapic *l = xcalloc(1, sizeof(*l));
    unsigned phys_bits = config->phys_bits ? config->phys_bits : APIC_PHYS_BITS;

    device_init(&l->dev, "lapic", &lapic_device_ops);
    l->vcpu = config->vcpu;
    l->bus = config->bus;
    l->tsc_offset = config->tsc_offset;
    l->extint = config->extint;
    l->id = config->vcpu->apic_id;
    l->tsc_deadline = config->tsc_deadline;
    l->base_reserved = APIC_BASE_RESERVED | ~(BIT64(phys_bits) - 1);
    if (!config->x2apic)
        l->base_reserved |= APIC_BASE_EXTD;
    lapic_timer_init(&l->timer, config->clock, config->loop, &l->dev.lock, lapic_timer_expired, l);
    lapic_reset(&l->dev);
    apic_bus_add_lapic(config->bus, l, l->id);
    config->vcpu->apic_ops = &lapic_vcpu_ops;
    config->vcpu->apic = l;
    return l;
}
