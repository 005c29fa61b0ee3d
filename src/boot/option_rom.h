/* SPDX-License-Identifier: MIT */
/*
 * The option ROMs that firmware without a kernel loader of its own (SeaBIOS) boots kernels by:
 * real-mode code, in assembly under option_rom/.
 */
#pragma once

#include "base/types.h"

#define OPTION_ROM_SIZE_MAX 2048u

struct option_rom {
    const char *file; /* the name in the firmware configuration device */
    u8 data[OPTION_ROM_SIZE_MAX];
    u32 size; /* whole sectors */
};

/* A copy with size and checksums in place: for a bzImage, or for an ELF kernel with a PVH entry. */
void option_rom_linuxboot(struct option_rom *rom);
void option_rom_pvh(struct option_rom *rom);
