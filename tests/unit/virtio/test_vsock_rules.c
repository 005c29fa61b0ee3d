/* SPDX-License-Identifier: MIT */
/* The vsock device: credit, buffers, limits, drivers that break the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "unit/virtio/vsock_ends.h"
#include "virtio/vsock.h"

/* ---- Credit ---- */

static void the_host_sends_no_more_than_the_guests_credit(void **state)
{
    struct test *t = *state;
    u8 data[1000];
    u32 port;
    int fd;

    t->buf_alloc = 100;
    fd = host_client(t, 5, &port);
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = pattern(i);
    host_write(t, fd, data, sizeof(data));
    for (unsigned done = 0; done < sizeof(data); done += 100) {
        heard(t, 5, port, RW);
        assert_int_equal(t->p.len, 100);
        assert_memory_equal(t->p.data, data + done, 100);
        heard(t, 5, port, CREDIT_REQUEST);
        heard_no_more(t);
        t->fwd_cnt += 100;
        if (done + 100 == sizeof(data))
            break;
        say(t, 5, port, CREDIT_UPDATE, 0);
    }
    close(fd);
}

static void credit_that_makes_no_sense_only_stalls(void **state)
{
    struct test *t = *state;
    u32 port;
    int fd = host_client(t, 5, &port);

    t->fwd_cnt = 1000; /* more than it was sent */
    say(t, 5, port, CREDIT_UPDATE, 0);
    host_write(t, fd, "x", 1);
    heard(t, 5, port, CREDIT_REQUEST);
    heard_no_more(t);
    t->fwd_cnt = 0;
    say(t, 5, port, CREDIT_UPDATE, 0);
    heard_data(t, 5, port, "x");
    close(fd);
}

static void a_question_for_credit_is_answered(void **state)
{
    struct test *t = *state;
    u32 port;
    int fd = host_client(t, 5, &port);

    guest_write(t, 5, port, "abc", 3);
    say(t, 5, port, CREDIT_REQUEST, 0);
    heard(t, 5, port, CREDIT_UPDATE);
    assert_int_equal(t->p.fwd_cnt, 3);
    close(fd);
}

static void a_slow_host_stops_the_guest_and_loses_nothing(void **state)
{
    struct test *t = *state;
    u32 port, sent = 0, told;
    int fd = host_client(t, 5, &port);
    size_t got = 0;
    u8 byte[4096];
    ssize_t n;

    told = fill_window(t, 5, port, &sent);
    assert_int_equal(sent - told, WINDOW);
    while (got < sent) {
        n = recv(fd, byte, sizeof(byte), MSG_DONTWAIT);
        if (n < 0) {
            run(t);
            continue;
        }
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(byte[i], pattern(got + (size_t)i));
        got += (size_t)n;
    }
    run(t);
    assert_true(next(t));
    while (t->p.fwd_cnt - sent > WINDOW / 2 && next(t))
        ;
    assert_int_equal(t->p.op, CREDIT_UPDATE);
    assert_true(sent - t->p.fwd_cnt <= WINDOW / 2);
    host_reads_nothing(fd);
    close(fd);
}

static void a_guest_that_overruns_its_credit_is_cut_off(void **state)
{
    struct test *t = *state;
    u32 port, sent = 0;
    int fd = host_client(t, 5, &port);

    fill_window(t, 5, port, &sent);
    for (unsigned i = 0; i < 8 && !next(t); i++) {
        static const u8 more[60000];

        guest_write(t, 5, port, more, sizeof(more));
    }
    assert_int_equal(t->p.op, RST);
    close(fd);
}

/* ---- Buffers ---- */

static void bytes_for_the_guest_wait_for_buffers(void **state)
{
    struct test *t = *state;
    static u8 data[120000], got[120000];
    u32 port;
    int fd = host_client(t, 5, &port);
    size_t done = 0;

    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = pattern(i);
    host_write(t, fd, data, sizeof(data));
    while (done < sizeof(data)) {
        heard(t, 5, port, RW);
        memcpy(got + done, t->p.data, t->p.len);
        done += t->p.len;
    }
    assert_int_equal(done, sizeof(data));
    assert_memory_equal(got, data, sizeof(data));
    heard_no_more(t);
    close(fd);
}

static void refusals_that_the_guest_does_not_read_stop_its_requests(void **state)
{
    struct test *t = *state;
    unsigned served = 0;

    /* Without buffers for answers. */
    driver_reset(&t->d);
    driver_start(&t->d, 0, 3);
    for (u32 i = 0; i < 100; i++) {
        struct packet p = from_guest(t, 3000 + i, 80, REQUEST);

        send_packet(t, &p, 0);
        served += driver_take(&t->d, TX, NULL, NULL);
        if (served <= i)
            break;
    }
    assert_int_equal(served, 64);
    offer(t, 12);
    for (u32 i = 0; i < 65; i++)
        heard(t, 3000 + i, 80, RST);
    assert_true(driver_take(&t->d, TX, NULL, NULL));
    heard_no_more(t);
}

static void a_buffer_too_small_for_a_packet_breaks_the_device(void **state)
{
    struct test *t = *state;
    const struct driver_part part = { RX_BUFFERS, HEADER - 1, DRIVER_WRITE };

    driver_reset(&t->d);
    driver_start(&t->d, 0, 3);
    driver_offer(&t->d, RX, &part, 1);
    driver_kick(&t->d, RX);
    say(t, 1, 2, REQUEST, 0);
    assert_int_equal(driver_read(&t->d, 0x70) & VIRTIO_STATUS_NEEDS_RESET,
                     VIRTIO_STATUS_NEEDS_RESET);
    driver_reset(&t->d);
    start(t);
    say(t, 1, 2, REQUEST, 0);
    heard(t, 1, 2, RST);
}

static void a_buffer_without_room_for_bytes_breaks_the_device(void **state)
{
    struct test *t = *state;
    const struct driver_part part = { RX_BUFFERS, HEADER, DRIVER_WRITE };
    int fd = host_connect(t);

    driver_reset(&t->d);
    driver_start(&t->d, 0, 3);
    for (unsigned i = 0; i < 4; i++)
        driver_offer(&t->d, RX, &part, 1);
    driver_kick(&t->d, RX);
    host_write(t, fd, "CONNECT 4\nx", 11);
    say(t, 4, FIRST_PORT, RESPONSE, 0);
    assert_int_equal(driver_read(&t->d, 0x70) & VIRTIO_STATUS_NEEDS_RESET,
                     VIRTIO_STATUS_NEEDS_RESET);
    close(fd);
}

/* ---- Drivers that break the rules ---- */

static void what_belongs_to_no_connection_is_refused(void **state)
{
    struct test *t = *state;

    guest_write(t, 1, 2, "x", 1);
    heard(t, 1, 2, RST);
    say(t, 1, 2, SHUTDOWN, 3);
    heard(t, 1, 2, RST);
    say(t, 1, 2, 99, 0);
    heard(t, 1, 2, RST);
    say(t, 1, 2, RST, 0);
    heard_no_more(t);
}

static void other_types_and_places_are_refused(void **state)
{
    struct test *t = *state;
    struct packet p = from_guest(t, 1, 2, REQUEST);

    p.type = 2;
    send_packet(t, &p, 0);
    assert_true(next(t));
    assert_int_equal(t->p.op, RST);
    assert_int_equal(t->p.type, 2);
    p.type = 1;
    p.dst_cid = 5;
    send_packet(t, &p, 0);
    assert_true(next(t));
    assert_int_equal(t->p.op, RST);
    assert_int_equal(t->p.src_cid, 5);
    heard_no_more(t);
}

static void packets_that_lie_are_dropped(void **state)
{
    struct test *t = *state;
    struct packet p = from_guest(t, 1, 2, REQUEST);
    const struct driver_part small = { TX_HEADER, HEADER - 1, 0 };

    p.src_cid = CID + 1;
    send_packet(t, &p, 0);
    p.src_cid = CID;
    p.len = 5;
    send_packet(t, &p, 4);
    p.len = UINT32_MAX;
    send_packet(t, &p, 4);
    p.len = 65537;
    send_packet(t, &p, 100000);
    driver_offer(&t->d, TX, &small, 1);
    driver_kick(&t->d, TX);
    for (unsigned i = 0; i < 5; i++)
        assert_true(driver_take(&t->d, TX, NULL, NULL));
    heard_no_more(t);
}

static void a_second_request_ends_the_first(void **state)
{
    struct test *t = *state;
    int listener = host_listen(t, 80, 5), fd = guest_client(t, listener, 2000, 80);

    say(t, 2000, 80, REQUEST, 0);
    heard(t, 2000, 80, RST);
    host_reads_end(fd);
    close(fd);
    close(listener);
}

static void an_answer_to_no_question_ends_the_connection(void **state)
{
    struct test *t = *state;
    int listener = host_listen(t, 80, 5), fd = guest_client(t, listener, 2000, 80);

    say(t, 2000, 80, RESPONSE, 0);
    heard(t, 2000, 80, RST);
    host_reads_end(fd);
    close(fd);
    close(listener);
}

static void bytes_after_the_end_are_an_error(void **state)
{
    struct test *t = *state;
    u32 port;
    int fd = host_client(t, 5, &port);

    say(t, 5, port, SHUTDOWN, 2);
    guest_write(t, 5, port, "more", 4);
    heard(t, 5, port, RST);
    host_reads_end(fd);
    close(fd);
}

static void bytes_before_the_answer_are_an_error(void **state)
{
    struct test *t = *state;
    int fd = host_connect(t);

    host_write(t, fd, "CONNECT 9\n", 10);
    heard(t, 9, FIRST_PORT, REQUEST);
    guest_write(t, 9, FIRST_PORT, "x", 1);
    heard(t, 9, FIRST_PORT, RST);
    host_reads_end(fd);
    close(fd);
}

static void a_payload_may_lie_in_many_parts(void **state)
{
    struct test *t = *state;
    struct driver_part parts[] = { { TX_HEADER, 10, 0 },
                                   { TX_HEADER + 10, 36, 0 },
                                   { TX_DATA, 1, 0 },
                                   { TX_DATA + 100, 2, 0 },
                                   { TX_DATA + 200, 100, 0 } };
    struct packet p;
    u32 port;
    int fd = host_client(t, 5, &port);

    p = from_guest(t, 5, port, RW);
    p.len = 8;
    encode(&p, driver_ptr(&t->d, TX_HEADER));
    memcpy(driver_ptr(&t->d, TX_HEADER + HEADER), "ab", 2);
    memcpy(driver_ptr(&t->d, TX_DATA), "c", 1);
    memcpy(driver_ptr(&t->d, TX_DATA + 100), "de", 2);
    memcpy(driver_ptr(&t->d, TX_DATA + 200), "fghXXX", 6);
    driver_offer(&t->d, TX, parts, 5);
    driver_kick(&t->d, TX);
    host_reads(fd, "abcdefgh");
    close(fd);
}

static void more_connections_than_there_is_room_for_are_refused(void **state)
{
    struct rlimit limit;
    struct test *t = *state;
    int listener = host_listen(t, 80, 4096);

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)4096);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2048)
        skip();
    for (u32 i = 0; i < MANY; i++) {
        say(t, i, 80, REQUEST, 0);
        heard(t, i, 80, RESPONSE);
    }
    say(t, MANY, 80, REQUEST, 0);
    heard(t, MANY, 80, RST);
    say(t, 7, 80, SHUTDOWN, 3);
    heard(t, 7, 80, RST);
    say(t, MANY, 80, REQUEST, 0);
    heard(t, MANY, 80, RESPONSE);
    close(listener);
}

static void clients_beyond_the_limit_wait_at_the_door(void **state)
{
    struct rlimit limit;
    struct test *t = *state;
    int listener = host_listen(t, 80, 4096), fd;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)4096);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2048)
        skip();
    for (u32 i = 0; i < MANY; i++) {
        say(t, i, 80, REQUEST, 0);
        heard(t, i, 80, RESPONSE);
    }
    fd = host_connect(t);
    host_write(t, fd, "CONNECT 9\n", 10);
    heard_no_more(t);
    say(t, 3, 80, RST, 0);
    run(t);
    heard(t, 9, FIRST_PORT, REQUEST);
    close(fd);
    close(listener);
}

static void packets_of_random_content_are_survived(void **state)
{
    struct test *t = *state;
    int listener = host_listen(t, 80, 5), fd = -1;
    u64 seed = 7;

    for (unsigned i = 0; i < 6000; i++) {
        struct packet p = from_guest(t, 0, 0, 0);

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        p.src_port = (u32)(seed >> 60) & 3;
        p.dst_port = (seed >> 56) & 1 ? 80 : FIRST_PORT + ((seed >> 57) & 3);
        p.op = (u16)((seed >> 40) % 9);
        p.flags = (u32)(seed >> 48) & 3;
        p.len = (seed >> 35) & 1 ? 100 : 0;
        p.buf_alloc = (seed >> 36) & 1 ? 1000 : (u32)seed;
        p.fwd_cnt = (seed >> 37) & 3 ? 0 : (u32)(seed >> 20);
        send_packet(t, &p, 100);
        while (driver_take(&t->d, TX, NULL, NULL))
            ;
        while (next(t))
            ;
        if (i % 7 == 0 && fd < 0) {
            char line[] = "CONNECT 0\nsome bytes";

            line[8] = (char)('0' + ((seed >> 33) & 3));
            fd = host_connect(t);
            send(fd, line, sizeof(line) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else if (i % 11 == 0 && fd >= 0) {
            close(fd);
            fd = -1;
        }
        if (i % 13 == 0) {
            int accepted = accept(listener, NULL, NULL);

            if (accepted >= 0)
                close(accepted);
        }
        if (i % 500 == 0)
            clock_step(&t->d.clock, SECOND);
        if (i % 1999 == 0) {
            driver_reset(&t->d);
            start(t);
        }
    }
    if (fd >= 0)
        close(fd);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(the_host_sends_no_more_than_the_guests_credit),
        T(credit_that_makes_no_sense_only_stalls),
        T(a_question_for_credit_is_answered),
        T(a_slow_host_stops_the_guest_and_loses_nothing),
        T(a_guest_that_overruns_its_credit_is_cut_off),
        T(bytes_for_the_guest_wait_for_buffers),
        T(refusals_that_the_guest_does_not_read_stop_its_requests),
        T(a_buffer_too_small_for_a_packet_breaks_the_device),
        T(a_buffer_without_room_for_bytes_breaks_the_device),
        T(what_belongs_to_no_connection_is_refused),
        T(other_types_and_places_are_refused),
        T(packets_that_lie_are_dropped),
        T(a_second_request_ends_the_first),
        T(an_answer_to_no_question_ends_the_connection),
        T(bytes_after_the_end_are_an_error),
        T(bytes_before_the_answer_are_an_error),
        T(a_payload_may_lie_in_many_parts),
        T(more_connections_than_there_is_room_for_are_refused),
        T(clients_beyond_the_limit_wait_at_the_door),
        T(packets_of_random_content_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
