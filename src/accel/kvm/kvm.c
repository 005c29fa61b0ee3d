/* SPDX-License-Identifier: MIT */
/*
 * The KVM accelerator: the host kernel runs the guest on the host's CPU. Linux, Documentation/virt/kvm/api.rst.
 *
 * This file sets a machine up: the VM, its memory, its CPUs.
 */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"
#include "machine/machine.h"

/*
 * Four pages that Intel CPUs without unrestricted guests need for real mode: an identity page table, and a TSS of three
 * pages. No device is there (map.h).
 */
#define KVM_IDENTITY_MAP UINT64_C(0xFEFFC000)
#define KVM_TSS          0xFEFFD000ul

#define KVM_SHADOW_PAGE  4096u

/* Without these there is no machine; KVM has had them since Linux 4.13 at least. */
static const struct {
    int cap;
    const char *name;
} kvm_needs[] = {
    { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
    { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
    { KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
    { KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS" },
    { KVM_CAP_XSAVE, "KVM_CAP_XSAVE" },
};

static bool kvm_check_needs(struct kvm *kvm, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(kvm_needs); i++)
        if (ioctl(kvm->device, KVM_CHECK_EXTENSION, kvm_needs[i].cap) <= 0)
            return error_set(err, "this host's KVM is too old: it has no %s", kvm_needs[i].name);
    return true;
}

/* --- Memory --- */

static bool kvm_add_slot(struct kvm *kvm, const struct ram *ram, const struct ram_slot *slot,
                         struct error *err)
{
    struct kvm_userspace_memory_region region = {
        .slot = kvm->slot_count++,
        .guest_phys_addr = slot->base,
        .memory_size = slot->size,
        .userspace_addr = (uintptr_t)(ram->host + slot->offset),
    };

    return ioctl(kvm->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0 ||
           error_set_errno(err, errno, "KVM refuses %llu MiB of guest memory",
                           (unsigned long long)(slot->size >> 20));
}

static bool kvm_init_memory(struct kvm *kvm, const struct config *config, struct error *err)
{
    const struct ram *ram = &kvm->machine->ram;
    u64 identity = KVM_IDENTITY_MAP;

    /* AMD CPUs and emulators do without; an Intel CPU that needs them says so when it runs. */
    ioctl(kvm->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    ioctl(kvm->vm, KVM_SET_TSS_ADDR, KVM_TSS);
    if (config->kvm.shadow_mem)
        ioctl(kvm->vm, KVM_SET_NR_MMU_PAGES,
              (unsigned long)config->kvm.shadow_mem / KVM_SHADOW_PAGE);
    for (unsigned i = 0; i < ram->slot_count; i++)
        if (!kvm_add_slot(kvm, ram, &ram->slots[i], err))
            return false;
    return true;
}

/* --- The machine --- */

/* -overcommit cpu-pm=on: HLT, MWAIT and PAUSE of the guest are the CPU's, not exits. */
static void kvm_init_power(struct kvm *kvm, const struct config *config)
{
    struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_DISABLE_EXITS };

    if (!config->overcommit.cpu_pm)
        return;
    cap.args[0] = (u64)ioctl(kvm->vm, KVM_CHECK_EXTENSION, KVM_CAP_X86_DISABLE_EXITS);
    if (cap.args[0] == 0 || ioctl(kvm->vm, KVM_ENABLE_CAP, &cap) < 0)
        log_warn("-overcommit cpu-pm=on: this host's KVM does not let the guest stop the CPU");
}

/* KVM would start the first CPU's local APIC with LINT0 open, which the SDM does not say (table 11-1). */
static void kvm_init_quirks(struct kvm *kvm)
{
    struct kvm_enable_cap cap = { .cap = KVM_CAP_DISABLE_QUIRKS,
                                  .args = { KVM_X86_QUIRK_LINT0_REENABLED } };

    ioctl(kvm->vm, KVM_ENABLE_CAP, &cap);
}

static void kvm_init_sizes(struct kvm *kvm)
{
    int xsave = ioctl(kvm->vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

    kvm->run_size = (size_t)ioctl(kvm->device, KVM_GET_VCPU_MMAP_SIZE, 0);
    kvm->xsave_size = MAX((size_t)MAX(xsave, 0), sizeof(struct kvm_xsave));
}

static bool kvm_init(struct machine *machine, const struct config *config, struct error *err)
{
    struct kvm *kvm = xcalloc(1, sizeof(*kvm));

    machine->accel_state = kvm;
    kvm->machine = machine;
    kvm->vm = -1;
    pthread_mutex_init(&kvm->route_lock, NULL);
    for (unsigned i = 0; i < MAP_GSI_COUNT; i++)
        kvm->gsis[i] =
            (struct kvm_gsi){ .fd = -1, .resample = -1, .lock = PTHREAD_MUTEX_INITIALIZER };
    kvm->device = kvm_open(config->kvm.device ? config->kvm.device : KVM_DEVICE, err);
    if (kvm->device < 0 || !kvm_check_needs(kvm, err))
        return false;
    kvm->vm = ioctl(kvm->device, KVM_CREATE_VM, 0);
    if (kvm->vm < 0)
        return error_set_errno(err, errno, "KVM refuses a virtual machine");
    kvm_init_sizes(kvm);
    kvm_init_quirks(kvm);
    kvm_init_power(kvm, config);
    kvm_run_init_signal();
    return kvm_init_memory(kvm, config, err) && kvm_irq_init(kvm, config, err);
}

/* --- CPUs --- */

static bool kvm_vcpu_init(struct vcpu *vcpu, const struct config *config, struct error *err)
{
    struct kvm *kvm = vcpu->machine->accel_state;
    struct kvm_cpu *cpu = xcalloc(1, sizeof(*cpu));

    vcpu->accel = cpu;
    cpu->vcpu = vcpu;
    cpu->kvm = kvm;
    cpu->run = MAP_FAILED;
    cpu->fd = ioctl(kvm->vm, KVM_CREATE_VCPU, (unsigned long)vcpu->apic_id);
    if (cpu->fd >= 0)
        cpu->run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
    if (cpu->run == MAP_FAILED)
        return error_set_errno(err, errno, "KVM refuses CPU %u", vcpu->id);
    if (!kvm->tsc_khz)
        kvm->tsc_khz = (u32)MAX(ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0), 0);
    if ((!kvm->cpuid && !kvm_cpuid_init(kvm, config, err)) || !kvm_cpuid_set(cpu, err))
        return false;
    /* A machine that ends at its first reset has none to go back to. */
    if (!config->no_reboot)
        kvm_regs_save(cpu);
    return true;
}

static void kvm_vcpu_free(struct vcpu *vcpu)
{
    struct kvm_cpu *cpu = vcpu->accel;

    if (!cpu)
        return;
    if (log_on(LOG_EXITS))
        kvm_run_log_exits(cpu);
    kvm_regs_free(cpu);
    if (cpu->run != MAP_FAILED)
        munmap(cpu->run, cpu->kvm->run_size);
    if (cpu->fd >= 0)
        close(cpu->fd);
    free(cpu);
    vcpu->accel = NULL;
}

static void kvm_free(struct machine *machine)
{
    struct kvm *kvm = machine->accel_state;

    if (!kvm)
        return;
    kvm_irq_free(kvm);
    if (kvm->vm >= 0)
        close(kvm->vm);
    if (kvm->device >= 0)
        close(kvm->device);
    pthread_mutex_destroy(&kvm->route_lock);
    free(kvm->cpuid);
    free(kvm);
    machine->accel_state = NULL;
}

const struct accel_ops accel_kvm = {
    .name = "kvm",
    .rtc_off = true,
    .irqchip = &kvm_irqchip_ops,
    .probe = kvm_probe,
    .init = kvm_init,
    .vcpu_init = kvm_vcpu_init,
    .vcpu_reset = kvm_regs_reset,
    .vcpu_set_boot = kvm_regs_set_boot,
    .run = kvm_run_cpu,
    .kick = kvm_run_kick,
    .cpu_signature = kvm_cpuid_signature,
    .doorbell = kvm_irq_doorbell,
    .dump = kvm_regs_dump,
    .vcpu_free = kvm_vcpu_free,
    .free = kvm_free,
};
