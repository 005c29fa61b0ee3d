/* SPDX-License-Identifier: MIT */
/* The vsock device of the host's kernel, on a kernel that is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/bits.h"
#include "unit/fakes/vhost.h"
#include "unit/virtio/driver.h"
#include "virtio/vhost_vsock.h"

#define CID       5u
#define SEQPACKET BIT64(1)

static struct driver driver;

static int setup(void **state)
{
    fake_vhost_init();
    fake_vhost.features =
        VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | SEQPACKET;
    driver_init(&driver);
    *state = &driver;
    return 0;
}

static int teardown(void **state)
{
    driver_fini(*state);
    return 0;
}

static struct virtio *make(struct driver *d, struct error *err)
{
    return vhost_vsock_new(&(struct vhost_vsock_config){ &d->ram, d->loop, CID, "/dev/null" }, err);
}

static void build(struct driver *d, bool legacy)
{
    struct error err;
    struct virtio *v = make(d, &err);

    if (!v)
        fail_msg("%s", err.text);
    driver_plug(d, v, legacy);
}

static void the_address_goes_to_kernel_and_guest(void **state)
{
    struct driver *d = *state;

    build(d, false);
    assert_int_equal(fake_vhost.cid, CID);
    assert_int_equal(driver_read(d, 0x100), CID);
    assert_int_equal(driver_read(d, 0x104), 0);
    assert_int_equal(fake_vhost.calls[0], FAKE_VHOST_SET_OWNER);
    assert_false(fake_vhost.running);
}

static void features_are_those_that_the_kernel_has(void **state)
{
    struct driver *d = *state;

    build(d, false);
    assert_int_equal(driver_read(d, 0x10) & SEQPACKET, SEQPACKET);
    driver_start(d, SEQPACKET | VIRTIO_F_EVENT_IDX, 3);
    assert_int_equal(fake_vhost.agreed, SEQPACKET | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1);
}

static void without_packets_in_the_kernel_there_are_none(void **state)
{
    struct driver *d = *state;

    fake_vhost.features &= ~SEQPACKET;
    build(d, false);
    assert_int_equal(driver_read(d, 0x10) & SEQPACKET, 0);
}

static void the_rings_are_handed_over(void **state)
{
    struct driver *d = *state;

    build(d, false);
    driver_start(d, 0, 3);
    assert_true(fake_vhost.running);
    assert_int_equal(fake_vhost.calls[fake_vhost.count - 1], FAKE_VHOST_SET_RUNNING);
    assert_int_equal(fake_vhost.region_count, 1);
    assert_int_equal(fake_vhost.regions[0].guest, 0);
    assert_int_equal(fake_vhost.regions[0].size, DRIVER_RAM_SIZE);
    assert_ptr_equal(fake_vhost.regions[0].host, d->ram.host);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fake_vhost.ring[i].size, DRIVER_QUEUE_SIZE);
        assert_int_equal(fake_vhost.ring[i].base, 0);
        assert_ptr_equal(fake_vhost.ring[i].desc, driver_ptr(d, d->queues[i].desc));
        assert_ptr_equal(fake_vhost.ring[i].avail, driver_ptr(d, d->queues[i].avail));
        assert_ptr_equal(fake_vhost.ring[i].used, driver_ptr(d, d->queues[i].used));
        assert_int_equal(fake_vhost.ring[i].flags, 0);
    }
}

static void legacy_rings_are_handed_over_too(void **state)
{
    struct driver *d = *state;

    build(d, true);
    driver_start(d, 0, 3);
    assert_true(fake_vhost.running);
    assert_int_equal(fake_vhost.agreed & VIRTIO_F_VERSION_1, 0);
    assert_ptr_equal(fake_vhost.ring[1].desc, driver_ptr(d, d->queues[1].desc));
    assert_ptr_equal(fake_vhost.ring[1].used, driver_ptr(d, d->queues[1].used));
}

static void doorbells_reach_the_kernel(void **state)
{
    struct driver *d = *state;
    eventfd_t count;

    build(d, false);
    driver_start(d, 0, 3);
    driver_kick(d, 1);
    assert_int_equal(eventfd_read(fake_vhost.ring[1].kick, &count), 0);
    assert_int_equal(eventfd_read(fake_vhost.ring[0].kick, &count), -1);
    driver_kick(d, 2); /* nobody waits for events */
    assert_int_equal(eventfd_read(fake_vhost.ring[1].kick, &count), -1);
}

static void doorbells_before_the_start_are_kept(void **state)
{
    struct driver *d = *state;
    eventfd_t count;

    build(d, false);
    driver_kick(d, 0);
    driver_start(d, 0, 3);
    driver_run(d);
    assert_int_equal(eventfd_read(fake_vhost.ring[0].kick, &count), 0);
}

static void calls_of_the_kernel_are_interrupts(void **state)
{
    struct driver *d = *state;

    build(d, false);
    driver_start(d, 0, 3);
    eventfd_write(fake_vhost.ring[0].call, 1);
    driver_run(d);
    assert_int_equal(driver_read(d, 0x60), VIRTIO_ISR_QUEUE);
    assert_true(d->irq.level[0]);
    driver_write(d, 0x64, VIRTIO_ISR_QUEUE);
    driver_run(d);
    assert_false(d->irq.level[0]);
    eventfd_write(fake_vhost.ring[1].call, 1);
    driver_run(d);
    assert_true(d->irq.level[0]);
}

static void a_reset_stops_the_kernel(void **state)
{
    struct driver *d = *state;
    eventfd_t count;

    build(d, false);
    driver_start(d, 0, 3);
    driver_reset(d);
    assert_false(fake_vhost.running);
    eventfd_write(fake_vhost.ring[0].call, 1);
    driver_run(d);
    assert_int_equal(driver_read(d, 0x60), 0);
    driver_kick(d, 0);
    assert_int_equal(eventfd_read(fake_vhost.ring[0].kick, &count), -1);
    driver_start(d, 0, 3);
    assert_true(fake_vhost.running);
}

static void a_driver_without_rings_is_told(void **state)
{
    struct driver *d = *state;

    build(d, false);
    driver_start(d, 0, 1);
    assert_false(fake_vhost.running);
    assert_int_equal(driver_read(d, 0x70) & VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET);
}

static void a_kernel_that_refuses_leaves_a_dead_device(void **state)
{
    struct driver *d = *state;

    build(d, false);
    fake_vhost.failing = FAKE_VHOST_SET_MEM_TABLE;
    fake_vhost.error = ENOMEM;
    driver_start(d, 0, 3);
    assert_false(fake_vhost.running);
    driver_kick(d, 0);
    fake_vhost.failing = 0;
    driver_reset(d);
    driver_start(d, 0, 3);
    assert_true(fake_vhost.running);
}

static void errors_of_the_set_up_are_told(void **state)
{
    struct driver *d = *state;
    struct vhost_vsock_config config = { &d->ram, d->loop, CID, "/nonexistent/vhost" };
    struct error err;

    assert_null(vhost_vsock_new(&config, &err));
    assert_non_null(strstr(err.text, "could not open '/nonexistent/vhost'"));
    assert_non_null(strstr(err.text, "virtio-vsock-device needs none"));
    fake_vhost.failing = FAKE_VHOST_SET_GUEST_CID;
    fake_vhost.error = EADDRINUSE;
    assert_null(make(d, &err));
    assert_string_equal(err.text, "guest-cid: 5 is the address of another guest");
    fake_vhost.error = EINVAL;
    assert_null(make(d, &err));
    assert_non_null(strstr(err.text, "does not take 5"));
    fake_vhost.failing = FAKE_VHOST_SET_OWNER;
    assert_null(make(d, &err));
    assert_non_null(strstr(err.text, "'/dev/null' is not to be had"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(the_address_goes_to_kernel_and_guest),
        T(features_are_those_that_the_kernel_has),
        T(without_packets_in_the_kernel_there_are_none),
        T(the_rings_are_handed_over),
        T(legacy_rings_are_handed_over_too),
        T(doorbells_reach_the_kernel),
        T(doorbells_before_the_start_are_kept),
        T(calls_of_the_kernel_are_interrupts),
        T(a_reset_stops_the_kernel),
        T(a_driver_without_rings_is_told),
        T(a_kernel_that_refuses_leaves_a_dead_device),
        T(errors_of_the_set_up_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
