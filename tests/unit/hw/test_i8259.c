/* SPDX-License-Identifier: MIT */
/* The 8259A pair: initialisation, priorities, triggering, and what Linux asks of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "hw/i8259.h"
#include "unit/fakes/irq.h"
#include "unit/fakes/region.h"

enum chip { MASTER, SLAVE };

struct fixture {
    struct fake_irq cpu;
    struct i8259 *pic;
    struct fake_region chip[2];
    struct fake_region elcr;
};

static int setup(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    f.pic = i8259_new(fake_irq_line(&f.cpu, 0));
    f.chip[MASTER] = (struct fake_region){ &i8259_master_ops, f.pic };
    f.chip[SLAVE] = (struct fake_region){ &i8259_slave_ops, f.pic };
    f.elcr = (struct fake_region){ &i8259_elcr_ops, f.pic };
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct device *dev = i8259_device(f->pic);

    dev->ops->free(dev);
    return 0;
}

static void command(struct fixture *f, enum chip chip, u8 value)
{
    fake_region_write(&f->chip[chip], 0, 1, value);
}

static void data(struct fixture *f, enum chip chip, u8 value)
{
    fake_region_write(&f->chip[chip], 1, 1, value);
}

static u8 imr(struct fixture *f, enum chip chip)
{
    return (u8)fake_region_read(&f->chip[chip], 1, 1);
}

static u8 irr(struct fixture *f, enum chip chip)
{
    command(f, chip, 0x0A);
    return (u8)fake_region_read(&f->chip[chip], 0, 1);
}

static u8 isr(struct fixture *f, enum chip chip)
{
    command(f, chip, 0x0B);
    return (u8)fake_region_read(&f->chip[chip], 0, 1);
}

static u8 poll(struct fixture *f, enum chip chip)
{
    command(f, chip, 0x0C);
    return (u8)fake_region_read(&f->chip[chip], 0, 1);
}

/* Both chips as Linux sets them up, with these modes in ICW4. */
static void init_icw4(struct fixture *f, u8 master_icw4, u8 slave_icw4)
{
    command(f, MASTER, 0x11);
    data(f, MASTER, 0x30);
    data(f, MASTER, 0x04);
    data(f, MASTER, master_icw4);
    command(f, SLAVE, 0x11);
    data(f, SLAVE, 0x38);
    data(f, SLAVE, 0x02);
    data(f, SLAVE, slave_icw4);
}

static void init(struct fixture *f)
{
    init_icw4(f, 0x01, 0x01);
}

static void raise(struct fixture *f, unsigned n)
{
    i8259_set_irq(f->pic, n, true);
}

static void lower(struct fixture *f, unsigned n)
{
    i8259_set_irq(f->pic, n, false);
}

/* INTA. INTR must tell the truth before. */
static int ack(struct fixture *f)
{
    assert_true(i8259_pending(f->pic));
    assert_true(f->cpu.level[0]);
    return i8259_ack(f->pic);
}

static void assert_quiet(struct fixture *f)
{
    assert_false(i8259_pending(f->pic));
    assert_false(f->cpu.level[0]);
}

static void reset_registers_are_zero(void **state)
{
    struct fixture *f = *state;

    for (enum chip chip = MASTER; chip <= SLAVE; chip++) {
        assert_int_equal(fake_region_read(&f->chip[chip], 0, 1), 0);
        assert_int_equal(imr(f, chip), 0);
        assert_int_equal(irr(f, chip), 0);
        assert_int_equal(isr(f, chip), 0);
        assert_int_equal(fake_region_read(&f->elcr, chip, 1), 0);
    }
    assert_quiet(f);
}

static void linux_presence_test_finds_the_pair(void **state)
{
    struct fixture *f = *state;

    data(f, SLAVE, 0xFF);
    data(f, MASTER, 0xFB);
    assert_int_equal(imr(f, MASTER), 0xFB);
    assert_int_equal(imr(f, SLAVE), 0xFF);
}

static void vector_is_base_plus_input(void **state)
{
    struct fixture *f = *state;

    init(f);
    for (unsigned n = 0; n < I8259_INPUTS; n++) {
        if (n == 2)
            continue;
        raise(f, n);
        assert_int_equal(ack(f), 0x30 + n);
        lower(f, n);
        assert_quiet(f);
        if (n >= 8)
            command(f, SLAVE, 0x20);
        command(f, MASTER, 0x20);
    }
}

static void vector_base_loses_its_low_bits(void **state)
{
    struct fixture *f = *state;

    command(f, MASTER, 0x11);
    data(f, MASTER, 0x57);
    data(f, MASTER, 0x04);
    data(f, MASTER, 0x01);
    raise(f, 1);
    assert_int_equal(ack(f), 0x51);
}

static void icw1_without_ic4_and_with_sngl_expects_icw2_only(void **state)
{
    struct fixture *f = *state;

    command(f, MASTER, 0x12);
    data(f, MASTER, 0x40);
    data(f, MASTER, 0xA5);
    assert_int_equal(imr(f, MASTER), 0xA5);
}

static void icw1_with_sngl_and_ic4_expects_icw4_next(void **state)
{
    struct fixture *f = *state;

    command(f, MASTER, 0x13);
    data(f, MASTER, 0x40);
    data(f, MASTER, 0x03); /* automatic EOI */
    data(f, MASTER, 0x00);
    raise(f, 3);
    assert_int_equal(ack(f), 0x43);
    assert_int_equal(isr(f, MASTER), 0);
}

static void icw1_without_ic4_expects_icw3(void **state)
{
    struct fixture *f = *state;

    command(f, MASTER, 0x10);
    data(f, MASTER, 0x40);
    data(f, MASTER, 0xFF);
    assert_int_equal(imr(f, MASTER), 0);
    data(f, MASTER, 0x5A);
    assert_int_equal(imr(f, MASTER), 0x5A);
}

static void icw1_clears_mask_service_latches_and_modes(void **state)
{
    struct fixture *f = *state;

    init_icw4(f, 0x13, 0x01);
    data(f, MASTER, 0x40);
    command(f, MASTER, 0x68);
    command(f, MASTER, 0xC3);
    raise(f, 4);
    command(f, MASTER, 0x11);
    assert_int_equal(imr(f, MASTER), 0);
    assert_int_equal(irr(f, MASTER), 0);
    assert_int_equal(isr(f, MASTER), 0);
    assert_quiet(f);
    init(f);
    assert_quiet(f); /* the line is still up, but it takes a new edge */
    lower(f, 4);
    raise(f, 4);
    raise(f, 1);
    assert_int_equal(ack(f), 0x31); /* priorities are back to 0 first */
    assert_int_equal(isr(f, MASTER), 0x02);
}

static void mask_holds_a_request_and_unmasking_delivers_it(void **state)
{
    struct fixture *f = *state;

    init(f);
    data(f, MASTER, 0x10);
    raise(f, 4);
    assert_int_equal(irr(f, MASTER), 0x10);
    assert_quiet(f);
    data(f, MASTER, 0x00);
    assert_int_equal(ack(f), 0x34);
}

static void higher_priority_goes_first_and_nests(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 6);
    raise(f, 3);
    assert_int_equal(ack(f), 0x33);
    assert_quiet(f); /* 6 has to wait */
    raise(f, 1);
    assert_int_equal(ack(f), 0x31);
    assert_int_equal(isr(f, MASTER), 0x0A);
    command(f, MASTER, 0x20);
    assert_int_equal(isr(f, MASTER), 0x08);
    assert_quiet(f);
    command(f, MASTER, 0x20);
    assert_int_equal(ack(f), 0x36);
}

static void edge_is_latched_once_per_rise(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 4);
    raise(f, 4);
    assert_int_equal(ack(f), 0x34);
    command(f, MASTER, 0x20);
    assert_quiet(f);
    lower(f, 4);
    raise(f, 4);
    assert_int_equal(ack(f), 0x34);
}

static void edge_that_falls_before_inta_is_dropped_and_inta_is_spurious(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 4);
    assert_true(i8259_pending(f->pic));
    lower(f, 4);
    assert_quiet(f);
    assert_int_equal(irr(f, MASTER), 0);
    assert_int_equal(i8259_ack(f->pic), 0x37);
    assert_int_equal(isr(f, MASTER), 0);
}

static void slave_request_that_goes_away_before_inta_is_spurious(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 10);
    assert_true(i8259_pending(f->pic));
    data(f, SLAVE, 0xFF);
    assert_quiet(f);
    assert_int_equal(i8259_ack(f->pic), 0x37);
    assert_int_equal(isr(f, MASTER), 0);
    data(f, SLAVE, 0x00);
    assert_int_equal(ack(f), 0x3A);
}

static void level_input_requests_until_it_falls(void **state)
{
    struct fixture *f = *state;

    init(f);
    fake_region_write(&f->elcr, 0, 1, 0x20);
    raise(f, 5);
    assert_int_equal(ack(f), 0x35);
    assert_int_equal(irr(f, MASTER), 0x20);
    assert_quiet(f);
    command(f, MASTER, 0x20);
    assert_int_equal(ack(f), 0x35);
    lower(f, 5);
    command(f, MASTER, 0x20);
    assert_quiet(f);
    assert_int_equal(irr(f, MASTER), 0);
}

static void elcr_keeps_the_timer_keyboard_and_rtc_edge_triggered(void **state)
{
    struct fixture *f = *state;

    fake_region_write(&f->elcr, 0, 1, 0xFF);
    fake_region_write(&f->elcr, 1, 1, 0xFF);
    assert_int_equal(fake_region_read(&f->elcr, 0, 1), 0xF8);
    assert_int_equal(fake_region_read(&f->elcr, 1, 1), 0xDE);
}

static void elcr_survives_icw1_but_not_reset(void **state)
{
    struct fixture *f = *state;

    fake_region_write(&f->elcr, 1, 1, 0x0E);
    init(f);
    assert_int_equal(fake_region_read(&f->elcr, 1, 1), 0x0E);
    fake_device_reset(i8259_device(f->pic));
    assert_int_equal(fake_region_read(&f->elcr, 1, 1), 0);
}

static void slave_interrupt_is_in_service_on_both(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 12);
    assert_int_equal(irr(f, MASTER), 0x04);
    assert_int_equal(ack(f), 0x3C);
    assert_int_equal(isr(f, MASTER), 0x04);
    assert_int_equal(isr(f, SLAVE), 0x10);
    raise(f, 8); /* higher on the slave, but the master serves input 2 */
    assert_quiet(f);
    command(f, SLAVE, 0x64);
    command(f, MASTER, 0x62);
    assert_int_equal(isr(f, SLAVE), 0);
    assert_int_equal(ack(f), 0x38);
}

static void second_slave_request_is_delivered_after_eoi(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 9);
    raise(f, 14);
    assert_int_equal(ack(f), 0x39);
    command(f, SLAVE, 0x20);
    command(f, MASTER, 0x20);
    assert_int_equal(ack(f), 0x3E);
}

static void special_fully_nested_mode_lets_higher_slave_requests_in(void **state)
{
    struct fixture *f = *state;

    init_icw4(f, 0x11, 0x01);
    raise(f, 12);
    assert_int_equal(ack(f), 0x3C);
    raise(f, 8);
    assert_int_equal(ack(f), 0x38);
    raise(f, 14);
    assert_quiet(f);
    assert_int_equal(isr(f, SLAVE), 0x11);
}

static void special_fully_nested_mode_of_the_slave_changes_nothing(void **state)
{
    struct fixture *f = *state;

    init_icw4(f, 0x01, 0x11);
    raise(f, 10);
    assert_int_equal(ack(f), 0x3A);
    command(f, MASTER, 0x20);
    lower(f, 10);
    raise(f, 10);
    assert_quiet(f);
}

static void automatic_eoi_leaves_nothing_in_service(void **state)
{
    struct fixture *f = *state;

    init_icw4(f, 0x03, 0x03);
    raise(f, 9);
    raise(f, 10);
    assert_int_equal(ack(f), 0x39);
    assert_int_equal(isr(f, MASTER), 0);
    assert_int_equal(isr(f, SLAVE), 0);
    assert_int_equal(ack(f), 0x3A);
    assert_quiet(f);
}

static void rotation_in_automatic_eoi_puts_the_served_input_last(void **state)
{
    struct fixture *f = *state;

    init_icw4(f, 0x03, 0x01);
    command(f, MASTER, 0x80);
    raise(f, 3);
    assert_int_equal(ack(f), 0x33);
    lower(f, 3);
    raise(f, 3);
    raise(f, 5);
    assert_int_equal(ack(f), 0x35);
    command(f, MASTER, 0x00); /* no more rotation: 6 stays first */
    assert_int_equal(ack(f), 0x33);
    raise(f, 0);
    raise(f, 6);
    assert_int_equal(ack(f), 0x36);
}

static void rotating_eoi_puts_the_served_input_last(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 4);
    assert_int_equal(ack(f), 0x34);
    command(f, MASTER, 0xA0);
    lower(f, 4);
    raise(f, 4);
    raise(f, 5);
    raise(f, 3);
    assert_int_equal(ack(f), 0x35);
    command(f, MASTER, 0x20);
    assert_int_equal(ack(f), 0x33);
    command(f, MASTER, 0x20);
    assert_int_equal(ack(f), 0x34);
}

static void rotating_specific_eoi_ends_and_rotates_the_named_input(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 1);
    assert_int_equal(ack(f), 0x31);
    command(f, MASTER, 0xE1);
    assert_int_equal(isr(f, MASTER), 0);
    raise(f, 0);
    raise(f, 2 + 1);
    assert_int_equal(ack(f), 0x33);
}

static void set_priority_names_the_lowest_input(void **state)
{
    struct fixture *f = *state;

    init(f);
    command(f, MASTER, 0xC4);
    raise(f, 0);
    raise(f, 5);
    assert_int_equal(ack(f), 0x35);
    raise(f, 4);
    assert_quiet(f);
}

static void eoi_with_nothing_in_service_and_nop_do_nothing(void **state)
{
    struct fixture *f = *state;

    init(f);
    command(f, MASTER, 0x20);
    command(f, MASTER, 0xA0);
    command(f, MASTER, 0x40);
    raise(f, 0);
    raise(f, 1);
    assert_int_equal(ack(f), 0x30);
    assert_int_equal(isr(f, MASTER), 0x01);
}

static void special_mask_lets_lower_inputs_in(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 1);
    assert_int_equal(ack(f), 0x31);
    raise(f, 6);
    assert_quiet(f);
    command(f, MASTER, 0x68);
    data(f, MASTER, 0x02);
    assert_int_equal(ack(f), 0x36);
    command(f, MASTER, 0x20); /* ends 6: 1 is masked, so the EOI does not mean it */
    assert_int_equal(isr(f, MASTER), 0x02);
    command(f, MASTER, 0x48);
    command(f, MASTER, 0x20);
    assert_int_equal(isr(f, MASTER), 0);
}

static void special_mask_still_holds_lower_inputs_back_for_unmasked_service(void **state)
{
    struct fixture *f = *state;

    init(f);
    command(f, MASTER, 0x68);
    raise(f, 1);
    assert_int_equal(ack(f), 0x31);
    lower(f, 1);
    raise(f, 1);
    raise(f, 6);
    assert_quiet(f);
}

static void read_selection_stays_until_changed(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 4);
    ack(f);
    raise(f, 6);
    command(f, MASTER, 0x0B);
    assert_int_equal(fake_region_read(&f->chip[MASTER], 0, 1), 0x10);
    command(f, MASTER, 0x08); /* OCW3 without RR */
    assert_int_equal(fake_region_read(&f->chip[MASTER], 0, 1), 0x10);
    command(f, MASTER, 0x0A);
    assert_int_equal(fake_region_read(&f->chip[MASTER], 0, 1), 0x40);
}

static void poll_acknowledges_one_chip(void **state)
{
    struct fixture *f = *state;

    init(f);
    assert_int_equal(poll(f, MASTER), 0);
    raise(f, 11);
    assert_int_equal(poll(f, MASTER), 0x82);
    assert_int_equal(isr(f, MASTER), 0x04);
    assert_quiet(f);
    assert_int_equal(poll(f, SLAVE), 0x83);
    assert_int_equal(isr(f, SLAVE), 0x08);
    assert_int_equal(irr(f, SLAVE), 0);
}

static void poll_works_through_the_data_port_and_only_once(void **state)
{
    struct fixture *f = *state;

    init(f);
    data(f, MASTER, 0x80);
    raise(f, 5);
    command(f, MASTER, 0x0C);
    assert_int_equal(imr(f, MASTER), 0x85);
    assert_int_equal(imr(f, MASTER), 0x80);
}

static void intr_makes_an_edge_for_each_waiting_request(void **state)
{
    struct fixture *f = *state;

    init_icw4(f, 0x03, 0x01);
    raise(f, 3);
    raise(f, 4);
    assert_int_equal(f->cpu.rises[0], 1);
    assert_int_equal(ack(f), 0x33);
    assert_int_equal(f->cpu.rises[0], 2);
    assert_int_equal(ack(f), 0x34);
    assert_int_equal(f->cpu.falls[0], 2);
}

static void cascade_input_is_not_brought_out(void **state)
{
    struct fixture *f = *state;

    init(f);
    raise(f, 2);
    assert_quiet(f);
    assert_int_equal(irr(f, MASTER), 0);
}

static void power_on_chip_delivers_input_numbers_as_vectors(void **state)
{
    struct fixture *f = *state;

    raise(f, 4);
    assert_int_equal(ack(f), 4);
}

static void reset_drops_requests_and_intr(void **state)
{
    struct fixture *f = *state;

    init(f);
    data(f, MASTER, 0x01);
    raise(f, 4);
    raise(f, 12);
    ack(f);
    raise(f, 1);
    fake_device_reset(i8259_device(f->pic));
    assert_quiet(f);
    assert_int_equal(imr(f, MASTER), 0);
    assert_int_equal(irr(f, MASTER), 0);
    assert_int_equal(isr(f, MASTER), 0);
    assert_int_equal(irr(f, SLAVE), 0);
    lower(f, 4);
    raise(f, 4);
    assert_int_equal(ack(f), 4);
}

static void mask_switch_sequence_of_a_boot_leaves_the_pair_silent(void **state)
{
    struct fixture *f = *state;

    init(f);
    data(f, MASTER, 0xFF);
    data(f, SLAVE, 0xFF);
    for (unsigned n = 0; n < I8259_INPUTS; n++)
        raise(f, n);
    assert_quiet(f);
    assert_int_equal(irr(f, MASTER), 0xFB);
    assert_int_equal(irr(f, SLAVE), 0xFF);
}

/* Whatever a guest writes, INTR is what the registers say, and vectors are those of the bases. */
static void random_accesses_keep_the_outputs_consistent(void **state)
{
    struct fixture *f = *state;
    u64 seed = 0x8259;

    for (unsigned i = 0; i < 200000; i++) {
        u64 r = fake_random(&seed);
        enum chip chip = r >> 8 & 1;
        int vector;

        switch (r % 8) {
        case 0:
        case 1: raise(f, r >> 16 & 15); break;
        case 2: lower(f, r >> 16 & 15); break;
        case 3: command(f, chip, (u8)(r >> 24)); break;
        case 4: data(f, chip, (u8)(r >> 24)); break;
        case 5: fake_region_read(&f->chip[chip], r >> 9 & 1, 1); break;
        case 6: fake_region_write(&f->elcr, chip, 1, r >> 24 & 0xFF); break;
        case 7:
            vector = i8259_ack(f->pic);
            assert_in_range(vector, 0, 255);
            break;
        }
        assert_int_equal(i8259_pending(f->pic), f->cpu.level[0]);
    }
    fake_device_reset(i8259_device(f->pic));
    assert_quiet(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reset_registers_are_zero),
        TEST(linux_presence_test_finds_the_pair),
        TEST(vector_is_base_plus_input),
        TEST(vector_base_loses_its_low_bits),
        TEST(icw1_without_ic4_and_with_sngl_expects_icw2_only),
        TEST(icw1_with_sngl_and_ic4_expects_icw4_next),
        TEST(icw1_without_ic4_expects_icw3),
        TEST(icw1_clears_mask_service_latches_and_modes),
        TEST(mask_holds_a_request_and_unmasking_delivers_it),
        TEST(higher_priority_goes_first_and_nests),
        TEST(edge_is_latched_once_per_rise),
        TEST(edge_that_falls_before_inta_is_dropped_and_inta_is_spurious),
        TEST(slave_request_that_goes_away_before_inta_is_spurious),
        TEST(level_input_requests_until_it_falls),
        TEST(elcr_keeps_the_timer_keyboard_and_rtc_edge_triggered),
        TEST(elcr_survives_icw1_but_not_reset),
        TEST(slave_interrupt_is_in_service_on_both),
        TEST(second_slave_request_is_delivered_after_eoi),
        TEST(special_fully_nested_mode_lets_higher_slave_requests_in),
        TEST(special_fully_nested_mode_of_the_slave_changes_nothing),
        TEST(automatic_eoi_leaves_nothing_in_service),
        TEST(rotation_in_automatic_eoi_puts_the_served_input_last),
        TEST(rotating_eoi_puts_the_served_input_last),
        TEST(rotating_specific_eoi_ends_and_rotates_the_named_input),
        TEST(set_priority_names_the_lowest_input),
        TEST(eoi_with_nothing_in_service_and_nop_do_nothing),
        TEST(special_mask_lets_lower_inputs_in),
        TEST(special_mask_still_holds_lower_inputs_back_for_unmasked_service),
        TEST(read_selection_stays_until_changed),
        TEST(poll_acknowledges_one_chip),
        TEST(poll_works_through_the_data_port_and_only_once),
        TEST(intr_makes_an_edge_for_each_waiting_request),
        TEST(cascade_input_is_not_brought_out),
        TEST(power_on_chip_delivers_input_numbers_as_vectors),
        TEST(reset_drops_requests_and_intr),
        TEST(mask_switch_sequence_of_a_boot_leaves_the_pair_silent),
        TEST(random_accesses_keep_the_outputs_consistent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
