/* SPDX-License-Identifier: MIT */
/* What lies in low memory when a kernel is entered directly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "boot/entry.h"
#include "machine/map.h"

#define TEST_RAM_SIZE MIB(1)

static int setup(void **state)
{
    struct ram *ram = calloc(1, sizeof(*ram));
    struct error err;

    assert_true(ram_init(ram, TEST_RAM_SIZE, &err));
    ram_add_slot(ram, 0, TEST_RAM_SIZE, 0);
    memset(ram->host, 0xCC, TEST_RAM_SIZE);
    *state = ram;
    return 0;
}

static int teardown(void **state)
{
    ram_fini(*state);
    free(*state);
    return 0;
}

static u64 descriptor(const struct ram *ram, unsigned selector)
{
    return load_le64(ram->host + MAP_BOOT_GDT + selector);
}

/* SDM vol. 3A, 4.5: walk the tables; ~0 when not mapped, or not writable. */
static u64 translate(const struct ram *ram, u64 cr3, u64 va)
{
    u64 table = cr3, entry = 0;

    for (unsigned shift = 39;; shift -= 9) {
        entry = load_le64(ram->host + table + 8 * (va >> shift & 511));
        if ((entry & 3) != 3)
            return UINT64_MAX;
        table = entry & 0xFFFFFFFFFF000;
        if (shift == 21)
            break;
        assert_false(entry & 0x80);
    }
    assert_true(entry & 0x80);
    return (table & ~(MIB(2) - 1)) | (va & (MIB(2) - 1));
}

static void long_mode_has_a_64_bit_code_segment(void **state)
{
    struct cpu_boot_state cpu;

    entry_write(*state, BOOT_MODE_LONG64, &cpu);
    assert_int_equal(cpu.mode, BOOT_MODE_LONG64);
    assert_int_equal(cpu.gdt, MAP_BOOT_GDT);
    assert_int_equal(cpu.gdt_limit, 0x2F);
    assert_int_equal(descriptor(*state, 0), 0);
    assert_int_equal(descriptor(*state, 0x10), 0x00AF9B000000FFFF);
    assert_int_equal(descriptor(*state, 0x18), 0x00CF93000000FFFF);
    assert_int_equal(descriptor(*state, 0x20), 0x00008B0000000067);
    assert_int_equal(descriptor(*state, 0x28), 0);
}

static void flat_mode_has_a_32_bit_code_segment_and_no_paging(void **state)
{
    struct cpu_boot_state cpu;

    entry_write(*state, BOOT_MODE_FLAT32, &cpu);
    assert_int_equal(cpu.mode, BOOT_MODE_FLAT32);
    assert_int_equal(cpu.cr3, 0);
    assert_int_equal(descriptor(*state, 0x10), 0x00CF9B000000FFFF);
    assert_int_equal(descriptor(*state, 0x18), 0x00CF93000000FFFF);
    assert_int_equal(((struct ram *)*state)->host[MAP_BOOT_PAGE_TABLES], 0xCC);
}

static void long_mode_maps_the_low_4g_to_themselves(void **state)
{
    static const u64 addresses[] = { 0,          0x7000, 0x1FFFFF,   0x200000,   0x1000000,
                                     GIB(1) - 1, GIB(1), GIB(2) + 5, 0xFEE00000, GIB(4) - 1 };
    struct cpu_boot_state cpu;

    entry_write(*state, BOOT_MODE_LONG64, &cpu);
    for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++)
        assert_int_equal(translate(*state, cpu.cr3, addresses[i]), addresses[i]);
    assert_int_equal(translate(*state, cpu.cr3, GIB(4)), UINT64_MAX);
    assert_int_equal(translate(*state, cpu.cr3, 0xFFFFFFFF81000000), UINT64_MAX);
}

static void nothing_is_written_elsewhere(void **state)
{
    static const struct {
        gpa begin, end;
    } allowed[] = { { 0x40E, 0x410 },
                    { 0x413, 0x415 },
                    { 0x500, 0x530 },
                    { 0x9000, 0xF000 },
                    { 0xFFFE0, 0xFFFF5 } };
    struct ram *ram = *state;
    struct cpu_boot_state cpu;
    gpa at = 0;

    entry_write(ram, BOOT_MODE_LONG64, &cpu);
    for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++) {
        for (; at < allowed[i].begin; at++)
            assert_int_equal(ram->host[at], 0xCC);
        at = allowed[i].end;
    }
    for (; at < TEST_RAM_SIZE; at++)
        assert_int_equal(ram->host[at], 0xCC);
}

static void bios_data_names_the_ebda(void **state)
{
    struct ram *ram = *state;
    struct cpu_boot_state cpu;

    entry_write(ram, BOOT_MODE_FLAT32, &cpu);
    assert_int_equal(load_le16(ram->host + 0x40E) << 4, MAP_EBDA);
    assert_int_equal(load_le16(ram->host + 0x413), 639);
}

/* Both ways of writing the address 0xFFFF0 lead to the same code. */
static void a_jump_to_the_bios_shuts_the_processor_down(void **state)
{
    static const u8 jump[] = { 0xEA, 0xE0, 0xFF, 0x00, 0xF0 };
    static const u8 shutdown[] = { 0x2E, 0x0F, 0x01, 0x1E, 0xE8, 0xFF, 0xCC };
    static const u8 empty_table[6] = { 0 };
    struct ram *ram = *state;
    struct cpu_boot_state cpu;

    entry_write(ram, BOOT_MODE_LONG64, &cpu);
    assert_memory_equal(ram->host + 0xFFFF0, jump, sizeof(jump));
    assert_memory_equal(ram->host + 0xFFFE0, shutdown, sizeof(shutdown));
    assert_memory_equal(ram->host + 0xFFFE8, empty_table, sizeof(empty_table));
}

static void registers_not_named_are_zero(void **state)
{
    struct cpu_boot_state cpu;

    memset(&cpu, 0xFF, sizeof(cpu));
    entry_write(*state, BOOT_MODE_LONG64, &cpu);
    assert_int_equal(cpu.rbx, 0);
    assert_int_equal(cpu.rsi, 0);
    assert_int_equal(cpu.rsp, MAP_BOOT_STACK);
    assert_int_equal(cpu.cr3, MAP_BOOT_PAGE_TABLES);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(long_mode_has_a_64_bit_code_segment),
        TEST(flat_mode_has_a_32_bit_code_segment_and_no_paging),
        TEST(long_mode_maps_the_low_4g_to_themselves),
        TEST(nothing_is_written_elsewhere),
        TEST(bios_data_names_the_ebda),
        TEST(a_jump_to_the_bios_shuts_the_processor_down),
        TEST(registers_not_named_are_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
