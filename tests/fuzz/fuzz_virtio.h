/* SPDX-License-Identifier: MIT */
/* The fuzzer of virtio devices: what a device's row in its table is made of, and the rows of fuzz_channels.c. */
#pragma once

#include "base/types.h"
#include "host/net.h"
#include "unit/fakes/block.h"
#include "unit/virtio/driver.h"

/* What a driver of the device would send, as a chain: readable bytes, then room for the answer. */
struct fuzz_message {
    const void *bytes;
    u16 length; /* of bytes; zeros follow up to size */
    u16 size;
    u16 answer;
    bool sized; /* begins with its size, in 32 bits */
};

#define MESSAGE(text, size, answer) \
    { \
        text, sizeof(text) - 1, size, answer, false \
    }

struct fuzz {
    struct driver d;
    struct block block;
    struct net net;
    unsigned net_header; /* bytes before frames */
    const struct fuzz_device *device;
    const u8 *data; /* the input that is left */
    size_t size;
    gpa room; /* where the next message goes */
};

struct fuzz_device {
    const char *name;
    struct virtio *(*make)(struct fuzz *f, unsigned variant);
    void (*settle)(struct fuzz *f); /* let the backend finish something; NULL: it has none */
    const struct fuzz_message *messages;
    unsigned message_count;
    unsigned prologue; /* so many of the messages come first, as they are, in queue 0 */
};

/* The next byte of the input; 0 at its end. */
u8 fuzz_byte(struct fuzz *f);

/* virtio-serial with three ports on scripted chardevs. */
#define FUZZ_CONSOLE_MESSAGES 10
extern const struct fuzz_message fuzz_console_messages[FUZZ_CONSOLE_MESSAGES];
struct virtio *fuzz_make_console(struct fuzz *f, unsigned variant);
void fuzz_settle_console(struct fuzz *f);

/* vsock with clients and a listener of the host. */
#define FUZZ_VSOCK_MESSAGES 12
extern const struct fuzz_message fuzz_vsock_messages[FUZZ_VSOCK_MESSAGES];
struct virtio *fuzz_make_vsock(struct fuzz *f, unsigned variant);
void fuzz_settle_vsock(struct fuzz *f);

/* A network card on a backend of the input's making. */
#define FUZZ_NET_MESSAGES 14
extern const struct fuzz_message fuzz_net_messages[FUZZ_NET_MESSAGES];
struct virtio *fuzz_make_net(struct fuzz *f, unsigned variant);
void fuzz_settle_net(struct fuzz *f);
