/* SPDX-License-Identifier: MIT */
/* Bus dispatch: claims, sizes, splitting, and what is read where nothing is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/error.h"
#include "machine/bus.h"

struct recorder {
    unsigned reads, writes;
    u64 offset, value;
    unsigned size;
    u64 log[8]; /* offset << 8 | size of each access */
};

static u64 recorder_read(void *opaque, u64 offset, unsigned size)
{
    struct recorder *r = opaque;

    r->log[r->reads++ & 7] = offset << 8 | size;
    return 0xA0B0C0D0E0F01020u + offset;
}

static void recorder_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct recorder *r = opaque;

    r->log[r->writes++ & 7] = offset << 8 | size;
    r->offset = offset;
    r->size = size;
    r->value = value;
}

static const struct region_ops byte_ops = { recorder_read, recorder_write, BUS_SIZE_1, true };
static const struct region_ops word_ops = { recorder_read, recorder_write, BUS_SIZE_4, false };

struct fixture {
    struct bus bus;
    struct recorder byte, word;
};

static int setup(void **state)
{
    static struct fixture f;
    struct error err;

    memset(&f, 0, sizeof(f));
    bus_init(&f.bus, "port", ~(u64)0);
    assert_true(
        bus_add(&f.bus, &(struct region){ "word", 0x200, 0x10, &word_ops, &f.word, NULL }, &err));
    assert_true(
        bus_add(&f.bus, &(struct region){ "byte", 0x100, 8, &byte_ops, &f.byte, NULL }, &err));
    *state = &f;
    return 0;
}

static void unclaimed_port_reads_all_ones_of_its_size(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bus_read(&f->bus, 0x80, 1), 0xFF);
    assert_int_equal(bus_read(&f->bus, 0x80, 2), 0xFFFF);
    assert_int_equal(bus_read(&f->bus, 0x80, 4), 0xFFFFFFFF);
    bus_write(&f->bus, 0x80, 1, 1);
    assert_int_equal(f->byte.writes + f->word.writes, 0);
}

static void unclaimed_memory_reads_zero(void **state)
{
    struct bus mmio;

    (void)state;
    bus_init(&mmio, "memory", 0);
    assert_int_equal(bus_read(&mmio, 0xC0000000u, 8), 0);
}

static void access_reaches_the_region_with_its_offset(void **state)
{
    struct fixture *f = *state;

    bus_write(&f->bus, 0x204, 4, 0x12345678);
    assert_int_equal(f->word.offset, 4);
    assert_int_equal(f->word.size, 4);
    assert_int_equal(f->word.value, 0x12345678);
    assert_int_equal(bus_read(&f->bus, 0x208, 4), 0xE0F01028);
}

static void wide_access_to_a_byte_device_is_split_in_ascending_order(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bus_read(&f->bus, 0x102, 2), 0x2322);
    assert_int_equal(f->byte.log[0], 2 << 8 | 1);
    assert_int_equal(f->byte.log[1], 3 << 8 | 1);
    bus_write(&f->bus, 0x100, 4, 0x44332211);
    assert_int_equal(f->byte.writes, 4);
    assert_int_equal(f->byte.value, 0x44);
}

static void access_over_the_end_of_a_split_region_continues_outside(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bus_read(&f->bus, 0x107, 2), 0xFF27);
    bus_write(&f->bus, 0x107, 2, 0x1234);
    assert_int_equal(f->byte.writes, 1);
    assert_int_equal(f->byte.value, 0x34);
}

static void refused_sizes_read_zero_and_drop_writes(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bus_read(&f->bus, 0x200, 1), 0);
    bus_write(&f->bus, 0x200, 8, 1);
    bus_write(&f->bus, 0x20E, 4, 1);
    assert_int_equal(f->word.writes, 0);
    assert_int_equal(f->word.reads, 0);
}

static void overlap_is_refused_with_both_names(void **state)
{
    struct fixture *f = *state;
    struct error err;

    assert_false(
        bus_add(&f->bus, &(struct region){ "late", 0x107, 4, &byte_ops, NULL, NULL }, &err));
    assert_non_null(strstr(err.text, "late"));
    assert_non_null(strstr(err.text, "byte"));
    assert_false(
        bus_add(&f->bus, &(struct region){ "wide", 0x1F0, 0x100, &byte_ops, NULL, NULL }, &err));
    assert_non_null(strstr(err.text, "word"));
    assert_true(
        bus_add(&f->bus, &(struct region){ "fits", 0x108, 8, &byte_ops, NULL, NULL }, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(unclaimed_port_reads_all_ones_of_its_size, setup),
        cmocka_unit_test_setup(unclaimed_memory_reads_zero, setup),
        cmocka_unit_test_setup(access_reaches_the_region_with_its_offset, setup),
        cmocka_unit_test_setup(wide_access_to_a_byte_device_is_split_in_ascending_order, setup),
        cmocka_unit_test_setup(access_over_the_end_of_a_split_region_continues_outside, setup),
        cmocka_unit_test_setup(refused_sizes_read_zero_and_drop_writes, setup),
        cmocka_unit_test_setup(overlap_is_refused_with_both_names, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
