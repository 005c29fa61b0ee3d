/* SPDX-License-Identifier: MIT */
/*
 * A hostile driver: registers, rings and messages of each device in random and nearly right orders. Nothing may be
 * touched outside of guest memory, and a reset must always bring the device back.
 *
 * Input: one byte selects the device, one the transport, the rest is a list of steps (fuzz_steps). A device is a row
 * of fuzz_devices: how it is made, and messages of its kind, which the steps offer whole or damaged. With -DFUZZ_MAIN,
 * a smoke run.
 */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "fuzz/smoke.h"
#include "host/net.h"
#include "unit/fakes/block.h"
#include "unit/virtio/driver.h"
#include "virtio/balloon.h"
#include "virtio/blk.h"
#include "virtio/net.h"
#include "virtio/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a driver of the device would send, as a chain: readable bytes, then room for the answer. */
struct fuzz_message {
    const void *bytes;
    u16 length; /* of bytes; zeros follow up to size */
    u16 size;
    u16 answer;
};

#define MESSAGE(text, size, answer) \
    { \
        text, sizeof(text) - 1, size, answer \
    }

struct fuzz {
    struct driver d;
    struct block block;
    struct net net;
    unsigned net_header; /* before frames */
    const struct fuzz_device *device;
    const u8 *data; /* the input that is left */
    size_t size;
    gpa room; /* where the next message goes */
};

struct fuzz_device {
    const char *name;
    struct virtio *(*make)(struct fuzz *f, unsigned variant);
    void (*settle)(struct fuzz *f); /* let the backend finish something; NULL: it has none */
    const struct fuzz_message *messages;
    unsigned message_count;
};

/* ---- The input ---- */

static u8 fuzz_byte(struct fuzz *f)
{
    if (!f->size)
        return 0;
    f->size--;
    return *f->data++;
}

static u32 fuzz_u32(struct fuzz *f)
{
    u32 value = fuzz_byte(f);

    for (unsigned i = 1; i < 4; i++)
        value |= (u32)fuzz_byte(f) << 8 * i;
    return value;
}

/* ---- Block ---- */

static struct virtio *fuzz_make_blk(struct fuzz *f, unsigned variant)
{
    struct blk_config config = { .serial = "fuzz", .queues = 1 + variant % 4, .queue_size = 16 };
    struct error err;

    f->block = (struct block){ .size = KIB(64),
                               .writeback = variant & 4,
                               .readonly = (variant & 24) == 24 };
    return blk_new(&config, &f->block, &f->d.ram, f->d.loop, &err);
}

static void fuzz_settle_blk(struct fuzz *f)
{
    if (f->block.count)
        fake_block_finish(&f->block, fuzz_byte(f) & 1 ? -5 : 0);
}

#define BLK_HEADER(type, sector) "" type "\0\0\0\0\0\0\0" sector "\0\0\0\0\0\0\0"

static const struct fuzz_message fuzz_blk_messages[] = {
    MESSAGE(BLK_HEADER("\0", "\1"), 16, 513),
    MESSAGE(BLK_HEADER("\0", "\0"), 16, 4097),
    MESSAGE(BLK_HEADER("\1", "\2") "data", 16 + 512, 1),
    MESSAGE(BLK_HEADER("\4", "\0"), 16, 1),
    MESSAGE(BLK_HEADER("\10", "\0"), 16, 21),
    MESSAGE(BLK_HEADER("\13", "\0") "\1\0\0\0\0\0\0\0\7\0\0\0\0\0\0", 32, 1),
    MESSAGE(BLK_HEADER("\15", "\0") "\1\0\0\0\0\0\0\0\7\0\0\0\1\0\0", 32, 1),
};

/* ---- Entropy ---- */

static struct virtio *fuzz_make_rng(struct fuzz *f, unsigned variant)
{
    struct rng_config config = { &f->d.ram, f->d.loop, NULL, variant & 1 ? 100 : 0, 1 };
    struct error err;

    return rng_new(&config, &err);
}

static const struct fuzz_message fuzz_rng_messages[] = {
    MESSAGE("", 0, 64),
    MESSAGE("", 0, 4096),
};

/* ---- Balloon ---- */

static struct virtio *fuzz_make_balloon(struct fuzz *f, unsigned variant)
{
    struct balloon_config config = { .ram = &f->d.ram,
                                     .loop = f->d.loop,
                                     .deflate_on_oom = true,
                                     .free_page_reporting = variant & 1,
                                     .stats_seconds = variant & 2 ? 1 : 0 };

    return balloon_new(&config);
}

static const struct fuzz_message fuzz_balloon_messages[] = {
    MESSAGE("\0\3\0\0\1\3\0\0\5\3\0\0\4\3\0", 16, 0),
    MESSAGE("\4\0\1\2\3\0\0\0\0\0\5\0\0\0\1", 20, 0),
    MESSAGE("", 0, 8192),
    MESSAGE("", 1200, 0),
};

/* ---- Network ---- */

static size_t fuzz_net_receive(struct net *net, unsigned queue, const struct iovec *iov,
                               unsigned count)
{
    static const u16 sizes[] = { 0, 0, 60, 1500, 9000, 65000 };
    static u8 frame[NET_FRAME_MAX];
    struct fuzz *f = container_of(net, struct fuzz, net);
    size_t size = sizes[fuzz_byte(f) % ARRAY_SIZE(sizes)];

    (void)queue;
    return size ? net_iov_put(iov, count, 0, frame, size + f->net_header) : 0;
}

static bool fuzz_net_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    static u8 frame[NET_FRAME_MAX];
    struct fuzz *f = container_of(net, struct fuzz, net);

    (void)queue;
    net_iov_get(iov, count, 0, frame, sizeof(frame));
    return fuzz_byte(f) != 1;
}

static void fuzz_net_listen(struct net *net, unsigned queue, bool on)
{
    (void)net;
    (void)queue;
    (void)on;
}

static bool fuzz_net_set_header(struct net *net, unsigned size)
{
    container_of(net, struct fuzz, net)->net_header = size;
    return true;
}

static void fuzz_net_free(struct net *net)
{
    (void)net;
}

static const struct net_ops fuzz_net_ops = {
    .receive = fuzz_net_receive,
    .send = fuzz_net_send,
    .listen = fuzz_net_listen,
    .set_header = fuzz_net_set_header,
    .free = fuzz_net_free,
};

static struct virtio *fuzz_make_net(struct fuzz *f, unsigned variant)
{
    struct nic_config config = { .ram = &f->d.ram,
                                 .loop = f->d.loop,
                                 .mq = true,
                                 .rx_size = 64,
                                 .tx_size = 64,
                                 .features_off = variant & 4 ? BIT(NIC_MRG_RXBUF) : 0 };
    struct error err;

    f->net = (struct net){ .ops = &fuzz_net_ops,
                           .queues = 1 + (variant >> 4 & 1),
                           .link_up = true,
                           .prompt = variant & 8,
                           .has_header = variant & 1,
                           .has_ufo = variant & 2 };
    return nic_new(&config, &f->net, &err);
}

/* Events of the backend. */
static void fuzz_settle_net(struct fuzz *f)
{
    struct net_frontend *card = &f->net.frontend;
    u8 event = fuzz_byte(f);

    switch (event % 4) {
    case 0: card->link(card->arg, event & 4); break;
    case 1: card->writable(card->arg, event >> 2 & 1); break;
    default: card->readable(card->arg, event >> 2 & 1); break;
    }
}

static const struct fuzz_message fuzz_net_messages[] = {
    MESSAGE("", 0, 2048),
    MESSAGE("", 0, 1526),
    MESSAGE("", 0, 60),
    MESSAGE("\1\1\66\0\0\5\42\0\20\0\0\0\377\377\377\377\377\377", 100, 0),
    MESSAGE("", 1526, 0),
    MESSAGE("", 8192, 0),
    MESSAGE("\0\0", 3, 1),
    MESSAGE("\0\1\1", 3, 1),
    MESSAGE("\1\0\1\0\0\0\122\124\0\22\64\126\1\0\0\0\1\0\136\0\0\1", 22, 1),
    MESSAGE("\1\1\122\124\0\22\64\126", 8, 1),
    MESSAGE("\2\0\52", 4, 1),
    MESSAGE("\3\0", 2, 1),
    MESSAGE("\4\0\2", 4, 1),
    MESSAGE("\5\0\202", 10, 1),
};

/* ---- The devices ---- */

#define MESSAGES(table) (table), ARRAY_SIZE(table)

static const struct fuzz_device fuzz_devices[] = {
    { "blk", fuzz_make_blk, fuzz_settle_blk, MESSAGES(fuzz_blk_messages) },
    { "balloon", fuzz_make_balloon, NULL, MESSAGES(fuzz_balloon_messages) },
    { "net", fuzz_make_net, fuzz_settle_net, MESSAGES(fuzz_net_messages) },
    { "rng", fuzz_make_rng, NULL, MESSAGES(fuzz_rng_messages) },
};

/* ---- Steps ---- */

/* Any register, with a number that might mean something. */
static void fuzz_register(struct fuzz *f)
{
    u32 offset = fuzz_byte(f), value = fuzz_u32(f);
    unsigned size = 1u << (value >> 30 & 3) % 3;

    if (offset & 1)
        virtio_mmio_ops.write(&f->d.mmio, (offset & 0xFC) * 2, size, value & 0xFF);
    else
        driver_write(&f->d, offset & 0xFC, value);
    virtio_mmio_ops.read(&f->d.mmio, offset * 2, size);
}

/* Bytes of guest memory, most often of the rings. */
static void fuzz_memory(struct fuzz *f)
{
    u32 where = fuzz_u32(f), n = fuzz_byte(f) % 16u;
    gpa area = where & 1 ? DRIVER_RAM_SIZE - 64 : 0x10000;

    while (n--)
        *(u8 *)driver_ptr(&f->d, (where >> 1) % area + n) = fuzz_byte(f);
}

/* Cut [addr, addr + size) into up to `max` parts. */
static unsigned fuzz_cut(struct fuzz *f, struct driver_part *parts, unsigned max, gpa addr,
                         u32 size, u16 flags)
{
    unsigned count = 0;

    while (size) {
        u32 n = count + 1 < max && (fuzz_byte(f) & 1) ? 1 + fuzz_byte(f) % size : size;

        parts[count++] = (struct driver_part){ addr, MIN(n, size), flags };
        addr += MIN(n, size);
        size -= MIN(n, size);
    }
    return count;
}

/* A message of the device, damaged as the input says, in a chain that is cut as it says. */
static void fuzz_offer(struct fuzz *f, unsigned q)
{
    const struct fuzz_message *m = &f->device->messages[fuzz_byte(f) % f->device->message_count];
    struct driver_part parts[DRIVER_QUEUE_SIZE];
    u32 answer = m->answer;
    unsigned damage = fuzz_byte(f), count;

    if (f->room + m->size + answer > DRIVER_RAM_SIZE)
        f->room = DRIVER_DATA;
    memset(driver_ptr(&f->d, f->room), 0, m->size);
    memcpy(driver_ptr(&f->d, f->room), m->bytes, m->length);
    for (unsigned i = 0; damage > 128 && m->size && i < damage % 4; i++)
        *(u8 *)driver_ptr(&f->d, f->room + fuzz_byte(f) % m->size) = fuzz_byte(f);
    if (damage % 16 == 15)
        answer = fuzz_byte(f);
    count = fuzz_cut(f, parts, 4, f->room, m->size, 0);
    count += fuzz_cut(f, parts + count, 8, f->room + m->size, answer, DRIVER_WRITE);
    if (damage == 127 && count)
        parts[fuzz_byte(f) % count].addr = fuzz_u32(f);
    if (count)
        driver_offer(&f->d, q, parts, count);
    f->room += m->size + answer;
}

static void fuzz_start(struct fuzz *f)
{
    u32 choice = fuzz_u32(f);
    u64 offered = virtio_features(f->d.v);

    driver_reset(&f->d);
    /* Packed rings where offered: the same bytes then mean something else, which is as good. */
    driver_start(&f->d, choice & 1 ? offered : offered & ((u64)choice << 8 | choice >> 4),
                 MIN(f->d.v->queue_count, DRIVER_QUEUES_MAX));
}

static void fuzz_step(struct fuzz *f)
{
    u8 step = fuzz_byte(f);
    unsigned q = (step >> 4) % MIN(f->d.v->queue_count, DRIVER_QUEUES_MAX);

    switch (step % 8) {
    case 0: fuzz_register(f); break;
    case 1: fuzz_memory(f); break;
    case 2:
        if (step >= 0xC0)
            fuzz_start(f);
        break;
    case 3: clock_step(&f->d.clock, UINT64_C(1) << (fuzz_byte(f) % 32)); break;
    case 4:
        if (f->device->settle)
            f->device->settle(f);
        break;
    case 5: driver_write(&f->d, 0x50, q); break;
    default: fuzz_offer(f, q); break;
    }
    driver_run(&f->d);
    if (step & 8)
        driver_kick(&f->d, q);
}

/* What nothing before may have spoilt. */
static void fuzz_check(struct fuzz *f)
{
    driver_reset(&f->d);
    driver_start(&f->d, 0, 1);
    assert(!f->d.v->broken && f->d.v->queues[0].state.in_flight == 0);
    assert(driver_read(&f->d, 0x70) == 0xF);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz *f = calloc(1, sizeof(*f));
    u8 transport;

    if (!f)
        return 0;
    f->data = data;
    f->size = size;
    f->room = DRIVER_DATA;
    f->device = &fuzz_devices[fuzz_byte(f) % ARRAY_SIZE(fuzz_devices)];
    transport = fuzz_byte(f);
    driver_init(&f->d);
    driver_plug(&f->d, f->device->make(f, transport >> 2), transport & 1);
    if (transport & 2)
        f->d.v->features_common |= VIRTIO_F_RING_PACKED;
    driver_start(&f->d, virtio_features(f->d.v), MIN(f->d.v->queue_count, DRIVER_QUEUES_MAX));
    while (f->size)
        fuzz_step(f);
    fuzz_check(f);
    driver_fini(&f->d);
    free(f);
    return 0;
}

#ifdef FUZZ_MAIN
#define FUZZ_ROUNDS 3000 /* of each device */
#define FUZZ_LENGTH 400

int main(int argc, char **argv)
{
    struct smoke smoke = { 88172645463325252 };
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : FUZZ_ROUNDS;
    static u8 input[FUZZ_LENGTH];

    if (argc > 2)
        smoke.random = strtoull(argv[2], NULL, 10);
    for (unsigned i = 0; i < rounds * ARRAY_SIZE(fuzz_devices); i++) {
        size_t size = 8 + smoke_random(&smoke) % (sizeof(input) - 8);

        for (size_t at = 0; at < size; at++)
            input[at] = (u8)(smoke_random(&smoke) >> 24);
        input[0] = (u8)i;
        LLVMFuzzerTestOneInput(input, size);
    }
    printf("%zu devices, %u inputs each\n", ARRAY_SIZE(fuzz_devices), rounds);
    return 0;
}
#endif
