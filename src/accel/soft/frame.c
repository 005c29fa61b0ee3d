/* SPDX-License-Identifier: MIT */
/* Stack frames: SDM vol. 1, 6.2 (stacks) and vol. 3A, 5.3 (limits). */
#include "accel/soft/frame.h"

#include <string.h>

#include "accel/soft/fault.h"
#include "accel/soft/mem.h"
#include "accel/soft/msr.h"
#include "accel/soft/sysmem.h"

struct frame_stack frame_stack_in(const struct segment *ss, u64 sp)
{
    struct frame_stack st = {
        .base = ss->base,
        .mask = ss->attr & SEG_DB ? 0xFFFFFFFF : 0xFFFF,
        .limit = ss->limit,
        .attr = ss->attr,
    };

    st.sp = sp & st.mask;
    return st;
}

struct frame_stack frame_stack(const struct cpu *cpu)
{
    struct frame_stack st = frame_stack_in(&cpu->seg[SEG_SS], cpu->gpr[RSP]);

    if (cpu->mode & MODE_CS_L) {
        st.base = 0;
        st.mask = ~UINT64_C(0);
    }
    st.sp = cpu->gpr[RSP] & st.mask;
    st.user = cpu->cpl == 3;
    return st;
}

static bool frame_expands_down(const struct frame_stack *st)
{
    return (st->attr & (SEG_TYPE_CODE | SEG_TYPE_EC)) == SEG_TYPE_EC;
}

/* Are `size` bytes at `offset` inside the segment? */
static bool frame_in_limit(const struct cpu *cpu, const struct frame_stack *st, u64 offset,
                           unsigned size)
{
    u64 last = offset + size - 1;

    if (st->mask == ~UINT64_C(0))
        return cpu_canonical(cpu, offset) && cpu_canonical(cpu, last);
    if (frame_expands_down(st))
        return offset > st->limit && last <= st->mask;
    return last <= st->limit;
}

static void frame_write(struct cpu *cpu, const struct insn *in, const struct frame_stack *st,
                        u64 offset, const void *data, unsigned size)
{
    gva addr = st->base + offset;

    if (st->mask != ~UINT64_C(0))
        addr &= 0xFFFFFFFF;
    if (st->user)
        mem_write(cpu, in, addr, data, size);
    else
        sysmem_write(cpu, in, addr, data, size);
}

/* A frame that a small stack pointer wraps through zero in its middle: each value has a place of its own. */
static void frame_push_wrapped(struct cpu *cpu, const struct insn *in, struct frame_stack *st,
                               const u64 *values, unsigned count, unsigned width)
{
    for (unsigned i = 1; i <= count; i++) {
        if (!frame_in_limit(cpu, st, (st->sp - (u64)i * width) & st->mask, width))
            cpu_fault(cpu, in, VEC_SS, st->code);
    }
    for (unsigned i = 0; i < count; i++) {
        st->sp = (st->sp - width) & st->mask;
        frame_write(cpu, in, st, st->sp, &values[i], width);
    }
}

void frame_push(struct cpu *cpu, const struct insn *in, struct frame_stack *st, const u64 *values,
                unsigned count, unsigned width)
{
    u8 frame[FRAME_MAX * 8];
    unsigned size = count * width;
    u64 sp = (st->sp - size) & st->mask;

    if (st->sp != 0 && st->sp < size && st->mask != ~UINT64_C(0)) {
        frame_push_wrapped(cpu, in, st, values, count, width);
        return;
    }
    if (!frame_in_limit(cpu, st, sp, size))
        cpu_fault(cpu, in, VEC_SS, st->code);
    for (unsigned i = 0; i < count; i++)
        memcpy(frame + (count - 1 - i) * width, &values[i], width);
    frame_write(cpu, in, st, sp, frame, size);
    st->sp = sp;
}

u64 frame_peek(struct cpu *cpu, const struct insn *in, u64 offset, unsigned width)
{
    u64 mask = frame_mask(cpu);
    u64 sp = (cpu->gpr[RSP] + offset) & mask;
    gva addr = mask == ~UINT64_C(0) ? sp : mem_seg_linear(cpu, in, SEG_SS, sp, width, false);

    switch (width) {
    case 2: return mem_load16(cpu, in, addr);
    case 4: return mem_load32(cpu, in, addr);
    default: return mem_load64(cpu, in, addr);
    }
}
