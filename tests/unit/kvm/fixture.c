/* SPDX-License-Identifier: MIT */
#include "unit/kvm/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "machine/map.h"

struct kvm_env *kvm_env_new(const char *irqchip, unsigned cpus)
{
    struct kvm_env *env;
    struct error err;
    int fd = kvm_open(KVM_DEVICE, &err);

    if (fd < 0) {
        print_message("no KVM here: %s\n", err.text);
        return NULL;
    }
    close(fd);
    env = xcalloc(1, sizeof(*env));
    config_init(&env->config);
    env->config.ram_size = MIB(4);
    env->config.machine.kernel_irqchip = xstrdup(irqchip);
    env->config.smp = (struct smp_config){
        .cpus = cpus, .sockets = 1, .cores = cpus, .threads = 1, .maxcpus = cpus
    };
    env->machine.accel = &accel_kvm;
    assert_true(machine_init(&env->machine, &env->config, &err));
    return env;
}

void kvm_env_free(struct kvm_env *env)
{
    if (!env)
        return;
    machine_fini_guest(&env->machine);
    machine_fini_host(&env->machine);
    config_free(&env->config);
    free(env);
}

struct kvm_cpu *kvm_env_cpu(struct kvm_env *env, unsigned n)
{
    return env->machine.vcpus[n].accel;
}
