/* SPDX-License-Identifier: MIT */
/* Kernels made by hand. */
#include "unit/boot/fixture.h"

#include <assert.h>
#include <elf.h>
#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "base/bytes.h"

#define FIXTURE_SETUP_SECTORS 4u
#define FIXTURE_STUB_SIZE     0x400u /* code before the payload */

void fixture_put16(struct blob *blob, size_t offset, u16 value)
{
    assert(offset + 2 <= blob->size);
    store_le16(blob->data + offset, value);
}

void fixture_put32(struct blob *blob, size_t offset, u32 value)
{
    assert(offset + 4 <= blob->size);
    store_le32(blob->data + offset, value);
}

void fixture_put64(struct blob *blob, size_t offset, u64 value)
{
    assert(offset + 8 <= blob->size);
    store_le64(blob->data + offset, value);
}

u8 fixture_byte(u64 offset)
{
    return (u8)(offset * 31 ^ offset >> 8 ^ offset >> 13);
}

static void fixture_phdr(struct blob *blob, unsigned n, u32 type, u64 offset, u64 paddr, u64 filesz,
                         u64 memsz)
{
    size_t at = sizeof(Elf64_Ehdr) + n * sizeof(Elf64_Phdr);
    Elf64_Phdr ph = { .p_type = type,
                      .p_offset = offset,
                      .p_paddr = paddr,
                      .p_filesz = filesz,
                      .p_memsz = memsz,
                      .p_align = type == PT_NOTE ? 4 : MIB(2) };

    memcpy(blob->data + at, &ph, sizeof(ph));
}

static void fixture_fill(struct blob *blob, u64 offset, u64 size)
{
    for (u64 i = offset; i < offset + size; i++)
        blob->data[i] = fixture_byte(i);
}

/* One note of another kind, then the PVH note with an 8-byte descriptor. */
static void fixture_notes(struct blob *blob)
{
    static const u8 notes[] = {
        4, 0, 0, 0, 6, 0, 0, 0, 5,  0, 0, 0, 'X', 'e', 'n', 0, 'l', 'i', 'n', 'u', 'x', 0, 0, 0,
        4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0, 0,   0,   0,   0,   0,   0, 0, 0,
    };

    memcpy(blob->data + FIXTURE_NOTE_OFFSET, notes, sizeof(notes));
    fixture_put64(blob, FIXTURE_NOTE_OFFSET + sizeof(notes) - 8, FIXTURE_PVH_ENTRY);
}

struct blob fixture_vmlinux(const char *param)
{
    struct blob blob = { calloc(1, FIXTURE_SIZE), FIXTURE_SIZE };
    Elf64_Ehdr eh = { .e_ident = { 0x7F, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                      .e_type = ET_EXEC,
                      .e_machine = EM_X86_64,
                      .e_version = EV_CURRENT,
                      .e_entry = FIXTURE_TEXT_ADDR,
                      .e_phoff = sizeof(Elf64_Ehdr),
                      .e_ehsize = sizeof(Elf64_Ehdr),
                      .e_phentsize = sizeof(Elf64_Phdr),
                      .e_phnum = 4 };

    memcpy(blob.data, &eh, sizeof(eh));
    fixture_phdr(&blob, 0, PT_LOAD, FIXTURE_TEXT_OFFSET, FIXTURE_TEXT_ADDR, FIXTURE_TEXT_SIZE,
                 FIXTURE_TEXT_SIZE);
    fixture_phdr(&blob, 1, PT_LOAD, FIXTURE_DATA_OFFSET, FIXTURE_DATA_ADDR, FIXTURE_DATA_SIZE,
                 FIXTURE_DATA_SIZE);
    fixture_phdr(&blob, 2, PT_LOAD, FIXTURE_PCPU_OFFSET, FIXTURE_PCPU_ADDR, FIXTURE_PCPU_SIZE,
                 FIXTURE_PCPU_MEMORY);
    fixture_phdr(&blob, 3, PT_NOTE, FIXTURE_NOTE_OFFSET, 0, 48, 48);
    fixture_fill(&blob, FIXTURE_TEXT_OFFSET, FIXTURE_TEXT_SIZE);
    fixture_fill(&blob, FIXTURE_DATA_OFFSET, FIXTURE_DATA_SIZE);
    fixture_fill(&blob, FIXTURE_PCPU_OFFSET, FIXTURE_SIZE - FIXTURE_PCPU_OFFSET);
    fixture_notes(&blob);
    if (param)
        memcpy(blob.data + FIXTURE_TEXT_OFFSET + FIXTURE_PARAM_AT, param, strlen(param) + 1);
    return blob;
}

static size_t fixture_gzip(u8 *out, size_t room, const u8 *data, size_t size)
{
    z_stream z = { 0 };

    assert(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static size_t fixture_lz4(u8 *out, size_t room, const u8 *data, size_t size)
{
    size_t used = 4;

    store_le32(out, 0x184C2102);
    for (size_t at = 0; at < size; at += MIB(8)) {
        int n = LZ4_compress_default((const char *)data + at, (char *)out + used + 4,
                                     (int)MIN(size - at, MIB(8)), (int)(room - used - 4));

        assert(n > 0);
        store_le32(out + used, (u32)n);
        used += 4 + (size_t)n;
    }
    return used;
}

/* As by a pipe: without the content size in the frame header. */
static size_t fixture_zstd(u8 *out, size_t room, const u8 *data, size_t size)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    size_t n;

    ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, 24);
    n = ZSTD_compress2(ctx, out, room, data, size);
    assert(!ZSTD_isError(n));
    ZSTD_freeCCtx(ctx);
    return n;
}

static size_t fixture_lzma(enum payload_format format, u8 *out, size_t room, const u8 *data,
                           size_t size)
{
    lzma_stream z = LZMA_STREAM_INIT;
    lzma_options_lzma options;
    lzma_ret ret;

    lzma_lzma_preset(&options, 1);
    if (format == PAYLOAD_XZ)
        ret = lzma_easy_encoder(&z, 1, LZMA_CHECK_CRC32);
    else
        ret = lzma_alone_encoder(&z, &options);
    assert(ret == LZMA_OK);
    z.next_in = data;
    z.avail_in = size;
    z.next_out = out;
    z.avail_out = room;
    assert(lzma_code(&z, LZMA_FINISH) == LZMA_STREAM_END);
    lzma_end(&z);
    return z.total_out;
}

struct blob fixture_compress(enum payload_format format, const u8 *data, size_t size)
{
    size_t room = size + size / 8 + 4096;
    struct blob blob = { calloc(1, room), 0 };

    if (format == PAYLOAD_GZIP)
        blob.size = fixture_gzip(blob.data, room, data, size);
    else if (format == PAYLOAD_LZ4)
        blob.size = fixture_lz4(blob.data, room, data, size);
    else if (format == PAYLOAD_ZSTD)
        blob.size = fixture_zstd(blob.data, room, data, size);
    else
        blob.size = fixture_lzma(format, blob.data, room, data, size);
    if (format != PAYLOAD_GZIP) {
        blob.size += 4;
        fixture_put32(&blob, blob.size - 4, (u32)size);
    }
    return blob;
}

struct blob fixture_bzimage(const u8 *payload, size_t size)
{
    size_t setup = (FIXTURE_SETUP_SECTORS + 1) * 512;
    struct blob blob = { calloc(1, setup + FIXTURE_STUB_SIZE + size + 64),
                         setup + FIXTURE_STUB_SIZE + size + 64 };

    blob.data[0x1F1] = FIXTURE_SETUP_SECTORS;
    fixture_put16(&blob, 0x1FE, 0xAA55);
    fixture_put16(&blob, 0x200, 0x6AEB);
    fixture_put32(&blob, 0x202, 0x53726448);
    fixture_put16(&blob, 0x206, 0x020F);
    blob.data[0x211] = 1; /* LOADED_HIGH */
    fixture_put32(&blob, 0x214, 0x100000);
    fixture_put32(&blob, 0x22C, 0x7FFFFFFF);
    fixture_put32(&blob, 0x230, (u32)MIB(2));
    blob.data[0x234] = 1; /* relocatable */
    blob.data[0x235] = 21;
    fixture_put16(&blob, 0x236, 0x0003);
    fixture_put32(&blob, 0x238, 2047);
    fixture_put32(&blob, 0x248, FIXTURE_STUB_SIZE);
    fixture_put32(&blob, 0x24C, (u32)size);
    fixture_put64(&blob, 0x258, FIXTURE_TEXT_ADDR);
    fixture_put32(&blob, 0x260, FIXTURE_INIT_SIZE);
    for (size_t i = 0; i < FIXTURE_STUB_SIZE; i++)
        blob.data[setup + i] = fixture_byte(i);
    memcpy(blob.data + setup + FIXTURE_STUB_SIZE, payload, size);
    return blob;
}

struct blob fixture_kernel(enum payload_format format, const char *param)
{
    struct blob vmlinux = fixture_vmlinux(param);
    struct blob payload = fixture_compress(format, vmlinux.data, vmlinux.size);
    struct blob kernel = fixture_bzimage(payload.data, payload.size);

    free(vmlinux.data);
    free(payload.data);
    return kernel;
}

char *fixture_file(const struct blob *blob)
{
    char *path = strdup("/tmp/mote-test-boot-XXXXXX");
    int fd = mkstemp(path);

    assert(fd >= 0);
    assert(write(fd, blob->data, blob->size) == (ssize_t)blob->size);
    close(fd);
    return path;
}

void fixture_remove(char *path)
{
    unlink(path);
    free(path);
}
