/* SPDX-License-Identifier: MIT */
/*
 * What each guest includes: constants and macros of the small run time in this folder.
 *
 * A guest defines guest_main (64-bit code, flat, identity-mapped below 4 GiB, interrupts off) and returns from it.
 * Checks print a line each: `ok NAME`, `FAIL NAME got X want Y`, `skip NAME`, or `val NAME X` for what a machine may
 * choose. The names are the description of the machine: they read as sentences about it.
 *
 * Memory: the image from 2 MiB; real-mode code and the log of other modes from 0x5000 to 0xFFFF; the rest is the
 * guest's, from FREE_MEMORY on in 64-bit mode.
 */
    .intel_syntax noprefix

/* Selectors. The user ones are in the order that SYSRET wants. */
#define SEL_CODE64 0x08
#define SEL_DATA 0x10
#define SEL_CODE32 0x18
#define SEL_USER_CODE32 0x20
#define SEL_USER_DATA 0x28
#define SEL_USER_CODE64 0x30
#define SEL_TSS 0x38 /* 16 bytes */
#define SEL_CODE16 0x48
#define SEL_DATA16 0x50
#define SEL_TSS32 0x58
#define SEL_FREE 0x60 /* eight entries for the guest: free_descriptors */

/* Vectors. */
#define VEC_DE 0
#define VEC_DB 1
#define VEC_NMI 2
#define VEC_BP 3
#define VEC_OF 4
#define VEC_BR 5
#define VEC_UD 6
#define VEC_NM 7
#define VEC_DF 8
#define VEC_TS 10
#define VEC_NP 11
#define VEC_SS 12
#define VEC_GP 13
#define VEC_PF 14
#define VEC_MF 16
#define VEC_AC 17
#define VEC_XM 19

/* Page table entries and page fault error codes (SDM vol. 3A, 4.5 and 4.7). */
#define PTE_P 0x001
#define PTE_W 0x002
#define PTE_U 0x004
#define PTE_A 0x020
#define PTE_D 0x040
#define PTE_PS 0x080
#define PTE_G 0x100
#define PF_P 0x01
#define PF_W 0x02
#define PF_U 0x04
#define PF_RSVD 0x08
#define PF_I 0x10

#define CR0_PE 0x00000001
#define CR0_TS 0x00000008
#define CR0_NE 0x00000020
#define CR0_WP 0x00010000
#define CR0_NW 0x20000000
#define CR0_AM 0x00040000
#define CR0_PG 0x80000000
#define CR4_PAE 0x00000020
#define CR4_PGE 0x00000080
#define CR4_OSFXSR 0x00000200
#define CR4_OSXMMEXCPT 0x00000400
#define CR4_UMIP 0x00000800
#define CR4_PCIDE 0x00020000
#define CR4_SMEP 0x00100000
#define CR4_SMAP 0x00200000

#define MSR_APIC_BASE 0x1B
#define MSR_TSC_DEADLINE 0x6E0
#define MSR_EFER 0xC0000080
#define MSR_STAR 0xC0000081
#define MSR_LSTAR 0xC0000082
#define MSR_CSTAR 0xC0000083
#define MSR_SFMASK 0xC0000084
#define MSR_FS_BASE 0xC0000100
#define MSR_GS_BASE 0xC0000101
#define MSR_KERNEL_GS_BASE 0xC0000102
#define EFER_SCE 0x001
#define EFER_LME 0x100
#define EFER_NXE 0x800

#define FLAG_CF 0x00001
#define FLAG_TF 0x00100
#define FLAG_IF 0x00200
#define FLAG_DF 0x00400
#define FLAG_NT 0x04000
#define FLAG_RF 0x10000
#define FLAG_VM 0x20000
#define FLAG_AC 0x40000

#define LAPIC 0xFEE00000
#define LAPIC_ID 0x020
#define LAPIC_VERSION 0x030
#define LAPIC_TPR 0x080
#define LAPIC_PPR 0x0A0
#define LAPIC_EOI 0x0B0
#define LAPIC_SVR 0x0F0
#define LAPIC_ISR 0x100
#define LAPIC_IRR 0x200
#define LAPIC_ESR 0x280
#define LAPIC_ICR_LOW 0x300
#define LAPIC_ICR_HIGH 0x310
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3E0
#define LVT_MASKED 0x10000
#define LVT_PERIODIC 0x20000
#define LVT_TSC_DEADLINE 0x40000
#define LVT_EXTINT 0x700

#define IOAPIC 0xFEC00000
#define IOAPIC_SELECT (IOAPIC + 0x00)
#define IOAPIC_WINDOW (IOAPIC + 0x10)

#define COM1 0x3F8
#define DEBUG_EXIT 0xF4
#define DEBUG_EXIT_GOOD 0x10 /* status 33 */
#define DEBUG_EXIT_BAD 0x11  /* status 35 */

#define FREE_MEMORY 0x1000000 /* 16 MiB; the machines have 64 at least */
#define LOW_CODE 0x8000       /* section .low runs here; below 64 KiB */
#define LOG_NEXT 0x5FF8       /* log of 16 and 32-bit code: address of the next record */
#define LOG 0x6000            /* records: name, got, want; 32 bits each */
#define AP_STACK_SIZE 4096
#define REGION 0x8000000000   /* region.S: 512 GiB, the second entry of the PML4 */
#define REGION_INDEX 1

#ifdef __ASSEMBLER__

/* A string in .rodata; its label. */
.macro STRING label, text
    .pushsection .rodata
\label: .asciz "\text"
    .popsection
.endm

/* CHECK "name", got, want: got is a register, memory (with its size) or number; want a register or number.
 * Keeps all registers but the flags. Neither operand may use rsp; want not rdi, rsi. */
.macro CHECK name, got, want
    STRING .Lname\@, "\name"
    push    rdi
    push    rsi
    push    rdx
    mov     rsi, \got
    mov     rdx, \want
    mov     rdi, offset .Lname\@
    call    check_equal
    pop     rdx
    pop     rsi
    pop     rdi
.endm

/* CHECK_32 "name", got, want: the same for 32-bit memory or registers. */
.macro CHECK_32 name, got, want
    STRING .Lname\@, "\name"
    push    rdi
    push    rsi
    push    rdx
    mov     esi, \got
    mov     edx, \want
    mov     rdi, offset .Lname\@
    call    check_equal
    pop     rdx
    pop     rsi
    pop     rdi
.endm

/* CHECK_AT "name", got, label: the same for an address. */
.macro CHECK_AT name, got, label
    push    rax
    mov     rax, offset \label
    CHECK   "\name", \got, rax
    pop     rax
.endm

/* CHECK_FLAG "name", condition: a condition code as in jcc. */
.macro CHECK_FLAG name, condition
    push    rax
    set\condition al
    movzx   eax, al
    CHECK   "\name", rax, 1
    pop     rax
.endm

.macro SKIP name
    STRING .Lname\@, "\name"
    push    rdi
    mov     rdi, offset .Lname\@
    call    check_skipped
    pop     rdi
.endm

/* Jumps on QEMU's TCG, for what would not fail there but break the guest. Changes eax, ebx, ecx, edx. */
.macro IF_TCG label
    mov     eax, 0x40000000
    cpuid
    cmp     ebx, 0x54474354         /* "TCGT" */
    je      \label
.endm

/* VALUE "name", register: printed, not judged. */
.macro VALUE name, got
    STRING .Lname\@, "\name"
    push    rdi
    push    rsi
    mov     rsi, \got
    mov     rdi, offset .Lname\@
    call    check_value
    pop     rsi
    pop     rdi
.endm

/* TRY; one or more instructions; CATCH "name", vector, error. The trap handler continues at the CATCH with the stack
 * of the TRY, in ring 0; all other registers are as the trap left them. Neither changes a register or flag. */
.macro TRY
    mov     qword ptr [trap_resume], offset 9f
    mov     [trap_stack], rsp
    mov     qword ptr [trap_vector], -1
    mov     qword ptr [trap_error], 0
.endm

.macro CATCH name, vector, error=0
9:
    CHECK   "\name: vector", [trap_vector], \vector
    CHECK   "\name: error code", [trap_error], \error
    mov     qword ptr [trap_resume], 0
.endm

.macro CATCH_NONE name
9:
    CHECK   "\name: no fault", [trap_vector], -1
    mov     qword ptr [trap_resume], 0
.endm

/* REGION_PAGE index, entry: a page of the region; its old translation goes too. Changes rax. */
.macro REGION_PAGE index, entry
    mov     qword ptr [region_pt + 8 * (\index)], \entry
    lea     rax, [r15 + 4096 * (\index)]
    invlpg  [rax]
.endm

/* COPY_CODE destination, start label: up to `start label`_end. Changes rcx, rsi, rdi. */
.macro COPY_CODE to, from
    mov     rdi, \to
    mov     esi, offset \from
    mov     ecx, offset \from\()_end - \from
    rep     movsb
.endm

/* HANDLE vector, function: call it for the vector instead; it may change all registers but rsp and rbp. */
.macro HANDLE vector, function
    mov     qword ptr [trap_handlers + 8 * (\vector)], offset \function
.endm

/* WAIT_FOR memory operand, value: until equal, but not for ever; CHECK it afterwards. Changes rcx. */
.macro WAIT_FOR where, value
    mov     ecx, 100000000
7:  cmp     \where, \value
    je      8f
    pause
    dec     ecx
    jnz     7b
8:
.endm

.macro WRITE_MSR number, low, high=0
    mov     ecx, \number
    mov     eax, \low
    mov     edx, \high
    wrmsr
.endm

.macro READ_MSR number /* into rax; changes rcx, rdx */
    mov     ecx, \number
    rdmsr
    shl     rdx, 32
    or      rax, rdx
.endm

/* Memory above 2 GiB needs a register: LAPIC_READ offset -> eax; LAPIC_WRITE offset, value. Change rax. */
.macro LAPIC_READ offset
    mov     eax, LAPIC + \offset
    mov     eax, [rax]
.endm

.macro LAPIC_WRITE offset, value
    mov     eax, LAPIC + \offset
    mov     dword ptr [rax], \value
.endm

.macro IOAPIC_WRITE index, value /* changes rax */
    mov     eax, IOAPIC_SELECT
    mov     dword ptr [rax], \index
    mov     dword ptr [rax + 0x10], \value
.endm

.macro IOAPIC_READ index /* into eax */
    mov     eax, IOAPIC_SELECT
    mov     dword ptr [rax], \index
    mov     eax, [rax + 0x10]
.endm

.macro OUT_8 port, value /* changes rax, rdx */
    mov     edx, \port
    mov     al, \value
    out     dx, al
.endm

.macro IN_8 port /* into eax; changes rdx */
    mov     edx, \port
    xor     eax, eax
    in      al, dx
.endm

/* For 32-bit code (protected mode without paging, flat DS): as TRY and CATCH; the log is printed by log_flush. */
.macro TRY32
    mov     dword ptr [trap_resume], offset 9f
    mov     [trap_stack], esp
    mov     dword ptr [trap_vector], -1
    mov     dword ptr [trap_error], 0
.endm

.macro CATCH32 name, vector, error=0
9:
    LOG32   "\name: vector", [trap_vector], \vector
    LOG32   "\name: error code", [trap_error], \error
    mov     dword ptr [trap_resume], 0
.endm

/* LOG32 "name", got, want: got a register or memory, not eax or edi; want a number. Changes eax, edi. */
.macro LOG32 name, got, want
    STRING .Lname\@, "\name"
    mov     eax, \got
    mov     edi, [LOG_NEXT]
    mov     dword ptr [edi], offset .Lname\@
    mov     [edi + 4], eax
    mov     dword ptr [edi + 8], \want
    add     dword ptr [LOG_NEXT], 12
.endm

/* LOG16 "name", got, want: for real mode with DS = 0; got a 32-bit register or memory, not edi; changes eax, edi. */
.macro LOG16 name, got, want
    STRING .Lname\@, "\name"
    mov     eax, \got
    mov     di, [LOG_NEXT]
    mov     dword ptr [di], offset .Lname\@
    mov     [di + 4], eax
    mov     dword ptr [di + 8], \want
    add     dword ptr [LOG_NEXT], 12
.endm

#endif
