/* SPDX-License-Identifier: MIT */
/* virtio-net-device: a network card. virtio 1.2, 5.1. */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct loop;
struct net;
struct ram;
struct virtio;

/* Features that may be switched off, as properties of the device. */
enum nic_feature {
    NIC_CSUM,
    NIC_GUEST_CSUM,
    NIC_CTRL_GUEST_OFFLOADS,
    NIC_GSO, /* legacy */
    NIC_GUEST_TSO4,
    NIC_GUEST_TSO6,
    NIC_GUEST_ECN,
    NIC_GUEST_UFO,
    NIC_HOST_TSO4,
    NIC_HOST_TSO6,
    NIC_HOST_ECN,
    NIC_HOST_UFO,
    NIC_MRG_RXBUF,
    NIC_STATUS,
    NIC_CTRL_VQ,
    NIC_CTRL_RX,
    NIC_CTRL_VLAN,
    NIC_CTRL_RX_EXTRA,
    NIC_GUEST_ANNOUNCE,
    NIC_CTRL_MAC_ADDR,
    NIC_FEATURES,
};

/* The property's name, as "mrg_rxbuf". */
const char *nic_feature_name(enum nic_feature feature);

struct nic_config {
    struct ram *ram;
    struct loop *loop;
    u8 mac[6];
    u32 features_off; /* bit: enum nic_feature */
    bool mq;
    u32 mtu;              /* 0: not told */
    u32 speed;            /* Mbit/s; 0: not told */
    u8 duplex;            /* 0 half, 1 full, 0xFF unknown */
    u32 rx_size, tx_size; /* of the queues; 0: 256 */
};

/*
 * A card on `net` (NULL: no cable), which becomes its property (also on failure: it is closed). NULL and `err` when a
 * value of `config` cannot be.
 */
struct virtio *nic_new(const struct nic_config *config, struct net *net, struct error *err);
