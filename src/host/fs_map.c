/* SPDX-License-Identifier: MIT */
/* Owners and modes in extended attributes: user.virtfs.uid, .gid, .mode (32 bits) and .rdev (64), little-endian. */
#include "host/fs_map.h"

#include <errno.h>
#include <sys/xattr.h>

#include "base/bytes.h"

/* Its bytes as a number; `otherwise` when there are none, or not as many. */
static u64 fs_map_get(int fd, const char *name, size_t size, u64 otherwise)
{
    char path[FS_PROC_SIZE];
    u8 value[8] = { 0 };

    if (getxattr(fs_proc(fd, path), name, value, size) != (ssize_t)size)
        return otherwise;
    return load_le64(value);
}

static int fs_map_set(int fd, const char *name, size_t size, u64 number)
{
    char path[FS_PROC_SIZE];
    u8 value[8];

    store_le64(value, number);
    return setxattr(fs_proc(fd, path), name, value, size, 0) ? -errno : 0;
}

void fs_map_load(int fd, struct stat *attr)
{
    if (S_ISLNK(attr->st_mode))
        return; /* of the host's making: they have no user attributes */
    attr->st_uid = (uid_t)fs_map_get(fd, FS_MAP_PREFIX "uid", 4, attr->st_uid);
    attr->st_gid = (gid_t)fs_map_get(fd, FS_MAP_PREFIX "gid", 4, attr->st_gid);
    attr->st_mode = (mode_t)fs_map_get(fd, FS_MAP_PREFIX "mode", 4, attr->st_mode);
    attr->st_rdev = (dev_t)fs_map_get(fd, FS_MAP_PREFIX "rdev", 8, attr->st_rdev);
}

int fs_map_store(int fd, unsigned what, const struct stat *attr)
{
    int r = 0;

    if (what & FS_MAP_UID)
        r = fs_map_set(fd, FS_MAP_PREFIX "uid", 4, attr->st_uid);
    if (!r && (what & FS_MAP_GID))
        r = fs_map_set(fd, FS_MAP_PREFIX "gid", 4, attr->st_gid);
    if (!r && (what & FS_MAP_MODE))
        r = fs_map_set(fd, FS_MAP_PREFIX "mode", 4, attr->st_mode);
    if (!r && (what & FS_MAP_RDEV))
        r = fs_map_set(fd, FS_MAP_PREFIX "rdev", 8, attr->st_rdev);
    return r;
}
