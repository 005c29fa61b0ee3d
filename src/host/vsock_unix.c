/* SPDX-License-Identifier: MIT */
/* The unix sockets that stand for vsock ports. unix(7). */
#include "host/vsock_unix.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define VSOCK_UNIX_BACKLOG 128
#define VSOCK_UNIX_WORD    "CONNECT "

/* A port of -1: the path alone. */
static int vsock_unix_connect_to(const char *path, i64 port)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int saved;

    if (fd < 0)
        return -errno;
    if (port < 0)
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    else
        snprintf(un.sun_path, sizeof(un.sun_path), "%s_%lld", path, (long long)port);
    if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0)
        return fd;
    saved = errno;
    close(fd);
    return -saved;
}

int vsock_unix_connect(const char *path, u32 port)
{
    return vsock_unix_connect_to(path, port);
}

/* What a killed process left is in the way; a socket in use, or another file, is not ours to remove. */
static void vsock_unix_remove_stale(const char *path)
{
    struct stat st;
    int fd;

    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = vsock_unix_connect_to(path, -1);
    if (fd == -ECONNREFUSED)
        unlink(path);
    if (fd >= 0)
        close(fd);
}

int vsock_unix_listen(const char *path, struct error *err)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd;

    if (!path[0] || strlen(path) > VSOCK_UNIX_PATH_MAX) {
        error_set(err, "a path of 1 to %d bytes is expected, not '%.128s'", VSOCK_UNIX_PATH_MAX,
                  path);
        return -1;
    }
    vsock_unix_remove_stale(path);
    memcpy(un.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&un, sizeof(un)) == 0 &&
        listen(fd, VSOCK_UNIX_BACKLOG) == 0)
        return fd;
    error_set_errno(err, errno, "could not listen at '%s'", path);
    if (fd >= 0)
        close(fd);
    return -1;
}

int vsock_unix_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* "CONNECT 1234" */
static bool vsock_unix_parse(const char *line, u32 *port)
{
    unsigned long long number;
    char *end;

    if (strncasecmp(line, VSOCK_UNIX_WORD, strlen(VSOCK_UNIX_WORD)))
        return false;
    line += strlen(VSOCK_UNIX_WORD);
    if (*line < '0' || *line > '9')
        return false;
    number = strtoull(line, &end, 10);
    *port = (u32)number;
    return !*end && number <= UINT32_MAX;
}

/* Byte by byte: those after the line are not ours, and may be here already. */
int vsock_unix_greet(int fd, struct vsock_unix_line *line, u32 *port)
{
    while (line->size < sizeof(line->text)) {
        char *byte = &line->text[line->size];
        ssize_t n = recv(fd, byte, 1, MSG_DONTWAIT);

        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
            return -ECONNRESET;
        line->size++;
        if (*byte != '\n')
            continue;
        *byte = 0;
        return vsock_unix_parse(line->text, port) ? 1 : -EPROTO;
    }
    return -EPROTO;
}

bool vsock_unix_welcome(int fd, u32 port)
{
    char line[VSOCK_UNIX_LINE_MAX];
    int size = snprintf(line, sizeof(line), "OK %u\n", port);

    return send(fd, line, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT) == size;
}
