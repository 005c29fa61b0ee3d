/* SPDX-License-Identifier: MIT */
/* Code that changes code: ahead in the same block, behind, itself, by strings, through another mapping, over a page
 * end (SDM vol. 3A, 11.6: after a branch the change must be seen; x86 CPUs see it at once). */
#include "lib/guest.h"

#define CODE FREE_MEMORY
#define FRAME (FREE_MEMORY + 0x100000)

    .code64
    .text
    .globl  guest_main
guest_main:
    call    region_init
    call    ahead
    call    loops
    call    called
    call    strings
    call    aliases
    call    page_end
    call    data_beside
    ret

ahead:
    xor     eax, eax
    mov     byte ptr [1f + 1], 7
    jmp     1f
1:  mov     al, 3
    CHECK   "the operand of an instruction behind a jump", rax, 7
    xor     eax, eax
    mov     byte ptr [2f + 1], 9
2:  mov     al, 3
    CHECK   "the operand of the very next instruction", rax, 9
    /* An instruction becomes a shorter one, and a nop. */
    mov     ebx, 5
    mov     dword ptr [3f], 0x90C3FF48 /* inc rbx; nop */
    jmp     3f
3:  nop
    nop
    nop
    nop
    CHECK   "nops that become an instruction", rbx, 6
    ret

/* A loop whose body is changed by each turn. */
loops:
    xor     ebx, ebx
    mov     ecx, 100
1:  mov     byte ptr [2f + 2], cl
2:  add     ebx, 0x7F
    dec     ecx
    jnz     1b
    CHECK   "a loop that changes its own body", rbx, 5050
    ret

called:
    mov     rdi, CODE
    mov     dword ptr [rdi], 0x000001B8 /* mov eax, imm32; ret */
    mov     dword ptr [rdi + 4], 0xC300
    xor     esi, esi
    mov     ecx, 1000
1:  mov     [rdi + 1], ecx
    push    rcx
    call    rdi
    pop     rcx
    cmp     eax, ecx
    je      2f
    inc     esi
2:  dec     ecx
    jnz     1b
    CHECK   "a function that is written before each call", rsi, 0
    /* By bytes of one word, from another instruction in the same line. */
    mov     byte ptr [rdi + 4], 0x12
    call    rdi
    CHECK   "one byte of an operand", rax, 0x12000001
    ret

strings:
    mov     edi, CODE
    mov     esi, offset function_1
    mov     ecx, offset function_1_end - function_1
    rep     movsb
    mov     edx, CODE
    call    rdx
    mov     ebx, eax
    mov     edi, CODE
    mov     esi, offset function_2
    mov     ecx, offset function_2_end - function_2
    rep     movsb
    call    rdx
    shl     eax, 8
    or      ebx, eax
    CHECK   "code copied over code by rep movsb", rbx, 0x0201
    mov     eax, 0xC3C3C3C3
    mov     edi, CODE
    mov     ecx, 4
    rep     stosd
    mov     eax, 5
    call    rdx
    CHECK   "code filled by rep stosd", rax, 5
    ret

function_1:
    mov     eax, 1
    ret
function_1_end:
function_2:
    mov     eax, 2
    ret
function_2_end:

/* Run at one address, written at another. */
aliases:
    REGION_PAGE 0, FRAME + PTE_P + PTE_W
    REGION_PAGE 1, FRAME + PTE_P + PTE_W
    mov     edi, FRAME
    mov     esi, offset function_1
    mov     ecx, offset function_1_end - function_1
    rep     movsb
    call    r15
    mov     ebx, eax
    mov     byte ptr [r15 + 0x1001], 0x22
    call    r15
    shl     eax, 8
    or      ebx, eax
    mov     byte ptr [FRAME + 1], 0x33
    lea     rdx, [r15 + 0x1000]
    call    rdx
    shl     eax, 16
    or      ebx, eax
    CHECK   "written through another mapping", rbx, 0x332201
    /* Another page at the address that ran. */
    mov     edi, FRAME + 0x1000
    mov     esi, offset function_2
    mov     ecx, offset function_2_end - function_2
    rep     movsb
    REGION_PAGE 0, FRAME + 0x1000 + PTE_P + PTE_W
    call    r15
    CHECK   "another page at the same address", rax, 2
    ret

/* An instruction over a page end; each half changed in turn. */
page_end:
    REGION_PAGE 0, FRAME + PTE_P + PTE_W
    REGION_PAGE 1, FRAME + 0x3000 + PTE_P + PTE_W
    mov     word ptr [r15 + 0xFFD], 0x11B8 /* mov eax, 0x44332211; ret */
    mov     byte ptr [r15 + 0xFFF], 0x22
    mov     dword ptr [r15 + 0x1000], 0xC34433
    lea     rdx, [r15 + 0xFFD]
    call    rdx
    CHECK   "an instruction over a page end", rax, 0x44332211
    mov     byte ptr [r15 + 0x1000], 0x55
    call    rdx
    CHECK   "its second half is written", rax, 0x44552211
    mov     byte ptr [r15 + 0xFFE], 0x66
    call    rdx
    CHECK   "its first half is written", rax, 0x44552266
    REGION_PAGE 1, FRAME + 0x5000 + PTE_P + PTE_W
    mov     dword ptr [FRAME + 0x5000], 0xC37788
    call    rdx
    CHECK   "another page under its second half", rax, 0x77882266
    ret

/* Data in the page of code: many writes, the code stays as it is. */
data_beside:
    mov     edi, CODE
    mov     esi, offset function_1
    mov     ecx, offset function_1_end - function_1
    rep     movsb
    mov     edx, CODE
    xor     esi, esi
    mov     ecx, 10000
1:  mov     [CODE + 64], ecx
    call    rdx
    add     esi, eax
    dec     ecx
    jnz     1b
    CHECK   "data beside code", rsi, 10000
    ret
