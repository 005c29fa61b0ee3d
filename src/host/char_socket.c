/* SPDX-License-Identifier: MIT */
/*
 * Character backends over stream sockets, unix(7) and tcp(7): server or client, one connection at a
 * time, optionally telnet.
 *
 * A server listens again when its client has gone. A client that may reconnect goes round the
 * addresses that its host name had at the start, one for each attempt.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"
#include "host/char.h"
#include "host/char_kinds.h"
#include "host/char_stream.h"
#include "host/char_telnet.h"

#define CHAR_SOCKET_ADDRESSES 8
#define CHAR_SOCKET_BACKLOG   1
#define CHAR_SOCKET_NS_PER_S  UINT64_C(1000000000)

struct char_address {
    struct sockaddr_storage sockaddr;
    socklen_t size;
};

struct char_socket {
    struct char_stream stream;
    unsigned address_count;
    unsigned address; /* the next one to try */
    struct char_address addresses[CHAR_SOCKET_ADDRESSES];
    char *name;        /* for messages */
    char *unlink_path; /* a server's unix socket, removed at the end */
    int listen_fd;
    struct loop_watch *listen_watch;
    int connect_fd; /* an attempt under way */
    struct loop_watch *connect_watch;
    u64 reconnect_ns; /* 0: do not */
    struct timer retry;
    bool is_telnet;
    struct char_telnet telnet;
};

static struct char_socket *char_socket_of(struct char_stream *stream)
{
    return container_of(stream, struct char_socket, stream);
}

static void char_socket_connected(struct char_socket *sock, int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
               sizeof(one)); /* a unix socket refuses; no harm */
    char_stream_connect_both(&sock->stream, fd);
    sock->telnet = (struct char_telnet){ TELNET_DATA };
    if (sock->is_telnet)
        char_stream_say(&sock->stream, char_telnet_greeting, char_telnet_greeting_size);
}

/* ---- Server ---- */

static void char_socket_accept(struct char_socket *sock)
{
    int fd = accept4(sock->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return; /* gone again before we looked */
    loop_fd_remove(sock->listen_watch);
    sock->listen_watch = NULL;
    char_socket_connected(sock, fd);
}

static void char_socket_knock(void *arg, u32 events)
{
    struct char_socket *sock = arg;

    (void)events;
    chardev_lock(&sock->stream.chr);
    char_socket_accept(sock);
    chardev_unlock(&sock->stream.chr);
}

static void char_socket_listen_on(struct char_socket *sock)
{
    sock->listen_watch =
        loop_fd_add(sock->stream.loop, sock->listen_fd, EPOLLIN, NULL, char_socket_knock, sock);
}

/*
 * A socket file that a killed process left would be in the way; other files are not ours to remove.
 */
static void char_socket_remove_stale(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

static int char_socket_bind(const struct char_address *a)
{
    int fd = socket(a->sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1, saved;

    if (fd < 0)
        return -1;
    if (a->sockaddr.ss_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&a->sockaddr, a->size) == 0 &&
        listen(fd, CHAR_SOCKET_BACKLOG) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static void char_socket_wait_client(struct char_socket *sock)
{
    struct pollfd p = { .fd = sock->listen_fd, .events = POLLIN };

    log_error("waiting for a connection on %s", sock->name);
    while (sock->stream.in_fd < 0) {
        poll(&p, 1, -1);
        char_socket_accept(sock);
    }
}

static bool char_socket_start_server(struct char_socket *sock, const struct chardev_config *config,
                                     struct error *err)
{
    if (config->path)
        char_socket_remove_stale(config->path);
    for (unsigned i = 0; i < sock->address_count && sock->listen_fd < 0; i++)
        sock->listen_fd = char_socket_bind(&sock->addresses[i]);
    if (sock->listen_fd < 0)
        return error_set_errno(err, errno, "could not listen on %s", sock->name);
    if (config->path)
        sock->unlink_path = xstrdup(config->path);
    char_socket_listen_on(sock);
    if (config->wait)
        char_socket_wait_client(sock);
    return true;
}

/* ---- Client ---- */

static void char_socket_retry_later(struct char_socket *sock)
{
    if (sock->reconnect_ns)
        timer_arm(&sock->retry, loop_now(sock->stream.loop) + sock->reconnect_ns);
}

static void char_socket_end_attempt(struct char_socket *sock)
{
    loop_fd_remove(sock->connect_watch);
    sock->connect_watch = NULL;
    if (sock->connect_fd >= 0)
        close(sock->connect_fd);
    sock->connect_fd = -1;
}

static void char_socket_answered(void *arg, u32 events)
{
    struct char_socket *sock = arg;
    int error = 0, fd;
    socklen_t size = sizeof(error);

    (void)events;
    chardev_lock(&sock->stream.chr);
    getsockopt(sock->connect_fd, SOL_SOCKET, SO_ERROR, &error, &size);
    fd = error ? -1 : fcntl(sock->connect_fd, F_DUPFD_CLOEXEC, 3);
    char_socket_end_attempt(sock);
    if (fd >= 0)
        char_socket_connected(sock, fd);
    else
        char_socket_retry_later(sock);
    chardev_unlock(&sock->stream.chr);
}

/* One attempt, without waiting for it. */
static void char_socket_attempt(void *arg)
{
    struct char_socket *sock = arg;
    const struct char_address *a = &sock->addresses[sock->address++ % sock->address_count];
    int fd = socket(a->sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    chardev_lock(&sock->stream.chr);
    sock->connect_fd = fd;
    if (fd >= 0 &&
        (connect(fd, (const struct sockaddr *)&a->sockaddr, a->size) == 0 || errno == EINPROGRESS))
        sock->connect_watch =
            loop_fd_add(sock->stream.loop, fd, EPOLLOUT, NULL, char_socket_answered, sock);
    if (!sock->connect_watch) {
        char_socket_end_attempt(sock);
        char_socket_retry_later(sock);
    }
    chardev_unlock(&sock->stream.chr);
}

/* One attempt at each address, waiting for it. */
static int char_socket_connect_now(struct char_socket *sock)
{
    int fd = -1, saved = 0;

    for (unsigned i = 0; i < sock->address_count; i++) {
        const struct char_address *a = &sock->addresses[i];

        fd = socket(a->sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&a->sockaddr, a->size) == 0)
            return fd;
        saved = errno;
        if (fd >= 0)
            close(fd);
    }
    errno = saved;
    return -1;
}

static bool char_socket_start_client(struct char_socket *sock, struct error *err)
{
    int fd;

    if (sock->reconnect_ns) {
        timer_arm(&sock->retry, 0);
        return true;
    }
    fd = char_socket_connect_now(sock);
    if (fd < 0)
        return error_set_errno(err, errno, "could not connect to %s", sock->name);
    char_stream_nonblock(fd);
    char_socket_connected(sock, fd);
    return true;
}

/* ---- Addresses ---- */

static bool char_socket_set_unix(struct char_socket *sock, const struct chardev_config *config,
                                 struct error *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)&sock->addresses[0].sockaddr;
    size_t length = strlen(config->path);

    if (length >= sizeof(un->sun_path))
        return error_set(err, "the socket's path '%s' is too long: at most %zu bytes", config->path,
                         sizeof(un->sun_path) - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, config->path, length);
    sock->addresses[0].size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    sock->address_count = 1;
    return true;
}

static bool char_socket_set_tcp(struct char_socket *sock, const struct chardev_config *config,
                                struct error *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = config->server ? AI_PASSIVE : 0 };
    const char *host = config->host && *config->host ? config->host : NULL;
    struct addrinfo *list;
    int r = getaddrinfo(host, config->port, &hints, &list);

    if (r != 0)
        return error_set(err, "cannot resolve %s: %s", sock->name, gai_strerror(r));
    for (struct addrinfo *ai = list; ai && sock->address_count < CHAR_SOCKET_ADDRESSES;
         ai = ai->ai_next) {
        struct char_address *a = &sock->addresses[sock->address_count++];

        memcpy(&a->sockaddr, ai->ai_addr, ai->ai_addrlen);
        a->size = ai->ai_addrlen;
    }
    freeaddrinfo(list);
    return true;
}

/* "unix:PATH" or "tcp:HOST:PORT" */
static char *char_socket_name(const struct chardev_config *config)
{
    const char *parts[] = { config->path ? "unix:" : "tcp:",
                            config->path   ? config->path
                            : config->host ? config->host
                                           : "",
                            config->path ? "" : ":", config->path ? "" : config->port };
    size_t size = 1;
    char *name;

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        size += strlen(parts[i]);
    name = xcalloc(size, 1);
    for (size_t i = 0, used = 0; i < ARRAY_SIZE(parts); used += strlen(parts[i++]))
        memcpy(name + used, parts[i], strlen(parts[i]));
    return name;
}

/* ---- Stream and life ---- */

static void char_socket_hangup(struct char_stream *stream)
{
    struct char_socket *sock = char_socket_of(stream);

    if (sock->listen_fd >= 0)
        char_socket_listen_on(sock);
    else
        char_socket_retry_later(sock);
}

static size_t char_socket_decode(struct char_stream *stream, u8 *data, size_t size)
{
    struct char_socket *sock = char_socket_of(stream);
    unsigned breaks = 0;

    size = char_telnet_decode(&sock->telnet, data, size, &breaks);
    while (breaks--)
        chardev_event(&stream->chr, CHARDEV_BREAK);
    return size;
}

static bool char_socket_doubles(struct char_stream *stream, u8 byte)
{
    (void)stream;
    return byte == TELNET_IAC;
}

static void char_socket_free(struct chardev *chr)
{
    struct char_socket *sock = container_of(chr, struct char_socket, stream.chr);

    char_stream_fini(&sock->stream);
    timer_cancel(&sock->retry);
    char_socket_end_attempt(sock);
    loop_fd_remove(sock->listen_watch);
    if (sock->listen_fd >= 0)
        close(sock->listen_fd);
    if (sock->unlink_path)
        unlink(sock->unlink_path);
    free(sock->unlink_path);
    free(sock->name);
    free(sock);
}

static const struct chardev_ops char_socket_ops = {
    .kind = "socket",
    .write = char_stream_write,
    .resume = char_stream_resume,
    .attached = char_stream_attached,
    .free = char_socket_free,
};

static const struct char_stream_ops char_socket_stream_ops = {
    .hangup = char_socket_hangup,
};

static const struct char_stream_ops char_socket_telnet_ops = {
    .hangup = char_socket_hangup,
    .decode = char_socket_decode,
    .doubles = char_socket_doubles,
};

static bool char_socket_start(struct char_socket *sock, const struct chardev_config *config,
                              struct error *err)
{
    bool ok = config->kind == CHARDEV_SOCKET_UNIX ? char_socket_set_unix(sock, config, err)
                                                  : char_socket_set_tcp(sock, config, err);

    if (!ok)
        return false;
    return config->server ? char_socket_start_server(sock, config, err)
                          : char_socket_start_client(sock, err);
}

struct chardev *char_socket_open(const struct chardev_config *config, struct loop *loop,
                                 struct error *err)
{
    struct char_socket *sock = xcalloc(1, sizeof(*sock));

    char_stream_init(&sock->stream, &char_socket_ops,
                     config->telnet ? &char_socket_telnet_ops : &char_socket_stream_ops, config,
                     loop);
    timer_init(&sock->retry, loop, NULL, char_socket_attempt, sock);
    sock->listen_fd = -1;
    sock->connect_fd = -1;
    sock->name = char_socket_name(config);
    sock->is_telnet = config->telnet;
    sock->reconnect_ns = config->reconnect * CHAR_SOCKET_NS_PER_S;
    if (!char_socket_start(sock, config, err)) {
        char_socket_free(&sock->stream.chr);
        return NULL;
    }
    return &sock->stream.chr;
}
