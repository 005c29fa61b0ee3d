/* SPDX-License-Identifier: MIT */
/* Which accelerator runs the guest: the user's choice, and what the host can do. */
#include <stdio.h>

#include "accel/accel.h"
#include "base/bits.h"
#include "base/log.h"
#include "cli/config.h"

static const struct {
    const struct accel_ops *ops;
    const char *what;
} accels[] = {
    [ACCEL_SOFT] = { &accel_soft, "mote's own CPU" },
    [ACCEL_KVM] = { &accel_kvm, "the host's CPU, by Linux KVM" },
};

/* Without a choice: KVM where it is any good, which the software CPU never fails to stand in for. */
static const enum accel_kind accel_default[] = { ACCEL_KVM, ACCEL_SOFT };

const struct accel_ops *accel_choose(const struct config *config, struct error *err)
{
    const enum accel_kind *kinds = config->accel_count ? config->accels : accel_default;
    unsigned count = config->accel_count ? config->accel_count : ARRAY_SIZE(accel_default);
    bool last;

    for (unsigned i = 0; i < count; i++) {
        const struct accel_ops *ops = accels[kinds[i]].ops;

        if (ops->probe(config, err))
            return ops;
        last = i + 1 == count;
        if (last && !config->accel_fallback) {
            error_prefix(err, "-accel %s: ", ops->name);
            return NULL;
        }
        log_warn("no %s: %s; running on %s", ops->name == accel_kvm.name ? "KVM" : ops->name,
                 err->text, last ? accels[ACCEL_SOFT].what : accels[kinds[i + 1]].what);
    }
    return &accel_soft;
}

void accel_print_help(void)
{
    struct error err;

    printf("On this host:\n");
    for (size_t i = 0; i < ARRAY_SIZE(accels); i++)
        printf("  %-6s %s: %s\n", accels[i].ops->name, accels[i].what,
               accels[i].ops->probe(NULL, &err) ? "usable on this host" : err.text);
}
