/* SPDX-License-Identifier: MIT */
/*
 * The nearest known name: fewest insertions, deletions, replacements and swaps of neighbours (the
 * optimal string alignment distance), at most a third of the word.
 */
#include "cli/suggest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"

#define SUGGEST_LENGTH_MAX 40u /* longer words are not typing errors of ours */

static bool suggest_same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Three rows of the classic table: two back, the last one, the one being filled. */
static unsigned suggest_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][SUGGEST_LENGTH_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_len; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *oldest = before;

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = MIN(last[j], row[j - 1]) + 1;
            row[j] = MIN(row[j], last[j - 1] + !suggest_same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && suggest_same(a[i - 1], b[j - 2]) &&
                suggest_same(a[i - 2], b[j - 1]))
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
        before = last;
        last = row;
        row = oldest;
    }
    return last[b_len];
}

void suggest_init(struct suggest *suggest, const char *word)
{
    size_t length = strlen(word);

    suggest->word = word;
    suggest->best = NULL;
    suggest->distance = length < 3 ? 2 : (unsigned)MIN(length / 3, SUGGEST_LENGTH_MAX) + 1;
}

void suggest_try(struct suggest *suggest, const char *name)
{
    size_t word_len = strlen(suggest->word), name_len = strlen(name);
    unsigned distance;

    if (!word_len || word_len > SUGGEST_LENGTH_MAX || name_len > SUGGEST_LENGTH_MAX)
        return;
    distance = suggest_distance(suggest->word, word_len, name, name_len);
    if (distance >= MAX(word_len, name_len))
        return; /* nothing in common */
    if (word_len >= 2 && !strncmp(suggest->word, name, word_len))
        distance = 0; /* a beginning */
    if (distance < suggest->distance) {
        suggest->distance = distance;
        suggest->best = name;
    }
}

bool suggest_append(const struct suggest *suggest, const char *prefix, struct error *err)
{
    size_t used = strlen(err->text);

    if (suggest->best)
        snprintf(err->text + used, sizeof(err->text) - used, "; did you mean '%s%s'?", prefix,
                 suggest->best);
    return false;
}
