/* SPDX-License-Identifier: MIT */
/* Doorbells: an eventfd between the accelerator and the loop. */
#include "machine/doorbell.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "accel/accel.h"
#include "base/mem.h"
#include "host/loop.h"
#include "machine/machine.h"

struct doorbell {
    int fd;
    u32 value;
    struct loop_watch *watch;
    doorbell_fn *fn;
    void *arg;
};

static void doorbell_rung(void *arg, u32 events)
{
    struct doorbell *bell = arg;
    u64 count;

    (void)events;
    if (read(bell->fd, &count, sizeof(count)) > 0)
        bell->fn(bell->arg, bell->value);
}

void doorbell_free(struct doorbell *bell)
{
    if (!bell)
        return;
    loop_fd_remove(bell->watch);
    if (bell->fd >= 0)
        close(bell->fd);
    free(bell);
}

struct doorbell *doorbell_new(struct machine *machine, gpa addr, u32 value, doorbell_fn *fn,
                              void *arg)
{
    struct doorbell *bell;

    if (!machine->accel->doorbell)
        return NULL;
    bell = xcalloc(1, sizeof(*bell));
    *bell = (struct doorbell){ .value = value, .fn = fn, .arg = arg };
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell->fd >= 0)
        bell->watch = loop_fd_add(machine->loop, bell->fd, EPOLLIN, NULL, doorbell_rung, bell);
    if (bell->watch && machine->accel->doorbell(machine, addr, value, bell->fd))
        return bell;
    doorbell_free(bell);
    return NULL;
}
