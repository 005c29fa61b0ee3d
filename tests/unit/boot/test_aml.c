/* SPDX-License-Identifier: MIT */
/* AML encodings at their edges (ACPI 6.4, chapter 20). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "boot/aml.h"

static void expect(const struct aml *aml, const u8 *bytes, size_t size)
{
    assert_false(aml->overflow);
    assert_int_equal(aml->size, size);
    assert_memory_equal(aml->data, bytes, size);
}

#define EXPECT(aml, ...) \
    expect(aml, (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

static void integers_take_their_shortest_form(void **state)
{
    u8 buffer[64];
    struct aml aml;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    aml_integer(&aml, 0);
    aml_integer(&aml, 1);
    aml_integer(&aml, 2);
    aml_integer(&aml, 0xFF);
    aml_integer(&aml, 0x100);
    aml_integer(&aml, 0xFFFF);
    aml_integer(&aml, 0x10000);
    EXPECT(&aml, 0x00, 0x01, 0x0A, 2, 0x0A, 0xFF, 0x0B, 0, 1, 0x0B, 0xFF, 0xFF, 0x0C, 0, 0, 1, 0);
}

static void short_names_are_filled_up(void **state)
{
    u8 buffer[64];
    struct aml aml;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    aml_name_integer(&aml, "_S5", 5);
    EXPECT(&aml, 0x08, '_', 'S', '5', '_', 0x0A, 5);
}

static void strings_end_in_nul(void **state)
{
    u8 buffer[64];
    struct aml aml;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    aml_name_string(&aml, "_UID", "GED");
    EXPECT(&aml, 0x08, '_', 'U', 'I', 'D', 0x0D, 'G', 'E', 'D', 0);
}

static void eisa_ids_are_compressed(void **state)
{
    u8 buffer[64];
    struct aml aml;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    aml_eisa_id(&aml, "PNP0501");
    aml_eisa_id(&aml, "PNP0C0F");
    EXPECT(&aml, 0x0C, 0x41, 0xD0, 0x05, 0x01, 0x0C, 0x41, 0xD0, 0x0C, 0x0F);
}

static void expect_package(size_t content, const u8 *length, size_t length_size)
{
    size_t room = content + 16;
    u8 *buffer = calloc(1, room);
    struct aml aml;
    size_t start;

    aml_init(&aml, buffer, room);
    start = aml_open(&aml, 0x10);
    for (size_t i = 0; i < content; i++)
        aml_byte(&aml, 0xA5);
    aml_close(&aml, start);
    assert_false(aml.overflow);
    assert_int_equal(aml.size, 1 + length_size + content);
    assert_int_equal(buffer[0], 0x10);
    assert_memory_equal(buffer + 1, length, length_size);
    if (content) {
        assert_int_equal(buffer[1 + length_size], 0xA5);
        assert_int_equal(buffer[length_size + content], 0xA5);
    }
    free(buffer);
}

/* 20.2.4: the length counts itself, so the form changes one byte before the limit. */
static void package_lengths_grow_at_their_limits(void **state)
{
    (void)state;
    expect_package(0, (const u8[]){ 0x01 }, 1);
    expect_package(62, (const u8[]){ 0x3F }, 1);
    expect_package(63, (const u8[]){ 0x41, 0x04 }, 2);
    expect_package(0xFFD, (const u8[]){ 0x4F, 0xFF }, 2);
    expect_package(0xFFE, (const u8[]){ 0x81, 0x00, 0x01 }, 3);
    expect_package(0xFFFFC, (const u8[]){ 0x8F, 0xFF, 0xFF }, 3);
    expect_package(0xFFFFD, (const u8[]){ 0xC1, 0x00, 0x00, 0x01 }, 4);
}

static void packages_nest(void **state)
{
    u8 buffer[64];
    struct aml aml;
    size_t outer, inner;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    outer = aml_open_device(&aml, "AB");
    inner = aml_open_extended(&aml, 0x81);
    aml_byte(&aml, 7);
    aml_close(&aml, inner);
    aml_close(&aml, outer);
    EXPECT(&aml, 0x5B, 0x82, 9, 'A', 'B', '_', '_', 0x5B, 0x81, 2, 7);
}

static void resources_count_their_bytes(void **state)
{
    u8 buffer[64];
    struct aml aml;
    size_t start;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    start = aml_open_resources(&aml);
    aml_resource_io(&aml, 0x3F8, 0, 8);
    aml_resource_irq(&aml, 4);
    aml_close_resources(&aml, start);
    EXPECT(&aml, 0x08, '_', 'C', 'R', 'S', 0x11, 16, 0x0A, 13, 0x47, 1, 0xF8, 3, 0xF8, 3, 0, 8,
           0x22, 0x10, 0, 0x79, 0);
}

static void memory_and_interrupt_descriptors(void **state)
{
    u8 buffer[64];
    struct aml aml;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    aml_resource_memory32(&aml, 0xFEB00E00, 0x200);
    aml_resource_interrupt(&aml, 12, false);
    aml_resource_interrupt(&aml, 9, true);
    EXPECT(&aml, 0x86, 9, 0, 1, 0x00, 0x0E, 0xB0, 0xFE, 0, 2, 0, 0, 0x89, 6, 0, 1, 1, 12, 0, 0, 0,
           0x89, 6, 0, 3, 1, 9, 0, 0, 0);
}

static void running_out_of_space_is_remembered(void **state)
{
    u8 buffer[8] = { 0 };
    struct aml aml;
    size_t start;

    (void)state;
    aml_init(&aml, buffer, 6);
    start = aml_open(&aml, 0x10);
    aml_dword(&aml, 0x11223344);
    assert_false(aml.overflow);
    aml_word(&aml, 0x5566);
    assert_true(aml.overflow);
    aml_byte(&aml, 1); /* would fit, but nothing may follow a gap */
    aml_close(&aml, start);
    assert_int_equal(aml.size, 5);
    assert_int_equal(buffer[5], 0);
    assert_int_equal(buffer[6], 0);
}

static void closing_without_space_for_the_length_overflows(void **state)
{
    u8 buffer[8] = { 0 };
    struct aml aml;
    size_t start;

    (void)state;
    aml_init(&aml, buffer, 5);
    start = aml_open_resources(&aml);
    aml_close_resources(&aml, start);
    assert_true(aml.overflow);
    assert_int_equal(buffer[5], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_take_their_shortest_form),
        cmocka_unit_test(short_names_are_filled_up),
        cmocka_unit_test(strings_end_in_nul),
        cmocka_unit_test(eisa_ids_are_compressed),
        cmocka_unit_test(package_lengths_grow_at_their_limits),
        cmocka_unit_test(packages_nest),
        cmocka_unit_test(resources_count_their_bytes),
        cmocka_unit_test(memory_and_interrupt_descriptors),
        cmocka_unit_test(running_out_of_space_is_remembered),
        cmocka_unit_test(closing_without_space_for_the_length_overflows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
