/* SPDX-License-Identifier: MIT */
/*
 * A pseudo-terminal that others open. pty(7).
 *
 * The kernel tells when the last user of the other side has gone (reads fail, poll reports a
 * hangup), but not when the next one comes: while nobody is there we look now and then.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/config.h"
#include "host/char.h"
#include "host/char_kinds.h"
#include "host/char_stream.h"

#define CHAR_PTY_LOOK_NS 250000000u

struct char_pty {
    struct char_stream stream;
    int master;
    struct timer look;
};

static bool char_pty_is_open(const struct char_pty *pty)
{
    struct pollfd p = { .fd = pty->master, .events = POLLIN };

    return poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP);
}

static void char_pty_look(void *arg)
{
    struct char_pty *pty = arg;
    struct chardev *chr = &pty->stream.chr;

    chardev_lock(chr);
    if (char_pty_is_open(pty))
        char_stream_connect_both(&pty->stream, fcntl(pty->master, F_DUPFD_CLOEXEC, 0));
    else
        timer_arm(&pty->look, loop_now(pty->stream.loop) + CHAR_PTY_LOOK_NS);
    chardev_unlock(chr);
}

static void char_pty_hangup(struct char_stream *stream)
{
    struct char_pty *pty = container_of(stream, struct char_pty, stream);

    timer_arm(&pty->look, loop_now(stream->loop) + CHAR_PTY_LOOK_NS);
}

static void char_pty_free(struct chardev *chr)
{
    struct char_pty *pty = container_of(chr, struct char_pty, stream.chr);

    char_stream_fini(&pty->stream);
    timer_cancel(&pty->look);
    if (pty->master >= 0)
        close(pty->master);
    free(pty);
}

static const struct chardev_ops char_pty_ops = {
    .kind = "pty",
    .write = char_stream_write,
    .resume = char_stream_resume,
    .attached = char_stream_attached,
    .free = char_pty_free,
};

static const struct char_stream_ops char_pty_stream_ops = {
    .hangup = char_pty_hangup,
};

/* The other side begins raw: an echo would come back to the guest as input. */
static bool char_pty_prepare(int master, char *name, size_t size)
{
    struct termios t;
    int slave;
    bool ok;

    if (grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, name, size) != 0)
        return false;
    slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return false;
    ok = tcgetattr(slave, &t) == 0;
    cfmakeraw(&t);
    ok = ok && tcsetattr(slave, TCSANOW, &t) == 0;
    close(slave);
    return ok;
}

struct chardev *char_pty_open(const struct chardev_config *config, struct loop *loop,
                              struct error *err)
{
    struct char_pty *pty = xcalloc(1, sizeof(*pty));
    char name[PATH_MAX];

    char_stream_init(&pty->stream, &char_pty_ops, &char_pty_stream_ops, config, loop);
    timer_init(&pty->look, loop, NULL, char_pty_look, pty);
    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (pty->master < 0 || !char_pty_prepare(pty->master, name, sizeof(name))) {
        error_set_errno(err, errno, "could not make a pseudo-terminal");
        char_pty_free(&pty->stream.chr);
        return NULL;
    }
    printf("char device redirected to %s (label %s)\n", name, config->id);
    fflush(stdout);
    timer_arm(&pty->look, 0);
    return &pty->stream.chr;
}
