/* SPDX-License-Identifier: MIT */
/* Kernels made by hand for the tests of src/boot: an ELF file, its compressed forms, a bzImage around it. */
#pragma once

#include "base/types.h"
#include "boot/decompress.h"

struct blob {
    u8 *data; /* malloc */
    size_t size;
};

/* Where the pieces of fixture_vmlinux are. */
#define FIXTURE_TEXT_ADDR   0x1000000u
#define FIXTURE_TEXT_OFFSET 0x200000u
#define FIXTURE_TEXT_SIZE   0x5000u
#define FIXTURE_DATA_ADDR   0x1200000u
#define FIXTURE_DATA_OFFSET 0x400000u
#define FIXTURE_DATA_SIZE   0x3000u
#define FIXTURE_PCPU_ADDR   0x1203000u
#define FIXTURE_PCPU_OFFSET 0x600000u
#define FIXTURE_PCPU_SIZE   0x1800u
#define FIXTURE_PCPU_MEMORY 0x21000u
#define FIXTURE_END         (FIXTURE_PCPU_ADDR + FIXTURE_PCPU_MEMORY)
#define FIXTURE_SIZE        0x610000u /* of the file: relocations follow the segments */
#define FIXTURE_PVH_ENTRY   (FIXTURE_TEXT_ADDR + 0x850)
#define FIXTURE_NOTE_OFFSET (FIXTURE_TEXT_OFFSET + 0x4000)
#define FIXTURE_PARAM_AT    0x3000u /* of the text segment: where `param` is put */
#define FIXTURE_INIT_SIZE   0x800000u

/*
 * A 64-bit ELF file with the layout of a vmlinux: three PT_LOAD, the last of which is not where its offset
 * would put it, and a PT_NOTE with a Xen PVH note. `param` (may be NULL) is a string in its text.
 */
struct blob fixture_vmlinux(const char *param);

/* The byte of the fixture's file at `offset`, where nothing special is. */
u8 fixture_byte(u64 offset);

/* Compress, with the size appended where kernels do that. */
struct blob fixture_compress(enum payload_format format, const u8 *data, size_t size);

/* A bzImage of protocol 2.15 whose payload is `payload`; frees nothing. */
struct blob fixture_bzimage(const u8 *payload, size_t size);

/* A bzImage of a compressed fixture_vmlinux. */
struct blob fixture_kernel(enum payload_format format, const char *param);

/* Write a blob to a new file, whose name is returned; fixture_remove deletes both. */
char *fixture_file(const struct blob *blob);
void fixture_remove(char *path);

/* Little-endian stores into blobs. */
void fixture_put16(struct blob *blob, size_t offset, u16 value);
void fixture_put32(struct blob *blob, size_t offset, u32 value);
void fixture_put64(struct blob *blob, size_t offset, u64 value);
