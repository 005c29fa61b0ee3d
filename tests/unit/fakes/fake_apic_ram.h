/* SPDX-License-Identifier: MIT */
/* Guest memory as the tests want it: plain host bytes behind the slots of struct ram. */
#pragma once

#include "machine/ram.h"

/* `size` zero bytes at guest address 0, and nothing else. */
void fake_ram_init(struct ram *ram, u64 size);

/* Show [offset, offset + size) at `base`, too. */
void fake_ram_add(struct ram *ram, gpa base, u64 size, u64 offset);
void fake_ram_fini(struct ram *ram);
