/* SPDX-License-Identifier: MIT */
/* One instruction on the host, with all registers given: the oracle of the SIMD and x87 tests. */
#pragma once

#include "accel/soft/cpuid.h"
#include "accel/soft/state.h"

struct native {
    u64 gpr[16]; /* RSP is not used */
    u64 flags;   /* in: the arithmetic ones; out: all */
    const void *code;
    struct xsave_area xsave;
};

/*
 * Run `size` bytes of code, which fall through. Returns 0, or the signal that they met (SIGFPE,
 * SIGSEGV, SIGILL): then only n->xsave.mxcsr is set, to its value at the fault.
 */
int native_run(struct native *n, const u8 *bytes, unsigned size);

/* Does the host have what gates a row? Features that gate no SIMD row count as present. */
bool native_has(enum cpu_feature feature);

/* Where native_run puts the code. */
u64 native_code_address(void);

/*
 * Install the signal handlers and map the code page; call first of all. False on a host without
 * AVX.
 */
bool native_setup(void);

/*
 * cmocka takes signals for itself around each test: remember the present handlers, and put them
 * back inside one.
 */
void native_keep_handlers(void);
void native_arm(void);
