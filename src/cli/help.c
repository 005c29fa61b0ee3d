/* SPDX-License-Identifier: MIT */
/* -help, the manual page and the completion for bash, all from the table of options. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "cli/cli.h"
#include "cli/options.h"

#define HELP_WIDTH  78
#define HELP_INDENT 16

/* ---- -help ---- */

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

static void help_text(const struct option *option, char *text, size_t size)
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

bool cli_parse_help(struct cli *cli, const char *value, struct error *err)
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

bool cli_parse_version(struct cli *cli, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    printf("mote version " MOTE_VERSION "\nCopyright (c) the mote authors; MIT licence\n");
    cli->done = true;
    return true;
}

/* ---- The manual page ---- */

/*
 * Text for troff: a dash is a minus, a backslash is printed, and no line begins with a control
 * character.
 */
static void man_text(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
    }
}

/* The argument: what the user replaces is in capitals, and set in italics. */
static void man_argument(FILE *out, const char *argument)
{
    while (*argument) {
        size_t length = 0;
        char word[64];

        while (isupper((unsigned char)argument[length]) && length + 1 < sizeof(word))
            length++;
        snprintf(word, sizeof(word), "%.*s", length ? (int)length : 1, argument);
        if (length)
            fprintf(out, "\\fI%s\\fR", word);
        else
            man_text(out, word);
        argument += MAX(length, 1u);
    }
}

static void man_keys(FILE *out, const struct key *keys)
{
    fprintf(out, ".RS\n");
    for (const struct key *key = keys; key->name; key++) {
        if (!key->help)
            continue;
        fprintf(out, ".TP\n.BI ");
        man_text(out, key->name);
        fprintf(out, "= %s\n", key_type_name(key));
        man_text(out, key->help);
        fputc('\n', out);
    }
    fprintf(out, ".RE\n");
}

static void man_option(FILE *out, const struct option *option)
{
    char text[512];

    fprintf(out, ".TP\n\\fB\\-");
    man_text(out, option->name);
    if (option->alias) {
        fprintf(out, "\\fR, \\fB\\-");
        man_text(out, option->alias);
    }
    fprintf(out, "\\fR");
    if (option->argument) {
        fputc(' ', out);
        man_argument(out, option->argument);
    }
    fputc('\n', out);
    help_text(option, text, sizeof(text));
    man_text(out, text);
    fprintf(out, ".\n");
    if (option->keys)
        man_keys(out, option->keys);
}

static void man_options(FILE *out)
{
    fprintf(out, ".SH OPTIONS\n"
                 "Options take one dash or two. In a value, a comma is written twice.\n");
    for (unsigned section = 0; section < SECTION_IGNORED; section++) {
        fprintf(out, ".SS %s\n", cli_section_names[section]);
        for (const struct option *option = cli_options; option->name; option++)
            if (option->section == section)
                man_option(out, option);
    }
}

/* The names of a section in one paragraph. */
static void man_names(FILE *out, enum option_section section)
{
    const char *glue = "";

    for (const struct option *option = cli_options; option->name; option++) {
        if (option->section != section)
            continue;
        fprintf(out, "%s\\fB\\-", glue);
        man_text(out, option->name);
        fprintf(out, "\\fR");
        glue = ", ";
    }
    fprintf(out, ".\n");
}

static void man_backend(FILE *out, const char *name, const struct key *keys)
{
    fprintf(out, ".SS %s\n", name);
    man_keys(out, keys);
}

static void man_backends(FILE *out)
{
    fprintf(out, ".SH CHARACTER DEVICES\n"
                 "The keys of\n.B \\-chardev\nby backend; null and pty take the first four.\n");
    man_backend(out, "stdio", cli_stdio_keys);
    man_backend(out, "file", cli_file_keys);
    man_backend(out, "socket", cli_socket_keys);
    fprintf(out,
            ".SH KEYS\n"
            "On a console with mux=on, such as mon:stdio, Ctrl\\-A begins a command:\n"
            ".B h\nhelp,\n.B x\nend mote,\n.B b\nsend a break,\n.B Ctrl\\-A\nsend Ctrl\\-A.\n");
}

void cli_print_man(FILE *out)
{
    fprintf(out, ".\\\" SPDX-License-Identifier: MIT\n"
                 ".\\\" Made from the table of options; tests/golden keeps it in step.\n"
                 ".TH MOTE 1\n"
                 ".SH NAME\nmote \\- run a minimal virtual machine\n"
                 ".SH SYNOPSIS\n.B mote\n[\\fIOPTION\\fR]...\n"
                 ".SH DESCRIPTION\n"
                 "mote runs one virtual machine of the type that QEMU calls microvm. "
                 "It takes QEMU's options for it.\n");
    man_options(out);
    fprintf(out, ".SS %s\n", cli_section_names[SECTION_IGNORED]);
    man_names(out, SECTION_IGNORED);
    fprintf(out,
            ".SS %s\nThese options of QEMU are refused, but for the value none where QEMU has it: ",
            cli_section_names[SECTION_ABSENT]);
    man_names(out, SECTION_ABSENT);
    man_backends(out);
    fprintf(
        out,
        ".SH EXIT STATUS\n"
        ".TP\n.B 0\nThe guest shut down, or was reset under \\-no\\-reboot; "
        "or mote was told to end.\n"
        ".TP\n.B 1\nThe machine could not be started; one line on standard error tells why.\n"
        ".TP\n.I others\nThe guest wrote (status \\- 1) / 2 to an isa\\-debug\\-exit device.\n");
}

/* ---- Completion ---- */

static void completion_words(FILE *out, const struct option *option)
{
    if (option->values) {
        fprintf(out, "    -%s%s%s)\n        words=\"", option->name, option->alias ? "|-" : "",
                option->alias ? option->alias : "");
        for (unsigned i = 0; option->values[i]; i++)
            fprintf(out, "%s%s", i ? " " : "", option->values[i]);
        fprintf(out, "\" ;;\n");
    } else if (option->argument) {
        bool files = !strcmp(option->argument, "FILE") || !strcmp(option->argument, "FOLDER");

        fprintf(out, "    -%s) files=%s ;;\n", option->name, files ? "1" : "");
    }
}

void cli_print_completion(FILE *out)
{
    fprintf(out, "# SPDX-License-Identifier: MIT\n"
                 "# Completion of mote's command line for bash. Made from the table of options.\n"
                 "_mote()\n{\n"
                 "    local word=${COMP_WORDS[COMP_CWORD]} files= words=\n"
                 "    local option=${COMP_WORDS[COMP_CWORD - 1]/#--/-}\n\n"
                 "    case $option in\n");
    for (const struct option *option = cli_options; option->name; option++)
        if (option->section < SECTION_IGNORED)
            completion_words(out, option);
    fprintf(out, "    *)\n        words=\"");
    for (const struct option *option = cli_options; option->name; option++)
        if (option->section < SECTION_IGNORED)
            fprintf(out, "%s-%s%s%s", option == cli_options ? "" : " ", option->name,
                    option->alias ? " -" : "", option->alias ? option->alias : "");
    fprintf(out, "\" ;;\n    esac\n"
                 "    if [[ $files ]]; then\n"
                 "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
                 "    else\n"
                 "        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                 "    fi\n}\n"
                 "complete -o filenames -F _mote mote\n");
}
