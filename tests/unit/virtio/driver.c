/* SPDX-License-Identifier: MIT */
#include "unit/virtio/driver.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"

#define DRIVER_QUEUE_AREA 0x4000u
#define DRIVER_PAGE       4096u
#define DRIVER_POLLS      300 /* of 100 ms each */

void driver_init(struct driver *d)
{
    struct error err;
    bool ok;

    memset(d, 0, sizeof(*d));
    clock_init_manual(&d->clock, 0);
    d->loop = loop_new(&d->clock, &err);
    ok = d->loop && ram_init(&d->ram, DRIVER_RAM_SIZE, &err);
    assert(ok);
    (void)ok;
    ram_add_slot(&d->ram, 0, DRIVER_RAM_SIZE, 0);
}

void driver_plug(struct driver *d, struct virtio *v, bool legacy)
{
    d->v = v;
    virtio_plug(v, fake_irq_line(&d->irq, 0), legacy);
    d->mmio = (struct virtio_mmio){ v, legacy };
}

void driver_fini(struct driver *d)
{
    if (d->v)
        d->v->dev.ops->free(&d->v->dev);
    loop_free(d->loop);
    ram_fini(&d->ram);
}

u32 driver_read(struct driver *d, unsigned offset)
{
    return (u32)virtio_mmio_ops.read(&d->mmio, offset, 4);
}

void driver_write(struct driver *d, unsigned offset, u32 value)
{
    virtio_mmio_ops.write(&d->mmio, offset, 4, value);
}

void driver_reset(struct driver *d)
{
    driver_write(d, 0x70, 0);
}

static void driver_start_queue(struct driver *d, unsigned n)
{
    struct driver_queue *q = &d->queues[n];

    q->desc = (n + 1) * DRIVER_QUEUE_AREA;
    q->avail = q->desc + 16 * DRIVER_QUEUE_SIZE;
    q->used = align_up(q->avail + 6 + 2 * DRIVER_QUEUE_SIZE, DRIVER_PAGE);
    q->next_desc = q->next_avail = q->next_used = 0;
    memset(driver_ptr(d, q->desc), 0, DRIVER_QUEUE_AREA);
    driver_write(d, 0x30, n);
    driver_write(d, 0x38, DRIVER_QUEUE_SIZE);
    if (d->mmio.legacy) {
        driver_write(d, 0x3C, DRIVER_PAGE);
        driver_write(d, 0x40, (u32)(q->desc / DRIVER_PAGE));
        return;
    }
    driver_write(d, 0x80, (u32)q->desc);
    driver_write(d, 0x90, (u32)q->avail);
    driver_write(d, 0xA0, (u32)q->used);
    driver_write(d, 0x44, 1);
}

void driver_start(struct driver *d, u64 features, unsigned queues)
{
    if (!d->mmio.legacy)
        features |= VIRTIO_F_VERSION_1;
    else
        driver_write(d, 0x28, DRIVER_PAGE);
    driver_write(d, 0x70, 3);
    for (unsigned word = 0; word < (d->mmio.legacy ? 1 : 2); word++) {
        driver_write(d, 0x24, word);
        driver_write(d, 0x20, (u32)(features >> 32 * word));
    }
    driver_write(d, 0x70, 0xB);
    for (unsigned i = 0; i < queues; i++)
        driver_start_queue(d, i);
    driver_write(d, 0x70, 0xF);
}

u16 driver_offer(struct driver *d, unsigned n, const struct driver_part *parts, unsigned count)
{
    struct driver_queue *q = &d->queues[n];
    u16 head = q->next_desc;
    u8 *avail = driver_ptr(d, q->avail);

    assert(count && count <= DRIVER_QUEUE_SIZE);
    for (unsigned i = 0; i < count; i++) {
        u16 at = q->next_desc, next = (u16)((at + 1u) % DRIVER_QUEUE_SIZE);
        u8 *p = driver_ptr(d, q->desc + 16 * at);

        store_le64(p, parts[i].addr);
        store_le32(p + 8, parts[i].size);
        store_le16(p + 12, (u16)(parts[i].flags | (i + 1 < count)));
        store_le16(p + 14, next);
        q->next_desc = next;
    }
    store_le16(avail + 4 + 2 * (q->next_avail % DRIVER_QUEUE_SIZE), head);
    __atomic_store_n((u16 *)(void *)(avail + 2), ++q->next_avail, __ATOMIC_RELEASE);
    return head;
}

void driver_run(struct driver *d)
{
    loop_poll(d->loop, 0);
}

void driver_kick(struct driver *d, unsigned q)
{
    driver_write(d, 0x50, q);
    driver_run(d);
}

bool driver_take(struct driver *d, unsigned n, u16 *head, u32 *written)
{
    struct driver_queue *q = &d->queues[n];
    const u8 *used = driver_ptr(d, q->used);
    const u8 *entry = used + 4 + 8 * (q->next_used % DRIVER_QUEUE_SIZE);

    /* Devices answer on other threads, too. */
    if (__atomic_load_n((const u16 *)(const void *)(used + 2), __ATOMIC_ACQUIRE) == q->next_used)
        return false;
    q->next_used++;
    if (head)
        *head = (u16)load_le32(entry);
    if (written)
        *written = load_le32(entry + 4);
    return true;
}

bool driver_wait(struct driver *d, unsigned n, u16 *head, u32 *written)
{
    for (unsigned i = 0; i < DRIVER_POLLS; i++) {
        if (driver_take(d, n, head, written))
            return true;
        loop_poll(d->loop, 100);
    }
    return false;
}

void *driver_ptr(struct driver *d, gpa addr)
{
    return d->ram.host + addr;
}
