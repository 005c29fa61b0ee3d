/* SPDX-License-Identifier: MIT */
/*
 * Leaving an instruction early. All of these land in the run loop (soft.c); nothing that needs clean-up may be
 * held across them. They first make cpu->rip exact from cpu->in (set by the handler or by the slow paths of mem.h).
 */
#pragma once

#include "accel/soft/insn.h"
#include "accel/soft/state.h"

enum vector {
    VEC_DE = 0,
    VEC_DB = 1,
    VEC_NMI = 2,
    VEC_BP = 3,
    VEC_OF = 4,
    VEC_BR = 5,
    VEC_UD = 6,
    VEC_NM = 7,
    VEC_DF = 8,
    VEC_TS = 10,
    VEC_NP = 11,
    VEC_SS = 12,
    VEC_GP = 13,
    VEC_PF = 14,
    VEC_MF = 16,
    VEC_AC = 17,
    VEC_MC = 18,
    VEC_XM = 19,
};

/* Raise exception `vector` with `code` (ignored for vectors without one) at instruction `in`. */
_Noreturn void cpu_fault(struct cpu *cpu, const struct insn *in, enum vector vector, u32 code);

/* Raise #PF at `in`: sets CR2 to `addr`. `code` as SDM vol. 3A, 4.7. */
_Noreturn void cpu_page_fault(struct cpu *cpu, const struct insn *in, gva addr, u32 code);

/* A shutdown (triple fault): the machine resets. */
_Noreturn void cpu_triple_fault(struct cpu *cpu);

/* Leave the block at once; the caller has set cpu->rip and all state to where execution goes on. */
_Noreturn void cpu_exit_block(struct cpu *cpu);

/* Something that this engine does not do: logs the text and RIP, stops the machine with status 1. */
_Noreturn void cpu_internal_error(struct cpu *cpu, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define cpu_ud(cpu, in)       cpu_fault(cpu, in, VEC_UD, 0)
#define cpu_gp(cpu, in, code) cpu_fault(cpu, in, VEC_GP, code)
