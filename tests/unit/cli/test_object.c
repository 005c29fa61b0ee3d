/* SPDX-License-Identifier: MIT */
/* What -object makes of its argument, by way of the whole command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "cli/config.h"
#include "cli/options.h"

static struct config config;
static struct error err;

/* The words of a command line; the same object twice when `again`. */
static enum cli_result run(const char *object, bool again)
{
    char first[256], second[256];
    char *argv[] = {
        (char[]){ "mote" }, (char[]){ "-object" }, first, (char[]){ "-object" }, second, NULL
    };

    strcpy(first, object);
    strcpy(second, object);
    config_free(&config);
    config_init(&config);
    return cli_parse(again ? 5 : 3, argv, NULL, &config, &err);
}

static void assert_refused(const char *object, const char *message)
{
    assert_int_equal(run(object, false), CLI_ERROR);
    if (!strstr(err.text, message))
        fail_msg("%s: '%s' is not in '%s'", object, message, err.text);
}

static int teardown(void **state)
{
    (void)state;
    config_free(&config);
    return 0;
}

static void objects_are_found_by_id(void **state)
{
    const struct device_config *object;

    (void)state;
    assert_int_equal(run("rng-random,id=r0,filename=/dev/hwrng", false), CLI_RUN);
    object = config_object(&config, "r0");
    assert_non_null(object);
    assert_string_equal(object->model, "rng-random");
    assert_string_equal(device_config_get(object, "filename"), "/dev/hwrng");
    assert_null(config_object(&config, "r1"));
}

static void the_type_may_be_named(void **state)
{
    (void)state;
    assert_int_equal(run("qom-type=rng-builtin,id=a", false), CLI_RUN);
    assert_string_equal(config_object(&config, "a")->model, "rng-builtin");
}

static void an_id_is_used_once(void **state)
{
    (void)state;
    assert_int_equal(run("rng-builtin,id=a", true), CLI_ERROR);
    assert_non_null(strstr(err.text, "attempt to add duplicate object 'a'"));
}

static void mistakes_are_told(void **state)
{
    (void)state;
    assert_refused("rng-builtin", "Parameter 'id' is missing");
    assert_refused("nosuch,id=a", "'nosuch' is not a valid object type");
    assert_refused(",id=a", "is not a valid object type");
    assert_refused("id=a", "is not a valid object type");
    assert_refused("rng-builtin,id=1a", "1a");
    assert_refused("rng-builtin,id=a,filename=x", "Property 'rng-builtin.filename' not found");
    assert_refused("rng-random,id=a,nosuch=x", "Property 'rng-random.nosuch' not found");
}

static void too_many_properties_are_refused(void **state)
{
    char line[256] = "rng-random,id=a";

    (void)state;
    for (unsigned i = 0; i <= CONFIG_DEVICE_PROPS_MAX / 2; i++)
        strcat(line, ",filename=x");
    assert_int_equal(run(line, false), CLI_RUN);
    assert_int_equal(config_object(&config, "a")->property_count, CONFIG_DEVICE_PROPS_MAX / 2 + 1);
}

static void too_many_objects_are_refused(void **state)
{
    char words[CONFIG_OBJECTS_MAX + 1][32], *argv[2 * CONFIG_OBJECTS_MAX + 4];
    char option[] = "-object";
    int argc = 0;

    (void)state;
    argv[argc++] = option; /* the program's name: not looked at */
    for (unsigned i = 0; i <= CONFIG_OBJECTS_MAX; i++) {
        strcpy(words[i], "rng-builtin,id=a");
        words[i][strlen(words[i]) - 1] = (char)('a' + i);
        argv[argc++] = option;
        argv[argc++] = words[i];
    }
    config_free(&config);
    config_init(&config);
    assert_int_equal(cli_parse(argc, argv, NULL, &config, &err), CLI_ERROR);
    assert_non_null(strstr(err.text, "more than 16 objects"));
}

#define T(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(objects_are_found_by_id),
        T(the_type_may_be_named),
        T(an_id_is_used_once),
        T(mistakes_are_told),
        T(too_many_properties_are_refused),
        T(too_many_objects_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
