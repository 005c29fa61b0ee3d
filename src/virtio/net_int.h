/* SPDX-License-Identifier: MIT */
/* The network card, between net.c (frames) and net_ctrl.c (the control queue and what it sets). */
#pragma once

#include "base/bits.h"
#include "host/net.h"
#include "virtio/virtio.h"

/* 5.1.3 */
#define VIRTIO_NET_F_CSUM                BIT64(0)
#define VIRTIO_NET_F_GUEST_CSUM          BIT64(1)
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS BIT64(2)
#define VIRTIO_NET_F_MTU                 BIT64(3)
#define VIRTIO_NET_F_MAC                 BIT64(5)
#define VIRTIO_NET_F_GSO                 BIT64(6) /* legacy */
#define VIRTIO_NET_F_GUEST_TSO4          BIT64(7)
#define VIRTIO_NET_F_GUEST_TSO6          BIT64(8)
#define VIRTIO_NET_F_GUEST_ECN           BIT64(9)
#define VIRTIO_NET_F_GUEST_UFO           BIT64(10)
#define VIRTIO_NET_F_HOST_TSO4           BIT64(11)
#define VIRTIO_NET_F_HOST_TSO6           BIT64(12)
#define VIRTIO_NET_F_HOST_ECN            BIT64(13)
#define VIRTIO_NET_F_HOST_UFO            BIT64(14)
#define VIRTIO_NET_F_MRG_RXBUF           BIT64(15)
#define VIRTIO_NET_F_STATUS              BIT64(16)
#define VIRTIO_NET_F_CTRL_VQ             BIT64(17)
#define VIRTIO_NET_F_CTRL_RX             BIT64(18)
#define VIRTIO_NET_F_CTRL_VLAN           BIT64(19)
#define VIRTIO_NET_F_CTRL_RX_EXTRA       BIT64(20)
#define VIRTIO_NET_F_GUEST_ANNOUNCE      BIT64(21)
#define VIRTIO_NET_F_MQ                  BIT64(22)
#define VIRTIO_NET_F_CTRL_MAC_ADDR       BIT64(23)
#define VIRTIO_NET_F_SPEED_DUPLEX        BIT64(63)

#define VIRTIO_NET_S_LINK_UP             1u
#define VIRTIO_NET_S_ANNOUNCE            2u

#define NIC_MAC                          6u
#define NIC_MACS_MAX                     64u
#define NIC_VLANS                        4096u
#define NIC_PEEK                         18u /* what the filters look at: addresses, type and VLAN tag */
#define NIC_WINDOW                       128u  /* receive buffers that are looked at ahead */
#define NIC_PARTS                        1022u /* of these, for one readv */
#define NIC_CONFIG_MAX                   17u

/* Addresses to receive; those that did not fit count as all. */
struct nic_macs {
    unsigned count;
    bool overflow;
    u8 macs[NIC_MACS_MAX][NIC_MAC];
};

/* Guest-visible state. */
struct nic_state {
    u8 mac[NIC_MAC];
    u16 status;
    u16 pairs; /* in use */
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
    struct nic_macs unicast, multicast;
    u64 offloads; /* VIRTIO_NET_F_GUEST_*: in force */
    u8 vlans[NIC_VLANS / 8];
};

struct nic;

/* A pair of a receive and a transmit queue. */
struct nic_pair {
    struct nic *nic;
    unsigned index;
    bool tx_blocked; /* the backend was busy: it will tell */
    unsigned chain_count;
    unsigned part_count;
    size_t room;      /* bytes of all chains */
    size_t want;      /* bytes to have at hand before a read */
    size_t held;      /* a frame of this size waits for more buffers, 0: none: */
    size_t held_room; /* so much of it is in the buffers, the rest in `spill` */
    struct virtq_chain chains[NIC_WINDOW]; /* the guest's buffers, taken and not given back yet */
    u32 written[NIC_WINDOW];
    struct iovec parts[NIC_PARTS + VIRTQ_PARTS_MAX];
    u8 spill[NET_FRAME_MAX];
};

struct nic {
    struct virtio v;
    struct virtio_ops ops; /* features depend on the backend */
    struct net *net;
    unsigned pairs_max;
    unsigned header;   /* bytes of struct virtio_net_hdr: 10 or 12 */
    u64 features_seen; /* what header and offloads are set for */
    u8 config[NIC_CONFIG_MAX];
    u8 mac[NIC_MAC]; /* at reset */
    struct nic_state state;
    struct iovec iov[NIC_PARTS + VIRTQ_PARTS_MAX]; /* of the frame at work */
    struct iovec tx_parts[VIRTQ_PARTS_MAX];
    struct nic_pair *pairs;
};

/* --- net.c --- */

/* Look at all queues of the pairs in use. Loop thread. */
void nic_run(struct nic *nic);

/* --- net_ctrl.c --- */

unsigned nic_ctrl_index(const struct nic *nic);
void nic_ctrl_run(struct nic *nic);
void nic_ctrl_reset(struct nic *nic);

/* Set what the guest accepts: VIRTIO_NET_F_GUEST_*. */
void nic_set_offloads(struct nic *nic, u64 offloads);

/* Is a frame that begins with these bytes for the guest? */
bool nic_accepts(const struct nic *nic, const u8 peek[NIC_PEEK]);
