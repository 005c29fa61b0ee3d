/* SPDX-License-Identifier: MIT */
/* Tables of keys: what `key=value` may be said, where the value goes, and what it means. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "base/types.h"
#include "cli/keyval.h"

struct cli;

enum key_type {
    KEY_BOOL,        /* bool: on, off, yes, no, true, false, y, n */
    KEY_ON_OFF_AUTO, /* enum on_off_auto: these three words exactly */
    KEY_STRING,      /* char *, owned */
    KEY_UINT,        /* u32, up to max */
    KEY_WORD,        /* char *, owned: one of words */
    KEY_CALL,        /* what its call() makes of it */
};

#define KEY_NOWHERE SIZE_MAX

struct key {
    const char *name; /* NULL ends a table */
    enum key_type type;
    size_t offset; /* into the object; KEY_NOWHERE: checked, and otherwise ignored */
    u64 max;
    const char *const *words; /* NULL-ended */
    /* In place of storing the checked value at `offset`. */
    bool (*call)(struct cli *cli, void *object, const char *value, struct error *err);
    const char *help; /* NULL: accepted for QEMU's sake, and not worth a line */
};

/* A table, and how a key that is not in it is refused: text before and after its name. */
struct key_table {
    const struct key *keys;
    const char *unknown_before;
    const char *unknown_after;
    bool bare_ok; /* `key` alone is key=on, and `nokey` is key=off */
};

const struct key *key_find(const struct key *keys, const char *name);

/* Set what one item says in `object`. */
bool key_set(struct cli *cli, const struct key_table *table, void *object,
             const struct keyval_item *item, struct error *err) __attribute__((warn_unused_result));

/* Check a value against a key without storing it. */
bool key_check(const struct key *key, const char *value, struct error *err)
    __attribute__((warn_unused_result));

/* As a type is named in help lists: "bool", "string", ... */
const char *key_type_name(const struct key *key);

/* The list for `OPTION help`: one line for each key that has a help text. */
void key_print_help(FILE *out, const struct key *keys);

/* "on" and the like. False when it is none of them. */
bool key_parse_bool(const char *value, bool *on);

/* Replace an owned string. */
void key_replace_string(char **string, const char *value);
