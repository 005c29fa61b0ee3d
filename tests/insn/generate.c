/* SPDX-License-Identifier: MIT */
/*
 * Random instructions from the rows of insn.def, and register and memory contents to run them on.
 *
 * Every memory operand is aimed at the case's data: the first instruction of a case by choosing its base and
 * index registers' values, the later ones (which follow instructions that may change any register) by absolute
 * and RIP-relative addresses. Branches stay within the code pages, which are full of INT3.
 */
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/decode.h"
#include "base/bytes.h"
#include "case.h"

#define PREFIX_OSZ  0x66u
#define PREFIX_ASZ  0x67u
#define PREFIX_LOCK 0xF0u

struct generator {
    struct insn_case *c;
    struct case_state *state;
    const struct insn_row *row;
    u64 *seed;
    bool first; /* may choose register values */
    bool rex_w, osz16;
    bool memory;
    u8 rex;     /* R, X, B bits in use */
    u8 reg;     /* ModRM.reg with its extension */
    u64 target; /* linear address of the memory operand */
    u64 pinned; /* set of registers whose values are spoken for */
};

/* --- Which rows --- */

static bool generate_named(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (!strncmp(name, *list, strlen(*list)))
            return true;
    return false;
}

static bool generate_has_source(const struct insn_row *row, enum operand_source source)
{
    for (unsigned i = 0; i < 4; i++)
        if (operand_kinds[row->op[i]].source == source)
            return true;
    return false;
}

static bool generate_is_vex(const struct insn_row *row)
{
    return row->map >= MAP_V0F;
}

bool generate_wants(unsigned index, bool code32)
{
    /* System instructions that behave in user mode on both sides. */
    static const char *const sys_ok[] = { "ldmxcsr", "stmxcsr", "vldmxcsr", "vstmxcsr", "lfence",
                                          "mfence",  "sfence",  "clflush",  "clwb",     "prefetch",
                                          "lahf",    "sahf",    "fxsave",   NULL };
    /* Reach state that the harness needs, or differ in what no test can pin down. */
    static const char *const never[] = { "xbegin",         "xend",       "xabort", "rdpkru",
                                         "vzeroall_never", "ud0",        "ud1",    "vmcall",
                                         "vmmcall",        "salc_never", "bound",  NULL };
    const struct insn_row *row = &insn_rows[index];

    if (row->mode == (code32 ? O64 : N64) || !feature_has(engine_features(), row->feature) ||
        (row->attr & ATTR_X87 && !feature_has(engine_features(), FEAT_FPU)))
        return false;
    if (generate_named(row->name, never))
        return false;
    if (generate_has_source(row, SRC_FAR) || generate_has_source(row, SRC_IS4 + 100))
        return false;
    if (row->class == CLASS_SYS)
        return (row->attr & ATTR_CPL0) || generate_named(row->name, sys_ok);
    return true;
}

/* --- Values --- */

static u64 generate_value(u64 *seed)
{
    static const u64 special[] = {
        0,
        1,
        2,
        0x7F,
        0x80,
        0xFF,
        0x7FFF,
        0x8000,
        0xFFFF,
        0x7FFFFFFF,
        0x80000000u,
        0xFFFFFFFFu,
        0x7FFFFFFFFFFFFFFFu,
        0x8000000000000000u,
        0xFFFFFFFFFFFFFFFFu,
        63,
        64,
        31,
        32,
    };
    u64 r = random_next(seed);

    switch (r & 7) {
    case 0:
    case 1: return special[(r >> 8) % ARRAY_SIZE(special)];
    case 2: return r >> 8 & 0xFF;
    case 3: return (u64)(i64)(i32)(r >> 32);
    case 4: return r >> (r >> 3 & 63);
    default: return random_next(seed);
    }
}

/* Floating-point patterns: ordinary, zero, infinite, NaN, denormal. */
static u64 generate_double(u64 *seed)
{
    u64 r = random_next(seed), mantissa = random_next(seed) & 0xFFFFFFFFFFFFFu,
        sign = r & BIT64(63);

    switch (r & 15) {
    case 0: return sign;
    case 1: return sign | 0x7FF0000000000000u;
    case 2: return sign | 0x7FF8000000000000u | mantissa;
    case 3: return sign | 0x7FF0000000000000u | (mantissa >> 1) | 1;
    case 4: return sign | mantissa;
    case 5: return sign | 0x3FF0000000000000u;
    default: return sign | (0x3C0 + (r >> 8 & 0x7F)) << 52 | mantissa;
    }
}

static u32 generate_float(u64 *seed)
{
    u32 r = (u32)random_next(seed), mantissa = (u32)random_next(seed) & 0x7FFFFF,
        sign = r & BIT(31);

    switch (r & 15) {
    case 0: return sign;
    case 1: return sign | 0x7F800000u;
    case 2: return sign | 0x7FC00000u | mantissa;
    case 3: return sign | 0x7F800000u | (mantissa >> 1) | 1;
    case 4: return sign | mantissa;
    default: return sign | (0x70 + (r >> 8 & 0x1F)) << 23 | mantissa;
    }
}

static void generate_vector(u64 *seed, u8 *to, size_t size)
{
    unsigned kind = (unsigned)random_below(seed, 4);

    for (size_t i = 0; i < size; i += 8) {
        u64 v;

        if (kind == 0)
            v = generate_double(seed);
        else if (kind == 1)
            v = generate_float(seed) | (u64)generate_float(seed) << 32;
        else
            v = generate_value(seed);
        store_le64(to + i, v);
    }
}

static void generate_x87(u64 *seed, struct xsave_area *x)
{
    static const u16 controls[] = { 0x37F, 0x37F, 0x27F, 0x7F, 0xB7F, 0x77F, 0xF7F };

    x->fcw = controls[random_below(seed, ARRAY_SIZE(controls))];
    if (!random_below(seed, 8))
        x->fcw &= (u16) ~(1u << random_below(seed, 6));
    x->fsw = (u16)(random_next(seed) & 0x7F7F);
    if (random_below(seed, 4))
        x->fsw &= (u16)~0x3Fu;
    if (x->fsw & ~x->fcw & 0x3F)
        x->fsw |= 0x8080;
    else
        x->fsw &= (u16)~0x8080u;
    x->ftw = random_below(seed, 3) ? 0xFF : (u8)random_next(seed);
    for (unsigned i = 0; i < 8; i++) {
        u64 r = random_next(seed);

        store_le64(x->st[i], (r & 7) ? random_next(seed) | BIT64(63) : generate_value(seed));
        store_le64(x->st[i] + 8, 0);
        store_le16(x->st[i] + 8, (u16)((r & 0x70) ? 0x3FC0 + (r >> 8 & 0x7F) : r >> 16));
        if (r & BIT64(40))
            x->st[i][9] |= 0x80;
    }
}

static void generate_mxcsr(u64 *seed, struct xsave_area *x)
{
    u64 r = random_next(seed);

    x->mxcsr = 0x1F80 | (u32)(r & 0x603F);
    if (!(r & 0x700000))
        x->mxcsr |= 0x8040; /* FTZ, DAZ */
    if (!(r & 0xF000000))
        x->mxcsr &= ~(1u << (7 + (r >> 32) % 6));
}

static void generate_state(struct case_state *s, u64 *seed, bool code32)
{
    memset(&s->xsave, 0, sizeof(s->xsave));
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = generate_value(seed);
    s->gpr[RSP] = CASE_STACK + 0x800 + random_below(seed, 16) * 8;
    s->rip = CASE_ENTRY;
    s->rflags = random_next(seed) & FLAGS_ARITH;
    if (!random_below(seed, 4))
        s->rflags |= FLAG_DF;
    s->rflags |= FLAG_1 | FLAG_IF;
    s->xsave.mxcsr_mask = 0xFFFF;
    generate_x87(seed, &s->xsave);
    generate_mxcsr(seed, &s->xsave);
    generate_vector(seed, s->xsave.xmm[0], sizeof(s->xsave.xmm));
    generate_vector(seed, s->xsave.ymm_hi[0], sizeof(s->xsave.ymm_hi));
    for (unsigned i = 0; i < sizeof(s->data); i += 64)
        generate_vector(seed, s->data + i, 64);
    for (unsigned i = 0; i < sizeof(s->stack); i += 8)
        store_le64(s->stack + i, random_next(seed));
    if (!code32)
        return;
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = i < 8 ? (u32)s->gpr[i] : 0;
    memset(s->xsave.xmm[8], 0, 8 * 16);
    memset(s->xsave.ymm_hi[8], 0, 8 * 16);
}

/* --- Encoding --- */

static void generate_byte(struct generator *g, unsigned byte)
{
    if (g->c->size < CASE_CODE_MAX)
        g->c->code[g->c->size++] = (u8)byte;
}

static void generate_bytes(struct generator *g, u64 value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        generate_byte(g, value >> (i * 8) & 0xFF);
}

/* Where a memory operand goes: mostly inside, sometimes across the middle page or over the end. */
static u64 generate_target(u64 *seed)
{
    u64 r = random_next(seed);

    switch (r & 15) {
    case 0: return CASE_DATA + CASE_DATA_SIZE - (r >> 8 & 63);
    case 1: return CASE_DATA + 0x1000 - (r >> 8 & 63);
    case 2:
    case 3:
    case 4: return CASE_DATA + 0x200 + (r >> 8 & 0x7FF);
    default: return CASE_DATA + 0x200 + (r >> 8 & 0x7C0);
    }
}

static void generate_pin(struct generator *g, unsigned reg, u64 value)
{
    g->state->gpr[reg] = g->c->code32 ? (u32)value : value;
    g->pinned |= BIT64(reg);
}

static bool generate_is_vsib(const struct insn_row *row)
{
    return strstr(row->name, "gather") != NULL;
}

/* A gather's index register: small elements, so that all stay inside the data. */
static void generate_vsib_index(struct generator *g, unsigned index)
{
    for (unsigned i = 0; i < 16; i += 4) {
        store_le32(g->state->xsave.xmm[index] + i, 0);
        store_le32(g->state->xsave.ymm_hi[index] + i, 0);
    }
    for (unsigned i = 0; i < 16; i += 8) {
        store_le64(g->state->xsave.xmm[index] + i, random_below(g->seed, 64));
        store_le64(g->state->xsave.ymm_hi[index] + i, random_below(g->seed, 64));
    }
}

/* ModRM, SIB and displacement with registers of the generator's choice. */
static void generate_modrm_based(struct generator *g, u8 reg)
{
    unsigned base = (unsigned)random_below(g->seed, g->c->code32 ? 8 : 16);
    unsigned index = (unsigned)random_below(g->seed, g->c->code32 ? 8 : 16);
    bool vsib = generate_is_vsib(g->row);
    bool sib = vsib || (base & 7) == 4 || random_below(g->seed, 2);
    unsigned mod = 1 + (unsigned)random_below(g->seed, 2),
             scale = (unsigned)random_below(g->seed, 4);
    i32 disp = mod == 1 ? (i8)random_next(g->seed) : (i32)random_below(g->seed, 0x1000) - 0x800;
    u64 offset = 0;

    if (g->pinned & BIT64(base) || base == RSP)
        base = RBX; /* keeps the stack pointer; RBX is pinned by no other operand kind but XLAT */
    if (!vsib && (index == base || index == RSP || g->pinned & BIT64(index)))
        index = RSP; /* none */
    if (vsib) {
        generate_vsib_index(g, index);
    } else if (sib && index != RSP) {
        u64 value = random_below(g->seed, 64);

        generate_pin(g, index, value);
        offset = value << scale;
    }
    generate_pin(g, base, g->target - (u64)(i64)disp - offset);
    g->rex = (u8)(g->rex | (base >> 3 & 1) | (sib ? (index >> 3 & 1) << 1 : 0));
    generate_byte(g, mod << 6 | (reg & 7u) << 3 | (sib ? 4 : base & 7));
    if (sib)
        generate_byte(g, scale << 6 | (index & 7) << 3 | (base & 7));
    generate_bytes(g, (u64)(i64)disp, mod == 1 ? 1 : 4);
}

/* Absolute: [disp32] through a SIB without base in 64-bit code. RIP-relative is fixed up by the caller. */
static void generate_modrm_absolute(struct generator *g, u8 reg)
{
    if (g->c->code32) {
        generate_byte(g, (reg & 7u) << 3 | 5);
    } else {
        generate_byte(g, (reg & 7u) << 3 | 4);
        generate_byte(g, 0x25);
    }
    generate_bytes(g, g->target, 4);
}

static bool generate_is_wide_bit_test(const struct insn_row *row)
{
    return row->name[0] == 'b' && row->name[1] == 't' && generate_has_source(row, SRC_REG);
}

static void generate_modrm(struct generator *g)
{
    const struct insn_row *row = g->row;
    unsigned rm = row->rm != ANY ? row->rm : (unsigned)random_below(g->seed, 8);

    if (!g->memory) {
        generate_byte(g, 0xC0u | (g->reg & 7u) << 3 | rm);
        return;
    }
    if (generate_is_wide_bit_test(row)) {
        /* The register's bit offset moves the address. */
        generate_pin(g, g->reg, (u64)((i64)random_below(g->seed, 2048) - 1024));
        g->target = CASE_DATA + 0x800;
    }
    if (g->first && (generate_is_vsib(row) || random_below(g->seed, 8)))
        generate_modrm_based(g, g->reg);
    else
        generate_modrm_absolute(g, g->reg);
}

static void generate_immediates(struct generator *g)
{
    for (unsigned i = 0; i < 4; i++) {
        const struct operand_kind *kind = &operand_kinds[g->row->op[i]];
        bool code32 = g->c->code32;
        unsigned size = 1;

        switch (kind->size) {
        case SZ_W: size = 2; break;
        case SZ_Z: size = g->osz16 ? 2 : 4; break;
        case SZ_V: size = g->rex_w ? 8 : g->osz16 ? 2 : 4; break;
        case SZ_D: size = 4; break;
        default: break;
        }
        switch (kind->source) {
        case SRC_IMM:
        case SRC_SIMM: generate_bytes(g, generate_value(g->seed), size); break;
        case SRC_IS4: generate_bytes(g, random_next(g->seed) & (code32 ? 0x70 : 0xF0), 1); break;
        case SRC_REL:
            /* Onto an INT3, and not back into the branch: the host would loop for ever. */
            generate_bytes(g,
                           random_below(g->seed, 2) ? random_below(g->seed, 0x80)
                                                    : (u64)-0x80 + random_below(g->seed, 0x60),
                           size == 1 ? 1 : 4);
            break;
        case SRC_MOFFS: generate_bytes(g, g->target, code32 ? 4 : 8); break;
        default: break;
        }
    }
}

/* Registers that an instruction uses without naming them. */
static void generate_implicit(struct generator *g)
{
    const char *name = g->row->name;
    u64 code = CASE_CODE + 0x100 + random_below(g->seed, 0x600);

    if (generate_has_source(g->row, SRC_RSI) || generate_has_source(g->row, SRC_RDI)) {
        generate_pin(g, RSI, generate_target(g->seed));
        generate_pin(g, RDI, generate_target(g->seed));
        generate_pin(g, RCX, random_below(g->seed, 100));
    } else if (!strncmp(name, "maskmov", 7) || !strncmp(name, "vmaskmovdqu", 11)) {
        generate_pin(g, RDI, generate_target(g->seed));
    } else if (!strcmp(name, "xlatb") || !strcmp(name, "xlat")) {
        generate_pin(g, RBX, generate_target(g->seed));
    } else if (!strncmp(name, "ret", 3)) {
        u64 at = g->state->gpr[RSP] - CASE_STACK;

        store_le64(g->state->stack + at, g->c->code32 ? (u32)code : code);
    } else if (!strncmp(name, "leave", 5) || !strncmp(name, "enter", 5)) {
        generate_pin(g, RBP, CASE_STACK + 0x600 + random_below(g->seed, 0x200));
    }
}

/* Indirect branches: their target, in the register or in memory, is in the code pages. */
static void generate_indirect(struct generator *g, unsigned rm)
{
    u64 code = CASE_CODE + 0x100 + random_below(g->seed, 0x600);
    u64 at = g->target - CASE_DATA;

    if (g->row->class != CLASS_FLOW || !generate_has_source(g->row, SRC_RM))
        return;
    if (!g->memory)
        generate_pin(g, rm, code);
    else if (at + 8 <= CASE_DATA_SIZE)
        store_le64(g->state->data + at, code);
}

static bool generate_choose_memory(struct generator *g)
{
    switch (g->row->mod) {
    case MM: return true;
    case MR: return false;
    default:
        return (g->row->attr & ATTR_MODRM) && generate_has_source(g->row, SRC_RM) &&
               random_below(g->seed, 2);
    }
}

static unsigned generate_opcode_reg(struct generator *g)
{
    if (!(g->row->attr & ATTR_ROWS8))
        return 0;
    return g->row->rm != ANY ? g->row->rm & 7u : (unsigned)random_below(g->seed, 8);
}

static void generate_vex(struct generator *g, unsigned at, unsigned w, unsigned l, unsigned vvvv)
{
    static const u8 pp[] = { [PA] = 0, [PN] = 0, [P66] = 1, [PF3] = 2, [PF2] = 3 };
    struct insn_case *c = g->c;
    u8 rex = g->rex;

    memmove(c->code + at + 3, c->code + at, c->size - at);
    c->size += 3;
    c->code[at] = 0xC4;
    c->code[at + 1] = (u8)((~rex & 7u) << 5 | (g->row->map - MAP_V0F + 1u));
    c->code[at + 2] = (u8)(w << 7 | (~vvvv & 15u) << 3 | l << 2 | pp[g->row->prefix]);
}

static void generate_insn_vex(struct generator *g)
{
    unsigned at = g->c->size, limit = g->c->code32 ? 8 : 16;
    unsigned w = g->row->w == WA ? (unsigned)random_below(g->seed, 2) : g->row->w == W1;
    unsigned l = g->row->l == LA ? (unsigned)random_below(g->seed, 2) : g->row->l == L1;
    unsigned vvvv =
        generate_has_source(g->row, SRC_VVVV) ? (unsigned)random_below(g->seed, limit) : 0;

    if (g->row->w == WA && g->c->code32)
        w = 0;
    g->rex_w = w;
    generate_byte(g, g->row->opcode);
    if (g->row->attr & ATTR_MODRM)
        generate_modrm(g);
    generate_immediates(g);
    generate_vex(g, at, w, l, vvvv);
}

static void generate_prefixes(struct generator *g)
{
    static const u8 mandatory[] = { [P66] = 0x66, [PF3] = 0xF3, [PF2] = 0xF2 };
    bool string = g->row->class == CLASS_STRING;

    if ((g->row->attr & ATTR_LOCK) && g->memory && !random_below(g->seed, 4))
        generate_byte(g, PREFIX_LOCK);
    if (string && random_below(g->seed, 2))
        generate_byte(g, 0xF2 + (unsigned)random_below(g->seed, 2));
    if (g->row->prefix == PA && g->row->class != CLASS_FLOW && !random_below(g->seed, 4)) {
        generate_byte(g, PREFIX_OSZ);
        g->osz16 = true;
    }
    if (g->row->prefix >= P66)
        generate_byte(g, mandatory[g->row->prefix]);
    if (g->row->prefix == P66)
        g->osz16 = true;
}

static void generate_insn_legacy(struct generator *g)
{
    static const u8 maps[][2] = { [MAP_1] = { 0, 0 },
                                  [MAP_0F] = { 0x0F, 0 },
                                  [MAP_0F38] = { 0x0F, 0x38 },
                                  [MAP_0F3A] = { 0x0F, 0x3A } };
    unsigned w = g->row->w == WA ? !random_below(g->seed, 3) : g->row->w == W1, at;

    generate_prefixes(g);
    at = g->c->size;
    g->rex_w = w && !g->c->code32;
    if (g->rex_w)
        g->osz16 = false;
    for (unsigned i = 0; i < 2; i++)
        if (maps[g->row->map][i])
            generate_byte(g, maps[g->row->map][i]);
    generate_byte(g, g->row->opcode + generate_opcode_reg(g));
    if (g->row->attr & ATTR_MODRM)
        generate_modrm(g);
    generate_immediates(g);
    if (g->c->code32 || (!g->rex && !g->rex_w && random_below(g->seed, 4)))
        return;
    memmove(g->c->code + at + 1, g->c->code + at, g->c->size - at);
    g->c->code[at] = (u8)(0x40 | g->rex_w << 3 | g->rex);
    g->c->size++;
    if (random_below(g->seed, 16))
        return;
    /* A REX that does not stand right before the opcode is ignored. */
    memmove(g->c->code + at + 1, g->c->code + at, g->c->size - at);
    g->c->code[at] = (u8)(0x40 | random_below(g->seed, 16));
    g->c->size++;
}

static void generate_insn(struct insn_case *c, struct case_state *s, unsigned row, bool first,
                          u64 *seed)
{
    struct generator g = {
        .c = c, .state = s, .row = &insn_rows[row], .seed = seed, .first = first
    };

    g.target = generate_target(seed);
    g.memory = generate_choose_memory(&g);
    g.reg = g.row->digit != ANY ? g.row->digit : (u8)random_below(seed, c->code32 ? 8 : 16);
    if (!c->code32 && (g.row->digit == ANY || !generate_has_source(g.row, SRC_REG)))
        g.rex = (u8)((g.reg >> 3) << 2);
    if (!c->code32 && !g.memory && random_below(seed, 2))
        g.rex |= 1;
    generate_implicit(&g);
    if (g.row->class == CLASS_FLOW) {
        /* One register for all encodings of an indirect branch: RAX, or R8 with REX.B. */
        generate_indirect(&g, RAX);
        if (!g.memory && generate_has_source(g.row, SRC_RM))
            for (unsigned i = 0; i < 16; i++)
                if (i != RSP)
                    s->gpr[i] = s->gpr[RAX];
    }
    if (generate_is_vex(g.row))
        generate_insn_vex(&g);
    else
        generate_insn_legacy(&g);
    c->flags_undefined |= g.row->flags_u;
    c->rows[c->row_count++] = (u16)row;
}

/* May the row follow others, whose results it then runs on? No implied memory, no branch. */
static bool generate_can_follow(const struct insn_row *row)
{
    static const char *const implied[] = { "push",    "pop",         "enter", "leave", "xlat",
                                           "maskmov", "vmaskmovdqu", "call",  "ret",   NULL };

    if (row->class == CLASS_FLOW || row->class == CLASS_STRING || row->class == CLASS_SYS)
        return false;
    return !generate_named(row->name, implied) && !generate_is_vsib(row) &&
           !generate_is_wide_bit_test(row);
}

bool generate_case(struct insn_case *c, struct case_state *s, unsigned row, unsigned count,
                   bool code32, u64 seed)
{
    if (!generate_wants(row, code32))
        return false;
    memset(c, 0, offsetof(struct insn_case, code));
    c->row_count = 0;
    c->flags_undefined = 0;
    c->code32 = code32;
    c->seed = seed;
    generate_state(s, &seed, code32);
    generate_insn(c, s, row, true, &seed);
    while (c->row_count < count && insn_rows[row].class != CLASS_FLOW) {
        unsigned next = (unsigned)random_below(&seed, insn_row_count);

        /* Flags that are undefined now must not become values. */
        if (generate_wants(next, code32) && generate_can_follow(&insn_rows[next]) &&
            !(insn_rows[next].flags_r & c->flags_undefined))
            generate_insn(c, s, next, false, &seed);
    }
    return true;
}
