/* SPDX-License-Identifier: MIT */
/*
 * Descriptors, page tables and what is left of a BIOS for a direct entry. Formats: SDM vol. 3A,
 * 3.4.5 and 4.5.
 */
#include "boot/entry.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "machine/map.h"

/* Selectors 0x10, 0x18 and 0x20, as the Linux boot protocol wants the first two. */
#define ENTRY_GDT_CODE         2u
#define ENTRY_GDT_DATA         3u
#define ENTRY_GDT_TSS          4u
#define ENTRY_GDT_COUNT        6u /* the TSS has two entries in 64-bit mode */

/* Flat segments, accessed: base 0, limit 4 GiB, ring 0. */
#define ENTRY_CODE32           UINT64_C(0x00CF9B000000FFFF) /* D=1 */
#define ENTRY_CODE64           UINT64_C(0x00AF9B000000FFFF) /* L=1 */
#define ENTRY_DATA             UINT64_C(0x00CF93000000FFFF)
#define ENTRY_TSS              UINT64_C(0x00008B0000000067) /* busy, base 0, 104 bytes */

#define ENTRY_PTE_PRESENT      BIT64(0)
#define ENTRY_PTE_WRITABLE     BIT64(1)
#define ENTRY_PTE_LARGE        BIT64(7)
#define ENTRY_TABLE_SIZE       4096u
#define ENTRY_TABLE_LENGTH     512u
#define ENTRY_IDENTITY_GIB     4u
#define ENTRY_TABLES_END       (MAP_BOOT_PAGE_TABLES + (2 + ENTRY_IDENTITY_GIB) * ENTRY_TABLE_SIZE)

/*
 * BIOS data area: segment of the EBDA, and KiB of base memory below it. Kernels look for the MP
 * table there.
 */
#define ENTRY_BDA_EBDA_SEGMENT 0x40Eu
#define ENTRY_BDA_BASE_MEMORY  0x413u

static_assert(ENTRY_TABLES_END <= 0xF000, "page tables end where map.h says");

/*
 * A kernel that has no better way to reboot goes back to real mode and jumps to where the BIOS
 * begins, 0xFFFF0; Linux does so by default with hardware-reduced ACPI. Without a BIOS there is
 * this code instead: it makes the interrupt table empty and takes an exception, which shuts the
 * processor down, and that resets the machine (SDM vol. 3A, 6.15, "double fault").
 */
#define ENTRY_RESTART 0xFFFE0u

/* clang-format off */
static const u8 entry_restart[] = {
    0x2E, 0x0F, 0x01, 0x1E, 0xE8, 0xFF, /* FFE0: lidt cs:[0xFFE8] */
    0xCC,                               /* FFE6: int3 */
    0xF4,                               /* FFE7: hlt, not reached */
    0, 0, 0, 0, 0, 0,                   /* FFE8: limit 0, base 0 */
    0, 0,
    0xEA, 0xE0, 0xFF, 0x00, 0xF0,       /* FFF0: jmp 0xF000:0xFFE0 */
};
/* clang-format on */

static_assert(ENTRY_RESTART + sizeof(entry_restart) <= 0x100000, "ends below 1 MiB");

/* Writes here are to RAM that the machine guarantees. */
static void entry_put(struct ram *ram, gpa addr, const void *data, u64 size)
{
    int ret = ram_write(ram, addr, data, size);

    assert(ret == 0);
    (void)ret;
}

static void entry_write_gdt(struct ram *ram, enum boot_mode mode)
{
    u8 gdt[ENTRY_GDT_COUNT * 8] = { 0 };

    store_le64(gdt + 8 * ENTRY_GDT_CODE, mode == BOOT_MODE_LONG64 ? ENTRY_CODE64 : ENTRY_CODE32);
    store_le64(gdt + 8 * ENTRY_GDT_DATA, ENTRY_DATA);
    store_le64(gdt + 8 * ENTRY_GDT_TSS, ENTRY_TSS);
    entry_put(ram, MAP_BOOT_GDT, gdt, sizeof(gdt));
}

/* One PML4, one page directory pointer table, a page directory of 2 MiB pages for each GiB. */
static void entry_write_page_tables(struct ram *ram)
{
    const u64 rights = ENTRY_PTE_PRESENT | ENTRY_PTE_WRITABLE;
    gpa pdpt = MAP_BOOT_PAGE_TABLES + ENTRY_TABLE_SIZE;
    gpa directories = pdpt + ENTRY_TABLE_SIZE;
    u8 table[ENTRY_TABLE_SIZE] = { 0 };

    store_le64(table, pdpt | rights);
    entry_put(ram, MAP_BOOT_PAGE_TABLES, table, sizeof(table));
    for (unsigned i = 0; i < ENTRY_IDENTITY_GIB; i++)
        store_le64(table + 8 * i, (directories + i * ENTRY_TABLE_SIZE) | rights);
    entry_put(ram, pdpt, table, sizeof(table));
    for (unsigned i = 0; i < ENTRY_IDENTITY_GIB; i++) {
        for (unsigned j = 0; j < ENTRY_TABLE_LENGTH; j++)
            store_le64(table + 8 * j, (GIB(i) + MIB(2) * j) | rights | ENTRY_PTE_LARGE);
        entry_put(ram, directories + i * ENTRY_TABLE_SIZE, table, sizeof(table));
    }
}

void entry_write(struct ram *ram, enum boot_mode mode, struct cpu_boot_state *state)
{
    u8 word[2];

    assert(mode == BOOT_MODE_FLAT32 || mode == BOOT_MODE_LONG64);
    memset(state, 0, sizeof(*state));
    state->mode = mode;
    state->rsp = MAP_BOOT_STACK;
    state->gdt = MAP_BOOT_GDT;
    state->gdt_limit = ENTRY_GDT_COUNT * 8 - 1;
    entry_write_gdt(ram, mode);
    if (mode == BOOT_MODE_LONG64) {
        state->cr3 = MAP_BOOT_PAGE_TABLES;
        entry_write_page_tables(ram);
    }
    store_le16(word, MAP_EBDA >> 4);
    entry_put(ram, ENTRY_BDA_EBDA_SEGMENT, word, sizeof(word));
    store_le16(word, MAP_EBDA >> 10);
    entry_put(ram, ENTRY_BDA_BASE_MEMORY, word, sizeof(word));
    entry_put(ram, ENTRY_RESTART, entry_restart, sizeof(entry_restart));
}
