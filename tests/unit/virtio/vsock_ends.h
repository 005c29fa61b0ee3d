/* SPDX-License-Identifier: MIT */
/* Both ends of a vsock device for its tests: a guest's driver, and programs of the host on unix sockets. */
#pragma once

#include "base/types.h"
#include "unit/virtio/driver.h"

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

struct test {
    struct driver d;
    char folder[32];
    char path[80];
    u32 buf_alloc, fwd_cnt; /* what the guest says of itself */
    struct packet p;        /* the last one heard */
};

/* The host. A port of -1: the device's own socket. What is read is compared with `text`, and is there already. */
int host_listen(const struct test *t, int port, int backlog);
int host_connect(const struct test *t);
/* Let the loop run what is due. */
void run(struct test *t);
void host_write(struct test *t, int fd, const void *data, size_t size);
void host_reads(int fd, const char *text);
void host_reads_nothing(int fd);
void host_reads_end(int fd);
size_t host_drains(int fd);
/* The guest: buffers for packets; packets; and what the device says, of which heard() wants a certain one next. */
void offer(struct test *t, unsigned count);
void encode(const struct packet *p, u8 *raw);
void send_packet(struct test *t, const struct packet *p, u32 size);
struct packet from_guest(struct test *t, u32 port, u32 host_port, u16 op);
void say(struct test *t, u32 port, u32 host_port, u16 op, u32 flags);
void guest_write(struct test *t, u32 port, u32 host_port, const void *data, u32 size);
bool next(struct test *t);
void heard(struct test *t, u32 port, u32 host_port, u16 op);
void heard_data(struct test *t, u32 port, u32 host_port, const char *text);
void heard_no_more(struct test *t);
/* Driver and device; a test's folder. */
void start(struct test *t);
int setup(void **state);
int teardown(void **state);
/* A connection that a client of the host, or of the guest, has made: the host's end of it. */
int host_client(struct test *t, u32 port, u32 *host_port);
int guest_client(struct test *t, int listener, u32 port, u32 host_port);

/* Byte `i` of what the guest sends in fill_window. */
u8 pattern(size_t i);

/* Send until the guest has no credit left: what the device said that it passed on. `*sent` counts all bytes. */
u32 fill_window(struct test *t, u32 port, u32 host_port, u32 *sent);
