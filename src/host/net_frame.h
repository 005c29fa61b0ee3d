/* SPDX-License-Identifier: MIT */
/*
 * What a virtual wire does to frames with open checksums and several segments: virtio 1.2, 5.1.6, RFC 1071 (checksums),
 * 791, 8200 and 9293 (headers).
 */
#pragma once

#include "base/types.h"

/* struct virtio_net_hdr, little-endian on all hosts that we run on. */
enum {
    NET_HEADER_FLAGS = 0,
    NET_HEADER_GSO_TYPE = 1,
    NET_HEADER_HDR_LEN = 2,
    NET_HEADER_GSO_SIZE = 4,
    NET_HEADER_CSUM_START = 6,
    NET_HEADER_CSUM_OFFSET = 8,
    NET_HEADER_NUM_BUFFERS = 10,
};
#define NET_HEADER_F_NEEDS_CSUM 1u
#define NET_HEADER_F_DATA_VALID 2u
#define NET_HEADER_GSO_NONE     0u
#define NET_HEADER_GSO_TCPV4    1u
#define NET_HEADER_GSO_TCPV6    4u
#define NET_HEADER_GSO_ECN      0x80u

/* The Internet checksum's sum of some bytes on top of `sum`, folded to 16 bits, in memory order. */
u16 net_frame_sum(const u8 *data, size_t size, u32 sum);

/* Fill in the checksum that `header` leaves open. False when it points outside of the frame. */
bool net_frame_finish(const u8 *header, u8 *frame, size_t size) __attribute__((warn_unused_result));

/* A TCP segment with data. */
struct net_segment {
    unsigned headers; /* bytes of Ethernet, IP and TCP */
    unsigned ip, tcp; /* where these begin */
    size_t payload;
    u32 seq;
    u8 flags;
    bool v6;
};

/* Is it a TCP packet with data, without IP options? Padding after the packet is not counted. */
bool net_frame_parse(const u8 *frame, size_t size, struct net_segment *segment);

/* And with no other flags than ACK and PSH: one of several, maybe. */
bool net_frame_segment(const u8 *frame, size_t size, struct net_segment *segment);

/* Does `next` carry on where `first` with `payload` bytes ends, and could it have been cut off it? */
bool net_frame_follows(const u8 *first, const struct net_segment *a, size_t payload, const u8 *next,
                       const struct net_segment *b);

/*
 * Make the headers of a first segment those of all of them: `payload` bytes in pieces of `first->payload`; `header`
 * says so.
 */
void net_frame_join(u8 *header, u8 *headers, const struct net_segment *first, size_t payload,
                    bool push);

/* The piece of `size` bytes of payload at `at`, as a frame of its own with good checksums; its size. */
size_t net_frame_piece(const u8 *frame, const struct net_segment *segment, size_t at, size_t size,
                       u8 *out);

#define NET_TCP_F_PSH 0x08u

/*
 * The next fragment of an IPv4 frame that is larger than `mtu`, from byte *at of its payload on, as a frame in `out`;
 * moves *at on. 0 at the end. Other frames come whole.
 */
size_t net_frame_fragment(const u8 *frame, size_t size, size_t *at, size_t mtu, u8 *out);
