/* SPDX-License-Identifier: MIT */
/* String instructions: counts, directions, address sizes, overlap, and interrupts in the middle (SDM vol. 2B, REP). */
#include "lib/guest.h"

#define A FREE_MEMORY
#define B (FREE_MEMORY + 0x10000)
#define BIG 0x400000

    .code64
    .text
    .globl  guest_main
guest_main:
    /* A pattern in A. */
    xor     ecx, ecx
1:  mov     eax, ecx
    imul    eax, eax, 37
    mov     [A + rcx], al
    inc     ecx
    cmp     ecx, 4096
    jb      1b

    mov     esi, A
    mov     edi, B
    mov     ecx, 1000
    rep     movsb
    CHECK   "rep movsb: rcx", rcx, 0
    CHECK   "rep movsb: rsi", rsi, (A + 1000)
    CHECK   "rep movsb: rdi", rdi, (B + 1000)
    mov     esi, A
    mov     edi, B
    mov     ecx, 2000
    repe    cmpsb
    CHECK   "repe cmpsb stops behind the difference", rcx, 999
    CHECK   "its rsi", rsi, (A + 1001)
    mov     edi, A
    mov     al, 37
    mov     rcx, -1
    repne   scasb
    CHECK_FLAG "repne scasb sets ZF where it finds", e
    CHECK   "and is behind it", rdi, (A + 2)
    mov     esi, A
    xor     ecx, ecx
    cmp     ecx, 1
    rep     movsb
    CHECK_FLAG "a count of 0 leaves the flags", b
    xor     ecx, ecx
    cmp     ecx, 1
    repe    cmpsb
    CHECK_FLAG "also of repe cmpsb", b

    /* Overlap: a pattern of one byte is spread, of eight repeats. */
    mov     byte ptr [B], 0x5A
    mov     esi, B
    mov     edi, B + 1
    mov     ecx, 500
    rep     movsb
    CHECK_32 "movsb over itself spreads a byte", [B + 493], 0x5A5A5A5A
    mov     rax, 0x1122334455667788
    mov     [B], rax
    mov     esi, B
    mov     edi, B + 8
    mov     ecx, 50
    rep     movsq
    mov     rbx, [B + 400]
    CHECK   "movsq over itself repeats eight bytes", rbx, rax
    mov     [B], rax
    mov     esi, B
    mov     edi, B + 3
    mov     ecx, 100
    rep     movsb
    CHECK_32 "movsb at a distance of 3", [B + 90], 0x88667788

    std
    mov     esi, A + 999
    mov     edi, B + 999
    mov     ecx, 1000
    rep     movsb
    cld
    CHECK   "downwards: rdi", rdi, (B - 1)
    mov     esi, A
    mov     edi, B
    mov     ecx, 1000
    repe    cmpsb
    CHECK   "downwards: the copy is whole", rcx, 0

    /* 67h: ecx, esi, edi; the upper halves become 0. */
    mov     rsi, 0xFFFFFFFF00000000 + A
    mov     rdi, 0xFFFFFFFF00000000 + B
    mov     rcx, 0xFFFFFFFF00000010
    addr32 rep movsb
    CHECK   "rep with 67h counts in ecx", rcx, 0
    CHECK   "and moves edi", rdi, (B + 16)
    mov     eax, 0x01020304
    mov     edi, B
    mov     ecx, 4
    rep     stosw
    mov     rbx, [B]
    mov     rax, 0x0304030403040304
    CHECK   "rep stosw", rbx, rax
    mov     esi, B
    lodsq
    mov     rbx, 0x0304030403040304
    CHECK   "lodsq", rax, rbx

    call    interrupted
    call    ports
    ret

/* The timer interrupts a long copy; it must be whole, and resumed at its own address. */
interrupted:
    LAPIC_WRITE LAPIC_SVR, 0x1FF
    HANDLE  0x40, on_timer
    LAPIC_WRITE LAPIC_TIMER_DIVIDE, 0xB
    LAPIC_WRITE LAPIC_LVT_TIMER, 0x20040
    LAPIC_WRITE LAPIC_TIMER_INITIAL, 50000
    mov     ebx, 40
    sti
1:  mov     eax, ebx
    mov     edi, FREE_MEMORY + 0x100000
    mov     ecx, BIG
copy:
    rep     stosb
    mov     edi, FREE_MEMORY + 0x100000
    mov     ecx, BIG
    repe    scasb
    jne     2f
    cmp     dword ptr [inside], 0
    jne     3f
    dec     ebx
    jnz     1b
3:  cli
    LAPIC_WRITE LAPIC_LVT_TIMER, 0x10000
    CHECK   "a long rep stosb is whole, whatever interrupts", rcx, 0
    mov     eax, [inside]
    cmp     eax, 1
    setae   al
    movzx   eax, al
    CHECK   "interrupts come in the middle of rep", rax, 1
    ret
2:  cli
    CHECK   "a long rep stosb is whole, whatever interrupts", rcx, -1
    ret

/* rdi: frame. In the middle: rip is the instruction, and rcx neither the start nor the end. */
on_timer:
    mov     rax, [rdi + 96]
    cmp     rax, offset copy
    jne     1f
    mov     rax, [rdi + 56]         /* rcx */
    dec     rax
    cmp     rax, BIG - 1
    jae     1f
    inc     dword ptr [inside]
1:  LAPIC_WRITE LAPIC_EOI, 0
    ret

/* rep insb from fw_cfg's signature; rep outsb to nowhere. */
ports:
    mov     edx, 0x510
    xor     eax, eax
    out     dx, ax
    mov     edx, 0x511
    mov     edi, B
    mov     ecx, 4
    rep     insb
    CHECK_32 "rep insb", [B], 0x554D4551 /* QEMU */
    mov     edx, 0x80
    mov     esi, A
    mov     ecx, 16
    rep     outsb
    CHECK   "rep outsb", rsi, (A + 16)
    ret

    .bss
    .balign 4
inside:
    .skip   4
