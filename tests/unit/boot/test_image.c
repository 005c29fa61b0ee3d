/* SPDX-License-Identifier: MIT */
/* Opening files of a boot, and what is taken for a kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/image.h"
#include "unit/boot/fixture.h"

static void expect_refused(const char *path, const char *text)
{
    struct image image;
    struct error err = { "" };

    assert_false(image_open(&image, "-kernel", path, &err));
    assert_string_equal(err.text, text);
    assert_null(image.data);
    image_close(&image);
}

static void missing_files_are_named(void **state)
{
    (void)state;
    expect_refused("/nonexistent/x", "-kernel /nonexistent/x: No such file or directory");
}

static void directories_and_devices_are_refused(void **state)
{
    (void)state;
    expect_refused("/", "-kernel /: Is a directory");
    expect_refused("/dev/null", "-kernel /dev/null: not a regular file");
}

static void a_fifo_is_refused_without_waiting(void **state)
{
    char path[] = "/tmp/mote-test-fifo-XXXXXX", text[128];

    (void)state;
    assert_non_null(mkdtemp(path));
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(text, sizeof(text), "-kernel %s: not a regular file", path);
    expect_refused(path, text);
    unlink(path);
}

static void empty_files_are_refused(void **state)
{
    struct blob blob = { NULL, 0 };
    char *path = fixture_file(&blob), text[128];

    (void)state;
    snprintf(text, sizeof(text), "-kernel %s: the file is empty", path);
    expect_refused(path, text);
    fixture_remove(path);
}

static void contents_are_mapped_and_survive_relax(void **state)
{
    u8 bytes[5000];
    struct blob blob = { bytes, sizeof(bytes) };
    struct image image;
    struct error err;
    char *path;

    (void)state;
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = fixture_byte(i);
    path = fixture_file(&blob);
    assert_true(image_open(&image, "-initrd", path, &err));
    assert_int_equal(image.size, sizeof(bytes));
    assert_memory_equal(image.data, bytes, sizeof(bytes));
    image_relax(&image);
    assert_memory_equal(image.data, bytes, sizeof(bytes));
    image_close(&image);
    assert_null(image.data);
    image_close(&image); /* again: nothing */
    fixture_remove(path);
}

static void bzimage_is_known_by_its_header(void **state)
{
    u8 data[0x206] = { 0 };
    enum image_kind kind;
    struct error err;

    (void)state;
    store_le32(data + 0x202, 0x53726448);
    assert_true(image_classify(data, sizeof(data), &kind, &err));
    assert_int_equal(kind, IMAGE_BZIMAGE);
    memcpy(data,
           "\x7F"
           "ELF",
           4); /* the header wins */
    assert_true(image_classify(data, sizeof(data), &kind, &err));
    assert_int_equal(kind, IMAGE_BZIMAGE);
    assert_true(image_classify(data, sizeof(data) - 1, &kind, &err));
    assert_int_equal(kind, IMAGE_ELF); /* the header is cut off */
}

static void elf_is_known_by_four_bytes(void **state)
{
    enum image_kind kind;
    struct error err;

    (void)state;
    assert_true(image_classify((const u8 *)"\x7F"
                                           "ELF",
                               4, &kind, &err));
    assert_int_equal(kind, IMAGE_ELF);
    assert_false(image_classify((const u8 *)"\x7F"
                                            "EL",
                                3, &kind, &err));
}

static void expect_unclassified(const u8 *data, u64 size, const char *word)
{
    struct error err = { "" };
    enum image_kind kind;

    assert_false(image_classify(data, size, &kind, &err));
    assert_non_null(strstr(err.text, word));
}

static void other_files_are_told_apart(void **state)
{
    u8 multiboot[64] = { 0 }, sector[512] = { 0 };

    (void)state;
    store_le32(multiboot + 8, 0x1BADB002);
    store_le32(multiboot + 12, 3);
    store_le32(multiboot + 16, 0u - 0x1BADB002 - 3);
    expect_unclassified(multiboot, sizeof(multiboot), "multiboot");
    store_le32(multiboot + 16, 0);
    expect_unclassified(multiboot, sizeof(multiboot), "not a kernel");
    sector[0x1FE] = 0x55;
    sector[0x1FF] = 0xAA;
    expect_unclassified(sector, sizeof(sector), "boot sector");
    expect_unclassified(sector, 0x1FF, "not a kernel");
    expect_unclassified((const u8 *)"#!/bin/sh\n", 10, "not a kernel");
    expect_unclassified(sector, 1, "not a kernel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(directories_and_devices_are_refused),
        cmocka_unit_test(a_fifo_is_refused_without_waiting),
        cmocka_unit_test(empty_files_are_refused),
        cmocka_unit_test(contents_are_mapped_and_survive_relax),
        cmocka_unit_test(bzimage_is_known_by_its_header),
        cmocka_unit_test(elf_is_known_by_four_bytes),
        cmocka_unit_test(other_files_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
