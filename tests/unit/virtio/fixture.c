/* SPDX-License-Identifier: MIT */
#include "unit/virtio/fixture.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"

static void fixture_notify(struct virtio *v, unsigned index)
{
    struct fixture *f = container_of(v, struct fixture, v);

    (void)index;
    f->notified++;
}

static void fixture_config_read(struct virtio *v, unsigned offset, void *data, unsigned size)
{
    memcpy(data, container_of(v, struct fixture, v)->config + offset, size);
}

static void fixture_config_write(struct virtio *v, unsigned offset, const void *data, unsigned size)
{
    memcpy(container_of(v, struct fixture, v)->config + offset, data, size);
}

static void fixture_reset(struct virtio *v)
{
    container_of(v, struct fixture, v)->resets++;
}

static const struct virtio_ops fixture_ops = {
    .id = VIRTIO_ID_BLOCK,
    .features = BIT64(3),
    .notify = fixture_notify,
    .config_read = fixture_config_read,
    .config_write = fixture_config_write,
    .reset = fixture_reset,
};

static const struct device_ops fixture_device_ops = { .reset = virtio_device_reset };

void fixture_init(struct fixture *f, bool legacy)
{
    struct error err;
    bool ok;

    memset(f, 0, sizeof(*f));
    clock_init_manual(&f->clock, 0);
    fake_loop_init(&f->loop, &f->clock);
    ok = ram_init(&f->ram, MIB(1), &err);
    assert(ok);
    (void)ok;
    ram_add_slot(&f->ram, 0, MIB(1), 0);
    virtio_init(&f->v, "virtio-test", &fixture_device_ops, &fixture_ops, &f->ram, &f->loop);
    f->v.config_size = sizeof(f->config);
    f->v.features_common |= VIRTIO_F_RING_PACKED;
    virtio_add_queues(&f->v, 2, 128);
    virtio_plug(&f->v, fake_irq_line(&f->irq, 0), legacy);
    f->mmio = (struct virtio_mmio){ &f->v, legacy };
    f->chain.iov = f->iov;
}

void fixture_fini(struct fixture *f)
{
    virtio_fini(&f->v);
    ram_fini(&f->ram);
}

u32 fixture_read(struct fixture *f, unsigned offset)
{
    return (u32)virtio_mmio_ops.read(&f->mmio, offset, 4);
}

void fixture_write(struct fixture *f, unsigned offset, u32 value)
{
    virtio_mmio_ops.write(&f->mmio, offset, 4, value);
}

void fixture_start(struct fixture *f, u64 features)
{
    features |= VIRTIO_F_VERSION_1;
    fixture_write(f, 0x70, 3);
    for (unsigned word = 0; word < 2; word++) {
        fixture_write(f, 0x24, word);
        fixture_write(f, 0x20, (u32)(features >> 32 * word));
    }
    fixture_write(f, 0x70, 0xB);
    fixture_write(f, 0x30, 0);
    fixture_write(f, 0x38, RING_SIZE);
    fixture_write(f, 0x80, RING_DESC);
    fixture_write(f, 0x90, RING_AVAIL);
    fixture_write(f, 0xA0, RING_USED);
    fixture_write(f, 0x44, 1);
    fixture_write(f, 0x70, 0xF);
}

void ring_desc(struct fixture *f, unsigned n, u64 addr, u32 size, u16 flags, u16 next)
{
    u8 *p = f->ram.host + RING_DESC + 16 * n;

    store_le64(p, addr);
    store_le32(p + 8, size);
    store_le16(p + 12, flags);
    store_le16(p + 14, next);
}

void ring_packed(struct fixture *f, unsigned n, u64 addr, u32 size, u16 id, u16 flags)
{
    ring_desc(f, n, addr, size, id, flags);
}

u16 ring_load(struct fixture *f, u64 addr)
{
    return load_le16(f->ram.host + addr);
}

void ring_store(struct fixture *f, u64 addr, u16 value)
{
    store_le16(f->ram.host + addr, value);
}

void ring_offer(struct fixture *f, u16 head)
{
    u16 index = ring_load(f, RING_AVAIL + 2);

    ring_store(f, RING_AVAIL + 4 + 2 * (index % RING_SIZE), head);
    ring_store(f, RING_AVAIL + 2, (u16)(index + 1));
}
