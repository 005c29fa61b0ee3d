/* SPDX-License-Identifier: MIT */
/* The wiring of virtio-serial buses, the ports on them, and vsock devices. */
#pragma once

#include "base/error.h"

struct chardev;
struct device_config;
struct machine;
struct virtio;
struct virtio_slots;

#define MICROVM_BUS_NAME_MAX     80
#define MICROVM_SERIAL_BUSES_MAX 24

/* The buses so far, in the order of their devices. */
struct microvm_serial_buses {
    unsigned count;
    struct {
        char name[MICROVM_BUS_NAME_MAX];
        struct virtio *v;
    } buses[MICROVM_SERIAL_BUSES_MAX];
};

/* -device virtio-serial-device */
bool microvm_serial_add_bus(struct microvm_serial_buses *buses, struct machine *machine,
                            struct virtio_slots *slots, const struct device_config *d,
                            struct error *err) __attribute__((warn_unused_result));

/* -device virtconsole, virtserialport: on its bus=, else on the first one */
bool microvm_serial_add_port(const struct microvm_serial_buses *buses,
                             const struct device_config *d, struct chardev *chr, struct error *err)
    __attribute__((warn_unused_result));

/* -device virtio-vsock-device, vhost-vsock-device */
bool microvm_add_vsock_device(struct machine *machine, struct virtio_slots *slots,
                              const struct device_config *d, struct error *err)
    __attribute__((warn_unused_result));
