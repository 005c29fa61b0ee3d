/* SPDX-License-Identifier: MIT */
/*
 * The part that all character backends over descriptors share: buffered output, throttled input.
 *
 * Output: bytes gather in a ring until there is a page of them or the first one is half a
 * millisecond old, so that a guest which prints byte by byte costs the host one write per line and
 * not one per byte. What the host does not take stays in the ring until epoll reports room. With no
 * peer, output is dropped, as on a line with nothing plugged in.
 *
 * Input: the descriptor is watched one-shot, and only while the frontend has room.
 */
#pragma once

#include "host/char.h"
#include "host/char_mux.h"
#include "host/loop.h"

#define CHAR_STREAM_BUFFER 65536u /* a power of two */

struct char_stream;
struct chardev_config;

struct char_stream_ops {
    /* The peer is gone and the stream disconnected; loop thread, lock held. NULL: it stays so. */
    void (*hangup)(struct char_stream *stream);
    /* Take the protocol's own bytes out of the input, in place; what is left. NULL: none. */
    size_t (*decode)(struct char_stream *stream, u8 *data, size_t size);
    /* Does this output byte have to be sent twice? NULL: none has. */
    bool (*doubles)(struct char_stream *stream, u8 byte);
};

struct char_stream {
    struct chardev chr;
    const struct char_stream_ops *ops;
    struct loop *loop;
    int in_fd;  /* -1: none (any more) */
    int out_fd; /* -1: output is dropped */
    struct loop_watch *in_watch;
    struct loop_watch *out_watch;
    struct timer in_timer;    /* in place of in_watch for what epoll refuses: regular files */
    struct timer flush_timer; /* output has waited long enough; also work for the loop thread */
    bool in_paused;           /* input waits for chardev_resume */
    bool out_waiting;         /* epoll will tell when there is room */
    bool connected;
    bool tell_opened;     /* CHARDEV_OPENED is due */
    bool broken;          /* a write failed: disconnect on the loop thread */
    bool refused;         /* the frontend waits for writable() */
    struct char_mux *mux; /* NULL: no escapes */
    size_t head;          /* of the ring: next byte to go out */
    size_t used;
    u8 buffer[CHAR_STREAM_BUFFER];
};

/* Set up a zeroed stream, unconnected. `ops` may be NULL. */
void char_stream_init(struct char_stream *stream, const struct chardev_ops *chr_ops,
                      const struct char_stream_ops *ops, const struct chardev_config *config,
                      struct loop *loop);

/* Take over two non-blocking descriptors (either may be -1, but they must differ) and begin. */
void char_stream_connect(struct char_stream *stream, int in_fd, int out_fd);

/* As char_stream_connect for one descriptor in both directions. */
void char_stream_connect_both(struct char_stream *stream, int fd);

/* Close the descriptors, drop what is buffered, tell the frontend. Loop thread, lock held. */
void char_stream_disconnect(struct char_stream *stream);

/* Flush for a moment at most, close, free what the stream holds (not itself). */
void char_stream_fini(struct char_stream *stream);

/* Queue bytes that the backend itself says to the peer (protocol, help text). */
void char_stream_say(struct char_stream *stream, const void *data, size_t size);

/* chardev_ops of all backends over a stream. */
size_t char_stream_write(struct chardev *chr, const u8 *data, size_t size);
void char_stream_resume(struct chardev *chr);
void char_stream_attached(struct chardev *chr);

/* Make a descriptor non-blocking; the flags it had before, or -errno. */
int char_stream_nonblock(int fd);
