/* SPDX-License-Identifier: MIT */
/*
 * What executes guest instructions. The machine and the devices do not know which one runs.
 *
 * An accelerator gives each vCPU a `run` that its thread stays in; the machine talks to it by requests.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct config;
struct cpu_boot_state;
struct machine;
struct vcpu;

/* Why `run` returned. */
enum accel_exit {
    ACCEL_EXIT_REQUEST,      /* VCPU_REQ_PAUSE or VCPU_REQ_QUIT is set */
    ACCEL_EXIT_TRIPLE_FAULT, /* shutdown: the machine resets */
    ACCEL_EXIT_ERROR,        /* internal error, already logged: the machine stops with status 1 */
};

struct accel_ops {
    const char *name;
    /* Whether this host can run it at all; false and the reason in `err`. */
    bool (*probe)(struct error *err);
    /* Machine-wide set-up (guest memory and buses exist), and per vCPU. */
    bool (*init)(struct machine *machine, const struct config *config, struct error *err);
    bool (*vcpu_init)(struct vcpu *vcpu, const struct config *config, struct error *err);
    /* To power-on state (SDM vol. 3A, table 10-1), with the CPU stopped. */
    void (*vcpu_reset)(struct vcpu *vcpu);
    /* Start state of a direct boot, over the reset state. */
    void (*vcpu_set_boot)(struct vcpu *vcpu, const struct cpu_boot_state *state);
    enum accel_exit (*run)(struct vcpu *vcpu);
    /* Called by vcpu_request after the bits are set; makes a running CPU notice (may be NULL). */
    void (*kick)(struct vcpu *vcpu);
    /* CPUID.1 EAX (signature) and EDX (features) of the guest's CPUs, for tables that list them. */
    void (*cpu_signature)(struct machine *machine, u32 *eax, u32 *edx);
    /* A CPU state dump in text, for logs. */
    void (*dump)(struct vcpu *vcpu, char *text, size_t size);
    void (*vcpu_free)(struct vcpu *vcpu);
    void (*free)(struct machine *machine);
};

extern const struct accel_ops accel_soft;
