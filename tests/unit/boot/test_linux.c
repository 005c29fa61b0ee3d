/* SPDX-License-Identifier: MIT */
/* The Linux boot protocol: setup headers of all ages, and the zero page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/linux.h"
#include "unit/boot/fixture.h"

#define TEST_SETUP_SIZE 2560u /* of the fixture's setup code */

static int setup(void **state)
{
    struct blob *blob = malloc(sizeof(*blob));
    u8 payload[1000] = { 0 };

    *blob = fixture_bzimage(payload, sizeof(payload));
    *state = blob;
    return 0;
}

static int teardown(void **state)
{
    struct blob *blob = *state;

    free(blob->data);
    free(blob);
    return 0;
}

static void expect_good(const struct blob *blob, struct linux_header *header)
{
    struct error err = { "" };

    if (!linux_parse(header, blob->data, blob->size, &err))
        fail_msg("%s", err.text);
}

static void expect_bad(const struct blob *blob, const char *word)
{
    struct linux_header header;
    struct error err = { "" };

    assert_false(linux_parse(&header, blob->data, blob->size, &err));
    if (!strstr(err.text, word))
        fail_msg("'%s' lacks '%s'", err.text, word);
}

static void a_modern_header_is_read_whole(void **state)
{
    struct blob *blob = *state;
    struct linux_header header;

    expect_good(blob, &header);
    assert_int_equal(header.version, 0x20F);
    assert_true(header.entry_64);
    assert_true(header.initrd_high);
    assert_int_equal(header.cmdline_max, 2047);
    assert_int_equal(header.initrd_addr_max, 0x7FFFFFFF);
    assert_int_equal(header.kernel_offset, TEST_SETUP_SIZE);
    assert_int_equal(header.kernel_size, blob->size - TEST_SETUP_SIZE);
    assert_int_equal(header.payload_offset, TEST_SETUP_SIZE + 0x400);
    assert_int_equal(header.payload_size, 1000);
    assert_int_equal(header.load, FIXTURE_TEXT_ADDR);
    assert_int_equal(header.run, FIXTURE_TEXT_ADDR);
    assert_int_equal(header.init_size, FIXTURE_INIT_SIZE);
    assert_int_equal(linux_end(&header), FIXTURE_TEXT_ADDR + FIXTURE_INIT_SIZE);
}

static void no_setup_sectors_means_four(void **state)
{
    struct blob *blob = *state;
    struct linux_header header;

    blob->data[0x1F1] = 0;
    expect_good(blob, &header);
    assert_int_equal(header.kernel_offset, TEST_SETUP_SIZE);
}

static void old_versions_have_what_applied_then(void **state)
{
    static const struct {
        u16 version;
        bool entry_64;
        u32 cmdline_max, initrd_addr_max;
        bool payload, init_size;
    } cases[] = {
        { 0x202, false, 255, 0x37FFFFFF, false, false },
        { 0x203, false, 255, 0x7FFFFFFF, false, false },
        { 0x205, false, 255, 0x7FFFFFFF, false, false },
        { 0x206, false, 2047, 0x7FFFFFFF, false, false },
        { 0x208, false, 2047, 0x7FFFFFFF, true, false },
        { 0x20A, false, 2047, 0x7FFFFFFF, true, true },
        { 0x20C, true, 2047, 0x7FFFFFFF, true, true },
    };
    struct blob *blob = *state;
    struct linux_header header;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        fixture_put16(blob, 0x206, cases[i].version);
        expect_good(blob, &header);
        assert_int_equal(header.entry_64, cases[i].entry_64);
        assert_int_equal(header.initrd_high, cases[i].entry_64);
        assert_int_equal(header.cmdline_max, cases[i].cmdline_max);
        assert_int_equal(header.initrd_addr_max, cases[i].initrd_addr_max);
        assert_int_equal(header.payload_size, cases[i].payload ? 1000 : 0);
        assert_int_equal(header.load, cases[i].init_size ? FIXTURE_TEXT_ADDR : 0x100000);
        assert_true(header.init_size > header.kernel_size);
    }
}

static void a_kernel_that_cannot_move_is_loaded_low(void **state)
{
    struct blob *blob = *state;
    struct linux_header header;

    blob->data[0x234] = 0;
    expect_good(blob, &header);
    assert_int_equal(header.load, 0x100000);
    assert_int_equal(header.run, FIXTURE_TEXT_ADDR);
    assert_int_equal(linux_end(&header), FIXTURE_TEXT_ADDR + FIXTURE_INIT_SIZE);
    fixture_put32(blob, 0x260, 0); /* claims nothing, but the file itself takes room */
    fixture_put64(blob, 0x258, 0x100000);
    expect_good(blob, &header);
    assert_int_equal(linux_end(&header), 0x100000 + header.kernel_size);
}

static void old_and_low_kernels_are_refused(void **state)
{
    struct blob *blob = *state;

    fixture_put16(blob, 0x206, 0x201);
    expect_bad(blob, "2.01 is too old");
    fixture_put16(blob, 0x206, 0x20F);
    blob->data[0x211] = 0;
    expect_bad(blob, "zImage");
}

static void cut_files_are_refused(void **state)
{
    struct blob cut = *(struct blob *)*state;

    cut.size = 1023;
    expect_bad(&cut, "cut off");
    cut.size = TEST_SETUP_SIZE;
    expect_bad(&cut, "invalid kernel header");
    cut.size = TEST_SETUP_SIZE + 0x200;
    expect_bad(&cut, "invalid kernel header");
    cut.size = TEST_SETUP_SIZE + 0x400 + 999;
    expect_bad(&cut, "cut off");
    cut.data[0x1F1] = 255;
    cut.size = ((struct blob *)*state)->size;
    expect_bad(&cut, "invalid kernel header: 131072 bytes");
}

static void every_short_size_is_handled(void **state)
{
    struct blob *blob = *state;

    for (size_t size = 0; size < TEST_SETUP_SIZE + 0x201; size += 7) {
        struct blob exact = { malloc(size ? size : 1), size };

        memcpy(exact.data, blob->data, size);
        expect_bad(&exact, "invalid kernel header");
        free(exact.data);
    }
}

static void impossible_payloads_are_refused(void **state)
{
    struct blob *blob = *state;

    fixture_put32(blob, 0x248, 0xFFFFFFFF);
    expect_bad(blob, "cut off");
    fixture_put32(blob, 0x248, 0x400);
    fixture_put32(blob, 0x24C, 0xFFFFFFFF);
    expect_bad(blob, "cut off");
    fixture_put32(blob, 0x248, 1);
    expect_bad(blob, "cut off"); /* offset + length wraps in 32 bits */
}

static void impossible_addresses_are_refused(void **state)
{
    static const u64 addresses[] = { 0, 0xFFFFF, GIB(3), BIT64(32) + MIB(16), UINT64_MAX };
    struct blob *blob = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
        fixture_put64(blob, 0x258, addresses[i]);
        expect_bad(blob, "preferred address");
    }
}

static void files_beyond_memory_are_refused(void **state)
{
    struct blob huge = *(struct blob *)*state;

    huge.size = GIB(4); /* only the size is looked at */
    expect_bad(&huge, "does not fit");
    huge.size = SIZE_MAX;
    expect_bad(&huge, "does not fit");
}

static void zero_page_has_header_and_addresses(void **state)
{
    struct blob *blob = *state;
    u8 page[LINUX_PARAMS_SIZE];
    struct e820_map map;

    e820_build(&map, MIB(256), MIB(64), true);
    memset(page, 0xFF, sizeof(page));
    linux_build_params(page, blob->data,
                       &(struct linux_params){ .load = 0x1000000,
                                               .cmdline = 0x20000,
                                               .initrd = 0xF000000,
                                               .initrd_size = 54321,
                                               .rsdp = 0xE0000,
                                               .e820 = &map });
    assert_int_equal(load_le32(page + 0x202), 0x53726448);
    assert_int_equal(load_le16(page + 0x206), 0x20F);
    assert_int_equal(page[0x210], 0xFF);
    assert_int_equal(page[0x211], 1);
    assert_int_equal(load_le32(page + 0x214), 0x1000000);
    assert_int_equal(load_le32(page + 0x218), 0xF000000);
    assert_int_equal(load_le32(page + 0x21C), 54321);
    assert_int_equal(load_le32(page + 0x228), 0x20000);
    assert_int_equal(load_le32(page + 0x260), FIXTURE_INIT_SIZE);
    assert_int_equal(load_le64(page + 0x070), 0xE0000);
    assert_int_equal(page[0x1EF], 0); /* sentinel */
    for (unsigned i = 0; i < 0x1E8; i++)
        assert_true(page[i] == 0 || (i >= 0x70 && i < 0x78));
    assert_int_equal(page[0x1E8], map.count);
    for (unsigned i = 0; i < map.count; i++) {
        assert_int_equal(load_le64(page + 0x2D0 + 20 * i), map.entries[i].base);
        assert_int_equal(load_le64(page + 0x2D8 + 20 * i), map.entries[i].size);
        assert_int_equal(load_le32(page + 0x2E0 + 20 * i), map.entries[i].type);
    }
}

static void only_the_header_is_copied(void **state)
{
    struct blob *blob = *state;
    u8 page[LINUX_PARAMS_SIZE];
    struct e820_map map;

    e820_build(&map, MIB(256), 0, false);
    memset(blob->data + 0x26C, 0xEE, 0x100); /* behind the header: code */
    linux_build_params(page, blob->data, &(struct linux_params){ .e820 = &map });
    assert_int_equal(page[0x26C], 0);
    blob->data[0x201] = 0xFF; /* a header that would reach into other fields */
    linux_build_params(page, blob->data, &(struct linux_params){ .e820 = &map });
    assert_int_equal(page[0x28F], 0xEE);
    assert_int_equal(page[0x290], 0);
}

static void flags_that_only_a_decompressor_sets_are_cleared(void **state)
{
    struct blob *blob = *state;
    u8 page[LINUX_PARAMS_SIZE];
    struct e820_map map;

    e820_build(&map, MIB(256), 0, false);
    blob->data[0x211] = 0x03;
    fixture_put64(blob, 0x250, 0x123456789);
    linux_build_params(page, blob->data, &(struct linux_params){ .initrd = 5, .e820 = &map });
    assert_int_equal(page[0x211], 0x01);
    assert_int_equal(load_le64(page + 0x250), 0);
    assert_int_equal(load_le32(page + 0x218), 0); /* an address without size is no initrd */
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_modern_header_is_read_whole),
        TEST(no_setup_sectors_means_four),
        TEST(old_versions_have_what_applied_then),
        TEST(a_kernel_that_cannot_move_is_loaded_low),
        TEST(old_and_low_kernels_are_refused),
        TEST(cut_files_are_refused),
        TEST(every_short_size_is_handled),
        TEST(impossible_payloads_are_refused),
        TEST(impossible_addresses_are_refused),
        TEST(files_beyond_memory_are_refused),
        TEST(zero_page_has_header_and_addresses),
        TEST(only_the_header_is_copied),
        TEST(flags_that_only_a_decompressor_sets_are_cleared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
