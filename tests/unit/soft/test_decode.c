/* SPDX-License-Identifier: MIT */
/* The decoder: forms, prefixes, sizes, limits, features. Expected encodings are those of SDM vol. 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/decode.h"
#include "accel/soft/handlers.h"
#include "fixture.h"

#define BYTES(...) (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ })

static struct insn decode(u32 mode, const u8 *bytes, size_t size)
{
    struct insn in;

    assert_int_equal(decode_insn(bytes, size, mode, fx_features, &in), DECODE_OK);
    assert_int_equal(in.len, size);
    return in;
}

static enum decode_result decode_result(u32 mode, const u8 *bytes, size_t size)
{
    struct insn in;

    return decode_insn(bytes, size, mode, fx_features, &in);
}

static const struct insn_row *row_of(const struct insn *in)
{
    return &insn_rows[in->row];
}

/* --- Operands --- */

static void register_operands_take_rex_bits(void **state)
{
    struct insn in = decode(FX_64, BYTES(0x4D, 0x01, 0xC8)); /* add r8, r9 */

    (void)state;
    assert_int_equal(in.rm, 8);
    assert_int_equal(in.reg, 9);
    assert_int_equal(insn_osz(&in), 3);
    assert_ptr_equal(in.fn, x_add_E_G[3]);
}

static void byte_registers_are_offsets(void **state)
{
    struct insn high = decode(FX_64, BYTES(0x00, 0xFC));       /* add ah, bh */
    struct insn rex = decode(FX_64, BYTES(0x40, 0x00, 0xFC));  /* add spl, dil */
    struct insn ext = decode(FX_64, BYTES(0x45, 0x00, 0xC7));  /* add r15b, r8b */

    (void)state;
    assert_int_equal(high.rm, 1);
    assert_int_equal(high.reg, 3 * 8 + 1);
    assert_int_equal(rex.rm, RSP * 8);
    assert_int_equal(rex.reg, RDI * 8);
    assert_int_equal(ext.rm, 15 * 8);
    assert_int_equal(ext.reg, 8 * 8);
}

static void movzx_mixes_register_encodings(void **state)
{
    struct insn in = decode(FX_64, BYTES(0x0F, 0xB6, 0xE5)); /* movzx esp, ch */

    (void)state;
    assert_int_equal(in.reg, RSP);
    assert_int_equal(in.rm, 1 * 8 + 1);
}

static void sib_gives_base_index_scale(void **state)
{
    struct insn in = decode(FX_64, BYTES(0x4B, 0x8B, 0x84, 0xF5, 0x78, 0x56, 0x34, 0x92));

    (void)state; /* mov rax, [r13 + r14*8 - 0x6dcba988] */
    assert_int_equal(in.base, R13);
    assert_int_equal(in.index, R14);
    assert_int_equal(in.scale, 3);
    assert_int_equal(in.disp, (i32)0x92345678);
    assert_int_equal(in.rm, INSN_RM_MEM);
    assert_ptr_equal(in.fn, x_mov_G_E[4 + 3]);
}

static void rsp_is_no_index_but_r12_is(void **state)
{
    struct insn none = decode(FX_64, BYTES(0x8B, 0x04, 0xE4)); /* mov eax, [rsp] */
    struct insn r12 = decode(FX_64, BYTES(0x42, 0x8B, 0x04, 0x24)); /* mov eax, [rsp + r12] */

    (void)state;
    assert_int_equal(none.base, RSP);
    assert_int_equal(none.index, GPR_ZERO);
    assert_int_equal(none.scale, 0);
    assert_int_equal(none.seg, SEG_SS);
    assert_int_equal(r12.index, R12);
}

static void sib_without_base_has_disp32(void **state)
{
    struct insn in = decode(FX_64, BYTES(0x8B, 0x04, 0x25, 0x00, 0x00, 0x00, 0x80));

    (void)state;
    assert_int_equal(in.base, GPR_ZERO);
    assert_int_equal(in.index, GPR_ZERO);
    assert_int_equal(in.disp, INT32_MIN);
    assert_int_equal(in.seg, SEG_DS);
}

static void r13_needs_a_displacement_like_rbp(void **state)
{
    struct insn in = decode(FX_64, BYTES(0x41, 0x8B, 0x45, 0xFC)); /* mov eax, [r13 - 4] */

    (void)state;
    assert_int_equal(in.base, R13);
    assert_int_equal(in.disp, -4);
    assert_int_equal(in.seg, SEG_DS);
}

static void addressing_of_16_bits(void **state)
{
    static const u8 bases[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
    static const u8 indexes[8] = { RSI, RDI, RSI, RDI, GPR_ZERO, GPR_ZERO, GPR_ZERO, GPR_ZERO };
    static const u8 segs[8] = { SEG_DS, SEG_DS, SEG_SS, SEG_SS, SEG_DS, SEG_DS, SEG_SS, SEG_DS };

    (void)state;
    for (unsigned rm = 0; rm < 8; rm++) {
        struct insn in = decode(FX_16, BYTES(0x8B, (u8)(0x40 | rm), 0x80)); /* mov ax, [... - 0x80] */

        assert_int_equal(in.base, bases[rm]);
        assert_int_equal(in.index, indexes[rm]);
        assert_int_equal(in.seg, segs[rm]);
        assert_int_equal(in.disp, -0x80);
        assert_int_equal(insn_asz(&in), 1);
    }
}

static void direct_address_of_16_bits(void **state)
{
    struct insn in = decode(FX_16, BYTES(0x8B, 0x06, 0x34, 0xF2));

    (void)state;
    assert_int_equal(in.base, GPR_ZERO);
    assert_int_equal((u16)in.disp, 0xF234);
    assert_int_equal(in.seg, SEG_DS);
}

static void offsets_without_modrm(void **state)
{
    struct insn in64 = decode(FX_64, BYTES(0x48, 0xA1, 1, 2, 3, 4, 5, 6, 7, 0x88));
    struct insn in32 = decode(FX_64, BYTES(0x67, 0xA0, 1, 2, 3, 0x84));
    struct insn in16 = decode(FX_16, BYTES(0xA3, 1, 0x82));

    (void)state;
    assert_true(in64.imm == 0x8807060504030201u);
    assert_ptr_equal(in64.fn, x_mov_A_O[4 + 3]);
    assert_true(in32.imm == 0x84030201u);
    assert_true(in16.imm == 0x8201);
    assert_int_equal(in16.base, GPR_ZERO);
}

static void immediates_are_extended(void **state)
{
    struct insn iz = decode(FX_64, BYTES(0x48, 0x81, 0xC0, 0, 0, 0, 0x80));
    struct insn sib = decode(FX_64, BYTES(0x83, 0xC0, 0xFF));
    struct insn iv = decode(FX_64, BYTES(0x48, 0xB8, 1, 0, 0, 0, 0, 0, 0, 0x80));
    struct insn port = decode(FX_64, BYTES(0xE4, 0xFF));
    struct insn ret = decode(FX_64, BYTES(0xC2, 0xFE, 0xFF));
    struct insn enter = decode(FX_64, BYTES(0xC8, 0x34, 0x12, 0x05));

    (void)state;
    assert_true(iz.imm == 0xFFFFFFFF80000000u);
    assert_true(sib.imm == ~(u64)0);
    assert_true(iv.imm == 0x8000000000000001u);
    assert_true(port.imm == 0xFF);
    assert_true(ret.imm == 0xFFFE);
    assert_true(enter.imm == 0x051234);
}

static void far_pointers_have_offset_and_selector(void **state)
{
    struct insn in32 = decode(FX_32, BYTES(0xEA, 1, 2, 3, 4, 0x10, 0x20));
    struct insn in16 = decode(FX_16, BYTES(0x9A, 1, 2, 0x10, 0x20));

    (void)state;
    assert_true(in32.imm == (0x2010ull << 32 | 0x04030201));
    assert_true(in16.imm == (0x2010ull << 32 | 0x0201));
}

static void opcode_registers_and_fixed_ones(void **state)
{
    struct insn xchg = decode(FX_64, BYTES(0x49, 0x93)); /* xchg r11, rax */
    struct insn add = decode(FX_64, BYTES(0x05, 1, 0, 0, 0));
    struct insn seg = decode(FX_32, BYTES(0x1E)); /* push ds */
    struct insn shld = decode(FX_64, BYTES(0x0F, 0xA5, 0xD8)); /* shld eax, ebx, cl */

    (void)state;
    assert_int_equal(xchg.rm, 11);
    assert_int_equal(xchg.reg, RAX);
    assert_int_equal(add.rm, RAX);
    assert_ptr_equal(add.fn, x_add_E_I[2]);
    assert_int_equal(seg.reg, SEG_DS);
    assert_int_equal(shld.reg, RBX);
}

/* --- Relative operands --- */

static void branch_targets_are_relative_to_the_block(void **state)
{
    struct insn in = decode(FX_64, BYTES(0xEB, 0xFE)); /* jmp $ */

    (void)state;
    assert_true(in.imm == 0);
    insn_place(&in, 100);
    assert_true(in.imm == 100);
    assert_int_equal(in.off, 100);
}

static void rip_relative_operands_count_from_the_next_instruction(void **state)
{
    struct insn in = decode(FX_64, BYTES(0x81, 0x05, 0x10, 0, 0, 0, 1, 2, 3, 4)); /* add [rip + 16], imm */

    (void)state;
    assert_int_equal(in.base, GPR_RIP);
    assert_int_equal(in.disp, 0x10 + 10);
    insn_place(&in, 5);
    assert_int_equal(in.disp, 0x10 + 10 + 5);
}

static void rip_relative_displacement_does_not_overflow(void **state)
{
    struct insn in = decode(FX_64, BYTES(0x8B, 0x05, 0xF0, 0xFF, 0xFF, 0x7F));
    struct fx *fx = fx_new(FX_64);

    (void)state;
    insn_place(&in, 4000);
    fx->cpu->gpr[GPR_RIP] = 0x400000;
    assert_true(insn_offset(fx->cpu, &in) == 0x400000 + 4000 + 6 + 0x7FFFFFF0u);
    fx_free(fx);
}

static void rip_relative_exists_in_64_bit_mode_only(void **state)
{
    struct insn in = decode(FX_32, BYTES(0x8B, 0x05, 0x10, 0, 0, 0));
    struct insn eip = decode(FX_64, BYTES(0x67, 0x8B, 0x05, 0x10, 0, 0, 0));

    (void)state;
    assert_int_equal(in.base, GPR_ZERO);
    assert_int_equal(in.disp, 0x10);
    assert_int_equal(eip.base, GPR_RIP);
    assert_int_equal(insn_asz(&eip), 2);
    assert_false(eip.flags & INSN_FLAT);
}

/* --- Sizes --- */

struct size_case {
    u32 mode;
    u8 bytes[6];
    u8 size;
    u8 osz, asz;
};

static void sizes_follow_mode_and_prefixes(void **state)
{
    static const struct size_case cases[] = {
        { FX_64, { 0x01, 0xC0 }, 2, 2, 3 },
        { FX_64, { 0x66, 0x01, 0xC0 }, 3, 1, 3 },
        { FX_64, { 0x48, 0x01, 0xC0 }, 3, 3, 3 },
        { FX_64, { 0x66, 0x48, 0x01, 0xC0 }, 4, 3, 3 },
        { FX_64, { 0x67, 0x01, 0x00 }, 3, 2, 2 },
        { FX_32, { 0x01, 0xC0 }, 2, 2, 2 },
        { FX_32, { 0x66, 0x67, 0x01, 0x00 }, 4, 1, 1 },
        { FX_16, { 0x01, 0xC0 }, 2, 1, 1 },
        { FX_16, { 0x66, 0x67, 0x01, 0x00 }, 4, 2, 2 },
        { FX_64, { 0x50 }, 1, 3, 3 },             /* push: 64 bits by default */
        { FX_64, { 0x66, 0x50 }, 2, 1, 3 },
        { FX_32, { 0x50 }, 1, 2, 2 },
        { FX_64, { 0xC3 }, 1, 3, 3 },             /* ret: 66 means nothing */
        { FX_64, { 0x66, 0xC3 }, 2, 3, 3 },
        { FX_64, { 0x66, 0xEB, 0x00 }, 3, 3, 3 },
        { FX_32, { 0x66, 0xEB, 0x00 }, 3, 1, 2 },
        { FX_64, { 0xCF }, 1, 2, 3 },             /* iret: 32 bits by default */
        { FX_64, { 0x48, 0xCF }, 2, 3, 3 },
        { FX_64, { 0x66, 0x0F, 0x38, 0xF6, 0xC0 }, 5, 2, 3 }, /* adcx: 66 is not a size */
        { FX_16, { 0x66, 0x0F, 0x38, 0xF6, 0xC0 }, 5, 2, 1 },
        { FX_64, { 0xB0, 0x00 }, 2, 0, 3 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct insn in = decode(cases[i].mode, cases[i].bytes, cases[i].size);

        assert_int_equal(insn_osz(&in), cases[i].osz);
        assert_int_equal(insn_asz(&in), cases[i].asz);
    }
}

static void near_branches_keep_32_bit_displacements_with_66(void **state)
{
    (void)state;
    decode(FX_64, BYTES(0x66, 0xE8, 0, 0, 0, 0));
    decode(FX_64, BYTES(0x66, 0x0F, 0x84, 0, 0, 0, 0));
    decode(FX_32, BYTES(0x66, 0xE8, 0, 0));
    decode(FX_16, BYTES(0x66, 0xE8, 0, 0, 0, 0));
}

/* --- Prefixes --- */

static void rex_counts_only_before_the_opcode(void **state)
{
    struct insn in = decode(FX_64, BYTES(0x48, 0x66, 0x01, 0xC0));
    struct insn last = decode(FX_64, BYTES(0x48, 0x41, 0x01, 0xC0));

    (void)state;
    assert_int_equal(insn_osz(&in), 1);
    assert_int_equal(insn_osz(&last), 2);
    assert_int_equal(last.rm, 8);
}

static void rex_bytes_are_inc_and_dec_elsewhere(void **state)
{
    struct insn inc = decode(FX_32, BYTES(0x41));

    (void)state;
    assert_string_equal(row_of(&inc)->name, "inc");
    assert_int_equal(inc.rm, RCX);
}

static void segments_are_overridden(void **state)
{
    struct insn fs = decode(FX_64, BYTES(0x64, 0x8B, 0x00));
    struct insn es = decode(FX_64, BYTES(0x26, 0x8B, 0x00));
    struct insn both = decode(FX_64, BYTES(0x65, 0x2E, 0x8B, 0x00));
    struct insn cs = decode(FX_32, BYTES(0x2E, 0x8B, 0x00));

    (void)state;
    assert_int_equal(fs.seg, SEG_FS);
    assert_false(fs.flags & INSN_FLAT);
    assert_int_equal(es.seg, SEG_DS);
    assert_true(es.flags & INSN_FLAT);
    assert_int_equal(both.seg, SEG_GS);
    assert_int_equal(cs.seg, SEG_CS);
}

static void flat_means_64_bit_addresses_without_base(void **state)
{
    struct insn in64 = decode(FX_64, BYTES(0x8B, 0x00));
    struct insn in32 = decode(FX_64, BYTES(0x67, 0x8B, 0x00));
    struct insn legacy = decode(FX_32 | MODE_FLAT, BYTES(0x8B, 0x00));

    (void)state;
    assert_true(in64.flags & INSN_FLAT);
    assert_false(in32.flags & INSN_FLAT);
    assert_false(legacy.flags & INSN_FLAT);
}

static void lock_needs_a_memory_destination(void **state)
{
    (void)state;
    assert_true(decode(FX_64, BYTES(0xF0, 0x01, 0x00)).flags & INSN_LOCK);
    assert_true(decode(FX_64, BYTES(0xF0, 0x0F, 0xC7, 0x08)).flags & INSN_LOCK);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x01, 0xC0)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x03, 0x00)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x39, 0x00)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x89, 0x00)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x90)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x0F, 0xA3, 0x00)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0xFF, 0x10)), DECODE_UD);
}

static void xchg_with_memory_is_locked(void **state)
{
    (void)state;
    assert_true(decode(FX_64, BYTES(0x87, 0x00)).flags & INSN_LOCK);
    assert_false(decode(FX_64, BYTES(0x87, 0xC1)).flags & INSN_LOCK);
}

static void repeat_prefixes_are_noted(void **state)
{
    struct insn rep = decode(FX_64, BYTES(0xF2, 0xF3, 0xA4));

    (void)state;
    assert_int_equal(rep.flags & (INSN_REP | INSN_REPNE), INSN_REP);
    assert_int_equal(decode(FX_64, BYTES(0xF2, 0xAE)).flags & (INSN_REP | INSN_REPNE), INSN_REPNE);
    decode(FX_64, BYTES(0xF2, 0xE8, 0, 0, 0, 0));     /* BND call */
    decode(FX_64, BYTES(0xF3, 0xC3));                 /* rep ret */
    decode(FX_64, BYTES(0xF2, 0xF0, 0x01, 0x00));     /* XACQUIRE lock add */
}

static void mandatory_prefixes_choose_the_row(void **state)
{
    struct insn tzcnt = decode(FX_64, BYTES(0xF3, 0x0F, 0xBC, 0xC1));
    struct insn tzcnt16 = decode(FX_64, BYTES(0x66, 0xF3, 0x0F, 0xBC, 0xC1));
    struct insn bsf = decode(FX_64, BYTES(0x0F, 0xBC, 0xC1));
    struct insn movbe = decode(FX_64, BYTES(0x66, 0x0F, 0x38, 0xF0, 0x00));
    struct insn crc32 = decode(FX_64, BYTES(0x66, 0xF2, 0x0F, 0x38, 0xF1, 0xC0));

    (void)state;
    assert_string_equal(row_of(&tzcnt)->name, "tzcnt");
    assert_int_equal(insn_osz(&tzcnt16), 1);
    assert_string_equal(row_of(&bsf)->name, "bsf");
    assert_string_equal(row_of(&movbe)->name, "movbe");
    assert_int_equal(insn_osz(&movbe), 1);
    assert_string_equal(row_of(&crc32)->name, "crc32");
    assert_int_equal(insn_osz(&crc32), 1);
    assert_int_equal(decode_result(FX_64, BYTES(0x0F, 0xB8, 0xC0)), DECODE_UD);
}

static void nop_pause_and_xchg_share_an_opcode(void **state)
{
    struct insn nop = decode(FX_64, BYTES(0x90));
    struct insn wide = decode(FX_64, BYTES(0x48, 0x90));
    struct insn pause = decode(FX_64, BYTES(0xF3, 0x90));
    struct insn r8 = decode(FX_64, BYTES(0x41, 0x90));

    (void)state;
    assert_string_equal(row_of(&nop)->name, "nop");
    assert_string_equal(row_of(&wide)->name, "nop");
    assert_string_equal(row_of(&pause)->name, "pause");
    assert_true(row_of(&pause)->attr & ATTR_END);
    assert_string_equal(row_of(&r8)->name, "xchg");
    assert_int_equal(r8.rm, 8);
}

/* --- VEX --- */

static void vex_names_three_operands(void **state)
{
    struct insn andn = decode(FX_64, BYTES(0xC4, 0x42, 0xA8, 0xF2, 0xC3)); /* andn r8, r10, r11 */

    (void)state;
    assert_string_equal(row_of(&andn)->name, "andn");
    assert_int_equal(andn.reg, 8);
    assert_int_equal(andn.vreg, 10);
    assert_int_equal(andn.rm, 11);
    assert_int_equal(insn_osz(&andn), 3);
}

static void vex_refuses_other_prefixes(void **state)
{
    static const u8 prefixes[] = { 0x66, 0xF2, 0xF3, 0xF0, 0x48 };

    (void)state;
    for (unsigned i = 0; i < sizeof(prefixes); i++)
        assert_int_equal(decode_result(FX_64, BYTES(prefixes[i], 0xC4, 0xE2, 0x70, 0xF2, 0xC2)), DECODE_UD);
    decode(FX_64, BYTES(0x65, 0xC4, 0xE2, 0x70, 0xF2, 0x02));
    decode(FX_64, BYTES(0x67, 0xC4, 0xE2, 0x70, 0xF2, 0x02));
}

static void vex_needs_length_and_unused_vvvv_right(void **state)
{
    (void)state;
    assert_int_equal(decode_result(FX_64, BYTES(0xC4, 0xE2, 0x74, 0xF2, 0xC2)), DECODE_UD); /* L = 1 */
    decode(FX_64, BYTES(0xC4, 0xE3, 0x7B, 0xF0, 0xC2, 3));                                 /* rorx */
    assert_int_equal(decode_result(FX_64, BYTES(0xC4, 0xE3, 0x73, 0xF0, 0xC2, 3)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xC4, 0xE4, 0x70, 0xF2, 0xC2)), DECODE_UD); /* map 4 */
}

static void vex_is_les_and_lds_outside_64_bit_mode(void **state)
{
    struct insn les = decode(FX_32, BYTES(0xC4, 0x00));
    struct insn lds = decode(FX_16, BYTES(0xC5, 0x00));
    struct insn andn = decode(FX_32, BYTES(0xC4, 0xE2, 0x70, 0xF2, 0xC2));

    (void)state;
    assert_string_equal(row_of(&les)->name, "les");
    assert_string_equal(row_of(&lds)->name, "lds");
    assert_string_equal(row_of(&andn)->name, "andn");
    /* Neither VEX nor LES: real and virtual-8086 mode. */
    assert_int_equal(decode_result(FX_16, BYTES(0xC4, 0xE2, 0x70, 0xF2, 0xC2)), DECODE_UD);
    assert_int_equal(decode_result(MODE_PE | MODE_VM, BYTES(0xC4, 0xE2, 0x70, 0xF2, 0xC2)), DECODE_UD);
}

static void vex_w_is_ignored_for_sizes_outside_64_bit_mode(void **state)
{
    struct insn in = decode(FX_32, BYTES(0xC4, 0xE2, 0xF0, 0xF2, 0xC2));

    (void)state;
    assert_int_equal(insn_osz(&in), 2);
}

/* --- What does not exist --- */

static void unknown_opcodes_are_undefined(void **state)
{
    static const struct {
        u32 mode;
        u8 bytes[4];
    } cases[] = {
        { FX_64, { 0x06 } },             { FX_64, { 0x27 } },             { FX_64, { 0x60 } },
        { FX_64, { 0x82, 0xC0, 0x00 } }, { FX_64, { 0x9A } },             { FX_64, { 0xEA } },
        { FX_64, { 0xD6 } },             { FX_64, { 0x0F, 0x04 } },       { FX_64, { 0xC6, 0xC8, 0x00 } },
        { FX_64, { 0xFE, 0xD0 } },       { FX_64, { 0xFF, 0xF8 } },       { FX_64, { 0x8F, 0xC8 } },
        { FX_64, { 0x8D, 0xC0 } },       { FX_64, { 0x0F, 0xBA, 0xC0 } }, { FX_64, { 0x62, 0x00 } },
        { FX_64, { 0x0F, 0xC7, 0xC8 } }, { FX_64, { 0xFF, 0xE8 } },       { FX_64, { 0x8C, 0xF8 } },
        { FX_64, { 0x0F, 0xAA } },       { FX_32, { 0x0F, 0x05 } },       { FX_32, { 0x0F, 0x01, 0xF8 } },
        { FX_16, { 0x62, 0xC0 } },       { FX_32, { 0xC4, 0xC0, 0, 0 } }, { FX_64, { 0x0F, 0x38, 0xF0, 0xC0 } },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        u8 window[16] = { 0 };

        memcpy(window, cases[i].bytes, 4);
        assert_int_equal(decode_result(cases[i].mode, window, sizeof(window)), DECODE_UD);
    }
}

static void features_gate_rows(void **state)
{
    u64 features[FEATURE_WORDS] = { 0 };
    struct insn in;

    (void)state;
    assert_int_equal(decode_insn(BYTES(0x01, 0xC0), FX_64, features, &in), DECODE_OK);
    assert_int_equal(decode_insn(BYTES(0xF3, 0x0F, 0xB8, 0xC0), FX_64, features, &in), DECODE_UD);
    assert_int_equal(decode_insn(BYTES(0x0F, 0x38, 0xF0, 0x00), FX_64, features, &in), DECODE_UD);
    assert_int_equal(decode_insn(BYTES(0xC4, 0xE2, 0x70, 0xF2, 0xC2), FX_64, features, &in), DECODE_UD);
    /* Without BMI1 and LZCNT the prefix means nothing. */
    assert_int_equal(decode_insn(BYTES(0xF3, 0x0F, 0xBC, 0xC1), FX_64, features, &in), DECODE_OK);
    assert_string_equal(row_of(&in)->name, "bsf");
    assert_int_equal(decode_insn(BYTES(0xF3, 0x0F, 0xBD, 0xC1), FX_64, features, &in), DECODE_OK);
    assert_string_equal(row_of(&in)->name, "bsr");
}

static void hints_are_nops(void **state)
{
    (void)state;
    assert_ptr_equal(decode(FX_64, BYTES(0xF3, 0x0F, 0x1E, 0xFA)).fn, x_nop[2]); /* endbr64 */
    assert_ptr_equal(decode(FX_64, BYTES(0x0F, 0x1F, 0x44, 0, 0)).fn, x_nop[6]);
    assert_ptr_equal(decode(FX_64, BYTES(0x66, 0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0)).fn, x_nop[5]);
    assert_ptr_equal(decode(FX_64, BYTES(0x0F, 0x18, 0x08)).fn, x_nop[6]); /* prefetcht0 */
    assert_ptr_equal(decode(FX_64, BYTES(0x0F, 0x0D, 0x08)).fn, x_nop[6]); /* prefetchw */
}

static void control_registers_ignore_mod(void **state)
{
    struct insn reg = decode(FX_64, BYTES(0x0F, 0x22, 0xD8));
    struct insn mem = decode(FX_64, BYTES(0x0F, 0x22, 0x18));
    struct insn cr8 = decode(FX_64, BYTES(0x44, 0x0F, 0x20, 0xC0));

    (void)state;
    assert_int_equal(reg.reg, 3);
    assert_int_equal(mem.rm, RAX);
    assert_int_equal(mem.len, 3);
    assert_int_equal(cr8.reg, 8);
}

/* --- Limits --- */

static void fifteen_bytes_are_the_limit(void **state)
{
    u8 bytes[20];

    (void)state;
    memset(bytes, 0x66, sizeof(bytes));
    bytes[14] = 0x90;
    decode(FX_64, bytes, 15);
    bytes[14] = 0x66;
    bytes[15] = 0x90;
    assert_int_equal(decode_result(FX_64, bytes, sizeof(bytes)), DECODE_TOO_LONG);
    bytes[9] = 0x81; /* add r/m16, imm16 with a 4-byte displacement ends at 16 */
    bytes[10] = 0x84;
    assert_int_equal(decode_result(FX_64, bytes, sizeof(bytes)), DECODE_TOO_LONG);
}

static void missing_bytes_ask_for_more(void **state)
{
    static const u8 bytes[] = { 0x66, 0x42, 0x81, 0x84, 0x24, 1, 2, 3, 4, 5, 6 }; /* add word [rsp+r12+disp], imm */

    (void)state;
    for (size_t n = 0; n < sizeof(bytes); n++)
        assert_int_equal(decode_result(FX_64, bytes, n), DECODE_MORE);
    decode(FX_64, bytes, sizeof(bytes));
    /* What is undefined whatever follows needs no more bytes. */
    assert_int_equal(decode_result(FX_64, BYTES(0x06)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0x0F)), DECODE_MORE);
}

/* Any bytes give a result without reading past them; what decodes, prints. */
static void random_bytes_are_decoded_in_bounds(void **state)
{
    static const u32 modes[] = { FX_64, FX_32, FX_16, FX_16 | MODE_PE | MODE_VM };
    u64 seed = 12345;

    (void)state;
    for (unsigned i = 0; i < 400000; i++) {
        unsigned size = i % 17;
        u8 *bytes = test_malloc(size + !size); /* a block of its own, for the sanitizer */
        enum decode_result result;
        struct insn in;
        char text[128];

        for (unsigned b = 0; b < size; b++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[b] = (u8)(seed >> 56);
        }
        if (size > 2 && i & 64)
            bytes[0] = 0x0F;
        result = decode_insn(bytes, size, modes[i % 4], fx_features, &in);
        if (result == DECODE_OK) {
            assert_in_range(in.len, 1, MIN(size, 15));
            assert_non_null(in.fn);
            assert_true(in.base <= GPR_RIP);
            insn_print(&in, 0x1000, modes[i % 4], text, sizeof(text));
            assert_true(strlen(text) > 1);
        }
        test_free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(register_operands_take_rex_bits),
        cmocka_unit_test(byte_registers_are_offsets),
        cmocka_unit_test(movzx_mixes_register_encodings),
        cmocka_unit_test(sib_gives_base_index_scale),
        cmocka_unit_test(rsp_is_no_index_but_r12_is),
        cmocka_unit_test(sib_without_base_has_disp32),
        cmocka_unit_test(r13_needs_a_displacement_like_rbp),
        cmocka_unit_test(addressing_of_16_bits),
        cmocka_unit_test(direct_address_of_16_bits),
        cmocka_unit_test(offsets_without_modrm),
        cmocka_unit_test(immediates_are_extended),
        cmocka_unit_test(far_pointers_have_offset_and_selector),
        cmocka_unit_test(opcode_registers_and_fixed_ones),
        cmocka_unit_test(branch_targets_are_relative_to_the_block),
        cmocka_unit_test(rip_relative_operands_count_from_the_next_instruction),
        cmocka_unit_test(rip_relative_displacement_does_not_overflow),
        cmocka_unit_test(rip_relative_exists_in_64_bit_mode_only),
        cmocka_unit_test(sizes_follow_mode_and_prefixes),
        cmocka_unit_test(near_branches_keep_32_bit_displacements_with_66),
        cmocka_unit_test(rex_counts_only_before_the_opcode),
        cmocka_unit_test(rex_bytes_are_inc_and_dec_elsewhere),
        cmocka_unit_test(segments_are_overridden),
        cmocka_unit_test(flat_means_64_bit_addresses_without_base),
        cmocka_unit_test(lock_needs_a_memory_destination),
        cmocka_unit_test(xchg_with_memory_is_locked),
        cmocka_unit_test(repeat_prefixes_are_noted),
        cmocka_unit_test(mandatory_prefixes_choose_the_row),
        cmocka_unit_test(nop_pause_and_xchg_share_an_opcode),
        cmocka_unit_test(vex_names_three_operands),
        cmocka_unit_test(vex_refuses_other_prefixes),
        cmocka_unit_test(vex_needs_length_and_unused_vvvv_right),
        cmocka_unit_test(vex_is_les_and_lds_outside_64_bit_mode),
        cmocka_unit_test(vex_w_is_ignored_for_sizes_outside_64_bit_mode),
        cmocka_unit_test(unknown_opcodes_are_undefined),
        cmocka_unit_test(features_gate_rows),
        cmocka_unit_test(hints_are_nops),
        cmocka_unit_test(control_registers_ignore_mod),
        cmocka_unit_test(fifteen_bytes_are_the_limit),
        cmocka_unit_test(missing_bytes_ask_for_more),
        cmocka_unit_test(random_bytes_are_decoded_in_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
