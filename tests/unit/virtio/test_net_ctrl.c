/* SPDX-License-Identifier: MIT */
/* The network card's control queue, and the filters that it sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "unit/virtio/net_fixture.h"

#define RX   0u
#define CTRL 2u
#define ALL  (UINT64_MAX & ~(VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED | VIRTIO_NET_F_MQ))
#define OK   0u
#define ERR  1u

enum { PROMISC, ALLMULTI, ALLUNI, NOMULTI, NOUNI, NOBCAST };

static int setup(void **state)
{
    static struct nf f;

    nf_init(&f, 1, true);
    nf_make(&f, false);
    nf_start(&f, ALL);
    nf_post_buffers(&f, RX, 32);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    nf_fini(*state);
    return 0;
}

static void set_mode(struct nf *f, u8 mode, u8 on)
{
    assert_int_equal(nf_control(f, 0, mode, &on, 1), OK);
}

/* Does a frame to this address reach the guest? */
static bool arrives(struct nf *f, const char *to, unsigned type)
{
    unsigned before = nf_used(f, RX);
    u8 frame[12 + 60] = { 0 };

    memcpy(frame + 12, to, 6);
    store_be16(frame + 24, (u16)type);
    store_be16(frame + 26, 42); /* of a VLAN tag */
    nf_wait(f, frame, sizeof(frame));
    nf_arrive(f);
    return nf_used(f, RX) > before;
}

#define OWN       "\x52\x54\x00\x12\x34\x56"
#define OTHER     "\x52\x54\x00\x99\x99\x99"
#define GROUP     "\x01\x00\x5E\x00\x00\x01"
#define BROADCAST "\xFF\xFF\xFF\xFF\xFF\xFF"
#define IPV4      0x0800u
#define VLAN      0x8100u

static void a_card_receives_all_until_told_otherwise(void **state)
{
    struct nf *f = *state;

    assert_true(arrives(f, OTHER, IPV4));
    set_mode(f, PROMISC, 0);
    assert_false(arrives(f, OTHER, IPV4));
    assert_true(arrives(f, OWN, IPV4));
    assert_true(arrives(f, BROADCAST, IPV4));
    assert_false(arrives(f, GROUP, IPV4));
    nf_start(f, ALL);
    nf_post_buffers(f, RX, 8);
    assert_true(arrives(f, OTHER, IPV4));
}

static void modes_open_and_close(void **state)
{
    struct nf *f = *state;

    set_mode(f, PROMISC, 0);
    set_mode(f, ALLMULTI, 1);
    assert_true(arrives(f, GROUP, IPV4));
    set_mode(f, NOMULTI, 1);
    assert_false(arrives(f, GROUP, IPV4));
    set_mode(f, ALLUNI, 1);
    assert_true(arrives(f, OTHER, IPV4));
    set_mode(f, NOUNI, 1);
    assert_false(arrives(f, OWN, IPV4));
    set_mode(f, NOBCAST, 1);
    assert_false(arrives(f, BROADCAST, IPV4));
}

static void tables_of_addresses(void **state)
{
    static const u8 tables[] = "\x01\x00\x00\x00" OTHER "\x01\x00\x00\x00" GROUP;
    struct nf *f = *state;

    set_mode(f, PROMISC, 0);
    assert_int_equal(nf_control(f, 1, 0, tables, sizeof(tables) - 1), OK);
    assert_true(arrives(f, OTHER, IPV4));
    assert_true(arrives(f, GROUP, IPV4));
    assert_int_equal(nf_control(f, 1, 0, "\0\0\0\0\0\0\0\0", 8), OK);
    assert_false(arrives(f, OTHER, IPV4));
    assert_false(arrives(f, GROUP, IPV4));
}

static void a_table_too_large_counts_as_all(void **state)
{
    u8 tables[8 + 6 * 65] = { 65 };
    struct nf *f = *state;

    set_mode(f, PROMISC, 0);
    assert_int_equal(nf_control(f, 1, 0, tables, sizeof(tables)), OK);
    assert_true(arrives(f, OTHER, IPV4));
    assert_false(arrives(f, GROUP, IPV4));
}

static void tables_that_lie_about_their_size_are_refused(void **state)
{
    static const struct {
        const char *data;
        size_t size;
    } rows[] = {
        { "\x02\x00\x00\x00" OTHER "\0\0\0\0", 14 },
        { "\xFF\xFF\xFF\xFF" OTHER, 10 },
        { "\x01\x00\x00\x00" OTHER "\x01\x00\x00\x00", 14 },
        { "\x01\x00\x00\x00" OTHER, 10 },
        { "\x01\x00", 2 },
    };
    struct nf *f = *state;

    set_mode(f, PROMISC, 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(nf_control(f, 1, 0, rows[i].data, rows[i].size), ERR);
    assert_false(arrives(f, OTHER, IPV4));
}

static void the_address_can_be_set(void **state)
{
    struct nf *f = *state;

    set_mode(f, PROMISC, 0);
    assert_int_equal(nf_control(f, 1, 1, OTHER, 6), OK);
    assert_true(arrives(f, OTHER, IPV4));
    assert_false(arrives(f, OWN, IPV4));
    assert_int_equal(nf_read(f, 0x105, 1), 0x99);
    assert_int_equal(nf_control(f, 1, 1, OTHER, 5), ERR);
}

static void vlans_are_closed_until_added(void **state)
{
    struct nf *f = *state;

    set_mode(f, PROMISC, 0);
    assert_false(arrives(f, OWN, VLAN));
    assert_int_equal(nf_control(f, 2, 0, "\x2A\x00", 2), OK);
    assert_true(arrives(f, OWN, VLAN));
    assert_int_equal(nf_control(f, 2, 1, "\x2A\x00", 2), OK);
    assert_false(arrives(f, OWN, VLAN));
    assert_int_equal(nf_control(f, 2, 0, "\x00\x10", 2), ERR);
    assert_int_equal(nf_control(f, 2, 2, "\x2A\x00", 2), ERR);
}

static void vlans_are_open_without_the_feature(void **state)
{
    struct nf *f = *state;

    nf_start(f, ALL & ~VIRTIO_NET_F_CTRL_VLAN);
    nf_post_buffers(f, RX, 8);
    set_mode(f, PROMISC, 0);
    assert_true(arrives(f, OWN, VLAN));
    assert_int_equal(nf_control(f, 2, 0, "\x2A\x00", 2), ERR);
}

static void announcements_are_acknowledged(void **state)
{
    struct nf *f = *state;
    struct net_frontend *card = &f->net->net.frontend;

    card->link(card->arg, true);
    assert_int_equal(nf_read(f, 0x106, 2), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
    assert_int_equal(nf_control(f, 3, 0, "", 0), OK);
    assert_int_equal(nf_read(f, 0x106, 2), VIRTIO_NET_S_LINK_UP);
}

static void offloads_follow_features_and_commands(void **state)
{
    struct nf *f = *state;
    u8 raw[8];

    assert_true(f->net->offloads.csum && f->net->offloads.tso4 && f->net->offloads.tso6);
    store_le64(raw, VIRTIO_NET_F_GUEST_CSUM);
    assert_int_equal(nf_control(f, 5, 0, raw, 8), OK);
    assert_true(f->net->offloads.csum);
    assert_false(f->net->offloads.tso4);
    store_le64(raw, VIRTIO_NET_F_HOST_TSO4);
    assert_int_equal(nf_control(f, 5, 0, raw, 8), ERR);
    assert_int_equal(nf_control(f, 5, 0, raw, 7), ERR);
    nf_write(f, 0x70, 0);
    assert_false(f->net->offloads.csum);
}

static void unknown_commands_are_refused(void **state)
{
    struct nf *f = *state;

    assert_int_equal(nf_control(f, 0, 6, "\1", 1), ERR);
    assert_int_equal(nf_control(f, 0, 0, "", 0), ERR);
    assert_int_equal(nf_control(f, 6, 0, "\1", 1), ERR);
    assert_int_equal(nf_control(f, 255, 255, "\1", 1), ERR);
    assert_int_equal(nf_control(f, 1, 9, "\1", 1), ERR);
    assert_int_equal(nf_control(f, 4, 0, "\1\0", 2), ERR);
    assert_int_equal(nf_read(f, 0x70, 4), 0xF);
}

static void a_command_without_a_place_for_the_answer_breaks_the_card(void **state)
{
    struct nf *f = *state;
    struct iovec part = nf_part(NF_DATA, 3);

    nf_offer(f, CTRL, &part, 1, 1);
    nf_kick(f, CTRL);
    assert_int_equal(nf_read(f, 0x70, 4), 0x4F);
}

static void a_command_without_a_class_breaks_the_card(void **state)
{
    struct nf *f = *state;
    const struct iovec parts[] = { nf_part(NF_DATA, 1), nf_part(NF_DATA, 1) };

    nf_offer(f, CTRL, parts, 2, 1);
    nf_kick(f, CTRL);
    assert_int_equal(nf_read(f, 0x70, 4), 0x4F);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_card_receives_all_until_told_otherwise),
        TEST(modes_open_and_close),
        TEST(tables_of_addresses),
        TEST(a_table_too_large_counts_as_all),
        TEST(tables_that_lie_about_their_size_are_refused),
        TEST(the_address_can_be_set),
        TEST(vlans_are_closed_until_added),
        TEST(vlans_are_open_without_the_feature),
        TEST(announcements_are_acknowledged),
        TEST(offloads_follow_features_and_commands),
        TEST(unknown_commands_are_refused),
        TEST(a_command_without_a_place_for_the_answer_breaks_the_card),
        TEST(a_command_without_a_class_breaks_the_card),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
