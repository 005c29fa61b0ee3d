/* SPDX-License-Identifier: MIT */
/* qcow2: the tables in memory, and the order in which they reach the medium. The mutex of the image is held. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "host/block_qcow2.h"

#define QCOW2_ARRAY_PIECE 64u /* entries written at once: a sector */

/* ---- The cache ---- */

static int qcow2_table_write(struct qcow2 *q, struct qcow2_table *table)
{
    int r = block_file_write(&q->file, table->offset, table->data, q->cluster_size);

    table->dirty = r != 0;
    return r;
}

int qcow2_cache_write(struct qcow2 *q, struct qcow2_cache *cache)
{
    int r = 0;

    for (unsigned i = 0; i < QCOW2_CACHE_MAX && !r; i++)
        if (cache->tables[i].dirty)
            r = qcow2_table_write(q, &cache->tables[i]);
    return r;
}

void qcow2_cache_fini(struct qcow2_cache *cache)
{
    for (unsigned i = 0; i < QCOW2_CACHE_MAX; i++)
        free(cache->tables[i].data);
}

static struct qcow2_table *qcow2_cache_find(struct qcow2_cache *cache, u64 offset)
{
    struct qcow2_table *oldest = &cache->tables[0];

    for (unsigned i = 0; i < QCOW2_CACHE_MAX; i++) {
        struct qcow2_table *table = &cache->tables[i];

        if (table->offset == offset)
            return table;
        if (table->used < oldest->used)
            oldest = table;
    }
    return oldest;
}

/* Make room: L2 tables go out by a flush, which knows the order; refcount blocks may at any time. */
static int qcow2_cache_evict(struct qcow2 *q, struct qcow2_cache *cache, struct qcow2_table *table)
{
    int r = 0;

    if (table->dirty)
        r = cache == &q->l2 ? qcow2_flush(q) : qcow2_table_write(q, table);
    if (r)
        return r;
    table->offset = 0;
    if (!table->data)
        table->data = malloc(q->cluster_size);
    return table->data ? 0 : -ENOMEM;
}

int qcow2_cache_get(struct qcow2 *q, struct qcow2_cache *cache, u64 offset, bool fresh,
                    struct qcow2_table **result)
{
    struct qcow2_table *table = qcow2_cache_find(cache, offset);
    int r = 0;

    if (!qcow2_is_cluster(q, offset))
        return qcow2_corrupt(q, "a table lies outside the file");
    if (table->offset != offset) {
        r = qcow2_cache_evict(q, cache, table);
        if (!r && !fresh)
            r = block_file_read(&q->file, offset, table->data, q->cluster_size);
        if (r)
            return r;
        table->offset = offset;
    }
    if (fresh) {
        memset(table->data, 0, q->cluster_size);
        table->dirty = true;
    }
    table->used = ++cache->ticks;
    *result = table;
    return 0;
}

/* ---- Arrays ---- */

void qcow2_array_set(struct qcow2_array *array, u32 index, u64 value)
{
    bool clean = array->dirty_first == array->dirty_end;

    array->entries[index] = value;
    array->dirty_first = clean ? index : MIN(array->dirty_first, index);
    array->dirty_end = clean ? index + 1 : MAX(array->dirty_end, index + 1);
}

int qcow2_array_write(struct qcow2 *q, struct qcow2_array *array)
{
    u8 piece[QCOW2_ARRAY_PIECE * 8];

    for (u32 i = array->dirty_first; i < array->dirty_end;) {
        u32 n = MIN(array->dirty_end - i, QCOW2_ARRAY_PIECE);
        int r;

        for (u32 j = 0; j < n; j++)
            store_be64(piece + j * 8, array->entries[i + j]);
        r = block_file_write(&q->file, array->offset + (u64)i * 8, piece, (u64)n * 8);
        if (r)
            return r;
        i += n;
    }
    array->dirty_first = array->dirty_end = 0;
    return 0;
}

/* ---- Flush ---- */

static bool qcow2_cache_is_dirty(const struct qcow2_cache *cache)
{
    for (unsigned i = 0; i < QCOW2_CACHE_MAX; i++)
        if (cache->tables[i].dirty)
            return true;
    return false;
}

static int qcow2_array_sync(struct qcow2 *q, struct qcow2_array *array)
{
    int r;

    if (array->dirty_first == array->dirty_end)
        return 0;
    r = qcow2_array_write(q, array);
    return r ? r : block_file_flush(&q->file);
}

/* Nothing on the medium refers to them any more. */
static int qcow2_apply_freed(struct qcow2 *q)
{
    int r = 0;

    while (q->freed_count && !r)
        r = qcow2_ref_change(q, q->freed[--q->freed_count], false);
    return r;
}

int qcow2_flush(struct qcow2 *q)
{
    int r = qcow2_cache_write(q, &q->refblocks);

    if (!r)
        r = block_file_flush(&q->file);
    if (!r)
        r = qcow2_array_sync(q, &q->reftable);
    if (!r && qcow2_cache_is_dirty(&q->l2)) {
        r = qcow2_cache_write(q, &q->l2);
        if (!r)
            r = block_file_flush(&q->file);
    }
    if (!r)
        r = qcow2_array_sync(q, &q->l1);
    return r ? r : qcow2_apply_freed(q);
}

/* ---- L2 tables ---- */

/* A table of our own, with what `old` has (0: nothing). */
static int qcow2_l2_new(struct qcow2 *q, u32 l1_index, u64 old, struct qcow2_table **table)
{
    u64 offset;
    int r = 0;

    if (old) {
        r = qcow2_cache_get(q, &q->l2, old, false, table);
        if (!r && *table)
            memcpy(q->work, (*table)->data, q->cluster_size);
    }
    if (!r)
        r = qcow2_alloc(q, &offset);
    if (!r)
        r = qcow2_cache_get(q, &q->l2, offset, true, table);
    if (!r)
        r = qcow2_set_meta(q, offset >> q->cluster_bits, true);
    if (r)
        return r;
    if (old && *table)
        memcpy((*table)->data, q->work, q->cluster_size);
    qcow2_array_set(&q->l1, l1_index, offset | QCOW2_COPIED);
    return old ? qcow2_free(q, old) : 0;
}

int qcow2_l2(struct qcow2 *q, u64 offset, bool write, struct qcow2_table **table, u32 *index)
{
    u64 per_table = q->cluster_size / 8, cluster = offset >> q->cluster_bits;
    u32 l1_index = (u32)(cluster / per_table);
    u64 entry = q->l1.entries[l1_index], old = entry & QCOW2_OFFSET_MASK;

    *index = (u32)(cluster % per_table);
    *table = NULL;
    if (write && (!old || !(entry & QCOW2_COPIED)))
        return qcow2_l2_new(q, l1_index, old, table);
    return old ? qcow2_cache_get(q, &q->l2, old, false, table) : 0;
}
