/* SPDX-License-Identifier: MIT */
/* Network backends: which one a configuration means, and what those over sockets share. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/un.h>

#include "cli/config.h"
#include "host/net.h"
#include "host/net_kinds.h"

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
