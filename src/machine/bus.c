/* SPDX-License-Identifier: MIT */
/*
 * Bus dispatch: find the region by binary search, check size and containment, lock the device, call it.
 * What happens where nothing answers is machine-visible and documented in docs/machine.md.
 */
#include "machine/bus.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/log.h"

/* Addresses already reported under -d unimp, as a lossy hash: a collision costs a line, not correctness. */
#define BUS_SEEN 256

void bus_init(struct bus *bus, const char *name, u64 unclaimed)
{
    bus->name = name;
    bus->unclaimed = unclaimed;
    bus->count = 0;
}

bool bus_add(struct bus *bus, const struct region *region, struct error *err)
{
    unsigned at = 0;

    assert(region->size && region->ops->sizes);
    if (bus->count == BUS_REGIONS_MAX)
        return error_set(err, "%s bus: no room for '%s'", bus->name, region->name);
    while (at < bus->count && bus->regions[at].base < region->base)
        at++;
    if (at < bus->count && bus->regions[at].base - region->base < region->size)
        return error_set(err, "'%s' overlaps '%s' on the %s bus", region->name,
                         bus->regions[at].name, bus->name);
    if (at && region->base - bus->regions[at - 1].base < bus->regions[at - 1].size)
        return error_set(err, "'%s' overlaps '%s' on the %s bus", region->name,
                         bus->regions[at - 1].name, bus->name);
    for (unsigned i = bus->count; i > at; i--)
        bus->regions[i] = bus->regions[i - 1];
    bus->regions[at] = *region;
    bus->count++;
    return true;
}

static struct region *bus_find(struct bus *bus, u64 addr)
{
    unsigned low = 0, high = bus->count;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        struct region *r = &bus->regions[mid];

        if (addr < r->base)
            high = mid;
        else if (addr - r->base >= r->size)
            low = mid + 1;
        else
            return r;
    }
    return NULL;
}

static u64 bus_cut(u64 value, unsigned size)
{
    return size == 8 ? value : value & (BIT64(size * 8) - 1);
}

/* Once per address, so that a guest that polls an absent device does not fill the log. */
static void bus_log_unclaimed(const struct bus *bus, u64 addr, unsigned size, const char *what)
{
    static _Atomic u64 seen[BUS_SEEN];
    u64 key = addr << 1 | (what[0] == 'w') | (u64)(bus->unclaimed != 0) << 63;
    unsigned slot = (unsigned)((key * 0x9E3779B97F4A7C15u) >> 56);

    if (atomic_exchange_explicit(&seen[slot], key + 1, memory_order_relaxed) == key + 1)
        return;
    log_line("%s 0x%llx: %u-byte %s where nothing is", bus->name, (unsigned long long)addr, size,
             what);
}

/* The widest piece of an access of `size` that the region takes; 0 when it takes none. */
static unsigned bus_piece(const struct region *r, u64 offset, unsigned size)
{
    if (offset + size > r->size)
        return r->ops->split ? 1 : 0;
    if (r->ops->sizes & (1u << size))
        return size;
    if (!r->ops->split)
        return 0;
    for (unsigned piece = size / 2; piece; piece /= 2)
        if (r->ops->sizes & (1u << piece))
            return piece;
    return 0;
}

u64 bus_read(struct bus *bus, u64 addr, unsigned size)
{
    struct region *r = bus_find(bus, addr);
    unsigned piece = r ? bus_piece(r, addr - r->base, size) : 0;
    u64 value = 0;

    if (unlikely(!r)) {
        if (log_on(LOG_UNIMP))
            bus_log_unclaimed(bus, addr, size, "read");
        return bus_cut(bus->unclaimed, size);
    }
    if (unlikely(!piece)) {
        guest_error("%s: %u-byte read at offset 0x%llx is refused", r->name, size,
                    (unsigned long long)(addr - r->base));
        return 0;
    }
    if (unlikely(addr - r->base + size > r->size)) {
        /* Partly outside: each byte finds its own region. */
        for (unsigned done = 0; done < size; done++)
            value |= bus_read(bus, addr + done, 1) << (done * 8);
        return value;
    }
    if (r->dev)
        pthread_mutex_lock(&r->dev->lock);
    for (unsigned done = 0; done < size; done += piece)
        value |= bus_cut(r->ops->read(r->opaque, addr - r->base + done, piece), piece)
                 << (done * 8);
    if (r->dev)
        pthread_mutex_unlock(&r->dev->lock);
    return value;
}

void bus_write(struct bus *bus, u64 addr, unsigned size, u64 value)
{
    struct region *r = bus_find(bus, addr);
    unsigned piece = r ? bus_piece(r, addr - r->base, size) : 0;

    if (unlikely(!r)) {
        if (log_on(LOG_UNIMP))
            bus_log_unclaimed(bus, addr, size, "write");
        return;
    }
    if (unlikely(!piece)) {
        guest_error("%s: %u-byte write at offset 0x%llx is refused", r->name, size,
                    (unsigned long long)(addr - r->base));
        return;
    }
    if (unlikely(addr - r->base + size > r->size)) {
        for (unsigned done = 0; done < size; done++)
            bus_write(bus, addr + done, 1, value >> (done * 8) & 0xFF);
        return;
    }
    if (r->dev)
        pthread_mutex_lock(&r->dev->lock);
    for (unsigned done = 0; done < size; done += piece)
        r->ops->write(r->opaque, addr - r->base + done, piece, bus_cut(value >> (done * 8), piece));
    if (r->dev)
        pthread_mutex_unlock(&r->dev->lock);
}
