/* SPDX-License-Identifier: MIT */
/* The memory map of a direct boot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"
#include "boot/e820.h"
#include "machine/map.h"

static void expect(const struct e820_map *map, unsigned i, gpa base, gpa end, u32 type)
{
    assert_true(i < map->count);
    assert_int_equal(map->entries[i].base, base);
    assert_int_equal(map->entries[i].size, end - base);
    assert_int_equal(map->entries[i].type, type);
}

static void small_machine_without_acpi(void **state)
{
    struct e820_map map;

    (void)state;
    e820_build(&map, MIB(128), 0, false);
    assert_int_equal(map.count, 4);
    expect(&map, 0, 0, 0x9FC00, E820_RAM);
    expect(&map, 1, 0x9FC00, 0xA0000, E820_RESERVED);
    expect(&map, 2, 0xE0000, 0x100000, E820_RESERVED);
    expect(&map, 3, 0x100000, MIB(128), E820_RAM);
}

static void acpi_tables_have_their_own_type(void **state)
{
    struct e820_map map;

    (void)state;
    e820_build(&map, MIB(128), 0, true);
    assert_int_equal(map.count, 5);
    expect(&map, 2, MAP_ACPI_TABLES, 0xF0000, E820_ACPI);
    expect(&map, 3, 0xF0000, 0x100000, E820_RESERVED);
    expect(&map, 4, 0x100000, MIB(128), E820_RAM);
}

static void memory_above_4g_is_one_more_entry(void **state)
{
    struct e820_map map;

    (void)state;
    e820_build(&map, GIB(3), GIB(61), true);
    assert_int_equal(map.count, 6);
    expect(&map, 4, 0x100000, GIB(3), E820_RAM);
    expect(&map, 5, GIB(4), GIB(65), E820_RAM);
}

static void a_page_above_1m_is_enough(void **state)
{
    struct e820_map map;

    (void)state;
    e820_build(&map, 0x101000, 0, false);
    expect(&map, 3, 0x100000, 0x101000, E820_RAM);
}

static void entries_ascend_without_overlap(void **state)
{
    struct e820_map map;

    (void)state;
    for (unsigned acpi = 0; acpi < 2; acpi++) {
        e820_build(&map, GIB(3), GIB(1), acpi);
        for (unsigned i = 1; i < map.count; i++)
            assert_true(map.entries[i].base >= map.entries[i - 1].base + map.entries[i - 1].size);
    }
}

static void building_again_starts_over(void **state)
{
    struct e820_map map;

    (void)state;
    e820_build(&map, GIB(3), GIB(1), true);
    e820_build(&map, MIB(64), 0, false);
    assert_int_equal(map.count, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_machine_without_acpi),
        cmocka_unit_test(acpi_tables_have_their_own_type),
        cmocka_unit_test(memory_above_4g_is_one_more_entry),
        cmocka_unit_test(a_page_above_1m_is_enough),
        cmocka_unit_test(entries_ascend_without_overlap),
        cmocka_unit_test(building_again_starts_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
