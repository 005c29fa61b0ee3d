/* SPDX-License-Identifier: MIT */
/*
 * The process's own terminal: raw while it is used, as it was on every way out. Each test runs a
 * child on a pseudo-terminal of its own and looks at it from the other side.
 */
#include "unit/host/test_frontend.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "host/signals.h"

enum way_out { BY_FREE, BY_EXIT, BY_ABORT, BY_FAULT, BY_SIGNAL };

struct child {
    pid_t pid;
    int master;
    int slave; /* kept open: the attributes must outlive the child */
    bool mux;
    bool signals;
    enum way_out way_out;
};

static void child_quit(void *arg)
{
    loop_quit(arg);
}

static void child_leave(enum way_out way_out)
{
    const struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, way_out == BY_FAULT ? SIG_DFL : SIG_IGN); /* the sanitizers' handler off */
    if (way_out == BY_ABORT)
        abort();
    if (way_out == BY_EXIT)
        exit(3);
}

/* Echo what comes, in capitals between brackets; leave at 'Q' or Ctrl-A x. */
struct echo {
    struct loop *loop;
    struct chardev *chr;
    enum way_out way_out;
};

static size_t echo_room(void *arg)
{
    (void)arg;
    return 16;
}

static void echo_receive(void *arg, const u8 *data, size_t size)
{
    struct echo *echo = arg;

    for (size_t i = 0; i < size; i++) {
        char text[8];

        snprintf(text, sizeof(text), "<%02x>", data[i]);
        chardev_write(echo->chr, (const u8 *)text, 4);
        if (data[i] == 'Q') {
            child_leave(echo->way_out);
            loop_quit(echo->loop);
        }
        if (data[i] == 'F')
            kill(getpid(), SIGSEGV);
    }
}

static void child_main(const struct child *c)
{
    struct chardev_config config = {
        .kind = CHARDEV_STDIO, .id = "s", .mux = c->mux, .signal = !c->mux
    };
    struct echo echo = { .way_out = c->way_out };
    const struct chardev_frontend frontend = { .can_receive = echo_room,
                                               .receive = echo_receive,
                                               .arg = &echo };
    struct signals *signals = NULL;
    struct clock clock;
    struct error err;

    clock_init(&clock);
    if (c->way_out == BY_FAULT)
        child_leave(BY_FAULT);
    echo.loop = loop_new(&clock, &err);
    echo.chr = chardev_open(&config, echo.loop, &err);
    if (!echo.chr || !chardev_attach(echo.chr, &frontend))
        _exit(99);
    chardev_set_quit(echo.chr, child_quit, echo.loop);
    if (c->signals)
        signals = signals_new(echo.loop, child_quit, echo.loop, &err);
    chardev_write(echo.chr, (const u8 *)"ready\n", 6);
    loop_run(echo.loop);
    chardev_free(echo.chr);
    signals_free(signals);
    loop_free(echo.loop);
    _exit(7);
}

static void child_start(struct child *c)
{
    char name[64];

    c->master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_int_equal(grantpt(c->master) | unlockpt(c->master), 0);
    assert_int_equal(ptsname_r(c->master, name, sizeof(name)), 0);
    c->slave = open(name, O_RDWR | O_NOCTTY);
    fflush(stdout);
    c->pid = fork();
    if (c->pid == 0) {
        setsid();
        ioctl(c->slave, TIOCSCTTY, 0);
        for (int fd = 0; fd < 3; fd++)
            dup2(c->slave, fd);
        close(c->master);
        close(c->slave);
        child_main(c);
    }
}

/* Collect what the child prints until `text` is in it. */
static void child_expect(struct child *c, const char *text)
{
    char seen[1024] = "";
    size_t used = 0;

    while (!strstr(seen, text)) {
        struct pollfd p = { .fd = c->master, .events = POLLIN };
        ssize_t n;

        if (poll(&p, 1, 5000) != 1)
            fail_msg("'%s' did not come, but '%s'", text, seen);
        n = read(c->master, seen + used, sizeof(seen) - 1 - used);
        assert_true(n > 0);
        used += (size_t)n;
        seen[used] = 0;
    }
}

static tcflag_t child_local_modes(struct child *c)
{
    struct termios t;

    assert_int_equal(tcgetattr(c->slave, &t), 0);
    return t.c_lflag;
}

static void child_type(struct child *c, const char *text)
{
    assert_int_equal(write(c->master, text, strlen(text)), strlen(text));
}

static int child_wait(struct child *c)
{
    int status = 0;

    for (int i = 0; i < 500 && waitpid(c->pid, &status, WNOHANG) == 0; i++)
        usleep(10000);
    return status;
}

/* The child has left: all is as it was. Returns the wait status. */
static int child_end(struct child *c)
{
    int status = child_wait(c);

    assert_int_equal(child_local_modes(c) & (ECHO | ICANON | ISIG), ECHO | ICANON | ISIG);
    close(c->master);
    close(c->slave);
    return status;
}

static void terminal_is_raw_while_it_is_used(void **state)
{
    struct child c = { .way_out = BY_FREE };
    int status;

    (void)state;
    child_start(&c);
    assert_int_equal(child_local_modes(&c) & ICANON, ICANON);
    child_expect(&c, "ready\r\n"); /* output processing stays on */
    assert_int_equal(child_local_modes(&c) & (ECHO | ICANON | ISIG | IEXTEN), ISIG);
    child_type(&c, "a\r\x11");
    child_expect(&c, "<61><0d><11>"); /* no echo, no lines, no XON */
    child_type(&c, "Q");
    status = child_end(&c);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void mux_passes_control_c_and_quits_by_its_key(void **state)
{
    struct child c = { .mux = true };
    int status;

    (void)state;
    child_start(&c);
    child_expect(&c, "ready");
    assert_int_equal(child_local_modes(&c) & (ECHO | ICANON | ISIG), 0);
    child_type(&c, "\x03\x1a");
    child_expect(&c, "<03><1a>");
    child_type(&c, "\1h");
    child_expect(&c, "Ctrl-A x");
    child_type(&c, "\1x");
    status = child_end(&c);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void exit_and_abort_restore_the_terminal(void **state)
{
    struct child c = { .way_out = BY_EXIT };
    int status;

    (void)state;
    child_start(&c);
    child_expect(&c, "ready");
    child_type(&c, "Q");
    status = child_end(&c);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);

    c = (struct child){ .way_out = BY_ABORT };
    child_start(&c);
    child_expect(&c, "ready");
    child_type(&c, "Q");
    status = child_end(&c);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void fatal_signals_restore_the_terminal(void **state)
{
    static const int signals[] = { SIGSEGV, SIGQUIT, SIGTERM, SIGINT };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        struct child c = { .way_out = BY_FAULT };
        int status;

        child_start(&c);
        child_expect(&c, "ready");
        kill(c.pid, signals[i]);
        status = child_end(&c);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
    }
}

static void control_c_ends_the_loop_and_is_reported(void **state)
{
    struct child c = { .signals = true };
    int status;

    (void)state;
    child_start(&c);
    child_expect(&c, "ready");
    child_type(&c, "\x03");
    child_expect(&c, "mote: terminating on signal 2\r\n");
    status = child_end(&c);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void stopped_process_gives_the_terminal_back_meanwhile(void **state)
{
    struct child c = { .way_out = BY_FREE };
    int status;

    (void)state;
    child_start(&c);
    child_expect(&c, "ready");
    kill(c.pid, SIGTSTP);
    for (int i = 0; i < 500 && !(child_local_modes(&c) & ICANON); i++)
        usleep(10000);
    assert_int_equal(child_local_modes(&c) & (ECHO | ICANON), ECHO | ICANON);
    kill(c.pid, SIGCONT);
    for (int i = 0; i < 500 && (child_local_modes(&c) & ICANON); i++)
        usleep(10000);
    assert_int_equal(child_local_modes(&c) & (ECHO | ICANON), 0);
    child_type(&c, "z");
    child_expect(&c, "<7a>");
    child_type(&c, "Q");
    status = child_end(&c);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void shared_descriptors_keep_their_flags(void **state)
{
    struct child c = { .way_out = BY_FREE };

    (void)state;
    child_start(&c);
    child_expect(&c, "ready");
    assert_int_equal(fcntl(c.slave, F_GETFL) & O_NONBLOCK, 0);
    child_type(&c, "Q");
    child_end(&c);
}

/* stdin and stdout of this process, replaced for one test. */
struct redirected {
    int in, out;
};

static struct redirected redirect(int in, int out)
{
    struct redirected old = { dup(0), dup(1) };

    fflush(stdout);
    dup2(in, 0);
    dup2(out, 1);
    return old;
}

static void redirect_back(struct redirected old)
{
    dup2(old.in, 0);
    dup2(old.out, 1);
    close(old.in);
    close(old.out);
}

static void end_of_input_stops_input_alone(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_STDIO, .id = "s", .signal = true };
    int null = open("/dev/null", O_RDONLY), pipes[2];
    struct redirected old;
    struct test_frontend f;
    char text[16] = "";

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    old = redirect(null, pipes[1]);
    test_frontend_start(&f, &config);
    loop_poll(f.loop, 20);
    test_frontend_write(&f, "still here", 10);
    test_frontend_stop(&f);
    redirect_back(old);
    assert_int_equal(f.closed, 0);
    assert_int_equal(read(pipes[0], text, sizeof(text) - 1), 10);
    assert_string_equal(text, "still here");
    assert_int_equal(fcntl(pipes[1], F_GETFL) & O_NONBLOCK, 0);
    close(null);
    close(pipes[0]);
    close(pipes[1]);
}

static void regular_files_work_for_both(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_STDIO, .id = "s" };
    FILE *in = tmpfile(), *out = tmpfile();
    struct redirected old;
    struct test_frontend f;
    char text[16] = "";

    (void)state;
    fputs("input", in);
    rewind(in);
    old = redirect(fileno(in), fileno(out));
    test_frontend_start(&f, &config);
    f.room = 2;
    loop_poll(f.loop, 20);
    assert_int_equal(f.count, 2);
    test_frontend_make_room(&f, 10);
    test_frontend_until(&f, f.count == 5);
    test_frontend_write(&f, "output", 6);
    test_frontend_stop(&f);
    redirect_back(old);
    rewind(out);
    assert_non_null(fgets(text, sizeof(text), out));
    assert_string_equal(text, "output");
    fclose(in);
    fclose(out);
}

static void reader_of_stdout_that_leaves_does_not_stop_input(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_STDIO, .id = "s" };
    struct redirected old;
    struct test_frontend f;
    int in[2], out[2];

    (void)state;
    assert_int_equal(pipe(in) | pipe(out), 0);
    old = redirect(in[0], out[1]);
    test_frontend_start(&f, &config);
    close(out[0]);
    test_frontend_write(&f, "x", 1);
    loop_poll(f.loop, 20);
    assert_int_equal(write(in[1], "abc", 3), 3);
    test_frontend_until(&f, f.count == 3);
    assert_int_equal(test_frontend_write(&f, "dropped", 7), 7);
    test_frontend_stop(&f);
    redirect_back(old);
    close(in[0]);
    close(in[1]);
    close(out[1]);
}

static void second_user_of_stdio_is_refused(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_STDIO, .id = "s" };
    int null = open("/dev/null", O_RDWR);
    struct redirected old;
    struct test_frontend f;
    struct error err = { "" };
    struct chardev *second;

    (void)state;
    old = redirect(null, null);
    test_frontend_start(&f, &config);
    second = chardev_open(&config, f.loop, &err);
    test_frontend_stop(&f);
    test_frontend_start(&f, &config); /* free again */
    test_frontend_stop(&f);
    redirect_back(old);
    close(null);
    assert_null(second);
    assert_string_equal(err.text, "cannot use stdio by multiple character devices");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terminal_is_raw_while_it_is_used),
        cmocka_unit_test(mux_passes_control_c_and_quits_by_its_key),
        cmocka_unit_test(exit_and_abort_restore_the_terminal),
        cmocka_unit_test(fatal_signals_restore_the_terminal),
        cmocka_unit_test(control_c_ends_the_loop_and_is_reported),
        cmocka_unit_test(stopped_process_gives_the_terminal_back_meanwhile),
        cmocka_unit_test(shared_descriptors_keep_their_flags),
        cmocka_unit_test(end_of_input_stops_input_alone),
        cmocka_unit_test(regular_files_work_for_both),
        cmocka_unit_test(reader_of_stdout_that_leaves_does_not_stop_input),
        cmocka_unit_test(second_user_of_stdio_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
