/* SPDX-License-Identifier: MIT */
/* struct error: the sentences that users read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"

static void set_fills_the_text_and_returns_false(void **state)
{
    struct error err;

    (void)state;
    assert_false(error_set(&err, "disk %u", 3));
    assert_string_equal(err.text, "disk 3");
}

static void set_errno_appends_what_the_host_said(void **state)
{
    struct error err;

    (void)state;
    assert_false(error_set_errno(&err, ENOENT, "cannot open '%s'", "x"));
    assert_string_equal(err.text, "cannot open 'x': No such file or directory");
}

static void prefix_goes_before_the_text(void **state)
{
    struct error err;

    (void)state;
    error_set(&err, "bad");
    assert_false(error_prefix(&err, "-m %s: ", "1x"));
    assert_string_equal(err.text, "-m 1x: bad");
}

static void long_texts_are_cut_not_overrun(void **state)
{
    char text[2000];
    struct error err;

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    error_set(&err, "%s", text);
    error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_the_text_and_returns_false),
        cmocka_unit_test(set_errno_appends_what_the_host_said),
        cmocka_unit_test(prefix_goes_before_the_text),
        cmocka_unit_test(long_texts_are_cut_not_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
