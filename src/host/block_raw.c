/* SPDX-License-Identifier: MIT */
/* The raw format: the file is the disk. A last sector that the file has only a part of reads as if filled up. */
#include <stdlib.h>

#include "base/mem.h"
#include "host/block_node.h"

struct block_raw {
    struct block_node node;
    struct block_file file;
};

static struct block_file *block_raw_file(struct block_node *node)
{
    return &container_of(node, struct block_raw, node)->file;
}

static int block_raw_read(struct block_node *node, u64 offset, struct block_span span, u64 size)
{
    return block_file_readv(block_raw_file(node), offset, span, size);
}

static int block_raw_write(struct block_node *node, u64 offset, struct block_span span, u64 size)
{
    return block_file_writev(block_raw_file(node), offset, span, size);
}

static int block_raw_flush(struct block_node *node)
{
    return block_file_flush(block_raw_file(node));
}

static int block_raw_discard(struct block_node *node, u64 offset, u64 size)
{
    return block_file_discard(block_raw_file(node), offset, size);
}

static int block_raw_zero(struct block_node *node, u64 offset, u64 size, bool may_unmap)
{
    return block_file_zero(block_raw_file(node), offset, size, may_unmap);
}

static void block_raw_close(struct block_node *node)
{
    struct block_raw *raw = container_of(node, struct block_raw, node);

    block_file_close(&raw->file);
    free(raw);
}

static const struct block_node_ops block_raw_ops = {
    .read = block_raw_read,
    .write = block_raw_write,
    .flush = block_raw_flush,
    .discard = block_raw_discard,
    .zero = block_raw_zero,
    .close = block_raw_close,
};

struct block_node *block_raw_open(struct block_file *file, struct error *err)
{
    struct block_raw *raw = xcalloc(1, sizeof(*raw));

    (void)err;
    raw->file = *file;
    raw->file.solid = file->size;
    raw->node.ops = &block_raw_ops;
    raw->node.size = align_up(file->size, 512);
    raw->node.file = &raw->file;
    return &raw->node;
}
