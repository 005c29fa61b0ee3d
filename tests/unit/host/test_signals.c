/* SPDX-License-Identifier: MIT */
/* Signals that ask the process to end, the PID file, and going to the background. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/clock.h"
#include "host/daemon.h"
#include "host/loop.h"
#include "host/pidfile.h"
#include "host/signals.h"

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

/* Send ourselves `signal`; what is printed about it goes to `line`. */
static void take_signal(int signal, char *line, size_t size)
{
    struct clock clock;
    struct error err;
    struct loop *loop;
    struct signals *signals;
    unsigned taken = 0;
    int fds[2], stderr_fd = dup(STDERR_FILENO);
    ssize_t n;

    assert_int_equal(pipe(fds), 0);
    clock_init_manual(&clock, 0);
    loop = loop_new(&clock, &err);
    signals = signals_new(loop, count, &taken, &err);
    assert_non_null(signals);
    dup2(fds[1], STDERR_FILENO);
    kill(getpid(), signal);
    loop_poll(loop, 5000);
    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    assert_int_equal(taken, 1);
    signals_free(signals);
    signals_free(NULL);
    loop_free(loop);
    n = read(fds[0], line, size - 1);
    assert_true(n > 0);
    line[n] = 0;
    close(fds[0]);
    close(fds[1]);
}

static void signals_are_named_with_their_sender(void **state)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    char line[512], start[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        take_signal(signals[i], line, sizeof(line));
        snprintf(start, sizeof(start), "mote: terminating on signal %d from pid %d (", signals[i],
                 (int)getpid());
        assert_memory_equal(line, start, strlen(start));
        assert_non_null(strstr(line, "test_host_signals)\n"));
    }
}

static void former_handling_comes_back(void **state)
{
    sigset_t before, after;
    char line[512];

    (void)state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    take_signal(SIGTERM, line, sizeof(line));
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

static void ignored_hangup_stays_ignored(void **state)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
    struct clock clock;
    struct signals *signals;
    struct error err;
    struct loop *loop;
    unsigned taken = 0;

    (void)state;
    sigaction(SIGHUP, &ignore, &old);
    clock_init_manual(&clock, 0);
    loop = loop_new(&clock, &err);
    signals = signals_new(loop, count, &taken, &err);
    kill(getpid(), SIGHUP);
    loop_poll(loop, 20);
    assert_int_equal(taken, 0);
    signals_free(signals);
    loop_free(loop);
    sigaction(SIGHUP, &old, NULL);
}

static void pidfile_holds_the_pid_and_goes(void **state)
{
    char path[] = "/tmp/mote-test-pid-XXXXXX", text[32] = "";
    struct pidfile *pidfile;
    struct error err;
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, "something that was there before\n", 32), 32);
    pidfile = pidfile_new(path, &err);
    assert_non_null(pidfile);
    assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
    assert_int_equal(atoi(text), getpid());
    assert_int_equal(text[strlen(text) - 1], '\n');
    pidfile_free(pidfile);
    assert_int_equal(access(path, F_OK), -1);
    pidfile_free(NULL);
    close(fd);
}

static void pidfile_of_a_running_process_is_respected(void **state)
{
    char path[] = "/tmp/mote-test-pid-XXXXXX", text[32] = "";
    struct pidfile *pidfile;
    struct error err = { "" };
    int fd = mkstemp(path);

    (void)state;
    pidfile = pidfile_new(path, &err);
    assert_non_null(pidfile);
    assert_null(pidfile_new(path, &err));
    assert_non_null(strstr(err.text, "held by a running process"));
    assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
    pidfile_free(pidfile);
    close(fd);
}

static void child_does_not_remove_the_pidfile(void **state)
{
    char path[] = "/tmp/mote-test-pid-XXXXXX";
    struct pidfile *pidfile;
    struct error err;
    pid_t child;

    (void)state;
    close(mkstemp(path));
    pidfile = pidfile_new(path, &err);
    child = fork();
    if (!child) {
        pidfile_free(pidfile);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    assert_int_equal(access(path, F_OK), 0);
    pidfile_free(pidfile);
    assert_int_equal(access(path, F_OK), -1);
}

static void pidfile_that_cannot_be_made_is_named(void **state)
{
    struct error err;

    (void)state;
    assert_null(pidfile_new("/nowhere/pid", &err));
    assert_string_equal(err.text, "cannot create PID file: could not create '/nowhere/pid': "
                                  "No such file or directory");
    assert_null(pidfile_new("/dev/full", &err));
    assert_non_null(strstr(err.text, "cannot create PID file: "));
}

/* A child that goes to the background, or fails before it; its report comes through `fd`. */
static int daemon_status(bool fails, int fd)
{
    struct daemon daemon;
    struct error err;
    int status = 0;
    pid_t starter;

    fflush(stdout);
    starter = fork();
    if (!starter) {
        enum daemon_side side = daemon_start(&daemon, &err);

        if (side == DAEMON_PARENT)
            _exit(daemon.status);
        if (side == DAEMON_CHILD && !fails && daemon_ready(&daemon, &err))
            dprintf(fd, "%d %d %s\n", getsid(0) == getpid(), isatty(0),
                    getcwd((char[64]){ 0 }, 64));
        _exit(9);
    }
    waitpid(starter, &status, 0);
    return WEXITSTATUS(status);
}

static void daemon_reports_success_when_it_is_ready(void **state)
{
    char line[64] = "";
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(daemon_status(false, fds[1]), 0);
    assert_true(read(fds[0], line, sizeof(line) - 1) > 0);
    assert_string_equal(line, "1 0 /\n");
    close(fds[0]);
    close(fds[1]);
}

static void daemon_that_fails_early_is_reported(void **state)
{
    (void)state;
    assert_int_equal(daemon_status(true, -1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_named_with_their_sender),
        cmocka_unit_test(former_handling_comes_back),
        cmocka_unit_test(ignored_hangup_stays_ignored),
        cmocka_unit_test(pidfile_holds_the_pid_and_goes),
        cmocka_unit_test(pidfile_of_a_running_process_is_respected),
        cmocka_unit_test(child_does_not_remove_the_pidfile),
        cmocka_unit_test(pidfile_that_cannot_be_made_is_named),
        cmocka_unit_test(daemon_reports_success_when_it_is_ready),
        cmocka_unit_test(daemon_that_fails_early_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
