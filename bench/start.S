/* SPDX-License-Identifier: MIT */
/* The shortest guest: its first instructions end the machine. */
#include "lib/guest.h"

    .text
    .code64
    .globl  guest_main
guest_main:
    mov     al, DEBUG_EXIT_GOOD
    out     DEBUG_EXIT, al
    hlt
