/* SPDX-License-Identifier: MIT */
/* The Linux x86 boot protocol. Names are those of Documentation/x86/boot.rst and zero-page.rst. */
#include "boot/linux.h"

#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "machine/map.h"

#define LINUX_SECTOR_SIZE      512u
#define LINUX_SETUP_SECTS_ZERO 4u /* what setup_sects = 0 stands for */

/* Setup header; file offsets, and zero page offsets as well. */
enum linux_header_field {
    LINUX_SETUP_SECTS = 0x1F1,
    LINUX_JUMP = 0x200, /* the second byte is the distance to the header's end from 0x202 */
    LINUX_HEADER = 0x202,
    LINUX_VERSION = 0x206,
    LINUX_TYPE_OF_LOADER = 0x210,
    LINUX_LOADFLAGS = 0x211,
    LINUX_CODE32_START = 0x214,
    LINUX_RAMDISK_IMAGE = 0x218,
    LINUX_RAMDISK_SIZE = 0x21C,
    LINUX_CMD_LINE_PTR = 0x228,
    LINUX_INITRD_ADDR_MAX = 0x22C,
    LINUX_RELOCATABLE_KERNEL = 0x234,
    LINUX_XLOADFLAGS = 0x236,
    LINUX_CMDLINE_SIZE = 0x238,
    LINUX_PAYLOAD_OFFSET = 0x248,
    LINUX_PAYLOAD_LENGTH = 0x24C,
    LINUX_SETUP_DATA = 0x250,
    LINUX_PREF_ADDRESS = 0x258,
    LINUX_INIT_SIZE = 0x260,
    LINUX_HEADER_MAX = 0x290, /* where the zero page has other things */
};

/* The rest of the zero page. */
enum linux_params_field {
    LINUX_PARAMS_ACPI_RSDP_ADDR = 0x070,
    LINUX_PARAMS_E820_ENTRIES = 0x1E8,
    LINUX_PARAMS_E820_TABLE = 0x2D0,
};

#define LINUX_E820_ENTRY_SIZE     20u

#define LINUX_LOADED_HIGH         BIT(0) /* loadflags: protected-mode part at or above 1 MiB */
#define LINUX_KASLR_FLAG          BIT(1) /* loadflags: set by the decompressor for the kernel */
#define LINUX_KERNEL_64           BIT(0) /* xloadflags: has the entry point at 0x200 */
#define LINUX_ABOVE_4G            BIT(1) /* xloadflags: initrd and all else anywhere */
#define LINUX_LOADER_UNKNOWN      0xFFu  /* type_of_loader: no number assigned */

/* Versions that brought the fields used here. */
#define LINUX_2_02                0x0202u
#define LINUX_2_03                0x0203u
#define LINUX_2_05                0x0205u
#define LINUX_2_06                0x0206u
#define LINUX_2_08                0x0208u
#define LINUX_2_10                0x020Au
#define LINUX_2_12                0x020Cu

/* What applied before a field told it. */
#define LINUX_INITRD_ADDR_MAX_OLD 0x37FFFFFFu
#define LINUX_CMDLINE_SIZE_OLD    255u
#define LINUX_UNPACK_RATIO_OLD    8u /* memory to file, generously: not told before 2.10 */

static u32 linux_field32(const u8 *data, u16 version, u16 since, unsigned offset, u32 before)
{
    return version >= since ? load_le32(data + offset) : before;
}

/* Where the protected-mode part is in the file; the setup part must be whole. */
static bool linux_parse_parts(struct linux_header *header, const u8 *data, u64 size,
                              struct error *err)
{
    u64 sectors = data[LINUX_SETUP_SECTS] ? data[LINUX_SETUP_SECTS] : LINUX_SETUP_SECTS_ZERO;

    header->kernel_offset = (sectors + 1) * LINUX_SECTOR_SIZE;
    if (header->kernel_offset + LINUX_ENTRY64_OFFSET >= size)
        return error_set(err,
                         "invalid kernel header: %llu bytes of setup code in a file of %llu bytes",
                         (unsigned long long)header->kernel_offset, (unsigned long long)size);
    header->kernel_size = size - header->kernel_offset;
    if (header->kernel_size > MAP_RAM_BELOW_4G_MAX)
        return error_set(err, "a kernel of %llu bytes does not fit below 4 GiB",
                         (unsigned long long)header->kernel_size);
    return true;
}

static bool linux_parse_payload(struct linux_header *header, const u8 *data, struct error *err)
{
    u64 offset = linux_field32(data, header->version, LINUX_2_08, LINUX_PAYLOAD_OFFSET, 0);
    u64 size = linux_field32(data, header->version, LINUX_2_08, LINUX_PAYLOAD_LENGTH, 0);

    if (offset + size > header->kernel_size)
        return error_set(err,
                         "the file is cut off: its compressed kernel ends at %llu of %llu bytes",
                         (unsigned long long)(header->kernel_offset + offset + size),
                         (unsigned long long)(header->kernel_offset + header->kernel_size));
    header->payload_offset = header->kernel_offset + offset;
    header->payload_size = size;
    return true;
}

/*
 * A relocatable kernel prefers pref_address, and anything else would only make it move there
 * itself.
 */
static bool linux_parse_place(struct linux_header *header, const u8 *data, struct error *err)
{
    bool told = header->version >= LINUX_2_10;
    u64 preferred = told ? load_le64(data + LINUX_PREF_ADDRESS) : MAP_KERNEL_LOW;
    bool relocatable = header->version >= LINUX_2_05 && data[LINUX_RELOCATABLE_KERNEL];

    header->run = preferred;
    header->load = relocatable && told ? preferred : MAP_KERNEL_LOW;
    header->init_size =
        told ? load_le32(data + LINUX_INIT_SIZE) : header->kernel_size * LINUX_UNPACK_RATIO_OLD;
    if (preferred < MAP_KERNEL_LOW || preferred >= MAP_RAM_BELOW_4G_MAX)
        return error_set(err, "invalid kernel header: preferred address 0x%llx",
                         (unsigned long long)preferred);
    return true;
}

bool linux_parse(struct linux_header *header, const u8 *data, u64 size, struct error *err)
{
    u16 xloadflags;

    memset(header, 0, sizeof(*header));
    if (size < 2 * LINUX_SECTOR_SIZE)
        return error_set(err, "invalid kernel header: the file is cut off");
    header->version = load_le16(data + LINUX_VERSION);
    if (header->version < LINUX_2_02)
        return error_set(err, "boot protocol %u.%02u is too old: at least 2.02 is needed",
                         header->version >> 8, header->version & 0xFF);
    if (!(data[LINUX_LOADFLAGS] & LINUX_LOADED_HIGH))
        return error_set(err, "a zImage, which runs below 1 MiB: give a bzImage");
    if (!linux_parse_parts(header, data, size, err) || !linux_parse_payload(header, data, err) ||
        !linux_parse_place(header, data, err))
        return false;

    xloadflags = header->version >= LINUX_2_12 ? load_le16(data + LINUX_XLOADFLAGS) : 0;
    header->entry_64 = xloadflags & LINUX_KERNEL_64;
    header->initrd_high = xloadflags & LINUX_ABOVE_4G;
    header->initrd_addr_max = linux_field32(data, header->version, LINUX_2_03,
                                            LINUX_INITRD_ADDR_MAX, LINUX_INITRD_ADDR_MAX_OLD);
    header->cmdline_max = linux_field32(data, header->version, LINUX_2_06, LINUX_CMDLINE_SIZE,
                                        LINUX_CMDLINE_SIZE_OLD);
    return true;
}

gpa linux_end(const struct linux_header *header)
{
    return MAX(header->load + header->kernel_size, header->run + header->init_size);
}

static void linux_build_e820(u8 *page, const struct e820_map *map)
{
    for (unsigned i = 0; i < map->count; i++) {
        u8 *entry = page + LINUX_PARAMS_E820_TABLE + i * LINUX_E820_ENTRY_SIZE;

        store_le64(entry, map->entries[i].base);
        store_le64(entry + 8, map->entries[i].size);
        store_le32(entry + 16, map->entries[i].type);
    }
    page[LINUX_PARAMS_E820_ENTRIES] = (u8)map->count;
}

/*
 * All but the header is zero, in particular the sentinel at 0x1EF, which tells the kernel that
 * this was done right. The header's length is in the jump over it.
 */
void linux_build_params(u8 page[LINUX_PARAMS_SIZE], const u8 *data,
                        const struct linux_params *params)
{
    unsigned length = data[LINUX_JUMP + 1];
    unsigned end = MIN(LINUX_HEADER + length, (unsigned)LINUX_HEADER_MAX);

    memset(page, 0, LINUX_PARAMS_SIZE);
    memcpy(page + LINUX_SETUP_SECTS, data + LINUX_SETUP_SECTS, end - LINUX_SETUP_SECTS);
    page[LINUX_TYPE_OF_LOADER] = LINUX_LOADER_UNKNOWN;
    page[LINUX_LOADFLAGS] &= (u8)~LINUX_KASLR_FLAG;
    store_le32(page + LINUX_CODE32_START, (u32)params->load);
    store_le32(page + LINUX_CMD_LINE_PTR, (u32)params->cmdline);
    store_le32(page + LINUX_RAMDISK_IMAGE, params->initrd_size ? (u32)params->initrd : 0);
    store_le32(page + LINUX_RAMDISK_SIZE, (u32)params->initrd_size);
    store_le64(page + LINUX_SETUP_DATA, 0);
    store_le64(page + LINUX_PARAMS_ACPI_RSDP_ADDR, params->rsdp);
    linux_build_e820(page, params->e820);
}
