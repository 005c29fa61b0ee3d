/* SPDX-License-Identifier: MIT */
/*
 * The connections of a vsock device. virtio 1.2, 5.10.6; unix(7).
 *
 * Towards the host bytes go straight from the guest's buffers into the socket; what it does not take waits in the
 * connection's buffer, whose size is the credit that the guest has. Towards the guest nothing is buffered: a socket is
 * read when the guest has room and credit is there. Sockets are watched one-shot, so that one which waits for the guest
 * costs nothing.
 */
#include "virtio/vsock_conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"

#define VSOCK_BUFFER_MASK     (VSOCK_BUFFER_SIZE - 1)
#define VSOCK_FIRST_PORT      0x40000000u /* of host's clients, as Firecracker numbers them */
#define VSOCK_ACCEPTS         16u         /* before others have their turn */
#define VSOCK_APPETITE_MAX    8u
#define VSOCK_NS_PER_MS       UINT64_C(1000000)
#define VSOCK_REQUEST_NS      (10000 * VSOCK_NS_PER_MS) /* for the guest to answer */
#define VSOCK_CONNECT_NS      (2000 * VSOCK_NS_PER_MS)  /* for a busy listener of the host */
#define VSOCK_CONNECT_WAIT_NS (10 * VSOCK_NS_PER_MS)
#define VSOCK_LOOK_NS         (500 * VSOCK_NS_PER_MS)
#define VSOCK_ACCEPT_WAIT_NS  (100 * VSOCK_NS_PER_MS)
#define VSOCK_PARTS_MAX       1024u /* IOV_MAX */

/* ---- Lists ---- */

void vsock_conn_make_ready(struct vsock_conn *c)
{
    if (!c->is_ready)
        TAILQ_INSERT_TAIL(&c->conns->ready, c, ready_link);
    c->is_ready = true;
}

void vsock_conn_unready(struct vsock_conn *c)
{
    if (c->is_ready)
        TAILQ_REMOVE(&c->conns->ready, c, ready_link);
    c->is_ready = false;
}

static unsigned vsock_hash(u32 guest_port, u32 host_port)
{
    return (guest_port ^ host_port ^ (guest_port >> 8)) % VSOCK_HASH;
}

struct vsock_conn *vsock_conn_find(struct vsock_conns *conns, u32 guest_port, u32 host_port)
{
    struct vsock_conn *c;

    LIST_FOREACH(c, &conns->hash[vsock_hash(guest_port, host_port)], link)
    if (c->state.guest_port == guest_port && c->state.host_port == host_port)
        return c;
    return NULL;
}

static void vsock_conn_hash(struct vsock_conn *c)
{
    unsigned bucket = vsock_hash(c->state.guest_port, c->state.host_port);

    LIST_INSERT_HEAD(&c->conns->hash[bucket], c, link);
    c->is_hashed = true;
}

static void vsock_conn_unhash(struct vsock_conn *c)
{
    if (c->is_hashed)
        LIST_REMOVE(c, link);
    c->is_hashed = false;
}

/* ---- Coming and going ---- */

static void vsock_conn_event(void *arg, u32 events);

static struct vsock_conn *vsock_conn_alloc(struct vsock_conns *conns, enum vsock_stage stage)
{
    struct vsock_conn *c = LIST_FIRST(&conns->free);

    if (!c)
        return NULL;
    LIST_REMOVE(c, link);
    c->stage = stage;
    c->appetite = 1;
    return c;
}

/* False, and `fd` closed, when the loop has no room for it. */
static bool vsock_conn_take_fd(struct vsock_conn *c, int fd)
{
    c->watch = loop_fd_add(c->conns->loop, fd, EPOLLONESHOT, c->conns->lock, vsock_conn_event, c);
    if (!c->watch) {
        close(fd);
        return false;
    }
    c->fd = fd;
    c->armed = EPOLLONESHOT;
    return true;
}

/* What has not been sent is lost; it counts as forwarded, so that the guest's credit stays right. */
static void vsock_conn_drop_fd(struct vsock_conn *c)
{
    loop_fd_remove(c->watch);
    c->watch = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->armed = 0;
    c->readable = false;
    c->head = c->used = 0;
    c->state.forwarded = c->state.received;
}

static void vsock_conn_free(struct vsock_conn *c)
{
    struct vsock_conns *conns = c->conns;
    u8 *buffer = c->buffer;

    vsock_conn_drop_fd(c);
    vsock_conn_unready(c);
    vsock_conn_unhash(c);
    if (c->touched)
        madvise(buffer, VSOCK_BUFFER_SIZE, MADV_DONTNEED);
    *c = (struct vsock_conn){ .conns = conns, .buffer = buffer, .fd = -1 };
    LIST_INSERT_HEAD(&conns->free, c, link);
    if (conns->watch_paused)
        timer_arm(&conns->timer, 0);
}

/* The guest knows of it no more. What it has sent still goes to the host. */
static void vsock_conn_forget(struct vsock_conn *c)
{
    vsock_conn_unready(c);
    vsock_conn_unhash(c);
    c->state.due = 0;
    c->stage = VSOCK_DRAINING;
    if (!c->used)
        vsock_conn_free(c);
}

/* The guest is told by a RST, which is all that is left of it. */
static void vsock_conn_close(struct vsock_conn *c)
{
    bool unknown = !c->is_hashed || (c->state.due & BIT(VIRTIO_VSOCK_OP_REQUEST));

    c->readable = false;
    c->stage = VSOCK_CLOSED;
    c->state.due = BIT(VIRTIO_VSOCK_OP_RST);
    vsock_conn_make_ready(c);
    if (unknown)
        vsock_conn_forget(c);
    else if (!c->used)
        vsock_conn_drop_fd(c);
}

void vsock_conn_kill(struct vsock_conn *c)
{
    vsock_conn_drop_fd(c);
    vsock_conn_close(c);
}

/* ---- Packets that are due ---- */

void vsock_conn_due(struct vsock_conn *c, enum vsock_op op)
{
    c->state.due |= BIT(op);
    vsock_conn_make_ready(c);
}

enum vsock_op vsock_conn_next_op(const struct vsock_conn *c)
{
    static const enum vsock_op order[] = {
        VIRTIO_VSOCK_OP_REQUEST,        VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_CREDIT_UPDATE,
        VIRTIO_VSOCK_OP_CREDIT_REQUEST, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_OP_RST,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        if (c->state.due & BIT(order[i]))
            return order[i];
    return VIRTIO_VSOCK_OP_INVALID;
}

void vsock_conn_op_sent(struct vsock_conn *c, enum vsock_op op)
{
    c->state.due &= ~BIT(op);
    if (op == VIRTIO_VSOCK_OP_RST)
        vsock_conn_forget(c);
}

/* ---- To the host ---- */

static void vsock_conn_host_shut(struct vsock_conn *c, u8 flags)
{
    c->state.host_shut |= flags;
    if (c->state.host_shut == VIRTIO_VSOCK_SHUTDOWN_BOTH)
        vsock_conn_drop_fd(c);
    vsock_conn_due(c, VIRTIO_VSOCK_OP_SHUTDOWN);
}

/* All that the guest sent is with the host: do what had to wait for that. */
static void vsock_conn_flushed(struct vsock_conn *c)
{
    if (c->stage == VSOCK_DRAINING) {
        vsock_conn_free(c);
    } else if (c->stage == VSOCK_CLOSED) {
        vsock_conn_drop_fd(c);
    } else if (c->state.guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) {
        if (c->state.host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
            vsock_conn_host_shut(c, VIRTIO_VSOCK_SHUTDOWN_BOTH);
        else if (c->fd >= 0)
            shutdown(c->fd, SHUT_WR);
    }
}

/* The host takes nothing any more. */
static void vsock_conn_host_deaf(struct vsock_conn *c)
{
    c->head = c->used = 0;
    c->state.forwarded = c->state.received;
    if (c->stage == VSOCK_OPEN)
        vsock_conn_host_shut(c, VIRTIO_VSOCK_SHUTDOWN_RECEIVE);
    else
        vsock_conn_flushed(c);
}

/* The guest hears of its new credit before it has used up half of the old. */
static void vsock_conn_forwarded(struct vsock_conn *c, u32 size)
{
    struct vsock_conn_state *s = &c->state;

    s->forwarded += size;
    if (c->stage == VSOCK_OPEN && s->forwarded - s->told >= VSOCK_BUFFER_SIZE / 2)
        vsock_conn_due(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
}

static void vsock_conn_flush(struct vsock_conn *c)
{
    while (c->used) {
        u32 chunk = MIN(c->used, VSOCK_BUFFER_SIZE - c->head);
        ssize_t n = send(c->fd, c->buffer + c->head, chunk, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            vsock_conn_host_deaf(c);
            return;
        }
        c->head = (c->head + (u32)n) & VSOCK_BUFFER_MASK;
        c->used -= (u32)n;
        vsock_conn_forwarded(c, (u32)n);
    }
    vsock_conn_flushed(c);
}

static void vsock_conn_store(struct vsock_conn *c, const u8 *data, size_t size)
{
    c->touched = true;
    while (size) {
        u32 at = (c->head + c->used) & VSOCK_BUFFER_MASK;
        u32 chunk = (u32)MIN(size, (size_t)(VSOCK_BUFFER_SIZE - at));

        memcpy(c->buffer + at, data, chunk);
        c->used += chunk;
        data += chunk;
        size -= chunk;
    }
}

/* Keep what comes after the first `skip` bytes. */
static void vsock_conn_store_rest(struct vsock_conn *c, const struct iovec *iov, unsigned count,
                                  size_t skip)
{
    for (unsigned i = 0; i < count; i++) {
        const u8 *data = iov[i].iov_base;
        size_t n = MIN(skip, iov[i].iov_len);

        vsock_conn_store(c, data + n, iov[i].iov_len - n);
        skip -= n;
    }
}

/* Straight into the socket: the number of bytes that it took, or -errno. */
static ssize_t vsock_conn_send(struct vsock_conn *c, const struct iovec *iov, unsigned count)
{
    struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov,
                        .msg_iovlen = MIN(count, VSOCK_PARTS_MAX) };
    ssize_t n = c->used ? 0 : sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return n;
}

/* ---- The host's socket ---- */

/* Does the guest want what the host says, and may the host say more? */
static bool vsock_conn_listens(const struct vsock_conn *c)
{
    return c->stage == VSOCK_OPEN && c->fd >= 0 &&
           !(c->state.host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
           !(c->state.guest_shut & VIRTIO_VSOCK_SHUTDOWN_RECEIVE);
}

/*
 * Wait for the host. A hangup comes in any case: with nothing else to wait for that is the wish, but not while there
 * is something to read that the guest has no room for, when it would come again and again.
 */
void vsock_conn_rest(struct vsock_conn *c)
{
    u32 events = c->used ? EPOLLOUT : 0;

    if (c->fd < 0)
        return;
    if (c->stage == VSOCK_GREETING || (vsock_conn_listens(c) && !c->readable))
        events |= EPOLLIN;
    if (!events && c->readable)
        return;
    events |= EPOLLONESHOT;
    if (c->armed != events)
        loop_fd_modify(c->watch, events);
    c->armed = events;
}

static u32 vsock_conn_new_port(struct vsock_conns *conns, u32 guest_port)
{
    do
        conns->next_port = conns->next_port == UINT32_MAX ? VSOCK_FIRST_PORT : conns->next_port + 1;
    while (vsock_conn_find(conns, guest_port, conns->next_port));
    return conns->next_port;
}

static void vsock_conn_greet(struct vsock_conn *c)
{
    u32 port;
    int r = vsock_unix_greet(c->fd, &c->line, &port);

    if (r < 0)
        vsock_conn_free(c);
    if (r <= 0)
        return;
    c->state.guest_port = port;
    c->state.host_port = vsock_conn_new_port(c->conns, port);
    c->stage = VSOCK_REQUESTED;
    c->deadline = loop_now(c->conns->loop) + VSOCK_REQUEST_NS;
    timer_arm(&c->conns->timer, loop_now(c->conns->loop) + VSOCK_LOOK_NS);
    vsock_conn_hash(c);
    vsock_conn_due(c, VIRTIO_VSOCK_OP_REQUEST);
}

static void vsock_conn_host_event(struct vsock_conn *c, u32 events)
{
    bool gone = events & (EPOLLHUP | EPOLLERR);

    if (c->used && (gone || (events & EPOLLOUT)))
        vsock_conn_flush(c);
    if (c->fd < 0)
        return;
    if (vsock_conn_listens(c)) {
        c->readable |= gone || (events & EPOLLIN);
        if (c->readable)
            vsock_conn_make_ready(c);
    } else if (gone && c->stage == VSOCK_OPEN) {
        vsock_conn_host_shut(c, VIRTIO_VSOCK_SHUTDOWN_BOTH);
    } else if (gone) {
        vsock_conn_kill(c);
    }
}

static void vsock_conns_work(struct vsock_conns *conns)
{
    if (!TAILQ_EMPTY(&conns->ready))
        conns->work(conns->arg);
}

static void vsock_conn_event(void *arg, u32 events)
{
    struct vsock_conn *c = arg;
    struct vsock_conns *conns = c->conns;

    c->armed = 0;
    if (c->stage == VSOCK_GREETING)
        vsock_conn_greet(c);
    else
        vsock_conn_host_event(c, events);
    vsock_conn_rest(c);
    vsock_conns_work(conns);
}

/* ---- To the guest ---- */

static u32 vsock_conn_credit_left(const struct vsock_conn *c)
{
    u32 in_flight = c->state.sent - c->state.peer_fwd_cnt;

    return in_flight < c->state.peer_buf_alloc ? c->state.peer_buf_alloc - in_flight : 0;
}

u32 vsock_conn_wanted(struct vsock_conn *c)
{
    u32 credit = vsock_conn_credit_left(c);

    if (!vsock_conn_listens(c) || !c->readable)
        return 0;
    if (!credit && !c->asked) {
        c->asked = true;
        vsock_conn_due(c, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    }
    return credit;
}

/* Nothing more comes from the host; perhaps nothing goes there either. */
static void vsock_conn_host_ended(struct vsock_conn *c)
{
    struct pollfd p = { .fd = c->fd };
    bool guest_ended = (c->state.guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) && !c->used;
    bool gone = poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));

    c->readable = false;
    vsock_conn_host_shut(c, gone || guest_ended ? VIRTIO_VSOCK_SHUTDOWN_BOTH
                                                : VIRTIO_VSOCK_SHUTDOWN_SEND);
}

u32 vsock_conn_read(struct vsock_conn *c, const struct iovec *iov, unsigned count, u32 size)
{
    ssize_t n = readv(c->fd, iov, (int)MIN(count, VSOCK_PARTS_MAX));

    if (n < 0 && errno == EINTR)
        return 0;
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        n ? vsock_conn_kill(c) : vsock_conn_host_ended(c);
        return 0;
    }
    if (n < 0 || (u32)n < size) {
        c->readable = false;
        c->appetite = 1;
    } else {
        c->appetite = (u8)MIN(2u * c->appetite, VSOCK_APPETITE_MAX);
    }
    if (n < 0)
        return 0;
    c->state.sent += (u32)n;
    return (u32)n;
}

/* ---- What the guest says ---- */

static void vsock_conn_connected(struct vsock_conn *c, int fd)
{
    if (!vsock_conn_take_fd(c, fd)) {
        vsock_conn_kill(c);
        return;
    }
    c->stage = VSOCK_OPEN;
    vsock_conn_due(c, VIRTIO_VSOCK_OP_RESPONSE);
    vsock_conn_rest(c);
}

bool vsock_conn_request(struct vsock_conns *conns, u32 guest_port, u32 host_port,
                        u32 peer_buf_alloc, u32 peer_fwd_cnt)
{
    int fd = vsock_unix_connect(conns->path, host_port);
    struct vsock_conn *c;

    if (fd < 0 && fd != -EAGAIN)
        return false;
    c = vsock_conn_alloc(conns, VSOCK_CONNECTING);
    if (!c) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    c->state = (struct vsock_conn_state){ .guest_port = guest_port,
                                          .host_port = host_port,
                                          .peer_buf_alloc = peer_buf_alloc,
                                          .peer_fwd_cnt = peer_fwd_cnt };
    vsock_conn_hash(c);
    if (fd >= 0) {
        vsock_conn_connected(c, fd);
        return true;
    }
    c->deadline = loop_now(conns->loop) + VSOCK_CONNECT_NS;
    timer_arm(&conns->timer, loop_now(conns->loop) + VSOCK_CONNECT_WAIT_NS);
    return true;
}

void vsock_conn_response(struct vsock_conn *c)
{
    if (c->stage != VSOCK_REQUESTED || !vsock_unix_welcome(c->fd, c->state.host_port)) {
        vsock_conn_kill(c);
        return;
    }
    c->stage = VSOCK_OPEN;
    vsock_conn_rest(c);
}

void vsock_conn_reset(struct vsock_conn *c)
{
    vsock_conn_forget(c);
}

void vsock_conn_shutdown(struct vsock_conn *c, u32 flags)
{
    u8 *shut = &c->state.guest_shut;

    *shut |= flags & VIRTIO_VSOCK_SHUTDOWN_BOTH;
    if (c->stage == VSOCK_CLOSED)
        return;
    if (c->stage != VSOCK_OPEN || *shut == VIRTIO_VSOCK_SHUTDOWN_BOTH) {
        vsock_conn_close(c);
        return;
    }
    if (*shut & VIRTIO_VSOCK_SHUTDOWN_RECEIVE) {
        c->readable = false;
        if (c->fd >= 0)
            shutdown(c->fd, SHUT_RD);
    }
    if (!c->used)
        vsock_conn_flushed(c);
    vsock_conn_rest(c);
}

void vsock_conn_credit(struct vsock_conn *c, u32 buf_alloc, u32 fwd_cnt)
{
    c->state.peer_buf_alloc = buf_alloc;
    c->state.peer_fwd_cnt = fwd_cnt;
    if (!vsock_conn_credit_left(c))
        return;
    c->asked = false;
    if (c->readable)
        vsock_conn_make_ready(c);
}

void vsock_conn_write(struct vsock_conn *c, const struct iovec *iov, unsigned count, u32 size)
{
    ssize_t n;

    if (c->stage == VSOCK_CLOSED)
        return;
    if (c->stage != VSOCK_OPEN || (c->state.guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) ||
        size > VSOCK_BUFFER_SIZE - c->used) {
        guest_error("virtio-vsock: bytes for a connection that takes none");
        vsock_conn_kill(c);
        return;
    }
    c->state.received += size;
    if (c->fd < 0 || (c->state.host_shut & VIRTIO_VSOCK_SHUTDOWN_RECEIVE)) {
        vsock_conn_forwarded(c, size);
        return;
    }
    n = vsock_conn_send(c, iov, count);
    if (n < 0) {
        vsock_conn_host_deaf(c);
        return;
    }
    vsock_conn_forwarded(c, (u32)n);
    vsock_conn_store_rest(c, iov, count, (size_t)n);
    if (c->used)
        vsock_conn_rest(c);
}

/* ---- The listener, and what waits for time to pass ---- */

static void vsock_conns_pause(struct vsock_conns *conns)
{
    conns->watch_paused = true;
    loop_fd_modify(conns->watch, 0);
    timer_arm(&conns->timer, loop_now(conns->loop) + VSOCK_ACCEPT_WAIT_NS);
}

static void vsock_conns_accept(void *arg, u32 events)
{
    struct vsock_conns *conns = arg;

    (void)events;
    for (unsigned i = 0; i < VSOCK_ACCEPTS; i++) {
        int fd = LIST_EMPTY(&conns->free) ? -EMFILE : vsock_unix_accept(conns->listener);
        struct vsock_conn *c;

        if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
            vsock_conns_pause(conns);
        if (fd < 0)
            return;
        c = vsock_conn_alloc(conns, VSOCK_GREETING);
        if (vsock_conn_take_fd(c, fd))
            vsock_conn_rest(c);
        else
            vsock_conn_free(c);
    }
}

static void vsock_conn_retry(struct vsock_conn *c, bool late)
{
    int fd = vsock_unix_connect(c->conns->path, c->state.host_port);

    if (fd >= 0)
        vsock_conn_connected(c, fd);
    else if (fd != -EAGAIN || late)
        vsock_conn_kill(c);
}

static void vsock_conns_look(void *arg)
{
    struct vsock_conns *conns = arg;
    u64 now = loop_now(conns->loop), next = UINT64_MAX;

    if (conns->watch_paused && !LIST_EMPTY(&conns->free)) {
        conns->watch_paused = false;
        loop_fd_modify(conns->watch, EPOLLIN);
    }
    for (unsigned i = 0; i < VSOCK_CONNS; i++) {
        struct vsock_conn *c = &conns->conn[i];
        bool late = now >= c->deadline;

        if (c->stage == VSOCK_CONNECTING)
            vsock_conn_retry(c, late);
        else if (c->stage == VSOCK_REQUESTED && late)
            vsock_conn_kill(c);
        if (c->stage == VSOCK_CONNECTING)
            next = MIN(next, now + VSOCK_CONNECT_WAIT_NS);
        else if (c->stage == VSOCK_REQUESTED)
            next = MIN(next, now + VSOCK_LOOK_NS);
    }
    if (conns->watch_paused)
        next = MIN(next, now + VSOCK_ACCEPT_WAIT_NS);
    if (next != UINT64_MAX)
        timer_arm(&conns->timer, next);
    vsock_conns_work(conns);
}

/* ---- Set-up ---- */

void vsock_conns_forget_all(struct vsock_conns *conns)
{
    for (unsigned i = 0; i < VSOCK_CONNS; i++)
        if (conns->conn[i].stage > VSOCK_GREETING && conns->conn[i].stage != VSOCK_DRAINING)
            vsock_conn_forget(&conns->conn[i]);
}

bool vsock_conns_init(struct vsock_conns *conns, const char *path, struct loop *loop,
                      pthread_mutex_t *lock, vsock_work_fn *work, void *arg, struct error *err)
{
    conns->loop = loop;
    conns->lock = lock;
    conns->work = work;
    conns->arg = arg;
    conns->path = path;
    conns->next_port = VSOCK_FIRST_PORT - 1;
    timer_init(&conns->timer, loop, lock, vsock_conns_look, conns);
    TAILQ_INIT(&conns->ready);
    conns->buffers = mmap(NULL, (size_t)VSOCK_CONNS * VSOCK_BUFFER_SIZE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (unsigned i = VSOCK_CONNS; i-- > 0;) {
        struct vsock_conn *c = &conns->conn[i];

        c->conns = conns;
        c->fd = -1;
        c->buffer = conns->buffers + (size_t)i * VSOCK_BUFFER_SIZE;
        LIST_INSERT_HEAD(&conns->free, c, link);
    }
    conns->listener = -1;
    if (conns->buffers == MAP_FAILED)
        return error_set_errno(err, errno, "no memory for connections");
    conns->listener = vsock_unix_listen(path, err);
    if (conns->listener < 0)
        return false;
    conns->watch = loop_fd_add(loop, conns->listener, EPOLLIN, lock, vsock_conns_accept, conns);
    return conns->watch || error_set_errno(err, errno, "could not watch '%s'", path);
}

void vsock_conns_fini(struct vsock_conns *conns)
{
    timer_cancel(&conns->timer);
    for (unsigned i = 0; i < VSOCK_CONNS; i++)
        if (conns->conn[i].stage != VSOCK_FREE)
            vsock_conn_free(&conns->conn[i]);
    timer_cancel(&conns->timer);
    loop_fd_remove(conns->watch);
    if (conns->listener >= 0) {
        close(conns->listener);
        unlink(conns->path);
    }
    if (conns->buffers != MAP_FAILED)
        munmap(conns->buffers, (size_t)VSOCK_CONNS * VSOCK_BUFFER_SIZE);
}
