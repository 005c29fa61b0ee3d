/* SPDX-License-Identifier: MIT */
/* mote: a command line becomes a machine, the machine runs, its end becomes the exit status. */
#include <signal.h>
#include <stdlib.h>

#include "accel/accel.h"
#include "accel/soft/cpuid.h"
#include "base/log.h"
#include "cli/config.h"
#include "cli/options.h"
#include "host/daemon.h"
#include "host/pidfile.h"
#include "host/signals.h"
#include "machine/machine.h"
#include "machine/microvm.h"

static const struct cli_hooks main_hooks = {
    .cpu_help = cpuid_print_help,
    .accel_help = accel_print_help,
};

static void main_terminate(void *arg)
{
    machine_request(arg, MACHINE_QUIT, 0);
}

/* The parent of -daemonize is told that all is set up. */
static bool main_ready(const struct config *config, struct daemon *daemon, struct error *err)
{
    return !config->daemonize || daemon_ready(daemon, err);
}

/* Run a built machine. Returns the exit status. */
static int main_run(struct microvm *vm, const struct config *config, struct daemon *daemon,
                    struct error *err)
{
    struct machine *machine = microvm_machine(vm);
    struct pidfile *pidfile = config->pidfile ? pidfile_new(config->pidfile, err) : NULL;
    struct signals *signals = NULL;
    int status = 1;

    if (!config->pidfile || pidfile)
        signals = signals_new(machine->loop, main_terminate, machine, err);
    if (signals && main_ready(config, daemon, err))
        status = machine_run(machine);
    else
        log_error("%s", err->text);
    signals_free(signals);
    pidfile_free(pidfile);
    return status;
}

static int main_build_and_run(const struct config *config, struct daemon *daemon)
{
    struct microvm *vm;
    struct error err;
    int status = 1;

    log_enable(config->log_items);
    if (config->log_path && !log_open(config->log_path, &err)) {
        log_error("-D %s: %s", config->log_path, err.text);
        return 1;
    }
    vm = microvm_new(config, &err);
    if (vm)
        status = main_run(vm, config, daemon, &err);
    else
        log_error("%s", err.text);
    microvm_free(vm);
    log_close();
    return status;
}

/* With -daemonize another process builds and runs, and this one ends when that is set up. */
static int main_start(const struct config *config)
{
    struct daemon daemon;
    struct error err;

    if (!config->daemonize)
        return main_build_and_run(config, &daemon);
    switch (daemon_start(&daemon, &err)) {
    case DAEMON_CHILD: return main_build_and_run(config, &daemon);
    case DAEMON_PARENT: return daemon.status;
    case DAEMON_ERROR: break;
    }
    log_error("-daemonize: %s", err.text);
    return 1;
}

int main(int argc, char **argv)
{
    static struct config config;
    struct error err;
    int status = 0;

    signal(SIGPIPE, SIG_IGN);
    config_init(&config);
    switch (cli_parse(argc, argv, &main_hooks, &config, &err)) {
    case CLI_ERROR:
        log_error("%s", err.text);
        status = 1;
        break;
    case CLI_RUN: status = main_start(&config); break;
    case CLI_DONE: break;
    }
    config_free(&config);
    return status;
}
