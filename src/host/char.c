/* SPDX-License-Identifier: MIT */
/* Character backends: what all kinds share. */
#include "host/char.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/config.h"
#include "host/char_kinds.h"

typedef struct chardev *chardev_open_fn(const struct chardev_config *config, struct loop *loop,
                                        struct error *err);

static chardev_open_fn *const chardev_kinds[] = {
    [CHARDEV_NULL] = char_null_open,         [CHARDEV_STDIO] = char_stdio_open,
    [CHARDEV_FILE] = char_file_open,         [CHARDEV_PIPE] = char_pipe_open,
    [CHARDEV_PTY] = char_pty_open,           [CHARDEV_SOCKET_UNIX] = char_socket_open,
    [CHARDEV_SOCKET_TCP] = char_socket_open,
};

/* O_NONBLOCK: a log that is a named pipe without a reader must not stop the guest. */
static bool chardev_log_open(struct chardev *chr, const struct chardev_config *config,
                             struct error *err)
{
    int how = config->logappend ? O_APPEND : O_TRUNC;

    if (!config->logfile)
        return true;
    chr->log_fd = open(config->logfile, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC | how, 0666);
    if (chr->log_fd < 0)
        return error_set_errno(err, errno, "could not open the log file '%s'", config->logfile);
    chr->logging = true;
    return true;
}

struct chardev *chardev_open(const struct chardev_config *config, struct loop *loop,
                             struct error *err)
{
    struct chardev *chr;

    assert((size_t)config->kind < ARRAY_SIZE(chardev_kinds));
    chr = chardev_kinds[config->kind](config, loop, err);
    if (!chr)
        return NULL;
    chr->id = xstrdup(config->id ? config->id : "");
    if (!chardev_log_open(chr, config, err)) {
        chardev_free(chr);
        return NULL;
    }
    return chr;
}

bool chardev_attach(struct chardev *chr, const struct chardev_frontend *frontend)
{
    if (chr->attached)
        return false;
    chr->frontend = *frontend;
    chr->attached = true;
    if (chr->ops->attached)
        chr->ops->attached(chr);
    return true;
}

void chardev_detach(struct chardev *chr)
{
    chr->attached = false;
    chr->frontend = (struct chardev_frontend){ .lock = NULL };
}

void chardev_set_quit(struct chardev *chr, chardev_quit_fn *fn, void *arg)
{
    chr->quit = fn;
    chr->quit_arg = arg;
}

/* The copy is best effort: a full disk under the log must not change what the guest sees. */
static void chardev_log(struct chardev *chr, const u8 *data, size_t size)
{
    ssize_t n = write(chr->log_fd, data, size);

    (void)n;
}

size_t chardev_write(struct chardev *chr, const u8 *data, size_t size)
{
    size_t taken = chr->ops->write(chr, data, size);

    if (chr->logging && taken)
        chardev_log(chr, data, taken);
    return taken;
}

void chardev_resume(struct chardev *chr)
{
    if (chr->ops->resume)
        chr->ops->resume(chr);
}

bool chardev_window(struct chardev *chr, u16 *cols, u16 *rows)
{
    *cols = 0;
    *rows = 0;
    return chr->ops->window && chr->ops->window(chr, cols, rows);
}

void chardev_free(struct chardev *chr)
{
    if (!chr)
        return;
    chardev_detach(chr);
    if (chr->logging)
        close(chr->log_fd);
    free(chr->id);
    chr->ops->free(chr);
}

void chardev_lock(struct chardev *chr)
{
    if (chr->frontend.lock)
        pthread_mutex_lock(chr->frontend.lock);
}

void chardev_unlock(struct chardev *chr)
{
    if (chr->frontend.lock)
        pthread_mutex_unlock(chr->frontend.lock);
}

void chardev_event(struct chardev *chr, enum chardev_event event)
{
    if (chr->frontend.event)
        chr->frontend.event(chr->frontend.arg, event);
}
