/* SPDX-License-Identifier: MIT */
/* The map file of perf: its name, its lines, and who may have been there before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accel/soft/perfmap.h"

struct place {
    char folder[64], path[128];
};

static int place_make(void **state)
{
    static struct place place;

    strcpy(place.folder, "/tmp/mote-perfmap-XXXXXX");
    if (!mkdtemp(place.folder))
        return -1;
    snprintf(place.path, sizeof(place.path), "%s/perf-%ld.map", place.folder, (long)getpid());
    *state = &place;
    return 0;
}

static int place_remove(void **state)
{
    struct place *place = *state;

    unlink(place->path);
    return rmdir(place->folder);
}

static void lines_have_start_size_and_name(void **state)
{
    struct place *place = *state;
    struct error err;
    struct perfmap *map = perfmap_new(place->folder, &err);
    char text[256] = "";
    FILE *file;

    assert_non_null(map);
    perfmap_add(map, (const void *)0x7f0012345678, 0x1db, 0xffffffff81000000);
    perfmap_add_named(map, (const void *)0x1000, 4096, "thunks");
    perfmap_free(map);
    file = fopen(place->path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    assert_string_equal(text, "7f0012345678 1db guest_ffffffff81000000\n1000 1000 thunks\n");
}

static void others_may_not_read_it(void **state)
{
    struct place *place = *state;
    struct error err;
    struct stat st;

    perfmap_free(perfmap_new(place->folder, &err));
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void links_are_not_followed(void **state)
{
    struct place *place = *state;
    char target[128];
    struct error err;

    snprintf(target, sizeof(target), "%s/victim", place->folder);
    assert_int_equal(symlink(target, place->path), 0);
    assert_null(perfmap_new(place->folder, &err));
    assert_non_null(strstr(err.text, "-perfmap: cannot write"));
    assert_int_equal(access(target, F_OK), -1);
}

static void missing_folder_is_an_error(void **state)
{
    struct error err;

    (void)state;
    assert_null(perfmap_new("/nonexistent", &err));
    assert_non_null(strstr(err.text, "/nonexistent/perf-"));
    perfmap_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_have_start_size_and_name, place_make, place_remove),
        cmocka_unit_test_setup_teardown(others_may_not_read_it, place_make, place_remove),
        cmocka_unit_test_setup_teardown(links_are_not_followed, place_make, place_remove),
        cmocka_unit_test(missing_folder_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
