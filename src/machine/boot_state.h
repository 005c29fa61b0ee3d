/* SPDX-License-Identifier: MIT */
/*
 * Where a direct boot starts the boot processor: what a loader hands to the accelerator.
 */
#pragma once

#include "base/types.h"

enum boot_mode {
    BOOT_MODE_RESET, /* reset vector: firmware */
    BOOT_MODE_FLAT32, /* 32-bit protected mode, flat 4 GiB segments, paging off (PVH start_info ABI) */
    BOOT_MODE_LONG64, /* 64-bit mode, paging on with cr3, flat segments (Linux 64-bit boot protocol) */
};

struct cpu_boot_state {
    enum boot_mode mode;
    u64 rip;
    u64 rsp;
    u64 rbx; /* FLAT32: start_info */
    u64 rsi; /* LONG64: boot_params */
    u64 cr3; /* LONG64 */
    gpa gdt; /* GDT in guest memory; selectors CS 0x10, DS/ES/SS 0x18 (FLAT32 and LONG64), TSS 0x20 */
    u16 gdt_limit;
};
