/* SPDX-License-Identifier: MIT */
/* In the place of KVM on hosts that are not x86-64, whose KVM runs other guests: never usable. */
#include "accel/accel.h"

static bool kvm_probe(const struct config *config, struct error *err)
{
    (void)config;
    return error_set(err, "this host's CPU is not an x86-64");
}

const struct accel_ops accel_kvm = { .name = "kvm", .probe = kvm_probe };
