/* SPDX-License-Identifier: MIT */
/*
 * A bus: address regions and the dispatch of accesses to them. The machine has two, ports and MMIO.
 *
 * Regions are added while the machine is built and never change once vCPUs run, so lookups take no lock;
 * the region's device is locked around its callbacks.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "machine/device.h"

/* Access sizes as a set: BIT(size) for size 1, 2, 4, 8. */
#define BUS_SIZE_1 (1u << 1)
#define BUS_SIZE_2 (1u << 2)
#define BUS_SIZE_4 (1u << 4)
#define BUS_SIZE_8 (1u << 8)

struct region_ops {
    u64 (*read)(void *opaque, u64 offset, unsigned size);
    void (*write)(void *opaque, u64 offset, unsigned size, u64 value);
    u32 sizes;  /* sizes that the device takes; others are split or refused */
    bool split; /* cut a wider access into the widest pieces that it takes */
};

struct region {
    const char *name;
    u64 base;
    u64 size; /* bytes */
    const struct region_ops *ops;
    void *opaque;       /* first argument of the callbacks */
    struct device *dev; /* locked around them; may be NULL */
};

#define BUS_REGIONS_MAX 96

struct bus {
    const char *name; /* "port" or "memory", for the log */
    u64 unclaimed;    /* what reads of nothing return: all ones for ports, 0 for memory */
    unsigned count;
    struct region regions[BUS_REGIONS_MAX]; /* by ascending base */
};

void bus_init(struct bus *bus, const char *name, u64 unclaimed);

/* Add a region. False and `err`, with both names, when it overlaps another or the bus is full. */
bool bus_add(struct bus *bus, const struct region *region, struct error *err)
    __attribute__((warn_unused_result));

/*
 * One guest access of `size` 1, 2, 4 or 8 bytes. An access where nothing is, or that no region contains
 * whole, or of a size that the device refuses, reads as `unclaimed` cut to its size (0 for a refused size)
 * and drops writes; logged once per address under -d unimp.
 */
u64 bus_read(struct bus *bus, u64 addr, unsigned size);
void bus_write(struct bus *bus, u64 addr, unsigned size, u64 value);
