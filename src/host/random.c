/* SPDX-License-Identifier: MIT */
/* Randomness from the host's kernel: getrandom(2). */
#include "host/random.h"

#include <errno.h>
#include <sys/random.h>

bool host_random(void *data, size_t size)
{
    u8 *at = data;

    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);

        if (got < 0 && errno != EINTR)
            return false;
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
    return true;
}
