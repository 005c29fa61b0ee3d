/* SPDX-License-Identifier: MIT */
/*
 * A region of 2 MiB of address space at REGION, mapped by 512 entries of region_pt that guests write; and calls of
 * ring 3 code in it.
 */
#include "guest.h"

    .code64
    .text

/* Links the tables: present, writable, user at all levels; the pages themselves are absent. Changes rax. */
    .globl  region_init
region_init:
    mov     qword ptr [page_pml4 + 8 * REGION_INDEX], offset region_pdpt + (PTE_P | PTE_W | PTE_U)
    mov     qword ptr [region_pdpt], offset region_pd + (PTE_P | PTE_W | PTE_U)
    mov     qword ptr [region_pd], offset region_pt + (PTE_P | PTE_W | PTE_U)
    mov     rax, cr3
    mov     cr3, rax
    mov     r15, REGION
    ret

/*
 * rdi: address of ring 3 code. Enters it with rax, rbx, rcx, rdx, rsi as they are, interrupts off, rsp = 0. It comes
 * back by a trap, to the CATCH around this call: USER_DONE (ud2) in the code is the regular end.
 */
    .globl  user_call
user_call:
    push    SEL_USER_DATA + 3
    push    0
    push    2
    push    SEL_USER_CODE64 + 3
    push    rdi
    iretq

    .bss
    .balign 4096
    .globl  region_pdpt, region_pd, region_pt
region_pdpt:
    .skip   4096
region_pd:
    .skip   4096
region_pt:
    .skip   4096
