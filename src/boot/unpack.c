/* SPDX-License-Identifier: MIT */
/* Unpacking a bzImage's kernel to where it runs. */
#include "boot/unpack.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "machine/map.h"

/* What is unpacked to see the ELF headers: enough for 70 program headers. */
#define UNPACK_HEAD_SIZE 4096u

/* Always true: nothing is wrong, it is only not for us. */
static bool unpack_decline(struct unpack *unpack, const char *reason)
{
    error_set(&unpack->reason, "%s", reason);
    return true;
}

/*
 * The file goes where its farthest segment is in place already. All others are then to be moved
 * down; moving them in ascending order never overwrites one that has not been moved yet, provided
 * that the file has them in the order of their addresses. False when it has not.
 */
static bool unpack_choose_base(struct unpack *unpack)
{
    const struct elf *elf = &unpack->elf;
    u64 file_end = 0;

    unpack->base = MAP_KERNEL_LOW;
    for (unsigned i = 0; i < elf->segment_count; i++) {
        const struct elf_segment *s = &elf->segments[i];

        if (!s->file_size)
            continue;
        if (s->offset < file_end)
            return false;
        file_end = s->offset + s->file_size;
        if (s->base > s->offset)
            unpack->base = MAX(unpack->base, s->base - s->offset);
    }
    return true;
}

/* All of it has to stay in the memory that the kernel claims: behind that, the initrd may begin. */
static bool unpack_check(struct unpack *unpack, const struct linux_header *header)
{
    const struct elf *elf = &unpack->elf;
    gpa end = linux_end(header);

    if (!elf->is_64 || !header->entry_64)
        return unpack_decline(unpack, "not a 64-bit kernel");
    if (!elf_contains(elf, elf->entry))
        return unpack_decline(unpack, "its entry point is not a physical address");
    if (elf->segments[0].base < MAP_KERNEL_LOW || elf_end(elf) > end)
        return unpack_decline(unpack, "it does not stay in the memory that its header claims");
    if (!unpack_choose_base(unpack))
        return unpack_decline(unpack, "its segments are not in the order of their addresses");
    if (unpack->base > end || unpack->payload.unpacked_size > end - unpack->base)
        return unpack_decline(unpack, "no room to unpack it in the memory that its header claims");
    unpack->possible = true;
    return true;
}

bool unpack_plan(struct unpack *unpack, const struct linux_header *header, const u8 *data,
                 struct error *err)
{
    struct payload *payload = &unpack->payload;
    u8 head[UNPACK_HEAD_SIZE];
    bool whole;
    u64 size;

    memset(unpack, 0, sizeof(*unpack));
    payload_init(payload, data + header->payload_offset, header->payload_size);
    if (!payload_supported(payload->format)) {
        error_set(&unpack->reason, "its format is %s", payload_name(payload->format));
        return true;
    }
    if (!payload_unpack(payload, head, sizeof(head), &size, &whole, err))
        return false;
    if (!elf_parse(&unpack->elf, head, size, payload->unpacked_size, &unpack->reason))
        return true;
    return unpack_check(unpack, header);
}

/*
 * Move a segment from where the file was unpacked to where it belongs, and clear what follows it.
 */
static void unpack_place(const struct unpack *unpack, const struct elf_segment *segment,
                         struct ram *ram)
{
    u8 *to = ram_ptr_w(ram, segment->base, segment->memory_size);
    const u8 *from = ram_ptr(ram, unpack->base + segment->offset, segment->file_size);

    if (!segment->file_size)
        return;
    assert(to && from && from >= to);
    if (from != to)
        memmove(to, from, segment->file_size);
}

/*
 * What lies between segments and around them are headers, relocations and old places: give them
 * back.
 */
static void unpack_clear(const struct unpack *unpack, struct ram *ram)
{
    const struct elf *elf = &unpack->elf;
    gpa at = MIN(unpack->base, elf->segments[0].base);
    gpa end = MAX(unpack->base + unpack->payload.unpacked_size, elf_end(elf));
    int ret = 0;

    for (unsigned i = 0; i < elf->segment_count; i++) {
        const struct elf_segment *s = &elf->segments[i];

        ret |= ram_set(ram, at, 0, s->base - at);
        at = s->base + s->file_size;
    }
    ret |= ram_set(ram, at, 0, end - at);
    assert(ret == 0);
    (void)ret;
}

bool unpack_run(const struct unpack *unpack, struct ram *ram, struct error *err)
{
    const struct elf *elf = &unpack->elf;
    const struct payload *payload = &unpack->payload;
    u8 *out = ram_ptr_w(ram, unpack->base, payload->unpacked_size);
    struct elf now;
    bool whole;
    u64 size;

    assert(out && unpack->possible);
    if (!payload_unpack(payload, out, payload->unpacked_size, &size, &whole, err))
        return false;
    ram_dirty(ram, unpack->base, size);
    if (!whole || size != payload->unpacked_size)
        return error_set(err, "its %s data does not have the %llu bytes that it claims",
                         payload_name(payload->format), (unsigned long long)payload->unpacked_size);
    if (!elf_parse(&now, out, MIN(size, UNPACK_HEAD_SIZE), size, err) ||
        memcmp(&now, elf, sizeof(now)) != 0)
        return error_set(err, "the file changes while it is being read");
    for (unsigned i = 0; i < elf->segment_count; i++)
        unpack_place(unpack, &elf->segments[i], ram);
    unpack_clear(unpack, ram);
    ram_dirty(ram, elf->segments[0].base, elf_end(elf) - elf->segments[0].base);
    return true;
}
