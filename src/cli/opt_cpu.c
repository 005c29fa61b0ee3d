/* SPDX-License-Identifier: MIT */
/* -cpu, -smp and -m. */
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/number.h"

/* ---- -cpu ---- */

static bool cli_add_cpu_flag(struct cpu_config *cpu, const char *name, bool on, struct error *err)
{
    if (!name[0])
        return error_set(err, "the name of a CPU feature is expected after '%c'", on ? '+' : '-');
    if (cpu->flag_count == CONFIG_CPU_FLAGS_MAX)
        return error_set(err, "more than %d CPU features", CONFIG_CPU_FLAGS_MAX);
    cpu->flags[cpu->flag_count++] = (struct cpu_flag){ xstrdup(name), on };
    return true;
}

static bool cli_add_cpu_property(struct cpu_config *cpu, const struct keyval_item *item,
                                 struct error *err)
{
    if (cpu->property_count == CONFIG_CPU_PROPS_MAX)
        return error_set(err, "more than %d CPU properties", CONFIG_CPU_PROPS_MAX);
    cpu->properties[cpu->property_count++] =
        (struct property){ xstrdup(item->key), xstrdup(item->value) };
    return true;
}

/* +feature, -feature, feature=on, feature, property=value */
static bool cli_add_cpu_item(struct cpu_config *cpu, const struct keyval_item *item,
                             struct error *err)
{
    bool on;

    if (item->bare && (item->key[0] == '+' || item->key[0] == '-'))
        return cli_add_cpu_flag(cpu, item->key + 1, item->key[0] == '+', err);
    if (key_parse_bool(item->value, &on))
        return cli_add_cpu_flag(cpu, item->key, on, err);
    return cli_add_cpu_property(cpu, item, err);
}

/* The last -cpu is the one that counts, whole. */
static void cli_reset_cpu(struct cpu_config *cpu)
{
    struct config old;

    config_init(&old);
    old.cpu = *cpu;
    *cpu = (struct cpu_config){ .model = NULL };
    config_free(&old);
}

bool cli_parse_cpu(struct cli *cli, const char *value, struct error *err)
{
    struct cpu_config *cpu = &cli->config->cpu;
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, "model", err);

    if (ok && keyval_wants_help(&kv)) {
        if (cli->hooks && cli->hooks->cpu_help)
            cli->hooks->cpu_help();
        cli->done = true;
        keyval_fini(&kv);
        return true;
    }
    cli_reset_cpu(cpu);
    if (ok && (!kv.items[0].implied || !kv.items[0].value[0]))
        ok = error_set(err, "a CPU model is expected first; '-cpu help' lists them");
    if (ok)
        cpu->model = xstrdup(kv.items[0].value);
    for (unsigned i = 1; ok && i < kv.count; i++)
        ok = cli_add_cpu_item(cpu, &kv.items[i], err);
    keyval_fini(&kv);
    memcpy(cli->cpu_source, cli->source, sizeof(cli->source));
    return ok;
}

/* ---- -smp ---- */

/* Read by cli_set_smp, for the sake of the wording. */
const struct key cli_smp_keys[] = {
    { "cpus", KEY_UINT, .help = "virtual CPUs" },
    { "sockets", KEY_UINT, .help = "sockets" },
    { "dies", KEY_UINT, .help = NULL },
    { "clusters", KEY_UINT, .help = NULL },
    { "modules", KEY_UINT, .help = NULL },
    { "cores", KEY_UINT, .help = "cores of each socket" },
    { "threads", KEY_UINT, .help = "threads of each core" },
    { "maxcpus", KEY_UINT, .help = "CPUs that there is room for" },
    { .name = NULL },
};

static const struct key_table cli_smp_table = { cli_smp_keys, "Parameter 'smp.", "' is unexpected",
                                                .bare_ok = false };

static u32 *cli_smp_member(struct cli_smp *smp, const char *key)
{
    const struct {
        const char *name;
        u32 *member;
    } members[] = {
        { "cpus", &smp->cpus },       { "sockets", &smp->sockets }, { "cores", &smp->cores },
        { "threads", &smp->threads }, { "maxcpus", &smp->maxcpus },
    };

    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (!strcmp(members[i].name, key))
            return members[i].member;
    return &smp->others;
}

/* Levels of the hierarchy that an x86 board of ours does not have. */
static bool cli_check_smp_other(const char *key, u32 value, struct error *err)
{
    return value <= 1 || error_set(err, "%s not supported by this machine's CPU topology", key);
}

bool cli_set_smp(struct cli *cli, const struct keyval_item *item, struct error *err)
{
    u32 *member = cli_smp_member(&cli->smp, item->key);
    u64 value;

    if (!key_find(cli_smp_keys, item->key))
        return key_set(cli, &cli_smp_table, NULL, item, err);
    if (item->bare)
        return error_set(err, "Expected '=' after parameter '%s'", item->key);
    if (number_parse(item->value, UINT32_MAX, &value) != NUMBER_OK)
        return error_set(err, "Parameter 'smp.%s' expects integer, not '%.64s'", item->key,
                         item->value);
    if (!value)
        log_warn("smp.%s=0 is taken as not given: parts of a CPU topology are greater than zero",
                 item->key);
    memcpy(cli->smp_source, cli->source, sizeof(cli->source));
    *member = (u32)value;
    return member != &cli->smp.others || cli_check_smp_other(item->key, (u32)value, err);
}

bool cli_parse_smp(struct cli *cli, const char *value, struct error *err)
{
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, "cpus", err);

    for (unsigned i = 0; ok && i < kv.count; i++)
        ok = cli_set_smp(cli, &kv.items[i], err);
    keyval_fini(&kv);
    return ok;
}

static unsigned __int128 cli_smp_product(const struct cli_smp *s)
{
    return (unsigned __int128)s->sockets * s->cores * s->threads;
}

/* What was left out follows from the rest; of several ways, one socket with many cores. */
static void cli_complete_smp(struct cli_smp *s)
{
    if (!s->cpus && !s->maxcpus) {
        s->sockets = MAX(s->sockets, 1u);
        s->cores = MAX(s->cores, 1u);
        s->threads = MAX(s->threads, 1u);
    }
    s->maxcpus = s->maxcpus ? s->maxcpus : s->cpus;
    if (!s->cores) {
        s->sockets = MAX(s->sockets, 1u);
        s->threads = MAX(s->threads, 1u);
        s->cores = (u32)(s->maxcpus / MAX((u64)s->sockets * s->threads, 1u));
    } else if (!s->sockets) {
        s->threads = MAX(s->threads, 1u);
        s->sockets = (u32)(s->maxcpus / MAX((u64)s->cores * s->threads, 1u));
    } else if (!s->threads) {
        s->threads = (u32)(s->maxcpus / MAX((u64)s->sockets * s->cores, 1u));
    }
    if (!s->maxcpus)
        s->maxcpus = (u32)MIN(cli_smp_product(s), UINT32_MAX);
    s->cpus = s->cpus ? s->cpus : s->maxcpus;
}

static bool cli_check_smp(const struct cli_smp *s, struct error *err)
{
    if (s->maxcpus < s->cpus)
        return error_set(err,
                         "Invalid CPU topology: maxcpus must be equal to or greater than smp: "
                         "sockets (%u) * cores (%u) * threads (%u) == maxcpus (%u) < smp_cpus (%u)",
                         s->sockets, s->cores, s->threads, s->maxcpus, s->cpus);
    if (s->maxcpus > CONFIG_CPUS_MAX)
        return error_set(err,
                         "Invalid SMP CPUs %u. The max CPUs supported by machine 'microvm' is %u",
                         s->maxcpus, CONFIG_CPUS_MAX);
    if (cli_smp_product(s) != s->maxcpus)
        return error_set(err,
                         "Invalid CPU topology: product of the hierarchy must match maxcpus: "
                         "sockets (%u) * cores (%u) * threads (%u) != maxcpus (%u)",
                         s->sockets, s->cores, s->threads, s->maxcpus);
    return true;
}

bool cli_finish_smp(struct cli *cli, struct error *err)
{
    struct cli_smp smp = cli->smp;

    if (!cli->smp_source[0])
        return true;
    cli_complete_smp(&smp);
    if (!cli_check_smp(&smp, err))
        return error_prefix(err, "%s: ", cli->smp_source);
    cli->config->smp = (struct smp_config){ .cpus = smp.cpus,
                                            .sockets = smp.sockets,
                                            .cores = smp.cores,
                                            .threads = smp.threads,
                                            .maxcpus = smp.maxcpus };
    return true;
}

/* ---- -m ---- */

#define CLI_RAM_ALIGN KIB(8)

static bool cli_parse_size(const char *key, const char *value, u64 *size, struct error *err)
{
    switch (number_parse_size(value, MIB(1), size)) {
    case NUMBER_OK: return true;
    case NUMBER_RANGE:
        return error_set(err, "Value '%.64s' is out of range for parameter '%s'", value, key);
    case NUMBER_BAD: break;
    }
    return error_set(
        err,
        "Parameter '%s' expects a non-negative number below 2^64, with a suffix of k, M, "
        "G, T, P or E if it does not count MiB",
        key);
}

static bool cli_memory_size(struct cli *cli, void *object, const char *value, struct error *err)
{
    struct config defaults;
    u64 size;

    (void)object;
    if (!cli_parse_size("size", value, &size, err))
        return false;
    if (size > CONFIG_RAM_MAX)
        return error_set(err, "%.64s of memory are more than the machine takes: at most %llu GiB",
                         value, (unsigned long long)(CONFIG_RAM_MAX / GIB(1)));
    config_init(&defaults);
    cli->config->ram_size = size ? align_up(size, CLI_RAM_ALIGN) : defaults.ram_size;
    return true;
}

static bool cli_memory_max(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)object;
    return cli_parse_size("maxmem", value, &cli->maxmem, err);
}

const struct key cli_memory_keys[] = {
    { "size", KEY_CALL, .call = cli_memory_size,
      .help = "guest memory: MiB, or with a suffix k, M, G" },
    { .name = "slots", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { "maxmem", KEY_CALL, .call = cli_memory_max },
    { "max-size", KEY_CALL, .call = cli_memory_max },
    { .name = NULL },
};

static const struct key_table cli_memory_table = { cli_memory_keys, "Invalid parameter '", "'",
                                                   .bare_ok = false };

bool cli_set_memory(struct cli *cli, const struct keyval_item *item, struct error *err)
{
    memcpy(cli->memory_source, cli->source, sizeof(cli->source));
    return key_set(cli, &cli_memory_table, NULL, item, err);
}

bool cli_parse_memory(struct cli *cli, const char *value, struct error *err)
{
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, "size", err);

    for (unsigned i = 0; ok && i < kv.count; i++)
        ok = cli_set_memory(cli, &kv.items[i], err);
    keyval_fini(&kv);
    return ok;
}

bool cli_finish_memory(struct cli *cli, struct error *err)
{
    if (!cli->maxmem || cli->maxmem >= cli->config->ram_size)
        return true;
    return error_set(err,
                     "%s: maxmem is less than the %llu bytes of memory there are from the start",
                     cli->memory_source, (unsigned long long)cli->config->ram_size);
}
