/* SPDX-License-Identifier: MIT */
/*
 * Decompression of a bzImage's payload.
 *
 * Input is untrusted; output never passes its buffer. bzip2 and LZO payloads are left to the
 * kernel's own decompressor.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

enum payload_format {
    PAYLOAD_UNKNOWN,
    PAYLOAD_NONE, /* an ELF file as it is */
    PAYLOAD_GZIP,
    PAYLOAD_LZ4,
    PAYLOAD_ZSTD,
    PAYLOAD_XZ,
    PAYLOAD_LZMA,
    PAYLOAD_BZIP2,
    PAYLOAD_LZO,
};

struct payload {
    enum payload_format format;
    const u8 *data; /* without the size that is appended to it */
    u64 size;
    u64 unpacked_size; /* as the payload claims: untrusted */
};

/*
 * Find out what the payload [data, data + size) of a kernel is; tells PAYLOAD_UNKNOWN for anything
 * else.
 */
void payload_init(struct payload *payload, const u8 *data, u64 size);

/* "LZ4" and so on. */
const char *payload_name(enum payload_format format);

/* Can payload_unpack do this format? */
bool payload_supported(enum payload_format format);

/*
 * Unpack into `out`. `*size` gets the bytes written, `*whole` whether that is all: unpacking stops
 * when `capacity` is reached, which makes the beginning of a payload readable too. False and `err`
 * when the data is corrupt before that.
 */
bool payload_unpack(const struct payload *payload, u8 *out, u64 capacity, u64 *size, bool *whole,
                    struct error *err) __attribute__((warn_unused_result));
