/* SPDX-License-Identifier: MIT */
/*
 * From the PVH entry (32-bit, flat, no paging, ebx = start_info) to guest_main in 64-bit mode: the first 4 GiB mapped
 * one to one by 2 MiB pages, supervisor, writable; SSE on; the IDT of trap.S.
 */
#include "guest.h"

    .section .note.pvh, "a", @note
    .long   4, 8, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz  "Xen"
    .quad   start

    .text
    .code32
    .globl  start
start:
    cli
    cld
    mov     [start_info], ebx
    mov     esp, offset stack_top
    lgdt    [gdt_pointer32]

    /* Page tables. .bss is zero: the loader's work, and checked by nobody else. */
    mov     dword ptr [page_pml4], offset page_pdpt + (PTE_P | PTE_W | PTE_U)
    mov     eax, offset page_pd + (PTE_P | PTE_W | PTE_U)
    mov     edi, offset page_pdpt
    mov     ecx, 4
1:  mov     [edi], eax
    add     eax, 4096
    add     edi, 8
    loop    1b
    mov     eax, PTE_P | PTE_W | PTE_PS
    mov     edi, offset page_pd
    mov     ecx, 4 * 512
2:  mov     [edi], eax
    add     eax, 0x200000
    add     edi, 8
    loop    2b
    call    enter_paging32
    ljmp    SEL_CODE64, offset start64

/* Paging and long mode on; returns in compatibility mode. The APs use it too. Changes eax, ecx, edx. */
    .globl  enter_paging32
enter_paging32:
    push    ebx
    mov     eax, 1
    cpuid
    pop     ebx
    mov     eax, CR4_PAE
    bt      edx, 24                 /* FXSR */
    jnc     1f
    or      eax, CR4_OSFXSR | CR4_OSXMMEXCPT
1:  mov     cr4, eax
    mov     eax, offset page_pml4
    mov     cr3, eax
    mov     ecx, MSR_EFER
    rdmsr
    or      eax, EFER_LME | EFER_NXE
    wrmsr
    mov     eax, CR0_PG | CR0_WP | CR0_NE | CR0_PE
    mov     cr0, eax
    ret

    .code64
start64:
    mov     eax, SEL_DATA
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    xor     eax, eax
    mov     fs, eax
    mov     gs, eax
    mov     eax, 1
    cpuid
    bt      edx, 0                  /* FPU */
    jnc     1f
    fninit
1:  mov     esi, offset low_image
    mov     edi, LOW_CODE
    mov     ecx, offset low_size
    rep     movsb
    mov     qword ptr [LOG_NEXT], LOG
    call    serial_init
    call    trap_init
    call    guest_main
    jmp     report_end

    .data
    .balign 16
    .globl  gdt, free_descriptors, gdt_pointer, gdt_pointer32
gdt:
    .quad   0
    .quad   0x00AF9B000000FFFF      /* SEL_CODE64 */
    .quad   0x00CF93000000FFFF      /* SEL_DATA */
    .quad   0x00CF9B000000FFFF      /* SEL_CODE32 */
    .quad   0x00CFFB000000FFFF      /* SEL_USER_CODE32 */
    .quad   0x00CFF3000000FFFF      /* SEL_USER_DATA */
    .quad   0x00AFFB000000FFFF      /* SEL_USER_CODE64 */
    .quad   0, 0                    /* SEL_TSS: trap_init */
    .quad   0x00009B000000FFFF      /* SEL_CODE16 */
    .quad   0x000093000000FFFF      /* SEL_DATA16 */
    .quad   0                       /* SEL_TSS32: pm32_call */
free_descriptors:
    .fill   8, 8, 0
gdt_end:
    .globl  gdt_limit
    .set    gdt_limit, gdt_end - gdt - 1
gdt_pointer:
    .word   gdt_end - gdt - 1
    .quad   gdt
gdt_pointer32:
    .word   gdt_end - gdt - 1
    .long   gdt

    .bss
    .balign 4096
    .globl  page_pml4, page_pdpt, page_pd, stack_top, start_info
page_pml4:
    .skip   4096
page_pdpt:
    .skip   4096
page_pd:
    .skip   4 * 4096
    .skip   8 * 4096
stack_top:
start_info:
    .skip   4
