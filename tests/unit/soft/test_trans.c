/* SPDX-License-Identifier: MIT */
/*
 * The translator's hard spots: code that changes itself, faults in the middle, loops that must be left. Each block is
 * translated at its first run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "accel/soft/block.h"
#include "accel/soft/fault.h"
#include "accel/soft/mem.h"
#include "accel/soft/soft.h"
#include "base/bytes.h"
#include "trans_fixture.h"

static void blocks_are_translated_and_counted(void **state)
{
    static const u8 code[] = { 0x48, 0x01, 0xD8, 0x48, 0xFF, 0xC1 }; /* add rax, rbx; inc rcx */
    struct rig *r = *state;

    put(r, AT_CODE, code, sizeof(code));
    put_end(r, AT_CODE + sizeof(code));
    r->cpu->gpr[RAX] = 40;
    r->cpu->gpr[RBX] = 2;
    r->cpu->gpr[RCX] = 9;
    r->cpu->icount = 0;
    assert_int_equal(run(r), SOFT_STOP_AT);
    assert_int_equal(r->cpu->gpr[RAX], 42);
    assert_int_equal(r->cpu->gpr[RCX], 10);
    assert_int_equal(r->cpu->icount, 3);
    assert_int_equal(translated(r), 1);
}

static void store_into_the_next_instruction_takes_effect_at_once(void **state)
{
    /* cmp rax, rax; mov byte [rip + 1], 7: the immediate of mov ecx, 1; then setz dl */
    static const u8 code[] = { 0x48, 0x39, 0xC0, 0xC6, 0x05, 0x01, 0,    0,    0,
                               7,    0xB9, 1,    0,    0,    0,    0x0F, 0x94, 0xC2 };
    struct rig *r = *state;

    for (unsigned i = 0; i < 3; i++) {
        put(r, AT_CODE, code, sizeof(code));
        put_end(r, AT_CODE + sizeof(code));
        r->cpu->gpr[RCX] = 0;
        r->cpu->gpr[RDX] = 0;
        r->cpu->icount = 0;
        assert_int_equal(run(r), SOFT_STOP_AT);
        assert_int_equal(r->cpu->gpr[RCX], 7);
        assert_int_equal(r->cpu->gpr[RDX], 1);
        assert_int_equal(r->cpu->icount, 5);
    }
}

static void flags_are_exact_where_a_store_changes_what_reads_them(void **state)
{
    /* cmp eax, ebx; mov byte [rip + 0], 0x90 -> nop over the first byte of xor ecx, ecx (66: prefix); setc dl */
    static const u8 code[] = { 0x39, 0xD8, 0x66, 0xC7, 0x05, 0,    0,    0,
                               0,    0x66, 0x90, 0x31, 0xC9, 0x0F, 0x92, 0xC2 };
    struct rig *r = *state;

    put(r, AT_CODE, code, sizeof(code));
    put_end(r, AT_CODE + sizeof(code));
    r->cpu->gpr[RAX] = 1;
    r->cpu->gpr[RBX] = 2;
    r->cpu->gpr[RCX] = 5;
    assert_int_equal(run(r), SOFT_STOP_AT);
    assert_int_equal(r->cpu->gpr[RCX], 5);
    assert_int_equal(r->cpu->gpr[RDX] & 0xFF, 1);
}

static void rewritten_code_is_translated_anew(void **state)
{
    static const u8 one[] = { 0xB8, 1, 0, 0, 0 }, two[] = { 0xB8, 2, 0, 0, 0 }; /* mov eax, n */
    struct rig *r = *state;

    put(r, AT_CODE, one, sizeof(one));
    put_end(r, AT_CODE + sizeof(one));
    assert_int_equal(run(r), SOFT_STOP_AT);
    assert_int_equal(r->cpu->gpr[RAX], 1);
    put(r, AT_CODE, two, sizeof(two));
    assert_int_equal(run(r), SOFT_STOP_AT);
    assert_int_equal(r->cpu->gpr[RAX], 2);
    assert_int_equal(translated(r), 2);
}

static void fault_in_the_second_page_of_a_store_leaves_everything(void **state)
{
    /* add rax, rax; mov [rbx], rax; xor edx, edx */
    static const u8 code[] = { 0x48, 0x01, 0xC0, 0x48, 0x89, 0x03, 0x31, 0xD2 };
    struct rig *r = *state;
    u8 *edge = r->machine.ram.host + AT_HOLE - 4;

    put(r, AT_CODE, code, sizeof(code));
    put_end(r, AT_CODE + sizeof(code));
    memset(edge, 0x5A, 4);
    r->cpu->gpr[RAX] = UINT64_C(1) << 63;
    r->cpu->gpr[RBX] = AT_HOLE - 4;
    r->cpu->gpr[RDX] = 3;
    r->cpu->icount = 0;
    assert_int_equal(run(r), SOFT_STOP_FAULT);
    assert_int_equal(r->cpu->fault_vector, VEC_PF);
    assert_int_equal(r->cpu->cr2, AT_HOLE);
    assert_int_equal(r->cpu->rip, AT_CODE + 3);
    assert_int_equal(r->cpu->icount, 1);
    assert_int_equal(cpu_rflags(r->cpu) & FLAGS_ARITH, FLAG_CF | FLAG_ZF | FLAG_PF | FLAG_OF);
    assert_int_equal(r->cpu->gpr[RDX], 3);
    assert_memory_equal(edge, "\x5A\x5A\x5A\x5A", 4);
}

static void restarted_instruction_finds_its_carry(void **state)
{
    static const u8 code[] = { 0xF9, 0x48, 0x13, 0x03 }; /* stc; adc rax, [rbx] */
    struct rig *r = *state;
    u8 *pte = r->machine.ram.host + AT_TABLES + 0x3000 + AT_HOLE / 0x1000 * 8;

    put(r, AT_CODE, code, sizeof(code));
    put_end(r, AT_CODE + sizeof(code));
    r->cpu->gpr[RAX] = 10;
    r->cpu->gpr[RBX] = AT_HOLE;
    store_le64(r->machine.ram.host + AT_HOLE, 100);
    assert_int_equal(run(r), SOFT_STOP_FAULT);
    store_le64(pte, AT_HOLE | 3);
    assert_int_equal(soft_execute(r->cpu, AT_END, 10, false), SOFT_STOP_AT);
    assert_int_equal(r->cpu->gpr[RAX], 111);
}

static void *request_later(void *arg)
{
    struct rig *r = arg;

    usleep(20000);
    atomic_fetch_or(&r->machine.vcpus[0].requests, VCPU_REQ_INTR);
    return NULL;
}

static void a_request_ends_a_loop_of_linked_blocks(void **state)
{
    static const u8 code[] = {
        0x48, 0xFF, 0xC0, 0xEB, 0x02, 0x90, 0x90, 0xEB, 0xF7
    }; /* inc rax; jmp 1f; 1: jmp */
    struct rig *r = *state;
    pthread_t thread;

    put(r, AT_CODE, code, sizeof(code));
    pthread_create(&thread, NULL, request_later, r);
    r->cpu->rip = AT_CODE;
    assert_int_equal(soft_execute(r->cpu, AT_END, 5, false), SOFT_STOP_LIMIT);
    pthread_join(thread, NULL);
    assert_true(r->cpu->gpr[RAX] > 1000);
    assert_true(block_cache_stats(r->cpu->soft->cache).links >= 2);
}

static void *patch_later(void *arg)
{
    struct rig *r = arg;

    usleep(20000);
    put_end(r, AT_CODE + 7);
    return NULL;
}

static void code_changed_by_another_thread_leaves_a_linked_loop(void **state)
{
    static const u8 code[] = { 0x48, 0xFF, 0xC0, 0xEB, 0x02, 0x90, 0x90, 0xEB, 0xF7 };
    struct rig *r = *state;
    pthread_t thread;

    put(r, AT_CODE, code, sizeof(code));
    pthread_create(&thread, NULL, patch_later, r);
    assert_int_equal(run(r), SOFT_STOP_AT);
    pthread_join(thread, NULL);
    assert_true(r->cpu->gpr[RAX] > 1000);
}

static void calls_and_returns_find_their_targets(void **state)
{
    /* mov ecx, 1000; 1: call AT_CODE + 0x1000 + 0x10 (next page); dec ecx; jnz 1b */
    static const u8 code[] = { 0xB9, 0xE8, 3, 0, 0, 0xE8, 6, 0x10, 0, 0, 0xFF, 0xC9, 0x75, 0xF7 };
    static const u8 callee[] = { 0x48, 0xFF, 0xC0, 0xC3 }; /* inc rax; ret */
    struct rig *r = *state;

    put(r, AT_CODE, code, sizeof(code));
    put_end(r, AT_CODE + sizeof(code));
    put(r, AT_CODE + 0x1010, callee, sizeof(callee));
    r->cpu->gpr[RAX] = 0;
    r->cpu->icount = 0;
    assert_int_equal(run(r), SOFT_STOP_AT);
    assert_int_equal(r->cpu->gpr[RAX], 1000);
    assert_int_equal(r->cpu->gpr[RSP], 0x7000);
    assert_int_equal(r->cpu->icount, 1 + 5 * 1000 + 1);
}

int main(void)
{
#define TRANS_TEST(name) cmocka_unit_test_setup_teardown(name, trans_setup, trans_teardown)
    static const struct CMUnitTest tests[] = {
        TRANS_TEST(blocks_are_translated_and_counted),
        TRANS_TEST(store_into_the_next_instruction_takes_effect_at_once),
        TRANS_TEST(flags_are_exact_where_a_store_changes_what_reads_them),
        TRANS_TEST(rewritten_code_is_translated_anew),
        TRANS_TEST(fault_in_the_second_page_of_a_store_leaves_everything),
        TRANS_TEST(restarted_instruction_finds_its_carry),
        TRANS_TEST(a_request_ends_a_loop_of_linked_blocks),
        TRANS_TEST(code_changed_by_another_thread_leaves_a_linked_loop),
        TRANS_TEST(calls_and_returns_find_their_targets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
