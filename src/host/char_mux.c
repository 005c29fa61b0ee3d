/* SPDX-License-Identifier: MIT */
/* The escape keys of a multiplexed terminal. */
#include "host/char_mux.h"

#include <stddef.h>

#include "base/bits.h"

static const struct {
    char key;
    enum char_mux_action action;
} char_mux_keys[] = {
    { 'h', CHAR_MUX_HELP },  { '?', CHAR_MUX_HELP },    { 'x', CHAR_MUX_QUIT },
    { 'b', CHAR_MUX_BREAK }, { 'c', CHAR_MUX_MONITOR },
};

bool char_mux_filter(struct char_mux *mux, u8 byte, enum char_mux_action *action)
{
    *action = CHAR_MUX_NONE;
    if (!mux->escaped) {
        mux->escaped = byte == CHAR_MUX_ESCAPE;
        return !mux->escaped;
    }
    mux->escaped = false;
    for (size_t i = 0; i < ARRAY_SIZE(char_mux_keys); i++)
        if (byte == (u8)char_mux_keys[i].key)
            *action = char_mux_keys[i].action;
    return byte == CHAR_MUX_ESCAPE;
}

const char *char_mux_text(enum char_mux_action action)
{
    static const char *const texts[] = {
        [CHAR_MUX_HELP] = "\r\n"
                          "Ctrl-A h       this help\r\n"
                          "Ctrl-A x       end mote\r\n"
                          "Ctrl-A b       send a break\r\n"
                          "Ctrl-A c       the monitor (not in this build)\r\n"
                          "Ctrl-A Ctrl-A  send Ctrl-A\r\n",
        [CHAR_MUX_MONITOR] = "\r\nmote: the monitor is not available\r\n",
    };

    return (size_t)action < ARRAY_SIZE(texts) ? texts[action] : NULL;
}
