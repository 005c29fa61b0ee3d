/* SPDX-License-Identifier: MIT */
/* Control and debug registers, TLB and cache instructions. SDM vol. 3A, 2.5 and 4.1; vol. 3B, 17.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accel/soft/handlers.h"
#include "accel/soft/seg.h"
#include "accel/soft/tlb.h"
#include "sys_fixture.h"

static int mov_cr(struct sys *s, unsigned cr, u64 value)
{
    s->cpu->gpr[RBX] = value;
    return sys_run(s, x_mov_C_R, sys_reg(4, cr, RBX));
}

static u64 read_cr(struct sys *s, unsigned cr)
{
    assert_int_equal(sys_run(s, x_mov_R_C, sys_reg(4, cr, RBX)), SYS_OK);
    return s->cpu->gpr[RBX];
}

static int mov_dr(struct sys *s, unsigned dr, u64 value)
{
    s->cpu->gpr[RBX] = value;
    return sys_run(s, x_mov_D_R, sys_reg(4, dr, RBX));
}

/* --- CR0 --- */

static void cr0_faults(void **state)
{
    static const u64 bad[] = {
        CR0_PG,                     /* without PE */
        CR0_PE | CR0_NW,            /* without CD */
        CR0_PE | UINT64_C(1) << 32, /* the upper half */
    };
    struct sys *s = *state;

    sys_long(s, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(mov_cr(s, 0, bad[i]), VEC_GP);
        assert_int_equal(s->code, 0);
    }
    sys_long(s, 3);
    assert_int_equal(mov_cr(s, 0, CR0_PE), VEC_GP);
    assert_int_equal(sys_run(s, x_mov_R_C, sys_reg(4, 0, RBX)), VEC_GP);
}

static void cr0_keeps_et_and_drops_reserved_bits(void **state)
{
    struct sys *s = *state;

    assert_int_equal(mov_cr(s, 0, CR0_PE | BIT(6) | BIT(28)), SYS_OK);
    assert_int_equal(s->cpu->cr0, CR0_PE | CR0_ET);
    assert_true(s->cpu->mode & MODE_PE);
    assert_int_equal(s->cpu->rip, 0xFFF0 + SYS_LEN);
    assert_int_equal(read_cr(s, 0), CR0_PE | CR0_ET);
}

static void paging_with_lme_activates_long_mode(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    s->cpu->msr.efer = EFER_LME;
    assert_int_equal(mov_cr(s, 0, CR0_PE | CR0_PG), VEC_GP); /* PAE is off */
    s->cpu->cr4 = CR4_PAE;
    s->cpu->seg[SEG_CS].attr = DESC_CODE64;
    assert_int_equal(mov_cr(s, 0, CR0_PE | CR0_PG), VEC_GP); /* CS.L is set */
    s->cpu->seg[SEG_CS].attr = DESC_CODE32;
    s->cpu->tr.attr = 0x83;
    assert_int_equal(mov_cr(s, 0, CR0_PE | CR0_PG), VEC_GP); /* a 16-bit TSS */
    s->cpu->tr.attr = 0x8B;
    s->cpu->cr3 = AT_PAGE_TABLES;
    assert_int_equal(mov_cr(s, 0, CR0_PE | CR0_PG), SYS_OK);
    assert_int_equal(s->cpu->msr.efer, EFER_LME | EFER_LMA);
    assert_true(s->cpu->mode & MODE_LMA);
    assert_int_equal(mov_cr(s, 0, CR0_PE), SYS_OK);
    assert_int_equal(s->cpu->msr.efer, EFER_LME);
}

static void paging_off_faults_in_64_bit_mode_and_with_pcids(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    assert_int_equal(mov_cr(s, 0, CR0_PE), VEC_GP);
    sys_compat(s, 0);
    s->cpu->cr4 |= CR4_PCIDE;
    assert_int_equal(mov_cr(s, 0, CR0_PE), VEC_GP);
}

static void pae_paging_checks_its_four_entries(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    s->cpu->cr4 = CR4_PAE;
    s->cpu->cr3 = AT_PAGE_TABLES + 0x20;
    sys_set(s, AT_PAGE_TABLES + 0x38, 8, 0x3); /* entry 3 has a reserved bit set */
    assert_int_equal(mov_cr(s, 0, CR0_PE | CR0_PG), VEC_GP);
    sys_set(s, AT_PAGE_TABLES + 0x38, 8, 0x2); /* not present: anything goes */
    assert_int_equal(mov_cr(s, 0, CR0_PE | CR0_PG), SYS_OK);
    sys_set(s, AT_PAGE_TABLES + 0x40, 8, UINT64_C(1) << 40 | 1); /* beyond the physical addresses */
    assert_int_equal(mov_cr(s, 3, AT_PAGE_TABLES + 0x40), VEC_GP);
    assert_int_equal(mov_cr(s, 3, AT_PAGE_TABLES + 0x60), SYS_OK);
    sys_set(s, AT_PAGE_TABLES + 0x60, 8, 0x21);
    assert_int_equal(mov_cr(s, 4, CR4_PAE | CR4_PGE), VEC_GP);
    assert_int_equal(mov_cr(s, 4, CR4_PAE | CR4_OSFXSR), SYS_OK);
}

/* --- CR2, CR3, CR4, CR8 --- */

static void cr3_reserved_bits(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    assert_int_equal(mov_cr(s, 3, UINT64_C(1) << 40), VEC_GP);
    assert_int_equal(mov_cr(s, 3, UINT64_C(1) << 63), VEC_GP);
    assert_int_equal(mov_cr(s, 3, AT_PAGE_TABLES | 0x18), SYS_OK);
    assert_int_equal(read_cr(s, 3), AT_PAGE_TABLES | 0x18);
    s->cpu->cr4 |= CR4_PCIDE;
    assert_int_equal(mov_cr(s, 3, AT_PAGE_TABLES | 5 | UINT64_C(1) << 63), SYS_OK);
    assert_int_equal(s->cpu->cr3, AT_PAGE_TABLES | 5);
}

static void cr3_without_flush_keeps_the_pcids_translations(void **state)
{
    struct sys *s = *state;
    u64 first;

    sys_long(s, 0);
    s->cpu->cr4 |= CR4_PCIDE;
    assert_int_equal(mov_cr(s, 3, AT_PAGE_TABLES | 1), SYS_OK);
    first = s->cpu->tlb_gen;
    assert_int_equal(mov_cr(s, 3, AT_PAGE_TABLES | 2), SYS_OK);
    assert_int_not_equal(s->cpu->tlb_gen, first);
    assert_int_equal(mov_cr(s, 3, AT_PAGE_TABLES | 1 | UINT64_C(1) << 63), SYS_OK);
    assert_int_equal(s->cpu->tlb_gen, first);
    assert_int_equal(mov_cr(s, 3, AT_PAGE_TABLES | 1), SYS_OK);
    assert_int_not_equal(s->cpu->tlb_gen, first);
}

static void cr4_faults(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    assert_int_equal(mov_cr(s, 4, 0), VEC_GP);                   /* PAE may not go in long mode */
    assert_int_equal(mov_cr(s, 4, CR4_PAE | CR4_VME), VEC_GP);   /* not offered */
    assert_int_equal(mov_cr(s, 4, CR4_PAE | BIT64(22)), VEC_GP); /* PKE: not offered */
    assert_int_equal(mov_cr(s, 4, CR4_PAE | CR4_LA57), VEC_GP);  /* not offered by default */
    assert_int_equal(mov_cr(s, 4, CR4_PAE | CR4_SMEP | CR4_SMAP), SYS_OK);
    assert_int_equal(s->cpu->context, MMU_KERNEL_SMAP);
    s->cpu->cr3 = AT_PAGE_TABLES | 8;
    assert_int_equal(mov_cr(s, 4, CR4_PAE | CR4_PCIDE), VEC_GP); /* CR3[11:0] is not 0 */
    s->cpu->cr3 = AT_PAGE_TABLES;
    assert_int_equal(mov_cr(s, 4, CR4_PAE | CR4_PCIDE), SYS_OK);
    sys_model(s, "max", "la57", true);
    assert_int_equal(mov_cr(s, 4, CR4_PAE | CR4_LA57), VEC_GP); /* not while long mode is active */
    sys_protected(s, 0);
    s->cpu->cr0 &= ~CR0_PG;
    s->cpu->cr4 = 0;
    s->cpu->msr.efer = 0;
    cpu_mode_update(s->cpu);
    assert_int_equal(mov_cr(s, 4, CR4_PCIDE), VEC_GP);
    assert_int_equal(mov_cr(s, 4, CR4_LA57), SYS_OK);
    sys_model(s, "max", "smap", false);
    assert_int_equal(mov_cr(s, 4, CR4_SMAP), VEC_GP);
}

static void cr8_is_the_task_priority(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    assert_int_equal(mov_cr(s, 8, 15), SYS_OK);
    assert_int_equal(s->cr8, 15);
    assert_int_equal(read_cr(s, 8), 15);
    assert_int_equal(mov_cr(s, 8, 16), VEC_GP);
}

static void other_control_registers_are_ud(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    for (unsigned cr = 0; cr < 16; cr++) {
        if (cr == 0 || cr == 2 || cr == 3 || cr == 4 || cr == 8)
            continue;
        assert_int_equal(mov_cr(s, cr, 0), VEC_UD);
        assert_int_equal(sys_run(s, x_mov_R_C, sys_reg(4, cr, RBX)), VEC_UD);
    }
}

static void operands_are_64_bits_in_64_bit_mode_only(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    assert_int_equal(mov_cr(s, 2, UINT64_C(0xFFFF888012345678)), SYS_OK);
    assert_int_equal(read_cr(s, 2), UINT64_C(0xFFFF888012345678));
    sys_compat(s, 0);
    assert_int_equal(read_cr(s, 2), 0x12345678);
}

/* --- LMSW, SMSW, CLTS, CLAC, STAC --- */

static void lmsw_sets_but_does_not_clear_pe(void **state)
{
    struct sys *s = *state;

    s->cpu->gpr[RBX] = 0xFFFF;
    assert_int_equal(sys_run(s, x_lmsw_E, sys_reg(2, 0, RBX)), SYS_OK);
    assert_int_equal(s->cpu->cr0 & 0xFFFF, 0x1F);
    sys_set(s, AT_DATA, 2, CR0_TS);
    assert_int_equal(sys_run(s, x_lmsw_E, sys_mem(s, 2, 0, AT_DATA)), SYS_OK);
    assert_int_equal(s->cpu->cr0 & 0xFFFF, CR0_PE | CR0_TS | CR0_ET);
    assert_int_equal(sys_run(s, x_clts, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->cr0 & 0xFFFF, CR0_PE | CR0_ET);
}

static void smsw_stores_by_its_operand(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    s->cpu->gpr[RBX] = ~UINT64_C(0);
    assert_int_equal(sys_run(s, x_smsw_E, sys_reg(2, 0, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX], ~UINT64_C(0) << 16 | (s->cpu->cr0 & 0xFFFF));
    assert_int_equal(sys_run(s, x_smsw_E, sys_reg(4, 0, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX], s->cpu->cr0);
    sys_set(s, AT_DATA, 4, ~0u);
    assert_int_equal(sys_run(s, x_smsw_E, sys_mem(s, 4, 0, AT_DATA)), SYS_OK);
    assert_int_equal(sys_get(s, AT_DATA, 4), 0xFFFF0000 | (s->cpu->cr0 & 0xFFFF));
}

static void privileged_status_instructions_need_level_0(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    assert_int_equal(sys_run(s, x_lmsw_E, sys_reg(2, 0, RBX)), VEC_GP);
    assert_int_equal(sys_run(s, x_clts, sys_reg(4, 0, 0)), VEC_GP);
    assert_int_equal(sys_run(s, x_clac, sys_reg(4, 0, 0)), VEC_UD);
    assert_int_equal(sys_run(s, x_stac, sys_reg(4, 0, 0)), VEC_UD);
}

static void stac_opens_user_pages_to_the_kernel(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    s->cpu->cr4 |= CR4_SMAP;
    cpu_mode_update(s->cpu);
    assert_int_equal(s->cpu->context, MMU_KERNEL_SMAP);
    assert_int_equal(sys_run(s, x_stac, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->context, MMU_KERNEL);
    assert_true(s->cpu->sflags & FLAG_AC);
    assert_int_equal(sys_run(s, x_clac, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(s->cpu->context, MMU_KERNEL_SMAP);
}

/* --- Debug registers --- */

static void debug_registers_have_fixed_bits(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(mov_dr(s, 6, 0xFFFFFFFF), SYS_OK);
    assert_int_equal(s->cpu->dr[6], 0xFFFFEFFF);
    assert_int_equal(mov_dr(s, 6, 0), SYS_OK);
    assert_int_equal(s->cpu->dr[6], 0xFFFF0FF0);
    assert_int_equal(mov_dr(s, 7, 0xFFFFDFFF), SYS_OK);
    assert_int_equal(s->cpu->dr[7], 0xFFFF07FF);
    assert_true(s->cpu->mode & MODE_STEP);
    assert_int_equal(mov_dr(s, 7, 0), SYS_OK);
    assert_false(s->cpu->mode & MODE_STEP);
}

static void debug_registers_4_and_5_are_aliases_unless_de(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(mov_dr(s, 4, 0x4000), SYS_OK);
    assert_int_equal(s->cpu->dr[6], 0xFFFF4FF0);
    assert_int_equal(sys_run(s, x_mov_R_D, sys_reg(4, 5, RBX)), SYS_OK);
    assert_int_equal(s->cpu->gpr[RBX], 0x400);
    s->cpu->cr4 |= CR4_DE;
    assert_int_equal(mov_dr(s, 4, 0), VEC_UD);
    assert_int_equal(mov_dr(s, 8, 0), VEC_UD);
}

static void general_detect_traps_the_access_itself(void **state)
{
    struct sys *s = *state;

    sys_protected(s, 0);
    assert_int_equal(mov_dr(s, 7, BIT(13)), SYS_OK);
    assert_int_equal(mov_dr(s, 0, 0x1234), VEC_DB);
    assert_true(s->cpu->dr[6] & BIT(13));
    assert_int_equal(s->cpu->dr[0], 0);
}

static void debug_registers_need_level_0_and_no_upper_half(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    assert_int_equal(mov_dr(s, 0, 0), VEC_GP);
    sys_long(s, 0);
    assert_int_equal(mov_dr(s, 7, UINT64_C(1) << 32), VEC_GP);
    assert_int_equal(mov_dr(s, 6, UINT64_C(1) << 32), VEC_GP);
    assert_int_equal(mov_dr(s, 3, UINT64_C(0xFFFF888012345678)), SYS_OK);
    assert_int_equal(s->cpu->dr[3], UINT64_C(0xFFFF888012345678));
}

/* --- INVLPG, INVPCID, caches --- */

static bool cached(struct sys *s, gva addr)
{
    return mem_tlb_entry(s->cpu, addr)->tag_r == (addr | s->cpu->tlb_gen);
}

static void invlpg_drops_one_page(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    mem_load8(s->cpu, NULL, AT_DATA);
    mem_load8(s->cpu, NULL, AT_CODE);
    assert_true(cached(s, AT_DATA));
    assert_int_equal(sys_run(s, x_invlpg_M, sys_mem(s, 4, 0, AT_DATA + 5)), SYS_OK);
    assert_false(cached(s, AT_DATA));
    assert_true(cached(s, AT_CODE));
    assert_int_equal(s->cpu->rip, AT_CODE + SYS_LEN);
    s->cpu->gpr[RBX] = UINT64_C(1) << 47; /* not canonical: nothing happens */
    struct insn in = sys_mem(s, 4, 0, 0);
    in.base = RBX;
    assert_int_equal(sys_run(s, x_invlpg_M, in), SYS_OK);
    sys_long(s, 3);
    assert_int_equal(sys_run(s, x_invlpg_M, sys_mem(s, 4, 0, AT_DATA)), VEC_GP);
}

static int invpcid(struct sys *s, u64 type, u64 pcid, u64 addr)
{
    sys_set(s, AT_DATA, 8, pcid);
    sys_set(s, AT_DATA + 8, 8, addr);
    s->cpu->gpr[RBX] = type;
    return sys_run(s, x_invpcid_G_M, sys_mem(s, 8, RBX, AT_DATA));
}

static void invpcid_types(void **state)
{
    struct sys *s = *state;
    u64 generation;

    sys_long(s, 0);
    mem_load8(s->cpu, NULL, AT_CODE);
    assert_int_equal(invpcid(s, 0, 0, AT_CODE), SYS_OK);
    assert_false(cached(s, AT_CODE));
    for (u64 type = 1; type < 4; type++) {
        generation = s->cpu->tlb_gen;
        assert_int_equal(invpcid(s, type, 0, 0), SYS_OK);
        assert_int_not_equal(s->cpu->tlb_gen, generation);
    }
    generation = s->cpu->tlb_gen;
    s->cpu->cr4 |= CR4_PCIDE;
    assert_int_equal(invpcid(s, 1, 5, 0), SYS_OK); /* another PCID */
    assert_int_equal(s->cpu->tlb_gen, generation);
}

static void invpcid_faults(void **state)
{
    struct sys *s = *state;

    sys_long(s, 0);
    assert_int_equal(invpcid(s, 4, 0, 0), VEC_GP);
    assert_int_equal(invpcid(s, 0, 0x1000, 0), VEC_GP); /* reserved bits */
    assert_int_equal(invpcid(s, 1, 5, 0), VEC_GP);      /* PCIDs are off */
    assert_int_equal(invpcid(s, 0, 0, UINT64_C(1) << 47), VEC_GP);
    assert_int_equal(invpcid(s, 2, 0, UINT64_C(1) << 47), SYS_OK);
    sys_long(s, 3);
    assert_int_equal(invpcid(s, 2, 0, 0), VEC_GP);
}

static void cache_instructions(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    assert_int_equal(sys_run(s, x_wbinvd, sys_reg(4, 0, 0)), VEC_GP);
    assert_int_equal(sys_run(s, x_invd, sys_reg(4, 0, 0)), VEC_GP);
    assert_int_equal(sys_run(s, x_clflush_M, sys_mem(s, 4, 0, AT_DATA)), SYS_OK);
    sys_unmap(s, AT_DATA);
    assert_int_equal(sys_run(s, x_clflush_M, sys_mem(s, 4, 0, AT_DATA)), VEC_PF);
    assert_int_equal(sys_run(s, x_mfence, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(sys_run(s, x_lfence, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(sys_run(s, x_sfence, sys_reg(4, 0, 0)), SYS_OK);
    assert_int_equal(sys_run(s, x_serialize, sys_reg(4, 0, 0)), SYS_OK);
    sys_long(s, 0);
    assert_int_equal(sys_run(s, x_wbinvd, sys_reg(4, 0, 0)), SYS_OK);
}

static void monitor_and_mwait(void **state)
{
    struct sys *s = *state;

    sys_long(s, 3);
    assert_int_equal(sys_run(s, x_monitor, sys_reg(4, 0, 0)), VEC_UD);
    assert_int_equal(sys_run(s, x_mwait, sys_reg(4, 0, 0)), VEC_UD);
    sys_long(s, 0);
    assert_int_equal(sys_run(s, x_monitor, sys_reg(4, 0, 0)), SYS_OK);
    s->cpu->gpr[RCX] = 1;
    assert_int_equal(sys_run(s, x_monitor, sys_reg(4, 0, 0)), VEC_GP);
    assert_int_equal(sys_run(s, x_mwait, sys_reg(4, 0, 0)), SYS_OK);
    s->cpu->gpr[RCX] = 2;
    assert_int_equal(sys_run(s, x_mwait, sys_reg(4, 0, 0)), VEC_GP);
}

#define CR_TEST(name) cmocka_unit_test_setup_teardown(name, sys_setup, sys_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CR_TEST(cr0_faults),
        CR_TEST(cr0_keeps_et_and_drops_reserved_bits),
        CR_TEST(paging_with_lme_activates_long_mode),
        CR_TEST(paging_off_faults_in_64_bit_mode_and_with_pcids),
        CR_TEST(pae_paging_checks_its_four_entries),
        CR_TEST(cr3_reserved_bits),
        CR_TEST(cr3_without_flush_keeps_the_pcids_translations),
        CR_TEST(cr4_faults),
        CR_TEST(cr8_is_the_task_priority),
        CR_TEST(other_control_registers_are_ud),
        CR_TEST(operands_are_64_bits_in_64_bit_mode_only),
        CR_TEST(lmsw_sets_but_does_not_clear_pe),
        CR_TEST(smsw_stores_by_its_operand),
        CR_TEST(privileged_status_instructions_need_level_0),
        CR_TEST(stac_opens_user_pages_to_the_kernel),
        CR_TEST(debug_registers_have_fixed_bits),
        CR_TEST(debug_registers_4_and_5_are_aliases_unless_de),
        CR_TEST(general_detect_traps_the_access_itself),
        CR_TEST(debug_registers_need_level_0_and_no_upper_half),
        CR_TEST(invlpg_drops_one_page),
        CR_TEST(invpcid_types),
        CR_TEST(invpcid_faults),
        CR_TEST(cache_instructions),
        CR_TEST(monitor_and_mwait),
    };

    return cmocka_run_group_tests_name("soft/cr", tests, NULL, NULL);
}
