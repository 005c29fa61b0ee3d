/* SPDX-License-Identifier: MIT */
/* Network backends: what they have in common. */
#include "host/net.h"

#include <string.h>

#include "base/bits.h"
#include "host/net_kinds.h"

void net_free(struct net *net)
{
    if (net)
        net->ops->free(net);
}

/* ---- The card's calls ---- */

void net_attach(struct net *net, const struct net_frontend *frontend)
{
    net->frontend = *frontend;
}

void net_listen(struct net *net, unsigned queue, bool on)
{
    net->ops->listen(net, queue, on);
}

bool net_set_header(struct net *net, unsigned size)
{
    return net->ops->set_header ? net->ops->set_header(net, size) : size == 0;
}

void net_set_offloads(struct net *net, const struct net_offloads *offloads)
{
    if (net->ops->set_offloads)
        net->ops->set_offloads(net, offloads);
}

void net_set_queues(struct net *net, unsigned count)
{
    if (net->ops->set_queues)
        net->ops->set_queues(net, count);
}

size_t net_receive(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    return net->ops->receive(net, queue, iov, count);
}

bool net_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    return net->ops->send(net, queue, iov, count);
}

void net_flush(struct net *net)
{
    if (net->ops->flush)
        net->ops->flush(net);
}

/* ---- The backends' calls ---- */

void net_readable(struct net *net, unsigned queue)
{
    if (net->frontend.readable)
        net->frontend.readable(net->frontend.arg, queue);
}

void net_writable(struct net *net, unsigned queue)
{
    if (net->frontend.writable)
        net->frontend.writable(net->frontend.arg, queue);
}

void net_link(struct net *net, bool up)
{
    if (net->link_up == up)
        return;
    net->link_up = up;
    if (net->frontend.link)
        net->frontend.link(net->frontend.arg, up);
}

/* ---- Buffers ---- */

static size_t net_iov_copy(const struct iovec *iov, unsigned count, size_t offset, u8 *data,
                           size_t size, bool put)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < size; i++) {
        size_t n = iov[i].iov_len;

        if (offset >= n) {
            offset -= n;
            continue;
        }
        n = MIN(n - offset, size - done);
        if (put)
            memcpy((u8 *)iov[i].iov_base + offset, data + done, n);
        else
            memcpy(data + done, (u8 *)iov[i].iov_base + offset, n);
        done += n;
        offset = 0;
    }
    return done;
}

size_t net_iov_get(const struct iovec *iov, unsigned count, size_t offset, void *data, size_t size)
{
    return net_iov_copy(iov, count, offset, data, size, false);
}

size_t net_iov_put(const struct iovec *iov, unsigned count, size_t offset, const void *data,
                   size_t size)
{
    /* Only read from. */
    return net_iov_copy(iov, count, offset, (u8 *)(uintptr_t)data, size, true);
}

size_t net_iov_size(const struct iovec *iov, unsigned count)
{
    size_t size = 0;

    for (unsigned i = 0; i < count; i++)
        size += iov[i].iov_len;
    return size;
}
