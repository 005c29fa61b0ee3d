/* SPDX-License-Identifier: MIT */
/*
 * A shared folder: what makes, renames and removes things in it.
 *
 * A new thing gets its owner and mode by its descriptor. With mapped owners, symbolic links, pipes, sockets and
 * devices of the guest are plain files to the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "host/fs_local.h"
#include "host/fs_map.h"

/* The guest's view of a new thing: who owns it, and what it is. */
static int fs_own(const struct fs *fs, int fd, const struct fs_owner *owner, dev_t rdev)
{
    const struct stat attr = {
        .st_uid = owner->uid, .st_gid = owner->gid, .st_mode = owner->mode, .st_rdev = rdev
    };
    unsigned all = FS_MAP_UID | FS_MAP_GID | FS_MAP_MODE;
    int r;

    if (fs->security == FS_MAPPED)
        return fs_map_store(fd, rdev ? all | FS_MAP_RDEV : all, &attr);
    r = fs_chown(fs, fd, owner->uid, owner->gid);
    if (r || S_ISLNK(owner->mode))
        return r;
    r = fs_chmod(fs, fd, owner->mode);
    return fs->security == FS_NONE ? 0 : r;
}

/* The same by name, for what was made by name; on failure it is taken away again. */
static int fs_own_name(const struct fs *fs, int dir, const char *name, const struct fs_owner *owner,
                       dev_t rdev)
{
    int fd = fs_walk(fs, dir, name), r;

    if (fd < 0)
        return fd;
    r = fs_own(fs, fd, owner, rdev);
    close(fd);
    if (r)
        unlinkat(dir, name, S_ISDIR(owner->mode) ? AT_REMOVEDIR : 0);
    return r;
}

static struct fs_owner fs_owner_of(const struct fs_owner *owner, u32 type)
{
    struct fs_owner typed = *owner;

    typed.mode = type | (owner->mode & 07777);
    return typed;
}

/* A new plain file: its descriptor. */
static int fs_make_file(const struct fs *fs, int dir, const char *name, int flags)
{
    int fd;

    if (!fs_name_ok(name))
        return -EINVAL;
    fd = openat(dir, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                fs->security == FS_MAPPED ? fs->fmode : 0600);
    return fd < 0 ? -errno : fd;
}

/* There is one already. */
static int fs_create_open(const struct fs *fs, int dir, const char *name, int flags, int *path_fd)
{
    int fd;

    *path_fd = fs_walk(fs, dir, name);
    if (*path_fd < 0)
        return *path_fd;
    fd = fs_open_fd(fs, *path_fd, flags);
    if (fd < 0)
        close(*path_fd);
    return fd;
}

int fs_create(const struct fs *fs, int dir, const char *name, int flags,
              const struct fs_owner *owner, int *path_fd)
{
    struct fs_owner file = fs_owner_of(owner, S_IFREG);
    char path[FS_PROC_SIZE];
    int fd = fs_make_file(fs, dir, name, flags), r;

    if (fd == -EEXIST && !(flags & O_EXCL))
        return fs_create_open(fs, dir, name, flags, path_fd);
    if (fd < 0)
        return fd;
    r = fs_own(fs, fd, &file, 0);
    *path_fd = r ? -1 : open(fs_proc(fd, path), O_PATH | O_CLOEXEC);
    if (!r && *path_fd < 0)
        r = -errno;
    if (!r)
        return fd;
    unlinkat(dir, name, 0);
    close(fd);
    return r;
}

int fs_mkdir(const struct fs *fs, int dir, const char *name, const struct fs_owner *owner)
{
    struct fs_owner folder = fs_owner_of(owner, S_IFDIR);

    if (!fs_name_ok(name))
        return -EINVAL;
    if (mkdirat(dir, name, fs->security == FS_MAPPED ? fs->dmode : 0700))
        return -errno;
    return fs_own_name(fs, dir, name, &folder, 0);
}

/* Mapped: a file that holds `data`, and says of itself that it is something else. */
static int fs_make_mapped(const struct fs *fs, int dir, const char *name,
                          const struct fs_owner *owner, dev_t rdev, const char *data)
{
    int fd = fs_make_file(fs, dir, name, O_WRONLY), r;
    size_t size = data ? strlen(data) : 0;

    if (fd < 0)
        return fd;
    r = fs_own(fs, fd, owner, rdev);
    if (!r && size && write(fd, data, size) != (ssize_t)size)
        r = -EIO;
    if (r)
        unlinkat(dir, name, 0);
    close(fd);
    return r;
}

int fs_mknod(const struct fs *fs, int dir, const char *name, const struct fs_owner *owner,
             dev_t rdev)
{
    struct fs_owner node = *owner;

    if (!fs_name_ok(name))
        return -EINVAL;
    if (!(node.mode & S_IFMT))
        node.mode |= S_IFREG;
    if (S_ISDIR(node.mode) || S_ISLNK(node.mode))
        return -EINVAL;
    if (!S_ISCHR(node.mode) && !S_ISBLK(node.mode))
        rdev = 0;
    if (fs->security == FS_MAPPED)
        return fs_make_mapped(fs, dir, name, &node, rdev, NULL);
    if (mknodat(dir, name, (node.mode & S_IFMT) | 0600, rdev))
        return -errno;
    return fs_own_name(fs, dir, name, &node, rdev);
}

int fs_symlink(const struct fs *fs, int dir, const char *name, const struct fs_owner *owner,
               const char *target)
{
    struct fs_owner link = { owner->uid, owner->gid, S_IFLNK | 0777 };

    if (!fs_name_ok(name))
        return -EINVAL;
    if (fs->security == FS_MAPPED)
        return fs_make_mapped(fs, dir, name, &link, 0, target);
    if (symlinkat(target, dir, name))
        return -errno;
    return fs_own_name(fs, dir, name, &link, 0);
}

/* Through /proc, as AT_EMPTY_PATH asks for a capability. */
int fs_link(const struct fs *fs, int fd, int dir, const char *name)
{
    char path[FS_PROC_SIZE];

    (void)fs;
    if (!fs_name_ok(name))
        return -EINVAL;
    return linkat(AT_FDCWD, fs_proc(fd, path), dir, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

int fs_rename(const struct fs *fs, int from, const char *old, int to, const char *new)
{
    (void)fs;
    if (!fs_name_ok(old) || !fs_name_ok(new))
        return -EINVAL;
    return renameat(from, old, to, new) ? -errno : 0;
}

int fs_unlink(const struct fs *fs, int dir, const char *name, bool folder)
{
    (void)fs;
    if (!fs_name_ok(name))
        return -EINVAL;
    return unlinkat(dir, name, folder ? AT_REMOVEDIR : 0) ? -errno : 0;
}
