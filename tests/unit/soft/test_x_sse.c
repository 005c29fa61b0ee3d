/* SPDX-License-Identifier: MIT */
/*
 * Tests of what SIMD and x87 instructions check before they compute: control registers, alignment,
 * pages. Every row is driven; nothing may change when an instruction faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "accel/soft/fault.h"
#include "accel/soft/fpu.h"
#include "accel/soft/handlers.h"
#include "simd_cases.h"
#include "simd_fixture.h"
#include "simd_native.h"

#define PAGE_EDGE (FX_BASE + 0x2000u)

static struct fx *shared;

/* What a fault must leave as it was. */
struct snapshot {
    u64 gpr[16];
    u64 flags;
    struct xsave_area xsave;
    u8 ram[FX_SIZE];
};

static void snapshot_take(struct snapshot *s)
{
    memcpy(s->gpr, shared->cpu->gpr, sizeof(s->gpr));
    s->flags = fx_flags(shared);
    s->xsave = shared->cpu->xsave;
    memcpy(s->ram, shared->ram, sizeof(s->ram));
}

static bool snapshot_same(const struct snapshot *s)
{
    return memcmp(s->gpr, shared->cpu->gpr, sizeof(s->gpr)) == 0 && s->flags == fx_flags(shared) &&
           memcmp(&s->xsave, &shared->cpu->xsave, sizeof(s->xsave)) == 0 &&
           memcmp(s->ram, shared->ram, sizeof(s->ram)) == 0;
}

static bool row_vex(const struct insn_row *row)
{
    return row->map >= MAP_V0F;
}

/* Rows whose memory operand is one run of bytes, all of them accessed. */
static bool row_whole_operand(const struct insn_row *row)
{
    insn_fn *const *fn = row->fn;

    return case_row(row) && row->mod != MR && (row->attr & ATTR_MODRM) &&
           !(row->attr & ATTR_VSIB) && fn != x_vmaskmov32_V_M && fn != x_vmaskmov32_M_V &&
           fn != x_vmaskmov64_V_M && fn != x_vmaskmov64_M_V;
}

/* A case with a memory operand at `addr`; returns its size. */
static unsigned memory_case(struct simd_case *c, const struct insn_row *row, gva addr)
{
    struct cpu *cpu = shared->cpu;

    c->row = row;
    case_randomize(c);
    case_encode(c, true);
    case_load(shared, c);
    cpu->gpr[RBX] = addr;
    fx_decode(shared, c->bytes, c->size);
    for (unsigned i = 0; i < 4; i++)
        if (operand_kinds[row->op[i]].source == SRC_RM)
            return operand_bytes(shared->insns, row->op[i], cpu->mode);
    return 0;
}

static void pages_present(bool second)
{
    shared->readable[2] = shared->writable[2] = second;
    fx_tlb_clear(shared);
}

static void check(const struct simd_case *c, bool ok, const char *what, unsigned *failures)
{
    if (ok)
        return;
    case_print(c, what, (unsigned)shared->vector);
    (*failures)++;
}

static void an_absent_page_changes_nothing(void **state)
{
    static struct simd_case c;
    static struct snapshot before;
    unsigned failures = 0;

    (void)state;
    for (unsigned r = 0; r < insn_row_count; r++) {
        if (!row_whole_operand(&insn_rows[r]))
            continue;
        memory_case(&c, &insn_rows[r], PAGE_EDGE + 0x40);
        pages_present(false);
        snapshot_take(&before);
        simd_run(shared, c.bytes, c.size);
        check(&c, shared->vector == VEC_PF && snapshot_same(&before), "absent page", &failures);
        pages_present(true);
    }
    assert_int_equal(failures, 0);
}

/* The operand ends with its page, and the next one is absent: exactly its bytes are accessed. */
static void operands_have_their_architectural_size(void **state)
{
    static struct simd_case c;
    static struct snapshot before;
    unsigned failures = 0;

    (void)state;
    for (unsigned r = 0; r < insn_row_count; r++) {
        const struct insn_row *row = &insn_rows[r];
        unsigned size;

        if (!row_whole_operand(row) || row->fn == x_vldmxcsr_M)
            continue;
        size = memory_case(&c, row, PAGE_EDGE);
        assert_true(size >= 1 && size <= 32);
        shared->cpu->gpr[RBX] = PAGE_EDGE - size;
        pages_present(false);
        simd_run(shared, c.bytes, c.size);
        check(&c, shared->vector == FX_NO_FAULT, "fits the page", &failures);

        case_load(shared, &c);
        shared->cpu->gpr[RBX] = PAGE_EDGE - size + 1;
        snapshot_take(&before);
        simd_run(shared, c.bytes, c.size);
        check(&c,
              shared->vector == (row->attr & ATTR_ALIGN ? VEC_GP : VEC_PF) &&
                  snapshot_same(&before) && (shared->vector == VEC_GP || shared->cr2 == PAGE_EDGE),
              "crosses pages", &failures);
        pages_present(true);
    }
    assert_int_equal(failures, 0);
}

static void crossing_operands_work(void **state)
{
    static struct simd_case c;
    static struct snapshot there;
    unsigned failures = 0;

    (void)state;
    for (unsigned r = 0; r < insn_row_count; r++) {
        const struct insn_row *row = &insn_rows[r];
        unsigned size;

        if (!row_whole_operand(row) || row->attr & ATTR_ALIGN || row->fn == x_vldmxcsr_M)
            continue;
        size = memory_case(&c, row, OPERAND_GVA);
        if (size < 2)
            continue;
        simd_run(shared, c.bytes, c.size);
        snapshot_take(&there);

        case_load(shared, &c);
        shared->cpu->gpr[RBX] = PAGE_EDGE - size / 2;
        memcpy(shared->ram + 0x2000 - size / 2, c.data, size);
        fx_tlb_fill(shared);
        simd_run(shared, c.bytes, c.size);
        shared->cpu->gpr[RBX] = OPERAND_GVA;
        if (there.xsave.fdp == OPERAND_GVA)
            shared->cpu->xsave.fdp = OPERAND_GVA;
        check(&c,
              memcmp(&there.xsave, &shared->cpu->xsave, sizeof(there.xsave)) == 0 &&
                  memcmp(there.gpr, shared->cpu->gpr, sizeof(there.gpr)) == 0 &&
                  memcmp(there.ram + 0x1040, shared->ram + 0x2000 - size / 2, size) == 0,
              "crossing", &failures);
    }
    assert_int_equal(failures, 0);
}

static void stores_to_code_are_noticed(void **state)
{
    static struct simd_case c;
    unsigned failures = 0, stores = 0;

    (void)state;
    shared->code_pages[1] = 1;
    for (unsigned r = 0; r < insn_row_count; r++) {
        const struct insn_row *row = &insn_rows[r];

        if (!row_whole_operand(row) || operand_kinds[row->op[0]].source != SRC_RM ||
            row->attr & ATTR_X87)
            continue;
        memory_case(&c, row, OPERAND_GVA);
        simd_run(shared, c.bytes, c.size);
        stores++;
        if (row->fn != x_vldmxcsr_M)
            check(&c, shared->code_writes > 0, "code page", &failures);
    }
    shared->code_pages[1] = 0;
    assert_int_equal(failures, 0);
    assert_true(stores > 40);
}

/* --- Control registers --- */

struct control {
    u64 cr0, cr4, xcr0;
    int legacy, vex, mmx, x87; /* expected vectors */
};

static int control_expected(const struct control *k, const struct insn_row *row)
{
    if (row->fn == x_fwait)
        return FX_NO_FAULT;
    if (row_vex(row))
        return k->vex;
    if (row->attr & ATTR_X87)
        return k->x87;
    if (row->attr & ATTR_XMM)
        return k->legacy;
    return k->mmx;
}

static void control_check(const struct control *k)
{
    static struct simd_case c;
    static struct snapshot before;
    struct cpu *cpu = shared->cpu;
    unsigned failures = 0;

    for (unsigned r = 0; r < insn_row_count; r++) {
        const struct insn_row *row = &insn_rows[r];
        int expected;

        if (!case_row(row) || row->fn == x_vldmxcsr_M)
            continue;
        expected = control_expected(k, row);
        c.row = row;
        case_randomize(&c);
        case_encode(&c, true);
        case_load(shared, &c);
        cpu->cr0 = k->cr0;
        cpu->cr4 = k->cr4;
        cpu->xcr0 = k->xcr0;
        snapshot_take(&before);
        simd_run(shared, c.bytes, c.size);
        check(&c, shared->vector == expected && (expected == FX_NO_FAULT || snapshot_same(&before)),
              "control", &failures);
    }
    cpu->cr0 = CR0_PE | CR0_NE | CR0_MP;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    cpu->xcr0 = 7;
    assert_int_equal(failures, 0);
}

#define CR4_ALL (CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE)

static void task_switched_is_nm(void **state)
{
    (void)state;
    control_check(
        &(struct control){ CR0_PE | CR0_TS | CR0_NE, CR4_ALL, 7, VEC_NM, VEC_NM, VEC_NM, VEC_NM });
}

static void emulation_is_ud_but_nm_for_x87(void **state)
{
    (void)state;
    control_check(&(struct control){ CR0_PE | CR0_EM | CR0_NE, CR4_ALL, 7, VEC_UD, FX_NO_FAULT,
                                     VEC_UD, VEC_NM });
}

static void emulation_goes_before_task_switched(void **state)
{
    (void)state;
    control_check(&(struct control){ CR0_PE | CR0_EM | CR0_TS | CR0_NE, CR4_ALL, 7, VEC_UD, VEC_NM,
                                     VEC_UD, VEC_NM });
}

static void sse_needs_osfxsr(void **state)
{
    (void)state;
    control_check(&(struct control){ CR0_PE | CR0_NE, CR4_OSXSAVE, 7, VEC_UD, FX_NO_FAULT,
                                     FX_NO_FAULT, FX_NO_FAULT });
}

static void avx_needs_osxsave(void **state)
{
    (void)state;
    control_check(&(struct control){ CR0_PE | CR0_NE, CR4_OSFXSR, 7, FX_NO_FAULT, VEC_UD,
                                     FX_NO_FAULT, FX_NO_FAULT });
}

static void avx_needs_its_state_in_xcr0(void **state)
{
    (void)state;
    control_check(&(struct control){ CR0_PE | CR0_NE, CR4_ALL, 3, FX_NO_FAULT, VEC_UD, FX_NO_FAULT,
                                     FX_NO_FAULT });
}

static void unmasked_exception_without_osxmmexcpt_is_ud(void **state)
{
    struct cpu *cpu = shared->cpu;
    u32 one = 0x3F800000;

    (void)state;
    native_arm();
    fpu_reset(cpu);
    memcpy(cpu->xsave.xmm[1], &one, 4);
    cpu->xsave.mxcsr = MXCSR_DEFAULT & ~BIT(9);                         /* ZM */
    assert_int_equal(SIMD_RUN(shared, 0xF3, 0x0F, 0x5E, 0xCA), VEC_XM); /* divss xmm1, xmm2 */
    assert_int_equal(cpu->xsave.mxcsr, (MXCSR_DEFAULT & ~BIT(9)) | BIT(2));
    cpu->cr4 &= ~CR4_OSXMMEXCPT;
    assert_int_equal(SIMD_RUN(shared, 0xF3, 0x0F, 0x5E, 0xCA), VEC_UD);
    cpu->cr4 |= CR4_OSXMMEXCPT;
    cpu->xsave.mxcsr = MXCSR_DEFAULT;
    assert_int_equal(SIMD_RUN(shared, 0xF3, 0x0F, 0x5E, 0xCA), FX_NO_FAULT);
}

static u32 host_mxcsr(void)
{
    u32 value;

    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

static void host_keeps_its_rounding(void **state)
{
    struct cpu *cpu = shared->cpu;

    (void)state;
    fpu_reset(cpu);
    cpu->xsave.mxcsr = MXCSR_DEFAULT | MXCSR_RC | MXCSR_DAZ | MXCSR_FZ;
    SIMD_RUN(shared, 0x0F, 0x58, 0xCA); /* addps xmm1, xmm2 */
    assert_int_equal(host_mxcsr() & MXCSR_CONTROL, MXCSR_DEFAULT);
    SIMD_RUN(shared, 0xD9, 0xE8); /* fld1: FXRSTOR loads the guest's MXCSR as well */
    assert_int_equal(host_mxcsr() & MXCSR_CONTROL, MXCSR_DEFAULT);
    assert_int_equal(cpu->xsave.mxcsr, MXCSR_DEFAULT | MXCSR_RC | MXCSR_DAZ | MXCSR_FZ);
}

/* --- Upper halves --- */

static void legacy_sse_keeps_upper_halves_and_avx_clears_them(void **state)
{
    static const u8 zero[16];
    struct cpu *cpu = shared->cpu;
    u8 high[16];

    (void)state;
    memset(high, 0x5A, sizeof(high));
    memcpy(cpu->xsave.ymm_hi[1], high, 16);
    assert_int_equal(SIMD_RUN(shared, 0x66, 0x0F, 0xFE, 0xCA), FX_NO_FAULT); /* paddd xmm1, xmm2 */
    assert_memory_equal(cpu->xsave.ymm_hi[1], high, 16);
    assert_int_equal(SIMD_RUN(shared, 0xC5, 0xF1, 0xFE, 0xCA),
                     FX_NO_FAULT); /* vpaddd xmm1, xmm1, xmm2 */
    assert_memory_equal(cpu->xsave.ymm_hi[1], zero, 16);
}

static void vzeroupper_outside_64_bit_mode_clears_eight(void **state)
{
    struct fx *fx = simd_fx_new(FX_32);

    (void)state;
    memset(fx->cpu->xsave.ymm_hi, 0x11, sizeof(fx->cpu->xsave.ymm_hi));
    memset(fx->cpu->xsave.xmm, 0x22, sizeof(fx->cpu->xsave.xmm));
    assert_int_equal(SIMD_RUN(fx, 0xC5, 0xF8, 0x77), FX_NO_FAULT);
    assert_int_equal(fx->cpu->xsave.ymm_hi[7][15], 0);
    assert_int_equal(fx->cpu->xsave.ymm_hi[8][0], 0x11);
    assert_int_equal(SIMD_RUN(fx, 0xC5, 0xFC, 0x77), FX_NO_FAULT);
    assert_int_equal(fx->cpu->xsave.xmm[7][15], 0);
    assert_int_equal(fx->cpu->xsave.xmm[8][0], 0x22);
    simd_fx_free(fx);
}

/* In 32-bit code bit 7 of the register immediate is ignored, and so is VEX.W of a move. */
static void thirty_two_bit_code_ignores_extra_bits(void **state)
{
    struct fx *fx = simd_fx_new(FX_32);

    (void)state;
    memset(fx->cpu->xsave.xmm[5], 0xFF, 16);
    memset(fx->cpu->xsave.xmm[2], 0x22, 16);
    /* vblendvps xmm0, xmm1, xmm2, xmm5 (D0: 13 in 64-bit mode) */
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE3, 0x71, 0x4A, 0xC2, 0xD0), FX_NO_FAULT);
    assert_int_equal(fx->cpu->xsave.xmm[0][0], 0x22);
    fx->cpu->gpr[RAX] = 0x1122334455667788;
    assert_int_equal(SIMD_RUN(fx, 0xC4, 0xE1, 0xF9, 0x6E, 0xC0),
                     FX_NO_FAULT); /* vmovd xmm0, eax with W */
    assert_int_equal(fx->cpu->xsave.xmm[0][4], 0);
    simd_fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_absent_page_changes_nothing),
        cmocka_unit_test(operands_have_their_architectural_size),
        cmocka_unit_test(crossing_operands_work),
        cmocka_unit_test(stores_to_code_are_noticed),
        cmocka_unit_test(task_switched_is_nm),
        cmocka_unit_test(emulation_is_ud_but_nm_for_x87),
        cmocka_unit_test(emulation_goes_before_task_switched),
        cmocka_unit_test(sse_needs_osfxsr),
        cmocka_unit_test(avx_needs_osxsave),
        cmocka_unit_test(avx_needs_its_state_in_xcr0),
        cmocka_unit_test(unmasked_exception_without_osxmmexcpt_is_ud),
        cmocka_unit_test(host_keeps_its_rounding),
        cmocka_unit_test(legacy_sse_keeps_upper_halves_and_avx_clears_them),
        cmocka_unit_test(vzeroupper_outside_64_bit_mode_clears_eight),
        cmocka_unit_test(thirty_two_bit_code_ignores_extra_bits),
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
