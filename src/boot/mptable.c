/* SPDX-License-Identifier: MIT */
/* The MP table. Section numbers are those of the MultiProcessor Specification 1.4. */
#include "boot/mptable.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/checksum.h"
#include "machine/map.h"

#define MPTABLE_SPEC_1_4        4u

/* 4.1: floating pointer structure. */
#define MPTABLE_FP_SIZE         16u
#define MPTABLE_FP_PHYSPTR      4u
#define MPTABLE_FP_LENGTH       8u /* in units of 16 bytes */
#define MPTABLE_FP_SPEC         9u
#define MPTABLE_FP_CHECKSUM     10u

/* 4.2: configuration table header. */
#define MPTABLE_HDR_SIZE        44u
#define MPTABLE_HDR_LENGTH      4u
#define MPTABLE_HDR_SPEC        6u
#define MPTABLE_HDR_CHECKSUM    7u
#define MPTABLE_HDR_OEM         8u
#define MPTABLE_HDR_PRODUCT     16u
#define MPTABLE_HDR_ENTRY_COUNT 34u
#define MPTABLE_HDR_LAPIC       36u

/* 4.3: entry types, and their sizes. */
#define MPTABLE_PROCESSOR       0u
#define MPTABLE_BUS             1u
#define MPTABLE_IOAPIC          2u
#define MPTABLE_IO_INTERRUPT    3u
#define MPTABLE_LINT            4u
#define MPTABLE_PROCESSOR_SIZE  20u
#define MPTABLE_ENTRY_SIZE      8u

#define MPTABLE_CPU_ENABLED     BIT(0)
#define MPTABLE_CPU_BSP         BIT(1)
#define MPTABLE_IOAPIC_ENABLED  BIT(0)
#define MPTABLE_INT             0u
#define MPTABLE_NMI             1u
#define MPTABLE_EXTINT          3u

#define MPTABLE_LAPIC_VERSION   0x14u
#define MPTABLE_IOAPIC_VERSION  0x20u
#define MPTABLE_ISA_BUS         0u
#define MPTABLE_ISA_IRQS        16u
#define MPTABLE_ALL_LAPICS      0xFFu

/* The table while it grows. */
struct mptable {
    u8 *base; /* the floating pointer */
    size_t size;
    unsigned entries;
};

static u8 *mptable_add(struct mptable *table, u8 type, size_t size)
{
    u8 *p = table->base + table->size;

    assert(size <= MPTABLE_SIZE_MAX - table->size);
    p[0] = type;
    table->size += size;
    table->entries++;
    return p;
}

static void mptable_add_cpus(struct mptable *table, const struct mptable_config *config)
{
    for (unsigned i = 0; i < config->cpu_count; i++) {
        u8 *p = mptable_add(table, MPTABLE_PROCESSOR, MPTABLE_PROCESSOR_SIZE);

        p[1] = config->apic_ids[i];
        p[2] = MPTABLE_LAPIC_VERSION;
        p[3] = MPTABLE_CPU_ENABLED | (i == 0 ? MPTABLE_CPU_BSP : 0);
        store_le32(p + 4, config->cpu_signature);
        store_le32(p + 8, config->cpu_features);
    }
}

static void mptable_add_ioapic(struct mptable *table, u8 id)
{
    u8 *p = mptable_add(table, MPTABLE_IOAPIC, MPTABLE_ENTRY_SIZE);

    p[1] = id;
    p[2] = MPTABLE_IOAPIC_VERSION;
    p[3] = MPTABLE_IOAPIC_ENABLED;
    store_le32(p + 4, MAP_IOAPIC);
}

/*
 * 4.3.4 and 4.3.5: flags 0 mean polarity and trigger mode as the bus has them: ISA, high and edge.
 */
static void mptable_add_interrupt(struct mptable *table, u8 type, u8 kind, u8 irq, u8 apic, u8 pin)
{
    u8 *p = mptable_add(table, type, MPTABLE_ENTRY_SIZE);

    p[1] = kind;
    p[4] = MPTABLE_ISA_BUS;
    p[5] = irq;
    p[6] = apic;
    p[7] = pin;
}

/* The PIT's IRQ 0 is wired to pin 2, where IRQ 2, the cascade, has no use for one. */
static void mptable_add_isa_irqs(struct mptable *table, u8 ioapic)
{
    for (u8 irq = 0; irq < MPTABLE_ISA_IRQS; irq++) {
        if (irq != MAP_GSI_CASCADE)
            mptable_add_interrupt(table, MPTABLE_IO_INTERRUPT, MPTABLE_INT, irq, ioapic,
                                  irq == MAP_GSI_PIT ? MAP_GSI_CASCADE : irq);
    }
}

static bool mptable_id_taken(const struct mptable_config *config, unsigned id)
{
    for (unsigned i = 0; i < config->cpu_count; i++) {
        if (config->apic_ids[i] == id)
            return true;
    }
    return false;
}

/*
 * 3.6.6: the ids of local and I/O APICs share one space, so the IOAPIC gets the lowest that is
 * free.
 */
static u8 mptable_ioapic_id(const struct mptable_config *config)
{
    unsigned id = 0;

    while (mptable_id_taken(config, id))
        id++;
    return (u8)id;
}

static void mptable_finish(struct mptable *table, gpa base)
{
    u8 *fp = table->base, *hdr = fp + MPTABLE_FP_SIZE;
    size_t length = table->size - MPTABLE_FP_SIZE;

    memcpy(fp, "_MP_", 4);
    store_le32(fp + MPTABLE_FP_PHYSPTR, (u32)(base + MPTABLE_FP_SIZE));
    fp[MPTABLE_FP_LENGTH] = MPTABLE_FP_SIZE / 16;
    fp[MPTABLE_FP_SPEC] = MPTABLE_SPEC_1_4;
    fp[MPTABLE_FP_CHECKSUM] = checksum8(fp, MPTABLE_FP_SIZE);

    memcpy(hdr, "PCMP", 4);
    store_le16(hdr + MPTABLE_HDR_LENGTH, (u16)length);
    hdr[MPTABLE_HDR_SPEC] = MPTABLE_SPEC_1_4;
    memcpy(hdr + MPTABLE_HDR_OEM, "MOTE    ", 8);
    memcpy(hdr + MPTABLE_HDR_PRODUCT, "MICROVM     ", 12);
    store_le16(hdr + MPTABLE_HDR_ENTRY_COUNT, (u16)table->entries);
    store_le32(hdr + MPTABLE_HDR_LAPIC, MAP_LAPIC);
    hdr[MPTABLE_HDR_CHECKSUM] = checksum8(hdr, length);
}

size_t mptable_build(u8 out[MPTABLE_SIZE_MAX], gpa base, const struct mptable_config *config)
{
    struct mptable table = { .base = out, .size = MPTABLE_FP_SIZE + MPTABLE_HDR_SIZE };
    u8 ioapic = mptable_ioapic_id(config);
    u8 *bus;

    assert(base % 16 == 0);
    memset(out, 0, MPTABLE_SIZE_MAX);
    mptable_add_cpus(&table, config);
    bus = mptable_add(&table, MPTABLE_BUS, MPTABLE_ENTRY_SIZE);
    bus[1] = MPTABLE_ISA_BUS;
    memcpy(bus + 2, "ISA   ", 6);
    mptable_add_ioapic(&table, ioapic);
    mptable_add_isa_irqs(&table, ioapic);
    mptable_add_interrupt(&table, MPTABLE_LINT, MPTABLE_EXTINT, 0, config->apic_ids[0], 0);
    mptable_add_interrupt(&table, MPTABLE_LINT, MPTABLE_NMI, 0, MPTABLE_ALL_LAPICS, 1);
    mptable_finish(&table, base);
    return table.size;
}
