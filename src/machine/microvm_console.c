/* SPDX-License-Identifier: MIT */
/* The wiring of virtio-serial buses, the ports on them, and vsock devices. */
#include "machine/microvm_console.h"

#include <stdio.h>
#include <string.h>

#include "cli/config.h"
#include "machine/machine.h"
#include "machine/virtio_slots.h"
#include "virtio/console.h"
#include "virtio/vhost_vsock.h"
#include "virtio/virtio.h"
#include "virtio/vsock.h"

/* As QEMU names them: by the device's id, or by counting. */
static void microvm_serial_name(struct microvm_serial_buses *buses, const struct device_config *d)
{
    char *name = buses->buses[buses->count].name;
    unsigned unnamed = 0;

    for (unsigned i = 0; i < buses->count; i++)
        unnamed += !strncmp(buses->buses[i].name, "virtio-serial-bus.", 18);
    if (d->id)
        snprintf(name, MICROVM_BUS_NAME_MAX, "%.64s.0", d->id);
    else
        snprintf(name, MICROVM_BUS_NAME_MAX, "virtio-serial-bus.%u", unnamed);
}

bool microvm_serial_add_bus(struct microvm_serial_buses *buses, struct machine *machine,
                            struct virtio_slots *slots, const struct device_config *d,
                            struct error *err)
{
    struct console_config config = {
        .ram = &machine->ram,
        .loop = machine->loop,
        .ports = (unsigned)device_config_uint(d, "max_ports", CONSOLE_PORTS_MAX),
        .no_emergency_write = !device_config_bool(d, "emergency-write", true),
    };
    int slot = virtio_slots_find(slots, d, err);
    struct virtio *v;

    if (slot < 0)
        return false;
    if (!config.ports)
        return error_set(err, "max_ports: a number from 1 to %u is expected", CONSOLE_PORTS_MAX);
    v = console_new(&config);
    machine_add_device(machine, &v->dev);
    virtio_slots_plug(slots, slot, v, d);
    microvm_serial_name(buses, d);
    buses->buses[buses->count++].v = v;
    return true;
}

static struct virtio *microvm_serial_find(const struct microvm_serial_buses *buses,
                                          const struct device_config *d, struct error *err)
{
    for (unsigned i = 0; i < buses->count; i++)
        if (!d->bus || !strcmp(d->bus, buses->buses[i].name))
            return buses->buses[i].v;
    if (d->bus)
        error_set(err, "Bus '%.64s' not found", d->bus);
    else
        error_set(err,
                  "No 'virtio-serial-bus' bus found for device '%s': put "
                  "'-device virtio-serial-device' before it",
                  d->model);
    return NULL;
}

bool microvm_serial_add_port(const struct microvm_serial_buses *buses,
                             const struct device_config *d, struct chardev *chr, struct error *err)
{
    struct console_port_config config = {
        .nr = (u32)device_config_uint(d, "nr", CONSOLE_PORT_ANY),
        .is_console = !strcmp(d->model, "virtconsole"),
        .name = device_config_get(d, "name"),
        .chr = chr,
    };
    struct virtio *v = microvm_serial_find(buses, d, err);

    return v && console_add_port(v, &config, err);
}

static struct virtio *microvm_new_vsock(struct machine *machine, const struct device_config *d,
                                        u32 cid, struct error *err)
{
    struct vsock_config config = { &machine->ram, machine->loop, cid,
                                   device_config_get(d, "path") };
    struct vhost_vsock_config vhost = { &machine->ram, machine->loop, cid, VHOST_VSOCK_PATH };

    return strcmp(d->model, "vhost-vsock-device") ? vsock_new(&config, err)
                                                  : vhost_vsock_new(&vhost, err);
}

bool microvm_add_vsock_device(struct machine *machine, struct virtio_slots *slots,
                              const struct device_config *d, struct error *err)
{
    u32 cid = (u32)device_config_uint(d, "guest-cid", 0);
    int slot = virtio_slots_find(slots, d, err);
    struct virtio *v;

    if (slot < 0)
        return false;
    if (cid < VSOCK_CID_MIN)
        return error_set(err, "guest-cid: a number from %u to %u is expected", VSOCK_CID_MIN,
                         VSOCK_CID_MAX);
    v = microvm_new_vsock(machine, d, cid, err);
    if (!v)
        return false;
    machine_add_device(machine, &v->dev);
    virtio_slots_plug(slots, slot, v, d);
    return true;
}
