/* SPDX-License-Identifier: MIT */
/*
 * A CPU with real memory, TLB and page walk over 2 MiB of RAM, for tests of the system instructions: the tables
 * below are in place, faults are caught. Paging is off but in long mode, where RAM is mapped to itself in 4 KiB pages.
 */
#pragma once

#include "accel/soft/cpuid_model.h"
#include "accel/soft/fault.h"
#include "accel/soft/insn.h"
#include "accel/soft/mem.h"
#include "accel/soft/state.h"
#include "cli/config.h"
#include "machine/machine.h"

/* Guest memory. */
#define AT_GDT         0x1000u
#define AT_IDT         0x2000u
#define AT_TSS         0x3000u
#define AT_LDT         0x4000u
#define AT_DATA        0x6000u
#define AT_CODE        0x9000u
#define AT_STACK0      0xC000u /* tops of stacks */
#define AT_STACK1      0xD000u
#define AT_STACK3      0xE000u
#define AT_IST         0xF000u
#define AT_PAGE_TABLES 0x100000u
#define RAM_BYTES      0x200000u

/* The GDT. In long mode system descriptors have 16 bytes, so each has two slots. */
#define SEL_CODE0      0x08u
#define SEL_DATA0      0x10u
#define SEL_CODE3      0x1Bu
#define SEL_DATA3      0x23u
#define SEL_CODE0_64   0x28u
#define SEL_CODE3_64   0x33u
#define SEL_CONFORM    0x38u /* conforming code, DPL 0 */
#define SEL_TSS        0x40u
#define SEL_LDT        0x50u
#define SEL_CODE16     0x60u
#define SEL_DATA16     0x68u
#define SEL_XONLY      0x70u /* code that cannot be read */
#define SEL_RODATA     0x78u
#define SEL_DATA_NP    0x80u /* not present */
#define SEL_CODE_NP    0x88u
#define SEL_DOWN       0x90u /* expand-down data, limit 0xFFF */
#define SEL_GATE       0x98u /* call gate, two slots */
#define SEL_CODE1      0xA9u /* DPL 1 */
#define SEL_DATA1      0xB1u
#define SEL_SMALL      0xB8u /* code, limit 0xFFF */
#define SEL_CODE_LD    0xC0u /* L and D both set */
#define SEL_TASKGATE   0xC8u
#define SEL_FRESH      0xD0u /* data, accessed bit clear */
#define GDT_BYTES      0x100u

#define DESC_CODE32    0xC09Bu /* attributes with DPL 0, present, accessed */
#define DESC_CODE64    0xA09Bu
#define DESC_DATA32    0xC093u

/* Results of sys_run beside vectors. */
#define SYS_OK         (-1)
#define SYS_ERROR      (-2) /* cpu_internal_error */

struct sys {
    struct machine machine;
    struct config config;
    struct soft soft;
    struct cpu *cpu;
    struct cpuid_host host;

    u32 code;        /* error code of the fault */
    bool next;       /* the handler went on to the next instruction */
    bool keep_going; /* faults may come after a part is done: do not compare registers */

    /* The local APIC. */
    u64 apic_base;
    u8 cr8;
    u32 apic_msr;
    u64 apic_value, deadline;
    unsigned deadline_writes;
    bool apic_refuses;

    /* Ports: reads give what sys_port_value says, writes are recorded. */
    u64 port_value;
    u64 port_addr;
    unsigned port_size, port_reads, port_writes;
    u8 port_log[64];
    unsigned request_after; /* set a request when so many elements have passed; 0: never */
};

/* cmocka setup and teardown: *state is a struct sys in real mode after reset. */
int sys_setup(void **state);
int sys_teardown(void **state);

/* Build the CPUID model anew from "name,flag=on" pairs in s->config. */
void sys_model(struct sys *s, const char *model, const char *flag, bool on);

/* Modes: flat segments at privilege level `cpl`, stack pointer at the top of its stack, RIP AT_CODE. */
void sys_protected(struct sys *s, unsigned cpl);
void sys_long(struct sys *s, unsigned cpl);
void sys_compat(struct sys *s, unsigned cpl);
void sys_vm86(struct sys *s, unsigned iopl);

/* Make the page of a linear address not present (after sys_long). */
void sys_unmap(struct sys *s, gva addr);

/* A descriptor in the GDT. `limit` in units of its granularity. */
void sys_descriptor(struct sys *s, u16 selector, u32 base, u32 limit, u16 attr);

/* A gate in the IDT, or a call gate in the GDT with sys_call_gate. */
void sys_idt(struct sys *s, unsigned vector, u16 selector, u64 offset, unsigned type, unsigned dpl,
             unsigned ist);
void sys_call_gate(struct sys *s, u16 selector, u16 target, u64 offset, unsigned type, unsigned dpl,
                   unsigned count);

/* Instructions: 3 bytes long; with registers only, or with a memory operand at `addr`. `width` 1, 2, 4, 8. */
struct insn sys_reg(unsigned width, unsigned reg, unsigned rm);
struct insn sys_mem(struct sys *s, unsigned width, unsigned reg, u64 addr);
#define SYS_LEN 3u

/*
 * Run a handler of `table` at cpu->rip. Returns SYS_OK or the vector; after a fault all registers are asserted to be as
 * before.
 */
int sys_run(struct sys *s, insn_fn *const *table, struct insn in);

/* Call `fn(s)` and catch what it raises, as sys_run. */
int sys_catch(struct sys *s, void (*fn)(struct sys *s));

u64 sys_get(struct sys *s, gpa addr, unsigned size);
void sys_set(struct sys *s, gpa addr, unsigned size, u64 value);

/* Push a value on the present stack of a 32-bit or 64-bit mode. */
void sys_push(struct sys *s, unsigned width, u64 value);
