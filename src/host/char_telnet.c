/* SPDX-License-Identifier: MIT */
/* The telnet protocol of a console, server side: RFC 854. */
#include "host/char_telnet.h"

/* RFC 854, "NVT functions" and the options' numbers. */
enum {
    TELNET_SE = 240,
    TELNET_BREAK = 243,
    TELNET_SB = 250,
    TELNET_WILL = 251,
    TELNET_DONT = 254,
    TELNET_DO = 253,
};

enum { TELNET_OPT_BINARY = 0, TELNET_OPT_ECHO = 1, TELNET_OPT_SGA = 3 };

const u8 char_telnet_greeting[] = {
    TELNET_IAC, TELNET_WILL, TELNET_OPT_ECHO,   TELNET_IAC, TELNET_WILL, TELNET_OPT_SGA,
    TELNET_IAC, TELNET_WILL, TELNET_OPT_BINARY, TELNET_IAC, TELNET_DO,   TELNET_OPT_BINARY,
};
const size_t char_telnet_greeting_size = sizeof(char_telnet_greeting);

static enum char_telnet_state char_telnet_command(u8 command)
{
    if (command >= TELNET_WILL && command <= TELNET_DONT)
        return TELNET_OPTION;
    return command == TELNET_SB ? TELNET_SUB : TELNET_DATA;
}

/* The state after `byte`, and whether the byte is data. */
static enum char_telnet_state char_telnet_step(enum char_telnet_state state, u8 byte, bool *data)
{
    *data = false;
    switch (state) {
    case TELNET_DATA_CR:
        if (byte == 0)
            return TELNET_DATA;
        __attribute__((fallthrough));
    case TELNET_DATA:
        *data = byte != TELNET_IAC;
        if (byte == TELNET_IAC)
            return TELNET_COMMAND;
        return byte == '\r' ? TELNET_DATA_CR : TELNET_DATA;
    case TELNET_COMMAND:
        *data = byte == TELNET_IAC;
        return byte == TELNET_IAC ? TELNET_DATA : char_telnet_command(byte);
    case TELNET_OPTION: return TELNET_DATA;
    case TELNET_SUB: return byte == TELNET_IAC ? TELNET_SUB_IAC : TELNET_SUB;
    case TELNET_SUB_IAC: return byte == TELNET_SE ? TELNET_DATA : TELNET_SUB;
    }
    return TELNET_DATA;
}

size_t char_telnet_decode(struct char_telnet *telnet, u8 *data, size_t size, unsigned *breaks)
{
    size_t kept = 0;
    bool is_data;

    for (size_t i = 0; i < size; i++) {
        u8 byte = data[i];

        *breaks += telnet->state == TELNET_COMMAND && byte == TELNET_BREAK;
        telnet->state = char_telnet_step(telnet->state, byte, &is_data);
        if (is_data)
            data[kept++] = byte;
    }
    return kept;
}
