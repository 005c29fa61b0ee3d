/* SPDX-License-Identifier: MIT */
/*
 * vhost-vsock-device: stream sockets between the guest and AF_VSOCK sockets of the host, carried by the host's kernel.
 * virtio 1.2, 5.10.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct loop;
struct ram;
struct virtio;

#define VHOST_VSOCK_PATH "/dev/vhost-vsock"

struct vhost_vsock_config {
    struct ram *ram;
    struct loop *loop;
    u32 guest_cid;    /* VSOCK_CID_MIN .. VSOCK_CID_MAX, of no other guest on this host */
    const char *path; /* VHOST_VSOCK_PATH */
};

/* NULL and `err` when the host has no such device, or the address is taken. */
struct virtio *vhost_vsock_new(const struct vhost_vsock_config *config, struct error *err);
