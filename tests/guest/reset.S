/* SPDX-License-Identifier: MIT */
/* Resets: each kind once, counted in RAM, which survives; the image is loaded afresh. options: -action reboot=reset */
#include "lib/guest.h"

#define COUNT (FREE_MEMORY + 0x100)
#define MAGIC (FREE_MEMORY + 0x108)

    .code64
    .text
    .globl  guest_main
guest_main:
    mov     rax, 0x5245534554544544
    cmp     [MAGIC], rax
    je      1f
    mov     [MAGIC], rax
    mov     qword ptr [COUNT], 0
1:  CHECK_32 "the image is as loaded", [loaded], 0x600D
    mov     dword ptr [loaded], 0xBAD
    LAPIC_READ LAPIC_SVR
    CHECK   "the local APIC is reset", rax, 0xFF
    LAPIC_WRITE LAPIC_SVR, 0x1FF
    mov     rax, dr7
    CHECK   "the debug registers are reset", rax, 0x400
    inc     qword ptr [COUNT]
    cmp     qword ptr [COUNT], 1
    je      triple_fault
    cmp     qword ptr [COUNT], 2
    je      by_ged
    CHECK   "two resets were counted in RAM", [COUNT], 3
    ret

triple_fault:
    mov     eax, 0x401
    mov     dr7, rax
    push    0
    push    0
    lidt    [rsp]
    ud2

by_ged:
    mov     eax, 0xFEA00202
    mov     byte ptr [rax], 0x42
1:  pause
    jmp     1b

    .data
    .balign 4
loaded:
    .long   0x600D
