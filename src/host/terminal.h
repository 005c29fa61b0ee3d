/* SPDX-License-Identifier: MIT */
/*
 * The terminal that the process was started on: raw while the guest uses it, as it was at every way
 * out.
 *
 * A process has one such terminal, so this is the one piece of host state that is not in an object.
 * It is put back by terminal_restore, at exit(), and by the fatal signals that nobody else handles;
 * a handler that others install for these signals has to fall back on the one that it replaced.
 */
#pragma once

#include "base/types.h"

/*
 * Make `fd` raw if it is a terminal (and we are in its foreground): no echo, no lines, no flow
 * control. With `signals` Ctrl-C, Ctrl-\ and Ctrl-Z still make signals; a stopped process puts the
 * terminal back meanwhile. `fd` must stay open.
 */
void terminal_raw(int fd, bool signals);

/* The size of the window of a terminal; false when `fd` is none, or it does not know. */
bool terminal_window(int fd, u16 *cols, u16 *rows);

/* Put the terminal back. Async-signal-safe; harmless when it was not raw. */
void terminal_restore(void);
