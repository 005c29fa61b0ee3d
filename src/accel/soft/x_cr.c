/* SPDX-License-Identifier: MIT */
/*
 * Control and debug registers: MOV CR, MOV DR, CLTS, LMSW, SMSW, CLAC, STAC. SDM vol. 3A, 2.5 (control registers),
 * 4.1 (paging modes), 4.10.4 (what flushes), vol. 3B, 17.2 (debug registers).
 */
#include "accel/soft/cpuid.h"
#include "accel/soft/far.h"
#include "accel/soft/fault.h"
#include "accel/soft/handlers.h"
#include "accel/soft/mem.h"
#include "accel/soft/msr.h"
#include "accel/soft/seg.h"
#include "accel/soft/tlb.h"
#include "base/bytes.h"
#include "machine/machine.h"

#define CR0_VALID \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
     CR0_PG)
#define CR0_FLUSHES    (CR0_PG | CR0_WP | CR0_PE)
#define CR4_FLUSHES    (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_LA57)
#define CR4_PDPTES     (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP) /* changes that load the PDPTEs anew */
#define CR3_NO_FLUSH   BIT64(63)
#define CR3_PCID       UINT64_C(0xFFF)
#define PDPTE_P        BIT64(0)
#define PDPTE_RESERVED UINT64_C(0x1E6)

#define DR6_FIXED_1    UINT64_C(0xFFFF0FF0)
#define DR6_WRITABLE   UINT64_C(0xE00F)
#define DR6_BD         BIT64(13)
#define DR7_FIXED_1    BIT64(10)
#define DR7_WRITABLE   UINT64_C(0xFFFF23FF)
#define DR7_GD         BIT64(13)

static void cr_check_cpl0(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cpl != 0))
        cpu_gp(cpu, in, 0);
}

/* The operand of MOV to CR and DR: 64 bits in 64-bit mode, else 32. */
static u64 cr_operand(const struct cpu *cpu, const struct insn *in)
{
    return cpu->mode & MODE_CS_L ? cpu->gpr[in->rm] : (u32)cpu->gpr[in->rm];
}

static void cr_set_operand(struct cpu *cpu, const struct insn *in, u64 value)
{
    cpu->gpr[in->rm] = cpu->mode & MODE_CS_L ? value : (u32)value;
}

static u64 cr_phys_mask(const struct cpu *cpu)
{
    return BIT64(cpuid_phys_bits(cpu->cpuid)) - 1;
}

/* --- PAE paging --- */

/* Do `cr0`, `cr4` and EFER select PAE paging (and not 4-level)? */
static bool cr_is_pae(const struct cpu *cpu, u64 cr0, u64 cr4)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(cpu->msr.efer & EFER_LME);
}

/* The four entries that CR3 points at must be good before it is loaded (SDM vol. 3A, 4.4.1). */
static void cr_check_pdptes(struct cpu *cpu, const struct insn *in, u64 cr3)
{
    u64 reserved = PDPTE_RESERVED | ~cr_phys_mask(cpu);
    u8 entries[4][8] = { 0 };

    if (ram_read(&cpu->vcpu->machine->ram, cr3 & 0xFFFFFFE0, entries, sizeof(entries)) < 0)
        return; /* nothing there reads as zeros: not present */
    for (unsigned i = 0; i < 4; i++) {
        u64 entry = load_le64(entries[i]);

        if ((entry & PDPTE_P) && (entry & reserved))
            cpu_gp(cpu, in, 0);
    }
}

/* --- CR0 --- */

/* Turning paging on or off: SDM vol. 3A, 4.1.2 and 9.8.5. */
static void cr_check_paging(struct cpu *cpu, const struct insn *in, u64 cr0)
{
    bool lme = cpu->msr.efer & EFER_LME;

    if (cr0 & CR0_PG) {
        bool tss16 = (cpu->tr.attr & SEG_TYPE) == TYPE_TSS16_BUSY;

        if (lme && (!(cpu->cr4 & CR4_PAE) || (cpu->seg[SEG_CS].attr & SEG_L) || tss16))
            cpu_gp(cpu, in, 0);
    } else if ((cpu->cr4 & CR4_PCIDE) || (cpu->mode & MODE_CS_L)) {
        cpu_gp(cpu, in, 0);
    }
}

static void cr_write_cr0(struct cpu *cpu, const struct insn *in, u64 value)
{
    u64 old = cpu->cr0, changed;

    if (value >> 32)
        cpu_gp(cpu, in, 0);
    value = (value & CR0_VALID) | CR0_ET;
    changed = value ^ old;
    if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
        cpu_gp(cpu, in, 0);
    if (changed & CR0_PG)
        cr_check_paging(cpu, in, value);
    if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && cr_is_pae(cpu, value, cpu->cr4))
        cr_check_pdptes(cpu, in, cpu->cr3);
    cpu->cr0 = value;
    if (changed & CR0_PG) {
        cpu->msr.efer &= ~EFER_LMA;
        if ((value & CR0_PG) && (cpu->msr.efer & EFER_LME))
            cpu->msr.efer |= EFER_LMA;
    }
    if (changed & CR0_FLUSHES)
        tlb_flush(cpu, TLB_FLUSH_ALL, 0);
    cpu_mode_update(cpu);
}

/* --- CR3 --- */

static void cr_write_cr3(struct cpu *cpu, const struct insn *in, u64 value)
{
    bool pcide = cpu->cr4 & CR4_PCIDE;
    bool keep = pcide && (value & CR3_NO_FLUSH);

    if (pcide)
        value &= ~CR3_NO_FLUSH;
    if (unlikely((cpu->mode & MODE_LMA) && (value & ~cr_phys_mask(cpu))))
        cpu_gp(cpu, in, 0);
    if (unlikely(cr_is_pae(cpu, cpu->cr0, cpu->cr4)))
        cr_check_pdptes(cpu, in, value);
    cpu->cr3 = value;
    tlb_flush(cpu, keep ? TLB_SWITCH_PCID : TLB_FLUSH_CR3, 0);
}

/* --- CR4 --- */

/* Bits that come with a feature; those without one are always there. */
static const struct {
    u64 bit;
    enum cpu_feature feature;
} cr4_bits[] = {
    { CR4_TSD, FEAT_TSC },    { CR4_DE, FEAT_DE },         { CR4_PSE, FEAT_PSE },
    { CR4_PAE, FEAT_PAE },    { CR4_MCE, FEAT_MCE },       { CR4_PGE, FEAT_PGE },
    { CR4_PCE, FEAT_NONE },   { CR4_OSFXSR, FEAT_FXSR },   { CR4_OSXMMEXCPT, FEAT_SSE },
    { CR4_UMIP, FEAT_UMIP },  { CR4_LA57, FEAT_LA57 },     { CR4_FSGSBASE, FEAT_FSGSBASE },
    { CR4_PCIDE, FEAT_PCID }, { CR4_OSXSAVE, FEAT_XSAVE }, { CR4_SMEP, FEAT_SMEP },
    { CR4_SMAP, FEAT_SMAP },
};

static u64 cr_valid_cr4(const struct cpu *cpu)
{
    const u64 *features = cpuid_features(cpu->cpuid);
    u64 valid = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(cr4_bits); i++) {
        if (feature_has(features, cr4_bits[i].feature))
            valid |= cr4_bits[i].bit;
    }
    return valid;
}

static void cr_write_cr4(struct cpu *cpu, const struct insn *in, u64 value)
{
    u64 changed = value ^ cpu->cr4;
    bool lma = cpu->mode & MODE_LMA;

    if (value & ~cr_valid_cr4(cpu))
        cpu_gp(cpu, in, 0);
    if (lma && (!(value & CR4_PAE) || (changed & CR4_LA57)))
        cpu_gp(cpu, in, 0);
    if ((changed & value & CR4_PCIDE) && (!lma || (cpu->cr3 & CR3_PCID)))
        cpu_gp(cpu, in, 0);
    if ((changed & CR4_PDPTES) && cr_is_pae(cpu, cpu->cr0, value))
        cr_check_pdptes(cpu, in, cpu->cr3);
    cpu->cr4 = value;
    if (changed & CR4_FLUSHES)
        tlb_flush(cpu, TLB_FLUSH_ALL, 0);
    cpu_mode_update(cpu);
}

/* --- CR8 --- */

static void cr_write_cr8(struct cpu *cpu, const struct insn *in, u64 value)
{
    if (value > 15)
        cpu_gp(cpu, in, 0);
    cpu->vcpu->apic_ops->set_cr8(cpu->vcpu->apic, (u8)value);
}

/* --- MOV CR --- */

static void cr_mov_c_r(struct cpu *cpu, const struct insn *in)
{
    u64 value = cr_operand(cpu, in);

    if (in->reg == 1 || (in->reg > 4 && in->reg != 8))
        cpu_ud(cpu, in);
    cr_check_cpl0(cpu, in);
    switch (in->reg) {
    case 0: cr_write_cr0(cpu, in, value); break;
    case 2: cpu->cr2 = value; break;
    case 3: cr_write_cr3(cpu, in, value); break;
    case 4: cr_write_cr4(cpu, in, value); break;
    default: cr_write_cr8(cpu, in, value); break;
    }
    cpu->rip = insn_next_rip(cpu, in);
}

static void cr_mov_r_c(struct cpu *cpu, const struct insn *in)
{
    u64 value;

    if (in->reg == 1 || (in->reg > 4 && in->reg != 8))
        cpu_ud(cpu, in);
    cr_check_cpl0(cpu, in);
    switch (in->reg) {
    case 0: value = cpu->cr0; break;
    case 2: value = cpu->cr2; break;
    case 3: value = cpu->cr3; break;
    case 4: value = cpu->cr4; break;
    default: value = cpu->vcpu->apic_ops->get_cr8(cpu->vcpu->apic); break;
    }
    cr_set_operand(cpu, in, value);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_mov_C_R[8] = X_ALL(cr_mov_c_r);
insn_fn *const x_mov_R_C[8] = X_ALL(cr_mov_r_c);

/* --- The machine status word --- */

static void cr_clts(struct cpu *cpu, const struct insn *in)
{
    cr_check_cpl0(cpu, in);
    cpu->cr0 &= ~CR0_TS;
    INSN_NEXT(cpu, in);
}

/* PE can be set this way, not cleared. */
static void cr_lmsw(struct cpu *cpu, const struct insn *in)
{
    u64 low = CR0_MP | CR0_EM | CR0_TS, word;
    gva addr;

    cr_check_cpl0(cpu, in);
    if (in->rm == INSN_RM_MEM) {
        addr = insn_addr(cpu, in, 2, false);
        word = mem_load16(cpu, in, addr);
    } else {
        word = (u16)cpu->gpr[in->rm];
    }
    cr_write_cr0(cpu, in, (cpu->cr0 & ~low) | (word & (low | CR0_PE)));
    cpu->rip = insn_next_rip(cpu, in);
}

static void cr_smsw(struct cpu *cpu, const struct insn *in)
{
    gva addr;

    if (cpu->cpl != 0 && (cpu->cr4 & CR4_UMIP))
        cpu_gp(cpu, in, 0);
    if (in->rm == INSN_RM_MEM) {
        addr = insn_addr(cpu, in, 2, true);
        mem_store16(cpu, in, addr, (u16)cpu->cr0);
    } else if (far_width(in) == 2) {
        cpu->gpr[in->rm] = (cpu->gpr[in->rm] & ~UINT64_C(0xFFFF)) | (cpu->cr0 & 0xFFFF);
    } else {
        cpu->gpr[in->rm] = cpu->cr0;
    }
    INSN_NEXT(cpu, in);
}

insn_fn *const x_clts[8] = X_ALL(cr_clts);
insn_fn *const x_lmsw_E[8] = X_ALL(cr_lmsw);
insn_fn *const x_smsw_E[8] = X_ALL(cr_smsw);

/* --- RFLAGS.AC --- */

static void cr_clac(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cpl != 0))
        cpu_ud(cpu, in);
    cpu->sflags &= ~FLAG_AC;
    cpu_mode_update(cpu);
    INSN_NEXT(cpu, in);
}

static void cr_stac(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cpl != 0))
        cpu_ud(cpu, in);
    cpu->sflags |= FLAG_AC;
    cpu_mode_update(cpu);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_clac[8] = X_ALL(cr_clac);
insn_fn *const x_stac[8] = X_ALL(cr_stac);

/* --- Debug registers --- */

/* Numbers 4 and 5 are 6 and 7, or with CR4.DE nothing. GD traps every access (SDM vol. 3B, 17.2.4). */
static unsigned cr_debug_number(struct cpu *cpu, const struct insn *in)
{
    unsigned n = in->reg;

    if (n > 7 || ((n == 4 || n == 5) && (cpu->cr4 & CR4_DE)))
        cpu_ud(cpu, in);
    cr_check_cpl0(cpu, in);
    if (cpu->dr[7] & DR7_GD) {
        cpu->dr[6] |= DR6_BD;
        cpu_fault(cpu, in, VEC_DB, 0);
    }
    return n == 4 || n == 5 ? n + 2 : n;
}

static void cr_mov_r_d(struct cpu *cpu, const struct insn *in)
{
    cr_set_operand(cpu, in, cpu->dr[cr_debug_number(cpu, in)]);
    INSN_NEXT(cpu, in);
}

static void cr_mov_d_r(struct cpu *cpu, const struct insn *in)
{
    unsigned n = cr_debug_number(cpu, in);
    u64 value = cr_operand(cpu, in);

    if (n >= 6 && value >> 32)
        cpu_gp(cpu, in, 0);
    if (n == 6)
        value = (value & DR6_WRITABLE) | DR6_FIXED_1;
    if (n == 7)
        value = (value & DR7_WRITABLE) | DR7_FIXED_1;
    cpu->dr[n] = value;
    cpu_mode_update(cpu);
    cpu->rip = insn_next_rip(cpu, in);
}

insn_fn *const x_mov_R_D[8] = X_ALL(cr_mov_r_d);
insn_fn *const x_mov_D_R[8] = X_ALL(cr_mov_d_r);
