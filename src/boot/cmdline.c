/* SPDX-License-Identifier: MIT */
/*
 * The kernel command line. The parameter's form: Linux, drivers/virtio/virtio_mmio.c, its own help
 * text.
 */
#include "boot/cmdline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "machine/map.h"

/* Longest item: the text, 16 digits of address, 10 of interrupt. */
#define CMDLINE_ITEM_MAX 64

char *cmdline_new(const char *append, const struct boot_slot *slots, unsigned slot_count)
{
    size_t used = append ? strlen(append) : 0;
    size_t capacity = used + slot_count * (size_t)CMDLINE_ITEM_MAX + 1;
    char *line = xcalloc(1, capacity);

    if (append)
        memcpy(line, append, used);
    for (unsigned i = 0; i < slot_count; i++)
        used += (size_t)snprintf(line + used, capacity - used,
                                 " virtio_mmio.device=%u@0x%" PRIx64 ":%" PRIu32,
                                 MAP_VIRTIO_MMIO_SIZE, slots[i].base, slots[i].gsi);
    return line;
}
