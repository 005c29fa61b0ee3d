/* SPDX-License-Identifier: MIT */
/* The MC146818: telling and setting the time, its three interrupts, and the CMOS bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "hw/mc146818.h"
#include "unit/fakes/irq.h"
#include "unit/fakes/loop.h"
#include "unit/fakes/region.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define A         0x0A
#define B         0x0B
#define C         0x0C
#define D         0x0D

/* Thursday, 2024-02-29 23:59:58 UTC, and a quarter of a second. */
#define START_S   INT64_C(1709251198)
#define START_NS  (START_S * NS_PER_S + 250 * NS_PER_MS)

struct fixture {
    struct clock clock;
    struct loop loop;
    struct fake_irq irq;
    struct mc146818 *rtc;
    struct fake_region port;
};

static void fixture_make(struct fixture *f, i64 wall_ns, i64 offset_ns)
{
    const struct mc146818_config config = {
        .irq = fake_irq_line(&f->irq, 8),
        .clock = &f->clock,
        .loop = &f->loop,
        .offset_ns = offset_ns,
    };

    memset(f, 0, sizeof(*f));
    clock_init_manual(&f->clock, wall_ns);
    fake_loop_init(&f->loop, &f->clock);
    f->rtc = mc146818_new(&config);
    f->port = (struct fake_region){ &mc146818_ops, f->rtc };
}

static void fixture_free(struct fixture *f)
{
    struct device *dev = mc146818_device(f->rtc);

    dev->ops->free(dev);
    assert_int_equal(f->loop.count, 0);
}

static int setup(void **state)
{
    static struct fixture f;

    fixture_make(&f, START_NS, 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static u8 get(struct fixture *f, u8 index)
{
    fake_region_write(&f->port, 0, 1, index);
    return (u8)fake_region_read(&f->port, 1, 1);
}

static void put(struct fixture *f, u8 index, u8 value)
{
    fake_region_write(&f->port, 0, 1, index);
    fake_region_write(&f->port, 1, 1, value);
}

static void step(struct fixture *f, i64 ns)
{
    fake_loop_step(&f->loop, (u64)ns);
}

/* Seconds, minutes, hours, weekday, day, month, year, century. */
static void assert_time(struct fixture *f, const u8 expected[8])
{
    static const u8 indexes[] = { 0x00, 0x02, 0x04, 0x06, 0x07, 0x08, 0x09, 0x32 };

    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get(f, indexes[i]), expected[i]);
}

static void put_time(struct fixture *f, const u8 values[8])
{
    static const u8 indexes[] = { 0x00, 0x02, 0x04, 0x06, 0x07, 0x08, 0x09, 0x32 };

    for (unsigned i = 0; i < 8; i++)
        put(f, indexes[i], values[i]);
}

/* The registers after power-on, as QEMU's machine shows them. */
static void registers_after_power_on(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, A), 0x26);
    assert_int_equal(get(f, B), 0x02);
    assert_int_equal(get(f, C), 0x00);
    assert_int_equal(get(f, D), 0x80);
    for (u8 i = 0x0E; i < 0x80; i++)
        assert_int_equal(get(f, i), i == 0x32 || i == 0x37 ? 0x20 : 0);
    assert_false(f->irq.level[8]);
}

static void index_port_reads_ones_and_ignores_the_nmi_bit(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_region_read(&f->port, 0, 1), 0xFF);
    assert_int_equal(get(f, 0x80 | D), 0x80);
    put(f, 0x80 | 0x40, 0x5A);
    assert_int_equal(get(f, 0x40), 0x5A);
}

static void time_is_the_wall_clock_in_bcd(void **state)
{
    struct fixture *f = *state;

    assert_time(f, (const u8[]){ 0x58, 0x59, 0x23, 0x05, 0x29, 0x02, 0x24, 0x20 });
    step(f, 2 * NS_PER_S);
    assert_time(f, (const u8[]){ 0x00, 0x00, 0x00, 0x06, 0x01, 0x03, 0x24, 0x20 });
}

static void time_in_binary(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0x06);
    assert_time(f, (const u8[]){ 58, 59, 23, 5, 29, 2, 24, 20 });
}

static void twelve_hours_have_a_pm_bit(void **state)
{
    struct fixture *f = *state;
    static const u8 bcd[24] = {
        0x12, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11,
        0x92, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x90, 0x91,
    };

    put(f, B, 0x00);
    step(f, 2 * NS_PER_S);
    for (unsigned hour = 0; hour < 24; hour++) {
        assert_int_equal(get(f, 0x04), bcd[hour]);
        step(f, 3600 * NS_PER_S);
    }
}

static void every_day_of_a_century_agrees_with_the_host(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0x06);
    for (unsigned day = 0; day < 36525; day++) {
        time_t t = (time_t)(START_S + (i64)day * 86400);
        struct tm tm;

        gmtime_r(&t, &tm);
        assert_time(f, (const u8[]){ 58, 59, 23, (u8)(tm.tm_wday + 1), (u8)tm.tm_mday,
                                     (u8)(tm.tm_mon + 1), (u8)(tm.tm_year % 100),
                                     (u8)(19 + tm.tm_year / 100) });
        clock_step(&f->clock, 86400u * (u64)NS_PER_S);
    }
}

static void configured_offset_moves_the_clock(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, START_NS, -3600 * NS_PER_S - 250 * NS_PER_MS);
    assert_time(&f, (const u8[]){ 0x58, 0x59, 0x22, 0x05, 0x29, 0x02, 0x24, 0x20 });
    step(&f, 999 * NS_PER_MS);
    assert_int_equal(get(&f, 0x00), 0x58);
    step(&f, 2 * NS_PER_MS);
    assert_int_equal(get(&f, 0x00), 0x59);
    fixture_free(&f);
}

static void set_freezes_the_bytes_and_takes_them(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0x82);
    step(f, 10 * NS_PER_S);
    assert_int_equal(get(f, 0x00), 0x58);
    put_time(f, (const u8[]){ 0x30, 0x15, 0x07, 0x01, 0x17, 0x11, 0x99, 0x19 });
    assert_int_equal(get(f, 0x07), 0x17);
    step(f, 5 * NS_PER_S);
    put(f, B, 0x02);
    assert_time(f, (const u8[]){ 0x30, 0x15, 0x07, 0x04, 0x17, 0x11, 0x99, 0x19 });
    step(f, 749 * NS_PER_MS);
    assert_int_equal(get(f, 0x00), 0x30); /* the divider kept its phase: 250 ms into the second */
    step(f, 2 * NS_PER_MS);
    assert_int_equal(get(f, 0x00), 0x31);
}

/* The sequence of Linux: SET, divider reset, bytes, B, A; the update comes half a second later. */
static void divider_reset_starts_half_a_second_before_the_update(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0x82);
    put(f, A, 0x76);
    put_time(f, (const u8[]){ 0x00, 0x00, 0x12, 0x01, 0x01, 0x01, 0x30, 0x20 });
    put(f, B, 0x02);
    step(f, 3 * NS_PER_S);
    assert_int_equal(get(f, 0x00), 0x00);
    assert_int_equal(get(f, A), 0x76);
    put(f, A, 0x26);
    step(f, 499 * NS_PER_MS);
    assert_int_equal(get(f, 0x00), 0x00);
    step(f, 2 * NS_PER_MS);
    assert_time(f, (const u8[]){ 0x01, 0x00, 0x12, 0x03, 0x01, 0x01, 0x30, 0x20 });
}

static void divider_released_under_set_only_sets_the_phase(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0x82);
    put(f, A, 0x76);
    put(f, A, 0x26);
    put(f, 0x00, 0x10);
    step(f, 1100 * NS_PER_MS); /* phase 0.6 */
    put(f, B, 0x02);
    assert_int_equal(get(f, 0x00), 0x10);
    step(f, 401 * NS_PER_MS);
    assert_int_equal(get(f, 0x00), 0x11);
}

static void byte_written_while_running_takes_effect_at_once(void **state)
{
    struct fixture *f = *state;

    put(f, 0x04, 0x05);
    assert_time(f, (const u8[]){ 0x58, 0x59, 0x05, 0x05, 0x29, 0x02, 0x24, 0x20 });
    step(f, NS_PER_S);
    assert_int_equal(get(f, 0x00), 0x59);
}

static void impossible_times_run_over(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0x82);
    put_time(f, (const u8[]){ 0x00, 0x00, 0x00, 0x01, 0x31, 0x02, 0x23, 0x20 });
    put(f, B, 0x02);
    assert_time(f, (const u8[]){ 0x00, 0x00, 0x00, 0x06, 0x03, 0x03, 0x23, 0x20 });
    put(f, B, 0x86);
    put_time(f, (const u8[]){ 255, 255, 255, 255, 255, 255, 255, 255 });
    put(f, B, 0x26);
    step(f, 2 * NS_PER_S);
    put(f, B, 0x82);
    put_time(f, (const u8[]){ 0, 0, 0, 0, 0, 0, 0, 0 });
    put(f, B, 0x22);
    step(f, 2 * NS_PER_S);
    assert_int_equal(get(f, 0x02), 0x00);
}

static void century_has_two_addresses(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, 0x37), 0x20);
    put(f, 0x37, 0x19);
    assert_int_equal(get(f, 0x32), 0x19);
    assert_int_equal(get(f, 0x09), 0x24);
}

static void uip_announces_the_update(void **state)
{
    struct fixture *f = *state;

    step(f, 750 * NS_PER_MS - 245 * 1000);
    assert_int_equal(get(f, A), 0x26);
    step(f, 1000);
    assert_int_equal(get(f, A), 0xA6);
    assert_int_equal(get(f, 0x00), 0x58);
    step(f, 243 * 1000);
    assert_int_equal(get(f, A), 0xA6);
    step(f, 1000);
    assert_int_equal(get(f, A), 0x26);
    assert_int_equal(get(f, 0x00), 0x59);
}

static void uip_stays_low_under_set(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0x82);
    step(f, 750 * NS_PER_MS - 100 * 1000);
    assert_int_equal(get(f, A), 0x26);
}

static void read_only_registers_ignore_writes(void **state)
{
    struct fixture *f = *state;

    put(f, A, 0xFF);
    assert_int_equal(get(f, A), 0x7F);
    put(f, C, 0xFF);
    put(f, D, 0x00);
    assert_int_equal(get(f, C), 0x00);
    assert_int_equal(get(f, D), 0x80);
}

static void update_flag_rises_without_its_interrupt(void **state)
{
    struct fixture *f = *state;

    put(f, A, 0x20);
    get(f, C);
    step(f, 749 * NS_PER_MS);
    assert_int_equal(get(f, C), 0x00);
    step(f, 2 * NS_PER_MS);
    assert_int_equal(get(f, C), 0x10);
    assert_int_equal(get(f, C), 0x00);
    assert_int_equal(f->irq.calls[8], 0);
    assert_int_equal(f->loop.fired, 0);
}

static void update_interrupt_comes_each_second_it_is_answered(void **state)
{
    struct fixture *f = *state;

    put(f, A, 0x20);
    put(f, B, 0x12);
    step(f, 750 * NS_PER_MS);
    assert_true(f->irq.level[8]);
    assert_int_equal(get(f, C), 0x90);
    assert_false(f->irq.level[8]);
    step(f, NS_PER_S - 1);
    assert_false(f->irq.level[8]);
    step(f, 1);
    assert_true(f->irq.level[8]);
    step(f, 100 * NS_PER_S); /* not answered: no more wake-ups */
    assert_int_equal(f->irq.rises[8], 2);
    assert_int_equal(f->loop.fired, 2);
}

static void enabling_an_interrupt_whose_flag_is_up_raises_the_line(void **state)
{
    struct fixture *f = *state;

    step(f, NS_PER_S);
    put(f, B, 0x12);
    assert_true(f->irq.level[8]);
    put(f, B, 0x02);
    assert_false(f->irq.level[8]);
}

static void set_clears_the_update_interrupt_enable(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0x92);
    assert_int_equal(get(f, B), 0x82);
    put(f, B, 0x12);
    assert_int_equal(get(f, B), 0x12);
    put(f, B, 0x92);
    assert_int_equal(get(f, B), 0x82);
    step(f, 5 * NS_PER_S);
    assert_int_equal(get(f, C) & 0x10, 0);
}

static void alarm_goes_off_at_its_time(void **state)
{
    struct fixture *f = *state;

    put(f, 0x01, 0x30);
    put(f, 0x03, 0x15);
    put(f, 0x05, 0x07);
    put(f, B, 0x22);
    step(f, (7 * 3600 + 15 * 60 + 30 + 2) * NS_PER_S - 251 * NS_PER_MS);
    assert_false(f->irq.level[8]);
    step(f, 2 * NS_PER_MS);
    assert_true(f->irq.level[8]);
    assert_int_equal(get(f, C) & 0xB0, 0xB0);
    assert_int_equal(get(f, 0x00), 0x30);
    assert_int_equal(f->loop.fired, 1);
    step(f, 86400 * NS_PER_S);
    assert_int_equal(f->loop.fired, 2); /* the next day again */
}

static void alarm_wildcards_match_anything(void **state)
{
    struct fixture *f = *state;

    put(f, 0x01, 0x05);
    put(f, 0x03, 0xC0);
    put(f, 0x05, 0xFF);
    put(f, B, 0x22);
    for (unsigned i = 0; i < 5; i++) {
        step(f, 60 * NS_PER_S);
        assert_int_equal(f->irq.rises[8], i + 1);
        assert_int_equal(get(f, 0x00), 0x58);
        assert_int_equal(get(f, C) & 0xA0, 0xA0);
    }
    put(f, 0x01, 0xC0); /* each second */
    step(f, NS_PER_S);
    assert_int_equal(f->irq.rises[8], 6);
}

static void alarm_in_twelve_hour_mode_uses_the_pm_bit(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0x20);
    put(f, 0x01, 0x00);
    put(f, 0x03, 0x00);
    put(f, 0x05, 0x81); /* 1 pm */
    step(f, (13 * 3600 + 1) * NS_PER_S);
    assert_int_equal(f->irq.rises[8], 0);
    step(f, NS_PER_S);
    assert_int_equal(f->irq.rises[8], 1);
}

static void impossible_alarm_never_goes_off_and_never_wakes(void **state)
{
    struct fixture *f = *state;

    put(f, 0x01, 0x75);
    put(f, B, 0x22);
    assert_int_equal(f->loop.count, 0);
    step(f, 2 * 86400 * NS_PER_S);
    assert_int_equal(get(f, C) & 0x20, 0);
}

static void alarm_flag_rises_without_its_interrupt(void **state)
{
    struct fixture *f = *state;

    put(f, 0x01, 0x10);
    put(f, 0x03, 0x20);
    put(f, 0x05, 0x03);
    step(f, 3 * 3600 * NS_PER_S);
    assert_int_equal(get(f, C) & 0x20, 0);
    clock_step(&f->clock, 86400u * 3 * (u64)NS_PER_S);
    assert_int_equal(get(f, C) & 0x20, 0x20);
    assert_int_equal(get(f, C) & 0x20, 0);
    assert_int_equal(f->loop.fired, 0);
}

static void periodic_interrupt_has_the_rate_of_its_table(void **state)
{
    struct fixture *f = *state;
    static const u16 hz[16] = { 0,   256, 128, 8192, 4096, 2048, 1024, 512,
                                256, 128, 64,  32,   16,   8,    4,    2 };

    put(f, B, 0x42);
    for (u8 rate = 0; rate < 16; rate++) {
        unsigned count = 0;

        put(f, A, 0x20 | rate);
        get(f, C);
        for (unsigned i = 0; i < 20000; i++) { /* one second */
            step(f, 50 * 1000);
            count += (get(f, C) & 0xC0) == 0xC0;
        }
        assert_int_equal(count, hz[rate]);
    }
}

static void periodic_interrupt_coalesces_until_answered(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0x42);
    step(f, NS_PER_S);
    assert_int_equal(f->irq.rises[8], 1);
    assert_int_equal(f->loop.fired, 1);
    fake_loop_late(&f->loop, (u64)NS_PER_S);
    assert_int_equal(get(f, C) & 0xC0, 0xC0);
    step(f, NS_PER_MS);
    assert_int_equal(f->irq.rises[8], 2);
}

static void periodic_interrupt_runs_under_set_but_not_in_divider_reset(void **state)
{
    struct fixture *f = *state;

    put(f, B, 0xC2);
    step(f, 2 * NS_PER_MS);
    assert_int_equal(get(f, C) & 0xC0, 0xC0);
    put(f, A, 0x76);
    get(f, C);
    step(f, NS_PER_S);
    assert_int_equal(get(f, C), 0);
    assert_int_equal(f->loop.count, 0);
}

static void idle_clock_never_wakes_the_host(void **state)
{
    struct fixture *f = *state;

    step(f, 1000 * NS_PER_S);
    get(f, 0x00);
    step(f, 1000 * NS_PER_S);
    assert_int_equal(f->loop.fired, 0);
}

static void reset_clears_enables_and_flags_and_keeps_the_rest(void **state)
{
    struct fixture *f = *state;

    put(f, 0x40, 0x77);
    put(f, A, 0x2A);
    put(f, B, 0x7E);
    put(f, 0x04, 3);
    step(f, 10 * NS_PER_S);
    assert_true(f->irq.level[8]);
    fake_device_reset(mc146818_device(f->rtc));
    assert_false(f->irq.level[8]);
    assert_int_equal(get(f, A) & 0x7F, 0x2A);
    assert_int_equal(get(f, B), 0x06);
    assert_int_equal(get(f, C), 0x00);
    assert_int_equal(get(f, 0x40), 0x77);
    assert_int_equal(get(f, 0x04), 4);
    assert_int_equal(f->loop.count, 0);
}

static void assert_bytes(struct fixture *f, u8 index, unsigned count, u32 value)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(get(f, (u8)(index + i)), (u8)(value >> 8 * i));
}

static void memory_bytes_of_small_machines(void **state)
{
    struct fixture *f = *state;

    mc146818_set_memory(f->rtc, KIB(512), 0);
    assert_bytes(f, 0x15, 2, 512);
    assert_bytes(f, 0x17, 2, 0);
    mc146818_set_memory(f->rtc, MIB(8), 0);
    assert_bytes(f, 0x15, 2, 640);
    assert_bytes(f, 0x17, 2, 7168);
    assert_bytes(f, 0x30, 2, 7168);
    assert_bytes(f, 0x34, 2, 0);
    mc146818_set_memory(f->rtc, MIB(128), 0);
    assert_bytes(f, 0x17, 2, 65535);
    assert_bytes(f, 0x34, 2, 112 * 16);
    assert_bytes(f, 0x5B, 3, 0);
    assert_int_equal(get(f, 0x32), 0x20);
}

static void memory_bytes_of_large_machines(void **state)
{
    struct fixture *f = *state;

    mc146818_set_memory(f->rtc, GIB(3), GIB(1));
    assert_bytes(f, 0x15, 2, 640);
    assert_bytes(f, 0x30, 2, 65535);
    assert_bytes(f, 0x34, 2, (3072 - 16) * 16);
    assert_bytes(f, 0x5B, 3, 1024 * 16);
    mc146818_set_memory(f->rtc, GIB(3), GIB(61));
    assert_bytes(f, 0x5B, 3, 61 * 1024 * 16);
    assert_int_equal(get(f, 0x5F), 0);
}

static void cmos_byte_can_be_preset(void **state)
{
    struct fixture *f = *state;

    mc146818_set_cmos(f->rtc, 0x38, 0x30);
    assert_int_equal(get(f, 0x38), 0x30);
}

static void random_accesses_never_hang_or_storm(void **state)
{
    struct fixture *f = *state;
    u64 seed = 0x146818;

    for (unsigned i = 0; i < 100000; i++) {
        u64 r = fake_random(&seed);
        u8 index = r & 0x100 ? r >> 9 & 15 : r >> 9 & 0x7F;

        switch (r & 3) {
        case 0: get(f, index); break;
        case 1:
        case 2: put(f, index, (u8)(r >> 16)); break;
        case 3: step(f, (i64)(r >> 24 & 0x3FFFFFF)); break;
        }
        assert_int_equal(get(f, D), 0x80);
    }
    assert_true(f->loop.fired < 100000);
    fake_device_reset(mc146818_device(f->rtc));
    assert_int_equal(f->loop.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers_after_power_on),
        TEST(index_port_reads_ones_and_ignores_the_nmi_bit),
        TEST(time_is_the_wall_clock_in_bcd),
        TEST(time_in_binary),
        TEST(twelve_hours_have_a_pm_bit),
        TEST(every_day_of_a_century_agrees_with_the_host),
        TEST(configured_offset_moves_the_clock),
        TEST(set_freezes_the_bytes_and_takes_them),
        TEST(divider_reset_starts_half_a_second_before_the_update),
        TEST(divider_released_under_set_only_sets_the_phase),
        TEST(byte_written_while_running_takes_effect_at_once),
        TEST(impossible_times_run_over),
        TEST(century_has_two_addresses),
        TEST(uip_announces_the_update),
        TEST(uip_stays_low_under_set),
        TEST(read_only_registers_ignore_writes),
        TEST(update_flag_rises_without_its_interrupt),
        TEST(update_interrupt_comes_each_second_it_is_answered),
        TEST(enabling_an_interrupt_whose_flag_is_up_raises_the_line),
        TEST(set_clears_the_update_interrupt_enable),
        TEST(alarm_goes_off_at_its_time),
        TEST(alarm_wildcards_match_anything),
        TEST(alarm_in_twelve_hour_mode_uses_the_pm_bit),
        TEST(impossible_alarm_never_goes_off_and_never_wakes),
        TEST(alarm_flag_rises_without_its_interrupt),
        TEST(periodic_interrupt_has_the_rate_of_its_table),
        TEST(periodic_interrupt_coalesces_until_answered),
        TEST(periodic_interrupt_runs_under_set_but_not_in_divider_reset),
        TEST(idle_clock_never_wakes_the_host),
        TEST(reset_clears_enables_and_flags_and_keeps_the_rest),
        TEST(memory_bytes_of_small_machines),
        TEST(memory_bytes_of_large_machines),
        TEST(cmos_byte_can_be_preset),
        TEST(random_accesses_never_hang_or_storm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
