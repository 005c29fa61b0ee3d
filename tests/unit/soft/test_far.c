/* SPDX-License-Identifier: MIT */
/* Far JMP, CALL, RET and IRET in every mode, with every error code. SDM vol. 2 and vol. 3A, 5.8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/handlers.h"
#include "accel/soft/seg.h"
#include "accel/soft/tlb.h"
#include "sys_fixture.h"

#define TARGET 0x9876u

/* ptr16:32 and m16:32 forms do the same; most tests use the first. */
static int jump(struct sys *s, u16 selector, u64 offset)
{
    struct insn in = sys_reg(4, 0, 0);

    in.imm = (u64)selector << 32 | (u32)offset;
    return sys_run(s, x_jmpf_A, in);
}

static int call(struct sys *s, u16 selector, u64 offset)
{
    struct insn in = sys_reg(4, 0, 0);

    in.imm = (u64)selector << 32 | (u32)offset;
    return sys_run(s, x_callf_A, in);
}

static int call_m(struct sys *s, unsigned width, u16 selector, u64 offset)
{
    sys_set(s, AT_DATA, width, offset);
    sys_set(s, AT_DATA + width, 2, selector);
    return sys_run(s, x_callf_M, sys_mem(s, width, 0, AT_DATA));
}

/* --- Real and virtual-8086 mode --- */

static void real_jump_loads_cs_and_ip(void **state)
{
    struct sys *s = *state;
    struct insn in = sys_reg(2, 0, 0);

    in.imm = UINT64_C(0xF000) << 32 | 0xE05B;
    assert_int_equal(sys_run(s, x_jmpf_A, in), SYS_OK);
    assert_int_equal(s->cpu->rip, 0xE05B);
    assert_int_equal(s->cpu->seg[SEG_CS].base, 0xF0000);
    assert_false(s->next);
}

static void real_jump_beyond_the_limit_is_gp(void **state)
{
    struct sys *s = *state;

    assert_int_equal(jump(s, 0x1000, 0x10000), VEC_GP);
}

static void real_call_and_return(void **state)
{
    struct sys *s = *state;
    struct insn in = sys_reg(2, 0, 0);

    s->cpu->seg[SEG_CS] = segment_real(&s->cpu->seg[SEG_CS], 0x900, true);
    s->cpu->rip = 0x10;
    s->cpu->gpr[RSP] = 0x8000;
    in.imm = UINT64_C(0x1234) << 32 | 0x5678;
    assert_int_equal(sys_run(s, x_callf_A, in), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], 0x7FFC);
    assert_int_equal(sys_get(s, 0x7FFC, 4), 0x09000013);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, 0x1234);
    assert_int_equal(sys_run(s, x_retf, sys_reg(2, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->rip, 0x13);
    assert_int_equal(s->cpu->seg[SEG_CS].base, 0x9000);
    assert_int_equal(s->cpu->gpr[RSP], 0x8000);
}

static void real_iret_takes_flags(void **state)
{
    struct sys *s = *state;

    s->cpu->gpr[RSP] = 0x8000;
    s->cpu->nmi_blocked = true;
    s->cpu->intr_waiting = true;
    sys_set(s, 0x8000, 2, 0x100);
    sys_set(s, 0x8002, 2, 0xF00);
    sys_set(s, 0x8004, 2, 0xFFFF);
    assert_int_equal(sys_run(s, x_iret, sys_reg(2, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->rip, 0x100);
    assert_int_equal(s->cpu->seg[SEG_CS].base, 0xF000);
    assert_int_equal(s->cpu->gpr[RSP], 0x8006);
    assert_int_equal(cpu_rflags(s->cpu), 0x7FD7);
    assert_false(s->cpu->nmi_blocked);
    assert_false(s->cpu->intr_waiting);
    assert_true(atomic_load(&s->machine.vcpus[0].requests) & VCPU_REQ_INTR);
}

static void vm86_iret_needs_iopl_3_and_keeps_iopl(void **state)
{
    struct sys *s = *state;

    sys_vm86(s, 0);
    assert_int_equal(sys_run(s, x_iret, sys_reg(2, 0, 0)), VEC_GP);
    assert_int_equal(s->code, 0);
    sys_vm86(s, 3);
    sys_set(s, s->cpu->seg[SEG_SS].base + 0x1000, 2, 0x300);
    sys_set(s, s->cpu->seg[SEG_SS].base + 0x1002, 2, 0x400);
    sys_set(s, s->cpu->seg[SEG_SS].base + 0x1004, 2, FLAG_IF | FLAG_CF);
    assert_int_equal(sys_run(s, x_iret, sys_reg(2, 0, 0)), SYS_OK);
    assert_int_equal(cpu_rflags(s->cpu), FLAG_VM | FLAG_IOPL | FLAG_IF | FLAG_CF | FLAG_1);
    assert_int_equal(s->cpu->seg[SEG_CS].base, 0x4000);
    assert_int_equal(s->cpu->cpl, 3);
}

/* --- Direct transfers --- */

static void protected_jump_sets_rpl_to_cpl(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    assert_int_equal(jump(s, SEL_CODE3 & ~3u, TARGET), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, SEL_CODE3);
    assert_int_equal(s->cpu->rip, TARGET);
    assert_int_equal(jump(s, SEL_CONFORM, TARGET), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, SEL_CONFORM | 3);
    assert_int_equal(s->cpu->cpl, 3);
}

static void direct_transfer_faults(void **state)
{
    static const struct {
        unsigned cpl;
        u16 selector;
        u32 offset;
        int vector;
        u32 code;
    } cases[] = {
        { 0, 0, TARGET, VEC_GP, 0 },
        { 0, 3, TARGET, VEC_GP, 0 },
        { 0, GDT_BYTES, TARGET, VEC_GP, GDT_BYTES },
        { 0, SEL_DATA0, TARGET, VEC_GP, SEL_DATA0 },
        { 3, SEL_CODE0, TARGET, VEC_GP, SEL_CODE0 }, /* DPL is not CPL */
        { 0, SEL_CODE3, TARGET, VEC_GP, SEL_CODE3 & ~3u },
        { 0, SEL_CODE0 | 3, TARGET, VEC_GP, SEL_CODE0 }, /* RPL above CPL */
        { 0, SEL_CODE_NP, TARGET, VEC_NP, SEL_CODE_NP },
        { 0, SEL_SMALL, 0x1000, VEC_GP, 0 }, /* beyond the segment */
        { 0, SEL_SMALL, 0xFFF, SYS_OK, 0 },
        { 0, SEL_LDT, TARGET, VEC_GP, SEL_LDT },
        { 0, SEL_TASKGATE, TARGET, SYS_ERROR, 0 },
        { 0, SEL_TSS, TARGET, SYS_ERROR, 0 },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, cases[i].cpl);
        assert_int_equal(jump(s, cases[i].selector, cases[i].offset), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
        sys_protected(s, cases[i].cpl);
        assert_int_equal(call(s, cases[i].selector, cases[i].offset), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
    }
}

static void call_pushes_cs_and_next_ip(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(call(s, SEL_CODE0, TARGET), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 8);
    assert_int_equal(sys_get(s, AT_STACK0 - 8, 4), AT_CODE + SYS_LEN);
    assert_int_equal(sys_get(s, AT_STACK0 - 4, 4), SEL_CODE0);
    assert_int_equal(call_m(s, 2, SEL_CODE16, TARGET), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 12);
    assert_int_equal(sys_get(s, AT_STACK0 - 12, 4), SEL_CODE0 << 16 | (TARGET + SYS_LEN));
    assert_false(s->cpu->mode & MODE_CS_D);
}

static void call_without_room_on_the_stack_is_ss(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    s->cpu->seg[SEG_SS].limit = 0xFFF;
    s->cpu->gpr[RSP] = 0x1004;
    assert_int_equal(call(s, SEL_CODE0, TARGET), VEC_SS);
    assert_int_equal(s->code, 0);
}

static void call_sets_accessed_bit_of_code(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_descriptor(s, SEL_FRESH, 0, 0xFFFFF, 0xC09A);
    assert_int_equal(jump(s, SEL_FRESH, TARGET), SYS_OK);
    assert_int_equal(sys_get(s, AT_GDT + SEL_FRESH + 5, 1), 0x9B);
}

static void long_mode_transfers(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    assert_int_equal(call_m(s, 8, SEL_CODE0_64, 0xFFFF800000000000), SYS_OK);
    assert_int_equal(s->cpu->rip, 0xFFFF800000000000);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 16);
    sys_long(s, 0);
    assert_int_equal(call_m(s, 8, SEL_CODE0_64, UINT64_C(1) << 47), VEC_GP);
    assert_int_equal(s->code, 0);
    assert_int_equal(call_m(s, 4, SEL_CODE_LD, TARGET), VEC_GP);
    assert_int_equal(s->code, SEL_CODE_LD);
    assert_int_equal(call_m(s, 4, SEL_TSS, TARGET), VEC_GP); /* no task switches in long mode */
    assert_int_equal(s->code, SEL_TSS);
    assert_int_equal(call_m(s, 4, SEL_CODE0, TARGET), SYS_OK); /* to compatibility mode */
    assert_int_equal(s->cpu->mode & (MODE_CS_L | MODE_CS_D), MODE_CS_D);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 8);
}

/* --- Call gates --- */

static void gate_to_the_same_level_pushes_by_its_own_size(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_call_gate(s, SEL_GATE, SEL_CODE0, TARGET, TYPE_CALL16, 0, 0);
    assert_int_equal(call(s, SEL_GATE, 0xBAD), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 4);
    assert_int_equal(sys_get(s, AT_STACK0 - 4, 2), AT_CODE + SYS_LEN);
    assert_int_equal(s->cpu->rip, TARGET);
    sys_call_gate(s, SEL_GATE, SEL_CODE0, 0x123456, TYPE_CALL, 0, 0);
    assert_int_equal(jump(s, SEL_GATE, 0), SYS_OK);
    assert_int_equal(s->cpu->rip, 0x123456);
}

static void gate_to_an_inner_level_copies_parameters(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    sys_call_gate(s, SEL_GATE, SEL_CODE0 | 3, TARGET, TYPE_CALL, 3, 2);
    sys_push(s, 4, 0x11111111);
    sys_push(s, 4, 0x22222222);
    assert_int_equal(call(s, SEL_GATE | 3, 0), SYS_OK);
    assert_int_equal(s->cpu->cpl, 0);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, SEL_CODE0);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, SEL_DATA0);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 24);
    assert_int_equal(sys_get(s, AT_STACK0 - 4, 4), SEL_DATA3);
    assert_int_equal(sys_get(s, AT_STACK0 - 8, 4), AT_STACK3 - 8);
    assert_int_equal(sys_get(s, AT_STACK0 - 12, 4), 0x11111111);
    assert_int_equal(sys_get(s, AT_STACK0 - 16, 4), 0x22222222);
    assert_int_equal(sys_get(s, AT_STACK0 - 20, 4), SEL_CODE3);
    assert_int_equal(sys_get(s, AT_STACK0 - 24, 4), AT_CODE + SYS_LEN);
}

static void inner_gate_and_return_with_release(void **state)
{
    struct sys *s = *state;
    struct insn ret = sys_reg(4, 0, 0);

    sys_protected(s, 3);
    sys_call_gate(s, SEL_GATE, SEL_CODE0, TARGET, TYPE_CALL, 3, 1);
    sys_push(s, 4, 7);
    assert_int_equal(call(s, SEL_GATE, 0), SYS_OK);
    s->cpu->seg[SEG_DS] = (struct segment){ 0, ~0u, SEL_DATA0, DESC_DATA32 };
    s->cpu->seg[SEG_ES] = (struct segment){ 0, ~0u, SEL_CONFORM, DESC_CODE32 | 4 };
    ret.imm = 4;
    assert_int_equal(sys_run(s, x_retf_I, ret), SYS_OK);
    assert_int_equal(s->cpu->cpl, 3);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK3);
    assert_int_equal(s->cpu->rip, AT_CODE + SYS_LEN);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, SEL_DATA3);
    assert_true(s->cpu->seg[SEG_DS].attr & SEG_UNUSABLE); /* level 0 data is taken away */
    assert_int_equal(s->cpu->seg[SEG_DS].selector, 0);
    assert_int_equal(s->cpu->seg[SEG_ES].selector, SEL_CONFORM); /* conforming code stays */
    assert_int_equal(s->cpu->seg[SEG_FS].selector, SEL_DATA3);
}

static void jump_through_a_gate_keeps_the_level(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    sys_call_gate(s, SEL_GATE, SEL_CODE0, TARGET, TYPE_CALL, 3, 0);
    assert_int_equal(jump(s, SEL_GATE, 0), VEC_GP);
    assert_int_equal(s->code, SEL_CODE0);
    sys_call_gate(s, SEL_GATE, SEL_CONFORM, TARGET, TYPE_CALL, 3, 0);
    assert_int_equal(jump(s, SEL_GATE, 0), SYS_OK);
    assert_int_equal(s->cpu->cpl, 3);
}

static void gate_faults(void **state)
{
    static const struct {
        u16 target;
        unsigned dpl;
        u16 gate_rpl;
        int vector;
        u32 code;
    } cases[] = {
        { SEL_CODE0, 0, 0, VEC_GP, SEL_GATE }, /* gate DPL below CPL */
        { 0, 3, 0, VEC_GP, 0 },
        { GDT_BYTES, 3, 0, VEC_GP, GDT_BYTES },
        { SEL_DATA0, 3, 0, VEC_GP, SEL_DATA0 },
        { SEL_CODE_NP, 3, 0, VEC_NP, SEL_CODE_NP },
        { SEL_SMALL, 3, 0, VEC_GP, 0 }, /* the gate's offset is beyond it */
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, 3);
        sys_call_gate(s, SEL_GATE, cases[i].target, TARGET, TYPE_CALL, cases[i].dpl, 0);
        assert_int_equal(call(s, SEL_GATE | cases[i].gate_rpl, 0), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
    }
    sys_protected(s, 0);
    sys_call_gate(s, SEL_GATE, SEL_CODE0, TARGET, TYPE_CALL, 0, 0);
    assert_int_equal(call(s, SEL_GATE | 1, 0), VEC_GP); /* RPL above the gate's DPL */
    assert_int_equal(s->code, SEL_GATE);
    sys_set(s, AT_GDT + SEL_GATE + 5, 1, 0x0C);
    assert_int_equal(call(s, SEL_GATE, 0), VEC_NP);
    assert_int_equal(s->code, SEL_GATE);
}

static void inner_stack_faults(void **state)
{
    static const struct {
        u16 ss;
        int vector;
        u32 code;
    } cases[] = {
        { 0, VEC_TS, 0 },
        { GDT_BYTES, VEC_TS, GDT_BYTES },
        { SEL_DATA0 | 1, VEC_TS, SEL_DATA0 },
        { SEL_DATA3 & ~3u, VEC_TS, SEL_DATA3 & ~3u },
        { SEL_RODATA, VEC_TS, SEL_RODATA },
        { SEL_CODE0, VEC_TS, SEL_CODE0 },
        { SEL_DATA_NP, VEC_SS, SEL_DATA_NP },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, 3);
        sys_call_gate(s, SEL_GATE, SEL_CODE0, TARGET, TYPE_CALL, 3, 0);
        sys_set(s, AT_TSS + 8, 2, cases[i].ss);
        assert_int_equal(call(s, SEL_GATE, 0), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
    }
    sys_protected(s, 3);
    s->cpu->tr.limit = 8; /* SS0 is beyond it */
    assert_int_equal(call(s, SEL_GATE, 0), VEC_TS);
    assert_int_equal(s->code, SEL_TSS);
    sys_protected(s, 3);
    sys_set(s, AT_TSS + 8, 2, SEL_DOWN);
    sys_set(s, AT_TSS + 4, 4, 0x1008); /* no room above the limit of 0xFFF */
    assert_int_equal(call(s, SEL_GATE, 0), VEC_SS);
    assert_int_equal(s->code, SEL_DOWN);
}

static void inner_stack_of_a_16_bit_tss(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    sys_call_gate(s, SEL_GATE, SEL_CODE0, TARGET, TYPE_CALL16, 3, 0);
    s->cpu->tr.attr = 0x83;
    sys_set(s, AT_TSS + 2, 2, 0x7000);
    sys_set(s, AT_TSS + 4, 2, SEL_DATA16);
    assert_int_equal(call(s, SEL_GATE, 0), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, SEL_DATA16);
    assert_int_equal(s->cpu->gpr[RSP] & 0xFFFF, 0x7000 - 8);
    assert_int_equal(sys_get(s, 0x7000 - 2, 2), SEL_DATA3);
}

static void long_mode_gates(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    sys_call_gate(s, SEL_GATE, SEL_CODE0_64, UINT64_C(0xFFFF812345678900), TYPE_CALL, 3, 0);
    assert_int_equal(call_m(s, 4, SEL_GATE | 3, 0), SYS_OK);
    assert_int_equal(s->cpu->rip, UINT64_C(0xFFFF812345678900));
    assert_int_equal(s->cpu->cpl, 0);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, 0);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 32);
    assert_int_equal(sys_get(s, AT_STACK0 - 8, 8), SEL_DATA3);
    assert_int_equal(sys_get(s, AT_STACK0 - 16, 8), AT_STACK3);
    assert_int_equal(sys_get(s, AT_STACK0 - 24, 8), SEL_CODE3_64);
    assert_int_equal(sys_get(s, AT_STACK0 - 32, 8), AT_CODE + SYS_LEN);
    assert_int_equal(sys_run(s, x_retf, sys_reg(8, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->cpl, 3);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK3);
    assert_true(s->cpu->mode & MODE_CS_L);
}

static void long_mode_gate_faults(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    sys_call_gate(s, SEL_GATE, SEL_CODE0, TARGET, TYPE_CALL, 3, 0); /* not 64-bit code */
    assert_int_equal(call_m(s, 4, SEL_GATE, 0), VEC_GP);
    assert_int_equal(s->code, SEL_CODE0);
    sys_call_gate(s, SEL_GATE, SEL_CODE0_64, TARGET, TYPE_CALL16, 3, 0);
    assert_int_equal(call_m(s, 4, SEL_GATE, 0), VEC_GP);
    assert_int_equal(s->code, SEL_GATE);
    sys_call_gate(s, SEL_GATE, SEL_CODE0_64, TARGET, TYPE_CALL, 3, 0);
    sys_set(s, AT_GDT + SEL_GATE + 12, 4, 0x100); /* a type where zeros must be */
    assert_int_equal(call_m(s, 4, SEL_GATE, 0), VEC_GP);
    assert_int_equal(s->code, SEL_GATE);
    sys_call_gate(s, SEL_GATE, SEL_CODE0_64, UINT64_C(1) << 47, TYPE_CALL, 3, 0);
    assert_int_equal(call_m(s, 4, SEL_GATE, 0), VEC_GP);
    assert_int_equal(s->code, 0);
    sys_long(s, 3);
    sys_call_gate(s, SEL_GATE, SEL_CODE0_64, TARGET, TYPE_CALL, 3, 0);
    sys_set(s, AT_TSS + 4, 8, UINT64_C(1) << 50); /* RSP0 is not canonical */
    assert_int_equal(call_m(s, 4, SEL_GATE, 0), VEC_SS);
    assert_int_equal(s->code, 0);
}

static void inner_stack_page_fault_is_a_supervisor_write(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    sys_call_gate(s, SEL_GATE, SEL_CODE0_64, TARGET, TYPE_CALL, 3, 0);
    sys_unmap(s, AT_STACK0 - 8);
    assert_int_equal(call_m(s, 4, SEL_GATE, 0), VEC_PF);
    assert_int_equal(s->code, 2);
}

/* --- RET --- */

static void push_return(struct sys *s, u16 cs, u32 ip)
{
    sys_push(s, 4, cs);
    sys_push(s, 4, ip);
}

static void return_faults(void **state)
{
    static const struct {
        unsigned cpl;
        u16 cs;
        u32 ip;
        int vector;
        u32 code;
    } cases[] = {
        { 0, 0, TARGET, VEC_GP, 0 },
        { 0, GDT_BYTES, TARGET, VEC_GP, GDT_BYTES },
        { 0, SEL_DATA0, TARGET, VEC_GP, SEL_DATA0 },
        { 3, SEL_CODE0, TARGET, VEC_GP, SEL_CODE0 },     /* to an inner level */
        { 0, SEL_CODE0 | 3, TARGET, VEC_GP, SEL_CODE0 }, /* RPL is not DPL */
        { 0, SEL_CODE_NP, TARGET, VEC_NP, SEL_CODE_NP },
        { 0, SEL_SMALL, TARGET, VEC_GP, 0 },
        { 3, SEL_CONFORM | 3, TARGET, SYS_OK, 0 },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, cases[i].cpl);
        push_return(s, cases[i].cs, cases[i].ip);
        assert_int_equal(sys_run(s, x_retf, sys_reg(4, 0, 0)), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
    }
}

static void outer_return_stack_faults(void **state)
{
    static const struct {
        u16 ss;
        int vector;
        u32 code;
    } cases[] = {
        { 0, VEC_GP, 0 },
        { 3, VEC_GP, 0 },
        { GDT_BYTES | 3, VEC_GP, GDT_BYTES },
        { SEL_DATA0 | 3, VEC_GP, SEL_DATA0 },
        { SEL_DATA3 & ~3u, VEC_GP, SEL_DATA3 & ~3u },
        { SEL_DATA_NP | 3, VEC_GP, SEL_DATA_NP }, /* its DPL is 0 */
        { SEL_CODE3, VEC_GP, SEL_CODE3 & ~3u },
        { SEL_DATA3, SYS_OK, 0 },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, 0);
        sys_push(s, 4, cases[i].ss);
        sys_push(s, 4, AT_STACK3);
        push_return(s, SEL_CODE3, TARGET);
        assert_int_equal(sys_run(s, x_retf, sys_reg(4, 0, 0)), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
    }
    sys_protected(s, 0);
    sys_descriptor(s, SEL_DATA3, 0, 0xFFFFF, 0xC073); /* not present */
    sys_push(s, 4, SEL_DATA3);
    sys_push(s, 4, AT_STACK3);
    push_return(s, SEL_CODE3, TARGET);
    assert_int_equal(sys_run(s, x_retf, sys_reg(4, 0, 0)), VEC_SS);
    assert_int_equal(s->code, SEL_DATA3 & ~3u);
}

/* --- IRET --- */

static void push_iret(struct sys *s, unsigned width, u64 ss, u64 sp, u64 flags, u64 cs, u64 ip)
{
    sys_push(s, width, ss);
    sys_push(s, width, sp);
    sys_push(s, width, flags);
    sys_push(s, width, cs);
    sys_push(s, width, ip);
}

static void iret_to_the_same_level(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    push_iret(s, 4, 0, 0, FLAG_IF | FLAG_ZF | FLAG_RF | FLAG_AC | FLAG_ID | FLAG_VIF, SEL_CODE0,
              TARGET);
    assert_int_equal(sys_run(s, x_iret, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 8);
    assert_int_equal(s->cpu->rip, TARGET);
    assert_int_equal(cpu_rflags(s->cpu),
                     FLAG_1 | FLAG_IF | FLAG_ZF | FLAG_RF | FLAG_AC | FLAG_ID | FLAG_VIF);
}

static void iret_to_an_outer_level(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    push_iret(s, 4, SEL_DATA3, AT_STACK3, FLAG_IF | FLAG_IOPL, SEL_CODE3, TARGET);
    assert_int_equal(sys_run(s, x_iret, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->cpl, 3);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK3);
    assert_int_equal(cpu_rflags(s->cpu), FLAG_1 | FLAG_IF | FLAG_IOPL);
    assert_true(s->cpu->seg[SEG_DS].attr & SEG_UNUSABLE);
}

static void iret_at_level_3_cannot_touch_iopl_or_if(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    push_iret(s, 4, 0, 0, FLAG_IF | FLAG_IOPL | FLAG_CF | FLAG_VIP | FLAG_VM, SEL_CODE3, TARGET);
    assert_int_equal(sys_run(s, x_iret, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(cpu_rflags(s->cpu), FLAG_1 | FLAG_CF);
}

static void iret_with_16_bit_operands_keeps_the_upper_flags(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    s->cpu->sflags |= FLAG_AC | FLAG_ID;
    push_iret(s, 2, 0, 0, FLAG_IF, SEL_CODE0, TARGET);
    assert_int_equal(sys_run(s, x_iret, sys_reg(2, 0, 0)), SYS_OK);
    assert_int_equal(cpu_rflags(s->cpu), FLAG_1 | FLAG_IF | FLAG_AC | FLAG_ID);
}

static void iret_of_a_nested_task(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    s->cpu->sflags |= FLAG_NT;
    assert_int_equal(sys_run(s, x_iret, sys_reg(4, 0, 0)), SYS_ERROR);
    sys_long(s, 0);
    s->cpu->sflags |= FLAG_NT;
    assert_int_equal(sys_run(s, x_iret, sys_reg(8, 0, 0)), VEC_GP);
    assert_int_equal(s->code, 0);
}

static void iret_to_vm86(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    sys_push(s, 4, 0x600); /* GS */
    sys_push(s, 4, 0x500);
    sys_push(s, 4, 0x400);
    sys_push(s, 4, 0x300); /* ES */
    push_iret(s, 4, 0x200, 0xFFFE, FLAG_VM | FLAG_IF | FLAG_IOPL, 0x100, 0x1234);
    assert_int_equal(sys_run(s, x_iret, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->cpl, 3);
    assert_true(s->cpu->mode & MODE_VM);
    assert_int_equal(s->cpu->rip, 0x1234);
    assert_int_equal(s->cpu->gpr[RSP], 0xFFFE);
    assert_int_equal(s->cpu->seg[SEG_CS].base, 0x1000);
    assert_int_equal(s->cpu->seg[SEG_SS].base, 0x2000);
    assert_int_equal(s->cpu->seg[SEG_ES].base, 0x3000);
    assert_int_equal(s->cpu->seg[SEG_DS].base, 0x4000);
    assert_int_equal(s->cpu->seg[SEG_FS].base, 0x5000);
    assert_int_equal(s->cpu->seg[SEG_GS].base, 0x6000);
    assert_int_equal(cpu_rflags(s->cpu), FLAG_1 | FLAG_VM | FLAG_IF | FLAG_IOPL);
}

static void iret_to_vm86_beyond_64k_is_gp(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    s->cpu->gpr[RSP] -= 16;
    push_iret(s, 4, 0, 0, FLAG_VM, 0x100, 0x10000);
    assert_int_equal(sys_run(s, x_iret, sys_reg(4, 0, 0)), VEC_GP);
}

static void long_iret_always_takes_the_stack(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    push_iret(s, 8, SEL_DATA0, AT_STACK1, FLAG_IF, SEL_CODE0_64, 0xFFFFFFFF80001000);
    assert_int_equal(sys_run(s, x_iret, sys_reg(8, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK1);
    assert_int_equal(s->cpu->rip, 0xFFFFFFFF80001000);
    sys_long(s, 0);
    push_iret(s, 8, 0, AT_STACK1, 0, SEL_CODE0_64, TARGET); /* null SS at level 0 */
    assert_int_equal(sys_run(s, x_iret, sys_reg(8, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->cpl, 0);
}

static void long_iret_to_user_64_and_32(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    push_iret(s, 8, SEL_DATA3, 0x7FFFFFFFF000, FLAG_IF, SEL_CODE3_64, 0x400000);
    assert_int_equal(sys_run(s, x_iret, sys_reg(8, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->cpl, 3);
    assert_int_equal(s->cpu->gpr[RSP], 0x7FFFFFFFF000);
    assert_true(s->cpu->mode & MODE_CS_L);
    sys_long(s, 0);
    push_iret(s, 8, SEL_DATA3, 0x1234FFFFF000, FLAG_IF, SEL_CODE3, 0x400000);
    assert_int_equal(sys_run(s, x_iret, sys_reg(8, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->mode & (MODE_CS_L | MODE_CS_D | MODE_LMA), MODE_CS_D | MODE_LMA);
    assert_int_equal(s->cpu->gpr[RSP], 0xFFFFF000);
}

static void long_iret_faults(void **state)
{
    static const struct {
        u64 ss, cs, ip;
        int vector;
        u32 code;
    } cases[] = {
        { SEL_DATA3, SEL_CODE3_64, UINT64_C(1) << 47, VEC_GP, 0 },
        { 3, SEL_CODE3_64, TARGET, VEC_GP, 0 }, /* null SS at level 3 */
        { 0, SEL_CODE0, TARGET, VEC_GP, 0 },    /* null SS for 32-bit code */
        { 1, SEL_CODE0_64, TARGET, VEC_GP, 0 }, /* RPL of a null SS */
        { SEL_DATA0, SEL_CODE_LD, TARGET, VEC_GP, SEL_CODE_LD },
        { SEL_DATA3, SEL_CODE3, UINT64_C(1) << 32, VEC_GP, 0 },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_long(s, 0);
        push_iret(s, 8, cases[i].ss, AT_STACK3, 0, cases[i].cs, cases[i].ip);
        assert_int_equal(sys_run(s, x_iret, sys_reg(8, 0, 0)), cases[i].vector);
        assert_int_equal(s->code, cases[i].code);
    }
}

static void iret_from_a_missing_stack_page(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    sys_unmap(s, AT_STACK3);
    s->cpu->gpr[RSP] = AT_STACK3 - 16; /* the flags are on the missing page */
    sys_set(s, AT_STACK3 - 16, 8, TARGET);
    sys_set(s, AT_STACK3 - 8, 8, SEL_CODE3_64);
    assert_int_equal(sys_run(s, x_iret, sys_reg(8, 0, 0)), VEC_PF);
    assert_int_equal(s->cpu->cr2, AT_STACK3);
    assert_int_equal(s->code, 4);
}

static void iret_back_from_compatibility_mode_event(void **state)
{
    struct sys *s = *state;

    sys_compat(s, 3);
    push_iret(s, 4, 0, 0, FLAG_CF, SEL_CODE3,
              TARGET); /* same level: no stack taken in 32-bit code */
    assert_int_equal(sys_run(s, x_iret, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK3 - 8);
}

#define FAR_TEST(name) cmocka_unit_test_setup_teardown(name, sys_setup, sys_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAR_TEST(real_jump_loads_cs_and_ip),
        FAR_TEST(real_jump_beyond_the_limit_is_gp),
        FAR_TEST(real_call_and_return),
        FAR_TEST(real_iret_takes_flags),
        FAR_TEST(vm86_iret_needs_iopl_3_and_keeps_iopl),
        FAR_TEST(protected_jump_sets_rpl_to_cpl),
        FAR_TEST(direct_transfer_faults),
        FAR_TEST(call_pushes_cs_and_next_ip),
        FAR_TEST(call_without_room_on_the_stack_is_ss),
        FAR_TEST(call_sets_accessed_bit_of_code),
        FAR_TEST(long_mode_transfers),
        FAR_TEST(gate_to_the_same_level_pushes_by_its_own_size),
        FAR_TEST(gate_to_an_inner_level_copies_parameters),
        FAR_TEST(inner_gate_and_return_with_release),
        FAR_TEST(jump_through_a_gate_keeps_the_level),
        FAR_TEST(gate_faults),
        FAR_TEST(inner_stack_faults),
        FAR_TEST(inner_stack_of_a_16_bit_tss),
        FAR_TEST(long_mode_gates),
        FAR_TEST(long_mode_gate_faults),
        FAR_TEST(inner_stack_page_fault_is_a_supervisor_write),
        FAR_TEST(return_faults),
        FAR_TEST(outer_return_stack_faults),
        FAR_TEST(iret_to_the_same_level),
        FAR_TEST(iret_to_an_outer_level),
        FAR_TEST(iret_at_level_3_cannot_touch_iopl_or_if),
        FAR_TEST(iret_with_16_bit_operands_keeps_the_upper_flags),
        FAR_TEST(iret_of_a_nested_task),
        FAR_TEST(iret_to_vm86),
        FAR_TEST(iret_to_vm86_beyond_64k_is_gp),
        FAR_TEST(long_iret_always_takes_the_stack),
        FAR_TEST(long_iret_to_user_64_and_32),
        FAR_TEST(long_iret_faults),
        FAR_TEST(iret_from_a_missing_stack_page),
        FAR_TEST(iret_back_from_compatibility_mode_event),
    };

    return cmocka_run_group_tests_name("soft/far", tests, NULL, NULL);
}
