/* SPDX-License-Identifier: MIT */
/* Register dump. */
#include "accel/soft/dump.h"

#include "accel/soft/state.h"
#include "base/bits.h"
#include "base/text.h"
#include "machine/vcpu.h"

static void dump_gprs(struct text *d, const struct cpu *cpu)
{
    static const char *const names[16] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                           "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15" };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        text_add(d, "%s=%016llx%c", names[i], (unsigned long long)cpu->gpr[i],
                 i % 4 == 3 ? '\n' : ' ');
}

static void dump_flags(struct text *d, const struct cpu *cpu)
{
    static const struct {
        u64 flag;
        char letter;
    } letters[] = { { FLAG_OF, 'O' }, { FLAG_DF, 'D' }, { FLAG_IF, 'I' },
                    { FLAG_TF, 'T' }, { FLAG_SF, 'S' }, { FLAG_ZF, 'Z' },
                    { FLAG_AF, 'A' }, { FLAG_PF, 'P' }, { FLAG_CF, 'C' } };
    u64 rflags = cpu_rflags(cpu);
    char text[ARRAY_SIZE(letters) + 1];

    for (unsigned i = 0; i < ARRAY_SIZE(letters); i++)
        text[i] = rflags & letters[i].flag ? letters[i].letter : '-';
    text[ARRAY_SIZE(letters)] = '\0';
    text_add(d, "RIP=%016llx RFL=%08llx [%s] CPL=%u mode=%x%s%s\n", (unsigned long long)cpu->rip,
             (unsigned long long)rflags, text, cpu->cpl, cpu->mode, cpu->shadow ? " shadow" : "",
             cpu->nmi_blocked ? " nmi-blocked" : "");
}

static void dump_segment(struct text *d, const char *name, const struct segment *s)
{
    text_add(d, "%s=%04x %016llx %08x %04x%s\n", name, s->selector, (unsigned long long)s->base,
             s->limit, s->attr, s->attr & SEG_UNUSABLE ? " unusable" : "");
}

static void dump_segments(struct text *d, const struct cpu *cpu)
{
    static const char *const names[SEG_COUNT] = { "ES ", "CS ", "SS ", "DS ", "FS ", "GS " };

    for (unsigned i = 0; i < SEG_COUNT; i++)
        dump_segment(d, names[i], &cpu->seg[i]);
    dump_segment(d, "LDT", &cpu->ldtr);
    dump_segment(d, "TR ", &cpu->tr);
    text_add(d, "GDT=     %016llx %08x\nIDT=     %016llx %08x\n",
             (unsigned long long)cpu->gdtr.base, cpu->gdtr.limit,
             (unsigned long long)cpu->idtr.base, cpu->idtr.limit);
}

static void dump_control(struct text *d, const struct cpu *cpu)
{
    text_add(d, "CR0=%08llx CR2=%016llx CR3=%016llx CR4=%08llx EFER=%llx XCR0=%llx\n",
             (unsigned long long)cpu->cr0, (unsigned long long)cpu->cr2,
             (unsigned long long)cpu->cr3, (unsigned long long)cpu->cr4,
             (unsigned long long)cpu->msr.efer, (unsigned long long)cpu->xcr0);
    for (unsigned i = 0; i < 4; i++)
        text_add(d, "DR%u=%016llx ", i, (unsigned long long)cpu->dr[i]);
    text_add(d, "DR6=%08llx DR7=%08llx\n", (unsigned long long)cpu->dr[6],
             (unsigned long long)cpu->dr[7]);
    text_add(d, "KERNEL_GS=%016llx FCW=%04x FSW=%04x FTW=%02x MXCSR=%08x TSC offset=%lld\n",
             (unsigned long long)cpu->msr.kernel_gs_base, cpu->xsave.fcw, cpu->xsave.fsw,
             cpu->xsave.ftw, cpu->xsave.mxcsr, (long long)cpu->msr.tsc_offset);
}

void cpu_dump(const struct cpu *cpu, char *text, size_t size)
{
    static const char *const states[] = { "running", "halted", "waits for SIPI" };
    struct text d = { .bytes = text, .size = size };

    if (size > 0)
        text[0] = '\0';
    text_add(&d, "CPU %u, APIC ID %u, %s, %llu instructions\n", cpu->vcpu->id, cpu->vcpu->apic_id,
             states[cpu->vcpu->run_state], (unsigned long long)cpu->icount);
    dump_gprs(&d, cpu);
    dump_flags(&d, cpu);
    dump_segments(&d, cpu);
    dump_control(&d, cpu);
}
