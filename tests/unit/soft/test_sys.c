/* SPDX-License-Identifier: MIT */
/* CLI, STI, PUSHF, POPF, HLT, SYSCALL and its kin, hypercalls, time, random numbers, XCR0. SDM vol. 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/handlers.h"
#include "accel/soft/hypercall.h"
#include "accel/soft/msr.h"
#include "accel/soft/seg.h"
#include "accel/soft/tlb.h"
#include "sys_fixture.h"

static int run(struct sys *s, insn_fn *const *table, unsigned width)
{
    return sys_run(s, table, sys_reg(width, 0, RAX));
}

static bool interrupt_requested(struct sys *s)
{
    return atomic_load(&s->machine.vcpus[0].requests) & VCPU_REQ_INTR;
}

/* --- Interrupt flag --- */

static void cli_and_sti_obey_iopl(void **state)
{
    struct sys *s = *state;

    for (unsigned iopl = 0; iopl < 4; iopl++) {
        sys_protected(s, 3);
        cpu_set_rflags(s->cpu, FLAG_1 | (u64)iopl << 12);
        assert_int_equal(run(s, x_sti, 4), iopl == 3 ? SYS_OK : VEC_GP);
        assert_int_equal(run(s, x_cli, 4), iopl == 3 ? SYS_OK : VEC_GP);
    }
    sys_vm86(s, 2);
    assert_int_equal(run(s, x_cli, 4), VEC_GP);
    sys_vm86(s, 3);
    assert_int_equal(run(s, x_cli, 4), SYS_OK);
}

static void sti_casts_a_shadow_once_and_wakes_a_waiting_interrupt(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->cpu->intr_waiting = true;
    assert_int_equal(run(s, x_sti, 4), SYS_OK);
    assert_true(s->cpu->shadow);
    assert_true(s->cpu->sflags & FLAG_IF);
    assert_false(s->cpu->intr_waiting);
    assert_true(interrupt_requested(s));
    s->cpu->shadow = false;
    assert_int_equal(run(s, x_sti, 4), SYS_OK);
    assert_false(s->cpu->shadow);
    assert_int_equal(run(s, x_cli, 4), SYS_OK);
    assert_false(s->cpu->sflags & FLAG_IF);
}

/* --- PUSHF and POPF --- */

static void pushf_leaves_out_vm_and_rf(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    cpu_set_rflags(s->cpu, FLAG_1 | FLAG_RF | FLAG_IF | FLAG_ZF | FLAG_AC);
    assert_int_equal(run(s, x_pushf, 8), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 8);
    assert_int_equal(sys_get(s, AT_STACK0 - 8, 8), FLAG_1 | FLAG_IF | FLAG_ZF | FLAG_AC);
    assert_int_equal(run(s, x_pushf, 2), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 10);
    sys_protected(s, 0);
    assert_int_equal(run(s, x_pushf, 4), SYS_OK);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK0 - 4);
}

static void pushf_that_faults_leaves_the_stack_pointer(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    sys_unmap(s, AT_STACK0 - 8);
    assert_int_equal(run(s, x_pushf, 8), VEC_PF);
    assert_int_equal(s->code, 2);
}

static void popf_changes_what_the_level_allows(void **state)
{
    static const struct {
        unsigned cpl, iopl, width;
        u64 before, popped, after;
    } cases[] = {
        { 0, 0, 4, FLAG_RF, ~UINT64_C(0),
          FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_AC | FLAG_ID },
        { 3, 0, 4, FLAG_IF, 0, FLAG_IF },
        { 3, 0, 4, 0, FLAG_IF | FLAG_IOPL | FLAG_CF, FLAG_CF },
        { 3, 3, 4, FLAG_IOPL, FLAG_IF, FLAG_IF | FLAG_IOPL },
        { 0, 0, 2, FLAG_AC | FLAG_ID, FLAG_IF, FLAG_IF | FLAG_AC | FLAG_ID },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_protected(s, cases[i].cpl);
        cpu_set_rflags(s->cpu, FLAG_1 | cases[i].before);
        sys_push(s, cases[i].width, cases[i].popped);
        assert_int_equal(run(s, x_popf, cases[i].width), SYS_OK);
        assert_int_equal(cpu_rflags(s->cpu), FLAG_1 | cases[i].after);
        assert_int_equal(s->cpu->gpr[RSP], cases[i].cpl ? AT_STACK3 : AT_STACK0);
    }
}

static void popf_of_if_wakes_a_waiting_interrupt_without_a_shadow(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->cpu->intr_waiting = true;
    sys_push(s, 8, FLAG_IF | FLAG_1);
    assert_int_equal(run(s, x_popf, 8), SYS_OK);
    assert_true(interrupt_requested(s));
    assert_false(s->cpu->shadow);
}

static void popf_of_tf_turns_single_step_on(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    sys_push(s, 8, FLAG_TF);
    assert_int_equal(run(s, x_popf, 8), SYS_OK);
    assert_true(s->cpu->mode & MODE_STEP);
}

static void vm86_flags_on_the_stack_need_iopl_3(void **state)
{
    struct sys *s = *state;

    sys_vm86(s, 2);
    assert_int_equal(run(s, x_pushf, 2), VEC_GP);
    assert_int_equal(run(s, x_popf, 2), VEC_GP);
    sys_vm86(s, 3);
    assert_int_equal(run(s, x_pushf, 2), SYS_OK);
    assert_int_equal(run(s, x_popf, 2), SYS_OK);
    assert_true(s->cpu->sflags & FLAG_VM);
}

/* --- HLT, PAUSE, UD --- */

static void hlt_stops_at_level_0(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    assert_int_equal(run(s, x_hlt, 4), VEC_GP);
    sys_long(s, 0);
    assert_int_equal(run(s, x_hlt, 4), SYS_OK);
    assert_int_equal(s->machine.vcpus[0].run_state, VCPU_HALTED);
    assert_int_equal(s->cpu->rip, AT_CODE + SYS_LEN);
}

static void pause_goes_on_whether_or_not_there_are_cpus_enough(void **state)
{
    struct sys *s = *state;

    for (unsigned i = 0; i < 2; i++) {
        s->soft.crowded = i;
        assert_int_equal(run(s, x_pause, 4), SYS_OK);
        assert_true(s->next);
    }
}

static void ud_is_ud(void **state)
{
    assert_int_equal(run(*state, x_ud, 4), VEC_UD);
}

/* --- SYSCALL and SYSRET --- */

static void set_star(struct sys *s)
{
    s->cpu->msr.star = UINT64_C(0x0023001000000000) | 0x12345678;
    s->cpu->msr.lstar = UINT64_C(0xFFFFFFFF81000000);
    s->cpu->msr.cstar = UINT64_C(0xFFFFFFFF82000000);
    s->cpu->msr.fmask = FLAG_IF | FLAG_TF | FLAG_DF;
}

static void syscall_enters_at_lstar(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    set_star(s);
    cpu_set_rflags(s->cpu, FLAG_1 | FLAG_IF | FLAG_DF | FLAG_ZF);
    assert_int_equal(run(s, x_syscall, 4), SYS_OK);
    assert_int_equal(s->cpu->gpr[RCX], AT_CODE + SYS_LEN);
    assert_int_equal(s->cpu->gpr[R11], FLAG_1 | FLAG_IF | FLAG_DF | FLAG_ZF);
    assert_int_equal(s->cpu->rip, UINT64_C(0xFFFFFFFF81000000));
    assert_int_equal(cpu_rflags(s->cpu), FLAG_1 | FLAG_ZF);
    assert_int_equal(s->cpu->cpl, 0);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, 0x10);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, 0x18);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK3); /* the stack is the kernel's own affair */
    assert_true(s->cpu->mode & MODE_CS_L);
}

static void sysret_to_64_bit_code(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    set_star(s);
    s->cpu->gpr[RCX] = 0x7FFFFFFFF000;
    s->cpu->gpr[R11] = ~UINT64_C(0);
    s->cpu->intr_waiting = true;
    assert_int_equal(run(s, x_sysret, 8), SYS_OK);
    assert_int_equal(s->cpu->rip, 0x7FFFFFFFF000);
    assert_int_equal(cpu_rflags(s->cpu), 0x3C7FD7);
    assert_int_equal(s->cpu->cpl, 3);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, 0x33);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, 0x2B);
    assert_true(s->cpu->mode & MODE_CS_L);
    assert_true(interrupt_requested(s));
}

static void sysret_to_32_bit_code(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    set_star(s);
    s->cpu->gpr[RCX] = 0x1234567890;
    assert_int_equal(run(s, x_sysret, 4), SYS_OK);
    assert_int_equal(s->cpu->rip, 0x34567890);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, 0x23);
    assert_int_equal(s->cpu->mode & (MODE_CS_L | MODE_CS_D), MODE_CS_D);
}

static void sysret_faults(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->cpu->gpr[RCX] = UINT64_C(1) << 47;
    assert_int_equal(run(s, x_sysret, 8), VEC_GP); /* on Intel CPUs still at level 0 */
    assert_int_equal(s->cpu->cpl, 0);
    s->cpu->msr.efer &= ~EFER_SCE;
    assert_int_equal(run(s, x_sysret, 8), VEC_UD);
    sys_long(s, 3);
    assert_int_equal(run(s, x_sysret, 8), VEC_GP);
    s->cpu->msr.efer &= ~EFER_SCE;
    assert_int_equal(run(s, x_syscall, 8), VEC_UD);
}

static void syscall_outside_64_bit_mode_is_amds(void **state)
{
    struct sys *s = *state;

    sys_compat(s, 3);
    set_star(s);
    assert_int_equal(run(s, x_syscall, 4), VEC_UD);
    sys_model(s, "qemu64", NULL, false);
    assert_int_equal(run(s, x_syscall, 4), SYS_OK);
    assert_int_equal(s->cpu->rip, UINT64_C(0xFFFFFFFF82000000));
    assert_true(s->cpu->mode & MODE_CS_L);
}

static void syscall_in_legacy_mode_is_amds(void **state)
{
    struct sys *s = *state;

    sys_model(s, "qemu64", NULL, false);
    sys_protected(s, 3);
    set_star(s);
    s->cpu->msr.efer = EFER_SCE;
    s->cpu->sflags |= FLAG_IF;
    assert_int_equal(run(s, x_syscall, 4), SYS_OK);
    assert_int_equal(s->cpu->rip, 0x12345678);
    assert_int_equal(s->cpu->cpl, 0);
    assert_int_equal(cpu_rflags(s->cpu), FLAG_1);
    s->cpu->gpr[RCX] = AT_CODE;
    assert_int_equal(run(s, x_sysret, 4), SYS_OK);
    assert_int_equal(s->cpu->cpl, 3);
    assert_true(s->cpu->sflags & FLAG_IF);
}

/* --- SYSENTER and SYSEXIT --- */

static void sysenter_and_sysexit_32(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    s->cpu->msr.sysenter_cs = 0x10;
    s->cpu->msr.sysenter_esp = UINT64_C(0x1111222233);
    s->cpu->msr.sysenter_eip = AT_CODE + 0x100;
    cpu_set_rflags(s->cpu, FLAG_1 | FLAG_IF | FLAG_CF);
    assert_int_equal(run(s, x_sysenter, 4), SYS_OK);
    assert_int_equal(s->cpu->cpl, 0);
    assert_int_equal(s->cpu->rip, AT_CODE + 0x100);
    assert_int_equal(s->cpu->gpr[RSP], 0x11222233);
    assert_int_equal(cpu_rflags(s->cpu), FLAG_1 | FLAG_CF);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, 0x18);
    s->cpu->gpr[RDX] = 0x400000;
    s->cpu->gpr[RCX] = AT_STACK3;
    assert_int_equal(run(s, x_sysexit, 4), SYS_OK);
    assert_int_equal(s->cpu->cpl, 3);
    assert_int_equal(s->cpu->rip, 0x400000);
    assert_int_equal(s->cpu->gpr[RSP], AT_STACK3);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, 0x23);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, 0x2B);
}

static void sysenter_and_sysexit_64(void **state)
{
    struct sys *s = *state;

    sys_compat(s, 3);
    s->cpu->msr.sysenter_cs = 0x10;
    s->cpu->msr.sysenter_esp = UINT64_C(0xFFFF800000000000);
    s->cpu->msr.sysenter_eip = UINT64_C(0xFFFFFFFF81000000);
    assert_int_equal(run(s, x_sysenter, 4), SYS_OK);
    assert_true(s->cpu->mode & MODE_CS_L);
    assert_int_equal(s->cpu->rip, UINT64_C(0xFFFFFFFF81000000));
    assert_int_equal(s->cpu->gpr[RSP], UINT64_C(0xFFFF800000000000));
    s->cpu->gpr[RDX] = 0x400000;
    s->cpu->gpr[RCX] = 0x7FFFFFFFF000;
    assert_int_equal(run(s, x_sysexit, 8), SYS_OK);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, 0x33);
    assert_int_equal(s->cpu->seg[SEG_SS].selector, 0x3B);
    assert_int_equal(s->cpu->gpr[RSP], 0x7FFFFFFFF000);
}

static void sysenter_faults(void **state)
{
    struct sys *s = *state;

    s->cpu->msr.sysenter_cs = 0x10;
    assert_int_equal(run(s, x_sysenter, 4), VEC_GP); /* real mode */
    sys_protected(s, 3);
    assert_int_equal(run(s, x_sysexit, 4), VEC_GP);
    s->cpu->msr.sysenter_cs = 3;
    assert_int_equal(run(s, x_sysenter, 4), VEC_GP);
    sys_long(s, 0);
    s->cpu->msr.sysenter_cs = 0x10;
    s->cpu->gpr[RDX] = UINT64_C(1) << 47;
    assert_int_equal(run(s, x_sysexit, 8), VEC_GP);
    sys_model(s, "qemu64", NULL, false);
    sys_compat(s, 3);
    assert_int_equal(run(s, x_sysenter, 4), VEC_UD); /* AMD has none in long mode */
}

/* --- Hypercalls --- */

static void vmcall_answers_like_kvm(void **state)
{
    static const struct {
        u64 number, result;
    } cases[] = { { 1, 0 }, { 11, 0 }, { 2, (u64)-1000 }, { 999, (u64)-1000 } };
    struct sys *s = *state;

    sys_long(s, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        s->cpu->gpr[RAX] = cases[i].number;
        assert_int_equal(run(s, x_vmcall, 4), SYS_OK);
        assert_int_equal(s->cpu->gpr[RAX], cases[i].result);
    }
    sys_long(s, 3);
    s->cpu->gpr[RAX] = 5;
    assert_int_equal(run(s, x_vmcall, 4), SYS_OK);
    assert_int_equal(s->cpu->gpr[RAX], (u64)-1);
    sys_model(s, "max", "kvm", false);
    assert_int_equal(run(s, x_vmcall, 4), VEC_UD);
}

static void kick_keeps_the_next_halt_from_waiting(void **state)
{
    struct sys *s = *state;
    struct vcpu *vcpu = &s->machine.vcpus[0];

    sys_long(s, 0);
    vcpu->apic_id = 7;
    s->cpu->gpr[RAX] = 5;
    s->cpu->gpr[RCX] = 6; /* nobody */
    assert_int_equal(run(s, x_vmcall, 4), SYS_OK);
    assert_false(hypercall_take_kick(vcpu));
    s->cpu->gpr[RAX] = 5;
    s->cpu->gpr[RCX] = 7;
    assert_int_equal(run(s, x_vmcall, 4), SYS_OK);
    assert_int_equal(s->cpu->gpr[RAX], 0);
    assert_true(atomic_load(&vcpu->requests) & VCPU_REQ_ACCEL);
    assert_int_equal(run(s, x_hlt, 4), SYS_OK);
    assert_int_equal(vcpu->run_state, VCPU_RUNNING);
    assert_int_equal(run(s, x_hlt, 4), SYS_OK);
    assert_int_equal(vcpu->run_state, VCPU_HALTED);
}

/* --- Time, numbers, XCR0 --- */

static void rdtsc_reads_the_offset_clock(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    clock_step(&s->machine.clock, 5000);
    s->cpu->msr.tsc_offset = UINT64_C(0x700000000);
    s->cpu->msr.tsc_aux = 42;
    s->cpu->gpr[RAX] = s->cpu->gpr[RCX] = s->cpu->gpr[RDX] = ~UINT64_C(0);
    assert_int_equal(run(s, x_rdtsc, 4), SYS_OK);
    assert_int_equal(s->cpu->gpr[RAX], 5000);
    assert_int_equal(s->cpu->gpr[RDX], 7);
    assert_int_equal(run(s, x_rdtscp, 4), SYS_OK);
    assert_int_equal(s->cpu->gpr[RCX], 42);
    assert_int_equal(sys_run(s, x_rdpid_R, sys_reg(8, 0, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX], 42);
}

static void tsd_forbids_rdtsc_above_level_0(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    s->cpu->cr4 |= CR4_TSD;
    assert_int_equal(run(s, x_rdtsc, 4), VEC_GP);
    assert_int_equal(run(s, x_rdtscp, 4), VEC_GP);
    sys_long(s, 0);
    assert_int_equal(run(s, x_rdtsc, 4), SYS_OK);
    assert_int_equal(run(s, x_rdpmc, 4), VEC_GP);
}

static void rdrand_fills_the_operand_size_and_sets_cf(void **state)
{
    struct sys *s = *state;
    u64 seen = 0;

    for (unsigned i = 0; i < 8; i++) {
        s->cpu->aflags = FLAG_OF | FLAG_ZF;
        assert_int_equal(sys_run(s, x_rdrand_R, sys_reg(8, 0, RBX)), SYS_OK);
        seen |= s->cpu->gpr[RBX];
        assert_int_equal(s->cpu->aflags & FLAGS_ARITH, FLAG_CF);
    }
    assert_true(seen >> 32);
    assert_int_equal(sys_run(s, x_rdseed_R, sys_reg(4, 0, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX] >> 32, 0);
    s->cpu->gpr[RBX] = UINT64_C(0x1122334455660000);
    assert_int_equal(sys_run(s, x_rdrand_R, sys_reg(2, 0, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX] >> 16, UINT64_C(0x112233445566));
}

static void xsetbv_takes_what_cpuid_offers(void **state)
{
    static const struct {
        u64 value;
        int result;
    } cases[] = { { 7, SYS_OK }, { 3, SYS_OK }, { 1, SYS_OK },
                  { 5, VEC_GP }, { 6, VEC_GP }, { 15, VEC_GP } };
    struct sys *s = *state;

    sys_long(s, 0);
    assert_int_equal(run(s, x_xsetbv, 4), VEC_UD); /* CR4.OSXSAVE is clear */
    assert_int_equal(run(s, x_xgetbv, 4), VEC_UD);
    s->cpu->cr4 |= CR4_OSXSAVE;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        s->cpu->gpr[RAX] = cases[i].value;
        s->cpu->gpr[RCX] = s->cpu->gpr[RDX] = 0;
        assert_int_equal(run(s, x_xsetbv, 4), cases[i].result);
    }
    assert_int_equal(run(s, x_xgetbv, 4), SYS_OK);
    assert_int_equal(s->cpu->gpr[RAX], 1);
    s->cpu->gpr[RCX] = 2;
    assert_int_equal(run(s, x_xgetbv, 4), VEC_GP);
    assert_int_equal(run(s, x_xsetbv, 4), VEC_GP);
    sys_long(s, 3);
    s->cpu->gpr[RCX] = 0;
    assert_int_equal(run(s, x_xsetbv, 4), VEC_GP);
}

static void cpuid_instruction_fills_four_registers(void **state)
{
    struct sys *s = *state;

    s->cpu->gpr[RAX] = 1;
    s->machine.vcpus[0].apic_id = 3;
    assert_int_equal(run(s, x_cpuid, 4), SYS_OK);
    assert_int_equal(s->cpu->gpr[RAX], cpuid_signature(s->cpu->cpuid));
    assert_int_equal(s->cpu->gpr[RBX] >> 24, 3);
    assert_true(s->cpu->gpr[RDX] & BIT(9));
    s->apic_base = 0xFEE00100; /* the APIC is off, and CPUID says so */
    s->cpu->gpr[RAX] = 1;
    assert_int_equal(run(s, x_cpuid, 4), SYS_OK);
    assert_false(s->cpu->gpr[RDX] & BIT(9));
}

static void rdmsr_and_wrmsr_need_level_0(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    s->cpu->gpr[RCX] = MSR_LSTAR;
    assert_int_equal(run(s, x_rdmsr, 4), VEC_GP);
    assert_int_equal(run(s, x_wrmsr, 4), VEC_GP);
    sys_long(s, 0);
    s->cpu->gpr[RAX] = ~UINT64_C(0) << 32 | 0x11112222;
    s->cpu->gpr[RDX] = ~UINT64_C(0) << 32 | 0x7FFF;
    assert_int_equal(run(s, x_wrmsr, 4), SYS_OK);
    assert_int_equal(s->cpu->msr.lstar, UINT64_C(0x7FFF11112222));
    assert_int_equal(s->cpu->rip, AT_CODE + SYS_LEN);
    assert_int_equal(run(s, x_rdmsr, 4), SYS_OK);
    assert_int_equal(s->cpu->gpr[RAX], 0x11112222);
    assert_int_equal(s->cpu->gpr[RDX], 0x7FFF);
    s->cpu->gpr[RCX] = 0xDEAD;
    assert_int_equal(run(s, x_rdmsr, 4), VEC_GP);
    assert_int_equal(s->code, 0);
}

#define SYS_TEST(name) cmocka_unit_test_setup_teardown(name, sys_setup, sys_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYS_TEST(cli_and_sti_obey_iopl),
        SYS_TEST(sti_casts_a_shadow_once_and_wakes_a_waiting_interrupt),
        SYS_TEST(pushf_leaves_out_vm_and_rf),
        SYS_TEST(pushf_that_faults_leaves_the_stack_pointer),
        SYS_TEST(popf_changes_what_the_level_allows),
        SYS_TEST(popf_of_if_wakes_a_waiting_interrupt_without_a_shadow),
        SYS_TEST(popf_of_tf_turns_single_step_on),
        SYS_TEST(vm86_flags_on_the_stack_need_iopl_3),
        SYS_TEST(hlt_stops_at_level_0),
        SYS_TEST(pause_goes_on_whether_or_not_there_are_cpus_enough),
        SYS_TEST(ud_is_ud),
        SYS_TEST(syscall_enters_at_lstar),
        SYS_TEST(sysret_to_64_bit_code),
        SYS_TEST(sysret_to_32_bit_code),
        SYS_TEST(sysret_faults),
        SYS_TEST(syscall_outside_64_bit_mode_is_amds),
        SYS_TEST(syscall_in_legacy_mode_is_amds),
        SYS_TEST(sysenter_and_sysexit_32),
        SYS_TEST(sysenter_and_sysexit_64),
        SYS_TEST(sysenter_faults),
        SYS_TEST(vmcall_answers_like_kvm),
        SYS_TEST(kick_keeps_the_next_halt_from_waiting),
        SYS_TEST(rdtsc_reads_the_offset_clock),
        SYS_TEST(tsd_forbids_rdtsc_above_level_0),
        SYS_TEST(rdrand_fills_the_operand_size_and_sets_cf),
        SYS_TEST(xsetbv_takes_what_cpuid_offers),
        SYS_TEST(cpuid_instruction_fills_four_registers),
        SYS_TEST(rdmsr_and_wrmsr_need_level_0),
    };

    return cmocka_run_group_tests_name("soft/sys", tests, NULL, NULL);
}
