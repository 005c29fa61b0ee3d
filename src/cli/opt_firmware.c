/* SPDX-License-Identifier: MIT */
/* -L, -boot and -fw_cfg: what firmware is found and finds. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"

bool cli_parse_firmware_dir(struct cli *cli, const char *value, struct error *err)
{
    struct config *config = cli->config;

    if (config->firmware_dir_count == CONFIG_FIRMWARE_DIRS_MAX)
        return error_set(err, "more than %d folders", CONFIG_FIRMWARE_DIRS_MAX);
    config->firmware_dirs[config->firmware_dir_count++] = xstrdup(value);
    return true;
}

/* ---- -boot ---- */

/* The order of drives by letter, splash screens and the like have no meaning on this machine. */
static const struct key cli_boot_keys[] = {
    { "menu", KEY_BOOL, offsetof(struct config, boot_menu), .help = "offer a boot menu" },
    { .name = "order", .type = KEY_STRING, .offset = KEY_NOWHERE },
    { .name = "once", .type = KEY_STRING, .offset = KEY_NOWHERE },
    { .name = "splash", .type = KEY_STRING, .offset = KEY_NOWHERE },
    { .name = "splash-time", .type = KEY_UINT, .offset = KEY_NOWHERE, .max = UINT32_MAX },
    { .name = "reboot-timeout", .type = KEY_STRING, .offset = KEY_NOWHERE },
    { .name = "strict", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = NULL },
};

bool cli_set_boot(struct cli *cli, const struct keyval_item *item, struct error *err)
{
    static const struct key_table table = { cli_boot_keys, "Invalid parameter '", "'",
                                            .bare_ok = false };

    return key_set(cli, &table, cli->config, item, err);
}

bool cli_parse_boot(struct cli *cli, const char *value, struct error *err)
{
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, "order", err);

    for (unsigned i = 0; ok && i < kv.count; i++)
        ok = cli_set_boot(cli, &kv.items[i], err);
    keyval_fini(&kv);
    return ok;
}

/* ---- -fw_cfg ---- */

#define CLI_FW_CFG_NAME_MAX 55
#define CLI_FW_CFG_PREFIX   "opt/"

const struct key cli_fw_cfg_keys[] = {
    { "name", KEY_STRING, offsetof(struct fw_cfg_config, name),
      .help = "what the guest knows it by, at most 55 characters" },
    { "file", KEY_STRING, offsetof(struct fw_cfg_config, file),
      .help = "its bytes: those of a file" },
    { "string", KEY_STRING, offsetof(struct fw_cfg_config, string),
      .help = "its bytes: this text, without a NUL" },
    { .name = NULL },
};

static bool cli_check_fw_cfg(struct cli *cli, const struct fw_cfg_config *item, struct error *err)
{
    const struct config *config = cli->config;

    if (!item->name || !item->name[0])
        return error_set(err, "Parameter 'name' is missing: name=opt/NAME is expected");
    if (!item->file == !item->string)
        return error_set(err, "one of 'file' and 'string' is expected");
    if (strlen(item->name) > CLI_FW_CFG_NAME_MAX)
        return error_set(err, "name too long: at most %d characters", CLI_FW_CFG_NAME_MAX);
    for (const struct fw_cfg_config *other = config->fw_cfg; other < item; other++)
        if (!strcmp(other->name, item->name))
            return error_set(err, "duplicate fw_cfg file name: %s", item->name);
    if (strncmp(item->name, CLI_FW_CFG_PREFIX, strlen(CLI_FW_CFG_PREFIX)))
        log_warn("-fw_cfg %s: names of one's own should begin with '%s'", item->name,
                 CLI_FW_CFG_PREFIX);
    return true;
}

bool cli_parse_fw_cfg(struct cli *cli, const char *value, struct error *err)
{
    static const struct key_table table = { cli_fw_cfg_keys, "Invalid parameter '", "'",
                                            .bare_ok = false };
    struct config *config = cli->config;
    struct fw_cfg_config *item = &config->fw_cfg[config->fw_cfg_count];
    struct keyval kv;
    bool ok;

    if (config->fw_cfg_count == CONFIG_FW_CFG_MAX)
        return error_set(err, "more than %d files", CONFIG_FW_CFG_MAX);
    config->fw_cfg_count++;
    ok = keyval_parse(&kv, value, "name", err);
    for (unsigned i = 0; ok && i < kv.count; i++)
        ok = key_set(cli, &table, item, &kv.items[i], err);
    ok = ok && cli_check_fw_cfg(cli, item, err);
    keyval_fini(&kv);
    return ok;
}
