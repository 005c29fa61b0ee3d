/* SPDX-License-Identifier: MIT */
/* The local APIC: interrupts in, vectors out, modes, LINT pins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "base/bits.h"
#include "machine/device.h"
#include "unit/fakes/fake_apic_cpus.h"

#define MASKED BIT(16)

static int setup(void **state)
{
    struct fake_cpus *cpus = fake_cpus_new(2);

    apic_enable_all(cpus);
    *state = cpus;
    return 0;
}

static int teardown(void **state)
{
    fake_cpus_free(*state);
    return 0;
}

static void fixed(struct fake_cpus *cpus, u8 vector)
{
    lapic_receive(cpus->lapic[0], APIC_MODE_FIXED, vector, false);
}

static bool set_base(struct fake_cpus *cpus, u64 value)
{
    return cpus->vcpu[0].apic_ops->set_base(cpus->lapic[0], value);
}

static u64 get_base(struct fake_cpus *cpus, unsigned n)
{
    return cpus->vcpu[n].apic_ops->get_base(cpus->lapic[n]);
}

static u8 get_cr8(struct fake_cpus *cpus)
{
    return cpus->vcpu[0].apic_ops->get_cr8(cpus->lapic[0]);
}

static void set_cr8(struct fake_cpus *cpus, u8 value)
{
    cpus->vcpu[0].apic_ops->set_cr8(cpus->lapic[0], value);
}

static void reset(struct fake_cpus *cpus, unsigned n)
{
    struct device *dev = lapic_device(cpus->lapic[n]);

    pthread_mutex_lock(&dev->lock);
    dev->ops->reset(dev);
    pthread_mutex_unlock(&dev->lock);
}

/* Bit `vector` of the ISR, TMR or IRR. */
static bool vector_bit(struct fake_cpus *cpus, u32 bitmap, u8 vector)
{
    return apic_read(cpus, 0, bitmap + vector / 32 * 16u) >> vector % 32 & 1;
}

/* ---- Delivery ---- */

static void an_interrupt_goes_from_irr_to_isr_to_nothing(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_int_equal(apic_pending(cpus, 0), -1);
    fixed(cpus, 0x31);
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_INTR);
    assert_true(vector_bit(cpus, APIC_IRR, 0x31));
    assert_int_equal(apic_pending(cpus, 0), 0x31);
    assert_int_equal(apic_ack(cpus, 0), 0x31);
    assert_false(vector_bit(cpus, APIC_IRR, 0x31));
    assert_true(vector_bit(cpus, APIC_ISR, 0x31));
    assert_int_equal(apic_pending(cpus, 0), -1);
    assert_int_equal(apic_ack(cpus, 0), -1);
    apic_eoi(cpus, 0);
    assert_false(vector_bit(cpus, APIC_ISR, 0x31));
    assert_int_equal(apic_requests(cpus, 0), 0);
}

static void every_legal_vector_is_delivered(void **state)
{
    struct fake_cpus *cpus = *state;

    for (unsigned v = 16; v < 256; v++) {
        fixed(cpus, (u8)v);
        assert_int_equal(apic_ack(cpus, 0), v);
        assert_int_equal(apic_read(cpus, 0, APIC_PPR), v & 0xF0);
        apic_eoi(cpus, 0);
    }
    assert_int_equal(apic_read(cpus, 0, APIC_PPR), 0);
}

static void the_highest_vector_goes_first(void **state)
{
    static const u8 vectors[] = { 0x41, 0xEF, 0x20, 0x80, 0x7F, 0xC0 };
    static const u8 sorted[] = { 0xEF, 0xC0, 0x80, 0x7F, 0x41, 0x20 };
    struct fake_cpus *cpus = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++)
        fixed(cpus, vectors[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(sorted); i++) {
        apic_requests(cpus, 0);
        assert_int_equal(apic_ack(cpus, 0), sorted[i]);
        apic_eoi(cpus, 0);
        /* The EOI asks the vCPU to look again while there is more. */
        assert_int_equal(apic_requests(cpus, 0), i < 5 ? VCPU_REQ_INTR : 0);
    }
}

static void only_a_higher_class_interrupts_a_handler(void **state)
{
    struct fake_cpus *cpus = *state;

    fixed(cpus, 0x45);
    assert_int_equal(apic_ack(cpus, 0), 0x45);
    fixed(cpus, 0x4F);
    assert_int_equal(apic_pending(cpus, 0), -1);
    fixed(cpus, 0x50);
    assert_int_equal(apic_ack(cpus, 0), 0x50);
    apic_eoi(cpus, 0); /* of 0x50 */
    assert_int_equal(apic_pending(cpus, 0), -1);
    apic_eoi(cpus, 0); /* of 0x45 */
    assert_int_equal(apic_ack(cpus, 0), 0x4F);
}

static void the_same_vector_twice_is_one_interrupt(void **state)
{
    struct fake_cpus *cpus = *state;

    fixed(cpus, 0x60);
    fixed(cpus, 0x60);
    assert_int_equal(apic_ack(cpus, 0), 0x60);
    fixed(cpus, 0x60); /* but one more may wait behind the one in service */
    apic_eoi(cpus, 0);
    assert_int_equal(apic_ack(cpus, 0), 0x60);
    apic_eoi(cpus, 0);
    assert_int_equal(apic_pending(cpus, 0), -1);
}

static void eoi_without_interrupt_does_nothing(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_eoi(cpus, 0);
    assert_int_equal(apic_read(cpus, 0, APIC_PPR), 0);
    assert_int_equal(apic_requests(cpus, 0), 0);
}

/* ---- Priorities ---- */

static void tpr_holds_its_class_and_below(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_TPR, 0x50);
    fixed(cpus, 0x5F);
    assert_int_equal(apic_pending(cpus, 0), -1);
    fixed(cpus, 0x60);
    assert_int_equal(apic_ack(cpus, 0), 0x60);
    apic_eoi(cpus, 0);
    apic_requests(cpus, 0);
    apic_write(cpus, 0, APIC_TPR, 0x4F);
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_INTR);
    assert_int_equal(apic_pending(cpus, 0), 0x5F);
}

static void ppr_is_the_higher_of_task_and_service(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_TPR, 0x23);
    assert_int_equal(apic_read(cpus, 0, APIC_PPR), 0x23);
    fixed(cpus, 0x35);
    apic_ack(cpus, 0);
    assert_int_equal(apic_read(cpus, 0, APIC_PPR), 0x30);
    apic_write(cpus, 0, APIC_TPR, 0x31);
    assert_int_equal(apic_read(cpus, 0, APIC_PPR), 0x31);
    apic_write(cpus, 0, APIC_TPR, 0x77);
    assert_int_equal(apic_read(cpus, 0, APIC_PPR), 0x77);
    apic_eoi(cpus, 0);
    assert_int_equal(apic_read(cpus, 0, APIC_PPR), 0x77);
    apic_write(cpus, 0, APIC_TPR, 0);
    assert_int_equal(apic_read(cpus, 0, APIC_PPR), 0);
}

static void cr8_is_the_class_of_the_tpr(void **state)
{
    struct fake_cpus *cpus = *state;

    set_cr8(cpus, 0xA);
    assert_int_equal(apic_read(cpus, 0, APIC_TPR), 0xA0);
    apic_write(cpus, 0, APIC_TPR, 0x5C);
    assert_int_equal(get_cr8(cpus), 5);
    set_cr8(cpus, 15);
    fixed(cpus, 0xFF);
    assert_int_equal(apic_pending(cpus, 0), -1);
    apic_requests(cpus, 0);
    set_cr8(cpus, 14);
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_INTR);
    assert_int_equal(apic_pending(cpus, 0), 0xFF);
}

/* ---- Trigger modes ---- */

struct eoi_log {
    unsigned count;
    u8 last;
};

static void eoi_log_note(void *arg, u8 vector)
{
    struct eoi_log *log = arg;

    log->count++;
    log->last = vector;
}

static void levels_are_broadcast_at_eoi_and_edges_are_not(void **state)
{
    struct fake_cpus *cpus = *state;
    struct eoi_log log = { 0 };

    apic_bus_add_listener(&cpus->bus, (struct apic_eoi_listener){ eoi_log_note, &log });
    fixed(cpus, 0x51);
    apic_ack(cpus, 0);
    apic_eoi(cpus, 0);
    assert_int_equal(log.count, 0);
    lapic_receive(cpus->lapic[0], APIC_MODE_FIXED, 0x51, true);
    assert_true(vector_bit(cpus, APIC_TMR, 0x51));
    apic_ack(cpus, 0);
    assert_true(vector_bit(cpus, APIC_TMR, 0x51));
    apic_eoi(cpus, 0);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.last, 0x51);
    fixed(cpus, 0x51);
    assert_false(vector_bit(cpus, APIC_TMR, 0x51));
}

static void an_edge_behind_a_level_does_not_swallow_its_eoi(void **state)
{
    struct fake_cpus *cpus = *state;
    struct eoi_log log = { 0 };

    apic_bus_add_listener(&cpus->bus, (struct apic_eoi_listener){ eoi_log_note, &log });
    lapic_receive(cpus->lapic[0], APIC_MODE_FIXED, 0x51, true);
    fixed(cpus, 0x51);
    apic_ack(cpus, 0);
    fixed(cpus, 0x51);
    apic_eoi(cpus, 0);
    assert_int_equal(log.count, 1);
    apic_ack(cpus, 0);
    apic_eoi(cpus, 0);
    assert_int_equal(log.count, 1);
}

static void svr_bit_12_suppresses_the_broadcast(void **state)
{
    struct fake_cpus *cpus = *state;
    struct eoi_log log = { 0 };

    apic_bus_add_listener(&cpus->bus, (struct apic_eoi_listener){ eoi_log_note, &log });
    assert_true(apic_read(cpus, 0, APIC_VERSION) & BIT(24));
    apic_write(cpus, 0, APIC_SVR, 0x11FF);
    assert_int_equal(apic_read(cpus, 0, APIC_SVR), 0x11FF);
    lapic_receive(cpus->lapic[0], APIC_MODE_FIXED, 0x51, true);
    apic_ack(cpus, 0);
    apic_eoi(cpus, 0);
    assert_int_equal(log.count, 0);
    assert_false(vector_bit(cpus, APIC_ISR, 0x51));
}

/* ---- Other delivery modes ---- */

static void modes_become_requests(void **state)
{
    static const struct {
        enum apic_mode mode;
        u32 request;
    } rows[] = {
        { APIC_MODE_FIXED, VCPU_REQ_INTR },
        { APIC_MODE_LOWEST, VCPU_REQ_INTR },
        { APIC_MODE_SMI, 0 },
        { APIC_MODE_RESERVED, 0 },
        { APIC_MODE_NMI, VCPU_REQ_NMI },
        { APIC_MODE_INIT, VCPU_REQ_INIT },
        { APIC_MODE_STARTUP, VCPU_REQ_SIPI },
        { APIC_MODE_EXTINT, VCPU_REQ_INTR },
    };
    struct fake_cpus *cpus = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        lapic_receive(cpus->lapic[1], rows[i].mode, 0x9A, false);
        assert_int_equal(apic_requests(cpus, 1), rows[i].request);
    }
    assert_int_equal(cpus->vcpu[1].sipi_vector, 0x9A);
    assert_int_equal(apic_requests(cpus, 0), 0);
}

static void extint_message_fetches_its_vector_from_the_8259(void **state)
{
    struct fake_cpus *cpus = *state;

    cpus->pic.vector = 0x0B; /* may be below 16 */
    lapic_receive(cpus->lapic[1], APIC_MODE_EXTINT, 0, false);
    assert_true(apic_pending(cpus, 1) >= 0);
    assert_int_equal(apic_ack(cpus, 1), 0x0B);
    assert_int_equal(cpus->pic.acks, 1);
    assert_int_equal(apic_pending(cpus, 1), -1);
    assert_int_equal(apic_ack(cpus, 1), -1);
}

static void extint_without_8259_is_nothing(void **state)
{
    struct fake_cpus *cpus = fake_cpus_new_plain(1, NULL);

    (void)state;
    apic_enable_all(cpus);
    lapic_receive(cpus->lapic[0], APIC_MODE_EXTINT, 0, false);
    assert_int_equal(apic_pending(cpus, 0), -1);
    assert_int_equal(apic_ack(cpus, 0), -1);
    fake_cpus_free(cpus);
}

/* ---- LINT pins ---- */

static void lint0_lets_the_8259_in_when_unmasked_as_extint(void **state)
{
    struct fake_cpus *cpus = *state;

    cpus->pic = (struct fake_pic){ .int_level = true, .vector = 0x08 };
    apic_bus_set_lint(&cpus->bus, 0, true);
    assert_int_equal(apic_requests(cpus, 0), 0);
    assert_int_equal(apic_pending(cpus, 0), -1);
    apic_write(cpus, 0, APIC_LINT0, 0x8700); /* what SeaBIOS writes */
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_INTR);
    assert_true(apic_pending(cpus, 0) >= 0);
    assert_int_equal(apic_pending(cpus, 1), -1);
    assert_int_equal(apic_ack(cpus, 0), 0x08);
    assert_int_equal(apic_pending(cpus, 0), -1);
    assert_int_equal(apic_read(cpus, 0, APIC_PPR), 0); /* ExtINT is no business of ISR and PPR */
    apic_bus_set_lint(&cpus->bus, 0, false);
    cpus->pic.int_level = true;
    apic_bus_set_lint(&cpus->bus, 0, true);
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_INTR);
    assert_int_equal(apic_requests(cpus, 1), 0);
}

static void lapic_vectors_go_before_the_8259(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LINT0, 0x700);
    cpus->pic = (struct fake_pic){ .int_level = true, .vector = 0x08 };
    fixed(cpus, 0x90);
    apic_requests(cpus, 0);
    assert_int_equal(apic_ack(cpus, 0), 0x90);
    /* The one request is used up, so the ExtINT asks for another. */
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_INTR);
    assert_int_equal(apic_ack(cpus, 0), 0x08);
    assert_int_equal(apic_requests(cpus, 0), 0);
}

static void masked_extint_that_went_away_is_not_acknowledged(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LINT0, 0x700);
    cpus->pic = (struct fake_pic){ .int_level = true, .vector = 0x08 };
    assert_true(apic_pending(cpus, 0) >= 0);
    apic_write(cpus, 0, APIC_LINT0, MASKED | 0x700);
    assert_int_equal(apic_ack(cpus, 0), -1);
    assert_int_equal(cpus->pic.acks, 0);
}

static void lint1_makes_nmis_on_rising_edges(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LINT1, 0x400);
    apic_bus_set_lint(&cpus->bus, 1, true);
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_NMI);
    assert_int_equal(apic_requests(cpus, 1), 0); /* masked there */
    apic_bus_set_lint(&cpus->bus, 1, true);
    assert_int_equal(apic_requests(cpus, 0), 0);
    apic_bus_set_lint(&cpus->bus, 1, false);
    apic_bus_set_lint(&cpus->bus, 1, true);
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_NMI);
}

static void lint_pins_deliver_fixed_vectors(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LINT0, 0x35);
    lapic_set_lint(cpus->lapic[0], 0, true);
    assert_int_equal(apic_ack(cpus, 0), 0x35);
    apic_write(cpus, 0, APIC_LINT1, 0x500);
    lapic_set_lint(cpus->lapic[0], 1, true);
    assert_true(apic_requests(cpus, 0) & VCPU_REQ_INIT);
}

/* ---- Disabled by SVR, by IA32_APIC_BASE ---- */

static void after_reset_only_nmi_init_and_sipi_come_through(void **state)
{
    struct fake_cpus *cpus = *state;

    reset(cpus, 0);
    fixed(cpus, 0x50);
    assert_int_equal(apic_requests(cpus, 0), 0);
    assert_int_equal(apic_pending(cpus, 0), -1);
    assert_false(lapic_is_enabled(cpus->lapic[0]));
    lapic_receive(cpus->lapic[0], APIC_MODE_NMI, 0, false);
    lapic_receive(cpus->lapic[0], APIC_MODE_INIT, 0, false);
    lapic_receive(cpus->lapic[0], APIC_MODE_STARTUP, 0x10, false);
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_NMI | VCPU_REQ_INIT | VCPU_REQ_SIPI);
}

static void svr_disable_masks_lvts_and_keeps_what_was_accepted(void **state)
{
    struct fake_cpus *cpus = *state;

    for (u32 reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg += 16)
        apic_write(cpus, 0, reg, 0x40);
    fixed(cpus, 0x50);
    apic_write(cpus, 0, APIC_SVR, 0xFF);
    for (u32 reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg += 16) {
        assert_int_equal(apic_read(cpus, 0, reg), MASKED | 0x40);
        apic_write(cpus, 0, reg, 0x41);
        assert_int_equal(apic_read(cpus, 0, reg), MASKED | 0x41);
    }
    fixed(cpus, 0x60);
    assert_int_equal(apic_ack(cpus, 0), 0x50);
    apic_eoi(cpus, 0);
    assert_int_equal(apic_pending(cpus, 0), -1);
}

static void without_lapic_the_pins_are_intr_and_nmi(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_true(set_base(cpus, APIC_BASE_OFF));
    cpus->pic = (struct fake_pic){ .int_level = true, .vector = 0x20 };
    lapic_set_lint(cpus->lapic[0], 0, true);
    lapic_set_lint(cpus->lapic[0], 1, true);
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_INTR | VCPU_REQ_NMI);
    assert_int_equal(apic_ack(cpus, 0), 0x20);
    lapic_receive(cpus->lapic[0], APIC_MODE_NMI, 0, false);
    lapic_receive(cpus->lapic[0], APIC_MODE_INIT, 0, false);
    fixed(cpus, 0x50);
    assert_int_equal(apic_requests(cpus, 0), 0);
    assert_int_equal(apic_read(cpus, 0, APIC_VERSION), 0);
}

static void disabling_by_base_clears_the_registers(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LDR, 0x01000000);
    apic_write(cpus, 0, APIC_TPR, 0x10);
    fixed(cpus, 0x50);
    assert_true(set_base(cpus, APIC_BASE_OFF));
    assert_int_equal(get_cr8(cpus), 0);
    assert_true(set_base(cpus, APIC_BASE_XAPIC));
    assert_int_equal(apic_read(cpus, 0, APIC_LDR), 0);
    assert_int_equal(apic_read(cpus, 0, APIC_SVR), 0xFF);
    assert_int_equal(apic_pending(cpus, 0), -1);
}

/* ---- IA32_APIC_BASE ---- */

static void base_after_reset_tells_the_bsp(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_true(get_base(cpus, 0) == 0xFEE00900);
    assert_true(get_base(cpus, 1) == 0xFEE00800);
}

static void base_moves_between_modes_as_the_figure_tells(void **state)
{
    static const u64 bases[] = { APIC_BASE_OFF, APIC_BASE_OFF | BIT64(10), APIC_BASE_XAPIC,
                                 APIC_BASE_X2APIC };
    static const bool allowed[4][4] = {
        { true, false, true, false },
        { false, false, false, false },
        { true, false, true, true },
        { true, false, false, true },
    };
    struct fake_cpus *cpus = *state;

    for (unsigned from = 0; from < 4; from++) {
        for (unsigned to = 0; to < 4 && from != 1; to++) {
            reset(cpus, 0);
            if (from != 2)
                assert_true(set_base(cpus, bases[from]));
            assert_int_equal(set_base(cpus, bases[to]), allowed[from][to]);
            assert_true((get_base(cpus, 0) & 0xC00) ==
                        (bases[allowed[from][to] ? to : from] & 0xC00));
        }
    }
}

static void reserved_base_bits_fault(void **state)
{
    struct fake_cpus *cpus = *state;

    for (unsigned bit = 0; bit < 64; bit++) {
        bool ok = (bit >= 12 && bit < 40) || bit == 8 || bit == 10 || bit == 11;

        reset(cpus, 0);
        assert_int_equal(set_base(cpus, APIC_BASE_XAPIC | BIT64(bit)), ok);
    }
}

static void x2apic_faults_where_it_is_not_offered(void **state)
{
    struct fake_cpus *cpus = fake_cpus_new_plain(1, NULL);
    u64 value;

    (void)state;
    assert_false(set_base(cpus, APIC_BASE_X2APIC));
    assert_true(get_base(cpus, 0) == 0xFEE00900);
    assert_false(cpus->vcpu[0].apic_ops->msr_read(cpus->lapic[0], 0x6E0, &value));
    assert_false(cpus->vcpu[0].apic_ops->msr_write(cpus->lapic[0], 0x6E0, 1));
    fake_cpus_free(cpus);
}

/* ---- INIT, reset ---- */

static void init_clears_all_but_id_and_base(void **state)
{
    struct fake_cpus *cpus = *state;

    assert_true(cpus->vcpu[1].apic_ops->set_base(cpus->lapic[1], 0xFEC80000 | BIT64(11)));
    apic_write(cpus, 1, APIC_LDR, 0x02000000);
    apic_write(cpus, 1, APIC_INITIAL, 100);
    apic_write(cpus, 1, APIC_LVT_TIMER, 0x40);
    lapic_receive(cpus->lapic[1], APIC_MODE_FIXED, 0x77, true);
    cpus->vcpu[1].apic_ops->init(cpus->lapic[1]);
    fake_loop_advance(cpus->loop, 1000);
    assert_int_equal(apic_pending(cpus, 1), -1);
    assert_int_equal(apic_read(cpus, 1, APIC_LDR), 0);
    assert_int_equal(apic_read(cpus, 1, APIC_DFR), 0xFFFFFFFF);
    assert_int_equal(apic_read(cpus, 1, APIC_LVT_TIMER), MASKED);
    assert_int_equal(apic_read(cpus, 1, APIC_INITIAL), 0);
    assert_int_equal(apic_read(cpus, 1, APIC_ID), 0x01000000);
    assert_true(get_base(cpus, 1) == (0xFEC80000 | BIT64(11)));
    reset(cpus, 1);
    assert_true(get_base(cpus, 1) == 0xFEE00800);
}

static void init_keeps_x2apic_mode(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_x2apic_all(cpus);
    cpus->vcpu[1].apic_ops->init(cpus->lapic[1]);
    assert_true(get_base(cpus, 1) == APIC_BASE_X2APIC);
    assert_int_equal(apic_rdmsr(cpus, 1, 0x80F), 0xFF);
}

/* ---- Timer ---- */

static void timer_interrupts_through_its_lvt(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LVT_TIMER, 0xEC);
    apic_write(cpus, 0, APIC_DIVIDE, 0xB);
    apic_write(cpus, 0, APIC_INITIAL, 1000);
    fake_loop_advance(cpus->loop, 400);
    assert_int_equal(apic_read(cpus, 0, APIC_CURRENT), 600);
    assert_int_equal(apic_requests(cpus, 0), 0);
    fake_loop_advance(cpus->loop, 600);
    assert_int_equal(apic_requests(cpus, 0), VCPU_REQ_INTR);
    assert_int_equal(apic_ack(cpus, 0), 0xEC);
    assert_int_equal(apic_read(cpus, 0, APIC_CURRENT), 0);
}

static void masked_timer_counts_in_silence(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LVT_TIMER, MASKED | BIT(17) | 0xEC);
    apic_write(cpus, 0, APIC_DIVIDE, 0xB);
    apic_write(cpus, 0, APIC_INITIAL, 100000);
    fake_loop_advance(cpus->loop, 150000);
    assert_int_equal(apic_requests(cpus, 0), 0);
    assert_int_equal(apic_read(cpus, 0, APIC_CURRENT), 50000);
    apic_write(cpus, 0, APIC_LVT_TIMER, BIT(17) | 0xEC);
    fake_loop_advance(cpus->loop, 50000);
    assert_int_equal(apic_ack(cpus, 0), 0xEC);
}

static void tsc_deadline_follows_the_guests_tsc(void **state)
{
    struct fake_cpus *cpus = *state;

    cpus->tsc_offset = 1000000;
    apic_write(cpus, 0, APIC_LVT_TIMER, BIT(18) | 0xEC);
    apic_wrmsr(cpus, 0, 0x6E0, 1002000);
    assert_int_equal(apic_rdmsr(cpus, 0, 0x6E0), 1002000);
    fake_loop_advance(cpus->loop, 1999);
    assert_int_equal(apic_pending(cpus, 0), -1);
    fake_loop_advance(cpus->loop, 1);
    assert_int_equal(apic_pending(cpus, 0), 0xEC);
    assert_int_equal(apic_rdmsr(cpus, 0, 0x6E0), 0);
}

static void tsc_deadline_is_ignored_in_other_modes(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LVT_TIMER, 0xEC);
    apic_wrmsr(cpus, 0, 0x6E0, 1);
    fake_loop_advance(cpus->loop, 1000);
    assert_int_equal(apic_rdmsr(cpus, 0, 0x6E0), 0);
    assert_int_equal(apic_pending(cpus, 0), -1);
}

static void writing_the_deadline_again_follows_a_tsc_change(void **state)
{
    struct fake_cpus *cpus = *state;

    apic_write(cpus, 0, APIC_LVT_TIMER, BIT(18) | 0xEC);
    apic_wrmsr(cpus, 0, 0x6E0, 10000);
    cpus->tsc_offset = 9000;
    apic_wrmsr(cpus, 0, 0x6E0, apic_rdmsr(cpus, 0, 0x6E0));
    fake_loop_advance(cpus->loop, 1000);
    assert_int_equal(apic_pending(cpus, 0), 0xEC);
}

/* ---- Threads ---- */

#define STRESS_ROUNDS 30000u

struct stress {
    struct fake_cpus *cpus;
    _Atomic bool stop;
};

/*
 * A device, an IPI sender and the loop in one: vectors 0x30-0x37 by edge and level, timers, the
 * 8259's wire.
 */
static void *stress_sender(void *arg)
{
    struct stress *stress = arg;
    struct lapic *lapic = stress->cpus->lapic[0];

    for (unsigned i = 0; i < STRESS_ROUNDS; i++) {
        lapic_receive(lapic, APIC_MODE_FIXED, (u8)(0x30 + i % 8), i & 8);
        lapic_receive(lapic, APIC_MODE_FIXED, (u8)(i & 0xF), false); /* an error */
        apic_bus_set_lint(&stress->cpus->bus, 1, i & 1);
        fake_loop_run(stress->cpus->loop);
    }
    lapic_receive(lapic, APIC_MODE_FIXED, 0xF0, true);
    atomic_store(&stress->stop, true);
    return NULL;
}

static void stress_take_one(struct fake_cpus *cpus, unsigned *taken)
{
    int vector = apic_pending(cpus, 0);
    int acked;

    if (vector < 0)
        return;
    acked = apic_ack(cpus, 0);
    assert_true(acked >= vector); /* a higher one may have come in between, none goes away */
    taken[acked]++;
    apic_eoi(cpus, 0);
}

static void two_threads_deliver_and_take(void **state)
{
    struct fake_cpus *cpus = *state;
    struct stress stress = { .cpus = cpus };
    unsigned taken[256] = { 0 };
    pthread_t thread;

    apic_write(cpus, 0, APIC_LVT_TIMER, BIT(18) | 0xE0);
    apic_write(cpus, 0, APIC_LVT_ERROR, 0xE1);
    apic_write(cpus, 0, APIC_LINT1, 0x400);
    assert_int_equal(pthread_create(&thread, NULL, stress_sender, &stress), 0);
    for (unsigned i = 0; !atomic_load(&stress.stop) || cpus->vcpu[0].requests & VCPU_REQ_INTR;
         i++) {
        if (vcpu_take(&cpus->vcpu[0], VCPU_REQ_INTR)) {
            stress_take_one(cpus, taken);
        } else {
            fake_clock_step(&cpus->clock, 10);
            apic_wrmsr(cpus, 0, 0x6E0, clock_tsc(&cpus->clock) + i % 20);
            apic_write(cpus, 0, APIC_ESR, 0);
            if (i % 16 == 0)
                apic_write(cpus, 0, APIC_LVT_TIMER, BIT(18) | (i & 16 ? MASKED : 0) | 0xE0);
            sched_yield();
        }
    }
    pthread_join(thread, NULL);
    /* Nothing is left behind, and every source was seen. */
    assert_int_equal(apic_pending(cpus, 0), -1);
    assert_int_equal(taken[0xF0], 1);
    for (unsigned v = 0x30; v < 0x38; v++)
        assert_true(taken[v] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_interrupt_goes_from_irr_to_isr_to_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_legal_vector_is_delivered, setup, teardown),
        cmocka_unit_test_setup_teardown(the_highest_vector_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(only_a_higher_class_interrupts_a_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_vector_twice_is_one_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(eoi_without_interrupt_does_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(tpr_holds_its_class_and_below, setup, teardown),
        cmocka_unit_test_setup_teardown(ppr_is_the_higher_of_task_and_service, setup, teardown),
        cmocka_unit_test_setup_teardown(cr8_is_the_class_of_the_tpr, setup, teardown),
        cmocka_unit_test_setup_teardown(levels_are_broadcast_at_eoi_and_edges_are_not, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_edge_behind_a_level_does_not_swallow_its_eoi, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(svr_bit_12_suppresses_the_broadcast, setup, teardown),
        cmocka_unit_test_setup_teardown(modes_become_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(extint_message_fetches_its_vector_from_the_8259, setup,
                                        teardown),
        cmocka_unit_test(extint_without_8259_is_nothing),
        cmocka_unit_test_setup_teardown(lint0_lets_the_8259_in_when_unmasked_as_extint, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lapic_vectors_go_before_the_8259, setup, teardown),
        cmocka_unit_test_setup_teardown(masked_extint_that_went_away_is_not_acknowledged, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lint1_makes_nmis_on_rising_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(lint_pins_deliver_fixed_vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(after_reset_only_nmi_init_and_sipi_come_through, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(svr_disable_masks_lvts_and_keeps_what_was_accepted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_lapic_the_pins_are_intr_and_nmi, setup, teardown),
        cmocka_unit_test_setup_teardown(disabling_by_base_clears_the_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(base_after_reset_tells_the_bsp, setup, teardown),
        cmocka_unit_test_setup_teardown(base_moves_between_modes_as_the_figure_tells, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(reserved_base_bits_fault, setup, teardown),
        cmocka_unit_test(x2apic_faults_where_it_is_not_offered),
        cmocka_unit_test_setup_teardown(init_clears_all_but_id_and_base, setup, teardown),
        cmocka_unit_test_setup_teardown(init_keeps_x2apic_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(timer_interrupts_through_its_lvt, setup, teardown),
        cmocka_unit_test_setup_teardown(masked_timer_counts_in_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(tsc_deadline_follows_the_guests_tsc, setup, teardown),
        cmocka_unit_test_setup_teardown(tsc_deadline_is_ignored_in_other_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(writing_the_deadline_again_follows_a_tsc_change, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(two_threads_deliver_and_take, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
