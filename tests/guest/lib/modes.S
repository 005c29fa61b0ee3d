/* SPDX-License-Identifier: MIT */
/*
 * Calls into the other modes and back: pm32_call (32-bit protected mode without paging) and real_call (real mode).
 * The function is near, keeps ds, es and ss flat (0 in real mode) and esp, and logs with LOG32 or LOG16.
 * Traps of 32-bit code continue at the CATCH32 of their TRY32.
 */
#include "guest.h"

    .text
    .code64
/* rdi: 32-bit function. Changes all registers but rsp, rbp, rbx, r12-r15. */
    .globl  pm32_call
pm32_call:
    push    rbp
    push    rbx
    push    r12
    push    r13
    push    r14
    push    r15
    mov     [mode_stack], rsp
    mov     [mode_function], edi
    push    SEL_CODE32
    mov     eax, offset pm32_enter
    push    rax
    retfq

    .code32
pm32_enter:
    mov     eax, cr0
    and     eax, ~CR0_PG
    mov     cr0, eax
    mov     ecx, MSR_EFER
    rdmsr
    and     eax, ~EFER_LME
    wrmsr
    mov     eax, SEL_DATA
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    mov     fs, eax
    mov     gs, eax
    call    idt32_load
    mov     [pm32_stack], esp
    sub     dword ptr [pm32_stack], 4 /* as inside the function: at its return address */
    call    dword ptr [mode_function]
    call    enter_paging32
    ljmp    SEL_CODE64, offset pm32_leave

    .code64
pm32_leave:
    mov     rsp, [mode_stack]
    mov     eax, SEL_DATA
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    call    tss_load
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rbx
    pop     rbp
    ret

/* rdi: 16-bit function in section .low. */
    .globl  real_call
real_call:
    mov     [real_function], di
    mov     edi, offset real_enter32
    jmp     pm32_call

    .code32
real_enter32:
    mov     [real_stack], esp
    ljmp    SEL_CODE16, offset real_enter16

    .section .low, "awx"
    .code16
real_enter16:
    mov     ax, SEL_DATA16
    mov     ds, ax
    mov     es, ax
    mov     ss, ax
    mov     fs, ax
    mov     gs, ax
    mov     eax, cr0
    and     al, ~CR0_PE & 0xFF
    mov     cr0, eax
    ljmp    0, offset real_entered
real_entered:
    xor     ax, ax
    mov     ds, ax
    mov     es, ax
    mov     ss, ax
    mov     fs, ax
    mov     gs, ax
    mov     sp, 0x5000
    lidt    [real_idt]
    call    word ptr [real_function]
    cli
    lgdt    [low_gdt_pointer]
    mov     eax, cr0
    or      al, CR0_PE
    mov     cr0, eax
    data32 ljmp SEL_CODE32, offset real_leave32

    .globl  real_function
real_function:
    .word   0
real_idt:
    .word   0x3FF
    .long   0
low_gdt_pointer:
    .word   gdt_limit
    .long   gdt

    .text
    .code32
real_leave32:
    mov     eax, SEL_DATA
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    mov     fs, eax
    mov     gs, eax
    mov     esp, [real_stack]
    ret

/* The 32-bit IDT: 256 gates; a trap continues at trap_resume, on its stack, in ring 0. */
    .balign 16
trap32_entries:
    .set    vector, 0
    .rept   256
    .balign 16
    .if     !(vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC || vector == 21)
    push    0
    .endif
    push    vector
    jmp     trap32_common
    .set    vector, vector + 1
    .endr

/* Stack: eax, vector, error, eip, cs, eflags, and from ring 3 or vm86 esp, ss. */
trap32_common:
    push    eax
    mov     eax, SEL_DATA
    mov     ds, eax
    mov     es, eax
    mov     eax, [esp + 4]
    mov     [trap_vector], eax
    mov     eax, [esp + 8]
    mov     [trap_error], eax
    mov     eax, [esp + 12]
    mov     [trap_rip], eax
    mov     eax, [esp + 16]
    mov     [trap_cs], eax
    mov     eax, [esp + 20]
    mov     [trap_rflags], eax
    mov     eax, [esp + 24]
    mov     [trap_rsp], eax
    mov     eax, [esp + 28]
    mov     [trap_ss], eax
    mov     eax, cr2
    mov     [trap_cr2], eax
    pop     eax
    cmp     dword ptr [trap_resume], 0
    je      trap32_unexpected
    push    SEL_DATA
    pop     ss
    mov     esp, [trap_stack]
    push    2
    popfd
    push    dword ptr [trap_resume]
    mov     dword ptr [trap_resume], 0
    ret

/* Logged, and the called function is given up. */
trap32_unexpected:
    LOG32   "unexpected trap of 32-bit code: vector", [trap_vector], -1
    LOG32   "unexpected trap of 32-bit code: eip", [trap_rip], -1
    LOG32   "unexpected trap of 32-bit code: error code", [trap_error], -1
    push    SEL_DATA
    pop     ss
    mov     esp, [pm32_stack]
    ret

/* Fills and loads the IDT and the TSS for 32-bit code. Changes eax, ecx, edi. */
idt32_load:
    mov     edi, offset idt32
    mov     eax, offset trap32_entries
    mov     ecx, 256
1:  mov     [edi], ax
    mov     dword ptr [edi + 2], SEL_CODE32
    mov     dword ptr [edi + 4], eax
    mov     word ptr [edi + 4], 0x8E00
    add     eax, 16
    add     edi, 8
    loop    1b
    mov     byte ptr [idt32 + 8 * VEC_BP + 5], 0xEE /* INT3 and INTO: from ring 3 too */
    mov     byte ptr [idt32 + 8 * VEC_OF + 5], 0xEE
    lidt    [idt32_pointer]
    mov     dword ptr [tss32 + 4], offset trap_stack_top
    mov     dword ptr [tss32 + 8], SEL_DATA
    mov     word ptr [tss32 + 102], 104 /* no I/O map */
    mov     eax, offset tss32
    mov     word ptr [gdt + SEL_TSS32], 103
    mov     [gdt + SEL_TSS32 + 2], ax
    shr     eax, 16
    mov     [gdt + SEL_TSS32 + 4], al
    mov     byte ptr [gdt + SEL_TSS32 + 5], 0x89
    mov     [gdt + SEL_TSS32 + 7], ah
    mov     eax, SEL_TSS32
    ltr     ax
    ret

    .data
idt32_pointer:
    .word   8 * 256 - 1
    .long   idt32

    .bss
    .balign 8
    .globl  idt32, tss32
idt32:
    .skip   8 * 256
tss32:
    .skip   104 + 152               /* room for an I/O map */
mode_stack:
    .skip   8
mode_function:
    .skip   4
pm32_stack:
    .skip   4
real_stack:
    .skip   4
