/* SPDX-License-Identifier: MIT */
/* Power-on, INIT, direct boot, and the register dump. SDM vol. 3A, table 9-1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "accel/soft/cpu_reset.h"
#include "accel/soft/cpuid.h"
#include "accel/soft/dump.h"
#include "accel/soft/msr.h"
#include "sys_fixture.h"

static void scribble(struct sys *s)
{
    sys_long(s, 3);
    for (unsigned i = 0; i < 16; i++)
        s->cpu->gpr[i] = ~UINT64_C(0);
    s->cpu->xsave.fcw = 0x27F;
    s->cpu->xsave.mxcsr = 0;
    s->cpu->xsave.xmm[3][5] = 1;
    s->cpu->xcr0 = 7;
    s->cpu->msr.pat = 6;
    s->cpu->msr.mtrr_def_type = 0xC06;
    s->cpu->msr.lstar = 0x1234;
    s->cpu->msr.tsc_offset = 77;
    s->cpu->msr.kvm_system_time = 0x8001;
    s->cpu->cr0 = (s->cpu->cr0 | CR0_CD) & ~CR0_NW;
    s->cpu->cr2 = 5;
    s->cpu->dr[0] = 5;
    s->cpu->dr[7] = 0x401;
    s->cpu->shadow = s->cpu->nmi_blocked = s->cpu->intr_waiting = true;
    s->cpu->db_pending = 1;
}

/* What both kinds of reset set. */
static void assert_common(struct sys *s)
{
    const struct cpu *cpu = s->cpu;

    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(cpu->gpr[i], i == RDX ? cpuid_signature(cpu->cpuid) : 0);
    assert_int_equal(cpu->gpr[GPR_ZERO], 0);
    assert_int_equal(cpu->rip, 0xFFF0);
    assert_int_equal(cpu_rflags(cpu), 2);
    assert_int_equal(cpu->seg[SEG_CS].selector, 0xF000);
    assert_int_equal(cpu->seg[SEG_CS].base, 0xFFFF0000);
    assert_int_equal(cpu->seg[SEG_CS].limit, 0xFFFF);
    assert_int_equal(cpu->seg[SEG_CS].attr, 0x9B);
    assert_int_equal(cpu->seg[SEG_SS].attr, 0x93);
    assert_int_equal(cpu->seg[SEG_GS].base, 0);
    assert_int_equal(cpu->ldtr.attr & SEG_TYPE, 2);
    assert_int_equal(cpu->tr.attr & SEG_TYPE, 0xB);
    assert_int_equal(cpu->gdtr.limit, 0xFFFF);
    assert_int_equal(cpu->idtr.base, 0);
    assert_int_equal(cpu->idtr.limit, 0xFFFF);
    assert_int_equal(cpu->cr2 | cpu->cr3 | cpu->cr4, 0);
    assert_int_equal(cpu->dr[0], 0);
    assert_int_equal(cpu->dr[6], 0xFFFF0FF0);
    assert_int_equal(cpu->dr[7], 0x400);
    assert_int_equal(cpu->msr.efer, 0);
    assert_int_equal(cpu->msr.kvm_system_time, 0);
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->mode, MMU_KERNEL << MODE_CONTEXT_SHIFT);
    assert_false(cpu->shadow || cpu->nmi_blocked || cpu->intr_waiting || cpu->db_pending);
}

static void power_on_state(void **state)
{
    struct sys *s = *state;

    scribble(s);
    cpu_reset(s->cpu, false);
    assert_common(s);
    assert_int_equal(s->cpu->cr0, 0x60000010);
    assert_int_equal(s->cpu->xsave.fcw, 0x37F);
    assert_int_equal(s->cpu->xsave.ftw, 0);
    assert_int_equal(s->cpu->xsave.mxcsr, 0x1F80);
    assert_int_equal(s->cpu->xsave.xmm[3][5], 0);
    assert_int_equal(s->cpu->xcr0, 1);
    assert_int_equal(s->cpu->msr.pat, UINT64_C(0x0007040600070406));
    assert_int_equal(s->cpu->msr.mtrr_def_type, 0);
    assert_int_equal(s->cpu->msr.lstar, 0);
    assert_int_equal(s->cpu->msr.tsc_offset, 0);
}

static void init_keeps_fpu_msrs_and_cache_bits(void **state)
{
    struct sys *s = *state;

    scribble(s);
    cpu_reset(s->cpu, true);
    assert_common(s);
    assert_int_equal(s->cpu->cr0, CR0_CD | CR0_ET);
    assert_int_equal(s->cpu->xsave.fcw, 0x27F);
    assert_int_equal(s->cpu->xsave.mxcsr, 0);
    assert_int_equal(s->cpu->xsave.xmm[3][5], 1);
    assert_int_equal(s->cpu->xcr0, 7);
    assert_int_equal(s->cpu->msr.pat, 6);
    assert_int_equal(s->cpu->msr.mtrr_def_type, 0xC06);
    assert_int_equal(s->cpu->msr.lstar, 0x1234);
    assert_int_equal(s->cpu->msr.tsc_offset, 77);
}

static void signature_in_edx_is_the_models(void **state)
{
    struct sys *s = *state;

    sys_model(s, "qemu64", NULL, false);
    cpu_reset(s->cpu, false);
    assert_int_equal(s->cpu->gpr[RDX], 0x60FB1);
}

static void monitor_shows_in_misc_enable(void **state)
{
    struct sys *s = *state;

    assert_false(s->cpu->msr.misc_enable >> 18 & 1);
    sys_model(s, "max", "monitor", true);
    cpu_reset(s->cpu, false);
    assert_true(s->cpu->msr.misc_enable >> 18 & 1);
}

/* --- Direct boot --- */

static void boot_at_the_reset_vector_changes_nothing(void **state)
{
    struct cpu_boot_state boot = { .mode = BOOT_MODE_RESET, .rip = 0x1234 };
    struct sys *s = *state;

    cpu_set_boot(s->cpu, &boot);
    assert_common(s);
    assert_int_equal(s->cpu->msr.mtrr_def_type, 0);
}

static void boot_flat32(void **state)
{
    struct cpu_boot_state boot = { .mode = BOOT_MODE_FLAT32,
                                   .rip = 0x1000200,
                                   .rsp = 0x8FF0,
                                   .rbx = 0x7000,
                                   .gdt = 0x500,
                                   .gdt_limit = 0x27 };
    struct sys *s = *state;

    cpu_set_boot(s->cpu, &boot);
    assert_int_equal(s->cpu->rip, 0x1000200);
    assert_int_equal(s->cpu->gpr[RSP], 0x8FF0);
    assert_int_equal(s->cpu->gpr[RBX], 0x7000);
    assert_int_equal(s->cpu->gpr[RDX], 0);
    assert_int_equal(s->cpu->cr0 & (CR0_PE | CR0_PG), CR0_PE);
    assert_int_equal(s->cpu->mode & (MODE_PE | MODE_CS_D | MODE_SS_B | MODE_FLAT | MODE_LMA),
                     MODE_PE | MODE_CS_D | MODE_SS_B | MODE_FLAT);
    assert_int_equal(s->cpu->seg[SEG_CS].selector, 0x10);
    assert_int_equal(s->cpu->seg[SEG_DS].selector, 0x18);
    assert_int_equal(s->cpu->tr.selector, 0x20);
    assert_int_equal(s->cpu->gdtr.base, 0x500);
    assert_int_equal(s->cpu->gdtr.limit, 0x27);
    assert_int_equal(cpu_rflags(s->cpu), 2);
    assert_int_equal(s->cpu->msr.mtrr_def_type, 0x806);
}

static void boot_long64(void **state)
{
    struct cpu_boot_state boot = {
        .mode = BOOT_MODE_LONG64, .rip = 0x1000200, .rsi = 0x7000, .cr3 = 0x9000
    };
    struct sys *s = *state;

    cpu_set_boot(s->cpu, &boot);
    assert_int_equal(s->cpu->gpr[RSI], 0x7000);
    assert_int_equal(s->cpu->cr3, 0x9000);
    assert_int_equal(s->cpu->cr4, CR4_PAE);
    assert_int_equal(s->cpu->msr.efer, EFER_LME | EFER_LMA);
    assert_true(s->cpu->mode & MODE_CS_L);
    assert_true(s->cpu->cr0 & CR0_PG);
    assert_int_equal(s->cpu->cpl, 0);
}

/* --- Dump --- */

static void dump_shows_registers_by_name(void **state)
{
    struct sys *s = *state;
    char text[2048];

    sys_long(s, 0);
    s->cpu->gpr[R13] = UINT64_C(0xDEADBEEF12345678);
    s->cpu->sflags |= FLAG_IF;
    cpu_dump(s->cpu, text, sizeof(text));
    assert_non_null(strstr(text, "R13=deadbeef12345678"));
    assert_non_null(strstr(text, "RIP=0000000000009000"));
    assert_non_null(strstr(text, "[--I------]"));
    assert_non_null(strstr(text, "CS =0028"));
    assert_non_null(strstr(text, "CR3=0000000000100000"));
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_true(strlen(text) < sizeof(text) - 1); /* it all fits */
}

static void dump_is_cut_to_the_buffer(void **state)
{
    struct sys *s = *state;
    char text[64];

    for (size_t size = 0; size < sizeof(text) - 1; size++) {
        memset(text, 'x', sizeof(text));
        cpu_dump(s->cpu, text, size);
        if (size > 0)
            assert_true(strlen(text) < size);
        assert_int_equal(text[size], 'x');
    }
}

#define RESET_TEST(name) cmocka_unit_test_setup_teardown(name, sys_setup, sys_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESET_TEST(power_on_state),
        RESET_TEST(init_keeps_fpu_msrs_and_cache_bits),
        RESET_TEST(signature_in_edx_is_the_models),
        RESET_TEST(monitor_shows_in_misc_enable),
        RESET_TEST(boot_at_the_reset_vector_changes_nothing),
        RESET_TEST(boot_flat32),
        RESET_TEST(boot_long64),
        RESET_TEST(dump_shows_registers_by_name),
        RESET_TEST(dump_is_cut_to_the_buffer),
    };

    return cmocka_run_group_tests_name("soft/cpu_reset", tests, NULL, NULL);
}
