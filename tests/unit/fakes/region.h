/* SPDX-License-Identifier: MIT */
/* A device's register window without a bus: locks and forwards, as machine/bus.c does. */
#pragma once

#include <assert.h>
#include <pthread.h>

#include "base/types.h"
#include "machine/bus.h"
#include "machine/device.h"

struct fake_region {
    const struct region_ops *ops;
    void *opaque; /* the device, whose first member is its struct device */
};

static inline u64 fake_region_read(const struct fake_region *region, u64 offset, unsigned size)
{
    struct device *dev = region->opaque;
    u64 value;

    assert(region->ops->sizes & (1u << size));
    pthread_mutex_lock(&dev->lock);
    value = region->ops->read(region->opaque, offset, size);
    pthread_mutex_unlock(&dev->lock);
    return value;
}

static inline void fake_region_write(const struct fake_region *region, u64 offset, unsigned size,
                                     u64 value)
{
    struct device *dev = region->opaque;

    assert(region->ops->sizes & (1u << size));
    pthread_mutex_lock(&dev->lock);
    region->ops->write(region->opaque, offset, size, value);
    pthread_mutex_unlock(&dev->lock);
}

static inline void fake_device_reset(struct device *dev)
{
    pthread_mutex_lock(&dev->lock);
    dev->ops->reset(dev);
    pthread_mutex_unlock(&dev->lock);
}

/* Deterministic numbers for the random walks (xorshift64). */
static inline u64 fake_random(u64 *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}
