/* SPDX-License-Identifier: MIT */
/*
 * A tap device of the host's kernel: frames go to its network stack, or to a bridge. Linux
 * Documentation/networking/tuntap.rst, and the TUN ioctls of <linux/if_tun.h>.
 *
 * Each queue pair of the card is a descriptor of its own. Frames are read and written with the virtio_net_hdr of the
 * card where the kernel can (IFF_VNET_HDR), so that large segments and open checksums pass through.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"
#include "host/loop.h"
#include "host/net_kinds.h"

#define NET_TAP_NODE       "/dev/net/tun"
#define NET_TAP_UP         "/etc/qemu-ifup"
#define NET_TAP_DOWN       "/etc/qemu-ifdown"
#define NET_TAP_HEADER_MIN 10 /* struct virtio_net_hdr */

struct net_tap;

struct net_tap_queue {
    struct net_tap *tap;
    unsigned index;
    int fd;
    struct loop_watch *watch;
    bool listening;
    bool blocked; /* a write was refused: the kernel has no room */
};

struct net_tap {
    struct net net;
    char name[IFNAMSIZ];
    char *downscript; /* NULL: none */
    struct net_tap_queue queues[NET_QUEUES_MAX];
};

static struct net_tap *net_tap_of(struct net *net)
{
    return container_of(net, struct net_tap, net);
}

/* ---- Frames ---- */

static void net_tap_rewatch(struct net_tap_queue *q)
{
    loop_fd_modify(q->watch, (q->listening ? (u32)EPOLLIN : 0) | (q->blocked ? (u32)EPOLLOUT : 0));
}

static size_t net_tap_receive(struct net *net, unsigned queue, const struct iovec *iov,
                              unsigned count)
{
    ssize_t n = readv(net_tap_of(net)->queues[queue].fd, iov, (int)count);

    return n > 0 ? (size_t)n : 0;
}

static bool net_tap_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    struct net_tap_queue *q = &net_tap_of(net)->queues[queue];
    ssize_t n = writev(q->fd, iov, (int)count);

    if (n >= 0 || errno != EAGAIN)
        return true; /* a frame that the kernel finds wrong, or a device that is down: dropped */
    q->blocked = true;
    net_tap_rewatch(q);
    return false;
}

static void net_tap_event(void *arg, u32 events)
{
    struct net_tap_queue *q = arg;

    if (q->blocked && (events & (EPOLLOUT | EPOLLERR))) {
        q->blocked = false;
        net_tap_rewatch(q);
        net_writable(&q->tap->net, q->index);
    }
    if (q->listening && (events & EPOLLIN))
        net_readable(&q->tap->net, q->index);
    if ((events & EPOLLERR) && !(events & EPOLLIN)) {
        /* The device was removed: it is told once. */
        loop_fd_modify(q->watch, EPOLLET);
        net_link(&q->tap->net, false);
    }
}

static void net_tap_listen(struct net *net, unsigned queue, bool on)
{
    struct net_tap_queue *q = &net_tap_of(net)->queues[queue];

    if (q->listening == on)
        return;
    q->listening = on;
    net_tap_rewatch(q);
}

/* ---- Offloads ---- */

static bool net_tap_set_header(struct net *net, unsigned size)
{
    int bytes = (int)size;

    for (unsigned i = 0; i < net->queues; i++)
        if (ioctl(net_tap_of(net)->queues[i].fd, TUNSETVNETHDRSZ, &bytes) < 0)
            return false;
    return true;
}

static unsigned long net_tap_flags(const struct net_offloads *o)
{
    if (!o->csum)
        return 0;
    return TUN_F_CSUM | (o->tso4 ? TUN_F_TSO4 : 0) | (o->tso6 ? TUN_F_TSO6 : 0) |
           ((o->tso4 || o->tso6) && o->ecn ? TUN_F_TSO_ECN : 0) | (o->ufo ? TUN_F_UFO : 0);
}

static void net_tap_set_offloads(struct net *net, const struct net_offloads *offloads)
{
    if (!net->has_header)
        return;
    for (unsigned i = 0; i < net->queues; i++)
        if (ioctl(net_tap_of(net)->queues[i].fd, TUNSETOFFLOAD, net_tap_flags(offloads)) < 0)
            LOG(LOG_UNIMP, "tap: offloads 0x%lx refused", net_tap_flags(offloads));
}

/* The kernel spreads flows over the queues that are attached. */
static void net_tap_set_queues(struct net *net, unsigned count)
{
    struct net_tap *tap = net_tap_of(net);
    struct ifreq request;

    for (unsigned i = 1; i < net->queues; i++) {
        memset(&request, 0, sizeof(request));
        request.ifr_flags = i < count ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
        ioctl(tap->queues[i].fd, TUNSETQUEUE, &request); /* EINVAL: it is so already */
    }
}

/* ---- Scripts ---- */

static bool net_tap_run(const char *script, const char *name, struct error *err)
{
    extern char **environ;
    const char *argv[] = { script, name, NULL };
    posix_spawnattr_t attributes;
    sigset_t none;
    int status = 0, r;
    pid_t pid;

    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    r = posix_spawn(&pid, script, NULL, &attributes, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attributes);
    if (r != 0)
        return error_set_errno(err, r, "could not start the network script '%s' (script=no: none)",
                               script);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return error_set(err, "the network script '%s %s' failed with status %d", script, name,
                         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return true;
}

/* ---- Making one ---- */

static void net_tap_free(struct net *net)
{
    struct net_tap *tap = net_tap_of(net);
    struct error err;

    if (tap->downscript && !net_tap_run(tap->downscript, tap->name, &err))
        log_warn("%s", err.text);
    for (unsigned i = 0; i < NET_QUEUES_MAX; i++) {
        loop_fd_remove(tap->queues[i].watch);
        if (tap->queues[i].fd >= 0)
            close(tap->queues[i].fd);
    }
    free(tap->downscript);
    free(tap);
}

static const struct net_ops net_tap_ops = {
    .receive = net_tap_receive,
    .send = net_tap_send,
    .listen = net_tap_listen,
    .set_header = net_tap_set_header,
    .set_offloads = net_tap_set_offloads,
    .set_queues = net_tap_set_queues,
    .free = net_tap_free,
};

/* One descriptor of the device `tap->name`, which the first one of them creates. */
static bool net_tap_create(struct net_tap *tap, const struct net_config *config,
                           struct net_tap_queue *q, struct error *err)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    unsigned features = 0;

    q->fd = open(NET_TAP_NODE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (q->fd < 0)
        return error_set_errno(err, errno, "could not open %s", NET_TAP_NODE);
    if (ioctl(q->fd, TUNGETFEATURES, &features) == 0 && (features & IFF_VNET_HDR) &&
        config->vnet_hdr != OOA_OFF)
        request.ifr_flags |= IFF_VNET_HDR;
    if (config->queues > 1)
        request.ifr_flags |= IFF_MULTI_QUEUE;
    memcpy(request.ifr_name, tap->name, sizeof(request.ifr_name));
    if (ioctl(q->fd, TUNSETIFF, &request) < 0)
        return error_set_errno(err, errno, "could not configure %s (%s)", NET_TAP_NODE,
                               tap->name[0] ? tap->name : "new device");
    memcpy(tap->name, request.ifr_name, sizeof(tap->name));
    return true;
}

/* A descriptor that was opened for us: what it is, is asked. */
static bool net_tap_adopt(struct net_tap *tap, struct net_tap_queue *q, int fd, struct error *err)
{
    struct ifreq request = { .ifr_flags = 0 };

    if (!net_adopt_fd(fd, err))
        return false;
    if (ioctl(fd, TUNGETIFF, &request) < 0 || !(request.ifr_flags & IFF_TAP))
        return error_set(err, "file descriptor %d is not a tap device", fd);
    q->fd = fd;
    memcpy(tap->name, request.ifr_name, sizeof(tap->name));
    return true;
}

static bool net_tap_add_queue(struct net_tap *tap, const struct net_config *config, unsigned i,
                              struct error *err)
{
    struct net_tap_queue *q = &tap->queues[i];
    int sndbuf = (int)config->sndbuf;
    bool ok = config->fd_count ? net_tap_adopt(tap, q, config->fds[i], err)
                               : net_tap_create(tap, config, q, err);

    if (!ok)
        return false;
    if (sndbuf && ioctl(q->fd, TUNSETSNDBUF, &sndbuf) < 0)
        return error_set_errno(err, errno, "sndbuf=%d", sndbuf);
    q->watch = loop_fd_add(tap->net.loop, q->fd, 0, NULL, net_tap_event, q);
    return q->watch || error_set_errno(err, errno, "file descriptor %d cannot be watched", q->fd);
}

/* What the kernel can, by trying. */
static bool net_tap_probe(struct net_tap *tap, const struct net_config *config, struct error *err)
{
    struct ifreq request = { .ifr_flags = 0 };
    int size = NET_TAP_HEADER_MIN, fd = tap->queues[0].fd;

    tap->net.has_header = config->vnet_hdr != OOA_OFF && ioctl(fd, TUNGETIFF, &request) == 0 &&
                          (request.ifr_flags & IFF_VNET_HDR) &&
                          ioctl(fd, TUNSETVNETHDRSZ, &size) == 0;
    if (config->vnet_hdr == OOA_ON && !tap->net.has_header)
        return error_set(err, "vnet_hdr=on: the kernel, or the descriptor given, has no support");
    if (!tap->net.has_header && (request.ifr_flags & IFF_VNET_HDR))
        return error_set(err, "vnet_hdr=off: the descriptor given was opened with IFF_VNET_HDR");
    if (tap->net.has_header) {
        tap->net.has_ufo = ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_UFO)) == 0;
        ioctl(fd, TUNSETOFFLOAD, 0ul);
    }
    return true;
}

static bool net_tap_scripts(struct net_tap *tap, const struct net_config *config, struct error *err)
{
    const char *up = config->script ? config->script : NET_TAP_UP;
    const char *down = config->downscript ? config->downscript : NET_TAP_DOWN;

    if (config->fd_count)
        return true;
    if (strcmp(up, "no") && *up && !net_tap_run(up, tap->name, err))
        return false;
    if (strcmp(down, "no") && *down)
        tap->downscript = xstrdup(down);
    return true;
}

static bool net_tap_build(struct net_tap *tap, const struct net_config *config, struct error *err)
{
    if (config->ifname && strlen(config->ifname) >= IFNAMSIZ)
        return error_set(err, "ifname=%s: at most %d characters", config->ifname, IFNAMSIZ - 1);
    if (config->vhost && access("/dev/vhost-net", R_OK | W_OK) < 0)
        return error_set_errno(err, errno, "vhost=on: could not open /dev/vhost-net");
    if (config->vhost)
        log_warn("%s: vhost=on: frames are carried by mote itself", config->text);
    memcpy(tap->name, config->ifname ? config->ifname : "tap%d",
           strlen(config->ifname ? config->ifname : "tap%d"));
    for (unsigned i = 0; i < tap->net.queues; i++)
        if (!net_tap_add_queue(tap, config, i, err))
            return false;
    return net_tap_probe(tap, config, err) && net_tap_scripts(tap, config, err);
}

struct net *net_tap_open(const struct net_config *config, struct loop *loop, struct error *err)
{
    struct net_tap *tap = xcalloc(1, sizeof(*tap));

    tap->net = (struct net){ .ops = &net_tap_ops, .loop = loop, .link_up = true };
    tap->net.queues = config->fd_count ? config->fd_count : MAX(config->queues, 1u);
    for (unsigned i = 0; i < NET_QUEUES_MAX; i++)
        tap->queues[i] = (struct net_tap_queue){ .tap = tap, .index = i, .fd = -1 };
    if (net_tap_build(tap, config, err))
        return &tap->net;
    net_tap_free(&tap->net);
    return NULL;
}
