/* SPDX-License-Identifier: MIT */
/* Text that grows in a buffer of fixed size; what does not fit is cut off. */
#pragma once

#include <stddef.h>

struct text {
    char *bytes;
    size_t size; /* of the buffer, at least 1 */
    size_t used; /* without the NUL */
};

/* Append as printf(3) would; the buffer stays a string. */
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
