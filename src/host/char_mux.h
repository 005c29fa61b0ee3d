/* SPDX-License-Identifier: MIT */
/*
 * The escape keys of a multiplexed terminal: Ctrl-A, then a letter. A filter without side effects;
 * its user does what it reports.
 */
#pragma once

#include "base/types.h"

#define CHAR_MUX_ESCAPE 0x01u /* Ctrl-A */

enum char_mux_action {
    CHAR_MUX_NONE,
    CHAR_MUX_HELP,
    CHAR_MUX_QUIT,
    CHAR_MUX_BREAK,
    CHAR_MUX_MONITOR,
};

struct char_mux {
    bool escaped; /* the last byte was Ctrl-A */
};

/*
 * Filter one byte of input. True: pass `byte` on. Otherwise it was part of an escape, and `*action`
 * tells what the user asked for.
 */
bool char_mux_filter(struct char_mux *mux, u8 byte, enum char_mux_action *action);

/* What to show for an action; NULL: nothing. */
const char *char_mux_text(enum char_mux_action action);
