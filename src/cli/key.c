/* SPDX-License-Identifier: MIT */
/*
 * Tables of keys: checking and storing values. The wording of the errors follows QEMU's as far as
 * that goes.
 */
#include "cli/key.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/config.h"
#include "cli/number.h"
#include "cli/suggest.h"

static const char *const key_on_words[] = { "on", "yes", "true", "y" };
static const char *const key_off_words[] = { "off", "no", "false", "n" };
static const char *const key_on_off_auto_words[] = { "auto", "on", "off",
                                                     NULL }; /* as enum on_off_auto */

const struct key *key_find(const struct key *keys, const char *name)
{
    for (const struct key *key = keys; key->name; key++)
        if (!strcmp(key->name, name))
            return key;
    return NULL;
}

bool key_parse_bool(const char *value, bool *on)
{
    for (size_t i = 0; i < ARRAY_SIZE(key_on_words); i++) {
        if (!strcmp(value, key_on_words[i]) || !strcmp(value, key_off_words[i])) {
            *on = !strcmp(value, key_on_words[i]);
            return true;
        }
    }
    return false;
}

void key_replace_string(char **string, const char *value)
{
    char *copy = xstrdup(value);

    free(*string);
    *string = copy;
}

static int key_word_index(const char *const *words, const char *value)
{
    for (int i = 0; words[i]; i++)
        if (!strcmp(words[i], value))
            return i;
    return -1;
}

/* "a, b or c" */
static void key_join_words(const char *const *words, char *text, size_t size)
{
    size_t used = 0;

    text[0] = 0;
    for (unsigned i = 0; words[i] && used < size; i++) {
        const char *glue = !i ? "" : words[i + 1] ? ", " : " or ";

        used += (size_t)snprintf(text + used, size - used, "%s%s", glue, words[i]);
    }
}

static bool key_refuse_word(const struct key *key, const char *const *words, const char *value,
                            struct error *err)
{
    char list[160];

    key_join_words(words, list, sizeof(list));
    return error_set(err, "Parameter '%s' does not accept value '%.64s', but %s", key->name, value,
                     list);
}

static bool key_check_uint(const struct key *key, const char *value, u32 *number, struct error *err)
{
    u64 max = key->max ? key->max : UINT32_MAX, v;

    if (number_parse(value, max, &v) != NUMBER_OK)
        return error_set(err, "Parameter '%s' expects a number up to %llu", key->name,
                         (unsigned long long)max);
    *number = (u32)v;
    return true;
}

union key_value {
    bool on;
    int word;
    u32 number;
};

static bool key_convert(const struct key *key, const char *value, union key_value *v,
                        struct error *err)
{
    const char *const *words = key->type == KEY_WORD ? key->words : key_on_off_auto_words;

    switch (key->type) {
    case KEY_BOOL:
        if (key_parse_bool(value, &v->on))
            return true;
        return error_set(err, "Parameter '%s' expects 'on' or 'off'", key->name);
    case KEY_ON_OFF_AUTO:
    case KEY_WORD:
        v->word = key_word_index(words, value);
        return v->word >= 0 || key_refuse_word(key, words, value, err);
    case KEY_UINT: return key_check_uint(key, value, &v->number, err);
    case KEY_STRING:
    case KEY_CALL: return true;
    }
    return false;
}

bool key_check(const struct key *key, const char *value, struct error *err)
{
    union key_value v = { .word = 0 };

    return key_convert(key, value, &v, err);
}

static bool key_store(struct cli *cli, const struct key *key, void *object, const char *value,
                      struct error *err)
{
    union key_value v = { .word = 0 };
    void *member;

    if (!key_convert(key, value, &v, err))
        return false;
    if (key->call)
        return key->call(cli, object, value, err);
    if (key->offset == KEY_NOWHERE)
        return true;
    member = (char *)object + key->offset;
    switch (key->type) {
    case KEY_BOOL: *(bool *)member = v.on; break;
    case KEY_ON_OFF_AUTO: *(enum on_off_auto *)member = (enum on_off_auto)v.word; break;
    case KEY_UINT: *(u32 *)member = v.number; break;
    case KEY_STRING:
    case KEY_WORD: key_replace_string(member, value); break;
    case KEY_CALL: break;
    }
    return true;
}

static bool key_refuse_unknown(const struct key_table *table, const char *name, struct error *err)
{
    struct suggest suggest;

    error_set(err, "%s%.64s%s", table->unknown_before, name, table->unknown_after);
    suggest_init(&suggest, name);
    for (const struct key *key = table->keys; key->name; key++)
        suggest_try(&suggest, key->name);
    return suggest_append(&suggest, "", err);
}

/* `nokey`, where that is a way to say key=off. */
static const struct key *key_find_negated(const struct key_table *table,
                                          const struct keyval_item *item)
{
    const struct key *key;

    if (!item->bare || strncmp(item->key, "no", 2))
        return NULL;
    key = key_find(table->keys, item->key + 2);
    return key && key->type == KEY_BOOL ? key : NULL;
}

bool key_set(struct cli *cli, const struct key_table *table, void *object,
             const struct keyval_item *item, struct error *err)
{
    const struct key *key = key_find(table->keys, item->key);
    const struct key *negated = key || !table->bare_ok ? NULL : key_find_negated(table, item);

    if (negated)
        return key_store(cli, negated, object, "off", err);
    if (!key)
        return key_refuse_unknown(table, item->key, err);
    if (item->bare && !(table->bare_ok && key->type == KEY_BOOL))
        return error_set(err, "Expected '=' after parameter '%s'", item->key);
    return key_store(cli, key, object, item->value, err);
}

const char *key_type_name(const struct key *key)
{
    static const char *const names[] = {
        [KEY_BOOL] = "bool",     [KEY_ON_OFF_AUTO] = "OnOffAuto",
        [KEY_STRING] = "string", [KEY_UINT] = "number",
        [KEY_WORD] = "word",     [KEY_CALL] = "string",
    };

    return key->words ? names[KEY_WORD] : names[key->type];
}

void key_print_help(FILE *out, const struct key *keys)
{
    for (const struct key *key = keys; key->name; key++) {
        char left[64];

        if (!key->help)
            continue;
        snprintf(left, sizeof(left), "%s=<%s>", key->name, key_type_name(key));
        fprintf(out, "  %-30s - %s\n", left, key->help);
    }
}
