/* SPDX-License-Identifier: MIT */
/* The debug console port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hw/debugcon.h"
#include "unit/fakes/chardev.h"
#include "unit/fakes/region.h"

struct fixture {
    struct fake_chardev host;
    struct debugcon *con;
    struct fake_region port;
};

static int setup(void **state)
{
    static struct fixture f;
    struct debugcon_config config = { .chr = &f.host.chr, .readback = DEBUGCON_READBACK };
    struct error err;

    fake_chardev_init(&f.host, SIZE_MAX);
    f.con = debugcon_new(&config, &err);
    assert_non_null(f.con);
    f.port = (struct fake_region){ &debugcon_ops, f.con };
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct device *dev = debugcon_device(f->con);

    dev->ops->free(dev);
    assert_false(f->host.chr.attached);
    return 0;
}

static void bytes_reach_the_backend_in_order(void **state)
{
    struct fixture *f = *state;

    for (const char *s = "SeaBIOS"; *s; s++)
        fake_region_write(&f->port, 0, 1, (u8)*s);
    assert_int_equal(f->host.out_size, 7);
    assert_memory_equal(f->host.out, "SeaBIOS", 7);
}

static void firmware_finds_the_port_by_its_value(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_region_read(&f->port, 0, 1), 0xE9);
}

static void readback_can_be_chosen(void **state)
{
    struct fake_chardev host;
    struct debugcon_config config = { .chr = &host.chr, .readback = 0x5A };
    struct fake_region port;
    struct debugcon *con;
    struct error err;

    (void)state;
    fake_chardev_init(&host, 0);
    con = debugcon_new(&config, &err);
    port = (struct fake_region){ &debugcon_ops, con };
    assert_int_equal(fake_region_read(&port, 0, 1), 0x5A);
    debugcon_device(con)->ops->free(debugcon_device(con));
}

static void refused_bytes_are_lost_and_the_guest_goes_on(void **state)
{
    struct fixture *f = *state;

    f->host.room = 1;
    for (const char *s = "abc"; *s; s++)
        fake_region_write(&f->port, 0, 1, (u8)*s);
    assert_int_equal(f->host.refused, 2);
    fake_chardev_writable(&f->host, SIZE_MAX);
    fake_region_write(&f->port, 0, 1, 'd');
    assert_int_equal(f->host.out_size, 2);
    assert_memory_equal(f->host.out, "ad", 2);
}

static void input_is_not_taken(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fake_chardev_input(&f->host, "x", 1), 0);
    fake_chardev_event(&f->host, CHARDEV_BREAK);
    fake_device_reset(debugcon_device(f->con));
    assert_int_equal(fake_chardev_can_receive(&f->host), 0);
}

static void backend_in_use_is_refused(void **state)
{
    struct fixture *f = *state;
    struct debugcon_config config = { .chr = &f->host.chr };
    struct error err;

    f->host.chr.id = (char[]){ "log" };
    assert_null(debugcon_new(&config, &err));
    assert_string_equal(err.text, "isa-debugcon: the character device 'log' is in use");
    assert_true(f->host.chr.attached);
}

static void random_accesses_only_write_bytes(void **state)
{
    struct fixture *f = *state;
    u64 seed = 0xE9;
    size_t written = 0;

    for (unsigned i = 0; i < 20000; i++) {
        u64 r = fake_random(&seed);

        if (r & 1) {
            fake_region_write(&f->port, 0, 1, r >> 8 & 0xFF);
            written++;
        } else {
            assert_int_equal(fake_region_read(&f->port, 0, 1), 0xE9);
        }
    }
    assert_int_equal(f->host.out_size, written);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_reach_the_backend_in_order),
        TEST(firmware_finds_the_port_by_its_value),
        TEST(readback_can_be_chosen),
        TEST(refused_bytes_are_lost_and_the_guest_goes_on),
        TEST(input_is_not_taken),
        TEST(backend_in_use_is_refused),
        TEST(random_accesses_only_write_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
