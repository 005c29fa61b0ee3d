/* SPDX-License-Identifier: MIT */
/* Numbers and sizes as users write them. */
#include "cli/number.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define NUMBER_FRACTION_MAX UINT64_C(1000000000000000000) /* digits beyond 10^-18 make no byte */

/* The value of a digit up to f; 16 for what is none. */
static unsigned number_digit(char c)
{
    if (isdigit((unsigned char)c))
        return (unsigned)(c - '0');
    return isxdigit((unsigned char)c) ? (unsigned)(tolower((unsigned char)c) - 'a') + 10 : 16;
}

/* Read digits of `base`; the first character after them is left at `*end`. */
static enum number_result number_digits(const char *text, unsigned base, u64 *value,
                                        const char **end)
{
    bool range = false;

    *value = 0;
    for (*end = text; number_digit(**end) < base; ++*end)
        range |= __builtin_mul_overflow(*value, base, value) ||
                 __builtin_add_overflow(*value, number_digit(**end), value);
    if (*end == text)
        return NUMBER_BAD;
    return range ? NUMBER_RANGE : NUMBER_OK;
}

static bool number_is_hex(const char *text)
{
    return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

enum number_result number_parse(const char *text, u64 max, u64 *value)
{
    bool hex = number_is_hex(text);
    enum number_result result;
    const char *end;

    result = number_digits(hex ? text + 2 : text, hex ? 16 : 10, value, &end);
    if (result == NUMBER_BAD || *end)
        return NUMBER_BAD;
    return *value > max ? NUMBER_RANGE : result;
}

/* The bytes that a suffix stands for, 0 for none that we know. */
static u64 number_unit(char suffix)
{
    static const char suffixes[] = "bkmgtpe";
    const char *at = memchr(suffixes, tolower((unsigned char)suffix), sizeof(suffixes) - 1);

    return at ? UINT64_C(1) << (10 * (at - suffixes)) : 0;
}

/* The digits after a point, as a count of 1 / `*scale`. */
static const char *number_fraction(const char *text, u64 *count, u64 *scale)
{
    *count = 0;
    *scale = 1;
    for (; isdigit((unsigned char)*text); text++) {
        if (*scale == NUMBER_FRACTION_MAX)
            continue;
        *count = *count * 10 + (u64)(*text - '0');
        *scale *= 10;
    }
    return text;
}

static enum number_result number_scale(u64 whole, u64 count, u64 scale, u64 unit, u64 *value)
{
    unsigned __int128 v = (unsigned __int128)whole * unit + (unsigned __int128)count * unit / scale;

    *value = (u64)v;
    return v > UINT64_MAX ? NUMBER_RANGE : NUMBER_OK;
}

enum number_result number_parse_size(const char *text, u64 unit, u64 *value)
{
    u64 whole, count = 0, scale = 1;
    enum number_result result;
    const char *end;

    if (number_is_hex(text)) {
        result = number_parse(text, UINT64_MAX, &whole);
        return result == NUMBER_OK ? number_scale(whole, 0, 1, unit, value) : result;
    }
    result = number_digits(text, 10, &whole, &end);
    if (result == NUMBER_BAD)
        return NUMBER_BAD;
    if (*end == '.')
        end = number_fraction(end + 1, &count, &scale);
    if (*end) {
        unit = number_unit(*end++);
        if (!unit || *end)
            return NUMBER_BAD;
    }
    if (unit == 1 && count)
        return NUMBER_BAD; /* there is no half a byte */
    return result == NUMBER_OK ? number_scale(whole, count, scale, unit, value) : result;
}
