/* SPDX-License-Identifier: MIT */
/* Which device goes into which slot, and what the window of a slot shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cli/config.h"
#include "machine/machine.h"
#include "machine/virtio_slots.h"
#include "unit/fakes/irq.h"
#include "virtio/virtio.h"

static const struct virtio_ops nothing = { .id = VIRTIO_ID_ENTROPY };

struct fixture {
    struct machine machine; /* only its MMIO bus is used */
    struct gsi_table gsi;
    struct fake_irq irq;
    struct virtio_slots slots;
    struct virtio devices[MAP_VIRTIO_SLOTS + 1];
    char bus_name[64];
    struct device_config config;
    struct error err;
};

static struct fixture fixture;
static char model[] = "virtio-rng-device";

static int setup(void **state)
{
    struct fixture *f = &fixture;

    memset(f, 0, sizeof(*f));
    bus_init(&f->machine.mmio, "mmio", 0);
    gsi_init(&f->gsi);
    for (unsigned i = 0; i < 24; i++)
        gsi_connect(&f->gsi, i, fake_irq_line(&f->irq, i));
    assert_true(virtio_slots_init(&f->slots, &f->machine, &f->gsi, MAP_VIRTIO_SLOTS,
                                  MAP_GSI_VIRTIO_ISA, true, &f->err));
    for (unsigned i = 0; i < ARRAY_SIZE(f->devices); i++)
        f->devices[i] =
            (struct virtio){ .ops = &nothing, .features_common = BIT64(28) | BIT64(29) };
    f->config = (struct device_config){ .model = model };
    *state = f;
    return 0;
}

/* Put device `n` where it belongs; its slot. */
static int add(struct fixture *f, unsigned n, const char *bus)
{
    int slot;

    f->config.bus = NULL;
    if (bus) {
        snprintf(f->bus_name, sizeof(f->bus_name), "%s", bus);
        f->config.bus = f->bus_name;
    }
    slot = virtio_slots_find(&f->slots, &f->config, &f->err);
    if (slot >= 0)
        virtio_slots_plug(&f->slots, slot, &f->devices[n], &f->config);
    return slot;
}

static u64 window(struct fixture *f, unsigned slot, unsigned offset)
{
    return bus_read(&f->machine.mmio, MAP_VIRTIO_MMIO + slot * MAP_VIRTIO_MMIO_SIZE + offset, 4);
}

static void devices_fill_the_slots_from_the_top(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(add(f, 0, NULL), 7);
    assert_int_equal(add(f, 1, NULL), 6);
    assert_int_equal(window(f, 7, 8), VIRTIO_ID_ENTROPY);
    assert_int_equal(window(f, 5, 8), 0);
    assert_int_equal(window(f, 5, 0), 0x74726976);
    assert_int_equal(window(f, 5, 4), 1);
}

static void the_ninth_device_is_refused(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < MAP_VIRTIO_SLOTS; i++)
        assert_int_equal(add(f, i, NULL), 7 - (int)i);
    assert_int_equal(add(f, 8, NULL), -1);
    assert_string_equal(f->err.text, "No 'virtio-bus' bus found for device 'virtio-rng-device'");
    assert_int_equal(f->slots.used_count, 8);
}

static void a_bus_names_its_slot(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(add(f, 0, "virtio-mmio-bus.7"), 7);
    assert_int_equal(add(f, 1, "virtio-mmio-bus.0"), 0);
    assert_int_equal(add(f, 2, NULL), 6);
    assert_int_equal(add(f, 3, "virtio-mmio-bus.0"), -1);
    assert_string_equal(f->err.text, "Bus 'virtio-mmio-bus.0' is full");
}

static void a_bus_that_is_not_there_is_refused(void **state)
{
    static const char *const wrong[] = { "virtio-mmio-bus.8",
                                         "virtio-mmio-bus.",
                                         "virtio-mmio-bus.-1",
                                         "virtio-mmio-bus. 1",
                                         "virtio-mmio-bus.1x",
                                         "isa.0",
                                         "virtio-mmio-bus.+1",
                                         "",
                                         "virtio-mmio-bus.18446744073709551616" };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(add(f, 0, wrong[i]), -1);
        assert_non_null(strstr(f->err.text, "not found"));
    }
    assert_int_equal(f->slots.used_count, 0);
}

static void slots_are_listed_in_the_order_of_devices(void **state)
{
    struct fixture *f = *state;

    add(f, 0, NULL);
    add(f, 1, "virtio-mmio-bus.2");
    assert_int_equal(f->slots.used_count, 2);
    assert_int_equal(f->slots.used[0].base, MAP_VIRTIO_MMIO + 7 * MAP_VIRTIO_MMIO_SIZE);
    assert_int_equal(f->slots.used[0].gsi, MAP_GSI_VIRTIO_ISA + 7);
    assert_int_equal(f->slots.used[1].base, MAP_VIRTIO_MMIO + 2 * MAP_VIRTIO_MMIO_SIZE);
    assert_int_equal(f->slots.used[1].gsi, MAP_GSI_VIRTIO_ISA + 2);
}

static void each_slot_has_its_line(void **state)
{
    struct fixture *f = *state;

    add(f, 0, NULL);
    add(f, 1, "virtio-mmio-bus.3");
    virtio_interrupt(&f->devices[1], VIRTIO_ISR_QUEUE);
    assert_true(f->irq.level[MAP_GSI_VIRTIO_ISA + 3]);
    assert_false(f->irq.level[MAP_GSI_VIRTIO_ISA + 7]);
    virtio_ack(&f->devices[1], VIRTIO_ISR_QUEUE);
    assert_false(f->irq.level[MAP_GSI_VIRTIO_ISA + 3]);
}

static void ring_features_follow_the_properties(void **state)
{
    struct fixture *f = *state;

    f->config.property_count = 3;
    f->config.properties[0] = (struct property){ (char[]){ "event_idx" }, (char[]){ "off" } };
    f->config.properties[1] = (struct property){ (char[]){ "packed" }, (char[]){ "on" } };
    f->config.properties[2] = (struct property){ (char[]){ "indirect_desc" }, (char[]){ "on" } };
    add(f, 0, NULL);
    assert_int_equal(f->devices[0].features_common, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_RING_PACKED);
    assert_true(f->devices[0].legacy);
    f->config.property_count = 0;
    add(f, 1, NULL);
    assert_int_equal(f->devices[1].features_common, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(devices_fill_the_slots_from_the_top),
        T(the_ninth_device_is_refused),
        T(a_bus_names_its_slot),
        T(a_bus_that_is_not_there_is_refused),
        T(slots_are_listed_in_the_order_of_devices),
        T(each_slot_has_its_line),
        T(ring_features_follow_the_properties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
