/* SPDX-License-Identifier: MIT */
/* Devices whose rings the host's kernel works on. linux/vhost.h. */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define VHOST_REGIONS_MAX 8

/* A run of guest memory, where this process has it. */
struct vhost_region {
    u64 guest;
    u64 size;
    void *host;
};

/* A split ring. The kernel waits on `kick` and writes to `call`. */
struct vhost_ring {
    u16 size;
    const void *desc, *avail, *used;
    int kick, call;
};

/* Open a device and take it: a descriptor, or -1 and `err`; `*features` gets what it can do. */
int vhost_open(const char *path, u64 *features, struct error *err);

/* Tell it all before it may run. 0 or -errno. */
int vhost_set_memory(int fd, const struct vhost_region *regions, unsigned count);
int vhost_set_features(int fd, u64 features);
int vhost_set_ring(int fd, unsigned index, const struct vhost_ring *ring);

/* vhost-vsock: its address, and go or stop. Once it has stopped, it touches guest memory no more. 0 or -errno. */
int vhost_set_vsock_cid(int fd, u64 cid);
int vhost_run_vsock(int fd, bool run);
