/* SPDX-License-Identifier: MIT */
/* See sys_fixture.h. */
#include "sys_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/accel.h"
#include "accel/soft/block.h"
#include "accel/soft/cpu_reset.h"
#include "accel/soft/cpuid.h"
#include "accel/soft/seg.h"
#include "accel/soft/tlb.h"
#include "base/mem.h"

/* --- What the CPU's code calls --- */

static struct sys *sys_of(struct cpu *cpu)
{
    return container_of(cpu->vcpu->machine, struct sys, machine);
}

static _Noreturn void sys_land(struct cpu *cpu, const struct insn *in, int result)
{
    if (in)
        cpu->rip = insn_rip(cpu, in);
    siglongjmp(cpu->landing, result + 16);
}

_Noreturn void cpu_fault(struct cpu *cpu, const struct insn *in, enum vector vector, u32 code)
{
    sys_of(cpu)->code = code;
    sys_land(cpu, in, (int)vector);
}

_Noreturn void cpu_page_fault(struct cpu *cpu, const struct insn *in, gva addr, u32 code)
{
    cpu->cr2 = addr;
    cpu_fault(cpu, in, VEC_PF, code);
}

_Noreturn void cpu_internal_error(struct cpu *cpu, const char *format, ...)
{
    (void)format;
    sys_land(cpu, NULL, SYS_ERROR);
}

void block_invalidate(struct block_cache *cache, u64 offset, u64 size)
{
    (void)cache;
    (void)offset;
    (void)size;
}

/* --- Devices --- */

static u64 apic_get_base(void *apic)
{
    return ((struct sys *)apic)->apic_base;
}

static bool apic_set_base(void *apic, u64 value)
{
    struct sys *s = apic;

    if (!s->apic_refuses)
        s->apic_base = value;
    return !s->apic_refuses;
}

static bool apic_msr_read(void *apic, u32 msr, u64 *value)
{
    struct sys *s = apic;

    s->apic_msr = msr;
    *value = msr == 0x6E0 ? s->deadline : s->apic_value;
    return !s->apic_refuses;
}

static bool apic_msr_write(void *apic, u32 msr, u64 value)
{
    struct sys *s = apic;

    s->apic_msr = msr;
    *(msr == 0x6E0 ? &s->deadline : &s->apic_value) = value;
    s->deadline_writes += msr == 0x6E0;
    return !s->apic_refuses;
}

static u8 apic_get_cr8(void *apic)
{
    return ((struct sys *)apic)->cr8;
}

static void apic_set_cr8(void *apic, u8 value)
{
    ((struct sys *)apic)->cr8 = value;
}

static const struct vcpu_apic_ops apic_ops = {
    .get_base = apic_get_base,
    .set_base = apic_set_base,
    .msr_read = apic_msr_read,
    .msr_write = apic_msr_write,
    .get_cr8 = apic_get_cr8,
    .set_cr8 = apic_set_cr8,
};

static void port_passed(struct sys *s)
{
    if (s->port_reads + s->port_writes == s->request_after)
        atomic_store(&s->machine.vcpus[0].requests, VCPU_REQ_INTR);
}

static u64 port_read(void *opaque, u64 offset, unsigned size)
{
    struct sys *s = opaque;

    s->port_addr = offset;
    s->port_size = size;
    s->port_reads++;
    port_passed(s);
    return s->port_value++;
}

static void port_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct sys *s = opaque;

    s->port_addr = offset;
    s->port_size = size;
    s->port_value = value;
    s->port_log[s->port_writes % sizeof(s->port_log)] = (u8)value;
    s->port_writes++;
    port_passed(s);
}

static const struct region_ops port_ops = {
    .read = port_read,
    .write = port_write,
    .sizes = BUS_SIZE_1 | BUS_SIZE_2 | BUS_SIZE_4,
};

static const struct accel_ops accel_none = { .name = "none" };

/* --- Memory --- */

u64 sys_get(struct sys *s, gpa addr, unsigned size)
{
    u64 value = 0;

    assert_int_equal(ram_read(&s->machine.ram, addr, &value, size), 0);
    return value;
}

void sys_set(struct sys *s, gpa addr, unsigned size, u64 value)
{
    assert_int_equal(ram_write(&s->machine.ram, addr, &value, size), 0);
}

void sys_push(struct sys *s, unsigned width, u64 value)
{
    s->cpu->gpr[RSP] -= width;
    sys_set(s, s->cpu->gpr[RSP], width, value);
}

void sys_descriptor(struct sys *s, u16 selector, u32 base, u32 limit, u16 attr)
{
    u64 raw = (limit & 0xFFFF) | (u64)(base & 0xFFFFFF) << 16 | (u64)attr << 40 |
              (u64)(limit >> 16 & 0xF) << 48 | (u64)(base >> 24) << 56;

    sys_set(s, AT_GDT + (selector & ~7u), 8, raw);
}

static u64 gate_low(u16 selector, u64 offset, unsigned attr, unsigned middle)
{
    return (offset & 0xFFFF) | (u64)selector << 16 | (u64)middle << 32 | (u64)attr << 40 |
           (offset >> 16 & 0xFFFF) << 48;
}

void sys_idt(struct sys *s, unsigned vector, u16 selector, u64 offset, unsigned type, unsigned dpl,
             unsigned ist)
{
    bool wide = s->cpu->mode & MODE_LMA;
    gpa at = AT_IDT + vector * (wide ? 16 : 8);

    sys_set(s, at, 8, gate_low(selector, offset, type | dpl << 5 | SEG_P, ist));
    if (wide)
        sys_set(s, at + 8, 8, offset >> 32);
}

void sys_call_gate(struct sys *s, u16 selector, u16 target, u64 offset, unsigned type, unsigned dpl,
                   unsigned count)
{
    gpa at = AT_GDT + (selector & ~7u);

    sys_set(s, at, 8, gate_low(target, offset, type | dpl << 5 | SEG_P, count));
    if (s->cpu->mode & MODE_LMA)
        sys_set(s, at + 8, 8, offset >> 32);
}

static void sys_tables(struct sys *s)
{
    sys_descriptor(s, SEL_CODE0, 0, 0xFFFFF, DESC_CODE32);
    sys_descriptor(s, SEL_DATA0, 0, 0xFFFFF, DESC_DATA32);
    sys_descriptor(s, SEL_CODE3, 0, 0xFFFFF, DESC_CODE32 | 0x60);
    sys_descriptor(s, SEL_DATA3, 0, 0xFFFFF, DESC_DATA32 | 0x60);
    sys_descriptor(s, SEL_CODE0_64, 0, 0xFFFFF, DESC_CODE64);
    sys_descriptor(s, SEL_CODE3_64, 0, 0xFFFFF, DESC_CODE64 | 0x60);
    sys_descriptor(s, SEL_CONFORM, 0, 0xFFFFF, DESC_CODE32 | 4);
    sys_descriptor(s, SEL_TSS, AT_TSS, 0xFF, 0x89);
    sys_descriptor(s, SEL_LDT, AT_LDT, 0x1F, 0x82);
    sys_descriptor(s, SEL_CODE16, 0, 0xFFFF, 0x9B);
    sys_descriptor(s, SEL_DATA16, 0, 0xFFFF, 0x93);
    sys_descriptor(s, SEL_XONLY, 0, 0xFFFFF, 0xC099);
    sys_descriptor(s, SEL_RODATA, 0, 0xFFFFF, 0xC091);
    sys_descriptor(s, SEL_DATA_NP, 0, 0xFFFFF, 0xC013);
    sys_descriptor(s, SEL_CODE_NP, 0, 0xFFFFF, 0xC01B);
    sys_descriptor(s, SEL_DOWN, 0, 0xFFF, 0x4097);
    sys_descriptor(s, SEL_CODE1, 0, 0xFFFFF, DESC_CODE32 | 0x20);
    sys_descriptor(s, SEL_DATA1, 0, 0xFFFFF, DESC_DATA32 | 0x20);
    sys_descriptor(s, SEL_SMALL, 0, 0xFFF, 0x409B);
    sys_descriptor(s, SEL_CODE_LD, 0, 0xFFFFF, 0xE09B);
    sys_descriptor(s, SEL_TASKGATE, 0, 0, 0x85);
    sys_descriptor(s, SEL_FRESH, 0, 0xFFFFF, DESC_DATA32 & ~1u);
    s->cpu->gdtr = (struct table_reg){ AT_GDT, GDT_BYTES - 1 };
    s->cpu->idtr = (struct table_reg){ AT_IDT, 0xFFF };
    s->cpu->tr = (struct segment){ AT_TSS, 0xFF, SEL_TSS, 0x8B };
    s->cpu->ldtr = (struct segment){ AT_LDT, 0x1F, SEL_LDT, 0x82 };
}

/* --- Modes --- */

static void sys_segments(struct sys *s, u16 code, u16 data, u16 code_attr, unsigned cpl)
{
    struct cpu *cpu = s->cpu;

    for (unsigned i = 0; i < SEG_COUNT; i++) {
        bool cs = i == SEG_CS;

        cpu->seg[i] = (struct segment){
            .limit = 0xFFFFFFFF,
            .selector = cs ? code : data,
            .attr = (u16)((cs ? code_attr : DESC_DATA32) | cpl << 5),
        };
    }
    cpu->gpr[RSP] = cpl == 3 ? AT_STACK3 : cpl == 1 ? AT_STACK1 : AT_STACK0;
    cpu->rip = AT_CODE;
    cpu_set_rflags(cpu, FLAG_1);
    tlb_flush(cpu, TLB_FLUSH_ALL, 0);
    cpu_mode_update(cpu);
}

/* 32-bit TSS: ESP0, SS0, ESP1, SS1; no I/O bitmap. */
void sys_protected(struct sys *s, unsigned cpl)
{
    static const u16 code[4] = { SEL_CODE0, SEL_CODE1, 0, SEL_CODE3 };
    static const u16 data[4] = { SEL_DATA0, SEL_DATA1, 0, SEL_DATA3 };

    s->cpu->cr0 |= CR0_PE;
    sys_tables(s);
    sys_segments(s, code[cpl], data[cpl], DESC_CODE32, cpl);
    sys_set(s, AT_TSS + 4, 4, AT_STACK0);
    sys_set(s, AT_TSS + 8, 4, SEL_DATA0);
    sys_set(s, AT_TSS + 12, 4, AT_STACK1);
    sys_set(s, AT_TSS + 16, 4, SEL_DATA1);
    sys_set(s, AT_TSS + 0x66, 2, 0x100);
}

static void sys_page_tables(struct sys *s)
{
    for (u64 i = 0; i < 3; i++)
        sys_set(s, AT_PAGE_TABLES + i * 0x1000, 8, (AT_PAGE_TABLES + (i + 1) * 0x1000) | 7);
    for (u64 i = 0; i < 512; i++)
        sys_set(s, AT_PAGE_TABLES + 0x3000 + i * 8, 8, i << 12 | 7);
    s->cpu->cr3 = AT_PAGE_TABLES;
}

static void sys_long_mode(struct sys *s)
{
    s->cpu->cr0 |= CR0_PE | CR0_PG;
    s->cpu->cr4 |= CR4_PAE;
    s->cpu->msr.efer |= EFER_LME | EFER_LMA | EFER_SCE;
    sys_page_tables(s);
    sys_tables(s);
    sys_set(s, AT_TSS + 4, 8, AT_STACK0);
    sys_set(s, AT_TSS + 12, 8, AT_STACK1);
    sys_set(s, AT_TSS + 36, 8, AT_IST);
    sys_set(s, AT_TSS + 0x66, 2, 0x100);
}

void sys_long(struct sys *s, unsigned cpl)
{
    sys_long_mode(s);
    sys_segments(s, cpl ? SEL_CODE3_64 : SEL_CODE0_64, cpl ? SEL_DATA3 : SEL_DATA0, DESC_CODE64,
                 cpl);
}

void sys_compat(struct sys *s, unsigned cpl)
{
    sys_long_mode(s);
    sys_segments(s, cpl ? SEL_CODE3 : SEL_CODE0, cpl ? SEL_DATA3 : SEL_DATA0, DESC_CODE32, cpl);
}

void sys_vm86(struct sys *s, unsigned iopl)
{
    struct cpu *cpu = s->cpu;

    sys_protected(s, 3);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg[i] = segment_vm86((u16)(0x100 + i));
    cpu->gpr[RSP] = 0x1000;
    cpu->rip = 0x200;
    cpu_set_rflags(cpu, FLAG_1 | FLAG_VM | (u64)iopl << 12);
    cpu_mode_update(cpu);
}

void sys_unmap(struct sys *s, gva addr)
{
    sys_set(s, AT_PAGE_TABLES + 0x3000 + (addr >> 12) * 8, 8, 0);
    tlb_flush(s->cpu, TLB_FLUSH_ALL, 0);
}

/* --- Running --- */

static void sys_fall_through(struct cpu *cpu, const struct insn *in)
{
    sys_of(cpu)->next = true;
    cpu->rip = insn_rip(cpu, in);
}

struct insn sys_reg(unsigned width, unsigned reg, unsigned rm)
{
    return (struct insn){
        .len = SYS_LEN,
        .reg = (u8)reg,
        .rm = (u8)rm,
        .base = GPR_ZERO,
        .index = GPR_ZERO,
        .seg = SEG_DS,
        .flags = (u8)((unsigned)__builtin_ctz(width) << INSN_OSZ_SHIFT | 2u << INSN_ASZ_SHIFT),
    };
}

struct insn sys_mem(struct sys *s, unsigned width, unsigned reg, u64 addr)
{
    struct insn in = sys_reg(width, reg, INSN_RM_MEM);

    in.disp = (i32)addr;
    if (s->cpu->mode & MODE_CS_L)
        in.flags = (u8)((in.flags & ~INSN_ASZ) | 3u << INSN_ASZ_SHIFT | INSN_FLAT);
    return in;
}

/* Architectural state, without what faults may change: CR2, DR6, RIP's copy of the block. */
static void sys_snapshot(const struct cpu *cpu, struct cpu *copy)
{
    memcpy(copy, cpu, offsetof(struct cpu, xsave));
    copy->cr2 = 0;
    copy->dr[6] = 0;
    copy->gpr[GPR_RIP] = 0;
}

static int sys_guard(struct sys *s, void (*fn)(struct sys *s), insn_fn *handler,
                     const struct insn *insns)
{
    struct cpu *cpu = s->cpu, *before = xcalloc(1, sizeof(*before)),
               *after = xcalloc(1, sizeof(*after));
    int result;

    cpu->gpr[GPR_RIP] = cpu->rip;
    s->next = false;
    s->code = 0;
    sys_snapshot(cpu, before);
    result = sigsetjmp(cpu->landing, 0);
    if (result == 0) {
        if (fn)
            fn(s);
        else
            handler(cpu, insns);
        result = SYS_OK;
    } else {
        result -= 16;
        sys_snapshot(cpu, after);
        if (!s->keep_going)
            assert_memory_equal(before, after, offsetof(struct cpu, xsave));
    }
    free(before);
    free(after);
    return result;
}

int sys_run(struct sys *s, insn_fn *const *table, struct insn in)
{
    struct insn insns[2] = { in, { .fn = sys_fall_through, .off = in.len } };
    unsigned log2 = (in.flags & INSN_OSZ) >> INSN_OSZ_SHIFT;
    insn_fn *handler = table[(in.rm == INSN_RM_MEM ? 4 : 0) + log2];

    assert_non_null(handler);
    insns[0].fn = handler;
    return sys_guard(s, NULL, handler, insns);
}

int sys_catch(struct sys *s, void (*fn)(struct sys *s))
{
    return sys_guard(s, fn, NULL, NULL);
}

/* --- Setting up --- */

void sys_model(struct sys *s, const char *model, const char *flag, bool on)
{
    struct error err;

    memset(&s->config, 0, sizeof(s->config));
    s->config.cpu.model = strdup(model);
    s->config.smp = (struct smp_config){ .cpus = 1, .sockets = 1, .cores = 1, .threads = 1 };
    if (flag) {
        s->config.cpu.flags[0] = (struct cpu_flag){ strdup(flag), on };
        s->config.cpu.flag_count = 1;
    }
    cpuid_model_free(s->soft.cpuid);
    s->soft.cpuid = cpuid_model_build(&s->config, 2600000000, &s->host, &err);
    assert_non_null(s->soft.cpuid);
    s->cpu->cpuid = s->soft.cpuid;
    free(s->config.cpu.model);
    if (flag)
        free(s->config.cpu.flags[0].name);
}

static void sys_machine(struct sys *s)
{
    struct machine *m = &s->machine;
    struct region region = {
        .name = "ports", .base = 0, .size = 0x10000, .ops = &port_ops, .opaque = s
    };
    struct error err;

    assert_true(ram_init(&m->ram, RAM_BYTES, &err));
    ram_add_slot(&m->ram, 0, RAM_BYTES, 0);
    clock_init_manual(&m->clock, 1000000000);
    bus_init(&m->pio, "port", ~UINT64_C(0));
    bus_init(&m->mmio, "memory", 0);
    assert_true(bus_add(&m->pio, &region, &err));
    m->accel = &accel_none;
    m->vcpu_count = 1;
    m->vcpus[0].machine = m;
    m->vcpus[0].bsp = true;
    m->vcpus[0].apic_ops = &apic_ops;
    m->vcpus[0].apic = s;
    pthread_mutex_init(&m->vcpus[0].park_lock, NULL);
    pthread_cond_init(&m->vcpus[0].park_cond, NULL);
    s->apic_base = 0xFEE00900;
}

int sys_setup(void **state)
{
    struct sys *s = xcalloc(1, sizeof(*s));
    struct cpu *cpu = aligned_alloc(64, align_up(sizeof(*cpu), 64));

    assert_non_null(cpu);
    memset(cpu, 0, sizeof(*cpu));
    s->cpu = cpu;
    memset(s->host.words, 0xFF, sizeof(s->host.words));
    sys_machine(s);
    s->soft.machine = &s->machine;
    s->soft.ram_host = s->machine.ram.host;
    s->soft.ram_size = RAM_BYTES;
    s->soft.code_pages = s->machine.ram.code_pages;
    s->soft.phys_mask = BIT64(40) - 1;
    cpu->vcpu = &s->machine.vcpus[0];
    cpu->soft = &s->soft;
    cpu->vcpu->accel = cpu;
    sys_model(s, "max", NULL, false);
    tlb_reset(cpu);
    cpu_reset(cpu, false);
    *state = s;
    return 0;
}

int sys_teardown(void **state)
{
    struct sys *s = *state;

    cpuid_model_free(s->soft.cpuid);
    ram_fini(&s->machine.ram);
    free(s->cpu);
    free(s);
    return 0;
}
