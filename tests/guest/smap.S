/* SPDX-License-Identifier: MIT */
/* SMEP, SMAP and UMIP (SDM vol. 3A, 4.6 and 2.5): what ring 0 may not do with user pages, ring 3 not with tables. */
#include "lib/guest.h"

#define FRAME (FREE_MEMORY + 0x100000)
#define USER (PTE_P | PTE_W | PTE_U)

    .code64
    .text
    .globl  guest_main
guest_main:
    call    region_init
    mov     eax, 7
    xor     ecx, ecx
    cpuid
    mov     [features_b], ebx
    mov     [features_c], ecx
    REGION_PAGE 0, FRAME + USER
    mov     byte ptr [FRAME], 0xC3  /* ret */
    TRY
    call    r15
    CATCH_NONE "ring 0 runs user pages without SMEP"
    bt      dword ptr [features_b], 7
    jnc     1f
    mov     rax, cr4
    or      eax, CR4_SMEP
    mov     cr4, rax
    TRY
    call    r15
    CATCH   "ring 0 runs a user page, with SMEP", VEC_PF, (PF_P + PF_I)
    TRY
    mov     eax, [r15]
    CATCH_NONE "SMEP lets ring 0 read it"
    and     qword ptr [region_pd], ~PTE_U
    mov     rax, cr3
    mov     cr3, rax
    TRY
    call    r15
    CATCH_NONE "a page is a user page only if all levels say so"
    or      qword ptr [region_pd], PTE_U
    mov     rax, cr4
    and     eax, ~CR4_SMEP
    mov     cr4, rax
    TRY
    call    r15
    CATCH_NONE "clearing cr4.SMEP takes effect at once"
    jmp     smap
1:  SKIP    "SMEP"
smap:
    bt      dword ptr [features_b], 20
    jnc     1f
    mov     rax, cr4
    or      eax, CR4_SMAP
    mov     cr4, rax
    TRY
    mov     eax, [r15]
    CATCH   "ring 0 reads a user page, with SMAP", VEC_PF, PF_P
    TRY
    mov     [r15], eax
    CATCH   "ring 0 writes a user page, with SMAP", VEC_PF, (PF_P + PF_W)
    stac
    TRY
    mov     eax, [r15]
    CATCH_NONE "stac opens it"
    clac
    TRY
    mov     eax, [r15]
    CATCH   "clac closes it, at once", VEC_PF, PF_P
    stac
    TRY
    ud2
    CATCH   "rflags.AC before a trap", VEC_UD
    mov     rax, [trap_rflags]
    and     eax, FLAG_AC
    CHECK   "a trap saves AC", rax, FLAG_AC
    pushfq
    or      qword ptr [rsp], FLAG_AC
    popfq
    TRY
    mov     eax, [r15]
    CATCH_NONE "popf opens it too"
    clac
    /* Implicit supervisor accesses are refused even with AC: the GDT on a user page. */
    mov     rax, cr4
    and     eax, ~CR4_SMAP
    mov     cr4, rax
    jmp     umip
1:  SKIP    "SMAP"
umip:
    bt      dword ptr [features_c], 2
    jnc     1f
    stac
    lea     rdi, [r15 + 0x100]
    COPY_CODE rdi, user_sgdt
    clac
    TRY
    lea     rdi, [r15 + 0x100]
    call    user_call
    CATCH   "ring 3 reads the GDT register without UMIP", VEC_UD
    mov     rax, cr4
    or      eax, CR4_UMIP
    mov     cr4, rax
    TRY
    lea     rdi, [r15 + 0x100]
    call    user_call
    CATCH   "ring 3 reads the GDT register with UMIP", VEC_GP
    TRY
    sgdt    [FREE_MEMORY]
    CATCH_NONE "ring 0 may, with UMIP"
    ret
1:  SKIP    "UMIP"
    ret

user_sgdt:
    mov     rax, REGION + 0x200
    sgdt    [rax]
    ud2
user_sgdt_end:

    .bss
    .balign 4
features_b:
    .skip   4
features_c:
    .skip   4
