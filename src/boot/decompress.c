/* SPDX-License-Identifier: MIT */
/*
 * Decompression of a bzImage's payload by the formats that a kernel can be built with.
 *
 * Linux, Documentation/x86/boot.rst (payload_offset) names the magic numbers; all formats but gzip
 * have the unpacked size appended as a little-endian u32, and gzip ends in it anyway (RFC 1952).
 */
#include "boot/decompress.h"

#define ZLIB_CONST /* let zlib take const input */

#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "base/bytes.h"

#define PAYLOAD_TAIL_SIZE       4u

/*
 * The legacy frame of lz4 -l: a magic number, then blocks, each after its size
 * (lz4_Frame_format.md).
 */
#define PAYLOAD_LZ4_MAGIC       0x184C2102u
#define PAYLOAD_LZ4_BLOCK_SIZE  MIB(8) /* unpacked */

/* A payload may ask for no more than this as dictionary; kernels are built with 32 to 64 MiB. */
#define PAYLOAD_LZMA_MEMORY_MAX MIB(256)

/* Output while it grows. */
struct payload_out {
    u8 *data;
    u64 capacity;
    u64 size;
    bool whole;
};

typedef bool payload_unpack_fn(const struct payload *payload, struct payload_out *out,
                               struct error *err);

/* zlib and liblzma count in other types than u64. */
static unsigned payload_chunk(u64 size)
{
    return (unsigned)MIN(size, MIB(1024));
}

static bool payload_gzip(const struct payload *payload, struct payload_out *out, struct error *err)
{
    z_stream z = { 0 };
    u64 in = 0;
    int ret;

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) /* 16: gzip wrapper */
        return error_set(err, "no memory to unpack it");
    do {
        unsigned in_size = payload_chunk(payload->size - in);
        unsigned out_size = payload_chunk(out->capacity - out->size);

        z.next_in = payload->data + in;
        z.avail_in = in_size;
        z.next_out = out->data + out->size;
        z.avail_out = out_size;
        ret = inflate(&z, Z_NO_FLUSH);
        in += in_size - z.avail_in;
        out->size += out_size - z.avail_out;
    } while (ret == Z_OK); /* also when the output is full: the trailer may be all that is left */
    inflateEnd(&z);
    out->whole = ret == Z_STREAM_END;
    if (out->whole || (ret == Z_BUF_ERROR && out->size == out->capacity))
        return true;
    return error_set(err, "its GZIP data is corrupt");
}

/* One block; a block that does not fit is unpacked as far as it does. Returns the bytes, or -1. */
static int payload_lz4_block(const u8 *in, u64 in_size, u8 *out, u64 room, bool *whole)
{
    int limit = (int)MIN(room, PAYLOAD_LZ4_BLOCK_SIZE);
    const char *from = (const char *)in;
    int n = LZ4_decompress_safe(from, (char *)out, (int)in_size, limit);

    *whole = n >= 0;
    if (n < 0 && room < PAYLOAD_LZ4_BLOCK_SIZE) {
        n = LZ4_decompress_safe_partial(from, (char *)out, (int)in_size, limit, limit);
        if (n != limit)
            n = -1;
    }
    return n;
}

static bool payload_lz4(const struct payload *payload, struct payload_out *out, struct error *err)
{
    const u8 *in = payload->data, *end = in + payload->size;

    out->whole = true;
    while (out->whole && end - in >= 4) {
        u32 size = load_le32(in);
        int n;

        in += 4;
        if (size == PAYLOAD_LZ4_MAGIC) /* the first frame, or one more after it */
            continue;
        if (size > (u64)(end - in) || size > (u32)LZ4_COMPRESSBOUND(PAYLOAD_LZ4_BLOCK_SIZE))
            return error_set(err, "its LZ4 data is corrupt: a block of %u bytes", size);
        n = payload_lz4_block(in, size, out->data + out->size, out->capacity - out->size,
                              &out->whole);
        if (n < 0)
            return error_set(err, "its LZ4 data is corrupt");
        in += size;
        out->size += (u64)n;
    }
    return true;
}

/* All at once: the output is then the window too, which saves up to 128 MiB of memory. */
static bool payload_zstd_frame(const struct payload *payload, struct payload_out *out)
{
    size_t size = ZSTD_findFrameCompressedSize(payload->data, payload->size);
    size_t n;

    if (ZSTD_isError(size))
        return false;
    n = ZSTD_decompress(out->data, out->capacity, payload->data, size);
    if (ZSTD_isError(n))
        return false;
    out->size = n;
    out->whole = true;
    return true;
}

/* In pieces, for the beginning of a frame that does not fit. */
static bool payload_zstd_stream(const struct payload *payload, struct payload_out *out)
{
    ZSTD_inBuffer in = { payload->data, payload->size, 0 };
    ZSTD_outBuffer to = { out->data, out->capacity, 0 };
    ZSTD_DStream *z = ZSTD_createDStream();
    size_t ret = 1;

    while (z && ret != 0 && !ZSTD_isError(ret) && to.pos < to.size) {
        size_t before = in.pos + to.pos;

        ret = ZSTD_decompressStream(z, &to, &in);
        if (in.pos + to.pos == before)
            break; /* the input ends too early */
    }
    ZSTD_freeDStream(z);
    out->size = to.pos;
    return to.pos == to.size;
}

static bool payload_zstd(const struct payload *payload, struct payload_out *out, struct error *err)
{
    bool small = payload->unpacked_size > out->capacity;

    if ((!small && payload_zstd_frame(payload, out)) || payload_zstd_stream(payload, out))
        return true;
    return error_set(err, "its ZSTD data is corrupt");
}

static bool payload_lzma_run(lzma_stream *z, const struct payload *payload, struct payload_out *out,
                             struct error *err)
{
    lzma_ret ret;

    z->next_in = payload->data;
    z->avail_in = payload->size;
    z->next_out = out->data;
    z->avail_out = out->capacity;
    do {
        ret = lzma_code(z, LZMA_RUN);
    } while (ret == LZMA_OK); /* also when the output is full, as for gzip */
    out->size = out->capacity - z->avail_out;
    out->whole = ret == LZMA_STREAM_END;
    lzma_end(z);
    if (out->whole || (ret == LZMA_BUF_ERROR && out->size == out->capacity))
        return true;
    if (ret == LZMA_MEM_ERROR || ret == LZMA_MEMLIMIT_ERROR)
        return error_set(err, "no memory to unpack it");
    return error_set(err, "its %s data is corrupt", payload_name(payload->format));
}

static bool payload_xz(const struct payload *payload, struct payload_out *out, struct error *err)
{
    lzma_stream z = LZMA_STREAM_INIT;

    if (lzma_stream_decoder(&z, PAYLOAD_LZMA_MEMORY_MAX, 0) != LZMA_OK)
        return error_set(err, "no memory to unpack it");
    return payload_lzma_run(&z, payload, out, err);
}

static bool payload_lzma(const struct payload *payload, struct payload_out *out, struct error *err)
{
    lzma_stream z = LZMA_STREAM_INIT;

    if (lzma_alone_decoder(&z, PAYLOAD_LZMA_MEMORY_MAX) != LZMA_OK)
        return error_set(err, "no memory to unpack it");
    return payload_lzma_run(&z, payload, out, err);
}

static bool payload_copy(const struct payload *payload, struct payload_out *out, struct error *err)
{
    (void)err;
    out->size = MIN(payload->size, out->capacity);
    out->whole = out->size == payload->size;
    memcpy(out->data, payload->data, out->size);
    return true;
}

/*
 * By the first bytes. LZMA has no magic number: properties lc=3 lp=0 pb=2, and a dictionary of
 * whole KiB.
 */
static const struct payload_kind {
    enum payload_format format;
    const char *name;
    u8 magic_size;
    u8 magic[6];
    bool tail; /* the unpacked size is appended, and no part of the data */
    payload_unpack_fn *unpack;
} payload_kinds[] = {
    { PAYLOAD_UNKNOWN, "unknown", 0, { 0 }, false, NULL },
    { PAYLOAD_NONE, "uncompressed", 4, { 0x7F, 'E', 'L', 'F' }, false, payload_copy },
    { PAYLOAD_GZIP, "GZIP", 3, { 0x1F, 0x8B, 0x08 }, false, payload_gzip },
    { PAYLOAD_LZ4, "LZ4", 4, { 0x02, 0x21, 0x4C, 0x18 }, true, payload_lz4 },
    { PAYLOAD_ZSTD, "ZSTD", 4, { 0x28, 0xB5, 0x2F, 0xFD }, true, payload_zstd },
    { PAYLOAD_XZ, "XZ", 6, { 0xFD, '7', 'z', 'X', 'Z', 0x00 }, true, payload_xz },
    { PAYLOAD_LZMA, "LZMA", 3, { 0x5D, 0x00, 0x00 }, true, payload_lzma },
    { PAYLOAD_BZIP2, "BZIP2", 3, { 'B', 'Z', 'h' }, true, NULL },
    { PAYLOAD_LZO, "LZO", 4, { 0x89, 'L', 'Z', 'O' }, true, NULL },
};

static const struct payload_kind *payload_kind(enum payload_format format)
{
    for (size_t i = 0; i < ARRAY_SIZE(payload_kinds); i++) {
        if (payload_kinds[i].format == format)
            return &payload_kinds[i];
    }
    return &payload_kinds[0];
}

const char *payload_name(enum payload_format format)
{
    return payload_kind(format)->name;
}

bool payload_supported(enum payload_format format)
{
    return payload_kind(format)->unpack != NULL;
}

void payload_init(struct payload *payload, const u8 *data, u64 size)
{
    const struct payload_kind *kind = &payload_kinds[0];

    *payload = (struct payload){ PAYLOAD_UNKNOWN, data, size, 0 };
    if (size < sizeof(kind->magic) + PAYLOAD_TAIL_SIZE)
        return;
    for (size_t i = 1; i < ARRAY_SIZE(payload_kinds); i++) {
        if (!memcmp(data, payload_kinds[i].magic, payload_kinds[i].magic_size))
            kind = &payload_kinds[i];
    }
    payload->format = kind->format;
    payload->unpacked_size = size;
    if (kind->format != PAYLOAD_NONE)
        payload->unpacked_size = load_le32(data + size - PAYLOAD_TAIL_SIZE);
    if (kind->tail)
        payload->size -= PAYLOAD_TAIL_SIZE;
}

bool payload_unpack(const struct payload *payload, u8 *out, u64 capacity, u64 *size, bool *whole,
                    struct error *err)
{
    payload_unpack_fn *unpack = payload_kind(payload->format)->unpack;
    struct payload_out to = { .data = out, .capacity = capacity };
    bool ok;

    if (!unpack)
        return error_set(err, "its %s data cannot be unpacked", payload_name(payload->format));
    ok = unpack(payload, &to, err);
    *size = to.size;
    *whole = to.whole;
    return ok;
}
