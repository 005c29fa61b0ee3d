/* SPDX-License-Identifier: MIT */
/* CLC STC CMC CLD STD LAHF SAHF SALC. */
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

#define REG_AH   1 /* its byte offset in gpr[] */
#define FLAGS_AH (FLAGS_ARITH & ~FLAG_OF)

static void clc(struct cpu *cpu, const struct insn *in)
{
    cpu->aflags &= ~FLAG_CF;
    INSN_NEXT(cpu, in);
}

static void stc(struct cpu *cpu, const struct insn *in)
{
    cpu->aflags |= FLAG_CF;
    INSN_NEXT(cpu, in);
}

static void cmc(struct cpu *cpu, const struct insn *in)
{
    cpu->aflags ^= FLAG_CF;
    INSN_NEXT(cpu, in);
}

static void cld(struct cpu *cpu, const struct insn *in)
{
    cpu->sflags &= ~FLAG_DF;
    INSN_NEXT(cpu, in);
}

static void std(struct cpu *cpu, const struct insn *in)
{
    cpu->sflags |= FLAG_DF;
    INSN_NEXT(cpu, in);
}

static void lahf(struct cpu *cpu, const struct insn *in)
{
    reg_set8(cpu, REG_AH, (u8)((cpu->aflags & FLAGS_AH) | FLAG_1));
    INSN_NEXT(cpu, in);
}

static void sahf(struct cpu *cpu, const struct insn *in)
{
    flags_merge(cpu, FLAGS_AH, reg_get8(cpu, REG_AH));
    INSN_NEXT(cpu, in);
}

static void salc(struct cpu *cpu, const struct insn *in)
{
    reg_set8(cpu, RAX, cpu->aflags & FLAG_CF ? 0xFF : 0);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_clc[8] = X_REG(clc);
insn_fn *const x_stc[8] = X_REG(stc);
insn_fn *const x_cmc[8] = X_REG(cmc);
insn_fn *const x_cld[8] = X_REG(cld);
insn_fn *const x_std[8] = X_REG(std);
insn_fn *const x_lahf[8] = X_REG(lahf);
insn_fn *const x_sahf[8] = X_REG(sahf);
insn_fn *const x_salc[8] = X_REG(salc);
