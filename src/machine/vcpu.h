/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU as the machine sees it: a thread, a word of requests, and its local APIC.
 *
 * Other threads talk to a vCPU only through vcpu_request; everything else in it belongs to its own thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/bits.h"
#include "base/types.h"

struct machine;
struct vcpu;

/* Reasons to leave guest code. Set by any thread, taken by the vCPU's own. */
enum vcpu_request_bit {
    VCPU_REQ_INTR = BIT(0), /* the local APIC or PIC may have an interrupt: ask apic_ops->pending */
    VCPU_REQ_NMI = BIT(1),
    VCPU_REQ_INIT = BIT(2),
    VCPU_REQ_SIPI = BIT(3),  /* with vcpu->sipi_vector */
    VCPU_REQ_PAUSE = BIT(4), /* stop at the machine's pause point */
    VCPU_REQ_QUIT = BIT(5),  /* leave the thread */
    VCPU_REQ_ACCEL = BIT(6), /* the accelerator's own business (code cache flush) */
};

/* The local APIC as its CPU sees it. All called on the vCPU's thread. */
struct vcpu_apic_ops {
    int (*pending)(void *apic); /* is an interrupt deliverable now (IF aside)? its vector, or -1 */
    int (*ack)(void *apic);     /* INTA: the vector, moved to in-service; -1 when it went away */
    u64 (*mmio_read)(void *apic, u64 offset, unsigned size); /* offset into the 4 KiB page */
    void (*mmio_write)(void *apic, u64 offset, unsigned size, u64 value);
    bool (*msr_read)(void *apic, u32 msr,
                     u64 *value); /* x2APIC 0x800-0x8FF and 0x6E0; false: #GP */
    bool (*msr_write)(void *apic, u32 msr, u64 value);
    u64 (*get_base)(void *apic);             /* IA32_APIC_BASE */
    bool (*set_base)(void *apic, u64 value); /* false: #GP */
    u8 (*get_cr8)(void *apic);
    void (*set_cr8)(void *apic, u8 value);
    void (*init)(void *apic); /* INIT received: reset all but the ID and base */
};

enum vcpu_run_state {
    VCPU_RUNNING,
    VCPU_HALTED,    /* HLT: until an interrupt */
    VCPU_WAIT_SIPI, /* after INIT, and APs after reset */
};

struct vcpu {
    struct machine *machine;
    unsigned id; /* index, also its position in the machine */
    u32 apic_id;
    bool bsp;
    _Atomic u32 requests; /* enum vcpu_request_bit */
    _Atomic u8 sipi_vector;
    _Atomic bool kicked;           /* a paravirtual kick is due: the next HLT does not wait */
    enum vcpu_run_state run_state; /* own thread only */

    const struct vcpu_apic_ops *apic_ops;
    void *apic;

    void *accel;           /* the accelerator's CPU (struct cpu for soft) */
    const u64 *tsc_offset; /* guest TSC less clock_tsc(): the accelerator's, read on this thread */

    pthread_t thread;
    bool thread_started;
    pthread_mutex_t park_lock; /* with park_cond: vcpu_park sleeps, vcpu_request wakes */
    pthread_cond_t park_cond;
    _Atomic bool parked;
    bool paused; /* at the pause point; machine lock */
};

/* Ask `vcpu` to do something; any thread. Wakes it when it is parked. */
void vcpu_request(struct vcpu *vcpu, u32 bits);

/* Take the request bits of `mask` that are set, and clear them. Own thread. */
static inline u32 vcpu_take(struct vcpu *vcpu, u32 mask)
{
    return atomic_fetch_and(&vcpu->requests, ~mask) & mask;
}

/* Sleep until any request is set. Own thread. */
void vcpu_park(struct vcpu *vcpu);
