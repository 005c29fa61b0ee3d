/* SPDX-License-Identifier: MIT */
/*
 * Network backends: where a network card's frames go. Loop thread only.
 *
 * Frames carry a virtio_net_hdr of 12 bytes in front when the backend and the device agreed on it (vnet_hdr), and are
 * bare otherwise.
 */
#pragma once

#include <sys/uio.h>

#include "base/error.h"
#include "base/types.h"

struct loop;
struct net;
struct net_config; /* cli/config.h */

#define NET_FRAME_MAX (65536u + 14u + 12u)

/* The card's side. */
struct net_frontend {
    /* A frame for the guest. False: no room now; the backend keeps it and waits for net_resume. */
    bool (*receive)(void *arg, const struct iovec *iov, unsigned count, size_t size);
    void (*link)(void *arg, bool up);
    void *arg;
};

/* Offloads that the guest accepts or the backend can do (TUNSETOFFLOAD's meaning). */
struct net_offloads {
    bool csum, tso4, tso6, ecn, ufo;
};

struct net_ops {
    const char *kind;
    /* A frame from the guest: true when taken (sent or dropped), false when busy (net_frontend.writable follows). */
    bool (*send)(struct net *net, const struct iovec *iov, unsigned count, size_t size);
    void (*resume)(struct net *net);
    bool (*set_vnet_hdr)(struct net *net, unsigned size, const struct net_offloads *guest);
    void (*free)(struct net *net);
};

struct net {
    const struct net_ops *ops;
    char *id;
    struct net_frontend frontend;
    void (*writable)(void *arg); /* with frontend.arg: send may be tried again */
    bool attached;
    bool has_vnet_hdr; /* can carry virtio_net_hdr: checksums and segmentation may be offloaded */
    bool has_ufo;
    unsigned queues;
};

struct net *net_open(const struct net_config *config, struct loop *loop, struct error *err);
void net_free(struct net *net);
