/* SPDX-License-Identifier: MIT */
/* APIC IDs of packed socket, core and thread numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"
#include "cli/config.h"
#include "machine/topology.h"

static void powers_of_two_make_ids_without_gaps(void **state)
{
    const struct smp_config smp = { .cpus = 16, .sockets = 2, .cores = 4, .threads = 2 };

    (void)state;
    assert_int_equal(topology_thread_bits(&smp), 1);
    assert_int_equal(topology_core_bits(&smp), 2);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(topology_apic_id(&smp, i), i);
}

static void odd_counts_leave_gaps(void **state)
{
    static const u32 ids[] = { 0, 1, 2, 4, 5, 6, 8, 9, 10 };
    const struct smp_config smp = { .cpus = 9, .sockets = 3, .cores = 3, .threads = 1 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
        assert_int_equal(topology_apic_id(&smp, i), ids[i]);
}

static void all_three_fields(void **state)
{
    static const u32 ids[] = { 0, 1, 2, 4, 5, 6, 8, 9, 10, 16, 17, 18 };
    const struct smp_config smp = { .cpus = 12, .sockets = 2, .cores = 3, .threads = 3 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
        assert_int_equal(topology_apic_id(&smp, i), ids[i]);
}

static void counts_that_are_not_set_are_one(void **state)
{
    const struct smp_config smp = { .cpus = 3 };

    (void)state;
    assert_int_equal(topology_thread_bits(&smp) + topology_core_bits(&smp), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(topology_apic_id(&smp, i), i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powers_of_two_make_ids_without_gaps),
        cmocka_unit_test(odd_counts_leave_gaps),
        cmocka_unit_test(all_three_fields),
        cmocka_unit_test(counts_that_are_not_set_are_one),
    };

    return cmocka_run_group_tests_name("machine/topology", tests, NULL, NULL);
}
