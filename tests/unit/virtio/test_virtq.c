/* SPDX-License-Identifier: MIT */
/* Virtqueues: what a driver may do, and everything that it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "unit/virtio/fixture.h"

#define NEXT     1
#define WRITE    2
#define INDIRECT 4
#define AVAIL    0x80
#define USED     0x8000

static int setup(void **state)
{
    static struct fixture f;

    fixture_init(&f, false);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    return 0;
}

static enum virtq_result pop(struct fixture *f)
{
    return virtq_pop(&f->v.queues[0], &f->chain);
}

static void assert_broken(struct fixture *f)
{
    assert_int_equal(pop(f), VIRTQ_BROKEN);
    assert_true(fixture_read(f, 0x70) & VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(fixture_read(f, 0x60), VIRTIO_ISR_CONFIG);
    assert_true(f->irq.level[0]);
    fixture_write(f, 0x64, 3);
    assert_int_equal(pop(f), VIRTQ_BROKEN);
    assert_int_equal(fixture_read(f, 0x60), 0);
    fixture_write(f, 0x70, 0);
    assert_int_equal(fixture_read(f, 0x70), 0);
    assert_int_equal(pop(f), VIRTQ_EMPTY);
}

static void a_chain_comes_whole_and_goes_back(void **state)
{
    struct fixture *f = *state;
    struct virtq *q = &f->v.queues[0];
    char text[8] = "";

    fixture_start(f, 0);
    memcpy(f->ram.host + RING_DATA, "abcdef", 6);
    ring_desc(f, 3, RING_DATA, 2, NEXT, 5);
    ring_desc(f, 5, RING_DATA + 2, 4, NEXT, 1);
    ring_desc(f, 1, RING_DATA + 64, 16, WRITE, 0);
    assert_int_equal(pop(f), VIRTQ_EMPTY);
    ring_offer(f, 3);
    assert_int_equal(pop(f), VIRTQ_CHAIN);
    assert_int_equal(f->chain.head, 3);
    assert_int_equal(f->chain.out_count, 2);
    assert_int_equal(f->chain.in_count, 1);
    assert_int_equal(f->chain.out_size, 6);
    assert_int_equal(f->chain.in_size, 16);
    assert_int_equal(virtq_read(&f->chain, 1, text, sizeof(text)), 5);
    assert_string_equal(text, "bcdef");
    assert_int_equal(virtq_write(&f->chain, 12, "12345678", 8), 4);
    assert_memory_equal(f->ram.host + RING_DATA + 64 + 12, "1234", 4);
    virtq_push(q, &f->chain, 16);
    assert_int_equal(ring_load(f, RING_USED + 2), 1);
    assert_int_equal(load_le32(f->ram.host + RING_USED + 4), 3);
    assert_int_equal(load_le32(f->ram.host + RING_USED + 8), 16);
    virtq_signal(q);
    assert_int_equal(fixture_read(f, 0x60), VIRTIO_ISR_QUEUE);
    assert_int_equal(pop(f), VIRTQ_EMPTY);
}

static void an_unpopped_chain_comes_again(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, 0);
    ring_desc(f, 0, RING_DATA, 2, 0, 0);
    ring_offer(f, 0);
    assert_int_equal(pop(f), VIRTQ_CHAIN);
    virtq_unpop(&f->v.queues[0], &f->chain);
    assert_int_equal(pop(f), VIRTQ_CHAIN);
    assert_int_equal(pop(f), VIRTQ_EMPTY);
}

static void the_indices_wrap(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, VIRTIO_F_EVENT_IDX);
    ring_desc(f, 0, RING_DATA, 2, 0, 0);
    for (unsigned i = 1; i <= 70000; i++) {
        ring_offer(f, 0);
        assert_int_equal(pop(f), VIRTQ_CHAIN);
        virtq_push(&f->v.queues[0], &f->chain, 0);
        assert_int_equal(ring_load(f, RING_USED + 2), (u16)i);
    }
}

static void no_interrupt_is_respected(void **state)
{
    struct fixture *f = *state;
    struct virtq *q = &f->v.queues[0];

    fixture_start(f, 0);
    ring_desc(f, 0, RING_DATA, 2, 0, 0);
    ring_store(f, RING_AVAIL, 1);
    ring_offer(f, 0);
    assert_int_equal(pop(f), VIRTQ_CHAIN);
    virtq_push(q, &f->chain, 0);
    virtq_signal(q);
    assert_int_equal(f->irq.rises[0], 0);
}

static void event_idx_decides_interrupts_and_doorbells(void **state)
{
    struct fixture *f = *state;
    struct virtq *q = &f->v.queues[0];

    fixture_start(f, VIRTIO_F_EVENT_IDX);
    ring_desc(f, 0, RING_DATA, 2, 0, 0);
    ring_store(f, RING_AVAIL + 4 + 2 * RING_SIZE, 2); /* used_event */
    for (unsigned i = 0; i < 4; i++) {
        ring_offer(f, 0);
        assert_int_equal(pop(f), VIRTQ_CHAIN);
        virtq_push(q, &f->chain, 0);
        virtq_signal(q);
        fixture_write(f, 0x64, 1);
        assert_int_equal(f->irq.rises[0], i == 0 ? 1 : i < 2 ? 1 : 2);
    }
    assert_int_equal(pop(f), VIRTQ_EMPTY);
    assert_int_equal(ring_load(f, RING_USED + 4 + 8 * RING_SIZE), 4); /* avail_event */
}

static void notifications_are_switched_by_flag(void **state)
{
    struct fixture *f = *state;
    struct virtq *q = &f->v.queues[0];

    fixture_start(f, 0);
    virtq_disable_notify(q);
    assert_int_equal(ring_load(f, RING_USED), 1);
    ring_desc(f, 0, RING_DATA, 2, 0, 0);
    ring_offer(f, 0);
    assert_true(virtq_enable_notify(q));
    assert_int_equal(ring_load(f, RING_USED), 0);
}

static void an_indirect_table_is_followed(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, VIRTIO_F_INDIRECT_DESC);
    ring_desc(f, 0, RING_DATA, 1, NEXT, 1);
    ring_desc(f, 1, RING_DESC + 16 * 16, 32, INDIRECT, 0);
    ring_desc(f, 16, RING_DATA, 2, NEXT, 1);
    ring_desc(f, 17, RING_DATA, 4, WRITE, 0);
    ring_offer(f, 0);
    assert_int_equal(pop(f), VIRTQ_CHAIN);
    assert_int_equal(f->chain.out_size, 3);
    assert_int_equal(f->chain.in_size, 4);
}

struct mistake {
    u64 addr;
    u32 size;
    u16 flags, next, head;
};

/* Descriptor 0 (or an offer of another), and why it is wrong. */
static const struct mistake mistakes[] = {
    { RING_DATA, 16, NEXT, 0, 0 },                 /* a loop */
    { RING_DATA, 16, NEXT, RING_SIZE, 0 },         /* next beyond the table */
    { RING_DATA, 16, 0, 0, RING_SIZE },            /* head beyond the table */
    { RING_DATA, 0, 0, 0, 0 },                     /* empty */
    { MIB(1), 16, 0, 0, 0 },                       /* outside */
    { MIB(1) - 8, 16, WRITE, 0, 0 },               /* runs out */
    { UINT64_MAX - 7, 16, WRITE, 0, 0 },           /* wraps */
    { 0, UINT32_MAX, WRITE, 0, 0 },                /* far too long */
    { RING_DATA, 8, INDIRECT, 0, 0 },              /* half a descriptor */
    { RING_DATA, 0, INDIRECT, 0, 0 },              /* an empty table */
    { RING_DATA, 32, INDIRECT | NEXT, 1, 0 },      /* goes on after its table */
    { MIB(1), 32, INDIRECT, 0, 0 },                /* a table outside */
    { UINT64_MAX - 15, 32, INDIRECT, 0, 0 },       /* a table that wraps */
    { RING_DESC, 16 * RING_SIZE, INDIRECT, 0, 0 }, /* a table in itself */
};

static void each_mistake_breaks_the_queue_once(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++) {
        const struct mistake *m = &mistakes[i];

        memset(f->ram.host, 0, 0x4000);
        fixture_start(f, VIRTIO_F_INDIRECT_DESC);
        ring_desc(f, 0, m->addr, m->size, m->flags, m->next);
        ring_offer(f, m->head);
        assert_broken(f);
    }
}

static void readable_after_writable_breaks(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, 0);
    ring_desc(f, 0, RING_DATA, 2, NEXT | WRITE, 1);
    ring_desc(f, 1, RING_DATA, 2, 0, 0);
    ring_offer(f, 0);
    assert_broken(f);
}

static void a_table_that_was_not_negotiated_breaks(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, 0);
    ring_desc(f, 0, RING_DATA, 16, INDIRECT, 0);
    ring_offer(f, 0);
    assert_broken(f);
}

static void an_index_that_ran_ahead_breaks(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, 0);
    ring_store(f, RING_AVAIL + 2, RING_SIZE + 1);
    assert_broken(f);
}

static void more_chains_than_the_ring_holds_break(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, 0);
    ring_desc(f, 0, RING_DATA, 2, 0, 0);
    for (unsigned i = 0; i < RING_SIZE; i++) {
        ring_offer(f, 0);
        assert_int_equal(pop(f), VIRTQ_CHAIN);
    }
    ring_offer(f, 0);
    assert_broken(f);
}

static void too_many_parts_break(void **state)
{
    struct fixture *f = *state;
    unsigned count = VIRTQ_PARTS_MAX + 1;

    fixture_start(f, VIRTIO_F_INDIRECT_DESC);
    ring_desc(f, 0, RING_DATA, 16 * count, INDIRECT, 0);
    for (unsigned i = 0; i < count; i++)
        ring_desc(f, (RING_DATA - RING_DESC) / 16 + i, RING_DATA, 1, NEXT, (u16)(i + 1));
    ring_offer(f, 0);
    assert_broken(f);
}

static void rings_outside_of_memory_break(void **state)
{
    static const u32 addresses[] = { MIB(1), 0xFFFFFFF0, MIB(1) - 16, RING_DESC + 8,
                                     RING_DESC + 1 };
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
        fixture_start(f, 0);
        fixture_write(f, 0x44, 0);
        fixture_write(f, 0x80, addresses[i]);
        fixture_write(f, 0x44, 1);
        assert_int_equal(fixture_read(f, 0x44), 0);
        assert_true(fixture_read(f, 0x70) & VIRTIO_STATUS_NEEDS_RESET);
        fixture_write(f, 0x70, 0);
    }
}

static void restarting_with_a_chain_in_flight_breaks(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, 0);
    ring_desc(f, 0, RING_DATA, 2, 0, 0);
    ring_offer(f, 0);
    assert_int_equal(pop(f), VIRTQ_CHAIN);
    fixture_write(f, 0x44, 0);
    fixture_write(f, 0x44, 1);
    assert_true(fixture_read(f, 0x70) & VIRTIO_STATUS_NEEDS_RESET);
    virtq_push(&f->v.queues[0], &f->chain, 0); /* goes nowhere */
    assert_int_equal(ring_load(f, RING_USED + 2), 0);
}

static void written_code_is_told(void *arg, u64 offset, u64 size)
{
    u64 *told = arg;

    if (offset >= RING_DATA)
        *told += size;
}

static void what_the_device_wrote_is_marked(void **state)
{
    struct fixture *f = *state;
    u64 told = 0;

    fixture_start(f, 0);
    ram_on_code_write(&f->ram, written_code_is_told, &told);
    f->ram.code_pages[RING_DATA / RAM_PAGE_SIZE] = 1;
    ring_desc(f, 0, RING_DATA, 64, WRITE, 0);
    ring_offer(f, 0);
    assert_int_equal(pop(f), VIRTQ_CHAIN);
    virtq_push(&f->v.queues[0], &f->chain, 40);
    assert_int_equal(told, 40);
}

/* Packed: two laps and more, chains of two, out of step with the size. */
static void packed_chains_go_around_the_ring(void **state)
{
    struct fixture *f = *state;
    struct virtq *q = &f->v.queues[0];
    unsigned slot = 0, used = 0;
    bool wrap = true, used_wrap = true;

    fixture_start(f, VIRTIO_F_RING_PACKED);
    for (u16 id = 0; id < 50; id++) {
        assert_int_equal(pop(f), VIRTQ_EMPTY);
        for (unsigned i = 0; i < 3; i++) {
            ring_packed(f, slot, RING_DATA + 16 * i, 16, id,
                        (u16)((i < 2 ? NEXT : WRITE) | (wrap ? AVAIL : USED)));
            slot = (slot + 1) % RING_SIZE;
            wrap ^= slot == 0;
        }
        assert_int_equal(pop(f), VIRTQ_CHAIN);
        virtq_unpop(q, &f->chain);
        assert_int_equal(pop(f), VIRTQ_CHAIN);
        assert_int_equal(f->chain.head, id);
        assert_int_equal(f->chain.descriptors, 3);
        assert_int_equal(f->chain.out_size, 32);
        virtq_push(q, &f->chain, 7);
        assert_int_equal(load_le32(f->ram.host + RING_DESC + 16 * used + 8), 7);
        assert_int_equal(ring_load(f, RING_DESC + 16 * used + 12), id);
        assert_int_equal(ring_load(f, RING_DESC + 16 * used + 14),
                         WRITE | (used_wrap ? AVAIL | USED : 0));
        used += 3;
        used_wrap ^= used >= RING_SIZE;
        used %= RING_SIZE;
        virtq_signal(q);
        assert_int_equal(f->irq.rises[0], id + 1);
        fixture_write(f, 0x64, 1);
    }
}

static void packed_interrupts_can_be_off(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, VIRTIO_F_RING_PACKED);
    ring_store(f, RING_AVAIL + 2, 1);
    ring_packed(f, 0, RING_DATA, 1, 0, AVAIL);
    assert_int_equal(pop(f), VIRTQ_CHAIN);
    virtq_push(&f->v.queues[0], &f->chain, 0);
    virtq_signal(&f->v.queues[0]);
    assert_int_equal(f->irq.rises[0], 0);
}

static void packed_loops_break(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, VIRTIO_F_RING_PACKED);
    for (unsigned i = 0; i < RING_SIZE; i++)
        ring_packed(f, i, RING_DATA, 1, 0, NEXT | AVAIL);
    assert_broken(f);
}

static void packed_tables_are_followed(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC);
    ring_packed(f, 16, RING_DATA, 5, 0, 0);
    ring_packed(f, 17, RING_DATA, 6, 0, WRITE);
    ring_packed(f, 0, RING_DESC + 256, 32, 77, INDIRECT | AVAIL);
    assert_int_equal(pop(f), VIRTQ_CHAIN);
    assert_int_equal(f->chain.head, 77);
    assert_int_equal(f->chain.descriptors, 1);
    assert_int_equal(f->chain.out_size, 5);
    assert_int_equal(f->chain.in_size, 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_chain_comes_whole_and_goes_back),
        TEST(an_unpopped_chain_comes_again),
        TEST(the_indices_wrap),
        TEST(no_interrupt_is_respected),
        TEST(event_idx_decides_interrupts_and_doorbells),
        TEST(notifications_are_switched_by_flag),
        TEST(an_indirect_table_is_followed),
        TEST(each_mistake_breaks_the_queue_once),
        TEST(readable_after_writable_breaks),
        TEST(a_table_that_was_not_negotiated_breaks),
        TEST(an_index_that_ran_ahead_breaks),
        TEST(more_chains_than_the_ring_holds_break),
        TEST(too_many_parts_break),
        TEST(rings_outside_of_memory_break),
        TEST(restarting_with_a_chain_in_flight_breaks),
        TEST(what_the_device_wrote_is_marked),
        TEST(packed_chains_go_around_the_ring),
        TEST(packed_interrupts_can_be_off),
        TEST(packed_loops_break),
        TEST(packed_tables_are_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
