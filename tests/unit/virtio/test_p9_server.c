/* SPDX-License-Identifier: MIT */
/* The 9P server: what it does with a folder, and what it does not let out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "unit/virtio/p9_client.h"

#define ROOT 1u
#define RDWR 2u

static struct p9_client client;

static unsigned open_before;

static unsigned count_open(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int start(void **state, enum fs_security security, bool readonly)
{
    open_before = count_open();
    p9_client_init(&client, security, readonly);
    *state = &client;
    if (!client.server)
        return 0;
    return p9_version_as(&client, "9P2000.L", 65536) || p9_attach_as(&client, ROOT, getuid(), "");
}

static int setup(void **state)
{
    return start(state, FS_NONE, false);
}

static int setup_readonly(void **state)
{
    return start(state, FS_PASSTHROUGH, true);
}

static int setup_mapped(void **state)
{
    return start(state, FS_MAPPED, false);
}

static int teardown(void **state)
{
    p9_client_fini(*state);
    return count_open() != open_before; /* none is left open */
}

static bool exists(struct p9_client *c, const char *name)
{
    struct stat status;

    return !lstat(p9_path(c, name), &status);
}

/* dfid, name, then what the caller adds. */
static void begin_at(struct p9_client *c, u8 type, const char *name)
{
    p9_begin(c, type);
    p9_u32(c, ROOT);
    p9_text(c, name);
}

/* ---- Sessions ---- */

static void the_version_is_agreed_on(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_version_as(c, "9P2000.L", 8u << 20), 0);
    assert_int_equal(p9_take(c, 4), P9_MSIZE_MAX);
    assert_int_equal(p9_take(c, 2), 8);
    assert_memory_equal(c->at, "9P2000.L", 8);
    assert_int_equal(p9_version_as(c, "9P2000.L", 4095), EINVAL);
    assert_int_equal(p9_version_as(c, "9P2000.u", 8192), 0);
    assert_int_equal(p9_take(c, 4), 8192);
    assert_int_equal(p9_take(c, 2), 7);
    assert_memory_equal(c->at, "unknown", 7);
    assert_int_equal(p9_attach_as(c, ROOT, 0, ""), EPROTO);
}

static void a_version_ends_the_session(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_version_as(c, "9P2000.L", 8192), 0);
    assert_int_equal(p9_clunk_fid(c, ROOT), EBADF);
    assert_int_equal(p9_attach_as(c, ROOT, 0, ""), 0);
}

static void attaching_goes_down_and_never_out(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_attach_as(c, 2, 0, "/sub"), 0);
    assert_int_equal(p9_walk_to(c, 2, 3, "inner"), 0);
    assert_int_equal(p9_attach_as(c, 4, 0, "sub/.."), EINVAL);
    assert_int_equal(p9_attach_as(c, 4, 0, "escape"), 0); /* the link itself */
    assert_int_equal(p9_walk_to(c, 4, 5, "secret"), ENOTDIR);
    assert_int_equal(p9_attach_as(c, 6, 0, "escape/secret"), ENOTDIR);
    assert_int_equal(p9_attach_as(c, 2, 0, ""), EBADF); /* taken */
}

static void there_is_no_authentication(void **state)
{
    struct p9_client *c = *state;

    p9_begin(c, 102);
    p9_u32(c, 9);
    assert_int_equal(p9_send(c), EOPNOTSUPP);
}

/* ---- Walking ---- */

static void walking_stops_where_the_way_ends(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "sub/inner"), 0);
    assert_int_equal(p9_take(c, 2), 2);
    assert_int_equal(p9_take(c, 1), 0x80);
    c->at += 12;
    assert_int_equal(p9_take(c, 1), 0);
    assert_int_equal(p9_walk_to(c, ROOT, 3, "sub/nosuch/x"), 0);
    assert_int_equal(p9_take(c, 2), 1);
    assert_int_equal(p9_clunk_fid(c, 3), EBADF);
    assert_int_equal(p9_walk_to(c, ROOT, 3, "nosuch"), ENOENT);
    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), EBADF); /* taken */
    assert_int_equal(p9_walk_to(c, 77, 3, "file"), EBADF);
}

static void a_fid_may_walk_itself(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, ""), 0);
    assert_int_equal(p9_walk_to(c, 2, 2, "sub"), 0);
    assert_int_equal(p9_walk_to(c, 2, 2, "inner"), 0);
    assert_int_equal(p9_open_as(c, 2, 0), 0);
    assert_int_equal(p9_clunk_fid(c, 2), 0);
    assert_int_equal(p9_clunk_fid(c, 2), EBADF);
}

static void dot_dot_ends_at_the_root(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "../../outside"), 0);
    assert_int_equal(p9_take(c, 2), 2); /* twice to itself, and there is no outside */
    assert_int_equal(p9_walk_to(c, ROOT, 2, "outside"), ENOENT);
    assert_int_equal(p9_walk_to(c, ROOT, 2, "sub/../file"), 0);
    assert_int_equal(p9_take(c, 2), 3);
}

static void links_are_not_followed(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "escape/secret"), 0);
    assert_int_equal(p9_take(c, 2), 1);
    assert_int_equal(p9_take(c, 1), 2);
    assert_int_equal(p9_walk_to(c, ROOT, 2, "up"), 0);
    assert_int_equal(p9_open_as(c, 2, 0), ENXIO);
    p9_begin(c, 22);
    p9_u32(c, 2);
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(p9_take(c, 2), 2);
    assert_memory_equal(c->at, "..", 2);
}

static void names_are_single_components(void **state)
{
    static const char *const wrong[] = { "sub/inner", "/", "/etc", ".", "" };
    struct p9_client *c = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        p9_begin(c, 110);
        p9_u32(c, ROOT);
        p9_u32(c, 2);
        p9_u16(c, 1);
        p9_text(c, wrong[i]);
        assert_int_equal(p9_send(c), EINVAL);
    }
    p9_begin(c, 110);
    p9_u32(c, ROOT);
    p9_u32(c, 2);
    p9_u16(c, 1);
    p9_u16(c, 4);
    p9_bytes(c, "fi\0e", 4);
    assert_int_equal(p9_send(c), EINVAL);
}

/* A folder that the guest walked to and the host then moved out: what is in it stays reachable, nothing above. */
static void a_folder_that_moved_out_leads_nowhere(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "sub"), 0);
    assert_int_equal(rename(p9_path(c, "shared/sub"), p9_path(c, "outside/sub")), 0);
    assert_int_equal(p9_walk_to(c, 2, 3, ".."), ENOENT);
    assert_int_equal(p9_walk_to(c, 2, 3, "../secret"), ENOENT);
    p9_begin(c, 122);
    p9_u32(c, 2);
    assert_int_equal(p9_send(c), ENOENT);
    assert_true(exists(c, "outside/sub/inner"));
}

/* What the host puts in the place of a folder while the guest holds it is not used. */
static void a_folder_that_became_a_link_is_still_the_folder(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "sub"), 0);
    assert_int_equal(rename(p9_path(c, "shared/sub"), p9_path(c, "shared/moved")), 0);
    assert_int_equal(symlink("../outside", p9_path(c, "shared/sub")), 0);
    assert_int_equal(p9_walk_to(c, 2, 3, "secret"), ENOENT);
    assert_int_equal(p9_walk_to(c, 2, 3, "inner"), 0);
    assert_int_equal(p9_walk_to(c, 2, 4, "../file"), 0);
    assert_int_equal(p9_take(c, 2), 2);
}

/* ---- Files ---- */

static void files_are_read_and_written(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), 0);
    assert_int_equal(p9_read_at(c, 2, 0, 10), EBADF); /* not open */
    assert_int_equal(p9_open_as(c, 2, RDWR), 0);
    assert_int_equal(p9_open_as(c, 2, RDWR), EBUSY);
    assert_int_equal(p9_read_at(c, 2, 1, 100), 0);
    assert_int_equal(p9_take(c, 4), 4);
    assert_memory_equal(c->at, "ello", 4);
    assert_int_equal(p9_write_at(c, 2, 3, "p me", 4), 0);
    assert_int_equal(p9_take(c, 4), 4);
    assert_int_equal(p9_read_at(c, 2, 0, 100), 0);
    assert_memory_equal(c->at + 4, "help me", 7);
    assert_int_equal(p9_read_at(c, 2, 7, 100), 0);
    assert_int_equal(p9_take(c, 4), 0);
    assert_int_equal(p9_read_at(c, 2, UINT64_MAX, 1), EINVAL);
    assert_int_equal(p9_write_at(c, 2, (u64)INT64_MAX + 1, "x", 1), EINVAL);
    p9_begin(c, 50);
    p9_u32(c, 2);
    p9_u32(c, 1);
    assert_int_equal(p9_send(c), 0);
}

static void a_write_does_not_reach_beyond_its_message(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), 0);
    assert_int_equal(p9_open_as(c, 2, RDWR), 0);
    p9_begin(c, 118);
    p9_u32(c, 2);
    p9_u64(c, 0);
    p9_u32(c, 5);
    p9_bytes(c, "abcd", 4);
    assert_int_equal(p9_send(c), EINVAL);
    store_le32(c->request + 19, UINT32_MAX);
    assert_int_equal(p9_send(c), EINVAL);
    c->size = 19;
    store_le32(c->request, 19);
    assert_int_equal(p9_send(c), EINVAL);
}

static void a_long_write_is_taken_from_where_it_lies(void **state)
{
    struct p9_client *c = *state;
    static u8 data[12000];
    struct stat status;

    memset(data, 'x', sizeof(data));
    data[sizeof(data) - 1] = 'y';
    assert_int_equal(p9_walk_to(c, ROOT, 2, ""), 0);
    assert_int_equal(p9_create_as(c, 2, "long", RDWR, 0644), 0);
    assert_int_equal(p9_write_at(c, 2, 0, data, sizeof(data)), 0);
    assert_int_equal(p9_take(c, 4), sizeof(data));
    assert_int_equal(stat(p9_path(c, "shared/long"), &status), 0);
    assert_int_equal(status.st_size, sizeof(data));
    assert_int_equal(p9_read_at(c, 2, sizeof(data) - 3, 9), 0);
    assert_int_equal(p9_take(c, 4), 3);
    assert_memory_equal(c->at, "xxy", 3);
}

static void creating_opens_the_new_file(void **state)
{
    struct p9_client *c = *state;
    struct stat status;

    assert_int_equal(p9_walk_to(c, ROOT, 2, ""), 0);
    assert_int_equal(p9_create_as(c, 2, "new", RDWR | 0200, 0640), 0);
    assert_int_equal(p9_write_at(c, 2, 0, "text", 4), 0);
    assert_int_equal(stat(p9_path(c, "shared/new"), &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0640);
    assert_int_equal(p9_walk_to(c, ROOT, 3, ""), 0);
    assert_int_equal(p9_create_as(c, 3, "new", RDWR | 0200, 0640), EEXIST);
    assert_int_equal(p9_create_as(c, 3, "new", RDWR, 0600), 0); /* there: opened as it is */
    assert_int_equal(p9_read_at(c, 3, 0, 9), 0);
    assert_int_equal(p9_take(c, 4), 4);
}

static void creating_does_not_go_through_links(void **state)
{
    static const char *const wrong[] = { "../new", "sub/new", "/new", "..", ".", "" };
    struct p9_client *c = *state;

    assert_int_equal(symlink("../outside/made", p9_path(c, "shared/trap")), 0);
    assert_int_equal(p9_walk_to(c, ROOT, 2, ""), 0);
    assert_int_equal(p9_create_as(c, 2, "trap", RDWR, 0644), ENXIO);
    assert_false(exists(c, "outside/made"));
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(p9_create_as(c, 2, wrong[i], RDWR, 0644), EINVAL);
}

static void pipes_are_not_opened(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(mkfifo(p9_path(c, "shared/pipe"), 0600), 0);
    assert_int_equal(p9_walk_to(c, ROOT, 2, "pipe"), 0);
    assert_int_equal(p9_open_as(c, 2, 0), ENXIO);
    assert_int_equal(p9_walk_to(c, ROOT, 3, ""), 0);
    assert_int_equal(p9_create_as(c, 3, "pipe", 1, 0600), ENXIO);
}

static void a_removed_file_stays_open(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), 0);
    assert_int_equal(p9_open_as(c, 2, 0), 0);
    begin_at(c, 76, "file");
    p9_u32(c, 0);
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(p9_read_at(c, 2, 0, 100), 0);
    assert_int_equal(p9_take(c, 4), 5);
    p9_begin(c, 24);
    p9_u32(c, 2);
    p9_u64(c, 0x7FF);
    assert_int_equal(p9_send(c), 0);
    p9_begin(c, 122); /* by its fid there is nothing to remove */
    p9_u32(c, 2);
    assert_int_equal(p9_send(c), ENOENT);
    assert_int_equal(p9_clunk_fid(c, 2), EBADF);
}

/* ---- Attributes ---- */

static void attributes_are_told(void **state)
{
    struct p9_client *c = *state;
    struct stat status;

    assert_int_equal(stat(p9_path(c, "shared/file"), &status), 0);
    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), 0);
    p9_begin(c, 24);
    p9_u32(c, 2);
    p9_u64(c, UINT64_MAX);
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(c->answer_size, 160);
    assert_int_equal(p9_take(c, 8), 0x7FF);
    assert_int_equal(p9_take(c, 1), 0);
    p9_take(c, 4);
    assert_int_equal(p9_take(c, 8), status.st_ino);
    assert_int_equal(p9_take(c, 4), status.st_mode);
    assert_int_equal(p9_take(c, 4), status.st_uid);
    assert_int_equal(p9_take(c, 4), status.st_gid);
    assert_int_equal(p9_take(c, 8), 1);
    assert_int_equal(p9_take(c, 8), 0);
    assert_int_equal(p9_take(c, 8), 5);
}

static int set_attr(struct p9_client *c, u32 fid, u32 valid, u32 mode, u64 size, u64 seconds)
{
    p9_begin(c, 26);
    p9_u32(c, fid);
    p9_u32(c, valid);
    p9_u32(c, mode);
    p9_u32(c, getuid());
    p9_u32(c, getgid());
    p9_u64(c, size);
    for (unsigned i = 0; i < 2; i++) {
        p9_u64(c, seconds);
        p9_u64(c, 5);
    }
    return p9_send(c);
}

static void attributes_are_set(void **state)
{
    struct p9_client *c = *state;
    struct stat status;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), 0);
    assert_int_equal(set_attr(c, 2, 0x1BF, 0604, 3, 1000000), 0);
    assert_int_equal(stat(p9_path(c, "shared/file"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0604);
    assert_int_equal(status.st_size, 3);
    assert_int_equal(status.st_mtim.tv_sec, 1000000);
    assert_int_equal(status.st_mtim.tv_nsec, 5);
    assert_int_equal(set_attr(c, 2, 0x20, 0, 0, 0), 0); /* now */
    assert_int_equal(stat(p9_path(c, "shared/file"), &status), 0);
    assert_true(status.st_mtim.tv_sec > 1000000);
    assert_int_equal(status.st_atim.tv_sec, 1000000);
    assert_int_equal(set_attr(c, 2, 0x8, 0, UINT64_MAX, 0), EFBIG);
    assert_int_equal(set_attr(c, ROOT, 0x8, 0, 0, 0), EISDIR);
}

static void a_link_s_target_keeps_its_attributes(void **state)
{
    struct p9_client *c = *state;
    struct stat status;

    assert_int_equal(symlink("../outside/secret", p9_path(c, "shared/trap")), 0);
    assert_int_equal(p9_walk_to(c, ROOT, 2, "trap"), 0);
    assert_int_equal(set_attr(c, 2, 0x1, 0777, 0, 0), EOPNOTSUPP);
    assert_int_equal(set_attr(c, 2, 0x8, 0, 0, 0), EINVAL);
    assert_int_equal(set_attr(c, 2, 0x1B0, 0, 0, 1000), 0); /* the link's own times */
    assert_int_equal(stat(p9_path(c, "outside/secret"), &status), 0);
    assert_int_equal(status.st_size, 6);
    assert_int_not_equal(status.st_mtim.tv_sec, 1000);
}

static void the_file_system_is_described(void **state)
{
    struct p9_client *c = *state;

    p9_begin(c, 8);
    p9_u32(c, ROOT);
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(c->answer_size, 7 + 60);
}

/* ---- Folders ---- */

static void things_are_made_and_removed(void **state)
{
    struct p9_client *c = *state;
    struct stat status;

    begin_at(c, 72, "made");
    p9_u32(c, 01755);
    p9_u32(c, getgid());
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(p9_take(c, 1), 0x80);
    assert_int_equal(stat(p9_path(c, "shared/made"), &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 01755);
    begin_at(c, 76, "made");
    p9_u32(c, 0);
    assert_int_equal(p9_send(c), EISDIR);
    begin_at(c, 76, "made");
    p9_u32(c, 0x200);
    assert_int_equal(p9_send(c), 0);
    assert_false(exists(c, "shared/made"));
    begin_at(c, 18, "pipe");
    p9_u32(c, S_IFIFO | 0600);
    p9_u32(c, 0);
    p9_u32(c, 0);
    p9_u32(c, getgid());
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(lstat(p9_path(c, "shared/pipe"), &status), 0);
    assert_true(S_ISFIFO(status.st_mode));
    begin_at(c, 16, "pointer");
    p9_text(c, "/etc/passwd");
    p9_u32(c, getgid());
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(p9_take(c, 1), 2);
}

static void names_that_lead_out_are_refused(void **state)
{
    static const char *const wrong[] = { "..", ".", "", "../x", "sub/x", "/tmp" };
    static const struct {
        u8 type;
        unsigned numbers; /* after the name */
    } requests[] = { { 72, 2 }, { 18, 4 }, { 76, 1 } };
    struct p9_client *c = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(requests); j++) {
            begin_at(c, requests[j].type, wrong[i]);
            for (unsigned n = 0; n < requests[j].numbers; n++)
                p9_u32(c, 0);
            assert_int_equal(p9_send(c), EINVAL);
        }
        begin_at(c, 16, wrong[i]);
        p9_text(c, "x");
        p9_u32(c, 0);
        assert_int_equal(p9_send(c), EINVAL);
        begin_at(c, 74, "file");
        p9_u32(c, ROOT);
        p9_text(c, wrong[i]);
        assert_int_equal(p9_send(c), EINVAL);
        begin_at(c, 74, wrong[i]);
        p9_u32(c, ROOT);
        p9_text(c, "y");
        assert_int_equal(p9_send(c), EINVAL);
    }
    assert_true(exists(c, "shared/file"));
}

static void files_are_renamed_and_linked(void **state)
{
    struct p9_client *c = *state;
    struct stat status;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "sub"), 0);
    assert_int_equal(p9_walk_to(c, ROOT, 3, "file"), 0);
    begin_at(c, 74, "file");
    p9_u32(c, 2);
    p9_text(c, "moved");
    assert_int_equal(p9_send(c), 0);
    assert_true(exists(c, "shared/sub/moved") && !exists(c, "shared/file"));
    p9_begin(c, 20); /* the fid goes with the file */
    p9_u32(c, 3);
    p9_u32(c, ROOT);
    p9_text(c, "back");
    assert_int_equal(p9_send(c), 0);
    assert_true(exists(c, "shared/back"));
    p9_begin(c, 70);
    p9_u32(c, 2);
    p9_u32(c, 3);
    p9_text(c, "again");
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(stat(p9_path(c, "shared/sub/again"), &status), 0);
    assert_int_equal(status.st_nlink, 2);
    p9_begin(c, 122);
    p9_u32(c, 3);
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(p9_clunk_fid(c, 3), EBADF);
    begin_at(c, 74, "nosuch");
    p9_u32(c, 2);
    p9_text(c, "x");
    assert_int_equal(p9_send(c), ENOENT);
}

static void the_root_itself_stays(void **state)
{
    struct p9_client *c = *state;

    p9_begin(c, 20);
    p9_u32(c, ROOT);
    p9_u32(c, ROOT);
    p9_text(c, "x");
    assert_int_equal(p9_send(c), EBUSY);
    p9_begin(c, 122);
    p9_u32(c, ROOT);
    assert_int_equal(p9_send(c), EBUSY);
    assert_true(exists(c, "shared"));
}

static int list(struct p9_client *c, u32 fid, u64 offset, u32 count)
{
    p9_begin(c, 40);
    p9_u32(c, fid);
    p9_u64(c, offset);
    p9_u32(c, count);
    return p9_send(c);
}

/* Count the entries in the answer; the place where the next ones begin. */
static unsigned count_entries(struct p9_client *c, u64 *offset)
{
    u32 size = (u32)p9_take(c, 4);
    const u8 *end = c->at + size;
    unsigned count = 0;

    for (; c->at < end; count++) {
        p9_take(c, 5);
        p9_take(c, 8);
        *offset = p9_take(c, 8);
        p9_take(c, 1);
        c->at += p9_take(c, 2);
    }
    assert_ptr_equal(c->at, end);
    return count;
}

static void folders_are_listed_in_pieces(void **state)
{
    struct p9_client *c = *state;
    unsigned all = 0, some;
    u64 offset = 0;

    for (unsigned i = 0; i < 300; i++) {
        char name[64];

        snprintf(name, sizeof(name), "shared/sub/file-%u", i);
        close(open(p9_path(c, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    assert_int_equal(p9_walk_to(c, ROOT, 2, "sub"), 0);
    assert_int_equal(list(c, 2, 0, 1000), EBADF);
    assert_int_equal(p9_open_as(c, 2, 0200000), 0);
    do {
        assert_int_equal(list(c, 2, offset, 1000), 0);
        some = count_entries(c, &offset);
        all += some;
    } while (some);
    assert_int_equal(all, 303);
    assert_int_equal(list(c, 2, 0, 20), EINVAL); /* no room for any */
    assert_int_equal(p9_read_at(c, 2, 0, 100), EISDIR);
    assert_int_equal(p9_walk_to(c, ROOT, 3, "file"), 0);
    assert_int_equal(p9_open_as(c, 3, 0), 0);
    assert_int_equal(list(c, 3, 0, 1000), ENOTDIR);
}

/* ---- Locks, extended attributes ---- */

static void locks_are_granted(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), 0);
    for (unsigned open = 0; open < 2; open++) {
        p9_begin(c, 52);
        p9_u32(c, 2);
        p9_u8(c, 1);
        p9_u32(c, 0);
        p9_u64(c, 0);
        p9_u64(c, 10);
        p9_u32(c, 1);
        p9_text(c, "guest");
        assert_int_equal(p9_send(c), open ? 0 : EBADF);
        p9_open_as(c, 2, RDWR);
    }
    p9_begin(c, 54);
    p9_u32(c, 2);
    p9_u8(c, 1);
    p9_u64(c, 7);
    p9_u64(c, 10);
    p9_u32(c, 99);
    p9_text(c, "guest");
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(p9_take(c, 1), 2);
    assert_int_equal(p9_take(c, 8), 7);
}

static int set_xattr(struct p9_client *c, const char *name, const char *value, u32 flags)
{
    u32 size = value ? (u32)strlen(value) : 0;
    int r;

    assert_int_equal(p9_walk_to(c, ROOT, 8, "file"), 0);
    p9_begin(c, 32);
    p9_u32(c, 8);
    p9_text(c, name);
    p9_u64(c, size);
    p9_u32(c, flags);
    assert_int_equal(p9_send(c), 0);
    for (u32 at = 0; at < size; at += 2)
        assert_int_equal(p9_write_at(c, 8, at, value + at, MIN(2, size - at)), 0);
    r = p9_clunk_fid(c, 8);
    assert_int_equal(p9_clunk_fid(c, 8), EBADF);
    return r;
}

/* The value in the answer's place, its size through the pointer. */
static int get_xattr(struct p9_client *c, const char *name, u64 *size)
{
    int r;

    p9_walk_to(c, ROOT, 8, "file");
    p9_begin(c, 30);
    p9_u32(c, 8);
    p9_u32(c, 9);
    p9_text(c, name);
    r = p9_send(c);
    *size = r ? 0 : p9_take(c, 8);
    p9_clunk_fid(c, 8);
    if (r)
        return r;
    assert_int_equal(p9_read_at(c, 9, 0, 1000), 0);
    assert_int_equal(p9_take(c, 4), *size);
    c->at = memcpy(c->request, c->at, *size);
    return p9_write_at(c, 77, 0, "", 0) == EBADF ? p9_clunk_fid(c, 9) : -1;
}

static bool has_xattrs(struct p9_client *c)
{
    return !setxattr(p9_path(c, "shared/file"), "user.probe", "x", 1, 0) &&
           !removexattr(p9_path(c, "shared/file"), "user.probe");
}

static void extended_attributes_are_set_and_read(void **state)
{
    struct p9_client *c = *state;
    char value[16] = "";
    u64 size;

    if (!has_xattrs(c))
        skip();
    assert_int_equal(set_xattr(c, "user.test", "value", 0), 0);
    assert_int_equal(getxattr(p9_path(c, "shared/file"), "user.test", value, sizeof(value)), 5);
    assert_string_equal(value, "value");
    assert_int_equal(get_xattr(c, "user.test", &size), 0);
    assert_int_equal(size, 5);
    assert_int_equal(get_xattr(c, "", &size), 0);
    assert_true(size >= 10);
    assert_int_equal(set_xattr(c, "user.test", "other", 1), EEXIST);
    assert_int_equal(set_xattr(c, "user.test", NULL, 0), 0); /* of size 0: removed */
    assert_int_equal(get_xattr(c, "user.test", &size), ENODATA);
}

static void half_a_value_is_not_set(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), 0);
    p9_begin(c, 32);
    p9_u32(c, 2);
    p9_text(c, "user.test");
    p9_u64(c, 4);
    p9_u32(c, 0);
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(p9_write_at(c, 2, 1, "a", 1), EINVAL);
    assert_int_equal(p9_write_at(c, 2, 0, "abcde", 5), EINVAL);
    assert_int_equal(p9_read_at(c, 2, 0, 4), EBADF);
    assert_int_equal(p9_write_at(c, 2, 0, "abc", 3), 0);
    assert_int_equal(p9_clunk_fid(c, 2), EINVAL);
    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), 0);
    p9_begin(c, 32);
    p9_u32(c, 2);
    p9_text(c, "user.test");
    p9_u64(c, 65537);
    p9_u32(c, 0);
    assert_int_equal(p9_send(c), E2BIG);
}

/* ---- Limits and malformed messages ---- */

static void fids_are_limited(void **state)
{
    struct p9_client *c = *state;
    u32 fid = 2;

    while (p9_walk_to(c, ROOT, fid, "file") == 0)
        fid++;
    assert_int_equal(fid, 65);
    assert_int_equal(p9_walk_to(c, ROOT, fid, "file"), EMFILE);
    assert_int_equal(p9_clunk_fid(c, 40), 0);
    assert_int_equal(p9_walk_to(c, ROOT, 1000000, "file"), 0);
}

static void messages_cut_short_are_refused(void **state)
{
    struct p9_client *c = *state;

    assert_int_equal(p9_walk_to(c, ROOT, 2, "sub"), 0);
    for (u8 type = 8; type < 124; type = (u8)(type + 2)) {
        for (u32 size = 7; size < 30; size++) {
            p9_begin(c, type);
            p9_u32(c, 2);
            while (c->size < 30)
                p9_u8(c, 0xFF);
            store_le32(c->request, size);
            p9_send_raw(c, c->request, size, 64);
            p9_send_raw(c, c->request, 30, 64);
            p9_version_as(c, "9P2000.L", 8192);
            p9_attach_as(c, ROOT, 0, "");
            p9_walk_to(c, ROOT, 2, "sub");
        }
    }
    assert_true(exists(c, "shared/file"));
}

static void sizes_that_lie_are_refused(void **state)
{
    struct p9_client *c = *state;

    p9_begin(c, 120);
    p9_u32(c, ROOT);
    store_le32(c->request, 6);
    assert_int_equal(p9_send_raw(c, c->request, 11, 64), 7);
    store_le32(c->request, 12);
    assert_int_equal(p9_send_raw(c, c->request, 11, 64), 7);
    store_le32(c->request, UINT32_MAX);
    assert_int_equal(p9_send_raw(c, c->request, 11, 64), 7);
    assert_int_equal(p9_send_raw(c, c->request, 6, 64), 0); /* not even a header */
    assert_int_equal(p9_send_raw(c, c->request, 0, 64), 0);
    store_le32(c->request, 11);
    assert_int_equal(p9_send_raw(c, c->request, 11, 10), 0); /* no room for any answer */
    assert_int_equal(p9_send_raw(c, c->request, 11, 11), 121);
}

static void an_answer_that_has_no_room_is_an_error(void **state)
{
    struct p9_client *c = *state;

    p9_begin(c, 24);
    p9_u32(c, ROOT);
    p9_u64(c, 0x7FF);
    assert_int_equal(p9_send_raw(c, c->request, c->size, 159), 7);
    assert_int_equal(p9_take(c, 4), EMSGSIZE);
    assert_int_equal(p9_send_raw(c, c->request, c->size, 160), 25);
}

static void unknown_requests_are_refused(void **state)
{
    struct p9_client *c = *state;

    p9_begin(c, 200);
    assert_int_equal(p9_send_raw(c, c->request, c->size, 64), 7);
    assert_int_equal(p9_take(c, 4), EOPNOTSUPP);
}

static void long_messages_but_writes_are_refused(void **state)
{
    struct p9_client *c = *state;

    begin_at(c, 72, "x");
    while (c->size < 9000)
        p9_u32(c, 0);
    assert_int_equal(p9_send(c), EMSGSIZE);
}

/* ---- Read-only ---- */

static void nothing_is_changed_in_a_read_only_folder(void **state)
{
    static const u8 changes[] = { 14, 16, 18, 20, 26, 32, 70, 72, 74, 76, 118 };
    struct p9_client *c = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
        p9_begin(c, changes[i]);
        p9_u32(c, ROOT);
        assert_int_equal(p9_send(c), EROFS);
    }
    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), 0);
    assert_int_equal(p9_open_as(c, 2, 1), EROFS);
    assert_int_equal(p9_open_as(c, 2, 01000), EROFS);
    assert_int_equal(p9_open_as(c, 2, 0), 0);
    assert_int_equal(p9_read_at(c, 2, 0, 10), 0);
    p9_begin(c, 122);
    p9_u32(c, 2);
    assert_int_equal(p9_send(c), EROFS);
    assert_true(exists(c, "shared/file"));
}

/* ---- Mapped owners ---- */

static u32 mode_of(struct p9_client *c, const char *name)
{
    p9_clunk_fid(c, 30);
    assert_int_equal(p9_walk_to(c, ROOT, 30, name), 0);
    p9_begin(c, 24);
    p9_u32(c, 30);
    p9_u64(c, 0x7FF);
    assert_int_equal(p9_send(c), 0);
    c->at += 8 + 13;
    return (u32)p9_take(c, 4);
}

static void mapped_things_are_plain_files_to_the_host(void **state)
{
    struct p9_client *c = *state;
    struct stat status;
    u8 value[8];

    if (!c->server)
        skip();
    begin_at(c, 18, "disk");
    p9_u32(c, S_IFBLK | 0660);
    p9_u32(c, 8);
    p9_u32(c, 1);
    p9_u32(c, 6);
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(lstat(p9_path(c, "shared/disk"), &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(getxattr(p9_path(c, "shared/disk"), "user.virtfs.mode", value, 8), 4);
    assert_int_equal(load_le32(value), S_IFBLK | 0660);
    assert_int_equal(getxattr(p9_path(c, "shared/disk"), "user.virtfs.gid", value, 8), 4);
    assert_int_equal(load_le32(value), 6);
    assert_int_equal(getxattr(p9_path(c, "shared/disk"), "user.virtfs.rdev", value, 8), 8);
    assert_int_equal(load_le64(value), 0x801);
    assert_int_equal(mode_of(c, "disk"), S_IFBLK | 0660);
    assert_int_equal(p9_open_as(c, 30, 0), ENXIO);
    begin_at(c, 16, "pointer");
    p9_text(c, "/etc/passwd");
    p9_u32(c, 0);
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(lstat(p9_path(c, "shared/pointer"), &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(mode_of(c, "pointer"), S_IFLNK | 0777);
    p9_begin(c, 22);
    p9_u32(c, 30);
    assert_int_equal(p9_send(c), 0);
    assert_int_equal(p9_take(c, 2), 11);
    assert_memory_equal(c->at, "/etc/passwd", 11);
}

static void mapped_modes_leave_the_host_s_alone(void **state)
{
    struct p9_client *c = *state;
    struct stat status;

    if (!c->server)
        skip();
    assert_int_equal(p9_walk_to(c, ROOT, 2, ""), 0);
    assert_int_equal(p9_create_as(c, 2, "tool", RDWR, 04755), 0);
    assert_int_equal(lstat(p9_path(c, "shared/tool"), &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(mode_of(c, "tool"), S_IFREG | 04755);
    assert_int_equal(set_attr(c, 30, 0x1, 02711, 0, 0), 0);
    assert_int_equal(mode_of(c, "tool"), S_IFREG | 02711);
    assert_int_equal(lstat(p9_path(c, "shared/tool"), &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
}

static void the_map_is_hidden_from_the_guest(void **state)
{
    struct p9_client *c = *state;
    u64 size;

    if (!c->server)
        skip();
    assert_int_equal(p9_walk_to(c, ROOT, 2, "file"), 0);
    assert_int_equal(set_attr(c, 2, 0x1, 0640, 0, 0), 0);
    assert_int_equal(get_xattr(c, "", &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(get_xattr(c, "user.virtfs.mode", &size), EOPNOTSUPP);
    assert_int_equal(set_xattr(c, "user.virtfs.mode", "abcd", 0), EOPNOTSUPP);
    assert_int_equal(set_xattr(c, "security.capability", "abcd", 0), EOPNOTSUPP);
}

#define T(name)        cmocka_unit_test_setup_teardown(name, setup, teardown)
#define MAPPED(name)   cmocka_unit_test_setup_teardown(name, setup_mapped, teardown)
#define READONLY(name) cmocka_unit_test_setup_teardown(name, setup_readonly, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_version_is_agreed_on),
        T(a_version_ends_the_session),
        T(attaching_goes_down_and_never_out),
        T(there_is_no_authentication),
        T(walking_stops_where_the_way_ends),
        T(a_fid_may_walk_itself),
        T(dot_dot_ends_at_the_root),
        T(links_are_not_followed),
        T(names_are_single_components),
        T(a_folder_that_moved_out_leads_nowhere),
        T(a_folder_that_became_a_link_is_still_the_folder),
        T(files_are_read_and_written),
        T(a_write_does_not_reach_beyond_its_message),
        T(a_long_write_is_taken_from_where_it_lies),
        T(creating_opens_the_new_file),
        T(creating_does_not_go_through_links),
        T(pipes_are_not_opened),
        T(a_removed_file_stays_open),
        T(attributes_are_told),
        T(attributes_are_set),
        T(a_link_s_target_keeps_its_attributes),
        T(the_file_system_is_described),
        T(things_are_made_and_removed),
        T(names_that_lead_out_are_refused),
        T(files_are_renamed_and_linked),
        T(the_root_itself_stays),
        T(folders_are_listed_in_pieces),
        T(locks_are_granted),
        T(extended_attributes_are_set_and_read),
        T(half_a_value_is_not_set),
        T(fids_are_limited),
        T(messages_cut_short_are_refused),
        T(sizes_that_lie_are_refused),
        T(an_answer_that_has_no_room_is_an_error),
        T(unknown_requests_are_refused),
        T(long_messages_but_writes_are_refused),
        READONLY(nothing_is_changed_in_a_read_only_folder),
        MAPPED(mapped_things_are_plain_files_to_the_host),
        MAPPED(mapped_modes_leave_the_host_s_alone),
        MAPPED(the_map_is_hidden_from_the_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
