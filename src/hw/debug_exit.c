/* SPDX-License-Identifier: MIT */
/*
 * The debug exit port. It has no data sheet: guests and tests know it from QEMU's isa-debug-exit,
 * whose behaviour it has. Reads give 0.
 */
#include "hw/debug_exit.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/mem.h"

struct debug_exit {
    struct device dev;
    struct debug_exit_config config;
};

static u64 debug_exit_read(void *opaque, u64 offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return 0;
}

static void debug_exit_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct debug_exit *dbg = opaque;

    (void)offset;
    (void)size;
    dbg->config.exit(dbg->config.arg, (int)((u32)value << 1 | 1));
}

static void debug_exit_reset(struct device *dev)
{
    (void)dev;
}

static void debug_exit_free(struct device *dev)
{
    pthread_mutex_destroy(&dev->lock);
    free(container_of(dev, struct debug_exit, dev));
}

static const struct device_ops debug_exit_device_ops = {
    .reset = debug_exit_reset,
    .free = debug_exit_free,
};

const struct region_ops debug_exit_ops = {
    .read = debug_exit_read,
    .write = debug_exit_write,
    .sizes = BUS_SIZE_1 | BUS_SIZE_2 | BUS_SIZE_4,
};

struct debug_exit *debug_exit_new(const struct debug_exit_config *config)
{
    struct debug_exit *dbg = xcalloc(1, sizeof(*dbg));

    device_init(&dbg->dev, "isa-debug-exit", &debug_exit_device_ops);
    dbg->config = *config;
    return dbg;
}

struct device *debug_exit_device(struct debug_exit *dbg)
{
    return &dbg->dev;
}
