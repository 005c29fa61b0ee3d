/* SPDX-License-Identifier: MIT */
/*
 * Leaky buckets. Without a burst limit the brim is a tenth of a second of the average, which hides no more
 * than that.
 */
#include "host/block_throttle.h"

#include "base/bits.h"

#define BLOCK_NS_PER_S  1e9
#define BLOCK_BRIM_PART 10.0

static void block_bucket_init(struct block_bucket *bucket, u64 average, u64 burst)
{
    *bucket = (struct block_bucket){ .rate = (double)average };
    bucket->brim = burst ? (double)burst : (double)average / BLOCK_BRIM_PART;
}

void block_throttle_init(struct block_throttler *t, const struct block_throttle *c, u64 now_ns)
{
    block_bucket_init(&t->requests[BLOCK_BUCKET_TOTAL], c->iops_total, c->iops_total_max);
    block_bucket_init(&t->requests[BLOCK_BUCKET_READ], c->iops_read, c->iops_read_max);
    block_bucket_init(&t->requests[BLOCK_BUCKET_WRITE], c->iops_write, c->iops_write_max);
    block_bucket_init(&t->bytes[BLOCK_BUCKET_TOTAL], c->bps_total, c->bps_total_max);
    block_bucket_init(&t->bytes[BLOCK_BUCKET_READ], c->bps_read, c->bps_read_max);
    block_bucket_init(&t->bytes[BLOCK_BUCKET_WRITE], c->bps_write, c->bps_write_max);
    t->leaked_at = now_ns;
    t->on = c->iops_total || c->iops_read || c->iops_write || c->bps_total || c->bps_read ||
            c->bps_write;
}

static void block_throttle_leak(struct block_throttler *t, u64 now_ns)
{
    double seconds = now_ns > t->leaked_at ? (double)(now_ns - t->leaked_at) / BLOCK_NS_PER_S : 0;

    t->leaked_at = MAX(now_ns, t->leaked_at);
    for (unsigned i = 0; i < BLOCK_BUCKETS; i++) {
        t->requests[i].level = MAX(t->requests[i].level - t->requests[i].rate * seconds, 0.0);
        t->bytes[i].level = MAX(t->bytes[i].level - t->bytes[i].rate * seconds, 0.0);
    }
}

static u64 block_bucket_wait(const struct block_bucket *bucket)
{
    if (bucket->rate <= 0 || bucket->level <= bucket->brim)
        return 0;
    return (u64)((bucket->level - bucket->brim) / bucket->rate * BLOCK_NS_PER_S) + 1;
}

u64 block_throttle_ask(struct block_throttler *t, bool write, u64 bytes, u64 now_ns)
{
    const unsigned mine[2] = { BLOCK_BUCKET_TOTAL, write ? BLOCK_BUCKET_WRITE : BLOCK_BUCKET_READ };
    u64 wait = 0;

    block_throttle_leak(t, now_ns);
    for (unsigned i = 0; i < ARRAY_SIZE(mine); i++) {
        u64 requests = block_bucket_wait(&t->requests[mine[i]]);
        u64 of_bytes = block_bucket_wait(&t->bytes[mine[i]]);

        wait = MAX(wait, MAX(requests, of_bytes));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(mine) && !wait; i++) {
        t->requests[mine[i]].level += 1;
        t->bytes[mine[i]].level += (double)bytes;
    }
    return wait;
}
