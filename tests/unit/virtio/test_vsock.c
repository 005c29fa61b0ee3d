/* SPDX-License-Identifier: MIT */
/* The vsock device: connections from either side, credit, ends and half ends, limits, drivers that break the rules. */
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
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "unit/virtio/driver.h"
#include "virtio/vsock.h"

#define CID        77u
#define HOST       2u
#define HEADER     44u
#define RX_SIZE    (HEADER + 4096u)
#define RX_BUFFERS DRIVER_DATA
#define RX_STEP    0x1800u
#define TX_HEADER  0x200000u
#define TX_DATA    0x210000u
#define WINDOW     262144u /* the credit that the device gives */
#define FIRST_PORT 0x40000000u
#define MANY       1024u
#define SECOND     UINT64_C(1000000000)
#define TURNS      200

enum { RX, TX };
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };

struct packet {
    u64 src_cid, dst_cid;
    u32 src_port, dst_port, len;
    u16 type, op;
    u32 flags, buf_alloc, fwd_cnt;
    u8 data[4096];
};

static struct test {
    struct driver d;
    char folder[32];
    char path[80];
    u32 buf_alloc, fwd_cnt; /* what the guest says of itself */
    struct packet p;        /* the last one heard */
} test;

/* ---- Host ---- */

static struct sockaddr_un address(const struct test *t, int port)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    if (port < 0)
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", t->path);
    else
        snprintf(un.sun_path, sizeof(un.sun_path), "%s_%d", t->path, port);
    return un;
}

static int host_listen(const struct test *t, int port, int backlog)
{
    struct sockaddr_un un = address(t, port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static int host_connect(const struct test *t)
{
    struct sockaddr_un un = address(t, -1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    return fd;
}

static void run(struct test *t)
{
    for (unsigned i = 0; i < 8; i++)
        loop_poll(t->d.loop, 0);
}

static void host_write(struct test *t, int fd, const void *data, size_t size)
{
    assert_int_equal(send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL), size);
    run(t);
}

static void host_reads(int fd, const char *text)
{
    char got[256] = { 0 };
    ssize_t n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);

    assert_int_equal(n, strlen(text));
    assert_string_equal(got, text);
}

static void host_reads_nothing(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void host_reads_end(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static size_t host_drains(int fd)
{
    static char data[65536];
    size_t total = 0;
    ssize_t n;

    while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
        total += (size_t)n;
    return total;
}

/* ---- Guest ---- */

static void offer(struct test *t, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned slot = t->d.queues[RX].next_desc;
        const struct driver_part part = { RX_BUFFERS + RX_STEP * slot, RX_SIZE, DRIVER_WRITE };

        driver_offer(&t->d, RX, &part, 1);
    }
    driver_kick(&t->d, RX);
    run(t);
}

static void encode(const struct packet *p, u8 *raw)
{
    store_le64(raw, p->src_cid);
    store_le64(raw + 8, p->dst_cid);
    store_le32(raw + 16, p->src_port);
    store_le32(raw + 20, p->dst_port);
    store_le32(raw + 24, p->len);
    store_le16(raw + 28, p->type);
    store_le16(raw + 30, p->op);
    store_le32(raw + 32, p->flags);
    store_le32(raw + 36, p->buf_alloc);
    store_le32(raw + 40, p->fwd_cnt);
}

static void send_packet(struct test *t, const struct packet *p, u32 size)
{
    const struct driver_part parts[] = { { TX_HEADER, HEADER, 0 }, { TX_DATA, size, 0 } };

    encode(p, driver_ptr(&t->d, TX_HEADER));
    driver_offer(&t->d, TX, parts, size ? 2 : 1);
    driver_kick(&t->d, TX);
    run(t);
}

static struct packet from_guest(struct test *t, u32 port, u32 host_port, u16 op)
{
    return (struct packet){ .src_cid = CID,
                            .dst_cid = HOST,
                            .src_port = port,
                            .dst_port = host_port,
                            .type = 1,
                            .op = op,
                            .buf_alloc = t->buf_alloc,
                            .fwd_cnt = t->fwd_cnt };
}

static void say(struct test *t, u32 port, u32 host_port, u16 op, u32 flags)
{
    struct packet p = from_guest(t, port, host_port, op);

    p.flags = flags;
    send_packet(t, &p, 0);
    assert_true(driver_take(&t->d, TX, NULL, NULL));
}

static void guest_write(struct test *t, u32 port, u32 host_port, const void *data, u32 size)
{
    struct packet p = from_guest(t, port, host_port, RW);

    p.len = size;
    memcpy(driver_ptr(&t->d, TX_DATA), data, size);
    send_packet(t, &p, size);
    assert_true(driver_take(&t->d, TX, NULL, NULL));
}

/* The next packet for the guest; its buffer is offered again. */
static bool next(struct test *t)
{
    struct packet *p = &t->p;
    const u8 *raw;
    u32 written;
    u16 head;

    run(t);
    if (!driver_take(&t->d, RX, &head, &written))
        return false;
    raw = driver_ptr(&t->d, RX_BUFFERS + RX_STEP * head);
    *p = (struct packet){ .src_cid = load_le64(raw),
                          .dst_cid = load_le64(raw + 8),
                          .src_port = load_le32(raw + 16),
                          .dst_port = load_le32(raw + 20),
                          .len = load_le32(raw + 24),
                          .type = load_le16(raw + 28),
                          .op = load_le16(raw + 30),
                          .flags = load_le32(raw + 32),
                          .buf_alloc = load_le32(raw + 36),
                          .fwd_cnt = load_le32(raw + 40) };
    assert_int_equal(written, HEADER + p->len);
    memcpy(p->data, raw + HEADER, p->len);
    assert_int_equal(p->dst_cid, CID);
    offer(t, 1);
    return true;
}

static void heard(struct test *t, u32 port, u32 host_port, u16 op)
{
    assert_true(next(t));
    assert_int_equal(t->p.op, op);
    assert_int_equal(t->p.src_port, host_port);
    assert_int_equal(t->p.dst_port, port);
    assert_int_equal(t->p.type, 1);
    if (op != RST) {
        assert_int_equal(t->p.src_cid, HOST);
        assert_int_equal(t->p.buf_alloc, WINDOW);
    }
}

static void heard_data(struct test *t, u32 port, u32 host_port, const char *text)
{
    heard(t, port, host_port, RW);
    assert_int_equal(t->p.len, strlen(text));
    assert_memory_equal(t->p.data, text, strlen(text));
}

static void heard_no_more(struct test *t)
{
    assert_false(next(t));
}

/* ---- Both ---- */

static void start(struct test *t)
{
    driver_start(&t->d, 0, 3);
    offer(t, 12);
}

static int setup(void **state)
{
    struct test *t = &test;
    struct vsock_config config = { &t->d.ram, NULL, CID, t->path };
    struct error err;
    struct virtio *v;

    memset(t, 0, sizeof(*t));
    driver_init(&t->d);
    memcpy(t->folder, "/tmp/mote-vsock-XXXXXX", sizeof("/tmp/mote-vsock-XXXXXX"));
    assert_non_null(mkdtemp(t->folder));
    snprintf(t->path, sizeof(t->path), "%.31s/v", t->folder);
    t->buf_alloc = KIB(256);
    config.loop = t->d.loop;
    v = vsock_new(&config, &err);
    if (!v)
        fail_msg("%s", err.text);
    driver_plug(&t->d, v, false);
    start(t);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    char command[128];

    driver_fini(&t->d);
    snprintf(command, sizeof(command), "rm -rf '%s'", t->folder);
    return system(command);
}

/* A client of the host, connected to the guest's `port`. */
static int host_client(struct test *t, u32 port, u32 *host_port)
{
    int fd = host_connect(t);
    char line[64];

    snprintf(line, sizeof(line), "CONNECT %u\n", port);
    host_write(t, fd, line, strlen(line));
    assert_true(next(t));
    assert_int_equal(t->p.op, REQUEST);
    assert_int_equal(t->p.dst_port, port);
    assert_int_equal(t->p.src_cid, HOST);
    *host_port = t->p.src_port;
    say(t, port, *host_port, RESPONSE, 0);
    snprintf(line, sizeof(line), "OK %u\n", *host_port);
    host_reads(fd, line);
    return fd;
}

/* A client of the guest: the host's end of it. */
static int guest_client(struct test *t, int listener, u32 port, u32 host_port)
{
    int fd;

    say(t, port, host_port, REQUEST, 0);
    heard(t, port, host_port, RESPONSE);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

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

/* ---- Credit ---- */

static u8 pattern(size_t i)
{
    return (u8)(i * 7 + i / 251);
}

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

/* Send until the window is full or the device says that there is more of it. */
static u32 fill_window(struct test *t, u32 port, u32 host_port, u32 *sent)
{
    static u8 data[60000];
    u32 told = 0;

    while (*sent - told < WINDOW) {
        u32 n = MIN((u32)sizeof(data), WINDOW - (*sent - told));

        for (u32 i = 0; i < n; i++)
            data[i] = pattern(*sent + i);
        guest_write(t, port, host_port, data, n);
        *sent += n;
        while (next(t)) {
            assert_int_equal(t->p.op, CREDIT_UPDATE);
            told = t->p.fwd_cnt;
        }
    }
    return told;
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
        T(the_host_sends_no_more_than_the_guests_credit),
        T(credit_that_makes_no_sense_only_stalls),
        T(a_question_for_credit_is_answered),
        T(a_slow_host_stops_the_guest_and_loses_nothing),
        T(a_guest_that_overruns_its_credit_is_cut_off),
        T(bytes_for_the_guest_wait_for_buffers),
        T(refusals_that_the_guest_does_not_read_stop_its_requests),
        T(a_buffer_too_small_for_a_packet_breaks_the_device),
        T(a_buffer_without_room_for_bytes_breaks_the_device),
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
        T(a_path_in_use_is_refused),
        T(a_path_that_is_too_long_is_refused),
        T(a_socket_that_nobody_uses_is_replaced_and_files_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
