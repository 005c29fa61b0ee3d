/* SPDX-License-Identifier: MIT */
/* -machine and -accel, with their old short forms. */
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/number.h"
#include "cli/suggest.h"

static const char *const cli_irqchip_words[] = { "on", "off", "split", NULL };
static const char *const cli_threads_words[] = { "single", "multi", NULL };

/* ---- Accelerators ---- */

static const struct {
    const char *name;
    enum accel_kind kind;
    const char *help;
} cli_accels[] = {
    { "soft", ACCEL_SOFT, "the software CPU: runs everywhere" },
    { "tcg", ACCEL_SOFT, "QEMU's name for a software CPU: the same as soft" },
    { "kvm", ACCEL_KVM, "the host's CPU, by Linux KVM" },
};

/* When blocks become host code: always, never, or at their Nth run. */
static bool cli_call_translate(struct cli *cli, void *object, const char *value, struct error *err)
{
    struct config *config = object;
    u64 runs;

    (void)cli;
    if (!strcmp(value, "always"))
        runs = 1;
    else if (!strcmp(value, "never"))
        runs = 0;
    else if (number_parse(value, UINT16_MAX, &runs) != NUMBER_OK)
        return error_set(err,
                         "Parameter 'translate' expects always, never or a number of runs up to %u",
                         UINT16_MAX);
    config->translate = (u32)runs;
    return true;
}

static const struct key cli_soft_keys[] = {
    { "thread", KEY_WORD, KEY_NOWHERE, .words = cli_threads_words },
    { .name = "tb-size", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = "split-wx", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = "one-insn-per-tb", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = "translate", .type = KEY_CALL, .call = cli_call_translate },
    { .name = NULL },
};

static bool cli_call_irqchip(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)object;
    return cli_set_kernel_irqchip(cli, value, err);
}

static const char *const cli_vmexit_words[] = { "run", "internal-error", "disable", NULL };

const struct key cli_kvm_keys[] = {
    { "device", KEY_STRING, offsetof(struct config, kvm.device),
      .help = "KVM's device (/dev/kvm)" },
    { "emulated", KEY_BOOL, offsetof(struct config, kvm.emulated),
      .help = "use KVM also where it only emulates, which is slow (off)" },
    { "kernel-irqchip", KEY_CALL, 0, .call = cli_call_irqchip, .words = cli_irqchip_words,
      .help = "what of the interrupt controllers is in the host kernel: on, off or split (split)" },
    { "kvm-shadow-mem", KEY_UINT, offsetof(struct config, kvm.shadow_mem),
      .help = "bytes for the kernel's shadow page tables (its own choice)" },
    { .name = "honor-guest-pat", .type = KEY_ON_OFF_AUTO, .offset = KEY_NOWHERE },
    { "notify-vmexit", KEY_WORD, KEY_NOWHERE, .words = cli_vmexit_words },
    { .name = "notify-window", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = "dirty-ring-size", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = NULL },
};

static const struct key_table cli_accel_tables[] = {
    [ACCEL_SOFT] = { cli_soft_keys, "Property 'tcg-accel.", "' not found", .bare_ok = true },
    [ACCEL_KVM] = { cli_kvm_keys, "Property 'kvm-accel.", "' not found", .bare_ok = true },
};

bool cli_set_kernel_irqchip(struct cli *cli, const char *value, struct error *err)
{
    static const struct key key = { "kernel-irqchip", KEY_WORD, 0, .words = cli_irqchip_words };

    if (!key_check(&key, value, err))
        return false;
    key_replace_string(&cli->config->machine.kernel_irqchip, value);
    return true;
}

static bool cli_find_accel(const char *name, enum accel_kind *kind, struct error *err)
{
    struct suggest suggest;

    suggest_init(&suggest, name);
    for (size_t i = 0; i < ARRAY_SIZE(cli_accels); i++) {
        *kind = cli_accels[i].kind;
        if (!strcmp(name, cli_accels[i].name))
            return true;
        suggest_try(&suggest, cli_accels[i].name);
    }
    error_set(err, "invalid accelerator %.64s", name);
    return suggest_append(&suggest, "", err);
}

static bool cli_add_accel(struct cli *cli, const char *name, enum accel_kind *kind,
                          struct error *err)
{
    struct config *config = cli->config;

    if (!cli_find_accel(name, kind, err))
        return false;
    if (config->accel_count == CONFIG_ACCELS_MAX)
        return error_set(err, "more than %d accelerators", CONFIG_ACCELS_MAX);
    config->accels[config->accel_count++] = *kind;
    return true;
}

/* Names with colons between, in order of preference; `kind` gets the first one's. */
static bool cli_add_accel_list(struct cli *cli, const char *list, enum accel_kind *kind,
                               struct error *err)
{
    enum accel_kind other, *to = kind;
    char name[32];

    while (true) {
        size_t length = strcspn(list, ":");

        snprintf(name, sizeof(name), "%.*s", (int)MIN(length, sizeof(name) - 1), list);
        if (!cli_add_accel(cli, name, to, err))
            return false;
        if (!list[length])
            return true;
        list += length + 1;
        to = &other;
    }
}

/* The value of -M accel=. The last such option counts. */
bool cli_add_accels(struct cli *cli, const char *list, struct error *err)
{
    enum accel_kind kind;

    if (!cli->accel_by_option)
        cli->config->accel_count = 0;
    cli->accel_by_machine = true;
    return cli_add_accel_list(cli, list, &kind, err);
}

static bool cli_accel_help(struct cli *cli)
{
    printf("Accelerators:\n");
    for (size_t i = 0; i < ARRAY_SIZE(cli_accels); i++)
        printf("  %-6s %s\n", cli_accels[i].name, cli_accels[i].help);
    printf("Properties of kvm:\n");
    key_print_help(stdout, cli_kvm_keys);
    if (cli->hooks && cli->hooks->accel_help)
        cli->hooks->accel_help();
    cli->done = true;
    return true;
}

static bool cli_parse_accel_items(struct cli *cli, const struct keyval *kv, struct error *err)
{
    const char *name = keyval_get(kv, "accel");
    enum accel_kind kind;

    if (!name)
        return error_set(err, "an accelerator is expected: soft or kvm");
    if (!cli_add_accel_list(cli, name, &kind, err))
        return false;
    for (unsigned i = 0; i < kv->count; i++)
        if (strcmp(kv->items[i].key, "accel") &&
            !key_set(cli, &cli_accel_tables[kind], cli->config, &kv->items[i], err))
            return false;
    return true;
}

bool cli_parse_accel(struct cli *cli, const char *value, struct error *err)
{
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, "accel", err);

    if (ok && keyval_wants_help(&kv))
        ok = cli_accel_help(cli);
    else if (ok)
        ok = cli_parse_accel_items(cli, &kv, err);
    cli->accel_by_option = true;
    keyval_fini(&kv);
    return ok;
}

/* As -M accel=kvm; but those who write this line want a machine that runs, with KVM if possible. */
bool cli_parse_enable_kvm(struct cli *cli, const char *value, struct error *err)
{
    (void)value;
    cli->config->accel_fallback = true;
    return cli_add_accels(cli, "kvm", err);
}

/* ---- The machine ---- */

static bool cli_machine_type(struct cli *cli, void *object, const char *value, struct error *err)
{
    struct suggest suggest;

    (void)cli;
    (void)object;
    if (!strcmp(value, "microvm"))
        return true;
    error_set(err, "unsupported machine type '%.64s'", value);
    suggest_init(&suggest, value);
    suggest_try(&suggest, "microvm");
    if (suggest.best)
        return suggest_append(&suggest, "", err);
    return error_set(err, "unsupported machine type '%.64s': the one supported is microvm", value);
}

static bool cli_machine_accel(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)object;
    return cli_add_accels(cli, value, err);
}

/* PCI Express and USB are not to be had; saying so is fine. */
static bool cli_machine_never(const char *name, const char *value, const char *what,
                              struct error *err)
{
    bool on;

    if (!strcmp(value, "auto") || (key_parse_bool(value, &on) && !on))
        return true;
    return error_set(err,
                     "Parameter '%s' does not accept value '%.64s', but off: this build has no %s",
                     name, value, what);
}

static bool cli_machine_pcie(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)cli;
    (void)object;
    return cli_machine_never("pcie", value, "PCI Express", err);
}

static bool cli_machine_usb(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)cli;
    (void)object;
    return cli_machine_never("usb", value, "USB", err);
}

static bool cli_machine_object(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)cli;
    (void)object;
    return error_set(err, "there is no object '%.64s': this build has no objects", value);
}

static bool cli_machine_dtb(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)cli;
    (void)object;
    (void)value;
    return error_set(err, "this build passes no device tree to the guest");
}

/* Padded with blanks to the width of the field, as ACPI has them. */
static bool cli_machine_oem(char **string, const char *name, const char *value, int width,
                            struct error *err)
{
    char padded[16];

    if (strlen(value) > (size_t)width)
        return error_set(err, "Parameter '%s' expects at most %d characters", name, width);
    snprintf(padded, sizeof(padded), "%-*s", width, value);
    key_replace_string(string, padded);
    return true;
}

static bool cli_machine_oem_id(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)object;
    return cli_machine_oem(&cli->config->machine.oem_id, "x-oem-id", value, 6, err);
}

static bool cli_machine_oem_table_id(struct cli *cli, void *object, const char *value,
                                     struct error *err)
{
    (void)object;
    return cli_machine_oem(&cli->config->machine.oem_table_id, "x-oem-table-id", value, 8, err);
}

#define MACHINE(member) offsetof(struct config, machine.member)

/* Sorted by name, as -M microvm,help shows them. */
const struct key cli_machine_keys[] = {
    { "accel", KEY_CALL, .call = cli_machine_accel,
      .help = "accelerators in order of preference, with colons between: soft, kvm" },
    { "acpi", KEY_ON_OFF_AUTO, MACHINE(acpi),
      .help = "ACPI tables and the event device (auto: on)" },
    { "append", KEY_STRING, offsetof(struct config, append), .help = "as -append" },
    { "auto-kernel-cmdline", KEY_BOOL, MACHINE(auto_kernel_cmdline),
      .help = "with acpi=off, tell the kernel the virtio devices on its command line" },
    { .name = "bus-lock-ratelimit", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { "confidential-guest-support", KEY_CALL, .call = cli_machine_object },
    { .name = "dt-compatible", .type = KEY_STRING, .offset = KEY_NOWHERE },
    { "dtb", KEY_CALL, .call = cli_machine_dtb },
    { .name = "dump-guest-core", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { "dumpdtb", KEY_CALL, .call = cli_machine_dtb },
    { "firmware", KEY_STRING, offsetof(struct config, bios), .help = "as -bios" },
    { "graphics", KEY_BOOL, MACHINE(graphics),
      .help = "off: firmware uses the serial port as its console" },
    { .name = "hpet", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { "hugepages", KEY_BOOL, MACHINE(hugepages),
      .help = "ask the host for huge pages for guest memory (off)" },
    { "initrd", KEY_STRING, offsetof(struct config, initrd), .help = "as -initrd" },
    { "ioapic2", KEY_ON_OFF_AUTO, MACHINE(ioapic2),
      .help = "a second IOAPIC, for 24 virtio devices (auto: on with acpi=on)" },
    { "isa-serial", KEY_BOOL, MACHINE(isa_serial), .help = "COM1, if there is a -serial for it" },
    { "kernel", KEY_STRING, offsetof(struct config, kernel), .help = "as -kernel" },
    { "kernel-decompress", KEY_BOOL, MACHINE(kernel_decompress),
      .help = "unpack a compressed kernel on the host, which is faster" },
    { "kernel-irqchip", KEY_CALL, .call = cli_call_irqchip, .words = cli_irqchip_words,
      .help =
          "with KVM, what of the interrupt controllers is in the host kernel: on, off or split" },
    { "mem-merge", KEY_BOOL, MACHINE(mem_merge),
      .help = "let the host merge pages of guest memory with equal ones (off)" },
    { "memory-backend", KEY_CALL, .call = cli_machine_object },
    { "memory-encryption", KEY_CALL, .call = cli_machine_object },
    { "pcie", KEY_CALL, .call = cli_machine_pcie,
      .help = "PCI Express; off, the one value possible" },
    { .name = "phandle-start", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { "pic", KEY_ON_OFF_AUTO, MACHINE(pic), .help = "the pair of i8259 (auto: on)" },
    { "pit", KEY_ON_OFF_AUTO, MACHINE(pit), .help = "the i8254 timer (auto: on)" },
    { "rtc", KEY_ON_OFF_AUTO, MACHINE(rtc),
      .help = "the MC146818 clock (auto: on, but off with KVM)" },
    { "sgx-epc", KEY_CALL, .call = cli_machine_object },
    { .name = "smm", .type = KEY_ON_OFF_AUTO, .offset = KEY_NOWHERE },
    { .name = "suppress-vmdesc", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { "type", KEY_CALL, .call = cli_machine_type, .help = "microvm, the one type there is" },
    { "usb", KEY_CALL, .call = cli_machine_usb, .help = "USB; off, the one value possible" },
    { "x-oem-id", KEY_CALL, .call = cli_machine_oem_id,
      .help = "OEM ID of the ACPI tables, at most 6 characters" },
    { "x-oem-table-id", KEY_CALL, .call = cli_machine_oem_table_id,
      .help = "OEM table ID of the ACPI tables, at most 8 characters" },
    { "x-option-roms", KEY_BOOL, MACHINE(x_option_roms),
      .help = "offer option ROMs to the firmware" },
    { .name = NULL },
};

static const struct key_table cli_machine_table = { cli_machine_keys, "Property 'microvm-machine.",
                                                    "' not found", .bare_ok = false };

/*
 * -M smp.KEY, -M memory.KEY and -M boot.KEY are the options of these names, spelled by way of the
 * machine.
 */
static bool cli_set_machine(struct cli *cli, const struct keyval_item *item, struct error *err)
{
    struct keyval_item inner = *item;

    if (!strncmp(item->key, "smp.", 4)) {
        inner.key += 4;
        return cli_set_smp(cli, &inner, err);
    }
    if (!strncmp(item->key, "memory.", 7)) {
        inner.key += 7;
        return cli_set_memory(cli, &inner, err);
    }
    if (!strncmp(item->key, "boot.", 5)) {
        inner.key += 5;
        return cli_set_boot(cli, &inner, err);
    }
    return key_set(cli, &cli_machine_table, cli->config, item, err);
}

static bool cli_machine_help(struct cli *cli, const struct keyval *kv)
{
    if (keyval_is_help(kv->items[0].value)) {
        printf("Supported machines are:\n"
               "microvm              the minimal virtual machine (default)\n");
    } else {
        printf("microvm-machine options:\n");
        key_print_help(stdout, cli_machine_keys);
    }
    cli->done = true;
    return true;
}

bool cli_parse_machine(struct cli *cli, const char *value, struct error *err)
{
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, "type", err);

    if (ok && keyval_wants_help(&kv))
        ok = cli_machine_help(cli, &kv);
    else
        for (unsigned i = 0; ok && i < kv.count; i++)
            ok = cli_set_machine(cli, &kv.items[i], err);
    keyval_fini(&kv);
    return ok;
}

bool cli_parse_no_acpi(struct cli *cli, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    cli->config->machine.acpi = OOA_OFF;
    return true;
}
