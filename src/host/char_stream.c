/* SPDX-License-Identifier: MIT */
/*
 * Character backends over descriptors: buffered output, throttled input.
 *
 * All fields are protected by the frontend's lock, which the callbacks here take themselves (the
 * backend is opened before its frontend is known). Watches and timers are torn down on the loop
 * thread only.
 */
#include "host/char_stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"

#define CHAR_STREAM_FLUSH_AT      4096u   /* bytes that are worth a write at once */
#define CHAR_STREAM_FLUSH_NS      500000u /* how long a lone byte may wait for company */
#define CHAR_STREAM_READ          32768u  /* bytes of input per callback */
#define CHAR_STREAM_LAST_FLUSH_MS 100     /* at the end, for each write that has to wait */
#define CHAR_STREAM_RING_MASK     (CHAR_STREAM_BUFFER - 1)
#define CHAR_STREAM_INPUT         (EPOLLIN | EPOLLONESHOT)

/* ---- Leaving ---- */

static bool char_stream_has_peer(const struct char_stream *s)
{
    return s->ops && s->ops->hangup;
}

static void char_stream_close(int *fd, struct loop_watch **watch)
{
    loop_fd_remove(*watch);
    *watch = NULL;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void char_stream_tell_writable(struct char_stream *s)
{
    if (!s->refused || s->used == CHAR_STREAM_BUFFER)
        return;
    s->refused = false;
    if (s->chr.frontend.writable)
        s->chr.frontend.writable(s->chr.frontend.arg);
}

static void char_stream_close_output(struct char_stream *s)
{
    char_stream_close(&s->out_fd, &s->out_watch);
    s->out_waiting = false;
    s->broken = false;
    s->used = 0;
    char_stream_tell_writable(s);
}

void char_stream_disconnect(struct char_stream *s)
{
    bool told = s->connected && !s->tell_opened;

    char_stream_close(&s->in_fd, &s->in_watch);
    s->in_paused = false;
    s->connected = false;
    s->tell_opened = false;
    if (told)
        chardev_event(&s->chr, CHARDEV_CLOSED);
    char_stream_close_output(s);
}

static void char_stream_hang_up(struct char_stream *s)
{
    char_stream_disconnect(s);
    if (char_stream_has_peer(s))
        s->ops->hangup(s);
}

/* A peer that takes nothing is gone; without one (stdout, a file) input may go on. */
static void char_stream_output_failed(struct char_stream *s)
{
    if (char_stream_has_peer(s))
        char_stream_hang_up(s);
    else
        char_stream_close_output(s);
}

/* ---- Output ---- */

static void char_stream_has_room(void *arg, u32 events);

static void char_stream_wait_room(struct char_stream *s)
{
    const u32 events = EPOLLOUT | EPOLLONESHOT;

    s->out_waiting = true;
    if (s->out_watch)
        loop_fd_modify(s->out_watch, events);
    else
        s->out_watch = loop_fd_add(s->loop, s->out_fd, events, NULL, char_stream_has_room, s);
    if (!s->out_watch) /* what epoll refuses never says EAGAIN; should it, the timer tries again */
        timer_arm(&s->flush_timer, loop_now(s->loop) + CHAR_STREAM_FLUSH_NS);
}

static void char_stream_soon(struct char_stream *s)
{
    timer_arm(&s->flush_timer, 0);
}

/* What went wrong is told once: the stream is closed for output after it. */
static void char_stream_write_failed(struct char_stream *s, int error)
{
    if (error != EPIPE && error != ECONNRESET && error != EIO)
        log_warn("character device '%s': %s; its output is dropped", s->chr.id, strerror(error));
    s->broken = true;
    s->used = 0;
    char_stream_soon(s);
}

/* Write what the host takes without blocking. */
static void char_stream_flush(struct char_stream *s)
{
    while (s->used && !s->broken) {
        size_t chunk = MIN(s->used, CHAR_STREAM_BUFFER - s->head);
        ssize_t n = write(s->out_fd, s->buffer + s->head, chunk);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            char_stream_wait_room(s);
            return;
        }
        if (n < 0) {
            char_stream_write_failed(s, errno);
            return;
        }
        s->head = (s->head + (size_t)n) & CHAR_STREAM_RING_MASK;
        s->used -= (size_t)n;
    }
}

/* A pty that nobody holds open takes no more, and says so here alone. */
static void char_stream_has_room(void *arg, u32 events)
{
    struct char_stream *s = arg;

    chardev_lock(&s->chr);
    s->out_waiting = false;
    if (events & EPOLLHUP)
        char_stream_output_failed(s);
    char_stream_flush(s);
    char_stream_tell_writable(s);
    chardev_unlock(&s->chr);
}

static void char_stream_put(struct char_stream *s, u8 byte)
{
    s->buffer[(s->head + s->used++) & CHAR_STREAM_RING_MASK] = byte;
}

static bool char_stream_may_double(const struct char_stream *s)
{
    return s->ops && s->ops->doubles;
}

static size_t char_stream_copy(struct char_stream *s, const u8 *data, size_t size)
{
    size_t at = (s->head + s->used) & CHAR_STREAM_RING_MASK;
    size_t first;

    size = MIN(size, CHAR_STREAM_BUFFER - s->used);
    first = MIN(size, CHAR_STREAM_BUFFER - at);
    memcpy(s->buffer + at, data, first);
    memcpy(s->buffer, data + first, size - first);
    s->used += size;
    return size;
}

/* Append what fits; how many of the caller's bytes that was. */
static size_t char_stream_fill(struct char_stream *s, const u8 *data, size_t size)
{
    size_t i;

    if (!char_stream_may_double(s))
        return char_stream_copy(s, data, size);
    for (i = 0; i < size; i++) {
        bool twice = s->ops->doubles(s, data[i]);

        if (s->used + twice >= CHAR_STREAM_BUFFER)
            break;
        char_stream_put(s, data[i]);
        if (twice)
            char_stream_put(s, data[i]);
    }
    return i;
}

static void char_stream_kick(struct char_stream *s, bool was_empty)
{
    if (s->out_waiting)
        return;
    if (s->used >= CHAR_STREAM_FLUSH_AT)
        char_stream_flush(s);
    else if (was_empty && s->used)
        timer_arm(&s->flush_timer, loop_now(s->loop) + CHAR_STREAM_FLUSH_NS);
}

size_t char_stream_write(struct chardev *chr, const u8 *data, size_t size)
{
    struct char_stream *s = container_of(chr, struct char_stream, chr);
    bool was_empty = !s->used;
    size_t taken;

    if (s->out_fd < 0 || s->broken)
        return size;
    taken = char_stream_fill(s, data, size);
    s->refused |= taken < size;
    char_stream_kick(s, was_empty);
    return taken;
}

void char_stream_say(struct char_stream *s, const void *data, size_t size)
{
    bool was_empty = !s->used;
    const u8 *bytes = data;

    if (s->out_fd < 0)
        return;
    for (size_t i = 0; i < size && s->used < CHAR_STREAM_BUFFER; i++)
        char_stream_put(s, bytes[i]);
    char_stream_kick(s, was_empty);
}

/* ---- Input ---- */

/* Call char_stream_readable once, as soon as there is something to read. */
static void char_stream_watch_input(struct char_stream *s)
{
    if (s->in_watch)
        loop_fd_modify(s->in_watch, CHAR_STREAM_INPUT);
    else if (s->in_fd >= 0)
        timer_arm(&s->in_timer, 0);
}

/*
 * The end of a plain input (a file, a pipe on stdin) stops input alone; a peer that leaves is a
 * hangup.
 */
static void char_stream_input_ended(struct char_stream *s)
{
    if (char_stream_has_peer(s))
        char_stream_hang_up(s);
    else
        char_stream_close(&s->in_fd, &s->in_watch);
}

static void char_stream_act(struct char_stream *s, enum char_mux_action action)
{
    const char *text = char_mux_text(action);

    if (text)
        char_stream_say(s, text, strlen(text));
    if (action == CHAR_MUX_BREAK)
        chardev_event(&s->chr, CHARDEV_BREAK);
    if (action == CHAR_MUX_QUIT && s->chr.quit)
        s->chr.quit(s->chr.quit_arg);
}

/* Take escapes out, in place. */
static size_t char_stream_demux(struct char_stream *s, u8 *data, size_t size)
{
    enum char_mux_action action;
    size_t kept = 0;

    for (size_t i = 0; i < size; i++) {
        if (char_mux_filter(s->mux, data[i], &action))
            data[kept++] = data[i];
        else
            char_stream_act(s, action);
    }
    return kept;
}

static void char_stream_deliver(struct char_stream *s, u8 *data, size_t size)
{
    if (s->ops && s->ops->decode)
        size = s->ops->decode(s, data, size);
    if (s->mux)
        size = char_stream_demux(s, data, size);
    if (size && s->chr.attached)
        s->chr.frontend.receive(s->chr.frontend.arg, data, size);
}

/* With nobody to read it, input is drunk up all the same if the escape keys may be in it. */
static size_t char_stream_room(struct char_stream *s)
{
    if (s->chr.attached)
        return MIN(s->chr.frontend.can_receive(s->chr.frontend.arg), CHAR_STREAM_READ);
    return s->mux ? CHAR_STREAM_READ : 0;
}

static void char_stream_input(struct char_stream *s)
{
    u8 data[CHAR_STREAM_READ];
    size_t room = char_stream_room(s);
    ssize_t n;

    if (!room) {
        s->in_paused = true;
        return;
    }
    n = read(s->in_fd, data, room);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        char_stream_input_ended(s);
        return;
    }
    if (n > 0)
        char_stream_deliver(s, data, (size_t)n);
    char_stream_watch_input(s);
}

static void char_stream_readable(void *arg, u32 events)
{
    struct char_stream *s = arg;

    (void)events;
    chardev_lock(&s->chr);
    if (s->in_fd >= 0)
        char_stream_input(s);
    chardev_unlock(&s->chr);
}

static void char_stream_always_readable(void *arg)
{
    char_stream_readable(arg, 0);
}

void char_stream_resume(struct chardev *chr)
{
    struct char_stream *s = container_of(chr, struct char_stream, chr);

    if (!s->in_paused)
        return;
    s->in_paused = false;
    char_stream_watch_input(s);
}

/* ---- Coming and going ---- */

/* Whatever is left for the loop thread to do. */
static void char_stream_timeout(void *arg)
{
    struct char_stream *s = arg;

    chardev_lock(&s->chr);
    if (s->broken)
        char_stream_output_failed(s);
    if (s->tell_opened && s->chr.attached) {
        s->tell_opened = false;
        chardev_event(&s->chr, CHARDEV_OPENED);
    }
    char_stream_flush(s);
    char_stream_tell_writable(s);
    chardev_unlock(&s->chr);
}

void char_stream_attached(struct chardev *chr)
{
    struct char_stream *s = container_of(chr, struct char_stream, chr);

    s->tell_opened = s->connected;
    char_stream_soon(s);
    char_stream_resume(chr);
}

static void char_stream_ignore_sigpipe(void)
{
    struct sigaction action = { .sa_handler = SIG_IGN };

    sigaction(SIGPIPE, &action, NULL);
}

void char_stream_init(struct char_stream *s, const struct chardev_ops *chr_ops,
                      const struct char_stream_ops *ops, const struct chardev_config *config,
                      struct loop *loop)
{
    s->chr.ops = chr_ops;
    s->ops = ops;
    s->loop = loop;
    s->in_fd = -1;
    s->out_fd = -1;
    if (config->mux)
        s->mux = xcalloc(1, sizeof(*s->mux));
    timer_init(&s->in_timer, loop, NULL, char_stream_always_readable, s);
    timer_init(&s->flush_timer, loop, NULL, char_stream_timeout, s);
    char_stream_ignore_sigpipe();
}

void char_stream_connect(struct char_stream *s, int in_fd, int out_fd)
{
    assert(s->in_fd < 0 && s->out_fd < 0);
    s->in_fd = in_fd;
    s->out_fd = out_fd;
    s->connected = true;
    s->tell_opened = true;
    s->broken = false;
    s->in_paused = false;
    if (in_fd >= 0)
        s->in_watch = loop_fd_add(s->loop, in_fd, CHAR_STREAM_INPUT, NULL, char_stream_readable, s);
    char_stream_watch_input(s);
    char_stream_soon(s);
}

void char_stream_connect_both(struct char_stream *s, int fd)
{
    char_stream_connect(s, fd, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/* The last words of a guest are worth a moment, a reader that is stuck is not worth more. */
static void char_stream_last_flush(struct char_stream *s)
{
    struct pollfd p = { .fd = s->out_fd, .events = POLLOUT };

    while (s->out_fd >= 0 && s->used && !s->broken) {
        char_stream_flush(s);
        if (s->used && poll(&p, 1, CHAR_STREAM_LAST_FLUSH_MS) <= 0)
            return;
    }
}

void char_stream_fini(struct char_stream *s)
{
    char_stream_last_flush(s);
    char_stream_disconnect(s);
    timer_cancel(&s->in_timer);
    timer_cancel(&s->flush_timer);
    free(s->mux);
}

int char_stream_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return flags;
}
