/* SPDX-License-Identifier: MIT */
/* Bytes of 9P messages: little-endian numbers, and strings with a length of 16 bits. 9P2000.L. */
#pragma once

#include <string.h>

#include "base/bytes.h"
#include "base/types.h"

#define P9_HEADER   7u /* size, type, tag */
#define P9_QID_SIZE 13u

/* A message that is read. What is not there reads as 0 and marks it bad. */
struct p9_reader {
    const u8 *at, *end;
    bool bad;
};

/* A message that is written. What has no room is left out and marks it full. */
struct p9_writer {
    u8 *begin, *at, *end;
    bool full;
};

static inline u64 p9_get(struct p9_reader *r, unsigned size)
{
    u8 bytes[8] = { 0 };

    if ((size_t)(r->end - r->at) < size) {
        r->bad = true;
        r->at = r->end;
        return 0;
    }
    memcpy(bytes, r->at, size);
    r->at += size;
    return load_le64(bytes);
}

static inline u16 p9_get16(struct p9_reader *r)
{
    return (u16)p9_get(r, 2);
}

static inline u32 p9_get32(struct p9_reader *r)
{
    return (u32)p9_get(r, 4);
}

static inline u64 p9_get64(struct p9_reader *r)
{
    return p9_get(r, 8);
}

/* A string into `text` of `size` bytes; one that does not fit, or has a zero in it, is bad. */
static inline void p9_get_text(struct p9_reader *r, char *text, size_t size)
{
    u16 length = p9_get16(r);

    text[0] = 0;
    if ((size_t)(r->end - r->at) < length || length >= size || memchr(r->at, 0, length)) {
        r->bad = true;
        r->at = r->end;
        return;
    }
    memcpy(text, r->at, length);
    text[length] = 0;
    r->at += length;
}

static inline void p9_put_bytes(struct p9_writer *w, const void *data, size_t size)
{
    if ((size_t)(w->end - w->at) < size) {
        w->full = true;
        return;
    }
    memcpy(w->at, data, size);
    w->at += size;
}

static inline void p9_put(struct p9_writer *w, u64 value, unsigned size)
{
    u8 bytes[8];

    store_le64(bytes, value);
    p9_put_bytes(w, bytes, size);
}

static inline void p9_put16(struct p9_writer *w, u16 value)
{
    p9_put(w, value, 2);
}

static inline void p9_put32(struct p9_writer *w, u32 value)
{
    p9_put(w, value, 4);
}

static inline void p9_put64(struct p9_writer *w, u64 value)
{
    p9_put(w, value, 8);
}

static inline void p9_put_text(struct p9_writer *w, const char *text, size_t length)
{
    p9_put16(w, (u16)length);
    p9_put_bytes(w, text, length);
}
