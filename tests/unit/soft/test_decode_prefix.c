/* SPDX-License-Identifier: MIT */
/* The decoder: prefixes, VEX, what does not exist, limits. Expected encodings are those of SDM vol. 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/decode.h"
#include "accel/soft/handlers.h"
#include "fixture.h"

#define BYTES(...) (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ })

static struct insn decode(u32 mode, const u8 *bytes, size_t size)
{
    struct insn in;

    assert_int_equal(decode_insn(bytes, size, mode, fx_features, &in), DECODE_OK);
    assert_int_equal(in.len, size);
    return in;
}

static enum decode_result decode_result(u32 mode, const u8 *bytes, size_t size)
{
    struct insn in;

    return decode_insn(bytes, size, mode, fx_features, &in);
}

static const struct insn_row *row_of(const struct insn *in)
{
    return &insn_rows[in->row];
}

/* --- Prefixes --- */

static void rex_counts_only_before_the_opcode(void **state)
{
    struct insn in = decode(FX_64, BYTES(0x48, 0x66, 0x01, 0xC0));
    struct insn last = decode(FX_64, BYTES(0x48, 0x41, 0x01, 0xC0));

    (void)state;
    assert_int_equal(insn_osz(&in), 1);
    assert_int_equal(insn_osz(&last), 2);
    assert_int_equal(last.rm, 8);
}

static void rex_bytes_are_inc_and_dec_elsewhere(void **state)
{
    struct insn inc = decode(FX_32, BYTES(0x41));

    (void)state;
    assert_string_equal(row_of(&inc)->name, "inc");
    assert_int_equal(inc.rm, RCX);
}

static void segments_are_overridden(void **state)
{
    struct insn fs = decode(FX_64, BYTES(0x64, 0x8B, 0x00));
    struct insn es = decode(FX_64, BYTES(0x26, 0x8B, 0x00));
    struct insn both = decode(FX_64, BYTES(0x65, 0x2E, 0x8B, 0x00));
    struct insn cs = decode(FX_32, BYTES(0x2E, 0x8B, 0x00));

    (void)state;
    assert_int_equal(fs.seg, SEG_FS);
    assert_false(fs.flags & INSN_FLAT);
    assert_int_equal(es.seg, SEG_DS);
    assert_true(es.flags & INSN_FLAT);
    assert_int_equal(both.seg, SEG_GS);
    assert_int_equal(cs.seg, SEG_CS);
}

static void flat_means_64_bit_addresses_without_base(void **state)
{
    struct insn in64 = decode(FX_64, BYTES(0x8B, 0x00));
    struct insn in32 = decode(FX_64, BYTES(0x67, 0x8B, 0x00));
    struct insn legacy = decode(FX_32 | MODE_FLAT, BYTES(0x8B, 0x00));

    (void)state;
    assert_true(in64.flags & INSN_FLAT);
    assert_false(in32.flags & INSN_FLAT);
    assert_false(legacy.flags & INSN_FLAT);
}

static void lock_needs_a_memory_destination(void **state)
{
    (void)state;
    assert_true(decode(FX_64, BYTES(0xF0, 0x01, 0x00)).flags & INSN_LOCK);
    assert_true(decode(FX_64, BYTES(0xF0, 0x0F, 0xC7, 0x08)).flags & INSN_LOCK);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x01, 0xC0)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x03, 0x00)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x39, 0x00)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x89, 0x00)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x90)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0x0F, 0xA3, 0x00)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xF0, 0xFF, 0x10)), DECODE_UD);
}

static void xchg_with_memory_is_locked(void **state)
{
    (void)state;
    assert_true(decode(FX_64, BYTES(0x87, 0x00)).flags & INSN_LOCK);
    assert_false(decode(FX_64, BYTES(0x87, 0xC1)).flags & INSN_LOCK);
}

static void repeat_prefixes_are_noted(void **state)
{
    struct insn rep = decode(FX_64, BYTES(0xF2, 0xF3, 0xA4));

    (void)state;
    assert_int_equal(rep.flags & (INSN_REP | INSN_REPNE), INSN_REP);
    assert_int_equal(decode(FX_64, BYTES(0xF2, 0xAE)).flags & (INSN_REP | INSN_REPNE), INSN_REPNE);
    decode(FX_64, BYTES(0xF2, 0xE8, 0, 0, 0, 0)); /* BND call */
    decode(FX_64, BYTES(0xF3, 0xC3));             /* rep ret */
    decode(FX_64, BYTES(0xF2, 0xF0, 0x01, 0x00)); /* XACQUIRE lock add */
}

static void mandatory_prefixes_choose_the_row(void **state)
{
    struct insn tzcnt = decode(FX_64, BYTES(0xF3, 0x0F, 0xBC, 0xC1));
    struct insn tzcnt16 = decode(FX_64, BYTES(0x66, 0xF3, 0x0F, 0xBC, 0xC1));
    struct insn bsf = decode(FX_64, BYTES(0x0F, 0xBC, 0xC1));
    struct insn movbe = decode(FX_64, BYTES(0x66, 0x0F, 0x38, 0xF0, 0x00));
    struct insn crc32 = decode(FX_64, BYTES(0x66, 0xF2, 0x0F, 0x38, 0xF1, 0xC0));

    (void)state;
    assert_string_equal(row_of(&tzcnt)->name, "tzcnt");
    assert_int_equal(insn_osz(&tzcnt16), 1);
    assert_string_equal(row_of(&bsf)->name, "bsf");
    assert_string_equal(row_of(&movbe)->name, "movbe");
    assert_int_equal(insn_osz(&movbe), 1);
    assert_string_equal(row_of(&crc32)->name, "crc32");
    assert_int_equal(insn_osz(&crc32), 1);
    assert_int_equal(decode_result(FX_64, BYTES(0x0F, 0xB8, 0xC0)), DECODE_UD);
}

static void nop_pause_and_xchg_share_an_opcode(void **state)
{
    struct insn nop = decode(FX_64, BYTES(0x90));
    struct insn wide = decode(FX_64, BYTES(0x48, 0x90));
    struct insn pause = decode(FX_64, BYTES(0xF3, 0x90));
    struct insn r8 = decode(FX_64, BYTES(0x41, 0x90));

    (void)state;
    assert_string_equal(row_of(&nop)->name, "nop");
    assert_string_equal(row_of(&wide)->name, "nop");
    assert_string_equal(row_of(&pause)->name, "pause");
    assert_true(row_of(&pause)->attr & ATTR_END);
    assert_string_equal(row_of(&r8)->name, "xchg");
    assert_int_equal(r8.rm, 8);
}

/* --- VEX --- */

static void vex_names_three_operands(void **state)
{
    struct insn andn = decode(FX_64, BYTES(0xC4, 0x42, 0xA8, 0xF2, 0xC3)); /* andn r8, r10, r11 */

    (void)state;
    assert_string_equal(row_of(&andn)->name, "andn");
    assert_int_equal(andn.reg, 8);
    assert_int_equal(andn.vreg, 10);
    assert_int_equal(andn.rm, 11);
    assert_int_equal(insn_osz(&andn), 3);
}

static void vex_refuses_other_prefixes(void **state)
{
    static const u8 prefixes[] = { 0x66, 0xF2, 0xF3, 0xF0, 0x48 };

    (void)state;
    for (unsigned i = 0; i < sizeof(prefixes); i++)
        assert_int_equal(decode_result(FX_64, BYTES(prefixes[i], 0xC4, 0xE2, 0x70, 0xF2, 0xC2)),
                         DECODE_UD);
    decode(FX_64, BYTES(0x65, 0xC4, 0xE2, 0x70, 0xF2, 0x02));
    decode(FX_64, BYTES(0x67, 0xC4, 0xE2, 0x70, 0xF2, 0x02));
}

static void vex_needs_length_and_unused_vvvv_right(void **state)
{
    (void)state;
    assert_int_equal(decode_result(FX_64, BYTES(0xC4, 0xE2, 0x74, 0xF2, 0xC2)),
                     DECODE_UD);                           /* L = 1 */
    decode(FX_64, BYTES(0xC4, 0xE3, 0x7B, 0xF0, 0xC2, 3)); /* rorx */
    assert_int_equal(decode_result(FX_64, BYTES(0xC4, 0xE3, 0x73, 0xF0, 0xC2, 3)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0xC4, 0xE4, 0x70, 0xF2, 0xC2)),
                     DECODE_UD); /* map 4 */
}

static void vex_is_les_and_lds_outside_64_bit_mode(void **state)
{
    struct insn les = decode(FX_32, BYTES(0xC4, 0x00));
    struct insn lds = decode(FX_16, BYTES(0xC5, 0x00));
    struct insn andn = decode(FX_32, BYTES(0xC4, 0xE2, 0x70, 0xF2, 0xC2));

    (void)state;
    assert_string_equal(row_of(&les)->name, "les");
    assert_string_equal(row_of(&lds)->name, "lds");
    assert_string_equal(row_of(&andn)->name, "andn");
    /* Neither VEX nor LES: real and virtual-8086 mode. */
    assert_int_equal(decode_result(FX_16, BYTES(0xC4, 0xE2, 0x70, 0xF2, 0xC2)), DECODE_UD);
    assert_int_equal(decode_result(MODE_PE | MODE_VM, BYTES(0xC4, 0xE2, 0x70, 0xF2, 0xC2)),
                     DECODE_UD);
}

static void vex_w_is_ignored_for_sizes_outside_64_bit_mode(void **state)
{
    struct insn in = decode(FX_32, BYTES(0xC4, 0xE2, 0xF0, 0xF2, 0xC2));

    (void)state;
    assert_int_equal(insn_osz(&in), 2);
}

/* --- What does not exist --- */

static void unknown_opcodes_are_undefined(void **state)
{
    static const struct {
        u32 mode;
        u8 bytes[4];
    } cases[] = {
        { FX_64, { 0x06 } },
        { FX_64, { 0x27 } },
        { FX_64, { 0x60 } },
        { FX_64, { 0x82, 0xC0, 0x00 } },
        { FX_64, { 0x9A } },
        { FX_64, { 0xEA } },
        { FX_64, { 0xD6 } },
        { FX_64, { 0x0F, 0x04 } },
        { FX_64, { 0xC6, 0xC8, 0x00 } },
        { FX_64, { 0xFE, 0xD0 } },
        { FX_64, { 0xFF, 0xF8 } },
        { FX_64, { 0x8F, 0xC8 } },
        { FX_64, { 0x8D, 0xC0 } },
        { FX_64, { 0x0F, 0xBA, 0xC0 } },
        { FX_64, { 0x62, 0x00 } },
        { FX_64, { 0x0F, 0xC7, 0xC8 } },
        { FX_64, { 0xFF, 0xE8 } },
        { FX_64, { 0x8C, 0xF8 } },
        { FX_64, { 0x0F, 0xAA } },
        { FX_32, { 0x0F, 0x01, 0xF8 } },
        { FX_16, { 0x62, 0xC0 } },
        { FX_32, { 0xC4, 0xC0, 0, 0 } },
        { FX_64, { 0x0F, 0x38, 0xF0, 0xC0 } },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        u8 window[16] = { 0 };

        memcpy(window, cases[i].bytes, 4);
        assert_int_equal(decode_result(cases[i].mode, window, sizeof(window)), DECODE_UD);
    }
}

static void features_gate_rows(void **state)
{
    u64 features[FEATURE_WORDS] = { 0 };
    struct insn in;

    (void)state;
    assert_int_equal(decode_insn(BYTES(0x01, 0xC0), FX_64, features, &in), DECODE_OK);
    assert_int_equal(decode_insn(BYTES(0xF3, 0x0F, 0xB8, 0xC0), FX_64, features, &in), DECODE_UD);
    assert_int_equal(decode_insn(BYTES(0x0F, 0x38, 0xF0, 0x00), FX_64, features, &in), DECODE_UD);
    assert_int_equal(decode_insn(BYTES(0xC4, 0xE2, 0x70, 0xF2, 0xC2), FX_64, features, &in),
                     DECODE_UD);
    /* Without BMI1 and LZCNT the prefix means nothing. */
    assert_int_equal(decode_insn(BYTES(0xF3, 0x0F, 0xBC, 0xC1), FX_64, features, &in), DECODE_OK);
    assert_string_equal(row_of(&in)->name, "bsf");
    assert_int_equal(decode_insn(BYTES(0xF3, 0x0F, 0xBD, 0xC1), FX_64, features, &in), DECODE_OK);
    assert_string_equal(row_of(&in)->name, "bsr");
}

static void hints_are_nops(void **state)
{
    (void)state;
    assert_ptr_equal(decode(FX_64, BYTES(0xF3, 0x0F, 0x1E, 0xFA)).fn, x_nop[2]); /* endbr64 */
    assert_ptr_equal(decode(FX_64, BYTES(0x0F, 0x1F, 0x44, 0, 0)).fn, x_nop[6]);
    assert_ptr_equal(decode(FX_64, BYTES(0x66, 0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0)).fn, x_nop[5]);
    assert_ptr_equal(decode(FX_64, BYTES(0x0F, 0x18, 0x08)).fn, x_nop[6]); /* prefetcht0 */
    assert_ptr_equal(decode(FX_64, BYTES(0x0F, 0x0D, 0x08)).fn, x_nop[6]); /* prefetchw */
}

static void control_registers_ignore_mod(void **state)
{
    struct insn reg = decode(FX_64, BYTES(0x0F, 0x22, 0xD8));
    struct insn mem = decode(FX_64, BYTES(0x0F, 0x22, 0x18));
    struct insn cr8 = decode(FX_64, BYTES(0x44, 0x0F, 0x20, 0xC0));

    (void)state;
    assert_int_equal(reg.reg, 3);
    assert_int_equal(mem.rm, RAX);
    assert_int_equal(mem.len, 3);
    assert_int_equal(cr8.reg, 8);
}

/* --- Limits --- */

static void fifteen_bytes_are_the_limit(void **state)
{
    u8 bytes[20];

    (void)state;
    memset(bytes, 0x66, sizeof(bytes));
    bytes[14] = 0x90;
    decode(FX_64, bytes, 15);
    bytes[14] = 0x66;
    bytes[15] = 0x90;
    assert_int_equal(decode_result(FX_64, bytes, sizeof(bytes)), DECODE_TOO_LONG);
    bytes[9] = 0x81; /* add r/m16, imm16 with a 4-byte displacement ends at 16 */
    bytes[10] = 0x84;
    assert_int_equal(decode_result(FX_64, bytes, sizeof(bytes)), DECODE_TOO_LONG);
}

static void missing_bytes_ask_for_more(void **state)
{
    static const u8 bytes[] = {
        0x66, 0x42, 0x81, 0x84, 0x24, 1, 2, 3, 4, 5, 6
    }; /* add word [rsp+r12+disp], imm */

    (void)state;
    for (size_t n = 0; n < sizeof(bytes); n++)
        assert_int_equal(decode_result(FX_64, bytes, n), DECODE_MORE);
    decode(FX_64, bytes, sizeof(bytes));
    /* What is undefined whatever follows needs no more bytes. */
    assert_int_equal(decode_result(FX_64, BYTES(0x06)), DECODE_UD);
    assert_int_equal(decode_result(FX_64, BYTES(0x0F)), DECODE_MORE);
}

/* Any bytes give a result without reading past them; what decodes, prints. */
static void random_bytes_are_decoded_in_bounds(void **state)
{
    static const u32 modes[] = { FX_64, FX_32, FX_16, FX_16 | MODE_PE | MODE_VM };
    u64 seed = 12345;

    (void)state;
    for (unsigned i = 0; i < 400000; i++) {
        unsigned size = i % 17;
        u8 *bytes = test_malloc(size + !size); /* a block of its own, for the sanitizer */
        enum decode_result result;
        struct insn in;
        char text[128];

        for (unsigned b = 0; b < size; b++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[b] = (u8)(seed >> 56);
        }
        if (size > 2 && i & 64)
            bytes[0] = 0x0F;
        result = decode_insn(bytes, size, modes[i % 4], fx_features, &in);
        if (result == DECODE_OK) {
            assert_in_range(in.len, 1, MIN(size, 15));
            assert_non_null(in.fn);
            assert_true(in.base <= GPR_RIP);
            insn_print(&in, 0x1000, modes[i % 4], text, sizeof(text));
            assert_true(strlen(text) > 1);
        }
        test_free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rex_counts_only_before_the_opcode),
        cmocka_unit_test(rex_bytes_are_inc_and_dec_elsewhere),
        cmocka_unit_test(segments_are_overridden),
        cmocka_unit_test(flat_means_64_bit_addresses_without_base),
        cmocka_unit_test(lock_needs_a_memory_destination),
        cmocka_unit_test(xchg_with_memory_is_locked),
        cmocka_unit_test(repeat_prefixes_are_noted),
        cmocka_unit_test(mandatory_prefixes_choose_the_row),
        cmocka_unit_test(nop_pause_and_xchg_share_an_opcode),
        cmocka_unit_test(vex_names_three_operands),
        cmocka_unit_test(vex_refuses_other_prefixes),
        cmocka_unit_test(vex_needs_length_and_unused_vvvv_right),
        cmocka_unit_test(vex_is_les_and_lds_outside_64_bit_mode),
        cmocka_unit_test(vex_w_is_ignored_for_sizes_outside_64_bit_mode),
        cmocka_unit_test(unknown_opcodes_are_undefined),
        cmocka_unit_test(features_gate_rows),
        cmocka_unit_test(hints_are_nops),
        cmocka_unit_test(control_registers_ignore_mod),
        cmocka_unit_test(fifteen_bytes_are_the_limit),
        cmocka_unit_test(missing_bytes_ask_for_more),
        cmocka_unit_test(random_bytes_are_decoded_in_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
