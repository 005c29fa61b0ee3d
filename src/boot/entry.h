/* SPDX-License-Identifier: MIT */
/* What a directly entered kernel finds in memory whatever its protocol. */
#pragma once

#include "base/types.h"
#include "machine/boot_state.h"
#include "machine/ram.h"

/*
 * Write the GDT for `mode` (FLAT32 or LONG64), for LONG64 also page tables that map the low 4 GiB
 * to themselves; the two words of the BIOS data area that say where base memory ends; and code at
 * the BIOS's entry point that resets the machine. Fills in mode, stack, cr3 and the GDT of
 * `state`. RAM covers at least the first MiB.
 */
void entry_write(struct ram *ram, enum boot_mode mode, struct cpu_boot_state *state);
