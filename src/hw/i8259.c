/* SPDX-License-Identifier: MIT */
/*
 * The pair of 8259A programmable interrupt controllers.
 *
 * Source: Intel 8259A data sheet (order number 231468); the edge/level control registers are those
 * of the 82371 (PIIX) data sheet, 4.1.4.
 *
 * NOT EMULATED: 8080/8085 mode (the vector is always the 8086's byte), buffered mode, and
 * ICW1.LTIM, which the edge/level registers replace. ICW3 is taken and has no effect: the cascade
 * is soldered to input 2.
 */
#include "hw/i8259.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"

/* Initialisation command word 1, written to the command port. */
#define ICW1_IC4               BIT(0) /* ICW4 follows */
#define ICW1_SNGL              BIT(1) /* no cascade: ICW3 does not follow */
#define ICW1_SELECT            BIT(4)

#define ICW2_VECTOR            0xF8u

#define ICW4_AEOI              BIT(1)
#define ICW4_SFNM              BIT(4)

/* Operation command words 2 and 3, written to the command port, told apart by bit 3. */
#define OCW2_LEVEL             0x07u
#define OCW2_COMMAND           0xE0u
#define OCW3_SELECT            BIT(3)
#define OCW3_RIS               BIT(0)
#define OCW3_RR                BIT(1)
#define OCW3_POLL              BIT(2)
#define OCW3_SMM               BIT(5)
#define OCW3_ESMM              BIT(6)

#define I8259_POLL_INTERRUPT   BIT(7)

#define I8259_CASCADE          2u
#define I8259_SPURIOUS         7u
#define I8259_CHIP_INPUTS      8u
#define I8259_ELCR_MASK_MASTER 0xF8u /* inputs 0-2 are always edge triggered */
#define I8259_ELCR_MASK_SLAVE  0xDEu /* so are 8 and 13 */

/* The OCW2 commands: bits R, SL and EOI. */
enum ocw2_command {
    OCW2_ROTATE_AEOI_CLEAR = 0,
    OCW2_EOI = 1,
    OCW2_NOP = 2,
    OCW2_SPECIFIC_EOI = 3,
    OCW2_ROTATE_AEOI_SET = 4,
    OCW2_ROTATE_EOI = 5,
    OCW2_SET_PRIORITY = 6,
    OCW2_ROTATE_SPECIFIC_EOI = 7,
};

/* What the next write to the data port is. */
enum i8259_expect {
    I8259_EXPECT_OCW1,
    I8259_EXPECT_ICW2,
    I8259_EXPECT_ICW3,
    I8259_EXPECT_ICW4,
};

struct i8259_chip {
    u8 cascade; /* the input with another chip behind it, as a bit */
    u8 lines;   /* levels of the inputs */
    u8 edges;   /* rising edges that wait for an acknowledge, of edge-triggered inputs */
    u8 imr;
    u8 isr;
    u8 elcr;   /* 1: level triggered */
    u8 icw2;   /* vector of input 0 */
    u8 lowest; /* input of lowest priority */
    u8 expect; /* enum i8259_expect */
    bool icw1_sngl;
    bool icw1_ic4;
    bool auto_eoi;
    bool rotate_on_aeoi;
    bool special_mask;
    bool special_fully_nested;
    bool read_isr; /* what the command port reads: ISR, else IRR */
    bool poll;     /* the next read is an acknowledge */
};

struct i8259 {
    struct device dev;
    struct irq intr;

    struct i8259_state {
        struct i8259_chip master;
        struct i8259_chip slave;
        bool intr_level;
    } s;
};

static u8 i8259_chip_irr(const struct i8259_chip *chip)
{
    return (u8)((chip->edges & ~chip->elcr) | (chip->lines & chip->elcr));
}

/* The set input of highest priority, or -1. */
static int i8259_chip_highest(const struct i8259_chip *chip, u8 inputs)
{
    for (unsigned i = 1; i <= I8259_CHIP_INPUTS; i++) {
        unsigned n = (chip->lowest + i) % I8259_CHIP_INPUTS;

        if (inputs & BIT(n))
            return (int)n;
    }
    return -1;
}

/* Priority of input `n`, 0 the highest; 8 for -1, which is lower than all. */
static unsigned i8259_chip_rank(const struct i8259_chip *chip, int n)
{
    return n < 0 ? I8259_CHIP_INPUTS : ((unsigned)n - chip->lowest - 1) % I8259_CHIP_INPUTS;
}

/* In-service bits that hold lower priorities back. */
static u8 i8259_chip_inhibiting(const struct i8259_chip *chip)
{
    u8 isr = chip->isr;

    if (chip->special_mask)
        isr &= (u8)~chip->imr;
    if (chip->special_fully_nested)
        isr &= (u8)~chip->cascade;
    return isr;
}

/* The input that drives the chip's INT output, or -1 when the output is low. */
static int i8259_chip_request(const struct i8259_chip *chip)
{
    int n = i8259_chip_highest(chip, i8259_chip_irr(chip) & (u8)~chip->imr);
    int served = i8259_chip_highest(chip, i8259_chip_inhibiting(chip));

    return i8259_chip_rank(chip, n) < i8259_chip_rank(chip, served) ? n : -1;
}

/*
 * An edge is latched until the acknowledge, and lost when the line falls before (data sheet, "IR
 * triggering").
 */
static void i8259_chip_set_line(struct i8259_chip *chip, unsigned n, bool level)
{
    u8 bit = (u8)BIT(n);

    if (!level) {
        chip->lines &= (u8)~bit;
        chip->edges &= (u8)~bit;
    } else if (!(chip->lines & bit)) {
        chip->lines |= bit;
        chip->edges |= bit;
    }
}

/* Acknowledge: the request moves into service, or is over at once with automatic EOI. */
static void i8259_chip_accept(struct i8259_chip *chip, unsigned n)
{
    chip->edges &= (u8)~BIT(n);
    if (!chip->auto_eoi)
        chip->isr |= (u8)BIT(n);
    else if (chip->rotate_on_aeoi)
        chip->lowest = (u8)n;
}

/* Let every output follow its chip's state; the end of each entry point. */
static void i8259_update(struct i8259 *pic)
{
    bool level;

    i8259_chip_set_line(&pic->s.master, I8259_CASCADE, i8259_chip_request(&pic->s.slave) >= 0);
    level = i8259_chip_request(&pic->s.master) >= 0;
    if (level != pic->s.intr_level) {
        pic->s.intr_level = level;
        irq_set(&pic->intr, level);
    }
}

/* A chip's INT output falls at its acknowledge, so that what still waits makes a new edge. */
static int i8259_chip_acknowledge(struct i8259 *pic, struct i8259_chip *chip)
{
    int n = i8259_chip_request(chip);

    if (n >= 0)
        i8259_chip_accept(chip, (unsigned)n);
    if (chip == &pic->s.slave) {
        i8259_chip_set_line(&pic->s.master, I8259_CASCADE, false);
    } else if (pic->s.intr_level) {
        pic->s.intr_level = false;
        irq_set(&pic->intr, false);
    }
    return n;
}

static void i8259_chip_icw1(struct i8259_chip *chip, u8 value)
{
    *chip = (struct i8259_chip){
        .cascade = chip->cascade,
        .lines = chip->lines,
        .elcr = chip->elcr,
        .icw2 = chip->icw2,
        .lowest = I8259_CHIP_INPUTS - 1,
        .expect = I8259_EXPECT_ICW2,
        .icw1_sngl = value & ICW1_SNGL,
        .icw1_ic4 = value & ICW1_IC4,
    };
}

/*
 * In special mask mode a masked in-service bit is not the one that the EOI means (data sheet, "EOI
 * command").
 */
static void i8259_chip_eoi(struct i8259_chip *chip, bool rotate)
{
    int n = i8259_chip_highest(chip, chip->special_mask ? chip->isr & (u8)~chip->imr : chip->isr);

    if (n < 0)
        return;
    chip->isr &= (u8)~BIT(n);
    if (rotate)
        chip->lowest = (u8)n;
}

static void i8259_chip_ocw2(struct i8259_chip *chip, u8 value)
{
    u8 n = value & OCW2_LEVEL;

    switch ((enum ocw2_command)FIELD_GET(OCW2_COMMAND, value)) {
    case OCW2_ROTATE_AEOI_CLEAR: chip->rotate_on_aeoi = false; break;
    case OCW2_EOI: i8259_chip_eoi(chip, false); break;
    case OCW2_NOP: break;
    case OCW2_SPECIFIC_EOI: chip->isr &= (u8)~BIT(n); break;
    case OCW2_ROTATE_AEOI_SET: chip->rotate_on_aeoi = true; break;
    case OCW2_ROTATE_EOI: i8259_chip_eoi(chip, true); break;
    case OCW2_SET_PRIORITY: chip->lowest = n; break;
    case OCW2_ROTATE_SPECIFIC_EOI:
        chip->isr &= (u8)~BIT(n);
        chip->lowest = n;
        break;
    }
}

static void i8259_chip_ocw3(struct i8259_chip *chip, u8 value)
{
    chip->poll = value & OCW3_POLL;
    if (value & OCW3_RR)
        chip->read_isr = value & OCW3_RIS;
    if (value & OCW3_ESMM)
        chip->special_mask = value & OCW3_SMM;
}

static void i8259_chip_write_command(struct i8259_chip *chip, u8 value)
{
    if (value & ICW1_SELECT)
        i8259_chip_icw1(chip, value);
    else if (value & OCW3_SELECT)
        i8259_chip_ocw3(chip, value);
    else
        i8259_chip_ocw2(chip, value);
}

static void i8259_chip_icw4(struct i8259_chip *chip, u8 value)
{
    chip->expect = I8259_EXPECT_OCW1;
    chip->auto_eoi = value & ICW4_AEOI;
    chip->special_fully_nested = value & ICW4_SFNM;
}

static void i8259_chip_write_data(struct i8259_chip *chip, u8 value)
{
    u8 after_icw3 = chip->icw1_ic4 ? I8259_EXPECT_ICW4 : I8259_EXPECT_OCW1;

    switch ((enum i8259_expect)chip->expect) {
    case I8259_EXPECT_OCW1: chip->imr = value; break;
    case I8259_EXPECT_ICW2:
        chip->icw2 = value & ICW2_VECTOR;
        chip->expect = chip->icw1_sngl ? after_icw3 : I8259_EXPECT_ICW3;
        break;
    case I8259_EXPECT_ICW3: chip->expect = after_icw3; break;
    case I8259_EXPECT_ICW4: i8259_chip_icw4(chip, value); break;
    }
}

/* The poll word: bit 7 and the input, or 0 when nothing requests (data sheet, "Poll command"). */
static u8 i8259_chip_poll(struct i8259 *pic, struct i8259_chip *chip)
{
    int n;

    chip->poll = false;
    n = i8259_chip_acknowledge(pic, chip);
    i8259_update(pic);
    return n < 0 ? 0 : (u8)(I8259_POLL_INTERRUPT | (unsigned)n);
}

static u64 i8259_chip_read(struct i8259 *pic, struct i8259_chip *chip, u64 offset)
{
    if (chip->poll)
        return i8259_chip_poll(pic, chip);
    if (offset)
        return chip->imr;
    return chip->read_isr ? chip->isr : i8259_chip_irr(chip);
}

static void i8259_chip_write(struct i8259 *pic, struct i8259_chip *chip, u64 offset, u8 value)
{
    if (offset)
        i8259_chip_write_data(chip, value);
    else
        i8259_chip_write_command(chip, value);
    i8259_update(pic);
}

static u64 i8259_master_read(void *opaque, u64 offset, unsigned size)
{
    struct i8259 *pic = opaque;

    (void)size;
    return i8259_chip_read(pic, &pic->s.master, offset);
}

static void i8259_master_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct i8259 *pic = opaque;

    (void)size;
    i8259_chip_write(pic, &pic->s.master, offset, (u8)value);
}

static u64 i8259_slave_read(void *opaque, u64 offset, unsigned size)
{
    struct i8259 *pic = opaque;

    (void)size;
    return i8259_chip_read(pic, &pic->s.slave, offset);
}

static void i8259_slave_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct i8259 *pic = opaque;

    (void)size;
    i8259_chip_write(pic, &pic->s.slave, offset, (u8)value);
}

static u64 i8259_elcr_read(void *opaque, u64 offset, unsigned size)
{
    struct i8259 *pic = opaque;

    (void)size;
    return offset ? pic->s.slave.elcr : pic->s.master.elcr;
}

static void i8259_elcr_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct i8259 *pic = opaque;

    (void)size;
    if (offset)
        pic->s.slave.elcr = value & I8259_ELCR_MASK_SLAVE;
    else
        pic->s.master.elcr = value & I8259_ELCR_MASK_MASTER;
    i8259_update(pic);
}

void i8259_set_irq(void *sink, unsigned n, bool level)
{
    struct i8259 *pic = sink;

    assert(n < I8259_INPUTS);
    if (n == I8259_CASCADE)
        return;
    pthread_mutex_lock(&pic->dev.lock);
    if (n < I8259_CHIP_INPUTS)
        i8259_chip_set_line(&pic->s.master, n, level);
    else
        i8259_chip_set_line(&pic->s.slave, n - I8259_CHIP_INPUTS, level);
    i8259_update(pic);
    pthread_mutex_unlock(&pic->dev.lock);
}

bool i8259_pending(void *opaque)
{
    struct i8259 *pic = opaque;
    bool level;

    pthread_mutex_lock(&pic->dev.lock);
    level = pic->s.intr_level;
    pthread_mutex_unlock(&pic->dev.lock);
    return level;
}

/*
 * A chip that is asked without a request answers as for input 7 and takes nothing into service
 * (data sheet, "Interrupt sequence"). It is always the master: a slave's request that goes away takes the
 * master's input 2 with it at once.
 */
static u8 i8259_ack_locked(struct i8259 *pic)
{
    struct i8259_chip *chip = &pic->s.master;
    int n = i8259_chip_acknowledge(pic, chip);

    if (n == (int)I8259_CASCADE) {
        chip = &pic->s.slave;
        n = i8259_chip_acknowledge(pic, chip);
    }
    return (u8)(chip->icw2 + (n < 0 ? I8259_SPURIOUS : (unsigned)n));
}

int i8259_ack(void *opaque)
{
    struct i8259 *pic = opaque;
    u8 vector;

    pthread_mutex_lock(&pic->dev.lock);
    vector = i8259_ack_locked(pic);
    i8259_update(pic);
    pthread_mutex_unlock(&pic->dev.lock);
    LOG(LOG_INT, "i8259: vector %#04x acknowledged", vector);
    return vector;
}

/* The lines are wires from outside: a reset does not move them. */
static void i8259_chip_reset(struct i8259_chip *chip, u8 cascade)
{
    *chip = (struct i8259_chip){
        .cascade = cascade,
        .lines = chip->lines,
        .lowest = I8259_CHIP_INPUTS - 1,
    };
}

static void i8259_reset(struct device *dev)
{
    struct i8259 *pic = container_of(dev, struct i8259, dev);

    i8259_chip_reset(&pic->s.slave, 0);
    i8259_chip_reset(&pic->s.master, BIT(I8259_CASCADE));
    i8259_chip_set_line(&pic->s.master, I8259_CASCADE, false);
    i8259_update(pic);
}

static void i8259_free(struct device *dev)
{
    struct i8259 *pic = container_of(dev, struct i8259, dev);

    pthread_mutex_destroy(&dev->lock);
    free(pic);
}

static const struct device_ops i8259_device_ops = { .reset = i8259_reset, .free = i8259_free };

const struct region_ops i8259_master_ops = {
    .read = i8259_master_read,
    .write = i8259_master_write,
    .sizes = BUS_SIZE_1,
    .split = true,
};

const struct region_ops i8259_slave_ops = {
    .read = i8259_slave_read,
    .write = i8259_slave_write,
    .sizes = BUS_SIZE_1,
    .split = true,
};

const struct region_ops i8259_elcr_ops = {
    .read = i8259_elcr_read,
    .write = i8259_elcr_write,
    .sizes = BUS_SIZE_1,
    .split = true,
};

struct i8259 *i8259_new(struct irq intr)
{
    struct i8259 *pic = xcalloc(1, sizeof(*pic));

    device_init(&pic->dev, "i8259", &i8259_device_ops);
    pic->intr = intr;
    i8259_reset(&pic->dev);
    return pic;
}

struct device *i8259_device(struct i8259 *pic)
{
    return &pic->dev;
}
