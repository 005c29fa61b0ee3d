/* SPDX-License-Identifier: MIT */
/* Memory for generated code. */
#include "accel/soft/codebuf.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool codebuf_init(struct codebuf *c, size_t half_size, struct error *err)
{
    int fd = memfd_create("mote-code", MFD_CLOEXEC);
    void *write = MAP_FAILED, *exec = MAP_FAILED;

    memset(c, 0, sizeof(*c));
    c->half_size = half_size;
    c->size = CODEBUF_THUNKS + 2 * half_size;
    if (fd >= 0 && ftruncate(fd, (off_t)c->size) == 0) {
        write = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        exec = mmap(NULL, c->size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    c->write = write == MAP_FAILED ? NULL : write;
    c->exec = exec == MAP_FAILED ? NULL : exec;
    if (!c->write || !c->exec)
        error_set_errno(err, errno, "cannot map memory for translated code");
    if (fd >= 0)
        close(fd);
    return c->write && c->exec;
}

void codebuf_destroy(struct codebuf *c)
{
    if (c->write)
        munmap(c->write, c->size);
    if (c->exec)
        munmap((void *)(uintptr_t)c->exec, c->size);
    c->write = NULL;
    c->exec = NULL;
}

u8 *codebuf_start(const struct codebuf *c, unsigned half)
{
    return c->write + CODEBUF_THUNKS + half * c->half_size + c->used[half];
}

u8 *codebuf_limit(const struct codebuf *c, unsigned half)
{
    return c->write + CODEBUF_THUNKS + (half + 1) * c->half_size - c->data[half];
}

void codebuf_reset(struct codebuf *c, unsigned half)
{
    c->used[half] = 0;
    c->data[half] = 0;
}
