/* SPDX-License-Identifier: MIT */
/* Character backends over sockets and pseudo-terminals: peers come and go. */
#include "unit/host/test_frontend.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[] = "/tmp/mote-test-XXXXXX";
static char socket_path[64];

static struct sockaddr_un unix_address(void)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    memcpy(un.sun_path, socket_path, strlen(socket_path) + 1);
    return un;
}

static int unix_connect(void)
{
    struct sockaddr_un un = unix_address();
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    return fd;
}

static int unix_listen(void)
{
    struct sockaddr_un un = unix_address();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    unlink(socket_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void server_takes_one_client_after_another(void **state)
{
    struct chardev_config config = {
        .kind = CHARDEV_SOCKET_UNIX, .id = "s", .path = socket_path, .server = true
    };
    struct test_frontend f;
    char text[16] = "";

    (void)state;
    test_frontend_start(&f, &config);
    assert_int_equal(test_frontend_write(&f, "nobody", 6), 6); /* dropped */
    for (unsigned i = 1; i <= 3; i++) {
        int fd = unix_connect();

        test_frontend_until(&f, f.opened == i);
        f.count = 0;
        assert_int_equal(write(fd, "in", 2), 2);
        test_frontend_until(&f, f.count == 2);
        test_frontend_write(&f, "out", 3);
        test_frontend_until(&f, recv(fd, text, sizeof(text), MSG_DONTWAIT) == 3);
        assert_string_equal(text, "out");
        close(fd);
        test_frontend_until(&f, f.closed == i);
    }
    test_frontend_stop(&f);
    assert_int_equal(access(socket_path, F_OK), -1);
}

static void server_replaces_a_stale_socket(void **state)
{
    struct chardev_config config = {
        .kind = CHARDEV_SOCKET_UNIX, .id = "s", .path = socket_path, .server = true
    };
    struct test_frontend f;

    (void)state;
    close(unix_listen());
    test_frontend_start(&f, &config);
    close(unix_connect());
    test_frontend_stop(&f);
}

static void server_leaves_other_files_alone(void **state)
{
    struct chardev_config config = {
        .kind = CHARDEV_SOCKET_UNIX, .id = "s", .path = socket_path, .server = true
    };
    struct error err = { "" };
    struct test_frontend f;

    (void)state;
    close(open(socket_path, O_CREAT | O_WRONLY, 0600));
    test_frontend_init(&f);
    assert_null(chardev_open(&config, f.loop, &err));
    assert_non_null(strstr(err.text, "could not listen on unix:"));
    assert_int_equal(unlink(socket_path), 0);
    loop_free(f.loop);
}

static void *connect_later(void *arg)
{
    (void)arg;
    usleep(30000);
    return (void *)(intptr_t)unix_connect();
}

static void server_that_waits_opens_with_a_client(void **state)
{
    struct chardev_config config = {
        .kind = CHARDEV_SOCKET_UNIX, .id = "s", .path = socket_path, .server = true, .wait = true
    };
    struct test_frontend f;
    pthread_t thread;
    void *fd;

    (void)state;
    pthread_create(&thread, NULL, connect_later, NULL);
    test_frontend_start(&f, &config);
    test_frontend_until(&f, f.opened == 1);
    pthread_join(thread, &fd);
    close((int)(intptr_t)fd);
    test_frontend_stop(&f);
}

static void client_without_server_is_an_error(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_SOCKET_UNIX, .id = "s", .path = socket_path };
    struct error err = { "" };
    struct test_frontend f;

    (void)state;
    test_frontend_init(&f);
    assert_null(chardev_open(&config, f.loop, &err));
    assert_non_null(strstr(err.text, "could not connect to unix:"));
    assert_non_null(strstr(err.text, "No such file"));
    loop_free(f.loop);
}

static int accept_within(struct test_frontend *f, int listener)
{
    int fd = -1;

    test_frontend_until(f, (fd = accept(listener, NULL, NULL)) >= 0);
    return fd;
}

static void client_reconnects_when_told_to(void **state)
{
    struct chardev_config config = {
        .kind = CHARDEV_SOCKET_UNIX, .id = "s", .path = socket_path, .reconnect = 1
    };
    struct test_frontend f;
    int listener, fd;

    (void)state;
    test_frontend_start(&f, &config);
    loop_poll(f.loop, 20); /* the first attempt fails: nobody listens */
    listener = unix_listen();
    fd = accept_within(&f, listener);
    test_frontend_until(&f, f.opened == 1);
    close(fd);
    test_frontend_until(&f, f.closed == 1);
    fd = accept_within(&f, listener);
    test_frontend_until(&f, f.opened == 2);
    close(fd);
    close(listener);
    test_frontend_stop(&f);
    unlink(socket_path);
}

static void client_without_reconnect_stays_away(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_SOCKET_UNIX, .id = "s", .path = socket_path };
    int listener = unix_listen();
    struct test_frontend f;
    int fd;

    (void)state;
    test_frontend_start(&f, &config);
    fd = accept_within(&f, listener);
    test_frontend_until(&f, f.opened == 1);
    close(fd);
    test_frontend_until(&f, f.closed == 1);
    assert_int_equal(test_frontend_write(&f, "dropped", 7), 7);
    loop_poll(f.loop, 20);
    test_frontend_stop(&f);
    close(listener);
    unlink(socket_path);
}

static void input_of_a_client_that_has_gone_is_delivered(void **state)
{
    struct chardev_config config = {
        .kind = CHARDEV_SOCKET_UNIX, .id = "s", .path = socket_path, .server = true
    };
    struct test_frontend f;
    int fd;

    (void)state;
    test_frontend_start(&f, &config);
    f.room = 0;
    fd = unix_connect();
    assert_int_equal(write(fd, "script", 6), 6);
    close(fd);
    test_frontend_until(&f, f.opened == 1);
    loop_poll(f.loop, 20);
    assert_int_equal(f.closed, 0);
    test_frontend_make_room(&f, 3);
    test_frontend_until(&f, f.count == 3);
    test_frontend_make_room(&f, 16);
    test_frontend_until(&f, f.closed == 1);
    assert_memory_equal(f.text, "script", 6);
    test_frontend_stop(&f);
}

static void too_long_a_path_is_refused(void **state)
{
    char path[200] = "";
    struct chardev_config config = { .kind = CHARDEV_SOCKET_UNIX, .id = "s", .path = path };
    struct error err = { "" };

    (void)state;
    memset(path, 'a', sizeof(path) - 1);
    assert_null(chardev_open(&config, NULL, &err));
    assert_non_null(strstr(err.text, "too long"));
}

/* A free port of the loopback interface. */
static u16 free_port(char *text, size_t size)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t length = sizeof(in);

    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
    close(fd);
    snprintf(text, size, "%u", ntohs(in.sin_port));
    return in.sin_port;
}

static void telnet_server_negotiates_and_hides_it_from_the_guest(void **state)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    static const u8 greeting[] = { 255, 251, 1, 255, 251, 3, 255, 251, 0, 255, 253, 0 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct chardev_config config = {
        .kind = CHARDEV_SOCKET_TCP, .id = "s", .host = "127.0.0.1", .server = true, .telnet = true
    };
    struct test_frontend f;
    char port[8];
    u8 text[64];

    (void)state;
    in.sin_port = free_port(port, sizeof(port));
    config.port = port;
    test_frontend_start(&f, &config);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    test_frontend_until(&f, f.opened == 1);
    test_frontend_until(&f, recv(fd, text, sizeof(text), MSG_DONTWAIT) == sizeof(greeting));
    assert_memory_equal(text, greeting, sizeof(greeting));
    assert_int_equal(write(fd, "a\xff\xfd\x01\xff\xf3\xff\xff", 8), 8);
    test_frontend_until(&f, f.count == 2);
    assert_memory_equal(f.text, "a\xff", 2);
    assert_int_equal(f.breaks, 1);
    test_frontend_write(&f, "b\xff", 2);
    test_frontend_until(&f, recv(fd, text, sizeof(text), MSG_DONTWAIT) == 3);
    assert_memory_equal(text, "b\xff\xff", 3);
    close(fd);
    test_frontend_stop(&f);
}

static void unknown_host_is_named(void **state)
{
    struct chardev_config config = {
        .kind = CHARDEV_SOCKET_TCP, .id = "s", .host = "no host", .port = "1"
    };
    struct error err = { "" };
    struct test_frontend f;

    (void)state;
    test_frontend_init(&f);
    assert_null(chardev_open(&config, f.loop, &err));
    assert_non_null(strstr(err.text, "cannot resolve tcp:no host:1: "));
    loop_free(f.loop);
}

/* Open a pty backend and catch the line that names its other side. */
static int pty_start(struct test_frontend *f)
{
    struct chardev_config config = { .kind = CHARDEV_PTY, .id = "serial0" };
    char line[128] = "", name[64] = "";
    int out = dup(STDOUT_FILENO), fds[2], n;

    fflush(stdout);
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDOUT_FILENO);
    test_frontend_start(f, &config);
    dup2(out, STDOUT_FILENO);
    close(out);
    close(fds[1]);
    assert_true(read(fds[0], line, sizeof(line) - 1) > 0);
    close(fds[0]);
    assert_int_equal(sscanf(line, "char device redirected to %63s (label serial0)%n", name, &n), 1);
    return open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
}

static void pty_carries_both_directions_raw(void **state)
{
    struct test_frontend f;
    char text[16] = "";
    int fd;

    (void)state;
    fd = pty_start(&f);
    assert_true(fd >= 0);
    test_frontend_until(&f, f.opened == 1);
    assert_int_equal(write(fd, "in\r\x03", 4), 4);
    test_frontend_until(&f, f.count == 4);
    assert_memory_equal(f.text, "in\r\x03", 4);
    test_frontend_write(&f, "out\n", 4);
    test_frontend_until(&f, read(fd, text, sizeof(text)) == 4);
    assert_string_equal(text, "out\n");
    loop_poll(f.loop, 20);
    assert_int_equal(f.count, 4); /* no echo came back */
    close(fd);
    test_frontend_until(&f, f.closed == 1);
    for (int i = 0; i < 20000; i++) /* and nobody is waited for */
        assert_int_equal(test_frontend_write(&f, "lost", 4), 4);
    test_frontend_stop(&f);
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(socket_path, sizeof(socket_path), "%s/socket", dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_takes_one_client_after_another),
        cmocka_unit_test(server_replaces_a_stale_socket),
        cmocka_unit_test(server_leaves_other_files_alone),
        cmocka_unit_test(server_that_waits_opens_with_a_client),
        cmocka_unit_test(client_without_server_is_an_error),
        cmocka_unit_test(client_reconnects_when_told_to),
        cmocka_unit_test(client_without_reconnect_stays_away),
        cmocka_unit_test(input_of_a_client_that_has_gone_is_delivered),
        cmocka_unit_test(too_long_a_path_is_refused),
        cmocka_unit_test(telnet_server_negotiates_and_hides_it_from_the_guest),
        cmocka_unit_test(unknown_host_is_named),
        cmocka_unit_test(pty_carries_both_directions_raw),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
