/* SPDX-License-Identifier: MIT */
/* The 16550A: registers, interrupts, FIFOs, loopback, and the traffic with its backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "hw/uart16550.h"
#include "unit/fakes/chardev.h"
#include "unit/fakes/irq.h"
#include "unit/fakes/loop.h"
#include "unit/fakes/region.h"

enum { RBR = 0, THR = 0, DLL = 0, IER = 1, DLM = 1, IIR = 2, FCR = 2, LCR, MCR, LSR, MSR, SCR };

#define ROOM     SIZE_MAX
#define CHAR_NS  UINT64_C(86805) /* 8N1 at 115200 baud */
#define IRQ_LINE 4

struct fixture {
    struct clock clock;
    struct loop loop;
    struct fake_irq irq;
    struct fake_chardev host;
    struct uart16550 *uart;
    struct fake_region port;
};

static void fixture_make(struct fixture *f, struct chardev *chr)
{
    struct uart16550_config config = {
        .name = "serial0",
        .irq = fake_irq_line(&f->irq, IRQ_LINE),
        .chr = chr,
        .clock = &f->clock,
        .loop = &f->loop,
    };
    struct error err;

    f->uart = uart16550_new(&config, &err);
    assert_non_null(f->uart);
    f->port = (struct fake_region){ &uart16550_ops, f->uart };
}

static int setup(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    clock_init_manual(&f.clock, 0);
    fake_loop_init(&f.loop, &f.clock);
    fake_chardev_init(&f.host, ROOM);
    fixture_make(&f, &f.host.chr);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct device *dev = uart16550_device(f->uart);

    dev->ops->free(dev);
    assert_false(f->host.chr.attached);
    assert_int_equal(f->loop.count, 0);
    return 0;
}

static u8 get(struct fixture *f, unsigned offset)
{
    return (u8)fake_region_read(&f->port, offset, 1);
}

static void put(struct fixture *f, unsigned offset, u8 value)
{
    fake_region_write(&f->port, offset, 1, value);
}

static bool irq(struct fixture *f)
{
    return f->irq.level[IRQ_LINE];
}

static void type(struct fixture *f, const char *text)
{
    assert_int_equal(fake_chardev_input(&f->host, text, strlen(text)), strlen(text));
}

static void set_divisor(struct fixture *f, u16 divisor)
{
    put(f, LCR, 0x83);
    put(f, DLL, (u8)divisor);
    put(f, DLM, (u8)(divisor >> 8));
    put(f, LCR, 0x03);
}

static void assert_output(struct fixture *f, const char *text)
{
    assert_int_equal(f->host.out_size, strlen(text));
    assert_memory_equal(f->host.out, text, strlen(text));
}

static void assert_power_on(struct fixture *f)
{
    assert_int_equal(get(f, RBR), 0x00);
    assert_int_equal(get(f, IER), 0x00);
    assert_int_equal(get(f, IIR), 0x01);
    assert_int_equal(get(f, LCR), 0x00);
    assert_int_equal(get(f, MCR), 0x08);
    assert_int_equal(get(f, LSR), 0x60);
    assert_int_equal(get(f, MSR), 0xB0);
    assert_int_equal(get(f, SCR), 0x00);
    assert_false(irq(f));
}

static void registers_after_power_on(void **state)
{
    assert_power_on(*state);
}

static void divisor_hides_behind_dlab(void **state)
{
    struct fixture *f = *state;

    put(f, LCR, 0x80);
    assert_int_equal(get(f, DLL), 12);
    assert_int_equal(get(f, DLM), 0);
    put(f, DLL, 0x34);
    put(f, DLM, 0x12);
    assert_int_equal(get(f, DLL), 0x34);
    assert_int_equal(get(f, DLM), 0x12);
    put(f, LCR, 0x03);
    assert_int_equal(get(f, IER), 0x00);
    assert_int_equal(f->host.out_size, 0);
}

static void registers_keep_only_their_bits(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0xFD);
    assert_int_equal(get(f, IER), 0x0D);
    put(f, MCR, 0xEF);
    assert_int_equal(get(f, MCR), 0x0F);
    put(f, LCR, 0x7F);
    assert_int_equal(get(f, LCR), 0x7F);
    put(f, SCR, 0xA5);
    assert_int_equal(get(f, SCR), 0xA5);
    put(f, LSR, 0xFF);
    assert_int_equal(get(f, LSR), 0x60);
    put(f, MSR, 0xFF);
    assert_int_equal(get(f, MSR), 0xB0);
}

/* What Linux does to tell a 16550A from its relatives. */
static void linux_autoconfig_finds_a_16550a(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x00);
    assert_int_equal(get(f, IER), 0x00);
    put(f, IER, 0x0F);
    assert_int_equal(get(f, IER), 0x0F);
    put(f, IER, 0x00);
    put(f, MCR, 0x1A);
    assert_int_equal(get(f, MSR) & 0xF0, 0x90);
    put(f, MCR, 0x08);
    put(f, LCR, 0xBF); /* EFR on a 16650 */
    put(f, FCR, 0x00);
    put(f, LCR, 0x00);
    put(f, FCR, 0x01);
    assert_int_equal(get(f, IIR) >> 6, 3);
    put(f, LCR, 0xBF);
    assert_int_equal(get(f, FCR) & 0x20, 0);
    put(f, LCR, 0x00);
}

static void transmitted_bytes_reach_the_backend_at_once(void **state)
{
    struct fixture *f = *state;

    for (const char *s = "hello"; *s; s++) {
        assert_int_equal(get(f, LSR) & 0x60, 0x60);
        put(f, THR, (u8)*s);
    }
    assert_output(f, "hello");
}

static void thre_interrupt_comes_with_its_enable(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x02);
    assert_true(irq(f));
    assert_int_equal(get(f, IIR), 0x02);
}

static void thre_interrupt_clears_on_iir_read(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x02);
    assert_int_equal(get(f, IIR), 0x02);
    assert_false(irq(f));
    assert_int_equal(get(f, IIR), 0x01);
    put(f, IER, 0x00);
    put(f, IER, 0x02);
    assert_int_equal(get(f, IIR), 0x02);
}

static void thre_interrupt_goes_with_its_enable(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x02);
    put(f, IER, 0x00);
    assert_false(irq(f));
    assert_int_equal(get(f, IIR), 0x01);
}

static void thre_interrupt_is_kept_while_another_source_is_shown(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x03);
    type(f, "x");
    assert_int_equal(get(f, IIR), 0x04);
    assert_int_equal(get(f, RBR), 'x');
    assert_int_equal(get(f, IIR), 0x02);
    assert_int_equal(get(f, IIR), 0x01);
}

static void thre_interrupt_follows_each_byte_with_an_edge(void **state)
{
    struct fixture *f = *state;
    unsigned rises;

    put(f, IER, 0x02);
    rises = f->irq.rises[IRQ_LINE];
    put(f, THR, 'a');
    assert_true(irq(f));
    assert_int_equal(f->irq.rises[IRQ_LINE], rises + 1);
    get(f, IIR);
    put(f, THR, 'b');
    assert_int_equal(get(f, IIR), 0x02);
}

static void refused_byte_holds_thre_until_the_backend_has_room(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x02);
    get(f, IIR);
    f->host.room = 0;
    put(f, THR, 'a');
    assert_int_equal(get(f, LSR) & 0x60, 0x00);
    assert_false(irq(f));
    fake_chardev_writable(&f->host, ROOM);
    assert_output(f, "a");
    assert_int_equal(get(f, LSR) & 0x60, 0x60);
    assert_true(irq(f));
    assert_int_equal(get(f, IIR), 0x02);
}

static void enabling_thre_while_the_backend_is_full_waits(void **state)
{
    struct fixture *f = *state;

    f->host.room = 0;
    put(f, THR, 'a');
    put(f, IER, 0x02);
    assert_false(irq(f));
    fake_chardev_writable(&f->host, ROOM);
    assert_true(irq(f));
}

static void full_transmit_register_is_overwritten(void **state)
{
    struct fixture *f = *state;

    f->host.room = 0;
    put(f, THR, 'a');
    put(f, THR, 'b');
    fake_chardev_writable(&f->host, ROOM);
    assert_output(f, "b");
}

static void transmit_fifo_keeps_sixteen_refused_bytes_in_order(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0x01);
    f->host.room = 0;
    for (unsigned i = 0; i < 18; i++)
        put(f, THR, (u8)('a' + i));
    fake_chardev_writable(&f->host, 3);
    assert_int_equal(get(f, LSR) & 0x60, 0x00);
    put(f, THR, 'z');
    fake_chardev_writable(&f->host, ROOM);
    assert_output(f, "abcdefghijklmnopz");
    assert_int_equal(get(f, LSR) & 0x60, 0x60);
}

static void clearing_the_transmit_fifo_drops_refused_bytes(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0x01);
    f->host.room = 0;
    put(f, IER, 0x02);
    get(f, IIR);
    put(f, THR, 'a');
    put(f, FCR, 0x05);
    assert_int_equal(get(f, LSR) & 0x60, 0x60);
    assert_int_equal(get(f, IIR), 0xC2);
    fake_chardev_writable(&f->host, ROOM);
    assert_output(f, "");
}

static void received_byte_sets_data_ready_and_interrupts(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x01);
    type(f, "x");
    assert_true(irq(f));
    assert_int_equal(get(f, LSR), 0x61);
    assert_int_equal(get(f, IIR), 0x04);
    assert_int_equal(get(f, RBR), 'x');
    assert_false(irq(f));
    assert_int_equal(get(f, LSR), 0x60);
    assert_int_equal(get(f, RBR), 'x'); /* an empty receiver repeats itself */
}

static void without_fifos_one_byte_is_taken_at_a_time(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_chardev_input(&f->host, "abc", 3), 1);
    assert_int_equal(fake_chardev_can_receive(&f->host), 0);
    assert_int_equal(f->host.resumes, 0);
    assert_int_equal(get(f, RBR), 'a');
    assert_int_equal(f->host.resumes, 1);
    assert_int_equal(fake_chardev_can_receive(&f->host), 1);
}

static void fifo_takes_sixteen_bytes_in_order(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0x01);
    assert_int_equal(fake_chardev_input(&f->host, "abcdefghijklmnopqrst", 20), 16);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(get(f, LSR), 0x61);
        assert_int_equal(f->host.resumes, 0);
        assert_int_equal(get(f, RBR), 'a' + i);
    }
    assert_int_equal(get(f, LSR), 0x60);
    assert_int_equal(get(f, RBR), 0); /* an empty FIFO */
    assert_int_equal(f->host.resumes, 1);
}

static void backend_that_was_never_refused_is_not_resumed(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0x01);
    type(f, "abc");
    for (unsigned i = 0; i < 3; i++)
        get(f, RBR);
    assert_int_equal(f->host.resumes, 0);
}

static void trigger_levels_hold_the_data_interrupt_back(void **state)
{
    struct fixture *f = *state;
    static const u8 levels[] = { 1, 4, 8, 14 };

    put(f, IER, 0x01);
    for (unsigned i = 0; i < 4; i++) {
        put(f, FCR, (u8)(0x03 | i << 6));
        for (unsigned n = 1; n < levels[i]; n++) {
            type(f, "x");
            assert_false(irq(f));
            assert_int_equal(get(f, LSR), 0x61);
        }
        type(f, "x");
        assert_true(irq(f));
        assert_int_equal(get(f, IIR), 0xC4);
        get(f, RBR);
        assert_false(irq(f));
    }
}

static void timeout_interrupt_comes_after_four_characters(void **state)
{
    struct fixture *f = *state;

    set_divisor(f, 1);
    put(f, FCR, 0xC1);
    put(f, IER, 0x01);
    type(f, "ab");
    fake_loop_step(&f->loop, 4 * CHAR_NS - 10);
    assert_false(irq(f));
    fake_loop_step(&f->loop, 100);
    assert_true(irq(f));
    assert_int_equal(get(f, IIR), 0xCC);
    assert_int_equal(get(f, RBR), 'a'); /* settles it, and one byte is left */
    assert_false(irq(f));
    fake_loop_step(&f->loop, 4 * CHAR_NS + 10);
    assert_int_equal(get(f, IIR), 0xCC);
    assert_int_equal(get(f, RBR), 'b');
    fake_loop_step(&f->loop, 100 * CHAR_NS);
    assert_int_equal(get(f, IIR), 0xC1);
}

static void each_byte_starts_the_timeout_anew(void **state)
{
    struct fixture *f = *state;

    set_divisor(f, 1);
    put(f, FCR, 0xC1);
    put(f, IER, 0x01);
    for (unsigned i = 0; i < 10; i++) {
        type(f, "x");
        fake_loop_step(&f->loop, 3 * CHAR_NS);
        assert_false(irq(f));
    }
    fake_loop_step(&f->loop, CHAR_NS + 10);
    assert_true(irq(f));
}

static void timeout_depends_on_baud_rate_and_frame(void **state)
{
    struct fixture *f = *state;

    set_divisor(f, 12);
    put(f, LCR, 0x0F); /* 8 bits, parity, 2 stop bits: 12 bits */
    put(f, FCR, 0xC1);
    put(f, IER, 0x01);
    type(f, "x");
    fake_loop_step(&f->loop, 4 * 12 * CHAR_NS * 12 / 10 - 2000);
    assert_false(irq(f));
    fake_loop_step(&f->loop, 4000);
    assert_true(irq(f));
}

static void divisor_zero_does_not_divide(void **state)
{
    struct fixture *f = *state;

    set_divisor(f, 0);
    put(f, FCR, 0xC1);
    put(f, IER, 0x01);
    type(f, "x");
    fake_loop_step(&f->loop, 4 * CHAR_NS + 10);
    assert_true(irq(f));
}

static void empty_fifo_never_wakes_the_host(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0x01);
    put(f, IER, 0x0F);
    type(f, "x");
    get(f, RBR);
    put(f, THR, 'y');
    fake_loop_step(&f->loop, UINT64_C(10000000000));
    assert_int_equal(f->loop.fired, 0);
}

static void clearing_the_receive_fifo_empties_it(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0x01);
    put(f, IER, 0x01);
    assert_int_equal(fake_chardev_input(&f->host, "abcdefghijklmnopqrst", 20), 16);
    put(f, FCR, 0x03);
    assert_int_equal(get(f, LSR), 0x60);
    assert_false(irq(f));
    assert_int_equal(f->host.resumes, 1);
    assert_int_equal(f->loop.count, 0);
}

static void changing_fifo_enable_clears_both_fifos(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0x01);
    f->host.room = 0;
    put(f, THR, 'a');
    type(f, "abc");
    put(f, FCR, 0x00);
    assert_int_equal(get(f, LSR), 0x60);
    assert_int_equal(get(f, IIR) & 0xC0, 0);
    type(f, "x");
    put(f, FCR, 0x01);
    assert_int_equal(get(f, LSR), 0x60);
}

static void fifo_control_bits_need_the_enable_bit(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x01);
    type(f, "x");
    put(f, FCR, 0xC2);
    assert_int_equal(get(f, RBR), 'x');
    assert_int_equal(get(f, IIR), 0x01);
}

static void break_is_a_zero_byte_with_the_break_bit(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0x01);
    put(f, IER, 0x05);
    fake_chardev_event(&f->host, CHARDEV_BREAK);
    assert_int_equal(get(f, IIR), 0xC6);
    assert_int_equal(get(f, LSR), 0xF1);
    assert_int_equal(get(f, LSR), 0x61);
    assert_int_equal(get(f, IIR), 0xC4);
    assert_int_equal(get(f, RBR), 0);
    assert_false(irq(f));
}

static void break_behind_other_bytes_shows_when_it_is_on_top(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0x01);
    put(f, IER, 0x04);
    type(f, "a");
    fake_chardev_event(&f->host, CHARDEV_BREAK);
    assert_false(irq(f));
    assert_int_equal(get(f, LSR), 0xE1); /* an error is somewhere in the FIFO */
    assert_int_equal(get(f, RBR), 'a');
    assert_true(irq(f));
    assert_int_equal(get(f, LSR), 0xF1);
    assert_false(irq(f));
}

static void other_backend_events_change_nothing(void **state)
{
    struct fixture *f = *state;

    fake_chardev_event(&f->host, CHARDEV_OPENED);
    fake_chardev_event(&f->host, CHARDEV_CLOSED);
    assert_power_on(f);
}

static void loopback_returns_bytes_and_keeps_them_from_the_backend(void **state)
{
    struct fixture *f = *state;

    put(f, MCR, 0x10);
    put(f, THR, 'q');
    assert_output(f, "");
    assert_int_equal(get(f, LSR), 0x61);
    assert_int_equal(get(f, RBR), 'q');
}

static void loopback_keeps_input_waiting(void **state)
{
    struct fixture *f = *state;

    put(f, MCR, 0x18);
    assert_int_equal(fake_chardev_input(&f->host, "abc", 3), 0);
    fake_chardev_event(&f->host, CHARDEV_BREAK);
    assert_int_equal(get(f, LSR), 0x60);
    assert_int_equal(f->host.resumes, 0);
    put(f, MCR, 0x08);
    assert_int_equal(f->host.resumes, 1);
}

static void loopback_overrun_without_fifo_takes_the_new_byte(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x04);
    put(f, MCR, 0x10);
    put(f, THR, 'a');
    put(f, THR, 'b');
    assert_true(irq(f));
    assert_int_equal(get(f, LSR), 0x63);
    assert_false(irq(f));
    assert_int_equal(get(f, RBR), 'b');
}

static void loopback_overrun_with_fifo_keeps_the_old_bytes(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0x01);
    put(f, MCR, 0x10);
    for (unsigned i = 0; i < 17; i++)
        put(f, THR, (u8)('a' + i));
    assert_int_equal(get(f, LSR), 0x63);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(get(f, RBR), 'a' + i);
    assert_int_equal(get(f, LSR), 0x60);
}

static void loopback_break_is_received(void **state)
{
    struct fixture *f = *state;

    put(f, MCR, 0x10);
    put(f, LCR, 0x43);
    assert_int_equal(get(f, LSR), 0x71);
    put(f, LCR, 0x43);
    assert_int_equal(get(f, LSR), 0x61);
}

static void loopback_takes_bytes_that_the_backend_refused(void **state)
{
    struct fixture *f = *state;

    f->host.room = 0;
    put(f, THR, 'a');
    put(f, MCR, 0x10);
    assert_int_equal(get(f, LSR), 0x61);
}

static void loopback_wires_modem_outputs_to_inputs(void **state)
{
    struct fixture *f = *state;
    static const u8 expected[16] = { 0x00, 0x20, 0x10, 0x30, 0x40, 0x60, 0x50, 0x70,
                                     0x80, 0xA0, 0x90, 0xB0, 0xC0, 0xE0, 0xD0, 0xF0 };

    for (u8 mcr = 0; mcr < 16; mcr++) {
        put(f, MCR, 0x10 | mcr);
        assert_int_equal(get(f, MSR) & 0xF0, expected[mcr]);
    }
    put(f, MCR, 0x0F);
    assert_int_equal(get(f, MSR) & 0xF0, 0xB0);
}

static void modem_changes_set_deltas_and_interrupt_until_read(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x08);
    put(f, MCR, 0x1F); /* CTS, DSR and DCD stay up; RI rises, which is no event */
    assert_false(irq(f));
    assert_int_equal(get(f, MSR), 0xF0);
    put(f, MCR, 0x1D);
    assert_true(irq(f));
    assert_int_equal(get(f, IIR), 0x00);
    put(f, MCR, 0x1F); /* a delta stays until it is read */
    assert_true(irq(f));
    assert_int_equal(get(f, MSR), 0xF1);
    assert_false(irq(f));
    assert_int_equal(get(f, IIR), 0x01);
}

static void trailing_edge_of_ring_is_an_event(void **state)
{
    struct fixture *f = *state;

    put(f, MCR, 0x1F);
    get(f, MSR);
    put(f, MCR, 0x1B);
    assert_int_equal(get(f, MSR), 0xB4);
    assert_int_equal(get(f, MSR), 0xB0);
    put(f, MCR, 0x10);
    assert_int_equal(get(f, MSR), 0x0B);
}

static void interrupts_are_shown_by_priority(void **state)
{
    struct fixture *f = *state;

    put(f, IER, 0x0F);
    put(f, MCR, 0x10);
    put(f, THR, 'a');
    put(f, THR, 'b');
    assert_int_equal(get(f, IIR), 0x06);
    get(f, LSR);
    assert_int_equal(get(f, IIR), 0x04);
    get(f, RBR);
    assert_int_equal(get(f, IIR), 0x02);
    assert_int_equal(get(f, IIR), 0x00);
    get(f, MSR);
    assert_int_equal(get(f, IIR), 0x01);
    assert_false(irq(f));
}

static void interrupts_do_not_need_out2(void **state)
{
    struct fixture *f = *state;

    put(f, MCR, 0x00);
    put(f, IER, 0x02);
    assert_true(irq(f));
}

static void reset_returns_to_power_on(void **state)
{
    struct fixture *f = *state;

    put(f, FCR, 0xC1);
    put(f, IER, 0x0F);
    put(f, LCR, 0x43);
    put(f, SCR, 0x55);
    assert_int_equal(fake_chardev_input(&f->host, "abcdefghijklmnopqrst", 20), 16);
    f->host.room = 0;
    put(f, THR, 'x');
    fake_device_reset(uart16550_device(f->uart));
    assert_power_on(f);
    assert_int_equal(f->host.resumes, 1);
    assert_int_equal(f->loop.count, 0);
    fake_chardev_writable(&f->host, ROOM);
    assert_output(f, "");
}

static void port_without_a_backend_swallows_output(void **state)
{
    struct fixture f;

    (void)state;
    memset(&f, 0, sizeof(f));
    clock_init_manual(&f.clock, 0);
    fake_loop_init(&f.loop, &f.clock);
    fixture_make(&f, NULL);
    put(&f, THR, 'x');
    assert_int_equal(get(&f, LSR), 0x60);
    put(&f, MCR, 0x10);
    put(&f, THR, 'x');
    assert_int_equal(get(&f, RBR), 'x');
    put(&f, FCR, 0x03);
    uart16550_device(f.uart)->ops->free(uart16550_device(f.uart));
}

static void backend_of_another_port_is_refused(void **state)
{
    struct fixture *f = *state;
    struct uart16550_config config = {
        .name = "serial1",
        .chr = &f->host.chr,
        .clock = &f->clock,
        .loop = &f->loop,
    };
    struct error err;

    f->host.chr.id = (char[]){ "stdio0" };
    assert_null(uart16550_new(&config, &err));
    assert_string_equal(err.text, "serial1: the character device 'stdio0' is in use");
    assert_true(f->host.chr.attached);
}

/* A console session of Linux: an interrupt handler that reads IIR until it is silent. */
static void interrupt_driven_transmission_loses_nothing(void **state)
{
    struct fixture *f = *state;
    unsigned sent = 0;

    put(f, FCR, 0x01);
    f->host.room = 5;
    put(f, IER, 0x02);
    for (unsigned round = 0; round < 1000 && sent < 400; round++) {
        while (!(get(f, IIR) & 1))
            for (unsigned i = 0; i < 16 && sent < 400; i++)
                put(f, THR, (u8)sent++);
        fake_chardev_writable(&f->host, 7);
    }
    fake_chardev_writable(&f->host, ROOM);
    assert_int_equal(f->host.out_size, 400);
    for (unsigned i = 0; i < 400; i++)
        assert_int_equal(f->host.out[i], (u8)i);
}

static void random_accesses_stay_within_the_device(void **state)
{
    struct fixture *f = *state;
    u64 seed = 0x16550;

    for (unsigned i = 0; i < 200000; i++) {
        u64 r = fake_random(&seed);
        u8 bytes[24] = { (u8)(r >> 32) };

        switch (r & 7) {
        case 0 ... 2: get(f, r >> 8 & 7); break;
        case 3 ... 4: put(f, r >> 8 & 7, (u8)(r >> 16)); break;
        case 5:
            assert_in_range(fake_chardev_input(&f->host, bytes, r >> 8 & 15), 0, 16);
            if (r & 0x10000)
                fake_chardev_event(&f->host, CHARDEV_BREAK);
            break;
        case 6: fake_loop_step(&f->loop, r >> 8 & 0xFFFFF); break;
        case 7: fake_chardev_writable(&f->host, r >> 8 & 31); break;
        }
        assert_in_range(fake_chardev_can_receive(&f->host), 0, 16);
    }
    fake_device_reset(uart16550_device(f->uart));
    assert_power_on(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers_after_power_on),
        TEST(divisor_hides_behind_dlab),
        TEST(registers_keep_only_their_bits),
        TEST(linux_autoconfig_finds_a_16550a),
        TEST(transmitted_bytes_reach_the_backend_at_once),
        TEST(thre_interrupt_comes_with_its_enable),
        TEST(thre_interrupt_clears_on_iir_read),
        TEST(thre_interrupt_goes_with_its_enable),
        TEST(thre_interrupt_is_kept_while_another_source_is_shown),
        TEST(thre_interrupt_follows_each_byte_with_an_edge),
        TEST(refused_byte_holds_thre_until_the_backend_has_room),
        TEST(enabling_thre_while_the_backend_is_full_waits),
        TEST(full_transmit_register_is_overwritten),
        TEST(transmit_fifo_keeps_sixteen_refused_bytes_in_order),
        TEST(clearing_the_transmit_fifo_drops_refused_bytes),
        TEST(received_byte_sets_data_ready_and_interrupts),
        TEST(without_fifos_one_byte_is_taken_at_a_time),
        TEST(fifo_takes_sixteen_bytes_in_order),
        TEST(backend_that_was_never_refused_is_not_resumed),
        TEST(trigger_levels_hold_the_data_interrupt_back),
        TEST(timeout_interrupt_comes_after_four_characters),
        TEST(each_byte_starts_the_timeout_anew),
        TEST(timeout_depends_on_baud_rate_and_frame),
        TEST(divisor_zero_does_not_divide),
        TEST(empty_fifo_never_wakes_the_host),
        TEST(clearing_the_receive_fifo_empties_it),
        TEST(changing_fifo_enable_clears_both_fifos),
        TEST(fifo_control_bits_need_the_enable_bit),
        TEST(break_is_a_zero_byte_with_the_break_bit),
        TEST(break_behind_other_bytes_shows_when_it_is_on_top),
        TEST(other_backend_events_change_nothing),
        TEST(loopback_returns_bytes_and_keeps_them_from_the_backend),
        TEST(loopback_keeps_input_waiting),
        TEST(loopback_overrun_without_fifo_takes_the_new_byte),
        TEST(loopback_overrun_with_fifo_keeps_the_old_bytes),
        TEST(loopback_break_is_received),
        TEST(loopback_takes_bytes_that_the_backend_refused),
        TEST(loopback_wires_modem_outputs_to_inputs),
        TEST(modem_changes_set_deltas_and_interrupt_until_read),
        TEST(trailing_edge_of_ring_is_an_event),
        TEST(interrupts_are_shown_by_priority),
        TEST(interrupts_do_not_need_out2),
        TEST(reset_returns_to_power_on),
        TEST(port_without_a_backend_swallows_output),
        TEST(backend_of_another_port_is_refused),
        TEST(interrupt_driven_transmission_loses_nothing),
        TEST(random_accesses_stay_within_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
