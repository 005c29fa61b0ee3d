/* SPDX-License-Identifier: MIT */
/* Inside the KVM accelerator: its machine-wide and per-CPU state. Linux, Documentation/virt/kvm/api.rst. */
#pragma once

#include <linux/kvm.h>
#include <pthread.h>

#include "accel/accel.h"
#include "base/error.h"
#include "base/types.h"
#include "machine/map.h"

#define KVM_DEVICE         "/dev/kvm"
#define KVM_EXITS_MAX      64 /* exit reasons that are counted */
#define KVM_PLACES_MAX     64 /* ports and addresses that are counted */
#define KVM_SAVED_MSRS_MAX 256

struct machine;
struct vcpu;

/* Where I/O exits came from, for -d exits. */
struct kvm_place {
    u64 addr;
    bool mmio;
    u64 count;
};

/* What a CPU was like at power-on, to go back to: all that KVM has of it. */
struct kvm_saved_cpu {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_vcpu_events events;
    struct kvm_debugregs debugregs;
    struct kvm_xcrs xcrs;
    struct kvm_lapic_state lapic;
    struct kvm_mp_state mp_state;
    struct kvm_xsave *xsave;
    struct kvm_msrs *msrs;
};

struct kvm_cpu {
    struct vcpu *vcpu;
    struct kvm *kvm;
    int fd;
    struct kvm_run *run;
    bool saved_valid;
    bool completing;   /* the last exit was I/O, which the next KVM_RUN finishes */
    bool interrupting; /* the controller outside had an interrupt when it was last asked */
    struct kvm_saved_cpu saved;
    u64 exits[KVM_EXITS_MAX];
    u64 signals; /* KVM_RUN ended by a kick */
    u64 runs;
    struct kvm_place places[KVM_PLACES_MAX];
};

/* One GSI: the eventfd that drives it from our side, and for levels the one that tells of its EOI. */
struct kvm_gsi {
    int fd;               /* -1: none */
    int resample;         /* -1: none */
    pthread_mutex_t lock; /* protects the level, and orders signals with it */
    bool level;
    struct loop_watch *watch;
};

struct kvm {
    struct machine *machine;
    int device, vm;
    enum accel_irqchip irqchip;
    size_t run_size;   /* of the shared page of a CPU */
    size_t xsave_size; /* of KVM_GET_XSAVE2; at least a struct kvm_xsave */
    u32 tsc_khz;
    unsigned slot_count;
    struct kvm_cpuid2 *cpuid;   /* as KVM_SET_CPUID2 takes it, but for the APIC ID */
    pthread_mutex_t route_lock; /* protects the table */
    struct kvm_irq_routing *routes;
    struct kvm_gsi gsis[MAP_GSI_COUNT];
    bool saved_valid;
    struct kvm_irqchip saved_chips[3]; /* ALL: by KVM_IRQCHIP_* */
    struct kvm_pit_state2 saved_pit;
};

/* --- probe.c --- */

/* Open the device; -1 and the reason that users can act on. */
int kvm_open(const char *path, struct error *err);

/* accel_ops.probe: can this KVM run a 64-bit guest, and at the CPU's speed? */
bool kvm_probe(const struct config *config, struct error *err);

/* --- cpuid.c --- */

bool kvm_cpuid_init(struct kvm *kvm, const struct config *config, struct error *err);
bool kvm_cpuid_set(struct kvm_cpu *cpu, struct error *err);
void kvm_cpuid_signature(struct machine *machine, u32 *eax, u32 *edx);

/* --- regs.c --- */

/* Remember the power-on state of a CPU that has not run yet. */
void kvm_regs_save(struct kvm_cpu *cpu);
void kvm_regs_free(struct kvm_cpu *cpu);
void kvm_regs_reset(struct vcpu *vcpu);
void kvm_regs_set_boot(struct vcpu *vcpu, const struct cpu_boot_state *state);
/* INIT and SIPI, where the local APIC is outside. */
void kvm_regs_init(struct kvm_cpu *cpu);
void kvm_regs_startup(struct kvm_cpu *cpu, u8 vector);
void kvm_regs_dump(struct vcpu *vcpu, char *text, size_t size);

/* --- irq.c --- */

extern const struct accel_irqchip_ops kvm_irqchip_ops;

/* Create what shall be inside; before the CPUs. */
bool kvm_irq_init(struct kvm *kvm, const struct config *config, struct error *err);
void kvm_irq_free(struct kvm *kvm);
void kvm_irq_save(struct kvm *kvm);
void kvm_irq_reset(struct kvm *kvm);
bool kvm_irq_doorbell(struct machine *machine, gpa addr, u32 value, int fd);

/* --- run.c --- */

enum accel_exit kvm_run_cpu(struct vcpu *vcpu);
void kvm_run_kick(struct vcpu *vcpu);
void kvm_run_log_exits(const struct kvm_cpu *cpu);

/* Let the kick's signal interrupt KVM_RUN. Once per process. */
void kvm_run_init_signal(void);
