/* SPDX-License-Identifier: MIT */
/* The local APIC: reset values, its timer, IPIs to itself, priorities, errors; and the IOAPIC
 * (SDM vol. 3A, chapter 11; 82093AA data sheet). */
#include "lib/guest.h"

#define VEC_TIMER 0x40
#define VEC_SELF 0x51
#define VEC_HIGH 0x91
#define VEC_IOAPIC 0x61
#define VEC_LEVEL 0x62

    .code64
    .text
    .globl  guest_main
guest_main:
    READ_MSR MSR_APIC_BASE
    mov     ebx, LAPIC + 0x900
    CHECK   "IA32_APIC_BASE: enabled, boot processor", rax, rbx
    LAPIC_READ LAPIC_ID
    CHECK   "the first CPU has the APIC ID 0", rax, 0
    LAPIC_READ LAPIC_VERSION
    and     eax, 0xFF0000
    cmp     eax, 0x050000
    setae   al
    movzx   eax, al
    CHECK   "six LVT entries at least", rax, 1
    LAPIC_READ LAPIC_LVT_TIMER
    CHECK   "the timer is masked after reset", rax, LVT_MASKED
    LAPIC_READ LAPIC_LVT_LINT1
    CHECK   "LINT1 is masked after reset", rax, LVT_MASKED
    LAPIC_READ LAPIC_SVR
    CHECK   "the spurious vector is 0xFF, APIC off", rax, 0xFF
    LAPIC_WRITE LAPIC_SVR, 0x1FF
    HANDLE  VEC_TIMER, on_timer
    HANDLE  VEC_SELF, on_self
    HANDLE  VEC_HIGH, on_high
    HANDLE  VEC_IOAPIC, on_ioapic
    HANDLE  VEC_LEVEL, on_level
    HANDLE  0xFF, on_spurious
    call    one_shot
    call    periodic
    call    deadline
    call    self_ipi
    call    task_priority
    call    errors
    call    ioapic_registers
    call    ioapic_edge
    call    ioapic_level
    call    shadow
    ret

.macro EOI
    LAPIC_WRITE LAPIC_EOI, 0
.endm

on_timer:
    inc     dword ptr [timer_count]
    EOI
    ret

on_self:
    mov     eax, [order]
    shl     eax, 8
    or      eax, VEC_SELF
    mov     [order], eax
    inc     dword ptr [self_count]
    EOI
    ret

on_high:
    mov     eax, [order]
    shl     eax, 8
    or      eax, VEC_HIGH
    mov     [order], eax
    EOI
    ret

on_ioapic:
    inc     dword ptr [ioapic_count]
    EOI
    ret

/* The UART's line goes down by the read of IIR; without it, EOI brings the interrupt again. */
on_level:
    inc     dword ptr [level_count]
    cmp     dword ptr [level_count], 3
    jb      1f
    IN_8    COM1 + 2
1:  EOI
    ret

on_spurious:
    ret

one_shot:
    LAPIC_WRITE LAPIC_TIMER_DIVIDE, 0xB /* by 1 */
    LAPIC_WRITE LAPIC_LVT_TIMER, VEC_TIMER
    LAPIC_WRITE LAPIC_TIMER_INITIAL, 100000
    sti
    WAIT_FOR "dword ptr [timer_count]", 1
    mov     ecx, 1000000
1:  dec     ecx
    jnz     1b
    cli
    CHECK_32 "the one-shot timer fires once", [timer_count], 1
    LAPIC_READ LAPIC_TIMER_CURRENT
    CHECK   "its count is 0 then", rax, 0
    mov     dword ptr [timer_count], 0
    LAPIC_WRITE LAPIC_TIMER_INITIAL, 5000000
    LAPIC_WRITE LAPIC_TIMER_INITIAL, 0
    sti
    mov     ecx, 30000000
2:  dec     ecx
    jnz     2b
    cli
    CHECK_32 "an initial count of 0 stops it", [timer_count], 0
    LAPIC_WRITE LAPIC_TIMER_INITIAL, 0xFFFFFFFF
    LAPIC_READ LAPIC_TIMER_CURRENT
    mov     ebx, eax
    mov     ecx, 100000
3:  dec     ecx
    jnz     3b
    LAPIC_READ LAPIC_TIMER_CURRENT
    cmp     eax, ebx
    setb    al
    movzx   eax, al
    CHECK   "the count runs down", rax, 1
    LAPIC_WRITE LAPIC_TIMER_INITIAL, 0
    ret

periodic:
    mov     dword ptr [timer_count], 0
    LAPIC_WRITE LAPIC_LVT_TIMER, (LVT_PERIODIC | VEC_TIMER)
    LAPIC_WRITE LAPIC_TIMER_INITIAL, 200000
    sti
    hlt
    WAIT_FOR "dword ptr [timer_count]", 5
    cli
    mov     eax, [timer_count]
    cmp     eax, 5
    setae   al
    movzx   eax, al
    CHECK   "the periodic timer goes on", rax, 1
    LAPIC_WRITE LAPIC_LVT_TIMER, (LVT_MASKED | LVT_PERIODIC | VEC_TIMER)
    mov     dword ptr [timer_count], 0
    sti
    mov     ecx, 1000000
1:  dec     ecx
    jnz     1b
    cli
    mov     eax, [timer_count]
    cmp     eax, 1                  /* one may have been on its way */
    setbe   al
    movzx   eax, al
    CHECK   "masked, it is silent", rax, 1
    LAPIC_WRITE LAPIC_TIMER_INITIAL, 0
    ret

deadline:
    mov     eax, 1
    cpuid
    bt      ecx, 24
    jnc     1f
    mov     dword ptr [timer_count], 0
    LAPIC_WRITE LAPIC_LVT_TIMER, (LVT_TSC_DEADLINE | VEC_TIMER)
    mfence
    rdtsc
    add     eax, 2000000
    adc     edx, 0
    mov     ecx, MSR_TSC_DEADLINE
    wrmsr
    mov     esi, eax
    mov     edi, edx
    sti
    hlt
    cli
    rdtsc
    sub     eax, esi
    sbb     edx, edi
    setns   al
    movzx   eax, al
    CHECK   "the TSC deadline comes when it is due", rax, 1
    CHECK_32 "and once", [timer_count], 1
    READ_MSR MSR_TSC_DEADLINE
    CHECK   "it is disarmed then", rax, 0
    WRITE_MSR MSR_TSC_DEADLINE, 1   /* in the past: at once */
    sti
    WAIT_FOR "dword ptr [timer_count]", 2
    cli
    CHECK_32 "a deadline in the past", [timer_count], 2
    LAPIC_WRITE LAPIC_LVT_TIMER, LVT_MASKED
    ret
1:  SKIP    "the TSC deadline"
    ret

self_ipi:
    mov     dword ptr [self_count], 0
    LAPIC_WRITE LAPIC_ICR_LOW, (0x44000 | VEC_SELF)
    mov     eax, LAPIC + LAPIC_IRR + 0x10 * (VEC_SELF / 32)
    mov     eax, [rax]
    CHECK   "an IPI to self waits in IRR", rax, (1 << (VEC_SELF % 32))
    CHECK_32 "until interrupts are on", [self_count], 0
    LAPIC_WRITE LAPIC_ICR_LOW, (0x44000 | VEC_SELF)
    sti
    nop
    nop
    cli
    CHECK_32 "two of the same vector are one", [self_count], 1
    mov     dword ptr [order], 0
    LAPIC_WRITE LAPIC_ICR_LOW, (0x44000 | VEC_SELF)
    LAPIC_WRITE LAPIC_ICR_LOW, (0x44000 | VEC_HIGH)
    sti
    nop
    nop
    nop
    cli
    CHECK_32 "the higher class comes first", [order], (VEC_HIGH << 8 | VEC_SELF)
    /* By destination: physical 0, and logical. */
    mov     dword ptr [self_count], 0
    LAPIC_WRITE LAPIC_ICR_HIGH, 0
    LAPIC_WRITE LAPIC_ICR_LOW, (0x4000 | VEC_SELF)
    sti
    nop
    nop
    cli
    CHECK_32 "an IPI to APIC ID 0", [self_count], 1
    LAPIC_WRITE 0xD0, 0x01000000    /* LDR */
    LAPIC_WRITE 0xE0, 0xFFFFFFFF    /* DFR: flat */
    LAPIC_WRITE LAPIC_ICR_HIGH, 0x03000000
    LAPIC_WRITE LAPIC_ICR_LOW, (0x4800 | VEC_SELF)
    sti
    nop
    nop
    cli
    CHECK_32 "an IPI to a logical set", [self_count], 2
    LAPIC_WRITE LAPIC_ICR_HIGH, 0x02000000
    LAPIC_WRITE LAPIC_ICR_LOW, (0x4800 | VEC_SELF)
    sti
    nop
    nop
    cli
    CHECK_32 "and to one that it is not in", [self_count], 2
    ret

task_priority:
    mov     dword ptr [self_count], 0
    mov     eax, 5
    mov     cr8, rax
    LAPIC_READ LAPIC_TPR
    CHECK   "cr8 is the upper half of TPR", rax, 0x50
    LAPIC_WRITE LAPIC_ICR_LOW, (0x44000 | VEC_SELF)
    sti
    nop
    nop
    CHECK_32 "a class that is not above TPR waits", [self_count], 0
    xor     eax, eax
    mov     cr8, rax
    nop
    cli
    CHECK_32 "until TPR falls", [self_count], 1
    LAPIC_WRITE LAPIC_TPR, 0x61
    mov     rax, cr8
    CHECK   "cr8 reads TPR", rax, 6
    LAPIC_READ LAPIC_PPR
    CHECK   "PPR follows TPR", rax, 0x61
    LAPIC_WRITE LAPIC_TPR, 0
    mov     eax, 16
    TRY
    mov     cr8, rax
    CATCH   "cr8 has four bits", VEC_GP
    ret

errors:
    IF_TCG  1f                      /* it would deliver vector 5 */
    LAPIC_WRITE LAPIC_ESR, 0
    LAPIC_WRITE LAPIC_ICR_LOW, 0x44005 /* vector 5 */
    LAPIC_WRITE LAPIC_ESR, 0
    LAPIC_READ LAPIC_ESR
    CHECK   "an IPI with an illegal vector is told in ESR", rax, 0x20
    LAPIC_WRITE LAPIC_ESR, 0
    LAPIC_READ LAPIC_ESR
    CHECK   "once", rax, 0
    ret
1:  SKIP    "an IPI with an illegal vector"
    ret

ioapic_registers:
    IOAPIC_READ 1
    CHECK   "IOAPIC: 24 pins, version 0x20", rax, 0x170020
    IOAPIC_READ 0x10
    CHECK   "pins are masked after reset", rax, 0x10000
    IOAPIC_WRITE 0x14, 0xFFFFFFFF
    IOAPIC_READ 0x14
    and     eax, 0xFFFE0000
    CHECK   "reserved bits of an entry stay 0", rax, 0
    IOAPIC_WRITE 0x14, 0x10000
    IOAPIC_WRITE 0x15, 0xFFFFFFFF
    IOAPIC_READ 0x15
    shr     eax, 24
    CHECK   "the destination is 8 bits", rax, 0xFF
    IOAPIC_WRITE 0x15, 0
    ret

/* The PIT is on pin 2. */
ioapic_edge:
    IOAPIC_WRITE 0x15, 0
    IOAPIC_WRITE 0x14, VEC_IOAPIC
    OUT_8   0x43, 0x34
    OUT_8   0x40, 0xA9
    OUT_8   0x40, 0x04
    sti
    hlt
    WAIT_FOR "dword ptr [ioapic_count]", 3
    cli
    mov     eax, [ioapic_count]
    cmp     eax, 3
    setae   al
    movzx   eax, al
    CHECK   "the PIT comes by pin 2", rax, 1
    IOAPIC_WRITE 0x14, 0x10000
    OUT_8   0x43, 0x30
    ret

/* The UART is on pin 4: level-triggered here. */
ioapic_level:
    IOAPIC_WRITE 0x19, 0
    IOAPIC_WRITE 0x18, (0x18000 | VEC_LEVEL)
    IN_8    COM1 + 2
    OUT_8   COM1 + 4, 0x0B
    OUT_8   COM1 + 1, 0x02
    sti
    IOAPIC_WRITE 0x18, (0x8000 | VEC_LEVEL) /* the line is high already */
    WAIT_FOR "dword ptr [level_count]", 3
    cli
    IOAPIC_READ 0x18
    mov     ebx, eax
    IOAPIC_WRITE 0x18, 0x10000
    OUT_8   COM1 + 1, 0             /* before anything is printed */
    CHECK_32 "a level comes again after each EOI until it falls", [level_count], 3
    CHECK   "its entry is idle again", rbx, (0x8000 | VEC_LEVEL)
    ret

/* STI holds interrupts back for one instruction. */
shadow:
    mov     dword ptr [self_count], 0
    LAPIC_WRITE LAPIC_ICR_LOW, (0x44000 | VEC_SELF)
    xor     ebx, ebx
    sti
    cli
    CHECK_32 "sti; cli lets no interrupt in", [self_count], 0
    sti
    mov     ebx, [self_count]
    nop
    cli
    CHECK   "nor does the instruction after sti", rbx, 0
    CHECK_32 "the next does", [self_count], 1
    LAPIC_WRITE LAPIC_ICR_LOW, (0x44000 | VEC_SELF)
    mov     eax, SEL_DATA
    pushfq
    or      qword ptr [rsp], FLAG_IF
    popfq
    nop
    cli
    CHECK_32 "popf has no such shadow", [self_count], 2
    ret

    .bss
    .balign 4
timer_count:
    .skip   4
self_count:
    .skip   4
order:
    .skip   4
ioapic_count:
    .skip   4
level_count:
    .skip   4
