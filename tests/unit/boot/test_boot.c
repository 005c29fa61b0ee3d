/* SPDX-License-Identifier: MIT */
/* Direct boot as a whole: from files to guest memory and registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/boot.h"
#include "unit/boot/fixture.h"

#define TEST_RAM_SIZE MIB(40)
#define TEST_PARAM    "virtio_mmio.device"

struct test {
    struct ram ram;
    struct boot_options options;
    struct boot_machine machine;
    struct boot_plan *plan;
    struct cpu_boot_state cpu;
    struct error err;
    char *kernel;
    char *initrd;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));

    assert_true(ram_init(&t->ram, TEST_RAM_SIZE, &t->err));
    ram_add_slot(&t->ram, 0, TEST_RAM_SIZE, 0);
    t->options = (struct boot_options){ .append = "console=ttyS0",
                                        .decompress = true,
                                        .auto_cmdline = true,
                                        .ram_below_4g = TEST_RAM_SIZE };
    t->machine = (struct boot_machine){ .cpu_count = 2,
                                        .apic_ids = { 0, 1 },
                                        .slot_count = 2,
                                        .slots = { { 0xFEB00C00, 11 }, { 0xFEB00E00, 12 } },
                                        .serial = true,
                                        .rtc = true };
    t->err.text[0] = 0;
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;

    boot_plan_free(t->plan);
    if (t->kernel)
        fixture_remove(t->kernel);
    if (t->initrd)
        fixture_remove(t->initrd);
    ram_fini(&t->ram);
    free(t);
    return 0;
}

static void use_kernel(struct test *t, struct blob blob)
{
    if (t->kernel)
        fixture_remove(t->kernel);
    t->kernel = fixture_file(&blob);
    t->options.kernel = t->kernel;
    free(blob.data);
}

static void use_initrd(struct test *t, size_t size)
{
    struct blob blob = { malloc(size), size };

    for (size_t i = 0; i < size; i++)
        blob.data[i] = (u8)(i * 13 + 5);
    t->initrd = fixture_file(&blob);
    t->options.initrd = t->initrd;
    free(blob.data);
}

static void start(struct test *t)
{
    t->plan = boot_plan_new(&t->options, &t->ram, &t->err);
    if (!t->plan || !boot_plan_describe(t->plan, &t->machine, &t->err) ||
        !boot_load(NULL, t->plan, &t->cpu, &t->err))
        fail_msg("%s", t->err.text);
}

static void expect_refused(struct test *t, const char *begin, const char *word)
{
    assert_null(boot_plan_new(&t->options, &t->ram, &t->err));
    if (strncmp(t->err.text, begin, strlen(begin)) != 0 || !strstr(t->err.text, word))
        fail_msg("'%s' is not '%s...%s'", t->err.text, begin, word);
}

static const char *cmdline(const struct test *t)
{
    return (const char *)t->ram.host + MAP_CMDLINE;
}

static const u8 *params(const struct test *t)
{
    return t->ram.host + MAP_BOOT_PARAMS;
}

/* --- What is loaded --- */

static void bzimage_is_entered_at_the_unpacked_kernel(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_kernel(PAYLOAD_LZ4, NULL));
    start(t);
    assert_int_equal(t->cpu.mode, BOOT_MODE_LONG64);
    assert_int_equal(t->cpu.rip, FIXTURE_TEXT_ADDR);
    assert_int_equal(t->cpu.rsi, MAP_BOOT_PARAMS);
    assert_int_equal(t->cpu.rbx, 0);
    assert_int_equal(t->cpu.cr3, MAP_BOOT_PAGE_TABLES);
    assert_int_equal(t->ram.host[FIXTURE_TEXT_ADDR + 100], fixture_byte(FIXTURE_TEXT_OFFSET + 100));
    assert_int_equal(load_le32(params(t) + 0x202), 0x53726448);
    assert_int_equal(load_le32(params(t) + 0x228), MAP_CMDLINE);
    assert_int_equal(load_le32(params(t) + 0x214), FIXTURE_TEXT_ADDR);
}

static void bzimage_unpacks_itself_when_asked_to(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_kernel(PAYLOAD_LZ4, NULL));
    t->options.decompress = false;
    start(t);
    assert_int_equal(t->cpu.mode, BOOT_MODE_LONG64);
    assert_int_equal(t->cpu.rip, FIXTURE_TEXT_ADDR + 0x200);
    /* The stub of the fixture, and nothing left of the look into the kernel. */
    for (unsigned i = 0; i < 0x400; i++)
        assert_int_equal(t->ram.host[FIXTURE_TEXT_ADDR + i], fixture_byte(i));
    assert_int_equal(t->ram.host[FIXTURE_DATA_ADDR + 100], 0);
    assert_int_equal(load_le32(params(t) + 0x214), FIXTURE_TEXT_ADDR);
}

static void bzimage_of_unknown_format_unpacks_itself(void **state)
{
    static const u8 payload[64] = "BZh91AY&SY";
    struct test *t = *state;

    use_kernel(t, fixture_bzimage(payload, sizeof(payload)));
    start(t);
    assert_int_equal(t->cpu.rip, FIXTURE_TEXT_ADDR + 0x200);
    assert_true(boot_plan_acpi(t->plan)); /* it could not be looked into */
}

static void a_32_bit_bzimage_is_entered_in_32_bit_mode(void **state)
{
    static const u8 payload[64] = "BZh91AY&SY";
    struct blob blob = fixture_bzimage(payload, sizeof(payload));
    struct test *t = *state;

    fixture_put16(&blob, 0x236, 0);
    blob.data[0x234] = 0;
    use_kernel(t, blob);
    start(t);
    assert_int_equal(t->cpu.mode, BOOT_MODE_FLAT32);
    assert_int_equal(t->cpu.rip, 0x100000);
    assert_int_equal(t->cpu.rsi, MAP_BOOT_PARAMS);
}

static void elf_is_entered_at_its_pvh_note(void **state)
{
    struct test *t = *state;
    struct blob vmlinux = fixture_vmlinux(NULL);

    use_kernel(t, vmlinux);
    memset(t->ram.host + MIB(1), 0xCC, TEST_RAM_SIZE - MIB(1));
    start(t);
    assert_int_equal(t->cpu.mode, BOOT_MODE_FLAT32);
    assert_int_equal(t->cpu.rip, FIXTURE_PVH_ENTRY);
    assert_int_equal(t->cpu.rbx, MAP_BOOT_PARAMS);
    assert_int_equal(t->cpu.rsi, 0);
    assert_int_equal(load_le32(params(t)), 0x336EC578);
    assert_int_equal(load_le64(params(t) + 24), MAP_CMDLINE);
    assert_int_equal(t->ram.host[FIXTURE_TEXT_ADDR + 9], fixture_byte(FIXTURE_TEXT_OFFSET + 9));
    assert_int_equal(t->ram.host[FIXTURE_PCPU_ADDR + 9], fixture_byte(FIXTURE_PCPU_OFFSET + 9));
    for (gpa at = FIXTURE_PCPU_ADDR + FIXTURE_PCPU_SIZE; at < FIXTURE_END; at++)
        assert_int_equal(t->ram.host[at], 0);
    assert_int_equal(t->ram.host[FIXTURE_END], 0xCC);
}

static void mp_table_and_memory_map_are_always_there(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_kernel(PAYLOAD_GZIP, TEST_PARAM));
    start(t);
    assert_memory_equal(t->ram.host + MAP_MPTABLE, "_MP_", 4);
    assert_int_equal(t->ram.host[MAP_MPTABLE + 16 + 44 + 1], 0);
    assert_int_equal(t->ram.host[MAP_MPTABLE + 16 + 44 + 20 + 1], 1);
    assert_int_equal(params(t)[0x1E8], 4);
}

/* --- initrd --- */

static void initrd_goes_where_qemu_puts_it(void **state)
{
    gpa expected = (TEST_RAM_SIZE - 1 - 100001) & ~0xFFFull;
    struct test *t = *state;

    use_kernel(t, fixture_kernel(PAYLOAD_LZ4, NULL));
    use_initrd(t, 100001);
    start(t);
    assert_int_equal(load_le32(params(t) + 0x218), expected);
    assert_int_equal(load_le32(params(t) + 0x21C), 100001);
    for (unsigned i = 0; i < 100001; i++)
        assert_int_equal(t->ram.host[expected + i], (u8)(i * 13 + 5));
}

static void initrd_is_a_pvh_module(void **state)
{
    struct test *t = *state;
    u64 module;

    use_kernel(t, fixture_vmlinux(NULL));
    use_initrd(t, 5000);
    start(t);
    assert_int_equal(load_le32(params(t) + 12), 1);
    module = load_le64(params(t) + 16);
    assert_int_equal(load_le64(t->ram.host + module), (TEST_RAM_SIZE - 1 - 5000) & ~0xFFFull);
    assert_int_equal(load_le64(t->ram.host + module + 8), 5000);
}

static void old_kernels_limit_the_initrd(void **state)
{
    struct blob blob = fixture_kernel(PAYLOAD_LZ4, NULL);
    struct test *t = *state;

    fixture_put16(&blob, 0x236, 0x0001);
    fixture_put32(&blob, 0x22C, MIB(32) - 1);
    use_kernel(t, blob);
    use_initrd(t, 4096);
    start(t);
    assert_int_equal(load_le32(params(t) + 0x218), (MIB(32) - 1 - 4096) & ~0xFFFull);
}

static void initrd_that_does_not_fit_names_what_is_needed(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_kernel(PAYLOAD_LZ4, NULL));
    use_initrd(t, MIB(17));
    expect_refused(t, "-initrd /tmp/",
                   "with the kernel it needs at least 42 MiB of memory, and the "
                   "machine has 40: see -m");
}

static void initrd_beyond_the_kernels_limit_is_refused(void **state)
{
    struct blob blob = fixture_kernel(PAYLOAD_LZ4, NULL);
    struct test *t = *state;

    fixture_put16(&blob, 0x236, 0x0001);
    fixture_put32(&blob, 0x22C, MIB(25) - 1);
    use_kernel(t, blob);
    use_initrd(t, MIB(2));
    expect_refused(t, "-initrd /tmp/", "too large for this kernel");
}

static void a_missing_initrd_is_named(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_kernel(PAYLOAD_LZ4, NULL));
    t->options.initrd = "/nonexistent/initrd";
    expect_refused(t, "-initrd /nonexistent/initrd: No such file", "");
}

/* --- Errors of kernels --- */

static void small_machines_name_what_is_needed(void **state)
{
    struct test *t = *state;

    t->options.ram_below_4g = MIB(16);
    use_kernel(t, fixture_kernel(PAYLOAD_LZ4, NULL));
    expect_refused(t, "-kernel /tmp/", "needs at least 24 MiB of memory, and the machine has 16");
    use_kernel(t, fixture_vmlinux(NULL));
    expect_refused(t, "-kernel /tmp/", "needs at least 19 MiB of memory, and the machine has 16");
    t->options.ram_below_4g = KIB(8);
    expect_refused(t, "-kernel /tmp/", "needs at least 19 MiB");
}

static void kernels_beyond_the_address_space_are_refused(void **state)
{
    struct blob blob = fixture_kernel(PAYLOAD_LZ4, NULL);
    struct test *t = *state;

    fixture_put64(&blob, 0x258, GIB(3) - MIB(2));
    use_kernel(t, blob);
    expect_refused(t, "-kernel /tmp/", "RAM ends at 0xc0000000");
}

static void other_files_are_refused(void **state)
{
    static u8 text[] = "#!/bin/sh\n";
    struct blob blob = { memcpy(malloc(sizeof(text)), text, sizeof(text)), sizeof(text) };
    struct test *t = *state;

    use_kernel(t, blob);
    expect_refused(t, "-kernel /tmp/", ": not a kernel");
    t->options.kernel = NULL;
    expect_refused(t, "there is no kernel", "-kernel");
}

static void corrupt_kernels_are_refused(void **state)
{
    struct blob blob = fixture_kernel(PAYLOAD_ZSTD, NULL);
    struct test *t = *state;

    memset(blob.data + blob.size - 64 - 200, 0x77, 150);
    use_kernel(t, blob);
    expect_refused(t, "-kernel /tmp/", "ZSTD data is corrupt");
}

static void segments_below_1m_are_refused(void **state)
{
    struct blob blob = fixture_vmlinux(NULL);
    struct test *t = *state;

    /* The last, which no PVH entry points into. */
    fixture_put64(&blob, 64 + 2 * 56 + 24, 0x9000);
    use_kernel(t, blob);
    expect_refused(t, "-kernel /tmp/", "segment at 0x9000 is below 1 MiB");
}

/* --- ACPI and the command line --- */

static void kernels_with_command_line_devices_get_no_acpi(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_kernel(PAYLOAD_LZ4, TEST_PARAM));
    start(t);
    assert_false(boot_plan_acpi(t->plan));
    assert_string_equal(cmdline(t), "console=ttyS0 virtio_mmio.device=512@0xfeb00e00:12 "
                                    "virtio_mmio.device=512@0xfeb00c00:11");
    assert_int_equal(load_le64(params(t) + 0x70), 0);
    assert_int_equal(t->ram.host[MAP_ACPI_TABLES], 0);
}

static void other_kernels_get_acpi(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_kernel(PAYLOAD_LZ4, TEST_PARAM "s"));
    start(t);
    assert_true(boot_plan_acpi(t->plan));
    assert_string_equal(cmdline(t), "console=ttyS0");
    assert_int_equal(load_le64(params(t) + 0x70), MAP_ACPI_TABLES);
    assert_memory_equal(t->ram.host + MAP_ACPI_TABLES, "RSD PTR ", 8);
    assert_non_null(memmem(t->ram.host + MAP_ACPI_TABLES, 8192, "VR07", 4));
    assert_non_null(memmem(t->ram.host + MAP_ACPI_TABLES, 8192, "VR06", 4));
}

static void kernels_that_unpack_themselves_are_looked_into_too(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_kernel(PAYLOAD_XZ, TEST_PARAM));
    t->options.decompress = false;
    start(t);
    assert_false(boot_plan_acpi(t->plan));
}

static void elf_kernels_are_looked_into(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_vmlinux(TEST_PARAM));
    start(t);
    assert_false(boot_plan_acpi(t->plan));
}

static void acpi_can_be_forced_either_way(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_vmlinux(TEST_PARAM));
    t->options.acpi = BOOT_ACPI_ON;
    start(t);
    assert_true(boot_plan_acpi(t->plan));
    assert_string_equal(cmdline(t), "console=ttyS0");
    assert_int_equal(load_le64(params(t) + 32), MAP_ACPI_TABLES);
    boot_plan_free(t->plan);

    use_kernel(t, fixture_vmlinux(NULL));
    t->options.acpi = BOOT_ACPI_OFF;
    start(t);
    assert_false(boot_plan_acpi(t->plan));
    assert_int_equal(load_le64(params(t) + 32), 0);
}

static void auto_kernel_cmdline_can_be_off(void **state)
{
    struct test *t = *state;

    use_kernel(t, fixture_vmlinux(TEST_PARAM));
    t->options.auto_cmdline = false;
    t->options.append = NULL;
    start(t);
    assert_string_equal(cmdline(t), "");
}

static void long_command_lines_are_refused(void **state)
{
    struct test *t = *state;
    char line[2049];

    memset(line, 'a', 2048);
    line[2048] = 0;
    use_kernel(t, fixture_kernel(PAYLOAD_LZ4, NULL));
    t->options.append = line;
    t->plan = boot_plan_new(&t->options, &t->ram, &t->err);
    assert_non_null(t->plan);
    assert_false(boot_plan_describe(t->plan, &t->machine, &t->err));
    assert_string_equal(t->err.text,
                        "-append: the command line has 2048 bytes, and the kernel takes "
                        "at most 2047");
    boot_plan_free(t->plan);
    line[2047] = 0;
    start(t);
    assert_int_equal(strlen(cmdline(t)), 2047);
}

static void the_parameter_is_known_by_its_whole_name(void **state)
{
    static const u8 with[] = "xx\0virtio_mmio.device\0yy";

    (void)state;
    assert_true(boot_has_virtio_cmdline(with, sizeof(with)));
    assert_true(boot_has_virtio_cmdline(with, 22));
    assert_false(boot_has_virtio_cmdline(with, 21)); /* the NUL is cut off */
    assert_false(boot_has_virtio_cmdline((const u8 *)"virtio_mmio.device=", 20));
    assert_false(boot_has_virtio_cmdline(with, 0));
}

/* --- Reset --- */

static void everything_is_loaded_again_at_reset(void **state)
{
    static const enum payload_format formats[] = { PAYLOAD_LZ4, PAYLOAD_NONE };
    struct test *t = *state;
    u8 *before = malloc(TEST_RAM_SIZE);

    use_initrd(t, 70000);
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        struct cpu_boot_state cpu;

        use_kernel(t, formats[i] == PAYLOAD_NONE ? fixture_vmlinux(NULL)
                                                 : fixture_kernel(formats[i], NULL));
        start(t);
        memcpy(before, t->ram.host, TEST_RAM_SIZE);
        memset(t->ram.host, 0xDB, TEST_RAM_SIZE);
        assert_true(boot_load(NULL, t->plan, &cpu, &t->err));
        assert_memory_equal(&cpu, &t->cpu, sizeof(cpu));
        assert_memory_equal(t->ram.host + MAP_BOOT_GDT, before + MAP_BOOT_GDT, 48);
        assert_memory_equal(t->ram.host + MAP_BOOT_PARAMS, before + MAP_BOOT_PARAMS, 4096);
        assert_memory_equal(t->ram.host + MAP_CMDLINE, before + MAP_CMDLINE, 14);
        assert_memory_equal(t->ram.host + MAP_MPTABLE, before + MAP_MPTABLE, 200);
        assert_memory_equal(t->ram.host + MAP_ACPI_TABLES, before + MAP_ACPI_TABLES, 36);
        assert_memory_equal(t->ram.host + FIXTURE_TEXT_ADDR, before + FIXTURE_TEXT_ADDR,
                            FIXTURE_TEXT_SIZE);
        assert_memory_equal(t->ram.host + FIXTURE_PCPU_ADDR, before + FIXTURE_PCPU_ADDR,
                            FIXTURE_PCPU_MEMORY);
        assert_memory_equal(t->ram.host + TEST_RAM_SIZE - 0x12000, before + TEST_RAM_SIZE - 0x12000,
                            70000);
        boot_plan_free(t->plan);
        t->plan = NULL;
    }
    free(before);
}

/* The user may write to the file meanwhile: what is there then is checked like what was there first. */
static void a_file_damaged_between_resets_is_refused(void **state)
{
    struct test *t = *state;
    int fd;

    use_kernel(t, fixture_vmlinux(NULL));
    start(t);
    fd = open(t->kernel, O_WRONLY);
    assert_int_equal(pwrite(fd, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8, 64 + 8), 8);
    assert_false(boot_load(NULL, t->plan, &t->cpu, &t->err));
    assert_non_null(strstr(t->err.text, "-kernel /tmp/"));
    assert_int_equal(pwrite(fd, "XXXX", 4, 0), 4);
    assert_false(boot_load(NULL, t->plan, &t->cpu, &t->err));
    assert_non_null(strstr(t->err.text, "not a kernel"));
    close(fd);
}

static void free_accepts_null(void **state)
{
    (void)state;
    boot_plan_free(NULL);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(bzimage_is_entered_at_the_unpacked_kernel),
        TEST(bzimage_unpacks_itself_when_asked_to),
        TEST(bzimage_of_unknown_format_unpacks_itself),
        TEST(a_32_bit_bzimage_is_entered_in_32_bit_mode),
        TEST(elf_is_entered_at_its_pvh_note),
        TEST(mp_table_and_memory_map_are_always_there),
        TEST(initrd_goes_where_qemu_puts_it),
        TEST(initrd_is_a_pvh_module),
        TEST(old_kernels_limit_the_initrd),
        TEST(initrd_that_does_not_fit_names_what_is_needed),
        TEST(initrd_beyond_the_kernels_limit_is_refused),
        TEST(a_missing_initrd_is_named),
        TEST(small_machines_name_what_is_needed),
        TEST(kernels_beyond_the_address_space_are_refused),
        TEST(other_files_are_refused),
        TEST(corrupt_kernels_are_refused),
        TEST(segments_below_1m_are_refused),
        TEST(kernels_with_command_line_devices_get_no_acpi),
        TEST(other_kernels_get_acpi),
        TEST(kernels_that_unpack_themselves_are_looked_into_too),
        TEST(elf_kernels_are_looked_into),
        TEST(acpi_can_be_forced_either_way),
        TEST(auto_kernel_cmdline_can_be_off),
        TEST(long_command_lines_are_refused),
        TEST(the_parameter_is_known_by_its_whole_name),
        TEST(everything_is_loaded_again_at_reset),
        TEST(a_file_damaged_between_resets_is_refused),
        TEST(free_accepts_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
