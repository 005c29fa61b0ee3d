/* SPDX-License-Identifier: MIT */
/*
 * The device side of virtio, transport aside: features, status, queues, configuration changes, interrupts.
 * virtio 1.2, chapters 2 and 3. A device embeds struct virtio first and fills a struct virtio_ops.
 */
#pragma once

#include "base/bits.h"
#include "base/types.h"
#include "host/loop.h"
#include "machine/device.h"
#include "machine/irq.h"
#include "machine/ram.h"
#include "virtio/virtq.h"

/* Device ids, virtio 1.2, chapter 5. */
enum virtio_id {
    VIRTIO_ID_NET = 1,
    VIRTIO_ID_BLOCK = 2,
    VIRTIO_ID_CONSOLE = 3,
    VIRTIO_ID_ENTROPY = 4,
    VIRTIO_ID_BALLOON = 5,
    VIRTIO_ID_9P = 9,
    VIRTIO_ID_VSOCK = 19,
};

/* Device status, 2.1. */
#define VIRTIO_STATUS_ACKNOWLEDGE 0x01u
#define VIRTIO_STATUS_DRIVER      0x02u
#define VIRTIO_STATUS_DRIVER_OK   0x04u
#define VIRTIO_STATUS_FEATURES_OK 0x08u
#define VIRTIO_STATUS_NEEDS_RESET 0x40u
#define VIRTIO_STATUS_FAILED      0x80u

/* Reserved feature bits, chapter 6. */
#define VIRTIO_F_NOTIFY_ON_EMPTY  BIT64(24) /* legacy */
#define VIRTIO_F_ANY_LAYOUT       BIT64(27) /* legacy */
#define VIRTIO_F_INDIRECT_DESC    BIT64(28)
#define VIRTIO_F_EVENT_IDX        BIT64(29)
#define VIRTIO_F_VERSION_1        BIT64(32)
#define VIRTIO_F_RING_PACKED      BIT64(34)

/* Interrupt status bits. */
#define VIRTIO_ISR_QUEUE          1u
#define VIRTIO_ISR_CONFIG         2u

#define VIRTIO_QUEUES_MAX         64

struct virtio;

/* All called with the device locked, on the thread given. */
struct virtio_ops {
    enum virtio_id id;
    u64 features;        /* the device's own bits; the common ones are added */
    u64 features_legacy; /* further bits for legacy drivers */
    /* Loop thread: the driver rang for queue `index` (which is ready). */
    void (*notify)(struct virtio *v, unsigned index);
    /* Any thread: configuration space, offset within config_size. `data` little-endian bytes. */
    void (*config_read)(struct virtio *v, unsigned offset, void *data, unsigned size);
    void (*config_write)(struct virtio *v, unsigned offset, const void *data,
                         unsigned size); /* may be NULL */
    /*
     * vCPU thread: features are agreed (FEATURES_OK, or legacy at DRIVER_OK); DRIVER_OK was set; reset.
     * NULL: nothing
     */
    void (*features_set)(struct virtio *v);
    void (*driver_ok)(struct virtio *v);
    void (*reset)(struct virtio *v); /* give up all chains in flight; queues are reset after it */
};

/* Guest-visible state beside the queues. */
struct virtio_state {
    u8 status;
    u8 isr;
    u64 driver_features; /* as agreed */
    u32 config_generation;
    u32 features_sel, driver_features_sel, queue_sel; /* transport's selectors */
    u64 driver_features_latched;
    u32 guest_page_size; /* legacy */
};

struct virtio {
    struct device dev;
    const struct virtio_ops *ops;
    struct ram *ram;
    struct loop *loop;
    struct irq irq;
    bool legacy;         /* the transport speaks version 1 */
    u64 features_common; /* of the rings: indirect_desc, event_idx, packed */
    unsigned config_size;
    unsigned queue_count;
    struct virtq queues[VIRTIO_QUEUES_MAX];
    struct virtio_state state;
    _Atomic u64 doorbells; /* queues rung and not looked at yet; bit = index */
    struct timer bell;     /* brings them to the loop thread */
    bool broken;
};

/*
 * Common set-up. The device's free must call virtio_fini; its reset may be virtio_device_reset. Then its queues,
 * of `size` entries unless the driver chooses otherwise (up to VIRTQ_SIZE_MAX).
 */
void virtio_init(struct virtio *v, const char *name, const struct device_ops *device_ops,
                 const struct virtio_ops *ops, struct ram *ram, struct loop *loop);
void virtio_fini(struct virtio *v);
void virtio_add_queues(struct virtio *v, unsigned count, u16 size);

/* Connect to a transport: its interrupt line, and the version that it speaks. */
void virtio_plug(struct virtio *v, struct irq irq, bool legacy);

/* What the device offers on this transport. */
u64 virtio_features(const struct virtio *v);
static inline bool virtio_has(const struct virtio *v, u64 feature)
{
    return (v->state.driver_features & feature) == feature;
}

/* Ring queue `index`: any thread, never blocks; ops->notify follows on the loop thread. */
void virtio_ring(struct virtio *v, unsigned index);

/* Status register write, 2.1 and 3.1: legal steps only; 0 resets. */
void virtio_set_status(struct virtio *v, u8 status);
void virtio_reset(struct virtio *v);
void virtio_device_reset(struct device *dev); /* the same, as a device operation */

/* The driver's features: a legacy driver's count at once (in parts), a modern one's at FEATURES_OK. */
void virtio_set_features(struct virtio *v, unsigned word, u32 bits);

/* May the device touch its queues? */
bool virtio_is_live(const struct virtio *v);

/* Raise interrupts: used buffers, or a configuration change (bumps the generation). */
void virtio_interrupt(struct virtio *v, u8 isr);
void virtio_config_changed(struct virtio *v);
void virtio_ack(struct virtio *v, u8 isr);

/* The driver broke the rules: NEEDS_RESET and a configuration interrupt (2.1.2); the device stops working. */
void virtio_fail(struct virtio *v, const char *what);
