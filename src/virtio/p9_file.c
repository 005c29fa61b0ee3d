/* SPDX-License-Identifier: MIT */
/* 9P2000.L: what is asked of one file: attributes, bytes, extended attributes, locks. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "virtio/p9_work.h"

#define P9_READ_HEADER   11u /* of Rread: header, count */
#define P9_WRITE_HEADER  23u /* of Twrite: header, fid, offset, count */
#define P9_GETATTR_BASIC UINT64_C(0x7FF)
#define P9_LOCK_SUCCESS  0
#define P9_LOCK_UNLOCKED 2

enum {
    P9_ATTR_MODE = 0x1,
    P9_ATTR_UID = 0x2,
    P9_ATTR_GID = 0x4,
    P9_ATTR_SIZE = 0x8,
    P9_ATTR_ATIME = 0x10,
    P9_ATTR_MTIME = 0x20,
    P9_ATTR_ATIME_SET = 0x80,
    P9_ATTR_MTIME_SET = 0x100,
};

/* ---- Attributes ---- */

static int p9_statfs(struct p9_work *k)
{
    struct statfs s;
    int r = fs_statfs(k->server->fs, k->fid->path_fd, &s);

    if (r)
        return r;
    p9_put32(&k->w, (u32)s.f_type);
    p9_put32(&k->w, (u32)s.f_bsize);
    p9_put64(&k->w, s.f_blocks);
    p9_put64(&k->w, s.f_bfree);
    p9_put64(&k->w, s.f_bavail);
    p9_put64(&k->w, s.f_files);
    p9_put64(&k->w, s.f_ffree);
    p9_put64(&k->w, (u32)s.f_fsid.__val[0] | (u64)(u32)s.f_fsid.__val[1] << 32);
    p9_put32(&k->w, NAME_MAX);
    return 0;
}

static void p9_put_time(struct p9_work *k, const struct timespec *time)
{
    p9_put64(&k->w, (u64)time->tv_sec);
    p9_put64(&k->w, (u64)time->tv_nsec);
}

static int p9_getattr(struct p9_work *k)
{
    struct stat attr;
    int r = fs_getattr(k->server->fs, k->fid->path_fd, &attr);

    if (r)
        return r;
    p9_put64(&k->w, P9_GETATTR_BASIC);
    p9_put_qid_of(k, &attr);
    p9_put32(&k->w, attr.st_mode);
    p9_put32(&k->w, attr.st_uid);
    p9_put32(&k->w, attr.st_gid);
    p9_put64(&k->w, attr.st_nlink);
    p9_put64(&k->w, attr.st_rdev);
    p9_put64(&k->w, (u64)attr.st_size);
    p9_put64(&k->w, (u64)attr.st_blksize);
    p9_put64(&k->w, (u64)attr.st_blocks);
    p9_put_time(k, &attr.st_atim);
    p9_put_time(k, &attr.st_mtim);
    p9_put_time(k, &attr.st_ctim);
    for (unsigned i = 0; i < 4; i++) /* time of birth, generation, data version: not told */
        p9_put64(&k->w, 0);
    return 0;
}

struct p9_setattr {
    u32 valid, mode, uid, gid;
    u64 size;
    struct timespec times[2]; /* access, modification */
};

static struct timespec p9_get_time(struct p9_work *k, bool wanted, bool given)
{
    u64 s = p9_get64(&k->r), ns = p9_get64(&k->r);

    if (!wanted)
        return (struct timespec){ 0, UTIME_OMIT };
    return given ? (struct timespec){ (time_t)s, (long)ns } : (struct timespec){ 0, UTIME_NOW };
}

static int p9_change(const struct fs *fs, int fd, const struct p9_setattr *a)
{
    u32 uid = a->valid & P9_ATTR_UID ? a->uid : UINT32_MAX;
    u32 gid = a->valid & P9_ATTR_GID ? a->gid : UINT32_MAX;
    int r = 0;

    if (a->valid & (P9_ATTR_UID | P9_ATTR_GID))
        r = fs_chown(fs, fd, uid, gid); /* first: it takes set-user-ID away */
    if (!r && (a->valid & P9_ATTR_MODE))
        r = fs_chmod(fs, fd, a->mode);
    if (!r && (a->valid & P9_ATTR_SIZE))
        r = fs_truncate(fs, fd, a->size);
    if (!r && (a->valid & (P9_ATTR_ATIME | P9_ATTR_MTIME)))
        r = fs_utimens(fs, fd, a->times);
    return r;
}

static int p9_setattr(struct p9_work *k)
{
    struct p9_setattr a = { .valid = p9_get32(&k->r) };

    a.mode = p9_get32(&k->r);
    a.uid = p9_get32(&k->r);
    a.gid = p9_get32(&k->r);
    a.size = p9_get64(&k->r);
    a.times[0] = p9_get_time(k, a.valid & P9_ATTR_ATIME, a.valid & P9_ATTR_ATIME_SET);
    a.times[1] = p9_get_time(k, a.valid & P9_ATTR_MTIME, a.valid & P9_ATTR_MTIME_SET);
    return k->r.bad ? -EINVAL : p9_change(k->server->fs, k->fid->path_fd, &a);
}

static int p9_readlink(struct p9_work *k)
{
    char target[P9_PATH_SIZE];
    int n = fs_readlink(k->server->fs, k->fid->path_fd, target, sizeof(target));

    if (n < 0)
        return n;
    p9_put_text(&k->w, target, (size_t)n);
    return 0;
}

/* ---- Bytes ---- */

static int p9_open(struct p9_work *k)
{
    int flags = p9_open_flags(p9_get32(&k->r)) & ~O_EXCL, fd, r;
    struct stat status;

    if (k->r.bad)
        return -EINVAL;
    if (fs_is_readonly(k->server->fs) && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)))
        return -EROFS;
    r = p9_put_qid(k, k->fid->path_fd);
    if (r)
        return r;
    p9_put32(&k->w, 0);
    fd = fs_open_fd(k->server->fs, k->fid->path_fd, flags);
    if (fd < 0)
        return fd;
    k->fid->is_folder = !fstat(fd, &status) && S_ISDIR(status.st_mode);
    return p9_fid_open(k->fid, fd);
}

/* The `size` bytes from `skip` on of some parts, in call->parts: their number. */
static int p9_slice(struct p9_call *call, const struct iovec *from, unsigned count, u64 skip,
                    u64 size)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count && size && n < IOV_MAX; i++) {
        u64 begin = MIN(skip, from[i].iov_len), use = MIN(from[i].iov_len - begin, size);

        skip -= begin;
        size -= use;
        if (use)
            call->parts[n++] = (struct iovec){ (char *)from[i].iov_base + begin, use };
    }
    return (int)n;
}

static ssize_t p9_read_xattr(struct p9_work *k, u64 offset, u32 count, int parts)
{
    const struct p9_xattr *xattr = k->fid->xattr;
    u64 at = MIN(offset, xattr->size);
    ssize_t done = 0;

    count = (u32)MIN(count, xattr->size - at);
    for (int i = 0; i < parts && count; i++) {
        u32 n = (u32)MIN(count, k->call->parts[i].iov_len);

        memcpy(k->call->parts[i].iov_base, xattr->value + at, n);
        at += n;
        count -= n;
        done += n;
    }
    return done;
}

static int p9_read(struct p9_work *k)
{
    struct p9_call *call = k->call;
    u64 offset = p9_get64(&k->r), room = MIN(call->in_size, atomic_load(&k->server->msize));
    u32 count = p9_get32(&k->r);
    int parts, fd = atomic_load(&k->fid->io_fd);
    ssize_t n;

    if (k->r.bad || offset > INT64_MAX)
        return -EINVAL;
    if (k->fid->xattr ? k->fid->xattr->to_host : fd < 0)
        return -EBADF;
    count = (u32)MIN(count, room - P9_READ_HEADER);
    parts = p9_slice(call, call->in, call->in_count, P9_READ_HEADER, count);
    n = k->fid->xattr ? p9_read_xattr(k, offset, count, parts)
                      : preadv(fd, call->parts, parts, (off_t)offset);
    if (n < 0)
        return -errno;
    call->data_size = (u32)n;
    p9_put32(&k->w, (u32)n);
    return 0;
}

/* All of a value comes in order, in one or more writes. */
static ssize_t p9_write_xattr(struct p9_work *k, u64 offset, u32 count, int parts)
{
    struct p9_xattr *xattr = k->fid->xattr;
    ssize_t done = 0;

    pthread_mutex_lock(&k->fid->at);
    if (!xattr->to_host || offset != xattr->written || count > xattr->size - xattr->written)
        done = -1;
    for (int i = 0; i < parts && done >= 0; i++) {
        memcpy(xattr->value + xattr->written, k->call->parts[i].iov_base,
               k->call->parts[i].iov_len);
        xattr->written += (u32)k->call->parts[i].iov_len;
        done += (ssize_t)k->call->parts[i].iov_len;
    }
    pthread_mutex_unlock(&k->fid->at);
    errno = EINVAL;
    return done;
}

static int p9_write(struct p9_work *k)
{
    struct p9_call *call = k->call;
    u64 offset = p9_get64(&k->r), size = load_le32(call->message);
    u32 count = p9_get32(&k->r);
    int parts, fd = atomic_load(&k->fid->io_fd);
    ssize_t n;

    if (k->r.bad || offset > INT64_MAX || count > size - P9_WRITE_HEADER)
        return -EINVAL;
    if (!k->fid->xattr && fd < 0)
        return -EBADF;
    parts = p9_slice(call, call->out, call->out_count, P9_WRITE_HEADER, count);
    n = k->fid->xattr ? p9_write_xattr(k, offset, count, parts)
                      : pwritev(fd, call->parts, parts, (off_t)offset);
    if (n < 0)
        return -errno;
    p9_put32(&k->w, (u32)n);
    return 0;
}

static int p9_fsync(struct p9_work *k)
{
    int fd = atomic_load(&k->fid->io_fd);
    bool data_only = k->r.at < k->r.end && p9_get32(&k->r);

    if (fd < 0)
        return -EBADF;
    return (data_only ? fdatasync(fd) : fsync(fd)) ? -errno : 0;
}

/* ---- Locks: Linux keeps them among its own processes, and nobody else is asked ---- */

static int p9_lock(struct p9_work *k)
{
    if (atomic_load(&k->fid->io_fd) < 0)
        return -EBADF;
    p9_put(&k->w, P9_LOCK_SUCCESS, 1);
    return 0;
}

static int p9_getlock(struct p9_work *k)
{
    char client[P9_NAME_SIZE];
    u64 start, length;
    u32 process;

    p9_get(&k->r, 1);
    start = p9_get64(&k->r);
    length = p9_get64(&k->r);
    process = p9_get32(&k->r);
    p9_get_text(&k->r, client, sizeof(client));
    if (k->r.bad || atomic_load(&k->fid->io_fd) < 0)
        return k->r.bad ? -EINVAL : -EBADF;
    p9_put(&k->w, P9_LOCK_UNLOCKED, 1);
    p9_put64(&k->w, start);
    p9_put64(&k->w, length);
    p9_put32(&k->w, process);
    p9_put_text(&k->w, client, strlen(client));
    return 0;
}

/* ---- Extended attributes ---- */

/* A value, or without a name the list of names; its size when `value` is NULL. */
static int p9_fetch_xattr(const struct p9_work *k, const char *name, void *value, u32 size)
{
    if (name[0])
        return fs_getxattr(k->server->fs, k->fid->path_fd, name, value, size);
    return size ? fs_listxattr(k->server->fs, k->fid->path_fd, value, size) : (int)FS_XATTR_MAX;
}

/* The new fid reads the value. */
static int p9_xattrwalk(struct p9_work *k)
{
    u32 number = p9_get32(&k->r);
    struct p9_fid fid = p9_fid_like(number, k->fid->uid, -1);
    char name[P9_NAME_SIZE];
    int n;

    p9_get_text(&k->r, name, sizeof(name));
    if (k->r.bad)
        return -EINVAL;
    n = p9_fetch_xattr(k, name, NULL, 0);
    if (n < 0)
        return n;
    fid.xattr = p9_xattr_new(&k->server->fids, (u32)n);
    if (!fid.xattr)
        return -ENOMEM;
    n = n ? p9_fetch_xattr(k, name, fid.xattr->value, (u32)n) : 0;
    if (n < 0) {
        p9_xattr_free(&k->server->fids, fid.xattr);
        return n;
    }
    fid.xattr->size = (u32)n;
    p9_put64(&k->w, (u64)n);
    return p9_fid_add(&k->server->fids, &fid, NULL);
}

/* From now on the fid takes a value, which is set when it is clunked. */
static int p9_xattrcreate(struct p9_work *k)
{
    struct p9_fid fid = p9_fid_like(k->fid->number, k->fid->uid, -1);
    char name[P9_NAME_SIZE];
    u64 size;
    u32 flags;

    p9_get_text(&k->r, name, sizeof(name));
    size = p9_get64(&k->r);
    flags = p9_get32(&k->r);
    if (k->r.bad || !name[0] || (flags & ~3u))
        return -EINVAL;
    if (size > FS_XATTR_MAX)
        return -E2BIG;
    fid.xattr = p9_xattr_new(&k->server->fids, (u32)size);
    if (!fid.xattr)
        return -ENOMEM;
    snprintf(fid.xattr->name, sizeof(fid.xattr->name), "%s", name);
    fid.xattr->flags = (int)flags;
    fid.xattr->to_host = true;
    fid.path_fd = fcntl(k->fid->path_fd, F_DUPFD_CLOEXEC, 0);
    if (fid.path_fd < 0) {
        p9_xattr_free(&k->server->fids, fid.xattr);
        return -EMFILE;
    }
    return p9_fid_add(&k->server->fids, &fid, k->fid);
}

const struct p9_op p9_file_ops[] = {
    { 8, P9_FIRST_PATH, false, p9_statfs },      { 12, P9_FIRST_PATH, false, p9_open },
    { 22, P9_FIRST_PATH, false, p9_readlink },   { 24, P9_FIRST_PATH, false, p9_getattr },
    { 26, P9_FIRST_PATH, true, p9_setattr },     { 30, P9_FIRST_PATH, false, p9_xattrwalk },
    { 32, P9_FIRST_PATH, true, p9_xattrcreate }, { 50, P9_FIRST_FID, false, p9_fsync },
    { 52, P9_FIRST_FID, false, p9_lock },        { 54, P9_FIRST_FID, false, p9_getlock },
    { 116, P9_FIRST_FID, false, p9_read },       { 118, P9_FIRST_FID, true, p9_write },
    { 0, P9_FIRST_NONE, false, NULL },
};
