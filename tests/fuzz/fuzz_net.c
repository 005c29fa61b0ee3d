/* SPDX-License-Identifier: MIT */
/* The fuzzer's network card: frames of all sizes come, sends are refused at times, links go up and down. */
#include "base/bits.h"
#include "fuzz/fuzz_virtio.h"
#include "host/net.h"
#include "virtio/net.h"

static size_t fuzz_net_receive(struct net *net, unsigned queue, const struct iovec *iov,
                               unsigned count)
{
    static const u16 sizes[] = { 0, 0, 60, 1500, 9000, 65000 };
    static u8 frame[NET_FRAME_MAX];
    struct fuzz *f = container_of(net, struct fuzz, net);
    size_t size = sizes[fuzz_byte(f) % ARRAY_SIZE(sizes)];

    (void)queue;
    return size ? net_iov_put(iov, count, 0, frame, size + f->net_header) : 0;
}

static bool fuzz_net_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    static u8 frame[NET_FRAME_MAX];
    struct fuzz *f = container_of(net, struct fuzz, net);

    (void)queue;
    net_iov_get(iov, count, 0, frame, sizeof(frame));
    return fuzz_byte(f) != 1;
}

static void fuzz_net_listen(struct net *net, unsigned queue, bool on)
{
    (void)net;
    (void)queue;
    (void)on;
}

static bool fuzz_net_set_header(struct net *net, unsigned size)
{
    container_of(net, struct fuzz, net)->net_header = size;
    return true;
}

static void fuzz_net_free(struct net *net)
{
    (void)net;
}

static const struct net_ops fuzz_net_ops = {
    .receive = fuzz_net_receive,
    .send = fuzz_net_send,
    .listen = fuzz_net_listen,
    .set_header = fuzz_net_set_header,
    .free = fuzz_net_free,
};

struct virtio *fuzz_make_net(struct fuzz *f, unsigned variant)
{
    struct nic_config config = { .ram = &f->d.ram,
                                 .loop = f->d.loop,
                                 .mq = true,
                                 .rx_size = 64,
                                 .tx_size = 64,
                                 .features_off = variant & 4 ? BIT(NIC_MRG_RXBUF) : 0 };
    struct error err;

    f->net = (struct net){ .ops = &fuzz_net_ops,
                           .queues = 1 + (variant >> 4 & 1),
                           .link_up = true,
                           .prompt = variant & 8,
                           .has_header = variant & 1,
                           .has_ufo = variant & 2 };
    return nic_new(&config, &f->net, &err);
}

/* Events of the backend. */
void fuzz_settle_net(struct fuzz *f)
{
    struct net_frontend *card = &f->net.frontend;
    u8 event = fuzz_byte(f);

    switch (event % 4) {
    case 0: card->link(card->arg, event & 4); break;
    case 1: card->writable(card->arg, event >> 2 & 1); break;
    default: card->readable(card->arg, event >> 2 & 1); break;
    }
}

const struct fuzz_message fuzz_net_messages[FUZZ_NET_MESSAGES] = {
    MESSAGE("", 0, 2048),
    MESSAGE("", 0, 1526),
    MESSAGE("", 0, 60),
    MESSAGE("\1\1\66\0\0\5\42\0\20\0\0\0\377\377\377\377\377\377", 100, 0),
    MESSAGE("", 1526, 0),
    MESSAGE("", 8192, 0),
    MESSAGE("\0\0", 3, 1),
    MESSAGE("\0\1\1", 3, 1),
    MESSAGE("\1\0\1\0\0\0\122\124\0\22\64\126\1\0\0\0\1\0\136\0\0\1", 22, 1),
    MESSAGE("\1\1\122\124\0\22\64\126", 8, 1),
    MESSAGE("\2\0\52", 4, 1),
    MESSAGE("\3\0", 2, 1),
    MESSAGE("\4\0\2", 4, 1),
    MESSAGE("\5\0\202", 10, 1),
};
