/* SPDX-License-Identifier: MIT */
/*
 * The paravirtual clock, Linux, Documentation/virt/kvm/x86/msr.rst.
 *
 * All vCPUs get the same origin (the machine's clock at 0), so that their pages agree to the nanosecond and the
 * STABLE flag is true; only a TSC that its guest has moved shifts the origin. Nothing changes as time goes by, so
 * a page is written once.
 *
 *   time info    0 version   4 -    8 tsc_timestamp   16 system_time   24 mul   28 shift   29 flags   (32 bytes)
 *   wall clock   0 version   4 sec  8 nsec                                                          (12 bytes)
 */
#include "accel/soft/kvmclock.h"

#include "accel/soft/state.h"
#include "base/bytes.h"
#include "base/log.h"
#include "machine/machine.h"

#define NS_PER_S           UINT64_C(1000000000)

#define SYSTEM_TIME_ENABLE BIT64(0)

#define INFO_SIZE          32
#define INFO_TSC           8
#define INFO_SYSTEM_TIME   16
#define INFO_MUL           24
#define INFO_SHIFT         28
#define INFO_FLAGS         29
#define INFO_FLAG_STABLE   BIT(0)

#define WALL_SIZE          12
#define WALL_SEC           4
#define WALL_NSEC          8

void kvmclock_scale(u64 hz, u32 *mul, i8 *shift)
{
    u64 rate = hz;

    *shift = 0;
    /* Bring the rate into (1, 2] GHz, where the factor has all of its 32 bits. */
    while (rate > 2 * NS_PER_S) {
        rate >>= 1;
        --*shift;
    }
    while (rate <= NS_PER_S && *shift >= 0 && *shift < 31) {
        rate <<= 1;
        ++*shift;
    }
    /* The factor comes from the exact rate, not from the one that lost bits above. */
    if (*shift < 0)
        *mul = (u32)(((unsigned __int128)NS_PER_S << (32 - *shift)) / hz);
    else
        *mul = (u32)(((unsigned __int128)NS_PER_S << 32) / ((unsigned __int128)hz << *shift));
}

/*
 * Fill a page whose first word is a version: odd while the rest changes, so that a reader on another vCPU tries
 * again (KVM's protocol). x86 hosts keep the order of the three writes.
 */
static void kvmclock_fill(struct cpu *cpu, gpa addr, u8 *data, u64 size)
{
    struct ram *ram = &cpu->vcpu->machine->ram;
    u8 version[4] = { 0 };
    u32 next;
    bool done;

    done = ram_read(ram, addr, version, sizeof(version)) == 0;
    next = (load_le32(version) | 1) + 2;
    store_le32(version, next);
    store_le32(data, next);
    done = done && ram_write(ram, addr, version, sizeof(version)) == 0;
    done = done && ram_write(ram, addr, data, size) == 0;
    store_le32(version, next + 1);
    done = done && ram_write(ram, addr, version, sizeof(version)) == 0;
    if (!done)
        guest_error("kvmclock: page at 0x%llx is not RAM", (unsigned long long)addr);
}

void kvmclock_update(struct cpu *cpu)
{
    const struct clock *clock = &cpu->vcpu->machine->clock;
    u8 info[INFO_SIZE] = { 0 };
    u32 mul;
    i8 shift;

    if (!(cpu->msr.kvm_system_time & SYSTEM_TIME_ENABLE))
        return;
    kvmclock_scale(clock->tsc_hz, &mul, &shift);
    store_le64(info + INFO_TSC, cpu->msr.tsc_offset);
    store_le64(info + INFO_SYSTEM_TIME, 0);
    store_le32(info + INFO_MUL, mul);
    info[INFO_SHIFT] = (u8)shift;
    info[INFO_FLAGS] = INFO_FLAG_STABLE;
    kvmclock_fill(cpu, cpu->msr.kvm_system_time & ~SYSTEM_TIME_ENABLE, info, sizeof(info));
}

void kvmclock_set_system_time(struct cpu *cpu, u64 value)
{
    cpu->msr.kvm_system_time = value;
    kvmclock_update(cpu);
}

void kvmclock_set_wall_clock(struct cpu *cpu, u64 value)
{
    const struct clock *clock = &cpu->vcpu->machine->clock;
    u8 wall[WALL_SIZE] = { 0 };
    /* Exact, where wall clock minus clock would be off by the time between two readings. */
    u64 boot = (u64)clock->wall_base;

    cpu->msr.kvm_wall_clock = value;
    if (value == 0)
        return;
    store_le32(wall + WALL_SEC, (u32)(boot / NS_PER_S));
    store_le32(wall + WALL_NSEC, (u32)(boot % NS_PER_S));
    kvmclock_fill(cpu, value & ~UINT64_C(3), wall, sizeof(wall));
}
