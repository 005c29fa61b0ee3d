/* SPDX-License-Identifier: MIT */
/* Arithmetic flags as plain formulas, SDM vol. 1, 3.4.3.1, and the conditions of SDM vol. 1, appendix B. */
#pragma once

#include "accel/soft/state.h"
#include "base/bits.h"
#include "base/types.h"

/* Replace the flags of `mask` in cpu->aflags by those of `flags`. */
static inline void flags_merge(struct cpu *cpu, u64 mask, u64 flags)
{
    cpu->aflags = (cpu->aflags & ~mask) | (flags & mask);
}

static inline void flags_set_carry(struct cpu *cpu, bool carry)
{
    flags_merge(cpu, FLAG_CF, carry ? FLAG_CF : 0);
}

/* The conditions, each true or false for a word of flags. */
static inline bool cond_o(u64 f)
{
    return f & FLAG_OF;
}

static inline bool cond_b(u64 f)
{
    return f & FLAG_CF;
}

static inline bool cond_e(u64 f)
{
    return f & FLAG_ZF;
}

static inline bool cond_be(u64 f)
{
    return f & (FLAG_CF | FLAG_ZF);
}

static inline bool cond_s(u64 f)
{
    return f & FLAG_SF;
}

static inline bool cond_p(u64 f)
{
    return f & FLAG_PF;
}

/* SF is bit 7, OF bit 11. */
static inline bool cond_l(u64 f)
{
    return (f ^ f >> 4) & FLAG_SF;
}

static inline bool cond_le(u64 f)
{
    return ((f ^ f >> 4) & FLAG_SF) | (f & FLAG_ZF);
}

/* For each of the sixteen conditions: F(name, expression of the flags f). */
#define CONDITIONS(F) \
    F(o, cond_o(f)) \
    F(no, !cond_o(f)) \
    F(b, cond_b(f)) \
    F(ae, !cond_b(f)) \
    F(e, cond_e(f)) \
    F(ne, !cond_e(f)) \
    F(be, cond_be(f)) \
    F(a, !cond_be(f)) \
    F(s, cond_s(f)) \
    F(ns, !cond_s(f)) \
    F(p, cond_p(f)) \
    F(np, !cond_p(f)) \
    F(l, cond_l(f)) \
    F(ge, !cond_l(f)) \
    F(le, cond_le(f)) \
    F(g, !cond_le(f))
