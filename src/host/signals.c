/* SPDX-License-Identifier: MIT */
/* Signals that ask the process to end, as events of the loop. signalfd(2). */
#include "host/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/loop.h"

#define SIGNALS_NAME_MAX 256

struct signals {
    int fd;
    sigset_t former; /* the mask before us */
    struct loop_watch *watch;
    signals_fn *fn;
    void *arg;
};

static const int signals_wanted[] = { SIGINT, SIGTERM, SIGHUP };

/*
 * The first word of the sender's command line. It may have ended, or hide: then its name stays
 * unknown.
 */
static void signals_sender_name(u32 pid, char *name, size_t size)
{
    char path[32];
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, name, size - 1);
        close(fd);
    }
    if (n <= 0 || !name[0])
        snprintf(name, size, "<unknown process>");
    else
        name[n] = 0;
}

/* A key of the terminal has no sender. */
static void signals_report(const struct signalfd_siginfo *info)
{
    char name[SIGNALS_NAME_MAX];

    if (!info->ssi_pid) {
        log_error("terminating on signal %u", info->ssi_signo);
        return;
    }
    signals_sender_name(info->ssi_pid, name, sizeof(name));
    log_error("terminating on signal %u from pid %u (%s)", info->ssi_signo, info->ssi_pid, name);
}

static void signals_arrived(void *arg, u32 events)
{
    struct signals *signals = arg;
    struct signalfd_siginfo info;

    (void)events;
    if (read(signals->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    signals_report(&info);
    signals->fn(signals->arg);
}

static bool signals_is_ignored(int signal)
{
    struct sigaction old;

    return sigaction(signal, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
           old.sa_handler == SIG_IGN;
}

static void signals_set(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < ARRAY_SIZE(signals_wanted); i++)
        if (!signals_is_ignored(signals_wanted[i]))
            sigaddset(set, signals_wanted[i]);
}

struct signals *signals_new(struct loop *loop, signals_fn *fn, void *arg, struct error *err)
{
    struct signals *signals = xcalloc(1, sizeof(*signals));
    sigset_t set;

    signals->fn = fn;
    signals->arg = arg;
    signals_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, &signals->former);
    signals->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->fd >= 0)
        signals->watch = loop_fd_add(loop, signals->fd, EPOLLIN, NULL, signals_arrived, signals);
    if (!signals->watch) {
        error_set_errno(err, errno, "cannot receive signals");
        signals_free(signals);
        return NULL;
    }
    return signals;
}

void signals_free(struct signals *signals)
{
    if (!signals)
        return;
    loop_fd_remove(signals->watch);
    if (signals->fd >= 0)
        close(signals->fd);
    pthread_sigmask(SIG_SETMASK, &signals->former, NULL);
    free(signals);
}
