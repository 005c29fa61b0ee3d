/* SPDX-License-Identifier: MIT */
/* The MP table, read back as the MultiProcessor Specification describes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/mptable.h"
#include "machine/map.h"

#define TEST_HEADER  16u
#define TEST_ENTRIES (16u + 44u)

struct test_counts {
    unsigned of[5];
};

static u8 sum(const u8 *p, size_t size)
{
    u8 total = 0;

    while (size--)
        total = (u8)(total + *p++);
    return total;
}

static size_t build(u8 *out, const u8 *ids, unsigned count)
{
    return mptable_build(out, MAP_MPTABLE,
                         &(struct mptable_config){ .apic_ids = ids,
                                                   .cpu_count = count,
                                                   .cpu_signature = 0x60FB1,
                                                   .cpu_features = 0x178BFBFD });
}

/* Walk the entries; every type has the size that the specification gives it. */
static struct test_counts walk(const u8 *table, size_t size)
{
    struct test_counts counts = { { 0 } };
    size_t at = TEST_ENTRIES;

    while (at < size) {
        assert_true(table[at] <= 4);
        counts.of[table[at]]++;
        at += table[at] == 0 ? 20 : 8;
    }
    assert_int_equal(at, size);
    return counts;
}

/* The n-th entry of `type`. */
static const u8 *entry(const u8 *table, size_t size, u8 type, unsigned n)
{
    for (size_t at = TEST_ENTRIES; at < size; at += table[at] == 0 ? 20 : 8) {
        if (table[at] == type && n-- == 0)
            return table + at;
    }
    fail();
    return NULL;
}

static void floating_pointer_leads_to_the_header(void **state)
{
    u8 table[MPTABLE_SIZE_MAX], id = 0;

    (void)state;
    build(table, &id, 1);
    assert_memory_equal(table, "_MP_", 4);
    assert_int_equal(load_le32(table + 4), MAP_MPTABLE + 16);
    assert_int_equal(table[8], 1); /* length in units of 16 bytes */
    assert_int_equal(table[9], 4); /* version 1.4 */
    assert_int_equal(sum(table, 16), 0);
    assert_int_equal(table[11], 0); /* a configuration table is present */
    assert_int_equal(table[12], 0); /* no IMCR: virtual wire mode */
}

static void header_counts_and_sums_are_right(void **state)
{
    u8 table[MPTABLE_SIZE_MAX], ids[] = { 0, 1, 2 };
    size_t size = build(table, ids, 3);
    const u8 *header = table + TEST_HEADER;
    struct test_counts counts = walk(table, size);

    (void)state;
    assert_memory_equal(header, "PCMP", 4);
    assert_int_equal(load_le16(header + 4), size - TEST_HEADER);
    assert_int_equal(header[6], 4);
    assert_int_equal(sum(header, size - TEST_HEADER), 0);
    assert_int_equal(load_le32(header + 36), 0xFEE00000);
    assert_int_equal(counts.of[0], 3);
    assert_int_equal(counts.of[1], 1);
    assert_int_equal(counts.of[2], 1);
    assert_int_equal(counts.of[3], 15);
    assert_int_equal(counts.of[4], 2);
    assert_int_equal(load_le16(header + 34), 3 + 1 + 1 + 15 + 2);
}

static void processors_carry_their_apic_ids(void **state)
{
    u8 table[MPTABLE_SIZE_MAX], ids[] = { 0, 1, 4, 5 };
    size_t size = build(table, ids, 4);

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        const u8 *cpu = entry(table, size, 0, i);

        assert_int_equal(cpu[1], ids[i]);
        assert_int_equal(cpu[2], 0x14);
        assert_int_equal(cpu[3], i == 0 ? 3 : 1); /* enabled; the first is the BSP */
        assert_int_equal(load_le32(cpu + 4), 0x60FB1);
        assert_int_equal(load_le32(cpu + 8), 0x178BFBFD);
    }
}

static void isa_interrupts_are_identity_but_for_the_timer(void **state)
{
    u8 table[MPTABLE_SIZE_MAX], id = 0;
    size_t size = build(table, &id, 1);
    unsigned n = 0;

    (void)state;
    assert_memory_equal(entry(table, size, 1, 0) + 2, "ISA   ", 6);
    for (unsigned irq = 0; irq < 16; irq++) {
        const u8 *e;

        if (irq == 2)
            continue; /* the cascade has no pin */
        e = entry(table, size, 3, n++);
        assert_int_equal(e[1], 0);             /* INT */
        assert_int_equal(load_le16(e + 2), 0); /* as the bus has it */
        assert_int_equal(e[4], entry(table, size, 1, 0)[1]);
        assert_int_equal(e[5], irq);
        assert_int_equal(e[6], entry(table, size, 2, 0)[1]);
        assert_int_equal(e[7], irq == 0 ? 2 : irq);
    }
}

static void local_interrupts_are_extint_and_nmi(void **state)
{
    u8 table[MPTABLE_SIZE_MAX], ids[] = { 3, 1 };
    size_t size = build(table, ids, 2);
    const u8 *extint = entry(table, size, 4, 0), *nmi = entry(table, size, 4, 1);

    (void)state;
    assert_int_equal(extint[1], 3);
    assert_int_equal(extint[6], 3); /* the BSP's LINT0 */
    assert_int_equal(extint[7], 0);
    assert_int_equal(nmi[1], 1);
    assert_int_equal(nmi[6], 0xFF); /* everybody's LINT1 */
    assert_int_equal(nmi[7], 1);
}

static void ioapic_id_is_no_cpu_id(void **state)
{
    static const struct {
        u8 ids[4];
        unsigned count;
        u8 expected;
    } cases[] = {
        { { 0 }, 1, 1 },       { { 0, 1, 2, 3 }, 4, 4 }, { { 0, 1, 4, 5 }, 4, 2 },
        { { 2, 1, 0 }, 3, 3 }, { { 1 }, 1, 0 },
    };
    u8 table[MPTABLE_SIZE_MAX];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t size = build(table, cases[i].ids, cases[i].count);
        const u8 *ioapic = entry(table, size, 2, 0);

        assert_int_equal(ioapic[1], cases[i].expected);
        assert_int_equal(ioapic[3], 1);
        assert_int_equal(load_le32(ioapic + 4), 0xFEC00000);
    }
}

static void sixteen_cpus_fit(void **state)
{
    u8 table[MPTABLE_SIZE_MAX], ids[16];
    size_t size;

    (void)state;
    for (u8 i = 0; i < 16; i++)
        ids[i] = i;
    size = build(table, ids, 16);
    assert_true(size <= MPTABLE_SIZE_MAX);
    assert_int_equal(walk(table, size).of[0], 16);
    assert_int_equal(sum(table + TEST_HEADER, size - TEST_HEADER), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floating_pointer_leads_to_the_header),
        cmocka_unit_test(header_counts_and_sums_are_right),
        cmocka_unit_test(processors_carry_their_apic_ids),
        cmocka_unit_test(isa_interrupts_are_identity_but_for_the_timer),
        cmocka_unit_test(local_interrupts_are_extint_and_nmi),
        cmocka_unit_test(ioapic_id_is_no_cpu_id),
        cmocka_unit_test(sixteen_cpus_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
