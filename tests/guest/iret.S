/* SPDX-License-Identifier: MIT */
/* IRETQ: within ring 0, to ring 3, to compatibility mode, and what it refuses (SDM vol. 2A, IRET). */
#include "lib/guest.h"

#define FRAME (FREE_MEMORY + 0x100000)

/* IRET_TO cs, rflags, ss: to label 1 after it, on the present stack. */
.macro IRET_TO cs, rflags, ss
    mov     rax, rsp
    push    \ss
    push    rax
    push    \rflags
    push    \cs
    push    offset 1f
    iretq
1:
.endm

    .code64
    .text
    .globl  guest_main
guest_main:
    call    region_init
    REGION_PAGE 0, FRAME + PTE_P + PTE_W + PTE_U
    mov     byte ptr [FRAME], 0x0F  /* ud2 */
    mov     byte ptr [FRAME + 1], 0x0B

    mov     rbx, rsp
    IRET_TO SEL_CODE64, (2 + FLAG_CF), SEL_DATA
    CHECK_FLAG "iret loads the flags", c
    mov     rcx, rsp
    CHECK   "and rsp, within ring 0 too", rcx, rbx
    TRY
    IRET_TO SEL_CODE64, 2, 0
    CATCH_NONE "a null ss is good in ring 0 of 64-bit mode"
    mov     eax, ss
    CHECK   "it is loaded", rax, 0
    mov     eax, SEL_DATA
    mov     ss, eax
    TRY
    IRET_TO 0, 2, SEL_DATA
    CATCH   "a null cs", VEC_GP
    TRY
    IRET_TO SEL_DATA, 2, SEL_DATA
    CATCH   "a data segment as cs", VEC_GP, SEL_DATA
    TRY
    IRET_TO (SEL_USER_CODE64 + 3), 2, SEL_DATA
    CATCH   "ss of ring 0 with cs of ring 3", VEC_GP, SEL_DATA
    TRY
    IRET_TO (SEL_USER_CODE64 + 3), 2, 0
    CATCH   "a null ss for ring 3, of 64-bit mode", VEC_GP
    mov     rax, 0x8000000000000000
    TRY
    push    SEL_DATA
    push    rbx
    push    2
    push    SEL_CODE64
    push    rax
    iretq
    CATCH   "a rip that is not canonical", VEC_GP

    /* To ring 3: flags, and back by ud2. */
    TRY
    push    SEL_USER_DATA + 3
    push    0x5678
    push    0x3002 | FLAG_CF | FLAG_AC /* IOPL 3 */
    push    SEL_USER_CODE64 + 3
    push    r15
    iretq
    CATCH   "to ring 3", VEC_UD
    CHECK   "its cs", [trap_cs], (SEL_USER_CODE64 + 3)
    CHECK   "its ss", [trap_ss], (SEL_USER_DATA + 3)
    CHECK   "its rsp", [trap_rsp], 0x5678
    mov     rax, [trap_rflags]
    and     eax, ~FLAG_RF
    CHECK   "its flags", rax, (0x3002 | FLAG_CF | FLAG_AC)
    /* Data segments that ring 3 may not have become null. */
    mov     eax, SEL_DATA
    mov     es, eax
    TRY
    mov     rdi, r15
    call    user_call
    CATCH   "to ring 3 with es of ring 0", VEC_UD
    mov     eax, es
    CHECK   "es is null then", rax, 0
    mov     eax, SEL_DATA
    mov     ds, eax
    mov     es, eax
    /* To compatibility mode in ring 3: a free page becomes a user page. */
    or      qword ptr [page_pd + 8 * (FREE_MEMORY >> 21)], PTE_U
    mov     rax, cr3
    mov     cr3, rax
    mov     dword ptr [FREE_MEMORY], 0x0B0F40 /* inc eax; ud2 (in 64-bit mode: rex; ud2) */
    mov     ebx, 0x1234
    TRY
    push    SEL_USER_DATA + 3
    push    0x5678
    push    2
    push    SEL_USER_CODE32 + 3
    push    FREE_MEMORY
    mov     eax, 0x41
    iretq
    CATCH   "to compatibility mode", VEC_UD
    CHECK   "it runs 32-bit code", rax, 0x42
    CHECK   "its cs", [trap_cs], (SEL_USER_CODE32 + 3)
    CHECK   "its rip", [trap_rip], (FREE_MEMORY + 1)
    pushfq
    or      qword ptr [rsp], FLAG_NT
    popfq
    TRY
    IRET_TO SEL_CODE64, 2, SEL_DATA
    CATCH   "iret with NT", VEC_GP
    /* iretd takes 32-bit fields. */
    TRY
    mov     rax, rsp
    sub     rsp, 20
    mov     dword ptr [rsp], offset 1f
    mov     dword ptr [rsp + 4], SEL_CODE64
    mov     dword ptr [rsp + 8], 2 + FLAG_CF
    mov     [rsp + 12], eax
    mov     dword ptr [rsp + 16], SEL_DATA
    iretd
1:  CATCH_NONE "iretd"
    ret
