/* SPDX-License-Identifier: MIT */
/* struct insn to text, Intel syntax, from the same rows that it was decoded by. */
#include <inttypes.h>
#include <string.h>

#include "accel/soft/decode.h"
#include "base/text.h"

struct printer {
    struct text text;
    const struct insn *in;
    const struct insn_row *row;
    u64 rip;
    u32 mode;
};

/* A part of "a/b/c" (or "a:b:c"), counted from 0; the last one when there are fewer. */
static void print_choice(struct printer *p, const char *names, char separator, unsigned choice)
{
    const char *end;

    for (;; names = end + 1, choice--) {
        end = strchr(names, separator);
        if (!end || !choice)
            break;
    }
    text_add(&p->text, "%.*s", (int)(end ? (size_t)(end - names) : strlen(names)), names);
}

static void print_name(struct printer *p)
{
    const struct insn *in = p->in;

    if (in->flags & INSN_LOCK)
        text_add(&p->text, "lock ");
    if (p->row->class == CLASS_STRING && in->flags & (INSN_REP | INSN_REPNE))
        text_add(&p->text, in->flags & INSN_REP ? "rep " : "repnz ");
    if (strchr(p->row->name, ':'))
        print_choice(p, p->row->name, ':', insn_asz(in) - 1);
    else
        print_choice(p, p->row->name, '/', MAX(insn_osz(in), 1) - 1);
}

/* --- Registers --- */

static const char *const gpr_names[4][16] = {
    { "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b",
      "r13b", "r14b", "r15b" },
    { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w", "r13w",
      "r14w", "r15w" },
    { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d",
      "r13d", "r14d", "r15d" },
    { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
      "r13", "r14", "r15" },
};

static const char *const seg_names[8] = { "es", "cs", "ss", "ds", "fs", "gs", "?", "?" };

static unsigned bytes_log2(unsigned bytes)
{
    return bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 8 ? 3 : 2;
}

static void print_gpr(struct printer *p, unsigned reg, unsigned bytes)
{
    static const char *const high[4] = { "ah", "ch", "dh", "bh" };

    if (bytes != 1)
        text_add(&p->text, "%s", gpr_names[bytes_log2(bytes)][reg & 15]);
    else if (reg & 1)
        text_add(&p->text, "%s", high[reg >> 3 & 3]);
    else
        text_add(&p->text, "%s", gpr_names[0][reg >> 3 & 15]);
}

static void print_register(struct printer *p, const struct operand_kind *kind, unsigned reg,
                           unsigned bytes)
{
    switch ((enum operand_file)kind->file) {
    case FILE_GPR: print_gpr(p, reg, bytes); break;
    case FILE_SEG: text_add(&p->text, "%s", seg_names[reg & 7]); break;
    case FILE_CR: text_add(&p->text, "cr%u", reg); break;
    case FILE_DR: text_add(&p->text, "dr%u", reg); break;
    case FILE_ST: text_add(&p->text, "st(%u)", reg); break;
    case FILE_MMX: text_add(&p->text, "mm%u", reg); break;
    case FILE_XMM: text_add(&p->text, "%cmm%u", bytes == 32 ? 'y' : 'x', reg); break;
    case FILE_NONE:
    default: text_add(&p->text, "?"); break;
    }
}

/* --- Memory --- */

static void print_size(struct printer *p, unsigned bytes)
{
    static const struct {
        unsigned bytes;
        const char *name;
    } sizes[] = {
        { 1, "BYTE" },  { 2, "WORD" },   { 4, "DWORD" },    { 6, "FWORD" },
        { 8, "QWORD" }, { 10, "TBYTE" }, { 16, "XMMWORD" }, { 32, "YMMWORD" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
        if (sizes[i].bytes == bytes)
            text_add(&p->text, "%s PTR ", sizes[i].name);
}

static void print_segment(struct printer *p, unsigned usual)
{
    if (p->in->seg != usual)
        text_add(&p->text, "%s:", seg_names[p->in->seg & 7]);
}

static void print_disp(struct printer *p, bool alone)
{
    static const u64 masks[4] = { 0, 0xFFFF, 0xFFFFFFFF, ~(u64)0 };
    i64 disp = p->in->disp;

    if (alone)
        text_add(&p->text, "0x%" PRIx64, (u64)disp & masks[insn_asz(p->in)]);
    else if (disp)
        text_add(&p->text, "%c0x%" PRIx64, disp < 0 ? '-' : '+', (u64)(disp < 0 ? -disp : disp));
}

/* RIP-relative operands are printed as the address that they come to: [rip 0x401000]. */
static void print_rip_relative(struct printer *p)
{
    const struct insn *in = p->in;
    u64 addr =
        p->rip - in->off + (u64)(i64)in->disp + (in->index == GPR_BIAS ? UINT64_C(1) << 31 : 0);

    if (insn_asz(in) == 2)
        addr = (u32)addr;
    text_add(&p->text, "[%s 0x%" PRIx64 "]", insn_asz(in) == 2 ? "eip" : "rip", addr);
}

static void print_index(struct printer *p, bool plus, unsigned file_bytes)
{
    const struct insn *in = p->in;

    text_add(&p->text, "%s", plus ? "+" : "");
    if (p->row->attr & ATTR_VSIB)
        text_add(&p->text, "%cmm%u", file_bytes == 32 ? 'y' : 'x', in->index);
    else
        text_add(&p->text, "%s", gpr_names[insn_asz(in)][in->index & 15]);
    if (insn_asz(in) != 1)
        text_add(&p->text, "*%u", 1u << in->scale);
}

static void print_memory(struct printer *p, unsigned bytes)
{
    const struct insn *in = p->in;
    bool base = in->base < GPR_ZERO, index = in->index < GPR_ZERO;

    print_size(p, bytes);
    print_segment(p, in->base == RSP || in->base == RBP ? SEG_SS : SEG_DS);
    if (in->base == GPR_RIP) {
        print_rip_relative(p);
        return;
    }
    text_add(&p->text, "[");
    if (base)
        text_add(&p->text, "%s", gpr_names[insn_asz(in)][in->base]);
    if (index)
        print_index(p, base, in->flags & INSN_VEX_L ? 32 : 16);
    print_disp(p, !base && !index);
    text_add(&p->text, "]");
}

static void print_string_memory(struct printer *p, unsigned bytes, bool source)
{
    const char *reg = gpr_names[insn_asz(p->in)][source ? RSI : RDI];

    print_size(p, bytes);
    text_add(&p->text, "%s:[%s]", seg_names[source ? p->in->seg : SEG_ES], reg);
}

/* --- Operands --- */

/* An immediate, cut to the size of the operand that it is combined with. */
static void print_immediate(struct printer *p, const struct operand_kind *kind, unsigned place)
{
    unsigned bits = 8u << insn_osz(p->in);
    u64 value = p->in->imm;

    if (kind->source == SRC_IMM && p->row->op[0] == OP_Iw)
        value = place ? value >> 16 : value & 0xFFFF; /* ENTER */
    if (bits < 64)
        value &= BIT64(bits) - 1;
    text_add(&p->text, "0x%" PRIx64, value);
}

static void print_target(struct printer *p)
{
    u64 target = p->rip - p->in->off + p->in->imm;

    if (!(p->mode & MODE_CS_L))
        target &= insn_osz(p->in) == 1 ? 0xFFFF : 0xFFFFFFFF;
    text_add(&p->text, "0x%" PRIx64, target);
}

static void print_rm(struct printer *p, const struct operand_kind *kind, unsigned bytes)
{
    if (p->in->rm == INSN_RM_MEM)
        print_memory(p, bytes);
    else
        print_register(p, kind, p->in->rm, bytes);
}

static void print_moffs(struct printer *p)
{
    text_add(&p->text, "%s:0x%" PRIx64, seg_names[p->in->seg & 7], p->in->imm);
}

static void print_fixed(struct printer *p, const struct operand_kind *kind, unsigned bytes)
{
    bool byte = kind->file == FILE_GPR && bytes == 1;

    print_register(p, kind, byte ? kind->number * 8u : kind->number, bytes);
}

static void print_operand(struct printer *p, unsigned place)
{
    const struct operand_kind *kind = &operand_kinds[p->row->op[place]];
    unsigned bytes = operand_bytes(p->in, p->row->op[place], p->mode);
    const struct insn *in = p->in;

    switch ((enum operand_source)kind->source) {
    case SRC_RM:
    case SRC_VSIB:
    case SRC_RM_ANY: print_rm(p, kind, bytes); break;
    case SRC_REG: print_register(p, kind, in->reg, bytes); break;
    case SRC_VVVV: print_register(p, kind, in->vreg, bytes); break;
    case SRC_OPCODE: print_register(p, kind, in->rm, bytes); break;
    case SRC_FIXED: print_fixed(p, kind, bytes); break;
    case SRC_IS4: print_register(p, kind, in->imm >> 4 & 15, bytes); break;
    case SRC_IMM:
    case SRC_SIMM: print_immediate(p, kind, place); break;
    case SRC_REL: print_target(p); break;
    case SRC_MOFFS: print_moffs(p); break;
    case SRC_FAR: text_add(&p->text, "0x%x:0x%x", (unsigned)(in->imm >> 32), (u32)in->imm); break;
    case SRC_ONE: text_add(&p->text, "1"); break;
    case SRC_RSI: print_string_memory(p, bytes, true); break;
    case SRC_RDI: print_string_memory(p, bytes, false); break;
    case SRC_NONE:
    default: break;
    }
}

char *insn_print(const struct insn *in, u64 rip, u32 mode, char *text, size_t size)
{
    struct printer p = { .text = { .bytes = text, .size = size },
                         .in = in,
                         .row = &insn_rows[in->row],
                         .rip = rip,
                         .mode = mode };

    text[0] = 0;
    print_name(&p);
    for (unsigned i = 0; i < 4 && p.row->op[i] != OP__; i++) {
        text_add(&p.text, i ? "," : " ");
        print_operand(&p, i);
    }
    return text;
}
