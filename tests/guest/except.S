/* SPDX-License-Identifier: MIT */
/* Exceptions of 64-bit code in ring 0: vectors, error codes, saved rip, flags (SDM vol. 3A, chapter 6). */
#include "lib/guest.h"

    .code64
    .text
    .globl  guest_main
guest_main:
    xor     ecx, ecx
    mov     eax, 1
    xor     edx, edx
    TRY
divide:
    div     ecx
    CATCH   "division by zero", VEC_DE
    CHECK_AT "a fault saves the address of its instruction", [trap_rip], divide
    CHECK   "a fault of ring 0 saves ss", [trap_ss], SEL_DATA

    mov     rax, 0x8000000000000000
    cqo
    mov     rcx, -1
    TRY
    idiv    rcx
    CATCH   "quotient overflow", VEC_DE

    TRY
    ud2
    CATCH   "ud2", VEC_UD
    TRY
    .byte   0x06                    /* push es */
    CATCH   "an instruction that 64-bit mode lacks", VEC_UD
    TRY
    .byte   0xF0, 0x90              /* lock nop */
    CATCH   "lock before an instruction that may not have it", VEC_UD
    TRY
    .byte   0xF0, 0x01, 0xC0        /* lock add eax, eax */
    CATCH   "lock without a memory operand", VEC_UD
    TRY
    .fill   12, 1, 0x66
    .byte   0x0F, 0x1F, 0x40, 0x00  /* nop: 16 bytes in all */
    CATCH   "an instruction of 16 bytes", VEC_GP

    TRY
    int3
breakpoint_end:
    CATCH   "int3", VEC_BP
    CHECK_AT "a trap saves the address of the next instruction", [trap_rip], breakpoint_end
    TRY
    int     0x41
    CATCH   "int n", 0x41
    mov     qword ptr [idt + 16 * 0x42], 0 /* not present */
    TRY
    int     0x42
    CATCH   "int n without a gate", VEC_GP, (0x42 * 8 + 2)
    mov     qword ptr [idt + 16 * 0x43], 0
    mov     dword ptr [idt + 16 * 0x43 + 4], 0x0E00
    TRY
    int     0x43
    CATCH   "int n with a gate that is not present", VEC_NP, (0x43 * 8 + 2)

    mov     rax, 0x8000000000000000
    TRY
    mov     rbx, [rax]
    CATCH   "a load from an address that is not canonical", VEC_GP
    mov     rbp, rax
    TRY
    mov     rbx, [rbp]
    CATCH   "the same through rbp", VEC_SS
    TRY
    jmp     rax
    CATCH   "a jump to an address that is not canonical", VEC_GP
    mov     eax, 0x1000
    TRY
    mov     ds, eax
    CATCH   "a selector beyond the table", VEC_GP, 0x1000
    mov     eax, SEL_TSS
    TRY
    mov     ds, eax
    CATCH   "a system descriptor in ds", VEC_GP, SEL_TSS
    xor     eax, eax
    TRY
    mov     ss, eax
    CATCH_NONE "a null selector in ss of ring 0"
    mov     eax, SEL_DATA
    mov     ss, eax
    mov     ecx, 0x12345
    TRY
    rdmsr
    CATCH   "a register that does not exist", VEC_GP
    mov     rax, cr0
    or      eax, CR0_NW
    TRY
    mov     cr0, rax
    CATCH   "cr0.NW without CD", VEC_GP
    mov     rax, cr0
    and     eax, ~CR0_NW
    mov     cr0, rax
    IF_TCG  no_cr_checks
    mov     rax, cr4
    bts     rax, 31
    TRY
    mov     cr4, rax
    CATCH   "a reserved bit of cr4", VEC_GP
    mov     rax, cr4
    and     eax, ~CR4_PAE
    TRY
    mov     cr4, rax
    CATCH   "long mode without PAE", VEC_GP
    mov     rax, cr0
    and     eax, ~CR0_PE
    TRY
    mov     cr0, rax
    CATCH   "paging without protection", VEC_GP
no_cr_checks:

    mov     eax, 0xF0000000         /* mapped, but beyond RAM: no fault */
    TRY
    mov     ebx, [rax]
    CATCH_NONE "memory that nobody decodes"
    mov     rax, 0x123456789000
    TRY
page:
    mov     rbx, [rax + 0x123]
    CATCH   "a page that is not present", VEC_PF
    mov     rbx, 0x123456789123
    CHECK   "cr2 has the address", [trap_cr2], rbx
    CHECK_AT "a page fault saves the address of its instruction", [trap_rip], page
    TRY
    mov     [rax], rbx
    CATCH   "a write to a page that is not present", VEC_PF, PF_W

    mov     rax, cr0
    or      eax, CR0_TS
    mov     cr0, rax
    TRY
    fld1
    CATCH   "x87 with cr0.TS", VEC_NM
    TRY
    movaps  xmm0, xmm1
    CATCH   "SSE with cr0.TS", VEC_NM
    clts
    mov     eax, FREE_MEMORY + 1
    TRY
    movaps  xmm0, [rax]
    CATCH   "an SSE operand that is not aligned", VEC_GP

    call    single_step
    call    debug_registers
    call    simd_and_x87
    ret

/* Handler of #DB: counts, keeps the last rip and dr6. */
debug_handler:
    inc     qword ptr [debug_count]
    mov     rax, [rdi + 96]
    mov     [debug_rip], rax
    mov     rax, dr6
    mov     [debug_dr6], rax
    mov     eax, 0xFFFF0FF0
    mov     dr6, rax
    or      qword ptr [rdi + 112], FLAG_RF
    ret

single_step:
    HANDLE  VEC_DB, debug_handler
    mov     qword ptr [debug_count], 0
    mov     eax, 0xFFFF0FF0
    mov     dr6, rax
    pushfq
    or      qword ptr [rsp], FLAG_TF
    popfq                           /* the trap comes after the next instruction */
    nop
stepped:
    nop
    nop
    pushfq
    and     qword ptr [rsp], ~FLAG_TF
    popfq
    CHECK   "single step traps after each instruction", [debug_count], 6
    CHECK   "dr6.BS tells of a single step", [debug_dr6], 0xFFFF4FF0
    mov     qword ptr [debug_count], 0
    mov     ecx, 3
    mov     esi, FREE_MEMORY
    mov     edi, FREE_MEMORY + 64
    pushfq
    or      qword ptr [rsp], FLAG_TF
    popfq
    rep     movsb
    pushfq
    and     qword ptr [rsp], ~FLAG_TF
    popfq
    CHECK   "single step traps after each iteration of rep", [debug_count], 6
    mov     qword ptr [debug_count], 0
    mov     eax, SEL_DATA
    pushfq
    or      qword ptr [rsp], FLAG_TF
    popfq
    mov     ss, eax
    nop
    pushfq
    and     qword ptr [rsp], ~FLAG_TF
    popfq
    CHECK   "mov ss holds the trap back for one instruction", [debug_count], 4
    ret

debug_registers:
    mov     qword ptr [debug_count], 0
    mov     eax, offset breakpoint_here
    mov     dr0, rax
    mov     eax, 0x401 | 1          /* L0, execution */
    mov     dr7, rax
    nop
breakpoint_here:
    nop
    CHECK   "an execution breakpoint hits once", [debug_count], 1
    CHECK_AT "an execution breakpoint is a fault", [debug_rip], breakpoint_here
    CHECK   "dr6.B0 tells of breakpoint 0", [debug_dr6], 0xFFFF0FF1
    mov     qword ptr [debug_count], 0
    mov     eax, FREE_MEMORY + 8
    mov     dr1, rax
    mov     eax, 0x400 | 1 << 2 | 1 << 20 | 3 << 22 /* L1, writes, 4 bytes */
    mov     dr7, rax
    mov     ebx, [FREE_MEMORY + 8]
    CHECK   "a write breakpoint ignores reads", [debug_count], 0
    mov     dword ptr [FREE_MEMORY + 8], 1
written:
    CHECK   "a write breakpoint hits", [debug_count], 1
    CHECK_AT "a write breakpoint is a trap", [debug_rip], written
    CHECK   "dr6.B1 tells of breakpoint 1", [debug_dr6], 0xFFFF0FF2
    mov     byte ptr [FREE_MEMORY + 11], 1
    CHECK   "a write to its last byte hits", [debug_count], 2
    mov     byte ptr [FREE_MEMORY + 12], 1
    CHECK   "a write behind it does not", [debug_count], 2
    mov     eax, 0x400 | 1 << 13    /* GD */
    mov     qword ptr [trap_handlers + 8 * VEC_DB], 0
    mov     dr7, rax
    TRY
    mov     rax, dr0
    CATCH   "dr7.GD guards the debug registers", VEC_DB
    mov     rax, dr6
    and     eax, 0x2000
    CHECK   "dr6.BD tells of it", rax, 0x2000
    mov     eax, 0x400
    mov     dr7, rax
    ret

simd_and_x87:
    mov     dword ptr [FREE_MEMORY], 0x1F80 & ~(1 << 9) /* divide by zero unmasked */
    ldmxcsr [FREE_MEMORY]
    xorps   xmm1, xmm1
    mov     eax, 1
    cvtsi2ss xmm0, eax
    TRY
    divss   xmm0, xmm1
    CATCH   "an unmasked SSE exception", VEC_XM
    mov     dword ptr [FREE_MEMORY], 0x1F80
    ldmxcsr [FREE_MEMORY]
    fninit
    mov     word ptr [FREE_MEMORY], 0x037B /* divide by zero unmasked */
    fldcw   [FREE_MEMORY]
    fld1
    fldz
    fdivp   st(1), st               /* reported by the next x87 instruction that waits */
    TRY
    fwait
    CATCH   "an unmasked x87 exception, with cr0.NE", VEC_MF
    fninit
    ret

    .bss
    .balign 8
debug_count:
    .skip   8
debug_rip:
    .skip   8
debug_dr6:
    .skip   8
