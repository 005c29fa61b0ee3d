/* SPDX-License-Identifier: MIT */
/*
 * The block cache.
 *
 * Lookups take no lock: the hash chains are changed under the lock by single pointer stores, and a block's memory
 * is reused only after every CPU was seen without a pointer to it.
 *
 * Writes against decoding: a page is marked as code before its bytes are read, and a CPU that stores looks at
 * the mark after its store. On another CPU the store could still be in its buffer when the mark is set and the
 * bytes are read; the membarrier between the two makes either the mark visible to the storing CPU or the store
 * visible to the decoding one. A write that falls between decoding and entering is caught by the page's sequence
 * number.
 *
 * Memory: two halves, filled in turn. When one is full the other's blocks are all dropped, and the half is used
 * again when each CPU has left whatever block it was in.
 */
#include "accel/soft/block.h"

#include <assert.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accel/soft/blocklog.h"
#include "accel/soft/decode.h"
#include "accel/soft/fault.h"
#include "accel/soft/hostop.h"
#include "accel/soft/mem.h"
#include "accel/soft/stats.h"
#include "accel/soft/tlb.h"
#include "accel/soft/trans.h"
#include "base/log.h"
#include "base/mem.h"
#include "machine/bus.h"
#include "machine/machine.h"

#define BLOCK_HASH_BITS 14
#define BLOCK_HASH_SIZE (1u << BLOCK_HASH_BITS)

/* What is known of a guest page with code. */
struct code_page {
    _Atomic u32 granules; /* 128-byte runs that blocks were decoded from */
    _Atomic u32 sequence; /* counts writes to the page */
    struct block *blocks; /* cache lock */
};

struct block_cache {
    struct ram *ram;
    const u64 *features;
    struct code_page *pages; /* by page of guest memory; touched only for pages with code */
    u64 page_count;

    _Atomic(struct block *) hash[BLOCK_HASH_SIZE];

    pthread_mutex_t lock; /* protects what follows, and changes of the tables */
    pthread_cond_t recycled;
    u8 *arena;
    size_t half_size;
    unsigned half;  /* being filled */
    size_t used[2]; /* bytes filled of each half */
    bool recycling;
    bool code_full; /* no room for translations of the half being filled: take the other */
    struct translator *translator; /* or NULL */
    _Atomic u32 epoch;             /* counts recyclings */
    bool barrier;                  /* more than one CPU: membarrier is needed */
    unsigned cpu_count;
    struct cpu *cpus[MACHINE_VCPUS_MAX];
    struct block_stats stats;
};

/* A block being decoded, before it is entered. */
struct block_draft {
    u64 offset, offset2;
    u32 mode;
    unsigned size, count;
    u32 sequence, sequence2;
    struct insn insns[BLOCK_INSNS_MAX + 1];
};

/* --- Creation --- */

static void *block_map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

struct block_cache *block_cache_new(struct ram *ram, const u64 *features, u64 size,
                                    struct error *err)
{
    struct block_cache *c = xcalloc(1, sizeof(*c));

    c->ram = ram;
    c->features = features;
    c->page_count = ram->size / RAM_PAGE_SIZE;
    c->half_size = align_down(size / 2, RAM_PAGE_SIZE);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->recycled, NULL);
    c->pages = block_map(c->page_count * sizeof(*c->pages));
    c->arena = block_map(c->half_size * 2);
    if (!c->pages || !c->arena) {
        error_set_errno(err, errno, "cannot map the code cache");
        block_cache_free(c);
        return NULL;
    }
    return c;
}

void block_cache_free(struct block_cache *c)
{
    if (!c)
        return;
    if (c->pages)
        munmap(c->pages, c->page_count * sizeof(*c->pages));
    if (c->arena)
        munmap(c->arena, c->half_size * 2);
    free(c);
}

void block_cache_add_cpu(struct block_cache *c, struct cpu *cpu)
{
    assert(c->cpu_count < MACHINE_VCPUS_MAX);
    c->cpus[c->cpu_count++] = cpu;
    atomic_store(&cpu->outside, true);
    cpu->scratch = xcalloc(1, sizeof(struct block) + 2 * sizeof(struct insn));
    if (c->cpu_count == 2)
        c->barrier = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

struct block_stats block_cache_stats(struct block_cache *c)
{
    struct block_stats stats;

    pthread_mutex_lock(&c->lock);
    stats = c->stats;
    if (c->translator) {
        struct trans_stats t = trans_stats(c->translator);

        stats.translated = t.blocks;
        stats.code_bytes = t.bytes;
        stats.links = t.links;
        stats.code_full = t.full;
    }
    pthread_mutex_unlock(&c->lock);
    return stats;
}

/* --- Leaving blocks --- */

void x_block_stale(struct cpu *cpu, const struct insn *in)
{
    struct jmp_cache_entry *e;

    cpu->rip = insn_rip(cpu, in);
    cpu->icount -= cpu->block->count - (u64)(in - cpu->block->insns);
    e = block_jmp_slot(cpu, cpu->rip);
    if (e->block == cpu->block)
        e->key = 0;
}

/* --- Dropping blocks; all with the lock held --- */

static u32 block_granules(u64 offset, u64 size)
{
    unsigned first = (unsigned)(offset & 0xFFF) / BLOCK_GRANULE;
    unsigned last = (unsigned)((offset + size - 1) & 0xFFF) / BLOCK_GRANULE;

    return (u32)((BIT64(last + 1) - 1) & ~(BIT64(first) - 1));
}

/* The bytes of `b` on the page: offset and size. */
static u64 block_part(const struct block *b, u64 page, u64 *size)
{
    u64 first = RAM_PAGE_SIZE - (b->offset & 0xFFF);

    if (b->offset / RAM_PAGE_SIZE == page &&
        (b->offset2 == BLOCK_NOWHERE || b->offset2 / RAM_PAGE_SIZE != page)) {
        *size = MIN(first, b->size);
        return b->offset;
    }
    *size = b->size - first;
    return b->offset2;
}

static unsigned block_hash(u64 offset, u32 mode)
{
    return (unsigned)(((offset ^ (u64)mode << 40) * 0x9E3779B97F4A7C15u) >> (64 - BLOCK_HASH_BITS));
}

static void block_unhash(struct block_cache *c, struct block *b)
{
    unsigned slot = block_hash(b->offset, b->mode);
    struct block *at = atomic_load(&c->hash[slot]);

    if (at == b) {
        atomic_store(&c->hash[slot], b->hash_next);
        return;
    }
    while (at->hash_next != b)
        at = at->hash_next;
    __atomic_store_n(&at->hash_next, b->hash_next, __ATOMIC_RELEASE);
}

static unsigned block_page_link(const struct block *b, u64 page)
{
    return b->offset / RAM_PAGE_SIZE == page ? 0 : 1;
}

static void block_unlist(struct block_cache *c, struct block *b, u64 page)
{
    struct block **at = &c->pages[page].blocks;

    while (*at != b)
        at = &(*at)->page_next[block_page_link(*at, page)];
    *at = b->page_next[block_page_link(b, page)];
}

/* What granules the remaining blocks of a page still cover; a page without blocks is plain data again. */
static void block_refresh_page(struct block_cache *c, u64 page)
{
    u32 granules = 0;

    for (struct block *b = c->pages[page].blocks; b; b = b->page_next[block_page_link(b, page)]) {
        u64 size, offset = block_part(b, page, &size);

        granules |= block_granules(offset, size);
    }
    atomic_store(&c->pages[page].granules, granules);
    if (!granules)
        atomic_store(&c->ram->code_pages[page], 0);
}

static u64 block_second_page(const struct block *b)
{
    u64 page = b->offset2 / RAM_PAGE_SIZE;

    return b->offset2 == BLOCK_NOWHERE || page == b->offset / RAM_PAGE_SIZE ? BLOCK_NOWHERE : page;
}

static void block_drop(struct block_cache *c, struct block *b)
{
    u64 second = block_second_page(b);

    block_unhash(c, b);
    block_unlist(c, b, b->offset / RAM_PAGE_SIZE);
    if (second != BLOCK_NOWHERE)
        block_unlist(c, b, second);
    b->stale = true;
    trans_drop(b);
    for (unsigned i = 0; i <= b->count; i++)
        __atomic_store_n(&b->insns[i].fn, x_block_stale, __ATOMIC_RELAXED);
}

static void block_drop_range(struct block_cache *c, u64 page, u64 offset, u64 size)
{
    struct block *b = c->pages[page].blocks;

    while (b) {
        struct block *next = b->page_next[block_page_link(b, page)];
        u64 part_size, part = block_part(b, page, &part_size);
        u64 second = block_second_page(b), first = b->offset / RAM_PAGE_SIZE;

        if (part < offset + size && offset < part + part_size) {
            block_drop(c, b);
            c->stats.invalidated++;
            if (second != BLOCK_NOWHERE)
                block_refresh_page(c, second == page ? first : second);
        }
        b = next;
    }
    block_refresh_page(c, page);
}

static void block_invalidate_page(struct block_cache *c, u64 offset, u64 size)
{
    u64 page = offset / RAM_PAGE_SIZE;
    struct code_page *p = &c->pages[page];

    atomic_fetch_add(&p->sequence, 1);
    if (!(atomic_load(&p->granules) & block_granules(offset, size)))
        return;
    pthread_mutex_lock(&c->lock);
    block_drop_range(c, page, offset, size);
    pthread_mutex_unlock(&c->lock);
}

void block_invalidate(struct block_cache *c, u64 offset, u64 size)
{
    while (size) {
        u64 part = MIN(size, RAM_PAGE_SIZE - (offset & 0xFFF));

        if (ram_has_code(c->ram, offset))
            block_invalidate_page(c, offset, part);
        offset += part;
        size -= part;
    }
}

/* --- Memory --- */

void block_enter(struct cpu *cpu)
{
    u32 epoch;

    atomic_store(&cpu->outside, false);
    epoch = atomic_load(&cpu->soft->cache->epoch);
    if (epoch == atomic_load(&cpu->cache_epoch))
        return;
    tlb_forget_blocks(cpu);
    atomic_store(&cpu->cache_epoch, epoch);
}

void block_leave(struct cpu *cpu)
{
    cpu->block = NULL;
    atomic_store(&cpu->outside, true);
}

static size_t block_bytes(unsigned count)
{
    return sizeof(struct block) + (count + 1) * sizeof(struct insn);
}

static void block_drop_half(struct block_cache *c, unsigned half)
{
    u8 *at = c->arena + half * c->half_size;
    u8 *end = at + c->used[half];

    while (at < end) {
        struct block *b = (struct block *)(void *)at;
        u64 first = b->offset / RAM_PAGE_SIZE, second = block_second_page(b);

        at += block_bytes(b->count);
        if (b->stale)
            continue;
        block_drop(c, b);
        block_refresh_page(c, first);
        if (second != BLOCK_NOWHERE)
            block_refresh_page(c, second);
    }
}

static void block_wait_for(struct cpu *other, u32 epoch)
{
    vcpu_request(other->vcpu, VCPU_REQ_ACCEL);
    while (!atomic_load(&other->outside) && atomic_load(&other->cache_epoch) != epoch)
        sched_yield();
}

/*
 * Make the other half the one to fill. Lock held; released while waiting for the other CPUs, of which those that want
 * room as well wait here, outside.
 */
static void block_cache_recycle(struct block_cache *c, struct cpu *cpu)
{
    unsigned next = !c->half;
    u32 epoch;

    block_leave(cpu);
    if (c->recycling) {
        while (c->recycling)
            pthread_cond_wait(&c->recycled, &c->lock);
        pthread_mutex_unlock(&c->lock);
        block_enter(cpu);
        pthread_mutex_lock(&c->lock);
        return;
    }
    c->recycling = true;
    block_drop_half(c, next);
    c->stats.recycled++;
    epoch = atomic_fetch_add(&c->epoch, 1) + 1;
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->cpu_count; i++)
        if (c->cpus[i] != cpu)
            block_wait_for(c->cpus[i], epoch);
    block_enter(cpu);
    pthread_mutex_lock(&c->lock);
    c->half = next;
    c->used[next] = 0;
    c->code_full = false;
    if (c->translator)
        trans_forget_half(c->translator, next);
    c->recycling = false;
    pthread_cond_broadcast(&c->recycled);
}

static struct block *block_alloc(struct block_cache *c, struct cpu *cpu, unsigned count)
{
    size_t bytes = block_bytes(count);
    struct block *b;

    while (c->recycling || c->code_full || c->used[c->half] + bytes > c->half_size)
        block_cache_recycle(c, cpu);
    b = (struct block *)(void *)(c->arena + c->half * c->half_size + c->used[c->half]);
    c->used[c->half] += bytes;
    return b;
}

/* --- Decoding --- */

/* Take the decoded instruction into the draft. False when the block ends with it. */
static bool block_append(struct cpu *cpu, struct block_draft *d, const u8 *bytes, struct insn *in)
{
    const struct insn_row *row = &insn_rows[in->row];

    insn_place(in, d->size);
    if (log_on(LOG_IN_ASM))
        blocklog_insn(in, bytes, cpu->rip + in->off, d->mode);
    if (log_on(LOG_OP))
        blocklog_op(in, cpu->rip + in->off);
    if (row->class == CLASS_HOST)
        in->hostop = hostop_get(cpu->soft->hostops, bytes, in, d->mode);
    d->insns[d->count++] = *in;
    d->size += in->len;
    return row->class != CLASS_FLOW && !(row->attr & ATTR_END) && d->count < BLOCK_INSNS_MAX &&
           !(d->mode & MODE_STEP);
}

static void block_finish(struct block_draft *d)
{
    d->insns[d->count] = (struct insn){ .fn = x_block_end,
                                        .off = d->size & 0xFFF,
                                        .seg = SEG_DS,
                                        .base = GPR_ZERO,
                                        .index = GPR_ZERO };
}

static _Noreturn void block_decode_fault(struct cpu *cpu, enum decode_result result)
{
    if (result == DECODE_TOO_LONG)
        cpu_fault(cpu, NULL, VEC_GP, 0);
    cpu_fault(cpu, NULL, VEC_UD, 0);
}

/* Mark a page as code before its bytes are read; see the top of the file. */
static void block_mark_page(struct block_cache *c, u64 offset)
{
    if (ram_has_code(c->ram, offset))
        return;
    atomic_store(&c->ram->code_pages[offset / RAM_PAGE_SIZE], 1);
    if (c->barrier)
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/* An instruction that goes on in the next page: a block of its own. */
static void block_decode_crossing(struct cpu *cpu, struct block_draft *d, gva addr, unsigned left)
{
    enum decode_result result;
    u8 bytes[INSN_MAX_LEN];
    struct insn in;
    gva next = addr + left;
    gpa pa;
    i64 offset2;

    if (!(cpu->mode & MODE_CS_L))
        next = (u32)next;
    offset2 = mem_fetch(cpu, next, &pa);
    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, cpu->soft->ram_host + d->offset, left);
    if (offset2 >= 0) {
        d->sequence2 = atomic_load(&cpu->soft->cache->pages[offset2 / RAM_PAGE_SIZE].sequence);
        block_mark_page(cpu->soft->cache, (u64)offset2);
        memcpy(bytes + left, cpu->soft->ram_host + offset2, sizeof(bytes) - left);
    }
    result = decode_insn(bytes, sizeof(bytes), d->mode, cpu->soft->cache->features, &in);
    if (result != DECODE_OK)
        block_decode_fault(cpu, result == DECODE_MORE ? DECODE_TOO_LONG : result);
    d->offset2 = offset2 < 0 ? BLOCK_NOWHERE : (u64)offset2;
    block_append(cpu, d, bytes, &in);
}

/* Bytes of code that CS.limit allows from RIP on. */
static u64 block_limit(const struct cpu *cpu)
{
    const struct segment *cs = &cpu->seg[SEG_CS];

    if (cpu->mode & MODE_CS_L)
        return RAM_PAGE_SIZE;
    return cpu->rip > cs->limit ? 0 : (u64)cs->limit - cpu->rip + 1;
}

static gva block_linear(const struct cpu *cpu)
{
    if (cpu->mode & MODE_CS_L)
        return cpu->rip;
    return (u32)(cpu->seg[SEG_CS].base + cpu->rip);
}

static void block_decode(struct cpu *cpu, struct block_draft *d, gva addr)
{
    unsigned left = RAM_PAGE_SIZE - (unsigned)(addr & 0xFFF);
    unsigned limit = (unsigned)MIN(left, block_limit(cpu));
    const u8 *bytes = cpu->soft->ram_host + d->offset;
    enum decode_result result;
    struct insn in;
    bool more = true;

    while (more && d->size < limit) {
        result =
            decode_insn(bytes + d->size, limit - d->size, d->mode, cpu->soft->cache->features, &in);
        if (result == DECODE_OK)
            more = block_append(cpu, d, bytes + d->size, &in);
        else if (d->count)
            break;
        else if (result != DECODE_MORE)
            block_decode_fault(cpu, result);
        else if (limit < left)
            cpu_fault(cpu, NULL, VEC_GP, 0); /* the instruction reaches over CS.limit */
        else {
            block_decode_crossing(cpu, d, addr, left);
            break;
        }
    }
    block_finish(d);
}

/* --- Entering --- */

static void block_list(struct block_cache *c, struct block *b, u64 page)
{
    struct code_page *p = &c->pages[page];
    unsigned link = block_page_link(b, page);
    u64 size, offset;

    b->page_next[link] = p->blocks;
    p->blocks = b;
    offset = block_part(b, page, &size);
    atomic_fetch_or(&p->granules, block_granules(offset, size));
    atomic_store(&c->ram->code_pages[page], 1);
}

/* Were the draft's pages written since it was begun? */
static bool block_draft_is_stale(struct block_cache *c, const struct block_draft *d)
{
    if (atomic_load(&c->pages[d->offset / RAM_PAGE_SIZE].sequence) != d->sequence)
        return true;
    return d->offset2 != BLOCK_NOWHERE &&
           atomic_load(&c->pages[d->offset2 / RAM_PAGE_SIZE].sequence) != d->sequence2;
}

/* Enter the draft. NULL when the guest has written to its pages meanwhile. */
static struct block *block_insert(struct block_cache *c, struct cpu *cpu,
                                  const struct block_draft *d)
{
    unsigned slot = block_hash(d->offset, d->mode);
    struct block *b;

    pthread_mutex_lock(&c->lock);
    b = block_alloc(c, cpu, d->count);
    *b = (struct block){ .offset = d->offset,
                         .offset2 = d->offset2,
                         .mode = d->mode,
                         .size = (u16)d->size,
                         .count = (u16)d->count };
    memcpy(b->insns, d->insns, (d->count + 1) * sizeof(struct insn));
    block_list(c, b, d->offset / RAM_PAGE_SIZE);
    if (block_second_page(b) != BLOCK_NOWHERE)
        block_list(c, b, block_second_page(b));
    b->hash_next = atomic_load(&c->hash[slot]);
    atomic_store_explicit(&c->hash[slot], b, memory_order_release);
    c->stats.decoded++;
    c->stats.insns += d->count;
    if (block_draft_is_stale(c, d)) {
        block_drop(c, b);
        block_refresh_page(c, b->offset / RAM_PAGE_SIZE);
        if (block_second_page(b) != BLOCK_NOWHERE)
            block_refresh_page(c, block_second_page(b));
        b = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    return b;
}

static struct block *block_build(struct cpu *cpu, gva addr, u64 offset)
{
    struct block_cache *c = cpu->soft->cache;
    struct block *b;

    stats_enter(cpu, STATS_DECODING);
    do {
        struct block_draft d = { .offset = offset, .offset2 = BLOCK_NOWHERE, .mode = cpu->mode };

        d.sequence = atomic_load(&c->pages[offset / RAM_PAGE_SIZE].sequence);
        block_mark_page(c, offset);
        LOG(LOG_IN_ASM | LOG_OP, "IN: cpu %u, mode 0x%x", cpu->vcpu->id, cpu->mode);
        block_decode(cpu, &d, addr);
        b = block_insert(c, cpu, &d);
    } while (!b);
    return b;
}

/* --- Code outside RAM, or cut off by CS.limit: decoded each time, one instruction --- */

static u8 block_fetch_byte(struct cpu *cpu, gva addr)
{
    gpa pa;
    i64 offset = mem_fetch(cpu, cpu->mode & MODE_CS_L ? addr : (u32)addr, &pa);

    if (offset >= 0)
        return cpu->soft->ram_host[offset];
    return (u8)bus_read(&cpu->soft->machine->mmio, pa, 1);
}

static struct block *block_scratch(struct cpu *cpu, gva addr)
{
    u64 limit = MIN(block_limit(cpu), INSN_MAX_LEN);
    enum decode_result result = DECODE_MORE;
    struct block *b = cpu->scratch;
    u8 bytes[INSN_MAX_LEN];
    struct block_draft d = { .offset = BLOCK_NOWHERE,
                             .offset2 = BLOCK_NOWHERE,
                             .mode = cpu->mode | MODE_STEP };
    struct insn in;

    for (unsigned n = 0; result == DECODE_MORE && n < limit;) {
        bytes[n] = block_fetch_byte(cpu, addr + n);
        n++;
        result = decode_insn(bytes, n, cpu->mode, cpu->soft->cache->features, &in);
    }
    if (result == DECODE_MORE)
        cpu_fault(cpu, NULL, VEC_GP, 0);
    if (result != DECODE_OK)
        block_decode_fault(cpu, result);
    block_append(cpu, &d, bytes, &in);
    block_finish(&d);
    *b = (struct block){ .offset = BLOCK_NOWHERE,
                         .offset2 = BLOCK_NOWHERE,
                         .mode = d.mode,
                         .size = (u16)d.size,
                         .count = (u16)d.count };
    memcpy(b->insns, d.insns, 2 * sizeof(struct insn));
    return b;
}

/* --- Translating --- */

void block_cache_set_translator(struct block_cache *c, struct translator *translator)
{
    c->translator = translator;
}

void block_translate(struct block_cache *c, struct block *b, u64 rip)
{
    unsigned half = (u64)((const u8 *)b - c->arena) >= c->half_size;

    pthread_mutex_lock(&c->lock);
    if (!b->stale && !atomic_load_explicit(&b->code, memory_order_relaxed) &&
        trans_block(c->translator, b, half, rip) == TRANS_FULL && half == c->half)
        c->code_full = true;
    pthread_mutex_unlock(&c->lock);
}

void block_link(struct block_cache *c, struct trans_exit *exit, struct block *target)
{
    pthread_mutex_lock(&c->lock);
    trans_link(c->translator, exit, target);
    pthread_mutex_unlock(&c->lock);
}

/* --- Finding --- */

/* Does the block's second page still lie where it was when the block was decoded? */
static bool block_second_matches(struct cpu *cpu, const struct block *b, gva addr)
{
    gva next = align_up(addr + 1, RAM_PAGE_SIZE);
    gpa pa;

    if (b->offset2 == BLOCK_NOWHERE)
        return true;
    return mem_fetch(cpu, cpu->mode & MODE_CS_L ? next : (u32)next, &pa) == (i64)b->offset2;
}

static struct block *block_lookup(struct cpu *cpu, gva addr, u64 offset)
{
    struct block_cache *c = cpu->soft->cache;
    struct block *b =
        atomic_load_explicit(&c->hash[block_hash(offset, cpu->mode)], memory_order_acquire);

    for (; b; b = __atomic_load_n(&b->hash_next, __ATOMIC_ACQUIRE))
        if (b->offset == offset && b->mode == cpu->mode && block_second_matches(cpu, b, addr))
            return b;
    return NULL;
}

static void block_enter_jump(struct cpu *cpu, struct block *b)
{
    struct jmp_cache_entry *e = block_jmp_slot(cpu, cpu->rip);
    u64 page = block_linear(cpu) >> 12;

    e->rip = cpu->rip | cpu->jmp_base;
    e->key = cpu->jmp_key;
    e->block = b;
    cpu->jmp_pages[page >> 6 & 63] |= BIT64(page & 63);
    if (b->offset2 != BLOCK_NOWHERE)
        cpu->jmp_pages[(page + 1) >> 6 & 63] |= BIT64((page + 1) & 63);
}

struct block *block_find(struct cpu *cpu)
{
    u64 limit = block_limit(cpu);
    struct block *b;
    gva addr = block_linear(cpu);
    gpa pa;
    i64 offset;

    cpu->stat_lookups++;
    if (unlikely(!limit))
        cpu_fault(cpu, NULL, VEC_GP, 0);
    offset = mem_fetch(cpu, addr, &pa);
    if (unlikely(offset < 0))
        return block_scratch(cpu, addr);
    b = block_lookup(cpu, addr, (u64)offset);
    if (!b) {
        if (limit < INSN_MAX_LEN)
            return block_scratch(cpu, addr);
        b = block_build(cpu, addr, (u64)offset);
    }
    if (unlikely(b->size > limit))
        return block_scratch(cpu, addr);
    block_enter_jump(cpu, b);
    return b;
}
