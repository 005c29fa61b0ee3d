/* SPDX-License-Identifier: MIT */
/* Lines about checks on COM1 (16550A, polled), and the end through isa-debug-exit. All registers are kept. */
#include "guest.h"

    .code64
    .text

    .globl  serial_init
serial_init:
    OUT_8   COM1 + 1, 0             /* IER: polled */
    OUT_8   COM1 + 3, 0x03          /* LCR: 8n1 */
    OUT_8   COM1 + 2, 0x07          /* FCR: on, cleared */
    OUT_8   COM1 + 4, 0x03          /* MCR: DTR, RTS */
    ret

/* al: character. */
    .globl  serial_put
serial_put:
    push    rax
    push    rdx
    mov     ah, al
    mov     edx, COM1 + 5
1:  in      al, dx
    test    al, 0x20                /* THRE */
    jz      1b
    mov     al, ah
    mov     edx, COM1
    out     dx, al
    pop     rdx
    pop     rax
    ret

/* rsi: text. Changes rsi. */
put_text:
    push    rax
1:  lodsb
    test    al, al
    jz      2f
    call    serial_put
    jmp     1b
2:  pop     rax
    ret

/* rdx: number, as 16 hexadecimal digits without the leading zeros. */
put_number:
    push    rax
    push    rcx
    push    rdx
    push    rbx
    xor     ebx, ebx                /* a digit was put */
    mov     ecx, 16
1:  rol     rdx, 4
    mov     eax, edx
    and     eax, 15
    or      ebx, eax
    jnz     2f
    cmp     ecx, 1
    jne     3f
2:  or      ebx, 1
    cmp     eax, 10
    jb      4f
    add     eax, 'a' - '0' - 10
4:  add     eax, '0'
    call    serial_put
3:  dec     ecx
    jnz     1b
    pop     rbx
    pop     rdx
    pop     rcx
    pop     rax
    ret

put_line_end:
    push    rax
    mov     al, '\n'
    call    serial_put
    pop     rax
    ret

/* One report at a time: checks come from all CPUs. */
report_lock:
    lock bts dword ptr [report_busy], 0
    jnc     1f
    pause
    jmp     report_lock
1:  ret

report_unlock:
    mov     dword ptr [report_busy], 0
    ret

/* rdi: name, rsi: got, rdx: want. */
    .globl  check_equal
check_equal:
    push    rsi
    push    rdx
    call    report_lock
    cmp     rsi, rdx
    jne     1f
    inc     dword ptr [report_passed]
    mov     rsi, offset text_ok
    call    put_text
    mov     rsi, rdi
    call    put_text
    jmp     2f
1:  inc     dword ptr [report_failed]
    push    rsi
    mov     rsi, offset text_fail
    call    put_text
    mov     rsi, rdi
    call    put_text
    mov     rsi, offset text_got
    call    put_text
    xchg    rdx, [rsp]
    call    put_number
    mov     rsi, offset text_want
    call    put_text
    pop     rdx
    call    put_number
2:  call    put_line_end
    call    report_unlock
    pop     rdx
    pop     rsi
    ret

/* rdi: name. */
    .globl  check_skipped
check_skipped:
    push    rsi
    call    report_lock
    mov     rsi, offset text_skip
    call    put_text
    mov     rsi, rdi
    call    put_text
    call    put_line_end
    call    report_unlock
    pop     rsi
    ret

/* rdi: name, rsi: value. */
    .globl  check_value
check_value:
    push    rsi
    push    rdx
    mov     rdx, rsi
    call    report_lock
    mov     rsi, offset text_value
    call    put_text
    mov     rsi, rdi
    call    put_text
    mov     al, ' '
    call    serial_put
    call    put_number
    call    put_line_end
    call    report_unlock
    pop     rdx
    pop     rsi
    ret

/* What 16 and 32-bit code logged. */
    .globl  log_flush
log_flush:
    push    rdi
    push    rsi
    push    rdx
    push    rbx
    mov     ebx, LOG
1:  cmp     ebx, [LOG_NEXT]
    jae     2f
    mov     edi, [rbx]
    mov     esi, [rbx + 4]
    mov     edx, [rbx + 8]
    call    check_equal
    add     ebx, 12
    jmp     1b
2:  mov     dword ptr [LOG_NEXT], LOG
    pop     rbx
    pop     rdx
    pop     rsi
    pop     rdi
    ret

    .globl  report_end, report_abort
report_abort:
    inc     dword ptr [report_failed]
report_end:
    cli
    mov     rsi, offset text_end
    call    put_text
    mov     edx, [report_passed]
    call    put_number
    mov     rsi, offset text_passed
    call    put_text
    mov     edx, [report_failed]
    call    put_number
    mov     rsi, offset text_failed
    call    put_text
    /* The last byte must have left before the machine goes. */
    mov     edx, COM1 + 5
1:  in      al, dx
    test    al, 0x40                /* TEMT */
    jz      1b
    mov     al, DEBUG_EXIT_GOOD
    cmp     dword ptr [report_failed], 0
    je      2f
    mov     al, DEBUG_EXIT_BAD
2:  mov     edx, DEBUG_EXIT
    out     dx, al
3:  hlt
    jmp     3b

    .section .rodata
text_ok:
    .asciz  "ok "
text_fail:
    .asciz  "FAIL "
text_skip:
    .asciz  "skip "
text_value:
    .asciz  "val "
text_got:
    .asciz  " got "
text_want:
    .asciz  " want "
text_end:
    .asciz  "end "
text_passed:
    .asciz  " passed, "
text_failed:
    .asciz  " failed (hexadecimal)\n"

    .bss
    .balign 4
report_busy:
    .skip   4
report_passed:
    .skip   4
report_failed:
    .skip   4
