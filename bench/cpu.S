/* SPDX-License-Identifier: MIT */
/*
 * Loops with known instruction counts, timed by the TSC. Each prints `val NAME CYCLES`; bench/cpu.py knows the counts
 * and this CPU's TSC frequency. Counts are per round of ROUNDS.
 */
#include "lib/guest.h"

#define DATA (FREE_MEMORY)
#define NODES (FREE_MEMORY + 0x100000)

/* MEASURE "name", function: runs it twice, for a warm cache, and prints the second time. */
.macro MEASURE name, function
    call    \function
    rdtsc
    shl     rdx, 32
    lea     r12, [rdx + rax]
    call    \function
    rdtsc
    shl     rdx, 32
    add     rax, rdx
    sub     rax, r12
    VALUE   "\name", rax
.endm

    .code64
    .text
    .globl  guest_main
guest_main:
    MEASURE "arithmetic", arithmetic
    MEASURE "memory", memory
    MEASURE "branches", branches
    MEASURE "calls", calls
    MEASURE "strings", strings
    MEASURE "sse", sse
    MEASURE "faults", faults
    ret

/* 10 instructions a round, 2,000,000 rounds. */
arithmetic:
    mov     ecx, 2000000
    mov     eax, 12345
    mov     ebx, 67890
1:  add     rax, rbx
    xor     rbx, rcx
    lea     rdx, [rax + rbx * 4 + 7]
    rol     rdx, 5
    sub     rax, rdx
    imul    rbx, rbx, 3
    and     rdx, 0xFF
    or      rbx, rdx
    dec     ecx
    jnz     1b
    ret

/* Loads and stores: 8 instructions a round, 2,000,000 rounds. */
memory:
    mov     ecx, 2000000
    mov     esi, DATA
1:  mov     eax, ecx
    and     eax, 0xFFF8
    mov     rdx, [rsi + rax]
    add     rdx, rcx
    mov     [rsi + rax], rdx
    add     [rsi + rax + 8], edx
    dec     ecx
    jnz     1b
    ret

/* Jumps that are hard to foresee: 8.5 instructions a round, 2,000,000 rounds. */
branches:
    mov     ecx, 2000000
    mov     eax, 1
1:  imul    eax, eax, 1103515245
    add     eax, 12345
    bt      eax, 20
    jc      2f
    inc     ebx
2:  bt      eax, 24
    jnc     3f
3:  dec     ecx
    jnz     1b
    ret

/* Calls: 8 instructions a round, 2,000,000 rounds. */
calls:
    mov     ecx, 2000000
1:  call    2f
    dec     ecx
    jnz     1b
    ret
2:  push    rbx
    lea     rbx, [rcx + 3]
    mov     eax, ebx
    pop     rbx
    ret

/* rep movsb and rep stosq: 100 times 1 MiB each; counted in MiB. */
strings:
    mov     ebx, 100
1:  mov     esi, NODES
    mov     edi, NODES + 0x100000
    mov     ecx, 0x100000
    rep     movsb
    mov     edi, NODES
    mov     ecx, 0x100000 / 8
    rep     stosq
    dec     ebx
    jnz     1b
    ret

/* 8 instructions a round, 1,000,000 rounds. */
sse:
    mov     ecx, 1000000
    mov     eax, 3
    cvtsi2sd xmm1, eax
    cvtsi2sd xmm0, ecx
1:  mulsd   xmm0, xmm1
    addsd   xmm0, xmm1
    movaps  xmm2, xmm0
    divsd   xmm0, xmm1
    paddd   xmm3, xmm2
    pxor    xmm3, xmm0
    dec     ecx
    jnz     1b
    ret

/* Exceptions and back: 100,000 of int3, counted in exceptions. */
faults:
    HANDLE  VEC_BP, on_breakpoint
    mov     ecx, 100000
1:  int3
    dec     ecx
    jnz     1b
    ret

on_breakpoint:
    ret
