/* SPDX-License-Identifier: MIT */
/*
 * ELF executables, as kernels are: the segments to load, and notes (ELF gABI; all fields
 * untrusted).
 *
 * elf_parse copies what it checks, so that a file which changes underneath does no harm.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define ELF_SEGMENTS_MAX 32
#define ELF_NOTES_MAX    8

struct elf_segment {
    u64 offset; /* in the file */
    u64 file_size;
    gpa base;        /* physical address */
    u64 memory_size; /* at least file_size; the rest is zeroed */
};

struct elf_notes {
    u64 offset;
    u64 size;
    u64 align; /* of descriptors: 4 or 8 */
};

struct elf {
    bool is_64;
    gpa entry;
    unsigned segment_count; /* at least 1 */
    struct elf_segment
        segments[ELF_SEGMENTS_MAX]; /* by ascending address, without overlap, not empty */
    unsigned notes_count;
    struct elf_notes notes[ELF_NOTES_MAX];
};

/*
 * Parse the headers in [data, data + available) of a file of `size` bytes. Checks that segments
 * and notes lie in the file, and that segments neither wrap nor overlap. False and `err` (without
 * a prefix) when the file is not an x86 executable that can be loaded.
 */
bool elf_parse(struct elf *elf, const u8 *data, u64 available, u64 size, struct error *err)
    __attribute__((warn_unused_result));

/* End of the highest segment. */
gpa elf_end(const struct elf *elf);

/* Is `addr` among the bytes that a segment takes from the file? */
bool elf_contains(const struct elf *elf, gpa addr);

/*
 * Find the note of `name` and `type` in the file [data, data + size) that elf_parse saw. Up to
 * `capacity` bytes of its descriptor are copied; returns the descriptor's whole size, or -1 when
 * there is no such note.
 */
i64 elf_find_note(const struct elf *elf, const u8 *data, u64 size, const char *name, u32 type,
                  void *descriptor, u64 capacity);
