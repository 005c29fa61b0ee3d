/* SPDX-License-Identifier: MIT */
/* qcow2 images against qemu-img: both read what the other wrote, and its check finds nothing. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "host/block.h"
#include "host/clock.h"
#include "host/loop.h"

#define DISK MIB(24)

struct fixture {
    struct clock clock;
    struct loop *loop;
    char dir[64];
    char path[96];
    struct block_config config;
    struct block *block;
    u8 *model; /* what the disk should hold */
    u64 random;
};

static __attribute__((format(printf, 2, 3))) int sh(struct fixture *f, const char *format, ...)
{
    char command[2048], text[1600];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(command, sizeof(command), "cd %s && %s >log 2>&1", f->dir, text);
    return system(command);
}

static void need_qemu_img(void)
{
    if (system("qemu-img --version >/dev/null 2>&1"))
        skip();
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err;

    clock_init(&f->clock);
    f->loop = loop_new(&f->clock, &err);
    strcpy(f->dir, "/tmp/mote-qcow2-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/disk", f->dir);
    f->config = (struct block_config){ .file = f->path, .format = BLOCK_FORMAT_QCOW2 };
    f->model = calloc(1, DISK);
    f->random = 88172645463325252;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    block_close(f->block);
    sh(f, "rm -f disk base base2 raw big");
    sh(f, "rm -f log");
    unlink(f->path);
    {
        char log[96];

        snprintf(log, sizeof(log), "%s/log", f->dir);
        unlink(log);
    }
    rmdir(f->dir);
    loop_free(f->loop);
    free(f->model);
    free(f);
    return 0;
}

static u64 next_random(struct fixture *f)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random;
}

static void open_disk(struct fixture *f)
{
    struct error err = { "" };

    f->block = block_open(&f->config, f->loop, &err);
    if (!f->block)
        fail_msg("%s", err.text);
}

static void close_disk(struct fixture *f)
{
    block_close(f->block);
    f->block = NULL;
}

static void on_done(struct block_req *req)
{
    *(bool *)req->arg = true;
}

static int run(struct fixture *f, enum block_op op, u64 offset, void *data, u64 size)
{
    struct iovec iov = { data, size };
    bool done = false;
    struct block_req req = { .op = op,
                             .offset = offset,
                             .size = size,
                             .iov = &iov,
                             .iov_count = 1,
                             .may_unmap = true,
                             .done = on_done,
                             .arg = &done };

    block_submit(f->block, &req);
    for (unsigned i = 0; !done && i < 6000; i++)
        loop_poll(f->loop, 10);
    assert_true(done);
    return req.result;
}

static void check_all(struct fixture *f, u64 size)
{
    u8 *in = malloc(MIB(1));

    for (u64 at = 0; at < size; at += MIB(1)) {
        u64 step = MIN(size - at, MIB(1));

        assert_int_equal(run(f, BLOCK_READ, at, in, step), 0);
        for (u64 i = 0; i < step; i++)
            if (in[i] != f->model[at + i])
                fail_msg("byte %llu is %u, not %u", (unsigned long long)(at + i), in[i],
                         f->model[at + i]);
    }
    free(in);
}

/* Random writes, zeroes and discards, kept up in the model; discards are only made where the result is certain. */
static void scribble(struct fixture *f, unsigned rounds, u64 size)
{
    for (unsigned i = 0; i < rounds; i++) {
        u64 r = next_random(f);
        u64 offset = (next_random(f) % (size / 512)) * 512;
        u64 length = MIN((next_random(f) % (r & 8 ? 400 : 16) + 1) * 512, size - offset);

        switch (r & 7) {
        case 0:
            assert_int_equal(run(f, BLOCK_WRITE_ZEROES, offset, NULL, length), 0);
            memset(f->model + offset, 0, length);
            break;
        case 1: assert_int_equal(run(f, BLOCK_FLUSH, 0, NULL, 0), 0); break;
        default:
            for (u64 j = 0; j < length; j++)
                f->model[offset + j] = (u8)(r >> 8) + (u8)(j >> 3);
            assert_int_equal(run(f, BLOCK_WRITE, offset, f->model + offset, length), 0);
            break;
        }
    }
}

static void save_model(struct fixture *f, const char *name, u64 size)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    file = fopen(path, "w");
    assert_int_equal(fwrite(f->model, 1, size, file), size);
    fclose(file);
}

static void check_with_qemu(struct fixture *f, u64 size)
{
    assert_int_equal(sh(f, "qemu-img check -f qcow2 disk"), 0);
    save_model(f, "raw", size);
    assert_int_equal(sh(f, "qemu-img compare -f qcow2 -F raw disk raw"), 0);
}

static void check_options(struct fixture *f, const char *options)
{
    need_qemu_img();
    assert_int_equal(sh(f, "qemu-img create -f qcow2 -o %s disk 24M", options), 0);
    f->config.discard = true;
    memset(f->model, 0, DISK);
    open_disk(f);
    assert_int_equal(block_size(f->block), DISK);
    scribble(f, 300, DISK);
    check_all(f, DISK);
    close_disk(f);
    check_with_qemu(f, DISK);
    open_disk(f);
    check_all(f, DISK);
    scribble(f, 100, DISK);
    close_disk(f);
    check_with_qemu(f, DISK);
}

static void default_image_passes_qemu_check(void **state)
{
    check_options(*state, "compat=1.1");
}

static void version_2_passes_qemu_check(void **state)
{
    check_options(*state, "compat=0.10");
}

static void small_clusters_grow_the_refcount_table(void **state)
{
    check_options(*state, "cluster_size=512");
}

static void large_clusters_pass_qemu_check(void **state)
{
    check_options(*state, "cluster_size=2M");
}

static void other_refcount_widths_pass_qemu_check(void **state)
{
    check_options(*state, "refcount_bits=1");
    check_options(*state, "refcount_bits=64,cluster_size=4k");
}

static void writethrough_is_on_the_medium(void **state)
{
    struct fixture *f = *state;

    need_qemu_img();
    assert_int_equal(sh(f, "qemu-img create -f qcow2 disk 24M"), 0);
    f->config.cache = BLOCK_CACHE_WRITETHROUGH;
    f->config.locking_off = true;
    open_disk(f);
    memset(f->model + 4096, 7, 8192);
    assert_int_equal(run(f, BLOCK_WRITE, 4096, f->model + 4096, 8192), 0);
    check_with_qemu(f, DISK);
}

/* The image after a crash is what the file holds at that moment: copy it while it is open. */
static void flushed_data_survives_a_crash(void **state)
{
    struct fixture *f = *state;

    need_qemu_img();
    assert_int_equal(sh(f, "qemu-img create -f qcow2 -o cluster_size=4k disk 24M"), 0);
    f->config.locking_off = true;
    open_disk(f);
    scribble(f, 200, DISK);
    assert_int_equal(run(f, BLOCK_FLUSH, 0, NULL, 0), 0);
    save_model(f, "raw", DISK);
    assert_int_equal(sh(f, "cp disk big && qemu-img compare -f qcow2 -F raw big raw"), 0);
    scribble(f, 50, DISK);
    /* Leaks (status 3) are allowed, errors (2) are not. */
    assert_int_equal(sh(f, "cp disk big; (qemu-img check -f qcow2 big; test $? != 1 -a $? != 2)"),
                     0);
}

static void compressed_clusters_are_read_and_replaced(void **state)
{
    static const char *const types[] = { "zlib", "zstd" };
    struct fixture *f = *state;

    need_qemu_img();
    for (unsigned t = 0; t < 2; t++) {
        for (u64 i = 0; i < DISK; i++)
            f->model[i] = (u8)(i >> 9) ^ (u8)(i % 13);
        save_model(f, "raw", DISK);
        assert_int_equal(
            sh(f, "qemu-img convert -c -f raw -O qcow2 -o compression_type=%s raw disk", types[t]),
            0);
        open_disk(f);
        check_all(f, DISK);
        scribble(f, 100, DISK);
        check_all(f, DISK);
        close_disk(f);
        check_with_qemu(f, DISK);
    }
}

static void backing_files_shine_through(void **state)
{
    struct fixture *f = *state;

    need_qemu_img();
    for (u64 i = 0; i < DISK / 2; i++)
        f->model[i] = (u8)(i >> 10);
    save_model(f, "base", DISK / 2);
    assert_int_equal(sh(f, "qemu-img create -f qcow2 -b base -F raw base2 %u", (unsigned)DISK), 0);
    assert_int_equal(sh(f, "qemu-img create -f qcow2 -b base2 -F qcow2 disk"), 0);
    open_disk(f);
    check_all(f, DISK);
    scribble(f, 200, DISK);
    check_all(f, DISK);
    close_disk(f);
    check_with_qemu(f, DISK);
}

static void internal_snapshots_are_kept(void **state)
{
    struct fixture *f = *state;

    need_qemu_img();
    assert_int_equal(sh(f, "qemu-img create -f qcow2 disk 24M"), 0);
    open_disk(f);
    scribble(f, 100, DISK);
    close_disk(f);
    save_model(f, "base", DISK);
    assert_int_equal(sh(f, "qemu-img snapshot -c one disk"), 0);
    open_disk(f);
    check_all(f, DISK);
    scribble(f, 100, DISK);
    close_disk(f);
    check_with_qemu(f, DISK);
    assert_int_equal(sh(f, "qemu-img snapshot -a one disk"), 0);
    assert_int_equal(sh(f, "qemu-img compare -f qcow2 -F raw disk base"), 0);
}

static void snapshot_mode_leaves_the_image_alone(void **state)
{
    struct fixture *f = *state;

    for (u64 i = 0; i < DISK; i++)
        f->model[i] = (u8)(i >> 11);
    save_model(f, "disk", DISK);
    save_model(f, "base", DISK);
    f->config.snapshot = true;
    f->config.format = BLOCK_FORMAT_RAW;
    open_disk(f);
    check_all(f, DISK);
    scribble(f, 200, DISK);
    check_all(f, DISK);
    close_disk(f);
    assert_int_equal(sh(f, "cmp disk base"), 0);
}

static void loop_of_backing_files_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = { "" };

    need_qemu_img();
    assert_int_equal(sh(f, "qemu-img create -f qcow2 disk 24M"), 0);
    assert_int_equal(sh(f, "qemu-img rebase -u -b disk -F qcow2 disk"), 0);
    f->config.readonly = true;
    assert_null(block_open(&f->config, f->loop, &err));
    assert_non_null(strstr(err.text, "Could not open backing file"));
}

static void unsupported_features_are_told(void **state)
{
    static const char *const options[] = { "extended_l2=on", "data_file=raw" };
    static const char *const texts[] = { "extended L2", "external data file" };
    struct fixture *f = *state;

    need_qemu_img();
    for (unsigned i = 0; i < 2; i++) {
        struct error err = { "" };

        assert_int_equal(sh(f, "qemu-img create -f qcow2 -o %s disk 1M", options[i]), 0);
        assert_null(block_open(&f->config, f->loop, &err));
        assert_non_null(strstr(err.text, texts[i]));
        sh(f, "rm -f disk raw");
    }
}

static void poke(struct fixture *f, u64 offset, u64 value)
{
    u8 bytes[8];
    int fd = open(f->path, O_RDWR);

    store_be64(bytes, value);
    assert_int_equal(pwrite(fd, bytes, 8, (off_t)offset), 8);
    close(fd);
}

static u64 peek(struct fixture *f, u64 offset)
{
    u8 bytes[8];
    int fd = open(f->path, O_RDONLY);

    assert_int_equal(pread(fd, bytes, 8, (off_t)offset), 8);
    close(fd);
    return load_be64(bytes);
}

/* The header field is set by hand: making a LUKS image takes qemu-img a time measurement that fails on a busy host. */
static void encrypted_image_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = { "" };

    need_qemu_img();
    assert_int_equal(sh(f, "qemu-img create -f qcow2 disk 1M"), 0);
    poke(f, 32, 2ull << 32 | (u32)peek(f, 32)); /* crypt_method: LUKS; l1_size follows it */
    assert_null(block_open(&f->config, f->loop, &err));
    assert_non_null(strstr(err.text, "encrypted"));
}

static void data_over_a_table_is_refused(void **state)
{
    struct fixture *f = *state;
    u8 data[512] = { 1 };
    u64 l1, l2;

    need_qemu_img();
    assert_int_equal(sh(f, "qemu-img create -f qcow2 disk 24M"), 0);
    open_disk(f);
    assert_int_equal(run(f, BLOCK_WRITE, 0, data, 512), 0);
    close_disk(f);
    l1 = peek(f, 40);
    l2 = peek(f, l1) & 0x00FFFFFFFFFFFE00;
    poke(f, l2, l1 | 1ull << 63);
    open_disk(f);
    assert_int_equal(run(f, BLOCK_WRITE, 0, data, 512), -EIO);
    assert_int_equal(run(f, BLOCK_WRITE, 65536, data, 512), -EIO);
    close_disk(f);
    assert_int_equal(peek(f, 72) & 2, 2); /* marked corrupt */
    {
        struct error err;

        assert_null(block_open(&f->config, f->loop, &err));
    }
}

static void tables_outside_the_file_are_an_io_error(void **state)
{
    struct fixture *f = *state;
    struct error err;
    u8 data[512];

    need_qemu_img();
    assert_int_equal(sh(f, "qemu-img create -f qcow2 disk 24M"), 0);
    poke(f, peek(f, 40), 0x00FFFFFFFFFF0000 | 1ull << 63);
    f->config.readonly = true;
    open_disk(f);
    assert_int_equal(run(f, BLOCK_READ, 0, data, 512), -EIO);
    close_disk(f);
    f->config.readonly = false;
    assert_null(block_open(&f->config, f->loop, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(default_image_passes_qemu_check),
        TEST(version_2_passes_qemu_check),
        TEST(small_clusters_grow_the_refcount_table),
        TEST(large_clusters_pass_qemu_check),
        TEST(other_refcount_widths_pass_qemu_check),
        TEST(writethrough_is_on_the_medium),
        TEST(flushed_data_survives_a_crash),
        TEST(compressed_clusters_are_read_and_replaced),
        TEST(backing_files_shine_through),
        TEST(internal_snapshots_are_kept),
        TEST(snapshot_mode_leaves_the_image_alone),
        TEST(loop_of_backing_files_is_refused),
        TEST(unsupported_features_are_told),
        TEST(encrypted_image_is_refused),
        TEST(data_over_a_table_is_refused),
        TEST(tables_outside_the_file_are_an_io_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
