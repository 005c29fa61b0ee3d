/* SPDX-License-Identifier: MIT */
/* The APIC bus: which LAPIC gets which message, MSI formats, EOI broadcast. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "unit/fakes/fake_apic_cpus.h"

#define CPUS 4u
#define ALL  0xFu

static int setup(void **state)
{
    struct fake_cpus *cpus = fake_cpus_new(CPUS);

    apic_enable_all(cpus);
    *state = cpus;
    return 0;
}

static int teardown(void **state)
{
    fake_cpus_free(*state);
    return 0;
}

/* Who was interrupted since the last time, as a bit mask; finishes the interrupts. */
static u32 taken(struct fake_cpus *cpus)
{
    u32 who = 0;

    for (unsigned n = 0; n < cpus->count; n++) {
        apic_requests(cpus, n);
        while (apic_ack(cpus, n) >= 0) {
            who |= BIT(n);
            cpus->vcpu[n].apic_ops->msr_write(cpus->lapic[n], 0x80B, 0);
            apic_eoi(cpus, n);
        }
    }
    return who;
}

static u32 sent_to(struct fake_cpus *cpus, u32 dest, bool logical)
{
    struct apic_message message = {
        .dest = dest, .logical = logical, .mode = APIC_MODE_FIXED, .vector = 0x50
    };

    apic_bus_send(&cpus->bus, &message);
    return taken(cpus);
}

static void physical_destinations(void **state)
{
    struct fake_cpus *cpus = *state;

    for (unsigned n = 0; n < CPUS; n++)
        assert_int_equal(sent_to(cpus, n, false), BIT(n));
    assert_int_equal(sent_to(cpus, CPUS, false), 0);
    assert_int_equal(sent_to(cpus, 0xFE, false), 0);
    assert_int_equal(sent_to(cpus, 0xFF, false), 0); /* senders translate it */
    assert_int_equal(sent_to(cpus, 0x100, false), 0);
    assert_int_equal(sent_to(cpus, 0xFFFFFFFF, false), ALL);
    assert_int_equal(sent_to(cpus, apic_dest8(0xFF, false), false), ALL);
    assert_int_equal(apic_dest8(0xFF, true), 0xFF);
    assert_int_equal(apic_dest8(0x12, false), 0x12);
}

static void flat_logical_destinations(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_int_equal(sent_to(cpus, 0xFF, true), 0); /* LDRs are 0 after reset */
    for (unsigned n = 0; n < CPUS; n++)
        apic_write(cpus, n, APIC_LDR, BIT(24 + n));
    for (u32 dest = 0; dest < 0x100; dest++)
        assert_int_equal(sent_to(cpus, dest, true), dest & ALL);
    assert_int_equal(sent_to(cpus, 0x101, true), 0);
}

static void cluster_logical_destinations(void **state)
{
    static const u8 ldrs[CPUS] = { 0x01, 0x02, 0x11, 0x14 };
    static const struct {
        u32 dest, who;
    } rows[] = {
        { 0x01, 1 }, { 0x02, 2 },  { 0x03, 3 }, { 0x0F, 3 }, { 0x04, 0 },   { 0x11, 4 },
        { 0x14, 8 }, { 0x15, 12 }, { 0x2F, 0 }, { 0x00, 0 }, { 0xFF, ALL }, { 0xF1, 0 },
    };
    struct fake_cpus *cpus = *state;

    for (unsigned n = 0; n < CPUS; n++) {
        apic_write(cpus, n, APIC_DFR, 0x0FFFFFFF);
        apic_write(cpus, n, APIC_LDR, (u32)ldrs[n] << 24);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(sent_to(cpus, rows[i].dest, true), rows[i].who);
}

static void x2apic_logical_destinations(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_x2apic_all(cpus);
    assert_int_equal(sent_to(cpus, 0x00000001, true), 1);
    assert_int_equal(sent_to(cpus, 0x0000000A, true), 10);
    assert_int_equal(sent_to(cpus, 0x0000FFFF, true), ALL);
    assert_int_equal(sent_to(cpus, 0x00010001, true), 0);
    assert_int_equal(sent_to(cpus, 0xFFFFFFFF, true), ALL);
    assert_int_equal(sent_to(cpus, 0xFFFFFFFF, false), ALL);
    assert_int_equal(sent_to(cpus, 3, false), 8);
}

static void mixed_modes_each_match_their_own_way(void **state)
{
    struct fake_cpus *cpus = *state;

    cpus->vcpu[3].apic_ops->set_base(cpus->lapic[3], APIC_BASE_X2APIC);
    apic_write(cpus, 0, APIC_LDR, 0x08000000);
    assert_int_equal(sent_to(cpus, 0x08, true), 9);
}

static void holes_between_ids_are_fine(void **state)
{
    static const u32 ids[] = { 0, 2, 4, 18 };
    struct fake_cpus *cpus = fake_cpus_new_plain(4, ids);

    (void)state;
    apic_enable_all(cpus);
    assert_int_equal(sent_to(cpus, 1, false), 0);
    assert_int_equal(sent_to(cpus, 4, false), 4);
    assert_int_equal(sent_to(cpus, 18, false), 8);
    assert_int_equal(apic_read(cpus, 3, APIC_ID), 18 << 24);
    fake_cpus_free(cpus);
}

static void shorthand_to_all_but_one(void **state)
{
    struct fake_cpus *cpus = *state;
    struct apic_message message = { .mode = APIC_MODE_FIXED, .vector = 0x50 };

    apic_bus_send_all(&cpus->bus, &message, NULL);
    assert_int_equal(taken(cpus), ALL);
    apic_bus_send_all(&cpus->bus, &message, cpus->lapic[2]);
    assert_int_equal(taken(cpus), ALL & ~4u);
}

static void disabled_lapics_get_no_vectors(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 1, APIC_SVR, 0xFF);
    cpus->vcpu[2].apic_ops->set_base(cpus->lapic[2], APIC_BASE_OFF);
    assert_int_equal(sent_to(cpus, APIC_DEST_ALL, false), 9);
}

/* ---- Lowest priority ---- */

static void lowest_priority_goes_round_among_the_destinations(void **state)
{
    struct fake_cpus *cpus = *state;
    struct apic_message message = {
        .dest = 0x0B, .logical = true, .mode = APIC_MODE_LOWEST, .vector = 0x50
    };
    unsigned counts[CPUS] = { 0 };

    for (unsigned n = 0; n < CPUS; n++)
        apic_write(cpus, n, APIC_LDR, BIT(24 + n));
    for (unsigned i = 0; i < 120; i++) {
        u32 who;

        apic_bus_send(&cpus->bus, &message);
        who = taken(cpus);
        assert_int_equal(__builtin_popcount(who), 1);
        counts[__builtin_ctz(who)]++;
    }
    assert_int_equal(counts[2], 0);
    assert_true(counts[0] >= 30 && counts[1] >= 30 && counts[3] >= 30);
}

static void lowest_priority_passes_disabled_lapics_over(void **state)
{
    struct fake_cpus *cpus = *state;
    struct apic_message message = { .dest = APIC_DEST_ALL,
                                    .mode = APIC_MODE_LOWEST,
                                    .vector = 0x50 };

    for (unsigned n = 0; n < CPUS; n++)
        apic_write(cpus, n, APIC_SVR, n == 1 ? 0x1FF : 0xFF);
    for (unsigned i = 0; i < 8; i++) {
        apic_bus_send(&cpus->bus, &message);
        assert_int_equal(taken(cpus), 2);
    }
    apic_write(cpus, 1, APIC_SVR, 0xFF);
    apic_bus_send(&cpus->bus, &message);
    assert_int_equal(taken(cpus), 0);
}

static void lowest_priority_to_one_id_goes_there(void **state)
{
    struct fake_cpus *cpus = *state;
    struct apic_message message = { .dest = 2, .mode = APIC_MODE_LOWEST, .vector = 0x50 };

    for (unsigned i = 0; i < 8; i++) {
        apic_bus_send(&cpus->bus, &message);
        assert_int_equal(taken(cpus), 4);
    }
}

/* ---- MSI ---- */

static void msi_address_and_data(void **state)
{
    static const struct {
        u32 addr, data, who;
    } rows[] = {
        { 0xFEE02000, 0x0050, 4 },   /* physical 2 */
        { 0xFEEFF000, 0x0050, ALL }, /* broadcast */
        { 0xFEE06004, 0x0050, 6 },   /* logical 1 | 2 */
        { 0xFEEFF004, 0x0050, ALL }, /* all bits of flat mode */
        { 0xFEE02000, 0x4050, 4 },   /* level bit: asserted or not is the same */
        { 0xFEE09000, 0x0050, 0 },   /* nobody */
        { 0xFEE02000, 0x0350, 0 },   /* reserved modes */
        { 0xFEE02000, 0x0650, 0 },
    };
    struct fake_cpus *cpus = *state;

    for (unsigned n = 0; n < CPUS; n++)
        apic_write(cpus, n, APIC_LDR, BIT(24 + n));
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        apic_bus_msi(&cpus->bus, rows[i].addr, rows[i].data);
        assert_int_equal(cpus->vcpu[2].requests & VCPU_REQ_SIPI, 0);
        assert_int_equal(taken(cpus), rows[i].who);
    }
}

static void msi_redirection_hint_picks_one(void **state)
{
    struct fake_cpus *cpus = *state;

    for (unsigned n = 0; n < CPUS; n++)
        apic_write(cpus, n, APIC_LDR, BIT(24 + n));
    for (unsigned i = 0; i < 8; i++) {
        apic_bus_msi(&cpus->bus, 0xFEEFF00C, 0x50);
        assert_int_equal(__builtin_popcount(taken(cpus)), 1);
    }
}

static void msi_trigger_mode_reaches_the_tmr(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_bus_msi(&cpus->bus, 0xFEE01000, 0xC050);
    assert_int_equal(apic_read(cpus, 1, APIC_TMR + 0x20), BIT(16));
    apic_ack(cpus, 1);
    apic_eoi(cpus, 1);
    apic_bus_msi(&cpus->bus, 0xFEE01000, 0x0050);
    assert_int_equal(apic_read(cpus, 1, APIC_TMR + 0x20), 0);
}

static void msi_delivers_nmis(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_bus_msi(&cpus->bus, 0xFEE03000, 0x0400);
    assert_int_equal(apic_requests(cpus, 3), VCPU_REQ_NMI);
    assert_int_equal(apic_requests(cpus, 0), 0);
}

static void msi_window_is_a_region(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_int_equal(apic_bus_msi_ops.sizes, BUS_SIZE_4);
    assert_false(apic_bus_msi_ops.split);
    apic_bus_msi_ops.write(&cpus->bus, 0x3000, 4, 0x51);
    assert_int_equal(apic_ack(cpus, 3), 0x51);
    assert_int_equal(apic_bus_msi_ops.read(&cpus->bus, 0x30, 4), 0);
}

/* ---- EOI ---- */

static void eoi_log_note(void *arg, u8 vector)
{
    u8 *last = arg;

    *last = vector;
}

static void all_listeners_hear_an_eoi(void **state)
{
    struct fake_cpus *cpus = *state;
    u8 first = 0, second = 0;

    apic_bus_add_listener(&cpus->bus, (struct apic_eoi_listener){ eoi_log_note, &first });
    apic_bus_add_listener(&cpus->bus, (struct apic_eoi_listener){ eoi_log_note, &second });
    apic_bus_eoi(&cpus->bus, 0x77);
    assert_int_equal(first, 0x77);
    assert_int_equal(second, 0x77);
}

/* --- LAPICs of the accelerator --- */

struct remote {
    unsigned count;
    gpa addr;
    u32 data;
};

static void remote_send(void *arg, gpa addr, u32 data)
{
    struct remote *remote = arg;

    remote->count++;
    remote->addr = addr;
    remote->data = data;
}

static void a_remote_gets_messages_as_msis(void **state)
{
    struct fake_cpus *cpus = *state;
    struct remote remote = { 0 };
    struct apic_message level = {
        .dest = 3, .logical = true, .level = true, .mode = APIC_MODE_LOWEST, .vector = 0x51
    };

    apic_bus_set_remote(&cpus->bus, (struct apic_remote){ remote_send, &remote });
    assert_int_equal(sent_to(cpus, 2, false), 0);
    assert_int_equal(remote.count, 1);
    assert_int_equal(remote.addr, 0xFEE02000);
    assert_int_equal(remote.data, 0x50);
    apic_bus_send(&cpus->bus, &level);
    assert_int_equal(remote.addr, 0xFEE03004);
    assert_int_equal(remote.data, 0xC151);
    assert_int_equal(sent_to(cpus, APIC_DEST_ALL, false), 0);
    assert_int_equal(remote.addr, 0xFEEFF000);
}

static void a_remote_gets_msis_as_they_were(void **state)
{
    struct fake_cpus *cpus = *state;
    struct remote remote = { 0 };

    apic_bus_set_remote(&cpus->bus, (struct apic_remote){ remote_send, &remote });
    apic_bus_msi(&cpus->bus, 0xFEE01000, 0x0442);
    assert_int_equal(remote.addr, 0xFEE01000);
    assert_int_equal(remote.data, 0x0442);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(physical_destinations, setup, teardown),
        cmocka_unit_test_setup_teardown(flat_logical_destinations, setup, teardown),
        cmocka_unit_test_setup_teardown(cluster_logical_destinations, setup, teardown),
        cmocka_unit_test_setup_teardown(x2apic_logical_destinations, setup, teardown),
        cmocka_unit_test_setup_teardown(mixed_modes_each_match_their_own_way, setup, teardown),
        cmocka_unit_test(holes_between_ids_are_fine),
        cmocka_unit_test_setup_teardown(shorthand_to_all_but_one, setup, teardown),
        cmocka_unit_test_setup_teardown(disabled_lapics_get_no_vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(lowest_priority_goes_round_among_the_destinations, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lowest_priority_passes_disabled_lapics_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lowest_priority_to_one_id_goes_there, setup, teardown),
        cmocka_unit_test_setup_teardown(msi_address_and_data, setup, teardown),
        cmocka_unit_test_setup_teardown(msi_redirection_hint_picks_one, setup, teardown),
        cmocka_unit_test_setup_teardown(msi_trigger_mode_reaches_the_tmr, setup, teardown),
        cmocka_unit_test_setup_teardown(msi_delivers_nmis, setup, teardown),
        cmocka_unit_test_setup_teardown(msi_window_is_a_region, setup, teardown),
        cmocka_unit_test_setup_teardown(all_listeners_hear_an_eoi, setup, teardown),
        cmocka_unit_test_setup_teardown(a_remote_gets_messages_as_msis, setup, teardown),
        cmocka_unit_test_setup_teardown(a_remote_gets_msis_as_they_were, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
