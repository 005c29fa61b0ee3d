/* SPDX-License-Identifier: MIT */
/* The page walk: formats, rights, error codes, A and D bits. Expectations from SDM vol. 3A, 4.3 to 4.8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "accel/soft/walk.h"
#include "base/bytes.h"
#include "machine/ram.h"

#define P    1u
#define W    2u
#define U    4u
#define A    0x20u
#define D    0x40u
#define PS   0x80u
#define NX   BIT64(63)

#define ROOT 0x10000u
#define L3   0x11000u
#define L2   0x12000u
#define L1   0x13000u
#define L5   0x14000u

struct fixture {
    struct ram ram;
    struct walk_context c;
    struct walk_result r;
};

static int setup(void **state)
{
    static struct fixture f;
    struct error err;

    memset(&f, 0, sizeof(f));
    assert_true(ram_init(&f.ram, MIB(16), &err));
    ram_add_slot(&f.ram, 0, MIB(16), 0);
    f.c = (struct walk_context){ .ram = &f.ram,
                                 .cr0 = CR0_PG | CR0_PE | CR0_WP,
                                 .cr3 = ROOT,
                                 .cr4 = CR4_PAE,
                                 .efer = EFER_LMA | EFER_NXE,
                                 .phys_mask = BIT64(40) - 1,
                                 .page_1g = true };
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ram_fini(&f->ram);
    return 0;
}

static void put64(struct fixture *f, gpa at, u64 value)
{
    store_le64(ram_ptr_w(&f->ram, at, 8), value);
}

static u64 get64(struct fixture *f, gpa at)
{
    return load_le64(ram_ptr(&f->ram, at, 8));
}

static void put32(struct fixture *f, gpa at, u32 value)
{
    store_le32(ram_ptr_w(&f->ram, at, 4), value);
}

/* Linear 0x00005000 (index 5 of the last table) through four levels. */
static void map4(struct fixture *f, u64 upper, u64 leaf)
{
    put64(f, ROOT, L3 | upper);
    put64(f, L3, L2 | upper);
    put64(f, L2, L1 | upper);
    put64(f, L1 + 5 * 8, leaf);
}

static void paging_off_is_identity(void **state)
{
    struct fixture *f = *state;

    f->c.cr0 = CR0_PE;
    assert_true(walk(&f->c, 0xFEE00123u, ACCESS_WRITE, &f->r));
    assert_int_equal(f->r.page, 0xFEE00000u);
}

static void four_levels_find_the_page_and_set_a_and_d(void **state)
{
    struct fixture *f = *state;

    map4(f, P | W | U, 0x7000 | P | W | U);
    assert_true(walk(&f->c, 0x5ABC, ACCESS_READ, &f->r));
    assert_int_equal(f->r.page, 0x7000);
    assert_false(f->r.dirty);
    assert_int_equal(get64(f, ROOT), L3 | P | W | U | A);
    assert_int_equal(get64(f, L1 + 40), 0x7000 | P | W | U | A);
    assert_true(walk(&f->c, 0x5ABC, ACCESS_WRITE, &f->r));
    assert_true(f->r.dirty);
    assert_int_equal(get64(f, L1 + 40), 0x7000 | P | W | U | A | D);
    assert_int_equal(get64(f, L2) & D, 0);
}

static void faulting_walks_leave_a_and_d_alone(void **state)
{
    struct fixture *f = *state;

    map4(f, P | W | U, 0x7000 | P | U);
    assert_false(walk(&f->c, 0x5000, ACCESS_WRITE, &f->r));
    assert_int_equal(get64(f, L1 + 40), 0x7000 | P | U);
}

static void error_codes_tell_the_kind_of_access(void **state)
{
    struct fixture *f = *state;

    map4(f, P | W | U, 0);
    assert_false(walk(&f->c, 0x5000, ACCESS_READ, &f->r));
    assert_int_equal(f->r.code, 0);
    assert_false(walk(&f->c, 0x5000, ACCESS_WRITE, &f->r));
    assert_int_equal(f->r.code, 2);
    assert_false(walk(&f->c, 0x5000, ACCESS_EXEC, &f->r));
    assert_int_equal(f->r.code, 0x10);
    f->c.user = true;
    assert_false(walk(&f->c, 0x5000, ACCESS_WRITE, &f->r));
    assert_int_equal(f->r.code, 6);
    map4(f, P | W | U, 0x7000 | P | W);
    assert_false(walk(&f->c, 0x5000, ACCESS_READ, &f->r));
    assert_int_equal(f->r.code, 5);
}

static void instruction_bit_is_reported_only_with_nx_or_smep(void **state)
{
    struct fixture *f = *state;

    f->c.efer = EFER_LMA;
    map4(f, P | W | U, 0);
    assert_false(walk(&f->c, 0x5000, ACCESS_EXEC, &f->r));
    assert_int_equal(f->r.code, 0);
    f->c.cr4 |= CR4_SMEP;
    assert_false(walk(&f->c, 0x5000, ACCESS_EXEC, &f->r));
    assert_int_equal(f->r.code, 0x10);
}

static void nx_at_any_level_forbids_execution(void **state)
{
    struct fixture *f = *state;

    map4(f, P | W | U, 0x7000 | P | W | U);
    put64(f, L3, L2 | P | W | U | NX);
    assert_false(walk(&f->c, 0x5000, ACCESS_EXEC, &f->r));
    assert_int_equal(f->r.code, 0x11);
    assert_true(walk(&f->c, 0x5000, ACCESS_READ, &f->r));
    assert_false(f->r.exec);
}

static void reserved_bits_fault_with_the_rsvd_code(void **state)
{
    struct fixture *f = *state;

    map4(f, P | W | U, 0x7000 | P | W | U | BIT64(45));
    assert_false(walk(&f->c, 0x5000, ACCESS_READ, &f->r));
    assert_int_equal(f->r.code, 9);
    f->c.efer = EFER_LMA;
    map4(f, P | W | U, 0x7000 | P | W | U | NX);
    assert_false(walk(&f->c, 0x5000, ACCESS_READ, &f->r));
    assert_int_equal(f->r.code, 9);
    f->c.efer = EFER_LMA | EFER_NXE;
    map4(f, P | W | U | PS, 0x7000 | P | W | U); /* PS in a PML4E */
    assert_false(walk(&f->c, 0x5000, ACCESS_READ, &f->r));
    assert_int_equal(f->r.code, 9);
}

static void supervisor_writes_read_only_pages_without_wp(void **state)
{
    struct fixture *f = *state;

    map4(f, P | W | U, 0x7000 | P);
    assert_false(walk(&f->c, 0x5000, ACCESS_WRITE, &f->r));
    assert_int_equal(f->r.code, 3);
    f->c.cr0 &= ~CR0_WP;
    assert_true(walk(&f->c, 0x5000, ACCESS_WRITE, &f->r));
    f->c.user = true;
    map4(f, P | W | U, 0x7000 | P | U);
    assert_false(walk(&f->c, 0x5000, ACCESS_WRITE, &f->r));
}

static void smep_and_smap_keep_the_supervisor_off_user_pages(void **state)
{
    struct fixture *f = *state;

    map4(f, P | W | U, 0x7000 | P | W | U);
    f->c.cr4 |= CR4_SMEP;
    assert_false(walk(&f->c, 0x5000, ACCESS_EXEC, &f->r));
    assert_int_equal(f->r.code, 0x11);
    f->c.smap = true;
    assert_false(walk(&f->c, 0x5000, ACCESS_READ, &f->r));
    assert_int_equal(f->r.code, 1);
    f->c.smap = false;
    assert_true(walk(&f->c, 0x5000, ACCESS_READ, &f->r));
}

static void large_pages_of_2m_and_1g(void **state)
{
    struct fixture *f = *state;

    put64(f, ROOT, L3 | P | W | U);
    put64(f, L3, L2 | P | W | U);
    put64(f, L2 + 8, 0x400000 | P | W | PS);
    assert_true(walk(&f->c, 0x2ABCDE, ACCESS_WRITE, &f->r));
    assert_int_equal(f->r.page, 0x4AB000);
    assert_int_equal(get64(f, L2 + 8), 0x400000 | P | W | PS | A | D);
    put64(f, L2 + 8, 0x402000 | P | W | PS);
    assert_false(walk(&f->c, 0x2ABCDE, ACCESS_READ, &f->r));
    assert_int_equal(f->r.code, 9);
    put64(f, L3 + 8, 0x40000000 | P | W | PS);
    assert_true(walk(&f->c, 0x7FFFF123u, ACCESS_READ, &f->r));
    assert_int_equal(f->r.page, 0x7FFFF000u);
    f->c.page_1g = false;
    assert_false(walk(&f->c, 0x7FFFF123u, ACCESS_READ, &f->r));
    assert_int_equal(f->r.code, 9);
}

static void five_levels_use_the_highest_nine_bits(void **state)
{
    struct fixture *f = *state;

    f->c.cr4 |= CR4_LA57;
    f->c.cr3 = L5;
    put64(f, L5 + 3 * 8, ROOT | P | W | U);
    map4(f, P | W | U, 0x7000 | P | W | U);
    assert_true(walk(&f->c, 3ull << 48 | 0x5000, ACCESS_READ, &f->r));
    assert_int_equal(f->r.page, 0x7000);
    assert_false(walk(&f->c, 0x5000, ACCESS_READ, &f->r));
}

static void pae_has_four_top_entries_without_rights(void **state)
{
    struct fixture *f = *state;

    f->c.efer = EFER_NXE;
    f->c.cr3 = ROOT | 0x20;
    put64(f, ROOT + 0x20 + 3 * 8, L2 | P);
    put64(f, L2, L1 | P | W | U);
    put64(f, L1 + 5 * 8, 0x7000 | P | W | U);
    f->c.user = true;
    assert_true(walk(&f->c, 0xC0005000u, ACCESS_WRITE, &f->r));
    assert_int_equal(f->r.page, 0x7000);
    assert_int_equal(get64(f, ROOT + 0x20 + 24), L2 | P);
    put64(f, ROOT + 0x20 + 3 * 8, L2 | P | W);
    assert_false(walk(&f->c, 0xC0005000u, ACCESS_WRITE, &f->r));
    assert_int_equal(f->r.code & 8, 8);
}

static void thirty_two_bit_paging_with_4m_pages_and_pse36(void **state)
{
    struct fixture *f = *state;

    f->c.efer = 0;
    f->c.cr4 = CR4_PSE;
    put32(f, ROOT, L1 | P | W | U);
    put32(f, L1 + 5 * 4, 0x7000 | P | W | U);
    assert_true(walk(&f->c, 0x5123, ACCESS_WRITE, &f->r));
    assert_int_equal(f->r.page, 0x7000);
    put32(f, ROOT + 4, 0x00800000 | P | W | PS | 1u << 13);
    assert_true(walk(&f->c, 0x00412345, ACCESS_READ, &f->r));
    assert_int_equal(f->r.page, 0x100812000);
    f->c.cr4 = 0; /* without PSE the bit means nothing: a table */
    assert_false(walk(&f->c, 0x00412345, ACCESS_READ, &f->r));
}

static void tables_outside_memory_read_as_not_present(void **state)
{
    struct fixture *f = *state;

    put64(f, ROOT, 0xF0000000u | P | W | U);
    assert_false(walk(&f->c, 0x5000, ACCESS_READ, &f->r));
    assert_int_equal(f->r.code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(paging_off_is_identity),
        T(four_levels_find_the_page_and_set_a_and_d),
        T(faulting_walks_leave_a_and_d_alone),
        T(error_codes_tell_the_kind_of_access),
        T(instruction_bit_is_reported_only_with_nx_or_smep),
        T(nx_at_any_level_forbids_execution),
        T(reserved_bits_fault_with_the_rsvd_code),
        T(supervisor_writes_read_only_pages_without_wp),
        T(smep_and_smap_keep_the_supervisor_off_user_pages),
        T(large_pages_of_2m_and_1g),
        T(five_levels_use_the_highest_nine_bits),
        T(pae_has_four_top_entries_without_rights),
        T(thirty_two_bit_paging_with_4m_pages_and_pse36),
        T(tables_outside_memory_read_as_not_present),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
