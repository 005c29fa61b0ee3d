/* SPDX-License-Identifier: MIT */
/* Fids: a hash table of numbers over a fixed pool. */
#include "virtio/p9_fid.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"

void p9_fids_init(struct p9_fids *fids, unsigned limit)
{
    pthread_mutex_init(&fids->mutex, NULL);
    fids->limit = MIN(limit, P9_FIDS_MAX);
    fids->all = xcalloc(P9_FIDS_MAX, sizeof(*fids->all));
}

void p9_fids_fini(struct p9_fids *fids)
{
    p9_fids_clear(fids);
    pthread_mutex_destroy(&fids->mutex);
    free(fids->all);
}

static struct p9_fid **p9_fid_bucket(struct p9_fids *fids, u32 number)
{
    return &fids->buckets[(number ^ number >> 12) % P9_FID_BUCKETS];
}

static struct p9_fid *p9_fid_find(struct p9_fids *fids, u32 number)
{
    struct p9_fid *fid = *p9_fid_bucket(fids, number);

    while (fid && fid->number != number)
        fid = fid->next;
    return fid;
}

struct p9_fid *p9_fid_get(struct p9_fids *fids, u32 number)
{
    struct p9_fid *fid;

    pthread_mutex_lock(&fids->mutex);
    fid = p9_fid_find(fids, number);
    if (fid)
        fid->users++;
    pthread_mutex_unlock(&fids->mutex);
    return fid;
}

/* Nobody else knows it any more. */
static void p9_fid_close(struct p9_fids *fids, struct p9_fid *fid)
{
    int io_fd = atomic_load(&fid->io_fd);

    if (fid->path_fd >= 0)
        close(fid->path_fd);
    if (io_fd >= 0)
        close(io_fd);
    p9_xattr_free(fids, fid->xattr);
    pthread_mutex_destroy(&fid->at);
    pthread_mutex_lock(&fids->mutex);
    fid->next = fids->free;
    fids->free = fid;
    fids->used--;
    pthread_mutex_unlock(&fids->mutex);
}

void p9_fid_put(struct p9_fids *fids, struct p9_fid *fid)
{
    bool last;

    pthread_mutex_lock(&fids->mutex);
    last = !--fid->users;
    pthread_mutex_unlock(&fids->mutex);
    if (last)
        p9_fid_close(fids, fid);
}

static bool p9_fid_unlist(struct p9_fids *fids, struct p9_fid *fid)
{
    struct p9_fid **link = p9_fid_bucket(fids, fid->number);

    if (!fid->listed)
        return false;
    while (*link != fid)
        link = &(*link)->next;
    *link = fid->next;
    fid->listed = false;
    return true;
}

static struct p9_fid *p9_fid_take(struct p9_fids *fids)
{
    struct p9_fid *fid = fids->free;

    if (fids->used == fids->limit)
        return NULL;
    if (fid)
        fids->free = fid->next;
    else
        fid = &fids->all[fids->used];
    fids->used++;
    return fid;
}

/* With the mutex. */
static int p9_fid_list(struct p9_fids *fids, const struct p9_fid *like, struct p9_fid *replaced)
{
    struct p9_fid *old = p9_fid_find(fids, like->number), *fid, **bucket;

    if (old != replaced)
        return -EBADF;
    fid = p9_fid_take(fids);
    if (!fid)
        return -EMFILE;
    if (old)
        p9_fid_unlist(fids, old);
    *fid = *like;
    pthread_mutex_init(&fid->at, NULL);
    fid->users = 1;
    fid->listed = true;
    bucket = p9_fid_bucket(fids, fid->number);
    fid->next = *bucket;
    *bucket = fid;
    return 0;
}

int p9_fid_add(struct p9_fids *fids, const struct p9_fid *like, struct p9_fid *replaced)
{
    int io_fd = atomic_load(&like->io_fd), r;

    pthread_mutex_lock(&fids->mutex);
    r = p9_fid_list(fids, like, replaced);
    pthread_mutex_unlock(&fids->mutex);
    if (!r) {
        if (replaced)
            p9_fid_put(fids, replaced); /* the table's */
        return 0;
    }
    if (like->path_fd >= 0)
        close(like->path_fd);
    if (io_fd >= 0)
        close(io_fd);
    p9_xattr_free(fids, like->xattr);
    return r;
}

int p9_fid_open(struct p9_fid *fid, int io_fd)
{
    int none = -1;

    if (atomic_compare_exchange_strong(&fid->io_fd, &none, io_fd))
        return 0;
    close(io_fd);
    return -EBUSY;
}

bool p9_fid_remove(struct p9_fids *fids, struct p9_fid *fid)
{
    bool was;

    pthread_mutex_lock(&fids->mutex);
    was = p9_fid_unlist(fids, fid);
    pthread_mutex_unlock(&fids->mutex);
    if (was)
        p9_fid_put(fids, fid);
    return was;
}

void p9_fids_clear(struct p9_fids *fids)
{
    for (unsigned i = 0; i < P9_FID_BUCKETS; i++) {
        struct p9_fid *fid;

        do {
            pthread_mutex_lock(&fids->mutex);
            fid = fids->buckets[i];
            if (fid)
                fid->users++;
            pthread_mutex_unlock(&fids->mutex);
            if (fid) {
                p9_fid_remove(fids, fid);
                p9_fid_put(fids, fid);
            }
        } while (fid);
    }
}

struct p9_xattr *p9_xattr_new(struct p9_fids *fids, u32 size)
{
    struct p9_xattr *xattr = NULL;

    if (atomic_fetch_add(&fids->xattrs, 1) < P9_XATTRS_MAX)
        xattr = calloc(1, sizeof(*xattr) + size);
    if (!xattr)
        atomic_fetch_sub(&fids->xattrs, 1);
    else
        xattr->size = size;
    return xattr;
}

void p9_xattr_free(struct p9_fids *fids, struct p9_xattr *xattr)
{
    if (!xattr)
        return;
    atomic_fetch_sub(&fids->xattrs, 1);
    free(xattr);
}
