/* SPDX-License-Identifier: MIT */
/*
 * Unpacking a bzImage's kernel on the host, straight to where it runs.
 *
 * Left alone, a bzImage unpacks itself: its stub clears its own memory, builds page tables,
 * decompresses the payload (an ELF file), copies the segments to their places, and, unless told
 * "nokaslr", first chooses another place and then adds the distance to the addresses that an
 * appended table lists. All of that is slow under emulation. Here the host's libraries decompress,
 * and the kernel is put at the addresses that it was linked for, where there is nothing to
 * relocate, and entered at its ELF entry point in the state that the stub would leave: 64-bit
 * mode, identity-mapped, RSI pointing at the zero page. The price is that the kernel's base is not
 * randomised.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "boot/decompress.h"
#include "boot/elf.h"
#include "boot/linux.h"
#include "machine/ram.h"

struct unpack {
    struct payload payload;
    struct elf elf;
    gpa base; /* where the unpacked file goes; its segments are then moved down to their places */
    bool possible;
    struct error reason; /* when it is not */
};

/*
 * See whether the kernel of the bzImage `data` can be unpacked here, and how. True also when it is
 * for the kernel itself to do; false and `err` when the payload is corrupt.
 */
bool unpack_plan(struct unpack *unpack, const struct linux_header *header, const u8 *data,
                 struct error *err) __attribute__((warn_unused_result));

/*
 * Unpack as planned. RAM reaches at least to linux_end(). False and `err` when the payload is
 * corrupt or not what was planned for.
 */
bool unpack_run(const struct unpack *unpack, struct ram *ram, struct error *err)
    __attribute__((warn_unused_result));
