/* SPDX-License-Identifier: MIT */
/* A triple fault resets the machine, which ends it under -no-reboot. status: 0 */
#include "lib/guest.h"

    .code64
    .text
    .globl  guest_main
guest_main:
    CHECK   "the guest runs", rax, rax
    push    0
    push    0
    lidt    [rsp]
    ud2
    /* Not reached. */
    OUT_8   DEBUG_EXIT, DEBUG_EXIT_BAD
    hlt
