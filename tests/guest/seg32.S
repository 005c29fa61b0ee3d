/* SPDX-License-Identifier: MIT */
/* 32-bit protected mode without paging: segment limits, types, presence, privilege, gates, and their error codes
 * (SDM vol. 3A, chapters 5 and 6). */
#include "lib/guest.h"

#define SEL(n) (SEL_FREE + 8 * (n))
/* Our descriptors. */
#define SMALL SEL(0)     /* data, base FREE_MEMORY, limit 0xFFF */
#define READ_ONLY SEL(1)
#define DOWN SEL(2)      /* expand-down: valid above limit 0xFFF */
#define ABSENT SEL(3)
#define EXECUTE SEL(4)   /* code, not readable */
#define CONFORMING SEL(5)
#define GATE SEL(6)      /* call gate to gate_target */
#define USER_GATE SEL(7) /* the same for ring 3, with two parameters */

/* SEG32 index, base, limit, access, flags */
.macro SEG32 index, base, limit, access, flags
    mov     dword ptr [free_descriptors + 8 * \index], ((\base) & 0xFFFF) << 16 | ((\limit) & 0xFFFF)
    mov     dword ptr [free_descriptors + 8 * \index + 4], ((\base) & 0xFF000000) | (\flags) << 20 | ((\limit) & 0xF0000) | (\access) << 8 | (((\base) >> 16) & 0xFF)
.endm

    .code64
    .text
    .globl  guest_main
guest_main:
    mov     rdi, offset seg32_main
    call    pm32_call
    call    log_flush
    ret

    .code32
seg32_main:
    SEG32   0, FREE_MEMORY, 0xFFF, 0x93, 4
    SEG32   1, FREE_MEMORY, 0xFFFFF, 0x91, 12
    SEG32   2, 0, 0xFFF, 0x97, 4
    SEG32   3, 0, 0xFFFFF, 0x13, 12
    SEG32   4, 0, 0xFFFFF, 0x99, 12
    SEG32   5, 0, 0xFFFFF, 0x9F, 12
    mov     eax, offset gate_target
    mov     [free_descriptors + 48], ax
    mov     word ptr [free_descriptors + 50], SEL_CODE32
    mov     word ptr [free_descriptors + 52], 0x8C00
    shr     eax, 16
    mov     [free_descriptors + 54], ax
    mov     eax, offset user_gate_target
    mov     [free_descriptors + 56], ax
    mov     word ptr [free_descriptors + 58], SEL_CODE32
    mov     word ptr [free_descriptors + 60], 0xEC02
    shr     eax, 16
    mov     [free_descriptors + 62], ax

    call    limits
    call    loads
    call    transfers
    call    ring3
    ret

limits:
    mov     eax, SMALL
    mov     es, eax
    mov     dword ptr [FREE_MEMORY + 0xFFC], 0xFEED
    LOG32   "the last word of a segment", es:[0xFFC], 0xFEED
    TRY32
    mov     eax, es:[0xFFD]
    CATCH32 "a word over the limit", VEC_GP
    TRY32
    mov     es:[0x1000], al
    CATCH32 "a byte behind the limit", VEC_GP
    TRY32
    mov     eax, es:[-1]
    CATCH32 "an offset that wraps", VEC_GP
    /* On a small stack, where the handler's frame still fits. */
    mov     ebx, esp
    mov     eax, SMALL
    TRY32
    mov     [trap_stack], ebx
    mov     ss, eax
    mov     esp, 0x800
    mov     eax, ss:[0x1000]
    CATCH32 "a load over the limit of ss", VEC_SS
    mov     eax, SEL_DATA
    mov     ss, eax
    mov     esp, ebx
    mov     eax, READ_ONLY
    mov     es, eax
    TRY32
    mov     eax, es:[0]
    CATCH32 "a read of a read-only segment", -1
    TRY32
    mov     es:[0], eax
    CATCH32 "a write to a read-only segment", VEC_GP
    mov     eax, DOWN
    mov     es, eax
    TRY32
    mov     eax, es:[0x1000]
    CATCH32 "an expand-down segment above its limit", -1
    TRY32
    mov     eax, es:[0xFFF]
    CATCH32 "an expand-down segment at its limit", VEC_GP
    TRY32
    mov     eax, cs:[guest_main]
    CATCH32 "a read through cs", -1
    TRY32
    mov     cs:[FREE_MEMORY], eax
    CATCH32 "a write through cs", VEC_GP
    xor     eax, eax
    mov     es, eax
    TRY32
    mov     eax, es:[0]
    CATCH32 "a read through a null segment", VEC_GP
    mov     eax, SEL_DATA
    mov     es, eax
    ret

/* LOAD32 "name", register, selector, vector, error */
.macro LOAD32 name, register, selector, vector, error=0
    mov     eax, \selector
    TRY32
    mov     \register, eax
    CATCH32 "\name", \vector, \error
.endm

loads:
    LOAD32  "a null selector in es", es, 3, -1
    LOAD32  "a null selector in ss", ss, 0, VEC_GP
    LOAD32  "an absent segment in es", es, ABSENT, VEC_NP, ABSENT
    LOAD32  "an absent segment in ss", ss, ABSENT, VEC_SS, ABSENT
    LOAD32  "code that cannot be read in es", es, EXECUTE, VEC_GP, EXECUTE
    LOAD32  "code that can be read in es", es, SEL_CODE32, -1
    LOAD32  "code in ss", ss, SEL_CODE32, VEC_GP, SEL_CODE32
    LOAD32  "a read-only segment in ss", ss, READ_ONLY, VEC_GP, READ_ONLY
    LOAD32  "a gate in es", es, GATE, VEC_GP, GATE
    LOAD32  "RPL 3 in ss of ring 0", ss, (SEL_DATA + 3), VEC_GP, SEL_DATA
    LOAD32  "a user segment in ss of ring 0", ss, (SEL_USER_DATA + 3), VEC_GP, SEL_USER_DATA
    LOAD32  "a local selector without a local table", es, 0x14, VEC_GP, 0x14
    LOAD32  "a selector beyond the table", es, 0xFFF8, VEC_GP, 0xFFF8
    LOAD32  "data again", es, SEL_DATA, -1
    and     byte ptr [gdt + SEL_DATA + 5], 0xFE
    mov     eax, SEL_DATA
    mov     fs, eax
    movzx   ebx, byte ptr [gdt + SEL_DATA + 5]
    and     ebx, 1
    LOG32   "a load sets the accessed bit", ebx, 1
    mov     ebx, 0x77
    mov     ecx, SMALL
    lsl     ebx, ecx
    LOG32   "lsl", ebx, 0xFFF
    mov     ecx, SEL_DATA
    lsl     ebx, ecx
    LOG32   "lsl of a segment of 4 KiB units", ebx, -1
    lar     ebx, ecx
    and     ebx, 0xF0FF00
    LOG32   "lar", ebx, 0xC09300
    mov     ecx, ABSENT
    verw    cx
    setz    bl
    movzx   ebx, bl
    LOG32   "verw looks at an absent segment without a fault", ebx, 1
    mov     ecx, READ_ONLY
    verw    cx
    setz    bl
    movzx   ebx, bl
    LOG32   "verw of a read-only segment", ebx, 0
    ret

transfers:
    TRY32
    ljmp    0, 0
    CATCH32 "a far jump to a null selector", VEC_GP
    TRY32
    ljmp    SEL_DATA, 0
    CATCH32 "a far jump to data", VEC_GP, SEL_DATA
    TRY32
    ljmp    SEL_USER_CODE32 + 3, 0
    CATCH32 "a far jump to code of ring 3", VEC_GP, SEL_USER_CODE32
    TRY32
    lcall   CONFORMING, offset conforming
    CATCH32 "a far call of conforming code", -1
    mov     ebx, esp
    mov     edx, 7
    TRY32
    lcall   GATE, 0x12345678 /* the offset is not used */
    CATCH32 "a far call of a gate", -1
    LOG32   "it was called", edx, 8
    sub     ebx, esp
    LOG32   "its lret balances the stack", ebx, 0
    TRY32
    ljmp    SEL_TSS32, 0
    CATCH32 "a jump to the busy task", VEC_GP, SEL_TSS32
    TRY32
    push    SEL_DATA + 3
    push    0
    push    SEL_USER_CODE32 + 3
    push    0
    lret
    CATCH32 "lret to ring 3 with ss of ring 0", VEC_GP, SEL_DATA
    TRY32
    int     0x50
    CATCH32 "int through a gate", 0x50
    mov     byte ptr [idt32 + 8 * 0x51 + 5], 0x0E
    TRY32
    int     0x51
    CATCH32 "int through an absent gate", VEC_NP, (0x51 * 8 + 2)
    mov     word ptr [idt32 + 8 * 0x52 + 2], SEL_DATA
    TRY32
    int     0x52
    CATCH32 "a gate to data", VEC_GP, SEL_DATA
    mov     byte ptr [idt32 + 8 * 0x53 + 5], 0x83
    TRY32
    int     0x53
    CATCH32 "a gate of a type that is none", VEC_GP, (0x53 * 8 + 2)
    mov     byte ptr [idt32 + 8 * 0x54 + 5], 0x8F /* trap gate */
    ret

conforming:
    lret

gate_target:
    inc     edx
    lret

/* RING3 label: goes to ring 3 code with flat segments; it comes back by a trap to the CATCH32. */
.macro RING3 label
    push    SEL_USER_DATA + 3
    push    offset user_stack_top
    push    2
    push    SEL_USER_CODE32 + 3
    push    offset \label
    iretd
.endm

ring3:
    TRY32
    RING3   user_int
    CATCH32 "int from ring 3 through a gate of ring 0", VEC_GP, (0x50 * 8 + 2)
    TRY32
    RING3   user_int3
    CATCH32 "int3 from ring 3", VEC_BP
    LOG32   "the frame has ring 3's cs", [trap_cs], (SEL_USER_CODE32 + 3)
    LOG32   "its ss", [trap_ss], (SEL_USER_DATA + 3)
    mov     ebx, [trap_rsp]
    sub     ebx, offset user_stack_top
    LOG32   "its esp", ebx, -4
    TRY32
    RING3   user_call_gate
    CATCH32 "a gate of ring 0 from ring 3", VEC_GP, GATE
    TRY32
    RING3   user_call_user_gate
    CATCH32 "a call gate to ring 0", VEC_UD
    LOG32   "its parameters are copied", [parameters], 0x22
    LOG32   "in order", [parameters + 4], 0x11
    LOG32   "ring 0's stack is used", [inner_ss], SEL_DATA
    LOG32   "the return goes to ring 3", [trap_cs], (SEL_USER_CODE32 + 3)
    mov     ebx, [trap_rsp]
    sub     ebx, offset user_stack_top
    LOG32   "and drops the parameters", ebx, 0
    TRY32
    RING3   user_hlt
    CATCH32 "hlt in ring 3", VEC_GP
    TRY32
    RING3   user_in
    CATCH32 "in without rights", VEC_GP
    TRY32
    RING3   user_load
    CATCH32 "ring 3 loads a segment of ring 0", VEC_GP, SEL_DATA
    mov     eax, SEL_DATA
    mov     es, eax
    mov     ds, eax
    /* An I/O map that allows port 0x80. */
    mov     word ptr [tss32 + 102], 104
    mov     word ptr [gdt + SEL_TSS32], 104 + 0x12
    mov     dword ptr [tss32 + 104], -1
    mov     dword ptr [tss32 + 108], -1
    mov     dword ptr [tss32 + 112], -1
    mov     dword ptr [tss32 + 116], -1
    mov     dword ptr [tss32 + 120], 0xFFFFFFFE
    and     byte ptr [gdt + SEL_TSS32 + 5], 0xFD
    mov     eax, SEL_TSS32
    ltr     ax
    TRY32
    RING3   user_in
    CATCH32 "in with rights of the I/O map", VEC_UD
    TRY32
    RING3   user_in_wide
    CATCH32 "a wide in needs all bits", VEC_GP
    ret

user_int:
    int     0x50
user_int3:
    push    0
    int3
user_call_gate:
    lcall   GATE, 0
user_call_user_gate:
    push    0x11
    push    0x22
    lcall   USER_GATE, 0
    ud2
user_hlt:
    hlt
user_in:
    in      al, 0x80
    ud2
user_in_wide:
    in      ax, 0x80
    ud2
user_load:
    mov     eax, SEL_DATA
    mov     es, eax
    ud2

/* On ring 0's stack: eip, cs, parameters, esp, ss. */
user_gate_target:
    mov     eax, [esp + 8]
    mov     [parameters], eax
    mov     eax, [esp + 12]
    mov     [parameters + 4], eax
    mov     eax, ss
    mov     [inner_ss], eax
    lret    8

    .bss
    .balign 16
parameters:
    .skip   8
inner_ss:
    .skip   8
    .skip   256
user_stack_top:
    .skip   16
