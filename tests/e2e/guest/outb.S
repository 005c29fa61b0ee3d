/* SPDX-License-Identifier: MIT */
/* outb PORT VALUE (C numbers, port up to 0xffff): one byte to an I/O port. For kernels without /dev/port. */
    .intel_syntax noprefix
    .globl _start
    .text
_start:
    cmp     qword ptr [rsp], 3
    jne     usage
    mov     rsi, [rsp + 16]
    call    number
    mov     ebx, eax
    mov     rsi, [rsp + 24]
    call    number
    mov     r12d, eax
    mov     eax, 172                /* iopl(3) */
    mov     edi, 3
    syscall
    test    eax, eax
    jnz     failed
    mov     edx, ebx
    mov     eax, r12d
    out     dx, al
    xor     edi, edi
    jmp     leave
usage:
    mov     edi, 2
    jmp     leave
failed:
    mov     edi, 1
leave:
    mov     eax, 60                 /* exit */
    syscall

/* rsi: text; eax: its value, hexadecimal after 0x, else decimal. Changes ecx, edx, r8d, rsi. */
number:
    xor     eax, eax
    mov     r8d, 10
    cmp     word ptr [rsi], 0x7830  /* "0x" */
    jne     1f
    mov     r8d, 16
    add     rsi, 2
1:  movzx   ecx, byte ptr [rsi]
    inc     rsi
    or      ecx, 0x20
    sub     ecx, '0'
    js      2f
    cmp     ecx, 9
    jbe     3f
    sub     ecx, 'a' - '0' - 10
    cmp     ecx, 15
    ja      2f
3:  imul    eax, r8d
    add     eax, ecx
    jmp     1b
2:  ret
    .section .note.GNU-stack, "", @progbits
