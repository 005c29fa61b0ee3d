/* SPDX-License-Identifier: MIT */
/*
 * Machine code of host operations: load operands, execute, store the result.
 *
 * Host registers inside a stub (System V calling convention; all of them may be clobbered):
 *
 *     operand      pointer to it   XMM/YMM   MMX   GPR
 *     ModRM.reg    rsi             1         1     rax
 *     VEX.vvvv     rdx             3
 *     imm8[7:4]    rcx             4
 *     ModRM.rm     r8              2         2     r9      (memory operand: [r8])
 *     implicit     rdi (the CPU)   0               rax, rdx, rcx
 *
 * Stubs use no stack across the instruction itself, so that the one that faults can be left by a
 * jump. Encodings: SDM vol. 2A, chapter 2, and the instruction pages. SDM order 325462-080.
 */
#include "accel/soft/hostop_stub.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/fpu.h"

enum host_gpr {
    HOST_RAX,
    HOST_RCX,
    HOST_RDX,
    HOST_RSI = 6,
    HOST_RDI = 7,
    HOST_R8 = 8,
    HOST_R9 = 9
};

#define CPU_OFFSET(member) ((u32)offsetof(struct cpu, member))
/* From a register's low half to its high half. */
#define YMM_HIGH           (CPU_OFFSET(xsave.ymm_hi) - CPU_OFFSET(xsave.xmm))

/* VEX.mmmmm and VEX.pp; PN..PF2 are in the order of pp. */
enum { VEX_0F = 1, VEX_0F38, VEX_0F3A };

/*
 * One operand slot of a stub: where the pointer is, and which register of each file it is loaded
 * to.
 */
struct stub_role {
    u8 pointer;
    u8 xmm;
    u8 gpr;
};

static const struct stub_role role_reg = { HOST_RSI, 1, HOST_RAX };
static const struct stub_role role_vreg = { HOST_RDX, 3, HOST_RAX };
static const struct stub_role role_is4 = { HOST_RCX, 4, HOST_RAX };
static const struct stub_role role_rm = { HOST_R8, 2, HOST_R9 };

/* Implicit operands, which the rows do not name. */
#define IMPLICIT_XMM0_IN  BIT(0)
#define IMPLICIT_XMM0_OUT BIT(1)
#define IMPLICIT_LENGTHS  BIT(2) /* EAX and EDX in */
#define IMPLICIT_ECX_OUT  BIT(3)

struct stub_implicit {
    u8 map;
    u8 opcode;
    u8 what;
};

static const struct stub_implicit stub_implicits[] = {
    { MAP_0F38, 0x10, IMPLICIT_XMM0_IN },                     /* pblendvb */
    { MAP_0F38, 0x14, IMPLICIT_XMM0_IN },                     /* blendvps */
    { MAP_0F38, 0x15, IMPLICIT_XMM0_IN },                     /* blendvpd */
    { MAP_0F38, 0xCB, IMPLICIT_XMM0_IN },                     /* sha256rnds2 */
    { MAP_0F3A, 0x60, IMPLICIT_LENGTHS | IMPLICIT_XMM0_OUT }, /* pcmpestrm */
    { MAP_0F3A, 0x61, IMPLICIT_LENGTHS | IMPLICIT_ECX_OUT },  /* pcmpestri */
    { MAP_0F3A, 0x62, IMPLICIT_XMM0_OUT },                    /* pcmpistrm */
    { MAP_0F3A, 0x63, IMPLICIT_ECX_OUT },                     /* pcmpistri */
    { MAP_V0F3A, 0x60, IMPLICIT_LENGTHS | IMPLICIT_XMM0_OUT },
    { MAP_V0F3A, 0x61, IMPLICIT_LENGTHS | IMPLICIT_ECX_OUT },
    { MAP_V0F3A, 0x62, IMPLICIT_XMM0_OUT },
    { MAP_V0F3A, 0x63, IMPLICIT_ECX_OUT },
};

static unsigned stub_implicit(const struct insn_row *row)
{
    for (unsigned i = 0; i < ARRAY_SIZE(stub_implicits); i++)
        if (stub_implicits[i].map == row->map && stub_implicits[i].opcode == row->opcode)
            return stub_implicits[i].what;
    return 0;
}

const struct operand_kind *row_operand(const struct insn_row *row, enum operand_source source)
{
    for (unsigned i = 0; i < ARRAY_SIZE(row->op); i++)
        if (operand_kinds[row->op[i]].source == source)
            return &operand_kinds[row->op[i]];
    return NULL;
}

static bool row_is_vex(const struct insn_row *row)
{
    return row->map == MAP_V0F || row->map == MAP_V0F38 || row->map == MAP_V0F3A;
}

/* --- Bytes --- */

static void stub_byte(struct stub *s, u8 byte)
{
    assert(s->len < STUB_MAX);
    s->code[s->len++] = byte;
}

static void stub_bytes(struct stub *s, const void *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        stub_byte(s, ((const u8 *)bytes)[i]);
}

/* ModRM for `reg` and [base + disp32], or [base] when disp is 0. No base here needs a SIB byte. */
static void stub_modrm_mem(struct stub *s, unsigned reg, unsigned base, u32 disp)
{
    stub_byte(s, (u8)((disp ? 0x80 : 0) | (reg & 7) << 3 | (base & 7)));
    if (disp)
        stub_bytes(s, &disp, sizeof(disp));
}

/* `REX 0F opcode` with [base + disp]. */
static void stub_0f_mem(struct stub *s, u8 opcode, unsigned reg, unsigned base, u32 disp)
{
    if (reg >= 8 || base >= 8)
        stub_byte(s, (u8)(0x40 | (reg >= 8) << 2 | (base >= 8)));
    stub_byte(s, 0x0F);
    stub_byte(s, opcode);
    stub_modrm_mem(s, reg, base, disp);
}

/* 64-bit MOV: opcode 8B loads, 89 stores. */
static void stub_mov(struct stub *s, u8 opcode, unsigned reg, unsigned base, u32 disp)
{
    stub_byte(s, (u8)(0x48 | (reg >= 8) << 2 | (base >= 8)));
    stub_byte(s, opcode);
    stub_modrm_mem(s, reg, base, disp);
}

/* The three-byte VEX prefix and the opcode. `vvvv` is 0 when there is none: it reads as 1111. */
static void stub_vex(struct stub *s, unsigned map, unsigned w_l_pp, unsigned reg, unsigned vvvv,
                     unsigned rm, u8 opcode)
{
    stub_byte(s, 0xC4);
    stub_byte(s, (u8)((reg < 8) << 7 | 1 << 6 | (rm < 8) << 5 | map));
    stub_byte(s, (u8)(w_l_pp | (~vvvv & 15) << 3));
    stub_byte(s, opcode);
}

#define VEX_W    0x80
#define VEX_L    0x04
#define VEX_PP66 0x01

/* --- Loads and stores of operands --- */

static void stub_load_xmm(struct stub *s, unsigned xmm, unsigned base, u32 disp)
{
    stub_0f_mem(s, 0x10, xmm, base, disp); /* movups */
}

static void stub_load_ymm(struct stub *s, unsigned xmm, unsigned base, bool whole)
{
    stub_vex(s, VEX_0F, 0, xmm, 0, base, 0x10); /* vmovups xmm, m128 */
    stub_modrm_mem(s, xmm, base, 0);
    if (!whole)
        return;
    stub_vex(s, VEX_0F3A, VEX_L | VEX_PP66, xmm, xmm, base,
             0x18); /* vinsertf128 ymm, ymm, m128, 1 */
    stub_modrm_mem(s, xmm, base, YMM_HIGH);
    stub_byte(s, 1);
}

static void stub_store_ymm(struct stub *s, unsigned xmm, unsigned base, u32 disp)
{
    stub_vex(s, VEX_0F, 0, xmm, 0, base, 0x11); /* vmovups m128, xmm */
    stub_modrm_mem(s, xmm, base, disp);
    stub_vex(s, VEX_0F3A, VEX_L | VEX_PP66, xmm, 0, base, 0x19); /* vextractf128 m128, ymm, 1 */
    stub_modrm_mem(s, xmm, base, disp + YMM_HIGH);
    stub_byte(s, 1);
}

static void stub_load(struct stub *s, const struct hostop_form *f, const struct operand_kind *kind,
                      const struct stub_role *role)
{
    if (kind->file == FILE_GPR)
        stub_mov(s, 0x8B, role->gpr, role->pointer, 0);
    else if (kind->file == FILE_MMX)
        stub_0f_mem(s, 0x6F, role->xmm, role->pointer, 0); /* movq */
    else if (row_is_vex(f->row))
        stub_load_ymm(s, role->xmm, role->pointer, f->ymm);
    else
        stub_load_xmm(s, role->xmm, role->pointer, 0);
}

static void stub_store(struct stub *s, const struct hostop_form *f, const struct operand_kind *kind,
                       const struct stub_role *role)
{
    if (kind->file == FILE_GPR)
        stub_mov(s, 0x89, role->gpr, role->pointer, 0);
    else if (kind->file == FILE_MMX)
        stub_0f_mem(s, 0x7F, role->xmm, role->pointer, 0);
    else if (row_is_vex(f->row))
        stub_store_ymm(s, role->xmm, role->pointer, 0);
    else
        stub_0f_mem(s, 0x11, role->xmm, role->pointer, 0);
}

/* Is the first operand, a register, only written? Then it need not be loaded. */
static bool stub_write_only(const struct insn_row *row, const struct operand_kind *kind)
{
    if (&operand_kinds[row->op[0]] != kind || row->flags_w)
        return false;
    return kind->file == FILE_GPR || (row_is_vex(row) && row->feature != FEAT_FMA);
}

static void stub_load_all(struct stub *s, const struct hostop_form *f)
{
    const struct operand_kind *reg = row_operand(f->row, SRC_REG);
    const struct operand_kind *vreg = row_operand(f->row, SRC_VVVV);
    const struct operand_kind *is4 = row_operand(f->row, SRC_IS4);
    const struct operand_kind *rm = row_operand(f->row, SRC_RM);
    unsigned implicit = stub_implicit(f->row);

    if (reg && !stub_write_only(f->row, reg))
        stub_load(s, f, reg, &role_reg);
    if (vreg && !stub_write_only(f->row, vreg))
        stub_load(s, f, vreg, &role_vreg);
    if (is4)
        stub_load(s, f, is4, &role_is4);
    if (rm && !f->memory && !stub_write_only(f->row, rm))
        stub_load(s, f, rm, &role_rm);
    if (implicit & IMPLICIT_XMM0_IN)
        stub_load_xmm(s, 0, HOST_RDI, CPU_OFFSET(xsave.xmm[0]));
    if (implicit & IMPLICIT_LENGTHS) {
        stub_mov(s, 0x8B, HOST_RAX, HOST_RDI, CPU_OFFSET(gpr[RAX]));
        stub_mov(s, 0x8B, HOST_RDX, HOST_RDI, CPU_OFFSET(gpr[RDX]));
    }
}

static void stub_store_flags(struct stub *s)
{
    stub_byte(s, 0x9C); /* pushfq */
    stub_byte(s, 0x58); /* pop rax */
    stub_mov(s, 0x89, HOST_RAX, HOST_RDI, CPU_OFFSET(aflags));
}

static void stub_store_implicit(struct stub *s, const struct insn_row *row)
{
    unsigned implicit = stub_implicit(row);

    if (implicit & IMPLICIT_ECX_OUT)
        stub_mov(s, 0x89, HOST_RCX, HOST_RDI, CPU_OFFSET(gpr[RCX]));
    if (!(implicit & IMPLICIT_XMM0_OUT))
        return;
    if (row_is_vex(row))
        stub_store_ymm(s, 0, HOST_RDI, CPU_OFFSET(xsave.xmm[0]));
    else
        stub_0f_mem(s, 0x11, 0, HOST_RDI, CPU_OFFSET(xsave.xmm[0]));
}

/*
 * The result is the first operand, but for the instructions whose result is in the flags: they
 * write no register that their row names.
 */
static void stub_store_all(struct stub *s, const struct hostop_form *f)
{
    const struct operand_kind *kind = &operand_kinds[f->row->op[0]];

    if (f->row->flags_w) {
        stub_store_flags(s);
        stub_store_implicit(s, f->row);
    } else if (kind->source == SRC_REG) {
        stub_store(s, f, kind, &role_reg);
    } else if (kind->source == SRC_VVVV) {
        stub_store(s, f, kind, &role_vreg);
    } else if (kind->source == SRC_RM && !f->memory) {
        stub_store(s, f, kind, &role_rm);
    }
}

/* --- The instruction itself --- */

static unsigned stub_host_register(const struct operand_kind *kind, const struct stub_role *role)
{
    return kind->file == FILE_GPR ? role->gpr : role->xmm;
}

static void stub_immediate(struct stub *s, const struct hostop_form *f)
{
    if (row_operand(f->row, SRC_IS4))
        stub_byte(s, (u8)(role_is4.xmm << 4 | (f->imm & 15)));
    else if (row_operand(f->row, SRC_IMM))
        stub_byte(s, f->imm);
}

static void stub_legacy_prefixes(struct stub *s, const struct hostop_form *f, unsigned reg,
                                 unsigned rm)
{
    static const u8 mandatory[] = { [P66] = 0x66, [PF3] = 0xF3, [PF2] = 0xF2 };
    unsigned rex = f->wide << 3 | (reg >= 8) << 2 | (rm >= 8);

    if (f->row->prefix == P66 || f->row->prefix == PF3 || f->row->prefix == PF2)
        stub_byte(s, mandatory[f->row->prefix]);
    if (rex)
        stub_byte(s, (u8)(0x40 | rex));
    stub_byte(s, 0x0F);
    if (f->row->map == MAP_0F38)
        stub_byte(s, 0x38);
    else if (f->row->map == MAP_0F3A)
        stub_byte(s, 0x3A);
}

static void stub_vex_prefix(struct stub *s, const struct hostop_form *f, unsigned reg,
                            unsigned vvvv, unsigned rm)
{
    unsigned map = f->row->map - MAP_V0F + VEX_0F;
    unsigned w_l_pp = (f->wide ? VEX_W : 0) | (f->ymm ? VEX_L : 0) | (f->row->prefix - PN);

    stub_vex(s, map, w_l_pp, reg, vvvv, rm, f->row->opcode);
}

static void stub_instruction(struct stub *s, const struct hostop_form *f)
{
    const struct operand_kind *reg_kind = row_operand(f->row, SRC_REG);
    const struct operand_kind *rm_kind = row_operand(f->row, SRC_RM);
    unsigned vvvv = row_operand(f->row, SRC_VVVV) ? role_vreg.xmm : 0;
    unsigned reg = f->row->digit;
    unsigned rm = role_rm.pointer;

    if (reg_kind)
        reg = stub_host_register(reg_kind, &role_reg);
    if (!f->memory)
        rm = stub_host_register(rm_kind, &role_rm);
    if (row_is_vex(f->row)) {
        stub_vex_prefix(s, f, reg, vvvv, rm);
    } else {
        stub_legacy_prefixes(s, f, reg, rm);
        stub_byte(s, f->row->opcode);
    }
    stub_byte(s, (u8)((f->memory ? 0 : 0xC0) | (reg & 7) << 3 | (rm & 7)));
    stub_immediate(s, f);
}

/* --- Whole stubs --- */

static void stub_mxcsr(struct stub *s, unsigned digit)
{
    stub_0f_mem(s, 0xAE, digit, HOST_RDI, CPU_OFFSET(xsave.mxcsr)); /* /2 ldmxcsr, /3 stmxcsr */
}

static bool stub_uses_mmx(const struct insn_row *row)
{
    return row->attr & ATTR_MMX;
}

/* What the C code around expects (System V ABI, 3.2.1): x87 mode, clean upper halves. */
static void stub_leave(struct stub *s, const struct insn_row *row, u32 result)
{
    static const u8 emms[] = { 0x0F, 0x77 };
    static const u8 vzeroupper[] = { 0xC5, 0xF8, 0x77 };

    if (stub_uses_mmx(row))
        stub_bytes(s, emms, sizeof(emms));
    if (row_is_vex(row))
        stub_bytes(s, vzeroupper, sizeof(vzeroupper));
    stub_byte(s, 0xB8); /* mov eax, result */
    stub_bytes(s, &result, sizeof(result));
    stub_byte(s, 0xC3);
}

static void stub_build_simd(struct stub *s, const struct hostop_form *f)
{
    bool fp = f->row->attr & ATTR_FP;

    if (fp)
        stub_mxcsr(s, 2);
    stub_load_all(s, f);
    stub_instruction(s, f);
    if (fp)
        stub_mxcsr(s, 3);
    stub_store_all(s, f);
    stub_leave(s, f->row, 0);
    if (!fp)
        return;
    s->fault_exit = s->len;
    stub_mxcsr(s, 3);
    stub_leave(s, f->row, 1);
}

/* FCMOVcc reads flags: only the arithmetic ones may get into the host's RFLAGS. */
static void stub_load_flags(struct stub *s)
{
    u32 mask = FLAGS_ARITH;

    stub_mov(s, 0x8B, HOST_RAX, HOST_RDI, CPU_OFFSET(aflags));
    stub_byte(s, 0x25); /* and eax, mask */
    stub_bytes(s, &mask, sizeof(mask));
    stub_byte(s, 0x50); /* push rax */
    stub_byte(s, 0x9D); /* popfq */
}

/*
 * FXRSTOR64, the instruction, FXSAVE64 on the guest's image; FNINIT empties the host's x87 for C.
 */
static void stub_build_x87(struct stub *s, const struct hostop_form *f)
{
    static const u8 fninit[] = { 0xDB, 0xE3 };
    static const u8 rex_w_0f_ae[] = { 0x48, 0x0F, 0xAE };

    if (f->row->flags_r)
        stub_load_flags(s);
    stub_bytes(s, rex_w_0f_ae, sizeof(rex_w_0f_ae));
    stub_modrm_mem(s, 1, HOST_RDI, CPU_OFFSET(xsave));
    if (f->memory)
        stub_byte(s, 0x41); /* REX.B: the base is r8 */
    stub_byte(s, f->row->opcode);
    stub_byte(s, f->memory ? f->modrm & 0x38 : f->modrm);
    stub_bytes(s, rex_w_0f_ae, sizeof(rex_w_0f_ae));
    stub_modrm_mem(s, 0, HOST_RDI, CPU_OFFSET(xsave));
    if (f->row->flags_w)
        stub_store_flags(s);
    stub_bytes(s, fninit, sizeof(fninit));
    stub_leave(s, f->row, 0);
}

void stub_build(struct stub *s, const struct hostop_form *f)
{
    memset(s, 0, sizeof(*s));
    if (f->row->attr & ATTR_X87)
        stub_build_x87(s, f);
    else
        stub_build_simd(s, f);
}
