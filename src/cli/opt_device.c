/* SPDX-License-Identifier: MIT */
/* -device and -global: models and their properties. */
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/suggest.h"

/* ---- Models ---- */

#define CLI_PORT_MAX 0xFFFFu

static const struct key cli_debug_exit_keys[] = {
    { "iobase", KEY_UINT, KEY_NOWHERE, .max = CLI_PORT_MAX, .help = "first port (0x501)" },
    { "iosize", KEY_UINT, KEY_NOWHERE, .max = 4, .help = "number of ports (2)" },
    { .name = NULL },
};

static const struct key cli_debugcon_keys[] = {
    { "iobase", KEY_UINT, KEY_NOWHERE, .max = CLI_PORT_MAX, .help = "port (0xe9)" },
    { "readback", KEY_UINT, KEY_NOWHERE, .max = UINT32_MAX,
      .help = "what reading it gives (0xe9)" },
    { "chardev", KEY_STRING, KEY_NOWHERE, .help = "the chardev that gets what is written" },
    { .name = NULL },
};

static const struct key cli_rng_keys[] = {
    { "rng", KEY_STRING, KEY_NOWHERE,
      .help = "the -object that gives the bytes (the host's kernel)" },
    { "max-bytes", KEY_UINT, KEY_NOWHERE, .max = INT64_MAX,
      .help = "limit for each period (none)" },
    { "period", KEY_UINT, KEY_NOWHERE, .max = UINT32_MAX,
      .help = "milliseconds of a period (65536)" },
    CLI_VIRTIO_KEYS,
};

struct cli_model {
    const char *name;
    const struct key *keys;
    const char *bus;   /* NULL: the machine looks at it */
    const char *needs; /* a property without which it cannot be */
    const char *help;
};

static const struct cli_model cli_models[] = {
    { "isa-debug-exit", cli_debug_exit_keys, "isa.0", NULL,
      "a port that ends mote with status 2 * value + 1" },
    { "isa-debugcon", cli_debugcon_keys, "isa.0", "chardev",
      "a port that prints what is written to it" },
    { "vhost-vsock-device", cli_vhost_vsock_keys, NULL, "guest-cid",
      "sockets to the host's vsock, by its kernel" },
    { "virtconsole", cli_virtconsole_keys, NULL, NULL,
      "a console (hvc) on a virtio-serial-device" },
    { "virtio-9p-device", cli_9p_keys, NULL, "fsdev", "a folder of the host" },
    { "virtio-balloon-device", cli_balloon_keys, NULL, NULL,
      "memory that the guest gives back to the host" },
    { "virtio-blk-device", cli_blk_keys, NULL, "drive", "a disk" },
    { "virtio-net-device", cli_net_keys, NULL, NULL, "a network card" },
    { "virtio-rng-device", cli_rng_keys, NULL, NULL, "random bytes of the host" },
    { "virtio-serial-device", cli_serial_bus_keys, NULL, NULL, "a bus for consoles and ports" },
    { "virtio-vsock-device", cli_vsock_keys, NULL, "path", "stream sockets to unix sockets" },
    { "virtserialport", cli_serial_port_keys, NULL, NULL,
      "a byte channel on a virtio-serial-device" },
};

/* Properties of the transport of virtio devices: set by -global alone. */
static const struct key cli_virtio_mmio_keys[] = {
    { .name = "force-legacy", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = "format_transport_address", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = "ioeventfd", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = NULL },
};

static const struct cli_model *cli_find_model(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(cli_models); i++)
        if (!strcmp(cli_models[i].name, name))
            return &cli_models[i];
    return NULL;
}

const struct key *cli_device_keys(const char *model)
{
    const struct cli_model *found = cli_find_model(model);

    return found ? found->keys : NULL;
}

static bool cli_refuse_model(const char *model, struct error *err)
{
    struct suggest suggest;

    suggest_init(&suggest, model);
    for (size_t i = 0; i < ARRAY_SIZE(cli_models); i++)
        suggest_try(&suggest, cli_models[i].name);
    if (!suggest.best)
        return error_set(err, "'%.64s' is not a valid device model name; '-device help' lists them",
                         model);
    error_set(err, "'%.64s' is not a valid device model name", model);
    return suggest_append(&suggest, "", err);
}

/* ---- -device ---- */

/* What a model goes on, by its name. */
static const char *cli_bus_kind(const struct cli_model *model)
{
    if (model->bus)
        return "ISA";
    if (!strncmp(model->name, "virtconsole", 11) || !strncmp(model->name, "virtserial", 10))
        return "virtio-serial-bus";
    return "virtio-bus";
}

static bool cli_device_help(struct cli *cli, const char *model, struct error *err)
{
    const struct key *keys = model ? cli_device_keys(model) : NULL;

    if (!model || keyval_is_help(model)) {
        printf("Devices:\n");
        for (size_t i = 0; i < ARRAY_SIZE(cli_models); i++)
            printf("name \"%s\", bus %s, desc \"%s\"\n", cli_models[i].name,
                   cli_bus_kind(&cli_models[i]), cli_models[i].help);
    } else if (keys) {
        printf("%s options:\n", model);
        key_print_help(stdout, keys);
    } else {
        return cli_refuse_model(model, err);
    }
    cli->done = true;
    return true;
}

static bool cli_set_device_id(struct cli *cli, struct device_config *device, const char *id,
                              struct error *err)
{
    const struct config *config = cli->config;

    if (!cli_check_id(id, err))
        return false;
    for (unsigned i = 0; i < config->device_count; i++)
        if (config->devices[i].id && !strcmp(config->devices[i].id, id))
            return error_set(err, "Duplicate ID '%.64s' for device", id);
    key_replace_string(&device->id, id);
    return true;
}

static bool cli_set_bus(struct device_config *device, const char *bus, struct error *err)
{
    const char *right = cli_find_model(device->model)->bus;

    key_replace_string(&device->bus, bus);
    return !right || !strcmp(bus, right) ||
           error_set(err, "Bus '%.64s' not found; the model goes on '%s'", bus, right);
}

static bool cli_add_property(struct device_config *device, const char *key, const char *value,
                             struct error *err)
{
    if (device->property_count == CONFIG_DEVICE_PROPS_MAX)
        return error_set(err, "more than %d properties", CONFIG_DEVICE_PROPS_MAX);
    device->properties[device->property_count++] =
        (struct property){ xstrdup(key), xstrdup(value) };
    return true;
}

static bool cli_set_device(struct cli *cli, struct device_config *device,
                           const struct keyval_item *item, struct error *err)
{
    char before[96];
    const struct key_table table = { cli_device_keys(device->model), before, "' not found",
                                     .bare_ok = true };

    if (!strcmp(item->key, "driver"))
        return true;
    if (!strcmp(item->key, "id"))
        return cli_set_device_id(cli, device, item->value, err);
    if (!strcmp(item->key, "bus"))
        return cli_set_bus(device, item->value, err);
    snprintf(before, sizeof(before), "Property '%s.", device->model);
    return key_set(cli, &table, NULL, item, err) &&
           cli_add_property(device, item->key, item->value, err);
}

static bool cli_add_device(struct cli *cli, const struct keyval *kv, const char *text,
                           struct error *err)
{
    struct config *config = cli->config;
    struct device_config *device = &config->devices[config->device_count];
    const char *model = keyval_get(kv, "driver");
    bool ok = true;

    if (!model || !model[0])
        return error_set(err, "Parameter 'driver' is missing: a device model is expected first");
    if (!cli_device_keys(model))
        return cli_refuse_model(model, err);
    if (config->device_count == CONFIG_DEVICES_MAX)
        return error_set(err, "more than %d devices", CONFIG_DEVICES_MAX);
    device->text = xstrdup(text);
    device->model = xstrdup(model);
    for (unsigned i = 0; ok && i < kv->count; i++)
        ok = cli_set_device(cli, device, &kv->items[i], err);
    config->device_count++;
    return ok;
}

bool cli_add_implied_device(struct cli *cli, const char *value, const char *text, struct error *err)
{
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, "driver", err) && cli_add_device(cli, &kv, text, err);

    keyval_fini(&kv);
    return ok;
}

bool cli_parse_device(struct cli *cli, const char *value, struct error *err)
{
    struct keyval kv;
    bool ok;

    if (value[0] == '{')
        return error_set(err, "JSON is not read here; write MODEL,PROPERTY=VALUE,...");
    ok = keyval_parse(&kv, value, "driver", err);
    if (ok && keyval_wants_help(&kv))
        ok = cli_device_help(cli, keyval_get(&kv, "driver"), err);
    else if (ok)
        ok = cli_add_device(cli, &kv, value, err);
    keyval_fini(&kv);
    return ok;
}

static bool cli_finish_device(struct cli *cli, const struct device_config *device,
                              struct error *err)
{
    const char *needs = cli_find_model(device->model)->needs;
    const char *chardev = device_config_get(device, "chardev");

    const char *drive = device_config_get(device, "drive");
    const char *net = device_config_get(device, "netdev");

    if (needs && !device_config_get(device, needs))
        return error_set(err, "Property '%s.%s' is needed", device->model, needs);
    if (!cli_check_9p(cli, device, err))
        return false;
    if (drive && !cli_claim_drive(cli, drive, err))
        return error_prefix(err, "Property '%s.drive': ", device->model);
    if (net && !cli_claim_net(cli, net, err))
        return error_prefix(err, "Property '%s.netdev' ", device->model);
    return !chardev || cli_claim_chardev(cli, chardev, err) ||
           error_prefix(err, "Property '%s.chardev': ", device->model);
}

bool cli_finish_devices(struct cli *cli, struct error *err)
{
    for (unsigned i = 0; i < cli->config->device_count; i++) {
        const struct device_config *device = &cli->config->devices[i];

        if (cli_finish_device(cli, device, err))
            continue;
        cli_set_source(cli, "device", device->text);
        return error_prefix(err, "%s: ", cli->source);
    }
    return true;
}

/* ---- -global ---- */

/* DRIVER.PROPERTY=VALUE, in pieces. */
static bool cli_split_global(const struct keyval *kv, struct cli_global *global, struct error *err)
{
    const char *key = kv->items[0].key, *dot = strrchr(key, '.');
    char driver[64];

    if (kv->count == 1 && dot && !kv->items[0].bare) {
        snprintf(driver, sizeof(driver), "%.*s", (int)MIN(dot - key, (ptrdiff_t)sizeof(driver) - 1),
                 key);
        *global =
            (struct cli_global){ xstrdup(driver), xstrdup(dot + 1), xstrdup(kv->items[0].value) };
        return true;
    }
    if (kv->count != 3 || !keyval_get(kv, "driver") || !keyval_get(kv, "property") ||
        !keyval_get(kv, "value"))
        return error_set(err, "DRIVER.PROPERTY=VALUE is expected, or driver=,property=,value=");
    *global =
        (struct cli_global){ xstrdup(keyval_get(kv, "driver")), xstrdup(keyval_get(kv, "property")),
                             xstrdup(keyval_get(kv, "value")) };
    return true;
}

static bool cli_check_global(struct cli *cli, const struct cli_global *g, struct error *err)
{
    const struct keyval_item item = { g->property, g->value, false, false };
    bool virtio = !strcmp(g->driver, "virtio-mmio");
    char before[96];
    const struct key_table table = { virtio ? cli_virtio_mmio_keys : cli_device_keys(g->driver),
                                     before, "' not found", .bare_ok = false };

    if (!table.keys) {
        log_warn("global %.64s.%.64s has invalid class name", g->driver, g->property);
        return true;
    }
    snprintf(before, sizeof(before), "Property '%s.", g->driver);
    if (!key_set(cli, &table, NULL, &item, err))
        return error_prefix(err, "can't apply global %s.%.64s=%.64s: ", g->driver, g->property,
                            g->value);
    if (virtio && !strcmp(g->property, "force-legacy")) {
        key_parse_bool(g->value, &cli->config->virtio_modern);
        cli->config->virtio_modern = !cli->config->virtio_modern;
    }
    return true;
}

bool cli_parse_global(struct cli *cli, const char *value, struct error *err)
{
    struct cli_global *global = &cli->globals[cli->global_count];
    struct keyval kv;
    bool ok;

    if (cli->global_count == CLI_GLOBALS_MAX)
        return error_set(err, "more than %d globals", CLI_GLOBALS_MAX);
    ok = keyval_parse(&kv, value, NULL, err) && cli_split_global(&kv, global, err);
    if (ok) {
        cli->global_count++;
        ok = cli_check_global(cli, global, err);
    }
    keyval_fini(&kv);
    return ok;
}

/* A global is the default of a property: it does not override what -device says. */
bool cli_finish_globals(struct cli *cli, struct error *err)
{
    for (unsigned i = 0; i < cli->config->device_count; i++) {
        struct device_config *device = &cli->config->devices[i];

        for (unsigned j = cli->global_count; j-- > 0;) {
            const struct cli_global *g = &cli->globals[j];

            if (strcmp(g->driver, device->model) || device_config_get(device, g->property))
                continue;
            if (!cli_add_property(device, g->property, g->value, err))
                return error_prefix(err, "-global %s.%s: ", g->driver, g->property);
        }
    }
    return true;
}
