/* SPDX-License-Identifier: MIT */
/* A guest's driver for any device, through the MMIO window: split rings, legacy or modern, on the real loop. */
#pragma once

#include "host/clock.h"
#include "machine/ram.h"
#include "unit/fakes/irq.h"
#include "virtio/mmio.h"
#include "virtio/virtio.h"

#define DRIVER_RAM_SIZE   MIB(4)
#define DRIVER_QUEUES_MAX 8
#define DRIVER_QUEUE_SIZE 16u
#define DRIVER_DATA       0x80000u /* buffers from here on */
#define DRIVER_WRITE      2u       /* a part that the device writes */

struct driver_part {
    gpa addr;
    u32 size;
    u16 flags; /* 0 or DRIVER_WRITE */
};

struct driver_queue {
    gpa desc, avail, used;
    u16 next_desc; /* the next free descriptor; they are taken round */
    u16 next_avail;
    u16 next_used;
};

struct driver {
    struct clock clock;
    struct loop *loop;
    struct ram ram;
    struct fake_irq irq;
    struct virtio *v;
    struct virtio_mmio mmio;
    struct driver_queue queues[DRIVER_QUEUES_MAX];
};

/* A machine without a device; then plug one, which driver_fini frees. */
void driver_init(struct driver *d);
void driver_plug(struct driver *d, struct virtio *v, bool legacy);
void driver_fini(struct driver *d);

u32 driver_read(struct driver *d, unsigned offset);
void driver_write(struct driver *d, unsigned offset, u32 value);

/* All steps to DRIVER_OK with the first `queues` queues. VERSION_1 is added for modern devices. */
void driver_start(struct driver *d, u64 features, unsigned queues);
void driver_reset(struct driver *d);

/* Put a chain of `count` parts into queue `q`; its head. The doorbell is driver_kick's. */
u16 driver_offer(struct driver *d, unsigned q, const struct driver_part *parts, unsigned count);

/* Ring, and let the loop run what is due. */
void driver_kick(struct driver *d, unsigned q);
void driver_run(struct driver *d);

/* The next chain that came back: false when there is none. Each pointer may be NULL. */
bool driver_take(struct driver *d, unsigned q, u16 *head, u32 *written);

/* As driver_take, waiting up to 30 s for other threads. */
bool driver_wait(struct driver *d, unsigned q, u16 *head, u32 *written);

/* Guest memory. */
void *driver_ptr(struct driver *d, gpa addr);
