/* SPDX-License-Identifier: MIT */
/* The machine's virtio transports. Slots fill from the top, as on QEMU. */
#include "machine/virtio_slots.h"

#include <stdlib.h>
#include <string.h>

#include "accel/accel.h"
#include "cli/config.h"
#include "machine/doorbell.h"
#include "machine/machine.h"
#include "virtio/virtio.h"

#define VIRTIO_BUS "virtio-mmio-bus."

bool virtio_slots_init(struct virtio_slots *slots, struct machine *machine, struct gsi_table *gsi,
                       unsigned count, u32 gsi_base, bool legacy, struct error *err)
{
    *slots = (struct virtio_slots){
        .count = count, .gsi_base = gsi_base, .legacy = legacy, .machine = machine, .gsi = gsi
    };
    for (unsigned i = 0; i < count; i++) {
        struct region region = { "virtio-mmio",        MAP_VIRTIO_MMIO + i * MAP_VIRTIO_MMIO_SIZE,
                                 MAP_VIRTIO_MMIO_SIZE, &virtio_mmio_ops,
                                 &slots->slots[i],     NULL };

        slots->slots[i].legacy = legacy;
        if (!bus_add(&machine->mmio, &region, err))
            return false;
    }
    return true;
}

/* N of virtio-mmio-bus.N, or -1 when there is no such slot. */
static int virtio_slots_parse(const struct virtio_slots *slots, const char *bus)
{
    size_t prefix = strlen(VIRTIO_BUS);
    unsigned long n;
    char *end;

    if (strncmp(bus, VIRTIO_BUS, prefix) || bus[prefix] < '0' || bus[prefix] > '9')
        return -1;
    n = strtoul(bus + prefix, &end, 10);
    return *end || n >= slots->count ? -1 : (int)n;
}

int virtio_slots_find(const struct virtio_slots *slots, const struct device_config *config,
                      struct error *err)
{
    int n;

    if (config->bus) {
        n = virtio_slots_parse(slots, config->bus);
        if (n < 0)
            error_set(err, "Bus '%.64s' not found", config->bus);
        else if (slots->slots[n].device)
            error_set(err, "Bus '%.64s' is full", config->bus);
        return n < 0 || slots->slots[n].device ? -1 : n;
    }
    for (n = (int)slots->count - 1; n >= 0; n--)
        if (!slots->slots[n].device)
            return n;
    error_set(err, "No 'virtio-bus' bus found for device '%s'", config->model);
    return -1;
}

static void virtio_slots_feature(struct virtio *v, const struct device_config *config,
                                 const char *key, u64 feature, bool otherwise)
{
    if (device_config_bool(config, key, otherwise))
        v->features_common |= feature;
    else
        v->features_common &= ~feature;
}

void virtio_slots_plug(struct virtio_slots *slots, int slot, struct virtio *v,
                       const struct device_config *config)
{
    u32 gsi = slots->gsi_base + (u32)slot;

    virtio_slots_feature(v, config, "indirect_desc", VIRTIO_F_INDIRECT_DESC, true);
    virtio_slots_feature(v, config, "event_idx", VIRTIO_F_EVENT_IDX, true);
    virtio_slots_feature(v, config, "packed", VIRTIO_F_RING_PACKED, false);
    virtio_plug(v, gsi_irq(slots->gsi, gsi), slots->legacy);
    slots->slots[slot].device = v;
    slots->used[slots->used_count++] =
        (struct boot_slot){ MAP_VIRTIO_MMIO + (u32)slot * MAP_VIRTIO_MMIO_SIZE, gsi };
}

/* --- Fewer exits --- */

static void virtio_slots_rung(void *arg, unsigned n)
{
    virtio_ring(arg, n);
}

static void virtio_slots_add_bells(struct virtio_slots *slots, unsigned slot)
{
    struct virtio *v = slots->slots[slot].device;
    gpa addr = MAP_VIRTIO_MMIO + slot * MAP_VIRTIO_MMIO_SIZE + VIRTIO_MMIO_NOTIFY_OFFSET;

    for (unsigned q = 0; q < v->queue_count && slots->bell_count < VIRTIO_SLOTS_BELLS_MAX; q++) {
        struct doorbell *bell = doorbell_new(slots->machine, addr, q, virtio_slots_rung, v);

        if (!bell)
            return;
        slots->bells[slots->bell_count++] = bell;
    }
}

bool virtio_slots_start(struct virtio_slots *slots, struct error *err)
{
    struct machine *machine = slots->machine;
    bool inside = accel_irqchip_kind(machine->accel, machine->config) == ACCEL_IRQCHIP_ALL;

    for (unsigned i = 0; i < slots->count; i++) {
        unsigned gsi = slots->gsi_base + i;

        if (!slots->slots[i].device)
            continue;
        virtio_slots_add_bells(slots, i);
        /* The tables call lines above the ISA ones levels, and those edges (boot/acpi.c, boot/mptable.c). */
        if (inside &&
            !machine->accel->irqchip->own_gsi(machine, gsi, gsi >= MAP_GSI_VIRTIO_ACPI, err))
            return false;
    }
    return true;
}

void virtio_slots_fini(struct virtio_slots *slots)
{
    while (slots->bell_count)
        doorbell_free(slots->bells[--slots->bell_count]);
}
