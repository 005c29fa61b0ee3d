/* SPDX-License-Identifier: MIT */
/*
 * The MC146818A real time clock.
 *
 * Source: Motorola MC146818A data sheet; the century byte at 0x32 (0x37 on a PS/2) is a PC's.
 *
 * While the clock runs the time bytes are computed from the wall clock when they are looked at;
 * while it stands (SET, or the divider in reset) they are plain memory. The divider's phase is that
 * of the second: setting the time keeps it, a divider reset ends half a second before the next
 * update. All interrupt flags rise by themselves, whether enabled or not; they are brought up to
 * date before anything looks.
 *
 * NOT EMULATED: daylight saving (B.DSE is a plain bit), the square wave (no pin), time bases other
 * than 32768 Hz (A.DV 0 and 1 run like 2), a weekday that does not belong to the date. Time bytes
 * read during an update are valid.
 */
#include "hw/mc146818.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/mem.h"
#include "host/loop.h"

#define RTC_BYTES      128u
#define RTC_PORT_INDEX 0u
#define RTC_INDEX_MASK \
    0x7Fu /* bit 7 of the index port is the NMI mask, which nothing here listens to */
#define RTC_NS_PER_S      INT64_C(1000000000)
#define RTC_DIVIDER_HZ    32768
#define RTC_UPDATE_NS     244141 /* UIP goes up 8 divider ticks before the update */
#define RTC_SECONDS_A_DAY 86400
#define RTC_DONT_CARE     0xC0u /* alarm bytes from here on match anything */
#define RTC_PM            0x80u
#define RTC_NEVER         INT64_MAX

/* The bytes, in data sheet order. */
enum mc146818_index {
    RTC_SECONDS = 0x00,
    RTC_SECONDS_ALARM = 0x01,
    RTC_MINUTES = 0x02,
    RTC_MINUTES_ALARM = 0x03,
    RTC_HOURS = 0x04,
    RTC_HOURS_ALARM = 0x05,
    RTC_WEEKDAY = 0x06, /* 1 is Sunday */
    RTC_DAY = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_A = 0x0A,
    RTC_B = 0x0B,
    RTC_C = 0x0C,
    RTC_D = 0x0D,
    RTC_RAM = 0x0E,
    RTC_BASE_MEMORY = 0x15, /* KiB, 2 bytes */
    RTC_EXTENDED = 0x17,    /* KiB above 1 MiB, 2 bytes */
    RTC_EXTENDED_2 = 0x30,  /* the same */
    RTC_CENTURY = 0x32,
    RTC_ABOVE_16M = 0x34,   /* 64 KiB units, 2 bytes */
    RTC_CENTURY_PS2 = 0x37, /* the same byte as 0x32 */
    RTC_ABOVE_4G = 0x5B,    /* 64 KiB units, 3 bytes */
};

#define RTC_A_RS       0x0Fu
#define RTC_A_DV       0x70u
#define RTC_A_UIP      BIT(7)
#define RTC_A_WRITABLE 0x7Fu
#define RTC_A_RESET    0x26u /* 32768 Hz, 1024 Hz periodic */
#define RTC_DV_RUN_MAX 2u    /* DV 0-2 run, 6 and 7 hold the divider, 3-5 are for tests */

#define RTC_B_24H      BIT(1)
#define RTC_B_DM       BIT(2)
#define RTC_B_SQWE     BIT(3)
#define RTC_B_UIE      BIT(4)
#define RTC_B_AIE      BIT(5)
#define RTC_B_PIE      BIT(6)
#define RTC_B_SET      BIT(7)
#define RTC_B_ENABLES  (RTC_B_UIE | RTC_B_AIE | RTC_B_PIE)

/* Flags of C; each has its enable at the same place in B. */
#define RTC_C_UF       BIT(4)
#define RTC_C_AF       BIT(5)
#define RTC_C_PF       BIT(6)
#define RTC_C_IRQF     BIT(7)

#define RTC_D_VRT      BIT(7)

struct mc146818 {
    struct device dev;
    struct irq irq;
    struct clock *clock;
    struct timer timer;

    struct mc146818_state {
        u8 index;
        u8 bytes[RTC_BYTES]; /* C without IRQF, A without UIP */
        i64 offset_s; /* RTC time less wall clock, in two parts; valid while the divider runs */
        i64 offset_ns;
        i64 seen_second; /* flags tell of all updates up to this second, */
        i64 seen_tick;   /* and of all periodic ticks up to this */
        bool irq_level;
    } s;
};

/*
 * A moment of RTC time. In two parts because a guest may set years that nanoseconds in 64 bits do
 * not reach.
 */
struct mc146818_instant {
    i64 second; /* since 1970 */
    i64 ns;     /* of the second */
};

/* A civil date and time. */
struct mc146818_time {
    i64 year;
    i64 month;   /* 1-12 */
    i64 day;     /* 1-31 */
    i64 second;  /* of the day */
    i64 weekday; /* 1 is Sunday */
};

static i64 mc146818_floor_div(i64 a, i64 b)
{
    return a / b - (a % b < 0);
}

/* Days from 1970-01-01 to 1 March of `year`, in the Gregorian calendar. */
static i64 mc146818_march_days(i64 year)
{
    return 365 * year + mc146818_floor_div(year, 4) - mc146818_floor_div(year, 100) +
           mc146818_floor_div(year, 400) - 719468;
}

/* Days before month `m` of a year that begins in March: 0, 31, 61, 92, 122, 153, ... */
static i64 mc146818_month_days(i64 m)
{
    return (153 * m + 2) / 5;
}

/* Seconds since 1970 of any year, month, day and second of the day; too large ones run over. */
static i64 mc146818_to_seconds(const struct mc146818_time *t)
{
    i64 months = t->year * 12 + t->month - 3; /* since March of year 0 */
    i64 year = mc146818_floor_div(months, 12);
    i64 days = mc146818_march_days(year) + mc146818_month_days(months - year * 12) + t->day - 1;

    return days * RTC_SECONDS_A_DAY + t->second;
}

static struct mc146818_time mc146818_from_seconds(i64 seconds)
{
    i64 days = mc146818_floor_div(seconds, RTC_SECONDS_A_DAY);
    i64 year = mc146818_floor_div((days + 719468) * 400, 146097); /* give or take one */
    i64 of_year, m;

    if (mc146818_march_days(year) > days)
        year--;
    else if (mc146818_march_days(year + 1) <= days)
        year++;
    of_year = days - mc146818_march_days(year);
    m = (5 * of_year + 2) / 153;
    return (struct mc146818_time){
        .year = year + (m >= 10),
        .month = m < 10 ? m + 3 : m - 9,
        .day = of_year - mc146818_month_days(m) + 1,
        .second = seconds - days * RTC_SECONDS_A_DAY,
        .weekday =
            days + 4 - mc146818_floor_div(days + 4, 7) * 7 + 1, /* 1970 began on a Thursday */
    };
}

static u8 mc146818_encode(const struct mc146818 *rtc, i64 value)
{
    if (rtc->s.bytes[RTC_B] & RTC_B_DM)
        return (u8)value;
    return (u8)(value / 10 << 4 | value % 10);
}

static i64 mc146818_decode(const struct mc146818 *rtc, u8 byte)
{
    if (rtc->s.bytes[RTC_B] & RTC_B_DM)
        return byte;
    return (byte >> 4) * 10 + (byte & 15);
}

static u8 mc146818_encode_hour(const struct mc146818 *rtc, i64 hour)
{
    i64 of_half = hour % 12 ? hour % 12 : 12;

    if (rtc->s.bytes[RTC_B] & RTC_B_24H)
        return mc146818_encode(rtc, hour);
    return (u8)(mc146818_encode(rtc, of_half) | (hour >= 12 ? RTC_PM : 0));
}

static i64 mc146818_decode_hour(const struct mc146818 *rtc, u8 byte)
{
    if (rtc->s.bytes[RTC_B] & RTC_B_24H)
        return mc146818_decode(rtc, byte);
    return mc146818_decode(rtc, byte & (u8)~RTC_PM) % 12 + (byte & RTC_PM ? 12 : 0);
}

/* Does the divider chain run? */
static bool mc146818_divides(const struct mc146818 *rtc)
{
    return FIELD_GET(RTC_A_DV, rtc->s.bytes[RTC_A]) <= RTC_DV_RUN_MAX;
}

/* Do the time bytes advance? */
static bool mc146818_runs(const struct mc146818 *rtc)
{
    return mc146818_divides(rtc) && !(rtc->s.bytes[RTC_B] & RTC_B_SET);
}

static struct mc146818_instant mc146818_now(const struct mc146818 *rtc)
{
    i64 ns = clock_wall_ns(rtc->clock) + rtc->s.offset_ns;
    i64 second = mc146818_floor_div(ns, RTC_NS_PER_S);

    return (struct mc146818_instant){ second + rtc->s.offset_s, ns - second * RTC_NS_PER_S };
}

/*
 * Divider ticks (32768 Hz) per periodic interrupt, 0 for none. Rates 1 and 2 are as 8 and 9 (table
 * 5).
 */
static i64 mc146818_period(const struct mc146818 *rtc)
{
    unsigned rs = FIELD_GET(RTC_A_RS, rtc->s.bytes[RTC_A]);

    if (!rs)
        return 0;
    return INT64_C(1) << (rs <= 2 ? rs + 6 : rs - 1);
}

/* Divider ticks since 1970. */
static i64 mc146818_tick(struct mc146818_instant t)
{
    return t.second * RTC_DIVIDER_HZ + t.ns * RTC_DIVIDER_HZ / RTC_NS_PER_S;
}

/* Nanoseconds from `now` to divider tick `tick`, which is near. */
static i64 mc146818_until_tick(struct mc146818_instant now, i64 tick)
{
    i64 second = mc146818_floor_div(tick, RTC_DIVIDER_HZ);
    i64 rest = (tick - second * RTC_DIVIDER_HZ) * RTC_NS_PER_S;

    return (second - now.second) * RTC_NS_PER_S + (rest + RTC_DIVIDER_HZ - 1) / RTC_DIVIDER_HZ -
           now.ns;
}

/* The first periodic tick after divider tick `after`. */
static i64 mc146818_next_period(const struct mc146818 *rtc, i64 after)
{
    i64 period = mc146818_period(rtc);

    return period ? (mc146818_floor_div(after, period) + 1) * period : RTC_NEVER;
}

static bool mc146818_alarm_matches(u8 alarm, u8 byte)
{
    return alarm >= RTC_DONT_CARE || alarm == byte;
}

/*
 * The first second after `after` at which the alarm goes off. Steps over whole hours and minutes
 * that do not match, hence at most some 150 steps; an alarm that no time of day can match never
 * goes off.
 */
static i64 mc146818_next_alarm(const struct mc146818 *rtc, i64 after)
{
    const u8 *bytes = rtc->s.bytes;
    i64 midnight = mc146818_floor_div(after + 1, RTC_SECONDS_A_DAY) * RTC_SECONDS_A_DAY;
    i64 t = after + 1 - midnight;
    i64 end = t + RTC_SECONDS_A_DAY;

    while (t < end) {
        if (!mc146818_alarm_matches(bytes[RTC_HOURS_ALARM],
                                    mc146818_encode_hour(rtc, t / 3600 % 24)))
            t += 3600 - t % 3600;
        else if (!mc146818_alarm_matches(bytes[RTC_MINUTES_ALARM],
                                         mc146818_encode(rtc, t / 60 % 60)))
            t += 60 - t % 60;
        else if (!mc146818_alarm_matches(bytes[RTC_SECONDS_ALARM], mc146818_encode(rtc, t % 60)))
            t++;
        else
            return midnight + t;
    }
    return RTC_NEVER;
}

/* Fill the time bytes from the clock. */
static void mc146818_store_time(struct mc146818 *rtc, i64 seconds)
{
    struct mc146818_time t = mc146818_from_seconds(seconds);
    u8 *bytes = rtc->s.bytes;

    bytes[RTC_SECONDS] = mc146818_encode(rtc, t.second % 60);
    bytes[RTC_MINUTES] = mc146818_encode(rtc, t.second / 60 % 60);
    bytes[RTC_HOURS] = mc146818_encode_hour(rtc, t.second / 3600);
    bytes[RTC_WEEKDAY] = mc146818_encode(rtc, t.weekday);
    bytes[RTC_DAY] = mc146818_encode(rtc, t.day);
    bytes[RTC_MONTH] = mc146818_encode(rtc, t.month);
    bytes[RTC_YEAR] = mc146818_encode(rtc, t.year % 100);
    bytes[RTC_CENTURY] = mc146818_encode(rtc, t.year / 100);
}

/* Flags tell of what comes after `now`. */
static void mc146818_rebase(struct mc146818 *rtc, struct mc146818_instant now)
{
    rtc->s.seen_second = now.second;
    rtc->s.seen_tick = mc146818_tick(now);
}

/* Make the clock go on from the time bytes, `phase` ns into their second. */
static void mc146818_load_time(struct mc146818 *rtc, i64 phase)
{
    const u8 *bytes = rtc->s.bytes;
    struct mc146818_time t = {
        .year =
            mc146818_decode(rtc, bytes[RTC_CENTURY]) * 100 + mc146818_decode(rtc, bytes[RTC_YEAR]),
        .month = mc146818_decode(rtc, bytes[RTC_MONTH]),
        .day = mc146818_decode(rtc, bytes[RTC_DAY]),
        .second = mc146818_decode_hour(rtc, bytes[RTC_HOURS]) * 3600 +
                  mc146818_decode(rtc, bytes[RTC_MINUTES]) * 60 +
                  mc146818_decode(rtc, bytes[RTC_SECONDS]),
    };
    i64 wall = clock_wall_ns(rtc->clock);

    rtc->s.offset_s = mc146818_to_seconds(&t) - wall / RTC_NS_PER_S;
    rtc->s.offset_ns = phase - wall % RTC_NS_PER_S;
    mc146818_rebase(rtc, mc146818_now(rtc));
}

/* Raise the flags, and set the time bytes, for all that happened since this was last done. */
static void mc146818_catch_up(struct mc146818 *rtc)
{
    struct mc146818_instant now = mc146818_now(rtc);
    u8 *c = &rtc->s.bytes[RTC_C];

    if (mc146818_divides(rtc) && mc146818_next_period(rtc, rtc->s.seen_tick) <= mc146818_tick(now))
        *c |= RTC_C_PF;
    if (mc146818_runs(rtc) && now.second > rtc->s.seen_second) {
        *c |= RTC_C_UF;
        if (mc146818_next_alarm(rtc, rtc->s.seen_second) <= now.second)
            *c |= RTC_C_AF;
    }
    if (mc146818_runs(rtc))
        mc146818_store_time(rtc, now.second);
    mc146818_rebase(rtc, now);
}

/* Nanoseconds to the first enabled interrupt whose flag is not up yet. */
static i64 mc146818_until_interrupt(const struct mc146818 *rtc, struct mc146818_instant now)
{
    u8 wanted = rtc->s.bytes[RTC_B] & RTC_B_ENABLES & (u8)~rtc->s.bytes[RTC_C];
    i64 tick = mc146818_next_period(rtc, rtc->s.seen_tick);
    i64 second = RTC_NEVER;
    i64 until = RTC_NEVER;

    if ((wanted & RTC_C_PF) && mc146818_divides(rtc) && tick != RTC_NEVER)
        until = mc146818_until_tick(now, tick);
    if ((wanted & RTC_C_UF) && mc146818_runs(rtc))
        second = rtc->s.seen_second + 1;
    else if ((wanted & RTC_C_AF) && mc146818_runs(rtc))
        second = mc146818_next_alarm(rtc, rtc->s.seen_second);
    if (second != RTC_NEVER)
        until = MIN(until, (second - now.second) * RTC_NS_PER_S - now.ns);
    return until;
}

static bool mc146818_irqf(const struct mc146818 *rtc)
{
    return rtc->s.bytes[RTC_B] & rtc->s.bytes[RTC_C] & RTC_B_ENABLES;
}

/*
 * Let the line and the timer follow the state; the end of each entry point that changes any. While
 * the line is up no further interrupt can be seen, so nothing need wake the host.
 */
static void mc146818_update(struct mc146818 *rtc)
{
    bool level = mc146818_irqf(rtc);
    i64 until = mc146818_until_interrupt(rtc, mc146818_now(rtc));

    if (level != rtc->s.irq_level) {
        rtc->s.irq_level = level;
        irq_set(&rtc->irq, level);
    }
    if (level || until == RTC_NEVER)
        timer_cancel(&rtc->timer);
    else
        timer_arm(&rtc->timer, clock_ns(rtc->clock) + (u64)MAX(until, 0));
}

/* UIP: an update comes within 244 us ("Update cycle"). */
static u8 mc146818_read_a(const struct mc146818 *rtc)
{
    bool soon = mc146818_now(rtc).ns >= RTC_NS_PER_S - RTC_UPDATE_NS;

    return rtc->s.bytes[RTC_A] | (mc146818_runs(rtc) && soon ? RTC_A_UIP : 0);
}

/* Reading C clears its flags and lets the line go. */
static u8 mc146818_read_c(struct mc146818 *rtc)
{
    u8 value = rtc->s.bytes[RTC_C] | (mc146818_irqf(rtc) ? RTC_C_IRQF : 0);

    rtc->s.bytes[RTC_C] = 0;
    mc146818_update(rtc);
    return value;
}

static u64 mc146818_read(void *opaque, u64 offset, unsigned size)
{
    struct mc146818 *rtc = opaque;

    (void)size;
    if (offset == RTC_PORT_INDEX)
        return 0xFF;
    mc146818_catch_up(rtc);
    switch (rtc->s.index) {
    case RTC_A: return mc146818_read_a(rtc);
    case RTC_C: return mc146818_read_c(rtc);
    default: return rtc->s.bytes[rtc->s.index];
    }
}

/*
 * When the divider leaves its reset the first update comes half a second later ("DV2, DV1, DV0").
 */
static void mc146818_write_a(struct mc146818 *rtc, u8 value)
{
    bool divided = mc146818_divides(rtc);

    rtc->s.bytes[RTC_A] = value & RTC_A_WRITABLE;
    if (!divided && mc146818_divides(rtc))
        mc146818_load_time(rtc, RTC_NS_PER_S / 2);
}

/*
 * SET going up clears UIE ("UIE"); going down it starts the clock from the bytes, in the divider's
 * phase.
 */
static void mc146818_write_b(struct mc146818 *rtc, u8 value)
{
    bool was_set = rtc->s.bytes[RTC_B] & RTC_B_SET;

    if (value & RTC_B_SET && !was_set)
        value &= (u8)~RTC_B_UIE;
    rtc->s.bytes[RTC_B] = value;
    if (was_set && mc146818_runs(rtc))
        mc146818_load_time(rtc, mc146818_now(rtc).ns);
}

/* A time byte that is written while the clock runs takes effect at once. */
static void mc146818_write_time(struct mc146818 *rtc, unsigned index, u8 value)
{
    rtc->s.bytes[index] = value;
    if (mc146818_runs(rtc))
        mc146818_load_time(rtc, mc146818_now(rtc).ns);
}

static void mc146818_write_byte(struct mc146818 *rtc, unsigned index, u8 value)
{
    switch (index) {
    case RTC_SECONDS:
    case RTC_MINUTES:
    case RTC_HOURS:
    case RTC_WEEKDAY ... RTC_YEAR:
    case RTC_CENTURY: mc146818_write_time(rtc, index, value); break;
    case RTC_A: mc146818_write_a(rtc, value); break;
    case RTC_B: mc146818_write_b(rtc, value); break;
    case RTC_C:
    case RTC_D: break; /* read only */
    default: rtc->s.bytes[index] = value; break;
    }
}

static void mc146818_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct mc146818 *rtc = opaque;

    (void)size;
    if (offset == RTC_PORT_INDEX) {
        rtc->s.index = value & RTC_INDEX_MASK;
        if (rtc->s.index == RTC_CENTURY_PS2)
            rtc->s.index = RTC_CENTURY;
        return;
    }
    mc146818_catch_up(rtc);
    mc146818_write_byte(rtc, rtc->s.index, (u8)value);
    mc146818_update(rtc);
}

static void mc146818_timer(void *arg)
{
    struct mc146818 *rtc = arg;

    mc146818_catch_up(rtc);
    mc146818_update(rtc);
}

/* The RESET pin clears enables and flags ("RESET"); time, memory and SET live on the battery. */
static void mc146818_reset(struct device *dev)
{
    struct mc146818 *rtc = container_of(dev, struct mc146818, dev);

    mc146818_catch_up(rtc);
    rtc->s.index = 0;
    rtc->s.bytes[RTC_B] &= (u8) ~(RTC_B_ENABLES | RTC_B_SQWE);
    rtc->s.bytes[RTC_C] = 0;
    mc146818_update(rtc);
}

static void mc146818_free(struct device *dev)
{
    struct mc146818 *rtc = container_of(dev, struct mc146818, dev);

    timer_cancel(&rtc->timer);
    pthread_mutex_destroy(&dev->lock);
    free(rtc);
}

static const struct device_ops mc146818_device_ops = {
    .reset = mc146818_reset,
    .free = mc146818_free,
};

const struct region_ops mc146818_ops = {
    .read = mc146818_read,
    .write = mc146818_write,
    .sizes = BUS_SIZE_1,
    .split = true,
};

void mc146818_set_cmos(struct mc146818 *rtc, unsigned index, u8 value)
{
    assert(index >= RTC_RAM && index < RTC_BYTES);
    assert(index != RTC_CENTURY && index != RTC_CENTURY_PS2);
    rtc->s.bytes[index] = value;
}

static void mc146818_set_size(struct mc146818 *rtc, unsigned index, u64 value)
{
    value = MIN(value, 0xFFFFu);
    mc146818_set_cmos(rtc, index, (u8)value);
    mc146818_set_cmos(rtc, index + 1, (u8)(value >> 8));
}

void mc146818_set_memory(struct mc146818 *rtc, u64 below_4g, u64 above_4g)
{
    u64 extended = below_4g > MIB(1) ? (below_4g - MIB(1)) / KIB(1) : 0;
    u64 units = above_4g / KIB(64);

    mc146818_set_size(rtc, RTC_BASE_MEMORY, MIN(below_4g, KIB(640)) / KIB(1));
    mc146818_set_size(rtc, RTC_EXTENDED, extended);
    mc146818_set_size(rtc, RTC_EXTENDED_2, extended);
    mc146818_set_size(rtc, RTC_ABOVE_16M, below_4g > MIB(16) ? (below_4g - MIB(16)) / KIB(64) : 0);
    for (unsigned i = 0; i < 3; i++)
        mc146818_set_cmos(rtc, RTC_ABOVE_4G + i, (u8)(units >> 8 * i));
}

struct mc146818 *mc146818_new(const struct mc146818_config *config)
{
    struct mc146818 *rtc = xcalloc(1, sizeof(*rtc));

    device_init(&rtc->dev, "mc146818", &mc146818_device_ops);
    rtc->irq = config->irq;
    rtc->clock = config->clock;
    rtc->s.offset_s = config->offset_ns / RTC_NS_PER_S;
    rtc->s.offset_ns = config->offset_ns % RTC_NS_PER_S;
    rtc->s.bytes[RTC_A] = RTC_A_RESET;
    rtc->s.bytes[RTC_B] = RTC_B_24H;
    rtc->s.bytes[RTC_D] = RTC_D_VRT;
    timer_init(&rtc->timer, config->loop, &rtc->dev.lock, mc146818_timer, rtc);
    mc146818_rebase(rtc, mc146818_now(rtc));
    mc146818_reset(&rtc->dev);
    return rtc;
}

struct device *mc146818_device(struct mc146818 *rtc)
{
    return &rtc->dev;
}
