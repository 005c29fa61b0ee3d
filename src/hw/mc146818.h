/* SPDX-License-Identifier: MIT */
/*
 * The MC146818 real time clock of a PC with its 114 bytes of CMOS memory.
 *
 * Its time is clock_wall_ns() plus an offset that setting the clock changes. Flags are computed
 * when they are read; the host is woken only for interrupts that the guest enabled.
 */
#pragma once

#include "base/types.h"
#include "host/clock.h"
#include "machine/bus.h"
#include "machine/device.h"
#include "machine/irq.h"

struct loop;
struct mc146818;

struct mc146818_config {
    struct irq irq;
    struct clock *clock;
    struct loop *loop; /* follows `clock` */
    i64 offset_ns;     /* what the RTC shows at first, less UTC (-rtc base=) */
};

/* A clock after power-on: 24 hours, BCD, CMOS memory zero. */
struct mc146818 *mc146818_new(const struct mc146818_config *config);

/*
 * For machine_add_device and as `dev` of its region; its ops->free frees the clock. A reset keeps
 * time and memory.
 */
struct device *mc146818_device(struct mc146818 *rtc);

/* Register window (2 ports: index, data); its opaque is the struct mc146818. */
extern const struct region_ops mc146818_ops;

/* Preset CMOS memory byte `index` (0x0E-0x7F, not the century's) while the machine is built. */
void mc146818_set_cmos(struct mc146818 *rtc, unsigned index, u8 value);

/*
 * Preset the bytes by which a PC's firmware learns its memory size: bytes of RAM below and above 4
 * GiB.
 */
void mc146818_set_memory(struct mc146818 *rtc, u64 below_4g, u64 above_4g);
