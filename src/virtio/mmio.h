/* SPDX-License-Identifier: MIT */
/*
 * virtio over MMIO: the register window of one slot, with or without a device. virtio 1.2, 4.2; version 1 of the
 * window is 4.2.4, the legacy interface.
 */
#pragma once

#include "base/types.h"
#include "machine/bus.h"

struct virtio;

/* Of QueueNotify in the window: a write of a queue's number rings. */
#define VIRTIO_MMIO_NOTIFY_OFFSET 0x50u

/* The opaque of virtio_mmio_ops. */
struct virtio_mmio {
    struct virtio *device; /* NULL: an empty slot */
    bool legacy;
};

/* Locks the device itself: a doorbell takes no lock, so the CPU that rings never waits for the device. */
extern const struct region_ops virtio_mmio_ops;
