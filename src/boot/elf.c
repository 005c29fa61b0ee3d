/* SPDX-License-Identifier: MIT */
/* ELF parsing. Chapter and field names are those of the System V ABI, "Object Files". */
#include "boot/elf.h"

#include <elf.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"

/* A program header of either class. */
struct elf_program_header {
    u32 type;
    u64 offset;
    u64 paddr;
    u64 filesz;
    u64 memsz;
    u64 align;
};

/* The file header of either class. */
struct elf_file_header {
    u16 type;
    u16 machine;
    u64 entry;
    u64 phoff;
    u16 phentsize;
    u16 phnum;
};

static bool elf_check_ident(const u8 *ident, u64 available, struct error *err)
{
    if (available < sizeof(Elf32_Ehdr) || memcmp(ident, ELFMAG, SELFMAG))
        return error_set(err, "the ELF header is cut off");
    if (ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64)
        return error_set(err, "ELF class %u is neither 32-bit nor 64-bit", ident[EI_CLASS]);
    if (ident[EI_CLASS] == ELFCLASS64 && available < sizeof(Elf64_Ehdr))
        return error_set(err, "the ELF header is cut off");
    if (ident[EI_DATA] != ELFDATA2LSB)
        return error_set(err, "a big-endian ELF file");
    if (ident[EI_VERSION] != EV_CURRENT)
        return error_set(err, "ELF version %u is not known", ident[EI_VERSION]);
    return true;
}

static struct elf_file_header elf_file_header(const u8 *data, bool is_64)
{
    if (is_64)
        return (struct elf_file_header){
            .type = load_le16(data + offsetof(Elf64_Ehdr, e_type)),
            .machine = load_le16(data + offsetof(Elf64_Ehdr, e_machine)),
            .entry = load_le64(data + offsetof(Elf64_Ehdr, e_entry)),
            .phoff = load_le64(data + offsetof(Elf64_Ehdr, e_phoff)),
            .phentsize = load_le16(data + offsetof(Elf64_Ehdr, e_phentsize)),
            .phnum = load_le16(data + offsetof(Elf64_Ehdr, e_phnum)),
        };
    return (struct elf_file_header){
        .type = load_le16(data + offsetof(Elf32_Ehdr, e_type)),
        .machine = load_le16(data + offsetof(Elf32_Ehdr, e_machine)),
        .entry = load_le32(data + offsetof(Elf32_Ehdr, e_entry)),
        .phoff = load_le32(data + offsetof(Elf32_Ehdr, e_phoff)),
        .phentsize = load_le16(data + offsetof(Elf32_Ehdr, e_phentsize)),
        .phnum = load_le16(data + offsetof(Elf32_Ehdr, e_phnum)),
    };
}

static struct elf_program_header elf_program_header(const u8 *data, bool is_64)
{
    if (is_64)
        return (struct elf_program_header){
            .type = load_le32(data + offsetof(Elf64_Phdr, p_type)),
            .offset = load_le64(data + offsetof(Elf64_Phdr, p_offset)),
            .paddr = load_le64(data + offsetof(Elf64_Phdr, p_paddr)),
            .filesz = load_le64(data + offsetof(Elf64_Phdr, p_filesz)),
            .memsz = load_le64(data + offsetof(Elf64_Phdr, p_memsz)),
            .align = load_le64(data + offsetof(Elf64_Phdr, p_align)),
        };
    return (struct elf_program_header){
        .type = load_le32(data + offsetof(Elf32_Phdr, p_type)),
        .offset = load_le32(data + offsetof(Elf32_Phdr, p_offset)),
        .paddr = load_le32(data + offsetof(Elf32_Phdr, p_paddr)),
        .filesz = load_le32(data + offsetof(Elf32_Phdr, p_filesz)),
        .memsz = load_le32(data + offsetof(Elf32_Phdr, p_memsz)),
        .align = load_le32(data + offsetof(Elf32_Phdr, p_align)),
    };
}

static bool elf_check_header(const struct elf_file_header *header, bool is_64, u64 available,
                             struct error *err)
{
    u64 entry_size = is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

    if (header->machine != EM_386 && header->machine != EM_X86_64)
        return error_set(err, "an ELF file for machine %u, not for x86", header->machine);
    if (header->type != ET_EXEC && header->type != ET_DYN)
        return error_set(err, "an ELF file of type %u, not an executable", header->type);
    if (header->phnum == 0)
        return error_set(err, "an ELF file without program headers");
    if (header->phentsize != entry_size)
        return error_set(err, "ELF program headers of %u bytes", header->phentsize);
    if (header->phoff > available || header->phnum * entry_size > available - header->phoff)
        return error_set(err, "the ELF program headers are cut off");
    return true;
}

/* Put a segment in its place in the sorted array. */
static bool elf_add_segment(struct elf *elf, const struct elf_program_header *ph, struct error *err)
{
    unsigned at = elf->segment_count;

    if (ph->filesz > ph->memsz)
        return error_set(err, "an ELF segment is larger in the file than in memory");
    if (ph->memsz > UINT64_MAX - ph->paddr)
        return error_set(err, "the ELF segment at 0x%llx does not fit below 2^64",
                         (unsigned long long)ph->paddr);
    if (at == ELF_SEGMENTS_MAX)
        return error_set(err, "more than %u ELF segments", ELF_SEGMENTS_MAX);
    for (; at > 0 && elf->segments[at - 1].base > ph->paddr; at--)
        elf->segments[at] = elf->segments[at - 1];
    elf->segments[at] = (struct elf_segment){ ph->offset, ph->filesz, ph->paddr, ph->memsz };
    elf->segment_count++;
    return true;
}

static bool elf_add(struct elf *elf, const struct elf_program_header *ph, u64 size,
                    struct error *err)
{
    if ((ph->type != PT_LOAD || ph->memsz == 0) && ph->type != PT_NOTE)
        return true;
    if (ph->offset > size || ph->filesz > size - ph->offset)
        return error_set(err, "the file is cut off: it needs %llu bytes at 0x%llx and has %llu",
                         (unsigned long long)ph->filesz, (unsigned long long)ph->offset,
                         (unsigned long long)size);
    if (ph->type == PT_LOAD)
        return elf_add_segment(elf, ph, err);
    if (elf->notes_count < ELF_NOTES_MAX)
        elf->notes[elf->notes_count++] =
            (struct elf_notes){ ph->offset, ph->filesz, ph->align == 8 ? 8 : 4 };
    return true;
}

static bool elf_check_segments(const struct elf *elf, struct error *err)
{
    if (!elf->segment_count)
        return error_set(err, "an ELF file with nothing to load");
    for (unsigned i = 1; i < elf->segment_count; i++) {
        const struct elf_segment *low = &elf->segments[i - 1], *high = &elf->segments[i];

        if (low->base + low->memory_size > high->base)
            return error_set(err, "the ELF segments at 0x%llx and 0x%llx overlap",
                             (unsigned long long)low->base, (unsigned long long)high->base);
    }
    return true;
}

bool elf_parse(struct elf *elf, const u8 *data, u64 available, u64 size, struct error *err)
{
    struct elf_file_header header;
    u64 entry_size;

    memset(elf, 0, sizeof(*elf));
    available = MIN(available, size);
    if (!elf_check_ident(data, available, err))
        return false;
    elf->is_64 = data[EI_CLASS] == ELFCLASS64;
    header = elf_file_header(data, elf->is_64);
    if (!elf_check_header(&header, elf->is_64, available, err))
        return false;
    elf->entry = header.entry;
    entry_size = elf->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    for (unsigned i = 0; i < header.phnum; i++) {
        struct elf_program_header ph =
            elf_program_header(data + header.phoff + i * entry_size, elf->is_64);

        if (!elf_add(elf, &ph, size, err))
            return false;
    }
    return elf_check_segments(elf, err);
}

gpa elf_end(const struct elf *elf)
{
    const struct elf_segment *last = &elf->segments[elf->segment_count - 1];

    return last->base + last->memory_size;
}

bool elf_contains(const struct elf *elf, gpa addr)
{
    for (unsigned i = 0; i < elf->segment_count; i++) {
        if (addr - elf->segments[i].base < elf->segments[i].file_size)
            return true;
    }
    return false;
}

/* One run of notes: 12 bytes of header, the name, the descriptor, each part padded to `align`. */
static i64 elf_scan_notes(const u8 *p, const struct elf_notes *notes, const char *name, u32 type,
                          void *descriptor, u64 capacity)
{
    u64 at = 0, name_size = strlen(name) + 1;

    while (notes->size - at >= sizeof(Elf64_Nhdr)) {
        u64 namesz = load_le32(p + at + offsetof(Elf64_Nhdr, n_namesz));
        u64 descsz = load_le32(p + at + offsetof(Elf64_Nhdr, n_descsz));
        u32 found = load_le32(p + at + offsetof(Elf64_Nhdr, n_type));
        u64 name_at = at + sizeof(Elf64_Nhdr);
        u64 desc_at = at + align_up(sizeof(Elf64_Nhdr) + namesz, notes->align);

        if (desc_at > notes->size || descsz > notes->size - desc_at)
            return -1; /* cut off: nothing after it can be trusted */
        if (found == type && namesz == name_size && !memcmp(p + name_at, name, name_size)) {
            memcpy(descriptor, p + desc_at, MIN(descsz, capacity));
            return (i64)descsz;
        }
        at = MIN(desc_at + align_up(descsz, notes->align), notes->size);
    }
    return -1;
}

i64 elf_find_note(const struct elf *elf, const u8 *data, u64 size, const char *name, u32 type,
                  void *descriptor, u64 capacity)
{
    for (unsigned i = 0; i < elf->notes_count; i++) {
        const struct elf_notes *notes = &elf->notes[i];
        i64 found;

        if (notes->offset > size || notes->size > size - notes->offset)
            continue; /* the file is not the one that was parsed */
        found = elf_scan_notes(data + notes->offset, notes, name, type, descriptor, capacity);
        if (found >= 0)
            return found;
    }
    return -1;
}
