/* SPDX-License-Identifier: MIT */
/*
 * Frames over a stream socket, as QEMU, passt and others have them: each with its size before it, 4 bytes, big-endian.
 *
 * Frames are gathered in a buffer and written at the end of a batch, and read by the buffer. Without a peer the link is
 * down. A server takes one peer at a time; a client tries again when it was told to.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"
#include "host/loop.h"
#include "host/net_kinds.h"

#define NET_STREAM_SIZE     4u /* before each frame */
#define NET_STREAM_BUFFER   KIB(256)
#define NET_STREAM_NS_PER_S UINT64_C(1000000000)

/* Bytes [begin, end) of data wait. */
struct net_stream_buffer {
    size_t begin, end;
    u8 *data;
};

struct net_stream {
    struct net net;
    char *text; /* the option, for messages */
    int fd;     /* of the peer; -1: there is none */
    struct loop_watch *watch;
    int listen_fd;
    struct loop_watch *listen_watch;
    bool server, connecting, listening;
    bool blocked;  /* the socket took not all */
    bool starving; /* a frame had no room: `writable` is owed */
    bool broken;   /* the peer sent nonsense: to be closed */
    u64 reconnect_ns;
    struct timer timer; /* the next attempt; or the end of a peer that is broken */
    struct net_address address;
    char *unlink_path;
    struct net_stream_buffer in, out;
};

static struct net_stream *net_stream_of(struct net *net)
{
    return container_of(net, struct net_stream, net);
}

static void net_stream_event(void *arg, u32 events);

/* ---- The peer comes and goes ---- */

static bool net_stream_has_room(const struct net_stream *s)
{
    return s->in.end - s->in.begin < NET_STREAM_SIZE + NET_FRAME_MAX;
}

static void net_stream_rewatch(struct net_stream *s)
{
    if (s->watch)
        loop_fd_modify(s->watch, (s->listening && !s->connecting ? (u32)EPOLLIN : 0) |
                                     (s->blocked || s->connecting ? (u32)EPOLLOUT : 0));
}

static void net_stream_close(struct net_stream *s)
{
    loop_fd_remove(s->watch);
    s->watch = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->in.begin = s->in.end = s->out.begin = s->out.end = 0;
    s->blocked = s->connecting = s->broken = false;
}

static void net_stream_lost(struct net_stream *s)
{
    bool starving = s->starving;

    net_stream_close(s);
    s->starving = false;
    net_link(&s->net, false);
    if (s->listen_watch)
        loop_fd_modify(s->listen_watch, EPOLLIN);
    else if (s->reconnect_ns)
        timer_arm(&s->timer, loop_now(s->net.loop) + s->reconnect_ns);
    if (starving)
        net_writable(&s->net, 0);
}

static bool net_stream_watch(struct net_stream *s, int fd)
{
    s->fd = fd;
    s->watch = loop_fd_add(s->net.loop, fd, 0, NULL, net_stream_event, s);
    net_stream_rewatch(s);
    return s->watch;
}

static void net_stream_connected(struct net_stream *s)
{
    int one = 1;

    s->connecting = false;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* a unix socket refuses */
    net_stream_rewatch(s);
    net_link(&s->net, true);
}

static void net_stream_knock(void *arg, u32 events)
{
    struct net_stream *s = arg;
    int fd;

    (void)events;
    fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return; /* gone again before we looked */
    loop_fd_modify(s->listen_watch, 0);
    if (net_stream_watch(s, fd))
        net_stream_connected(s);
    else
        net_stream_lost(s);
}

/* One attempt to connect, without waiting for it. False with errno set. */
static bool net_stream_attempt(struct net_stream *s)
{
    const struct sockaddr *address = (const struct sockaddr *)&s->address.sockaddr;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    s->connecting = true;
    if (connect(fd, address, s->address.size) < 0 && errno != EINPROGRESS) {
        int saved = errno;

        close(fd);
        s->connecting = false;
        errno = saved;
        return false;
    }
    return net_stream_watch(s, fd);
}

static void net_stream_answered(struct net_stream *s)
{
    int error = 0;
    socklen_t size = sizeof(error);

    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (!error) {
        net_stream_connected(s);
        return;
    }
    if (!s->reconnect_ns)
        log_warn("%s: could not connect: %s", s->text, strerror(error));
    net_stream_lost(s);
}

/* ---- Frames to the peer ---- */

/* False when the peer has gone. */
static bool net_stream_drain(struct net_stream *s)
{
    struct net_stream_buffer *b = &s->out;
    bool blocked = false;

    while (b->begin < b->end && !blocked) {
        ssize_t n = send(s->fd, b->data + b->begin, b->end - b->begin, MSG_NOSIGNAL);

        if (n > 0)
            b->begin += (size_t)n;
        else if (errno == EAGAIN)
            blocked = true;
        else if (errno != EINTR)
            return false;
    }
    if (b->begin == b->end)
        b->begin = b->end = 0;
    if (blocked != s->blocked) {
        s->blocked = blocked;
        net_stream_rewatch(s);
    }
    return true;
}

static void net_stream_flush(struct net *net)
{
    struct net_stream *s = net_stream_of(net);

    /* A peer that has gone shows as an event, too: the card is in the middle of something now. */
    if (s->fd >= 0 && !s->connecting && !net_stream_drain(s))
        s->out.begin = s->out.end = 0;
}

static bool net_stream_fits(const struct net_stream *s, size_t size)
{
    return NET_STREAM_BUFFER - s->out.end >= NET_STREAM_SIZE + size;
}

static bool net_stream_send(struct net *net, unsigned queue, const struct iovec *iov,
                            unsigned count)
{
    struct net_stream *s = net_stream_of(net);
    struct net_stream_buffer *b = &s->out;
    size_t size = net_iov_size(iov, count);

    (void)queue;
    if (!net->link_up || size > NET_FRAME_MAX)
        return true;
    if (!net_stream_fits(s, size))
        net_stream_flush(net);
    if (!net_stream_fits(s, size) && b->begin) {
        memmove(b->data, b->data + b->begin, b->end - b->begin);
        b->end -= b->begin;
        b->begin = 0;
    }
    if (!net_stream_fits(s, size)) {
        s->starving = true;
        return false;
    }
    store_be32(b->data + b->end, (u32)size);
    net_iov_get(iov, count, 0, b->data + b->end + NET_STREAM_SIZE, size);
    b->end += NET_STREAM_SIZE + size;
    return true;
}

/* ---- Frames from the peer ---- */

/* The size of the first frame when it is there whole, else 0; a size that cannot be ends the connection. */
static size_t net_stream_next(const struct net_stream *s, bool *wrong)
{
    size_t have = s->in.end - s->in.begin, size;

    *wrong = false;
    if (have < NET_STREAM_SIZE)
        return 0;
    size = load_be32(s->in.data + s->in.begin);
    *wrong = size > NET_FRAME_MAX || size == 0;
    return *wrong || have - NET_STREAM_SIZE < size ? 0 : size;
}

static void net_stream_read(struct net_stream *s)
{
    struct net_stream_buffer *b = &s->in;
    ssize_t n;

    if (s->fd < 0 || s->connecting || s->broken || !net_stream_has_room(s))
        return;
    if (b->begin) {
        memmove(b->data, b->data + b->begin, b->end - b->begin);
        b->end -= b->begin;
        b->begin = 0;
    }
    n = recv(s->fd, b->data + b->end, NET_STREAM_BUFFER - b->end, 0);
    if (n > 0)
        b->end += (size_t)n;
}

static size_t net_stream_receive(struct net *net, unsigned queue, const struct iovec *iov,
                                 unsigned count)
{
    struct net_stream *s = net_stream_of(net);
    struct net_stream_buffer *b = &s->in;
    bool wrong;
    size_t size = net_stream_next(s, &wrong);

    (void)queue;
    if (!size && !wrong) {
        net_stream_read(s);
        size = net_stream_next(s, &wrong);
    }
    if (wrong && !s->broken) {
        log_warn("%s: the peer sent a frame of a size that cannot be; connection closed", s->text);
        s->broken = true;
        timer_arm(&s->timer, 0);
    }
    if (!size)
        return 0;
    net_iov_put(iov, count, 0, b->data + b->begin + NET_STREAM_SIZE, size);
    b->begin += NET_STREAM_SIZE + size;
    return size;
}

/* ---- Events ---- */

static void net_stream_listen(struct net *net, unsigned queue, bool on)
{
    struct net_stream *s = net_stream_of(net);

    (void)queue;
    if (s->listening == on)
        return;
    s->listening = on;
    net_stream_rewatch(s);
}

static bool net_stream_ended(const struct net_stream *s)
{
    u8 byte;
    ssize_t n = recv(s->fd, &byte, 1, MSG_PEEK);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void net_stream_event(void *arg, u32 events)
{
    struct net_stream *s = arg;

    if (s->connecting) {
        net_stream_answered(s);
        return;
    }
    if (s->broken || (s->blocked && !net_stream_drain(s)) ||
        (!s->listening && (events & (EPOLLHUP | EPOLLERR)))) {
        net_stream_lost(s);
        return;
    }
    if (s->starving && !s->blocked) {
        s->starving = false;
        net_writable(&s->net, 0);
    }
    if (s->listening && s->fd >= 0)
        net_readable(&s->net, 0);
    if (s->fd >= 0 && (events & (EPOLLHUP | EPOLLERR | EPOLLIN)) && net_stream_ended(s))
        net_stream_lost(s);
}

static void net_stream_timer(void *arg)
{
    struct net_stream *s = arg;

    if (s->fd >= 0)
        net_stream_event(s, 0);
    else if (!s->server && s->reconnect_ns && !net_stream_attempt(s))
        timer_arm(&s->timer, loop_now(s->net.loop) + s->reconnect_ns);
}

/* ---- Making one ---- */

static void net_stream_free(struct net *net)
{
    struct net_stream *s = net_stream_of(net);

    timer_cancel(&s->timer);
    net_stream_close(s);
    loop_fd_remove(s->listen_watch);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    if (s->unlink_path)
        unlink(s->unlink_path);
    free(s->unlink_path);
    free(s->text);
    free(s->in.data);
    free(s->out.data);
    free(s);
}

static const struct net_ops net_stream_ops = {
    .receive = net_stream_receive,
    .send = net_stream_send,
    .flush = net_stream_flush,
    .listen = net_stream_listen,
    .free = net_stream_free,
};

static bool net_stream_serve(struct net_stream *s, const struct net_config *config,
                             struct error *err)
{
    const struct sockaddr *address = (const struct sockaddr *)&s->address.sockaddr;
    int one = 1;
    struct stat st;

    if (config->local.path && lstat(config->local.path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(config->local.path);
    s->listen_fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listen_fd >= 0 && !config->local.path)
        setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (s->listen_fd < 0 || bind(s->listen_fd, address, s->address.size) < 0 ||
        listen(s->listen_fd, 1) < 0)
        return error_set_errno(err, errno, "could not listen");
    if (config->local.path)
        s->unlink_path = xstrdup(config->local.path);
    s->listen_watch = loop_fd_add(s->net.loop, s->listen_fd, EPOLLIN, NULL, net_stream_knock, s);
    return s->listen_watch || error_set_errno(err, errno, "could not listen");
}

static bool net_stream_start(struct net_stream *s, const struct net_config *config,
                             struct error *err)
{
    const struct net_address_config *a = config->server ? &config->local : &config->remote;

    if (config->fd_count) {
        if (!net_adopt_fd(config->fds[0], err))
            return false;
        if (!net_stream_watch(s, config->fds[0]))
            return error_set_errno(err, errno, "file descriptor %d", config->fds[0]);
        net_stream_connected(s);
        return true;
    }
    if (!net_resolve(a, SOCK_STREAM, config->server, &s->address, err))
        return false;
    if (config->server)
        return net_stream_serve(s, config, err);
    if (net_stream_attempt(s))
        return true;
    if (!s->reconnect_ns)
        return error_set_errno(err, errno, "could not connect");
    timer_arm(&s->timer, loop_now(s->net.loop) + s->reconnect_ns);
    return true;
}

struct net *net_stream_open(const struct net_config *config, struct loop *loop, struct error *err)
{
    struct net_stream *s = xcalloc(1, sizeof(*s));

    s->net = (struct net){ .ops = &net_stream_ops, .loop = loop, .queues = 1 };
    s->fd = s->listen_fd = -1;
    s->server = config->server;
    s->text = xstrdup(config->text);
    s->reconnect_ns = config->reconnect * NET_STREAM_NS_PER_S;
    s->in.data = xcalloc(1, NET_STREAM_BUFFER);
    s->out.data = xcalloc(1, NET_STREAM_BUFFER);
    timer_init(&s->timer, loop, NULL, net_stream_timer, s);
    if (net_stream_start(s, config, err))
        return &s->net;
    net_stream_free(&s->net);
    return NULL;
}
