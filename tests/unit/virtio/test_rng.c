/* SPDX-License-Identifier: MIT */
/* The entropy device: bytes, limits, and sources that dry up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "unit/virtio/driver.h"
#include "virtio/rng.h"

#define BUFFER DRIVER_DATA

static struct driver driver;

static int setup(void **state)
{
    driver_init(&driver);
    *state = &driver;
    return 0;
}

static int teardown(void **state)
{
    driver_fini(*state);
    return 0;
}

static void build(struct driver *d, const char *path, u64 max_bytes, u32 period_ms)
{
    struct rng_config config = { &d->ram, d->loop, path, max_bytes, period_ms };
    struct error err;
    struct virtio *v = rng_new(&config, &err);

    assert_non_null(v);
    driver_plug(d, v, false);
    driver_start(d, 0, 1);
}

static void offer(struct driver *d, u32 size)
{
    const struct driver_part part = { BUFFER, size, DRIVER_WRITE };

    memset(driver_ptr(d, BUFFER), 0, size);
    driver_offer(d, 0, &part, 1);
    driver_kick(d, 0);
}

static void buffers_are_filled(void **state)
{
    struct driver *d = *state;
    const u8 zeros[256] = { 0 };
    u32 written;

    build(d, NULL, 0, RNG_PERIOD_MS);
    offer(d, 256);
    assert_true(driver_take(d, 0, NULL, &written));
    assert_int_equal(written, 256);
    assert_memory_not_equal(driver_ptr(d, BUFFER), zeros, 256);
    assert_int_equal(driver_read(d, 0x60), VIRTIO_ISR_QUEUE);
}

static void a_large_buffer_is_filled_in_part(void **state)
{
    struct driver *d = *state;
    u32 written;

    build(d, NULL, 0, RNG_PERIOD_MS);
    offer(d, (u32)MIB(1));
    assert_true(driver_take(d, 0, NULL, &written));
    assert_int_equal(written, KIB(64));
}

static void the_limit_holds_for_a_period(void **state)
{
    struct driver *d = *state;
    u32 written;

    build(d, NULL, 100, 10);
    offer(d, 64);
    assert_true(driver_take(d, 0, NULL, &written));
    assert_int_equal(written, 64);
    offer(d, 64);
    assert_true(driver_take(d, 0, NULL, &written));
    assert_int_equal(written, 36);
    offer(d, 64);
    assert_false(driver_take(d, 0, NULL, NULL));
    clock_step(&d->clock, 9 * 1000 * 1000);
    driver_run(d);
    assert_false(driver_take(d, 0, NULL, NULL));
    clock_step(&d->clock, 2 * 1000 * 1000);
    driver_run(d);
    assert_true(driver_take(d, 0, NULL, &written));
    assert_int_equal(written, 64);
}

/* A pipe without a writer's bytes: the request waits, and survives a reset of the device. */
static void a_slow_source_is_waited_for(void **state)
{
    struct driver *d = *state;
    char folder[] = "/tmp/mote-rng-XXXXXX", path[64];
    u32 written;
    int fd;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    build(d, path, 0, RNG_PERIOD_MS);
    offer(d, 8);
    assert_false(driver_take(d, 0, NULL, NULL));
    driver_reset(d);
    assert_int_equal(write(fd, "12345678", 8), 8);
    loop_poll(d->loop, 0);
    driver_start(d, 0, 1);
    assert_false(driver_take(d, 0, NULL, NULL));
    offer(d, 8);
    assert_true(driver_wait(d, 0, NULL, &written));
    assert_int_equal(written, 8);
    assert_memory_equal(driver_ptr(d, BUFFER), "12345678", 8);
    close(fd);
    unlink(path);
    rmdir(folder);
}

static void a_source_that_has_ended_gives_nothing(void **state)
{
    struct driver *d = *state;

    build(d, "/dev/null", 0, RNG_PERIOD_MS);
    offer(d, 8);
    assert_false(driver_take(d, 0, NULL, NULL));
    assert_false(driver_read(d, 0x70) & VIRTIO_STATUS_NEEDS_RESET);
}

static void a_readable_buffer_gets_nothing(void **state)
{
    struct driver *d = *state;
    const struct driver_part part = { BUFFER, 16, 0 };
    u32 written;

    build(d, NULL, 0, RNG_PERIOD_MS);
    driver_offer(d, 0, &part, 1);
    driver_kick(d, 0);
    assert_true(driver_take(d, 0, NULL, &written));
    assert_int_equal(written, 0);
}

static void a_missing_source_is_an_error(void **state)
{
    struct driver *d = *state;
    struct rng_config config = { &d->ram, d->loop, "/nosuch/random", 0, RNG_PERIOD_MS };
    struct error err;

    assert_null(rng_new(&config, &err));
    assert_string_equal(err.text, "cannot open '/nosuch/random': No such file or directory");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(buffers_are_filled),
        T(a_large_buffer_is_filled_in_part),
        T(the_limit_holds_for_a_period),
        T(a_slow_source_is_waited_for),
        T(a_source_that_has_ended_gives_nothing),
        T(a_readable_buffer_gets_nothing),
        T(a_missing_source_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
