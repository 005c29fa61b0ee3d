/* SPDX-License-Identifier: MIT */
/* A place in a list of buffers: what is left to transfer of a request. */
#pragma once

#include <string.h>
#include <sys/uio.h>

#include "base/bits.h"
#include "base/types.h"

struct block_span {
    const struct iovec *iov;
    unsigned count;
    size_t skip; /* bytes of iov[0] that are done */
};

static inline void block_span_advance(struct block_span *span, u64 size)
{
    while (span->count && size >= span->iov[0].iov_len - span->skip) {
        size -= span->iov[0].iov_len - span->skip;
        span->skip = 0;
        span->iov++;
        span->count--;
    }
    span->skip += size;
}

/* The next piece in one buffer, at most `size` bytes. */
static inline struct iovec block_span_head(const struct block_span *span, u64 size)
{
    return (struct iovec){ (char *)span->iov[0].iov_base + span->skip,
                           MIN(span->iov[0].iov_len - span->skip, size) };
}

/* Up to `max` pieces of together at most `size` bytes; returns how many, and their sum in `total`. */
static inline unsigned block_span_slice(struct block_span span, u64 size, struct iovec *out,
                                        unsigned max, u64 *total)
{
    unsigned n = 0;

    *total = 0;
    while (n < max && *total < size && span.count) {
        out[n] = block_span_head(&span, size - *total);
        *total += out[n].iov_len;
        block_span_advance(&span, out[n].iov_len);
        n++;
    }
    return n;
}

/* Copy `size` bytes into the buffers (data NULL: zeroes) and move on; and out of them. */
static inline void block_span_put(struct block_span *span, const void *data, u64 size)
{
    while (size) {
        struct iovec piece = block_span_head(span, size);

        if (data)
            memcpy(piece.iov_base, data, piece.iov_len);
        else
            memset(piece.iov_base, 0, piece.iov_len);
        data = data ? (const char *)data + piece.iov_len : NULL;
        block_span_advance(span, piece.iov_len);
        size -= piece.iov_len;
    }
}

static inline void block_span_get(struct block_span *span, void *data, u64 size)
{
    while (size) {
        struct iovec piece = block_span_head(span, size);

        memcpy(data, piece.iov_base, piece.iov_len);
        data = (char *)data + piece.iov_len;
        block_span_advance(span, piece.iov_len);
        size -= piece.iov_len;
    }
}
