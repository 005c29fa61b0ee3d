/* SPDX-License-Identifier: MIT */
/*
 * The PVH boot protocol: an ELF kernel that names its 32-bit entry point in a note, and the start
 * info that it is given (Xen, xen/include/public/arch-x86/hvm/start_info.h and
 * docs/misc/pvh.pandoc).
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "boot/e820.h"
#include "boot/elf.h"

#define PVH_INFO_SIZE 4096u

/*
 * The entry point of the ELF file [data, data + size) that `elf` was parsed from. False and `err`
 * (without a prefix) when it has none, or one outside of its segments.
 */
bool pvh_find_entry(const struct elf *elf, const u8 *data, u64 size, gpa *entry, struct error *err)
    __attribute__((warn_unused_result));

struct pvh_info {
    gpa cmdline;
    gpa initrd;
    u64 initrd_size; /* 0: none */
    gpa rsdp;        /* 0: none */
    const struct e820_map *e820;
};

/* Write start info, module list and memory map for guest address `base`. */
void pvh_build_info(u8 out[PVH_INFO_SIZE], gpa base, const struct pvh_info *info);
