/* SPDX-License-Identifier: MIT */
/* Output to a file, and both directions over named pipes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/config.h"
#include "host/char.h"
#include "host/char_kinds.h"
#include "host/char_stream.h"

static void char_file_free(struct chardev *chr)
{
    struct char_stream *stream = container_of(chr, struct char_stream, chr);

    char_stream_fini(stream);
    free(stream);
}

static const struct chardev_ops char_file_ops = {
    .kind = "file",
    .write = char_stream_write,
    .resume = char_stream_resume,
    .attached = char_stream_attached,
    .free = char_file_free,
};

static struct chardev *char_file_new(const struct chardev_config *config, struct loop *loop,
                                     int in_fd, int out_fd)
{
    struct char_stream *stream = xcalloc(1, sizeof(*stream));

    char_stream_init(stream, &char_file_ops, NULL, config, loop);
    char_stream_connect(stream, in_fd, out_fd);
    return &stream->chr;
}

struct chardev *char_file_open(const struct chardev_config *config, struct loop *loop,
                               struct error *err)
{
    int how = config->append ? O_APPEND : O_TRUNC;
    int fd = open(config->path, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | how, 0666);

    if (fd < 0) {
        error_set_errno(err, errno, "could not open '%s'", config->path);
        return NULL;
    }
    return char_file_new(config, loop, -1, fd);
}

/*
 * Read-write: opening does not wait for the other side, and its coming and going is no end of file.
 */
static int char_pipe_open_end(const char *path)
{
    return open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* The pair PATH.in (to the guest) and PATH.out (from it) if it is there, else PATH both ways. */
struct chardev *char_pipe_open(const struct chardev_config *config, struct loop *loop,
                               struct error *err)
{
    char in_path[PATH_MAX], out_path[PATH_MAX];
    int in_fd, out_fd;

    snprintf(in_path, sizeof(in_path), "%s.in", config->path);
    snprintf(out_path, sizeof(out_path), "%s.out", config->path);
    in_fd = char_pipe_open_end(in_path);
    out_fd = char_pipe_open_end(out_path);
    if (in_fd >= 0 && out_fd >= 0)
        return char_file_new(config, loop, in_fd, out_fd);
    if (in_fd >= 0)
        close(in_fd);
    if (out_fd >= 0)
        close(out_fd);

    in_fd = char_pipe_open_end(config->path);
    if (in_fd < 0) {
        error_set_errno(err, errno, "could not open '%s.in' and '%s.out', nor '%s'", config->path,
                        config->path, config->path);
        return NULL;
    }
    return char_file_new(config, loop, in_fd, fcntl(in_fd, F_DUPFD_CLOEXEC, 0));
}
