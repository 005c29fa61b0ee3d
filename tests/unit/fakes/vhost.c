/* SPDX-License-Identifier: MIT */
#include "unit/fakes/vhost.h"

#include <assert.h>
#include <errno.h>
#include <linux/vhost.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

const unsigned long FAKE_VHOST_SET_OWNER = VHOST_SET_OWNER;
const unsigned long FAKE_VHOST_SET_MEM_TABLE = VHOST_SET_MEM_TABLE;
const unsigned long FAKE_VHOST_SET_GUEST_CID = VHOST_VSOCK_SET_GUEST_CID;
const unsigned long FAKE_VHOST_SET_RUNNING = VHOST_VSOCK_SET_RUNNING;

struct fake_vhost fake_vhost;

void fake_vhost_init(void)
{
    memset(&fake_vhost, 0, sizeof(fake_vhost));
}

static void fake_vhost_set_ring(unsigned long request, const void *arg)
{
    const struct vhost_vring_state *state = arg;
    const struct vhost_vring_file *file = arg;
    const struct vhost_vring_addr *addr = arg;

    assert(state->index < 2);
    if (request == VHOST_SET_VRING_NUM)
        fake_vhost.ring[state->index].size = state->num;
    if (request == VHOST_SET_VRING_BASE)
        fake_vhost.ring[state->index].base = state->num;
    if (request == VHOST_SET_VRING_KICK)
        fake_vhost.ring[file->index].kick = file->fd;
    if (request == VHOST_SET_VRING_CALL)
        fake_vhost.ring[file->index].call = file->fd;
    if (request != VHOST_SET_VRING_ADDR)
        return;
    fake_vhost.ring[addr->index].desc = addr->desc_user_addr;
    fake_vhost.ring[addr->index].avail = addr->avail_user_addr;
    fake_vhost.ring[addr->index].used = addr->used_user_addr;
    fake_vhost.ring[addr->index].flags = addr->flags;
}

static void fake_vhost_set_memory(const struct vhost_memory *memory)
{
    assert(memory->nregions <= 4);
    fake_vhost.region_count = memory->nregions;
    for (unsigned i = 0; i < memory->nregions; i++) {
        fake_vhost.regions[i].guest = memory->regions[i].guest_phys_addr;
        fake_vhost.regions[i].size = memory->regions[i].memory_size;
        fake_vhost.regions[i].host = memory->regions[i].userspace_addr;
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    (void)fd;
    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    assert(fake_vhost.count < FAKE_VHOST_CALLS);
    fake_vhost.calls[fake_vhost.count++] = request;
    if (request == fake_vhost.failing) {
        errno = fake_vhost.error;
        return -1;
    }
    if (request == VHOST_GET_FEATURES)
        memcpy(arg, &fake_vhost.features, sizeof(u64));
    else if (request == VHOST_SET_FEATURES)
        memcpy(&fake_vhost.agreed, arg, sizeof(u64));
    else if (request == VHOST_SET_MEM_TABLE)
        fake_vhost_set_memory(arg);
    else if (request == VHOST_VSOCK_SET_GUEST_CID)
        memcpy(&fake_vhost.cid, arg, sizeof(u64));
    else if (request == VHOST_VSOCK_SET_RUNNING)
        memcpy(&fake_vhost.running, arg, sizeof(int));
    else if (request != VHOST_SET_OWNER)
        fake_vhost_set_ring(request, arg);
    return 0;
}
