/* SPDX-License-Identifier: MIT */
/*
 * Going to the background (-daemonize): the process that the user started waits until the one in
 * the background is set up, and ends with its success or failure.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

enum daemon_side {
    DAEMON_ERROR,  /* `err` tells; nothing was started */
    DAEMON_PARENT, /* the other process is set up, or has failed: end with `status` */
    DAEMON_CHILD,  /* set up the machine, then call daemon_ready */
};

struct daemon {
    int ready_fd; /* the parent waits at the other end */
    int status;   /* DAEMON_PARENT: the exit status */
};

/* Fork. Call before any thread is made and before anything is opened that both would hold. */
enum daemon_side daemon_start(struct daemon *daemon, struct error *err);

/* In the child: let go of the terminal and the folder, and the parent. Relative paths end here. */
bool daemon_ready(struct daemon *daemon, struct error *err) __attribute__((warn_unused_result));
