/* SPDX-License-Identifier: MIT */
/* Descriptors and segment registers: SDM vol. 3A, chapters 3 and 5. */
#pragma once

#include "accel/soft/insn.h"
#include "accel/soft/state.h"
#include "base/types.h"

/* Selectors. */
#define SEL_RPL        0x3u
#define SEL_TI         0x4u
#define SEL_NULL(sel)  (((sel) & ~SEL_RPL) == 0)
#define SEL_ERROR(sel) ((u32)(sel) & ~SEL_RPL) /* as an error code, SDM vol. 3A, 6.13 */
#define ERROR_EXT      0x1u
#define ERROR_IDT      0x2u

/* Types of system descriptors (S = 0), SDM vol. 3A, table 3-2. */
enum system_type {
    TYPE_TSS16 = 1,
    TYPE_LDT = 2,
    TYPE_TSS16_BUSY = 3,
    TYPE_CALL16 = 4,
    TYPE_TASK_GATE = 5,
    TYPE_INT16 = 6,
    TYPE_TRAP16 = 7,
    TYPE_TSS = 9, /* 32-bit, or 64-bit in long mode */
    TYPE_TSS_BUSY = 11,
    TYPE_CALL = 12,
    TYPE_INT = 14,
    TYPE_TRAP = 15,
};

/* The first 8 bytes of a descriptor, with where it lies. */
struct descriptor {
    gva addr;
    u64 raw;
    u64 high; /* of a 16-byte system descriptor in long mode */
    u16 selector;
};

/* Fields. `attr` has the layout of struct segment's. */
static inline u16 descriptor_attr(const struct descriptor *d)
{
    return (u16)((d->raw >> 40) & 0xF0FF);
}

static inline unsigned descriptor_type(const struct descriptor *d)
{
    return (unsigned)(d->raw >> 40) & 0xF;
}

static inline unsigned descriptor_dpl(const struct descriptor *d)
{
    return (unsigned)(d->raw >> 45) & 3;
}

static inline bool descriptor_present(const struct descriptor *d)
{
    return d->raw >> 47 & 1;
}

/* S = 1, and code or data. */
static inline bool descriptor_is_code(const struct descriptor *d)
{
    return (d->raw >> 40 & (SEG_S | SEG_TYPE_CODE)) == (SEG_S | SEG_TYPE_CODE);
}

static inline bool descriptor_is_system(const struct descriptor *d)
{
    return !(d->raw >> 40 & SEG_S);
}

static inline bool descriptor_conforming(const struct descriptor *d)
{
    return d->raw >> 42 & 1;
}

static inline bool descriptor_is_writable_data(const struct descriptor *d)
{
    return (d->raw >> 40 & (SEG_S | SEG_TYPE_CODE | SEG_TYPE_RW)) == (SEG_S | SEG_TYPE_RW);
}

u64 descriptor_base(const struct descriptor *d);
u32 descriptor_limit(const struct descriptor *d);

/* The segment register that `d` makes, with `selector` visible. */
struct segment descriptor_segment(const struct descriptor *d, u16 selector);

/*
 * Read the descriptor of a selector that is not null. False when its table ends before it. Raises page faults.
 */
bool descriptor_read(struct cpu *cpu, const struct insn *in, u16 selector, struct descriptor *d);

/* The upper half of a system descriptor in long mode; false when the table ends before it. */
bool descriptor_read_high(struct cpu *cpu, const struct insn *in, struct descriptor *d);

/* Set the accessed bit in memory, if it is clear there. */
void descriptor_set_accessed(struct cpu *cpu, const struct insn *in, struct descriptor *d);

/* A null selector in a data segment register. `dpl` matters to SS in 64-bit mode. */
struct segment segment_null(u16 selector, unsigned dpl);

/* The segment that `selector` makes in real mode (keeps the limit of `old`) and in virtual-8086 mode. */
struct segment segment_real(const struct segment *old, u16 selector, bool code);
struct segment segment_vm86(u16 selector);

/*
 * Load ES, SS, DS, FS or GS as MOV and POP do, with all checks; in any mode. Nothing has changed when it faults.
 * Calls cpu_mode_update where the mode may depend on the register.
 */
void seg_load(struct cpu *cpu, const struct insn *in, enum seg_reg seg, u16 selector);

/*
 * Check the descriptor of a new SS for a stack at privilege level `level`: faults of `vector` (#TS for stacks from a
 * TSS, #GP for returns) with error codes that have `ext`, #SS when it is not present.
 */
void seg_check_ss(struct cpu *cpu, const struct insn *in, const struct descriptor *d,
                  unsigned level, int vector, u32 ext);

/* At a return to an outer level: empty the data segment registers that may not be used there. */
void seg_drop_privileged(struct cpu *cpu);

/* Stack pointer and stack selector for `level` from a 16- or 32-bit TSS. Faults with #TS. */
void seg_tss_stack(struct cpu *cpu, const struct insn *in, unsigned level, u32 ext, u16 *ss,
                   u64 *sp);

/* RSP0-2 (`slot` 0 to 2) or IST1-7 (`slot` 4 to 10) from a 64-bit TSS. Faults with #TS. */
u64 seg_tss_rsp(struct cpu *cpu, const struct insn *in, unsigned slot, u32 ext);

/* Protected mode, and not virtual-8086? */
static inline bool cpu_protected(const struct cpu *cpu)
{
    return (cpu->mode & (MODE_PE | MODE_VM)) == MODE_PE;
}

static inline unsigned cpu_iopl(const struct cpu *cpu)
{
    return (unsigned)(cpu->sflags >> 12) & 3;
}
