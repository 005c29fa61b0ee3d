/* SPDX-License-Identifier: MIT */
/*
 * The translator: blocks that run often become host code.
 *
 * State contract of generated code:
 *
 *   GS base           struct cpu
 *   RAX..RDI, R8..R11 the guest's, but for RSP
 *   R12               the guest's RSP
 *   R13, R14, R15     temporaries; nothing lives in them from one guest instruction to the next
 *   RSP               the host's stack, 16-byte aligned
 *   cpu->gpr[R12..15] the guest's R12 to R15, always in memory
 *   cpu->page_rip     linear address of the page that the running block lies on
 *
 * At a block's entry and exits all arithmetic flags are in cpu->raw_flags, unless the entered block overwrites them before
 * anything can see them. Between these they are in the host's flags, in memory, to be computed from registers, or (when
 * overwritten before anything can see them) nowhere: t_flags.c.
 *
 * Whatever the fast path of an instruction cannot do is done by the interpreter's handler, called with all registers in
 * struct cpu (trans_slow): faults, devices, page crossings.
 */
#pragma once

#include <stddef.h>

#include "accel/soft/insn.h"
#include "accel/soft/state.h"
#include "base/error.h"
#include "base/types.h"

struct block;
struct perfmap;
struct soft;
struct translator;

/*
 * A direct jump out of a block to another block of the same page. The code jumps through `slot`, which holds `stub` (back
 * to the run loop) or the target's entry. When the flags are not in memory yet, `save` puts them there and goes on through
 * `saved`; a target that overwrites them all is entered without. In the code buffer, by its written address; protected by
 * the block cache's lock, but for reads of the slots by running code.
 */
struct trans_exit {
    u64 slot, saved;
    u64 stub, save; /* 0: the flags are in memory */
    struct block *owner;
    struct block *target;    /* NULL: not linked */
    struct trans_exit *next; /* of the target's incoming ones */
};

struct trans_stats {
    u64 blocks, bytes, links, full;
};

/* Blocks are translated at their `threshold`th run. NULL and `err` when the host refuses the memory. */
struct translator *trans_new(struct soft *soft, u32 threshold, struct error *err);
void trans_free(struct translator *t);
u32 trans_threshold(const struct translator *t);
struct trans_stats trans_stats(const struct translator *t);

/* For tests: without, blocks return to the run loop at their end. */
void trans_set_chaining(struct translator *t, bool chaining);

/* List code in `map` from now on. */
void trans_set_perfmap(struct translator *t, struct perfmap *map);

/* What the translator wants to know in `cpu`. */
void trans_init_cpu(struct cpu *cpu);

/* --- Called with the block cache's lock held --- */

enum trans_result { TRANS_DONE, TRANS_UNFIT, TRANS_FULL };

/* Make code for `b`, which belongs to `half` of the cache. `rip`, where it was met, is for the reader of a log. */
enum trans_result trans_block(struct translator *t, struct block *b, unsigned half, u64 rip);

/* No jump leads to or from `b` any more, and it has no code. */
void trans_drop(struct block *b);

/* Make the exit jump to `target`, unless either has gone meanwhile. */
void trans_link(struct translator *t, struct trans_exit *exit, struct block *target);

/* The half's blocks have all been dropped, and no CPU is in their code. */
void trans_forget_half(struct translator *t, unsigned half);

/* --- Running --- */

/* Run translated code from `b`, whose code is `code`. Returns with cpu->rip where to go on. */
void trans_run(struct cpu *cpu, const void *code);
