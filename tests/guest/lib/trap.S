/* SPDX-License-Identifier: MIT */
/*
 * The 64-bit IDT. A trap goes to its handler (HANDLE), else is recorded and continues at the CATCH of the TRY around
 * it, else ends the guest with a message.
 */
#include "guest.h"

    .code64
    .text

/* 256 entries of 16 bytes each: error code (a zero where the CPU pushes none), vector, on to trap_common. */
    .balign 16
trap_entries:
    .set    vector, 0
    .rept   256
    .balign 16
    .if     !(vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC || vector == 21)
    push    0
    .endif
    push    vector
    jmp     trap_common
    .set    vector, vector + 1
    .endr

/* Frame: r11..r8, rdi, rsi, rdx, rcx, rbx, rax, vector, error, rip, cs, rflags, rsp, ss. */
#define FRAME_VECTOR 80
#define FRAME_ERROR 88
#define FRAME_RIP 96
#define FRAME_CS 104
#define FRAME_RFLAGS 112
#define FRAME_RSP 120
#define FRAME_SS 128

trap_common:
    push    rax
    push    rbx
    push    rcx
    push    rdx
    push    rsi
    push    rdi
    push    r8
    push    r9
    push    r10
    push    r11
    cld
    mov     rbx, [rsp + FRAME_VECTOR]
    mov     rax, [trap_handlers + 8 * rbx]
    test    rax, rax
    jz      trap_record
    mov     rdi, rsp                /* handlers may look at the frame */
    call    rax
    jmp     trap_return

trap_record:
    mov     [trap_vector], rbx
    lea     rsi, [rsp + FRAME_ERROR] /* as the fields from trap_error on */
    mov     edi, offset trap_error
    mov     ecx, 6
    rep     movsq
    mov     rax, cr2
    mov     [trap_cr2], rax
    mov     rax, [trap_resume]
    test    rax, rax
    jz      trap_unexpected
    mov     qword ptr [trap_resume], 0
    mov     [rsp + FRAME_RIP], rax
    mov     qword ptr [rsp + FRAME_CS], SEL_CODE64
    mov     qword ptr [rsp + FRAME_RFLAGS], 2
    mov     rax, [trap_stack]
    mov     [rsp + FRAME_RSP], rax
    mov     qword ptr [rsp + FRAME_SS], SEL_DATA

trap_return:
    pop     r11
    pop     r10
    pop     r9
    pop     r8
    pop     rdi
    pop     rsi
    pop     rdx
    pop     rcx
    pop     rbx
    pop     rax
    add     rsp, 16
    iretq

trap_unexpected:
    VALUE   "unexpected trap: vector", [trap_vector]
    VALUE   "unexpected trap: error code", [trap_error]
    VALUE   "unexpected trap: rip", [trap_rip]
    VALUE   "unexpected trap: cr2", [trap_cr2]
    VALUE   "unexpected trap: rsp", [trap_rsp]
    jmp     report_abort

/* Fills and loads the IDT and the TSS. */
    .globl  trap_init
trap_init:
    mov     edi, offset idt
    mov     eax, offset trap_entries
    mov     ecx, 256
1:  mov     [rdi], ax
    mov     word ptr [rdi + 2], SEL_CODE64
    mov     word ptr [rdi + 4], 0x8E00 /* interrupt gate, ring 0 */
    mov     edx, eax
    shr     edx, 16
    mov     [rdi + 6], dx
    mov     qword ptr [rdi + 8], 0
    add     eax, 16
    add     edi, 16
    loop    1b
    mov     qword ptr [tss + 4], offset trap_stack_top     /* RSP0 */
    mov     qword ptr [tss + 36], offset ist1_top          /* IST1 */
    mov     word ptr [tss + 102], 104                      /* no I/O map */
    mov     eax, offset tss
    mov     word ptr [gdt + SEL_TSS], 103
    mov     [gdt + SEL_TSS + 2], ax
    shr     eax, 16
    mov     [gdt + SEL_TSS + 4], al
    mov     byte ptr [gdt + SEL_TSS + 5], 0x89
    mov     [gdt + SEL_TSS + 7], ah
    .globl  tss_load, trap_load
tss_load:
    and     byte ptr [gdt + SEL_TSS + 5], ~2 & 0xFF /* not busy */
    mov     eax, SEL_TSS
    ltr     ax
/* APs need only these. */
trap_load:
    lgdt    [gdt_pointer]
    lidt    [idt_pointer]
    ret

    .data
    .globl  idt_pointer
idt_pointer:
    .word   16 * 256 - 1
    .quad   idt

    .bss
    .balign 4096
    .globl  idt, tss, trap_handlers, trap_resume, trap_stack, trap_vector, trap_error, trap_rip, trap_cs
    .globl  trap_rflags, trap_rsp, trap_ss, trap_cr2, ist1_top, trap_stack_top
idt:
    .skip   16 * 256
trap_handlers:
    .skip   8 * 256
tss:
    .skip   104
    .balign 16
    .skip   4096
trap_stack_top:
    .skip   4096
ist1_top:
trap_resume:
    .skip   8
trap_stack:
    .skip   8
trap_vector:
    .skip   8
/* In the order of the frame. */
trap_error:
    .skip   8
trap_rip:
    .skip   8
trap_cs:
    .skip   8
trap_rflags:
    .skip   8
trap_rsp:
    .skip   8
trap_ss:
    .skip   8
trap_cr2:
    .skip   8
