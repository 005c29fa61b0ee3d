/* SPDX-License-Identifier: MIT */
/* Bit instructions, exchanges, moves, conditions, flags, decimal adjustments. Values from SDM vol. 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/fault.h"
#include "fixture.h"

#define CF FLAG_CF
#define PF FLAG_PF
#define AF FLAG_AF
#define ZF FLAG_ZF
#define SF FLAG_SF
#define OF FLAG_OF

#define AT (FX_BASE + 0x100)

static int setup64(void **state)
{
    *state = fx_new(FX_64);
    return 0;
}

static int setup16(void **state)
{
    *state = fx_new(FX_16);
    return 0;
}

static int setup32(void **state)
{
    *state = fx_new(FX_32);
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

/* --- Bits --- */

static void bit_numbers_in_registers_reach_far(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RBX] = AT;
    gpr(fx)[RCX] = 1000;
    FX_RUN(fx, 0x48, 0x0F, 0xAB, 0x0B); /* bts [rbx], rcx */
    assert_int_equal(fx_get(fx, AT + 125, 1), 1);
    assert_int_equal(fx_flags(fx) & CF, 0);
    FX_RUN(fx, 0x0F, 0xA3, 0x0B); /* bt [rbx], ecx */
    assert_int_equal(fx_flags(fx) & CF, CF);
    gpr(fx)[RCX] = (u64)-1;
    FX_RUN(fx, 0xF0, 0x0F, 0xBB, 0x0B); /* lock btc */
    assert_int_equal(fx_get(fx, AT - 1, 1), 0x80);
    gpr(fx)[RCX] = 0xFFFF;
    FX_RUN(fx, 0x66, 0x0F, 0xB3, 0x0B); /* btr: 16 bits, so -1 */
    assert_int_equal(fx_get(fx, AT - 1, 1), 0);
    assert_int_equal(fx_flags(fx) & CF, CF);
}

static void bit_numbers_in_immediates_wrap(void **state)
{
    struct fx *fx = *state;

    fx->cpu->aflags = ZF;
    FX_RUN(fx, 0x0F, 0xBA, 0xE8, 0x21); /* bts eax, 33 */
    assert_true(gpr(fx)[RAX] == 2);
    assert_int_equal(fx_flags(fx), ZF);
}

static void scans_of_zero_set_zf_and_keep_the_destination(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0x1234;
    FX_RUN(fx, 0x48, 0x0F, 0xBC, 0xC1);
    assert_true(gpr(fx)[RAX] == 0x1234);
    assert_int_equal(fx_flags(fx) & ZF, ZF);
    gpr(fx)[RCX] = 0x90;
    FX_RUN(fx, 0x48, 0x0F, 0xBC, 0xC1);
    assert_true(gpr(fx)[RAX] == 4);
    FX_RUN(fx, 0x48, 0x0F, 0xBD, 0xC1);
    assert_true(gpr(fx)[RAX] == 7);
    assert_int_equal(fx_flags(fx) & ZF, 0);
}

/* --- Exchanges --- */

static void cmpxchg_compares_and_swaps(void **state)
{
    struct fx *fx = *state;

    fx_set(fx, AT, 8, 5);
    gpr(fx)[RBX] = AT;
    gpr(fx)[RAX] = 5;
    gpr(fx)[RCX] = 9;
    FX_RUN(fx, 0xF0, 0x48, 0x0F, 0xB1, 0x0B);
    assert_true(fx_get(fx, AT, 8) == 9);
    assert_int_equal(fx_flags(fx) & ZF, ZF);
    FX_RUN(fx, 0x48, 0x0F, 0xB1, 0x0B);
    assert_true(gpr(fx)[RAX] == 9);
    assert_int_equal(fx_flags(fx) & (ZF | CF), CF);
}

static void cmpxchg_needs_write_access_when_it_fails_too(void **state)
{
    struct fx *fx = *state;

    fx->writable[0] = false;
    fx_tlb_fill(fx);
    gpr(fx)[RBX] = AT;
    gpr(fx)[RAX] = 1;
    assert_int_equal(FX_RUN(fx, 0x0F, 0xB1, 0x0B), VEC_PF);
}

static void cmpxchg16b_wants_alignment(void **state)
{
    struct fx *fx = *state;

    fx_set(fx, AT, 8, 1);
    fx_set(fx, AT + 8, 8, 2);
    gpr(fx)[RSI] = AT;
    gpr(fx)[RAX] = 1;
    gpr(fx)[RDX] = 2;
    gpr(fx)[RBX] = 3;
    gpr(fx)[RCX] = 4;
    assert_int_equal(FX_RUN(fx, 0x48, 0x0F, 0xC7, 0x0E), FX_NO_FAULT);
    assert_true(fx_get(fx, AT, 8) == 3 && fx_get(fx, AT + 8, 8) == 4);
    assert_int_equal(fx_flags(fx) & ZF, ZF);
    FX_RUN(fx, 0x48, 0x0F, 0xC7, 0x0E);
    assert_true(gpr(fx)[RAX] == 3 && gpr(fx)[RDX] == 4);
    gpr(fx)[RSI] = AT + 8;
    assert_int_equal(FX_RUN(fx, 0x48, 0x0F, 0xC7, 0x0E), VEC_GP);
}

static void exchanges_may_use_their_address_register(void **state)
{
    struct fx *fx = *state;

    fx->code_pages[0] = 1;
    fx_set(fx, AT, 8, 7);
    gpr(fx)[RAX] = AT;
    assert_int_equal(FX_RUN(fx, 0x48, 0x87, 0x00), FX_NO_FAULT); /* xchg [rax], rax */
    assert_true(gpr(fx)[RAX] == 7 && fx_get(fx, AT, 8) == AT);
    gpr(fx)[RAX] = AT;
    FX_RUN(fx, 0x48, 0x0F, 0xC1, 0x00); /* xadd [rax], rax */
    assert_true(gpr(fx)[RAX] == AT && fx_get(fx, AT, 8) == 2 * AT);
}

static void xadd_of_one_register_doubles_it(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 21;
    FX_RUN(fx, 0x0F, 0xC1, 0xC0);
    assert_true(gpr(fx)[RAX] == 42);
}

/* --- Moves --- */

static void moves_extend(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RCX] = 0x80;
    FX_RUN(fx, 0x48, 0x0F, 0xBE, 0xC1); /* movsx rax, cl */
    assert_true(gpr(fx)[RAX] == (u64)-0x80);
    FX_RUN(fx, 0x0F, 0xBE, 0xC1);
    assert_true(gpr(fx)[RAX] == 0xFFFFFF80);
    FX_RUN(fx, 0x0F, 0xB6, 0xC1);
    assert_true(gpr(fx)[RAX] == 0x80);
    gpr(fx)[RCX] = 0x80000000;
    FX_RUN(fx, 0x48, 0x63, 0xC1);
    assert_true(gpr(fx)[RAX] == 0xFFFFFFFF80000000);
}

static void cmov_reads_memory_and_extends_whatever_the_condition(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0x1122334455667788;
    gpr(fx)[RBX] = FX_BASE + FX_SIZE;
    assert_int_equal(FX_RUN(fx, 0x0F, 0x44, 0x03), VEC_PF); /* cmove eax, [rbx] */
    gpr(fx)[RBX] = AT;
    assert_int_equal(FX_RUN(fx, 0x0F, 0x44, 0x03), FX_NO_FAULT);
    assert_true(gpr(fx)[RAX] == 0x55667788);
}

static void conditions_agree_with_their_flags(void **state)
{
    struct fx *fx = *state;

    for (unsigned f = 0; f < 64; f++) {
        u64 flags = (f & 1 ? CF : 0) | (f & 2 ? PF : 0) | (f & 4 ? AF : 0) | (f & 8 ? ZF : 0) |
                    (f & 16 ? SF : 0) | (f & 32 ? OF : 0);
        bool c = flags & CF, z = flags & ZF, s = flags & SF, o = flags & OF, p = flags & PF;
        bool expected[8] = { o, c, z, c || z, s, p, s != o, z || s != o };

        for (unsigned cc = 0; cc < 16; cc++) {
            fx->cpu->aflags = flags;
            gpr(fx)[RAX] = 0;
            FX_RUN(fx, 0x0F, (u8)(0x90 | cc), 0xC0); /* setcc al */
            assert_int_equal(gpr(fx)[RAX], expected[cc / 2] != (cc & 1));
            fx->cpu->rip = 0x1000;
            FX_RUN(fx, (u8)(0x70 | cc), 0x10); /* jcc */
            assert_int_equal(fx->cpu->rip, 0x1002 + (gpr(fx)[RAX] ? 0x10 : 0));
            fx->cpu->rip = 0x1000;
        }
    }
}

static void lea_cuts_to_address_and_operand_size(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RBX] = 0x1FFFFFFFF;
    FX_RUN(fx, 0x48, 0x8D, 0x43, 0x01); /* lea rax, [rbx + 1] */
    assert_true(gpr(fx)[RAX] == 0x200000000);
    FX_RUN(fx, 0x67, 0x48, 0x8D, 0x43, 0x01);
    assert_true(gpr(fx)[RAX] == 0);
    FX_RUN(fx, 0x8D, 0x43, 0x02);
    assert_true(gpr(fx)[RAX] == 1);
}

static void lahf_and_sahf_carry_five_flags(void **state)
{
    struct fx *fx = *state;

    fx->cpu->aflags = FLAGS_ARITH | ~FLAGS_ARITH;
    FX_RUN(fx, 0x9F);
    assert_true(gpr(fx)[RAX] == 0xD700);
    fx->cpu->aflags = OF;
    gpr(fx)[RAX] = 0xFF00;
    FX_RUN(fx, 0x9E);
    assert_int_equal(fx_flags(fx), FLAGS_ARITH);
}

static void direction_flag_is_a_system_flag(void **state)
{
    struct fx *fx = *state;

    FX_RUN(fx, 0xFD);
    assert_true(cpu_rflags(fx->cpu) & FLAG_DF);
    FX_RUN(fx, 0xFC);
    assert_false(cpu_rflags(fx->cpu) & FLAG_DF);
}

static void xlat_and_moffs_use_their_segment(void **state)
{
    struct fx *fx = *state;

    fx->cpu->seg[SEG_GS].base = FX_BASE;
    fx_set(fx, FX_BASE + 0x40, 1, 0xAB);
    gpr(fx)[RBX] = 0x30;
    gpr(fx)[RAX] = 0x10;
    FX_RUN(fx, 0x65, 0xD7);
    assert_true(gpr(fx)[RAX] == 0xAB);
    FX_RUN(fx, 0x65, 0xA0, 0x40, 0, 0, 0, 0, 0, 0, 0);
    assert_true(gpr(fx)[RAX] == 0xAB);
    FX_RUN(fx, 0xA2, 0x41, 0, 1, 0, 0, 0, 0, 0); /* mov [0x10041], al */
    assert_int_equal(fx_get(fx, FX_BASE + 0x41, 1), 0xAB);
}

/* --- Decimal, in 16-bit code --- */

static void decimal_adjustments(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0xAE;
    fx->cpu->aflags = 0;
    FX_RUN(fx, 0x27); /* daa: 0xAE -> 14, carry */
    assert_true(gpr(fx)[RAX] == 0x14);
    assert_int_equal(fx_flags(fx) & (CF | AF), CF | AF);
    gpr(fx)[RAX] = 0x35 - 0x47 + 0x100; /* das after 35 - 47 */
    fx->cpu->aflags = CF | AF;
    FX_RUN(fx, 0x2F);
    assert_true(gpr(fx)[RAX] == 0x88);
    assert_int_equal(fx_flags(fx) & (CF | AF), CF | AF);
    gpr(fx)[RAX] = 0x000F;
    fx->cpu->aflags = 0;
    FX_RUN(fx, 0x37); /* aaa */
    assert_true(gpr(fx)[RAX] == 0x0105);
    FX_RUN(fx, 0x3F); /* aas with AF: borrows from AH */
    assert_true(gpr(fx)[RAX] == 0xFF0F);
    gpr(fx)[RAX] = 63;
    FX_RUN(fx, 0xD4, 0x0A); /* aam */
    assert_true(gpr(fx)[RAX] == 0x0603);
    FX_RUN(fx, 0xD5, 0x0A); /* aad */
    assert_true(gpr(fx)[RAX] == 63);
    assert_int_equal(FX_RUN(fx, 0xD4, 0x00), VEC_DE);
}

static void offsets_wrap_and_segments_limit_in_16_bit_code(void **state)
{
    struct fx *fx = *state;

    fx->cpu->seg[SEG_DS].base = FX_BASE;
    fx->cpu->seg[SEG_DS].limit = 0x7FFF;
    fx_set(fx, FX_BASE + 4, 2, 0xBEEF);
    gpr(fx)[RBX] = 0xFFFE;
    gpr(fx)[RSI] = 6;
    FX_RUN(fx, 0x8B, 0x00); /* mov ax, [bx + si] */
    assert_true(gpr(fx)[RAX] == 0xBEEF);
    gpr(fx)[RSI] = 0x8001; /* offset 0x7FFF */
    assert_int_equal(FX_RUN(fx, 0x8B, 0x00), VEC_GP);
    gpr(fx)[RSI] = 0x80FF;
    assert_int_equal(FX_RUN(fx, 0x8B, 0x00), VEC_GP);
}

static void salc_spreads_the_carry(void **state)
{
    struct fx *fx = *state;

    fx->cpu->aflags = CF;
    FX_RUN(fx, 0xD6);
    assert_true(gpr(fx)[RAX] == 0xFF);
    FX_RUN(fx, 0xF8);
    FX_RUN(fx, 0xD6);
    assert_true(gpr(fx)[RAX] == 0);
}

int main(void)
{
#define TEST64(f) cmocka_unit_test_setup_teardown(f, setup64, teardown)
#define TEST32(f) cmocka_unit_test_setup_teardown(f, setup32, teardown)
#define TEST16(f) cmocka_unit_test_setup_teardown(f, setup16, teardown)
    const struct CMUnitTest tests[] = {
        TEST64(bit_numbers_in_registers_reach_far),
        TEST64(bit_numbers_in_immediates_wrap),
        TEST64(scans_of_zero_set_zf_and_keep_the_destination),
        TEST64(cmpxchg_compares_and_swaps),
        TEST64(cmpxchg_needs_write_access_when_it_fails_too),
        TEST64(cmpxchg16b_wants_alignment),
        TEST64(exchanges_may_use_their_address_register),
        TEST64(xadd_of_one_register_doubles_it),
        TEST64(moves_extend),
        TEST64(cmov_reads_memory_and_extends_whatever_the_condition),
        TEST64(conditions_agree_with_their_flags),
        TEST64(lea_cuts_to_address_and_operand_size),
        TEST64(lahf_and_sahf_carry_five_flags),
        TEST64(direction_flag_is_a_system_flag),
        TEST64(xlat_and_moffs_use_their_segment),
        TEST16(decimal_adjustments),
        TEST16(offsets_wrap_and_segments_limit_in_16_bit_code),
        TEST32(salc_spreads_the_carry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
