/* SPDX-License-Identifier: MIT */
/*
 * A firmware image: found by name, checked, and copied to its place at each reset.
 *
 * Firmware keeps variables in its image (there is nothing that would make it read-only on this
 * machine), so a reset must bring the bytes of the file back.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "boot/image.h"
#include "machine/machine.h"

/* What is used without -kernel and without -bios. */
#define FIRMWARE_DEFAULT "qboot.rom"

struct firmware {
    struct image image;
};

/*
 * Open what -bios names: a file, or the name of one in `folders` or in the folders where Linux
 * distributions put firmware. "qboot" and "seabios" are names, too. False and `err`, without a
 * prefix, when there is none, or when its size is not one that can be mapped.
 */
bool firmware_open(struct firmware *firmware, const char *name, char *const *folders,
                   unsigned folder_count, struct error *err) __attribute__((warn_unused_result));

/* Bytes, for struct machine's rom_size. */
u64 firmware_size(const struct firmware *firmware);

/* Copy the image to where it ends at 4 GiB; the end of it shows below 1 MiB by the memory's slots. */
void firmware_load(const struct firmware *firmware, struct ram *ram);

/* Accepts a firmware of zeros. */
void firmware_close(struct firmware *firmware);
