/* SPDX-License-Identifier: MIT */
/* SIMD and x87 in translated code: when the guest's registers are in the host's, and when they are back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "accel/soft/fault.h"
#include "accel/soft/fpu.h"
#include "accel/soft/mem.h"
#include "base/bytes.h"
#include "trans_fixture.h"

#define AT_DATA 0x20000u

static struct rig *prepare(void **state, const u8 *code, size_t size)
{
    struct rig *r = *state;

    r->cpu->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    r->cpu->gpr[RBX] = AT_DATA;
    put(r, AT_CODE, code, size);
    put_end(r, AT_CODE + size);
    return r;
}

#define PREPARE(state, ...) \
    prepare(state, (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

static u32 host_mxcsr(void)
{
    u32 value;

    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

/* Tag and control words of the host's x87. */
static u64 host_x87(void)
{
    u8 env[28];

    __asm__ volatile("fnstenv %0\n\tfldenv %0" : "+m"(env));
    return load_le16(env + 8) | (u64)load_le16(env) << 16;
}

static void results_are_in_the_image_after_a_run(void **state)
{
    struct rig *r = PREPARE(state, 0x66, 0x0F, 0xFE, 0xC1); /* paddd xmm0, xmm1 */

    store_le32(r->cpu->xsave.xmm[0], 40);
    store_le32(r->cpu->xsave.xmm[1], 2);
    assert_int_equal(run(r), SOFT_STOP_AT);
    assert_int_equal(load_le32(r->cpu->xsave.xmm[0]), 42);
    assert_int_equal(r->cpu->fpu_live, 0);
    assert_int_equal(translated(r), 1);
}

static void guest_rounding_stays_with_the_guest(void **state)
{
    /* addss xmm0, xmm1 */
    struct rig *r = PREPARE(state, 0xF3, 0x0F, 0x58, 0xC1);

    r->cpu->xsave.mxcsr = MXCSR_DEFAULT | 0x4000; /* up */
    store_le32(r->cpu->xsave.xmm[0], 0x3F800000);
    store_le32(r->cpu->xsave.xmm[1], 0x00800000); /* the smallest normal number */
    assert_int_equal(run(r), SOFT_STOP_AT);
    assert_int_equal(load_le32(r->cpu->xsave.xmm[0]), 0x3F800001);
    assert_int_equal(r->cpu->xsave.mxcsr, MXCSR_DEFAULT | 0x4020);
    assert_int_equal(host_mxcsr() & MXCSR_CONTROL, MXCSR_DEFAULT);
}

/* A division that raises nothing: SIGFPE is cmocka's here. */
static void an_unmasked_exception_is_the_interpreters(void **state)
{
    /* inc rcx; divss xmm0, xmm1; inc rcx */
    struct rig *r = PREPARE(state, 0x48, 0xFF, 0xC1, 0xF3, 0x0F, 0x5E, 0xC1, 0x48, 0xFF, 0xC1);

    for (unsigned i = 0; i < 3; i++) {
        r->cpu->gpr[RCX] = 0;
        store_le32(r->cpu->xsave.xmm[0], 0x3F800000);
        store_le32(r->cpu->xsave.xmm[1], 0x40000000);
        r->cpu->xsave.mxcsr = i == 1 ? MXCSR_DEFAULT & ~0x200u : MXCSR_DEFAULT;
        assert_int_equal(run(r), SOFT_STOP_AT);
        assert_int_equal(r->cpu->gpr[RCX], 2);
        assert_int_equal(load_le32(r->cpu->xsave.xmm[0]), 0x3F000000);
        assert_int_equal(r->cpu->xsave.mxcsr, i == 1 ? MXCSR_DEFAULT & ~0x200u : MXCSR_DEFAULT);
    }
}

static void disabled_instructions_fault(void **state)
{
    struct rig *r = PREPARE(state, 0x48, 0xFF, 0xC1, 0x66, 0x0F, 0xFE, 0xC1);

    assert_int_equal(run(r), SOFT_STOP_AT);
    r->cpu->cr0 |= CR0_TS;
    r->cpu->icount = 0;
    r->cpu->gpr[RCX] = 0;
    assert_int_equal(run(r), SOFT_STOP_FAULT);
    assert_int_equal(r->cpu->fault_vector, VEC_NM);
    assert_int_equal(r->cpu->rip, AT_CODE + 3);
    assert_int_equal(r->cpu->gpr[RCX], 1);
    assert_int_equal(r->cpu->icount, 1);
    r->cpu->cr0 &= ~CR0_TS;
    r->cpu->cr4 &= ~CR4_OSFXSR;
    assert_int_equal(run(r), SOFT_STOP_FAULT);
    assert_int_equal(r->cpu->fault_vector, VEC_UD);
}

static void page_fault_finds_the_registers_in_the_image(void **state)
{
    /* paddd xmm0, xmm0; movups [rbx], xmm0; paddd xmm0, xmm0 */
    struct rig *r =
        PREPARE(state, 0x66, 0x0F, 0xFE, 0xC0, 0x0F, 0x11, 0x03, 0x66, 0x0F, 0xFE, 0xC0);

    store_le32(r->cpu->xsave.xmm[0], 21);
    r->cpu->gpr[RBX] = AT_HOLE - 8;
    memset(r->machine.ram.host + AT_HOLE - 8, 0x5A, 8);
    assert_int_equal(run(r), SOFT_STOP_FAULT);
    assert_int_equal(r->cpu->fault_vector, VEC_PF);
    assert_int_equal(r->cpu->cr2, AT_HOLE);
    assert_int_equal(load_le32(r->cpu->xsave.xmm[0]), 42);
    assert_memory_equal(r->machine.ram.host + AT_HOLE - 8, "\x5A\x5A\x5A\x5A\x5A\x5A\x5A\x5A", 8);
}

/* The handler that does the crossing store leaves the host's registers in another state. */
static void registers_are_loaded_again_after_a_handler(void **state)
{
    /* paddd xmm0, xmm0; movups [rbx], xmm0; cld; paddd xmm0, xmm0; fld1; */
    struct rig *r = PREPARE(state, 0x66, 0x0F, 0xFE, 0xC0, 0x0F, 0x11, 0x03, 0xFC, 0x66, 0x0F, 0xFE,
                            0xC0, 0xD9, 0xE8);

    for (unsigned i = 0; i < 2; i++) {
        fpu_init(r->cpu);
        store_le32(r->cpu->xsave.xmm[0], 21);
        r->cpu->gpr[RBX] = AT_DATA + 0xFFC;
        assert_int_equal(run(r), SOFT_STOP_AT);
        assert_int_equal(load_le32(r->cpu->xsave.xmm[0]), 84);
        assert_int_equal(load_le32(r->machine.ram.host + AT_DATA + 0xFFC), 42);
        assert_int_equal(r->cpu->xsave.ftw, 0x80);
    }
}

static void x87_image_names_the_guests_instruction(void **state)
{
    /* nop; fld1; fldpi; nop */
    struct rig *r = PREPARE(state, 0x90, 0xD9, 0xE8, 0xD9, 0xEB, 0x90);

    r->cpu->xsave.fip = 0x1234;
    assert_int_equal(run(r), SOFT_STOP_AT);
    assert_int_equal(r->cpu->xsave.ftw, 0xC0);
    assert_int_equal(FIELD_GET(FSW_TOP, r->cpu->xsave.fsw), 6);
    assert_true(r->cpu->xsave.fip == AT_CODE + 3 || r->cpu->xsave.fip == 0x1234);
}

static void host_x87_is_empty_after_a_run(void **state)
{
    struct rig *r =
        PREPARE(state, 0xD9, 0xE8, 0xD9, 0x2B, 0xD9, 0xEB); /* fld1; fldcw [rbx]; fldpi */

    store_le16(r->machine.ram.host + AT_DATA, 0xF7F);
    assert_int_equal(run(r), SOFT_STOP_AT);
    assert_int_equal(r->cpu->xsave.fcw, 0xF7F);
    assert_int_equal(host_x87(), 0xFFFF | (u64)FCW_INIT << 16);
}

static void control_words_that_unmask_are_the_interpreters(void **state)
{
    /* fldcw [rbx]; fld1; fldz; fdivp; fwait */
    struct rig *r = PREPARE(state, 0xD9, 0x2B, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9, 0x9B);

    for (unsigned i = 0; i < 3; i++) {
        fpu_init(r->cpu);
        store_le16(r->machine.ram.host + AT_DATA, i == 1 ? 0x37B : 0x37F);
        assert_int_equal(run(r), i == 1 ? SOFT_STOP_FAULT : SOFT_STOP_AT);
        if (i == 1)
            assert_int_equal(r->cpu->fault_vector, VEC_MF);
        assert_int_equal(r->cpu->xsave.fsw & 0x3F, 4);
    }
}

int main(void)
{
#define FPU_TEST(name) cmocka_unit_test_setup_teardown(name, trans_setup, trans_teardown)
    static const struct CMUnitTest tests[] = {
        FPU_TEST(results_are_in_the_image_after_a_run),
        FPU_TEST(guest_rounding_stays_with_the_guest),
        FPU_TEST(an_unmasked_exception_is_the_interpreters),
        FPU_TEST(disabled_instructions_fault),
        FPU_TEST(page_fault_finds_the_registers_in_the_image),
        FPU_TEST(registers_are_loaded_again_after_a_handler),
        FPU_TEST(x87_image_names_the_guests_instruction),
        FPU_TEST(host_x87_is_empty_after_a_run),
        FPU_TEST(control_words_that_unmask_are_the_interpreters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
