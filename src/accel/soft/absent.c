/* SPDX-License-Identifier: MIT */
/*
 * In the place of the translator and of host operations, on hosts that can have neither (host_cpu.h): blocks are
 * interpreted, and no row of class HOST is ever decoded.
 */
#include <assert.h>
#include <stdlib.h>

#include "accel/soft/hostop.h"
#include "accel/soft/trans.h"
#include "base/mem.h"

struct hostop_cache {
    int nothing;
};

struct hostop_cache *hostop_cache_new(struct error *err)
{
    (void)err;
    return xcalloc(1, sizeof(struct hostop_cache));
}

void hostop_cache_free(struct hostop_cache *cache)
{
    free(cache);
}

/* Rows without a feature are decoded all the same; their handler raises #UD. */
const struct hostop *hostop_get(struct hostop_cache *cache, const u8 *bytes, const struct insn *in,
                                u32 mode)
{
    (void)cache;
    (void)bytes;
    (void)in;
    (void)mode;
    return NULL;
}

void hostop_restore_mxcsr(const struct cpu *cpu)
{
    (void)cpu;
}

struct translator *trans_new(struct soft *soft, u32 threshold, struct error *err)
{
    (void)soft;
    (void)threshold;
    error_set(err, "this host's CPU is not one that code can be translated for");
    return NULL;
}

void trans_free(struct translator *t)
{
    assert(!t);
}

u32 trans_threshold(const struct translator *t)
{
    (void)t;
    return 0;
}

struct trans_stats trans_stats(const struct translator *t)
{
    (void)t;
    return (struct trans_stats){ .blocks = 0 };
}

void trans_set_chaining(struct translator *t, bool chaining)
{
    (void)t;
    (void)chaining;
}

void trans_set_perfmap(struct translator *t, struct perfmap *map)
{
    (void)t;
    (void)map;
}

void trans_init_cpu(struct cpu *cpu)
{
    (void)cpu;
}

enum trans_result trans_block(struct translator *t, struct block *b, unsigned half, u64 rip)
{
    (void)t;
    (void)b;
    (void)half;
    (void)rip;
    return TRANS_UNFIT;
}

void trans_drop(struct block *b)
{
    (void)b;
}

void trans_link(struct translator *t, struct trans_exit *exit, struct block *target)
{
    (void)t;
    (void)exit;
    (void)target;
}

void trans_forget_half(struct translator *t, unsigned half)
{
    (void)t;
    (void)half;
}

void trans_run(struct cpu *cpu, const void *code)
{
    (void)cpu;
    (void)code;
    assert(!"no code is ever translated");
}
