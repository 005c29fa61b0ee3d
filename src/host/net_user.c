/* SPDX-License-Identifier: MIT */
/*
 * A network in user space, by libslirp: the guest's connections become sockets of this process, so it needs no rights
 * and no set-up. DHCP, DNS and forwarded ports come with it.
 *
 * libslirp works on whole frames and calls back with whole frames, which wait in a buffer until the card takes them.
 * Open checksums of the guest are filled in before. Long TCP segments are given to it as they are, which it takes as
 * one packet. On the way to the guest, segments that follow each other are joined when the guest accepts it.
 *
 * Its sockets are watched by an epoll of their own, which the loop watches.
 */
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"
#include "host/loop.h"
#include "host/net_frame.h"
#include "host/net_kinds.h"

#define NET_USER_BUFFER    MIB(4)
#define NET_USER_HIGH      MIB(1) /* sockets are not read while more than this waits for the guest */
#define NET_USER_SIZE      4u     /* before each frame in the buffer: its size */
#define NET_USER_MTU       1500u
#define NET_USER_SLIRP_MTU 65521u /* the most: it takes and gives whole segments of TCP */
#define NET_USER_EVENTS    64
#define NET_USER_FDS_FIRST 64u
#define NET_USER_NS_PER_MS UINT64_C(1000000)

struct net_user_fd {
    u32 wanted; /* EPOLL*, in this round */
    u32 armed;  /* what the epoll knows */
    u32 got;
    bool listed;
};

struct net_user_timer {
    struct net_user *user;
    struct timer timer;
    SlirpTimerId id;
    void *arg;
};

struct net_user {
    struct net net;
    Slirp *slirp;
    SlirpCb callbacks;
    int epoll_fd;
    struct loop_watch *watch;
    struct timer timer; /* when libslirp wants to be called again */
    bool listening, paused, fresh;
    unsigned header; /* bytes before frames */
    struct net_offloads offloads;
    unsigned fd_size; /* entries of fds */
    struct net_user_fd *fds;
    unsigned listed_count;
    int *listed; /* descriptors with wanted or armed events */
    size_t begin, end;
    u8 *buffer;              /* frames for the guest */
    u8 frame[NET_FRAME_MAX]; /* from the guest */
    u8 piece[NET_FRAME_MAX]; /* of it */
    u8 cut[NET_FRAME_MAX];   /* of one to the guest */
};

static struct net_user *net_user_of(struct net *net)
{
    return container_of(net, struct net_user, net);
}

/* ---- Descriptors ---- */

static void net_user_grow(struct net_user *u, unsigned fd)
{
    unsigned size = u->fd_size ? u->fd_size : NET_USER_FDS_FIRST;
    struct net_user_fd *fds;
    int *listed;

    while (size <= fd)
        size *= 2;
    if (size == u->fd_size)
        return;
    fds = xcalloc(size, sizeof(*fds));
    listed = xcalloc(size, sizeof(*listed));
    if (u->fd_size) {
        memcpy(fds, u->fds, u->fd_size * sizeof(*fds));
        memcpy(listed, u->listed, u->listed_count * sizeof(*listed));
    }
    free(u->fds);
    free(u->listed);
    u->fds = fds;
    u->listed = listed;
    u->fd_size = size;
}

static const struct {
    u32 epoll;
    int slirp;
} net_user_events[] = {
    { EPOLLIN, SLIRP_POLL_IN },   { EPOLLOUT, SLIRP_POLL_OUT }, { EPOLLPRI, SLIRP_POLL_PRI },
    { EPOLLERR, SLIRP_POLL_ERR }, { EPOLLHUP, SLIRP_POLL_HUP },
};

static int net_user_add_poll(int fd, int events, void *opaque)
{
    struct net_user *u = opaque;
    struct net_user_fd *f;

    net_user_grow(u, (unsigned)fd);
    f = &u->fds[fd];
    for (size_t i = 0; i < ARRAY_SIZE(net_user_events); i++)
        if (events & net_user_events[i].slirp)
            f->wanted |= net_user_events[i].epoll;
    if (!f->listed)
        u->listed[u->listed_count++] = fd;
    f->listed = true;
    return fd;
}

static int net_user_get_events(int fd, void *opaque)
{
    const struct net_user *u = opaque;
    int events = 0;

    if (fd < 0 || (unsigned)fd >= u->fd_size)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(net_user_events); i++)
        if (u->fds[fd].got & net_user_events[i].epoll)
            events |= net_user_events[i].slirp;
    return events;
}

/* A descriptor may have been closed and opened anew behind our back: the epoll forgets closed ones by itself. */
static void net_user_arm(struct net_user *u, int fd, struct net_user_fd *f)
{
    struct epoll_event event = { .events = f->wanted, .data.fd = fd };

    if (!f->wanted)
        epoll_ctl(u->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(u->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
        epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    f->armed = f->wanted;
}

/* Let the epoll wait for what libslirp waits for, and the timer, too. */
static void net_user_refill(struct net_user *u)
{
    u32 timeout = UINT32_MAX;
    unsigned kept = 0;

    for (unsigned i = 0; i < u->listed_count; i++)
        u->fds[u->listed[i]].wanted = 0;
    slirp_pollfds_fill(u->slirp, &timeout, net_user_add_poll, u);
    for (unsigned i = 0; i < u->listed_count; i++) {
        int fd = u->listed[i];
        struct net_user_fd *f = &u->fds[fd];

        if (f->wanted != f->armed)
            net_user_arm(u, fd, f);
        f->listed = f->wanted;
        if (f->listed)
            u->listed[kept++] = fd;
    }
    u->listed_count = kept;
    if (timeout != UINT32_MAX)
        timer_arm(&u->timer, loop_now(u->net.loop) + timeout * NET_USER_NS_PER_MS);
}

static void net_user_poll(struct net_user *u)
{
    struct epoll_event events[NET_USER_EVENTS];
    int n = epoll_wait(u->epoll_fd, events, NET_USER_EVENTS, 0);

    for (int i = 0; i < n; i++)
        u->fds[events[i].data.fd].got = events[i].events;
    slirp_pollfds_poll(u->slirp, n < 0, net_user_get_events, u);
    for (int i = 0; i < n; i++)
        u->fds[events[i].data.fd].got = 0;
    net_user_refill(u);
}

/* ---- Frames for the guest ---- */

static bool net_user_is_full(const struct net_user *u)
{
    return u->end - u->begin > NET_USER_HIGH;
}

static void net_user_announce(struct net_user *u)
{
    if (u->listening && u->begin != u->end)
        net_readable(&u->net, 0);
}

static void net_user_run(struct net_user *u)
{
    if (net_user_is_full(u)) {
        u->paused = true;
        loop_fd_modify(u->watch, 0);
        return;
    }
    net_user_poll(u);
    net_user_announce(u);
}

static void net_user_event(void *arg, u32 events)
{
    (void)events;
    net_user_run(arg);
}

static void net_user_timeout(void *arg)
{
    net_user_run(arg);
}

static void net_user_listen(struct net *net, unsigned queue, bool on)
{
    (void)queue;
    net_user_of(net)->listening = on;
}

/* What finds no room is lost, as on a wire. */
static void net_user_put(struct net_user *u, const void *data, size_t size)
{
    if (u->end + NET_USER_SIZE + size > NET_USER_BUFFER) {
        memmove(u->buffer, u->buffer + u->begin, u->end - u->begin);
        u->end -= u->begin;
        u->begin = 0;
    }
    if (u->end + NET_USER_SIZE + size > NET_USER_BUFFER)
        return;
    store_le32(u->buffer + u->end, (u32)size);
    memcpy(u->buffer + u->end + NET_USER_SIZE, data, size);
    u->end += NET_USER_SIZE + size;
}

static void net_user_put_pieces(struct net_user *u, const void *data, const struct net_segment *s)
{
    size_t room = NET_USER_MTU - (s->headers - s->ip);

    for (size_t at = 0; at < s->payload; at += room)
        net_user_put(u, u->cut, net_frame_piece(data, s, at, MIN(room, s->payload - at), u->cut));
}

static void net_user_put_fragments(struct net_user *u, const void *data, size_t size)
{
    size_t at = 0, n;

    while ((n = net_frame_fragment(data, size, &at, NET_USER_MTU, u->cut)))
        net_user_put(u, u->cut, n);
}

/*
 * libslirp has a frame. It thinks that the guest takes any size (and over IPv6 does not look at the segment size that
 * the guest asks for): what does not fit the usual MTU is cut here.
 */
static ssize_t net_user_output(const void *data, size_t size, void *opaque)
{
    struct net_user *u = opaque;
    struct net_segment s;

    if (size <= NET_ETH_HEADER + NET_USER_MTU)
        net_user_put(u, data, size);
    else if (size > NET_FRAME_MAX - NET_HEADER_MAX)
        LOG(LOG_UNIMP, "network: a frame of %zu bytes", size);
    else if (net_frame_parse(data, size, &s))
        net_user_put_pieces(u, data, &s);
    else
        net_user_put_fragments(u, data, size);
    return (ssize_t)size;
}

/* The first frame in the buffer, or NULL. */
static u8 *net_user_first(const struct net_user *u, size_t *size)
{
    if (u->begin == u->end)
        return NULL;
    *size = load_le32(u->buffer + u->begin);
    return u->buffer + u->begin + NET_USER_SIZE;
}

static void net_user_drop(struct net_user *u, size_t size)
{
    u->begin += NET_USER_SIZE + size;
    if (u->begin == u->end)
        u->begin = u->end = 0;
}

/* Append the payloads that follow `first` to it in `iov`; the sum of all payloads. */
static size_t net_user_join(struct net_user *u, const u8 *first, const struct net_segment *a,
                            const struct iovec *iov, unsigned count, bool *push)
{
    size_t room = net_iov_size(iov, count) - u->header - a->headers;
    size_t payload = a->payload, size;
    struct net_segment b;
    const u8 *next;

    while ((next = net_user_first(u, &size)) && !*push && net_frame_segment(next, size, &b) &&
           payload + b.payload <= room && net_frame_follows(first, a, payload, next, &b)) {
        net_iov_put(iov, count, u->header + a->headers + payload, next + b.headers, b.payload);
        payload += b.payload;
        *push = b.flags & NET_TCP_F_PSH;
        net_user_drop(u, size);
    }
    return payload;
}

static bool net_user_joins(const struct net_user *u, const struct net_segment *s)
{
    return u->header && u->offloads.csum && (s->v6 ? u->offloads.tso6 : u->offloads.tso4);
}

/*
 * A frame of one or several segments into `iov`. `first` stays where it is in the buffer meanwhile: nothing is added.
 */
static size_t net_user_give(struct net_user *u, u8 *first, size_t size, const struct iovec *iov,
                            unsigned count)
{
    u8 header[NET_HEADER_MAX] = { u->offloads.csum ? NET_HEADER_F_DATA_VALID : 0 };
    struct net_segment s;

    net_user_drop(u, size);
    net_iov_put(iov, count, u->header, first, size);
    if (net_frame_segment(first, size, &s) && net_user_joins(u, &s)) {
        bool push = s.flags & NET_TCP_F_PSH;
        size_t payload = net_user_join(u, first, &s, iov, count, &push);

        if (payload != s.payload) {
            net_frame_join(header, first, &s, payload, push);
            net_iov_put(iov, count, u->header, first, s.headers);
            size = s.headers + payload;
        }
    }
    net_iov_put(iov, count, 0, header, u->header);
    return u->header + size;
}

static size_t net_user_receive(struct net *net, unsigned queue, const struct iovec *iov,
                               unsigned count)
{
    struct net_user *u = net_user_of(net);
    size_t size;
    u8 *first = net_user_first(u, &size);

    (void)queue;
    if (first)
        size = net_user_give(u, first, size, iov, count);
    if (u->paused && !net_user_is_full(u)) {
        u->paused = false;
        loop_fd_modify(u->watch, EPOLLIN);
        timer_arm(&u->timer, 0);
    }
    return first ? size : 0;
}

/* ---- Frames from the guest ---- */

/* libslirp takes no IPv6 packet that is larger than its MTU, which can be less than 64 KiB only. */
static bool net_user_cut(struct net_user *u, const u8 *header, size_t size)
{
    size_t piece = load_le16(header + NET_HEADER_GSO_SIZE);
    struct net_segment s;

    if (size <= NET_ETH_HEADER + NET_USER_SLIRP_MTU ||
        (header[NET_HEADER_GSO_TYPE] & ~NET_HEADER_GSO_ECN) != NET_HEADER_GSO_TCPV6 || !piece ||
        !net_frame_parse(u->frame, size, &s) || !s.v6)
        return false;
    for (size_t at = 0; at < s.payload; at += piece) {
        size_t n = net_frame_piece(u->frame, &s, at, MIN(piece, s.payload - at), u->piece);

        slirp_input(u->slirp, u->piece, (int)n);
    }
    return true;
}

static bool net_user_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    struct net_user *u = net_user_of(net);
    u8 header[NET_HEADER_MAX] = { 0 };
    size_t size = net_iov_get(iov, count, u->header, u->frame, sizeof(u->frame));

    (void)queue;
    net_iov_get(iov, count, 0, header, u->header);
    if (!net_frame_finish(header, u->frame, size)) {
        guest_error("virtio-net: a checksum outside of its frame");
        return true;
    }
    u->fresh = true;
    if (!net_user_cut(u, header, size))
        slirp_input(u->slirp, u->frame, (int)size);
    return true;
}

static void net_user_flush(struct net *net)
{
    struct net_user *u = net_user_of(net);

    if (!u->fresh)
        return;
    u->fresh = false;
    net_user_refill(u);
}

static bool net_user_set_header(struct net *net, unsigned size)
{
    net_user_of(net)->header = size;
    return true;
}

static void net_user_set_offloads(struct net *net, const struct net_offloads *offloads)
{
    net_user_of(net)->offloads = *offloads;
}

/* ---- libslirp's callbacks ---- */

static void net_user_guest_error(const char *text, void *opaque)
{
    (void)opaque;
    LOG(LOG_GUEST_ERRORS, "network: %s", text);
}

static int64_t net_user_clock(void *opaque)
{
    struct net_user *u = opaque;

    return (int64_t)loop_now(u->net.loop);
}

static void net_user_timer_fired(void *arg)
{
    struct net_user_timer *t = arg;

    slirp_handle_timer(t->user->slirp, t->id, t->arg);
    net_user_announce(t->user);
}

static void *net_user_timer_new(SlirpTimerId id, void *arg, void *opaque)
{
    struct net_user *u = opaque;
    struct net_user_timer *t = xcalloc(1, sizeof(*t));

    *t = (struct net_user_timer){ .user = u, .id = id, .arg = arg };
    timer_init(&t->timer, u->net.loop, NULL, net_user_timer_fired, t);
    return t;
}

static void net_user_timer_free(void *timer, void *opaque)
{
    struct net_user_timer *t = timer;

    (void)opaque;
    timer_cancel(&t->timer);
    free(t);
}

static void net_user_timer_set(void *timer, int64_t ms, void *opaque)
{
    struct net_user_timer *t = timer;

    (void)opaque;
    timer_arm(&t->timer, (u64)ms * NET_USER_NS_PER_MS);
}

static void net_user_fd_opened(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void net_user_fd_closed(int fd, void *opaque)
{
    struct net_user *u = opaque;

    if (fd < 0 || (unsigned)fd >= u->fd_size || !u->fds[fd].armed)
        return;
    epoll_ctl(u->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    u->fds[fd].armed = u->fds[fd].got = 0;
}

static void net_user_notify(void *opaque)
{
    struct net_user *u = opaque;

    timer_arm(&u->timer, 0);
}

static const SlirpCb net_user_callbacks = {
    .send_packet = net_user_output,
    .guest_error = net_user_guest_error,
    .clock_get_ns = net_user_clock,
    .timer_new_opaque = net_user_timer_new,
    .timer_free = net_user_timer_free,
    .timer_mod = net_user_timer_set,
    .register_poll_fd = net_user_fd_opened,
    .unregister_poll_fd = net_user_fd_closed,
    .notify = net_user_notify,
};

/* ---- Making one ---- */

static void net_user_free(struct net *net)
{
    struct net_user *u = net_user_of(net);

    if (u->slirp)
        slirp_cleanup(u->slirp);
    timer_cancel(&u->timer);
    loop_fd_remove(u->watch);
    if (u->epoll_fd >= 0)
        close(u->epoll_fd);
    free(u->fds);
    free(u->listed);
    free(u->buffer);
    free(u);
}

static const struct net_ops net_user_ops = {
    .receive = net_user_receive,
    .send = net_user_send,
    .flush = net_user_flush,
    .listen = net_user_listen,
    .set_header = net_user_set_header,
    .set_offloads = net_user_set_offloads,
    .free = net_user_free,
};

static socklen_t net_user_sockaddr(const struct net_forward *f, bool guest,
                                   struct sockaddr_storage *storage)
{
    const struct in6_addr *address = guest ? &f->guest : &f->host;
    u16 port = htons(guest ? f->guest_port : f->host_port);

    memset(storage, 0, sizeof(*storage));
    if (f->v6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)storage;

        *in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = port };
        in6->sin6_addr = *address;
        return sizeof(*in6);
    }
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)storage;

    *in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port };
    memcpy(&in->sin_addr, address, sizeof(in->sin_addr));
    return sizeof(*in);
}

static bool net_user_forward(struct net_user *u, const struct net_forward *f, struct error *err)
{
    struct sockaddr_storage host, guest;
    socklen_t host_size = net_user_sockaddr(f, false, &host);
    socklen_t guest_size = net_user_sockaddr(f, true, &guest);

    if (slirp_add_hostxfwd(u->slirp, (struct sockaddr *)&host, host_size, (struct sockaddr *)&guest,
                           guest_size, f->udp ? SLIRP_HOSTFWD_UDP : 0) < 0)
        return error_set_errno(err, errno, "could not set up host forwarding rule '%s'", f->target);
    return true;
}

static bool net_user_guest_forward(struct net_user *u, const struct net_forward *f,
                                   struct error *err)
{
    struct in_addr guest;
    int r;

    memcpy(&guest, &f->guest, sizeof(guest));
    if (!strncmp(f->target, "unix:", 5))
        r = slirp_add_unix(u->slirp, f->target + 5, &guest, f->guest_port);
    else
        r = slirp_add_exec(u->slirp, f->target + 4, &guest, f->guest_port);
    return r >= 0 || error_set(err,
                               "could not set up guest forwarding to '%s': the address must be in "
                               "the guest's network, and neither its host nor its DNS address",
                               f->target);
}

static bool net_user_forwards(struct net_user *u, const struct net_user_config *config,
                              struct error *err)
{
    for (unsigned i = 0; i < config->hostfwd_count; i++)
        if (!net_user_forward(u, &config->hostfwds[i], err))
            return false;
    for (unsigned i = 0; i < config->guestfwd_count; i++)
        if (!net_user_guest_forward(u, &config->guestfwds[i], err))
            return false;
    return true;
}

static Slirp *net_user_start(struct net_user *u, const struct net_user_config *c)
{
    const char *searches[CONFIG_NET_SEARCHES_MAX + 1] = { NULL };
    SlirpConfig config = {
        .version = 4,
        .restricted = c->restricted,
        .in_enabled = c->ipv4 != OOA_OFF,
        .vnetwork = c->net,
        .vnetmask = c->mask,
        .vhost = c->host,
        .in6_enabled = c->ipv6 != OOA_OFF,
        .vprefix_addr6 = c->prefix6,
        .vprefix_len = (u8)c->prefix6_size,
        .vhost6 = c->host6,
        .vhostname = c->hostname,
        .tftp_server_name = c->tftp_server,
        .bootfile = c->bootfile,
        .vdhcp_start = c->dhcp_start,
        .vnameserver = c->dns,
        .vnameserver6 = c->dns6,
        .vdnssearch = c->search_count ? searches : NULL,
        .vdomainname = c->domainname,
        .if_mtu = NET_USER_SLIRP_MTU,
        .if_mru = NET_USER_SLIRP_MTU,
    };

    for (unsigned i = 0; i < c->search_count; i++)
        searches[i] = c->searches[i];
    return slirp_new(&config, &u->callbacks, u);
}

static bool net_user_build(struct net_user *u, const struct net_config *config, struct error *err)
{
    u->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (u->epoll_fd < 0)
        return error_set_errno(err, errno, "no epoll");
    u->watch = loop_fd_add(u->net.loop, u->epoll_fd, EPOLLIN, NULL, net_user_event, u);
    if (!u->watch)
        return error_set_errno(err, errno, "the epoll cannot be watched");
    u->slirp = net_user_start(u, &config->user);
    if (!u->slirp)
        return error_set(err, "libslirp refuses this network");
    if (!net_user_forwards(u, &config->user, err))
        return false;
    net_user_refill(u);
    return true;
}

struct net *net_user_open(const struct net_config *config, struct loop *loop, struct error *err)
{
    struct net_user *u = xcalloc(1, sizeof(*u));

    u->net = (struct net){ .ops = &net_user_ops,
                           .loop = loop,
                           .queues = 1,
                           .link_up = true,
                           .prompt = true,
                           .has_header = true };
    u->callbacks = net_user_callbacks;
    u->buffer = xcalloc(1, NET_USER_BUFFER);
    timer_init(&u->timer, loop, NULL, net_user_timeout, u);
    if (net_user_build(u, config, err))
        return &u->net;
    net_user_free(&u->net);
    return NULL;
}
