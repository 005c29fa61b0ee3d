/* SPDX-License-Identifier: MIT */
/*
 * The machine: owns guest memory, buses, vCPUs and devices, and runs them. No globals: two machines in one
 * process are allowed.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/types.h"
#include "host/clock.h"
#include "machine/boot_state.h"
#include "machine/bus.h"
#include "machine/map.h"
#include "machine/ram.h"
#include "machine/vcpu.h"

struct accel_ops;
struct config;
struct loop;

#define MACHINE_VCPUS_MAX   16
#define MACHINE_DEVICES_MAX 64

enum machine_request {
    MACHINE_NONE,
    MACHINE_RESET,    /* a guest or user reset; with -no-reboot it ends the process, status 0 */
    MACHINE_SHUTDOWN, /* the guest powered off; with -no-shutdown the process stays, paused */
    MACHINE_QUIT,     /* end now, with the status that goes with it */
};

/* Puts the guest's start image into RAM and tells where to start; called at each reset. */
typedef bool machine_boot_fn(struct machine *machine, void *arg, struct cpu_boot_state *state,
                             struct error *err);

struct machine {
    const struct config *config;
    struct clock clock;
    struct loop *loop;
    u64 rom_size; /* of the firmware, mapped after the RAM; 0: none. Set before machine_init */
    struct ram ram;
    struct bus pio;
    struct bus mmio;
    const struct accel_ops *accel;
    void *accel_state;

    unsigned vcpu_count;
    struct vcpu vcpus[MACHINE_VCPUS_MAX];

    unsigned device_count;
    struct device *devices[MACHINE_DEVICES_MAX]; /* in order of creation */

    /* An accelerator with local APICs inside tells here of ends of level-triggered interrupts; vCPU threads. */
    void (*eoi)(void *arg, u8 vector);
    void *eoi_arg;

    machine_boot_fn *boot;
    void *boot_arg;

    pthread_mutex_t lock;       /* protects what follows */
    pthread_cond_t pause_cond;  /* a vCPU has paused */
    pthread_cond_t resume_cond; /* running or quitting was set */
    bool running;               /* vCPUs may execute guest code */
    bool quitting;              /* vCPU threads end */
    enum machine_request request;
    int exit_status;
    unsigned paused_vcpus;
};

/*
 * Ask for a reset, a shutdown or the end (with `status`); any thread, from inside device callbacks. The first
 * request wins until it has been served; the vCPU that made it stops before its next instruction.
 */
void machine_request(struct machine *machine, enum machine_request request, int status);

/* Give a device to the machine, which resets it with itself and frees it in reverse order. */
void machine_add_device(struct machine *machine, struct device *dev);

/* Common part of building: memory, buses, loop. The accelerator and devices come after. */
bool machine_init(struct machine *machine, const struct config *config, struct error *err)
    __attribute__((warn_unused_result));

/* Create the vCPUs of the configured accelerator. */
bool machine_init_vcpus(struct machine *machine, struct error *err)
    __attribute__((warn_unused_result));

/* Reset everything, run until the end, and return the process's exit status. */
int machine_run(struct machine *machine);

/*
 * Free in reverse order: first what the guest ran on (threads, devices, CPUs), then, when backends are closed, the host
 * side (loop, memory). Both accept half-built machines.
 */
void machine_fini_guest(struct machine *machine);
void machine_fini_host(struct machine *machine);
