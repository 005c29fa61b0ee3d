/* SPDX-License-Identifier: MIT */
/*
 * Far JMP, CALL and RET: SDM vol. 2 (their pseudo-code), vol. 3A, 5.8 (transfers between levels).
 *
 * NOT EMULATED: task switches (internal error outside long mode, which has none).
 */
#include "accel/soft/far.h"

#include "accel/soft/fault.h"
#include "accel/soft/frame.h"
#include "accel/soft/handlers.h"
#include "accel/soft/mem.h"
#include "accel/soft/msr.h"
#include "accel/soft/sysmem.h"
#include "accel/soft/tlb.h"

/* --- Checks --- */

void far_read(struct cpu *cpu, const struct insn *in, u16 selector, struct descriptor *d)
{
    if (SEL_NULL(selector))
        cpu_gp(cpu, in, 0);
    if (!descriptor_read(cpu, in, selector, d))
        cpu_gp(cpu, in, SEL_ERROR(selector));
}

void far_check_present(struct cpu *cpu, const struct insn *in, const struct descriptor *d)
{
    if (far_is_64(cpu, d) && (descriptor_attr(d) & SEG_DB))
        cpu_gp(cpu, in, SEL_ERROR(d->selector));
    if (!descriptor_present(d))
        cpu_fault(cpu, in, VEC_NP, SEL_ERROR(d->selector));
}

void far_check_offset(struct cpu *cpu, const struct insn *in, const struct descriptor *d,
                      u64 offset)
{
    if (far_is_64(cpu, d) ? !cpu_canonical(cpu, offset) : offset > descriptor_limit(d))
        cpu_gp(cpu, in, 0);
}

void far_check_return(struct cpu *cpu, const struct insn *in, u16 selector, struct descriptor *d)
{
    unsigned level = selector & SEL_RPL;

    far_read(cpu, in, selector, d);
    if (!descriptor_is_code(d) || level < cpu->cpl)
        cpu_gp(cpu, in, SEL_ERROR(selector));
    if (descriptor_conforming(d) ? descriptor_dpl(d) > level : descriptor_dpl(d) != level)
        cpu_gp(cpu, in, SEL_ERROR(selector));
    far_check_present(cpu, in, d);
}

struct segment far_return_ss(struct cpu *cpu, const struct insn *in, u16 selector,
                             const struct descriptor *cs, unsigned level)
{
    struct descriptor d;

    if (SEL_NULL(selector)) {
        if (!far_is_64(cpu, cs) || level == 3 || (selector & SEL_RPL) != level)
            cpu_gp(cpu, in, 0);
        return segment_null(selector, level);
    }
    if (!descriptor_read(cpu, in, selector, &d))
        cpu_gp(cpu, in, SEL_ERROR(selector));
    seg_check_ss(cpu, in, &d, level, VEC_GP, 0);
    descriptor_set_accessed(cpu, in, &d);
    return descriptor_segment(&d, selector);
}

/* --- Entering code --- */

void far_set_cs(struct cpu *cpu, const struct descriptor *d, unsigned level, u64 rip)
{
    cpu->seg[SEG_CS] = descriptor_segment(d, (u16)((d->selector & ~SEL_RPL) | level));
    cpu->rip = rip;
}

void far_jump_real(struct cpu *cpu, const struct insn *in, u16 selector, u64 offset)
{
    bool vm86 = cpu->mode & MODE_VM;

    if (offset > (vm86 ? 0xFFFF : cpu->seg[SEG_CS].limit))
        cpu_gp(cpu, in, 0);
    cpu->seg[SEG_CS] =
        vm86 ? segment_vm86(selector) : segment_real(&cpu->seg[SEG_CS], selector, true);
    cpu->rip = offset;
}

/* A code segment as the direct target of JMP or CALL. */
static void far_check_direct(struct cpu *cpu, const struct insn *in, const struct descriptor *d,
                             u64 offset)
{
    unsigned dpl = descriptor_dpl(d);
    bool allowed;

    if (descriptor_conforming(d))
        allowed = dpl <= cpu->cpl;
    else
        allowed = dpl == cpu->cpl && (d->selector & SEL_RPL) <= cpu->cpl;
    if (!allowed)
        cpu_gp(cpu, in, SEL_ERROR(d->selector));
    far_check_present(cpu, in, d);
    far_check_offset(cpu, in, d, offset);
}

/* --- Call gates --- */

struct far_gate {
    struct descriptor cs;
    u64 offset;
    unsigned width; /* of what is pushed: 2, 4, 8 */
    unsigned parameters;
};

static _Noreturn void far_bad_system(struct cpu *cpu, const struct insn *in,
                                     const struct descriptor *d)
{
    unsigned type = descriptor_type(d);

    if (!(cpu->mode & MODE_LMA) &&
        (type == TYPE_TASK_GATE || type == TYPE_TSS || type == TYPE_TSS16))
        cpu_internal_error(cpu, "task switch to selector 0x%x is not emulated", d->selector);
    cpu_gp(cpu, in, SEL_ERROR(d->selector));
}

/* Offset 15:0, selector 31:16, parameters 36:32, offset 31:16 in 63:48; in long mode offset 63:32 in 8 more bytes. */
static void far_read_gate(struct cpu *cpu, const struct insn *in, struct descriptor *d,
                          struct far_gate *gate)
{
    unsigned type = descriptor_type(d);
    bool wide = cpu->mode & MODE_LMA;
    u16 selector = (u16)(d->raw >> 16);

    if (type != TYPE_CALL && (wide || type != TYPE_CALL16))
        far_bad_system(cpu, in, d);
    if (descriptor_dpl(d) < cpu->cpl || descriptor_dpl(d) < (d->selector & SEL_RPL))
        cpu_gp(cpu, in, SEL_ERROR(d->selector));
    if (wide && (!descriptor_read_high(cpu, in, d) || (d->high >> 40 & 0x1F)))
        cpu_gp(cpu, in, SEL_ERROR(d->selector));
    if (!descriptor_present(d))
        cpu_fault(cpu, in, VEC_NP, SEL_ERROR(d->selector));
    gate->offset = (d->raw & 0xFFFF) | (d->raw >> 32 & 0xFFFF0000) | d->high << 32;
    gate->parameters = (unsigned)(d->raw >> 32) & 0x1F;
    gate->width = wide ? 8 : 4;
    if (type == TYPE_CALL16) {
        gate->width = 2;
        gate->offset &= 0xFFFF;
    }
    far_read(cpu, in, selector, &gate->cs);
}

/* The gate's code segment; a call may go to a lower level number, a jump may not. */
static void far_check_gate_code(struct cpu *cpu, const struct insn *in, const struct far_gate *gate,
                                bool call)
{
    const struct descriptor *cs = &gate->cs;
    unsigned dpl = descriptor_dpl(cs);
    bool level = dpl <= cpu->cpl && (call || descriptor_conforming(cs) || dpl == cpu->cpl);

    if (!descriptor_is_code(cs) || !level)
        cpu_gp(cpu, in, SEL_ERROR(cs->selector));
    if ((cpu->mode & MODE_LMA) && (descriptor_attr(cs) & (SEG_L | SEG_DB)) != SEG_L)
        cpu_gp(cpu, in, SEL_ERROR(cs->selector));
    if (!descriptor_present(cs))
        cpu_fault(cpu, in, VEC_NP, SEL_ERROR(cs->selector));
    far_check_offset(cpu, in, cs, gate->offset);
}

static void far_call_gate_same(struct cpu *cpu, const struct insn *in, struct far_gate *gate)
{
    struct frame_stack st = frame_stack(cpu);
    u64 frame[2] = { cpu->seg[SEG_CS].selector, insn_next_rip(cpu, in) };

    if (gate->width == 8)
        st.mask = ~UINT64_C(0), st.base = 0, st.sp = cpu->gpr[RSP];
    descriptor_set_accessed(cpu, in, &gate->cs);
    frame_push(cpu, in, &st, frame, 2, gate->width);
    frame_set_sp(cpu, st.mask, st.sp);
    far_set_cs(cpu, &gate->cs, cpu->cpl, gate->offset);
    cpu_mode_update(cpu);
}

static void far_call_gate_long(struct cpu *cpu, const struct insn *in, struct far_gate *gate)
{
    unsigned level = descriptor_dpl(&gate->cs);
    struct frame_stack st = { .mask = ~UINT64_C(0) };
    u64 frame[4] = { cpu->seg[SEG_SS].selector, cpu->gpr[RSP], cpu->seg[SEG_CS].selector,
                     insn_next_rip(cpu, in) };

    st.sp = seg_tss_rsp(cpu, in, level, 0);
    descriptor_set_accessed(cpu, in, &gate->cs);
    frame_push(cpu, in, &st, frame, 4, 8);
    cpu->gpr[RSP] = st.sp;
    cpu->seg[SEG_SS] = segment_null((u16)level, level);
    far_set_cs(cpu, &gate->cs, level, gate->offset);
    cpu_mode_update(cpu);
}

static void far_call_gate_inner(struct cpu *cpu, const struct insn *in, struct far_gate *gate)
{
    unsigned level = descriptor_dpl(&gate->cs), n = 0;
    u64 frame[FRAME_MAX];
    struct descriptor d;
    struct segment ss;
    struct frame_stack st;
    u16 selector;
    u64 sp;

    seg_tss_stack(cpu, in, level, 0, &selector, &sp);
    if (SEL_NULL(selector))
        cpu_fault(cpu, in, VEC_TS, 0);
    if (!descriptor_read(cpu, in, selector, &d))
        cpu_fault(cpu, in, VEC_TS, SEL_ERROR(selector));
    seg_check_ss(cpu, in, &d, level, VEC_TS, 0);
    ss = descriptor_segment(&d, selector);
    st = frame_stack_in(&ss, sp);
    st.code = SEL_ERROR(selector);
    frame[n++] = cpu->seg[SEG_SS].selector;
    frame[n++] = cpu->gpr[RSP];
    for (unsigned i = gate->parameters; i > 0; i--)
        frame[n++] = frame_peek(cpu, in, (u64)(i - 1) * gate->width, gate->width);
    frame[n++] = cpu->seg[SEG_CS].selector;
    frame[n++] = insn_next_rip(cpu, in);
    descriptor_set_accessed(cpu, in, &gate->cs);
    descriptor_set_accessed(cpu, in, &d);
    frame_push(cpu, in, &st, frame, n, gate->width);

    cpu->seg[SEG_SS] = descriptor_segment(&d, selector);
    frame_set_sp(cpu, st.mask, st.sp);
    far_set_cs(cpu, &gate->cs, level, gate->offset);
    cpu_mode_update(cpu);
}

static void far_call_gate(struct cpu *cpu, const struct insn *in, struct descriptor *d)
{
    struct far_gate gate;

    far_read_gate(cpu, in, d, &gate);
    far_check_gate_code(cpu, in, &gate, true);
    if (descriptor_conforming(&gate.cs) || descriptor_dpl(&gate.cs) == cpu->cpl)
        far_call_gate_same(cpu, in, &gate);
    else if (gate.width == 8)
        far_call_gate_long(cpu, in, &gate);
    else
        far_call_gate_inner(cpu, in, &gate);
}

static void far_jump_gate(struct cpu *cpu, const struct insn *in, struct descriptor *d)
{
    struct far_gate gate;

    far_read_gate(cpu, in, d, &gate);
    far_check_gate_code(cpu, in, &gate, false);
    descriptor_set_accessed(cpu, in, &gate.cs);
    far_set_cs(cpu, &gate.cs, cpu->cpl, gate.offset);
    cpu_mode_update(cpu);
}

/* --- JMP and CALL --- */

static void far_jump(struct cpu *cpu, const struct insn *in, u16 selector, u64 offset)
{
    struct descriptor d;

    if (!cpu_protected(cpu)) {
        far_jump_real(cpu, in, selector, offset);
        cpu_mode_update(cpu);
        return;
    }
    far_read(cpu, in, selector, &d);
    if (descriptor_is_system(&d)) {
        far_jump_gate(cpu, in, &d);
        return;
    }
    if (!descriptor_is_code(&d))
        cpu_gp(cpu, in, SEL_ERROR(selector));
    far_check_direct(cpu, in, &d, offset);
    descriptor_set_accessed(cpu, in, &d);
    far_set_cs(cpu, &d, cpu->cpl, offset);
    cpu_mode_update(cpu);
}

static void far_call_real(struct cpu *cpu, const struct insn *in, u16 selector, u64 offset)
{
    struct frame_stack st = frame_stack(cpu);
    u64 frame[2] = { cpu->seg[SEG_CS].selector, insn_next_rip(cpu, in) };

    if (offset > (cpu->mode & MODE_VM ? 0xFFFF : cpu->seg[SEG_CS].limit))
        cpu_gp(cpu, in, 0);
    frame_push(cpu, in, &st, frame, 2, far_width(in));
    frame_set_sp(cpu, st.mask, st.sp);
    far_jump_real(cpu, in, selector, offset);
    cpu_mode_update(cpu);
}

static void far_call(struct cpu *cpu, const struct insn *in, u16 selector, u64 offset)
{
    u64 frame[2] = { cpu->seg[SEG_CS].selector, insn_next_rip(cpu, in) };
    struct descriptor d;
    struct frame_stack st;

    if (!cpu_protected(cpu)) {
        far_call_real(cpu, in, selector, offset);
        return;
    }
    far_read(cpu, in, selector, &d);
    if (descriptor_is_system(&d)) {
        far_call_gate(cpu, in, &d);
        return;
    }
    if (!descriptor_is_code(&d))
        cpu_gp(cpu, in, SEL_ERROR(selector));
    far_check_direct(cpu, in, &d, offset);
    st = frame_stack(cpu);
    descriptor_set_accessed(cpu, in, &d);
    frame_push(cpu, in, &st, frame, 2, far_width(in));
    frame_set_sp(cpu, st.mask, st.sp);
    far_set_cs(cpu, &d, cpu->cpl, offset);
    cpu_mode_update(cpu);
}

/* insn.imm of ptr16:16 and ptr16:32: offset 31:0, selector 47:32. */
static void far_call_a(struct cpu *cpu, const struct insn *in)
{
    far_call(cpu, in, (u16)(in->imm >> 32), (u32)in->imm);
}

static void far_jump_a(struct cpu *cpu, const struct insn *in)
{
    far_jump(cpu, in, (u16)(in->imm >> 32), (u32)in->imm);
}

/* m16:16, m16:32, m16:64. */
static u16 far_load_pointer(struct cpu *cpu, const struct insn *in, u64 *offset)
{
    unsigned width = far_width(in);
    gva addr = insn_addr(cpu, in, width + 2, false);
    u8 pointer[10] = { 0 };
    u16 selector;

    mem_read(cpu, in, addr, pointer, width + 2);
    *offset = 0;
    memcpy(offset, pointer, width);
    memcpy(&selector, pointer + width, 2);
    return selector;
}

static void far_call_m(struct cpu *cpu, const struct insn *in)
{
    u64 offset;
    u16 selector = far_load_pointer(cpu, in, &offset);

    far_call(cpu, in, selector, offset);
}

static void far_jump_m(struct cpu *cpu, const struct insn *in)
{
    u64 offset;
    u16 selector = far_load_pointer(cpu, in, &offset);

    far_jump(cpu, in, selector, offset);
}

insn_fn *const x_callf_A[8] = X_ALL(far_call_a);
insn_fn *const x_jmpf_A[8] = X_ALL(far_jump_a);
insn_fn *const x_callf_M[8] = X_ALL(far_call_m);
insn_fn *const x_jmpf_M[8] = X_ALL(far_jump_m);

/* --- RET --- */

static void far_return_outer(struct cpu *cpu, const struct insn *in, struct descriptor *cs, u64 rip,
                             unsigned release)
{
    unsigned width = far_width(in), level = cs->selector & SEL_RPL;
    u64 sp = frame_peek(cpu, in, 2 * width + release, width);
    u16 selector = (u16)frame_peek(cpu, in, 3 * width + release, width);
    struct segment ss = far_return_ss(cpu, in, selector, cs, level);

    far_check_offset(cpu, in, cs, rip);
    descriptor_set_accessed(cpu, in, cs);
    far_set_cs(cpu, cs, level, rip);
    cpu->seg[SEG_SS] = ss;
    cpu_mode_update(cpu);
    frame_set_sp(cpu, frame_mask(cpu), sp + release);
    seg_drop_privileged(cpu);
    cpu_mode_update(cpu);
}

/* RETF with `release` bytes of parameters. */
static void far_return(struct cpu *cpu, const struct insn *in, unsigned release)
{
    unsigned width = far_width(in);
    u64 mask = frame_mask(cpu);
    u64 rip = frame_peek(cpu, in, 0, width);
    u16 selector = (u16)frame_peek(cpu, in, width, width);
    struct descriptor d;

    if (!cpu_protected(cpu)) {
        far_jump_real(cpu, in, selector, rip);
    } else {
        far_check_return(cpu, in, selector, &d);
        if ((selector & SEL_RPL) > cpu->cpl) {
            far_return_outer(cpu, in, &d, rip, release);
            return;
        }
        far_check_offset(cpu, in, &d, rip);
        descriptor_set_accessed(cpu, in, &d);
        far_set_cs(cpu, &d, cpu->cpl, rip);
    }
    frame_set_sp(cpu, mask, cpu->gpr[RSP] + 2 * width + release);
    cpu_mode_update(cpu);
}

static void far_retf(struct cpu *cpu, const struct insn *in)
{
    far_return(cpu, in, 0);
}

static void far_retf_i(struct cpu *cpu, const struct insn *in)
{
    far_return(cpu, in, (u16)in->imm);
}

insn_fn *const x_retf[8] = X_ALL(far_retf);
insn_fn *const x_retf_I[8] = X_ALL(far_retf_i);
