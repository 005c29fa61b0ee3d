/* SPDX-License-Identifier: MIT */
/* Inside the command line: the table of options, and the state while one is parsed. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "base/types.h"
#include "cli/config.h"
#include "cli/key.h"
#include "cli/options.h"

#define CLI_GLOBALS_MAX 16
#define CLI_SOURCE_MAX  160 /* of an option and its value in a message; more is cut */

/* -smp as it was written; 0: not given. */
struct cli_smp {
    u32 cpus, sockets, cores, threads, maxcpus;
    u32 others; /* dies, clusters: only 1 is possible */
};

/* A default for a property of all devices of a model (-global). */
struct cli_global {
    char *driver;
    char *property;
    char *value;
};

struct cli {
    struct config *config;
    const struct cli_hooks *hooks;
    bool done;                   /* help was printed */
    char source[CLI_SOURCE_MAX]; /* "-m 1z": the option at work */

    struct cli_smp smp;
    char smp_source
        [CLI_SOURCE_MAX]; /* checked when all is known: the last option that spoke of it */
    u64 maxmem;
    char memory_source[CLI_SOURCE_MAX];
    char cpu_source[CLI_SOURCE_MAX];
    char serial_source[CONFIG_SERIALS_MAX][CLI_SOURCE_MAX];
    bool accel_by_option;  /* -accel */
    bool accel_by_machine; /* -M accel=, -enable-kvm */
    bool snapshot;         /* -snapshot: all drives */
    unsigned global_count;
    struct cli_global globals[CLI_GLOBALS_MAX];
};

enum option_section {
    SECTION_MACHINE,
    SECTION_BOOT,
    SECTION_CONSOLE,
    SECTION_DEVICE,
    SECTION_PROCESS,
    SECTION_DEBUG,
    SECTION_HELP,
    SECTION_IGNORED, /* accepted for QEMU's sake */
    SECTION_ABSENT,  /* QEMU's, refused: this build has nothing of the kind */
};

/* What an option does: parse(), or else a bool or string of struct config that is set. */
struct option {
    const char *name; /* without the dash; NULL ends the table */
    const char *alias;
    const char *argument; /* NULL: takes none */
    enum option_section section;
    const char *help; /* for SECTION_ABSENT: what this build has none of */
    bool (*parse)(struct cli *cli, const char *value, struct error *err);
    const struct key *keys;    /* of its argument, for help texts */
    const char *const *values; /* words that complete its argument; NULL-ended */
    enum key_type type;        /* KEY_BOOL (of an option without argument: true) or KEY_STRING */
    size_t offset;
};

extern const struct option cli_options[];
extern const char *const cli_section_names[];

/* Keys, for help. */
extern const struct key cli_machine_keys[];
extern const struct key cli_kvm_keys[];
extern const struct key cli_overcommit_keys[];
extern const struct key cli_memory_keys[];
extern const struct key cli_smp_keys[];
extern const struct key cli_action_keys[];
extern const struct key cli_rtc_keys[];
extern const struct key cli_name_keys[];
extern const struct key cli_drive_keys[];
extern const struct key cli_blockdev_keys[];
extern const struct key cli_balloon_keys[];
extern const struct key cli_blk_keys[];
extern const struct key cli_fw_cfg_keys[];
extern const struct key cli_net_keys[];
extern const struct key cli_fsdev_keys[];
extern const struct key cli_virtfs_keys[];
extern const struct key cli_9p_keys[];
extern const struct key cli_stdio_keys[];
extern const struct key cli_file_keys[];
extern const struct key cli_socket_keys[];
extern const struct key cli_serial_bus_keys[];
extern const struct key cli_virtconsole_keys[];
extern const struct key cli_serial_port_keys[];
extern const struct key cli_vsock_keys[];
extern const struct key cli_vhost_vsock_keys[];

/* What all virtio devices have. */
#define CLI_VIRTIO_KEYS \
    { "indirect_desc", KEY_BOOL, KEY_NOWHERE, .help = "offer indirect descriptors (on)" }, \
        { "event_idx", KEY_BOOL, KEY_NOWHERE, .help = "offer notification by index (on)" }, \
        { "packed", KEY_BOOL, KEY_NOWHERE, .help = "offer packed rings to modern drivers (off)" }, \
    { \
        .name = NULL \
    }

/* Options. */
bool cli_parse_machine(struct cli *cli, const char *value, struct error *err);
bool cli_parse_accel(struct cli *cli, const char *value, struct error *err);
bool cli_parse_enable_kvm(struct cli *cli, const char *value, struct error *err);
bool cli_parse_cpu(struct cli *cli, const char *value, struct error *err);
bool cli_parse_memory(struct cli *cli, const char *value, struct error *err);
bool cli_parse_smp(struct cli *cli, const char *value, struct error *err);
bool cli_parse_no_acpi(struct cli *cli, const char *value, struct error *err);
bool cli_parse_global(struct cli *cli, const char *value, struct error *err);
bool cli_parse_firmware_dir(struct cli *cli, const char *value, struct error *err);
bool cli_parse_boot(struct cli *cli, const char *value, struct error *err);
bool cli_parse_fw_cfg(struct cli *cli, const char *value, struct error *err);
bool cli_parse_debugcon(struct cli *cli, const char *value, struct error *err);
bool cli_parse_serial(struct cli *cli, const char *value, struct error *err);
bool cli_parse_chardev(struct cli *cli, const char *value, struct error *err);
bool cli_parse_nographic(struct cli *cli, const char *value, struct error *err);
bool cli_parse_drive(struct cli *cli, const char *value, struct error *err);
bool cli_parse_blockdev(struct cli *cli, const char *value, struct error *err);
bool cli_parse_netdev(struct cli *cli, const char *value, struct error *err);
bool cli_parse_nic(struct cli *cli, const char *value, struct error *err);
bool cli_parse_fsdev(struct cli *cli, const char *value, struct error *err);
bool cli_parse_virtfs(struct cli *cli, const char *value, struct error *err);
bool cli_parse_device(struct cli *cli, const char *value, struct error *err);
bool cli_parse_object(struct cli *cli, const char *value, struct error *err);
bool cli_parse_overcommit(struct cli *cli, const char *value, struct error *err);
bool cli_parse_action(struct cli *cli, const char *value, struct error *err);
bool cli_parse_name(struct cli *cli, const char *value, struct error *err);
bool cli_parse_uuid(struct cli *cli, const char *value, struct error *err);
bool cli_parse_rtc(struct cli *cli, const char *value, struct error *err);
bool cli_parse_log_items(struct cli *cli, const char *value, struct error *err);

/* -help and -version. */
bool help_show(struct cli *cli, const char *value, struct error *err);
bool help_show_version(struct cli *cli, const char *value, struct error *err);

/* Add a device as -device would; `text` is for messages. */
bool cli_add_implied_device(struct cli *cli, const char *value, const char *text,
                            struct error *err);

/* What an option does, in words. */
void help_text(const struct option *option, char *text, size_t size);

/* Parts that several options share. */
void cli_set_source(struct cli *cli, const char *name, const char *value);
bool cli_set_kernel_irqchip(struct cli *cli, const char *value, struct error *err);
bool cli_add_accels(struct cli *cli, const char *list, struct error *err);

/* -smp and -m by another name: set `key` of them. */
bool cli_set_smp(struct cli *cli, const struct keyval_item *item, struct error *err);
bool cli_set_boot(struct cli *cli, const struct keyval_item *item, struct error *err);
bool cli_set_memory(struct cli *cli, const struct keyval_item *item, struct error *err);

/* Once all options are known. `err` gets the whole message, with the option that is at fault. */
bool cli_finish_smp(struct cli *cli, struct error *err);
bool cli_finish_memory(struct cli *cli, struct error *err);
bool cli_finish_chardevs(struct cli *cli, struct error *err);
bool cli_finish_blocks(struct cli *cli, struct error *err);
bool cli_finish_devices(struct cli *cli, struct error *err);
bool cli_finish_globals(struct cli *cli, struct error *err);

/* An identifier by QEMU's rule: a letter, then letters, digits, '-', '.', '_'. */
bool cli_check_id(const char *id, struct error *err);

/* Who else uses this chardev: the text of a message, or NULL. */
bool cli_claim_chardev(struct cli *cli, const char *id, struct error *err);

/* There is such a drive, and one device uses it. */
bool cli_claim_drive(struct cli *cli, const char *id, struct error *err);

/* The same for a network backend. */
bool cli_claim_net(struct cli *cli, const char *id, struct error *err);
/* A device with a folder: it is there, and has a mount tag. */
bool cli_check_9p(const struct cli *cli, const struct device_config *device, struct error *err);

/* The key table of a device model, or NULL; models are listed by -device help. */
const struct key *cli_device_keys(const char *model);
