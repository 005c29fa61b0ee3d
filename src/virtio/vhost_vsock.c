/* SPDX-License-Identifier: MIT */
/*
 * The vsock device of the host's kernel. virtio 1.2, 5.10; linux/vhost.h.
 *
 * The kernel works on the receive and transmit rings; what is left to do here is to pass doorbells and interrupts on.
 * It writes to guest memory without marking that (ram_dirty): packets land in the driver's buffers, from where the
 * guest copies them, and that copy is seen.
 */
#include "virtio/vhost_vsock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/vhost.h"
#include "virtio/virtio.h"

#define VHOST_VSOCK_QUEUE_SIZE       128u
#define VHOST_VSOCK_RINGS            2u /* the third one, for events, stays here and is never used */
#define VHOST_VSOCK_CONFIG_SIZE      8u
#define VIRTIO_VSOCK_F_SEQPACKET     BIT64(1)
#define VHOST_VSOCK_AVAIL_SIZE(n)    (6u + 2u * (n))
#define VHOST_VSOCK_USED_SIZE(n)     (6u + 8u * (n))
#define VHOST_VSOCK_DESCRIPTOR_BYTES 16u

struct vhost_vsock {
    struct virtio v;
    struct virtio_ops ops; /* with the features of this host */
    u64 host_features;
    u32 cid;
    int fd;
    bool running;
    bool warned;
    int kick[VHOST_VSOCK_RINGS], call[VHOST_VSOCK_RINGS];
    struct loop_watch *watch[VHOST_VSOCK_RINGS];
};

/* ---- Start and stop ---- */

static int vhost_vsock_set_memory(struct vhost_vsock *s)
{
    const struct ram *ram = s->v.ram;
    struct vhost_region regions[RAM_SLOTS_MAX];

    for (unsigned i = 0; i < ram->slot_count; i++)
        regions[i] = (struct vhost_region){ ram->slots[i].base, ram->slots[i].size,
                                            ram->host + ram->slots[i].offset };
    return vhost_set_memory(s->fd, regions, ram->slot_count);
}

/* The rings lie in memory: virtq_start saw to it. */
static int vhost_vsock_set_ring(struct vhost_vsock *s, unsigned index)
{
    const struct virtq_state *q = &s->v.queues[index].state;
    const struct ram *ram = s->v.ram;
    struct vhost_ring ring = {
        .size = q->size,
        .desc = ram_ptr(ram, q->desc, (u64)VHOST_VSOCK_DESCRIPTOR_BYTES * q->size),
        .avail = ram_ptr(ram, q->avail, VHOST_VSOCK_AVAIL_SIZE(q->size)),
        .used = ram_ptr(ram, q->used, VHOST_VSOCK_USED_SIZE(q->size)),
        .kick = s->kick[index],
        .call = s->call[index],
    };

    if (!q->ready || !ring.desc || !ring.avail || !ring.used)
        return -EFAULT;
    return vhost_set_ring(s->fd, index, &ring);
}

static void vhost_vsock_driver_ok(struct virtio *v)
{
    struct vhost_vsock *s = container_of(v, struct vhost_vsock, v);
    int r = vhost_set_features(s->fd, v->state.driver_features & s->host_features);

    if (!r)
        r = vhost_vsock_set_memory(s);
    for (unsigned i = 0; !r && i < VHOST_VSOCK_RINGS; i++)
        r = vhost_vsock_set_ring(s, i);
    if (!r)
        r = vhost_run_vsock(s->fd, true);
    s->running = !r;
    if (r == -EFAULT)
        virtio_fail(v, "rings that the host's kernel does not take");
    else if (r && !s->warned)
        log_warn("vhost-vsock: the host's kernel does not take it: %s", strerror(-r));
    s->warned |= r;
}

static void vhost_vsock_stop(struct vhost_vsock *s)
{
    if (s->running)
        vhost_run_vsock(s->fd, false);
    s->running = false;
}

static void vhost_vsock_reset(struct virtio *v)
{
    vhost_vsock_stop(container_of(v, struct vhost_vsock, v));
}

/* ---- Doorbells and interrupts ---- */

static void vhost_vsock_notify(struct virtio *v, unsigned index)
{
    struct vhost_vsock *s = container_of(v, struct vhost_vsock, v);

    if (index < VHOST_VSOCK_RINGS && s->running)
        eventfd_write(s->kick[index], 1);
}

static void vhost_vsock_called(void *arg, u32 events)
{
    struct vhost_vsock *s = arg;
    eventfd_t count;

    (void)events;
    for (unsigned i = 0; i < VHOST_VSOCK_RINGS; i++)
        if (eventfd_read(s->call[i], &count) == 0 && s->running)
            virtio_interrupt(&s->v, VIRTIO_ISR_QUEUE);
}

/* ---- Configuration space ---- */

static void vhost_vsock_config_read(struct virtio *v, unsigned offset, void *data, unsigned size)
{
    u8 config[VHOST_VSOCK_CONFIG_SIZE];

    store_le64(config, container_of(v, struct vhost_vsock, v)->cid);
    memcpy(data, config + offset, size);
}

/* ---- Set-up ---- */

static void vhost_vsock_free(struct device *dev)
{
    struct vhost_vsock *s = container_of(dev, struct vhost_vsock, v.dev);

    vhost_vsock_stop(s);
    for (unsigned i = 0; i < VHOST_VSOCK_RINGS; i++) {
        loop_fd_remove(s->watch[i]);
        if (s->kick[i] >= 0)
            close(s->kick[i]);
        if (s->call[i] >= 0)
            close(s->call[i]);
    }
    if (s->fd >= 0)
        close(s->fd);
    virtio_fini(&s->v);
    free(s);
}

static const struct device_ops vhost_vsock_device_ops = {
    .reset = virtio_device_reset,
    .free = vhost_vsock_free,
};

static const struct virtio_ops vhost_vsock_ops = {
    .id = VIRTIO_ID_VSOCK,
    .notify = vhost_vsock_notify,
    .config_read = vhost_vsock_config_read,
    .driver_ok = vhost_vsock_driver_ok,
    .reset = vhost_vsock_reset,
};

static bool vhost_vsock_make_events(struct vhost_vsock *s, struct error *err)
{
    for (unsigned i = 0; i < VHOST_VSOCK_RINGS; i++) {
        s->kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        s->call[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (s->call[i] >= 0)
            s->watch[i] =
                loop_fd_add(s->v.loop, s->call[i], EPOLLIN, &s->v.dev.lock, vhost_vsock_called, s);
        if (s->kick[i] < 0 || !s->watch[i])
            return error_set_errno(err, errno, "no descriptors for its events");
    }
    return true;
}

static bool vhost_vsock_open(struct vhost_vsock *s, const char *path, struct error *err)
{
    int r;

    s->fd = vhost_open(path, &s->host_features, err);
    if (s->fd < 0)
        return error_prefix(err,
                            "no vsock in this host's kernel (virtio-vsock-device needs none): ");
    r = vhost_set_vsock_cid(s->fd, s->cid);
    if (r == -EADDRINUSE)
        return error_set(err, "guest-cid: %u is the address of another guest", s->cid);
    return !r || error_set_errno(err, -r, "guest-cid: the host's kernel does not take %u", s->cid);
}

struct virtio *vhost_vsock_new(const struct vhost_vsock_config *config, struct error *err)
{
    struct vhost_vsock *s = xcalloc(1, sizeof(*s));

    s->ops = vhost_vsock_ops;
    s->cid = config->guest_cid;
    s->fd = -1;
    for (unsigned i = 0; i < VHOST_VSOCK_RINGS; i++)
        s->kick[i] = s->call[i] = -1;
    virtio_init(&s->v, "vhost-vsock", &vhost_vsock_device_ops, &s->ops, config->ram, config->loop);
    s->v.config_size = VHOST_VSOCK_CONFIG_SIZE;
    virtio_add_queues(&s->v, 3, VHOST_VSOCK_QUEUE_SIZE);
    if (vhost_vsock_open(s, config->path, err) && vhost_vsock_make_events(s, err)) {
        s->ops.features = s->host_features & VIRTIO_VSOCK_F_SEQPACKET;
        return &s->v;
    }
    vhost_vsock_free(&s->v.dev);
    return NULL;
}
