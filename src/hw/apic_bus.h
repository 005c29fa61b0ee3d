/* SPDX-License-Identifier: MIT */
/*
 * The APIC bus: brings interrupt messages from LAPICs (IPIs), IOAPICs and MSI writes to the LAPICs
 * that they name, and end-of-interrupt messages back to the IOAPICs (SDM vol. 3A, 11.1 and 11.6).
 *
 * Built while the machine is; afterwards nothing of it changes but the arbitration counter, so that
 * any thread may send without a lock.
 */
#pragma once

#include <stdatomic.h>

#include "base/types.h"
#include "machine/bus.h"

struct lapic;

/* Delivery modes, as encoded in the ICR, LVTs, redirection entries and MSI data. */
enum apic_mode {
    APIC_MODE_FIXED,
    APIC_MODE_LOWEST, /* one of the destinations */
    APIC_MODE_SMI,
    APIC_MODE_RESERVED,
    APIC_MODE_NMI,
    APIC_MODE_INIT,
    APIC_MODE_STARTUP,
    APIC_MODE_EXTINT,
};

#define APIC_MODE_MASK      0x700u /* its place in all four */

#define APIC_DEST_ALL       0xFFFFFFFFu /* x2APIC broadcast */
#define APIC_DEST_ALL_XAPIC 0xFFu       /* the same where destinations have eight bits */

struct apic_message {
    u32 dest;     /* see apic_dest8 */
    bool logical; /* dest is a logical destination, else an APIC ID */
    bool level;   /* level-triggered: its EOI is broadcast to the IOAPICs */
    enum apic_mode mode;
    u8 vector;
};

#define APIC_BUS_LAPICS_MAX    16
#define APIC_BUS_IDS           255 /* APIC IDs are below; 0xFF is the broadcast */
#define APIC_BUS_LISTENERS_MAX 4

/* Who hears of EOIs: an IOAPIC. Called on vCPU threads without any lock held. */
struct apic_eoi_listener {
    void (*eoi)(void *arg, u8 vector);
    void *arg;
};

/* Where messages go instead when the LAPICs are the accelerator's: as MSI address and data. */
struct apic_remote {
    void (*send)(void *arg, gpa addr, u32 data);
    void *arg;
};

struct apic_bus {
    struct apic_remote remote; /* send NULL: our LAPICs */
    unsigned lapic_count;
    struct lapic *lapics[APIC_BUS_LAPICS_MAX];
    struct lapic *by_id[APIC_BUS_IDS];
    unsigned listener_count;
    struct apic_eoi_listener listeners[APIC_BUS_LISTENERS_MAX];
    _Atomic unsigned turn; /* lowest-priority messages go round */
};

void apic_bus_init(struct apic_bus *bus);

/* No LAPICs of ours: messages go to `remote`. */
void apic_bus_set_remote(struct apic_bus *bus, struct apic_remote remote);

/* A message in the form of an MSI (SDM vol. 3A, 11.11). */
gpa apic_message_addr(const struct apic_message *message);
u32 apic_message_data(const struct apic_message *message);

/* Put a LAPIC on the bus; lapic_new does. IDs are unique. */
void apic_bus_add_lapic(struct apic_bus *bus, struct lapic *lapic, u32 id);

/* Register for EOI broadcasts; ioapic_new does. */
void apic_bus_add_listener(struct apic_bus *bus, struct apic_eoi_listener listener);

/* The 32-bit form of an 8-bit destination (xAPIC ICR, redirection entry, MSI address). */
static inline u32 apic_dest8(u8 dest, bool logical)
{
    return dest == APIC_DEST_ALL_XAPIC && !logical ? APIC_DEST_ALL : dest;
}

/* Send to the destinations; any thread. */
void apic_bus_send(struct apic_bus *bus, const struct apic_message *message);

/*
 * The same to every LAPIC, whatever `dest` says, but `except` (may be NULL): the ICR's shorthands.
 */
void apic_bus_send_all(struct apic_bus *bus, const struct apic_message *message,
                       const struct lapic *except);

/*
 * A 32-bit write of `data` to the address `addr` in 0xFEE00000-0xFEEFFFFF by anything but a LAPIC's
 * own CPU; any thread.
 */
void apic_bus_msi(struct apic_bus *bus, gpa addr, u32 data);

/* The same as a region at MAP_LAPIC; its opaque is the bus. */
extern const struct region_ops apic_bus_msi_ops;

/* A level-triggered interrupt ended on some LAPIC. Takes the listeners' locks. */
void apic_bus_eoi(struct apic_bus *bus, u8 vector);

/*
 * irq_sink_fn with the bus as sink: drive input LINT`n` of all LAPICs (0: the 8259's INT, 1: NMI).
 */
void apic_bus_set_lint(void *sink, unsigned n, bool level);
