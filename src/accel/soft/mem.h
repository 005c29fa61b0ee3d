/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as instructions see it: linear addresses, through the software TLB.
 *
 * The inline functions are the fast path: one compare, one host access. Everything else (TLB miss, page
 * crossing, MMIO, faults) goes to the slow path in mem.c, which raises faults with `in`'s RIP. A crossing access looks
 * both pages up before it moves a byte. `in` may be NULL outside blocks: then cpu->rip is exact already.
 */
#pragma once

#include <pthread.h>
#include <string.h>

#include "accel/soft/host_cpu.h"
#include "accel/soft/insn.h"
#include "accel/soft/state.h"
#include "machine/ram.h"

#define PAGE_MASK (~(u64)0xFFF)

/* Access kinds of the slow paths and of the walk. */
enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC };

u64 mem_load_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size);
void mem_store_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size, u64 value);
void mem_code_written(struct cpu *cpu, const u8 *host, unsigned size);

static inline struct tlb_entry *mem_tlb_entry(struct cpu *cpu, gva addr)
{
    return &cpu->tlb->entries[(addr >> 12) & (TLB_SIZE - 1)];
}

/* Engine state of a machine: copies of the RAM mapping's addresses, and what its CPUs share. */
struct soft {
    struct machine *machine;
    u8 *ram_host;
    u64 ram_size;
    _Atomic u8 *code_pages;
    struct block_cache *cache;
    struct hostop_cache *hostops;
    struct translator *translator; /* NULL: interpret only */
    struct perfmap *perfmap;       /* or NULL */
    u32 translate_after;           /* runs of a block before it is translated; 0: never */
    struct cpuid_model *cpuid;
    u64 phys_mask;
    bool page_1g;
    pthread_mutex_t split_lock; /* held around locked accesses that host atomics cannot do */
    bool crowded;               /* more vCPUs than host CPUs: a vCPU that spins yields */
};

/* After a store of `size` bytes at `host`: drop code that was decoded from them. */
static inline void mem_stored(struct cpu *cpu, const u8 *host, unsigned size)
{
    u64 page = (u64)(host - cpu->soft->ram_host) / RAM_PAGE_SIZE;

    if (unlikely(atomic_load_explicit(&cpu->soft->code_pages[page], memory_order_relaxed)))
        mem_code_written(cpu, host, size);
}

#define MEM_DEFINE_ACCESS(bits) \
    static inline u##bits mem_load##bits(struct cpu *cpu, const struct insn *in, gva addr) \
    { \
        const struct tlb_entry *e = mem_tlb_entry(cpu, addr); \
        u##bits value; \
\
        if (unlikely((((addr + sizeof(value) - 1) & PAGE_MASK) | cpu->tlb_gen) != e->tag_r)) \
            return (u##bits)mem_load_slow(cpu, in, addr, sizeof(value)); \
        memcpy(&value, (const void *)(addr + e->addend), sizeof(value)); \
        host_loaded(); \
        return value; \
    } \
\
    static inline void mem_store##bits(struct cpu *cpu, const struct insn *in, gva addr, \
                                       u##bits value) \
    { \
        const struct tlb_entry *e = mem_tlb_entry(cpu, addr); \
\
        if (unlikely((((addr + sizeof(value) - 1) & PAGE_MASK) | cpu->tlb_gen) != e->tag_w)) { \
            mem_store_slow(cpu, in, addr, sizeof(value), value); \
            return; \
        } \
        host_storing(); \
        memcpy((void *)(addr + e->addend), &value, sizeof(value)); \
        mem_stored(cpu, (const u8 *)(addr + e->addend), sizeof(value)); \
    }

MEM_DEFINE_ACCESS(8)
MEM_DEFINE_ACCESS(16)
MEM_DEFINE_ACCESS(32)
MEM_DEFINE_ACCESS(64)

/*
 * Read operand of up to 64 bytes: a host pointer to it, either the RAM itself (one page) or cpu->bounce filled
 * with it. Not for locked operations.
 */
const void *mem_ptr_r(struct cpu *cpu, const struct insn *in, gva addr, unsigned size);

/*
 * Read-modify-write and wide-store operand of up to 64 bytes: write permission is checked on all of it first.
 * Returns a host pointer into RAM (then host atomics on it are guest atomics) or cpu->bounce holding the present
 * bytes (page crossing, MMIO; a locked one holds the machine's split lock until mem_rmw_end). After writing
 * through the pointer call mem_rmw_end with it, always: it writes a bounce back and drops stale code.
 * Nothing that can fault may come between the two.
 */
void *mem_rmw_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size);
void mem_rmw_end_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size);

static inline void *mem_rmw(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    const struct tlb_entry *e = mem_tlb_entry(cpu, addr);

    if (unlikely((((addr + size - 1) & PAGE_MASK) | cpu->tlb_gen) != e->tag_w))
        return mem_rmw_slow(cpu, in, addr, size);
    return (void *)(addr + e->addend);
}

static inline void mem_rmw_end(struct cpu *cpu, const struct insn *in, gva addr, void *host,
                               unsigned size)
{
    if (unlikely(host == (void *)cpu->bounce))
        mem_rmw_end_slow(cpu, in, addr, size);
    else
        mem_stored(cpu, host, size);
}

/*
 * For REP strings and wide copies: the host pointer for [addr, addr + *size) with *size cut to the end of its
 * page, or NULL when it is not RAM (use the element accessors then). Faults like a one-byte access at addr.
 * After writing call mem_stored (sizes up to a page are fine).
 */
void *mem_run(struct cpu *cpu, const struct insn *in, gva addr, u64 *size, enum access access);

/* Any number of bytes (XSAVE images, descriptors); all pages are checked before the first byte moves (up to 4 KiB). */
void mem_read(struct cpu *cpu, const struct insn *in, gva addr, void *data, unsigned size);
void mem_write(struct cpu *cpu, const struct insn *in, gva addr, const void *data, unsigned size);

/* The same with supervisor rights whatever the CPL (descriptor tables, TSS, stacks of inner rings). */
void mem_sys_read(struct cpu *cpu, const struct insn *in, gva addr, void *data, unsigned size);
void mem_sys_write(struct cpu *cpu, const struct insn *in, gva addr, const void *data,
                   unsigned size);

/* Atomic OR of `bits` into one byte, with supervisor rights (accessed and busy bits of descriptors). */
void mem_sys_or8(struct cpu *cpu, const struct insn *in, gva addr, u8 bits);

/* Where the code at linear address `addr` lies: its offset into guest memory, or -1 and *pa when it is not RAM. */
i64 mem_fetch(struct cpu *cpu, gva addr, gpa *pa);

/* --- Effective addresses --- */

/*
 * Segmented part, for anything but INSN_FLAT: cuts the offset to the address size, checks limit and rights
 * (#GP, or #SS for the stack segment), adds the base. `size` is the operand's, for the limit.
 */
gva mem_seg_addr(struct cpu *cpu, const struct insn *in, u64 offset, unsigned size, bool write);

/* Offset part of the memory operand, uncut. */
static inline u64 insn_offset(const struct cpu *cpu, const struct insn *in)
{
    return cpu->gpr[in->base] + (cpu->gpr[in->index] << in->scale) + (u64)(i64)in->disp;
}

/* Linear address of the memory operand of `in`. Raises segment faults. */
static inline gva insn_addr(struct cpu *cpu, const struct insn *in, unsigned size, bool write)
{
    u64 offset = insn_offset(cpu, in);

    if (likely(in->flags & INSN_FLAT))
        return offset;
    return mem_seg_addr(cpu, in, offset, size, write);
}

/* As mem_seg_addr with an explicit segment (string operands, stack). `offset` is already cut. */
gva mem_seg_linear(struct cpu *cpu, const struct insn *in, enum seg_reg seg, u64 offset,
                   unsigned size, bool write);
