/* SPDX-License-Identifier: MIT */
/* The entropy device. virtio 1.2, 5.4. */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct loop;
struct ram;
struct virtio;

#define RNG_PERIOD_MS 65536u

struct rng_config {
    struct ram *ram;
    struct loop *loop;
    const char *path; /* where the bytes come from; NULL: the host's kernel */
    u64 max_bytes;    /* at most so many in each period; 0: no limit */
    u32 period_ms;
};

/* NULL and `err` when the file cannot be opened. */
struct virtio *rng_new(const struct rng_config *config, struct error *err);
