/* SPDX-License-Identifier: MIT */
/* The file of -pidfile: holds our process id while we run, locked, and goes when we go. */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct pidfile;

/* Write the file. NULL and `err` when it cannot be made, or when a running process holds it. */
struct pidfile *pidfile_new(const char *path, struct error *err);

/* Remove the file, unless this is a child of the process that wrote it. NULL is allowed. */
void pidfile_free(struct pidfile *pidfile);
