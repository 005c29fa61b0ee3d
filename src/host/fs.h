/* SPDX-License-Identifier: MIT */
/*
 * A folder of the host that a guest may use, and nothing beyond it.
 *
 * What the guest refers to is held as an O_PATH descriptor, which pins the object itself: no path is ever resolved
 * twice. Names are single components; they are looked up by openat2 with RESOLVE_BENEATH, without following symbolic
 * links (the guest resolves those by itself). All functions may block and may be called from any thread. They return
 * 0 or what they say, or -errno.
 */
#pragma once

#include <limits.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/error.h"
#include "base/types.h"

#define FS_XATTR_MAX 65536u /* bytes of a value, and of a list of names */

/* Whose files these are, and where that is written down. */
enum fs_security {
    FS_PASSTHROUGH, /* the guest's owners and modes are the host's */
    FS_NONE,        /* the same as far as the host lets us */
    FS_MAPPED,      /* in extended attributes user.virtfs.*, as QEMU writes them */
};

struct fs_config {
    char *id;
    char *text; /* "-fsdev local,...": the option that made it, for messages */
    char *path;
    enum fs_security security;
    bool readonly;
    u32 fmode, dmode; /* mapped: what files and folders have on the host */
};

/* Who makes something: its owner, and its mode with or without type bits. */
struct fs_owner {
    u32 uid, gid, mode;
};

struct fs;

struct fs *fs_open(const struct fs_config *config, struct error *err);
void fs_close(struct fs *fs); /* NULL is allowed */
bool fs_is_readonly(const struct fs *fs);
bool fs_is_mapped(const struct fs *fs); /* files may stand for something else */

/* Is this a name that may be looked up: one component, not empty, not "." or ".."? */
bool fs_name_ok(const char *name);

/*
 * Descriptors with O_PATH, the caller's to close: the folder itself; `name` in `dir`; and what `fd` is in (the folder
 * itself is in itself), with its name there if `name` is not NULL.
 */
int fs_root(const struct fs *fs);
int fs_walk(const struct fs *fs, int dir, const char *name);
int fs_parent(const struct fs *fs, int fd, char name[NAME_MAX + 1]);

/* Attributes as the guest should see them. The device number tells whether an object is in the same file system. */
int fs_getattr(const struct fs *fs, int fd, struct stat *attr);
int fs_chmod(const struct fs *fs, int fd, u32 mode);
int fs_chown(const struct fs *fs, int fd, u32 uid, u32 gid); /* UINT32_MAX: as it is */
int fs_truncate(const struct fs *fs, int fd, u64 size);
int fs_utimens(const struct fs *fs, int fd, const struct timespec times[2]);
int fs_statfs(const struct fs *fs, int fd, struct statfs *info);

/* A descriptor for I/O. Only regular files and folders are opened. `flags`: access mode, O_TRUNC, O_APPEND, O_SYNC */
int fs_open_fd(const struct fs *fs, int fd, int flags);

/* Make a file, or with O_EXCL not in `flags` open it: the descriptor for I/O, and another with O_PATH. */
int fs_create(const struct fs *fs, int dir, const char *name, int flags,
              const struct fs_owner *owner, int *path_fd);
int fs_mkdir(const struct fs *fs, int dir, const char *name, const struct fs_owner *owner);
int fs_mknod(const struct fs *fs, int dir, const char *name, const struct fs_owner *owner,
             dev_t rdev);
int fs_symlink(const struct fs *fs, int dir, const char *name, const struct fs_owner *owner,
               const char *target);
int fs_readlink(const struct fs *fs, int fd, char *target, size_t size); /* its length */
int fs_link(const struct fs *fs, int fd, int dir, const char *name);
int fs_rename(const struct fs *fs, int from, const char *old, int to, const char *new);
int fs_unlink(const struct fs *fs, int dir, const char *name, bool folder);

/* Extended attributes; sizes as of getxattr(2). An attribute of size 0 is removed. */
int fs_getxattr(const struct fs *fs, int fd, const char *name, void *value, size_t size);
int fs_listxattr(const struct fs *fs, int fd, char *names, size_t size);
int fs_setxattr(const struct fs *fs, int fd, const char *name, const void *value, size_t size,
                int flags);
