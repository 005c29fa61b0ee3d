/* SPDX-License-Identifier: MIT */
/* The memory balloon: the guest gives pages back to the host. virtio 1.2, 5.5. */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct loop;
struct ram;
struct virtio;

struct balloon_config {
    struct ram *ram;
    struct loop *loop;
    bool deflate_on_oom;
    bool free_page_reporting;
    u32 stats_seconds; /* how often the guest is asked for statistics; 0: never */
    u64 target;        /* bytes that the guest should keep; 0: all */
};

/* Indices of the statistics, 5.5.6.4; what the guest has not told is UINT64_MAX. */
enum balloon_stat {
    BALLOON_STAT_SWAP_IN,
    BALLOON_STAT_SWAP_OUT,
    BALLOON_STAT_MAJOR_FAULTS,
    BALLOON_STAT_MINOR_FAULTS,
    BALLOON_STAT_FREE,
    BALLOON_STAT_TOTAL,
    BALLOON_STAT_AVAILABLE,
    BALLOON_STAT_CACHES,
    BALLOON_STAT_HUGE_ALLOCATIONS,
    BALLOON_STAT_HUGE_FAILURES,
    BALLOON_STATS,
};

struct virtio *balloon_new(const struct balloon_config *config);

/* Ask the guest to keep `bytes` of its memory; with the device locked. */
void balloon_set_target(struct virtio *v, u64 bytes);

/* What the guest has now, and its last statistics (BALLOON_STATS of them); with the device locked. */
u64 balloon_actual(const struct virtio *v);
const u64 *balloon_stats(const struct virtio *v);
