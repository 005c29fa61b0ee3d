/* SPDX-License-Identifier: MIT */
/*
 * QEMU's grammar of option values: `[implied=]value,key=value,...`; a comma in a value is written
 * `,,`.
 *
 * A key without `=` is kept as a bare one: some options read it as `key=on`, others refuse it.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define KEYVAL_MAX 64

struct keyval_item {
    const char *key;
    const char *value; /* "on" for a bare key */
    bool bare;         /* there was no '=' */
    bool implied;      /* the first value, without a key of its own */
};

struct keyval {
    char *buffer; /* owns the strings */
    unsigned count;
    struct keyval_item items[KEYVAL_MAX];
};

/* Take `text` apart. `implied` (may be NULL) is the key of a first value without one. */
bool keyval_parse(struct keyval *kv, const char *text, const char *implied, struct error *err)
    __attribute__((warn_unused_result));

/* Harmless after a failed parse. */
void keyval_fini(struct keyval *kv);

/* The last value given for `key`, or NULL. */
const char *keyval_get(const struct keyval *kv, const char *key);

/* Does it ask for help: a bare or implied `help` or `?`. */
bool keyval_wants_help(const struct keyval *kv);
bool keyval_is_help(const char *value);
