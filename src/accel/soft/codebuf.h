/* SPDX-License-Identifier: MIT */
/*
 * Memory for generated code: mapped twice, writable in one place and executable in another. It has no name, for perf
 * looks into its map file (perfmap.h) only for memory without one.
 *
 *   thunks | half 0: code ->      <- data | half 1: code ->      <- data
 *
 * The halves are filled and forgotten together with those of the block cache. Data (jump targets that
 * change) lies at the
 * other end of its half, so that writing it never touches a line that is being executed.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/types.h"

#define CODEBUF_THUNKS 4096u

struct codebuf {
    u8 *write;
    const u8 *exec;
    size_t size, half_size;
    size_t used[2]; /* code, from the half's start */
    size_t data[2]; /* data, from the half's end */
};

bool codebuf_init(struct codebuf *c, size_t half_size, struct error *err)
    __attribute__((warn_unused_result));
void codebuf_destroy(struct codebuf *c);

/* Where the next code of `half` is written, and the end of its room. */
u8 *codebuf_start(const struct codebuf *c, unsigned half);
u8 *codebuf_limit(const struct codebuf *c, unsigned half);

/* Forget a half's contents. */
void codebuf_reset(struct codebuf *c, unsigned half);

/* The executable address of a written one. */
static inline const u8 *codebuf_exec(const struct codebuf *c, const u8 *written)
{
    return c->exec + (written - c->write);
}
