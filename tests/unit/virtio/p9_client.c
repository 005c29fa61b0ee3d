/* SPDX-License-Identifier: MIT */
#include "unit/virtio/p9_client.h"

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"

#define TAG 0x1234

/* ---- The folder ---- */

const char *p9_path(const struct p9_client *c, const char *name)
{
    static char paths[4][512];
    static unsigned next;

    next = (next + 1) % 4;
    snprintf(paths[next], sizeof(paths[next]), "%s/%s", c->folder, name);
    return paths[next];
}

static void p9_make_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert(file);
    fputs(text, file);
    fclose(file);
}

static void p9_make_tree(struct p9_client *c)
{
    int failed = 0;

    failed |= mkdir(c->shared, 0755) | mkdir(c->outside, 0755);
    p9_make_file(p9_path(c, "shared/file"), "hello");
    p9_make_file(p9_path(c, "outside/secret"), "secret");
    failed |= mkdir(p9_path(c, "shared/sub"), 0755);
    p9_make_file(p9_path(c, "shared/sub/inner"), "inner");
    failed |= symlink("file", p9_path(c, "shared/link"));
    failed |= symlink("../outside", p9_path(c, "shared/escape"));
    failed |= symlink("..", p9_path(c, "shared/up"));
    assert(!failed);
    (void)failed;
}

static int p9_remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
    (void)status;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void p9_client_init(struct p9_client *c, enum fs_security security, bool readonly)
{
    struct fs_config config = {
        .path = c->shared, .security = security, .readonly = readonly, .fmode = 0600, .dmode = 0700
    };
    struct error err;
    struct fs *fs;

    memset(c, 0, sizeof(*c));
    strcpy(c->folder, "/tmp/mote-9p-XXXXXX");
    if (!mkdtemp(c->folder))
        abort();
    snprintf(c->shared, sizeof(c->shared), "%s/shared", c->folder);
    snprintf(c->outside, sizeof(c->outside), "%s/outside", c->folder);
    p9_make_tree(c);
    c->call = calloc(1, sizeof(*c->call));
    fs = fs_open(&config, &err);
    if (!fs || !c->call)
        return; /* no extended attributes: the test asks for the server */
    c->server = p9_server_new(fs, 64);
}

void p9_client_fini(struct p9_client *c)
{
    p9_server_free(c->server);
    free(c->call);
    nftw(c->folder, p9_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- Messages ---- */

void p9_bytes(struct p9_client *c, const void *data, u32 size)
{
    assert(c->size + size <= sizeof(c->request));
    memcpy(c->request + c->size, data, size);
    c->size += size;
    store_le32(c->request, c->size);
}

static void p9_number(struct p9_client *c, u64 value, unsigned size)
{
    u8 bytes[8];

    store_le64(bytes, value);
    p9_bytes(c, bytes, size);
}

void p9_begin(struct p9_client *c, u8 type)
{
    c->size = 0;
    p9_number(c, 0, 4);
    p9_u8(c, type);
    p9_u16(c, TAG);
}

void p9_u8(struct p9_client *c, u8 value)
{
    p9_number(c, value, 1);
}

void p9_u16(struct p9_client *c, u16 value)
{
    p9_number(c, value, 2);
}

void p9_u32(struct p9_client *c, u32 value)
{
    p9_number(c, value, 4);
}

void p9_u64(struct p9_client *c, u64 value)
{
    p9_number(c, value, 8);
}

void p9_text(struct p9_client *c, const char *text)
{
    p9_u16(c, (u16)strlen(text));
    p9_bytes(c, text, (u32)strlen(text));
}

u8 p9_send_raw(struct p9_client *c, const void *data, u32 size, u32 room)
{
    u8 *copy = malloc(size ? size : 1); /* exactly: a look beyond it is found */
    struct iovec out = { copy, size },
                 in[2] = { { c->answer, MIN(room, 9) }, { c->answer + 9, room - MIN(room, 9) } };
    struct p9_call *call = c->call;

    memcpy(copy, data, size);
    memset(c->answer, 0xEE, sizeof(c->answer));
    call->out = &out;
    call->out_count = 1;
    call->out_size = size;
    call->in = in;
    call->in_count = 2;
    call->in_size = room;
    p9_call_read(call);
    p9_serve(c->server, call);
    free(copy);
    assert(call->reply_size + call->data_size <= room);
    memcpy(c->answer, call->reply, call->reply_size);
    c->answer_size = call->reply_size + call->data_size;
    c->at = c->answer + 7;
    return call->reply_size ? c->answer[4] : 0;
}

int p9_send(struct p9_client *c)
{
    u8 type = p9_send_raw(c, c->request, c->size, sizeof(c->answer));

    assert(load_le32(c->answer) == c->answer_size && load_le16(c->answer + 5) == TAG);
    assert(type == 7 || type == c->request[4] + 1);
    return type == 7 ? (int)p9_take(c, 4) : 0;
}

u64 p9_take(struct p9_client *c, unsigned size)
{
    u8 bytes[8] = { 0 };

    assert(c->at + size <= c->answer + c->answer_size);
    memcpy(bytes, c->at, size);
    c->at += size;
    return load_le64(bytes);
}

/* ---- Requests ---- */

int p9_version_as(struct p9_client *c, const char *version, u32 msize)
{
    p9_begin(c, 100);
    p9_u32(c, msize);
    p9_text(c, version);
    return p9_send(c);
}

int p9_attach_as(struct p9_client *c, u32 fid, u32 uid, const char *aname)
{
    p9_begin(c, 104);
    p9_u32(c, fid);
    p9_u32(c, UINT32_MAX);
    p9_text(c, "user");
    p9_text(c, aname);
    p9_u32(c, uid);
    return p9_send(c);
}

int p9_walk_to(struct p9_client *c, u32 fid, u32 new_fid, const char *path)
{
    char copy[1024], *save, *name;
    u32 counter;
    u16 count = 0;

    p9_begin(c, 110);
    p9_u32(c, fid);
    p9_u32(c, new_fid);
    counter = c->size;
    p9_u16(c, 0);
    snprintf(copy, sizeof(copy), "%s", path);
    for (name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save), count++)
        p9_text(c, name);
    store_le16(c->request + counter, count);
    return p9_send(c);
}

int p9_open_as(struct p9_client *c, u32 fid, u32 flags)
{
    p9_begin(c, 12);
    p9_u32(c, fid);
    p9_u32(c, flags);
    return p9_send(c);
}

int p9_create_as(struct p9_client *c, u32 fid, const char *name, u32 flags, u32 mode)
{
    p9_begin(c, 14);
    p9_u32(c, fid);
    p9_text(c, name);
    p9_u32(c, flags);
    p9_u32(c, mode);
    p9_u32(c, getgid());
    return p9_send(c);
}

int p9_read_at(struct p9_client *c, u32 fid, u64 offset, u32 count)
{
    p9_begin(c, 116);
    p9_u32(c, fid);
    p9_u64(c, offset);
    p9_u32(c, count);
    return p9_send(c);
}

int p9_write_at(struct p9_client *c, u32 fid, u64 offset, const void *data, u32 size)
{
    p9_begin(c, 118);
    p9_u32(c, fid);
    p9_u64(c, offset);
    p9_u32(c, size);
    p9_bytes(c, data, size);
    return p9_send(c);
}

int p9_clunk_fid(struct p9_client *c, u32 fid)
{
    p9_begin(c, 120);
    p9_u32(c, fid);
    return p9_send(c);
}
