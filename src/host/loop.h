/* SPDX-License-Identifier: MIT */
/*
 * The event loop: file descriptors, timers and posted work, on one thread (the process's main
 * thread).
 *
 * Callbacks run on the loop thread one at a time. A callback that was given a lock runs with it
 * held. All functions may be called from any thread and from inside callbacks. Handles are removed
 * by their owner's free function; once a _remove/_fini has returned on the loop thread the callback
 * will not run.
 */
#pragma once

#include <pthread.h>

#include "base/error.h"
#include "base/types.h"
#include "host/clock.h"

struct loop;

typedef void loop_fn(void *arg);
typedef void loop_fd_fn(void *arg, u32 events);

/* A new loop whose timers follow `clock`. NULL and `err` when the host refuses the descriptors. */
struct loop *loop_new(struct clock *clock, struct error *err);
void loop_free(struct loop *loop);

/* clock_ns() of the clock that the loop's timers follow. */
u64 loop_now(const struct loop *loop);

/* Run callbacks until loop_quit. */
void loop_run(struct loop *loop);

/*
 * Run what is due now, waiting at most `timeout_ms` (-1: no limit) for the first event. For tests.
 */
void loop_poll(struct loop *loop, int timeout_ms);

/* Make loop_run return. Async-signal-safe. */
void loop_quit(struct loop *loop);

/*
 * Watch `fd` for the EPOLL* `events`; `lock` (may be NULL) is held around the callback. NULL with
 * errno set when the host refuses: EPERM for what is always ready (a regular file).
 */
struct loop_watch;
struct loop_watch *loop_fd_add(struct loop *loop, int fd, u32 events, pthread_mutex_t *lock,
                               loop_fd_fn *fn, void *arg);
void loop_fd_modify(struct loop_watch *watch, u32 events);
void loop_fd_remove(struct loop_watch *watch); /* NULL is allowed */

/* Run `fn(arg)` once on the loop thread, soon. */
void loop_post(struct loop *loop, loop_fn *fn, void *arg);

/*
 * A one-shot timer, embedded in its owner. `deadline` is in clock_ns() terms. Arming an armed timer
 * moves it; a deadline in the past fires at once (on the loop thread).
 */
struct timer {
    struct loop *loop;
    pthread_mutex_t *lock; /* held around fn, may be NULL */
    loop_fn *fn;
    void *arg;
    u64 deadline;
    size_t slot; /* 1-based place in the loop's heap, 0 when not armed */
};

void timer_init(struct timer *timer, struct loop *loop, pthread_mutex_t *lock, loop_fn *fn,
                void *arg);
void timer_arm(struct timer *timer, u64 deadline);

/*
 * Disarm; also finalises: cancel before freeing the owner. Once it returned on the loop thread, or
 * with the timer's lock held, the callback does not come: the loop looks again after it took the
 * lock. Owners are freed on the loop thread or when the loop has ended. A timer that is all zero
 * may be cancelled.
 */
void timer_cancel(struct timer *timer);
