/* SPDX-License-Identifier: MIT */
/* Allocation that cannot fail, for set-up only. */
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static _Noreturn void mem_exhausted(void)
{
    fputs("mote: out of memory\n", stderr);
    exit(1);
}

void *xcalloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);

    if (!p)
        mem_exhausted();
    return p;
}

char *xstrdup(const char *s)
{
    char *p = strdup(s);

    if (!p)
        mem_exhausted();
    return p;
}
