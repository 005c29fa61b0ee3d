/* SPDX-License-Identifier: MIT */
/*
 * Disk transfers from inside a guest, as its /init: /dev/vda with O_DIRECT, by the kernel's asynchronous interface
 * (io_submit(2)), so that the queue depth is real. Prints "disk NAME VALUE UNIT" and resets the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 32
#define SECONDS   1.0

struct test {
    const char *name;
    int write;
    unsigned size, depth;
    int random;
};

static const struct test tests[] = {
    { "read-1M-sequential", 0, 1 << 20, 4, 0 },   { "write-1M-sequential", 1, 1 << 20, 4, 0 },
    { "read-4K-random-depth-1", 0, 4096, 1, 1 },  { "read-4K-random-depth-32", 0, 4096, 32, 1 },
    { "write-4K-random-depth-1", 1, 4096, 1, 1 }, { "write-4K-random-depth-32", 1, 4096, 32, 1 },
};

static uint64_t seed = 88172645463325252u;

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static uint64_t random_next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static _Noreturn void die(const char *what)
{
    printf("disk-failed %s: %s\n", what, strerror(errno));
    fflush(stdout);
    for (;;)
        reboot(RB_AUTOBOOT);
}

static void submit(aio_context_t context, const struct test *t, uint64_t blocks, struct iocb *cb,
                   uint64_t *at)
{
    uint64_t block = t->random ? random_next() % blocks : (*at)++ % blocks;

    cb->aio_offset = (int64_t)(block * t->size);
    if (syscall(SYS_io_submit, context, 1, &cb) != 1)
        die("io_submit");
}

static void run(const struct test *t, int fd, uint64_t size, char *buffers)
{
    static struct iocb cbs[DEPTH_MAX];
    struct io_event events[DEPTH_MAX];
    uint64_t done = 0, at = 0, blocks = size / t->size;
    unsigned flying = 0;
    aio_context_t context = 0;
    double start, end;

    if (syscall(SYS_io_setup, DEPTH_MAX, &context))
        die("io_setup");
    start = now();
    for (unsigned i = 0; i < t->depth; i++, flying++) {
        cbs[i] = (struct iocb){ .aio_lio_opcode = t->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
                                .aio_fildes = (uint32_t)fd,
                                .aio_buf = (uintptr_t)(buffers + (size_t)i * (1 << 20)),
                                .aio_nbytes = t->size };
        submit(context, t, blocks, &cbs[i], &at);
    }
    while (flying) {
        long n = syscall(SYS_io_getevents, context, 1, DEPTH_MAX, events, NULL);

        if (n < 1)
            die("io_getevents");
        for (long i = 0; i < n; i++) {
            if (events[i].res != (int64_t)t->size)
                die("transfer");
            done++;
            flying--;
            if (now() - start < SECONDS) {
                submit(context, t, blocks, (struct iocb *)(uintptr_t)events[i].obj, &at);
                flying++;
            }
        }
    }
    end = now();
    syscall(SYS_io_destroy, context);
    if (t->random)
        printf("disk %s %.0f IOPS\n", t->name, (double)done / (end - start));
    else
        printf("disk %s %.0f MB/s\n", t->name, (double)(done * t->size) / (end - start) / 1e6);
}

int main(void)
{
    char *buffers;
    uint64_t size;
    int fd;

    mount("dev", "/dev", "devtmpfs", 0, NULL);
    fd = open("/dev/vda", O_RDWR | O_DIRECT);
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0)
        die("/dev/vda");
    if (posix_memalign((void **)&buffers, 4096, (size_t)DEPTH_MAX << 20))
        die("memory");
    memset(buffers, 0x5A, (size_t)DEPTH_MAX << 20);
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        run(&tests[i], fd, size, buffers);
    printf("disk-end\n");
    fflush(stdout);
    reboot(RB_AUTOBOOT);
    return 0;
}
