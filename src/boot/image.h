/* SPDX-License-Identifier: MIT */
/*
 * The files of a boot: opened once, mapped read-only, and kept for the reloads at each reset.
 *
 * Everything in a file is untrusted, and the user may overwrite it while the machine runs: each
 * load reads and checks again, and copies what it checks before it uses it. A file that is cut
 * short while it is being read ends the process (SIGBUS), as with any mapped file.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

enum image_kind {
    IMAGE_BZIMAGE, /* Linux boot protocol: "HdrS" at 0x202 */
    IMAGE_ELF,
};

struct image {
    const u8 *data; /* NULL: not open */
    u64 size;
};

/*
 * Map the file `path` that was given to `option` ("-kernel"). False and `err`, which begins with
 * both, when it cannot be read, is not a regular file, or is empty.
 */
bool image_open(struct image *image, const char *option, const char *path, struct error *err)
    __attribute__((warn_unused_result));

/* Forget the pages read so far: they stay in the host's cache and leave this process's memory. */
void image_relax(const struct image *image);

/* Unmap. Accepts an image of zeros. */
void image_close(struct image *image);

/*
 * What the bytes are. False and `err` (without a prefix) when they are no kernel that can be
 * started.
 */
bool image_classify(const u8 *data, u64 size, enum image_kind *kind, struct error *err)
    __attribute__((warn_unused_result));
