/* SPDX-License-Identifier: MIT */
/* Kernels unpacked to where they run, and kernels that are left to unpack themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "boot/unpack.h"
#include "unit/boot/fixture.h"

#define TEST_RAM_SIZE MIB(32)

#define PHDR_AT(n, field) \
    (sizeof(Elf64_Ehdr) + (n) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, field))

struct test {
    struct ram ram;
    struct blob vmlinux;
    struct blob kernel;
    struct linux_header header;
    struct unpack unpack;
    struct error err;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));

    assert_true(ram_init(&t->ram, TEST_RAM_SIZE, &t->err));
    ram_add_slot(&t->ram, 0, TEST_RAM_SIZE, 0);
    t->vmlinux = fixture_vmlinux(NULL);
    t->err.text[0] = 0;
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;

    ram_fini(&t->ram);
    free(t->vmlinux.data);
    free(t->kernel.data);
    free(t);
    return 0;
}

/* Make a bzImage of the vmlinux as it is now, and plan. */
static bool plan(struct test *t, enum payload_format format)
{
    struct blob payload = fixture_compress(format, t->vmlinux.data, t->vmlinux.size);

    free(t->kernel.data);
    t->kernel = fixture_bzimage(payload.data, payload.size);
    free(payload.data);
    assert_true(linux_parse(&t->header, t->kernel.data, t->kernel.size, &t->err));
    return unpack_plan(&t->unpack, &t->header, t->kernel.data, &t->err);
}

static void expect_run(struct test *t)
{
    if (!unpack_run(&t->unpack, &t->ram, &t->err))
        fail_msg("%s", t->err.text);
}

static void expect_declined(struct test *t, const char *word)
{
    assert_true(plan(t, PAYLOAD_LZ4));
    assert_false(t->unpack.possible);
    if (!strstr(t->unpack.reason.text, word))
        fail_msg("'%s' lacks '%s'", t->unpack.reason.text, word);
}

static void expect_segment(const struct test *t, gpa base, u64 offset, u64 size)
{
    assert_memory_equal(t->ram.host + base, t->vmlinux.data + offset, size);
}

static void expect_zero(const struct test *t, gpa base, gpa end)
{
    for (; base < end; base++)
        assert_int_equal(t->ram.host[base], 0);
}

static void expect_kernel(const struct test *t)
{
    expect_segment(t, FIXTURE_TEXT_ADDR, FIXTURE_TEXT_OFFSET, FIXTURE_TEXT_SIZE);
    expect_segment(t, FIXTURE_DATA_ADDR, FIXTURE_DATA_OFFSET, FIXTURE_DATA_SIZE);
    expect_segment(t, FIXTURE_PCPU_ADDR, FIXTURE_PCPU_OFFSET, FIXTURE_PCPU_SIZE);
    expect_zero(t, FIXTURE_PCPU_ADDR + FIXTURE_PCPU_SIZE, FIXTURE_END);
}

static void segments_come_to_their_addresses(void **state)
{
    static const enum payload_format formats[] = { PAYLOAD_GZIP, PAYLOAD_LZ4, PAYLOAD_ZSTD,
                                                   PAYLOAD_XZ, PAYLOAD_LZMA };
    struct test *t = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        memset(t->ram.host, 0xCC, TEST_RAM_SIZE);
        assert_true(plan(t, formats[i]));
        assert_true(t->unpack.possible);
        expect_run(t);
        expect_kernel(t);
    }
}

static void nothing_remains_of_the_file_around_them(void **state)
{
    struct test *t = *state;

    assert_true(plan(t, PAYLOAD_LZ4));
    expect_run(t);
    expect_zero(t, 0, FIXTURE_TEXT_ADDR);
    expect_zero(t, FIXTURE_TEXT_ADDR + FIXTURE_TEXT_SIZE, FIXTURE_DATA_ADDR);
    expect_zero(t, FIXTURE_PCPU_ADDR + FIXTURE_PCPU_SIZE, TEST_RAM_SIZE);
}

static void nothing_outside_of_the_claimed_memory_is_written(void **state)
{
    struct test *t = *state;

    memset(t->ram.host, 0xCC, TEST_RAM_SIZE);
    assert_true(plan(t, PAYLOAD_GZIP));
    expect_run(t);
    for (gpa at = 0; at < t->unpack.base; at++)
        assert_int_equal(t->ram.host[at], 0xCC);
    for (gpa at = linux_end(&t->header); at < TEST_RAM_SIZE; at++)
        assert_int_equal(t->ram.host[at], 0xCC);
}

static void unpacking_again_repairs_what_the_guest_wrote(void **state)
{
    struct test *t = *state;

    assert_true(plan(t, PAYLOAD_LZ4));
    expect_run(t);
    memset(t->ram.host + MIB(1), 0x90, TEST_RAM_SIZE - MIB(1));
    expect_run(t);
    expect_kernel(t);
}

static void count_code_write(void *arg, u64 offset, u64 size)
{
    unsigned *hits = arg;

    (void)offset;
    (void)size;
    ++*hits;
}

static void decoded_code_is_dropped(void **state)
{
    struct test *t = *state;
    unsigned hits = 0;

    atomic_store(&t->ram.code_pages[FIXTURE_TEXT_ADDR / RAM_PAGE_SIZE], 1);
    ram_on_code_write(&t->ram, count_code_write, &hits);
    assert_true(plan(t, PAYLOAD_LZ4));
    assert_int_equal(hits, 0);
    expect_run(t);
    assert_true(hits > 0);
}

static void other_formats_are_for_the_kernel(void **state)
{
    static const u8 bzip2[64] = "BZh91AY&SY";
    struct test *t = *state;

    t->kernel = fixture_bzimage(bzip2, sizeof(bzip2));
    assert_true(linux_parse(&t->header, t->kernel.data, t->kernel.size, &t->err));
    assert_true(unpack_plan(&t->unpack, &t->header, t->kernel.data, &t->err));
    assert_false(t->unpack.possible);
    assert_string_equal(t->unpack.reason.text, "its format is BZIP2");
}

static void kernels_without_payload_are_for_themselves(void **state)
{
    struct test *t = *state;

    assert_true(plan(t, PAYLOAD_LZ4));
    t->header.payload_size = 0;
    assert_true(unpack_plan(&t->unpack, &t->header, t->kernel.data, &t->err));
    assert_false(t->unpack.possible);
}

static void unusual_kernels_are_for_themselves(void **state)
{
    static const struct {
        size_t at;
        unsigned size;
        u64 value;
        const char *word;
    } cases[] = {
        { 0, 4, 0, "ELF" },
        { EI_CLASS, 1, ELFCLASS32, "" },
        { offsetof(Elf64_Ehdr, e_entry), 8, 0xFFFFFFFF81000000, "entry point" },
        { offsetof(Elf64_Ehdr, e_entry), 8, FIXTURE_PCPU_ADDR + FIXTURE_PCPU_SIZE, "entry point" },
        { PHDR_AT(2, p_memsz), 8, FIXTURE_INIT_SIZE, "claims" },
        { PHDR_AT(2, p_paddr), 8, 0x2000000, "claims" },
        { PHDR_AT(1, p_paddr), 8, 0x9000, "claims" },
        { PHDR_AT(2, p_offset), 8, FIXTURE_TEXT_OFFSET, "order" },
        { PHDR_AT(2, p_offset), 8, FIXTURE_DATA_OFFSET + FIXTURE_DATA_SIZE - 1, "order" },
    };
    struct test *t = *state;
    u8 saved[4096];

    memcpy(saved, t->vmlinux.data, sizeof(saved));
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        memcpy(t->vmlinux.data + cases[i].at, &cases[i].value, cases[i].size);
        expect_declined(t, cases[i].word);
        memcpy(t->vmlinux.data, saved, sizeof(saved));
    }
}

static void kernels_that_claim_too_little_memory_are_for_themselves(void **state)
{
    struct test *t = *state;

    assert_true(plan(t, PAYLOAD_LZ4));
    t->header.init_size = FIXTURE_END - FIXTURE_TEXT_ADDR;
    assert_true(unpack_plan(&t->unpack, &t->header, t->kernel.data, &t->err));
    assert_false(t->unpack.possible);
    assert_non_null(strstr(t->unpack.reason.text, "no room"));
}

static void a_32_bit_entry_only_is_for_the_kernel(void **state)
{
    struct test *t = *state;

    assert_true(plan(t, PAYLOAD_LZ4));
    t->header.entry_64 = false;
    assert_true(unpack_plan(&t->unpack, &t->header, t->kernel.data, &t->err));
    assert_false(t->unpack.possible);
    assert_string_equal(t->unpack.reason.text, "not a 64-bit kernel");
}

static void a_segment_of_zeros_alone_may_be_anywhere_in_the_file(void **state)
{
    struct test *t = *state;

    fixture_put64(&t->vmlinux, PHDR_AT(2, p_filesz), 0);
    fixture_put64(&t->vmlinux, PHDR_AT(2, p_offset), 0);
    memset(t->ram.host, 0xCC, TEST_RAM_SIZE);
    assert_true(plan(t, PAYLOAD_LZ4));
    assert_true(t->unpack.possible);
    expect_run(t);
    expect_segment(t, FIXTURE_DATA_ADDR, FIXTURE_DATA_OFFSET, FIXTURE_DATA_SIZE);
    expect_zero(t, FIXTURE_PCPU_ADDR, FIXTURE_END);
}

static void payloads_that_are_not_what_they_claim_are_refused(void **state)
{
    struct test *t = *state;

    assert_true(plan(t, PAYLOAD_LZ4));
    t->unpack.payload.unpacked_size++;
    assert_false(unpack_run(&t->unpack, &t->ram, &t->err));
    assert_non_null(strstr(t->err.text, "that it claims"));
    t->unpack.payload.unpacked_size -= 2;
    assert_false(unpack_run(&t->unpack, &t->ram, &t->err));
    assert_non_null(strstr(t->err.text, "that it claims"));
}

static void corrupt_payloads_are_refused(void **state)
{
    struct test *t = *state;

    assert_true(plan(t, PAYLOAD_XZ));
    memset(t->kernel.data + t->header.payload_offset + t->header.payload_size / 2, 0x55, 64);
    assert_false(unpack_run(&t->unpack, &t->ram, &t->err));
    assert_non_null(strstr(t->err.text, "XZ data is corrupt"));
    memset(t->kernel.data + t->header.payload_offset + 8, 0x55, 64);
    assert_false(unpack_plan(&t->unpack, &t->header, t->kernel.data, &t->err));
}

static void a_file_that_changed_since_the_plan_is_noticed(void **state)
{
    struct test *t = *state;
    struct unpack before;

    assert_true(plan(t, PAYLOAD_LZ4));
    before = t->unpack;
    fixture_put64(&t->vmlinux, PHDR_AT(0, p_paddr), FIXTURE_TEXT_ADDR + 0x1000);
    assert_true(plan(t, PAYLOAD_LZ4));
    before.payload = t->unpack.payload;
    assert_false(unpack_run(&before, &t->ram, &t->err));
    assert_non_null(strstr(t->err.text, "changes"));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(segments_come_to_their_addresses),
        TEST(nothing_remains_of_the_file_around_them),
        TEST(nothing_outside_of_the_claimed_memory_is_written),
        TEST(unpacking_again_repairs_what_the_guest_wrote),
        TEST(decoded_code_is_dropped),
        TEST(other_formats_are_for_the_kernel),
        TEST(kernels_without_payload_are_for_themselves),
        TEST(unusual_kernels_are_for_themselves),
        TEST(kernels_that_claim_too_little_memory_are_for_themselves),
        TEST(a_32_bit_entry_only_is_for_the_kernel),
        TEST(a_segment_of_zeros_alone_may_be_anywhere_in_the_file),
        TEST(payloads_that_are_not_what_they_claim_are_refused),
        TEST(corrupt_payloads_are_refused),
        TEST(a_file_that_changed_since_the_plan_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
