/* SPDX-License-Identifier: MIT */
/*
 * The 9P transport: one queue of requests, each with room for its answer.
 *
 * A request goes to a worker thread, which answers it if the device is not busy; otherwise it comes back through a list
 * that the loop thread empties. A Tflush is answered when the request that it names has been; a reset waits, with the
 * device locked, until the workers are done.
 */
#include "virtio/p9.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "host/fs.h"
#include "host/loop.h"
#include "host/pool.h"
#include "virtio/p9_fid.h"
#include "virtio/p9_server.h"

#define VIRTIO_9P_F_MOUNT_TAG BIT64(0)

#define P9_QUEUE_SIZE         128u
#define P9_REQUESTS           64u
#define P9_THREADS            4u
#define P9_OTHER_DESCRIPTORS  512u /* that the process has for everything else */

struct p9;

struct p9_req {
    struct p9 *p9;
    struct pool_job job;
    struct virtq_chain chain;
    bool busy;
    const struct p9_req *flushes; /* a Tflush: the request that it waits for */
    struct p9_req *next;          /* free, or finished */
    struct iovec parts[VIRTQ_PARTS_MAX];
    struct p9_call call;
};

struct p9 {
    struct virtio v;
    struct p9_server *server;
    struct pool *pool;
    struct timer finished_timer; /* brings what has finished to the loop thread */
    u8 config[2 + P9_TAG_MAX];
    bool starved; /* the queue found no free request */
    struct p9_req *free;
    struct p9_req *reqs;

    pthread_mutex_t mutex; /* protects what follows; the device's lock comes before it */
    pthread_cond_t idle;
    unsigned active; /* with the workers */
    struct p9_req *finished, **finished_last;
};

static struct p9 *p9_of(struct virtio *v)
{
    return container_of(v, struct p9, v);
}

/* ---- The requests ---- */

static void p9_put_req(struct p9_req *req)
{
    req->busy = false;
    req->flushes = NULL;
    req->next = req->p9->free;
    req->p9->free = req;
}

static struct p9_req *p9_take_req(struct p9 *p9)
{
    struct p9_req *req = p9->free;

    if (!req)
        return NULL;
    p9->free = req->next;
    req->busy = true;
    req->chain = (struct virtq_chain){ .iov = req->parts };
    return req;
}

/* ---- Answers, with the device locked ---- */

static void p9_reply(struct p9_req *req)
{
    struct p9 *p9 = req->p9;
    const struct p9_call *call = &req->call;

    virtq_write(&req->chain, 0, call->reply, call->reply_size);
    virtq_push(&p9->v.queues[0], &req->chain, call->reply_size + call->data_size);
}

/* Answer it, and each Tflush that waited for it (and those that waited for that one). */
static void p9_complete(struct p9_req *req)
{
    struct p9 *p9 = req->p9;

    p9_reply(req);
    for (unsigned i = 0; i < P9_REQUESTS; i++) {
        struct p9_req *flush = &p9->reqs[i];

        if (!flush->busy || flush->flushes != req)
            continue;
        flush->flushes = NULL;
        p9_serve(p9->server, &flush->call);
        p9_complete(flush);
    }
    p9_put_req(req);
}

static void p9_serve_queue(struct p9 *p9);

/* After answers: tell the driver, and take what had to wait. */
static void p9_settle(struct p9 *p9)
{
    virtq_signal(&p9->v.queues[0]);
    if (p9->starved && virtio_is_live(&p9->v))
        p9_serve_queue(p9);
}

static void p9_collect(void *arg)
{
    struct p9 *p9 = arg;
    struct p9_req *req, *next;

    pthread_mutex_lock(&p9->mutex);
    req = p9->finished;
    p9->finished = NULL;
    p9->finished_last = &p9->finished;
    pthread_mutex_unlock(&p9->mutex);
    for (; req; req = next) {
        next = req->next;
        p9_complete(req);
    }
    p9_settle(p9);
}

/* ---- Requests, to the workers and back ---- */

/* The worker is done with it; `later`: for the loop thread to answer. */
static void p9_retire(struct p9_req *req, bool later)
{
    struct p9 *p9 = req->p9;

    pthread_mutex_lock(&p9->mutex);
    if (later) {
        req->next = NULL;
        *p9->finished_last = req;
        p9->finished_last = &req->next;
        timer_arm(&p9->finished_timer, 0);
    }
    p9->active--;
    pthread_cond_signal(&p9->idle);
    pthread_mutex_unlock(&p9->mutex);
}

/* Never waits for the device: a reset may hold it, and wait for us. */
static void p9_work(struct pool_job *job)
{
    struct p9_req *req = container_of(job, struct p9_req, job);
    struct p9 *p9 = req->p9;

    p9_serve(p9->server, &req->call);
    if (pthread_mutex_trylock(&p9->v.dev.lock)) {
        p9_retire(req, true);
        return;
    }
    p9_retire(req, false);
    p9_complete(req);
    p9_settle(p9);
    pthread_mutex_unlock(&p9->v.dev.lock);
}

static void p9_submit(struct p9_req *req)
{
    pthread_mutex_lock(&req->p9->mutex);
    req->p9->active++;
    pthread_mutex_unlock(&req->p9->mutex);
    req->job.work = p9_work;
    pool_submit(req->p9->pool, &req->job);
}

/* The request of this tag that is not answered yet. */
static const struct p9_req *p9_find_req(const struct p9_req *flush, u16 tag)
{
    const struct p9 *p9 = flush->p9;

    for (unsigned i = 0; i < P9_REQUESTS; i++) {
        const struct p9_req *req = &p9->reqs[i];

        if (req->busy && req != flush && p9_call_tag(&req->call) == tag)
            return req;
    }
    return NULL;
}

static void p9_start(struct p9_req *req)
{
    struct p9_call *call = &req->call;
    u16 tag;

    call->out = req->parts;
    call->out_count = req->chain.out_count;
    call->out_size = req->chain.out_size;
    call->in = req->parts + req->chain.out_count;
    call->in_count = req->chain.in_count;
    call->in_size = req->chain.in_size;
    p9_call_read(call);
    if (p9_call_flushes(call, &tag))
        req->flushes = p9_find_req(req, tag);
    if (!req->flushes)
        p9_submit(req);
}

static void p9_serve_queue(struct p9 *p9)
{
    struct virtq *q = &p9->v.queues[0];
    struct p9_req *req;

    p9->starved = false;
    while ((req = p9_take_req(p9))) {
        if (virtq_pop(q, &req->chain) != VIRTQ_CHAIN) {
            p9_put_req(req);
            return;
        }
        p9_start(req);
    }
    p9->starved = true;
}

/* ---- Transport callbacks ---- */

static void p9_notify(struct virtio *v, unsigned index)
{
    (void)index;
    p9_serve_queue(p9_of(v));
}

static void p9_config_read(struct virtio *v, unsigned offset, void *data, unsigned size)
{
    memcpy(data, p9_of(v)->config + offset, size);
}

/* Workers take no device's lock, so they come to their end. */
static void p9_reset(struct virtio *v)
{
    struct p9 *p9 = p9_of(v);

    pthread_mutex_lock(&p9->mutex);
    while (p9->active)
        pthread_cond_wait(&p9->idle, &p9->mutex);
    p9->finished = NULL;
    p9->finished_last = &p9->finished;
    pthread_mutex_unlock(&p9->mutex);
    timer_cancel(&p9->finished_timer);
    for (unsigned i = 0; i < P9_REQUESTS; i++) {
        if (!p9->reqs[i].busy)
            continue;
        virtq_drop(&v->queues[0], &p9->reqs[i].chain);
        p9_put_req(&p9->reqs[i]);
    }
    p9->starved = false;
    p9_server_reset(p9->server);
}

/* ---- Ops tables ---- */

static const struct virtio_ops p9_virtio_ops = {
    .id = VIRTIO_ID_9P,
    .features = VIRTIO_9P_F_MOUNT_TAG,
    .notify = p9_notify,
    .config_read = p9_config_read,
    .reset = p9_reset,
};

static void p9_device_free(struct device *dev)
{
    struct p9 *p9 = container_of(dev, struct p9, v.dev);

    pool_free(p9->pool);
    timer_cancel(&p9->finished_timer);
    p9_server_free(p9->server);
    virtio_fini(&p9->v);
    pthread_cond_destroy(&p9->idle);
    pthread_mutex_destroy(&p9->mutex);
    free(p9->reqs);
    free(p9);
}

static const struct device_ops p9_device_ops = {
    .reset = virtio_device_reset,
    .free = p9_device_free,
};

/* ---- Making one ---- */

/* A fid may need two descriptors. */
static unsigned p9_fid_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < 2 * P9_OTHER_DESCRIPTORS)
        return P9_OTHER_DESCRIPTORS / 2;
    return (unsigned)MIN((limit.rlim_cur - P9_OTHER_DESCRIPTORS) / 2, P9_FIDS_MAX);
}

static void p9_init(struct p9 *p9, const struct p9_config *config)
{
    size_t length = strlen(config->tag);

    assert(length <= P9_TAG_MAX);
    store_le16(p9->config, (u16)length);
    memcpy(p9->config + 2, config->tag, length);
    pthread_mutex_init(&p9->mutex, NULL);
    pthread_cond_init(&p9->idle, NULL);
    p9->finished_last = &p9->finished;
    p9->reqs = xcalloc(P9_REQUESTS, sizeof(*p9->reqs));
    for (unsigned i = P9_REQUESTS; i-- > 0;) {
        p9->reqs[i].p9 = p9;
        p9_put_req(&p9->reqs[i]);
    }
    virtio_init(&p9->v, "virtio-9p", &p9_device_ops, &p9_virtio_ops, config->ram, config->loop);
    p9->v.config_size = (unsigned)(2 + length);
    virtio_add_queues(&p9->v, 1, P9_QUEUE_SIZE);
    timer_init(&p9->finished_timer, config->loop, &p9->v.dev.lock, p9_collect, p9);
}

struct virtio *p9_new(const struct p9_config *config, struct fs *fs, struct error *err)
{
    struct p9 *p9 = xcalloc(1, sizeof(*p9));

    p9_init(p9, config);
    p9->server = p9_server_new(fs, p9_fid_limit());
    p9->pool = pool_new(P9_THREADS, err);
    if (p9->pool)
        return &p9->v;
    p9_device_free(&p9->v.dev);
    return NULL;
}
