/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk: virtio 1.2, 5.2. Queues of requests, each `header | data | status`.
 *
 * Requests come from a pool; when it is empty the queue stays as it is until one comes back. A reset waits until the
 * host is done with the guest's buffers; what was in flight then comes back marked, and is dropped.
 *
 * NOT EMULATED: SCSI commands, lifetime, secure erase and zones, which are not offered and answered with UNSUPP.
 */
#include "virtio/blk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/block.h"

/* 5.2.3 */
#define VIRTIO_BLK_F_SEG_MAX      BIT64(2)
#define VIRTIO_BLK_F_GEOMETRY     BIT64(4)
#define VIRTIO_BLK_F_RO           BIT64(5)
#define VIRTIO_BLK_F_BLK_SIZE     BIT64(6)
#define VIRTIO_BLK_F_FLUSH        BIT64(9)
#define VIRTIO_BLK_F_TOPOLOGY     BIT64(10)
#define VIRTIO_BLK_F_CONFIG_WCE   BIT64(11)
#define VIRTIO_BLK_F_MQ           BIT64(12)
#define VIRTIO_BLK_F_DISCARD      BIT64(13)
#define VIRTIO_BLK_F_WRITE_ZEROES BIT64(14)

/* 5.2.6 */
enum {
    VIRTIO_BLK_T_IN = 0,
    VIRTIO_BLK_T_OUT = 1,
    VIRTIO_BLK_T_FLUSH = 4,
    VIRTIO_BLK_T_GET_ID = 8,
    VIRTIO_BLK_T_DISCARD = 11,
    VIRTIO_BLK_T_WRITE_ZEROES = 13,
};
#define VIRTIO_BLK_T_BARRIER    0x80000000u /* legacy */
#define VIRTIO_BLK_ZEROES_UNMAP 1u

enum { VIRTIO_BLK_S_OK = 0, VIRTIO_BLK_S_IOERR = 1, VIRTIO_BLK_S_UNSUPP = 2 };

/* Configuration space, 5.2.4. */
enum {
    BLK_CONFIG_CAPACITY = 0,
    BLK_CONFIG_SEG_MAX = 12,
    BLK_CONFIG_CYLINDERS = 16,
    BLK_CONFIG_HEADS = 18,
    BLK_CONFIG_SECTORS = 19,
    BLK_CONFIG_BLK_SIZE = 20,
    BLK_CONFIG_PHYSICAL_EXP = 24,
    BLK_CONFIG_WRITEBACK = 32,
    BLK_CONFIG_NUM_QUEUES = 34,
    BLK_CONFIG_MAX_DISCARD = 36,
    BLK_CONFIG_MAX_DISCARD_SEG = 40,
    BLK_CONFIG_DISCARD_ALIGN = 44,
    BLK_CONFIG_MAX_ZEROES = 48,
    BLK_CONFIG_MAX_ZEROES_SEG = 52,
    BLK_CONFIG_ZEROES_UNMAP = 56,
    BLK_CONFIG_SIZE = 57,
};

#define BLK_SECTOR         512u
#define BLK_HEADER         16u
#define BLK_RANGE          16u       /* sector, count, flags of a discard */
#define BLK_RANGE_SECTORS  0x3FFFFFu /* as QEMU: 2 GiB less a sector */
#define BLK_ID_SIZE        20u
#define BLK_QUEUE_SIZE     256u
#define BLK_REQUESTS_MAX   1024u
#define BLK_BLOCK_SIZE_MAX 32768u
#define BLK_CYLINDERS_MAX  16383u
#define BLK_HEADS          16u
#define BLK_TRACK_SECTORS  63u

struct blk;

struct blk_req {
    struct block_req block;
    struct blk *blk;
    struct virtq *queue;
    struct virtq_chain chain;
    u32 written; /* bytes for the used ring */
    bool busy;
    bool dropped;         /* a reset came: nobody waits for it, and the chain is void */
    struct blk_req *next; /* free ones */
    struct iovec parts[VIRTQ_PARTS_MAX]; /* of the chain */
    struct iovec data[VIRTQ_PARTS_MAX];  /* without header and status */
};

/* Guest-visible state. */
struct blk_state {
    u8 writeback;
};

struct blk {
    struct virtio virtio;
    struct virtio_ops ops; /* features depend on the backend */
    struct block *block;
    struct loop *loop;
    u8 config[BLK_CONFIG_SIZE];
    char id[BLK_ID_SIZE];
    u32 logical_block_size;
    struct blk_state state;
    unsigned req_count;
    struct blk_req *reqs;
    struct blk_req *free;
    u64 starved; /* queues that found the pool empty */
};

static struct blk *blk_of(struct virtio *v)
{
    return container_of(v, struct blk, virtio);
}

/* ---- The pool ---- */

static void blk_put(struct blk_req *req)
{
    req->busy = false;
    req->dropped = false;
    req->next = req->blk->free;
    req->blk->free = req;
}

static struct blk_req *blk_take(struct blk *blk)
{
    struct blk_req *req = blk->free;

    if (!req)
        return NULL;
    blk->free = req->next;
    req->busy = true;
    req->chain = (struct virtq_chain){ .iov = req->parts };
    return req;
}

/* ---- Completion ---- */

static void blk_complete(struct blk_req *req, u8 status)
{
    virtq_write(&req->chain, req->chain.in_size - 1, &status, 1);
    virtq_push(req->queue, &req->chain, req->written);
    virtq_signal(req->queue);
    blk_put(req);
}

/* 5.2.5.2: no volatile cache for drivers that do not know to flush it, or switched it off. */
static bool blk_is_writethrough(const struct blk *blk)
{
    if (virtio_has(&blk->virtio, VIRTIO_BLK_F_CONFIG_WCE))
        return !blk->state.writeback;
    return !virtio_has(&blk->virtio, VIRTIO_BLK_F_FLUSH);
}

static bool blk_must_flush(const struct blk_req *req)
{
    return req->block.result == 0 &&
           (req->block.op == BLOCK_WRITE || req->block.op == BLOCK_WRITE_ZEROES) &&
           block_is_writeback(req->blk->block) && blk_is_writethrough(req->blk);
}

static void blk_run_queue(struct blk *blk, unsigned index);

/* Queues that waited for the request that has just come back. */
static void blk_run_starved(struct blk *blk)
{
    u64 starved = blk->starved;

    blk->starved = 0;
    for (unsigned i = 0; i < blk->virtio.queue_count; i++)
        if (starved & BIT64(i))
            blk_run_queue(blk, i);
}

static void blk_done_locked(struct blk_req *req)
{
    struct blk *blk = req->blk;

    if (req->dropped) {
        blk_put(req);
    } else if (blk_must_flush(req)) {
        req->block.op = BLOCK_FLUSH;
        block_submit(blk->block, &req->block);
    } else {
        blk_complete(req, req->block.result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
    }
    blk_run_starved(blk);
}

/* Loop thread, device not locked: the backend knows nothing of its lock. */
static void blk_done(struct block_req *block)
{
    struct blk_req *req = block->arg;
    struct device *dev = &req->blk->virtio.dev;

    pthread_mutex_lock(&dev->lock);
    blk_done_locked(req);
    pthread_mutex_unlock(&dev->lock);
}

/* ---- Requests ---- */

/* The `size` bytes from `skip` on of some parts, as the backend's buffers. */
static void blk_set_data(struct blk_req *req, const struct iovec *parts, unsigned count, u64 skip,
                         u64 size)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count && size; i++) {
        u64 length = parts[i].iov_len;
        u64 begin = MIN(skip, length), use = MIN(length - begin, size);

        skip -= begin;
        size -= use;
        if (use)
            req->data[n++] = (struct iovec){ (char *)parts[i].iov_base + begin, use };
    }
    req->block.iov = req->data;
    req->block.iov_count = n;
}

static bool blk_in_range(const struct blk *blk, u64 sector, u64 size)
{
    u64 capacity = block_size(blk->block) / BLK_SECTOR;

    return size % blk->logical_block_size == 0 &&
           sector % (blk->logical_block_size / BLK_SECTOR) == 0 && sector <= capacity &&
           size / BLK_SECTOR <= capacity - sector;
}

static void blk_submit(struct blk_req *req, enum block_op op, u64 sector, u64 size)
{
    req->block.op = op;
    req->block.offset = sector * BLK_SECTOR;
    req->block.size = size;
    block_submit(req->blk->block, &req->block);
}

static void blk_start_in(struct blk_req *req, u64 sector)
{
    u64 size = req->chain.in_size - 1;

    req->written = (u32)MIN(size + 1, UINT32_MAX);
    if (!blk_in_range(req->blk, sector, size)) {
        guest_error("virtio-blk: read of %llu bytes at sector %llu", (unsigned long long)size,
                    (unsigned long long)sector);
        blk_complete(req, VIRTIO_BLK_S_IOERR);
        return;
    }
    blk_set_data(req, req->parts + req->chain.out_count, req->chain.in_count, 0, size);
    blk_submit(req, BLOCK_READ, sector, size);
}

static void blk_start_out(struct blk_req *req, u64 sector)
{
    u64 size = req->chain.out_size - BLK_HEADER;

    if (!blk_in_range(req->blk, sector, size) || block_is_readonly(req->blk->block)) {
        guest_error("virtio-blk: write of %llu bytes at sector %llu", (unsigned long long)size,
                    (unsigned long long)sector);
        blk_complete(req, VIRTIO_BLK_S_IOERR);
        return;
    }
    blk_set_data(req, req->parts, req->chain.out_count, BLK_HEADER, size);
    blk_submit(req, BLOCK_WRITE, sector, size);
}

static void blk_start_flush(struct blk_req *req, u64 sector)
{
    (void)sector;
    blk_submit(req, BLOCK_FLUSH, 0, 0);
}

static void blk_start_get_id(struct blk_req *req, u64 sector)
{
    u64 size = MIN(req->chain.in_size - 1, BLK_ID_SIZE);

    (void)sector;
    virtq_write(&req->chain, 0, req->blk->id, size);
    req->written = (u32)size + 1;
    blk_complete(req, VIRTIO_BLK_S_OK);
}

/* 5.2.6.2: one range; a discard has no flags, a write of zeroes has unmap. */
static u8 blk_check_range(struct blk_req *req, enum block_op op, const u8 *range)
{
    u64 sector = load_le64(range);
    u32 count = load_le32(range + 8), flags = load_le32(range + 12);

    if (flags & ~(op == BLOCK_DISCARD ? 0 : VIRTIO_BLK_ZEROES_UNMAP))
        return VIRTIO_BLK_S_UNSUPP;
    if (count > BLK_RANGE_SECTORS || !blk_in_range(req->blk, sector, (u64)count * BLK_SECTOR))
        return VIRTIO_BLK_S_IOERR;
    return block_is_readonly(req->blk->block) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static void blk_start_range(struct blk_req *req, enum block_op op, u64 feature)
{
    u8 range[BLK_RANGE], status;

    if (!(req->blk->ops.features & feature) || req->chain.out_size != BLK_HEADER + BLK_RANGE) {
        blk_complete(req, VIRTIO_BLK_S_UNSUPP);
        return;
    }
    virtq_read(&req->chain, BLK_HEADER, range, sizeof(range));
    status = blk_check_range(req, op, range);
    if (status) {
        blk_complete(req, status);
        return;
    }
    req->block.may_unmap = load_le32(range + 12) & VIRTIO_BLK_ZEROES_UNMAP;
    blk_submit(req, op, load_le64(range), (u64)load_le32(range + 8) * BLK_SECTOR);
}

static void blk_start_discard(struct blk_req *req, u64 sector)
{
    (void)sector;
    blk_start_range(req, BLOCK_DISCARD, VIRTIO_BLK_F_DISCARD);
}

static void blk_start_write_zeroes(struct blk_req *req, u64 sector)
{
    (void)sector;
    blk_start_range(req, BLOCK_WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES);
}

struct blk_type {
    u32 type;
    void (*start)(struct blk_req *req, u64 sector);
};

static const struct blk_type blk_types[] = {
    { VIRTIO_BLK_T_IN, blk_start_in },
    { VIRTIO_BLK_T_OUT, blk_start_out },
    { VIRTIO_BLK_T_FLUSH, blk_start_flush },
    { VIRTIO_BLK_T_GET_ID, blk_start_get_id },
    { VIRTIO_BLK_T_DISCARD, blk_start_discard },
    { VIRTIO_BLK_T_WRITE_ZEROES, blk_start_write_zeroes },
};

static void blk_start(struct blk_req *req)
{
    u8 header[BLK_HEADER];
    u32 type;

    virtq_read(&req->chain, 0, header, sizeof(header));
    type = load_le32(header) & ~VIRTIO_BLK_T_BARRIER;
    req->written = 1;
    req->block = (struct block_req){ .done = blk_done, .arg = req };
    for (size_t i = 0; i < ARRAY_SIZE(blk_types); i++) {
        if (blk_types[i].type == type) {
            blk_types[i].start(req, load_le64(header + 8));
            return;
        }
    }
    guest_error("virtio-blk: request type %u", type);
    blk_complete(req, VIRTIO_BLK_S_UNSUPP);
}

/* False when the queue has no more, or the device has stopped working. */
static bool blk_run_one(struct blk *blk, struct virtq *queue, struct blk_req *req)
{
    if (virtq_pop(queue, &req->chain) != VIRTQ_CHAIN) {
        blk_put(req);
        return false;
    }
    req->queue = queue;
    if (req->chain.out_size >= BLK_HEADER && req->chain.in_size >= 1) {
        blk_start(req);
        return true;
    }
    virtio_fail(&blk->virtio, "virtio-blk: a request without header or status");
    blk_put(req);
    return false;
}

static void blk_run_queue(struct blk *blk, unsigned index)
{
    struct virtq *queue = &blk->virtio.queues[index];
    struct blk_req *req;

    do {
        virtq_disable_notify(queue);
        while ((req = blk_take(blk)) && blk_run_one(blk, queue, req))
            ;
        if (!req) {
            blk->starved |= BIT64(index);
            return;
        }
    } while (!blk->virtio.broken && virtq_enable_notify(queue));
}

/* ---- Transport callbacks ---- */

static void blk_notify(struct virtio *v, unsigned index)
{
    blk_run_queue(blk_of(v), index);
}

static void blk_config_read(struct virtio *v, unsigned offset, void *data, unsigned size)
{
    struct blk *blk = blk_of(v);

    blk->config[BLK_CONFIG_WRITEBACK] = blk->state.writeback;
    memcpy(data, blk->config + offset, size);
}

/* Only the cache mode is for the driver to write. */
static void blk_config_write(struct virtio *v, unsigned offset, const void *data, unsigned size)
{
    struct blk *blk = blk_of(v);

    if (!virtio_has(v, VIRTIO_BLK_F_CONFIG_WCE))
        return;
    if (offset <= BLK_CONFIG_WRITEBACK && BLK_CONFIG_WRITEBACK - offset < size)
        blk->state.writeback = ((const u8 *)data)[BLK_CONFIG_WRITEBACK - offset] & 1;
}

/* An earlier reset may have dropped it already. */
static void blk_drop(struct blk_req *req)
{
    if (!req->dropped)
        virtq_drop(req->queue, &req->chain);
    req->dropped = true;
}

static void blk_reset(struct virtio *v)
{
    struct blk *blk = blk_of(v);

    block_quiesce(blk->block);
    for (unsigned i = 0; i < blk->req_count; i++)
        if (blk->reqs[i].busy)
            blk_drop(&blk->reqs[i]);
    blk->starved = 0;
    blk->state.writeback = block_is_writeback(blk->block);
}

/* ---- Ops tables ---- */

static const struct virtio_ops blk_virtio_ops = {
    .id = VIRTIO_ID_BLOCK,
    .notify = blk_notify,
    .config_read = blk_config_read,
    .config_write = blk_config_write,
    .reset = blk_reset,
};

static void blk_device_reset(struct device *dev)
{
    virtio_reset(container_of(dev, struct virtio, dev));
}

static void blk_device_free(struct device *dev)
{
    struct blk *blk = blk_of(container_of(dev, struct virtio, dev));

    for (unsigned i = 0; i < blk->req_count; i++)
        blk->reqs[i].dropped = blk->reqs[i].busy;
    block_close(blk->block);
    virtio_fini(&blk->virtio);
    free(blk->reqs);
    free(blk);
}

static const struct device_ops blk_device_ops = {
    .reset = blk_device_reset,
    .free = blk_device_free,
};

/* ---- Making one ---- */

static u64 blk_features(const struct blk_config *config, const struct block *block)
{
    u64 features = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_GEOMETRY | VIRTIO_BLK_F_BLK_SIZE |
                   VIRTIO_BLK_F_TOPOLOGY | VIRTIO_BLK_F_FLUSH;

    if (config->queues > 1)
        features |= VIRTIO_BLK_F_MQ;
    if (!config->no_config_wce)
        features |= VIRTIO_BLK_F_CONFIG_WCE;
    if (block_is_readonly(block))
        return features | VIRTIO_BLK_F_RO;
    if (!config->no_discard)
        features |= VIRTIO_BLK_F_DISCARD;
    if (!config->no_write_zeroes)
        features |= VIRTIO_BLK_F_WRITE_ZEROES;
    return features;
}

static void blk_fill_config(struct blk *blk, const struct blk_config *config, unsigned queue_size,
                            u32 physical)
{
    u64 sectors = block_size(blk->block) / BLK_SECTOR;
    u64 cylinders = sectors / (BLK_HEADS * BLK_TRACK_SECTORS);
    u32 align = blk->logical_block_size / BLK_SECTOR;
    u8 *c = blk->config;

    store_le64(c + BLK_CONFIG_CAPACITY, sectors);
    store_le32(c + BLK_CONFIG_SEG_MAX, queue_size - 2);
    store_le16(c + BLK_CONFIG_CYLINDERS, (u16)MAX(MIN(cylinders, BLK_CYLINDERS_MAX), 2u));
    c[BLK_CONFIG_HEADS] = BLK_HEADS;
    c[BLK_CONFIG_SECTORS] = BLK_TRACK_SECTORS;
    store_le32(c + BLK_CONFIG_BLK_SIZE, blk->logical_block_size);
    c[BLK_CONFIG_PHYSICAL_EXP] = (u8)__builtin_ctz(physical / blk->logical_block_size);
    store_le16(c + BLK_CONFIG_NUM_QUEUES, (u16)config->queues);
    store_le32(c + BLK_CONFIG_MAX_DISCARD, BLK_RANGE_SECTORS);
    store_le32(c + BLK_CONFIG_MAX_DISCARD_SEG, 1);
    store_le32(c + BLK_CONFIG_DISCARD_ALIGN, align);
    store_le32(c + BLK_CONFIG_MAX_ZEROES, BLK_RANGE_SECTORS);
    store_le32(c + BLK_CONFIG_MAX_ZEROES_SEG, 1);
    c[BLK_CONFIG_ZEROES_UNMAP] = 1;
}

static bool blk_is_size(u32 size)
{
    return size >= BLK_SECTOR && size <= BLK_BLOCK_SIZE_MAX && !(size & (size - 1));
}

static bool blk_check(const struct blk_config *config, u32 logical, u32 physical,
                      const struct block *block, struct error *err)
{
    if (!blk_is_size(logical) || !blk_is_size(physical) || physical < logical)
        return error_set(err,
                         "logical_block_size and physical_block_size must be powers of two from "
                         "512 to 32768, the second not less than the first");
    if (block_size(block) % logical)
        return error_set(err, "the size of the image is not a multiple of logical_block_size %u",
                         logical);
    if (config->queues < 1 || config->queues > VIRTIO_QUEUES_MAX)
        return error_set(err, "num-queues must be from 1 to %d", VIRTIO_QUEUES_MAX);
    if (config->queue_size && (config->queue_size < 4 || config->queue_size > VIRTQ_SIZE_MAX ||
                               (config->queue_size & (config->queue_size - 1))))
        return error_set(err, "queue-size must be a power of two from 4 to %u", VIRTQ_SIZE_MAX);
    return true;
}

struct virtio *blk_new(const struct blk_config *config, struct block *block, struct ram *ram,
                       struct loop *loop, struct error *err)
{
    u32 logical = config->logical_block_size ? config->logical_block_size : BLK_SECTOR;
    u32 physical = config->physical_block_size ? config->physical_block_size : logical;
    unsigned queue_size = config->queue_size ? config->queue_size : BLK_QUEUE_SIZE;
    struct blk *blk;

    if (!blk_check(config, logical, physical, block, err)) {
        block_close(block);
        return NULL;
    }
    blk = xcalloc(1, sizeof(*blk));
    blk->block = block;
    blk->loop = loop;
    blk->logical_block_size = logical;
    blk->ops = blk_virtio_ops;
    blk->ops.features = blk_features(config, block);
    memcpy(blk->id, config->serial ? config->serial : "",
           strnlen(config->serial ? config->serial : "", BLK_ID_SIZE));
    blk_fill_config(blk, config, queue_size, physical);
    blk->state.writeback = block_is_writeback(block);
    blk->req_count = MIN(queue_size * config->queues, BLK_REQUESTS_MAX);
    blk->reqs = xcalloc(blk->req_count, sizeof(*blk->reqs));
    for (unsigned i = 0; i < blk->req_count; i++) {
        blk->reqs[i].blk = blk;
        blk_put(&blk->reqs[i]);
    }
    virtio_init(&blk->virtio, "virtio-blk", &blk_device_ops, &blk->ops, ram, loop);
    blk->virtio.config_size = BLK_CONFIG_SIZE;
    virtio_add_queues(&blk->virtio, config->queues, (u16)queue_size);
    return &blk->virtio;
}
