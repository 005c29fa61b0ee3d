/* SPDX-License-Identifier: MIT */
/*
 * The vhost device of a kernel that only remembers what it was told. A test that links vhost.c of this folder has its
 * ioctl in place of the C library's, for all descriptors.
 */
#pragma once

#include "base/types.h"

#define FAKE_VHOST_CALLS 64u

/* Requests by names that do not come with linux/virtio_config.h. */
extern const unsigned long FAKE_VHOST_SET_OWNER, FAKE_VHOST_SET_MEM_TABLE, FAKE_VHOST_SET_GUEST_CID,
    FAKE_VHOST_SET_RUNNING;

struct fake_vhost {
    unsigned long calls[FAKE_VHOST_CALLS];
    unsigned count;
    unsigned long failing; /* this request says `error` */
    int error;
    u64 features, agreed, cid;
    int running;
    unsigned region_count;
    struct {
        u64 guest, size, host;
    } regions[4];
    struct {
        u64 desc, avail, used;
        unsigned flags, size, base;
        int kick, call;
    } ring[2];
};

extern struct fake_vhost fake_vhost;

void fake_vhost_init(void);
