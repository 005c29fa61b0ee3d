/* SPDX-License-Identifier: MIT */
/* The block device on a disk whose requests finish when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "unit/fakes/block.h"
#include "unit/virtio/driver.h"
#include "virtio/blk.h"

#define T_IN      0
#define T_OUT     1
#define T_FLUSH   4
#define T_GET_ID  8
#define T_DISCARD 11
#define T_ZEROES  13

#define S_OK      0
#define S_IOERR   1
#define S_UNSUPP  2
#define S_NONE    0xEE /* the device has not written it */

#define F_RO      BIT64(5)
#define F_FLUSH   BIT64(9)
#define F_WCE     BIT64(11)
#define F_MQ      BIT64(12)
#define F_DISCARD BIT64(13)
#define F_ZEROES  BIT64(14)

#define HEADERS   DRIVER_DATA /* of 16 bytes, by request */
#define STATUSES  (DRIVER_DATA + 0x1000)
#define DATA      (DRIVER_DATA + 0x10000)
#define SECTOR    512u

struct fixture {
    struct driver d;
    struct block block;
    struct blk_config config;
    unsigned requests;
    u64 code_bytes; /* of pages with code that were said to be written */
};

static struct fixture fixture;

static void build(struct fixture *f, bool legacy)
{
    struct error err;
    struct virtio *v;

    driver_init(&f->d);
    v = blk_new(&f->config, &f->block, &f->d.ram, f->d.loop, &err);
    assert_non_null(v);
    driver_plug(&f->d, v, legacy);
}

static int setup(void **state)
{
    struct fixture *f = &fixture;

    memset(f, 0, sizeof(*f));
    f->block = (struct block){ .size = KIB(64), .writeback = true, .fill = 0x5A };
    f->config = (struct blk_config){ .serial = "serial-number-of-more-than-20", .queues = 2 };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    driver_fini(&f->d);
    return 0;
}

/* Offer a request in queue `q` with `size` bytes of data; its number. */
static unsigned request_on(struct fixture *f, unsigned q, u32 type, u64 sector, u32 size)
{
    unsigned n = f->requests++;
    struct driver_part parts[3] = { { HEADERS + 16 * n, 16, 0 } };
    unsigned count = 1;
    u8 *header = driver_ptr(&f->d, parts[0].addr);

    store_le32(header, type);
    store_le32(header + 4, 0);
    store_le64(header + 8, sector);
    *(u8 *)driver_ptr(&f->d, STATUSES + n) = S_NONE;
    if (size)
        parts[count++] =
            (struct driver_part){ DATA + n * 0x1000, size,
                                  type == T_IN || type == T_GET_ID ? DRIVER_WRITE : 0 };
    parts[count++] = (struct driver_part){ STATUSES + n, 1, DRIVER_WRITE };
    driver_offer(&f->d, q, parts, count);
    return n;
}

static unsigned request(struct fixture *f, u32 type, u64 sector, u32 size)
{
    unsigned n = request_on(f, 0, type, sector, size);

    driver_kick(&f->d, 0);
    return n;
}

static u8 status_of(struct fixture *f, unsigned n)
{
    return *(u8 *)driver_ptr(&f->d, STATUSES + n);
}

/* The request came back with `status` and `written` bytes. */
static void assert_came_back(struct fixture *f, unsigned n, u8 status, u32 written)
{
    u32 bytes = 0;

    assert_true(driver_take(&f->d, 0, NULL, &bytes));
    assert_int_equal(status_of(f, n), status);
    assert_int_equal(bytes, written);
}

static void assert_answer(struct fixture *f, u32 type, u64 sector, u32 size, u8 status)
{
    unsigned n = request(f, type, sector, size);

    assert_int_equal(f->block.count, 0);
    assert_true(driver_take(&f->d, 0, NULL, NULL));
    assert_int_equal(status_of(f, n), status);
}

/* ---- Reset with requests in flight ---- */

static void a_reset_drops_what_is_in_flight(void **state)
{
    struct fixture *f = *state;
    unsigned n;

    build(f, false);
    driver_start(&f->d, F_FLUSH, 1);
    n = request(f, T_IN, 0, SECTOR);
    request(f, T_OUT, 1, SECTOR);
    assert_int_equal(f->block.count, 2);
    driver_reset(&f->d);
    assert_int_equal(f->block.quiesces, 1);
    assert_int_equal(f->block.touched, 2); /* the host is done with the buffers */

    driver_start(&f->d, F_FLUSH, 1);
    memset(driver_ptr(&f->d, DATA), 0x11, SECTOR);
    *(u8 *)driver_ptr(&f->d, STATUSES + n) = 0x77;
    fake_block_finish(&f->block, 0);
    fake_block_finish(&f->block, -5);
    assert_false(driver_take(&f->d, 0, NULL, NULL));
    assert_int_equal(status_of(f, n), 0x77);
    assert_int_equal(*(u8 *)driver_ptr(&f->d, DATA), 0x11);
    assert_int_equal(driver_read(&f->d, 0x60), 0);
    assert_int_equal(f->d.v->queues[0].state.in_flight, 0);
}

static void the_next_driver_works_beside_dropped_requests(void **state)
{
    struct fixture *f = *state;
    unsigned n;

    build(f, false);
    driver_start(&f->d, F_FLUSH, 1);
    request(f, T_IN, 0, SECTOR);
    driver_reset(&f->d);
    driver_start(&f->d, F_FLUSH, 1);
    n = request(f, T_IN, 3, SECTOR);
    assert_int_equal(f->block.count, 2);
    fake_block_finish(&f->block, 0);
    assert_false(driver_take(&f->d, 0, NULL, NULL));
    fake_block_finish(&f->block, 0);
    assert_came_back(f, n, S_OK, SECTOR + 1);
}

static void a_reset_while_a_write_waits_for_its_flush_ends_it(void **state)
{
    struct fixture *f = *state;

    build(f, false);
    driver_start(&f->d, 0, 1); /* no FLUSH: write through */
    request(f, T_OUT, 0, SECTOR);
    fake_block_finish(&f->block, 0);
    assert_int_equal(f->block.reqs[0]->op, BLOCK_FLUSH);
    driver_reset(&f->d);
    driver_start(&f->d, 0, 1);
    fake_block_finish(&f->block, 0);
    assert_int_equal(f->block.count, 0);
    assert_false(driver_take(&f->d, 0, NULL, NULL));
}

static void the_pool_is_whole_after_resets_in_flight(void **state)
{
    struct fixture *f = *state;

    f->config.queues = 1;
    f->config.queue_size = 4;
    build(f, false);
    for (unsigned round = 0; round < 5; round++) {
        f->requests = 0;
        driver_start(&f->d, F_FLUSH, 1);
        for (unsigned i = 0; i < 4; i++)
            request(f, T_IN, i, SECTOR);
        assert_int_equal(f->block.count, 4);
        driver_reset(&f->d);
        while (f->block.count)
            fake_block_finish(&f->block, 0);
    }
    assert_int_equal(f->block.quiesces, 5);
}

static void count_code(void *arg, u64 offset, u64 size)
{
    struct fixture *f = arg;

    (void)offset;
    f->code_bytes += size;
}

/* The host may have written a dropped read's buffer: code that was decoded from it is stale. */
static void a_dropped_read_marks_its_buffer(void **state)
{
    struct fixture *f = *state;

    build(f, false);
    ram_on_code_write(&f->d.ram, count_code, f);
    driver_start(&f->d, F_FLUSH, 1);
    request(f, T_IN, 0, SECTOR);
    f->d.ram.code_pages[DATA / RAM_PAGE_SIZE] = 1;
    driver_reset(&f->d);
    assert_int_equal(f->code_bytes, SECTOR);
}

static void a_stopped_queue_gets_nothing_back(void **state)
{
    struct fixture *f = *state;

    build(f, false);
    driver_start(&f->d, F_FLUSH, 1);
    request(f, T_IN, 0, SECTOR);
    driver_write(&f->d, 0x30, 0);
    driver_write(&f->d, 0x44, 0);
    fake_block_finish(&f->block, 0);
    assert_int_equal(f->d.v->queues[0].state.in_flight, 0);
    assert_false(driver_take(&f->d, 0, NULL, NULL));
}

static void the_end_waits_for_what_is_in_flight(void **state)
{
    struct fixture *f = *state;

    build(f, true);
    driver_start(&f->d, 0, 1);
    request(f, T_IN, 0, SECTOR);
    f->d.v->dev.ops->free(&f->d.v->dev);
    f->d.v = NULL;
    assert_int_equal(f->block.count, 0);
    assert_int_equal(f->block.closes, 1);
}

/* ---- Requests ---- */

static void a_read_gives_data_and_status(void **state)
{
    struct fixture *f = *state;
    unsigned n;

    build(f, false);
    driver_start(&f->d, F_FLUSH, 1);
    n = request(f, T_IN, 7, 2 * SECTOR);
    assert_int_equal(f->block.reqs[0]->op, BLOCK_READ);
    assert_int_equal(f->block.reqs[0]->offset, 7 * SECTOR);
    assert_int_equal(f->block.reqs[0]->size, 2 * SECTOR);
    assert_int_equal(status_of(f, n), S_NONE);
    fake_block_finish(&f->block, 0);
    assert_came_back(f, n, S_OK, 2 * SECTOR + 1);
    assert_int_equal(*(u8 *)driver_ptr(&f->d, DATA + 2 * SECTOR - 1), 0x5A);
    assert_int_equal(driver_read(&f->d, 0x60), 1);
}

static void an_io_error_reaches_the_driver(void **state)
{
    struct fixture *f = *state;
    unsigned n;

    build(f, false);
    driver_start(&f->d, F_FLUSH, 1);
    n = request(f, T_OUT, 0, SECTOR);
    fake_block_finish(&f->block, -28);
    assert_came_back(f, n, S_IOERR, 1);
}

static void what_is_outside_of_the_disk_is_refused(void **state)
{
    struct fixture *f = *state;

    f->config.logical_block_size = 1024;
    build(f, false);
    driver_start(&f->d, F_FLUSH, 1);
    assert_answer(f, T_IN, 128, 1024, S_IOERR);
    assert_answer(f, T_IN, 126, 4096, S_IOERR);
    assert_answer(f, T_OUT, UINT64_MAX, 1024, S_IOERR);
    assert_answer(f, T_OUT, UINT64_MAX - 1, 2048, S_IOERR);
    assert_answer(f, T_IN, 1, 1024, S_IOERR); /* half a block */
    assert_answer(f, T_IN, 0, 512, S_IOERR);
    assert_answer(f, T_IN, 0, 1000, S_IOERR);
    assert_answer(f, 99, 0, 0, S_UNSUPP);
    request(f, T_IN, 126, 1024);
    assert_int_equal(f->block.count, 1);
}

static void a_read_only_disk_is_not_written(void **state)
{
    struct fixture *f = *state;

    f->block.readonly = true;
    build(f, false);
    assert_int_equal(driver_read(&f->d, 0x10) & (F_RO | F_DISCARD | F_ZEROES), F_RO);
    driver_start(&f->d, F_RO, 1);
    assert_answer(f, T_OUT, 0, SECTOR, S_IOERR);
    assert_answer(f, T_DISCARD, 0, 16, S_UNSUPP);
    assert_answer(f, T_ZEROES, 0, 16, S_UNSUPP);
}

static void the_serial_number_is_cut_to_20_bytes(void **state)
{
    struct fixture *f = *state;
    unsigned n;

    build(f, false);
    driver_start(&f->d, 0, 1);
    n = request(f, T_GET_ID, 0, 32);
    assert_came_back(f, n, S_OK, 21);
    assert_memory_equal(driver_ptr(&f->d, DATA), "serial-number-of-mor\0", 21);
}

static void write_range(struct fixture *f, u64 sector, u32 count, u32 flags)
{
    u8 *range = driver_ptr(&f->d, DATA + f->requests * 0x1000);

    store_le64(range, sector);
    store_le32(range + 8, count);
    store_le32(range + 12, flags);
}

static void ranges_are_checked(void **state)
{
    struct fixture *f = *state;
    unsigned n;

    build(f, false);
    driver_start(&f->d, F_FLUSH | F_DISCARD | F_ZEROES, 1);
    write_range(f, 8, 8, 1);
    assert_answer(f, T_DISCARD, 0, 16, S_UNSUPP); /* a discard has no flags */
    write_range(f, 120, 9, 0);
    assert_answer(f, T_DISCARD, 0, 16, S_IOERR);
    write_range(f, UINT64_MAX - 3, 8, 0);
    assert_answer(f, T_ZEROES, 0, 16, S_IOERR);
    write_range(f, 0, UINT32_MAX, 0);
    assert_answer(f, T_ZEROES, 0, 16, S_IOERR);
    assert_answer(f, T_ZEROES, 0, 15, S_UNSUPP);
    assert_answer(f, T_DISCARD, 0, 32, S_UNSUPP); /* one range at a time */
    write_range(f, 8, 8, 1);
    n = request(f, T_ZEROES, 0, 16);
    assert_int_equal(f->block.reqs[0]->op, BLOCK_WRITE_ZEROES);
    assert_true(f->block.reqs[0]->may_unmap);
    assert_int_equal(f->block.reqs[0]->size, 8 * SECTOR);
    fake_block_finish(&f->block, 0);
    assert_came_back(f, n, S_OK, 1);
}

static void without_flush_writes_are_written_through(void **state)
{
    struct fixture *f = *state;
    unsigned n;

    build(f, true);
    driver_start(&f->d, 0, 1);
    n = request(f, T_OUT, 0, SECTOR);
    fake_block_finish(&f->block, 0);
    assert_int_equal(status_of(f, n), S_NONE);
    assert_int_equal(f->block.reqs[0]->op, BLOCK_FLUSH);
    fake_block_finish(&f->block, 0);
    assert_came_back(f, n, S_OK, 1);
}

static void the_driver_chooses_the_cache_mode(void **state)
{
    struct fixture *f = *state;
    unsigned n;

    build(f, false);
    driver_start(&f->d, F_FLUSH | F_WCE, 1);
    assert_int_equal(virtio_mmio_ops.read(&f->d.mmio, 0x120, 1), 1);
    virtio_mmio_ops.write(&f->d.mmio, 0x120, 1, 0);
    n = request(f, T_OUT, 0, SECTOR);
    fake_block_finish(&f->block, 0);
    assert_int_equal(f->block.reqs[0]->op, BLOCK_FLUSH);
    fake_block_finish(&f->block, 0);
    assert_came_back(f, n, S_OK, 1);
    driver_reset(&f->d);
    assert_int_equal(virtio_mmio_ops.read(&f->d.mmio, 0x120, 1), 1);
}

static void a_request_without_status_needs_a_reset(void **state)
{
    struct fixture *f = *state;
    const struct driver_part only_header = { HEADERS, 16, 0 };

    build(f, false);
    driver_start(&f->d, 0, 1);
    driver_offer(&f->d, 0, &only_header, 1);
    driver_kick(&f->d, 0);
    assert_true(driver_read(&f->d, 0x70) & VIRTIO_STATUS_NEEDS_RESET);
    driver_reset(&f->d);
    driver_start(&f->d, 0, 1);
    request(f, T_IN, 0, SECTOR);
    assert_int_equal(f->block.count, 1);
}

static void an_error_elsewhere_keeps_requests_from_coming_back(void **state)
{
    struct fixture *f = *state;
    const struct driver_part only_header = { HEADERS, 8, 0 };

    build(f, false);
    driver_start(&f->d, 0, 2);
    request(f, T_IN, 0, SECTOR);
    driver_offer(&f->d, 1, &only_header, 1);
    driver_kick(&f->d, 1);
    assert_true(driver_read(&f->d, 0x70) & VIRTIO_STATUS_NEEDS_RESET);
    fake_block_finish(&f->block, 0);
    assert_false(driver_take(&f->d, 0, NULL, NULL));
}

static void a_starved_queue_goes_on_when_a_request_comes_back(void **state)
{
    struct fixture *f = *state;

    f->config.queue_size = 4; /* of two queues: 8 requests */
    build(f, false);
    driver_start(&f->d, F_FLUSH | F_MQ, 2);
    for (unsigned i = 0; i < 8; i++)
        request_on(f, 0, T_FLUSH, 0, 0);
    driver_kick(&f->d, 0);
    assert_int_equal(f->block.count, 8);
    request_on(f, 1, T_FLUSH, 0, 0);
    driver_kick(&f->d, 1);
    assert_int_equal(f->block.count, 8);
    fake_block_finish(&f->block, 0);
    assert_int_equal(f->block.count, 8);
    while (f->block.count)
        fake_block_finish(&f->block, 0);
    assert_true(driver_take(&f->d, 1, NULL, NULL));
}

static void sizes_that_do_not_fit_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct blk_config wrong[] = {
        { .queues = 1, .logical_block_size = 513 },
        { .queues = 1, .logical_block_size = 4096, .physical_block_size = 512 },
        { .queues = 0 },
        { .queues = 65 },
        { .queues = 1, .queue_size = 3 },
        { .queues = 1, .queue_size = 2048 },
        { .queues = 1, .logical_block_size = 32768 },
    };
    struct error err;

    driver_init(&f->d);
    f->block.size = KIB(16);
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_null(blk_new(&wrong[i], &f->block, &f->d.ram, f->d.loop, &err));
    assert_int_equal(f->block.closes, ARRAY_SIZE(wrong));
}

static void the_configuration_tells_the_geometry(void **state)
{
    struct fixture *f = *state;

    f->config.physical_block_size = 4096;
    build(f, false);
    assert_int_equal(driver_read(&f->d, 0x100), 128);
    assert_int_equal(driver_read(&f->d, 0x10C), 254);
    assert_int_equal(driver_read(&f->d, 0x114), 512);
    assert_int_equal(virtio_mmio_ops.read(&f->d.mmio, 0x118, 1), 3);
    assert_int_equal(virtio_mmio_ops.read(&f->d.mmio, 0x122, 2), 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_reset_drops_what_is_in_flight),
        T(the_next_driver_works_beside_dropped_requests),
        T(a_reset_while_a_write_waits_for_its_flush_ends_it),
        T(the_pool_is_whole_after_resets_in_flight),
        T(a_dropped_read_marks_its_buffer),
        T(a_stopped_queue_gets_nothing_back),
        T(the_end_waits_for_what_is_in_flight),
        T(a_read_gives_data_and_status),
        T(an_io_error_reaches_the_driver),
        T(what_is_outside_of_the_disk_is_refused),
        T(a_read_only_disk_is_not_written),
        T(the_serial_number_is_cut_to_20_bytes),
        T(ranges_are_checked),
        T(without_flush_writes_are_written_through),
        T(the_driver_chooses_the_cache_mode),
        T(a_request_without_status_needs_a_reset),
        T(an_error_elsewhere_keeps_requests_from_coming_back),
        T(a_starved_queue_goes_on_when_a_request_comes_back),
        T(sizes_that_do_not_fit_are_refused),
        T(the_configuration_tells_the_geometry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
