/* SPDX-License-Identifier: MIT */
/*
 * The ACPI generic event device.
 *
 * Source: ACPI 6.4, 5.6.9 (interrupt-signaled events), 4.8.3.7 (sleep control and status registers)
 * and 4.8.3.6 (reset register). The event register is no part of ACPI but of the AML that reads it.
 */
#include "hw/ged.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/mem.h"

#define GED_SLEEP_TYPE   0x1Cu  /* SLP_TYPx */
#define GED_SLEEP_ENABLE BIT(5) /* SLP_EN */

struct ged {
    struct device dev;
    struct ged_config config;

    struct ged_state {
        u32 events; /* since the guest last looked */
    } s;
};

/* Reading takes the events. */
static u64 ged_event_read(void *opaque, u64 offset, unsigned size)
{
    struct ged *ged = opaque;
    u32 events = ged->s.events;

    (void)offset;
    (void)size;
    ged->s.events = 0;
    return events;
}

static void ged_event_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)value;
}

static u64 ged_regs_read(void *opaque, u64 offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return 0;
}

/* S5 is the one sleep state that the tables name; the others do nothing. */
static void ged_write_sleep_control(struct ged *ged, u8 value)
{
    if ((value & GED_SLEEP_ENABLE) && FIELD_GET(GED_SLEEP_TYPE, value) == GED_SLEEP_TYPE_S5)
        ged->config.shutdown(ged->config.arg);
}

static void ged_write_reset(struct ged *ged, u8 value)
{
    if (value == GED_RESET_VALUE)
        ged->config.reset(ged->config.arg);
}

static void ged_regs_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct ged *ged = opaque;

    (void)size;
    switch (offset) {
    case GED_SLEEP_CONTROL: ged_write_sleep_control(ged, (u8)value); break;
    case GED_SLEEP_STATUS: break; /* WAK_STS, which a machine that does not sleep never sets */
    case GED_RESET: ged_write_reset(ged, (u8)value); break;
    }
}

void ged_press_power_button(struct ged *ged)
{
    pthread_mutex_lock(&ged->dev.lock);
    ged->s.events |= GED_EVENT_POWER;
    irq_pulse(&ged->config.irq);
    pthread_mutex_unlock(&ged->dev.lock);
}

static void ged_reset(struct device *dev)
{
    container_of(dev, struct ged, dev)->s = (struct ged_state){ 0 };
}

static void ged_free(struct device *dev)
{
    pthread_mutex_destroy(&dev->lock);
    free(container_of(dev, struct ged, dev));
}

static const struct device_ops ged_device_ops = { .reset = ged_reset, .free = ged_free };

const struct region_ops ged_event_ops = {
    .read = ged_event_read,
    .write = ged_event_write,
    .sizes = BUS_SIZE_4,
};

const struct region_ops ged_regs_ops = {
    .read = ged_regs_read,
    .write = ged_regs_write,
    .sizes = BUS_SIZE_1,
};

struct ged *ged_new(const struct ged_config *config)
{
    struct ged *ged = xcalloc(1, sizeof(*ged));

    device_init(&ged->dev, "ged", &ged_device_ops);
    ged->config = *config;
    return ged;
}

struct device *ged_device(struct ged *ged)
{
    return &ged->dev;
}
