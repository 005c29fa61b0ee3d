/* SPDX-License-Identifier: MIT */
/*
 * The debug console port. It has no data sheet: firmware knows it from Bochs and from QEMU's
 * isa-debugcon.
 *
 * The port cannot tell a guest to wait, so bytes that the backend refuses are lost. Input is not
 * taken.
 */
#include "hw/debugcon.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/mem.h"
#include "host/char.h"

struct debugcon {
    struct device dev;
    struct chardev *chr; /* NULL until attached */
    u8 readback;
};

static u64 debugcon_read(void *opaque, u64 offset, unsigned size)
{
    struct debugcon *con = opaque;

    (void)offset;
    (void)size;
    return con->readback;
}

static void debugcon_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct debugcon *con = opaque;
    u8 byte = (u8)value;

    (void)offset;
    (void)size;
    chardev_write(con->chr, &byte, 1);
}

static size_t debugcon_can_receive(void *arg)
{
    (void)arg;
    return 0;
}

static void debugcon_receive(void *arg, const u8 *data, size_t size)
{
    (void)arg;
    (void)data;
    (void)size;
}

static void debugcon_reset(struct device *dev)
{
    (void)dev;
}

static void debugcon_free(struct device *dev)
{
    struct debugcon *con = container_of(dev, struct debugcon, dev);

    if (con->chr)
        chardev_detach(con->chr);
    pthread_mutex_destroy(&dev->lock);
    free(con);
}

static const struct device_ops debugcon_device_ops = {
    .reset = debugcon_reset,
    .free = debugcon_free,
};

const struct region_ops debugcon_ops = {
    .read = debugcon_read,
    .write = debugcon_write,
    .sizes = BUS_SIZE_1,
    .split = true,
};

struct debugcon *debugcon_new(const struct debugcon_config *config, struct error *err)
{
    struct debugcon *con = xcalloc(1, sizeof(*con));
    const struct chardev_frontend frontend = {
        .lock = &con->dev.lock,
        .can_receive = debugcon_can_receive,
        .receive = debugcon_receive,
        .arg = con,
    };

    device_init(&con->dev, "isa-debugcon", &debugcon_device_ops);
    con->readback = config->readback;
    if (!chardev_attach(config->chr, &frontend)) {
        error_set(err, "%s: the character device '%s' is in use", con->dev.name,
                  config->chr->id ? config->chr->id : "");
        debugcon_free(&con->dev);
        return NULL;
    }
    con->chr = config->chr;
    return con;
}

struct device *debugcon_device(struct debugcon *con)
{
    return &con->dev;
}
