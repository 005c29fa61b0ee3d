/* SPDX-License-Identifier: MIT */
/*
 * Near transfers: Jcc JMP CALL RET LOOPcc JCXZ, and the end of a block without one.
 *
 * The rows have ATTR_F64, so operand size 64 means 64-bit mode and the others mean the other modes. Both outcomes of
 * a conditional branch set cpu->rip; the block ends here. A target outside the limits of the mode is a #GP(0) of
 * the branch, before anything changes.
 */
#include "accel/soft/decode.h"
#include "accel/soft/fault.h"
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"
#include "accel/soft/stack.h"

/* --- Targets --- */

static inline u64 flow_rel_target(const struct cpu *cpu, const struct insn *in)
{
    return cpu->gpr[GPR_RIP] + in->imm;
}

X_SLOW static void flow_check_57(struct cpu *cpu, const struct insn *in, u64 target)
{
    if (!(cpu->cr4 & CR4_LA57) || (u64)((i64)(target << 7) >> 7) != target)
        cpu_gp(cpu, in, 0);
}

/* 64-bit mode: the target must be canonical. */
static inline u64 flow_check_64(struct cpu *cpu, const struct insn *in, u64 target)
{
    if (unlikely((target + (UINT64_C(1) << 47)) >> 48))
        flow_check_57(cpu, in, target);
    return target;
}

/* Other modes: cut to the operand size, and inside CS.limit. */
static u64 flow_check_legacy(struct cpu *cpu, const struct insn *in, u64 target)
{
    target = insn_osz(in) == 1 ? (u16)target : (u32)target;
    if (target > cpu->seg[SEG_CS].limit)
        cpu_gp(cpu, in, 0);
    return target;
}

/* On to the next instruction, outside 64-bit mode. */
static inline u64 flow_next_legacy(const struct cpu *cpu, const struct insn *in)
{
    return (u32)insn_next_rip(cpu, in);
}

/* --- Jcc, JMP --- */

#define JCC(cc, test) \
    static void j##cc##_64(struct cpu *cpu, const struct insn *in) \
    { \
        u64 f = cpu->aflags; \
\
        if (test) \
            cpu->rip = flow_check_64(cpu, in, flow_rel_target(cpu, in)); \
        else \
            cpu->rip = insn_next_rip(cpu, in); \
    } \
\
    static void j##cc##_legacy(struct cpu *cpu, const struct insn *in) \
    { \
        u64 f = cpu->aflags; \
\
        if (test) \
            cpu->rip = flow_check_legacy(cpu, in, flow_rel_target(cpu, in)); \
        else \
            cpu->rip = flow_next_legacy(cpu, in); \
    } \
\
    insn_fn *const x_j##cc##_J[8] = { NULL, j##cc##_legacy, j##cc##_legacy, j##cc##_64 };

CONDITIONS(JCC)

static void jmp_64(struct cpu *cpu, const struct insn *in)
{
    cpu->rip = flow_check_64(cpu, in, flow_rel_target(cpu, in));
}

static void jmp_legacy(struct cpu *cpu, const struct insn *in)
{
    cpu->rip = flow_check_legacy(cpu, in, flow_rel_target(cpu, in));
}

insn_fn *const x_jmp_J[8] = { NULL, jmp_legacy, jmp_legacy, jmp_64 };

/* --- LOOPcc, JCXZ: the count's size is the address size --- */

static void flow_branch(struct cpu *cpu, const struct insn *in, bool taken)
{
    if (insn_osz(in) == 3)
        cpu->rip =
            taken ? flow_check_64(cpu, in, flow_rel_target(cpu, in)) : insn_next_rip(cpu, in);
    else
        cpu->rip = taken ? flow_check_legacy(cpu, in, flow_rel_target(cpu, in))
                         : flow_next_legacy(cpu, in);
}

/* Count down and branch; the target is checked before the count changes. */
static void flow_loop(struct cpu *cpu, const struct insn *in, bool condition)
{
    u64 count = address_cut(in, cpu->gpr[RCX] - 1);

    flow_branch(cpu, in, count && condition);
    if (insn_asz(in) == 1)
        reg_set16(cpu, RCX, (u16)count);
    else
        cpu->gpr[RCX] = count;
}

static void loop(struct cpu *cpu, const struct insn *in)
{
    flow_loop(cpu, in, true);
}

static void loope(struct cpu *cpu, const struct insn *in)
{
    flow_loop(cpu, in, cond_e(cpu->aflags));
}

static void loopne(struct cpu *cpu, const struct insn *in)
{
    flow_loop(cpu, in, !cond_e(cpu->aflags));
}

static void jcxz(struct cpu *cpu, const struct insn *in)
{
    flow_branch(cpu, in, !address_cut(in, cpu->gpr[RCX]));
}

insn_fn *const x_loop_J[8] = X_REG(loop);
insn_fn *const x_loope_J[8] = X_REG(loope);
insn_fn *const x_loopne_J[8] = X_REG(loopne);
insn_fn *const x_jcxz_J[8] = X_REG(jcxz);

/* --- JMP and CALL to a register or memory; CALL --- */

static inline void flow_jump_64(struct cpu *cpu, const struct insn *in, u64 target)
{
    cpu->rip = flow_check_64(cpu, in, target);
}

static void flow_jump_legacy(struct cpu *cpu, const struct insn *in, u64 target)
{
    cpu->rip = flow_check_legacy(cpu, in, target);
}

X_SLOW static void flow_call_slow(struct cpu *cpu, const struct insn *in, u64 target)
{
    stack_push(cpu, in, 8, insn_next_rip(cpu, in));
    cpu->rip = target;
}

static inline void flow_call_64(struct cpu *cpu, const struct insn *in, u64 target)
{
    gva addr = cpu->gpr[RSP] - 8;
    void *host = stack_fast_w(cpu, addr);

    flow_check_64(cpu, in, target);
    if (unlikely(!host)) {
        flow_call_slow(cpu, in, target);
        return;
    }
    host_set64(host, insn_next_rip(cpu, in));
    cpu->gpr[RSP] = addr;
    cpu->rip = target;
    mem_stored(cpu, host, 8);
}

static void flow_call_legacy(struct cpu *cpu, const struct insn *in, u64 target)
{
    unsigned size = insn_osz(in) == 1 ? 2 : 4;

    target = flow_check_legacy(cpu, in, target);
    stack_push(cpu, in, size, flow_next_legacy(cpu, in));
    cpu->rip = target;
}

static void call_64(struct cpu *cpu, const struct insn *in)
{
    flow_call_64(cpu, in, flow_rel_target(cpu, in));
}

static void call_legacy(struct cpu *cpu, const struct insn *in)
{
    flow_call_legacy(cpu, in, flow_rel_target(cpu, in));
}

insn_fn *const x_call_J[8] = { NULL, call_legacy, call_legacy, call_64 };

#define FLOW_INDIRECT(name, bits, action) \
    static void name##_r##bits(struct cpu *cpu, const struct insn *in) \
    { \
        action(cpu, in, reg_get##bits(cpu, in->rm)); \
    } \
\
    static void name##_m##bits(struct cpu *cpu, const struct insn *in) \
    { \
        action(cpu, in, mem_load##bits(cpu, in, insn_addr(cpu, in, bits / 8, false))); \
    }

FLOW_INDIRECT(jmp_E, 16, flow_jump_legacy)
FLOW_INDIRECT(jmp_E, 32, flow_jump_legacy)
FLOW_INDIRECT(jmp_E, 64, flow_jump_64)
X_TABLE_EV(x_jmp_E, jmp_E)
FLOW_INDIRECT(call_E, 16, flow_call_legacy)
FLOW_INDIRECT(call_E, 32, flow_call_legacy)
FLOW_INDIRECT(call_E, 64, flow_call_64)
X_TABLE_EV(x_call_E, call_E)

/* --- RET --- */

X_SLOW static void flow_ret_slow(struct cpu *cpu, const struct insn *in)
{
    u64 target = flow_check_64(cpu, in, stack_load(cpu, in, cpu->gpr[RSP], 8));

    cpu->gpr[RSP] += 8 + in->imm;
    cpu->rip = target;
}

/* in->imm is 0 for the form without one. */
static void ret_64(struct cpu *cpu, const struct insn *in)
{
    const void *host = stack_fast_r(cpu, cpu->gpr[RSP]);
    u64 target;

    if (unlikely(!host))
        INSN_TAIL flow_ret_slow(cpu, in);
    target = flow_check_64(cpu, in, host_get64(host));
    cpu->gpr[RSP] += 8 + in->imm;
    cpu->rip = target;
}

static void ret_legacy(struct cpu *cpu, const struct insn *in)
{
    unsigned size = insn_osz(in) == 1 ? 2 : 4;
    u64 target = flow_check_legacy(cpu, in, stack_load(cpu, in, stack_sp(cpu, 0), size));

    stack_set_sp(cpu, stack_sp(cpu, (i64)(size + in->imm)));
    cpu->rip = target;
}

insn_fn *const x_ret[8] = { NULL, ret_legacy, ret_legacy, ret_64 };
insn_fn *const x_ret_I[8] = { NULL, ret_legacy, ret_legacy, ret_64 };

/* --- The end of a block without a branch --- */

void x_block_end(struct cpu *cpu, const struct insn *in)
{
    u64 rip = insn_rip(cpu, in);

    cpu->rip = cpu->mode & MODE_CS_L ? rip : (u32)rip;
}
