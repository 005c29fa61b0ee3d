/* SPDX-License-Identifier: MIT */
/* A shared folder from inside. For fs*.c. */
#pragma once

#include "host/fs.h"

struct fs {
    int root; /* O_PATH */
    dev_t root_dev;
    ino_t root_ino;
    enum fs_security security;
    bool readonly;
    u32 fmode, dmode;
};
