/* SPDX-License-Identifier: MIT */
/*
 * The slow paths of guest memory: TLB misses, page crossings, MMIO, breakpoints, alignment checks, and the
 * segmented part of addresses. SDM vol. 3A, chapters 3 to 5.
 */
#include "accel/soft/mem.h"

#include <assert.h>
#include <string.h>

#include "accel/soft/block.h"
#include "accel/soft/fault.h"
#include "accel/soft/tlb.h"
#include "accel/soft/walk.h"
#include "base/bytes.h"
#include "base/log.h"
#include "machine/bus.h"
#include "machine/machine.h"

/* A translated piece of an access: within one page. */
struct mem_piece {
    u8 *host; /* NULL: not RAM */
    gpa pa;
    unsigned size;
};

/* --- Translation --- */

/* Raises #GP(0), or #SS(0) for the stack segment, for a non-canonical address in 64-bit mode. */
static void mem_check_canonical(struct cpu *cpu, const struct insn *in, gva addr)
{
    unsigned bits = cpu->cr4 & CR4_LA57 ? 57 : 48;

    if (!(cpu->mode & MODE_LMA) || (u64)((i64)(addr << (64 - bits)) >> (64 - bits)) == addr)
        return;
    cpu_fault(cpu, in, in && in->seg == SEG_SS ? VEC_SS : VEC_GP, 0);
}

static struct walk_context mem_walk_context(const struct cpu *cpu, enum mmu_context context)
{
    return (struct walk_context){
        .ram = &cpu->soft->machine->ram,
        .cr0 = cpu->cr0,
        .cr3 = cpu->cr3,
        .cr4 = cpu->cr4,
        .efer = cpu->msr.efer,
        .phys_mask = cpu->soft->phys_mask,
        .page_1g = cpu->soft->page_1g,
        .user = context == MMU_USER,
        .smap = context == MMU_KERNEL_SMAP,
    };
}

static struct tlb_entry *mem_context_entry(struct cpu *cpu, enum mmu_context context, gva addr)
{
    return &cpu->tlbs[context].entries[(addr >> 12) & (TLB_SIZE - 1)];
}

/* Put a RAM translation into the TLB. Rights that the walk did not see used stay out (D, NX). */
static void mem_tlb_fill(struct cpu *cpu, enum mmu_context context, gva addr, u8 *host_page,
                         const struct walk_result *r, enum access access)
{
    struct tlb_entry *e = mem_context_entry(cpu, context, addr);
    u64 tag = (addr & PAGE_MASK) | cpu->tlb_gen;
    u64 addend = (u64)host_page - (addr & PAGE_MASK);

    if (e->addend != addend || (e->tag_r != tag && e->tag_w != tag && e->tag_x != tag))
        *e = (struct tlb_entry){ ~(u64)0, ~(u64)0, ~(u64)0, addend };
    if (r->read && access != ACCESS_EXEC)
        e->tag_r = tag;
    if (r->write && (r->dirty || access == ACCESS_WRITE) && access != ACCESS_EXEC)
        e->tag_w = tag;
    if (access == ACCESS_EXEC)
        e->tag_x = tag;
}

static u64 mem_tag(const struct tlb_entry *e, enum access access)
{
    switch (access) {
    case ACCESS_READ: return e->tag_r;
    case ACCESS_WRITE: return e->tag_w;
    case ACCESS_EXEC: return e->tag_x;
    }
    return ~(u64)0;
}

/* Translate one address in `context`; raises faults. piece->size is left to the caller. */
static void mem_translate(struct cpu *cpu, const struct insn *in, enum mmu_context context,
                          gva addr, enum access access, struct mem_piece *piece)
{
    struct tlb_entry *e = mem_context_entry(cpu, context, addr);
    struct walk_context walk_in;
    struct walk_result r;
    i64 offset;

    if (mem_tag(e, access) == ((addr & PAGE_MASK) | cpu->tlb_gen)) {
        piece->host = (u8 *)(addr + e->addend);
        piece->pa = 0;
        return;
    }
    mem_check_canonical(cpu, in, addr);
    cpu->stat_tlb_misses++;
    walk_in = mem_walk_context(cpu, context);
    if (unlikely(!walk(&walk_in, addr, access, &r))) {
        LOG(LOG_MMU, "cpu %u: page fault at 0x%llx, code 0x%x, rip 0x%llx", cpu->vcpu->id,
            (unsigned long long)addr, r.code,
            (unsigned long long)(in ? insn_rip(cpu, in) : cpu->rip));
        cpu_page_fault(cpu, in, addr, r.code);
    }
    piece->pa = r.page | (addr & 0xFFF);
    offset = ram_offset(&cpu->soft->machine->ram, r.page, NULL);
    piece->host = NULL;
    if (offset < 0)
        return;
    piece->host = cpu->soft->ram_host + offset + (addr & 0xFFF);
    if (r.shift > 12)
        tlb_note_large(cpu, addr, r.shift);
    mem_tlb_fill(cpu, context, addr, cpu->soft->ram_host + offset, &r, access);
}

/* Linear addresses outside 64-bit mode are 32 bits wide; long mode's tables and inner stacks are beyond that. */
static gva mem_wrap(const struct cpu *cpu, enum mmu_context context, gva addr)
{
    bool wide = (cpu->mode & MODE_CS_L) || ((cpu->mode & MODE_LMA) && context != MMU_USER);

    return wide ? addr : (u32)addr;
}

/* --- What the checked context looks for --- */

/* Data breakpoints, SDM vol. 3B, 18.2.5: the trap comes after the instruction. */
static void mem_check_breakpoints(struct cpu *cpu, gva addr, unsigned size, bool write)
{
    static const u8 lengths[4] = { 1, 2, 8, 4 };

    for (unsigned i = 0; i < 4; i++) {
        unsigned control = cpu->dr[7] >> (16 + i * 4) & 15;
        u64 length = lengths[control >> 2];
        u64 at = cpu->dr[i] & ~(length - 1);
        bool kind = (control & 3) == 3 || (write && (control & 3) == 1);

        if ((cpu->dr[7] >> (i * 2) & 3) && kind && addr < at + length && at < addr + size)
            cpu->db_pending |= BIT64(i);
    }
}

static void mem_check(struct cpu *cpu, const struct insn *in, gva addr, unsigned size,
                      enum access access)
{
    if (cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->sflags & FLAG_AC) && size <= 8 &&
        (addr & (size - 1)))
        cpu_fault(cpu, in, VEC_AC, 0);
    mem_check_breakpoints(cpu, addr, size, access == ACCESS_WRITE);
}

/* --- Accesses in pieces --- */

/* Split an access into its one or two pages and translate both before anything moves. */
static unsigned mem_pieces(struct cpu *cpu, const struct insn *in, enum mmu_context context,
                           gva addr, unsigned size, enum access access, struct mem_piece pieces[2])
{
    unsigned first = MIN(size, 4096 - (unsigned)(addr & 0xFFF));

    if (unlikely(cpu->context == MMU_CHECKED))
        mem_check(cpu, in, addr, size, access);
    mem_translate(cpu, in, context, addr, access, &pieces[0]);
    pieces[0].size = first;
    if (first == size)
        return 1;
    mem_translate(cpu, in, context, mem_wrap(cpu, context, addr + first), access, &pieces[1]);
    pieces[1].size = size - first;
    return 2;
}

static bool mem_is_apic(const struct cpu *cpu, gpa pa, u64 *offset)
{
    u64 base = cpu->vcpu->apic_ops->get_base(cpu->vcpu->apic);

    *offset = pa & 0xFFF;
    /* Enabled (bit 11) and not in x2APIC mode (bit 10). */
    return (base & 0xC00) == 0x800 && (pa & PAGE_MASK) == (base & 0x000FFFFFFFFFF000u);
}

static u64 mem_mmio_read(struct cpu *cpu, gpa pa, unsigned size)
{
    u64 offset;

    if (mem_is_apic(cpu, pa, &offset))
        return cpu->vcpu->apic_ops->mmio_read(cpu->vcpu->apic, offset, size);
    return bus_read(&cpu->soft->machine->mmio, pa, size);
}

static void mem_mmio_write(struct cpu *cpu, gpa pa, unsigned size, u64 value)
{
    u64 offset;

    if (mem_is_apic(cpu, pa, &offset))
        cpu->vcpu->apic_ops->mmio_write(cpu->vcpu->apic, offset, size, value);
    else
        bus_write(&cpu->soft->machine->mmio, pa, size, value);
}

/* The widest naturally aligned bus access that fits: what a device sees of an odd or wide one. */
static unsigned mem_mmio_size(gpa pa, unsigned left)
{
    unsigned size = 8;

    while (size > left || (pa & (size - 1)))
        size /= 2;
    return size;
}

static void mem_copy_in(struct cpu *cpu, const struct mem_piece *piece, u8 *data)
{
    unsigned left = piece->size;

    if (piece->host) {
        memcpy(data, piece->host, left);
        return;
    }
    for (gpa pa = piece->pa; left;) {
        unsigned size = mem_mmio_size(pa, left);
        u64 value = mem_mmio_read(cpu, pa, size);

        memcpy(data, &value, size);
        pa += size;
        data += size;
        left -= size;
    }
}

static void mem_copy_out(struct cpu *cpu, const struct mem_piece *piece, const u8 *data)
{
    unsigned left = piece->size;

    if (piece->host) {
        memcpy(piece->host, data, left);
        mem_stored(cpu, piece->host, left);
        return;
    }
    for (gpa pa = piece->pa; left;) {
        unsigned size = mem_mmio_size(pa, left);
        u64 value = 0;

        memcpy(&value, data, size);
        mem_mmio_write(cpu, pa, size, value);
        pa += size;
        data += size;
        left -= size;
    }
}

static void mem_read_context(struct cpu *cpu, const struct insn *in, enum mmu_context context,
                             gva addr, void *data, unsigned size)
{
    struct mem_piece pieces[2];
    unsigned count = mem_pieces(cpu, in, context, addr, size, ACCESS_READ, pieces);

    mem_copy_in(cpu, &pieces[0], data);
    if (count == 2)
        mem_copy_in(cpu, &pieces[1], (u8 *)data + pieces[0].size);
}

static void mem_write_context(struct cpu *cpu, const struct insn *in, enum mmu_context context,
                              gva addr, const void *data, unsigned size)
{
    struct mem_piece pieces[2];
    unsigned count = mem_pieces(cpu, in, context, addr, size, ACCESS_WRITE, pieces);

    mem_copy_out(cpu, &pieces[0], data);
    if (count == 2)
        mem_copy_out(cpu, &pieces[1], (const u8 *)data + pieces[0].size);
}

/* --- The slow paths --- */

u64 mem_load_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    struct mem_piece pieces[2];
    unsigned count = mem_pieces(cpu, in, cpu->data_context, addr, size, ACCESS_READ, pieces);
    u8 data[8] = { 0 };

    if (count == 1 && !pieces[0].host) /* a device sees the access as it is, aligned or not */
        return mem_mmio_read(cpu, pieces[0].pa, size);
    mem_copy_in(cpu, &pieces[0], data);
    if (count == 2)
        mem_copy_in(cpu, &pieces[1], data + pieces[0].size);
    return load_le64(data);
}

void mem_store_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size, u64 value)
{
    struct mem_piece pieces[2];
    unsigned count = mem_pieces(cpu, in, cpu->data_context, addr, size, ACCESS_WRITE, pieces);
    u8 data[8];

    if (count == 1 && !pieces[0].host) {
        mem_mmio_write(cpu, pieces[0].pa, size, value);
        return;
    }
    store_le64(data, value);
    mem_copy_out(cpu, &pieces[0], data);
    if (count == 2)
        mem_copy_out(cpu, &pieces[1], data + pieces[0].size);
}

void mem_code_written(struct cpu *cpu, const u8 *host, unsigned size)
{
    block_invalidate(cpu->soft->cache, (u64)(host - cpu->soft->ram_host), size);
}

const void *mem_ptr_r(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    const struct tlb_entry *e = mem_tlb_entry(cpu, addr);
    struct mem_piece pieces[2];
    unsigned count;

    if (likely((((addr + size - 1) & PAGE_MASK) | cpu->tlb_gen) == e->tag_r))
        return (const void *)(addr + e->addend);
    count = mem_pieces(cpu, in, cpu->data_context, addr, size, ACCESS_READ, pieces);
    if (count == 1 && pieces[0].host)
        return pieces[0].host;
    mem_copy_in(cpu, &pieces[0], cpu->bounce);
    if (count == 2)
        mem_copy_in(cpu, &pieces[1], cpu->bounce + pieces[0].size);
    return cpu->bounce;
}

void *mem_rmw_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    struct mem_piece pieces[2];
    unsigned count = mem_pieces(cpu, in, cpu->data_context, addr, size, ACCESS_WRITE, pieces);

    if (count == 1 && pieces[0].host)
        return pieces[0].host;
    if (in && (in->flags & INSN_LOCK))
        pthread_mutex_lock(&cpu->soft->split_lock);
    mem_copy_in(cpu, &pieces[0], cpu->bounce);
    if (count == 2)
        mem_copy_in(cpu, &pieces[1], cpu->bounce + pieces[0].size);
    return cpu->bounce;
}

void mem_rmw_end_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    mem_write_context(cpu, in, cpu->data_context, addr, cpu->bounce, size);
    if (in && (in->flags & INSN_LOCK))
        pthread_mutex_unlock(&cpu->soft->split_lock);
}

void *mem_run(struct cpu *cpu, const struct insn *in, gva addr, u64 *size, enum access access)
{
    struct mem_piece piece;

    if (unlikely(cpu->context == MMU_CHECKED))
        return NULL;
    *size = MIN(*size, 4096 - (addr & 0xFFF));
    mem_translate(cpu, in, cpu->data_context, addr, access, &piece);
    return piece.host;
}

void mem_read(struct cpu *cpu, const struct insn *in, gva addr, void *data, unsigned size)
{
    mem_read_context(cpu, in, cpu->data_context, addr, data, size);
}

void mem_write(struct cpu *cpu, const struct insn *in, gva addr, const void *data, unsigned size)
{
    mem_write_context(cpu, in, cpu->data_context, addr, data, size);
}

/* Implicit supervisor accesses: SMAP holds for them whatever AC says (SDM vol. 3A, 4.6.1). */
static enum mmu_context mem_sys_context(const struct cpu *cpu)
{
    return cpu->cr4 & CR4_SMAP ? MMU_KERNEL_SMAP : MMU_KERNEL;
}

void mem_sys_read(struct cpu *cpu, const struct insn *in, gva addr, void *data, unsigned size)
{
    mem_read_context(cpu, in, mem_sys_context(cpu), addr, data, size);
}

void mem_sys_write(struct cpu *cpu, const struct insn *in, gva addr, const void *data,
                   unsigned size)
{
    mem_write_context(cpu, in, mem_sys_context(cpu), addr, data, size);
}

void mem_sys_or8(struct cpu *cpu, const struct insn *in, gva addr, u8 bits)
{
    struct mem_piece piece;
    u8 value;

    mem_translate(cpu, in, mem_sys_context(cpu), addr, ACCESS_WRITE, &piece);
    if (piece.host) {
        __atomic_fetch_or(piece.host, bits, __ATOMIC_SEQ_CST);
        mem_stored(cpu, piece.host, 1);
        return;
    }
    value = (u8)mem_mmio_read(cpu, piece.pa, 1) | bits;
    mem_mmio_write(cpu, piece.pa, 1, value);
}

i64 mem_fetch(struct cpu *cpu, gva addr, gpa *pa)
{
    /* Rights to execute do not depend on AC: the two supervisor contexts agree. */
    enum mmu_context context = cpu->cpl == 3 ? MMU_USER : MMU_KERNEL;
    struct mem_piece piece;

    mem_translate(cpu, NULL, context, addr, ACCESS_EXEC, &piece);
    *pa = piece.pa;
    return piece.host ? piece.host - cpu->soft->ram_host : -1;
}

/* --- Segmentation --- */

static _Noreturn void mem_seg_fault(struct cpu *cpu, const struct insn *in, enum seg_reg seg)
{
    cpu_fault(cpu, in, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
}

/* Limit and type checks of SDM vol. 3A, 5.3 and 5.5, outside 64-bit mode. */
static void mem_seg_check(struct cpu *cpu, const struct insn *in, enum seg_reg seg, u64 offset,
                          unsigned size, bool write)
{
    const struct segment *s = &cpu->seg[seg];
    u64 last = offset + size - 1;
    bool code = s->attr & SEG_TYPE_CODE;

    if ((cpu->mode & (MODE_PE | MODE_VM)) == MODE_PE) {
        if ((s->attr & SEG_UNUSABLE) || !(s->attr & SEG_P))
            mem_seg_fault(cpu, in, seg);
        if (write ? code || !(s->attr & SEG_TYPE_RW) : code && !(s->attr & SEG_TYPE_RW))
            mem_seg_fault(cpu, in, seg);
    }
    if (!code && (s->attr & SEG_TYPE_EC) && (cpu->mode & MODE_PE) && !(cpu->mode & MODE_VM)) {
        u64 top = s->attr & SEG_DB ? 0xFFFFFFFFu : 0xFFFF;

        if (offset <= s->limit || last > top)
            mem_seg_fault(cpu, in, seg);
    } else if (last > s->limit) {
        mem_seg_fault(cpu, in, seg);
    }
}

gva mem_seg_linear(struct cpu *cpu, const struct insn *in, enum seg_reg seg, u64 offset,
                   unsigned size, bool write)
{
    if (cpu->mode & MODE_CS_L)
        return seg >= SEG_FS ? cpu->seg[seg].base + offset : offset;
    mem_seg_check(cpu, in, seg, offset, size, write);
    return (u32)(cpu->seg[seg].base + offset);
}

gva mem_seg_addr(struct cpu *cpu, const struct insn *in, u64 offset, unsigned size, bool write)
{
    switch ((in->flags & INSN_ASZ) >> INSN_ASZ_SHIFT) {
    case 1: offset = (u16)offset; break;
    case 2: offset = (u32)offset; break;
    default: break;
    }
    return mem_seg_linear(cpu, in, (enum seg_reg)in->seg, offset, size, write);
}
