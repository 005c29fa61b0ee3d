/* SPDX-License-Identifier: MIT */
/* The process's terminal: raw mode, and back on every way out. termios(3), signal-safety(7). */
#include "host/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/bits.h"

/* Signals that end the process unless somebody handles them. */
static const int terminal_fatal[] = { SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT,
                                      SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGTERM };

/* Written before `raw` is set, and not while it is: a signal handler may read it. */
static struct {
    _Atomic int raw;
    int fd;
    bool exit_registered;
    struct termios saved;
    struct termios wanted;
} terminal;

/* tcsetattr from the background stops the process: not then. */
static void terminal_apply(const struct termios *attributes)
{
    int saved = errno;

    if (tcgetpgrp(terminal.fd) == getpgrp())
        tcsetattr(terminal.fd, TCSANOW, attributes);
    errno = saved;
}

void terminal_restore(void)
{
    if (atomic_exchange(&terminal.raw, 0))
        terminal_apply(&terminal.saved);
}

static void terminal_set_handler(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

/* Installed with SA_RESETHAND: what is raised here does what it would have done without us. */
static void terminal_on_fatal(int signal)
{
    terminal_restore();
    raise(signal);
}

static void terminal_on_stop(int signal)
{
    sigset_t unblock;
    int saved = errno;

    if (atomic_load(&terminal.raw))
        terminal_apply(&terminal.saved);
    terminal_set_handler(SIGTSTP, SIG_DFL, 0);
    raise(signal);
    sigemptyset(&unblock);
    sigaddset(&unblock, signal);
    pthread_sigmask(SIG_UNBLOCK, &unblock, NULL); /* here the process stands still */
    terminal_set_handler(SIGTSTP, terminal_on_stop, SA_RESTART);
    errno = saved;
}

/* A fresh start in the foreground; in the background it stays as it is until the next one. */
static void terminal_on_continue(int signal)
{
    (void)signal;
    if (atomic_load(&terminal.raw))
        terminal_apply(&terminal.wanted);
}

static bool terminal_is_default(int signal)
{
    struct sigaction old;

    return sigaction(signal, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
           old.sa_handler == SIG_DFL;
}

static void terminal_catch_signals(bool signals)
{
    for (size_t i = 0; i < ARRAY_SIZE(terminal_fatal); i++)
        if (terminal_is_default(terminal_fatal[i]))
            terminal_set_handler(terminal_fatal[i], terminal_on_fatal, SA_RESETHAND);
    if (signals && terminal_is_default(SIGTSTP))
        terminal_set_handler(SIGTSTP, terminal_on_stop, SA_RESTART);
    if (terminal_is_default(SIGCONT))
        terminal_set_handler(SIGCONT, terminal_on_continue, SA_RESTART);
}

/* Output processing stays as it is, so that our own messages do not turn into stairs. */
static void terminal_make_raw(struct termios *t, bool signals)
{
    tcflag_t output = t->c_oflag;

    cfmakeraw(t);
    t->c_oflag = output;
    t->c_cc[VMIN] = 1;
    t->c_cc[VTIME] = 0;
    if (signals)
        t->c_lflag |= ISIG;
}

void terminal_raw(int fd, bool signals)
{
    if (!isatty(fd) || atomic_load(&terminal.raw) || tcgetattr(fd, &terminal.saved) < 0)
        return;
    terminal.fd = fd;
    terminal.wanted = terminal.saved;
    terminal_make_raw(&terminal.wanted, signals);
    if (!terminal.exit_registered) {
        atexit(terminal_restore);
        terminal.exit_registered = true;
    }
    atomic_store(&terminal.raw, 1);
    terminal_catch_signals(signals);
    terminal_apply(&terminal.wanted);
}

bool terminal_window(int fd, u16 *cols, u16 *rows)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
        return false;
    *cols = size.ws_col;
    *rows = size.ws_row;
    return true;
}
