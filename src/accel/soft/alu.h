/* SPDX-License-Identifier: MIT */
/*
 * Integer operations of the guest on values.
 *
 * Each macro defines one function for one instruction and size. It returns the result and stores RFLAGS, of which only
 * FLAGS_ARITH mean anything; an instruction that keeps some flags finds them in the word. There are two sets of these
 * macros: one that has the host's instruction do it, and one in C.
 */
#pragma once

#include "accel/soft/host_cpu.h"

#if HOST_X86
#include "accel/soft/alu_host.h"
#else
#include "accel/soft/alu_portable.h"
#endif

#define ALU_SIZES(M, op)      M(op, 8) M(op, 16) M(op, 32) M(op, 64)
#define ALU_WORD_SIZES(M, op) M(op, 16) M(op, 32) M(op, 64)
