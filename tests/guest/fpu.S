/* SPDX-License-Identifier: MIT */
/* SIMD and x87 state: enabled and disabled, kept over exceptions, interrupts and system instructions; faults of memory
 * operands; unmasked exceptions (SDM vol. 1, chapters 8 to 13, and vol. 3A, chapter 14). Each function runs often
 * before the state changes under it. */
#include "lib/guest.h"

#define OUT FREE_MEMORY
#define IMAGE (FREE_MEMORY + 0x1000)
#define CODE (FREE_MEMORY + 0x2000)
#define FRAME (FREE_MEMORY + 0x100000)
#define VEC_TIMER 0x40
#define OFTEN 50

    .code64
    .text
    .globl  guest_main
guest_main:
    call    region_init
    HANDLE  0x41, on_int
    HANDLE  VEC_TIMER, on_timer
    fninit
    call    disabled
    call    kept
    call    avx_kept
    call    x87_kept
    call    mmx
    call    page_faults
    call    alignment
    call    stores_over_code
    call    controls
    call    unmasked
    call    interrupted
    ret

/* rdi: a function to call often. Changes rbp. */
often:
    mov     ebp, OFTEN
1:  call    rdi
    dec     ebp
    jnz     1b
    ret

add_vectors:
    movaps  xmm0, [one_to_four]
add_vectors_second:
    addps   xmm0, [one_to_four]
    movaps  [OUT], xmm0
    ret

disabled:
    mov     edi, offset add_vectors
    call    often
    CHECK_32 "addps", [OUT + 12], 0x41000000 /* 8.0 */
    mov     rbx, cr0
    mov     rax, rbx
    or      eax, CR0_TS
    mov     cr0, rax
    TRY
    call    add_vectors
    CATCH   "sse with cr0.TS", VEC_NM
    CHECK_AT "at the first such instruction", [trap_rip], add_vectors
    TRY
    call    x87_sum
    CATCH   "x87 with cr0.TS", VEC_NM
    clts
    mov     dword ptr [OUT + 12], 0
    call    add_vectors
    CHECK_32 "it goes on after clts", [OUT + 12], 0x41000000
    mov     rax, rbx
    or      eax, 4                  /* EM */
    mov     cr0, rax
    TRY
    call    add_vectors
    CATCH   "sse with cr0.EM", VEC_UD
    TRY
    call    x87_sum
    CATCH   "x87 with cr0.EM", VEC_NM
    mov     cr0, rbx
    mov     rbx, cr4
    mov     rax, rbx
    and     eax, ~CR4_OSFXSR
    mov     cr4, rax
    TRY
    call    add_vectors
    CATCH   "sse without cr4.OSFXSR", VEC_UD
    mov     cr4, rbx
    call    add_vectors
    CHECK_32 "sse is back", [OUT + 12], 0x41000000
    ret

x87_sum:
    fld1
    fldpi
    faddp
x87_sum_last:
    fstp    qword ptr [OUT]
    ret

/* xmm0 to xmm15 := rax + number in both halves. */
.macro FILL_XMM n
    lea     rcx, [rax + \n]
    movq    xmm\n, rcx
    punpcklqdq xmm\n, xmm\n
.endm

fill:
    FILL_XMM 0
    FILL_XMM 1
    FILL_XMM 2
    FILL_XMM 3
    FILL_XMM 4
    FILL_XMM 5
    FILL_XMM 6
    FILL_XMM 7
    FILL_XMM 8
    FILL_XMM 9
    FILL_XMM 10
    FILL_XMM 11
    FILL_XMM 12
    FILL_XMM 13
    FILL_XMM 14
    FILL_XMM 15
    ret

.macro ADD_XMM n
    paddq   xmm0, xmm\n
.endm

/* rcx := sum of both halves of all. */
sum:
    ADD_XMM 1
    ADD_XMM 2
    ADD_XMM 3
    ADD_XMM 4
    ADD_XMM 5
    ADD_XMM 6
    ADD_XMM 7
    ADD_XMM 8
    ADD_XMM 9
    ADD_XMM 10
    ADD_XMM 11
    ADD_XMM 12
    ADD_XMM 13
    ADD_XMM 14
    ADD_XMM 15
    movhlps xmm1, xmm0
    paddq   xmm0, xmm1
    movq    rcx, xmm0
    ret

on_int:
    movaps  [IMAGE], xmm3
    pxor    xmm3, xmm3
    pcmpeqd xmm3, xmm3
    movaps  xmm3, [IMAGE]
    ret

/* Things that leave translated code, with registers in use before and after. */
kept:
    xor     esi, esi
    mov     ebp, OFTEN
1:  mov     eax, ebp
    imul    eax, eax, 12345
    push    rax
    call    fill
    push    rbp
    xor     eax, eax
    cpuid
    pop     rbp
    rdtsc
    int     0x41
    mov     edx, COM1 + 7
    in      al, dx
    mov     rax, cr3
    mov     cr3, rax
    movdqu  xmm3, xmm3
    xor     ecx, ecx
    rep     lodsb
    call    sum
    pop     rax
    shl     rax, 5
    add     rax, 240
    cmp     rax, rcx
    je      2f
    inc     esi
2:  dec     ebp
    jnz     1b
    CHECK   "registers keep their values over exceptions and system instructions", rsi, 0
    mov     eax, 1000
    call    fill
    fxsave64 [IMAGE]
    mov     rax, [IMAGE + 160 + 16 * 15]
    CHECK   "fxsave shows them", rax, 1015
    mov     qword ptr [IMAGE + 160 + 16 * 15], 2015
    fxrstor64 [IMAGE]
    movq    rax, xmm15
    CHECK   "fxrstor loads them", rax, 2015
    ret

avx_kept:
    mov     eax, 1
    cpuid
    bt      ecx, 28
    jc      1f
    SKIP    "registers of 256 bits"
    ret
1:  mov     edi, offset avx_add
    TRY
    call    avx_add
    CATCH   "avx without cr4.OSXSAVE", VEC_UD
    mov     rax, cr4
    or      eax, 0x40000
    mov     cr4, rax
    TRY
    call    avx_add
    CATCH   "avx that xcr0 does not allow", VEC_UD
    xor     ecx, ecx
    xor     edx, edx
    mov     eax, 7
    xsetbv
    mov     edi, offset avx_add
    call    often
    mov     rax, [OUT + 24]
    CHECK   "vpaddq of 256 bits", rax, 16
    xor     ecx, ecx
    xor     edx, edx
    mov     eax, 3
    xsetbv
    mov     edi, offset avx_add
    TRY
    call    avx_add
    CATCH   "avx that xcr0 allows no more", VEC_UD
    xor     ecx, ecx
    xor     edx, edx
    mov     eax, 7
    xsetbv
    vmovdqu ymm9, [vector_256]
    mov     eax, 0x80
    movq    xmm9, rax               /* keeps the upper half */
    int     0x41
    vmovdqu [OUT], ymm9
    mov     rax, [OUT + 24]
    CHECK   "legacy sse keeps upper halves", rax, 8
    vmovdqu ymm9, [vector_256]
    vmovdqu xmm9, xmm9
    int     0x41
    vmovdqu [OUT], ymm9
    mov     rax, [OUT + 24]
    CHECK   "vex of 128 bits clears them", rax, 0
    vmovdqu ymm9, [vector_256]
    vzeroupper
    int     0x41
    vmovdqu [OUT], ymm9
    mov     rax, [OUT + 16]
    CHECK   "vzeroupper", rax, 0
    ret

avx_add:
    vmovdqu ymm0, [vector_256]
    vpaddq  ymm1, ymm0, [vector_256]
    vmovdqu [OUT], ymm1
    ret

x87_kept:
    mov     edi, offset x87_sum
    call    often
    mov     rax, 0x401090FDAA22168C
    CHECK   "1 + pi", [OUT], rax
    xor     esi, esi
    mov     ebp, OFTEN
1:  fldpi
    fld1
    int     0x41
    mov     rax, cr3
    mov     cr3, rax
    faddp
    in      al, 0x61
    fstp    qword ptr [OUT]
    mov     rax, 0x401090FDAA22168C
    cmp     [OUT], rax
    je      2f
    inc     esi
2:  dec     ebp
    jnz     1b
    CHECK   "the x87 stack is kept over an exception", rsi, 0
    fninit
    mov     edi, offset x87_sum
    call    often
    fxsave64 [IMAGE]
    IF_TCG  1f
    mov     rax, [IMAGE + 8]
    mov     edx, offset x87_sum_last
    test    rax, rax
    cmovz   rax, rdx
    CHECK   "fip is the address of the last x87 instruction, or zero", rax, rdx
    jmp     2f
1:  SKIP    "fip is the address of the last x87 instruction, or zero"
2:  ret

mmx:
    mov     ebp, OFTEN
1:  fninit
    fldz
    mov     eax, 7
    movd    mm1, eax
    paddd   mm1, mm1
    int     0x41
    paddd   mm1, mm1
    movd    ebx, mm1
    fxsave64 [IMAGE]
    emms
    dec     ebp
    jnz     1b
    CHECK   "mmx registers", rbx, 28
    movzx   eax, byte ptr [IMAGE + 4]
    CHECK   "mmx makes all tags valid", rax, 0xFF
    movzx   eax, word ptr [IMAGE + 2]
    CHECK   "and the top of the stack 0", rax, 0
    fxsave64 [IMAGE]
    movzx   eax, byte ptr [IMAGE + 4]
    CHECK   "emms makes them empty", rax, 0
    ret

store_at_rbx:
    movups  [rbx], xmm0
    ret

load_at_rbx:
    movups  xmm1, [rbx]
    ret

page_faults:
    REGION_PAGE 0, FRAME + PTE_P + PTE_W
    REGION_PAGE 1, 0
    mov     eax, 0x77
    movq    xmm0, rax
    mov     rbx, r15
    mov     edi, offset store_at_rbx
    call    often
    mov     edi, offset load_at_rbx
    call    often
    lea     rbx, [r15 + 0xFF8]
    mov     qword ptr [rbx], 0x5555
    TRY
    call    store_at_rbx
    CATCH   "a store over a page end, the second page absent", VEC_PF, PF_W
    lea     rax, [r15 + 0x1000]
    CHECK   "its address is the second page", [trap_cr2], rax
    CHECK   "nothing was stored", [rbx], 0x5555
    pcmpeqd xmm1, xmm1
    TRY
    call    load_at_rbx
    CATCH   "a load over a page end, the second page absent", VEC_PF, 0
    movq    rax, xmm1
    CHECK   "the register is as before", rax, -1
    REGION_PAGE 1, FRAME + 0x3000 + PTE_P + PTE_W
    call    store_at_rbx
    call    load_at_rbx
    movq    rax, xmm1
    CHECK   "a store and a load over a page end", rax, 0x77
    CHECK   "with the right bytes", [FRAME + 0xFF8], 0x77
    REGION_PAGE 0, FRAME + PTE_P
    mov     rbx, r15
    TRY
    call    store_at_rbx
    CATCH   "a store to a page that may not be written", VEC_PF, (PF_P + PF_W)
    ret

aligned_at_rbx:
    movaps  xmm1, [rbx]
    ret

operand_at_rbx:
    paddd   xmm1, [rbx]
    ret

alignment:
    mov     ebx, OUT
    mov     edi, offset aligned_at_rbx
    call    often
    mov     edi, offset operand_at_rbx
    call    often
    mov     ebx, OUT + 8
    push    rbx
    IF_TCG  1f
    pop     rbx
    TRY
    call    aligned_at_rbx
    CATCH   "movaps from an address that is not aligned", VEC_GP
    TRY
    call    operand_at_rbx
    CATCH   "an operand of 16 bytes that is not aligned", VEC_GP
    jmp     2f
1:  pop     rbx
    SKIP    "operands that are not aligned"
2:  ret

/* A store of 16 bytes over the instruction that comes next. */
stores_over_code:
    xor     esi, esi
    mov     ebp, OFTEN
1:  mov     [new_code + 1], bpl
    movups  xmm0, [new_code]
    movups  [2f], xmm0
2:  mov     al, 3
    .fill   14, 1, 0x90
    movzx   eax, al
    cmp     eax, ebp
    je      3f
    inc     esi
3:  dec     ebp
    jnz     1b
    CHECK   "movups over the next instruction", rsi, 0
    ret

/* Rounding and flags. */
controls:
    mov     ebp, OFTEN
1:  mov     dword ptr [OUT], 0x1F80
    ldmxcsr [OUT]
    movss   xmm0, [one]
    divss   xmm0, [three]
    movd    eax, xmm0
    stmxcsr [OUT]
    mov     ebx, [OUT]
    mov     dword ptr [OUT], 0x5F80 /* up */
    ldmxcsr [OUT]
    movss   xmm0, [one]
    divss   xmm0, [three]
    movd    ecx, xmm0
    cvtss2si edx, [one_and_a_bit]
    mov     dword ptr [OUT], 0x1F80
    ldmxcsr [OUT]
    cvtss2si esi, [one_and_a_bit]
    dec     ebp
    jnz     1b
    CHECK   "1 / 3 to nearest", rax, 0x3EAAAAAB
    CHECK   "mxcsr tells that it is inexact", rbx, 0x1FA0
    CHECK   "1 / 3 upward", rcx, 0x3EAAAAAB
    CHECK   "conversion upward", rdx, 2
    CHECK   "conversion to nearest", rsi, 1
    fninit
    mov     ebp, OFTEN
2:  mov     word ptr [OUT], 0xF7F   /* toward zero */
    fldcw   [OUT]
    fld     dword ptr [two_thirds]
    fistp   dword ptr [OUT + 4]
    mov     word ptr [OUT], 0x37F
    fldcw   [OUT]
    fld     dword ptr [two_thirds]
    fistp   dword ptr [OUT + 8]
    fnstcw  [OUT + 12]
    dec     ebp
    jnz     2b
    CHECK_32 "fistp toward zero", [OUT + 4], 0
    CHECK_32 "fistp to nearest", [OUT + 8], 1
    movzx   eax, word ptr [OUT + 12]
    CHECK   "fnstcw", rax, 0x37F
    mov     dword ptr [OUT], 0x11F80
    TRY
    ldmxcsr [OUT]
    CATCH   "ldmxcsr with a reserved bit", VEC_GP
    ret

divide_sse:
    movss   xmm0, [one]
divide_sse_last:
    divss   xmm0, [zero]
    ret

divide_x87:
    fld1
    fdiv    dword ptr [zero]
    nop
divide_x87_wait:
    fwait
    fninit
    ret

unmasked:
    mov     edi, offset divide_sse
    call    often
    movd    eax, xmm0
    CHECK   "1 / 0 is infinite", rax, 0x7F800000
    fninit
    mov     edi, offset divide_x87
    call    often
    push    rbx
    IF_TCG  1f
    pop     rbx
    mov     dword ptr [OUT], 0x1D80 /* ZM clear */
    ldmxcsr [OUT]
    TRY
    call    divide_sse
    CATCH   "an unmasked division by zero", VEC_XM
    CHECK_AT "at the instruction", [trap_rip], divide_sse_last
    movd    eax, xmm0
    CHECK   "which has changed no register", rax, 0x3F800000
    stmxcsr [OUT]
    CHECK_32 "but the flag in mxcsr", [OUT], 0x1D84
    mov     dword ptr [OUT], 0x1F80
    ldmxcsr [OUT]
    call    divide_sse
    jmp     2f
1:  pop     rbx
    SKIP    "an unmasked division by zero"
2:  mov     word ptr [OUT], 0x37B   /* ZM clear */
    fninit
    fldcw   [OUT]
    TRY
    call    divide_x87
    CATCH   "an unmasked x87 exception", VEC_MF
    CHECK_AT "at the next waiting instruction", [trap_rip], divide_x87_wait
    fninit
    call    divide_x87
    ret

on_timer:
    inc     dword ptr [ticks]
    fxsave64 [IMAGE]
    pcmpeqd xmm0, xmm0
    pcmpeqd xmm15, xmm15
    fninit
    fldl2t
    fxrstor64 [IMAGE]
    LAPIC_WRITE LAPIC_EOI, 0
    ret

/* Sums by SIMD and x87, with timer interrupts whose handler uses both. */
interrupted:
    LAPIC_WRITE LAPIC_SVR, 0x1FF
    LAPIC_WRITE LAPIC_TIMER_DIVIDE, 0xB
    LAPIC_WRITE LAPIC_LVT_TIMER, (VEC_TIMER + LVT_PERIODIC)
    LAPIC_WRITE LAPIC_TIMER_INITIAL, 300000
    fninit
    fldz
    pxor    xmm0, xmm0
    movaps  xmm15, [ones_int]
    mov     ebx, 3000000
    sti
1:  paddd   xmm0, xmm15
    fld1
    faddp
    dec     ebx
    jnz     1b
    cli
    LAPIC_WRITE LAPIC_TIMER_INITIAL, 0
    fistp   qword ptr [OUT]
    movd    eax, xmm0
    CHECK   "a SIMD sum over interrupts", rax, 3000000
    mov     rax, [OUT]
    CHECK   "an x87 sum over interrupts", rax, 3000000
    xor     eax, eax
    cmp     dword ptr [ticks], 0
    setne   al
    CHECK   "there were some", rax, 1
    ret

    .data
    .balign 32
one_to_four:
    .float  1, 2, 3, 4
ones_int:
    .long   1, 1, 1, 1
vector_256:
    .quad   2, 4, 6, 8
one:
    .float  1
zero:
    .float  0
three:
    .float  3
one_and_a_bit:
    .float  1.25
two_thirds:
    .float  0.6666
new_code:
    mov     al, 3
    .fill   14, 1, 0x90
ticks:
    .long   0
