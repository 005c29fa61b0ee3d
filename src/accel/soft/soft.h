/* SPDX-License-Identifier: MIT */
/* Running a CPU's code without a machine around it: for tests and for lock-step comparison. */
#pragma once

#include "accel/soft/state.h"
#include "base/types.h"

enum soft_stop {
    SOFT_STOP_AT, /* RIP reached the stop address */
    SOFT_STOP_FAULT, /* an exception: cpu->fault_vector and fault_code, not delivered; RIP at its instruction */
    SOFT_STOP_LIMIT, /* the number of blocks was used up */
    SOFT_STOP_ERROR, /* triple fault or internal error */
};

/*
 * Run from cpu->rip until one of these happens. `stop` is looked at between blocks only. With `deliver` exceptions go
 * through the guest's IDT and do not stop. Requests are not served. On the thread that owns the CPU.
 */
enum soft_stop soft_execute(struct cpu *cpu, u64 stop, u64 blocks_max, bool deliver);
