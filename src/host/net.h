/* SPDX-License-Identifier: MIT */
/*
 * Network backends: where a network card's frames go.
 *
 * A card takes frames with net_receive, straight into the guest's buffers, and gives frames with net_send. When
 * net_receive has none it calls net_listen(true), and `readable` comes with the next one. All on the loop thread;
 * set_header and set_offloads on any thread. The card holds its lock around its calls, and the backend calls the card
 * without it.
 *
 * With net_set_header frames have a virtio_net_hdr in front (virtio 1.2, 5.1.6): checksums and segmentation are then
 * left to whoever comes last. Without they are bare.
 */
#pragma once

#include <sys/uio.h>

#include "base/error.h"
#include "base/types.h"

struct loop;
struct net;
struct net_config; /* cli/config.h */

#define NET_ETH_HEADER 14u
#define NET_HEADER_MAX 12u
#define NET_FRAME_MAX  (65536u + NET_ETH_HEADER + 4u + NET_HEADER_MAX) /* with a VLAN tag */
#define NET_QUEUES_MAX 8u

/* The card's side, called on the loop thread. */
struct net_frontend {
    void (*readable)(void *arg, unsigned queue); /* take all frames, or net_listen(false) */
    void (*writable)(void *arg, unsigned queue); /* net_send may be tried again */
    void (*link)(void *arg, bool up);
    void *arg;
};

/* What the guest takes beside whole frames with good checksums. */
struct net_offloads {
    bool csum, tso4, tso6, ecn, ufo;
};

struct net_ops {
    /* The next frame: its size, or 0 when there is none now. What has no room in `iov` is lost. */
    size_t (*receive)(struct net *net, unsigned queue, const struct iovec *iov, unsigned count);
    /* True when it was taken (sent or dropped); false when busy: `writable` follows. */
    bool (*send)(struct net *net, unsigned queue, const struct iovec *iov, unsigned count);
    void (*flush)(struct net *net); /* a batch of sends has ended; may be NULL */
    void (*listen)(struct net *net, unsigned queue, bool on);
    bool (*set_header)(struct net *net, unsigned size); /* NULL: no headers */
    void (*set_offloads)(struct net *net, const struct net_offloads *offloads);
    void (*set_queues)(struct net *net, unsigned count); /* NULL: one */
    void (*free)(struct net *net);
};

struct net {
    const struct net_ops *ops;
    struct loop *loop;
    struct net_frontend frontend;
    unsigned queues;
    bool link_up;
    bool prompt; /* frames may wait as soon as a batch was sent, without an event */
    bool
        has_header; /* set_header works, and so do checksums and TCP segmentation of the guest's frames */
    bool has_ufo; /* UDP fragmentation, too */
};

/* NULL and `err` when it cannot be had. */
struct net *net_open(const struct net_config *config, struct loop *loop, struct error *err);
void net_free(struct net *net); /* NULL is allowed */

void net_attach(struct net *net, const struct net_frontend *frontend);

/* `readable` comes for new frames while this is on; it is off at first. */
void net_listen(struct net *net, unsigned queue, bool on);

/* Of 10 or 12 bytes, or 0. False when the host refuses. */
bool net_set_header(struct net *net, unsigned size) __attribute__((warn_unused_result));
void net_set_offloads(struct net *net, const struct net_offloads *offloads);

/* How many queue pairs the guest uses: at most `queues`. */
void net_set_queues(struct net *net, unsigned count);

size_t net_receive(struct net *net, unsigned queue, const struct iovec *iov, unsigned count);
bool net_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count);
void net_flush(struct net *net);

/* Copy between a run of bytes and buffers from byte `offset` of them on; returns bytes copied. */
size_t net_iov_get(const struct iovec *iov, unsigned count, size_t offset, void *data, size_t size);
size_t net_iov_put(const struct iovec *iov, unsigned count, size_t offset, const void *data,
                   size_t size);
size_t net_iov_size(const struct iovec *iov, unsigned count);
