/* SPDX-License-Identifier: MIT */
/* -fsdev and -virtfs: folders of the host for the guest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/number.h"

#define CLI_MOUNT_TAG_MAX 31 /* as on QEMU */
#define CLI_MODE_FILE     0600u
#define CLI_MODE_FOLDER   0700u

/* An option while it is parsed. */
struct cli_fsdev {
    struct fs_config fs; /* first: the keys' offsets are into it */
    char *driver, *security, *tag;
};

#define FSDEV(member) offsetof(struct cli_fsdev, member)

static const char *const cli_fsdev_drivers[] = { "local", "synth", "proxy", NULL };
static const char *const cli_securities[] = { "passthrough", "none",        "mapped-xattr",
                                              "mapped",      "mapped-file", NULL };
static const char *const cli_writeouts[] = { "immediate", NULL };
static const char *const cli_multidevs[] = { "remap", "warn", "forbid", NULL };

static bool cli_set_mode(u32 *mode, const char *value, struct error *err)
{
    char *end;
    unsigned long number = strtoul(value, &end, 8);

    if (value[0] < '0' || value[0] > '7' || *end || number > 0777)
        return error_set(err, "'%.64s' is not a mode: three octal digits are expected", value);
    *mode = (u32)number;
    return true;
}

static bool cli_set_fmode(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)cli;
    return cli_set_mode(&((struct fs_config *)object)->fmode, value, err);
}

static bool cli_set_dmode(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)cli;
    return cli_set_mode(&((struct fs_config *)object)->dmode, value, err);
}

#define FSDEV_KEYS \
    { "path", KEY_STRING, FSDEV(fs.path), .help = "the folder" }, \
        { "security_model", KEY_WORD, FSDEV(security), .words = cli_securities, \
          .help = "whose the files are: mapped-xattr (owners and modes in attributes), " \
                  "passthrough (the host's), none (the host's, as far as it lets us)" }, \
        { "readonly", KEY_BOOL, FSDEV(fs.readonly), .help = "the guest may not write (off)" }, \
        { "fmode", KEY_CALL, FSDEV(fs), .call = cli_set_fmode, \
          .help = "mapped-xattr: what files have on the host (600)" }, \
        { "dmode", KEY_CALL, FSDEV(fs), .call = cli_set_dmode, \
          .help = "mapped-xattr: what folders have on the host (700)" }, \
        { .name = "fsdriver", \
          .type = KEY_WORD, \
          .offset = FSDEV(driver), \
          .words = cli_fsdev_drivers }, \
        { .name = "writeout", .type = KEY_WORD, .offset = KEY_NOWHERE, .words = cli_writeouts }, \
    { \
        .name = "multidevs", .type = KEY_WORD, .offset = KEY_NOWHERE, .words = cli_multidevs \
    }

const struct key cli_fsdev_keys[] = {
    { "id", KEY_STRING, FSDEV(fs.id), .help = "the name that -device refers to it by" },
    FSDEV_KEYS,
    { .name = NULL },
};

const struct key cli_virtfs_keys[] = {
    { "mount_tag", KEY_STRING, FSDEV(tag), .help = "the name that the guest mounts it by" },
    { "id", KEY_STRING, FSDEV(fs.id), .help = "a name for the folder (the mount tag)" },
    FSDEV_KEYS,
    { .name = NULL },
};

/* -device virtio-9p-device: checked here, read by the machine. */
const struct key cli_9p_keys[] = {
    { "fsdev", KEY_STRING, KEY_NOWHERE, .help = "the -fsdev" },
    { "mount_tag", KEY_STRING, KEY_NOWHERE, .help = "the name that the guest mounts it by" },
    CLI_VIRTIO_KEYS,
};

/* ---- Checks ---- */

static bool cli_check_security(struct cli_fsdev *f, struct error *err)
{
    static const char valid[] = "passthrough, none or mapped-xattr";

    if (!f->security)
        return error_set(err, "Parameter 'security_model' is missing: %s", valid);
    if (!strcmp(f->security, "mapped-file"))
        return error_set(err, "this build has no security_model=mapped-file; %s is expected",
                         valid);
    f->fs.security = !strcmp(f->security, "passthrough") ? FS_PASSTHROUGH
                     : !strcmp(f->security, "none")      ? FS_NONE
                                                         : FS_MAPPED;
    return true;
}

static bool cli_check_fsdev(struct cli *cli, struct cli_fsdev *f, struct error *err)
{
    if (!f->driver)
        return error_set(err, "Parameter 'fsdriver' is missing: 'local' is expected first");
    if (strcmp(f->driver, "local"))
        return error_set(err, "this build has no fsdriver '%.64s'; 'local' is expected", f->driver);
    if (!f->fs.path || !f->fs.path[0])
        return error_set(err, "Parameter 'path' is missing: a folder is expected");
    if (!f->fs.id)
        return error_set(err, "Parameter 'id' is missing");
    if (!cli_check_id(f->fs.id, err) || !cli_check_security(f, err))
        return false;
    if (config_fsdev(cli->config, f->fs.id))
        return error_set(err, "Duplicate ID '%.64s' for fsdev", f->fs.id);
    if (cli->config->fsdev_count == CONFIG_FSDEVS_MAX)
        return error_set(err, "more than %d folders", CONFIG_FSDEVS_MAX);
    return true;
}

static bool cli_check_tag(const char *tag, struct error *err)
{
    if (!tag || !tag[0])
        return error_set(err, "Parameter 'mount_tag' is missing");
    return strlen(tag) <= CLI_MOUNT_TAG_MAX ||
           error_set(err, "mount_tag '%.64s' is longer than %d characters", tag, CLI_MOUNT_TAG_MAX);
}

/* ---- The options ---- */

static void cli_free_fsdev(struct cli_fsdev *f)
{
    free(f->driver);
    free(f->security);
    free(f->tag);
}

static bool cli_parse_folder(struct cli *cli, const char *option, const char *value,
                             const struct key_table *table,
                             bool (*finish)(struct cli *, struct cli_fsdev *, struct error *),
                             struct error *err)
{
    struct cli_fsdev f = { .fs = { .fmode = CLI_MODE_FILE, .dmode = CLI_MODE_FOLDER } };
    char text[CLI_SOURCE_MAX];
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, "fsdriver", err);

    for (unsigned i = 0; ok && i < kv.count; i++)
        ok = key_set(cli, table, &f, &kv.items[i], err);
    snprintf(text, sizeof(text), "-%s %s", option, value);
    f.fs.text = xstrdup(text);
    ok = ok && finish(cli, &f, err);
    if (ok)
        cli->config->fsdevs[cli->config->fsdev_count++] = f.fs;
    else
        config_free_fsdev(&f.fs);
    cli_free_fsdev(&f);
    keyval_fini(&kv);
    return ok;
}

bool cli_parse_fsdev(struct cli *cli, const char *value, struct error *err)
{
    static const struct key_table table = { cli_fsdev_keys, "Parameter '", "' is unexpected",
                                            .bare_ok = true };

    return cli_parse_folder(cli, "fsdev", value, &table, cli_check_fsdev, err);
}

/* A folder, and the device that shows it. */
static bool cli_finish_virtfs(struct cli *cli, struct cli_fsdev *f, struct error *err)
{
    const char *tag = f->tag ? f->tag : "";
    char text[160], *at = text;

    if (!cli_check_tag(tag, err))
        return false;
    if (!f->fs.id) {
        snprintf(text, sizeof(text), "virtfs%u", cli->config->fsdev_count);
        f->fs.id = xstrdup(text);
    }
    if (!cli_check_fsdev(cli, f, err))
        return false;
    at += snprintf(text, sizeof(text), "virtio-9p-device,fsdev=%.64s,mount_tag=", f->fs.id);
    for (; *tag; tag++) {
        *at++ = *tag;
        if (*tag == ',')
            *at++ = ','; /* QEMU's way to write one in a value */
    }
    *at = 0;
    return cli_add_implied_device(cli, text, text, err);
}

bool cli_parse_virtfs(struct cli *cli, const char *value, struct error *err)
{
    static const struct key_table table = { cli_virtfs_keys, "Parameter '", "' is unexpected",
                                            .bare_ok = true };

    return cli_parse_folder(cli, "virtfs", value, &table, cli_finish_virtfs, err);
}

/* ---- Once all is known ---- */

bool cli_check_9p(const struct cli *cli, const struct device_config *device, struct error *err)
{
    const char *fsdev = device_config_get(device, "fsdev");

    if (!fsdev)
        return true; /* not one, or told of already */
    if (!config_fsdev(cli->config, fsdev))
        return error_set(err, "Property '%s.fsdev': can't find an -fsdev with the id '%.64s'",
                         device->model, fsdev);
    return cli_check_tag(device_config_get(device, "mount_tag"), err);
}
