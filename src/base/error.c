/* SPDX-License-Identifier: MIT */
/* struct error: the sentence that the user gets when a set-up step fails. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    return false;
}

bool error_set_errno(struct error *err, int code, const char *format, ...)
{
    va_list args;
    size_t used;

    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(code));
    return false;
}

bool error_prefix(struct error *err, const char *format, ...)
{
    char old[sizeof(err->text)];
    va_list args;
    size_t used;

    memcpy(old, err->text, sizeof(old));
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, "%s", old);
    return false;
}
