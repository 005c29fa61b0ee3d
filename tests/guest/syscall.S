/* SPDX-License-Identifier: MIT */
/* SYSCALL, SYSRET, SWAPGS, and the segment bases (SDM vol. 2B and vol. 3A, 5.8.8). */
#include "lib/guest.h"

#define FRAME (FREE_MEMORY + 0x100000)

    .code64
    .text
    .globl  guest_main
guest_main:
    call    region_init
    REGION_PAGE 0, FRAME + PTE_P + PTE_W + PTE_U
    COPY_CODE r15, user_code

    TRY
    syscall
    CATCH   "syscall without EFER.SCE", VEC_UD
    READ_MSR MSR_EFER
    or      eax, EFER_SCE
    xor     edx, edx
    mov     ecx, MSR_EFER
    wrmsr
    WRITE_MSR MSR_STAR, 0, ((SEL_USER_CODE32 + 3) << 16 | SEL_CODE64)
    mov     ebx, offset syscall_entry
    WRITE_MSR MSR_LSTAR, ebx
    WRITE_MSR MSR_SFMASK, (FLAG_IF | FLAG_DF | FLAG_TF)

    /* The way down: SYSRET with r11 and rcx. */
    mov     [kernel_stack], rsp
    mov     rcx, r15
    mov     r11d, 0x246 | FLAG_DF
    xor     ebx, ebx
    TRY
    sysretq

syscall_entry:
    mov     r8, rsp
    mov     rsp, [kernel_stack]
    pushfq
    pop     r9
    mov     r10d, cs
    mov     r12d, ss
    mov     rax, r8
    CHECK   "syscall leaves rsp alone", rax, 0x1234
    lea     rax, [r15 + (user_code_after - user_code)]
    CHECK   "syscall: rcx is the next instruction", rcx, rax
    CHECK   "syscall: r11 has the flags", r11, (0x246 | FLAG_DF)
    CHECK   "syscall masks the flags", r9, 0x46
    CHECK   "syscall: cs", r10, SEL_CODE64
    CHECK   "syscall: ss", r12, SEL_DATA
    CHECK   "sysret: cs", r13, (SEL_USER_CODE64 + 3)
    CHECK   "sysret: ss", r14, (SEL_USER_DATA + 3)
    mov     qword ptr [trap_resume], 0

    /* SYSRET to 32-bit code, SEL_USER_CODE32, below 4 GiB: the free memory becomes user memory. */
    or      qword ptr [page_pd + 8 * (FREE_MEMORY >> 21)], PTE_U
    mov     rax, cr3
    mov     cr3, rax
    COPY_CODE FREE_MEMORY, user_code32
    mov     ecx, FREE_MEMORY
    mov     r11d, 2
    TRY
    .byte   0x0F, 0x07              /* sysret, 32-bit */
    CATCH   "sysret to compatibility mode", VEC_UD
    CHECK   "its cs", [trap_cs], (SEL_USER_CODE32 + 3)
    CHECK   "addresses are 32 bits there", rax, 0x12345678

    mov     rcx, 0x8000000000000000
    TRY
    sysretq
    CATCH   "sysret to an address that is not canonical", VEC_GP
    TRY
    lea     rdi, [r15 + (user_sysret - user_code)]
    call    user_call
    CATCH   "sysret in ring 3", VEC_GP
    TRY
    lea     rdi, [r15 + (user_swapgs - user_code)]
    call    user_call
    CATCH   "swapgs in ring 3", VEC_GP
    TRY
    lea     rdi, [r15 + (user_cli - user_code)]
    call    user_call
    CATCH   "cli in ring 3 without IOPL", VEC_GP
    TRY
    lea     rdi, [r15 + (user_out - user_code)]
    call    user_call
    CATCH   "out in ring 3 without an I/O map", VEC_GP
    TRY
    lea     rdi, [r15 + (user_hlt - user_code)]
    call    user_call
    CATCH   "hlt in ring 3", VEC_GP

    WRITE_MSR MSR_GS_BASE, 0x1000, 0x1
    WRITE_MSR MSR_KERNEL_GS_BASE, 0x2000, 0x2
    swapgs
    READ_MSR MSR_GS_BASE
    mov     rbx, 0x200002000
    CHECK   "swapgs exchanges the bases", rax, rbx
    READ_MSR MSR_KERNEL_GS_BASE
    mov     rbx, 0x100001000
    CHECK   "both of them", rax, rbx
    WRITE_MSR MSR_FS_BASE, FREE_MEMORY
    mov     dword ptr [FREE_MEMORY + 0x40], 0xABCD
    CHECK_32 "fs has a base in 64-bit mode", fs:[0x40], 0xABCD
    mov     eax, SEL_DATA
    mov     fs, eax
    READ_MSR MSR_FS_BASE
    CHECK   "a load of fs takes the descriptor's base", rax, 0
    mov     ecx, MSR_FS_BASE
    mov     edx, 0x80000000
    xor     eax, eax
    TRY
    wrmsr
    CATCH   "a base that is not canonical", VEC_GP
    ret

/* Runs in ring 3, in the region. */
user_code:
    mov     r13d, cs
    mov     r14d, ss
    mov     rsp, 0x1234
    syscall
user_code_after:
user_code32:
    .byte   0xB8                    /* mov eax, imm32 in both modes */
    .long   0x12345678
    ud2
user_code32_end:
user_sysret:
    sysretq
user_swapgs:
    swapgs
user_cli:
    cli
user_out:
    out     0x80, al
user_hlt:
    hlt
user_code_end:

    .bss
    .balign 8
kernel_stack:
    .skip   8
