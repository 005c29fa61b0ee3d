/* SPDX-License-Identifier: MIT */
/*
 * Files and host block devices by pread and pwrite: open(2), fallocate(2), ioctl_list(2).
 *
 * With O_DIRECT, offset, length and address must be multiples of the logical block size; what is not goes through a
 * bounce buffer, and writes of parts of a block become read, modify, write under the file's mutex.
 */
#include "host/block_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define BLOCK_FILE_PIECES     64u
#define BLOCK_FILE_BOUNCE     MIB(1)
#define BLOCK_FILE_ALIGN_MAX  4096u
#define BLOCK_FILE_CHUNK      MIB(1024) /* a transfer of 2 GiB and more is cut by the kernel anyway */
#define BLOCK_FILE_SIZE_LIMIT ((u64)INT64_MAX - MIB(1))

/* ---- Transfers ---- */

static bool block_file_in_range(u64 offset, u64 size)
{
    return offset <= BLOCK_FILE_SIZE_LIMIT && size <= BLOCK_FILE_SIZE_LIMIT - offset;
}

bool block_file_is_aligned(const struct block_file *file, u64 offset, struct block_span span,
                           u64 size)
{
    u64 mask = file->align - 1;

    if (!file->direct)
        return true;
    if ((offset | size) & mask)
        return false;
    while (size && span.count) {
        struct iovec piece = block_span_head(&span, size);

        if (((uintptr_t)piece.iov_base | piece.iov_len) & mask)
            return false;
        block_span_advance(&span, piece.iov_len);
        size -= piece.iov_len;
    }
    return true;
}

/* What lies behind the end of the file, at `offset`, reads as zeroes, unless there was more. */
static int block_file_read_end(struct block_file *file, u64 offset, struct block_span span,
                               u64 size)
{
    if (offset >= file->solid) {
        block_span_put(&span, NULL, size);
        return 0;
    }
    if (!atomic_exchange(&file->cut, true))
        log_error("the image '%s' is shorter than when it was opened", file->name);
    return -EIO;
}

/* Read straight into the buffers. */
static int block_file_read_plain(struct block_file *file, u64 offset, struct block_span span,
                                 u64 size)
{
    struct iovec pieces[BLOCK_FILE_PIECES];
    u64 total;

    while (size) {
        unsigned n =
            block_span_slice(span, MIN(size, BLOCK_FILE_CHUNK), pieces, BLOCK_FILE_PIECES, &total);
        ssize_t got = preadv(file->fd, pieces, (int)n, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        block_span_advance(&span, (u64)got);
        offset += (u64)got;
        size -= (u64)got;
        /* The end of the file; a part of a block is one too, and O_DIRECT could not go on from there. */
        if (got == 0 || (got & (file->align - 1)))
            return block_file_read_end(file, offset, span, size);
    }
    return 0;
}

static int block_file_write_plain(struct block_file *file, u64 offset, struct block_span span,
                                  u64 size)
{
    struct iovec pieces[BLOCK_FILE_PIECES];
    u64 total;

    while (size) {
        unsigned n =
            block_span_slice(span, MIN(size, BLOCK_FILE_CHUNK), pieces, BLOCK_FILE_PIECES, &total);
        ssize_t put = pwritev(file->fd, pieces, (int)n, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        if (put == 0) /* what writes nothing and gives no reason has no room */
            return -ENOSPC;
        block_span_advance(&span, (u64)put);
        offset += (u64)put;
        size -= (u64)put;
    }
    return 0;
}

static int block_file_bounce_io(struct block_file *file, u64 offset, u64 size, bool write)
{
    struct iovec iov = { file->bounce, size };
    struct block_span span = { &iov, 1, 0 };

    return write ? block_file_write_plain(file, offset, span, size)
                 : block_file_read_plain(file, offset, span, size);
}

/* One piece of at most a bounce buffer: [offset, offset + size) within aligned [start, end). */
static int block_file_bounce_step(struct block_file *file, u64 offset, struct block_span *span,
                                  u64 size, bool write)
{
    u64 start = align_down(offset, file->align), end = align_up(offset + size, file->align);
    bool whole = start == offset && end == offset + size;
    int r = write && whole ? 0 : block_file_bounce_io(file, start, end - start, false);

    if (r)
        return r;
    if (!write) {
        block_span_put(span, file->bounce + (offset - start), size);
        return 0;
    }
    block_span_get(span, file->bounce + (offset - start), size);
    return block_file_bounce_io(file, start, end - start, true);
}

static int block_file_bounce(struct block_file *file, u64 offset, struct block_span span, u64 size,
                             bool write)
{
    int r = 0;

    pthread_mutex_lock(&file->mutex);
    while (size && !r) {
        u64 room = BLOCK_FILE_BOUNCE - (offset & (file->align - 1));
        u64 step = MIN(size, room);

        r = block_file_bounce_step(file, offset, &span, step, write);
        offset += step;
        size -= step;
    }
    pthread_mutex_unlock(&file->mutex);
    return r;
}

int block_file_readv(struct block_file *file, u64 offset, struct block_span span, u64 size)
{
    if (!block_file_in_range(offset, size))
        return -EIO;
    if (!block_file_is_aligned(file, offset, span, size))
        return block_file_bounce(file, offset, span, size, false);
    return block_file_read_plain(file, offset, span, size);
}

int block_file_writev(struct block_file *file, u64 offset, struct block_span span, u64 size)
{
    if (file->readonly)
        return -EPERM;
    if (!block_file_in_range(offset, size))
        return -EFBIG;
    if (!block_file_is_aligned(file, offset, span, size))
        return block_file_bounce(file, offset, span, size, true);
    return block_file_write_plain(file, offset, span, size);
}

int block_file_read(struct block_file *file, u64 offset, void *data, u64 size)
{
    struct iovec iov = { data, size };

    return block_file_readv(file, offset, (struct block_span){ &iov, 1, 0 }, size);
}

int block_file_write(struct block_file *file, u64 offset, const void *data, u64 size)
{
    struct iovec iov = { (void *)(uintptr_t)data, size };

    return block_file_writev(file, offset, (struct block_span){ &iov, 1, 0 }, size);
}

int block_file_flush(struct block_file *file)
{
    if (file->no_flush || file->readonly)
        return 0;
    while (fdatasync(file->fd) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* ---- Discard and zeroes ---- */

static int block_file_fallocate(struct block_file *file, int mode, u64 offset, u64 size)
{
    while (fallocate(file->fd, mode, (off_t)offset, (off_t)size) < 0)
        if (errno != EINTR)
            return errno == ENOSYS || errno == ENOTTY ? -EOPNOTSUPP : -errno;
    return 0;
}

int block_file_discard(struct block_file *file, u64 offset, u64 size)
{
    u64 range[2] = { offset, size };

    if (file->readonly)
        return -EPERM;
    if (!block_file_in_range(offset, size))
        return -EFBIG;
    if (!file->device)
        return block_file_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
    if (ioctl(file->fd, BLKDISCARD, range) < 0)
        return errno == ENOTTY || errno == EINVAL ? -EOPNOTSUPP : -errno;
    return 0;
}

static int block_file_write_zeroes(struct block_file *file, u64 offset, u64 size)
{
    static const u8 zeroes[BLOCK_FILE_ALIGN_MAX * 16];
    int r = 0;

    while (size && !r) {
        u64 step = MIN(size, sizeof(zeroes));

        r = block_file_write(file, offset, zeroes, step);
        offset += step;
        size -= step;
    }
    return r;
}

int block_file_zero(struct block_file *file, u64 offset, u64 size, bool may_unmap)
{
    int r = -EOPNOTSUPP;

    if (file->readonly)
        return -EPERM;
    if (!block_file_in_range(offset, size))
        return -EFBIG;
    if (may_unmap)
        r = block_file_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
    if (r == -EOPNOTSUPP || r == -EINVAL)
        r = block_file_fallocate(file, FALLOC_FL_ZERO_RANGE, offset, size);
    if (r == -EOPNOTSUPP || r == -EINVAL)
        r = block_file_write_zeroes(file, offset, size);
    if (!r && file->sync)
        r = block_file_flush(file);
    return r;
}

/* ---- Opening ---- */

/* The smallest alignment that the host takes: file systems say EINVAL to what is less. */
static bool block_file_find_align(struct block_file *file, struct error *err)
{
    u32 align = 512;

    file->align = 1;
    if (!file->direct)
        return true;
    if (posix_memalign((void **)&file->bounce, BLOCK_FILE_ALIGN_MAX, BLOCK_FILE_BOUNCE))
        return error_set(err, "Could not open '%.200s': no memory", file->name);
    for (; align <= BLOCK_FILE_ALIGN_MAX; align *= 2) {
        if (pread(file->fd, file->bounce, align, 0) >= 0 || errno != EINVAL) {
            file->align = align;
            return true;
        }
    }
    return error_set(err, "Could not find working O_DIRECT alignment for '%.200s'", file->name);
}

static bool block_file_measure(struct block_file *file, struct error *err)
{
    struct stat st;

    if (fstat(file->fd, &st) < 0)
        return error_set_errno(err, errno, "Could not open '%.200s'", file->name);
    file->device = S_ISBLK(st.st_mode);
    if (!file->device && !S_ISREG(st.st_mode))
        return error_set(err, "Could not open '%.200s': it is neither a file nor a block device",
                         file->name);
    file->size = (u64)st.st_size;
    if (file->device && ioctl(file->fd, BLKGETSIZE64, &file->size) < 0)
        return error_set_errno(err, errno, "Could not get the size of '%.200s'", file->name);
    if (file->size > BLOCK_FILE_SIZE_LIMIT)
        return error_set(err, "'%.200s' is too large", file->name);
    file->device_size = file->device ? file->size : 0;
    return true;
}

static bool block_file_finish(struct block_file *file, struct error *err)
{
    /* O_NONBLOCK was against FIFOs; io_uring would take it at its word. */
    fcntl(file->fd, F_SETFL, fcntl(file->fd, F_GETFL) & ~O_NONBLOCK);
    return block_file_measure(file, err) && block_file_find_align(file, err) &&
           (!file->lockable || block_lock(file->fd, !file->readonly, file->name, err));
}

bool block_file_open(struct block_file *file, const struct block_config *config, const char *name,
                     bool readonly, struct error *err)
{
    enum block_cache_mode cache = config->cache;
    bool ok;

    *file = (struct block_file){ .fd = -1, .name = xstrdup(name), .readonly = readonly };
    pthread_mutex_init(&file->mutex, NULL);
    file->direct = cache == BLOCK_CACHE_NONE || cache == BLOCK_CACHE_DIRECTSYNC;
    file->sync = cache == BLOCK_CACHE_WRITETHROUGH || cache == BLOCK_CACHE_DIRECTSYNC;
    file->no_flush = cache == BLOCK_CACHE_UNSAFE;
    file->lockable = !config->locking_off;
    file->fd = open(name, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK |
                              (file->direct ? O_DIRECT : 0) | (file->sync ? O_DSYNC : 0));
    if (file->fd < 0)
        ok = error_set_errno(err, errno, "Could not open '%.200s'", name);
    else
        ok = block_file_finish(file, err);
    if (!ok)
        block_file_close(file);
    return ok;
}

bool block_file_temporary(struct block_file *file, struct error *err)
{
    const char *dir = getenv("TMPDIR");
    char path[4096];

    *file = (struct block_file){ .fd = -1, .name = xstrdup("temporary image"), .align = 1 };
    pthread_mutex_init(&file->mutex, NULL);
    file->no_flush = true;
    snprintf(path, sizeof(path), "%s/mote-XXXXXX", dir && dir[0] ? dir : "/var/tmp");
    file->fd = mkostemp(path, O_CLOEXEC);
    if (file->fd >= 0) {
        unlink(path);
        return true;
    }
    error_set_errno(err, errno, "Could not make a temporary image like '%.200s'", path);
    block_file_close(file);
    return false;
}

void block_file_close(struct block_file *file)
{
    if (file->fd >= 0) {
        /* An io_uring may keep the open file description, and with it the locks, for a while after close. */
        block_unlock(file->fd);
        close(file->fd);
    }
    free(file->bounce);
    if (file->name)
        pthread_mutex_destroy(&file->mutex);
    free(file->name);
    *file = (struct block_file){ .fd = -1 };
}
