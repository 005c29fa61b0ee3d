/* SPDX-License-Identifier: MIT */
/*
 * Segment registers and descriptors: SDM vol. 3A, chapter 3 (formats), 5 (checks), 8.2 (TSS); the loads by the
 * pseudo-code of MOV in vol. 2B.
 */
#include "accel/soft/seg.h"

#include "accel/soft/fault.h"
#include "accel/soft/mem.h"
#include "accel/soft/sysmem.h"
#include "accel/soft/tlb.h"

#define SEG_DATA_RW  (SEG_TYPE_ACCESSED | SEG_TYPE_RW)

/* Offsets in task state segments. */
#define TSS16_STACKS 2 /* SP, SS of level 0; 4 bytes a level */
#define TSS32_STACKS 4 /* ESP, SS of level 0; 8 bytes a level */
#define TSS64_STACKS 4 /* RSP0; 8 bytes each up to IST7, slot 3 being reserved */

/* --- Descriptors --- */

u64 descriptor_base(const struct descriptor *d)
{
    return (d->raw >> 16 & 0xFFFFFF) | (d->raw >> 56 & 0xFF) << 24;
}

u32 descriptor_limit(const struct descriptor *d)
{
    u32 limit = (u32)(d->raw & 0xFFFF) | (u32)(d->raw >> 32 & 0xF0000);

    return d->raw >> 55 & 1 ? limit << 12 | 0xFFF : limit;
}

struct segment descriptor_segment(const struct descriptor *d, u16 selector)
{
    return (struct segment){
        .base = descriptor_base(d),
        .limit = descriptor_limit(d),
        .selector = selector,
        .attr = descriptor_attr(d),
    };
}

/* Where the table of `selector` begins and ends; false for an LDT that is not there. */
static bool seg_table(const struct cpu *cpu, u16 selector, u64 *base, u32 *limit)
{
    if (!(selector & SEL_TI)) {
        *base = cpu->gdtr.base;
        *limit = cpu->gdtr.limit;
        return true;
    }
    *base = cpu->ldtr.base;
    *limit = cpu->ldtr.limit;
    return !(cpu->ldtr.attr & SEG_UNUSABLE);
}

bool descriptor_read(struct cpu *cpu, const struct insn *in, u16 selector, struct descriptor *d)
{
    u64 base;
    u32 limit, offset = selector & ~(SEL_TI | SEL_RPL);

    if (!seg_table(cpu, selector, &base, &limit) || offset + 7 > limit)
        return false;
    d->addr = base + offset;
    d->selector = selector;
    d->high = 0;
    d->raw = sysmem_load64(cpu, in, d->addr);
    return true;
}

bool descriptor_read_high(struct cpu *cpu, const struct insn *in, struct descriptor *d)
{
    u64 base;
    u32 limit, offset = d->selector & ~(SEL_TI | SEL_RPL);

    if (!seg_table(cpu, d->selector, &base, &limit) || offset + 15 > limit)
        return false;
    d->high = sysmem_load64(cpu, in, d->addr + 8);
    return true;
}

void descriptor_set_accessed(struct cpu *cpu, const struct insn *in, struct descriptor *d)
{
    if (d->raw >> 40 & SEG_TYPE_ACCESSED)
        return;
    mem_sys_or8(cpu, in, d->addr + 5, SEG_TYPE_ACCESSED);
    d->raw |= (u64)SEG_TYPE_ACCESSED << 40;
}

/* --- Segments without descriptors --- */

struct segment segment_null(u16 selector, unsigned dpl)
{
    return (struct segment){
        .selector = selector,
        .attr = (u16)(SEG_UNUSABLE | dpl << SEG_DPL_SHIFT),
    };
}

/* Real mode changes selector and base only: the limit survives, which "unreal mode" relies on. */
struct segment segment_real(const struct segment *old, u16 selector, bool code)
{
    struct segment s = *old;

    if (s.attr & SEG_UNUSABLE)
        s.limit = 0xFFFF;
    s.selector = selector;
    s.base = (u64)selector << 4;
    s.attr = (u16)((s.attr & (SEG_DB | SEG_G)) | SEG_P | SEG_S | SEG_DATA_RW |
                   (code ? SEG_TYPE_CODE : 0));
    return s;
}

struct segment segment_vm86(u16 selector)
{
    return (struct segment){
        .base = (u64)selector << 4,
        .limit = 0xFFFF,
        .selector = selector,
        .attr = SEG_P | SEG_DPL | SEG_S | SEG_DATA_RW,
    };
}

/* --- MOV to a segment register --- */

void seg_check_ss(struct cpu *cpu, const struct insn *in, const struct descriptor *d,
                  unsigned level, int vector, u32 ext)
{
    u32 code = SEL_ERROR(d->selector) | ext;

    if ((d->selector & SEL_RPL) != level || descriptor_dpl(d) != level ||
        !descriptor_is_writable_data(d))
        cpu_fault(cpu, in, (enum vector)vector, code);
    if (!descriptor_present(d))
        cpu_fault(cpu, in, VEC_SS, code);
}

static struct segment seg_load_ss(struct cpu *cpu, const struct insn *in, u16 selector)
{
    struct descriptor d;

    if (SEL_NULL(selector)) {
        if (!(cpu->mode & MODE_CS_L) || cpu->cpl == 3 || (selector & SEL_RPL) != cpu->cpl)
            cpu_gp(cpu, in, 0);
        return segment_null(selector, cpu->cpl);
    }
    if (!descriptor_read(cpu, in, selector, &d))
        cpu_gp(cpu, in, SEL_ERROR(selector));
    seg_check_ss(cpu, in, &d, cpu->cpl, VEC_GP, 0);
    descriptor_set_accessed(cpu, in, &d);
    return descriptor_segment(&d, selector);
}

/* Data, or code that can be read? */
static bool seg_readable(const struct descriptor *d)
{
    unsigned attr = (unsigned)(d->raw >> 40);

    return (attr & SEG_S) && (attr & (SEG_TYPE_CODE | SEG_TYPE_RW)) != SEG_TYPE_CODE;
}

static struct segment seg_load_data(struct cpu *cpu, const struct insn *in, u16 selector)
{
    unsigned rpl = selector & SEL_RPL;
    struct descriptor d;

    if (SEL_NULL(selector))
        return segment_null(selector, 0);
    if (!descriptor_read(cpu, in, selector, &d) || !seg_readable(&d))
        cpu_gp(cpu, in, SEL_ERROR(selector));
    if (!(descriptor_is_code(&d) && descriptor_conforming(&d)) &&
        (rpl > descriptor_dpl(&d) || cpu->cpl > descriptor_dpl(&d)))
        cpu_gp(cpu, in, SEL_ERROR(selector));
    if (!descriptor_present(&d))
        cpu_fault(cpu, in, VEC_NP, SEL_ERROR(selector));
    descriptor_set_accessed(cpu, in, &d);
    return descriptor_segment(&d, selector);
}

void seg_load(struct cpu *cpu, const struct insn *in, enum seg_reg seg, u16 selector)
{
    struct segment *s = &cpu->seg[seg];

    if (!(cpu->mode & MODE_PE))
        *s = segment_real(s, selector, false);
    else if (cpu->mode & MODE_VM)
        *s = segment_vm86(selector);
    else if (seg == SEG_SS)
        *s = seg_load_ss(cpu, in, selector);
    else
        *s = seg_load_data(cpu, in, selector);
    if (!(cpu->mode & MODE_CS_L) && seg != SEG_FS && seg != SEG_GS)
        cpu_mode_update(cpu);
}

/* --- Outer levels --- */

/* SDM vol. 2, RET: data and non-conforming code below the new level is emptied. */
void seg_drop_privileged(struct cpu *cpu)
{
    static const enum seg_reg data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        struct segment *s = &cpu->seg[data[i]];
        unsigned dpl = (s->attr & SEG_DPL) >> SEG_DPL_SHIFT;
        bool conforming =
            (s->attr & (SEG_TYPE_CODE | SEG_TYPE_EC)) == (SEG_TYPE_CODE | SEG_TYPE_EC);

        if (!(s->attr & SEG_UNUSABLE) && !conforming && dpl < cpu->cpl)
            *s = segment_null(0, 0);
    }
}

/* --- Task state segments --- */

static void seg_tss_check(struct cpu *cpu, const struct insn *in, u32 offset, u32 size, u32 ext)
{
    if (offset + size - 1 > cpu->tr.limit)
        cpu_fault(cpu, in, VEC_TS, SEL_ERROR(cpu->tr.selector) | ext);
}

void seg_tss_stack(struct cpu *cpu, const struct insn *in, unsigned level, u32 ext, u16 *ss,
                   u64 *sp)
{
    gva tss = cpu->tr.base;
    u32 offset;

    if ((cpu->tr.attr & SEG_TYPE) == TYPE_TSS16_BUSY) {
        offset = TSS16_STACKS + 4 * level;
        seg_tss_check(cpu, in, offset, 4, ext);
        *sp = sysmem_load16(cpu, in, tss + offset);
        *ss = sysmem_load16(cpu, in, tss + offset + 2);
        return;
    }
    offset = TSS32_STACKS + 8 * level;
    seg_tss_check(cpu, in, offset, 6, ext);
    *sp = sysmem_load32(cpu, in, tss + offset);
    *ss = sysmem_load16(cpu, in, tss + offset + 4);
}

u64 seg_tss_rsp(struct cpu *cpu, const struct insn *in, unsigned slot, u32 ext)
{
    u32 offset = TSS64_STACKS + 8 * slot;

    seg_tss_check(cpu, in, offset, 8, ext);
    return sysmem_load64(cpu, in, cpu->tr.base + offset);
}
