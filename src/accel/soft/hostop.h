/* SPDX-License-Identifier: MIT */
/*
 * Guest SIMD and x87 instructions, each executed by the host's own instruction.
 *
 * For each form of instruction (row, register or memory operand, W, L, immediate byte) a stub is
 * generated once: it loads the operands from the guest's registers in struct cpu, executes the
 * instruction on fixed host registers with its memory operand at a host address, and stores the
 * result. Register numbers are no part of the form: they are pointers that the stub is called with.
 * So the number of stubs is bounded whatever a guest executes.
 *
 *     guest:  vpaddd ymm9, ymm2, [rbx+16]
 *     host:   stub(cpu, &ymm9, &ymm2, -, pointer to the 32 bytes)
 *
 * Stubs are written through one mapping and executed through another; neither is both writable and
 * executable. A cache belongs to a machine and serves all of its vCPUs.
 */
#pragma once

#include "accel/soft/insn.h"
#include "base/error.h"
#include "base/types.h"

struct cpu;
struct hostop_cache;

/*
 * A stub. Pointers: the register of ModRM.reg, of VEX.vvvv, of the immediate's bits 7:4, and of
 * ModRM.rm (or the memory operand). Returns 0, or 1 when a SIMD floating-point exception that MXCSR
 * does not mask stopped it: then only MXCSR in struct cpu has changed.
 */
typedef int hostop_fn(struct cpu *cpu, void *reg, void *vreg, void *is4, void *rm);

/* Where register n of an operand is: byte base + ((n & mask) << shift) of struct cpu. */
struct hostop_slot {
    u16 base;
    u8 mask;
    u8 shift;
};

struct hostop {
    hostop_fn *run;
    const u8 *fault_exit; /* where `run` goes on after SIGFPE */
    u64 key;
    struct hostop_slot reg, vreg, rm;
    u16 is4;     /* offset in struct cpu of the register in the immediate */
    u8 size;     /* bytes of the memory operand, 0 without one */
    u8 align;    /* what its address must be a multiple of, minus 1 */
    bool store;  /* the memory operand is written */
    bool vex;    /* checks of AVX, and upper halves are cleared */
    bool mmx;    /* uses MMX registers: checks of MMX, and the x87 state changes */
    bool mm_reg; /* the result is the MMX register of ModRM.reg */
    bool mm_rm;  /* the result is the MMX register of ModRM.rm */
    u8 opcode;
    u8 modrm;
};

/*
 * NULL and `err` when the host refuses the memory. Also makes the process ready for SIGFPE from
 * stubs.
 */
struct hostop_cache *hostop_cache_new(struct error *err) __attribute__((warn_unused_result));
void hostop_cache_free(struct hostop_cache *cache);

/*
 * The host operation of the decoded instruction `in` of class CLASS_HOST, whose bytes are at
 * `bytes`, in `mode`. Any thread. Lives as long as the cache. Never NULL: the cache has room for
 * all forms of all rows.
 */
const struct hostop *hostop_get(struct hostop_cache *cache, const u8 *bytes, const struct insn *in,
                                u32 mode);

/*
 * Run `op` with the guest's MXCSR. 0, or 1 for an unmasked SIMD floating-point exception (#XM is
 * due). Leaves the host's MXCSR with default control bits.
 */
int hostop_run_fp(struct cpu *cpu, const struct hostop *op, void *reg, void *vreg, void *is4,
                  void *rm);

/* Give the host's MXCSR its default control bits again, after a stub that loaded the guest's. */
void hostop_restore_mxcsr(const struct cpu *cpu);
