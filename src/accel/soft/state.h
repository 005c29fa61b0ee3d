/* SPDX-License-Identifier: MIT */
/*
 * struct cpu: the architectural state of one software CPU, and what its engine keeps beside it.
 *
 * Register names and layouts are the SDM's. Offsets of the first part are relied upon by generated code.
 * Only the vCPU's own thread touches it.
 */
#pragma once

#include <setjmp.h>
#include <stddef.h>

#include "base/bits.h"
#include "base/types.h"

struct block;
struct insn;
struct vcpu;
struct soft;
struct stats;
struct cpuid_model;

enum gpr {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    GPR_ZERO, /* always 0: the base or index that an operand lacks */
    GPR_RIP, /* RIP of the first instruction of the running block (RIP-relative operands are relative to it) */
    GPR_BIAS, /* always 2^31: index of a RIP-relative operand whose displacement overflowed when it was placed */
    GPR_COUNT,
};

enum seg_reg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/* RFLAGS, SDM vol. 1, 3.4.3. */
#define FLAG_CF        BIT64(0)
#define FLAG_1         BIT64(1) /* always one */
#define FLAG_PF        BIT64(2)
#define FLAG_AF        BIT64(4)
#define FLAG_ZF        BIT64(6)
#define FLAG_SF        BIT64(7)
#define FLAG_TF        BIT64(8)
#define FLAG_IF        BIT64(9)
#define FLAG_DF        BIT64(10)
#define FLAG_OF        BIT64(11)
#define FLAG_IOPL      (BIT64(12) | BIT64(13))
#define FLAG_NT        BIT64(14)
#define FLAG_RF        BIT64(16)
#define FLAG_VM        BIT64(17)
#define FLAG_AC        BIT64(18)
#define FLAG_VIF       BIT64(19)
#define FLAG_VIP       BIT64(20)
#define FLAG_ID        BIT64(21)
#define FLAGS_ARITH    (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE         BIT64(0)
#define CR0_MP         BIT64(1)
#define CR0_EM         BIT64(2)
#define CR0_TS         BIT64(3)
#define CR0_ET         BIT64(4)
#define CR0_NE         BIT64(5)
#define CR0_WP         BIT64(16)
#define CR0_AM         BIT64(18)
#define CR0_NW         BIT64(29)
#define CR0_CD         BIT64(30)
#define CR0_PG         BIT64(31)

#define CR4_VME        BIT64(0)
#define CR4_PVI        BIT64(1)
#define CR4_TSD        BIT64(2)
#define CR4_DE         BIT64(3)
#define CR4_PSE        BIT64(4)
#define CR4_PAE        BIT64(5)
#define CR4_MCE        BIT64(6)
#define CR4_PGE        BIT64(7)
#define CR4_PCE        BIT64(8)
#define CR4_OSFXSR     BIT64(9)
#define CR4_OSXMMEXCPT BIT64(10)
#define CR4_UMIP       BIT64(11)
#define CR4_LA57       BIT64(12)
#define CR4_FSGSBASE   BIT64(16)
#define CR4_PCIDE      BIT64(17)
#define CR4_OSXSAVE    BIT64(18)
#define CR4_SMEP       BIT64(20)
#define CR4_SMAP       BIT64(21)

#define EFER_SCE       BIT64(0)
#define EFER_LME       BIT64(8)
#define EFER_LMA       BIT64(10)
#define EFER_NXE       BIT64(11)

/* A segment register with its hidden part. */
struct segment {
    u64 base;
    u32 limit; /* in bytes, already scaled by G */
    u16 selector;
    u16 attr; /* descriptor bits 40-55: type 3:0, S 4, DPL 6:5, P 7, (limit bits 11:8), AVL 12, L 13, D/B 14, G 15 */
};
#define SEG_TYPE          0x000Fu
#define SEG_TYPE_ACCESSED 0x1u
#define SEG_TYPE_RW       0x2u /* code: readable, data: writable */
#define SEG_TYPE_EC       0x4u /* code: conforming, data: expand-down */
#define SEG_TYPE_CODE     0x8u
#define SEG_S             BIT(4)
#define SEG_DPL           0x0060u
#define SEG_DPL_SHIFT     5
#define SEG_P             BIT(7)
#define SEG_L             BIT(13)
#define SEG_DB            BIT(14)
#define SEG_G             BIT(15)
#define SEG_UNUSABLE      BIT(8) /* ours, in the limit's bits: a null selector was loaded */

struct table_reg {
    u64 base;
    u16 limit;
};

/* XSAVE area, standard format, SDM vol. 1, 13.4: legacy region, header, AVX state at 576. */
struct xsave_area {
    u16 fcw, fsw;
    u8 ftw; /* abridged: bit set = register valid */
    u8 reserved0;
    u16 fop;
    u64 fip, fdp;
    u32 mxcsr, mxcsr_mask;
    u8 st[8][16]; /* ST0..ST7, 80 bits each */
    u8 xmm[16][16];
    u8 reserved1[96];
    u64 xstate_bv, xcomp_bv;
    u8 reserved2[48];
    u8 ymm_hi[16][16];
} __attribute__((aligned(64)));

#define XCR0_X87  BIT64(0)
#define XCR0_SSE  BIT64(1)
#define XCR0_AVX  BIT64(2)

/*
 * What decoded code depends on besides its bytes; part of a block's key. Recomputed by cpu_mode_update().
 */
#define MODE_CS_L BIT(0) /* 64-bit code */
#define MODE_CS_D BIT(1) /* 32-bit default sizes (16-bit when neither) */
#define MODE_SS_B BIT(2) /* 32-bit stack pointer (outside 64-bit mode) */
#define MODE_PE   BIT(3) /* protected mode */
#define MODE_VM   BIT(4) /* virtual-8086 */
#define MODE_LMA  BIT(5) /* long mode active (64-bit or compatibility) */
#define MODE_CPL3 BIT(6) /* CPL is 3 */
#define MODE_FLAT \
    BIT(7) /* CS, DS, ES, SS have base 0 and limit 4 GiB, writable where needed (32-bit code) */
#define MODE_STEP          BIT(8) /* one instruction a block: TF or breakpoints are live */
#define MODE_CONTEXT_SHIFT 9      /* the two highest: enum mmu_context */

/*
 * MMU contexts: which TLB serves data accesses. MMU_CHECKED is never filled: every access takes the slow path, which
 * looks for data breakpoints and misalignment.
 */
enum mmu_context { MMU_USER, MMU_KERNEL, MMU_KERNEL_SMAP, MMU_CHECKED, MMU_CONTEXTS };

#define TLB_BITS 12
#define TLB_SIZE (1u << TLB_BITS)

/*
 * A translation. The tags hold the page address ORed with the generation in the low 12 bits; a tag that
 * does not match sends the access to the slow path. No tag matches: ~0.
 */
struct tlb_entry {
    u64 tag_r;
    u64 tag_w;
    u64 tag_x;
    u64 addend; /* host address = linear address + addend */
};

struct tlb {
    struct tlb_entry entries[TLB_SIZE];
};

#define JMP_CACHE_BITS 12
#define JMP_CACHE_SIZE (1u << JMP_CACHE_BITS)

/* A block by linear address. Valid while its key (mode, TLB generation, cache epoch) is the CPU's. */
struct jmp_cache_entry {
    u64 rip; /* outside 64-bit mode with the base of CS in the high half: cpu->jmp_base */
    u64 key;
    struct block *block;
};

/* Groups of accesses in one translated block. */
#define T_GROUPS_MAX 12

/* TLB generations of recently used PCIDs, so that switching back to one finds its translations. */
#define PCID_SLOTS   8
struct pcid_slot {
    u16 pcid;
    u16 generation; /* 0: free */
};

#define MTRR_VAR_COUNT 8
#define MTRR_FIX_COUNT 11

/* Model-specific registers that are just stored, and those with meaning. */
struct msr_state {
    u64 efer, star, lstar, cstar, fmask, kernel_gs_base;
    u64 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 pat, tsc_adjust, tsc_offset, tsc_aux, misc_enable, spec_ctrl, xss;
    u64 mtrr_def_type;
    u64 mtrr_fixed[MTRR_FIX_COUNT];
    u64 mtrr_var[MTRR_VAR_COUNT][2]; /* base, mask */
    u64 mcg_status, mcg_ctl, mc_ctl[4], mc_status[4], mc_addr[4], mc_misc[4];
    u64 microcode_rev;
    u64 kvm_wall_clock, kvm_system_time, kvm_steal_time, kvm_pv_eoi, kvm_async_pf, kvm_async_pf_int;
    u64 kvm_poll_control;
};

struct cpu {
    u64 gpr[GPR_COUNT];
    u64 rip;    /* current outside blocks; inside a block see GPR_RIP and insn->off */
    u64 aflags; /* the six arithmetic flags at their RFLAGS places; other bits are garbage */
    u64 sflags; /* every other RFLAGS bit; the arithmetic bits are 0 and bit 1 is 1 */

    struct tlb *tlb; /* the data TLB of the current context */
    u64 tlb_gen;     /* 12-bit generation, ORed into tags */
    u32 mode;        /* MODE_* */
    u32 cpl;
    bool efer_lma; /* EFER.LMA, next to what the hot paths read */

    struct segment seg[SEG_COUNT];
    struct segment ldtr, tr;
    struct table_reg gdtr, idtr;
    u64 cr0, cr2, cr3, cr4;
    u64 dr[8];
    u64 xcr0;
    struct msr_state msr;
    struct xsave_area xsave;

    /* Events being worked on. */
    bool shadow;       /* STI or MOV SS: no interrupt before the next instruction */
    bool nmi_blocked;  /* between NMI delivery and IRET */
    bool intr_waiting; /* an interrupt was seen while IF was clear: look again when it is set */
    u64 db_pending;    /* DR6 bits of a #DB due after the instruction */

    /* The engine. */
    struct vcpu *vcpu;
    struct soft *soft; /* machine-wide engine state */
    const struct cpuid_model *cpuid;
    struct block *block;   /* running, NULL outside */
    const struct insn *in; /* the instruction whose slow path runs, or NULL */
    int fault_depth;       /* exception being delivered, for #DF and triple fault */
    u64 icount;            /* instructions begun, counted by block */
    sigjmp_buf landing;    /* where cpu_fault() and cpu_exit_block() go: soft.c */
    unsigned fault_vector; /* for the landing */
    u32 fault_code;
    u32 fault_previous; /* the vector being delivered while fault_depth is set */
    enum mmu_context
        context; /* what `tlb` points at; MMU_CHECKED hides the real one: data_context */
    enum mmu_context data_context;
    u64 jmp_key;        /* key of valid jmp_cache entries */
    u64 jmp_base;       /* part of their rip: the base of CS << 32; 0 in 64-bit mode */
    u64 jmp_epoch;      /* bumped to forget them all */
    u16 tlb_gen_last;   /* generations up to this one are used up */
    unsigned pcid_next; /* round robin */
    struct pcid_slot pcids[PCID_SLOTS];
    u64 jmp_pages[64];       /* hashed set of pages with jmp_cache entries */
    _Atomic bool outside;    /* holds no pointer to a block: the cache may be reused */
    _Atomic u32 cache_epoch; /* of the block cache, as last seen */
    struct block *scratch;   /* for code that is not in RAM */

    /* The translator's (trans.h). */
    struct cpu *self;
    u64 page_rip;          /* linear address of the page whose translated code runs */
    _Atomic u32 *requests; /* vcpu->requests */
    u64 code_bias;         /* host address >> 12, plus this: the address of its code_pages byte */
    u64 call_target;       /* of an indirect call, while it pushes */
    u16 raw_flags;         /* while translated code runs: AH of LAHF, and OF below it */
    /* Of the block's groups of accesses (t_mem.c): host address minus linear, and the page's code_pages byte. */
    u64 group_addend[T_GROUPS_MAX], group_code[T_GROUPS_MAX];
    struct block *mini; /* one instruction, for its handler */
    bool mini_ended;    /* that handler went on to the next instruction */
    bool
        fpu_refused; /* translated code met a state of the FPU that is the interpreter's: its turn */
    u8 fpu_live;     /* FPU_*: what the host's registers hold of `xsave` */
    u32 fpu_host_mxcsr; /* what C code runs with */
    u32 fpu_control;    /* a control word on its way */
    u32 x87_last;       /* offset in x87_page << 16 | opcode (FOP) of the last x87 instruction */
    u64 x87_page;
    u64 x87_fdp; /* offset of the last x87 memory operand */
    u64 x87_spill;
    u64 x87_fip_before, x87_fdp_before; /* when the registers were loaded */
    u16 x87_fop_before;
    u64 stat_blocks, stat_lookups, stat_exceptions, stat_interrupts, stat_tlb_misses;
    u64 stat_translated; /* runs of translated blocks; counted only under -d stats */
    struct stats *stats; /* NULL: -d stats is off */

    u8 bounce[128] __attribute__((aligned(64))); /* operand that crosses pages or is not RAM */
    struct tlb tlbs[MMU_CONTEXTS];
    struct jmp_cache_entry jmp_cache[JMP_CACHE_SIZE];
};

static inline u64 cpu_rflags(const struct cpu *cpu)
{
    return (cpu->aflags & FLAGS_ARITH) | cpu->sflags;
}

/* Set all of RFLAGS (VM aside the caller must have updated the mode; IF takes effect at the next block). */
static inline void cpu_set_rflags(struct cpu *cpu, u64 rflags)
{
    cpu->aflags = rflags;
    cpu->sflags = (rflags & ~FLAGS_ARITH) | FLAG_1;
}
