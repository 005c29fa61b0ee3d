/* SPDX-License-Identifier: MIT */
/* qcow2: reading and writing guest clusters. The mutex of the image is held. */
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "host/block_qcow2.h"

#define QCOW2_DEFLATE_WINDOW (-12) /* raw deflate, 4 KiB window */
#define QCOW2_SECTOR         512u

/* ---- Compressed clusters ---- */

/*
 * An L2 entry of a compressed cluster, with x = 62 - (cluster_bits - 8):
 *   bits 0 .. x-1: byte offset in the file; x .. 61: sectors beyond the first one that are touched
 */
static void qcow2_packed_place(const struct qcow2 *q, u64 entry, u64 *offset, u64 *size)
{
    unsigned x = 62 - (q->cluster_bits - 8);
    u64 sectors = (entry >> x & (BIT64(q->cluster_bits - 8) - 1)) + 1;

    *offset = entry & (BIT64(x) - 1);
    *size = sectors * QCOW2_SECTOR - (*offset & (QCOW2_SECTOR - 1));
}

static bool qcow2_inflate(struct qcow2 *q, u64 size)
{
    z_stream stream = { .next_in = q->packed,
                        .avail_in = (uInt)size,
                        .next_out = q->unpacked,
                        .avail_out = (uInt)q->cluster_size };
    bool full;

    if (inflateInit2(&stream, QCOW2_DEFLATE_WINDOW) != Z_OK)
        return false;
    inflate(&stream, Z_FINISH);
    full = stream.avail_out == 0;
    inflateEnd(&stream);
    return full;
}

static bool qcow2_unzstd(struct qcow2 *q, u64 size)
{
    ZSTD_inBuffer in = { q->packed, size, 0 };
    ZSTD_outBuffer out = { q->unpacked, q->cluster_size, 0 };
    ZSTD_DCtx *context = ZSTD_createDCtx();
    size_t r = context ? 1 : 0;

    while (r && !ZSTD_isError(r) && out.pos < out.size && in.pos < in.size)
        r = ZSTD_decompressStream(context, &out, &in);
    ZSTD_freeDCtx(context);
    return out.pos == out.size;
}

/* Leaves the cluster in q->unpacked. */
static int qcow2_unpack(struct qcow2 *q, u64 entry)
{
    u64 offset, size;
    int r;

    if (q->unpacked_of == entry)
        return 0;
    q->unpacked_of = 0;
    qcow2_packed_place(q, entry, &offset, &size);
    r = block_file_read(&q->file, offset, q->packed, size);
    if (r)
        return r;
    if (!(q->zstd ? qcow2_unzstd(q, size) : qcow2_inflate(q, size)))
        return -EIO;
    q->unpacked_of = entry;
    return 0;
}

/* ---- Reading ---- */

static int qcow2_read_backing(struct qcow2 *q, u64 offset, struct block_span span, u64 size)
{
    u64 there = 0;
    int r = 0;

    if (q->backing && offset < q->backing->size)
        there = MIN(size, q->backing->size - offset);
    if (there)
        r = q->backing->ops->read(q->backing, offset, span, there);
    block_span_advance(&span, there);
    block_span_put(&span, NULL, size - there);
    return r;
}

/* Part of one cluster, which `entry` describes. */
static int qcow2_read_entry(struct qcow2 *q, u64 entry, u64 offset, struct block_span span,
                            u64 size)
{
    u64 in_cluster = offset & (q->cluster_size - 1), host = entry & QCOW2_OFFSET_MASK;
    int r;

    if (entry & QCOW2_COMPRESSED) {
        r = qcow2_unpack(q, entry);
        if (!r)
            block_span_put(&span, q->unpacked + in_cluster, size);
        return r;
    }
    if (q->version >= 3 && (entry & QCOW2_ZERO)) {
        block_span_put(&span, NULL, size);
        return 0;
    }
    if (!host)
        return qcow2_read_backing(q, offset, span, size);
    if (host & (q->cluster_size - 1))
        return qcow2_corrupt(q, "a data cluster is not aligned");
    return block_file_readv(&q->file, host + in_cluster, span, size);
}

static u64 qcow2_step(const struct qcow2 *q, u64 offset, u64 size)
{
    return MIN(size, q->cluster_size - (offset & (q->cluster_size - 1)));
}

int qcow2_read(struct qcow2 *q, u64 offset, struct block_span span, u64 size)
{
    struct qcow2_table *table;
    u32 index;

    while (size) {
        u64 step = qcow2_step(q, offset, size);
        int r = qcow2_l2(q, offset, false, &table, &index);

        if (!r)
            r = qcow2_read_entry(q, table ? load_be64(table->data + index * 8) : 0, offset, span,
                                 step);
        if (r)
            return r;
        block_span_advance(&span, step);
        offset += step;
        size -= step;
    }
    return 0;
}

/* ---- Writing ---- */

/* Give up what an entry used. */
static int qcow2_free_entry(struct qcow2 *q, u64 entry)
{
    u64 offset = entry & QCOW2_OFFSET_MASK, size = 1;
    int r = 0;

    if (entry & QCOW2_COMPRESSED)
        qcow2_packed_place(q, entry, &offset, &size);
    else if (!offset)
        return 0;
    q->unpacked_of = 0;
    for (u64 at = align_down(offset, q->cluster_size); at < offset + size && !r;
         at += q->cluster_size)
        r = qcow2_is_cluster(q, at) ? qcow2_free(q, at) : 0;
    return r;
}

/* The whole cluster around a part: the old content in q->work, with the part on top. */
static int qcow2_fill_work(struct qcow2 *q, u64 entry, u64 offset, struct block_span span, u64 size)
{
    struct iovec iov = { q->work, q->cluster_size };
    u64 in_cluster = offset & (q->cluster_size - 1);
    int r = 0;

    if (size < q->cluster_size)
        r = qcow2_read_entry(q, entry, offset - in_cluster, (struct block_span){ &iov, 1, 0 },
                             q->cluster_size);
    block_span_get(&span, q->work + in_cluster, size);
    return r;
}

/* Data in a cluster of its own; the entry follows when the data is written. */
static int qcow2_write_new(struct qcow2 *q, u64 entry, u64 offset, struct block_span span, u64 size,
                           u64 *host)
{
    int r = qcow2_fill_work(q, entry, offset, span, size);

    if (!r)
        r = qcow2_alloc(q, host);
    if (r)
        return r;
    r = block_file_write(&q->file, *host, q->work, q->cluster_size);
    if (r)
        qcow2_ref_change(q, *host >> q->cluster_bits, false);
    return r;
}

static bool qcow2_entry_is_ours(u64 entry)
{
    return (entry & QCOW2_COPIED) && !(entry & QCOW2_COMPRESSED) && (entry & QCOW2_OFFSET_MASK);
}

static int qcow2_check_host(struct qcow2 *q, u64 host)
{
    if (host & (q->cluster_size - 1) || qcow2_is_meta(q, host >> q->cluster_bits))
        return qcow2_corrupt(q, "a data cluster overlaps a table");
    return 0;
}

static int qcow2_write_part(struct qcow2 *q, u64 offset, struct block_span span, u64 size)
{
    u64 in_cluster = offset & (q->cluster_size - 1), entry, host;
    struct qcow2_table *table;
    bool zero;
    u32 index;
    int r = qcow2_l2(q, offset, true, &table, &index);

    if (r)
        return r;
    entry = load_be64(table->data + index * 8);
    zero = q->version >= 3 && (entry & QCOW2_ZERO);
    host = entry & QCOW2_OFFSET_MASK;
    if (qcow2_entry_is_ours(entry) && !zero) {
        r = qcow2_check_host(q, host);
        return r ? r : block_file_writev(&q->file, host + in_cluster, span, size);
    }
    r = qcow2_write_new(q, entry, offset, span, size, &host);
    if (r)
        return r;
    store_be64(table->data + index * 8, host | QCOW2_COPIED);
    table->dirty = true;
    return qcow2_free_entry(q, entry);
}

int qcow2_write(struct qcow2 *q, u64 offset, struct block_span span, u64 size)
{
    while (size) {
        u64 step = qcow2_step(q, offset, size);
        int r = q->corrupt ? -EIO : qcow2_write_part(q, offset, span, step);

        if (r)
            return r;
        block_span_advance(&span, step);
        offset += step;
        size -= step;
    }
    return 0;
}

/* ---- Zeroes ---- */

static int qcow2_write_zeroes(struct qcow2 *q, u64 offset, u64 size)
{
    static const u8 zeroes[4096];

    while (size) {
        struct iovec iov = { (void *)(uintptr_t)zeroes, MIN(size, sizeof(zeroes)) };
        int r = qcow2_write(q, offset, (struct block_span){ &iov, 1, 0 }, iov.iov_len);

        if (r)
            return r;
        offset += iov.iov_len;
        size -= iov.iov_len;
    }
    return 0;
}

/* A whole cluster shall read as zero; `keep` its space if it has some. */
static int qcow2_zero_cluster(struct qcow2 *q, u64 offset, bool keep)
{
    struct qcow2_table *table;
    u64 entry = 0, zero;
    u32 index;
    int r = qcow2_l2(q, offset, false, &table, &index);

    if (!r && table)
        entry = load_be64(table->data + index * 8);
    if (r || (!entry && !q->backing))
        return r;
    r = qcow2_l2(q, offset, true, &table, &index);
    if (r)
        return r;
    /* What was kept for an earlier zero stays: its space is wanted. */
    keep = keep && qcow2_entry_is_ours(entry);
    zero = q->version >= 3 ? QCOW2_ZERO : 0;
    store_be64(table->data + index * 8, keep ? entry | zero : zero);
    table->dirty = true;
    return keep ? 0 : qcow2_free_entry(q, entry);
}

/* Version 2 has no zero clusters: with a backing file only written zeroes hide it. */
static bool qcow2_can_zero(const struct qcow2 *q, bool keep)
{
    return q->version >= 3 || (!q->backing && !keep);
}

int qcow2_zero(struct qcow2 *q, u64 offset, u64 size, bool may_unmap)
{
    int r = 0;

    while (size && !r) {
        u64 step = qcow2_step(q, offset, size);
        bool whole = step == q->cluster_size;

        if (q->corrupt)
            return -EIO;
        if (whole && qcow2_can_zero(q, !may_unmap))
            r = qcow2_zero_cluster(q, offset, !may_unmap);
        else
            r = qcow2_write_zeroes(q, offset, step);
        offset += step;
        size -= step;
    }
    return r;
}

/* Whole clusters only: a discard is a hint. */
int qcow2_discard(struct qcow2 *q, u64 offset, u64 size)
{
    u64 end = align_down(offset + size, q->cluster_size);
    int r = 0;

    if (!qcow2_can_zero(q, false))
        return -EOPNOTSUPP;
    for (u64 at = align_up(offset, q->cluster_size); at < end && !r; at += q->cluster_size)
        r = q->corrupt ? -EIO : qcow2_zero_cluster(q, at, false);
    return r;
}
