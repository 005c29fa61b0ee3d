/* SPDX-License-Identifier: MIT */
/* Tap devices, in a network namespace of the test's own; skipped where the host does not let us make one. */
#include "unit/host/test_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

static bool have_tap;
static char dir[] = "/tmp/mote-test-XXXXXX";
static char script[64], mark[64];

#define NEED_TAP() \
    do { \
        if (!have_tap) { \
            print_message("no network namespace and tap devices here\n"); \
            skip(); \
        } \
    } while (0)

static struct net_config tap_config(void)
{
    static char text[] = "-netdev tap", no[] = "no";

    return (struct net_config){ .text = text, .kind = NET_TAP, .script = no, .downscript = no };
}

static void set_up(const char *name)
{
    struct ifreq request = { 0 };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    memcpy(request.ifr_name, name, strlen(name) + 1);
    request.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

/* A socket for whole frames of EtherType 0x88B5 on the host's end. */
static int host_end(const char *name)
{
    struct sockaddr_ll ll = { .sll_family = AF_PACKET,
                              .sll_protocol = htons(0x88B5),
                              .sll_ifindex = (int)if_nametoindex(name) };
    int fd = socket(AF_PACKET, SOCK_RAW, htons(0x88B5));

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
    return fd;
}

static void exchange(struct test_net *t, const char *name)
{
    u8 frame[64] = "\xFF\xFF\xFF\xFF\xFF\xFF\x52\x54\x00\x12\x34\x56\x88\xB5hello host", got[64];
    int fd;

    set_up(name);
    fd = host_end(name);
    assert_true(test_net_send(t, frame, sizeof(frame)));
    assert_int_equal(recv(fd, got, sizeof(got), 0), sizeof(frame));
    assert_memory_equal(got, frame, sizeof(frame));
    memcpy(frame + 14, "hello card", 10);
    assert_int_equal(send(fd, frame, sizeof(frame), 0), sizeof(frame));
    do
        test_net_receive(t);
    while (load_be16(t->frame + t->header + 12) != 0x88B5); /* the host's own chatter */
    assert_int_equal(t->size, t->header + sizeof(frame));
    assert_memory_equal(t->frame + t->header, frame, sizeof(frame));
    close(fd);
}

static void frames_go_both_ways(void **state)
{
    struct net_config config = tap_config();
    struct test_net t;

    (void)state;
    NEED_TAP();
    config.ifname = (char[]){ "motetest0" };
    config.vnet_hdr = OOA_OFF;
    test_net_start(&t);
    assert_true(test_net_open(&t, &config));
    assert_false(t.net->has_header);
    exchange(&t, "motetest0");
    test_net_end(&t);
    assert_int_equal(if_nametoindex("motetest0"), 0); /* gone with us */
}

static void frames_have_headers_of_either_size(void **state)
{
    const struct net_offloads all = { true, true, true, true, true };
    struct net_config config = tap_config();
    struct test_net t;

    (void)state;
    NEED_TAP();
    config.ifname = (char[]){ "motetest1" };
    test_net_start(&t);
    assert_true(test_net_open(&t, &config));
    if (!t.net->has_header)
        skip();
    for (unsigned size = 10; size <= 12; size += 2) {
        t.header = size;
        assert_true(net_set_header(t.net, size));
        net_set_offloads(t.net, &all);
        exchange(&t, "motetest1");
    }
    test_net_end(&t);
}

static void several_queues(void **state)
{
    struct net_config config = tap_config();
    struct test_net t;

    (void)state;
    NEED_TAP();
    config.ifname = (char[]){ "motetest2" };
    config.vnet_hdr = OOA_OFF;
    config.queues = 4;
    test_net_start(&t);
    assert_true(test_net_open(&t, &config));
    assert_int_equal(t.net->queues, 4);
    net_set_queues(t.net, 1); /* all traffic comes to the first one then */
    exchange(&t, "motetest2");
    net_set_queues(t.net, 4);
    net_set_queues(t.net, 1);
    exchange(&t, "motetest2");
    test_net_end(&t);
}

static void write_script(const char *text)
{
    FILE *file = fopen(script, "w");

    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", text);
    fclose(file);
    assert_int_equal(chmod(script, 0755), 0);
}

static void scripts_get_the_name(void **state)
{
    struct net_config config = tap_config();
    char line[64] = "", text[160];
    struct test_net t;
    FILE *file;

    (void)state;
    NEED_TAP();
    snprintf(text, sizeof(text), "echo $1 >>%s", mark);
    write_script(text);
    config.script = config.downscript = script;
    config.ifname = (char[]){ "motetest3" };
    test_net_start(&t);
    assert_true(test_net_open(&t, &config));
    test_net_end(&t);
    file = fopen(mark, "r");
    assert_non_null(file);
    assert_int_equal(fread(line, 1, sizeof(line), file), 20);
    assert_string_equal(line, "motetest3\nmotetest3\n");
    fclose(file);
}

static void what_goes_wrong_is_told(void **state)
{
    struct net_config failing = tap_config(), missing = tap_config(), named = tap_config();
    struct net_config number = tap_config();
    struct test_net t;

    (void)state;
    NEED_TAP();
    write_script("exit 3");
    failing.script = script;
    missing.script = (char[]){ "/nonexistent/script" };
    named.ifname = (char[]){ "a-name-that-is-too-long" };
    number.fd_count = 1;
    number.fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
    test_net_start(&t);
    assert_false(test_net_open(&t, &failing));
    assert_non_null(strstr(t.err.text, "failed with status 3"));
    assert_false(test_net_open(&t, &missing));
    assert_non_null(strstr(t.err.text, "could not start the network script"));
    assert_false(test_net_open(&t, &named));
    assert_non_null(strstr(t.err.text, "at most 15 characters"));
    assert_false(test_net_open(&t, &number));
    assert_non_null(strstr(t.err.text, "is not a tap device"));
    close(number.fds[0]);
    test_net_end(&t);
}

static void vhost_needs_the_hosts_device(void **state)
{
    struct net_config config = tap_config();
    struct test_net t;

    (void)state;
    if (access("/dev/vhost-net", F_OK) == 0)
        skip();
    config.vhost = true;
    test_net_start(&t);
    assert_false(test_net_open(&t, &config));
    assert_non_null(strstr(t.err.text, "vhost=on: could not open /dev/vhost-net"));
    test_net_end(&t);
}

static int setup(void **state)
{
    int fd;

    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(script, sizeof(script), "%s/script", dir);
    snprintf(mark, sizeof(mark), "%s/mark", dir);
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    have_tap = fd >= 0 && unshare(CLONE_NEWNET) == 0;
    if (fd >= 0)
        close(fd);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(script);
    unlink(mark);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_go_both_ways),
        cmocka_unit_test(frames_have_headers_of_either_size),
        cmocka_unit_test(several_queues),
        cmocka_unit_test(scripts_get_the_name),
        cmocka_unit_test(what_goes_wrong_is_told),
        cmocka_unit_test(vhost_needs_the_hosts_device),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
