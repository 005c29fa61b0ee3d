/* SPDX-License-Identifier: MIT */
/* String instructions, single and repeated: runs, overlaps, faults in the middle, requests. SDM vol. 1, 7.3.9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "accel/soft/fault.h"
#include "fixture.h"

#define PAGE(n) (FX_BASE + (n)*0x1000u)

static int setup64(void **state)
{
    *state = fx_new(FX_64);
    return 0;
}

static int setup32(void **state)
{
    *state = fx_new(FX_32);
    return 0;
}

static int setup16(void **state)
{
    *state = fx_new(FX_16);
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static u64 *gpr(struct fx *fx)
{
    return fx->cpu->gpr;
}

static void string_set(struct fx *fx, u64 rsi, u64 rdi, u64 rcx)
{
    gpr(fx)[RSI] = rsi;
    gpr(fx)[RDI] = rdi;
    gpr(fx)[RCX] = rcx;
}

static void assert_string(struct fx *fx, u64 rsi, u64 rdi, u64 rcx)
{
    assert_true(gpr(fx)[RSI] == rsi);
    assert_true(gpr(fx)[RDI] == rdi);
    assert_true(gpr(fx)[RCX] == rcx);
}

static void fill_pattern(struct fx *fx)
{
    for (unsigned i = 0; i < FX_SIZE; i++)
        fx->ram[i] = (u8)(i * 7 + (i >> 8));
}

/* --- Single elements --- */

static void single_moves_step_by_size_and_direction(void **state)
{
    struct fx *fx = *state;

    fx_set(fx, PAGE(0), 8, 0x1122334455667788);
    string_set(fx, PAGE(0), PAGE(1), 5);
    FX_RUN(fx, 0x48, 0xA5);
    assert_true(fx_get(fx, PAGE(1), 8) == 0x1122334455667788);
    assert_string(fx, PAGE(0) + 8, PAGE(1) + 8, 5);
    fx->cpu->sflags |= FLAG_DF;
    FX_RUN(fx, 0x66, 0xA5);
    assert_string(fx, PAGE(0) + 6, PAGE(1) + 6, 5);
}

static void single_compares_set_flags(void **state)
{
    struct fx *fx = *state;

    fx_set(fx, PAGE(0), 1, 1);
    fx_set(fx, PAGE(1), 1, 2);
    string_set(fx, PAGE(0), PAGE(1), 0);
    FX_RUN(fx, 0xA6);
    assert_int_equal(fx_flags(fx) & (FLAG_CF | FLAG_ZF), FLAG_CF); /* 1 - 2 */
    gpr(fx)[RAX] = 2;
    gpr(fx)[RDI] = PAGE(1);
    FX_RUN(fx, 0xAE);
    assert_int_equal(fx_flags(fx) & (FLAG_CF | FLAG_ZF), FLAG_ZF);
    gpr(fx)[RSI] = PAGE(1);
    FX_RUN(fx, 0xAC);
    assert_int_equal(gpr(fx)[RAX], 2);
}

/* --- Runs --- */

/* Every overlap, size and direction against the definition. */
static void repeated_moves_equal_the_definition(void **state)
{
    struct fx *fx = *state;
    u8 *expected = malloc(FX_SIZE);

    for (int distance = -20; distance <= 20; distance++) {
        for (unsigned variant = 0; variant < 16; variant++) {
            unsigned size = 1u << (variant & 3), count = 600;
            bool down = variant & 4, slow = variant & 8;
            u64 src = PAGE(2) + 5 - (down ? 0 : 400 * size), dst = src + (u64)(i64)distance;
            u8 code[3] = { 0xF3,
                           size == 2   ? 0x66
                           : size == 8 ? 0x48
                                       : 0x2E,
                           size == 1 ? 0xA4 : 0xA5 };
            int step = down ? -(int)size : (int)size;

            fill_pattern(fx);
            memcpy(expected, fx->ram, FX_SIZE);
            for (unsigned i = 0; i < count; i++) {
                u8 element[8];

                memcpy(element, expected + (src - FX_BASE) + (i64)i * step, size);
                memcpy(expected + (dst - FX_BASE) + (i64)i * step, element, size);
            }
            fx->mmio[1] = slow; /* part of it by single elements */
            fx_tlb_fill(fx);
            fx->cpu->sflags = down ? FLAG_DF : 0;
            string_set(fx, src, dst, count);
            assert_int_equal(fx_run(fx, code, 3), FX_NO_FAULT);
            assert_memory_equal(fx->ram, expected, FX_SIZE);
            assert_string(fx, src + (u64)((i64)count * step), dst + (u64)((i64)count * step), 0);
        }
    }
    free(expected);
}

static void repeated_stores_fill(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0x1122334455667788;
    string_set(fx, 0, PAGE(0) + 3, 1000);
    FX_RUN(fx, 0xF3, 0x48, 0xAB);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(fx_get(fx, PAGE(0) + 3 + i * 8, 8) == 0x1122334455667788);
    assert_int_equal(fx_get(fx, PAGE(0) + 3 + 8000, 1), 0);
    assert_int_equal(fx_get(fx, PAGE(0) + 2, 1), 0);
    assert_string(fx, 0, PAGE(0) + 3 + 8000, 0);
    fx->cpu->sflags = FLAG_DF;
    string_set(fx, 0, PAGE(3), 0x1800);
    FX_RUN(fx, 0xF3, 0xAA);
    assert_int_equal(fx_get(fx, PAGE(3) - 0x17FF, 1), 0x88);
    assert_int_equal(fx_get(fx, PAGE(3), 1), 0x88);
    assert_string(fx, 0, PAGE(3) - 0x1800, 0);
}

static void a_count_of_zero_does_nothing(void **state)
{
    struct fx *fx = *state;

    string_set(fx, 0, 0, 0);
    fx->cpu->aflags = FLAG_CF;
    assert_int_equal(FX_RUN(fx, 0xF3, 0xA4), FX_NO_FAULT);
    assert_int_equal(FX_RUN(fx, 0xF3, 0xA6), FX_NO_FAULT);
    assert_string(fx, 0, 0, 0);
    assert_int_equal(fx_flags(fx), FLAG_CF);
    assert_int_equal(fx->cpu->rip, 0x1004);
}

static void repeated_loads_keep_the_last(void **state)
{
    struct fx *fx = *state;

    fx_set(fx, PAGE(1) + 0x10, 4, 0xCAFE);
    string_set(fx, PAGE(0), 0, 0x405);
    FX_RUN(fx, 0xF3, 0xAD);
    assert_int_equal(gpr(fx)[RAX], 0xCAFE);
    assert_string(fx, PAGE(1) + 0x14, 0, 0);
}

/* --- Compares --- */

static void repne_scas_stops_after_the_match(void **state)
{
    struct fx *fx = *state;

    fx_set(fx, PAGE(1) + 7, 1, 'x');
    gpr(fx)[RAX] = 'x';
    string_set(fx, 0, PAGE(0) + 0xFF0, 100);
    FX_RUN(fx, 0xF2, 0xAE);
    assert_string(fx, 0, PAGE(1) + 8, 100 - 24);
    assert_int_equal(fx_flags(fx) & FLAG_ZF, FLAG_ZF);
    FX_RUN(fx, 0xF2, 0xAE); /* not found */
    assert_string(fx, 0, PAGE(1) + 8 + 76, 0);
    assert_int_equal(fx_flags(fx) & FLAG_ZF, 0);
}

static void repe_cmps_stops_after_the_difference(void **state)
{
    struct fx *fx = *state;

    for (unsigned slow = 0; slow < 2; slow++) {
        fx->mmio[0] = slow;
        fx_set(fx, PAGE(0) + 40, 4, 5);
        fx_set(fx, PAGE(1) + 40, 4, 3);
        string_set(fx, PAGE(0), PAGE(1), 50);
        FX_RUN(fx, 0xF3, 0xA7);
        assert_string(fx, PAGE(0) + 44, PAGE(1) + 44, 39);
        assert_int_equal(fx_flags(fx) & (FLAG_ZF | FLAG_CF), 0);
        fx->cpu->sflags = FLAG_DF;
        string_set(fx, PAGE(0) + 80, PAGE(1) + 80, 50);
        FX_RUN(fx, 0xF3, 0xA7);
        assert_string(fx, PAGE(0) + 36, PAGE(1) + 36, 39);
        fx->cpu->sflags = 0;
    }
}

/* --- Faults and interruptions --- */

static void a_fault_in_the_middle_finds_exact_registers(void **state)
{
    struct fx *fx = *state;

    fill_pattern(fx);
    fx->writable[3] = false;
    fx_tlb_fill(fx);
    string_set(fx, PAGE(0), PAGE(3) - 0x1004, 0x700);
    assert_int_equal(FX_RUN(fx, 0xF3, 0xA5), VEC_PF);
    assert_int_equal(fx->cr2, PAGE(3));
    assert_int_equal(fx->rip_fault, 0x1000);
    assert_string(fx, PAGE(1) + 4, PAGE(3), 0x700 - 0x401);
    fx->writable[3] = true;
    assert_int_equal(FX_RUN(fx, 0xF3, 0xA5), FX_NO_FAULT);
    assert_memory_equal(fx->ram + 0x1FFC, fx->ram, 0x1C00);
}

static void a_fault_in_a_compare_finds_the_old_flags(void **state)
{
    struct fx *fx = *state;

    fx->readable[2] = false;
    fx_tlb_fill(fx);
    fx->cpu->aflags = FLAG_CF | FLAG_OF;
    string_set(fx, PAGE(2) - 8, PAGE(0), 5);
    assert_int_equal(FX_RUN(fx, 0xF3, 0xA7), VEC_PF);
    assert_string(fx, PAGE(2), PAGE(0) + 8, 3);
    assert_int_equal(fx_flags(fx), FLAG_CF | FLAG_OF);
}

static void a_fault_inside_an_element_stops_before_it(void **state)
{
    struct fx *fx = *state;

    fx->readable[2] = false;
    fx_tlb_fill(fx);
    string_set(fx, PAGE(2) - 10, PAGE(0), 5);
    assert_int_equal(FX_RUN(fx, 0xF3, 0xA5), VEC_PF);
    assert_int_equal(fx->cr2, PAGE(2));
    assert_string(fx, PAGE(2) - 2, PAGE(0) + 8, 3);
}

static void requests_leave_between_runs(void **state)
{
    struct fx *fx = *state;

    fx->request_after = 2;
    string_set(fx, PAGE(0), PAGE(2), 0x2000);
    FX_RUN(fx, 0xF3, 0xA4);
    assert_string(fx, PAGE(1), PAGE(3), 0x1000);
    assert_int_equal(fx->cpu->rip, 0x1000);
    fx->vcpu.requests = 0;
    fx->request_after = 0;
    FX_RUN(fx, 0xF3, 0xA4);
    assert_string(fx, PAGE(2), PAGE(3) + 0x1000, 0);
    assert_int_equal(fx->cpu->rip, 0x1002);
}

static void single_step_sees_each_element(void **state)
{
    struct fx *fx = *state;

    fx->cpu->mode |= MODE_STEP;
    string_set(fx, PAGE(0), PAGE(1), 2);
    FX_RUN(fx, 0xF3, 0xA4);
    assert_string(fx, PAGE(0) + 1, PAGE(1) + 1, 1);
    assert_int_equal(fx->cpu->rip, 0x1000);
    FX_RUN(fx, 0xF3, 0xA4);
    assert_int_equal(fx->cpu->rip, 0x1002);
}

static void stores_to_code_are_told(void **state)
{
    struct fx *fx = *state;

    fx->code_pages[1] = 1;
    string_set(fx, PAGE(0), PAGE(1), 0x1001);
    FX_RUN(fx, 0xF3, 0xA4);
    assert_int_equal(fx->code_writes, 1);
}

/* --- Segments and sizes --- */

static void the_source_segment_can_be_overridden(void **state)
{
    struct fx *fx = *state;

    fx->cpu->seg[SEG_GS].base = PAGE(0);
    fx_set(fx, PAGE(0) + 0x20, 8, 0x1234567);
    string_set(fx, 0x20, PAGE(1), 1);
    FX_RUN(fx, 0xF3, 0x65, 0x48, 0xA5);
    assert_true(fx_get(fx, PAGE(1), 8) == 0x1234567);
}

static void address_size_cuts_the_registers(void **state)
{
    struct fx *fx = *state;

    string_set(fx, 0xA00000000 + PAGE(0), 0xB00000000 + PAGE(1), 0xC00000002);
    FX_RUN(fx, 0x67, 0xF3, 0xA4);
    assert_string(fx, PAGE(0) + 2, PAGE(1) + 2, 0);
}

static void offsets_of_16_bits_wrap(void **state)
{
    struct fx *fx = *state;

    fx->cpu->seg[SEG_DS].base = FX_BASE - 0xF000;
    fx->cpu->seg[SEG_ES].base = FX_BASE;
    fx_set(fx, FX_BASE + 0xFFE, 2, 0x2211);
    string_set(fx, 0xABCDFFFE, 0x100, 0xFFFF0002);
    FX_RUN(fx, 0xF3, 0xA4);
    assert_string(fx, 0xABCD0000, 0x102, 0xFFFF0000);
    assert_int_equal(fx_get(fx, FX_BASE + 0x100, 2), 0x2211);
}

static void segment_limits_stop_a_run(void **state)
{
    struct fx *fx = *state;

    fx->cpu->seg[SEG_ES].base = FX_BASE;
    fx->cpu->seg[SEG_ES].limit = 0x1FF;
    string_set(fx, PAGE(1), 0x100, 0x200);
    assert_int_equal(FX_RUN(fx, 0xF3, 0xA4), VEC_GP);
    assert_string(fx, PAGE(1) + 0x100, 0x200, 0x100);
}

int main(void)
{
#define TEST64(f) cmocka_unit_test_setup_teardown(f, setup64, teardown)
#define TEST32(f) cmocka_unit_test_setup_teardown(f, setup32, teardown)
#define TEST16(f) cmocka_unit_test_setup_teardown(f, setup16, teardown)
    const struct CMUnitTest tests[] = {
        TEST64(single_moves_step_by_size_and_direction),
        TEST64(single_compares_set_flags),
        TEST64(repeated_moves_equal_the_definition),
        TEST64(repeated_stores_fill),
        TEST64(a_count_of_zero_does_nothing),
        TEST64(repeated_loads_keep_the_last),
        TEST64(repne_scas_stops_after_the_match),
        TEST64(repe_cmps_stops_after_the_difference),
        TEST64(a_fault_in_the_middle_finds_exact_registers),
        TEST64(a_fault_in_a_compare_finds_the_old_flags),
        TEST64(a_fault_inside_an_element_stops_before_it),
        TEST64(requests_leave_between_runs),
        TEST64(single_step_sees_each_element),
        TEST64(stores_to_code_are_told),
        TEST64(the_source_segment_can_be_overridden),
        TEST64(address_size_cuts_the_registers),
        TEST16(offsets_of_16_bits_wrap),
        TEST32(segment_limits_stop_a_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
