/* SPDX-License-Identifier: MIT */
/* The memory map of a direct boot. */
#include "boot/e820.h"

#include <assert.h>

#include "machine/map.h"

#define E820_BASE_MEMORY_END 0xA0000u
#define E820_HIGH_MEMORY     0x100000u

static void e820_add(struct e820_map *map, gpa base, gpa end, u32 type)
{
    if (base == end)
        return;
    assert(map->count < E820_ENTRIES_MAX && base < end);
    map->entries[map->count++] = (struct e820_entry){ base, end - base, type };
}

/*
 * 0xA0000-0xDFFFF is RAM on this machine, but kernels expect a VGA window and option ROMs there
 * and probe for both: it is left out, as firmware leaves it out.
 */
void e820_build(struct e820_map *map, u64 below_4g, u64 above_4g, bool acpi)
{
    gpa tables_end = MAP_ACPI_TABLES + MAP_ACPI_TABLES_MAX;

    assert(below_4g > E820_HIGH_MEMORY);
    map->count = 0;
    e820_add(map, 0, MAP_EBDA, E820_RAM);
    e820_add(map, MAP_EBDA, E820_BASE_MEMORY_END, E820_RESERVED);
    if (acpi) {
        e820_add(map, MAP_ACPI_TABLES, tables_end, E820_ACPI);
        e820_add(map, tables_end, E820_HIGH_MEMORY, E820_RESERVED);
    } else {
        e820_add(map, MAP_ACPI_TABLES, E820_HIGH_MEMORY, E820_RESERVED);
    }
    e820_add(map, E820_HIGH_MEMORY, below_4g, E820_RAM);
    e820_add(map, MAP_RAM_ABOVE_4G, MAP_RAM_ABOVE_4G + above_4g, E820_RAM);
}
