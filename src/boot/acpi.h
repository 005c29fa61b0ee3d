/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables: RSDP, XSDT, FADT (hardware-reduced), MADT and DSDT (ACPI 6.4, chapter 5).
 *
 * The bytes are those of QEMU's microvm, which guests have been tested against. Tables are built
 * with offsets in place of addresses and without checksums: a direct boot links them to their
 * place with acpi_link; firmware gets them unlinked, and does the same by a loader script.
 */
#pragma once

#include "base/types.h"
#include "boot/cmdline.h"

#define ACPI_TABLES_MAX 8192u
#define ACPI_RSDP_SIZE  36u

struct acpi_config {
    const u8 *apic_ids; /* of each CPU */
    unsigned cpu_count;
    const struct boot_slot *slots; /* populated virtio transports, in the order of their devices */
    unsigned slot_count;
    bool fw_cfg;
    bool serial;
    bool rtc;
    bool ioapic2;
    const char *oem_id;       /* 6 characters; NULL: "BOCHS " */
    const char *oem_table_id; /* 8 characters; NULL: "BXPC    " */
};

struct acpi_tables {
    u8 rsdp[ACPI_RSDP_SIZE];
    u8 data[ACPI_TABLES_MAX]; /* the other tables, one after the other */
    u32 size;                 /* of data */
    u32 dsdt;                 /* where each begins in data */
    u32 fadt;
    u32 madt;
    u32 xsdt;
};

/* Build the tables, unlinked. They always fit. */
void acpi_build(struct acpi_tables *tables, const struct acpi_config *config);

/* Turn offsets into addresses for `data` at guest address `base`, and set all checksums. Once. */
void acpi_link(struct acpi_tables *tables, u32 base);
