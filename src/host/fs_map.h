/* SPDX-License-Identifier: MIT */
/* Owners and modes in extended attributes (security_model=mapped-xattr), in QEMU's format. For fs*.c. */
#pragma once

#include <stdio.h>
#include <sys/stat.h>

#include "base/types.h"

#define FS_MAP_PREFIX "user.virtfs."
#define FS_PROC_SIZE  32

/* Bits of fs_map_store's `what`. */
#define FS_MAP_UID    1u
#define FS_MAP_GID    2u
#define FS_MAP_MODE   4u
#define FS_MAP_RDEV   8u

/* The name by which an O_PATH descriptor is reached where only a path will do. */
static inline const char *fs_proc(int fd, char path[FS_PROC_SIZE])
{
    snprintf(path, FS_PROC_SIZE, "/proc/self/fd/%d", fd);
    return path;
}

/* Put what is written down over the host's attributes. */
void fs_map_load(int fd, struct stat *attr);

/* Write down the parts of `attr` that `what` names: 0 or -errno. */
int fs_map_store(int fd, unsigned what, const struct stat *attr);
