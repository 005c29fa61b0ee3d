/* SPDX-License-Identifier: MIT */
/*
 * Decoded basic blocks, shared by all CPUs of a machine, found by where their bytes lie in guest memory and by
 * the mode that they were decoded in.
 *
 *   struct block                           pages with code
 *   +--------------------------------+    +------------------------------+
 *   | key: RAM offset, mode          |<---| blocks of the page           |
 *   | second page, when it crosses   |    | 128-byte granules with code  |
 *   | insns[count] + end marker      |    +------------------------------+
 *   +--------------------------------+
 *
 * A guest, device or loader write to a granule with code drops the blocks there: they leave the tables and their
 * handlers are replaced by one that leaves the block, so that a CPU in the middle of one stops within an
 * instruction. Their memory is reused only when no CPU can hold a pointer to it (block_cache_recycle).
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "accel/soft/insn.h"
#include "accel/soft/state.h"
#include "base/error.h"
#include "base/types.h"

struct ram;

#define BLOCK_INSNS_MAX 64
#define BLOCK_GRANULE   128u
#define BLOCK_NOWHERE   (~(u64)0)

struct block {
    u64 offset;  /* of the first byte, into guest memory */
    u64 offset2; /* of the second page, when the last instruction crosses; else BLOCK_NOWHERE */
    u32 mode;
    u16 size;  /* bytes */
    u16 count; /* instructions */
    bool stale;
    u8 exit_count;
    bool flags_dead;            /* translated code overwrites all flags before anything sees them */
    u16 runs;                   /* interpreted so often, until it is translated or cannot be */
    _Atomic(const void *) code; /* translated, or NULL */
    struct trans_exit *incoming; /* linked to this block; cache lock */
    struct trans_exit *exits;    /* its own */
    struct block *hash_next;
    struct block *page_next[2]; /* in the lists of its page(s) */
    struct insn insns[]; /* count + 1: the last is x_block_end or repeats nothing after a branch */
};

struct block_cache;
struct trans_exit;
struct translator;

/* A cache of at most `size` bytes of blocks for the code in `ram`. NULL and `err` when the host refuses. */
struct block_cache *block_cache_new(struct ram *ram, const u64 *features, u64 size,
                                    struct error *err);
void block_cache_free(struct block_cache *cache);

/* A CPU that uses the cache; `outside` and `cache_epoch` of it tell when memory may be reused. */
void block_cache_add_cpu(struct block_cache *cache, struct cpu *cpu);

/*
 * The block at cpu->rip, decoded now if need be. Raises fetch faults (page fault, #GP, #UD) with cpu->rip as it is.
 * Called by the run loop when the jump cache has no entry; enters one.
 */
struct block *block_find(struct cpu *cpu);

/* Drop code decoded from [offset, offset + size) of guest memory. Any thread. */
void block_invalidate(struct block_cache *cache, u64 offset, u64 size);

/* Blocks may be translated by `translator` from now on. */
void block_cache_set_translator(struct block_cache *cache, struct translator *translator);

/* Translate `b`, which the CPU is about to run at `rip`. */
void block_translate(struct block_cache *cache, struct block *b, u64 rip);

/* Let the translated code's exit go straight to `target`. */
void block_link(struct block_cache *cache, struct trans_exit *exit, struct block *target);

/* The CPU enters or leaves the part of the run loop that holds block pointers. */
void block_enter(struct cpu *cpu);
void block_leave(struct cpu *cpu);

/* Statistics for -d stats. */
struct block_stats {
    u64 decoded, invalidated, recycled, insns;
    u64 translated, code_bytes, links, code_full;
};
struct block_stats block_cache_stats(struct block_cache *cache);

/* Slot of `rip` in the jump cache. */
static inline struct jmp_cache_entry *block_jmp_slot(struct cpu *cpu, u64 rip)
{
    return &cpu->jmp_cache[(rip ^ rip >> JMP_CACHE_BITS) & (JMP_CACHE_SIZE - 1)];
}

/* The handlers that blocks end with (x_block_end, for a block without a branch) and that stale ones run. */
insn_fn x_block_end;
insn_fn x_block_stale;
