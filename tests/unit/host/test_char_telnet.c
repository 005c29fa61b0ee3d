/* SPDX-License-Identifier: MIT */
/* The telnet protocol of a console: what is data, what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "host/char_telnet.h"

static struct char_telnet telnet;
static unsigned breaks;

static void expect(const char *input, size_t size, const char *output, size_t output_size)
{
    u8 data[64];

    memcpy(data, input, size);
    assert_int_equal(char_telnet_decode(&telnet, data, size, &breaks), output_size);
    assert_memory_equal(data, output, output_size);
}

#define EXPECT(input, output) expect(input, sizeof(input) - 1, output, sizeof(output) - 1)

static int setup(void **state)
{
    (void)state;
    telnet = (struct char_telnet){ TELNET_DATA };
    breaks = 0;
    return 0;
}

static void plain_data_passes(void **state)
{
    (void)state;
    EXPECT("ls -l\n\x03\xfe", "ls -l\n\x03\xfe");
}

static void negotiation_is_taken_out(void **state)
{
    (void)state;
    EXPECT("a\xff\xfd\x01"
           "b\xff\xfb\x00"
           "c\xff\xfc\x18"
           "d\xff\xfe\x03"
           "e",
           "abcde");
    EXPECT("x\xff\xf1y", "xy");
}

static void negotiation_may_be_cut_anywhere(void **state)
{
    (void)state;
    EXPECT("a\xff", "a");
    EXPECT("\xfd", "");
    EXPECT("\x01"
           "b",
           "b");
}

static void doubled_iac_is_one_byte_of_data(void **state)
{
    (void)state;
    EXPECT("\xff\xff", "\xff");
}

static void subnegotiation_is_skipped_whole(void **state)
{
    (void)state;
    EXPECT("a\xff\xfa\x1f\x00\x50\xff\xff\x18\xff\xf0"
           "b",
           "ab");
}

static void nul_after_cr_is_dropped(void **state)
{
    (void)state;
    EXPECT("a\r\0b\0\r", "a\rb\0\r");
    EXPECT("\0z", "z");
    EXPECT("\r\r\0\r\n", "\r\r\r\n");
}

static void break_is_counted(void **state)
{
    (void)state;
    EXPECT("a\xff\xf3"
           "b\xff\xf3",
           "ab");
    assert_int_equal(breaks, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(plain_data_passes, setup),
        cmocka_unit_test_setup(negotiation_is_taken_out, setup),
        cmocka_unit_test_setup(negotiation_may_be_cut_anywhere, setup),
        cmocka_unit_test_setup(doubled_iac_is_one_byte_of_data, setup),
        cmocka_unit_test_setup(subnegotiation_is_skipped_whole, setup),
        cmocka_unit_test_setup(nul_after_cr_is_dropped, setup),
        cmocka_unit_test_setup(break_is_counted, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
