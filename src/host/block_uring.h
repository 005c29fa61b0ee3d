/* SPDX-License-Identifier: MIT */
/* Requests on a file through io_uring(7), whose completions arrive at the loop by an eventfd. */
#pragma once

#include "host/block.h"
#include "host/block_file.h"

struct block_uring;

/* The result of a request, on whichever thread reaps. `again`: it must be done once more, by blocking calls. */
typedef void block_uring_fn(struct block_req *req, int result, bool again);

/* NULL when the kernel refuses io_uring. */
struct block_uring *block_uring_new(struct loop *loop, struct block_file *file, block_uring_fn *fn);
void block_uring_free(struct block_uring *uring); /* nothing may be in flight; NULL is allowed */

/* False: not a request for io_uring, or no room in the ring. */
bool block_uring_submit(struct block_uring *uring, struct block_req *req);

/* Any thread: wait for all that is in flight. */
void block_uring_wait(struct block_uring *uring);
