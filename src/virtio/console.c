/* SPDX-License-Identifier: MIT */
/*
 * The console device: ports between queues and character backends, and the control messages that open, close, name
 * and resize them. virtio 1.2, 5.3.
 *
 * Output that the backend has no room for stays in the guest's queue, input that the guest has no room for stays with
 * the backend: nothing is buffered here. What the guest has to be told is kept as what is due to each port and not as
 * messages, so it needs no more room however slowly the guest reads.
 */
#include "virtio/console.h"

#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/char.h"
#include "virtio/virtio.h"

#define VIRTIO_CONSOLE_F_SIZE        BIT64(0)
#define VIRTIO_CONSOLE_F_MULTIPORT   BIT64(1)
#define VIRTIO_CONSOLE_F_EMERG_WRITE BIT64(2)

#define CONSOLE_QUEUE_SIZE           128u
#define CONSOLE_CONTROL_QUEUE_SIZE   32u
#define CONSOLE_NAME_MAX             127u
#define CONSOLE_CHAINS               128u   /* of one port before the others have their turn */
#define CONSOLE_ROOM                 32768u /* bytes of room that are worth looking for */
#define CONSOLE_ROOM_CHAINS          16u

/* Queues: 0 and 1 are those of port 0, then come these, then two for each further port (5.3.2). */
enum { CONSOLE_CONTROL_RX = 2, CONSOLE_CONTROL_TX = 3 };

/* Configuration space, 5.3.4. */
enum {
    CONSOLE_CONFIG_COLS = 0,
    CONSOLE_CONFIG_ROWS = 2,
    CONSOLE_CONFIG_PORTS = 4,
    CONSOLE_CONFIG_EMERGENCY = 8,
    CONSOLE_CONFIG_SIZE = 12,
};

/* Control messages, 5.3.6.2. */
enum {
    VIRTIO_CONSOLE_DEVICE_READY,
    VIRTIO_CONSOLE_PORT_ADD,
    VIRTIO_CONSOLE_PORT_REMOVE,
    VIRTIO_CONSOLE_PORT_READY,
    VIRTIO_CONSOLE_CONSOLE_PORT,
    VIRTIO_CONSOLE_RESIZE,
    VIRTIO_CONSOLE_PORT_OPEN,
    VIRTIO_CONSOLE_PORT_NAME,
};

#define CONSOLE_MESSAGE_SIZE 8u

/* What a port's driver has to be told, in this order. */
#define CONSOLE_DUE_ADD      BIT(0)
#define CONSOLE_DUE_CONSOLE  BIT(1)
#define CONSOLE_DUE_NAME     BIT(2)
#define CONSOLE_DUE_SIZE     BIT(3)
#define CONSOLE_DUE_CLOSE    BIT(4)
#define CONSOLE_DUE_OPEN     BIT(5)

/* Guest-visible state of a port. */
struct console_port_state {
    u8 due;
    bool known;      /* the driver said PORT_READY */
    bool guest_open; /* the driver said PORT_OPEN */
    bool told_open;  /* the driver heard PORT_OPEN */
    bool blocked;    /* the backend has no room; it will tell */
    u64 out_done;    /* bytes of the next chain that the backend has already */
};

struct console_port {
    struct console *console;
    unsigned nr;
    bool present;
    bool is_console;
    bool host_open; /* the backend has somebody at its other end; always so for a console */
    char name[CONSOLE_NAME_MAX + 1];
    struct chardev *chr;
    struct console_port_state state;
};

struct console {
    struct virtio v;
    struct virtio_ops ops; /* with the features of this one */
    unsigned port_count;
    struct console_port ports[CONSOLE_PORTS_MAX];
    struct iovec iov[VIRTQ_PARTS_MAX];
};

static struct console *console_of(struct virtio *v)
{
    return container_of(v, struct console, v);
}

static bool console_is_multiport(const struct console *c)
{
    return virtio_has(&c->v, VIRTIO_CONSOLE_F_MULTIPORT);
}

static struct virtq *console_rx(struct console_port *port)
{
    return &port->console->v.queues[port->nr ? 2 * port->nr + 2 : 0];
}

static struct virtq *console_tx(struct console_port *port)
{
    return console_rx(port) + 1;
}

/* ---- From the guest ---- */

/* Does anybody hear what the guest says? */
static bool console_is_heard(const struct console_port *port)
{
    return port->chr && port->host_open;
}

/* Pass on what the backend has not had of a chain; false when it takes no more. */
static bool console_send(struct console_port *port, const struct virtq_chain *chain)
{
    u64 *done = &port->state.out_done;
    u64 start = 0;

    for (unsigned i = 0; i < chain->out_count && console_is_heard(port); i++) {
        const u8 *data = chain->iov[i].iov_base;
        u64 end = start + chain->iov[i].iov_len;

        if (*done < end)
            *done += chardev_write(port->chr, data + (*done - start), end - *done);
        if (*done < end)
            return false;
        start = end;
    }
    return true;
}

static void console_block(struct console_port *port)
{
    port->state.blocked = true;
    virtq_disable_notify(console_tx(port));
}

static void console_transmit(struct console_port *port)
{
    struct virtq *q = console_tx(port);
    struct virtq_chain chain = { .iov = port->console->iov };
    unsigned left = CONSOLE_CHAINS;

    while (!port->state.blocked && left && virtq_pop(q, &chain) == VIRTQ_CHAIN) {
        if (!console_send(port, &chain)) {
            virtq_unpop(q, &chain);
            console_block(port);
            break;
        }
        port->state.out_done = 0;
        virtq_push(q, &chain, 0);
        left--;
    }
    virtq_signal(q);
    if (!left)
        virtio_ring(q->virtio, q->index);
}

static void console_writable(void *arg)
{
    struct console_port *port = arg;

    if (!port->state.blocked || !virtio_is_live(&port->console->v))
        return;
    port->state.blocked = false;
    virtq_enable_notify(console_tx(port));
    console_transmit(port);
}

/* ---- To the guest ---- */

static bool console_is_read(const struct console_port *port)
{
    if (!virtio_is_live(&port->console->v))
        return false;
    return console_is_multiport(port->console) ? port->state.known && port->state.guest_open
                                               : port->nr == 0;
}

/* Bytes of the next buffers in the receive queue. */
static size_t console_can_receive(void *arg)
{
    struct console_port *port = arg;
    struct virtq_chain chains[CONSOLE_ROOM_CHAINS];
    u64 room = 0;
    unsigned n;

    if (!console_is_read(port))
        return 0;
    for (n = 0; n < CONSOLE_ROOM_CHAINS && room < CONSOLE_ROOM; n++) {
        chains[n].iov = port->console->iov;
        if (virtq_pop(console_rx(port), &chains[n]) != VIRTQ_CHAIN)
            break;
        room += chains[n].in_size;
    }
    while (n)
        virtq_unpop(console_rx(port), &chains[--n]);
    return MIN(room, CONSOLE_ROOM);
}

/* Buffers that shrank since console_can_receive looked are the driver's loss. */
static void console_receive(void *arg, const u8 *data, size_t size)
{
    struct console_port *port = arg;
    struct virtq *q = console_rx(port);
    struct virtq_chain chain = { .iov = port->console->iov };

    while (size && virtq_pop(q, &chain) == VIRTQ_CHAIN) {
        size_t n = virtq_write(&chain, 0, data, size);

        virtq_push(q, &chain, (u32)n);
        data += n;
        size -= n;
    }
    virtq_signal(q);
}

static void console_resume(struct console_port *port)
{
    if (port->chr && console_is_read(port))
        chardev_resume(port->chr);
}

/* ---- Control messages to the guest ---- */

struct console_message {
    u8 data[CONSOLE_MESSAGE_SIZE + CONSOLE_NAME_MAX + 1];
    size_t size;
};

static void console_begin(struct console_message *m, const struct console_port *port, u16 event,
                          u16 value)
{
    store_le32(m->data, port->nr);
    store_le16(m->data + 4, event);
    store_le16(m->data + 6, value);
    m->size = CONSOLE_MESSAGE_SIZE;
}

static void console_message(struct console_message *m, const struct console_port *port, u8 due)
{
    u16 cols = 0, rows = 0;

    switch (due) {
    case CONSOLE_DUE_ADD: console_begin(m, port, VIRTIO_CONSOLE_PORT_ADD, 1); break;
    case CONSOLE_DUE_CONSOLE: console_begin(m, port, VIRTIO_CONSOLE_CONSOLE_PORT, 1); break;
    case CONSOLE_DUE_CLOSE: console_begin(m, port, VIRTIO_CONSOLE_PORT_OPEN, 0); break;
    case CONSOLE_DUE_OPEN: console_begin(m, port, VIRTIO_CONSOLE_PORT_OPEN, 1); break;
    case CONSOLE_DUE_NAME:
        console_begin(m, port, VIRTIO_CONSOLE_PORT_NAME, 1);
        m->size += strlen(port->name) + 1;
        memcpy(m->data + CONSOLE_MESSAGE_SIZE, port->name, strlen(port->name) + 1);
        break;
    default: /* CONSOLE_DUE_SIZE */
        chardev_window(port->chr, &cols, &rows);
        console_begin(m, port, VIRTIO_CONSOLE_RESIZE, 0);
        store_le16(m->data + m->size, cols);
        store_le16(m->data + m->size + 2, rows);
        m->size += 4;
        break;
    }
}

/* Send what is due to a port; false when the driver has no buffer for it now. */
static bool console_tell_port(struct console_port *port)
{
    struct virtq *q = &port->console->v.queues[CONSOLE_CONTROL_RX];
    struct console_port_state *s = &port->state;

    while (s->due) {
        struct virtq_chain chain = { .iov = port->console->iov };
        u8 due = s->due & (u8)-s->due;
        struct console_message m;

        if (virtq_pop(q, &chain) != VIRTQ_CHAIN)
            return false;
        console_message(&m, port, due);
        virtq_push(q, &chain, (u32)virtq_write(&chain, 0, m.data, m.size));
        s->due &= (u8)~due;
    }
    return true;
}

static void console_tell(struct console *c)
{
    if (!virtio_is_live(&c->v) || !console_is_multiport(c))
        return;
    for (unsigned i = 0; i < c->port_count; i++)
        if (!console_tell_port(&c->ports[i]))
            break;
    virtq_signal(&c->v.queues[CONSOLE_CONTROL_RX]);
}

/*
 * What the driver has to hear for it to know whether the host's side is open. A close and an open that come before it
 * read of either are both told, a new connection is not the old one going on.
 */
static void console_open_changed(struct console_port *port)
{
    struct console_port_state *s = &port->state;

    if (!s->known)
        return;
    if (s->told_open && !port->host_open) {
        s->due &= (u8)~CONSOLE_DUE_OPEN;
        s->due |= CONSOLE_DUE_CLOSE;
        s->told_open = false;
    } else if (!s->told_open && port->host_open) {
        s->due |= CONSOLE_DUE_OPEN;
        s->told_open = true;
    }
}

static void console_size_changed(struct console_port *port)
{
    struct console *c = port->console;
    u16 cols, rows;

    if (!port->is_console || !port->chr || !virtio_has(&c->v, VIRTIO_CONSOLE_F_SIZE))
        return;
    if (chardev_window(port->chr, &cols, &rows) && port->state.known)
        port->state.due |= CONSOLE_DUE_SIZE;
}

/* ---- Control messages from the guest ---- */

static void console_device_ready(struct console *c)
{
    for (unsigned i = 0; i < c->port_count; i++)
        if (c->ports[i].present)
            c->ports[i].state.due |= CONSOLE_DUE_ADD;
}

static void console_port_ready(struct console_port *port, bool ok)
{
    struct console_port_state *s = &port->state;

    if (!ok) {
        guest_error("virtio-serial: the guest could not add port %u", port->nr);
        return;
    }
    s->known = true;
    s->told_open = false;
    s->due |= port->is_console ? CONSOLE_DUE_CONSOLE : 0;
    s->due |= port->name[0] ? CONSOLE_DUE_NAME : 0;
    console_size_changed(port);
    console_open_changed(port);
}

static void console_port_opened(struct console_port *port, bool open)
{
    port->state.guest_open = open;
    console_resume(port);
}

static void console_hear(struct console *c, const struct virtq_chain *chain)
{
    u8 m[CONSOLE_MESSAGE_SIZE] = { 0 };
    struct console_port *port;
    u16 event, value;
    u32 nr;

    if (virtq_read(chain, 0, m, sizeof(m)) < sizeof(m)) {
        guest_error("virtio-serial: a control message of %llu bytes",
                    (unsigned long long)chain->out_size);
        return;
    }
    nr = load_le32(m);
    event = load_le16(m + 4);
    value = load_le16(m + 6);
    if (event == VIRTIO_CONSOLE_DEVICE_READY) {
        if (value)
            console_device_ready(c);
        return;
    }
    port = nr < c->port_count && c->ports[nr].present ? &c->ports[nr] : NULL;
    if (port && event == VIRTIO_CONSOLE_PORT_READY)
        console_port_ready(port, value);
    else if (port && event == VIRTIO_CONSOLE_PORT_OPEN)
        console_port_opened(port, value);
    else
        guest_error("virtio-serial: control message %u about port %u", event, nr);
}

static void console_listen(struct console *c)
{
    struct virtq *q = &c->v.queues[CONSOLE_CONTROL_TX];
    struct virtq_chain chain = { .iov = c->iov };
    unsigned left = CONSOLE_CHAINS;

    while (left && virtq_pop(q, &chain) == VIRTQ_CHAIN) {
        console_hear(c, &chain);
        virtq_push(q, &chain, 0);
        left--;
    }
    virtq_signal(q);
    console_tell(c);
    if (!left)
        virtio_ring(&c->v, CONSOLE_CONTROL_TX);
}

/* ---- Doorbells and reset ---- */

static void console_notify(struct virtio *v, unsigned index)
{
    struct console *c = console_of(v);
    struct console_port *port = &c->ports[index < CONSOLE_CONTROL_RX ? 0 : index / 2 - 1];
    bool is_control = index == CONSOLE_CONTROL_RX || index == CONSOLE_CONTROL_TX;

    if (is_control && !console_is_multiport(c))
        guest_error("virtio-serial: control messages were not agreed on");
    else if (index == CONSOLE_CONTROL_RX)
        console_tell(c);
    else if (index == CONSOLE_CONTROL_TX)
        console_listen(c);
    else if (index & 1)
        console_transmit(port);
    else
        console_resume(port);
}

static void console_reset(struct virtio *v)
{
    struct console *c = console_of(v);

    for (unsigned i = 0; i < c->port_count; i++)
        c->ports[i].state = (struct console_port_state){ 0 };
}

/* ---- Configuration space ---- */

static void console_config_read(struct virtio *v, unsigned offset, void *data, unsigned size)
{
    const struct console *c = console_of(v);
    u8 config[CONSOLE_CONFIG_SIZE] = { 0 };
    u16 cols = 0, rows = 0;

    if (c->ports[0].is_console && c->ports[0].chr)
        chardev_window(c->ports[0].chr, &cols, &rows);
    store_le16(config + CONSOLE_CONFIG_COLS, cols);
    store_le16(config + CONSOLE_CONFIG_ROWS, rows);
    store_le32(config + CONSOLE_CONFIG_PORTS, c->port_count);
    memcpy(data, config + offset, size);
}

/* A character for the first console, at any time (5.3.4). */
static void console_config_write(struct virtio *v, unsigned offset, const void *data, unsigned size)
{
    struct console *c = console_of(v);

    (void)size;
    if (offset != CONSOLE_CONFIG_EMERGENCY || !(c->ops.features & VIRTIO_CONSOLE_F_EMERG_WRITE))
        return;
    for (unsigned i = 0; i < c->port_count; i++) {
        if (!c->ports[i].is_console || !c->ports[i].chr)
            continue;
        chardev_write(c->ports[i].chr, data, 1);
        return;
    }
}

/* ---- The backend ---- */

static void console_event(void *arg, enum chardev_event event)
{
    struct console_port *port = arg;
    struct virtio *v = &port->console->v;

    if (event == CHARDEV_RESIZED) {
        console_size_changed(port);
        if (port->nr == 0 && virtio_has(v, VIRTIO_CONSOLE_F_SIZE))
            virtio_config_changed(v);
    } else if (event != CHARDEV_BREAK && !port->is_console) {
        port->host_open = event == CHARDEV_OPENED;
        console_open_changed(port);
    }
    console_tell(port->console);
}

/* ---- Set-up ---- */

static void console_free(struct device *dev)
{
    struct console *c = container_of(dev, struct console, v.dev);

    for (unsigned i = 0; i < c->port_count; i++)
        if (c->ports[i].chr)
            chardev_detach(c->ports[i].chr);
    virtio_fini(&c->v);
    free(c);
}

static const struct device_ops console_device_ops = {
    .reset = virtio_device_reset,
    .free = console_free,
};

static const struct virtio_ops console_ops = {
    .id = VIRTIO_ID_CONSOLE,
    .features = VIRTIO_CONSOLE_F_SIZE | VIRTIO_CONSOLE_F_MULTIPORT | VIRTIO_CONSOLE_F_EMERG_WRITE,
    .notify = console_notify,
    .config_read = console_config_read,
    .config_write = console_config_write,
    .reset = console_reset,
};

struct virtio *console_new(const struct console_config *config)
{
    struct console *c = xcalloc(1, sizeof(*c));

    c->ops = console_ops;
    c->port_count = config->ports;
    if (config->ports == 1)
        c->ops.features &= ~VIRTIO_CONSOLE_F_MULTIPORT;
    if (config->no_emergency_write)
        c->ops.features &= ~VIRTIO_CONSOLE_F_EMERG_WRITE;
    for (unsigned i = 0; i < c->port_count; i++) {
        c->ports[i].console = c;
        c->ports[i].nr = i;
    }
    virtio_init(&c->v, "virtio-serial", &console_device_ops, &c->ops, config->ram, config->loop);
    c->v.config_size = CONSOLE_CONFIG_SIZE;
    virtio_add_queues(&c->v, 2, CONSOLE_QUEUE_SIZE);
    virtio_add_queues(&c->v, 2, CONSOLE_CONTROL_QUEUE_SIZE);
    virtio_add_queues(&c->v, 2 * (c->port_count - 1), CONSOLE_QUEUE_SIZE);
    return &c->v;
}

/* Port 0 is for consoles: drivers that know of one port only use it (5.3.5). */
static bool console_choose_nr(const struct console *c, const struct console_port_config *config,
                              unsigned *nr, struct error *err)
{
    *nr = config->nr;
    if (*nr == CONSOLE_PORT_ANY) {
        *nr = config->is_console && !c->ports[0].present ? 0 : 1;
        while (*nr && *nr < c->port_count && c->ports[*nr].present)
            ++*nr;
        if (*nr >= c->port_count)
            return error_set(err, "virtio-serial-bus: Maximum port limit for this device reached");
    }
    if (*nr >= c->port_count)
        return error_set(err, "virtio-serial-bus: Out-of-range port id specified, max. allowed: %u",
                         c->port_count - 1);
    if (c->ports[*nr].present)
        return error_set(err, "virtio-serial-bus: A port already exists at id %u", *nr);
    if (*nr == 0 && !config->is_console)
        return error_set(err, "Port number 0 on virtio-serial devices is reserved for virtconsole");
    return true;
}

static bool console_check_name(const struct console *c, const char *name, struct error *err)
{
    if (strlen(name) > CONSOLE_NAME_MAX)
        return error_set(err, "a port's name has at most %u bytes", CONSOLE_NAME_MAX);
    for (unsigned i = 0; i < c->port_count; i++)
        if (name[0] && !strcmp(c->ports[i].name, name))
            return error_set(err, "virtio-serial-bus: A port already exists by name %s", name);
    return true;
}

bool console_add_port(struct virtio *v, const struct console_port_config *config, struct error *err)
{
    struct console *c = console_of(v);
    const char *name = config->name ? config->name : "";
    struct chardev_frontend frontend = {
        .lock = &v->dev.lock,
        .can_receive = console_can_receive,
        .receive = console_receive,
        .event = console_event,
        .writable = console_writable,
    };
    struct console_port *port;
    unsigned nr;

    if (!console_choose_nr(c, config, &nr, err) || !console_check_name(c, name, err))
        return false;
    port = &c->ports[nr];
    frontend.arg = port;
    if (config->chr && !chardev_attach(config->chr, &frontend))
        return error_set(err, "chardev '%s' is in use by another device", config->chr->id);
    port->present = true;
    port->is_console = port->host_open = config->is_console;
    port->chr = config->chr;
    memcpy(port->name, name, strlen(name) + 1);
    return true;
}
