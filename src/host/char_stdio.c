/* SPDX-License-Identifier: MIT */
/*
 * The process's own standard input and output.
 *
 * Both are shared with whoever started us, and so is O_NONBLOCK on them: a shell does not expect
 * it. Where the kernel lets us (terminals and pipes), we open them anew through /proc and are
 * alone; else the flag of the output is set and put back at the end. Input needs no flag: it is
 * read only when there is some.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/config.h"
#include "host/char.h"
#include "host/char_kinds.h"
#include "host/char_stream.h"
#include "host/terminal.h"

struct char_stdio {
    struct char_stream stream;
    int shared_flags; /* stdout's, to put back; -1: nothing to put back */
    int resize_fd;    /* of the signal that the window changed */
    struct loop_watch *resize_watch;
    sigset_t former_mask;
};

/* A process has one standard input: a second user is refused. */
static atomic_flag char_stdio_taken = ATOMIC_FLAG_INIT;

static bool char_stdio_can_reopen(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode));
}

/* A descriptor of our own for `fd`, non-blocking; -1: only the shared one can be had. */
static int char_stdio_reopen(int fd, int how)
{
    char path[32];

    if (!char_stdio_can_reopen(fd))
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, how | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int char_stdio_open_input(void)
{
    int fd = char_stdio_reopen(STDIN_FILENO, O_RDONLY);

    return fd >= 0 ? fd : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
}

static int char_stdio_open_output(struct char_stdio *stdio)
{
    int fd = char_stdio_reopen(STDOUT_FILENO, O_WRONLY);
    struct stat st;

    if (fd >= 0)
        return fd;
    fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        stdio->shared_flags = char_stream_nonblock(fd);
    return fd;
}

static bool char_stdio_window(struct chardev *chr, u16 *cols, u16 *rows)
{
    (void)chr;
    return terminal_window(STDOUT_FILENO, cols, rows) || terminal_window(STDIN_FILENO, cols, rows);
}

static void char_stdio_resized(void *arg, u32 events)
{
    struct char_stdio *stdio = arg;
    struct signalfd_siginfo info;

    (void)events;
    if (read(stdio->resize_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    chardev_lock(&stdio->stream.chr);
    chardev_event(&stdio->stream.chr, CHARDEV_RESIZED);
    chardev_unlock(&stdio->stream.chr);
}

/* Threads are made after this, so the signal is blocked in all of them. Without it the window keeps its first size. */
static void char_stdio_watch_window(struct char_stdio *stdio)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    pthread_sigmask(SIG_BLOCK, &set, &stdio->former_mask);
    stdio->resize_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (stdio->resize_fd >= 0)
        stdio->resize_watch = loop_fd_add(stdio->stream.loop, stdio->resize_fd, EPOLLIN, NULL,
                                          char_stdio_resized, stdio);
}

static void char_stdio_unwatch_window(struct char_stdio *stdio)
{
    loop_fd_remove(stdio->resize_watch);
    if (stdio->resize_fd >= 0)
        close(stdio->resize_fd);
    pthread_sigmask(SIG_SETMASK, &stdio->former_mask, NULL);
}

static void char_stdio_free(struct chardev *chr)
{
    struct char_stdio *stdio = container_of(chr, struct char_stdio, stream.chr);

    char_stream_fini(&stdio->stream);
    char_stdio_unwatch_window(stdio);
    if (stdio->shared_flags >= 0)
        fcntl(STDOUT_FILENO, F_SETFL, stdio->shared_flags);
    terminal_restore();
    atomic_flag_clear(&char_stdio_taken);
    free(stdio);
}

static const struct chardev_ops char_stdio_ops = {
    .kind = "stdio",
    .write = char_stream_write,
    .resume = char_stream_resume,
    .attached = char_stream_attached,
    .window = char_stdio_window,
    .free = char_stdio_free,
};

struct chardev *char_stdio_open(const struct chardev_config *config, struct loop *loop,
                                struct error *err)
{
    struct char_stdio *stdio;
    int in_fd;

    if (atomic_flag_test_and_set(&char_stdio_taken)) {
        error_set(err, "cannot use stdio by multiple character devices");
        return NULL;
    }
    stdio = xcalloc(1, sizeof(*stdio));
    stdio->shared_flags = -1;
    char_stream_init(&stdio->stream, &char_stdio_ops, NULL, config, loop);
    terminal_raw(STDIN_FILENO, config->signal);
    in_fd = char_stdio_open_input();
    char_stream_connect(&stdio->stream, in_fd, char_stdio_open_output(stdio));
    char_stdio_watch_window(stdio);
    return &stdio->stream.chr;
}
