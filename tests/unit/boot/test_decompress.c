/* SPDX-License-Identifier: MIT */
/* Payloads of every format: whole, in part, and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "boot/decompress.h"
#include "unit/boot/fixture.h"

#define TEST_SIZE (MIB(9) + 4321) /* more than one block of LZ4 */

static const enum payload_format test_formats[] = { PAYLOAD_GZIP, PAYLOAD_LZ4, PAYLOAD_ZSTD,
                                                    PAYLOAD_XZ, PAYLOAD_LZMA };

static struct {
    u8 *data;
    u8 *out; /* TEST_SIZE and 4096 guard bytes */
    struct blob packed[ARRAY_SIZE(test_formats)];
} test;

/* Half noise, half repetition. */
static int group_setup(void **state)
{
    u32 random = 1;

    (void)state;
    test.data = malloc(TEST_SIZE);
    test.out = malloc(TEST_SIZE + 4096);
    for (size_t i = 0; i < TEST_SIZE; i++) {
        random = random * 1664525 + 1013904223;
        test.data[i] = i & 0x1000 ? (u8)(random >> 24) : (u8)(i >> 6);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(test_formats); i++)
        test.packed[i] = fixture_compress(test_formats[i], test.data, TEST_SIZE);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(test_formats); i++)
        free(test.packed[i].data);
    free(test.data);
    free(test.out);
    return 0;
}

/* Unpack to `capacity` bytes and look that nothing behind them was touched. */
static bool unpack(const u8 *data, u64 packed_size, u64 capacity, u64 *size, bool *whole)
{
    struct payload payload;
    struct error err = { "" };
    bool ok;

    memset(test.out + capacity, 0xEE, 64);
    payload_init(&payload, data, packed_size);
    ok = payload_unpack(&payload, test.out, capacity, size, whole, &err);
    assert_int_equal(ok, err.text[0] == 0);
    assert_true(*size <= capacity);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(test.out[capacity + i], 0xEE);
    return ok;
}

static void formats_are_told_by_their_first_bytes(void **state)
{
    struct payload payload;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(test_formats); i++) {
        payload_init(&payload, test.packed[i].data, test.packed[i].size);
        assert_int_equal(payload.format, test_formats[i]);
        assert_int_equal(payload.unpacked_size, TEST_SIZE);
        assert_true(payload_supported(payload.format));
        assert_int_equal(payload.size,
                         test.packed[i].size - (test_formats[i] == PAYLOAD_GZIP ? 0 : 4));
    }
}

static void others_are_left_alone(void **state)
{
    static const struct {
        const char *bytes;
        enum payload_format format;
        const char *name;
    } cases[] = {
        { "BZh91AY&SY......", PAYLOAD_BZIP2, "BZIP2" },
        { "\x89LZO\0\r\n\x1a\n.......", PAYLOAD_LZO, "LZO" },
        { "MZ..............", PAYLOAD_UNKNOWN, "unknown" },
    };
    struct payload payload;
    struct error err;
    bool whole;
    u64 size;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        payload_init(&payload, (const u8 *)cases[i].bytes, 16);
        assert_int_equal(payload.format, cases[i].format);
        assert_false(payload_supported(payload.format));
        assert_string_equal(payload_name(payload.format), cases[i].name);
        assert_false(payload_unpack(&payload, test.out, 16, &size, &whole, &err));
    }
    payload_init(&payload, test.packed[0].data, 9); /* too short to be anything */
    assert_int_equal(payload.format, PAYLOAD_UNKNOWN);
    payload_init(&payload, NULL, 0);
    assert_int_equal(payload.format, PAYLOAD_UNKNOWN);
}

static void an_elf_file_is_copied(void **state)
{
    struct blob vmlinux = fixture_vmlinux(NULL);
    bool whole;
    u64 size;

    (void)state;
    assert_true(unpack(vmlinux.data, vmlinux.size, TEST_SIZE, &size, &whole));
    assert_true(whole);
    assert_int_equal(size, vmlinux.size);
    assert_memory_equal(test.out, vmlinux.data, size);
    assert_true(unpack(vmlinux.data, vmlinux.size, 100, &size, &whole));
    assert_false(whole);
    free(vmlinux.data);
}

static void all_formats_unpack_whole(void **state)
{
    bool whole;
    u64 size;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(test_formats); i++) {
        memset(test.out, 0, TEST_SIZE);
        assert_true(
            unpack(test.packed[i].data, test.packed[i].size, TEST_SIZE + 100, &size, &whole));
        assert_true(whole);
        assert_int_equal(size, TEST_SIZE);
        assert_memory_equal(test.out, test.data, TEST_SIZE);
    }
}

static void a_buffer_of_the_exact_size_is_enough(void **state)
{
    bool whole;
    u64 size;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(test_formats); i++) {
        memset(test.out, 0, TEST_SIZE);
        assert_true(unpack(test.packed[i].data, test.packed[i].size, TEST_SIZE, &size, &whole));
        assert_true(whole);
        assert_int_equal(size, TEST_SIZE);
        assert_memory_equal(test.out, test.data, TEST_SIZE);
    }
}

static void the_beginning_can_be_had_alone(void **state)
{
    static const u64 capacities[] = { 0, 1, 4096, MIB(8) - 1, MIB(8), MIB(8) + 1, TEST_SIZE - 1 };
    bool whole;
    u64 size;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(test_formats); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(capacities); j++) {
            assert_true(
                unpack(test.packed[i].data, test.packed[i].size, capacities[j], &size, &whole));
            assert_false(whole);
            assert_int_equal(size, capacities[j]);
            assert_memory_equal(test.out, test.data, size);
        }
    }
}

static void a_size_that_lies_does_no_harm(void **state)
{
    static const u32 sizes[] = { 0, 1, TEST_SIZE - 1, TEST_SIZE + 1, 0xFFFFFFFF };
    bool whole;
    u64 size;

    (void)state;
    for (unsigned i = 1; i < ARRAY_SIZE(test_formats); i++) {
        struct blob *packed = &test.packed[i];

        for (unsigned j = 0; j < ARRAY_SIZE(sizes); j++) {
            fixture_put32(packed, packed->size - 4, sizes[j]);
            assert_true(unpack(packed->data, packed->size, 4096, &size, &whole));
            assert_int_equal(size, 4096);
            assert_false(whole);
        }
        fixture_put32(packed, packed->size - 4, TEST_SIZE);
    }
}

/* A cut payload never comes out whole; what comes out of it is right as far as it goes. */
static void cut_payloads_are_never_whole(void **state)
{
    bool whole;
    u64 size;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(test_formats); i++) {
        for (u64 cut = 16; cut < test.packed[i].size - 8; cut += test.packed[i].size / 7) {
            u8 *exact = malloc(cut);

            memcpy(exact, test.packed[i].data, cut);
            if (unpack(exact, cut, TEST_SIZE, &size, &whole) && whole)
                assert_true(size < TEST_SIZE); /* LZ4 has no end mark */
            free(exact);
        }
    }
}

static void damaged_payloads_stay_in_bounds(void **state)
{
    u32 random = 12345;
    bool whole;
    u64 size;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(test_formats); i++) {
        struct blob *packed = &test.packed[i];

        for (unsigned round = 0; round < 12; round++) {
            size_t at;
            u8 saved;

            random = random * 1664525 + 1013904223;
            at = 6 + (round < 8 ? random % 64 : random % (packed->size - 6));
            saved = packed->data[at];
            packed->data[at] ^= (u8)(1 + (random >> 8) % 255);
            if (unpack(packed->data, packed->size, MIB(1), &size, &whole))
                assert_true(size <= MIB(1));
            packed->data[at] = saved;
        }
    }
}

static void bad_lz4_blocks_are_refused(void **state)
{
    u8 data[32] = { 0x02, 0x21, 0x4C, 0x18 };
    struct blob blob = { data, sizeof(data) };
    bool whole;
    u64 size;

    (void)state;
    fixture_put32(&blob, 4, 21); /* one more than there is */
    assert_false(unpack(data, sizeof(data), 4096, &size, &whole));
    fixture_put32(&blob, 4, 0xFFFFFFFF);
    assert_false(unpack(data, sizeof(data), 4096, &size, &whole));
    fixture_put32(&blob, 4, 20); /* whole, but a match before the beginning */
    memset(data + 8, 0x0F, 20);
    assert_false(unpack(data, sizeof(data), 4096, &size, &whole));
}

static void lz4_frames_may_follow_each_other(void **state)
{
    const char text[] = "two frames, one after the other";
    struct blob one = fixture_compress(PAYLOAD_LZ4, (const u8 *)text, sizeof(text));
    size_t frame = one.size - 4;
    u8 *two = malloc(2 * frame + 4);
    bool whole;
    u64 size;

    (void)state;
    memcpy(two, one.data, frame);
    memcpy(two + frame, one.data, one.size);
    assert_true(unpack(two, 2 * frame + 4, 4096, &size, &whole));
    assert_true(whole);
    assert_int_equal(size, 2 * sizeof(text));
    assert_memory_equal(test.out + sizeof(text), text, sizeof(text));
    free(one.data);
    free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_told_by_their_first_bytes),
        cmocka_unit_test(others_are_left_alone),
        cmocka_unit_test(an_elf_file_is_copied),
        cmocka_unit_test(all_formats_unpack_whole),
        cmocka_unit_test(a_buffer_of_the_exact_size_is_enough),
        cmocka_unit_test(the_beginning_can_be_had_alone),
        cmocka_unit_test(a_size_that_lies_does_no_harm),
        cmocka_unit_test(cut_payloads_are_never_whole),
        cmocka_unit_test(damaged_payloads_stay_in_bounds),
        cmocka_unit_test(bad_lz4_blocks_are_refused),
        cmocka_unit_test(lz4_frames_may_follow_each_other),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
