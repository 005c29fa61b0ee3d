/* SPDX-License-Identifier: MIT */
/* The network card's control queue and its receive filters. virtio 1.2, 5.1.6.5. */
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "virtio/net_int.h"

/* Classes. */
enum {
    VIRTIO_NET_CTRL_RX = 0,
    VIRTIO_NET_CTRL_MAC = 1,
    VIRTIO_NET_CTRL_VLAN = 2,
    VIRTIO_NET_CTRL_ANNOUNCE = 3,
    VIRTIO_NET_CTRL_MQ = 4,
    VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5,
};

enum { VIRTIO_NET_CTRL_MAC_TABLE_SET = 0, VIRTIO_NET_CTRL_MAC_ADDR_SET = 1 };
enum { VIRTIO_NET_CTRL_VLAN_ADD = 0, VIRTIO_NET_CTRL_VLAN_DEL = 1 };
#define VIRTIO_NET_OK   0u
#define VIRTIO_NET_ERR  1u

#define NIC_CTRL_HEADER 2u  /* class, command */
#define NIC_CTRL_BATCH  64u /* commands at a time: the loop has others to serve */
#define NIC_VLAN_TAG    0x8100u
#define NIC_OFFLOADS \
    (VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | \
     VIRTIO_NET_F_GUEST_ECN | VIRTIO_NET_F_GUEST_UFO)

/* ---- Filters ---- */

static bool nic_has_mac(const struct nic_macs *macs, const u8 *mac)
{
    for (unsigned i = 0; i < macs->count; i++)
        if (!memcmp(macs->macs[i], mac, NIC_MAC))
            return true;
    return macs->overflow;
}

static bool nic_has_vlan(const struct nic *nic, const u8 *peek)
{
    unsigned vlan = load_be16(peek + 14) % NIC_VLANS;

    if (!virtio_has(&nic->v, VIRTIO_NET_F_CTRL_VLAN) || load_be16(peek + 12) != NIC_VLAN_TAG)
        return true;
    return nic->state.vlans[vlan / 8] & BIT(vlan % 8);
}

bool nic_accepts(const struct nic *nic, const u8 peek[NIC_PEEK])
{
    static const u8 broadcast[NIC_MAC] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };
    const struct nic_state *s = &nic->state;

    if (s->promisc)
        return true;
    if (!nic_has_vlan(nic, peek))
        return false;
    if (!memcmp(peek, broadcast, NIC_MAC))
        return !s->nobcast;
    if (peek[0] & 1)
        return !s->nomulti && (s->allmulti || nic_has_mac(&s->multicast, peek));
    return !s->nouni &&
           (s->alluni || !memcmp(peek, s->mac, NIC_MAC) || nic_has_mac(&s->unicast, peek));
}

/* ---- Commands: `size` bytes of data after class and command ---- */

static bool nic_set_rx(struct nic *nic, u8 command, const struct virtq_chain *chain, u64 size)
{
    struct nic_state *s = &nic->state;
    bool *const modes[] = { &s->promisc, &s->allmulti, &s->alluni,
                            &s->nomulti, &s->nouni,    &s->nobcast };
    u64 feature = command < 2 ? VIRTIO_NET_F_CTRL_RX : VIRTIO_NET_F_CTRL_RX_EXTRA;
    u8 on;

    if (command >= ARRAY_SIZE(modes) || !virtio_has(&nic->v, feature) || size < 1)
        return false;
    virtq_read(chain, NIC_CTRL_HEADER, &on, 1);
    *modes[command] = on;
    return true;
}

/* One of the two tables at *at; moves past it. */
static bool nic_read_macs(const struct virtq_chain *chain, u64 *at, struct nic_macs *macs)
{
    u8 raw[4];
    u64 count;

    if (virtq_read(chain, *at, raw, sizeof(raw)) != sizeof(raw))
        return false;
    count = load_le32(raw);
    *at += sizeof(raw);
    if (count > (chain->out_size - *at) / NIC_MAC)
        return false;
    macs->overflow = count > NIC_MACS_MAX;
    macs->count = macs->overflow ? 0 : (unsigned)count;
    virtq_read(chain, *at, macs->macs, macs->count * sizeof(macs->macs[0]));
    *at += count * NIC_MAC;
    return true;
}

static bool nic_set_macs(struct nic *nic, const struct virtq_chain *chain)
{
    struct nic_macs unicast = { .count = 0 }, multicast = { .count = 0 };
    u64 at = NIC_CTRL_HEADER;

    if (!virtio_has(&nic->v, VIRTIO_NET_F_CTRL_RX) || !nic_read_macs(chain, &at, &unicast) ||
        !nic_read_macs(chain, &at, &multicast))
        return false;
    nic->state.unicast = unicast;
    nic->state.multicast = multicast;
    return true;
}

static bool nic_set_mac(struct nic *nic, u8 command, const struct virtq_chain *chain, u64 size)
{
    if (command == VIRTIO_NET_CTRL_MAC_TABLE_SET)
        return nic_set_macs(nic, chain);
    if (command != VIRTIO_NET_CTRL_MAC_ADDR_SET || size != NIC_MAC ||
        !virtio_has(&nic->v, VIRTIO_NET_F_CTRL_MAC_ADDR))
        return false;
    virtq_read(chain, NIC_CTRL_HEADER, nic->state.mac, NIC_MAC);
    return true;
}

static bool nic_set_vlan(struct nic *nic, u8 command, const struct virtq_chain *chain, u64 size)
{
    u8 raw[2], *bits;
    unsigned vlan;

    if (command > VIRTIO_NET_CTRL_VLAN_DEL || size != sizeof(raw) ||
        !virtio_has(&nic->v, VIRTIO_NET_F_CTRL_VLAN))
        return false;
    virtq_read(chain, NIC_CTRL_HEADER, raw, sizeof(raw));
    vlan = load_le16(raw);
    if (vlan >= NIC_VLANS)
        return false;
    bits = &nic->state.vlans[vlan / 8];
    if (command == VIRTIO_NET_CTRL_VLAN_ADD)
        *bits |= (u8)BIT(vlan % 8);
    else
        *bits &= (u8)~BIT(vlan % 8);
    return true;
}

static bool nic_set_announced(struct nic *nic, u8 command, const struct virtq_chain *chain,
                              u64 size)
{
    (void)chain;
    (void)size;
    if (command || !virtio_has(&nic->v, VIRTIO_NET_F_GUEST_ANNOUNCE))
        return false;
    nic->state.status &= (u16)~VIRTIO_NET_S_ANNOUNCE;
    return true;
}

static bool nic_set_pairs(struct nic *nic, u8 command, const struct virtq_chain *chain, u64 size)
{
    u8 raw[2];
    unsigned pairs;

    if (command || size != sizeof(raw) || !virtio_has(&nic->v, VIRTIO_NET_F_MQ))
        return false;
    virtq_read(chain, NIC_CTRL_HEADER, raw, sizeof(raw));
    pairs = load_le16(raw);
    if (!pairs || pairs > nic->pairs_max)
        return false;
    nic->state.pairs = (u16)pairs;
    if (nic->net)
        net_set_queues(nic->net, pairs);
    return true;
}

static bool nic_set_guest_offloads(struct nic *nic, u8 command, const struct virtq_chain *chain,
                                   u64 size)
{
    u8 raw[8];
    u64 offloads;

    if (command || size != sizeof(raw) || !virtio_has(&nic->v, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
        return false;
    virtq_read(chain, NIC_CTRL_HEADER, raw, sizeof(raw));
    offloads = load_le64(raw);
    if (offloads & ~(nic->v.state.driver_features & NIC_OFFLOADS))
        return false;
    nic_set_offloads(nic, offloads);
    return true;
}

static bool (*const nic_classes[])(struct nic *nic, u8 command, const struct virtq_chain *chain,
                                   u64 size) = {
    [VIRTIO_NET_CTRL_RX] = nic_set_rx,
    [VIRTIO_NET_CTRL_MAC] = nic_set_mac,
    [VIRTIO_NET_CTRL_VLAN] = nic_set_vlan,
    [VIRTIO_NET_CTRL_ANNOUNCE] = nic_set_announced,
    [VIRTIO_NET_CTRL_MQ] = nic_set_pairs,
    [VIRTIO_NET_CTRL_GUEST_OFFLOADS] = nic_set_guest_offloads,
};

void nic_set_offloads(struct nic *nic, u64 offloads)
{
    const struct net_offloads guest = {
        .csum = offloads & VIRTIO_NET_F_GUEST_CSUM,
        .tso4 = offloads & VIRTIO_NET_F_GUEST_TSO4,
        .tso6 = offloads & VIRTIO_NET_F_GUEST_TSO6,
        .ecn = offloads & VIRTIO_NET_F_GUEST_ECN,
        .ufo = offloads & VIRTIO_NET_F_GUEST_UFO,
    };

    nic->state.offloads = offloads & NIC_OFFLOADS;
    if (nic->net)
        net_set_offloads(nic->net, &guest);
}

/* ---- The queue ---- */

/* Without MQ agreed on there is one pair, and the control queue comes after it (5.1.2). */
unsigned nic_ctrl_index(const struct nic *nic)
{
    return virtio_has(&nic->v, VIRTIO_NET_F_MQ) ? 2 * nic->pairs_max : 2;
}

static u8 nic_ctrl_command(struct nic *nic, const struct virtq_chain *chain)
{
    u8 header[NIC_CTRL_HEADER];

    virtq_read(chain, 0, header, sizeof(header));
    if (header[0] < ARRAY_SIZE(nic_classes) &&
        nic_classes[header[0]](nic, header[1], chain, chain->out_size - NIC_CTRL_HEADER))
        return VIRTIO_NET_OK;
    guest_error("virtio-net: control command %u.%u refused", header[0], header[1]);
    return VIRTIO_NET_ERR;
}

void nic_ctrl_run(struct nic *nic)
{
    struct virtq *q = &nic->v.queues[nic_ctrl_index(nic)];
    struct virtq_chain chain = { .iov = nic->tx_parts };
    unsigned count = 0;

    while (virtq_pop(q, &chain) == VIRTQ_CHAIN) {
        u8 ack;

        if (chain.out_size < NIC_CTRL_HEADER || !chain.in_size) {
            virtio_fail(&nic->v, "virtio-net: a control command without header or status");
            return;
        }
        ack = nic_ctrl_command(nic, &chain);
        virtq_write(&chain, 0, &ack, 1);
        virtq_push(q, &chain, 1);
        if (++count == NIC_CTRL_BATCH) {
            virtio_ring(&nic->v, q->index);
            break;
        }
    }
    virtq_signal(q);
    nic_run(nic);
}

/* A driver that knows nothing of filters gets all (as on QEMU). */
void nic_ctrl_reset(struct nic *nic)
{
    struct nic_state *s = &nic->state;
    u16 link = s->status & VIRTIO_NET_S_LINK_UP;

    *s = (struct nic_state){ .status = link, .pairs = 1, .promisc = true };
    memcpy(s->mac, nic->mac, NIC_MAC);
    nic_set_offloads(nic, 0);
    if (nic->net)
        net_set_queues(nic->net, 1);
}
