/* SPDX-License-Identifier: MIT */
/* Numbers and sizes as users write them, and the nearest name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"
#include "cli/number.h"
#include "cli/suggest.h"

static void sizes_count_their_unit_or_their_suffix(void **state)
{
    static const struct {
        const char *text;
        u64 size;
    } cases[] = {
        { "0", 0 },
        { "512", MIB(512) },
        { "512M", MIB(512) },
        { "512m", MIB(512) },
        { "1.5", MIB(1) + KIB(512) },
        { "1.5g", GIB(1) + MIB(512) },
        { "0.125k", 128 },
        { "1.", MIB(1) },
        { "100b", 100 },
        { "100B", 100 },
        { "4k", KIB(4) },
        { "2T", GIB(2048) },
        { "1P", UINT64_C(1) << 50 },
        { "15E", UINT64_C(15) << 60 },
        { "0x10", MIB(16) },
        { "0X1f", MIB(31) },
        { "1.0000000000000000000000000000000001G", GIB(1) },
        { "0.999999999999999999999999G", GIB(1) - 1 },
        { "007", MIB(7) },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        u64 size = 1;

        assert_int_equal(number_parse_size(cases[i].text, MIB(1), &size), NUMBER_OK);
        assert_int_equal(size, cases[i].size);
    }
}

static void what_is_no_size_is_refused(void **state)
{
    static const char *const bad[] = { "",   "abc", "-1", "1z",   "1kk",  "1 ",  " 1",  "1.5b",
                                       ".5", "0x",  "1,", "0x1G", "1.k.", "++1", "1e3", "k" };
    u64 size;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(number_parse_size(bad[i], MIB(1), &size), NUMBER_BAD);
}

static void sizes_beyond_64_bits_are_told_apart(void **state)
{
    static const char *const large[] = { "16E", "99999999999999999999", "99999999999999999999b",
                                         "18446744073709551615", "0x10000000000000000" };
    u64 size;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(large); i++)
        assert_int_equal(number_parse_size(large[i], MIB(1), &size), NUMBER_RANGE);
    assert_int_equal(number_parse_size("18446744073709551615b", MIB(1), &size), NUMBER_OK);
    assert_int_equal(size, UINT64_MAX);
}

static void numbers_are_decimal_or_hex(void **state)
{
    u64 value;

    (void)state;
    assert_int_equal(number_parse("1234", UINT64_MAX, &value), NUMBER_OK);
    assert_int_equal(value, 1234);
    assert_int_equal(number_parse("0x3f8", UINT64_MAX, &value), NUMBER_OK);
    assert_int_equal(value, 0x3F8);
    assert_int_equal(number_parse("18446744073709551615", UINT64_MAX, &value), NUMBER_OK);
    assert_int_equal(value, UINT64_MAX);
    assert_int_equal(number_parse("18446744073709551616", UINT64_MAX, &value), NUMBER_RANGE);
    assert_int_equal(number_parse("256", 255, &value), NUMBER_RANGE);
    assert_int_equal(number_parse("12k", UINT64_MAX, &value), NUMBER_BAD);
    assert_int_equal(number_parse("3f8", UINT64_MAX, &value), NUMBER_BAD);
    assert_int_equal(number_parse("", UINT64_MAX, &value), NUMBER_BAD);
}

static const char *nearest(const char *word)
{
    static const char *const names[] = {
        "serial", "kernel", "initrd", "m", "smp", "virtio-blk-device", "virtio-net-device"
    };
    struct suggest suggest;

    suggest_init(&suggest, word);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        suggest_try(&suggest, names[i]);
    return suggest.best ? suggest.best : "";
}

static void typing_errors_find_their_name(void **state)
{
    (void)state;
    assert_string_equal(nearest("seral"), "serial");
    assert_string_equal(nearest("serrial"), "serial");
    assert_string_equal(nearest("sreial"), "serial");
    assert_string_equal(nearest("SERIAL"), "serial");
    assert_string_equal(nearest("kern"), "kernel"); /* a beginning */
    assert_string_equal(nearest("sm"), "smp");
    assert_string_equal(nearest("virtio-nte-device"), "virtio-net-device");
}

static void far_words_find_nothing(void **state)
{
    char word[200];

    (void)state;
    assert_string_equal(nearest("drive"), "");
    assert_string_equal(nearest("x"), "");
    assert_string_equal(nearest(""), "");
    for (size_t i = 0; i < sizeof(word); i++)
        word[i] = i + 1 < sizeof(word) ? 's' : 0;
    assert_string_equal(nearest(word), "");
}

static void suggestion_is_appended_to_the_message(void **state)
{
    struct suggest suggest;
    struct error err;

    (void)state;
    suggest_init(&suggest, "kernl");
    suggest_try(&suggest, "kernel");
    error_set(&err, "-kernl: invalid option");
    assert_false(suggest_append(&suggest, "-", &err));
    assert_string_equal(err.text, "-kernl: invalid option; did you mean '-kernel'?");
    suggest_init(&suggest, "zzzzz");
    suggest_append(&suggest, "-", &err);
    assert_string_equal(err.text, "-kernl: invalid option; did you mean '-kernel'?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_count_their_unit_or_their_suffix),
        cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(sizes_beyond_64_bits_are_told_apart),
        cmocka_unit_test(numbers_are_decimal_or_hex),
        cmocka_unit_test(typing_errors_find_their_name),
        cmocka_unit_test(far_words_find_nothing),
        cmocka_unit_test(suggestion_is_appended_to_the_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
