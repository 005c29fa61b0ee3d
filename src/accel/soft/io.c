/* SPDX-License-Identifier: MIT */
/* The I/O permission bitmap: SDM vol. 1, 19.5.2. */
#include "accel/soft/io.h"

#include "accel/soft/fault.h"
#include "accel/soft/seg.h"
#include "accel/soft/sysmem.h"

#define TSS_IO_MAP_BASE 0x66
#define TSS_LIMIT_MIN   0x67

/*
 * A set bit forbids. Two bytes are read, so that one access shows all bits of a port that is not aligned; both must lie
 * inside the TSS. A 16-bit TSS has no bitmap.
 */
void io_check_bitmap(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
    u32 at, bits;

    if ((cpu->tr.attr & SEG_TYPE) != TYPE_TSS_BUSY || cpu->tr.limit < TSS_LIMIT_MIN)
        cpu_gp(cpu, in, 0);
    at = sysmem_load16(cpu, in, cpu->tr.base + TSS_IO_MAP_BASE) + port / 8u;
    if (at + 1 > cpu->tr.limit)
        cpu_gp(cpu, in, 0);
    bits = sysmem_load16(cpu, in, cpu->tr.base + at);
    if (bits >> (port % 8) & (BIT(size) - 1))
        cpu_gp(cpu, in, 0);
}
