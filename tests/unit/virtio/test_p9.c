/* SPDX-License-Identifier: MIT */
/* The 9P transport: requests through a queue, on threads, and what flushes and resets make of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "host/fs.h"
#include "unit/virtio/driver.h"
#include "virtio/p9.h"

#define REQUESTS DRIVER_DATA /* of 256 bytes, by number */
#define ANSWERS  (DRIVER_DATA + 0x10000)
#define DATA     (DRIVER_DATA + 0x100000)
#define PAGE     4096u

struct fixture {
    struct driver d;
    char folder[64], file[80];
    unsigned requests;
};

static struct fixture fixture;

static int setup_as(void **state, bool legacy)
{
    struct fixture *f = &fixture;
    struct fs_config folder = { .path = f->folder, .security = FS_NONE };
    struct p9_config config = { &f->d.ram, NULL, "share" };
    struct error err;
    FILE *file;

    memset(f, 0, sizeof(*f));
    strcpy(f->folder, "/tmp/mote-9p-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->file, sizeof(f->file), "%s/file", f->folder);
    file = fopen(f->file, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < 4 * PAGE; i++)
        fputc('a' + i / PAGE % 26, file);
    fclose(file);
    driver_init(&f->d);
    config.loop = f->d.loop;
    driver_plug(&f->d, p9_new(&config, fs_open(&folder, &err), &err), legacy);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_as(state, false);
}

static int setup_legacy(void **state)
{
    return setup_as(state, true);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    driver_fini(&f->d);
    unlink(f->file);
    return rmdir(f->folder);
}

static u8 *answer_of(struct fixture *f, unsigned n)
{
    return driver_ptr(&f->d, ANSWERS + n * 256);
}

/* Offer a request of `size` bytes after its header, with room for an answer; its number, which is its tag, too. */
static unsigned request(struct fixture *f, u8 type, const void *body, u32 size)
{
    unsigned n = f->requests++;
    const struct driver_part parts[2] = { { REQUESTS + n * 256, 7 + size, 0 },
                                          { ANSWERS + n * 256, 200, DRIVER_WRITE } };
    u8 *p = driver_ptr(&f->d, parts[0].addr);

    store_le32(p, 7 + size);
    p[4] = type;
    store_le16(p + 5, (u16)n);
    memcpy(p + 7, body, size);
    memset(answer_of(f, n), 0xEE, 200);
    driver_offer(&f->d, 0, parts, 2);
    return n;
}

static void assert_answer(struct fixture *f, u8 type)
{
    u32 written;
    u16 head;

    driver_kick(&f->d, 0);
    assert_true(driver_wait(&f->d, 0, &head, &written));
    assert_int_equal(answer_of(f, f->requests - 1)[4], type);
    assert_int_equal(load_le32(answer_of(f, f->requests - 1)), written);
}

/* To an open file at fid 2. */
static void start(struct fixture *f)
{
    driver_start(&f->d, 1, 1);
    f->requests = 0;
    request(f, 100,
            "\0\0\1\0\10\0"
            "9P2000.L",
            14);
    assert_answer(f, 101);
    request(f, 104, "\1\0\0\0\377\377\377\377\0\0\0\0\0\0\0\0", 16);
    assert_answer(f, 105);
    request(f, 110, "\1\0\0\0\2\0\0\0\1\0\4\0file", 16);
    assert_answer(f, 111);
    request(f, 12, "\2\0\0\0\2\0\0\0", 8);
    assert_answer(f, 13);
}

static void the_mount_tag_is_in_the_configuration(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(driver_read(&f->d, 0x8), VIRTIO_ID_9P);
    assert_int_equal(driver_read(&f->d, 0x10) & 1, 1);
    assert_int_equal(virtio_mmio_ops.read(&f->d.mmio, 0x100, 2), 5);
    assert_int_equal(virtio_mmio_ops.read(&f->d.mmio, 0x102, 1), 's');
    assert_int_equal(virtio_mmio_ops.read(&f->d.mmio, 0x106, 1), 'e');
    assert_int_equal(virtio_mmio_ops.read(&f->d.mmio, 0x107, 1), 0xFF);
}

static void read_pages(struct fixture *f)
{
    struct driver_part parts[5] = { { REQUESTS, 23, 0 }, { ANSWERS, 11, DRIVER_WRITE } };
    u8 *p = driver_ptr(&f->d, REQUESTS);
    u32 written;

    memcpy(p, "\27\0\0\0\164\5\0\2\0\0\0\1\0\0\0\0\0\0\0\0\20\0\0", 23);
    for (unsigned i = 0; i < 3; i++)
        parts[2 + i] = (struct driver_part){ DATA + (2 - i) * 2 * PAGE, PAGE, DRIVER_WRITE };
    driver_offer(&f->d, 0, parts, 5);
    driver_kick(&f->d, 0);
    assert_true(driver_wait(&f->d, 0, NULL, &written));
    assert_int_equal(written, 11 + PAGE);
    assert_int_equal(*(u8 *)driver_ptr(&f->d, DATA + 4 * PAGE), 'a');
    assert_int_equal(*(u8 *)driver_ptr(&f->d, DATA + 5 * PAGE - 1), 'b');
    assert_int_equal(*(u8 *)driver_ptr(&f->d, DATA + 2 * PAGE), 0);
}

static void data_is_read_into_the_driver_s_pages(void **state)
{
    start(*state);
    read_pages(*state);
}

static void a_legacy_driver_reads_the_same(void **state)
{
    start(*state);
    read_pages(*state);
}

static void written_pages_reach_the_file(void **state)
{
    struct fixture *f = *state;
    struct driver_part parts[4] = { { REQUESTS, 23, 0 },
                                    { DATA, PAGE, 0 },
                                    { DATA + 2 * PAGE, PAGE, 0 },
                                    { ANSWERS, 11, DRIVER_WRITE } };
    struct stat status;

    start(f);
    memcpy(driver_ptr(&f->d, REQUESTS), "\27\40\0\0\166\5\0\2\0\0\0\0\100\0\0\0\0\0\0\0\40\0\0",
           23);
    driver_offer(&f->d, 0, parts, 4);
    driver_kick(&f->d, 0);
    assert_true(driver_wait(&f->d, 0, NULL, NULL));
    assert_int_equal(load_le32((u8 *)driver_ptr(&f->d, ANSWERS) + 7), 2 * PAGE);
    assert_int_equal(stat(f->file, &status), 0);
    assert_int_equal(status.st_size, 6 * PAGE);
}

static void count_code(void *arg, u64 offset, u64 size)
{
    (void)offset;
    *(u64 *)arg += size;
}

static void what_was_read_is_marked(void **state)
{
    struct fixture *f = *state;
    u64 bytes = 0;

    start(f);
    ram_on_code_write(&f->d.ram, count_code, &bytes);
    f->d.ram.code_pages[DATA / PAGE + 4] = 1;
    read_pages(f);
    assert_int_equal(bytes, PAGE);
}

static void many_requests_all_come_back(void **state)
{
    struct fixture *f = *state;

    start(f);
    for (unsigned round = 0; round < 40; round++) {
        f->requests = 4;
        for (unsigned i = 0; i < 8; i++)
            request(f, 24, "\2\0\0\0\377\7\0\0\0\0\0\0", 12);
        driver_kick(&f->d, 0);
        for (unsigned i = 0; i < 8; i++)
            assert_true(driver_wait(&f->d, 0, NULL, NULL));
        for (unsigned i = 4; i < 12; i++)
            assert_int_equal(answer_of(f, i)[4], 25);
    }
    assert_int_equal(f->d.v->queues[0].state.in_flight, 0);
}

static void a_flush_comes_after_what_it_names(void **state)
{
    struct fixture *f = *state;
    u16 first, second;

    start(f);
    request(f, 50, "\2\0\0\0\0\0\0\0", 8);
    request(f, 108, (const u8[]){ (u8)(f->requests - 1), 0 }, 2);
    driver_write(&f->d, 0x50, 0);
    assert_true(driver_wait(&f->d, 0, &first, NULL));
    assert_true(driver_wait(&f->d, 0, &second, NULL));
    assert_int_equal((u16)(first + 2), second); /* two descriptors each, in the order of offers */
    assert_int_equal(answer_of(f, f->requests - 1)[4], 109);
    assert_int_equal(answer_of(f, f->requests - 2)[4], 51);
    request(f, 108, "\77\0", 2); /* of nothing */
    assert_answer(f, 109);
}

/* Flushes of each other and of themselves: all are answered. */
static void flushes_do_not_wait_in_circles(void **state)
{
    struct fixture *f = *state;

    start(f);
    for (unsigned i = 0; i < 6; i++)
        request(f, 108, (const u8[]){ (u8)(4 + (i ^ 1)), 0 }, 2);
    driver_write(&f->d, 0x50, 0);
    for (unsigned i = 0; i < 6; i++)
        assert_true(driver_wait(&f->d, 0, NULL, NULL));
}

static void a_reset_ends_the_session(void **state)
{
    struct fixture *f = *state;

    start(f);
    for (unsigned i = 0; i < 6; i++)
        request(f, 50, "\2\0\0\0\0\0\0\0", 8);
    request(f, 108, "\5\0", 2);
    driver_kick(&f->d, 0);
    driver_reset(&f->d);
    assert_int_equal(f->d.v->queues[0].state.in_flight, 0);
    driver_start(&f->d, 1, 1);
    driver_run(&f->d);
    assert_false(driver_take(&f->d, 0, NULL, NULL));
    f->requests = 0;
    request(f, 120, "\2\0\0\0", 4);
    assert_answer(f, 7); /* there is no session */
    driver_reset(&f->d);
    start(f);
}

static void the_end_waits_for_the_workers(void **state)
{
    struct fixture *f = *state;

    start(f);
    for (unsigned i = 0; i < 6; i++)
        request(f, 50, "\2\0\0\0\0\0\0\0", 8);
    driver_kick(&f->d, 0);
}

static void a_request_without_room_for_an_answer_comes_back_empty(void **state)
{
    struct fixture *f = *state;
    const struct driver_part parts[2] = { { REQUESTS, 11, 0 }, { ANSWERS, 8, DRIVER_WRITE } };
    u32 written;

    start(f);
    for (unsigned i = 1; i <= 2; i++) {
        driver_offer(&f->d, 0, parts, i);
        driver_kick(&f->d, 0);
        assert_true(driver_wait(&f->d, 0, NULL, &written));
        assert_int_equal(written, 0);
    }
}

#define T(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LEGACY(name) cmocka_unit_test_setup_teardown(name, setup_legacy, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_mount_tag_is_in_the_configuration),
        T(data_is_read_into_the_driver_s_pages),
        LEGACY(a_legacy_driver_reads_the_same),
        T(written_pages_reach_the_file),
        T(what_was_read_is_marked),
        T(many_requests_all_come_back),
        T(a_flush_comes_after_what_it_names),
        T(flushes_do_not_wait_in_circles),
        T(a_reset_ends_the_session),
        T(the_end_waits_for_the_workers),
        T(a_request_without_room_for_an_answer_comes_back_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
