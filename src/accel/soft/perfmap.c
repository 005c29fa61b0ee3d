/* SPDX-License-Identifier: MIT */
/* Lines "START SIZE NAME", numbers in hexadecimal. */
#include "accel/soft/perfmap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

struct perfmap {
    FILE *file;
};

struct perfmap *perfmap_new(const char *folder, struct error *err)
{
    struct perfmap *map;
    char path[PATH_MAX];
    FILE *file = NULL;
    int fd;

    snprintf(path, sizeof(path), "%s/perf-%ld.map", folder, (long)getpid());
    /* Anybody may have put a link there. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        file = fdopen(fd, "w");
    if (!file) {
        error_set_errno(err, errno, "-perfmap: cannot write '%s'", path);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    map = xcalloc(1, sizeof(*map));
    map->file = file;
    return map;
}

void perfmap_free(struct perfmap *map)
{
    if (!map)
        return;
    fclose(map->file);
    free(map);
}

void perfmap_add(struct perfmap *map, const void *code, size_t size, u64 rip)
{
    fprintf(map->file, "%" PRIxPTR " %zx guest_%016" PRIx64 "\n", (uintptr_t)code, size, rip);
}

void perfmap_add_named(struct perfmap *map, const void *code, size_t size, const char *name)
{
    fprintf(map->file, "%" PRIxPTR " %zx %s\n", (uintptr_t)code, size, name);
}
