/* SPDX-License-Identifier: MIT */
/* Code that the guest makes while it runs, as its own translators do. */
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define CODE_SIZE 65536u

typedef u64 code_fn(u64 value);

static u8 *code;

static void setup_code(void)
{
    if (!code)
        code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        bench_die("mmap of code");
    memset(code, 0xCC, CODE_SIZE);
}

static u64 code_call(const u8 *at, u64 value)
{
    return ((code_fn *)(uintptr_t)at)(value);
}

/* lea rax, [rdi + imm32]; ret */
static void code_put_add(u8 *at, u32 value)
{
    static const u8 bytes[] = { 0x48, 0x8D, 0x87, 0, 0, 0, 0, 0xC3 };

    memcpy(at, bytes, sizeof(bytes));
    memcpy(at + 3, &value, 4);
}

/* The immediate of a function is changed before each call of it. */
static u64 run_patch(u64 n)
{
    u64 sum = 0;

    code_put_add(code, 0);
    while (n--) {
        u32 value = (u32)(n & 0xFFFF);

        memcpy(code + 3, &value, 4);
        sum = code_call(code, sum);
    }
    return sum;
}

/* New functions of 16 additions, each run once; the room is used again and again. */
static u64 run_generate(u64 n)
{
    u64 sum = 0;
    u32 at = 0;

    while (n--) {
        static const u8 begin[] = { 0x48, 0x89, 0xF8 }; /* mov rax, rdi */
        u8 *p = code + at;

        memcpy(p, begin, sizeof(begin));
        p += sizeof(begin);
        for (u32 i = 0; i < 16; i++) {
            u32 value = (u32)((n + i) & 0x7FFFFF);

            *p++ = 0x48; /* add rax, imm32 */
            *p++ = 0x05;
            memcpy(p, &value, 4);
            p += 4;
        }
        *p = 0xC3;
        sum = code_call(code + at, sum);
        at = (at + 128) % CODE_SIZE;
    }
    return sum;
}

/* mov eax, 1; again: imul rax, rax, 7; add rax, rdi; dec rdi; jnz again; ret */
static u64 run_hot(u64 n)
{
    static const u8 bytes[] = { 0xB8, 1,    0,    0,    0,    0x48, 0x6B, 0xC0, 7,
                                0x48, 0x01, 0xF8, 0x48, 0xFF, 0xCF, 0x75, 0xF4, 0xC3 };

    memcpy(code, bytes, sizeof(bytes));
    return code_call(code, n);
}

/*
 * A counter on the page of the code that counts with it, two 128-byte lines away:
 * again: add [rip + 249], rdi; dec rdi; jnz again; mov rax, [rip + 237]; ret
 */
static u64 run_beside(u64 n)
{
    static const u8 bytes[] = { 0x48, 0x01, 0x3D, 0xF9, 0,    0,    0, 0x48, 0xFF, 0xCF,
                                0x75, 0xF4, 0x48, 0x8B, 0x05, 0xED, 0, 0,    0,    0xC3 };

    memcpy(code, bytes, sizeof(bytes));
    memset(code + 256, 0, 8);
    return code_call(code, n);
}

const struct subtest code_tests[] = {
    { "patch", run_patch, 100, setup_code, NULL, 0 },
    { "generate", run_generate, 100, setup_code, NULL, 0 },
    { "hot-loop", run_hot, 1000, setup_code, NULL, 0 },
    { "data-beside-code", run_beside, 1000, setup_code, NULL, 0 },
    { NULL, NULL, 0, NULL, NULL, 0 },
};
