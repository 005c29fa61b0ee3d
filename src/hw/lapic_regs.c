/* SPDX-License-Identifier: MIT */
/*
 * The registers of the local APIC: the page of xAPIC mode, the MSRs of x2APIC mode, and the ICR,
 * which sends (SDM vol. 3A, chapter 11; section numbers below are its). All on the vCPU's thread.
 */
#include <stdatomic.h>

#include "base/bits.h"
#include "base/log.h"
#include "hw/lapic_state.h"

/* 11.4.8: version 0x14 (integrated), highest LVT entry, bit 24: SVR bit 12 can be set. */
#define LAPIC_VERSION_VALUE (BIT(24) | (LVT_COUNT - 1) << 16 | 0x14)

#define ICR_LOGICAL         BIT(11)
#define ICR_STATUS          BIT(12)
#define ICR_ASSERT          BIT(14)
#define ICR_LEVEL           BIT(15)
#define ICR_SHORTHAND       0xC0000u
#define ICR_WRITABLE        0xCCFFFu
#define ICR_HIGH_WRITABLE   0xFF000000u

enum icr_shorthand {
    ICR_TO_DEST,
    ICR_TO_SELF,
    ICR_TO_ALL,
    ICR_TO_OTHERS,
};

#define MSR_TSC_DEADLINE 0x6E0u
#define MSR_X2APIC       0x800u

/* ---- Interprocessor interrupts ---- */

/* Is there nothing to send: a bad vector, or the INIT deassertion of old bus protocols (11.6.1)? */
static bool lapic_icr_is_void(struct lapic *l, u32 low)
{
    enum apic_mode mode = FIELD_GET(APIC_MODE_MASK, low);

    if (mode == APIC_MODE_INIT)
        return (low & ICR_LEVEL) && !(low & ICR_ASSERT);
    if (mode > APIC_MODE_LOWEST || (low & LVT_VECTOR) >= LAPIC_VECTOR_MIN)
        return false;
    lapic_error(l, ESR_SEND_ILLEGAL);
    return true;
}

/* All IPIs are edges: the ICR's trigger mode is for INIT alone. */
static void lapic_send_ipi(struct lapic *l, u32 low, u32 dest)
{
    struct apic_message message = {
        .dest = dest,
        .logical = low & ICR_LOGICAL,
        .mode = FIELD_GET(APIC_MODE_MASK, low),
        .vector = low & LVT_VECTOR,
    };

    if (lapic_icr_is_void(l, low))
        return;
    switch ((enum icr_shorthand)FIELD_GET(ICR_SHORTHAND, low)) {
    case ICR_TO_DEST: apic_bus_send(l->bus, &message); break;
    case ICR_TO_SELF: lapic_receive(l, message.mode, message.vector, false); break;
    case ICR_TO_ALL: apic_bus_send_all(l->bus, &message, NULL); break;
    case ICR_TO_OTHERS: apic_bus_send_all(l->bus, &message, l); break;
    }
}

static void lapic_write_icr(struct lapic *l, u32 low)
{
    u8 dest = (u8)(l->state.icr_high >> 24);

    l->state.icr_low = low & ICR_WRITABLE;
    lapic_send_ipi(l, low, apic_dest8(dest, low & ICR_LOGICAL));
}

static void lapic_write_icr64(struct lapic *l, u64 value)
{
    l->state.icr_low = value & ICR_WRITABLE;
    l->state.icr_high = (u32)(value >> 32);
    lapic_send_ipi(l, l->state.icr_low, l->state.icr_high);
}

/* ---- Register table ---- */

/* Rights, by mode. */
#define LAPIC_R   BIT(0)
#define LAPIC_W   BIT(1)
#define LAPIC_R2  BIT(2) /* x2APIC */
#define LAPIC_W2  BIT(3)
#define LAPIC_RO  (LAPIC_R | LAPIC_R2)
#define LAPIC_RW  (LAPIC_R | LAPIC_W | LAPIC_R2 | LAPIC_W2)

#define LVT_BASIC (LVT_VECTOR | LVT_MASKED)
#define SVR_VALID (SVR_VECTOR | SVR_ENABLE | SVR_FOCUS | SVR_EOI_SUPPRESS)

struct lapic_reg_info {
    u32 rights;
    u32 valid; /* bits that a write may set; x2APIC faults on others */
    const char *name;
};

// clang-format off
static const struct lapic_reg_info lapic_regs[LAPIC_REG_COUNT] = {
    [LAPIC_ID]                  = { LAPIC_RO, 0, "ID" },
    [LAPIC_VERSION]             = { LAPIC_RO, 0, "version" },
    [LAPIC_TPR]                 = { LAPIC_RW, 0xFF, "TPR" },
    [LAPIC_PPR]                 = { LAPIC_RO, 0, "PPR" },
    [LAPIC_EOI]                 = { LAPIC_W | LAPIC_W2, 0, "EOI" },
    [LAPIC_LDR]                 = { LAPIC_R | LAPIC_W | LAPIC_R2, LDR_ID, "LDR" },
    [LAPIC_DFR]                 = { LAPIC_R | LAPIC_W, DFR_MODEL, "DFR" },
    [LAPIC_SVR]                 = { LAPIC_RW, SVR_VALID, "SVR" },
    [LAPIC_ISR ... LAPIC_ISR+7] = { LAPIC_RO, 0, "ISR" },
    [LAPIC_TMR ... LAPIC_TMR+7] = { LAPIC_RO, 0, "TMR" },
    [LAPIC_IRR ... LAPIC_IRR+7] = { LAPIC_RO, 0, "IRR" },
    [LAPIC_ESR]                 = { LAPIC_RW, 0, "ESR" },
    [LAPIC_ICR_LOW]             = { LAPIC_RW, ICR_WRITABLE | ICR_STATUS, "ICR" },
    [LAPIC_ICR_HIGH]            = { LAPIC_R | LAPIC_W, ICR_HIGH_WRITABLE, "ICR high" },
    [LAPIC_LVT+LVT_TIMER]       = { LAPIC_RW, LVT_BASIC | LVT_TIMER_MODE, "LVT timer" },
    [LAPIC_LVT+LVT_THERMAL]     = { LAPIC_RW, LVT_BASIC | APIC_MODE_MASK, "LVT thermal" },
    [LAPIC_LVT+LVT_PERFORMANCE] = { LAPIC_RW, LVT_BASIC | APIC_MODE_MASK, "LVT performance" },
    [LAPIC_LVT+LVT_LINT0]       = { LAPIC_RW, LVT_LINT_WRITABLE, "LVT LINT0" },
    [LAPIC_LVT+LVT_LINT1]       = { LAPIC_RW, LVT_LINT_WRITABLE, "LVT LINT1" },
    [LAPIC_LVT+LVT_ERROR]       = { LAPIC_RW, LVT_BASIC, "LVT error" },
    [LAPIC_INITIAL_COUNT]       = { LAPIC_RW, 0xFFFFFFFF, "initial count" },
    [LAPIC_CURRENT_COUNT]       = { LAPIC_RO, 0, "current count" },
    [LAPIC_DIVIDE]              = { LAPIC_RW, LAPIC_TIMER_DIVIDE_MASK, "divide" },
    [LAPIC_SELF_IPI]            = { LAPIC_W2, LVT_VECTOR, "self IPI" },
};
// clang-format on

/*
 * Bits that a write may set without a fault: those that count, and read-only ones that were read
 * before.
 */
static u32 lapic_reg_allowed(const struct lapic *l, enum lapic_reg reg)
{
    u32 valid = lapic_regs[reg].valid;

    if (reg == LAPIC_LVT + LVT_TIMER && !l->tsc_deadline)
        valid &= ~LVT_TIMER_DEADLINE;
    return reg >= LAPIC_LVT && reg < LAPIC_LVT + LVT_COUNT ? valid | LVT_READ_ONLY : valid;
}

/* ---- Register read ---- */

static u32 lapic_read_irr(struct lapic *l, unsigned n)
{
    return (u32)(lapic_irr_word(l, n / 2) >> (32 * (n % 2)));
}

static u32 lapic_read_isr(struct lapic *l, unsigned n)
{
    return (u32)(l->state.isr[n / 2] >> (32 * (n % 2)));
}

/* 11.8.4: a vector's bit changes as it is accepted into the IRR. */
static u32 lapic_read_tmr(struct lapic *l, unsigned n)
{
    unsigned i = n / 2;
    u64 tmr = (l->state.tmr[i] & ~atomic_load(&l->state.irr_edge[i])) |
              atomic_load(&l->state.irr_level[i]);

    return (u32)(tmr >> (32 * (n % 2)));
}

static u32 lapic_read_ldr(struct lapic *l)
{
    return lapic_mode(l) == LAPIC_X2APIC ? lapic_x2apic_ldr(l) : atomic_load(&l->state.ldr);
}

static u32 lapic_read_id(struct lapic *l)
{
    return lapic_mode(l) == LAPIC_X2APIC ? l->id : l->id << 24;
}

static u32 lapic_read(struct lapic *l, enum lapic_reg reg)
{
    const struct lapic_state *s = &l->state;

    switch ((unsigned)reg) {
    case LAPIC_ID: return lapic_read_id(l);
    case LAPIC_VERSION: return LAPIC_VERSION_VALUE;
    case LAPIC_TPR: return s->tpr;
    case LAPIC_PPR: return s->ppr;
    case LAPIC_LDR: return lapic_read_ldr(l);
    case LAPIC_DFR: return atomic_load(&s->dfr);
    case LAPIC_SVR: return atomic_load(&s->svr);
    case LAPIC_ISR ... LAPIC_ISR + 7: return lapic_read_isr(l, reg - LAPIC_ISR);
    case LAPIC_TMR ... LAPIC_TMR + 7: return lapic_read_tmr(l, reg - LAPIC_TMR);
    case LAPIC_IRR ... LAPIC_IRR + 7: return lapic_read_irr(l, reg - LAPIC_IRR);
    case LAPIC_ESR: return s->esr;
    case LAPIC_ICR_LOW: return s->icr_low;
    case LAPIC_ICR_HIGH: return s->icr_high;
    case LAPIC_LVT ... LAPIC_LVT + LVT_COUNT - 1: return atomic_load(&s->lvt[reg - LAPIC_LVT]);
    case LAPIC_INITIAL_COUNT: return l->timer.initial;
    case LAPIC_CURRENT_COUNT: return lapic_timer_current(&l->timer);
    case LAPIC_DIVIDE: return l->timer.divide;
    default: return 0;
    }
}

/* ---- Register write ---- */

static void lapic_mask_lvts(struct lapic *l)
{
    for (unsigned i = 0; i < LVT_COUNT; i++)
        atomic_fetch_or(&l->state.lvt[i], LVT_MASKED);
}

/* 11.4.7.2: a disabled LAPIC has its LVT entries masked. */
static void lapic_write_svr(struct lapic *l, u32 value)
{
    pthread_mutex_lock(&l->dev.lock);
    atomic_store(&l->state.svr, value & ~SVR_FOCUS);
    if (!(value & SVR_ENABLE))
        lapic_mask_lvts(l);
    pthread_mutex_unlock(&l->dev.lock);
}

static void lapic_write_lvt(struct lapic *l, enum lapic_lvt entry, u32 value)
{
    value &= ~LVT_READ_ONLY;
    if (!(lapic_svr(l) & SVR_ENABLE))
        value |= LVT_MASKED;
    pthread_mutex_lock(&l->dev.lock);
    atomic_store(&l->state.lvt[entry], value);
    if (entry == LVT_TIMER)
        lapic_timer_set_mode(&l->timer, FIELD_GET(LVT_TIMER_MODE, value));
    pthread_mutex_unlock(&l->dev.lock);
    lapic_recheck(l); /* LINT0 may have let an ExtINT in */
}

/* 11.5.3: the write shows what was detected since the last one. */
static void lapic_write_esr(struct lapic *l)
{
    l->state.esr = atomic_exchange(&l->state.errors, 0);
}

/* `value` has only bits that lapic_reg_allowed lets through. */
static void lapic_write(struct lapic *l, enum lapic_reg reg, u32 value)
{
    struct lapic_state *s = &l->state;

    switch ((unsigned)reg) {
    case LAPIC_TPR: lapic_set_tpr(l, (u8)value); break;
    case LAPIC_EOI: lapic_eoi(l); break;
    case LAPIC_LDR: atomic_store(&s->ldr, value); break;
    case LAPIC_DFR: atomic_store(&s->dfr, value | ~DFR_MODEL); break;
    case LAPIC_SVR: lapic_write_svr(l, value); break;
    case LAPIC_ESR: lapic_write_esr(l); break;
    case LAPIC_ICR_LOW: lapic_write_icr(l, value); break;
    case LAPIC_ICR_HIGH: s->icr_high = value; break;
    case LAPIC_LVT ... LAPIC_LVT + LVT_COUNT - 1: lapic_write_lvt(l, reg - LAPIC_LVT, value); break;
    case LAPIC_INITIAL_COUNT: lapic_timer_set_initial(&l->timer, value); break;
    case LAPIC_DIVIDE: lapic_timer_set_divide(&l->timer, value); break;
    case LAPIC_SELF_IPI: lapic_send_ipi(l, FIELD_SET(ICR_SHORTHAND, ICR_TO_SELF) | value, 0); break;
    default: break;
    }
}

/* ---- The page (xAPIC) ---- */

/* Has the mode this register with this right? If not, the ESR tells (11.5.3). */
static bool lapic_mmio_check(struct lapic *l, u64 offset, u32 right)
{
    enum lapic_reg reg = (enum lapic_reg)(offset / 16);

    if (lapic_mode(l) != LAPIC_XAPIC)
        return false;
    if (reg >= LAPIC_REG_COUNT || !(lapic_regs[reg].rights & (LAPIC_R | LAPIC_W))) {
        lapic_error(l, ESR_ILLEGAL_REGISTER);
        guest_error("lapic: no register at offset 0x%llx", (unsigned long long)offset);
        return false;
    }
    if (lapic_regs[reg].rights & right)
        return true;
    guest_error("lapic: %s register cannot be %s", lapic_regs[reg].name,
                right == LAPIC_R ? "read" : "written");
    return false;
}

/*
 * Registers are 32 bits wide at 16-byte distances (11.4.1); narrow reads inside them work as on
 * RAM.
 */
u64 lapic_mmio_read(void *opaque, u64 offset, unsigned size)
{
    struct lapic *l = opaque;
    unsigned byte = offset % 16;
    u64 value;

    if (byte >= 4 || !lapic_mmio_check(l, offset, LAPIC_R))
        return 0;
    value = lapic_read(l, (enum lapic_reg)(offset / 16)) >> (8 * byte);
    return size < 4 ? value & (BIT(8 * size) - 1) : value;
}

void lapic_mmio_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct lapic *l = opaque;
    enum lapic_reg reg = (enum lapic_reg)(offset / 16);

    if (size != 4 || offset % 16) {
        guest_error("lapic: %u-byte write at offset 0x%llx", size, (unsigned long long)offset);
        return;
    }
    if (lapic_mmio_check(l, offset, LAPIC_W))
        lapic_write(l, reg, (u32)value & lapic_reg_allowed(l, reg));
}

/* ---- The MSRs (x2APIC) ---- */

static bool lapic_msr_check(struct lapic *l, u32 msr, u32 right)
{
    return lapic_mode(l) == LAPIC_X2APIC && msr >= MSR_X2APIC &&
           msr < MSR_X2APIC + LAPIC_REG_COUNT && (lapic_regs[msr - MSR_X2APIC].rights & right);
}

static u64 lapic_tsc_offset(const struct lapic *l)
{
    return l->tsc_offset ? *l->tsc_offset : 0;
}

bool lapic_msr_read(void *opaque, u32 msr, u64 *value)
{
    struct lapic *l = opaque;

    if (msr == MSR_TSC_DEADLINE && l->tsc_deadline) {
        *value = lapic_timer_deadline(&l->timer);
        return true;
    }
    if (!lapic_msr_check(l, msr, LAPIC_R2))
        return false;
    *value = lapic_read(l, (enum lapic_reg)(msr - MSR_X2APIC));
    if (msr == MSR_X2APIC + LAPIC_ICR_LOW)
        *value |= (u64)l->state.icr_high << 32;
    return true;
}

bool lapic_msr_write(void *opaque, u32 msr, u64 value)
{
    struct lapic *l = opaque;
    enum lapic_reg reg = (enum lapic_reg)(msr - MSR_X2APIC);
    u64 allowed;

    if (msr == MSR_TSC_DEADLINE && l->tsc_deadline) {
        lapic_timer_set_deadline(&l->timer, value, lapic_tsc_offset(l));
        return true;
    }
    if (!lapic_msr_check(l, msr, LAPIC_W2))
        return false;
    allowed = lapic_reg_allowed(l, reg);
    if (reg == LAPIC_ICR_LOW)
        allowed |= UINT64_C(0xFFFFFFFF) << 32;
    if (value & ~allowed)
        return false;
    if (reg == LAPIC_ICR_LOW)
        lapic_write_icr64(l, value);
    else
        lapic_write(l, reg, (u32)value);
    return true;
}
