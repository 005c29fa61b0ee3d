/* SPDX-License-Identifier: MIT */
/*
 * A port that sends each byte written to it to a character backend (QEMU's isa-debugcon). Firmware
 * prints its debug messages there.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "machine/bus.h"
#include "machine/device.h"

/* Where the port is, and what it reads, unless its options say otherwise. */
#define DEBUGCON_IOBASE   0xE9u
#define DEBUGCON_READBACK 0xE9u

struct chardev;
struct debugcon;

struct debugcon_config {
    struct chardev *chr;
    u8 readback; /* what reads give: by this a guest finds the port */
};

/* NULL and `err` when the backend has another user. */
struct debugcon *debugcon_new(const struct debugcon_config *config, struct error *err);

/*
 * For machine_add_device and as `dev` of its region; its ops->free lets the backend go and frees
 * it.
 */
struct device *debugcon_device(struct debugcon *con);

/* Register window (1 port); its opaque is the struct debugcon. */
extern const struct region_ops debugcon_ops;
