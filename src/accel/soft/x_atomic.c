/* SPDX-License-Identifier: MIT */
/* XCHG XADD CMPXCHG CMPXCHG8B CMPXCHG16B. */
#include "accel/soft/alu.h"
#include "accel/soft/decode.h"
#include "accel/soft/fault.h"
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

ALU_SIZES(ALU_BINARY, add)
ALU_SIZES(ALU_COMPARE, cmp)

/* --- XCHG: with memory always locked (the decoder sets INSN_LOCK) --- */

#define XCHG(bits) \
    static void xchg_r##bits(struct cpu *cpu, const struct insn *in) \
    { \
        u##bits value = reg_get##bits(cpu, in->rm); \
\
        reg_set##bits(cpu, in->rm, reg_get##bits(cpu, in->reg)); \
        reg_set##bits(cpu, in->reg, value); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void xchg_m##bits(struct cpu *cpu, const struct insn *in) \
    { \
        gva addr = insn_addr(cpu, in, bits / 8, true); \
        void *host = mem_rmw(cpu, in, addr, bits / 8); \
\
        reg_set##bits(cpu, in->reg, host_swap##bits(host, reg_get##bits(cpu, in->reg))); \
        mem_rmw_end(cpu, in, addr, host, bits / 8); \
        INSN_NEXT(cpu, in); \
    }

XCHG(8)
XCHG(16)
XCHG(32)
XCHG(64)
X_TABLE_E(x_xchg_E_G, xchg)

/* --- XADD --- */

#define XADD(bits) \
    static void xadd_r##bits(struct cpu *cpu, const struct insn *in) \
    { \
        u##bits old = reg_get##bits(cpu, in->rm); \
        u##bits sum = alu_add##bits(old, reg_get##bits(cpu, in->reg), &cpu->aflags); \
\
        reg_set##bits(cpu, in->reg, old); \
        reg_set##bits(cpu, in->rm, sum); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void xadd_m##bits(struct cpu *cpu, const struct insn *in) \
    { \
        gva addr = insn_addr(cpu, in, bits / 8, true); \
        void *host = mem_rmw(cpu, in, addr, bits / 8); \
        u##bits value = reg_get##bits(cpu, in->reg); \
        u##bits old = host_get##bits(host); \
\
        if (in->flags & INSN_LOCK) \
            while (!host_cas##bits(host, &old, (u##bits)(old + value))) \
                ; \
        else \
            host_set##bits(host, (u##bits)(old + value)); \
        alu_add##bits(old, value, &cpu->aflags); \
        reg_set##bits(cpu, in->reg, old); \
        mem_rmw_end(cpu, in, addr, host, bits / 8); \
        INSN_NEXT(cpu, in); \
    }

XADD(8)
XADD(16)
XADD(32)
XADD(64)
X_TABLE_E(x_xadd_E_G, xadd)

/* --- CMPXCHG: memory is written in either case, the old value when it differs --- */

#define CMPXCHG_R(bits, mod) \
    ALU_CMPXCHG(bits, mod) \
\
    static void cmpxchg_r##bits(struct cpu *cpu, const struct insn *in) \
    { \
        u64 rax = cpu->gpr[RAX]; \
        u64 dest = cpu->gpr[in->rm]; \
\
        if (in->rm == RAX) { \
            alu_cmp##bits((u##bits)rax, (u##bits)rax, &cpu->aflags); \
            reg_set##bits(cpu, RAX, reg_get##bits(cpu, in->reg)); \
            INSN_NEXT(cpu, in); \
        } \
        alu_cmpxchg##bits(&dest, &rax, cpu->gpr[in->reg], &cpu->aflags); \
        cpu->gpr[in->rm] = dest; \
        cpu->gpr[RAX] = rax; \
        INSN_NEXT(cpu, in); \
    }

static void cmpxchg_r8(struct cpu *cpu, const struct insn *in)
{
    u8 al = reg_get8(cpu, RAX);
    u8 dest = reg_get8(cpu, in->rm);

    alu_cmp8(al, dest, &cpu->aflags);
    if (al == dest)
        reg_set8(cpu, in->rm, reg_get8(cpu, in->reg));
    else
        reg_set8(cpu, RAX, dest);
    INSN_NEXT(cpu, in);
}

CMPXCHG_R(16, "w")
CMPXCHG_R(32, "k")
CMPXCHG_R(64, "q")

#define CMPXCHG_M(bits) \
    static void cmpxchg_m##bits(struct cpu *cpu, const struct insn *in) \
    { \
        gva addr = insn_addr(cpu, in, bits / 8, true); \
        void *host = mem_rmw(cpu, in, addr, bits / 8); \
        u##bits acc = reg_get##bits(cpu, RAX); \
        u##bits old = acc; \
\
        if (in->flags & INSN_LOCK) { \
            host_cas##bits(host, &old, reg_get##bits(cpu, in->reg)); \
        } else { \
            old = host_get##bits(host); \
            host_set##bits(host, old == acc ? reg_get##bits(cpu, in->reg) : old); \
        } \
        alu_cmp##bits(acc, old, &cpu->aflags); \
        if (old != acc) \
            reg_set##bits(cpu, RAX, old); \
        mem_rmw_end(cpu, in, addr, host, bits / 8); \
        INSN_NEXT(cpu, in); \
    }

CMPXCHG_M(8)
CMPXCHG_M(16)
CMPXCHG_M(32)
CMPXCHG_M(64)
X_TABLE_E(x_cmpxchg_E_G, cmpxchg)

/* --- CMPXCHG8B, CMPXCHG16B: locked on the host whether the guest asks or not --- */

static void cmpxchg8b(struct cpu *cpu, const struct insn *in)
{
    gva addr = insn_addr(cpu, in, 8, true);
    void *host = mem_rmw(cpu, in, addr, 8);
    u64 acc = (u32)cpu->gpr[RAX] | cpu->gpr[RDX] << 32;
    bool equal = host_cas64(host, &acc, (u32)cpu->gpr[RBX] | cpu->gpr[RCX] << 32);

    flags_merge(cpu, FLAG_ZF, equal ? FLAG_ZF : 0);
    if (!equal) {
        cpu->gpr[RAX] = (u32)acc;
        cpu->gpr[RDX] = acc >> 32;
    }
    mem_rmw_end(cpu, in, addr, host, 8);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_cmpxchg8b_M[8] = X_MEM(cmpxchg8b);

static void cmpxchg16b(struct cpu *cpu, const struct insn *in)
{
    gva addr = insn_addr(cpu, in, 16, true);
    u64 expected[2] = { cpu->gpr[RAX], cpu->gpr[RDX] };
    u64 value[2] = { cpu->gpr[RBX], cpu->gpr[RCX] };
    void *host;
    bool equal;

    if (addr & 15)
        cpu_gp(cpu, in, 0);
    host = mem_rmw(cpu, in, addr, 16);
    equal = host_cas128(host, expected, value);
    cpu->gpr[RAX] = expected[0];
    cpu->gpr[RDX] = expected[1];
    flags_merge(cpu, FLAG_ZF, equal ? FLAG_ZF : 0);
    mem_rmw_end(cpu, in, addr, host, 16);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_cmpxchg16b_M[8] = X_MEM(cmpxchg16b);
