/* SPDX-License-Identifier: MIT */
/* The decoder: operands, relative ones, sizes. Expected encodings are those of SDM vol. 2. */
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
    struct insn high = decode(FX_64, BYTES(0x00, 0xFC));      /* add ah, bh */
    struct insn rex = decode(FX_64, BYTES(0x40, 0x00, 0xFC)); /* add spl, dil */
    struct insn ext = decode(FX_64, BYTES(0x45, 0x00, 0xC7)); /* add r15b, r8b */

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
    struct insn none = decode(FX_64, BYTES(0x8B, 0x04, 0xE4));      /* mov eax, [rsp] */
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
        struct insn in =
            decode(FX_16, BYTES(0x8B, (u8)(0x40 | rm), 0x80)); /* mov ax, [... - 0x80] */

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
    struct insn seg = decode(FX_32, BYTES(0x1E));              /* push ds */
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
    struct insn in =
        decode(FX_64, BYTES(0x81, 0x05, 0x10, 0, 0, 0, 1, 2, 3, 4)); /* add [rip + 16], imm */

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
        { FX_64, { 0x50 }, 1, 3, 3 }, /* push: 64 bits by default */
        { FX_64, { 0x66, 0x50 }, 2, 1, 3 },
        { FX_32, { 0x50 }, 1, 2, 2 },
        { FX_64, { 0xC3 }, 1, 3, 3 }, /* ret: 66 means nothing */
        { FX_64, { 0x66, 0xC3 }, 2, 3, 3 },
        { FX_64, { 0x66, 0xEB, 0x00 }, 3, 3, 3 },
        { FX_32, { 0x66, 0xEB, 0x00 }, 3, 1, 2 },
        { FX_64, { 0xCF }, 1, 2, 3 }, /* iret: 32 bits by default */
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
