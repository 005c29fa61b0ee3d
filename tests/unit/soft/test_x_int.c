/* SPDX-License-Identifier: MIT */
/* Arithmetic, shifts, multiplication and division; memory operands and their faults. Values from SDM vol. 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/fault.h"
#include "fixture.h"

#define CF       FLAG_CF
#define PF       FLAG_PF
#define AF       FLAG_AF
#define ZF       FLAG_ZF
#define SF       FLAG_SF
#define OF       FLAG_OF

#define AT       (FX_BASE + 0x100)
#define PAGE_END (FX_BASE + 0x1000)

static int setup64(void **state)
{
    *state = fx_new(FX_64);
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

/* --- Arithmetic --- */

static void add_sets_carry_and_overflow(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0x7FFFFFFF;
    gpr(fx)[RCX] = 1;
    FX_RUN(fx, 0x01, 0xC8); /* add eax, ecx */
    assert_true(gpr(fx)[RAX] == 0x80000000);
    assert_int_equal(fx_flags(fx), OF | SF | AF | PF);
    gpr(fx)[RAX] = ~(u64)0;
    FX_RUN(fx, 0x48, 0x01, 0xC8);
    assert_true(gpr(fx)[RAX] == 0);
    assert_int_equal(fx_flags(fx), CF | ZF | AF | PF);
}

static void results_of_32_bits_clear_the_upper_half(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0x1122334455667788;
    gpr(fx)[RCX] = 1;
    FX_RUN(fx, 0x01, 0xC8);
    assert_true(gpr(fx)[RAX] == 0x55667789);
}

static void results_of_8_and_16_bits_merge(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0x11223344556677FF;
    gpr(fx)[RCX] = 0x0101;
    FX_RUN(fx, 0x00, 0xC8); /* add al, cl */
    assert_true(gpr(fx)[RAX] == 0x1122334455667700);
    FX_RUN(fx, 0x00, 0xEC); /* add ah, ch */
    assert_true(gpr(fx)[RAX] == 0x1122334455667800);
    FX_RUN(fx, 0x66, 0x01, 0xC8); /* add ax, cx */
    assert_true(gpr(fx)[RAX] == 0x1122334455667901);
}

static void adc_and_sbb_take_the_carry(void **state)
{
    struct fx *fx = *state;

    fx->cpu->aflags = CF;
    gpr(fx)[RAX] = 5;
    FX_RUN(fx, 0x83, 0xD0, 0x01); /* adc eax, 1 */
    assert_true(gpr(fx)[RAX] == 7);
    FX_RUN(fx, 0x83, 0xD8, 0x07); /* sbb eax, 7 */
    assert_true(gpr(fx)[RAX] == 0);
    assert_int_equal(fx_flags(fx), ZF | PF);
}

static void inc_and_dec_keep_the_carry(void **state)
{
    struct fx *fx = *state;

    fx->cpu->aflags = CF;
    gpr(fx)[RAX] = 0xFFFFFFFF;
    FX_RUN(fx, 0xFF, 0xC0);
    assert_int_equal(fx_flags(fx), CF | ZF | AF | PF);
    FX_RUN(fx, 0xFF, 0xC8);
    assert_int_equal(fx_flags(fx), CF | SF | AF | PF);
}

static void cmp_and_test_write_nothing_else(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0x1122334455667788;
    gpr(fx)[RCX] = 0x55667789;
    FX_RUN(fx, 0x39, 0xC8);
    assert_true(gpr(fx)[RAX] == 0x1122334455667788);
    assert_int_equal(fx_flags(fx) & (CF | ZF | SF), CF | SF);
    FX_RUN(fx, 0x3B, 0xC1); /* the other way round */
    assert_int_equal(fx_flags(fx) & (CF | ZF | SF), CF | SF);
    FX_RUN(fx, 0xA8, 0x77); /* test al, 0x77 */
    assert_int_equal(fx_flags(fx) & ~AF, ZF | PF);
}

static void not_keeps_the_flags(void **state)
{
    struct fx *fx = *state;

    fx->cpu->aflags = FLAGS_ARITH;
    FX_RUN(fx, 0xF7, 0xD0);
    assert_true(gpr(fx)[RAX] == 0xFFFFFFFF);
    assert_int_equal(fx_flags(fx), FLAGS_ARITH);
}

/* --- Memory operands --- */

static void memory_destinations_are_updated(void **state)
{
    struct fx *fx = *state;

    for (unsigned slow = 0; slow < 2; slow++) {
        if (slow)
            fx_tlb_clear(fx);
        fx_set(fx, AT, 8, 0xFFFFFFFF00000001);
        gpr(fx)[RBX] = AT - 8;
        gpr(fx)[RAX] = 2;
        assert_int_equal(FX_RUN(fx, 0x01, 0x43, 0x08), FX_NO_FAULT); /* add [rbx + 8], eax */
        assert_true(fx_get(fx, AT, 8) == 0xFFFFFFFF00000003);
        FX_RUN(fx, 0xF0, 0x83, 0x43, 0x08, 0x05); /* lock add dword [rbx + 8], 5 */
        assert_true(fx_get(fx, AT, 8) == 0xFFFFFFFF00000008);
    }
}

static void operands_cross_pages(void **state)
{
    struct fx *fx = *state;

    fx_set(fx, PAGE_END - 3, 8, 0x00000000FFFFFFFF);
    gpr(fx)[RBX] = PAGE_END - 3;
    gpr(fx)[RAX] = 1;
    FX_RUN(fx, 0x48, 0x01, 0x03);
    assert_true(fx_get(fx, PAGE_END - 3, 8) == 0x100000000);
    FX_RUN(fx, 0xF0, 0x48, 0x01, 0x03);
    assert_true(fx_get(fx, PAGE_END - 3, 8) == 0x100000001);
    FX_RUN(fx, 0x48, 0x8B, 0x0B);
    assert_true(gpr(fx)[RCX] == 0x100000001);
}

/* Every form with memory on a page that is missing, or read-only, leaves everything as it was. */
static void faults_change_nothing(void **state)
{
    static const u8 code[][6] = {
        { 2, 0x01, 0x03 },             /* add [rbx], eax */
        { 2, 0xFF, 0x03 },             /* inc */
        { 2, 0xD1, 0x13 },             /* rcl */
        { 3, 0x0F, 0xC1, 0x03 },       /* xadd */
        { 3, 0x0F, 0xB1, 0x03 },       /* cmpxchg */
        { 2, 0x87, 0x03 },             /* xchg */
        { 2, 0x89, 0x03 },             /* mov */
        { 3, 0x0F, 0xAB, 0x03 },       /* bts */
        { 3, 0x0F, 0xC7, 0x0B },       /* cmpxchg8b */
        { 2, 0x8F, 0x03 },             /* pop */
        { 4, 0x0F, 0xA4, 0x03, 0x03 }, /* shld */
    };
    struct fx *fx = *state;

    for (unsigned i = 0; i < 2 * ARRAY_SIZE(code); i++) {
        const u8 *c = code[i / 2];
        u64 before[GPR_COUNT];

        fx->writable[1] = false;
        fx->readable[1] = i & 1;
        fx_tlb_fill(fx);
        for (unsigned r = 0; r < 16; r++)
            gpr(fx)[r] = 0x10 + r;
        gpr(fx)[RBX] = PAGE_END - 1; /* the second page faults */
        gpr(fx)[RSP] = FX_BASE + 0x200;
        fx_set(fx, PAGE_END - 1, 8, 0x8899AABBCCDDEEFF);
        memcpy(before, gpr(fx), sizeof(before));
        fx->cpu->aflags = FLAGS_ARITH & ~(u64)ZF;
        assert_int_equal(fx_run(fx, c + 1, c[0]), VEC_PF);
        assert_int_equal(fx->cr2, PAGE_END);
        assert_int_equal(fx->rip_fault, 0x1000);
        assert_memory_equal(before, gpr(fx), 16 * 8);
        assert_int_equal(fx_flags(fx), FLAGS_ARITH & ~(u64)ZF);
        assert_true(fx_get(fx, PAGE_END - 1, 8) == 0x8899AABBCCDDEEFF);
    }
}

static void stores_to_code_are_told(void **state)
{
    struct fx *fx = *state;

    for (unsigned slow = 0; slow < 2; slow++) {
        if (slow)
            fx_tlb_clear(fx);
        gpr(fx)[RBX] = AT;
        FX_RUN(fx, 0x01, 0x03);
        assert_int_equal(fx->code_writes, 0);
        fx->code_pages[0] = 1;
        FX_RUN(fx, 0x01, 0x03);
        assert_int_equal(fx->code_writes, 1);
        FX_RUN(fx, 0x88, 0x03);
        assert_int_equal(fx->code_writes, 1);
        FX_RUN(fx, 0x0F, 0xB1, 0x03);
        assert_int_equal(fx->code_writes, 1);
        FX_RUN(fx, 0x8B, 0x03);
        assert_int_equal(fx->code_writes, 0);
        fx->code_pages[0] = 0;
    }
}

/* --- Shifts and rotates --- */

static void shifts_by_zero_keep_all_flags(void **state)
{
    static const u8 digits[] = { 0xC0, 0xC8, 0xD0, 0xD8, 0xE0, 0xE8, 0xF8 };
    struct fx *fx = *state;

    for (unsigned i = 0; i < sizeof(digits); i++) {
        fx->cpu->aflags = FLAGS_ARITH;
        gpr(fx)[RAX] = 0xFFFFFFFF00000001;
        gpr(fx)[RCX] = 32;
        FX_RUN(fx, 0xD3, digits[i]);
        assert_int_equal(fx_flags(fx), FLAGS_ARITH);
        assert_true(gpr(fx)[RAX] == 1); /* zero-extended all the same */
        FX_RUN(fx, 0xC1, digits[i], 0x20);
        assert_int_equal(fx_flags(fx), FLAGS_ARITH);
    }
}

static void rotates_keep_sign_zero_and_parity(void **state)
{
    struct fx *fx = *state;

    fx->cpu->aflags = SF | ZF | AF | PF;
    gpr(fx)[RAX] = 0x80000000;
    FX_RUN(fx, 0xD1, 0xC0); /* rol eax, 1 */
    assert_true(gpr(fx)[RAX] == 1);
    assert_int_equal(fx_flags(fx), SF | ZF | AF | PF | CF | OF);
}

static void rcl_rotates_through_the_carry(void **state)
{
    struct fx *fx = *state;

    fx->cpu->aflags = CF;
    gpr(fx)[RAX] = 0x80;
    FX_RUN(fx, 0xD0, 0xD0); /* rcl al, 1 */
    assert_true(gpr(fx)[RAX] == 1);
    assert_int_equal(fx_flags(fx) & (CF | OF), CF | OF);
    gpr(fx)[RCX] = 9; /* all the way round */
    FX_RUN(fx, 0xD2, 0xD0);
    assert_true(gpr(fx)[RAX] == 1);
    assert_int_equal(fx_flags(fx) & CF, CF);
}

static void shifts_set_carry_to_the_last_bit_out(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0xFFFFFFF4;
    FX_RUN(fx, 0xC1, 0xF8, 0x03); /* sar eax, 3 */
    assert_true(gpr(fx)[RAX] == 0xFFFFFFFE);
    assert_int_equal(fx_flags(fx) & (CF | SF | ZF), CF | SF);
    gpr(fx)[RAX] = 0x123;
    gpr(fx)[RBX] = 0x8000000000000000;
    FX_RUN(fx, 0x48, 0x0F, 0xA4, 0xD8, 0x04); /* shld rax, rbx, 4 */
    assert_true(gpr(fx)[RAX] == 0x1238);
}

/* --- Multiplication and division --- */

static void mul_fills_both_halves(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = gpr(fx)[RCX] = ~(u64)0;
    FX_RUN(fx, 0x48, 0xF7, 0xE1);
    assert_true(gpr(fx)[RAX] == 1);
    assert_true(gpr(fx)[RDX] == ~(u64)0 - 1);
    assert_int_equal(fx_flags(fx) & (CF | OF), CF | OF);
    gpr(fx)[RAX] = 0xFFFFFFFFFFFFFF80; /* al = -128 */
    gpr(fx)[RCX] = 0xFF;
    FX_RUN(fx, 0xF6, 0xE9); /* imul cl */
    assert_true((u16)gpr(fx)[RAX] == 0x80);
    assert_int_equal(fx_flags(fx) & (CF | OF), CF | OF);
}

static void imul_with_three_operands(void **state)
{
    struct fx *fx = *state;

    fx_set(fx, AT, 4, (u32)-7);
    gpr(fx)[RBX] = AT;
    FX_RUN(fx, 0x6B, 0x03, 0xFD); /* imul eax, [rbx], -3 */
    assert_true(gpr(fx)[RAX] == 21);
    assert_int_equal(fx_flags(fx) & (CF | OF), 0);
}

struct division {
    u64 rax, rdx, rcx;
    int vector;
    u64 quotient, remainder;
};

static void idiv_of_64_bits_knows_its_limits(void **state)
{
    static const struct division cases[] = {
        { 7, 0, 2, FX_NO_FAULT, 3, 1 },
        { (u64)-7, ~(u64)0, 2, FX_NO_FAULT, (u64)-3, (u64)-1 },
        { 1ull << 63, ~(u64)0, 1, FX_NO_FAULT, 1ull << 63, 0 },
        { 1ull << 63, ~(u64)0, ~(u64)0, VEC_DE, 0, 0 },
        { 1ull << 63, 0, ~(u64)0, FX_NO_FAULT, 1ull << 63, 0 },
        { 1ull << 63, 0, 1, VEC_DE, 0, 0 },
        { 0, 1ull << 63, 2, VEC_DE, 0, 0 },
        { 5, 0, 0, VEC_DE, 0, 0 },
    };
    struct fx *fx = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct division *c = &cases[i];

        gpr(fx)[RAX] = c->rax;
        gpr(fx)[RDX] = c->rdx;
        gpr(fx)[RCX] = c->rcx;
        assert_int_equal(FX_RUN(fx, 0x48, 0xF7, 0xF9), c->vector);
        assert_true(gpr(fx)[RAX] == (c->vector == VEC_DE ? c->rax : c->quotient));
        assert_true(gpr(fx)[RDX] == (c->vector == VEC_DE ? c->rdx : c->remainder));
    }
}

static void division_overflows_raise_de(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0x0100;
    gpr(fx)[RCX] = 1;
    assert_int_equal(FX_RUN(fx, 0xF6, 0xF1), VEC_DE); /* div cl */
    gpr(fx)[RAX] = 0x00FF;
    assert_int_equal(FX_RUN(fx, 0xF6, 0xF1), FX_NO_FAULT);
    gpr(fx)[RAX] = 0x80;
    assert_int_equal(FX_RUN(fx, 0xF6, 0xF9), VEC_DE); /* idiv cl: 128 / 1 */
    gpr(fx)[RAX] = 0x80000000;
    gpr(fx)[RDX] = 0xFFFFFFFF;
    gpr(fx)[RCX] = 0xFFFFFFFF;
    assert_int_equal(FX_RUN(fx, 0xF7, 0xF9), VEC_DE);
    gpr(fx)[RAX] = 0;
    gpr(fx)[RDX] = 0x80000000;
    assert_int_equal(FX_RUN(fx, 0xF7, 0xF9), VEC_DE);
    gpr(fx)[RDX] = 1;
    gpr(fx)[RCX] = 1;
    assert_int_equal(FX_RUN(fx, 0xF7, 0xF1), VEC_DE);
    assert_int_equal(FX_RUN(fx, 0x66, 0xF7, 0xF1), VEC_DE);
}

int main(void)
{
#define TEST64(f) cmocka_unit_test_setup_teardown(f, setup64, teardown)
    const struct CMUnitTest tests[] = {
        TEST64(add_sets_carry_and_overflow),
        TEST64(results_of_32_bits_clear_the_upper_half),
        TEST64(results_of_8_and_16_bits_merge),
        TEST64(adc_and_sbb_take_the_carry),
        TEST64(inc_and_dec_keep_the_carry),
        TEST64(cmp_and_test_write_nothing_else),
        TEST64(not_keeps_the_flags),
        TEST64(memory_destinations_are_updated),
        TEST64(operands_cross_pages),
        TEST64(faults_change_nothing),
        TEST64(stores_to_code_are_told),
        TEST64(shifts_by_zero_keep_all_flags),
        TEST64(rotates_keep_sign_zero_and_parity),
        TEST64(rcl_rotates_through_the_carry),
        TEST64(shifts_set_carry_to_the_last_bit_out),
        TEST64(mul_fills_both_halves),
        TEST64(imul_with_three_operands),
        TEST64(idiv_of_64_bits_knows_its_limits),
        TEST64(division_overflows_raise_de),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
