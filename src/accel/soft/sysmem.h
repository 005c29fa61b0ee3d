/* SPDX-License-Identifier: MIT */
/*
 * Fast supervisor access to descriptor tables, task state segments and inner stacks: the TLB entry of the supervisor
 * context when it fits, mem_sys_read and mem_sys_write otherwise.
 */
#pragma once

#include <string.h>

#include "accel/soft/mem.h"
#include "accel/soft/state.h"

/* SDM vol. 3A, 4.6.1: implicit accesses obey SMAP whatever RFLAGS.AC says. */
static inline const struct tlb_entry *sysmem_entry(const struct cpu *cpu, gva addr)
{
    unsigned context = cpu->cr4 & CR4_SMAP ? MMU_KERNEL_SMAP : MMU_KERNEL;

    return &cpu->tlbs[context].entries[(addr >> 12) & (TLB_SIZE - 1)];
}

static inline void sysmem_read(struct cpu *cpu, const struct insn *in, gva addr, void *data,
                               unsigned size)
{
    const struct tlb_entry *e = sysmem_entry(cpu, addr);

    if (likely((((addr + size - 1) & PAGE_MASK) | cpu->tlb_gen) == e->tag_r))
        memcpy(data, (const void *)(addr + e->addend), size);
    else
        mem_sys_read(cpu, in, addr, data, size);
}

static inline void sysmem_write(struct cpu *cpu, const struct insn *in, gva addr, const void *data,
                                unsigned size)
{
    const struct tlb_entry *e = sysmem_entry(cpu, addr);

    if (likely((((addr + size - 1) & PAGE_MASK) | cpu->tlb_gen) == e->tag_w)) {
        memcpy((void *)(addr + e->addend), data, size);
        mem_stored(cpu, (const u8 *)(addr + e->addend), size);
    } else {
        mem_sys_write(cpu, in, addr, data, size);
    }
}

static inline u64 sysmem_load64(struct cpu *cpu, const struct insn *in, gva addr)
{
    u64 value;

    sysmem_read(cpu, in, addr, &value, sizeof(value));
    return value;
}

static inline u32 sysmem_load32(struct cpu *cpu, const struct insn *in, gva addr)
{
    u32 value;

    sysmem_read(cpu, in, addr, &value, sizeof(value));
    return value;
}

static inline u16 sysmem_load16(struct cpu *cpu, const struct insn *in, gva addr)
{
    u16 value;

    sysmem_read(cpu, in, addr, &value, sizeof(value));
    return value;
}
