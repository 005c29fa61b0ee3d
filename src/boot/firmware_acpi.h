/* SPDX-License-Identifier: MIT */
/*
 * The loader script: how firmware brings the ACPI tables into memory (QEMU's
 * docs/specs/acpi_bits and hw/acpi linker-loader interface: "etc/table-loader").
 */
#pragma once

#include "base/types.h"
#include "boot/acpi.h"

/* Names of the files in the firmware configuration device. */
#define FIRMWARE_ACPI_LOADER       "etc/table-loader"
#define FIRMWARE_ACPI_TABLES       "etc/acpi/tables"
#define FIRMWARE_ACPI_RSDP         "etc/acpi/rsdp"

#define FIRMWARE_ACPI_COMMAND_SIZE 128u
#define FIRMWARE_ACPI_COMMANDS_MAX 16u

struct firmware_acpi {
    u8 data[FIRMWARE_ACPI_COMMANDS_MAX * FIRMWARE_ACPI_COMMAND_SIZE];
    u32 size;
};

/* The script for `tables`, which acpi_build made and nobody has linked. */
void firmware_acpi_build(struct firmware_acpi *script, const struct acpi_tables *tables);
