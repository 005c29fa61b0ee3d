/* SPDX-License-Identifier: MIT */
/* Code as lines of the log: -d in_asm (the guest's), -d op (as decoded), -d out_asm (translated). */
#pragma once

#include <stddef.h>

#include "accel/soft/insn.h"
#include "base/types.h"

/* An instruction at `rip`, before its immediate is replaced by a host operation. */
void blocklog_insn(const struct insn *in, const u8 *bytes, u64 rip, u32 mode);

/* The same as the interpreter and the translator see it. */
void blocklog_op(const struct insn *in, u64 rip);

/* `size` bytes of host code at `bytes`, to be run at `at`, for `insns` instructions of the guest's at `rip`. */
void blocklog_host(const u8 *bytes, size_t size, const void *at, u64 rip, unsigned insns);
