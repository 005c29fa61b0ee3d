/* SPDX-License-Identifier: MIT */
/* Devices whose rings the host's kernel works on. linux/vhost.h. */
#include "host/vhost.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int vhost_call(int fd, unsigned long request, const void *argument)
{
    return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

int vhost_open(const char *path, u64 *features, struct error *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC), r = 0;

    if (fd < 0) {
        error_set_errno(err, errno, "could not open '%s'", path);
        return -1;
    }
    r = vhost_call(fd, VHOST_SET_OWNER, NULL);
    if (!r)
        r = vhost_call(fd, VHOST_GET_FEATURES, features);
    if (!r)
        return fd;
    error_set_errno(err, -r, "'%s' is not to be had", path);
    close(fd);
    return -1;
}

int vhost_set_memory(int fd, const struct vhost_region *regions, unsigned count)
{
    union {
        struct vhost_memory memory;
        u8 room[sizeof(struct vhost_memory) +
                VHOST_REGIONS_MAX * sizeof(struct vhost_memory_region)];
    } table = { .memory = { .nregions = count } };

    assert(count <= VHOST_REGIONS_MAX);
    for (unsigned i = 0; i < count; i++)
        table.memory.regions[i] = (struct vhost_memory_region){
            .guest_phys_addr = regions[i].guest,
            .memory_size = regions[i].size,
            .userspace_addr = (uintptr_t)regions[i].host,
        };
    return vhost_call(fd, VHOST_SET_MEM_TABLE, &table);
}

int vhost_set_features(int fd, u64 features)
{
    return vhost_call(fd, VHOST_SET_FEATURES, &features);
}

int vhost_set_ring(int fd, unsigned index, const struct vhost_ring *ring)
{
    struct vhost_vring_state size = { index, ring->size }, base = { index, 0 };
    struct vhost_vring_file kick = { index, ring->kick }, call = { index, ring->call };
    struct vhost_vring_addr addr = { .index = index,
                                     .desc_user_addr = (uintptr_t)ring->desc,
                                     .used_user_addr = (uintptr_t)ring->used,
                                     .avail_user_addr = (uintptr_t)ring->avail };
    const struct {
        unsigned long request;
        const void *argument;
    } steps[] = {
        { VHOST_SET_VRING_NUM, &size },  { VHOST_SET_VRING_BASE, &base },
        { VHOST_SET_VRING_ADDR, &addr }, { VHOST_SET_VRING_CALL, &call },
        { VHOST_SET_VRING_KICK, &kick },
    };
    int r = 0;

    for (unsigned i = 0; !r && i < sizeof(steps) / sizeof(steps[0]); i++)
        r = vhost_call(fd, steps[i].request, steps[i].argument);
    return r;
}

int vhost_set_vsock_cid(int fd, u64 cid)
{
    return vhost_call(fd, VHOST_VSOCK_SET_GUEST_CID, &cid);
}

int vhost_run_vsock(int fd, bool run)
{
    int on = run;

    return vhost_call(fd, VHOST_VSOCK_SET_RUNNING, &on);
}
