/* SPDX-License-Identifier: MIT */
/*
 * A CPU over a small flat memory, for tests of handlers: linear addresses FX_BASE to FX_BASE + FX_SIZE are RAM, nothing
 * else is. Fills in for mem.c, fault.h and the system handlers.
 */
#pragma once

#include "accel/soft/decode.h"
#include "accel/soft/insn.h"
#include "accel/soft/mem.h"
#include "accel/soft/state.h"
#include "machine/vcpu.h"

#define FX_BASE     0x10000u
#define FX_PAGES    4u
#define FX_SIZE     (FX_PAGES * 4096u)

#define FX_64       (MODE_CS_L | MODE_PE | MODE_LMA)
#define FX_32       (MODE_CS_D | MODE_SS_B | MODE_PE)
#define FX_16       0u

#define FX_NO_FAULT (-1)

struct fx {
    struct cpu *cpu;
    u8 ram[FX_SIZE] __attribute__((aligned(4096)));
    bool readable[FX_PAGES], writable[FX_PAGES];
    bool mmio[FX_PAGES]; /* mem_run and host pointers are refused */
    _Atomic u8 code_pages[FX_PAGES];
    struct soft soft;
    struct vcpu vcpu;

    /* What the last run met. */
    int vector; /* or FX_NO_FAULT */
    u32 code;
    u64 cr2;
    u64 rip_fault;
    unsigned code_writes;   /* calls of mem_code_written */
    unsigned request_after; /* set a request after this many calls of mem_run; 0: never */
    unsigned runs;
    struct insn insns[2];
};

/* A fresh CPU in `mode`: all RAM present, registers 0, RSP at the end of RAM, RIP 0x1000, segments flat. */
struct fx *fx_new(u32 mode);
void fx_free(struct fx *fx);

/* Let the fast path see all present pages, or none (as after a TLB flush). */
void fx_tlb_fill(struct fx *fx);
void fx_tlb_clear(struct fx *fx);

/* Decode `size` bytes with all features; asserts that it is one whole instruction. */
void fx_decode(struct fx *fx, const u8 *bytes, size_t size);

/* Run them at cpu->rip. Returns the vector of the fault, or FX_NO_FAULT. */
int fx_run(struct fx *fx, const u8 *bytes, size_t size);

#define FX_RUN(fx, ...) fx_run(fx, (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

u64 fx_get(const struct fx *fx, gva addr, unsigned size);
void fx_set(struct fx *fx, gva addr, unsigned size, u64 value);

/* The arithmetic flags. */
u64 fx_flags(const struct fx *fx);

/* Every feature there is. */
extern const u64 fx_features[];
