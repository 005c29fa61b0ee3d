/* SPDX-License-Identifier: MIT */
/* Virtqueues, device side: split rings (virtio 1.2, 2.7) and packed rings (2.8). */
#include "virtio/virtq.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "virtio/virtio.h"

/* Descriptors, 2.7.5 and 2.8.13. */
#define VIRTQ_DESC_SIZE       16u
#define VIRTQ_DESC_F_NEXT     0x0001u
#define VIRTQ_DESC_F_WRITE    0x0002u
#define VIRTQ_DESC_F_INDIRECT 0x0004u
#define VIRTQ_DESC_F_AVAIL    0x0080u /* packed */
#define VIRTQ_DESC_F_USED     0x8000u /* packed */
#define VIRTQ_DESC_ID         12u     /* packed: offsets in a descriptor */
#define VIRTQ_DESC_FLAGS      14u

/* Split rings: offsets in the available and used rings, 2.7.6 and 2.7.8. */
#define VIRTQ_RING_FLAGS      0u
#define VIRTQ_RING_INDEX      2u
#define VIRTQ_RING_ENTRIES    4u
#define VIRTQ_USED_ENTRY_SIZE 8u
#define VIRTQ_RING_F_NO_EVENT 1u /* NO_INTERRUPT, NO_NOTIFY */
#define VIRTQ_AVAIL_SIZE(n)   (6u + 2u * (n))
#define VIRTQ_USED_SIZE(n)    (6u + 8u * (n))

/* Packed rings: event suppression areas, 2.8.14. */
#define VIRTQ_EVENT_SIZE      4u
#define VIRTQ_EVENT_FLAGS     2u
#define VIRTQ_EVENT_ENABLE    0u
#define VIRTQ_EVENT_DISABLE   1u
#define VIRTQ_EVENT_DESC      2u

#define VIRTQ_WRAP            0x8000u /* the wrap counter in last_avail and last_used */
#define VIRTQ_LEGACY_ALIGN    4096u
#define VIRTQ_LEGACY_PAGE     4096u

struct virtq_desc {
    gpa addr;
    u32 size;
    u16 flags;
    u16 next; /* packed: the buffer id */
};

/* Where a chain's descriptors come from: the ring, or an indirect table. */
struct virtq_table {
    gpa base;
    unsigned count;
};

static bool virtq_is_packed(const struct virtq *q)
{
    return virtio_has(q->virtio, VIRTIO_F_RING_PACKED);
}

static bool virtq_has_event_idx(const struct virtq *q)
{
    return virtio_has(q->virtio, VIRTIO_F_EVENT_IDX);
}

enum virtq_result virtq_break(struct virtq *q, const char *what)
{
    if (!q->broken) {
        guest_error("%s: queue %u: %s", q->virtio->dev.name, q->index, what);
        q->broken = true;
        virtio_fail(q->virtio, what);
    }
    return VIRTQ_BROKEN;
}

/* ---- Numbers in the rings, which virtq_start found to be in RAM and aligned ---- */

static u16 virtq_load(const struct virtq *q, gpa addr)
{
    const u16 *p = ram_ptr(q->virtio->ram, addr, sizeof(*p));

    assert(p);
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void virtq_store(struct virtq *q, gpa addr, u16 value)
{
    u16 *p = ram_ptr_w(q->virtio->ram, addr, sizeof(*p));

    assert(p);
    __atomic_store_n(p, value, __ATOMIC_RELEASE);
    ram_dirty_ptr(q->virtio->ram, p, sizeof(*p));
}

/* Between our store of an index or event and our load of the driver's: one of the two sides sees the other. */
static void virtq_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Move a packed position on by `n` slots (at most a lap); the wrap counter flips at the end. */
static u16 virtq_advance(const struct virtq *q, u16 position, unsigned n)
{
    unsigned slot = (position & ~VIRTQ_WRAP) + n;

    if (slot < q->state.size)
        return (u16)(slot | (position & VIRTQ_WRAP));
    return (u16)((slot - q->state.size) | ((position & VIRTQ_WRAP) ^ VIRTQ_WRAP));
}

/* ---- Chains ---- */

static bool virtq_fetch(const struct virtq *q, const struct virtq_table *table, unsigned n,
                        struct virtq_desc *desc)
{
    u8 raw[VIRTQ_DESC_SIZE];

    if (ram_read(q->virtio->ram, table->base + (u64)n * VIRTQ_DESC_SIZE, raw, sizeof(raw)))
        return false;
    desc->addr = load_le64(raw);
    desc->size = load_le32(raw + 8);
    desc->flags = load_le16(raw + 12);
    desc->next = load_le16(raw + 14);
    if (virtq_is_packed(q)) {
        desc->next = load_le16(raw + VIRTQ_DESC_ID);
        desc->flags = load_le16(raw + VIRTQ_DESC_FLAGS);
    }
    return true;
}

/* Add a descriptor's bytes to the chain. NULL, or what is wrong with it. */
static const char *virtq_add_part(const struct virtq *q, struct virtq_chain *chain,
                                  const struct virtq_desc *desc)
{
    bool in = desc->flags & VIRTQ_DESC_F_WRITE;
    gpa addr = desc->addr;
    u64 left = desc->size;

    if (!left)
        return "an empty buffer";
    if (!in && chain->in_count)
        return "a readable buffer after a writable one";
    while (left) {
        u64 room;
        i64 offset = ram_offset(q->virtio->ram, addr, &room);
        u64 n = MIN(left, room);

        if (offset < 0 || addr + n < addr)
            return "a buffer outside of memory";
        if (chain->out_count + chain->in_count == VIRTQ_PARTS_MAX)
            return "a chain of too many buffers";
        chain->iov[chain->out_count + chain->in_count] =
            (struct iovec){ q->virtio->ram->host + offset, n };
        *(in ? &chain->in_count : &chain->out_count) += 1;
        *(in ? &chain->in_size : &chain->out_size) += n;
        addr += n;
        left -= n;
    }
    return NULL;
}

/* An indirect table in place of what `desc` is. NULL, or what is wrong with it. */
static const char *virtq_open_table(const struct virtq *q, const struct virtq_desc *desc,
                                    struct virtq_table *table)
{
    if (!virtio_has(q->virtio, VIRTIO_F_INDIRECT_DESC))
        return "an indirect table that was not negotiated";
    if (desc->flags & VIRTQ_DESC_F_NEXT)
        return "an indirect table that is not the end of its chain";
    if (!desc->size || desc->size % VIRTQ_DESC_SIZE)
        return "an indirect table of a wrong size";
    *table = (struct virtq_table){ desc->addr, desc->size / VIRTQ_DESC_SIZE };
    return NULL;
}

static const char *virtq_walk_split(const struct virtq *q, struct virtq_chain *chain)
{
    struct virtq_table table = { q->state.desc, q->state.size };
    bool indirect = false;
    unsigned at = chain->head;
    unsigned steps = 0;

    for (;;) {
        struct virtq_desc desc;
        const char *wrong;

        if (at >= table.count)
            return "a descriptor outside of its table";
        if (steps++ == table.count)
            return "a chain that does not end";
        if (!virtq_fetch(q, &table, at, &desc))
            return "a descriptor outside of memory";
        if (desc.flags & VIRTQ_DESC_F_INDIRECT) {
            wrong =
                indirect ? "an indirect table inside of one" : virtq_open_table(q, &desc, &table);
            indirect = true;
            at = 0;
            steps = 0;
        } else {
            wrong = virtq_add_part(q, chain, &desc);
            at = desc.next;
        }
        if (wrong)
            return wrong;
        if (!(desc.flags & (VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_NEXT)))
            return NULL;
    }
}

/* All entries of a packed ring's indirect table, in order: only WRITE means something in it (2.8.7). */
static const char *virtq_walk_table(const struct virtq *q, struct virtq_chain *chain,
                                    const struct virtq_table *table)
{
    for (unsigned i = 0; i < table->count; i++) {
        struct virtq_desc desc;
        const char *wrong;

        if (!virtq_fetch(q, table, i, &desc))
            return "a descriptor outside of memory";
        wrong = virtq_add_part(q, chain, &desc);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *virtq_walk_packed(const struct virtq *q, struct virtq_chain *chain)
{
    struct virtq_table ring = { q->state.desc, q->state.size };
    u16 position = q->state.last_avail;

    for (;;) {
        struct virtq_table table;
        struct virtq_desc desc;
        const char *wrong;

        if (chain->descriptors++ == q->state.size)
            return "a chain that does not end";
        if (!virtq_fetch(q, &ring, position & ~VIRTQ_WRAP, &desc))
            return "a descriptor outside of memory";
        chain->head = desc.next;
        if (desc.flags & VIRTQ_DESC_F_INDIRECT) {
            wrong = chain->descriptors > 1 ? "an indirect table that is not the start of its chain"
                                           : virtq_open_table(q, &desc, &table);
            return wrong ? wrong : virtq_walk_table(q, chain, &table);
        }
        wrong = virtq_add_part(q, chain, &desc);
        if (wrong || !(desc.flags & VIRTQ_DESC_F_NEXT))
            return wrong;
        position = virtq_advance(q, position, 1);
    }
}

/* ---- What the driver made available ---- */

static unsigned virtq_waiting_split(const struct virtq *q)
{
    return (u16)(virtq_load(q, q->state.avail + VIRTQ_RING_INDEX) - q->state.last_avail);
}

static unsigned virtq_waiting_packed(const struct virtq *q)
{
    unsigned slot = q->state.last_avail & ~VIRTQ_WRAP;
    bool wrap = q->state.last_avail & VIRTQ_WRAP;
    u16 flags = virtq_load(q, q->state.desc + slot * VIRTQ_DESC_SIZE + VIRTQ_DESC_FLAGS);

    return !!(flags & VIRTQ_DESC_F_AVAIL) == wrap && !!(flags & VIRTQ_DESC_F_USED) != wrap;
}

/* Chains that wait: all of them in split rings, 0 or 1 in packed ones. */
static unsigned virtq_waiting(const struct virtq *q)
{
    return virtq_is_packed(q) ? virtq_waiting_packed(q) : virtq_waiting_split(q);
}

/* Say in the ring that a notification is wanted for the next chain. */
static void virtq_arm(struct virtq *q)
{
    struct virtq_state *s = &q->state;

    if (virtq_is_packed(q)) {
        if (virtq_has_event_idx(q))
            virtq_store(q, s->used, s->last_avail);
        virtq_store(q, s->used + VIRTQ_EVENT_FLAGS,
                    virtq_has_event_idx(q) ? VIRTQ_EVENT_DESC : VIRTQ_EVENT_ENABLE);
    } else if (virtq_has_event_idx(q)) {
        virtq_store(q, s->used + VIRTQ_USED_SIZE(s->size) - 2, s->last_avail);
    } else {
        virtq_store(q, s->used + VIRTQ_RING_FLAGS, 0);
    }
    virtq_fence();
}

static bool virtq_is_usable(const struct virtq *q)
{
    return q->state.ready && !q->broken && !q->virtio->broken;
}

bool virtq_enable_notify(struct virtq *q)
{
    q->state.notify_off = false;
    if (!virtq_is_usable(q))
        return false;
    virtq_arm(q);
    return virtq_waiting(q) != 0;
}

void virtq_disable_notify(struct virtq *q)
{
    struct virtq_state *s = &q->state;

    s->notify_off = true;
    if (!virtq_is_usable(q))
        return;
    if (virtq_is_packed(q))
        virtq_store(q, s->used + VIRTQ_EVENT_FLAGS, VIRTQ_EVENT_DISABLE);
    else if (!virtq_has_event_idx(q))
        virtq_store(q, s->used + VIRTQ_RING_FLAGS, VIRTQ_RING_F_NO_EVENT);
}

static const char *virtq_take_split(struct virtq *q, struct virtq_chain *chain)
{
    unsigned slot = q->state.last_avail & (q->state.size - 1u);
    const char *wrong;

    chain->descriptors = 1;
    chain->head = virtq_load(q, q->state.avail + VIRTQ_RING_ENTRIES + 2 * slot);
    wrong = virtq_walk_split(q, chain);
    if (!wrong)
        q->state.last_avail++;
    return wrong;
}

static const char *virtq_take_packed(struct virtq *q, struct virtq_chain *chain)
{
    const char *wrong = virtq_walk_packed(q, chain);

    if (!wrong)
        q->state.last_avail = virtq_advance(q, q->state.last_avail, chain->descriptors);
    return wrong;
}

enum virtq_result virtq_pop(struct virtq *q, struct virtq_chain *chain)
{
    struct iovec *iov = chain->iov;
    const char *wrong;
    unsigned waiting;

    *chain = (struct virtq_chain){ .iov = iov };
    if (!virtq_is_usable(q))
        return q->state.ready ? VIRTQ_BROKEN : VIRTQ_EMPTY;
    waiting = virtq_waiting(q);
    if (!waiting && (q->state.notify_off || !virtq_enable_notify(q)))
        return VIRTQ_EMPTY;
    if (!waiting)
        waiting = virtq_waiting(q);
    if (waiting > q->state.size)
        return virtq_break(q, "an available index that ran ahead");
    if (q->state.in_flight >= q->state.size)
        return virtq_break(q, "more chains than the queue has room for");
    wrong = virtq_is_packed(q) ? virtq_take_packed(q, chain) : virtq_take_split(q, chain);
    if (wrong)
        return virtq_break(q, wrong);
    q->state.in_flight++;
    return VIRTQ_CHAIN;
}

void virtq_unpop(struct virtq *q, const struct virtq_chain *chain)
{
    struct virtq_state *s = &q->state;

    assert(s->in_flight);
    s->in_flight--;
    if (!virtq_is_packed(q))
        s->last_avail--;
    else if ((s->last_avail & ~VIRTQ_WRAP) >= chain->descriptors)
        s->last_avail = (u16)(s->last_avail - chain->descriptors);
    else
        s->last_avail = (u16)((s->last_avail ^ VIRTQ_WRAP) + s->size - chain->descriptors);
}

/* ---- What the device gives back ---- */

/* Bytes that the device wrote may be code. */
static void virtq_dirty_chain(struct virtq *q, const struct virtq_chain *chain, u64 written)
{
    const struct iovec *iov = chain->iov + chain->out_count;

    for (unsigned i = 0; i < chain->in_count && written; i++) {
        u64 n = MIN(written, iov[i].iov_len);

        ram_dirty_ptr(q->virtio->ram, iov[i].iov_base, n);
        written -= n;
    }
}

static void virtq_push_split(struct virtq *q, const struct virtq_chain *chains, const u32 *written,
                             unsigned count)
{
    struct virtq_state *s = &q->state;

    for (unsigned i = 0; i < count; i++, s->last_used++) {
        unsigned slot = s->last_used & (s->size - 1u);
        u8 *p =
            ram_ptr_w(q->virtio->ram, s->used + VIRTQ_RING_ENTRIES + VIRTQ_USED_ENTRY_SIZE * slot,
                      VIRTQ_USED_ENTRY_SIZE);

        assert(p);
        store_le32(p, chains[i].head);
        store_le32(p + 4, written[i]);
        ram_dirty_ptr(q->virtio->ram, p, VIRTQ_USED_ENTRY_SIZE);
    }
    virtq_store(q, s->used + VIRTQ_RING_INDEX, s->last_used);
}

/* A used descriptor at `position`, seen by the driver when its flags are stored, which are returned. */
static u16 virtq_fill_packed(struct virtq *q, u16 position, const struct virtq_chain *chain,
                             u32 written)
{
    gpa entry = q->state.desc + VIRTQ_DESC_SIZE * (position & ~VIRTQ_WRAP);
    u8 *p = ram_ptr_w(q->virtio->ram, entry, VIRTQ_DESC_SIZE);
    u16 flags = position & VIRTQ_WRAP ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0;

    assert(p);
    store_le32(p + 8, written);
    store_le16(p + VIRTQ_DESC_ID, chain->head);
    ram_dirty_ptr(q->virtio->ram, p, VIRTQ_DESC_SIZE);
    return flags | (written ? VIRTQ_DESC_F_WRITE : 0);
}

/* The flags of the first one come last: the driver goes by order, so it sees none before (2.8.6). */
static void virtq_push_packed(struct virtq *q, const struct virtq_chain *chains, const u32 *written,
                              unsigned count)
{
    struct virtq_state *s = &q->state;
    gpa first = s->desc + VIRTQ_DESC_SIZE * (s->last_used & ~VIRTQ_WRAP) + VIRTQ_DESC_FLAGS;
    u16 first_flags = virtq_fill_packed(q, s->last_used, &chains[0], written[0]);
    u16 position = virtq_advance(q, s->last_used, chains[0].descriptors);

    for (unsigned i = 1; i < count; i++) {
        u16 flags = virtq_fill_packed(q, position, &chains[i], written[i]);

        virtq_store(q, s->desc + VIRTQ_DESC_SIZE * (position & ~VIRTQ_WRAP) + VIRTQ_DESC_FLAGS,
                    flags);
        position = virtq_advance(q, position, chains[i].descriptors);
    }
    virtq_store(q, first, first_flags);
    s->last_used = position;
}

void virtq_push_all(struct virtq *q, const struct virtq_chain *chains, const u32 *written,
                    unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert(written[i] <= chains[i].in_size);
        virtq_dirty_chain(q, &chains[i], written[i]);
    }
    assert(q->state.in_flight >= count);
    q->state.in_flight = (u16)(q->state.in_flight - count);
    if (!count || !virtq_is_usable(q))
        return;
    if (virtq_is_packed(q))
        virtq_push_packed(q, chains, written, count);
    else
        virtq_push_split(q, chains, written, count);
}

void virtq_push(struct virtq *q, const struct virtq_chain *chain, u32 written)
{
    virtq_push_all(q, chain, &written, 1);
}

void virtq_drop(struct virtq *q, const struct virtq_chain *chain)
{
    virtq_dirty_chain(q, chain, chain->in_size);
    assert(q->state.in_flight);
    q->state.in_flight--;
}

/* Did the index pass `event` on its way from `old` to `new`? 2.7.10. */
static bool virtq_passed(u16 event, u16 new, u16 old)
{
    return (u16)(new - event - 1) < (u16)(new - old);
}

static bool virtq_wants_split(const struct virtq *q, u16 old, bool old_valid)
{
    const struct virtq_state *s = &q->state;

    if (virtio_has(q->virtio, VIRTIO_F_NOTIFY_ON_EMPTY) && !s->in_flight && !virtq_waiting_split(q))
        return true;
    if (!virtq_has_event_idx(q))
        return !(virtq_load(q, s->avail + VIRTQ_RING_FLAGS) & VIRTQ_RING_F_NO_EVENT);
    return !old_valid ||
           virtq_passed(virtq_load(q, s->avail + VIRTQ_AVAIL_SIZE(s->size) - 2), s->last_used, old);
}

/* Positions of this lap; those of the last one count below 0. */
static u16 virtq_unwrap(const struct virtq *q, u16 position)
{
    bool this_lap = !((position ^ q->state.last_used) & VIRTQ_WRAP);

    return (u16)((position & ~VIRTQ_WRAP) - (this_lap ? 0 : q->state.size));
}

static bool virtq_wants_packed(const struct virtq *q, u16 old, bool old_valid)
{
    const struct virtq_state *s = &q->state;
    u16 flags = virtq_load(q, s->avail + VIRTQ_EVENT_FLAGS) & 3u;

    if (flags == VIRTQ_EVENT_DISABLE)
        return false;
    if (flags != VIRTQ_EVENT_DESC || !virtq_has_event_idx(q) || !old_valid)
        return true;
    return virtq_passed(virtq_unwrap(q, virtq_load(q, s->avail)), virtq_unwrap(q, s->last_used),
                        virtq_unwrap(q, old));
}

void virtq_signal(struct virtq *q)
{
    struct virtq_state *s = &q->state;
    u16 old = s->signalled_used;
    bool old_valid = s->signalled_valid;

    if (!virtq_is_usable(q) || (old_valid && old == s->last_used))
        return;
    s->signalled_used = s->last_used;
    s->signalled_valid = true;
    virtq_fence();
    if (virtq_is_packed(q) ? virtq_wants_packed(q, old, old_valid)
                           : virtq_wants_split(q, old, old_valid))
        virtio_interrupt(q->virtio, VIRTIO_ISR_QUEUE);
}

/* ---- Set-up ---- */

void virtq_init(struct virtq *q, struct virtio *virtio, unsigned index, u16 size_default)
{
    q->virtio = virtio;
    q->index = index;
    q->size_default = size_default;
    virtq_reset(q);
}

void virtq_reset(struct virtq *q)
{
    q->state = (struct virtq_state){ .size = q->size_default, .align = VIRTQ_LEGACY_ALIGN };
    q->broken = false;
}

/* The legacy layout: one run of memory from a page on (2.7.2). */
static void virtq_lay_out(struct virtq *q)
{
    struct virtq_state *s = &q->state;
    u32 page = q->virtio->state.guest_page_size;

    s->desc = (u64)s->pfn * (page ? page : VIRTQ_LEGACY_PAGE);
    s->avail = s->desc + (u64)VIRTQ_DESC_SIZE * s->size;
    s->used = align_up(s->avail + VIRTQ_AVAIL_SIZE(s->size), s->align);
}

static bool virtq_area_ok(const struct virtq *q, gpa addr, u64 size, unsigned align)
{
    return addr % align == 0 && ram_ptr(q->virtio->ram, addr, size);
}

static bool virtq_areas_ok(const struct virtq *q)
{
    const struct virtq_state *s = &q->state;
    bool packed = virtq_is_packed(q);

    return virtq_area_ok(q, s->desc, (u64)VIRTQ_DESC_SIZE * s->size, 16) &&
           virtq_area_ok(q, s->avail, packed ? VIRTQ_EVENT_SIZE : VIRTQ_AVAIL_SIZE(s->size),
                         packed ? 4 : 2) &&
           virtq_area_ok(q, s->used, packed ? VIRTQ_EVENT_SIZE : VIRTQ_USED_SIZE(s->size), 4);
}

bool virtq_start(struct virtq *q)
{
    struct virtq_state *s = &q->state;
    bool packed = virtq_is_packed(q);

    if (q->virtio->legacy)
        virtq_lay_out(q);
    if (s->in_flight)
        return virtq_break(q, "started anew with chains in flight") != VIRTQ_BROKEN;
    if (!s->size || s->size > VIRTQ_SIZE_MAX || (!packed && (s->size & (s->size - 1))))
        return virtq_break(q, "a size that cannot be") != VIRTQ_BROKEN;
    if (!virtq_areas_ok(q))
        return virtq_break(q, "rings outside of memory, or not aligned") != VIRTQ_BROKEN;
    s->last_avail = s->last_used = packed ? VIRTQ_WRAP : 0;
    s->signalled_valid = false;
    s->notify_off = false;
    s->ready = true;
    return true;
}

/* ---- Bytes of a chain ---- */

/* Copy between the parts iov[0..count), from `offset` on, and `data`. */
static size_t virtq_copy(const struct iovec *iov, unsigned count, u64 offset, u8 *data, size_t size,
                         bool to_guest)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < size; i++) {
        u8 *part = iov[i].iov_base;
        size_t n = iov[i].iov_len;

        if (offset >= n) {
            offset -= n;
            continue;
        }
        n = MIN(n - offset, size - done);
        memcpy(to_guest ? part + offset : data + done, to_guest ? data + done : part + offset, n);
        done += n;
        offset = 0;
    }
    return done;
}

size_t virtq_read(const struct virtq_chain *chain, u64 offset, void *data, size_t size)
{
    return virtq_copy(chain->iov, chain->out_count, offset, data, size, false);
}

size_t virtq_write(const struct virtq_chain *chain, u64 offset, const void *data, size_t size)
{
    /* Only read from when copying to the guest. */
    return virtq_copy(chain->iov + chain->out_count, chain->in_count, offset, (u8 *)(uintptr_t)data,
                      size, true);
}
