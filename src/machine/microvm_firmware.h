/* SPDX-License-Identifier: MIT */
/* The firmware's side of the microvm machine: its image, and what it finds in the fw_cfg device. */
#pragma once

#include "base/error.h"
#include "boot/acpi.h"
#include "boot/boot.h"
#include "boot/firmware.h"
#include "boot/firmware_acpi.h"
#include "boot/firmware_kernel.h"
#include "boot/option_rom.h"
#include "cli/config.h"

#define MICROVM_BOOTORDER_MAX 4096u

struct fw_cfg;

struct microvm_firmware {
    bool used; /* else the kernel is booted directly */
    bool acpi;
    struct firmware image;
    struct firmware_kernel kernel; /* options.kernel is NULL when there is none */
    struct acpi_tables tables;
    struct firmware_acpi script;
    struct option_rom rom;
    char bootorder[MICROVM_BOOTORDER_MAX];
    unsigned file_count;
    struct image files[CONFIG_FW_CFG_MAX]; /* -fw_cfg file= */
};

/*
 * By -bios and -kernel: shall firmware be used, and which? Opens the image and the files of the
 * kernel. False and `err`, which begins with the option at fault.
 */
bool microvm_firmware_open(struct microvm_firmware *fw, const struct config *config,
                           struct error *err) __attribute__((warn_unused_result));

/* What depends on the devices and the user's files: call it when all devices are there. */
bool microvm_firmware_publish(struct microvm_firmware *fw, const struct config *config,
                              const struct boot_machine *machine, struct fw_cfg *cfg,
                              struct error *err) __attribute__((warn_unused_result));

/* A machine_boot_fn: the image anew, an ELF kernel's segments, and the CPU at the reset vector. */
bool microvm_firmware_load(struct machine *machine, void *fw, struct cpu_boot_state *state,
                           struct error *err) __attribute__((warn_unused_result));

/* Also for a struct of zeros. */
void microvm_firmware_close(struct microvm_firmware *fw);
