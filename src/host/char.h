/* SPDX-License-Identifier: MIT */
/*
 * Character backends: where a serial port's bytes come from and go to.
 *
 * The device that uses a backend (its frontend) calls chardev_write from any thread, which never blocks:
 * what the host does not take at once waits in a bounded buffer, and beyond that is refused. Input arrives
 * on the loop thread with the frontend's lock held, after the frontend said how much it can take.
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
    CHARDEV_BREAK, /* the user asked for a serial break */
};

struct chardev_frontend {
    pthread_mutex_t *lock;                           /* held around the calls below */
    size_t (*can_receive)(void *arg);                /* bytes that receive() will take now */
    void (*receive)(void *arg, const u8 *data, size_t size);
    void (*event)(void *arg, enum chardev_event event); /* may be NULL */
    void (*writable)(void *arg);                        /* room after a refused write; may be NULL */
    void *arg;
};

struct chardev_ops {
    const char *kind;
    size_t (*write)(struct chardev *chr, const u8 *data, size_t size);
    void (*resume)(struct chardev *chr);
    void (*free)(struct chardev *chr);
};

/* The common part; each backend embeds it first. */
struct chardev {
    const struct chardev_ops *ops;
    char *id;
    struct chardev_frontend frontend; /* all NULL when unattached */
    bool attached;
};

struct chardev_config; /* cli/config.h */

/* Open the backend that `config` describes. NULL and `err` (a whole sentence) when it cannot be had. */
struct chardev *chardev_open(const struct chardev_config *config, struct loop *loop, struct error *err);

/* Connect the one frontend. False when another one is there already. */
bool chardev_attach(struct chardev *chr, const struct chardev_frontend *frontend)
    __attribute__((warn_unused_result));
void chardev_detach(struct chardev *chr);

/* Queue bytes for the host; returns how many were taken (all, unless its buffer is full). */
size_t chardev_write(struct chardev *chr, const u8 *data, size_t size);

/* The frontend has room again: deliver what waits. */
void chardev_resume(struct chardev *chr);

/* Flush what can be flushed without blocking for more than a moment, restore the terminal, close. NULL is allowed. */
void chardev_free(struct chardev *chr);
