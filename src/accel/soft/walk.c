/* SPDX-License-Identifier: MIT */
/*
 * The page walk for no paging, 32-bit (with PSE), PAE, 4-level and 5-level paging. SDM vol. 3A, 4.3 to 4.7.
 * One loop serves all; a format table holds what differs.
 */
#include "accel/soft/walk.h"

#include <stdatomic.h>

#include "machine/ram.h"

#define PTE_P           BIT64(0)
#define PTE_W           BIT64(1)
#define PTE_U           BIT64(2)
#define PTE_A           BIT64(5)
#define PTE_D           BIT64(6)
#define PTE_PS          BIT64(7)
#define PTE_NX          BIT64(63)
#define PTE_ADDR        0x000FFFFFFFFFF000u

#define PF_P            BIT(0)
#define PF_W            BIT(1)
#define PF_U            BIT(2)
#define PF_RSVD         BIT(3)
#define PF_I            BIT(4)

#define WALK_LEVELS_MAX 5

struct walk_format {
    unsigned levels;
    unsigned entry_size;
    unsigned index_bits;
    bool pdpte; /* the top level is PAE's four entries: only P, no A bit, own reserved bits */
};

static const struct walk_format walk_32 = { 2, 4, 10, false };
static const struct walk_format walk_pae = { 3, 8, 9, true };
static const struct walk_format walk_4level = { 4, 8, 9, false };
static const struct walk_format walk_5level = { 5, 8, 9, false };

/* One entry met on the way. */
struct walk_entry {
    void *host;
    u64 value;
};

static const struct walk_format *walk_format(const struct walk_context *c)
{
    if (!(c->cr4 & CR4_PAE))
        return &walk_32;
    if (!(c->efer & EFER_LMA))
        return &walk_pae;
    return c->cr4 & CR4_LA57 ? &walk_5level : &walk_4level;
}

static u64 walk_entry_load(const struct walk_format *f, const void *host)
{
    if (f->entry_size == 4)
        return atomic_load_explicit((const _Atomic u32 *)host, memory_order_relaxed);
    return atomic_load_explicit((const _Atomic u64 *)host, memory_order_relaxed);
}

/* Compare and swap, so that another CPU's change of the entry is never undone. */
static bool walk_entry_update(const struct walk_format *f, struct walk_entry *e, u64 value)
{
    u32 old32 = (u32)e->value;
    u64 old64 = e->value;

    if (f->entry_size == 4)
        return atomic_compare_exchange_strong((_Atomic u32 *)e->host, &old32, (u32)value);
    return atomic_compare_exchange_strong((_Atomic u64 *)e->host, &old64, value);
}

static u32 walk_code(const struct walk_context *c, enum access access, u32 code)
{
    bool nx_reported = ((c->cr4 & CR4_PAE) && (c->efer & EFER_NXE)) || (c->cr4 & CR4_SMEP);

    if (access == ACCESS_WRITE)
        code |= PF_W;
    if (c->user)
        code |= PF_U;
    if (access == ACCESS_EXEC && nx_reported)
        code |= PF_I;
    return code;
}

/* Bits that must be 0 in a present entry of `level` (1 = page table). */
static u64 walk_reserved(const struct walk_context *c, const struct walk_format *f, unsigned level,
                         u64 entry)
{
    bool large = level > 1 && (entry & PTE_PS);
    unsigned shift = 12 + f->index_bits * (level - 1);
    u64 high = ~c->phys_mask & 0x000FFFFFFFFFF000u;

    if (f->entry_size == 4) {
        /* PSE-36: bits 20:13 of a 4 MiB entry are address bits 39:32, 21 is reserved. */
        return large && (c->cr4 & CR4_PSE) ? BIT64(21) : 0;
    }
    if (f->pdpte && level == 3)
        return high | 0xFFF0000000000000u | 0x1E6u;
    if (!(c->efer & EFER_NXE))
        high |= PTE_NX;
    if (f == &walk_pae)
        high |= 0x7FF0000000000000u;
    if (level >= 4 || (level == 3 && !c->page_1g))
        return high | PTE_PS;
    if (large)
        high |= (BIT64(shift) - 1) & PTE_ADDR & ~BIT64(12);
    return high;
}

static bool walk_is_leaf(const struct walk_context *c, const struct walk_format *f, unsigned level,
                         u64 entry)
{
    if (level == 1)
        return true;
    if (!(entry & PTE_PS) || (f->pdpte && level == 3))
        return false;
    return f->entry_size == 8 || (c->cr4 & CR4_PSE);
}

static u64 walk_leaf_page(const struct walk_format *f, unsigned level, u64 entry, gva addr)
{
    unsigned shift = 12 + f->index_bits * (level - 1);
    u64 offset = addr & (BIT64(shift) - 1) & ~(u64)0xFFF;

    if (f->entry_size == 4 && level == 2)
        return (entry & 0xFFC00000u) | (entry & 0x1FE000u) << 19 | offset;
    return (entry & PTE_ADDR & ~(BIT64(shift) - 1)) | offset;
}

/* Rights of the accumulated U, W, NX bits in this context, SDM vol. 3A, 4.6. */
static void walk_rights(const struct walk_context *c, u64 allow, bool nx, struct walk_result *r)
{
    bool user_page = allow & PTE_U;
    bool writable = allow & PTE_W;

    if (c->user) {
        r->read = user_page;
        r->write = user_page && writable;
        r->exec = user_page && !nx;
        return;
    }
    r->read = !(user_page && c->smap);
    r->write = r->read && (writable || !(c->cr0 & CR0_WP));
    r->exec = !nx && !(user_page && (c->cr4 & CR4_SMEP));
}

static bool walk_allowed(const struct walk_result *r, enum access access)
{
    switch (access) {
    case ACCESS_READ: return r->read;
    case ACCESS_WRITE: return r->write;
    case ACCESS_EXEC: return r->exec;
    }
    return false;
}

/* Set A on every entry used, D on the leaf of a write. False: an entry changed meanwhile, walk again. */
static bool walk_set_accessed(const struct walk_format *f, struct walk_entry *entries, unsigned top,
                              unsigned leaf, bool write)
{
    for (unsigned level = top; level >= leaf; level--) {
        struct walk_entry *e = &entries[level];
        u64 value = e->value | PTE_A | (write && level == leaf ? PTE_D : 0);

        if (f->pdpte && level == 3)
            continue;
        if (value != e->value && !walk_entry_update(f, e, value))
            return false;
        e->value = value;
    }
    return true;
}

enum walk_step { WALK_DONE, WALK_FAULT, WALK_AGAIN };

static enum walk_step walk_once(const struct walk_context *c, const struct walk_format *f, gva addr,
                                enum access access, struct walk_result *r)
{
    struct walk_entry entries[WALK_LEVELS_MAX + 1];
    u64 table = f->pdpte ? c->cr3 & 0xFFFFFFE0u : c->cr3 & PTE_ADDR;
    u64 allow = PTE_U | PTE_W;
    bool nx = false;
    unsigned level = f->levels;

    for (;; level--) {
        unsigned shift = 12 + f->index_bits * (level - 1);
        u64 index = addr >> shift & (BIT64(f->index_bits) - 1);
        struct walk_entry *e = &entries[level];
        gpa at = (table & c->phys_mask) + index * f->entry_size;

        e->host = ram_ptr_w(c->ram, at, f->entry_size);
        e->value = e->host ? walk_entry_load(f, e->host) : 0;
        if (!(e->value & PTE_P)) {
            r->code = walk_code(c, access, 0);
            return WALK_FAULT;
        }
        if (e->value & walk_reserved(c, f, level, e->value)) {
            r->code = walk_code(c, access, PF_P | PF_RSVD);
            return WALK_FAULT;
        }
        if (!(f->pdpte && level == 3)) {
            allow &= e->value;
            nx |= f->entry_size == 8 && (e->value & PTE_NX);
        }
        if (walk_is_leaf(c, f, level, e->value))
            break;
        table = f->entry_size == 4 ? e->value & 0xFFFFF000u : e->value & PTE_ADDR;
    }
    walk_rights(c, allow, nx, r);
    if (!walk_allowed(r, access)) {
        r->code = walk_code(c, access, PF_P);
        return WALK_FAULT;
    }
    if (!walk_set_accessed(f, entries, f->levels, level, access == ACCESS_WRITE))
        return WALK_AGAIN;
    r->page = walk_leaf_page(f, level, entries[level].value, addr) & c->phys_mask;
    r->shift = (u8)(12 + f->index_bits * (level - 1));
    r->dirty = entries[level].value & PTE_D;
    return WALK_DONE;
}

bool walk(const struct walk_context *c, gva addr, enum access access, struct walk_result *r)
{
    enum walk_step step;

    if (!(c->cr0 & CR0_PG)) {
        *r = (struct walk_result){ .page = addr & ~(u64)0xFFF & c->phys_mask,
                                   .shift = 12,
                                   .read = true,
                                   .write = true,
                                   .exec = true,
                                   .dirty = true };
        return true;
    }
    do {
        *r = (struct walk_result){ 0 };
        step = walk_once(c, walk_format(c), addr, access, r);
    } while (step == WALK_AGAIN);
    return step == WALK_DONE;
}
