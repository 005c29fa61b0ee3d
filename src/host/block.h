/* SPDX-License-Identifier: MIT */
/*
 * Block backends: disk images and devices, asynchronous.
 *
 * `done` is called always on the loop thread, never from inside block_submit, exactly once for each request, also
 * when the backend is closed. Requests may complete in any order. Flush covers what was completed before it was
 * submitted.
 */
#pragma once

#include <sys/uio.h>

#include "base/error.h"
#include "base/types.h"
#include "host/pool.h"

struct block;
struct loop;

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES };

struct block_req {
    enum block_op op;
    u64 offset; /* bytes, a multiple of 512 */
    u64 size;   /* bytes, a multiple of 512; of iov for reads and writes */
    const struct iovec *iov;
    unsigned iov_count;
    bool may_unmap; /* WRITE_ZEROES */
    int result;     /* 0 or -errno, valid in done */
    void (*done)(struct block_req *req);
    void *arg;

    struct block *block; /* from here on the backend's own, from submit to done */
    struct pool_job job;
    struct block_req *next;
};

enum block_cache_mode {
    BLOCK_CACHE_WRITEBACK,
    BLOCK_CACHE_NONE,
    BLOCK_CACHE_WRITETHROUGH,
    BLOCK_CACHE_DIRECTSYNC,
    BLOCK_CACHE_UNSAFE
};
enum block_aio { BLOCK_AIO_DEFAULT, BLOCK_AIO_IO_URING, BLOCK_AIO_THREADS };
enum block_format { BLOCK_FORMAT_PROBE, BLOCK_FORMAT_RAW, BLOCK_FORMAT_QCOW2 };
enum block_detect_zeroes { BLOCK_ZEROES_OFF, BLOCK_ZEROES_ON, BLOCK_ZEROES_UNMAP };

/* Throttling: averages per second and bursts, 0 = no limit (names as QEMU's throttling.*). */
struct block_throttle {
    u64 iops_total, iops_read, iops_write;
    u64 bps_total, bps_read, bps_write;
    u64 iops_total_max, iops_read_max, iops_write_max;
    u64 bps_total_max, bps_read_max, bps_write_max;
};

struct block_config {
    char *id;
    char *file;
    char *text;   /* "-drive file=x": the option that made it, for messages */
    char *serial; /* for the device that uses it; may be NULL */
    char *node;   /* the command line's: file=NODE, until it is known what that is */
    enum block_format format;
    bool readonly, snapshot, discard, locking_off;
    enum block_cache_mode cache;
    enum block_aio aio;
    enum block_detect_zeroes detect_zeroes;
    struct block_throttle throttle;
};

/* Open `config->file`. NULL and `err` when it cannot be had. On the loop thread, as the next two. */
struct block *block_open(const struct block_config *config, struct loop *loop, struct error *err);

/* Take a request; what is wrong with it (range, read-only) comes back as its result. */
void block_submit(struct block *block, struct block_req *req);
void block_close(
    struct block *block); /* completes or cancels what is in flight, flushes; NULL is allowed */

/*
 * Any thread: wait until no request touches its buffers any more (those that had not begun are cancelled, with
 * -ECANCELED). `done` still comes, later and on the loop thread, for each. No submit may run at the same time.
 */
void block_quiesce(struct block *block);

u64 block_size(const struct block *block); /* bytes, a multiple of 512 */
bool block_is_readonly(const struct block *block);
bool block_is_writeback(const struct block *block); /* a volatile cache that FLUSH empties */
bool block_can_discard(const struct block *block);
