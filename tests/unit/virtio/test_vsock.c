/* SPDX-License-Identifier: MIT */
/* The vsock device: connections from either side, ends and half ends. */
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

/* ---- Host's clients ---- */

static void the_configuration_has_the_cid(void **state)
{
    struct test *t = *state;

    assert_int_equal(driver_read(&t->d, 0x100), CID);
    assert_int_equal(driver_read(&t->d, 0x104), 0);
    assert_int_equal(driver_read(&t->d, 0x008), 19);
}

static void a_client_of_the_host_talks_with_the_guest(void **state)
{
    struct test *t = *state;
    u32 port;
    int fd = host_client(t, 1234, &port);

    assert_int_equal(port, FIRST_PORT);
    host_write(t, fd, "question", 8);
    heard_data(t, 1234, port, "question");
    guest_write(t, 1234, port, "answer", 6);
    host_reads(fd, "answer");
    heard_no_more(t);
    close(fd);
}

static void the_line_may_come_in_pieces_and_with_more_behind_it(void **state)
{
    struct test *t = *state;
    int fd = host_connect(t);

    host_write(t, fd, "CONN", 4);
    host_write(t, fd, "ECT 5", 5);
    heard_no_more(t);
    host_write(t, fd, "2\nearly", 7);
    heard(t, 52, FIRST_PORT, REQUEST);
    say(t, 52, FIRST_PORT, RESPONSE, 0);
    heard_data(t, 52, FIRST_PORT, "early");
    close(fd);
}

static void what_is_no_connect_line_is_hung_up_on(void **state)
{
    static const char *const lines[] = {
        "HELLO 5\n",    "CONNECT\n",    "CONNECT \n",
        "CONNECT x\n",  "CONNECT -1\n", "CONNECT 4294967296\n",
        "CONNECT 5 \n", "\n",           "CONNECT 1111111111111111111111111111111111111111111"
    };
    struct test *t = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
        int fd = host_connect(t);
        char byte;

        host_write(t, fd, lines[i], strlen(lines[i]));
        assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
        close(fd);
    }
    heard_no_more(t);
}

static void a_refused_client_is_hung_up_on(void **state)
{
    struct test *t = *state;
    int fd = host_connect(t);

    host_write(t, fd, "CONNECT 9\n", 10);
    heard(t, 9, FIRST_PORT, REQUEST);
    say(t, 9, FIRST_PORT, RST, 0);
    host_reads_end(fd);
    heard_no_more(t);
    close(fd);
}

static void a_client_that_leaves_early_is_told_to_the_guest(void **state)
{
    struct test *t = *state;
    int fd = host_connect(t);

    host_write(t, fd, "CONNECT 9\n", 10);
    heard(t, 9, FIRST_PORT, REQUEST);
    close(fd);
    heard(t, 9, FIRST_PORT, RST);
    say(t, 9, FIRST_PORT, RESPONSE, 0);
    heard(t, 9, FIRST_PORT, RST);
}

static void a_guest_that_does_not_answer_is_given_up(void **state)
{
    struct test *t = *state;
    int fd = host_connect(t);

    host_write(t, fd, "CONNECT 9\n", 10);
    heard(t, 9, FIRST_PORT, REQUEST);
    clock_step(&t->d.clock, 5 * SECOND);
    heard_no_more(t);
    host_reads_nothing(fd);
    clock_step(&t->d.clock, 6 * SECOND);
    heard(t, 9, FIRST_PORT, RST);
    host_reads_end(fd);
    close(fd);
}

static void each_client_has_a_port_of_its_own(void **state)
{
    struct test *t = *state;
    int fd[3];
    u32 port[3];

    for (unsigned i = 0; i < 3; i++) {
        fd[i] = host_client(t, 100, &port[i]);
        assert_int_equal(port[i], FIRST_PORT + i);
    }
    host_write(t, fd[2], "c", 1);
    heard_data(t, 100, port[2], "c");
    guest_write(t, 100, port[0], "to a", 4);
    host_reads(fd[0], "to a");
    host_reads_nothing(fd[1]);
    for (unsigned i = 0; i < 3; i++)
        close(fd[i]);
}

/* ---- Guest's clients ---- */

static void a_client_of_the_guest_talks_with_the_host(void **state)
{
    struct test *t = *state;
    int listener = host_listen(t, 80, 5), fd = guest_client(t, listener, 2000, 80);

    guest_write(t, 2000, 80, "GET /", 5);
    host_reads(fd, "GET /");
    host_write(t, fd, "200", 3);
    heard_data(t, 2000, 80, "200");
    close(fd);
    close(listener);
}

static void where_nobody_listens_the_guest_is_refused(void **state)
{
    struct test *t = *state;

    say(t, 2000, 80, REQUEST, 0);
    heard(t, 2000, 80, RST);
    heard_no_more(t);
}

static void a_busy_listener_is_waited_for(void **state)
{
    struct test *t = *state;
    int listener = host_listen(t, 80, 0), first, second;

    say(t, 2000, 80, REQUEST, 0);
    heard(t, 2000, 80, RESPONSE);
    say(t, 2001, 80, REQUEST, 0);
    heard_no_more(t);
    clock_step(&t->d.clock, SECOND);
    heard_no_more(t);
    first = accept(listener, NULL, NULL);
    clock_step(&t->d.clock, SECOND / 10);
    heard(t, 2001, 80, RESPONSE);
    second = accept(listener, NULL, NULL);
    guest_write(t, 2001, 80, "second", 6);
    host_reads(second, "second");
    close(first);
    close(second);
    close(listener);
}

static void a_listener_that_stays_busy_is_given_up(void **state)
{
    struct test *t = *state;
    int listener = host_listen(t, 80, 0);

    say(t, 2000, 80, REQUEST, 0);
    heard(t, 2000, 80, RESPONSE);
    say(t, 2001, 80, REQUEST, 0);
    for (unsigned i = 0; i < 2; i++) {
        heard_no_more(t);
        clock_step(&t->d.clock, SECOND);
        run(t);
    }
    heard(t, 2001, 80, RST);
    close(listener);
}

/* ---- Ends ---- */

static void a_host_that_has_said_all_can_still_listen(void **state)
{
    struct test *t = *state;
    u32 port;
    int fd = host_client(t, 5, &port);

    host_write(t, fd, "last", 4);
    shutdown(fd, SHUT_WR);
    heard_data(t, 5, port, "last");
    heard(t, 5, port, SHUTDOWN);
    assert_int_equal(t->p.flags, 2);
    guest_write(t, 5, port, "reply", 5);
    host_reads(fd, "reply");
    say(t, 5, port, SHUTDOWN, 3);
    heard(t, 5, port, RST);
    host_reads_end(fd);
    heard_no_more(t);
    close(fd);
}

static void a_guest_that_has_said_all_can_still_listen(void **state)
{
    struct test *t = *state;
    u32 port;
    int fd = host_client(t, 5, &port);

    guest_write(t, 5, port, "last", 4);
    say(t, 5, port, SHUTDOWN, 2);
    host_reads(fd, "last");
    host_reads_end(fd);
    host_write(t, fd, "reply", 5);
    heard_data(t, 5, port, "reply");
    close(fd);
    heard(t, 5, port, SHUTDOWN);
    assert_int_equal(t->p.flags, 3);
    say(t, 5, port, RST, 0);
    heard_no_more(t);
}

static void a_host_that_hangs_up_is_told_after_its_bytes(void **state)
{
    struct test *t = *state;
    u32 port;
    int fd = host_client(t, 5, &port);

    assert_int_equal(send(fd, "bye", 3, 0), 3);
    close(fd);
    heard_data(t, 5, port, "bye");
    heard(t, 5, port, SHUTDOWN);
    assert_int_equal(t->p.flags, 3);
    guest_write(t, 5, port, "nobody", 6);
    say(t, 5, port, RST, 0);
    heard_no_more(t);
    guest_write(t, 5, port, "nobody", 6);
    heard(t, 5, port, RST);
}

static void a_half_closed_host_that_hangs_up_is_told(void **state)
{
    struct test *t = *state;
    u32 port;
    int fd = host_client(t, 5, &port);

    shutdown(fd, SHUT_WR);
    heard(t, 5, port, SHUTDOWN);
    assert_int_equal(t->p.flags, 2);
    close(fd);
    heard(t, 5, port, SHUTDOWN);
    assert_int_equal(t->p.flags, 3);
    heard_no_more(t);
}

static void a_guest_that_stops_reading_is_told_to_the_host(void **state)
{
    struct test *t = *state;
    u32 port;
    int fd = host_client(t, 5, &port);

    say(t, 5, port, SHUTDOWN, 1);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    guest_write(t, 5, port, "more", 4);
    host_reads(fd, "more");
    close(fd);
    heard(t, 5, port, SHUTDOWN);
    assert_int_equal(t->p.flags, 3);
}

static void bytes_on_the_way_survive_the_guests_end(void **state)
{
    struct test *t = *state;
    u32 port, sent = 0;
    int fd = host_client(t, 5, &port);
    size_t got;

    fill_window(t, 5, port, &sent);
    say(t, 5, port, SHUTDOWN, 3);
    heard(t, 5, port, RST);
    got = host_drains(fd);
    for (unsigned i = 0; i < TURNS && got < sent; i++) {
        run(t);
        got += host_drains(fd);
    }
    assert_int_equal(got, sent);
    host_reads_end(fd);
    close(fd);
}

static void bytes_on_the_way_survive_a_reset(void **state)
{
    struct test *t = *state;
    u32 port, sent = 0;
    int fd = host_client(t, 5, &port);
    size_t got = 0;

    fill_window(t, 5, port, &sent);
    driver_reset(&t->d);
    for (unsigned i = 0; i < TURNS && got < sent; i++) {
        got += host_drains(fd);
        run(t);
    }
    assert_int_equal(got, sent);
    host_reads_end(fd);
    close(fd);
}

static void a_reset_ends_what_was_open(void **state)
{
    struct test *t = *state;
    u32 port;
    int fd = host_client(t, 5, &port), waiting = host_connect(t);

    host_write(t, waiting, "CONN", 4);
    driver_reset(&t->d);
    host_reads_end(fd);
    close(fd);
    start(t);
    heard_no_more(t);
    host_write(t, waiting, "ECT 6\n", 6); /* this one, the guest had not heard of */
    heard(t, 6, port + 1, REQUEST);
    close(waiting);
}

static void clients_wait_for_the_driver(void **state)
{
    struct test *t = *state;
    int fd = host_connect(t);

    driver_reset(&t->d);
    host_write(t, fd, "CONNECT 6\n", 10);
    start(t);
    heard(t, 6, FIRST_PORT, REQUEST);
    close(fd);
}

static void a_port_can_be_used_again(void **state)
{
    struct test *t = *state;
    int listener = host_listen(t, 80, 5);

    for (unsigned i = 0; i < 5; i++) {
        int fd = guest_client(t, listener, 2000, 80);

        say(t, 2000, 80, SHUTDOWN, 3);
        heard(t, 2000, 80, RST);
        close(fd);
    }
    close(listener);
}

/* ---- Set-up ---- */

static void a_path_in_use_is_refused(void **state)
{
    struct test *t = *state;
    struct vsock_config config = { &t->d.ram, t->d.loop, CID, t->path };
    struct error err;

    assert_null(vsock_new(&config, &err));
    assert_non_null(strstr(err.text, "could not listen at"));
    run(t);
    assert_int_equal(access(t->path, F_OK), 0);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    struct test *t = *state;
    char path[128];
    struct vsock_config config = { &t->d.ram, t->d.loop, CID, path };
    struct error err;

    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = 0;
    assert_null(vsock_new(&config, &err));
    assert_non_null(strstr(err.text, "a path of 1 to 96 bytes is expected"));
}

static void a_socket_that_nobody_uses_is_replaced_and_files_are_not(void **state)
{
    struct test *t = *state;
    char path[96];
    struct vsock_config config = { &t->d.ram, t->d.loop, CID, path };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct error err;
    struct virtio *v;
    int fd;

    snprintf(path, sizeof(path), "%s/stale", t->folder);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    close(fd);
    v = vsock_new(&config, &err);
    assert_non_null(v);
    v->dev.ops->free(&v->dev);
    assert_int_equal(access(path, F_OK), -1);
    fd = creat(path, 0600);
    close(fd);
    assert_null(vsock_new(&config, &err));
    assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(the_configuration_has_the_cid),
        T(a_client_of_the_host_talks_with_the_guest),
        T(the_line_may_come_in_pieces_and_with_more_behind_it),
        T(what_is_no_connect_line_is_hung_up_on),
        T(a_refused_client_is_hung_up_on),
        T(a_client_that_leaves_early_is_told_to_the_guest),
        T(a_guest_that_does_not_answer_is_given_up),
        T(each_client_has_a_port_of_its_own),
        T(a_client_of_the_guest_talks_with_the_host),
        T(where_nobody_listens_the_guest_is_refused),
        T(a_busy_listener_is_waited_for),
        T(a_listener_that_stays_busy_is_given_up),
        T(a_host_that_has_said_all_can_still_listen),
        T(a_guest_that_has_said_all_can_still_listen),
        T(a_host_that_hangs_up_is_told_after_its_bytes),
        T(a_half_closed_host_that_hangs_up_is_told),
        T(a_guest_that_stops_reading_is_told_to_the_host),
        T(bytes_on_the_way_survive_the_guests_end),
        T(bytes_on_the_way_survive_a_reset),
        T(a_reset_ends_what_was_open),
        T(clients_wait_for_the_driver),
        T(a_port_can_be_used_again),
        T(a_path_in_use_is_refused),
        T(a_path_that_is_too_long_is_refused),
        T(a_socket_that_nobody_uses_is_replaced_and_files_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
