/* SPDX-License-Identifier: MIT */
/* Character backends: null, file and pipe, the log, buffering and throttling. */
#include "unit/host/test_frontend.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/mote-test-XXXXXX";

static char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static size_t slurp(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t n;

    assert_true(fd >= 0);
    n = read(fd, text, size - 1);
    close(fd);
    assert_true(n >= 0);
    text[n] = 0;
    return (size_t)n;
}

static void null_takes_everything(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_NULL, .id = "n" };
    struct test_frontend f;

    (void)state;
    test_frontend_start(&f, &config);
    assert_int_equal(test_frontend_write(&f, "hello", 5), 5);
    chardev_resume(f.chr);
    assert_string_equal(f.chr->id, "n");
    test_frontend_stop(&f);
    chardev_free(NULL);
}

static void file_is_written_soon_without_more_output(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_FILE, .id = "f", .path = path_of("file") };
    struct test_frontend f;
    char text[64];

    (void)state;
    test_frontend_start(&f, &config);
    assert_int_equal(test_frontend_write(&f, "hello", 5), 5);
    test_frontend_until(&f, slurp(config.path, text, sizeof(text)) == 5);
    assert_string_equal(text, "hello");
    test_frontend_stop(&f);
}

static void file_is_complete_after_free(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_FILE, .id = "f", .path = path_of("last") };
    struct test_frontend f;
    char text[64];

    (void)state;
    test_frontend_start(&f, &config);
    test_frontend_write(&f, "last words", 10);
    test_frontend_stop(&f);
    slurp(config.path, text, sizeof(text));
    assert_string_equal(text, "last words");
}

static void file_is_truncated_or_appended_to(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_FILE, .id = "f", .path = path_of("append") };
    struct test_frontend f;
    char text[64];

    (void)state;
    for (int i = 0; i < 3; i++) {
        config.append = i == 2;
        test_frontend_start(&f, &config);
        test_frontend_write(&f, "ab", 2);
        test_frontend_stop(&f);
    }
    slurp(config.path, text, sizeof(text));
    assert_string_equal(text, "abab");
}

static void file_that_cannot_be_opened_is_named(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_FILE, .id = "f", .path = "/nowhere/file" };
    struct error err = { "" };

    (void)state;
    assert_null(chardev_open(&config, NULL, &err));
    assert_string_equal(err.text, "could not open '/nowhere/file': No such file or directory");
}

static void log_file_gets_a_copy_of_the_output(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_NULL, .id = "n", .logfile = path_of("log") };
    struct test_frontend f;
    char text[64];

    (void)state;
    for (int i = 0; i < 2; i++) {
        config.logappend = i == 1;
        test_frontend_start(&f, &config);
        test_frontend_write(&f, "ab", 2);
        test_frontend_stop(&f);
    }
    slurp(config.logfile, text, sizeof(text));
    assert_string_equal(text, "abab");
}

static void log_file_that_cannot_be_opened_is_named(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_NULL, .id = "n", .logfile = "/nowhere/log" };
    struct error err = { "" };

    (void)state;
    assert_null(chardev_open(&config, NULL, &err));
    assert_string_equal(err.text,
                        "could not open the log file '/nowhere/log': No such file or directory");
}

static void full_disk_drops_output_and_says_so(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_FILE, .id = "full", .path = "/dev/full" };
    struct test_frontend f;

    (void)state;
    test_frontend_start(&f, &config);
    for (int i = 0; i < 40000; i++)
        assert_int_equal(test_frontend_write(&f, "hello", 5), 5);
    test_frontend_stop(&f);
}

struct pipes {
    struct test_frontend f;
    struct chardev_config config;
    int to_guest;
    int from_guest;
};

static void pipes_start(struct pipes *p, char *name, bool mux)
{
    char in[160], out[160];

    p->config =
        (struct chardev_config){ .kind = CHARDEV_PIPE, .id = "p", .path = name, .mux = mux };
    snprintf(in, sizeof(in), "%s.in", name);
    snprintf(out, sizeof(out), "%s.out", name);
    assert_int_equal(mkfifo(in, 0600), 0);
    assert_int_equal(mkfifo(out, 0600), 0);
    test_frontend_start(&p->f, &p->config);
    p->to_guest = open(in, O_WRONLY | O_NONBLOCK);
    p->from_guest = open(out, O_RDONLY | O_NONBLOCK);
    assert_true(p->to_guest >= 0 && p->from_guest >= 0);
}

static void pipes_stop(struct pipes *p)
{
    close(p->to_guest);
    close(p->from_guest);
    test_frontend_stop(&p->f);
}

static void pipe_carries_both_directions(void **state)
{
    struct pipes p;
    char text[16] = "";

    (void)state;
    pipes_start(&p, path_of("both"), false);
    test_frontend_until(&p.f, p.f.opened == 1);
    assert_int_equal(write(p.to_guest, "in\1x", 4), 4);
    test_frontend_until(&p.f, p.f.count == 4);
    assert_memory_equal(p.f.text, "in\1x", 4);
    assert_int_equal(p.f.quits, 0);
    test_frontend_write(&p.f, "out", 3);
    test_frontend_until(&p.f, read(p.from_guest, text, sizeof(text)) == 3);
    assert_string_equal(text, "out");
    pipes_stop(&p);
}

static void single_named_pipe_works_too(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_PIPE, .id = "p", .path = path_of("single") };
    struct test_frontend f;

    (void)state;
    assert_int_equal(mkfifo(config.path, 0600), 0);
    test_frontend_start(&f, &config);
    test_frontend_write(&f, "echo", 4); /* one pipe: we read what we wrote */
    test_frontend_until(&f, f.count == 4);
    test_frontend_stop(&f);
}

static void missing_pipe_is_named(void **state)
{
    struct chardev_config config = { .kind = CHARDEV_PIPE, .id = "p", .path = "/nowhere/p" };
    struct error err = { "" };

    (void)state;
    assert_null(chardev_open(&config, NULL, &err));
    assert_string_equal(err.text,
                        "could not open '/nowhere/p.in' and '/nowhere/p.out', nor '/nowhere/p': "
                        "No such file or directory");
}

/* The guest's receive FIFO takes a byte or sixteen; nothing may be read that has no place. */
static void input_waits_for_room(void **state)
{
    struct pipes p;

    (void)state;
    pipes_start(&p, path_of("room"), false);
    p.f.room = 2;
    assert_int_equal(write(p.to_guest, "abcdefg", 7), 7);
    test_frontend_until(&p.f, p.f.count == 2);
    loop_poll(p.f.loop, 30);
    assert_int_equal(p.f.count, 2);
    test_frontend_make_room(&p.f, 3);
    test_frontend_until(&p.f, p.f.count == 5);
    loop_poll(p.f.loop, 30);
    assert_int_equal(p.f.count, 5);
    test_frontend_make_room(&p.f, 10);
    test_frontend_until(&p.f, p.f.count == 7);
    assert_memory_equal(p.f.text, "abcdefg", 7);
    pipes_stop(&p);
}

static void slow_reader_fills_the_buffer_and_is_waited_for(void **state)
{
    static u8 data[300000], got[300000];
    size_t sent, received = 0;
    struct pipes p;
    ssize_t n;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (u8)(i * 7 + i / 251);
    pipes_start(&p, path_of("slow"), false);
    sent = test_frontend_write(&p.f, data, sizeof(data));
    sent += test_frontend_write(&p.f, data + sent, sizeof(data) - sent);
    assert_true(sent >= 65536 && sent < sizeof(data)); /* ours, and the pipe's own */
    assert_int_equal(p.f.writable, 0);
    while (received < sizeof(data)) {
        unsigned told = p.f.writable;

        n = read(p.from_guest, got + received, sizeof(got) - received);
        received += n > 0 ? (size_t)n : 0;
        loop_poll(p.f.loop, 10);
        if (sent < sizeof(data) && p.f.writable != told)
            sent += test_frontend_write(&p.f, data + sent, sizeof(data) - sent);
    }
    assert_memory_equal(got, data, sizeof(data));
    assert_true(p.f.writable > 0);
    pipes_stop(&p);
}

static void reader_that_is_stuck_does_not_hold_up_the_end(void **state)
{
    static u8 data[200000];
    struct pipes p;

    (void)state;
    pipes_start(&p, path_of("stuck"), false);
    test_frontend_write(&p.f, data, sizeof(data));
    pipes_stop(&p);
}

#define WRITER_BYTES 200000u

/* A vCPU in small: writes byte by byte, and waits where a byte is refused. */
static void *writer_run(void *arg)
{
    struct test_frontend *f = arg;

    for (unsigned i = 0; i < WRITER_BYTES;) {
        u8 byte = (u8)(i % 251);

        if (test_frontend_write(f, &byte, 1))
            i++;
        else
            usleep(100);
    }
    return NULL;
}

static void writer_on_another_thread_loses_nothing(void **state)
{
    static u8 got[WRITER_BYTES];
    size_t received = 0;
    pthread_t thread;
    struct pipes p;

    (void)state;
    pipes_start(&p, path_of("thread"), false);
    pthread_create(&thread, NULL, writer_run, &p.f);
    for (int i = 0; i < 20000 && received < WRITER_BYTES; i++) {
        ssize_t n;

        loop_poll(p.f.loop, 1);
        n = read(p.from_guest, got + received, WRITER_BYTES - received);
        received += n > 0 ? (size_t)n : 0;
    }
    pthread_join(thread, NULL);
    assert_int_equal(received, WRITER_BYTES);
    for (size_t i = 0; i < WRITER_BYTES; i++)
        assert_int_equal(got[i], i % 251);
    pipes_stop(&p);
}

static void mux_escapes_act_and_the_rest_passes(void **state)
{
    char text[512] = "";
    struct pipes p;

    (void)state;
    pipes_start(&p, path_of("mux"), true);
    assert_int_equal(write(p.to_guest, "a\1b\1\1z", 6), 6);
    test_frontend_until(&p.f, p.f.count == 3);
    assert_memory_equal(p.f.text, "a\1z", 3);
    assert_int_equal(p.f.breaks, 1);
    assert_int_equal(write(p.to_guest, "\1h", 2), 2);
    test_frontend_until(&p.f, read(p.from_guest, text, sizeof(text) - 1) > 0);
    assert_non_null(strstr(text, "Ctrl-A x"));
    assert_int_equal(write(p.to_guest, "\1x", 2), 2);
    test_frontend_until(&p.f, p.f.quits == 1);
    pipes_stop(&p);
}

/* A machine without a serial port: the user must still be able to leave. */
static void mux_quits_without_a_frontend(void **state)
{
    struct chardev_config config = {
        .kind = CHARDEV_PIPE, .id = "p", .path = path_of("alone"), .mux = true
    };
    struct test_frontend f;
    struct error err;
    int fd;

    (void)state;
    assert_int_equal(mkfifo(config.path, 0600), 0);
    test_frontend_init(&f);
    f.chr = chardev_open(&config, f.loop, &err);
    assert_non_null(f.chr);
    chardev_set_quit(f.chr, test_frontend_quit, &f);
    fd = open(config.path, O_WRONLY | O_NONBLOCK);
    assert_int_equal(write(fd, "abc\1x", 5), 5);
    test_frontend_until(&f, f.quits == 1);
    close(fd);
    test_frontend_stop(&f);
}

static int remove_dir(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_takes_everything),
        cmocka_unit_test(file_is_written_soon_without_more_output),
        cmocka_unit_test(file_is_complete_after_free),
        cmocka_unit_test(file_is_truncated_or_appended_to),
        cmocka_unit_test(file_that_cannot_be_opened_is_named),
        cmocka_unit_test(log_file_gets_a_copy_of_the_output),
        cmocka_unit_test(log_file_that_cannot_be_opened_is_named),
        cmocka_unit_test(full_disk_drops_output_and_says_so),
        cmocka_unit_test(pipe_carries_both_directions),
        cmocka_unit_test(single_named_pipe_works_too),
        cmocka_unit_test(missing_pipe_is_named),
        cmocka_unit_test(input_waits_for_room),
        cmocka_unit_test(slow_reader_fills_the_buffer_and_is_waited_for),
        cmocka_unit_test(reader_that_is_stuck_does_not_hold_up_the_end),
        cmocka_unit_test(writer_on_another_thread_loses_nothing),
        cmocka_unit_test(mux_escapes_act_and_the_rest_passes),
        cmocka_unit_test(mux_quits_without_a_frontend),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
