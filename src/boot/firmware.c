/* SPDX-License-Identifier: MIT */
/* Firmware images: where they are found, and where they go. */
#include "boot/firmware.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bits.h"

#define FIRMWARE_SIZE_UNIT KIB(64)

/*
 * Where distributions put firmware. SeaBIOS's own folder comes first: in QEMU's, Debian has qboot
 * under the name of SeaBIOS's image for this machine.
 */
static const char *const firmware_folders[] = {
    "/usr/share/seabios",    "/usr/share/qemu",  "/usr/local/share/seabios",
    "/usr/local/share/qemu", "/usr/share/qboot", "/usr/share/qemu-kvm",
};

static const struct {
    const char *name;
    const char *file;
} firmware_names[] = {
    { "qboot", "qboot.rom" },
    { "seabios", "bios-microvm.bin" },
};

static bool firmware_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static bool firmware_search(char path[PATH_MAX], const char *file, char *const *folders,
                            unsigned folder_count)
{
    for (unsigned i = 0; i < folder_count + ARRAY_SIZE(firmware_folders); i++) {
        const char *folder = i < folder_count ? folders[i] : firmware_folders[i - folder_count];
        int length = snprintf(path, PATH_MAX, "%s/%s", folder, file);

        if (length < PATH_MAX && firmware_exists(path))
            return true;
    }
    return false;
}

static bool firmware_find(char path[PATH_MAX], const char *name, char *const *folders,
                          unsigned folder_count, struct error *err)
{
    const char *file = name;

    if (strlen(name) < PATH_MAX && firmware_exists(name)) {
        memcpy(path, name, strlen(name) + 1);
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(firmware_names); i++)
        if (!strcmp(name, firmware_names[i].name))
            file = firmware_names[i].file;
    if (!strchr(file, '/') && firmware_search(path, file, folders, folder_count))
        return true;
    if (strchr(file, '/'))
        return error_set(err, "there is no such file");
    return error_set(err,
                     "there is no such file here, in the folders of -L, in %s or in %s; Debian has "
                     "qboot.rom in qemu-system-data and bios-microvm.bin in seabios",
                     firmware_folders[0], firmware_folders[1]);
}

bool firmware_open(struct firmware *firmware, const char *name, char *const *folders,
                   unsigned folder_count, struct error *err)
{
    char path[PATH_MAX];
    u64 size;

    *firmware = (struct firmware){ 0 };
    if (!firmware_find(path, name, folders, folder_count, err) ||
        !image_open(&firmware->image, "firmware", path, err))
        return false;
    size = firmware->image.size;
    if (size % FIRMWARE_SIZE_UNIT == 0 && size <= MAP_ROM_MAX)
        return true;
    firmware_close(firmware);
    return error_set(err,
                     "%s has %llu bytes, and firmware has a multiple of 64 KiB, at most %llu MiB",
                     path, (unsigned long long)size, (unsigned long long)(MAP_ROM_MAX >> 20));
}

u64 firmware_size(const struct firmware *firmware)
{
    return firmware->image.size;
}

void firmware_load(const struct firmware *firmware, struct ram *ram)
{
    u64 size = firmware->image.size;
    int ret = ram_write(ram, MAP_ROM_END - size, firmware->image.data, size);

    assert(ret == 0); /* the machine was made with this size */
    (void)ret;
}

void firmware_close(struct firmware *firmware)
{
    image_close(&firmware->image);
}
