/* SPDX-License-Identifier: MIT */
/* Network backends: what they have in common. */
#include "host/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/un.h>

#include "base/bits.h"
#include "cli/config.h"
#include "host/net_kinds.h"

/* Of a socket given by its number only itself can tell. */
static bool net_is_dgram(const struct net_config *config)
{
    int type = 0;
    socklen_t size = sizeof(type);

    return config->fd_count && !getsockopt(config->fds[0], SOL_SOCKET, SO_TYPE, &type, &size) &&
           type == SOCK_DGRAM;
}

struct net *net_open(const struct net_config *config, struct loop *loop, struct error *err)
{
    switch (config->kind) {
    case NET_TAP: return net_tap_open(config, loop, err);
    case NET_USER: return net_user_open(config, loop, err);
    case NET_STREAM:
        if (!net_is_dgram(config))
            return net_stream_open(config, loop, err);
        return net_dgram_open(config, loop, err);
    case NET_DGRAM: return net_dgram_open(config, loop, err);
    }
    return NULL;
}

void net_free(struct net *net)
{
    if (net)
        net->ops->free(net);
}

/* ---- The card's calls ---- */

void net_attach(struct net *net, const struct net_frontend *frontend)
{
    net->frontend = *frontend;
}

void net_listen(struct net *net, unsigned queue, bool on)
{
    net->ops->listen(net, queue, on);
}

bool net_set_header(struct net *net, unsigned size)
{
    return net->ops->set_header ? net->ops->set_header(net, size) : size == 0;
}

void net_set_offloads(struct net *net, const struct net_offloads *offloads)
{
    if (net->ops->set_offloads)
        net->ops->set_offloads(net, offloads);
}

void net_set_queues(struct net *net, unsigned count)
{
    if (net->ops->set_queues)
        net->ops->set_queues(net, count);
}

size_t net_receive(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    return net->ops->receive(net, queue, iov, count);
}

bool net_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    return net->ops->send(net, queue, iov, count);
}

void net_flush(struct net *net)
{
    if (net->ops->flush)
        net->ops->flush(net);
}

/* ---- The backends' calls ---- */

void net_readable(struct net *net, unsigned queue)
{
    if (net->frontend.readable)
        net->frontend.readable(net->frontend.arg, queue);
}

void net_writable(struct net *net, unsigned queue)
{
    if (net->frontend.writable)
        net->frontend.writable(net->frontend.arg, queue);
}

void net_link(struct net *net, bool up)
{
    if (net->link_up == up)
        return;
    net->link_up = up;
    if (net->frontend.link)
        net->frontend.link(net->frontend.arg, up);
}

/* ---- Buffers ---- */

static size_t net_iov_copy(const struct iovec *iov, unsigned count, size_t offset, u8 *data,
                           size_t size, bool put)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < size; i++) {
        size_t n = iov[i].iov_len;

        if (offset >= n) {
            offset -= n;
            continue;
        }
        n = MIN(n - offset, size - done);
        if (put)
            memcpy((u8 *)iov[i].iov_base + offset, data + done, n);
        else
            memcpy(data + done, (u8 *)iov[i].iov_base + offset, n);
        done += n;
        offset = 0;
    }
    return done;
}

size_t net_iov_get(const struct iovec *iov, unsigned count, size_t offset, void *data, size_t size)
{
    return net_iov_copy(iov, count, offset, data, size, false);
}

size_t net_iov_put(const struct iovec *iov, unsigned count, size_t offset, const void *data,
                   size_t size)
{
    /* Only read from. */
    return net_iov_copy(iov, count, offset, (u8 *)(uintptr_t)data, size, true);
}

size_t net_iov_size(const struct iovec *iov, unsigned count)
{
    size_t size = 0;

    for (unsigned i = 0; i < count; i++)
        size += iov[i].iov_len;
    return size;
}

/* ---- Sockets ---- */

static bool net_resolve_unix(const char *path, struct net_address *address, struct error *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)&address->sockaddr;
    size_t length = strlen(path);

    if (length >= sizeof(un->sun_path))
        return error_set(err, "the socket's path '%s' is too long: at most %zu bytes", path,
                         sizeof(un->sun_path) - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, length);
    address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return true;
}

bool net_resolve(const struct net_address_config *config, int socktype, bool passive,
                 struct net_address *address, struct error *err)
{
    struct addrinfo hints = { .ai_socktype = socktype, .ai_flags = passive ? AI_PASSIVE : 0 };
    const char *host = config->host && *config->host ? config->host : NULL;
    struct addrinfo *list;
    int r;

    *address = (struct net_address){ .size = 0 };
    if (config->path)
        return net_resolve_unix(config->path, address, err);
    if (config->ipv4 != config->ipv6)
        hints.ai_family = config->ipv4 ? AF_INET : AF_INET6;
    r = getaddrinfo(host, config->port ? config->port : "0", &hints, &list);
    if (r != 0)
        return error_set(err, "cannot resolve '%s:%s': %s", host ? host : "",
                         config->port ? config->port : "", gai_strerror(r));
    memcpy(&address->sockaddr, list->ai_addr, list->ai_addrlen);
    address->size = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

bool net_adopt_fd(int fd, struct error *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return error_set_errno(err, errno, "file descriptor %d cannot be used", fd);
    return true;
}
