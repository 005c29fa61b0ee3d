/* SPDX-License-Identifier: MIT */
/*
 * Through the IDT: SDM vol. 3A, chapter 6 (protected and long mode), vol. 3B, 20.1.4 (real mode) and 20.3
 * (virtual-8086 mode), and the pseudo-code of INT n in vol. 2A.
 *
 * Everything is read and checked first, then the frame is written, then registers change. Faults leave by cpu_fault
 * with the EXT bit where the event was not a software interrupt.
 * NOT EMULATED: task gates (internal error), virtual-8086 mode extensions (CR4.VME).
 */
#include "accel/soft/event.h"

#include "accel/soft/frame.h"
#include "accel/soft/insn.h"
#include "accel/soft/msr.h"
#include "accel/soft/seg.h"
#include "accel/soft/sysmem.h"
#include "accel/soft/tlb.h"
#include "base/log.h"

#define DR7_GD        BIT64(13)

/* Vectors that push an error code, and exceptions that are faults (SDM vol. 3A, table 6-1). */
#define VECTORS_ERROR (BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17))
#define VECTORS_FAULT \
    (BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | \
     BIT(16) | BIT(17) | BIT(19))

/* What is known of a delivery on its way. */
struct event {
    const struct insn *in;
    unsigned vector;
    u32 code;
    u32 ext; /* ERROR_EXT, but for software interrupts */
    enum event_kind kind;

    /* From the gate. */
    unsigned type; /* enum system_type */
    unsigned ist;
    u16 selector;
    u64 offset;

    /* From the code segment. */
    struct descriptor cs;
    unsigned level; /* new CPL */
};

static bool event_in_set(const struct event *e, u32 set)
{
    return e->kind == EVENT_EXCEPTION && e->vector < 32 && (set >> e->vector & 1);
}

/* RFLAGS for the frame: RF makes the retried instruction immune to breakpoints (SDM vol. 3B, 17.3.1.1). */
static u64 event_flags(const struct cpu *cpu, const struct event *e)
{
    return cpu_rflags(cpu) | (event_in_set(e, VECTORS_FAULT) ? FLAG_RF : 0);
}

/* --- Real mode --- */

static void event_deliver_real(struct cpu *cpu, const struct event *e)
{
    struct frame_stack st = frame_stack(cpu);
    u64 frame[3] = { cpu_rflags(cpu), cpu->seg[SEG_CS].selector, cpu->rip };
    u32 vector;

    if (e->vector * 4 + 3 > cpu->idtr.limit)
        cpu_gp(cpu, e->in, e->vector * 8 | ERROR_IDT | e->ext);
    vector = sysmem_load32(cpu, e->in, cpu->idtr.base + e->vector * 4);
    frame_push(cpu, e->in, &st, frame, 3, 2);
    frame_set_sp(cpu, st.mask, st.sp);
    cpu->sflags &= ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    cpu->seg[SEG_CS] = segment_real(&cpu->seg[SEG_CS], (u16)(vector >> 16), true);
    cpu->rip = vector & 0xFFFF;
    cpu_mode_update(cpu);
}

/* --- Gates --- */

static _Noreturn void event_bad_gate(struct cpu *cpu, const struct event *e, enum vector vector)
{
    cpu_fault(cpu, e->in, vector, e->vector * 8 | ERROR_IDT | e->ext);
}

static bool event_gate_type(const struct cpu *cpu, unsigned type)
{
    if (cpu->mode & MODE_LMA)
        return type == TYPE_INT || type == TYPE_TRAP;
    return type == TYPE_INT || type == TYPE_TRAP || type == TYPE_INT16 || type == TYPE_TRAP16;
}

/*
 * A gate: offset 15:0 in bits 15:0, selector 31:16, IST 34:32, type 43:40, DPL 46:45, P 47, offset 31:16 in 63:48;
 * in long mode offset 63:32 in the low half of 8 more bytes.
 */
static void event_read_gate(struct cpu *cpu, struct event *e)
{
    bool wide = cpu->mode & MODE_LMA;
    u32 at = e->vector * (wide ? 16 : 8);
    u64 gate;

    if (at + (wide ? 15 : 7) > cpu->idtr.limit)
        event_bad_gate(cpu, e, VEC_GP);
    gate = sysmem_load64(cpu, e->in, cpu->idtr.base + at);
    e->type = (unsigned)(gate >> 40) & 0x1F;
    if (e->type == TYPE_TASK_GATE && !wide)
        cpu_internal_error(cpu, "task switch through IDT entry 0x%x is not emulated", e->vector);
    if (!event_gate_type(cpu, e->type))
        event_bad_gate(cpu, e, VEC_GP);
    if (e->kind == EVENT_SOFTWARE && (gate >> 45 & 3) < cpu->cpl)
        event_bad_gate(cpu, e, VEC_GP);
    if (!(gate >> 47 & 1))
        event_bad_gate(cpu, e, VEC_NP);
    e->selector = (u16)(gate >> 16);
    e->offset = (gate & 0xFFFF) | (gate >> 32 & 0xFFFF0000);
    if (e->type == TYPE_INT16 || e->type == TYPE_TRAP16)
        e->offset &= 0xFFFF;
    if (wide) {
        e->ist = (unsigned)(gate >> 32) & 7;
        e->offset |= (u64)sysmem_load32(cpu, e->in, cpu->idtr.base + at + 8) << 32;
    }
}

static void event_read_code(struct cpu *cpu, struct event *e)
{
    struct descriptor *d = &e->cs;
    u32 code = SEL_ERROR(e->selector) | e->ext;

    if (SEL_NULL(e->selector))
        cpu_gp(cpu, e->in, e->ext);
    if (!descriptor_read(cpu, e->in, e->selector, d))
        cpu_gp(cpu, e->in, code);
    if (!descriptor_is_code(d) || descriptor_dpl(d) > cpu->cpl)
        cpu_gp(cpu, e->in, code);
    if ((cpu->mode & MODE_LMA) && (descriptor_attr(d) & (SEG_L | SEG_DB)) != SEG_L)
        cpu_gp(cpu, e->in, code);
    if (!descriptor_present(d))
        cpu_fault(cpu, e->in, VEC_NP, code);
    e->level = descriptor_conforming(d) ? cpu->cpl : descriptor_dpl(d);
    /* From virtual-8086 mode only level 0 may be entered. */
    if ((cpu->mode & MODE_VM) && e->level != 0)
        cpu_gp(cpu, e->in, code);
}

/* --- Entering the handler --- */

static void event_enter(struct cpu *cpu, const struct event *e)
{
    u64 clear = FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM;

    if (e->type == TYPE_INT || e->type == TYPE_INT16)
        clear |= FLAG_IF;
    cpu->sflags &= ~clear;
    cpu->seg[SEG_CS] = descriptor_segment(&e->cs, (u16)((e->selector & ~SEL_RPL) | e->level));
    cpu->rip = e->offset;
    if (e->vector == VEC_DB && e->kind == EVENT_EXCEPTION)
        cpu->dr[7] &= ~DR7_GD;
    cpu_mode_update(cpu);
}

/* SDM vol. 3A, 6.14: SS:RSP are always pushed, the stack is aligned, SS becomes null on a change of level. */
static void event_deliver_long(struct cpu *cpu, struct event *e)
{
    bool inner = e->level != cpu->cpl;
    struct frame_stack st = { .mask = ~UINT64_C(0), .code = e->ext, .user = e->level == 3 };
    u64 frame[6] = { cpu->seg[SEG_SS].selector, cpu->gpr[RSP], event_flags(cpu, e),
                     cpu->seg[SEG_CS].selector, cpu->rip,      e->code };

    if (e->ist)
        st.sp = seg_tss_rsp(cpu, e->in, 3 + e->ist, e->ext);
    else
        st.sp = inner ? seg_tss_rsp(cpu, e->in, e->level, e->ext) : cpu->gpr[RSP];
    if (!cpu_canonical(cpu, e->offset))
        cpu_gp(cpu, e->in, e->ext);
    st.sp &= ~UINT64_C(15);
    descriptor_set_accessed(cpu, e->in, &e->cs);
    frame_push(cpu, e->in, &st, frame, event_in_set(e, VECTORS_ERROR) ? 6 : 5, 8);
    cpu->gpr[RSP] = st.sp;
    if (inner)
        cpu->seg[SEG_SS] = segment_null((u16)e->level, e->level);
    event_enter(cpu, e);
}

/* The frame of a protected mode handler: what is below counts from its end. */
struct event_frame {
    u64 values[10];
    unsigned count;
};

static void event_frame_add(struct event_frame *f, u64 value)
{
    f->values[f->count++] = value;
}

static void event_frame_finish(const struct cpu *cpu, const struct event *e, struct event_frame *f)
{
    event_frame_add(f, event_flags(cpu, e));
    event_frame_add(f, cpu->seg[SEG_CS].selector);
    event_frame_add(f, cpu->rip);
    if (event_in_set(e, VECTORS_ERROR))
        event_frame_add(f, e->code);
}

static void event_check_offset(struct cpu *cpu, const struct event *e)
{
    if (e->offset > descriptor_limit(&e->cs))
        cpu_gp(cpu, e->in, e->ext);
}

static void event_deliver_inner(struct cpu *cpu, struct event *e, unsigned width)
{
    static const enum seg_reg data[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };
    bool vm86 = cpu->mode & MODE_VM;
    struct event_frame f = { .count = 0 };
    struct descriptor d;
    struct segment ss;
    struct frame_stack st;
    u16 selector;
    u64 sp;

    seg_tss_stack(cpu, e->in, e->level, e->ext, &selector, &sp);
    if (SEL_NULL(selector))
        cpu_fault(cpu, e->in, VEC_TS, e->ext);
    if (!descriptor_read(cpu, e->in, selector, &d))
        cpu_fault(cpu, e->in, VEC_TS, SEL_ERROR(selector) | e->ext);
    seg_check_ss(cpu, e->in, &d, e->level, VEC_TS, e->ext);
    event_check_offset(cpu, e);
    ss = descriptor_segment(&d, selector);
    st = frame_stack_in(&ss, sp);
    st.code = SEL_ERROR(selector) | e->ext;
    for (unsigned i = 0; vm86 && i < ARRAY_SIZE(data); i++)
        event_frame_add(&f, cpu->seg[data[i]].selector);
    event_frame_add(&f, cpu->seg[SEG_SS].selector);
    event_frame_add(&f, cpu->gpr[RSP]);
    event_frame_finish(cpu, e, &f);
    descriptor_set_accessed(cpu, e->in, &e->cs);
    descriptor_set_accessed(cpu, e->in, &d);
    frame_push(cpu, e->in, &st, f.values, f.count, width);

    cpu->seg[SEG_SS] = descriptor_segment(&d, selector);
    frame_set_sp(cpu, st.mask, st.sp);
    for (unsigned i = 0; vm86 && i < ARRAY_SIZE(data); i++)
        cpu->seg[data[i]] = segment_null(0, 0);
    event_enter(cpu, e);
}

static void event_deliver_same(struct cpu *cpu, struct event *e, unsigned width)
{
    struct frame_stack st = frame_stack(cpu);
    struct event_frame f = { .count = 0 };

    st.code = e->ext;
    event_check_offset(cpu, e);
    event_frame_finish(cpu, e, &f);
    descriptor_set_accessed(cpu, e->in, &e->cs);
    frame_push(cpu, e->in, &st, f.values, f.count, width);
    frame_set_sp(cpu, st.mask, st.sp);
    event_enter(cpu, e);
}

void event_deliver_at(struct cpu *cpu, const struct insn *in, unsigned vector, u32 code,
                      enum event_kind kind)
{
    struct event e = {
        .in = in,
        .vector = vector,
        .code = code,
        .kind = kind,
        .ext = kind == EVENT_SOFTWARE ? 0 : ERROR_EXT,
    };
    unsigned width;

    if (kind == EVENT_SOFTWARE)
        LOG(LOG_INT, "cpu %u: software interrupt 0x%02x rip 0x%llx cpl %u", cpu->vcpu->id, vector,
            (unsigned long long)cpu->rip, cpu->cpl);
    if (!(cpu->mode & MODE_PE)) {
        event_deliver_real(cpu, &e);
        return;
    }
    event_read_gate(cpu, &e);
    event_read_code(cpu, &e);
    if (cpu->mode & MODE_LMA) {
        event_deliver_long(cpu, &e);
        return;
    }
    width = e.type == TYPE_INT || e.type == TYPE_TRAP ? 4 : 2;
    if (e.level != cpu->cpl)
        event_deliver_inner(cpu, &e, width);
    else
        event_deliver_same(cpu, &e, width);
}

void event_deliver(struct cpu *cpu, unsigned vector, u32 code, enum event_kind kind)
{
    event_deliver_at(cpu, kind == EVENT_SOFTWARE ? cpu->in : NULL, vector, code, kind);
}
