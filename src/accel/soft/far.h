/* SPDX-License-Identifier: MIT */
/* What far jumps, calls, returns and IRET share: checks of code segments, and how they are entered. */
#pragma once

#include "accel/soft/insn.h"
#include "accel/soft/seg.h"
#include "accel/soft/state.h"

/* Operand size in bytes: 2, 4, 8. */
static inline unsigned far_width(const struct insn *in)
{
    return 1u << ((in->flags & INSN_OSZ) >> INSN_OSZ_SHIFT);
}

/* Is `d`, a code segment, one of 64-bit code for this CPU? */
static inline bool far_is_64(const struct cpu *cpu, const struct descriptor *d)
{
    return (cpu->mode & MODE_LMA) && (descriptor_attr(d) & SEG_L);
}

/*
 * Read the descriptor of a code segment selector: #GP(0) for a null one, #GP(selector) beyond the table. Not yet
 * known to be code.
 */
void far_read(struct cpu *cpu, const struct insn *in, u16 selector, struct descriptor *d);

/* In long mode: L and D are not both set. The segment is present. Faults #GP and #NP with its selector. */
void far_check_present(struct cpu *cpu, const struct insn *in, const struct descriptor *d);

/* The offset is inside the segment, or canonical for 64-bit code: else #GP(0). */
void far_check_offset(struct cpu *cpu, const struct insn *in, const struct descriptor *d,
                      u64 offset);

/* The code segment that a return goes to, of privilege level `level`: all checks but the offset's. */
void far_check_return(struct cpu *cpu, const struct insn *in, u16 selector, struct descriptor *d);

/*
 * A return to an outer level, or IRET in 64-bit mode: read and check the stack segment (it may be null in
 * 64-bit code).
 */
struct segment far_return_ss(struct cpu *cpu, const struct insn *in, u16 selector,
                             const struct descriptor *cs, unsigned level);

/* Load CS from `d` with CPL `level`, and RIP. The caller updates the mode. */
void far_set_cs(struct cpu *cpu, const struct descriptor *d, unsigned level, u64 rip);

/* Real and virtual-8086 mode: check the offset and load CS and RIP. */
void far_jump_real(struct cpu *cpu, const struct insn *in, u16 selector, u64 offset);
