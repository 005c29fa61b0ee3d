/* SPDX-License-Identifier: MIT */
/* The host assembler: what it writes is decoded and printed by the engine's own decoder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/decode.h"
#include "accel/soft/emit.h"

static u8 code[64];
static struct emit e;

static void begin(void)
{
    memset(code, 0, sizeof(code));
    e = (struct emit){ .at = code, .end = code + sizeof(code) };
}

/* The one instruction written since begin(). */
static void expect(const char *text)
{
    u64 features[16];
    struct insn in;
    char got[96];

    memset(features, 0xFF, sizeof(features));
    assert_int_equal(decode_insn(code, sizeof(code), MODE_CS_L | MODE_LMA | MODE_PE, features, &in),
                     DECODE_OK);
    assert_int_equal(in.len, e.at - code);
    insn_print(&in, 0, MODE_CS_L | MODE_LMA | MODE_PE, got, sizeof(got));
    assert_string_equal(got, text);
    assert_false(e.overflow);
    begin();
}

static struct emit_operand scaled(unsigned base, unsigned index, unsigned scale, i32 disp)
{
    return (struct emit_operand){
        .kind = EMIT_MEM, .base = (u8)base, .index = (u8)index, .scale = (u8)scale, .disp = disp
    };
}

static void registers_of_all_sizes(void **state)
{
    (void)state;
    begin();
    emit_op(&e, 0, 0x01, 3, H_RAX, emit_reg(H_R15));
    expect("add r15,rax");
    emit_op(&e, 0, 0x01, 2, H_R8, emit_reg(H_RCX));
    expect("add ecx,r8d");
    emit_op(&e, 0, 0x01, 1, H_RDX, emit_reg(H_RBX));
    expect("add bx,dx");
    emit_op(&e, 0, 0x00, 0, H_RSI, emit_reg(H_RAX));
    expect("add al,sil");
    emit_op(&e, 0, 0x00, 0, H_AH, emit_reg(H_BH));
    expect("add bh,ah");
}

static void memory_operands_use_the_shortest_form(void **state)
{
    (void)state;
    begin();
    emit_load(&e, H_RAX, emit_mem(H_R14, 0));
    assert_int_equal(e.at - code, 3);
    expect("mov rax,QWORD PTR [r14]");
    emit_load(&e, H_RAX, emit_mem(H_R13, 0)); /* needs a displacement */
    assert_int_equal(e.at - code, 4);
    expect("mov rax,QWORD PTR [r13]");
    emit_load(&e, H_RAX, emit_mem(H_R12, 8)); /* needs a SIB byte */
    assert_int_equal(e.at - code, 5);
    expect("mov rax,QWORD PTR [r12+0x8]");
    emit_store(&e, emit_mem(H_RSI, 0x1000), H_R9);
    expect("mov QWORD PTR [rsi+0x1000],r9");
    emit_lea(&e, 3, H_RDI, scaled(H_RBX, H_R12, 3, -4));
    expect("lea rdi,[rbx+r12*8-0x4]");
    emit_lea(&e, 2, H_RDI, scaled(H_NONE, H_RCX, 2, 0x40));
    expect("lea edi,[rcx*4+0x40]");
}

static void a_high_byte_with_rex_is_a_conflict(void **state)
{
    (void)state;
    begin();
    emit_op(&e, 0, 0x88, 0, H_AH, emit_mem(H_RAX, 0));
    assert_false(e.conflict);
    emit_op(&e, 0, 0x88, 0, H_AH, emit_mem(H_R14, 0));
    assert_true(e.conflict);
}

static void immediates_take_the_shortest_form(void **state)
{
    (void)state;
    begin();
    emit_group1(&e, 0, 5, 3, emit_reg(H_RSP), 8);
    assert_int_equal(e.at - code, 4);
    expect("sub rsp,0x8");
    emit_group1(&e, 0, 4, 3, emit_reg(H_R15), -4096);
    assert_int_equal(e.at - code, 7);
    emit_mov_imm(&e, H_R13, 5);
    begin();
    emit_mov_imm(&e, H_R13, 5);
    assert_int_equal(e.at - code, 6);
    begin();
    emit_mov_imm(&e, H_R13, ~(u64)0);
    assert_int_equal(e.at - code, 7);
    begin();
    emit_mov_imm(&e, H_R13, 0x123456789AB);
    assert_int_equal(e.at - code, 10);
}

static void jumps_reach_their_targets(void **state)
{
    u8 *place;

    (void)state;
    begin();
    place = emit_jcc(&e, EMIT_NE);
    emit_jmp_to(&e, code);
    emit_patch(&e, place, e.at);
    assert_memory_equal(code, "\x0F\x85\x05\x00\x00\x00\xE9\xF5\xFF\xFF\xFF", 11);
}

static void simd_has_legacy_and_vex_forms(void **state)
{
    static const struct emit_simd paddd = { .prefix = 0x66, .map = 1, .opcode = 0xFE };
    static const struct emit_simd pshufb = { .prefix = 0x66, .map = 2, .opcode = 0x00 };
    static const struct emit_simd cvtsi2sd = {
        .prefix = 0xF2, .map = 1, .opcode = 0x2A, .w = true
    };
    static const struct emit_simd vpaddd = {
        .prefix = 0x66, .map = 1, .opcode = 0xFE, .vex = true, .l = true
    };
    static const struct emit_simd vfmadd = {
        .prefix = 0x66, .map = 2, .opcode = 0xB8, .vex = true, .w = true
    };

    (void)state;
    begin();
    emit_simd(&e, &paddd, 9, 0, emit_reg(3));
    expect("paddd xmm9,xmm3");
    emit_simd(&e, &pshufb, 1, 0, emit_mem(H_R14, 0));
    expect("pshufb xmm1,XMMWORD PTR [r14]");
    emit_simd(&e, &cvtsi2sd, 0, 0, emit_reg(H_R13));
    expect("cvtsi2sd xmm0,r13");
    emit_simd(&e, &vpaddd, 15, 8, emit_reg(10));
    expect("vpaddd ymm15,ymm8,ymm10");
    emit_simd(&e, &vpaddd, 1, 2, scaled(H_R9, H_R10, 2, 16));
    expect("vpaddd ymm1,ymm2,YMMWORD PTR [r9+r10*4+0x10]");
    emit_simd(&e, &vfmadd, 3, 4, emit_gs(0x1000));
    expect("vfmadd231pd xmm3,xmm4,XMMWORD PTR gs:[0x1000]");
}

static void running_out_of_room_is_remembered(void **state)
{
    (void)state;
    begin();
    e.end = code + 2;
    emit_load(&e, H_RAX, emit_mem(H_RBX, 0));
    assert_true(e.overflow);
    assert_ptr_equal(e.at, code + 2);
    emit_patch(&e, code, code); /* leaves the bytes alone */
    assert_int_equal(code[0], 0x48);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_of_all_sizes),
        cmocka_unit_test(memory_operands_use_the_shortest_form),
        cmocka_unit_test(a_high_byte_with_rex_is_a_conflict),
        cmocka_unit_test(immediates_take_the_shortest_form),
        cmocka_unit_test(jumps_reach_their_targets),
        cmocka_unit_test(simd_has_legacy_and_vex_forms),
        cmocka_unit_test(running_out_of_room_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
