/* SPDX-License-Identifier: MIT */
#include "unit/virtio/net_fixture.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/mem.h"

/* ---- The backend ---- */

static struct nf_net *nf_net_of(struct net *net)
{
    return container_of(net, struct nf_net, net);
}

static size_t nf_net_receive(struct net *net, unsigned queue, const struct iovec *iov,
                             unsigned count)
{
    struct nf_net *n = nf_net_of(net);
    struct nf_frame *frame = &n->waiting[n->waiting_next];

    (void)queue;
    if (n->waiting_next == n->waiting_count)
        return 0;
    n->waiting_next++;
    return net_iov_put(iov, count, 0, frame->data, frame->size);
}

static bool nf_net_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    struct nf_net *n = nf_net_of(net);
    struct nf_frame *frame = &n->sent[n->sent_count];

    if (n->busy)
        return false;
    if (n->sent_count == NF_FRAMES)
        return true;
    frame->size = net_iov_size(iov, count);
    frame->data = xcalloc(1, frame->size);
    net_iov_get(iov, count, 0, frame->data, frame->size);
    n->sent_queue[n->sent_count++] = queue;
    return true;
}

static void nf_net_flush(struct net *net)
{
    nf_net_of(net)->flushes++;
}

static void nf_net_listen(struct net *net, unsigned queue, bool on)
{
    nf_net_of(net)->listening[queue] = on;
}

static bool nf_net_set_header(struct net *net, unsigned size)
{
    nf_net_of(net)->header = size;
    return true;
}

static void nf_net_set_offloads(struct net *net, const struct net_offloads *offloads)
{
    nf_net_of(net)->offloads = *offloads;
}

static void nf_net_set_queues(struct net *net, unsigned count)
{
    nf_net_of(net)->queues_used = count;
}

static void nf_net_free(struct net *net)
{
    struct nf_net *n = nf_net_of(net);

    for (unsigned i = 0; i < n->sent_count; i++)
        free(n->sent[i].data);
    for (unsigned i = 0; i < n->waiting_count; i++)
        free(n->waiting[i].data);
    if (n->freed)
        *n->freed = true;
    free(n);
}

static const struct net_ops nf_net_ops = {
    .receive = nf_net_receive,
    .send = nf_net_send,
    .flush = nf_net_flush,
    .listen = nf_net_listen,
    .set_header = nf_net_set_header,
    .set_offloads = nf_net_set_offloads,
    .set_queues = nf_net_set_queues,
    .free = nf_net_free,
};

void nf_wait(struct nf *f, const void *frame, size_t size)
{
    struct nf_net *n = f->net;

    assert(n->waiting_count < NF_FRAMES);
    n->waiting[n->waiting_count].data = xcalloc(1, size);
    n->waiting[n->waiting_count].size = size;
    memcpy(n->waiting[n->waiting_count++].data, frame, size);
}

void nf_arrive(struct nf *f)
{
    f->net->net.frontend.readable(f->net->net.frontend.arg, 0);
    loop_poll(f->loop, 0);
}

/* ---- The machine ---- */

void nf_init(struct nf *f, unsigned queues, bool has_header)
{
    struct error err;
    bool ok;

    memset(f, 0, sizeof(*f));
    clock_init_manual(&f->clock, 0);
    f->loop = loop_new(&f->clock, &err);
    ok = ram_init(&f->ram, NF_RAM, &err);
    assert(f->loop && ok);
    (void)ok;
    ram_add_slot(&f->ram, 0, NF_RAM, 0);
    f->net = xcalloc(1, sizeof(*f->net));
    f->net->net = (struct net){ .ops = &nf_net_ops,
                                .queues = queues,
                                .link_up = true,
                                .has_header = has_header,
                                .has_ufo = has_header };
    f->config = (struct nic_config){
        .ram = &f->ram, .loop = f->loop, .mac = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 }, .mq = true
    };
}

void nf_make(struct nf *f, bool legacy)
{
    struct error err;

    f->v = nic_new(&f->config, &f->net->net, &err);
    assert(f->v);
    f->v->features_common |= VIRTIO_F_RING_PACKED;
    virtio_plug(f->v, fake_irq_line(&f->irq, 0), legacy);
    f->mmio = (struct virtio_mmio){ f->v, legacy };
}

void nf_fini(struct nf *f)
{
    if (f->v)
        f->v->dev.ops->free(&f->v->dev);
    else
        net_free(&f->net->net);
    loop_free(f->loop);
    ram_fini(&f->ram);
}

u32 nf_read(struct nf *f, unsigned offset, unsigned size)
{
    return (u32)virtio_mmio_ops.read(&f->mmio, offset, size);
}

void nf_write(struct nf *f, unsigned offset, u32 value)
{
    virtio_mmio_ops.write(&f->mmio, offset, 4, value);
}

u64 nf_offered(struct nf *f)
{
    u64 features;

    nf_write(f, 0x14, 1);
    features = (u64)nf_read(f, 0x10, 4) << 32;
    nf_write(f, 0x14, 0);
    return features | nf_read(f, 0x10, 4);
}

/* ---- Rings: the layout of the legacy interface, which suits the modern one, too ---- */

static u64 nf_desc(unsigned queue)
{
    return 0x10000 + queue * 0x4000ull;
}

static u64 nf_avail(unsigned queue)
{
    return nf_desc(queue) + 16 * NF_RING_SIZE;
}

static u64 nf_used_ring(unsigned queue)
{
    return nf_desc(queue) + 0x1000;
}

static void nf_start_queue(struct nf *f, unsigned queue)
{
    nf_write(f, 0x30, queue);
    nf_write(f, 0x38, NF_RING_SIZE);
    if (f->mmio.legacy) {
        nf_write(f, 0x3C, 4096);
        nf_write(f, 0x40, (u32)(nf_desc(queue) / 4096));
        return;
    }
    nf_write(f, 0x80, (u32)nf_desc(queue));
    nf_write(f, 0x90, (u32)nf_avail(queue));
    nf_write(f, 0xA0, (u32)nf_used_ring(queue));
    nf_write(f, 0x44, 1);
}

void nf_start(struct nf *f, u64 features)
{
    features = (features | VIRTIO_F_VERSION_1) & nf_offered(f);
    nf_write(f, 0x70, 0);
    memset(f->ram.host + nf_desc(0), 0, nf_desc(NF_QUEUES) - nf_desc(0));
    memset(f->next_desc, 0, sizeof(f->next_desc));
    memset(f->next_avail, 0, sizeof(f->next_avail));
    nf_write(f, 0x70, 3);
    nf_write(f, 0x28, 4096);
    for (unsigned word = 0; word < 2; word++) {
        nf_write(f, 0x24, word);
        nf_write(f, 0x20, (u32)(features >> 32 * word));
    }
    nf_write(f, 0x70, 0xB);
    for (unsigned i = 0; i < f->v->queue_count && i < NF_QUEUES; i++)
        nf_start_queue(f, i);
    nf_write(f, 0x70, 0xF);
}

struct iovec nf_part(u64 addr, size_t size)
{
    /* A guest address for once: only the driver's side looks at it. */
    return (struct iovec){ (void *)(uintptr_t)addr, size };
}

u16 nf_offer(struct nf *f, unsigned queue, const struct iovec *parts, unsigned count, unsigned out)
{
    u16 head = (u16)(f->next_desc[queue] % NF_RING_SIZE);
    u8 *avail = nf_at(f, nf_avail(queue));

    for (unsigned i = 0; i < count; i++) {
        unsigned n = f->next_desc[queue]++ % NF_RING_SIZE;
        u8 *desc = nf_at(f, nf_desc(queue) + 16 * n);

        store_le64(desc, (uintptr_t)parts[i].iov_base);
        store_le32(desc + 8, (u32)parts[i].iov_len);
        store_le16(desc + 12, (u16)((i + 1 < count ? 1 : 0) | (i >= out ? 2 : 0)));
        store_le16(desc + 14, (u16)((n + 1) % NF_RING_SIZE));
    }
    store_le16(avail + 4 + 2 * (f->next_avail[queue] % NF_RING_SIZE), head);
    store_le16(avail + 2, ++f->next_avail[queue]);
    return head;
}

void nf_post_buffers(struct nf *f, unsigned queue, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct iovec part = nf_part(NF_DATA + i * NF_BUFFER, NF_BUFFER);

        nf_offer(f, queue, &part, 1, 0);
    }
    nf_kick(f, queue);
}

void nf_send(struct nf *f, unsigned queue, const void *header, unsigned header_size,
             const void *frame, size_t size)
{
    u64 at = NF_DATA + MIB(1) + (u64)f->next_desc[queue] * 4096;
    struct iovec part = nf_part(at, header_size + size);

    memcpy(nf_at(f, at), header, header_size);
    memcpy(nf_at(f, at + header_size), frame, size);
    nf_offer(f, queue, &part, 1, 1);
}

void nf_kick(struct nf *f, unsigned queue)
{
    nf_write(f, 0x50, queue);
    loop_poll(f->loop, 0);
}

unsigned nf_used(struct nf *f, unsigned queue)
{
    return load_le16(nf_at(f, nf_used_ring(queue) + 2));
}

u32 nf_used_id(struct nf *f, unsigned queue, unsigned n)
{
    return load_le32(nf_at(f, nf_used_ring(queue) + 4 + 8 * (n % NF_RING_SIZE)));
}

u32 nf_used_size(struct nf *f, unsigned queue, unsigned n)
{
    return load_le32(nf_at(f, nf_used_ring(queue) + 8 + 8 * (n % NF_RING_SIZE)));
}

u8 *nf_at(struct nf *f, u64 addr)
{
    return f->ram.host + addr;
}

u8 nf_control(struct nf *f, u8 class, u8 command, const void *data, size_t size)
{
    unsigned queue = f->v->queue_count - 1;
    u64 at = NF_DATA + MIB(2);
    const struct iovec parts[] = { nf_part(at, 2), nf_part(at + 16, size), nf_part(at + 8, 1) };
    u8 *ack = nf_at(f, at + 8);

    nf_at(f, at)[0] = class;
    nf_at(f, at)[1] = command;
    memcpy(nf_at(f, at + 16), data, size);
    *ack = 0xEE;
    if (size)
        nf_offer(f, queue, parts, 3, 2);
    else
        nf_offer(f, queue, (struct iovec[]){ parts[0], parts[2] }, 2, 1);
    nf_kick(f, queue);
    return *ack;
}
