/* SPDX-License-Identifier: MIT */
/* Blocks and memory as running code meets them: self-modifying code, remapped pages, page crossings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "accel/accel.h"
#include "accel/soft/block.h"
#include "accel/soft/fault.h"
#include "accel/soft/mem.h"
#include "accel/soft/soft.h"
#include "accel/soft/tlb.h"
#include "base/bytes.h"
#include "cli/config.h"
#include "machine/machine.h"

#define RUN_RAM    MIB(1)
#define RUN_TABLES 0x1000u
#define RUN_LEAF   0x4000u /* page table of the first 2 MiB */
#define RUN_CODE   0x20000u
#define RUN_DATA   0x30000u
#define RUN_STOP   0x50000u
#define PTE        3u

struct fixture {
    struct machine machine;
    struct config config;
    struct cpu *cpu;
};

static int run_no_vector(void *apic)
{
    (void)apic;
    return -1;
}

static u64 run_apic_base(void *apic)
{
    (void)apic;
    return 0xFEE00900;
}

static const struct vcpu_apic_ops run_apic_ops = {
    .pending = run_no_vector,
    .ack = run_no_vector,
    .get_base = run_apic_base,
};

static void map(struct fixture *f, gva addr, gpa page, u64 bits)
{
    store_le64(f->machine.ram.host + RUN_LEAF + (addr >> 12) * 8, page | bits);
}

static void identity(struct fixture *f)
{
    u8 *ram = f->machine.ram.host;

    for (unsigned level = 0; level < 3; level++)
        store_le64(ram + RUN_TABLES + level * 0x1000u, (RUN_TABLES + (level + 1) * 0x1000u) | PTE);
    for (gpa page = 0; page < RUN_RAM; page += 0x1000)
        map(f, page, page, PTE);
}

/* Runs before a block is translated; 0: never. Both ways must do the same. */
static u32 run_translate;

/* 64-bit supervisor code over an identity map. */
static int setup(void **state)
{
    static struct fixture f;
    struct error err;
    struct cpu *cpu;

    memset(&f, 0, sizeof(f));
    config_init(&f.config);
    f.config.ram_size = RUN_RAM;
    f.config.translate = run_translate;
    f.config.smp.cpus = 1;
    f.machine.accel = &accel_soft;
    assert_true(machine_init(&f.machine, &f.config, &err));
    assert_true(machine_init_vcpus(&f.machine, &err));
    f.machine.vcpus[0].apic_ops = &run_apic_ops;
    f.cpu = cpu = f.machine.vcpus[0].accel;
    accel_soft.vcpu_reset(&f.machine.vcpus[0]);
    identity(&f);
    cpu->cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_NE;
    cpu->cr3 = RUN_TABLES;
    cpu->cr4 = CR4_PAE;
    cpu->msr.efer = EFER_LME | EFER_LMA | EFER_NXE;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg[i] = (struct segment){ 0, 0xFFFFFFFFu, 0x18, SEG_P | SEG_S | 3 | SEG_DB | SEG_G };
    cpu->seg[SEG_CS].attr = SEG_P | SEG_S | SEG_TYPE_CODE | 3 | SEG_L | SEG_G;
    tlb_flush(cpu, TLB_FLUSH_ALL, 0);
    cpu_mode_update(cpu);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    machine_fini_guest(&f->machine);
    machine_fini_host(&f->machine);
    config_free(&f->config);
    return 0;
}

static void put(struct fixture *f, gpa at, const void *bytes, size_t size)
{
    assert_int_equal(ram_write(&f->machine.ram, at, bytes, size), 0);
}

/* Code at RUN_CODE that ends by a jump to RUN_STOP. */
#define CODE(f, ...) \
    do { \
        static const u8 code_[] = { \
            __VA_ARGS__, 0x68, 0, 0, 5, 0, 0xC3 \
        }; /* push RUN_STOP; ret */ \
        put(f, RUN_CODE, code_, sizeof(code_)); \
    } while (0)

static enum soft_stop run(struct fixture *f)
{
    f->cpu->rip = RUN_CODE;
    f->cpu->gpr[RSP] = RUN_DATA + 0x1000;
    return soft_execute(f->cpu, RUN_STOP, 10000, false);
}

static u64 dropped(struct fixture *f)
{
    return block_cache_stats(f->cpu->soft->cache).invalidated;
}

static void a_store_into_the_running_block_is_seen_by_the_next_instruction(void **state)
{
    struct fixture *f = *state;

    /* mov byte [rip + 1], 2; mov al, 1: the store changes the immediate of the second. */
    CODE(f, 0xC6, 0x05, 1, 0, 0, 0, 2, 0xB0, 1);
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(f->cpu->gpr[RAX] & 0xFF, 2);
}

static void a_loop_that_patches_itself_sees_each_patch(void **state)
{
    struct fixture *f = *state;

    f->cpu->gpr[RCX] = 100;
    f->cpu->gpr[RBX] = 0;
    /* 1: inc byte [rip + 2]; add ebx, imm8 (the patched byte); dec ecx; jnz 1b */
    CODE(f, 0xFE, 0x05, 2, 0, 0, 0, 0x83, 0xC3, 0, 0xFF, 0xC9, 0x75, 0xF3);
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(f->cpu->gpr[RBX], 100 * 101 / 2);
}

static void data_beside_code_does_not_drop_it(void **state)
{
    struct fixture *f = *state;
    u64 before;

    CODE(f, 0xC6, 0x05, 0xF9, 1, 0, 0, 7); /* mov byte [RUN_CODE + 0x200], 7 */
    assert_int_equal(run(f), SOFT_STOP_AT);
    before = dropped(f);
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(dropped(f), before);
    assert_int_equal(f->machine.ram.host[RUN_CODE + 0x200], 7);
}

static void a_device_write_to_code_is_executed(void **state)
{
    struct fixture *f = *state;

    CODE(f, 0xB0, 1);
    assert_int_equal(run(f), SOFT_STOP_AT);
    put(f, RUN_CODE + 1, "\x05", 1);
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(f->cpu->gpr[RAX] & 0xFF, 5);
}

static void a_wide_store_by_a_string_instruction_drops_code(void **state)
{
    struct fixture *f = *state;

    CODE(f, 0xB0, 1);
    assert_int_equal(run(f), SOFT_STOP_AT);
    /* Elsewhere: rep movsb of two bytes over the code. */
    put(f, RUN_CODE + 0x800, "\xF3\xA4\x68\x00\x00\x05\x00\xC3", 8);
    put(f, RUN_DATA, "\xB0\x09", 2);
    f->cpu->gpr[RSI] = RUN_DATA;
    f->cpu->gpr[RDI] = RUN_CODE;
    f->cpu->gpr[RCX] = 2;
    f->cpu->rip = RUN_CODE + 0x800;
    f->cpu->gpr[RSP] = RUN_DATA + 0x1000;
    assert_int_equal(soft_execute(f->cpu, RUN_STOP, 100, false), SOFT_STOP_AT);
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(f->cpu->gpr[RAX] & 0xFF, 9);
}

/* mov eax, imm32 whose immediate lies on the next page. */
static void put_crossing(struct fixture *f)
{
    put(f, RUN_CODE + 0xFFF, "\xB8\x11\x00\x00\x00\x68\x00\x00\x05\x00\xC3", 11);
    put(f, RUN_DATA + 0x5000, "\x22\x00\x00\x00\x68\x00\x00\x05\x00\xC3", 10);
}

static u64 run_crossing(struct fixture *f)
{
    f->cpu->rip = RUN_CODE + 0xFFF;
    f->cpu->gpr[RSP] = RUN_DATA + 0x1000;
    assert_int_equal(soft_execute(f->cpu, RUN_STOP, 100, false), SOFT_STOP_AT);
    return f->cpu->gpr[RAX];
}

static void an_instruction_across_pages_follows_its_second_page(void **state)
{
    struct fixture *f = *state;

    put_crossing(f);
    assert_int_equal(run_crossing(f), 0x11);
    map(f, RUN_CODE + 0x1000, RUN_DATA + 0x5000, PTE);
    tlb_flush(f->cpu, TLB_FLUSH_PAGE, RUN_CODE + 0x1000);
    assert_int_equal(run_crossing(f), 0x22);
    put(f, RUN_DATA + 0x5000, "\x33", 1);
    assert_int_equal(run_crossing(f), 0x33);
}

static void a_fetch_fault_on_the_second_page_reports_that_page(void **state)
{
    struct fixture *f = *state;

    put_crossing(f);
    map(f, RUN_CODE + 0x1000, 0, 0);
    f->cpu->rip = RUN_CODE + 0xFFF;
    assert_int_equal(soft_execute(f->cpu, RUN_STOP, 100, false), SOFT_STOP_FAULT);
    assert_int_equal(f->cpu->fault_vector, VEC_PF);
    assert_int_equal(f->cpu->fault_code, 0x10);
    assert_int_equal(f->cpu->cr2, RUN_CODE + 0x1000);
    assert_int_equal(f->cpu->rip, RUN_CODE + 0xFFF);
}

static void remapping_the_executing_page_takes_effect_after_the_flush(void **state)
{
    struct fixture *f = *state;

    CODE(f, 0xB0, 1);
    put(f, RUN_DATA + 0x5000, "\xB0\x07\x68\x00\x00\x05\x00\xC3", 8);
    assert_int_equal(run(f), SOFT_STOP_AT);
    map(f, RUN_CODE, RUN_DATA + 0x5000, PTE);
    tlb_flush(f->cpu, TLB_FLUSH_PAGE, RUN_CODE);
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(f->cpu->gpr[RAX] & 0xFF, 7);
    map(f, RUN_CODE, RUN_CODE, PTE | BIT64(63));
    tlb_flush(f->cpu, TLB_FLUSH_CR3, 0);
    assert_int_equal(run(f), SOFT_STOP_FAULT);
    assert_int_equal(f->cpu->fault_code, 0x11);
}

static void a_store_that_faults_on_its_second_page_moves_no_byte(void **state)
{
    struct fixture *f = *state;

    CODE(f, 0x48, 0x89, 0x0B);                       /* mov [rbx], rcx */
    map(f, RUN_DATA + 0x2000, RUN_DATA + 0x2000, 1); /* read-only */
    f->cpu->gpr[RBX] = RUN_DATA + 0x1FFC;
    f->cpu->gpr[RCX] = ~(u64)0;
    assert_int_equal(run(f), SOFT_STOP_FAULT);
    assert_int_equal(f->cpu->cr2, RUN_DATA + 0x2000);
    assert_int_equal(f->cpu->fault_code, 3);
    assert_int_equal(load_le32(f->machine.ram.host + RUN_DATA + 0x1FFC), 0);
}

static void a_store_across_pages_reaches_both(void **state)
{
    struct fixture *f = *state;

    CODE(f, 0x48, 0x89, 0x0B);
    map(f, RUN_DATA + 0x2000, RUN_DATA + 0x7000, PTE);
    f->cpu->gpr[RBX] = RUN_DATA + 0x1FFC;
    f->cpu->gpr[RCX] = 0x1122334455667788;
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(load_le32(f->machine.ram.host + RUN_DATA + 0x1FFC), 0x55667788);
    assert_int_equal(load_le32(f->machine.ram.host + RUN_DATA + 0x7000), 0x11223344);
}

static void pcids_keep_their_translations_apart(void **state)
{
    struct fixture *f = *state;
    struct cpu *cpu = f->cpu;

    CODE(f, 0x8A, 0x03); /* mov al, [rbx] */
    put(f, RUN_DATA + 0x3000, "\x0A", 1);
    put(f, RUN_DATA + 0x4000, "\x0B", 1);
    cpu->gpr[RBX] = RUN_DATA + 0x3000;
    cpu->cr4 |= CR4_PCIDE;
    cpu->cr3 = RUN_TABLES | 1;
    tlb_flush(cpu, TLB_FLUSH_CR3, 0);
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(cpu->gpr[RAX] & 0xFF, 0x0A);
    /* Another PCID sees the new mapping; the first keeps what it has cached until it is flushed. */
    map(f, RUN_DATA + 0x3000, RUN_DATA + 0x4000, PTE);
    cpu->cr3 = RUN_TABLES | 2;
    tlb_flush(cpu, TLB_SWITCH_PCID, 0);
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(cpu->gpr[RAX] & 0xFF, 0x0B);
    cpu->cr3 = RUN_TABLES | 1;
    tlb_flush(cpu, TLB_FLUSH_PCID, 1);
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(cpu->gpr[RAX] & 0xFF, 0x0B);
}

static void generations_that_run_out_start_again_clean(void **state)
{
    struct fixture *f = *state;

    CODE(f, 0x8A, 0x03);
    f->cpu->gpr[RBX] = RUN_DATA;
    for (unsigned i = 0; i < 10000; i++) {
        u8 value = (u8)i;

        put(f, RUN_DATA + (i & 1) * 0x1000u, &value, 1);
        map(f, RUN_DATA, RUN_DATA + (i & 1) * 0x1000u, PTE);
        tlb_flush(f->cpu, TLB_FLUSH_CR3, 0);
        f->cpu->rip = RUN_CODE;
        f->cpu->gpr[RSP] = RUN_DATA + 0x3000;
        assert_int_equal(soft_execute(f->cpu, RUN_STOP, 10, false), SOFT_STOP_AT);
        assert_int_equal(f->cpu->gpr[RAX] & 0xFF, value);
    }
}

static void a_full_cache_is_filled_anew(void **state)
{
    struct fixture *f = *state;

    /* mov eax, imm32 with ever new bytes: each run decodes afresh, several times the size of the cache. */
    for (u32 i = 0; i < (run_translate ? 160000 : 60000); i++) {
        u8 code[11] = { 0xB8, 0, 0, 0, 0, 0x68, 0, 0, 5, 0, 0xC3 };

        store_le32(code + 1, i);
        put(f, RUN_CODE, code, sizeof(code));
        assert_int_equal(run(f), SOFT_STOP_AT);
        assert_int_equal(f->cpu->gpr[RAX], i);
    }
    assert_true(block_cache_stats(f->cpu->soft->cache).recycled > 1);
}

static void instructions_are_counted_exactly(void **state)
{
    struct fixture *f = *state;
    u64 before;

    CODE(f, 0x90, 0x90, 0x90, 0x48, 0x8B, 0x03, 0x90, 0x90); /* the load faults */
    f->cpu->gpr[RBX] = RUN_DATA;
    before = f->cpu->icount;
    assert_int_equal(run(f), SOFT_STOP_AT);
    assert_int_equal(f->cpu->icount - before, 8);
    f->cpu->gpr[RBX] = 0x80000000u;
    before = f->cpu->icount;
    assert_int_equal(run(f), SOFT_STOP_FAULT);
    assert_int_equal(f->cpu->icount - before, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_store_into_the_running_block_is_seen_by_the_next_instruction),
        T(a_loop_that_patches_itself_sees_each_patch),
        T(data_beside_code_does_not_drop_it),
        T(a_device_write_to_code_is_executed),
        T(a_wide_store_by_a_string_instruction_drops_code),
        T(an_instruction_across_pages_follows_its_second_page),
        T(a_fetch_fault_on_the_second_page_reports_that_page),
        T(remapping_the_executing_page_takes_effect_after_the_flush),
        T(a_store_that_faults_on_its_second_page_moves_no_byte),
        T(a_store_across_pages_reaches_both),
        T(pcids_keep_their_translations_apart),
        T(generations_that_run_out_start_again_clean),
        T(a_full_cache_is_filled_anew),
        T(instructions_are_counted_exactly),
    };

    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    run_translate = 1;
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
