/* SPDX-License-Identifier: MIT */
/* Port I/O: who may use a port, and the way to the port bus. SDM vol. 1, chapter 19. */
#pragma once

#include "accel/soft/insn.h"
#include "accel/soft/state.h"
#include "base/types.h"
#include "machine/bus.h"
#include "machine/machine.h"

void io_check_bitmap(struct cpu *cpu, const struct insn *in, u16 port, unsigned size);

/* May `size` bytes at `port` be used? #GP(0) if not: IOPL first, then the TSS's bitmap. */
static inline void io_check(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
    if (unlikely(cpu->mode & MODE_PE) &&
        (cpu->cpl > ((cpu->sflags >> 12) & 3) || (cpu->mode & MODE_VM)))
        io_check_bitmap(cpu, in, port, size);
}

static inline u32 io_in(struct cpu *cpu, u16 port, unsigned size)
{
    return (u32)bus_read(&cpu->vcpu->machine->pio, port, size);
}

static inline void io_out(struct cpu *cpu, u16 port, unsigned size, u32 value)
{
    bus_write(&cpu->vcpu->machine->pio, port, size, value);
}
