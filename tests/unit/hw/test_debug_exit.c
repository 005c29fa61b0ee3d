/* SPDX-License-Identifier: MIT */
/* The debug exit port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hw/debug_exit.h"
#include "unit/fakes/region.h"

struct fixture {
    unsigned calls;
    int status;
    struct debug_exit *dbg;
    struct fake_region port;
};

static void record_exit(void *arg, int status)
{
    struct fixture *f = arg;

    f->calls++;
    f->status = status;
}

static int setup(void **state)
{
    static struct fixture f;
    struct debug_exit_config config = { .exit = record_exit, .arg = &f };

    f = (struct fixture){ .dbg = debug_exit_new(&config) };
    f.port = (struct fake_region){ &debug_exit_ops, f.dbg };
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct device *dev = debug_exit_device(((struct fixture *)*state)->dbg);

    dev->ops->free(dev);
    return 0;
}

static void write_asks_for_an_odd_status(void **state)
{
    struct fixture *f = *state;

    fake_region_write(&f->port, 0, 1, 0x10);
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->status, 33);
    fake_region_write(&f->port, 0, 4, 0);
    assert_int_equal(f->status, 1);
}

static void every_port_and_size_is_the_same(void **state)
{
    struct fixture *f = *state;

    fake_region_write(&f->port, 1, 1, 7);
    assert_int_equal(f->status, 15);
    fake_region_write(&f->port, 0, 2, 0x1234);
    assert_int_equal(f->status, 0x2469);
    fake_region_write(&f->port, 0, 4, 0xFFFFFFFF);
    assert_int_equal(f->status, -1);
    assert_int_equal(f->calls, 3);
}

static void reads_are_zero_and_harmless(void **state)
{
    struct fixture *f = *state;

    for (unsigned size = 1; size <= 4; size *= 2)
        assert_int_equal(fake_region_read(&f->port, 0, size), 0);
    assert_int_equal(f->calls, 0);
}

static void reset_is_no_exit(void **state)
{
    struct fixture *f = *state;

    fake_device_reset(debug_exit_device(f->dbg));
    assert_int_equal(f->calls, 0);
}

static void random_writes_always_give_an_odd_status(void **state)
{
    struct fixture *f = *state;
    u64 seed = 0x501;

    for (unsigned i = 0; i < 10000; i++) {
        u64 r = fake_random(&seed);

        fake_region_write(&f->port, r & 3, 1u << (r >> 8) % 3, (u32)(r >> 32));
        assert_true(f->status & 1);
    }
    assert_int_equal(f->calls, 10000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(write_asks_for_an_odd_status),
        TEST(every_port_and_size_is_the_same),
        TEST(reads_are_zero_and_harmless),
        TEST(reset_is_no_exit),
        TEST(random_writes_always_give_an_odd_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
