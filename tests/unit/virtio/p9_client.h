/* SPDX-License-Identifier: MIT */
/* A 9P client by hand: messages are put together field by field, over a folder that is made for the test. */
#pragma once

#include "host/fs.h"
#include "virtio/p9_server.h"

struct p9_client {
    char folder[64];  /* made by p9_client_init, and removed with all that is in it */
    char shared[80];  /* folder/shared: what the server sees */
    char outside[80]; /* folder/outside: what it must not */
    struct p9_server *server;
    struct p9_call *call;
    u8 request[16384];
    u32 size;
    u8 answer[70000];
    u32 answer_size;
    const u8 *at; /* in the answer, for the getters */
};

/* The shared folder holds: file ("hello"), sub/inner, link -> file, escape -> ../outside, up -> .. */
void p9_client_init(struct p9_client *c, enum fs_security security, bool readonly);
void p9_client_fini(struct p9_client *c);

/* A host path below `folder`; valid until the next call but three. */
const char *p9_path(const struct p9_client *c, const char *name);

void p9_begin(struct p9_client *c, u8 type);
void p9_u8(struct p9_client *c, u8 value);
void p9_u16(struct p9_client *c, u16 value);
void p9_u32(struct p9_client *c, u32 value);
void p9_u64(struct p9_client *c, u64 value);
void p9_text(struct p9_client *c, const char *text);
void p9_bytes(struct p9_client *c, const void *data, u32 size);

/* Send what was begun: 0 with the answer, positioned after its header; or the error that Rlerror names. */
int p9_send(struct p9_client *c);

/* Send `size` bytes as they are, with room for `room` bytes; the answer's type, 0 without one. */
u8 p9_send_raw(struct p9_client *c, const void *data, u32 size, u32 room);

u64 p9_take(struct p9_client *c, unsigned size);

/* Common requests: 0 or the error. */
int p9_version_as(struct p9_client *c, const char *version, u32 msize);
int p9_attach_as(struct p9_client *c, u32 fid, u32 uid, const char *aname);
int p9_walk_to(struct p9_client *c, u32 fid, u32 new_fid, const char *path); /* by '/' */
int p9_open_as(struct p9_client *c, u32 fid, u32 flags);
int p9_create_as(struct p9_client *c, u32 fid, const char *name, u32 flags, u32 mode);
int p9_read_at(struct p9_client *c, u32 fid, u64 offset, u32 count);
int p9_write_at(struct p9_client *c, u32 fid, u64 offset, const void *data, u32 size);
int p9_clunk_fid(struct p9_client *c, u32 fid);
