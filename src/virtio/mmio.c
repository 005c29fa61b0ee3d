/* SPDX-License-Identifier: MIT */
/* The virtio MMIO register window. virtio 1.2, 4.2.2 (version 2) and 4.2.4 (version 1, legacy). */
#include "virtio/mmio.h"

#include <pthread.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "virtio/virtio.h"

#define VIRTIO_MMIO_MAGIC_VALUE 0x74726976u
#define VIRTIO_MMIO_VENDOR      0x554D4551u /* what Linux and others expect of this machine */

enum {
    VIRTIO_MMIO_MAGIC = 0x000,
    VIRTIO_MMIO_VERSION = 0x004,
    VIRTIO_MMIO_DEVICE_ID = 0x008,
    VIRTIO_MMIO_VENDOR_ID = 0x00C,
    VIRTIO_MMIO_DEVICE_FEATURES = 0x010,
    VIRTIO_MMIO_DEVICE_FEATURES_SEL = 0x014,
    VIRTIO_MMIO_DRIVER_FEATURES = 0x020,
    VIRTIO_MMIO_DRIVER_FEATURES_SEL = 0x024,
    VIRTIO_MMIO_GUEST_PAGE_SIZE = 0x028, /* legacy */
    VIRTIO_MMIO_QUEUE_SEL = 0x030,
    VIRTIO_MMIO_QUEUE_NUM_MAX = 0x034,
    VIRTIO_MMIO_QUEUE_NUM = 0x038,
    VIRTIO_MMIO_QUEUE_ALIGN = 0x03C, /* legacy */
    VIRTIO_MMIO_QUEUE_PFN = 0x040,   /* legacy */
    VIRTIO_MMIO_QUEUE_READY = 0x044,
    VIRTIO_MMIO_QUEUE_NOTIFY = VIRTIO_MMIO_NOTIFY_OFFSET,
    VIRTIO_MMIO_INTERRUPT_STATUS = 0x060,
    VIRTIO_MMIO_INTERRUPT_ACK = 0x064,
    VIRTIO_MMIO_STATUS = 0x070,
    VIRTIO_MMIO_QUEUE_DESC_LOW = 0x080,
    VIRTIO_MMIO_QUEUE_DESC_HIGH = 0x084,
    VIRTIO_MMIO_QUEUE_DRIVER_LOW = 0x090,
    VIRTIO_MMIO_QUEUE_DRIVER_HIGH = 0x094,
    VIRTIO_MMIO_QUEUE_DEVICE_LOW = 0x0A0,
    VIRTIO_MMIO_QUEUE_DEVICE_HIGH = 0x0A4,
    VIRTIO_MMIO_SHM_LEN_LOW = 0x0B0,
    VIRTIO_MMIO_SHM_LEN_HIGH = 0x0B4,
    VIRTIO_MMIO_SHM_BASE_LOW = 0x0B8,
    VIRTIO_MMIO_SHM_BASE_HIGH = 0x0BC,
    VIRTIO_MMIO_CONFIG_GENERATION = 0x0FC,
    VIRTIO_MMIO_CONFIG = 0x100,
};

/* The selected queue, or NULL. */
static struct virtq *virtio_mmio_queue(struct virtio *v)
{
    u32 n = v->state.queue_sel;

    return n < v->queue_count ? &v->queues[n] : NULL;
}

/* ---- Configuration space ---- */

static u32 virtio_mmio_read_config(struct virtio *v, unsigned offset, unsigned size)
{
    u8 data[4] = { 0xFF, 0xFF, 0xFF, 0xFF };

    if (size <= v->config_size && offset <= v->config_size - size)
        v->ops->config_read(v, offset, data, size);
    return load_le32(data) & (u32)(UINT64_MAX >> (64 - 8 * size));
}

static void virtio_mmio_write_config(struct virtio *v, unsigned offset, unsigned size, u32 value)
{
    u8 data[4];

    store_le32(data, value);
    if (v->ops->config_write && size <= v->config_size && offset <= v->config_size - size)
        v->ops->config_write(v, offset, data, size);
}

/* ---- Register reads ---- */

static u32 virtio_mmio_read_features(const struct virtio *v)
{
    u32 word = v->state.features_sel;

    if (word > 1)
        return 0;
    return (u32)(virtio_features(v) >> 32 * word);
}

static u32 virtio_mmio_read_register(struct virtio *v, unsigned offset)
{
    const struct virtq *q = virtio_mmio_queue(v);

    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES: return virtio_mmio_read_features(v);
    case VIRTIO_MMIO_QUEUE_NUM_MAX: return q ? VIRTQ_SIZE_MAX : 0;
    case VIRTIO_MMIO_QUEUE_PFN: return q && v->legacy ? q->state.pfn : 0;
    case VIRTIO_MMIO_QUEUE_READY: return q && !v->legacy && q->state.ready;
    case VIRTIO_MMIO_INTERRUPT_STATUS: return v->state.isr;
    case VIRTIO_MMIO_STATUS: return v->state.status;
    case VIRTIO_MMIO_SHM_LEN_LOW:
    case VIRTIO_MMIO_SHM_LEN_HIGH:
    case VIRTIO_MMIO_SHM_BASE_LOW:
    case VIRTIO_MMIO_SHM_BASE_HIGH: return UINT32_MAX; /* there is none */
    case VIRTIO_MMIO_CONFIG_GENERATION: return v->legacy ? 0 : v->state.config_generation;
    default: return 0;
    }
}

/* What an empty slot shows, too. */
static u32 virtio_mmio_identity(const struct virtio_mmio *mmio, unsigned offset)
{
    switch (offset) {
    case VIRTIO_MMIO_MAGIC: return VIRTIO_MMIO_MAGIC_VALUE;
    case VIRTIO_MMIO_VERSION: return mmio->legacy ? 1 : 2;
    case VIRTIO_MMIO_DEVICE_ID: return mmio->device ? (u32)mmio->device->ops->id : 0;
    default: return VIRTIO_MMIO_VENDOR;
    }
}

static u64 virtio_mmio_read(void *opaque, u64 offset, unsigned size)
{
    const struct virtio_mmio *mmio = opaque;
    struct virtio *v = mmio->device;
    u32 value;

    if (offset <= VIRTIO_MMIO_VENDOR_ID)
        return size == 4 ? virtio_mmio_identity(mmio, (unsigned)offset) : 0;
    if (!v || (offset < VIRTIO_MMIO_CONFIG && size != 4))
        return 0;
    pthread_mutex_lock(&v->dev.lock);
    if (offset < VIRTIO_MMIO_CONFIG)
        value = virtio_mmio_read_register(v, (unsigned)offset);
    else
        value = virtio_mmio_read_config(v, (unsigned)offset - VIRTIO_MMIO_CONFIG, size);
    pthread_mutex_unlock(&v->dev.lock);
    return value;
}

/* ---- Register writes ---- */

static void virtio_mmio_write_num(struct virtio *v, struct virtq *q, u32 value)
{
    if (!value || value > VIRTQ_SIZE_MAX || q->state.ready) {
        guest_error("%s: queue %u cannot have %u entries now", v->dev.name, q->index, value);
        return;
    }
    q->state.size = (u16)value;
}

static void virtio_mmio_write_ready(struct virtio *v, struct virtq *q, u32 value)
{
    if (!(value & 1))
        q->state.ready = false;
    else if (!(v->state.status & VIRTIO_STATUS_FEATURES_OK))
        guest_error("%s: queue %u before FEATURES_OK", v->dev.name, q->index);
    else if (!q->state.ready && !v->broken)
        virtq_start(q);
}

static void virtio_mmio_write_pfn(struct virtio *v, struct virtq *q, u32 value)
{
    if (!value) {
        virtio_reset(v);
        return;
    }
    q->state.pfn = value;
    q->state.ready = false;
    if (!v->broken)
        virtq_start(q);
}

static void virtio_mmio_write_half(gpa *addr, bool high, u32 value)
{
    *addr = high ? (*addr & UINT32_MAX) | (u64)value << 32 : (*addr & ~(u64)UINT32_MAX) | value;
}

/* The addresses of a queue that runs stay (4.2.2.2). */
static void virtio_mmio_write_address(struct virtio *v, struct virtq *q, unsigned offset, u32 value)
{
    if (q->state.ready) {
        guest_error("%s: queue %u moved while it runs", v->dev.name, q->index);
        return;
    }
    switch (offset & ~7u) {
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
        virtio_mmio_write_half(&q->state.desc, offset & 4, value);
        break;
    case VIRTIO_MMIO_QUEUE_DRIVER_LOW:
        virtio_mmio_write_half(&q->state.avail, offset & 4, value);
        break;
    default: virtio_mmio_write_half(&q->state.used, offset & 4, value); break;
    }
}

static bool virtio_mmio_is_power_of_2(u32 value)
{
    return value && !(value & (value - 1));
}

static void virtio_mmio_write_legacy(struct virtio *v, unsigned offset, u32 value)
{
    struct virtq *q = virtio_mmio_queue(v);

    if (offset == VIRTIO_MMIO_QUEUE_PFN) {
        if (q)
            virtio_mmio_write_pfn(v, q, value);
    } else if (!virtio_mmio_is_power_of_2(value)) {
        guest_error("%s: a page size or alignment of 0x%x", v->dev.name, value);
    } else if (offset == VIRTIO_MMIO_GUEST_PAGE_SIZE) {
        v->state.guest_page_size = value;
    } else if (q && !q->state.ready) {
        q->state.align = value;
    }
}

static void virtio_mmio_write_modern(struct virtio *v, unsigned offset, u32 value)
{
    struct virtq *q = virtio_mmio_queue(v);

    if (q && offset == VIRTIO_MMIO_QUEUE_READY)
        virtio_mmio_write_ready(v, q, value);
    else if (q)
        virtio_mmio_write_address(v, q, offset, value);
}

static void virtio_mmio_write_register(struct virtio *v, unsigned offset, u32 value)
{
    struct virtio_state *s = &v->state;
    struct virtq *q = virtio_mmio_queue(v);

    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL: s->features_sel = value; break;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL: s->driver_features_sel = value; break;
    case VIRTIO_MMIO_DRIVER_FEATURES: virtio_set_features(v, s->driver_features_sel, value); break;
    case VIRTIO_MMIO_QUEUE_SEL: s->queue_sel = value; break;
    case VIRTIO_MMIO_QUEUE_NUM:
        if (q)
            virtio_mmio_write_num(v, q, value);
        break;
    case VIRTIO_MMIO_INTERRUPT_ACK: virtio_ack(v, (u8)value); break;
    case VIRTIO_MMIO_STATUS: virtio_set_status(v, (u8)value); break;
    case VIRTIO_MMIO_GUEST_PAGE_SIZE:
    case VIRTIO_MMIO_QUEUE_ALIGN:
    case VIRTIO_MMIO_QUEUE_PFN:
        if (v->legacy)
            virtio_mmio_write_legacy(v, offset, value);
        break;
    case VIRTIO_MMIO_QUEUE_READY:
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
    case VIRTIO_MMIO_QUEUE_DRIVER_LOW:
    case VIRTIO_MMIO_QUEUE_DRIVER_HIGH:
    case VIRTIO_MMIO_QUEUE_DEVICE_LOW:
    case VIRTIO_MMIO_QUEUE_DEVICE_HIGH:
        if (!v->legacy)
            virtio_mmio_write_modern(v, offset, value);
        break;
    default: break;
    }
}

static void virtio_mmio_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    const struct virtio_mmio *mmio = opaque;
    struct virtio *v = mmio->device;

    if (!v || (offset < VIRTIO_MMIO_CONFIG && size != 4))
        return;
    if (offset == VIRTIO_MMIO_QUEUE_NOTIFY) {
        virtio_ring(v, (u32)value);
        return;
    }
    pthread_mutex_lock(&v->dev.lock);
    if (offset < VIRTIO_MMIO_CONFIG)
        virtio_mmio_write_register(v, (unsigned)offset, (u32)value);
    else
        virtio_mmio_write_config(v, (unsigned)offset - VIRTIO_MMIO_CONFIG, size, (u32)value);
    pthread_mutex_unlock(&v->dev.lock);
}

const struct region_ops virtio_mmio_ops = {
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
    .sizes = BUS_SIZE_1 | BUS_SIZE_2 | BUS_SIZE_4,
    .split = true,
};
