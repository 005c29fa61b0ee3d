/* SPDX-License-Identifier: MIT */
/*
 * What every device has: a name, a lock, and what the machine does with it.
 *
 * A device's code is single-threaded: the bus, the loop (for its timers and descriptors) and its backends
 * hold `lock` around every call. Lock order: device -> interrupt controller -> vCPU requests. All guest-visible
 * state of a device is one plain struct inside it, which a snapshot can copy.
 */
#pragma once

#include <pthread.h>

#include "base/types.h"

struct device;

struct device_ops {
    void (*reset)(struct device *dev); /* to power-on state, lock held */
    void (*free)(struct device *dev);  /* accepts half-built devices */
};

struct device {
    const char *name;
    const struct device_ops *ops;
    pthread_mutex_t lock;
};

static inline void device_init(struct device *dev, const char *name, const struct device_ops *ops)
{
    dev->name = name;
    dev->ops = ops;
    pthread_mutex_init(&dev->lock, NULL);
}
