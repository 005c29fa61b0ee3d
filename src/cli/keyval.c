/* SPDX-License-Identifier: MIT */
/* QEMU's grammar of option values. */
#include "cli/keyval.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/*
 * Cut the element at `*src` out of the list, undoubling commas in place: the text only gets
 * shorter. `*equals` is left at its first '=', or NULL.
 */
static char *keyval_cut(char **src, char **equals)
{
    char *start = *src, *from = start, *to = start;

    *equals = NULL;
    while (*from && (*from != ',' || from[1] == ',')) {
        if (*from == ',')
            from++;
        if (*from == '=' && !*equals)
            *equals = to;
        *to++ = *from++;
    }
    *src = *from ? from + 1 : from;
    *to = 0;
    return start;
}

static struct keyval_item keyval_item_of(char *element, char *equals, const char *implied)
{
    if (equals) {
        *equals = 0;
        return (struct keyval_item){ .key = element, .value = equals + 1 };
    }
    if (implied)
        return (struct keyval_item){ .key = implied, .value = element, .implied = true };
    return (struct keyval_item){ .key = element, .value = "on", .bare = true };
}

bool keyval_parse(struct keyval *kv, const char *text, const char *implied, struct error *err)
{
    char *rest;

    kv->buffer = xstrdup(text);
    kv->count = 0;
    rest = kv->buffer;
    do {
        char *equals, *element = keyval_cut(&rest, &equals);
        struct keyval_item item = keyval_item_of(element, equals, kv->count ? NULL : implied);

        if (kv->count == KEYVAL_MAX)
            return error_set(err, "more than %d parameters", KEYVAL_MAX);
        if (!item.key[0])
            return error_set(err, "a parameter without a name: 'key=value' is expected");
        kv->items[kv->count++] = item;
    } while (*rest);
    return true;
}

void keyval_fini(struct keyval *kv)
{
    free(kv->buffer);
    kv->buffer = NULL;
    kv->count = 0;
}

const char *keyval_get(const struct keyval *kv, const char *key)
{
    for (unsigned i = kv->count; i-- > 0;)
        if (!strcmp(kv->items[i].key, key))
            return kv->items[i].value;
    return NULL;
}

bool keyval_is_help(const char *value)
{
    return !strcmp(value, "help") || !strcmp(value, "?");
}

bool keyval_wants_help(const struct keyval *kv)
{
    for (unsigned i = 0; i < kv->count; i++) {
        const struct keyval_item *item = &kv->items[i];

        if ((item->bare && keyval_is_help(item->key)) ||
            (item->implied && keyval_is_help(item->value)))
            return true;
    }
    return false;
}
