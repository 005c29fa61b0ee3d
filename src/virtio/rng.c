/* SPDX-License-Identifier: MIT */
/* The entropy device: one queue of buffers to fill. virtio 1.2, 5.4. */
#include "virtio/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/loop.h"
#include "host/random.h"
#include "virtio/virtio.h"

#define RNG_QUEUE_SIZE 8u
#define RNG_CHUNK      KIB(64) /* of one request: a large one must not hold up the loop */

struct rng {
    struct virtio v;
    int fd; /* -1: the host's kernel */
    struct loop_watch *watch;
    bool dead; /* the source has ended */
    u64 max_bytes;
    u64 period_ns;
    u64 quota; /* bytes left in this period */
    struct timer timer;
    struct iovec iov[VIRTQ_PARTS_MAX];
};

/* Bytes of the source into `data`: their number, 0 when there are none now. */
static size_t rng_read(struct rng *rng, void *data, size_t size)
{
    ssize_t n;

    if (rng->fd < 0)
        return host_random(data, size) ? size : 0;
    do
        n = read(rng->fd, data, size);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return (size_t)n;
    if (n < 0 && errno == EAGAIN && rng->watch) {
        loop_fd_modify(rng->watch, EPOLLIN);
        return 0;
    }
    log_warn("%s: the source of random bytes has ended", rng->v.dev.name);
    rng->dead = true;
    return 0;
}

static u32 rng_fill(struct rng *rng, const struct virtq_chain *chain)
{
    u64 wanted = MIN(MIN(chain->in_size, RNG_CHUNK), rng->quota);
    u64 done = 0;

    for (unsigned i = chain->out_count; done < wanted; i++) {
        u64 part = MIN(chain->iov[i].iov_len, wanted - done);
        size_t n = rng_read(rng, chain->iov[i].iov_base, part);

        done += n;
        if (n < part)
            break;
    }
    return (u32)done;
}

static void rng_charge(struct rng *rng, u32 bytes)
{
    if (rng->max_bytes == UINT64_MAX)
        return;
    if (rng->quota == rng->max_bytes)
        timer_arm(&rng->timer, loop_now(rng->v.loop) + rng->period_ns);
    rng->quota -= bytes;
}

static void rng_serve(struct rng *rng)
{
    struct virtq *q = &rng->v.queues[0];
    struct virtq_chain chain = { .iov = rng->iov };

    while (rng->quota && !rng->dead && virtq_pop(q, &chain) == VIRTQ_CHAIN) {
        u32 filled = rng_fill(rng, &chain);

        if (!filled && chain.in_size) {
            virtq_unpop(q, &chain);
            break;
        }
        virtq_push(q, &chain, filled);
        rng_charge(rng, filled);
    }
    virtq_signal(q);
}

static void rng_notify(struct virtio *v, unsigned index)
{
    (void)index;
    rng_serve(container_of(v, struct rng, v));
}

static void rng_readable(void *arg, u32 events)
{
    struct rng *rng = arg;

    (void)events;
    loop_fd_modify(rng->watch, 0);
    if (virtio_is_live(&rng->v))
        rng_serve(rng);
}

static void rng_period(void *arg)
{
    struct rng *rng = arg;

    rng->quota = rng->max_bytes;
    if (virtio_is_live(&rng->v))
        rng_serve(rng);
}

static void rng_free(struct device *dev)
{
    struct rng *rng = container_of(dev, struct rng, v.dev);

    timer_cancel(&rng->timer);
    loop_fd_remove(rng->watch);
    if (rng->fd >= 0)
        close(rng->fd);
    virtio_fini(&rng->v);
    free(rng);
}

static const struct device_ops rng_device_ops = {
    .reset = virtio_device_reset,
    .free = rng_free,
};

static const struct virtio_ops rng_ops = {
    .id = VIRTIO_ID_ENTROPY,
    .notify = rng_notify,
};

struct virtio *rng_new(const struct rng_config *config, struct error *err)
{
    int fd = config->path ? open(config->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    struct rng *rng;

    if (config->path && fd < 0) {
        error_set_errno(err, errno, "cannot open '%s'", config->path);
        return NULL;
    }
    rng = xcalloc(1, sizeof(*rng));
    rng->fd = fd;
    rng->max_bytes = rng->quota = config->max_bytes ? config->max_bytes : UINT64_MAX;
    rng->period_ns = config->period_ms * UINT64_C(1000000);
    virtio_init(&rng->v, "virtio-rng", &rng_device_ops, &rng_ops, config->ram, config->loop);
    virtio_add_queues(&rng->v, 1, RNG_QUEUE_SIZE);
    timer_init(&rng->timer, config->loop, &rng->v.dev.lock, rng_period, rng);
    if (fd >= 0)
        rng->watch = loop_fd_add(config->loop, fd, 0, &rng->v.dev.lock, rng_readable, rng);
    return &rng->v;
}
