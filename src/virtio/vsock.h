/* SPDX-License-Identifier: MIT */
/*
 * virtio-vsock-device: stream sockets between the guest and unix sockets of the host (host/vsock_unix.h says by which
 * rules). virtio 1.2, 5.10.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct loop;
struct ram;
struct virtio;

#define VSOCK_CID_MIN 3u
#define VSOCK_CID_MAX (UINT32_MAX - 1u)

struct vsock_config {
    struct ram *ram;
    struct loop *loop;
    u32 guest_cid;    /* VSOCK_CID_MIN .. VSOCK_CID_MAX */
    const char *path; /* the listening socket; must live as long as the device */
};

/* NULL and `err` when the socket cannot be had. */
struct virtio *vsock_new(const struct vsock_config *config, struct error *err);
