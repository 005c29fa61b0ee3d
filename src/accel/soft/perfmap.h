/* SPDX-License-Identifier: MIT */
/*
 * The file by which perf names translated code: /tmp/perf-PID.map, a line for each piece of code (Linux:
 * tools/perf/Documentation/jit-interface.txt). It stays after the end, for perf report.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/types.h"

struct perfmap;

/* In `folder`, which is /tmp but for tests. NULL and `err` when the file cannot be made. */
struct perfmap *perfmap_new(const char *folder, struct error *err);
void perfmap_free(struct perfmap *map);

/* `size` bytes of host code at `code` are the guest's at `rip`. Calls do not run at the same time. */
void perfmap_add(struct perfmap *map, const void *code, size_t size, u64 rip);

/* The same for code with a name. */
void perfmap_add_named(struct perfmap *map, const void *code, size_t size, const char *name);
