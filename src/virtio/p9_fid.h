/* SPDX-License-Identifier: MIT */
/*
 * The fids of a 9P session: what the guest's numbers stand for.
 *
 * A fid is found by its number as long as it is in the table, and lives until the last user has put it back, so a
 * clunk may come while another thread reads. What a fid stands for never changes; an operation that would change it
 * puts a new one in its place.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/types.h"

#define P9_FIDS_MAX    32768u
#define P9_FID_BUCKETS 4096u
#define P9_XATTRS_MAX  64u /* values held at a time */

/* A value of an extended attribute, on its way to or from the guest. */
struct p9_xattr {
    char name[256];
    u32 size;    /* of value */
    u32 written; /* by the guest */
    int flags;
    bool to_host; /* set when the fid is clunked */
    u8 value[];
};

struct p9_fid {
    u32 number;
    u32 uid; /* of who attached */
    u32 gid;
    int path_fd;        /* O_PATH */
    _Atomic int io_fd;  /* -1: not open */
    bool is_folder;     /* of io_fd */
    pthread_mutex_t at; /* the position of a folder's io_fd */
    struct p9_xattr *xattr;
    unsigned users; /* the table is one of them */
    bool listed;    /* in the table */
    struct p9_fid *next;
};

struct p9_fids {
    pthread_mutex_t mutex; /* protects the table, users and listed */
    struct p9_fid *all;    /* P9_FIDS_MAX of them */
    struct p9_fid *free;
    unsigned used;
    unsigned limit;
    _Atomic unsigned xattrs;
    struct p9_fid *buckets[P9_FID_BUCKETS];
};

void p9_fids_init(struct p9_fids *fids, unsigned limit);
void p9_fids_fini(struct p9_fids *fids);

/* The fid of this number, or NULL; p9_fid_put gives it back. */
struct p9_fid *p9_fid_get(struct p9_fids *fids, u32 number);
void p9_fid_put(struct p9_fids *fids, struct p9_fid *fid);

/*
 * Put a new fid into the table, in place of `replaced` if that is not NULL and still there. Owns `path_fd` and `io_fd`
 * (-1: none), also on failure. 0, -EBADF when the number is taken, -EMFILE when there are too many.
 */
int p9_fid_add(struct p9_fids *fids, const struct p9_fid *like, struct p9_fid *replaced);

/* Open it: 0, or -EBUSY when it is open already, and `io_fd` is closed. */
int p9_fid_open(struct p9_fid *fid, int io_fd);

/* Room for a value, or NULL when there are too many; p9_fid_put of its fid frees it. */
struct p9_xattr *p9_xattr_new(struct p9_fids *fids, u32 size);
void p9_xattr_free(struct p9_fids *fids, struct p9_xattr *xattr); /* NULL is allowed */

/* Take it, or all, out of the table. False when it was not there. */
bool p9_fid_remove(struct p9_fids *fids, struct p9_fid *fid);
void p9_fids_clear(struct p9_fids *fids);
