/* SPDX-License-Identifier: MIT */
/* The option ROMs' headers, as firmware checks them before it takes a ROM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/option_rom.h"

static u8 sum(const u8 *data, size_t size)
{
    u8 total = 0;

    while (size--)
        total = (u8)(total + *data++);
    return total;
}

static void expect_header(const struct option_rom *rom)
{
    assert_int_equal(load_le16(rom->data), 0xAA55);
    assert_int_equal(rom->data[2] * 512, rom->size);
    assert_in_range(rom->size, 512, OPTION_ROM_SIZE_MAX);
    assert_int_equal(sum(rom->data, rom->size), 0);
    assert_int_equal(rom->data[5], 0xCB); /* the entry point returns far, within its three bytes */
    assert_int_equal(load_le16(rom->data + 0x18), 0);
}

/* A vector that boots, none that connects a disk, and a name for the boot menu. */
static void expect_pnp(const struct option_rom *rom, const char *name)
{
    u16 at = load_le16(rom->data + 0x1A);
    const u8 *pnp = rom->data + at;

    assert_memory_equal(pnp, "$PnP", 4);
    assert_int_equal(pnp[4], 1);
    assert_int_equal(sum(pnp, pnp[5] * 16u), 0);
    assert_int_equal(load_le16(pnp + 6), 0);
    assert_string_equal((const char *)rom->data + load_le16(pnp + 14), "mote");
    assert_string_equal((const char *)rom->data + load_le16(pnp + 16), name);
    assert_int_equal(load_le16(pnp + 22), 0);
    assert_in_range(load_le16(pnp + 26), at + 32u, rom->size - 1);
    assert_int_equal(rom->data[load_le16(pnp + 26)], 0xFA); /* begins with CLI */
}

static void the_linux_rom_is_in_order(void **state)
{
    struct option_rom rom;

    (void)state;
    option_rom_linuxboot(&rom);
    assert_string_equal(rom.file, "genroms/linuxboot_dma.bin");
    expect_header(&rom);
    expect_pnp(&rom, "Linux loader DMA");
}

static void the_pvh_rom_is_in_order(void **state)
{
    struct option_rom rom;

    (void)state;
    option_rom_pvh(&rom);
    assert_string_equal(rom.file, "genroms/pvh.bin");
    expect_header(&rom);
    expect_pnp(&rom, "PVH loader DMA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_linux_rom_is_in_order),
        cmocka_unit_test(the_pvh_rom_is_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
