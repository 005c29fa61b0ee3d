/* SPDX-License-Identifier: MIT */
/*
 * The signals that ask the process to end: SIGINT, SIGTERM, SIGHUP, taken as events of the loop.
 *
 * They are blocked in the calling thread and those that it makes later; so create this before any
 * other thread, and after everything that may wait for long (a socket backend with wait=on).
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct loop;
struct signals;

/* Called on the loop thread, after the line that names the signal and its sender was printed. */
typedef void signals_fn(void *arg);

/* NULL and `err` when the host refuses. SIGHUP that is ignored already (nohup) stays ignored. */
struct signals *signals_new(struct loop *loop, signals_fn *fn, void *arg, struct error *err);

/* Give the signals their former handling back. NULL is allowed. */
void signals_free(struct signals *signals);
