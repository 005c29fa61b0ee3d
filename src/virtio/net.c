/* SPDX-License-Identifier: MIT */
/*
 * virtio-net: virtio 1.2, 5.1. Pairs of a receive and a transmit queue, and a control queue.
 *
 * To the guest: buffers are taken from the receive queue in advance (the window), and the backend reads a frame
 * straight into them, with room behind them for what they have no room for (the spill). Buffers that a frame did not
 * reach stay in the window. From the guest: the backend gets the guest's own bytes.
 *
 * NOT EMULATED: RSS, hash reports, UDP segmentation and notification coalescing, which are not offered.
 */
#include "virtio/net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "virtio/net_int.h"

#define NIC_HEADER_LEGACY 10u
#define NIC_HEADER        12u
#define NIC_NUM_BUFFERS   10u /* offset in the header */
#define NIC_QUEUE_SIZE    256u
#define NIC_CTRL_SIZE     64u
#define NIC_BATCH         256u /* frames at a time: the loop has others to serve */
#define NIC_SIGNAL        32u  /* frames after which the guest is told, so that it works along */
#define NIC_WANT          2048u
#define NIC_FRAME_MIN     NET_ETH_HEADER
#define NIC_MTU_MIN       68u
#define NIC_MTU_MAX       65535u

/* Configuration space, 5.1.4. */
enum {
    NIC_CONFIG_MAC = 0,
    NIC_CONFIG_STATUS = 6,
    NIC_CONFIG_PAIRS = 8,
    NIC_CONFIG_MTU = 10,
    NIC_CONFIG_SPEED = 12,
    NIC_CONFIG_DUPLEX = 16,
};

static const struct {
    const char *name;
    u64 bits;
    bool header; /* only with a backend that carries headers */
} nic_features[] = {
    [NIC_CSUM] = { "csum", VIRTIO_NET_F_CSUM, true },
    [NIC_GUEST_CSUM] = { "guest_csum", VIRTIO_NET_F_GUEST_CSUM, true },
    [NIC_CTRL_GUEST_OFFLOADS] = { "ctrl_guest_offloads", VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, false },
    [NIC_GSO] = { "gso", VIRTIO_NET_F_GSO, true },
    [NIC_GUEST_TSO4] = { "guest_tso4", VIRTIO_NET_F_GUEST_TSO4, true },
    [NIC_GUEST_TSO6] = { "guest_tso6", VIRTIO_NET_F_GUEST_TSO6, true },
    [NIC_GUEST_ECN] = { "guest_ecn", VIRTIO_NET_F_GUEST_ECN, true },
    [NIC_GUEST_UFO] = { "guest_ufo", VIRTIO_NET_F_GUEST_UFO, true },
    [NIC_HOST_TSO4] = { "host_tso4", VIRTIO_NET_F_HOST_TSO4, true },
    [NIC_HOST_TSO6] = { "host_tso6", VIRTIO_NET_F_HOST_TSO6, true },
    [NIC_HOST_ECN] = { "host_ecn", VIRTIO_NET_F_HOST_ECN, true },
    [NIC_HOST_UFO] = { "host_ufo", VIRTIO_NET_F_HOST_UFO, true },
    [NIC_MRG_RXBUF] = { "mrg_rxbuf", VIRTIO_NET_F_MRG_RXBUF, false },
    [NIC_STATUS] = { "status", VIRTIO_NET_F_STATUS, false },
    [NIC_CTRL_VQ] = { "ctrl_vq", VIRTIO_NET_F_CTRL_VQ, false },
    [NIC_CTRL_RX] = { "ctrl_rx", VIRTIO_NET_F_CTRL_RX, false },
    [NIC_CTRL_VLAN] = { "ctrl_vlan", VIRTIO_NET_F_CTRL_VLAN, false },
    [NIC_CTRL_RX_EXTRA] = { "ctrl_rx_extra", VIRTIO_NET_F_CTRL_RX_EXTRA, false },
    [NIC_GUEST_ANNOUNCE] = { "guest_announce", VIRTIO_NET_F_GUEST_ANNOUNCE, false },
    [NIC_CTRL_MAC_ADDR] = { "ctrl_mac_addr", VIRTIO_NET_F_CTRL_MAC_ADDR, false },
};

const char *nic_feature_name(enum nic_feature feature)
{
    return nic_features[feature].name;
}

static struct nic *nic_of(struct virtio *v)
{
    return container_of(v, struct nic, v);
}

static struct virtq *nic_rx_queue(const struct nic_pair *pair)
{
    return &pair->nic->v.queues[2 * pair->index];
}

static struct virtq *nic_tx_queue(const struct nic_pair *pair)
{
    return &pair->nic->v.queues[2 * pair->index + 1];
}

static bool nic_is_up(const struct nic *nic)
{
    return nic->net && (nic->state.status & VIRTIO_NET_S_LINK_UP);
}

/* `iov` without its first `skip` bytes, of which there are as many, in `out`; the number of parts. */
static unsigned nic_skip(const struct iovec *iov, unsigned count, size_t skip, struct iovec *out)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t cut = MIN(skip, iov[i].iov_len);

        skip -= cut;
        if (iov[i].iov_len > cut)
            out[n++] = (struct iovec){ (u8 *)iov[i].iov_base + cut, iov[i].iov_len - cut };
    }
    return n;
}

/* ---- The window of receive buffers ---- */

/* Take one more buffer. */
static enum virtq_result nic_rx_take(struct nic_pair *pair)
{
    struct virtq_chain *chain = &pair->chains[pair->chain_count];
    enum virtq_result result;

    chain->iov = &pair->parts[pair->part_count];
    result = virtq_pop(nic_rx_queue(pair), chain);
    if (result != VIRTQ_CHAIN)
        return result;
    if (chain->out_count || chain->in_size < pair->nic->header)
        return virtq_break(nic_rx_queue(pair),
                           "virtio-net: a receive buffer without room for a header");
    pair->chain_count++;
    pair->part_count += chain->in_count;
    pair->room += chain->in_size;
    return VIRTQ_CHAIN;
}

static bool nic_rx_is_limit(const struct nic_pair *pair)
{
    return pair->chain_count == NIC_WINDOW || pair->part_count >= NIC_PARTS;
}

/* Buffers for a frame of `want` bytes, or as many as there are. Without mergeable buffers a frame gets one. */
static void nic_rx_fill(struct nic_pair *pair, size_t want)
{
    bool merge = virtio_has(&pair->nic->v, VIRTIO_NET_F_MRG_RXBUF);

    while ((!pair->chain_count || (merge && pair->room < want)) && !nic_rx_is_limit(pair) &&
           nic_rx_take(pair) == VIRTQ_CHAIN)
        ;
}

/* Give the first `count` buffers back, and move the others up. */
static void nic_rx_push(struct nic_pair *pair, unsigned count)
{
    unsigned parts = 0;

    virtq_push_all(nic_rx_queue(pair), pair->chains, pair->written, count);
    for (unsigned i = 0; i < count; i++) {
        parts += pair->chains[i].in_count;
        pair->room -= pair->chains[i].in_size;
    }
    pair->chain_count -= count;
    pair->part_count -= parts;
    memmove(pair->chains, pair->chains + count, pair->chain_count * sizeof(pair->chains[0]));
    memmove(pair->parts, pair->parts + parts, pair->part_count * sizeof(pair->parts[0]));
    for (unsigned i = 0; i < pair->chain_count; i++)
        pair->chains[i].iov -= parts;
}

/* The buffers of a reset device are void. Some may have been written to. */
static void nic_rx_forget(struct nic_pair *pair)
{
    for (unsigned i = 0; i < pair->part_count; i++)
        ram_dirty_ptr(pair->nic->v.ram, pair->parts[i].iov_base, pair->parts[i].iov_len);
    pair->chain_count = 0;
    pair->part_count = 0;
    pair->room = 0;
    pair->held = 0;
    pair->want = NIC_WANT;
    pair->tx_blocked = false;
}

/* ---- Frames to the guest ---- */

enum nic_rx { NIC_RX_DONE, NIC_RX_EMPTY, NIC_RX_FULL };

/* The frame of `size` bytes that is in the window is whole. */
static void nic_rx_give(struct nic_pair *pair, size_t size)
{
    unsigned count = 0;
    u8 number[2];

    while (size) {
        pair->written[count] = (u32)MIN(size, pair->chains[count].in_size);
        size -= pair->written[count++];
    }
    if (pair->nic->header == NIC_HEADER) {
        store_le16(number, (u16)count);
        net_iov_put(pair->parts, pair->part_count, NIC_NUM_BUFFERS, number, sizeof(number));
    }
    nic_rx_push(pair, count);
}

/* A frame of `size` bytes was read, of which `room` went into the window and the others into the spill. */
static enum nic_rx nic_rx_finish(struct nic_pair *pair, size_t size, size_t room)
{
    pair->held = 0;
    if (size > room) {
        pair->want = MAX(pair->want, size);
        nic_rx_fill(pair, size);
        if (pair->nic->v.broken)
            return NIC_RX_FULL;
        if (pair->room < size) {
            if (nic_rx_is_limit(pair) || !virtio_has(&pair->nic->v, VIRTIO_NET_F_MRG_RXBUF))
                return NIC_RX_DONE; /* larger than the guest has buffers: dropped */
            pair->held = size;
            pair->held_room = room;
            return NIC_RX_FULL;
        }
        net_iov_put(pair->parts, pair->part_count, room, pair->spill, size - room);
    }
    nic_rx_give(pair, size);
    return NIC_RX_DONE;
}

/* A backend without headers reads behind an empty one. */
static size_t nic_rx_read(struct nic_pair *pair, const struct iovec *iov, unsigned count)
{
    static const u8 empty[NET_HEADER_MAX];
    struct nic *nic = pair->nic;
    size_t size;

    if (nic->net->has_header)
        return net_receive(nic->net, pair->index, iov, count);
    net_iov_put(iov, count, 0, empty, nic->header);
    count = nic_skip(iov, count, nic->header, nic->tx_parts);
    size = net_receive(nic->net, pair->index, nic->tx_parts, count);
    return size ? size + nic->header : 0;
}

static enum nic_rx nic_rx_one(struct nic_pair *pair)
{
    struct nic *nic = pair->nic;
    u8 peek[NIC_PEEK] = { 0 };
    unsigned parts;
    size_t size, room;

    if (pair->held)
        return nic_rx_finish(pair, pair->held, pair->held_room);
    nic_rx_fill(pair, pair->want);
    if (!pair->chain_count)
        return NIC_RX_FULL;
    parts = MIN(pair->part_count, NIC_PARTS);
    memcpy(nic->iov, pair->parts, parts * sizeof(nic->iov[0]));
    room = parts == pair->part_count ? pair->room : net_iov_size(nic->iov, parts);
    nic->iov[parts] = (struct iovec){ pair->spill, sizeof(pair->spill) };
    size = nic_rx_read(pair, nic->iov, parts + 1);
    if (!size)
        return NIC_RX_EMPTY;
    net_iov_get(nic->iov, parts + 1, nic->header, peek, sizeof(peek));
    if (!nic_accepts(nic, peek))
        return NIC_RX_DONE;
    return nic_rx_finish(pair, size, room);
}

static void nic_rx_run(struct nic_pair *pair)
{
    struct nic *nic = pair->nic;
    struct virtq *q = nic_rx_queue(pair);
    enum nic_rx result = NIC_RX_DONE;

    if (!q->state.ready || !nic_is_up(nic) || pair->index >= nic->state.pairs) {
        if (nic->net && pair->index < nic->net->queues)
            net_listen(nic->net, pair->index, false);
        return;
    }
    virtq_disable_notify(q);
    for (unsigned n = 1; n <= NIC_BATCH && result == NIC_RX_DONE; n++) {
        result = nic_rx_one(pair);
        if (result == NIC_RX_FULL && !nic->v.broken && virtq_enable_notify(q))
            result = NIC_RX_DONE;
        if (n % NIC_SIGNAL == 0)
            virtq_signal(q);
    }
    virtq_signal(q);
    if (result == NIC_RX_DONE && !nic->v.broken)
        virtio_ring(&nic->v, q->index);
    net_listen(nic->net, pair->index, result == NIC_RX_EMPTY);
}

/* ---- Frames from the guest ---- */

/* False when the backend has no room now. */
static bool nic_tx_send(struct nic_pair *pair, const struct virtq_chain *chain)
{
    struct nic *nic = pair->nic;
    u64 size = chain->out_size - nic->header;
    const struct iovec *iov = chain->iov;
    unsigned count = chain->out_count;

    if (size < NIC_FRAME_MIN || size > NET_FRAME_MAX - NET_HEADER_MAX) {
        guest_error("virtio-net: a frame of %llu bytes", (unsigned long long)size);
        return true;
    }
    if (!nic->net->has_header) {
        count = nic_skip(iov, count, nic->header, nic->iov);
        iov = nic->iov;
    }
    if (count > NIC_PARTS) {
        guest_error("virtio-net: a frame in %u parts", count);
        return true;
    }
    return net_send(nic->net, pair->index, iov, count);
}

/* One frame. False when there is none, or none can be sent now. */
static bool nic_tx_one(struct nic_pair *pair)
{
    struct virtq *q = nic_tx_queue(pair);
    struct nic *nic = pair->nic;
    struct virtq_chain chain = { .iov = nic->tx_parts };

    if (virtq_pop(q, &chain) != VIRTQ_CHAIN)
        return false;
    if (chain.out_size < nic->header) {
        virtio_fail(&nic->v, "virtio-net: a frame without a header");
        return false;
    }
    if (nic_is_up(nic) && !nic_tx_send(pair, &chain)) {
        virtq_unpop(q, &chain);
        pair->tx_blocked = true;
        return false;
    }
    virtq_push(q, &chain, 0);
    return true;
}

/* Until the queue is empty; true when it is not, but others must have their turn. */
static bool nic_tx_batch(struct nic_pair *pair)
{
    struct virtq *q = nic_tx_queue(pair);
    unsigned n = 0;

    do {
        virtq_disable_notify(q);
        while (n < NIC_BATCH && nic_tx_one(pair))
            n++;
        if (n == NIC_BATCH)
            return true;
    } while (!pair->tx_blocked && !pair->nic->v.broken && virtq_enable_notify(q));
    return false;
}

static void nic_tx_run(struct nic_pair *pair)
{
    struct nic *nic = pair->nic;
    struct virtq *q = nic_tx_queue(pair);

    if (!q->state.ready || pair->tx_blocked || pair->index >= nic->state.pairs)
        return;
    if (nic_tx_batch(pair))
        virtio_ring(&nic->v, q->index);
    virtq_signal(q);
    if (!nic->net)
        return;
    net_flush(nic->net);
    if (nic->net->prompt)
        nic_rx_run(pair);
}

void nic_run(struct nic *nic)
{
    for (unsigned i = 0; i < nic->pairs_max && !nic->v.broken; i++) {
        nic_tx_run(&nic->pairs[i]);
        nic_rx_run(&nic->pairs[i]);
    }
}

/* ---- Backend callbacks: the loop thread, the device not locked ---- */

static void nic_readable(void *arg, unsigned queue)
{
    struct nic *nic = arg;

    pthread_mutex_lock(&nic->v.dev.lock);
    if (virtio_is_live(&nic->v) && queue < nic->pairs_max)
        nic_rx_run(&nic->pairs[queue]);
    else
        net_listen(nic->net, queue, false);
    pthread_mutex_unlock(&nic->v.dev.lock);
}

static void nic_writable(void *arg, unsigned queue)
{
    struct nic *nic = arg;

    pthread_mutex_lock(&nic->v.dev.lock);
    if (queue < nic->pairs_max) {
        nic->pairs[queue].tx_blocked = false;
        if (virtio_is_live(&nic->v))
            nic_tx_run(&nic->pairs[queue]);
    }
    pthread_mutex_unlock(&nic->v.dev.lock);
}

static void nic_set_link(struct nic *nic, bool up)
{
    u16 status = nic->state.status & (u16)~VIRTIO_NET_S_LINK_UP;

    if (up)
        status |= VIRTIO_NET_S_LINK_UP;
    /* Another switch has to learn where we are. */
    if (up && virtio_has(&nic->v, VIRTIO_NET_F_GUEST_ANNOUNCE))
        status |= VIRTIO_NET_S_ANNOUNCE;
    nic->state.status = status;
    virtio_config_changed(&nic->v);
    if (virtio_is_live(&nic->v))
        nic_run(nic);
}

static void nic_link(void *arg, bool up)
{
    struct nic *nic = arg;

    pthread_mutex_lock(&nic->v.dev.lock);
    nic_set_link(nic, up);
    pthread_mutex_unlock(&nic->v.dev.lock);
}

/* ---- Transport callbacks ---- */

/* Any thread. */
static void nic_features_set(struct virtio *v)
{
    struct nic *nic = nic_of(v);
    u64 features = v->state.driver_features;

    nic->features_seen = features;
    nic->header =
        features & (VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF) ? NIC_HEADER : NIC_HEADER_LEGACY;
    if (nic->net && nic->net->has_header && !net_set_header(nic->net, nic->header))
        virtio_fail(v, "virtio-net: the host refuses this size of headers");
    nic_set_offloads(nic, features);
}

static void nic_notify(struct virtio *v, unsigned index)
{
    struct nic *nic = nic_of(v);

    /* A legacy driver may ring before it is DRIVER_OK. */
    if (nic->features_seen != v->state.driver_features)
        nic_features_set(v);
    if (index == nic_ctrl_index(nic))
        nic_ctrl_run(nic);
    else if (index / 2 >= nic->pairs_max)
        guest_error("virtio-net: no queue %u is in use", index);
    else if (index % 2)
        nic_tx_run(&nic->pairs[index / 2]);
    else
        nic_rx_run(&nic->pairs[index / 2]);
}

static void nic_config_read(struct virtio *v, unsigned offset, void *data, unsigned size)
{
    struct nic *nic = nic_of(v);

    memcpy(nic->config + NIC_CONFIG_MAC, nic->state.mac, NIC_MAC);
    store_le16(nic->config + NIC_CONFIG_STATUS, nic->state.status);
    memcpy(data, nic->config + offset, size);
}

/* The address, by drivers that have no command for it (5.1.4). */
static void nic_config_write(struct virtio *v, unsigned offset, const void *data, unsigned size)
{
    struct nic *nic = nic_of(v);

    if (virtio_has(v, VIRTIO_F_VERSION_1) || virtio_has(v, VIRTIO_NET_F_CTRL_MAC_ADDR))
        return;
    for (unsigned i = 0; i < size && offset + i < NIC_MAC; i++)
        nic->state.mac[offset + i] = ((const u8 *)data)[i];
}

static void nic_reset(struct virtio *v)
{
    struct nic *nic = nic_of(v);

    for (unsigned i = 0; i < nic->pairs_max; i++)
        nic_rx_forget(&nic->pairs[i]);
    nic->features_seen = 0;
    nic->header = NIC_HEADER_LEGACY;
    nic_ctrl_reset(nic);
}

/* ---- Ops tables ---- */

static const struct virtio_ops nic_virtio_ops = {
    .id = VIRTIO_ID_NET,
    .notify = nic_notify,
    .config_read = nic_config_read,
    .config_write = nic_config_write,
    .features_set = nic_features_set,
    .reset = nic_reset,
};

static void nic_free(struct device *dev)
{
    struct nic *nic = nic_of(container_of(dev, struct virtio, dev));

    net_free(nic->net);
    virtio_fini(&nic->v);
    free(nic->pairs);
    free(nic);
}

static const struct device_ops nic_device_ops = {
    .reset = virtio_device_reset,
    .free = nic_free,
};

static const struct net_frontend nic_frontend = {
    .readable = nic_readable,
    .writable = nic_writable,
    .link = nic_link,
};

/* ---- Making one ---- */

/* What the features are good for without those that they need (5.1.3.1). */
static u64 nic_depend(u64 features)
{
    static const struct {
        u64 features, needs;
    } rows[] = {
        { VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_UFO |
              VIRTIO_NET_F_GSO,
          VIRTIO_NET_F_CSUM },
        { VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_UFO,
          VIRTIO_NET_F_GUEST_CSUM },
        { VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 },
        { VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 },
        { VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_VLAN | VIRTIO_NET_F_CTRL_RX_EXTRA |
              VIRTIO_NET_F_GUEST_ANNOUNCE | VIRTIO_NET_F_MQ | VIRTIO_NET_F_CTRL_MAC_ADDR |
              VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
          VIRTIO_NET_F_CTRL_VQ },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (!(features & rows[i].needs))
            features &= ~rows[i].features;
    return features;
}

static u64 nic_offer(const struct nic_config *config, const struct net *net)
{
    u64 features = VIRTIO_NET_F_MAC;

    for (size_t i = 0; i < ARRAY_SIZE(nic_features); i++)
        if (!(config->features_off & BIT(i)) &&
            (!nic_features[i].header || (net && net->has_header)))
            features |= nic_features[i].bits;
    if (!net || !net->has_ufo)
        features &= ~(VIRTIO_NET_F_GUEST_UFO | VIRTIO_NET_F_HOST_UFO);
    if (config->mtu)
        features |= VIRTIO_NET_F_MTU;
    if (config->speed)
        features |= VIRTIO_NET_F_SPEED_DUPLEX;
    if (config->mq && net && net->queues > 1)
        features |= VIRTIO_NET_F_MQ;
    return nic_depend(features);
}

/* As long as the last field that means something, as QEMU has it. */
static unsigned nic_config_size(u64 features)
{
    if (features & VIRTIO_NET_F_SPEED_DUPLEX)
        return NIC_CONFIG_DUPLEX + 1;
    if (features & VIRTIO_NET_F_MTU)
        return NIC_CONFIG_SPEED;
    return features & VIRTIO_NET_F_MQ ? NIC_CONFIG_MTU : NIC_CONFIG_PAIRS;
}

static bool nic_is_size(u32 size)
{
    return !size || (size >= 64 && size <= VIRTQ_SIZE_MAX && !(size & (size - 1)));
}

static bool nic_check(const struct nic_config *config, struct error *err)
{
    if (config->mac[0] & 1)
        return error_set(err, "mac must not be a multicast address");
    if (config->mtu && (config->mtu < NIC_MTU_MIN || config->mtu > NIC_MTU_MAX))
        return error_set(err, "host_mtu must be from %u to %u", NIC_MTU_MIN, NIC_MTU_MAX);
    if (!nic_is_size(config->rx_size) || !nic_is_size(config->tx_size))
        return error_set(err, "rx_queue_size and tx_queue_size must be powers of two from 64 to %u",
                         VIRTQ_SIZE_MAX);
    return true;
}

static void nic_add_queues(struct nic *nic, const struct nic_config *config)
{
    nic->pairs = xcalloc(nic->pairs_max, sizeof(*nic->pairs));
    for (unsigned i = 0; i < nic->pairs_max; i++) {
        nic->pairs[i].nic = nic;
        nic->pairs[i].index = i;
        nic->pairs[i].want = NIC_WANT;
        virtio_add_queues(&nic->v, 1, (u16)(config->rx_size ? config->rx_size : NIC_QUEUE_SIZE));
        virtio_add_queues(&nic->v, 1, (u16)(config->tx_size ? config->tx_size : NIC_QUEUE_SIZE));
    }
    if (nic->ops.features & VIRTIO_NET_F_CTRL_VQ)
        virtio_add_queues(&nic->v, 1, NIC_CTRL_SIZE);
}

static void nic_fill_config(struct nic *nic, const struct nic_config *config)
{
    memcpy(nic->mac, config->mac, NIC_MAC);
    store_le16(nic->config + NIC_CONFIG_PAIRS, (u16)nic->pairs_max);
    store_le16(nic->config + NIC_CONFIG_MTU, (u16)config->mtu);
    store_le32(nic->config + NIC_CONFIG_SPEED, config->speed);
    nic->config[NIC_CONFIG_DUPLEX] = config->duplex;
}

struct virtio *nic_new(const struct nic_config *config, struct net *net, struct error *err)
{
    struct net_frontend frontend = nic_frontend;
    struct nic *nic;

    if (!nic_check(config, err)) {
        net_free(net);
        return NULL;
    }
    nic = xcalloc(1, sizeof(*nic));
    nic->net = net;
    nic->ops = nic_virtio_ops;
    nic->ops.features = nic_offer(config, net);
    nic->ops.features_legacy = nic->ops.features & VIRTIO_NET_F_GSO;
    nic->ops.features &= ~VIRTIO_NET_F_GSO;
    nic->pairs_max = net && nic->ops.features & VIRTIO_NET_F_MQ ? net->queues : 1;
    nic->header = NIC_HEADER_LEGACY;
    nic->state.status = net && net->link_up ? VIRTIO_NET_S_LINK_UP : 0;
    nic_fill_config(nic, config);
    virtio_init(&nic->v, "virtio-net", &nic_device_ops, &nic->ops, config->ram, config->loop);
    nic->v.config_size = nic_config_size(nic->ops.features);
    nic_add_queues(nic, config);
    nic_ctrl_reset(nic);
    frontend.arg = nic;
    if (net)
        net_attach(net, &frontend);
    return &nic->v;
}
