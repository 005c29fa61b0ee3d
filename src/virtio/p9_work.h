/* SPDX-License-Identifier: MIT */
/* A 9P server from inside: one request at work, and the tables of those who serve it. For p9_*.c. */
#pragma once

#include "host/fs.h"
#include "virtio/p9_fid.h"
#include "virtio/p9_server.h"
#include "virtio/p9_wire.h"

#define P9_NAME_SIZE 256u /* of a name, with its end */
#define P9_PATH_SIZE 4096u

struct p9_server {
    struct fs *fs;
    struct p9_fids fids;
    _Atomic u32 msize; /* 0: no session yet */
    dev_t root_dev;
};

struct p9_work {
    struct p9_server *server;
    struct p9_call *call;
    struct p9_reader r;
    struct p9_writer w;
    struct p9_fid *fid;   /* the first of the message, if the table says that it has one */
    struct p9_fid *other; /* a second one; NULL: not looked up */
};

/* What the first field of a request is. */
enum p9_first {
    P9_FIRST_NONE,
    P9_FIRST_FID,  /* any fid */
    P9_FIRST_PATH, /* one that stands for a file or folder */
};

struct p9_op {
    u8 type;
    enum p9_first first;
    bool changes; /* refused when the folder is read-only */
    int (*serve)(struct p9_work *k);
};

/* Ended by type 0. */
extern const struct p9_op p9_file_ops[];   /* p9_file.c */
extern const struct p9_op p9_folder_ops[]; /* p9_folder.c */

/* Look up the second fid of a message: 0 or -EBADF. */
int p9_find_other(struct p9_work *k);

/* The identity of what a descriptor stands for. */
int p9_put_qid(struct p9_work *k, int path_fd);
void p9_put_qid_of(struct p9_work *k, const struct stat *attr);
u64 p9_qid_path(const struct p9_server *server, dev_t dev, ino_t ino);

/* Flags of Tlopen and Tlcreate as the host's; what is not for us is left out. */
int p9_open_flags(u32 flags);

/* A new fid, not open. */
struct p9_fid p9_fid_like(u32 number, u32 uid, int path_fd);
