/* SPDX-License-Identifier: MIT */
/*
 * Limits on requests and bytes per second: leaky buckets, one for each limit. Each request pours its units into the
 * buckets of its direction, and may go while none of them is over its brim. No threads, no time of its own.
 */
#pragma once

#include "host/block.h"

struct block_bucket {
    double rate; /* units per second that leak out; 0: no limit */
    double brim;
    double level;
};

enum { BLOCK_BUCKET_TOTAL, BLOCK_BUCKET_READ, BLOCK_BUCKET_WRITE, BLOCK_BUCKETS };

struct block_throttler {
    struct block_bucket requests[BLOCK_BUCKETS];
    struct block_bucket bytes[BLOCK_BUCKETS];
    u64 leaked_at; /* ns */
    bool on;
};

void block_throttle_init(struct block_throttler *t, const struct block_throttle *config,
                         u64 now_ns);

/* 0: it may go now, and is counted. Else the ns to wait before asking again. */
u64 block_throttle_ask(struct block_throttler *t, bool write, u64 bytes, u64 now_ns);
