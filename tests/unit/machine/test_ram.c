/* SPDX-License-Identifier: MIT */
/* Guest memory: slots, bounds, and who hears of writes to decoded code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "machine/ram.h"

#define TEST_RAM_SIZE   MIB(4)
#define TEST_HIGH       GIB(4)
#define TEST_LOW_SIZE   MIB(3)
#define TEST_ALIAS_BASE 0xFFFE0000u
#define TEST_ALIAS_SIZE 0x20000u

struct test_hits {
    unsigned count;
    u64 offset[8];
    u64 size[8];
};

static void test_code_written(void *arg, u64 offset, u64 size)
{
    struct test_hits *hits = arg;

    assert_true(hits->count < 8);
    hits->offset[hits->count] = offset;
    hits->size[hits->count++] = size;
}

/* 3 MiB at 0, 1 MiB at 4 GiB, and the last 128 KiB below 1 MiB once more below 4 GiB. */
static int ram_setup(void **state)
{
    struct ram *ram = calloc(1, sizeof(*ram));
    struct error err;

    assert_true(ram_init(ram, TEST_RAM_SIZE, &err));
    ram_add_slot(ram, 0, TEST_LOW_SIZE, 0);
    ram_add_slot(ram, TEST_HIGH, MIB(1), TEST_LOW_SIZE);
    ram_add_slot(ram, TEST_ALIAS_BASE, TEST_ALIAS_SIZE, 0xE0000);
    *state = ram;
    return 0;
}

static int ram_teardown(void **state)
{
    ram_fini(*state);
    free(*state);
    return 0;
}

static void starts_zeroed_with_a_memfd_of_its_size(void **state)
{
    struct ram *ram = *state;
    struct stat st;

    assert_int_equal(fstat(ram->memfd, &st), 0);
    assert_int_equal(st.st_size, TEST_RAM_SIZE);
    for (u64 i = 0; i < TEST_RAM_SIZE; i += 511)
        assert_int_equal(ram->host[i], 0);
    assert_false(ram_has_code(ram, 0));
    assert_false(ram_has_code(ram, TEST_RAM_SIZE - 1));
}

static void pages_are_not_taken_before_they_are_touched(void **state)
{
    struct error err;
    struct stat st;
    struct ram ram;

    (void)state;
    assert_true(ram_init(&ram, GIB(64), &err));
    assert_int_equal(fstat(ram.memfd, &st), 0);
    assert_int_equal(st.st_blocks, 0);
    ram_fini(&ram);
}

static void impossible_sizes_are_refused_with_a_sentence(void **state)
{
    struct error err = { "" };
    struct ram ram;

    (void)state;
    assert_false(ram_init(&ram, UINT64_MAX & ~0xFFFull, &err));
    assert_non_null(strstr(err.text, "guest memory"));
    err.text[0] = 0;
    assert_false(ram_init(&ram, BIT64(62), &err));
    assert_non_null(strstr(err.text, "guest memory"));
    ram_fini(&ram); /* what a failed init leaves may be freed again */
}

static void offset_finds_the_slot_and_what_is_left_of_it(void **state)
{
    struct ram *ram = *state;
    u64 left = 0;

    assert_int_equal(ram_offset(ram, 0, &left), 0);
    assert_int_equal(left, TEST_LOW_SIZE);
    assert_int_equal(ram_offset(ram, TEST_LOW_SIZE - 1, &left), TEST_LOW_SIZE - 1);
    assert_int_equal(left, 1);
    assert_int_equal(ram_offset(ram, TEST_LOW_SIZE, &left), -1);
    assert_int_equal(ram_offset(ram, TEST_HIGH - 1, NULL), TEST_LOW_SIZE - MIB(2) - 1);
    assert_int_equal(ram_offset(ram, TEST_HIGH, NULL), TEST_LOW_SIZE);
    assert_int_equal(ram_offset(ram, TEST_HIGH + MIB(1), NULL), -1);
    assert_int_equal(ram_offset(ram, UINT64_MAX, NULL), -1);
}

static void pointers_need_the_whole_range_in_one_slot(void **state)
{
    struct ram *ram = *state;

    assert_ptr_equal(ram_ptr(ram, 16, 32), ram->host + 16);
    assert_ptr_equal(ram_ptr_w(ram, TEST_HIGH, MIB(1)), ram->host + TEST_LOW_SIZE);
    assert_null(ram_ptr(ram, TEST_LOW_SIZE - 8, 9));
    assert_non_null(ram_ptr(ram, TEST_LOW_SIZE - 8, 8));
    assert_null(ram_ptr(ram, TEST_LOW_SIZE, 1));
    assert_null(ram_ptr(ram, 8, UINT64_MAX));
    assert_null(ram_ptr(ram, UINT64_MAX, 2));
    /* The alias ends where high RAM begins: readable across, but not by one pointer. */
    assert_null(ram_ptr(ram, TEST_HIGH - 4, 8));
}

static void aliases_show_the_same_bytes(void **state)
{
    struct ram *ram = *state;
    u32 value = 0x12345678, seen = 0;

    assert_int_equal(ram_write(ram, 0xFFFF0, &value, 4), 0);
    assert_int_equal(ram_read(ram, 0xFFFFFFF0, &seen, 4), 0);
    assert_int_equal(seen, value);
}

static void read_and_write_span_slots_that_touch(void **state)
{
    struct ram *ram = *state;
    u8 in[64], out[64];

    for (unsigned i = 0; i < sizeof(in); i++)
        in[i] = (u8)(i + 1);
    assert_int_equal(ram_write(ram, TEST_HIGH - 32, in, sizeof(in)), 0);
    assert_int_equal(ram_read(ram, TEST_HIGH - 32, out, sizeof(out)), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_memory_equal(ram->host + MIB(1) - 32, in, 32);
    assert_memory_equal(ram->host + TEST_LOW_SIZE, in + 32, 32);
}

static void partly_outside_ranges_fault_with_nothing_copied(void **state)
{
    struct ram *ram = *state;
    u8 data[64];

    memset(data, 0xAA, sizeof(data));
    assert_int_equal(ram_write(ram, TEST_LOW_SIZE - 32, data, 64), -EFAULT);
    assert_int_equal(ram->host[TEST_LOW_SIZE - 32], 0);
    assert_int_equal(ram_set(ram, TEST_LOW_SIZE - 32, 1, 64), -EFAULT);
    assert_int_equal(ram->host[TEST_LOW_SIZE - 32], 0);
    assert_int_equal(ram_read(ram, TEST_LOW_SIZE - 32, data, 64), -EFAULT);
    assert_int_equal(data[0], 0xAA);
    assert_int_equal(ram_read(ram, UINT64_MAX - 1, data, 64), -EFAULT);
    assert_int_equal(ram_write(ram, 0, data, UINT64_MAX), -EFAULT);
    assert_int_equal(ram_read(ram, TEST_LOW_SIZE, data, 0), 0);
}

static void large_writes_arrive_whole_at_odd_addresses(void **state)
{
    struct ram *ram = *state;
    u64 size = MIB(1) + 12345;
    u8 *data = malloc(size);

    for (u64 i = 0; i < size; i++)
        data[i] = (u8)(i * 7 + (i >> 9));
    assert_int_equal(ram_write(ram, 0x10003, data, size), 0);
    assert_memory_equal(ram->host + 0x10003, data, size);
    assert_int_equal(ram->host[0x10002], 0);
    assert_int_equal(ram->host[0x10003 + size], 0);
    free(data);
}

static void set_fills_exactly_its_range(void **state)
{
    struct ram *ram = *state;

    assert_int_equal(ram_set(ram, 0x1001, 0x5A, 0x2000), 0);
    assert_int_equal(ram->host[0x1000], 0);
    assert_int_equal(ram->host[0x1001], 0x5A);
    assert_int_equal(ram->host[0x3000], 0x5A);
    assert_int_equal(ram->host[0x3001], 0);
}

static void zeroing_gives_whole_pages_back_and_keeps_the_edges(void **state)
{
    struct ram *ram = *state;
    struct stat before, after;

    assert_int_equal(ram_set(ram, 0, 0xFF, TEST_LOW_SIZE), 0);
    fstat(ram->memfd, &before);
    assert_int_equal(ram_set(ram, 0x1801, 0, MIB(1)), 0);
    fstat(ram->memfd, &after);
    assert_true(after.st_blocks < before.st_blocks);
    assert_int_equal(ram->host[0x1800], 0xFF);
    for (u64 i = 0x1801; i < 0x1801 + MIB(1); i++)
        assert_int_equal(ram->host[i], 0);
    assert_int_equal(ram->host[0x1801 + MIB(1)], 0xFF);
}

static void writes_to_code_pages_are_told_page_by_page(void **state)
{
    struct test_hits hits = { 0 };
    struct ram *ram = *state;
    u8 data[0x3000] = { 0 };

    ram_on_code_write(ram, test_code_written, &hits);
    atomic_store(&ram->code_pages[2], 1);
    atomic_store(&ram->code_pages[3], 1);
    assert_int_equal(ram_write(ram, 0x1800, data, 0x2000), 0);
    assert_int_equal(hits.count, 2);
    assert_int_equal(hits.offset[0], 0x2000);
    assert_int_equal(hits.size[0], 0x1000);
    assert_int_equal(hits.offset[1], 0x3000);
    assert_int_equal(hits.size[1], 0x800);
}

static void writes_elsewhere_are_not_told(void **state)
{
    struct test_hits hits = { 0 };
    struct ram *ram = *state;
    u32 word = 0;

    ram_on_code_write(ram, test_code_written, &hits);
    atomic_store(&ram->code_pages[2], 1);
    assert_int_equal(ram_write(ram, 0x1FFC, &word, 4), 0);
    assert_int_equal(ram_write(ram, 0x3000, &word, 4), 0);
    assert_int_equal(ram_read(ram, 0x2000, &word, 4), 0);
    assert_int_equal(hits.count, 0);
}

static void dirty_tells_mapping_offsets_through_an_alias(void **state)
{
    struct test_hits hits = { 0 };
    struct ram *ram = *state;

    ram_on_code_write(ram, test_code_written, &hits);
    atomic_store(&ram->code_pages[0xFF], 1);
    ram_dirty(ram, 0xFFFFF010, 16);
    assert_int_equal(hits.count, 1);
    assert_int_equal(hits.offset[0], 0xFF010);
    assert_int_equal(hits.size[0], 16);
    ram_dirty(ram, TEST_LOW_SIZE + 5, 16); /* not RAM: nothing to tell */
    assert_int_equal(hits.count, 1);
}

static void set_and_large_writes_tell_too(void **state)
{
    struct test_hits hits = { 0 };
    struct ram *ram = *state;
    u8 *data = calloc(1, MIB(1));

    ram_on_code_write(ram, test_code_written, &hits);
    atomic_store(&ram->code_pages[16], 1);
    assert_int_equal(ram_set(ram, 0, 0, MIB(1)), 0);
    assert_int_equal(ram_set(ram, 0x10000, 1, 1), 0);
    assert_int_equal(ram_write(ram, 0, data, MIB(1)), 0);
    assert_int_equal(hits.count, 3);
    free(data);
}

static void two_memories_do_not_share_anything(void **state)
{
    struct ram *ram = *state, other;
    struct error err;
    u8 byte = 9;

    assert_true(ram_init(&other, TEST_RAM_SIZE, &err));
    ram_add_slot(&other, 0, TEST_RAM_SIZE, 0);
    assert_int_equal(ram_write(&other, 100, &byte, 1), 0);
    assert_int_equal(ram->host[100], 0);
    ram_fini(&other);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, ram_setup, ram_teardown)
    const struct CMUnitTest tests[] = {
        TEST(starts_zeroed_with_a_memfd_of_its_size),
        TEST(pages_are_not_taken_before_they_are_touched),
        TEST(impossible_sizes_are_refused_with_a_sentence),
        TEST(offset_finds_the_slot_and_what_is_left_of_it),
        TEST(pointers_need_the_whole_range_in_one_slot),
        TEST(aliases_show_the_same_bytes),
        TEST(read_and_write_span_slots_that_touch),
        TEST(partly_outside_ranges_fault_with_nothing_copied),
        TEST(large_writes_arrive_whole_at_odd_addresses),
        TEST(set_fills_exactly_its_range),
        TEST(zeroing_gives_whole_pages_back_and_keeps_the_edges),
        TEST(writes_to_code_pages_are_told_page_by_page),
        TEST(writes_elsewhere_are_not_told),
        TEST(dirty_tells_mapping_offsets_through_an_alias),
        TEST(set_and_large_writes_tell_too),
        TEST(two_memories_do_not_share_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
