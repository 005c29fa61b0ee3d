/* SPDX-License-Identifier: MIT */
/* Four-level paging: accessed and dirty bits, the bits of the fault code, what faults leave alone
 * (SDM vol. 3A, 4.5 to 4.8). */
#include "lib/guest.h"

#define FRAME (FREE_MEMORY + 0x100000) /* the page that the region maps */
#define RW (PTE_P | PTE_W)
#define PTE(name, flags) (FRAME + (flags))
#define RESERVED 0x0008000000000000 /* bit 51: beyond the physical addresses of all our machines */

    .code64
    .text
    .globl  guest_main
guest_main:
    call    region_init
    call    accessed_and_dirty
    call    fault_codes
    call    reserved_bits
    call    write_protect
    call    user_mode
    call    crossing
    call    restarts
    ret

/* CHECK_ENTRY "name", entry, flags: of the accessed and dirty bits. */
.macro CHECK_ENTRY name, entry, flags
    mov     r9, [\entry]
    and     r9d, PTE_A | PTE_D
    CHECK   "\name", r9, \flags
.endm

accessed_and_dirty:
    and     qword ptr [page_pml4 + 8 * REGION_INDEX], ~PTE_A
    REGION_PAGE 0, FRAME + RW
    mov     rax, cr3
    mov     cr3, rax
    mov     rax, [r15]
    CHECK_ENTRY "a read sets A in the PML4 entry", (page_pml4 + 8 * REGION_INDEX), PTE_A
    CHECK_ENTRY "a read sets A in the PDPT entry", region_pdpt, PTE_A
    CHECK_ENTRY "a read sets A in the PD entry", region_pd, PTE_A
    CHECK_ENTRY "a read sets A but not D in the PT entry", region_pt, PTE_A
    mov     [r15], rax
    CHECK_ENTRY "a write sets D in the PT entry, though the read was cached", region_pt, (PTE_A | PTE_D)
    CHECK_ENTRY "D is not set above the leaf", region_pd, PTE_A
    REGION_PAGE 0, FRAME + RW
    mov     [r15], rax
    CHECK_ENTRY "a first write sets A and D", region_pt, (PTE_A | PTE_D)
    REGION_PAGE 0, FRAME + RW
    lea     rbx, [r15]
    prefetcht0 [rbx + 4096]
    lea     rbx, [r15 + 1]
    CHECK_ENTRY "lea touches nothing", region_pt, 0
    mov     rax, cr0
    REGION_PAGE 0, FRAME + PTE_P
    TRY
    mov     [r15], rax
    CATCH   "a write to a read-only page", VEC_PF, (PF_P + PF_W)
    mov     rbx, [region_pt]
    and     ebx, PTE_D
    CHECK   "a write that faults does not set D", rbx, 0
    /* A 2 MiB page in the second entry of the directory. */
    mov     qword ptr [region_pd + 8], FREE_MEMORY + RW + PTE_PS
    mov     rbx, r15
    add     rbx, 0x200000
    mov     rax, [rbx + 0x12345]
    CHECK_ENTRY "a read sets A in the entry of a large page", (region_pd + 8), PTE_A
    mov     [rbx + 0x54321], rax
    CHECK_ENTRY "a write sets D there", (region_pd + 8), (PTE_A | PTE_D)
    mov     dword ptr [FREE_MEMORY + 0x1FFFFC], 0x12345678
    CHECK_32 "the last bytes of a large page", [rbx + 0x1FFFFC], 0x12345678
    mov     eax, 0x80000001
    cpuid
    bt      edx, 26
    jnc     1f
    mov     qword ptr [region_pdpt + 8], RW + PTE_PS
    mov     rbx, r15
    add     rbx, 0x40000000
    CHECK_32 "a page of 1 GiB", [rbx + FREE_MEMORY + 0x1FFFFC], 0x12345678
    CHECK_ENTRY "a read sets A in its entry", (region_pdpt + 8), PTE_A
    ret
1:  SKIP    "a page of 1 GiB"
    SKIP    "a read sets A in its entry"
    ret

fault_codes:
    REGION_PAGE 0, 0
    TRY
    mov     eax, [r15]
    CATCH   "a read, PT entry absent", VEC_PF, 0
    TRY
    mov     [r15], eax
    CATCH   "a write, PT entry absent", VEC_PF, PF_W
    TRY
    add     [r15], eax
    CATCH   "a read-modify-write, PT entry absent", VEC_PF, PF_W
    TRY
    cmpxchg [r15], eax
    CATCH   "cmpxchg, PT entry absent", VEC_PF, PF_W
    TRY
    jmp     r15
    CATCH   "a fetch, PT entry absent", VEC_PF, PF_I
    CHECK   "cr2 of a fetch is rip", [trap_cr2], r15
    CHECK   "the saved rip is the target", [trap_rip], r15
    mov     rbx, r15
    add     rbx, 0x400000
    TRY
    mov     eax, [rbx]
    CATCH   "a read, PD entry absent", VEC_PF, 0
    mov     rax, 0xC0000000
    lea     rbx, [r15 + rax]
    TRY
    mov     [rbx], eax
    CATCH   "a write, PDPT entry absent", VEC_PF, PF_W
    mov     rbx, 0x10000000000
    TRY
    mov     eax, [rbx]
    CATCH   "a read, PML4 entry absent", VEC_PF, 0
    mov     rbx, -16
    TRY
    mov     eax, [rbx]
    CATCH   "a read in the last page", VEC_PF, 0
    CHECK   "cr2 in the last page", [trap_cr2], -16
    REGION_PAGE 0, FRAME + RW
    mov     rbx, 0x8000000000000000 /* XD */
    or      [region_pt], rbx
    invlpg  [r15]
    TRY
    mov     eax, [r15]
    CATCH_NONE "a read of a page that may not be executed"
    TRY
    jmp     r15
    CATCH   "a fetch from it", VEC_PF, (PF_P + PF_I)
    REGION_PAGE 0, FRAME + RW
    or      [region_pd], rbx
    mov     rax, cr3
    mov     cr3, rax
    TRY
    jmp     r15
    CATCH   "a fetch with XD in the PD entry", VEC_PF, (PF_P + PF_I)
    btr     qword ptr [region_pd], 63
    mov     rax, cr3
    mov     cr3, rax
    ret

reserved_bits:
    mov     rbx, RESERVED
    REGION_PAGE 0, FRAME + RW
    or      [region_pt], rbx
    invlpg  [r15]
    TRY
    mov     eax, [r15]
    CATCH   "a reserved bit in the PT entry", VEC_PF, (PF_P + PF_RSVD)
    TRY
    mov     [r15], eax
    CATCH   "a write, reserved bit in the PT entry", VEC_PF, (PF_P + PF_RSVD + PF_W)
    and     qword ptr [region_pt], ~PTE_P
    invlpg  [r15]
    TRY
    mov     eax, [r15]
    CATCH   "absent entries have no reserved bits", VEC_PF, 0
    REGION_PAGE 0, FRAME + RW
    or      [region_pd], rbx
    mov     rax, cr3
    mov     cr3, rax
    TRY
    mov     eax, [r15]
    CATCH   "a reserved bit in the PD entry", VEC_PF, (PF_P + PF_RSVD)
    xor     [region_pd], rbx
    or      qword ptr [page_pml4 + 8 * REGION_INDEX], PTE_PS
    mov     rax, cr3
    mov     cr3, rax
    TRY
    mov     eax, [r15]
    CATCH   "PS in the PML4 entry", VEC_PF, (PF_P + PF_RSVD)
    and     qword ptr [page_pml4 + 8 * REGION_INDEX], ~PTE_PS
    mov     qword ptr [region_pd + 8], FREE_MEMORY + 0x2000 + RW + PTE_PS
    mov     rax, cr3
    mov     cr3, rax
    mov     rbx, r15
    add     rbx, 0x200000
    TRY
    mov     eax, [rbx]
    CATCH   "a large page that is not aligned", VEC_PF, (PF_P + PF_RSVD)
    mov     qword ptr [region_pd + 8], FREE_MEMORY + 0x1000 + RW + PTE_PS /* bit 12: PAT */
    mov     rax, cr3
    mov     cr3, rax
    mov     dword ptr [FREE_MEMORY + 4], 0x87654321
    CHECK_32 "bit 12 of a large page is no address", [rbx + 4], 0x87654321
    ret

write_protect:
    REGION_PAGE 0, FRAME + PTE_P
    mov     rax, cr0
    and     rax, ~CR0_WP
    mov     cr0, rax
    TRY
    mov     [r15], eax
    CATCH_NONE "ring 0 writes read-only pages without cr0.WP"
    CHECK_ENTRY "and sets D", region_pt, (PTE_A | PTE_D)
    mov     rax, cr0
    or      rax, CR0_WP
    mov     cr0, rax
    TRY
    mov     [r15], eax
    CATCH   "but not with it, at once", VEC_PF, (PF_P + PF_W)
    REGION_PAGE 0, FRAME + RW
    and     qword ptr [region_pd], ~PTE_W
    mov     rax, cr3
    mov     cr3, rax
    TRY
    mov     [r15], eax
    CATCH   "the PD entry can take the right to write", VEC_PF, (PF_P + PF_W)
    or      qword ptr [region_pd], PTE_W
    mov     rax, cr3
    mov     cr3, rax
    ret

/* Ring 3 code, copied to page 1 of the region. */
user_read:
    mov     eax, [rbx]
    ud2
user_write:
    mov     [rbx], eax
    ud2
user_jump:
    jmp     rbx
user_read_end:

/* USER "name", code, vector, error */
.macro USER name, code, vector, error=0
    TRY
    lea     rdi, [r15 + 4096 + (\code - user_read)]
    call    user_call
    CATCH   "\name", \vector, \error
.endm

user_mode:
    REGION_PAGE 0, FRAME + RW
    REGION_PAGE 1, FRAME + 0x1000 + RW
    lea     rax, [r15 + 4096]
    COPY_CODE rax, user_read
    REGION_PAGE 1, FRAME + 0x1000 + PTE_P + PTE_U
    mov     rbx, r15
    USER    "ring 3 reads a supervisor page", user_read, VEC_PF, (PF_P + PF_U)
    CHECK   "the fault comes from ring 3", [trap_cs], (SEL_USER_CODE64 + 3)
    USER    "ring 3 writes a supervisor page", user_write, VEC_PF, (PF_P + PF_W + PF_U)
    USER    "ring 3 jumps to a supervisor page", user_jump, VEC_PF, (PF_P + PF_U + PF_I)
    mov     qword ptr [region_pt], 0
    invlpg  [rbx]
    USER    "ring 3 reads an absent page", user_read, VEC_PF, PF_U
    REGION_PAGE 0, FRAME + PTE_P + PTE_U
    mov     rbx, r15
    USER    "ring 3 reads a user page", user_read, VEC_UD
    USER    "ring 3 writes a read-only page", user_write, VEC_PF, (PF_P + PF_W + PF_U)
    mov     rax, cr0
    and     rax, ~CR0_WP
    mov     cr0, rax
    USER    "cr0.WP is nothing to ring 3", user_write, VEC_PF, (PF_P + PF_W + PF_U)
    mov     rax, cr0
    or      rax, CR0_WP
    mov     cr0, rax
    REGION_PAGE 0, FRAME + PTE_P + PTE_W + PTE_U
    mov     rbx, r15
    USER    "ring 3 writes a user page", user_write, VEC_UD
    and     qword ptr [region_pd], ~PTE_U
    mov     rax, cr3
    mov     cr3, rax
    USER    "the PD entry can take the right of ring 3", user_read, VEC_PF, (PF_P + PF_U + PF_I)
    or      qword ptr [region_pd], PTE_U
    mov     rax, cr3
    mov     cr3, rax
    ret

/* An access over the end of page 0, with page 1 absent. */
crossing:
    REGION_PAGE 0, FRAME + RW
    REGION_PAGE 1, 0
    mov     dword ptr [r15 + 0xFFC], 0x11111111
    lea     rbx, [r15 + 0xFFE]
    mov     eax, 0x22222222
    TRY
    mov     [rbx], eax
    CATCH   "a write over a page end into an absent page", VEC_PF, PF_W
    lea     rax, [r15 + 0x1000]
    CHECK   "cr2 is where the absent page begins", [trap_cr2], rax
    CHECK_32 "nothing was written to the first page", [r15 + 0xFFC], 0x11111111
    TRY
    lock add [rbx], eax
    CATCH   "the same with a locked instruction", VEC_PF, PF_W
    CHECK_32 "nothing was written either", [r15 + 0xFFC], 0x11111111
    REGION_PAGE 1, FRAME + 0x3000 + RW
    mov     dword ptr [r15 + 0x1000], 0x44443333
    CHECK_32 "a read over a page end", [rbx], 0x33331111
    mov     dword ptr [rbx], 0x66665555
    CHECK_32 "a write over a page end, first half", [FRAME + 0xFFC], 0x55551111
    CHECK_32 "a write over a page end, second half", [FRAME + 0x3000], 0x44446666
    /* Code over the page end: mov eax, imm32; ud2 */
    mov     word ptr [r15 + 0xFFE], 0x78B8
    mov     dword ptr [r15 + 0x1000], 0x0F123456
    mov     byte ptr [r15 + 0x1004], 0x0B
    TRY
    jmp     rbx
    CATCH   "an instruction over a page end", VEC_UD
    CHECK   "its operand is whole", rax, 0x12345678
    REGION_PAGE 1, 0
    TRY
    jmp     rbx
    CATCH   "an instruction that goes on in an absent page", VEC_PF, PF_I
    CHECK   "the saved rip is the instruction's", [trap_rip], rbx
    lea     rax, [r15 + 0x1000]
    CHECK   "cr2 is where the page begins", [trap_cr2], rax
    ret

/* What an instruction that faults leaves, so that it can be repeated. */
restarts:
    REGION_PAGE 0, FRAME + RW
    REGION_PAGE 1, 0
    mov     esi, FREE_MEMORY
    lea     rdi, [r15 + 0xFF8]
    mov     ecx, 16
    TRY
    rep     movsb
    CATCH   "rep movsb into an absent page", VEC_PF, PF_W
    CHECK   "rcx counts what is left", rcx, 8
    lea     rax, [r15 + 0x1000]
    CHECK   "rdi is where it stopped", rdi, rax
    CHECK   "rsi too", rsi, (FREE_MEMORY + 8)
    mov     byte ptr [idt + 16 * VEC_PF + 4], 1 /* IST1: the handler needs a stack */
    mov     rbx, rsp
    lea     rsp, [r15 + 0x2000]
    TRY
    mov     [trap_stack], rbx
    push    rax
    CATCH   "a push into an absent page", VEC_PF, PF_W
    lea     rax, [r15 + 0x2000]
    CHECK   "rsp is as before", [trap_rsp], rax
    mov     rsp, rbx
    mov     byte ptr [idt + 16 * VEC_PF + 4], 0
    mov     qword ptr [r15], 7
    lea     rbx, [r15 + 0x1000]
    TRY
    pop     qword ptr [rbx]
    CATCH   "pop into an absent page", VEC_PF, PF_W
    CHECK   "rsp is as before a pop that faults", [trap_rsp], [trap_stack]
    mov     eax, 5
    stc
    TRY
    adc     [rbx], eax
    CATCH   "adc to an absent page", VEC_PF, PF_W
    mov     rax, [trap_rflags]
    and     eax, FLAG_CF
    CHECK   "flags are as before", rax, 1
    ret
