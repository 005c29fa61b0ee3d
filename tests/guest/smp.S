/* SPDX-License-Identifier: MIT */
/* Two CPUs: start-up, IPIs between them, locked instructions, stores seen in order, translations and code that the
 * other changes. options: -smp 2 */
#include "lib/guest.h"

#define FRAME (FREE_MEMORY + 0x100000)
#define VEC_CALL 0x70
#define ROUNDS 20000

    .code64
    .text
    .globl  guest_main
guest_main:
    call    region_init
    LAPIC_WRITE LAPIC_SVR, 0x1FF
    HANDLE  VEC_CALL, on_call
    HANDLE  VEC_NMI, on_nmi
    mov     rdi, offset ap_main
    call    ap_start
    WAIT_FOR "dword ptr [ap_ready]", 1
    CHECK_32 "INIT and SIPI start the other CPU", [ap_ready], 1
    CHECK_32 "its APIC ID", [ap_id], 1
    mov     ebx, LAPIC + 0x800
    CHECK_32 "it is not the boot processor", [ap_base_low], ebx
    mov     eax, offset ap_entry
    shr     eax, 12
    or      eax, 0xC4600
    mov     ecx, LAPIC
    mov     [rcx + LAPIC_ICR_LOW], eax
    mov     ecx, 200000
1:  pause
    dec     ecx
    jnz     1b
    CHECK_32 "a second SIPI is ignored", [ap_count], 1

    call    locked
    call    order
    call    ipis
    call    shootdown
    call    cross_code
    ret

/* What the AP does next: it waits for a number in `task`, calls that function, sets `done`. */
ap_main:
    LAPIC_READ LAPIC_ID
    shr     eax, 24
    mov     [ap_id], eax
    READ_MSR MSR_APIC_BASE
    mov     [ap_base_low], eax
    mov     dword ptr [ap_ready], 1
1:  mov     rax, [task]
    test    rax, rax
    jnz     2f
    pause
    jmp     1b
2:  mov     qword ptr [task], 0
    call    rax
    mov     dword ptr [done], 1
    jmp     1b

/* ON_AP function: starts it there. AP_DONE: waits for its end. */
.macro ON_AP function
    mov     dword ptr [done], 0
    mov     qword ptr [task], offset \function
.endm

.macro AP_DONE
    WAIT_FOR "dword ptr [done]", 1
.endm

locked_work:
    mov     ecx, ROUNDS
1:  lock inc dword ptr [counter]
    lock add qword ptr [counter2], 3
    mov     eax, 1
    lock xadd [counter3], eax
2:  mov     eax, [counter4]
    lea     edx, [rax + 1]
    lock cmpxchg [counter4], edx
    jnz     2b
    mov     eax, 1
3:  xchg    eax, [spin]
    test    eax, eax
    jz      4f
    pause
    jmp     3b
4:  inc     dword ptr [counter5]
    mov     dword ptr [spin], 0
    lock bts dword ptr [bits], 5
    lock inc dword ptr [crossing]
    dec     ecx
    jnz     1b
    ret

locked:
    ON_AP   locked_work
    call    locked_work
    AP_DONE
    CHECK_32 "lock inc", [counter], (2 * ROUNDS)
    CHECK   "lock add, 64 bits", [counter2], (6 * ROUNDS)
    CHECK_32 "lock xadd", [counter3], (2 * ROUNDS)
    CHECK_32 "lock cmpxchg", [counter4], (2 * ROUNDS)
    CHECK_32 "a lock by xchg", [counter5], (2 * ROUNDS)
    CHECK_32 "lock inc over a cache line's end", [crossing], (2 * ROUNDS)
    ret

/* Stores become visible in order: the flag never before the data. */
order_writer:
    mov     ecx, 1
1:  mov     [data_word], ecx
    mov     [flag_word], ecx
    inc     ecx
    cmp     ecx, ROUNDS
    jb      1b
    ret

order:
    ON_AP   order_writer
    xor     ebx, ebx                /* violations */
1:  mov     eax, [flag_word]
    mov     edx, [data_word]
    cmp     edx, eax
    jae     2f
    inc     ebx
2:  cmp     dword ptr [done], 1
    jne     1b
    AP_DONE
    CHECK   "stores are seen in their order", rbx, 0
    ret

on_call:
    lock inc dword ptr [calls]
    LAPIC_WRITE LAPIC_EOI, 0
    ret

on_nmi:
    lock inc dword ptr [nmis]
    ret

halt_until_called:
    sti
1:  hlt
    cmp     dword ptr [calls], 0
    je      1b
    cli
    ret

wait_for_nmi:
    cmp     dword ptr [nmis], 0
    je      wait_for_nmi
    ret

send_back:
    LAPIC_WRITE LAPIC_ICR_HIGH, 0
    LAPIC_WRITE LAPIC_ICR_LOW, (0x4000 | VEC_CALL)
    ret

ipis:
    ON_AP   halt_until_called
    mov     ecx, 200000
1:  pause
    dec     ecx
    jnz     1b
    LAPIC_WRITE LAPIC_ICR_HIGH, 0x01000000
    LAPIC_WRITE LAPIC_ICR_LOW, (0x4000 | VEC_CALL)
    AP_DONE
    CHECK_32 "an IPI wakes the other CPU from hlt", [calls], 1
    mov     dword ptr [calls], 0
    ON_AP   halt_until_called
    LAPIC_WRITE LAPIC_ICR_LOW, (0xC4000 | VEC_CALL) /* all but self */
    AP_DONE
    CHECK_32 "an IPI to all but self", [calls], 1
    mov     dword ptr [calls], 0
    ON_AP   send_back
    sti
    WAIT_FOR "dword ptr [calls]", 1
    cli
    AP_DONE
    CHECK_32 "an IPI from the other CPU", [calls], 1
    mov     dword ptr [calls], 0
    ON_AP   send_back
    sti
    hlt
    cli
    AP_DONE
    CHECK_32 "and out of hlt", [calls], 1
    ON_AP   wait_for_nmi
    LAPIC_WRITE LAPIC_ICR_HIGH, 0x01000000
    LAPIC_WRITE LAPIC_ICR_LOW, 0x4400
    AP_DONE
    CHECK_32 "an NMI to the other CPU, interrupts off", [nmis], 1
    ret

/* The other CPU reads a page whose entry changes; after its own invlpg it must see the new page. */
read_page:
    mov     rax, REGION
    mov     ebx, [rax]
    mov     [seen], ebx
    mov     dword ptr [stage], 1
1:  cmp     dword ptr [stage], 2
    jne     1b
    invlpg  [rax]
    mov     ebx, [rax]
    mov     [seen2], ebx
    ret

shootdown:
    mov     dword ptr [FRAME], 0x1111
    mov     dword ptr [FRAME + 0x1000], 0x2222
    REGION_PAGE 0, FRAME + PTE_P + PTE_W
    ON_AP   read_page
    WAIT_FOR "dword ptr [stage]", 1
    mov     qword ptr [region_pt], FRAME + 0x1000 + PTE_P + PTE_W
    mov     dword ptr [stage], 2
    AP_DONE
    CHECK_32 "the other CPU reads the page", [seen], 0x1111
    CHECK_32 "and the new one after its invlpg", [seen2], 0x2222
    ret

/* Code that the other CPU changes while this one runs it: the SDM's way, with a handshake and a serialising
 * instruction (vol. 3A, 8.1.3), and without one for a single aligned store. */
patch_code:
    mov     ecx, 200
1:  mov     eax, [patch_seen]
    cmp     eax, ecx
    jne     2f
    dec     ecx
    jz      3f
    mov     [patched + 1], ecx      /* the operand of mov eax, imm32 */
    mov     [patch_next], ecx
2:  pause
    jmp     1b
3:  ret

    .balign 64
    nop
    nop
    nop
patched:
    mov     eax, 200
    ret

cross_code:
    mov     dword ptr [patch_next], 200
    mov     dword ptr [patch_seen], 0
    mov     byte ptr [patched], 0xB8
    mov     dword ptr [patched + 1], 200
    ON_AP   patch_code
    mov     esi, 200
    xor     edi, edi                /* wrong results */
1:  mov     eax, [patch_next]
    cmp     eax, esi
    jne     1b
    xor     eax, eax
    push    rbx
    cpuid
    pop     rbx
    call    patched
    cmp     eax, esi
    je      2f
    inc     edi
2:  mov     [patch_seen], esi
    dec     esi
    jnz     1b
    AP_DONE
    CHECK   "code changed by the other CPU, 200 times", rdi, 0
    ret

    .bss
    .balign 64
    .skip   62
crossing:                           /* over the end of a line */
    .skip   4
    .balign 64
counter:
    .skip   4
counter3:
    .skip   4
counter2:
    .skip   8
counter4:
    .skip   4
counter5:
    .skip   4
spin:
    .skip   4
bits:
    .skip   4
    .balign 64
data_word:
    .skip   4
    .balign 64
flag_word:
    .skip   4
    .balign 64
task:
    .skip   8
done:
    .skip   4
ap_ready:
    .skip   4
ap_id:
    .skip   4
ap_base_low:
    .skip   4
calls:
    .skip   4
nmis:
    .skip   4
stage:
    .skip   4
seen:
    .skip   4
seen2:
    .skip   4
patch_next:
    .skip   4
patch_seen:
    .skip   4
