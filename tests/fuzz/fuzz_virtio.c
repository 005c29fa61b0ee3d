/* SPDX-License-Identifier: MIT */
/*
 * A hostile driver: registers, rings and messages of each device in random and nearly right orders. Nothing may be
 * touched outside of guest memory, and a reset must always bring the device back.
 *
 * Input: one byte selects the device, one the transport, the rest is a list of steps (fuzz_steps). A device is a row
 * of fuzz_devices: how it is made, and messages of its kind, which the steps offer whole or damaged. With -DFUZZ_MAIN,
 * a smoke run.
 */
#include "fuzz/fuzz_virtio.h"

#include <assert.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "fuzz/smoke.h"
#include "host/fs.h"
#include "unit/fakes/block.h"
#include "unit/virtio/driver.h"
#include "virtio/balloon.h"
#include "virtio/blk.h"
#include "virtio/p9.h"
#include "virtio/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- The input ---- */

u8 fuzz_byte(struct fuzz *f)
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

/* ---- 9P ---- */

static char fuzz_folder[] = "/tmp/mote-fuzz-XXXXXX";

/* Made at the first need, removed at the end of the process. */
static int fuzz_remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
    (void)status;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void fuzz_remove_folder(void)
{
    nftw(fuzz_folder, fuzz_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void fuzz_make_folder(void)
{
    static bool made;

    if (made)
        return;
    made = mkdtemp(fuzz_folder);
    assert(made);
    atexit(fuzz_remove_folder);
}

static struct virtio *fuzz_make_9p(struct fuzz *f, unsigned variant)
{
    static const enum fs_security models[] = { FS_NONE, FS_MAPPED, FS_NONE, FS_PASSTHROUGH };
    struct fs_config folder = { .path = fuzz_folder,
                                .security = models[variant % 4],
                                .readonly = variant / 4 % 8 == 7,
                                .fmode = 0600,
                                .dmode = 0700 };
    struct p9_config config = { &f->d.ram, f->d.loop, "fuzz" };
    struct error err;
    struct fs *fs;

    fuzz_make_folder();
    fs = fs_open(&folder, &err);
    if (!fs) { /* no extended attributes here */
        folder.security = FS_NONE;
        fs = fs_open(&folder, &err);
    }
    assert(fs);
    return p9_new(&config, fs, &err);
}

static void fuzz_settle_9p(struct fuzz *f)
{
    loop_poll(f->d.loop, 1);
}

/* The size in front is put there when the message is sent. Fid 1 is the folder, 2 to 4 are things in it. */
#define P9(type, tag, body, answer) \
    { \
        "\0\0\0\0" type tag "\0" body, 6 + sizeof(body), 6 + sizeof(body), answer, true \
    }

static const struct fuzz_message fuzz_9p_messages[] = {
    P9("\144", "\1",
       "\0\0\1\0\10\0"
       "9P2000.L",
       64),
    P9("\150", "\2", "\1\0\0\0\377\377\377\377\0\0\0\0\0\0\0\0", 64),
    P9("\156", "\3", "\1\0\0\0\2\0\0\0\0\0", 64),
    P9("\16", "\4", "\2\0\0\0\1\0a\2\0\0\0\200\1\0\0\0\0\0\0", 64),
    P9("\156", "\3", "\1\0\0\0\3\0\0\0\1\0\1\0a", 64),
    P9("\156", "\3", "\1\0\0\0\4\0\0\0\2\0\1\0b\2\0..", 64),
    P9("\14", "\5", "\3\0\0\0\2\0\0\0", 64),
    P9("\14", "\5", "\4\0\0\0\0\0\1\0", 64),
    P9("\50", "\6", "\4\0\0\0\0\0\0\0\0\0\0\0\0\10\0\0", 2060),
    P9("\164", "\7", "\2\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0", 300),
    P9("\166", "\10", "\2\0\0\0\0\0\0\0\0\0\0\0\4\0\0\0data", 64),
    P9("\30", "\11", "\2\0\0\0\377\7\0\0\0\0\0\0", 200),
    P9("\32", "\12",
       "\3\0\0\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\20\0\0\0\0\0\0\0"
       "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
       64),
    P9("\110", "\13", "\1\0\0\0\1\0b\377\1\0\0\0\0\0\0", 64),
    P9("\20", "\14", "\1\0\0\0\1\0l\2\0..\0\0\0\0", 64),
    P9("\22", "\15", "\1\0\0\0\1\0p\200\21\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 64),
    P9("\112", "\16", "\1\0\0\0\1\0a\1\0\0\0\1\0c", 64),
    P9("\114", "\17", "\1\0\0\0\1\0c\0\0\0\0", 64),
    P9("\114", "\17", "\1\0\0\0\1\0b\0\2\0\0", 64),
    P9("\106", "\20", "\1\0\0\0\3\0\0\0\1\0d", 64),
    P9("\24", "\21", "\3\0\0\0\1\0\0\0\1\0a", 64),
    P9("\36", "\22", "\3\0\0\0\4\0\0\0\6\0user.a", 64),
    P9("\40", "\23", "\3\0\0\0\6\0user.a\4\0\0\0\0\0\0\0\0\0\0\0", 64),
    P9("\26", "\24", "\3\0\0\0", 200),
    P9("\10", "\25", "\1\0\0\0", 100),
    P9("\62", "\26", "\2\0\0\0\0\0\0\0", 64),
    P9("\154", "\27", "\26\0", 64),
    P9("\170", "\30", "\3\0\0\0", 64),
    P9("\170", "\30", "\4\0\0\0", 64),
    P9("\172", "\31", "\2\0\0\0", 64),
};

/* ---- The devices ---- */

#define MESSAGES(table) (table), ARRAY_SIZE(table)

static const struct fuzz_device fuzz_devices[] = {
    { "9p", fuzz_make_9p, fuzz_settle_9p, MESSAGES(fuzz_9p_messages), 4 },
    { "blk", fuzz_make_blk, fuzz_settle_blk, MESSAGES(fuzz_blk_messages), 0 },
    { "balloon", fuzz_make_balloon, NULL, MESSAGES(fuzz_balloon_messages), 0 },
    { "console", fuzz_make_console, fuzz_settle_console, fuzz_console_messages,
      FUZZ_CONSOLE_MESSAGES, 0 },
    { "net", fuzz_make_net, fuzz_settle_net, fuzz_net_messages, FUZZ_NET_MESSAGES, 0 },
    { "rng", fuzz_make_rng, NULL, MESSAGES(fuzz_rng_messages), 0 },
    { "vsock", fuzz_make_vsock, fuzz_settle_vsock, fuzz_vsock_messages, FUZZ_VSOCK_MESSAGES, 0 },
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

/* Put a message where there is room. */
static void fuzz_place(struct fuzz *f, const struct fuzz_message *m)
{
    if (f->room + m->size + m->answer + 256 > DRIVER_RAM_SIZE)
        f->room = DRIVER_DATA;
    memset(driver_ptr(&f->d, f->room), 0, m->size);
    memcpy(driver_ptr(&f->d, f->room), m->bytes, m->length);
    if (m->sized)
        store_le32(driver_ptr(&f->d, f->room), m->size);
}

/* A message of the device, damaged as the input says, in a chain that is cut as it says. */
static void fuzz_offer(struct fuzz *f, unsigned q)
{
    const struct fuzz_message *m = &f->device->messages[fuzz_byte(f) % f->device->message_count];
    struct driver_part parts[DRIVER_QUEUE_SIZE];
    u32 answer = m->answer;
    unsigned damage = fuzz_byte(f), count;

    fuzz_place(f, m);
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

/* What makes a session of it. */
static void fuzz_prologue(struct fuzz *f)
{
    for (unsigned i = 0; i < f->device->prologue; i++) {
        const struct fuzz_message *m = &f->device->messages[i];
        struct driver_part parts[2];

        fuzz_place(f, m);
        parts[0] = (struct driver_part){ f->room, m->size, 0 };
        parts[1] = (struct driver_part){ f->room + m->size, m->answer, DRIVER_WRITE };
        driver_offer(&f->d, 0, parts, 2);
        driver_kick(&f->d, 0);
        loop_poll(f->d.loop, 1);
        f->room += m->size + m->answer;
    }
}

static void fuzz_start(struct fuzz *f)
{
    u32 choice = fuzz_u32(f);
    u64 offered = virtio_features(f->d.v);

    driver_reset(&f->d);
    /* Packed rings where offered: the same bytes then mean something else, which is as good. */
    driver_start(&f->d, choice & 1 ? offered : offered & ((u64)choice << 8 | choice >> 4),
                 MIN(f->d.v->queue_count, DRIVER_QUEUES_MAX));
    fuzz_prologue(f);
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
    fuzz_prologue(f);
    while (f->size)
        fuzz_step(f);
    fuzz_check(f);
    driver_fini(&f->d);
    free(f);
    return 0;
}

#ifdef FUZZ_MAIN
#define FUZZ_ROUNDS 1500 /* of each device */
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
