/* SPDX-License-Identifier: MIT */
/* A virtio device of two queues that does nothing, its window, and a driver's view of a split ring. */
#pragma once

#include "machine/ram.h"
#include "unit/fakes/irq.h"
#include "unit/fakes/loop.h"
#include "virtio/mmio.h"
#include "virtio/virtio.h"

#define RING_SIZE  8u
#define RING_DESC  0x1000u
#define RING_AVAIL 0x2000u
#define RING_USED  0x3000u
#define RING_DATA  0x10000u

struct fixture {
    struct clock clock;
    struct loop loop;
    struct ram ram;
    struct fake_irq irq;
    struct virtio v;
    struct virtio_mmio mmio;
    unsigned notified;
    unsigned resets;
    u8 config[8];
    struct iovec iov[VIRTQ_PARTS_MAX];
    struct virtq_chain chain;
};

/* A fresh device in a fresh 1 MiB machine. */
void fixture_init(struct fixture *f, bool legacy);
void fixture_fini(struct fixture *f);

u32 fixture_read(struct fixture *f, unsigned offset);
void fixture_write(struct fixture *f, unsigned offset, u32 value);

/* A modern driver's steps up to DRIVER_OK with queue 0 at the addresses above. */
void fixture_start(struct fixture *f, u64 features);

void ring_desc(struct fixture *f, unsigned n, u64 addr, u32 size, u16 flags, u16 next);
void ring_packed(struct fixture *f, unsigned n, u64 addr, u32 size, u16 id, u16 flags);
void ring_offer(struct fixture *f, u16 head); /* split: put into the available ring */
u16 ring_load(struct fixture *f, u64 addr);
void ring_store(struct fixture *f, u64 addr, u16 value);
