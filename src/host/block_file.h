/* SPDX-License-Identifier: MIT */
/*
 * The file or host block device beneath an image: blocking calls of any offset and size, from any thread.
 *
 * All return 0 or -errno and are complete when they return 0: short transfers and EINTR are dealt with here. What is
 * read beyond the end of the file is zero.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/types.h"
#include "host/block.h"
#include "host/block_span.h"

struct block_file {
    int fd;
    char *name; /* as the user wrote it */
    bool readonly;
    bool device;           /* a host block device: its size is fixed */
    bool direct;           /* O_DIRECT: transfers are aligned to `align` */
    bool sync;             /* each write is on the medium when it returns */
    bool no_flush;         /* cache=unsafe */
    bool lockable;         /* take image locks */
    u32 align;             /* bytes; 1 without O_DIRECT */
    u64 size;              /* at open, bytes */
    u64 device_size;       /* of a device: 0 for files */
    u64 solid;             /* a file that ends before this was cut off since it was opened: EIO */
    atomic_bool cut;       /* that was told */
    u8 *bounce;            /* for transfers that are not aligned */
    pthread_mutex_t mutex; /* protects `bounce` and read-modify-write */
};

/* Open what `config` names and lock it. */
bool block_file_open(struct block_file *file, const struct block_config *config, const char *name,
                     bool readonly, struct error *err) __attribute__((warn_unused_result));

/* An unlinked file for what need not outlive the process. */
bool block_file_temporary(struct block_file *file, struct error *err)
    __attribute__((warn_unused_result));
void block_file_close(struct block_file *file); /* a zeroed struct with fd -1 is allowed */

int block_file_readv(struct block_file *file, u64 offset, struct block_span span, u64 size);
int block_file_writev(struct block_file *file, u64 offset, struct block_span span, u64 size);
int block_file_read(struct block_file *file, u64 offset, void *data, u64 size);
int block_file_write(struct block_file *file, u64 offset, const void *data, u64 size);
int block_file_flush(struct block_file *file);

/* Give the space back if the host can (what is read afterwards is unspecified); -EOPNOTSUPP is not an error. */
int block_file_discard(struct block_file *file, u64 offset, u64 size);
int block_file_zero(struct block_file *file, u64 offset, u64 size, bool may_unmap);

/* Could `span` be handed to the host as it is? */
bool block_file_is_aligned(const struct block_file *file, u64 offset, struct block_span span,
                           u64 size);

/*
 * The bytes that QEMU locks (open file description locks, shared, one byte for each right held and each right denied to
 * others), so that it and other mote processes keep off an image that is written.
 */
bool block_lock(int fd, bool write, const char *name, struct error *err)
    __attribute__((warn_unused_result));

/* Gives back all locks of the description; without effect on a file that has none. */
void block_unlock(int fd);
