/* SPDX-License-Identifier: MIT */
/* -drive, -blockdev and -snapshot: what becomes block backends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/suggest.h"

/* ---- Keys ---- */

/* An option while it is parsed: words and numbers as they were said. */
struct cli_block {
    struct block_config block; /* first: the keys' offsets are into it */
    char *interface, *format, *cache, *aio, *discard, *zeroes, *locking;
    char *driver, *filename;
    bool direct, no_flush;
    u32 throttle[sizeof(struct block_throttle) / sizeof(u64)];
};

#define BLOCK(member)  offsetof(struct cli_block, member)
#define CONFIG(member) offsetof(struct cli_block, block.member)
#define THROTTLE(member) \
    (BLOCK(throttle) + offsetof(struct block_throttle, member) / sizeof(u64) * sizeof(u32))

/* In the order of the enums of host/block.h. */
static const char *const cli_interfaces[] = { "none", "virtio", NULL };
static const char *const cli_formats[] = { "raw", "qcow2", NULL };
static const char *const cli_caches[] = { "writeback",  "none",   "writethrough",
                                          "directsync", "unsafe", NULL };
static const char *const cli_aios[] = { "native", "io_uring", "threads", NULL };
static const char *const cli_discards[] = { "ignore", "unmap", "off", "on", NULL };
static const char *const cli_zeroes[] = { "off", "on", "unmap", NULL };
static const char *const cli_lockings[] = { "auto", "on", "off", NULL };
static const char *const cli_media[] = { "disk", NULL };
static const char *const cli_error_actions[] = {
    "report", "enospc", "ignore", "stop", "auto", NULL
};
static const char *const cli_drivers[] = { "file", "host_device", "raw", "qcow2", NULL };

/* clang-format off */
#define BLOCK_COMMON_KEYS \
    { "aio", KEY_WORD, BLOCK(aio), .words = cli_aios, .help = "how the host is asked" }, \
    { "discard", KEY_WORD, BLOCK(discard), .words = cli_discards, \
      .help = "unmap: what the guest discards is given back to the host" }, \
    { "detect-zeroes", KEY_WORD, BLOCK(zeroes), .words = cli_zeroes, \
      .help = "writes of zeroes take no space" }, \
    { "read-only", KEY_BOOL, CONFIG(readonly), .help = "the guest may not write" }, \
    { .name = "auto-read-only", .type = KEY_BOOL, .offset = KEY_NOWHERE }

#define THROTTLE_KEY(key, member, text) \
    { "throttling." key, KEY_UINT, THROTTLE(member), .help = text }
/* clang-format on */

const struct key cli_drive_keys[] = {
    { "file", KEY_STRING, CONFIG(file), .help = "the image: a file or a block device" },
    { "id", KEY_STRING, CONFIG(id), .help = "the name that -device refers to it by" },
    { "if", KEY_WORD, BLOCK(interface), .words = cli_interfaces,
      .help = "virtio: add a virtio-blk-device for it" },
    { "format", KEY_WORD, BLOCK(format), .words = cli_formats,
      .help = "the image's format; without it the image tells, which is not safe for raw ones" },
    { "cache", KEY_WORD, BLOCK(cache), .words = cli_caches,
      .help = "when data must reach the medium, and whether the host keeps a copy" },
    BLOCK_COMMON_KEYS,
    { "readonly", KEY_BOOL, CONFIG(readonly), .help = "the same" },
    { "snapshot", KEY_BOOL, CONFIG(snapshot), .help = "what the guest writes is gone at the end" },
    { "serial", KEY_STRING, CONFIG(serial), .help = "the disk's serial number" },
    { "file.locking", KEY_WORD, BLOCK(locking), .words = cli_lockings,
      .help = "off: let others write the image at the same time" },
    { .name = "file.filename", .type = KEY_STRING, .offset = CONFIG(file) },
    { .name = "media", .type = KEY_WORD, .offset = KEY_NOWHERE, .words = cli_media },
    { .name = "index", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = "bus", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = "unit", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = "werror", .type = KEY_WORD, .offset = KEY_NOWHERE, .words = cli_error_actions },
    { .name = "rerror", .type = KEY_WORD, .offset = KEY_NOWHERE, .words = cli_error_actions },
    THROTTLE_KEY("iops-total", iops_total, "requests per second"),
    THROTTLE_KEY("iops-read", iops_read, NULL),
    THROTTLE_KEY("iops-write", iops_write, NULL),
    THROTTLE_KEY("bps-total", bps_total, "bytes per second"),
    THROTTLE_KEY("bps-read", bps_read, NULL),
    THROTTLE_KEY("bps-write", bps_write, NULL),
    THROTTLE_KEY("iops-total-max", iops_total_max, "how many may come at once"),
    THROTTLE_KEY("iops-read-max", iops_read_max, NULL),
    THROTTLE_KEY("iops-write-max", iops_write_max, NULL),
    THROTTLE_KEY("bps-total-max", bps_total_max, "how many bytes may come at once"),
    THROTTLE_KEY("bps-read-max", bps_read_max, NULL),
    THROTTLE_KEY("bps-write-max", bps_write_max, NULL),
    { .name = NULL },
};

const struct key cli_blockdev_keys[] = {
    { "driver", KEY_WORD, BLOCK(driver), .words = cli_drivers, .help = "what the node is" },
    { "node-name", KEY_STRING, CONFIG(id), .help = "the name that others refer to it by" },
    { "filename", KEY_STRING, BLOCK(filename), .help = "file, host_device: the image" },
    { "file", KEY_STRING, CONFIG(node), .help = "raw, qcow2: the node with the image" },
    { "locking", KEY_WORD, BLOCK(locking), .words = cli_lockings,
      .help = "off: let others write the image at the same time" },
    { "cache.direct", KEY_BOOL, BLOCK(direct), .help = "the host keeps no copy" },
    { "cache.no-flush", KEY_BOOL, BLOCK(no_flush), .help = "ignore the guest's flushes" },
    BLOCK_COMMON_KEYS,
    { .name = "file.driver", .type = KEY_WORD, .offset = KEY_NOWHERE, .words = cli_drivers },
    { .name = "file.filename", .type = KEY_STRING, .offset = BLOCK(filename) },
    { .name = "file.locking", .type = KEY_WORD, .offset = BLOCK(locking), .words = cli_lockings },
    { .name = "file.aio", .type = KEY_WORD, .offset = BLOCK(aio), .words = cli_aios },
    { .name = NULL },
};

/* -device virtio-blk-device: checked here, read by the machine. */
const struct key cli_blk_keys[] = {
    { "drive", KEY_STRING, KEY_NOWHERE, .help = "the -drive or -blockdev" },
    { "serial", KEY_STRING, KEY_NOWHERE, .help = "serial number, 20 bytes" },
    { "num-queues", KEY_UINT, KEY_NOWHERE, .max = 64, .help = "request queues (1)" },
    { "queue-size", KEY_UINT, KEY_NOWHERE, .max = 1024, .help = "entries of each (256)" },
    { "logical_block_size", KEY_UINT, KEY_NOWHERE, .max = 32768, .help = "bytes (512)" },
    { "physical_block_size", KEY_UINT, KEY_NOWHERE, .max = 32768, .help = "bytes (512)" },
    { "discard", KEY_BOOL, KEY_NOWHERE, .help = "offer the discard command (on)" },
    { "write-zeroes", KEY_BOOL, KEY_NOWHERE, .help = "offer the write zeroes command (on)" },
    { "config-wce", KEY_BOOL, KEY_NOWHERE, .help = "the driver may choose the cache mode (on)" },
    { .name = "share-rw", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { "bootindex", KEY_UINT, KEY_NOWHERE, .max = INT32_MAX,
      .help = "place in the firmware's boot order (none)" },
    CLI_VIRTIO_KEYS,
};

/* ---- Words to values ---- */

/* The place of a checked word; 0 without one. */
static unsigned cli_word(const char *const *words, const char *word)
{
    unsigned i = 0;

    while (word && words[i] && strcmp(words[i], word))
        i++;
    return i;
}

static void cli_fill_block(struct cli_block *b)
{
    static const enum block_aio aios[] = { BLOCK_AIO_DEFAULT, BLOCK_AIO_IO_URING,
                                           BLOCK_AIO_THREADS };
    u64 throttle[ARRAY_SIZE(b->throttle)] = { 0 };
    struct block_config *block = &b->block;

    block->format =
        b->format ? BLOCK_FORMAT_RAW + cli_word(cli_formats, b->format) : BLOCK_FORMAT_PROBE;
    block->cache = cli_word(cli_caches, b->cache);
    block->aio = aios[cli_word(cli_aios, b->aio)]; // NOLINT: filled by the keys' table, by offsets
    block->discard = cli_word(cli_discards, b->discard) % 2;
    block->detect_zeroes = cli_word(cli_zeroes, b->zeroes);
    block->locking_off = b->locking && !strcmp(b->locking, "off");
    for (unsigned i = 0; i < ARRAY_SIZE(throttle); i++)
        throttle[i] = b->throttle[i]; // NOLINT: the keys' table fills it, by offsets
    memcpy(&block->throttle, throttle, sizeof(throttle));
}

static void cli_free_block(struct cli_block *b)
{
    char *const strings[] = { b->interface, b->format,  b->cache,  b->aio,     b->discard,
                              b->zeroes,    b->locking, b->driver, b->filename };

    for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
        free(strings[i]);
}

static void cli_free_config(struct block_config *block)
{
    char *const strings[] = { block->id, block->file, block->text, block->serial, block->node };

    for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
        free(strings[i]);
}

/* ---- Adding ---- */

static bool cli_check_block(struct cli *cli, const struct cli_block *b, struct error *err)
{
    const char *id = b->block.id;

    if (id && !cli_check_id(id, err))
        return false;
    if (id && config_block(cli->config, id))
        return error_set(err, "Duplicate ID '%.64s' for drive", id);
    if (cli->config->block_count == CONFIG_BLOCKS_MAX)
        return error_set(err, "more than %d drives", CONFIG_BLOCKS_MAX);
    return true;
}

/* Parse `value` by `keys`, check it by `finish`, and add it. */
static bool cli_add_block(struct cli *cli, const char *option, const char *value,
                          const struct key_table *table,
                          bool (*finish)(struct cli *, struct cli_block *, struct error *),
                          struct error *err)
{
    struct cli_block b = { .block = { .file = NULL } };
    char text[CLI_SOURCE_MAX];
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, NULL, err);

    for (unsigned i = 0; ok && i < kv.count; i++)
        ok = key_set(cli, table, &b, &kv.items[i], err);
    snprintf(text, sizeof(text), "-%s %s", option, value);
    b.block.text = xstrdup(text);
    cli_fill_block(&b);
    ok = ok && cli_check_block(cli, &b, err) && finish(cli, &b, err);
    if (ok)
        cli->config->blocks[cli->config->block_count++] = b.block;
    else
        cli_free_config(&b.block);
    cli_free_block(&b);
    keyval_fini(&kv);
    return ok;
}

/* ---- -drive ---- */

static bool cli_finish_drive(struct cli *cli, struct cli_block *b, struct error *err)
{
    char text[128];

    if (!b->block.file || !b->block.file[0])
        return error_set(err, "Parameter 'file' is missing: an image is expected");
    if (!b->interface || !strcmp(b->interface, "none"))
        return true;
    if (!b->block.id) {
        snprintf(text, sizeof(text), "virtio%u", cli->config->block_count);
        b->block.id = xstrdup(text);
    }
    snprintf(text, sizeof(text), "virtio-blk-device,drive=%s", b->block.id);
    return cli_add_implied_device(cli, text, text, err);
}

bool cli_parse_drive(struct cli *cli, const char *value, struct error *err)
{
    static const struct key_table table = { cli_drive_keys,
                                            "Block format does not support the option '", "'",
                                            .bare_ok = true };

    return cli_add_block(cli, "drive", value, &table, cli_finish_drive, err);
}

/* ---- -blockdev ---- */

static enum block_cache_mode cli_blockdev_cache(const struct cli_block *b)
{
    if (b->no_flush)
        return BLOCK_CACHE_UNSAFE;
    return b->direct ? BLOCK_CACHE_NONE : BLOCK_CACHE_WRITEBACK;
}

static bool cli_finish_blockdev(struct cli *cli, struct cli_block *b, struct error *err)
{
    bool protocol = b->driver && (!strcmp(b->driver, "file") || !strcmp(b->driver, "host_device"));

    (void)cli;
    if (!b->driver)
        return error_set(err, "Parameter 'driver' is missing");
    if (!b->block.id)
        return error_set(err, "Parameter 'node-name' is missing");
    if (protocol && (!b->filename || b->block.node))
        return error_set(err, "driver %s needs filename=, and has no file=", b->driver);
    if (!protocol && !b->filename == !b->block.node)
        return error_set(err, "driver %s needs file=NODE or file.filename=", b->driver);
    b->block.format =
        protocol ? BLOCK_FORMAT_RAW : BLOCK_FORMAT_RAW + cli_word(cli_formats, b->driver);
    b->block.cache = cli_blockdev_cache(b);
    b->block.file = b->filename ? xstrdup(b->filename) : NULL;
    return true;
}

bool cli_parse_blockdev(struct cli *cli, const char *value, struct error *err)
{
    static const struct key_table table = { cli_blockdev_keys, "Parameter '", "' is unexpected",
                                            .bare_ok = false };

    if (value[0] == '{')
        return error_set(err, "JSON is not read here; write driver=DRIVER,node-name=ID,...");
    return cli_add_block(cli, "blockdev", value, &table, cli_finish_blockdev, err);
}

/* ---- Once all is known ---- */

/* file=NODE becomes that node's file, with what was said of it. */
static bool cli_resolve_node(const struct config *config, struct block_config *block,
                             struct error *err)
{
    const struct block_config *node = block->node ? config_block(config, block->node) : NULL;

    if (!block->node)
        return true;
    if (!node || !node->file)
        return error_set(err, "%s: Cannot find node-name '%.64s' with a file", block->text,
                         block->node);
    block->file = xstrdup(node->file);
    block->locking_off |= node->locking_off;
    block->readonly |= node->readonly;
    block->discard |= node->discard;
    if (node->cache != BLOCK_CACHE_WRITEBACK)
        block->cache = node->cache;
    if (node->aio != BLOCK_AIO_DEFAULT)
        block->aio = node->aio;
    return true;
}

bool cli_finish_blocks(struct cli *cli, struct error *err)
{
    struct config *config = cli->config;

    for (unsigned i = 0; i < config->block_count; i++) {
        struct block_config *block = &config->blocks[i];

        if (!cli_resolve_node(config, block, err))
            return false;
        block->snapshot |= cli->snapshot && !block->readonly;
    }
    return true;
}

bool cli_claim_drive(struct cli *cli, const char *id, struct error *err)
{
    const struct config *config = cli->config;
    struct suggest suggest;
    unsigned users = 0;

    if (!config_block(config, id)) {
        error_set(err, "can't find value '%.64s'", id);
        suggest_init(&suggest, id);
        for (unsigned i = 0; i < config->block_count; i++)
            if (config->blocks[i].id)
                suggest_try(&suggest, config->blocks[i].id);
        return suggest_append(&suggest, "", err);
    }
    for (unsigned i = 0; i < config->device_count; i++) {
        const char *used = device_config_get(&config->devices[i], "drive");

        users += used && !strcmp(used, id);
    }
    return users < 2 || error_set(err, "Drive '%.64s' is already in use by another device", id);
}
