/* SPDX-License-Identifier: MIT */
/*
 * The memory balloon. virtio 1.2, 5.5.
 *
 * Pages that the guest puts into the balloon, or reports as free, are punched out of the memory file: the host has
 * them back at once, and the guest reads zeros if it touches them again.
 *
 * NOT EMULATED: free page hints, which serve migration alone.
 */
#include "virtio/balloon.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/loop.h"
#include "virtio/virtio.h"

/* 5.5.3 */
#define VIRTIO_BALLOON_F_STATS_VQ       BIT64(1)
#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM BIT64(2)
#define VIRTIO_BALLOON_F_PAGE_POISON    BIT64(4)
#define VIRTIO_BALLOON_F_PAGE_REPORTING BIT64(5)

/* Configuration space, 5.5.4; of all drivers little-endian. */
enum {
    BALLOON_CONFIG_NUM_PAGES = 0,
    BALLOON_CONFIG_ACTUAL = 4,
    BALLOON_CONFIG_POISON = 12,
    BALLOON_CONFIG_SIZE = 16,
};

#define BALLOON_QUEUES     4
#define BALLOON_QUEUE_SIZE 128u
#define BALLOON_PAGE_SHIFT 12u
#define BALLOON_PAGE       4096u  /* of the protocol, whatever the guest's page size is */
#define BALLOON_PFNS_MAX   65536u /* of one request: a huge one must not hold up the loop */
#define BALLOON_STAT_SIZE  10u    /* tag, value */
#define BALLOON_NS_PER_S   UINT64_C(1000000000)

/* Guest-visible state. */
struct balloon_state {
    u32 num_pages; /* wanted in the balloon */
    u32 actual;    /* in it, as the driver says */
    u32 poison;    /* what the guest fills free pages with */
    u64 stats[BALLOON_STATS];
    bool has_stats; /* the driver's buffer for them is with us */
};

struct balloon {
    struct virtio v;
    struct virtio_ops ops; /* features depend on the properties */
    struct balloon_state state;
    u64 stats_ns;
    struct timer timer;
    struct virtq_chain stats_chain;
    struct iovec stats_iov[VIRTQ_PARTS_MAX];
    struct iovec iov[VIRTQ_PARTS_MAX];
};

static struct balloon *balloon_of(struct virtio *v)
{
    return container_of(v, struct balloon, v);
}

/* ---- Inflate and deflate ---- */

/* A run of pages that are neighbours in the mapping. */
struct balloon_run {
    u8 *begin, *end;
};

static void balloon_flush_run(struct balloon *balloon, struct balloon_run *run)
{
    if (run->begin != run->end)
        ram_discard(balloon->v.ram, run->begin, (u64)(run->end - run->begin));
    run->begin = run->end = NULL;
}

/* Linux hands out neighbours upwards or downwards: one system call does for many. */
static void balloon_add_page(struct balloon *balloon, struct balloon_run *run, u32 pfn)
{
    u8 *page = ram_ptr_w(balloon->v.ram, (gpa)pfn << BALLOON_PAGE_SHIFT, BALLOON_PAGE);

    if (!page) {
        guest_error("virtio-balloon: page 0x%x is not memory", pfn);
        return;
    }
    if (run->begin && page == run->end) {
        run->end += BALLOON_PAGE;
    } else if (run->begin && page + BALLOON_PAGE == run->begin) {
        run->begin = page;
    } else {
        balloon_flush_run(balloon, run);
        *run = (struct balloon_run){ page, page + BALLOON_PAGE };
    }
}

static void balloon_inflate_chain(struct balloon *balloon, const struct virtq_chain *chain)
{
    struct balloon_run run = { NULL, NULL };
    u64 count = chain->out_size / sizeof(u32);
    u8 pfns[512];

    if (count > BALLOON_PFNS_MAX)
        guest_error("virtio-balloon: %llu pages at once", (unsigned long long)count);
    count = MIN(count, BALLOON_PFNS_MAX);
    for (u64 at = 0; at < count * sizeof(u32);) {
        size_t n = virtq_read(chain, at, pfns, MIN(sizeof(pfns), count * sizeof(u32) - at));

        for (size_t i = 0; i < n; i += sizeof(u32))
            balloon_add_page(balloon, &run, load_le32(pfns + i));
        at += n;
    }
    balloon_flush_run(balloon, &run);
}

static void balloon_inflate(struct balloon *balloon, struct virtq *q)
{
    struct virtq_chain chain = { .iov = balloon->iov };

    while (virtq_pop(q, &chain) == VIRTQ_CHAIN) {
        balloon_inflate_chain(balloon, &chain);
        virtq_push(q, &chain, 0);
    }
    virtq_signal(q);
}

/* The guest may use its pages again: the host gives memory when they are touched. */
static void balloon_deflate(struct balloon *balloon, struct virtq *q)
{
    struct virtq_chain chain = { .iov = balloon->iov };

    while (virtq_pop(q, &chain) == VIRTQ_CHAIN)
        virtq_push(q, &chain, 0);
    virtq_signal(q);
}

/* ---- Free page reporting, 5.5.6.7 ---- */

/* A guest that wants its poison back must not find zeros. */
static bool balloon_may_discard(const struct balloon *balloon)
{
    return !virtio_has(&balloon->v, VIRTIO_BALLOON_F_PAGE_POISON) || !balloon->state.poison;
}

static void balloon_report(struct balloon *balloon, struct virtq *q)
{
    struct virtq_chain chain = { .iov = balloon->iov };

    while (virtq_pop(q, &chain) == VIRTQ_CHAIN) {
        for (unsigned i = 0; i < chain.in_count && balloon_may_discard(balloon); i++) {
            const struct iovec *part = &chain.iov[chain.out_count + i];

            ram_discard(balloon->v.ram, part->iov_base, part->iov_len);
        }
        virtq_push(q, &chain, 0);
    }
    virtq_signal(q);
}

/* ---- Statistics, 5.5.6.3: a buffer of the driver's, which it gets back to fill it anew ---- */

static void balloon_read_stats(struct balloon *balloon)
{
    const struct virtq_chain *chain = &balloon->stats_chain;
    u8 stat[BALLOON_STAT_SIZE];

    for (unsigned i = 0; i < 2 * BALLOON_STATS; i++) {
        u16 tag;

        if (virtq_read(chain, (u64)i * sizeof(stat), stat, sizeof(stat)) < sizeof(stat))
            break;
        tag = load_le16(stat);
        if (tag < BALLOON_STATS)
            balloon->state.stats[tag] = load_le64(stat + 2);
    }
}

static void balloon_return_stats(struct balloon *balloon, struct virtq *q)
{
    balloon->state.has_stats = false;
    virtq_push(q, &balloon->stats_chain, 0);
    virtq_signal(q);
}

static void balloon_take_stats(struct balloon *balloon, struct virtq *q)
{
    if (balloon->state.has_stats)
        return; /* there is one buffer; another is taken when that one is back */
    balloon->stats_chain.iov = balloon->stats_iov;
    if (virtq_pop(q, &balloon->stats_chain) != VIRTQ_CHAIN)
        return;
    balloon->state.has_stats = true;
    balloon_read_stats(balloon);
    if (balloon->stats_ns)
        timer_arm(&balloon->timer, loop_now(balloon->v.loop) + balloon->stats_ns);
}

/* ---- Which queue is which: those of features that were not agreed on are left out ---- */

static const struct {
    u64 feature;
    void (*serve)(struct balloon *balloon, struct virtq *q);
} balloon_roles[] = {
    { 0, balloon_inflate },
    { 0, balloon_deflate },
    { VIRTIO_BALLOON_F_STATS_VQ, balloon_take_stats },
    { VIRTIO_BALLOON_F_PAGE_REPORTING, balloon_report },
};

static void balloon_notify(struct virtio *v, unsigned index)
{
    struct virtq *q = &v->queues[index];

    for (unsigned role = 0; role < ARRAY_SIZE(balloon_roles); role++) {
        if (!virtio_has(v, balloon_roles[role].feature))
            continue;
        if (!index--) {
            balloon_roles[role].serve(balloon_of(v), q);
            return;
        }
    }
}

static struct virtq *balloon_stats_queue(struct balloon *balloon)
{
    return &balloon->v.queues[2];
}

static void balloon_poll_stats(void *arg)
{
    struct balloon *balloon = arg;

    if (virtio_is_live(&balloon->v) && balloon->state.has_stats) {
        balloon_return_stats(balloon, balloon_stats_queue(balloon));
        balloon_take_stats(balloon, balloon_stats_queue(balloon));
    }
}

/* ---- Configuration ---- */

static void balloon_config_read(struct virtio *v, unsigned offset, void *data, unsigned size)
{
    const struct balloon_state *s = &balloon_of(v)->state;
    u8 config[BALLOON_CONFIG_SIZE] = { 0 };

    store_le32(config + BALLOON_CONFIG_NUM_PAGES, s->num_pages);
    store_le32(config + BALLOON_CONFIG_ACTUAL, s->actual);
    store_le32(config + BALLOON_CONFIG_POISON, s->poison);
    memcpy(data, config + offset, size);
}

/* Whole words only, as every driver writes them. */
static void balloon_config_write(struct virtio *v, unsigned offset, const void *data, unsigned size)
{
    struct balloon_state *s = &balloon_of(v)->state;

    if (size != sizeof(u32))
        guest_error("virtio-balloon: configuration write of %u bytes", size);
    else if (offset == BALLOON_CONFIG_ACTUAL)
        s->actual = load_le32(data);
    else if (offset == BALLOON_CONFIG_POISON)
        s->poison = load_le32(data);
}

/* All pages are the guest's again; what is wanted of it stays. */
static void balloon_reset(struct virtio *v)
{
    struct balloon *balloon = balloon_of(v);
    u32 num_pages = balloon->state.num_pages;

    timer_cancel(&balloon->timer);
    balloon->state = (struct balloon_state){ .num_pages = num_pages };
    memset(balloon->state.stats, 0xFF, sizeof(balloon->state.stats));
}

/* ---- Ops tables ---- */

static const struct virtio_ops balloon_virtio_ops = {
    .id = VIRTIO_ID_BALLOON,
    .features = VIRTIO_BALLOON_F_STATS_VQ,
    .notify = balloon_notify,
    .config_read = balloon_config_read,
    .config_write = balloon_config_write,
    .reset = balloon_reset,
};

static void balloon_device_free(struct device *dev)
{
    struct balloon *balloon = container_of(dev, struct balloon, v.dev);

    timer_cancel(&balloon->timer);
    virtio_fini(&balloon->v);
    free(balloon);
}

static const struct device_ops balloon_device_ops = {
    .reset = virtio_device_reset,
    .free = balloon_device_free,
};

/* ---- For the host ---- */

static u64 balloon_ram_size(const struct balloon *balloon)
{
    return balloon->v.ram->size;
}

void balloon_set_target(struct virtio *v, u64 bytes)
{
    struct balloon *balloon = balloon_of(v);
    u64 size = balloon_ram_size(balloon);

    balloon->state.num_pages = (u32)((size - MIN(bytes, size)) >> BALLOON_PAGE_SHIFT);
    virtio_config_changed(v);
}

u64 balloon_actual(const struct virtio *v)
{
    const struct balloon *balloon = container_of((struct virtio *)(uintptr_t)v, struct balloon, v);
    u64 taken = (u64)balloon->state.actual << BALLOON_PAGE_SHIFT;

    return balloon_ram_size(balloon) - MIN(taken, balloon_ram_size(balloon));
}

const u64 *balloon_stats(const struct virtio *v)
{
    return container_of((struct virtio *)(uintptr_t)v, struct balloon, v)->state.stats;
}

struct virtio *balloon_new(const struct balloon_config *config)
{
    struct balloon *balloon = xcalloc(1, sizeof(*balloon));

    balloon->ops = balloon_virtio_ops;
    if (config->deflate_on_oom)
        balloon->ops.features |= VIRTIO_BALLOON_F_DEFLATE_ON_OOM;
    /* Linux reports free pages that it poisons or clears only to a device that knows of poison. */
    if (config->free_page_reporting)
        balloon->ops.features |= VIRTIO_BALLOON_F_PAGE_REPORTING | VIRTIO_BALLOON_F_PAGE_POISON;
    balloon->stats_ns = config->stats_seconds * BALLOON_NS_PER_S;
    virtio_init(&balloon->v, "virtio-balloon", &balloon_device_ops, &balloon->ops, config->ram,
                config->loop);
    balloon->v.config_size = BALLOON_CONFIG_SIZE;
    virtio_add_queues(&balloon->v, BALLOON_QUEUES, BALLOON_QUEUE_SIZE);
    timer_init(&balloon->timer, config->loop, &balloon->v.dev.lock, balloon_poll_stats, balloon);
    memset(balloon->state.stats, 0xFF, sizeof(balloon->state.stats));
    if (config->target)
        balloon_set_target(&balloon->v, config->target);
    return &balloon->v;
}
