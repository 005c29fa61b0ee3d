/* SPDX-License-Identifier: MIT */
/* What firmware gets: the wiring between src/boot's bytes and the fw_cfg device. docs/firmware.md lists it. */
#include "machine/microvm_firmware.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/fw_cfg.h"

/* --- Which firmware --- */

static bool microvm_firmware_none(const struct config *config, struct error *err)
{
    if (config->kernel)
        return true;
    return error_set(err,
                     "-kernel: missing; give a Linux bzImage, or an ELF kernel with a PVH note");
}

/* Without -kernel and -bios. */
static bool microvm_firmware_default(struct microvm_firmware *fw, const struct config *config,
                                     struct error *err)
{
    fw->used = firmware_open(&fw->image, FIRMWARE_DEFAULT, config->firmware_dirs,
                             config->firmware_dir_count, err);
    if (fw->used) {
        log_warn("there is no -kernel, and %s boots nothing else; -bios seabios boots disks",
                 FIRMWARE_DEFAULT);
        return true;
    }
    return error_set(err,
                     "-kernel: missing; give a Linux bzImage, an ELF kernel with a PVH note, or "
                     "firmware by -bios");
}

static bool microvm_firmware_open_image(struct microvm_firmware *fw, const struct config *config,
                                        struct error *err)
{
    if (config->bios && !strcmp(config->bios, "none"))
        return microvm_firmware_none(config, err);
    if (!config->bios)
        return config->kernel || microvm_firmware_default(fw, config, err);
    fw->used = firmware_open(&fw->image, config->bios, config->firmware_dirs,
                             config->firmware_dir_count, err);
    return fw->used || error_prefix(err, "-bios %s: ", config->bios);
}

static bool microvm_firmware_open_kernel(struct microvm_firmware *fw, const struct config *config,
                                         struct error *err)
{
    return !config->kernel ||
           firmware_kernel_open(&fw->kernel,
                                &(struct firmware_kernel_options){
                                    .kernel = config->kernel,
                                    .initrd = config->initrd,
                                    .append = config->append,
                                    .ram_below_4g = MIN(config->ram_size, MAP_RAM_BELOW_4G_MAX),
                                },
                                err);
}

/* SeaBIOS finds disks by ACPI; with a kernel, it is the kernel's wish that counts. */
static bool microvm_firmware_acpi(const struct microvm_firmware *fw, const struct config *config)
{
    if (config->machine.acpi != OOA_AUTO)
        return config->machine.acpi == OOA_ON;
    return !config->kernel || firmware_kernel_wants_acpi(&fw->kernel);
}

bool microvm_firmware_open(struct microvm_firmware *fw, const struct config *config,
                           struct error *err)
{
    if (!microvm_firmware_open_image(fw, config, err))
        return false;
    if (!fw->used)
        return true;
    if (!microvm_firmware_open_kernel(fw, config, err))
        return false;
    fw->acpi = microvm_firmware_acpi(fw, config);
    return true;
}

/* --- What it finds --- */

static void microvm_firmware_add_kernel(struct microvm_firmware *fw, struct fw_cfg *cfg)
{
    const struct firmware_kernel *k = &fw->kernel;

    fw_cfg_add_u32(cfg, FW_CFG_KERNEL_ADDR, k->kernel_addr);
    fw_cfg_add_u32(cfg, FW_CFG_KERNEL_SIZE, k->kernel_size);
    fw_cfg_add_u32(cfg, FW_CFG_CMDLINE_SIZE, (u32)strlen(k->cmdline) + 1);
    fw_cfg_add_string(cfg, FW_CFG_CMDLINE_DATA, k->cmdline);
    fw_cfg_add_u32(cfg, FW_CFG_SETUP_SIZE, k->setup_size);
    fw_cfg_add_bytes(cfg, FW_CFG_SETUP_DATA, k->setup, k->setup_size, FW_CFG_BORROW);
    if (k->kind == IMAGE_ELF) {
        fw_cfg_add_u32(cfg, FW_CFG_KERNEL_ENTRY, k->kernel_entry);
    } else {
        fw_cfg_add_bytes(cfg, FW_CFG_KERNEL_DATA, k->kernel, k->kernel_size, FW_CFG_BORROW);
        fw_cfg_add_u32(cfg, FW_CFG_CMDLINE_ADDR, k->cmdline_addr);
        fw_cfg_add_u32(cfg, FW_CFG_SETUP_ADDR, k->setup_addr);
    }
    if (!k->initrd_file.size)
        return;
    fw_cfg_add_u32(cfg, FW_CFG_INITRD_ADDR, k->initrd_addr);
    fw_cfg_add_u32(cfg, FW_CFG_INITRD_SIZE, (u32)k->initrd_file.size);
    fw_cfg_add_bytes(cfg, FW_CFG_INITRD_DATA, k->initrd_file.data, k->initrd_file.size,
                     FW_CFG_BORROW);
}

static bool microvm_firmware_add_acpi(struct microvm_firmware *fw,
                                      const struct boot_machine *machine, struct fw_cfg *cfg,
                                      struct error *err)
{
    if (!fw->acpi)
        return true;
    boot_build_acpi(machine, &fw->tables);
    firmware_acpi_build(&fw->script, &fw->tables);
    return fw_cfg_add_file(cfg, FIRMWARE_ACPI_RSDP, fw->tables.rsdp, sizeof(fw->tables.rsdp),
                           FW_CFG_BORROW, err) &&
           fw_cfg_add_file(cfg, FIRMWARE_ACPI_TABLES, fw->tables.data, fw->tables.size,
                           FW_CFG_BORROW, err) &&
           fw_cfg_add_file(cfg, FIRMWARE_ACPI_LOADER, fw->script.data, fw->script.size,
                           FW_CFG_BORROW, err);
}

static bool microvm_firmware_add_rom(struct microvm_firmware *fw, struct fw_cfg *cfg,
                                     struct error *err)
{
    if (fw->kernel.kind == IMAGE_ELF)
        option_rom_pvh(&fw->rom);
    else
        option_rom_linuxboot(&fw->rom);
    return fw_cfg_add_file(cfg, fw->rom.file, fw->rom.data, fw->rom.size, FW_CFG_BORROW, err);
}

/* -fw_cfg */
static bool microvm_firmware_add_files(struct microvm_firmware *fw, const struct config *config,
                                       struct fw_cfg *cfg, struct error *err)
{
    for (unsigned i = 0; i < config->fw_cfg_count; i++) {
        const struct fw_cfg_config *c = &config->fw_cfg[i];
        struct image *file = &fw->files[fw->file_count];
        bool ok;

        if (c->file && !image_open(file, "-fw_cfg", c->file, err))
            return false;
        fw->file_count++;
        ok = c->file
                 ? fw_cfg_add_file(cfg, c->name, file->data, file->size, FW_CFG_BORROW, err)
                 : fw_cfg_add_file(cfg, c->name, c->string, strlen(c->string), FW_CFG_BORROW, err);
        if (!ok)
            return error_prefix(err, "-fw_cfg %s: ", c->name);
    }
    return true;
}

/* --- Boot order: a line for each device with a bootindex, in their order --- */

struct microvm_boot_entry {
    u64 index;
    char path[64];
};

static int microvm_compare_boot_entries(const void *a, const void *b)
{
    const struct microvm_boot_entry *left = a, *right = b;

    return left->index < right->index ? -1 : left->index > right->index;
}

static bool microvm_has_slot(const struct device_config *d)
{
    return !strncmp(d->model, "virtio-", 7) || !strncmp(d->model, "vhost-", 6);
}

/* The n-th virtio device of the command line is in the n-th slot that was used. */
static unsigned microvm_list_boot_entries(const struct config *config,
                                          const struct boot_machine *machine,
                                          struct microvm_boot_entry entries[CONFIG_DEVICES_MAX])
{
    unsigned count = 0, slot = 0;

    for (unsigned i = 0; i < config->device_count; i++) {
        const struct device_config *d = &config->devices[i];

        if (!microvm_has_slot(d) || slot == machine->slot_count)
            continue;
        slot++;
        if (!device_config_get(d, "bootindex"))
            continue;
        entries[count].index = device_config_uint(d, "bootindex", 0);
        snprintf(entries[count].path, sizeof(entries[count].path),
                 "/virtio-mmio@%016" PRIx64 "/%s@0%s", machine->slots[slot - 1].base,
                 strcmp(d->model, "virtio-blk-device") ? "ethernet-phy" : "disk",
                 strcmp(d->model, "virtio-blk-device") ? "" : ",0");
        count++;
    }
    qsort(entries, count, sizeof(entries[0]), microvm_compare_boot_entries);
    return count;
}

static bool microvm_firmware_add_bootorder(struct microvm_firmware *fw, const struct config *config,
                                           const struct boot_machine *machine, struct fw_cfg *cfg,
                                           struct error *err)
{
    struct microvm_boot_entry entries[CONFIG_DEVICES_MAX] = { 0 };
    unsigned count = microvm_list_boot_entries(config, machine, entries);
    size_t at = 0;

    static_assert(CONFIG_DEVICES_MAX * sizeof(entries[0]) + 80 < sizeof(fw->bootorder), "they fit");
    if (fw->rom.size)
        at += (size_t)snprintf(fw->bootorder, sizeof(fw->bootorder), "/rom@%s", fw->rom.file);
    for (unsigned i = 0; i < count; i++)
        at += (size_t)snprintf(fw->bootorder + at, sizeof(fw->bootorder) - at, "%s%s",
                               at ? "\n" : "", entries[i].path);
    return fw_cfg_add_file(cfg, "bootorder", fw->bootorder, at ? at + 1 : 0, FW_CFG_BORROW, err);
}

/* What only firmware reads. */
static bool microvm_firmware_add_boot(struct microvm_firmware *fw, const struct config *config,
                                      const struct boot_machine *machine, struct fw_cfg *cfg,
                                      struct error *err)
{
    bool append_slots = config->machine.auto_kernel_cmdline && !fw->acpi;
    struct boot_slot slots[BOOT_SLOTS_MAX];

    if (config->kernel) {
        boot_sort_slots(machine, slots);
        firmware_kernel_describe(&fw->kernel, slots, append_slots ? machine->slot_count : 0);
        microvm_firmware_add_kernel(fw, cfg);
        if (config->machine.x_option_roms && !microvm_firmware_add_rom(fw, cfg, err))
            return false;
    }
    return microvm_firmware_add_acpi(fw, machine, cfg, err);
}

bool microvm_firmware_publish(struct microvm_firmware *fw, const struct config *config,
                              const struct boot_machine *machine, struct fw_cfg *cfg,
                              struct error *err)
{
    return (!fw->used || microvm_firmware_add_boot(fw, config, machine, cfg, err)) &&
           microvm_firmware_add_bootorder(fw, config, machine, cfg, err) &&
           microvm_firmware_add_files(fw, config, cfg, err);
}

/* --- Life --- */

bool microvm_firmware_load(struct machine *machine, void *arg, struct cpu_boot_state *state,
                           struct error *err)
{
    const struct microvm_firmware *fw = arg;

    state->mode = BOOT_MODE_RESET;
    firmware_load(&fw->image, &machine->ram);
    return firmware_kernel_load(&fw->kernel, &machine->ram, err);
}

void microvm_firmware_close(struct microvm_firmware *fw)
{
    firmware_close(&fw->image);
    firmware_kernel_free(&fw->kernel);
    for (unsigned i = 0; i < fw->file_count; i++)
        image_close(&fw->files[i]);
}
