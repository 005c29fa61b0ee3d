/* SPDX-License-Identifier: MIT */
/* What a kernel becomes for firmware: parts, addresses, the setup header. */
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
#include "base/bytes.h"
#include "boot/firmware_kernel.h"
#include "unit/boot/fixture.h"

#define TEST_RAM MIB(256)

struct fixture {
    struct blob kernel_blob;
    char *kernel;
    char *initrd;
    struct firmware_kernel_options options;
    struct firmware_kernel fk;
    struct error err;
};

static int set_up(void **state)
{
    struct fixture *t = calloc(1, sizeof(*t));

    t->options.ram_below_4g = TEST_RAM;
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *t = *state;

    firmware_kernel_free(&t->fk);
    if (t->kernel)
        fixture_remove(t->kernel);
    if (t->initrd)
        fixture_remove(t->initrd);
    free(t->kernel_blob.data);
    free(t);
    return 0;
}

static void use_initrd(struct fixture *t, size_t size)
{
    struct blob blob = { calloc(1, size), size };

    t->initrd = fixture_file(&blob);
    t->options.initrd = t->initrd;
    free(blob.data);
}

/* A bzImage with a small payload that nobody unpacks. */
static void make_bzimage(struct fixture *t, u16 version)
{
    u8 payload[5000];

    for (unsigned i = 0; i < sizeof(payload); i++)
        payload[i] = fixture_byte(i);
    t->kernel_blob = fixture_bzimage(payload, sizeof(payload));
    fixture_put16(&t->kernel_blob, 0x206, version);
}

static bool open_kernel(struct fixture *t)
{
    t->kernel = fixture_file(&t->kernel_blob);
    t->options.kernel = t->kernel;
    return firmware_kernel_open(&t->fk, &t->options, &t->err);
}

static void a_bzimage_is_split_after_its_setup_code(void **state)
{
    struct fixture *t = *state;
    u32 setup;

    make_bzimage(t, 0x20F);
    assert_true(open_kernel(t));
    setup = (t->kernel_blob.data[0x1F1] + 1) * 512;
    assert_int_equal(t->fk.kind, IMAGE_BZIMAGE);
    assert_int_equal(t->fk.setup_addr, 0x10000);
    assert_int_equal(t->fk.setup_size, setup);
    assert_int_equal(t->fk.cmdline_addr, 0x20000);
    assert_int_equal(t->fk.kernel_addr, 0x100000);
    assert_int_equal(t->fk.kernel_size, t->kernel_blob.size - setup);
    assert_memory_equal(t->fk.kernel, t->kernel_blob.data + setup, t->fk.kernel_size);
    assert_int_equal(t->fk.kernel_entry, 0);
    assert_int_equal(t->fk.initrd_addr, 0);
}

static void the_setup_header_is_filled_in(void **state)
{
    struct fixture *t = *state;
    u8 expected[1024];

    make_bzimage(t, 0x20F);
    use_initrd(t, 10000);
    assert_true(open_kernel(t));
    memcpy(expected, t->kernel_blob.data, sizeof(expected));
    expected[0x210] = 0xB0;
    expected[0x211] |= 0x80;
    store_le16(expected + 0x224, 0xFE00);
    store_le32(expected + 0x228, 0x20000);
    store_le32(expected + 0x218, t->fk.initrd_addr);
    store_le32(expected + 0x21C, 10000);
    assert_memory_equal(t->fk.setup, expected, sizeof(expected));
}

static void old_protocols_go_to_the_top_of_base_memory(void **state)
{
    struct fixture *t = *state;

    make_bzimage(t, 0x201);
    t->options.append = "0123456789abcdef"; /* 16 characters and a NUL take 32 bytes */
    assert_true(open_kernel(t));
    assert_int_equal(t->fk.setup_addr, 0x90000);
    assert_int_equal(t->fk.cmdline_addr, 0x9A000 - 32);
    assert_int_equal(t->fk.kernel_addr, 0x100000);
    assert_int_equal(load_le16(t->fk.setup + 0x20), 0xA33F);
    assert_int_equal(load_le16(t->fk.setup + 0x22), 0xA000 - 32);
    assert_int_equal(load_le16(t->fk.setup + 0x224), 0xA000 - 32 - 0x200);
}

static void a_zimage_runs_low(void **state)
{
    struct fixture *t = *state;

    make_bzimage(t, 0x20F);
    t->kernel_blob.data[0x211] = 0;
    assert_true(open_kernel(t));
    assert_int_equal(t->fk.kernel_addr, 0x10000);
    assert_int_equal(t->fk.setup_addr, 0x90000);
}

static void the_oldest_protocols_are_refused(void **state)
{
    struct fixture *t = *state;

    make_bzimage(t, 0x105);
    assert_false(open_kernel(t));
    assert_non_null(strstr(t->err.text, "boot protocol 1.05 is too old"));
}

static void a_file_without_protected_mode_part_is_refused(void **state)
{
    struct fixture *t = *state;

    make_bzimage(t, 0x20F);
    t->kernel_blob.size = (size_t)(t->kernel_blob.data[0x1F1] + 1) * 512;
    assert_false(open_kernel(t));
    assert_non_null(strstr(t->err.text, "invalid kernel header"));
}

static void zero_setup_sectors_stand_for_four(void **state)
{
    struct fixture *t = *state;

    make_bzimage(t, 0x20F);
    t->kernel_blob.data[0x1F1] = 0;
    assert_true(open_kernel(t));
    assert_int_equal(t->fk.setup_size, 5 * 512);
}

/* Each row: initrd_addr_max, xloadflags, RAM, size; the address. */
static const struct {
    u32 max;
    u16 xloadflags;
    u64 ram;
    u32 size, addr;
} initrd_cases[] = {
    { 0x7FFFFFFF, 3, MIB(256), 1032035, 0x0FF04000 }, { 0x7FFFFFFF, 3, MIB(256), 4096, 0x0FFFE000 },
    { 0x37FFFFFF, 1, GIB(3), 8192, 0x37FFD000 },      { 0x37FFFFFF, 3, GIB(3), 8192, 0xBFFFD000 },
    { 0x7FFFFFFF, 1, GIB(3), 1, 0x7FFFF000 },
};

static void the_initrd_goes_as_high_as_it_may(void **state)
{
    for (unsigned i = 0; i < ARRAY_SIZE(initrd_cases); i++) {
        struct fixture *t = *state;

        make_bzimage(t, 0x20F);
        fixture_put32(&t->kernel_blob, 0x22C, initrd_cases[i].max);
        fixture_put16(&t->kernel_blob, 0x236, initrd_cases[i].xloadflags);
        t->options.ram_below_4g = initrd_cases[i].ram;
        use_initrd(t, initrd_cases[i].size);
        assert_true(open_kernel(t));
        assert_int_equal(t->fk.initrd_addr, initrd_cases[i].addr);
        tear_down(state);
        set_up(state);
    }
}

static void a_huge_initrd_is_refused(void **state)
{
    struct fixture *t = *state;

    make_bzimage(t, 0x20F);
    t->options.ram_below_4g = MIB(1);
    use_initrd(t, MIB(1));
    assert_false(open_kernel(t));
    assert_non_null(strstr(t->err.text, "-initrd "));
    assert_non_null(strstr(t->err.text, "too large"));
}

static void expect_video(void **state, const char *append, int mode)
{
    struct fixture *t = *state;

    make_bzimage(t, 0x20F);
    t->options.append = append;
    assert_int_equal(open_kernel(t), mode >= 0);
    if (mode >= 0)
        assert_int_equal(load_le16(t->fk.setup + 0x1FA), mode);
    else
        assert_non_null(strstr(t->err.text, "vga="));
    tear_down(state);
    set_up(state);
}

static void vga_chooses_the_video_mode(void **state)
{
    expect_video(state, "quiet", 0);
    expect_video(state, "vga=normal", 0xFFFF);
    expect_video(state, "a vga=ext b", 0xFFFE);
    expect_video(state, "a vga=ask", 0xFFFD);
    expect_video(state, "vga=0x317 b", 0x317);
    expect_video(state, "xvga=0x317", 0);
    expect_video(state, "vga=nosuch", -1);
    expect_video(state, "vga=3x", -1);
}

static void the_command_line_gets_the_devices(void **state)
{
    const struct boot_slot slots[] = { { 0xFEB00E00, 12 } };
    struct fixture *t = *state;

    make_bzimage(t, 0x20F);
    t->options.append = "a=b";
    assert_true(open_kernel(t));
    firmware_kernel_describe(&t->fk, slots, 1);
    assert_string_equal(t->fk.cmdline, "a=b virtio_mmio.device=512@0xfeb00e00:12");
}

static void an_elf_kernel_tells_its_entry(void **state)
{
    struct fixture *t = *state;

    t->kernel_blob = fixture_vmlinux(NULL);
    use_initrd(t, 5000);
    assert_true(open_kernel(t));
    assert_int_equal(t->fk.kind, IMAGE_ELF);
    assert_int_equal(t->fk.kernel_entry, FIXTURE_PVH_ENTRY);
    assert_int_equal(t->fk.kernel_addr, FIXTURE_TEXT_ADDR);
    assert_int_equal(t->fk.kernel_size, FIXTURE_END - FIXTURE_TEXT_ADDR);
    assert_int_equal(t->fk.setup_size, 8192);
    assert_memory_equal(t->fk.setup, t->kernel_blob.data, 8192);
    assert_int_equal(t->fk.setup_addr, 0);
    assert_int_equal(t->fk.cmdline_addr, 0);
    assert_null(t->fk.kernel);
    assert_int_equal(t->fk.initrd_addr, TEST_RAM - 0x2000);
}

static void elf_segments_are_put_into_memory_each_time(void **state)
{
    struct fixture *t = *state;
    struct ram ram;

    t->kernel_blob = fixture_vmlinux(NULL);
    assert_true(open_kernel(t));
    assert_true(ram_init(&ram, TEST_RAM, &t->err));
    ram_add_slot(&ram, 0, TEST_RAM, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(firmware_kernel_load(&t->fk, &ram, &t->err));
        assert_memory_equal(ram.host + FIXTURE_TEXT_ADDR, t->kernel_blob.data + FIXTURE_TEXT_OFFSET,
                            FIXTURE_TEXT_SIZE);
        assert_memory_equal(ram.host + FIXTURE_DATA_ADDR, t->kernel_blob.data + FIXTURE_DATA_OFFSET,
                            FIXTURE_DATA_SIZE);
        assert_int_equal(ram.host[FIXTURE_END - 1], 0);
        memset(ram.host + FIXTURE_TEXT_ADDR, 0xCC, FIXTURE_END - FIXTURE_TEXT_ADDR);
    }
    ram_fini(&ram);
}

static void elf_kernels_need_their_memory(void **state)
{
    struct fixture *t = *state;

    t->kernel_blob = fixture_vmlinux(NULL);
    t->options.ram_below_4g = MIB(16);
    assert_false(open_kernel(t));
    assert_non_null(
        strstr(t->err.text, "at least 19 MiB of memory, and the machine has 16: see -m"));
}

static void a_bzimage_is_nothing_to_put_into_memory(void **state)
{
    struct fixture *t = *state;
    struct ram ram = { 0 };

    make_bzimage(t, 0x20F);
    assert_true(open_kernel(t));
    assert_true(firmware_kernel_load(&t->fk, &ram, &t->err));
    firmware_kernel_free(&t->fk);
    assert_true(firmware_kernel_load(&t->fk, &ram, &t->err));
}

static void kernels_that_take_devices_from_the_command_line_want_no_acpi(void **state)
{
    struct fixture *t = *state;

    t->kernel_blob = fixture_kernel(PAYLOAD_LZ4, "virtio_mmio.device");
    assert_true(open_kernel(t));
    assert_false(firmware_kernel_wants_acpi(&t->fk));
    tear_down(state);
    set_up(state);
    t = *state;
    t->kernel_blob = fixture_vmlinux("virtio_mmio.device");
    assert_true(open_kernel(t));
    assert_false(firmware_kernel_wants_acpi(&t->fk));
}

static void other_kernels_want_acpi(void **state)
{
    struct fixture *t = *state;

    t->kernel_blob = fixture_kernel(PAYLOAD_LZ4, NULL);
    assert_true(open_kernel(t));
    assert_true(firmware_kernel_wants_acpi(&t->fk));
    tear_down(state);
    set_up(state);
    t = *state;
    make_bzimage(t, 0x201); /* not one that a direct boot can look into */
    assert_true(open_kernel(t));
    assert_true(firmware_kernel_wants_acpi(&t->fk));
}

static void what_is_no_kernel_is_refused(void **state)
{
    struct fixture *t = *state;

    t->kernel_blob = (struct blob){ calloc(1, 4096), 4096 };
    assert_false(open_kernel(t));
    assert_non_null(strstr(t->err.text, "not a kernel"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bzimage_is_split_after_its_setup_code),
        TEST(the_setup_header_is_filled_in),
        TEST(old_protocols_go_to_the_top_of_base_memory),
        TEST(a_zimage_runs_low),
        TEST(the_oldest_protocols_are_refused),
        TEST(a_file_without_protected_mode_part_is_refused),
        TEST(zero_setup_sectors_stand_for_four),
        TEST(the_initrd_goes_as_high_as_it_may),
        TEST(a_huge_initrd_is_refused),
        TEST(vga_chooses_the_video_mode),
        TEST(the_command_line_gets_the_devices),
        TEST(an_elf_kernel_tells_its_entry),
        TEST(elf_segments_are_put_into_memory_each_time),
        TEST(elf_kernels_need_their_memory),
        TEST(a_bzimage_is_nothing_to_put_into_memory),
        TEST(kernels_that_take_devices_from_the_command_line_want_no_acpi),
        TEST(other_kernels_want_acpi),
        TEST(what_is_no_kernel_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
