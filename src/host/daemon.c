/* SPDX-License-Identifier: MIT */
/*
 * Going to the background: fork, a new session, and a pipe that says when all is well. daemon(7).
 */
#include "host/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* End of file without a byte: the child ended before it was ready, and has said why. */
static int daemon_wait(int fd)
{
    char byte;
    ssize_t n;

    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    close(fd);
    return n == 1 ? 0 : 1;
}

enum daemon_side daemon_start(struct daemon *daemon, struct error *err)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        error_set_errno(err, errno, "-daemonize: cannot make a pipe");
        return DAEMON_ERROR;
    }
    pid = fork();
    if (pid < 0) {
        error_set_errno(err, errno, "-daemonize: cannot start another process");
        close(fds[0]);
        close(fds[1]);
        return DAEMON_ERROR;
    }
    if (pid > 0) {
        close(fds[1]);
        daemon->status = daemon_wait(fds[0]);
        return DAEMON_PARENT;
    }
    close(fds[0]);
    setsid();
    daemon->ready_fd = fds[1];
    return DAEMON_CHILD;
}

bool daemon_ready(struct daemon *daemon, struct error *err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool ok = null >= 0 && chdir("/") == 0;

    for (int fd = STDIN_FILENO; ok && fd <= STDERR_FILENO; fd++)
        ok = dup2(null, fd) == fd;
    if (!ok)
        error_set_errno(err, errno, "-daemonize: cannot go to the background");
    if (null > STDERR_FILENO)
        close(null);
    if (ok && write(daemon->ready_fd, "", 1) != 1)
        ok = error_set_errno(err, errno, "-daemonize: nobody waits any more");
    close(daemon->ready_fd);
    daemon->ready_fd = -1;
    return ok;
}
