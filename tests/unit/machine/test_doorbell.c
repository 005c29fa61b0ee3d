/* SPDX-License-Identifier: MIT */
/* Doorbells: the loop thread's side of what an accelerator turns into an eventfd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "accel/accel.h"
#include "host/loop.h"
#include "machine/doorbell.h"
#include "machine/machine.h"

struct bells {
    unsigned count;
    unsigned last;
    gpa addr;
    u32 value;
    int fd;
    bool refuse;
};

/* One machine at a time: what its accelerator was asked. */
static struct bells bells;

static bool bells_take(struct machine *machine, gpa addr, u32 value, int fd)
{
    (void)machine;
    bells.addr = addr;
    bells.value = value;
    bells.fd = fd;
    return !bells.refuse;
}

static void bells_rung(void *arg, unsigned n)
{
    struct bells *b = arg;

    b->count++;
    b->last = n;
}

static const struct accel_ops bells_accel = { .name = "bells", .doorbell = bells_take };
static const struct accel_ops mute_accel = { .name = "mute" };

static struct machine *machine_with(const struct accel_ops *accel)
{
    struct machine *machine = calloc(1, sizeof(*machine));
    struct error err;

    bells = (struct bells){ .count = 0 };
    clock_init(&machine->clock);
    machine->loop = loop_new(&machine->clock, &err);
    machine->accel = accel;
    return machine;
}

static void machine_done(struct machine *machine)
{
    loop_free(machine->loop);
    free(machine);
}

static void a_bell_calls_with_its_value(void **state)
{
    struct machine *machine = machine_with(&bells_accel);
    struct doorbell *bell = doorbell_new(machine, 0xFEB00050, 3, bells_rung, &bells);
    u64 one = 1;

    (void)state;
    assert_non_null(bell);
    assert_int_equal(bells.addr, 0xFEB00050);
    assert_int_equal(bells.value, 3);
    assert_int_equal(write(bells.fd, &one, sizeof(one)), sizeof(one));
    loop_poll(machine->loop, 30000);
    assert_int_equal(bells.count, 1);
    assert_int_equal(bells.last, 3);
    loop_poll(machine->loop, 0);
    assert_int_equal(bells.count, 1); /* rung once, called once */
    doorbell_free(bell);
    machine_done(machine);
}

static void rings_in_a_row_may_be_one_call(void **state)
{
    struct machine *machine = machine_with(&bells_accel);
    struct doorbell *bell = doorbell_new(machine, 0xFEB00050, 0, bells_rung, &bells);
    u64 one = 1;

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(write(bells.fd, &one, sizeof(one)), sizeof(one));
    loop_poll(machine->loop, 30000);
    loop_poll(machine->loop, 0);
    assert_int_equal(bells.count, 1);
    doorbell_free(bell);
    machine_done(machine);
}

static void a_refusing_host_leaves_the_bus(void **state)
{
    struct machine *machine = machine_with(&bells_accel);

    (void)state;
    bells.refuse = true;
    assert_null(doorbell_new(machine, 0xFEB00050, 0, bells_rung, &bells));
    machine_done(machine);
}

static void an_accelerator_without_bells_leaves_the_bus(void **state)
{
    struct machine *machine = machine_with(&mute_accel);

    (void)state;
    assert_null(doorbell_new(machine, 0xFEB00050, 0, bells_rung, &bells));
    doorbell_free(NULL);
    machine_done(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bell_calls_with_its_value),
        cmocka_unit_test(rings_in_a_row_may_be_one_call),
        cmocka_unit_test(a_refusing_host_leaves_the_bus),
        cmocka_unit_test(an_accelerator_without_bells_leaves_the_bus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
