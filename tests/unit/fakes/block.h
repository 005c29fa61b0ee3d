/* SPDX-License-Identifier: MIT */
/*
 * A disk of zeros that finishes a request when the test says so. A test that links block.c of this folder must need
 * nothing else of host/block.h.
 */
#pragma once

#include "host/block.h"

#define FAKE_BLOCK_REQUESTS 1024

struct block {
    u64 size;
    bool readonly, writeback;
    unsigned count; /* submitted, not given back yet; the oldest first */
    struct block_req *reqs[FAKE_BLOCK_REQUESTS];
    unsigned touched; /* of them: those whose buffers are not used any more (the first ones) */
    unsigned quiesces, closes;
    u8 fill; /* what reads give */
};

/* Give back the oldest request, as the loop thread would. */
void fake_block_finish(struct block *block, int result);
