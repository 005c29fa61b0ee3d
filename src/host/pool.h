/* SPDX-License-Identifier: MIT */
/* Worker threads for calls that block. Jobs run in any order, several at a time. */
#pragma once

#include "base/error.h"

struct pool;

/* A job, embedded in what it is about; it belongs to the pool until `work` has been entered. */
struct pool_job {
    void (*work)(struct pool_job *job); /* on a worker thread */
    struct pool_job *next;
};

/* A pool of `threads` workers with all signals blocked. NULL and `err` when the host refuses a thread. */
struct pool *pool_new(unsigned threads, struct error *err);

/* Finishes the jobs that are queued, then ends the threads. NULL is allowed. */
void pool_free(struct pool *pool);

/* Queue a job: any thread, never blocks. */
void pool_submit(struct pool *pool, struct pool_job *job);
