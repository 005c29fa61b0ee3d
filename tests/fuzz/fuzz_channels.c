/* SPDX-License-Identifier: MIT */
/* Consoles and vsock for the fuzzer of virtio devices: the host's ends do what the input says, too. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "fuzz/fuzz_virtio.h"
#include "unit/fakes/chardev.h"
#include "virtio/console.h"
#include "virtio/vsock.h"

/* ---- Console ---- */

#define FUZZ_PORTS 3u

static struct fake_chardev fuzz_chardevs[FUZZ_PORTS];
static const char *const fuzz_names[FUZZ_PORTS] = { NULL, "first", "second" };

struct virtio *fuzz_make_console(struct fuzz *f, unsigned variant)
{
    struct console_config config = { &f->d.ram, f->d.loop, variant & 1 ? 1 : 4, variant & 2 };
    struct virtio *v = console_new(&config);
    struct error err;

    for (unsigned i = 0; i < (variant & 1 ? 1 : FUZZ_PORTS); i++) {
        struct console_port_config port = { i, i == 0 || (variant & 4), fuzz_names[i],
                                            &fuzz_chardevs[i].chr };
        bool ok;

        fake_chardev_init(&fuzz_chardevs[i], 4096);
        ok = console_add_port(v, &port, &err);
        assert(ok);
        (void)ok;
    }
    return v;
}

void fuzz_settle_console(struct fuzz *f)
{
    static const enum chardev_event events[] = { CHARDEV_OPENED, CHARDEV_CLOSED, CHARDEV_BREAK,
                                                 CHARDEV_RESIZED };
    static const u8 data[256];
    struct fake_chardev *chr = &fuzz_chardevs[fuzz_byte(f) % FUZZ_PORTS];
    u8 what = fuzz_byte(f);

    if (!chr->chr.attached)
        return;
    switch (what % 4) {
    case 0: fake_chardev_event(chr, events[what / 4 % ARRAY_SIZE(events)]); break;
    case 1: fake_chardev_writable(chr, what * 16u); break;
    case 2: chr->cols = chr->rows = what; break;
    default: fake_chardev_input(chr, data, what); break;
    }
}

#define CONSOLE(port, event, value) MESSAGE("" port "\0\0\0" event "\0" value "\0", 8, 0)

const struct fuzz_message fuzz_console_messages[FUZZ_CONSOLE_MESSAGES] = {
    CONSOLE("\0", "\0", "\1"), /* DEVICE_READY */
    CONSOLE("\0", "\3", "\1"), /* PORT_READY */
    CONSOLE("\1", "\3", "\1"), CONSOLE("\2", "\3", "\1"), CONSOLE("\1", "\6", "\1"), /* PORT_OPEN */
    CONSOLE("\2", "\6", "\1"), CONSOLE("\1", "\6", "\0"), MESSAGE("output", 3000, 0),
    MESSAGE("", 0, 32),        MESSAGE("", 0, 4096),
};

/* ---- Vsock ---- */

#define FUZZ_CID     3
#define FUZZ_PORT    80
#define FUZZ_CLIENTS 4u

static struct {
    char path[64];
    int listener;
    int clients[FUZZ_CLIENTS]; /* 0: none */
} fuzz_host = { .listener = -1 };

static struct sockaddr_un fuzz_address(bool listener)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    if (listener)
        snprintf(un.sun_path, sizeof(un.sun_path), "%s_%d", fuzz_host.path, FUZZ_PORT);
    else
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", fuzz_host.path);
    return un;
}

static void fuzz_host_close(unsigned n)
{
    if (fuzz_host.clients[n])
        close(fuzz_host.clients[n]);
    fuzz_host.clients[n] = 0;
}

static void fuzz_host_end(void)
{
    unlink(fuzz_address(true).sun_path);
}

static void fuzz_host_begin(void)
{
    struct sockaddr_un un;

    snprintf(fuzz_host.path, sizeof(fuzz_host.path), "/tmp/mote-fuzz-vsock-%d", (int)getpid());
    un = fuzz_address(true);
    fuzz_host.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(fuzz_host.listener, (struct sockaddr *)&un, sizeof(un)) ||
        listen(fuzz_host.listener, 4))
        abort();
    atexit(fuzz_host_end);
}

struct virtio *fuzz_make_vsock(struct fuzz *f, unsigned variant)
{
    struct vsock_config config = { &f->d.ram, f->d.loop, FUZZ_CID, fuzz_host.path };
    struct error err;
    int left;

    (void)variant;
    if (fuzz_host.listener < 0)
        fuzz_host_begin();
    for (unsigned i = 0; i < FUZZ_CLIENTS; i++)
        fuzz_host_close(i);
    while ((left = accept(fuzz_host.listener, NULL, NULL)) >= 0)
        close(left);
    return vsock_new(&config, &err);
}

static void fuzz_host_connect(unsigned n, u8 port)
{
    struct sockaddr_un un = fuzz_address(false);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    char line[32];

    fuzz_host_close(n);
    if (connect(fd, (struct sockaddr *)&un, sizeof(un))) {
        close(fd);
        return;
    }
    snprintf(line, sizeof(line), "CONNECT %d\n", port % 4);
    if (send(fd, line, port & 64 ? 5 : strlen(line), MSG_NOSIGNAL) < 0)
        line[0] = 0; /* hung up on */
    fuzz_host.clients[n] = fd;
}

static void fuzz_host_accept(unsigned n)
{
    int fd = accept(fuzz_host.listener, NULL, NULL);

    if (fd < 0)
        return;
    fuzz_host_close(n);
    fuzz_host.clients[n] = fd;
}

static void fuzz_host_act(int fd, u8 what)
{
    static char data[70000];
    ssize_t n = 0;

    switch (what % 4) {
    case 0: n = send(fd, data, what * 100u, MSG_NOSIGNAL | MSG_DONTWAIT); break;
    case 1: n = recv(fd, data, what * 274u, MSG_DONTWAIT); break;
    case 2: n = shutdown(fd, SHUT_WR); break;
    default: n = shutdown(fd, what & 4 ? SHUT_RD : SHUT_RDWR); break;
    }
    (void)n;
}

void fuzz_settle_vsock(struct fuzz *f)
{
    u8 choice = fuzz_byte(f), what = fuzz_byte(f);
    unsigned n = choice % FUZZ_CLIENTS;

    switch (choice / FUZZ_CLIENTS % 8) {
    case 0:
    case 1: fuzz_host_connect(n, what); break;
    case 2: fuzz_host_accept(n); break;
    case 3: fuzz_host_close(n); break;
    default:
        if (fuzz_host.clients[n])
            fuzz_host_act(fuzz_host.clients[n], what);
        break;
    }
}

#define VSOCK(port, host_port, length, op, flags, alloc) \
    "\3\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0" port "\0\0\0" host_port length "\0\0\1\0" op "\0" flags \
    "\0\0\0\0" alloc "\0\0\0\0\0\0"
#define VSOCK_GUEST(op, flags) MESSAGE(VSOCK("\1", "\120\0\0\0", "\0\0", op, flags, "\1"), 44, 0)
#define VSOCK_HOST(port, op, flags) \
    MESSAGE(VSOCK(port, "\0\0\0\100", "\0\0", op, flags, "\4"), 44, 0)

const struct fuzz_message fuzz_vsock_messages[FUZZ_VSOCK_MESSAGES] = {
    VSOCK_GUEST("\1", "\0"),      /* REQUEST */
    VSOCK_GUEST("\3", "\0"),      /* RST */
    VSOCK_GUEST("\4", "\2"),      /* SHUTDOWN */
    VSOCK_GUEST("\6", "\0"),      /* CREDIT_UPDATE */
    VSOCK_HOST("\1", "\2", "\0"), /* RESPONSE */
    VSOCK_HOST("\2", "\2", "\0"),
    VSOCK_HOST("\1", "\4", "\3"),                                                  /* SHUTDOWN */
    MESSAGE(VSOCK("\1", "\120\0\0\0", "\0\100", "\5", "\0", "\1"), 44 + 16384, 0), /* RW */
    MESSAGE(VSOCK("\1", "\0\0\0\100", "\0\100", "\5", "\0", "\1"), 44 + 16384, 0),
    MESSAGE("", 0, 44),
    MESSAGE("", 0, 44 + 4096),
    MESSAGE("", 0, 44 + 4096),
};
