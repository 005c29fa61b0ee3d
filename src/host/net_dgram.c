/* SPDX-License-Identifier: MIT */
/* Frames as datagrams: UDP, multicast, or unix sockets; one a frame, without more around it. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/config.h"
#include "host/loop.h"
#include "host/net_kinds.h"

struct net_dgram {
    struct net net;
    int fd;
    struct loop_watch *watch;
    bool listening, blocked;
    struct net_address remote; /* size 0: the socket is connected */
    char *unlink_path;
};

static struct net_dgram *net_dgram_of(struct net *net)
{
    return container_of(net, struct net_dgram, net);
}

static void net_dgram_rewatch(struct net_dgram *d)
{
    loop_fd_modify(d->watch, (d->listening ? (u32)EPOLLIN : 0) | (d->blocked ? (u32)EPOLLOUT : 0));
}

static size_t net_dgram_receive(struct net *net, unsigned queue, const struct iovec *iov,
                                unsigned count)
{
    ssize_t n;

    (void)queue;
    do
        n = readv(net_dgram_of(net)->fd, iov, (int)count);
    while (n < 0 && (errno == EINTR || errno == ECONNREFUSED)); /* of a datagram sent before */
    return n > 0 ? (size_t)n : 0;
}

static bool net_dgram_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    struct net_dgram *d = net_dgram_of(net);
    struct msghdr message = {
        .msg_name = d->remote.size ? &d->remote.sockaddr : NULL,
        .msg_namelen = d->remote.size,
        .msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = count,
    };

    (void)queue;
    if (sendmsg(d->fd, &message, MSG_NOSIGNAL) >= 0 || errno != EAGAIN)
        return true; /* nobody there: dropped, as on a wire */
    d->blocked = true;
    net_dgram_rewatch(d);
    return false;
}

static void net_dgram_listen(struct net *net, unsigned queue, bool on)
{
    struct net_dgram *d = net_dgram_of(net);

    (void)queue;
    if (d->listening == on)
        return;
    d->listening = on;
    net_dgram_rewatch(d);
}

static void net_dgram_event(void *arg, u32 events)
{
    struct net_dgram *d = arg;

    if (d->blocked && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        d->blocked = false;
        net_dgram_rewatch(d);
        net_writable(&d->net, 0);
    }
    if (d->listening)
        net_readable(&d->net, 0);
    if (events & EPOLLHUP) /* the other end of a pair has gone, for ever: once is enough */
        loop_fd_modify(d->watch, EPOLLET);
}

static void net_dgram_free(struct net *net)
{
    struct net_dgram *d = net_dgram_of(net);

    loop_fd_remove(d->watch);
    if (d->fd >= 0)
        close(d->fd);
    if (d->unlink_path)
        unlink(d->unlink_path);
    free(d->unlink_path);
    free(d);
}

static const struct net_ops net_dgram_ops = {
    .receive = net_dgram_receive,
    .send = net_dgram_send,
    .listen = net_dgram_listen,
    .free = net_dgram_free,
};

/* ---- Making one ---- */

static bool net_dgram_is_multicast(const struct net_address *a)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&a->sockaddr;

    return in->sin_family == AF_INET && IN_MULTICAST(ntohl(in->sin_addr.s_addr));
}

/* All members bind the group's own address and port. */
static bool net_dgram_join(struct net_dgram *d, const struct net_address *local, struct error *err)
{
    const struct sockaddr_in *group = (const struct sockaddr_in *)(const void *)&d->remote.sockaddr;
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&local->sockaddr;
    struct ip_mreq request = { .imr_multiaddr = group->sin_addr };
    int one = 1;

    if (local->size)
        request.imr_interface = in->sin_addr;
    setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(d->fd, (const struct sockaddr *)group, sizeof(*group)) < 0 ||
        setsockopt(d->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)) < 0 ||
        setsockopt(d->fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof(one)) < 0)
        return error_set_errno(err, errno, "could not join the multicast group");
    if (local->size)
        setsockopt(d->fd, IPPROTO_IP, IP_MULTICAST_IF, &in->sin_addr, sizeof(in->sin_addr));
    return true;
}

static bool net_dgram_bind(struct net_dgram *d, const struct net_config *config,
                           const struct net_address *local, struct error *err)
{
    int one = 1;
    struct stat st;

    if (config->local.path && lstat(config->local.path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(config->local.path);
    if (!config->local.path)
        setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(d->fd, (const struct sockaddr *)&local->sockaddr, local->size) < 0)
        return error_set_errno(err, errno, "could not bind the local address");
    if (config->local.path)
        d->unlink_path = xstrdup(config->local.path);
    return true;
}

static bool net_dgram_make(struct net_dgram *d, const struct net_config *config, struct error *err)
{
    struct net_address local = { .size = 0 };
    bool has_local = config->local.path || config->local.port || config->local.host;

    if (!net_resolve(&config->remote, SOCK_DGRAM, false, &d->remote, err) ||
        (has_local && !net_resolve(&config->local, SOCK_DGRAM, true, &local, err)))
        return false;
    d->fd = socket(d->remote.sockaddr.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return error_set_errno(err, errno, "no socket");
    if (net_dgram_is_multicast(&d->remote))
        return net_dgram_join(d, &local, err);
    if (!local.size)
        return error_set(err, "a local address is needed: frames must find the way back");
    if (local.sockaddr.ss_family != d->remote.sockaddr.ss_family)
        return error_set(err, "the local and the remote address are of different kinds");
    return net_dgram_bind(d, config, &local, err);
}

struct net *net_dgram_open(const struct net_config *config, struct loop *loop, struct error *err)
{
    struct net_dgram *d = xcalloc(1, sizeof(*d));
    bool ok;

    d->net = (struct net){ .ops = &net_dgram_ops, .loop = loop, .queues = 1, .link_up = true };
    d->fd = -1;
    ok = config->fd_count ? net_adopt_fd(config->fds[0], err) : net_dgram_make(d, config, err);
    if (ok && config->fd_count)
        d->fd = config->fds[0];
    if (ok)
        d->watch = loop_fd_add(loop, d->fd, 0, NULL, net_dgram_event, d);
    if (ok && d->watch)
        return &d->net;
    if (ok)
        error_set_errno(err, errno, "file descriptor %d cannot be watched", d->fd);
    net_dgram_free(&d->net);
    return NULL;
}
