/* SPDX-License-Identifier: MIT */
/* See trans_fixture.h. */
#include "trans_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "accel/accel.h"
#include "accel/soft/block.h"
#include "accel/soft/mem.h"
#include "accel/soft/tlb.h"
#include "accel/soft/trans.h"
#include "base/bytes.h"

static int no_interrupt(void *apic)
{
    (void)apic;
    return -1;
}

static const struct vcpu_apic_ops apic_ops = { .pending = no_interrupt, .ack = no_interrupt };

static void map_memory(struct rig *r)
{
    u8 *tables = r->machine.ram.host + AT_TABLES;

    for (unsigned i = 0; i < 3; i++)
        store_le64(tables + i * 0x1000, (AT_TABLES + (i + 1) * 0x1000) | 3);
    for (u64 page = 0; page < RAM_BYTES; page += 0x1000)
        store_le64(tables + 0x3000 + page / 0x1000 * 8, page == AT_HOLE ? 0 : page | 3);
}

int trans_setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct error err;
    struct cpu *cpu;

    config_init(&r->config);
    r->config.ram_size = RAM_BYTES;
    r->config.smp.cpus = 1;
    r->config.translate = 1;
    r->machine.accel = &accel_soft;
    assert_true(machine_init(&r->machine, &r->config, &err));
    assert_true(machine_init_vcpus(&r->machine, &err));
    r->machine.vcpus[0].apic_ops = &apic_ops;
    cpu = r->cpu = r->machine.vcpus[0].accel;
    accel_soft.vcpu_reset(&r->machine.vcpus[0]);
    map_memory(r);
    cpu->cr0 = CR0_PE | CR0_NE | CR0_WP | CR0_PG;
    cpu->cr4 = CR4_PAE;
    cpu->msr.efer = EFER_LME | EFER_LMA;
    cpu->cr3 = AT_TABLES;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg[i] = (struct segment){ 0, 0xFFFFFFFFu, 0x10, SEG_P | SEG_S | 3 | SEG_DB | SEG_G };
    cpu->seg[SEG_CS] =
        (struct segment){ 0, 0xFFFFFFFFu, 8, SEG_P | SEG_S | SEG_TYPE_CODE | 3 | SEG_L };
    tlb_flush(cpu, TLB_FLUSH_ALL, 0);
    cpu_mode_update(cpu);
    cpu->gpr[RSP] = 0x7000;
    *state = r;
    return 0;
}

int trans_teardown(void **state)
{
    struct rig *r = *state;

    machine_fini_guest(&r->machine);
    machine_fini_host(&r->machine);
    config_free(&r->config);
    free(r);
    return 0;
}

void put(struct rig *r, gpa at, const void *bytes, size_t size)
{
    assert_int_equal(ram_write(&r->machine.ram, at, bytes, size), 0);
}

enum soft_stop run(struct rig *r)
{
    r->cpu->rip = AT_CODE;
    return soft_execute(r->cpu, AT_END, 1000, false);
}

u64 translated(struct rig *r)
{
    return block_cache_stats(r->cpu->soft->cache).translated;
}

void put_end(struct rig *r, gpa at)
{
    u8 jump[5] = { 0xE9 };

    store_le32(jump + 1, (u32)(AT_END - (at + 5)));
    put(r, at, jump, sizeof(jump));
}
