/* SPDX-License-Identifier: MIT */
/*
 * Starting the other CPUs: INIT, SIPI, and the way from real mode at LOW_CODE to a 64-bit function (SDM vol. 3A, 9.4).
 */
#include "guest.h"

    .section .low, "awx"
    .code16
    .balign 4096
/* SIPI: cs = vector << 8, ip = 0. */
ap_entry:
    cli
    xor     ax, ax
    mov     ds, ax
    lgdt    [ap_gdt_pointer]
    mov     eax, cr0
    or      al, CR0_PE
    mov     cr0, eax
    data32 ljmp SEL_CODE32, offset ap_entry32
ap_gdt_pointer:
    .word   gdt_limit
    .long   gdt

    .text
    .code32
ap_entry32:
    mov     eax, SEL_DATA
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    mov     eax, 1
    lock xadd [ap_count], eax
    inc     eax
    imul    eax, eax, AP_STACK_SIZE
    add     eax, offset ap_stacks
    mov     esp, eax
    call    enter_paging32
    ljmp    SEL_CODE64, offset ap_entry64

    .code64
ap_entry64:
    mov     eax, SEL_DATA
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    call    trap_load
    LAPIC_WRITE LAPIC_SVR, 0x1FF
    call    [ap_function]
1:  hlt
    jmp     1b

/* rdi: what each AP shall call. Starts all; waits for nothing. */
    .globl  ap_start
ap_start:
    mov     [ap_function], rdi
    LAPIC_WRITE LAPIC_SVR, 0x1FF
    LAPIC_WRITE LAPIC_ICR_LOW, 0xC4500 /* INIT, all but self */
    mov     ecx, 100000
1:  pause
    dec     ecx
    jnz     1b
    mov     eax, offset ap_entry
    shr     eax, 12
    or      eax, 0xC4600            /* SIPI, all but self */
    mov     ecx, LAPIC
    mov     [rcx + LAPIC_ICR_LOW], eax
    ret

    .bss
    .balign 16
    .globl  ap_count
ap_function:
    .skip   8
ap_stacks:
    .skip   16 * AP_STACK_SIZE
ap_count:
    .skip   4
