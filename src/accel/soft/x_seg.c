/* SPDX-License-Identifier: MIT */
/* Segment registers: MOV, PUSH, POP, LDS and its kin, the FS and GS bases. SDM vol. 2. */
#include "accel/soft/far.h"
#include "accel/soft/fault.h"
#include "accel/soft/frame.h"
#include "accel/soft/handlers.h"
#include "accel/soft/mem.h"
#include "accel/soft/msr.h"
#include "accel/soft/seg.h"

static void seg_set_reg(struct cpu *cpu, unsigned reg, unsigned width, u64 value)
{
    if (width == 2)
        cpu->gpr[reg] = (cpu->gpr[reg] & ~UINT64_C(0xFFFF)) | (value & 0xFFFF);
    else
        cpu->gpr[reg] = width == 4 ? (u32)value : value;
}

/* --- MOV --- */

static void seg_mov_r_s(struct cpu *cpu, const struct insn *in)
{
    if (in->reg >= SEG_COUNT)
        cpu_ud(cpu, in);
    seg_set_reg(cpu, in->rm, far_width(in), cpu->seg[in->reg].selector);
    INSN_NEXT(cpu, in);
}

static void seg_mov_m_s(struct cpu *cpu, const struct insn *in)
{
    gva addr;

    if (in->reg >= SEG_COUNT)
        cpu_ud(cpu, in);
    addr = insn_addr(cpu, in, 2, true);
    mem_store16(cpu, in, addr, cpu->seg[in->reg].selector);
    INSN_NEXT(cpu, in);
}

/* A new SS keeps interrupts off until the instruction after the next (SDM vol. 3A, 6.8.3). */
static void seg_mov(struct cpu *cpu, const struct insn *in, u16 selector)
{
    if (in->reg == SEG_CS || in->reg >= SEG_COUNT)
        cpu_ud(cpu, in);
    seg_load(cpu, in, in->reg, selector);
    if (in->reg == SEG_SS)
        cpu->shadow = true;
}

static void seg_mov_s_r(struct cpu *cpu, const struct insn *in)
{
    seg_mov(cpu, in, (u16)cpu->gpr[in->rm]);
    INSN_NEXT(cpu, in);
}

static void seg_mov_s_m(struct cpu *cpu, const struct insn *in)
{
    gva addr = insn_addr(cpu, in, 2, false);

    seg_mov(cpu, in, mem_load16(cpu, in, addr));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_mov_E_S[8] = { seg_mov_r_s, seg_mov_r_s, seg_mov_r_s, seg_mov_r_s,
                                seg_mov_m_s, seg_mov_m_s, seg_mov_m_s, seg_mov_m_s };
insn_fn *const x_mov_S_E[8] = { seg_mov_s_r, seg_mov_s_r, seg_mov_s_r, seg_mov_s_r,
                                seg_mov_s_m, seg_mov_s_m, seg_mov_s_m, seg_mov_s_m };

/* --- PUSH and POP --- */

static void seg_push(struct cpu *cpu, const struct insn *in)
{
    struct frame_stack st = frame_stack(cpu);
    u64 value = cpu->seg[in->reg].selector;

    frame_push(cpu, in, &st, &value, 1, far_width(in));
    frame_set_sp(cpu, st.mask, st.sp);
    INSN_NEXT(cpu, in);
}

static void seg_pop(struct cpu *cpu, const struct insn *in)
{
    unsigned width = far_width(in);
    u16 selector = (u16)frame_peek(cpu, in, 0, width);
    u64 mask = frame_mask(cpu);

    seg_load(cpu, in, in->reg, selector);
    frame_set_sp(cpu, mask, cpu->gpr[RSP] + width);
    if (in->reg == SEG_SS)
        cpu->shadow = true;
    INSN_NEXT(cpu, in);
}

insn_fn *const x_push_S[8] = X_ALL(seg_push);
insn_fn *const x_pop_S[8] = X_ALL(seg_pop);

/* --- LDS, LES, LFS, LGS, LSS --- */

static void seg_load_pointer(struct cpu *cpu, const struct insn *in, enum seg_reg seg)
{
    unsigned width = far_width(in);
    gva addr = insn_addr(cpu, in, width + 2, false);
    u8 pointer[10];
    u64 offset = 0;
    u16 selector;

    mem_read(cpu, in, addr, pointer, width + 2);
    memcpy(&offset, pointer, width);
    memcpy(&selector, pointer + width, 2);
    seg_load(cpu, in, seg, selector);
    seg_set_reg(cpu, in->reg, width, offset);
}

#define SEG_DEFINE_POINTER(name, SEG) \
    static void seg_##name(struct cpu *cpu, const struct insn *in) \
    { \
        seg_load_pointer(cpu, in, SEG); \
        INSN_NEXT(cpu, in); \
    } \
    insn_fn *const x_##name##_G_M[8] = X_MEM(seg_##name);

SEG_DEFINE_POINTER(les, SEG_ES)
SEG_DEFINE_POINTER(lds, SEG_DS)
SEG_DEFINE_POINTER(lss, SEG_SS)
SEG_DEFINE_POINTER(lfs, SEG_FS)
SEG_DEFINE_POINTER(lgs, SEG_GS)

/* --- FS and GS bases, 64-bit mode --- */

static void seg_base_check(struct cpu *cpu, const struct insn *in)
{
    if (!(cpu->cr4 & CR4_FSGSBASE))
        cpu_ud(cpu, in);
}

static void seg_base_write(struct cpu *cpu, const struct insn *in, enum seg_reg seg)
{
    u64 base = cpu->gpr[in->reg];

    seg_base_check(cpu, in);
    if (far_width(in) == 4)
        base = (u32)base;
    if (!cpu_canonical(cpu, base))
        cpu_gp(cpu, in, 0);
    cpu->seg[seg].base = base;
}

static void seg_rdfsbase(struct cpu *cpu, const struct insn *in)
{
    seg_base_check(cpu, in);
    seg_set_reg(cpu, in->reg, far_width(in), cpu->seg[SEG_FS].base);
    INSN_NEXT(cpu, in);
}

static void seg_rdgsbase(struct cpu *cpu, const struct insn *in)
{
    seg_base_check(cpu, in);
    seg_set_reg(cpu, in->reg, far_width(in), cpu->seg[SEG_GS].base);
    INSN_NEXT(cpu, in);
}

static void seg_wrfsbase(struct cpu *cpu, const struct insn *in)
{
    seg_base_write(cpu, in, SEG_FS);
    INSN_NEXT(cpu, in);
}

static void seg_wrgsbase(struct cpu *cpu, const struct insn *in)
{
    seg_base_write(cpu, in, SEG_GS);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_rdfsbase_R[8] = X_REG(seg_rdfsbase);
insn_fn *const x_rdgsbase_R[8] = X_REG(seg_rdgsbase);
insn_fn *const x_wrfsbase_R[8] = X_REG(seg_wrfsbase);
insn_fn *const x_wrgsbase_R[8] = X_REG(seg_wrgsbase);

static void seg_swapgs(struct cpu *cpu, const struct insn *in)
{
    u64 base = cpu->seg[SEG_GS].base;

    if (unlikely(cpu->cpl != 0))
        cpu_gp(cpu, in, 0);
    cpu->seg[SEG_GS].base = cpu->msr.kernel_gs_base;
    cpu->msr.kernel_gs_base = base;
    INSN_NEXT(cpu, in);
}

insn_fn *const x_swapgs[8] = X_ALL(seg_swapgs);
