/* SPDX-License-Identifier: MIT */
/*
 * qcow2 images, between its files. Layout (QEMU docs/interop/qcow2.txt): all numbers are big-endian.
 *
 *   header -> L1 table -> L2 tables -> data clusters      where each guest cluster is
 *          -> refcount table -> refcount blocks           how often each host cluster is used
 *
 * Order on the medium. A crash at any moment may leak clusters and loses nothing that was flushed:
 *   1. data, refcount blocks    2. refcount table    3. L2 tables    4. L1 table    5. clusters given up
 * with a flush of the host's file between the steps. So a table never points to what is not there, and a
 * cluster is free
 * only when no table on the medium refers to it. Refcount blocks may be written at any time: until step 5 counts only
 * grow.
 *
 * Everything in the file is untrusted. Clusters that hold tables are in the `meta` bitmap: data is never written
 * there; an image that asks for it is marked corrupt, and takes no more writes.
 */
#pragma once

#include <pthread.h>

#include "host/block_node.h"

#define QCOW2_OFFSET_MASK UINT64_C(0x00FFFFFFFFFFFE00)
#define QCOW2_COPIED      BIT64(63) /* L1, L2: used exactly once */
#define QCOW2_COMPRESSED  BIT64(62)
#define QCOW2_ZERO        BIT64(0) /* version 3: reads as zero, wherever it points */

#define QCOW2_CACHE_MAX   16u
#define QCOW2_FREED_MAX   4096u

struct qcow2_table {
    u64 offset; /* in the file; 0: empty slot */
    u64 used;   /* when, for the choice of whom to evict */
    u8 *data;   /* a cluster, as on the medium */
    bool dirty;
};

struct qcow2_cache {
    struct qcow2_table tables[QCOW2_CACHE_MAX];
    u64 ticks;
};

/* A table that is in memory whole, and which entries of it differ from the medium. */
struct qcow2_array {
    u64 *entries; /* host order */
    u32 count;
    u64 offset;
    u32 dirty_first, dirty_end;
};

struct qcow2 {
    struct block_node node;
    struct block_file file;
    struct block_node *backing;
    pthread_mutex_t mutex; /* all of it: one request at a time */
    u32 version;
    unsigned cluster_bits;
    u64 cluster_size;
    unsigned refcount_order; /* width of a count: 2 ^ order bits */
    bool zstd, corrupt, discard, sync;
    u64 incompatible; /* features in the header */
    struct qcow2_array l1, reftable;
    struct qcow2_cache l2, refblocks;
    u64 alloc_end;  /* clusters: the end of the file */
    u64 alloc_hint; /* no free cluster is below */
    u8 *meta;       /* a bit for each cluster */
    u64 meta_size;  /* bytes */
    unsigned freed_count;
    u64 freed[QCOW2_FREED_MAX]; /* clusters given up since the last flush, one use each */
    u8 *work;                   /* a cluster */
    u8 *packed;                 /* two clusters */
    u8 *unpacked;               /* a cluster: the last one that was decompressed, */
    u64 unpacked_of;            /* of this L2 entry; 0: none */
};

/* --- block_qcow2_ref.c: who uses what --- */

u64 qcow2_refs_per_block(const struct qcow2 *q);
/* The cluster that `offset` is the beginning of can hold a table or data. */
bool qcow2_is_cluster(const struct qcow2 *q, u64 offset);
bool qcow2_is_meta(const struct qcow2 *q, u64 cluster);
int qcow2_set_meta(struct qcow2 *q, u64 cluster, bool meta);
int qcow2_ref_get(struct qcow2 *q, u64 cluster, u64 *count);
int qcow2_ref_change(struct qcow2 *q, u64 cluster, bool up);
int qcow2_alloc(struct qcow2 *q, u64 *offset);
/* Give up one use of the cluster at `offset`, at the next flush. */
int qcow2_free(struct qcow2 *q, u64 offset);
int qcow2_corrupt(struct qcow2 *q, const char *what); /* -EIO */

/* --- block_qcow2_table.c: tables in memory --- */

/* The table at `offset`, read unless it is `fresh` (then zero and dirty). Good until the next call on the cache. */
int qcow2_cache_get(struct qcow2 *q, struct qcow2_cache *cache, u64 offset, bool fresh,
                    struct qcow2_table **table);
int qcow2_cache_write(struct qcow2 *q, struct qcow2_cache *cache);
void qcow2_cache_fini(struct qcow2_cache *cache);
void qcow2_array_set(struct qcow2_array *array, u32 index, u64 value);
int qcow2_array_write(struct qcow2 *q, struct qcow2_array *array);
int qcow2_flush(struct qcow2 *q);

/* The L2 table of the guest's `offset` (NULL: there is none), and the index in it. For writing, one of our own. */
int qcow2_l2(struct qcow2 *q, u64 offset, bool write, struct qcow2_table **table, u32 *index);

/* --- block_qcow2_data.c: requests; the mutex is held --- */

int qcow2_read(struct qcow2 *q, u64 offset, struct block_span span, u64 size);
int qcow2_write(struct qcow2 *q, u64 offset, struct block_span span, u64 size);
int qcow2_discard(struct qcow2 *q, u64 offset, u64 size);
int qcow2_zero(struct qcow2 *q, u64 offset, u64 size, bool may_unmap);
