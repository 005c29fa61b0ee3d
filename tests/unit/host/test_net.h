/* SPDX-License-Identifier: MIT */
/* A network backend on a real loop, with the test as its card. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "cli/config.h"
#include "host/loop.h"
#include "host/net.h"

#define TEST_NET_ROUNDS 3000 /* of 10 ms: as long as a loaded host may take */

struct test_net {
    struct clock clock;
    struct loop *loop;
    struct net *net;
    struct error err;
    unsigned header;
    unsigned readable, writable;
    unsigned links; /* changes */
    size_t size;    /* of the last frame */
    u8 frame[NET_FRAME_MAX];
};

static void test_net_readable(void *arg, unsigned queue)
{
    struct test_net *t = arg;

    (void)queue;
    t->readable++;
    net_listen(t->net, 0, false);
}

static void test_net_writable(void *arg, unsigned queue)
{
    struct test_net *t = arg;

    (void)queue;
    t->writable++;
}

static void test_net_link(void *arg, bool up)
{
    struct test_net *t = arg;

    (void)up;
    t->links++;
}

static inline void test_net_start(struct test_net *t)
{
    memset(t, 0, sizeof(*t));
    clock_init(&t->clock);
    t->loop = loop_new(&t->clock, &t->err);
    assert_non_null(t->loop);
}

static inline bool test_net_open(struct test_net *t, const struct net_config *config)
{
    const struct net_frontend card = { test_net_readable, test_net_writable, test_net_link, t };

    t->net = net_open(config, t->loop, &t->err);
    if (t->net)
        net_attach(t->net, &card);
    return t->net;
}

static inline void test_net_end(struct test_net *t)
{
    net_free(t->net);
    loop_free(t->loop);
}

/* Let the loop run until `what` is true. */
#define test_net_until(t, what) \
    do { \
        unsigned rounds_ = TEST_NET_ROUNDS; \
        while (!(what) && rounds_--) \
            loop_poll((t)->loop, 10); \
        assert_true(what); \
    } while (0)

/* The next frame into t->frame; waits for it. */
static inline void test_net_receive(struct test_net *t)
{
    struct iovec iov = { t->frame, sizeof(t->frame) };

    for (unsigned i = 0; i < TEST_NET_ROUNDS; i++) {
        t->size = net_receive(t->net, 0, &iov, 1);
        if (t->size)
            return;
        net_listen(t->net, 0, true);
        loop_poll(t->loop, 10);
    }
    fail_msg("no frame came");
}

static inline bool test_net_send(struct test_net *t, const void *frame, size_t size)
{
    u8 header[NET_HEADER_MAX] = { 0 };
    const struct iovec iov[] = { { header, t->header }, { (void *)(uintptr_t)frame, size } };
    bool sent = net_send(t->net, 0, iov, 2);

    net_flush(t->net);
    return sent;
}
