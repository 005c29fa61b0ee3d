/* SPDX-License-Identifier: MIT */
/* What flushes cached translations, and what does not (SDM vol. 3A, 4.10). Caching itself is a CPU's choice: what a
 * CPU may keep is not checked, what it must drop is. */
#include "lib/guest.h"

#define FRAME (FREE_MEMORY + 0x100000)
#define RW (PTE_P | PTE_W)

    .code64
    .text
    .globl  guest_main
guest_main:
    call    region_init
    mov     dword ptr [FRAME], 0x11111111
    mov     dword ptr [FRAME + 0x1000], 0x22222222
    mov     qword ptr [region_pt], FRAME + RW
    CHECK_32 "an absent page that becomes present needs no flush", [r15], 0x11111111
    mov     qword ptr [region_pt], FRAME + 0x1000 + RW
    invlpg  [r15 + 0x10]
    CHECK_32 "invlpg, by any address in the page", [r15], 0x22222222
    mov     qword ptr [region_pt], FRAME + RW
    mov     rax, cr3
    mov     cr3, rax
    CHECK_32 "a load of cr3", [r15], 0x11111111
    mov     qword ptr [region_pt], FRAME + PTE_P
    invlpg  [r15]
    mov     eax, [r15]
    mov     qword ptr [region_pt], FRAME + RW
    TRY
    mov     [r15], eax
    CATCH_NONE "more rights need no flush, after a fault at most"
    mov     rax, cr4
    xor     rax, CR4_PGE
    mov     qword ptr [region_pt], FRAME + 0x1000 + RW + PTE_G
    mov     cr4, rax
    CHECK_32 "a change of cr4.PGE", [r15], 0x22222222
    /* PGE is on now. */
    mov     qword ptr [region_pt], FRAME + RW + PTE_G
    invlpg  [r15]
    CHECK_32 "invlpg takes global pages too", [r15], 0x11111111
    mov     qword ptr [region_pt], FRAME + 0x1000 + RW
    mov     rax, cr4
    xor     rax, CR4_PGE
    mov     cr4, rax
    CHECK_32 "clearing cr4.PGE takes global pages too", [r15], 0x22222222
    mov     qword ptr [region_pd], FREE_MEMORY + RW + PTE_PS
    invlpg  [r15]
    mov     dword ptr [FREE_MEMORY], 0x33333333
    CHECK_32 "invlpg and a table that becomes a large page", [r15], 0x33333333
    mov     qword ptr [region_pd], FREE_MEMORY + 0x200000 + RW + PTE_PS
    invlpg  [r15 + 0x1FF000]
    mov     dword ptr [FREE_MEMORY + 0x200000], 0x44444444
    CHECK_32 "invlpg of a large page, by any address in it", [r15], 0x44444444
    mov     dword ptr [FREE_MEMORY + 0x405000], 0x55555555
    mov     dword ptr [FREE_MEMORY + 0x205000], 0x66666666
    mov     eax, [r15 + 0x5000]
    mov     qword ptr [region_pd], FREE_MEMORY + 0x400000 + RW + PTE_PS
    invlpg  [r15]
    CHECK_32 "and for all its addresses", [r15 + 0x5000], 0x55555555
    mov     qword ptr [region_pd], offset region_pt + (PTE_P | PTE_W | PTE_U)
    mov     rax, cr3
    mov     cr3, rax
    CHECK_32 "and back to small pages", [r15], 0x22222222
    mov     rax, cr3
    mov     cr3, rax
    TRY
    invlpg  [rsp]
    CATCH_NONE "invlpg of the stack"
    mov     rax, 0x8000000000000000
    TRY
    invlpg  [rax]
    CATCH_NONE "invlpg of an address that is not canonical"
    call    own_page
    call    pcid
    call    invpcid_kinds
    ret

/* Code that flushes the page it runs in, after changing what is there. */
own_code:
    mov     [rbx], rcx
    invlpg  [rip + own_code]
    mov     eax, 1
    ret
own_code_end:

own_page:
    mov     qword ptr [region_pt + 8], FRAME + 0x2000 + RW
    mov     qword ptr [region_pt + 16], FRAME + 0x3000 + RW
    lea     rax, [r15 + 0x1000]
    COPY_CODE rax, own_code
    lea     rax, [r15 + 0x2000]
    COPY_CODE rax, own_code
    mov     byte ptr [FRAME + 0x3000 + (own_value - own_code)], 2
    .set    own_value, own_code_end - 5 /* the operand of mov eax, 1 */
    mov     ebx, offset region_pt + 8
    mov     ecx, FRAME + 0x3000 + RW
    lea     rax, [r15 + 0x1000]
    call    rax
    CHECK   "invlpg of the page that executes", rax, 2
    ret

pcid:
    mov     eax, 1
    cpuid
    bt      ecx, 17
    jnc     1f
    mov     rax, cr4
    or      eax, CR4_PCIDE
    mov     cr4, rax
    mov     qword ptr [region_pt], FRAME + RW
    mov     eax, offset page_pml4 + 5
    mov     cr3, rax
    CHECK_32 "pcid 5: a load of cr3 flushes it", [r15], 0x11111111
    mov     qword ptr [region_pt], FRAME + 0x1000 + RW
    mov     eax, offset page_pml4 + 6
    mov     cr3, rax
    CHECK_32 "pcid 6 does not see what pcid 5 cached", [r15], 0x22222222
    mov     eax, offset page_pml4 + 5
    mov     cr3, rax
    CHECK_32 "pcid 5 again, without bit 63: flushed", [r15], 0x22222222
    mov     rax, cr3
    mov     rbx, 0x8000000000000000
    or      rax, rbx
    mov     cr3, rax
    mov     rax, cr3
    mov     ebx, offset page_pml4 + 5
    CHECK   "cr3 reads without bit 63", rax, rbx
    mov     rax, cr4
    and     eax, ~CR4_PCIDE
    TRY
    mov     rbx, cr3
    mov     cr4, rax
    mov     rcx, cr3
    CATCH_NONE "clearing cr4.PCIDE with a pcid"
    mov     eax, offset page_pml4
    mov     cr3, rax
    ret
1:  SKIP    "pcid"
    ret

invpcid_kinds:
    mov     eax, 7
    xor     ecx, ecx
    cpuid
    bt      ebx, 10
    jnc     2f
    mov     qword ptr [FREE_MEMORY], 0
    mov     [FREE_MEMORY + 8], r15
    mov     qword ptr [region_pt], FRAME + RW
    invlpg  [r15]
    mov     eax, [r15]
    .irp    kind, 0, 1, 2, 3
    xor     qword ptr [region_pt], 0x1000
    mov     eax, \kind
    invpcid rax, [FREE_MEMORY]
    mov     ebx, [r15]
    .if     \kind & 1
    CHECK   "invpcid \kind", rbx, 0x11111111
    .else
    CHECK   "invpcid \kind", rbx, 0x22222222
    .endif
    .endr
    mov     eax, 4
    TRY
    invpcid rax, [FREE_MEMORY]
    CATCH   "invpcid 4", VEC_GP
    ret
2:  SKIP    "invpcid"
    ret
