/* SPDX-License-Identifier: MIT */
/*
 * The I/O APIC (Intel 82093AA data sheet; version 0x20, with the EOI register of its successors).
 *
 * An edge on a masked pin is lost. A level pin sends when it is high, unmasked and has no Remote
 * IRR; sending sets Remote IRR, the EOI of its vector clears it and sends again if the pin is still
 * high.
 *
 * Lock order: source device -> I/O APIC -> (LAPIC atomics, vCPU requests). Nothing that is called
 * with the lock held comes back here, so a vCPU's EOI may wait for the lock while a message to that
 * vCPU is on its way.
 */
#include "hw/ioapic.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/clock.h"
#include "host/loop.h"
#include "hw/apic_bus.h"

/* The page; address bits above 7 are not decoded. */
#define IOAPIC_PAGE_MASK 0xFFu

enum {
    IOAPIC_REGSEL = 0x00,
    IOAPIC_WIN = 0x10,
    IOAPIC_EOI = 0x40,
};

/* What IOREGSEL selects. */
enum {
    IOAPIC_ID = 0x00,
    IOAPIC_VER = 0x01,
    IOAPIC_ARB = 0x02,
    IOAPIC_REDTBL = 0x10, /* two per pin, low half first */
    IOAPIC_REDTBL_END = IOAPIC_REDTBL + 2 * IOAPIC_PINS,
};

#define IOAPIC_VERSION        ((IOAPIC_PINS - 1) << 16 | 0x20)
#define IOAPIC_ID_MASK        0x0F000000u

/* A redirection entry. */
#define RED_VECTOR            0xFFu
#define RED_LOGICAL           BIT64(11)
#define RED_REMOTE_IRR        BIT64(14)
#define RED_LEVEL             BIT64(15)
#define RED_MASKED            BIT64(16)
#define RED_DEST              (UINT64_C(0xFF) << 56)
#define RED_WRITABLE          (RED_DEST | UINT64_C(0x1AFFF))

/*
 * A level pin that stays high makes an interrupt at each EOI. After so many in a row the next ones
 * wait, so that a guest that does not quiet its device can still run something else.
 */
#define IOAPIC_STORM_COUNT    10000u
#define IOAPIC_STORM_DELAY_NS UINT64_C(10000000)

/* Guest-visible state. */
struct ioapic_state {
    u8 id;
    u8 regsel;
    u32 delayed;             /* pins that wait for the storm timer */
    u32 resent[IOAPIC_PINS]; /* times in a row that the pin was high at its EOI */
    u64 redtbl[IOAPIC_PINS];
};

struct ioapic {
    struct device dev;
    struct ioapic_state state;
    u32 lines; /* levels of the inputs: wires, which a reset does not change */
    struct apic_bus *bus;
    struct ioapic_routes routes;
    unsigned gsi_base;
    struct clock *clock;
    struct timer storm_timer;
    u8 reset_id;
    bool irq0_to_pin2;
};

/* ---- Sending; all with the lock held ---- */

static enum apic_mode ioapic_mode(u64 entry)
{
    return FIELD_GET(APIC_MODE_MASK, entry);
}

/* Fixed and lowest priority alone can be levels: nothing else ends with an EOI. */
static bool ioapic_is_level(u64 entry)
{
    return (entry & RED_LEVEL) && ioapic_mode(entry) <= APIC_MODE_LOWEST;
}

static struct apic_message ioapic_message(u64 entry)
{
    bool logical = entry & RED_LOGICAL;

    return (struct apic_message){
        .dest = apic_dest8((u8)FIELD_GET(RED_DEST, entry), logical),
        .logical = logical,
        .level = ioapic_is_level(entry),
        .mode = ioapic_mode(entry),
        .vector = entry & RED_VECTOR,
    };
}

static void ioapic_send(struct ioapic *io, unsigned pin)
{
    struct apic_message message = ioapic_message(io->state.redtbl[pin]);

    if (message.mode == APIC_MODE_RESERVED || message.mode == APIC_MODE_STARTUP)
        guest_error("ioapic: redirection entry with a reserved delivery mode");
    else if (io->routes.publish)
        io->routes.fire(io->routes.arg, io->gsi_base + pin);
    else
        apic_bus_send(io->bus, &message);
}

/* Before anything is sent by the entry, or its end is waited for. */
static void ioapic_publish(struct ioapic *io, unsigned pin)
{
    u64 entry = io->state.redtbl[pin];
    struct apic_message message = ioapic_message(entry);

    if (io->routes.publish && !(entry & RED_MASKED))
        io->routes.publish(io->routes.arg, io->gsi_base + pin, apic_message_addr(&message),
                           apic_message_data(&message));
}

/*
 * Send what a level pin has to say. Remote IRR is set first: the EOI may come at any time
 * afterwards.
 */
static void ioapic_service_level(struct ioapic *io, unsigned pin)
{
    u64 *entry = &io->state.redtbl[pin];

    if (!ioapic_is_level(*entry) || (*entry & (RED_MASKED | RED_REMOTE_IRR)) ||
        !(io->lines & ~io->state.delayed & BIT(pin)))
        return;
    *entry |= RED_REMOTE_IRR;
    ioapic_send(io, pin);
}

static void ioapic_set_line(struct ioapic *io, unsigned pin, bool level)
{
    u64 entry = io->state.redtbl[pin];
    bool rose = level && !(io->lines & BIT(pin));

    if (level)
        io->lines |= BIT(pin);
    else
        io->lines &= ~BIT(pin);
    if (ioapic_is_level(entry))
        ioapic_service_level(io, pin);
    else if (rose && !(entry & RED_MASKED))
        ioapic_send(io, pin);
}

/* ---- End of interrupt ---- */

static void ioapic_resend(struct ioapic *io, unsigned pin)
{
    struct ioapic_state *s = &io->state;

    if (!(io->lines & BIT(pin)) || (s->redtbl[pin] & RED_MASKED)) {
        s->resent[pin] = 0;
        return;
    }
    if (++s->resent[pin] >= IOAPIC_STORM_COUNT) {
        s->resent[pin] = 0;
        s->delayed |= BIT(pin);
        timer_arm(&io->storm_timer, clock_ns(io->clock) + IOAPIC_STORM_DELAY_NS);
        return;
    }
    ioapic_service_level(io, pin);
}

static void ioapic_eoi_locked(struct ioapic *io, u8 vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        u64 *entry = &io->state.redtbl[pin];

        if (!(*entry & RED_REMOTE_IRR) || (*entry & RED_VECTOR) != vector)
            continue;
        *entry &= ~RED_REMOTE_IRR;
        ioapic_resend(io, pin);
    }
}

/* ---- Register read ---- */

static u32 ioapic_read_entry(const struct ioapic *io, unsigned index)
{
    u64 entry = io->state.redtbl[index / 2];

    return (u32)(index % 2 ? entry >> 32 : entry);
}

static u32 ioapic_read_window(const struct ioapic *io)
{
    switch (io->state.regsel) {
    case IOAPIC_ID: return FIELD_SET(IOAPIC_ID_MASK, io->state.id);
    case IOAPIC_VER: return IOAPIC_VERSION;
    case IOAPIC_ARB: return FIELD_SET(IOAPIC_ID_MASK, io->state.id);
    case IOAPIC_REDTBL ... IOAPIC_REDTBL_END - 1:
        return ioapic_read_entry(io, io->state.regsel - IOAPIC_REDTBL);
    default: return 0;
    }
}

/* The window is 32 bits wide and reads 0 in other sizes. */
static u64 ioapic_read(void *opaque, u64 offset, unsigned size)
{
    const struct ioapic *io = opaque;

    switch (offset & IOAPIC_PAGE_MASK) {
    case IOAPIC_REGSEL: return io->state.regsel;
    case IOAPIC_WIN: return size == 4 ? ioapic_read_window(io) : 0;
    default: return 0;
    }
}

/* ---- Register write ---- */

/* An entry that becomes an edge loses Remote IRR, which guests without EOI register count on. */
static void ioapic_write_entry(struct ioapic *io, unsigned index, u32 value)
{
    unsigned pin = index / 2;
    unsigned shift = index % 2 * 32;
    u64 half = (u64)UINT32_MAX << shift;
    u64 *entry = &io->state.redtbl[pin];
    u64 wanted = (*entry & ~half) | (u64)value << shift;

    *entry = (*entry & ~RED_WRITABLE) | (wanted & RED_WRITABLE);
    if (!ioapic_is_level(*entry))
        *entry &= ~RED_REMOTE_IRR;
    ioapic_publish(io, pin);
    ioapic_service_level(io, pin);
}

static void ioapic_write_window(struct ioapic *io, u32 value)
{
    switch (io->state.regsel) {
    case IOAPIC_ID: io->state.id = (u8)FIELD_GET(IOAPIC_ID_MASK, value); break;
    case IOAPIC_REDTBL ... IOAPIC_REDTBL_END - 1:
        ioapic_write_entry(io, io->state.regsel - IOAPIC_REDTBL, value);
        break;
    default: guest_error("ioapic: write to register 0x%x", io->state.regsel); break;
    }
}

static void ioapic_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct ioapic *io = opaque;

    offset &= IOAPIC_PAGE_MASK;
    if (offset == IOAPIC_REGSEL)
        io->state.regsel = (u8)value;
    else if (offset == IOAPIC_WIN && size == 4)
        ioapic_write_window(io, (u32)value);
    else if (offset == IOAPIC_EOI && size == 4)
        ioapic_eoi_locked(io, (u8)value);
    else
        guest_error("ioapic: %u-byte write at offset 0x%llx", size, (unsigned long long)offset);
}

/* Eight bytes are two accesses of four. */
const struct region_ops ioapic_ops = {
    .read = ioapic_read,
    .write = ioapic_write,
    .sizes = BUS_SIZE_1 | BUS_SIZE_2 | BUS_SIZE_4,
    .split = true,
};

/* ---- From outside: inputs, the bus, the timer ---- */

void ioapic_set_irq(void *sink, unsigned pin, bool level)
{
    struct ioapic *io = sink;

    if (pin == 0 && io->irq0_to_pin2)
        pin = 2;
    pthread_mutex_lock(&io->dev.lock);
    ioapic_set_line(io, pin, level);
    pthread_mutex_unlock(&io->dev.lock);
}

static void ioapic_eoi(void *arg, u8 vector)
{
    struct ioapic *io = arg;

    pthread_mutex_lock(&io->dev.lock);
    ioapic_eoi_locked(io, vector);
    pthread_mutex_unlock(&io->dev.lock);
}

static void ioapic_storm_over(void *arg)
{
    struct ioapic *io = arg;
    u32 delayed = io->state.delayed;

    io->state.delayed = 0;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        if (delayed & BIT(pin))
            ioapic_service_level(io, pin);
}

/* ---- Life ---- */

static void ioapic_reset(struct device *dev)
{
    struct ioapic *io = container_of(dev, struct ioapic, dev);

    io->state = (struct ioapic_state){ .id = io->reset_id };
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        io->state.redtbl[pin] = RED_MASKED;
}

static void ioapic_free(struct device *dev)
{
    struct ioapic *io;

    if (!dev)
        return;
    io = container_of(dev, struct ioapic, dev);
    timer_cancel(&io->storm_timer);
    pthread_mutex_destroy(&dev->lock);
    free(io);
}

static const struct device_ops ioapic_device_ops = {
    .reset = ioapic_reset,
    .free = ioapic_free,
};

struct device *ioapic_device(struct ioapic *io)
{
    return &io->dev;
}

struct ioapic *ioapic_new(const struct ioapic_config *config)
{
    struct ioapic *io = xcalloc(1, sizeof(*io));

    device_init(&io->dev, "ioapic", &ioapic_device_ops);
    io->bus = config->bus;
    io->routes = config->routes;
    io->gsi_base = config->gsi_base;
    io->clock = config->clock;
    io->reset_id = config->id;
    io->irq0_to_pin2 = config->irq0_to_pin2;
    timer_init(&io->storm_timer, config->loop, &io->dev.lock, ioapic_storm_over, io);
    ioapic_reset(&io->dev);
    apic_bus_add_listener(config->bus, (struct apic_eoi_listener){ ioapic_eoi, io });
    return io;
}
