/* SPDX-License-Identifier: MIT */
/* The 8254: counting in all modes, reading it, and the interrupts of channel 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "hw/i8254.h"
#include "unit/fakes/irq.h"
#include "unit/fakes/loop.h"
#include "unit/fakes/region.h"

#define NS_PER_S         UINT64_C(1000000000)
#define CONTROL          3u
#define CW(ch, mode)     ((u8)((ch) << 6 | 0x30 | (mode) << 1))
#define CW_BCD(ch, mode) (CW(ch, mode) | 1)

struct fixture {
    struct clock clock;
    struct loop loop;
    struct fake_irq irq;
    struct i8254 *pit;
    struct fake_region port;
};

/* The clock does not start at 0: a PIT must not care when it was made. */
static int setup(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    clock_init_manual(&f.clock, 0);
    clock_step(&f.clock, 123456789);
    fake_loop_init(&f.loop, &f.clock);
    f.pit = i8254_new(fake_irq_line(&f.irq, 0), &f.clock, &f.loop);
    f.port = (struct fake_region){ &i8254_ops, f.pit };
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct device *dev = i8254_device(f->pit);

    dev->ops->free(dev);
    assert_int_equal(f->loop.count, 0);
    return 0;
}

static u64 now_tick(struct fixture *f)
{
    return (u64)((unsigned __int128)clock_ns(&f->clock) * I8254_HZ / NS_PER_S);
}

/* Let timers run until the middle of the tick that is `n` after the current one. */
static void ticks(struct fixture *f, u64 n)
{
    unsigned __int128 target = (unsigned __int128)(now_tick(f) + n) * NS_PER_S / I8254_HZ + 420;

    fake_loop_step(&f->loop, (u64)target - clock_ns(&f->clock));
}

static void out(struct fixture *f, unsigned port, u8 value)
{
    fake_region_write(&f->port, port, 1, value);
}

static u8 in(struct fixture *f, unsigned port)
{
    return (u8)fake_region_read(&f->port, port, 1);
}

static u16 in16(struct fixture *f, unsigned port)
{
    u8 low = in(f, port);

    return (u16)(low | in(f, port) << 8);
}

static void load(struct fixture *f, unsigned ch, u16 count)
{
    out(f, ch, (u8)count);
    out(f, ch, (u8)(count >> 8));
}

/* Program a channel in the middle of a tick and go to the tick at which the count is in. */
static void program(struct fixture *f, u8 control, u16 count)
{
    ticks(f, 1);
    out(f, CONTROL, control);
    load(f, control >> 6, count);
    ticks(f, 1);
}

static u8 status(struct fixture *f, unsigned ch)
{
    out(f, CONTROL, (u8)(0xE0 | 2 << ch));
    return in(f, ch);
}

static bool output(struct fixture *f, unsigned ch)
{
    return status(f, ch) & 0x80;
}

/* OUT and the counter at once, by the read-back command. */
static void assert_out_count(struct fixture *f, unsigned ch, bool level, u16 count)
{
    out(f, CONTROL, (u8)(0xC0 | 2 << ch));
    assert_int_equal(in(f, ch) >> 7, level);
    assert_int_equal(in16(f, ch), count);
}

static void counters_run_from_power_on(void **state)
{
    struct fixture *f = *state;

    for (unsigned ch = 0; ch < 3; ch++) {
        u16 before = in16(f, ch);

        ticks(f, 100);
        assert_int_equal((u16)(before - in16(f, ch)), 200);
        assert_int_equal(status(f, ch), 0x80 | 0x36);
    }
}

static void control_port_reads_zero(void **state)
{
    struct fixture *f = *state;

    out(f, CONTROL, 0x34);
    assert_int_equal(in(f, CONTROL), 0);
}

static void unprogrammed_channel_0_neither_interrupts_nor_wakes_the_host(void **state)
{
    struct fixture *f = *state;

    fake_loop_step(&f->loop, 2 * NS_PER_S);
    assert_int_equal(f->irq.rises[0], 0);
    assert_int_equal(f->loop.fired, 0);
}

static void mode_0_rises_at_terminal_count_and_counts_on(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 0), 5);
    assert_out_count(f, 2, false, 5);
    ticks(f, 4);
    assert_out_count(f, 2, false, 1);
    ticks(f, 1);
    assert_out_count(f, 2, true, 0);
    ticks(f, 1);
    assert_out_count(f, 2, true, 0xFFFF);
    ticks(f, 65535);
    assert_out_count(f, 2, true, 0);
}

static void mode_0_goes_low_and_stops_between_the_halves_of_a_count(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 0), 100);
    ticks(f, 150);
    assert_true(output(f, 2));
    out(f, 2, 10);
    assert_false(output(f, 2));
    ticks(f, 1000);
    assert_out_count(f, 2, false, (u16)-50);
    out(f, 2, 0);
    ticks(f, 1);
    assert_out_count(f, 2, false, 10);
    ticks(f, 10);
    assert_true(output(f, 2));
}

static void mode_1_is_low_for_the_count(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 1), 3);
    assert_out_count(f, 2, false, 3);
    ticks(f, 2);
    assert_out_count(f, 2, false, 1);
    ticks(f, 1);
    assert_out_count(f, 2, true, 0);
    ticks(f, 70000);
    assert_true(output(f, 2));
}

static void mode_2_is_low_for_the_last_tick_and_never_reads_zero(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 2), 3);
    for (unsigned i = 0; i < 4; i++) {
        assert_out_count(f, 2, true, 3);
        ticks(f, 1);
        assert_out_count(f, 2, true, 2);
        ticks(f, 1);
        assert_out_count(f, 2, false, 1);
        ticks(f, 1);
    }
}

static void mode_2_takes_a_new_count_at_the_end_of_the_period(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 2), 10);
    ticks(f, 3);
    load(f, 2, 4);
    assert_int_equal(status(f, 2) & 0x40, 0x40); /* null count */
    ticks(f, 6);
    assert_out_count(f, 2, false, 1);
    ticks(f, 1);
    assert_out_count(f, 2, true, 4);
    assert_int_equal(status(f, 2) & 0x40, 0);
    ticks(f, 3);
    assert_out_count(f, 2, false, 1);
    ticks(f, 1);
    assert_out_count(f, 2, true, 4);
}

static void mode_3_even_count_is_a_square_wave(void **state)
{
    struct fixture *f = *state;
    static const u16 counts[] = { 6, 4, 2, 6, 4, 2 };

    program(f, CW(2, 3), 6);
    for (unsigned i = 0; i < 18; i++) {
        assert_out_count(f, 2, i % 6 < 3, counts[i % 6]);
        ticks(f, 1);
    }
}

static void mode_3_odd_count_is_high_for_the_longer_half(void **state)
{
    struct fixture *f = *state;
    static const u16 counts[] = { 4, 2, 0, 4, 2 };

    program(f, CW(2, 3), 5);
    for (unsigned i = 0; i < 15; i++) {
        assert_out_count(f, 2, i % 5 < 3, counts[i % 5]);
        ticks(f, 1);
    }
}

static void mode_3_takes_a_new_count_at_the_end_of_the_half(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 3), 10);
    ticks(f, 2);
    load(f, 2, 6);
    ticks(f, 2);
    assert_out_count(f, 2, true, 2);
    ticks(f, 1);
    assert_out_count(f, 2, false, 6);
    ticks(f, 1);
    load(f, 2, 4); /* in the low half: at the end of the period */
    ticks(f, 1);
    assert_out_count(f, 2, false, 2);
    ticks(f, 1);
    assert_out_count(f, 2, true, 4);
    ticks(f, 2);
    assert_out_count(f, 2, false, 4);
}

static void mode_4_strobes_once(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 4), 3);
    assert_out_count(f, 2, true, 3);
    ticks(f, 2);
    assert_out_count(f, 2, true, 1);
    ticks(f, 1);
    assert_out_count(f, 2, false, 0);
    ticks(f, 1);
    assert_out_count(f, 2, true, 0xFFFF);
}

static void mode_5_strobes_like_mode_4(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 5), 2);
    ticks(f, 2);
    assert_out_count(f, 2, false, 0);
    ticks(f, 1);
    assert_true(output(f, 2));
}

static void modes_6_and_7_are_2_and_3(void **state)
{
    struct fixture *f = *state;

    program(f, CW(1, 6), 9);
    assert_int_equal(status(f, 1) & 0x0E, 2 << 1);
    program(f, CW(1, 7), 9);
    assert_int_equal(status(f, 1) & 0x0E, 3 << 1);
}

static void count_zero_is_the_largest(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 0), 0);
    assert_out_count(f, 2, false, 0);
    ticks(f, 65535);
    assert_out_count(f, 2, false, 1);
    ticks(f, 1);
    assert_out_count(f, 2, true, 0);
}

static void count_one_is_taken_as_two_by_the_periodic_modes(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 2), 1);
    assert_out_count(f, 2, true, 2);
    ticks(f, 1);
    assert_out_count(f, 2, false, 1);
}

static void bcd_counts_in_decimal(void **state)
{
    struct fixture *f = *state;

    program(f, CW_BCD(2, 0), 0x1000);
    ticks(f, 1);
    assert_out_count(f, 2, false, 0x0999);
    ticks(f, 1000);
    assert_out_count(f, 2, true, 0x9999);
    program(f, CW_BCD(2, 0), 0);
    ticks(f, 1);
    assert_out_count(f, 2, false, 0x9999);
    ticks(f, 9999);
    assert_out_count(f, 2, true, 0);
}

static void null_count_is_set_until_the_count_is_in(void **state)
{
    struct fixture *f = *state;

    ticks(f, 1);
    out(f, CONTROL, CW(2, 0));
    assert_int_equal(status(f, 2), 0x40 | 0x30);
    load(f, 2, 50);
    assert_int_equal(status(f, 2), 0x40 | 0x30);
    ticks(f, 1);
    assert_int_equal(status(f, 2), 0x30);
}

static void control_word_sets_out_and_stops_the_counter(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 2), 1000);
    ticks(f, 10);
    out(f, CONTROL, CW(2, 0));
    assert_out_count(f, 2, false, 990);
    ticks(f, 10);
    assert_out_count(f, 2, false, 990);
    out(f, CONTROL, CW(2, 4));
    assert_out_count(f, 2, true, 990);
}

static void access_modes_choose_the_halves(void **state)
{
    struct fixture *f = *state;

    ticks(f, 1);
    out(f, CONTROL, 0x90); /* channel 2, LSB, mode 0 */
    out(f, 2, 0x12);
    ticks(f, 1);
    assert_int_equal(in(f, 2), 0x12);
    assert_int_equal(in(f, 2), 0x12);
    out(f, CONTROL, 0xA0); /* MSB */
    out(f, 2, 0x12);
    ticks(f, 1);
    assert_int_equal(in(f, 2), 0x12);
    ticks(f, 1);
    assert_int_equal(in(f, 2), 0x11);
}

static void latch_holds_the_count_until_read(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 0), 0x1234);
    out(f, CONTROL, 0x80);
    ticks(f, 0x300);
    out(f, CONTROL, 0x80); /* ignored: the first is not read yet */
    assert_int_equal(in(f, 2), 0x34);
    ticks(f, 1);
    assert_int_equal(in(f, 2), 0x12);
    assert_int_equal(in16(f, 2), 0x1234 - 0x301);
}

static void read_back_latches_status_and_count_of_several_channels(void **state)
{
    struct fixture *f = *state;

    program(f, CW(1, 2), 500);
    program(f, CW(2, 0), 700);
    out(f, CONTROL, 0xCC); /* both of channels 1 and 2 */
    ticks(f, 20);
    assert_int_equal(in(f, 1), 0x80 | 0x34);
    assert_int_equal(in16(f, 1), 500 - 2);
    assert_int_equal(in(f, 2), 0x30);
    assert_int_equal(in16(f, 2), 700);
    assert_int_equal(in16(f, 2), 700 - 20);
}

static void read_back_keeps_what_was_latched_first(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 0), 30);
    out(f, CONTROL, 0xE8);
    ticks(f, 40);
    out(f, CONTROL, 0xC8);
    assert_int_equal(in(f, 2), 0x30);
    assert_int_equal(in16(f, 2), (u16)-10);
}

static void control_word_drops_latches_and_half_counts(void **state)
{
    struct fixture *f = *state;

    program(f, CW(2, 0), 0x4000);
    out(f, CONTROL, 0xC8);
    in(f, 2);
    in(f, 2); /* half of the count is left */
    out(f, CONTROL, CW(2, 0));
    out(f, 2, 0x11);
    out(f, CONTROL, CW(2, 0));
    load(f, 2, 0x2222);
    ticks(f, 1);
    assert_int_equal(in16(f, 2), 0x2222);
}

static void channel_0_interrupts_once_in_mode_0(void **state)
{
    struct fixture *f = *state;

    program(f, CW(0, 0), 1000);
    assert_false(f->irq.level[0]);
    ticks(f, 999);
    assert_int_equal(f->irq.rises[0], 0);
    ticks(f, 1);
    assert_int_equal(f->irq.rises[0], 1);
    assert_true(f->irq.level[0]);
    ticks(f, 200000);
    assert_int_equal(f->irq.rises[0], 1);
    assert_int_equal(f->loop.fired, 1);
    load(f, 0, 10);
    assert_false(f->irq.level[0]);
    ticks(f, 11);
    assert_int_equal(f->irq.rises[0], 2);
}

static void channel_0_interrupts_after_the_strobe_of_mode_4(void **state)
{
    struct fixture *f = *state;

    program(f, CW(0, 4), 100);
    assert_true(f->irq.level[0]);
    assert_int_equal(f->irq.rises[0], 1); /* OUT went up with the control word */
    ticks(f, 100);
    assert_int_equal(f->irq.rises[0], 1);
    ticks(f, 1);
    assert_int_equal(f->irq.rises[0], 2);
}

static void check_periodic(struct fixture *f, unsigned mode)
{
    unsigned before;

    program(f, CW(0, mode), 11932); /* 100 Hz */
    before = f->irq.rises[0];
    ticks(f, 11931);
    assert_int_equal(f->irq.rises[0], before);
    ticks(f, 1);
    assert_int_equal(f->irq.rises[0], before + 1);
    ticks(f, 11932 * 50);
    assert_int_equal(f->irq.rises[0], before + 51);
}

static void channel_0_interrupts_each_period_in_modes_2_and_3(void **state)
{
    struct fixture *f = *state;

    check_periodic(f, 2);
    check_periodic(f, 3);
    assert_int_equal(f->loop.fired, 102); /* one wake-up per interrupt */
}

static void periodic_interrupts_do_not_drift(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    program(f, CW(0, 2), 1193);
    before = f->irq.rises[0];
    ticks(f, UINT64_C(1193) * 20000);
    assert_int_equal(f->irq.rises[0], before + 20000);
    ticks(f, 1192);
    assert_int_equal(f->irq.rises[0], before + 20000);
    ticks(f, 1);
    assert_int_equal(f->irq.rises[0], before + 20001);
}

static void late_host_delivers_one_edge_and_keeps_the_phase(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    u64 start;

    program(f, CW(0, 2), 11932);
    start = now_tick(f);
    before = f->irq.rises[0];
    fake_loop_late(&f->loop, 10 * NS_PER_S);
    assert_int_equal(f->irq.rises[0], before + 1);
    fake_loop_step(&f->loop, NS_PER_S / 100);
    assert_int_equal(f->irq.rises[0], before + 2);
    assert_int_equal(in16(f, 0), 11932 - (now_tick(f) - start) % 11932);
}

static void fast_periods_do_not_storm(void **state)
{
    struct fixture *f = *state;

    program(f, CW(0, 2), 2);
    fake_loop_step(&f->loop, NS_PER_S / 100);
    assert_in_range(f->loop.fired, 1, 201);
    assert_true(f->irq.rises[0] <= f->loop.fired + 1);
}

static void new_count_of_a_running_channel_0_moves_the_edges_after_the_next(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    program(f, CW(0, 2), 10000);
    before = f->irq.rises[0];
    ticks(f, 5000);
    load(f, 0, 1000);
    ticks(f, 4999);
    assert_int_equal(f->irq.rises[0], before);
    ticks(f, 1);
    assert_int_equal(f->irq.rises[0], before + 1);
    ticks(f, 1000);
    assert_int_equal(f->irq.rises[0], before + 2);
}

static void new_count_in_a_square_wave_moves_the_next_edge(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    program(f, CW(0, 3), 10000);
    before = f->irq.rises[0];
    ticks(f, 1000);
    load(f, 0, 2000); /* high for 4000 more, then low for 1000 */
    ticks(f, 4999);
    assert_int_equal(f->irq.rises[0], before);
    ticks(f, 1);
    assert_int_equal(f->irq.rises[0], before + 1);
    ticks(f, 2000);
    assert_int_equal(f->irq.rises[0], before + 2);
}

static void edge_that_is_due_is_not_lost_by_a_write(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    program(f, CW(0, 2), 1000);
    before = f->irq.rises[0];
    clock_step(&f->clock, NS_PER_S / 1000); /* the loop has not run yet */
    load(f, 0, 500);
    assert_int_equal(f->irq.rises[0], before + 1);
}

static void control_word_stops_channel_0(void **state)
{
    struct fixture *f = *state;

    program(f, CW(0, 2), 1000);
    out(f, CONTROL, CW(0, 0));
    assert_false(f->irq.level[0]);
    assert_int_equal(f->loop.count, 0);
    ticks(f, 100000);
    assert_int_equal(f->loop.fired, 0);
}

static void other_channels_never_wake_the_host(void **state)
{
    struct fixture *f = *state;

    program(f, CW(1, 2), 100);
    program(f, CW(2, 3), 100);
    ticks(f, 100000);
    assert_int_equal(f->loop.fired, 0);
    assert_int_equal(f->irq.calls[0], 0);
}

static void reset_stops_interrupts_and_starts_the_counters(void **state)
{
    struct fixture *f = *state;

    program(f, CW(0, 2), 1000);
    fake_device_reset(i8254_device(f->pit));
    assert_false(f->irq.level[0]);
    assert_int_equal(f->loop.count, 0);
    assert_out_count(f, 0, true, 0);
}

/* Linux's quick calibration: the upper byte of channel 2 falls in step with time. */
static void channel_2_counts_for_calibration(void **state)
{
    struct fixture *f = *state;
    u64 start;

    ticks(f, 1);
    out(f, CONTROL, 0xB0);
    load(f, 2, 0xFFFF);
    ticks(f, 1);
    start = now_tick(f);
    for (unsigned i = 0; i < 20000; i++) {
        clock_step(&f->clock, 1500);
        assert_int_equal(in16(f, 2), (u16)(0xFFFF - (now_tick(f) - start)));
    }
}

/* After months the counter is still exact: 1193182 ticks a second, no more and no less. */
static void long_runs_stay_exact(void **state)
{
    struct fixture *f = *state;
    u16 before;

    program(f, CW(2, 2), 0);
    before = in16(f, 2);
    clock_step(&f->clock, NS_PER_S * 86400 * 365);
    assert_int_equal((u16)(before - in16(f, 2)), (u16)(UINT64_C(86400) * 365 * I8254_HZ));
}

static void random_accesses_never_hang_or_storm(void **state)
{
    struct fixture *f = *state;
    u64 seed = 0x8254;

    for (unsigned i = 0; i < 100000; i++) {
        u64 r = fake_random(&seed);
        unsigned port = r >> 8 & 3;

        switch (r & 3) {
        case 0: in(f, port); break;
        case 1:
        case 2: out(f, port, (u8)(r >> 16)); break;
        case 3: fake_loop_step(&f->loop, r >> 40 & 0x3FFFF); break;
        }
    }
    /* 25000 steps of 131 us on average, at most one wake-up per 50 us, and one per step for one-shots */
    assert_true(f->loop.fired < 25000 * 4);
    fake_device_reset(i8254_device(f->pit));
    assert_int_equal(f->loop.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counters_run_from_power_on),
        TEST(control_port_reads_zero),
        TEST(unprogrammed_channel_0_neither_interrupts_nor_wakes_the_host),
        TEST(mode_0_rises_at_terminal_count_and_counts_on),
        TEST(mode_0_goes_low_and_stops_between_the_halves_of_a_count),
        TEST(mode_1_is_low_for_the_count),
        TEST(mode_2_is_low_for_the_last_tick_and_never_reads_zero),
        TEST(mode_2_takes_a_new_count_at_the_end_of_the_period),
        TEST(mode_3_even_count_is_a_square_wave),
        TEST(mode_3_odd_count_is_high_for_the_longer_half),
        TEST(mode_3_takes_a_new_count_at_the_end_of_the_half),
        TEST(mode_4_strobes_once),
        TEST(mode_5_strobes_like_mode_4),
        TEST(modes_6_and_7_are_2_and_3),
        TEST(count_zero_is_the_largest),
        TEST(count_one_is_taken_as_two_by_the_periodic_modes),
        TEST(bcd_counts_in_decimal),
        TEST(null_count_is_set_until_the_count_is_in),
        TEST(control_word_sets_out_and_stops_the_counter),
        TEST(access_modes_choose_the_halves),
        TEST(latch_holds_the_count_until_read),
        TEST(read_back_latches_status_and_count_of_several_channels),
        TEST(read_back_keeps_what_was_latched_first),
        TEST(control_word_drops_latches_and_half_counts),
        TEST(channel_0_interrupts_once_in_mode_0),
        TEST(channel_0_interrupts_after_the_strobe_of_mode_4),
        TEST(channel_0_interrupts_each_period_in_modes_2_and_3),
        TEST(periodic_interrupts_do_not_drift),
        TEST(late_host_delivers_one_edge_and_keeps_the_phase),
        TEST(fast_periods_do_not_storm),
        TEST(new_count_of_a_running_channel_0_moves_the_edges_after_the_next),
        TEST(new_count_in_a_square_wave_moves_the_next_edge),
        TEST(edge_that_is_due_is_not_lost_by_a_write),
        TEST(control_word_stops_channel_0),
        TEST(other_channels_never_wake_the_host),
        TEST(reset_stops_interrupts_and_starts_the_counters),
        TEST(channel_2_counts_for_calibration),
        TEST(long_runs_stay_exact),
        TEST(random_accesses_never_hang_or_storm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
