/* SPDX-License-Identifier: MIT */
/* The console device: bytes both ways, back pressure, the control protocol, and drivers that do not keep to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "unit/fakes/chardev.h"
#include "unit/virtio/driver.h"
#include "virtio/console.h"

#define F_SIZE      BIT64(0)
#define F_MULTIPORT BIT64(1)

#define TEXT        DRIVER_DATA
#define BUFFERS     (DRIVER_DATA + 0x10000)
#define MESSAGES    (DRIVER_DATA + 0x20000) /* for what the device says on queue 2 */
#define SAYS        (DRIVER_DATA + 0x30000)
#define MESSAGE_MAX 64u
#define BUFFER_SIZE 32u

enum { RX0, TX0, CONTROL_RX, CONTROL_TX, RX1, TX1 };
enum { READY, ADD, REMOVE, PORT_READY, CONSOLE, RESIZE, OPEN, NAME };

#define PORTS 3u

static struct test {
    struct driver d;
    struct fake_chardev chr[PORTS];
    unsigned control_buffer, next_buffer;
} test;

static int setup(void **state)
{
    memset(&test, 0, sizeof(test));
    driver_init(&test.d);
    for (unsigned i = 0; i < PORTS; i++)
        fake_chardev_init(&test.chr[i], SIZE_MAX);
    *state = &test;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;

    driver_fini(&t->d);
    return 0;
}

static struct virtio *make(struct test *t, unsigned ports)
{
    return console_new(&(struct console_config){ &t->d.ram, t->d.loop, ports, false });
}

static void add(struct virtio *v, u32 nr, bool is_console, const char *name,
                struct fake_chardev *chr)
{
    struct console_port_config config = { nr, is_console, name, chr ? &chr->chr : NULL };
    struct error err;

    if (!console_add_port(v, &config, &err))
        fail_msg("%s", err.text);
}

/* A console on port 0 for a driver that knows of no others. */
static void plain(struct test *t, bool legacy)
{
    struct virtio *v = make(t, 1);

    add(v, CONSOLE_PORT_ANY, true, NULL, &t->chr[0]);
    driver_plug(&t->d, v, legacy);
    driver_start(&t->d, 0, 2);
}

static void offer_control(struct test *t, unsigned count)
{
    while (count--) {
        const struct driver_part part = { MESSAGES + MESSAGE_MAX * (t->control_buffer++ % 16),
                                          MESSAGE_MAX, DRIVER_WRITE };

        driver_offer(&t->d, CONTROL_RX, &part, 1);
    }
    driver_kick(&t->d, CONTROL_RX);
}

static void say_bytes(struct test *t, const void *data, u32 size)
{
    const struct driver_part part = { SAYS, size, 0 };

    memcpy(driver_ptr(&t->d, SAYS), data, size);
    driver_offer(&t->d, CONTROL_TX, &part, 1);
    driver_kick(&t->d, CONTROL_TX);
    assert_true(driver_take(&t->d, CONTROL_TX, NULL, NULL));
}

static void say(struct test *t, u32 port, u16 event, u16 value)
{
    u8 m[8];

    store_le32(m, port);
    store_le16(m + 4, event);
    store_le16(m + 6, value);
    say_bytes(t, m, sizeof(m));
}

/* The next message of the device: what it is, and its bytes past the header. */
static const u8 *heard(struct test *t, u32 port, u16 event, u16 value, u32 more)
{
    const u8 *m;
    u32 written;
    u16 head;

    assert_true(driver_take(&t->d, CONTROL_RX, &head, &written));
    m = driver_ptr(&t->d, MESSAGES + MESSAGE_MAX * head);
    assert_int_equal(load_le32(m), port);
    assert_int_equal(load_le16(m + 4), event);
    assert_int_equal(load_le16(m + 6), value);
    assert_int_equal(written, 8 + more);
    return m + 8;
}

static void heard_no_more(struct test *t)
{
    assert_false(driver_take(&t->d, CONTROL_RX, NULL, NULL));
}

/* Console hvc0, port "org.first" and port "org.second", everything known to the driver but nothing open there. */
static void build(struct test *t, u64 features)
{
    struct virtio *v = make(t, 4);

    add(v, CONSOLE_PORT_ANY, true, NULL, &t->chr[0]);
    add(v, CONSOLE_PORT_ANY, false, "org.first", &t->chr[1]);
    add(v, CONSOLE_PORT_ANY, false, "org.second", &t->chr[2]);
    driver_plug(&t->d, v, false);
    driver_start(&t->d, features, 8);
}

static void begin(struct test *t)
{
    build(t, F_MULTIPORT);
    offer_control(t, 16);
    say(t, UINT32_MAX, READY, 1);
    for (unsigned i = 0; i < PORTS; i++)
        heard(t, i, ADD, 1, 0);
    for (unsigned i = 0; i < PORTS; i++)
        say(t, i, PORT_READY, 1);
    heard(t, 0, CONSOLE, 1, 0);
    heard(t, 0, OPEN, 1, 0);
    heard(t, 1, NAME, 1, 10);
    heard(t, 2, NAME, 1, 11);
    heard_no_more(t);
}

static void print(struct test *t, unsigned q, const char *text)
{
    const struct driver_part part = { TEXT, (u32)strlen(text), 0 };

    memcpy(driver_ptr(&t->d, TEXT), text, strlen(text));
    driver_offer(&t->d, q, &part, 1);
    driver_kick(&t->d, q);
}

static void offer_buffers(struct test *t, unsigned q, unsigned count)
{
    while (count--) {
        const struct driver_part part = { BUFFERS + BUFFER_SIZE * (t->next_buffer++ % 16),
                                          BUFFER_SIZE, DRIVER_WRITE };

        driver_offer(&t->d, q, &part, 1);
    }
    driver_kick(&t->d, q);
}

#define assert_printed(chr, text) \
    do { \
        assert_int_equal((chr)->out_size, strlen(text)); \
        assert_memory_equal((chr)->out, text, strlen(text)); \
    } while (0)

/* ---- Bytes ---- */

static void what_the_guest_writes_reaches_the_backend(void **state)
{
    struct test *t = *state;

    plain(t, false);
    print(t, TX0, "hello");
    assert_true(driver_take(&t->d, TX0, NULL, NULL));
    assert_printed(&t->chr[0], "hello");
}

static void a_legacy_driver_is_served_too(void **state)
{
    struct test *t = *state;

    plain(t, true);
    print(t, TX0, "hello");
    assert_true(driver_take(&t->d, TX0, NULL, NULL));
    assert_printed(&t->chr[0], "hello");
    offer_buffers(t, RX0, 1);
    assert_int_equal(fake_chardev_input(&t->chr[0], "x", 1), 1);
    assert_true(driver_take(&t->d, RX0, NULL, NULL));
}

static void parts_of_a_chain_keep_their_order(void **state)
{
    struct test *t = *state;
    const struct driver_part parts[] = { { TEXT + 4, 2, 0 }, { TEXT, 4, 0 }, { TEXT + 6, 1, 0 } };

    plain(t, false);
    memcpy(driver_ptr(&t->d, TEXT), "llo!he?", 7);
    driver_offer(&t->d, TX0, parts, 3);
    driver_kick(&t->d, TX0);
    assert_printed(&t->chr[0], "hello!?");
}

static void output_waits_for_room_and_goes_on_where_it_was(void **state)
{
    struct test *t = *state;

    plain(t, false);
    t->chr[0].room = 3;
    print(t, TX0, "0123456789");
    assert_false(driver_take(&t->d, TX0, NULL, NULL));
    assert_printed(&t->chr[0], "012");
    fake_chardev_writable(&t->chr[0], 4);
    assert_false(driver_take(&t->d, TX0, NULL, NULL));
    assert_printed(&t->chr[0], "0123456");
    fake_chardev_writable(&t->chr[0], 100);
    assert_true(driver_take(&t->d, TX0, NULL, NULL));
    assert_printed(&t->chr[0], "0123456789");
}

static void a_full_backend_is_not_tried_again_at_each_doorbell(void **state)
{
    struct test *t = *state;

    plain(t, false);
    t->chr[0].room = 0;
    print(t, TX0, "a");
    for (unsigned i = 0; i < 5; i++)
        driver_kick(&t->d, TX0);
    assert_int_equal(t->chr[0].refused, 1);
}

static void what_waits_in_the_queue_follows_in_order(void **state)
{
    struct test *t = *state;
    const struct driver_part second = { TEXT + 100, 3, 0 };

    plain(t, false);
    t->chr[0].room = 1;
    print(t, TX0, "abc");
    memcpy(driver_ptr(&t->d, TEXT + 100), "def", 3);
    driver_offer(&t->d, TX0, &second, 1);
    driver_kick(&t->d, TX0);
    fake_chardev_writable(&t->chr[0], 100);
    assert_printed(&t->chr[0], "abcdef");
}

static void more_chains_than_one_turn_serves_are_all_served(void **state)
{
    struct test *t = *state;
    char wanted[641];

    plain(t, false);
    for (unsigned i = 0; i < 40; i++) {
        for (unsigned j = 0; j < DRIVER_QUEUE_SIZE; j++) {
            const struct driver_part part = { TEXT + j, 1, 0 };

            *(char *)driver_ptr(&t->d, TEXT + j) = (char)('a' + (i + j) % 26);
            wanted[16 * i + j] = (char)('a' + (i + j) % 26);
            driver_offer(&t->d, TX0, &part, 1);
        }
        driver_kick(&t->d, TX0);
        while (driver_take(&t->d, TX0, NULL, NULL))
            ;
    }
    wanted[640] = 0;
    assert_printed(&t->chr[0], wanted);
}

static void input_fills_the_guests_buffers(void **state)
{
    struct test *t = *state;
    const char text[] = "The quick brown fox jumps over the lazy dog";
    u32 written;
    u16 head;

    plain(t, false);
    offer_buffers(t, RX0, 2);
    assert_int_equal(fake_chardev_can_receive(&t->chr[0]), 2 * BUFFER_SIZE);
    assert_int_equal(fake_chardev_input(&t->chr[0], text, 43), 43);
    assert_true(driver_take(&t->d, RX0, &head, &written));
    assert_int_equal(written, BUFFER_SIZE);
    assert_memory_equal(driver_ptr(&t->d, BUFFERS), text, BUFFER_SIZE);
    assert_true(driver_take(&t->d, RX0, &head, &written));
    assert_int_equal(written, 11);
    assert_memory_equal(driver_ptr(&t->d, BUFFERS + BUFFER_SIZE), text + BUFFER_SIZE, 11);
    assert_int_equal(driver_read(&t->d, 0x60), VIRTIO_ISR_QUEUE);
}

static void input_waits_for_buffers(void **state)
{
    struct test *t = *state;

    plain(t, false);
    assert_int_equal(fake_chardev_can_receive(&t->chr[0]), 0);
    assert_int_equal(t->chr[0].resumes, 0);
    offer_buffers(t, RX0, 1);
    assert_int_equal(t->chr[0].resumes, 1);
    assert_int_equal(fake_chardev_can_receive(&t->chr[0]), BUFFER_SIZE);
}

static void looking_for_room_takes_nothing(void **state)
{
    struct test *t = *state;

    plain(t, false);
    offer_buffers(t, RX0, 3);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(fake_chardev_can_receive(&t->chr[0]), 3 * BUFFER_SIZE);
    assert_false(driver_take(&t->d, RX0, NULL, NULL));
}

static void a_console_without_backend_swallows_output(void **state)
{
    struct test *t = *state;
    struct virtio *v = make(t, 1);

    add(v, 0, true, NULL, NULL);
    driver_plug(&t->d, v, false);
    driver_start(&t->d, 0, 2);
    print(t, TX0, "hello");
    assert_true(driver_take(&t->d, TX0, NULL, NULL));
}

/* ---- Ports and control messages ---- */

static void ports_are_announced_and_named(void **state)
{
    struct test *t = *state;
    const u8 *name;

    build(t, F_MULTIPORT);
    offer_control(t, 16);
    heard_no_more(t);
    say(t, 0, READY, 1);
    for (unsigned i = 0; i < PORTS; i++)
        heard(t, i, ADD, 1, 0);
    say(t, 1, PORT_READY, 1);
    name = heard(t, 1, NAME, 1, 10);
    assert_string_equal(name, "org.first");
    heard_no_more(t);
}

static void messages_wait_for_buffers(void **state)
{
    struct test *t = *state;

    build(t, F_MULTIPORT);
    say(t, 0, READY, 1);
    say(t, 0, PORT_READY, 1);
    say(t, 2, PORT_READY, 1);
    heard_no_more(t);
    offer_control(t, 2);
    heard(t, 0, ADD, 1, 0);
    heard(t, 0, CONSOLE, 1, 0);
    heard_no_more(t);
    offer_control(t, 8);
    heard(t, 0, OPEN, 1, 0);
    heard(t, 1, ADD, 1, 0);
    heard(t, 2, ADD, 1, 0);
    heard(t, 2, NAME, 1, 11);
    heard_no_more(t);
}

static void a_name_is_cut_to_the_guests_buffer(void **state)
{
    struct test *t = *state;
    const struct driver_part part = { MESSAGES, 10, DRIVER_WRITE };
    u32 written;

    build(t, F_MULTIPORT);
    say(t, 1, PORT_READY, 1);
    driver_offer(&t->d, CONTROL_RX, &part, 1);
    driver_kick(&t->d, CONTROL_RX);
    assert_true(driver_take(&t->d, CONTROL_RX, NULL, &written));
    assert_int_equal(written, 10);
}

static void a_port_opens_and_closes_with_its_backend(void **state)
{
    struct test *t = *state;

    begin(t);
    fake_chardev_event(&t->chr[1], CHARDEV_OPENED);
    heard(t, 1, OPEN, 1, 0);
    fake_chardev_event(&t->chr[1], CHARDEV_OPENED);
    heard_no_more(t);
    fake_chardev_event(&t->chr[1], CHARDEV_CLOSED);
    heard(t, 1, OPEN, 0, 0);
    heard_no_more(t);
}

static void a_backend_that_came_early_is_told_with_the_port(void **state)
{
    struct test *t = *state;

    build(t, F_MULTIPORT);
    fake_chardev_event(&t->chr[2], CHARDEV_OPENED);
    offer_control(t, 4);
    say(t, 2, PORT_READY, 1);
    heard(t, 2, NAME, 1, 11);
    heard(t, 2, OPEN, 1, 0);
    heard_no_more(t);
}

static void a_console_is_always_open(void **state)
{
    struct test *t = *state;

    begin(t);
    fake_chardev_event(&t->chr[0], CHARDEV_CLOSED);
    heard_no_more(t);
    print(t, TX0, "x");
    assert_printed(&t->chr[0], "x");
}

static void a_new_connection_is_not_taken_for_the_old_one(void **state)
{
    struct test *t = *state;

    begin(t);
    fake_chardev_event(&t->chr[1], CHARDEV_OPENED);
    heard(t, 1, OPEN, 1, 0);
    while (driver_take(&t->d, CONTROL_RX, NULL, NULL))
        ;
    /* Use up the buffers that begin() left. */
    for (unsigned i = 0; i < 8; i++)
        fake_chardev_event(&t->chr[1], i & 1 ? CHARDEV_OPENED : CHARDEV_CLOSED);
    while (driver_take(&t->d, CONTROL_RX, NULL, NULL))
        ;
    fake_chardev_event(&t->chr[1], CHARDEV_CLOSED);
    fake_chardev_event(&t->chr[1], CHARDEV_OPENED);
    offer_control(t, 4);
    heard(t, 1, OPEN, 0, 0);
    heard(t, 1, OPEN, 1, 0);
    heard_no_more(t);
}

static void output_of_a_port_without_listener_is_dropped(void **state)
{
    struct test *t = *state;

    begin(t);
    print(t, TX1, "nobody");
    assert_true(driver_take(&t->d, TX1, NULL, NULL));
    assert_int_equal(t->chr[1].out_size, 0);
    fake_chardev_event(&t->chr[1], CHARDEV_OPENED);
    print(t, TX1, "somebody");
    assert_printed(&t->chr[1], "somebody");
}

static void a_listener_that_leaves_frees_what_waited_for_it(void **state)
{
    struct test *t = *state;

    begin(t);
    fake_chardev_event(&t->chr[1], CHARDEV_OPENED);
    t->chr[1].room = 2;
    print(t, TX1, "stuck");
    assert_false(driver_take(&t->d, TX1, NULL, NULL));
    fake_chardev_event(&t->chr[1], CHARDEV_CLOSED);
    fake_chardev_writable(&t->chr[1], 0);
    assert_true(driver_take(&t->d, TX1, NULL, NULL));
    fake_chardev_event(&t->chr[1], CHARDEV_OPENED);
    t->chr[1].room = 100;
    print(t, TX1, "+fresh");
    assert_printed(&t->chr[1], "st+fresh");
}

static void input_waits_until_the_guest_opens_the_port(void **state)
{
    struct test *t = *state;

    begin(t);
    offer_buffers(t, RX1, 2);
    assert_int_equal(fake_chardev_can_receive(&t->chr[1]), 0);
    say(t, 1, OPEN, 1);
    assert_int_equal(t->chr[1].resumes, 1);
    assert_int_equal(fake_chardev_input(&t->chr[1], "abc", 3), 3);
    say(t, 1, OPEN, 0);
    assert_int_equal(fake_chardev_can_receive(&t->chr[1]), 0);
}

static void ports_do_not_mix(void **state)
{
    struct test *t = *state;

    begin(t);
    fake_chardev_event(&t->chr[1], CHARDEV_OPENED);
    fake_chardev_event(&t->chr[2], CHARDEV_OPENED);
    t->chr[1].room = 0;
    print(t, TX1, "one");
    print(t, 7, "two");
    print(t, TX0, "zero");
    assert_printed(&t->chr[2], "two");
    assert_printed(&t->chr[0], "zero");
    assert_int_equal(t->chr[1].out_size, 0);
}

static void without_multiport_only_the_first_port_lives(void **state)
{
    struct test *t = *state;

    build(t, 0);
    offer_control(t, 2);
    offer_buffers(t, RX1, 1);
    assert_int_equal(fake_chardev_can_receive(&t->chr[1]), 0);
    offer_buffers(t, RX0, 1);
    assert_int_equal(fake_chardev_can_receive(&t->chr[0]), BUFFER_SIZE);
    heard_no_more(t);
}

static void one_port_needs_no_multiport(void **state)
{
    struct test *t = *state;

    plain(t, false);
    driver_write(&t->d, 0x14, 0);
    assert_int_equal(driver_read(&t->d, 0x10) & F_MULTIPORT, 0);
    assert_int_equal(driver_read(&t->d, 0x100 + 4), 1);
}

/* ---- Window size ---- */

static void the_window_size_follows_the_terminal(void **state)
{
    struct test *t = *state;
    const u8 *size;

    t->chr[0].cols = 80;
    t->chr[0].rows = 25;
    build(t, F_MULTIPORT | F_SIZE);
    offer_control(t, 16);
    say(t, 0, PORT_READY, 1);
    heard(t, 0, CONSOLE, 1, 0);
    size = heard(t, 0, RESIZE, 0, 4);
    assert_int_equal(load_le16(size), 80);
    assert_int_equal(load_le16(size + 2), 25);
    heard(t, 0, OPEN, 1, 0);
    t->chr[0].cols = 132;
    t->chr[0].rows = 43;
    fake_chardev_event(&t->chr[0], CHARDEV_RESIZED);
    size = heard(t, 0, RESIZE, 0, 4);
    assert_int_equal(load_le16(size), 132);
    assert_int_equal(load_le16(size + 2), 43);
    assert_int_equal(driver_read(&t->d, 0x100), 43u << 16 | 132);
}

static void a_plain_driver_reads_the_size_from_the_configuration(void **state)
{
    struct test *t = *state;
    struct virtio *v = make(t, 1);
    u32 generation;

    add(v, 0, true, NULL, &t->chr[0]);
    driver_plug(&t->d, v, false);
    driver_start(&t->d, F_SIZE, 2);
    assert_int_equal(driver_read(&t->d, 0x100), 0);
    generation = driver_read(&t->d, 0xFC);
    t->chr[0].cols = 100;
    t->chr[0].rows = 30;
    fake_chardev_event(&t->chr[0], CHARDEV_RESIZED);
    assert_int_equal(driver_read(&t->d, 0x60) & VIRTIO_ISR_CONFIG, VIRTIO_ISR_CONFIG);
    assert_int_not_equal(driver_read(&t->d, 0xFC), generation);
    assert_int_equal(driver_read(&t->d, 0x100), 30u << 16 | 100);
}

static void without_the_feature_there_is_no_resize(void **state)
{
    struct test *t = *state;

    begin(t);
    t->chr[0].cols = 100;
    t->chr[0].rows = 30;
    fake_chardev_event(&t->chr[0], CHARDEV_RESIZED);
    heard_no_more(t);
    assert_int_equal(driver_read(&t->d, 0x60) & VIRTIO_ISR_CONFIG, 0);
}

/* ---- Emergency output ---- */

static void a_guest_prints_without_a_driver(void **state)
{
    struct test *t = *state;
    struct virtio *v = make(t, 4);

    add(v, CONSOLE_PORT_ANY, false, NULL, &t->chr[1]);
    add(v, CONSOLE_PORT_ANY, true, NULL, &t->chr[0]);
    driver_plug(&t->d, v, false);
    driver_write(&t->d, 0x108, '!');
    assert_printed(&t->chr[0], "!");
    assert_int_equal(t->chr[1].out_size, 0);
    driver_write(&t->d, 0x104, '?'); /* the number of ports is not to be written */
    assert_int_equal(driver_read(&t->d, 0x104), 4);
    assert_printed(&t->chr[0], "!");
}

static void emergency_output_can_be_off(void **state)
{
    struct test *t = *state;
    struct console_config config = { &t->d.ram, t->d.loop, 2, true };
    struct virtio *v = console_new(&config);

    add(v, 0, true, NULL, &t->chr[0]);
    driver_plug(&t->d, v, false);
    driver_write(&t->d, 0x108, '!');
    assert_int_equal(t->chr[0].out_size, 0);
    assert_int_equal(driver_read(&t->d, 0x10) & BIT(2), 0);
}

/* ---- Reset ---- */

static void a_reset_forgets_a_chain_in_part(void **state)
{
    struct test *t = *state;

    plain(t, false);
    t->chr[0].room = 3;
    print(t, TX0, "012345");
    driver_reset(&t->d);
    fake_chardev_writable(&t->chr[0], 100);
    assert_printed(&t->chr[0], "012");
    driver_start(&t->d, 0, 2);
    print(t, TX0, "abc");
    assert_printed(&t->chr[0], "012abc");
}

static void after_a_reset_ports_are_closed_and_unknown(void **state)
{
    struct test *t = *state;

    begin(t);
    offer_buffers(t, RX1, 1);
    say(t, 1, OPEN, 1);
    fake_chardev_event(&t->chr[1], CHARDEV_OPENED);
    driver_reset(&t->d);
    assert_int_equal(fake_chardev_can_receive(&t->chr[1]), 0);
    fake_chardev_event(&t->chr[1], CHARDEV_CLOSED);
    fake_chardev_event(&t->chr[1], CHARDEV_OPENED);
    t->control_buffer = 0;
    driver_start(&t->d, F_MULTIPORT, 8);
    offer_control(t, 8);
    heard_no_more(t);
    say(t, 1, PORT_READY, 1);
    heard(t, 1, NAME, 1, 10);
    heard(t, 1, OPEN, 1, 0);
}

/* ---- Hostile drivers ---- */

static void messages_that_make_no_sense_are_ignored(void **state)
{
    struct test *t = *state;

    begin(t);
    say_bytes(t, "abc", 3);
    say(t, 3, PORT_READY, 1);
    say(t, 4, PORT_READY, 1);
    say(t, UINT32_MAX, OPEN, 1);
    say(t, 0, 77, 1);
    say(t, 0, ADD, 1);
    say(t, 1, PORT_READY, 0);
    say(t, 0, READY, 0);
    heard_no_more(t);
    print(t, TX0, "alive");
    assert_printed(&t->chr[0], "alive");
}

static void messages_said_again_and_again_need_no_room(void **state)
{
    struct test *t = *state;

    build(t, F_MULTIPORT);
    for (unsigned i = 0; i < 1000; i++) {
        say(t, 0, READY, 1);
        say(t, 1, PORT_READY, 1);
    }
    offer_control(t, 8);
    heard(t, 0, ADD, 1, 0);
    heard(t, 1, ADD, 1, 0);
    heard(t, 1, NAME, 1, 10);
    heard(t, 2, ADD, 1, 0);
    heard_no_more(t);
}

static void a_chain_outside_of_memory_breaks_the_device(void **state)
{
    struct test *t = *state;
    const struct driver_part part = { DRIVER_RAM_SIZE - 1, 2, 0 };

    plain(t, false);
    driver_offer(&t->d, TX0, &part, 1);
    driver_kick(&t->d, TX0);
    assert_int_equal(t->chr[0].out_size, 0);
    assert_int_equal(driver_read(&t->d, 0x70) & VIRTIO_STATUS_NEEDS_RESET,
                     VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(fake_chardev_can_receive(&t->chr[0]), 0);
    fake_chardev_event(&t->chr[0], CHARDEV_RESIZED);
    driver_reset(&t->d);
    driver_start(&t->d, 0, 2);
    print(t, TX0, "again");
    assert_printed(&t->chr[0], "again");
}

static void writable_parts_of_output_and_readable_ones_of_input_are_harmless(void **state)
{
    struct test *t = *state;
    const struct driver_part out = { TEXT, 5, DRIVER_WRITE }, in = { TEXT, 5, 0 };

    plain(t, false);
    driver_offer(&t->d, TX0, &out, 1);
    driver_kick(&t->d, TX0);
    assert_true(driver_take(&t->d, TX0, NULL, NULL));
    assert_int_equal(t->chr[0].out_size, 0);
    driver_offer(&t->d, RX0, &in, 1);
    driver_kick(&t->d, RX0);
    assert_int_equal(fake_chardev_can_receive(&t->chr[0]), 0);
    offer_buffers(t, RX0, 1);
    assert_int_equal(fake_chardev_input(&t->chr[0], "abc", 3), 3);
    assert_true(driver_take(&t->d, RX0, NULL, NULL));
    assert_true(driver_take(&t->d, RX0, NULL, NULL));
}

static void a_huge_chain_is_worked_off_in_pieces(void **state)
{
    struct test *t = *state;
    struct driver_part parts[8];
    u64 total = 0;

    plain(t, false);
    for (unsigned i = 0; i < 8; i++)
        parts[i] = (struct driver_part){ 0, DRIVER_RAM_SIZE, 0 };
    t->chr[0].room = 0;
    driver_offer(&t->d, TX0, parts, 8);
    driver_kick(&t->d, TX0);
    while (!driver_take(&t->d, TX0, NULL, NULL)) {
        assert_true(total < 16 * DRIVER_RAM_SIZE);
        fake_chardev_writable(&t->chr[0], KIB(700));
        total += KIB(700);
    }
    assert_int_equal(t->chr[0].out_size, 8 * DRIVER_RAM_SIZE);
}

static void rings_of_random_content_are_survived(void **state)
{
    struct test *t = *state;
    u64 seed = 42;

    begin(t);
    for (unsigned round = 0; round < 3000; round++) {
        unsigned q = (unsigned)round % 8;

        for (unsigned i = 0; i < 400; i += 8) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            store_le64((u8 *)driver_ptr(&t->d, t->d.queues[q].desc) + i,
                       (seed >> 20) & (round & 8 ? UINT64_MAX : 0x0007000F000FFFFFu));
        }
        store_le16((u8 *)driver_ptr(&t->d, t->d.queues[q].avail) + 2, (u16)(seed >> 50));
        driver_kick(&t->d, q);
        fake_chardev_input(&t->chr[round % PORTS], "0123456789", 10);
        fake_chardev_event(&t->chr[1], round & 1 ? CHARDEV_OPENED : CHARDEV_CLOSED);
        if (driver_read(&t->d, 0x70) & VIRTIO_STATUS_NEEDS_RESET) {
            driver_reset(&t->d);
            driver_start(&t->d, F_MULTIPORT, 8);
        }
    }
}

/* ---- Set-up ---- */

static void ports_are_numbered_as_asked_or_in_order(void **state)
{
    struct test *t = *state;
    struct virtio *v = make(t, 4);
    struct console_port_config config = { CONSOLE_PORT_ANY, false, "b", NULL };
    struct error err;

    driver_plug(&t->d, v, false);
    add(v, 2, false, "a", NULL);
    add(v, CONSOLE_PORT_ANY, false, "b", NULL); /* 1 */
    assert_false(console_add_port(v, &config, &err));
    assert_string_equal(err.text, "virtio-serial-bus: A port already exists by name b");
    config = (struct console_port_config){ 2, false, NULL, NULL };
    assert_false(console_add_port(v, &config, &err));
    assert_string_equal(err.text, "virtio-serial-bus: A port already exists at id 2");
    config.nr = 4;
    assert_false(console_add_port(v, &config, &err));
    assert_string_equal(err.text,
                        "virtio-serial-bus: Out-of-range port id specified, max. allowed: 3");
    config.nr = 0;
    assert_false(console_add_port(v, &config, &err));
    assert_non_null(strstr(err.text, "reserved for virtconsole"));
    add(v, CONSOLE_PORT_ANY, true, NULL, NULL); /* 0 */
    add(v, CONSOLE_PORT_ANY, true, NULL, NULL); /* 3 */
    config.nr = CONSOLE_PORT_ANY;
    assert_false(console_add_port(v, &config, &err));
    assert_non_null(strstr(err.text, "Maximum port limit"));
}

static void a_chardev_has_one_user(void **state)
{
    struct test *t = *state;
    struct virtio *v = make(t, 4);
    struct console_port_config config = { CONSOLE_PORT_ANY, false, NULL, &t->chr[0].chr };
    struct error err;

    driver_plug(&t->d, v, false);
    t->chr[0].chr.id = (char *)(uintptr_t) "c0";
    add(v, CONSOLE_PORT_ANY, true, NULL, &t->chr[0]);
    assert_false(console_add_port(v, &config, &err));
    assert_string_equal(err.text, "chardev 'c0' is in use by another device");
}

static void all_31_ports_can_be_used(void **state)
{
    struct test *t = *state;
    struct virtio *v = make(t, CONSOLE_PORTS_MAX);

    driver_plug(&t->d, v, true);
    for (unsigned i = 0; i < CONSOLE_PORTS_MAX; i++)
        add(v, CONSOLE_PORT_ANY, true, NULL, NULL);
    assert_int_equal(v->queue_count, 64);
    assert_int_equal(driver_read(&t->d, 0x104), 31);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(what_the_guest_writes_reaches_the_backend),
        T(a_legacy_driver_is_served_too),
        T(parts_of_a_chain_keep_their_order),
        T(output_waits_for_room_and_goes_on_where_it_was),
        T(a_full_backend_is_not_tried_again_at_each_doorbell),
        T(what_waits_in_the_queue_follows_in_order),
        T(more_chains_than_one_turn_serves_are_all_served),
        T(input_fills_the_guests_buffers),
        T(input_waits_for_buffers),
        T(looking_for_room_takes_nothing),
        T(a_console_without_backend_swallows_output),
        T(ports_are_announced_and_named),
        T(messages_wait_for_buffers),
        T(a_name_is_cut_to_the_guests_buffer),
        T(a_port_opens_and_closes_with_its_backend),
        T(a_backend_that_came_early_is_told_with_the_port),
        T(a_console_is_always_open),
        T(a_new_connection_is_not_taken_for_the_old_one),
        T(output_of_a_port_without_listener_is_dropped),
        T(a_listener_that_leaves_frees_what_waited_for_it),
        T(input_waits_until_the_guest_opens_the_port),
        T(ports_do_not_mix),
        T(without_multiport_only_the_first_port_lives),
        T(one_port_needs_no_multiport),
        T(the_window_size_follows_the_terminal),
        T(a_plain_driver_reads_the_size_from_the_configuration),
        T(without_the_feature_there_is_no_resize),
        T(a_guest_prints_without_a_driver),
        T(emergency_output_can_be_off),
        T(a_reset_forgets_a_chain_in_part),
        T(after_a_reset_ports_are_closed_and_unknown),
        T(messages_that_make_no_sense_are_ignored),
        T(messages_said_again_and_again_need_no_room),
        T(a_chain_outside_of_memory_breaks_the_device),
        T(writable_parts_of_output_and_readable_ones_of_input_are_harmless),
        T(a_huge_chain_is_worked_off_in_pieces),
        T(rings_of_random_content_are_survived),
        T(ports_are_numbered_as_asked_or_in_order),
        T(a_chardev_has_one_user),
        T(all_31_ports_can_be_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
