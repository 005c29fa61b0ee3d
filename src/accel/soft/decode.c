/* SPDX-License-Identifier: MIT */
/*
 * Bytes to struct insn. SDM vol. 2A, chapter 2 (formats), vol. 2D, appendix A (opcode maps).
 *
 * The bytes are read without limit checks from a window that is padded with zeros; at the end the number of bytes
 * looked at decides between a result and DECODE_MORE or DECODE_TOO_LONG.
 */
#include "accel/soft/decode.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/handlers.h"
#include "base/bytes.h"

/* 15 prefixes, opcode, ModRM, SIB, displacement, and the longest immediate: never read past. */
#define WINDOW   48
#define SEG_NONE 0xFF

struct decoder {
    const u8 *bytes;
    unsigned pos; /* bytes taken so far */
    const u64 *features;
    bool is64;
    u32 mode;
    struct insn *out;
    const struct insn_row *row;

    /* Prefixes. */
    u8 rex; /* the byte, or 0 */
    u8 rep; /* 0xF2, 0xF3 or 0: the last one */
    u8 seg;
    bool opsize, addrsize, lock;
    bool vex;
    u8 w, l, vvvv;          /* VEX.vvvv already inverted */
    u8 ext_r, ext_x, ext_b; /* 8 or 0 */
    u8 prefix;              /* enum row_prefix that rows are matched with */

    u8 map, opcode, modrm;
    u8 asz, osz;
    bool memory;
};

/* --- The index of rows by map and opcode --- */

#define INDEX_KEYS    (MAP_COUNT * 256)
#define INDEX_ENTRIES 4096

static struct {
    u16 first[INDEX_KEYS + 1]; /* entries of key k: list[first[k]] to list[first[k + 1] - 1] */
    u16 list[INDEX_ENTRIES];   /* rows, in file order */
} decode_index;

static pthread_once_t decode_index_once = PTHREAD_ONCE_INIT;

static unsigned row_opcodes(const struct insn_row *row)
{
    return row->attr & ATTR_ROWS8 ? 8 : 1;
}

static void index_build(void)
{
    u16 next[INDEX_KEYS];

    for (unsigned r = 0; r < insn_row_count; r++) {
        unsigned key = insn_rows[r].map * 256u + insn_rows[r].opcode;

        for (unsigned i = 0; i < row_opcodes(&insn_rows[r]); i++)
            decode_index.first[key + i + 1]++;
    }
    for (unsigned k = 0; k < INDEX_KEYS; k++) {
        next[k] = decode_index.first[k];
        decode_index.first[k + 1] += decode_index.first[k];
    }
    assert(decode_index.first[INDEX_KEYS] <= INDEX_ENTRIES);
    for (unsigned r = 0; r < insn_row_count; r++) {
        unsigned key = insn_rows[r].map * 256u + insn_rows[r].opcode;

        for (unsigned i = 0; i < row_opcodes(&insn_rows[r]); i++)
            decode_index.list[next[key + i]++] = (u16)r;
    }
}

/* --- Bytes --- */

static u8 take8(struct decoder *d)
{
    return d->bytes[d->pos++];
}

static u64 take_unsigned(struct decoder *d, unsigned size)
{
    const u8 *p = d->bytes + d->pos;

    d->pos += size;
    switch (size) {
    case 1: return *p;
    case 2: return load_le16(p);
    case 4: return load_le32(p);
    default: return load_le64(p);
    }
}

static u64 take_signed(struct decoder *d, unsigned size)
{
    unsigned unused = 64 - 8 * size;

    return (u64)((i64)(take_unsigned(d, size) << unused) >> unused);
}

/* --- Prefixes --- */

static bool prefix_segment(struct decoder *d, u8 byte)
{
    enum seg_reg seg;

    switch (byte) {
    case 0x26: seg = SEG_ES; break;
    case 0x2E: seg = SEG_CS; break;
    case 0x36: seg = SEG_SS; break;
    case 0x3E: seg = SEG_DS; break;
    case 0x64: seg = SEG_FS; break;
    case 0x65: seg = SEG_GS; break;
    default: return false;
    }
    if (!d->is64 || seg >= SEG_FS)
        d->seg = seg;
    return true;
}

static bool prefix_legacy(struct decoder *d, u8 byte)
{
    switch (byte) {
    case 0x66: d->opsize = true; return true;
    case 0x67: d->addrsize = true; return true;
    case 0xF0: d->lock = true; return true;
    case 0xF2:
    case 0xF3: d->rep = byte; return true;
    default: return prefix_segment(d, byte);
    }
}

/* Takes all prefixes; the byte at d->pos is the first of the opcode. A REX counts only right before it. */
static void prefixes_take(struct decoder *d)
{
    while (d->pos < INSN_MAX_LEN) {
        u8 byte = d->bytes[d->pos];

        if (d->is64 && (byte & 0xF0) == 0x40)
            d->rex = byte;
        else if (prefix_legacy(d, byte))
            d->rex = 0;
        else
            break;
        d->pos++;
    }
}

/* --- Opcode --- */

static bool vex_is_here(const struct decoder *d, u8 byte)
{
    if (byte != 0xC4 && byte != 0xC5)
        return false;
    if (d->is64)
        return true;
    /* LES and LDS have no register form. SDM vol. 2A, 2.3.4: no VEX in real and virtual-8086 mode. */
    return (d->bytes[d->pos] & 0xC0) == 0xC0 && (d->mode & (MODE_PE | MODE_VM)) == MODE_PE;
}

/* SDM vol. 2A, figure 2-9. */
static bool vex_take(struct decoder *d, u8 first)
{
    static const u8 prefixes[] = { PN, P66, PF3, PF2 };
    u8 p0 = take8(d);
    u8 last = p0;
    unsigned map = 1;

    if (d->lock || d->opsize || d->rep || d->rex)
        return false;
    d->ext_r = p0 & 0x80 ? 0 : 8;
    if (first == 0xC4) {
        last = take8(d);
        map = p0 & 0x1F;
        d->ext_x = p0 & 0x40 ? 0 : 8;
        d->ext_b = p0 & 0x20 || !d->is64 ? 0 : 8;
        d->w = last >> 7;
    }
    if (map < 1 || map > 3)
        return false;
    d->vex = true;
    d->map = (u8)(MAP_V0F + map - 1);
    d->vvvv = (~last >> 3 & 15) & (d->is64 ? 15 : 7);
    d->l = last >> 2 & 1;
    d->prefix = prefixes[last & 3];
    d->opcode = take8(d);
    return true;
}

static u8 legacy_prefix(const struct decoder *d)
{
    if (d->rep)
        return d->rep == 0xF3 ? PF3 : PF2;
    return d->opsize ? P66 : PN;
}

static bool opcode_take(struct decoder *d)
{
    u8 byte = take8(d);

    if (vex_is_here(d, byte))
        return vex_take(d, byte);
    d->w = d->rex >> 3 & 1;
    d->ext_r = (u8)(d->rex << 1 & 8);
    d->ext_x = (u8)(d->rex << 2 & 8);
    d->ext_b = (u8)(d->rex << 3 & 8);
    d->prefix = legacy_prefix(d);
    d->map = MAP_1;
    if (byte == 0x0F) {
        byte = take8(d);
        d->map = byte == 0x38 ? MAP_0F38 : byte == 0x3A ? MAP_0F3A : MAP_0F;
        if (d->map != MAP_0F)
            byte = take8(d);
    }
    d->opcode = byte;
    return true;
}

/* --- The row --- */

static bool row_fits_modrm(const struct insn_row *row, u8 modrm)
{
    bool reg_form = modrm >= 0xC0;

    return (row->digit == ANY || row->digit == (modrm >> 3 & 7)) &&
           (row->rm == ANY || row->rm == (modrm & 7)) &&
           (row->mod == MA || (row->mod == MR) == reg_form);
}

static bool row_fits(const struct decoder *d, const struct insn_row *row)
{
    if (row->prefix != PA && row->prefix != d->prefix)
        return false;
    if (row->mode != ANY && (row->mode == O64) != d->is64)
        return false;
    if ((row->w != WA && (row->w == W1) != d->w) || (row->l != LA && (row->l == L1) != d->l))
        return false;
    if (row->attr & ATTR_MODRM ? !row_fits_modrm(row, d->modrm)
                               : row->rm != ANY && row->rm != ((d->opcode & 7) | d->ext_b))
        return false;
    return row->feature == FEAT_NONE || feature_has(d->features, row->feature);
}

/* Finds d->row, and takes ModRM when the opcode has one. */
static bool row_find(struct decoder *d)
{
    unsigned key = d->map * 256u + d->opcode;
    unsigned i = decode_index.first[key];
    unsigned end = decode_index.first[key + 1];

    if (i == end)
        return false;
    if (insn_rows[decode_index.list[i]].attr & ATTR_MODRM)
        d->modrm = take8(d);
    for (; i < end; i++) {
        const struct insn_row *row = &insn_rows[decode_index.list[i]];

        if (row_fits(d, row)) {
            d->row = row;
            return true;
        }
    }
    return false;
}

/* --- Sizes --- */

static unsigned decode_osz(const struct decoder *d)
{
    u16 attr = d->row->attr;

    if (attr & ATTR_BYTE)
        return 0;
    if (d->vex || attr & ATTR_Y)
        return d->is64 && d->w ? 3 : 2;
    if (!d->is64)
        return !(d->mode & MODE_CS_D) != d->opsize ? 1 : 2;
    if (attr & ATTR_F64 || d->w)
        return 3;
    if (d->opsize)
        return 1;
    return attr & ATTR_D64 ? 3 : 2;
}

static unsigned decode_asz(const struct decoder *d)
{
    if (d->is64)
        return d->addrsize ? 2 : 3;
    return !(d->mode & MODE_CS_D) != d->addrsize ? 1 : 2;
}

/* --- The memory operand --- */

static void memory_disp(struct decoder *d, unsigned mod, unsigned wide)
{
    if (mod == 1)
        d->out->disp = (i32)take_signed(d, 1);
    else if (mod == 2)
        d->out->disp = (i32)take_signed(d, wide);
}

/* SDM vol. 2A, table 2-1. */
static void memory_take16(struct decoder *d, unsigned mod, unsigned rm)
{
    static const u8 bases[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
    static const u8 indexes[8] = { RSI, RDI, RSI, RDI, GPR_ZERO, GPR_ZERO, GPR_ZERO, GPR_ZERO };

    if (mod == 0 && rm == 6) {
        d->out->disp = (i32)take_signed(d, 2);
        return;
    }
    d->out->base = bases[rm];
    d->out->index = indexes[rm];
    memory_disp(d, mod, 2);
}

/* SDM vol. 2A, table 2-3. Returns false when the base is a bare displacement. */
static void memory_take_sib(struct decoder *d, unsigned mod)
{
    u8 sib = take8(d);
    unsigned index = (sib >> 3 & 7) | d->ext_x;

    d->out->scale = sib >> 6;
    if (index != RSP || d->row->attr & ATTR_VSIB)
        d->out->index = (u8)index;
    else
        d->out->scale = 0;
    if (mod == 0 && (sib & 7) == 5)
        d->out->disp = (i32)take_signed(d, 4);
    else
        d->out->base = (u8)((sib & 7) | d->ext_b);
    memory_disp(d, mod, 4);
}

/* SDM vol. 2A, table 2-2 and 2.2.1.6. */
static void memory_take32(struct decoder *d, unsigned mod, unsigned rm)
{
    if (rm == 4) {
        memory_take_sib(d, mod);
    } else if (mod == 0 && rm == 5) {
        d->out->disp = (i32)take_signed(d, 4);
        if (d->is64)
            d->out->base = GPR_RIP; /* decode_relative() makes it relative to the first byte */
    } else {
        d->out->base = (u8)(rm | d->ext_b);
        memory_disp(d, mod, 4);
    }
}

static void memory_take(struct decoder *d)
{
    unsigned mod = d->modrm >> 6;
    unsigned rm = d->modrm & 7;

    d->memory = true;
    d->out->rm = INSN_RM_MEM;
    if (d->asz == 1)
        memory_take16(d, mod, rm);
    else
        memory_take32(d, mod, rm);
}

static u8 memory_seg(const struct decoder *d)
{
    if (d->seg != SEG_NONE)
        return d->seg;
    /* Without a memory operand these use the stack, or none. */
    if (!d->memory && d->row->attr & (ATTR_D64 | ATTR_F64))
        return SEG_SS;
    return d->out->base == RSP || d->out->base == RBP ? SEG_SS : SEG_DS;
}

/* --- Operands --- */

/* The register field for number `n` of the operand's file. */
static u8 operand_register(const struct decoder *d, const struct operand_kind *kind, unsigned n)
{
    switch ((enum operand_file)kind->file) {
    case FILE_GPR:
        if (kind->size != SZ_B)
            return (u8)n;
        if (d->rex || d->vex || n < 4)
            return (u8)(n * 8);
        return (u8)((n - 4) * 8 + 1); /* AH, CH, DH, BH */
    case FILE_SEG:
    case FILE_ST:
    case FILE_MMX: return n & 7;
    case FILE_NONE:
    case FILE_CR:
    case FILE_DR:
    case FILE_XMM:
    default: return (u8)n;
    }
}

static bool operand_take_rm(struct decoder *d, const struct operand_kind *kind)
{
    if (d->modrm >= 0xC0 || kind->source == SRC_RM_ANY) {
        d->out->rm = operand_register(d, kind, (d->modrm & 7u) | d->ext_b);
        return kind->file != FILE_NONE;
    }
    if (kind->source == SRC_VSIB && ((d->modrm & 7) != 4 || d->asz == 1))
        return false;
    memory_take(d);
    return true;
}

static bool operand_take_reg(struct decoder *d, const struct operand_kind *kind)
{
    d->out->reg = operand_register(d, kind, (d->modrm >> 3 & 7u) | d->ext_r);
    return kind->file != FILE_SEG || d->out->reg < SEG_COUNT;
}

static void operand_take_far(struct decoder *d)
{
    u64 offset = take_unsigned(d, d->osz == 1 ? 2 : 4);

    d->out->imm = offset | take_unsigned(d, 2) << 32;
}

static void operand_take_fixed(struct decoder *d, const struct operand_kind *kind, unsigned place)
{
    if (kind->file == FILE_SEG)
        d->out->reg = kind->number;
    else if (place == 0 && kind->file == FILE_GPR)
        d->out->rm = operand_register(d, kind, kind->number);
}

static void operand_take_imm(struct decoder *d, unsigned size, unsigned place)
{
    u64 value = take_unsigned(d, size);

    /* ENTER is the only one with two. */
    d->out->imm |= place == 1 && d->row->op[0] == OP_Iw ? value << 16 : value;
}

static bool operand_take(struct decoder *d, unsigned place)
{
    const struct operand_kind *kind = &operand_kinds[d->row->op[place]];

    switch ((enum operand_source)kind->source) {
    case SRC_RM:
    case SRC_VSIB:
    case SRC_RM_ANY: return operand_take_rm(d, kind);
    case SRC_REG: return operand_take_reg(d, kind);
    case SRC_VVVV: d->out->vreg = d->vvvv; break;
    case SRC_OPCODE: d->out->rm = operand_register(d, kind, (d->opcode & 7u) | d->ext_b); break;
    case SRC_IMM: operand_take_imm(d, operand_size_bytes(kind->size, d->osz), place); break;
    case SRC_IS4: d->out->imm = take8(d); break;
    case SRC_SIMM:
    case SRC_REL: d->out->imm = take_signed(d, operand_size_bytes(kind->size, d->osz)); break;
    case SRC_MOFFS:
        d->memory = true;
        d->out->rm = INSN_RM_MEM;
        d->out->imm = take_unsigned(d, 1u << d->asz);
        break;
    case SRC_FAR: operand_take_far(d); break;
    case SRC_FIXED: operand_take_fixed(d, kind, place); break;
    case SRC_NONE:
    case SRC_ONE:
    case SRC_RSI:
    case SRC_RDI:
    default: break;
    }
    return true;
}

static bool operands_take(struct decoder *d)
{
    bool vvvv_used = false;

    d->out->reg = d->modrm >> 3 & 7;
    d->out->base = GPR_ZERO;
    d->out->index = GPR_ZERO;
    for (unsigned i = 0; i < 4 && d->row->op[i] != OP__; i++) {
        if (!operand_take(d, i))
            return false;
        vvvv_used |= operand_kinds[d->row->op[i]].source == SRC_VVVV;
    }
    return !d->vex || vvvv_used || d->vvvv == 0; /* SDM vol. 2A, 2.3.5.6 */
}

/* --- The whole --- */

/* What is relative to the next instruction becomes relative to this one's first byte. */
static void decode_relative(struct decoder *d)
{
    if (d->out->base == GPR_RIP)
        insn_disp_add(d->out, d->pos);
    if (operand_kinds[d->row->op[0]].source == SRC_REL)
        d->out->imm += d->pos;
}

static u8 decode_flags(const struct decoder *d)
{
    unsigned flags = (unsigned)d->osz << INSN_OSZ_SHIFT | (unsigned)d->asz << INSN_ASZ_SHIFT;

    /* XCHG with memory locks by itself. */
    if (d->lock || (d->memory && d->row->fn == x_xchg_E_G))
        flags |= INSN_LOCK;
    if (d->rep)
        flags |= d->rep == 0xF3 ? INSN_REP : INSN_REPNE;
    if (d->vex && d->l)
        flags |= INSN_VEX_L;
    /* Not outside 64-bit mode: there the sum must be cut to 32 bits, and insn_addr() does not. */
    if (d->asz == 3 && d->out->seg < SEG_FS)
        flags |= INSN_FLAT;
    return (u8)flags;
}

static bool decode_parts(struct decoder *d)
{
    prefixes_take(d);
    if (!opcode_take(d) || !row_find(d))
        return false;
    d->osz = (u8)decode_osz(d);
    d->asz = (u8)decode_asz(d);
    if (!operands_take(d))
        return false;
    if (d->lock && !(d->row->attr & ATTR_LOCK && d->memory))
        return false;
    d->out->fn = d->row->fn[(d->memory ? 4 : 0) + d->osz];
    d->out->row = (u16)(d->row - insn_rows);
    d->out->seg = memory_seg(d);
    d->out->flags = decode_flags(d);
    return d->out->fn != NULL;
}

enum decode_result decode_insn(const u8 *bytes, size_t avail, u32 mode, const u64 *features,
                               struct insn *out)
{
    u8 window[WINDOW];
    struct decoder d = { .bytes = bytes,
                         .features = features,
                         .is64 = mode & MODE_CS_L,
                         .mode = mode,
                         .out = out,
                         .seg = SEG_NONE };
    bool ok;

    pthread_once(&decode_index_once, index_build);
    if (avail < WINDOW) {
        memset(window, 0, sizeof(window));
        memcpy(window, bytes, avail);
        d.bytes = window;
    }
    memset(out, 0, sizeof(*out));
    ok = decode_parts(&d);
    if (d.pos > INSN_MAX_LEN)
        return DECODE_TOO_LONG;
    if (d.pos > avail)
        return DECODE_MORE;
    if (!ok)
        return DECODE_UD;
    decode_relative(&d);
    out->len = d.pos & 15;
    return DECODE_OK;
}
