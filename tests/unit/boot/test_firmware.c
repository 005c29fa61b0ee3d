/* SPDX-License-Identifier: MIT */
/* Firmware images: where names lead, which sizes are taken, and where the bytes go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "boot/firmware.h"
#include "unit/boot/fixture.h"

#define TEST_SIZE KIB(192)

static struct blob image_blob(size_t size)
{
    struct blob blob = { malloc(size), size };

    for (size_t i = 0; i < size; i++)
        blob.data[i] = fixture_byte(i);
    return blob;
}

/* A folder with `file` of `size` bytes in it. */
static char *make_folder(const char *file, size_t size)
{
    char *folder = strdup("/tmp/mote-test-firmware-XXXXXX"), path[128];
    struct blob blob = image_blob(size);
    FILE *out;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(blob.data, 1, size, out), size);
    fclose(out);
    free(blob.data);
    return folder;
}

static void remove_folder(char *folder, const char *file)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, file);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
    free(folder);
}

static void a_path_is_taken_as_it_is(void **state)
{
    struct blob blob = image_blob(KIB(64));
    char *path = fixture_file(&blob);
    struct firmware firmware;
    struct error err;

    (void)state;
    assert_true(firmware_open(&firmware, path, NULL, 0, &err));
    assert_int_equal(firmware_size(&firmware), KIB(64));
    firmware_close(&firmware);
    firmware_close(&firmware);
    fixture_remove(path);
    free(blob.data);
}

static void names_are_looked_for_in_the_folders_in_order(void **state)
{
    char *first = make_folder("mote-fw.rom", KIB(64));
    char *second = make_folder("mote-fw.rom", KIB(128));
    char *folders[] = { second, first };
    struct firmware firmware;
    struct error err;

    (void)state;
    assert_true(firmware_open(&firmware, "mote-fw.rom", folders, 2, &err));
    assert_int_equal(firmware_size(&firmware), KIB(128));
    firmware_close(&firmware);
    remove_folder(first, "mote-fw.rom");
    remove_folder(second, "mote-fw.rom");
}

static void short_names_stand_for_the_usual_files(void **state)
{
    char *folder = make_folder("bios-microvm.bin", KIB(64));
    struct firmware firmware;
    struct error err;

    (void)state;
    assert_true(firmware_open(&firmware, "seabios", &folder, 1, &err));
    firmware_close(&firmware);
    remove_folder(folder, "bios-microvm.bin");
    folder = make_folder("qboot.rom", KIB(64));
    assert_true(firmware_open(&firmware, "qboot", &folder, 1, &err));
    assert_int_equal(firmware_size(&firmware), KIB(64));
    firmware_close(&firmware);
    remove_folder(folder, "qboot.rom");
}

static void folders_are_not_images(void **state)
{
    struct firmware firmware;
    struct error err;

    (void)state;
    assert_false(firmware_open(&firmware, "/tmp", NULL, 0, &err));
    assert_string_equal(err.text, "there is no such file");
    firmware_close(&firmware);
}

static void missing_names_tell_where_was_looked(void **state)
{
    struct firmware firmware;
    struct error err;

    (void)state;
    assert_false(firmware_open(&firmware, "mote-no-such.rom", NULL, 0, &err));
    assert_non_null(strstr(err.text, "/usr/share/seabios"));
    assert_non_null(strstr(err.text, "qemu-system-data"));
}

static void expect_size_refused(size_t size)
{
    struct blob blob = image_blob(size);
    char *path = fixture_file(&blob);
    struct firmware firmware;
    struct error err;

    assert_false(firmware_open(&firmware, path, NULL, 0, &err));
    assert_non_null(strstr(err.text, "a multiple of 64 KiB"));
    assert_int_equal(firmware_size(&firmware), 0);
    fixture_remove(path);
    free(blob.data);
}

static void odd_and_huge_sizes_are_refused(void **state)
{
    (void)state;
    expect_size_refused(1);
    expect_size_refused(KIB(64) + 1);
    expect_size_refused(MIB(16) + KIB(64));
}

/* The image ends at 4 GiB; loading it again takes away what the guest wrote. */
static void loading_restores_every_byte(void **state)
{
    struct blob blob = image_blob(TEST_SIZE);
    char *path = fixture_file(&blob);
    struct firmware firmware;
    struct error err;
    struct ram ram;
    u8 byte = 0;

    (void)state;
    assert_true(firmware_open(&firmware, path, NULL, 0, &err));
    assert_true(ram_init(&ram, TEST_SIZE, &err));
    ram_add_slot(&ram, MAP_ROM_END - TEST_SIZE, TEST_SIZE, 0);
    firmware_load(&firmware, &ram);
    assert_memory_equal(ram.host, blob.data, TEST_SIZE);
    assert_int_equal(ram_write(&ram, MAP_ROM_END - 16, &byte, 1), 0);
    firmware_load(&firmware, &ram);
    assert_memory_equal(ram.host, blob.data, TEST_SIZE);
    ram_fini(&ram);
    firmware_close(&firmware);
    fixture_remove(path);
    free(blob.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_taken_as_it_is),
        cmocka_unit_test(names_are_looked_for_in_the_folders_in_order),
        cmocka_unit_test(short_names_stand_for_the_usual_files),
        cmocka_unit_test(folders_are_not_images),
        cmocka_unit_test(missing_names_tell_where_was_looked),
        cmocka_unit_test(odd_and_huge_sizes_are_refused),
        cmocka_unit_test(loading_restores_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
