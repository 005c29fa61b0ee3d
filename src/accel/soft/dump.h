/* SPDX-License-Identifier: MIT */
/* The registers of a CPU as text, for the log. */
#pragma once

#include <stddef.h>

struct cpu;

/* Several lines into `text`; cut to `size`. 2 KiB hold them all. */
void cpu_dump(const struct cpu *cpu, char *text, size_t size);
