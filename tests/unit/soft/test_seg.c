/* SPDX-License-Identifier: MIT */
/* Segment registers: loads in every mode, their faults, LDS and its kin, bases. SDM vol. 2 (MOV, POP, LDS, SWAPGS). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/handlers.h"
#include "accel/soft/seg.h"
#include "accel/soft/tlb.h"
#include "sys_fixture.h"

static int mov_to(struct sys *s, enum seg_reg seg, u16 selector)
{
    s->cpu->gpr[RAX] = selector;
    return sys_run(s, x_mov_S_E, sys_reg(4, seg, RAX));
}

/* --- Real and virtual-8086 mode --- */

static void real_mode_load_sets_base_and_keeps_limit(void **state)
{
    struct sys *s = *state;

    s->cpu->seg[SEG_DS].limit = 0xFFFFFFFF; /* unreal mode */
    assert_int_equal(mov_to(s, SEG_DS, 0x1234), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_DS].selector, 0x1234);
    assert_int_equal(s->cpu->seg[SEG_DS].base, 0x12340);
    assert_int_equal(s->cpu->seg[SEG_DS].limit, 0xFFFFFFFF);
    assert_true(s->next);
}

static void real_mode_load_revives_a_null_segment(void **state)
{
    struct sys *s = *state;

    s->cpu->seg[SEG_FS] = segment_null(0, 0);
    assert_int_equal(mov_to(s, SEG_FS, 0x10), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_FS].limit, 0xFFFF);
    assert_int_equal(s->cpu->seg[SEG_FS].attr, 0x93);
}

static void vm86_load_sets_all_of_the_hidden_part(void **state)
{
    struct sys *s = *state;

    sys_vm86(s, 3);
    s->cpu->seg[SEG_ES].limit = 5;
    assert_int_equal(mov_to(s, SEG_ES, 0xFFFF), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_ES].base, 0xFFFF0);
    assert_int_equal(s->cpu->seg[SEG_ES].limit, 0xFFFF);
    assert_int_equal(s->cpu->seg[SEG_ES].attr, 0xF3);
}

/* --- Protected mode --- */

static void load_takes_base_limit_and_attributes_from_descriptor(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_descriptor(s, SEL_FRESH, 0x12345678, 0x9ABCD, 0xC093);
    assert_int_equal(mov_to(s, SEG_DS, SEL_FRESH), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_DS].base, 0x12345678);
    assert_int_equal(s->cpu->seg[SEG_DS].limit, 0x9ABCDFFF);
    assert_int_equal(s->cpu->seg[SEG_DS].attr, 0xC093);
    assert_int_equal(s->cpu->seg[SEG_DS].selector, SEL_FRESH);
}

static void load_sets_accessed_bit_in_memory(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(sys_get(s, AT_GDT + SEL_FRESH + 5, 1), 0x92);
    assert_int_equal(mov_to(s, SEG_ES, SEL_FRESH), SYS_OK);
    assert_int_equal(sys_get(s, AT_GDT + SEL_FRESH + 5, 1), 0x93);
    assert_int_equal(s->cpu->seg[SEG_ES].attr & SEG_TYPE_ACCESSED, 1);
}

static void load_from_ldt(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_set(s, AT_LDT + 8, 8, sys_get(s, AT_GDT + SEL_DATA0, 8));
    assert_int_equal(mov_to(s, SEG_DS, 0xC), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_DS].selector, 0xC);
    assert_int_equal(mov_to(s, SEG_DS, 0x24), VEC_GP); /* beyond the LDT's limit of 0x1F */
    assert_int_equal(s->code, 0x24);
    s->cpu->ldtr = segment_null(0, 0);
    assert_int_equal(mov_to(s, SEG_DS, 0xC), VEC_GP);
    assert_int_equal(s->code, 0xC);
}

static void null_selector_is_allowed_in_data_segments_only(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(mov_to(s, SEG_DS, 3), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_DS].selector, 3);
    assert_true(s->cpu->seg[SEG_DS].attr & SEG_UNUSABLE);
    assert_int_equal(mov_to(s, SEG_SS, 0), VEC_GP);
    assert_int_equal(s->code, 0);
}

static void data_segment_faults(void **state)
{
    static const struct {
        unsigned cpl;
        u16 selector;
        int vector;
        u32 code;
    } cases[] = {
        { 0, GDT_BYTES, VEC_GP, GDT_BYTES },     /* beyond the table */
        { 0, SEL_TSS, VEC_GP, SEL_TSS },         /* a system descriptor */
        { 0, SEL_XONLY, VEC_GP, SEL_XONLY },     /* code that cannot be read */
        { 0, SEL_DATA0 | 1, VEC_GP, SEL_DATA0 }, /* RPL above DPL; the code leaves the RPL out */
        { 3, SEL_DATA0, VEC_GP, SEL_DATA0 },     /* CPL above DPL */
        { 0, SEL_DATA_NP, VEC_NP, SEL_DATA_NP },
        { 3, SEL_DATA_NP, VEC_GP, SEL_DATA_NP }, /* rights come before presence */
        { 3, SEL_CONFORM | 3, SYS_OK, 0 },       /* conforming code: no check of levels */
        { 0, SEL_CODE0, SYS_OK, 0 },
        { 0, SEL_RODATA, SYS_OK, 0 },
        { 3, SEL_CODE0 | 3, VEC_GP, SEL_CODE0 },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, cases[i].cpl);
        assert_int_equal(mov_to(s, SEG_ES, cases[i].selector), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
    }
}

static void stack_segment_faults(void **state)
{
    static const struct {
        unsigned cpl;
        u16 selector;
        int vector;
        u32 code;
    } cases[] = {
        { 0, GDT_BYTES, VEC_GP, GDT_BYTES },
        { 0, SEL_DATA0 | 3, VEC_GP, SEL_DATA0 }, /* RPL is not CPL */
        { 0, SEL_DATA3, VEC_GP, SEL_DATA3 & ~3u },
        { 0, SEL_DATA3 & ~3u, VEC_GP, SEL_DATA3 & ~3u }, /* DPL is not CPL */
        { 0, SEL_CODE0, VEC_GP, SEL_CODE0 },
        { 0, SEL_RODATA, VEC_GP, SEL_RODATA },
        { 0, SEL_DATA_NP, VEC_SS, SEL_DATA_NP },
        { 0, SEL_DATA0, SYS_OK, 0 },
        { 3, SEL_DATA3, SYS_OK, 0 },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, cases[i].cpl);
        assert_int_equal(mov_to(s, SEG_SS, cases[i].selector), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
        assert_int_equal(s->cpu->shadow, cases[i].vector == SYS_OK);
        s->cpu->shadow = false;
    }
}

static void mov_to_cs_and_to_no_register_is_ud(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(mov_to(s, SEG_CS, SEL_CODE0), VEC_UD);
    assert_int_equal(mov_to(s, 6, SEL_DATA0), VEC_UD);
    assert_int_equal(sys_run(s, x_mov_E_S, sys_reg(4, 7, RAX)), VEC_UD);
}

static void data_load_has_no_shadow(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(mov_to(s, SEG_DS, SEL_DATA0), SYS_OK);
    assert_false(s->cpu->shadow);
}

static void stack_segment_size_changes_the_mode(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_true(s->cpu->mode & MODE_SS_B);
    assert_int_equal(mov_to(s, SEG_SS, SEL_DATA16), SYS_OK);
    assert_false(s->cpu->mode & MODE_SS_B);
}

static void descriptor_page_fault_leaves_all_as_it_was(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    sys_unmap(s, AT_GDT);
    assert_int_equal(mov_to(s, SEG_DS, SEL_DATA0), VEC_PF);
    assert_int_equal(s->cpu->cr2, AT_GDT + SEL_DATA0);
    assert_int_equal(s->code, 0); /* a supervisor's access, whatever the CPL */
    sys_long(s, 3);
    sys_unmap(s, AT_GDT);
    assert_int_equal(mov_to(s, SEG_DS, SEL_DATA3), VEC_PF);
    assert_int_equal(s->code, 0);
}

/* --- Long mode --- */

static void null_ss_in_64_bit_mode_below_level_3(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    assert_int_equal(mov_to(s, SEG_SS, 0), SYS_OK);
    assert_int_equal(s->cpu->cpl, 0);
    assert_true(s->cpu->seg[SEG_SS].attr & SEG_UNUSABLE);
    assert_int_equal(mov_to(s, SEG_SS, 1), VEC_GP); /* RPL is not CPL */
    sys_long(s, 3);
    assert_int_equal(mov_to(s, SEG_SS, 3), VEC_GP);
    assert_int_equal(s->code, 0);
    sys_compat(s, 0);
    assert_int_equal(mov_to(s, SEG_SS, 0), VEC_GP);
}

static void null_load_clears_fs_base(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    s->cpu->seg[SEG_FS].base = 0x7F0012345678;
    assert_int_equal(mov_to(s, SEG_FS, 0), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_FS].base, 0);
}

/* --- MOV from, PUSH, POP --- */

static void mov_from_zero_extends_or_merges(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->cpu->gpr[RBX] = ~UINT64_C(0);
    assert_int_equal(sys_run(s, x_mov_E_S, sys_reg(4, SEG_CS, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX], SEL_CODE0_64);
    s->cpu->gpr[RBX] = ~UINT64_C(0);
    assert_int_equal(sys_run(s, x_mov_E_S, sys_reg(2, SEG_CS, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX], (~UINT64_C(0) << 16) | SEL_CODE0_64);
    sys_set(s, AT_DATA, 8, ~UINT64_C(0));
    assert_int_equal(sys_run(s, x_mov_E_S, sys_mem(s, 8, SEG_CS, AT_DATA)), SYS_OK);
    assert_int_equal(sys_get(s, AT_DATA, 8), (~UINT64_C(0) << 16) | SEL_CODE0_64);
}

static void mov_from_memory_operand(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_set(s, AT_DATA, 2, SEL_RODATA);
    assert_int_equal(sys_run(s, x_mov_S_E, sys_mem(s, 4, SEG_GS, AT_DATA)), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_GS].selector, SEL_RODATA);
}

static void push_and_pop_move_the_stack_by_the_operand_size(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(sys_run(s, x_push_S, sys_reg(4, SEG_CS, 0)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 4);
    assert_int_equal(sys_get(s, AT_STACK0 - 4, 4), SEL_CODE0);
    assert_int_equal(sys_run(s, x_pop_S, sys_reg(4, SEG_DS, 0)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0);
    assert_int_equal(s->cpu->seg[SEG_DS].selector, SEL_CODE0);
    sys_push(s, 2, SEL_DATA0);
    assert_int_equal(sys_run(s, x_pop_S, sys_reg(2, SEG_SS, 0)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0);
    assert_true(s->cpu->shadow);
}

static void pop_that_faults_leaves_the_stack_pointer(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_push(s, 4, SEL_DATA_NP);
    assert_int_equal(sys_run(s, x_pop_S, sys_reg(4, SEG_ES, 0)), VEC_NP);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 4);
}

static void push_below_the_stack_limit_is_ss(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    s->cpu->seg[SEG_SS].limit = 0xFFF;
    s->cpu->gpr[RSP] = 0x1001;
    assert_int_equal(sys_run(s, x_push_S, sys_reg(4, SEG_DS, 0)), VEC_SS);
    s->cpu->gpr[RSP] = 0x1000;
    assert_int_equal(sys_run(s, x_push_S, sys_reg(4, SEG_DS, 0)), SYS_OK);
}

static void push_on_16_bit_stack_wraps_and_keeps_the_upper_half(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(mov_to(s, SEG_SS, SEL_DATA16), SYS_OK);
    s->cpu->gpr[RSP] = 0x12340000;
    assert_int_equal(sys_run(s, x_push_S, sys_reg(2, SEG_DS, 0)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], 0x1234FFFE);
    assert_int_equal(sys_get(s, 0xFFFE, 2), SEL_DATA0);
}

static void expand_down_stack_ends_at_its_limit(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(mov_to(s, SEG_SS, SEL_DOWN), SYS_OK);
    s->cpu->gpr[RSP] = 0x1004;
    assert_int_equal(sys_run(s, x_push_S, sys_reg(4, SEG_DS, 0)), SYS_OK);
    assert_int_equal(sys_run(s, x_push_S, sys_reg(4, SEG_DS, 0)), VEC_SS); /* 0xFFC to 0xFFF */
}

static void far_pointer_load_sets_segment_and_register(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_set(s, AT_DATA, 4, 0xDEADBEEF);
    sys_set(s, AT_DATA + 4, 2, SEL_RODATA);
    assert_int_equal(sys_run(s, x_lds_G_M, sys_mem(s, 4, RBX, AT_DATA)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX], 0xDEADBEEF);
    assert_int_equal(s->cpu->seg[SEG_DS].selector, SEL_RODATA);
    sys_set(s, AT_DATA + 2, 2, SEL_DATA0);
    assert_int_equal(sys_run(s, x_lss_G_M, sys_mem(s, 2, RSP, AT_DATA)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP] & 0xFFFF, 0xBEEF);
    assert_false(s->cpu->shadow);
    sys_set(s, AT_DATA + 2, 2, SEL_CODE_NP);
    assert_int_equal(sys_run(s, x_lgs_G_M, sys_mem(s, 2, RBX, AT_DATA)), VEC_NP);
    assert_int_equal(s->cpu->gpr[RBX], 0xDEADBEEF);
}

/* --- Bases --- */

static void fs_and_gs_base_instructions(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    assert_int_equal(sys_run(s, x_rdfsbase_R, sys_reg(8, 0, RAX)),
                     VEC_UD); /* CR4.FSGSBASE is clear */
    s->cpu->cr4 |= CR4_FSGSBASE;
    s->cpu->gpr[RAX] = 0x7FFF12345678;
    assert_int_equal(sys_run(s, x_wrfsbase_R, sys_reg(8, 0, RAX)), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_FS].base, 0x7FFF12345678);
    assert_int_equal(sys_run(s, x_rdfsbase_R, sys_reg(4, 0, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX], 0x12345678);
    assert_int_equal(sys_run(s, x_wrgsbase_R, sys_reg(4, 0, RAX)), SYS_OK);
    assert_int_equal(sys_run(s, x_rdgsbase_R, sys_reg(8, 0, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX], 0x12345678);
    s->cpu->gpr[RAX] = UINT64_C(1) << 47;
    assert_int_equal(sys_run(s, x_wrgsbase_R, sys_reg(8, 0, RAX)), VEC_GP);
}

static void swapgs_exchanges_at_level_0(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->cpu->seg[SEG_GS].base = 1;
    s->cpu->msr.kernel_gs_base = 2;
    assert_int_equal(sys_run(s, x_swapgs, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_GS].base, 2);
    assert_int_equal(s->cpu->msr.kernel_gs_base, 1);
    sys_long(s, 3);
    assert_int_equal(sys_run(s, x_swapgs, sys_reg(4, 0, 0)), VEC_GP);
}

#define SEG_TEST(name) cmocka_unit_test_setup_teardown(name, sys_setup, sys_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEG_TEST(real_mode_load_sets_base_and_keeps_limit),
        SEG_TEST(real_mode_load_revives_a_null_segment),
        SEG_TEST(vm86_load_sets_all_of_the_hidden_part),
        SEG_TEST(load_takes_base_limit_and_attributes_from_descriptor),
        SEG_TEST(load_sets_accessed_bit_in_memory),
        SEG_TEST(load_from_ldt),
        SEG_TEST(null_selector_is_allowed_in_data_segments_only),
        SEG_TEST(data_segment_faults),
        SEG_TEST(stack_segment_faults),
        SEG_TEST(mov_to_cs_and_to_no_register_is_ud),
        SEG_TEST(data_load_has_no_shadow),
        SEG_TEST(stack_segment_size_changes_the_mode),
        SEG_TEST(descriptor_page_fault_leaves_all_as_it_was),
        SEG_TEST(null_ss_in_64_bit_mode_below_level_3),
        SEG_TEST(null_load_clears_fs_base),
        SEG_TEST(mov_from_zero_extends_or_merges),
        SEG_TEST(mov_from_memory_operand),
        SEG_TEST(push_and_pop_move_the_stack_by_the_operand_size),
        SEG_TEST(pop_that_faults_leaves_the_stack_pointer),
        SEG_TEST(push_below_the_stack_limit_is_ss),
        SEG_TEST(push_on_16_bit_stack_wraps_and_keeps_the_upper_half),
        SEG_TEST(expand_down_stack_ends_at_its_limit),
        SEG_TEST(far_pointer_load_sets_segment_and_register),
        SEG_TEST(fs_and_gs_base_instructions),
        SEG_TEST(swapgs_exchanges_at_level_0),
    };

    return cmocka_run_group_tests_name("soft/seg", tests, NULL, NULL);
}
