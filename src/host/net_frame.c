/* SPDX-License-Identifier: MIT */
/* Checksums and segments of Ethernet frames. */
#include "host/net_frame.h"

#include <string.h>

#include "base/bytes.h"
#include "host/net.h"

#define NET_ETHERTYPE_IPV4 0x0800u
#define NET_ETHERTYPE_IPV6 0x86DDu
#define NET_IPV4_HEADER    20u
#define NET_IPV6_HEADER    40u
#define NET_TCP_HEADER     20u
#define NET_PROTOCOL_TCP   6u
#define NET_IP_MAX         65535u

/* IPv4 header. */
enum {
    IPV4_LENGTH = 2,
    IPV4_ID = 4,
    IPV4_FRAGMENT = 6,
    IPV4_TTL = 8,
    IPV4_PROTOCOL = 9,
    IPV4_CHECKSUM = 10,
    IPV4_SOURCE = 12
};
#define IPV4_FRAGMENT_MASK 0x3FFFu /* more fragments, and where this one begins */
#define IPV4_MORE          0x2000u

/* IPv6 header. */
enum { IPV6_LENGTH = 4, IPV6_NEXT = 6, IPV6_SOURCE = 8 };

/* TCP header. */
enum {
    TCP_SEQ = 4,
    TCP_ACK = 8,
    TCP_OFFSET = 12,
    TCP_FLAGS = 13,
    TCP_WINDOW = 14,
    TCP_CHECKSUM = 16
};
#define TCP_F_FIN 0x01u
#define TCP_F_PSH 0x08u
#define TCP_F_ACK 0x10u
#define TCP_F_CWR 0x80u

static u16 net_frame_fold(u64 sum)
{
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return (u16)sum;
}

u16 net_frame_sum(const u8 *data, size_t size, u32 sum)
{
    u64 total = sum;

    /* Carries are added at the end: 32-bit words cannot overflow 64 bits here. */
    for (; size >= 16; data += 16, size -= 16) {
        u32 w[4];

        memcpy(w, data, sizeof(w));
        total += (u64)w[0] + w[1] + w[2] + w[3];
    }
    for (; size >= 2; data += 2, size -= 2) {
        u16 w;

        memcpy(&w, data, sizeof(w));
        total += w;
    }
    if (size) {
        u8 last[2] = { *data, 0 };
        u16 w;

        memcpy(&w, last, sizeof(w));
        total += w;
    }
    return net_frame_fold(total);
}

static void net_frame_store(u8 *p, u16 sum)
{
    memcpy(p, &sum, sizeof(sum));
}

bool net_frame_finish(const u8 *header, u8 *frame, size_t size)
{
    unsigned start = load_le16(header + NET_HEADER_CSUM_START);
    unsigned at = start + load_le16(header + NET_HEADER_CSUM_OFFSET);
    u16 sum;

    if (!(header[NET_HEADER_FLAGS] & NET_HEADER_F_NEEDS_CSUM))
        return true;
    if (at + 2u > size)
        return false;
    sum = (u16)~net_frame_sum(frame + start, size - start, 0);
    net_frame_store(frame + at, sum ? sum : 0xFFFF); /* 0 would mean none to UDP */
    return true;
}

/* ---- Segments ---- */

static bool net_frame_ipv4(const u8 *ip, size_t size, size_t *length)
{
    *length = load_be16(ip + IPV4_LENGTH);
    return ip[0] == 0x45 && ip[IPV4_PROTOCOL] == NET_PROTOCOL_TCP && *length <= size &&
           *length >= NET_IPV4_HEADER + NET_TCP_HEADER &&
           !(load_be16(ip + IPV4_FRAGMENT) & IPV4_FRAGMENT_MASK);
}

static bool net_frame_ipv6(const u8 *ip, size_t size, size_t *length)
{
    *length = NET_IPV6_HEADER + load_be16(ip + IPV6_LENGTH);
    return ip[0] >> 4 == 6 && ip[IPV6_NEXT] == NET_PROTOCOL_TCP && *length <= size &&
           *length >= NET_IPV6_HEADER + NET_TCP_HEADER;
}

bool net_frame_parse(const u8 *frame, size_t size, struct net_segment *s)
{
    const u8 *ip = frame + NET_ETH_HEADER, *tcp;
    unsigned type, ip_header, tcp_header;
    size_t length;

    if (size < NET_ETH_HEADER + NET_IPV6_HEADER)
        return false;
    type = load_be16(frame + NET_ETH_HEADER - 2);
    s->v6 = type == NET_ETHERTYPE_IPV6;
    if (s->v6 ? !net_frame_ipv6(ip, size - NET_ETH_HEADER, &length)
              : type != NET_ETHERTYPE_IPV4 || !net_frame_ipv4(ip, size - NET_ETH_HEADER, &length))
        return false;
    ip_header = s->v6 ? NET_IPV6_HEADER : NET_IPV4_HEADER;
    tcp = ip + ip_header;
    tcp_header = (unsigned)(tcp[TCP_OFFSET] >> 4) * 4;
    if (tcp_header < NET_TCP_HEADER || ip_header + tcp_header >= length)
        return false;
    s->ip = NET_ETH_HEADER;
    s->tcp = NET_ETH_HEADER + ip_header;
    s->headers = s->tcp + tcp_header;
    s->payload = length - ip_header - tcp_header;
    s->seq = load_be32(tcp + TCP_SEQ);
    s->flags = tcp[TCP_FLAGS];
    return true;
}

bool net_frame_segment(const u8 *frame, size_t size, struct net_segment *s)
{
    return net_frame_parse(frame, size, s) && (s->flags & ~TCP_F_PSH) == TCP_F_ACK;
}

/* IP headers but for length, identification and checksum. */
static bool net_frame_same_ip(const u8 *a, const u8 *b, bool v6)
{
    if (v6)
        return !memcmp(a, b, IPV6_LENGTH) &&
               !memcmp(a + IPV6_NEXT, b + IPV6_NEXT, NET_IPV6_HEADER - IPV6_NEXT);
    return !memcmp(a, b, IPV4_LENGTH) &&
           !memcmp(a + IPV4_FRAGMENT, b + IPV4_FRAGMENT, IPV4_CHECKSUM - IPV4_FRAGMENT) &&
           !memcmp(a + IPV4_SOURCE, b + IPV4_SOURCE, NET_IPV4_HEADER - IPV4_SOURCE);
}

/* TCP headers but for sequence, PSH and checksum. */
static bool net_frame_same_tcp(const u8 *a, const u8 *b, unsigned size)
{
    return !memcmp(a, b, TCP_SEQ) && !memcmp(a + TCP_ACK, b + TCP_ACK, TCP_FLAGS - TCP_ACK) &&
           !memcmp(a + TCP_WINDOW, b + TCP_WINDOW, TCP_CHECKSUM - TCP_WINDOW) &&
           !memcmp(a + TCP_CHECKSUM + 2, b + TCP_CHECKSUM + 2, size - TCP_CHECKSUM - 2);
}

bool net_frame_follows(const u8 *first, const struct net_segment *a, size_t payload, const u8 *next,
                       const struct net_segment *b)
{
    return a->v6 == b->v6 && a->headers == b->headers && b->seq == a->seq + (u32)payload &&
           b->payload <= a->payload && payload % a->payload == 0 &&
           a->headers - a->ip + payload + b->payload <= NET_IP_MAX &&
           !memcmp(first, next, NET_ETH_HEADER) &&
           net_frame_same_ip(first + a->ip, next + b->ip, a->v6) &&
           net_frame_same_tcp(first + a->tcp, next + b->tcp, a->headers - a->tcp);
}

/* The sum of the pseudo header, which the checksum of the whole goes on from. */
static u16 net_frame_pseudo(const u8 *ip, bool v6, size_t length)
{
    const u8 tail[8] = { 0, 0, (u8)(length >> 8), (u8)length, 0, 0, 0, NET_PROTOCOL_TCP };
    u16 sum = net_frame_sum(tail, sizeof(tail), 0);

    return v6 ? net_frame_sum(ip + IPV6_SOURCE, 32, sum) : net_frame_sum(ip + IPV4_SOURCE, 8, sum);
}

static void net_frame_set_length(u8 *headers, const struct net_segment *s, size_t payload)
{
    size_t length = s->headers - s->tcp + payload;
    u8 *ip = headers + s->ip;

    if (s->v6) {
        store_be16(ip + IPV6_LENGTH, (u16)length);
        return;
    }
    store_be16(ip + IPV4_LENGTH, (u16)(NET_IPV4_HEADER + length));
    store_be16(ip + IPV4_CHECKSUM, 0);
    net_frame_store(ip + IPV4_CHECKSUM, (u16)~net_frame_sum(ip, NET_IPV4_HEADER, 0));
}

void net_frame_join(u8 *header, u8 *headers, const struct net_segment *first, size_t payload,
                    bool push)
{
    u8 *ip = headers + first->ip, *tcp = headers + first->tcp;
    size_t length = first->headers - first->tcp + payload;

    net_frame_set_length(headers, first, payload);
    if (push)
        tcp[TCP_FLAGS] |= TCP_F_PSH;
    net_frame_store(tcp + TCP_CHECKSUM, net_frame_pseudo(ip, first->v6, length));
    header[NET_HEADER_FLAGS] = NET_HEADER_F_NEEDS_CSUM;
    header[NET_HEADER_GSO_TYPE] = first->v6 ? NET_HEADER_GSO_TCPV6 : NET_HEADER_GSO_TCPV4;
    store_le16(header + NET_HEADER_HDR_LEN, (u16)first->headers);
    store_le16(header + NET_HEADER_GSO_SIZE, (u16)first->payload);
    store_le16(header + NET_HEADER_CSUM_START, (u16)first->tcp);
    store_le16(header + NET_HEADER_CSUM_OFFSET, TCP_CHECKSUM);
}

size_t net_frame_piece(const u8 *frame, const struct net_segment *s, size_t at, size_t size,
                       u8 *out)
{
    u8 *ip = out + s->ip, *tcp = out + s->tcp;
    size_t length = s->headers - s->tcp + size;

    memcpy(out, frame, s->headers);
    memcpy(out + s->headers, frame + s->headers + at, size);
    store_be32(tcp + TCP_SEQ, s->seq + (u32)at);
    if (at)
        tcp[TCP_FLAGS] &= (u8)~TCP_F_CWR;
    if (at + size != s->payload)
        tcp[TCP_FLAGS] &= (u8) ~(TCP_F_FIN | TCP_F_PSH);
    net_frame_set_length(out, s, size);
    net_frame_store(tcp + TCP_CHECKSUM, 0);
    net_frame_store(tcp + TCP_CHECKSUM,
                    (u16)~net_frame_sum(tcp, length, net_frame_pseudo(ip, s->v6, length)));
    return s->headers + size;
}

size_t net_frame_fragment(const u8 *frame, size_t size, size_t *at, size_t mtu, u8 *out)
{
    u8 *ip = out + NET_ETH_HEADER;
    size_t header = NET_ETH_HEADER + NET_IPV4_HEADER, room = (mtu - NET_IPV4_HEADER) / 8 * 8, n;
    bool ipv4 = size > header && load_be16(frame + NET_ETH_HEADER - 2) == NET_ETHERTYPE_IPV4 &&
                frame[NET_ETH_HEADER] == 0x45;

    if (*at + header >= size)
        return 0;
    if (!ipv4) {
        memcpy(out, frame, size);
        *at = size;
        return size;
    }
    n = size - header - *at;
    if (n > room)
        n = room;
    memcpy(out, frame, header);
    memcpy(out + header, frame + header + *at, n);
    store_be16(ip + IPV4_LENGTH, (u16)(NET_IPV4_HEADER + n));
    store_be16(ip + IPV4_FRAGMENT, (u16)(*at / 8 + (header + *at + n < size ? IPV4_MORE : 0)));
    store_be16(ip + IPV4_CHECKSUM, 0);
    net_frame_store(ip + IPV4_CHECKSUM, (u16)~net_frame_sum(ip, NET_IPV4_HEADER, 0));
    *at += n;
    return header + n;
}
