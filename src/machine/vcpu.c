/* SPDX-License-Identifier: MIT */
/* Requests to a vCPU, and its sleep. */
#include "machine/vcpu.h"

#include "accel/accel.h"
#include "machine/machine.h"

/*
 * The parker sets `parked` and then looks at `requests`; the requester sets `requests` and then looks at
 * `parked`. Both orders are sequentially consistent, so one of them sees the other.
 */
void vcpu_request(struct vcpu *vcpu, u32 bits)
{
    u32 old = atomic_fetch_or(&vcpu->requests, bits);

    if (atomic_load(&vcpu->parked)) {
        pthread_mutex_lock(&vcpu->park_lock);
        pthread_cond_signal(&vcpu->park_cond);
        pthread_mutex_unlock(&vcpu->park_lock);
    } else if ((old | bits) != old && vcpu->machine->accel->kick) {
        vcpu->machine->accel->kick(vcpu);
    }
}

void vcpu_park(struct vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->park_lock);
    atomic_store(&vcpu->parked, true);
    while (!atomic_load(&vcpu->requests))
        pthread_cond_wait(&vcpu->park_cond, &vcpu->park_lock);
    atomic_store(&vcpu->parked, false);
    pthread_mutex_unlock(&vcpu->park_lock);
}
