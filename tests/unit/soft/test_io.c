/* SPDX-License-Identifier: MIT */
/* IN, OUT, INS, OUTS and the I/O permission bitmap. SDM vol. 1, chapter 19; vol. 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/handlers.h"
#include "accel/soft/seg.h"
#include "accel/soft/tlb.h"
#include "sys_fixture.h"

#define PORT 0x3F8u

static int in_dx(struct sys *s, unsigned width, u16 port)
{
    s->cpu->gpr[RDX] = port;
    return sys_run(s, x_in_A_D, sys_reg(width, 0, 0));
}

static int out_dx(struct sys *s, unsigned width, u16 port)
{
    s->cpu->gpr[RDX] = port;
    return sys_run(s, x_out_D_A, sys_reg(width, 0, 0));
}

/* A string instruction with the native address size, DS:RSI or ES:RDI at `addr`. */
static struct insn string(struct sys *s, unsigned width, bool rep)
{
    struct insn in = sys_mem(s, width, 0, 0);

    in.rm = 0;
    in.flags |= rep ? INSN_REP : 0;
    s->cpu->gpr[RDX] = PORT;
    return in;
}

static int ins(struct sys *s, unsigned width, u64 addr, u64 count)
{
    s->cpu->gpr[RDI] = addr;
    s->cpu->gpr[RCX] = count;
    return sys_run(s, x_ins, string(s, width, true));
}

static int outs(struct sys *s, unsigned width, u64 addr, u64 count)
{
    s->cpu->gpr[RSI] = addr;
    s->cpu->gpr[RCX] = count;
    return sys_run(s, x_outs, string(s, width, true));
}

/* --- IN and OUT --- */

static void in_merges_by_width(void **state)
{
    static const struct {
        unsigned width;
        u64 rax;
        unsigned size;
    } cases[] = {
        { 1, UINT64_C(0xFFFFFFFFFFFFFF11), 1 },
        { 2, UINT64_C(0xFFFFFFFFFFFF2211), 2 },
        { 4, 0x44332211, 4 },
        { 8, 0x44332211, 4 },
    };
    struct sys *s = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        s->port_value = 0x44332211;
        s->cpu->gpr[RAX] = ~UINT64_C(0);
        assert_int_equal(in_dx(s, cases[i].width, PORT), SYS_OK);
        assert_int_equal(s->cpu->gpr[RAX], cases[i].rax);
        assert_int_equal(s->port_addr, PORT);
        assert_int_equal(s->port_size, cases[i].size);
        assert_true(s->next);
    }
}

static void out_sends_the_low_part(void **state)
{
    struct sys *s = *state;
    struct insn in = sys_reg(1, 0, 0);

    s->cpu->gpr[RAX] = UINT64_C(0x8877665544332211);
    assert_int_equal(out_dx(s, 1, PORT), SYS_OK);
    assert_int_equal(s->port_value, 0x11);
    assert_int_equal(out_dx(s, 2, PORT), SYS_OK);
    assert_int_equal(s->port_value, 0x2211);
    assert_int_equal(out_dx(s, 4, PORT), SYS_OK);
    assert_int_equal(s->port_value, 0x44332211);
    in.imm = 0x80;
    assert_int_equal(sys_run(s, x_out_I_A, in), SYS_OK);
    assert_int_equal(s->port_addr, 0x80);
    assert_int_equal(sys_run(s, x_in_A_I, in), SYS_OK);
    assert_int_equal(s->port_addr, 0x80);
}

/* --- Rights --- */

static void iopl_decides_before_the_bitmap(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    assert_int_equal(in_dx(s, 1, PORT), VEC_GP); /* the bitmap lies beyond the TSS */
    assert_int_equal(s->code, 0);
    assert_int_equal(out_dx(s, 1, PORT), VEC_GP);
    assert_int_equal(ins(s, 1, AT_DATA, 1), VEC_GP);
    assert_int_equal(outs(s, 1, AT_DATA, 1), VEC_GP);
    assert_int_equal(s->port_reads + s->port_writes, 0);
    cpu_set_rflags(s->cpu, FLAG_1 | FLAG_IOPL);
    assert_int_equal(in_dx(s, 1, PORT), SYS_OK);
    sys_protected(s, 0);
    assert_int_equal(in_dx(s, 1, PORT), SYS_OK);
}

static void bitmap_has_a_bit_for_each_byte_of_the_access(void **state)
{
    static const struct {
        u16 bits; /* of ports 0x3F8 to 0x407 */
        unsigned port, width;
        int result;
    } cases[] = {
        { 0, 0x3F8, 4, SYS_OK },     { 1, 0x3F8, 1, VEC_GP },     { 2, 0x3F8, 1, SYS_OK },
        { 2, 0x3F8, 2, VEC_GP },     { 8, 0x3F8, 4, VEC_GP },     { 0x100, 0x3FE, 2, SYS_OK },
        { 0x100, 0x3FD, 4, VEC_GP }, { 0x200, 0x3FD, 4, SYS_OK },
    };
    struct sys *s = *state;

    sys_protected(s, 3);
    sys_set(s, AT_TSS + 0x66, 2, 0x68);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        sys_set(s, AT_TSS + 0x68 + 0x3F8 / 8, 2, cases[i].bits);
        s->cpu->tr.limit = 0xFFF;
        assert_int_equal(in_dx(s, cases[i].width, (u16)cases[i].port), cases[i].result);
    }
}

static void bitmap_must_lie_inside_the_tss(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 3);
    sys_set(s, AT_TSS + 0x66, 2, 0x68);
    s->cpu->tr.limit = 0x68 + 0x3F8 / 8 + 1;
    assert_int_equal(in_dx(s, 1, PORT), SYS_OK);
    s->cpu->tr.limit--;
    assert_int_equal(in_dx(s, 1, PORT), VEC_GP); /* two bytes are read */
    s->cpu->tr.limit = 0x66;
    assert_int_equal(in_dx(s, 1, 0), VEC_GP);
    s->cpu->tr = (struct segment){ AT_TSS, 0xFFF, SEL_TSS, 0x83 };
    assert_int_equal(in_dx(s, 1, PORT), VEC_GP); /* a 16-bit TSS has none */
}

static void vm86_mode_always_asks_the_bitmap(void **state)
{
    struct sys *s = *state;

    sys_vm86(s, 3);
    assert_int_equal(in_dx(s, 1, PORT), VEC_GP);
    sys_set(s, AT_TSS + 0x66, 2, 0x68);
    s->cpu->tr.limit = 0xFFF;
    assert_int_equal(in_dx(s, 1, PORT), SYS_OK);
}

/* --- INS and OUTS --- */

static void ins_stores_and_advances(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->port_value = 0x41;
    assert_int_equal(ins(s, 1, AT_DATA, 4), SYS_OK);
    assert_int_equal(sys_get(s, AT_DATA, 8), 0x44434241);
    assert_int_equal(s->cpu->gpr[RDI], AT_DATA + 4);
    assert_int_equal(s->cpu->gpr[RCX], 0);
    assert_int_equal(s->cpu->rip, AT_CODE + SYS_LEN);
    s->port_value = 0x100;
    s->cpu->gpr[RDI] = AT_DATA;
    s->cpu->gpr[RCX] = 5;
    assert_int_equal(sys_run(s, x_ins, string(s, 2, false)), SYS_OK);
    assert_int_equal(sys_get(s, AT_DATA, 4), 0x44430100);
    assert_int_equal(s->cpu->gpr[RCX], 5); /* without REP */
    assert_int_equal(s->cpu->gpr[RDI], AT_DATA + 2);
}

static void outs_sends_in_order_and_by_direction(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    sys_set(s, AT_DATA, 4, 0x44332211);
    assert_int_equal(outs(s, 1, AT_DATA, 3), SYS_OK);
    assert_memory_equal(s->port_log, "\x11\x22\x33", 3);
    assert_int_equal(s->cpu->gpr[RSI], AT_DATA + 3);
    s->cpu->sflags |= FLAG_DF;
    assert_int_equal(outs(s, 1, AT_DATA + 3, 3), SYS_OK);
    assert_memory_equal(s->port_log + 3, "\x44\x33\x22", 3);
    assert_int_equal(s->cpu->gpr[RSI], AT_DATA);
}

static void rep_with_count_zero_touches_nothing(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    assert_int_equal(ins(s, 1, UINT64_C(1) << 47, 0), SYS_OK);
    assert_int_equal(s->port_reads, 0);
}

static void ins_across_pages(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->port_value = 0x10;
    assert_int_equal(ins(s, 4, AT_DATA + 0xFF6, 8), SYS_OK); /* one element lies on both */
    assert_int_equal(s->port_reads, 8);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(sys_get(s, AT_DATA + 0xFF6 + 4 * i, 4), 0x10 + i);
}

static void ins_reads_no_port_for_memory_that_is_missing(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    sys_unmap(s, AT_DATA + 0x1000);
    assert_int_equal(ins(s, 4, AT_DATA + 0xFFE, 1), VEC_PF);
    assert_int_equal(s->port_reads, 0);
    assert_int_equal(s->cpu->cr2, AT_DATA + 0x1001);
    assert_int_equal(s->code, 2);
}

/* The fixture asserts that registers do not change; here they do, up to the fault. */
static void ins_commits_what_it_did_before_a_fault(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    sys_unmap(s, AT_DATA + 0x1000);
    s->port_value = 1;
    s->keep_going = true;
    assert_int_equal(ins(s, 1, AT_DATA + 0xFFD, 8), VEC_PF);
    assert_int_equal(s->port_reads, 3);
    assert_int_equal(s->cpu->gpr[RDI], AT_DATA + 0x1000);
    assert_int_equal(s->cpu->gpr[RCX], 5);
    assert_int_equal(s->cpu->rip, AT_CODE);
    assert_int_equal(sys_get(s, AT_DATA + 0xFFD, 3), 0x030201);
}

static void request_ends_a_repetition_between_runs(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->request_after = 100;
    assert_int_equal(ins(s, 1, AT_DATA, 0x1800), SYS_OK);
    assert_int_equal(s->port_reads, 0x1000); /* at the end of the page */
    assert_int_equal(s->cpu->rip, AT_CODE);
    assert_int_equal(s->cpu->gpr[RCX], 0x800);
    assert_int_equal(s->cpu->gpr[RDI], AT_DATA + 0x1000);
    atomic_store(&s->machine.vcpus[0].requests, 0);
    assert_int_equal(sys_run(s, x_ins, string(s, 1, true)), SYS_OK);
    assert_int_equal(s->cpu->rip, AT_CODE + SYS_LEN);
    assert_int_equal(s->port_reads, 0x1800);
}

static void single_step_takes_one_element_at_a_time(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->cpu->sflags |= FLAG_TF;
    cpu_mode_update(s->cpu);
    assert_int_equal(ins(s, 1, AT_DATA, 3), SYS_OK);
    assert_int_equal(s->port_reads, 1);
    assert_int_equal(s->cpu->rip, AT_CODE);
    assert_int_equal(s->cpu->gpr[RCX], 2);
}

static void address_size_cuts_and_wraps(void **state)
{
    struct sys *s = *state;
    struct insn in;

    sys_protected(s, 0);
    s->cpu->seg[SEG_ES].limit = 0xFFFF;
    s->cpu->gpr[RDI] = 0xABCDFFFE;
    s->cpu->gpr[RCX] = 0x12340004;
    in = string(s, 1, true);
    in.flags = (u8)((in.flags & ~INSN_ASZ) | 1u << INSN_ASZ_SHIFT);
    s->port_value = 1;
    assert_int_equal(sys_run(s, x_ins, in), SYS_OK);
    assert_int_equal(s->cpu->gpr[RDI], 0xABCD0002);
    assert_int_equal(s->cpu->gpr[RCX], 0x12340000);
    assert_int_equal(sys_get(s, 0xFFFE, 2), 0x0201);
    assert_int_equal(sys_get(s, 0, 2), 0x0403);
}

static void segment_limit_ends_a_run(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    s->cpu->seg[SEG_ES].limit = AT_DATA + 9;
    s->keep_going = true;
    assert_int_equal(ins(s, 4, AT_DATA, 3), VEC_GP);
    assert_int_equal(s->code, 0);
    assert_int_equal(s->cpu->gpr[RCX], 1);
    assert_int_equal(s->cpu->gpr[RDI], AT_DATA + 8);
    assert_int_equal(s->port_reads, 2);
}

static void outs_takes_a_segment_override(void **state)
{
    struct sys *s = *state;
    struct insn in;

    sys_long(s, 0);
    s->cpu->seg[SEG_GS].base = AT_DATA;
    sys_set(s, AT_DATA + 0x10, 1, 0x77);
    s->cpu->gpr[RSI] = 0x10;
    in = string(s, 1, false);
    in.seg = SEG_GS;
    assert_int_equal(sys_run(s, x_outs, in), SYS_OK);
    assert_int_equal(s->port_log[0], 0x77);
}

#define IO_TEST(name) cmocka_unit_test_setup_teardown(name, sys_setup, sys_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IO_TEST(in_merges_by_width),
        IO_TEST(out_sends_the_low_part),
        IO_TEST(iopl_decides_before_the_bitmap),
        IO_TEST(bitmap_has_a_bit_for_each_byte_of_the_access),
        IO_TEST(bitmap_must_lie_inside_the_tss),
        IO_TEST(vm86_mode_always_asks_the_bitmap),
        IO_TEST(ins_stores_and_advances),
        IO_TEST(outs_sends_in_order_and_by_direction),
        IO_TEST(rep_with_count_zero_touches_nothing),
        IO_TEST(ins_across_pages),
        IO_TEST(ins_reads_no_port_for_memory_that_is_missing),
        IO_TEST(ins_commits_what_it_did_before_a_fault),
        IO_TEST(request_ends_a_repetition_between_runs),
        IO_TEST(single_step_takes_one_element_at_a_time),
        IO_TEST(address_size_cuts_and_wraps),
        IO_TEST(segment_limit_ends_a_run),
        IO_TEST(outs_takes_a_segment_override),
    };

    return cmocka_run_group_tests_name("soft/io", tests, NULL, NULL);
}
