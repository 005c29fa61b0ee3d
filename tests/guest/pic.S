/* SPDX-License-Identifier: MIT */
/* i8259 pair and i8254: the power-on state, interrupts through LINT0 of the local APIC, priorities, EOI, spurious
 * ones; counters and their modes (Intel 8259A and 8254 data sheets). */
#include "lib/guest.h"

#define PIC_BASE 0x30

    .code64
    .text
    .globl  guest_main
guest_main:
    call    presence
    call    pic_init
    call    pit_interrupt
    call    halt_wakes
    call    priorities
    call    spurious
    call    counters
    ret

presence:
    OUT_8   0xA1, 0xFF
    OUT_8   0x21, 0xFB
    IN_8    0x21
    CHECK   "the mask register reads back", rax, 0xFB
    IN_8    0xA1
    CHECK   "the slave's too", rax, 0xFF
    OUT_8   0x4D0, 0xFF
    IN_8    0x4D0
    CHECK   "level control: IRQ 0 to 2 stay edges", rax, 0xF8
    OUT_8   0x4D1, 0xFF
    IN_8    0x4D1
    CHECK   "level control: IRQ 8 and 13 stay edges", rax, 0xDE
    OUT_8   0x4D0, 0
    OUT_8   0x4D1, 0
    IN_8    0x61
    CHECK   "nothing answers at port 0x61", rax, 0xFF
    ret

/* Vectors from PIC_BASE, all masked; the local APIC on, LINT0 as ExtINT. */
pic_init:
    OUT_8   0x20, 0x11
    OUT_8   0x21, PIC_BASE
    OUT_8   0x21, 0x04
    OUT_8   0x21, 0x01
    OUT_8   0xA0, 0x11
    OUT_8   0xA1, PIC_BASE + 8
    OUT_8   0xA1, 0x02
    OUT_8   0xA1, 0x01
    OUT_8   0x21, 0xFF
    OUT_8   0xA1, 0xFF
    LAPIC_READ LAPIC_LVT_LINT0
    CHECK   "LINT0 is masked after reset", rax, LVT_MASKED
    LAPIC_WRITE LAPIC_SVR, 0x1FF
    LAPIC_WRITE LAPIC_LVT_LINT0, LVT_EXTINT
    HANDLE  (PIC_BASE + 0), on_irq0
    HANDLE  PIC_BASE + 4, on_irq4
    HANDLE  PIC_BASE + 7, on_irq7
    ret

on_irq0:
    inc     dword ptr [irq0_count]
    OUT_8   0x20, 0x20
    ret

on_irq4:
    mov     eax, [irq_order]
    shl     eax, 8
    or      eax, 4
    mov     [irq_order], eax
    IN_8    0x20
    OUT_8   0x20, 0x64              /* specific EOI */
    ret

on_irq7:
    inc     dword ptr [irq7_count]
    OUT_8   0x20, 0x0B              /* read ISR */
    IN_8    0x20
    mov     [irq7_isr], eax
    ret

pit_interrupt:
    OUT_8   0x43, 0x34              /* channel 0, mode 2 */
    OUT_8   0x40, 0xA9              /* 1193 ticks: 1 ms */
    OUT_8   0x40, 0x04
    OUT_8   0x21, 0xFE
    sti
    WAIT_FOR "dword ptr [irq0_count]", 3
    cli
    mov     eax, [irq0_count]
    cmp     eax, 3
    setae   al
    movzx   eax, al
    CHECK   "the PIT interrupts periodically", rax, 1
    ret

/* HLT until the timer comes, with STI's shadow between. */
halt_wakes:
    mov     dword ptr [irq0_count], 0
    sti
    hlt
    sti
    hlt
    cli
    mov     eax, [irq0_count]
    cmp     eax, 2
    setae   al
    movzx   eax, al
    CHECK   "hlt ends with an interrupt", rax, 1
    OUT_8   0x21, 0xFF
    ret

/* IRQ 4 by the UART's transmitter, IRQ 0 by the PIT, both pending: IRQ 0 first. */
priorities:
    OUT_8   COM1 + 4, 0x0B          /* OUT2 */
    OUT_8   COM1 + 1, 0x02          /* THRE interrupt: pending at once */
    OUT_8   0x43, 0x30              /* channel 0, mode 0, 100 ticks */
    OUT_8   0x40, 100
    OUT_8   0x40, 0
    HANDLE  (PIC_BASE + 0), on_irq0_order
    OUT_8   0x20, 0x0A              /* read IRR */
    mov     ecx, 10000000
1:  IN_8    0x20
    and     eax, 0x11
    cmp     eax, 0x11
    je      2f
    dec     ecx
    jnz     1b
2:  CHECK   "requests show in IRR while masked", rax, 0x11
    OUT_8   0x21, 0xEE
    sti
    nop
    nop
    WAIT_FOR "dword ptr [irq_order]", 0x0104
    cli
    mov     eax, [irq_order]
    CHECK   "IRQ 0 before IRQ 4", rax, 0x0104
    IN_8    COM1 + 2                /* IIR: clears THRE */
    OUT_8   COM1 + 1, 0
    OUT_8   0x21, 0xFF
    /* In service, it holds back what is lower. */
    OUT_8   0x20, 0x0B
    IN_8    0x20
    CHECK   "nothing is in service after EOI", rax, 0
    ret

on_irq0_order:
    mov     eax, [irq_order]
    shl     eax, 8
    or      eax, 1
    mov     [irq_order], eax
    OUT_8   0x20, 0x60
    ret

/* A request that goes before INTA: IRQ 7, not in service. */
spurious:
    OUT_8   COM1 + 1, 0x02
    OUT_8   0x21, 0xEF
    IN_8    COM1 + 2                /* the line falls before STI */
    OUT_8   0x21, 0xFF
    sti
    nop
    nop
    cli
    mov     eax, [irq_order]
    CHECK   "a line that falls takes its request with it", rax, 0x0104
    OUT_8   COM1 + 1, 0
    ret

counters:
    OUT_8   0x43, 0xB0              /* channel 2, mode 0 */
    OUT_8   0x42, 0xFF
    OUT_8   0x42, 0xFF
    OUT_8   0x43, 0x80              /* latch channel 2 */
    IN_8    0x42
    mov     ebx, eax
    IN_8    0x42
    shl     eax, 8
    or      ebx, eax
    mov     ecx, 200000
1:  dec     ecx
    jnz     1b
    OUT_8   0x43, 0x80
    IN_8    0x42
    mov     esi, eax
    IN_8    0x42
    shl     eax, 8
    or      esi, eax
    cmp     esi, ebx
    setb    al
    movzx   eax, al
    CHECK   "channel 2 counts down without port 0x61", rax, 1
    OUT_8   0x43, 0x34
    OUT_8   0x40, 0
    OUT_8   0x40, 0
    OUT_8   0x43, 0xE2              /* read-back: status of channel 0 */
    IN_8    0x40
    and     eax, 0x3F
    CHECK   "read-back tells access and mode", rax, 0x34
    OUT_8   0x43, 0x30              /* mode 0: OUT low until the count is over */
    OUT_8   0x40, 0xFF
    OUT_8   0x40, 0xFF
    OUT_8   0x43, 0xE2
    IN_8    0x40
    and     eax, 0x80
    CHECK   "mode 0 holds OUT low", rax, 0
    OUT_8   0x43, 0x30
    OUT_8   0x40, 1
    OUT_8   0x40, 0
    mov     ecx, 1000000
2:  OUT_8   0x43, 0xE2
    IN_8    0x40
    test    al, 0x80
    jnz     3f
    dec     ecx
    jnz     2b
3:  and     eax, 0x80
    CHECK   "OUT rises at the end of the count", rax, 0x80
    IN_8    0x43
    CHECK   "the control register reads 0", rax, 0
    ret

    .bss
    .balign 8
irq0_count:
    .skip   4
irq7_count:
    .skip   4
irq7_isr:
    .skip   4
irq_order:
    .skip   4
