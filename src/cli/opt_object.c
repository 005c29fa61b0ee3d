/* SPDX-License-Identifier: MIT */
/* -object: what devices refer to. */
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/cli.h"

static const struct key cli_rng_builtin_keys[] = {
    { .name = NULL },
};

static const struct key cli_rng_random_keys[] = {
    { "filename", KEY_STRING, KEY_NOWHERE, .help = "where the bytes come from (/dev/urandom)" },
    { .name = NULL },
};

static const struct {
    const char *name;
    const struct key *keys;
    const char *help;
} cli_object_types[] = {
    { "rng-builtin", cli_rng_builtin_keys, "random bytes of the host's kernel" },
    { "rng-random", cli_rng_random_keys, "random bytes of a file" },
};

static const struct key *cli_object_keys(const char *type)
{
    for (size_t i = 0; i < ARRAY_SIZE(cli_object_types); i++)
        if (!strcmp(cli_object_types[i].name, type))
            return cli_object_types[i].keys;
    return NULL;
}

static bool cli_object_help(struct cli *cli)
{
    printf("Objects:\n");
    for (size_t i = 0; i < ARRAY_SIZE(cli_object_types); i++)
        printf("  %-12s %s\n", cli_object_types[i].name, cli_object_types[i].help);
    cli->done = true;
    return true;
}

static bool cli_set_object(struct cli *cli, struct device_config *object,
                           const struct keyval_item *item, struct error *err)
{
    char before[96];
    const struct key_table table = { cli_object_keys(object->model), before, "' not found",
                                     .bare_ok = true };

    if (!strcmp(item->key, "qom-type"))
        return true;
    if (!strcmp(item->key, "id")) {
        if (!cli_check_id(item->value, err))
            return false;
        if (config_object(cli->config, item->value))
            return error_set(err, "attempt to add duplicate object '%.64s'", item->value);
        key_replace_string(&object->id, item->value);
        return true;
    }
    snprintf(before, sizeof(before), "Property '%s.", object->model);
    if (!key_set(cli, &table, NULL, item, err))
        return false;
    if (object->property_count == CONFIG_DEVICE_PROPS_MAX)
        return error_set(err, "more than %d properties", CONFIG_DEVICE_PROPS_MAX);
    object->properties[object->property_count++] =
        (struct property){ xstrdup(item->key), xstrdup(item->value) };
    return true;
}

static bool cli_add_object(struct cli *cli, const struct keyval *kv, const char *text,
                           struct error *err)
{
    struct config *config = cli->config;
    struct device_config *object = &config->objects[config->object_count];
    const char *type = keyval_get(kv, "qom-type");
    bool ok = true;

    if (!type || !cli_object_keys(type))
        return error_set(err, "'%.64s' is not a valid object type; '-object help' lists them",
                         type ? type : "");
    if (!keyval_get(kv, "id"))
        return error_set(err, "Parameter 'id' is missing");
    if (config->object_count == CONFIG_OBJECTS_MAX)
        return error_set(err, "more than %d objects", CONFIG_OBJECTS_MAX);
    object->text = xstrdup(text);
    object->model = xstrdup(type);
    for (unsigned i = 0; ok && i < kv->count; i++)
        ok = cli_set_object(cli, object, &kv->items[i], err);
    /* Without an id it is not to be found; it is freed with the others all the same. */
    if (!object->id)
        key_replace_string(&object->id, "");
    config->object_count++;
    return ok;
}

bool cli_parse_object(struct cli *cli, const char *value, struct error *err)
{
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, "qom-type", err);

    if (ok && keyval_wants_help(&kv))
        ok = cli_object_help(cli);
    else if (ok)
        ok = cli_add_object(cli, &kv, value, err);
    keyval_fini(&kv);
    return ok;
}
