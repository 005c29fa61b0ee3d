/* SPDX-License-Identifier: MIT */
/* The ACPI tables. Section numbers are those of ACPI 6.4. */
#include "boot/acpi.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/aml.h"
#include "boot/checksum.h"
#include "machine/map.h"

#define ACPI_OEM_ID              "BOCHS "
#define ACPI_OEM_TABLE_ID        "BXPC    "
#define ACPI_CREATOR_ID          "BXPC"

/* 5.2.6: description header. */
#define ACPI_HDR_SIZE            36u
#define ACPI_HDR_LENGTH          4u
#define ACPI_HDR_CHECKSUM        9u

/* 5.2.5.3: RSDP. */
#define ACPI_RSDP_CHECKSUM       8u
#define ACPI_RSDP_OEM            9u
#define ACPI_RSDP_REVISION       15u
#define ACPI_RSDP_LENGTH         20u
#define ACPI_RSDP_XSDT           24u
#define ACPI_RSDP_EXT_CHECKSUM   32u
#define ACPI_RSDP_V1_SIZE        20u /* what the first checksum covers */

/* 5.2.9: FADT, revision 5. */
#define ACPI_FADT_SIZE           268u
#define ACPI_FADT_DSDT           40u
#define ACPI_FADT_FLAGS          112u
#define ACPI_FADT_RESET_REG      116u
#define ACPI_FADT_RESET_VALUE    128u
#define ACPI_FADT_X_DSDT         140u
#define ACPI_FADT_SLEEP_CONTROL  244u
#define ACPI_FADT_SLEEP_STATUS   256u
#define ACPI_FADT_RESET_REG_SUP  BIT(10)
#define ACPI_FADT_HW_REDUCED     BIT(20)
#define ACPI_GED_RESET_VALUE     0x42u
#define ACPI_GED_SLEEP_CONTROL   (MAP_GED_REGS + 0)
#define ACPI_GED_SLEEP_STATUS    (MAP_GED_REGS + 1)
#define ACPI_GED_RESET           (MAP_GED_REGS + 2)
#define ACPI_GED_EVENT_POWER     0x02u
#define ACPI_GED_EVENT_SIZE      4u
#define ACPI_NOTIFY_POWER_BUTTON 0x80u /* 5.6.6, table 5-166: S0 power button pressed */

/* 5.2.12: MADT. */
#define ACPI_MADT_PCAT_COMPAT    BIT(0)
#define ACPI_MADT_LAPIC          0u
#define ACPI_MADT_IOAPIC         1u
#define ACPI_MADT_LAPIC_NMI      4u
#define ACPI_MADT_CPU_ENABLED    BIT(0)
#define ACPI_MADT_ALL_CPUS       0xFFu
#define ACPI_IOAPIC_PINS         24u
#define ACPI_MADT_SIZE_LAPIC     8u
#define ACPI_MADT_SIZE_IOAPIC    12u
#define ACPI_MADT_SIZE_NMI       6u

/* 20.2.5: what the DSDT needs beyond the objects of aml.h. */
#define AML_SCOPE_OP             0x10u
#define AML_PACKAGE_OP           0x12u
#define AML_METHOD_OP            0x14u
#define AML_LOCAL0_OP            0x60u
#define AML_STORE_OP             0x70u
#define AML_AND_OP               0x7Bu
#define AML_NOTIFY_OP            0x86u
#define AML_LEQUAL_OP            0x93u
#define AML_IF_OP                0xA0u
#define AML_EXT_OP_REGION        0x80u
#define AML_EXT_FIELD            0x81u
#define AML_NO_TARGET            0x00u
#define AML_SYSTEM_MEMORY        0x00u
#define AML_FIELD_DWORD          0x03u /* access type */
#define AML_FIELD_ZEROS          0x40u /* update rule: write as zeros */
#define AML_METHOD_1_ARG         0x01u
#define AML_METHOD_SERIAL        0x08u
#define AML_ROOT                 0x5Cu
#define AML_NULL_NAME            0x00u
#define AML_SLEEP_TYPE_S5        5u
#define ACPI_STA_ENABLED         0x0Bu /* 6.3.7: present, enabled, functioning, not shown */
#define ACPI_STA_SHOWN           0x0Fu

#define ACPI_FW_CFG_SIZE         0x0Cu
#define ACPI_COM1_SIZE           8u
#define ACPI_RTC_SIZE            8u

/* Begin a table at the end of the blob; its length and checksum come later. */
static u32 acpi_open(struct aml *aml, const struct acpi_config *config, const char *signature,
                     u8 revision)
{
    u32 start = (u32)aml->size;

    aml_bytes(aml, signature, 4);
    aml_dword(aml, 0);
    aml_byte(aml, revision);
    aml_byte(aml, 0);
    aml_bytes(aml, config->oem_id ? config->oem_id : ACPI_OEM_ID, 6);
    aml_bytes(aml, config->oem_table_id ? config->oem_table_id : ACPI_OEM_TABLE_ID, 8);
    aml_dword(aml, 1); /* OEM revision */
    aml_bytes(aml, ACPI_CREATOR_ID, 4);
    aml_dword(aml, 1); /* creator revision */
    return start;
}

static void acpi_close(struct aml *aml, u32 start)
{
    store_le32(aml->data + start + ACPI_HDR_LENGTH, (u32)aml->size - start);
}

static void acpi_dsdt_fw_cfg(struct aml *aml)
{
    size_t device = aml_open_device(aml, "FWCF");
    size_t resources;

    aml_name_string(aml, "_HID", "QEMU0002");
    aml_name_integer(aml, "_STA", ACPI_STA_ENABLED);
    resources = aml_open_resources(aml);
    aml_resource_io(aml, MAP_PORT_FW_CFG, 1, ACPI_FW_CFG_SIZE);
    aml_close_resources(aml, resources);
    aml_close(aml, device);
}

static void acpi_dsdt_com1(struct aml *aml)
{
    size_t device = aml_open_device(aml, "COM1");
    size_t resources;

    aml_name_eisa_id(aml, "_HID", "PNP0501");
    aml_name_integer(aml, "_UID", 1);
    aml_name_integer(aml, "_STA", ACPI_STA_SHOWN);
    resources = aml_open_resources(aml);
    aml_resource_io(aml, MAP_PORT_COM1, 0, ACPI_COM1_SIZE);
    aml_resource_irq(aml, MAP_GSI_COM1);
    aml_close_resources(aml, resources);
    aml_close(aml, device);
}

static void acpi_dsdt_rtc(struct aml *aml)
{
    size_t device = aml_open_device(aml, "RTC");
    size_t resources;

    aml_name_eisa_id(aml, "_HID", "PNP0B00");
    resources = aml_open_resources(aml);
    aml_resource_io(aml, MAP_PORT_RTC, 1, ACPI_RTC_SIZE);
    aml_resource_irq(aml, MAP_GSI_RTC);
    aml_close_resources(aml, resources);
    aml_close(aml, device);
}

/* OperationRegion(EREG, SystemMemory, ...) and Field(EREG) { ESEL, 32 }: the pending events. */
static void acpi_dsdt_ged_region(struct aml *aml)
{
    size_t field;

    aml_byte(aml, 0x5B);
    aml_byte(aml, AML_EXT_OP_REGION);
    aml_segment(aml, "EREG");
    aml_byte(aml, AML_SYSTEM_MEMORY);
    aml_integer(aml, MAP_GED_EVENT);
    aml_integer(aml, ACPI_GED_EVENT_SIZE);

    field = aml_open_extended(aml, AML_EXT_FIELD);
    aml_segment(aml, "EREG");
    aml_byte(aml, AML_FIELD_DWORD | AML_FIELD_ZEROS);
    aml_segment(aml, "ESEL");
    aml_byte(aml, 8 * ACPI_GED_EVENT_SIZE);
    aml_close(aml, field);
}

/* Method(_EVT, 1, Serialized) { Local0 = ESEL; If ((Local0 & 2) == 2) { Notify(PWRB, 0x80) } } */
static void acpi_dsdt_ged_event(struct aml *aml)
{
    size_t method = aml_open(aml, AML_METHOD_OP);
    size_t branch;

    aml_segment(aml, "_EVT");
    aml_byte(aml, AML_METHOD_1_ARG | AML_METHOD_SERIAL);
    aml_byte(aml, AML_STORE_OP);
    aml_segment(aml, "ESEL");
    aml_byte(aml, AML_LOCAL0_OP);

    branch = aml_open(aml, AML_IF_OP);
    aml_byte(aml, AML_LEQUAL_OP);
    aml_byte(aml, AML_AND_OP);
    aml_byte(aml, AML_LOCAL0_OP);
    aml_integer(aml, ACPI_GED_EVENT_POWER);
    aml_byte(aml, AML_NO_TARGET);
    aml_integer(aml, ACPI_GED_EVENT_POWER);
    aml_byte(aml, AML_NOTIFY_OP);
    aml_segment(aml, "PWRB");
    aml_integer(aml, ACPI_NOTIFY_POWER_BUTTON);
    aml_close(aml, branch);
    aml_close(aml, method);
}

static void acpi_dsdt_ged(struct aml *aml)
{
    size_t device = aml_open_device(aml, "GED");
    size_t resources;

    aml_name_string(aml, "_HID", "ACPI0013");
    aml_name_string(aml, "_UID", "GED");
    resources = aml_open_resources(aml);
    aml_resource_interrupt(aml, MAP_GSI_GED, true);
    aml_close_resources(aml, resources);
    acpi_dsdt_ged_region(aml);
    acpi_dsdt_ged_event(aml);
    aml_close(aml, device);

    device = aml_open_device(aml, "PWRB");
    aml_name_string(aml, "_HID", "PNP0C0C");
    aml_name_integer(aml, "_UID", 0);
    aml_close(aml, device);
}

static void acpi_dsdt_virtio(struct aml *aml, const struct boot_slot *slot)
{
    unsigned number = (unsigned)((slot->base - MAP_VIRTIO_MMIO) / MAP_VIRTIO_MMIO_SIZE);
    size_t device, resources;
    char name[8];

    assert(number < MAP_VIRTIO_SLOTS_IOAPIC2);
    snprintf(name, sizeof(name), "VR%02u", number % 100);
    device = aml_open_device(aml, name);
    aml_name_string(aml, "_HID", "LNRO0005");
    aml_name_integer(aml, "_UID", number);
    aml_name_integer(aml, "_CCA", 1);
    resources = aml_open_resources(aml);
    aml_resource_memory32(aml, (u32)slot->base, MAP_VIRTIO_MMIO_SIZE);
    aml_resource_interrupt(aml, slot->gsi, false);
    aml_close_resources(aml, resources);
    aml_close(aml, device);
}

static void acpi_build_dsdt(struct acpi_tables *tables, struct aml *aml,
                            const struct acpi_config *config)
{
    size_t scope, package;

    tables->dsdt = acpi_open(aml, config, "DSDT", 2);
    scope = aml_open(aml, AML_SCOPE_OP);
    aml_segment(aml, "_SB");
    if (config->fw_cfg)
        acpi_dsdt_fw_cfg(aml);
    if (config->serial)
        acpi_dsdt_com1(aml);
    if (config->rtc)
        acpi_dsdt_rtc(aml);
    acpi_dsdt_ged(aml);
    for (unsigned i = 0; i < config->slot_count; i++)
        acpi_dsdt_virtio(aml, &config->slots[i]);
    aml_close(aml, scope);

    scope = aml_open(aml, AML_SCOPE_OP);
    aml_byte(aml, AML_ROOT);
    aml_byte(aml, AML_NULL_NAME);
    aml_name(aml, "_S5");
    package = aml_open(aml, AML_PACKAGE_OP);
    aml_byte(aml, 4);
    aml_integer(aml, AML_SLEEP_TYPE_S5);
    for (unsigned i = 0; i < 3; i++)
        aml_integer(aml, 0);
    aml_close(aml, package);
    aml_close(aml, scope);
    acpi_close(aml, tables->dsdt);
}

/* 5.2.3.2: generic address structure of a byte-wide register in memory. */
static void acpi_store_gas(u8 *gas, gpa address)
{
    gas[0] = 0; /* system memory */
    gas[1] = 8; /* bits */
    store_le64(gas + 4, address);
}

static void acpi_build_fadt(struct acpi_tables *tables, struct aml *aml,
                            const struct acpi_config *config)
{
    static const u8 zeros[ACPI_FADT_SIZE - ACPI_HDR_SIZE];
    u8 *fadt;

    tables->fadt = acpi_open(aml, config, "FACP", 5);
    aml_bytes(aml, zeros, sizeof(zeros));
    assert(!aml->overflow);
    fadt = aml->data + tables->fadt;
    store_le32(fadt + ACPI_FADT_DSDT, tables->dsdt);
    store_le64(fadt + ACPI_FADT_X_DSDT, tables->dsdt);
    store_le32(fadt + ACPI_FADT_FLAGS, ACPI_FADT_HW_REDUCED | ACPI_FADT_RESET_REG_SUP);
    acpi_store_gas(fadt + ACPI_FADT_RESET_REG, ACPI_GED_RESET);
    fadt[ACPI_FADT_RESET_VALUE] = ACPI_GED_RESET_VALUE;
    acpi_store_gas(fadt + ACPI_FADT_SLEEP_CONTROL, ACPI_GED_SLEEP_CONTROL);
    acpi_store_gas(fadt + ACPI_FADT_SLEEP_STATUS, ACPI_GED_SLEEP_STATUS);
    acpi_close(aml, tables->fadt);
}

static void acpi_madt_ioapic(struct aml *aml, u8 id, u32 address, u32 first_gsi)
{
    aml_byte(aml, ACPI_MADT_IOAPIC);
    aml_byte(aml, ACPI_MADT_SIZE_IOAPIC);
    aml_byte(aml, id);
    aml_byte(aml, 0);
    aml_dword(aml, address);
    aml_dword(aml, first_gsi);
}

static void acpi_build_madt(struct acpi_tables *tables, struct aml *aml,
                            const struct acpi_config *config)
{
    tables->madt = acpi_open(aml, config, "APIC", 1);
    aml_dword(aml, MAP_LAPIC);
    aml_dword(aml, ACPI_MADT_PCAT_COMPAT);
    for (unsigned i = 0; i < config->cpu_count; i++) {
        aml_byte(aml, ACPI_MADT_LAPIC);
        aml_byte(aml, ACPI_MADT_SIZE_LAPIC);
        aml_byte(aml, (u8)i); /* processor uid */
        aml_byte(aml, config->apic_ids[i]);
        aml_dword(aml, ACPI_MADT_CPU_ENABLED);
    }
    acpi_madt_ioapic(aml, 0, MAP_IOAPIC, 0);
    if (config->ioapic2)
        acpi_madt_ioapic(aml, 1, MAP_IOAPIC2, ACPI_IOAPIC_PINS);
    aml_byte(aml, ACPI_MADT_LAPIC_NMI);
    aml_byte(aml, ACPI_MADT_SIZE_NMI);
    aml_byte(aml, ACPI_MADT_ALL_CPUS);
    aml_word(aml, 0); /* polarity and trigger of the bus */
    aml_byte(aml, 1); /* LINT1 */
    acpi_close(aml, tables->madt);
}

static void acpi_build_xsdt(struct acpi_tables *tables, struct aml *aml,
                            const struct acpi_config *config)
{
    const u32 entries[] = { tables->fadt, tables->madt };

    tables->xsdt = acpi_open(aml, config, "XSDT", 1);
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
        aml_dword(aml, entries[i]);
        aml_dword(aml, 0);
    }
    acpi_close(aml, tables->xsdt);
}

/* RsdtAddress stays 0: all kernels that know hardware-reduced ACPI take the XSDT. */
static void acpi_build_rsdp(struct acpi_tables *tables, const struct acpi_config *config)
{
    u8 *rsdp = tables->rsdp;

    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + ACPI_RSDP_OEM, config->oem_id ? config->oem_id : ACPI_OEM_ID, 6);
    rsdp[ACPI_RSDP_REVISION] = 2;
    store_le32(rsdp + ACPI_RSDP_LENGTH, ACPI_RSDP_SIZE);
    store_le64(rsdp + ACPI_RSDP_XSDT, tables->xsdt);
}

void acpi_build(struct acpi_tables *tables, const struct acpi_config *config)
{
    struct aml aml;

    memset(tables, 0, sizeof(*tables));
    aml_init(&aml, tables->data, sizeof(tables->data));
    acpi_build_dsdt(tables, &aml, config);
    acpi_build_fadt(tables, &aml, config);
    acpi_build_madt(tables, &aml, config);
    acpi_build_xsdt(tables, &aml, config);
    assert(!aml.overflow); /* 24 slots and 255 CPUs need less than 5 KiB */
    tables->size = (u32)aml.size;
    acpi_build_rsdp(tables, config);
}

static void acpi_link_table(struct acpi_tables *tables, u32 start)
{
    u8 *table = tables->data + start;

    table[ACPI_HDR_CHECKSUM] = 0;
    table[ACPI_HDR_CHECKSUM] = checksum8(table, load_le32(table + ACPI_HDR_LENGTH));
}

static void acpi_link_pointer(u8 *pointer, u32 base)
{
    store_le64(pointer, load_le64(pointer) + base);
}

void acpi_link(struct acpi_tables *tables, u32 base)
{
    u8 *fadt = tables->data + tables->fadt;
    u8 *xsdt = tables->data + tables->xsdt;
    u8 *rsdp = tables->rsdp;

    store_le32(fadt + ACPI_FADT_DSDT, load_le32(fadt + ACPI_FADT_DSDT) + base);
    acpi_link_pointer(fadt + ACPI_FADT_X_DSDT, base);
    for (u32 at = ACPI_HDR_SIZE; at < load_le32(xsdt + ACPI_HDR_LENGTH); at += 8)
        acpi_link_pointer(xsdt + at, base);
    acpi_link_table(tables, tables->dsdt);
    acpi_link_table(tables, tables->fadt);
    acpi_link_table(tables, tables->madt);
    acpi_link_table(tables, tables->xsdt);

    acpi_link_pointer(rsdp + ACPI_RSDP_XSDT, base);
    rsdp[ACPI_RSDP_CHECKSUM] = checksum8(rsdp, ACPI_RSDP_V1_SIZE);
    rsdp[ACPI_RSDP_EXT_CHECKSUM] = checksum8(rsdp, ACPI_RSDP_SIZE);
}
