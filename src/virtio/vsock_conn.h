/* SPDX-License-Identifier: MIT */
/*
 * The connections of a vsock device: their states, the sockets at their host's end, and the bytes on the way there.
 * The device (vsock.c) moves packets between them and the rings. All called with the device's lock held.
 */
#pragma once

#include <sys/queue.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/types.h"
#include "host/loop.h"
#include "host/vsock_unix.h"

#define VSOCK_CONNS 1024u
#define VSOCK_HASH  256u
#define VSOCK_BUFFER_SIZE \
    262144u /* of each connection, towards the host; what the guest may send ahead */
#define VSOCK_PACKET_MAX 65536u

enum vsock_op {
    VIRTIO_VSOCK_OP_INVALID,
    VIRTIO_VSOCK_OP_REQUEST,
    VIRTIO_VSOCK_OP_RESPONSE,
    VIRTIO_VSOCK_OP_RST,
    VIRTIO_VSOCK_OP_SHUTDOWN,
    VIRTIO_VSOCK_OP_RW,
    VIRTIO_VSOCK_OP_CREDIT_UPDATE,
    VIRTIO_VSOCK_OP_CREDIT_REQUEST,
    VSOCK_OPS
};

/* Flags of SHUTDOWN: what its sender will not do any more. */
#define VIRTIO_VSOCK_SHUTDOWN_RECEIVE 1u
#define VIRTIO_VSOCK_SHUTDOWN_SEND    2u
#define VIRTIO_VSOCK_SHUTDOWN_BOTH    3u

enum vsock_stage {
    VSOCK_FREE,
    VSOCK_GREETING, /* host's client, whose CONNECT line has not come yet; the guest knows nothing of it */
    VSOCK_REQUESTED,  /* host's client: the guest has to answer */
    VSOCK_CONNECTING, /* guest's client: the host's listener is busy */
    VSOCK_OPEN,
    VSOCK_CLOSED,   /* only the RST that says so has still to be sent, and bytes to the host */
    VSOCK_DRAINING, /* the guest has forgotten it; bytes to the host are left */
};

/* Guest-visible state of a connection; the numbers of bytes wrap around. */
struct vsock_conn_state {
    u32 guest_port, host_port;
    u32 peer_buf_alloc, peer_fwd_cnt; /* as the guest said */
    u32 sent;                         /* to the guest */
    u32 received, forwarded;          /* from the guest; of these, on to the host */
    u32 told;                         /* `forwarded` as the guest knows it */
    u32 due;                          /* packets to be sent: bits by enum vsock_op */
    u8 guest_shut, host_shut;         /* SHUTDOWN flags of either side */
};

struct vsock_conns;

struct vsock_conn {
    struct vsock_conns *conns;
    enum vsock_stage stage;
    LIST_ENTRY(vsock_conn) link; /* free ones, or those of one hash value */
    TAILQ_ENTRY(vsock_conn) ready_link;
    bool is_hashed, is_ready;
    int fd; /* -1: the host's end is closed */
    struct loop_watch *watch;
    u32 armed;     /* events that the watch waits for */
    bool readable; /* there is something to read, perhaps */
    bool asked;    /* CREDIT_REQUEST is out */
    u8 appetite;   /* buffers to fill at once */
    u64 deadline;  /* of REQUESTED and CONNECTING */
    struct vsock_unix_line line;
    struct vsock_conn_state state;
    u8 *buffer; /* a ring of bytes to the host */
    u32 head, used;
    bool touched; /* the buffer has pages */
};

LIST_HEAD(vsock_list, vsock_conn);
TAILQ_HEAD(vsock_ready, vsock_conn);

typedef void vsock_work_fn(void *arg);

struct vsock_conns {
    struct loop *loop;
    pthread_mutex_t *lock;
    vsock_work_fn *work; /* something became ready, on the loop thread */
    void *arg;
    const char *path;
    int listener;
    struct loop_watch *watch;
    bool watch_paused; /* no more of them can be had now */
    struct timer timer;
    u32 next_port;
    u8 *buffers;
    struct vsock_list free;
    struct vsock_list hash[VSOCK_HASH];
    struct vsock_ready ready; /* those that have something for the guest */
    struct vsock_conn conn[VSOCK_CONNS];
};

/* Listen at `path`; `conns` is zero. False and `err` when it cannot be had; vsock_conns_fini takes half-built ones. */
bool vsock_conns_init(struct vsock_conns *conns, const char *path, struct loop *loop,
                      pthread_mutex_t *lock, vsock_work_fn *work, void *arg, struct error *err)
    __attribute__((warn_unused_result));
void vsock_conns_fini(struct vsock_conns *conns);

/* The guest starts anew: it knows of no connection; what it sent still goes to the host. */
void vsock_conns_forget_all(struct vsock_conns *conns);

struct vsock_conn *vsock_conn_find(struct vsock_conns *conns, u32 guest_port, u32 host_port);

/* The guest's REQUEST; false when it cannot be granted. */
bool vsock_conn_request(struct vsock_conns *conns, u32 guest_port, u32 host_port,
                        u32 peer_buf_alloc, u32 peer_fwd_cnt);

/* What else the guest says of a connection. */
void vsock_conn_response(struct vsock_conn *c);
void vsock_conn_reset(struct vsock_conn *c);
void vsock_conn_shutdown(struct vsock_conn *c, u32 flags);
void vsock_conn_credit(struct vsock_conn *c, u32 buf_alloc, u32 fwd_cnt);
void vsock_conn_write(struct vsock_conn *c, const struct iovec *iov, unsigned count, u32 size);

/* Packets for the guest. `due` is sent in the order of priority, RST after all others. */
void vsock_conn_due(struct vsock_conn *c, enum vsock_op op);
enum vsock_op vsock_conn_next_op(const struct vsock_conn *c); /* INVALID: none is due */
void vsock_conn_op_sent(struct vsock_conn *c, enum vsock_op op);

/* Bytes that may be read for the guest now: 0 when it has no room, or does not want any, or there are none. */
u32 vsock_conn_wanted(struct vsock_conn *c);

/* Read into `iov`, at most vsock_conn_wanted bytes: the number, 0 for none now. `all`: there may be more. */
u32 vsock_conn_read(struct vsock_conn *c, const struct iovec *iov, unsigned count, u32 size);

/* After a turn of it: wait for the host. */
void vsock_conn_rest(struct vsock_conn *c);

/* In and out of the list of those with something for the guest. */
void vsock_conn_make_ready(struct vsock_conn *c);
void vsock_conn_unready(struct vsock_conn *c);

/* Give it up: the guest gets a RST. */
void vsock_conn_kill(struct vsock_conn *c);
