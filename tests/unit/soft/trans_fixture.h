/* SPDX-License-Identifier: MIT */
/*
 * A CPU whose blocks are translated at their first run: a flat 64-bit kernel over 2 MiB of RAM, mapped to itself but
 * for the page at AT_HOLE.
 */
#pragma once

#include "accel/soft/soft.h"
#include "accel/soft/state.h"
#include "cli/config.h"
#include "machine/machine.h"

#define RAM_BYTES MIB(2)
#define AT_TABLES 0x100000u
#define AT_CODE   0x8000u
#define AT_END    0x9800u  /* runs stop here */
#define AT_HOLE   0x80000u /* a page that is not mapped */

struct rig {
    struct machine machine;
    struct config config;
    struct cpu *cpu;
};

/* cmocka setup and teardown: *state is a struct rig. */
int trans_setup(void **state);
int trans_teardown(void **state);

/* Write code as devices do. */
void put(struct rig *r, gpa at, const void *bytes, size_t size);

/* jmp from `at` to AT_END. */
void put_end(struct rig *r, gpa at);

/* Run from AT_CODE until AT_END. */
enum soft_stop run(struct rig *r);

u64 translated(struct rig *r);
