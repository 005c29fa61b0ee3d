/* SPDX-License-Identifier: MIT */
/* The machine's virtio transports: windows, interrupt lines, and which device is where. */
#pragma once

#include "base/error.h"
#include "boot/cmdline.h"
#include "machine/bus.h"
#include "machine/gsi.h"
#include "machine/map.h"
#include "virtio/mmio.h"

struct device_config;
struct doorbell;
struct machine;
struct virtio;

#define VIRTIO_SLOTS_BELLS_MAX 256 /* queues of all devices that are rung without an exit */

struct virtio_slots {
    unsigned count;
    u32 gsi_base;
    bool legacy;
    struct machine *machine;
    struct gsi_table *gsi;
    struct virtio_mmio slots[MAP_VIRTIO_SLOTS_IOAPIC2];
    unsigned bell_count;
    struct doorbell *bells[VIRTIO_SLOTS_BELLS_MAX];
    unsigned used_count;
    struct boot_slot used[MAP_VIRTIO_SLOTS_IOAPIC2]; /* in the order of the devices */
};

/* Close the doorbells. */
void virtio_slots_fini(struct virtio_slots *slots);

/* Map `count` empty windows. Slot n drives GSI gsi_base + n. */
bool virtio_slots_init(struct virtio_slots *slots, struct machine *machine, struct gsi_table *gsi,
                       unsigned count, u32 gsi_base, bool legacy, struct error *err)
    __attribute__((warn_unused_result));

/*
 * The slot for a device: that of its bus=virtio-mmio-bus.N, else the highest free one. -1 and `err` when there is none.
 */
int virtio_slots_find(const struct virtio_slots *slots, const struct device_config *config,
                      struct error *err);

/* Put a device with the ring features that `config` has set into the slot that virtio_slots_find gave. */
void virtio_slots_plug(struct virtio_slots *slots, int slot, struct virtio *v,
                       const struct device_config *config);

/* All devices are plugged: give them what the accelerator has to save exits. */
bool virtio_slots_start(struct virtio_slots *slots, struct error *err)
    __attribute__((warn_unused_result));
