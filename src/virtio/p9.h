/* SPDX-License-Identifier: MIT */
/* virtio-9p-device: a folder of the host as a file system of the guest. virtio's device 9, 9P2000.L. */
#pragma once

#include "base/error.h"
#include "virtio/virtio.h"

struct fs;

#define P9_TAG_MAX 255u /* bytes of a mount tag */

struct p9_config {
    struct ram *ram;
    struct loop *loop;
    const char *tag; /* the name that the guest mounts it by */
};

/* The device owns `fs`, also on failure. NULL and `err` when the host has no threads for it. */
struct virtio *p9_new(const struct p9_config *config, struct fs *fs, struct error *err);
