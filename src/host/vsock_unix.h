/* SPDX-License-Identifier: MIT */
/*
 * The unix sockets that stand for a guest's vsock ports on the host, by the convention that Firecracker began:
 *
 * Who wants to reach the guest's port N connects to PATH, writes "CONNECT N\n" and reads "OK M\n", M being the
 * number of the host's port; from then on the bytes are the connection's. When the guest connects to the host's
 * port N, mote connects to PATH_N, where somebody has to listen.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

/* PATH_4294967295 has to fit a socket's address. */
#define VSOCK_UNIX_PATH_MAX 96

/* Listen at `path`, over a socket file that nobody uses any more. The descriptor, or -1 and `err`. */
int vsock_unix_listen(const char *path, struct error *err);

/* A new connection, or -errno. */
int vsock_unix_accept(int listener);

/* Connect to the listener of the host's `port`: a descriptor, or -errno, which is -EAGAIN when it is busy. */
int vsock_unix_connect(const char *path, u32 port);

/*
 * Read the CONNECT line and not a byte more. 1: it is whole, and names `port`. 0: more of it has to come. -errno: it is
 * something else, or the other side has gone.
 */
#define VSOCK_UNIX_LINE_MAX 32

struct vsock_unix_line {
    char text[VSOCK_UNIX_LINE_MAX];
    unsigned size;
};

int vsock_unix_greet(int fd, struct vsock_unix_line *line, u32 *port);

/* Say that the connection is there. False when that cannot be said. */
bool vsock_unix_welcome(int fd, u32 port);
