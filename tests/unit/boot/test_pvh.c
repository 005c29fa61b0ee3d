/* SPDX-License-Identifier: MIT */
/* PVH: the note that names the entry point, and the start info. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/pvh.h"
#include "unit/boot/fixture.h"

#define TEST_BASE   0x7000u

/* Offsets of the PVH note in the fixture's notes. */
#define NOTE_DESCSZ (FIXTURE_NOTE_OFFSET + 28)
#define NOTE_TYPE   (FIXTURE_NOTE_OFFSET + 32)
#define NOTE_DESC   (FIXTURE_NOTE_OFFSET + 40)

static int setup(void **state)
{
    struct blob *blob = malloc(sizeof(*blob));

    *blob = fixture_vmlinux(NULL);
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

static bool find(const struct blob *blob, gpa *entry, struct error *err)
{
    struct elf elf;

    assert_true(elf_parse(&elf, blob->data, blob->size, blob->size, err));
    return pvh_find_entry(&elf, blob->data, blob->size, entry, err);
}

static void expect_bad(const struct blob *blob, const char *word)
{
    struct error err = { "" };
    gpa entry;

    assert_false(find(blob, &entry, &err));
    if (!strstr(err.text, word))
        fail_msg("'%s' lacks '%s'", err.text, word);
}

static void entry_comes_from_an_8_byte_note(void **state)
{
    struct error err;
    gpa entry;

    assert_true(find(*state, &entry, &err));
    assert_int_equal(entry, FIXTURE_PVH_ENTRY);
}

static void entry_comes_from_a_4_byte_note(void **state)
{
    struct blob *blob = *state;
    struct error err;
    gpa entry;

    fixture_put32(blob, NOTE_DESCSZ, 4);
    fixture_put32(blob, NOTE_DESC + 4, 0xDEADBEEF); /* not part of it */
    assert_true(find(blob, &entry, &err));
    assert_int_equal(entry, FIXTURE_PVH_ENTRY);
}

static void without_the_note_the_user_is_told_what_helps(void **state)
{
    struct blob *blob = *state;

    fixture_put32(blob, NOTE_TYPE, 17);
    expect_bad(blob, "CONFIG_PVH");
    expect_bad(blob, "bzImage");
}

static void odd_descriptors_are_refused(void **state)
{
    struct blob *blob = *state;

    fixture_put32(blob, NOTE_DESCSZ, 0);
    expect_bad(blob, "0 bytes");
    fixture_put32(blob, NOTE_DESCSZ, 7);
    expect_bad(blob, "7 bytes");
}

static void entries_outside_of_the_kernel_are_refused(void **state)
{
    static const u64 entries[] = { 0, FIXTURE_TEXT_ADDR - 1, FIXTURE_TEXT_ADDR + FIXTURE_TEXT_SIZE,
                                   BIT64(32) + FIXTURE_PVH_ENTRY, UINT64_MAX };
    struct blob *blob = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
        fixture_put64(blob, NOTE_DESC, entries[i]);
        expect_bad(blob, "outside");
    }
}

static void start_info_points_to_its_lists(void **state)
{
    struct e820_map map;
    u8 page[PVH_INFO_SIZE];
    const u8 *module, *memory;

    (void)state;
    e820_build(&map, MIB(256), MIB(64), true);
    pvh_build_info(page, TEST_BASE,
                   &(struct pvh_info){ .cmdline = 0x20000,
                                       .initrd = 0xF000000,
                                       .initrd_size = 12345,
                                       .rsdp = 0xE0000,
                                       .e820 = &map });
    assert_int_equal(load_le32(page), 0x336EC578);
    assert_int_equal(load_le32(page + 4), 1);
    assert_int_equal(load_le32(page + 8), 0);
    assert_int_equal(load_le32(page + 12), 1);
    assert_int_equal(load_le64(page + 24), 0x20000);
    assert_int_equal(load_le64(page + 32), 0xE0000);
    module = page + (load_le64(page + 16) - TEST_BASE);
    assert_int_equal(load_le64(module), 0xF000000);
    assert_int_equal(load_le64(module + 8), 12345);
    assert_int_equal(load_le64(module + 16), 0);
    assert_int_equal(load_le32(page + 48), map.count);
    memory = page + (load_le64(page + 40) - TEST_BASE);
    for (unsigned i = 0; i < map.count; i++) {
        assert_int_equal(load_le64(memory + 24 * i), map.entries[i].base);
        assert_int_equal(load_le64(memory + 24 * i + 8), map.entries[i].size);
        assert_int_equal(load_le32(memory + 24 * i + 16), map.entries[i].type);
        assert_int_equal(load_le32(memory + 24 * i + 20), 0);
    }
}

static void without_initrd_there_is_no_module(void **state)
{
    struct e820_map map;
    u8 page[PVH_INFO_SIZE];

    (void)state;
    memset(page, 0xFF, sizeof(page));
    e820_build(&map, MIB(256), 0, false);
    pvh_build_info(page, TEST_BASE, &(struct pvh_info){ .cmdline = 0x20000, .e820 = &map });
    assert_int_equal(load_le32(page + 12), 0);
    assert_int_equal(load_le64(page + 16), 0);
    assert_int_equal(load_le64(page + 32), 0);
    assert_int_equal(page[PVH_INFO_SIZE - 1], 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(entry_comes_from_an_8_byte_note),
        TEST(entry_comes_from_a_4_byte_note),
        TEST(without_the_note_the_user_is_told_what_helps),
        TEST(odd_descriptors_are_refused),
        TEST(entries_outside_of_the_kernel_are_refused),
        TEST(start_info_points_to_its_lists),
        TEST(without_initrd_there_is_no_module),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
