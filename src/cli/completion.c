/* SPDX-License-Identifier: MIT */
/* The completion for bash, from the table of options. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

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

void completion_print(FILE *out)
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
