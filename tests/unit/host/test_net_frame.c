/* SPDX-License-Identifier: MIT */
/* Checksums and segments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "host/net.h"
#include "host/net_frame.h"

/* The checksum by the book, RFC 1071, byte by byte. */
static u16 slow_sum(const u8 *data, size_t size)
{
    u32 sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += i % 2 ? data[i] : (u32)data[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return (u16)sum;
}

static u16 wire(u16 memory)
{
    u8 raw[2];

    memcpy(raw, &memory, 2);
    return load_be16(raw);
}

static void sums_of_all_sizes_and_alignments(void **state)
{
    u8 data[200];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (u8)(i * 151 + 13);
    for (size_t at = 0; at < 8; at++)
        for (size_t size = 0; size + at <= sizeof(data); size++)
            assert_int_equal(wire(net_frame_sum(data + at, size, 0)), slow_sum(data + at, size));
}

static void the_open_checksum_is_filled_in(void **state)
{
    u8 header[NET_HEADER_MAX] = { NET_HEADER_F_NEEDS_CSUM };
    u8 frame[64];

    (void)state;
    memset(frame, 0x5A, sizeof(frame));
    store_le16(header + NET_HEADER_CSUM_START, 34);
    store_le16(header + NET_HEADER_CSUM_OFFSET, 16);
    store_be16(frame + 50, 0x1234); /* the pseudo header's sum */
    assert_true(net_frame_finish(header, frame, sizeof(frame)));
    /* A receiver adds the pseudo header's sum, and gets all ones less what it put in. */
    assert_int_equal((u16)(slow_sum(frame + 34, 30)), (u16)~0x1234);
}

static void a_checksum_outside_of_the_frame_is_refused(void **state)
{
    static const struct {
        u16 start, offset;
        size_t size;
        bool ok;
    } rows[] = {
        { 34, 16, 52, true },     { 34, 16, 51, false },         { 34, 16, 0, false },
        { 0, 0, 2, true },        { 0xFFFF, 0xFFFF, 64, false }, { 0xFFFF, 1, 64, false },
        { 0, 0xFFFF, 64, false }, { 62, 0, 64, true },           { 63, 0, 64, false },
    };
    u8 frame[64] = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        u8 header[NET_HEADER_MAX] = { NET_HEADER_F_NEEDS_CSUM };

        store_le16(header + NET_HEADER_CSUM_START, rows[i].start);
        store_le16(header + NET_HEADER_CSUM_OFFSET, rows[i].offset);
        assert_int_equal(net_frame_finish(header, frame, rows[i].size), rows[i].ok);
        header[0] = 0;
        assert_true(net_frame_finish(header, frame, rows[i].size));
    }
}

static void a_sum_of_zero_is_sent_as_all_ones(void **state)
{
    u8 header[NET_HEADER_MAX] = { NET_HEADER_F_NEEDS_CSUM };
    u8 frame[4] = { 0xFF, 0xFF, 0, 0 };

    (void)state;
    store_le16(header + NET_HEADER_CSUM_OFFSET, 2);
    assert_true(net_frame_finish(header, frame, sizeof(frame)));
    assert_int_equal(load_be16(frame + 2), 0xFFFF);
}

/* ---- Segments ---- */

#define PAYLOAD 100u

/* A TCP segment with good checksums; its size. */
static size_t make_segment(u8 *frame, bool v6, u32 seq, size_t payload, u8 flags)
{
    u8 *ip = frame + 14, *tcp = ip + (v6 ? 40 : 20);

    memset(frame, 0, 14 + 40 + 20);
    memcpy(frame, "\x52\x54\x00\x12\x34\x56\x52\x55\x0a\x00\x02\x02", 12);
    store_be16(frame + 12, v6 ? 0x86DD : 0x0800);
    if (v6) {
        ip[0] = 0x60;
        store_be16(ip + 4, (u16)(20 + payload));
        ip[6] = 6;
        ip[7] = 64;
    } else {
        ip[0] = 0x45;
        store_be16(ip + 2, (u16)(40 + payload));
        ip[8] = 64;
        ip[9] = 6;
        memcpy(ip + 12, "\x0a\x00\x02\x02\x0a\x00\x02\x0f", 8);
    }
    store_be16(tcp, 80);
    store_be16(tcp + 2, 40000);
    store_be32(tcp + 4, seq);
    store_be32(tcp + 8, 1);
    tcp[12] = 0x50;
    tcp[13] = flags;
    memset(tcp + 20, (int)(seq & 0xFF), payload);
    return (size_t)(tcp + 20 - frame) + payload;
}

static void segments_are_recognised(void **state)
{
    struct net_segment s;
    u8 frame[300];
    size_t size = make_segment(frame, false, 7, PAYLOAD, 0x18);

    (void)state;
    assert_true(net_frame_segment(frame, size + 6, &s)); /* padded */
    assert_int_equal(s.payload, PAYLOAD);
    assert_int_equal(s.headers, 54);
    assert_int_equal(s.seq, 7);
    assert_true(s.push);
    size = make_segment(frame, true, 7, PAYLOAD, 0x10);
    assert_true(net_frame_segment(frame, size, &s));
    assert_int_equal(s.headers, 74);
    assert_true(s.v6);
    assert_false(s.push);
}

static void what_is_unusual_is_no_segment(void **state)
{
    static const struct {
        unsigned at;
        u8 value;
    } rows[] = {
        { 12, 9 },         /* not IP */
        { 14, 0x46 },      /* IP options */
        { 14 + 6, 0x20 },  /* a fragment */
        { 14 + 7, 1 },     /* a fragment */
        { 14 + 9, 17 },    /* UDP */
        { 14 + 2, 0xFF },  /* longer than the frame */
        { 14 + 3, 40 },    /* without data */
        { 14 + 3, 10 },    /* shorter than its headers */
        { 34 + 12, 0x40 }, /* a header that is too short */
        { 34 + 12, 0xF0 }, /* a header longer than the packet: see below */
        { 34 + 13, 0x11 }, /* FIN */
        { 34 + 13, 0x12 }, /* SYN */
        { 34 + 13, 0x00 }, /* no ACK */
    };
    struct net_segment s;
    u8 frame[300];
    size_t size;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size = make_segment(frame, false, 7, 30, 0x10);
        frame[rows[i].at] = rows[i].value;
        assert_false(net_frame_segment(frame, size, &s));
    }
    size = make_segment(frame, false, 7, 30, 0x10);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(net_frame_segment(frame, cut, &s));
}

static void segments_that_follow_are_joined(void **state)
{
    (void)state;
    for (unsigned v6 = 0; v6 < 2; v6++) {
        u8 first[300], second[300], header[NET_HEADER_MAX] = { 0 };
        struct net_segment a, b;
        size_t n = make_segment(first, v6, 1000, PAYLOAD, 0x10);
        size_t m = make_segment(second, v6, 1000 + PAYLOAD, PAYLOAD - 1, 0x18);
        u8 *ip = first + 14;

        assert_true(net_frame_segment(first, n, &a) && net_frame_segment(second, m, &b));
        assert_true(net_frame_follows(first, &a, PAYLOAD, second, &b));
        net_frame_join(header, first, &a, 2 * PAYLOAD - 1, true);
        assert_int_equal(header[NET_HEADER_FLAGS], NET_HEADER_F_NEEDS_CSUM);
        assert_int_equal(header[NET_HEADER_GSO_TYPE],
                         v6 ? NET_HEADER_GSO_TCPV6 : NET_HEADER_GSO_TCPV4);
        assert_int_equal(load_le16(header + NET_HEADER_GSO_SIZE), PAYLOAD);
        assert_int_equal(load_le16(header + NET_HEADER_HDR_LEN), a.headers);
        if (!v6) {
            assert_int_equal(load_be16(ip + 2), 40 + 2 * PAYLOAD - 1);
            assert_int_equal(slow_sum(ip, 20), 0xFFFF);
        } else {
            assert_int_equal(load_be16(ip + 4), 20 + 2 * PAYLOAD - 1);
        }
        assert_int_equal(first[a.tcp + 13], 0x18);
    }
}

static void segments_that_do_not_follow_stay_apart(void **state)
{
    static const struct {
        unsigned at;
        u8 value;
    } rows[] = {
        { 0, 1 },       /* another destination */
        { 14 + 1, 2 },  /* congestion marked */
        { 14 + 8, 63 }, /* another TTL */
        { 14 + 15, 9 }, /* another source */
        { 34, 9 },      /* another port */
        { 34 + 7, 0 },  /* not the next byte */
        { 34 + 11, 9 }, /* another acknowledgement */
        { 34 + 15, 9 }, /* another window */
    };
    u8 first[300], second[300];
    struct net_segment a, b;
    size_t n = make_segment(first, false, 1000, PAYLOAD, 0x10), m;

    (void)state;
    assert_true(net_frame_segment(first, n, &a));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        m = make_segment(second, false, 1000 + PAYLOAD, PAYLOAD, 0x10);
        second[rows[i].at] = rows[i].value;
        assert_true(net_frame_segment(second, m, &b));
        assert_false(net_frame_follows(first, &a, PAYLOAD, second, &b));
    }
    m = make_segment(second, false, 1000 + PAYLOAD, PAYLOAD + 1, 0x10); /* longer than the first */
    assert_true(net_frame_segment(second, m, &b));
    assert_false(net_frame_follows(first, &a, PAYLOAD, second, &b));
    m = make_segment(second, false, 1000 + PAYLOAD - 1, PAYLOAD, 0x10); /* after a short one */
    assert_true(net_frame_segment(second, m, &b));
    assert_false(net_frame_follows(first, &a, PAYLOAD - 1, second, &b));
    m = make_segment(second, false, 1000 + 65500, PAYLOAD, 0x10); /* no packet is as long */
    assert_true(net_frame_segment(second, m, &b));
    assert_false(net_frame_follows(first, &a, 65500, second, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_all_sizes_and_alignments),
        cmocka_unit_test(the_open_checksum_is_filled_in),
        cmocka_unit_test(a_checksum_outside_of_the_frame_is_refused),
        cmocka_unit_test(a_sum_of_zero_is_sent_as_all_ones),
        cmocka_unit_test(segments_are_recognised),
        cmocka_unit_test(what_is_unusual_is_no_segment),
        cmocka_unit_test(segments_that_follow_are_joined),
        cmocka_unit_test(segments_that_do_not_follow_stay_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
