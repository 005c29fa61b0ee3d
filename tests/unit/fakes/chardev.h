/* SPDX-License-Identifier: MIT */
/*
 * A character backend that a test scripts: it keeps what was written and takes only as much as it is told
 * to. A test that links chardev.c of this folder must need nothing else of host/char.h.
 */
#pragma once

#include "host/char.h"

#define FAKE_CHARDEV_OUT 65536

struct fake_chardev {
    struct chardev chr;
    u8 out[FAKE_CHARDEV_OUT]; /* what the device wrote; wraps */
    size_t out_size;
    size_t room;      /* bytes that writes will still take */
    unsigned resumes; /* calls of chardev_resume */
    unsigned refused; /* writes of which not all was taken */
    u16 cols, rows;   /* of the window; 0: none */
};

void fake_chardev_init(struct fake_chardev *fake, size_t room);

/* Offer input as a backend does; returns how many bytes the device took. */
size_t fake_chardev_input(struct fake_chardev *fake, const void *data, size_t size);

/* What the device would take now. */
size_t fake_chardev_can_receive(struct fake_chardev *fake);

void fake_chardev_event(struct fake_chardev *fake, enum chardev_event event);

/* Make room and tell the device. */
void fake_chardev_writable(struct fake_chardev *fake, size_t room);
