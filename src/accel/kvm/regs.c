/* SPDX-License-Identifier: MIT */
/*
 * A CPU's registers: power-on and reset, INIT and SIPI where the local APIC is outside, the direct boot, and the dump.
 *
 * A new KVM CPU is in power-on state (SDM vol. 3A, table 9-1). What it is then is kept, and a reset puts it back.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "accel/kvm/kvm.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "machine/boot_state.h"
#include "machine/machine.h"

#define CR0_PE                  BIT64(0)
#define CR0_ET                  BIT64(4)
#define CR0_NE                  BIT64(5)
#define CR0_NW                  BIT64(29)
#define CR0_CD                  BIT64(30)
#define CR0_PG                  BIT64(31)
#define CR4_PAE                 BIT64(5)
#define EFER_LME_LMA            (BIT64(8) | BIT64(10))
#define RFLAGS_FIXED            BIT64(1)

#define SEG_TYPE_DATA           3u  /* read, write, accessed */
#define SEG_TYPE_CODE           11u /* execute, read, accessed */
#define SEG_TYPE_TSS_BUSY       11u
#define BOOT_CS                 0x10
#define BOOT_DS                 0x18
#define BOOT_TSS                0x20
#define BOOT_TSS_LIMIT          0x67

#define MSR_TSC                 0x10u
#define MSR_TSC_ADJUST          0x3Bu
#define MSR_MTRR_DEF_TYPE       0x2FFu
#define MTRR_ENABLED_WRITE_BACK 0x806u

#define REGS_CODE_BYTES         16u /* before and from RIP in a dump */

/* --- Power-on state --- */

/* The list is asked for twice: how many there are, then which. */
static struct kvm_msr_list *regs_list_msrs(const struct kvm *kvm)
{
    struct kvm_msr_list *list =
        xcalloc(1, sizeof(*list) + KVM_SAVED_MSRS_MAX * sizeof(list->indices[0]));

    list->nmsrs = KVM_SAVED_MSRS_MAX;
    if (ioctl(kvm->device, KVM_GET_MSR_INDEX_LIST, list) < 0)
        list->nmsrs = 0;
    return list;
}

/* One by one: KVM stops at the first that it does not like. The TSC goes on over a reset. */
static void regs_save_msrs(struct kvm_cpu *cpu)
{
    struct kvm_msr_list *list = regs_list_msrs(cpu->kvm);
    struct kvm_msrs *one = xcalloc(1, sizeof(*one) + sizeof(one->entries[0]));
    struct kvm_msrs *all = xcalloc(1, sizeof(*all) + list->nmsrs * sizeof(all->entries[0]));

    one->nmsrs = 1;
    for (u32 i = 0; i < list->nmsrs; i++) {
        if (list->indices[i] == MSR_TSC || list->indices[i] == MSR_TSC_ADJUST)
            continue;
        one->entries[0].index = list->indices[i];
        if (ioctl(cpu->fd, KVM_GET_MSRS, one) == 1)
            all->entries[all->nmsrs++] = one->entries[0];
    }
    cpu->saved.msrs = all;
    free(one);
    free(list);
}

static void regs_restore_msrs(struct kvm_cpu *cpu)
{
    struct kvm_msrs *one = xcalloc(1, sizeof(*one) + sizeof(one->entries[0]));

    one->nmsrs = 1;
    for (u32 i = 0; i < cpu->saved.msrs->nmsrs; i++) {
        one->entries[0] = cpu->saved.msrs->entries[i];
        ioctl(cpu->fd, KVM_SET_MSRS, one);
    }
    free(one);
}

/* The XSAVE area may be larger than the 4 KiB of KVM_GET_XSAVE; then KVM has KVM_GET_XSAVE2. */
static void regs_save_xsave(struct kvm_cpu *cpu)
{
    cpu->saved.xsave = xcalloc(1, cpu->kvm->xsave_size);
    if (cpu->kvm->xsave_size > sizeof(struct kvm_xsave))
        ioctl(cpu->fd, KVM_GET_XSAVE2, cpu->saved.xsave);
    else
        ioctl(cpu->fd, KVM_GET_XSAVE, cpu->saved.xsave);
}

void kvm_regs_save(struct kvm_cpu *cpu)
{
    struct kvm_saved_cpu *s = &cpu->saved;

    ioctl(cpu->fd, KVM_GET_REGS, &s->regs);
    ioctl(cpu->fd, KVM_GET_SREGS, &s->sregs);
    ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &s->events);
    ioctl(cpu->fd, KVM_GET_DEBUGREGS, &s->debugregs);
    ioctl(cpu->fd, KVM_GET_XCRS, &s->xcrs);
    if (cpu->kvm->irqchip != ACCEL_IRQCHIP_NONE) {
        ioctl(cpu->fd, KVM_GET_LAPIC, &s->lapic);
        ioctl(cpu->fd, KVM_GET_MP_STATE, &s->mp_state);
    }
    regs_save_xsave(cpu);
    regs_save_msrs(cpu);
    kvm_irq_save(cpu->kvm);
    cpu->saved_valid = true;
}

void kvm_regs_free(struct kvm_cpu *cpu)
{
    free(cpu->saved.xsave);
    free(cpu->saved.msrs);
}

static void regs_log_failure(const struct kvm_cpu *cpu, const char *what, int result)
{
    if (result < 0)
        log_warn("KVM refuses the %s of CPU %u at a reset", what, cpu->vcpu->id);
}

/* The APIC's base comes with the segment registers, and is needed before its other state. */
static void regs_restore(struct kvm_cpu *cpu)
{
    struct kvm_saved_cpu *s = &cpu->saved;
    const struct {
        unsigned long request;
        void *data;
        const char *what;
        bool apic;
    } steps[] = {
        { KVM_SET_REGS, &s->regs, "registers", false },
        { KVM_SET_XSAVE, s->xsave, "FPU", false },
        { KVM_SET_XCRS, &s->xcrs, "XCR0", false },
        { KVM_SET_SREGS, &s->sregs, "system registers", false },
        { KVM_SET_DEBUGREGS, &s->debugregs, "debug registers", false },
        { KVM_SET_LAPIC, &s->lapic, "local APIC", true },
        { KVM_SET_MP_STATE, &s->mp_state, "activity state", true },
        { KVM_SET_VCPU_EVENTS, &s->events, "events", false },
    };

    regs_restore_msrs(cpu);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        if (!steps[i].apic || cpu->kvm->irqchip != ACCEL_IRQCHIP_NONE)
            regs_log_failure(cpu, steps[i].what, ioctl(cpu->fd, steps[i].request, steps[i].data));
}

void kvm_regs_reset(struct vcpu *vcpu)
{
    struct kvm_cpu *cpu = vcpu->accel;

    cpu->interrupting = false;
    cpu->run->request_interrupt_window = 0;
    /* The kernel blocks CPUs that wait for a SIPI when it has their APICs. */
    if (cpu->kvm->irqchip != ACCEL_IRQCHIP_NONE)
        vcpu->run_state = VCPU_RUNNING;
    if (!cpu->runs || !cpu->saved_valid)
        return;
    if (vcpu->bsp)
        kvm_irq_reset(cpu->kvm);
    regs_restore(cpu);
}

/* --- INIT and SIPI --- */

static struct kvm_segment regs_segment(u16 selector, u64 base, u32 limit, u8 type)
{
    return (struct kvm_segment){
        .selector = selector, .base = base, .limit = limit, .type = type, .present = 1, .s = 1
    };
}

void kvm_regs_init(struct kvm_cpu *cpu)
{
    struct kvm_regs regs = { .rip = 0xFFF0, .rflags = RFLAGS_FIXED };
    struct kvm_segment data = regs_segment(0, 0, 0xFFFF, SEG_TYPE_DATA);
    struct kvm_sregs s;
    u32 edx;

    ioctl(cpu->fd, KVM_GET_SREGS, &s);
    kvm_cpuid_signature(cpu->vcpu->machine, &edx, &(u32){ 0 });
    regs.rdx = edx;
    s.cs = regs_segment(0xF000, 0xFFFF0000, 0xFFFF, SEG_TYPE_CODE);
    s.ds = s.es = s.fs = s.gs = s.ss = data;
    s.ldt = (struct kvm_segment){ .limit = 0xFFFF, .type = 2, .present = 1 };
    s.tr = (struct kvm_segment){ .limit = 0xFFFF, .type = SEG_TYPE_TSS_BUSY, .present = 1 };
    s.gdt = s.idt = (struct kvm_dtable){ .limit = 0xFFFF };
    s.cr0 = (s.cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
    s.cr2 = s.cr3 = s.cr4 = s.efer = 0;
    memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
    ioctl(cpu->fd, KVM_SET_SREGS, &s);
    ioctl(cpu->fd, KVM_SET_REGS, &regs);
}

void kvm_regs_startup(struct kvm_cpu *cpu, u8 vector)
{
    struct kvm_regs regs;
    struct kvm_sregs s;

    ioctl(cpu->fd, KVM_GET_SREGS, &s);
    ioctl(cpu->fd, KVM_GET_REGS, &regs);
    s.cs.selector = (u16)(vector << 8);
    s.cs.base = (u64)vector << 12;
    regs.rip = 0;
    ioctl(cpu->fd, KVM_SET_SREGS, &s);
    ioctl(cpu->fd, KVM_SET_REGS, &regs);
}

/* --- Direct boot --- */

static void regs_boot_segments(struct kvm_sregs *s, const struct cpu_boot_state *state)
{
    struct kvm_segment data = regs_segment(BOOT_DS, 0, UINT32_MAX, SEG_TYPE_DATA);

    data.g = data.db = 1;
    s->cs = regs_segment(BOOT_CS, 0, UINT32_MAX, SEG_TYPE_CODE);
    s->cs.g = 1;
    s->cs.l = state->mode == BOOT_MODE_LONG64;
    s->cs.db = !s->cs.l;
    s->ds = s->es = s->fs = s->gs = s->ss = data;
    s->tr = (struct kvm_segment){
        .selector = BOOT_TSS, .limit = BOOT_TSS_LIMIT, .type = SEG_TYPE_TSS_BUSY, .present = 1
    };
    s->gdt = (struct kvm_dtable){ .base = state->gdt, .limit = state->gdt_limit };
}

/* As the software CPU: kernels that find the MTRRs off leave the PAT alone. */
static void regs_boot_memory_type(const struct machine *machine)
{
    struct kvm_msrs *msrs = xcalloc(1, sizeof(*msrs) + sizeof(msrs->entries[0]));

    msrs->nmsrs = 1;
    msrs->entries[0] =
        (struct kvm_msr_entry){ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WRITE_BACK };
    for (unsigned i = 0; i < machine->vcpu_count; i++)
        ioctl(((struct kvm_cpu *)machine->vcpus[i].accel)->fd, KVM_SET_MSRS, msrs);
    free(msrs);
}

void kvm_regs_set_boot(struct vcpu *vcpu, const struct cpu_boot_state *state)
{
    struct kvm_cpu *cpu = vcpu->accel;
    struct kvm_regs regs = { .rbx = state->rbx,
                             .rsi = state->rsi,
                             .rsp = state->rsp,
                             .rbp = state->rsp,
                             .rip = state->rip,
                             .rflags = RFLAGS_FIXED };
    struct kvm_sregs s;

    if (state->mode == BOOT_MODE_RESET)
        return;
    ioctl(cpu->fd, KVM_GET_SREGS, &s);
    regs_boot_segments(&s, state);
    s.cr0 = CR0_PE | CR0_ET | CR0_NE;
    if (state->mode == BOOT_MODE_LONG64) {
        s.cr0 |= CR0_PG;
        s.cr3 = state->cr3;
        s.cr4 = CR4_PAE;
        s.efer = EFER_LME_LMA;
    }
    if (ioctl(cpu->fd, KVM_SET_SREGS, &s) < 0 || ioctl(cpu->fd, KVM_SET_REGS, &regs) < 0)
        log_warn("KVM refuses the start state of the first CPU");
    regs_boot_memory_type(vcpu->machine);
}

/* --- Dump --- */

static void dump_gprs(struct text *d, const struct kvm_regs *r)
{
    const struct {
        const char *name;
        u64 value;
    } gprs[] = {
        { "RAX", r->rax }, { "RCX", r->rcx }, { "RDX", r->rdx }, { "RBX", r->rbx },
        { "RSP", r->rsp }, { "RBP", r->rbp }, { "RSI", r->rsi }, { "RDI", r->rdi },
        { "R8 ", r->r8 },  { "R9 ", r->r9 },  { "R10", r->r10 }, { "R11", r->r11 },
        { "R12", r->r12 }, { "R13", r->r13 }, { "R14", r->r14 }, { "R15", r->r15 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(gprs); i++)
        text_add(d, "%s=%016llx%c", gprs[i].name, (unsigned long long)gprs[i].value,
                 i % 4 == 3 ? '\n' : ' ');
    text_add(d, "RIP=%016llx RFL=%08llx\n", (unsigned long long)r->rip,
             (unsigned long long)r->rflags);
}

static void dump_segments(struct text *d, const struct kvm_sregs *s)
{
    const struct {
        const char *name;
        const struct kvm_segment *segment;
    } rows[] = { { "ES", &s->es }, { "CS", &s->cs }, { "SS", &s->ss },   { "DS", &s->ds },
                 { "FS", &s->fs }, { "GS", &s->gs }, { "LDT", &s->ldt }, { "TR", &s->tr } };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct kvm_segment *g = rows[i].segment;

        text_add(d, "%-3s=%04x %016llx %08x type %x s %u dpl %u p %u db %u l %u g %u\n",
                 rows[i].name, g->selector, (unsigned long long)g->base, g->limit, g->type, g->s,
                 g->dpl, g->present, g->db, g->l, g->g);
    }
    text_add(d, "GDT=     %016llx %04x\nIDT=     %016llx %04x\n", (unsigned long long)s->gdt.base,
             s->gdt.limit, (unsigned long long)s->idt.base, s->idt.limit);
    text_add(d, "CR0=%08llx CR2=%016llx CR3=%016llx CR4=%08llx EFER=%llx APIC=%llx\n",
             (unsigned long long)s->cr0, (unsigned long long)s->cr2, (unsigned long long)s->cr3,
             (unsigned long long)s->cr4, (unsigned long long)s->efer,
             (unsigned long long)s->apic_base);
}

/* One byte at a linear address, by the guest's page tables; -1 when it is not mapped to RAM. */
static int dump_byte(const struct kvm_cpu *cpu, u64 linear)
{
    struct kvm_translation t = { .linear_address = linear };
    const u8 *byte;

    if (ioctl(cpu->fd, KVM_TRANSLATE, &t) < 0 || !t.valid)
        return -1;
    byte = ram_ptr(&cpu->vcpu->machine->ram, t.physical_address, 1);
    return byte ? *byte : -1;
}

/* The instruction's bytes, <marked>, with those before it. */
static void dump_code(struct text *d, const struct kvm_cpu *cpu, u64 linear)
{
    text_add(d, "Code=");
    for (u64 i = 0; i < 2 * REGS_CODE_BYTES; i++) {
        int byte = dump_byte(cpu, linear - REGS_CODE_BYTES + i);

        if (byte < 0)
            text_add(d, " ??");
        else
            text_add(d, i == REGS_CODE_BYTES ? " <%02x>" : " %02x", (unsigned)byte);
    }
    text_add(d, "\n");
}

void kvm_regs_dump(struct vcpu *vcpu, char *text, size_t size)
{
    struct kvm_cpu *cpu = vcpu->accel;
    struct text d = { .bytes = text, .size = size };
    struct kvm_regs regs;
    struct kvm_sregs sregs;

    text[0] = '\0';
    if (ioctl(cpu->fd, KVM_GET_REGS, &regs) < 0 || ioctl(cpu->fd, KVM_GET_SREGS, &sregs) < 0)
        return;
    dump_gprs(&d, &regs);
    dump_segments(&d, &sregs);
    dump_code(&d, cpu, sregs.cs.base + regs.rip);
}
