/* SPDX-License-Identifier: MIT */
/* Moves without arithmetic: MOV and its kin, LEA, XLAT, BSWAP, sign extension of the accumulator, NOP. */
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

#define SIZES(M)      M(8) M(16) M(32) M(64)
#define WORD_SIZES(M) M(16) M(32) M(64)

/* --- MOV --- */

#define MOV_OPS(bits) \
    static inline u##bits mov_reg##bits(const struct cpu *cpu, const struct insn *in) \
    { \
        return reg_get##bits(cpu, in->reg); \
    } \
\
    static inline u##bits mov_imm##bits(const struct cpu *cpu, const struct insn *in) \
    { \
        (void)cpu; \
        return (u##bits)in->imm; \
    } \
\
    static inline void mov_to_reg##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        reg_set##bits(cpu, in->reg, value); \
    } \
\
    X_WRITE_E(mov_E_G, bits, mov_reg##bits) \
    X_WRITE_E(mov_E_I, bits, mov_imm##bits) \
    X_READ_E(mov_G_E, bits, mov_to_reg##bits)

SIZES(MOV_OPS)
X_TABLE_E(x_mov_E_G, mov_E_G)
X_TABLE_E(x_mov_E_I, mov_E_I)
X_TABLE_E(x_mov_G_E, mov_G_E)

/* The accumulator and an offset in the instruction. */
#define MOV_OFFSET_OPS(bits) \
    static void mov_A_O_##bits(struct cpu *cpu, const struct insn *in) \
    { \
        gva addr = operand_addr(cpu, in, in->imm, bits / 8, false); \
\
        reg_set##bits(cpu, RAX, mem_load##bits(cpu, in, addr)); \
        INSN_NEXT(cpu, in); \
    } \
\
    static void mov_O_A_##bits(struct cpu *cpu, const struct insn *in) \
    { \
        gva addr = operand_addr(cpu, in, in->imm, bits / 8, true); \
\
        mem_store##bits(cpu, in, addr, reg_get##bits(cpu, RAX)); \
        INSN_NEXT(cpu, in); \
    }

SIZES(MOV_OFFSET_OPS)
insn_fn *const x_mov_A_O[8] = { NULL,      NULL,       NULL,       NULL,
                                mov_A_O_8, mov_A_O_16, mov_A_O_32, mov_A_O_64 };
insn_fn *const x_mov_O_A[8] = { NULL,      NULL,       NULL,       NULL,
                                mov_O_A_8, mov_O_A_16, mov_O_A_32, mov_O_A_64 };

/* --- MOVZX, MOVSX, MOVSXD --- */

/* To `bits` from `from`, by way of the type that does the extension. */
#define EXTEND(name, bits, from, type) \
    static inline void name##_to##bits##_from##from(struct cpu *cpu, const struct insn *in, \
                                                    u##from value) \
    { \
        reg_set##bits(cpu, in->reg, (u##bits)(type)value); \
    } \
\
    X_READ_E(name##bits, from, name##_to##bits##_from##from)

#define EXTEND_TABLE(table, name, from) \
    insn_fn *const table[8] = { NULL, name##16_r##from, name##32_r##from, name##64_r##from, \
                                NULL, name##16_m##from, name##32_m##from, name##64_m##from };

EXTEND(movzx, 16, 8, u8)
EXTEND(movzx, 32, 8, u8)
EXTEND(movzx, 64, 8, u8)
EXTEND(movzx, 16, 16, u16)
EXTEND(movzx, 32, 16, u16)
EXTEND(movzx, 64, 16, u16)
EXTEND(movsx, 16, 8, i8)
EXTEND(movsx, 32, 8, i8)
EXTEND(movsx, 64, 8, i8)
EXTEND(movsx, 16, 16, i16)
EXTEND(movsx, 32, 16, i16)
EXTEND(movsx, 64, 16, i16)
EXTEND(movsx, 64, 32, i32)
EXTEND_TABLE(x_movzx_G_Eb, movzx, 8)
EXTEND_TABLE(x_movzx_G_Ew, movzx, 16)
EXTEND_TABLE(x_movsx_G_Eb, movsx, 8)
EXTEND_TABLE(x_movsx_G_Ew, movsx, 16)

/* With 16- and 32-bit operand size MOVSXD reads as much as it writes. */
insn_fn *const x_movsxd_G_Ed[8] = { NULL, mov_G_E_r16, mov_G_E_r32, movsx64_r32,
                                    NULL, mov_G_E_m16, mov_G_E_m32, movsx64_m32 };

/* --- LEA --- */

#define LEA(bits) \
    static void lea_##bits(struct cpu *cpu, const struct insn *in) \
    { \
        reg_set##bits(cpu, in->reg, (u##bits)address_cut(in, insn_offset(cpu, in))); \
        INSN_NEXT(cpu, in); \
    }

WORD_SIZES(LEA)
insn_fn *const x_lea_G_M[8] = { NULL, NULL, NULL, NULL, NULL, lea_16, lea_32, lea_64 };

/* --- MOVBE, BSWAP, XLAT --- */

#define MOVBE_OPS(bits) \
    static inline u##bits movbe_reg##bits(const struct cpu *cpu, const struct insn *in) \
    { \
        return __builtin_bswap##bits(reg_get##bits(cpu, in->reg)); \
    } \
\
    static inline void movbe_to_reg##bits(struct cpu *cpu, const struct insn *in, u##bits value) \
    { \
        reg_set##bits(cpu, in->reg, __builtin_bswap##bits(value)); \
    } \
\
    X_WRITE_M(movbe_M_G, bits, movbe_reg##bits) \
    X_READ_M(movbe_G_M, bits, movbe_to_reg##bits)

WORD_SIZES(MOVBE_OPS)
insn_fn *const x_movbe_M_G[8] = { NULL, NULL,          NULL,          NULL,
                                  NULL, movbe_M_G_m16, movbe_M_G_m32, movbe_M_G_m64 };
insn_fn *const x_movbe_G_M[8] = { NULL, NULL,          NULL,          NULL,
                                  NULL, movbe_G_M_m16, movbe_G_M_m32, movbe_G_M_m64 };

/* Undefined for 16 bits; CPUs clear the word. */
static void bswap_16(struct cpu *cpu, const struct insn *in)
{
    reg_set16(cpu, in->rm, 0);
    INSN_NEXT(cpu, in);
}

static void bswap_32(struct cpu *cpu, const struct insn *in)
{
    reg_set32(cpu, in->rm, __builtin_bswap32(reg_get32(cpu, in->rm)));
    INSN_NEXT(cpu, in);
}

static void bswap_64(struct cpu *cpu, const struct insn *in)
{
    reg_set64(cpu, in->rm, __builtin_bswap64(reg_get64(cpu, in->rm)));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_bswap[8] = { NULL, bswap_16, bswap_32, bswap_64 };

static void xlat(struct cpu *cpu, const struct insn *in)
{
    u64 offset = address_cut(in, cpu->gpr[RBX] + reg_get8(cpu, RAX));

    reg_set8(cpu, RAX, mem_load8(cpu, in, operand_addr(cpu, in, offset, 1, false)));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_xlat[8] = { xlat };

/* --- Sign extension of the accumulator --- */

static void cbw(struct cpu *cpu, const struct insn *in)
{
    reg_set16(cpu, RAX, (u16)(i8)cpu->gpr[RAX]);
    INSN_NEXT(cpu, in);
}

static void cwde(struct cpu *cpu, const struct insn *in)
{
    reg_set32(cpu, RAX, (u32)(i16)cpu->gpr[RAX]);
    INSN_NEXT(cpu, in);
}

static void cdqe(struct cpu *cpu, const struct insn *in)
{
    reg_set64(cpu, RAX, (u64)(i32)cpu->gpr[RAX]);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_cbw[8] = { NULL, cbw, cwde, cdqe };

static void cwd(struct cpu *cpu, const struct insn *in)
{
    reg_set16(cpu, RDX, (u16)((i16)cpu->gpr[RAX] >> 15));
    INSN_NEXT(cpu, in);
}

static void cdq(struct cpu *cpu, const struct insn *in)
{
    reg_set32(cpu, RDX, (u32)((i32)cpu->gpr[RAX] >> 31));
    INSN_NEXT(cpu, in);
}

static void cqo(struct cpu *cpu, const struct insn *in)
{
    reg_set64(cpu, RDX, (u64)((i64)cpu->gpr[RAX] >> 63));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_cwd[8] = { NULL, cwd, cdq, cqo };

/* --- NOP --- */

static void nop(struct cpu *cpu, const struct insn *in)
{
    INSN_NEXT(cpu, in);
}

insn_fn *const x_nop[8] = X_ALL(nop);
