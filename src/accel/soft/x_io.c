/* SPDX-License-Identifier: MIT */
/*
 * IN, OUT, INS, OUTS: SDM vol. 2.
 *
 * A repeated INS or OUTS goes in runs: the elements that lie in one page of RAM, through a host pointer. What is
 * left (page crossings, MMIO, descending order) goes one by one. Between runs the vCPU's requests are looked at, and
 * when there are any the block ends with RIP at the instruction, which then goes on where it was.
 */
#include <string.h>

#include "accel/soft/far.h"
#include "accel/soft/fault.h"
#include "accel/soft/handlers.h"
#include "accel/soft/io.h"
#include "accel/soft/mem.h"

/* --- IN and OUT --- */

static inline void io_in_a(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
    u32 value;

    io_check(cpu, in, port, size);
    value = io_in(cpu, port, size);
    if (size == 4)
        cpu->gpr[RAX] = value;
    else
        memcpy(&cpu->gpr[RAX], &value, size);
}

static inline void io_out_a(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
    u32 mask = size == 4 ? 0xFFFFFFFF : BIT(8 * size) - 1;

    io_check(cpu, in, port, size);
    io_out(cpu, port, size, (u32)cpu->gpr[RAX] & mask);
}

#define IO_DEFINE(size) \
    static void io_in##size##_i(struct cpu *cpu, const struct insn *in) \
    { \
        io_in_a(cpu, in, (u8)in->imm, size); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void io_in##size##_d(struct cpu *cpu, const struct insn *in) \
    { \
        io_in_a(cpu, in, (u16)cpu->gpr[RDX], size); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void io_out##size##_i(struct cpu *cpu, const struct insn *in) \
    { \
        io_out_a(cpu, in, (u8)in->imm, size); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void io_out##size##_d(struct cpu *cpu, const struct insn *in) \
    { \
        io_out_a(cpu, in, (u16)cpu->gpr[RDX], size); \
        INSN_NEXT(cpu, in); \
    }

IO_DEFINE(1)
IO_DEFINE(2)
IO_DEFINE(4)

insn_fn *const x_in_A_I[8] = { io_in1_i, io_in2_i, io_in4_i, io_in4_i };
insn_fn *const x_in_A_D[8] = { io_in1_d, io_in2_d, io_in4_d, io_in4_d };
insn_fn *const x_out_I_A[8] = { io_out1_i, io_out2_i, io_out4_i, io_out4_i };
insn_fn *const x_out_D_A[8] = { io_out1_d, io_out2_d, io_out4_d, io_out4_d };

/* --- INS and OUTS --- */

struct io_string {
    enum seg_reg seg;
    enum gpr index;     /* RSI or RDI */
    enum access access; /* to memory */
    unsigned size;      /* of an element */
    u64 mask;           /* of the address size */
};

/* Move one element between the port and memory that is known to be there. */
static void io_element(struct cpu *cpu, const struct io_string *s, u16 port, u8 *host)
{
    u32 value = 0;

    if (s->access == ACCESS_WRITE) {
        value = io_in(cpu, port, s->size);
        memcpy(host, &value, s->size);
    } else {
        memcpy(&value, host, s->size);
        io_out(cpu, port, s->size, value);
    }
}

/* One element by the accessors. Memory is probed first: a port must not be read for nothing. */
static void io_element_slow(struct cpu *cpu, const struct insn *in, const struct io_string *s,
                            u16 port, gva addr)
{
    u8 data[4] = { 0 };
    u64 one = 1;

    if (s->access == ACCESS_WRITE) {
        (void)mem_run(cpu, in, addr, &one, ACCESS_WRITE);
        one = 1;
        (void)mem_run(cpu, in, addr + s->size - 1, &one, ACCESS_WRITE);
        io_element(cpu, s, port, data);
        mem_write(cpu, in, addr, data, s->size);
    } else {
        mem_read(cpu, in, addr, data, s->size);
        io_element(cpu, s, port, data);
    }
}

/* How many elements from `offset` on lie in the segment, without wrapping. At least one, which is checked elsewhere. */
static u64 io_segment_room(const struct cpu *cpu, const struct io_string *s, u64 offset)
{
    const struct segment *seg = &cpu->seg[s->seg];
    u64 last = s->mask;

    if (!(cpu->mode & MODE_CS_L)) {
        if (!(seg->attr & SEG_TYPE_CODE) && (seg->attr & SEG_TYPE_EC))
            return 1;
        last = MIN(last, seg->limit);
    }
    return offset < last ? (last - offset) / s->size : 1;
}

/* Do a run of up to `count` elements; returns how many were done. Raises memory faults before the first one. */
static u64 io_run(struct cpu *cpu, const struct insn *in, const struct io_string *s, u16 port,
                  u64 count)
{
    u64 offset = cpu->gpr[s->index] & s->mask, n, bytes;
    gva addr = mem_seg_linear(cpu, in, s->seg, offset, s->size, s->access == ACCESS_WRITE);
    u8 *host;

    n = cpu->sflags & FLAG_DF || (cpu->mode & MODE_STEP)
            ? 1
            : MIN(count, io_segment_room(cpu, s, offset));
    bytes = MIN(MAX(n, 1u), 4096u) * s->size;
    host = mem_run(cpu, in, addr, &bytes, s->access);
    n = bytes / s->size;
    if (!host || n == 0) {
        io_element_slow(cpu, in, s, port, addr);
        return 1;
    }
    for (u64 i = 0; i < n; i++)
        io_element(cpu, s, port, host + i * s->size);
    if (s->access == ACCESS_WRITE)
        mem_stored(cpu, host, (unsigned)(n * s->size));
    return n;
}

/* Replace the bits of a register that the address size covers. */
static void io_set_reg(struct cpu *cpu, enum gpr reg, u64 mask, u64 value)
{
    if (mask == 0xFFFF)
        cpu->gpr[reg] = (cpu->gpr[reg] & ~mask) | (value & mask);
    else
        cpu->gpr[reg] = value & mask;
}

static void io_advance(struct cpu *cpu, const struct io_string *s, u64 n)
{
    u64 step = n * s->size;

    io_set_reg(cpu, s->index, s->mask, cpu->gpr[s->index] + (cpu->sflags & FLAG_DF ? -step : step));
}

/* All of it, or up to the next request: false, then the instruction is to go on later. */
static bool io_string(struct cpu *cpu, const struct insn *in, const struct io_string *s)
{
    u16 port = (u16)cpu->gpr[RDX];
    u64 count, n;

    if (!(in->flags & (INSN_REP | INSN_REPNE))) {
        io_check(cpu, in, port, s->size);
        io_advance(cpu, s, io_run(cpu, in, s, port, 1));
        return true;
    }
    while ((count = cpu->gpr[RCX] & s->mask) != 0) {
        io_check(cpu, in, port, s->size);
        n = io_run(cpu, in, s, port, count);
        io_advance(cpu, s, n);
        io_set_reg(cpu, RCX, s->mask, count - n);
        if (count != n && (atomic_load_explicit(&cpu->vcpu->requests, memory_order_relaxed) ||
                           (cpu->mode & MODE_STEP)))
            return false;
    }
    return true;
}

static struct io_string io_string_of(const struct insn *in, enum seg_reg seg, enum gpr index,
                                     enum access access)
{
    static const u64 masks[4] = { 0, 0xFFFF, 0xFFFFFFFF, ~UINT64_C(0) };

    return (struct io_string){
        .seg = seg,
        .index = index,
        .access = access,
        .size = MIN(far_width(in), 4u),
        .mask = masks[(in->flags & INSN_ASZ) >> INSN_ASZ_SHIFT],
    };
}

static void io_ins(struct cpu *cpu, const struct insn *in)
{
    struct io_string s = io_string_of(in, SEG_ES, RDI, ACCESS_WRITE);

    cpu->rip = io_string(cpu, in, &s) ? insn_next_rip(cpu, in) : insn_rip(cpu, in);
}

static void io_outs(struct cpu *cpu, const struct insn *in)
{
    struct io_string s = io_string_of(in, (enum seg_reg)in->seg, RSI, ACCESS_READ);

    cpu->rip = io_string(cpu, in, &s) ? insn_next_rip(cpu, in) : insn_rip(cpu, in);
}

insn_fn *const x_ins[8] = X_ALL(io_ins);
insn_fn *const x_outs[8] = X_ALL(io_outs);
