/* SPDX-License-Identifier: MIT */
/* virtio-blk-device: a disk. virtio 1.2, 5.2. */
#pragma once

#include "base/error.h"
#include "virtio/virtio.h"

struct block;

struct blk_config {
    const char *serial;      /* cut to 20 bytes; NULL: empty */
    unsigned queues;         /* num-queues: 1 .. VIRTIO_QUEUES_MAX */
    unsigned queue_size;     /* 4 .. VIRTQ_SIZE_MAX; 0: 256 */
    u32 logical_block_size;  /* a power of two, 512 .. 32768; 0: 512 */
    u32 physical_block_size; /* a power of two, at least the logical one; 0: the same */
    bool no_discard;         /* discard=off */
    bool no_write_zeroes;    /* write-zeroes=off */
    bool no_config_wce;      /* config-wce=off */
};

/*
 * A disk on `block`, which becomes its property (also on failure: it is closed). NULL and `err` when the block sizes
 * do not fit it.
 */
struct virtio *blk_new(const struct blk_config *config, struct block *block, struct ram *ram,
                       struct loop *loop, struct error *err);
