/* SPDX-License-Identifier: MIT */
/* The option ROMs' headers (BIOS Boot Specification 1.01, appendix A). */
#include "boot/option_rom.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/checksum.h"

#define OPTION_ROM_SECTOR   512u
#define OPTION_ROM_SECTORS  2u /* offset of the size */
#define OPTION_ROM_PNP      0x1Au
#define OPTION_ROM_CHECKSUM 6u /* behind the code at the entry point */
#define PNP_LENGTH          5u
#define PNP_LENGTH_UNIT     16u
#define PNP_CHECKSUM        9u

/* From the assembler. */
extern const u8 option_rom_linuxboot_start[];
extern const u8 option_rom_linuxboot_end[];
extern const u8 option_rom_pvh_start[];
extern const u8 option_rom_pvh_end[];

static void option_rom_make(struct option_rom *rom, const char *file, const u8 *start,
                            const u8 *end)
{
    size_t size = (size_t)(end - start);
    u8 *pnp;

    *rom = (struct option_rom){ .file = file, .size = (u32)align_up(size, OPTION_ROM_SECTOR) };
    assert(rom->size <= OPTION_ROM_SIZE_MAX);
    memcpy(rom->data, start, size);
    rom->data[OPTION_ROM_SECTORS] = (u8)(rom->size / OPTION_ROM_SECTOR);
    pnp = rom->data + load_le16(rom->data + OPTION_ROM_PNP);
    pnp[PNP_CHECKSUM] = checksum8(pnp, pnp[PNP_LENGTH] * PNP_LENGTH_UNIT);
    rom->data[OPTION_ROM_CHECKSUM] = checksum8(rom->data, rom->size);
}

void option_rom_linuxboot(struct option_rom *rom)
{
    option_rom_make(rom, "genroms/linuxboot_dma.bin", option_rom_linuxboot_start,
                    option_rom_linuxboot_end);
}

void option_rom_pvh(struct option_rom *rom)
{
    option_rom_make(rom, "genroms/pvh.bin", option_rom_pvh_start, option_rom_pvh_end);
}
