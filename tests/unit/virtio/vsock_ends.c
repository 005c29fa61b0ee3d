/* SPDX-License-Identifier: MIT */
#include "unit/virtio/vsock_ends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "virtio/vsock.h"

static struct test test;

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

int host_listen(const struct test *t, int port, int backlog)
{
    struct sockaddr_un un = address(t, port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

int host_connect(const struct test *t)
{
    struct sockaddr_un un = address(t, -1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    return fd;
}

void run(struct test *t)
{
    for (unsigned i = 0; i < 8; i++)
        loop_poll(t->d.loop, 0);
}

void host_write(struct test *t, int fd, const void *data, size_t size)
{
    assert_int_equal(send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL), size);
    run(t);
}

void host_reads(int fd, const char *text)
{
    char got[256] = { 0 };
    ssize_t n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);

    assert_int_equal(n, strlen(text));
    assert_string_equal(got, text);
}

void host_reads_nothing(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

void host_reads_end(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

size_t host_drains(int fd)
{
    static char data[65536];
    size_t total = 0;
    ssize_t n;

    while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
        total += (size_t)n;
    return total;
}

/* ---- Guest ---- */

void offer(struct test *t, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned slot = t->d.queues[RX].next_desc;
        const struct driver_part part = { RX_BUFFERS + RX_STEP * slot, RX_SIZE, DRIVER_WRITE };

        driver_offer(&t->d, RX, &part, 1);
    }
    driver_kick(&t->d, RX);
    run(t);
}

void encode(const struct packet *p, u8 *raw)
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

void send_packet(struct test *t, const struct packet *p, u32 size)
{
    const struct driver_part parts[] = { { TX_HEADER, HEADER, 0 }, { TX_DATA, size, 0 } };

    encode(p, driver_ptr(&t->d, TX_HEADER));
    driver_offer(&t->d, TX, parts, size ? 2 : 1);
    driver_kick(&t->d, TX);
    run(t);
}

struct packet from_guest(struct test *t, u32 port, u32 host_port, u16 op)
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

void say(struct test *t, u32 port, u32 host_port, u16 op, u32 flags)
{
    struct packet p = from_guest(t, port, host_port, op);

    p.flags = flags;
    send_packet(t, &p, 0);
    assert_true(driver_take(&t->d, TX, NULL, NULL));
}

void guest_write(struct test *t, u32 port, u32 host_port, const void *data, u32 size)
{
    struct packet p = from_guest(t, port, host_port, RW);

    p.len = size;
    memcpy(driver_ptr(&t->d, TX_DATA), data, size);
    send_packet(t, &p, size);
    assert_true(driver_take(&t->d, TX, NULL, NULL));
}

/* The next packet for the guest; its buffer is offered again. */
bool next(struct test *t)
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

void heard(struct test *t, u32 port, u32 host_port, u16 op)
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

void heard_data(struct test *t, u32 port, u32 host_port, const char *text)
{
    heard(t, port, host_port, RW);
    assert_int_equal(t->p.len, strlen(text));
    assert_memory_equal(t->p.data, text, strlen(text));
}

void heard_no_more(struct test *t)
{
    assert_false(next(t));
}

/* ---- Both ---- */

void start(struct test *t)
{
    driver_start(&t->d, 0, 3);
    offer(t, 12);
}

int setup(void **state)
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

int teardown(void **state)
{
    struct test *t = *state;
    char command[128];

    driver_fini(&t->d);
    snprintf(command, sizeof(command), "rm -rf '%s'", t->folder);
    return system(command);
}

/* A client of the host, connected to the guest's `port`. */
int host_client(struct test *t, u32 port, u32 *host_port)
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
int guest_client(struct test *t, int listener, u32 port, u32 host_port)
{
    int fd;

    say(t, port, host_port, REQUEST, 0);
    heard(t, port, host_port, RESPONSE);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

u8 pattern(size_t i)
{
    return (u8)(i * 7 + i / 251);
}

/* Send until the window is full or the device says that there is more of it. */
u32 fill_window(struct test *t, u32 port, u32 host_port, u32 *sent)
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
