/* SPDX-License-Identifier: MIT */
/* The file of -pidfile, held by an open file description lock: fcntl(2), F_OFD_SETLK. */
#include "host/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct pidfile {
    char *path;
    int fd;
    pid_t pid;
};

/* Truncate only after the lock is ours: the file may be another's. */
static bool pidfile_write(struct pidfile *pidfile, struct error *err)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char text[32];
    int n = snprintf(text, sizeof(text), "%ld\n", (long)pidfile->pid);

    if (fcntl(pidfile->fd, F_OFD_SETLK, &lock) < 0)
        return error_set(err, "cannot create PID file: '%s' is held by a running process",
                         pidfile->path);
    if (ftruncate(pidfile->fd, 0) < 0 || write(pidfile->fd, text, (size_t)n) != n)
        return error_set_errno(err, errno, "cannot create PID file: could not write '%s'",
                               pidfile->path);
    return true;
}

static void pidfile_close(struct pidfile *pidfile)
{
    close(pidfile->fd);
    free(pidfile->path);
    free(pidfile);
}

struct pidfile *pidfile_new(const char *path, struct error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct pidfile *pidfile;

    if (fd < 0) {
        error_set_errno(err, errno, "cannot create PID file: could not create '%s'", path);
        return NULL;
    }
    pidfile = xcalloc(1, sizeof(*pidfile));
    pidfile->fd = fd;
    pidfile->path = xstrdup(path);
    pidfile->pid = getpid();
    if (!pidfile_write(pidfile, err)) {
        pidfile_close(pidfile);
        return NULL;
    }
    return pidfile;
}

void pidfile_free(struct pidfile *pidfile)
{
    if (!pidfile)
        return;
    if (pidfile->pid == getpid())
        unlink(pidfile->path);
    pidfile_close(pidfile);
}
