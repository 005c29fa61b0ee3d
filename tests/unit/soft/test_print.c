/* SPDX-License-Identifier: MIT */
/* The printer: a golden list of bytes and texts, in all modes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "accel/soft/decode.h"
#include "fixture.h"

struct golden {
    u32 mode;
    const char *hex;
    const char *text;
};

/* clang-format off */
static const struct golden goldens[] = {
    { FX_64, "4801c8",               "add rax,rcx" },
    { FX_64, "00fc",                 "add ah,bh" },
    { FX_64, "4000fc",               "add spl,dil" },
    { FX_64, "450fb6c7",             "movzx r8d,r15b" },
    { FX_64, "480fbf08",             "movsx rcx,WORD PTR [rax]" },
    { FX_64, "4863c8",               "movsxd rcx,eax" },
    { FX_64, "4b8b84f578563412",     "mov rax,QWORD PTR [r13+r14*8+0x12345678]" },
    { FX_64, "8b45fc",               "mov eax,DWORD PTR [rbp-0x4]" },
    { FX_64, "658b042510000000",     "mov eax,DWORD PTR gs:[0x10]" },
    { FX_64, "678b4304",             "mov eax,DWORD PTR [ebx+0x4]" },
    { FX_64, "8b0510000000",         "mov eax,DWORD PTR [rip 0x1016]" },
    { FX_64, "48a18877665544332211", "mov rax,ds:0x1122334455667788" },
    { FX_64, "48b88877665544332211", "mov rax,0x1122334455667788" },
    { FX_64, "83c0ff",               "add eax,0xffffffff" },
    { FX_64, "6683c0ff",             "add ax,0xffff" },
    { FX_64, "f0480fb10f",           "lock cmpxchg QWORD PTR [rdi],rcx" },
    { FX_64, "f0480fc70f",           "lock cmpxchg16b XMMWORD PTR [rdi]" },
    { FX_64, "d1e0",                 "shl eax,1" },
    { FX_64, "c1f803",               "sar eax,0x3" },
    { FX_64, "48d3ef",               "shr rdi,cl" },
    { FX_64, "480fa5d8",             "shld rax,rbx,cl" },
    { FX_64, "69c078563412",         "imul eax,eax,0x12345678" },
    { FX_64, "486bc0ff",             "imul rax,rax,0xffffffffffffffff" },
    { FX_64, "74fe",                 "je 0x1000" },
    { FX_64, "0f8f00010000",         "jg 0x1106" },
    { FX_64, "e8fbffffff",           "call 0x1000" },
    { FX_64, "ff1425785634f2",       "call QWORD PTR [0xfffffffff2345678]" },
    { FX_64, "41ffd3",               "call r11" },
    { FX_64, "ff28",                 "jmp far FWORD PTR [rax]" },
    { FX_64, "c3",                   "ret" },
    { FX_64, "c21000",               "ret 0x10" },
    { FX_64, "c8341205",             "enter 0x1234,0x5" },
    { FX_64, "4154",                 "push r12" },
    { FX_64, "6aff",                 "push 0xffffffffffffffff" },
    { FX_64, "8f4008",               "pop QWORD PTR [rax+0x8]" },
    { FX_64, "f348a5",               "rep movsq QWORD PTR es:[rdi],QWORD PTR ds:[rsi]" },
    { FX_64, "f2ae",                 "repnz scasb al,BYTE PTR es:[rdi]" },
    { FX_64, "64ad",                 "lodsd eax,DWORD PTR fs:[rsi]" },
    { FX_64, "98",                   "cwde" },
    { FX_64, "6698",                 "cbw" },
    { FX_64, "4898",                 "cdqe" },
    { FX_64, "4899",                 "cqo" },
    { FX_64, "0f94c0",               "sete al" },
    { FX_64, "480f4cc1",             "cmovl rax,rcx" },
    { FX_64, "c442a8f2c3",           "andn r8,r10,r11" },
    { FX_64, "c4e37bf0c203",         "rorx eax,edx,0x3" },
    { FX_64, "c4e2f1f6c2",           NULL },
    { FX_64, "0f20c0",               "mov rax,cr0" },
    { FX_64, "440f22c0",             "mov cr8,rax" },
    { FX_64, "0f21f8",               "mov rax,dr7" },
    { FX_64, "8ed8",                 "mov ds,ax" },
    { FX_64, "8cd0",                 "mov eax,ss" },
    { FX_64, "e480",                 "in al,0x80" },
    { FX_64, "ef",                   "out dx,eax" },
    { FX_64, "0f0118",               "lidt TBYTE PTR [rax]" },
    { FX_64, "e3fe",                 "jrcxz 0x1000" },
    { FX_64, "67e3fd",               "jecxz 0x1000" },
    { FX_64, "f30f1efa",             "endbr64" },
    { FX_64, "660f1f440000",         "nop WORD PTR [rax+rax*1]" },
    { FX_32, "8b03",                 "mov eax,DWORD PTR [ebx]" },
    { FX_32, "678b4002",             "mov eax,DWORD PTR [bx+si+0x2]" },
    { FX_32, "8b05f0ffffff",         "mov eax,DWORD PTR [0xfffffff0]" },
    { FX_32, "ea785634120800",       "jmp far 0x8:0x12345678" },
    { FX_32, "1e",                   "push ds" },
    { FX_32, "60",                   "pusha" },
    { FX_32, "c400",                 "les eax,FWORD PTR [eax]" },
    { FX_32, "62c174c9",             NULL },
    { FX_16, "8b46fe",               "mov ax,WORD PTR [bp-0x2]" },
    { FX_16, "8b0634f2",             "mov ax,WORD PTR [0xf234]" },
    { FX_16, "2e668b07",             "mov eax,DWORD PTR cs:[bx]" },
    { FX_16, "e90000",               "jmp 0x1003" },
    { FX_16, "e900f0",               "jmp 0x3" },
    { FX_16, "cf",                   "iret" },
    { FX_16, "d40a",                 "aam 0xa" },
    { FX_16, "9a34120010",           "call far 0x1000:0x1234" },
};
/* clang-format on */

static size_t hex_bytes(const char *hex, u8 *bytes)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (u8)strtoul((const char[]){ hex[2 * i], hex[2 * i + 1], 0 }, NULL, 16);
    return n;
}

static void instructions_print_as_in_the_manual(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(goldens); i++) {
        const struct golden *g = &goldens[i];
        struct insn in;
        u8 bytes[16];
        char text[96];
        size_t n = hex_bytes(g->hex, bytes);
        enum decode_result result = decode_insn(bytes, n, g->mode, fx_features, &in);

        if (!g->text) {
            assert_true(result != DECODE_OK || in.len != n);
            continue;
        }
        assert_int_equal(result, DECODE_OK);
        assert_int_equal(in.len, n);
        assert_string_equal(insn_print(&in, 0x1000, g->mode, text, sizeof(text)), g->text);
    }
}

static void placed_instructions_print_the_same(void **state)
{
    static const u8 branch[] = { 0x74, 0xFE }, load[] = { 0x8B, 0x05, 0x10, 0, 0, 0 };
    struct insn in;
    char text[96];

    (void)state;
    decode_insn(branch, sizeof(branch), FX_64, fx_features, &in);
    insn_place(&in, 0x20);
    assert_string_equal(insn_print(&in, 0x1000, FX_64, text, sizeof(text)), "je 0x1000");
    decode_insn(load, sizeof(load), FX_64, fx_features, &in);
    insn_place(&in, 0x20);
    assert_string_equal(insn_print(&in, 0x1000, FX_64, text, sizeof(text)),
                        "mov eax,DWORD PTR [rip 0x1016]");
}

static void short_buffers_are_not_overrun(void **state)
{
    static const u8 bytes[] = { 0xF0, 0x48, 0x0F, 0xB1, 0x0F };
    struct insn in;

    (void)state;
    decode_insn(bytes, sizeof(bytes), FX_64, fx_features, &in);
    for (size_t size = 1; size < 40; size++) {
        char *text = test_malloc(size);

        insn_print(&in, 0, FX_64, text, size);
        assert_true(strlen(text) < size);
        assert_memory_equal(text, "lock cmpxchg QWORD PTR [rdi],rcx", strlen(text));
        test_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_print_as_in_the_manual),
        cmocka_unit_test(placed_instructions_print_the_same),
        cmocka_unit_test(short_buffers_are_not_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
