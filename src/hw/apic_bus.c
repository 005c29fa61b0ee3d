/* SPDX-License-Identifier: MIT */
/* The APIC bus: who gets which message (SDM vol. 3A, 11.6.2; MSI formats: 11.11). */
#include "hw/apic_bus.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "hw/lapic.h"
#include "machine/map.h"

/* The MSI address (SDM vol. 3A, 11.11.1). */
#define MSI_ADDR_LOGICAL  BIT(2)
#define MSI_ADDR_REDIRECT BIT(3) /* to one of the destinations, as lowest priority */
#define MSI_ADDR_DEST     0x000FF000u

/*
 * The MSI data (SDM vol. 3A, 11.11.2). The level bit is not looked at: a message is an assertion.
 */
#define MSI_DATA_VECTOR   0x000000FFu
#define MSI_DATA_ASSERT   BIT(14) /* with levels */
#define MSI_DATA_TRIGGER  BIT(15)

void apic_bus_init(struct apic_bus *bus)
{
    memset(bus, 0, sizeof(*bus));
}

void apic_bus_set_remote(struct apic_bus *bus, struct apic_remote remote)
{
    bus->remote = remote;
}

gpa apic_message_addr(const struct apic_message *message)
{
    return MAP_LAPIC | FIELD_SET(MSI_ADDR_DEST, message->dest & 0xFF) |
           (message->logical ? MSI_ADDR_LOGICAL : 0);
}

u32 apic_message_data(const struct apic_message *message)
{
    return message->vector | FIELD_SET(APIC_MODE_MASK, (u32)message->mode) |
           (message->level ? MSI_DATA_TRIGGER | MSI_DATA_ASSERT : 0);
}

void apic_bus_add_lapic(struct apic_bus *bus, struct lapic *lapic, u32 id)
{
    assert(bus->lapic_count < APIC_BUS_LAPICS_MAX);
    assert(id < APIC_BUS_IDS && !bus->by_id[id]);
    bus->lapics[bus->lapic_count++] = lapic;
    bus->by_id[id] = lapic;
}

void apic_bus_add_listener(struct apic_bus *bus, struct apic_eoi_listener listener)
{
    assert(bus->listener_count < APIC_BUS_LISTENERS_MAX);
    bus->listeners[bus->listener_count++] = listener;
}

/*
 * Lowest priority: each message starts its search behind the last one's start. The priorities
 * themselves are their CPUs' own business, and the SDM lets a chipset choose (11.6.2.4).
 */
static void apic_bus_send_lowest(struct apic_bus *bus, const struct apic_message *message)
{
    unsigned first = atomic_fetch_add_explicit(&bus->turn, 1, memory_order_relaxed);

    for (unsigned i = 0; i < bus->lapic_count; i++) {
        struct lapic *lapic = bus->lapics[(first + i) % bus->lapic_count];

        if (lapic_is_enabled(lapic) && lapic_matches(lapic, message->dest, message->logical)) {
            lapic_receive(lapic, message->mode, message->vector, message->level);
            return;
        }
    }
}

void apic_bus_send_all(struct apic_bus *bus, const struct apic_message *message,
                       const struct lapic *except)
{
    for (unsigned i = 0; i < bus->lapic_count; i++)
        if (bus->lapics[i] != except)
            lapic_receive(bus->lapics[i], message->mode, message->vector, message->level);
}

void apic_bus_send(struct apic_bus *bus, const struct apic_message *message)
{
    struct lapic *lapic;

    if (bus->remote.send) {
        bus->remote.send(bus->remote.arg, apic_message_addr(message), apic_message_data(message));
        return;
    }
    if (!message->logical && message->dest < APIC_BUS_IDS) {
        lapic = bus->by_id[message->dest];
        if (lapic)
            lapic_receive(lapic, message->mode, message->vector, message->level);
        return;
    }
    if (message->mode == APIC_MODE_LOWEST) {
        apic_bus_send_lowest(bus, message);
        return;
    }
    for (unsigned i = 0; i < bus->lapic_count; i++) {
        lapic = bus->lapics[i];
        if (lapic_matches(lapic, message->dest, message->logical))
            lapic_receive(lapic, message->mode, message->vector, message->level);
    }
}

void apic_bus_msi(struct apic_bus *bus, gpa addr, u32 data)
{
    bool logical = addr & MSI_ADDR_LOGICAL;
    struct apic_message message = {
        .dest = apic_dest8((u8)FIELD_GET(MSI_ADDR_DEST, addr), logical),
        .logical = logical,
        .level = data & MSI_DATA_TRIGGER,
        .mode = FIELD_GET(APIC_MODE_MASK, data),
        .vector = data & MSI_DATA_VECTOR,
    };

    if (message.mode == APIC_MODE_RESERVED || message.mode == APIC_MODE_STARTUP) {
        guest_error("apic: MSI 0x%x with a reserved delivery mode", data);
        return;
    }
    if ((addr & MSI_ADDR_REDIRECT) && message.mode == APIC_MODE_FIXED)
        message.mode = APIC_MODE_LOWEST;
    apic_bus_send(bus, &message);
}

static u64 apic_bus_msi_read(void *opaque, u64 offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return 0;
}

static void apic_bus_msi_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    (void)size;
    apic_bus_msi(opaque, MAP_LAPIC + offset, (u32)value);
}

const struct region_ops apic_bus_msi_ops = {
    .read = apic_bus_msi_read,
    .write = apic_bus_msi_write,
    .sizes = BUS_SIZE_4,
};

void apic_bus_eoi(struct apic_bus *bus, u8 vector)
{
    for (unsigned i = 0; i < bus->listener_count; i++)
        bus->listeners[i].eoi(bus->listeners[i].arg, vector);
}

void apic_bus_set_lint(void *sink, unsigned n, bool level)
{
    struct apic_bus *bus = sink;

    for (unsigned i = 0; i < bus->lapic_count; i++)
        lapic_set_lint(bus->lapics[i], n, level);
}
