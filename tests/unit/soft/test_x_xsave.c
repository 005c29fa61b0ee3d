/* SPDX-License-Identifier: MIT */
/*
 * Tests of FXSAVE, FXRSTOR, the XSAVE family and MXCSR loads: layouts against the host, checks
 * against the manual.
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

#define AREA   (FX_BASE + 0x1000u)
#define ROUNDS 60

static struct fx *shared;
static u8 host_area[1024] __attribute__((aligned(64)));

#define FXSAVE     0x0F, 0xAE, 0x03
#define FXSAVE64   0x48, 0x0F, 0xAE, 0x03
#define FXRSTOR    0x0F, 0xAE, 0x0B
#define FXRSTOR64  0x48, 0x0F, 0xAE, 0x0B
#define XSAVE      0x0F, 0xAE, 0x23
#define XSAVE64    0x48, 0x0F, 0xAE, 0x23
#define XRSTOR     0x0F, 0xAE, 0x2B
#define XRSTOR64   0x48, 0x0F, 0xAE, 0x2B
#define XSAVEOPT64 0x48, 0x0F, 0xAE, 0x33
#define XSAVEC64   0x48, 0x0F, 0xC7, 0x23
#define LDMXCSR    0x0F, 0xAE, 0x13
#define STMXCSR    0x0F, 0xAE, 0x1B

/* Every component in use, pointers that are canonical. */
static void random_image(struct simd_case *c)
{
    case_randomize(c);
    c->xsave.fip = case_random() >> 17;
    c->xsave.fdp = case_random() >> 17;
    c->xsave.fop = case_random() & FOP_MASK;
    c->xsave.mxcsr = (u32)case_random() & 0xFFFF;
    c->xsave.ymm_hi[0][0] |= 1;
    c->xsave.xmm[0][0] |= 1;
}

static void load_both(const struct simd_case *c, struct native *n, u64 rfbm)
{
    case_load(shared, c);
    memcpy(n->gpr, c->gpr, sizeof(n->gpr));
    n->xsave = c->xsave;
    n->flags = 0;
    n->gpr[RAX] = shared->cpu->gpr[RAX] = (u32)rfbm;
    n->gpr[RDX] = shared->cpu->gpr[RDX] = rfbm >> 32;
    n->gpr[RBX] = (u64)(uintptr_t)host_area;
    shared->cpu->gpr[RBX] = AREA;
}

static void run_both(struct native *n, const u8 *bytes, unsigned size)
{
    assert_int_equal(native_run(n, bytes, size), 0);
    assert_int_equal(simd_run(shared, bytes, size), FX_NO_FAULT);
}

static void fill_area(unsigned byte)
{
    memset(host_area, (int)byte, sizeof(host_area));
    memset(shared->ram + 0x1000, (int)byte, sizeof(host_area));
}

static void assert_images_equal(const struct xsave_area *guest, const struct xsave_area *host)
{
    assert_int_equal(guest->fcw, host->fcw);
    assert_int_equal(guest->fsw, host->fsw);
    assert_int_equal(guest->ftw, host->ftw);
    assert_int_equal(guest->fop, host->fop);
    assert_int_equal(guest->fip, host->fip);
    assert_int_equal(guest->fdp, host->fdp);
    assert_int_equal(guest->mxcsr, host->mxcsr);
    assert_memory_equal(guest->st, host->st, sizeof(guest->st));
    assert_memory_equal(guest->xmm, host->xmm, sizeof(guest->xmm));
    assert_memory_equal(guest->ymm_hi, host->ymm_hi, sizeof(guest->ymm_hi));
}

static void saves_agree(const u8 *bytes, unsigned size, u64 rfbm)
{
    static struct simd_case c;
    static struct native n;

    native_arm();
    for (unsigned i = 0; i < ROUNDS; i++) {
        random_image(&c);
        load_both(&c, &n, rfbm);
        fill_area(0xA5);
        /* The header is read: a bit of its own in and out of the request. */
        memset(host_area + 512, 0, 64);
        host_area[512] = 5;
        memcpy(shared->ram + 0x1000 + 512, host_area + 512, 64);
        run_both(&n, bytes, size);
        assert_memory_equal(shared->ram + 0x1000, host_area, sizeof(host_area));
    }
}

#define SAVES_AGREE(rfbm, ...) \
    saves_agree((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }), rfbm)

static void fxsave_agrees_with_the_host(void **state)
{
    (void)state;
    SAVES_AGREE(0, FXSAVE64);
}

static void xsave_agrees_with_the_host(void **state)
{
    (void)state;
    for (u64 rfbm = 0; rfbm < 8; rfbm++) {
        SAVES_AGREE(rfbm, XSAVE64);
        if (native_has(FEAT_XSAVEOPT))
            SAVES_AGREE(rfbm, XSAVEOPT64);
        if (native_has(FEAT_XSAVEC))
            SAVES_AGREE(rfbm, XSAVEC64);
    }
}

static void thirty_two_bit_forms_cut_the_pointers(void **state)
{
    static struct simd_case c;
    static struct native n;

    (void)state;
    random_image(&c);
    load_both(&c, &n, 7);
    assert_int_equal(SIMD_RUN(shared, FXSAVE), FX_NO_FAULT);
    assert_int_equal(fx_get(shared, AREA + 8, 8), (u32)c.xsave.fip);
    assert_int_equal(fx_get(shared, AREA + 16, 8), (u32)c.xsave.fdp);
    fx_set(shared, AREA + 512, 8, 0);
    fx_set(shared, AREA + 520, 8, 0);
    fx_set(shared, AREA + 528, 8, 0);
    assert_int_equal(SIMD_RUN(shared, XSAVE), FX_NO_FAULT);
    assert_int_equal(fx_get(shared, AREA + 8, 8), (u32)c.xsave.fip);
    fx_set(shared, AREA + 8, 8, 0x1122334455667788);
    assert_int_equal(SIMD_RUN(shared, XRSTOR), FX_NO_FAULT);
    assert_int_equal(shared->cpu->xsave.fip, 0x55667788);
    assert_int_equal(SIMD_RUN(shared, FXRSTOR), FX_NO_FAULT);
    assert_int_equal(shared->cpu->xsave.fip, 0x55667788);
}

/* Load an area that `from` describes into a machine whose state `c` describes. */
static void restores_agree(const u8 *bytes, unsigned size, u64 rfbm, const u64 *header)
{
    static struct simd_case c, from;
    static struct native n;

    native_arm();
    for (unsigned i = 0; i < ROUNDS; i++) {
        random_image(&c);
        random_image(&from);
        load_both(&c, &n, rfbm);
        from.xsave.xstate_bv = header[0];
        from.xsave.xcomp_bv = header[1];
        memcpy(host_area, &from.xsave, sizeof(from.xsave));
        memcpy(shared->ram + 0x1000, &from.xsave, sizeof(from.xsave));
        run_both(&n, bytes, size);
        assert_images_equal(&shared->cpu->xsave, &n.xsave);
    }
}

static void fxrstor_agrees_with_the_host(void **state)
{
    static const u64 header[2] = { ~(u64)0, ~(u64)0 }; /* no business of FXRSTOR */

    (void)state;
    restores_agree((const u8[]){ FXRSTOR64 }, 4, 0, header);
}

static void xrstor_agrees_with_the_host(void **state)
{
    (void)state;
    for (u64 rfbm = 0; rfbm < 8; rfbm++)
        for (u64 bv = 0; bv < 8; bv++) {
            const u64 standard[2] = { bv, 0 };
            const u64 compact[2] = { bv, 7 | BIT64(63) };

            restores_agree((const u8[]){ XRSTOR64 }, 4, rfbm, standard);
            if (native_has(FEAT_XSAVEC))
                restores_agree((const u8[]){ XRSTOR64 }, 4, rfbm, compact);
        }
}

static void request_is_cut_by_xcr0(void **state)
{
    static struct simd_case c;
    static struct native n;

    (void)state;
    random_image(&c);
    load_both(&c, &n, ~(u64)0);
    shared->cpu->xcr0 = 3;
    fill_area(0);
    assert_int_equal(SIMD_RUN(shared, XSAVE64), FX_NO_FAULT);
    assert_int_equal(fx_get(shared, AREA + 512, 8), 3);
    assert_int_equal(fx_get(shared, AREA + 576, 8), 0);
    assert_int_equal(SIMD_RUN(shared, XSAVEC64), FX_NO_FAULT);
    assert_int_equal(fx_get(shared, AREA + 520, 8), 3 | BIT64(63));
    shared->cpu->xcr0 = 7;
}

static void initial_components_are_left_out(void **state)
{
    struct cpu *cpu = shared->cpu;

    (void)state;
    fpu_reset(cpu);
    cpu->xsave.xmm[3][3] = 1;
    cpu->gpr[RBX] = AREA;
    cpu->gpr[RAX] = 7;
    cpu->gpr[RDX] = 0;
    fill_area(0xA5);
    fx_set(shared, AREA + 512, 8, 7);
    assert_int_equal(SIMD_RUN(shared, XSAVEOPT64), FX_NO_FAULT);
    assert_int_equal(fx_get(shared, AREA + 512, 8), XCR0_SSE);
    assert_int_equal(fx_get(shared, AREA, 2), 0xA5A5);
    assert_int_equal(fx_get(shared, AREA + 576, 8), 0xA5A5A5A5A5A5A5A5);
    assert_int_equal(fx_get(shared, AREA + 24, 4), MXCSR_DEFAULT);
    fpu_reset(cpu);
    fill_area(0xA5);
    assert_int_equal(SIMD_RUN(shared, XSAVEC64), FX_NO_FAULT);
    assert_int_equal(fx_get(shared, AREA + 512, 8), 0);
    assert_int_equal(fx_get(shared, AREA + 24, 4), 0xA5A5A5A5);
    cpu->xsave.mxcsr = 0x1FA0; /* keeps SSE from being initial in the compacted format */
    assert_int_equal(SIMD_RUN(shared, XSAVEC64), FX_NO_FAULT);
    assert_int_equal(fx_get(shared, AREA + 512, 8), XCR0_SSE);
    assert_int_equal(fx_get(shared, AREA + 24, 4), 0x1FA0);
    assert_int_equal(SIMD_RUN(shared, XSAVE64), FX_NO_FAULT);
}

static void only_eight_registers_outside_64_bit_mode(void **state)
{
    struct fx *fx = simd_fx_new(FX_32);
    struct cpu *cpu = fx->cpu;

    (void)state;
    cpu->gpr[RBX] = AREA;
    cpu->gpr[RAX] = 7;
    memset(cpu->xsave.xmm, 0x11, sizeof(cpu->xsave.xmm));
    memset(cpu->xsave.ymm_hi, 0x22, sizeof(cpu->xsave.ymm_hi));
    assert_int_equal(SIMD_RUN(fx, XSAVE), FX_NO_FAULT);
    assert_int_equal(fx_get(fx, AREA + 160 + 127, 1), 0x11);
    assert_int_equal(fx_get(fx, AREA + 160 + 128, 1), 0);
    assert_int_equal(fx_get(fx, AREA + 576 + 127, 1), 0x22);
    assert_int_equal(fx_get(fx, AREA + 576 + 128, 1), 0);
    fx_set(fx, AREA + 512, 8, 0);
    assert_int_equal(SIMD_RUN(fx, XRSTOR), FX_NO_FAULT);
    assert_int_equal(cpu->xsave.xmm[7][15], 0);
    assert_int_equal(cpu->xsave.xmm[8][0], 0x11);
    assert_int_equal(cpu->xsave.ymm_hi[8][0], 0x22);
    assert_int_equal(SIMD_RUN(fx, FXSAVE), FX_NO_FAULT);
    assert_int_equal(fx_get(fx, AREA + 160 + 128, 1), 0);
    assert_int_equal(SIMD_RUN(fx, FXRSTOR), FX_NO_FAULT);
    assert_int_equal(cpu->xsave.xmm[8][0], 0x11);
    simd_fx_free(fx);
}

/* --- Refusals --- */

static void misaligned_areas_are_gp(void **state)
{
    struct cpu *cpu = shared->cpu;

    (void)state;
    cpu->gpr[RBX] = AREA + 8;
    assert_int_equal(SIMD_RUN(shared, FXSAVE), VEC_GP);
    assert_int_equal(SIMD_RUN(shared, FXRSTOR), VEC_GP);
    cpu->gpr[RBX] = AREA + 32;
    assert_int_equal(SIMD_RUN(shared, FXSAVE), FX_NO_FAULT);
    assert_int_equal(SIMD_RUN(shared, XSAVE), VEC_GP);
    assert_int_equal(SIMD_RUN(shared, XRSTOR), VEC_GP);
    assert_int_equal(SIMD_RUN(shared, XSAVEC64), VEC_GP);
    assert_int_equal(SIMD_RUN(shared, XSAVEOPT64), VEC_GP);
}

struct header_case {
    u64 header[8];
    bool good;
};

static void bad_headers_are_gp(void **state)
{
    static const struct header_case cases[] = {
        { { 7 }, true },
        { { 8 }, false }, /* not in XCR0 */
        { { BIT64(63) }, false },
        { { 7, 1 }, false },                  /* XCOMP_BV without bit 63 */
        { { 7, 0, 1 }, false },               /* bytes 16-23 */
        { { 7, 0, 0, 1, 1, 1, 1, 1 }, true }, /* ignored in the standard format */
        { { 7, 7 | BIT64(63) }, true },
        { { 7, 3 | BIT64(63) }, false },  /* not in XCOMP_BV */
        { { 3, 15 | BIT64(63) }, false }, /* not in XCR0 */
        { { BIT64(63), 7 | BIT64(63) }, false },
        { { 7, 7 | BIT64(63), 1 }, false },
        { { 7, 7 | BIT64(63), 0, 0, 0, 0, 0, 1 }, false },
    };
    static struct simd_case c;
    static struct native n;

    (void)state;
    native_arm();
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct xsave_area before;

        random_image(&c);
        load_both(&c, &n, 7);
        memcpy(host_area, &c.xsave, sizeof(c.xsave));
        memcpy(host_area + 512, cases[i].header, 64);
        memcpy(shared->ram + 0x1000, host_area, sizeof(c.xsave));
        before = shared->cpu->xsave;
        if (native_has(FEAT_XSAVEC))
            assert_int_equal(native_run(&n, (const u8[]){ XRSTOR64 }, 4) == 0, cases[i].good);
        assert_int_equal(SIMD_RUN(shared, XRSTOR64), cases[i].good ? FX_NO_FAULT : VEC_GP);
        if (!cases[i].good)
            assert_memory_equal(&before, &shared->cpu->xsave, sizeof(before));
    }
}

static void reserved_mxcsr_bits_are_gp(void **state)
{
    struct cpu *cpu = shared->cpu;
    struct xsave_area before;

    (void)state;
    fpu_reset(cpu);
    cpu->gpr[RBX] = AREA;
    cpu->gpr[RAX] = 7;
    cpu->gpr[RDX] = 0;
    fill_area(0);
    assert_int_equal(SIMD_RUN(shared, XSAVE64), FX_NO_FAULT);
    fx_set(shared, AREA + 24, 4, 0x10000 | MXCSR_DEFAULT);
    before = cpu->xsave;
    assert_int_equal(SIMD_RUN(shared, XRSTOR64), VEC_GP);
    assert_int_equal(SIMD_RUN(shared, FXRSTOR64), VEC_GP);
    cpu->gpr[RAX] = 1; /* the x87 alone: MXCSR is not looked at */
    assert_int_equal(SIMD_RUN(shared, XRSTOR64), FX_NO_FAULT);
    cpu->gpr[RBX] = AREA + 24;
    assert_int_equal(SIMD_RUN(shared, LDMXCSR), VEC_GP);
    assert_memory_equal(&before, &cpu->xsave, sizeof(before));
    fx_set(shared, AREA + 24, 4, 0x9FC0);
    assert_int_equal(SIMD_RUN(shared, LDMXCSR), FX_NO_FAULT);
    assert_int_equal(cpu->xsave.mxcsr, 0x9FC0);
    cpu->gpr[RBX] = AREA;
    assert_int_equal(SIMD_RUN(shared, STMXCSR), FX_NO_FAULT);
    assert_int_equal(fx_get(shared, AREA, 4), 0x9FC0);
}

static void control_registers_are_checked(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);
    struct cpu *cpu = fx->cpu;

    (void)state;
    cpu->gpr[RBX] = AREA;
    cpu->cr0 |= CR0_TS;
    assert_int_equal(SIMD_RUN(fx, FXSAVE), VEC_NM);
    assert_int_equal(SIMD_RUN(fx, XSAVE), VEC_NM);
    assert_int_equal(SIMD_RUN(fx, XRSTOR), VEC_NM);
    assert_int_equal(SIMD_RUN(fx, LDMXCSR), VEC_NM);
    cpu->cr0 = (cpu->cr0 & ~CR0_TS) | CR0_EM;
    assert_int_equal(SIMD_RUN(fx, FXRSTOR), VEC_NM);
    assert_int_equal(SIMD_RUN(fx, STMXCSR), VEC_UD);
    assert_int_equal(SIMD_RUN(fx, XSAVE), FX_NO_FAULT);
    cpu->cr0 &= ~CR0_EM;
    cpu->cr4 &= ~CR4_OSXSAVE;
    assert_int_equal(SIMD_RUN(fx, XSAVE), VEC_UD);
    assert_int_equal(SIMD_RUN(fx, XRSTOR), VEC_UD);
    assert_int_equal(SIMD_RUN(fx, XSAVEC64), VEC_UD);
    assert_int_equal(SIMD_RUN(fx, 0xC5, 0xF8, 0xAE, 0x1B), VEC_UD); /* vstmxcsr */
    assert_int_equal(SIMD_RUN(fx, STMXCSR), FX_NO_FAULT);
    cpu->cr4 &= ~CR4_OSFXSR;
    assert_int_equal(SIMD_RUN(fx, STMXCSR), VEC_UD);
    simd_fx_free(fx);
}

static void a_fault_in_the_second_page_saves_nothing(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);
    struct cpu *cpu = fx->cpu;

    (void)state;
    cpu->gpr[RBX] = FX_BASE + 0x1000 - 256;
    cpu->gpr[RAX] = 7;
    cpu->xsave.ymm_hi[0][0] = 1;
    fx->writable[1] = false;
    fx_tlb_clear(fx);
    assert_int_equal(SIMD_RUN(fx, FXSAVE64), VEC_PF);
    assert_int_equal(SIMD_RUN(fx, XSAVE64), VEC_PF);
    assert_int_equal(SIMD_RUN(fx, XSAVEC64), VEC_PF);
    for (unsigned i = 0; i < 256; i += 8)
        assert_int_equal(fx_get(fx, FX_BASE + 0x1000 - 256 + i, 8), 0);
    simd_fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fxsave_agrees_with_the_host),
        cmocka_unit_test(xsave_agrees_with_the_host),
        cmocka_unit_test(thirty_two_bit_forms_cut_the_pointers),
        cmocka_unit_test(fxrstor_agrees_with_the_host),
        cmocka_unit_test(xrstor_agrees_with_the_host),
        cmocka_unit_test(request_is_cut_by_xcr0),
        cmocka_unit_test(initial_components_are_left_out),
        cmocka_unit_test(only_eight_registers_outside_64_bit_mode),
        cmocka_unit_test(misaligned_areas_are_gp),
        cmocka_unit_test(bad_headers_are_gp),
        cmocka_unit_test(reserved_mxcsr_bits_are_gp),
        cmocka_unit_test(control_registers_are_checked),
        cmocka_unit_test(a_fault_in_the_second_page_saves_nothing),
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
