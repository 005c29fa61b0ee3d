/* SPDX-License-Identifier: MIT */
/*
 * Differential test: random instructions run on the host and on the engine must end in the same registers, flags,
 * memory and faults.
 *
 *   insn_diff [--cases N] [--seed S] [--name MNEMONIC] [--row N] [--length N] [--code32] [--coverage]
 *             [--verbose] [--translate]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/soft/decode.h"
#include "case.h"

#define DIFF_REPORTS_MAX 20

struct options {
    u64 cases, seed;
    const char *name;
    long row;
    unsigned length;
    bool code32, coverage, verbose, translate;
};

struct row_count {
    u64 run, reached; /* cases that began with the row; of these, ended at the INT3 */
    u64 mismatches;
};

static const char *const diff_gpr_names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                "r12", "r13", "r14", "r15" };

static struct case_state diff_start, diff_native, diff_engine;
static char diff_text[8192];

static void diff_note(const char *what, u64 start, u64 native, u64 engine)
{
    size_t used = strlen(diff_text);

    snprintf(diff_text + used, sizeof(diff_text) - used,
             "    %-10s start %016llx host %016llx engine %016llx\n", what,
             (unsigned long long)start, (unsigned long long)native, (unsigned long long)engine);
}

static void diff_bytes(const char *what, const void *start, const void *native, const void *engine,
                       size_t size)
{
    const u8 *s = start, *n = native, *e = engine;

    for (size_t i = 0; i < size; i += 8) {
        u64 vs, vn, ve;
        char label[32];

        if (!memcmp(n + i, e + i, 8))
            continue;
        memcpy(&vs, s + i, 8);
        memcpy(&vn, n + i, 8);
        memcpy(&ve, e + i, 8);
        snprintf(label, sizeof(label), "%s+%zx", what, i);
        diff_note(label, vs, vn, ve);
    }
}

#define DIFF_FIELD(name, start, native, engine) \
    do { \
        if ((native) != (engine)) \
            diff_note(name, start, native, engine); \
    } while (0)

static void diff_fpu(const struct insn_case *c, bool x87)
{
    const struct xsave_area *s = &diff_start.xsave, *n = &diff_native.xsave,
                            *e = &diff_engine.xsave;

    DIFF_FIELD("mxcsr", s->mxcsr, n->mxcsr, e->mxcsr);
    DIFF_FIELD("fcw", s->fcw, n->fcw, e->fcw);
    if (x87) {
        DIFF_FIELD("fsw", s->fsw, n->fsw, e->fsw);
        DIFF_FIELD("ftw", s->ftw, n->ftw, e->ftw);
    }
    if (x87 && !c->loose_x87) {
        DIFF_FIELD("fop", s->fop, n->fop, e->fop);
        DIFF_FIELD("fip", s->fip, n->fip, e->fip);
        DIFF_FIELD("fdp", s->fdp, n->fdp, e->fdp);
    }
    for (unsigned i = 0; i < 8; i++)
        if (x87 && memcmp(n->st[i], e->st[i], 10))
            diff_bytes("st", s->st[i], n->st[i], e->st[i], 16);
    diff_bytes("xmm", s->xmm, n->xmm, e->xmm, sizeof(s->xmm));
    diff_bytes("ymm_hi", s->ymm_hi, n->ymm_hi, e->ymm_hi, sizeof(s->ymm_hi));
}

/* Does any instruction of the case have one of these names (or beginnings of names)? */
static bool diff_has(const struct insn_case *c, const char *const *names)
{
    for (; *names; names++)
        for (unsigned i = 0; i < c->row_count; i++)
            if (!strncmp(insn_rows[c->rows[i]].name, *names, strlen(*names)))
                return true;
    return false;
}

/*
 * What no manual defines and hosts differ in:
 * - CR2 of a fault inside the images that microcode moves in parts: the page is compared, not the byte; and how
 *   much of such an image was stored before the fault;
 * - x87 state when an MMX instruction's memory operand faults: the switch to MMX mode may have happened;
 * - MXCSR flags of VCVTPS2PH when its store faults;
 * - which comes first when an x87 store has an unmasked exception and a faulting address;
 * - whether MASKMOVDQU and MASKMOVQ touch pages of which they write no byte.
 */
static u64 diff_cr2_mask(const struct insn_case *c)
{
    static const char *const images[] = { "fnstenv", "fldenv",      "fnsave",   "frstor",
                                          "fxsave",  "fbstp",       "vmaskmov", "vpmaskmov",
                                          "maskmov", "vmaskmovdqu", NULL };

    return diff_has(c, images) ? ~(u64)0xFFF : ~(u64)0;
}

static bool diff_ignores_x87(const struct insn_case *c, struct case_end native)
{
    bool mmx = false;

    for (unsigned i = 0; i < c->row_count; i++)
        mmx |= (insn_rows[c->rows[i]].attr & ATTR_MMX) != 0;
    return mmx && native.vector != 3;
}

static bool diff_is_open(const struct insn_case *c, struct case_end native, struct case_end engine)
{
    static const char *const x87_stores[] = { "fst", "fist", NULL };
    static const char *const stores[] = { "fnstenv",   "fnsave",  "fxsave",      "fbstp", "fstp",
                                          "vcvtps2ph", "maskmov", "vmaskmovdqu", NULL };

    if (engine.vector == 14 && diff_has(c, x87_stores) && (~diff_start.xsave.fcw & 0x3F))
        return true;
    return native.vector == 14 && diff_has(c, stores);
}

/* Compare the ends; diff_text says what differs. */
static bool diff_same(const struct insn_case *c, struct case_end native, struct case_end engine)
{
    u64 flags = (FLAGS_ARITH | FLAG_DF) & ~c->flags_undefined;
    u64 cr2 = diff_cr2_mask(c);

    diff_text[0] = 0;
    if (diff_is_open(c, native, engine))
        return true;
    DIFF_FIELD("vector", 0, native.vector, engine.vector);
    if (native.vector == engine.vector && (native.vector == 14 || native.vector == 13))
        DIFF_FIELD("code", 0, native.code, engine.code);
    if (native.vector == engine.vector && native.vector == 14)
        DIFF_FIELD("cr2", 0, native.cr2 & cr2, engine.cr2 & cr2);
    for (unsigned i = 0; i < 16; i++)
        DIFF_FIELD(diff_gpr_names[i], diff_start.gpr[i], diff_native.gpr[i], diff_engine.gpr[i]);
    DIFF_FIELD("rip", diff_start.rip, diff_native.rip, diff_engine.rip);
    DIFF_FIELD("rflags", diff_start.rflags, diff_native.rflags & flags, diff_engine.rflags & flags);
    diff_fpu(c, !diff_ignores_x87(c, native));
    diff_bytes("data", diff_start.data, diff_native.data, diff_engine.data,
               sizeof(diff_start.data));
    diff_bytes("stack", diff_start.stack, diff_native.stack, diff_engine.stack,
               sizeof(diff_start.stack));
    return !diff_text[0];
}

static void diff_report(const struct insn_case *c)
{
    printf("mismatch: row %u %s, %s-bit, length %u, seed 0x%llx\n    code", c->rows[0],
           insn_rows[c->rows[0]].name, c->code32 ? "32" : "64", c->row_count,
           (unsigned long long)c->seed);
    for (unsigned i = 0; i < c->size; i++)
        printf(" %02x", c->code[i]);
    printf("\n    rows");
    for (unsigned i = 0; i < c->row_count; i++)
        printf(" %s", insn_rows[c->rows[i]].name);
    printf("\n%s", diff_text);
    fflush(stdout);
}

/* One case; false on a mismatch. */
static bool diff_run(const struct options *o, unsigned row, u64 seed, struct row_count *count)
{
    static struct insn_case c;
    struct case_end native, engine;
    u64 length_seed = seed;
    unsigned length = o->length ? o->length : 1 + (unsigned)random_below(&length_seed, 4);

    if (!generate_case(&c, &diff_start, row, length, o->code32, seed))
        return true;
    c.loose_x87 = c.row_count > 1;
    diff_native = diff_start;
    diff_engine = diff_start;
    engine = engine_run(&c, &diff_engine);
    native = native_run(&c, &diff_native);
    count->run++;
    count->reached += native.vector == 3;
    if (diff_same(&c, native, engine))
        return true;
    count->mismatches++;
    if (o->verbose || count->mismatches == 1)
        diff_report(&c);
    return false;
}

static bool diff_selects(const struct options *o, unsigned row)
{
    if (o->row >= 0 && (unsigned)o->row != row)
        return false;
    return !o->name || !strcmp(insn_rows[row].name, o->name);
}

static void diff_coverage(const struct row_count *counts, bool code32)
{
    unsigned wanted = 0, run = 0, reached = 0;

    for (unsigned i = 0; i < insn_row_count; i++) {
        if (!generate_wants(i, code32))
            continue;
        wanted++;
        run += counts[i].run != 0;
        reached += counts[i].reached != 0;
        if (counts[i].run && !counts[i].reached && !(insn_rows[i].attr & ATTR_CPL0))
            printf("never completed: row %u %s\n", i, insn_rows[i].name);
    }
    printf(
        "coverage: %u rows, %u run by user code on both sides, %u of them completed without a fault\n",
        insn_row_count, run, reached);
    if (run != wanted)
        printf("coverage: %u rows were not run: more cases are needed\n", wanted - run);
}

static struct options diff_parse(int argc, char **argv)
{
    struct options o = { .cases = 100000, .seed = 1, .row = -1 };

    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "0";

        if (!strcmp(argv[i], "--cases"))
            o.cases = strtoull(next, NULL, 0), i++;
        else if (!strcmp(argv[i], "--seed"))
            o.seed = strtoull(next, NULL, 0), i++;
        else if (!strcmp(argv[i], "--name"))
            o.name = next, i++;
        else if (!strcmp(argv[i], "--row"))
            o.row = strtol(next, NULL, 0), i++;
        else if (!strcmp(argv[i], "--length"))
            o.length = (unsigned)strtoul(next, NULL, 0), i++;
        else if (!strcmp(argv[i], "--code32"))
            o.code32 = true;
        else if (!strcmp(argv[i], "--translate"))
            o.translate = true;
        else if (!strcmp(argv[i], "--coverage"))
            o.coverage = true;
        else if (!strcmp(argv[i], "--verbose"))
            o.verbose = true;
        else {
            fprintf(stderr, "insn_diff: unknown option %s\n", argv[i]);
            exit(2);
        }
    }
    return o;
}

int main(int argc, char **argv)
{
    struct options o = diff_parse(argc, argv);
    struct row_count *counts = calloc(insn_row_count, sizeof(*counts));
    u64 seed = o.seed, done = 0, mismatches = 0;
    bool any = true;

    if (!counts)
        return 2;
    native_init();
    engine_init(o.translate);
    while (done < o.cases && any) {
        any = false;
        for (unsigned row = 0; row < insn_row_count && done < o.cases; row++) {
            u64 case_seed = o.row >= 0 && o.cases == 1 ? o.seed : random_next(&seed);

            if (!diff_selects(&o, row) || !generate_wants(row, o.code32))
                continue;
            any = true;
            done++;
            mismatches += !diff_run(&o, row, case_seed, &counts[row]);
        }
    }
    for (unsigned i = 0; i < insn_row_count; i++)
        if (counts[i].mismatches)
            printf("row %u %s: %llu of %llu cases differ\n", i, insn_rows[i].name,
                   (unsigned long long)counts[i].mismatches, (unsigned long long)counts[i].run);
    if (o.coverage)
        diff_coverage(counts, o.code32);
    printf("%llu cases, %llu mismatches\n", (unsigned long long)done,
           (unsigned long long)mismatches);
    free(counts);
    return mismatches != 0;
}
