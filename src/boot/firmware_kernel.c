/* SPDX-License-Identifier: MIT */
/*
 * The kernel that firmware boots: Linux boot protocol from 2.00 (Documentation/x86/boot.rst), or
 * PVH. Addresses are those that QEMU's firmware is used to.
 */
#include "boot/firmware_kernel.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "boot/boot.h"
#include "boot/elf.h"
#include "boot/pvh.h"
#include "machine/map.h"

#define FIRMWARE_PAGE_SIZE 4096u
#define FIRMWARE_SECTOR    512u
#define FIRMWARE_ELF_SETUP 8192u /* bytes of an ELF file that firmware gets to see */

/* Setup header: offsets in the file, and in memory from where the setup code goes. */
enum firmware_header_field {
    HEADER_CL_MAGIC = 0x020, /* before 2.02 */
    HEADER_CL_OFFSET = 0x022,
    HEADER_SETUP_SECTS = 0x1F1,
    HEADER_VID_MODE = 0x1FA,
    HEADER_VERSION = 0x206,
    HEADER_TYPE_OF_LOADER = 0x210,
    HEADER_LOADFLAGS = 0x211,
    HEADER_RAMDISK_IMAGE = 0x218,
    HEADER_RAMDISK_SIZE = 0x21C,
    HEADER_HEAP_END_PTR = 0x224,
    HEADER_CMD_LINE_PTR = 0x228,
    HEADER_INITRD_ADDR_MAX = 0x22C,
    HEADER_XLOADFLAGS = 0x236,
    HEADER_END = 0x268,
};

#define HEADER_SECTS_ZERO     4u
#define HEADER_LOADER_QEMU    0xB0u
#define HEADER_LOADED_HIGH    BIT(0)
#define HEADER_CAN_USE_HEAP   BIT(7)
#define HEADER_ABOVE_4G       BIT(1)
#define HEADER_CL_MAGIC_VALUE 0xA33Fu
#define HEADER_HEAP_RESERVE   0x200u /* what the protocol leaves between heap and command line */
#define HEADER_INITRD_MAX_OLD 0x37FFFFFFu

/* Where things go: by default, and for protocols before 2.02 or kernels that run below 1 MiB. */
#define FIRMWARE_SETUP        0x10000u
#define FIRMWARE_CMDLINE      0x20000u
#define FIRMWARE_SETUP_OLD    0x90000u
#define FIRMWARE_CMDLINE_OLD  0x9A000u /* its end */
#define FIRMWARE_KERNEL_LOW   0x10000u

/* --- The initrd --- */

/* As high as `max` (of its last byte) and RAM allow. */
static bool firmware_place_initrd(struct firmware_kernel *fk, u64 max, struct error *err)
{
    u64 limit = MIN(max, fk->options.ram_below_4g - 1);
    u64 size = fk->initrd_file.size;

    if (!size)
        return true;
    if (size >= limit)
        return error_set(err,
                         "-initrd %s: too large: %" PRIu64 " bytes, and there is room for %" PRIu64,
                         fk->options.initrd, size, limit);
    fk->initrd_addr = (u32)align_down(limit - size, FIRMWARE_PAGE_SIZE);
    return true;
}

/* --- bzImage --- */

static u64 firmware_initrd_max(const u8 *header, unsigned version)
{
    if (version >= 0x20C && load_le16(header + HEADER_XLOADFLAGS) & HEADER_ABOVE_4G)
        return UINT32_MAX;
    return version >= 0x203 ? load_le32(header + HEADER_INITRD_ADDR_MAX) : HEADER_INITRD_MAX_OLD;
}

static void firmware_choose_addresses(struct firmware_kernel *fk, const u8 *header,
                                      unsigned version)
{
    const char *append = fk->options.append ? fk->options.append : "";
    u32 cmdline_size = (u32)align_down(strlen(append) + 16, 16);
    bool high = header[HEADER_LOADFLAGS] & HEADER_LOADED_HIGH;

    fk->kernel_addr = high ? MAP_KERNEL_LOW : FIRMWARE_KERNEL_LOW;
    if (high && version >= 0x202) {
        fk->setup_addr = FIRMWARE_SETUP;
        fk->cmdline_addr = FIRMWARE_CMDLINE;
    } else {
        fk->setup_addr = FIRMWARE_SETUP_OLD;
        fk->cmdline_addr = FIRMWARE_CMDLINE_OLD - cmdline_size;
    }
}

/* vga= on the command line is for the boot loader. */
static bool firmware_video_mode(const char *append, u16 *mode, struct error *err)
{
    static const struct {
        const char *word;
        u16 mode;
    } words[] = { { "normal", 0xFFFF }, { "ext", 0xFFFE }, { "ask", 0xFFFD } };
    const char *vga = append ? strstr(append, "vga=") : NULL;
    char *end;

    if (!vga || (vga > append && vga[-1] != ' '))
        return true;
    vga += 4;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (!strncmp(vga, words[i].word, strlen(words[i].word))) {
            *mode = words[i].mode;
            return true;
        }
    *mode = (u16)strtoul(vga, &end, 0);
    if (end == vga || (*end && *end != ' '))
        return error_set(err, "-append: vga= expects normal, ext, ask or a number");
    return true;
}

static bool firmware_fill_header(struct firmware_kernel *fk, unsigned version, struct error *err)
{
    u8 *setup = fk->setup;
    u16 mode = load_le16(setup + HEADER_VID_MODE);

    if (!firmware_video_mode(fk->options.append, &mode, err))
        return false;
    store_le16(setup + HEADER_VID_MODE, mode);
    setup[HEADER_TYPE_OF_LOADER] = HEADER_LOADER_QEMU;
    if (version >= 0x201) {
        setup[HEADER_LOADFLAGS] |= HEADER_CAN_USE_HEAP;
        store_le16(setup + HEADER_HEAP_END_PTR,
                   (u16)(fk->cmdline_addr - fk->setup_addr - HEADER_HEAP_RESERVE));
    }
    if (version >= 0x202) {
        store_le32(setup + HEADER_CMD_LINE_PTR, fk->cmdline_addr);
    } else {
        store_le16(setup + HEADER_CL_MAGIC, HEADER_CL_MAGIC_VALUE);
        store_le16(setup + HEADER_CL_OFFSET, (u16)(fk->cmdline_addr - fk->setup_addr));
    }
    if (fk->initrd_file.size) {
        store_le32(setup + HEADER_RAMDISK_IMAGE, fk->initrd_addr);
        store_le32(setup + HEADER_RAMDISK_SIZE, (u32)fk->initrd_file.size);
    }
    return true;
}

static bool firmware_split_bzimage(struct firmware_kernel *fk, struct error *err)
{
    const struct image *file = &fk->kernel_file;
    u64 sectors;

    if (file->size < HEADER_END)
        return error_set(err, "invalid kernel header: the file is cut off");
    sectors = file->data[HEADER_SETUP_SECTS] ? file->data[HEADER_SETUP_SECTS] : HEADER_SECTS_ZERO;
    fk->setup_size = (u32)((sectors + 1) * FIRMWARE_SECTOR);
    if (fk->setup_size >= file->size)
        return error_set(err, "invalid kernel header: %u bytes of setup code in a file of %" PRIu64,
                         fk->setup_size, file->size);
    if (file->size > fk->options.ram_below_4g)
        return error_set(err, "a kernel of %" PRIu64 " bytes does not fit below 4 GiB", file->size);
    fk->setup = xcalloc(fk->setup_size, 1);
    memcpy(fk->setup, file->data, fk->setup_size);
    fk->kernel = file->data + fk->setup_size;
    fk->kernel_size = (u32)(file->size - fk->setup_size);
    return true;
}

static bool firmware_open_bzimage(struct firmware_kernel *fk, struct error *err)
{
    unsigned version;

    if (!firmware_split_bzimage(fk, err))
        return error_prefix(err, "-kernel %s: ", fk->options.kernel);
    version = load_le16(fk->setup + HEADER_VERSION);
    if (version < 0x200)
        return error_set(err,
                         "-kernel %s: boot protocol %u.%02u is too old: at least 2.00 is needed",
                         fk->options.kernel, version >> 8, version & 0xFF);
    firmware_choose_addresses(fk, fk->setup, version);
    return firmware_place_initrd(fk, firmware_initrd_max(fk->setup, version), err) &&
           firmware_fill_header(fk, version, err);
}

/* --- ELF --- */

static bool firmware_parse_elf(const struct firmware_kernel *fk, struct elf *elf, gpa *entry,
                               struct error *err)
{
    const struct image *file = &fk->kernel_file;

    if (!elf_parse(elf, file->data, file->size, file->size, err) ||
        !pvh_find_entry(elf, file->data, file->size, entry, err))
        return false;
    if (elf->segments[0].base < MAP_KERNEL_LOW)
        return error_set(err, "its segment at 0x%" PRIx64 " is below 1 MiB", elf->segments[0].base);
    if (elf_end(elf) > fk->options.ram_below_4g)
        return error_set(err,
                         "it needs at least %" PRIu64 " MiB of memory, and the machine has %" PRIu64
                         ": see -m",
                         align_up(elf_end(elf), MIB(1)) >> 20, fk->options.ram_below_4g >> 20);
    return true;
}

static bool firmware_open_elf(struct firmware_kernel *fk, struct error *err)
{
    const struct image *file = &fk->kernel_file;
    struct elf elf;
    gpa entry;

    if (!firmware_parse_elf(fk, &elf, &entry, err))
        return error_prefix(err, "-kernel %s: ", fk->options.kernel);
    fk->kernel_entry = (u32)entry;
    fk->kernel_addr = (u32)elf.segments[0].base;
    fk->kernel_size = (u32)(elf_end(&elf) - elf.segments[0].base);
    fk->setup_size = FIRMWARE_ELF_SETUP;
    fk->setup = xcalloc(FIRMWARE_ELF_SETUP, 1);
    memcpy(fk->setup, file->data, MIN(file->size, FIRMWARE_ELF_SETUP));
    return firmware_place_initrd(fk, UINT32_MAX, err);
}

bool firmware_kernel_load(const struct firmware_kernel *fk, struct ram *ram, struct error *err)
{
    struct elf elf;
    gpa entry;
    int ret = 0;

    if (!fk->options.kernel || fk->kind != IMAGE_ELF)
        return true;
    if (!firmware_parse_elf(fk, &elf, &entry, err))
        return error_prefix(err, "-kernel %s: ", fk->options.kernel);
    for (unsigned i = 0; i < elf.segment_count; i++) {
        const struct elf_segment *s = &elf.segments[i];

        ret |= ram_write(ram, s->base, fk->kernel_file.data + s->offset, s->file_size);
        ret |= ram_set(ram, s->base + s->file_size, 0, s->memory_size - s->file_size);
    }
    image_relax(&fk->kernel_file);
    return ret == 0 ||
           error_set(err, "-kernel %s: its segments are not all in memory", fk->options.kernel);
}

/* --- Both --- */

bool firmware_kernel_open(struct firmware_kernel *fk, const struct firmware_kernel_options *options,
                          struct error *err)
{
    *fk = (struct firmware_kernel){ .options = *options };
    if (!image_open(&fk->kernel_file, "-kernel", options->kernel, err) ||
        (options->initrd && !image_open(&fk->initrd_file, "-initrd", options->initrd, err)))
        return false;
    if (!image_classify(fk->kernel_file.data, fk->kernel_file.size, &fk->kind, err))
        return error_prefix(err, "-kernel %s: ", options->kernel);
    return fk->kind == IMAGE_ELF ? firmware_open_elf(fk, err) : firmware_open_bzimage(fk, err);
}

void firmware_kernel_describe(struct firmware_kernel *fk, const struct boot_slot *slots,
                              unsigned slot_count)
{
    assert(!fk->cmdline);
    fk->cmdline = cmdline_new(fk->options.append, slots, slot_count);
}

void firmware_kernel_free(struct firmware_kernel *fk)
{
    image_close(&fk->kernel_file);
    image_close(&fk->initrd_file);
    free(fk->setup);
    free(fk->cmdline);
    *fk = (struct firmware_kernel){ 0 };
}

/* A direct boot is planned, in memory of its own, and given up once it has decided. */
bool firmware_kernel_wants_acpi(const struct firmware_kernel *fk)
{
    const struct boot_options options = {
        .kernel = fk->options.kernel,
        .acpi = BOOT_ACPI_AUTO,
        .ram_below_4g = fk->options.ram_below_4g,
    };
    struct boot_plan *plan;
    struct ram scratch;
    struct error err;
    bool acpi;

    if (!ram_init(&scratch, fk->options.ram_below_4g, &err))
        return true;
    ram_add_slot(&scratch, 0, scratch.size, 0);
    plan = boot_plan_new(&options, &scratch, &err);
    acpi = !plan || boot_plan_acpi(plan);
    boot_plan_free(plan);
    ram_fini(&scratch);
    return acpi;
}
