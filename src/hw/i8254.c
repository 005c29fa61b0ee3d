/* SPDX-License-Identifier: MIT */
/*
 * The 8254 programmable interval timer.
 *
 * Source: Intel 8254 data sheet (order number 231164). Section names in comments are its own.
 *
 * All counters run on one input clock, whose edges are numbered from the start of struct clock; a
 * counter is the edge at which it was loaded and the count that it was loaded with, and its value
 * and output at any later edge follow from the two. Nothing accumulates, so nothing drifts.
 *
 *     load           load + N        load + 2N
 *      |                |                |
 *      '----------------.________________   mode 0, 1: the other way round, low then high for good
 *      '---------------._.--------------.   mode 2: low for the last tick of each period
 *      '-------.________'-------.________   mode 3: high for (N + 1) / 2, low for N / 2
 *      '-----------------._.-------------   mode 4, 5: low for one tick after the count
 *
 * The gates are tied high: there is no port 0x61. NOT EMULATED: a trigger by the gate. Modes 1 and
 * 5 take the loading of a count as their trigger. The line to the interrupt controllers falls only
 * when the next rising edge of OUT is due (or by programming), for they look at edges; the
 * read-back command tells the true OUT. A channel 0 that was never programmed counts but does not
 * interrupt: the data sheet leaves its OUT undefined ("Programming the 8254"), and an idle guest
 * shall not wake the host.
 */
#include "hw/i8254.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/mem.h"
#include "host/loop.h"

#define I8254_CHANNELS         3u
#define I8254_CONTROL          3u /* the control word's port */
#define I8254_NS_PER_S         1000000000u
#define I8254_MAX_BINARY       0x10000
#define I8254_MAX_BCD          10000

/*
 * The shortest time between two wake-ups for channel 0. A guest may program a period of two ticks
 * (1.7 us); without a floor the event loop would do nothing but wake for it. Edges in between
 * coalesce, as they do whenever the host is late.
 */
#define I8254_MIN_WAKE_NS      50000u

/* Control word (port 3). */
#define I8254_CW_BCD           BIT(0)
#define I8254_CW_MODE          0x0Eu
#define I8254_CW_RW            0x30u
#define I8254_CW_SC            0xC0u

/* Read-back command: SC = 3. Its enables are active low. */
#define I8254_SC_READ_BACK     3u
#define I8254_READ_BACK_STATUS BIT(4) /* 0: latch the status */
#define I8254_READ_BACK_COUNT  BIT(5) /* 0: latch the count */
#define I8254_READ_BACK_FIRST  BIT(1) /* channel 0's select bit; the others follow */

/* Status byte. */
#define I8254_STATUS_OUT       BIT(7)
#define I8254_STATUS_NULL      BIT(6) /* the last count written is not in the counter yet */

enum i8254_rw {
    I8254_RW_LATCH, /* not an access mode: the counter latch command */
    I8254_RW_LSB,
    I8254_RW_MSB,
    I8254_RW_LSB_MSB,
};

enum i8254_mode {
    I8254_MODE_TERMINAL_COUNT = 0,
    I8254_MODE_ONE_SHOT = 1,
    I8254_MODE_RATE = 2,
    I8254_MODE_SQUARE = 3,
    I8254_MODE_SOFT_STROBE = 4,
    I8254_MODE_HARD_STROBE = 5,
};

/* A count and the tick at which it was (or will be) loaded. */
struct i8254_load {
    i64 tick;
    i64 count;
};

struct i8254_channel {
    u8 mode; /* enum i8254_mode */
    u8 rw;   /* enum i8254_rw */
    bool bcd;
    bool programmed; /* a control word was written since power-on */
    bool waiting;    /* between a control word (or half a count) and the count: frozen at `held` */
    bool has_next;   /* modes 2 and 3: `next` takes over at tick `next_at` */
    bool write_msb;  /* the next write is the upper half */
    bool read_msb;   /* so for reads */
    bool count_latched;
    bool status_latched;
    u8 write_lsb;
    u8 status;
    u16 held;  /* as the data bus shows it */
    u16 latch; /* so */
    struct i8254_load now;
    struct i8254_load next;
    i64 next_at;
};

struct i8254 {
    struct device dev;
    struct irq irq;
    struct clock *clock;
    struct timer timer;

    struct i8254_state {
        struct i8254_channel channels[I8254_CHANNELS];
        bool irq_level;
        i64 edge; /* the tick of the rising edge that the timer waits for */
    } s;
};

/* The last edge of the input clock up to now. */
static i64 i8254_tick(const struct i8254 *pit)
{
    return (i64)((unsigned __int128)clock_ns(pit->clock) * I8254_HZ / I8254_NS_PER_S);
}

/* The first nanosecond of a tick. */
static u64 i8254_tick_ns(i64 tick)
{
    unsigned __int128 ns = (unsigned __int128)tick * I8254_NS_PER_S;

    return (u64)((ns + I8254_HZ - 1) / I8254_HZ);
}

static i64 i8254_channel_max(const struct i8254_channel *ch)
{
    return ch->bcd ? I8254_MAX_BCD : I8254_MAX_BINARY;
}

static bool i8254_channel_is_periodic(const struct i8254_channel *ch)
{
    return ch->mode == I8254_MODE_RATE || ch->mode == I8254_MODE_SQUARE;
}

static i64 i8254_from_bcd(u16 value)
{
    return (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15);
}

static u16 i8254_to_bcd(i64 value)
{
    return (u16)(value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10);
}

/* Ticks of a period of mode 3 during which OUT is high. */
static i64 i8254_square_high(i64 count)
{
    return (count + 1) / 2;
}

/* Ticks since the load; none before the load's own tick. */
static i64 i8254_channel_elapsed(const struct i8254_channel *ch, i64 tick)
{
    return MAX(tick - ch->now.tick, 0);
}

/* Let a new count of modes 2 and 3 take over when its time has come. */
static void i8254_channel_sync(struct i8254_channel *ch, i64 tick)
{
    if (!ch->has_next || tick < ch->next_at)
        return;
    ch->now = ch->next;
    ch->has_next = false;
}

/*
 * The counter in mode 3 goes by two from the even part of the count, twice per period ("MODE 3").
 */
static i64 i8254_channel_square_value(const struct i8254_channel *ch, i64 phase)
{
    i64 high = i8254_square_high(ch->now.count);

    return (ch->now.count & ~INT64_C(1)) - 2 * (phase < high ? phase : phase - high);
}

/* What the counting element shows at `tick`. */
static u16 i8254_channel_value(const struct i8254_channel *ch, i64 tick)
{
    i64 elapsed = i8254_channel_elapsed(ch, tick);
    i64 max = i8254_channel_max(ch);
    i64 value;

    if (ch->waiting)
        return ch->held;
    if (ch->mode == I8254_MODE_RATE)
        value = ch->now.count - elapsed % ch->now.count;
    else if (ch->mode == I8254_MODE_SQUARE)
        value = i8254_channel_square_value(ch, elapsed % ch->now.count);
    else
        value = (ch->now.count - elapsed) % max + max; /* after the count it goes on from the top */
    return ch->bcd ? i8254_to_bcd(value % max) : (u16)value;
}

static bool i8254_channel_out(const struct i8254_channel *ch, i64 tick)
{
    i64 elapsed = i8254_channel_elapsed(ch, tick);
    i64 count = ch->now.count;

    if (ch->waiting)
        return ch->mode != I8254_MODE_TERMINAL_COUNT;
    switch ((enum i8254_mode)ch->mode) {
    case I8254_MODE_TERMINAL_COUNT:
    case I8254_MODE_ONE_SHOT: return elapsed >= count;
    case I8254_MODE_RATE: return elapsed % count != count - 1;
    case I8254_MODE_SQUARE: return elapsed % count < i8254_square_high(count);
    case I8254_MODE_SOFT_STROBE:
    case I8254_MODE_HARD_STROBE: return elapsed != count;
    }
    return true;
}

/* The first period of `load` that begins after `tick`. */
static i64 i8254_next_period(const struct i8254_load *load, i64 tick)
{
    i64 elapsed = MAX(tick - load->tick, 0);

    return load->tick + (elapsed / load->count + 1) * load->count;
}

/* The first rising edge of OUT after `tick`, or -1 when there will be none. */
static i64 i8254_channel_next_edge(const struct i8254_channel *ch, i64 tick)
{
    i64 edge;

    if (ch->waiting)
        return -1;
    if (i8254_channel_is_periodic(ch)) {
        edge = i8254_next_period(&ch->now, tick);
        if (ch->has_next && ch->next_at < edge)
            edge = i8254_next_period(&ch->next, ch->next_at);
        return edge;
    }
    edge = ch->now.tick + ch->now.count;
    if (ch->mode == I8254_MODE_SOFT_STROBE || ch->mode == I8254_MODE_HARD_STROBE)
        edge++;
    return edge > tick ? edge : -1;
}

static void i8254_set_irq(struct i8254 *pit, bool level)
{
    if (level == pit->s.irq_level)
        return;
    pit->s.irq_level = level;
    irq_set(&pit->irq, level);
}

/* Have the timer wait for channel 0's first edge after `tick`. */
static void i8254_arm(struct i8254 *pit, i64 tick)
{
    const struct i8254_channel *ch = &pit->s.channels[0];
    u64 floor = i8254_channel_is_periodic(ch) ? clock_ns(pit->clock) + I8254_MIN_WAKE_NS : 0;

    pit->s.edge = ch->programmed ? i8254_channel_next_edge(ch, tick) : -1;
    if (pit->s.edge < 0)
        timer_cancel(&pit->timer);
    else
        timer_arm(&pit->timer, MAX(i8254_tick_ns(pit->s.edge), floor));
}

/* One edge for all that went by since the last: the 8259 would have latched no more. */
static void i8254_advance(struct i8254 *pit, i64 tick)
{
    i8254_channel_sync(&pit->s.channels[0], tick);
    if (pit->s.edge < 0 || tick < pit->s.edge)
        return;
    i8254_set_irq(pit, false);
    i8254_set_irq(pit, true);
    i8254_arm(pit, tick);
}

/*
 * Channel 0 was programmed. A running periodic counter keeps its level, the others show OUT at
 * once.
 */
static void i8254_restart(struct i8254 *pit, i64 tick)
{
    const struct i8254_channel *ch = &pit->s.channels[0];

    if (ch->waiting || !i8254_channel_is_periodic(ch))
        i8254_set_irq(pit, i8254_channel_out(ch, tick));
    i8254_arm(pit, tick);
}

static void i8254_channel_latch_count(struct i8254_channel *ch, i64 tick)
{
    if (ch->count_latched)
        return;
    ch->latch = i8254_channel_value(ch, tick);
    ch->count_latched = true;
}

static void i8254_channel_latch_status(struct i8254_channel *ch, i64 tick)
{
    bool null = ch->waiting || ch->has_next || tick < ch->now.tick;

    if (ch->status_latched)
        return;
    ch->status = (u8)((i8254_channel_out(ch, tick) ? I8254_STATUS_OUT : 0) |
                      (null ? I8254_STATUS_NULL : 0) | FIELD_SET(I8254_CW_RW, (unsigned)ch->rw) |
                      FIELD_SET(I8254_CW_MODE, (unsigned)ch->mode) | (ch->bcd ? I8254_CW_BCD : 0));
    ch->status_latched = true;
}

/* The half of the counter that the access mode is at. */
static u8 i8254_channel_read_half(struct i8254_channel *ch, u16 value)
{
    bool msb = ch->rw == I8254_RW_MSB || (ch->rw == I8254_RW_LSB_MSB && ch->read_msb);

    if (ch->rw == I8254_RW_LSB_MSB)
        ch->read_msb = !ch->read_msb;
    return (u8)(msb ? value >> 8 : value);
}

/*
 * A latched status comes first, then a latched count, then the counter as it runs ("Read-back
 * command").
 */
static u8 i8254_channel_read(struct i8254_channel *ch, i64 tick)
{
    u8 byte;

    if (ch->status_latched) {
        ch->status_latched = false;
        return ch->status;
    }
    byte =
        i8254_channel_read_half(ch, ch->count_latched ? ch->latch : i8254_channel_value(ch, tick));
    if (!ch->read_msb)
        ch->count_latched = false;
    return byte;
}

static u64 i8254_read(void *opaque, u64 offset, unsigned size)
{
    struct i8254 *pit = opaque;
    i64 tick = i8254_tick(pit);

    (void)size;
    if (offset == I8254_CONTROL)
        return 0;
    i8254_channel_sync(&pit->s.channels[offset], tick);
    return i8254_channel_read(&pit->s.channels[offset], tick);
}

/*
 * A running periodic counter ends what it does before it takes a new count: mode 2 the period, mode
 * 3 the half period ("MODE 2", "MODE 3"). A count that takes over in the middle of a square wave
 * starts with its low half, as if it had been loaded before that by its own high half.
 */
static void i8254_channel_load_next(struct i8254_channel *ch, i64 count, i64 tick)
{
    i64 period = i8254_next_period(&ch->now, tick);
    i64 half = period - ch->now.count + i8254_square_high(ch->now.count);

    ch->next_at = period;
    ch->next = (struct i8254_load){ period, count };
    ch->has_next = true;
    if (ch->mode == I8254_MODE_SQUARE && tick < half) {
        ch->next_at = half;
        ch->next.tick = half - i8254_square_high(count);
    }
}

/*
 * A whole count was written. It enters the counter with the next edge of the clock ("Write
 * operations").
 */
static void i8254_channel_load(struct i8254_channel *ch, u16 written, i64 tick)
{
    i64 count = ch->bcd ? i8254_from_bcd(written) : written;

    if (!count)
        count = i8254_channel_max(ch);
    if (i8254_channel_is_periodic(ch) && count == 1)
        count = 2; /* 1 is illegal there ("Minimum and maximum initial counts") */
    if (i8254_channel_is_periodic(ch) && !ch->waiting) {
        i8254_channel_load_next(ch, count, tick);
        return;
    }
    ch->now = (struct i8254_load){ tick + 1, count };
    ch->waiting = false;
}

/* The first half of a count stops a counter in mode 0 and takes its OUT low ("MODE 0"). */
static void i8254_channel_write_first(struct i8254_channel *ch, u8 value, i64 tick)
{
    ch->write_lsb = value;
    ch->write_msb = true;
    if (ch->mode == I8254_MODE_TERMINAL_COUNT) {
        ch->held = i8254_channel_value(ch, tick);
        ch->waiting = true;
    }
}

static void i8254_channel_write(struct i8254_channel *ch, u8 value, i64 tick)
{
    switch ((enum i8254_rw)ch->rw) {
    case I8254_RW_LATCH: break;
    case I8254_RW_LSB: i8254_channel_load(ch, value, tick); break;
    case I8254_RW_MSB: i8254_channel_load(ch, (u16)(value << 8), tick); break;
    case I8254_RW_LSB_MSB:
        if (!ch->write_msb) {
            i8254_channel_write_first(ch, value, tick);
            break;
        }
        ch->write_msb = false;
        i8254_channel_load(ch, (u16)(value << 8 | ch->write_lsb), tick);
        break;
    }
}

static void i8254_read_back(struct i8254 *pit, u8 value, i64 tick)
{
    for (unsigned n = 0; n < I8254_CHANNELS; n++) {
        struct i8254_channel *ch = &pit->s.channels[n];

        if (!(value & I8254_READ_BACK_FIRST << n))
            continue;
        i8254_channel_sync(ch, tick);
        if (!(value & I8254_READ_BACK_COUNT))
            i8254_channel_latch_count(ch, tick);
        if (!(value & I8254_READ_BACK_STATUS))
            i8254_channel_latch_status(ch, tick);
    }
}

/*
 * A control word stops the counter until a count comes. Modes 6 and 7 are 2 and 3 ("Control word
 * format").
 */
static void i8254_channel_program(struct i8254_channel *ch, u8 value, i64 tick)
{
    u8 mode = FIELD_GET(I8254_CW_MODE, value);

    *ch = (struct i8254_channel){
        .mode = mode > I8254_MODE_HARD_STROBE ? mode - 4 : mode,
        .rw = FIELD_GET(I8254_CW_RW, value),
        .bcd = value & I8254_CW_BCD,
        .programmed = true,
        .waiting = true,
        .held = i8254_channel_value(ch, tick),
        .now = ch->now,
    };
}

static void i8254_write_control(struct i8254 *pit, u8 value, i64 tick)
{
    unsigned n = FIELD_GET(I8254_CW_SC, value);
    struct i8254_channel *ch;

    if (n == I8254_SC_READ_BACK) {
        i8254_read_back(pit, value, tick);
        return;
    }
    ch = &pit->s.channels[n];
    i8254_channel_sync(ch, tick);
    if (FIELD_GET(I8254_CW_RW, value) == I8254_RW_LATCH) {
        i8254_channel_latch_count(ch, tick);
        return;
    }
    i8254_channel_program(ch, value, tick);
    if (n == 0)
        i8254_restart(pit, tick);
}

static void i8254_write_counter(struct i8254 *pit, unsigned n, u8 value, i64 tick)
{
    struct i8254_channel *ch = &pit->s.channels[n];

    i8254_channel_sync(ch, tick);
    i8254_channel_write(ch, value, tick);
    if (n == 0)
        i8254_restart(pit, tick);
}

static void i8254_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct i8254 *pit = opaque;
    i64 tick = i8254_tick(pit);

    (void)size;
    i8254_advance(pit, tick);
    if (offset == I8254_CONTROL)
        i8254_write_control(pit, (u8)value, tick);
    else
        i8254_write_counter(pit, (unsigned)offset, (u8)value, tick);
}

static void i8254_timer(void *arg)
{
    struct i8254 *pit = arg;
    i64 tick = i8254_tick(pit);

    i8254_advance(pit, tick);
    i8254_arm(pit, tick);
}

/*
 * The data sheet leaves all undefined; we start as a PC's firmware does, with full counts in mode
 * 3.
 */
static void i8254_reset(struct device *dev)
{
    struct i8254 *pit = container_of(dev, struct i8254, dev);
    i64 tick = i8254_tick(pit);

    for (unsigned n = 0; n < I8254_CHANNELS; n++)
        pit->s.channels[n] = (struct i8254_channel){
            .mode = I8254_MODE_SQUARE,
            .rw = I8254_RW_LSB_MSB,
            .now = { tick, I8254_MAX_BINARY },
        };
    i8254_set_irq(pit, false);
    i8254_arm(pit, tick);
}

static void i8254_free(struct device *dev)
{
    struct i8254 *pit = container_of(dev, struct i8254, dev);

    timer_cancel(&pit->timer);
    pthread_mutex_destroy(&dev->lock);
    free(pit);
}

static const struct device_ops i8254_device_ops = { .reset = i8254_reset, .free = i8254_free };

const struct region_ops i8254_ops = {
    .read = i8254_read,
    .write = i8254_write,
    .sizes = BUS_SIZE_1,
    .split = true,
};

struct i8254 *i8254_new(struct irq irq, struct clock *clock, struct loop *loop)
{
    struct i8254 *pit = xcalloc(1, sizeof(*pit));

    device_init(&pit->dev, "i8254", &i8254_device_ops);
    pit->irq = irq;
    pit->clock = clock;
    timer_init(&pit->timer, loop, &pit->dev.lock, i8254_timer, pit);
    i8254_reset(&pit->dev);
    return pit;
}

struct device *i8254_device(struct i8254 *pit)
{
    return &pit->dev;
}
