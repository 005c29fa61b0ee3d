/* SPDX-License-Identifier: MIT */
/* struct config: its defaults and its end. */
#include "cli/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cli/key.h"
#include "cli/number.h"

#define CONFIG_RAM_DEFAULT       MIB(128)

/* Measured on boots: earlier spends more time translating what runs a few times, later more interpreting. */
#define CONFIG_TRANSLATE_DEFAULT 16

void config_init(struct config *config)
{
    *config = (struct config){
        .machine = {
            .isa_serial = true,
            .x_option_roms = true,
            .auto_kernel_cmdline = true,
            .kernel_decompress = true,
            .graphics = true,
        },
        .smp = { .cpus = 1, .sockets = 1, .cores = 1, .threads = 1, .maxcpus = 1 },
        .translate = CONFIG_TRANSLATE_DEFAULT,
        .ram_size = CONFIG_RAM_DEFAULT,
    };
}

static void config_free_chardev(struct chardev_config *chardev)
{
    free(chardev->id);
    free(chardev->text);
    free(chardev->path);
    free(chardev->host);
    free(chardev->port);
    free(chardev->logfile);
}

static void config_free_block(struct block_config *block)
{
    free(block->id);
    free(block->file);
    free(block->text);
    free(block->serial);
    free(block->node);
}

static void config_free_forwards(struct net_forward *forwards, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(forwards[i].target);
}

static void config_free_strings(char **strings, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(strings[i]);
}

void config_free_net(struct net_config *net)
{
    char *strings[] = { net->id,
                        net->text,
                        net->ifname,
                        net->script,
                        net->downscript,
                        net->user.hostname,
                        net->user.domainname,
                        net->user.bootfile,
                        net->user.tftp_server,
                        net->local.path,
                        net->local.host,
                        net->local.port,
                        net->remote.path,
                        net->remote.host,
                        net->remote.port };

    config_free_strings(strings, ARRAY_SIZE(strings));
    config_free_strings(net->user.searches, net->user.search_count);
    config_free_forwards(net->user.hostfwds, net->user.hostfwd_count);
    config_free_forwards(net->user.guestfwds, net->user.guestfwd_count);
}

static void config_free_properties(struct property *properties, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(properties[i].key);
        free(properties[i].value);
    }
}

static void config_free_device(struct device_config *device)
{
    free(device->text);
    free(device->model);
    free(device->id);
    free(device->bus);
    config_free_properties(device->properties, device->property_count);
}

void config_free_fsdev(struct fs_config *fsdev)
{
    free(fsdev->id);
    free(fsdev->text);
    free(fsdev->path);
}

void config_free(struct config *config)
{
    char *const strings[] = {
        config->machine.kernel_irqchip,
        config->kvm.device,
        config->machine.oem_id,
        config->machine.oem_table_id,
        config->cpu.model,
        config->kernel,
        config->initrd,
        config->append,
        config->bios,
        config->name,
        config->pidfile,
        config->log_path,
    };

    for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
        free(strings[i]);
    for (unsigned i = 0; i < config->cpu.flag_count; i++)
        free(config->cpu.flags[i].name);
    config_free_properties(config->cpu.properties, config->cpu.property_count);
    config_free_strings(config->serial_chardev, config->serial_count);
    config_free_strings(config->firmware_dirs, config->firmware_dir_count);
    for (unsigned i = 0; i < config->fw_cfg_count; i++) {
        free(config->fw_cfg[i].name);
        free(config->fw_cfg[i].file);
        free(config->fw_cfg[i].string);
    }
    for (unsigned i = 0; i < config->chardev_count; i++)
        config_free_chardev(&config->chardevs[i]);
    for (unsigned i = 0; i < config->block_count; i++)
        config_free_block(&config->blocks[i]);
    for (unsigned i = 0; i < config->net_count; i++)
        config_free_net(&config->nets[i]);
    for (unsigned i = 0; i < config->fsdev_count; i++)
        config_free_fsdev(&config->fsdevs[i]);
    for (unsigned i = 0; i < config->device_count; i++)
        config_free_device(&config->devices[i]);
    for (unsigned i = 0; i < config->object_count; i++)
        config_free_device(&config->objects[i]);
    memset(config, 0, sizeof(*config));
}

const struct block_config *config_block(const struct config *config, const char *id)
{
    for (unsigned i = 0; i < config->block_count; i++)
        if (config->blocks[i].id && !strcmp(config->blocks[i].id, id))
            return &config->blocks[i];
    return NULL;
}

const struct net_config *config_net(const struct config *config, const char *id)
{
    for (unsigned i = 0; i < config->net_count; i++)
        if (config->nets[i].id && !strcmp(config->nets[i].id, id))
            return &config->nets[i];
    return NULL;
}

const struct fs_config *config_fsdev(const struct config *config, const char *id)
{
    for (unsigned i = 0; i < config->fsdev_count; i++)
        if (!strcmp(config->fsdevs[i].id, id))
            return &config->fsdevs[i];
    return NULL;
}

const struct chardev_config *config_chardev(const struct config *config, const char *id)
{
    for (unsigned i = 0; i < config->chardev_count; i++)
        if (!strcmp(config->chardevs[i].id, id))
            return &config->chardevs[i];
    return NULL;
}

const char *device_config_get(const struct device_config *device, const char *key)
{
    for (unsigned i = device->property_count; i-- > 0;)
        if (!strcmp(device->properties[i].key, key))
            return device->properties[i].value;
    return NULL;
}

const struct device_config *config_object(const struct config *config, const char *id)
{
    for (unsigned i = 0; i < config->object_count; i++)
        if (!strcmp(config->objects[i].id, id))
            return &config->objects[i];
    return NULL;
}

bool device_config_bool(const struct device_config *device, const char *key, bool otherwise)
{
    const char *text = device_config_get(device, key);
    bool on;

    return text && key_parse_bool(text, &on) ? on : otherwise;
}

u64 device_config_uint(const struct device_config *device, const char *key, u64 otherwise)
{
    const char *text = device_config_get(device, key);
    u64 value;

    return text && number_parse(text, UINT64_MAX, &value) == NUMBER_OK ? value : otherwise;
}

/* As for -m, a number alone counts MiB. */
u64 device_config_size(const struct device_config *device, const char *key, u64 otherwise)
{
    const char *text = device_config_get(device, key);
    u64 value;

    return text && number_parse_size(text, MIB(1), &value) == NUMBER_OK ? value : otherwise;
}
