/* SPDX-License-Identifier: MIT */
/* The local APIC's registers: page, MSRs, ICR, ESR. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "unit/fakes/fake_apic_cpus.h"

#define MASKED BIT(16)

static int setup(void **state)
{
    struct fake_cpus *cpus = fake_cpus_new(3);

    apic_enable_all(cpus);
    *state = cpus;
    return 0;
}

static int setup_x2apic(void **state)
{
    setup(state);
    apic_x2apic_all(*state);
    return 0;
}

static int teardown(void **state)
{
    fake_cpus_free(*state);
    return 0;
}

static bool wrmsr(struct fake_cpus *cpus, u32 msr, u64 value)
{
    return cpus->vcpu[0].apic_ops->msr_write(cpus->lapic[0], msr, value);
}

static bool rdmsr(struct fake_cpus *cpus, u32 msr, u64 *value)
{
    return cpus->vcpu[0].apic_ops->msr_read(cpus->lapic[0], msr, value);
}

static u64 mmio_read(struct fake_cpus *cpus, u64 offset, unsigned size)
{
    return cpus->vcpu[0].apic_ops->mmio_read(cpus->lapic[0], offset, size);
}

static void mmio_write(struct fake_cpus *cpus, u64 offset, unsigned size, u64 value)
{
    cpus->vcpu[0].apic_ops->mmio_write(cpus->lapic[0], offset, size, value);
}

/* ESR bits since the last time. */
static u32 errors(struct fake_cpus *cpus)
{
    apic_write(cpus, 0, APIC_ESR, 0);
    return apic_read(cpus, 0, APIC_ESR);
}

/* ---- The page ---- */

static void registers_after_reset(void **state)
{
    static const struct {
        u32 reg, value;
    } rows[] = {
        { APIC_ID, 0x01000000 },
        { APIC_VERSION, 0x01050014 },
        { APIC_TPR, 0 },
        { APIC_PPR, 0 },
        { APIC_EOI, 0 },
        { APIC_LDR, 0 },
        { APIC_DFR, 0xFFFFFFFF },
        { APIC_SVR, 0xFF },
        { APIC_ISR, 0 },
        { APIC_TMR + 0x70, 0 },
        { APIC_IRR + 0x30, 0 },
        { APIC_ESR, 0 },
        { APIC_ICR, 0 },
        { APIC_ICR_HIGH, 0 },
        { APIC_LVT_TIMER, MASKED },
        { APIC_LVT_THERMAL, MASKED },
        { APIC_LVT_PERFORMANCE, MASKED },
        { APIC_LINT0, MASKED },
        { APIC_LINT1, MASKED },
        { APIC_LVT_ERROR, MASKED },
        { APIC_INITIAL, 0 },
        { APIC_CURRENT, 0 },
        { APIC_DIVIDE, 0 },
        { APIC_SELF_IPI, 0 },
    };
    struct fake_cpus *cpus = fake_cpus_new(2);

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(apic_read(cpus, 1, rows[i].reg), rows[i].value);
    fake_cpus_free(cpus);
}

static void writes_keep_only_writable_bits(void **state)
{
    static const struct {
        u32 reg, value;
    } rows[] = {
        { APIC_ID, 0 },
        { APIC_VERSION, 0x01050014 },
        { APIC_TPR, 0xFF },
        { APIC_LDR, 0xFF000000 },
        { APIC_DFR, 0xFFFFFFFF },
        { APIC_SVR, 0x11FF },
        { APIC_ICR_HIGH, 0xFF000000 },
        { APIC_LVT_TIMER, 0x700FF },
        { APIC_LVT_THERMAL, 0x107FF },
        { APIC_LVT_PERFORMANCE, 0x107FF },
        { APIC_LINT0, 0x1A7FF },
        { APIC_LINT1, 0x1A7FF },
        { APIC_LVT_ERROR, 0x100FF },
        { APIC_DIVIDE, 0xB },
        { APIC_ISR, 0 },
    };
    struct fake_cpus *cpus = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        apic_write(cpus, 0, rows[i].reg, 0xFFFFFFFF);
        assert_int_equal(apic_read(cpus, 0, rows[i].reg), rows[i].value);
    }
    apic_write(cpus, 0, APIC_DFR, 0);
    assert_int_equal(apic_read(cpus, 0, APIC_DFR), 0x0FFFFFFF);
}

static void deadline_bit_is_reserved_where_it_is_not_offered(void **state)
{
    struct fake_cpus *cpus = fake_cpus_new_plain(1, NULL);

    (void)state;
    apic_enable_all(cpus);
    apic_write(cpus, 0, APIC_LVT_TIMER, 0xFFFFFFFF);
    assert_int_equal(apic_read(cpus, 0, APIC_LVT_TIMER), 0x300FF);
    fake_cpus_free(cpus);
}

static void reads_of_other_sizes_see_the_register_as_memory(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_int_equal(mmio_read(cpus, APIC_VERSION, 1), 0x14);
    assert_int_equal(mmio_read(cpus, APIC_VERSION + 2, 1), 0x05);
    assert_int_equal(mmio_read(cpus, APIC_VERSION + 2, 2), 0x0105);
    assert_int_equal(mmio_read(cpus, APIC_VERSION, 8), 0x01050014);
    assert_int_equal(mmio_read(cpus, APIC_VERSION + 4, 4), 0);
    assert_int_equal(mmio_read(cpus, APIC_VERSION + 12, 4), 0);
}

static void writes_of_other_sizes_are_dropped(void **state)
{
    struct fake_cpus *cpus = *state;

    mmio_write(cpus, APIC_TPR, 1, 0x20);
    mmio_write(cpus, APIC_TPR, 2, 0x20);
    mmio_write(cpus, APIC_TPR, 8, 0x20);
    mmio_write(cpus, APIC_TPR + 4, 4, 0x20);
    assert_int_equal(apic_read(cpus, 0, APIC_TPR), 0);
}

static void offsets_without_register_set_the_esr(void **state)
{
    static const u32 none[] = {
        0x000, 0x010, 0x040, 0x0C0, 0x290, 0x2F0, 0x3A0, 0x3F0, 0x400, 0xFF0
    };
    struct fake_cpus *cpus = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
        assert_int_equal(errors(cpus), 0);
        assert_int_equal(apic_read(cpus, 0, none[i]), 0);
        assert_int_equal(errors(cpus), 0x80);
        apic_write(cpus, 0, none[i], 1);
        assert_int_equal(errors(cpus), 0x80);
    }
    apic_read(cpus, 0, APIC_EOI); /* write-only, but there */
    apic_write(cpus, 0, APIC_PPR, 1);
    assert_int_equal(errors(cpus), 0);
}

static void msrs_fault_in_xapic_mode_and_the_page_is_gone_in_x2apic_mode(void **state)
{
    struct fake_cpus *cpus = *state;
    u64 value;

    for (u32 msr = 0x800; msr < 0x900; msr++) {
        assert_false(rdmsr(cpus, msr, &value));
        assert_false(wrmsr(cpus, msr, 0));
    }
    apic_x2apic_all(cpus);
    assert_int_equal(apic_read(cpus, 0, APIC_VERSION), 0);
    apic_write(cpus, 0, APIC_TPR, 0x20);
    assert_int_equal(apic_rdmsr(cpus, 0, 0x808), 0);
    assert_int_equal(apic_rdmsr(cpus, 0, 0x803), 0x01050014);
}

/* ---- The MSRs ---- */

static void x2apic_rights(void **state)
{
    /* R, W (of 0), both, none: by MSR, in ranges. */
    static const struct {
        u32 first, last;
        bool r, w;
    } rows[] = {
        { 0x800, 0x801, false, false }, { 0x802, 0x803, true, false },
        { 0x804, 0x807, false, false }, { 0x808, 0x808, true, true },
        { 0x809, 0x809, false, false }, { 0x80A, 0x80A, true, false },
        { 0x80B, 0x80B, false, true },  { 0x80C, 0x80C, false, false },
        { 0x80D, 0x80D, true, false },  { 0x80E, 0x80E, false, false },
        { 0x80F, 0x80F, true, true },   { 0x810, 0x827, true, false },
        { 0x828, 0x828, true, true },   { 0x829, 0x82F, false, false },
        { 0x831, 0x831, false, false }, { 0x832, 0x838, true, true },
        { 0x839, 0x839, true, false },  { 0x83A, 0x83D, false, false },
        { 0x83E, 0x83E, true, true },   { 0x83F, 0x83F, false, true },
        { 0x840, 0x8FF, false, false },
    };
    struct fake_cpus *cpus = *state;
    u64 value;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        for (u32 msr = rows[i].first; msr <= rows[i].last; msr++) {
            assert_int_equal(rdmsr(cpus, msr, &value), rows[i].r);
            assert_int_equal(wrmsr(cpus, msr, 0), rows[i].w);
        }
    }
    assert_true(rdmsr(cpus, 0x830, &value));
}

static void x2apic_reserved_bits_fault(void **state)
{
    static const struct {
        u32 msr;
        u64 valid;
    } rows[] = {
        { 0x808, 0xFF },       { 0x80B, 0 },
        { 0x80F, 0x13FF },     { 0x828, 0 },
        { 0x832, 0x750FF },    { 0x833, 0x157FF },
        { 0x834, 0x157FF },    { 0x835, 0x1F7FF },
        { 0x836, 0x1F7FF },    { 0x837, 0x150FF },
        { 0x838, 0xFFFFFFFF }, { 0x83E, 0xB },
        { 0x83F, 0xFF },       { 0x830, 0xFFFFFFFF000CDFFF },
    };
    struct fake_cpus *cpus = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        for (unsigned bit = 0; bit < 64; bit++)
            assert_int_equal(wrmsr(cpus, rows[i].msr, BIT64(bit)), rows[i].valid >> bit & 1);
}

static void x2apic_id_and_ldr_come_from_the_apic_id(void **state)
{
    static const u32 ids[] = { 5, 19, 0xFE };
    static const u32 ldrs[] = { 0x00000020, 0x00010008, 0x000F4000 };
    struct fake_cpus *cpus = fake_cpus_new(1);
    struct lapic_config config = {
        .bus = &cpus->bus, .clock = &cpus->clock, .loop = cpus->loop, .x2apic = true
    };

    (void)state;
    cpus->count = 4;
    for (unsigned i = 0; i < 3; i++) {
        config.vcpu = &cpus->vcpu[i + 1];
        cpus->vcpu[i + 1].apic_id = ids[i];
        cpus->lapic[i + 1] = lapic_new(&config);
    }
    apic_x2apic_all(cpus);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(apic_rdmsr(cpus, i + 1, 0x802), ids[i]);
        assert_int_equal(apic_rdmsr(cpus, i + 1, 0x80D), ldrs[i]);
    }
    fake_cpus_free(cpus);
}

static void x2apic_icr_is_one_64_bit_register(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_wrmsr(cpus, 0, 0x830, UINT64_C(2) << 32 | 0x4040);
    assert_true(apic_rdmsr(cpus, 0, 0x830) == (UINT64_C(2) << 32 | 0x4040));
    assert_int_equal(apic_ack(cpus, 2), 0x40);
    assert_int_equal(apic_pending(cpus, 1), -1);
    apic_wrmsr(cpus, 2, 0x80B, 0);
    apic_wrmsr(cpus, 0, 0x830, UINT64_C(0xFFFFFFFF) << 32 | 0x41);
    for (unsigned n = 0; n < 3; n++)
        assert_int_equal(apic_ack(cpus, n), 0x41);
}

static void self_ipi_interrupts_its_own_cpu(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_requests(cpus, 0);
    apic_wrmsr(cpus, 0, 0x83F, 0x99);
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_INTR);
    assert_int_equal(apic_ack(cpus, 0), 0x99);
    assert_int_equal(apic_pending(cpus, 1), -1);
    apic_wrmsr(cpus, 0, 0x80B, 0);
    assert_int_equal(apic_rdmsr(cpus, 0, 0x814), 0);
}

static void x2apic_bitmaps_and_timer(void **state)
{
    struct fake_cpus *cpus = *state;

    lapic_receive(cpus->lapic[0], APIC_MODE_FIXED, 0x45, true);
    assert_int_equal(apic_rdmsr(cpus, 0, 0x822), BIT(5)); /* IRR of 0x40-0x5F */
    assert_int_equal(apic_rdmsr(cpus, 0, 0x81A), BIT(5)); /* TMR */
    apic_ack(cpus, 0);
    assert_int_equal(apic_rdmsr(cpus, 0, 0x812), BIT(5)); /* ISR */
    assert_int_equal(apic_rdmsr(cpus, 0, 0x80A), 0x40);
    apic_wrmsr(cpus, 0, 0x83E, 0xB);
    apic_wrmsr(cpus, 0, 0x838, 1000);
    fake_clock_step(&cpus->clock, 1);
    assert_int_equal(apic_rdmsr(cpus, 0, 0x839), 999);
}

/* ---- ICR ---- */

/* Write the xAPIC ICR of CPU 0 and tell who got `request`, as a bit mask. */
static u32 icr_sent(struct fake_cpus *cpus, u32 high, u32 low, u32 request)
{
    u32 who = 0;

    for (unsigned n = 0; n < 3; n++)
        apic_requests(cpus, n);
    apic_write(cpus, 0, APIC_ICR_HIGH, high);
    apic_write(cpus, 0, APIC_ICR, low);
    for (unsigned n = 0; n < 3; n++)
        if (apic_requests(cpus, n) == request)
            who |= BIT(n);
    return who;
}

static void icr_destinations_and_shorthands(void **state)
{
    static const struct {
        u32 high, low, who;
    } rows[] = {
        { 0x01000000, 0x00050, 2 }, { 0x02000000, 0x04050, 4 }, { 0x00000000, 0x00050, 1 },
        { 0x07000000, 0x00050, 0 }, { 0xFF000000, 0x00050, 7 }, { 0x02000000, 0x40050, 1 },
        { 0x02000000, 0x80050, 7 }, { 0x02000000, 0xC0050, 6 },
    };
    struct fake_cpus *cpus = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(icr_sent(cpus, rows[i].high, rows[i].low, VCPU_REQ_INTR), rows[i].who);
}

static void icr_reads_back_idle(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_ICR_HIGH, 0x02123456);
    apic_write(cpus, 0, APIC_ICR, 0x00001050);
    assert_int_equal(apic_read(cpus, 0, APIC_ICR), 0x50);
    assert_int_equal(apic_read(cpus, 0, APIC_ICR_HIGH), 0x02000000);
}

static void icr_starts_processors_the_way_firmware_does(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_int_equal(icr_sent(cpus, 0, 0x000C4500, VCPU_REQ_INIT), 6);
    assert_int_equal(icr_sent(cpus, 0, 0x000C4610, VCPU_REQ_SIPI), 6);
    assert_int_equal(cpus->vcpu[1].sipi_vector, 0x10);
    assert_int_equal(cpus->vcpu[2].sipi_vector, 0x10);
    assert_int_equal(cpus->vcpu[0].sipi_vector, 0);
}

static void icr_starts_processors_the_way_linux_does(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_int_equal(icr_sent(cpus, 0x01000000, 0xC500, VCPU_REQ_INIT), 2);
    assert_int_equal(icr_sent(cpus, 0x01000000, 0x8500, VCPU_REQ_INIT), 0); /* deassert */
    assert_int_equal(icr_sent(cpus, 0x01000000, 0x8500, 0), 7);
    assert_int_equal(icr_sent(cpus, 0x01000000, 0x069A, VCPU_REQ_SIPI), 2);
    assert_int_equal(cpus->vcpu[1].sipi_vector, 0x9A);
}

static void icr_sends_nmis(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_int_equal(icr_sent(cpus, 0x02000000, 0x0400, VCPU_REQ_NMI), 4);
    assert_int_equal(icr_sent(cpus, 0, 0xC0400, VCPU_REQ_NMI), 6);
}

static void ipis_are_edges(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_ICR_HIGH, 0x01000000);
    apic_write(cpus, 0, APIC_ICR, 0xC050); /* level, asserted */
    assert_int_equal(apic_ack(cpus, 1), 0x50);
    assert_int_equal(apic_read(cpus, 1, APIC_TMR + 0x20), 0);
}

static void a_disabled_lapic_still_sends(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_SVR, 0xFF);
    assert_int_equal(icr_sent(cpus, 0x01000000, 0x50, VCPU_REQ_INTR), 2);
}

/* ---- ESR ---- */

static void illegal_vectors_are_errors_of_sender_and_receiver(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_int_equal(icr_sent(cpus, 0x01000000, 0x0F, VCPU_REQ_INTR), 0);
    assert_int_equal(apic_read(cpus, 0, APIC_ESR), 0); /* only a write shows it */
    assert_int_equal(errors(cpus), 0x20);
    assert_int_equal(errors(cpus), 0);
    lapic_receive(cpus->lapic[0], APIC_MODE_FIXED, 0x0F, false);
    lapic_receive(cpus->lapic[0], APIC_MODE_LOWEST, 0, true);
    assert_int_equal(apic_pending(cpus, 0), -1);
    assert_int_equal(errors(cpus), 0x40);
}

static void error_interrupt_comes_once_until_the_esr_is_written(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LVT_ERROR, 0xFE);
    apic_read(cpus, 0, 0x40);
    assert_int_equal(apic_ack(cpus, 0), 0xFE);
    apic_eoi(cpus, 0);
    apic_read(cpus, 0, 0x40);
    assert_int_equal(apic_pending(cpus, 0), -1);
    assert_int_equal(errors(cpus), 0x80);
    apic_read(cpus, 0, 0x40);
    assert_int_equal(apic_pending(cpus, 0), 0xFE);
}

static void an_illegal_error_vector_does_not_recurse(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LVT_ERROR, 0x05);
    apic_read(cpus, 0, 0x40);
    assert_int_equal(errors(cpus), 0xC0);
    assert_int_equal(apic_pending(cpus, 0), -1);
}

static void sipis_may_have_low_vectors(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_int_equal(icr_sent(cpus, 0x01000000, 0x0601, VCPU_REQ_SIPI), 2);
    assert_int_equal(errors(cpus), 0);
}

/* ---- Random guests ---- */

static void random_step(struct fake_cpus *cpus, u64 *seed)
{
    const struct vcpu_apic_ops *ops = cpus->vcpu[0].apic_ops;
    u64 value = fake_random(seed) >> fake_random(seed) % 64;
    u64 offset = fake_random(seed) % 4 ? fake_random(seed) % 64 * 16 : fake_random(seed) % 4096;
    unsigned n = fake_random(seed) % 3;
    u32 msr = (u32)(0x800 + fake_random(seed) % 0x48);

    switch (fake_random(seed) % 12) {
    case 0: ops->mmio_read(cpus->lapic[n], offset, 1u << fake_random(seed) % 4); break;
    case 1: ops->mmio_write(cpus->lapic[n], offset, 1u << fake_random(seed) % 4, value); break;
    case 2: ops->mmio_write(cpus->lapic[n], offset, 4, value); break;
    case 3: ops->msr_read(cpus->lapic[n], msr, &value); break;
    case 4: ops->msr_write(cpus->lapic[n], msr, value); break;
    case 5: ops->msr_write(cpus->lapic[n], 0x6E0, clock_tsc(&cpus->clock) + value % 100000); break;
    case 6: fake_loop_advance(cpus->loop, value % 100000); break;
    case 7: lapic_receive(cpus->lapic[n], value % 8, (u8)(value >> 8), value & 0x10000); break;
    case 8: ops->set_cr8(cpus->lapic[n], value & 15); break;
    case 9: apic_bus_set_lint(&cpus->bus, value & 1, value & 2); break;
    case 10:
        if (fake_random(seed) % 16 == 0)
            ops->set_base(cpus->lapic[n], 0xFEE00000 | (value & 0xC00));
        break;
    default:
        if (fake_random(seed) % 64 == 0)
            ops->init(cpus->lapic[n]);
        break;
    }
}

/* What must hold in any state: pending and ack agree, and what is delivered is above the PPR. */
static void random_check(struct fake_cpus *cpus, unsigned n)
{
    int vector = apic_pending(cpus, n);
    u8 cr8 = cpus->vcpu[n].apic_ops->get_cr8(cpus->lapic[n]);
    int acked = apic_ack(cpus, n);

    if (vector > 0) {
        assert_int_equal(acked, vector);
        assert_true(vector >= 16 && vector >> 4 > cr8);
    } else {
        assert_int_equal(acked, vector == 0 ? cpus->pic.vector : -1);
    }
}

static void random_accesses_keep_the_invariants(void **state)
{
    struct fake_cpus *cpus = *state;
    u64 seed = 2024;

    cpus->pic.vector = 0x0D;
    for (unsigned i = 0; i < 60000; i++) {
        cpus->pic.int_level = fake_random(&seed) % 2;
        random_step(cpus, &seed);
        if (i % 3 == 0)
            random_check(cpus, (unsigned)(fake_random(&seed) % 3));
        if (i % 1000 == 0)
            for (unsigned n = 0; n < 3; n++)
                cpus->vcpu[n].apic_ops->set_base(cpus->lapic[n], APIC_BASE_XAPIC);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_after_reset),
        cmocka_unit_test_setup_teardown(writes_keep_only_writable_bits, setup, teardown),
        cmocka_unit_test(deadline_bit_is_reserved_where_it_is_not_offered),
        cmocka_unit_test_setup_teardown(reads_of_other_sizes_see_the_register_as_memory, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(writes_of_other_sizes_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(offsets_without_register_set_the_esr, setup, teardown),
        cmocka_unit_test_setup_teardown(
            msrs_fault_in_xapic_mode_and_the_page_is_gone_in_x2apic_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(x2apic_rights, setup_x2apic, teardown),
        cmocka_unit_test_setup_teardown(x2apic_reserved_bits_fault, setup_x2apic, teardown),
        cmocka_unit_test(x2apic_id_and_ldr_come_from_the_apic_id),
        cmocka_unit_test_setup_teardown(x2apic_icr_is_one_64_bit_register, setup_x2apic, teardown),
        cmocka_unit_test_setup_teardown(self_ipi_interrupts_its_own_cpu, setup_x2apic, teardown),
        cmocka_unit_test_setup_teardown(x2apic_bitmaps_and_timer, setup_x2apic, teardown),
        cmocka_unit_test_setup_teardown(icr_destinations_and_shorthands, setup, teardown),
        cmocka_unit_test_setup_teardown(icr_reads_back_idle, setup, teardown),
        cmocka_unit_test_setup_teardown(icr_starts_processors_the_way_firmware_does, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(icr_starts_processors_the_way_linux_does, setup, teardown),
        cmocka_unit_test_setup_teardown(icr_sends_nmis, setup, teardown),
        cmocka_unit_test_setup_teardown(ipis_are_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disabled_lapic_still_sends, setup, teardown),
        cmocka_unit_test_setup_teardown(illegal_vectors_are_errors_of_sender_and_receiver, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(error_interrupt_comes_once_until_the_esr_is_written, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_illegal_error_vector_does_not_recurse, setup, teardown),
        cmocka_unit_test_setup_teardown(sipis_may_have_low_vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(random_accesses_keep_the_invariants, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
