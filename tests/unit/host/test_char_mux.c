/* SPDX-License-Identifier: MIT */
/* The escape keys of a multiplexed terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "host/char_mux.h"

/* What passes of `input`, and the last action. */
static enum char_mux_action filter(const char *input, char *passed)
{
    enum char_mux_action action, last = CHAR_MUX_NONE;
    struct char_mux mux = { false };

    for (; *input; input++) {
        if (char_mux_filter(&mux, (u8)*input, &action))
            *passed++ = *input;
        if (action != CHAR_MUX_NONE)
            last = action;
    }
    *passed = 0;
    return last;
}

static void plain_bytes_pass(void **state)
{
    char passed[32];

    (void)state;
    assert_int_equal(filter("hxbc\x03\x7f", passed), CHAR_MUX_NONE);
    assert_string_equal(passed, "hxbc\x03\x7f");
}

static void escape_and_letter_make_an_action_and_do_not_pass(void **state)
{
    char passed[32];

    (void)state;
    assert_int_equal(filter("a\1hb", passed), CHAR_MUX_HELP);
    assert_string_equal(passed, "ab");
    assert_int_equal(filter("\1?", passed), CHAR_MUX_HELP);
    assert_int_equal(filter("\1x", passed), CHAR_MUX_QUIT);
    assert_int_equal(filter("\1b", passed), CHAR_MUX_BREAK);
    assert_int_equal(filter("\1c", passed), CHAR_MUX_MONITOR);
    assert_string_equal(passed, "");
}

static void escape_twice_sends_the_escape(void **state)
{
    char passed[32];

    (void)state;
    assert_int_equal(filter("\1\1x", passed), CHAR_MUX_NONE);
    assert_string_equal(passed, "\1x");
}

static void unknown_letters_are_swallowed(void **state)
{
    char passed[32];

    (void)state;
    assert_int_equal(filter("\1qz", passed), CHAR_MUX_NONE);
    assert_string_equal(passed, "z");
}

static void help_and_monitor_say_something(void **state)
{
    (void)state;
    assert_non_null(strstr(char_mux_text(CHAR_MUX_HELP), "Ctrl-A x"));
    assert_non_null(strstr(char_mux_text(CHAR_MUX_MONITOR), "not available"));
    assert_null(char_mux_text(CHAR_MUX_NONE));
    assert_null(char_mux_text(CHAR_MUX_QUIT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_bytes_pass),
        cmocka_unit_test(escape_and_letter_make_an_action_and_do_not_pass),
        cmocka_unit_test(escape_twice_sends_the_escape),
        cmocka_unit_test(unknown_letters_are_swallowed),
        cmocka_unit_test(help_and_monitor_say_something),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
