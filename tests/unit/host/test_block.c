/* SPDX-License-Identifier: MIT */
/* Disk images: raw files by io_uring and by threads, checks, throttling, zero detection, locks. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "host/block.h"
#include "host/clock.h"
#include "host/loop.h"

#define DISK MIB(1)

struct fixture {
    struct clock clock;
    struct loop *loop;
    char dir[64];
    char path[96];
    struct block_config config;
    struct block *block;
};

struct request {
    struct block_req req;
    struct iovec iov[2];
    unsigned done;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err;
    int fd;

    clock_init(&f->clock);
    f->loop = loop_new(&f->clock, &err);
    assert_non_null(f->loop);
    strcpy(f->dir, "/tmp/mote-block-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/disk", f->dir);
    fd = open(f->path, O_CREAT | O_RDWR, 0600);
    assert_int_equal(ftruncate(fd, DISK), 0);
    close(fd);
    f->config = (struct block_config){ .file = f->path, .format = BLOCK_FORMAT_RAW };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    block_close(f->block);
    unlink(f->path);
    rmdir(f->dir);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void open_disk(struct fixture *f)
{
    struct error err = { "" };

    f->block = block_open(&f->config, f->loop, &err);
    if (!f->block)
        fail_msg("%s", err.text);
}

static void on_done(struct block_req *req)
{
    ((struct request *)req->arg)->done++;
}

static void submit(struct fixture *f, struct request *r, enum block_op op, u64 offset, void *data,
                   u64 size)
{
    *r = (struct request){ 0 };
    /* In two pieces, when there is something to cut. */
    r->iov[0] = (struct iovec){ data, size / 2 };
    r->iov[1] = (struct iovec){ (char *)data + size / 2, size - size / 2 };
    r->req = (struct block_req){ .op = op,
                                 .offset = offset,
                                 .size = size,
                                 .iov = r->iov,
                                 .iov_count = 2,
                                 .done = on_done,
                                 .arg = r };
    block_submit(f->block, &r->req);
    assert_int_equal(r->done, 0);
}

static int wait_for(struct fixture *f, struct request *r)
{
    for (unsigned i = 0; !r->done && i < 6000; i++)
        loop_poll(f->loop, 10);
    assert_int_equal(r->done, 1);
    return r->req.result;
}

static int run(struct fixture *f, enum block_op op, u64 offset, void *data, u64 size)
{
    struct request r;

    submit(f, &r, op, offset, data, size);
    return wait_for(f, &r);
}

static void check_round_trip(struct fixture *f)
{
    static u8 out[128 * 1024], in[128 * 1024];

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (u8)(i * 7 + i / 512);
    open_disk(f);
    assert_int_equal(block_size(f->block), DISK);
    assert_int_equal(run(f, BLOCK_WRITE, 4096, out, sizeof(out)), 0);
    assert_int_equal(run(f, BLOCK_WRITE, 512, out, 512), 0);
    assert_int_equal(run(f, BLOCK_WRITE, DISK - 512, out, 512), 0);
    assert_int_equal(run(f, BLOCK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(run(f, BLOCK_READ, 4096, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(run(f, BLOCK_READ, 0, in, 1536), 0);
    assert_int_equal(in[0], 0);
    assert_memory_equal(in + 512, out, 512);
    assert_int_equal(in[1024], 0);
    assert_int_equal(run(f, BLOCK_READ, DISK - 512, in, 512), 0);
    assert_memory_equal(in, out, 512);
}

static void io_uring_reads_what_it_wrote(void **state)
{
    struct fixture *f = *state;

    check_round_trip(f);
}

static void threads_read_what_they_wrote(void **state)
{
    struct fixture *f = *state;

    f->config.aio = BLOCK_AIO_THREADS;
    check_round_trip(f);
}

static void each_cache_mode_reads_what_it_wrote(void **state)
{
    static const enum block_cache_mode modes[] = { BLOCK_CACHE_NONE, BLOCK_CACHE_WRITETHROUGH,
                                                   BLOCK_CACHE_DIRECTSYNC, BLOCK_CACHE_UNSAFE };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        assert_int_equal(truncate(f->path, 0), 0);
        assert_int_equal(truncate(f->path, DISK), 0);
        f->config.cache = modes[i];
        check_round_trip(f);
        assert_int_equal(block_is_writeback(f->block),
                         modes[i] == BLOCK_CACHE_NONE || modes[i] == BLOCK_CACHE_UNSAFE);
        block_close(f->block);
        f->block = NULL;
    }
}

static void ranges_are_checked(void **state)
{
    struct fixture *f = *state;
    u8 data[1024] = { 0 };

    open_disk(f);
    assert_int_equal(run(f, BLOCK_READ, DISK, data, 512), -EINVAL);
    assert_int_equal(run(f, BLOCK_READ, DISK - 512, data, 1024), -EINVAL);
    assert_int_equal(run(f, BLOCK_WRITE, UINT64_MAX - 511, data, 1024), -EINVAL);
    assert_int_equal(run(f, BLOCK_READ, 1, data, 512), -EINVAL);
    assert_int_equal(run(f, BLOCK_READ, 0, data, 100), -EINVAL);
    assert_int_equal(run(f, BLOCK_WRITE_ZEROES, DISK, NULL, 512), -EINVAL);
    assert_int_equal(run(f, BLOCK_READ, DISK, data, 0), 0);
}

static void readonly_image_refuses_changes(void **state)
{
    struct fixture *f = *state;
    u8 data[512] = { 0 };

    f->config.readonly = true;
    open_disk(f);
    assert_true(block_is_readonly(f->block));
    assert_int_equal(run(f, BLOCK_WRITE, 0, data, 512), -EPERM);
    assert_int_equal(run(f, BLOCK_DISCARD, 0, NULL, 512), -EPERM);
    assert_int_equal(run(f, BLOCK_WRITE_ZEROES, 0, NULL, 512), -EPERM);
    assert_int_equal(run(f, BLOCK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(run(f, BLOCK_READ, 0, data, 512), 0);
}

static void odd_file_size_reads_as_filled_up(void **state)
{
    struct fixture *f = *state;
    u8 data[512];

    assert_int_equal(truncate(f->path, 1000), 0);
    open_disk(f);
    assert_int_equal(block_size(f->block), 1024);
    memset(data, 0xFF, sizeof(data));
    assert_int_equal(run(f, BLOCK_READ, 512, data, 512), 0);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(data[i], 0);
    memset(data, 0xEE, sizeof(data));
    assert_int_equal(run(f, BLOCK_WRITE, 512, data, 512), 0);
}

static void cut_off_file_is_an_error_of_the_request(void **state)
{
    struct fixture *f = *state;
    u8 data[4096];

    open_disk(f);
    assert_int_equal(truncate(f->path, 8192), 0);
    assert_int_equal(run(f, BLOCK_READ, 4096, data, sizeof(data)), 0);
    assert_int_equal(run(f, BLOCK_READ, 8192, data, sizeof(data)), -EIO);
    assert_int_equal(run(f, BLOCK_READ, 6144, data, sizeof(data)), -EIO);
}

static void discard_gives_space_back(void **state)
{
    static u8 data[256 * 1024];
    struct fixture *f = *state;
    struct stat before, after;

    f->config.discard = true;
    memset(data, 0x5A, sizeof(data));
    open_disk(f);
    assert_true(block_can_discard(f->block));
    assert_int_equal(run(f, BLOCK_WRITE, 0, data, sizeof(data)), 0);
    assert_int_equal(run(f, BLOCK_FLUSH, 0, NULL, 0), 0);
    stat(f->path, &before);
    assert_int_equal(run(f, BLOCK_DISCARD, 0, NULL, sizeof(data)), 0);
    stat(f->path, &after);
    assert_true(after.st_blocks < before.st_blocks);
    assert_int_equal(after.st_size, before.st_size);
}

static void write_zeroes_reads_back_as_zero(void **state)
{
    static u8 data[64 * 1024];
    struct fixture *f = *state;

    open_disk(f);
    memset(data, 0x5A, sizeof(data));
    assert_int_equal(run(f, BLOCK_WRITE, 0, data, sizeof(data)), 0);
    assert_int_equal(run(f, BLOCK_WRITE_ZEROES, 512, NULL, 8192), 0);
    assert_int_equal(run(f, BLOCK_READ, 0, data, sizeof(data)), 0);
    assert_int_equal(data[511], 0x5A);
    for (unsigned i = 512; i < 512 + 8192; i++)
        assert_int_equal(data[i], 0);
    assert_int_equal(data[512 + 8192], 0x5A);
}

static void zero_writes_are_detected(void **state)
{
    static u8 data[256 * 1024];
    struct fixture *f = *state;
    struct stat st;

    f->config.detect_zeroes = BLOCK_ZEROES_UNMAP;
    f->config.discard = true;
    open_disk(f);
    assert_int_equal(run(f, BLOCK_WRITE, 0, data, sizeof(data)), 0);
    stat(f->path, &st);
    assert_int_equal(st.st_blocks, 0);
}

static void probed_raw_image_cannot_become_qcow2(void **state)
{
    struct fixture *f = *state;
    u8 data[512] = { 'Q', 'F', 'I', 0xFB };

    f->config.format = BLOCK_FORMAT_PROBE;
    open_disk(f);
    assert_int_equal(run(f, BLOCK_WRITE, 0, data, 512), -EPERM);
    data[0] = 'X';
    assert_int_equal(run(f, BLOCK_WRITE, 0, data, 512), 0);
}

static void missing_file_is_told(void **state)
{
    struct fixture *f = *state;
    struct error err;

    f->config.file = "/nosuch/image";
    assert_null(block_open(&f->config, f->loop, &err));
    assert_string_equal(err.text, "Could not open '/nosuch/image': No such file or directory");
}

static void full_host_is_an_error_of_the_request(void **state)
{
    static u8 data[64 * 1024];
    struct fixture *f = *state;
    struct rlimit old, limit;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(truncate(f->path, 1000), 0);
    getrlimit(RLIMIT_FSIZE, &old);
    limit = (struct rlimit){ 1000, old.rlim_max };
    f->config.aio = BLOCK_AIO_THREADS;
    open_disk(f);
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_int_equal(run(f, BLOCK_WRITE, 512, data, 512), -EFBIG);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(run(f, BLOCK_WRITE, 512, data, 512), 0);
}

static void close_completes_what_is_in_flight(void **state)
{
    static u8 data[8][4096];
    struct fixture *f = *state;
    struct request r[8];

    open_disk(f);
    for (unsigned i = 0; i < 8; i++)
        submit(f, &r[i], BLOCK_WRITE, i * 4096, data[i], 4096);
    block_close(f->block);
    f->block = NULL;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(r[i].done, 1);
}

static void quiesce_cancels_throttled_requests(void **state)
{
    struct fixture *f = *state;
    struct request r[3];
    u8 data[512];

    f->config.throttle.iops_total = 1;
    f->config.throttle.iops_total_max = 1;
    open_disk(f);
    for (unsigned i = 0; i < 3; i++)
        submit(f, &r[i], BLOCK_READ, 0, data, 512);
    block_quiesce(f->block);
    assert_int_equal(wait_for(f, &r[0]), 0);
    assert_int_equal(wait_for(f, &r[1]), 0);
    assert_int_equal(wait_for(f, &r[2]), -ECANCELED);
}

static void throttling_keeps_the_rate(void **state)
{
    struct fixture *f = *state;
    struct request r[30];
    u8 data[512];
    u64 begin, took;

    f->config.throttle.iops_total = 100;
    open_disk(f);
    begin = loop_now(f->loop);
    for (unsigned i = 0; i < 30; i++)
        submit(f, &r[i], BLOCK_READ, 0, data, 512);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(wait_for(f, &r[i]), 0);
    took = loop_now(f->loop) - begin;
    assert_true(took > 150 * 1000000ull && took < 1000 * 1000000ull);
}

static void second_writer_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err;

    open_disk(f);
    assert_null(block_open(&f->config, f->loop, &err));
    assert_memory_equal(err.text, "Failed to get \"write\" lock\nIs another process using", 50);
    f->config.readonly = true;
    assert_null(block_open(&f->config, f->loop, &err));
    assert_memory_equal(err.text, "Failed to get shared \"write\" lock\n", 34);
}

static void readers_share_an_image(void **state)
{
    struct fixture *f = *state;
    struct block *second;
    struct error err;

    f->config.readonly = true;
    open_disk(f);
    second = block_open(&f->config, f->loop, &err);
    assert_non_null(second);
    block_close(second);
    f->config.readonly = false;
    assert_null(block_open(&f->config, f->loop, &err));
}

static void other_process_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err;
    int status;
    pid_t pid;

    open_disk(f);
    pid = fork();
    if (pid == 0)
        _exit(block_open(&f->config, f->loop, &err) ? 1 : 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(io_uring_reads_what_it_wrote),
        TEST(threads_read_what_they_wrote),
        TEST(each_cache_mode_reads_what_it_wrote),
        TEST(ranges_are_checked),
        TEST(readonly_image_refuses_changes),
        TEST(odd_file_size_reads_as_filled_up),
        TEST(cut_off_file_is_an_error_of_the_request),
        TEST(discard_gives_space_back),
        TEST(write_zeroes_reads_back_as_zero),
        TEST(zero_writes_are_detected),
        TEST(probed_raw_image_cannot_become_qcow2),
        TEST(missing_file_is_told),
        TEST(full_host_is_an_error_of_the_request),
        TEST(close_completes_what_is_in_flight),
        TEST(quiesce_cancels_throttled_requests),
        TEST(throttling_keeps_the_rate),
        TEST(second_writer_is_refused),
        TEST(readers_share_an_image),
        TEST(other_process_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
