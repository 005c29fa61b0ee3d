/* SPDX-License-Identifier: MIT */
/*
 * x87. Instructions that compute run on the host with the guest's whole x87 image loaded
 * (hostop_stub.c), so flags, tags, stack faults and responses to exceptions are the processor's
 * own. Those that only move the environment are done here.
 *
 * Exceptions are reported late: an instruction that meets an unmasked one sets FSW.ES, and the next
 * waiting instruction raises #MF. No stub starts with FSW.ES set, so the host never gets its #MF.
 * SDM: Intel 64 and IA-32 Architectures Software Developer's Manual, order 325462-080, vol. 1,
 * chapter 8.
 */
#include <string.h>

#include "accel/soft/handlers.h"
#include "accel/soft/simd.h"
#include "base/bytes.h"

/* --- By the host's instruction --- */

/* Offset of the memory operand in its segment, as FDP wants it. */
static u64 x87_operand_offset(const struct cpu *cpu, const struct insn *in)
{
    static const u64 masks[] = { 0, 0xFFFF, 0xFFFFFFFF, ~(u64)0 };

    return insn_offset(cpu, in) & masks[(in->flags & INSN_ASZ) >> INSN_ASZ_SHIFT];
}

/*
 * Run the stub, then put the guest's addresses where the host wrote its own. Whether FIP, FDP and
 * FOP are written at all is the host's rule (CPUID.7.0:EBX bits 6 and 13), seen from marks that no
 * stub can leave.
 */
static void x87_run(struct cpu *cpu, const struct insn *in, void *mem)
{
    const struct hostop *op = in->hostop;
    struct xsave_area *x = &cpu->xsave;
    u16 opcode = (u16)((op->opcode & 7) << 8 | op->modrm);
    u16 no_opcode = ~opcode & FOP_MASK;
    u64 fip = x->fip;
    u64 fdp = x->fdp;
    u16 fop = x->fop;

    x->fip = 0;
    x->fdp = 0;
    x->fop = no_opcode;
    op->run(cpu, NULL, NULL, NULL, mem);
    hostop_restore_mxcsr(cpu);
    x->fip = x->fip ? insn_rip(cpu, in) : fip;
    x->fdp = x->fdp && mem ? x87_operand_offset(cpu, in) : fdp;
    x->fop = x->fop == no_opcode ? fop : opcode;
}

/* With CR0.NE clear a pending exception does not stop the instruction: see fpu_pending. */
static void x87_run_ignoring(struct cpu *cpu, const struct insn *in, void *mem)
{
    u16 masks = cpu->xsave.fcw & FCW_MASKS;

    cpu->xsave.fcw |= FCW_MASKS;
    fpu_update_summary(cpu);
    x87_run(cpu, in, mem);
    cpu->xsave.fcw = (u16)((cpu->xsave.fcw & ~FCW_MASKS) | masks);
    fpu_update_summary(cpu);
}

static void x87_call(struct cpu *cpu, const struct insn *in, void *mem)
{
    if (unlikely(cpu->xsave.fsw & FSW_ES))
        x87_run_ignoring(cpu, in, mem);
    else
        x87_run(cpu, in, mem);
}

static void x87_reg(struct cpu *cpu, const struct insn *in)
{
    fpu_check_x87(cpu, in);
    x87_call(cpu, in, NULL);
    INSN_NEXT(cpu, in);
}

static void x87_load(struct cpu *cpu, const struct insn *in)
{
    unsigned size = in->hostop->size;

    fpu_check_x87(cpu, in);
    x87_call(cpu, in, simd_read(cpu, in, insn_addr(cpu, in, size, false), size));
    INSN_NEXT(cpu, in);
}

/* With all exceptions masked the operand is always written: it is made writable first. */
static void x87_store_masked(struct cpu *cpu, const struct insn *in, unsigned size)
{
    gva addr = insn_addr(cpu, in, size, true);
    void *p = mem_rmw(cpu, in, addr, size);

    x87_call(cpu, in, p);
    mem_rmw_end(cpu, in, addr, p, size);
}

/*
 * An unmasked exception other than inexact keeps memory from being accessed at all, so the
 * instruction runs first; its result counts only when the store did not fault.
 */
static void x87_store_unmasked(struct cpu *cpu, const struct insn *in, unsigned size)
{
    struct xsave_area before = cpu->xsave;
    struct xsave_area after;
    u8 result[16];

    x87_call(cpu, in, result);
    if (cpu->xsave.fsw & ~cpu->xsave.fcw & (FSW_IE | FSW_OE | FSW_UE))
        return;
    after = cpu->xsave;
    cpu->xsave = before;
    simd_write(cpu, in, insn_addr(cpu, in, size, true), result, size);
    cpu->xsave = after;
}

static void x87_store(struct cpu *cpu, const struct insn *in)
{
    unsigned size = in->hostop->size;

    fpu_check_x87(cpu, in);
    if (likely((cpu->xsave.fcw & FCW_MASKS) == FCW_MASKS) || (cpu->xsave.fsw & FSW_ES))
        x87_store_masked(cpu, in, size);
    else
        x87_store_unmasked(cpu, in, size);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_x87[8] = X_REG(x87_reg);
insn_fn *const x_x87_load[8] = X_MEM(x87_load);
insn_fn *const x_x87_store[8] = X_MEM(x87_store);

/* --- Control --- */

/* FWAIT looks at CR0.MP and not at EM (SDM vol. 3A, table 2-2). */
static void fwait(struct cpu *cpu, const struct insn *in)
{
    u64 both = CR0_MP | CR0_TS;

    if ((cpu->cr0 & both) == both)
        cpu_fault(cpu, in, VEC_NM, 0);
    if (cpu->xsave.fsw & FSW_ES)
        fpu_pending(cpu, in);
    INSN_NEXT(cpu, in);
}

static void fninit(struct cpu *cpu, const struct insn *in)
{
    fpu_check_x87_nowait(cpu, in);
    fpu_init(cpu);
    INSN_NEXT(cpu, in);
}

static void fnclex(struct cpu *cpu, const struct insn *in)
{
    fpu_check_x87_nowait(cpu, in);
    cpu->xsave.fsw &= (u16) ~(FSW_FLAGS | FSW_SF | FSW_ES | FSW_B);
    INSN_NEXT(cpu, in);
}

/* FNENI, FNDISI, FNSETPM: of the 8087 and the 80287, no operation since. */
static void x87_nop(struct cpu *cpu, const struct insn *in)
{
    fpu_check_x87_nowait(cpu, in);
    INSN_NEXT(cpu, in);
}

static void fldcw(struct cpu *cpu, const struct insn *in)
{
    fpu_check_x87(cpu, in);
    fpu_set_fcw(cpu, mem_load16(cpu, in, insn_addr(cpu, in, 2, false)));
    INSN_NEXT(cpu, in);
}

static void fnstcw(struct cpu *cpu, const struct insn *in)
{
    fpu_check_x87_nowait(cpu, in);
    mem_store16(cpu, in, insn_addr(cpu, in, 2, true), cpu->xsave.fcw);
    INSN_NEXT(cpu, in);
}

static void fnstsw(struct cpu *cpu, const struct insn *in)
{
    fpu_check_x87_nowait(cpu, in);
    mem_store16(cpu, in, insn_addr(cpu, in, 2, true), cpu->xsave.fsw);
    INSN_NEXT(cpu, in);
}

static void fnstsw_ax(struct cpu *cpu, const struct insn *in)
{
    fpu_check_x87_nowait(cpu, in);
    cpu->gpr[RAX] = (cpu->gpr[RAX] & ~(u64)0xFFFF) | cpu->xsave.fsw;
    INSN_NEXT(cpu, in);
}

insn_fn *const x_fwait[8] = X_ALL(fwait);
insn_fn *const x_fninit[8] = X_ALL(fninit);
insn_fn *const x_fnclex[8] = X_ALL(fnclex);
insn_fn *const x_x87_nop[8] = X_ALL(x87_nop);
insn_fn *const x_fldcw_M[8] = X_MEM(fldcw);
insn_fn *const x_fnstcw_M[8] = X_MEM(fnstcw);
insn_fn *const x_fnstsw_M[8] = X_MEM(fnstsw);
insn_fn *const x_fnstsw_AX[8] = X_ALL(fnstsw_ax);

/* --- The environment in memory (SDM vol. 1, figures 8-9 to 8-12) --- */

#define ENV16_SIZE 14u
#define ENV32_SIZE 28u
#define ST_SIZE    10u

/*
 * CS and DS of the last instruction and operand read 0, as on processors that have deprecated them
 * (CPUID.7.0:EBX bit 13). In the real-address layouts, FIP and FDP are offsets for the same reason.
 */
static bool env_real(const struct cpu *cpu)
{
    return !(cpu->mode & MODE_PE) || (cpu->mode & MODE_VM);
}

static void env_put16(const struct cpu *cpu, u8 *env)
{
    const struct xsave_area *x = &cpu->xsave;

    store_le16(env, x->fcw);
    store_le16(env + 2, x->fsw);
    store_le16(env + 4, fpu_full_tags(cpu));
    store_le16(env + 6, (u16)x->fip);
    store_le16(env + 10, (u16)x->fdp);
    store_le16(env + 8, 0);
    store_le16(env + 12, 0);
    if (env_real(cpu)) {
        store_le16(env + 8, (u16)((x->fip >> 4 & 0xF000) | x->fop));
        store_le16(env + 12, (u16)(x->fdp >> 4 & 0xF000));
    }
}

/* Reserved upper halves are written as ones. */
static void env_put32(const struct cpu *cpu, u8 *env)
{
    const struct xsave_area *x = &cpu->xsave;

    store_le32(env, 0xFFFF0000 | x->fcw);
    store_le32(env + 4, 0xFFFF0000 | x->fsw);
    store_le32(env + 8, 0xFFFF0000 | fpu_full_tags(cpu));
    if (env_real(cpu)) {
        store_le32(env + 12, 0xFFFF0000 | (u16)x->fip);
        store_le32(env + 16, (u32)(x->fip >> 4 & 0x0FFFF000) | x->fop);
        store_le32(env + 20, 0xFFFF0000 | (u16)x->fdp);
        store_le32(env + 24, (u32)(x->fdp >> 4 & 0x0FFFF000));
        return;
    }
    store_le32(env + 12, (u32)x->fip);
    store_le32(env + 16, (u32)x->fop << 16);
    store_le32(env + 20, (u32)x->fdp);
    store_le32(env + 24, 0xFFFF0000);
}

static void env_get16(struct cpu *cpu, const u8 *env)
{
    struct xsave_area *x = &cpu->xsave;

    x->fip = load_le16(env + 6);
    x->fdp = load_le16(env + 10);
    x->fop = 0;
    if (env_real(cpu)) {
        x->fip |= (u64)(load_le16(env + 8) & 0xF000) << 4;
        x->fdp |= (u64)(load_le16(env + 12) & 0xF000) << 4;
        x->fop = load_le16(env + 8) & FOP_MASK;
    }
}

static void env_get32(struct cpu *cpu, const u8 *env)
{
    struct xsave_area *x = &cpu->xsave;

    if (env_real(cpu)) {
        x->fip = load_le16(env + 12) | (u64)(load_le32(env + 16) & 0x0FFFF000) << 4;
        x->fop = load_le16(env + 16) & FOP_MASK;
        x->fdp = load_le16(env + 20) | (u64)(load_le32(env + 24) & 0x0FFFF000) << 4;
        return;
    }
    x->fip = load_le32(env + 12);
    x->fop = load_le16(env + 18) & FOP_MASK;
    x->fdp = load_le32(env + 20);
}

static unsigned env_size(const struct insn *in)
{
    return (in->flags & INSN_OSZ) >> INSN_OSZ_SHIFT == 1 ? ENV16_SIZE : ENV32_SIZE;
}

static void env_put(const struct cpu *cpu, const struct insn *in, u8 *env)
{
    if (env_size(in) == ENV16_SIZE)
        env_put16(cpu, env);
    else
        env_put32(cpu, env);
}

/* Registers keep their physical places while TOP changes: FLDENV does not touch them. */
static void env_get(struct cpu *cpu, const struct insn *in, const u8 *env)
{
    struct xsave_area *x = &cpu->xsave;
    unsigned step = env_size(in) == ENV16_SIZE ? 2 : 4;
    u16 fsw = load_le16(env + step);

    if (step == 2)
        env_get16(cpu, env);
    else
        env_get32(cpu, env);
    fpu_set_top(cpu, FIELD_GET(FSW_TOP, fsw));
    x->fsw = fsw;
    x->ftw = fpu_abridge_tags(load_le16(env + 2 * step));
    fpu_set_fcw(cpu, load_le16(env));
}

/* FNSTENV masks all exceptions when it has stored. */
static void fnstenv(struct cpu *cpu, const struct insn *in)
{
    unsigned size = env_size(in);
    u8 env[ENV32_SIZE];

    fpu_check_x87_nowait(cpu, in);
    env_put(cpu, in, env);
    mem_write(cpu, in, insn_addr(cpu, in, size, true), env, size);
    cpu->xsave.fcw |= FCW_MASKS;
    fpu_update_summary(cpu);
    INSN_NEXT(cpu, in);
}

static void fldenv(struct cpu *cpu, const struct insn *in)
{
    unsigned size = env_size(in);
    u8 env[ENV32_SIZE];

    fpu_check_x87(cpu, in);
    mem_read(cpu, in, insn_addr(cpu, in, size, false), env, size);
    env_get(cpu, in, env);
    INSN_NEXT(cpu, in);
}

static void fnsave(struct cpu *cpu, const struct insn *in)
{
    unsigned size = env_size(in);
    u8 image[ENV32_SIZE + 8 * ST_SIZE];

    fpu_check_x87_nowait(cpu, in);
    env_put(cpu, in, image);
    for (unsigned i = 0; i < 8; i++)
        memcpy(&image[size + i * ST_SIZE], cpu->xsave.st[i], ST_SIZE);
    size += 8 * ST_SIZE;
    mem_write(cpu, in, insn_addr(cpu, in, size, true), image, size);
    fpu_init(cpu);
    INSN_NEXT(cpu, in);
}

static void frstor(struct cpu *cpu, const struct insn *in)
{
    unsigned size = env_size(in);
    u8 image[ENV32_SIZE + 8 * ST_SIZE];

    fpu_check_x87(cpu, in);
    mem_read(cpu, in, insn_addr(cpu, in, size + 8 * ST_SIZE, false), image, size + 8 * ST_SIZE);
    env_get(cpu, in, image);
    for (unsigned i = 0; i < 8; i++)
        memcpy(cpu->xsave.st[i], &image[size + i * ST_SIZE], ST_SIZE);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_fnstenv_M[8] = X_MEM(fnstenv);
insn_fn *const x_fldenv_M[8] = X_MEM(fldenv);
insn_fn *const x_fnsave_M[8] = X_MEM(fnsave);
insn_fn *const x_frstor_M[8] = X_MEM(frstor);
