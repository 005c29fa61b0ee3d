/* SPDX-License-Identifier: MIT */
/* Allocation at construction time. */
#pragma once

#include <stdlib.h>

/*
 * Zeroed memory for `count` objects of `size` bytes; never NULL: a host without memory for set-up ends
 * the process with one line and status 1. Not for sizes that a guest or a file chooses.
 */
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* A copy of the string `s`, by the same rule. */
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
