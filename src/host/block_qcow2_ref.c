/* SPDX-License-Identifier: MIT */
/* qcow2: reference counts and the allocation of clusters. The mutex of the image is held. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "host/block_qcow2.h"

#define QCOW2_INCOMPATIBLE_AT   72
#define QCOW2_INCOMPATIBLE_CORR BIT64(1)
#define QCOW2_REFTABLE_AT       48
#define QCOW2_REFTABLE_MAX      (MIB(8) / 8) /* entries */
#define QCOW2_META_MAX          MIB(256)     /* bytes of bitmap: 128 TiB of 64 KiB clusters */

/* ---- What must not be overwritten ---- */

int qcow2_corrupt(struct qcow2 *q, const char *what)
{
    u8 bits[8];

    if (q->corrupt)
        return -EIO;
    log_error("the image '%s' is corrupt (%s); it takes no more writes", q->file.name, what);
    q->corrupt = true;
    if (q->version >= 3 && !q->file.readonly) {
        store_be64(bits, q->incompatible | QCOW2_INCOMPATIBLE_CORR);
        block_file_write(&q->file, QCOW2_INCOMPATIBLE_AT, bits, sizeof(bits));
    }
    return -EIO;
}

bool qcow2_is_cluster(const struct qcow2 *q, u64 offset)
{
    return offset && offset % q->cluster_size == 0 && offset >> q->cluster_bits < q->alloc_end;
}

bool qcow2_is_meta(const struct qcow2 *q, u64 cluster)
{
    return cluster / 8 < q->meta_size && (q->meta[cluster / 8] >> (cluster % 8) & 1);
}

int qcow2_set_meta(struct qcow2 *q, u64 cluster, bool meta)
{
    u64 need = cluster / 8 + 1;
    u8 bit = (u8)(1u << (cluster % 8));

    if (need > q->meta_size) {
        u64 size = MAX(need, MIN(q->meta_size * 2, QCOW2_META_MAX));
        u8 *grown = size <= QCOW2_META_MAX ? realloc(q->meta, size) : NULL;

        if (!grown)
            return -ENOMEM;
        memset(grown + q->meta_size, 0, size - q->meta_size);
        q->meta = grown;
        q->meta_size = size;
    }
    q->meta[cluster / 8] = (u8)(meta ? q->meta[cluster / 8] | bit : q->meta[cluster / 8] & ~bit);
    return 0;
}

/* ---- Counts in a block ---- */

u64 qcow2_refs_per_block(const struct qcow2 *q)
{
    return q->cluster_size * 8 >> q->refcount_order;
}

static u64 qcow2_count_load(const struct qcow2 *q, const u8 *block, u64 index)
{
    unsigned bits = 1u << q->refcount_order;

    switch (q->refcount_order) {
    case 3: return block[index];
    case 4: return load_be16(block + index * 2);
    case 5: return load_be32(block + index * 4);
    case 6: return load_be64(block + index * 8);
    default: return block[index * bits / 8] >> (index * bits % 8) & (BIT(bits) - 1);
    }
}

static void qcow2_count_store(const struct qcow2 *q, u8 *block, u64 index, u64 count)
{
    unsigned bits = 1u << q->refcount_order, shift = (unsigned)(index * bits % 8);
    u8 *byte = block + index * bits / 8;

    switch (q->refcount_order) {
    case 3: *byte = (u8)count; break;
    case 4: store_be16(byte, (u16)count); break;
    case 5: store_be32(byte, (u32)count); break;
    case 6: store_be64(byte, count); break;
    default: *byte = (u8)((*byte & ~((BIT(bits) - 1) << shift)) | count << shift); break;
    }
}

static u64 qcow2_count_max(const struct qcow2 *q)
{
    return q->refcount_order == 6 ? UINT64_MAX : BIT64(1u << q->refcount_order) - 1;
}

int qcow2_ref_get(struct qcow2 *q, u64 cluster, u64 *count)
{
    u64 per_block = qcow2_refs_per_block(q), block = cluster / per_block;
    struct qcow2_table *table;
    int r;

    *count = 0;
    if (block >= q->reftable.count || !q->reftable.entries[block])
        return 0;
    r = qcow2_cache_get(q, &q->refblocks, q->reftable.entries[block], false, &table);
    if (!r)
        *count = qcow2_count_load(q, table->data, cluster % per_block);
    return r;
}

/* ---- The refcount table grows ---- */

/* Its clusters are counted and on the medium before the header points there. */
static int qcow2_reftable_publish(struct qcow2 *q, u64 clusters)
{
    u8 fields[12];
    int r;

    store_be64(fields, q->reftable.offset);
    store_be32(fields + 8, (u32)clusters);
    q->reftable.dirty_first = 0;
    q->reftable.dirty_end = q->reftable.count;
    r = qcow2_cache_write(q, &q->refblocks);
    if (!r)
        r = qcow2_array_write(q, &q->reftable);
    if (!r)
        r = block_file_flush(&q->file);
    if (!r)
        r = block_file_write(&q->file, QCOW2_REFTABLE_AT, fields, sizeof(fields));
    return r ? r : block_file_flush(&q->file);
}

static int qcow2_reftable_grow(struct qcow2 *q, u64 need)
{
    u64 per_cluster = q->cluster_size / 8;
    u64 count = align_up(need + need / 2 + 2, per_cluster), clusters = count / per_cluster;
    struct qcow2_array old = q->reftable;
    u64 first = q->alloc_end;
    u64 *entries;
    int r = 0;

    if (count > QCOW2_REFTABLE_MAX)
        return -ENOSPC;
    entries = realloc(old.entries, count * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    memset(entries + old.count, 0, (count - old.count) * sizeof(*entries));
    q->reftable = (struct qcow2_array){ .entries = entries,
                                        .count = (u32)count,
                                        .offset = first << q->cluster_bits };
    q->alloc_end += clusters;
    for (u64 i = 0; i < clusters && !r; i++) {
        r = qcow2_ref_change(q, first + i, true);
        if (!r)
            r = qcow2_set_meta(q, first + i, true);
    }
    if (!r)
        r = qcow2_reftable_publish(q, clusters);
    if (r)
        return qcow2_corrupt(q, "the refcount table could not be moved");
    for (u64 i = 0; i < old.count / per_cluster && !r; i++)
        r = qcow2_free(q, old.offset + i * q->cluster_size);
    return r;
}

/* ---- Changing a count ---- */

/* A block for counts that have none yet; it is at the end of the file, and may count itself. */
static int qcow2_refblock_new(struct qcow2 *q, u64 block)
{
    struct qcow2_table *table;
    u64 cluster;
    int r = 0;

    if (block >= q->reftable.count)
        r = qcow2_reftable_grow(q, block + 1);
    if (r || q->reftable.entries[block])
        return r;
    cluster = q->alloc_end++;
    r = qcow2_set_meta(q, cluster, true);
    if (!r)
        r = qcow2_cache_get(q, &q->refblocks, cluster << q->cluster_bits, true, &table);
    if (r)
        return r;
    qcow2_array_set(&q->reftable, (u32)block, cluster << q->cluster_bits);
    return qcow2_ref_change(q, cluster, true);
}

int qcow2_ref_change(struct qcow2 *q, u64 cluster, bool up)
{
    u64 per_block = qcow2_refs_per_block(q), block = cluster / per_block, count;
    struct qcow2_table *table;
    int r = 0;

    if (block >= q->reftable.count || !q->reftable.entries[block])
        r = up ? qcow2_refblock_new(q, block) : qcow2_corrupt(q, "a cluster in use is not counted");
    if (!r)
        r = qcow2_cache_get(q, &q->refblocks, q->reftable.entries[block], false, &table);
    if (r)
        return r;
    count = qcow2_count_load(q, table->data, cluster % per_block);
    if (up ? count == qcow2_count_max(q) : count == 0)
        return qcow2_corrupt(q, "a refcount is out of range");
    qcow2_count_store(q, table->data, cluster % per_block, up ? count + 1 : count - 1);
    table->dirty = true;
    if (up || count > 1)
        return 0;
    q->alloc_hint = MIN(q->alloc_hint, cluster);
    if (q->discard)
        block_file_discard(&q->file, cluster << q->cluster_bits, q->cluster_size);
    return qcow2_set_meta(q, cluster, false);
}

/* ---- Allocation ---- */

static int qcow2_find_free(struct qcow2 *q, u64 *cluster)
{
    for (u64 c = q->alloc_hint; c < q->alloc_end; c++) {
        u64 count;
        int r = qcow2_ref_get(q, c, &count);

        if (r)
            return r;
        if (count)
            continue;
        *cluster = c;
        return 0;
    }
    *cluster = q->alloc_end++;
    return 0;
}

int qcow2_alloc(struct qcow2 *q, u64 *offset)
{
    u64 cluster;
    int r = q->corrupt ? -EIO : qcow2_find_free(q, &cluster);

    if (r)
        return r;
    if (qcow2_is_meta(q, cluster) || !cluster)
        return qcow2_corrupt(q, "a table is counted as free");
    q->alloc_hint = cluster + 1;
    *offset = cluster << q->cluster_bits;
    if (*offset & ~QCOW2_OFFSET_MASK)
        return -EFBIG;
    return qcow2_ref_change(q, cluster, true);
}

int qcow2_free(struct qcow2 *q, u64 offset)
{
    int r = q->freed_count == QCOW2_FREED_MAX ? qcow2_flush(q) : 0;

    if (!r)
        q->freed[q->freed_count++] = offset >> q->cluster_bits;
    return r;
}
