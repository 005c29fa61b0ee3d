/* SPDX-License-Identifier: MIT */
/*
 * Character backends: where a serial port's bytes come from and go to.
 *
 * The device that uses a backend (its frontend) calls it from any thread with its own lock held,
 * and is called on the loop thread with that lock held. So one lock, the frontend's, protects the
 * whole backend. chardev_write never blocks: what the host does not take at once waits in a bounded
 * buffer, and beyond that is refused. Input arrives after the frontend said how much it can take.
 */
#pragma once

#include <pthread.h>

#include "base/error.h"
#include "base/types.h"

struct chardev;
struct loop;

enum chardev_event {
    CHARDEV_OPENED,
    CHARDEV_CLOSED,
    CHARDEV_BREAK,   /* the user asked for a serial break */
    CHARDEV_RESIZED, /* chardev_window has something new */
};

struct chardev_frontend {
    pthread_mutex_t *lock;            /* held around the calls below; NULL: none */
    size_t (*can_receive)(void *arg); /* bytes that receive() will take now */
    void (*receive)(void *arg, const u8 *data, size_t size);
    void (*event)(void *arg, enum chardev_event event); /* may be NULL */
    void (*writable)(void *arg); /* room after a refused write; may be NULL */
    void *arg;
};

struct chardev_ops {
    const char *kind;
    size_t (*write)(struct chardev *chr, const u8 *data, size_t size);
    void (*resume)(struct chardev *chr);
    void (*attached)(struct chardev *chr);                     /* a frontend came; may be NULL */
    bool (*window)(struct chardev *chr, u16 *cols, u16 *rows); /* NULL: it has no window */
    void (*free)(struct chardev *chr); /* closes, and frees the structure itself */
};

typedef void chardev_quit_fn(void *arg);

/* The common part; each backend embeds it first. */
struct chardev {
    const struct chardev_ops *ops;
    char *id;
    struct chardev_frontend frontend; /* all NULL when unattached */
    bool attached;
    bool logging;
    int log_fd;            /* a copy of the output goes here, when logging */
    chardev_quit_fn *quit; /* the quit key of a multiplexed terminal */
    void *quit_arg;
};

struct chardev_config; /* cli/config.h */

/*
 * Open the backend that `config` describes. NULL and `err` (a whole sentence) when it cannot be
 * had.
 */
struct chardev *chardev_open(const struct chardev_config *config, struct loop *loop,
                             struct error *err);

/*
 * Connect the one frontend. False when another one is there already. If the other side is connected
 * the frontend hears of it by CHARDEV_OPENED, soon, on the loop thread. Attach, detach and free
 * belong to the loop thread, or to the time when the loop does not run.
 */
bool chardev_attach(struct chardev *chr, const struct chardev_frontend *frontend)
    __attribute__((warn_unused_result));
void chardev_detach(struct chardev *chr);

/* What Ctrl-A x does; on the loop thread, with the frontend's lock held. */
void chardev_set_quit(struct chardev *chr, chardev_quit_fn *fn, void *arg);

/* Queue bytes for the host; returns how many were taken (all, unless its buffer is full). */
size_t chardev_write(struct chardev *chr, const u8 *data, size_t size);

/* The frontend has room again: deliver what waits. */
void chardev_resume(struct chardev *chr);

/* The size of the window at the other end; false and 0 x 0 when there is none or nobody knows. */
bool chardev_window(struct chardev *chr, u16 *cols, u16 *rows);

/*
 * Flush what can be flushed without blocking for more than a moment, restore the terminal, close.
 * NULL is allowed.
 */
void chardev_free(struct chardev *chr);

/*
 * For backends, on the loop thread: hold the frontend's lock, if there is a frontend that has one.
 */
void chardev_lock(struct chardev *chr);
void chardev_unlock(struct chardev *chr);

/* For backends, with the lock held: tell the frontend, if there is one that listens. */
void chardev_event(struct chardev *chr, enum chardev_event event);
