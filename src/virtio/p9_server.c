/* SPDX-License-Identifier: MIT */
/*
 * 9P2000.L: sessions, and the way of a request to who serves it.
 *
 * NOT EMULATED: authentication (Linux has none here), 9P2000 and 9P2000.u.
 */
#include "virtio/p9_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "virtio/p9_work.h"

#define P9_VERSION    "9P2000.L"
#define P9_MSIZE_MIN  4096u
#define P9_WALK_MAX   16u
#define P9_ERROR_SIZE 11u /* of the shortest answer to anything */

enum { P9_RLERROR = 7, P9_TVERSION = 100, P9_TFLUSH = 108, P9_TWRITE = 118 };

/* ---- Helpers of all ---- */

int p9_find_other(struct p9_work *k)
{
    u32 number = p9_get32(&k->r);

    k->other = p9_fid_get(&k->server->fids, number);
    return k->other && k->other->path_fd >= 0 ? 0 : -EBADF;
}

u64 p9_qid_path(const struct p9_server *server, dev_t dev, ino_t ino)
{
    return ino ^ (dev - server->root_dev) * UINT64_C(0x9E3779B97F4A7C15);
}

void p9_put_qid_of(struct p9_work *k, const struct stat *attr)
{
    u32 version = (u32)attr->st_mtim.tv_sec ^ (u32)attr->st_mtim.tv_nsec ^ (u32)attr->st_size << 8;

    p9_put(&k->w, S_ISDIR(attr->st_mode) ? 0x80 : S_ISLNK(attr->st_mode) ? 0x02 : 0, 1);
    p9_put32(&k->w, version);
    p9_put64(&k->w, p9_qid_path(k->server, attr->st_dev, attr->st_ino));
}

int p9_put_qid(struct p9_work *k, int path_fd)
{
    struct stat attr;
    int r = fs_getattr(k->server->fs, path_fd, &attr);

    if (!r)
        p9_put_qid_of(k, &attr);
    return r;
}

int p9_open_flags(u32 flags)
{
    static const struct {
        u32 p9;
        int host;
    } map[] = {
        { 0200, O_EXCL },    { 01000, O_TRUNC },   { 02000, O_APPEND },
        { 010000, O_DSYNC }, { 04000000, O_SYNC }, { 0200000, O_DIRECTORY },
    };
    int host = flags & 3 ? ((flags & 3) == 1 ? O_WRONLY : O_RDWR) : O_RDONLY;

    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (flags & map[i].p9)
            host |= map[i].host;
    return host;
}

struct p9_fid p9_fid_like(u32 number, u32 uid, int path_fd)
{
    return (struct p9_fid){ .number = number, .uid = uid, .path_fd = path_fd, .io_fd = -1 };
}

/* ---- Sessions ---- */

static int p9_version(struct p9_work *k)
{
    u32 msize = p9_get32(&k->r);
    char version[P9_NAME_SIZE];
    bool known;

    p9_get_text(&k->r, version, sizeof(version));
    if (k->r.bad || msize < P9_MSIZE_MIN)
        return -EINVAL;
    known = !strcmp(version, P9_VERSION);
    msize = MIN(msize, P9_MSIZE_MAX);
    p9_fids_clear(&k->server->fids);
    atomic_store(&k->server->msize, known ? msize : 0);
    p9_put32(&k->w, msize);
    p9_put_text(&k->w, known ? P9_VERSION : "unknown", strlen(known ? P9_VERSION : "unknown"));
    return 0;
}

static int p9_auth(struct p9_work *k)
{
    (void)k;
    return -EOPNOTSUPP;
}

/* The folder itself, or by `aname` one beneath it: a descriptor. */
static int p9_attach_path(const struct fs *fs, char *aname)
{
    int fd = fs_root(fs);
    char *save, *name;

    for (name = strtok_r(aname, "/", &save); name && fd >= 0; name = strtok_r(NULL, "/", &save)) {
        int next = fs_walk(fs, fd, name);

        close(fd);
        fd = next;
    }
    return fd;
}

static int p9_attach(struct p9_work *k)
{
    u32 number = p9_get32(&k->r), uid;
    char name[P9_NAME_SIZE], aname[P9_PATH_SIZE];
    struct p9_fid fid;
    int fd, r;

    p9_get32(&k->r); /* afid */
    p9_get_text(&k->r, name, sizeof(name));
    p9_get_text(&k->r, aname, sizeof(aname));
    uid = p9_get32(&k->r);
    if (k->r.bad)
        return -EINVAL;
    fd = p9_attach_path(k->server->fs, aname);
    if (fd < 0)
        return fd;
    r = p9_put_qid(k, fd);
    if (r) {
        close(fd);
        return r;
    }
    fid = p9_fid_like(number, uid, fd);
    return p9_fid_add(&k->server->fids, &fid, NULL);
}

/* One name of a walk from `dir`, which stays open. */
static int p9_walk_name(struct p9_work *k, int dir)
{
    char name[P9_NAME_SIZE];
    int fd, r;

    p9_get_text(&k->r, name, sizeof(name));
    if (k->r.bad)
        return -EINVAL;
    fd = strcmp(name, "..") ? fs_walk(k->server->fs, dir, name)
                            : fs_parent(k->server->fs, dir, NULL);
    if (fd < 0)
        return fd;
    r = p9_put_qid(k, fd);
    if (!r)
        return fd;
    close(fd);
    return r;
}

/* Walks as far as it goes: the new fid comes to be only at the end of the way. */
static int p9_walk(struct p9_work *k)
{
    u32 number = p9_get32(&k->r);
    u16 count = p9_get16(&k->r), done;
    u8 *counter = k->w.at;
    struct p9_fid fid;
    int fd;

    if (k->r.bad || count > P9_WALK_MAX)
        return -EINVAL;
    p9_put16(&k->w, count);
    fd = fcntl(k->fid->path_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    for (done = 0; done < count; done++) {
        int next = p9_walk_name(k, fd);

        close(fd);
        if (next < 0 && !done)
            return next;
        if (next < 0) {
            store_le16(counter, done);
            return 0;
        }
        fd = next;
    }
    fid = p9_fid_like(number, k->fid->uid, fd);
    return p9_fid_add(&k->server->fids, &fid, number == k->fid->number ? k->fid : NULL);
}

/* The transport has waited for the request that it names. */
static int p9_flush(struct p9_work *k)
{
    (void)k;
    return 0;
}

static int p9_clunk(struct p9_work *k)
{
    struct p9_xattr *xattr = k->fid->xattr;
    int r = 0;

    if (!p9_fid_remove(&k->server->fids, k->fid))
        return -EBADF;
    if (xattr && xattr->to_host) {
        pthread_mutex_lock(&k->fid->at);
        r = xattr->written == xattr->size ? fs_setxattr(k->server->fs, k->fid->path_fd, xattr->name,
                                                        xattr->value, xattr->size, xattr->flags)
                                          : -EINVAL;
        pthread_mutex_unlock(&k->fid->at);
    }
    return r;
}

static const struct p9_op p9_session_ops[] = {
    { P9_TVERSION, P9_FIRST_NONE, false, p9_version },
    { 102, P9_FIRST_NONE, false, p9_auth },
    { 104, P9_FIRST_NONE, false, p9_attach },
    { 110, P9_FIRST_PATH, false, p9_walk },
    { P9_TFLUSH, P9_FIRST_NONE, false, p9_flush },
    { 120, P9_FIRST_FID, false, p9_clunk },
    { 0, P9_FIRST_NONE, false, NULL },
};

/* ---- Requests ---- */

static const struct p9_op *p9_find_op(u8 type)
{
    static const struct p9_op *const tables[] = { p9_session_ops, p9_file_ops, p9_folder_ops };

    for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
        for (const struct p9_op *op = tables[i]; op->type; op++)
            if (op->type == type)
                return op;
    return NULL;
}

static int p9_run(struct p9_work *k, u8 type)
{
    const struct p9_op *op = p9_find_op(type);

    if (!op)
        return -EOPNOTSUPP;
    if (type != P9_TVERSION && !atomic_load(&k->server->msize))
        return -EPROTO; /* before Tversion */
    if (op->changes && fs_is_readonly(k->server->fs))
        return -EROFS;
    if (op->first != P9_FIRST_NONE) {
        u32 number = p9_get32(&k->r);

        k->fid = k->r.bad ? NULL : p9_fid_get(&k->server->fids, number);
        if (!k->fid || (op->first == P9_FIRST_PATH && k->fid->path_fd < 0))
            return -EBADF;
    }
    return op->serve(k);
}

/* size[4] type[1] tag[2] in front of what was written. */
static void p9_finish(struct p9_work *k, u8 type, u16 tag)
{
    struct p9_call *call = k->call;

    call->reply_size = (u32)(k->w.at - k->w.begin);
    store_le32(call->reply, call->reply_size + call->data_size);
    call->reply[4] = type;
    store_le16(call->reply + 5, tag);
}

static void p9_start_reply(struct p9_work *k)
{
    struct p9_call *call = k->call;

    k->w = (struct p9_writer){ call->reply, call->reply + P9_HEADER,
                               call->reply + MIN(sizeof(call->reply), call->in_size), false };
    call->data_size = 0;
}

static void p9_refuse(struct p9_work *k, int error, u16 tag)
{
    p9_start_reply(k);
    p9_put32(&k->w, (u32)error);
    p9_finish(k, P9_RLERROR, tag);
}

/* The request as a whole: a size that is there, and not more than was agreed on. */
static int p9_check(const struct p9_call *call, const struct p9_server *server)
{
    u32 size = load_le32(call->message), msize = atomic_load(&server->msize);

    if (size < P9_HEADER || size > call->out_size)
        return -EINVAL;
    if (size > call->message_size && call->message[4] != P9_TWRITE)
        return -EMSGSIZE;
    return size > (msize ? msize : P9_MESSAGE_MAX) ? -EMSGSIZE : 0;
}

void p9_serve(struct p9_server *server, struct p9_call *call)
{
    struct p9_work k = { .server = server, .call = call };
    u8 type = call->message[4];
    u16 tag = p9_call_tag(call);
    int r;

    call->reply_size = call->data_size = 0;
    if (call->message_size < P9_HEADER || call->in_size < P9_ERROR_SIZE)
        return;
    p9_start_reply(&k);
    r = p9_check(call, server);
    k.r.at = call->message + P9_HEADER;
    k.r.end = call->message + MAX(MIN(load_le32(call->message), call->message_size), P9_HEADER);
    if (!r)
        r = p9_run(&k, type);
    if (!r && k.w.full)
        r = -EMSGSIZE;
    if (r)
        p9_refuse(&k, -r, tag);
    else
        p9_finish(&k, (u8)(type + 1), tag);
    if (k.fid)
        p9_fid_put(&server->fids, k.fid);
    if (k.other)
        p9_fid_put(&server->fids, k.other);
}

void p9_call_read(struct p9_call *call)
{
    call->message_size = 0;
    for (unsigned i = 0; i < call->out_count && call->message_size < P9_MESSAGE_MAX; i++) {
        u64 n = MIN(call->out[i].iov_len, P9_MESSAGE_MAX - call->message_size);

        memcpy(call->message + call->message_size, call->out[i].iov_base, n);
        call->message_size += (u32)n;
    }
}

u16 p9_call_tag(const struct p9_call *call)
{
    return load_le16(call->message + 5);
}

bool p9_call_flushes(const struct p9_call *call, u16 *tag)
{
    if (call->message_size < P9_HEADER + 2 || call->message[4] != P9_TFLUSH)
        return false;
    *tag = load_le16(call->message + P9_HEADER);
    return true;
}

/* ---- Making one ---- */

struct p9_server *p9_server_new(struct fs *fs, unsigned fids)
{
    struct p9_server *server = xcalloc(1, sizeof(*server));
    int fd = fs_root(fs);
    struct stat attr;

    server->fs = fs;
    p9_fids_init(&server->fids, fids);
    if (fd >= 0 && !fstat(fd, &attr))
        server->root_dev = attr.st_dev;
    if (fd >= 0)
        close(fd);
    return server;
}

void p9_server_free(struct p9_server *server)
{
    if (!server)
        return;
    p9_fids_fini(&server->fids);
    fs_close(server->fs);
    free(server);
}

void p9_server_reset(struct p9_server *server)
{
    p9_fids_clear(&server->fids);
    atomic_store(&server->msize, 0);
}
