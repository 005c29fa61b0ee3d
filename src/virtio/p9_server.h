/* SPDX-License-Identifier: MIT */
/*
 * A 9P server (9P2000.L, as Linux speaks it) over a folder of the host; without a transport. Messages are served on
 * any number of threads at a time.
 */
#pragma once

#include <sys/uio.h>

#include "base/types.h"

#define P9_MESSAGE_MAX 8192u    /* bytes of a request, the data of a write aside */
#define P9_REPLY_MAX   65536u   /* bytes of an answer, the data of a read aside */
#define P9_MSIZE_MAX   1048576u /* what we agree to */
#define P9_PARTS_MAX   1026u

struct fs;
struct p9_server;

/* One request and its answer. The transport fills what is said; the buffers belong to the call. */
struct p9_call {
    const struct iovec *out, *in; /* the request as it lies in memory, and room for the answer */
    unsigned out_count, in_count;
    u64 out_size, in_size;

    u8 message[P9_MESSAGE_MAX]; /* a copy of the request's start: looked at once */
    u32 message_size;
    u8 reply[P9_REPLY_MAX]; /* the answer, as far as its data is not in `in` already */
    u32 reply_size;         /* 0: there is no room for any answer */
    u32 data_size;          /* bytes of data that follow it in `in` */
    struct iovec parts[P9_PARTS_MAX];
    u8 scratch[P9_REPLY_MAX / 2];
};

/* The server owns `fs`. At most `fids` fids at a time. */
struct p9_server *p9_server_new(struct fs *fs, unsigned fids);
void p9_server_free(struct p9_server *server);

/* Forget the session. No call may be served at the time. */
void p9_server_reset(struct p9_server *server);

/* Copy the start of the request in `out`: the first step, after which p9_serve and the two below may come. */
void p9_call_read(struct p9_call *call);

/* Serve a request, all of it: the answer is in `call` when it returns. May block. */
void p9_serve(struct p9_server *server, struct p9_call *call);

/* What a transport must know: a request's tag, and the tag that a Tflush names (false: it is none). */
u16 p9_call_tag(const struct p9_call *call);
bool p9_call_flushes(const struct p9_call *call, u16 *tag);
