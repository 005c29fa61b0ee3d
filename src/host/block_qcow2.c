/* SPDX-License-Identifier: MIT */
/*
 * qcow2: the header, opening and closing. Versions 2 and 3 as QEMU's docs/interop/qcow2.txt has them.
 *
 * Refused with a sentence: encryption, external data files, extended L2 entries, and for writing images that are marked
 * dirty or corrupt. Internal snapshots are kept (their clusters are copied before they change), bitmaps are marked as
 * out of date. NOT EMULATED: lazy refcounts; the flag is kept and counts are always exact.
 */
#include "host/block_qcow2.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

/* Header fields. */
enum {
    QCOW2_MAGIC = 0,
    QCOW2_VERSION = 4,
    QCOW2_BACKING_OFFSET = 8,
    QCOW2_BACKING_SIZE = 16,
    QCOW2_CLUSTER_BITS = 20,
    QCOW2_SIZE = 24,
    QCOW2_CRYPT_METHOD = 32,
    QCOW2_L1_SIZE = 36,
    QCOW2_L1_OFFSET = 40,
    QCOW2_REFTABLE_OFFSET = 48,
    QCOW2_REFTABLE_CLUSTERS = 56,
    QCOW2_INCOMPATIBLE = 72,
    QCOW2_AUTOCLEAR = 88,
    QCOW2_REFCOUNT_ORDER = 96,
    QCOW2_HEADER_LENGTH = 100,
    QCOW2_COMPRESSION = 104,
    QCOW2_HEADER_SIZE = 112,
};
#define QCOW2_V2_LENGTH          72u

/* Incompatible features. */
#define QCOW2_DIRTY              BIT64(0)
#define QCOW2_CORRUPT            BIT64(1)
#define QCOW2_DATA_FILE          BIT64(2)
#define QCOW2_COMPRESSION_TYPE   BIT64(3)
#define QCOW2_EXTENDED_L2        BIT64(4)
#define QCOW2_KNOWN              (QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION_TYPE)

#define QCOW2_EXT_BACKING_FORMAT 0xE2792ACAu

#define QCOW2_CLUSTER_BITS_MIN   9u
#define QCOW2_CLUSTER_BITS_MAX   21u
#define QCOW2_L1_MAX             (MIB(32) / 8) /* entries; more is no image that anybody made */
#define QCOW2_REFTABLE_MAX       MIB(8)        /* bytes */
#define QCOW2_NAME_MAX           1023u
#define QCOW2_OVERLAY_BITS       16u

struct qcow2_header {
    u8 bytes[QCOW2_HEADER_SIZE];
    char backing[QCOW2_NAME_MAX + 1]; /* "": none */
    enum block_format backing_format;
    u64 size;
};

static bool qcow2_refuse(const struct qcow2 *q, struct error *err, const char *what)
{
    return error_set(err, "Could not open '%.200s': %s", q->file.name, what);
}

/* ---- The header ---- */

static bool qcow2_check_features(struct qcow2 *q, const u8 *h, struct error *err)
{
    u64 bits = q->incompatible;

    if (load_be32(h + QCOW2_CRYPT_METHOD))
        return qcow2_refuse(q, err, "encrypted qcow2 images are not supported");
    if (bits & QCOW2_DATA_FILE)
        return qcow2_refuse(q, err, "qcow2 images with an external data file are not supported");
    if (bits & QCOW2_EXTENDED_L2)
        return qcow2_refuse(q, err, "qcow2 images with extended L2 entries are not supported");
    if (bits & ~QCOW2_KNOWN)
        return qcow2_refuse(q, err, "unknown incompatible qcow2 features");
    if (!q->file.readonly && (bits & QCOW2_CORRUPT))
        return qcow2_refuse(q, err, "qcow2: Image is corrupt; cannot be opened read/write");
    if (!q->file.readonly && (bits & QCOW2_DIRTY))
        return qcow2_refuse(q, err,
                            "the qcow2 image was not closed; repair it with qemu-img check -r all");
    if (bits & QCOW2_COMPRESSION_TYPE && h[QCOW2_COMPRESSION] > 1)
        return qcow2_refuse(q, err, "unknown qcow2 compression type");
    q->zstd = bits & QCOW2_COMPRESSION_TYPE && h[QCOW2_COMPRESSION] == 1;
    return true;
}

static bool qcow2_check_geometry(struct qcow2 *q, struct qcow2_header *header, struct error *err)
{
    const u8 *h = header->bytes;

    q->cluster_bits = load_be32(h + QCOW2_CLUSTER_BITS);
    if (q->cluster_bits < QCOW2_CLUSTER_BITS_MIN || q->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
        return qcow2_refuse(q, err, "unsupported qcow2 cluster size");
    q->cluster_size = BIT64(q->cluster_bits);
    q->alloc_end = align_up(q->file.size, q->cluster_size) >> q->cluster_bits;
    q->refcount_order = q->version >= 3 ? load_be32(h + QCOW2_REFCOUNT_ORDER) : 4;
    if (q->refcount_order > 6)
        return qcow2_refuse(q, err, "unsupported qcow2 refcount width");
    header->size = load_be64(h + QCOW2_SIZE);
    if (header->size > (u64)INT64_MAX - MIB(1))
        return qcow2_refuse(q, err, "the qcow2 image is too large");
    q->node.size = align_up(header->size, 512);
    return true;
}

static bool qcow2_read_header(struct qcow2 *q, struct qcow2_header *header, struct error *err)
{
    u8 *h = header->bytes;
    int r = block_file_read(&q->file, 0, h, QCOW2_HEADER_SIZE);

    if (r)
        return error_set_errno(err, -r, "Could not read '%.200s'", q->file.name);
    q->version = load_be32(h + QCOW2_VERSION);
    if (load_be32(h + QCOW2_MAGIC) != BLOCK_QCOW2_MAGIC)
        return qcow2_refuse(q, err, "Image is not in qcow2 format");
    if (q->version != 2 && q->version != 3)
        return qcow2_refuse(q, err, "unsupported qcow2 version");
    q->incompatible = q->version >= 3 ? load_be64(h + QCOW2_INCOMPATIBLE) : 0;
    return qcow2_check_geometry(q, header, err) && qcow2_check_features(q, h, err);
}

/* ---- Backing file ---- */

static enum block_format qcow2_format_of(const u8 *name, u32 size)
{
    if (size == 3 && !memcmp(name, "raw", 3))
        return BLOCK_FORMAT_RAW;
    return size == 5 && !memcmp(name, "qcow2", 5) ? BLOCK_FORMAT_QCOW2 : BLOCK_FORMAT_PROBE;
}

/* Extensions: type, length, data padded to 8 bytes; ended by type 0, the backing name or the first cluster. */
static bool qcow2_read_extensions(struct qcow2 *q, struct qcow2_header *header, struct error *err)
{
    u64 at = q->version >= 3 ? load_be32(header->bytes + QCOW2_HEADER_LENGTH) : QCOW2_V2_LENGTH;
    u64 backing = load_be64(header->bytes + QCOW2_BACKING_OFFSET);
    u64 end = backing ? MIN(backing, q->cluster_size) : q->cluster_size;

    if (at < QCOW2_V2_LENGTH || at > q->cluster_size || at % 8)
        return qcow2_refuse(q, err, "bad qcow2 header length");
    while (at + 8 <= end) {
        u8 head[16];
        int r = block_file_read(&q->file, at, head, sizeof(head));
        u32 type = load_be32(head), size = load_be32(head + 4);

        if (r || !type)
            return !r || error_set_errno(err, -r, "Could not read '%.200s'", q->file.name);
        if (size > end - at - 8)
            return qcow2_refuse(q, err, "a qcow2 header extension is too large");
        if (type == QCOW2_EXT_BACKING_FORMAT && size <= 8)
            header->backing_format = qcow2_format_of(head + 8, size);
        at += 8 + align_up(size, 8);
    }
    return true;
}

static bool qcow2_read_backing_name(struct qcow2 *q, struct qcow2_header *header, struct error *err)
{
    u64 offset = load_be64(header->bytes + QCOW2_BACKING_OFFSET);
    u32 size = load_be32(header->bytes + QCOW2_BACKING_SIZE);
    int r;

    if (!offset || !size)
        return true;
    if (size > QCOW2_NAME_MAX || offset > q->cluster_size || size > q->cluster_size - offset)
        return qcow2_refuse(q, err, "the qcow2 backing file name is too long");
    r = block_file_read(&q->file, offset, header->backing, size);
    return !r || error_set_errno(err, -r, "Could not read '%.200s'", q->file.name);
}

static bool qcow2_open_backing(struct qcow2 *q, const struct block_config *config,
                               const struct qcow2_header *header, unsigned depth, struct error *err)
{
    const char *name = header->backing, *slash = strrchr(q->file.name, '/');
    char path[8192];

    if (!name[0])
        return true;
    if (depth >= BLOCK_DEPTH_MAX)
        return qcow2_refuse(q, err, "backing files are nested too deep");
    if (!strncmp(name, "file:", 5))
        name += 5;
    else if (!strncmp(name, "json:", 5) || strstr(name, "://"))
        return qcow2_refuse(q, err, "its backing file is not a local file");
    snprintf(path, sizeof(path), "%.*s%s",
             name[0] == '/' || !slash ? 0 : (int)(slash + 1 - q->file.name), q->file.name, name);
    q->backing = block_node_open(config, path, header->backing_format, true, depth + 1, NULL, err);
    return q->backing || error_prefix(err, "Could not open backing file: ");
}

/* ---- Tables ---- */

static bool qcow2_load_array(struct qcow2 *q, struct qcow2_array *array, u64 offset, u64 count,
                             const char *what, struct error *err)
{
    u64 bytes = count * 8, end = q->alloc_end << q->cluster_bits;
    u8 *raw;
    int r;

    if (offset % q->cluster_size || (count && !offset) || offset > end || bytes > end - offset)
        return error_set(err, "Could not open '%.200s': the qcow2 %s is not inside the file",
                         q->file.name, what);
    array->offset = offset;
    array->count = (u32)count;
    array->entries = calloc(MAX(count, 1u), 8);
    if (!array->entries)
        return error_set(err, "Could not open '%.200s': no memory", q->file.name);
    raw = (u8 *)array->entries;
    r = block_file_read(&q->file, offset, raw, bytes);
    if (r)
        return error_set_errno(err, -r, "Could not read '%.200s'", q->file.name);
    for (u64 i = 0; i < count; i++)
        array->entries[i] = load_be64(raw + i * 8);
    return true;
}

static bool qcow2_load_tables(struct qcow2 *q, const struct qcow2_header *header, struct error *err)
{
    const u8 *h = header->bytes;
    u64 clusters = align_up(q->node.size, q->cluster_size) >> q->cluster_bits;
    u64 l1_size = load_be32(h + QCOW2_L1_SIZE), per_l2 = q->cluster_size / 8;
    u64 reftable_bytes = (u64)load_be32(h + QCOW2_REFTABLE_CLUSTERS) << q->cluster_bits;

    if (l1_size > QCOW2_L1_MAX || l1_size < clusters / per_l2 + (clusters % per_l2 != 0))
        return qcow2_refuse(q, err, "the qcow2 L1 table has a wrong size");
    if (reftable_bytes > QCOW2_REFTABLE_MAX || !reftable_bytes)
        return qcow2_refuse(q, err, "the qcow2 refcount table has a wrong size");
    return qcow2_load_array(q, &q->l1, load_be64(h + QCOW2_L1_OFFSET), l1_size, "L1 table", err) &&
           qcow2_load_array(q, &q->reftable, load_be64(h + QCOW2_REFTABLE_OFFSET),
                            reftable_bytes / 8, "refcount table", err);
}

/* Note that clusters hold a table; two tables in one place are no image to write to. */
static bool qcow2_claim(struct qcow2 *q, u64 offset, u64 bytes, struct error *err)
{
    u64 end = (offset + bytes + q->cluster_size - 1) >> q->cluster_bits;

    if (offset % q->cluster_size)
        return qcow2_refuse(q, err, "a qcow2 table is not aligned");
    for (u64 c = offset >> q->cluster_bits; c < end; c++) {
        if (c >= q->alloc_end)
            return qcow2_refuse(q, err, "a qcow2 table is not inside the file");
        if (qcow2_is_meta(q, c))
            return qcow2_refuse(q, err, "qcow2 tables overlap");
        if (qcow2_set_meta(q, c, true))
            return qcow2_refuse(q, err, "the file is too large");
    }
    return true;
}

static bool qcow2_claim_tables(struct qcow2 *q, const struct qcow2_array *array, struct error *err)
{
    bool ok = qcow2_claim(q, array->offset, (u64)array->count * 8, err);

    for (u32 i = 0; i < array->count && ok; i++)
        if (array->entries[i] & QCOW2_OFFSET_MASK)
            ok = qcow2_claim(q, array->entries[i] & QCOW2_OFFSET_MASK, q->cluster_size, err);
    return ok;
}

/* Get ready for writing. Features that we do not keep up to date (autoclear) are switched off. */
static bool qcow2_prepare_write(struct qcow2 *q, const struct qcow2_header *header,
                                struct error *err)
{
    u8 none[8] = { 0 };
    int r = 0;

    if (q->file.readonly)
        return true;
    if (!qcow2_claim(q, 0, q->cluster_size, err) || !qcow2_claim_tables(q, &q->l1, err) ||
        !qcow2_claim_tables(q, &q->reftable, err))
        return false;
    if (q->version >= 3 && load_be64(header->bytes + QCOW2_AUTOCLEAR))
        r = block_file_write(&q->file, QCOW2_AUTOCLEAR, none, sizeof(none));
    return !r || error_set_errno(err, -r, "Could not write '%.200s'", q->file.name);
}

/* ---- Requests ---- */

static struct qcow2 *qcow2_lock(struct block_node *node)
{
    struct qcow2 *q = container_of(node, struct qcow2, node);

    pthread_mutex_lock(&q->mutex);
    return q;
}

/* After a change: cache=writethrough and directsync want it on the medium. */
static int qcow2_unlock(struct qcow2 *q, int r, bool changed)
{
    if (!r && changed && q->sync)
        r = qcow2_flush(q);
    pthread_mutex_unlock(&q->mutex);
    return r;
}

static int qcow2_node_read(struct block_node *node, u64 offset, struct block_span span, u64 size)
{
    struct qcow2 *q = qcow2_lock(node);

    return qcow2_unlock(q, qcow2_read(q, offset, span, size), false);
}

static int qcow2_node_write(struct block_node *node, u64 offset, struct block_span span, u64 size)
{
    struct qcow2 *q = qcow2_lock(node);

    return qcow2_unlock(q, qcow2_write(q, offset, span, size), true);
}

static int qcow2_node_flush(struct block_node *node)
{
    struct qcow2 *q = qcow2_lock(node);

    return qcow2_unlock(q, q->file.readonly ? 0 : qcow2_flush(q), false);
}

static int qcow2_node_discard(struct block_node *node, u64 offset, u64 size)
{
    struct qcow2 *q = qcow2_lock(node);

    return qcow2_unlock(q, qcow2_discard(q, offset, size), true);
}

static int qcow2_node_zero(struct block_node *node, u64 offset, u64 size, bool may_unmap)
{
    struct qcow2 *q = qcow2_lock(node);

    return qcow2_unlock(q, qcow2_zero(q, offset, size, may_unmap), true);
}

static void qcow2_node_close(struct block_node *node)
{
    struct qcow2 *q = container_of(node, struct qcow2, node);

    /* Once more, for the counts of what the owner's last flush gave up. */
    if (!q->file.readonly && !q->corrupt && q->l1.entries && q->reftable.entries && q->work)
        qcow2_flush(q);
    if (q->backing)
        q->backing->ops->close(q->backing);
    qcow2_cache_fini(&q->l2);
    qcow2_cache_fini(&q->refblocks);
    free(q->l1.entries);
    free(q->reftable.entries);
    free(q->meta);
    free(q->work);
    free(q->packed);
    free(q->unpacked);
    block_file_close(&q->file);
    pthread_mutex_destroy(&q->mutex);
    free(q);
}

static const struct block_node_ops qcow2_ops = {
    .read = qcow2_node_read,
    .write = qcow2_node_write,
    .flush = qcow2_node_flush,
    .discard = qcow2_node_discard,
    .zero = qcow2_node_zero,
    .close = qcow2_node_close,
};

/* ---- Opening ---- */

static struct qcow2 *qcow2_new(const struct block_config *config, struct block_file *file)
{
    struct qcow2 *q = xcalloc(1, sizeof(*q));

    q->node.ops = &qcow2_ops;
    q->file = *file;
    q->discard = config->discard;
    q->sync = file->sync;
    pthread_mutex_init(&q->mutex, NULL);
    return q;
}

static bool qcow2_load(struct qcow2 *q, struct qcow2_header *header, struct error *err)
{
    if (!qcow2_read_header(q, header, err) || !qcow2_read_extensions(q, header, err) ||
        !qcow2_read_backing_name(q, header, err) || !qcow2_load_tables(q, header, err) ||
        !qcow2_prepare_write(q, header, err))
        return false;
    q->packed = xcalloc(2, q->cluster_size);
    q->unpacked = xcalloc(1, q->cluster_size);
    q->work = xcalloc(1, q->cluster_size);
    return true;
}

struct block_node *block_qcow2_open(const struct block_config *config, struct block_file *file,
                                    unsigned depth, struct error *err)
{
    struct qcow2_header header = { .backing_format = BLOCK_FORMAT_PROBE };
    struct qcow2 *q = qcow2_new(config, file);

    if (qcow2_load(q, &header, err) && qcow2_open_backing(q, config, &header, depth, err))
        return &q->node;
    qcow2_node_close(&q->node);
    return NULL;
}

/* ---- Temporary images ---- */

/* Clusters: header, refcount table, refcount block, L1 table. */
static int qcow2_format(struct block_file *file, u64 size)
{
    u64 cluster = BIT64(QCOW2_OVERLAY_BITS), l2_covers = cluster / 8 * cluster;
    u64 l1_size = (size + l2_covers - 1) / l2_covers;
    u64 l1_clusters = align_up(l1_size * 8, cluster) / cluster;
    u8 header[QCOW2_HEADER_SIZE] = { 0 }, entry[8], one[2];
    int r;

    store_be32(header + QCOW2_MAGIC, BLOCK_QCOW2_MAGIC);
    store_be32(header + QCOW2_VERSION, 3);
    store_be32(header + QCOW2_CLUSTER_BITS, QCOW2_OVERLAY_BITS);
    store_be64(header + QCOW2_SIZE, size);
    store_be32(header + QCOW2_L1_SIZE, (u32)l1_size);
    store_be64(header + QCOW2_L1_OFFSET, 3 * cluster);
    store_be64(header + QCOW2_REFTABLE_OFFSET, cluster);
    store_be32(header + QCOW2_REFTABLE_CLUSTERS, 1);
    store_be32(header + QCOW2_REFCOUNT_ORDER, 4);
    store_be32(header + QCOW2_HEADER_LENGTH, QCOW2_HEADER_SIZE);
    store_be64(entry, 2 * cluster);
    store_be16(one, 1);
    r = block_file_write(file, 0, header, sizeof(header));
    if (!r)
        r = block_file_write(file, cluster, entry, sizeof(entry));
    for (u64 i = 0; i < 3 + l1_clusters && !r; i++)
        r = block_file_write(file, 2 * cluster + i * 2, one, sizeof(one));
    if (!r)
        r = block_file_zero(file, 3 * cluster, l1_clusters * cluster, false);
    file->size = (3 + l1_clusters) * cluster;
    return r;
}

struct block_node *block_qcow2_overlay(const struct block_config *config, struct block_node *base,
                                       struct error *err)
{
    struct qcow2_header header = { .backing_format = BLOCK_FORMAT_PROBE };
    struct block_file file;
    struct qcow2 *q;
    int r;

    if (!block_file_temporary(&file, err)) {
        base->ops->close(base);
        return NULL;
    }
    r = qcow2_format(&file, base->size);
    q = qcow2_new(config, &file);
    q->backing = base;
    if (r)
        error_set_errno(err, -r, "Could not write a temporary image");
    else if (qcow2_load(q, &header, err))
        return &q->node;
    qcow2_node_close(&q->node);
    return NULL;
}
