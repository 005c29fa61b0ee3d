/* SPDX-License-Identifier: MIT */
/* Guest memory for the tests: ram_read, ram_write and ram_set by the contract of machine/ram.h. */
#include "unit/fakes/fake_apic_ram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void fake_ram_init(struct ram *ram, u64 size)
{
    memset(ram, 0, sizeof(*ram));
    ram->host = xcalloc(size, 1);
    ram->size = size;
    fake_ram_add(ram, 0, size, 0);
}

void fake_ram_add(struct ram *ram, gpa base, u64 size, u64 offset)
{
    ram->slots[ram->slot_count++] = (struct ram_slot){ base, size, offset };
}

void fake_ram_fini(struct ram *ram)
{
    free(ram->host);
}

/* The host bytes of a range inside one slot, or NULL. */
static u8 *fake_ram_at(const struct ram *ram, gpa addr, u64 size)
{
    for (unsigned i = 0; i < ram->slot_count; i++) {
        const struct ram_slot *slot = &ram->slots[i];

        if (addr >= slot->base && addr - slot->base <= slot->size &&
            size <= slot->size - (addr - slot->base))
            return ram->host + slot->offset + (addr - slot->base);
    }
    return NULL;
}

int ram_read(const struct ram *ram, gpa addr, void *data, u64 size)
{
    const u8 *p = fake_ram_at(ram, addr, size);

    if (!p)
        return -EFAULT;
    memcpy(data, p, size);
    return 0;
}

int ram_write(struct ram *ram, gpa addr, const void *data, u64 size)
{
    u8 *p = fake_ram_at(ram, addr, size);

    if (!p)
        return -EFAULT;
    memcpy(p, data, size);
    return 0;
}

int ram_set(struct ram *ram, gpa addr, u8 byte, u64 size)
{
    u8 *p = fake_ram_at(ram, addr, size);

    if (!p)
        return -EFAULT;
    memset(p, byte, size);
    return 0;
}
