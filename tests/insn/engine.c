/* SPDX-License-Identifier: MIT */
/* The engine's side of the differential tests: one software CPU in user mode over the same linear addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/accel.h"
#include "accel/soft/block.h"
#include "accel/soft/cpuid.h"
#include "accel/soft/fault.h"
#include "accel/soft/mem.h"
#include "accel/soft/soft.h"
#include "accel/soft/tlb.h"
#include "accel/soft/trans.h"
#include "base/bytes.h"
#include "case.h"
#include "cli/config.h"
#include "machine/machine.h"

#define ENGINE_RAM        MIB(1)
#define ENGINE_TABLES     0x1000u /* page tables, handed out in turn */
#define ENGINE_CODE       0x20000u
#define ENGINE_DATA       0x30000u
#define ENGINE_STACK      0x40000u

/* A block that branches to itself cannot hang the test. */
#define ENGINE_BLOCKS_MAX 64

#define PTE_USER          7u /* present, writable, user */
#define PTE_CODE          5u /* read-only, as on the host */
#define PTE_DATA          (PTE_USER | BIT64(63))

static struct machine engine_machine;
static struct config engine_config;
static struct cpu *engine_cpu;
static gpa engine_next_table = ENGINE_TABLES + 0x1000;

static int engine_no_interrupt(void *apic)
{
    (void)apic;
    return -1;
}

static u64 engine_apic_base(void *apic)
{
    (void)apic;
    return 0xFEE00900;
}

static u8 engine_cr8(void *apic)
{
    (void)apic;
    return 0;
}

static const struct vcpu_apic_ops engine_apic_ops = {
    .pending = engine_no_interrupt,
    .ack = engine_no_interrupt,
    .get_base = engine_apic_base,
    .get_cr8 = engine_cr8,
};

static void engine_fail(const char *what)
{
    fprintf(stderr, "engine: %s\n", what);
    exit(1);
}

static void engine_map_page(gva addr, gpa page, u64 rights)
{
    gpa table = ENGINE_TABLES;

    for (unsigned shift = 39; shift > 12; shift -= 9) {
        u8 *entry = engine_machine.ram.host + table + (addr >> shift & 511) * 8;

        if (!load_le64(entry)) {
            store_le64(entry, engine_next_table | PTE_USER);
            engine_next_table += 0x1000;
        }
        table = load_le64(entry) & PAGE_MASK;
    }
    store_le64(engine_machine.ram.host + table + (addr >> 12 & 511) * 8, page | rights);
}

static void engine_map(gva addr, gpa page, u64 size, u64 rights)
{
    for (u64 done = 0; done < size; done += 0x1000)
        engine_map_page(addr + done, page + done, rights);
}

void engine_init(bool translate)
{
    struct error err;

    config_init(&engine_config);
    engine_config.ram_size = ENGINE_RAM;
    engine_config.smp.cpus = 1;
    engine_config.translate = translate;
    engine_machine.accel = &accel_soft;
    if (!machine_init(&engine_machine, &engine_config, &err) ||
        !machine_init_vcpus(&engine_machine, &err))
        engine_fail(err.text);
    engine_machine.vcpus[0].apic_ops = &engine_apic_ops;
    engine_cpu = engine_machine.vcpus[0].accel;
    /* A loop comes back after each block, so that it can be ended. */
    if (translate)
        trans_set_chaining(engine_cpu->soft->translator, false);
    accel_soft.vcpu_reset(&engine_machine.vcpus[0]);
    engine_map(CASE_CODE, ENGINE_CODE, CASE_CODE_SIZE, PTE_CODE);
    engine_map(CASE_DATA, ENGINE_DATA, CASE_DATA_SIZE, PTE_DATA);
    engine_map(CASE_STACK, ENGINE_STACK, CASE_STACK_SIZE, PTE_DATA);
    memset(engine_machine.ram.host + ENGINE_CODE, 0xCC, CASE_CODE_SIZE);
    engine_cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    engine_cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    engine_cpu->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    engine_cpu->msr.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    engine_cpu->cr3 = ENGINE_TABLES;
    engine_cpu->idtr.limit = 0; /* INT3 ends a case: see engine_is_breakpoint */
    tlb_flush(engine_cpu, TLB_FLUSH_ALL, 0);
}

const u64 *engine_features(void)
{
    return cpuid_features(engine_cpu->cpuid);
}

static void engine_load_segments(bool code32)
{
    static const struct segment data = { 0, 0xFFFFFFFFu, 0x2B,
                                         SEG_P | SEG_S | 3u << SEG_DPL_SHIFT | 3 | SEG_DB | SEG_G };
    static const u16 code = SEG_P | SEG_S | 3u << SEG_DPL_SHIFT | SEG_TYPE_CODE | 3 | SEG_G;

    for (unsigned i = 0; i < SEG_COUNT; i++)
        engine_cpu->seg[i] = data;
    engine_cpu->seg[SEG_CS] =
        (struct segment){ 0, 0xFFFFFFFFu, code32 ? 0x23 : 0x33, code | (code32 ? SEG_DB : SEG_L) };
}

static void engine_load(const struct insn_case *c, const struct case_state *state)
{
    struct cpu *cpu = engine_cpu;
    u8 *ram = engine_machine.ram.host;

    memcpy(ram + ENGINE_CODE + (CASE_ENTRY - CASE_CODE), c->code, c->size);
    block_invalidate(cpu->soft->cache, ENGINE_CODE, CASE_CODE_SIZE);
    memcpy(ram + ENGINE_DATA, state->data, sizeof(state->data));
    memcpy(ram + ENGINE_STACK, state->stack, sizeof(state->stack));
    memcpy(cpu->gpr, state->gpr, sizeof(state->gpr));
    cpu->rip = state->rip;
    cpu_set_rflags(cpu, state->rflags | FLAG_IF | FLAG_1);
    cpu->xsave = state->xsave;
    cpu->xsave.xstate_bv = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    cpu->db_pending = 0;
    cpu->shadow = false;
    engine_load_segments(c->code32);
    cpu_mode_update(cpu);
}

/* INT3 without an IDT shows as #GP with the error code of IDT entry 3. */
static bool engine_is_breakpoint(const struct cpu *cpu)
{
    u64 at = cpu->rip - CASE_CODE;

    return cpu->fault_vector == VEC_GP && (cpu->fault_code & ~1u) == 0x1A && at < CASE_CODE_SIZE &&
           engine_machine.ram.host[ENGINE_CODE + at] == 0xCC;
}

struct case_end engine_run(const struct insn_case *c, struct case_state *state)
{
    struct cpu *cpu = engine_cpu;
    struct case_end end = { .vector = 0xFF };
    u8 *ram = engine_machine.ram.host;

    engine_load(c, state);
    if (soft_execute(cpu, ~(u64)0, ENGINE_BLOCKS_MAX, false) == SOFT_STOP_FAULT) {
        end.vector = engine_is_breakpoint(cpu) ? VEC_BP : cpu->fault_vector;
        end.code = cpu->fault_code;
        end.cr2 = cpu->cr2;
    }
    memcpy(state->gpr, cpu->gpr, sizeof(state->gpr));
    state->rip = cpu->rip;
    state->rflags = cpu_rflags(cpu);
    state->xsave = cpu->xsave;
    memcpy(state->data, ram + ENGINE_DATA, sizeof(state->data));
    memcpy(state->stack, ram + ENGINE_STACK, sizeof(state->stack));
    memset(ram + ENGINE_CODE + (CASE_ENTRY - CASE_CODE), 0xCC, c->size);
    return end;
}
