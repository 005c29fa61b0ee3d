/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as an ELF kernel: the parser stays in the file, and what it lets through keeps its promises.
 *
 * Input: how much of the file is there at first, then the file. With -DFUZZ_MAIN, a smoke run.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "boot/elf.h"
#include "boot/pvh.h"
#include "fuzz/smoke.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(bool condition)
{
    if (!condition)
        abort();
}

static void fuzz_check(const struct elf *elf, u64 size)
{
    gpa end = 0;

    fuzz_require(elf->segment_count > 0 && elf->segment_count <= ELF_SEGMENTS_MAX);
    fuzz_require(elf->notes_count <= ELF_NOTES_MAX);
    for (unsigned i = 0; i < elf->segment_count; i++) {
        const struct elf_segment *s = &elf->segments[i];

        fuzz_require(s->memory_size > 0 && s->file_size <= s->memory_size);
        fuzz_require(s->offset <= size && s->file_size <= size - s->offset);
        fuzz_require(s->base >= end && s->base + s->memory_size >= s->base);
        end = s->base + s->memory_size;
    }
    fuzz_require(elf_end(elf) == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u8 descriptor[16];
    struct error err;
    struct elf elf;
    u64 available;
    gpa entry;

    if (size < 4)
        return 0;
    available = load_le32(data);
    data += 4;
    size -= 4;
    if (!elf_parse(&elf, data, available, size, &err))
        return 0;
    fuzz_check(&elf, size);
    elf_find_note(&elf, data, size, "Xen", 18, descriptor, sizeof(descriptor));
    elf_find_note(&elf, data, size / 2, "", 0, descriptor, sizeof(descriptor));
    if (pvh_find_entry(&elf, data, size, &entry, &err))
        fuzz_require(entry <= UINT32_MAX && elf_contains(&elf, entry));
    return 0;
}

#ifdef FUZZ_MAIN
#define FUZZ_ROUNDS 50000
#define FUZZ_SIZE   2048u
#define FUZZ_NOTES  0x400u

static const u8 fuzz_notes[] = {
    4, 0, 0, 0, 4, 0, 0,  0, 6, 0, 0,   0,   'X', 'e', 'n',  0, 1,    2, 3, 4, 4, 0,
    0, 0, 8, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0,   0x10, 0, 0x10, 0, 0, 0, 0, 0,
};

/* A seed of each class, behind the four bytes that say that all of it is there. */
static void fuzz_seed64(u8 *seed)
{
    Elf64_Ehdr eh = { .e_ident = { 0x7F, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                      .e_type = ET_EXEC,
                      .e_machine = EM_X86_64,
                      .e_entry = 0x100000,
                      .e_phoff = sizeof(eh),
                      .e_phentsize = sizeof(Elf64_Phdr),
                      .e_phnum = 3 };
    Elf64_Phdr ph[3] = {
        { .p_type = PT_LOAD,
          .p_offset = 0x200,
          .p_paddr = 0x100000,
          .p_filesz = 64,
          .p_memsz = 4096 },
        { .p_type = PT_LOAD,
          .p_offset = 0x300,
          .p_paddr = 0x101000,
          .p_filesz = 64,
          .p_memsz = 64 },
        { .p_type = PT_NOTE, .p_offset = FUZZ_NOTES, .p_filesz = sizeof(fuzz_notes), .p_align = 4 },
    };

    memcpy(seed, &eh, sizeof(eh));
    memcpy(seed + sizeof(eh), ph, sizeof(ph));
    memcpy(seed + FUZZ_NOTES, fuzz_notes, sizeof(fuzz_notes));
}

static void fuzz_seed32(u8 *seed)
{
    Elf32_Ehdr eh = { .e_ident = { 0x7F, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
                      .e_type = ET_EXEC,
                      .e_machine = EM_386,
                      .e_entry = 0x100000,
                      .e_phoff = sizeof(eh),
                      .e_phentsize = sizeof(Elf32_Phdr),
                      .e_phnum = 2 };
    Elf32_Phdr ph[2] = {
        { .p_type = PT_LOAD,
          .p_offset = 0x200,
          .p_paddr = 0x100000,
          .p_filesz = 64,
          .p_memsz = 4096 },
        { .p_type = PT_NOTE, .p_offset = FUZZ_NOTES, .p_filesz = sizeof(fuzz_notes), .p_align = 4 },
    };

    memcpy(seed, &eh, sizeof(eh));
    memcpy(seed + sizeof(eh), ph, sizeof(ph));
    memcpy(seed + FUZZ_NOTES, fuzz_notes, sizeof(fuzz_notes));
}

int main(void)
{
    struct smoke smoke = { 88172645463325252 };
    u8 seed[4 + FUZZ_SIZE] = { 0xFF, 0xFF, 0xFF, 0xFF };

    fuzz_seed64(seed + 4);
    smoke_run(&smoke, LLVMFuzzerTestOneInput, seed, sizeof(seed), 256, FUZZ_ROUNDS);
    memset(seed + 4, 0, FUZZ_SIZE);
    fuzz_seed32(seed + 4);
    smoke_run(&smoke, LLVMFuzzerTestOneInput, seed, sizeof(seed), 256, FUZZ_ROUNDS);
    printf("%u inputs\n", 2 * FUZZ_ROUNDS);
    return 0;
}
#endif
