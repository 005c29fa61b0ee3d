/* SPDX-License-Identifier: MIT */
/*
 * The table of all options, and the parser that goes by it. The help, the manual page and the
 * completion are made from the same table (help.c, man.c, completion.c).
 */
#include "cli/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/suggest.h"

const char *const cli_section_names[] = {
    [SECTION_MACHINE] = "Machine",
    [SECTION_BOOT] = "Boot",
    [SECTION_CONSOLE] = "Consoles",
    [SECTION_DEVICE] = "Devices",
    [SECTION_PROCESS] = "Process",
    [SECTION_DEBUG] = "Logging",
    [SECTION_HELP] = "Help",
    [SECTION_IGNORED] = "Accepted without effect",
    [SECTION_ABSENT] = "Not available",
};

static const char *const cli_machine_values[] = { "microvm", "help", NULL };
static const char *const cli_accel_values[] = { "soft", "kvm", "tcg", "help", NULL };
static const char *const cli_cpu_values[] = { "max", "host", "qemu64", "help", NULL };
static const char *const cli_serial_values[] = { "none", "null",    "stdio",    "mon:stdio",
                                                 "pty",  "file:",   "pipe:",    "unix:",
                                                 "tcp:", "telnet:", "chardev:", NULL };
static const char *const cli_chardev_values[] = { "file",   "null",  "pipe", "pty",
                                                  "socket", "stdio", "help", NULL };
static const char *const cli_device_values[] = { "isa-debug-exit",
                                                 "isa-debugcon",
                                                 "vhost-vsock-device",
                                                 "virtconsole",
                                                 "virtio-9p-device",
                                                 "virtio-balloon-device",
                                                 "virtio-blk-device",
                                                 "virtio-net-device",
                                                 "virtio-rng-device",
                                                 "virtio-serial-device",
                                                 "virtio-vsock-device",
                                                 "virtserialport",
                                                 "help",
                                                 NULL };
static const char *const cli_bios_values[] = { "qboot", "seabios", "none", NULL };
static const char *const cli_netdev_values[] = { "tap",    "user", "stream", "dgram",
                                                 "socket", "help", NULL };
static const char *const cli_nic_values[] = { "tap",    "user", "stream", "dgram",
                                              "socket", "none", "help",   NULL };
static const char *const cli_none_values[] = { "none", NULL };
static const char *const cli_log_values[] = { "boot",         "cpu",     "cpu_reset", "exits",
                                              "guest_errors", "in_asm",  "int",       "mmu",
                                              "op",           "out_asm", "stats",     "unimp",
                                              "help",         NULL };

/* What QEMU has and we do not may be asked for by saying `none`. */
static bool cli_parse_none(struct cli *cli, const char *value, struct error *err);

/* The value is read and has no effect. */
static bool cli_parse_snapshot(struct cli *cli, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    cli->snapshot = true;
    return true;
}

static bool cli_parse_ignored(struct cli *cli, const char *value, struct error *err)
{
    (void)cli;
    (void)value;
    (void)err;
    return true;
}

#define STRING(member) .type = KEY_STRING, .offset = offsetof(struct config, member)
#define FLAG(member)   .type = KEY_BOOL, .offset = offsetof(struct config, member)

/* clang-format off */
const struct option cli_options[] = {
    { "M", "machine", "[type=]microvm[,PROPERTY=VALUE]...", SECTION_MACHINE,
      "the machine and its properties; '-M microvm,help' lists them. Repeated options add up",
      .parse = cli_parse_machine, .keys = cli_machine_keys, .values = cli_machine_values },
    { "accel", NULL, "NAME[:NAME]...[,PROPERTY=VALUE]...", SECTION_MACHINE,
      "what runs the guest's code: soft (also called tcg) or kvm; '-accel help' tells what this host "
      "can do. Several, or repeated: the first that works. Without: kvm:soft",
      .parse = cli_parse_accel, .keys = cli_kvm_keys, .values = cli_accel_values },
    { "enable-kvm", NULL, NULL, SECTION_MACHINE,
      "use KVM; where the host has none, say so and use the software CPU",
      .parse = cli_parse_enable_kvm },
    { "cpu", NULL, "MODEL[,+FEATURE][,-FEATURE][,PROPERTY=VALUE]...", SECTION_MACHINE,
      "the CPU that the guest sees; '-cpu help' lists models and features",
      .parse = cli_parse_cpu, .values = cli_cpu_values },
    { "m", NULL, "[size=]SIZE", SECTION_MACHINE,
      "guest memory in MiB, or with a suffix: 512k, 1.5G (128M)",
      .parse = cli_parse_memory, .keys = cli_memory_keys },
    { "smp", NULL, "[cpus=]N[,sockets=N][,cores=N][,threads=N][,maxcpus=N]", SECTION_MACHINE,
      "virtual CPUs and their topology (1)",
      .parse = cli_parse_smp, .keys = cli_smp_keys },
    { "global", NULL, "MODEL.PROPERTY=VALUE", SECTION_MACHINE,
      "the default of a property for all devices of a model; virtio-mmio.force-legacy=off makes "
      "the virtio devices modern",
      .parse = cli_parse_global },
    { "rtc", NULL, "base=utc|localtime|DATE", SECTION_MACHINE,
      "what the real time clock shows at the start (utc)",
      .parse = cli_parse_rtc, .keys = cli_rtc_keys },
    { "uuid", NULL, "UUID", SECTION_MACHINE, "the machine's UUID", .parse = cli_parse_uuid },
    { "overcommit", NULL, "[mem-lock=on|off][,cpu-pm=on|off]", SECTION_MACHINE,
      "what the guest has of the host for itself", .parse = cli_parse_overcommit,
      .keys = cli_overcommit_keys },
    { "no-acpi", NULL, NULL, SECTION_MACHINE, "as -M acpi=off", .parse = cli_parse_no_acpi },

    { "kernel", NULL, "FILE", SECTION_BOOT,
      "the kernel: a Linux bzImage, or an ELF file with a PVH entry", STRING(kernel) },
    { "initrd", NULL, "FILE", SECTION_BOOT, "the initial RAM disk", STRING(initrd) },
    { "append", NULL, "TEXT", SECTION_BOOT, "the kernel's command line", STRING(append) },
    { "bios", NULL, "FILE|NAME|none", SECTION_BOOT,
      "firmware to start with: a file, or the name of one in the usual folders (qboot, seabios). "
      "Without it a -kernel is booted directly; none says so",
      STRING(bios), .values = cli_bios_values },
    { "L", NULL, "FOLDER", SECTION_BOOT, "look for firmware here, too; may be repeated",
      .parse = cli_parse_firmware_dir },
    { "boot", NULL, "menu=on|off", SECTION_BOOT,
      "does firmware offer a boot menu? (off); bootindex=N of devices tells in which order it tries them",
      .parse = cli_parse_boot },
    { "fw_cfg", NULL, "[name=]NAME,file=FILE|string=TEXT", SECTION_BOOT,
      "a file for the guest in the firmware configuration device; names of one's own begin with opt/",
      .parse = cli_parse_fw_cfg, .keys = cli_fw_cfg_keys },

    { "serial", NULL, "DEVICE", SECTION_CONSOLE,
      "what the serial port is connected to: none, null, stdio, mon:stdio (Ctrl-A is an escape "
      "key), pty, file:PATH, pipe:PATH, unix:PATH[,server][,nowait], "
      "tcp:[HOST]:PORT[,server][,nowait], telnet:[HOST]:PORT[,server][,nowait], chardev:ID. "
      "Without -serial and -nodefaults: mon:stdio",
      .parse = cli_parse_serial, .values = cli_serial_values },
    { "chardev", NULL, "BACKEND,id=ID[,KEY=VALUE]...", SECTION_CONSOLE,
      "a character device that others refer to; '-chardev help' lists the backends, "
      "'-chardev BACKEND,help' the keys of one",
      .parse = cli_parse_chardev, .values = cli_chardev_values },
    { "debugcon", NULL, "DEVICE", SECTION_CONSOLE,
      "what firmware's debug port is connected to, as for -serial; -global isa-debugcon.iobase=0x402 "
      "moves it to where SeaBIOS looks for it (0xe9)",
      .parse = cli_parse_debugcon, .values = cli_serial_values },
    { "nographic", NULL, NULL, SECTION_CONSOLE,
      "as -M graphics=off; the console is on standard input and output",
      .parse = cli_parse_nographic },
    { "display", NULL, "none", SECTION_CONSOLE, "displays",
      .parse = cli_parse_none, .values = cli_none_values },
    { "monitor", NULL, "none", SECTION_CONSOLE, "monitor",
      .parse = cli_parse_none, .values = cli_none_values },

    { "drive", NULL, "file=FILE[,id=ID][,KEY=VALUE]...", SECTION_DEVICE,
      "a disk image, which -device virtio-blk-device,drive=ID refers to; if=virtio adds that device, too",
      .parse = cli_parse_drive, .keys = cli_drive_keys },
    { "blockdev", NULL, "driver=DRIVER,node-name=ID[,KEY=VALUE]...", SECTION_DEVICE,
      "the same in parts: driver file or host_device names a file, raw or qcow2 its format",
      .parse = cli_parse_blockdev, .keys = cli_blockdev_keys },
    { "fsdev", NULL, "local,id=ID,path=FOLDER,security_model=MODEL[,KEY=VALUE]...", SECTION_DEVICE,
      "a folder of the host, which -device virtio-9p-device,fsdev=ID,mount_tag=TAG refers to",
      .parse = cli_parse_fsdev, .keys = cli_fsdev_keys },
    { "virtfs", NULL, "local,path=FOLDER,mount_tag=TAG,security_model=MODEL[,KEY=VALUE]...", SECTION_DEVICE,
      "the same with its device in one",
      .parse = cli_parse_virtfs, .keys = cli_virtfs_keys },
    { "snapshot", NULL, NULL, SECTION_DEVICE,
      "what the guest writes to its -drive images is gone at the end", .parse = cli_parse_snapshot },
    { "device", NULL, "MODEL[,id=ID][,PROPERTY=VALUE]...", SECTION_DEVICE,
      "add a device; '-device help' lists the models, '-device MODEL,help' the properties of one",
      .parse = cli_parse_device, .values = cli_device_values },
    { "object", NULL, "TYPE,id=ID[,PROPERTY=VALUE]...", SECTION_DEVICE,
      "add an object that devices refer to; '-object help' lists the types", .parse = cli_parse_object },
    { "netdev", NULL, "TYPE,id=ID[,KEY=VALUE]...", SECTION_DEVICE,
      "a network, which -device virtio-net-device,netdev=ID refers to; '-netdev help' lists the types, "
      "'-netdev TYPE,help' the keys of one",
      .parse = cli_parse_netdev, .values = cli_netdev_values },
    { "nic", NULL, "none|TYPE[,mac=MAC][,KEY=VALUE]...", SECTION_DEVICE,
      "-netdev and its virtio-net-device in one", .parse = cli_parse_nic, .values = cli_nic_values },
    { "nodefaults", NULL, NULL, SECTION_DEVICE, "no serial port unless -serial asks for one",
      FLAG(nodefaults) },

    { "name", NULL, "[guest=]NAME", SECTION_PROCESS, "the guest's name", .parse = cli_parse_name,
      .keys = cli_name_keys },
    { "no-reboot", NULL, NULL, SECTION_PROCESS, "end when the guest resets", FLAG(no_reboot) },
    { "no-shutdown", NULL, NULL, SECTION_PROCESS, "stay, paused, when the guest powers off",
      FLAG(no_shutdown) },
    { "action", NULL, "reboot=reset|shutdown,shutdown=poweroff|pause", SECTION_PROCESS,
      "what follows on an event", .parse = cli_parse_action, .keys = cli_action_keys },
    { "S", NULL, NULL, SECTION_PROCESS, "do not start the CPUs", FLAG(start_paused) },
    { "pidfile", NULL, "FILE", SECTION_PROCESS, "write the process id to FILE; removed at the end",
      STRING(pidfile) },
    { "daemonize", NULL, NULL, SECTION_PROCESS, "go to the background once all is set up",
      FLAG(daemonize) },

    { "d", NULL, "ITEM[,ITEM]...", SECTION_DEBUG, "log these items; '-d help' lists them",
      .parse = cli_parse_log_items, .values = cli_log_values },
    { "perfmap", NULL, NULL, SECTION_DEBUG,
      "list translated guest code in /tmp/perf-PID.map, by which perf names it", FLAG(perfmap) },
    { "D", NULL, "FILE", SECTION_DEBUG, "write the log to FILE, not to standard error",
      STRING(log_path) },

    { "h", "help", NULL, SECTION_HELP, "print this list and end", .parse = help_show },
    { "version", NULL, NULL, SECTION_HELP, "print the version and end",
      .parse = help_show_version },

    { "no-user-config", NULL, NULL, SECTION_IGNORED, NULL, .parse = cli_parse_ignored },
    { "no-hpet", NULL, NULL, SECTION_IGNORED, NULL, .parse = cli_parse_ignored },
    { "k", NULL, "LANGUAGE", SECTION_IGNORED, NULL, .parse = cli_parse_ignored },
    { "mem-prealloc", NULL, NULL, SECTION_IGNORED, NULL, .parse = cli_parse_ignored },
    { "msg", NULL, "OPTIONS", SECTION_IGNORED, NULL, .parse = cli_parse_ignored },
    { "vga", NULL, "TYPE", SECTION_IGNORED, NULL, .parse = cli_parse_ignored },

    { "net", NULL, "none", SECTION_ABSENT, "network hubs (-nic and -netdev make networks)", .parse = cli_parse_none },
    { "parallel", NULL, "none", SECTION_ABSENT, "parallel ports", .parse = cli_parse_none },
    { "qmp", NULL, "none", SECTION_ABSENT, "QMP monitor", .parse = cli_parse_none },
    { "audiodev", NULL, "...", SECTION_ABSENT, "sound", .parse = NULL },
    { "cdrom", NULL, "...", SECTION_ABSENT, "block devices", .parse = NULL },
    { "chroot", NULL, "...", SECTION_ABSENT, "way to change its root folder", .parse = NULL },
    { "dtb", NULL, "...", SECTION_ABSENT, "device trees", .parse = NULL },
    { "fda", NULL, "...", SECTION_ABSENT, "block devices", .parse = NULL },
    { "gdb", NULL, "...", SECTION_ABSENT, "debugger", .parse = NULL },
    { "hda", NULL, "...", SECTION_ABSENT, "block devices", .parse = NULL },
    { "icount", NULL, "...", SECTION_ABSENT, "instruction counting", .parse = NULL },
    { "incoming", NULL, "...", SECTION_ABSENT, "migration", .parse = NULL },
    { "loadvm", NULL, "...", SECTION_ABSENT, "snapshots", .parse = NULL },
    { "mem-path", NULL, "...", SECTION_ABSENT, "memory from files", .parse = NULL },
    { "mon", NULL, "...", SECTION_ABSENT, "monitor", .parse = NULL },
    { "numa", NULL, "...", SECTION_ABSENT, "NUMA", .parse = NULL },
    { "option-rom", NULL, "...", SECTION_ABSENT, "option ROMs of the user's", .parse = NULL },
    { "readconfig", NULL, "...", SECTION_ABSENT, "configuration files", .parse = NULL },
    { "runas", NULL, "...", SECTION_ABSENT, "way to change its user", .parse = NULL },
    { "s", NULL, NULL, SECTION_ABSENT, "debugger", .parse = NULL },
    { "sandbox", NULL, "...", SECTION_ABSENT, "sandbox", .parse = NULL },
    { "smbios", NULL, "...", SECTION_ABSENT, "SMBIOS tables", .parse = NULL },
    { "spice", NULL, "...", SECTION_ABSENT, "displays", .parse = NULL },
    { "trace", NULL, "...", SECTION_ABSENT, "trace points", .parse = NULL },
    { "usb", NULL, NULL, SECTION_ABSENT, "USB", .parse = NULL },
    { "vnc", NULL, "...", SECTION_ABSENT, "displays", .parse = NULL },
    { .name = NULL },
};
/* clang-format on */

/* ---- Messages ---- */

/* "-name value", cut to a readable length, on one line. */
void cli_set_source(struct cli *cli, const char *name, const char *value)
{
    int n = snprintf(cli->source, sizeof(cli->source), value ? "-%s %s" : "-%s", name, value);

    if (n >= (int)sizeof(cli->source))
        memcpy(cli->source + sizeof(cli->source) - 4, "...", 4);
}

/* A message is one line, whatever was in the value that it quotes. */
static void cli_make_printable(struct error *err)
{
    for (char *c = err->text; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
}

static bool cli_refuse_absent(const struct option *option, struct error *err)
{
    return error_set(err, "this build has no %s", option->help);
}

static bool cli_parse_none(struct cli *cli, const char *value, struct error *err)
{
    const struct option *option = cli_options;

    if (!strcmp(value, "none") || !strcmp(value, "null"))
        return true;
    while (strncmp(cli->source + 1, option->name, strlen(option->name)) ||
           cli->source[1 + strlen(option->name)] != ' ')
        option++;
    return error_set(err, "this build has no %s; only 'none' can be asked for", option->help);
}

/* ---- Parsing ---- */

static bool cli_refuse_option(const char *name, struct error *err)
{
    struct suggest suggest;

    error_set(err, "-%.64s: invalid option", name);
    suggest_init(&suggest, name);
    for (const struct option *option = cli_options; option->name; option++) {
        if (option->section == SECTION_ABSENT)
            continue;
        suggest_try(&suggest, option->name);
        if (option->alias)
            suggest_try(&suggest, option->alias);
    }
    return suggest_append(&suggest, "-", err);
}

static const struct option *cli_find_option(const char *name, struct error *err)
{
    for (const struct option *option = cli_options; option->name; option++)
        if (!strcmp(option->name, name) || (option->alias && !strcmp(option->alias, name)))
            return option;
    cli_refuse_option(name, err);
    return NULL;
}

static bool cli_set_simple(struct cli *cli, const struct option *option, const char *value)
{
    void *member = (char *)cli->config + option->offset;

    if (option->type == KEY_BOOL)
        *(bool *)member = true;
    else
        key_replace_string(member, value);
    return true;
}

static bool cli_apply(struct cli *cli, const struct option *option, const char *value,
                      struct error *err)
{
    if (option->parse)
        return option->parse(cli, value, err);
    if (option->section == SECTION_ABSENT)
        return cli_refuse_absent(option, err);
    return cli_set_simple(cli, option, value);
}

static bool cli_refuse_word(const char *word, struct error *err)
{
    return error_set(
        err,
        "%.64s: options begin with '-'; a bare word would be a disk image, and this build has no "
        "block devices",
        word[0] ? word : "''");
}

/* One option with its value at argv[*at]; moves *at past it. */
static bool cli_parse_option(struct cli *cli, int argc, char **argv, int *at, struct error *err)
{
    const char *name = argv[(*at)++], *value = NULL;
    const struct option *option;

    if (name[0] != '-' || !name[1])
        return cli_refuse_word(name, err);
    name += name[1] == '-' ? 2 : 1;
    option = cli_find_option(name, err);
    if (!option)
        return false;
    if (option->argument && *at == argc)
        return error_set(err, "-%s: requires an argument: %s", name, option->argument);
    if (option->argument)
        value = argv[(*at)++];
    cli_set_source(cli, name, value);
    return cli_apply(cli, option, value, err) || error_prefix(err, "%s: ", cli->source);
}

static bool cli_finish_accels(struct cli *cli, struct error *err)
{
    if (cli->accel_by_option && cli->accel_by_machine)
        return error_set(
            err, "-accel: cannot be combined with -M accel= and -enable-kvm: use one of them");
    return true;
}

static bool cli_finish_cpu(struct cli *cli, struct error *err)
{
    const struct cpu_config *cpu = &cli->config->cpu;

    if (!cli->hooks || !cli->hooks->cpu_check || cli->hooks->cpu_check(cpu, err))
        return true;
    return error_prefix(err, "%s: ", cli->cpu_source[0] ? cli->cpu_source : "-cpu (default)");
}

static bool cli_finish_boot(const struct config *config, struct error *err)
{
    if (!config->kernel && config->initrd)
        return error_set(err, "-initrd: only allowed with -kernel");
    if (!config->kernel && config->append)
        return error_set(err, "-append: only allowed with -kernel");
    return true;
}

static bool cli_finish(struct cli *cli, struct error *err)
{
    return cli_finish_accels(cli, err) && cli_finish_smp(cli, err) && cli_finish_memory(cli, err) &&
           cli_finish_boot(cli->config, err) && cli_finish_cpu(cli, err) &&
           cli_finish_blocks(cli, err) && cli_finish_globals(cli, err) &&
           cli_finish_chardevs(cli, err) && cli_finish_devices(cli, err);
}

static enum cli_result cli_run(struct cli *cli, int argc, char **argv, struct error *err)
{
    int at = 1;

    while (at < argc) {
        if (!cli_parse_option(cli, argc, argv, &at, err))
            return CLI_ERROR;
        if (cli->done)
            return CLI_DONE;
    }
    return cli_finish(cli, err) ? CLI_RUN : CLI_ERROR;
}

static void cli_fini(struct cli *cli)
{
    for (unsigned i = 0; i < cli->global_count; i++) {
        free(cli->globals[i].driver);
        free(cli->globals[i].property);
        free(cli->globals[i].value);
    }
}

enum cli_result cli_parse(int argc, char **argv, const struct cli_hooks *hooks,
                          struct config *config, struct error *err)
{
    struct cli cli = { .config = config, .hooks = hooks };
    enum cli_result result = cli_run(&cli, argc, argv, err);

    if (result == CLI_ERROR)
        cli_make_printable(err);
    cli_fini(&cli);
    return result;
}
