/* SPDX-License-Identifier: MIT */
/* Real mode: the vector table, wrapping at 64 KiB, limits, flags (SDM vol. 3A, 21.1), and big limits kept from
 * protected mode. */
#include "lib/guest.h"

    .code64
    .text
    .globl  guest_main
guest_main:
    mov     rdi, offset real_main
    call    real_call
    call    log_flush
    ret

    .section .low, "awx"
    .code16

/* SET_VECTOR number, function */
.macro SET_VECTOR number, function
    mov     word ptr [4 * (\number)], offset \function
    mov     word ptr [4 * (\number) + 2], 0
.endm

/* EXPECT vector: after it, label 1 is where the handler continues. Clears what was seen. */
.macro EXPECT
    mov     dword ptr [seen], -1
    mov     word ptr [resume], offset 1f
.endm

.macro SEEN name, vector
1:  LOG16   "\name", [seen], \vector
.endm

seen:
    .long   0
seen_ip:
    .long   0
seen_flags:
    .long   0
resume:
    .word   0

/* Faults and traps of vector n: remember, go on at resume. */
.irp n, 0, 4, 5, 6, 12, 13
real_vector_\n:
    mov     dword ptr cs:[seen], \n
    jmp     real_vector
.endr
real_vector:
    push    bp
    mov     bp, sp
    push    eax
    push    ds
    xor     ax, ax
    mov     ds, ax
    movzx   eax, word ptr [bp + 2]
    mov     [seen_ip], eax
    movzx   eax, word ptr [bp + 6]
    mov     [seen_flags], eax
    mov     ax, [resume]
    mov     [bp + 2], ax
    pop     ds
    pop     eax
    pop     bp
    iret

/* A software interrupt: adds 1 to ax, sets carry for the caller. */
real_service:
    push    bp
    mov     bp, sp
    inc     ax
    or      word ptr [bp + 6], FLAG_CF
    pop     bp
    iret

    .globl  real_main
real_main:
    .irp    n, 0, 4, 5, 6, 12, 13
    SET_VECTOR \n, real_vector_\n
    .endr
    SET_VECTOR 0x60, real_service
    mov     bx, sp
    xor     eax, eax
    clc
    int     0x60
    sbb     ecx, ecx                /* carry */
    LOG16   "int calls through the vector table", ecx, -1
    movzx   edx, sp
    sub     dx, bx
    LOG16   "iret balances the stack", edx, 0
    sti
    int     0x60
    pushf
    pop     dx
    cli
    and     edx, FLAG_IF
    LOG16   "iret restores IF", edx, FLAG_IF

    EXPECT
    xor     cx, cx
    div     cx
    SEEN    "division by zero", 0
    EXPECT
    mov     al, 0x7F
    add     al, al
    into
    SEEN    "into with overflow", 4
    EXPECT
    test    al, al
    into
    SEEN    "into without overflow", -1
    mov     dword ptr [0x7000], 0x00200010 /* bounds 16 to 32 */
    mov     ax, 33
    EXPECT
    bound   ax, [0x7000]
    SEEN    "bound, beyond", 5
    mov     ax, 32
    EXPECT
    bound   ax, [0x7000]
    SEEN    "bound, at the upper end", -1
    EXPECT
    ud2
    SEEN    "ud2", 6
    EXPECT
    .byte   0x0F, 0x00, 0xC0        /* sldt ax */
    SEEN    "sldt is not for real mode", 6
    EXPECT
    .byte   0x63, 0xC0              /* arpl ax, ax */
    SEEN    "arpl is not for real mode", 6

    /* Segments end at 0xFFFF. */
    mov     bx, 0xFFFF
    EXPECT
    mov     ax, [bx]
    SEEN    "a word at offset 0xFFFF", 13
    EXPECT
    mov     al, [bx]
    SEEN    "a byte at offset 0xFFFF", -1
    mov     bp, 0xFFFF
    EXPECT
    mov     ax, [bp]
    SEEN    "a word at ss:0xFFFF", 12
    mov     ebx, 0x10000
    EXPECT
    mov     al, [ebx]
    SEEN    "a 32-bit offset of 64 KiB", 13
    /* 16-bit addresses wrap. */
    mov     word ptr [0x7010], 0x5A5A
    mov     bx, 0xF000
    mov     si, 0x8000
    movzx   edx, word ptr [bx + si + 0x10]
    LOG16   "bx + si wraps at 64 KiB", edx, 0x5A5A
    mov     bx, 0xFFF0
    movzx   edx, word ptr [bx + 0x7020]
    LOG16   "bx + displacement wraps at 64 KiB", edx, 0x5A5A
    /* Above 1 MiB: no A20 gate. */
    mov     ax, 0xFFFF
    mov     es, ax
    mov     dword ptr [0x10], 0x11223344
    mov     dword ptr es:[0x20], 0x55667788 /* 0x100010 */
    mov     edx, [0x10]
    LOG16   "0xFFFF:0x20 is not 0:0x10", edx, 0x11223344
    xor     ax, ax
    mov     es, ax
    /* The stack wraps. */
    mov     dx, sp
    xor     sp, sp
    push    ax
    mov     cx, sp
    mov     sp, dx
    movzx   ecx, cx
    LOG16   "a push at sp = 0 goes to 0xFFFE", ecx, 0xFFFE
    mov     ax, 0x1234
    mov     [0xFFFE], ax
    mov     sp, 0xFFFE
    pop     cx
    mov     bx, sp
    mov     sp, dx
    movzx   ecx, cx
    LOG16   "a pop at 0xFFFE", ecx, 0x1234
    movzx   ebx, bx
    LOG16   "leaves sp = 0", ebx, 0
    /* Loads make base = selector * 16. */
    mov     ax, 0x0701
    mov     es, ax
    movzx   edx, word ptr es:[0]
    LOG16   "a segment of 0x701 begins at 0x7010", edx, 0x5A5A
    /* String instructions wrap si and di. */
    xor     ax, ax
    mov     es, ax
    cld
    mov     si, 0x7010
    mov     di, 0xFFFF
    mov     cx, 2
    rep     movsb
    movzx   edx, di
    LOG16   "rep movsb wraps di", edx, 1
    mov     al, [0xFFFF]
    movzx   edx, al
    LOG16   "and wrote the last byte", edx, 0x5A
    /* Far jumps and calls. */
    lcall   0x0100, offset real_far - 0x1000
    LOG16   "a far call to another segment", ecx, 0x0100
    /* Flags: the upper bits that 16-bit pushf and popf do. */
    mov     ax, 0x7FFF & ~(FLAG_TF | FLAG_IF)
    push    ax
    popf
    pushf
    pop     dx
    push    2
    popf
    movzx   edx, dx
    LOG16   "popf sets IOPL and NT in real mode", edx, (0x7FD7 & ~(FLAG_TF | FLAG_IF))
    /* Big real mode: a limit of 4 GiB from protected mode stays. */
    lgdt    [big_gdt]
    mov     eax, cr0
    or      al, 1
    mov     cr0, eax
    mov     cx, SEL_DATA
    mov     gs, cx
    and     al, 0xFE
    mov     cr0, eax
    xor     cx, cx
    mov     ebx, FREE_MEMORY
    EXPECT
    mov     dword ptr gs:[ebx], 0x600DF00D
    SEEN    "big real mode reaches 16 MiB", -1
    mov     gs, cx
    EXPECT
    mov     edx, gs:[ebx]
    SEEN    "a load of the segment keeps the big limit", -1
    LOG16   "and reads it", edx, 0x600DF00D
    smsw    ax
    and     eax, 1
    mov     edx, eax
    LOG16   "smsw shows PE clear", edx, 0
    /* HLT and prefixes: an operand-size prefix gives 32-bit operations. */
    mov     eax, 0x10000
    dec     eax
    mov     edx, eax
    LOG16   "32-bit arithmetic in real mode", edx, 0xFFFF
    ret

real_far:
    mov     cx, cs
    movzx   ecx, cx
    lret

big_gdt:
    .word   gdt_limit
    .long   gdt
