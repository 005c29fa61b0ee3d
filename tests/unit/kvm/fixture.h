/* SPDX-License-Identifier: MIT */
/* A machine of RAM and CPUs on this host's KVM, without devices. */
#pragma once

#include "accel/kvm/kvm.h"
#include "cli/config.h"
#include "machine/machine.h"

struct kvm_env {
    struct config config;
    struct machine machine;
};

/* NULL when the host has no KVM that this process may open; the test is skipped then. */
struct kvm_env *kvm_env_new(const char *irqchip, unsigned cpus);
void kvm_env_free(struct kvm_env *env);

struct kvm_cpu *kvm_env_cpu(struct kvm_env *env, unsigned n);
