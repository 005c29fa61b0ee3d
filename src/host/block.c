/* SPDX-License-Identifier: MIT */
/*
 * What is common to all images: opening, checks, throttling, zero detection, and the way of a request:
 *
 *   block_submit -> (held back by throttling) -> io_uring, or a worker thread -> finished list -> eventfd -> done
 *
 * The mutex protects the lists and the count of active requests: those whose buffers may be touched still.
 */
#include "host/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/block_node.h"
#include "host/block_throttle.h"
#include "host/block_uring.h"
#include "host/loop.h"

#define BLOCK_SECTOR   512u
#define BLOCK_THREADS  4u
#define BLOCK_WAIT_NS  1000000
#define BLOCK_NS_PER_S 1000000000

struct block_list {
    struct block_req *first, **last;
};

struct block {
    struct loop *loop;
    struct block_node *node;
    struct block_uring *uring; /* NULL: threads only */
    struct pool *pool;
    char *name; /* of the image, for messages */
    bool readonly, writeback, discard;
    bool told[BLOCK_WRITE_ZEROES + 1]; /* that such requests fail */
    bool probed_raw;                   /* the guest may not make an image of another format of it */
    enum block_detect_zeroes detect_zeroes;
    int event_fd;
    struct loop_watch *watch;
    struct timer timer;               /* when throttled requests may go on */
    struct block_throttler throttler; /* loop thread, or with the mutex */

    pthread_mutex_t mutex; /* protects what follows */
    pthread_cond_t idle;
    unsigned active;
    struct block_list held[2]; /* by throttling: reads, writes */
    struct block_list finished;
};

/* ---- Lists ---- */

static void block_list_init(struct block_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void block_list_add(struct block_list *list, struct block_req *req)
{
    req->next = NULL;
    *list->last = req;
    list->last = &req->next;
}

static struct block_req *block_list_take(struct block_list *list)
{
    struct block_req *req = list->first;

    if (!req)
        return NULL;
    list->first = req->next;
    if (!list->first)
        list->last = &list->first;
    return req;
}

/* ---- Finishing ---- */

static void block_finish_locked(struct block *block, struct block_req *req, int result)
{
    bool first = !block->finished.first;
    u64 one = 1;
    ssize_t n = 0;

    req->result = result;
    block_list_add(&block->finished, req);
    if (first)
        n = write(block->event_fd, &one, sizeof(one));
    (void)n; /* an eventfd refuses only when 2^64 - 2 are unread */
}

/* A request that was started is over: any thread. */
static void block_finish(struct block *block, struct block_req *req, int result)
{
    pthread_mutex_lock(&block->mutex);
    block_finish_locked(block, req, result);
    if (--block->active == 0)
        pthread_cond_broadcast(&block->idle);
    pthread_mutex_unlock(&block->mutex);
}

/* The first failure of a kind is told to the user; the guest hears of each. */
static void block_tell(struct block *block, const struct block_req *req)
{
    static const char *const names[] = {
        [BLOCK_READ] = "reading",
        [BLOCK_WRITE] = "writing",
        [BLOCK_FLUSH] = "flushing",
        [BLOCK_DISCARD] = "discarding",
        [BLOCK_WRITE_ZEROES] = "writing zeroes to",
    };

    if (req->result >= 0 || req->result == -ENOTSUP || req->result == -EROFS ||
        block->told[req->op])
        return;
    block->told[req->op] = true;
    log_error("%s the image '%s': %s; the guest gets I/O errors", names[req->op], block->name,
              strerror(-req->result));
}

/* Loop thread: tell the owners. They may submit more from `done`. */
static void block_run_done(struct block *block)
{
    struct block_req *req, *next;

    pthread_mutex_lock(&block->mutex);
    req = block->finished.first;
    block_list_init(&block->finished);
    pthread_mutex_unlock(&block->mutex);
    for (; req; req = next) {
        next = req->next;
        block_tell(block, req);
        req->done(req);
    }
}

static void block_event(void *arg, u32 events)
{
    struct block *block = arg;
    u64 count;
    ssize_t n = read(block->event_fd, &count, sizeof(count));

    (void)events;
    (void)n;
    block_run_done(block);
}

/* ---- Starting ---- */

static int block_perform(struct block_node *node, const struct block_req *req)
{
    const struct block_span span = { req->iov, req->iov_count, 0 };
    int r = -ENOTSUP;

    switch (req->op) {
    case BLOCK_READ: r = node->ops->read(node, req->offset, span, req->size); break;
    case BLOCK_WRITE: r = node->ops->write(node, req->offset, span, req->size); break;
    case BLOCK_FLUSH: r = node->ops->flush(node); break;
    case BLOCK_DISCARD:
        r = node->ops->discard(node, req->offset, req->size);
        return r == -EOPNOTSUPP ? 0 : r; /* a hint */
    case BLOCK_WRITE_ZEROES:
        r = node->ops->zero(node, req->offset, req->size, req->may_unmap);
        break;
    }
    return r;
}

static void block_work(struct pool_job *job)
{
    struct block_req *req = container_of(job, struct block_req, job);

    block_finish(req->block, req, block_perform(req->block->node, req));
}

static void block_uring_done(struct block_req *req, int result, bool again)
{
    if (again)
        pool_submit(req->block->pool, &req->job);
    else
        block_finish(req->block, req, result);
}

static void block_start(struct block *block, struct block_req *req)
{
    if (!block->uring || !block_uring_submit(block->uring, req))
        pool_submit(block->pool, &req->job);
}

/* ---- Throttling ---- */

static bool block_is_write(const struct block_req *req)
{
    return req->op != BLOCK_READ;
}

static u64 block_ask(struct block *block, const struct block_req *req)
{
    bool transfer = req->op == BLOCK_READ || req->op == BLOCK_WRITE;

    return block_throttle_ask(&block->throttler, block_is_write(req), transfer ? req->size : 0,
                              loop_now(block->loop));
}

/* The first held request of a direction that may go, made active; or NULL, and the timer is set for it. */
static struct block_req *block_release(struct block *block, unsigned direction, u64 *wait)
{
    struct block_list *held = &block->held[direction];
    struct block_req *req = NULL;

    pthread_mutex_lock(&block->mutex);
    if (held->first) {
        u64 ns = block_ask(block, held->first);

        if (!ns) {
            req = block_list_take(held);
            block->active++;
        } else {
            *wait = MIN(*wait, ns);
        }
    }
    pthread_mutex_unlock(&block->mutex);
    return req;
}

static void block_release_all(void *arg)
{
    struct block *block = arg;
    u64 wait = UINT64_MAX;
    struct block_req *req;

    for (unsigned direction = 0; direction < 2; direction++)
        while ((req = block_release(block, direction, &wait)))
            block_start(block, req);
    if (wait != UINT64_MAX)
        timer_arm(&block->timer, loop_now(block->loop) + wait);
}

/* ---- Submitting ---- */

static bool block_is_zero(const void *data, size_t size)
{
    const u8 *p = data;

    return !size || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

static void block_detect(const struct block *block, struct block_req *req)
{
    if (req->op != BLOCK_WRITE || block->detect_zeroes == BLOCK_ZEROES_OFF)
        return;
    for (unsigned i = 0; i < req->iov_count; i++)
        if (!block_is_zero(req->iov[i].iov_base, req->iov[i].iov_len))
            return;
    req->op = BLOCK_WRITE_ZEROES;
    req->may_unmap = block->detect_zeroes == BLOCK_ZEROES_UNMAP && block->discard;
}

/* An image whose format was guessed raw must not become one that is guessed otherwise: its guest would choose files. */
static bool block_changes_format(const struct block *block, const struct block_req *req)
{
    struct block_span span = { req->iov, req->iov_count, 0 };
    u8 magic[4];

    if (!block->probed_raw || req->op != BLOCK_WRITE || req->offset != 0)
        return false;
    block_span_get(&span, magic, sizeof(magic));
    return load_be32(magic) == BLOCK_QCOW2_MAGIC;
}

static int block_check(const struct block *block, const struct block_req *req)
{
    if (req->op == BLOCK_FLUSH)
        return 0;
    if (req->op != BLOCK_READ && block->readonly)
        return -EPERM;
    if ((req->offset | req->size) % BLOCK_SECTOR)
        return -EINVAL;
    if (req->offset > block->node->size || req->size > block->node->size - req->offset)
        return -EINVAL;
    return req->size && block_changes_format(block, req) ? -EPERM : 0;
}

void block_submit(struct block *block, struct block_req *req)
{
    int r = block_check(block, req);
    bool nothing = r || (!req->size && req->op != BLOCK_FLUSH);
    bool hold = block->throttler.on && req->op != BLOCK_FLUSH;

    req->block = block;
    req->job.work = block_work;
    if (!nothing) {
        block_detect(block, req);
        nothing = req->op == BLOCK_DISCARD && !block->discard;
    }
    if (!nothing && req->op == BLOCK_WRITE_ZEROES && !block->discard)
        req->may_unmap = false;
    pthread_mutex_lock(&block->mutex);
    if (nothing)
        block_finish_locked(block, req, r);
    else if (hold)
        block_list_add(&block->held[block_is_write(req)], req);
    else
        block->active++;
    pthread_mutex_unlock(&block->mutex);
    if (hold && !nothing)
        block_release_all(block);
    else if (!nothing)
        block_start(block, req);
}

/*
 * Wait a moment for the active requests. Not for ever: one that the loop thread is about to start may end in the ring,
 * which nobody but the caller may be free to reap.
 */
static bool block_is_idle(struct block *block)
{
    struct timespec until;
    bool idle;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += BLOCK_WAIT_NS;
    until.tv_sec += until.tv_nsec / BLOCK_NS_PER_S;
    until.tv_nsec %= BLOCK_NS_PER_S;
    pthread_mutex_lock(&block->mutex);
    if (block->active && !block->uring)
        pthread_cond_wait(&block->idle, &block->mutex);
    else if (block->active)
        pthread_cond_timedwait(&block->idle, &block->mutex, &until);
    idle = !block->active;
    pthread_mutex_unlock(&block->mutex);
    return idle;
}

void block_quiesce(struct block *block)
{
    struct block_req *req;

    pthread_mutex_lock(&block->mutex);
    for (unsigned direction = 0; direction < 2; direction++)
        while ((req = block_list_take(&block->held[direction])))
            block_finish_locked(block, req, -ECANCELED);
    pthread_mutex_unlock(&block->mutex);
    while (!block_is_idle(block))
        if (block->uring)
            block_uring_wait(block->uring);
}

u64 block_size(const struct block *block)
{
    return block->node->size;
}

bool block_is_readonly(const struct block *block)
{
    return block->readonly;
}

bool block_is_writeback(const struct block *block)
{
    return block->writeback;
}

bool block_can_discard(const struct block *block)
{
    return block->discard;
}

/* ---- Opening and closing ---- */

static bool block_probe(struct block_file *file, enum block_format *format, struct error *err)
{
    u8 head[4];
    int r = block_file_read(file, 0, head, sizeof(head));

    if (r)
        return error_set_errno(err, -r, "Could not read '%.200s'", file->name);
    *format = load_be32(head) == BLOCK_QCOW2_MAGIC ? BLOCK_FORMAT_QCOW2 : BLOCK_FORMAT_RAW;
    return true;
}

struct block_node *block_node_open(const struct block_config *config, const char *name,
                                   enum block_format format, bool readonly, unsigned depth,
                                   bool *probed_raw, struct error *err)
{
    bool probe = format == BLOCK_FORMAT_PROBE;
    struct block_file file;

    if (!block_file_open(&file, config, name, readonly, err))
        return NULL;
    if (probe && !block_probe(&file, &format, err)) {
        block_file_close(&file);
        return NULL;
    }
    if (probed_raw)
        *probed_raw = probe && format == BLOCK_FORMAT_RAW;
    return format == BLOCK_FORMAT_RAW ? block_raw_open(&file, err)
                                      : block_qcow2_open(config, &file, depth, err);
}

static void block_warn_probed(const struct block_config *config)
{
    log_warn("Image format was not specified for '%s' and probing guessed raw.", config->file);
    log_warn("Automatically detecting the format is dangerous for raw images, write operations on "
             "block 0 will be restricted.");
    log_warn("Specify the 'raw' format explicitly to remove the restrictions.");
}

static bool block_open_image(struct block *block, const struct block_config *config,
                             struct error *err)
{
    block->node = block_node_open(config, config->file, config->format,
                                  config->readonly || config->snapshot, 0, &block->probed_raw, err);
    if (block->node && config->snapshot) {
        block->node = block_qcow2_overlay(config, block->node, err);
        block->probed_raw = false;
    }
    if (block->node && block->probed_raw && !config->readonly)
        block_warn_probed(config);
    return block->node != NULL;
}

static bool block_open_queues(struct block *block, const struct block_config *config,
                              struct error *err)
{
    struct loop *loop = block->loop;

    block->pool = pool_new(BLOCK_THREADS, err);
    if (!block->pool)
        return false;
    block->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (block->event_fd >= 0)
        block->watch = loop_fd_add(loop, block->event_fd, EPOLLIN, NULL, block_event, block);
    if (!block->watch)
        return error_set_errno(err, errno, "Could not open '%.200s'", config->file);
    if (block->node->file && config->aio != BLOCK_AIO_THREADS)
        block->uring = block_uring_new(loop, block->node->file, block_uring_done);
    if (config->aio == BLOCK_AIO_IO_URING && block->node->file && !block->uring)
        log_warn("io_uring is not available for '%s'; threads are used", config->file);
    return true;
}

struct block *block_open(const struct block_config *config, struct loop *loop, struct error *err)
{
    struct block *block = xcalloc(1, sizeof(*block));

    block->loop = loop;
    block->event_fd = -1;
    block->name = xstrdup(config->file);
    block->readonly = config->readonly;
    block->discard = config->discard && !config->readonly;
    block->writeback = config->snapshot || (config->cache != BLOCK_CACHE_WRITETHROUGH &&
                                            config->cache != BLOCK_CACHE_DIRECTSYNC);
    block->detect_zeroes = config->detect_zeroes;
    pthread_mutex_init(&block->mutex, NULL);
    pthread_cond_init(&block->idle, NULL);
    for (unsigned direction = 0; direction < 2; direction++)
        block_list_init(&block->held[direction]);
    block_list_init(&block->finished);
    timer_init(&block->timer, loop, NULL, block_release_all, block);
    block_throttle_init(&block->throttler, &config->throttle, loop_now(loop));
    if (block_open_image(block, config, err) && block_open_queues(block, config, err))
        return block;
    block_close(block);
    return NULL;
}

/* A done may submit again, so look until nothing is left. */
static void block_drain(struct block *block)
{
    do {
        block_quiesce(block);
        block_run_done(block);
    } while (block->finished.first || block->active || block->held[0].first ||
             block->held[1].first);
}

void block_close(struct block *block)
{
    int r = 0;

    if (!block)
        return;
    timer_cancel(&block->timer);
    if (block->pool)
        block_drain(block);
    timer_cancel(&block->timer);
    block_uring_free(block->uring);
    pool_free(block->pool);
    loop_fd_remove(block->watch);
    if (block->event_fd >= 0)
        close(block->event_fd);
    if (block->node) {
        r = block->readonly ? 0 : block->node->ops->flush(block->node);
        block->node->ops->close(block->node);
    }
    if (r)
        log_error("closing the image '%s': %s", block->name, strerror(-r));
    pthread_cond_destroy(&block->idle);
    pthread_mutex_destroy(&block->mutex);
    free(block->name);
    free(block);
}
