/* SPDX-License-Identifier: MIT */
/*
 * The ACPI generic event device of a hardware-reduced machine: tells the guest that the power
 * button was pressed, and is where the guest powers off and resets. The tables that describe it
 * must agree with it.
 */
#pragma once

#include "base/types.h"
#include "machine/bus.h"
#include "machine/device.h"
#include "machine/irq.h"

/* Windows: the event register, and sleep control, sleep status, reset. */
#define GED_EVENT_SIZE    4u
#define GED_REGS_SIZE     3u

/* Offsets in the second. */
#define GED_SLEEP_CONTROL 0u
#define GED_SLEEP_STATUS  1u
#define GED_RESET         2u

#define GED_EVENT_POWER   (1u << 1)
#define GED_RESET_VALUE   0x42u
#define GED_SLEEP_TYPE_S5 5u

struct ged;

struct ged_config {
    struct irq irq;              /* pulsed for each event */
    void (*shutdown)(void *arg); /* the guest powers off; called with the device locked */
    void (*reset)(void *arg);    /* the guest resets; so */
    void *arg;
};

struct ged *ged_new(const struct ged_config *config);

/* For machine_add_device and as `dev` of both regions; its ops->free frees it. */
struct device *ged_device(struct ged *ged);

/* Register windows; their opaque is the struct ged. */
extern const struct region_ops ged_event_ops;
extern const struct region_ops ged_regs_ops;

/* Press the power button. Any thread; takes the lock. */
void ged_press_power_button(struct ged *ged);
