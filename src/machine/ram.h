/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: one memfd mapping, seen by the guest through slots.
 *
 * Pages are reserved when they are first touched. Devices reach guest memory through the functions here
 * and keep no pointer past the request that they serve. Writes by the host go through ram_write or
 * ram_dirty, the one door that also drops code that was decoded from the bytes.
 */
#pragma once

#include <stdatomic.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/types.h"

#define RAM_PAGE_SIZE 4096u
#define RAM_SLOTS_MAX 6

/* A run of guest physical addresses backed by a run of the mapping. Slots may alias the same bytes. */
struct ram_slot {
    gpa base;
    u64 size;
    u64 offset; /* into the mapping */
};

/* Called after host-side writes to a page that holds decoded code. `offset` is into the mapping. */
typedef void ram_code_fn(void *arg, u64 offset, u64 size);

struct ram {
    u8 *host;  /* the mapping */
    u64 size;  /* bytes mapped, a multiple of the page size */
    int memfd; /* owns the pages; shareable with vhost and other processes */
    unsigned slot_count;
    struct ram_slot slots[RAM_SLOTS_MAX];
    _Atomic u8 *code_pages; /* per page of the mapping: non-zero when code was decoded from it */
    ram_code_fn *code_written;
    void *code_arg;
};

/*
 * Map `size` bytes of guest memory (a multiple of the page size), all zero, no slots yet.
 * False and `err` when the host refuses.
 */
bool ram_init(struct ram *ram, u64 size, struct error *err) __attribute__((warn_unused_result));
void ram_fini(struct ram *ram);

/* Show mapping bytes [offset, offset + size) at `base`. Sizes and addresses are whole pages. */
void ram_add_slot(struct ram *ram, gpa base, u64 size, u64 offset);

/* Who is told about writes to pages with decoded code. */
void ram_on_code_write(struct ram *ram, ram_code_fn *fn, void *arg);

/* The mapping offset of `addr`, or -1 when it is not RAM; `*left` (if not NULL) gets the bytes left in its slot. */
i64 ram_offset(const struct ram *ram, gpa addr, u64 *left);

/* Host pointer for [addr, addr + size), or NULL unless the whole range is in one slot. Reading only. */
const void *ram_ptr(const struct ram *ram, gpa addr, u64 size);

/* The same for writing; call ram_dirty after the write. */
void *ram_ptr_w(const struct ram *ram, gpa addr, u64 size);
void ram_dirty(struct ram *ram, gpa addr, u64 size);
void ram_dirty_ptr(struct ram *ram, const void *ptr, u64 size); /* by what ram_ptr_w returned */

/* Copy from or to guest memory. 0, or -EFAULT with nothing copied when the range is not all RAM. */
int ram_read(const struct ram *ram, gpa addr, void *data, u64 size)
    __attribute__((warn_unused_result));
int ram_write(struct ram *ram, gpa addr, const void *data, u64 size)
    __attribute__((warn_unused_result));

/* Fill with `byte`; as ram_write. */
int ram_set(struct ram *ram, gpa addr, u8 byte, u64 size) __attribute__((warn_unused_result));

/*
 * Give the whole pages of a run (by what ram_ptr_w returned) back to the host: they read as zeros when they are
 * touched again. Advice: a host that cannot keeps them.
 */
void ram_discard(struct ram *ram, void *ptr, u64 size);

/* Is there decoded code on the page of this mapping offset? */
static inline bool ram_has_code(const struct ram *ram, u64 offset)
{
    return atomic_load_explicit(&ram->code_pages[offset / RAM_PAGE_SIZE], memory_order_relaxed) !=
           0;
}
