/* SPDX-License-Identifier: MIT */
/* Delivery of exceptions and interrupts, and INT n, in every mode. SDM vol. 3A, chapter 6; vol. 3B, chapter 20. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/event.h"
#include "accel/soft/handlers.h"
#include "accel/soft/seg.h"
#include "accel/soft/tlb.h"
#include "sys_fixture.h"

#define HANDLER 0xA000u

static unsigned event_vector;
static u32 event_code;
static enum event_kind event_kind;

static void deliver_it(struct sys *s)
{
    event_deliver(s->cpu, event_vector, event_code, event_kind);
}

static int deliver(struct sys *s, unsigned vector, u32 code, enum event_kind kind)
{
    event_vector = vector;
    event_code = code;
    event_kind = kind;
    return sys_catch(s, deliver_it);
}

static int int_n(struct sys *s, u8 vector)
{
    struct insn in = sys_reg(4, 0, 0);

    in.imm = vector;
    return sys_run(s, x_int_I, in);
}

/* --- Real mode --- */

static void real_mode_goes_through_the_vector_table(void **state)
{
    struct sys *s = *state;

    s->cpu->gpr[RSP] = 0x8000;
    s->cpu->seg[SEG_CS] = segment_real(&s->cpu->seg[SEG_CS], 0x900, true);
    s->cpu->rip = 0x10;
    cpu_set_rflags(s->cpu, FLAG_1 | FLAG_IF | FLAG_TF | FLAG_CF | FLAG_AC);
    sys_set(s, 0x21 * 4, 4, 0xF0001234);
    assert_int_equal(int_n(s, 0x21), SYS_OK);
    assert_int_equal(s->cpu->rip, 0x1234);
    assert_int_equal(s->cpu->seg[SEG_CS].base, 0xF0000);
    assert_int_equal(s->cpu->gpr[RSP], 0x7FFA);
    assert_int_equal(sys_get(s, 0x7FFA, 2), 0x13);
    assert_int_equal(sys_get(s, 0x7FFC, 2), 0x900);
    assert_int_equal(sys_get(s, 0x7FFE, 2), FLAG_1 | FLAG_IF | FLAG_TF | FLAG_CF);
    assert_int_equal(cpu_rflags(s->cpu), FLAG_1 | FLAG_CF);
}

static void real_mode_pushes_no_error_code(void **state)
{
    struct sys *s = *state;

    s->cpu->gpr[RSP] = 0x8000;
    assert_int_equal(deliver(s, VEC_GP, 0x55, EVENT_EXCEPTION), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], 0x7FFA);
}

static void real_mode_vector_beyond_the_table_is_gp(void **state)
{
    struct sys *s = *state;

    s->cpu->idtr.limit = 0x21 * 4 + 2;
    assert_int_equal(int_n(s, 0x21), VEC_GP);
    assert_int_equal(int_n(s, 0x20), SYS_OK);
}

static void real_mode_stack_wraps(void **state)
{
    struct sys *s = *state;

    s->cpu->gpr[RSP] = 2;
    assert_int_equal(deliver(s, 0x20, 0, EVENT_EXTERNAL), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], 0xFFFC);
    assert_int_equal(sys_get(s, 0, 2), FLAG_1);
    assert_int_equal(sys_get(s, 0xFFFE, 2), 0xF000);
    assert_int_equal(sys_get(s, 0xFFFC, 2), 0xFFF0);
}

/* --- Protected mode --- */

static void interrupt_gate_clears_if_and_trap_gate_does_not(void **state)
{
    struct sys *s = *state;
    u64 flags = FLAG_1 | FLAG_IF | FLAG_TF | FLAG_NT | FLAG_ZF;

    sys_protected(s, 0);
    sys_idt(s, 0x40, SEL_CODE0, HANDLER, TYPE_INT, 0, 0);
    sys_idt(s, 0x41, SEL_CODE0, HANDLER, TYPE_TRAP, 0, 0);
    cpu_set_rflags(s->cpu, flags);
    assert_int_equal(deliver(s, 0x40, 0, EVENT_EXTERNAL), SYS_OK);
    assert_int_equal(cpu_rflags(s->cpu), FLAG_1 | FLAG_ZF);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 12);
    assert_int_equal(sys_get(s, AT_STACK0 - 4, 4), flags);
    assert_int_equal(sys_get(s, AT_STACK0 - 8, 4), SEL_CODE0);
    assert_int_equal(sys_get(s, AT_STACK0 - 12, 4), AT_CODE);
    cpu_set_rflags(s->cpu, flags);
    assert_int_equal(deliver(s, 0x41, 0, EVENT_EXTERNAL), SYS_OK);
    assert_int_equal(cpu_rflags(s->cpu), FLAG_1 | FLAG_ZF | FLAG_IF);
}

static void faults_push_rf_and_an_error_code_where_they_have_one(void **state)
{
    static const struct {
        unsigned vector;
        enum event_kind kind;
        bool code, rf;
    } cases[] = {
        { VEC_DE, EVENT_EXCEPTION, false, true },  { VEC_DB, EVENT_EXCEPTION, false, false },
        { VEC_NMI, EVENT_EXTERNAL, false, false }, { VEC_UD, EVENT_EXCEPTION, false, true },
        { VEC_DF, EVENT_EXCEPTION, true, false },  { VEC_TS, EVENT_EXCEPTION, true, true },
        { VEC_NP, EVENT_EXCEPTION, true, true },   { VEC_SS, EVENT_EXCEPTION, true, true },
        { VEC_GP, EVENT_EXCEPTION, true, true },   { VEC_PF, EVENT_EXCEPTION, true, true },
        { VEC_MF, EVENT_EXCEPTION, false, true },  { VEC_AC, EVENT_EXCEPTION, true, true },
        { VEC_XM, EVENT_EXCEPTION, false, true },  { VEC_GP, EVENT_EXTERNAL, false, false },
        { VEC_GP, EVENT_SOFTWARE, false, false },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        unsigned size = cases[i].code ? 16 : 12;

        sys_protected(s, 0);
        sys_idt(s, cases[i].vector, SEL_CODE0, HANDLER, TYPE_INT, 0, 0);
        s->cpu->in = NULL;
        assert_int_equal(deliver(s, cases[i].vector, 0x1234, cases[i].kind), SYS_OK);
        assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - size);
        assert_int_equal(sys_get(s, AT_STACK0 - 4, 4), FLAG_1 | (cases[i].rf ? FLAG_RF : 0));
        if (cases[i].code)
            assert_int_equal(sys_get(s, AT_STACK0 - 16, 4), 0x1234);
    }
}

static void gate_faults_have_the_idt_and_ext_bits(void **state)
{
    static const struct {
        unsigned type, dpl;
        bool present;
        enum event_kind kind;
        int vector;
        u32 code;
    } cases[] = {
        { TYPE_CALL, 3, true, EVENT_SOFTWARE, VEC_GP, 0x40 * 8 + 2 },
        { TYPE_CALL, 3, true, EVENT_EXTERNAL, VEC_GP, 0x40 * 8 + 3 },
        { TYPE_INT, 0, true, EVENT_SOFTWARE, VEC_GP, 0x40 * 8 + 2 }, /* gate DPL below CPL */
        { TYPE_INT, 0, true, EVENT_EXTERNAL, SYS_OK, 0 },
        { TYPE_INT, 3, false, EVENT_SOFTWARE, VEC_NP, 0x40 * 8 + 2 },
        { TYPE_INT, 0, false, EVENT_EXCEPTION, VEC_NP, 0x40 * 8 + 3 },
        { TYPE_TASK_GATE, 3, true, EVENT_EXTERNAL, SYS_ERROR, 0 },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, 3);
        sys_idt(s, 0x40, SEL_CODE0, HANDLER, cases[i].type, cases[i].dpl, 0);
        if (!cases[i].present)
            sys_set(s, AT_IDT + 0x40 * 8 + 5, 1, cases[i].type | cases[i].dpl << 5);
        s->cpu->in = NULL;
        assert_int_equal(deliver(s, 0x40, 0, cases[i].kind), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
    }
    sys_protected(s, 0);
    s->cpu->idtr.limit = 0x40 * 8 + 6;
    assert_int_equal(deliver(s, 0x40, 0, EVENT_EXCEPTION), VEC_GP);
    assert_int_equal(s->code, 0x40 * 8 + 3);
}

static void code_segment_faults(void **state)
{
    static const struct {
        u16 selector;
        int vector;
        u32 code;
    } cases[] = {
        { 0, VEC_GP, 0 },
        { 3, VEC_GP, 0 },
        { GDT_BYTES, VEC_GP, GDT_BYTES },
        { SEL_DATA0, VEC_GP, SEL_DATA0 },
        { SEL_CODE3, VEC_GP, SEL_CODE3 & ~3u }, /* DPL above CPL */
        { SEL_CODE_NP, VEC_NP, SEL_CODE_NP },
        { SEL_SMALL, VEC_GP, 0 }, /* offset beyond the segment */
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, 0);
        sys_idt(s, 0x40, cases[i].selector, HANDLER, TYPE_INT, 3, 0);
        assert_int_equal(int_n(s, 0x40), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
        assert_int_equal(s->cpu->rip, AT_CODE); /* at the INT, to be run again */
        assert_int_equal(deliver(s, 0x40, 0, EVENT_EXTERNAL), cases[i].vector);
        assert_int_equal(s->code, cases[i].code | ERROR_EXT);
    }
}

static void inner_level_switches_stacks(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    cpu_set_rflags(s->cpu, FLAG_1 | FLAG_IF);
    sys_idt(s, VEC_GP, SEL_CODE0, HANDLER, TYPE_INT, 0, 0);
    assert_int_equal(deliver(s, VEC_GP, 0x1234, EVENT_EXCEPTION), SYS_OK);
    assert_int_equal(s->cpu->cpl, 0);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, SEL_CODE0);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, SEL_DATA0);
    assert_int_equal(s->cpu->rip, HANDLER);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 24);
    assert_int_equal(sys_get(s, AT_STACK0 - 4, 4), SEL_DATA3);
    assert_int_equal(sys_get(s, AT_STACK0 - 8, 4), AT_STACK3);
    assert_int_equal(sys_get(s, AT_STACK0 - 12, 4), FLAG_1 | FLAG_IF | FLAG_RF);
    assert_int_equal(sys_get(s, AT_STACK0 - 16, 4), SEL_CODE3);
    assert_int_equal(sys_get(s, AT_STACK0 - 20, 4), AT_CODE);
    assert_int_equal(sys_get(s, AT_STACK0 - 24, 4), 0x1234);
}

static void inner_stack_faults_have_ext(void **state)
{
    static const struct {
        u16 ss;
        int vector;
        u32 code;
    } cases[] = {
        { 0, VEC_TS, 0 },
        { GDT_BYTES, VEC_TS, GDT_BYTES },
        { SEL_DATA3, VEC_TS, SEL_DATA3 & ~3u },
        { SEL_RODATA, VEC_TS, SEL_RODATA },
        { SEL_DATA_NP, VEC_SS, SEL_DATA_NP },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, 3);
        sys_idt(s, 0x40, SEL_CODE0, HANDLER, TYPE_INT, 3, 0);
        sys_set(s, AT_TSS + 8, 2, cases[i].ss);
        assert_int_equal(int_n(s, 0x40), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
        assert_int_equal(deliver(s, 0x40, 0, EVENT_EXTERNAL), cases[i].vector);
        assert_int_equal(s->code, cases[i].code | ERROR_EXT);
    }
    s->cpu->tr.limit = 7;
    assert_int_equal(deliver(s, 0x40, 0, EVENT_EXTERNAL), VEC_TS);
    assert_int_equal(s->code, SEL_TSS | ERROR_EXT);
}

static void conforming_handler_stays_at_its_level(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    sys_idt(s, 0x40, SEL_CONFORM, HANDLER, TYPE_TRAP, 3, 0);
    assert_int_equal(int_n(s, 0x40), SYS_OK);
    assert_int_equal(s->cpu->cpl, 3);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, SEL_CONFORM | 3);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK3 - 12);
    assert_int_equal(sys_get(s, AT_STACK3 - 12, 4), AT_CODE + SYS_LEN);
}

static void sixteen_bit_gate_pushes_words(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_idt(s, VEC_GP, SEL_CODE16, 0xFFFF1000, TYPE_INT16, 0, 0);
    assert_int_equal(deliver(s, VEC_GP, 0x1234, EVENT_EXCEPTION), SYS_OK);
    assert_int_equal(s->cpu->rip, 0x1000);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 8);
    assert_int_equal(sys_get(s, AT_STACK0 - 8, 2), 0x1234);
    assert_int_equal(sys_get(s, AT_STACK0 - 6, 2), AT_CODE);
}

static void debug_exception_clears_gd(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    s->cpu->dr[7] = 0x2400;
    sys_idt(s, VEC_DB, SEL_CODE0, HANDLER, TYPE_INT, 0, 0);
    assert_int_equal(deliver(s, VEC_DB, 0, EVENT_EXCEPTION), SYS_OK);
    assert_int_equal(s->cpu->dr[7], 0x400);
}

/* --- Virtual-8086 mode --- */

static void vm86_event_pushes_all_segments_and_empties_them(void **state)
{
    struct sys *s = *state;

    sys_vm86(s, 3);
    sys_idt(s, 0x40, SEL_CODE0, HANDLER, TYPE_INT, 3, 0);
    assert_int_equal(int_n(s, 0x40), SYS_OK);
    assert_int_equal(s->cpu->cpl, 0);
    assert_false(s->cpu->mode & MODE_VM);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 36);
    assert_int_equal(sys_get(s, AT_STACK0 - 4, 4), 0x100 + SEG_GS);
    assert_int_equal(sys_get(s, AT_STACK0 - 8, 4), 0x100 + SEG_FS);
    assert_int_equal(sys_get(s, AT_STACK0 - 12, 4), 0x100 + SEG_DS);
    assert_int_equal(sys_get(s, AT_STACK0 - 16, 4), 0x100 + SEG_ES);
    assert_int_equal(sys_get(s, AT_STACK0 - 20, 4), 0x100 + SEG_SS);
    assert_int_equal(sys_get(s, AT_STACK0 - 24, 4), 0x1000);
    assert_int_equal(sys_get(s, AT_STACK0 - 28, 4), FLAG_1 | FLAG_VM | FLAG_IOPL);
    assert_int_equal(sys_get(s, AT_STACK0 - 32, 4), 0x100 + SEG_CS);
    assert_int_equal(sys_get(s, AT_STACK0 - 36, 4), 0x200 + SYS_LEN);
    assert_int_equal(s->cpu->seg[SEG_DS].selector, 0);
    assert_true(s->cpu->seg[SEG_GS].attr & SEG_UNUSABLE);
}

static void vm86_handler_must_be_at_level_0(void **state)
{
    struct sys *s = *state;

    sys_vm86(s, 3);
    sys_idt(s, 0x40, SEL_CODE1 & ~3u, HANDLER, TYPE_INT, 3, 0);
    assert_int_equal(int_n(s, 0x40), VEC_GP);
    assert_int_equal(s->code, SEL_CODE1 & ~3u);
    sys_idt(s, 0x40, SEL_CONFORM, HANDLER, TYPE_INT, 3, 0);
    assert_int_equal(int_n(s, 0x40), VEC_GP);
    assert_int_equal(s->code, SEL_CONFORM);
}

static void vm86_int_needs_iopl_3_but_int3_does_not(void **state)
{
    struct sys *s = *state;

    sys_vm86(s, 2);
    sys_idt(s, 0x40, SEL_CODE0, HANDLER, TYPE_INT, 3, 0);
    sys_idt(s, VEC_BP, SEL_CODE0, HANDLER, TYPE_INT, 3, 0);
    assert_int_equal(int_n(s, 0x40), VEC_GP);
    assert_int_equal(s->code, 0);
    assert_int_equal(sys_run(s, x_int3, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->rip, HANDLER);
}

/* --- Long mode --- */

static void long_event_from_user_code(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    s->cpu->gpr[RSP] = 0x7FFF00001234;
    sys_set(s, AT_TSS + 4, 8, AT_STACK0 - 4); /* to be aligned down to 16 */
    sys_idt(s, VEC_PF, SEL_CODE0_64, UINT64_C(0xFFFFFFFF81000000), TYPE_INT, 0, 0);
    assert_int_equal(deliver(s, VEC_PF, 6, EVENT_EXCEPTION), SYS_OK);
    assert_int_equal(s->cpu->rip, UINT64_C(0xFFFFFFFF81000000));
    assert_int_equal(s->cpu->cpl, 0);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, 0);
    assert_true(s->cpu->seg[SEG_SS].attr & SEG_UNUSABLE);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 16 - 48);
    assert_int_equal(sys_get(s, AT_STACK0 - 24, 8), SEL_DATA3);
    assert_int_equal(sys_get(s, AT_STACK0 - 32, 8), 0x7FFF00001234);
    assert_int_equal(sys_get(s, AT_STACK0 - 40, 8), FLAG_1 | FLAG_RF);
    assert_int_equal(sys_get(s, AT_STACK0 - 48, 8), SEL_CODE3_64);
    assert_int_equal(sys_get(s, AT_STACK0 - 56, 8), AT_CODE);
    assert_int_equal(sys_get(s, AT_STACK0 - 64, 8), 6);
}

static void long_event_at_the_same_level_pushes_the_stack_too(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->cpu->gpr[RSP] = AT_STACK0 - 8;
    sys_idt(s, 0x40, SEL_CODE0_64, HANDLER, TYPE_INT, 0, 0);
    assert_int_equal(deliver(s, 0x40, 0, EVENT_EXTERNAL), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 16 - 40);
    assert_int_equal(sys_get(s, AT_STACK0 - 32, 8), AT_STACK0 - 8);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, SEL_DATA0);
}

static void long_event_uses_the_interrupt_stack_table(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    sys_idt(s, VEC_DF, SEL_CODE0_64, HANDLER, TYPE_INT, 0, 1);
    assert_int_equal(deliver(s, VEC_DF, 0, EVENT_EXCEPTION), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_IST - 48);
    sys_idt(s, VEC_DF, SEL_CODE0_64, HANDLER, TYPE_INT, 0, 7);
    s->cpu->tr.limit = 36 + 6 * 8 + 6; /* IST7 has a byte missing */
    assert_int_equal(deliver(s, VEC_DF, 0, EVENT_EXCEPTION), VEC_TS);
    assert_int_equal(s->code, SEL_TSS | ERROR_EXT);
}

static void long_event_faults(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    sys_idt(s, 0x40, SEL_CODE0, HANDLER, TYPE_INT, 3, 0); /* 32-bit code */
    assert_int_equal(int_n(s, 0x40), VEC_GP);
    assert_int_equal(s->code, SEL_CODE0);
    sys_idt(s, 0x40, SEL_CODE0_64, HANDLER, TYPE_INT16, 3, 0);
    assert_int_equal(int_n(s, 0x40), VEC_GP);
    assert_int_equal(s->code, 0x40 * 8 + 2);
    sys_idt(s, 0x40, SEL_CODE0_64, HANDLER, TYPE_TASK_GATE, 3, 0);
    assert_int_equal(int_n(s, 0x40), VEC_GP);
    sys_idt(s, 0x40, SEL_CODE0_64, UINT64_C(1) << 47, TYPE_INT, 3, 0);
    assert_int_equal(int_n(s, 0x40), VEC_GP);
    assert_int_equal(s->code, 0);
    sys_idt(s, 0x40, SEL_CODE0_64, HANDLER, TYPE_INT, 3, 0);
    sys_set(s, AT_TSS + 4, 8, UINT64_C(1) << 50);
    assert_int_equal(int_n(s, 0x40), VEC_SS);
    assert_int_equal(deliver(s, 0x40, 0, EVENT_EXTERNAL), VEC_SS);
    assert_int_equal(s->code, ERROR_EXT);
    s->cpu->idtr.limit = 0x40 * 16 + 14;
    assert_int_equal(int_n(s, 0x40), VEC_GP);
    assert_int_equal(s->code, 0x40 * 8 + 2);
}

static void long_event_stack_page_fault(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    sys_idt(s, 0x40, SEL_CODE0_64, HANDLER, TYPE_INT, 3, 0);
    sys_set(s, AT_TSS + 4, 8, AT_STACK0 + 16); /* the frame crosses into a missing page */
    sys_unmap(s, AT_STACK0 - 8);
    sys_set(s, AT_STACK0, 8, 0x5555);
    assert_int_equal(int_n(s, 0x40), VEC_PF);
    assert_int_equal(s->code, 2);
    assert_int_equal(sys_get(s, AT_STACK0, 8), 0x5555); /* nothing of it was written */
}

static void event_from_compatibility_mode(void **state)
{
    struct sys *s = *state;

    sys_compat(s, 3);
    sys_idt(s, 0x80, SEL_CODE0_64, HANDLER, TYPE_INT, 3, 0);
    assert_int_equal(int_n(s, 0x80), SYS_OK);
    assert_true(s->cpu->mode & MODE_CS_L);
    assert_int_equal(sys_get(s, AT_STACK0 - 16, 8), AT_STACK3);
    assert_int_equal(sys_get(s, AT_STACK0 - 32, 8), SEL_CODE3);
}

static void events_and_returns_use_filled_tlb_entries(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    sys_idt(s, 0x80, SEL_CODE0_64, HANDLER, TYPE_INT, 3, 0);
    for (unsigned i = 0; i < 3; i++) {
        cpu_set_rflags(s->cpu, FLAG_1 | FLAG_IF);
        s->cpu->rip = AT_CODE;
        assert_int_equal(int_n(s, 0x80), SYS_OK);
        assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 40);
        assert_int_equal(sys_run(s, x_iret, sys_reg(8, 0, 0)), SYS_OK);
        assert_int_equal(s->cpu->rip, AT_CODE + SYS_LEN);
        assert_int_equal(s->cpu->gpr[RSP], AT_STACK3);
        assert_int_equal(s->cpu->cpl, 3);
    }
}

/* --- INT3, INTO, INT1, BOUND --- */

static void int1_ignores_the_gate_dpl(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    sys_idt(s, VEC_DB, SEL_CODE0, HANDLER, TYPE_INT, 0, 0);
    sys_idt(s, VEC_BP, SEL_CODE0, HANDLER, TYPE_INT, 0, 0);
    assert_int_equal(sys_run(s, x_int3, sys_reg(4, 0, 0)), VEC_GP);
    assert_int_equal(s->code, VEC_BP * 8 + 2);
    assert_int_equal(sys_run(s, x_int1, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(sys_get(s, AT_STACK0 - 20, 4), AT_CODE + SYS_LEN);
    assert_int_equal(sys_get(s, AT_STACK0 - 12, 4), FLAG_1);
}

static void into_traps_on_overflow_only(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_idt(s, VEC_OF, SEL_CODE0, HANDLER, TYPE_TRAP, 3, 0);
    assert_int_equal(sys_run(s, x_into, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->rip, AT_CODE + SYS_LEN);
    s->cpu->aflags = FLAG_OF;
    assert_int_equal(sys_run(s, x_into, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->rip, HANDLER);
}

static void bound_is_signed_and_inclusive(void **state)
{
    static const struct {
        i32 index;
        int result;
    } cases[] = { { -5, SYS_OK }, { 7, SYS_OK }, { -6, VEC_BR }, { 8, VEC_BR } };
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_set(s, AT_DATA, 4, (u32)-5);
    sys_set(s, AT_DATA + 4, 4, 7);
    sys_set(s, AT_DATA + 8, 2, (u16)-5);
    sys_set(s, AT_DATA + 10, 2, 7);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        s->cpu->gpr[RAX] = (u32)cases[i].index;
        assert_int_equal(sys_run(s, x_bound_G_M, sys_mem(s, 4, RAX, AT_DATA)), cases[i].result);
        s->cpu->gpr[RAX] = (u16)cases[i].index;
        assert_int_equal(sys_run(s, x_bound_G_M, sys_mem(s, 2, RAX, AT_DATA + 8)), cases[i].result);
    }
}

#define EVENT_TEST(name) cmocka_unit_test_setup_teardown(name, sys_setup, sys_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVENT_TEST(real_mode_goes_through_the_vector_table),
        EVENT_TEST(real_mode_pushes_no_error_code),
        EVENT_TEST(real_mode_vector_beyond_the_table_is_gp),
        EVENT_TEST(real_mode_stack_wraps),
        EVENT_TEST(interrupt_gate_clears_if_and_trap_gate_does_not),
        EVENT_TEST(faults_push_rf_and_an_error_code_where_they_have_one),
        EVENT_TEST(gate_faults_have_the_idt_and_ext_bits),
        EVENT_TEST(code_segment_faults),
        EVENT_TEST(inner_level_switches_stacks),
        EVENT_TEST(inner_stack_faults_have_ext),
        EVENT_TEST(conforming_handler_stays_at_its_level),
        EVENT_TEST(sixteen_bit_gate_pushes_words),
        EVENT_TEST(debug_exception_clears_gd),
        EVENT_TEST(vm86_event_pushes_all_segments_and_empties_them),
        EVENT_TEST(vm86_handler_must_be_at_level_0),
        EVENT_TEST(vm86_int_needs_iopl_3_but_int3_does_not),
        EVENT_TEST(long_event_from_user_code),
        EVENT_TEST(long_event_at_the_same_level_pushes_the_stack_too),
        EVENT_TEST(long_event_uses_the_interrupt_stack_table),
        EVENT_TEST(long_event_faults),
        EVENT_TEST(long_event_stack_page_fault),
        EVENT_TEST(event_from_compatibility_mode),
        EVENT_TEST(events_and_returns_use_filled_tlb_entries),
        EVENT_TEST(int1_ignores_the_gate_dpl),
        EVENT_TEST(into_traps_on_overflow_only),
        EVENT_TEST(bound_is_signed_and_inclusive),
    };

    return cmocka_run_group_tests_name("soft/event", tests, NULL, NULL);
}
