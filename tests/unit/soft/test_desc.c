/* SPDX-License-Identifier: MIT */
/* Descriptor table registers and look-ups: SGDT to LTR, VERR, VERW, LAR, LSL, ARPL. SDM vol. 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/handlers.h"
#include "accel/soft/seg.h"
#include "accel/soft/tlb.h"
#include "sys_fixture.h"

static int run_selector(struct sys *s, insn_fn *const *table, u16 selector)
{
    s->cpu->gpr[RBX] = selector;
    return sys_run(s, table, sys_reg(4, RCX, RBX));
}

static bool zf(struct sys *s)
{
    return s->cpu->aflags & FLAG_ZF;
}

/* --- GDTR and IDTR --- */

static void lgdt_and_sgdt_move_6_or_10_bytes(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_set(s, AT_DATA, 2, 0x1234);
    sys_set(s, AT_DATA + 2, 4, 0x89ABCDEF);
    assert_int_equal(sys_run(s, x_lgdt_M, sys_mem(s, 4, 0, AT_DATA)), SYS_OK);
    assert_int_equal(s->cpu->gdtr.limit, 0x1234);
    assert_int_equal(s->cpu->gdtr.base, 0x89ABCDEF);
    assert_int_equal(sys_run(s, x_sgdt_M, sys_mem(s, 4, 0, AT_DATA + 16)), SYS_OK);
    assert_int_equal(sys_get(s, AT_DATA + 16, 8), UINT64_C(0x89ABCDEF1234));
    assert_int_equal(sys_run(s, x_lgdt_M, sys_mem(s, 2, 0, AT_DATA)), SYS_OK);
    assert_int_equal(s->cpu->gdtr.base, 0xABCDEF); /* 24 bits */
    sys_long(s, 0);
    sys_set(s, AT_DATA + 2, 8, UINT64_C(0xFFFFFE0000001000));
    assert_int_equal(sys_run(s, x_lidt_M, sys_mem(s, 8, 0, AT_DATA)), SYS_OK);
    assert_int_equal(s->cpu->idtr.base, UINT64_C(0xFFFFFE0000001000));
    assert_int_equal(sys_run(s, x_sidt_M, sys_mem(s, 8, 0, AT_DATA + 16)), SYS_OK);
    assert_int_equal(sys_get(s, AT_DATA + 18, 8), UINT64_C(0xFFFFFE0000001000));
}

static void table_loads_need_level_0_and_canonical_bases(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    assert_int_equal(sys_run(s, x_lgdt_M, sys_mem(s, 8, 0, AT_DATA)), VEC_GP);
    assert_int_equal(sys_run(s, x_lidt_M, sys_mem(s, 8, 0, AT_DATA)), VEC_GP);
    sys_long(s, 0);
    sys_set(s, AT_DATA + 2, 8, UINT64_C(1) << 47);
    assert_int_equal(sys_run(s, x_lgdt_M, sys_mem(s, 8, 0, AT_DATA)), VEC_GP);
    sys_unmap(s, AT_DATA + 0x1000);
    assert_int_equal(sys_run(s, x_lidt_M, sys_mem(s, 8, 0, AT_DATA + 0x1000 - 4)), VEC_PF);
}

static void umip_hides_the_tables(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    assert_int_equal(sys_run(s, x_sgdt_M, sys_mem(s, 8, 0, AT_DATA)), SYS_OK);
    s->cpu->cr4 |= CR4_UMIP;
    assert_int_equal(sys_run(s, x_sgdt_M, sys_mem(s, 8, 0, AT_DATA)), VEC_GP);
    assert_int_equal(sys_run(s, x_sidt_M, sys_mem(s, 8, 0, AT_DATA)), VEC_GP);
    assert_int_equal(sys_run(s, x_sldt_E, sys_reg(4, 0, RAX)), VEC_GP);
    assert_int_equal(sys_run(s, x_str_E, sys_reg(4, 0, RAX)), VEC_GP);
    assert_int_equal(sys_run(s, x_smsw_E, sys_reg(4, 0, RAX)), VEC_GP);
    sys_long(s, 0);
    assert_int_equal(sys_run(s, x_sgdt_M, sys_mem(s, 8, 0, AT_DATA)), SYS_OK);
}

/* --- LDTR and TR --- */

static void look_ups_are_ud_outside_protected_mode(void **state)
{
    insn_fn *const *const tables[] = { x_sldt_E, x_str_E,   x_lldt_E,  x_ltr_E,   x_verr_E,
                                       x_verw_E, x_lar_G_E, x_lsl_G_E, x_arpl_E_G };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
        assert_int_equal(sys_run(s, tables[i], sys_reg(2, 0, RAX)), VEC_UD);
    sys_vm86(s, 3);
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
        assert_int_equal(sys_run(s, tables[i], sys_reg(2, 0, RAX)), VEC_UD);
}

static void lldt_loads_and_clears(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    s->cpu->ldtr = segment_null(0, 0);
    assert_int_equal(run_selector(s, x_lldt_E, SEL_LDT), SYS_OK);
    assert_int_equal(s->cpu->ldtr.base, AT_LDT);
    assert_int_equal(s->cpu->ldtr.limit, 0x1F);
    assert_int_equal(sys_run(s, x_sldt_E, sys_reg(4, 0, RAX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RAX], SEL_LDT);
    assert_int_equal(run_selector(s, x_lldt_E, 0), SYS_OK);
    assert_true(s->cpu->ldtr.attr & SEG_UNUSABLE);
}

static void ltr_marks_the_tss_busy(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(run_selector(s, x_ltr_E, SEL_TSS), SYS_OK);
    assert_int_equal(s->cpu->tr.base, AT_TSS);
    assert_int_equal(s->cpu->tr.attr & SEG_TYPE, TYPE_TSS_BUSY);
    assert_int_equal(sys_get(s, AT_GDT + SEL_TSS + 5, 1), 0x8B);
    assert_int_equal(run_selector(s, x_ltr_E, SEL_TSS), VEC_GP); /* busy now */
    assert_int_equal(s->code, SEL_TSS);
    assert_int_equal(sys_run(s, x_str_E, sys_mem(s, 4, 0, AT_DATA)), SYS_OK);
    assert_int_equal(sys_get(s, AT_DATA, 4), SEL_TSS);
}

static void long_mode_tables_have_64_bit_bases(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    sys_set(s, AT_GDT + SEL_TSS + 8, 8, 0xFFFFFE00);
    sys_set(s, AT_GDT + SEL_LDT + 8, 8, 0xFFFF8880);
    assert_int_equal(run_selector(s, x_ltr_E, SEL_TSS), SYS_OK);
    assert_int_equal(s->cpu->tr.base, UINT64_C(0xFFFFFE0000000000) | AT_TSS);
    assert_int_equal(run_selector(s, x_lldt_E, SEL_LDT), SYS_OK);
    assert_int_equal(s->cpu->ldtr.base, UINT64_C(0xFFFF888000000000) | AT_LDT);
    sys_set(s, AT_GDT + SEL_LDT + 8, 8, 0x8000); /* not canonical */
    assert_int_equal(run_selector(s, x_lldt_E, SEL_LDT), VEC_GP);
    sys_set(s, AT_GDT + SEL_LDT + 8, 8, UINT64_C(0x10000000000)); /* a type in the upper half */
    assert_int_equal(run_selector(s, x_lldt_E, SEL_LDT), VEC_GP);
    assert_int_equal(s->code, SEL_LDT);
    s->cpu->gdtr.limit = SEL_LDT + 14;
    assert_int_equal(run_selector(s, x_lldt_E, SEL_LDT), VEC_GP);
}

static void lldt_and_ltr_faults(void **state)
{
    static const struct {
        bool ltr;
        unsigned cpl;
        u16 selector;
        int vector;
        u32 code;
    } cases[] = {
        { false, 3, SEL_LDT, VEC_GP, 0 },
        { false, 0, SEL_LDT | 4, VEC_GP, SEL_LDT | 4 }, /* in the LDT itself */
        { false, 0, GDT_BYTES, VEC_GP, GDT_BYTES },
        { false, 0, SEL_TSS, VEC_GP, SEL_TSS },
        { false, 0, SEL_DATA0, VEC_GP, SEL_DATA0 },
        { true, 3, SEL_TSS, VEC_GP, 0 },
        { true, 0, 0, VEC_GP, 0 },
        { true, 0, SEL_TSS | 4, VEC_GP, SEL_TSS | 4 },
        { true, 0, SEL_LDT, VEC_GP, SEL_LDT },
        { true, 0, SEL_CODE0, VEC_GP, SEL_CODE0 },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, cases[i].cpl);
        assert_int_equal(run_selector(s, cases[i].ltr ? x_ltr_E : x_lldt_E, cases[i].selector),
                         cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
    }
    sys_protected(s, 0);
    sys_set(s, AT_GDT + SEL_TSS + 5, 1, 0x09);
    assert_int_equal(run_selector(s, x_ltr_E, SEL_TSS), VEC_NP);
    assert_int_equal(s->code, SEL_TSS);
    sys_set(s, AT_GDT + SEL_LDT + 5, 1, 0x02);
    assert_int_equal(run_selector(s, x_lldt_E, SEL_LDT), VEC_NP);
}

/* --- VERR, VERW, LAR, LSL --- */

static void verr_and_verw_tell_what_may_be_accessed(void **state)
{
    static const struct {
        unsigned cpl;
        u16 selector;
        bool read, write;
    } cases[] = {
        { 0, 0, false, false },         { 0, GDT_BYTES, false, false },
        { 0, SEL_DATA0, true, true },   { 3, SEL_DATA0, false, false },
        { 3, SEL_DATA3, true, true },   { 0, SEL_DATA0 | 3, false, false },
        { 0, SEL_RODATA, true, false }, { 0, SEL_CODE0, true, false },
        { 0, SEL_XONLY, false, false }, { 3, SEL_CONFORM, true, false },
        { 0, SEL_TSS, false, false },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, cases[i].cpl);
        assert_int_equal(run_selector(s, x_verr_E, cases[i].selector), SYS_OK);
        assert_int_equal(zf(s), cases[i].read);
        assert_int_equal(run_selector(s, x_verw_E, cases[i].selector), SYS_OK);
        assert_int_equal(zf(s), cases[i].write);
    }
}

static void lar_shows_the_access_rights(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    assert_int_equal(run_selector(s, x_lar_G_E, SEL_DATA3), SYS_OK);
    assert_true(zf(s));
    assert_int_equal(s->cpu->gpr[RCX], 0x00C0F300);
    assert_int_equal(run_selector(s, x_lar_G_E, SEL_DATA0), SYS_OK);
    assert_false(zf(s));
    assert_int_equal(s->cpu->gpr[RCX], 0x00C0F300); /* unchanged */
    sys_protected(s, 0);
    assert_int_equal(run_selector(s, x_lar_G_E, SEL_TASKGATE), SYS_OK);
    assert_true(zf(s));
    s->cpu->gpr[RCX] = ~UINT64_C(0);
    s->cpu->gpr[RBX] = SEL_LDT;
    assert_int_equal(sys_run(s, x_lar_G_E, sys_reg(2, RCX, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RCX], ~UINT64_C(0) << 16 | 0x8200);
    sys_long(s, 0);
    assert_int_equal(run_selector(s, x_lar_G_E, SEL_TASKGATE), SYS_OK);
    assert_false(zf(s)); /* no such thing in long mode */
}

static void lsl_shows_the_limit_in_bytes(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(run_selector(s, x_lsl_G_E, SEL_DATA0), SYS_OK);
    assert_int_equal(s->cpu->gpr[RCX], 0xFFFFFFFF);
    assert_int_equal(run_selector(s, x_lsl_G_E, SEL_TSS), SYS_OK);
    assert_true(zf(s));
    assert_int_equal(s->cpu->gpr[RCX], 0xFF);
    sys_call_gate(s, SEL_GATE, SEL_CODE0, 0, TYPE_CALL, 0, 0);
    assert_int_equal(run_selector(s, x_lsl_G_E, SEL_GATE), SYS_OK);
    assert_false(zf(s)); /* gates have none */
    assert_int_equal(run_selector(s, x_lar_G_E, SEL_GATE), SYS_OK);
    assert_true(zf(s));
    sys_set(s, AT_DATA, 2, SEL_SMALL);
    assert_int_equal(sys_run(s, x_lsl_G_E, sys_mem(s, 4, RCX, AT_DATA)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RCX], 0xFFF);
}

/* --- ARPL --- */

static void arpl_raises_the_rpl(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    s->cpu->gpr[RBX] = 0xFFFF0010;
    s->cpu->gpr[RCX] = 0x1B;
    assert_int_equal(sys_run(s, x_arpl_E_G, sys_reg(2, RCX, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX], 0xFFFF0013);
    assert_true(zf(s));
    assert_int_equal(sys_run(s, x_arpl_E_G, sys_reg(2, RCX, RBX)), SYS_OK);
    assert_false(zf(s));
    sys_set(s, AT_DATA, 4, 0x55550021);
    assert_int_equal(sys_run(s, x_arpl_E_G, sys_mem(s, 2, RCX, AT_DATA)), SYS_OK);
    assert_int_equal(sys_get(s, AT_DATA, 4), 0x55550023);
    assert_true(zf(s));
}

#define DESC_TEST(name) cmocka_unit_test_setup_teardown(name, sys_setup, sys_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DESC_TEST(lgdt_and_sgdt_move_6_or_10_bytes),
        DESC_TEST(table_loads_need_level_0_and_canonical_bases),
        DESC_TEST(umip_hides_the_tables),
        DESC_TEST(look_ups_are_ud_outside_protected_mode),
        DESC_TEST(lldt_loads_and_clears),
        DESC_TEST(ltr_marks_the_tss_busy),
        DESC_TEST(long_mode_tables_have_64_bit_bases),
        DESC_TEST(lldt_and_ltr_faults),
        DESC_TEST(verr_and_verw_tell_what_may_be_accessed),
        DESC_TEST(lar_shows_the_access_rights),
        DESC_TEST(lsl_shows_the_limit_in_bytes),
        DESC_TEST(arpl_raises_the_rpl),
    };

    return cmocka_run_group_tests_name("soft/desc", tests, NULL, NULL);
}
