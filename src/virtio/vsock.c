/* SPDX-License-Identifier: MIT */
/* The vsock device: packets between the rings and the connections. virtio 1.2, 5.10. */
#include "virtio/vsock.h"

#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "virtio/virtio.h"
#include "virtio/vsock_conn.h"

#define VSOCK_QUEUE_SIZE         256u
#define VSOCK_CONFIG_SIZE        8u
#define VSOCK_HOST_CID           2u
#define VSOCK_TURN               128u /* packets before other devices have their turn */
#define VSOCK_CONN_TURN          4u   /* reads of one connection before the next one */
#define VSOCK_BATCH              8u   /* buffers of the guest for one read */
#define VSOCK_REPLIES            64u

#define VIRTIO_VSOCK_TYPE_STREAM 1u

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT };

/* The header of a packet, 5.10.6. */
enum {
    VSOCK_SRC_CID = 0,
    VSOCK_DST_CID = 8,
    VSOCK_SRC_PORT = 16,
    VSOCK_DST_PORT = 20,
    VSOCK_LEN = 24,
    VSOCK_TYPE = 28,
    VSOCK_OP = 30,
    VSOCK_FLAGS = 32,
    VSOCK_BUF_ALLOC = 36,
    VSOCK_FWD_CNT = 40,
    VSOCK_HEADER_SIZE = 44,
};

struct vsock_packet {
    u64 src_cid, dst_cid;
    u32 src_port, dst_port;
    u32 len;
    u16 type, op;
    u32 flags, buf_alloc, fwd_cnt;
};

struct vsock {
    struct virtio v;
    u32 cid;
    bool tx_waits; /* for room among the replies */
    unsigned reply_head, reply_count;
    struct vsock_packet replies[VSOCK_REPLIES]; /* RSTs for what belongs to no connection */
    struct iovec iov[VSOCK_BATCH][VIRTQ_PARTS_MAX];
    struct iovec data[VIRTQ_PARTS_MAX];
    struct vsock_conns conns;
};

/* ---- Packets ---- */

static void vsock_decode(struct vsock_packet *p, const u8 *raw)
{
    p->src_cid = load_le64(raw + VSOCK_SRC_CID);
    p->dst_cid = load_le64(raw + VSOCK_DST_CID);
    p->src_port = load_le32(raw + VSOCK_SRC_PORT);
    p->dst_port = load_le32(raw + VSOCK_DST_PORT);
    p->len = load_le32(raw + VSOCK_LEN);
    p->type = load_le16(raw + VSOCK_TYPE);
    p->op = load_le16(raw + VSOCK_OP);
    p->flags = load_le32(raw + VSOCK_FLAGS);
    p->buf_alloc = load_le32(raw + VSOCK_BUF_ALLOC);
    p->fwd_cnt = load_le32(raw + VSOCK_FWD_CNT);
}

static void vsock_encode(const struct vsock_packet *p, u8 *raw)
{
    store_le64(raw + VSOCK_SRC_CID, p->src_cid);
    store_le64(raw + VSOCK_DST_CID, p->dst_cid);
    store_le32(raw + VSOCK_SRC_PORT, p->src_port);
    store_le32(raw + VSOCK_DST_PORT, p->dst_port);
    store_le32(raw + VSOCK_LEN, p->len);
    store_le16(raw + VSOCK_TYPE, p->type);
    store_le16(raw + VSOCK_OP, p->op);
    store_le32(raw + VSOCK_FLAGS, p->flags);
    store_le32(raw + VSOCK_BUF_ALLOC, p->buf_alloc);
    store_le32(raw + VSOCK_FWD_CNT, p->fwd_cnt);
}

/* The parts of iov[0..count) less the first VSOCK_HEADER_SIZE bytes, at most `size` bytes: how many parts. */
static unsigned vsock_payload(const struct iovec *iov, unsigned count, u64 size, struct iovec *data)
{
    u64 skip = VSOCK_HEADER_SIZE;
    unsigned parts = 0;

    for (unsigned i = 0; i < count && size; i++) {
        u64 skipped = MIN(skip, iov[i].iov_len);
        u64 n = MIN(iov[i].iov_len - skipped, size);

        skip -= skipped;
        size -= n;
        if (n)
            data[parts++] = (struct iovec){ (u8 *)iov[i].iov_base + skipped, n };
    }
    return parts;
}

/* ---- To the guest ---- */

static bool vsock_take_buffer(struct vsock *s, struct virtq_chain *chain)
{
    struct virtq *q = &s->v.queues[VSOCK_RX];

    if (virtq_pop(q, chain) != VIRTQ_CHAIN)
        return false;
    if (chain->in_size >= VSOCK_HEADER_SIZE)
        return true;
    virtq_break(q, "a buffer without room for a packet");
    return false;
}

static void vsock_put(struct vsock *s, const struct virtq_chain *chain,
                      const struct vsock_packet *p)
{
    u8 raw[VSOCK_HEADER_SIZE];

    vsock_encode(p, raw);
    virtq_write(chain, 0, raw, sizeof(raw));
    virtq_push(&s->v.queues[VSOCK_RX], chain, VSOCK_HEADER_SIZE + p->len);
}

/* What a packet of this connection says beside its purpose. */
static struct vsock_packet vsock_packet_of(struct vsock *s, struct vsock_conn *c, enum vsock_op op,
                                           u32 len)
{
    c->state.told = c->state.forwarded;
    return (struct vsock_packet){
        .src_cid = VSOCK_HOST_CID,
        .dst_cid = s->cid,
        .src_port = c->state.host_port,
        .dst_port = c->state.guest_port,
        .len = len,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = (u16)op,
        .flags = op == VIRTIO_VSOCK_OP_SHUTDOWN ? c->state.host_shut : 0,
        .buf_alloc = VSOCK_BUFFER_SIZE,
        .fwd_cnt = c->state.forwarded,
    };
}

static bool vsock_send_replies(struct vsock *s)
{
    struct virtq_chain chain = { .iov = s->iov[0] };

    while (s->reply_count) {
        if (!vsock_take_buffer(s, &chain))
            return false;
        vsock_put(s, &chain, &s->replies[s->reply_head]);
        s->reply_head = (s->reply_head + 1) % VSOCK_REPLIES;
        s->reply_count--;
    }
    return true;
}

/* Send what is due; false when the guest has no buffer for it. The connection may be gone after it. */
static bool vsock_send_ops(struct vsock *s, struct vsock_conn *c, unsigned *left)
{
    struct virtq_chain chain = { .iov = s->iov[0] };
    enum vsock_op op;

    while ((op = vsock_conn_next_op(c)) != VIRTIO_VSOCK_OP_INVALID) {
        struct vsock_packet p;

        if (!vsock_take_buffer(s, &chain))
            return false;
        p = vsock_packet_of(s, c, op, 0);
        vsock_put(s, &chain, &p);
        vsock_conn_op_sent(c, op);
        *left -= *left ? 1 : 0;
    }
    return true;
}

struct vsock_batch {
    unsigned count, parts;
    u32 size;
    u32 room[VSOCK_BATCH];
    struct virtq_chain chains[VSOCK_BATCH];
};

/* Gather buffers for up to `wanted` bytes. False when the guest has none. */
static bool vsock_gather(struct vsock *s, struct vsock_batch *b, unsigned count, u32 wanted)
{
    b->count = b->parts = b->size = 0;
    while (b->count < count && b->size < wanted) {
        struct virtq_chain *chain = &b->chains[b->count];
        u32 room;

        chain->iov = s->iov[b->count];
        if (!vsock_take_buffer(s, chain))
            break;
        if (b->parts + chain->in_count > VIRTQ_PARTS_MAX) {
            virtq_unpop(&s->v.queues[VSOCK_RX], chain);
            break;
        }
        room = (u32)MIN(chain->in_size - VSOCK_HEADER_SIZE, VSOCK_PACKET_MAX);
        room = MIN(room, wanted - b->size);
        b->parts +=
            vsock_payload(chain->iov + chain->out_count, chain->in_count, room, s->data + b->parts);
        b->room[b->count++] = room;
        b->size += room;
    }
    return b->count;
}

/* Give the buffers to the guest that `size` bytes went to, and keep the others. */
static void vsock_scatter(struct vsock *s, struct vsock_conn *c, struct vsock_batch *b, u32 size)
{
    unsigned i;

    for (i = 0; i < b->count && size; i++) {
        u32 len = MIN(size, b->room[i]);
        struct vsock_packet p = vsock_packet_of(s, c, VIRTIO_VSOCK_OP_RW, len);

        vsock_put(s, &b->chains[i], &p);
        size -= len;
    }
    for (unsigned j = b->count; j-- > i;)
        virtq_unpop(&s->v.queues[VSOCK_RX], &b->chains[j]);
}

/* One read of the host's end; false when the guest has no buffers. */
static bool vsock_send_data(struct vsock *s, struct vsock_conn *c, unsigned *left)
{
    struct vsock_batch b;
    u32 n;

    if (!vsock_gather(s, &b, MIN(c->appetite, VSOCK_BATCH), vsock_conn_wanted(c)))
        return false;
    n = b.size ? vsock_conn_read(c, s->data, b.parts, b.size) : 0;
    vsock_scatter(s, c, &b, n);
    *left -= MIN(*left, b.count);
    if (b.size)
        return true;
    virtq_break(&s->v.queues[VSOCK_RX], "a buffer without room for bytes");
    return false;
}

/* One turn of a connection. False when the guest has no buffers: then it stays where it is. */
static bool vsock_serve_conn(struct vsock *s, struct vsock_conn *c, unsigned *left)
{
    if (!vsock_send_ops(s, c, left))
        return false;
    for (unsigned i = 0; i < VSOCK_CONN_TURN && vsock_conn_wanted(c); i++)
        if (!vsock_send_data(s, c, left))
            return false;
    vsock_conn_unready(c);
    if (c->state.due || vsock_conn_wanted(c))
        vsock_conn_make_ready(c);
    vsock_conn_rest(c);
    return true;
}

static void vsock_serve(void *arg)
{
    struct vsock *s = arg;
    struct vsock_conn *c;
    unsigned left = VSOCK_TURN;

    if (!virtio_is_live(&s->v))
        return;
    if (vsock_send_replies(s))
        while (left && (c = TAILQ_FIRST(&s->conns.ready)) && vsock_serve_conn(s, c, &left))
            ;
    virtq_signal(&s->v.queues[VSOCK_RX]);
    if (!left)
        virtio_ring(&s->v, VSOCK_RX);
    if (s->tx_waits && !s->reply_count) {
        s->tx_waits = false;
        virtio_ring(&s->v, VSOCK_TX);
    }
}

/* ---- From the guest ---- */

/* There is no such connection. */
static void vsock_refuse(struct vsock *s, const struct vsock_packet *p)
{
    unsigned at = (s->reply_head + s->reply_count) % VSOCK_REPLIES;

    if (p->op == VIRTIO_VSOCK_OP_RST)
        return;
    s->reply_count++;
    s->replies[at] = (struct vsock_packet){
        .src_cid = p->dst_cid,
        .dst_cid = s->cid,
        .src_port = p->dst_port,
        .dst_port = p->src_port,
        .type = p->type,
        .op = VIRTIO_VSOCK_OP_RST,
    };
}

static void vsock_heard(struct vsock_conn *c, const struct vsock_packet *p, struct iovec *data,
                        unsigned parts)
{
    vsock_conn_credit(c, p->buf_alloc, p->fwd_cnt);
    switch (p->op) {
    case VIRTIO_VSOCK_OP_RESPONSE: vsock_conn_response(c); break;
    case VIRTIO_VSOCK_OP_RST: vsock_conn_reset(c); break;
    case VIRTIO_VSOCK_OP_SHUTDOWN: vsock_conn_shutdown(c, p->flags); break;
    case VIRTIO_VSOCK_OP_RW: vsock_conn_write(c, data, parts, p->len); break;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE: break;
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST: vsock_conn_due(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE); break;
    default: vsock_conn_kill(c); break; /* REQUEST, too: it is there already */
    }
}

static void vsock_receive(struct vsock *s, const struct virtq_chain *chain)
{
    u8 raw[VSOCK_HEADER_SIZE];
    struct vsock_packet p;
    struct vsock_conn *c;
    unsigned parts;

    if (virtq_read(chain, 0, raw, sizeof(raw)) < sizeof(raw)) {
        guest_error("virtio-vsock: a packet without its header");
        return;
    }
    vsock_decode(&p, raw);
    if (p.src_cid != s->cid || p.len > VSOCK_PACKET_MAX ||
        p.len > chain->out_size - VSOCK_HEADER_SIZE) {
        guest_error("virtio-vsock: a packet of %u bytes from %llu", p.len,
                    (unsigned long long)p.src_cid);
        return;
    }
    parts = vsock_payload(chain->iov, chain->out_count, p.len, s->data);
    c = p.dst_cid == VSOCK_HOST_CID && p.type == VIRTIO_VSOCK_TYPE_STREAM
            ? vsock_conn_find(&s->conns, p.src_port, p.dst_port)
            : NULL;
    if (c)
        vsock_heard(c, &p, s->data, parts);
    else if (p.dst_cid != VSOCK_HOST_CID || p.type != VIRTIO_VSOCK_TYPE_STREAM ||
             p.op != VIRTIO_VSOCK_OP_REQUEST ||
             !vsock_conn_request(&s->conns, p.src_port, p.dst_port, p.buf_alloc, p.fwd_cnt))
        vsock_refuse(s, &p);
}

static void vsock_transmit(struct vsock *s)
{
    struct virtq *q = &s->v.queues[VSOCK_TX];
    struct virtq_chain chain = { .iov = s->iov[0] };
    unsigned left = VSOCK_TURN;

    while (left && s->reply_count < VSOCK_REPLIES && virtq_pop(q, &chain) == VIRTQ_CHAIN) {
        vsock_receive(s, &chain);
        virtq_push(q, &chain, 0);
        left--;
    }
    s->tx_waits = s->reply_count == VSOCK_REPLIES;
    virtq_signal(q);
    if (!left)
        virtio_ring(&s->v, VSOCK_TX);
    vsock_serve(s);
}

static void vsock_notify(struct virtio *v, unsigned index)
{
    struct vsock *s = container_of(v, struct vsock, v);

    if (index == VSOCK_TX)
        vsock_transmit(s);
    else if (index == VSOCK_RX)
        vsock_serve(s);
}

static void vsock_reset(struct virtio *v)
{
    struct vsock *s = container_of(v, struct vsock, v);

    s->tx_waits = false;
    s->reply_head = s->reply_count = 0;
    vsock_conns_forget_all(&s->conns);
}

/* ---- Configuration space ---- */

static void vsock_config_read(struct virtio *v, unsigned offset, void *data, unsigned size)
{
    u8 config[VSOCK_CONFIG_SIZE];

    store_le64(config, container_of(v, struct vsock, v)->cid);
    memcpy(data, config + offset, size);
}

/* ---- Set-up ---- */

static void vsock_free(struct device *dev)
{
    struct vsock *s = container_of(dev, struct vsock, v.dev);

    vsock_conns_fini(&s->conns);
    virtio_fini(&s->v);
    free(s);
}

static const struct device_ops vsock_device_ops = {
    .reset = virtio_device_reset,
    .free = vsock_free,
};

static const struct virtio_ops vsock_ops = {
    .id = VIRTIO_ID_VSOCK,
    .notify = vsock_notify,
    .config_read = vsock_config_read,
    .reset = vsock_reset,
};

struct virtio *vsock_new(const struct vsock_config *config, struct error *err)
{
    struct vsock *s = xcalloc(1, sizeof(*s));

    s->cid = config->guest_cid;
    virtio_init(&s->v, "virtio-vsock", &vsock_device_ops, &vsock_ops, config->ram, config->loop);
    s->v.config_size = VSOCK_CONFIG_SIZE;
    virtio_add_queues(&s->v, 3, VSOCK_QUEUE_SIZE);
    if (vsock_conns_init(&s->conns, config->path, config->loop, &s->v.dev.lock, vsock_serve, s,
                         err))
        return &s->v;
    vsock_free(&s->v.dev);
    return NULL;
}
