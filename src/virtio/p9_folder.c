/* SPDX-License-Identifier: MIT */
/* 9P2000.L: what is asked of folders: making, naming and removing things, and listing them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bits.h"
#include "virtio/p9_work.h"

#define P9_READDIR_HEADER 11u /* of Rreaddir: header, count */
#define P9_DIRENT_SIZE    24u /* of an entry, its name aside */
#define P9_AT_REMOVEDIR   0x200u

/* ---- Making ---- */

/* Identity of a new `name`, for the answer. */
static int p9_put_new(struct p9_work *k, const char *name)
{
    int fd = fs_walk(k->server->fs, k->fid->path_fd, name), r;

    if (fd < 0)
        return fd;
    r = p9_put_qid(k, fd);
    close(fd);
    return r;
}

/* The fid of the folder becomes that of the new file, opened. */
static int p9_create(struct p9_work *k)
{
    struct p9_fid fid = p9_fid_like(k->fid->number, k->fid->uid, -1);
    struct fs_owner owner = { .uid = k->fid->uid };
    char name[P9_NAME_SIZE];
    int flags, fd, r;

    p9_get_text(&k->r, name, sizeof(name));
    flags = p9_open_flags(p9_get32(&k->r)) & ~O_DIRECTORY;
    owner.mode = p9_get32(&k->r);
    owner.gid = p9_get32(&k->r);
    if (k->r.bad)
        return -EINVAL;
    fd = fs_create(k->server->fs, k->fid->path_fd, name, flags, &owner, &fid.path_fd);
    if (fd < 0)
        return fd;
    fid.io_fd = fd;
    r = p9_put_qid(k, fid.path_fd);
    if (r) {
        close(fd);
        close(fid.path_fd);
        return r;
    }
    p9_put32(&k->w, 0);
    return p9_fid_add(&k->server->fids, &fid, k->fid);
}

static int p9_symlink(struct p9_work *k)
{
    struct fs_owner owner = { .uid = k->fid->uid };
    char name[P9_NAME_SIZE], target[P9_PATH_SIZE];
    int r;

    p9_get_text(&k->r, name, sizeof(name));
    p9_get_text(&k->r, target, sizeof(target));
    owner.gid = p9_get32(&k->r);
    if (k->r.bad || !target[0])
        return -EINVAL;
    r = fs_symlink(k->server->fs, k->fid->path_fd, name, &owner, target);
    return r ? r : p9_put_new(k, name);
}

static int p9_mknod(struct p9_work *k)
{
    struct fs_owner owner = { .uid = k->fid->uid };
    char name[P9_NAME_SIZE];
    u32 major, minor;
    int r;

    p9_get_text(&k->r, name, sizeof(name));
    owner.mode = p9_get32(&k->r);
    major = p9_get32(&k->r);
    minor = p9_get32(&k->r);
    owner.gid = p9_get32(&k->r);
    if (k->r.bad)
        return -EINVAL;
    r = fs_mknod(k->server->fs, k->fid->path_fd, name, &owner, makedev(major, minor));
    return r ? r : p9_put_new(k, name);
}

static int p9_mkdir(struct p9_work *k)
{
    struct fs_owner owner = { .uid = k->fid->uid };
    char name[P9_NAME_SIZE];
    int r;

    p9_get_text(&k->r, name, sizeof(name));
    owner.mode = p9_get32(&k->r);
    owner.gid = p9_get32(&k->r);
    if (k->r.bad)
        return -EINVAL;
    r = fs_mkdir(k->server->fs, k->fid->path_fd, name, &owner);
    return r ? r : p9_put_new(k, name);
}

/* ---- Naming and removing ---- */

static int p9_link(struct p9_work *k)
{
    char name[P9_NAME_SIZE];
    int r = p9_find_other(k);

    if (r)
        return r;
    p9_get_text(&k->r, name, sizeof(name));
    if (k->r.bad)
        return -EINVAL;
    return fs_link(k->server->fs, k->other->path_fd, k->fid->path_fd, name);
}

/* By the old fid: where it is now is the kernel's knowledge. */
static int p9_rename(struct p9_work *k)
{
    char old[NAME_MAX + 1], name[P9_NAME_SIZE];
    int r = p9_find_other(k), parent;

    if (r)
        return r;
    p9_get_text(&k->r, name, sizeof(name));
    if (k->r.bad)
        return -EINVAL;
    parent = fs_parent(k->server->fs, k->fid->path_fd, old);
    if (parent < 0)
        return parent;
    r = fs_rename(k->server->fs, parent, old, k->other->path_fd, name);
    close(parent);
    return r;
}

static int p9_renameat(struct p9_work *k)
{
    char old[P9_NAME_SIZE], name[P9_NAME_SIZE];
    int r;

    p9_get_text(&k->r, old, sizeof(old));
    r = p9_find_other(k);
    if (r)
        return r;
    p9_get_text(&k->r, name, sizeof(name));
    if (k->r.bad)
        return -EINVAL;
    return fs_rename(k->server->fs, k->fid->path_fd, old, k->other->path_fd, name);
}

static int p9_unlinkat(struct p9_work *k)
{
    char name[P9_NAME_SIZE];
    u32 flags;

    p9_get_text(&k->r, name, sizeof(name));
    flags = p9_get32(&k->r);
    if (k->r.bad || (flags & ~P9_AT_REMOVEDIR))
        return -EINVAL;
    return fs_unlink(k->server->fs, k->fid->path_fd, name, flags & P9_AT_REMOVEDIR);
}

static int p9_remove_path(const struct p9_work *k)
{
    char name[NAME_MAX + 1];
    struct stat status;
    int parent, r;

    if (fs_is_readonly(k->server->fs))
        return -EROFS;
    if (fstat(k->fid->path_fd, &status))
        return -errno;
    parent = fs_parent(k->server->fs, k->fid->path_fd, name);
    if (parent < 0)
        return parent;
    r = fs_unlink(k->server->fs, parent, name, S_ISDIR(status.st_mode));
    close(parent);
    return r;
}

/* The fid is gone afterwards, whether the file is or not. */
static int p9_remove(struct p9_work *k)
{
    int r = p9_remove_path(k);

    p9_fid_remove(&k->server->fids, k->fid);
    return r;
}

/* ---- Listing ---- */

/* As getdents64(2) gives it. */
struct p9_dirent {
    u64 ino;
    i64 offset; /* of the next one */
    u16 size;
    u8 type;
    char name[];
};

static void p9_put_dirent(struct p9_work *k, const struct p9_dirent *d, const struct stat *folder)
{
    /* What a mapped file stands for is in its attributes; looking there would cost too much. */
    bool known = d->type == DT_DIR || !fs_is_mapped(k->server->fs);

    p9_put(&k->w, d->type == DT_DIR ? 0x80 : d->type == DT_LNK ? 0x02 : 0, 1);
    p9_put32(&k->w, 0);
    p9_put64(&k->w, p9_qid_path(k->server, folder->st_dev, d->ino));
    p9_put64(&k->w, (u64)d->offset);
    p9_put(&k->w, known ? d->type : DT_UNKNOWN, 1);
    p9_put_text(&k->w, d->name, strlen(d->name));
}

/* As many of the `size` bytes of entries as go into `room` bytes; false when not even one does. */
static bool p9_put_dirents(struct p9_work *k, ssize_t size, u32 room, const struct stat *folder)
{
    const u8 *begin = k->w.at;

    for (ssize_t at = 0; at < size;) {
        const struct p9_dirent *d = (const void *)(k->call->scratch + at);

        if ((u32)(k->w.at - begin) + P9_DIRENT_SIZE + strlen(d->name) > room)
            return at > 0;
        p9_put_dirent(k, d, folder);
        at += d->size;
    }
    return true;
}

static int p9_readdir(struct p9_work *k)
{
    u64 offset = p9_get64(&k->r);
    u32 count = p9_get32(&k->r);
    int fd = atomic_load(&k->fid->io_fd);
    u64 room = MIN((u64)(k->w.end - k->w.begin), atomic_load(&k->server->msize));
    u8 *counter = k->w.at;
    struct stat folder;
    ssize_t n = -1;

    if (k->r.bad || fd < 0 || !k->fid->is_folder || room <= P9_READDIR_HEADER)
        return k->r.bad ? -EINVAL : fd < 0 ? -EBADF : -ENOTDIR;
    count = (u32)MIN(count, room - P9_READDIR_HEADER);
    pthread_mutex_lock(&k->fid->at);
    if (!fstat(fd, &folder) && lseek(fd, (off_t)offset, SEEK_SET) >= 0)
        n = syscall(SYS_getdents64, fd, k->call->scratch, sizeof(k->call->scratch));
    pthread_mutex_unlock(&k->fid->at);
    if (n < 0)
        return -errno;
    p9_put32(&k->w, 0);
    if (!p9_put_dirents(k, n, count, &folder))
        return -EINVAL;
    store_le32(counter, (u32)(k->w.at - counter) - 4);
    return 0;
}

const struct p9_op p9_folder_ops[] = {
    { 14, P9_FIRST_PATH, true, p9_create },   { 16, P9_FIRST_PATH, true, p9_symlink },
    { 18, P9_FIRST_PATH, true, p9_mknod },    { 20, P9_FIRST_PATH, true, p9_rename },
    { 40, P9_FIRST_PATH, false, p9_readdir }, { 70, P9_FIRST_PATH, true, p9_link },
    { 72, P9_FIRST_PATH, true, p9_mkdir },    { 74, P9_FIRST_PATH, true, p9_renameat },
    { 76, P9_FIRST_PATH, true, p9_unlinkat }, { 122, P9_FIRST_PATH, false, p9_remove },
    { 0, P9_FIRST_NONE, false, NULL },
};
