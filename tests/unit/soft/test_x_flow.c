/* SPDX-License-Identifier: MIT */
/* Near transfers and the stack, in all modes. Expected behaviour from SDM vol. 2 and vol. 1, chapter 6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/fault.h"
#include "fixture.h"

#define TOP (FX_BASE + FX_SIZE)

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
    struct fx *fx = fx_new(FX_16);

    fx->cpu->seg[SEG_SS].base = FX_BASE;
    fx->cpu->gpr[RSP] = 0x1000;
    *state = fx;
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

/* --- 64-bit mode --- */

static void a_block_without_branch_ends_after_its_last_instruction(void **state)
{
    struct fx *fx = *state;

    FX_RUN(fx, 0x0F, 0x1F, 0x00);
    assert_int_equal(fx->cpu->rip, 0x1003);
}

static void call_pushes_and_ret_pops(void **state)
{
    struct fx *fx = *state;

    for (unsigned slow = 0; slow < 2; slow++) {
        if (slow)
            fx_tlb_clear(fx);
        fx->cpu->rip = 0x1000;
        FX_RUN(fx, 0xE8, 0x00, 0x01, 0x00, 0x00);
        assert_int_equal(fx->cpu->rip, 0x1105);
        assert_int_equal(gpr(fx)[RSP], TOP - 8);
        assert_int_equal(fx_get(fx, TOP - 8, 8), 0x1005);
        FX_RUN(fx, 0xC3);
        assert_int_equal(fx->cpu->rip, 0x1005);
        assert_int_equal(gpr(fx)[RSP], TOP);
        gpr(fx)[RAX] = 0x5000;
        FX_RUN(fx, 0xFF, 0xD0); /* call rax */
        assert_int_equal(fx->cpu->rip, 0x5000);
        FX_RUN(fx, 0xC2, 0x08, 0x00);
        assert_int_equal(fx->cpu->rip, 0x1007);
        assert_int_equal(gpr(fx)[RSP], TOP + 8);
        gpr(fx)[RSP] = TOP;
    }
}

static void targets_must_be_canonical(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 1ull << 47;
    assert_int_equal(FX_RUN(fx, 0xFF, 0xE0), VEC_GP);
    assert_int_equal(FX_RUN(fx, 0xFF, 0xD0), VEC_GP);
    assert_int_equal(gpr(fx)[RSP], TOP);
    fx_set(fx, TOP - 8, 8, 1ull << 47);
    gpr(fx)[RSP] = TOP - 8;
    assert_int_equal(FX_RUN(fx, 0xC3), VEC_GP);
    assert_int_equal(gpr(fx)[RSP], TOP - 8);
    assert_int_equal(fx->cpu->rip, 0x1000);
    fx->cpu->cr4 = CR4_LA57;
    assert_int_equal(FX_RUN(fx, 0xFF, 0xE0), FX_NO_FAULT);
    assert_true(fx->cpu->rip == 1ull << 47);
    gpr(fx)[RAX] = 0xFFFF800000000000;
    fx->cpu->cr4 = 0;
    assert_int_equal(FX_RUN(fx, 0xFF, 0xE0), FX_NO_FAULT);
    fx->cpu->rip = 0x00007FFFFFFFFFF0;
    assert_int_equal(FX_RUN(fx, 0xEB, 0x7F), VEC_GP);
    assert_true(fx->rip_fault == 0x00007FFFFFFFFFF0);
}

static void a_call_that_cannot_push_does_nothing(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RSP] = FX_BASE;
    assert_int_equal(FX_RUN(fx, 0xE8, 0, 0, 0, 0), VEC_PF);
    assert_int_equal(gpr(fx)[RSP], FX_BASE);
    assert_int_equal(fx->cpu->rip, 0x1000);
    assert_int_equal(fx->cr2, FX_BASE - 8);
    assert_int_equal(FX_RUN(fx, 0x50), VEC_PF);
    assert_int_equal(gpr(fx)[RSP], FX_BASE);
}

static void push_and_pop_of_rsp(void **state)
{
    struct fx *fx = *state;

    FX_RUN(fx, 0x54);
    assert_int_equal(fx_get(fx, TOP - 8, 8), TOP);
    fx_set(fx, TOP - 8, 8, 0x1234);
    FX_RUN(fx, 0x5C);
    assert_int_equal(gpr(fx)[RSP], 0x1234);
}

static void pop_to_memory_uses_the_incremented_rsp(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RSP] = FX_BASE + 0x100;
    fx_set(fx, FX_BASE + 0x100, 8, 0x55);
    FX_RUN(fx, 0x8F, 0x04, 0x24); /* pop [rsp] */
    assert_int_equal(fx_get(fx, FX_BASE + 0x108, 8), 0x55);
    assert_int_equal(gpr(fx)[RSP], FX_BASE + 0x108);
}

static void pushes_of_16_bits_and_immediates(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RAX] = 0x12345678;
    FX_RUN(fx, 0x66, 0x50);
    assert_int_equal(gpr(fx)[RSP], TOP - 2);
    assert_int_equal(fx_get(fx, TOP - 2, 2), 0x5678);
    FX_RUN(fx, 0x6A, 0xFE);
    assert_true(fx_get(fx, TOP - 10, 8) == (u64)-2);
    FX_RUN(fx, 0x66, 0x59); /* pop cx */
    assert_int_equal(gpr(fx)[RCX], 0xFFFE);
}

static void pushes_to_code_are_told(void **state)
{
    struct fx *fx = *state;

    fx->code_pages[FX_PAGES - 1] = 1;
    FX_RUN(fx, 0x50);
    assert_int_equal(fx->code_writes, 1);
    FX_RUN(fx, 0xE8, 0, 0, 0, 0);
    assert_int_equal(fx->code_writes, 1);
    FX_RUN(fx, 0x58);
    assert_int_equal(fx->code_writes, 0);
}

static void enter_and_leave_make_and_drop_a_frame(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RBP] = 0x7777;
    FX_RUN(fx, 0xC8, 0x20, 0x00, 0x00);
    assert_int_equal(gpr(fx)[RBP], TOP - 8);
    assert_int_equal(gpr(fx)[RSP], TOP - 8 - 0x20);
    assert_int_equal(fx_get(fx, TOP - 8, 8), 0x7777);
    FX_RUN(fx, 0xC9);
    assert_int_equal(gpr(fx)[RBP], 0x7777);
    assert_int_equal(gpr(fx)[RSP], TOP);
}

static void enter_copies_the_display(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RBP] = FX_BASE + 0x200;
    fx_set(fx, FX_BASE + 0x1F8, 8, 0xAAAA);
    fx_set(fx, FX_BASE + 0x1F0, 8, 0xBBBB);
    FX_RUN(fx, 0xC8, 0x10, 0x00, 0x03);
    assert_int_equal(fx_get(fx, TOP - 8, 8), FX_BASE + 0x200);
    assert_int_equal(fx_get(fx, TOP - 16, 8), 0xAAAA);
    assert_int_equal(fx_get(fx, TOP - 24, 8), 0xBBBB);
    assert_int_equal(fx_get(fx, TOP - 32, 8), TOP - 8);
    assert_int_equal(gpr(fx)[RBP], TOP - 8);
    assert_int_equal(gpr(fx)[RSP], TOP - 32 - 0x10);
}

static void enter_needs_its_whole_frame(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RSP] = FX_BASE + 0x100;
    gpr(fx)[RBP] = 0x42;
    assert_int_equal(FX_RUN(fx, 0xC8, 0x00, 0x02, 0x00), VEC_PF);
    assert_int_equal(gpr(fx)[RSP], FX_BASE + 0x100);
    assert_int_equal(gpr(fx)[RBP], 0x42);
}

static void loops_count_by_address_size(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RCX] = 0x100000001;
    FX_RUN(fx, 0xE2, 0x10);
    assert_int_equal(fx->cpu->rip, 0x1012);
    assert_true(gpr(fx)[RCX] == 0x100000000);
    gpr(fx)[RCX] = 0x100000001;
    fx->cpu->rip = 0x1000;
    FX_RUN(fx, 0x67, 0xE2, 0x10);
    assert_int_equal(fx->cpu->rip, 0x1003);
    assert_true(gpr(fx)[RCX] == 0);
    fx->cpu->aflags = FLAG_ZF;
    gpr(fx)[RCX] = 2;
    fx->cpu->rip = 0x1000;
    FX_RUN(fx, 0xE0, 0x10); /* loopne */
    assert_int_equal(fx->cpu->rip, 0x1002);
    assert_true(gpr(fx)[RCX] == 1);
    fx->cpu->rip = 0x1000;
    gpr(fx)[RCX] = 1ull << 32;
    FX_RUN(fx, 0x67, 0xE3, 0x10); /* jecxz */
    assert_int_equal(fx->cpu->rip, 0x1013);
    fx->cpu->rip = 0x1000;
    FX_RUN(fx, 0xE3, 0x10);
    assert_int_equal(fx->cpu->rip, 0x1002);
}

/* --- 32-bit mode --- */

static void targets_are_cut_and_checked_outside_64_bit_mode(void **state)
{
    struct fx *fx = *state;

    fx->cpu->rip = 0xFFFFFFF0;
    FX_RUN(fx, 0xEB, 0x20);
    assert_int_equal(fx->cpu->rip, 0x12);
    fx->cpu->rip = 0x12340;
    FX_RUN(fx, 0x66, 0xEB, 0x00); /* 16-bit operand: IP */
    assert_int_equal(fx->cpu->rip, 0x2343);
    fx->cpu->seg[SEG_CS].limit = 0x1FFF;
    fx->cpu->rip = 0x1FF0;
    assert_int_equal(FX_RUN(fx, 0xEB, 0x20), VEC_GP);
    assert_int_equal(fx->cpu->rip, 0x1FF0);
    fx->cpu->aflags = 0;
    assert_int_equal(FX_RUN(fx, 0x74, 0x20), FX_NO_FAULT); /* not taken: not checked */
    assert_int_equal(fx->cpu->rip, 0x1FF2);
}

static void calls_of_32_bit_code(void **state)
{
    struct fx *fx = *state;

    fx->cpu->seg[SEG_SS].base = 0x1000;
    gpr(fx)[RSP] = TOP - 0x1000;
    FX_RUN(fx, 0xE8, 0xF0, 0xFF, 0xFF, 0xFF);
    assert_int_equal(fx->cpu->rip, 0xFF5);
    assert_int_equal(gpr(fx)[RSP], TOP - 0x1004);
    assert_int_equal(fx_get(fx, TOP - 4, 4), 0x1005);
    FX_RUN(fx, 0xC2, 0x04, 0x00);
    assert_int_equal(fx->cpu->rip, 0x1005);
    assert_int_equal(gpr(fx)[RSP], TOP - 0x1000 + 4);
}

static void pusha_and_popa(void **state)
{
    struct fx *fx = *state;

    for (unsigned i = 0; i < 8; i++)
        if (i != RSP)
            gpr(fx)[i] = 0x100 + i;
    FX_RUN(fx, 0x60);
    assert_int_equal(gpr(fx)[RSP], TOP - 32);
    assert_int_equal(fx_get(fx, TOP - 4, 4), 0x100);
    assert_int_equal(fx_get(fx, TOP - 20, 4), TOP);
    assert_int_equal(fx_get(fx, TOP - 32, 4), 0x107);
    for (unsigned i = 0; i < 8; i++)
        if (i != RSP)
            gpr(fx)[i] = 0;
    FX_RUN(fx, 0x61);
    assert_int_equal(gpr(fx)[RSP], TOP);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(gpr(fx)[i], i == RSP ? TOP : 0x100 + i);
}

/* --- 16-bit mode --- */

static void a_16_bit_stack_wraps(void **state)
{
    struct fx *fx = *state;

    gpr(fx)[RSP] = 0xABCD0002;
    gpr(fx)[RAX] = 0x1111;
    FX_RUN(fx, 0x50);
    assert_int_equal(gpr(fx)[RSP], 0xABCD0000);
    assert_int_equal(fx_get(fx, FX_BASE, 2), 0x1111);
    assert_int_equal(FX_RUN(fx, 0x50), VEC_PF); /* 0xFFFE is beyond the memory here, not -2 */
    assert_int_equal(fx->cr2, FX_BASE + 0xFFFE);
    assert_int_equal(gpr(fx)[RSP], 0xABCD0000);
}

static void stack_limits_raise_ss(void **state)
{
    struct fx *fx = *state;

    fx->cpu->seg[SEG_SS].limit = 0xFFF;
    gpr(fx)[RSP] = 0x1001;
    assert_int_equal(FX_RUN(fx, 0x50), VEC_SS);
    assert_int_equal(FX_RUN(fx, 0xE8, 0, 0), VEC_SS);
    assert_int_equal(FX_RUN(fx, 0x58), VEC_SS);
    assert_int_equal(gpr(fx)[RSP], 0x1001);
}

static void calls_of_16_bit_code(void **state)
{
    struct fx *fx = *state;

    FX_RUN(fx, 0xE8, 0x00, 0xF0); /* wraps at 64 KiB */
    assert_int_equal(fx->cpu->rip, 0x0003);
    assert_int_equal(fx_get(fx, FX_BASE + 0xFFE, 2), 0x1003);
    FX_RUN(fx, 0xC3);
    assert_int_equal(fx->cpu->rip, 0x1003);
    FX_RUN(fx, 0x66, 0xE8, 0, 0, 0, 0);
    assert_int_equal(gpr(fx)[RSP], 0xFFC);
    assert_int_equal(fx_get(fx, FX_BASE + 0xFFC, 4), 0x1009);
}

int main(void)
{
#define TEST64(f) cmocka_unit_test_setup_teardown(f, setup64, teardown)
#define TEST32(f) cmocka_unit_test_setup_teardown(f, setup32, teardown)
#define TEST16(f) cmocka_unit_test_setup_teardown(f, setup16, teardown)
    const struct CMUnitTest tests[] = {
        TEST64(a_block_without_branch_ends_after_its_last_instruction),
        TEST64(call_pushes_and_ret_pops),
        TEST64(targets_must_be_canonical),
        TEST64(a_call_that_cannot_push_does_nothing),
        TEST64(push_and_pop_of_rsp),
        TEST64(pop_to_memory_uses_the_incremented_rsp),
        TEST64(pushes_of_16_bits_and_immediates),
        TEST64(pushes_to_code_are_told),
        TEST64(enter_and_leave_make_and_drop_a_frame),
        TEST64(enter_copies_the_display),
        TEST64(enter_needs_its_whole_frame),
        TEST64(loops_count_by_address_size),
        TEST32(targets_are_cut_and_checked_outside_64_bit_mode),
        TEST32(calls_of_32_bit_code),
        TEST32(pusha_and_popa),
        TEST16(a_16_bit_stack_wraps),
        TEST16(stack_limits_raise_ss),
        TEST16(calls_of_16_bit_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
