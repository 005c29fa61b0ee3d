/* SPDX-License-Identifier: MIT */
/* Is KVM usable, what is said when it is not, and what runs then. */
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

#include "accel/accel.h"
#include "accel/kvm/kvm.h"
#include "base/mem.h"
#include "cli/config.h"

#define MISSING "/nonexistent/kvm"

static struct config *new_config(const char *device)
{
    struct config *config = xcalloc(1, sizeof(*config));

    config_init(config);
    config->kvm.device = device ? xstrdup(device) : NULL;
    return config;
}

static void free_config(struct config *config)
{
    config_free(config);
    free(config);
}

static void a_missing_device_names_what_is_missing(void **state)
{
    struct error err = { "" };

    (void)state;
    assert_int_equal(kvm_open(MISSING, &err), -1);
    assert_non_null(strstr(err.text, "there is no " MISSING));
    assert_true(strstr(err.text, "modprobe kvm_") || strstr(err.text, "neither VMX nor SVM"));
    assert_null(strchr(err.text, '\n'));
}

static void a_file_that_is_no_kvm_is_refused(void **state)
{
    struct error err = { "" };

    (void)state;
    assert_int_equal(kvm_open("/dev/null", &err), -1);
    assert_string_equal(err.text, "/dev/null is not a KVM of API version 12");
}

static void kvm_alone_fails_with_the_reason(void **state)
{
    struct config *config = new_config(MISSING);
    struct error err = { "" };

    (void)state;
    config->accel_count = 1;
    config->accels[0] = ACCEL_KVM;
    assert_null(accel_choose(config, &err));
    assert_ptr_equal(strstr(err.text, "-accel kvm: there is no " MISSING), err.text);
    free_config(config);
}

static void kvm_then_soft_falls_back(void **state)
{
    struct config *config = new_config(MISSING);
    struct error err = { "" };

    (void)state;
    config->accel_count = 2;
    config->accels[0] = ACCEL_KVM;
    config->accels[1] = ACCEL_SOFT;
    assert_ptr_equal(accel_choose(config, &err), &accel_soft);
    free_config(config);
}

static void enable_kvm_falls_back(void **state)
{
    struct config *config = new_config(MISSING);
    struct error err = { "" };

    (void)state;
    config->accel_count = 1;
    config->accels[0] = ACCEL_KVM;
    config->accel_fallback = true;
    assert_ptr_equal(accel_choose(config, &err), &accel_soft);
    free_config(config);
}

static void no_choice_falls_back(void **state)
{
    struct config *config = new_config(MISSING);
    struct error err = { "" };

    (void)state;
    assert_ptr_equal(accel_choose(config, &err), &accel_soft);
    free_config(config);
}

static void soft_first_does_not_look_at_kvm(void **state)
{
    struct config *config = new_config(MISSING);
    struct error err = { "" };

    (void)state;
    config->accel_count = 2;
    config->accels[0] = ACCEL_SOFT;
    config->accels[1] = ACCEL_KVM;
    assert_ptr_equal(accel_choose(config, &err), &accel_soft);
    assert_string_equal(err.text, "");
    free_config(config);
}

/* A KVM that may be opened either runs the tiny guest fast, or is told apart by its slowness. */
static void the_tiny_guest_runs_where_kvm_may_be_opened(void **state)
{
    struct config *config = new_config(NULL);
    struct error err = { "" };
    int fd = kvm_open(KVM_DEVICE, &err);

    (void)state;
    if (fd < 0) {
        free_config(config);
        skip();
    }
    close(fd);
    if (!kvm_probe(config, &err))
        assert_non_null(strstr(err.text, "only emulates"));
    config->kvm.emulated = true;
    assert_true(kvm_probe(config, &err));
    free_config(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_device_names_what_is_missing),
        cmocka_unit_test(a_file_that_is_no_kvm_is_refused),
        cmocka_unit_test(kvm_alone_fails_with_the_reason),
        cmocka_unit_test(kvm_then_soft_falls_back),
        cmocka_unit_test(enable_kvm_falls_back),
        cmocka_unit_test(no_choice_falls_back),
        cmocka_unit_test(soft_first_does_not_look_at_kvm),
        cmocka_unit_test(the_tiny_guest_runs_where_kvm_may_be_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
