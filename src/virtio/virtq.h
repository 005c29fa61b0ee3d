/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues, split and packed: the only code that reads or writes rings (virtio 1.2, 2.7 and 2.8).
 *
 * A device's loop is:
 *
 *   while (virtq_pop(q, &chain) == VIRTQ_CHAIN) {
 *       ... work on chain.iov: `out` parts are readable, then `in` parts are writable ...
 *       virtq_push(q, &chain, bytes_written);
 *   }
 *   virtq_signal(q);
 *
 * A chain handed out is whole: every descriptor lies in guest RAM, the number of parts is within VIRTQ_PARTS_MAX, the
 * chain ends, readable parts come before writable ones. Whatever the driver did wrong, the queue says VIRTQ_BROKEN once
 * and for all until reset, and the device goes to DEVICE_NEEDS_RESET. Guest-written bytes are looked at once.
 * All called with the device's lock held. Pointers in a chain are good until it is pushed.
 */
#pragma once

#include <sys/uio.h>

#include "base/types.h"
#include "machine/ram.h"

#define VIRTQ_SIZE_MAX 1024u
#define VIRTQ_PARTS_MAX \
    1026u /* a queue of descriptors, or an indirect table of as many, and a header and status */

struct virtio;

/* One request of the driver. */
struct virtq_chain {
    u16 head;              /* id to give back */
    u16 descriptors;       /* ring slots that it takes (packed rings) */
    unsigned out_count;    /* device-readable parts: iov[0 .. out_count) */
    unsigned in_count;     /* device-writable parts: iov[out_count .. out_count + in_count) */
    u64 out_size, in_size; /* bytes */
    struct iovec *iov;     /* the caller's, of VIRTQ_PARTS_MAX parts */
};

enum virtq_result { VIRTQ_EMPTY, VIRTQ_CHAIN, VIRTQ_BROKEN };

/* Guest-visible state of a queue; plain, for save and load. */
struct virtq_state {
    u16 size; /* as the driver set it */
    bool ready;
    gpa desc, avail, used; /* split: the three parts; packed: ring, driver and device event areas */
    u32 pfn, align;        /* legacy: page frame number and used-ring alignment */
    u16 last_avail;        /* next entry to take (packed: bit 15 is the wrap counter) */
    u16 last_used;         /* next entry to fill (packed: likewise) */
    u16 signalled_used;    /* last_used at the last interrupt decision */
    u16 in_flight;         /* chains handed out and not given back */
    bool signalled_valid;
    bool notify_off; /* the driver was asked not to notify */
};

struct virtq {
    struct virtio *virtio;
    unsigned index;
    u16 size_default; /* before a legacy driver says otherwise */
    struct virtq_state state;
    bool broken;
};

/*
 * Take the next chain. chain->iov must point at room for VIRTQ_PARTS_MAX parts. After VIRTQ_EMPTY the driver will
 * notify of what it adds later, unless it was asked not to.
 */
enum virtq_result virtq_pop(struct virtq *q, struct virtq_chain *chain);

/* Undo the last virtq_pop (no resources to serve it now). */
void virtq_unpop(struct virtq *q, const struct virtq_chain *chain);

/* Give a chain back with the number of bytes written to its writable parts. Host writes to RAM are marked here. */
void virtq_push(struct virtq *q, const struct virtq_chain *chain, u32 written);

/* Give up a chain at a reset: the driver hears nothing of it; what the host may have written to is marked. */
void virtq_drop(struct virtq *q, const struct virtq_chain *chain);
/*
 * Give several chains back at once: the driver sees all of them or none, as buffers of one packet must be (5.1.6.4).
 */
void virtq_push_all(struct virtq *q, const struct virtq_chain *chains, const u32 *written,
                    unsigned count);

/* Interrupt the driver if it asked for it since the last time (NO_INTERRUPT, EVENT_IDX). */
void virtq_signal(struct virtq *q);

/* Ask the driver to notify, or not to bother. Enable returns true when entries came meanwhile: look again. */
bool virtq_enable_notify(struct virtq *q);
void virtq_disable_notify(struct virtq *q);

/* The driver broke the rules: log once, mark the queue and the device. Returns VIRTQ_BROKEN. */
enum virtq_result virtq_break(struct virtq *q, const char *what);

/*
 * Set up; work out (legacy) and check addresses, all of the rings in RAM, when the driver makes the queue ready; and
 * reset. A queue that cannot start is broken.
 */
void virtq_init(struct virtq *q, struct virtio *virtio, unsigned index, u16 size_default);
bool virtq_start(struct virtq *q);
void virtq_reset(struct virtq *q);

/* Copy from the readable parts of a chain, or into its writable ones, from byte `offset` on; returns bytes copied. */
size_t virtq_read(const struct virtq_chain *chain, u64 offset, void *data, size_t size);
size_t virtq_write(const struct virtq_chain *chain, u64 offset, const void *data, size_t size);
