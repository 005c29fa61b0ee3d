/* SPDX-License-Identifier: MIT */
/* The PVH boot protocol. Field names are those of hvm_start_info. */
#include "boot/pvh.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"

#define PVH_NOTE_NAME         "Xen"
#define PVH_NOTE_PHYS32_ENTRY 18u
#define PVH_MAGIC             0x336EC578u /* "xEn3" with the high bit of the E set */
#define PVH_VERSION           1u

/* struct hvm_start_info, then the module and memory map entries that it points to. */
enum pvh_field {
    PVH_INFO_MAGIC = 0,
    PVH_INFO_VERSION = 4,
    PVH_INFO_NR_MODULES = 12,
    PVH_INFO_MODLIST_PADDR = 16,
    PVH_INFO_CMDLINE_PADDR = 24,
    PVH_INFO_RSDP_PADDR = 32,
    PVH_INFO_MEMMAP_PADDR = 40,
    PVH_INFO_MEMMAP_ENTRIES = 48,
    PVH_INFO_END = 56,
    PVH_MODULE_PADDR = 0,
    PVH_MODULE_SIZE = 8,
    PVH_MODULE_END = 32,
    PVH_MEMMAP_ADDR = 0,
    PVH_MEMMAP_SIZE = 8,
    PVH_MEMMAP_TYPE = 16, /* numbered as in E820 */
    PVH_MEMMAP_END = 24,
};

#define PVH_MODLIST (PVH_INFO_END + 8) /* 16-byte boundary, for the sake of order */
#define PVH_MEMMAP  (PVH_MODLIST + PVH_MODULE_END)

static_assert(PVH_MEMMAP + E820_ENTRIES_MAX * PVH_MEMMAP_END <= PVH_INFO_SIZE, "all fits");

/* A kernel without the note may still be Linux: say what would help. */
static bool pvh_refuse(const struct elf *elf, struct error *err)
{
    if (elf->is_64)
        return error_set(err,
                         "an ELF kernel without PVH note cannot be started: give its bzImage, or "
                         "build it with CONFIG_PVH=y");
    return error_set(err, "an ELF file without PVH note cannot be started");
}

bool pvh_find_entry(const struct elf *elf, const u8 *data, u64 size, gpa *entry, struct error *err)
{
    u8 descriptor[8] = { 0 };
    i64 found = elf_find_note(elf, data, size, PVH_NOTE_NAME, PVH_NOTE_PHYS32_ENTRY, descriptor,
                              sizeof(descriptor));

    if (found < 0)
        return pvh_refuse(elf, err);
    if (found != 4 && found != 8)
        return error_set(err, "its PVH note has %lld bytes instead of 4 or 8", (long long)found);
    *entry = load_le64(descriptor);
    if (*entry > UINT32_MAX || !elf_contains(elf, *entry))
        return error_set(err, "its PVH entry point 0x%llx is outside of what it loads",
                         (unsigned long long)*entry);
    return true;
}

void pvh_build_info(u8 out[PVH_INFO_SIZE], gpa base, const struct pvh_info *info)
{
    memset(out, 0, PVH_INFO_SIZE);
    store_le32(out + PVH_INFO_MAGIC, PVH_MAGIC);
    store_le32(out + PVH_INFO_VERSION, PVH_VERSION);
    store_le64(out + PVH_INFO_CMDLINE_PADDR, info->cmdline);
    store_le64(out + PVH_INFO_RSDP_PADDR, info->rsdp);
    if (info->initrd_size) {
        store_le32(out + PVH_INFO_NR_MODULES, 1);
        store_le64(out + PVH_INFO_MODLIST_PADDR, base + PVH_MODLIST);
        store_le64(out + PVH_MODLIST + PVH_MODULE_PADDR, info->initrd);
        store_le64(out + PVH_MODLIST + PVH_MODULE_SIZE, info->initrd_size);
    }
    store_le64(out + PVH_INFO_MEMMAP_PADDR, base + PVH_MEMMAP);
    store_le32(out + PVH_INFO_MEMMAP_ENTRIES, info->e820->count);
    for (unsigned i = 0; i < info->e820->count; i++) {
        u8 *entry = out + PVH_MEMMAP + i * PVH_MEMMAP_END;

        store_le64(entry + PVH_MEMMAP_ADDR, info->e820->entries[i].base);
        store_le64(entry + PVH_MEMMAP_SIZE, info->e820->entries[i].size);
        store_le32(entry + PVH_MEMMAP_TYPE, info->e820->entries[i].type);
    }
}
