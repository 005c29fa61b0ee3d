/* SPDX-License-Identifier: MIT */
/*
 * vsock streams for the tests, in the guest.
 *
 *   vsock listen PORT [COUNT]   echo what COUNT clients say (1), each to its end
 *   vsock connect PORT          stdin to the host's PORT, what it answers to stdout
 */
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char buffer[65536];

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int put(int fd, const char *data, ssize_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0)
            return -1;
        data += n;
        size -= n;
    }
    return 0;
}

static int echo(int fd)
{
    ssize_t n;

    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        if (put(fd, buffer, n) < 0)
            return fail("write");
    return n < 0 ? fail("read") : 0;
}

static int serve(unsigned port, int count)
{
    struct sockaddr_vm address = { .svm_family = AF_VSOCK,
                                   .svm_cid = VMADDR_CID_ANY,
                                   .svm_port = port };
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0);
    int status = 0, bad = 0;

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 128) < 0)
        return fail("listen");
    printf("vsock: listening\n");
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0)
            return fail("accept");
        if (fork() == 0)
            _exit(echo(fd));
        close(fd);
    }
    for (int i = 0; i < count; i++)
        bad += wait(&status) < 0 || status;
    printf("vsock: %d served, %d badly\n", count, bad);
    return bad != 0;
}

/* Both ways at once: neither side has to have room for all of it. */
static int talk(unsigned port)
{
    struct sockaddr_vm address = { .svm_family = AF_VSOCK,
                                   .svm_cid = VMADDR_CID_HOST,
                                   .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    ssize_t n;
    pid_t child;
    int status;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return fail("connect");
    child = fork();
    if (child == 0) {
        while ((n = read(0, buffer, sizeof(buffer))) > 0)
            if (put(fd, buffer, n) < 0)
                _exit(fail("write"));
        _exit(shutdown(fd, SHUT_WR) < 0);
    }
    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        if (put(1, buffer, n) < 0)
            return fail("stdout");
    if (n < 0)
        return fail("read");
    return waitpid(child, &status, 0) < 0 || status;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && !strcmp(argv[1], "listen"))
        return serve((unsigned)strtoul(argv[2], NULL, 10), argc > 3 ? atoi(argv[3]) : 1);
    if (argc == 3 && !strcmp(argv[1], "connect"))
        return talk((unsigned)strtoul(argv[2], NULL, 10));
    return 2;
}
