/* SPDX-License-Identifier: MIT */
/* The ACPI tables against those of QEMU's microvm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/acpi.h"
#include "machine/map.h"
#include "unit/boot/acpi_golden.h"

/* Where the tables of the first machine were. */
#define TEST_DSDT_AT 0xEFD00u

static const u8 test_ids[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

/* The `count` highest of `slots` transports, as devices take them, with interrupts from `gsi`. */
static unsigned fill_slots(struct boot_slot *out, unsigned count, unsigned slots, u32 gsi)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned n = slots - 1 - i;

        out[i] = (struct boot_slot){ MAP_VIRTIO_MMIO + n * MAP_VIRTIO_MMIO_SIZE, gsi + n };
    }
    return count;
}

static void expect(const struct acpi_tables *tables, u32 start, const u8 *golden, size_t size)
{
    assert_true(start + size <= tables->size);
    assert_memory_equal(tables->data + start, golden, size);
}

/* Linked at `base`, the bytes must be the golden ones; DSDT and MADT hold no addresses of tables. */
#define EXPECT(tables, table, golden) expect(tables, (tables)->table, golden, sizeof(golden))

static void machine_without_devices(void **state)
{
    struct acpi_config config = { .apic_ids = test_ids,
                                  .cpu_count = 1,
                                  .fw_cfg = true,
                                  .serial = true,
                                  .rtc = true,
                                  .ioapic2 = true };
    struct acpi_tables tables;

    (void)state;
    acpi_build(&tables, &config);
    assert_int_equal(tables.dsdt, 0);
    acpi_link(&tables, TEST_DSDT_AT);
    EXPECT(&tables, dsdt, golden_plain_dsdt);
    EXPECT(&tables, fadt, golden_fadt);
    EXPECT(&tables, madt, golden_plain_madt);
    EXPECT(&tables, xsdt, golden_xsdt);
    assert_memory_equal(tables.rsdp, golden_rsdp, sizeof(golden_rsdp));
    assert_int_equal(tables.size, sizeof(golden_plain_dsdt) + sizeof(golden_fadt) +
                                      sizeof(golden_plain_madt) + sizeof(golden_xsdt));
}

static void four_cpus_and_three_devices(void **state)
{
    struct boot_slot slots[3];
    struct acpi_config config = { .apic_ids = test_ids,
                                  .cpu_count = 4,
                                  .slots = slots,
                                  .slot_count = fill_slots(slots, 3, 24, 24),
                                  .fw_cfg = true,
                                  .serial = true,
                                  .rtc = true,
                                  .ioapic2 = true };
    struct acpi_tables tables;

    (void)state;
    acpi_build(&tables, &config);
    acpi_link(&tables, 0xE0040);
    EXPECT(&tables, dsdt, golden_dev3_dsdt);
    EXPECT(&tables, madt, golden_dev3_madt);
}

static void one_ioapic_and_no_rtc(void **state)
{
    struct boot_slot slots[2];
    struct acpi_config config = { .apic_ids = test_ids,
                                  .cpu_count = 1,
                                  .slots = slots,
                                  .slot_count = fill_slots(slots, 2, 8, 16),
                                  .fw_cfg = true,
                                  .serial = true };
    struct acpi_tables tables;

    (void)state;
    acpi_build(&tables, &config);
    acpi_link(&tables, 0xE0040);
    EXPECT(&tables, dsdt, golden_nortc_dsdt);
    EXPECT(&tables, madt, golden_nortc_madt);
}

static void all_slots_and_sixteen_cpus(void **state)
{
    struct boot_slot slots[24];
    struct acpi_config config = { .apic_ids = test_ids,
                                  .cpu_count = 16,
                                  .slots = slots,
                                  .slot_count = fill_slots(slots, 24, 24, 24),
                                  .fw_cfg = true,
                                  .ioapic2 = true };
    struct acpi_tables tables;

    (void)state;
    acpi_build(&tables, &config);
    acpi_link(&tables, 0xE0040);
    EXPECT(&tables, dsdt, golden_all24_dsdt);
    EXPECT(&tables, madt, golden_all24_madt);
}

static void no_serial_and_eight_devices(void **state)
{
    struct boot_slot slots[8];
    struct acpi_config config = { .apic_ids = test_ids,
                                  .cpu_count = 1,
                                  .slots = slots,
                                  .slot_count = fill_slots(slots, 8, 8, 16),
                                  .fw_cfg = true,
                                  .rtc = true };
    struct acpi_tables tables;

    (void)state;
    acpi_build(&tables, &config);
    acpi_link(&tables, 0xE0040);
    EXPECT(&tables, dsdt, golden_noser_dsdt);
}

static void without_fw_cfg_there_is_no_fwcf(void **state)
{
    struct acpi_config config = { .apic_ids = test_ids, .cpu_count = 1, .serial = true };
    struct acpi_tables tables;

    (void)state;
    acpi_build(&tables, &config);
    assert_null(memmem(tables.data, tables.size, "FWCF", 4));
    assert_non_null(memmem(tables.data, tables.size, "COM1", 4));
}

static void madt_has_apic_ids_with_holes(void **state)
{
    static const u8 ids[] = { 0, 1, 4, 5 };
    struct acpi_config config = { .apic_ids = ids, .cpu_count = 4 };
    struct acpi_tables tables;

    (void)state;
    acpi_build(&tables, &config);
    for (unsigned i = 0; i < 4; i++) {
        const u8 *lapic = tables.data + tables.madt + 44 + 8 * i;

        assert_int_equal(lapic[0], 0);
        assert_int_equal(lapic[2], i);
        assert_int_equal(lapic[3], ids[i]);
    }
}

static void oem_ids_can_be_chosen(void **state)
{
    struct acpi_config config = {
        .apic_ids = test_ids, .cpu_count = 1, .oem_id = "MOTE  ", .oem_table_id = "MICROVM "
    };
    struct acpi_tables tables;

    (void)state;
    acpi_build(&tables, &config);
    assert_memory_equal(tables.rsdp + 9, "MOTE  ", 6);
    assert_memory_equal(tables.data + tables.fadt + 10, "MOTE  MICROVM ", 14);
}

static void unlinked_pointers_are_offsets_and_checksums_zero(void **state)
{
    struct acpi_config config = { .apic_ids = test_ids, .cpu_count = 1, .rtc = true };
    struct acpi_tables tables;

    (void)state;
    acpi_build(&tables, &config);
    assert_int_equal(load_le64(tables.rsdp + 24), tables.xsdt);
    assert_int_equal(tables.rsdp[8], 0);
    assert_int_equal(load_le64(tables.data + tables.xsdt + 36), tables.fadt);
    assert_int_equal(load_le64(tables.data + tables.xsdt + 44), tables.madt);
    assert_int_equal(load_le32(tables.data + tables.fadt + 40), tables.dsdt);
    assert_int_equal(load_le64(tables.data + tables.fadt + 140), tables.dsdt);
    assert_int_equal(tables.data[tables.dsdt + 9], 0);
    assert_int_equal(tables.data[tables.madt + 9], 0);
}

static void linked_tables_sum_to_zero(void **state)
{
    struct acpi_config config = { .apic_ids = test_ids, .cpu_count = 16, .serial = true };
    struct acpi_tables tables;
    u32 starts[4];
    u8 total = 0;

    (void)state;
    acpi_build(&tables, &config);
    acpi_link(&tables, 0xE0040);
    memcpy(starts, (u32[]){ tables.dsdt, tables.fadt, tables.madt, tables.xsdt }, sizeof(starts));
    for (unsigned i = 0; i < 4; i++) {
        const u8 *table = tables.data + starts[i];

        for (u32 j = 0; j < load_le32(table + 4); j++)
            total = (u8)(total + table[j]);
        assert_int_equal(total, 0);
    }
    for (unsigned i = 0; i < 20; i++)
        total = (u8)(total + tables.rsdp[i]);
    assert_int_equal(total, 0);
    for (unsigned i = 20; i < 36; i++)
        total = (u8)(total + tables.rsdp[i]);
    assert_int_equal(total, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machine_without_devices),
        cmocka_unit_test(four_cpus_and_three_devices),
        cmocka_unit_test(one_ioapic_and_no_rtc),
        cmocka_unit_test(all_slots_and_sixteen_cpus),
        cmocka_unit_test(no_serial_and_eight_devices),
        cmocka_unit_test(without_fw_cfg_there_is_no_fwcf),
        cmocka_unit_test(madt_has_apic_ids_with_holes),
        cmocka_unit_test(oem_ids_can_be_chosen),
        cmocka_unit_test(unlinked_pointers_are_offsets_and_checksums_zero),
        cmocka_unit_test(linked_tables_sum_to_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
