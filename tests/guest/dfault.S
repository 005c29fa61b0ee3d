/* SPDX-License-Identifier: MIT */
/* Faults while a fault is delivered: double fault, and by its own stack (SDM vol. 3A, 6.15, interrupt 8). */
#include "lib/guest.h"

#define BAD_STACK 0x200000000000 /* not mapped */

    .code64
    .text
    .globl  guest_main
guest_main:
    mov     byte ptr [idt + 16 * VEC_DF + 4], 1 /* IST1 */
    mov     rbx, rsp
    mov     rax, BAD_STACK
    TRY
    mov     [trap_stack], rbx
    mov     rsp, rax
faulting:
    mov     eax, [rsp]              /* #PF, whose frame has nowhere to go: #PF */
    CATCH   "a page fault while a page fault is delivered", VEC_DF, 0
    CHECK_AT "the frame of the double fault: rip", [trap_rip], faulting
    mov     rax, BAD_STACK
    CHECK   "the frame of the double fault: rsp", [trap_rsp], rax

    mov     rax, BAD_STACK
    TRY
    mov     [trap_stack], rbx
    mov     rsp, rax
    ud2                             /* #UD is benign: the fault is the #PF, and that has no stack either */
    CATCH   "no stack for an invalid opcode", VEC_DF, 0

    mov     qword ptr [idt + 16 * VEC_GP], 0
    mov     qword ptr [idt + 16 * VEC_NP], 0
    TRY
    mov     eax, 0xFFF8
    mov     ds, eax                 /* #GP, gate absent: #NP */
    CATCH   "no gate for a general protection fault", VEC_DF, 0
    mov     byte ptr [idt + 16 * VEC_DF + 4], 2 /* IST2 is 0, canonical, not mapped there */
    mov     byte ptr [idt + 16 * VEC_DF + 4], 1

    /* Interrupts use their IST too, with the stack aligned. */
    mov     byte ptr [idt + 16 * 0x44 + 4], 1
    HANDLE  0x44, on_ist
    int     0x44
    mov     eax, offset ist1_top - 40
    CHECK   "an IST stack is used from its top", [ist_frame], rax
    mov     byte ptr [idt + 16 * 0x44 + 4], 0
    HANDLE  0x44, on_stack
    lea     rbx, [rsp - 8]
    and     rbx, -16
    mov     rsp, rbx
    sub     rsp, 8
    int     0x44
    add     rsp, 8
    sub     rbx, [ist_frame]
    CHECK   "a 64-bit frame is aligned to 16", rbx, 56
    jmp     report_end

/* rdi: frame; where its ss ends, less the five words. */
on_ist:
    lea     rax, [rdi + 96]
    mov     [ist_frame], rax
    ret

on_stack:
    lea     rax, [rdi + 96]
    mov     [ist_frame], rax
    ret

    .bss
    .balign 8
ist_frame:
    .skip   8
