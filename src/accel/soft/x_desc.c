/* SPDX-License-Identifier: MIT */
/*
 * Descriptor table registers, and instructions that look descriptors up: SGDT, SIDT, LGDT, LIDT, SLDT, STR, LLDT,
 * LTR, VERR, VERW, LAR, LSL, ARPL. SDM vol. 2.
 */
#include <string.h>

#include "accel/soft/far.h"
#include "accel/soft/fault.h"
#include "accel/soft/handlers.h"
#include "accel/soft/mem.h"
#include "accel/soft/msr.h"
#include "accel/soft/seg.h"
#include "accel/soft/sysmem.h"

/* CR4.UMIP hides the tables' places from programs. */
static void desc_check_umip(struct cpu *cpu, const struct insn *in)
{
    if (unlikely(cpu->cpl != 0) && (cpu->cr4 & CR4_UMIP))
        cpu_gp(cpu, in, 0);
}

static void desc_check_cpl0(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cpl != 0)
        cpu_gp(cpu, in, 0);
}

static void desc_check_protected(struct cpu *cpu, const struct insn *in)
{
    if (!cpu_protected(cpu))
        cpu_ud(cpu, in);
}

static u16 desc_load_selector(struct cpu *cpu, const struct insn *in)
{
    gva addr;

    if (in->rm != INSN_RM_MEM)
        return (u16)cpu->gpr[in->rm];
    addr = insn_addr(cpu, in, 2, false);
    return mem_load16(cpu, in, addr);
}

/* A register takes the operand size, zero-extended; memory takes 16 bits. */
static void desc_store_word(struct cpu *cpu, const struct insn *in, u64 value)
{
    gva addr;

    if (in->rm == INSN_RM_MEM) {
        addr = insn_addr(cpu, in, 2, true);
        mem_store16(cpu, in, addr, (u16)value);
    } else if (far_width(in) == 2) {
        cpu->gpr[in->rm] = (cpu->gpr[in->rm] & ~UINT64_C(0xFFFF)) | (value & 0xFFFF);
    } else {
        cpu->gpr[in->rm] = far_width(in) == 4 ? (u32)value : value;
    }
}

static void desc_set_zf(struct cpu *cpu, bool zf)
{
    cpu->aflags = zf ? cpu->aflags | FLAG_ZF : cpu->aflags & ~FLAG_ZF;
}

/* --- GDTR and IDTR: limit, base of 4 or 8 bytes --- */

static void desc_store_table(struct cpu *cpu, const struct insn *in, const struct table_reg *table)
{
    unsigned size = cpu->mode & MODE_CS_L ? 10 : 6;
    u8 data[10];
    gva addr;

    desc_check_umip(cpu, in);
    memcpy(data, &table->limit, 2);
    memcpy(data + 2, &table->base, 8);
    addr = insn_addr(cpu, in, size, true);
    mem_write(cpu, in, addr, data, size);
}

/* With a 16-bit operand size the base has 24 bits. */
static void desc_load_table(struct cpu *cpu, const struct insn *in, struct table_reg *table)
{
    unsigned size = cpu->mode & MODE_CS_L ? 10 : 6;
    u8 data[10];
    u64 base = 0;
    gva addr;

    desc_check_cpl0(cpu, in);
    addr = insn_addr(cpu, in, size, false);
    mem_read(cpu, in, addr, data, size);
    memcpy(&base, data + 2, size - 2);
    if (size == 10 && !cpu_canonical(cpu, base))
        cpu_gp(cpu, in, 0);
    if (far_width(in) == 2)
        base &= 0xFFFFFF;
    table->base = base;
    memcpy(&table->limit, data, 2);
}

static void desc_sgdt(struct cpu *cpu, const struct insn *in)
{
    desc_store_table(cpu, in, &cpu->gdtr);
    INSN_NEXT(cpu, in);
}

static void desc_sidt(struct cpu *cpu, const struct insn *in)
{
    desc_store_table(cpu, in, &cpu->idtr);
    INSN_NEXT(cpu, in);
}

static void desc_lgdt(struct cpu *cpu, const struct insn *in)
{
    desc_load_table(cpu, in, &cpu->gdtr);
    INSN_NEXT(cpu, in);
}

static void desc_lidt(struct cpu *cpu, const struct insn *in)
{
    desc_load_table(cpu, in, &cpu->idtr);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_sgdt_M[8] = X_MEM(desc_sgdt);
insn_fn *const x_sidt_M[8] = X_MEM(desc_sidt);
insn_fn *const x_lgdt_M[8] = X_MEM(desc_lgdt);
insn_fn *const x_lidt_M[8] = X_MEM(desc_lidt);

/* --- LDTR and TR --- */

static void desc_sldt(struct cpu *cpu, const struct insn *in)
{
    desc_check_protected(cpu, in);
    desc_check_umip(cpu, in);
    desc_store_word(cpu, in, cpu->ldtr.selector);
    INSN_NEXT(cpu, in);
}

static void desc_str(struct cpu *cpu, const struct insn *in)
{
    desc_check_protected(cpu, in);
    desc_check_umip(cpu, in);
    desc_store_word(cpu, in, cpu->tr.selector);
    INSN_NEXT(cpu, in);
}

/* A system segment of the GDT; in long mode its descriptor has 16 bytes and a 64-bit base. */
static void desc_read_system(struct cpu *cpu, const struct insn *in, u16 selector,
                             struct descriptor *d, struct segment *s)
{
    u32 code = SEL_ERROR(selector);

    if ((selector & SEL_TI) || !descriptor_read(cpu, in, selector, d))
        cpu_gp(cpu, in, code);
    *s = descriptor_segment(d, selector);
    if (!(cpu->mode & MODE_LMA))
        return;
    if (!descriptor_read_high(cpu, in, d) || (d->high >> 40 & 0x1F))
        cpu_gp(cpu, in, code);
    s->base |= d->high << 32;
}

static void desc_lldt(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;
    struct segment s;
    u16 selector;

    desc_check_protected(cpu, in);
    desc_check_cpl0(cpu, in);
    selector = desc_load_selector(cpu, in);
    if (SEL_NULL(selector)) {
        s = segment_null(selector, 0);
    } else {
        desc_read_system(cpu, in, selector, &d, &s);
        if (!descriptor_is_system(&d) || descriptor_type(&d) != TYPE_LDT ||
            !cpu_canonical(cpu, s.base))
            cpu_gp(cpu, in, SEL_ERROR(selector));
        if (!descriptor_present(&d))
            cpu_fault(cpu, in, VEC_NP, SEL_ERROR(selector));
    }
    cpu->ldtr = s;
    INSN_NEXT(cpu, in);
}

static void desc_ltr(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;
    struct segment s;
    unsigned type;
    u16 selector;

    desc_check_protected(cpu, in);
    desc_check_cpl0(cpu, in);
    selector = desc_load_selector(cpu, in);
    if (SEL_NULL(selector))
        cpu_gp(cpu, in, 0);
    desc_read_system(cpu, in, selector, &d, &s);
    type = descriptor_type(&d);
    if (!descriptor_is_system(&d) ||
        (type != TYPE_TSS && (type != TYPE_TSS16 || (cpu->mode & MODE_LMA))) ||
        !cpu_canonical(cpu, s.base))
        cpu_gp(cpu, in, SEL_ERROR(selector));
    if (!descriptor_present(&d))
        cpu_fault(cpu, in, VEC_NP, SEL_ERROR(selector));
    mem_sys_or8(cpu, in, d.addr + 5, TYPE_TSS_BUSY & ~TYPE_TSS);
    cpu->tr = s;
    cpu->tr.attr |= TYPE_TSS_BUSY & ~TYPE_TSS;
    INSN_NEXT(cpu, in);
}

insn_fn *const x_sldt_E[8] = X_ALL(desc_sldt);
insn_fn *const x_str_E[8] = X_ALL(desc_str);
insn_fn *const x_lldt_E[8] = X_ALL(desc_lldt);
insn_fn *const x_ltr_E[8] = X_ALL(desc_ltr);

/* --- VERR, VERW, LAR, LSL --- */

/* Descriptor that may be looked at from here: conforming code from anywhere, the rest by CPL and RPL. */
static bool desc_visible(struct cpu *cpu, const struct insn *in, u16 selector, struct descriptor *d)
{
    unsigned dpl;

    if (SEL_NULL(selector) || !descriptor_read(cpu, in, selector, d))
        return false;
    dpl = descriptor_dpl(d);
    if (descriptor_is_code(d) && descriptor_conforming(d))
        return true;
    return dpl >= cpu->cpl && dpl >= (selector & SEL_RPL);
}

static void desc_verr(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;
    u16 selector;
    bool zf;

    desc_check_protected(cpu, in);
    selector = desc_load_selector(cpu, in);
    zf = desc_visible(cpu, in, selector, &d) && !descriptor_is_system(&d) &&
         (!descriptor_is_code(&d) || (descriptor_attr(&d) & SEG_TYPE_RW));
    desc_set_zf(cpu, zf);
    INSN_NEXT(cpu, in);
}

static void desc_verw(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;
    u16 selector;

    desc_check_protected(cpu, in);
    selector = desc_load_selector(cpu, in);
    desc_set_zf(cpu, desc_visible(cpu, in, selector, &d) && descriptor_is_writable_data(&d));
    INSN_NEXT(cpu, in);
}

/* System types with an access byte to show, and those with a limit (SDM vol. 2A, LAR and LSL). */
#define DESC_LAR_TYPES      (BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(9) | BIT(11) | BIT(12))
#define DESC_LAR_TYPES_LONG (BIT(2) | BIT(9) | BIT(11) | BIT(12))
#define DESC_LSL_TYPES      (BIT(1) | BIT(2) | BIT(3) | BIT(9) | BIT(11))
#define DESC_LSL_TYPES_LONG (BIT(2) | BIT(9) | BIT(11))

static bool desc_look_up(struct cpu *cpu, const struct insn *in, u32 types, u32 types_long,
                         struct descriptor *d)
{
    u16 selector;
    bool found;

    desc_check_protected(cpu, in);
    selector = desc_load_selector(cpu, in);
    found = desc_visible(cpu, in, selector, d);
    if (found && descriptor_is_system(d)) {
        u32 set = cpu->mode & MODE_LMA ? types_long : types;

        found = set >> descriptor_type(d) & 1;
    }
    desc_set_zf(cpu, found);
    return found;
}

static void desc_set_reg(struct cpu *cpu, const struct insn *in, u32 value)
{
    if (far_width(in) == 2)
        cpu->gpr[in->reg] = (cpu->gpr[in->reg] & ~UINT64_C(0xFFFF)) | (value & 0xFFFF);
    else
        cpu->gpr[in->reg] = value;
}

static void desc_lar(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;

    if (desc_look_up(cpu, in, DESC_LAR_TYPES, DESC_LAR_TYPES_LONG, &d))
        desc_set_reg(cpu, in, (u32)(d.raw >> 32) & 0x00F0FF00);
    INSN_NEXT(cpu, in);
}

static void desc_lsl(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;

    if (desc_look_up(cpu, in, DESC_LSL_TYPES, DESC_LSL_TYPES_LONG, &d))
        desc_set_reg(cpu, in, descriptor_limit(&d));
    INSN_NEXT(cpu, in);
}

insn_fn *const x_verr_E[8] = X_ALL(desc_verr);
insn_fn *const x_verw_E[8] = X_ALL(desc_verw);
insn_fn *const x_lar_G_E[8] = X_ALL(desc_lar);
insn_fn *const x_lsl_G_E[8] = X_ALL(desc_lsl);

/* --- ARPL --- */

static void desc_arpl(struct cpu *cpu, const struct insn *in)
{
    u16 rpl = cpu->gpr[in->reg] & SEL_RPL, value;
    bool raise;
    void *at;
    gva addr;

    desc_check_protected(cpu, in);
    if (in->rm == INSN_RM_MEM) {
        addr = insn_addr(cpu, in, 2, true);
        at = mem_rmw(cpu, in, addr, 2);
        memcpy(&value, at, 2);
        raise = (value & SEL_RPL) < rpl;
        value = raise ? (u16)((value & ~SEL_RPL) | rpl) : value;
        memcpy(at, &value, 2);
        mem_rmw_end(cpu, in, addr, at, 2);
    } else {
        value = (u16)cpu->gpr[in->rm];
        raise = (value & SEL_RPL) < rpl;
        if (raise)
            cpu->gpr[in->rm] = (cpu->gpr[in->rm] & ~(u64)SEL_RPL) | rpl;
    }
    desc_set_zf(cpu, raise);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_arpl_E_G[8] = X_ALL(desc_arpl);
