/* SPDX-License-Identifier: MIT */
/* The properties of virtio-serial-device, its ports, and vsock devices. */
#include "cli/cli.h"

#define CLI_PORTS_MAX 31u
#define CLI_CID_MAX   0xFFFFFFFEu

#define CLI_SERIAL_PORT_KEYS \
    { "chardev", KEY_STRING, KEY_NOWHERE, .help = "the chardev at the host's end (none)" }, \
        { "name", KEY_STRING, KEY_NOWHERE, \
          .help = "what the guest finds it by: /dev/virtio-ports/NAME" }, \
    { \
        "nr", KEY_UINT, KEY_NOWHERE, .max = UINT32_MAX, .help = "port number (the next free one)" \
    }

const struct key cli_serial_bus_keys[] = {
    { "max_ports", KEY_UINT, KEY_NOWHERE, .max = CLI_PORTS_MAX, .help = "ports at most (31)" },
    { "emergency-write", KEY_BOOL, KEY_NOWHERE,
      .help = "let a guest print without its driver (on)" },
    CLI_VIRTIO_KEYS,
};

const struct key cli_virtconsole_keys[] = {
    CLI_SERIAL_PORT_KEYS,
    { .name = NULL },
};

const struct key cli_serial_port_keys[] = {
    CLI_SERIAL_PORT_KEYS,
    { .name = NULL },
};

const struct key cli_vsock_keys[] = {
    { "guest-cid", KEY_UINT, KEY_NOWHERE, .max = CLI_CID_MAX,
      .help = "the guest's address, 3 or more" },
    { "path", KEY_STRING, KEY_NOWHERE,
      .help = "the unix socket of the host's clients; the guest's go to PATH_PORT" },
    CLI_VIRTIO_KEYS,
};

const struct key cli_vhost_vsock_keys[] = {
    { "guest-cid", KEY_UINT, KEY_NOWHERE, .max = CLI_CID_MAX,
      .help = "the guest's address, 3 or more, of no other guest" },
    CLI_VIRTIO_KEYS,
};
