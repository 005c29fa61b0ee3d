/* SPDX-License-Identifier: MIT */
/* The manual page, from the table of options: man(7). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "cli/cli.h"
#include "cli/options.h"

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

void man_print(FILE *out)
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
