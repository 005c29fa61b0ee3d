/* SPDX-License-Identifier: MIT */
/* Text in a buffer of fixed size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

static void text_grows_by_parts(void **state)
{
    char bytes[16];
    struct text t = { bytes, sizeof(bytes), 0 };

    (void)state;
    text_add(&t, "%s=%d", "one", 1);
    text_add(&t, ", %s", "two");
    assert_string_equal(bytes, "one=1, two");
    assert_int_equal(t.used, 10);
}

static void what_does_not_fit_is_cut_off(void **state)
{
    char bytes[9] = { [8] = 'x' };
    struct text t = { bytes, 8, 0 };

    (void)state;
    text_add(&t, "0123");
    text_add(&t, "456789");
    text_add(&t, "more");
    assert_string_equal(bytes, "0123456");
    assert_int_equal(t.used, 7);
    assert_int_equal(bytes[8], 'x'); /* behind the buffer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows_by_parts),
        cmocka_unit_test(what_does_not_fit_is_cut_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
