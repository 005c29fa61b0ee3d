/* SPDX-License-Identifier: MIT */
/* Tests of masked moves and gathers: faults only where the mask says, progress kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "accel/soft/fault.h"
#include "accel/soft/fpu.h"
#include "simd_fixture.h"

#define PAGE_EDGE (FX_BASE + 0x2000u)

static int setup(void **state)
{
    struct fx *fx = simd_fx_new(FX_64);

    for (unsigned i = 0; i < FX_SIZE; i += 4)
        fx_set(fx, FX_BASE + i, 4, i);
    fx->readable[2] = fx->writable[2] = false; /* from PAGE_EDGE */
    fx_tlb_clear(fx);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    simd_fx_free(*state);
    return 0;
}

static u32 get32(const struct fx *fx, unsigned n, unsigned i)
{
    u32 value;

    memcpy(&value, i < 4 ? &fx->cpu->xsave.xmm[n][i * 4] : &fx->cpu->xsave.ymm_hi[n][i * 4 - 16],
           4);
    return value;
}

static void set32(struct fx *fx, unsigned n, unsigned i, u32 value)
{
    memcpy(i < 4 ? &fx->cpu->xsave.xmm[n][i * 4] : &fx->cpu->xsave.ymm_hi[n][i * 4 - 16], &value,
           4);
}

static void vmaskmov_load_reads_only_enabled_elements(void **state)
{
    struct fx *fx = *state;

    fx->cpu->gpr[RBX] = PAGE_EDGE - 8;
    set32(fx, 2, 1, 0x80000000);
    set32(fx, 1, 6, 77);
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x6D, 0x2C, 0x0B),
                     FX_NO_FAULT); /* vmaskmovps ymm1, ymm2, [rbx] */
    assert_int_equal(get32(fx, 1, 0), 0);
    assert_int_equal(get32(fx, 1, 1), 0x1FFC);
    assert_int_equal(get32(fx, 1, 6), 0);
    set32(fx, 2, 2, 0x80000000);
    set32(fx, 1, 1, 5);
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x6D, 0x2C, 0x0B), VEC_PF);
    assert_int_equal(fx->cr2, PAGE_EDGE);
    assert_int_equal(get32(fx, 1, 1), 5);
}

static void vmaskmov_store_writes_only_enabled_elements(void **state)
{
    struct fx *fx = *state;

    fx->cpu->gpr[RBX] = PAGE_EDGE - 16;
    for (unsigned i = 0; i < 8; i++)
        set32(fx, 1, i, 100 + i);
    set32(fx, 2, 1, 0xFFFFFFFF);
    set32(fx, 2, 3, 0xFFFFFFFF);
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x6D, 0x8E, 0x0B),
                     FX_NO_FAULT); /* vpmaskmovd [rbx], ymm2, ymm1 */
    assert_int_equal(fx_get(fx, PAGE_EDGE - 16, 4), 0x1FF0);
    assert_int_equal(fx_get(fx, PAGE_EDGE - 12, 4), 101);
    assert_int_equal(fx_get(fx, PAGE_EDGE - 4, 4), 103);
    set32(fx, 2, 4, 0xFFFFFFFF);
    set32(fx, 1, 1, 1);
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x6D, 0x8E, 0x0B), VEC_PF);
    assert_int_equal(fx_get(fx, PAGE_EDGE - 12, 4), 101);
}

static void vmaskmov_store_crosses_pages(void **state)
{
    struct fx *fx = *state;

    fx->readable[2] = fx->writable[2] = true;
    fx->cpu->gpr[RBX] = PAGE_EDGE - 16;
    for (unsigned i = 0; i < 8; i++)
        set32(fx, 1, i, 100 + i);
    set32(fx, 2, 3, 0x80000000);
    set32(fx, 2, 7, 0x80000000);
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x6D, 0x2E, 0x0B),
                     FX_NO_FAULT); /* vmaskmovps [rbx], ymm2, ymm1 */
    assert_int_equal(fx_get(fx, PAGE_EDGE - 8, 4), 0x1FF8);
    assert_int_equal(fx_get(fx, PAGE_EDGE - 4, 4), 103);
    assert_int_equal(fx_get(fx, PAGE_EDGE, 4), 0x2000);
    assert_int_equal(fx_get(fx, PAGE_EDGE + 12, 4), 107);
}

static void empty_masks_touch_nothing(void **state)
{
    struct fx *fx = *state;

    fx->cpu->gpr[RBX] = fx->cpu->gpr[RDI] = PAGE_EDGE;
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x69, 0x2C, 0x0B),
                     FX_NO_FAULT); /* vmaskmovps xmm1, xmm2, [rbx] */
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x69, 0x2E, 0x0B), FX_NO_FAULT);
    assert_int_equal(SIMD_RUN(fx, 0x66, 0x0F, 0xF7, 0xCA), FX_NO_FAULT); /* maskmovdqu xmm1, xmm2 */
    assert_int_equal(SIMD_RUN(fx, 0x0F, 0xF7, 0xCA), FX_NO_FAULT);       /* maskmovq mm1, mm2 */
}

static void maskmovdqu_stores_chosen_bytes(void **state)
{
    struct fx *fx = *state;

    fx->cpu->gpr[RDI] = PAGE_EDGE - 4;
    memset(fx->cpu->xsave.xmm[1], 0xAB, 16);
    fx->cpu->xsave.xmm[2][1] = 0x80;
    fx->cpu->xsave.xmm[2][3] = 0x80;
    assert_int_equal(SIMD_RUN(fx, 0x66, 0x0F, 0xF7, 0xCA), FX_NO_FAULT);
    assert_int_equal(fx_get(fx, PAGE_EDGE - 4, 4), 0xAB00ABFC);
    fx->cpu->xsave.xmm[2][5] = 0x80;
    memset(fx->cpu->xsave.xmm[1], 0xCD, 16);
    assert_int_equal(SIMD_RUN(fx, 0x66, 0x0F, 0xF7, 0xCA), VEC_PF);
    assert_int_equal(fx_get(fx, PAGE_EDGE - 4, 4), 0xAB00ABFC);
}

static void maskmov_uses_the_segment_and_the_address_size(void **state)
{
    struct fx *fx = *state;

    fx->cpu->seg[SEG_FS].base = FX_BASE;
    fx->cpu->gpr[RDI] = 0xFFFFFFFF00000010;
    memset(fx->cpu->xsave.xmm[1], 0xAB, 16);
    fx->cpu->xsave.xmm[2][2] = 0xFF;
    assert_int_equal(SIMD_RUN(fx, 0x64, 0x67, 0x66, 0x0F, 0xF7, 0xCA), FX_NO_FAULT);
    assert_int_equal(fx_get(fx, FX_BASE + 0x12, 1), 0xAB);
}

static void maskmovq_enters_mmx_state(void **state)
{
    struct fx *fx = *state;

    fx->cpu->gpr[RDI] = FX_BASE;
    fx->cpu->xsave.fsw = 3 << 11;
    memset(fx->cpu->xsave.st[(1 - 3) & 7], 0x77, 8); /* MM1 */
    memset(fx->cpu->xsave.st[(2 - 3) & 7], 0x80, 1); /* MM2 */
    assert_int_equal(SIMD_RUN(fx, 0x0F, 0xF7, 0xCA), FX_NO_FAULT);
    assert_int_equal(fx_get(fx, FX_BASE, 4), 0x77);
    assert_int_equal(fx->cpu->xsave.fsw & FSW_TOP, 0);
    assert_int_equal(fx->cpu->xsave.ftw, FTW_VALID);
    assert_int_equal(fx->cpu->xsave.st[1][0], 0x77);
}

/* Index register ymm3, mask ymm2, result ymm1: element 2 lies on the absent page. */
static void gather_setup(struct fx *fx)
{
    fx->cpu->gpr[RBX] = PAGE_EDGE - 64;
    for (unsigned i = 0; i < 8; i++) {
        set32(fx, 1, i, 0xEEEE);
        set32(fx, 2, i, 0x80000000);
        set32(fx, 3, i, i == 2 ? 16 : i);
    }
}

static void gather_keeps_its_progress_at_a_fault(void **state)
{
    struct fx *fx = *state;

    gather_setup(fx);
    /* vpgatherdd ymm1, [rbx + ymm3*4], ymm2 */
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x6D, 0x90, 0x0C, 0x9B), VEC_PF);
    assert_int_equal(fx->cr2, PAGE_EDGE);
    assert_int_equal(get32(fx, 1, 1), 0x1FC4);
    assert_int_equal(get32(fx, 1, 2), 0xEEEE);
    assert_int_equal(get32(fx, 2, 1), 0);
    assert_int_equal(get32(fx, 2, 2), 0xFFFFFFFF);
    fx->readable[2] = true;
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x6D, 0x90, 0x0C, 0x9B), FX_NO_FAULT);
    assert_int_equal(get32(fx, 1, 2), 0x2000);
    assert_int_equal(get32(fx, 1, 7), 0x1FC0 + 28);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get32(fx, 2, i), 0);
}

static void gather_leaves_masked_elements(void **state)
{
    struct fx *fx = *state;

    gather_setup(fx);
    set32(fx, 2, 2, 0x7FFFFFFF);
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x69, 0x90, 0x0C, 0x9B), FX_NO_FAULT); /* xmm */
    assert_int_equal(get32(fx, 1, 2), 0xEEEE);
    assert_int_equal(get32(fx, 1, 3), 0x1FC0 + 12);
    assert_int_equal(get32(fx, 1, 4), 0);
    assert_int_equal(get32(fx, 2, 2), 0);
    assert_int_equal(get32(fx, 2, 5), 0);
}

static void gather_wants_three_registers(void **state)
{
    struct fx *fx = *state;

    gather_setup(fx);
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x6D, 0x90, 0x14, 0x9B),
                     VEC_UD); /* result is the mask */
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x6D, 0x90, 0x1C, 0x9B),
                     VEC_UD); /* result is the index */
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x65, 0x90, 0x0C, 0x9B),
                     VEC_UD); /* mask is the index */
}

/* Index register 4 is a register like others here, and 32-bit addresses wrap. */
static void gather_index_is_signed_and_any_register(void **state)
{
    struct fx *fx = *state;

    gather_setup(fx);
    set32(fx, 4, 0, (u32)-1);
    set32(fx, 4, 1, 1);
    set32(fx, 2, 2, 0);
    set32(fx, 2, 3, 0);
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE2, 0x69, 0x90, 0x0C, 0xA3), FX_NO_FAULT);
    assert_int_equal(get32(fx, 1, 0), 0x1FBC);
    assert_int_equal(get32(fx, 1, 1), 0x1FC4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vmaskmov_load_reads_only_enabled_elements),
        TEST(vmaskmov_store_writes_only_enabled_elements),
        TEST(vmaskmov_store_crosses_pages),
        TEST(empty_masks_touch_nothing),
        TEST(maskmovdqu_stores_chosen_bytes),
        TEST(maskmov_uses_the_segment_and_the_address_size),
        TEST(maskmovq_enters_mmx_state),
        TEST(gather_keeps_its_progress_at_a_fault),
        TEST(gather_leaves_masked_elements),
        TEST(gather_wants_three_registers),
        TEST(gather_index_is_signed_and_any_register),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
