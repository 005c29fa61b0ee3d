/* SPDX-License-Identifier: MIT */
/* A frontend for tests of character backends: takes what it is told to take, and keeps it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/bits.h"
#include "cli/config.h"
#include "host/char.h"
#include "host/clock.h"
#include "host/loop.h"

struct test_frontend {
    struct clock clock;
    struct loop *loop;
    struct chardev *chr;
    pthread_mutex_t lock;
    size_t room;
    size_t count;
    char text[8192];
    unsigned opened, closed, breaks, writable, quits;
};

static inline size_t test_frontend_can_receive(void *arg)
{
    struct test_frontend *f = arg;

    assert_int_equal(pthread_mutex_trylock(&f->lock), EBUSY);
    return f->room;
}

static inline void test_frontend_receive(void *arg, const u8 *data, size_t size)
{
    struct test_frontend *f = arg;

    assert_int_equal(pthread_mutex_trylock(&f->lock), EBUSY);
    assert_true(size <= f->room && f->count + size < sizeof(f->text));
    memcpy(f->text + f->count, data, size);
    f->count += size;
    f->room -= size;
}

static inline void test_frontend_event(void *arg, enum chardev_event event)
{
    struct test_frontend *f = arg;

    assert_int_equal(pthread_mutex_trylock(&f->lock), EBUSY);
    f->opened += event == CHARDEV_OPENED;
    f->closed += event == CHARDEV_CLOSED;
    f->breaks += event == CHARDEV_BREAK;
}

static inline void test_frontend_writable(void *arg)
{
    struct test_frontend *f = arg;

    assert_int_equal(pthread_mutex_trylock(&f->lock), EBUSY);
    f->writable++;
}

static inline void test_frontend_quit(void *arg)
{
    struct test_frontend *f = arg;

    f->quits++;
}

static inline void test_frontend_init(struct test_frontend *f)
{
    struct error err;

    memset(f, 0, sizeof(*f));
    f->room = 4096;
    clock_init(&f->clock);
    f->loop = loop_new(&f->clock, &err);
    assert_non_null(f->loop);
    pthread_mutex_init(&f->lock, NULL);
}

static inline void test_frontend_attach(struct test_frontend *f)
{
    const struct chardev_frontend frontend = {
        .lock = &f->lock,
        .can_receive = test_frontend_can_receive,
        .receive = test_frontend_receive,
        .event = test_frontend_event,
        .writable = test_frontend_writable,
        .arg = f,
    };

    assert_true(chardev_attach(f->chr, &frontend));
    assert_false(chardev_attach(f->chr, &frontend));
    chardev_set_quit(f->chr, test_frontend_quit, f);
}

static inline void test_frontend_start(struct test_frontend *f, const struct chardev_config *config)
{
    struct error err = { "" };

    test_frontend_init(f);
    f->chr = chardev_open(config, f->loop, &err);
    if (!f->chr)
        fail_msg("%s", err.text);
    test_frontend_attach(f);
}

static inline void test_frontend_stop(struct test_frontend *f)
{
    chardev_free(f->chr);
    loop_poll(f->loop, 0);
    loop_free(f->loop);
}

/* Let the loop run until `condition` (an expression) holds; a few seconds at most. */
#define test_frontend_until(f, condition) \
    do { \
        bool holds_ = (condition); \
        for (int tries_ = 0; tries_ < 500 && !holds_; tries_++) { \
            loop_poll((f)->loop, 10); \
            holds_ = (condition); \
        } \
        assert_true(holds_); \
    } while (0)

/* Write as a device does, with its lock held. */
static inline size_t test_frontend_write(struct test_frontend *f, const void *data, size_t size)
{
    size_t taken;

    pthread_mutex_lock(&f->lock);
    taken = chardev_write(f->chr, data, size);
    pthread_mutex_unlock(&f->lock);
    return taken;
}

static inline void test_frontend_make_room(struct test_frontend *f, size_t room)
{
    pthread_mutex_lock(&f->lock);
    f->room = room;
    chardev_resume(f->chr);
    pthread_mutex_unlock(&f->lock);
}
