/* SPDX-License-Identifier: MIT */
/* The network in user space: ARP, DHCP, UDP and TCP of a guest made by hand. */
#include "unit/host/test_net.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/net_frame.h"

#define ETH  14u
#define IP   20u
#define HOST "\x0a\x00\x02\x02"
#define SELF "\x0a\x00\x02\x0f"
#define MAC  "\x52\x54\x00\x12\x34\x56"

static void config_init_user(struct net_config *config)
{
    static char text[] = "-netdev user";

    memset(config, 0, sizeof(*config));
    config->text = text;
    config->kind = NET_USER;
    config->user.ipv4 = OOA_ON;
    config->user.ipv6 = OOA_ON;
    config->user.net.s_addr = htonl(0x0A000200);
    config->user.mask.s_addr = htonl(0xFFFFFF00);
    config->user.host.s_addr = htonl(0x0A000202);
    config->user.dns.s_addr = htonl(0x0A000203);
    config->user.dhcp_start.s_addr = htonl(0x0A00020F);
    inet_pton(AF_INET6, "fec0::", &config->user.prefix6);
    inet_pton(AF_INET6, "fec0::2", &config->user.host6);
    inet_pton(AF_INET6, "fec0::3", &config->user.dns6);
    config->user.prefix6_size = 64;
}

static void start(struct test_net *t, const struct net_config *config)
{
    test_net_start(t);
    if (!test_net_open(t, config))
        fail_msg("%s", t->err.text);
    assert_true(t->net->has_header);
    t->header = 12;
    assert_true(net_set_header(t->net, t->header));
}

/* The next frame of an EtherType, behind its header. */
static u8 *receive_type(struct test_net *t, unsigned type)
{
    do
        test_net_receive(t);
    while (load_be16(t->frame + t->header + 12) != type);
    t->size -= t->header;
    return t->frame + t->header;
}

static void make_eth(u8 *frame, const char *to, unsigned type)
{
    memcpy(frame, to, 6);
    memcpy(frame + 6, MAC, 6);
    store_be16(frame + 12, (u16)type);
}

/* IPv4 and UDP headers before `size` bytes at frame[42]. */
static size_t make_udp(u8 *frame, const char *from, const char *to, u16 sport, u16 dport,
                       size_t size)
{
    u8 *ip = frame + ETH, *udp = ip + IP;
    u16 sum;

    memset(ip, 0, IP + 8);
    ip[0] = 0x45;
    store_be16(ip + 2, (u16)(IP + 8 + size));
    ip[8] = 64;
    ip[9] = 17;
    memcpy(ip + 12, from, 4);
    memcpy(ip + 16, to, 4);
    sum = (u16)~net_frame_sum(ip, IP, 0);
    memcpy(ip + 10, &sum, 2);
    store_be16(udp, sport);
    store_be16(udp + 2, dport);
    store_be16(udp + 4, (u16)(8 + size));
    return ETH + IP + 8 + size;
}

static void say_hello(struct test_net *t)
{
    static const u8 arp[] = "\xFF\xFF\xFF\xFF\xFF\xFF" MAC
                            "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" MAC SELF "\0\0\0\0\0\0" HOST;
    u8 *frame;

    assert_true(test_net_send(t, arp, sizeof(arp) - 1));
    frame = receive_type(t, 0x0806);
    assert_memory_equal(frame, MAC, 6);
    assert_int_equal(load_be16(frame + 20), 2); /* a reply */
    assert_memory_equal(frame + 28, HOST, 4);
}

static void the_host_answers_arp(void **state)
{
    struct net_config config;
    struct test_net t;

    (void)state;
    config_init_user(&config);
    start(&t, &config);
    say_hello(&t);
    test_net_end(&t);
}

static void dhcp_gives_the_first_address(void **state)
{
    struct net_config config;
    struct test_net t;
    u8 frame[ETH + IP + 8 + 300] = { 0 }, *reply, *dhcp = frame + 42;

    (void)state;
    config_init_user(&config);
    config.user.hostname = (char[]){ "guesty" };
    start(&t, &config);
    make_eth(frame, "\xFF\xFF\xFF\xFF\xFF\xFF", 0x0800);
    memcpy(dhcp, "\x01\x01\x06\x00\x12\x34\x56\x78", 8); /* BOOTREQUEST, Ethernet, xid */
    memcpy(dhcp + 28, MAC, 6);
    memcpy(dhcp + 236, "\x63\x82\x53\x63\x35\x01\x01\xFF", 8); /* cookie, DISCOVER, end */
    assert_true(
        test_net_send(&t, frame, make_udp(frame, "\0\0\0\0", "\xFF\xFF\xFF\xFF", 68, 67, 300)));
    reply = receive_type(&t, 0x0800) + 42;
    assert_int_equal(reply[0], 2);
    assert_memory_equal(reply + 4, "\x12\x34\x56\x78", 4);
    assert_memory_equal(reply + 16, SELF, 4);
    assert_memory_equal(reply + 236, "\x63\x82\x53\x63\x35\x01\x02", 7); /* an offer */
    assert_non_null(memmem(reply + 240, 200, "guesty", 6));
    test_net_end(&t);
}

/* A UDP socket of the host's on 127.0.0.1; its port. */
static int udp_socket(u16 *port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(in);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &size), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

static void datagrams_reach_the_host_and_come_back(void **state)
{
    struct sockaddr_in from;
    socklen_t from_size = sizeof(from);
    struct net_config config;
    struct test_net t;
    u8 frame[100], data[16], *reply;
    u16 port;
    int fd = udp_socket(&port);

    (void)state;
    config_init_user(&config);
    start(&t, &config);
    say_hello(&t);
    make_eth(frame, "\x52\x55\x0a\x00\x02\x02", 0x0800);
    memcpy(frame + 42, "ping", 4);
    assert_true(test_net_send(&t, frame, make_udp(frame, SELF, HOST, 4000, port, 4)));
    assert_int_equal(recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &from_size), 4);
    assert_memory_equal(data, "ping", 4);
    assert_int_equal(sendto(fd, "pong!", 5, 0, (struct sockaddr *)&from, from_size), 5);
    reply = receive_type(&t, 0x0800);
    assert_int_equal(load_be16(reply + ETH + IP + 2), 4000);
    assert_memory_equal(reply + 42, "pong!", 5);
    assert_int_equal(t.frame[0], 0); /* the header: the guest takes no unchecked frames */
    close(fd);
    test_net_end(&t);
}

static void an_open_checksum_is_filled_in(void **state)
{
    struct net_config config;
    struct test_net t;
    u8 header[12] = { NET_HEADER_F_NEEDS_CSUM }, frame[100], data[16];
    struct iovec iov[2] = { { header, sizeof(header) }, { frame, 0 } };
    u32 sum;
    u16 port, folded;
    int fd = udp_socket(&port);

    (void)state;
    config_init_user(&config);
    start(&t, &config);
    say_hello(&t);
    make_eth(frame, "\x52\x55\x0a\x00\x02\x02", 0x0800);
    memcpy(frame + 42, "ping", 4);
    iov[1].iov_len = make_udp(frame, SELF, HOST, 4000, port, 4);
    sum = 0x0A00 + 0x020F + 0x0A00 + 0x0202 + 17 + 12;
    folded = (u16)((sum & 0xFFFF) + (sum >> 16));
    store_be16(frame + 40, folded);
    store_le16(header + NET_HEADER_CSUM_START, 34);
    store_le16(header + NET_HEADER_CSUM_OFFSET, 6);
    assert_true(net_send(t.net, 0, iov, 2));
    net_flush(t.net);
    assert_int_equal(recv(fd, data, sizeof(data), 0), 4);
    /* And one that lies outside of the frame is dropped. */
    store_le16(header + NET_HEADER_CSUM_START, 0xFFFF);
    assert_true(net_send(t.net, 0, iov, 2));
    close(fd);
    test_net_end(&t);
}

static void a_forwarded_port_knocks_at_the_guest(void **state)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct net_config config;
    struct test_net t;
    u16 port;
    u8 *frame;
    int fd = udp_socket(&port), client;

    (void)state;
    close(fd);
    config_init_user(&config);
    config.user.hostfwd_count = 1;
    config.user.hostfwds[0] =
        (struct net_forward){ .host_port = port, .guest_port = 22, .target = (char[]){ "rule" } };
    memcpy(&config.user.hostfwds[0].host, "\x7f\0\0\1", 4);
    memcpy(&config.user.hostfwds[0].guest, SELF, 4);
    start(&t, &config);
    say_hello(&t);
    in.sin_port = htons(port);
    client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
    frame = receive_type(&t, 0x0800);
    assert_int_equal(frame[ETH + 9], 6);
    assert_int_equal(load_be16(frame + ETH + IP + 2), 22);
    assert_int_equal(frame[ETH + IP + 13], 2); /* SYN */
    test_net_end(&t);
    close(client);
}

static void rules_that_cannot_be_are_told(void **state)
{
    char rule[] = "the rule", command[] = "cmd:true";
    struct net_config config;
    struct test_net t;

    (void)state;
    config_init_user(&config);
    config.user.hostfwd_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        u16 port;
        int fd = udp_socket(&port);

        config.user.hostfwds[i] = (struct net_forward){
            .udp = true, .host_port = port, .guest_port = 22, .target = rule
        };
        memcpy(&config.user.hostfwds[i].host, "\x7f\0\0\1", 4);
        if (i)
            config.user.hostfwds[1].host_port = config.user.hostfwds[0].host_port;
        close(fd);
    }
    test_net_start(&t);
    assert_false(test_net_open(&t, &config));
    assert_non_null(strstr(t.err.text, "host forwarding rule 'the rule'"));
    config_init_user(&config);
    config.user.guestfwd_count = 1;
    config.user.guestfwds[0] = (struct net_forward){ .guest_port = 80, .target = command };
    memcpy(&config.user.guestfwds[0].guest, "\xc0\xa8\x00\x01", 4);
    assert_false(test_net_open(&t, &config));
    assert_non_null(strstr(t.err.text, "guest forwarding"));
    test_net_end(&t);
}

static void nonsense_is_survived(void **state)
{
    static u8 frame[NET_FRAME_MAX - NET_HEADER_MAX];
    struct net_config config;
    struct test_net t;
    u64 x = 1;

    (void)state;
    config_init_user(&config);
    start(&t, &config);
    say_hello(&t);
    for (unsigned i = 0; i < 3000; i++) {
        size_t size = ETH + x % 200;

        for (size_t k = 0; k < size; k++, x = x * 6364136223846793005u + 1442695040888963407u)
            frame[k] = (u8)(x >> 56);
        make_eth(frame, "\x52\x55\x0a\x00\x02\x02", (unsigned[]){ 0x0800, 0x86DD, 0x0806 }[i % 3]);
        frame[ETH] = i % 3 ? 0x60 : 0x45;
        assert_true(test_net_send(&t, frame, size));
    }
    memset(frame + ETH, 0xFF, sizeof(frame) - ETH);
    assert_true(test_net_send(&t, frame, sizeof(frame)));
    say_hello(&t);
    test_net_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_answers_arp),
        cmocka_unit_test(dhcp_gives_the_first_address),
        cmocka_unit_test(datagrams_reach_the_host_and_come_back),
        cmocka_unit_test(an_open_checksum_is_filled_in),
        cmocka_unit_test(a_forwarded_port_knocks_at_the_guest),
        cmocka_unit_test(rules_that_cannot_be_are_told),
        cmocka_unit_test(nonsense_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
