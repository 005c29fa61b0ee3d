/* SPDX-License-Identifier: MIT */
/* See simd_cases.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "accel/soft/fpu.h"
#include "accel/soft/hostop_stub.h"
#include "simd_cases.h"
#include "simd_native.h"

static u64 seed = 1;

u64 case_random(void)
{
    u64 z = (seed += 0x9E3779B97F4A7C15u);

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

u64 case_random_below(u64 n)
{
    return case_random() % n;
}

/* Bits that floating point finds interesting, or any. */
static u32 random_f32(void)
{
    static const u32 special[] = { 0,          0x80000000, 0x3F800000, 0xBF800000, 1,
                                   0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x7F800000, 0xFF800000,
                                   0x7FC00000, 0x7F800001, 0x4F000000, 0xCF000000 };

    return case_random_below(3) ? special[case_random_below(ARRAY_SIZE(special))]
                                : (u32)case_random();
}

static u64 random_f64(void)
{
    static const u64 special[] = { 0,
                                   1,
                                   0x8000000000000000,
                                   0x3FF0000000000000,
                                   0xBFF8000000000000,
                                   0x000FFFFFFFFFFFFF,
                                   0x7FEFFFFFFFFFFFFF,
                                   0x7FF0000000000000,
                                   0xFFF0000000000000,
                                   0x7FF8000000000000,
                                   0x7FF0000000000001,
                                   0x43E0000000000000,
                                   0xC1E0000000000000,
                                   0x36A0000000000000 };

    return case_random_below(3) ? special[case_random_below(ARRAY_SIZE(special))] : case_random();
}

static void random_bytes(void *data, unsigned size, unsigned kind)
{
    u8 *p = data;

    for (unsigned i = 0; i < size; i += 8) {
        u64 value = case_random();

        if (kind == 1)
            value = random_f32() | (u64)random_f32() << 32;
        else if (kind == 2)
            value = random_f64();
        memcpy(p + i, &value, MIN(8, size - i));
    }
}

static void random_st(u8 *st)
{
    static const u16 exponents[] = { 0,      1,      0x3FFF, 0xBFFE, 0x4000, 0x403E,
                                     0x7FFE, 0x7FFF, 0xFFFF, 0x8000, 0x3C00 };
    static const u64 significands[] = { 0,
                                        1,
                                        0x8000000000000000,
                                        0xC000000000000000,
                                        0xFFFFFFFFFFFFFFFF,
                                        0x8000000000000001,
                                        0x4000000000000000 };
    u64 significand = case_random_below(2)
                          ? significands[case_random_below(ARRAY_SIZE(significands))]
                          : case_random();
    u16 exponent = case_random_below(4) ? exponents[case_random_below(ARRAY_SIZE(exponents))]
                                        : (u16)case_random();

    if (case_random_below(2)) {
        significand |= BIT64(63);
        exponent = (u16)(0x3FF0 + case_random_below(0x50));
    }
    memcpy(st, &significand, 8);
    memcpy(st + 8, &exponent, 2);
}

/* --- A case --- */

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
        return free_gprs[case_random_below(ARRAY_SIZE(free_gprs))];
    if (kind->file == FILE_MMX || kind->file == FILE_ST)
        return (unsigned)case_random_below(8);
    return (unsigned)case_random_below(16);
}

static void put(struct simd_case *t, unsigned byte)
{
    t->bytes[t->size++] = (u8)byte;
}

static void encode_vex(struct simd_case *t, unsigned reg, unsigned vvvv, unsigned rm,
                       unsigned index, bool w)
{
    const struct insn_row *row = t->row;
    bool l = row->l == LA ? case_random_below(2) : row->l == L1;

    put(t, 0xC4);
    put(t, (reg < 8) << 7 | (index < 8) << 6 | (rm < 8) << 5 | (unsigned)(row->map - MAP_V0F + 1));
    put(t, w << 7 | (~vvvv & 15) << 3 | l << 2 | (unsigned)(row->prefix - PN));
    put(t, row->opcode);
}

static void encode_legacy(struct simd_case *t, unsigned reg, unsigned rm, bool w)
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
    return row->map != MAP_1 && !(row->attr & ATTR_MMX && !(row->attr & ATTR_Y)) &&
           case_random_below(2);
}

void case_encode(struct simd_case *t, bool memory)
{
    const struct insn_row *row = t->row;
    const struct operand_kind *rm_kind = row_operand(row, SRC_RM);
    const struct operand_kind *vsib = row_operand(row, SRC_VSIB);
    const struct operand_kind *reg_kind = row_operand(row, SRC_REG);
    const struct operand_kind *vreg_kind = row_operand(row, SRC_VVVV);
    unsigned reg = reg_kind ? pick_register(reg_kind) : row->digit == ANY ? 0 : row->digit;
    unsigned vvvv = pick_register(vreg_kind);
    unsigned rm = row->rm != ANY ? row->rm : pick_register(rm_kind);
    unsigned index = (unsigned)case_random_below(16);
    bool w = random_w(row);

    t->size = 0;
    t->memory = (rm_kind || vsib) && (row->mod == MM || (row->mod == MA && memory));
    while (vsib && (index == reg || index == vvvv || reg == vvvv)) {
        index = (unsigned)case_random_below(16);
        reg = (unsigned)case_random_below(16);
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
        put(t, (unsigned)case_random());
    if (vsib) {
        /* Small indexes of either size: every second dword is zero. */
        for (unsigned i = 0; i < 4; i++) {
            ((u32 *)(void *)t->xsave.xmm[index])[i] = i % 2 ? 0 : (u32)case_random_below(90);
            ((u32 *)(void *)t->xsave.ymm_hi[index])[i] = i % 2 ? 0 : (u32)case_random_below(90);
        }
    }
}

void case_randomize(struct simd_case *t)
{
    struct xsave_area *x = &t->xsave;
    unsigned kind = (unsigned)case_random_below(3);

    memset(x, 0, sizeof(*x));
    random_bytes(x->xmm, sizeof(x->xmm), kind);
    random_bytes(x->ymm_hi, sizeof(x->ymm_hi), kind);
    random_bytes(t->data, sizeof(t->data), kind);
    random_bytes(t->gpr, sizeof(t->gpr), 0);
    for (unsigned i = 0; i < 8; i++)
        random_st(x->st[i]);
    x->fcw = (u16)(0x7F | (case_random() & 0xF00));
    x->fsw = (u16)(case_random() & 0x7F3F);
    x->ftw = case_random_below(2) ? 0xFF : (u8)case_random();
    x->mxcsr = MXCSR_DEFAULT;
    if (case_random_below(2))
        x->mxcsr = (u32)(case_random() & 0xE07F) | MXCSR_MASKS;
    x->mxcsr_mask = 0xFFFF;
    t->flags = case_random() & FLAGS_ARITH;
    t->gpr[RAX] %= 40;
    t->gpr[RDX] %= 40;
}

void case_load(struct fx *fx, const struct simd_case *t)
{
    struct cpu *cpu = fx->cpu;

    memcpy(cpu->gpr, t->gpr, sizeof(t->gpr));
    cpu->gpr[RBX] = OPERAND_GVA;
    cpu->gpr[RDI] = OPERAND_GVA;
    cpu->aflags = t->flags;
    cpu->xsave = t->xsave;
    memcpy(fx->ram + OPERAND_GVA - FX_BASE, t->data, sizeof(t->data));
}

void case_print(const struct simd_case *t, const char *what, unsigned n)
{
    print_error("%s (%s %u), mxcsr %x, bytes", t->row->name, what, n, t->xsave.mxcsr);
    for (unsigned i = 0; i < t->size; i++)
        print_error(" %02x", t->bytes[i]);
    print_error("\n");
}

bool case_row(const struct insn_row *row)
{
    if (!(row->attr & (ATTR_XMM | ATTR_MMX | ATTR_X87)) || row->op[0] == OP_M)
        return false;
    return native_has(row->feature);
}
