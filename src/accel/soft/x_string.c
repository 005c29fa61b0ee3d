/* SPDX-License-Identifier: MIT */
/*
 * MOVS CMPS STOS LODS SCAS, with REP as one operation. SDM vol. 1, 7.3.9.
 *
 * A repeated instruction goes in runs: as many elements as both operands have on their pages, moved through host
 * pointers (mem_run). An element that crosses a page, is not in RAM, or does not fit its segment goes alone by the
 * accessors that fault. RSI, RDI and RCX are committed after each run, so a fault finds them exact. Between runs
 * the vCPU's requests are looked at: when there are any, and after each element under single step, the block is
 * left with RIP at the instruction, which then goes on where it was.
 */
#include "accel/soft/alu.h"
#include "accel/soft/decode.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"
#include "base/bytes.h"
#include "machine/vcpu.h"

ALU_SIZES(ALU_COMPARE, cmp)

/* What an instruction does to a run of elements, both in memory at ascending host addresses. */
struct string_run {
    u8 *src, *dst; /* the lowest byte of each operand that is used */
    unsigned log2; /* element size */
    u64 count;     /* elements; may be cut by compare operations */
    bool down;     /* DF: the last element is the lowest */
    bool repe;     /* compares go on while equal */
    bool ended;    /* a compare ended the repetition */
};

struct string_op {
    bool src, dst; /* operands used: DS:RSI, ES:RDI */
    enum access dst_access;
    bool compares; /* REPE and REPNE differ */
    void (*run)(struct cpu *cpu, struct string_run *run);
    void (*one)(struct cpu *cpu, const struct insn *in, gva src, gva dst, unsigned log2);
};

/* --- Elements --- */

static u64 element_load(struct cpu *cpu, const struct insn *in, gva addr, unsigned log2)
{
    switch (log2) {
    case 0: return mem_load8(cpu, in, addr);
    case 1: return mem_load16(cpu, in, addr);
    case 2: return mem_load32(cpu, in, addr);
    default: return mem_load64(cpu, in, addr);
    }
}

static void element_store(struct cpu *cpu, const struct insn *in, gva addr, unsigned log2,
                          u64 value)
{
    switch (log2) {
    case 0: mem_store8(cpu, in, addr, (u8)value); break;
    case 1: mem_store16(cpu, in, addr, (u16)value); break;
    case 2: mem_store32(cpu, in, addr, (u32)value); break;
    default: mem_store64(cpu, in, addr, value); break;
    }
}

static inline u64 element_get(const u8 *host, unsigned log2)
{
    switch (log2) {
    case 0: return *host;
    case 1: return host_get16(host);
    case 2: return host_get32(host);
    default: return host_get64(host);
    }
}

static inline void element_set(u8 *host, unsigned log2, u64 value)
{
    switch (log2) {
    case 0: *host = (u8)value; break;
    case 1: host_set16(host, (u16)value); break;
    case 2: host_set32(host, (u32)value); break;
    default: host_set64(host, value); break;
    }
}

static void accumulator_set(struct cpu *cpu, unsigned log2, u64 value)
{
    switch (log2) {
    case 0: reg_set8(cpu, RAX, (u8)value); break;
    case 1: reg_set16(cpu, RAX, (u16)value); break;
    case 2: reg_set32(cpu, RAX, (u32)value); break;
    default: cpu->gpr[RAX] = value; break;
    }
}

static void element_compare(struct cpu *cpu, unsigned log2, u64 a, u64 b)
{
    switch (log2) {
    case 0: alu_cmp8((u8)a, (u8)b, &cpu->aflags); break;
    case 1: alu_cmp16((u16)a, (u16)b, &cpu->aflags); break;
    case 2: alu_cmp32((u32)a, (u32)b, &cpu->aflags); break;
    default: alu_cmp64(a, b, &cpu->aflags); break;
    }
}

static inline u64 element_cut(unsigned log2, u64 value)
{
    return value & (~(u64)0 >> (64 - (8u << log2)));
}

/* Offset of the i-th element, in the order of the instruction, from the run's lowest byte. */
static inline u64 run_offset(const struct string_run *run, u64 i)
{
    return (run->down ? run->count - 1 - i : i) << run->log2;
}

/* --- MOVS --- */

/* Overlapping so that elements read what elements before them wrote: one at a time, in order. */
static void movs_run_in_order(struct string_run *run)
{
    for (u64 i = 0; i < run->count; i++) {
        u64 at = run_offset(run, i);

        element_set(run->dst + at, run->log2, element_get(run->src + at, run->log2));
    }
}

static void movs_run(struct cpu *cpu, struct string_run *run)
{
    u64 bytes = run->count << run->log2;
    bool feeds = run->down ? run->dst < run->src && run->dst + bytes > run->src
                           : run->dst > run->src && run->src + bytes > run->dst;

    if (unlikely(feeds))
        movs_run_in_order(run);
    else
        memmove(run->dst, run->src, bytes);
    mem_stored(cpu, run->dst, (unsigned)bytes);
}

static void movs_one(struct cpu *cpu, const struct insn *in, gva src, gva dst, unsigned log2)
{
    element_store(cpu, in, dst, log2, element_load(cpu, in, src, log2));
}

/* --- STOS --- */

/* One loop for each size: the compiler makes wide stores of them. */
static void stos_fill(const struct string_run *run, u64 value)
{
    u64 i;

    switch (run->log2) {
    case 1:
        for (i = 0; i < run->count; i++)
            store_le16(run->dst + i * 2, (u16)value);
        break;
    case 2:
        for (i = 0; i < run->count; i++)
            store_le32(run->dst + i * 4, (u32)value);
        break;
    default:
        for (i = 0; i < run->count; i++)
            store_le64(run->dst + i * 8, value);
        break;
    }
}

static void stos_run(struct cpu *cpu, struct string_run *run)
{
    u64 value = cpu->gpr[RAX], bytes = run->count << run->log2;

    if (run->log2 == 0 || value == 0)
        memset(run->dst, (int)(value & 0xFF), bytes);
    else
        stos_fill(run, value);
    mem_stored(cpu, run->dst, (unsigned)bytes);
}

static void stos_one(struct cpu *cpu, const struct insn *in, gva src, gva dst, unsigned log2)
{
    (void)src;
    element_store(cpu, in, dst, log2, cpu->gpr[RAX]);
}

/* --- LODS: only the last element of a run stays --- */

static void lods_run(struct cpu *cpu, struct string_run *run)
{
    accumulator_set(cpu, run->log2,
                    element_get(run->src + run_offset(run, run->count - 1), run->log2));
}

static void lods_one(struct cpu *cpu, const struct insn *in, gva src, gva dst, unsigned log2)
{
    (void)dst;
    accumulator_set(cpu, log2, element_load(cpu, in, src, log2));
}

/* --- CMPS and SCAS: flags are those of the last comparison --- */

static void run_end_at(struct string_run *run, u64 done)
{
    run->ended = true;
    run->count = done;
}

static void cmps_run(struct cpu *cpu, struct string_run *run)
{
    u64 a = 0, b = 0;

    for (u64 i = 0; i < run->count; i++) {
        u64 at = run_offset(run, i);

        a = element_get(run->src + at, run->log2);
        b = element_get(run->dst + at, run->log2);
        if ((a == b) != run->repe) {
            run_end_at(run, i + 1);
            break;
        }
    }
    element_compare(cpu, run->log2, a, b);
}

static void cmps_one(struct cpu *cpu, const struct insn *in, gva src, gva dst, unsigned log2)
{
    u64 a = element_load(cpu, in, src, log2);

    element_compare(cpu, log2, a, element_load(cpu, in, dst, log2));
}

static void scas_run(struct cpu *cpu, struct string_run *run)
{
    u64 a = element_cut(run->log2, cpu->gpr[RAX]), b = 0;

    for (u64 i = 0; i < run->count; i++) {
        b = element_get(run->dst + run_offset(run, i), run->log2);
        if ((a == b) != run->repe) {
            run_end_at(run, i + 1);
            break;
        }
    }
    element_compare(cpu, run->log2, a, b);
}

static void scas_one(struct cpu *cpu, const struct insn *in, gva src, gva dst, unsigned log2)
{
    (void)src;
    element_compare(cpu, log2, cpu->gpr[RAX], element_load(cpu, in, dst, log2));
}

/* --- Registers --- */

static inline i64 string_step(const struct cpu *cpu, unsigned log2)
{
    return cpu->sflags & FLAG_DF ? -(i64)(1u << log2) : (i64)(1u << log2);
}

static inline void string_reg_set(struct cpu *cpu, const struct insn *in, unsigned reg, u64 value)
{
    if (insn_asz(in) == 1)
        reg_set16(cpu, reg, (u16)value);
    else
        cpu->gpr[reg] = address_cut(in, value);
}

/* Move the operands on by `count` elements. */
static void string_advance(struct cpu *cpu, const struct insn *in, const struct string_op *op,
                           u64 count)
{
    u64 delta = (u64)string_step(cpu, insn_osz(in)) * count;

    if (op->src)
        string_reg_set(cpu, in, RSI, cpu->gpr[RSI] + delta);
    if (op->dst)
        string_reg_set(cpu, in, RDI, cpu->gpr[RDI] + delta);
}

/* --- One element --- */

static void string_one(struct cpu *cpu, const struct insn *in, const struct string_op *op)
{
    unsigned log2 = insn_osz(in), size = 1u << log2;
    gva src = 0, dst = 0;

    if (op->src)
        src = operand_addr(cpu, in, address_cut(in, cpu->gpr[RSI]), size, false);
    if (op->dst)
        dst = mem_seg_linear(cpu, in, SEG_ES, address_cut(in, cpu->gpr[RDI]), size,
                             op->dst_access == ACCESS_WRITE);
    op->one(cpu, in, src, dst, log2);
    string_advance(cpu, in, op, 1);
}

/* --- Runs --- */

/*
 * How many elements from `offset` on, at most `count`, neither wrap at the address size nor leave the segment, so that
 * one check of the whole stands for one of each? 0: go by single elements.
 */
static u64 string_fit_segment(const struct cpu *cpu, const struct insn *in, enum seg_reg seg,
                              u64 offset, u64 count)
{
    unsigned log2 = insn_osz(in);
    const struct segment *s = &cpu->seg[seg];
    u64 top =
        cpu->mode & MODE_CS_L ? address_cut(in, ~(u64)0) : MIN(address_cut(in, ~(u64)0), s->limit);
    u64 last = offset + (1u << log2) - 1;

    if (last < offset || last > top)
        return 0;
    if (!(cpu->mode & MODE_CS_L) && (s->attr & (SEG_TYPE_CODE | SEG_TYPE_EC)) == SEG_TYPE_EC)
        return 0;
    if (cpu->sflags & FLAG_DF)
        return MIN(count, (offset >> log2) + 1);
    return MIN(count, ((top - last) >> log2) + 1);
}

/* The same for the page of linear address `addr`. */
static u64 string_fit_page(const struct cpu *cpu, const struct insn *in, gva addr, u64 count)
{
    unsigned log2 = insn_osz(in);
    u64 in_page = addr & 0xFFF;

    if (in_page + (1u << log2) > 4096)
        return 0;
    if (cpu->sflags & FLAG_DF)
        return MIN(count, (in_page >> log2) + 1);
    return MIN(count, (4096 - in_page) >> log2);
}

/*
 * Limit *count to what one operand allows; *addr is the linear address of its first element. False: go by single
 * elements.
 */
static bool string_fit(struct cpu *cpu, const struct insn *in, enum seg_reg seg, unsigned reg,
                       bool write, u64 *count, gva *addr)
{
    u64 offset = address_cut(in, cpu->gpr[reg]);

    *count = string_fit_segment(cpu, in, seg, offset, *count);
    if (!*count)
        return false;
    *addr = mem_seg_linear(cpu, in, seg, offset, 1u << insn_osz(in), write);
    *count = string_fit_page(cpu, in, *addr, *count);
    return *count != 0;
}

/* Host address of the lowest byte of `count` elements, the first in order at `addr`. NULL: not RAM. */
static u8 *string_host(struct cpu *cpu, const struct insn *in, gva addr, u64 count,
                       enum access access)
{
    unsigned log2 = insn_osz(in);
    u64 size = 1u << log2;
    u8 *host = mem_run(cpu, in, addr, &size, access);

    if (host && cpu->sflags & FLAG_DF)
        host -= (count - 1) << log2;
    return host;
}

/* Do up to `count` elements at once. Returns how many; 0: this way cannot. */
static u64 string_run(struct cpu *cpu, const struct insn *in, const struct string_op *op, u64 count,
                      bool *ended)
{
    struct string_run run = { .log2 = insn_osz(in),
                              .down = cpu->sflags & FLAG_DF,
                              .repe = !(in->flags & INSN_REPNE) };
    gva src = 0, dst = 0;

    if (op->src && !string_fit(cpu, in, (enum seg_reg)in->seg, RSI, false, &count, &src))
        return 0;
    if (op->dst && !string_fit(cpu, in, SEG_ES, RDI, op->dst_access == ACCESS_WRITE, &count, &dst))
        return 0;
    if (op->src && !(run.src = string_host(cpu, in, src, count, ACCESS_READ)))
        return 0;
    if (op->dst && !(run.dst = string_host(cpu, in, dst, count, op->dst_access)))
        return 0;
    run.count = count;
    op->run(cpu, &run);
    *ended = run.ended;
    string_advance(cpu, in, op, run.count);
    return run.count;
}

/* A single element of a repetition. */
static u64 string_single(struct cpu *cpu, const struct insn *in, const struct string_op *op,
                         bool *ended)
{
    string_one(cpu, in, op);
    *ended = op->compares && (!(cpu->aflags & FLAG_ZF) != !!(in->flags & INSN_REPNE));
    return 1;
}

/* Up to `count` elements, in a run or one by one. Returns how many. */
static u64 string_some(struct cpu *cpu, const struct insn *in, const struct string_op *op,
                       u64 count, bool *ended)
{
    u64 done = cpu->mode & MODE_STEP ? 0 : string_run(cpu, in, op, count, ended);

    return done ? done : string_single(cpu, in, op, ended);
}

/*
 * Returns false when the block must be left with the instruction unfinished. Not inline: see INSN_TAIL.
 *
 * A fault in the middle finds the flags as they were before the instruction (SDM vol. 2B, REP), so those of a
 * comparison are not left in place while it goes on.
 */
__attribute__((noinline)) static bool string_repeat(struct cpu *cpu, const struct insn *in,
                                                    const struct string_op *op)
{
    u64 count = address_cut(in, cpu->gpr[RCX]);
    u64 flags = cpu->aflags;
    bool ended = false;

    while (count) {
        count -= string_some(cpu, in, op, count, &ended);
        string_reg_set(cpu, in, RCX, count);
        if (ended || !count)
            break;
        if (cpu->mode & MODE_STEP ||
            atomic_load_explicit(&cpu->vcpu->requests, memory_order_relaxed))
            return false;
        cpu->aflags = flags;
    }
    return true;
}

/* --- Handlers --- */

static void string_leave(struct cpu *cpu, const struct insn *in)
{
    cpu->rip = insn_rip(cpu, in);
}

#define STRING(name, uses_src, uses_dst, access, compare) \
    static const struct string_op name##_op = { \
        .src = uses_src, \
        .dst = uses_dst, \
        .dst_access = access, \
        .compares = compare, \
        .run = name##_run, \
        .one = name##_one, \
    }; \
\
    static void name(struct cpu *cpu, const struct insn *in) \
    { \
        if (!(in->flags & (INSN_REP | INSN_REPNE))) \
            string_one(cpu, in, &name##_op); \
        else if (!string_repeat(cpu, in, &name##_op)) \
            INSN_TAIL string_leave(cpu, in); \
        INSN_NEXT(cpu, in); \
    } \
\
    insn_fn *const x_##name[8] = X_REG(name);

STRING(movs, true, true, ACCESS_WRITE, false)
STRING(cmps, true, true, ACCESS_READ, true)
STRING(stos, false, true, ACCESS_WRITE, false)
STRING(lods, true, false, ACCESS_READ, false)
STRING(scas, false, true, ACCESS_READ, true)
