/* SPDX-License-Identifier: MIT */
/*
 * virtio-serial-device: a bus of up to 31 ports, each a console (hvc) or a plain byte channel. virtio 1.2, 5.3.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct chardev;
struct loop;
struct ram;
struct virtio;

#define CONSOLE_PORTS_MAX 31u
#define CONSOLE_PORT_ANY  UINT32_MAX

struct console_config {
    struct ram *ram;
    struct loop *loop;
    unsigned ports; /* 1 .. CONSOLE_PORTS_MAX; 1: without the control queues' protocol */
    bool no_emergency_write;
};

struct console_port_config {
    u32 nr; /* CONSOLE_PORT_ANY: 0 for the first console, else the first free one from 1 on */
    bool is_console;     /* virtconsole; otherwise virtserialport */
    const char *name;    /* NULL: none */
    struct chardev *chr; /* NULL: output vanishes */
};

struct virtio *console_new(const struct console_config *config);

/*
 * Add a port, before the guest runs. False and `err` when its number or name is taken, there are no more, or the
 * chardev has another user.
 */
bool console_add_port(struct virtio *v, const struct console_port_config *config, struct error *err)
    __attribute__((warn_unused_result));
