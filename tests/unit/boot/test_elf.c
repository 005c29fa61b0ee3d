/* SPDX-License-Identifier: MIT */
/* ELF parsing: good files, and every way in which a file can be bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "boot/elf.h"
#include "unit/boot/fixture.h"

#define PHDR(n)           (sizeof(Elf64_Ehdr) + (n) * sizeof(Elf64_Phdr))
#define EHDR_AT(field)    offsetof(Elf64_Ehdr, field)
#define PHDR_AT(n, field) (PHDR(n) + offsetof(Elf64_Phdr, field))

static int setup(void **state)
{
    struct blob *blob = malloc(sizeof(*blob));

    *blob = fixture_vmlinux(NULL);
    *state = blob;
    return 0;
}

static int teardown(void **state)
{
    struct blob *blob = *state;

    free(blob->data);
    free(blob);
    return 0;
}

static void expect_good(const struct blob *blob, struct elf *elf)
{
    struct error err = { "" };

    if (!elf_parse(elf, blob->data, blob->size, blob->size, &err))
        fail_msg("%s", err.text);
}

static void expect_bad(const struct blob *blob, const char *word)
{
    struct error err = { "" };
    struct elf elf;

    assert_false(elf_parse(&elf, blob->data, blob->size, blob->size, &err));
    if (!strstr(err.text, word))
        fail_msg("'%s' lacks '%s'", err.text, word);
}

static void segments_are_found_in_order(void **state)
{
    struct blob *blob = *state;
    struct elf elf;

    expect_good(blob, &elf);
    assert_true(elf.is_64);
    assert_int_equal(elf.entry, FIXTURE_TEXT_ADDR);
    assert_int_equal(elf.segment_count, 3);
    assert_int_equal(elf.segments[0].base, FIXTURE_TEXT_ADDR);
    assert_int_equal(elf.segments[0].offset, FIXTURE_TEXT_OFFSET);
    assert_int_equal(elf.segments[2].file_size, FIXTURE_PCPU_SIZE);
    assert_int_equal(elf.segments[2].memory_size, FIXTURE_PCPU_MEMORY);
    assert_int_equal(elf_end(&elf), FIXTURE_END);
}

static void unsorted_segments_are_sorted_by_address(void **state)
{
    struct blob *blob = *state;
    Elf64_Phdr a, b;
    struct elf elf;

    memcpy(&a, blob->data + PHDR(0), sizeof(a));
    memcpy(&b, blob->data + PHDR(2), sizeof(b));
    memcpy(blob->data + PHDR(0), &b, sizeof(b));
    memcpy(blob->data + PHDR(2), &a, sizeof(a));
    expect_good(blob, &elf);
    assert_int_equal(elf.segments[0].base, FIXTURE_TEXT_ADDR);
    assert_int_equal(elf.segments[1].base, FIXTURE_DATA_ADDR);
    assert_int_equal(elf.segments[2].base, FIXTURE_PCPU_ADDR);
}

static void the_head_of_the_file_is_enough(void **state)
{
    struct blob *blob = *state;
    struct error err;
    struct elf elf;

    assert_true(elf_parse(&elf, blob->data, 4096, blob->size, &err));
    assert_true(elf_parse(&elf, blob->data, PHDR(4), blob->size, &err));
    assert_false(elf_parse(&elf, blob->data, PHDR(4) - 1, blob->size, &err));
}

static void contains_means_bytes_from_the_file(void **state)
{
    struct elf elf;

    expect_good(*state, &elf);
    assert_true(elf_contains(&elf, FIXTURE_TEXT_ADDR));
    assert_true(elf_contains(&elf, FIXTURE_TEXT_ADDR + FIXTURE_TEXT_SIZE - 1));
    assert_false(elf_contains(&elf, FIXTURE_TEXT_ADDR + FIXTURE_TEXT_SIZE));
    assert_false(elf_contains(&elf, FIXTURE_PCPU_ADDR + FIXTURE_PCPU_SIZE)); /* zeroed */
    assert_false(elf_contains(&elf, 0));
    assert_false(elf_contains(&elf, UINT64_MAX));
}

static void empty_segments_are_left_out(void **state)
{
    struct blob *blob = *state;
    struct elf elf;

    fixture_put64(blob, PHDR_AT(1, p_filesz), 0);
    fixture_put64(blob, PHDR_AT(1, p_memsz), 0);
    expect_good(blob, &elf);
    assert_int_equal(elf.segment_count, 2);
}

static void class_32_is_parsed_by_its_own_layout(void **state)
{
    struct blob blob = { calloc(1, 0x2000), 0x2000 };
    Elf32_Ehdr eh = { .e_ident = { 0x7F, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
                      .e_type = ET_EXEC,
                      .e_machine = EM_386,
                      .e_entry = 0x100004,
                      .e_phoff = sizeof(Elf32_Ehdr),
                      .e_phentsize = sizeof(Elf32_Phdr),
                      .e_phnum = 1 };
    Elf32_Phdr ph = { .p_type = PT_LOAD,
                      .p_offset = 0x1000,
                      .p_paddr = 0x100000,
                      .p_filesz = 0x800,
                      .p_memsz = 0xFFF00000 };
    struct elf elf;

    (void)state;
    memcpy(blob.data, &eh, sizeof(eh));
    memcpy(blob.data + sizeof(eh), &ph, sizeof(ph));
    expect_good(&blob, &elf);
    assert_false(elf.is_64);
    assert_int_equal(elf.entry, 0x100004);
    assert_int_equal(elf_end(&elf), 0x100000000); /* no 32-bit arithmetic */
    blob.size = sizeof(eh) - 1;
    expect_bad(&blob, "cut off");
    free(blob.data);
}

static void headers_that_are_not_ours_are_refused(void **state)
{
    static const struct {
        size_t at;
        unsigned size;
        u64 value;
        const char *word;
    } cases[] = {
        { 0, 1, 0x7E, "cut off" },
        { EI_CLASS, 1, 3, "class 3" },
        { EI_CLASS, 1, 0, "class 0" },
        { EI_DATA, 1, ELFDATA2MSB, "big-endian" },
        { EI_VERSION, 1, 2, "version 2" },
        { EHDR_AT(e_machine), 2, EM_AARCH64, "machine 183" },
        { EHDR_AT(e_type), 2, ET_REL, "type 1" },
        { EHDR_AT(e_type), 2, ET_CORE, "type 4" },
        { EHDR_AT(e_phnum), 2, 0, "without program headers" },
        { EHDR_AT(e_phentsize), 2, 32, "32 bytes" },
        { EHDR_AT(e_phoff), 8, FIXTURE_SIZE, "cut off" },
        { EHDR_AT(e_phoff), 8, FIXTURE_SIZE - 56 * 4 + 1, "cut off" },
        { EHDR_AT(e_phoff), 8, UINT64_MAX, "cut off" },
        { EHDR_AT(e_phoff), 8, UINT64_MAX - 100, "cut off" },
        { EHDR_AT(e_phnum), 2, 0xFFFF, "" },
        { PHDR_AT(0, p_offset), 8, FIXTURE_SIZE, "needs" },
        { PHDR_AT(0, p_offset), 8, UINT64_MAX, "needs" },
        { PHDR_AT(0, p_filesz), 8, FIXTURE_SIZE, "needs" },
        { PHDR_AT(0, p_filesz), 8, UINT64_MAX, "needs" },
        { PHDR_AT(0, p_filesz), 8, FIXTURE_TEXT_SIZE + 1, "larger in the file" },
        { PHDR_AT(0, p_memsz), 8, FIXTURE_TEXT_SIZE - 1, "larger in the file" },
        { PHDR_AT(2, p_memsz), 8, UINT64_MAX, "2^64" },
        { PHDR_AT(2, p_paddr), 8, UINT64_MAX - 0x20000, "2^64" },
        { PHDR_AT(0, p_memsz), 8, FIXTURE_DATA_ADDR - FIXTURE_TEXT_ADDR + 1, "overlap" },
        { PHDR_AT(1, p_paddr), 8, FIXTURE_TEXT_ADDR, "overlap" },
        { PHDR_AT(1, p_paddr), 8, FIXTURE_PCPU_ADDR + 0x20FFF, "overlap" },
        { PHDR_AT(3, p_offset), 8, FIXTURE_SIZE - 47, "needs" },
        { PHDR_AT(3, p_filesz), 8, UINT64_MAX, "needs" },
    };
    struct blob *blob = *state;
    u8 saved[4096];

    memcpy(saved, blob->data, sizeof(saved));
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        memcpy(blob->data + cases[i].at, &cases[i].value, cases[i].size);
        expect_bad(blob, cases[i].word);
        memcpy(blob->data, saved, sizeof(saved));
    }
}

static void touching_segments_do_not_overlap(void **state)
{
    struct blob *blob = *state;
    struct elf elf;

    fixture_put64(blob, PHDR_AT(0, p_memsz), FIXTURE_DATA_ADDR - FIXTURE_TEXT_ADDR);
    expect_good(blob, &elf);
}

static void files_cut_anywhere_in_the_headers_are_refused(void **state)
{
    struct blob cut = *(struct blob *)*state;

    for (cut.size = 0; cut.size < PHDR(4); cut.size++) {
        /* A copy of exactly that size lets the sanitizer see a read too far. */
        struct blob exact = { malloc(cut.size ? cut.size : 1), cut.size };

        memcpy(exact.data, cut.data, cut.size);
        expect_bad(&exact, "cut off");
        free(exact.data);
    }
}

static void too_many_segments_are_refused(void **state)
{
    struct blob *blob = *state;
    Elf64_Phdr ph = { .p_type = PT_LOAD, .p_memsz = 1 };

    fixture_put16(blob, EHDR_AT(e_phnum), ELF_SEGMENTS_MAX + 1);
    for (unsigned i = 0; i <= ELF_SEGMENTS_MAX; i++) {
        ph.p_paddr = 0x100000 + i;
        memcpy(blob->data + PHDR(i), &ph, sizeof(ph));
    }
    expect_bad(blob, "more than 32");
}

static void nothing_to_load_is_refused(void **state)
{
    struct blob *blob = *state;

    for (unsigned i = 0; i < 3; i++)
        fixture_put32(blob, PHDR_AT(i, p_type), PT_NULL);
    expect_bad(blob, "nothing to load");
}

static i64 find(const struct blob *blob, const char *name, u32 type, u64 *value)
{
    struct elf elf;

    *value = 0;
    expect_good(blob, &elf);
    return elf_find_note(&elf, blob->data, blob->size, name, type, value, sizeof(*value));
}

static void notes_are_found_by_name_and_type(void **state)
{
    u64 value;

    assert_int_equal(find(*state, "Xen", 18, &value), 8);
    assert_int_equal(value, FIXTURE_PVH_ENTRY);
    assert_int_equal(find(*state, "Xen", 5, &value), 6); /* its padding is stepped over */
    assert_memory_equal(&value, "linux", 6);
    assert_int_equal(find(*state, "Xen", 6, &value), -1);
    assert_int_equal(find(*state, "Xem", 18, &value), -1);
    assert_int_equal(find(*state, "Xe", 18, &value), -1);
    assert_int_equal(find(*state, "Xen0", 18, &value), -1);
}

static void descriptors_are_cut_to_the_buffer(void **state)
{
    struct blob *blob = *state;
    u8 value[4] = { 0xAA, 0xAA, 0xAA, 0xAA };
    struct elf elf;

    expect_good(blob, &elf);
    assert_int_equal(elf_find_note(&elf, blob->data, blob->size, "Xen", 18, value, 2), 8);
    assert_int_equal(value[0], FIXTURE_PVH_ENTRY & 0xFF);
    assert_int_equal(value[2], 0xAA);
}

static void notes_that_run_over_are_not_read(void **state)
{
    static const struct {
        unsigned at;
        u32 value;
    } cases[] = {
        { 0, 0xFFFFFFFF }, { 4, 0xFFFFFFFF }, { 24, 0xFFFFFFFF }, { 28, 0xFFFFFFFF },
        { 28, 9 },         { 0, 100 },        { 24, 32 },
    };
    struct blob *blob = *state;
    u8 saved[48];
    u64 value;

    memcpy(saved, blob->data + FIXTURE_NOTE_OFFSET, sizeof(saved));
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        fixture_put32(blob, FIXTURE_NOTE_OFFSET + cases[i].at, cases[i].value);
        assert_int_equal(find(blob, "Xen", 18, &value), -1);
        memcpy(blob->data + FIXTURE_NOTE_OFFSET, saved, sizeof(saved));
    }
    for (unsigned size = 0; size < 48; size++) {
        fixture_put64(blob, PHDR_AT(3, p_filesz), size);
        assert_int_equal(find(blob, "Xen", 18, &value), -1);
    }
}

static void notes_outside_of_a_changed_file_are_not_read(void **state)
{
    struct blob *blob = *state;
    struct elf elf;
    u64 value;

    expect_good(blob, &elf);
    assert_int_equal(
        elf_find_note(&elf, blob->data, FIXTURE_NOTE_OFFSET + 47, "Xen", 18, &value, 8), -1);
    assert_int_equal(elf_find_note(&elf, blob->data, 100, "Xen", 18, &value, 8), -1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(segments_are_found_in_order),
        TEST(unsorted_segments_are_sorted_by_address),
        TEST(the_head_of_the_file_is_enough),
        TEST(contains_means_bytes_from_the_file),
        TEST(empty_segments_are_left_out),
        TEST(class_32_is_parsed_by_its_own_layout),
        TEST(headers_that_are_not_ours_are_refused),
        TEST(touching_segments_do_not_overlap),
        TEST(files_cut_anywhere_in_the_headers_are_refused),
        TEST(too_many_segments_are_refused),
        TEST(nothing_to_load_is_refused),
        TEST(notes_are_found_by_name_and_type),
        TEST(descriptors_are_cut_to_the_buffer),
        TEST(notes_that_run_over_are_not_read),
        TEST(notes_outside_of_a_changed_file_are_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
