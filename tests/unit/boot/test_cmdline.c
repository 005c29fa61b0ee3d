/* SPDX-License-Identifier: MIT */
/* The command line: byte for byte what guests of QEMU's microvm see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "boot/cmdline.h"

static void expect(const char *append, const struct boot_slot *slots, unsigned count,
                   const char *expected)
{
    char *line = cmdline_new(append, slots, count);

    assert_string_equal(line, expected);
    free(line);
}

static void without_anything_it_is_empty(void **state)
{
    (void)state;
    expect(NULL, NULL, 0, "");
    expect("", NULL, 0, "");
}

static void user_text_is_passed_as_it_is(void **state)
{
    (void)state;
    expect("  root=/dev/vda \"a b\" ", NULL, 0, "  root=/dev/vda \"a b\" ");
}

static void devices_follow_in_the_order_given(void **state)
{
    static const struct boot_slot slots[] = { { 0xFEB00E00, 12 },
                                              { 0xFEB00C00, 11 },
                                              { 0xFEB00A00, 10 } };

    (void)state;
    expect("console=ttyS0 AAA", slots, 3,
           "console=ttyS0 AAA virtio_mmio.device=512@0xfeb00e00:12 "
           "virtio_mmio.device=512@0xfeb00c00:11 virtio_mmio.device=512@0xfeb00a00:10");
}

static void without_user_text_it_begins_with_the_space(void **state)
{
    static const struct boot_slot slot = { 0xFEB00E00, 12 };

    (void)state;
    expect(NULL, &slot, 1, " virtio_mmio.device=512@0xfeb00e00:12");
}

static void the_largest_numbers_fit(void **state)
{
    static const struct boot_slot slots[] = { { UINT64_MAX, UINT32_MAX }, { UINT64_MAX, 1 } };

    (void)state;
    expect(NULL, slots, 2,
           " virtio_mmio.device=512@0xffffffffffffffff:4294967295"
           " virtio_mmio.device=512@0xffffffffffffffff:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_anything_it_is_empty),
        cmocka_unit_test(user_text_is_passed_as_it_is),
        cmocka_unit_test(devices_follow_in_the_order_given),
        cmocka_unit_test(without_user_text_it_begins_with_the_space),
        cmocka_unit_test(the_largest_numbers_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
