/* SPDX-License-Identifier: MIT */
/* The qcow2 format: refused as yet. */
#include "host/block_node.h"

struct block_node *block_qcow2_open(const struct block_config *config, struct block_file *file,
                                    unsigned depth, struct error *err)
{
    (void)config;
    (void)depth;
    error_set(err, "'%.200s' is a qcow2 image", file->name);
    block_file_close(file);
    return NULL;
}

struct block_node *block_qcow2_overlay(const struct block_config *config, struct block_node *base,
                                       struct error *err)
{
    (void)config;
    base->ops->close(base);
    error_set(err, "no snapshots");
    return NULL;
}
