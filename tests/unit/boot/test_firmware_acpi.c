/* SPDX-License-Identifier: MIT */
/* The loader script: carried out as firmware does, it gives the tables that a direct boot links itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/firmware_acpi.h"
#include "machine/map.h"

#define TEST_BASE    0xEFD00u
#define COMMAND_SIZE 128u

static const u8 test_ids[4] = { 0, 1, 2, 3 };

static void make_tables(struct acpi_tables *tables)
{
    const struct boot_slot slots[] = { { MAP_VIRTIO_MMIO + 23 * MAP_VIRTIO_MMIO_SIZE, 47 } };

    acpi_build(tables, &(struct acpi_config){
                           .apic_ids = test_ids,
                           .cpu_count = 4,
                           .slots = slots,
                           .slot_count = 1,
                           .fw_cfg = true,
                           .serial = true,
                           .rtc = true,
                           .ioapic2 = true,
                       });
}

/* A firmware's view: the two blobs, by name. */
struct blobs {
    struct acpi_tables *tables;
    bool rsdp_allocated, tables_allocated;
};

static u8 *find_blob(struct blobs *b, const u8 *name)
{
    if (!strcmp((const char *)name, "etc/acpi/rsdp"))
        return b->tables->rsdp;
    assert_string_equal((const char *)name, "etc/acpi/tables");
    return b->tables->data;
}

static void run_allocate(struct blobs *b, const u8 *command)
{
    bool rsdp = find_blob(b, command + 4) == b->tables->rsdp;

    assert_int_equal(load_le32(command + 60), rsdp ? 16 : 64);
    assert_int_equal(command[64], rsdp ? 2 : 1);
    *(rsdp ? &b->rsdp_allocated : &b->tables_allocated) = true;
}

static void run_pointer(struct blobs *b, const u8 *command)
{
    u8 *at = find_blob(b, command + 4) + load_le32(command + 116);

    assert_string_equal((const char *)command + 60, "etc/acpi/tables");
    assert_true(b->rsdp_allocated && b->tables_allocated);
    if (command[120] == 4)
        store_le32(at, load_le32(at) + TEST_BASE);
    else
        store_le64(at, load_le64(at) + TEST_BASE);
}

static void run_checksum(struct blobs *b, const u8 *command)
{
    u8 *blob = find_blob(b, command + 4);
    u32 start = load_le32(command + 64), length = load_le32(command + 68);
    u8 sum = 0;

    for (u32 i = start; i < start + length; i++)
        sum = (u8)(sum + blob[i]);
    blob[load_le32(command + 60)] = (u8)(blob[load_le32(command + 60)] - sum);
}

static void run(const struct firmware_acpi *script, struct blobs *b)
{
    assert_int_equal(script->size % COMMAND_SIZE, 0);
    for (u32 at = 0; at < script->size; at += COMMAND_SIZE) {
        const u8 *command = script->data + at;

        switch (load_le32(command)) {
        case 1: run_allocate(b, command); break;
        case 2: run_pointer(b, command); break;
        case 3: run_checksum(b, command); break;
        default: fail_msg("unknown command %u", load_le32(command));
        }
    }
}

static void carried_out_it_links_the_tables(void **state)
{
    static struct acpi_tables tables, linked;
    struct blobs blobs = { .tables = &tables };
    struct firmware_acpi script;

    (void)state;
    make_tables(&tables);
    make_tables(&linked);
    acpi_link(&linked, TEST_BASE);
    firmware_acpi_build(&script, &tables);
    run(&script, &blobs);
    assert_memory_equal(tables.data, linked.data, linked.size);
    assert_memory_equal(tables.rsdp, linked.rsdp, sizeof(linked.rsdp));
}

/* QEMU's microvm has the same 13 commands in the same order. */
static void commands_are_in_the_known_order(void **state)
{
    static const u32 order[] = { 1, 1, 3, 2, 2, 3, 3, 2, 2, 3, 3, 2, 3 };
    static struct acpi_tables tables;
    struct firmware_acpi script;

    (void)state;
    make_tables(&tables);
    firmware_acpi_build(&script, &tables);
    assert_int_equal(script.size, ARRAY_SIZE(order) * COMMAND_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        assert_int_equal(load_le32(script.data + i * COMMAND_SIZE), order[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carried_out_it_links_the_tables),
        cmocka_unit_test(commands_are_in_the_known_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
