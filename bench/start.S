/* SPDX-License-Identifier: MIT */
/* The shortest guest: it says that it runs, and ends the machine. */
#include "lib/guest.h"

    .text
    .code64
    .globl  guest_main
guest_main:
    mov     dx, COM1
    mov     al, '!'
    out     dx, al
    mov     al, DEBUG_EXIT_GOOD
    out     DEBUG_EXIT, al
    hlt
