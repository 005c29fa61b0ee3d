/* SPDX-License-Identifier: MIT */
/* The page walk: linear to physical through the guest's paging structures (SDM vol. 3A, chapter 4). */
#pragma once

#include "accel/soft/mem.h"
#include "base/types.h"

struct ram;

/* What a walk depends on. */
struct walk_context {
    const struct ram *ram;
    u64 cr0, cr3, cr4, efer;
    u64 phys_mask; /* physical address bits of the CPU */
    bool page_1g;  /* 1 GiB pages are offered */
    bool user;     /* a user-mode access */
    bool
        smap; /* user pages are forbidden to supervisor data accesses (SMAP with AC clear, or implicit) */
};

/* A translation: the page that holds the address, and who may do what with it in this context. */
struct walk_result {
    gpa page; /* physical address of the 4 KiB page */
    u8 shift; /* log2 of the bytes that the guest's page has */
    bool read, write, exec;
    bool dirty; /* the D bit is set: writes need no walk */
    u32 code;   /* error code of the page fault when the walk failed */
};

/*
 * Translate `addr` (canonical) for an access; sets A and D bits atomically when it succeeds. False: page fault
 * with result->code. Entries that are not in RAM read as not present.
 */
bool walk(const struct walk_context *context, gva addr, enum access access,
          struct walk_result *result);
