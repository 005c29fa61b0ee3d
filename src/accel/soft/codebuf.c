/* SPDX-License-Identifier: MIT */
/* Memory for generated code. */
#include "accel/soft/codebuf.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

bool codebuf_init(struct codebuf *c, size_t half_size, struct error *err)
{
    void *write, *exec;

    memset(c, 0, sizeof(*c));
    c->half_size = half_size;
    c->size = CODEBUF_THUNKS + 2 * half_size;
    write = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    if (write == MAP_FAILED)
        return error_set_errno(err, errno, "cannot map memory for translated code");
    c->write = write;
    /* Of a shared mapping, an old size of 0 makes a second one of the same pages (mremap(2)). */
    exec = mremap(write, 0, c->size, MREMAP_MAYMOVE);
    if (exec == MAP_FAILED || mprotect(exec, c->size, PROT_READ | PROT_EXEC) < 0) {
        if (exec != MAP_FAILED)
            munmap(exec, c->size);
        return error_set_errno(err, errno, "cannot map memory for translated code a second time");
    }
    c->exec = exec;
    return true;
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
