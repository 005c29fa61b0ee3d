/* SPDX-License-Identifier: MIT */
/*
 * The machine's life: build, reset, run, stop. The main thread runs the event loop; each vCPU has a thread
 * that stays in the accelerator's run function and comes to the pause point when it is asked to.
 */
#include "machine/machine.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "accel/accel.h"
#include "base/log.h"
#include "cli/config.h"
#include "host/loop.h"
#include "machine/topology.h"

/* --- Requests --- */

static void machine_pause(struct machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    machine->running = false;
    pthread_mutex_unlock(&machine->lock);
    for (unsigned i = 0; i < machine->vcpu_count; i++)
        vcpu_request(&machine->vcpus[i], VCPU_REQ_PAUSE);
    pthread_mutex_lock(&machine->lock);
    while (machine->paused_vcpus < machine->vcpu_count)
        pthread_cond_wait(&machine->pause_cond, &machine->lock);
    pthread_mutex_unlock(&machine->lock);
}

static void machine_resume(struct machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    machine->running = true;
    pthread_cond_broadcast(&machine->resume_cond);
    pthread_mutex_unlock(&machine->lock);
}

/* All vCPUs are at the pause point. */
static bool machine_reset(struct machine *machine, struct error *err)
{
    struct cpu_boot_state state = { .mode = BOOT_MODE_RESET };

    for (unsigned i = 0; i < machine->device_count; i++) {
        struct device *dev = machine->devices[i];

        pthread_mutex_lock(&dev->lock);
        if (dev->ops->reset)
            dev->ops->reset(dev);
        pthread_mutex_unlock(&dev->lock);
    }
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct vcpu *vcpu = &machine->vcpus[i];

        atomic_fetch_and(&vcpu->requests, VCPU_REQ_PAUSE | VCPU_REQ_QUIT);
        vcpu->run_state = vcpu->bsp ? VCPU_RUNNING : VCPU_WAIT_SIPI;
        machine->accel->vcpu_reset(vcpu);
    }
    if (machine->boot && !machine->boot(machine, machine->boot_arg, &state, err))
        return false;
    if (state.mode != BOOT_MODE_RESET)
        machine->accel->vcpu_set_boot(&machine->vcpus[0], &state);
    return true;
}

static void machine_end(struct machine *machine, int status)
{
    machine->exit_status = status;
    loop_quit(machine->loop);
}

static void machine_serve_reset(struct machine *machine)
{
    struct error err;

    if (machine->config->no_reboot) {
        if (!machine->config->no_shutdown)
            machine_end(machine, 0);
        return;
    }
    if (machine_reset(machine, &err)) {
        machine_resume(machine);
        return;
    }
    log_error("reset: %s", err.text);
    machine_end(machine, 1);
}

/* On the loop thread: stop the world and do what was asked. */
static void machine_serve(void *arg)
{
    struct machine *machine = arg;
    enum machine_request request;
    int status;

    machine_pause(machine);
    pthread_mutex_lock(&machine->lock);
    request = machine->request;
    status = machine->exit_status;
    machine->request = MACHINE_NONE;
    pthread_mutex_unlock(&machine->lock);
    switch (request) {
    case MACHINE_RESET: machine_serve_reset(machine); break;
    case MACHINE_SHUTDOWN:
        if (!machine->config->no_shutdown)
            machine_end(machine, 0);
        break;
    case MACHINE_QUIT: machine_end(machine, status); break;
    case MACHINE_NONE: machine_resume(machine); break;
    }
}

void machine_request(struct machine *machine, enum machine_request request, int status)
{
    bool first;

    pthread_mutex_lock(&machine->lock);
    first = machine->request == MACHINE_NONE;
    machine->running = false;
    if (first || request == MACHINE_QUIT) {
        machine->request = request;
        machine->exit_status = status;
    }
    pthread_mutex_unlock(&machine->lock);
    if (!first)
        return;
    for (unsigned i = 0; i < machine->vcpu_count; i++)
        vcpu_request(&machine->vcpus[i], VCPU_REQ_PAUSE);
    loop_post(machine->loop, machine_serve, machine);
}

/* --- vCPU threads --- */

/* Wait here while the machine is stopped. False when the thread shall end. */
static bool machine_pause_point(struct machine *machine, struct vcpu *vcpu)
{
    bool go;

    pthread_mutex_lock(&machine->lock);
    machine->paused_vcpus++;
    vcpu->paused = true;
    pthread_cond_signal(&machine->pause_cond);
    while (!machine->running && !machine->quitting)
        pthread_cond_wait(&machine->resume_cond, &machine->lock);
    machine->paused_vcpus--;
    vcpu->paused = false;
    go = !machine->quitting;
    vcpu_take(vcpu, VCPU_REQ_PAUSE);
    pthread_mutex_unlock(&machine->lock);
    return go;
}

static void *machine_vcpu_thread(void *arg)
{
    struct vcpu *vcpu = arg;
    struct machine *machine = vcpu->machine;

    while (machine_pause_point(machine, vcpu)) {
        enum accel_exit why;

        do {
            why = machine->accel->run(vcpu);
        } while (why == ACCEL_EXIT_REQUEST &&
                 !(atomic_load(&vcpu->requests) & (VCPU_REQ_PAUSE | VCPU_REQ_QUIT)));
        if (why == ACCEL_EXIT_TRIPLE_FAULT)
            machine_request(machine, MACHINE_RESET, 0);
        else if (why == ACCEL_EXIT_ERROR)
            machine_request(machine, MACHINE_QUIT, 1);
    }
    return NULL;
}

static bool machine_start_threads(struct machine *machine, struct error *err)
{
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct vcpu *vcpu = &machine->vcpus[i];
        char name[16];
        int code = pthread_create(&vcpu->thread, NULL, machine_vcpu_thread, vcpu);

        if (code)
            return error_set_errno(err, code, "cannot create the thread of CPU %u", i);
        vcpu->thread_started = true;
        snprintf(name, sizeof(name), "cpu%u", i);
        pthread_setname_np(vcpu->thread, name);
    }
    return true;
}

static void machine_stop_threads(struct machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    machine->running = false;
    machine->quitting = true;
    pthread_cond_broadcast(&machine->resume_cond);
    pthread_mutex_unlock(&machine->lock);
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct vcpu *vcpu = &machine->vcpus[i];

        if (!vcpu->thread_started)
            continue;
        vcpu_request(vcpu, VCPU_REQ_QUIT | VCPU_REQ_PAUSE);
        pthread_join(vcpu->thread, NULL);
        vcpu->thread_started = false;
    }
}

int machine_run(struct machine *machine)
{
    struct error err;

    if (!machine_reset(machine, &err) || !machine_start_threads(machine, &err)) {
        log_error("%s", err.text);
        machine_stop_threads(machine);
        return 1;
    }
    if (!machine->config->start_paused)
        machine_resume(machine);
    loop_run(machine->loop);
    machine_stop_threads(machine);
    return machine->exit_status;
}

/* --- Building and freeing --- */

void machine_add_device(struct machine *machine, struct device *dev)
{
    assert(machine->device_count < MACHINE_DEVICES_MAX);
    machine->devices[machine->device_count++] = dev;
}

/* Below 4 GiB: RAM, but for the firmware's end below 1 MiB, and the firmware as a whole at the top. */
static void machine_map_low(struct ram *ram, u64 below, u64 rom_offset, u64 rom_size)
{
    u64 alias_size = MIN(rom_size, MAP_ROM_ALIAS_MAX);
    gpa alias = MAP_ROM_ALIAS_END - alias_size;

    ram_add_slot(ram, 0, rom_size ? MIN(below, alias) : below, 0);
    if (!rom_size)
        return;
    if (below > MAP_ROM_ALIAS_END)
        ram_add_slot(ram, MAP_ROM_ALIAS_END, below - MAP_ROM_ALIAS_END, MAP_ROM_ALIAS_END);
    ram_add_slot(ram, alias, alias_size, rom_offset + rom_size - alias_size);
    ram_add_slot(ram, MAP_ROM_END - rom_size, rom_size, rom_offset);
}

/* Wishes about guest memory. Only a lock can be refused: the rest is advice, which a kernel may lack. */
static bool machine_advise_ram(struct machine *machine, struct error *err)
{
    const struct config *config = machine->config;

    if (config->machine.mem_merge && madvise(machine->ram.host, machine->ram.size, MADV_MERGEABLE))
        log_warn("-M mem-merge=on: this host's kernel does not merge pages");
    if (config->machine.hugepages && madvise(machine->ram.host, machine->ram.size, MADV_HUGEPAGE))
        log_warn("-M hugepages=on: this host's kernel has no huge pages");
    return !config->overcommit.mem_lock || mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ||
           error_set_errno(err, errno, "-overcommit mem-lock=on: cannot lock memory");
}

static bool machine_init_ram(struct machine *machine, u64 size, struct error *err)
{
    u64 below = MIN(size, MAP_RAM_BELOW_4G_MAX);

    if (!ram_init(&machine->ram, size + machine->rom_size, err) ||
        !machine_advise_ram(machine, err))
        return false;
    machine_map_low(&machine->ram, below, size, machine->rom_size);
    if (size > below)
        ram_add_slot(&machine->ram, MAP_RAM_ABOVE_4G, size - below, below);
    return true;
}

bool machine_init(struct machine *machine, const struct config *config, struct error *err)
{
    machine->config = config;
    pthread_mutex_init(&machine->lock, NULL);
    pthread_cond_init(&machine->pause_cond, NULL);
    pthread_cond_init(&machine->resume_cond, NULL);
    bus_init(&machine->pio, "port", ~(u64)0);
    bus_init(&machine->mmio, "memory", 0);
    clock_init(&machine->clock);
    machine->loop = loop_new(&machine->clock, err);
    return machine->loop && machine_init_ram(machine, config->ram_size, err);
}

bool machine_init_vcpus(struct machine *machine, struct error *err)
{
    machine->vcpu_count = machine->config->smp.cpus;
    assert(machine->vcpu_count >= 1 && machine->vcpu_count <= MACHINE_VCPUS_MAX);
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct vcpu *vcpu = &machine->vcpus[i];

        vcpu->machine = machine;
        vcpu->id = i;
        vcpu->bsp = i == 0;
        vcpu->apic_id = topology_apic_id(&machine->config->smp, i);
        pthread_mutex_init(&vcpu->park_lock, NULL);
        pthread_cond_init(&vcpu->park_cond, NULL);
    }
    if (!machine->accel->init(machine, machine->config, err))
        return false;
    for (unsigned i = 0; i < machine->vcpu_count; i++)
        if (!machine->accel->vcpu_init(&machine->vcpus[i], machine->config, err))
            return false;
    return true;
}

void machine_fini_guest(struct machine *machine)
{
    if (!machine->config)
        return;
    machine_stop_threads(machine);
    for (unsigned i = machine->device_count; i-- > 0;)
        machine->devices[i]->ops->free(machine->devices[i]);
    machine->device_count = 0;
    for (unsigned i = 0; i < machine->vcpu_count; i++)
        machine->accel->vcpu_free(&machine->vcpus[i]);
    machine->vcpu_count = 0;
    machine->accel->free(machine);
}

void machine_fini_host(struct machine *machine)
{
    loop_free(machine->loop);
    ram_fini(&machine->ram);
}
