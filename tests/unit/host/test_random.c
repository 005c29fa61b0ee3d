/* SPDX-License-Identifier: MIT */
/* Randomness: all bytes filled, none beyond, never the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "host/random.h"

static void fills_exactly_the_buffer(void **state)
{
    u8 data[600] = { 0 }, seen[512] = { 0 };

    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        assert_true(host_random(data, sizeof(seen))); /* beyond the 256 bytes that come in one go */
        for (size_t i = 0; i < sizeof(seen); i++)
            seen[i] |= data[i];
    }
    for (size_t i = 0; i < sizeof(seen); i++)
        assert_int_not_equal(seen[i], 0);
    for (size_t i = sizeof(seen); i < sizeof(data); i++)
        assert_int_equal(data[i], 0);
    assert_true(host_random(data, 0));
}

static void differs_each_time(void **state)
{
    u8 a[16], b[16];

    (void)state;
    assert_true(host_random(a, sizeof(a)) && host_random(b, sizeof(b)));
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_exactly_the_buffer),
        cmocka_unit_test(differs_each_time),
    };

    return cmocka_run_group_tests_name("host/random", tests, NULL, NULL);
}
