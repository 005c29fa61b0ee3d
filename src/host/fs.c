/* SPDX-License-Identifier: MIT */
/* A shared folder: finding things in it, and their attributes. What makes and removes them is in fs_make.c. */
#include "host/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "host/fs_local.h"
#include "host/fs_map.h"

#define FS_RESOLVE     (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)
#define FS_DESCRIPTORS 65536u /* that we would like to have: a guest holds many files */

/* ---- Opening ---- */

static int fs_openat2(int dir, const char *path)
{
    struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = FS_RESOLVE };
    long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

/* What the host must have: openat2 (Linux 5.6), /proc, and for mapped owners extended attributes. */
static bool fs_probe(const struct fs *fs, const struct fs_config *config, struct error *err)
{
    char path[FS_PROC_SIZE], value[4];
    struct stat status;
    int fd = fs_openat2(fs->root, ".");

    if (fd < 0)
        return error_set_errno(err, -fd, "the host cannot look up names safely (openat2)");
    close(fd);
    if (stat(fs_proc(fs->root, path), &status))
        return error_set_errno(err, errno, "the host shows no open files at %s", path);
    if (config->security == FS_MAPPED &&
        getxattr(path, FS_MAP_PREFIX "uid", value, sizeof(value)) < 0 && errno == ENOTSUP)
        return error_set(err,
                         "the file system of '%s' has no extended attributes, which "
                         "security_model=mapped-xattr needs; security_model=none does without",
                         config->path);
    return true;
}

/* Each file that the guest knows is a descriptor here. */
static void fs_raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= FS_DESCRIPTORS)
        return;
    limit.rlim_cur = MIN(limit.rlim_max, FS_DESCRIPTORS);
    setrlimit(RLIMIT_NOFILE, &limit);
}

struct fs *fs_open(const struct fs_config *config, struct error *err)
{
    struct fs *fs = xcalloc(1, sizeof(*fs));
    struct stat status;

    fs->security = config->security;
    fs->readonly = config->readonly;
    fs->fmode = config->fmode;
    fs->dmode = config->dmode;
    fs->root = open(config->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fs->root < 0 || fstat(fs->root, &status)) {
        error_set_errno(err, errno, "cannot open the folder '%s'", config->path);
    } else if (fs_probe(fs, config, err)) {
        fs->root_dev = status.st_dev;
        fs->root_ino = status.st_ino;
        fs_raise_limit();
        return fs;
    }
    fs_close(fs);
    return NULL;
}

void fs_close(struct fs *fs)
{
    if (!fs)
        return;
    if (fs->root >= 0)
        close(fs->root);
    free(fs);
}

bool fs_is_readonly(const struct fs *fs)
{
    return fs->readonly;
}

bool fs_is_mapped(const struct fs *fs)
{
    return fs->security == FS_MAPPED;
}

/* ---- Finding ---- */

bool fs_name_ok(const char *name)
{
    return name[0] && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..") &&
           strlen(name) <= NAME_MAX;
}

int fs_root(const struct fs *fs)
{
    int fd = fcntl(fs->root, F_DUPFD_CLOEXEC, 0);

    return fd < 0 ? -errno : fd;
}

int fs_walk(const struct fs *fs, int dir, const char *name)
{
    (void)fs;
    return fs_name_ok(name) ? fs_openat2(dir, name) : -EINVAL;
}

/* The path that the kernel knows for a descriptor. */
static int fs_path_of(int fd, char path[PATH_MAX])
{
    char proc[FS_PROC_SIZE];
    ssize_t n = readlink(fs_proc(fd, proc), path, PATH_MAX - 1);

    if (n < 0)
        return -errno;
    path[n] = 0;
    return (int)n;
}

static bool fs_is_same(int dir, const char *name, const struct stat *wanted)
{
    struct stat status;

    return !fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) && status.st_ino == wanted->st_ino &&
           status.st_dev == wanted->st_dev;
}

/*
 * The kernel's path may be of yesterday, or outside of the folder: it is only a hint. What counts is that the way is
 * found beneath the folder, and ends at the same object.
 */
int fs_parent(const struct fs *fs, int fd, char name[NAME_MAX + 1])
{
    char path[PATH_MAX], root[PATH_MAX], *last, *relative;
    struct stat status;
    int length = fs_path_of(fs->root, root), parent;

    if (fstat(fd, &status))
        return -errno;
    if (status.st_dev == fs->root_dev && status.st_ino == fs->root_ino)
        return name ? -EBUSY : fs_root(fs);
    if (length < 0 || fs_path_of(fd, path) < 0)
        return -ENOENT;
    length = strcmp(root, "/") ? length : 0;
    if (strncmp(path, root, (size_t)length) || path[length] != '/')
        return -ENOENT;
    relative = path + length + 1;
    last = strrchr(path, '/');
    *last = 0;
    parent = last < relative ? fs_root(fs) : fs_openat2(fs->root, relative);
    if (parent < 0)
        return parent;
    if (!fs_name_ok(last + 1) || !fs_is_same(parent, last + 1, &status)) {
        close(parent);
        return -ENOENT;
    }
    if (name)
        snprintf(name, NAME_MAX + 1, "%s", last + 1);
    return parent;
}

/* ---- Attributes ---- */

int fs_getattr(const struct fs *fs, int fd, struct stat *attr)
{
    if (fstat(fd, attr))
        return -errno;
    if (fs->security == FS_MAPPED)
        fs_map_load(fd, attr);
    return 0;
}

int fs_chmod(const struct fs *fs, int fd, u32 mode)
{
    char path[FS_PROC_SIZE];
    struct stat attr;
    int r = fs_getattr(fs, fd, &attr);

    if (r || S_ISLNK(attr.st_mode))
        return r ? r : -EOPNOTSUPP;
    if (fs->security == FS_MAPPED) {
        attr.st_mode = (attr.st_mode & S_IFMT) | (mode & 07777);
        return fs_map_store(fd, FS_MAP_MODE, &attr);
    }
    return chmod(fs_proc(fd, path), mode & 07777) ? -errno : 0;
}

int fs_chown(const struct fs *fs, int fd, u32 uid, u32 gid)
{
    const struct stat attr = { .st_uid = uid, .st_gid = gid };

    if (fs->security == FS_MAPPED)
        return fs_map_store(
            fd, (uid == UINT32_MAX ? 0 : FS_MAP_UID) | (gid == UINT32_MAX ? 0 : FS_MAP_GID), &attr);
    if (!fchownat(fd, "", uid, gid, AT_EMPTY_PATH))
        return 0;
    return fs->security == FS_NONE ? 0 : -errno;
}

int fs_truncate(const struct fs *fs, int fd, u64 size)
{
    char path[FS_PROC_SIZE];
    struct stat attr;
    int r = fs_getattr(fs, fd, &attr);

    if (r)
        return r;
    if (!S_ISREG(attr.st_mode))
        return S_ISDIR(attr.st_mode) ? -EISDIR : -EINVAL;
    return size > INT64_MAX ? -EFBIG : truncate(fs_proc(fd, path), (off_t)size) ? -errno : 0;
}

int fs_utimens(const struct fs *fs, int fd, const struct timespec times[2])
{
    (void)fs;
    return utimensat(fd, "", times, AT_EMPTY_PATH) ? -errno : 0;
}

int fs_statfs(const struct fs *fs, int fd, struct statfs *info)
{
    (void)fs;
    return fstatfs(fd, info) ? -errno : 0;
}

int fs_open_fd(const struct fs *fs, int fd, int flags)
{
    char path[FS_PROC_SIZE];
    struct stat attr;
    int r = fs_getattr(fs, fd, &attr);

    if (r)
        return r;
    if (!S_ISREG(attr.st_mode) && !S_ISDIR(attr.st_mode))
        return -ENXIO; /* its pipes and devices are the guest's business */
    r = open(fs_proc(fd, path), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return r < 0 ? -errno : r;
}

int fs_readlink(const struct fs *fs, int fd, char *target, size_t size)
{
    char path[FS_PROC_SIZE];
    struct stat attr;
    ssize_t n;
    int r = fs_getattr(fs, fd, &attr), file;

    if (r || !S_ISLNK(attr.st_mode))
        return r ? r : -EINVAL;
    n = readlinkat(fd, "", target, size);
    if (n >= 0 || fs->security != FS_MAPPED)
        return n < 0 ? -errno : (int)n;
    /* A mapped one is a file with the target in it. */
    if (fstat(fd, &attr) || !S_ISREG(attr.st_mode))
        return -EINVAL;
    file = open(fs_proc(fd, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    n = file < 0 ? -1 : read(file, target, size);
    r = n < 0 ? -errno : (int)n;
    if (file >= 0)
        close(file);
    return r;
}

/* ---- Extended attributes ---- */

/* With mapped owners the guest has the user attributes, less those that hold the owners. */
static bool fs_xattr_ok(const struct fs *fs, const char *name)
{
    return fs->security != FS_MAPPED ||
           (!strncmp(name, "user.", 5) && strncmp(name, FS_MAP_PREFIX, strlen(FS_MAP_PREFIX)));
}

int fs_getxattr(const struct fs *fs, int fd, const char *name, void *value, size_t size)
{
    char path[FS_PROC_SIZE];
    ssize_t n;

    if (!fs_xattr_ok(fs, name))
        return -EOPNOTSUPP;
    n = getxattr(fs_proc(fd, path), name, value, size);
    return n < 0 ? -errno : (int)n;
}

int fs_setxattr(const struct fs *fs, int fd, const char *name, const void *value, size_t size,
                int flags)
{
    char path[FS_PROC_SIZE];
    int r;

    if (!fs_xattr_ok(fs, name))
        return -EOPNOTSUPP;
    fs_proc(fd, path);
    r = size ? setxattr(path, name, value, size, flags) : removexattr(path, name);
    return r ? -errno : 0;
}

int fs_listxattr(const struct fs *fs, int fd, char *names, size_t size)
{
    char path[FS_PROC_SIZE];
    ssize_t n = listxattr(fs_proc(fd, path), names, size);
    size_t kept = 0;

    if (n < 0)
        return -errno;
    for (ssize_t at = 0, length; at < n; at += length) {
        length = (ssize_t)strlen(names + at) + 1;
        if (!fs_xattr_ok(fs, names + at))
            continue;
        memmove(names + kept, names + at, (size_t)length);
        kept += (size_t)length;
    }
    return (int)kept;
}
