/* SPDX-License-Identifier: MIT */
/*
 * Interrupt flag, flags on the stack, software interrupts, HLT and PAUSE: SDM vol. 2.
 *
 * NOT EMULATED: virtual-8086 mode extensions (CR4.VME and PVI), which CPUID does not offer.
 */
#include <sched.h>

#include "accel/soft/event.h"
#include "accel/soft/far.h"
#include "accel/soft/fault.h"
#include "accel/soft/frame.h"
#include "accel/soft/handlers.h"
#include "accel/soft/hypercall.h"
#include "accel/soft/mem.h"
#include "accel/soft/seg.h"
#include "accel/soft/tlb.h"
#include "machine/vcpu.h"

/* --- Interrupt flag --- */

static void sys_cli(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cpl > cpu_iopl(cpu)))
        cpu_gp(cpu, in, 0);
    cpu->sflags &= ~FLAG_IF;
    INSN_NEXT(cpu, in);
}

/* Interrupts wait for the end of the next instruction, if they were off (SDM vol. 2B, STI). */
static void sys_sti(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cpl > cpu_iopl(cpu)))
        cpu_gp(cpu, in, 0);
    if (!(cpu->sflags & FLAG_IF)) {
        cpu->sflags |= FLAG_IF;
        cpu->shadow = true;
        event_if_changed(cpu);
    }
    INSN_NEXT(cpu, in);
}

insn_fn *const x_cli[8] = X_ALL(sys_cli);
insn_fn *const x_sti[8] = X_ALL(sys_sti);

/* --- PUSHF and POPF --- */

static void sys_check_vm86(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->mode & MODE_VM) && cpu_iopl(cpu) < 3)
        cpu_gp(cpu, in, 0);
}

static void sys_pushf(struct cpu *cpu, const struct insn *in)
{
    u64 value = cpu_rflags(cpu) & ~(FLAG_VM | FLAG_RF);
    struct frame_stack st;

    sys_check_vm86(cpu, in);
    if (likely((cpu->mode & MODE_CS_L) && far_width(in) == 8)) {
        mem_store64(cpu, in, cpu->gpr[RSP] - 8, value);
        cpu->gpr[RSP] -= 8;
    } else {
        st = frame_stack(cpu);
        frame_push(cpu, in, &st, &value, 1, far_width(in));
        frame_set_sp(cpu, st.mask, st.sp);
    }
    INSN_NEXT(cpu, in);
}

static u64 sys_popf_mask(const struct cpu *cpu, unsigned width)
{
    u64 mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | (width > 2 ? FLAG_AC | FLAG_ID : 0);

    if (cpu->cpl == 0)
        mask |= FLAG_IOPL;
    if (cpu->cpl <= cpu_iopl(cpu))
        mask |= FLAG_IF;
    return mask;
}

static void sys_popf(struct cpu *cpu, const struct insn *in)
{
    unsigned width = far_width(in);
    u64 mask = sys_popf_mask(cpu, width), sp_mask = frame_mask(cpu);
    u64 old = cpu_rflags(cpu), value;

    sys_check_vm86(cpu, in);
    value = (old & ~mask & ~FLAG_RF) | (frame_peek(cpu, in, 0, width) & mask);
    frame_set_sp(cpu, sp_mask, cpu->gpr[RSP] + width);
    cpu_set_rflags(cpu, value);
    if ((old ^ value) & (FLAG_TF | FLAG_AC))
        cpu_mode_update(cpu);
    event_if_changed(cpu);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_pushf[8] = X_ALL(sys_pushf);
insn_fn *const x_popf[8] = X_ALL(sys_popf);

/* --- Software interrupts --- */

static void sys_interrupt(struct cpu *cpu, const struct insn *in, unsigned vector,
                          enum event_kind kind)
{
    cpu->rip = insn_next_rip(cpu, in);
    event_deliver_at(cpu, in, vector, 0, kind);
}

static void sys_int3(struct cpu *cpu, const struct insn *in)
{
    sys_interrupt(cpu, in, VEC_BP, EVENT_SOFTWARE);
}

static void sys_int(struct cpu *cpu, const struct insn *in)
{
    sys_check_vm86(cpu, in);
    sys_interrupt(cpu, in, (u8)in->imm, EVENT_SOFTWARE);
}

static void sys_into(struct cpu *cpu, const struct insn *in)
{
    if (cpu->aflags & FLAG_OF)
        sys_interrupt(cpu, in, VEC_OF, EVENT_SOFTWARE);
    else
        cpu->rip = insn_next_rip(cpu, in);
}

/* Like a trap of the processor's own: no look at the gate's DPL, EXT in error codes (SDM vol. 2A, INT1). */
static void sys_int1(struct cpu *cpu, const struct insn *in)
{
    sys_interrupt(cpu, in, VEC_DB, EVENT_EXCEPTION);
}

insn_fn *const x_int3[8] = X_ALL(sys_int3);
insn_fn *const x_int_I[8] = X_ALL(sys_int);
insn_fn *const x_into[8] = X_ALL(sys_into);
insn_fn *const x_int1[8] = X_ALL(sys_int1);

static void sys_bound16(struct cpu *cpu, const struct insn *in)
{
    gva addr = insn_addr(cpu, in, 4, false);
    u32 pair = mem_load32(cpu, in, addr);
    i16 index = (i16)cpu->gpr[in->reg];

    if (index < (i16)pair || index > (i16)(pair >> 16))
        cpu_fault(cpu, in, VEC_BR, 0);
    INSN_NEXT(cpu, in);
}

static void sys_bound32(struct cpu *cpu, const struct insn *in)
{
    gva addr = insn_addr(cpu, in, 8, false);
    u64 pair = mem_load64(cpu, in, addr);
    i32 index = (i32)cpu->gpr[in->reg];

    if (index < (i32)pair || index > (i32)(pair >> 32))
        cpu_fault(cpu, in, VEC_BR, 0);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_bound_G_M[8] = { [5] = sys_bound16, [6] = sys_bound32 };

static void sys_ud(struct cpu *cpu, const struct insn *in)
{
    cpu_ud(cpu, in);
}

insn_fn *const x_ud[8] = X_ALL(sys_ud);

/* --- Waiting --- */

static void sys_hlt(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cpl != 0)
        cpu_gp(cpu, in, 0);
    cpu->rip = insn_next_rip(cpu, in);
    if (!hypercall_take_kick(cpu->vcpu))
        cpu->vcpu->run_state = VCPU_HALTED;
}

/* A vCPU that spins hands its host CPU on when there are not enough of them. */
static void sys_pause(struct cpu *cpu, const struct insn *in)
{
    if (cpu->soft->crowded)
        sched_yield();
    INSN_NEXT(cpu, in);
}

insn_fn *const x_hlt[8] = X_ALL(sys_hlt);
insn_fn *const x_pause[8] = X_ALL(sys_pause);
