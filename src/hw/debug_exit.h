/* SPDX-License-Identifier: MIT */
/*
 * A port that ends the process with a status of the guest's choice (QEMU's isa-debug-exit): a write
 * of v ends with (v << 1) | 1, so that no write is mistaken for success. Tests use it.
 */
#pragma once

#include "base/types.h"
#include "machine/bus.h"
#include "machine/device.h"

/* Where the port is unless its options say otherwise. */
#define DEBUG_EXIT_IOBASE 0x501u
#define DEBUG_EXIT_IOSIZE 2u

struct debug_exit;

struct debug_exit_config {
    void (*exit)(void *arg, int status); /* asks for the end; called with the device locked */
    void *arg;
};

struct debug_exit *debug_exit_new(const struct debug_exit_config *config);

/* For machine_add_device and as `dev` of its region; its ops->free frees it. */
struct device *debug_exit_device(struct debug_exit *dbg);

/* Register window (any number of ports, all alike); its opaque is the struct debug_exit. */
extern const struct region_ops debug_exit_ops;
