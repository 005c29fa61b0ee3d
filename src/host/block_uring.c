/* SPDX-License-Identifier: MIT */
/*
 * io_uring(7) by liburing. The mutex protects the ring: submissions come from the loop thread, but whoever waits for
 * the requests in flight reaps too.
 *
 * Reads and writes of whole aligned requests and flushes go here. What comes back short or asks to be tried again is
 * left to the blocking calls, which know how to go on.
 */
#include "host/block_uring.h"

#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/loop.h"

#define BLOCK_URING_ENTRIES  256u
#define BLOCK_URING_SIZE_MAX MIB(1024)

struct block_uring {
    struct io_uring ring;
    struct block_file *file;
    block_uring_fn *fn;
    int event_fd;
    struct loop_watch *watch;
    pthread_mutex_t mutex;
    unsigned in_flight;
};

static void block_uring_reap_one(struct block_uring *uring, struct io_uring_cqe *cqe)
{
    struct block_req *req = io_uring_cqe_get_data(cqe);
    int result = cqe->res;
    bool transfer = req->op == BLOCK_READ || req->op == BLOCK_WRITE;
    bool again = result == -EINTR || result == -EAGAIN ||
                 (transfer && result >= 0 && (u64)result != req->size);

    io_uring_cqe_seen(&uring->ring, cqe);
    uring->in_flight--;
    uring->fn(req, MIN(result, 0), again);
}

static void block_uring_event(void *arg, u32 events)
{
    struct block_uring *uring = arg;
    struct io_uring_cqe *cqe;
    u64 count;

    (void)events;
    if (read(uring->event_fd, &count, sizeof(count)) < 0)
        return; /* somebody else has reaped */
    pthread_mutex_lock(&uring->mutex);
    while (io_uring_peek_cqe(&uring->ring, &cqe) == 0)
        block_uring_reap_one(uring, cqe);
    pthread_mutex_unlock(&uring->mutex);
}

void block_uring_wait(struct block_uring *uring)
{
    struct io_uring_cqe *cqe;

    pthread_mutex_lock(&uring->mutex);
    while (uring->in_flight)
        if (io_uring_wait_cqe(&uring->ring, &cqe) == 0)
            block_uring_reap_one(uring, cqe);
    pthread_mutex_unlock(&uring->mutex);
}

static bool block_uring_takes(const struct block_uring *uring, const struct block_req *req)
{
    const struct block_span span = { req->iov, req->iov_count, 0 };

    if (req->op == BLOCK_FLUSH)
        return !uring->file->no_flush && !uring->file->readonly;
    /* Writes to the page cache go to the kernel's workers, one at a time for a file: our threads do more at once. */
    if (req->op == BLOCK_WRITE && !uring->file->direct)
        return false;
    return (req->op == BLOCK_READ || req->op == BLOCK_WRITE) && req->iov_count <= IOV_MAX &&
           req->size <= BLOCK_URING_SIZE_MAX &&
           block_file_is_aligned(uring->file, req->offset, span, req->size);
}

static void block_uring_prepare(struct block_uring *uring, struct io_uring_sqe *sqe,
                                struct block_req *req)
{
    int fd = uring->file->fd;

    if (req->op == BLOCK_FLUSH)
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    else if (req->op == BLOCK_READ)
        io_uring_prep_readv(sqe, fd, req->iov, req->iov_count, req->offset);
    else
        io_uring_prep_writev(sqe, fd, req->iov, req->iov_count, req->offset);
    io_uring_sqe_set_data(sqe, req);
}

bool block_uring_submit(struct block_uring *uring, struct block_req *req)
{
    struct io_uring_sqe *sqe = NULL;
    int r = -EBUSY;

    if (!block_uring_takes(uring, req))
        return false;
    pthread_mutex_lock(&uring->mutex);
    if (uring->in_flight < BLOCK_URING_ENTRIES)
        sqe = io_uring_get_sqe(&uring->ring);
    if (sqe) {
        uring->in_flight++;
        block_uring_prepare(uring, sqe, req);
        do
            r = io_uring_submit(&uring->ring);
        while (r == -EINTR || r == -EAGAIN || r == -EBUSY);
    }
    pthread_mutex_unlock(&uring->mutex);
    /* Once in the ring an entry cannot be taken back: it goes with the next submission. */
    return sqe != NULL;
}

struct block_uring *block_uring_new(struct loop *loop, struct block_file *file, block_uring_fn *fn)
{
    struct block_uring *uring = xcalloc(1, sizeof(*uring));

    if (io_uring_queue_init(BLOCK_URING_ENTRIES, &uring->ring, 0) < 0) {
        free(uring);
        return NULL;
    }
    pthread_mutex_init(&uring->mutex, NULL);
    uring->file = file;
    uring->fn = fn;
    uring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (uring->event_fd >= 0 && io_uring_register_eventfd(&uring->ring, uring->event_fd) == 0)
        uring->watch = loop_fd_add(loop, uring->event_fd, EPOLLIN, NULL, block_uring_event, uring);
    if (uring->watch)
        return uring;
    block_uring_free(uring);
    return NULL;
}

void block_uring_free(struct block_uring *uring)
{
    if (!uring)
        return;
    loop_fd_remove(uring->watch);
    io_uring_queue_exit(&uring->ring);
    if (uring->event_fd >= 0)
        close(uring->event_fd);
    pthread_mutex_destroy(&uring->mutex);
    free(uring);
}
