/* SPDX-License-Identifier: MIT */
/*
 * The command line alone, for tests: parses its arguments as mote does, prints the error, or what
 * came out. First argument --man or --completion: prints those instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/config.h"
#include "cli/options.h"

static void driver_cpu_help(void)
{
    printf("CPU models\n");
}

static void driver_accel_help(void)
{
    printf("accelerators\n");
}

/* The models that the real check knows are another folder's business. */
static bool driver_cpu_check(const struct cpu_config *cpu, struct error *err)
{
    if (cpu->model && !strcmp(cpu->model, "nosuch"))
        return error_set(err, "unable to find CPU model '%s'", cpu->model);
    return true;
}

static int driver_parse(int argc, char **argv)
{
    static const struct cli_hooks hooks = { .cpu_help = driver_cpu_help,
                                            .accel_help = driver_accel_help,
                                            .cpu_check = driver_cpu_check };
    struct config *config = calloc(1, sizeof(*config));
    struct error err = { "" };
    enum cli_result result;

    if (!config)
        return 2;
    config_init(config);
    result = cli_parse(argc, argv, &hooks, config, &err);
    if (result == CLI_ERROR)
        log_error("%s", err.text);
    if (result == CLI_RUN)
        printf("runs\n");
    config_free(config);
    free(config);
    return result == CLI_ERROR;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--man"))
        man_print(stdout);
    else if (argc == 2 && !strcmp(argv[1], "--completion"))
        completion_print(stdout);
    else
        return driver_parse(argc, argv);
    return 0;
}
