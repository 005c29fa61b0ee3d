/* SPDX-License-Identifier: MIT */
#include "unit/fakes/block.h"

#include <assert.h>
#include <string.h>

void block_submit(struct block *block, struct block_req *req)
{
    assert(block->count < FAKE_BLOCK_REQUESTS);
    block->reqs[block->count++] = req;
}

/* The host's half of a request: the only place where buffers are touched. */
static void block_touch(struct block *block)
{
    const struct block_req *req = block->reqs[block->touched++];

    if (req->op == BLOCK_READ)
        for (unsigned i = 0; i < req->iov_count; i++)
            memset(req->iov[i].iov_base, block->fill, req->iov[i].iov_len);
}

void fake_block_finish(struct block *block, int result)
{
    struct block_req *req = block->reqs[0];

    assert(block->count);
    if (!block->touched)
        block_touch(block);
    block->touched--;
    memmove(block->reqs, block->reqs + 1, --block->count * sizeof(block->reqs[0]));
    req->result = result;
    req->done(req);
}

void block_quiesce(struct block *block)
{
    block->quiesces++;
    while (block->touched < block->count)
        block_touch(block);
}

void block_close(struct block *block)
{
    while (block->count)
        fake_block_finish(block, 0);
    block->closes++;
}

u64 block_size(const struct block *block)
{
    return block->size;
}

bool block_is_readonly(const struct block *block)
{
    return block->readonly;
}

bool block_is_writeback(const struct block *block)
{
    return block->writeback;
}
