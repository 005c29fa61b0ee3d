/* SPDX-License-Identifier: MIT */
/* The hypercalls that go with the features of CPUID leaf 40000001H, and what KVM answers to the others. */
#include "accel/soft/hypercall.h"

#include <sched.h>

#include "accel/soft/state.h"
#include "machine/machine.h"

#define KVM_HC_VAPIC_POLL_IRQ 1
#define KVM_HC_KICK_CPU       5
#define KVM_HC_SCHED_YIELD    11

#define KVM_EPERM             1
#define KVM_ENOSYS            1000

bool hypercall_take_kick(struct vcpu *vcpu)
{
    return atomic_load_explicit(&vcpu->kicked, memory_order_relaxed) &&
           atomic_exchange(&vcpu->kicked, false);
}

static void hypercall_kick(struct machine *machine, u64 apic_id)
{
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        struct vcpu *vcpu = &machine->vcpus[i];

        if (vcpu->apic_id != apic_id)
            continue;
        atomic_store(&vcpu->kicked, true);
        vcpu_request(vcpu, VCPU_REQ_ACCEL);
    }
}

static i64 hypercall_run(struct cpu *cpu, u64 number, u64 argument)
{
    switch (number) {
    case KVM_HC_VAPIC_POLL_IRQ: return 0;
    case KVM_HC_KICK_CPU: hypercall_kick(cpu->vcpu->machine, argument); return 0;
    case KVM_HC_SCHED_YIELD: sched_yield(); return 0;
    default: return -KVM_ENOSYS;
    }
}

/* Arguments: RBX, RCX, RDX, RSI; a kick's are flags and APIC ID. */
void hypercall(struct cpu *cpu)
{
    u64 mask = cpu->mode & MODE_CS_L ? ~UINT64_C(0) : 0xFFFFFFFF;
    i64 result = -KVM_EPERM;

    if (cpu->cpl == 0)
        result = hypercall_run(cpu, cpu->gpr[RAX] & mask, cpu->gpr[RCX] & mask);
    cpu->gpr[RAX] = (u64)result & mask;
}
