/* SPDX-License-Identifier: MIT */
/* The network card: frames both ways, headers, buffers, links, and drivers that break the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "unit/virtio/net_fixture.h"

#define RX  0u
#define TX  1u
#define HDR 12u
#define ALL (UINT64_MAX & ~(VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED | VIRTIO_NET_F_MQ))

static const u8 empty_header[HDR];

/* A frame to the card's own address, of a pattern. */
static void make_frame(u8 *frame, size_t size)
{
    static const u8 start[NET_ETH_HEADER] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x52,
                                              0x55, 10,   0, 2,    2,    0x88, 0xB5 };

    for (size_t i = 0; i < size; i++)
        frame[i] = (u8)(i * 7 + i / 256);
    memcpy(frame, start, MIN(size, sizeof(start)));
}

static void start_bare(struct nf *f)
{
    nf_init(f, 1, false);
    nf_make(f, false);
    nf_start(f, ALL);
}

static void start_with_header(struct nf *f, u64 features)
{
    nf_init(f, 1, true);
    nf_make(f, false);
    nf_start(f, features);
}

/* ---- What is offered ---- */

static void offers_what_the_backend_can(void **state)
{
    struct nf f;

    (void)state;
    nf_init(&f, 1, false);
    nf_make(&f, false);
    assert_int_equal(nf_offered(&f) & 0xFFFFFF & ~VIRTIO_NET_F_GSO, 0x00BF8024);
    nf_fini(&f);
    nf_init(&f, 1, true);
    nf_make(&f, false);
    assert_int_equal(nf_offered(&f) & 0xFFFFFF, 0x00BFFFA7);
    nf_fini(&f);
    nf_init(&f, 1, true);
    nf_make(&f, true);
    assert_int_equal(nf_offered(&f) & 0xFFFFFF, 0x00BFFFE7);
    nf_fini(&f);
}

static void features_go_with_those_that_they_need(void **state)
{
    struct nf f;

    (void)state;
    nf_init(&f, 4, true);
    f.config.features_off = BIT(NIC_CSUM) | BIT(NIC_CTRL_VQ);
    nf_make(&f, false);
    assert_int_equal(nf_offered(&f) & (VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_UFO), 0);
    assert_int_equal(nf_offered(&f) & (VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_MQ), 0);
    assert_int_not_equal(nf_offered(&f) & VIRTIO_NET_F_GUEST_TSO4, 0);
    assert_int_equal(f.v->queue_count, 2);
    nf_fini(&f);
}

static void config_space_tells_address_link_pairs_and_mtu(void **state)
{
    struct nf f;

    (void)state;
    nf_init(&f, 4, true);
    f.config.mtu = 9000;
    f.config.speed = 10000;
    f.config.duplex = 1;
    nf_make(&f, false);
    assert_int_equal(nf_read(&f, 0x100, 4), 0x12005452);
    assert_int_equal(nf_read(&f, 0x104, 2), 0x5634);
    assert_int_equal(nf_read(&f, 0x106, 2), VIRTIO_NET_S_LINK_UP);
    assert_int_equal(nf_read(&f, 0x108, 2), 4);
    assert_int_equal(nf_read(&f, 0x10A, 2), 9000);
    assert_int_equal(nf_read(&f, 0x10C, 4), 10000);
    assert_int_equal(nf_read(&f, 0x110, 1), 1);
    assert_int_equal(f.v->queue_count, 9);
    nf_fini(&f);
}

static void the_address_is_written_by_legacy_drivers_only(void **state)
{
    struct nf f;

    (void)state;
    nf_init(&f, 1, false);
    nf_make(&f, true);
    nf_start(&f, 0);
    virtio_mmio_ops.write(&f.mmio, 0x105, 1, 0x99);
    assert_int_equal(nf_read(&f, 0x105, 1), 0x99);
    nf_write(&f, 0x70, 0);
    assert_int_equal(nf_read(&f, 0x105, 1), 0x56);
    nf_fini(&f);
    start_bare(&f);
    virtio_mmio_ops.write(&f.mmio, 0x105, 1, 0x99);
    assert_int_equal(nf_read(&f, 0x105, 1), 0x56);
    nf_fini(&f);
}

static void values_that_cannot_be_are_refused(void **state)
{
    static const struct {
        struct nic_config config;
        const char *text;
    } rows[] = {
        { { .mac = { 1 } }, "multicast" },      { { .mtu = 67 }, "host_mtu" },
        { { .mtu = 70000 }, "host_mtu" },       { { .rx_size = 100 }, "rx_queue_size" },
        { { .tx_size = 32 }, "tx_queue_size" },
    };
    struct error err;
    struct nf f;
    bool freed = false;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        nf_init(&f, 1, false);
        f.net->freed = &freed;
        assert_null(nic_new(&rows[i].config, &f.net->net, &err));
        assert_non_null(strstr(err.text, rows[i].text));
        assert_true(freed);
        loop_free(f.loop);
        ram_fini(&f.ram);
    }
}

/* ---- From the guest ---- */

static void a_bare_backend_gets_frames_without_the_header(void **state)
{
    struct nf f;
    u8 frame[100];

    (void)state;
    make_frame(frame, sizeof(frame));
    start_bare(&f);
    nf_send(&f, TX, empty_header, HDR, frame, sizeof(frame));
    nf_kick(&f, TX);
    assert_int_equal(f.net->sent_count, 1);
    assert_int_equal(f.net->sent[0].size, sizeof(frame));
    assert_memory_equal(f.net->sent[0].data, frame, sizeof(frame));
    assert_int_equal(nf_used(&f, TX), 1);
    assert_int_equal(nf_used_size(&f, TX, 0), 0);
    assert_int_equal(f.net->flushes, 1);
    nf_fini(&f);
}

static void a_header_goes_along_when_the_backend_takes_it(void **state)
{
    static const u8 header[HDR] = { 1, 1, 54, 0, 0xB4, 5, 34, 0, 16, 0 };
    struct nf f;
    u8 frame[3000];

    (void)state;
    make_frame(frame, sizeof(frame));
    start_with_header(&f, ALL);
    assert_int_equal(f.net->header, HDR);
    nf_send(&f, TX, header, HDR, frame, sizeof(frame));
    nf_kick(&f, TX);
    assert_int_equal(f.net->sent[0].size, HDR + sizeof(frame));
    assert_memory_equal(f.net->sent[0].data, header, HDR);
    assert_memory_equal(f.net->sent[0].data + HDR, frame, sizeof(frame));
    nf_fini(&f);
}

static void legacy_headers_have_10_bytes_without_mergeable_buffers(void **state)
{
    struct nf f;
    u8 frame[60];

    (void)state;
    make_frame(frame, sizeof(frame));
    nf_init(&f, 1, false);
    nf_make(&f, true);
    nf_start(&f, 0);
    nf_send(&f, TX, empty_header, 10, frame, sizeof(frame));
    nf_kick(&f, TX);
    assert_int_equal(f.net->sent[0].size, sizeof(frame));
    assert_memory_equal(f.net->sent[0].data, frame, sizeof(frame));
    nf_start(&f, VIRTIO_NET_F_MRG_RXBUF);
    nf_send(&f, TX, empty_header, 12, frame, sizeof(frame));
    nf_kick(&f, TX);
    assert_memory_equal(f.net->sent[1].data, frame, sizeof(frame));
    nf_fini(&f);
}

static void a_header_may_be_cut_anywhere(void **state)
{
    struct nf f;
    u8 frame[60];

    (void)state;
    make_frame(frame, sizeof(frame));
    start_bare(&f);
    memcpy(nf_at(&f, NF_DATA + 100), frame, 60);
    nf_offer(&f, TX,
             (struct iovec[]){ nf_part(NF_DATA, 5), nf_part(NF_DATA, 7), nf_part(NF_DATA + 100, 1),
                               nf_part(NF_DATA + 101, 59) },
             4, 4);
    nf_kick(&f, TX);
    assert_int_equal(f.net->sent[0].size, 60);
    assert_memory_equal(f.net->sent[0].data, frame, 60);
    nf_fini(&f);
}

static void a_busy_backend_is_tried_again(void **state)
{
    struct nf f;
    u8 frame[60];

    (void)state;
    make_frame(frame, sizeof(frame));
    start_bare(&f);
    f.net->busy = true;
    for (unsigned i = 0; i < 3; i++)
        nf_send(&f, TX, empty_header, HDR, frame, sizeof(frame));
    nf_kick(&f, TX);
    assert_int_equal(nf_used(&f, TX), 0);
    f.net->busy = false;
    nf_kick(&f, TX); /* does not go ahead of what waits */
    assert_int_equal(nf_used(&f, TX), 0);
    f.net->net.frontend.writable(f.net->net.frontend.arg, 0);
    assert_int_equal(nf_used(&f, TX), 3);
    assert_int_equal(f.net->sent_count, 3);
    nf_fini(&f);
}

static void frames_are_dropped_while_the_link_is_down(void **state)
{
    struct nf f;
    u8 frame[60];

    (void)state;
    make_frame(frame, sizeof(frame));
    start_bare(&f);
    f.net->net.frontend.link(f.net->net.frontend.arg, false);
    assert_int_equal(nf_read(&f, 0x106, 2), 0);
    assert_int_equal(nf_read(&f, 0x60, 4) & VIRTIO_ISR_CONFIG, VIRTIO_ISR_CONFIG);
    nf_send(&f, TX, empty_header, HDR, frame, sizeof(frame));
    nf_kick(&f, TX);
    assert_int_equal(nf_used(&f, TX), 1);
    assert_int_equal(f.net->sent_count, 0);
    f.net->net.frontend.link(f.net->net.frontend.arg, true);
    assert_int_equal(nf_read(&f, 0x106, 2), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
    nf_send(&f, TX, empty_header, HDR, frame, sizeof(frame));
    nf_kick(&f, TX);
    assert_int_equal(f.net->sent_count, 1);
    nf_fini(&f);
}

static void frames_too_short_or_too_long_are_dropped(void **state)
{
    struct nf f;
    struct iovec parts[2];

    (void)state;
    start_bare(&f);
    parts[0] = nf_part(NF_DATA, HDR + 13);
    nf_offer(&f, TX, parts, 1, 1);
    parts[0] = nf_part(NF_DATA, HDR);
    parts[1] = nf_part(NF_DATA, NET_FRAME_MAX);
    nf_offer(&f, TX, parts, 2, 2);
    nf_kick(&f, TX);
    assert_int_equal(nf_used(&f, TX), 2);
    assert_int_equal(f.net->sent_count, 0);
    assert_int_equal(nf_read(&f, 0x70, 4), 0xF);
    nf_fini(&f);
}

static void a_frame_without_a_header_breaks_the_card(void **state)
{
    struct nf f;
    struct iovec part = nf_part(NF_DATA, HDR - 1);

    (void)state;
    start_bare(&f);
    nf_offer(&f, TX, &part, 1, 1);
    nf_kick(&f, TX);
    assert_int_equal(nf_read(&f, 0x70, 4), 0x4F);
    nf_post_buffers(&f, RX, 1);
    nf_arrive(&f);
    nf_start(&f, ALL); /* a reset mends it */
    assert_int_equal(nf_read(&f, 0x70, 4), 0xF);
    nf_fini(&f);
}

static void a_long_queue_does_not_hold_up_the_loop(void **state)
{
    struct nf f;
    u8 frame[60];

    (void)state;
    make_frame(frame, sizeof(frame));
    start_bare(&f);
    for (unsigned i = 0; i < NF_RING_SIZE; i++)
        nf_send(&f, TX, empty_header, HDR, frame, sizeof(frame));
    nf_kick(&f, TX);
    assert_int_equal(nf_used(&f, TX), NF_RING_SIZE);
    nf_fini(&f);
}

/* ---- To the guest ---- */

static void a_frame_fills_one_buffer(void **state)
{
    struct nf f;
    u8 frame[100];

    (void)state;
    make_frame(frame, sizeof(frame));
    start_bare(&f);
    nf_post_buffers(&f, RX, 4);
    assert_true(f.net->listening[0]);
    nf_wait(&f, frame, sizeof(frame));
    nf_wait(&f, frame, sizeof(frame));
    nf_arrive(&f);
    assert_int_equal(nf_used(&f, RX), 2);
    for (unsigned i = 0; i < 2; i++) {
        u8 *data = nf_at(&f, NF_DATA + i * NF_BUFFER);

        assert_int_equal(nf_used_id(&f, RX, i), i);
        assert_int_equal(nf_used_size(&f, RX, i), HDR + sizeof(frame));
        assert_memory_equal(data, empty_header, 10);
        assert_int_equal(load_le16(data + 10), 1);
        assert_memory_equal(data + HDR, frame, sizeof(frame));
    }
    assert_int_equal(nf_read(&f, 0x60, 4) & VIRTIO_ISR_QUEUE, VIRTIO_ISR_QUEUE);
    nf_fini(&f);
}

static void a_large_frame_fills_several_buffers(void **state)
{
    static u8 frame[HDR + 20000], got[sizeof(frame)];
    struct nf f;
    size_t at = 0;

    (void)state;
    make_frame(frame + HDR, sizeof(frame) - HDR);
    start_with_header(&f, ALL);
    nf_post_buffers(&f, RX, 30);
    for (unsigned round = 0; round < 2; round++) {
        unsigned first = nf_used(&f, RX);

        nf_wait(&f, frame, sizeof(frame));
        nf_arrive(&f);
        assert_int_equal(nf_used(&f, RX), first + 10);
        at = 0;
        for (unsigned i = first; i < first + 10; i++) {
            memcpy(got + at, nf_at(&f, NF_DATA + nf_used_id(&f, RX, i) * NF_BUFFER),
                   nf_used_size(&f, RX, i));
            at += nf_used_size(&f, RX, i);
        }
        assert_int_equal(at, sizeof(frame));
        assert_int_equal(load_le16(got + 10), 10);
        assert_memory_equal(got + HDR, frame + HDR, sizeof(frame) - HDR);
    }
    nf_fini(&f);
}

static void a_large_frame_waits_for_buffers(void **state)
{
    static u8 frame[HDR + 9000], got[sizeof(frame)];
    struct nf f;
    size_t at = 0;

    (void)state;
    make_frame(frame + HDR, sizeof(frame) - HDR);
    start_with_header(&f, ALL);
    nf_post_buffers(&f, RX, 2);
    nf_wait(&f, frame, sizeof(frame));
    nf_arrive(&f);
    assert_int_equal(nf_used(&f, RX), 0);
    assert_false(f.net->listening[0]);
    for (unsigned i = 2; i < 5; i++) {
        struct iovec part = nf_part(NF_DATA + i * NF_BUFFER, NF_BUFFER);

        assert_int_equal(nf_used(&f, RX), 0);
        nf_offer(&f, RX, &part, 1, 0);
        nf_kick(&f, RX);
    }
    assert_int_equal(nf_used(&f, RX), 5);
    for (unsigned i = 0; i < 5; i++) {
        memcpy(got + at, nf_at(&f, NF_DATA + i * NF_BUFFER), nf_used_size(&f, RX, i));
        at += nf_used_size(&f, RX, i);
    }
    assert_int_equal(at, sizeof(frame));
    assert_memory_equal(got + HDR, frame + HDR, sizeof(frame) - HDR);
    nf_fini(&f);
}

static void a_frame_larger_than_its_buffer_is_dropped_without_merging(void **state)
{
    static u8 frame[5000];
    struct nf f;

    (void)state;
    make_frame(frame, sizeof(frame));
    nf_init(&f, 1, false);
    nf_make(&f, false);
    nf_start(&f, 0);
    nf_post_buffers(&f, RX, 8);
    nf_wait(&f, frame, sizeof(frame));
    nf_wait(&f, frame, 80);
    nf_arrive(&f);
    assert_int_equal(nf_used(&f, RX), 1);
    assert_int_equal(nf_used_size(&f, RX, 0), HDR + 80);
    nf_fini(&f);
}

static void a_frame_that_no_window_holds_is_dropped(void **state)
{
    static u8 frame[60000];
    struct nf f;

    (void)state;
    make_frame(frame, sizeof(frame));
    start_bare(&f);
    for (unsigned i = 0; i < NF_RING_SIZE; i++) {
        struct iovec part = nf_part(NF_DATA + i * NF_BUFFER, 100);

        nf_offer(&f, RX, &part, 1, 0);
    }
    nf_kick(&f, RX);
    nf_wait(&f, frame, sizeof(frame));
    nf_wait(&f, frame, 80);
    nf_arrive(&f);
    /* 64 buffers cannot hold it and the driver has no more: it waits, which is the driver's own doing. */
    assert_int_equal(nf_used(&f, RX), 0);
    assert_int_equal(nf_read(&f, 0x70, 4), 0xF);
    nf_start(&f, ALL);
    nf_post_buffers(&f, RX, 8);
    nf_arrive(&f);
    assert_int_equal(nf_used(&f, RX), 1);
    nf_fini(&f);
}

static void without_buffers_the_backend_keeps_its_frames(void **state)
{
    struct nf f;
    u8 frame[60];

    (void)state;
    make_frame(frame, sizeof(frame));
    start_bare(&f);
    nf_wait(&f, frame, sizeof(frame));
    nf_arrive(&f);
    assert_false(f.net->listening[0]);
    assert_int_equal(f.net->waiting_next, 0);
    nf_post_buffers(&f, RX, 1);
    assert_int_equal(nf_used(&f, RX), 1);
    nf_fini(&f);
}

static void nothing_is_taken_before_driver_ok(void **state)
{
    struct nf f;
    u8 frame[60];

    (void)state;
    make_frame(frame, sizeof(frame));
    nf_init(&f, 1, false);
    nf_make(&f, false);
    f.net->listening[0] = true;
    nf_wait(&f, frame, sizeof(frame));
    nf_arrive(&f);
    assert_false(f.net->listening[0]);
    assert_int_equal(f.net->waiting_next, 0);
    nf_fini(&f);
}

static void a_buffer_that_is_readable_breaks_the_card(void **state)
{
    struct nf f;
    struct iovec part = nf_part(NF_DATA, NF_BUFFER);

    (void)state;
    start_bare(&f);
    nf_offer(&f, RX, &part, 1, 1);
    nf_kick(&f, RX);
    assert_int_equal(nf_read(&f, 0x70, 4), 0x4F);
    nf_fini(&f);
}

static void a_buffer_smaller_than_the_header_breaks_the_card(void **state)
{
    struct nf f;
    struct iovec part = nf_part(NF_DATA, HDR - 1);

    (void)state;
    start_bare(&f);
    nf_offer(&f, RX, &part, 1, 0);
    nf_kick(&f, RX);
    assert_int_equal(nf_read(&f, 0x70, 4), 0x4F);
    nf_fini(&f);
}

static void a_reset_forgets_buffers_and_frames(void **state)
{
    static u8 frame[HDR + 9000];
    struct nf f;

    (void)state;
    make_frame(frame + HDR, sizeof(frame) - HDR);
    start_with_header(&f, ALL);
    nf_post_buffers(&f, RX, 2);
    nf_wait(&f, frame, sizeof(frame)); /* will be held */
    nf_arrive(&f);
    nf_start(&f, ALL);
    nf_post_buffers(&f, RX, 8);
    assert_int_equal(nf_used(&f, RX), 0);
    nf_wait(&f, frame, 100);
    nf_arrive(&f);
    assert_int_equal(nf_used(&f, RX), 1);
    assert_int_equal(nf_used_size(&f, RX, 0), 100);
    nf_fini(&f);
}

static void a_card_without_a_cable_works(void **state)
{
    struct nf f;
    struct error err;
    u8 frame[60];

    (void)state;
    make_frame(frame, sizeof(frame));
    nf_init(&f, 1, false);
    net_free(&f.net->net);
    f.v = nic_new(&f.config, NULL, &err);
    virtio_plug(f.v, fake_irq_line(&f.irq, 0), false);
    f.mmio = (struct virtio_mmio){ f.v, false };
    nf_start(&f, ALL);
    assert_int_equal(nf_read(&f, 0x106, 2), 0);
    nf_post_buffers(&f, RX, 2);
    nf_send(&f, TX, empty_header, HDR, frame, sizeof(frame));
    nf_kick(&f, TX);
    assert_int_equal(nf_used(&f, TX), 1);
    nf_fini(&f);
}

/* ---- Several pairs ---- */

static void pairs_come_into_use_by_command(void **state)
{
    struct nf f;
    u8 frame[60], pairs[2] = { 2, 0 };

    (void)state;
    make_frame(frame, sizeof(frame));
    nf_init(&f, 4, true);
    nf_make(&f, false);
    nf_start(&f, ALL | VIRTIO_NET_F_MQ);
    nf_send(&f, 3, empty_header, HDR, frame, sizeof(frame));
    nf_kick(&f, 3);
    assert_int_equal(nf_used(&f, 3), 0);
    assert_int_equal(nf_control(&f, 4, 0, pairs, 2), 0);
    assert_int_equal(f.net->queues_used, 2);
    assert_int_equal(nf_used(&f, 3), 1);
    assert_int_equal(f.net->sent_queue[0], 1);
    pairs[0] = 5;
    assert_int_equal(nf_control(&f, 4, 0, pairs, 2), 1);
    pairs[0] = 0;
    assert_int_equal(nf_control(&f, 4, 0, pairs, 2), 1);
    nf_write(&f, 0x70, 0);
    assert_int_equal(f.net->queues_used, 1);
    nf_fini(&f);
}

static void without_mq_the_control_queue_is_the_third(void **state)
{
    struct nf f;
    const u64 at = NF_DATA;
    const struct iovec parts[] = { nf_part(at, 3), nf_part(at + 8, 1) };

    (void)state;
    nf_init(&f, 4, true);
    nf_make(&f, false);
    nf_start(&f, ALL);
    memcpy(nf_at(&f, at), "\0\0\0", 3);
    *nf_at(&f, at + 8) = 0xEE;
    nf_offer(&f, 2, parts, 2, 1);
    nf_kick(&f, 2);
    assert_int_equal(*nf_at(&f, at + 8), 0);
    assert_int_equal(nf_used_size(&f, 2, 0), 1);
    nf_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_what_the_backend_can),
        cmocka_unit_test(features_go_with_those_that_they_need),
        cmocka_unit_test(config_space_tells_address_link_pairs_and_mtu),
        cmocka_unit_test(the_address_is_written_by_legacy_drivers_only),
        cmocka_unit_test(values_that_cannot_be_are_refused),
        cmocka_unit_test(a_bare_backend_gets_frames_without_the_header),
        cmocka_unit_test(a_header_goes_along_when_the_backend_takes_it),
        cmocka_unit_test(legacy_headers_have_10_bytes_without_mergeable_buffers),
        cmocka_unit_test(a_header_may_be_cut_anywhere),
        cmocka_unit_test(a_busy_backend_is_tried_again),
        cmocka_unit_test(frames_are_dropped_while_the_link_is_down),
        cmocka_unit_test(frames_too_short_or_too_long_are_dropped),
        cmocka_unit_test(a_frame_without_a_header_breaks_the_card),
        cmocka_unit_test(a_long_queue_does_not_hold_up_the_loop),
        cmocka_unit_test(a_frame_fills_one_buffer),
        cmocka_unit_test(a_large_frame_fills_several_buffers),
        cmocka_unit_test(a_large_frame_waits_for_buffers),
        cmocka_unit_test(a_frame_larger_than_its_buffer_is_dropped_without_merging),
        cmocka_unit_test(a_frame_that_no_window_holds_is_dropped),
        cmocka_unit_test(without_buffers_the_backend_keeps_its_frames),
        cmocka_unit_test(nothing_is_taken_before_driver_ok),
        cmocka_unit_test(a_buffer_that_is_readable_breaks_the_card),
        cmocka_unit_test(a_buffer_smaller_than_the_header_breaks_the_card),
        cmocka_unit_test(a_reset_forgets_buffers_and_frames),
        cmocka_unit_test(a_card_without_a_cable_works),
        cmocka_unit_test(pairs_come_into_use_by_command),
        cmocka_unit_test(without_mq_the_control_queue_is_the_third),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
