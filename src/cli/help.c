/* SPDX-License-Identifier: MIT */
/* -help and -version, from the table of options. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

#define HELP_WIDTH  78
#define HELP_INDENT 16

/* Words of `text` from column `indent` on, as many as fit on each line. */
static void help_wrap(FILE *out, const char *text, int indent)
{
    int column = 0;

    while (*text) {
        int length = (int)strcspn(text, " ");

        if (!column || column + 1 + length > HELP_WIDTH) {
            fprintf(out, "%s%*s", column ? "\n" : "", indent, "");
            column = indent;
        } else {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, (size_t)length, out);
        column += length;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void help_names(FILE *out, const struct option *option)
{
    fprintf(out, "-%s", option->name);
    if (option->alias)
        fprintf(out, ", -%s", option->alias);
    if (option->argument)
        fprintf(out, " %s", option->argument);
}

/* Options that take none but `none` say so. */
static bool help_is_absent(const struct option *option)
{
    return option->argument && !strcmp(option->argument, "none");
}

void help_text(const struct option *option, char *text, size_t size)
{
    if (help_is_absent(option))
        snprintf(text, size, "accepted; this build has no %s", option->help);
    else
        snprintf(text, size, "%s", option->help);
}

static void help_option(FILE *out, const struct option *option)
{
    char text[512];

    fprintf(out, "  ");
    help_names(out, option);
    fputc('\n', out);
    help_text(option, text, sizeof(text));
    help_wrap(out, text, HELP_INDENT);
}

static void help_section(FILE *out, enum option_section section)
{
    fprintf(out, "\n%s:\n", cli_section_names[section]);
    for (const struct option *option = cli_options; option->name; option++)
        if (option->section == section)
            help_option(out, option);
}

bool help_show(struct cli *cli, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    printf("usage: mote [OPTION]...\n"
           "Run a virtual machine of QEMU's type microvm. Options take one dash or two.\n");
    for (unsigned section = 0; section < SECTION_IGNORED; section++)
        help_section(stdout, (enum option_section)section);
    cli->done = true;
    return true;
}

bool help_show_version(struct cli *cli, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    printf("mote version " MOTE_VERSION "\nCopyright (c) the mote authors; MIT licence\n");
    cli->done = true;
    return true;
}
