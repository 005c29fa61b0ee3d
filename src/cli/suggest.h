/* SPDX-License-Identifier: MIT */
/* "Did you mean": the known name that is nearest to what the user wrote. */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct suggest {
    const char *word;
    const char *best; /* NULL: nothing is near enough */
    unsigned distance;
};

void suggest_init(struct suggest *suggest, const char *word);

/* Look at one known name; it must live as long as `suggest`. */
void suggest_try(struct suggest *suggest, const char *name);

/*
 * Append "; did you mean 'x'?" to `err` if something is near; `prefix` goes before the name.
 * Returns false.
 */
bool suggest_append(const struct suggest *suggest, const char *prefix, struct error *err);
