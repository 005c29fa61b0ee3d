/* SPDX-License-Identifier: MIT */
/* The device side of virtio, transport aside. virtio 1.2, chapters 2 and 3. */
#include "virtio/virtio.h"

#include <assert.h>

#include "base/log.h"

#define VIRTIO_STATUS_WRITABLE \
    (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK | \
     VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED)

u64 virtio_features(const struct virtio *v)
{
    u64 features = v->ops->features | v->features_common;

    if (v->legacy)
        return (features | v->ops->features_legacy | VIRTIO_F_NOTIFY_ON_EMPTY |
                VIRTIO_F_ANY_LAYOUT) &
               UINT32_MAX;
    return features | VIRTIO_F_VERSION_1;
}

bool virtio_is_live(const struct virtio *v)
{
    return !v->broken && (v->legacy || (v->state.status & VIRTIO_STATUS_DRIVER_OK));
}

/* ---- Interrupts ---- */

void virtio_interrupt(struct virtio *v, u8 isr)
{
    v->state.isr |= isr;
    irq_set(&v->irq, v->state.isr);
}

void virtio_ack(struct virtio *v, u8 isr)
{
    v->state.isr &= (u8)~isr;
    irq_set(&v->irq, v->state.isr);
}

void virtio_config_changed(struct virtio *v)
{
    v->state.config_generation++;
    if (v->state.status & VIRTIO_STATUS_DRIVER_OK)
        virtio_interrupt(v, VIRTIO_ISR_CONFIG);
}

void virtio_fail(struct virtio *v, const char *what)
{
    if (v->broken)
        return;
    guest_error("%s: %s; the device waits for a reset", v->dev.name, what);
    v->broken = true;
    if (v->legacy)
        return;
    v->state.status |= VIRTIO_STATUS_NEEDS_RESET;
    if (v->state.status & VIRTIO_STATUS_DRIVER_OK)
        virtio_interrupt(v, VIRTIO_ISR_CONFIG);
}

/* ---- Doorbells ---- */

void virtio_ring(struct virtio *v, unsigned index)
{
    if (index < v->queue_count && !atomic_fetch_or(&v->doorbells, BIT64(index)))
        timer_arm(&v->bell, 0);
}

/* Bells before DRIVER_OK are kept until then. */
static void virtio_answer(void *arg)
{
    struct virtio *v = arg;
    u64 bells;

    if (!virtio_is_live(v))
        return;
    bells = atomic_exchange(&v->doorbells, 0);
    for (unsigned i = 0; bells; i++, bells >>= 1)
        if ((bells & 1) && v->queues[i].state.ready && !v->broken)
            v->ops->notify(v, i);
}

/* ---- Features and status ---- */

void virtio_set_features(struct virtio *v, unsigned word, u32 bits)
{
    u64 *latched = &v->state.driver_features_latched;

    if (word > 1 || (v->state.status & (VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK))) {
        guest_error("%s: features after they were agreed", v->dev.name);
        return;
    }
    *latched = (*latched & ~((u64)UINT32_MAX << 32 * word)) | (u64)bits << 32 * word;
    if (v->legacy)
        v->state.driver_features = *latched & virtio_features(v);
}

/* FEATURES_OK stands only for features that were offered, VERSION_1 among them (2.2.2, 6.2). */
static bool virtio_agree(struct virtio *v)
{
    u64 features = v->state.driver_features_latched;

    if ((features & ~virtio_features(v)) || !(features & VIRTIO_F_VERSION_1)) {
        guest_error("%s: features 0x%llx cannot be agreed on", v->dev.name,
                    (unsigned long long)features);
        return false;
    }
    v->state.driver_features = features;
    if (v->ops->features_set)
        v->ops->features_set(v);
    return true;
}

static void virtio_go_live(struct virtio *v)
{
    if (v->legacy && v->ops->features_set)
        v->ops->features_set(v);
    if (v->ops->driver_ok)
        v->ops->driver_ok(v);
    if (atomic_load(&v->doorbells))
        timer_arm(&v->bell, 0);
}

void virtio_set_status(struct virtio *v, u8 status)
{
    u8 added = status & (u8)~v->state.status & VIRTIO_STATUS_WRITABLE;

    if (!status) {
        virtio_reset(v);
        return;
    }
    if (!v->legacy && (added & VIRTIO_STATUS_FEATURES_OK) && !virtio_agree(v))
        added &= (u8)~VIRTIO_STATUS_FEATURES_OK;
    if (!v->legacy && (added & VIRTIO_STATUS_DRIVER_OK) &&
        !((v->state.status | added) & VIRTIO_STATUS_FEATURES_OK)) {
        guest_error("%s: DRIVER_OK without FEATURES_OK", v->dev.name);
        added &= (u8)~VIRTIO_STATUS_DRIVER_OK;
    }
    v->state.status |= added;
    if (added & VIRTIO_STATUS_DRIVER_OK)
        virtio_go_live(v);
}

void virtio_reset(struct virtio *v)
{
    struct virtio_state *s = &v->state;

    if (v->ops->reset)
        v->ops->reset(v);
    for (unsigned i = 0; i < v->queue_count; i++)
        virtq_reset(&v->queues[i]);
    timer_cancel(&v->bell);
    atomic_store(&v->doorbells, 0);
    v->broken = false;
    /* The selectors stay, as in QEMU. */
    s->status = 0;
    s->isr = 0;
    s->driver_features = 0;
    s->driver_features_latched = 0;
    irq_set(&v->irq, false);
}

/* At power-on the selectors are 0, too. */
void virtio_device_reset(struct device *dev)
{
    struct virtio *v = container_of(dev, struct virtio, dev);

    virtio_reset(v);
    v->state = (struct virtio_state){ .config_generation = v->state.config_generation };
}

/* ---- Set-up ---- */

void virtio_init(struct virtio *v, const char *name, const struct device_ops *device_ops,
                 const struct virtio_ops *ops, struct ram *ram, struct loop *loop)
{
    device_init(&v->dev, name, device_ops);
    v->ops = ops;
    v->ram = ram;
    v->loop = loop;
    v->features_common = VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
    timer_init(&v->bell, loop, &v->dev.lock, virtio_answer, v);
}

void virtio_add_queues(struct virtio *v, unsigned count, u16 size)
{
    assert(v->queue_count + count <= VIRTIO_QUEUES_MAX);
    while (count--) {
        virtq_init(&v->queues[v->queue_count], v, v->queue_count, size);
        v->queue_count++;
    }
}

void virtio_plug(struct virtio *v, struct irq irq, bool legacy)
{
    v->irq = irq;
    v->legacy = legacy;
}

void virtio_fini(struct virtio *v)
{
    timer_cancel(&v->bell);
    pthread_mutex_destroy(&v->dev.lock);
}
