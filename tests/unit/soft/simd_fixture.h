/* SPDX-License-Identifier: MIT */
/* fixture.h for the SIMD and x87 tests: host operations, and whole memory images. */
#pragma once

#include "fixture.h"

/* A fixture with its own cache of host operations; protected mode with everything enabled. */
struct fx *simd_fx_new(u32 mode);
void simd_fx_free(struct fx *fx);

/* As fx_run, for one instruction of any class. */
int simd_run(struct fx *fx, const u8 *bytes, size_t size);

#define SIMD_RUN(fx, ...) \
    simd_run(fx, (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))
