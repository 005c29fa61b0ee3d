/* SPDX-License-Identifier: MIT */
/*
 * Doorbells: guest writes of a certain value to a certain address that the accelerator turns into a wake-up of the loop
 * thread, so that the CPU that rings goes on at once. Without such an accelerator the write arrives at the bus.
 */
#pragma once

#include "base/types.h"

struct doorbell;
struct machine;

/* Called on the loop thread, without a lock. */
typedef void doorbell_fn(void *arg, unsigned n);

/* NULL when the accelerator has none, or the host no more. */
struct doorbell *doorbell_new(struct machine *machine, gpa addr, u32 value, doorbell_fn *fn,
                              void *arg);

/* When the guest has stopped for good. NULL is allowed. */
void doorbell_free(struct doorbell *bell);
