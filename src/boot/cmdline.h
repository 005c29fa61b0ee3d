/* SPDX-License-Identifier: MIT */
/* The kernel command line: what the user gave, then what the machine adds. */
#pragma once

#include "base/types.h"

/* A populated virtio-mmio transport. */
struct boot_slot {
    gpa base;
    u32 gsi;
};

/*
 * `append` (NULL: none) followed by " virtio_mmio.device=512@0x<base>:<gsi>" for each slot, in the
 * order given. The caller frees the string.
 */
char *cmdline_new(const char *append, const struct boot_slot *slots, unsigned slot_count);
