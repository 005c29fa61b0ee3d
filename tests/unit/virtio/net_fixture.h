/* SPDX-License-Identifier: MIT */
/* A network card on a backend of the test's own, and a driver's view of its rings. */
#pragma once

#include "host/loop.h"
#include "host/net.h"
#include "machine/ram.h"
#include "unit/fakes/irq.h"
#include "virtio/mmio.h"
#include "virtio/net.h"
#include "virtio/net_int.h"
#include "virtio/virtio.h"

#define NF_RAM       MIB(4)
#define NF_RING_SIZE 64u
#define NF_QUEUES    9u
#define NF_DATA      MIB(1)
#define NF_FRAMES    64u
#define NF_BUFFER    2048u /* of nf_post_buffers */

struct nf_frame {
    size_t size;
    u8 *data;
};

/* The backend: what the card sent, and what it shall receive. */
struct nf_net {
    struct net net;
    unsigned sent_count, flushes;
    struct nf_frame sent[NF_FRAMES];
    unsigned sent_queue[NF_FRAMES];
    unsigned waiting_count, waiting_next;
    struct nf_frame waiting[NF_FRAMES];
    bool busy;
    bool *freed; /* set when the card frees us */
    bool listening[NET_QUEUES_MAX];
    unsigned header, queues_used;
    struct net_offloads offloads;
};

struct nf {
    struct clock clock;
    struct loop *loop;
    struct ram ram;
    struct fake_irq irq;
    struct nf_net *net;
    struct nic_config config;
    struct virtio *v;
    struct virtio_mmio mmio;
    u16 next_desc[NF_QUEUES]; /* descriptors are used once each */
    u16 next_avail[NF_QUEUES];
};

/* `f->config` of a card with queues pairs on a backend with or without headers. */
void nf_init(struct nf *f, unsigned queues, bool has_header);

/* Make the card of f->config, in a window of either version. */
void nf_make(struct nf *f, bool legacy);
void nf_fini(struct nf *f);

u32 nf_read(struct nf *f, unsigned offset, unsigned size);
void nf_write(struct nf *f, unsigned offset, u32 value);
u64 nf_offered(struct nf *f);

/* A driver's steps with all queues; features that the card does not offer are left out. */
void nf_start(struct nf *f, u64 features);

/* Make a chain of `count` parts available; the first `out` are for the card to read. Returns its head. */
u16 nf_offer(struct nf *f, unsigned queue, const struct iovec *parts, unsigned count, unsigned out);

/* Parts by guest address. */
struct iovec nf_part(u64 addr, size_t size);

/* `count` receive buffers of NF_BUFFER bytes from NF_DATA on. */
void nf_post_buffers(struct nf *f, unsigned queue, unsigned count);

/* Send one frame with `header` bytes of header before it, as one part. */
void nf_send(struct nf *f, unsigned queue, const void *header, unsigned header_size,
             const void *frame, size_t size);
void nf_kick(struct nf *f, unsigned queue);

/* Frames that wait at the backend; then it says so. */
void nf_wait(struct nf *f, const void *frame, size_t size);
void nf_arrive(struct nf *f);

/* The used ring. */
unsigned nf_used(struct nf *f, unsigned queue);
u32 nf_used_id(struct nf *f, unsigned queue, unsigned n);
u32 nf_used_size(struct nf *f, unsigned queue, unsigned n);
u8 *nf_at(struct nf *f, u64 addr);

/* A control command: its answer. */
u8 nf_control(struct nf *f, u8 class, u8 command, const void *data, size_t size);
