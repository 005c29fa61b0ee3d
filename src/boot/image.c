/* SPDX-License-Identifier: MIT */
/* Files of a boot: mapping, and telling a bzImage from an ELF kernel. */
#include "boot/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

#define IMAGE_HDRS_OFFSET      0x202u
#define IMAGE_HDRS             0x53726448u /* "HdrS" */
#define IMAGE_BOOT_FLAG_OFFSET 0x1FEu
#define IMAGE_BOOT_FLAG        0xAA55u
#define IMAGE_ELF_MAGIC        0x464C457Fu
#define IMAGE_MULTIBOOT_MAGIC  0x1BADB002u
#define IMAGE_MULTIBOOT_SPAN   8192u /* the multiboot header is in this many first bytes */

static bool image_map(struct image *image, int fd, struct error *err)
{
    struct stat st;
    void *map;

    if (fstat(fd, &st) < 0)
        return error_set_errno(err, errno, "cannot be examined");
    if (S_ISDIR(st.st_mode))
        return error_set(err, "%s", strerror(EISDIR));
    if (!S_ISREG(st.st_mode))
        return error_set(err, "not a regular file");
    if (st.st_size == 0)
        return error_set(err, "the file is empty");
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return error_set_errno(err, errno, "cannot be mapped");
    image->data = map;
    image->size = (u64)st.st_size;
    return true;
}

bool image_open(struct image *image, const char *option, const char *path, struct error *err)
{
    /* O_NONBLOCK: a FIFO must be refused, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool ok;

    *image = (struct image){ 0 };
    if (fd < 0)
        return error_set_errno(err, errno, "%s %s", option, path);
    ok = image_map(image, fd, err);
    close(fd);
    return ok || error_prefix(err, "%s %s: ", option, path);
}

/* The mapping as madvise and munmap want it; nothing is ever written through it. */
static void *image_address(const struct image *image)
{
    return (void *)(uintptr_t)image->data;
}

void image_relax(const struct image *image)
{
    if (image->data)
        madvise(image_address(image), image->size, MADV_DONTNEED);
}

void image_close(struct image *image)
{
    if (image->data)
        munmap(image_address(image), image->size);
    *image = (struct image){ 0 };
}

/* Multiboot v1: magic, flags and checksum that sum to zero, on a 4-byte boundary. */
static bool image_is_multiboot(const u8 *data, u64 size)
{
    for (u64 i = 0; i + 12 <= size && i + 12 <= IMAGE_MULTIBOOT_SPAN; i += 4) {
        const u8 *p = data + i;

        if (load_le32(p) == IMAGE_MULTIBOOT_MAGIC &&
            load_le32(p) + load_le32(p + 4) + load_le32(p + 8) == 0)
            return true;
    }
    return false;
}

static bool image_refuse(const u8 *data, u64 size, struct error *err)
{
    if (image_is_multiboot(data, size))
        return error_set(err, "a multiboot kernel, which cannot be started: give a bzImage, or an "
                              "ELF vmlinux built with CONFIG_PVH");
    if (size >= 0x200 && load_le16(data + IMAGE_BOOT_FLAG_OFFSET) == IMAGE_BOOT_FLAG)
        return error_set(err, "a boot sector without a Linux kernel header: give a bzImage or an "
                              "ELF vmlinux");
    return error_set(err, "not a kernel: give a bzImage or an ELF vmlinux");
}

bool image_classify(const u8 *data, u64 size, enum image_kind *kind, struct error *err)
{
    if (size >= IMAGE_HDRS_OFFSET + 4 && load_le32(data + IMAGE_HDRS_OFFSET) == IMAGE_HDRS)
        *kind = IMAGE_BZIMAGE;
    else if (size >= 4 && load_le32(data) == IMAGE_ELF_MAGIC)
        *kind = IMAGE_ELF;
    else
        return image_refuse(data, size, err);
    return true;
}
