/* SPDX-License-Identifier: MIT */
/*
 * Tests of the SIMD and x87 rows and of their host operations: every row, with random registers,
 * against the host executing the same bytes.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "accel/soft/block.h"
#include "accel/soft/cpuid.h"
#include "accel/soft/fault.h"
#include "accel/soft/fpu.h"
#include "accel/soft/hostop.h"
#include "accel/soft/hostop_stub.h"
#include "simd_cases.h"
#include "simd_fixture.h"
#include "simd_native.h"

#define ROUNDS 24

static struct fx *shared;

/* --- Both sides --- */

static int native_case(struct native *n, const struct simd_case *t, u8 *data)
{
    memcpy(data, t->data, sizeof(t->data));
    memcpy(n->gpr, t->gpr, sizeof(t->gpr));
    n->gpr[RBX] = (u64)(uintptr_t)data;
    n->gpr[RDI] = (u64)(uintptr_t)data;
    n->flags = t->flags;
    n->xsave = t->xsave;
    return native_run(n, t->bytes, t->size);
}

/* Did the two agree? Says where not. */
static bool same_bytes(const struct simd_case *t, const char *what, const void *a, const void *b,
                       unsigned size, unsigned step)
{
    for (unsigned i = 0; i < size; i += step)
        if (memcmp((const u8 *)a + i, (const u8 *)b + i, step) != 0) {
            case_print(t, what, i / step);
            return false;
        }
    return true;
}

static bool same_x87(const struct simd_case *t, const struct xsave_area *a,
                     const struct xsave_area *b)
{
    bool host_fip = b->fip == native_code_address();

    if (a->fcw != b->fcw || a->fsw != b->fsw || a->ftw != b->ftw) {
        case_print(t, "x87 words", a->fsw);
        print_error("  fcw %x %x fsw %x %x ftw %x %x\n", a->fcw, b->fcw, a->fsw, b->fsw, a->ftw,
                    b->ftw);
        return false;
    }
    if (host_fip != (a->fip == GUEST_RIP) || (b->fdp != 0) != (a->fdp == OPERAND_GVA) ||
        a->fop != b->fop) {
        case_print(t, "x87 pointers", 0);
        print_error("  fip %llx %llx fdp %llx %llx fop %x %x\n", (unsigned long long)a->fip,
                    (unsigned long long)b->fip, (unsigned long long)a->fdp,
                    (unsigned long long)b->fdp, a->fop, b->fop);
        return false;
    }
    for (unsigned i = 0; i < 8; i++)
        if (!same_bytes(t, "st", a->st[i], b->st[i], 10, 10))
            return false;
    return true;
}

static bool same_state(const struct simd_case *t, const struct fx *fx, const struct native *n,
                       const u8 *data)
{
    const struct cpu *cpu = fx->cpu;
    u64 flags = (cpu->aflags ^ n->flags) & FLAGS_ARITH;

    if (!same_bytes(t, "xmm", cpu->xsave.xmm, n->xsave.xmm, 256, 16) ||
        !same_bytes(t, "ymm", cpu->xsave.ymm_hi, n->xsave.ymm_hi, 256, 16) ||
        !same_bytes(t, "memory", fx->ram + OPERAND_GVA - FX_BASE, data, sizeof(t->data), 1))
        return false;
    for (unsigned i = 0; i < 16; i++)
        if (i != RBX && i != RSP && i != RDI && cpu->gpr[i] != n->gpr[i]) {
            case_print(t, "gpr", i);
            return false;
        }
    if (cpu->xsave.mxcsr != n->xsave.mxcsr || flags) {
        case_print(t, "mxcsr or flags", cpu->xsave.mxcsr);
        print_error("  mxcsr %x %x flags differ %llx\n", cpu->xsave.mxcsr, n->xsave.mxcsr,
                    (unsigned long long)flags);
        return false;
    }
    return same_x87(t, &cpu->xsave, &n->xsave);
}

/* --- Tests --- */

static bool case_agrees(struct fx *fx, const struct simd_case *t, unsigned r, unsigned round)
{
    static struct native n;
    static u8 data[128] __attribute__((aligned(64)));
    int sig = native_case(&n, t, data);
    int vector;

    case_load(fx, t);
    vector = simd_run(fx, t->bytes, t->size);
    if (fx->insns[0].row != r && strcmp(insn_rows[fx->insns[0].row].name, t->row->name) != 0) {
        case_print(t, insn_rows[fx->insns[0].row].name, round);
        return false;
    }
    if (sig == SIGSEGV && vector == VEC_GP) /* VLDMXCSR of bits that there are not */
        return true;
    if (sig || vector != FX_NO_FAULT) {
        case_print(t, "signal or fault", (unsigned)sig);
        return false;
    }
    return same_state(t, fx, &n, data);
}

static void every_row_agrees_with_the_host(void **state)
{
    static struct simd_case t;
    struct fx *fx = shared;
    unsigned failures = 0, rows = 0;

    (void)state;
    native_arm();
    for (unsigned r = 0; r < insn_row_count; r++) {
        t.row = &insn_rows[r];
        if (!case_row(t.row))
            continue;
        rows++;
        for (unsigned i = 0; i < ROUNDS; i++) {
            case_randomize(&t);
            case_encode(&t, case_random_below(2));
            if (!case_agrees(fx, &t, r, i)) {
                failures++;
                break;
            }
        }
    }
    print_message("%u rows\n", rows);
    assert_int_equal(failures, 0);
}

/* Guest MXCSR with some exceptions unmasked: the same fault or the same result, the same flags. */
static void unmasked_exceptions_agree_with_the_host(void **state)
{
    static struct simd_case t;
    static struct native n;
    static u8 data[128] __attribute__((aligned(64)));
    struct fx *fx = shared;
    unsigned failures = 0, faults = 0;

    (void)state;
    native_arm();
    for (unsigned r = 0; r < insn_row_count; r++) {
        t.row = &insn_rows[r];
        if (!case_row(t.row) || !(t.row->attr & ATTR_FP) || t.row->attr & ATTR_X87)
            continue;
        for (unsigned i = 0; i < ROUNDS; i++) {
            int sig, vector;

            case_randomize(&t);
            case_encode(&t, case_random_below(2));
            t.xsave.mxcsr = (u32)case_random() & 0xFFC0;
            case_load(fx, &t);
            sig = native_case(&n, &t, data);
            vector = simd_run(fx, t.bytes, t.size);
            if (sig == SIGFPE) {
                faults++;
                if (vector != VEC_XM || fx->cpu->xsave.mxcsr != n.xsave.mxcsr) {
                    case_print(&t, "fault", (unsigned)vector);
                    print_error(" mxcsr %x %x\n", fx->cpu->xsave.mxcsr, n.xsave.mxcsr);
                    failures++;
                    break;
                }
                n.xsave = t.xsave;
                n.xsave.mxcsr = fx->cpu->xsave.mxcsr;
                memcpy(n.gpr, t.gpr, sizeof(n.gpr));
                n.flags = t.flags;
                memcpy(data, t.data, sizeof(data));
            }
            if ((sig == 0) != (vector == FX_NO_FAULT) || !same_state(&t, fx, &n, data)) {
                case_print(&t, "unmasked", (unsigned)sig);
                failures++;
                break;
            }
        }
    }
    print_message("%u faults\n", faults);
    assert_int_equal(failures, 0);
    assert_true(faults > 1000);
}

static void x87_unmasked_exceptions_wait_for_the_next_instruction(void **state)
{
    static struct simd_case t;
    static struct native n;
    static u8 data[128] __attribute__((aligned(64)));
    struct fx *fx = shared;
    unsigned failures = 0, pending = 0;

    (void)state;
    native_arm();
    for (unsigned r = 0; r < insn_row_count; r++) {
        t.row = &insn_rows[r];
        if (!case_row(t.row) || !(t.row->attr & ATTR_X87))
            continue;
        for (unsigned i = 0; i < 4 * ROUNDS; i++) {
            case_randomize(&t);
            case_encode(&t, case_random_below(2));
            t.xsave.fcw = (u16)(0x40 | (case_random() & 0xF3F));
            t.xsave.fsw &= (u16)(0x7F00 | (t.xsave.fcw & 0x3F));
            case_load(fx, &t);
            if (native_case(&n, &t, data) || simd_run(fx, t.bytes, t.size) != FX_NO_FAULT ||
                !same_state(&t, fx, &n, data)) {
                case_print(&t, "unmasked x87", i);
                failures++;
                break;
            }
            if (!(fx->cpu->xsave.fsw & FSW_ES))
                continue;
            pending++;
            assert_int_equal(simd_run(fx, (const u8[]){ 0xD9, 0xE8 }, 2), VEC_MF);
            assert_int_equal(simd_run(fx, (const u8[]){ 0x9B }, 1), VEC_MF);
            assert_int_equal(simd_run(fx, (const u8[]){ 0x0F, 0x77 }, 2), VEC_MF);
            assert_int_equal(simd_run(fx, (const u8[]){ 0xDF, 0xE0 }, 2), FX_NO_FAULT);
        }
    }
    print_message("%u pending\n", pending);
    assert_int_equal(failures, 0);
    assert_true(pending > 200);
}

/* Forms that hostop_get can tell apart; the cache's size is a promise about their sum. */
static unsigned row_forms(const struct insn_row *row)
{
    unsigned forms = row->mod == MA ? 2 : 1;

    if (row->class != CLASS_HOST)
        return 0;
    if (row->attr & ATTR_X87)
        return row->mod == MM ? 192 : 64;
    if (row->w == WA && (row->attr & ATTR_Y || row->flags_w))
        forms *= 2;
    if (row->l == LA &&
        (operand_kinds[row->op[0]].size == SZ_X || operand_kinds[row->op[1]].size == SZ_X))
        forms *= 2;
    if (row_operand(row, SRC_IMM) || row_operand(row, SRC_IS4))
        forms *= 256;
    return forms;
}

static void all_forms_fit_the_cache(void **state)
{
    unsigned forms = 0;

    (void)state;
    for (unsigned r = 0; r < insn_row_count; r++)
        forms += row_forms(&insn_rows[r]);
    print_message("%u forms\n", forms);
    assert_true(forms < 1u << 17);
}

static void the_same_form_has_one_operation(void **state)
{
    static const u8 a[] = { 0x66, 0x0F, 0xFE, 0xC1 };             /* paddd xmm0, xmm1 */
    static const u8 b[] = { 0x66, 0x45, 0x0F, 0xFE, 0xF8 };       /* paddd xmm15, xmm8 */
    static const u8 c[] = { 0x66, 0x0F, 0xFE, 0x03 };             /* paddd xmm0, [rbx] */
    static const u8 d[] = { 0x66, 0x0F, 0xFE, 0x44, 0x24, 0x10 }; /* paddd xmm0, [rsp+16] */
    const struct hostop *op[4];
    struct fx *fx = shared;

    (void)state;
    native_arm();
    fx_decode(fx, a, sizeof(a));
    op[0] = hostop_get(fx->soft.hostops, a, fx->insns, FX_64);
    fx_decode(fx, b, sizeof(b));
    op[1] = hostop_get(fx->soft.hostops, b, fx->insns, FX_64);
    fx_decode(fx, c, sizeof(c));
    op[2] = hostop_get(fx->soft.hostops, c, fx->insns, FX_64);
    fx_decode(fx, d, sizeof(d));
    op[3] = hostop_get(fx->soft.hostops, d, fx->insns, FX_64);
    assert_ptr_equal(op[0], op[1]);
    assert_ptr_equal(op[2], op[3]);
    assert_ptr_not_equal(op[0], op[2]);
}

/* Two CPUs on two threads with one cache; returns how often #XM came with the right flags. */
static void *divide_by_zero(void *arg)
{
    struct fx *fx = arg;
    u32 one = 0x3F800000;
    uintptr_t good = 0;

    for (unsigned i = 0; i < 500; i++) {
        fpu_reset(fx->cpu);
        memcpy(fx->cpu->xsave.xmm[1], &one, 4);
        fx->cpu->xsave.mxcsr = 0;
        if (simd_run(fx, (const u8[]){ 0xF3, 0x0F, 0x5E, 0xCA }, 4) == VEC_XM &&
            fx->cpu->xsave.mxcsr == 4)
            good++;
        /* A form of its own each time: shufps xmm1, xmm2, imm8 */
        simd_run(fx, (const u8[]){ 0x0F, 0xC6, 0xCA, (u8)i }, 4);
        if (fx->cpu->xsave.xmm[1][(i & 3) == 0 ? 3 : 15] == ((i & 3) == 0 ? 0x3F : 0))
            good++;
    }
    return (void *)good;
}

static void threads_share_the_cache(void **state)
{
    struct fx *other = fx_new(FX_64);
    struct cpu *cpu = other->cpu;
    pthread_t thread;
    void *good;

    (void)state;
    native_arm();
    other->soft.hostops = shared->soft.hostops;
    cpu->cr0 = shared->cpu->cr0;
    cpu->cr4 = shared->cpu->cr4;
    assert_int_equal(pthread_create(&thread, NULL, divide_by_zero, other), 0);
    assert_int_equal((uintptr_t)divide_by_zero(shared), 1000);
    pthread_join(thread, &good);
    assert_int_equal((uintptr_t)good, 1000);
    fx_free(other);
}

/* A SIGFPE that no stub caused goes where it went before. */
static void other_signals_are_passed_on(void **state)
{
    static struct native n;

    (void)state;
    native_arm();
    memset(&n, 0, sizeof(n));
    n.xsave.mxcsr = MXCSR_DEFAULT;
    n.xsave.fcw = FCW_INIT;
    assert_int_equal(native_run(&n, (const u8[]){ 0x48, 0xF7, 0xF1 }, 3), SIGFPE); /* div rcx */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_agrees_with_the_host),
        cmocka_unit_test(unmasked_exceptions_agree_with_the_host),
        cmocka_unit_test(x87_unmasked_exceptions_wait_for_the_next_instruction),
        cmocka_unit_test(all_forms_fit_the_cache),
        cmocka_unit_test(the_same_form_has_one_operation),
        cmocka_unit_test(threads_share_the_cache),
        cmocka_unit_test(other_signals_are_passed_on),
    };

    int result;

    /* First: the handler that comes with the operations passes on to this one. */
    if (!native_setup())
        return 77; /* meson: skipped */
    shared = simd_fx_new(FX_64);
    native_keep_handlers();
    result = cmocka_run_group_tests(tests, NULL, NULL);
    simd_fx_free(shared);
    return result;
}
