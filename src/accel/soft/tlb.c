/* SPDX-License-Identifier: MIT */
/*
 * TLB generations and mode words.
 *
 * Every TLB tag and jump-cache key carries the generation of the address space that it belongs to, so forgetting an
 * address space is taking a new number. A PCID keeps its number while it is in the small table.
 * A translation of a global page gets the new number when it is missed (mem.c). Supervisor code, whose pages are
 * mostly global, is found by a number of its own, which changes only when code on another page was found by it.
 */
#include "accel/soft/tlb.h"

#include <string.h>

#include "accel/soft/block.h"
#include "accel/soft/mem.h"
#include "base/log.h"

#define TLB_GEN_MAX 0xFFEu /* 0xFFF would let a tag be ~0 */

static void tlb_update_key(struct cpu *cpu)
{
    u64 generation = cpu->mode & MODE_CPL3 ? cpu->tlb_gen : cpu->jmp_kernel_gen;

    /* The analyzer loses jmp_kernel_gen at the memset of another member. */
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
    cpu->jmp_key = cpu->jmp_epoch << 32 | generation << 16 | cpu->mode;
}

static void tlb_forget_jumps(struct cpu *cpu)
{
    cpu->jmp_epoch++;
    memset(cpu->jmp_pages, 0, sizeof(cpu->jmp_pages));
    tlb_update_key(cpu);
}

/* 0 stands for pages that are not global. */
static void tlb_forget_globals(struct cpu *cpu)
{
    if (++cpu->tlb_global_gen == 0) {
        memset(cpu->tlb_globals, 0, sizeof(cpu->tlb_globals));
        cpu->tlb_global_gen = 1;
    }
}

/* Forget supervisor code by linear address: that on local pages, or all. */
static void tlb_forget_kernel_jumps(struct cpu *cpu, bool all)
{
    if (!cpu->jmp_local && !all)
        return;
    cpu->jmp_local = false;
    if (++cpu->jmp_kernel_gen == 0)
        tlb_forget_jumps(cpu);
}

/* A number no entry carries. When they run out everything is cleared and they start again. */
static u16 tlb_new_generation(struct cpu *cpu)
{
    if (cpu->tlb_gen_last == TLB_GEN_MAX) {
        memset(cpu->tlbs, 0xFF, sizeof(cpu->tlbs));
        memset(cpu->pcids, 0, sizeof(cpu->pcids));
        cpu->tlb_gen_last = 0;
        tlb_forget_globals(cpu);
        tlb_forget_jumps(cpu);
    }
    return ++cpu->tlb_gen_last;
}

static struct pcid_slot *tlb_find_pcid(struct cpu *cpu, u16 pcid)
{
    for (unsigned i = 0; i < PCID_SLOTS; i++)
        if (cpu->pcids[i].generation && cpu->pcids[i].pcid == pcid)
            return &cpu->pcids[i];
    return NULL;
}

static u16 tlb_current_pcid(const struct cpu *cpu)
{
    return cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xFFF : 0;
}

static void tlb_use_pcid(struct cpu *cpu, bool keep)
{
    u16 pcid = tlb_current_pcid(cpu);
    struct pcid_slot *slot = tlb_find_pcid(cpu, pcid);

    if (!slot || !keep) {
        u16 generation = tlb_new_generation(cpu);

        slot = tlb_find_pcid(cpu, pcid); /* numbers may have started again */
        if (!slot)
            slot = &cpu->pcids[cpu->pcid_next++ % PCID_SLOTS];
        *slot = (struct pcid_slot){ pcid, generation };
    }
    if (cpu->tlb_gen != slot->generation)
        tlb_forget_kernel_jumps(cpu, false);
    cpu->tlb_gen = slot->generation;
    tlb_update_key(cpu);
}

#define TLB_LARGE_SHIFT 21
#define TLB_LARGE_PAGES (1u << (TLB_LARGE_SHIFT - 12))
_Static_assert(TLB_SIZE >= TLB_LARGE_PAGES, "the parts of a large page have entries of their own");

#define TLB_HUGE_SHIFT 30
#define TLB_LARGE_BITS 12
_Static_assert(1u << TLB_LARGE_BITS == TLB_LARGE_WORDS * 64, "the set's size");

static unsigned tlb_hash(gva addr, unsigned shift, unsigned bits)
{
    return (unsigned)((addr >> shift) * 0x9E3779B97F4A7C15u >> (64 - bits));
}

void tlb_note_large(struct cpu *cpu, gva addr, unsigned shift)
{
    unsigned i = tlb_hash(addr, TLB_LARGE_SHIFT, TLB_LARGE_BITS);

    cpu->tlb_large[i / 64] |= BIT64(i % 64);
    if (shift > TLB_LARGE_SHIFT)
        cpu->tlb_huge |= BIT64(tlb_hash(addr, TLB_HUGE_SHIFT, 6));
}

static bool tlb_is_large(const struct cpu *cpu, gva addr)
{
    unsigned i = tlb_hash(addr, TLB_LARGE_SHIFT, TLB_LARGE_BITS);

    return cpu->tlb_large[i / 64] >> (i % 64) & 1;
}

static bool tlb_is_huge(const struct cpu *cpu, gva addr)
{
    return cpu->tlb_huge >> tlb_hash(addr, TLB_HUGE_SHIFT, 6) & 1;
}

static void tlb_forget_all_large(struct cpu *cpu)
{
    memset(cpu->tlb_large, 0, sizeof(cpu->tlb_large));
    cpu->tlb_huge = 0;
}

/* Nobody keeps which entries are parts of a large page: all that may be, and the jumps into them. */
static void tlb_flush_large(struct cpu *cpu, gva addr)
{
    unsigned first = (addr >> 12) & (TLB_SIZE - 1) & ~(TLB_LARGE_PAGES - 1);

    for (unsigned i = 0; i < MMU_CONTEXTS; i++)
        memset(&cpu->tlbs[i].entries[first], 0xFF, TLB_LARGE_PAGES * sizeof(struct tlb_entry));
    tlb_forget_jumps(cpu);
}

static void tlb_flush_page(struct cpu *cpu, gva addr)
{
    u64 page = addr >> 12;

    if (unlikely(tlb_is_huge(cpu, addr))) {
        tlb_flush(cpu, TLB_FLUSH_ALL, 0);
        return;
    }
    if (tlb_is_large(cpu, addr)) {
        tlb_flush_large(cpu, addr);
        return;
    }
    for (unsigned i = 0; i < MMU_CONTEXTS; i++) {
        struct tlb_entry *e = &cpu->tlbs[i].entries[page & (TLB_SIZE - 1)];

        e->tag_r = e->tag_w = e->tag_x = ~(u64)0;
    }
    if (cpu->jmp_pages[page >> 6 & 63] >> (page & 63) & 1)
        tlb_forget_jumps(cpu);
}

static void tlb_flush_pcid(struct cpu *cpu, u16 pcid)
{
    struct pcid_slot *slot = tlb_find_pcid(cpu, pcid);

    if (slot)
        slot->generation = 0;
    if (pcid == tlb_current_pcid(cpu))
        tlb_use_pcid(cpu, false);
}

void tlb_flush(struct cpu *cpu, enum tlb_flush what, gva addr)
{
    switch (what) {
    case TLB_FLUSH_ALL:
        memset(cpu->pcids, 0, sizeof(cpu->pcids));
        tlb_forget_globals(cpu);
        tlb_forget_kernel_jumps(cpu, true);
        tlb_forget_all_large(cpu);
        tlb_use_pcid(cpu, false);
        break;
    case TLB_FLUSH_CR3: tlb_use_pcid(cpu, false); break;
    case TLB_SWITCH_PCID: tlb_use_pcid(cpu, true); break;
    case TLB_FLUSH_PAGE: tlb_flush_page(cpu, addr); break;
    case TLB_FLUSH_PCID: tlb_flush_pcid(cpu, (u16)addr); break;
    }
}

void tlb_reset(struct cpu *cpu)
{
    memset(cpu->tlbs, 0xFF, sizeof(cpu->tlbs));
    cpu->tlb_gen_last = 0;
    tlb_forget_jumps(cpu);
    tlb_flush(cpu, TLB_FLUSH_ALL, 0);
}

void tlb_forget_blocks(struct cpu *cpu)
{
    tlb_forget_jumps(cpu);
}

/* Base 0, limit 4 GiB, expand-up, and writable where data is written. */
static bool tlb_seg_is_flat(const struct segment *s, bool code)
{
    u16 want = code ? SEG_P | SEG_TYPE_CODE | SEG_TYPE_RW : SEG_P | SEG_TYPE_RW;

    return s->base == 0 && s->limit == 0xFFFFFFFFu && !(s->attr & SEG_UNUSABLE) &&
           (s->attr & want) == want && (code || !(s->attr & (SEG_TYPE_CODE | SEG_TYPE_EC)));
}

static u32 tlb_mode(const struct cpu *cpu)
{
    u32 mode = 0;

    if (cpu->cr0 & CR0_PE)
        mode |= MODE_PE;
    if (cpu->sflags & FLAG_VM)
        mode |= MODE_VM;
    if (cpu->efer_lma)
        mode |= MODE_LMA;
    if (cpu->efer_lma && (cpu->seg[SEG_CS].attr & SEG_L))
        mode |= MODE_CS_L;
    else if (cpu->seg[SEG_CS].attr & SEG_DB)
        mode |= MODE_CS_D;
    if (cpu->seg[SEG_SS].attr & SEG_DB)
        mode |= MODE_SS_B;
    if (cpu->cpl == 3)
        mode |= MODE_CPL3;
    if ((cpu->sflags & FLAG_TF) || (cpu->dr[7] & 0xFF))
        mode |= MODE_STEP;
    if ((mode & MODE_CS_D) && tlb_seg_is_flat(&cpu->seg[SEG_CS], true) &&
        tlb_seg_is_flat(&cpu->seg[SEG_DS], false) && tlb_seg_is_flat(&cpu->seg[SEG_ES], false) &&
        tlb_seg_is_flat(&cpu->seg[SEG_SS], false))
        mode |= MODE_FLAT;
    return mode;
}

/* Must each data access be looked at? For data breakpoints, and for alignment checks. */
static bool tlb_is_checked(const struct cpu *cpu)
{
    if (cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->sflags & FLAG_AC))
        return true;
    for (unsigned i = 0; i < 4; i++)
        if ((cpu->dr[7] >> (i * 2) & 3) && (cpu->dr[7] >> (16 + i * 4) & 1))
            return true;
    return false;
}

void cpu_mode_update(struct cpu *cpu)
{
    cpu->efer_lma = (cpu->msr.efer & EFER_LMA) != 0;
    if (!(cpu->cr0 & CR0_PE))
        cpu->cpl = 0;
    else if (cpu->sflags & FLAG_VM)
        cpu->cpl = 3;
    else
        cpu->cpl = (cpu->seg[SEG_SS].attr & SEG_DPL) >> SEG_DPL_SHIFT;
    cpu->mode = tlb_mode(cpu);
    if (cpu->cpl == 3)
        cpu->data_context = MMU_USER;
    else if ((cpu->cr4 & CR4_SMAP) && !(cpu->sflags & FLAG_AC))
        cpu->data_context = MMU_KERNEL_SMAP;
    else
        cpu->data_context = MMU_KERNEL;
    cpu->context = tlb_is_checked(cpu) ? MMU_CHECKED : cpu->data_context;
    cpu->mode |= (u32)cpu->context << MODE_CONTEXT_SHIFT;
    cpu->tlb = &cpu->tlbs[cpu->context];
    cpu->jmp_base = cpu->mode & MODE_CS_L ? 0 : cpu->seg[SEG_CS].base << 32;
    tlb_update_key(cpu);
}
