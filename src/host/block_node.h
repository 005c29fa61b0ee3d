/* SPDX-License-Identifier: MIT */
/*
 * An image as a format reads it: blocking calls, from any thread, ranges checked by the caller.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "host/block.h"
#include "host/block_file.h"
#include "host/block_span.h"

struct block_node;

/* All but close return 0 or -errno. */
struct block_node_ops {
    int (*read)(struct block_node *node, u64 offset, struct block_span span, u64 size);
    int (*write)(struct block_node *node, u64 offset, struct block_span span, u64 size);
    int (*flush)(struct block_node *node);
    int (*discard)(struct block_node *node, u64 offset, u64 size);
    int (*zero)(struct block_node *node, u64 offset, u64 size, bool may_unmap);
    void (*close)(struct block_node *node);
};

struct block_node {
    const struct block_node_ops *ops;
    u64 size;                /* bytes, a multiple of 512 */
    struct block_file *file; /* raw: requests may go to it directly; NULL otherwise */
};

/* How deep backing files may nest: a loop of them ends here. */
#define BLOCK_DEPTH_MAX 32u

/* Open the image `name` in the format given, or in the one that its first bytes show; `*probed_raw` (may be NULL). */
struct block_node *block_node_open(const struct block_config *config, const char *name,
                                   enum block_format format, bool readonly, unsigned depth,
                                   bool *probed_raw, struct error *err);

/* Formats: they take `file` over, also when they fail. */
struct block_node *block_raw_open(struct block_file *file, struct error *err);
struct block_node *block_qcow2_open(const struct block_config *config, struct block_file *file,
                                    unsigned depth, struct error *err);

/* A temporary qcow2 image of the size of `base` and on top of it; takes `base` over. */
struct block_node *block_qcow2_overlay(const struct block_config *config, struct block_node *base,
                                       struct error *err);

#define BLOCK_QCOW2_MAGIC 0x514649FBu /* "QFI\xFB", big-endian */
