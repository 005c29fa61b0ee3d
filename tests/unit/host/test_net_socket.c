/* SPDX-License-Identifier: MIT */
/* Network backends over sockets: frames, peers that come and go, and peers that talk nonsense. */
#include "unit/host/test_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"

static char dir[] = "/tmp/mote-test-XXXXXX";
static char path[64], other_path[64];

static struct net_config stream_of_fd(int fd)
{
    return (struct net_config){
        .id = "n", .text = "-netdev test", .kind = NET_STREAM, .fd_count = 1, .fds = { fd }
    };
}

static int unix_connect(const char *to)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(un.sun_path, to, strlen(to) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    return fd;
}

static void write_frame(int fd, const void *frame, size_t size)
{
    u8 raw[4];

    store_be32(raw, (u32)size);
    assert_int_equal(write(fd, raw, 4), 4);
    assert_int_equal(write(fd, frame, size), size);
}

static void read_all(int fd, void *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = read(fd, (u8 *)data + done, size - done);

        assert_true(n > 0);
        done += (size_t)n;
    }
}

static void frames_have_their_size_before_them(void **state)
{
    struct test_net t;
    struct net_config config;
    int fds[2];
    u8 raw[4 + 5 + 4 + 3];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    config = stream_of_fd(fds[0]);
    test_net_start(&t);
    assert_true(test_net_open(&t, &config));
    assert_true(t.net->link_up);
    assert_true(test_net_send(&t, "hello", 5));
    assert_true(test_net_send(&t, "abc", 3));
    read_all(fds[1], raw, sizeof(raw));
    assert_memory_equal(raw, "\0\0\0\5hello\0\0\0\3abc", sizeof(raw));
    write_frame(fds[1], "frame one", 9);
    write_frame(fds[1], "two", 3);
    test_net_receive(&t);
    assert_int_equal(t.size, 9);
    assert_memory_equal(t.frame, "frame one", 9);
    test_net_receive(&t);
    assert_int_equal(t.size, 3);
    close(fds[1]);
    test_net_end(&t);
}

static void a_frame_in_pieces_is_put_together(void **state)
{
    struct test_net t;
    struct net_config config;
    const u8 raw[] = { 0, 0, 0, 4, 1, 2, 3, 4 };
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    config = stream_of_fd(fds[0]);
    test_net_start(&t);
    assert_true(test_net_open(&t, &config));
    net_listen(t.net, 0, true);
    for (size_t i = 0; i < sizeof(raw) - 1; i++) {
        struct iovec iov = { t.frame, sizeof(t.frame) };

        assert_int_equal(write(fds[1], raw + i, 1), 1);
        test_net_until(&t, t.readable == i + 1);
        assert_int_equal(net_receive(t.net, 0, &iov, 1), 0);
        net_listen(t.net, 0, true);
    }
    assert_int_equal(write(fds[1], raw + sizeof(raw) - 1, 1), 1);
    test_net_receive(&t);
    assert_int_equal(t.size, 4);
    close(fds[1]);
    test_net_end(&t);
}

static void a_slow_peer_makes_the_card_wait(void **state)
{
    static u8 frame[60000], got[4 + sizeof(frame)];
    struct test_net t;
    struct net_config config;
    unsigned sent = 0;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    config = stream_of_fd(fds[0]);
    test_net_start(&t);
    assert_true(test_net_open(&t, &config));
    while (test_net_send(&t, frame, sizeof(frame)))
        assert_true(++sent < 10000);
    assert_true(sent > 0);
    for (unsigned i = 0; i < sent; i++) {
        /* Frames may be in the backend's buffer still: the loop moves them on. */
        for (size_t done = 0; done < sizeof(got);) {
            ssize_t n = recv(fds[1], got + done, sizeof(got) - done, MSG_DONTWAIT);

            if (n > 0)
                done += (size_t)n;
            else
                loop_poll(t.loop, 10);
        }
        assert_int_equal(load_be32(got), sizeof(frame));
    }
    test_net_until(&t, t.writable == 1);
    assert_true(test_net_send(&t, frame, 100));
    close(fds[1]);
    test_net_end(&t);
}

static void a_peer_that_goes_takes_the_link_down(void **state)
{
    struct test_net t;
    struct net_config config;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    config = stream_of_fd(fds[0]);
    test_net_start(&t);
    assert_true(test_net_open(&t, &config));
    write_frame(fds[1], "last", 4);
    close(fds[1]);
    test_net_receive(&t);
    assert_int_equal(t.size, 4);
    net_listen(t.net, 0, true);
    test_net_until(&t, t.links == 1);
    assert_false(t.net->link_up);
    assert_true(test_net_send(&t, "nobody", 6));
    test_net_end(&t);
}

static void a_size_that_cannot_be_ends_the_connection(void **state)
{
    static const char *const sizes[] = { "\xFF\xFF\xFF\xFF", "\0\2\0\0", "\0\0\0\0" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct iovec iov;
        struct test_net t;
        struct net_config config;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        config = stream_of_fd(fds[0]);
        test_net_start(&t);
        assert_true(test_net_open(&t, &config));
        iov = (struct iovec){ t.frame, sizeof(t.frame) };
        assert_int_equal(write(fds[1], sizes[i], 4), 4);
        net_listen(t.net, 0, true);
        test_net_until(&t, t.readable == 1);
        assert_int_equal(net_receive(t.net, 0, &iov, 1), 0);
        test_net_until(&t, t.links == 1);
        close(fds[1]);
        test_net_end(&t);
    }
}

static void a_server_takes_one_peer_after_another(void **state)
{
    struct net_config config = { .id = "n",
                                 .text = "-netdev test",
                                 .kind = NET_STREAM,
                                 .server = true,
                                 .local = { .path = path } };
    struct test_net t;

    (void)state;
    test_net_start(&t);
    assert_true(test_net_open(&t, &config));
    assert_false(t.net->link_up);
    for (unsigned i = 0; i < 3; i++) {
        int fd = unix_connect(path);

        test_net_until(&t, t.links == 2 * i + 1);
        write_frame(fd, "hello", 5);
        test_net_receive(&t);
        assert_int_equal(t.size, 5);
        close(fd);
        net_listen(t.net, 0, true);
        test_net_until(&t, t.links == 2 * i + 2);
    }
    test_net_end(&t);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void a_client_tries_again(void **state)
{
    struct net_config client = { .id = "c",
                                 .text = "-netdev client",
                                 .kind = NET_STREAM,
                                 .reconnect = 1,
                                 .remote = { .path = path } };
    struct net_config server = client;
    struct test_net t, s;

    (void)state;
    server.server = true;
    server.reconnect = 0;
    server.local.path = path;
    test_net_start(&t);
    assert_true(test_net_open(&t, &client)); /* nobody there */
    assert_false(t.net->link_up);
    test_net_start(&s);
    assert_true(test_net_open(&s, &server));
    for (unsigned i = 0; i < TEST_NET_ROUNDS && !(t.net->link_up && s.net->link_up); i++) {
        loop_poll(t.loop, 5);
        loop_poll(s.loop, 5);
    }
    assert_true(t.net->link_up && s.net->link_up);
    assert_true(test_net_send(&t, "to the server", 13));
    test_net_receive(&s);
    assert_int_equal(s.size, 13);
    test_net_end(&s);
    test_net_end(&t);
}

static void errors_of_sockets_are_told(void **state)
{
    struct net_config none = { .text = "-netdev x",
                               .kind = NET_STREAM,
                               .remote = { .path = other_path } };
    struct net_config bad_fd = stream_of_fd(999);
    struct net_config folder = {
        .text = "-netdev x", .kind = NET_STREAM, .server = true, .local = { .path = dir }
    };
    struct net_config name = { .text = "-netdev x",
                               .kind = NET_STREAM,
                               .remote = { .host = "no.such.host.invalid", .port = "1" } };
    struct net_config lonely = { .text = "-netdev x",
                                 .kind = NET_DGRAM,
                                 .remote = { .host = "127.0.0.1", .port = "9" } };
    static const struct {
        unsigned row;
        const char *text;
    } rows[] = { { 0, "could not connect" },
                 { 1, "file descriptor 999" },
                 { 2, "could not listen" },
                 { 3, "cannot resolve" },
                 { 4, "local address" } };
    const struct net_config *configs[] = { &none, &bad_fd, &folder, &name, &lonely };
    struct test_net t;

    (void)state;
    test_net_start(&t);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_false(test_net_open(&t, configs[i]));
        if (!strstr(t.err.text, rows[i].text))
            fail_msg("'%s' is not about '%s'", t.err.text, rows[i].text);
    }
    test_net_end(&t);
}

/* ---- Datagrams ---- */

static void datagrams_are_frames(void **state)
{
    struct net_config a = { .text = "-netdev a",
                            .kind = NET_DGRAM,
                            .local = { .path = path },
                            .remote = { .path = other_path } };
    struct net_config b = { .text = "-netdev b",
                            .kind = NET_DGRAM,
                            .local = { .path = other_path },
                            .remote = { .path = path } };
    struct test_net s, t;

    (void)state;
    test_net_start(&s);
    test_net_start(&t);
    assert_true(test_net_open(&s, &a));
    assert_true(test_net_send(&s, "nobody there", 12));
    assert_true(test_net_open(&t, &b));
    assert_true(test_net_send(&s, "first", 5));
    assert_true(test_net_send(&s, "second one", 10));
    test_net_receive(&t);
    assert_int_equal(t.size, 5);
    test_net_receive(&t);
    assert_int_equal(t.size, 10);
    assert_memory_equal(t.frame, "second one", 10);
    test_net_end(&t);
    test_net_end(&s);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void udp_both_ways(void **state)
{
    struct net_config a = { .text = "-netdev a",
                            .kind = NET_DGRAM,
                            .local = { .host = "127.0.0.1", .port = "0" },
                            .remote = { .host = "127.0.0.1", .port = "9" } };
    struct test_net t;

    (void)state;
    test_net_start(&t);
    assert_true(test_net_open(&t, &a));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(test_net_send(&t, "nobody there", 12));
        net_listen(t.net, 0, true);
        loop_poll(t.loop, 1);
    }
    test_net_end(&t);
}

static void a_pair_of_datagram_sockets_by_number(void **state)
{
    struct test_net t;
    struct net_config config;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    config = stream_of_fd(fds[0]); /* `socket,fd=` does not say which kind it is */
    test_net_start(&t);
    assert_true(test_net_open(&t, &config));
    assert_int_equal(write(fds[1], "a frame", 7), 7);
    test_net_receive(&t);
    assert_int_equal(t.size, 7);
    assert_true(test_net_send(&t, "back", 4));
    assert_int_equal(read(fds[1], t.frame, sizeof(t.frame)), 4);
    close(fds[1]);
    assert_true(test_net_send(&t, "gone", 4));
    loop_poll(t.loop, 1);
    test_net_end(&t);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/a", dir);
    snprintf(other_path, sizeof(other_path), "%s/b", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(other_path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_have_their_size_before_them),
        cmocka_unit_test(a_frame_in_pieces_is_put_together),
        cmocka_unit_test(a_slow_peer_makes_the_card_wait),
        cmocka_unit_test(a_peer_that_goes_takes_the_link_down),
        cmocka_unit_test(a_size_that_cannot_be_ends_the_connection),
        cmocka_unit_test(a_server_takes_one_peer_after_another),
        cmocka_unit_test(a_client_tries_again),
        cmocka_unit_test(errors_of_sockets_are_told),
        cmocka_unit_test(datagrams_are_frames),
        cmocka_unit_test(udp_both_ways),
        cmocka_unit_test(a_pair_of_datagram_sockets_by_number),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
