/* SPDX-License-Identifier: MIT */
/*
 * As much of the telnet protocol as a console needs: we echo, in character mode, eight bits wide,
 * and we neither negotiate further nor answer. RFC 854 (commands), 856 (binary), 857 (echo), 858
 * (go-ahead).
 */
#pragma once

#include <stddef.h>

#include "base/types.h"

#define TELNET_IAC 255u /* in data it is sent twice */

enum char_telnet_state {
    TELNET_DATA,
    TELNET_COMMAND, /* after IAC */
    TELNET_OPTION,  /* after IAC WILL/WONT/DO/DONT */
    TELNET_SUB,     /* after IAC SB */
    TELNET_SUB_IAC, /* IAC inside a subnegotiation */
    TELNET_DATA_CR, /* after CR: a NUL is dropped, unless the client is binary */
};

struct char_telnet {
    enum char_telnet_state state;
};

/* What the server says first. */
extern const u8 char_telnet_greeting[];
extern const size_t char_telnet_greeting_size;

/*
 * Take the protocol out of `data`, in place; returns the bytes left. `*breaks` counts the breaks
 * that the user asked for.
 */
size_t char_telnet_decode(struct char_telnet *telnet, u8 *data, size_t size, unsigned *breaks);
