/* SPDX-License-Identifier: MIT */
/*
 * Guests of a few instructions from the PVH entry on, by -DGUEST_...: a byte on the debug console (port 0xE9), or on
 * the serial port, and then a triple fault; a triple fault at once; or a byte on the serial port and sleep.
 */
    .intel_syntax noprefix

    .section .note.pvh, "a", @note
    .long   4, 8, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz  "Xen"
    .quad   start

    .text
    .code32
    .globl  start
start:
#ifdef GUEST_CONSOLE
    mov     al, '.'
    out     0xE9, al
#endif
#if defined(GUEST_SERIAL) || defined(GUEST_SLEEP)
    mov     edx, 0x3F8
    mov     al, '.'
    out     dx, al
#endif
#ifdef GUEST_SLEEP
1:  hlt
    jmp     1b
#endif
    lidt    [empty]
    ud2
    .balign 4
empty:
    .word   0
    .long   0
