/* SPDX-License-Identifier: MIT */
/* Virtual-8086 mode: entry by IRET, what traps, interrupts out of it (SDM vol. 3A, 21.2). */
#include "lib/guest.h"

/* VM86 label, flags: enters vm86 code in .low with all segments 0. */
.macro VM86 label, flags
    push    0                       /* gs, fs, ds, es */
    push    0
    push    0
    push    0
    push    0                       /* ss */
    push    0x5000                  /* esp */
    push    FLAG_VM + 2 + (\flags)
    push    0                       /* cs */
    push    offset \label
    iretd
.endm

    .code64
    .text
    .globl  guest_main
guest_main:
    mov     rdi, offset vm86_main
    call    pm32_call
    call    log_flush
    ret

    .code32
vm86_main:
    TRY32
    VM86    vm_ud2, 0
    CATCH32 "vm86 runs to its ud2", VEC_UD
    mov     ebx, [trap_rflags]
    and     ebx, FLAG_VM
    LOG32   "the frame says VM", ebx, FLAG_VM
    mov     ebx, [trap_rip]
    sub     ebx, offset vm_ud2_here
    LOG32   "eip is the offset", ebx, 0
    LOG32   "cs is the segment", [trap_cs], 0
    LOG32   "ss too", [trap_ss], 0
    LOG32   "addresses are 16 times the segment", [0x7000], 0x1234
    mov     ebx, ds
    LOG32   "traps load segments of their own", ebx, SEL_DATA
    TRY32
    VM86    vm_cli, 0
    CATCH32 "cli with IOPL 0", VEC_GP
    TRY32
    VM86    vm_cli, 0x3000
    CATCH32 "cli with IOPL 3", VEC_UD
    TRY32
    VM86    vm_int, 0
    CATCH32 "int n with IOPL 0", VEC_GP
    TRY32
    VM86    vm_int3, 0
    CATCH32 "int3 with IOPL 0 goes through its gate", VEC_BP
    TRY32
    VM86    vm_pushf, 0
    CATCH32 "pushf with IOPL 0", VEC_GP
    TRY32
    VM86    vm_in, 0x3000
    CATCH32 "in goes by the I/O map, whatever IOPL", VEC_GP
    TRY32
    VM86    vm_hlt, 0x3000
    CATCH32 "hlt", VEC_GP
    TRY32
    VM86    vm_cr0, 0x3000
    CATCH32 "mov from cr0", VEC_GP
    TRY32
    VM86    vm_lgdt, 0x3000
    CATCH32 "lgdt", VEC_GP
    TRY32
    VM86    vm_limit, 0
    CATCH32 "a word at offset 0xFFFF", VEC_GP
    TRY32
    VM86    vm_sldt, 0
    CATCH32 "sldt", VEC_UD
    ret

    .section .low, "awx"
    .code16
vm_ud2:
    mov     ax, 0x700
    mov     ds, ax
    mov     word ptr [0], 0x1234
    mov     word ptr [2], 0
vm_ud2_here:
    ud2
vm_cli:
    cli
    ud2
vm_int:
    int     0x60
vm_int3:
    int3
vm_pushf:
    pushf
vm_in:
    in      al, 0x80
vm_hlt:
    hlt
vm_cr0:
    mov     eax, cr0
vm_lgdt:
    lgdt    [0x7000]
vm_limit:
    mov     bx, 0xFFFF
    mov     ax, [bx]
vm_sldt:
    .byte   0x0F, 0x00, 0xC0
