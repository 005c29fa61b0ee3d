/* SPDX-License-Identifier: MIT */
/*
 * Tests of x87 control: environments in memory in all layouts, control and status words, pending
 * exceptions, MMX.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "accel/soft/fault.h"
#include "accel/soft/fpu.h"
#include "simd_cases.h"
#include "simd_fixture.h"
#include "simd_native.h"

#define ROUNDS 200

static struct fx *shared;

static void random_case(struct simd_case *c, const u8 *bytes, unsigned size)
{
    memset(c, 0, sizeof(*c));
    case_randomize(c);
    memcpy(c->bytes, bytes, size);
    c->size = size;
    c->xsave.fcw = (u16)(0x40 | (case_random() & 0x1F3F));
    c->xsave.fsw &= (u16)(0x7F00 | (c->xsave.fcw & 0x3F));
    c->xsave.fip = (u32)case_random();
    c->xsave.fdp = (u32)case_random();
    c->xsave.fop = case_random() & FOP_MASK;
}

/* Run the same on both sides; the guest's operand is at RBX. */
static void run_both(const struct simd_case *c, struct native *n, u8 *data)
{
    case_load(shared, c);
    memcpy(n->gpr, c->gpr, sizeof(n->gpr));
    memcpy(data, c->data, sizeof(c->data));
    n->gpr[RBX] = (u64)(uintptr_t)data;
    n->flags = c->flags;
    n->xsave = c->xsave;
    assert_int_equal(native_run(n, c->bytes, c->size), 0);
    assert_int_equal(simd_run(shared, c->bytes, c->size), FX_NO_FAULT);
}

static void assert_x87_equal(const struct xsave_area *guest, const struct xsave_area *host)
{
    assert_int_equal(guest->fcw, host->fcw);
    assert_int_equal(guest->fsw, host->fsw);
    assert_int_equal(guest->ftw, host->ftw);
    for (unsigned i = 0; i < 8; i++)
        assert_memory_equal(guest->st[i], host->st[i], 10);
}

static void assert_pointers_equal(const struct xsave_area *guest, const struct xsave_area *host)
{
    assert_int_equal(guest->fip, host->fip);
    assert_int_equal(guest->fdp, host->fdp);
    assert_int_equal(guest->fop, host->fop);
}

/* The instruction against the host: `pointers` says whether FIP, FDP and FOP agree as well. */
static void agrees_with_host(const u8 *bytes, unsigned size, bool pointers)
{
    static struct simd_case c;
    static struct native n;
    static u8 data[128] __attribute__((aligned(64)));

    native_arm();
    for (unsigned i = 0; i < ROUNDS; i++) {
        random_case(&c, bytes, size);
        run_both(&c, &n, data);
        assert_x87_equal(&shared->cpu->xsave, &n.xsave);
        if (pointers)
            assert_pointers_equal(&shared->cpu->xsave, &n.xsave);
        assert_memory_equal(shared->ram + OPERAND_GVA - FX_BASE, data, sizeof(data));
        assert_int_equal(shared->cpu->gpr[RAX], n.gpr[RAX]);
    }
}

#define AGREES(pointers, ...) \
    agrees_with_host((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }), pointers)

/* Where the host has CS and DS of its own in the environment, the comparison would see them. */
static bool host_has_selectors(void)
{
    unsigned a = 7, b, c = 0, d;

    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return !(b & BIT(13));
}

static void environment_agrees_with_the_host(void **state)
{
    (void)state;
    if (host_has_selectors())
        skip();
    AGREES(true, 0xD9, 0x33);       /* fnstenv [rbx] */
    AGREES(true, 0x66, 0xD9, 0x33); /* 16-bit */
    AGREES(true, 0xDD, 0x33);       /* fnsave [rbx] */
    AGREES(true, 0x66, 0xDD, 0x33);
}

static void loaded_environment_agrees_with_the_host(void **state)
{
    (void)state;
    AGREES(true, 0xD9, 0x23);       /* fldenv [rbx] */
    AGREES(true, 0x66, 0xD9, 0x23); /* 16-bit */
    AGREES(true, 0xDD, 0x23);       /* frstor [rbx] */
    AGREES(true, 0x66, 0xDD, 0x23);
}

static void control_instructions_agree_with_the_host(void **state)
{
    (void)state;
    AGREES(true, 0xD9, 0x2B);       /* fldcw [rbx] */
    AGREES(true, 0xD9, 0x3B);       /* fnstcw [rbx] */
    AGREES(true, 0xDD, 0x3B);       /* fnstsw [rbx] */
    AGREES(true, 0xDF, 0xE0);       /* fnstsw ax */
    AGREES(true, 0xDB, 0xE2);       /* fnclex */
    AGREES(true, 0xDB, 0xE3);       /* fninit */
    AGREES(true, 0xDB, 0xE0);       /* fneni */
    AGREES(true, 0xDB, 0xE4);       /* fnsetpm */
    AGREES(true, 0x9B);             /* fwait */
    AGREES(true, 0x0F, 0x77);       /* emms */
    AGREES(false, 0xD9, 0xD0);      /* fnop */
    AGREES(true, 0x0F, 0x6F, 0xD9); /* movq mm3, mm1 */
}

static void real_mode_environment_has_linear_addresses(void **state)
{
    struct fx *fx = simd_fx_new(FX_32);
    struct cpu *cpu = fx->cpu;

    (void)state;
    cpu->mode = MODE_CS_D; /* 32-bit sizes without protection: the shortest way to the layout */
    cpu->gpr[RBX] = FX_BASE;
    cpu->xsave.fip = 0x12345678;
    cpu->xsave.fdp = 0x9ABCDEF0;
    cpu->xsave.fop = 0x5A5;
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0x33), FX_NO_FAULT);
    assert_int_equal(fx_get(fx, FX_BASE + 12, 4), 0xFFFF5678);
    assert_int_equal(fx_get(fx, FX_BASE + 16, 4), 0x012345A5);
    assert_int_equal(fx_get(fx, FX_BASE + 20, 4), 0xFFFFDEF0);
    assert_int_equal(fx_get(fx, FX_BASE + 24, 4), 0x09ABC000);
    cpu->xsave.fip = cpu->xsave.fdp = cpu->xsave.fop = 0;
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0x23), FX_NO_FAULT);
    assert_int_equal(cpu->xsave.fip, 0x12345678);
    assert_int_equal(cpu->xsave.fdp, 0x9ABCDEF0);
    assert_int_equal(cpu->xsave.fop, 0x5A5);
    cpu->xsave.fip = 0x45678;
    cpu->xsave.fdp = 0xCDEF0;
    assert_int_equal(SIMD_RUN(fx, 0x66, 0xD9, 0x33), FX_NO_FAULT);
    assert_int_equal(fx_get(fx, FX_BASE + 6, 4), 0x45A55678);
    assert_int_equal(fx_get(fx, FX_BASE + 10, 4), 0xC000DEF0);
    cpu->xsave.fip = cpu->xsave.fdp = cpu->xsave.fop = 0;
    assert_int_equal(SIMD_RUN(fx, 0x66, 0xD9, 0x23), FX_NO_FAULT);
    assert_int_equal(cpu->xsave.fip, 0x45678);
    assert_int_equal(cpu->xsave.fdp, 0xCDEF0);
    assert_int_equal(cpu->xsave.fop, 0x5A5);
    simd_fx_free(fx);
}

/* FLD1 twice and FDIV by an empty register, with invalid unmasked. */
static void make_pending(struct fx *fx)
{
    fpu_reset(fx->cpu);
    fx->cpu->xsave.fcw = FCW_INIT & ~1;
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0xE0), FX_NO_FAULT); /* fchs of an empty register */
    assert_int_equal(fx->cpu->xsave.fsw & (FSW_ES | FSW_SF | 1), FSW_ES | FSW_SF | 1);
}

static void pending_exception_is_raised_by_waiting_instructions(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);

    (void)state;
    fx->cpu->gpr[RBX] = FX_BASE;
    make_pending(fx);
    assert_int_equal(SIMD_RUN(fx, 0x9B), VEC_MF);
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0xE8), VEC_MF);            /* fld1 */
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0x23), VEC_MF);            /* fldenv */
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0x2B), VEC_MF);            /* fldcw */
    assert_int_equal(SIMD_RUN(fx, 0xDD, 0x23), VEC_MF);            /* frstor */
    assert_int_equal(SIMD_RUN(fx, 0x0F, 0x6F, 0xC1), VEC_MF);      /* movq mm0, mm1 */
    assert_int_equal(SIMD_RUN(fx, 0x0F, 0x2A, 0xC1), VEC_MF);      /* cvtpi2ps xmm0, mm1 */
    assert_int_equal(SIMD_RUN(fx, 0x0F, 0x2A, 0x03), FX_NO_FAULT); /* cvtpi2ps xmm0, [rbx] */
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0x3B), FX_NO_FAULT);       /* fnstcw */
    assert_int_equal(SIMD_RUN(fx, 0xDD, 0x3B), FX_NO_FAULT);       /* fnstsw */
    assert_true(fx->cpu->xsave.fsw & FSW_ES);
    assert_int_equal(SIMD_RUN(fx, 0xDB, 0xE2), FX_NO_FAULT); /* fnclex */
    assert_int_equal(SIMD_RUN(fx, 0x9B), FX_NO_FAULT);
    make_pending(fx);
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0x33), FX_NO_FAULT); /* fnstenv masks */
    assert_int_equal(SIMD_RUN(fx, 0x9B), FX_NO_FAULT);
    make_pending(fx);
    assert_int_equal(SIMD_RUN(fx, 0xDD, 0x33), FX_NO_FAULT); /* fnsave */
    assert_int_equal(SIMD_RUN(fx, 0x9B), FX_NO_FAULT);
    simd_fx_free(fx);
}

static void pending_exception_is_ignored_with_ne_clear(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);

    (void)state;
    make_pending(fx);
    fx->cpu->cr0 &= ~CR0_NE;
    assert_int_equal(SIMD_RUN(fx, 0x9B), FX_NO_FAULT);
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0xE8), FX_NO_FAULT); /* fld1 */
    assert_int_equal(fx->cpu->xsave.fsw & FSW_TOP, 7 << 11);
    assert_true(fx->cpu->xsave.fsw & FSW_ES);
    assert_int_equal(fx->cpu->xsave.fcw, FCW_INIT & ~1);
    simd_fx_free(fx);
}

static void fwait_faults_only_with_mp_and_ts(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);

    (void)state;
    fx->cpu->cr0 = CR0_PE | CR0_NE | CR0_TS;
    assert_int_equal(SIMD_RUN(fx, 0x9B), FX_NO_FAULT);
    fx->cpu->cr0 = CR0_PE | CR0_NE | CR0_MP;
    assert_int_equal(SIMD_RUN(fx, 0x9B), FX_NO_FAULT);
    fx->cpu->cr0 = CR0_PE | CR0_NE | CR0_MP | CR0_TS;
    assert_int_equal(SIMD_RUN(fx, 0x9B), VEC_NM);
    fx->cpu->cr0 = CR0_PE | CR0_NE | CR0_EM;
    assert_int_equal(SIMD_RUN(fx, 0x9B), FX_NO_FAULT);
    assert_int_equal(SIMD_RUN(fx, 0xDB, 0xE3), VEC_NM); /* fninit */
    simd_fx_free(fx);
}

static void fault_pointers_are_the_guests(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);
    struct xsave_area *x = &fx->cpu->xsave;

    (void)state;
    fx->cpu->gpr[RSI] = FX_BASE;
    fx->cpu->seg[SEG_FS].base = 0x40;
    x->fcw = FCW_INIT & ~1;
    /* fadd dword fs:[rsi + 8] with an empty stack: FDP is the offset, FOP has the guest's ModRM */
    assert_int_equal(SIMD_RUN(fx, 0x64, 0xD8, 0x46, 0x08), FX_NO_FAULT);
    assert_int_equal(x->fip, 0x1000);
    assert_int_equal(x->fdp, FX_BASE + 8);
    assert_int_equal(x->fop, 0x046);
    simd_fx_free(fx);
}

static void stores_that_fault_keep_the_stack(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);
    struct xsave_area before;

    (void)state;
    fx->writable[1] = false;
    fx_tlb_clear(fx);
    fx->cpu->gpr[RBX] = FX_BASE + 0xFFC;
    SIMD_RUN(fx, 0xD9, 0xEB); /* fldpi */
    before = fx->cpu->xsave;
    assert_int_equal(SIMD_RUN(fx, 0xDD, 0x1B), VEC_PF); /* fstp qword [rbx] */
    assert_int_equal(fx->cr2, FX_BASE + 0x1000);
    assert_memory_equal(&before, &fx->cpu->xsave, sizeof(before));
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0x1B), FX_NO_FAULT); /* fstp dword [rbx] */
    assert_int_equal(fx_get(fx, FX_BASE + 0xFFC, 4), 0x40490FDB);
    assert_int_equal(fx->cpu->xsave.ftw, 0);
    simd_fx_free(fx);
}

static void unmasked_invalid_store_writes_nothing(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);

    (void)state;
    fx->cpu->gpr[RBX] = FX_BASE;
    fx_set(fx, FX_BASE, 8, 0x1122334455667788);
    fx->cpu->xsave.fcw = FCW_INIT & ~1;
    assert_int_equal(SIMD_RUN(fx, 0xDD, 0x1B), FX_NO_FAULT); /* fstp qword [rbx], empty stack */
    assert_int_equal(fx_get(fx, FX_BASE, 8), 0x1122334455667788);
    assert_true(fx->cpu->xsave.fsw & FSW_ES);
    SIMD_RUN(fx, 0xDB, 0xE2); /* fnclex */
    fx->writable[0] = false;  /* nor does it look at the page */
    fx_tlb_clear(fx);
    assert_int_equal(SIMD_RUN(fx, 0xDD, 0x1B), FX_NO_FAULT);
    simd_fx_free(fx);
}

static void unmasked_inexact_store_that_faults_changes_nothing(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);
    struct xsave_area before;

    (void)state;
    fx->cpu->gpr[RBX] = FX_BASE;
    SIMD_RUN(fx, 0xD9, 0xEB); /* fldpi */
    fx->cpu->xsave.fcw = FCW_INIT & ~0x20;
    before = fx->cpu->xsave;
    fx->writable[0] = false;
    fx_tlb_clear(fx);
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0x1B), VEC_PF); /* fstp dword [rbx] */
    assert_memory_equal(&before, &fx->cpu->xsave, sizeof(before));
    fx->writable[0] = true;
    assert_int_equal(SIMD_RUN(fx, 0xD9, 0x1B), FX_NO_FAULT);
    assert_int_equal(fx_get(fx, FX_BASE, 4), 0x40490FDB);
    assert_true(fx->cpu->xsave.fsw & FSW_ES);
    simd_fx_free(fx);
}

static void mmx_write_sets_the_exponent(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);
    struct xsave_area *x = &fx->cpu->xsave;

    (void)state;
    x->fsw = 5 << 11;
    memset(x->st[1], 0x33, 10); /* R6 */
    fx->cpu->gpr[RAX] = 0xAABBCCDD;
    assert_int_equal(SIMD_RUN(fx, 0x0F, 0x6E, 0xD0), FX_NO_FAULT); /* movd mm2, eax */
    assert_int_equal(x->fsw & FSW_TOP, 0);
    assert_int_equal(x->ftw, FTW_VALID);
    assert_int_equal(x->st[2][8], 0xFF);
    assert_int_equal(x->st[2][9], 0xFF);
    assert_int_equal(x->st[6][0], 0x33);
    assert_int_equal(x->st[6][9], 0x33);
    simd_fx_free(fx);
}

static void reset_is_the_state_after_fninit(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);
    struct xsave_area *x = &fx->cpu->xsave;

    (void)state;
    memset(x, 0xFF, sizeof(*x));
    fpu_reset(fx->cpu);
    assert_int_equal(x->fcw, FCW_INIT);
    assert_int_equal(x->fsw, 0);
    assert_int_equal(x->ftw, 0);
    assert_int_equal(x->mxcsr, MXCSR_DEFAULT);
    assert_int_equal(x->mxcsr_mask & 0xFFBF, 0xFFBF);
    assert_int_equal(fpu_in_use(fx->cpu), 0);
    simd_fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environment_agrees_with_the_host),
        cmocka_unit_test(loaded_environment_agrees_with_the_host),
        cmocka_unit_test(control_instructions_agree_with_the_host),
        cmocka_unit_test(real_mode_environment_has_linear_addresses),
        cmocka_unit_test(pending_exception_is_raised_by_waiting_instructions),
        cmocka_unit_test(pending_exception_is_ignored_with_ne_clear),
        cmocka_unit_test(fwait_faults_only_with_mp_and_ts),
        cmocka_unit_test(fault_pointers_are_the_guests),
        cmocka_unit_test(stores_that_fault_keep_the_stack),
        cmocka_unit_test(unmasked_invalid_store_writes_nothing),
        cmocka_unit_test(unmasked_inexact_store_that_faults_changes_nothing),
        cmocka_unit_test(mmx_write_sets_the_exponent),
        cmocka_unit_test(reset_is_the_state_after_fninit),
    };
    int result;

    if (!native_setup())
        return 77; /* meson: skipped */
    shared = simd_fx_new(FX_64);
    native_keep_handlers();
    result = cmocka_run_group_tests(tests, NULL, NULL);
    simd_fx_free(shared);
    return result;
}
