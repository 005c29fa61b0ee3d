/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing of the command line: the input is a list of words, one a line.
 *
 * With -DFUZZ_MAIN (the smoke test) a program that runs the files of the folders it is given, and for
 * `-runs=N` as many random changes of them.
 */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"
#include "cli/config.h"
#include "cli/options.h"

#define FUZZ_WORDS_MAX 64
#define FUZZ_INPUT_MAX 2048

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* Whatever the words are: an error is one printable line, and everything can be freed. */
static void fuzz_parse(int argc, char **argv)
{
    static struct config config;
    struct error err = { "" };

    config_init(&config);
    if (cli_parse(argc, argv, NULL, &config, &err) == CLI_ERROR) {
        assert(err.text[0]);
        assert(!strpbrk(err.text, "\n\r\t\033"));
    }
    config_free(&config);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    char text[FUZZ_INPUT_MAX + 1], *argv[FUZZ_WORDS_MAX], *rest = text;
    int argc = 0;

    size = MIN(size, FUZZ_INPUT_MAX);
    memcpy(text, data, size);
    text[size] = 0;
    argv[argc++] = (char[]){ "mote" };
    while (argc < FUZZ_WORDS_MAX && rest && *rest)
        argv[argc++] = strsep(&rest, "\n");
    fuzz_parse(argc, argv);
    return 0;
}

#ifdef FUZZ_MAIN

static struct {
    u8 data[FUZZ_INPUT_MAX];
    size_t size;
} fuzz_corpus[256];
static unsigned fuzz_corpus_count;

static void fuzz_load(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t n;

    if (fd < 0 || fuzz_corpus_count == ARRAY_SIZE(fuzz_corpus))
        return;
    n = read(fd, fuzz_corpus[fuzz_corpus_count].data, FUZZ_INPUT_MAX);
    close(fd);
    if (n > 0)
        fuzz_corpus[fuzz_corpus_count++].size = (size_t)n;
}

static void fuzz_load_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char file[512];

    while (dir && (entry = readdir(dir))) {
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        fuzz_load(file);
    }
    if (dir)
        closedir(dir);
}

static size_t fuzz_random(size_t limit)
{
    return (size_t)rand() % limit;
}

/* A piece of one input goes into another, or some bytes change, or some vanish. */
static size_t fuzz_mutate(u8 *data, size_t size)
{
    static const char alphabet[] = ",=.:-+'%\n0123456789xkMGabcdehilnoprst?*[]\0\377";
    unsigned from = (unsigned)fuzz_random(fuzz_corpus_count);
    size_t start = fuzz_random(fuzz_corpus[from].size);
    size_t length = fuzz_random(fuzz_corpus[from].size - start) + 1, at = fuzz_random(size);

    switch (fuzz_random(3)) {
    case 0:
        length = MIN(length, FUZZ_INPUT_MAX - at);
        memcpy(data + at, fuzz_corpus[from].data + start, length);
        return MAX(size, at + length);
    case 1:
        for (size_t i = 0; i < 1 + fuzz_random(4); i++)
            data[fuzz_random(size)] = (u8)alphabet[fuzz_random(sizeof(alphabet))];
        return size;
    default:
        length = MIN(length % 16, size - at);
        memmove(data + at, data + at + length, size - at - length);
        return MAX(size - length, 1u);
    }
}

static void fuzz_mutations(unsigned runs)
{
    u8 data[FUZZ_INPUT_MAX];

    srand(1);
    for (unsigned i = 0; i < runs; i++) {
        unsigned from = (unsigned)fuzz_random(fuzz_corpus_count);
        size_t size = fuzz_corpus[from].size;

        memcpy(data, fuzz_corpus[from].data, size);
        for (size_t j = fuzz_random(4) + 1; j; j--)
            size = fuzz_mutate(data, size);
        LLVMFuzzerTestOneInput(data, size);
    }
}

int main(int argc, char **argv)
{
    unsigned runs = 0;

    if (!freopen("/dev/null", "w", stdout))
        return 1;
    for (int i = 1; i < argc; i++)
        if (sscanf(argv[i], "-runs=%u", &runs) != 1)
            fuzz_load_folder(argv[i]);
    for (unsigned i = 0; i < fuzz_corpus_count; i++)
        LLVMFuzzerTestOneInput(fuzz_corpus[i].data, fuzz_corpus[i].size);
    if (!fuzz_corpus_count)
        return 1;
    fuzz_mutations(runs);
    return 0;
}

#endif
