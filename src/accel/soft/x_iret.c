/* SPDX-License-Identifier: MIT */
/*
 * IRET: SDM vol. 2A.
 *
 * NOT EMULATED: the return from a nested task (NT set) outside long mode, an internal error here.
 */
#include "accel/soft/event.h"
#include "accel/soft/far.h"
#include "accel/soft/fault.h"
#include "accel/soft/frame.h"
#include "accel/soft/handlers.h"
#include "accel/soft/tlb.h"

/* What is on the stack, lowest first. */
struct iret_frame {
    u64 rip;
    u16 cs;
    u64 flags;
};

/* RFLAGS bits that IRET may change, by privilege and operand size. */
static u64 iret_flags_mask(const struct cpu *cpu, unsigned width)
{
    u64 mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;

    if (width > 2)
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    if (cpu->cpl <= cpu_iopl(cpu))
        mask |= FLAG_IF;
    if (cpu->cpl == 0)
        mask |= FLAG_IOPL | (width > 2 ? FLAG_VIF | FLAG_VIP : 0);
    return mask;
}

static void iret_set_flags(struct cpu *cpu, u64 flags, u64 mask)
{
    cpu_set_rflags(cpu, (cpu_rflags(cpu) & ~mask) | (flags & mask));
}

/* What every IRET ends with. */
static void iret_done(struct cpu *cpu)
{
    cpu->nmi_blocked = false;
    cpu_mode_update(cpu);
    event_if_changed(cpu);
}

/* --- Real and virtual-8086 mode --- */

static void iret_real(struct cpu *cpu, const struct insn *in, const struct iret_frame *f,
                      unsigned width)
{
    u64 mask = iret_flags_mask(cpu, width) | FLAG_IF;

    if (cpu->mode & MODE_VM) {
        if (cpu_iopl(cpu) < 3)
            cpu_gp(cpu, in, 0);
        mask &= ~FLAG_IOPL;
    }
    far_jump_real(cpu, in, f->cs, f->rip);
    frame_set_sp(cpu, frame_mask(cpu), cpu->gpr[RSP] + 3 * width);
    iret_set_flags(cpu, f->flags, mask);
    iret_done(cpu);
}

/* --- To virtual-8086 mode --- */

/* EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS, 4 bytes each. */
static void iret_to_vm86(struct cpu *cpu, const struct insn *in, const struct iret_frame *f)
{
    static const enum seg_reg order[] = { SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    u16 selectors[ARRAY_SIZE(order)];
    u32 esp = (u32)frame_peek(cpu, in, 12, 4);

    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        selectors[i] = (u16)frame_peek(cpu, in, 16 + 4 * i, 4);
    if (f->rip > 0xFFFF)
        cpu_gp(cpu, in, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        cpu->seg[order[i]] = segment_vm86(selectors[i]);
    cpu->seg[SEG_CS] = segment_vm86(f->cs);
    cpu->rip = f->rip;
    cpu->gpr[RSP] = esp;
    iret_set_flags(cpu, f->flags, iret_flags_mask(cpu, 4) | FLAG_VM);
    iret_done(cpu);
}

/* --- Protected and long mode --- */

static void iret_protected(struct cpu *cpu, const struct insn *in, const struct iret_frame *f,
                           unsigned width)
{
    unsigned level = f->cs & SEL_RPL;
    bool outer = level > cpu->cpl;
    u64 mask = iret_flags_mask(cpu, width), sp = 0;
    struct descriptor cs;
    struct segment ss;

    far_check_return(cpu, in, f->cs, &cs);
    /* 64-bit mode always takes SS:RSP from the frame. */
    bool with_stack = outer || (cpu->mode & MODE_CS_L);

    if (with_stack) {
        sp = frame_peek(cpu, in, 3 * width, width);
        ss = far_return_ss(cpu, in, (u16)frame_peek(cpu, in, 4 * width, width), &cs, level);
    }
    far_check_offset(cpu, in, &cs, f->rip);
    descriptor_set_accessed(cpu, in, &cs);
    if (!with_stack)
        frame_set_sp(cpu, frame_mask(cpu), cpu->gpr[RSP] + 3 * width);
    far_set_cs(cpu, &cs, level, f->rip);
    if (with_stack) {
        cpu->seg[SEG_SS] = ss;
        cpu_mode_update(cpu);
        frame_set_sp(cpu, frame_mask(cpu), sp);
    }
    if (outer)
        seg_drop_privileged(cpu);
    iret_set_flags(cpu, f->flags, mask);
    iret_done(cpu);
}

static void iret(struct cpu *cpu, const struct insn *in)
{
    unsigned width = far_width(in);
    struct iret_frame f;

    if (cpu_protected(cpu) && (cpu->sflags & FLAG_NT)) {
        if (cpu->mode & MODE_LMA)
            cpu_gp(cpu, in, 0);
        cpu_internal_error(cpu, "task switch by IRET is not emulated");
    }
    f.rip = frame_peek(cpu, in, 0, width);
    f.cs = (u16)frame_peek(cpu, in, width, width);
    f.flags = frame_peek(cpu, in, 2 * width, width);
    if (!cpu_protected(cpu))
        iret_real(cpu, in, &f, width);
    else if ((f.flags & FLAG_VM) && width == 4 && cpu->cpl == 0 && !(cpu->mode & MODE_LMA))
        iret_to_vm86(cpu, in, &f);
    else
        iret_protected(cpu, in, &f, width);
}

insn_fn *const x_iret[8] = X_ALL(iret);
