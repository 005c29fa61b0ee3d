/* SPDX-License-Identifier: MIT */
/*
 * Tests of the SIMD and x87 rows and of their host operations: every row, with random registers, against the
 * host executing the same bytes.
 */
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
#include "simd_fixture.h"
#include "simd_native.h"

#define ROUNDS 24

/* The memory operand: guest address, and its 64 bytes. Aligned for everything. */
#define OPERAND_GVA (FX_BASE + 0x1040)
#define GUEST_RIP   0x1000u

static u64 seed = 1;
static struct fx *shared;

static u64 random64(void)
{
    u64 z = (seed += 0x9E3779B97F4A7C15u);

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static u64 random_below(u64 n)
{
    return random64() % n;
}

/* Bits that floating point finds interesting, or any. */
static u32 random_f32(void)
{
    static const u32 special[] = { 0, 0x80000000, 0x3F800000, 0xBF800000, 1, 0x807FFFFF, 0x00800000, 0x7F7FFFFF,
                                   0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0x4F000000, 0xCF000000 };

    return random_below(3) ? special[random_below(ARRAY_SIZE(special))] : (u32)random64();
}

static u64 random_f64(void)
{
    static const u64 special[] = { 0, 1, 0x8000000000000000, 0x3FF0000000000000, 0xBFF8000000000000,
                                   0x000FFFFFFFFFFFFF, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000,
                                   0xFFF0000000000000, 0x7FF8000000000000, 0x7FF0000000000001,
                                   0x43E0000000000000, 0xC1E0000000000000, 0x36A0000000000000 };

    return random_below(3) ? special[random_below(ARRAY_SIZE(special))] : random64();
}

static void random_bytes(void *data, unsigned size, unsigned kind)
{
    u8 *p = data;

    for (unsigned i = 0; i < size; i += 8) {
        u64 value = random64();

        if (kind == 1)
            value = random_f32() | (u64)random_f32() << 32;
        else if (kind == 2)
            value = random_f64();
        memcpy(p + i, &value, MIN(8, size - i));
    }
}

static void random_st(u8 *st)
{
    static const u16 exponents[] = { 0, 1, 0x3FFF, 0xBFFE, 0x4000, 0x403E, 0x7FFE, 0x7FFF, 0xFFFF, 0x8000, 0x3C00 };
    static const u64 significands[] = { 0, 1, 0x8000000000000000, 0xC000000000000000, 0xFFFFFFFFFFFFFFFF,
                                        0x8000000000000001, 0x4000000000000000 };
    u64 significand = random_below(2) ? significands[random_below(ARRAY_SIZE(significands))] : random64();
    u16 exponent = random_below(4) ? exponents[random_below(ARRAY_SIZE(exponents))] : (u16)random64();

    if (random_below(2)) {
        significand |= BIT64(63);
        exponent = (u16)(0x3FF0 + random_below(0x50));
    }
    memcpy(st, &significand, 8);
    memcpy(st + 8, &exponent, 2);
}

/* --- A case --- */

struct test_case {
    const struct insn_row *row;
    u8 bytes[16];
    unsigned size;
    bool memory;
    struct xsave_area xsave;
    u64 gpr[16];
    u64 flags;
    u8 data[128] __attribute__((aligned(64)));
};

static bool row_vex(const struct insn_row *row)
{
    return row->map >= MAP_V0F;
}

/* A register number for an operand; general ones stay clear of RBX (the address), RSP, and RDI. */
static unsigned pick_register(const struct operand_kind *kind)
{
    static const u8 free_gprs[] = { RAX, RCX, RDX, RBP, RSI, R8, R9, R10, R11, R12, R13, R14, R15 };

    if (!kind)
        return 0;
    if (kind->file == FILE_GPR)
        return free_gprs[random_below(ARRAY_SIZE(free_gprs))];
    if (kind->file == FILE_MMX || kind->file == FILE_ST)
        return (unsigned)random_below(8);
    return (unsigned)random_below(16);
}

static void put(struct test_case *t, unsigned byte)
{
    t->bytes[t->size++] = (u8)byte;
}

static void encode_vex(struct test_case *t, unsigned reg, unsigned vvvv, unsigned rm, unsigned index, bool w)
{
    const struct insn_row *row = t->row;
    bool l = row->l == LA ? random_below(2) : row->l == L1;

    put(t, 0xC4);
    put(t, (reg < 8) << 7 | (index < 8) << 6 | (rm < 8) << 5 | (unsigned)(row->map - MAP_V0F + 1));
    put(t, w << 7 | (~vvvv & 15) << 3 | l << 2 | (unsigned)(row->prefix - PN));
    put(t, row->opcode);
}

static void encode_legacy(struct test_case *t, unsigned reg, unsigned rm, bool w)
{
    static const u8 mandatory[] = { 0, 0, 0x66, 0xF3, 0xF2 };
    const struct insn_row *row = t->row;
    unsigned rex = w << 3 | (reg >= 8) << 2 | (rm >= 8);

    if (row->prefix != PA && mandatory[row->prefix])
        put(t, mandatory[row->prefix]);
    if (rex)
        put(t, 0x40 | rex);
    if (row->map != MAP_1)
        put(t, 0x0F);
    if (row->map == MAP_0F38)
        put(t, 0x38);
    if (row->map == MAP_0F3A)
        put(t, 0x3A);
    put(t, row->opcode);
}

static bool random_w(const struct insn_row *row)
{
    if (row->w != WA)
        return row->w == W1;
    return row->map != MAP_1 && !(row->attr & ATTR_MMX && !(row->attr & ATTR_Y)) && random_below(2);
}

static void encode(struct test_case *t)
{
    const struct insn_row *row = t->row;
    const struct operand_kind *rm_kind = row_operand(row, SRC_RM);
    const struct operand_kind *vsib = row_operand(row, SRC_VSIB);
    const struct operand_kind *reg_kind = row_operand(row, SRC_REG);
    const struct operand_kind *vreg_kind = row_operand(row, SRC_VVVV);
    unsigned reg = reg_kind ? pick_register(reg_kind) : row->digit == ANY ? 0 : row->digit;
    unsigned vvvv = pick_register(vreg_kind);
    unsigned rm = row->rm != ANY ? row->rm : pick_register(rm_kind);
    unsigned index = (unsigned)random_below(16);
    bool w = random_w(row);

    t->size = 0;
    t->memory = (rm_kind || vsib) && (row->mod == MM || (row->mod == MA && random_below(2)));
    while (vsib && (index == reg || index == vvvv || reg == vvvv)) {
        index = (unsigned)random_below(16);
        reg = (unsigned)random_below(16);
    }
    if (t->memory)
        rm = RBX;
    if (row_vex(row))
        encode_vex(t, reg, vvvv, rm, vsib ? index : 0, w);
    else
        encode_legacy(t, reg, rm, w);
    if (!(row->attr & ATTR_MODRM))
        return;
    put(t, (t->memory ? 0 : 0xC0) | (reg & 7) << 3 | (vsib ? 4 : rm & 7));
    if (vsib)
        put(t, (index & 7) << 3 | RBX);
    if (row_operand(row, SRC_IMM) || row_operand(row, SRC_IS4))
        put(t, (unsigned)random64());
    if (vsib) {
        /* Small indexes of either size: every second dword is zero. */
        for (unsigned i = 0; i < 4; i++) {
            ((u32 *)(void *)t->xsave.xmm[index])[i] = i % 2 ? 0 : (u32)random_below(90);
            ((u32 *)(void *)t->xsave.ymm_hi[index])[i] = i % 2 ? 0 : (u32)random_below(90);
        }
    }
}

static void random_state(struct test_case *t)
{
    struct xsave_area *x = &t->xsave;
    unsigned kind = (unsigned)random_below(3);

    memset(x, 0, sizeof(*x));
    random_bytes(x->xmm, sizeof(x->xmm), kind);
    random_bytes(x->ymm_hi, sizeof(x->ymm_hi), kind);
    random_bytes(t->data, sizeof(t->data), kind);
    random_bytes(t->gpr, sizeof(t->gpr), 0);
    for (unsigned i = 0; i < 8; i++)
        random_st(x->st[i]);
    x->fcw = (u16)(0x7F | (random64() & 0xF00));
    x->fsw = (u16)(random64() & 0x7F3F);
    x->ftw = random_below(2) ? 0xFF : (u8)random64();
    x->mxcsr = MXCSR_DEFAULT;
    if (random_below(2))
        x->mxcsr = (u32)(random64() & 0xE07F) | MXCSR_MASKS;
    x->mxcsr_mask = 0xFFFF;
    t->flags = random64() & FLAGS_ARITH;
    t->gpr[RAX] %= 40;
    t->gpr[RDX] %= 40;
}

/* --- Both sides --- */

static void guest_load(struct fx *fx, const struct test_case *t)
{
    struct cpu *cpu = fx->cpu;

    memcpy(cpu->gpr, t->gpr, sizeof(t->gpr));
    cpu->gpr[RBX] = OPERAND_GVA;
    cpu->gpr[RDI] = OPERAND_GVA;
    cpu->aflags = t->flags;
    cpu->xsave = t->xsave;
    memcpy(fx->ram + OPERAND_GVA - FX_BASE, t->data, sizeof(t->data));
}

static int native_case(struct native *n, const struct test_case *t, u8 *data)
{
    memcpy(data, t->data, sizeof(t->data));
    memcpy(n->gpr, t->gpr, sizeof(t->gpr));
    n->gpr[RBX] = (u64)(uintptr_t)data;
    n->gpr[RDI] = (u64)(uintptr_t)data;
    n->flags = t->flags;
    n->xsave = t->xsave;
    return native_run(n, t->bytes, t->size);
}

static void describe(const struct test_case *t, const char *what, unsigned n)
{
    print_error("%s (%s %u), mxcsr %x, bytes", t->row->name, what, n, t->xsave.mxcsr);
    for (unsigned i = 0; i < t->size; i++)
        print_error(" %02x", t->bytes[i]);
    print_error("\n");
}

/* Did the two agree? Says where not. */
static bool same_bytes(const struct test_case *t, const char *what, const void *a, const void *b, unsigned size,
                       unsigned step)
{
    for (unsigned i = 0; i < size; i += step)
        if (memcmp((const u8 *)a + i, (const u8 *)b + i, step) != 0) {
            describe(t, what, i / step);
            return false;
        }
    return true;
}

static bool same_x87(const struct test_case *t, const struct xsave_area *a, const struct xsave_area *b)
{
    bool host_fip = b->fip == native_code_address();

    if (a->fcw != b->fcw || a->fsw != b->fsw || a->ftw != b->ftw) {
        describe(t, "x87 words", a->fsw);
        print_error("  fcw %x %x fsw %x %x ftw %x %x\n", a->fcw, b->fcw, a->fsw, b->fsw, a->ftw, b->ftw);
        return false;
    }
    if (host_fip != (a->fip == GUEST_RIP) || (b->fdp != 0) != (a->fdp == OPERAND_GVA) || a->fop != b->fop) {
        describe(t, "x87 pointers", 0);
        print_error("  fip %llx %llx fdp %llx %llx fop %x %x\n", (unsigned long long)a->fip,
                    (unsigned long long)b->fip, (unsigned long long)a->fdp, (unsigned long long)b->fdp, a->fop, b->fop);
        return false;
    }
    for (unsigned i = 0; i < 8; i++)
        if (!same_bytes(t, "st", a->st[i], b->st[i], 10, 10))
            return false;
    return true;
}

static bool same_state(const struct test_case *t, const struct fx *fx, const struct native *n, const u8 *data)
{
    const struct cpu *cpu = fx->cpu;
    u64 flags = (cpu->aflags ^ n->flags) & FLAGS_ARITH;

    if (!same_bytes(t, "xmm", cpu->xsave.xmm, n->xsave.xmm, 256, 16) ||
        !same_bytes(t, "ymm", cpu->xsave.ymm_hi, n->xsave.ymm_hi, 256, 16) ||
        !same_bytes(t, "memory", fx->ram + OPERAND_GVA - FX_BASE, data, sizeof(t->data), 1))
        return false;
    for (unsigned i = 0; i < 16; i++)
        if (i != RBX && i != RSP && i != RDI && cpu->gpr[i] != n->gpr[i]) {
            describe(t, "gpr", i);
            return false;
        }
    if (cpu->xsave.mxcsr != n->xsave.mxcsr || flags) {
        describe(t, "mxcsr or flags", cpu->xsave.mxcsr);
        print_error("  mxcsr %x %x flags differ %llx\n", cpu->xsave.mxcsr, n->xsave.mxcsr, (unsigned long long)flags);
        return false;
    }
    return same_x87(t, &cpu->xsave, &n->xsave);
}

/* Rows that this file drives: not those that move the environment, whose memory holds addresses. */
static bool row_is_simd(const struct insn_row *row)
{
    if (!(row->attr & (ATTR_XMM | ATTR_MMX | ATTR_X87)) || row->op[0] == OP_M)
        return false;
    return native_has(row->feature);
}

/* --- Tests --- */

static bool case_agrees(struct fx *fx, const struct test_case *t, unsigned r, unsigned round)
{
    static struct native n;
    static u8 data[128] __attribute__((aligned(64)));
    int sig = native_case(&n, t, data);
    int vector;

    guest_load(fx, t);
    vector = simd_run(fx, t->bytes, t->size);
    if (fx->insns[0].row != r && strcmp(insn_rows[fx->insns[0].row].name, t->row->name) != 0) {
        describe(t, insn_rows[fx->insns[0].row].name, round);
        return false;
    }
    if (sig == SIGSEGV && vector == VEC_GP) /* VLDMXCSR of bits that there are not */
        return true;
    if (sig || vector != FX_NO_FAULT) {
        describe(t, "signal or fault", (unsigned)sig);
        return false;
    }
    return same_state(t, fx, &n, data);
}

static void every_row_agrees_with_the_host(void **state)
{
    static struct test_case t;
    struct fx *fx = shared;
    unsigned failures = 0, rows = 0;

    (void)state;
    native_arm();
    for (unsigned r = 0; r < insn_row_count; r++) {
        t.row = &insn_rows[r];
        if (!row_is_simd(t.row))
            continue;
        rows++;
        for (unsigned i = 0; i < ROUNDS; i++) {
            random_state(&t);
            encode(&t);
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
    static struct test_case t;
    static struct native n;
    static u8 data[128] __attribute__((aligned(64)));
    struct fx *fx = shared;
    unsigned failures = 0, faults = 0;

    (void)state;
    native_arm();
    for (unsigned r = 0; r < insn_row_count; r++) {
        t.row = &insn_rows[r];
        if (!row_is_simd(t.row) || !(t.row->attr & ATTR_FP) || t.row->attr & ATTR_X87)
            continue;
        for (unsigned i = 0; i < ROUNDS; i++) {
            int sig, vector;

            random_state(&t);
            encode(&t);
            t.xsave.mxcsr = (u32)random64() & 0xFFC0;
            guest_load(fx, &t);
            sig = native_case(&n, &t, data);
            vector = simd_run(fx, t.bytes, t.size);
            if (sig == SIGFPE) {
                faults++;
                if (vector != VEC_XM || fx->cpu->xsave.mxcsr != n.xsave.mxcsr) {
                    describe(&t, "fault", (unsigned)vector);
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
                describe(&t, "unmasked", (unsigned)sig);
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
    static struct test_case t;
    static struct native n;
    static u8 data[128] __attribute__((aligned(64)));
    struct fx *fx = shared;
    unsigned failures = 0, pending = 0;

    (void)state;
    native_arm();
    for (unsigned r = 0; r < insn_row_count; r++) {
        t.row = &insn_rows[r];
        if (!row_is_simd(t.row) || !(t.row->attr & ATTR_X87))
            continue;
        for (unsigned i = 0; i < 4 * ROUNDS; i++) {
            random_state(&t);
            encode(&t);
            t.xsave.fcw = (u16)(0x40 | (random64() & 0xF3F));
            t.xsave.fsw &= (u16)(0x7F00 | (t.xsave.fcw & 0x3F));
            guest_load(fx, &t);
            if (native_case(&n, &t, data) || simd_run(fx, t.bytes, t.size) != FX_NO_FAULT ||
                !same_state(&t, fx, &n, data)) {
                describe(&t, "unmasked x87", i);
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
    if (row->l == LA && (operand_kinds[row->op[0]].size == SZ_X || operand_kinds[row->op[1]].size == SZ_X))
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_agrees_with_the_host),
        cmocka_unit_test(unmasked_exceptions_agree_with_the_host),
        cmocka_unit_test(x87_unmasked_exceptions_wait_for_the_next_instruction),
        cmocka_unit_test(all_forms_fit_the_cache),
        cmocka_unit_test(the_same_form_has_one_operation),
    };

    int result;

    native_setup(); /* first: the handler that comes with the operations passes on to this one */
    shared = simd_fx_new(FX_64);
    native_keep_handlers();
    result = cmocka_run_group_tests(tests, NULL, NULL);
    simd_fx_free(shared);
    return result;
}
