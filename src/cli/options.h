/* SPDX-License-Identifier: MIT */
/*
 * The command line: argv to struct config.
 *
 * Nothing is opened or created here: when cli_parse has returned CLI_RUN the whole line was valid.
 * What is wrong with a line is told in one sentence, which names the option, its value, and what
 * would be right.
 */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "base/types.h"

struct config;
struct cpu_config;

enum cli_result {
    CLI_ERROR, /* `err` tells; exit status 1 */
    CLI_RUN,   /* `config` is filled and valid */
    CLI_DONE,  /* help or the version was printed on stdout; exit status 0 */
};

/* What the command line needs to know of others; each may be NULL. */
struct cli_hooks {
    void (*cpu_help)(void); /* -cpu help: print the models and flags on stdout */
    bool (*cpu_check)(const struct cpu_config *cpu, struct error *err); /* known model and flags? */
    void (*accel_help)(void); /* -accel help: print what this host offers */
};

/*
 * Parse argv[1] and on into `config`, which config_init has prepared; free it by config_free in any
 * case.
 */
enum cli_result cli_parse(int argc, char **argv, const struct cli_hooks *hooks,
                          struct config *config, struct error *err);

/* Made of the same tables: the manual page, and the completion for bash. */
void man_print(FILE *out);
void completion_print(FILE *out);
