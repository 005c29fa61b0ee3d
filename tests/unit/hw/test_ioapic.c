/* SPDX-License-Identifier: MIT */
/* The I/O APIC: registers, edges and levels, EOIs from LAPICs and by register. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/bits.h"
#include "hw/ioapic.h"
#include "unit/fakes/fake_apic_cpus.h"

#define REGSEL     0x00
#define WIN        0x10
#define EOI        0x40

#define LEVEL      BIT(15)
#define MASKED     BIT(16)
#define REMOTE_IRR BIT(14)
#define LOGICAL    BIT(11)

struct env {
    struct fake_cpus *cpus;
    struct ioapic *io;
};

static struct ioapic *env_ioapic(struct fake_cpus *cpus, u8 id, bool irq0_to_pin2)
{
    struct ioapic_config config = {
        .bus = &cpus->bus,
        .clock = &cpus->clock,
        .loop = cpus->loop,
        .id = id,
        .irq0_to_pin2 = irq0_to_pin2,
    };

    return ioapic_new(&config);
}

static int setup(void **state)
{
    struct env *env = calloc(1, sizeof(*env));

    env->cpus = fake_cpus_new(2);
    apic_enable_all(env->cpus);
    env->io = env_ioapic(env->cpus, 0, true);
    *state = env;
    return 0;
}

static void ioapic_done(struct ioapic *io)
{
    struct device *dev = ioapic_device(io);

    dev->ops->free(dev);
}

static int teardown(void **state)
{
    struct env *env = *state;

    ioapic_done(env->io);
    fake_cpus_free(env->cpus);
    free(env);
    return 0;
}

/* Accesses as the bus makes them: with the device's lock held. */
static u64 io_read(struct ioapic *io, u64 offset, unsigned size)
{
    struct device *dev = ioapic_device(io);
    u64 value;

    pthread_mutex_lock(&dev->lock);
    value = ioapic_ops.read(io, offset, size);
    pthread_mutex_unlock(&dev->lock);
    return value;
}

static void io_write(struct ioapic *io, u64 offset, unsigned size, u64 value)
{
    struct device *dev = ioapic_device(io);

    pthread_mutex_lock(&dev->lock);
    ioapic_ops.write(io, offset, size, value);
    pthread_mutex_unlock(&dev->lock);
}

static u32 reg_read(struct ioapic *io, u8 index)
{
    io_write(io, REGSEL, 4, index);
    return (u32)io_read(io, WIN, 4);
}

static void reg_write(struct ioapic *io, u8 index, u32 value)
{
    io_write(io, REGSEL, 4, index);
    io_write(io, WIN, 4, value);
}

/* The entry of `pin`: its low half, to APIC `dest`. */
static void route(struct env *env, unsigned pin, u32 low, u8 dest)
{
    reg_write(env->io, (u8)(0x11 + 2 * pin), (u32)dest << 24);
    reg_write(env->io, (u8)(0x10 + 2 * pin), low);
}

static u32 low_half(struct env *env, unsigned pin)
{
    return reg_read(env->io, (u8)(0x10 + 2 * pin));
}

static void line(struct env *env, unsigned pin, bool level)
{
    ioapic_set_irq(env->io, pin, level);
}

static int take(struct env *env, unsigned n)
{
    apic_requests(env->cpus, n);
    return apic_ack(env->cpus, n);
}

/* ---- Registers ---- */

static void registers_after_reset(void **state)
{
    struct env *env = *state;

    assert_int_equal(io_read(env->io, REGSEL, 4), 0);
    assert_int_equal(reg_read(env->io, 0), 0);
    assert_int_equal(reg_read(env->io, 1), 0x00170020);
    assert_int_equal(reg_read(env->io, 2), 0);
    for (u8 i = 0; i < 48; i++)
        assert_int_equal(reg_read(env->io, (u8)(0x10 + i)), i % 2 ? 0 : MASKED);
    for (unsigned i = 0x40; i < 0x100; i++)
        assert_int_equal(reg_read(env->io, (u8)i), 0);
}

static void id_has_four_bits_and_shows_as_arbitration_id(void **state)
{
    struct env *env = *state;

    reg_write(env->io, 0, 0xFFFFFFFF);
    assert_int_equal(reg_read(env->io, 0), 0x0F000000);
    assert_int_equal(reg_read(env->io, 2), 0x0F000000);
    reg_write(env->io, 1, 0);
    reg_write(env->io, 2, 0);
    reg_write(env->io, 3, 0);
    assert_int_equal(reg_read(env->io, 1), 0x00170020);
    assert_int_equal(reg_read(env->io, 2), 0x0F000000);
}

static void entries_keep_only_writable_bits(void **state)
{
    struct env *env = *state;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        route(env, pin, 0xFFFFFFFF, 0xFF);
        assert_int_equal(low_half(env, pin), 0x1AFFF);
        assert_int_equal(reg_read(env->io, (u8)(0x11 + 2 * pin)), 0xFF000000);
    }
}

static void access_sizes(void **state)
{
    struct env *env = *state;

    io_write(env->io, REGSEL, 1, 0x01);
    assert_int_equal(io_read(env->io, REGSEL, 1), 1);
    assert_int_equal(io_read(env->io, WIN, 4), 0x00170020);
    assert_int_equal(io_read(env->io, WIN, 1), 0);
    assert_int_equal(io_read(env->io, WIN, 2), 0);
    io_write(env->io, REGSEL, 2, 0x1210);
    assert_int_equal(io_read(env->io, REGSEL, 4), 0x10);
    io_write(env->io, WIN, 1, 0x33);
    io_write(env->io, WIN, 2, 0x33);
    assert_int_equal(low_half(env, 0), MASKED);
    io_write(env->io, 0x300, 4, 0x01); /* bits above 7 do not count */
    assert_int_equal(io_read(env->io, 0xF10, 4), 0x00170020);
    assert_int_equal(io_read(env->io, 0x04, 4), 0);
    assert_int_equal(io_read(env->io, EOI, 4), 0);
    io_write(env->io, 0x20, 4, 0xFF);
    assert_int_equal(ioapic_ops.sizes, BUS_SIZE_1 | BUS_SIZE_2 | BUS_SIZE_4);
    assert_true(ioapic_ops.split);
}

static void reset_keeps_the_wires_and_the_given_id(void **state)
{
    struct env *env = *state;
    struct device *dev = ioapic_device(env->io);

    route(env, 5, LEVEL | 0x55, 0);
    line(env, 6, true);
    reg_write(env->io, 0, 0x05000000);
    dev->ops->reset(dev);
    assert_int_equal(reg_read(env->io, 0), 0);
    assert_int_equal(low_half(env, 5), MASKED);
    assert_int_equal(take(env, 0), -1);
    route(env, 6, LEVEL | 0x66, 0); /* the device behind it still drives */
    assert_int_equal(take(env, 0), 0x66);
}

/* ---- Edges ---- */

static void each_rising_edge_is_one_message(void **state)
{
    struct env *env = *state;

    route(env, 4, 0x34, 1);
    line(env, 4, true);
    assert_int_equal(take(env, 1), 0x34);
    assert_int_equal(take(env, 0), -1);
    apic_eoi(env->cpus, 1);
    assert_int_equal(take(env, 1), -1);
    line(env, 4, true); /* no edge */
    assert_int_equal(take(env, 1), -1);
    line(env, 4, false);
    assert_int_equal(take(env, 1), -1);
    line(env, 4, true);
    assert_int_equal(take(env, 1), 0x34);
    assert_int_equal(low_half(env, 4), 0x34);
}

static void a_masked_edge_is_lost(void **state)
{
    struct env *env = *state;

    route(env, 4, MASKED | 0x34, 0);
    line(env, 4, true);
    route(env, 4, 0x34, 0);
    assert_int_equal(take(env, 0), -1);
    line(env, 4, false);
    line(env, 4, true);
    assert_int_equal(take(env, 0), 0x34);
}

static void irq0_drives_pin_2_of_the_first_ioapic_only(void **state)
{
    struct env *env = *state;
    struct ioapic *second = env_ioapic(env->cpus, 1, false);

    route(env, 0, 0x30, 0);
    route(env, 2, 0x32, 0);
    line(env, 0, true);
    assert_int_equal(take(env, 0), 0x32);
    assert_int_equal(take(env, 0), -1);
    apic_eoi(env->cpus, 0);
    reg_write(second, 0x10, 0x40);
    ioapic_set_irq(second, 0, true);
    assert_int_equal(take(env, 0), 0x40);
    assert_int_equal(reg_read(second, 0), 0x01000000);
    ioapic_done(second);
}

static void all_pins_have_their_own_entry(void **state)
{
    struct env *env = *state;

    for (unsigned pin = 1; pin < IOAPIC_PINS; pin++)
        route(env, pin, 0x40 + pin, 0);
    for (unsigned pin = 1; pin < IOAPIC_PINS; pin++) {
        line(env, pin, true);
        assert_int_equal(take(env, 0), 0x40 + pin);
        apic_eoi(env->cpus, 0);
    }
}

/* ---- Levels ---- */

static void a_level_is_sent_once_until_its_eoi(void **state)
{
    struct env *env = *state;

    route(env, 16, LEVEL | 0x50, 0);
    line(env, 16, true);
    assert_int_equal(low_half(env, 16), LEVEL | REMOTE_IRR | 0x50);
    assert_int_equal(take(env, 0), 0x50);
    line(env, 16, false);
    line(env, 16, true);
    apic_requests(env->cpus, 0);
    line(env, 16, false);
    apic_eoi(env->cpus, 0);
    assert_int_equal(low_half(env, 16), LEVEL | 0x50);
    assert_int_equal(take(env, 0), -1);
}

static void a_level_that_stays_high_comes_again_at_eoi(void **state)
{
    struct env *env = *state;

    route(env, 16, LEVEL | 0x50, 0);
    line(env, 16, true);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(take(env, 0), 0x50);
        apic_eoi(env->cpus, 0);
        assert_int_equal(env->cpus->vcpu[0].requests, VCPU_REQ_INTR);
    }
    line(env, 16, false); /* too late for the one in the IRR */
    assert_int_equal(take(env, 0), 0x50);
    apic_eoi(env->cpus, 0);
    assert_int_equal(take(env, 0), -1);
}

static void unmasking_a_high_level_delivers_at_once(void **state)
{
    struct env *env = *state;

    route(env, 16, MASKED | LEVEL | 0x50, 0);
    line(env, 16, true);
    assert_int_equal(take(env, 0), -1);
    route(env, 16, LEVEL | 0x50, 0);
    assert_int_equal(take(env, 0), 0x50);
}

static void masked_at_eoi_waits_for_the_unmasking(void **state)
{
    struct env *env = *state;

    route(env, 16, LEVEL | 0x50, 0);
    line(env, 16, true);
    take(env, 0);
    route(env, 16, MASKED | LEVEL | 0x50, 0);
    assert_int_equal(low_half(env, 16), MASKED | LEVEL | REMOTE_IRR | 0x50);
    apic_eoi(env->cpus, 0);
    assert_int_equal(low_half(env, 16), MASKED | LEVEL | 0x50);
    assert_int_equal(take(env, 0), -1);
    route(env, 16, LEVEL | 0x50, 0);
    assert_int_equal(take(env, 0), 0x50);
}

static void edge_then_level_is_an_eoi_by_software(void **state)
{
    struct env *env = *state;

    route(env, 16, LEVEL | 0x50, 0);
    line(env, 16, true);
    take(env, 0);
    route(env, 16, MASKED | 0x50, 0);
    assert_int_equal(low_half(env, 16), MASKED | 0x50);
    route(env, 16, LEVEL | 0x50, 0);
    assert_int_equal(low_half(env, 16), LEVEL | REMOTE_IRR | 0x50);
    apic_eoi(env->cpus, 0);
    assert_int_equal(take(env, 0), 0x50);
}

static void eoi_register_ends_levels(void **state)
{
    struct env *env = *state;

    route(env, 16, LEVEL | 0x50, 0);
    line(env, 16, true);
    line(env, 16, false);
    io_write(env->io, EOI, 4, 0x51);
    assert_int_equal(low_half(env, 16), LEVEL | REMOTE_IRR | 0x50);
    io_write(env->io, EOI, 1, 0x50);
    assert_int_equal(low_half(env, 16), LEVEL | REMOTE_IRR | 0x50);
    io_write(env->io, EOI, 4, 0x50);
    assert_int_equal(low_half(env, 16), LEVEL | 0x50);
}

static void suppressed_broadcast_leaves_the_eoi_to_the_register(void **state)
{
    struct env *env = *state;

    apic_write(env->cpus, 0, APIC_SVR, 0x11FF);
    route(env, 16, LEVEL | 0x50, 0);
    line(env, 16, true);
    take(env, 0);
    apic_eoi(env->cpus, 0);
    assert_int_equal(low_half(env, 16), LEVEL | REMOTE_IRR | 0x50);
    line(env, 16, false);
    io_write(env->io, EOI, 4, 0x50);
    assert_int_equal(low_half(env, 16), LEVEL | 0x50);
}

static void one_eoi_ends_all_pins_of_the_vector(void **state)
{
    struct env *env = *state;

    route(env, 16, LEVEL | 0x50, 0);
    route(env, 17, LEVEL | 0x50, 0);
    line(env, 16, true);
    line(env, 17, true);
    line(env, 16, false);
    assert_int_equal(take(env, 0), 0x50);
    apic_eoi(env->cpus, 0);
    assert_int_equal(low_half(env, 16), LEVEL | 0x50);
    assert_int_equal(low_half(env, 17), LEVEL | REMOTE_IRR | 0x50);
    assert_int_equal(take(env, 0), 0x50);
}

static void both_ioapics_hear_the_eoi(void **state)
{
    struct env *env = *state;
    struct ioapic *second = env_ioapic(env->cpus, 1, false);

    reg_write(second, 0x10 + 2 * 23, LEVEL | 0x50);
    ioapic_set_irq(second, 23, true);
    ioapic_set_irq(second, 23, false);
    assert_int_equal(take(env, 0), 0x50);
    apic_eoi(env->cpus, 0);
    assert_int_equal(reg_read(second, 0x10 + 2 * 23), LEVEL | 0x50);
    ioapic_done(second);
}

static void a_level_line_taken_over_from_edge_mode_is_seen(void **state)
{
    struct env *env = *state;

    line(env, 9, true);
    route(env, 9, 0x39, 0);
    assert_int_equal(take(env, 0), -1);
    route(env, 9, LEVEL | 0x39, 0);
    assert_int_equal(take(env, 0), 0x39);
}

/* ---- Messages ---- */

static void destinations(void **state)
{
    struct env *env = *state;

    apic_write(env->cpus, 0, APIC_LDR, 0x01000000);
    apic_write(env->cpus, 1, APIC_LDR, 0x02000000);
    route(env, 5, LOGICAL | 0x45, 0x02);
    line(env, 5, true);
    assert_int_equal(take(env, 0), -1);
    assert_int_equal(take(env, 1), 0x45);
    route(env, 6, LOGICAL | 0x56, 0x03);
    line(env, 6, true);
    assert_int_equal(take(env, 0), 0x56);
    assert_int_equal(take(env, 1), 0x56);
    route(env, 7, 0x67, 0xFF);
    line(env, 7, true);
    assert_int_equal(take(env, 0), 0x67);
    assert_int_equal(take(env, 1), 0x67);
}

static void delivery_modes(void **state)
{
    static const struct {
        u32 low, request;
    } rows[] = {
        { 0x000 | 0x50, VCPU_REQ_INTR },
        { 0x100 | 0x50, VCPU_REQ_INTR },
        { 0x200, 0 },
        { 0x300, 0 },
        { 0x400, VCPU_REQ_NMI },
        { 0x500, VCPU_REQ_INIT },
        { 0x600, 0 },
        { 0x700, VCPU_REQ_INTR },
    };
    struct env *env = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        apic_requests(env->cpus, 1);
        route(env, 3, rows[i].low, 1);
        line(env, 3, true);
        line(env, 3, false);
        assert_int_equal(apic_requests(env->cpus, 1), rows[i].request);
    }
}

static void nmi_entries_are_edges_whatever_they_say(void **state)
{
    struct env *env = *state;

    route(env, 3, LEVEL | 0x400, 0);
    line(env, 3, true);
    assert_int_equal(apic_requests(env->cpus, 0), VCPU_REQ_NMI);
    assert_int_equal(low_half(env, 3), LEVEL | 0x400);
    line(env, 3, false);
    line(env, 3, true);
    assert_int_equal(apic_requests(env->cpus, 0), VCPU_REQ_NMI);
}

static void extint_entries_take_the_8259s_vector(void **state)
{
    struct env *env = *state;

    env->cpus->pic.vector = 0x30;
    route(env, 2, 0x700, 1);
    line(env, 0, true);
    assert_int_equal(take(env, 1), 0x30);
    assert_int_equal(env->cpus->pic.acks, 1);
}

/* ---- Storms ---- */

static void a_stuck_line_is_slowed_down_after_10000_eois(void **state)
{
    struct env *env = *state;
    unsigned count = 0;

    route(env, 16, LEVEL | 0x50, 0);
    route(env, 17, LEVEL | 0x60, 0);
    line(env, 16, true);
    while (take(env, 0) == 0x50) {
        count++;
        apic_eoi(env->cpus, 0);
    }
    assert_int_equal(count, 10000);
    route(env, 16, LEVEL | 0x50, 0);
    assert_int_equal(take(env, 0), -1);
    line(env, 17, true); /* others are not held up */
    assert_int_equal(take(env, 0), 0x60);
    line(env, 17, false);
    apic_eoi(env->cpus, 0);
    fake_loop_advance(env->cpus->loop, 9999999);
    assert_int_equal(take(env, 0), -1);
    fake_loop_advance(env->cpus->loop, 1);
    assert_int_equal(take(env, 0), 0x50);
    line(env, 16, false);
    apic_eoi(env->cpus, 0);
    assert_int_equal(low_half(env, 16), LEVEL | 0x50);
}

static void a_line_that_falls_now_and_then_is_no_storm(void **state)
{
    struct env *env = *state;

    route(env, 16, LEVEL | 0x50, 0);
    for (unsigned i = 0; i < 25000; i++) {
        line(env, 16, true);
        assert_int_equal(take(env, 0), 0x50);
        if (i % 9000 == 0)
            line(env, 16, false);
        apic_eoi(env->cpus, 0);
    }
}

/* ---- Threads ---- */

#define STRESS_ROUNDS 5000u

struct stress {
    struct env *env;
    _Atomic bool high;
    _Atomic unsigned raised;
    _Atomic bool stop;
};

/*
 * A device: raises its line, waits until the guest has quieted it, and again. Edges on another pin
 * meanwhile.
 */
static void *stress_device(void *arg)
{
    struct stress *stress = arg;
    struct env *env = stress->env;

    for (unsigned i = 0; i < STRESS_ROUNDS; i++) {
        atomic_store(&stress->high, true);
        line(env, 16, true);
        line(env, 4, true);
        line(env, 4, false);
        while (atomic_load(&stress->high))
            sched_yield();
    }
    atomic_store(&stress->stop, true);
    return NULL;
}

/*
 * The guest's handler: quiet the device, which lowers the line, then EOI. Each rise must interrupt.
 */
static void stress_handle(struct stress *stress, unsigned *handled)
{
    struct env *env = stress->env;
    int vector = apic_ack(env->cpus, 0);

    if (vector < 0)
        return;
    if (vector == 0x50) {
        bool was_high = atomic_load(&stress->high);

        line(env, 16, false);
        if (was_high) {
            ++*handled;
            atomic_store(&stress->high, false);
        }
    }
    apic_eoi(env->cpus, 0);
}

static void levels_are_never_lost_between_two_threads(void **state)
{
    struct env *env = *state;
    struct stress stress = { .env = env };
    unsigned handled = 0;
    pthread_t thread;

    route(env, 16, LEVEL | 0x50, 0);
    route(env, 4, 0x34, 0);
    assert_int_equal(pthread_create(&thread, NULL, stress_device, &stress), 0);
    while (!atomic_load(&stress.stop)) {
        if (vcpu_take(&env->cpus->vcpu[0], VCPU_REQ_INTR))
            stress_handle(&stress, &handled);
        else
            sched_yield();
    }
    pthread_join(thread, NULL);
    assert_int_equal(handled, STRESS_ROUNDS);
}

/* ---- Random guests ---- */

static void random_step(struct env *env, u64 *seed)
{
    u64 value = fake_random(seed);
    unsigned n = value >> 40 & 1;

    switch (fake_random(seed) % 8) {
    case 0: io_write(env->io, value >> 32 & 0xFFF, 1u << (value >> 50) % 3, value); break;
    case 1: io_read(env->io, value >> 32 & 0xFFF, 1u << (value >> 50) % 3); break;
    case 2: reg_write(env->io, (u8)(value >> 32), (u32)value); break;
    case 3: route(env, (value >> 32) % IOAPIC_PINS, (u32)value & 0x880FF, (u8)(value >> 56)); break;
    case 4: line(env, (value >> 32) % IOAPIC_PINS, value & 1); break;
    case 5: io_write(env->io, EOI, 4, value & 0xFF); break;
    case 6: fake_loop_advance(env->cpus->loop, value % 1000000); break;
    default:
        if (take(env, n) >= 0)
            apic_eoi(env->cpus, n);
        break;
    }
}

/* An entry never has reserved bits, and Remote IRR only as a level. */
static void random_check(struct env *env)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        u32 low = low_half(env, pin);

        assert_int_equal(low & ~0x1EFFFu, 0);
        assert_true(!(low & REMOTE_IRR) || (low & LEVEL));
    }
}

static void random_accesses_keep_the_invariants(void **state)
{
    struct env *env = *state;
    u64 seed = 99;

    for (unsigned i = 0; i < 50000; i++) {
        random_step(env, &seed);
        if (i % 100 == 0)
            random_check(env);
    }
    assert_int_equal(reg_read(env->io, 1), 0x00170020);
}

/* ---- Routes of an accelerator with the LAPICs ---- */

struct routed {
    unsigned published, fired;
    unsigned gsi, fired_gsi;
    gpa addr;
    u32 data;
};

static void routed_publish(void *arg, unsigned gsi, gpa addr, u32 data)
{
    struct routed *r = arg;

    r->published++;
    r->gsi = gsi;
    r->addr = addr;
    r->data = data;
}

static void routed_fire(void *arg, unsigned gsi)
{
    struct routed *r = arg;

    r->fired++;
    r->fired_gsi = gsi;
}

/* The second I/O APIC, with routes. */
static void use_routes(struct env *env, struct routed *r)
{
    struct ioapic_config config = { .bus = &env->cpus->bus,
                                    .routes = { routed_publish, routed_fire, r },
                                    .gsi_base = 24,
                                    .clock = &env->cpus->clock,
                                    .loop = env->cpus->loop,
                                    .id = 1 };

    ioapic_done(env->io);
    env->cpus->bus.listener_count = 0;
    env->io = ioapic_new(&config);
}

static void a_masked_entry_is_not_published(void **state)
{
    struct routed r = { 0 };

    use_routes(*state, &r);
    route(*state, 5, MASKED | 0x55, 1);
    assert_int_equal(r.published, 0);
}

static void an_unmasked_entry_is_published_and_fires_by_its_gsi(void **state)
{
    struct env *env = *state;
    struct routed r = { 0 };

    use_routes(env, &r);
    route(env, 5, 0x55, 1);
    assert_int_equal(r.gsi, 29);
    assert_int_equal(r.addr, 0xFEE01000);
    assert_int_equal(r.data, 0x55);
    line(env, 5, true);
    assert_int_equal(r.fired, 1);
    assert_int_equal(r.fired_gsi, 29);
    assert_int_equal(take(env, 1), -1); /* nothing went over the bus */
    line(env, 5, false);
    assert_int_equal(r.fired, 1);
}

static void a_high_level_is_published_before_it_fires(void **state)
{
    struct env *env = *state;
    struct routed r = { 0 };

    use_routes(env, &r);
    line(env, 7, true);
    assert_int_equal(r.fired, 0);
    route(env, 7, LEVEL | 0x66, 0);
    assert_int_equal(r.data, 0xC066);
    assert_int_equal(r.fired, 1);
    assert_true(low_half(env, 7) & REMOTE_IRR);
    apic_bus_eoi(&env->cpus->bus, 0x66);
    assert_int_equal(r.fired, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(registers_after_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(id_has_four_bits_and_shows_as_arbitration_id, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(entries_keep_only_writable_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(access_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(reset_keeps_the_wires_and_the_given_id, setup, teardown),
        cmocka_unit_test_setup_teardown(each_rising_edge_is_one_message, setup, teardown),
        cmocka_unit_test_setup_teardown(a_masked_edge_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(irq0_drives_pin_2_of_the_first_ioapic_only, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(all_pins_have_their_own_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(a_level_is_sent_once_until_its_eoi, setup, teardown),
        cmocka_unit_test_setup_teardown(a_level_that_stays_high_comes_again_at_eoi, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(unmasking_a_high_level_delivers_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(masked_at_eoi_waits_for_the_unmasking, setup, teardown),
        cmocka_unit_test_setup_teardown(edge_then_level_is_an_eoi_by_software, setup, teardown),
        cmocka_unit_test_setup_teardown(eoi_register_ends_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(suppressed_broadcast_leaves_the_eoi_to_the_register, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_eoi_ends_all_pins_of_the_vector, setup, teardown),
        cmocka_unit_test_setup_teardown(both_ioapics_hear_the_eoi, setup, teardown),
        cmocka_unit_test_setup_teardown(a_level_line_taken_over_from_edge_mode_is_seen, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(destinations, setup, teardown),
        cmocka_unit_test_setup_teardown(delivery_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(nmi_entries_are_edges_whatever_they_say, setup, teardown),
        cmocka_unit_test_setup_teardown(extint_entries_take_the_8259s_vector, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stuck_line_is_slowed_down_after_10000_eois, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_line_that_falls_now_and_then_is_no_storm, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(levels_are_never_lost_between_two_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(random_accesses_keep_the_invariants, setup, teardown),
        cmocka_unit_test_setup_teardown(a_masked_entry_is_not_published, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unmasked_entry_is_published_and_fires_by_its_gsi, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_high_level_is_published_before_it_fires, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
