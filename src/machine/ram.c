/* SPDX-License-Identifier: MIT */
/* Guest memory: the memfd mapping, its slots, and the one door for host-side writes. */
#include "machine/ram.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * From this size on, a write goes through the file and not through the mapping: the kernel then
 * fills new pages without zeroing them first and without a page fault for each, which halves the
 * time of loading a kernel. Below it the system call costs more than the faults.
 */
#define RAM_FILE_WRITE_MIN KIB(64)

/* From this size on, zeroing whole pages gives them back to the host instead of touching them. */
#define RAM_PUNCH_MIN      KIB(64)

static_assert(sizeof(_Atomic u8) == 1, "code_pages is one byte a page");

bool ram_init(struct ram *ram, u64 size, struct error *err)
{
    void *map;

    assert(size > 0 && size % RAM_PAGE_SIZE == 0);
    memset(ram, 0, sizeof(*ram));
    ram->memfd = memfd_create("mote-ram", MFD_CLOEXEC);
    if (ram->memfd < 0)
        return error_set_errno(err, errno, "cannot create guest memory");
    if (size > INT64_MAX || ftruncate(ram->memfd, (off_t)size) < 0) {
        error_set_errno(err, size > INT64_MAX ? EFBIG : errno,
                        "cannot set up %llu MiB of guest memory", (unsigned long long)(size >> 20));
        ram_fini(ram);
        return false;
    }
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, ram->memfd, 0);
    if (map != MAP_FAILED) {
        ram->host = map;
        ram->size = size;
        map = mmap(NULL, size / RAM_PAGE_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (map == MAP_FAILED) {
        error_set_errno(err, errno, "cannot map %llu MiB of guest memory",
                        (unsigned long long)(size >> 20));
        ram_fini(ram);
        return false;
    }
    ram->code_pages = map;
    /* A core dump of the monitor without gigabytes of guest. Advice only. */
    madvise(ram->host, size, MADV_DONTDUMP);
    return true;
}

void ram_fini(struct ram *ram)
{
    if (ram->code_pages)
        munmap((void *)(uintptr_t)ram->code_pages, ram->size / RAM_PAGE_SIZE);
    if (ram->host)
        munmap(ram->host, ram->size);
    if (ram->memfd > 0 || ram->host) /* a struct of zeros owns nothing, least of all descriptor 0 */
        close(ram->memfd);
    memset(ram, 0, sizeof(*ram));
    ram->memfd = -1;
}

void ram_add_slot(struct ram *ram, gpa base, u64 size, u64 offset)
{
    assert(ram->slot_count < RAM_SLOTS_MAX);
    assert((base | size | offset) % RAM_PAGE_SIZE == 0);
    assert(size > 0 && base + (size - 1) >= base);
    assert(offset <= ram->size && size <= ram->size - offset);
    for (unsigned i = 0; i < ram->slot_count; i++) {
        const struct ram_slot *other = &ram->slots[i];

        assert(base + (size - 1) < other->base || other->base + (other->size - 1) < base);
    }
    ram->slots[ram->slot_count++] = (struct ram_slot){ base, size, offset };
}

void ram_on_code_write(struct ram *ram, ram_code_fn *fn, void *arg)
{
    ram->code_written = fn;
    ram->code_arg = arg;
}

i64 ram_offset(const struct ram *ram, gpa addr, u64 *left)
{
    for (unsigned i = 0; i < ram->slot_count; i++) {
        const struct ram_slot *slot = &ram->slots[i];

        /* Unsigned: below the base wraps to a huge number. */
        if (addr - slot->base < slot->size) {
            if (left)
                *left = slot->size - (addr - slot->base);
            return (i64)(slot->offset + (addr - slot->base));
        }
    }
    return -1;
}

void *ram_ptr_w(const struct ram *ram, gpa addr, u64 size)
{
    u64 left;
    i64 offset = ram_offset(ram, addr, &left);

    return offset >= 0 && size <= left ? ram->host + offset : NULL;
}

const void *ram_ptr(const struct ram *ram, gpa addr, u64 size)
{
    return ram_ptr_w(ram, addr, size);
}

/* Tell the owner of decoded code about the bytes written, page by page. */
static void ram_drop_code(const struct ram *ram, u64 offset, u64 size)
{
    u64 end = offset + size;

    while (offset < end) {
        u64 n = MIN(end, align_down(offset, RAM_PAGE_SIZE) + RAM_PAGE_SIZE) - offset;

        if (ram_has_code(ram, offset) && ram->code_written)
            ram->code_written(ram->code_arg, offset, n);
        offset += n;
    }
}

void ram_dirty(struct ram *ram, gpa addr, u64 size)
{
    while (size) {
        u64 left = 0;
        i64 offset = ram_offset(ram, addr, &left);
        u64 n = MIN(size, left);

        if (offset < 0)
            return;
        ram_drop_code(ram, (u64)offset, n);
        addr += n;
        size -= n;
    }
}

void ram_dirty_ptr(struct ram *ram, const void *ptr, u64 size)
{
    u64 offset = (u64)((const u8 *)ptr - ram->host);

    assert(offset <= ram->size && size <= ram->size - offset);
    ram_drop_code(ram, offset, size);
}

/* Is all of [addr, addr + size) RAM? It may span slots that touch. */
static bool ram_contains(const struct ram *ram, gpa addr, u64 size)
{
    while (size) {
        u64 left = 0;

        if (ram_offset(ram, addr, &left) < 0)
            return false;
        if (size <= left)
            return true;
        addr += left;
        size -= left;
    }
    return true;
}

/* Write one run of the mapping. */
static void ram_write_run(const struct ram *ram, u64 offset, const u8 *data, u64 size)
{
    u64 done = 0;

    while (size - done >= RAM_FILE_WRITE_MIN) {
        ssize_t n = pwrite(ram->memfd, data + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* the mapping does what the file refuses, for instance in a sandbox */
        done += (u64)n;
    }
    memcpy(ram->host + offset + done, data + done, size - done);
    ram_drop_code(ram, offset, size);
}

/* Zero one run of the mapping; whole pages of a long one go back to the host. */
static void ram_zero_run(const struct ram *ram, u64 offset, u64 size)
{
    u64 first = align_up(offset, RAM_PAGE_SIZE);
    u64 last = align_down(offset + size, RAM_PAGE_SIZE);

    if (size < RAM_PUNCH_MIN || fallocate(ram->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                          (off_t)first, (off_t)(last - first)) < 0) {
        memset(ram->host + offset, 0, size);
        return;
    }
    memset(ram->host + offset, 0, first - offset);
    memset(ram->host + last, 0, offset + size - last);
}

void ram_discard(struct ram *ram, void *ptr, u64 size)
{
    u64 offset = (u64)((u8 *)ptr - ram->host);
    u64 first = align_up(offset, RAM_PAGE_SIZE), last = align_down(offset + size, RAM_PAGE_SIZE);

    assert(offset <= ram->size && size <= ram->size - offset);
    if (first < last && fallocate(ram->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  (off_t)first, (off_t)(last - first)) == 0)
        ram_drop_code(ram, first, last - first);
}

int ram_read(const struct ram *ram, gpa addr, void *data, u64 size)
{
    u8 *to = data;

    if (!ram_contains(ram, addr, size))
        return -EFAULT;
    while (size) {
        u64 left = 0;
        u64 offset = (u64)ram_offset(ram, addr, &left);
        u64 n = MIN(size, left);

        memcpy(to, ram->host + offset, n);
        addr += n;
        to += n;
        size -= n;
    }
    return 0;
}

int ram_write(struct ram *ram, gpa addr, const void *data, u64 size)
{
    const u8 *from = data;

    if (!ram_contains(ram, addr, size))
        return -EFAULT;
    while (size) {
        u64 left = 0;
        u64 offset = (u64)ram_offset(ram, addr, &left);
        u64 n = MIN(size, left);

        ram_write_run(ram, offset, from, n);
        addr += n;
        from += n;
        size -= n;
    }
    return 0;
}

int ram_set(struct ram *ram, gpa addr, u8 byte, u64 size)
{
    if (!ram_contains(ram, addr, size))
        return -EFAULT;
    while (size) {
        u64 left = 0;
        u64 offset = (u64)ram_offset(ram, addr, &left);
        u64 n = MIN(size, left);

        if (byte)
            memset(ram->host + offset, byte, n);
        else
            ram_zero_run(ram, offset, n);
        ram_drop_code(ram, offset, n);
        addr += n;
        size -= n;
    }
    return 0;
}
