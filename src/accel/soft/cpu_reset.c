/* SPDX-License-Identifier: MIT */
/*
 * Power-on, INIT and direct boot: SDM vol. 3A, table 9-1 (processor states following power-up, reset, INIT).
 * FCW is 37FH, as after FNINIT, where the table has 40H: what virtual machines before us started with.
 */
#include "accel/soft/cpu_reset.h"

#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/msr.h"
#include "accel/soft/seg.h"
#include "accel/soft/state.h"
#include "accel/soft/tlb.h"
#include "machine/boot_state.h"
#include "machine/machine.h"

#define RESET_CR0           (CR0_CD | CR0_NW | CR0_ET)
#define RESET_DR6           UINT64_C(0xFFFF0FF0)
#define RESET_DR7           UINT64_C(0x400)
#define RESET_FCW           0x37F
#define RESET_MXCSR         0x1F80
#define RESET_MXCSR_MASK    0xFFFF
#define RESET_MICROCODE     1
#define MISC_ENABLE_MONITOR BIT64(18)

#define RESET_CODE          (SEG_P | SEG_S | SEG_TYPE_CODE | SEG_TYPE_RW | SEG_TYPE_ACCESSED)
#define RESET_DATA          (SEG_P | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED)

/* Selectors and segments of a direct boot (boot_state.h). */
#define BOOT_CS             0x10
#define BOOT_DS             0x18
#define BOOT_TSS            0x20
#define BOOT_TSS_LIMIT      0x67

static void reset_segments(struct cpu *cpu)
{
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg[i] = (struct segment){ .limit = 0xFFFF, .attr = RESET_DATA };
    cpu->seg[SEG_CS] = (struct segment){
        .base = 0xFFFF0000, .limit = 0xFFFF, .selector = 0xF000, .attr = RESET_CODE
    };
    cpu->ldtr = (struct segment){ .limit = 0xFFFF, .attr = SEG_P | TYPE_LDT };
    cpu->tr = (struct segment){ .limit = 0xFFFF, .attr = SEG_P | TYPE_TSS_BUSY };
    cpu->gdtr = (struct table_reg){ .limit = 0xFFFF };
    cpu->idtr = (struct table_reg){ .limit = 0xFFFF };
}

static void reset_control(struct cpu *cpu, bool init)
{
    cpu->cr0 = init ? (cpu->cr0 & (CR0_CD | CR0_NW)) | CR0_ET : RESET_CR0;
    cpu->cr2 = 0;
    cpu->cr3 = 0;
    cpu->cr4 = 0;
    memset(cpu->dr, 0, sizeof(cpu->dr));
    cpu->dr[6] = RESET_DR6;
    cpu->dr[7] = RESET_DR7;
    cpu->msr.efer = 0;
    cpu->msr.kvm_system_time = 0;
}

static void reset_fpu(struct cpu *cpu)
{
    memset(&cpu->xsave, 0, sizeof(cpu->xsave));
    cpu->xsave.fcw = RESET_FCW;
    cpu->xsave.mxcsr = RESET_MXCSR;
    cpu->xsave.mxcsr_mask = RESET_MXCSR_MASK;
    cpu->xcr0 = XCR0_X87;
}

static void reset_msrs(struct cpu *cpu)
{
    memset(&cpu->msr, 0, sizeof(cpu->msr));
    cpu->msr.pat = PAT_RESET;
    cpu->msr.misc_enable = MISC_ENABLE_RESET;
    if (feature_has(cpuid_features(cpu->cpuid), FEAT_MONITOR))
        cpu->msr.misc_enable |= MISC_ENABLE_MONITOR;
    cpu->msr.microcode_rev = RESET_MICROCODE;
}

void cpu_reset(struct cpu *cpu, bool init)
{
    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpu->gpr[GPR_BIAS] = BIT64(31);
    cpu->gpr[RDX] = cpuid_signature(cpu->cpuid);
    cpu->rip = 0xFFF0;
    cpu_set_rflags(cpu, FLAG_1);
    reset_segments(cpu);
    if (!init) {
        reset_fpu(cpu);
        reset_msrs(cpu);
    }
    reset_control(cpu, init);
    cpu->shadow = false;
    cpu->nmi_blocked = false;
    cpu->intr_waiting = false;
    cpu->db_pending = 0;
    tlb_flush(cpu, TLB_FLUSH_ALL, 0);
    cpu_mode_update(cpu);
}

/* --- Direct boot --- */

static struct segment boot_segment(u16 selector, unsigned attr)
{
    return (
        struct segment){ .limit = 0xFFFFFFFF, .selector = selector, .attr = (u16)(attr | SEG_G) };
}

static void boot_segments(struct cpu *cpu, const struct cpu_boot_state *state)
{
    static const enum seg_reg data[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
    bool wide = state->mode == BOOT_MODE_LONG64;

    cpu->seg[SEG_CS] = boot_segment(BOOT_CS, RESET_CODE | (wide ? SEG_L : SEG_DB));
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        cpu->seg[data[i]] = boot_segment(BOOT_DS, RESET_DATA | SEG_DB);
    cpu->tr = (struct segment){
        .limit = BOOT_TSS_LIMIT,
        .selector = BOOT_TSS,
        .attr = SEG_P | TYPE_TSS_BUSY,
    };
    cpu->gdtr = (struct table_reg){ .base = state->gdt, .limit = state->gdt_limit };
}

/* Write-back by default: kernels that find the MTRRs off leave the PAT alone and say so. */
static void boot_memory_types(const struct machine *machine)
{
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct cpu *cpu = machine->vcpus[i].accel;

        if (cpu)
            cpu->msr.mtrr_def_type = MTRR_DEF_TYPE_E | MTRR_TYPE_WB;
    }
}

void cpu_set_boot(struct cpu *cpu, const struct cpu_boot_state *state)
{
    if (state->mode == BOOT_MODE_RESET)
        return;
    boot_segments(cpu, state);
    boot_memory_types(cpu->vcpu->machine);
    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpu->gpr[GPR_BIAS] = BIT64(31);
    cpu->gpr[RBX] = state->rbx;
    cpu->gpr[RSI] = state->rsi;
    cpu->gpr[RSP] = state->rsp;
    cpu->gpr[RBP] = state->rsp;
    cpu->rip = state->rip;
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE;
    if (state->mode == BOOT_MODE_LONG64) {
        cpu->cr0 |= CR0_PG;
        cpu->cr3 = state->cr3;
        cpu->cr4 = CR4_PAE;
        cpu->msr.efer = EFER_LME | EFER_LMA;
    }
    tlb_flush(cpu, TLB_FLUSH_ALL, 0);
    cpu_mode_update(cpu);
}
