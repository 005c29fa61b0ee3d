/* SPDX-License-Identifier: MIT */
/* KVM's hypercalls: Linux, Documentation/virt/kvm/x86/hypercalls.rst. */
#pragma once

#include "base/types.h"

struct cpu;
struct vcpu;

/* VMCALL or VMMCALL with the number and arguments in the registers; the result goes to RAX. */
void hypercall(struct cpu *cpu);

/*
 * Has KVM_HC_KICK_CPU been called for `vcpu` since the last look? HLT does not wait then, and a halted vCPU that finds
 * this true (the kick sets VCPU_REQ_ACCEL too) runs on. Own thread.
 */
bool hypercall_take_kick(struct vcpu *vcpu);
