/* SPDX-License-Identifier: MIT */
/* Text in a buffer of fixed size. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/bits.h"

void text_add(struct text *text, const char *format, ...)
{
    va_list args;
    int n;

    if (text->used + 1 >= text->size)
        return;
    va_start(args, format);
    n = vsnprintf(text->bytes + text->used, text->size - text->used, format, args);
    va_end(args);
    text->used = MIN(text->used + (size_t)MAX(n, 0), text->size - 1);
}
