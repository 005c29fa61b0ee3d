/* SPDX-License-Identifier: MIT */
/*
 * The loader script for the ACPI tables: allocate two blobs, turn offsets into addresses, set
 * checksums. A checksum comes after the pointers in its table, so that it covers the addresses.
 */
#include "boot/firmware_acpi.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"

/* Commands: u32 number, then the fields at these offsets. Names have 56 bytes with the NUL. */
enum firmware_command {
    COMMAND_ALLOCATE = 1,
    COMMAND_ADD_POINTER = 2,
    COMMAND_ADD_CHECKSUM = 3,
};

enum firmware_command_field {
    COMMAND_FILE = 4,
    ALLOCATE_ALIGN = 60,
    ALLOCATE_ZONE = 64,
    POINTER_SOURCE = 60,
    POINTER_OFFSET = 116,
    POINTER_SIZE = 120,
    CHECKSUM_OFFSET = 60,
    CHECKSUM_START = 64,
    CHECKSUM_LENGTH = 68,
};

enum firmware_zone {
    ZONE_HIGH = 1,
    ZONE_FSEG = 2, /* below 1 MiB, where a guest looks for the RSDP */
};

#define TABLES_ALIGN           64u
#define RSDP_ALIGN             16u

/* In the tables (ACPI 6.4, chapter 5). */
#define TABLE_LENGTH           4u
#define TABLE_CHECKSUM         9u
#define TABLE_HEADER_SIZE      36u
#define FADT_DSDT              40u
#define FADT_X_DSDT            140u
#define RSDP_CHECKSUM          8u
#define RSDP_V1_SIZE           20u
#define RSDP_XSDT              24u
#define RSDP_EXTENDED_CHECKSUM 32u

static u8 *firmware_command(struct firmware_acpi *script, enum firmware_command command,
                            const char *file)
{
    u8 *at = script->data + script->size;

    assert(script->size + FIRMWARE_ACPI_COMMAND_SIZE <= sizeof(script->data));
    script->size += FIRMWARE_ACPI_COMMAND_SIZE;
    store_le32(at, command);
    memcpy(at + COMMAND_FILE, file, strlen(file));
    return at;
}

static void firmware_allocate(struct firmware_acpi *script, const char *file, u32 align,
                              enum firmware_zone zone)
{
    u8 *command = firmware_command(script, COMMAND_ALLOCATE, file);

    store_le32(command + ALLOCATE_ALIGN, align);
    command[ALLOCATE_ZONE] = (u8)zone;
}

/* `size` bytes at `offset` of `file` are an offset into the tables. */
static void firmware_add_pointer(struct firmware_acpi *script, const char *file, u32 offset,
                                 u8 size)
{
    u8 *command = firmware_command(script, COMMAND_ADD_POINTER, file);

    memcpy(command + POINTER_SOURCE, FIRMWARE_ACPI_TABLES, strlen(FIRMWARE_ACPI_TABLES));
    store_le32(command + POINTER_OFFSET, offset);
    command[POINTER_SIZE] = size;
}

static void firmware_add_checksum(struct firmware_acpi *script, const char *file, u32 offset,
                                  u32 start, u32 length)
{
    u8 *command = firmware_command(script, COMMAND_ADD_CHECKSUM, file);

    store_le32(command + CHECKSUM_OFFSET, offset);
    store_le32(command + CHECKSUM_START, start);
    store_le32(command + CHECKSUM_LENGTH, length);
}

static void firmware_close_table(struct firmware_acpi *script, const struct acpi_tables *tables,
                                 u32 start)
{
    firmware_add_checksum(script, FIRMWARE_ACPI_TABLES, start + TABLE_CHECKSUM, start,
                          load_le32(tables->data + start + TABLE_LENGTH));
}

void firmware_acpi_build(struct firmware_acpi *script, const struct acpi_tables *tables)
{
    u32 xsdt_end = tables->xsdt + load_le32(tables->data + tables->xsdt + TABLE_LENGTH);

    memset(script, 0, sizeof(*script));
    firmware_allocate(script, FIRMWARE_ACPI_RSDP, RSDP_ALIGN, ZONE_FSEG);
    firmware_allocate(script, FIRMWARE_ACPI_TABLES, TABLES_ALIGN, ZONE_HIGH);
    firmware_close_table(script, tables, tables->dsdt);
    firmware_add_pointer(script, FIRMWARE_ACPI_TABLES, tables->fadt + FADT_DSDT, 4);
    firmware_add_pointer(script, FIRMWARE_ACPI_TABLES, tables->fadt + FADT_X_DSDT, 8);
    firmware_close_table(script, tables, tables->fadt);
    firmware_close_table(script, tables, tables->madt);
    for (u32 at = tables->xsdt + TABLE_HEADER_SIZE; at < xsdt_end; at += 8)
        firmware_add_pointer(script, FIRMWARE_ACPI_TABLES, at, 8);
    firmware_close_table(script, tables, tables->xsdt);

    firmware_add_checksum(script, FIRMWARE_ACPI_RSDP, RSDP_CHECKSUM, 0, RSDP_V1_SIZE);
    firmware_add_pointer(script, FIRMWARE_ACPI_RSDP, RSDP_XSDT, 8);
    firmware_add_checksum(script, FIRMWARE_ACPI_RSDP, RSDP_EXTENDED_CHECKSUM, 0, ACPI_RSDP_SIZE);
}
