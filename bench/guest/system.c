/* SPDX-License-Identifier: MIT */
/* What the kernel does for a program: calls, clocks, pipes, processes, memory, signals, files. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define PAGE      4096u
#define FILE_NAME "bench-file"

static u64 run_syscall(u64 n)
{
    u64 same = 0;

    while (n--)
        same += syscall(SYS_getppid) >= 0;
    return same;
}

static u64 run_clock(u64 n)
{
    struct timespec ts;
    u64 good = 0;

    while (n--)
        good += clock_gettime(CLOCK_MONOTONIC, &ts) == 0;
    return good;
}

static void pipe_make(int fd[2])
{
    if (pipe(fd) < 0)
        bench_die("pipe");
}

static u64 run_pipe(u64 n)
{
    u64 sum = 0;
    int fd[2];

    pipe_make(fd);
    while (n--) {
        u8 byte = (u8)n;

        if (write(fd[1], &byte, 1) != 1 || read(fd[0], &byte, 1) != 1)
            bench_die("pipe transfer");
        sum = mix(sum, byte);
    }
    close(fd[0]);
    close(fd[1]);
    return sum;
}

static _Noreturn void echo(int from, int to)
{
    u8 byte;

    while (read(from, &byte, 1) == 1)
        if (write(to, &byte, 1) != 1)
            break;
    _exit(0);
}

static pid_t fork_or_die(void)
{
    pid_t pid = fork();

    if (pid < 0)
        bench_die("fork");
    return pid;
}

static u64 wait_for(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid)
        bench_die("wait");
    return (u64)status;
}

/* A byte to another process on the same CPU and back: two switches an operation. */
static u64 run_switch(u64 n)
{
    int there[2], back[2];
    u8 byte = 1;
    pid_t pid;

    pipe_make(there);
    pipe_make(back);
    pid = fork_or_die();
    if (!pid) {
        close(there[1]);
        echo(there[0], back[1]);
    }
    while (n--)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            bench_die("switch");
    close(there[1]);
    wait_for(pid);
    close(there[0]);
    close(back[0]);
    close(back[1]);
    return byte;
}

static u64 run_fork(u64 n)
{
    u64 sum = 0;

    while (n--) {
        pid_t pid = fork_or_die();

        if (!pid)
            _exit(3);
        sum += wait_for(pid);
    }
    return sum;
}

static u64 run_exec(u64 n)
{
    u64 sum = 0;

    while (n--) {
        pid_t pid = fork_or_die();

        if (!pid) {
            execl(self, self, EXEC_NOTHING, NULL);
            _exit(1);
        }
        sum += wait_for(pid);
    }
    return sum;
}

static void *thread_nothing(void *arg)
{
    return arg;
}

static u64 run_thread(u64 n)
{
    u64 sum = 0;

    while (n--) {
        pthread_t thread;
        void *result;

        if (pthread_create(&thread, NULL, thread_nothing, &sum) || pthread_join(thread, &result))
            bench_die("thread");
        sum += result == &sum;
    }
    return sum;
}

static u8 *map_pages(size_t size)
{
    u8 *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        bench_die("mmap");
    madvise(p, size, MADV_NOHUGEPAGE);
    return p;
}

/* Pages mapped, touched and unmapped, 64 at a time. */
static u64 run_page_fault(u64 n)
{
    u64 sum = 0;

    while (n) {
        u64 count = n < 64 ? n : 64;
        u8 *p = map_pages(64 * PAGE);

        for (u64 i = 0; i < count; i++) {
            p[i * PAGE] = 1;
            sum++;
        }
        munmap(p, 64 * PAGE);
        n -= count;
    }
    return sum;
}

/* One page made unwritable and writable again, and written. */
static u64 run_mprotect(u64 n)
{
    u8 *p = map_pages(4 * PAGE);
    u64 sum = 0;

    while (n--) {
        if (mprotect(p, PAGE, PROT_READ) || mprotect(p, PAGE, PROT_READ | PROT_WRITE))
            bench_die("mprotect");
        p[8] = (u8)n;
        sum += p[8];
    }
    munmap(p, 4 * PAGE);
    return sum;
}

static volatile sig_atomic_t signal_count;

static void signal_taken(int number)
{
    (void)number;
    signal_count++;
}

static void setup_signal(void)
{
    struct sigaction action = { .sa_handler = signal_taken };

    signal_count = 0;
    sigaction(SIGUSR1, &action, NULL);
}

static u64 run_signal(u64 n)
{
    pid_t pid = getpid();

    while (n--)
        kill(pid, SIGUSR1);
    return (u64)signal_count;
}

static void setup_file(void)
{
    int fd = open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || ftruncate(fd, 65536))
        bench_die(FILE_NAME);
    close(fd);
}

static u64 run_open(u64 n)
{
    u64 sum = 0;

    while (n--) {
        int fd = open(FILE_NAME, O_RDONLY);

        sum += fd >= 0;
        close(fd);
    }
    return sum;
}

static u64 run_stat(u64 n)
{
    struct stat st;
    u64 sum = 0;

    while (n--)
        sum += stat(FILE_NAME, &st) == 0 ? (u64)st.st_size : 0;
    return sum;
}

static u64 run_read(u64 n)
{
    int fd = open(FILE_NAME, O_RDONLY);
    u64 sum = 0;

    while (n--)
        sum += (u64)pread(fd, arena, PAGE, (off_t)((n & 15) * PAGE));
    close(fd);
    return sum;
}

const struct subtest system_tests[] = {
    { "syscall", run_syscall, 10, NULL, NULL, 0 },
    { "vdso-clock", run_clock, 10, NULL, NULL, 0 },
    { "pipe", run_pipe, 10, NULL, NULL, 0 },
    { "switch", run_switch, 10, NULL, NULL, 0 },
    { "fork", run_fork, 2, NULL, NULL, 0 },
    { "fork-exec", run_exec, 1, NULL, NULL, 0 },
    { "thread", run_thread, 2, NULL, NULL, 0 },
    { "page-fault", run_page_fault, 64, NULL, NULL, 0 },
    { "mprotect", run_mprotect, 10, NULL, NULL, 0 },
    { "signal", run_signal, 10, setup_signal, NULL, 0 },
    { "file-open", run_open, 10, setup_file, NULL, 0 },
    { "file-stat", run_stat, 10, setup_file, NULL, 0 },
    { "file-read-4K", run_read, 10, setup_file, NULL, 4096 },
    { NULL, NULL, 0, NULL, NULL, 0 },
};
