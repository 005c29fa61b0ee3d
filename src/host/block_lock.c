/* SPDX-License-Identifier: MIT */
/*
 * Image locks. Each right has a byte at 100 + n, locked by who uses it, and one at 200 + n, locked by who denies it to
 * others; all locks are shared ones, and "is it locked?" is asked by testing for an exclusive one. The same bytes as
 * QEMU, so that both respect each other. The locks go with the open file description.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/bits.h"
#include "host/block_file.h"

#define BLOCK_LOCK_USED   100
#define BLOCK_LOCK_DENIED 200

struct block_right {
    const char *name;
    bool reader, writer; /* used by */
    bool denied; /* to others, by readers and writers alike: no image changes under its user */
};

static const struct block_right block_rights[] = {
    { "consistent read", true, true, false },
    { "write", false, true, true },
    { "write unchanged", false, false, false },
    { "resize", false, true, true },
};

static int block_lock_byte(int fd, off_t byte)
{
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* Does somebody else hold a lock on `byte`? */
static int block_lock_test(int fd, off_t byte)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        return -errno;
    return lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

static bool block_lock_refuse(int r, const char *what, const char *right, const char *name,
                              struct error *err)
{
    if (r != -EAGAIN && r != -EACCES)
        return error_set_errno(err, -r, "Failed to lock byte for %s\"%s\" in '%.200s'", what, right,
                               name);
    return error_set(err,
                     "Failed to get %s\"%s\" lock\nIs another process using the image [%.200s]?",
                     what, right, name);
}

/* A file system without such locks (EINVAL, ENOLCK, EOPNOTSUPP) has images unlocked. */
static bool block_lock_is_absent(int r)
{
    return r == -EINVAL || r == -ENOLCK || r == -EOPNOTSUPP || r == -ENOSYS;
}

bool block_lock(int fd, bool write, const char *name, struct error *err)
{
    for (unsigned i = 0; i < ARRAY_SIZE(block_rights); i++) {
        const struct block_right *right = &block_rights[i];
        bool used = write ? right->writer : right->reader;
        int r = used ? block_lock_byte(fd, BLOCK_LOCK_USED + (off_t)i) : 0;

        if (!r && right->denied)
            r = block_lock_byte(fd, BLOCK_LOCK_DENIED + (off_t)i);
        if (block_lock_is_absent(r))
            return true;
        if (r)
            return block_lock_refuse(r, "", right->name, name, err);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(block_rights); i++) {
        const struct block_right *right = &block_rights[i];
        int r = (write ? right->writer : right->reader)
                    ? block_lock_test(fd, BLOCK_LOCK_DENIED + (off_t)i)
                    : 0;

        /* Our own denial is no obstacle: a test never meets the locks of its own description. */
        if (r)
            return block_lock_refuse(r, "", right->name, name, err);
        r = right->denied ? block_lock_test(fd, BLOCK_LOCK_USED + (off_t)i) : 0;
        if (r)
            return block_lock_refuse(r, "shared ", right->name, name, err);
    }
    return true;
}

void block_unlock(int fd)
{
    struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

    fcntl(fd, F_OFD_SETLK, &lock);
}
