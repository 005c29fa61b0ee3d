/* SPDX-License-Identifier: MIT */
/* The grammar of option values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cli/keyval.h"

static struct keyval kv;

static int teardown(void **state)
{
    (void)state;
    keyval_fini(&kv);
    return 0;
}

static void parse(const char *text, const char *implied)
{
    struct error err;

    assert_true(keyval_parse(&kv, text, implied, &err));
}

static void expect(unsigned i, const char *key, const char *value)
{
    assert_true(i < kv.count);
    assert_string_equal(kv.items[i].key, key);
    assert_string_equal(kv.items[i].value, value);
}

static void first_value_goes_to_the_implied_key(void **state)
{
    (void)state;
    parse("microvm,pit=off", "type");
    assert_int_equal(kv.count, 2);
    expect(0, "type", "microvm");
    assert_true(kv.items[0].implied);
    expect(1, "pit", "off");
    assert_false(kv.items[1].implied);
}

static void first_key_may_be_written_out(void **state)
{
    (void)state;
    parse("pit=off,type=microvm", "type");
    expect(0, "pit", "off");
    expect(1, "type", "microvm");
    assert_false(kv.items[1].implied);
}

static void doubled_commas_are_part_of_the_value(void **state)
{
    (void)state;
    parse("a,,b,path=x,,,y=,,", "file");
    assert_int_equal(kv.count, 3);
    expect(0, "file", "a,b");
    expect(1, "path", "x,");
    expect(2, "y", ",");
}

static void only_the_first_equals_separates(void **state)
{
    (void)state;
    parse("append=root=/dev/vda", NULL);
    expect(0, "append", "root=/dev/vda");
}

static void bare_keys_are_on_and_marked(void **state)
{
    (void)state;
    parse("path=p,server,nowait", NULL);
    expect(1, "server", "on");
    assert_true(kv.items[1].bare);
    assert_false(kv.items[0].bare);
    expect(2, "nowait", "on");
}

static void comma_at_the_end_is_harmless(void **state)
{
    (void)state;
    parse("512,", "size");
    assert_int_equal(kv.count, 1);
    expect(0, "size", "512");
}

static void empty_text_is_an_empty_first_value(void **state)
{
    struct error err;

    (void)state;
    parse("", "type");
    assert_int_equal(kv.count, 1);
    expect(0, "type", "");
    keyval_fini(&kv);
    assert_false(keyval_parse(&kv, "", NULL, &err));
}

static void keys_have_names(void **state)
{
    struct error err;

    (void)state;
    assert_false(keyval_parse(&kv, "a=1,=2", NULL, &err));
    assert_non_null(strstr(err.text, "without a name"));
}

static void last_of_repeated_keys_counts(void **state)
{
    (void)state;
    parse("a=1,b=2,a=3", NULL);
    assert_string_equal(keyval_get(&kv, "a"), "3");
    assert_string_equal(keyval_get(&kv, "b"), "2");
    assert_null(keyval_get(&kv, "c"));
}

static void help_is_a_word_of_its_own(void **state)
{
    static const struct {
        const char *text;
        bool help;
    } cases[] = {
        { "help", true },           { "?", true },        { "microvm,help", true },
        { "microvm,?", true },      { "microvm", false }, { "microvm,help=on", false },
        { "type=help,a=?", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        parse(cases[i].text, "type");
        assert_int_equal(keyval_wants_help(&kv), cases[i].help);
        keyval_fini(&kv);
    }
}

static void too_many_parameters_are_refused(void **state)
{
    char text[1024] = "";
    struct error err;

    (void)state;
    for (int i = 0; i < KEYVAL_MAX + 1; i++)
        strcat(text, i ? ",k=v" : "k=v");
    assert_false(keyval_parse(&kv, text, NULL, &err));
    text[KEYVAL_MAX * 4 - 1] = 0;
    keyval_fini(&kv);
    assert_true(keyval_parse(&kv, text, NULL, &err));
    assert_int_equal(kv.count, KEYVAL_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(first_value_goes_to_the_implied_key, teardown),
        cmocka_unit_test_teardown(first_key_may_be_written_out, teardown),
        cmocka_unit_test_teardown(doubled_commas_are_part_of_the_value, teardown),
        cmocka_unit_test_teardown(only_the_first_equals_separates, teardown),
        cmocka_unit_test_teardown(bare_keys_are_on_and_marked, teardown),
        cmocka_unit_test_teardown(comma_at_the_end_is_harmless, teardown),
        cmocka_unit_test_teardown(empty_text_is_an_empty_first_value, teardown),
        cmocka_unit_test_teardown(keys_have_names, teardown),
        cmocka_unit_test_teardown(last_of_repeated_keys_counts, teardown),
        cmocka_unit_test_teardown(help_is_a_word_of_its_own, teardown),
        cmocka_unit_test_teardown(too_many_parameters_are_refused, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
